//! One agent's session: hello, welcome, then whatever either side has to say until it ends.
//!
//! Knows the order of messages and their time limits. Refuses to act on a message in the name of
//! any node but the one whose certificate opened the connection.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::extract::ws::{Message, WebSocket};
use devnet_schema::{
    fleet::NodeFacts,
    name::{ClusterName, NodeName},
    step::{StepReport, StepState},
    wire::{AgentMessage, ControlMessage, MAX_MESSAGE, Origin, PROTOCOL},
};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{debug, info, warn};

use super::{Call, Fleet, Link, Pulse, QUEUE, SEND_TIMEOUT, bounds, rate::Rate, renewals};
use crate::clock;

/// How long a session may take to show that it lives when another of its node comes: several round
/// trips of a slow link. A machine whose network was cut waits this long when it is back.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an agent may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an agent may wait for the cluster to be named.
const NAME_TIMEOUT: Duration = Duration::from_secs(20);

/// Speaks with the agent of `node` until either side ends it. `admit` says whether it may come in,
/// and is asked when it does: it was let in to the connection some time before.
pub async fn run(
    fleet: Arc<Fleet>,
    socket: WebSocket,
    node: NodeName,
    id: String,
    admit: impl Fn(&Origin) -> Result<(), String>,
) {
    let (mut sink, mut stream) = socket.split();
    let Some((facts, origin)) = hello(&mut stream, &mut sink, &node).await else {
        return;
    };
    let Some(cluster) = named(&fleet).await else {
        warn!(%node, "an agent came before the cluster had a name");
        return;
    };
    let (queue, outgoing) = mpsc::channel(QUEUE);
    let (link, over) = Link::new(queue.clone(), origin.clone());
    let pulse = link.pulse.clone();
    let mut silent = None;
    let opened = loop {
        let older = fleet.state().links.get(&node).map(Other::of);
        if let Some(other) = older.filter(|other| Some(other.session) != silent) {
            if other.pulse.answers(PATIENCE).await {
                let problem = doubled(&node, &other.origin, &origin);
                let call = Call::Double { node: node.clone(), problem: problem.clone() };
                let _ = fleet.calls.send(call).await;
                return refuse(&mut sink, &node, problem).await;
            }
            silent = Some(other.session);
            continue;
        }
        let _members = fleet.membership();
        let speaks = fleet.state().links.get(&node).map(|link| link.session);
        if speaks.is_none() || speaks == silent {
            break admit(&origin).map(|()| open(&fleet, &node, &id, facts.clone(), link));
        }
    };
    let session = match opened {
        Ok(session) => session,
        Err(reason) => return refuse(&mut sink, &node, reason).await,
    };
    info!(%node, session, "agent connected");
    let welcome = ControlMessage::Welcome {
        cluster,
        node: node.clone(),
        heartbeat_millis: fleet.config.heartbeat.as_millis() as u64,
    };
    // The queue is new and empty: there is room for both.
    let _ = queue.try_send(welcome);
    let _ = queue.try_send(ControlMessage::Observe);
    let writer =
        tokio::spawn(write(sink, outgoing, (Arc::clone(&over), pulse.clone()), node.clone()));
    let call = Call::Connected { node: node.clone(), id: id.clone(), facts, origin };
    let _ = fleet.calls.send(call).await;
    fleet.sessions_changed();
    let speaker =
        Speaker { fleet: &fleet, node: &node, id: &id, session, queue, pulse: pulse.clone() };
    tokio::select! {
        () = speaker.listen(&mut stream) => {}
        () = over.notified() => debug!(%node, session, "session is over"),
    }
    drop(speaker);
    pulse.end();
    close(&fleet, &node, session).await;
    writer.abort();
    info!(%node, session, "agent disconnected");
}

/// The cluster's name. After a loss of records an agent may be faster than the first configuration;
/// it must not be told a wrong name, so it waits for a while, and then comes again.
async fn named(fleet: &Fleet) -> Option<ClusterName> {
    let mut cluster = fleet.cluster.subscribe();
    let named = tokio::time::timeout(NAME_TIMEOUT, cluster.wait_for(Option::is_some)).await;
    named.ok()?.ok()?.clone()
}

/// The first frame. Anything else is refused with a reason for the agent's log.
async fn hello(
    stream: &mut SplitStream<WebSocket>,
    sink: &mut SplitSink<WebSocket, Message>,
    node: &NodeName,
) -> Option<(NodeFacts, Origin)> {
    let unasked = Pulse::default();
    let first = tokio::time::timeout(HELLO_TIMEOUT, next(stream, &unasked)).await.ok()??;
    let reason = match serde_json::from_str(&first) {
        Ok(AgentMessage::Hello { protocol: PROTOCOL, facts, .. })
            if bounds::facts(&facts).is_err() =>
        {
            bounds::facts(&facts).err().unwrap_or_default()
        }
        Ok(AgentMessage::Hello { protocol: PROTOCOL, facts, mut origin, .. }) => {
            bounds::origin(&mut origin);
            if facts.ip.parse::<IpAddr>().is_ok() {
                return Some((facts, origin));
            }
            let shown: String = facts.ip.chars().take(64).collect();
            format!("`{}` is no IP address: start the agent with --ip", shown.escape_debug())
        }
        Ok(AgentMessage::Hello { protocol, version, .. }) => format!(
            "this control plane speaks protocol {PROTOCOL}, the agent ({version}) speaks \
             {protocol}: install the same version of both"
        ),
        Ok(_) => "the first message must be a hello".to_owned(),
        Err(error) => format!("the first message could not be read: {error}"),
    };
    refuse(sink, node, reason).await;
    None
}

async fn refuse(sink: &mut SplitSink<WebSocket, Message>, node: &NodeName, mut reason: String) {
    // It may quote what the agent sent.
    bounds::cut(&mut reason, MAX_MESSAGE);
    warn!(%node, reason, "agent refused");
    if let Some(refusal) = text(&ControlMessage::Refused { reason }) {
        let _ = tokio::time::timeout(SEND_TIMEOUT, sink.send(refusal)).await;
    }
    let _ = tokio::time::timeout(SEND_TIMEOUT, sink.close()).await;
}

/// The session that speaks for a node when another comes.
struct Other {
    session: u64,
    origin: Origin,
    pulse: Pulse,
}

impl Other {
    fn of(link: &Link) -> Self {
        Self { session: link.session, origin: link.origin.clone(), pulse: link.pulse.clone() }
    }
}

/// Why a second machine is refused, for both and for `devnet status`.
fn doubled(node: &NodeName, first: &Origin, second: &Origin) -> String {
    let machine = |origin: &Origin| -> String {
        let id = if origin.machine.is_empty() { &origin.boot } else { &origin.machine };
        if id.is_empty() { "unknown".to_owned() } else { id.chars().take(12).collect() }
    };
    let same = match first.machine == second.machine && first.boot == second.boot {
        true => " (or one, where two agents use copies of one data directory)",
        false => "",
    };
    format!(
        "two machines use the identity of {node}{same}: machine {} is connected, and machine {} is \
         refused while it answers. Stop the agent of the copy, delete its data directory, and join \
         it under a name of its own (`devnet node token`)",
        machine(first),
        machine(second)
    )
}

/// Registers the session. An older one of the same node that did not answer is ended: a node that
/// lost its network comes back before the old connection is known to be dead.
fn open(fleet: &Fleet, node: &NodeName, id: &str, facts: NodeFacts, mut link: Link) -> u64 {
    let now = fleet.clock.now();
    let mut state = fleet.state();
    state.last_number += 1;
    let session = state.last_number;
    link.session = session;
    state.registry.connect(node, id, facts, session, &now);
    if let Some(older) = state.links.insert(node.clone(), link) {
        older.end();
    }
    session
}

async fn close(fleet: &Fleet, node: &NodeName, session: u64) {
    let ours = {
        let mut state = fleet.state();
        let ours = state.links.get(node).is_some_and(|link| link.session == session);
        if ours {
            state.links.remove(node);
        }
        state.registry.disconnect(node, session) || ours
    };
    if ours {
        let _ = fleet.calls.send(Call::Disconnected { node: node.clone() }).await;
    }
    fleet.sessions_changed();
}

/// The next text frame. Pings are answered by the WebSocket itself; whatever comes counts as life.
async fn next(stream: &mut SplitStream<WebSocket>, pulse: &Pulse) -> Option<String> {
    loop {
        let frame = stream.next().await?;
        if frame.is_ok() {
            pulse.sign();
        }
        match frame {
            Ok(Message::Text(text)) => return Some(text.as_str().to_owned()),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Close(_)) => return None,
            Ok(Message::Binary(_)) => {
                warn!("an agent sent a binary frame; the session ends");
                return None;
            }
            Err(error) => {
                debug!(%error, "reading from an agent failed");
                return None;
            }
        }
    }
}

fn text(message: &ControlMessage) -> Option<Message> {
    match serde_json::to_string(message) {
        Ok(json) => Some(Message::Text(json.into())),
        Err(error) => {
            warn!(%error, "a message to an agent could not be written as JSON");
            None
        }
    }
}

async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut outgoing: mpsc::Receiver<ControlMessage>,
    (over, pulse): (Arc<Notify>, Pulse),
    node: NodeName,
) {
    loop {
        let message = tokio::select! {
            message = outgoing.recv() => message,
            () = pulse.asked() => {
                let ping = sink.send(Message::Ping(Default::default()));
                if !matches!(tokio::time::timeout(SEND_TIMEOUT, ping).await, Ok(Ok(()))) {
                    break;
                }
                continue;
            }
        };
        let Some(message) = message else { break };
        let last = matches!(message, ControlMessage::Refused { .. });
        let Some(frame) = text(&message) else {
            continue;
        };
        match tokio::time::timeout(SEND_TIMEOUT, sink.send(frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                debug!(%node, %error, "sending to an agent failed");
                break;
            }
            Err(_) => {
                warn!(%node, "an agent does not read; its session ends");
                break;
            }
        }
        if last {
            let _ = tokio::time::timeout(SEND_TIMEOUT, sink.close()).await;
            break;
        }
    }
    over.notify_one();
}

/// What a session needs to deal with one message.
struct Speaker<'a> {
    fleet: &'a Arc<Fleet>,
    node: &'a NodeName,
    id: &'a str,
    session: u64,
    queue: mpsc::Sender<ControlMessage>,
    pulse: Pulse,
}

impl Speaker<'_> {
    /// Reads until the connection ends or three heartbeats are missed.
    async fn listen(&self, stream: &mut SplitStream<WebSocket>) {
        let mut rate = Rate::new(self.fleet.clock.now().since_start);
        let silence = self.fleet.config.heartbeat * 3 + self.fleet.config.heartbeat / 2;
        loop {
            let frame = match tokio::time::timeout(silence, next(stream, &self.pulse)).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(_) => {
                    warn!(node = %self.node, "no heartbeat for {silence:?}; the session ends");
                    return;
                }
            };
            let now = self.fleet.clock.now();
            {
                let mut state = self.fleet.state();
                // Another session speaks for the node by now, or it was removed.
                if state.registry.session(self.node) != Some(self.session) {
                    return;
                }
                state.registry.heard(self.node, &now);
            }
            let message = AgentMessage::read(&frame);
            // Logs that were asked for are bounded by whoever reads them.
            if !matches!(message, Ok(AgentMessage::Logs { request, .. }) if self.is_read(request)) {
                let wait = rate.heard(frame.len(), now.since_start);
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
            }
            match message {
                Ok(message) => self.take(message).await,
                // One frame that cannot be read says nothing about the next one.
                Err(error) => warn!(node = %self.node, %error, "a message could not be read"),
            }
        }
    }

    fn is_read(&self, request: u64) -> bool {
        self.fleet.state().links.get(self.node).is_some_and(|link| link.is_read(request))
    }

    async fn take(&self, message: AgentMessage) {
        match message {
            AgentMessage::Heartbeat { clock_millis } => {
                let ours = clock::now().as_millisecond();
                let skew = clock_millis.map(|theirs| theirs.saturating_sub(ours));
                self.fleet.state().registry.clock(self.node, skew);
            }
            AgentMessage::Hello { facts, .. } | AgentMessage::Facts { facts } => {
                if let Err(problem) = bounds::facts(&facts) {
                    return warn!(node = %self.node, problem, "facts are not taken");
                }
                let news = self.fleet.state().registry.facts(self.node, facts);
                if let Some(facts) = news {
                    self.call(Call::Facts { node: self.node.clone(), facts }).await;
                    self.fleet.tell();
                }
            }
            AgentMessage::Observed { observed } => {
                let (news, instances) = self.fleet.state().registry.observed(self.node, observed);
                if !instances.is_empty() {
                    let question = ControlMessage::Describe { instances };
                    // An agent that does not read loses its session, and is asked in the next one.
                    let _ = self.queue.send_timeout(question, SEND_TIMEOUT).await;
                }
                if news {
                    self.call(Call::Observed { node: self.node.clone() }).await;
                    self.fleet.tell();
                }
            }
            AgentMessage::Specs { specs } => {
                if self.fleet.state().registry.described(self.node, specs) {
                    // What it claims may have waited for them.
                    self.call(Call::Observed { node: self.node.clone() }).await;
                    self.fleet.tell();
                }
            }
            AgentMessage::Step { report } => self.report(report).await,
            AgentMessage::NeedSecrets { request, instance, secrets } => {
                let (answer, answered) = oneshot::channel();
                let (node, id) = (self.node.clone(), self.id.to_owned());
                self.call(Call::Secrets { node, id, instance, secrets, answer }).await;
                let queue = self.queue.clone();
                tokio::spawn(async move {
                    let message = match settle(answered.await) {
                        Ok(values) => ControlMessage::Secrets { request, values, error: None },
                        Err(error) => ControlMessage::Secrets {
                            request,
                            values: Default::default(),
                            error: Some(error),
                        },
                    };
                    let _ = queue.send_timeout(message, SEND_TIMEOUT).await;
                });
            }
            AgentMessage::Logs { request, batch } => {
                if let Some(link) = self.fleet.state().links.get(self.node)
                    && link.session == self.session
                {
                    link.deliver(request, batch);
                }
            }
            AgentMessage::Renew { csr } => self.renew(csr).await,
        }
    }

    async fn renew(&self, csr: String) {
        let now = self.fleet.clock.since_start();
        if !self.fleet.state().renewals.grant(self.node, now) {
            let problem = format!(
                "{} asked for a new certificate more than {} times in {} minutes and is given no \
                 more: no agent of ours does that",
                self.node,
                renewals::MOST,
                renewals::WITHIN.as_secs() / 60
            );
            if self.fleet.note(self.node, &problem, renewals::WITHIN) {
                warn!(node = %self.node, "{problem}");
            }
            return;
        }
        let (answer, answered) = oneshot::channel();
        let (node, id) = (self.node.clone(), self.id.to_owned());
        self.call(Call::Renew { node, id, csr, answer }).await;
        let (queue, node) = (self.queue.clone(), self.node.clone());
        tokio::spawn(async move {
            match settle(answered.await) {
                Ok(pem) => {
                    let message = ControlMessage::Certificate { pem };
                    let _ = queue.send_timeout(message, SEND_TIMEOUT).await;
                }
                Err(error) => warn!(%node, error, "a certificate was not renewed"),
            }
        });
    }

    /// Passes a report on. What is being done now may be dropped; how it ended may not.
    async fn report(&self, mut report: StepReport) {
        bounds::step(&mut report);
        let key = (report.deployment.clone(), self.node.clone(), report.step.clone());
        let to = self.fleet.state().steps.get(&key).cloned();
        let Some(to) = to else {
            debug!(node = %self.node, step = report.step, "a report nobody waits for");
            return;
        };
        if matches!(report.state, StepState::Running { .. }) {
            let _ = to.try_send(report);
        } else {
            let _ = to.send_timeout(report, SEND_TIMEOUT).await;
        }
    }

    async fn call(&self, call: Call) {
        if self.fleet.calls.send_timeout(call, SEND_TIMEOUT).await.is_err() {
            warn!(node = %self.node, "the control plane is too busy to answer an agent");
        }
    }
}

fn settle<T>(answer: Result<Result<T, String>, oneshot::error::RecvError>) -> Result<T, String> {
    answer.unwrap_or_else(|_| Err("the control plane is stopping".to_owned()))
}
