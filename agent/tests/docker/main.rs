//! The container driver against a real engine, on a host of the test bed.
//!
//! Knows `tests/bed`. Runs with DEVNET_BED=1 and says so when it does not run.

#![allow(unreachable_pub, reason = "modules of a test are seen by that test alone")]

mod others;
mod shared;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use devnet_agent::{
    driver::{
        Driver, Ground, Job, Owner, Progress, Unit,
        docker::DockerDriver,
        logs::{Query, Sink},
    },
    node::Node,
    secrets::Secrets,
};
use devnet_schema::{
    instance::{
        ContainerSpec, FileSpec, HealthSpec, InstanceSpec, PortSpec, Probe, Runtime, VolumeSpec,
        Workload,
    },
    name::InstanceId,
    observed::{HealthState, InstanceState},
    quantity::Period,
    secret::{InTransit, Part, SecretRef, Text},
    wire::{AgentMessage, LogEndReason, LogLine},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Mutex, Notify},
    time::timeout,
};

const INSIDE: &str = "DEVNET_BED_INSIDE";
const BED_DIR: &str = "/tmp/devnet-bed-agent";

/// Starts a bed with one host, and this very program on it.
#[test]
fn containers_on_a_host_of_the_bed() {
    on_a_host("containers_on_a_host_of_the_bed", "docker");
}

/// The same with a newer Docker, which `tests/bed/docker26.sh` fetches.
#[test]
fn containers_on_a_host_with_docker_26() {
    on_a_host("containers_on_a_host_with_docker_26", "docker26");
}

/// The same with a real Podman behind the Docker API.
#[test]
fn containers_on_a_host_with_podman() {
    on_a_host("containers_on_a_host_with_podman", "podman");
}

fn on_a_host(name: &str, engine: &'static str) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(inside(engine));
    }
    if std::env::var("DEVNET_BED").as_deref() != Ok("1") {
        eprintln!("SKIPPED: the container driver is tried with DEVNET_BED=1, as root, on the bed");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let fetched = || Command::new(root.join("tests/bed/docker26.sh")).arg("path").output();
    if engine == "docker26" && !fetched().unwrap().status.success() {
        eprintln!("SKIPPED: Docker 26 is not fetched: run tests/bed/docker26.sh");
        return;
    }
    let bed = |arguments: &[&str]| {
        let mut command = Command::new(root.join("tests/bed/bed.sh"));
        command.args(arguments).env("BED_DIR", BED_DIR).env("BED_NET", "10.78.0");
        command.env("BED_ENGINE", engine);
        command
    };
    let up = bed(&["up", "1"]).stdin(Stdio::null()).status().unwrap();
    assert!(up.success(), "the bed starts");
    let me = std::env::current_exe().unwrap();
    let test = ["in", "1", me.to_str().unwrap(), "--exact", name];
    let mut inner = bed(&test);
    inner.arg("--nocapture").env(INSIDE, "1");
    inner.env("DOCKER_HOST", format!("unix://{}", socket(engine)));
    let tried = inner.status().unwrap();
    assert!(bed(&["down"]).status().unwrap().success(), "the bed ends");
    assert!(tried.success(), "everything went well on the host");
}

async fn inside(engine: &'static str) {
    let disk = PathBuf::from(std::env::var("BED_DISK").unwrap()).join("agent");
    let bench = Bench::new(&disk, engine);
    bench.images_and_ports_fail_early().await;
    bench.a_web_server_is_started_replaced_and_gone_back_to().await;
    bench.logs_are_whole_from_every_place().await;
    bench.secrets_go_to_the_container_only().await;
    bench.what_a_killed_agent_left_is_put_right().await;
    bench.volumes_are_told_whether_anything_uses_them_or_not().await;
    bench.lost_data_is_no_loss().await;
    bench.what_units_share().await;
    bench.what_is_somebody_elses().await;
    bench.what_runs_once_is_done_with_0().await;
    bench.foreign_containers_are_left_alone().await;
}

struct Bench {
    ground: Ground,
    driver: Arc<DockerDriver>,
    held: Mutex<()>,
    engine: &'static str,
}

impl Bench {
    /// A container that runs once: done with 0, failed with anything else, and run again neither by
    /// the engine nor for the asking.
    async fn what_runs_once_is_done_with_0(&self) {
        let spec = |code: u32| {
            let mut spec = container("once[0]", "nginx:1.22");
            if let Workload::Container(container) = &mut spec.workload {
                let words = ["sh".to_owned(), "-c".to_owned(), format!("exit {code}")];
                container.command = Some(words.iter().map(Text::plain).collect());
            }
            spec.run_once = true;
            spec
        };
        for (at, code, state) in [(1, 0, InstanceState::Completed), (2, 3, InstanceState::Exited)] {
            let spec = spec(code);
            self.driver.ensure(job(&spec, at)).await.unwrap();
            let ended = async {
                loop {
                    let units = self.driver.list().await.unwrap();
                    let unit = units.into_iter().find(|unit| unit.id == spec.id);
                    if let Some(unit) = unit.filter(|unit| unit.state != InstanceState::Running) {
                        return unit;
                    }
                    let again = Duration::from_millis(500);
                    let _ = timeout(again, self.ground.changed.notified()).await;
                }
            };
            let unit = timeout(Duration::from_secs(60), ended).await.expect("it ends");
            assert_eq!((unit.state, unit.restarts), (state, 0), "{:?}", unit.message);
            assert_eq!(unit.message, Some(format!("exited with code {code}")));
            assert_eq!(unit.digest, spec.digest());
            if state == InstanceState::Completed {
                let before =
                    docker(&["inspect", "-f", "{{.State.StartedAt}}", "devnet-home-once-0"]);
                self.driver.revive(job(&spec, at)).await.unwrap();
                let after =
                    docker(&["inspect", "-f", "{{.State.StartedAt}}", "devnet-home-once-0"]);
                assert_eq!(before, after, "what is done is not done again");
            }
        }
        self.driver.remove(&spec(0).id).await.unwrap();
    }
}

/// Where the engine listens on a host.
fn socket(engine: &str) -> String {
    match engine {
        "podman" => "/run/podman/podman.sock".to_owned(),
        _ => "/run/docker.sock".to_owned(),
    }
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn job(spec: &InstanceSpec, generation: u64) -> Job {
    let progress = Progress::new(|message| println!("    {message}"));
    Job { spec: Arc::new(spec.clone()), generation, digest: spec.digest(), progress }
}

fn container(id: &str, image: &str) -> InstanceSpec {
    InstanceSpec {
        cluster: "home".parse().unwrap(),
        id: id.parse().unwrap(),
        node: "n1".parse().unwrap(),
        workload: Workload::Container(ContainerSpec {
            image: image.into(),
            ..ContainerSpec::default()
        }),
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

fn port(container: u16, host: u16) -> PortSpec {
    let (name, bind) = ("main".to_owned(), "127.0.0.1".to_owned());
    PortSpec { name, container, host, bind, protocol: Default::default() }
}

fn web(text: &str) -> InstanceSpec {
    let mut spec = container("web[0]", "nginx:1.22");
    let page = FileSpec { content: Text::plain(text), mode: 0o444 };
    spec.files.insert("/usr/share/nginx/html/page".into(), page);
    spec.ports = vec![port(80, 8080)];
    spec.health = Some(HealthSpec {
        probe: Probe::Http { port: 80, path: "/page".into() },
        interval: Period::seconds(1),
        timeout: Period::seconds(1),
        retries: 3,
        start_period: Period::seconds(5),
    });
    spec
}

async fn get(port: u16) -> String {
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /page HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    timeout(Duration::from_secs(5), ask).await.unwrap().unwrap_or_default()
}

impl Bench {
    fn new(disk: &Path, engine: &'static str) -> Self {
        let ground = Ground {
            owner: Owner { cluster: "home".parse().unwrap(), node: "n1".parse().unwrap() },
            data_dir: disk.to_owned(),
            volatile_dir: "/run/devnet-agent/home.n1".into(),
            secrets: Arc::new(Secrets::default()),
            changed: Arc::new(Notify::new()),
            stop_on_exit: false,
        };
        std::fs::create_dir_all(disk).unwrap();
        let driver = DockerDriver::new(ground.clone(), vec![socket(engine).into()]);
        tokio::spawn(driver.clone().watch());
        Self { ground, driver, held: Mutex::default(), engine }
    }

    async fn unit(&self, id: &str) -> Option<Unit> {
        self.driver.list().await.unwrap().into_iter().find(|unit| unit.id.to_string() == id)
    }

    async fn images_and_ports_fail_early(&self) {
        println!("an image or a port that cannot be had");
        // The first question to Podman takes a while: it sets up its storage.
        let answers = async {
            loop {
                let availability = self.driver.probe().await;
                if availability.available {
                    break availability;
                }
            }
        };
        let availability = timeout(Duration::from_secs(60), answers).await.expect("it answers");
        let word = if self.engine == "podman" { "podman" } else { "docker" };
        assert_eq!(availability.engine.as_deref(), Some(word));
        let newer = availability.version.is_some_and(|version| version.starts_with("26."));
        assert_eq!(newer, self.engine == "docker26");
        let nothing = container("web[0]", "nginx:99");
        let error = self.driver.prepare(job(&nothing, 1)).await.unwrap_err().to_string();
        assert!(error.starts_with("image nginx:99 cannot be pulled: "), "{error}");
        assert!(error.ends_with("check the image's name and tag"), "{error}");
        let _taken = std::net::TcpListener::bind("127.0.0.1:8080").unwrap();
        let error = self.driver.prepare(job(&web("x"), 1)).await.unwrap_err().to_string();
        assert!(error.contains("port 8080 on 127.0.0.1"), "{error}");
        assert!(self.driver.list().await.unwrap().is_empty());
    }

    async fn a_web_server_is_started_replaced_and_gone_back_to(&self) {
        println!("a web server");
        let first = web("first");
        assert!(self.driver.prepare(job(&first, 1)).await.unwrap().contains("pulled nginx:1.22"));
        assert_eq!(self.driver.prepare(job(&first, 1)).await.unwrap(), "");
        self.driver.ensure(job(&first, 1)).await.unwrap();
        self.healthy("web[0]").await;
        assert!(get(8080).await.ends_with("first"));
        let second = web("second");
        self.driver.prepare(job(&second, 2)).await.unwrap();
        self.driver.ensure(job(&second, 2)).await.unwrap();
        self.healthy("web[0]").await;
        assert!(get(8080).await.ends_with("second"));
        let mut broken = web("third");
        let Workload::Container(workload) = &mut broken.workload else { unreachable!() };
        workload.entrypoint = Some(vec![Text::plain("/no/such/program")]);
        let error = self.driver.ensure(job(&broken, 3)).await.unwrap_err().to_string();
        assert!(error.contains("the old version runs"), "{error}");
        assert!(error.contains("check the service's command"), "{error}");
        self.healthy("web[0]").await;
        assert!(get(8080).await.ends_with("second"));
        let unit = self.unit("web[0]").await.unwrap();
        assert_eq!((unit.generation, unit.digest), (2, second.digest()));
        assert_eq!(unit.spec.as_deref(), Some(&second));
        assert_eq!(docker(&["ps", "-aq"]).lines().count(), 1, "nothing is left aside");
        let seen = self.log(&second.id, 100, None).await.into_iter().flat_map(|(lines, _)| lines);
        let seen: Vec<_> = seen.collect();
        assert!(seen.iter().any(|line| line.text.contains("GET /page") && !line.at.is_empty()));
        let run = async |argv: &[&str]| {
            let argv: Vec<String> = argv.iter().map(|&one| one.to_owned()).collect();
            let unit = self.unit("web[0]").await.unwrap();
            self.driver.exec(&unit, &argv).await.unwrap()
        };
        assert_eq!(run(&["cat", "/usr/share/nginx/html/page"]).await, (0, "second".to_owned()));
        assert_eq!(run(&["sh", "-c", "echo no; exit 4"]).await, (4, "no".to_owned()));
    }

    /// The last lines of a log, or those after a position, as they come; each chunk with its own.
    async fn log(
        &self,
        id: &InstanceId,
        tail: u32,
        after: Option<String>,
    ) -> Vec<(Vec<LogLine>, String)> {
        let (sink, mut chunks) = Sink::new();
        let here = Arc::new(|| true);
        let query = Query { id: id.clone(), tail, follow: false, after, here };
        let taking = async {
            let mut seen = Vec::new();
            while let Some(chunk) = chunks.recv().await {
                seen.push((chunk.lines, chunk.position));
            }
            seen
        };
        let (end, seen) = tokio::join!(self.driver.logs(query, sink), taking);
        assert_eq!(end.unwrap(), LogEndReason::Complete);
        seen
    }

    async fn logs_are_whole_from_every_place(&self) {
        println!("a log");
        let script = "i=0; while [ $i -lt 1500 ]; do echo out $i; echo err $i >&2; i=$((i+1)); \
                      done; head -c 40000 /dev/zero | tr '\\0' x; echo; printf 'bad \\377\\n'; \
                      exec sleep 1000";
        let mut spec = container("log[0]", "nginx:1.22");
        let Workload::Container(workload) = &mut spec.workload else { unreachable!() };
        workload.entrypoint = Some(["sh", "-c", script].map(Text::plain).to_vec());
        self.driver.ensure(job(&spec, 1)).await.unwrap();
        let whole = async {
            loop {
                let chunks = self.log(&spec.id, u32::MAX, None).await;
                let last = chunks.last().and_then(|(lines, _)| lines.last());
                if last.is_some_and(|line| line.text.starts_with("bad")) {
                    return chunks;
                }
            }
        };
        let chunks = timeout(Duration::from_secs(60), whole).await.expect("it is written");
        let lines = |chunks: &[(Vec<LogLine>, String)]| -> Vec<LogLine> {
            chunks.iter().flat_map(|(lines, _)| lines.clone()).collect()
        };
        let all = lines(&chunks);
        for (stream, word) in [("stdout", "out"), ("stderr", "err")] {
            let texts = all.iter().filter(|line| line.stream == stream).map(|line| &*line.text);
            let texts: Vec<_> = texts
                .take_while(|text| !text.starts_with('x') && !text.starts_with("bad"))
                .collect();
            let wanted: Vec<_> = (0..1500).map(|number| format!("{word} {number}")).collect();
            if self.engine == "podman" {
                // Podman 4 tears a line wherever one of its buffers ends, and its API
                // does not say so.
                assert_eq!(texts.concat(), wanted.concat());
            } else {
                assert_eq!(texts, wanted);
            }
        }
        let long: Vec<_> = all.iter().filter(|line| line.text.starts_with("xxx")).collect();
        assert_eq!(long.iter().map(|line| line.text.len()).sum::<usize>(), 40_000);
        let (last, parts) = long.split_last().unwrap();
        if self.engine == "docker" {
            // Podman ends each part as it ends a line.
            assert!(!last.continued && parts.iter().all(|line| line.continued), "it is marked");
        }
        // Docker itself keeps text only.
        let bad = &all.last().unwrap().text;
        assert!(["bad \\xff", "bad \u{fffd}"].contains(&bad.as_str()), "{bad}");
        assert!(chunks.len() > 5, "{} chunks", chunks.len());
        for (number, (_, position)) in chunks.iter().enumerate().skip(chunks.len() - 3) {
            let rest = self.log(&spec.id, 0, Some(position.clone())).await;
            assert_eq!(lines(&rest), lines(&chunks[number + 1..]), "after chunk {number}");
        }
        assert_eq!(lines(&self.log(&spec.id, 1, None).await), all[all.len() - 1..]);
        self.driver.remove(&spec.id).await.unwrap();
    }

    async fn secrets_go_to_the_container_only(&self) {
        println!("a secret");
        let secret = SecretRef { name: "pw".parse().unwrap(), version: 1 };
        let text = Text(vec![Part::Plain("requirepass ".into()), Part::Secret(secret.clone())]);
        let mut spec = container("cache[0]", "redis:7");
        let Workload::Container(workload) = &mut spec.workload else { unreachable!() };
        workload.command = Some(vec![Text::plain("redis-server"), Text::plain("/etc/redis.conf")]);
        spec.files.insert("/etc/redis.conf".into(), FileSpec { content: text, mode: 0o444 });
        spec.env.insert("REDISCLI_AUTH".into(), Text(vec![Part::Secret(secret)]));
        spec.volumes = vec![VolumeSpec {
            name: "data".into(),
            path: "/data".into(),
            data_of: None,
            project: None,
            read_only: false,
        }];
        let secrets = &self.ground.secrets;
        let answer = async {
            secrets.asked().await;
            let [AgentMessage::NeedSecrets { request, .. }] = &secrets.take_questions()[..] else {
                panic!("one question")
            };
            let values = [("pw".to_owned(), InTransit::new("hunter2".into()))].into();
            secrets.answer(*request, values, None);
        };
        let (prepared, ()) = tokio::join!(self.driver.prepare(job(&spec, 1)), answer);
        prepared.unwrap();
        self.driver.ensure(job(&spec, 1)).await.unwrap();
        let unit = self.healthy("cache[0]").await;
        let argv = ["redis-cli", "set", "a", "b"].map(str::to_owned);
        assert_eq!(self.driver.exec(&unit, &argv).await.unwrap(), (0, "OK".to_owned()));
        let argv = ["sh", "-c", "echo refused: $REDISCLI_AUTH; exit 4"].map(str::to_owned);
        let said = self.driver.exec(&unit, &argv).await.unwrap();
        assert_eq!(said, (4, "refused: (sensitive value)".to_owned()));
        let labels = docker(&["inspect", "-f", "{{json .Config.Labels}}", "devnet-home-cache-0"]);
        assert!(labels.contains("devnet.spec") && !labels.contains("hunter2"), "{labels}");
        assert!(docker(&["volume", "ls", "-q"]).contains("devnet-home-cache-0-data"));
        self.a_reboot_takes_its_file(&spec).await;
        self.driver.remove(&spec.id).await.unwrap();
        assert!(!Path::new("/run/devnet-agent/home.n1/cache-0").exists());
        assert!(docker(&["volume", "ls", "-q"]).contains("devnet-home-cache-0-data"));
    }

    /// The container is stopped, and its file in memory is gone.
    async fn a_reboot_takes_its_file(&self, spec: &InstanceSpec) {
        docker(&["stop", "devnet-home-cache-0"]);
        std::fs::remove_dir_all("/run/devnet-agent").unwrap();
        self.driver.revive(job(spec, 1)).await.unwrap();
        let unit = self.healthy("cache[0]").await;
        let argv = ["redis-cli", "get", "a"].map(str::to_owned);
        let answer = self.driver.exec(&unit, &argv).await.unwrap();
        assert_eq!(answer, (0, "b".to_owned()), "its volume outlived it, and its password fits");
    }

    async fn what_a_killed_agent_left_is_put_right(&self) {
        println!("a replacement that was cut short");
        docker(&["stop", "devnet-home-web-0"]);
        docker(&["rename", "devnet-home-web-0", "devnet-home-web-0-old"]);
        self.driver.recover().await.unwrap();
        self.healthy("web[0]").await;
        assert!(get(8080).await.ends_with("second"));
    }

    async fn volumes_are_told_whether_anything_uses_them_or_not(&self) {
        println!("volumes");
        let mut spec = container("store[0]", "redis:7");
        spec.volumes = vec![VolumeSpec {
            name: "data".to_owned(),
            path: "/data".to_owned(),
            data_of: None,
            project: None,
            read_only: false,
        }];
        self.driver.ensure(job(&spec, 1)).await.unwrap();
        // Of somebody else, of another node, and by hand with our labels.
        let of = ["--label=devnet.cluster=home", "--label=devnet.service=store"];
        let mine = ["--label=devnet.node=n1", "--label=devnet.index=0"];
        docker(&["volume", "create", "foreign"]);
        docker(&["volume", "create", of[0], of[1], "--label=devnet.node=n2", mine[1], "other"]);
        docker(&["volume", "create", of[0], of[1], mine[0], mine[1], "copy"]);
        let told = async || {
            let held = self.driver.volumes().await.unwrap().own;
            let held = held.into_iter().filter(|it| it.instance == spec.id);
            held.map(|it| (it.name, it.runtime)).collect::<Vec<_>>()
        };
        let data = [("data".to_owned(), Runtime::Docker)];
        assert_eq!(told().await, data);
        self.driver.remove(&spec.id).await.unwrap();
        assert_eq!(told().await, data);
        let dir = tempfile::tempdir().unwrap();
        let node = self.node(dir.path());
        let watching = tokio::spawn(node.clone().watch());
        node.recovery.decided(Runtime::Docker, Duration::from_secs(30)).await.unwrap();
        let sight = node.look().await;
        watching.abort();
        assert!(sight.observed.volumes.iter().any(|it| it.instance == spec.id));
        docker(&["volume", "rm", "devnet-home-store-0-data", "foreign", "other", "copy"]);
        assert_eq!(told().await, []);
    }

    async fn lost_data_is_no_loss(&self) {
        println!("an agent that lost its data");
        let dir = tempfile::tempdir().unwrap();
        let node = self.node(dir.path());
        let watching = tokio::spawn(node.clone().watch());
        node.recovery.decided(Runtime::Docker, Duration::from_secs(30)).await.unwrap();
        let sight = node.look().await;
        watching.abort();
        let seen = &sight.observed.instances[0];
        assert_eq!((seen.id.as_str(), seen.generation), ("web-0", 2));
        assert_eq!(node.ledger().get(&seen.instance()).unwrap().generation, 2);
    }

    async fn foreign_containers_are_left_alone(&self) {
        println!("containers of others");
        docker(&["run", "-d", "--name", "foreign", "--label", "devnet.cluster=other", "redis:7"]);
        docker(&["run", "-d", "--name", "plain", "redis:7"]);
        assert_eq!(self.driver.list().await.unwrap().len(), 1);
        self.driver.retire().await.unwrap();
        let mut names: Vec<_> =
            docker(&["ps", "--format", "{{.Names}}"]).lines().map(str::to_owned).collect();
        names.sort();
        assert_eq!(names, ["foreign", "plain"]);
        docker(&["run", "-d", "--name", "devnet-home-web-0", "redis:7"]);
        let error = self.driver.ensure(job(&web("x"), 9)).await.unwrap_err().to_string();
        assert!(error.contains("rename or remove it"), "{error}");
        assert_eq!(docker(&["ps", "-q"]).lines().count(), 3);
    }

    fn node(&self, dir: &Path) -> Arc<Node> {
        let ledger = devnet_agent::ledger::Ledger::open(dir).unwrap();
        let drivers: Vec<Arc<dyn Driver>> = vec![self.driver.clone()];
        let Ground { owner, secrets, changed, .. } = self.ground.clone();
        let table = devnet_agent::schedule::Timetable::open(dir).unwrap();
        Node::new(owner, drivers, (ledger, table), secrets, changed)
    }

    /// Waits until the unit is seen healthy, by events alone.
    async fn healthy(&self, id: &str) -> Unit {
        let _held = self.held.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let node = self.node(dir.path());
        let watching = tokio::spawn(node.clone().watch());
        let mut sights = node.sight.subscribe();
        let healthy =
            sights.wait_for(|sight| {
                sight.observed.instances.iter().any(|one| {
                    one.instance().to_string() == id && one.health == HealthState::Healthy
                })
            });
        let sight = timeout(Duration::from_secs(30), healthy).await.expect("in time").unwrap();
        let unit = sight.units.iter().find(|unit| unit.id.to_string() == id).unwrap().clone();
        drop(sight);
        watching.abort();
        assert_eq!((unit.state, unit.runtime), (InstanceState::Running, Runtime::Docker));
        unit
    }
}
