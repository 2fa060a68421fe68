//! A control plane and agents on a test bed, driven through the command line as a person would.
//!
//! Knows how they are started and asked. Refuses to look into their data.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    bed::Bed,
    oracles::records,
    process::{Background, binary, both, run},
    repo::Repo,
    wait::until,
};

/// How long anything on the bed may take: the machines are shared and slow at times.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// How an agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By SIGTERM, as a service manager does it.
    Asked,
    /// By `kill -9`.
    Killed,
}

/// A control plane in the fabric of a bed, following a repository.
pub struct Plane<'a> {
    bed: &'a Bed,
    dir: TempDir,
    source: PathBuf,
    server: Option<Background>,
    agents: BTreeMap<u32, Background>,
}

impl<'a> Plane<'a> {
    /// Starts a control plane that follows `repo`.
    pub fn start(bed: &'a Bed, repo: &Repo) -> Self {
        let mut plane = Self {
            bed,
            dir: tempfile::tempdir().expect("a directory"),
            source: repo.path().to_path_buf(),
            server: None,
            agents: BTreeMap::new(),
        };
        plane.boot();
        plane
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts the server (again) and waits until it answers.
    pub fn boot(&mut self) {
        let address = self.bed.addr(0);
        let mut command = self.bed.fabric(binary("devnet"));
        command
            .args(["serve", "--cluster", "bed"])
            .args(["--listen", &format!("{address}:7443"), "--name", &address])
            .arg("--data-dir")
            .arg(self.data())
            .arg("--source")
            .arg(&self.source)
            .args(["--poll", "30s", "--heartbeat", "500ms", "--adoption-grace", "5s"])
            // Libraries print what passes through them at this level, if they are let.
            .env("DEVNET_LOG", "trace");
        self.server = Some(Background::start(&mut command, &self.log_path("serve")));
        until("the control plane's start", PATIENCE, || {
            let output = self.devnet(&["status", "--json"]);
            if output.status.success() { Ok(()) } else { Err(self.explain(&both(&output))) }
        });
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.log"))
    }

    /// What the server and the agents printed.
    pub fn logs(&self) -> String {
        let mut all = String::new();
        if let Some(server) = &self.server {
            all.push_str(&server.output());
        }
        for agent in self.agents.values() {
            all.push_str(&agent.output());
        }
        all
    }

    /// What the agent of a host printed.
    pub fn agent_log(&self, host: u32) -> String {
        self.agents.get(&host).map(Background::output).unwrap_or_default()
    }

    /// Every event on record, oldest first.
    ///
    /// # Panics
    /// When they cannot be listed.
    pub fn events(&self) -> Vec<Value> {
        let listed = self.ok(&["get", "events", "--json"]);
        let mut events: Vec<Value> = serde_json::from_str(&listed).expect("events are JSON");
        events.reverse();
        events
    }

    /// The values of `field` in everything that a path of the API lists on its first page.
    ///
    /// # Panics
    /// When it lists nothing.
    pub fn listed(&self, path: &str, field: &str) -> BTreeSet<String> {
        let (status, body) = self.api("GET", path, "");
        assert_eq!(status, 200, "{path}: {body}");
        let page: Value = serde_json::from_str(&body).expect("a page is JSON");
        let items = page["items"].as_array().expect("a page has items");
        items.iter().filter_map(|item| item[field].as_str().map(str::to_owned)).collect()
    }

    fn explain(&self, what: &str) -> String {
        let tail = |text: String| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(60)..].join("\n")
        };
        let mut out = what.to_owned();
        if let Some(server) = &self.server {
            out.push_str(&format!("\n--- serve\n{}", tail(server.output())));
        }
        for (host, agent) in &self.agents {
            out.push_str(&format!("\n--- agent n{host}\n{}", tail(agent.output())));
        }
        out
    }

    /// Ends the server as `kill -9` does.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// The command line, in the repository, against this control plane.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bed.fabric("env");
        command
            .arg(format!("DEVNET_CONFIG={}", self.data().join("client.yaml").display()))
            .arg(binary("devnet"))
            .args(args)
            .current_dir(&self.source);
        command
    }

    /// Runs it to the end.
    pub fn devnet(&self, args: &[&str]) -> Output {
        run(&mut self.command(args))
    }

    /// Runs it with text on standard input.
    ///
    /// # Panics
    /// When it cannot be started or fails.
    pub fn devnet_with(&self, args: &[&str], input: &str) -> String {
        feed(&mut self.command(args), input)
    }

    /// Runs it, must succeed, and gives standard output.
    ///
    /// # Panics
    /// When it fails.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.devnet(args);
        assert!(output.status.success(), "devnet {args:?}\n{}", self.explain(&both(&output)));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Asks the API as a program would, with the admin's key, and gives the status and the body.
    ///
    /// # Panics
    /// When nobody answers.
    pub fn api(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let sent = self.dir.path().join("request.json");
        fs::write(&sent, body).expect("a request can be written");
        let mut command = self.curl(path);
        command
            .args(["--max-time", "120", "-X", method, "-w", "\n%{http_code}"])
            .args(["-H", "content-type: application/json", "--data-binary"])
            .arg(format!("@{}", sent.display()));
        let answer = feed(&mut command, "");
        let (body, code) = answer.rsplit_once('\n').expect("curl writes the status last");
        (code.parse().expect("a status is a number"), body.to_owned())
    }

    /// `curl` for a path of the API, with the admin's key.
    ///
    /// # Panics
    /// When the control plane left no key.
    pub fn curl(&self, path: &str) -> Command {
        let client = fs::read_to_string(self.data().join("client.yaml")).expect("client.yaml");
        let token = client.lines().find_map(|line| line.strip_prefix("token:"));
        let token = token.expect("client.yaml has a token").trim().trim_matches(['"', '\'']);
        let header = self.dir.path().join("header");
        fs::write(&header, format!("authorization: Bearer {token}\n")).expect("a header");
        let mut command = self.bed.fabric("curl");
        command
            .args(["-sSN", "--cacert"])
            .arg(self.data().join("pki").join("ca.pem"))
            .arg("-H")
            .arg(format!("@{}", header.display()))
            .arg(format!("https://{}:7443{path}", self.bed.addr(0)));
        command
    }

    /// How much memory the server and the agents take, in bytes.
    pub fn memory(&self) -> u64 {
        let ours = self.dir.path().display().to_string();
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        let resident = |entry: fs::DirEntry| {
            let program = fs::read_link(entry.path().join("exe")).ok()?;
            let name = program.file_name()?.to_str()?.to_owned();
            let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
            if !["devnet", "devnet-agent"].contains(&name.as_str()) || !line.contains(&ours) {
                return None;
            }
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            rss.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib << 10)
        };
        pids.filter_map(resident).sum()
    }

    /// `devnet status --json`; an error when nobody answers.
    pub fn status(&self) -> Result<Value, String> {
        let output = self.devnet(&["status", "--json"]);
        if !output.status.success() {
            return Err(both(&output));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
    }

    /// Joins host `host` as node `n<host>` and starts its agent.
    pub fn join(&mut self, host: u32) {
        let token = self.ok(&["node", "token", "--node", &format!("n{host}")]);
        let server = format!("https://{}:7443", self.bed.addr(0));
        let mut command = self.bed.on(host, binary("devnet-agent"));
        command
            .args(["join", "--server", &server, "--name", &format!("n{host}")])
            .args(["--token-file", "-"])
            .arg("--data-dir")
            .arg(self.agent_dir(host));
        feed(&mut command, &token);
        self.run_agent(host);
    }

    /// The data directory of a host's agent.
    pub fn agent_dir(&self, host: u32) -> PathBuf {
        self.dir.path().join(format!("agent-{host}"))
    }

    /// Ends the agent of a host, waits until it is gone, and starts it again.
    ///
    /// # Panics
    /// When it does not end.
    pub fn restart_agent(&mut self, host: u32, ending: Ending) {
        self.stop_agent(host, ending);
        self.run_agent(host);
    }

    /// Ends the agent of a host and waits until it is gone.
    ///
    /// # Panics
    /// When it does not end.
    pub fn end_agent(&mut self, host: u32) {
        self.stop_agent(host, Ending::Asked);
    }

    fn stop_agent(&mut self, host: u32, ending: Ending) {
        if let Some(mut agent) = self.agents.remove(&host) {
            match ending {
                Ending::Asked => agent.terminate(),
                Ending::Killed => agent.kill(),
            }
        }
        // What was killed is the command on this side; the agent goes a moment later.
        until("the end of the agent", PATIENCE, || {
            let mut free = self.bed.on(host, "flock");
            let output = run(free.arg("-n").arg(self.agent_dir(host).join("lock")).arg("true"));
            if output.status.success() { Ok(()) } else { Err(both(&output)) }
        });
    }

    /// Starts the agent of a host that has joined.
    pub fn run_agent(&mut self, host: u32) {
        self.run_agent_with(host, &[]);
    }

    /// The same, with variables (`NAME=VALUE`) that only it has.
    pub fn run_agent_with(&mut self, host: u32, environment: &[&str]) {
        let mut command = self.bed.on(host, "env");
        command.args(environment).arg(binary("devnet-agent"));
        command.arg("run").arg("--data-dir").arg(self.agent_dir(host)).env("DEVNET_LOG", "trace");
        let agent = Background::start(&mut command, &self.log_path(&format!("agent-{host}")));
        self.agents.insert(host, agent);
    }

    /// Waits until `check` accepts the status, and gives it.
    pub fn await_status(&self, what: &str, check: impl Fn(&Value) -> Result<(), String>) -> Value {
        until(what, PATIENCE, || {
            let status = self.status()?;
            match check(&status) {
                Ok(()) => Ok(status),
                Err(why) => Err(self.explain(&format!("{why}\n{status:#}"))),
            }
        })
    }

    /// Waits until `commit` is applied and every instance is healthy.
    pub fn await_applied(&self, commit: &str) -> Value {
        self.await_status(&format!("the apply of {commit}"), |status| {
            let verdict = records::converged(status, commit);
            if verdict.holds() { Ok(()) } else { Err(verdict.findings.join("\n")) }
        })
    }

    /// Where the files of this control plane and its agents are.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Whether every service has all its instances healthy, and says which has not.
pub fn all_healthy(status: &Value) -> Result<(), String> {
    let services = status["services"].as_array().ok_or("no services")?;
    for service in services {
        if service["healthy"] != service["desired"] {
            return Err(format!(
                "{} of {} healthy: {}",
                service["healthy"], service["desired"], service["name"]
            ));
        }
    }
    if services.is_empty() { Err("no services".to_owned()) } else { Ok(()) }
}

/// Runs `command` with `input` on standard input; it must succeed. Gives standard output.
fn feed(command: &mut Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    stdin.write_all(input.as_bytes()).expect("standard input can be written");
    drop(stdin);
    let output = child.wait_with_output().expect("the child can be waited for");
    assert!(output.status.success(), "{command:?}\n{}", both(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
