//! A git repository made for a test, by the git that people use.
//!
//! Knows commits. Refuses to read the user's own git configuration.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::process::succeed;

/// A repository with one branch, `main`.
pub struct Repo {
    dir: TempDir,
}

impl Repo {
    /// An empty one.
    ///
    /// # Panics
    /// When git cannot make it.
    pub fn new() -> Self {
        let repo = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs git in it and gives its output.
    ///
    /// # Panics
    /// When git fails.
    pub fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=test", "-c", "user.email=test@devnet.invalid"])
            .args(args)
            .current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        succeed(&mut command).trim().to_owned()
    }

    /// Writes a file.
    ///
    /// # Panics
    /// When it cannot.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("a file can be written");
    }

    /// Writes a file, commits everything and gives the commit's id.
    ///
    /// # Panics
    /// When git fails.
    pub fn commit(&self, name: &str, text: &str, message: &str) -> String {
        self.write(name, text);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }
}

impl Default for Repo {
    fn default() -> Self {
        Self::new()
    }
}
