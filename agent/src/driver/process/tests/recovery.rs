//! Agents that are killed or fail at every point of a record, damaged records, and processes that
//! hide from their group. Counts what runs by what the processes themselves wrote down.

use std::{
    collections::BTreeSet,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::identity::Point;

/// A unit that writes its process id down wherever it is started.
fn counted(bench: &Bench, version: &str) -> InstanceSpec {
    let mut spec = shell(&format!("echo $$ >> {}; exec sleep 1000", pids(bench).display()));
    spec.env.insert("VERSION".into(), Text::plain(version));
    spec.stop.grace = Period::seconds(2);
    spec
}

/// The same, and it ends only when it is killed: whoever removes it is at that for a while.
fn stubborn(bench: &Bench, version: &str) -> InstanceSpec {
    let loops = "trap '' TERM; while true; do sleep 0.05; done";
    let mut spec = shell(&format!("echo $$ >> {}; {loops}", pids(bench).display()));
    spec.env.insert("VERSION".into(), Text::plain(version));
    spec.stop.grace = Period { millis: 300 };
    spec
}

fn pids(bench: &Bench) -> PathBuf {
    bench.dir.path().join("pids")
}

/// Every process that was ever started.
fn started(bench: &Bench) -> Vec<String> {
    let text = fs::read_to_string(pids(bench)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn living(bench: &Bench) -> Vec<String> {
    started(bench).into_iter().filter(|pid| lives(pid)).collect()
}

/// Waits until exactly these many copies live. More than one is wrong at any moment.
async fn copies(bench: &Bench, wanted: usize, about: &str) {
    let seen = timeout(Duration::from_secs(20), async {
        loop {
            let living = living(bench);
            assert!(living.len() <= 1, "{about}: a second copy: {living:?}");
            if living.len() == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(seen.await.is_ok(), "{about}: {wanted} copies, and not {:?}", living(bench));
}

/// What becomes of an agent at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Killed,
    DiskRefuses,
}

/// Counts points, and lets the fault happen at one of them.
#[derive(Clone)]
struct Trap {
    fault: Fault,
    left: Arc<AtomicUsize>,
    sprung: Arc<Notify>,
}

impl Trap {
    fn at(point: usize, fault: Fault) -> Self {
        let left = Arc::new(AtomicUsize::new(point));
        Self { fault, left, sprung: Arc::new(Notify::new()) }
    }

    fn watcher(&self) -> Arc<Watcher> {
        let trap = self.clone();
        Arc::new(move |_: Point| match trap.left.load(Ordering::SeqCst) {
            0 if trap.fault == Fault::Killed => resume_unwind(Box::new("killed")),
            0 => Ok(()),
            left => {
                trap.left.store(left - 1, Ordering::SeqCst);
                if left > 1 {
                    return Ok(());
                }
                trap.sprung.notify_one();
                match trap.fault {
                    Fault::Killed => resume_unwind(Box::new("killed")),
                    Fault::DiskRefuses => Err(io::Error::other("the disk refuses")),
                }
            }
        })
    }

    fn is_sprung(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

/// One agent's life: everything of it but its processes is gone afterwards.
fn agent(bench: &Bench, trap: Option<&Trap>, life: impl AsyncFnOnce(&ProcessDriver)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let watcher = trap.map_or_else(|| Arc::new(|_| Ok(())) as Arc<Watcher>, Trap::watcher);
    let lived = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let driver = bench.watched(watcher);
            let killed = async {
                match trap.filter(|trap| trap.fault == Fault::Killed) {
                    Some(trap) => trap.sprung.notified().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = life(&driver) => {}
                () = killed => {}
            }
        });
    }));
    drop(runtime);
    if let Err(panic) = lived {
        let killed = panic.downcast_ref::<&str>() == Some(&"killed");
        if !killed {
            resume_unwind(panic);
        }
    }
}

/// What an agent is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Start,
    Replace,
    Remove,
    Adopt,
}

/// Lets the fault happen at point `point` of the action; whether the action has that many. Then
/// another agent does what a node does, and nothing may run twice, be lost or be left over.
fn survives(action: Action, fault: Fault, point: usize) -> bool {
    let about = format!("{action:?}, {fault:?} at point {point}");
    let bench = Bench::new();
    let kind = if action == Action::Remove { stubborn } else { counted };
    let (old, new) = (kind(&bench, "1"), kind(&bench, "2"));
    if action != Action::Start {
        agent(&bench, None, async |driver| {
            driver.ensure(job(&old, 1)).await.unwrap();
            copies(&bench, 1, &about).await;
        });
    }
    if action == Action::Adopt {
        forget_the_process(&bench);
    }
    let trap = Trap::at(point, fault);
    agent(&bench, Some(&trap), async |driver| {
        let _ = match action {
            Action::Start => driver.ensure(job(&old, 1)).await.map(drop),
            Action::Replace => driver.ensure(job(&new, 2)).await.map(drop),
            Action::Remove => driver.remove(&old.id).await,
            Action::Adopt => driver.recover().await,
        };
    });
    if !trap.is_sprung() {
        agent(&bench, None, async |driver| driver.remove(&old.id).await.unwrap());
        return false;
    }
    let before = living(&bench);
    agent(&bench, None, async |driver| {
        let wanted = match action {
            Action::Replace => job(&new, 2),
            _ => job(&old, 1),
        };
        if action == Action::Remove {
            // It is wanted again while its removal goes on.
            driver.ensure(job(&new, 3)).await.unwrap();
            driver.endings.all_over().await;
            copies(&bench, 1, &about).await;
            let unit = bench.until(driver, |unit| unit.state == InstanceState::Running).await;
            assert_eq!((unit.generation, unit.restarts), (3, 0), "{about}: it was left alone");
            let record = fs::read_to_string(bench.dir.path().join("instances/web-0/unit.json"));
            assert!(record.unwrap().contains("\"generation\":3"), "{about}: and what it has");
        } else {
            // The ledger says that it should run, and a session may say so before anything else.
            driver.revive(wanted).await.unwrap();
            copies(&bench, 1, &about).await;
            let unit = bench.until(driver, |unit| unit.state == InstanceState::Running).await;
            let runs = unit.run.split('@').next().unwrap().to_owned();
            assert_eq!(living(&bench).join(" "), runs, "{about}: what runs is supervised");
            if !before.is_empty() {
                assert_eq!(before.join(" "), runs, "{about}: what ran was taken over");
            }
        }
        driver.remove(&old.id).await.unwrap();
        copies(&bench, 0, &about).await;
        assert!(driver.list().await.unwrap().is_empty(), "{about}");
    });
    assert!(!bench.work().exists(), "{about}");
    true
}

/// As after a kill between a process's start and its being written down.
fn forget_the_process(bench: &Bench) {
    let path = bench.dir.path().join("instances/web-0/unit.json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["process"] = serde_json::Value::Null;
    fs::write(&path, record.to_string()).unwrap();
}

#[test]
fn a_fault_at_any_point_of_a_record_leaves_one_copy_and_no_orphan() {
    let mut points = std::collections::BTreeMap::new();
    for action in [Action::Start, Action::Replace, Action::Remove, Action::Adopt] {
        for fault in [Fault::Killed, Fault::DiskRefuses] {
            let count = (1..).take_while(|point| survives(action, fault, *point)).count();
            points.insert(format!("{action:?} {fault:?}"), count);
        }
    }
    println!("points tried: {points:?}");
    // Intent and record of a start are two writes of five points; the others are one.
    assert_eq!(points["Start Killed"], 10);
    assert_eq!(points["Replace Killed"], 10);
    // The removal of the directory is a point, too.
    assert_eq!(points["Remove Killed"], 6);
    assert_eq!(points["Adopt Killed"], 5);
    assert!(points["Start DiskRefuses"] >= 10 && points["Remove DiskRefuses"] >= 5, "{points:?}");
}

/// As after a kill in the middle of a removal.
fn mark_ending(bench: &Bench) {
    let path = bench.dir.path().join("instances/web-0/unit.json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["ending"] = true.into();
    fs::write(&path, record.to_string()).unwrap();
}

#[tokio::test]
async fn a_removal_that_is_ordered_again_joins_the_one_that_goes_on_with_the_units_own_signal() {
    let bench = Bench::new();
    let work = bench.work();
    let signals = bench.dir.path().join("signals");
    let (go, log) = (work.join("go"), signals.display());
    let note = |name: &str| format!("trap 'echo {name} >> {log}' {name};");
    let script = format!(
        "{} {} echo $$ >> {}; echo up > up; while ! test -e go; do sleep 0.02; done; echo end >> \
         {log}",
        note("USR1"),
        note("TERM"),
        pids(&bench).display()
    );
    let mut spec = shell(&script);
    spec.stop.signal = Some("SIGUSR1".into());
    spec.stop.grace = Period::seconds(60);
    let first = bench.driver();
    first.ensure(job(&spec, 4)).await.unwrap();
    wait_for_file(&work.join("up")).await;
    first.slots().clear();
    mark_ending(&bench);

    let second = bench.driver();
    second.recover().await.unwrap();
    let units = second.list().await.unwrap();
    let [unit] = &units[..] else { panic!("the unit is named: {units:?}") };
    assert_eq!((unit.generation, unit.ending), (4, true));
    assert!(unit.message.as_ref().unwrap().contains("its removal"), "{unit:?}");
    wait_for_file(&signals).await;
    let (removed, ()) = tokio::join!(second.remove(&spec.id), async {
        fs::write(&go, "").unwrap();
    });
    removed.unwrap();
    assert_eq!(fs::read_to_string(&signals).unwrap(), "USR1\nend\n", "asked once, and not killed");
    assert!(second.list().await.unwrap().is_empty());
    assert!(!work.exists());
}

#[tokio::test]
async fn one_removal_goes_on_however_often_somebody_looks() {
    let bench = Bench::new();
    let asked = bench.dir.path().join("asked");
    let script = format!(
        "trap 'echo asked >> {}' TERM; echo $$ >> {}; echo up > up; \
         while true; do sleep 0.02; done",
        asked.display(),
        pids(&bench).display()
    );
    let mut spec = shell(&script);
    spec.stop.grace = Period::seconds(1);
    let first = bench.driver();
    first.ensure(job(&spec, 1)).await.unwrap();
    wait_for_file(&bench.work().join("up")).await;
    first.slots().clear();
    mark_ending(&bench);
    // Another record is damaged, so that each look reads them all.
    let damaged = bench.dir.path().join("instances/db-0");
    fs::create_dir_all(&damaged).unwrap();
    fs::write(damaged.join("unit.json"), "{half").unwrap();
    let second = bench.driver();
    for _ in 0..5 {
        assert_eq!(second.list().await.unwrap().len(), 2);
    }
    second.endings.all_over().await;
    assert_eq!(fs::read_to_string(&asked).unwrap(), "asked\n");
    copies(&bench, 0, "removed").await;
    assert_eq!(second.list().await.unwrap().len(), 1);
}

#[test]
fn what_cannot_be_removed_runs_as_before_for_this_agent_and_the_next() {
    let bench = Bench::new();
    let spec = counted(&bench, "1");
    // Intent and record of its start, and the record that it ends: then its directory.
    let trap = Trap::at(16, Fault::DiskRefuses);
    agent(&bench, Some(&trap), async |driver| {
        driver.ensure(job(&spec, 1)).await.unwrap();
        copies(&bench, 1, "begun").await;
        let error = driver.remove(&spec.id).await.unwrap_err().to_string();
        assert!(error.contains("cannot be removed: the disk refuses"), "{error}");
        let runs = |unit: &Unit| unit.state == InstanceState::Running && !unit.ending;
        bench.until(driver, runs).await;
        copies(&bench, 1, "it runs again").await;
    });
    agent(&bench, None, async |driver| {
        driver.revive(job(&spec, 1)).await.unwrap();
        copies(&bench, 1, "adopted").await;
        assert_eq!(started(&bench).len(), 2, "and not started once more");
        driver.remove(&spec.id).await.unwrap();
        copies(&bench, 0, "removed").await;
    });
}

#[tokio::test]
async fn a_record_of_another_node_is_unknown_and_left_alone() {
    let bench = Bench::new();
    let spec = counted(&bench, "1");
    let first = bench.driver();
    first.ensure(job(&spec, 1)).await.unwrap();
    copies(&bench, 1, "begun").await;
    let pid = living(&bench).remove(0);
    first.slots().clear();
    // The machine joined under another name, and kept its data directory.
    let second = bench.named("n2");
    let renamed = InstanceSpec { node: "n2".parse().unwrap(), ..spec.clone() };
    let units = second.list().await.unwrap();
    assert_eq!((units.len(), units[0].state), (1, InstanceState::Unknown));
    let said = units[0].message.clone().unwrap();
    for word in ["node n1 of cluster home", "this is n2", &pid, "join under the old name"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    for refused in [
        second.ensure(job(&renamed, 2)).await.map(drop),
        second.revive(job(&renamed, 2)).await,
        second.prepare(job(&renamed, 2)).await.map(drop),
        second.remove(&spec.id).await,
    ] {
        assert!(refused.unwrap_err().to_string().contains("node n1"));
    }
    second.retire().await.unwrap();
    assert_eq!((living(&bench), started(&bench).len()), (vec![pid], 1));
    let third = bench.driver();
    third.remove(&spec.id).await.unwrap();
    copies(&bench, 0, "removed by its own").await;
}

#[tokio::test]
async fn a_program_whose_name_is_cut_within_a_character_is_seen_and_ended() {
    let bench = Bench::new();
    // The kernel keeps 15 bytes of 16.
    let name = "éééééééé";
    let mut spec = sample::process(&[&format!("./{name}")]);
    let script = format!("#!/bin/sh\necho $$ >> {}\nsleep 1000 &\nwait\n", pids(&bench).display());
    spec.files.insert(name.into(), FileSpec { content: Text::plain(&script), mode: 0o755 });
    let driver = bench.driver();
    driver.ensure(job(&spec, 1)).await.unwrap();
    copies(&bench, 1, "begun").await;
    driver.slots().clear();
    let next = bench.driver();
    next.recover().await.unwrap();
    bench.until(&next, |unit| unit.state == InstanceState::Running).await;
    assert_eq!(started(&bench).len(), 1, "it was adopted");
    next.remove(&spec.id).await.unwrap();
    copies(&bench, 0, "removed").await;
}

#[tokio::test]
async fn whatever_a_driver_is_asked_first_it_adopts_before_it_starts() {
    for first_call in ["revive", "ensure", "list", "remove"] {
        let bench = Bench::new();
        let spec = counted(&bench, "1");
        let first = bench.driver();
        first.ensure(job(&spec, 1)).await.unwrap();
        copies(&bench, 1, first_call).await;
        first.slots().clear();
        let second = bench.driver();
        match first_call {
            "revive" => second.revive(job(&spec, 1)).await.unwrap(),
            "ensure" => drop(second.ensure(job(&counted(&bench, "2"), 2)).await.unwrap()),
            "list" => assert_eq!(second.list().await.unwrap().len(), 1),
            _ => second.remove(&spec.id).await.unwrap(),
        }
        copies(&bench, usize::from(first_call != "remove"), first_call).await;
        let starts = if first_call == "ensure" { 2 } else { 1 };
        assert_eq!(started(&bench).len(), starts, "{first_call}");
        second.remove(&spec.id).await.unwrap();
        copies(&bench, 0, first_call).await;
    }
}

#[tokio::test]
async fn a_damaged_record_makes_one_unit_unknown_and_no_other() {
    let bench = Bench::new();
    let spec = |id: &str| {
        let mut spec = counted(&bench, id);
        spec.id = id.parse().unwrap();
        spec
    };
    let first = bench.driver();
    for id in ["a[0]", "b[0]", "c[0]"] {
        first.ensure(job(&spec(id), 1)).await.unwrap();
    }
    let all_run = async |wanted: usize| {
        while living(&bench).len() != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), all_run(3)).await.expect("three run");
    first.slots().clear();
    let path = bench.dir.path().join("instances/b-0/unit.json");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();

    let second = bench.driver();
    for id in ["a[0]", "b[0]", "c[0]"] {
        let revived = second.revive(job(&spec(id), 1)).await;
        assert_eq!(revived.is_ok(), id != "b[0]");
    }
    let units = second.list().await.unwrap();
    let states: Vec<_> = units.iter().map(|unit| (unit.id.to_string(), unit.state)).collect();
    let [running, unknown] = [InstanceState::Running, InstanceState::Unknown];
    let wanted = [("a[0]", running), ("b[0]", unknown), ("c[0]", running)];
    assert_eq!(states, wanted.map(|(id, state)| (id.to_owned(), state)));
    let said = units[1].message.clone().unwrap();
    for word in ["b[0]", "b-0/unit.json", "restore the file", "marked as its own"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    for refused in [
        second.ensure(job(&spec("b[0]"), 2)).await.map(drop),
        second.prepare(job(&spec("b[0]"), 2)).await.map(drop),
        second.remove(&spec("b[0]").id).await,
    ] {
        assert!(refused.unwrap_err().to_string().contains("b-0/unit.json"));
    }
    assert_eq!((living(&bench).len(), started(&bench).len()), (3, 3), "nothing was started");

    fs::write(&path, &whole).unwrap();
    let units = second.list().await.unwrap();
    assert!(units.iter().all(|unit| unit.state == InstanceState::Running), "{units:?}");
    assert_eq!(started(&bench).len(), 3, "it was adopted as soon as it was put right");
    second.retire().await.unwrap();
    timeout(Duration::from_secs(20), all_run(0)).await.expect("all end");
}

#[tokio::test]
async fn what_is_of_no_record_is_ended_and_strangers_are_left_alone() {
    let (bench, other) = (Bench::new(), Bench::new());
    for bench in [&bench, &other] {
        let first = bench.driver();
        first.ensure(job(&counted(bench, "1"), 1)).await.unwrap();
        copies(bench, 1, "begun").await;
        first.slots().clear();
    }
    // The same cluster, node and instance, from another directory: another agent's.
    fs::remove_dir_all(bench.dir.path().join("instances")).unwrap();
    let second = bench.driver();
    second.recover().await.unwrap();
    copies(&bench, 0, "an orphan").await;
    copies(&other, 1, "another agent's").await;
    let theirs = other.driver();
    theirs.recover().await.unwrap();
    theirs.retire().await.unwrap();
    copies(&other, 0, "ended by its own").await;
}

#[tokio::test]
async fn a_unit_does_not_name_itself() {
    let bench = Bench::new();
    let mut spec = counted(&bench, "1");
    spec.env.insert("DEVNET_UNIT".into(), Text::plain("home/n1/other-0/x-y"));
    let driver = bench.driver();
    let error = driver.prepare(job(&spec, 1)).await.unwrap_err().to_string();
    assert!(error.contains("DEVNET_UNIT") && error.contains("another name"), "{error}");
    driver.ensure(job(&spec, 1)).await.unwrap();
    copies(&bench, 1, "without a preparation").await;
    driver.slots().clear();
    let next = bench.driver();
    next.recover().await.unwrap();
    assert_eq!(next.list().await.unwrap().len(), 1, "it has its own badge all the same");
    next.remove(&spec.id).await.unwrap();
    copies(&bench, 0, "removed").await;
}

/// A daemon as they used to be made: a session of its own, no parent, and, where `bare`, nothing in
/// its environment.
fn hiding(bench: &Bench, bare: bool) -> InstanceSpec {
    let wipe = if bare { "env -i " } else { "" };
    let daemon = format!("echo $$ >> {}; exec sleep 1000", pids(bench).display());
    shell(&format!("{wipe}setsid sh -c '{daemon}' & echo $! > up; exec sleep 1000"))
}

#[tokio::test]
async fn a_child_that_left_its_group_ends_with_its_unit() {
    for (end, bare) in [("remove", false), ("retire", false), ("crash", false), ("remove", true)] {
        let bench = Bench::new();
        let spec = hiding(&bench, bare);
        let driver = bench.driver();
        driver.ensure(job(&spec, 1)).await.unwrap();
        copies(&bench, 1, end).await;
        let daemon = living(&bench).remove(0);
        match end {
            "remove" => driver.remove(&spec.id).await.unwrap(),
            "retire" => driver.retire().await.unwrap(),
            _ => {
                let unit = bench.until(&driver, |unit| unit.state == InstanceState::Running).await;
                let pid: i32 = unit.run.split('@').next().unwrap().parse().unwrap();
                // SAFETY: plain system call on a process that this test started.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                bench.until(&driver, |unit| unit.restarts == 1).await;
            }
        }
        assert!(!lives(&daemon), "{end}: the daemon ended");
        driver.remove(&spec.id).await.unwrap();
        copies(&bench, 0, end).await;
    }
}

#[tokio::test]
async fn a_daemon_without_parent_session_and_environment_ends_where_cgroups_may_be_made() {
    let skipped = |why: &str| {
        // Not by `eprintln!`, which is kept from whoever runs a test that passes.
        let text = format!("\n*** SKIPPED: daemons that hide need cgroups, and {why}.\n\n");
        let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
    };
    let Some(base) = cgroup::own() else {
        return skipped("this machine has no cgroup v2");
    };
    let Some(trial) = cgroup::Cgroup::make(&base, "trial") else {
        return skipped(&format!("none may be made below {}", base.display()));
    };
    trial.remove();
    let bench = Bench::new();
    let daemon = format!("echo $$ >> {}; exec sleep 1000", pids(&bench).display());
    let spec =
        shell(&format!("(env -i setsid sh -c '{daemon}' &) ; echo up > up; exec sleep 1000"));
    let first = bench.driver();
    first.ensure(job(&spec, 1)).await.unwrap();
    copies(&bench, 1, "hidden").await;
    // As systemd and container engines do, it makes a cgroup of its own below.
    let below = first.slot(&spec.id).unwrap().record().cgroup.unwrap().path().join("below");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("cgroup.procs"), living(&bench).remove(0)).unwrap();
    first.slots().clear();
    let second = bench.driver();
    second.recover().await.unwrap();
    second.remove(&spec.id).await.unwrap();
    copies(&bench, 0, "hidden").await;
    let left: BTreeSet<_> = fs::read_dir(&base)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.contains(second.setting.issuer.place()))
        .collect();
    assert_eq!(left, BTreeSet::new(), "no cgroup is left over");
}
