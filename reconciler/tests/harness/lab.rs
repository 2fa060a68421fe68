//! The set-up that most tests begin with: the cluster `lab` with a control plane and the node `n1`.
//!
//! Knows one node. Refuses to know what runs there: a test says so.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{Agent, Plane, Repository, config, program::Devnet, until};

/// A control plane of the cluster `lab`, its node `n1`, and a directory for both.
pub struct Lab {
    pub plane: Plane,
    pub agent: Agent,
    pub dir: TempDir,
}

impl Lab {
    /// One that follows nothing: who plans and applies sends the files.
    pub async fn by_hand() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start(dir, None).await
    }

    /// One that follows a repository.
    pub async fn following() -> (Self, Repository) {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::new(dir.path().join("repository"));
        (Self::start(dir, Some(&repository)).await, repository)
    }

    async fn start(dir: TempDir, repository: Option<&Repository>) -> Self {
        let mut config = config(dir.path(), repository);
        config.cluster = Some("lab".parse().unwrap());
        let plane = Plane::start(config).await;
        let agent = Agent::join(&plane, "n1").await;
        Self { plane, agent, dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Has this as the cluster file in the directory where commands run.
    pub fn write(&self, text: &str) {
        fs::write(self.path().join("cluster.kdl"), text).unwrap();
    }

    /// `devnet`, in that directory.
    pub fn devnet(&self, args: &[&str]) -> Devnet {
        Devnet::start(&self.plane, self.path(), args)
    }

    /// Waits until this step was sent to the node.
    pub async fn is_sent(&self, step: &str) {
        until(&format!("{step} is sent"), || async {
            self.agent.machine().steps.iter().any(|sent| sent == step).then_some(())
        })
        .await;
    }
}
