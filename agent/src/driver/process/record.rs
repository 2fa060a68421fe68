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
    instance::{Generation, InstanceSpec, Runtime},
    name::InstanceId,
    observed::HeldVolume,
};
use serde::{Deserialize, Serialize};

use super::{cgroup::Cgroup, child::Mark};
use crate::{
    driver::{DriverError, Job, Volumes, uses::Uses},
    identity::{Point, Watcher, write_atomic_watched},
};

/// One process unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// As which generation it was started.
    pub generation: Generation,
    /// Digest of the spec.
    pub digest: Digest,
    /// The spec; secrets are references.
    #[serde(with = "shared")]
    pub spec: Arc<InstanceSpec>,
    /// What its processes carry. Written down before they are started, so that an agent that was
    /// killed in between finds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The cgroup they are in, where they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Cgroup>,
    /// It is being removed: whoever finds it finishes that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ending: bool,
    /// It was to run once, and ended with 0.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) completed: bool,
    /// The first process, when one was started and that could be written down.
    pub process: Option<Mark>,
    /// How often it was started again.
    pub restarts: u32,
}

/// A shared value is written as itself.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        it: &Arc<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        (**it).serialize(to)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<Arc<T>, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        T::deserialize(from).map(Arc::new)
    }
}

impl Record {
    /// The record of a job that has no process yet.
    pub(super) fn of(job: &Job) -> Self {
        Self {
            generation: job.generation,
            digest: job.digest.clone(),
            spec: job.spec.clone(),
            nonce: None,
            cgroup: None,
            ending: false,
            completed: false,
            process: None,
            restarts: 0,
        }
    }

    /// Whether it was started before, as far as its directory was laid out.
    pub(super) fn has_run(&self) -> bool {
        self.nonce.is_some()
    }
}

/// The directories of one instance.
#[derive(Debug, Clone)]
pub(super) struct Home {
    root: PathBuf,
}

impl Home {
    /// Those of `id` below the agent's data directory.
    pub(super) fn new(data_dir: &Path, id: &InstanceId) -> Self {
        Self { root: data_dir.join("instances").join(id.slug()) }
    }

    /// All of them are in this one.
    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    /// The unit's working directory.
    pub(super) fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Where its output goes.
    pub(super) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Writes the record; `watcher` is told of each point of that.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn save(&self, record: &Record, watcher: &Watcher) -> Result<(), DriverError> {
        let bytes = serde_json::to_vec(record).map_err(io::Error::from);
        bytes.map_err(anyhow::Error::from).and_then(|bytes| self.write(&bytes, watcher)).map_err(
            |error| {
                DriverError::failed(
                    format!("the record of {} cannot be written", record.spec.id),
                    format!("{error:#}"),
                    "check that the disk has room and is not read-only",
                )
            },
        )
    }

    fn write(&self, bytes: &[u8], watcher: &Watcher) -> anyhow::Result<()> {
        write_atomic_watched(&self.root.join(FILE), bytes, 0o600, watcher)
    }

    /// Removes everything but the volumes; `watcher` is told of the moment before.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn remove(&self, watcher: &Watcher) -> Result<(), DriverError> {
        let removed = watcher(Point::Begin).and_then(|()| fs::remove_dir_all(&self.root));
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DriverError::failed(
                format!("the directory {} cannot be removed", self.root.display()),
                error,
                "remove it by hand and apply again",
            )),
            _ => Ok(()),
        }
    }

    /// As [`Home::remove`], where the record is still the one of this start that ends. Whatever
    /// else was written there meanwhile stays.
    ///
    /// # Errors
    /// As there.
    pub(super) fn remove_ending(
        &self,
        ending: &Record,
        watcher: &Watcher,
    ) -> Result<(), DriverError> {
        match load(&self.root) {
            Some(Found::Whole(record)) if record.ending && record.nonce == ending.nonce => {
                self.remove(watcher)
            }
            Some(_) => {
                tracing::warn!(instance = %ending.spec.id, "a record was written anew; it stays");
                Ok(())
            }
            None => self.remove(watcher),
        }
    }

    /// What stands there now.
    pub(super) fn found(&self) -> Option<Found> {
        load(&self.root)
    }
}

/// Where the data of one of an instance's volumes lies. It outlives the instance.
pub(super) fn volume_dir(data_dir: &Path, owner: &InstanceId, name: &str) -> PathBuf {
    data_dir.join("volumes").join(owner.slug()).join(name)
}

/// Every volume below the data directory, in order, with who `uses` each. What has another name was
/// not made by an agent.
///
/// # Errors
/// When it cannot be seen which there are.
pub(super) fn volumes(data_dir: &Path, uses: &Uses) -> Result<Volumes, DriverError> {
    let root = data_dir.join("volumes");
    let explain = |error: io::Error| {
        DriverError::failed(
            format!("the volumes in {} cannot be listed", root.display()),
            error,
            "check the disk, and that the agent may read the directory",
        )
    };
    let mut own = Vec::new();
    for (owner, dir) in directories(&root).map_err(explain)? {
        let Ok(instance) = owner.parse::<InstanceId>() else { continue };
        for (name, _) in directories(&dir).map_err(explain)? {
            let user = uses.of_instance(&instance, &name).filter(|user| **user != instance);
            let (user, instance) = (user.cloned(), instance.clone());
            own.push(HeldVolume { instance, name, runtime: Runtime::Process, user });
        }
    }
    own.sort();
    Ok(Volumes { own, shared: Vec::new() })
}

/// The directories in one, by name; none where that is not there. A link to one counts: somebody
/// put the data on another disk.
fn directories(root: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && fs::metadata(entry.path()).is_ok_and(|it| it.is_dir())
        {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

/// What was found in one directory below `instances`.
pub(super) enum Found {
    /// A record that reads.
    Whole(Record),
    /// One that does not: what runs of that instance is not known.
    Damaged(Damage),
}

/// A record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    /// Whose, by the name of its directory.
    pub id: InstanceId,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// Every record below the data directory, in order. One that cannot be read hides no other.
///
/// # Errors
/// When it cannot be seen which there are.
pub(super) fn load_all(data_dir: &Path) -> Result<Vec<Found>, DriverError> {
    let root = data_dir.join("instances");
    let explain = |error: io::Error| {
        DriverError::failed(
            format!("the records in {} cannot be listed", root.display()),
            error,
            "check the disk, and that the agent may read the directory",
        )
    };
    let entries = match fs::read_dir(&root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(explain)?,
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(explain)?.path());
    }
    paths.sort();
    Ok(paths.iter().filter_map(|path| load(path)).collect())
}

fn load(dir: &Path) -> Option<Found> {
    let path = dir.join(FILE);
    // What has another name was not made by an agent.
    let id: InstanceId = dir.file_name()?.to_str()?.parse().ok()?;
    let read = match fs::read(&path) {
        // Made, and killed before the intent was written: no process was started.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => Err(error.to_string()),
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
    };
    // A record may read and yet be of something else.
    let read = read.and_then(|record: Record| match record.spec.id == id {
        true => Ok(record),
        false => Err(format!("it is the record of {}", record.spec.id)),
    });
    Some(match read {
        Ok(record) => Found::Whole(record),
        Err(why) => Found::Damaged(Damage { id, path, why }),
    })
}

/// The name of a record.
const FILE: &str = "unit.json";
