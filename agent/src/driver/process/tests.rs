//! The process driver with real processes. Knows `/bin/sh` and `python3`; ends what it starts.

use std::{path::Path, time::Duration};

use devnet_schema::{instance::FileSpec, observed::InstanceState, quantity::Period, secret::Text};
use tokio::{sync::Notify, time::timeout};

use super::*;
use crate::{
    driver::{Owner, Progress},
    sample,
    secrets::Secrets,
};

mod recovery;

struct Bench {
    dir: tempfile::TempDir,
    changed: Arc<Notify>,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), changed: Arc::new(Notify::new()) }
    }

    fn driver(&self) -> ProcessDriver {
        self.watched(Arc::new(|_| Ok(())))
    }

    fn watched(&self, watcher: Arc<Watcher>) -> ProcessDriver {
        self.of("n1", watcher)
    }

    /// That of a node of another name.
    fn named(&self, node: &str) -> ProcessDriver {
        self.of(node, Arc::new(|_| Ok(())))
    }

    fn of(&self, node: &str, watcher: Arc<Watcher>) -> ProcessDriver {
        let owner = Owner { cluster: "home".parse().unwrap(), node: node.parse().unwrap() };
        let ground = Ground {
            owner,
            data_dir: self.dir.path().to_owned(),
            volatile_dir: self.dir.path().join("volatile"),
            secrets: Arc::new(Secrets::default()),
            changed: self.changed.clone(),
            stop_on_exit: false,
        };
        ProcessDriver::watched(ground, crate::config::base_env(), watcher)
    }

    /// Waits until a look at the driver's only unit satisfies `wanted`.
    async fn until(&self, driver: &ProcessDriver, wanted: impl Fn(&Unit) -> bool) -> Unit {
        let seen = timeout(Duration::from_secs(20), async {
            loop {
                let units = driver.list().await.unwrap();
                if let Some(unit) = units.into_iter().find(&wanted) {
                    return unit;
                }
                self.changed.notified().await;
            }
        });
        seen.await.expect("the unit gets there in time")
    }

    fn work(&self) -> std::path::PathBuf {
        self.dir.path().join("instances/web-0/work")
    }
}

fn job(spec: &InstanceSpec, generation: u64) -> Job {
    let digest = spec.digest();
    Job { spec: Arc::new(spec.clone()), generation, digest, progress: Progress::none() }
}

fn query(spec: &InstanceSpec, tail: u32, follow: bool) -> Query {
    Query { id: spec.id.clone(), tail, follow, after: None, here: Arc::new(|| true) }
}

fn shell(script: &str) -> InstanceSpec {
    sample::process(&["/bin/sh", "-c", script])
}

fn free_port(ip: &str) -> u16 {
    std::net::TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap().port()
}

fn server(ip: &str, port: u16, content: &str) -> InstanceSpec {
    let text = port.to_string();
    let mut spec =
        sample::process(&["python3", "-m", "http.server", &text, "--bind", ip, "-d", "www"]);
    let file = FileSpec { content: Text::plain(content), mode: 0o444 };
    spec.files.insert("www/index.html".into(), file);
    spec.ports = vec![sample::port(port, port, ip)];
    spec
}

async fn get(ip: &str, port: u16) -> Option<String> {
    use tokio::io::AsyncWriteExt;
    let mut stream = tokio::net::TcpStream::connect((ip, port)).await.ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// Asks until the answer holds `text`.
async fn answers(ip: &str, port: u16, text: &str) {
    let asked = timeout(Duration::from_secs(20), async {
        while !get(ip, port).await.is_some_and(|answer| answer.contains(text)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    asked.await.unwrap_or_else(|_| panic!("{ip}:{port} answers {text}"));
}

fn lives(run: &str) -> bool {
    let pid = run.split('@').next().unwrap();
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

async fn wait_for_file(path: &Path) -> String {
    let read = timeout(Duration::from_secs(20), async {
        loop {
            match std::fs::read_to_string(path) {
                Ok(text) if text.ends_with('\n') => return text,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    read.await.unwrap_or_else(|_| panic!("{} appears", path.display()))
}

#[tokio::test]
async fn a_server_is_replaced_and_removed() {
    let bench = Bench::new();
    let driver = bench.driver();
    let port = free_port("127.0.0.2");
    let first = server("127.0.0.2", port, "first");
    driver.prepare(job(&first, 1)).await.unwrap();
    driver.ensure(job(&first, 1)).await.unwrap();
    answers("127.0.0.2", port, "first").await;
    let second = server("127.0.0.2", port, "second");
    driver.prepare(job(&second, 2)).await.expect("its own old unit has the port");
    driver.ensure(job(&second, 2)).await.unwrap();
    answers("127.0.0.2", port, "second").await;
    let unit = bench.until(&driver, |unit| unit.generation == 2).await;
    assert_eq!((unit.state, unit.digest), (InstanceState::Running, second.digest()));
    driver.remove(&second.id).await.unwrap();
    driver.remove(&second.id).await.expect("removing twice is harmless");
    assert!(driver.list().await.unwrap().is_empty());
    assert!(!lives(&unit.run));
    assert!(!bench.work().exists());
}

#[tokio::test]
async fn a_taken_port_fails_before_the_old_version_is_touched() {
    let bench = Bench::new();
    let driver = bench.driver();
    let port = free_port("127.0.0.2");
    driver.ensure(job(&server("127.0.0.2", port, "old"), 1)).await.unwrap();
    answers("127.0.0.2", port, "old").await;
    let foreign = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let taken = foreign.local_addr().unwrap().port();
    let next = server("127.0.0.2", taken, "new");
    let error = driver.prepare(job(&next, 2)).await.unwrap_err().to_string();
    assert!(error.contains(&taken.to_string()), "{error}");
    let before = bench.until(&driver, |unit| unit.state == InstanceState::Running).await.run;
    let error = driver.ensure(job(&next, 2)).await.unwrap_err().to_string();
    assert!(error.contains("the old version is started again"), "{error}");
    answers("127.0.0.2", port, "old").await;
    let running = |unit: &Unit| unit.state == InstanceState::Running && unit.run != before;
    assert_eq!(bench.until(&driver, running).await.generation, 1);
    driver.retire().await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_not_there_fails_early_and_says_where_it_was_looked_for() {
    let bench = Bench::new();
    let driver = bench.driver();
    let spec = sample::process(&["no-such-program-anywhere"]);
    for error in [
        driver.prepare(job(&spec, 1)).await.unwrap_err(),
        driver.ensure(job(&spec, 1)).await.unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("no-such-program-anywhere") && text.contains("PATH"), "{text}");
    }
    assert!(driver.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_next_agent_adopts_a_process_and_starts_no_second() {
    let bench = Bench::new();
    let spec = shell("echo started >> starts; exec sleep 1000");
    let first = bench.driver();
    first.ensure(job(&spec, 3)).await.unwrap();
    let before = bench.until(&first, |unit| unit.state == InstanceState::Running).await;
    // Everything of the first agent goes, but its process.
    first.slots().clear();
    drop(first);
    let second = bench.driver();
    second.recover().await.unwrap();
    let after = bench.until(&second, |unit| unit.state == InstanceState::Running).await;
    assert_eq!((after.run, after.generation), (before.run.clone(), 3));
    assert_eq!(after.digest, spec.digest());
    assert_eq!(wait_for_file(&bench.work().join("starts")).await, "started\n");
    assert!(lives(&before.run));
    second.remove(&spec.id).await.unwrap();
    assert!(!lives(&before.run));
}

#[tokio::test]
async fn a_record_of_another_process_is_not_believed() {
    let bench = Bench::new();
    let spec = shell("exec sleep 1000");
    let first = bench.driver();
    first.ensure(job(&spec, 1)).await.unwrap();
    let record = bench.dir.path().join("instances/web-0/unit.json");
    first.retire().await.unwrap();
    // The id was given to somebody else, here to this very test, which started at another tick.
    // (The unit's own tick will not do: a quick test starts it within the tick of its own start.)
    let text = std::fs::read_to_string(&record).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let pid = std::process::id();
    json["process"]["pid"] = pid.into();
    json["process"]["start"] = (super::child::start_time(pid as i32).unwrap().0 + 1).into();
    std::fs::write(&record, json.to_string()).unwrap();
    let second = bench.driver();
    second.recover().await.unwrap();
    let unit = bench.until(&second, |unit| unit.state == InstanceState::Running).await;
    assert!(!unit.run.starts_with(&format!("{pid}@")));
    second.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn what_ends_is_started_again_and_its_end_is_told() {
    let bench = Bench::new();
    let driver = bench.driver();
    let spec = shell("test -e once || { touch once; exit 7; }; exec sleep 1000");
    driver.ensure(job(&spec, 1)).await.unwrap();
    let ended = bench.until(&driver, |unit| unit.restarts == 1).await;
    assert!(ended.message.unwrap().contains("exited with code 7"));
    let again = |unit: &Unit| unit.restarts == 1 && unit.state == InstanceState::Running;
    bench.until(&driver, again).await;
    driver.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn a_process_that_ignores_its_signal_is_killed_with_its_children() {
    let bench = Bench::new();
    let driver = bench.driver();
    let mut spec = shell("trap '' INT; sleep 1000 & echo $! > child; echo up > up; wait");
    spec.stop.signal = Some("SIGINT".into());
    spec.stop.grace = Period { millis: 200 };
    driver.ensure(job(&spec, 1)).await.unwrap();
    wait_for_file(&bench.work().join("up")).await;
    let child = wait_for_file(&bench.work().join("child")).await;
    assert!(lives(child.trim()));
    driver.retire().await.unwrap();
    let gone = timeout(Duration::from_secs(20), async {
        while lives(child.trim()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    gone.await.expect("the child is killed too");
    driver.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn the_environment_is_clean_and_volumes_outlive_the_unit() {
    let bench = Bench::new();
    let driver = bench.driver();
    let mut spec = shell("env > /proc/self/fd/1; pwd; echo kept >> data/file; exec sleep 1000");
    spec.env.insert("GREETING".into(), Text::plain("hello"));
    spec.volumes = vec![devnet_schema::instance::VolumeSpec {
        name: "data".into(),
        path: "/data".into(),
        data_of: None,
        project: None,
        read_only: false,
    }];
    driver.ensure(job(&spec, 1)).await.unwrap();
    let kept = bench.dir.path().join("volumes/web-0/data/file");
    wait_for_file(&kept).await;
    let (sink, mut chunks) = Sink::new();
    let reading = driver.logs(query(&spec, 100, false), sink);
    let (end, chunk) = tokio::join!(reading, chunks.recv());
    assert_eq!(end.unwrap(), LogEndReason::Complete);
    let mut names = Vec::new();
    let mut text = String::new();
    for line in chunk.unwrap().lines {
        names.extend(line.text.split_once('=').map(|(name, _)| name.to_owned()));
        text.push_str(&line.text);
    }
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str()));
    names.sort();
    assert_eq!(names, ["DEVNET_UNIT", "GREETING", "HOME", "LANG", "PATH"]);
    assert!(text.contains(&*bench.work().to_string_lossy()), "{text}");
    driver.remove(&spec.id).await.unwrap();
    // What somebody else put there is no volume.
    std::fs::write(bench.dir.path().join("volumes/notes.txt"), "x").unwrap();
    std::fs::create_dir(bench.dir.path().join("volumes/Other")).unwrap();
    let held = driver.volumes().await.unwrap();
    let held: Vec<_> = held.own.iter().map(|it| (it.instance.to_string(), &*it.name)).collect();
    assert_eq!(held, [("web[0]".to_owned(), "data")]);
    driver.ensure(job(&spec, 2)).await.unwrap();
    timeout(Duration::from_secs(20), async {
        while std::fs::read_to_string(&kept).unwrap() != "kept\nkept\n" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the second unit finds the data of the first");
    driver.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn a_volume_is_of_who_used_it_last_also_for_the_next_agent() {
    let bench = Bench::new();
    let mut spec = shell("exec sleep 1000");
    spec.id = "nb[0]".parse().unwrap();
    spec.volumes = vec![devnet_schema::instance::VolumeSpec {
        name: "data".into(),
        path: "/data".into(),
        data_of: Some("na[0]".parse().unwrap()),
        project: None,
        read_only: false,
    }];
    let driver = bench.driver();
    driver.ensure(job(&spec, 1)).await.unwrap();
    driver.remove(&spec.id).await.unwrap();
    drop(driver);
    // Somebody put the data on another disk.
    let volume = bench.dir.path().join("volumes/na-0/data");
    let moved = bench.dir.path().join("disk");
    std::fs::rename(&volume, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &volume).unwrap();
    let held = bench.driver().volumes().await.unwrap().own;
    let user = held[0].user.as_ref().map(ToString::to_string);
    assert_eq!((held[0].instance.to_string(), user), ("na[0]".into(), Some("nb[0]".into())));
    // Units of an agent that did not write it down are asked.
    let uses = bench.dir.path().join("volume-uses.process.json");
    std::fs::remove_file(&uses).unwrap();
    let driver = bench.driver();
    driver.ensure(job(&spec, 2)).await.unwrap();
    std::fs::remove_file(&uses).unwrap();
    driver.recover().await.unwrap();
    driver.remove(&spec.id).await.unwrap();
    assert_eq!(driver.volumes().await.unwrap().own, held);
    // Nothing is concluded from a file that is damaged, and nothing is started.
    std::fs::write(&uses, "{half").unwrap();
    assert!(driver.volumes().await.is_err() && driver.ensure(job(&spec, 3)).await.is_err());
}

#[tokio::test]
async fn nothing_is_started_again_by_itself_on_an_empty_volume() {
    let bench = Bench::new();
    let driver = bench.driver();
    let mut spec = shell("echo x >> data/file; exec sleep 1000");
    spec.volumes = vec![devnet_schema::instance::VolumeSpec {
        name: "data".into(),
        path: "/data".into(),
        data_of: None,
        project: None,
        read_only: false,
    }];
    driver.ensure(job(&spec, 1)).await.unwrap();
    let (volumes, disk) = (bench.dir.path().join("volumes"), bench.dir.path().join("disk"));
    wait_for_file(&volumes.join("web-0/data/file")).await;
    let refused = |unit: &Unit| {
        unit.message.as_ref().is_some_and(|it| it.contains("not started on an empty volume `data`"))
    };
    // Its process ends while the disk is away.
    let running = bench.until(&driver, |unit| unit.state == InstanceState::Running).await;
    let pid: i32 = running.run.split('@').next().unwrap().parse().unwrap();
    std::fs::rename(&volumes, &disk).unwrap();
    // SAFETY: a plain system call on a process of this test's.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    bench.until(&driver, refused).await;
    assert!(!volumes.exists());
    // Whoever orders it was not told of that yet.
    let error = driver.ensure(job(&spec, 2)).await.unwrap_err().to_string();
    assert!(error.contains("it was on this node and is not any more"), "{error}");
    // The next agent starts on nothing either, and on the data once that is back.
    drop(driver);
    let driver = bench.driver();
    driver.recover().await.unwrap();
    bench.until(&driver, refused).await;
    std::fs::rename(&disk, &volumes).unwrap();
    bench.until(&driver, |unit| unit.state == InstanceState::Running).await;
    timeout(Duration::from_secs(20), async {
        while std::fs::read_to_string(volumes.join("web-0/data/file")).unwrap() != "x\nx\n" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("it goes on with its data");
    driver.remove(&spec.id).await.unwrap();
    // Once it was told, an order makes an empty one.
    std::fs::rename(&volumes, &disk).unwrap();
    driver.ensure(job(&spec, 3)).await.unwrap_err();
    assert_eq!(driver.volumes().await.unwrap().own, []);
    driver.ensure(job(&spec, 4)).await.unwrap();
    driver.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn a_log_is_followed_until_nobody_listens() {
    let bench = Bench::new();
    let driver = bench.driver();
    let spec = shell("echo one; echo two >&2; while read x; do echo $x; done < pipe");
    driver.ensure(job(&spec, 1)).await.unwrap();
    let (sink, mut chunks) = Sink::new();
    let reader = driver.logs(query(&spec, 10, true), sink);
    let listener = async {
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let lines = chunks.recv().await.unwrap().lines;
            seen.extend(lines.iter().map(|line| format!("{}: {}", line.stream, line.text)));
        }
        drop(chunks);
        seen
    };
    let both = async { tokio::join!(reader, listener) };
    let (read, seen) = timeout(Duration::from_secs(20), both).await.unwrap();
    read.unwrap();
    assert!(seen.contains(&"stdout: one".to_owned()), "{seen:?}");
    assert!(seen.contains(&"stderr: two".to_owned()), "{seen:?}");
    driver.remove(&spec.id).await.unwrap();
}

#[tokio::test]
async fn a_health_command_runs_where_the_unit_does() {
    let bench = Bench::new();
    let driver = bench.driver();
    let spec = shell("echo up > up; exec sleep 1000");
    driver.ensure(job(&spec, 1)).await.unwrap();
    wait_for_file(&bench.work().join("up")).await;
    let unit = bench.until(&driver, |unit| unit.state == InstanceState::Running).await;
    let run = async |argv: &[&str]| {
        let argv: Vec<String> = argv.iter().map(|&one| one.to_owned()).collect();
        driver.exec(&unit, &argv).await
    };
    assert_eq!(run(&["test", "-e", "up"]).await.unwrap().0, 0);
    let (code, output) = run(&["/bin/sh", "-c", "echo sorry >&2; exit 3"]).await.unwrap();
    assert_eq!((code, output.as_str()), (3, "sorry"));
    let much = "head -c 1000000 /dev/zero | tr '\\0' x >&2";
    assert_eq!(run(&["/bin/sh", "-ec", much]).await.unwrap().0, 0, "however much it writes");
    assert!(run(&["no-such-program-anywhere"]).await.is_err());
    driver.remove(&spec.id).await.unwrap();
}

/// A program that runs once, and writes down each run.
fn once(bench: &Bench, then: &str) -> InstanceSpec {
    let mut spec =
        shell(&format!("echo run >> {}; {then}", bench.dir.path().join("runs").display()));
    spec.run_once = true;
    spec
}

fn runs(bench: &Bench) -> usize {
    let text = std::fs::read_to_string(bench.dir.path().join("runs")).unwrap_or_default();
    text.lines().count()
}

#[tokio::test]
async fn what_runs_once_is_done_with_0_and_not_run_again_by_the_next_agent() {
    let bench = Bench::new();
    let driver = bench.driver();
    let spec = once(&bench, "exit 0");
    driver.ensure(job(&spec, 1)).await.unwrap();
    let done = bench.until(&driver, |unit| unit.state == InstanceState::Completed).await;
    assert_eq!(done.message.as_deref(), Some("exited with code 0"));
    drop(driver);
    let next = bench.driver();
    next.recover().await.unwrap();
    next.revive(job(&spec, 1)).await.unwrap();
    let seen = next.list().await.unwrap();
    assert_eq!((seen[0].state, seen[0].restarts), (InstanceState::Completed, 0));
    assert_eq!(runs(&bench), 1);
    // Another version of it is another run.
    let mut changed = spec.clone();
    changed.env.insert("VERSION".into(), Text::plain("2"));
    next.ensure(job(&changed, 2)).await.unwrap();
    let again = |unit: &Unit| unit.generation == 2 && unit.state == InstanceState::Completed;
    bench.until(&next, again).await;
    assert_eq!(runs(&bench), 2);
    next.remove(&spec.id).await.unwrap();
    assert!(next.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_runs_once_and_fails_has_ended_and_says_how() {
    let bench = Bench::new();
    let driver = bench.driver();
    let spec = once(&bench, "exit 3");
    driver.ensure(job(&spec, 1)).await.unwrap();
    let failed = bench.until(&driver, |unit| unit.state == InstanceState::Exited).await;
    assert_eq!(failed.message.as_deref(), Some("exited with code 3"));
    assert_eq!(runs(&bench), 1, "the control plane says whether it is tried again");
    // Whoever is asked for it next runs it again: it is not done.
    drop(driver);
    let next = bench.driver();
    next.recover().await.unwrap();
    let failed = |unit: &Unit| unit.state == InstanceState::Exited;
    bench.until(&next, failed).await;
    assert_eq!(runs(&bench), 2);
    next.retire().await.unwrap();
}
