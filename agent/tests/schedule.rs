//! Units that run at certain times, with real processes and no control plane: what was missed while
//! the agent was away is made up for once, a run that goes on keeps the next one from starting, and
//! taking one up starts nothing.
//!
//! Knows `/bin/sh`. What has to be due, is since days.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use devnet_agent::{
    config::base_env,
    driver::{Driver, Ground, Job, Owner, Progress, process::ProcessDriver},
    execute::Executor,
    ledger::{Content, Entry, Ledger},
    node::Node,
    outbox::Outbox,
    schedule::Timetable,
    secrets::Secrets,
};
use devnet_schema::{
    instance::{InstanceSpec, Workload},
    observed::{HealthState, InstanceState, ObservedInstance},
    schedule::Timing,
    secret::Text,
    step::{Act, Step, StepState},
};
use tokio::{sync::Notify, time::timeout};

const PATIENCE: Duration = Duration::from_secs(60);

fn spec(script: &str) -> InstanceSpec {
    let timing = Timing { cron: "0 3 * * *".parse().unwrap(), timezone: "UTC".to_owned() };
    InstanceSpec {
        cluster: "home".parse().unwrap(),
        id: "job[0]".parse().unwrap(),
        node: "n1".parse().unwrap(),
        workload: Workload::Process { argv: ["/bin/sh", "-c", script].map(Text::plain).to_vec() },
        env: BTreeMap::new(),
        files: BTreeMap::new(),
        ports: vec![],
        volumes: vec![],
        limits: Default::default(),
        gpus: vec![],
        health: None,
        stop: Default::default(),
        run_once: true,
        schedule: Some(timing),
        protect: false,
    }
}

fn ground(dir: &Path) -> Ground {
    Ground {
        owner: Owner { cluster: "home".parse().unwrap(), node: "n1".parse().unwrap() },
        data_dir: dir.join("data"),
        volatile_dir: dir.join("volatile"),
        secrets: Arc::new(Secrets::default()),
        changed: Arc::new(Notify::new()),
        stop_on_exit: true,
    }
}

/// An agent that took the unit up days ago, and is gone since.
fn taken_up_days_ago(dir: &Path, spec: &InstanceSpec) -> Ground {
    let ground = ground(dir);
    fs::create_dir_all(&ground.data_dir).unwrap();
    let mut ledger = Ledger::open(&ground.data_dir).unwrap();
    let content = Content::Present { digest: spec.digest(), spec: Some(Box::new(spec.clone())) };
    ledger.put(spec.id.clone(), Entry { generation: 1, content }, 0).unwrap();
    let days_ago = "2026-11-01T00:00:00Z".parse().unwrap();
    Timetable::open(&ground.data_dir).unwrap().told([spec].into_iter(), days_ago);
    ground
}

fn agent(ground: Ground) -> Arc<Node> {
    let driver: Arc<dyn Driver> = Arc::new(ProcessDriver::new(ground.clone(), base_env()));
    let Ground { owner, secrets, changed, data_dir, .. } = ground;
    let records = (Ledger::open(&data_dir).unwrap(), Timetable::open(&data_dir).unwrap());
    Node::new(owner, vec![driver], records, secrets, changed)
}

async fn sees(node: &Node, wanted: impl Fn(&ObservedInstance) -> bool) -> ObservedInstance {
    let mut sights = node.sight.subscribe();
    let one = |observed: &[ObservedInstance]| observed.iter().find(|one| wanted(one)).cloned();
    let seen = sights.wait_for(|sight| one(&sight.observed.instances).is_some());
    let seen = timeout(PATIENCE, seen).await.expect("it is seen in time").unwrap();
    one(&seen.observed.instances).unwrap()
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn runs_that_were_missed_are_made_up_for_once() {
    for (code, health) in [(0, HealthState::Healthy), (3, HealthState::Unhealthy)] {
        let dir = tempfile::tempdir().unwrap();
        let runs = dir.path().join("runs");
        let spec = spec(&format!("echo run >> {}; exit {code}", runs.display()));
        let node = agent(taken_up_days_ago(dir.path(), &spec));
        let watching = tokio::spawn(node.clone().watch());
        let ended = |one: &ObservedInstance| {
            let waits = one.state == InstanceState::Scheduled && one.health == health;
            waits && lines(&runs) > 0 && one.digest == spec.digest()
        };
        let seen = sees(&node, ended).await;
        assert_eq!((seen.generation, lines(&runs)), (1, 1), "{seen:?}");
        let said = seen.message.unwrap();
        assert!(said.contains("next run at ") && said.ends_with(" 03:00 UTC"), "{said}");
        assert_eq!(said.contains("exited with code 3"), code == 3, "{said}");
        // Nothing is due any more, for whoever reads what is written down.
        let table = Timetable::open(&dir.path().join("data")).unwrap();
        assert_eq!(table.due(jiff::Timestamp::now()).0, []);
        watching.abort();
        node.retire().await;
    }
}

#[tokio::test]
async fn a_run_that_goes_on_keeps_the_next_one_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let spec = spec(&format!("echo run >> {}; exec sleep 1000", runs.display()));
    let ground = taken_up_days_ago(dir.path(), &spec);
    let node = agent(ground);
    let job = Job {
        spec: Arc::new(spec.clone()),
        generation: 1,
        digest: spec.digest(),
        progress: Progress::none(),
    };
    let driver = node.drivers.values().next().unwrap().clone();
    driver.ensure(job).await.unwrap();
    let watching = tokio::spawn(node.clone().watch());
    let running = |one: &ObservedInstance| {
        one.state == InstanceState::Running && one.health == HealthState::Healthy
    };
    sees(&node, running).await;
    let passed = async {
        let due = || {
            let table = Timetable::open(&dir.path().join("data")).unwrap();
            table.due(jiff::Timestamp::now()).0
        };
        while !due().is_empty() {
            node.changed.notify_one();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, passed).await.expect("it is passed over in time");
    assert_eq!(lines(&runs), 1);
    sees(&node, running).await;
    watching.abort();
    node.retire().await;
}

#[tokio::test]
async fn what_is_taken_up_waits_for_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let first = spec(&format!("echo run >> {}", runs.display()));
    fs::create_dir_all(dir.path().join("data")).unwrap();
    let node = agent(ground(dir.path()));
    let watching = tokio::spawn(node.clone().watch());
    let outbox = Arc::new(Outbox::default());
    let executor = Executor::new(node.clone(), outbox.clone());
    let step = |generation, spec: &InstanceSpec| Step {
        id: format!("job[0]/start{generation}"),
        instance: spec.id.clone(),
        node: spec.node.clone(),
        generation,
        act: Act::Ensure { spec: Box::new(spec.clone()) },
        after: vec![],
    };
    executor.begin("d".into(), step(1, &first));
    let waits = |one: &ObservedInstance| one.state == InstanceState::Scheduled;
    let seen = sees(&node, waits).await;
    assert_eq!((seen.health, seen.generation), (HealthState::Healthy, 1));
    assert_eq!(seen.digest, first.digest());
    let mut moon = first.clone();
    moon.schedule.as_mut().unwrap().timezone = "Moon/Base".to_owned();
    executor.begin("d".into(), step(2, &moon));
    let mut error = None;
    let told = async {
        while error.is_none() {
            let Some(report) = outbox.first() else {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            if let StepState::Failed { error: why } = &report.state {
                error = Some(why.clone());
            }
            outbox.sent(report);
        }
    };
    timeout(PATIENCE, told).await.expect("it is refused in time");
    let error = error.unwrap();
    assert!(error.contains("no time zone `Moon/Base`"), "{error}");
    assert_eq!(lines(&runs), 0, "nothing ran");
    watching.abort();
    node.retire().await;
}
