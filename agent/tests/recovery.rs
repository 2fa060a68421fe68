//! A node whose container engine lists slowly or never: its processes are adopted all the same, and
//! nothing of it is started twice, whatever the session asks meanwhile.
//!
//! Knows a container engine of a few lines and `/bin/sh`.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use devnet_agent::{
    config::base_env,
    driver::{Driver, Ground, Job, Owner, Progress, docker::DockerDriver, process::ProcessDriver},
    execute::Executor,
    ledger::{Content, Entry, Ledger},
    node::Node,
    outbox::Outbox,
    secrets::Secrets,
};
use devnet_schema::{
    instance::{ContainerSpec, InstanceSpec, Workload},
    observed::{InstanceState, ObservedNode},
    secret::Text,
    step::{Act, Step, StepState},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::{Notify, watch},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// An engine that says at once what it is, and lists its containers (none) when it is let.
async fn engine(socket: &Path) -> watch::Sender<bool> {
    let listener = UnixListener::bind(socket).unwrap();
    let lists = watch::Sender::new(false);
    let receiver = lists.subscribe();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, receiver.clone()));
        }
    });
    lists
}

async fn answer(mut stream: UnixStream, mut lists: watch::Receiver<bool>) {
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
                return;
            }
        }
        let request = String::from_utf8_lossy(&request).into_owned();
        let (status, body) = if request.contains("/version") {
            ("200 OK", r#"{"Version":"20.10.24","Components":[]}"#)
        } else if request.contains("/info") {
            ("200 OK", "{}")
        } else if request.contains("/volumes") {
            ("200 OK", r#"{"Volumes":[]}"#)
        } else if request.contains("/containers/json") {
            if lists.wait_for(|lists| *lists).await.is_err() {
                return std::future::pending().await;
            }
            ("200 OK", "[]")
        } else if request.contains("/events") {
            // Nothing happens here.
            return std::future::pending().await;
        } else {
            ("404 Not Found", r#"{"message":"this engine has nothing"}"#)
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\
             \r\n\r\n{body}"
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn spec(id: &str, workload: Workload) -> InstanceSpec {
    InstanceSpec {
        cluster: "home".parse().unwrap(),
        id: id.parse().unwrap(),
        node: "n1".parse().unwrap(),
        workload,
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

fn process(dir: &Path) -> InstanceSpec {
    let script = format!("echo $$ >> {}/pids; exec sleep 1000", dir.display());
    let argv = ["/bin/sh", "-c", &script].map(Text::plain).to_vec();
    spec("web[0]", Workload::Process { argv })
}

fn container() -> InstanceSpec {
    let container = ContainerSpec { image: "nginx:1.22".into(), ..ContainerSpec::default() };
    spec("db[0]", Workload::Container(container))
}

fn ground(dir: &Path) -> Ground {
    Ground {
        owner: Owner { cluster: "home".parse().unwrap(), node: "n1".parse().unwrap() },
        data_dir: dir.join("data"),
        volatile_dir: dir.join("volatile"),
        secrets: Arc::new(Secrets::default()),
        changed: Arc::new(Notify::new()),
        stop_on_exit: false,
    }
}

/// An agent starts the process and is gone; the ledger has it, and a container.
fn an_earlier_agent(dir: &Path) {
    let ground = ground(dir);
    fs::create_dir_all(&ground.data_dir).unwrap();
    let mut ledger = Ledger::open(&ground.data_dir).unwrap();
    for spec in [process(dir), container()] {
        let content =
            Content::Present { digest: spec.digest(), spec: Some(Box::new(spec.clone())) };
        ledger.put(spec.id.clone(), Entry { generation: 1, content }, 0).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let spec = Arc::new(process(dir));
        let digest = spec.digest();
        let job = Job { spec, generation: 1, digest, progress: Progress::none() };
        ProcessDriver::new(ground, base_env()).ensure(job).await.unwrap();
        until("the first copy", async || living(dir).len() == 1).await;
    });
}

fn living(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("pids")).unwrap_or_default();
    let lives = |pid: &&str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    };
    text.lines().filter(lives).map(str::to_owned).collect()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let asked = timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(asked.await.is_ok(), "{what}, in time");
}

async fn sees(node: &Node, wanted: impl Fn(&ObservedNode) -> bool) -> ObservedNode {
    let mut sights = node.sight.subscribe();
    let seen = sights.wait_for(|sight| wanted(&sight.observed));
    timeout(PATIENCE, seen).await.expect("it is seen in time").unwrap().observed.clone()
}

fn runs(observed: &ObservedNode, id: &str) -> bool {
    let runs = |state| state == InstanceState::Running;
    observed.instances.iter().any(|one| one.instance().to_string() == id && runs(one.state))
}

#[test]
fn an_engine_that_lists_slowly_or_never_holds_up_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    an_earlier_agent(dir.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ground = ground(dir.path());
        let socket = dir.path().join("engine.sock");
        let lists = engine(&socket).await;
        let processes = Arc::new(ProcessDriver::new(ground.clone(), base_env()));
        let drivers: Vec<Arc<dyn Driver>> =
            vec![DockerDriver::new(ground.clone(), vec![socket]), processes.clone()];
        let ledger = Ledger::open(&ground.data_dir).unwrap();
        let Ground { owner, secrets, changed, .. } = ground;
        let table = devnet_agent::schedule::Timetable::open(&ground.data_dir).unwrap();
        let node = Node::new(owner, drivers, (ledger, table), secrets, changed);
        // The session may be there before anything was looked at, and it asks at once.
        node.revive_known();
        let watching = tokio::spawn(node.clone().watch());

        let seen = sees(&node, |observed| runs(observed, "web[0]")).await;
        assert!(!seen.complete, "the engine has not said what runs");
        let problem = seen.problem.unwrap();
        assert!(problem.contains("not known yet what the docker driver runs"), "{problem}");
        node.revive_known();
        let (outbox, step) = an_order_of_a_container(&node);
        tokio::task::yield_now().await;
        assert!(ended(&outbox).is_none(), "it waits for the engine");
        assert_eq!(living(dir.path()).len(), 1);

        lists.send_replace(true);
        let seen = sees(&node, |observed| observed.complete).await;
        assert!(runs(&seen, "web[0]") && !runs(&seen, "db[0]"), "{seen:?}");
        node.revive_known();
        until("the step's end", async || ended(&outbox).is_some()).await;
        let (id, error) = ended(&outbox).unwrap();
        assert_eq!(id, step);
        assert!(error.contains("nginx:1.22"), "the engine cannot do it, but was asked: {error}");
        let pids = fs::read_to_string(dir.path().join("pids")).unwrap();
        assert_eq!(pids.lines().count(), 1, "no second copy was ever started");
        watching.abort();
        processes.remove(&"web[0]".parse().unwrap()).await.unwrap();
        assert_eq!(living(dir.path()), Vec::<String>::new());
    });
}

fn an_order_of_a_container(node: &Arc<Node>) -> (Arc<Outbox>, String) {
    let outbox = Arc::new(Outbox::default());
    let spec = container();
    let step = Step {
        id: "db[0]/prepare".to_owned(),
        instance: spec.id.clone(),
        node: spec.node.clone(),
        generation: 1,
        act: Act::Prepare { spec: Box::new(spec) },
        after: vec![],
    };
    let id = step.id.clone();
    Executor::new(node.clone(), outbox.clone()).begin("d".into(), step);
    (outbox, id)
}

/// How the step failed.
fn ended(outbox: &Outbox) -> Option<(String, String)> {
    while let Some(report) = outbox.first() {
        if let StepState::Failed { error } = report.state {
            return Some((report.step, error));
        }
        outbox.sent(report);
    }
    None
}
