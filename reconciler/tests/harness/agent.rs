//! An agent that joins, connects and runs steps in memory.
//!
//! Knows the wire protocol as docs/protocol.md has it. Refuses to run anything: a unit is an entry
//! in a map, which outlives the connection as a container would.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use devnet_reconciler::app::Running;
use devnet_schema::{
    digest::Digest,
    fleet::{Availability, Disk, NodeFacts},
    instance::{InstanceSpec, Runtime},
    name::{ClusterName, InstanceId, NodeName},
    observed::{HealthState, HeldVolume, ObservedInstance, ObservedNode},
    secret::{InTransit, SecretRef},
    step::{Act, Step, StepReport, StepState},
    wire::{
        AGENT_PATH, AgentMessage, ControlMessage, Described, LogBatch, LogEndReason, LogLine,
        OrderMark, Origin, PROTOCOL, Receipt, RegisterRequest, RegisterResponse,
    },
};
use futures_util::{SinkExt, StreamExt};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tokio_tungstenite::{Connector, connect_async_tls_with_config, tungstenite::Message};

use super::{Plane, logs::Log, until};

/// What a machine keeps whether or not anything is connected.
#[derive(Default)]
pub struct Machine {
    pub units: BTreeMap<InstanceId, (InstanceSpec, u64)>,
    /// Steps that ran, in order.
    pub steps: Vec<String>,
    /// Steps that fail, by a part of their id.
    pub failing: BTreeSet<String>,
    /// Steps that are never answered, by a part of their id.
    pub hanging: BTreeSet<String>,
    /// Steps that run and are never answered, nor reported, by a part of their id.
    pub mute: BTreeSet<String>,
    /// Whether nothing that runs has a health yet.
    pub warming_up: bool,
    /// Units that never serve, by a part of what they run.
    pub sick: BTreeSet<String>,
    /// Who served and was replaced or removed, in order.
    pub ended_well: Vec<InstanceId>,
    /// Answers to needs for secrets.
    pub secrets: Vec<Result<BTreeMap<String, String>, String>>,
    pub cluster: Option<ClusterName>,
    pub refused: Option<String>,
    /// Whether reports are complete.
    pub partial: bool,
    /// What it says that units are, in the place of what they are.
    pub told: BTreeMap<InstanceId, (Digest, Option<InstanceSpec>)>,
    /// What its clock says, in milliseconds since 1970; it stands still.
    pub clock_millis: Option<i64>,
    /// Instances that it was asked to describe, in order.
    pub described: Vec<InstanceId>,
    /// What it was told last of each instance, and the mark that came with it.
    pub accepted: BTreeMap<InstanceId, u64>,
    pub mark: Option<OrderMark>,
    /// What came with the orders of what runs.
    pub receipts: BTreeMap<InstanceId, Vec<Receipt>>,
    /// The volumes that it keeps.
    pub volumes: BTreeSet<HeldVolume>,
    /// What every instance has written; each says hello when there is nothing.
    pub log: Log,
    /// Said in the place of hello.
    pub says: Vec<LogLine>,
    /// Logs that it was asked for, by request.
    pub log_requests: Vec<(u64, InstanceId)>,
    /// How many new certificates it was given.
    pub certificates: usize,
}

impl Machine {
    fn is_sick(&self, spec: &InstanceSpec) -> bool {
        let runs = format!("{:?}", spec.workload);
        self.sick.iter().any(|part| runs.contains(part))
    }

    /// A unit is about to end.
    fn ends(&mut self, id: &InstanceId) {
        if self.units.get(id).is_some_and(|(spec, _)| !self.is_sick(spec)) {
            self.ended_well.push(id.clone());
        }
    }
}

/// One node.
pub struct Agent {
    pub name: NodeName,
    pub id: String,
    pub machine: Arc<Mutex<Machine>>,
    certificate: String,
    key: String,
    ca: String,
    outgoing: Option<mpsc::Sender<AgentMessage>>,
    session: Option<JoinHandle<()>>,
    /// How often it came.
    pub sessions: u64,
    /// Whether its disk takes the count.
    pub counts: bool,
    /// Told when hello may be said, where that waits.
    hold: Option<Arc<Notify>>,
}

impl Agent {
    /// Joins and connects.
    pub async fn join(plane: &Plane, name: &str) -> Self {
        let mut agent = Self::register(plane, name).await;
        agent.connect(&plane.running).await;
        agent.online(plane).await;
        agent
    }

    /// Joins only.
    pub async fn register(plane: &Plane, name: &str) -> Self {
        let name: NodeName = name.parse().unwrap();
        let token = plane.running.join_token(Some(name.clone())).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(Vec::new()).unwrap();
        let request = RegisterRequest {
            token: InTransit::new(token.expose().clone()),
            name: name.clone(),
            csr: params.serialize_request(&key).unwrap().pem().unwrap(),
            replace: false,
        };
        let response = plane
            .bare(reqwest::Method::POST, "/api/v1/nodes/register")
            .body(serde_json::to_string(&request).unwrap())
            .send()
            .await
            .unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert_eq!(status.as_u16(), 201, "{text}");
        let answer: RegisterResponse = serde_json::from_str(&text).unwrap();
        Self {
            name,
            id: answer.id,
            machine: Arc::default(),
            certificate: answer.certificate,
            key: key.serialize_pem(),
            ca: answer.ca,
            outgoing: None,
            session: None,
            sessions: 0,
            counts: true,
            hold: None,
        }
    }

    pub fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap()
    }

    /// A request for a new certificate.
    pub fn csr(&self) -> String {
        let key = KeyPair::from_pem(&self.key).unwrap();
        let params = CertificateParams::new(Vec::new()).unwrap();
        params.serialize_request(&key).unwrap().pem().unwrap()
    }

    /// PEM of the certificate and its key, for HTTP calls in the node's name.
    pub fn identity(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }

    fn tls(&self) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.as_bytes()).unwrap()).unwrap();
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap()
    }

    /// A copy of its data directory on another machine.
    pub fn copy(&self) -> Self {
        Self {
            name: self.name.clone(),
            id: self.id.clone(),
            machine: Arc::default(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            ca: self.ca.clone(),
            outgoing: None,
            session: None,
            sessions: self.sessions,
            counts: self.counts,
            hold: None,
        }
    }

    /// Opens a connection, and says hello only when it is told to.
    pub async fn hold_hello(&mut self, running: &Running) {
        self.hold = Some(Arc::default());
        self.connect(running).await;
    }

    /// Says hello on the connection that waits.
    pub async fn say_hello(&self) {
        self.hold.as_ref().unwrap().notify_one();
    }

    /// Opens a session; the one before goes on until the control plane ends it.
    pub async fn connect(&mut self, running: &Running) {
        self.try_connect(running).await.unwrap();
    }

    /// Opens a session, or says why the control plane does not let it.
    pub async fn try_connect(
        &mut self,
        running: &Running,
    ) -> Result<(), tokio_tungstenite::tungstenite::Error> {
        let url = format!("wss://{}{AGENT_PATH}", running.addr());
        let connector = Connector::Rustls(Arc::new(self.tls()));
        let (socket, _) = connect_async_tls_with_config(url, None, true, Some(connector)).await?;
        let (mut sink, mut stream) = socket.split();
        let (outgoing, mut queue) = mpsc::channel::<AgentMessage>(64);
        let hold = self.hold.clone();
        let machine = Arc::clone(&self.machine);
        let name = self.name.clone();
        self.outgoing = Some(outgoing);
        self.sessions += 1;
        let hello = AgentMessage::Hello {
            protocol: PROTOCOL,
            version: "test".to_owned(),
            facts: facts(),
            origin: Origin {
                machine: format!("machine of {}", self.name),
                boot: "b".to_owned(),
                session: if self.counts { self.sessions } else { 0 },
                mark: self.machine().mark.clone(),
            },
        };
        self.session = Some(tokio::spawn(async move {
            let mut heartbeat = tokio::time::interval(std::time::Duration::from_millis(200));
            let send = |message: &AgentMessage| {
                Message::Text(serde_json::to_string(message).unwrap().into())
            };
            if let Some(hold) = hold {
                hold.notified().await;
            }
            if sink.send(send(&hello)).await.is_err() {
                return;
            }
            loop {
                tokio::select! {
                    _ = heartbeat.tick() => {
                        let clock_millis = machine.lock().unwrap().clock_millis;
                        let beat = AgentMessage::Heartbeat { clock_millis };
                        if sink.send(send(&beat)).await.is_err() { return }
                    }
                    Some(message) = queue.recv() => {
                        if sink.send(send(&message)).await.is_err() { return }
                    }
                    frame = stream.next() => match frame {
                        Some(Ok(Message::Text(text))) => {
                            let message = serde_json::from_str(&text).unwrap();
                            // Not into the queue: it may be full, and only this task empties it.
                            for answer in take(&machine, &name, message) {
                                if sink.send(send(&answer)).await.is_err() { return }
                            }
                        }
                        Some(Ok(_)) => {}
                        _ => return,
                    },
                }
            }
        }));
        Ok(())
    }

    pub async fn online(&self, plane: &Plane) {
        self.status(plane, "online").await;
    }

    pub async fn status(&self, plane: &Plane, wanted: &str) {
        until(&format!("{} is {wanted}", self.name), || async {
            let status = plane.status().await;
            let row = status.nodes.into_iter().find(|row| row.name == self.name)?;
            let word = serde_json::to_value(row.status).unwrap();
            (word.as_str() == Some(wanted)).then_some(())
        })
        .await;
    }

    /// Cuts the connection without a word, as a power cut does.
    pub fn cut(&mut self) {
        if let Some(session) = self.session.take() {
            session.abort();
        }
        self.outgoing = None;
    }

    /// Waits until the other side ended the session.
    pub async fn ended(&mut self) {
        if let Some(session) = self.session.take() {
            session.await.unwrap();
        }
    }

    pub async fn say(&self, message: AgentMessage) {
        self.outgoing.as_ref().unwrap().send(message).await.unwrap();
    }

    /// Tells what runs, now.
    pub async fn report(&self) {
        let observed = observed(&self.machine(), &self.name);
        self.say(AgentMessage::Observed { observed }).await;
    }

    /// Asks for secrets in the name of an instance and returns the answer.
    pub async fn need(
        &self,
        instance: &str,
        secret: &str,
        version: u64,
    ) -> Result<BTreeMap<String, String>, String> {
        let before = self.machine().secrets.len();
        self.say(AgentMessage::NeedSecrets {
            request: 7,
            instance: instance.parse().unwrap(),
            secrets: vec![SecretRef { name: secret.parse().unwrap(), version }],
        })
        .await;
        until("the need is answered", || async { self.machine().secrets.get(before).cloned() })
            .await
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.cut();
    }
}

pub fn facts() -> NodeFacts {
    let there = || Availability { available: true, ..Availability::default() };
    NodeFacts {
        ip: "127.0.0.1".to_owned(),
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        cpu_count: 8,
        total_memory_mb: 16 << 10,
        disks: vec![Disk { mount: "/".to_owned(), total_mb: 1 << 20, free_mb: 1 << 19 }],
        docker: there(),
        process: there(),
        ..NodeFacts::default()
    }
}

pub fn observed(machine: &Machine, node: &NodeName) -> ObservedNode {
    let instances = machine.units.values().map(|(spec, generation)| {
        let seen = ObservedInstance::running(Box::new(spec.clone()), *generation);
        let health = match (machine.is_sick(spec), machine.warming_up) {
            (true, _) => HealthState::Unhealthy,
            (false, true) => HealthState::Starting,
            (false, false) => seen.health,
        };
        ObservedInstance { node: node.clone(), health, spec: None, ..seen }
    });
    let instances = if machine.partial { Vec::new() } else { instances.collect() };
    ObservedNode {
        complete: !machine.partial,
        problem: None,
        instances,
        accepted: machine.accepted.clone(),
        receipts: machine.receipts.clone(),
        volumes: machine.volumes.iter().cloned().collect(),
        shared: Vec::new(),
        volumes_of: vec![Runtime::Docker, Runtime::Process],
    }
}

fn take(machine: &Mutex<Machine>, node: &NodeName, message: ControlMessage) -> Vec<AgentMessage> {
    let mut machine = machine.lock().unwrap();
    match message {
        ControlMessage::Welcome { cluster, .. } => {
            machine.cluster = Some(cluster);
            Vec::new()
        }
        ControlMessage::Refused { reason } => {
            machine.refused = Some(reason);
            Vec::new()
        }
        ControlMessage::Run { deployment, step, mark, receipt } => {
            machine.mark = mark;
            if let Some(receipt) = receipt {
                machine.receipts.insert(step.instance.clone(), vec![receipt]);
            }
            run(&mut machine, node, &deployment, &step)
        }
        ControlMessage::Observe => {
            vec![AgentMessage::Observed { observed: observed(&machine, node) }]
        }
        ControlMessage::Describe { instances } => {
            machine.described.extend(instances.iter().cloned());
            let told = instances.into_iter().filter_map(|instance| {
                if let Some((digest, spec)) = machine.told.get(&instance) {
                    let (digest, spec) = (digest.clone(), spec.clone().map(Box::new));
                    return Some(Described { instance, digest, spec });
                }
                let (spec, _) = machine.units.get(&instance)?;
                let (digest, spec) = (spec.digest(), Some(Box::new(spec.clone())));
                Some(Described { instance, digest, spec })
            });
            vec![AgentMessage::Specs { specs: told.collect() }]
        }
        ControlMessage::Secrets { values, error, .. } => {
            let values = values.into_iter().map(|(name, v)| (name, v.expose().to_owned()));
            machine.secrets.push(error.map_or_else(|| Ok(values.collect()), Err));
            Vec::new()
        }
        ControlMessage::ReadLogs { request, instance, follow, after, credit, .. } => {
            machine.log_requests.push((request, instance.clone()));
            if machine.log.lines > 0 {
                return machine.log.begin(request, after, credit, follow);
            }
            let mut lines = machine.says.clone();
            if lines.is_empty() {
                let (stream, text) = ("stdout".to_owned(), format!("hello from {instance}"));
                lines.push(LogLine { stream, text, ..LogLine::default() });
            }
            let batch = LogBatch { lines, ..LogBatch::end(LogEndReason::Complete, "") };
            vec![AgentMessage::Logs { request, batch }]
        }
        ControlMessage::GrantLogs { request, credit } => machine.log.grant(request, credit),
        ControlMessage::Certificate { .. } => {
            machine.certificates += 1;
            Vec::new()
        }
        ControlMessage::StopLogs { .. } => Vec::new(),
    }
}

fn run(machine: &mut Machine, node: &NodeName, deployment: &str, step: &Step) -> Vec<AgentMessage> {
    machine.steps.push(step.id.clone());
    let named = |set: &BTreeSet<String>| set.iter().any(|part| step.id.contains(part));
    if named(&machine.hanging) {
        return Vec::new();
    }
    let report = |state| AgentMessage::Step {
        report: StepReport { deployment: deployment.to_owned(), step: step.id.clone(), state },
    };
    let mute = named(&machine.mute);
    if named(&machine.failing) {
        return vec![report(StepState::Failed { error: "told to fail".to_owned() })];
    }
    match &step.act {
        Act::Ensure { spec } => {
            machine.ends(&spec.id);
            machine.accepted.insert(spec.id.clone(), step.generation);
            let runtime = spec.workload.runtime();
            for it in spec.volumes.iter().filter(|it| it.project.is_none()) {
                let (instance, name) = (it.owner(&spec.id).clone(), it.name.clone());
                machine.volumes.retain(|it| (&it.instance, &it.name) != (&instance, &name));
                let user = (instance != spec.id).then(|| spec.id.clone());
                machine.volumes.insert(HeldVolume { instance, name, runtime, user });
            }
            machine.units.insert(spec.id.clone(), ((**spec).clone(), step.generation));
        }
        Act::Remove => {
            machine.ends(&step.instance);
            machine.accepted.insert(step.instance.clone(), step.generation);
            machine.units.remove(&step.instance);
        }
        Act::AwaitHealthy { .. }
            if machine.units.get(&step.instance).is_some_and(|it| machine.is_sick(&it.0)) =>
        {
            let error = format!("{} is unhealthy", step.instance);
            return vec![report(StepState::Failed { error })];
        }
        Act::Prepare { .. } | Act::AwaitHealthy { .. } => {}
    }
    if mute {
        return Vec::new();
    }
    vec![
        report(StepState::Running { message: "at it".to_owned() }),
        AgentMessage::Observed { observed: observed(machine, node) },
        report(StepState::Succeeded { message: String::new() }),
    ]
}
