//! Logs arrive whole: what a process and a container write, followed and read back, by the command
//! line and the API, also by a reader that does not read for a while.
//!
//! Knows only what a person sees. `make soak` does the same more often, and prints how fast it was.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use devnet_tests::{
    bed::{self, Bed},
    oracles::{hold, records, scene::Scene, units},
    plane::{PATIENCE, Plane},
    process::Background,
    repo::Repo,
    soak,
    wait::until,
};
use serde_json::Value;

/// What a unit writes in a round.
const LINES: usize = 200_000;

/// What the control plane and the agent together may take more while a reader does not read, in
/// bytes: a window on each side, and what allocators keep.
const MEMORY: u64 = 64 << 20;

const CLUSTER: &str = r##"
cluster "bed" { sync auto=#true prune=#true self-heal=#true; }

service "contained" {
    image "nginx:1.22"
    env GO="/tmp/go"
    command "sh" "-c" #"SCRIPT"#
}

service "native" {
    process "sh" "-c" #"SCRIPT"#
    env GO="DIR/go"
}
"##;

/// Fills half a file of an engine's log, so that it is rotated in the first round. Then it says
/// that it is ready, waits for a file, and writes; again and again.
const SCRIPT: &str = concat!(
    r#"seq -f "ready to be rotated away %.0f" 1 150000; i=1; while :; do echo "ready $i"; "#,
    r#"until [ -e "$GO-$i" ]; do sleep 0.1; done; "#,
    r#"seq -f "round $i line %06.0f of a unit that says much in a short time" 1 200000; "#,
    r#"i=$((i+1)); done"#,
);

#[test]
fn every_line_arrives_in_order_soak() {
    if !bed::is_ready("logs") {
        return;
    }
    let bed = Bed::up(1, "10.79.0");
    let repo = Repo::new();
    repo.commit("README.md", "a cluster\n", "begin");
    let mut plane = Plane::start(&bed, &repo);
    plane.join(1);
    let dir = plane.path().display().to_string();
    let cluster = CLUSTER.replace("SCRIPT", SCRIPT).replace("DIR", &dir);
    let commit = repo.commit("cluster.kdl", &cluster, "two that write");
    plane.await_applied(&commit);
    let contained = |round: u32| {
        let go = format!("/tmp/go-{round}");
        bed.docker(1, &["exec", "devnet-bed-contained-0", "touch", &go]);
    };
    let native = |round: u32| {
        fs::write(plane.path().join(format!("go-{round}")), "").expect("a file can be made");
    };
    let scene = || {
        Scene::of_engine("n1", |program, args| bed.ask(1, program, args))
            .and(Scene::of_processes("bed"))
    };
    let before = scene();
    for round in 1..=soak::times(1, 20) {
        let docker =
            bed.docker_command(1, &["logs", "-f", "--tail", "1", "devnet-bed-contained-0"]);
        a_round(&plane, "contained", round, &contained, Some(docker));
        a_round(&plane, "native", round, &native, None);
    }
    // Reading stops and restarts nothing, however slow the reader is.
    let now = scene();
    hold([
        units::exactly(&now, &["bed/contained-0", "bed/native-0"]),
        units::undisturbed(&before, &now),
        records::converged(&plane.status().expect("the status"), &commit),
        records::no_gaps(&plane.events()),
    ]);
}

/// A follower that writes to a file.
struct Follower {
    what: &'static str,
    path: PathBuf,
    _process: Background,
}

impl Follower {
    fn start(plane: &Plane<'_>, what: &'static str, mut command: Command) -> Self {
        let path = plane.path().join(format!("{what}.out"));
        let _ = fs::remove_file(&path);
        let process = Background::start(&mut command, &path);
        Self { what, path, _process: process }
    }

    fn await_line(&self, text: &str) {
        until(&format!("`{text}` in the output of {}", self.what), PATIENCE, || {
            let end = end_of(&self.path);
            if end.contains(text) { Ok(()) } else { Err(end) }
        });
    }
}

/// The last bytes of a file.
fn end_of(path: &Path) -> String {
    let Ok(mut file) = File::open(path) else { return String::new() };
    let len = file.metadata().map_or(0, |meta| meta.len());
    let mut bytes = Vec::new();
    let _ = file.seek(SeekFrom::Start(len.saturating_sub(500)));
    let _ = file.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn a_round(
    plane: &Plane<'_>,
    service: &str,
    round: u32,
    go: &dyn Fn(u32),
    docker: Option<Command>,
) {
    let all = (LINES + 1).to_string();
    let (ready, last) = (format!("ready {round}"), format!("round {round} line {LINES:06}"));
    let follow = || plane.command(&["logs", "-f", "-n", "1", service]);
    let api = format!("/api/v1/services/{service}/logs?");
    let mut followers = vec![
        Follower::start(plane, "cli", follow()),
        Follower::start(plane, "http", plane.curl(&format!("{api}tail=1&follow=true"))),
    ];
    followers.extend(docker.map(|command| Follower::start(plane, "docker", command)));
    let mut slow = Slow::start(follow());
    followers.iter().for_each(|follower| follower.await_line(&ready));
    assert_eq!(slow.line().trim(), ready);
    let before = plane.memory();

    let began = Instant::now();
    go(round);
    await_all(service, &followers, &last, began);
    let more = plane.memory().saturating_sub(before);
    println!("{service}: one reader does not read, {} MiB more are used", more >> 20);
    assert!(more < MEMORY, "{} MiB more", more >> 20);
    plane.await_status("the node still online", |status| {
        let online = status["nodes"][0]["status"] == "online";
        if online { Ok(()) } else { Err(status["nodes"].to_string()) }
    });
    // The engine's own follower is there for its speed: Docker 20.10 may give it lines twice.
    for follower in followers.iter().filter(|follower| follower.what != "docker") {
        let text = fs::read_to_string(&follower.path).expect("the output is text");
        let json = follower.what == "http";
        whole(follower.what, round, text.lines().map(|line| read(line, json)));
    }
    let back = plane.ok(&["logs", "-n", &all, service]);
    whole("read back by the command line", round, back.lines().map(str::to_owned));
    let (status, back) = plane.api("GET", &format!("{api}tail={all}"), "");
    assert_eq!(status, 200);
    whole("read back by the API", round, back.lines().map(|line| read(line, true)));
    let late = slow.lines_to(&last);
    whole("who did not read for a while", round, late.into_iter());
}

/// Waits until each has the last line, and says how fast it was.
fn await_all(service: &str, followers: &[Follower], last: &str, began: Instant) {
    let mut missing: Vec<&Follower> = followers.iter().collect();
    until("the last line everywhere", PATIENCE, || {
        missing.retain(|follower| {
            let there = end_of(&follower.path).contains(last);
            if there {
                let rate = LINES as f64 / began.elapsed().as_secs_f64();
                println!("{service}: followed at {rate:.0} lines/s by {}", follower.what);
            }
            !there
        });
        match missing.first() {
            Some(follower) => Err(format!("{}: {}", follower.what, end_of(&follower.path))),
            None => Ok(()),
        }
    });
}

/// The text of a line; nothing of the one that ends a log.
fn read(line: &str, json: bool) -> String {
    if !json {
        return line.to_owned();
    }
    let value: Value = serde_json::from_str(line).expect("a line is JSON");
    match value["text"].as_str() {
        Some(text) => text.to_owned(),
        None => {
            assert_eq!(value["end"]["reason"], "complete", "{line}");
            format!("ready {line}")
        }
    }
}

/// Every line of the round, in order, and no other but those that say that a unit is ready.
fn whole(what: &str, round: u32, lines: impl Iterator<Item = String>) {
    let mut wanted = 1;
    for line in lines {
        let line = line.trim_end();
        if line.starts_with("ready ")
            || line.starts_with("round ") && wanted == 1 && {
                !line.starts_with(&format!("round {round} "))
            }
        {
            continue;
        }
        let text =
            format!("round {round} line {wanted:06} of a unit that says much in a short time");
        assert_eq!(line, text, "{what}");
        wanted += 1;
    }
    assert_eq!(wanted, LINES + 1, "{what}: so many lines and one");
}

/// A reader that reads when it is told to.
struct Slow {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Slow {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command line can be started");
        let output = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        Self { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("output can be read");
        line
    }

    fn lines_to(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::with_capacity(LINES);
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "it ended after {} lines", lines.len());
            let over = line.starts_with(last);
            lines.push(line);
            if over {
                return lines;
            }
        }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
