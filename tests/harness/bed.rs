//! The test bed: real Docker hosts on one machine, by tests/bed/bed.sh.
//!
//! Knows its commands. Refuses to skip in silence: without the bed a test says so loudly.

use std::{
    env,
    path::PathBuf,
    process::{ChildStdin, Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    process::{run, succeed},
    tree,
};

/// Whether `make test` prepared the bed. Says so where it did not.
pub fn is_ready(test: &str) -> bool {
    let ready = env::var_os("DEVNET_BED").is_some_and(|value| value == "1");
    if !ready {
        eprintln!(
            "\n*** SKIPPED: {test} needs real Docker hosts. Run `make test` as root, or build the \
             images with tests/bed/images.sh and set DEVNET_BED=1.\n"
        );
    }
    ready
}

/// A bed; it goes away with the value, and with this process however that ends.
pub struct Bed {
    dir: TempDir,
    net: String,
    /// The bed ends by itself when this pipe closes.
    lease: Option<ChildStdin>,
}

impl Bed {
    /// A fresh bed with hosts 1 to `hosts` on 10.`net`.0/24.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn up(hosts: u32, net: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut bed = Self { dir, net: net.to_owned(), lease: None };
        let mut child = bed
            .script("up")
            .arg(hosts.to_string())
            .env("BED_LEASE", "1")
            .stdin(Stdio::piped())
            .spawn()
            .expect("bed.sh can be started");
        bed.lease = child.stdin.take();
        let status = child.wait().expect("bed.sh can be waited for");
        assert!(status.success(), "the bed did not come up");
        bed
    }

    fn script(&self, verb: &str) -> Command {
        let mut command = Command::new(tree::root().join("tests/bed/bed.sh"));
        command.arg(verb).env("BED_DIR", self.dir.path().join("bed")).env("BED_NET", &self.net);
        command
    }

    /// A command on host `host`.
    pub fn on(&self, host: u32, program: impl Into<PathBuf>) -> Command {
        let mut command = self.script("in");
        command.arg(host.to_string()).arg(program.into());
        command
    }

    /// A command beside the hosts.
    pub fn fabric(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = self.script("fabric");
        command.arg(program.into());
        command
    }

    /// The address of a host; 0 is the fabric's.
    ///
    /// # Panics
    /// When the bed is not up.
    pub fn addr(&self, host: u32) -> String {
        succeed(self.script("addr").arg(host.to_string())).trim().to_owned()
    }

    /// `crash`, `boot`, `cut`, `heal` or `wait` for a host.
    ///
    /// # Panics
    /// When the script fails.
    pub fn fault(&self, verb: &str, host: u32) {
        succeed(self.script(verb).arg(host.to_string()));
    }

    /// The docker command against the engine of a host.
    ///
    /// # Panics
    /// When it fails.
    pub fn docker(&self, host: u32, args: &[&str]) -> String {
        succeed(&mut self.docker_command(host, args)).trim().to_owned()
    }

    /// What a program says on a host: `docker` as [`Self::docker`] runs it, any other there.
    ///
    /// # Panics
    /// When it fails.
    pub fn ask(&self, host: u32, program: &str, args: &[&str]) -> String {
        match program {
            "docker" => self.docker(host, args),
            other => succeed(self.on(host, other).args(args)),
        }
    }

    /// [`Self::docker`], not run yet.
    ///
    /// # Panics
    /// When the bed is not up.
    pub fn docker_command(&self, host: u32, args: &[&str]) -> Command {
        let socket = succeed(self.script("sock").arg(host.to_string()));
        let mut command = Command::new("docker");
        command.arg("-H").arg(format!("unix://{}", socket.trim())).args(args);
        command
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        drop(self.lease.take());
        let output = run(&mut self.script("down"));
        if !output.status.success() {
            eprintln!("the bed did not go down: {}", crate::process::both(&output));
        }
    }
}
