//! What is kept on the disk about each process, so that the next agent finds it again.
//!
//! Knows the layout below the data directory. Refuses to hold a secret's value.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use devnet_schema::{
    digest::Digest,
    instance::{Generation, InstanceSpec},
    name::InstanceId,
};
use serde::{Deserialize, Serialize};

use super::child::Mark;
use crate::{
    driver::{DriverError, Job},
    identity::write_atomic,
};

/// One process unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// As which generation it was started.
    pub generation: Generation,
    /// Digest of the spec.
    pub digest: Digest,
    /// The spec; secrets are references.
    #[serde(with = "shared")]
    pub spec: Arc<InstanceSpec>,
    /// The process, when one was started.
    pub process: Option<Mark>,
    /// How often it was started again.
    pub restarts: u32,
}

/// A shared value is written as itself.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(it: &Arc<T>, to: S) -> Result<S::Ok, S::Error> {
        (**it).serialize(to)
    }

    pub fn deserialize<'de, T, D>(from: D) -> Result<Arc<T>, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        T::deserialize(from).map(Arc::new)
    }
}

impl Record {
    /// The record of a job that has no process yet.
    pub fn of(job: &Job) -> Self {
        Self {
            generation: job.generation,
            digest: job.digest.clone(),
            spec: job.spec.clone(),
            process: None,
            restarts: 0,
        }
    }
}

/// The directories of one instance.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// Those of `id` below the agent's data directory.
    pub fn new(data_dir: &Path, id: &InstanceId) -> Self {
        Self { root: data_dir.join("instances").join(id.slug()) }
    }

    /// The unit's working directory.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Where its output goes.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Writes the record.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, record: &Record) -> Result<(), DriverError> {
        let bytes = serde_json::to_vec(record).map_err(io::Error::from);
        bytes
            .map_err(anyhow::Error::from)
            .and_then(|bytes| write_atomic(&self.root.join("unit.json"), &bytes, 0o600))
            .map_err(|error| {
                DriverError::failed(
                    format!("the record of {} cannot be written", record.spec.id),
                    format!("{error:#}"),
                    "check that the disk has room and is not read-only",
                )
            })
    }

    /// Removes everything but the volumes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// Where the data of one of an instance's volumes lies. It outlives the instance.
pub fn volume_dir(data_dir: &Path, owner: &InstanceId, name: &str) -> PathBuf {
    data_dir.join("volumes").join(owner.slug()).join(name)
}

/// Every record below the data directory; what cannot be read is named and left alone.
pub fn load_all(data_dir: &Path) -> Result<Vec<Record>, DriverError> {
    let root = data_dir.join("instances");
    let explain = |path: &Path, error: &dyn std::fmt::Display| {
        DriverError::failed(
            format!("the record {} cannot be read", path.display()),
            error,
            "restore the file, or move its directory away after ending the process by hand",
        )
    };
    let entries = match fs::read_dir(&root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| explain(&root, &error))?,
    };
    let mut records = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| explain(&root, &error))?.path().join("unit.json");
        match fs::read(&path) {
            // Made, and killed before the record was written: no process was started.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(explain(&path, &error)),
            Ok(bytes) => {
                let record: Record =
                    serde_json::from_slice(&bytes).map_err(|error| explain(&path, &error))?;
                records.push(record);
            }
        }
    }
    records.sort_by(|a, b| a.spec.id.cmp(&b.spec.id));
    Ok(records)
}
