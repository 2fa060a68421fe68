//! Steps against the fake driver: order, fences, reports. Knows one node and one service.

use std::time::Duration;

use devnet_schema::observed::InstanceState;
use tokio::{sync::Notify, time::timeout};

use super::*;
use crate::{
    driver::{Ground, Owner, fake::FakeDriver},
    ledger::Ledger,
    sample,
    schedule::Timetable,
    secrets::Secrets,
};

struct Bench {
    dir: tempfile::TempDir,
    fake: Arc<FakeDriver>,
    node: Arc<Node>,
    outbox: Arc<Outbox>,
    executor: Arc<Executor>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let owner = Owner { cluster: "home".parse().unwrap(), node: "n1".parse().unwrap() };
        let (secrets, changed) = (Arc::new(Secrets::default()), Arc::new(Notify::new()));
        let fake = Arc::new(FakeDriver::new(Ground {
            owner: owner.clone(),
            data_dir: dir.path().to_owned(),
            volatile_dir: dir.path().to_owned(),
            secrets: secrets.clone(),
            changed: changed.clone(),
            stop_on_exit: false,
        }));
        let ledger = Ledger::open(dir.path()).unwrap();
        let table = Timetable::open(dir.path()).unwrap();
        let node = Node::new(owner, vec![fake.clone()], (ledger, table), secrets, changed);
        tokio::spawn(node.clone().watch());
        let outbox = Arc::new(Outbox::default());
        let executor = Executor::new(node.clone(), outbox.clone());
        Self { dir, fake, node, outbox, executor }
    }

    fn step(generation: u64, act: Act) -> Step {
        Step {
            id: format!("web[0]/{} {generation}", act.word()),
            instance: "web[0]".parse().unwrap(),
            node: "n1".parse().unwrap(),
            generation,
            act,
            after: vec![],
        }
    }

    fn keep(&self, generation: u64, proof: &str) {
        let receipt = Receipt { generation, proof: proof.to_owned() };
        self.executor.keep(&Self::step(generation, Act::Remove), receipt);
    }

    fn begin(&self, generation: u64, act: Act) -> String {
        let step = Self::step(generation, act);
        let id = step.id.clone();
        self.executor.begin("d".into(), step);
        id
    }

    /// How a step ends.
    async fn end(&self, id: &str) -> Result<String, String> {
        let reports = async {
            loop {
                while let Some(report) = self.outbox.first() {
                    self.outbox.sent(report.clone());
                    match report.state {
                        StepState::Succeeded { message } if report.step == id => {
                            return Ok(message);
                        }
                        StepState::Failed { error } if report.step == id => return Err(error),
                        _ => {}
                    }
                }
                self.outbox.filled().await;
            }
        };
        timeout(Duration::from_secs(10), reports).await.expect("the step ends")
    }

    async fn run(&self, generation: u64, act: Act) -> Result<String, String> {
        let id = self.begin(generation, act);
        self.end(&id).await
    }
}

fn ensure(spec: &InstanceSpec) -> Act {
    Act::Ensure { spec: Box::new(spec.clone()) }
}

fn await_healthy(seconds: u64) -> Act {
    Act::AwaitHealthy { timeout: Period::seconds(seconds) }
}

#[tokio::test]
async fn volumes_are_told_also_of_what_was_removed_and_asked_for_when_something_starts() {
    let bench = Bench::new();
    let mut spec = sample::process(&["a"]);
    spec.volumes = vec![devnet_schema::instance::VolumeSpec {
        name: "data".into(),
        path: "/data".into(),
        data_of: None,
        project: None,
        read_only: false,
    }];
    bench.run(1, ensure(&spec)).await.unwrap();
    bench.run(2, Act::Remove).await.unwrap();
    let sight = bench.node.look().await;
    let told: Vec<_> = sight.observed.volumes.iter().map(|it| it.name.as_str()).collect();
    assert_eq!((told, sight.observed.instances.len()), (vec!["data"], 0));
    let asked = bench.fake.listings();
    for _ in 0..5 {
        bench.node.look().await;
    }
    assert_eq!(bench.fake.listings(), asked, "nothing was started since");
    // Where they cannot be listed, the report does not look like one of a node without any.
    bench.fake.fail("volumes");
    bench.node.volumes_changed(devnet_schema::instance::Runtime::Process);
    let sight = bench.node.look().await;
    assert!(
        !sight.observed.complete && sight.observed.problem.as_ref().unwrap().contains("broken")
    );
    bench.fake.mend("volumes");
    assert!(bench.node.look().await.observed.complete);
}

#[tokio::test]
async fn a_unit_is_started_once_awaited_and_removed() {
    let bench = Bench::new();
    let spec = sample::process(&["a"]);
    bench.run(1, Act::Prepare { spec: Box::new(spec.clone()) }).await.unwrap();
    bench.run(1, ensure(&spec)).await.unwrap();
    assert_eq!(bench.run(1, ensure(&spec)).await.unwrap(), "it runs already");
    bench.run(1, await_healthy(5)).await.unwrap();
    bench.run(2, Act::Remove).await.unwrap();
    assert_eq!(bench.run(2, Act::Remove).await.unwrap(), "it was not there");
    let calls = bench.fake.calls();
    let own = |call: &&String| !["recover", "revive"].iter().any(|it| call.starts_with(it));
    let calls: Vec<_> = calls.iter().filter(own).collect();
    assert_eq!(calls, ["prepare web[0]", "ensure web[0]", "remove web[0]", "remove web[0]"]);
    let error = bench.run(1, ensure(&spec)).await.unwrap_err();
    assert!(error.contains("older than generation 2"), "{error}");
}

#[tokio::test]
async fn a_failed_start_leaves_the_ledger_as_it_was() {
    let bench = Bench::new();
    let (old, new) = (sample::process(&["old"]), sample::process(&["new"]));
    bench.run(1, ensure(&old)).await.unwrap();
    bench.fake.fail("ensure");
    let error = bench.run(2, ensure(&new)).await.unwrap_err();
    assert!(error.contains("it is broken; mend it"), "{error}");
    let entry = bench.node.ledger().get(&old.id).cloned().unwrap();
    assert_eq!(entry.generation, 1);
    assert_eq!(Ledger::open(bench.dir.path()).unwrap().get(&old.id), Some(&entry));
    bench.fake.mend("ensure");
    bench.run(2, ensure(&new)).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_keeps_nobody_from_removing_a_unit() {
    let bench = Bench::new();
    let spec = sample::process(&["a"]);
    bench.run(1, ensure(&spec)).await.unwrap();
    // The ledger cannot be written: where it would be, something else is.
    let obstacle = bench.dir.path().join("ledger.json.new");
    std::fs::create_dir(&obstacle).unwrap();
    let error = bench.run(2, ensure(&sample::process(&["b"]))).await.unwrap_err();
    assert!(error.contains("nothing was changed"), "{error}");
    let error = bench.run(2, Act::Remove).await.unwrap_err();
    assert!(error.contains("web[0] was removed, and that could not be written down"), "{error}");
    assert!(bench.fake.calls().contains(&"remove web[0]".to_owned()));
    assert!(bench.node.spec(&spec.id).is_none(), "this agent does not start it again");
    std::fs::remove_dir(&obstacle).unwrap();
    assert_eq!(bench.run(2, Act::Remove).await.unwrap(), "it was not there");
    let entry = Ledger::open(bench.dir.path()).unwrap().get(&spec.id).cloned().unwrap();
    assert!(matches!(entry, Entry { generation: 2, content: Content::Removed { .. } }));

    bench.run(3, ensure(&spec)).await.unwrap();
    std::fs::create_dir(&obstacle).unwrap();
    bench.fake.fail("remove");
    let error = bench.run(4, Act::Remove).await.unwrap_err();
    assert!(error.contains("it is broken; mend it"), "{error}");
    assert_eq!(bench.node.ledger().get(&spec.id).unwrap().generation, 3, "it should run still");
}

#[tokio::test]
async fn the_receipt_of_an_order_is_written_down_with_it_and_shown() {
    let bench = Bench::new();
    let spec = sample::process(&["a"]);
    let shown = async || {
        let receipts = bench.node.look().await.observed.receipts.clone();
        let own = receipts.get(&spec.id).into_iter().flatten();
        own.map(|it| format!("{} {}", it.generation, it.proof)).collect::<Vec<_>>()
    };
    bench.keep(1, "first");
    bench.run(1, ensure(&spec)).await.unwrap();
    assert_eq!(shown().await, ["1 first"]);
    // Of an order that came to nothing, and of what holds all the same.
    bench.keep(2, "second");
    bench.fake.fail("ensure");
    bench.run(2, ensure(&sample::process(&["b"]))).await.unwrap_err();
    assert_eq!(shown().await, ["1 first", "2 second"]);
    let again = Ledger::open(bench.dir.path()).unwrap();
    assert_eq!(again.receipts()[&spec.id].len(), 2);
    // What was removed has its data here all the same.
    bench.run(3, Act::Remove).await.unwrap();
    assert_eq!(shown().await, ["1 first", "2 second"]);
}

#[tokio::test]
async fn a_unit_of_another_node_is_not_started_again() {
    let bench = Bench::new();
    let mut other = sample::process(&["a"]);
    other.node = "n0".parse().unwrap();
    let own = InstanceSpec { id: "db[0]".parse().unwrap(), ..sample::process(&["a"]) };
    for spec in [&other, &own] {
        let content =
            Content::Present { digest: spec.digest(), spec: Some(Box::new(spec.clone())) };
        let entry = Entry { generation: 1, content };
        bench.node.ledger().put(spec.id.clone(), entry, 0).unwrap();
    }
    bench.node.recovery.decided(Runtime::Process, Duration::from_secs(10)).await.unwrap();
    bench.node.revive_known();
    let mut sights = bench.node.sight.subscribe();
    let revived = sights.wait_for(|sight| sight.units.iter().any(|unit| unit.id == own.id));
    timeout(Duration::from_secs(10), revived).await.expect("its own is started").unwrap();
    let sight = bench.node.look().await;
    assert_eq!(sight.units.len(), 1, "{sight:?}");
}

#[tokio::test]
async fn whoever_asks_again_waits_for_the_one_that_is_waiting() {
    let bench = Bench::new();
    let spec = sample::process(&["a"]);
    bench.run(1, ensure(&spec)).await.unwrap();
    let before = bench.fake.calls().iter().filter(|call| *call == "revive web[0]").count();
    let busy = bench.node.busy(&spec.id);
    let held = busy.lock().await;
    for _ in 0..100 {
        bench.node.revive_known();
    }
    for _ in 0..10 {
        // All who wait are in the queue.
        tokio::task::yield_now().await;
    }
    drop(held);
    // Whoever waits for the lock is given it in turn.
    while Arc::strong_count(&busy) > 2 {
        tokio::task::yield_now().await;
    }
    let calls = bench.fake.calls();
    let revived = calls.iter().filter(|call| *call == "revive web[0]").count() - before;
    assert_eq!(revived, 1, "{calls:?}");
}

#[tokio::test]
async fn a_driver_that_answers_only_now_and_then_is_left_alone_for_a_while() {
    let bench = Bench::new();
    bench.node.recovery.decided(Runtime::Process, Duration::from_secs(10)).await.unwrap();
    bench.fake.fail("list");
    for _ in 0..1000 {
        bench.node.look().await;
        tokio::task::yield_now().await;
    }
    let asked = bench.fake.calls().iter().filter(|call| *call == "recover").count();
    assert!(asked <= 10, "it was asked {asked} times");
    bench.fake.mend("list");
    let mut sights = bench.node.sight.subscribe();
    let known = sights.wait_for(|sight| sight.observed.complete);
    timeout(Duration::from_secs(20), known).await.expect("it is asked again").unwrap();
}

#[tokio::test]
async fn a_generation_that_was_written_by_hand_is_not_taken() {
    let bench = Bench::new();
    let spec = sample::process(&["a"]);
    bench.fake.put(sample::unit(&spec, u64::MAX, InstanceState::Running));
    bench.node.recovery.decided(Runtime::Process, Duration::from_secs(10)).await.unwrap();
    let sight = bench.node.look().await;
    assert_eq!(bench.node.ledger().get(&spec.id), None);
    let said = sight.observed.instances[0].message.clone().unwrap();
    assert!(said.contains("higher than any can be"), "{said}");
    bench.run(1, ensure(&sample::process(&["b"]))).await.unwrap();
}

#[tokio::test]
async fn a_step_fails_when_what_runs_cannot_be_seen() {
    let bench = Bench::new();
    bench.fake.fail("list");
    let error = bench.run(1, ensure(&sample::process(&["a"]))).await.unwrap_err();
    assert!(error.contains("it is broken"), "{error}");
    assert!(!bench.fake.calls().contains(&"ensure web[0]".to_owned()));
    let sight = bench.node.look().await;
    assert!(!sight.observed.complete, "absence means nothing then");
}

#[tokio::test]
async fn the_same_step_twice_at_once_is_one() {
    let bench = Bench::new();
    let spec = sample::process(&["a"]);
    bench.begin(1, ensure(&spec));
    let id = bench.begin(1, ensure(&spec));
    bench.end(&id).await.unwrap();
    let calls = bench.fake.calls();
    assert_eq!(calls.iter().filter(|call| *call == "ensure web[0]").count(), 1);
}

#[tokio::test]
async fn a_wait_ends_when_its_unit_is_replaced_or_crashes_again_and_again() {
    let bench = Bench::new();
    let mut spec = sample::process(&["a"]);
    spec.health = Some(devnet_schema::instance::HealthSpec {
        probe: devnet_schema::instance::Probe::Exec { argv: vec!["false".into()] },
        interval: Period::seconds(1),
        timeout: Period::seconds(1),
        retries: 1000,
        start_period: Period::seconds(60),
    });
    bench.run(1, ensure(&spec)).await.unwrap();
    let wait = bench.begin(1, await_healthy(60));
    let next = sample::process(&["b"]);
    bench.run(2, ensure(&next)).await.unwrap();
    let error = bench.end(&wait).await.unwrap_err();
    assert!(error.contains("generation 2"), "{error}");
    let mut unit = sample::unit(&next, 2, InstanceState::Starting);
    unit.message = Some("exited with code 1".into());
    bench.fake.put(unit.clone());
    let wait = bench.begin(2, await_healthy(60));
    let sight = bench.node.look().await;
    assert_eq!(sight.units[0].restarts, 0);
    tokio::task::yield_now().await;
    unit.restarts = HOPELESS;
    bench.fake.put(unit);
    let error = bench.end(&wait).await.unwrap_err();
    assert!(error.contains("exited with code 1"), "{error}");
}

#[tokio::test]
async fn a_wait_ends_as_soon_as_its_unit_is_unhealthy_or_has_ended() {
    let bench = Bench::new();
    let mut spec = sample::process(&["a"]);
    spec.health = Some(devnet_schema::instance::HealthSpec {
        probe: devnet_schema::instance::Probe::Exec { argv: vec!["false".into()] },
        interval: Period { millis: 100 },
        timeout: Period::seconds(1),
        retries: 2,
        start_period: Period::seconds(0),
    });
    bench.run(1, ensure(&spec)).await.unwrap();
    // A limit that no test waits for.
    let error = bench.run(1, await_healthy(3600)).await.unwrap_err();
    assert!(error.contains("web[0] is unhealthy: the health command exited"), "{error}");

    let next = sample::process(&["b"]);
    bench.run(2, ensure(&next)).await.unwrap();
    let wait = bench.begin(2, await_healthy(3600));
    let mut unit = sample::unit(&next, 2, InstanceState::Exited);
    unit.message = Some("exited with code 3".into());
    bench.fake.put(unit);
    let error = bench.end(&wait).await.unwrap_err();
    assert!(error.contains("web[0] does not run: exited with code 3"), "{error}");
}

#[tokio::test]
async fn a_wait_that_is_too_long_says_what_the_probe_said() {
    let bench = Bench::new();
    let mut spec = sample::process(&["a"]);
    spec.health = Some(devnet_schema::instance::HealthSpec {
        probe: devnet_schema::instance::Probe::Exec { argv: vec!["false".into()] },
        interval: Period::seconds(1),
        timeout: Period::seconds(1),
        retries: 1000,
        start_period: Period::seconds(60),
    });
    bench.run(1, ensure(&spec)).await.unwrap();
    let error = bench.run(1, await_healthy(1)).await.unwrap_err();
    assert!(error.contains("not healthy after 1s: the health command exited"), "{error}");
    assert!(error.contains("devnet logs web[0]"), "{error}");
}

#[tokio::test]
async fn what_runs_without_an_entry_is_adopted() {
    let bench = Bench::new();
    let spec = sample::process(&["a"]);
    bench.fake.put(sample::unit(&spec, 7, InstanceState::Running));
    bench.node.recovery.decided(Runtime::Process, Duration::from_secs(10)).await.unwrap();
    let sight = bench.node.look().await;
    assert_eq!(sight.observed.instances[0].generation, 7);
    let error = bench.run(6, Act::Remove).await.unwrap_err();
    assert!(error.contains("older than generation 7"), "{error}");
}

#[tokio::test]
async fn nothing_is_started_before_it_is_known_what_runs() {
    let bench = Bench::new();
    let spec = sample::process(&["a"]);
    bench.fake.fail("recover");
    bench.fake.hide(sample::unit(&spec, 3, InstanceState::Running));
    let error = bench.run(3, ensure(&spec)).await.unwrap_err();
    assert!(error.contains("it is not known what the process driver runs"), "{error}");
    assert!(error.contains("recover: it is broken; mend it"), "{error}");
    bench.node.revive_known();
    let sight = bench.node.look().await;
    assert!(!sight.observed.complete);
    bench.fake.mend("recover");
    let known = async {
        while bench.node.recovery.check(Runtime::Process).is_err() {
            bench.node.changed.notified().await;
        }
    };
    timeout(Duration::from_secs(10), known).await.expect("it is asked again by itself");
    assert_eq!(bench.run(3, ensure(&spec)).await.unwrap(), "it runs already");
    let calls = bench.fake.calls();
    let started = calls.iter().any(|call| call.starts_with("ensure") || call.starts_with("revive"));
    assert!(!started, "{calls:?}");
}

#[tokio::test]
async fn a_step_waits_for_a_driver_that_has_not_answered_yet() {
    let bench = Bench::new();
    let spec = sample::process(&["a"]);
    bench.fake.answer(false);
    bench.fake.hide(sample::unit(&spec, 3, InstanceState::Running));
    let id = bench.begin(3, ensure(&spec));
    let other = bench.begin(4, Act::AwaitHealthy { timeout: Period::seconds(1) });
    bench.end(&other).await.unwrap_err();
    assert!(!bench.fake.calls().iter().any(|call| call.starts_with("ensure")));
    bench.fake.answer(true);
    assert_eq!(bench.end(&id).await.unwrap(), "it runs already");
}

#[tokio::test]
async fn what_is_stopped_by_order_is_no_accident() {
    let bench = Bench::new();
    let spec = sample::process(&["a"]);
    bench.run(1, ensure(&spec)).await.unwrap();
    bench.run(1, await_healthy(5)).await.unwrap();
    let seen = async || bench.node.look().await.observed.instances[0].clone();
    let healthy = (InstanceState::Running, HealthState::Healthy);
    assert_eq!((seen().await.state, seen().await.health), healthy);
    let ordered = bench.node.by_order(&spec.id);
    let mut ended = sample::unit(&spec, 1, InstanceState::Exited);
    ended.message = Some("exited with code 137".into());
    bench.fake.put(ended);
    let meanwhile = seen().await;
    assert_eq!((meanwhile.state, meanwhile.health), healthy);
    assert_eq!(meanwhile.message.unwrap(), "it is being changed by order");
    let next = sample::process(&["b"]);
    bench.fake.put(sample::unit(&next, 2, InstanceState::Starting));
    assert_eq!(seen().await.state, InstanceState::Starting, "the new one is as it is");
    let mut ended = sample::unit(&spec, 1, InstanceState::Exited);
    ended.message = Some("exited with code 137".into());
    bench.fake.put(ended);
    drop(ordered);
    let after = seen().await;
    assert_eq!(after.state, InstanceState::Exited, "what is so after the order is said");
    assert_eq!(after.message.unwrap(), "exited with code 137");
}
