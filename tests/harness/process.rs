//! Child processes that end with the test, and what they printed.
//!
//! Knows spawning and killing. Refuses to leave anything running.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// A binary of this workspace, built beside the test that runs.
///
/// # Panics
/// When it was not built: `cargo build --workspace --bins` does.
pub fn binary(name: &str) -> PathBuf {
    let me = env::current_exe().expect("a test knows its own path");
    let dir = me.parent().and_then(Path::parent).expect("tests stand in target/PROFILE/deps");
    let path = dir.join(name);
    assert!(path.exists(), "{} is not built: run cargo build --workspace --bins", path.display());
    path
}

/// Runs to the end and gives what was printed.
///
/// # Panics
/// When it cannot be started.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs to the end, must succeed, and gives standard output.
///
/// # Panics
/// When it fails, with all that it printed.
pub fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?} failed\n{}", both(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Both streams, for messages.
pub fn both(output: &Output) -> String {
    format!(
        "exit {:?}\n--- stdout\n{}\n--- stderr\n{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A process in the background, killed when dropped, its output in a file.
pub struct Background {
    child: Child,
    log: PathBuf,
}

impl Background {
    /// Starts `command` with both streams going to `log` (appended).
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let file =
            File::options().create(true).append(true).open(log).expect("a log can be opened");
        let twin = file.try_clone().expect("a log has two ends");
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(twin)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log: log.to_path_buf() }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, as Ctrl-C does, and waits until it has.
    pub fn stop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.child.wait();
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    pub fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.kill();
    }
}
