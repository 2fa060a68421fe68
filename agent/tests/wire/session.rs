//! The real binary and what it says: hello, steps, secrets, logs, renewal, and dialling again.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use devnet_schema::{
    instance::{HealthSpec, InstanceSpec, Probe, Workload},
    observed::{HealthState, InstanceState, ObservedInstance, ObservedNode},
    quantity::Period,
    secret::{InTransit, Part, SecretRef, Text},
    step::{Act, Step, StepReport, StepState},
    wire::{AgentMessage, ControlMessage, Described, LogEnd, LogEndReason},
};

use crate::plane::{Ca, Plane, Session, welcome};

const HOUR: Duration = Duration::from_secs(3600);

/// An agent that is killed when the test is over; what it ran is ended by the test.
struct Agent(Child);

impl Agent {
    fn start(plane: &Plane, ca: &Ca, dir: &Path, more: &[&str]) -> Self {
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(dir.join("agent.log"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_devnet-agent"))
            .args(["up", "--name", "n1", "--no-docker", "--log", "trace", "--server"])
            .arg(plane.url())
            .arg("--data-dir")
            .arg(dir.join("data"))
            .args(more)
            .env("DEVNET_TOKEN", ca.token())
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn terminate(&mut self) {
        let pid = i32::try_from(self.0.id()).unwrap();
        // SAFETY: plain system call on a child that was not waited for.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spec(script: &str) -> InstanceSpec {
    let argv = ["/bin/sh", "-c", script].map(Text::plain).to_vec();
    InstanceSpec {
        cluster: "home".parse().unwrap(),
        id: "web[0]".parse().unwrap(),
        node: "n1".parse().unwrap(),
        workload: Workload::Process { argv },
        env: BTreeMap::new(),
        files: BTreeMap::new(),
        ports: vec![],
        volumes: vec![],
        limits: Default::default(),
        gpus: vec![],
        health: None,
        stop: Default::default(),
        run_once: false,
        schedule: None,
        protect: false,
    }
}

fn run(generation: u64, act: Act) -> ControlMessage {
    let step = Step {
        id: format!("web[0]/{}", act.word()),
        instance: "web[0]".parse().unwrap(),
        node: "n1".parse().unwrap(),
        generation,
        act,
        after: vec![],
    };
    ControlMessage::Run {
        deployment: format!("d{generation}"),
        step: Box::new(step),
        mark: None,
        receipt: None,
    }
}

fn ensure(spec: &InstanceSpec) -> Act {
    Act::Ensure { spec: Box::new(spec.clone()) }
}

/// The end of the step that runs.
async fn end(session: &mut Session) -> StepReport {
    let ended = session
        .until(|message| match message {
            AgentMessage::Step { report } => !matches!(report.state, StepState::Running { .. }),
            _ => false,
        })
        .await;
    let AgentMessage::Step { report } = ended else { unreachable!() };
    report
}

async fn succeeds(session: &mut Session, message: ControlMessage) {
    session.say(&message).await;
    let report = end(session).await;
    assert!(matches!(report.state, StepState::Succeeded { .. }), "{report:?}");
}

async fn sees(
    session: &mut Session,
    wanted: impl Fn(&ObservedNode) -> bool,
) -> Vec<ObservedInstance> {
    let seen = session
        .until(|message| {
            let AgentMessage::Observed { observed } = message else {
                return false;
            };
            observed.complete && wanted(observed)
        })
        .await;
    let AgentMessage::Observed { observed } = seen else { unreachable!() };
    observed.instances
}

/// Whether a process runs. One that ended and was not waited for by its parent does not.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn is_healthy(observed: &ObservedNode) -> bool {
    observed
        .instances
        .iter()
        .any(|one| one.state == InstanceState::Running && one.health == HealthState::Healthy)
}

#[tokio::test]
async fn an_agent_that_is_killed_is_followed_by_one_that_adopts_what_runs() {
    let (ca, dir) = (Ca::new("ours"), tempfile::tempdir().unwrap());
    let plane = Plane::of(&ca).await;
    let mut agent = Agent::start(&plane, &ca, dir.path(), &[]);
    plane.admit(&ca, HOUR, HOUR).await;
    let mut session = plane.welcome().await;
    sees(&mut session, |observed| observed.instances.is_empty()).await;
    session
        .until(|message| matches!(message, AgentMessage::Heartbeat { clock_millis: Some(_) }))
        .await;
    let spec = spec("echo $$ > pid; echo hello; exec sleep 1000");
    succeeds(&mut session, run(1, ensure(&spec))).await;
    let timeout = Period::seconds(10);
    succeeds(&mut session, run(1, Act::AwaitHealthy { timeout })).await;
    let pid_file = dir.path().join("data/instances/web-0/work/pid");
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    agent.kill();
    drop(session);
    let mut agent = Agent::start(&plane, &ca, dir.path(), &[]);
    let mut session = plane.welcome().await;
    let seen = sees(&mut session, is_healthy).await;
    assert_eq!((seen[0].generation, &seen[0].digest), (1, &spec.digest()));
    assert_eq!(seen[0].spec, None, "reports say digests");
    let instances = vec!["gone[0]".parse().unwrap(), spec.id.clone()];
    session.say(&ControlMessage::Describe { instances }).await;
    let told = session.until(|one| matches!(one, AgentMessage::Specs { .. })).await;
    let described = Described {
        instance: spec.id.clone(),
        digest: spec.digest(),
        spec: Some(Box::new(spec.clone())),
    };
    assert_eq!(told, AgentMessage::Specs { specs: vec![described] });
    succeeds(&mut session, run(1, ensure(&spec))).await;
    assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), pid, "no second was started");
    let stale = run(0, ensure(&spec));
    session.say(&stale).await;
    let report = end(&mut session).await;
    assert!(matches!(&report.state, StepState::Failed { error } if error.contains("older")));
    succeeds(&mut session, run(2, Act::Remove)).await;
    sees(&mut session, |observed| observed.instances.is_empty()).await;
    assert!(!lives(pid.trim()));
    agent.terminate();
}

#[tokio::test]
async fn what_happened_without_a_connection_is_told_on_the_next() {
    let (ca, dir) = (Ca::new("ours"), tempfile::tempdir().unwrap());
    let plane = Plane::of(&ca).await;
    let mut agent = Agent::start(&plane, &ca, dir.path(), &["--stop-on-exit"]);
    plane.admit(&ca, HOUR, HOUR).await;
    let mut session = plane.welcome().await;
    let spec = spec("exec sleep 1000");
    succeeds(&mut session, run(1, ensure(&spec))).await;
    let timeout = Period::seconds(10);
    session.say(&run(1, Act::AwaitHealthy { timeout })).await;
    // It was received: something is said about it, or was already.
    session
        .until(|one| {
            matches!(one, AgentMessage::Step { report } if report.step == "web[0]/await-healthy")
        })
        .await;
    drop(session);
    let mut session = plane.welcome().await;
    let mut ended = std::collections::BTreeSet::new();
    let mut seen = None;
    while ended.len() < 2 || seen != Some(1) {
        match session.next().await.expect("the agent stays") {
            AgentMessage::Step { report }
                if matches!(report.state, StepState::Succeeded { .. }) =>
            {
                ended.insert(report.step);
            }
            AgentMessage::Observed { observed } => {
                seen = observed.instances.first().map(|one| one.generation);
            }
            _ => {}
        }
    }
    let steps: Vec<_> = ended.iter().map(String::as_str).collect();
    assert_eq!(steps, ["web[0]/await-healthy", "web[0]/start"]);
    drop(session);
    agent.terminate();
    let record = dir.path().join("data/instances/web-0/unit.json");
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    let pid = record["process"]["pid"].to_string();
    assert!(!lives(&pid), "it was told to end what it ran");
}

#[tokio::test]
async fn a_secret_reaches_its_process_and_nothing_else() {
    let (ca, dir) = (Ca::new("ours"), tempfile::tempdir().unwrap());
    let plane = Plane::of(&ca).await;
    let mut agent = Agent::start(&plane, &ca, dir.path(), &["--stop-on-exit"]);
    plane.admit(&ca, HOUR, HOUR).await;
    let mut session = plane.welcome().await;
    let mut spec = spec("test ${#PASSWORD} = 9 && echo it fits; exec sleep 1000");
    let secret = SecretRef { name: "pw".parse().unwrap(), version: 3 };
    let password = Text(vec![Part::Plain("x-".into()), Part::Secret(secret.clone())]);
    spec.env.insert("PASSWORD".into(), password);
    session.say(&run(1, ensure(&spec))).await;
    let asked = session.until(|one| matches!(one, AgentMessage::NeedSecrets { .. })).await;
    let AgentMessage::NeedSecrets { request, instance, secrets } = asked else { unreachable!() };
    assert_eq!((instance, secrets), (spec.id.clone(), vec![secret]));
    let values = [("pw".to_owned(), InTransit::new("hunter2".into()))].into();
    session.say(&ControlMessage::Secrets { request, values, error: None }).await;
    let report = end(&mut session).await;
    assert!(matches!(report.state, StepState::Succeeded { .. }), "{report:?}");
    reads_its_log(&mut session).await;
    sees(&mut session, is_healthy).await;
    drop(session);
    agent.terminate();
    assert_eq!(files_with(dir.path(), b"hunter2"), Vec::<String>::new());
    assert_eq!(files_with(dir.path(), b"s3cret-of-the-token"), Vec::<String>::new());
    assert!(!files_with(dir.path(), b"it fits").is_empty(), "the search finds what is there");
    let log = std::fs::read_to_string(dir.path().join("agent.log")).unwrap();
    assert!(log.contains("start web[0]"), "it was kept: {log}");
}

/// The health command of a unit prints a value in many forms; a library writes frames at `trace`.
#[tokio::test]
async fn no_form_of_a_secret_leaves_in_a_message_or_in_the_log() {
    let (ca, dir) = (Ca::new("ours"), tempfile::tempdir().unwrap());
    let plane = Plane::of(&ca).await;
    let mut agent = Agent::start(&plane, &ca, dir.path(), &["--stop-on-exit"]);
    plane.admit(&ca, HOUR, HOUR).await;
    let mut session = plane.welcome().await;
    let mut spec = spec("exec sleep 1000");
    let secret = SecretRef { name: "pw".parse().unwrap(), version: 1 };
    spec.env.insert("PASSWORD".into(), Text(vec![Part::Secret(secret)]));
    let script = "import base64,json,os,shlex,sys,urllib.parse as u; v=os.environ['PASSWORD']; \
        b=v.encode(); print(v, v.upper(), base64.b64encode(b).decode(), b.hex(), u.quote(v), \
        shlex.quote(v), json.dumps(v), base64.b64encode(b'u:'+b).decode(), file=sys.stderr); \
        sys.exit(3)";
    let argv = ["python3", "-c", script].map(str::to_owned).to_vec();
    spec.health = Some(HealthSpec {
        probe: Probe::Exec { argv },
        interval: Period::seconds(1),
        timeout: Period::seconds(20),
        retries: 1,
        start_period: Period::seconds(0),
    });
    session.say(&run(1, ensure(&spec))).await;
    let asked = session.until(|one| matches!(one, AgentMessage::NeedSecrets { .. })).await;
    let AgentMessage::NeedSecrets { request, .. } = asked else { unreachable!() };
    let value = "c4n4ry pa$$w0rd'\"x";
    let values = [("pw".to_owned(), InTransit::new(value.into()))].into();
    session.say(&ControlMessage::Secrets { request, values, error: None }).await;
    let message = |observed: &ObservedNode| observed.instances.first()?.message.clone();
    let told = |observed: &ObservedNode| {
        message(observed).is_some_and(|text| text.contains("exited with code 3"))
    };
    let seen = sees(&mut session, told).await;
    let said = seen[0].message.clone().unwrap();
    assert_eq!(said.matches("(sensitive value)").count(), 8, "{said}");
    drop(session);
    agent.terminate();
    let log = std::fs::read_to_string(dir.path().join("agent.log")).unwrap().to_lowercase();
    for text in [said.to_lowercase(), log] {
        for part in ["c4n4ry", "w0rd", "yzrunhj5", "63346e347279"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
    }
}

/// Follows the log until its first line came.
async fn reads_its_log(session: &mut Session) {
    let instance = "web[0]".parse().unwrap();
    let after = None;
    let read = ControlMessage::ReadLogs {
        request: 9,
        instance,
        tail: 5,
        follow: true,
        after,
        credit: 9999,
    };
    session.say(&read).await;
    let logs = session.until(|one| matches!(one, AgentMessage::Logs { .. })).await;
    let AgentMessage::Logs { request: 9, batch } = logs else { panic!("{logs:?}") };
    assert_eq!(batch.lines.first().map(|line| line.text.as_str()), Some("it fits"));
    session.say(&ControlMessage::StopLogs { request: 9 }).await;
}

fn files_with(dir: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if std::fs::read(&path).unwrap().windows(bytes.len()).any(|part| part == bytes) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn a_certificate_past_half_of_its_life_is_renewed_and_then_used() {
    let (ca, dir) = (Ca::new("ours"), tempfile::tempdir().unwrap());
    let plane = Plane::of(&ca).await;
    let _agent = Agent::start(&plane, &ca, dir.path(), &[]);
    plane.admit(&ca, 2 * HOUR, HOUR).await;
    let mut session = plane.welcome().await;
    let asked = session.until(|one| matches!(one, AgentMessage::Renew { .. })).await;
    let AgentMessage::Renew { csr } = asked else { unreachable!() };
    let before = session.certificate.clone();
    let pem = ca.sign(&csr, HOUR, 2 * HOUR);
    session.say(&ControlMessage::Certificate { pem }).await;
    // The answer to this comes after the certificate was taken.
    let instance = "none[0]".parse().unwrap();
    let (after, credit) = (None, 9999);
    let read =
        ControlMessage::ReadLogs { request: 1, instance, tail: 1, follow: false, after, credit };
    session.say(&read).await;
    let refused = session.until(|one| matches!(one, AgentMessage::Logs { .. })).await;
    let AgentMessage::Logs { batch, .. } = refused else { panic!() };
    let LogEnd { reason: LogEndReason::Failed, message } = batch.end.unwrap() else { panic!() };
    assert!(message.contains("none[0] does not run on node n1"), "{message}");
    drop(session);
    let mut session = plane.welcome().await;
    assert_ne!(session.certificate, before);
    sees(&mut session, |_| true).await;
}

#[tokio::test]
async fn another_clusters_control_plane_learns_nothing_of_what_runs() {
    let (ca, dir) = (Ca::new("ours"), tempfile::tempdir().unwrap());
    let plane = Plane::of(&ca).await;
    let _agent = Agent::start(&plane, &ca, dir.path(), &[]);
    plane.admit(&ca, HOUR, HOUR).await;
    let mut session = plane.session().await;
    assert!(matches!(session.next().await, Some(AgentMessage::Hello { .. })));
    session.say(&welcome("other")).await;
    assert_eq!(session.next().await, None, "the agent hangs up");
}

#[tokio::test]
async fn a_silent_control_plane_is_left() {
    let (ca, dir) = (Ca::new("ours"), tempfile::tempdir().unwrap());
    let plane = Plane::of(&ca).await;
    let _agent = Agent::start(&plane, &ca, dir.path(), &[]);
    plane.admit(&ca, HOUR, HOUR).await;
    // This one is not read from, so it does not even answer pings.
    let silent = plane.welcome().await;
    let mut next = plane.welcome().await;
    sees(&mut next, |_| true).await;
    drop(silent);
}
