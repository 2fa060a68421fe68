//! The conversation with the control plane: hello, what runs, steps, logs, secrets, and dialling
//! again when it breaks.
//!
//! Knows the order of messages. Refuses to stop anything because nobody listens.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use devnet_schema::{
    fleet::NodeFacts,
    observed::ObservedNode,
    wire::{AgentMessage, ControlMessage, MAX_FRAME, MAX_PROOF, OrderMark, PROTOCOL},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout},
};

use crate::{
    clock,
    connection::{Connection, Dates, Incoming},
    driver::ports,
    execute::Executor,
    identity::{self, Identity},
    inventory::Facts,
    logs::{Readers, Wanted},
    node::Node,
    origin,
    outbox::Outbox,
    random,
    redaction::Outgoing,
    report, rules, trust,
    validity::Validity,
};

/// How long the answer to hello may take.
const WELCOME_PATIENCE: Duration = Duration::from_secs(30);

/// The control plane may ask for heartbeats within these bounds.
const HEARTBEAT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));

/// Silence for so many heartbeats ends a connection.
const SILENT_HEARTBEATS: u32 = 3;

/// How long after a failed renewal the next is tried.
const RENEW_AGAIN: Duration = Duration::from_secs(3600);

/// So many answers wait for the connection.
const ANSWER_QUEUE: usize = 8;

/// The largest report, in bytes of JSON: a frame, less what stands around it.
const REPORT: usize = MAX_FRAME - 1024;

/// What a session needs of the agent.
pub struct Agent {
    /// The node.
    pub node: Arc<Node>,
    /// Reports that wait.
    pub outbox: Arc<Outbox>,
    /// Who this node is.
    pub identity: Identity,
    /// Where that is kept.
    pub data_dir: PathBuf,
    /// The address others reach this node by, where it was given by hand.
    pub ip: Option<IpAddr>,
    /// What the machine has; `None` until it was looked at.
    pub facts: watch::Receiver<Option<Facts>>,
    /// Rung to have it looked at now.
    pub look: Arc<tokio::sync::Notify>,
}

/// Stays connected until the future `end` is ready.
pub async fn run(mut agent: Agent, end: impl Future<Output = ()>) {
    let executor = Executor::new(agent.node.clone(), agent.outbox.clone());
    let mut end = std::pin::pin!(end);
    let mut failures = 0;
    loop {
        let mut welcomed = false;
        let result = tokio::select! {
            result = talk(&mut agent, &executor, &mut welcomed) => result,
            () = &mut end => return,
        };
        agent.node.secrets.disconnected();
        failures = if welcomed { 1 } else { failures + 1 };
        let pause = rules::dial_pause(failures, random::number());
        match result {
            Ok(()) => tracing::info!("the control plane hung up; dialling again in {pause:?}"),
            Err(error) => tracing::warn!("{error:#}; dialling again in {pause:?}"),
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = &mut end => return,
        }
    }
}

async fn talk(agent: &mut Agent, executor: &Arc<Executor>, welcomed: &mut bool) -> Result<()> {
    let tls = trust::session_config(&agent.identity.ca, &agent.identity.pem)?;
    let dates = Dates { own: agent.identity.validity()?, now: clock::now_seconds() };
    let server = &agent.identity.profile.server;
    let mut connection = Connection::open(server, Arc::new(tls), dates).await?;
    let looked = agent.facts.wait_for(Option::is_some).await;
    looked.map(drop).context("looking at this machine")?;
    let ip = agent.ip.unwrap_or(connection.local());
    let facts = facts(agent, ip);
    let hello = AgentMessage::Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        facts: facts.clone(),
        origin: origin::next(&agent.data_dir),
    };
    connection.send(&Outgoing::of(hello, &agent.node.secrets)).await?;
    let heartbeat = timeout(WELCOME_PATIENCE, welcome(&mut connection, agent))
        .await
        .map_err(|_| anyhow!("the control plane did not answer hello"))??;
    *welcomed = true;
    tracing::info!(server = %agent.identity.profile.server, "connected");
    agent.outbox.reconnected();
    if let Err(error) = origin::welcomed(&agent.data_dir) {
        tracing::warn!("{error:#}");
    }
    agent.node.revive_known();
    let (answers, answered) = mpsc::channel(ANSWER_QUEUE);
    let readers = Readers::new(agent.node.clone(), answers.clone());
    let mut session = Session {
        agent,
        executor,
        connection,
        ip,
        said: Said { facts, observed: None, mark: None },
        answers,
        readers,
        renewal: None,
    };
    let result = session.converse(heartbeat, answered).await;
    session.connection.close().await;
    result
}

fn facts(agent: &Agent, ip: IpAddr) -> NodeFacts {
    let ours = ports::held_by(&agent.node.sight.borrow().units);
    let facts = agent.facts.borrow();
    facts.as_ref().map(|facts| facts.seen_at(ip, &ours)).unwrap_or_default()
}

/// Waits for the answer to hello; how often the control plane wants to hear from us.
async fn welcome(connection: &mut Connection, agent: &Agent) -> Result<Duration> {
    let owner = &agent.node.owner;
    loop {
        match connection.next().await?.ok_or_else(|| anyhow!("the control plane hung up"))? {
            Incoming::Sign => {}
            Incoming::Strange(why) => bail!("the control plane's answer is not understood: {why}"),
            Incoming::Message(message) => match *message {
                ControlMessage::Welcome { cluster, node, heartbeat_millis } => {
                    if cluster != owner.cluster || node != owner.node {
                        bail!(
                            "the control plane takes this node for {node} of {cluster}, and it is \
                             {} of {}; join again",
                            owner.node,
                            owner.cluster
                        );
                    }
                    let wanted = Duration::from_millis(heartbeat_millis);
                    return Ok(wanted.clamp(HEARTBEAT.0, HEARTBEAT.1));
                }
                ControlMessage::Refused { reason } => {
                    bail!("the control plane refuses this node: {reason}")
                }
                _ => bail!("the control plane did not answer hello with a welcome"),
            },
        }
    }
}

/// What the control plane was told last on this connection.
struct Said {
    facts: NodeFacts,
    observed: Option<ObservedNode>,
    /// The mark that was kept last.
    mark: Option<OrderMark>,
}

struct Session<'a> {
    agent: &'a mut Agent,
    executor: &'a Arc<Executor>,
    connection: Connection,
    ip: IpAddr,
    said: Said,
    /// Where tasks put what they answer: logs, and what runs.
    answers: mpsc::Sender<AgentMessage>,
    readers: Readers,
    /// The key of a certificate that was asked for.
    renewal: Option<String>,
}

impl Session<'_> {
    async fn converse(
        &mut self,
        heartbeat: Duration,
        mut answered: mpsc::Receiver<AgentMessage>,
    ) -> Result<()> {
        let node = self.agent.node.clone();
        let outbox = self.agent.outbox.clone();
        let mut sights = node.sight.subscribe();
        let mut facts = self.agent.facts.clone();
        let mut beats = interval(heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deadline = Instant::now() + heartbeat * SILENT_HEARTBEATS;
        let mut renew_at = Instant::now() + self.renewal_in()?;
        self.tell_observed(true).await?;
        self.send_reports().await?;
        self.ask_secrets().await?;
        loop {
            tokio::select! {
                incoming = self.connection.next() => {
                    deadline = Instant::now() + heartbeat * SILENT_HEARTBEATS;
                    match incoming? {
                        None => return Ok(()),
                        Some(incoming) => self.take(incoming).await?,
                    }
                }
                () = sleep_until(deadline) => {
                    bail!("the control plane was silent for {SILENT_HEARTBEATS} heartbeats");
                }
                _ = beats.tick() => {
                    let beat = AgentMessage::Heartbeat { clock_millis: Some(clock::now_millis()) };
                    self.send(beat).await?;
                    self.connection.ping().await?;
                }
                () = outbox.filled() => self.send_reports().await?,
                () = node.secrets.asked() => self.ask_secrets().await?,
                Ok(()) = sights.changed() => self.tell_observed(false).await?,
                Ok(()) = facts.changed() => self.tell_facts().await?,
                Some(answer) = answered.recv() => self.send(answer).await?,
                () = sleep_until(renew_at) => {
                    renew_at = Instant::now() + RENEW_AGAIN;
                    self.ask_certificate().await?;
                }
            }
        }
    }

    async fn take(&mut self, incoming: Incoming) -> Result<()> {
        let message = match incoming {
            Incoming::Message(message) => *message,
            Incoming::Sign => return Ok(()),
            Incoming::Strange(why) => {
                tracing::warn!("a message of the control plane is not understood: {why}");
                return Ok(());
            }
        };
        match message {
            ControlMessage::Run { deployment, step, mark, receipt } => {
                self.keep(mark);
                if let Some(receipt) = receipt.filter(|it| it.proof.len() <= MAX_PROOF) {
                    self.executor.keep(&step, receipt);
                }
                self.executor.begin(deployment, *step);
            }
            ControlMessage::Observe => {
                self.agent.look.notify_one();
                // Heartbeats go on while an engine that hangs is asked.
                let (node, answer) = (self.agent.node.clone(), self.answers.clone());
                tokio::spawn(async move {
                    let observed = report::fit(node.look().await.observed.clone(), REPORT);
                    // The connection may have ended first.
                    let _ = answer.send(AgentMessage::Observed { observed }).await;
                });
            }
            ControlMessage::Describe { instances } => {
                let (node, answer) = (&self.agent.node, self.answers.clone());
                let sight = node.sight.borrow().clone();
                let described = report::describe(&sight, &node.ledger(), &instances);
                tokio::spawn(async move {
                    for frame in report::frames(described) {
                        if answer.send(frame).await.is_err() {
                            return;
                        }
                    }
                });
            }
            ControlMessage::Secrets { request, values, error } => {
                self.agent.node.secrets.answer(request, values, error);
            }
            ControlMessage::ReadLogs { request, instance, tail, follow, after, credit } => {
                let wanted = Wanted { instance, tail, follow, after };
                self.readers.begin(request, wanted, credit);
            }
            ControlMessage::GrantLogs { request, credit } => self.readers.grant(request, credit),
            ControlMessage::StopLogs { request } => self.readers.stop(request),
            ControlMessage::Certificate { pem } => self.take_certificate(&pem),
            ControlMessage::Refused { reason } => {
                bail!("the control plane refuses this node: {reason}")
            }
            ControlMessage::Welcome { .. } => {}
        }
        Ok(())
    }

    /// Keeps the mark of an order. Without it the order is followed all the same: only that the
    /// records of the control plane are older than this node could then go unnoticed.
    fn keep(&mut self, mark: Option<OrderMark>) {
        let Some(mark) = mark.filter(|mark| self.said.mark.as_ref() != Some(mark)) else { return };
        match origin::keep(&self.agent.data_dir, &mark) {
            Ok(()) => self.said.mark = Some(mark),
            Err(error) => tracing::error!("keeping the mark of an order failed: {error:#}"),
        }
    }

    /// The one way on which anything is said.
    async fn send(&mut self, message: AgentMessage) -> Result<()> {
        self.connection.send(&Outgoing::of(message, &self.agent.node.secrets)).await
    }

    async fn tell_observed(&mut self, always: bool) -> Result<()> {
        let observed = self.agent.node.sight.borrow().observed.clone();
        if always || self.said.observed.as_ref() != Some(&observed) {
            self.said.observed = Some(observed.clone());
            let observed = report::fit(observed, REPORT);
            self.send(AgentMessage::Observed { observed }).await?;
        }
        Ok(())
    }

    async fn tell_facts(&mut self) -> Result<()> {
        let facts = facts(self.agent, self.ip);
        if self.said.facts != facts {
            self.said.facts = facts.clone();
            self.send(AgentMessage::Facts { facts }).await?;
        }
        Ok(())
    }

    async fn send_reports(&mut self) -> Result<()> {
        while let Some(report) = self.agent.outbox.first() {
            let message = AgentMessage::Step { report: report.clone() };
            self.send(message).await?;
            self.agent.outbox.sent(report);
        }
        Ok(())
    }

    async fn ask_secrets(&mut self) -> Result<()> {
        for question in self.agent.node.secrets.take_questions() {
            self.send(question).await?;
        }
        Ok(())
    }

    /// How long until half of the certificate's life is over.
    fn renewal_in(&self) -> Result<Duration> {
        let Validity { from, until } = self.agent.identity.validity()?;
        let half = from + (until - from) / 2;
        Ok(Duration::from_secs(u64::try_from(half - clock::now_seconds()).unwrap_or(0)))
    }

    async fn ask_certificate(&mut self) -> Result<()> {
        let (key, csr) = identity::request(&self.agent.node.owner.node)?;
        self.renewal = Some(key);
        self.send(AgentMessage::Renew { csr }).await
    }

    /// The next connection uses it; this one was let in already.
    fn take_certificate(&mut self, pem: &str) {
        let Some(key) = self.renewal.take() else {
            return;
        };
        let mut identity = self.agent.identity.clone();
        identity.pem = format!("{}\n{pem}", key.trim_end());
        let stored = trust::session_config(&identity.ca, &identity.pem)
            .and_then(|_| identity::save(&self.agent.data_dir, &identity));
        match stored {
            Ok(()) => {
                tracing::info!("the certificate of this node was renewed");
                self.agent.identity = identity;
            }
            Err(error) => tracing::error!("renewing the certificate failed: {error:#}"),
        }
    }
}
