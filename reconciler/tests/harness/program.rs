//! The real `devnet`, under way against a control plane in this process.
//!
//! Knows what it prints and how it ends. Refuses to wait for time: it waits for what is said, and
//! for the end.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use super::{DEADLINE, Plane, until};

/// `devnet`, and what it said on standard error so far.
pub struct Devnet {
    pub child: Child,
    said: Arc<Mutex<String>>,
}

impl Devnet {
    pub fn start(plane: &Plane, dir: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devnet"));
        command.args(args).current_dir(dir).env("DEVNET_CONFIG", plane.running.client_file());
        Self::spawn(&mut command)
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, heard) = (child.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                heard.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self { child, said }
    }

    /// Against an address where nobody may be, with the context that a control plane left.
    pub fn at(dir: &Path, address: std::net::SocketAddr, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devnet"));
        command
            .args(args)
            .current_dir(dir)
            .env("DEVNET_CONFIG", dir.join("data/client.yaml"))
            .env("DEVNET_ADDR", format!("https://{address}"));
        Self::spawn(&mut command)
    }

    /// All that it said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it says this.
    pub async fn says(&self, part: &str) {
        until(&format!("it says {part:?}"), || async {
            self.said.lock().unwrap().contains(part).then_some(())
        })
        .await;
    }

    pub fn signal(&self, signal: libc::c_int) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: a plain system call; the process is our child and not yet waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// How it ended, and its standard output.
    pub async fn ended(&mut self) -> (ExitStatus, String) {
        let mut stdout = self.child.stdout.take().unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        let text = tokio::time::timeout(DEADLINE, reading).await.unwrap().unwrap();
        let child = Mutex::new(&mut self.child);
        let status =
            until("the command ends", || async { child.lock().unwrap().try_wait().unwrap() });
        (status.await, text.unwrap())
    }
}

/// The lines of standard output, as they come.
pub struct Lines(tokio::sync::mpsc::UnboundedReceiver<String>);

impl Lines {
    /// The next one.
    pub async fn next(&mut self) -> String {
        let line = tokio::time::timeout(DEADLINE, self.0.recv()).await;
        line.expect("a line in time").expect("a line before the end")
    }
}

/// Reads a program's standard output line by line.
pub fn lines(of: &mut Devnet) -> Lines {
    let stdout = of.child.stdout.take().unwrap();
    let (lines, read) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    Lines(read)
}
