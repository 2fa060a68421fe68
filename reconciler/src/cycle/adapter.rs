//! What a face hears when an adapter (records, secrets, the fleet) could not do its part.
//!
//! Knows what whoever asked can do about it. Refuses to pass on what only the log is for: that
//! stays in the source.

use crate::{fleet::FleetError, secrets::SecretsError, store::StoreError};

/// Why something was not looked up or changed.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// It was not asked for as it should be.
    #[error("{0}")]
    Asked(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// Something newer was ordered since.
    #[error("{0}")]
    Overtaken(String),
    /// As much as may be is going on at the same time.
    #[error("{0}")]
    Busy(String),
    /// The node's agent is not there, or does not listen.
    #[error("{0}")]
    Unreachable(String),
    /// The node's agent could not take it.
    #[error("{0}")]
    Untaken(String),
    /// It is the control plane's own failure.
    #[error("{act}")]
    Failed {
        /// What was being done.
        act: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<StoreError> for AdapterError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Cursor(_) => Self::Asked(error.to_string()),
            StoreError::Missing { .. } => Self::Missing(error.to_string()),
            StoreError::StaleGeneration { .. } => Self::Overtaken(error.to_string()),
            _ => Self::Failed { act: "using the records", source: error.into() },
        }
    }
}

impl From<SecretsError> for AdapterError {
    fn from(error: SecretsError) -> Self {
        match &error {
            SecretsError::Value { .. } => Self::Asked(error.to_string()),
            SecretsError::Missing(_) | SecretsError::VersionMissing { .. } => {
                Self::Missing(error.to_string())
            }
            _ => Self::Failed { act: "using the secrets", source: error.into() },
        }
    }
}

impl From<FleetError> for AdapterError {
    fn from(error: FleetError) -> Self {
        let text = error.to_string();
        match error {
            FleetError::ManyReaders(_) | FleetError::ManyReadersOf(_) => Self::Busy(text),
            FleetError::NotConnected(_) | FleetError::Stuck(_) => Self::Unreachable(text),
            FleetError::TooLarge { .. } => Self::Untaken(text),
        }
    }
}
