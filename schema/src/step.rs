//! Steps: what an agent is told to do, and what it says about it.
//!
//! A step carries everything it needs and says *ensure*: running it twice is harmless. Refuses to
//! know in which order steps run beyond `after`.

use serde::{Deserialize, Serialize};

use crate::{
    instance::{Generation, InstanceSpec},
    name::{InstanceId, NodeName},
    quantity::Period,
};

/// Names a step within its plan: `db[0]/start`.
pub type StepId = String;

/// One thing to do on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Unique within the plan.
    pub id: StepId,
    /// Which instance it is about.
    pub instance: InstanceId,
    /// Who does it.
    pub node: NodeName,
    /// The agent refuses one older than it has seen of this instance.
    pub generation: Generation,
    /// What to do.
    pub act: Act,
    /// Steps that must have succeeded before.
    #[serde(default)]
    pub after: Vec<StepId>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Act {
    /// Get ready without touching what runs: pull the image, check the program and the ports, ask
    /// for the secrets. Whatever can fail should fail here, while the old version still serves.
    Prepare {
        /// What will run.
        spec: Box<InstanceSpec>,
    },
    /// Make exactly this run: replace an older unit, leave one with the same digest alone. When
    /// the new unit cannot be started, the old one is started again.
    Ensure {
        /// What runs afterwards.
        spec: Box<InstanceSpec>,
    },
    /// Wait until the instance is healthy.
    AwaitHealthy {
        /// Give up after this long.
        timeout: Period,
    },
    /// Stop and remove the unit. Named volumes stay.
    Remove,
}

impl Act {
    /// Whether the step changes nothing: it waits for what runs, or is starting, under an order
    /// that was given before. It belongs to no change and carries no new generation.
    pub fn only_waits(&self) -> bool {
        matches!(self, Self::AwaitHealthy { .. })
    }

    /// Whether the step says what its node is to run from now on.
    pub fn is_order(&self) -> bool {
        matches!(self, Self::Ensure { .. })
    }

    /// The word for progress lines.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Prepare { .. } => "prepare",
            Self::Ensure { .. } => "start",
            Self::AwaitHealthy { .. } => "await-healthy",
            Self::Remove => "remove",
        }
    }
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum StepState {
    /// Begun, or still going: what is being done now.
    Running {
        /// For people, e.g. `pulling postgres:16, 40 of 120 MiB`.
        message: String,
    },
    /// Done.
    Succeeded {
        /// For people; empty when there is nothing to add.
        message: String,
    },
    /// Not done, and what that was because of.
    Failed {
        /// What failed and what to do next. Never holds a secret's value.
        error: String,
    },
}

/// What an agent says about a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// The run of a plan it belongs to.
    pub deployment: String,
    /// Which step.
    pub step: StepId,
    /// How far it is.
    #[serde(flatten)]
    pub state: StepState,
}
