//! Which instance used each volume last, for the time when nobody else knows it any more.
//!
//! Knows one small file of each driver in the data directory, written before a unit starts, and
//! so which volumes there were. Refuses to guess where it cannot be read, and to know where the
//! volumes themselves are.
//!
//! A volume is named after the instance that it was made for. When its service is renamed with
//! `moved`, it keeps that name: once the records of the control plane are lost, only this file says
//! that `volumes/na-0/data` is the data of `nb[0]` by now.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use devnet_schema::{
    instance::{InstanceSpec, Runtime, VolumeSpec},
    name::{InstanceId, ServiceName},
};
use serde::{Deserialize, Serialize};

use super::{DriverError, Volumes};
use crate::identity::write_atomic;

/// Who used what, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Uses {
    /// Of the volumes of instances, by the instance that each was made for and its name.
    own: BTreeMap<InstanceId, BTreeMap<String, InstanceId>>,
    /// Of the volumes of projects, by project and name: where each instance saw it last.
    shared: BTreeMap<ServiceName, BTreeMap<String, BTreeMap<InstanceId, String>>>,
}

impl Uses {
    /// Who used the volume of an instance last, where that is known.
    pub fn of_instance(&self, owner: &InstanceId, name: &str) -> Option<&InstanceId> {
        self.own.get(owner)?.get(name)
    }

    /// Who used the volume of a project, where that is known.
    pub fn of_project(
        &self,
        project: &ServiceName,
        name: &str,
    ) -> Option<&BTreeMap<InstanceId, String>> {
        self.shared.get(project)?.get(name)
    }

    /// The instance uses this volume from now on.
    fn used(&mut self, id: &InstanceId, volume: &VolumeSpec, shared: Option<&ServiceName>) {
        let name = volume.name.clone();
        match shared {
            Some(project) => {
                let users = self.shared.entry(project.clone()).or_default().entry(name);
                users.or_default().insert(id.clone(), volume.path.clone());
            }
            None => {
                let owner = volume.owner(id).clone();
                self.own.entry(owner).or_default().insert(name, id.clone());
            }
        }
    }

    fn is_known(&self, id: &InstanceId, volume: &VolumeSpec, shared: Option<&ServiceName>) -> bool {
        match shared {
            Some(project) => {
                self.of_project(project, &volume.name).is_some_and(|users| users.contains_key(id))
            }
            None => self.of_instance(volume.owner(id), &volume.name).is_some(),
        }
    }
}

/// The file of one driver.
pub struct UsesFile {
    path: PathBuf,
    runtime: Runtime,
    writing: Mutex<()>,
    /// Volumes that are not there any more, of which whoever gives the orders was told.
    told: Mutex<BTreeSet<Place>>,
}

/// Whose volume, an instance's or a project's, and its name within that.
type Place = (String, String);

fn place_of(id: &InstanceId, volume: &VolumeSpec, shared: Option<&ServiceName>) -> Place {
    let owner = shared.map_or_else(|| volume.owner(id).to_string(), ToString::to_string);
    (owner, volume.name.clone())
}

impl UsesFile {
    /// That of a driver, below the agent's data directory.
    pub fn new(data_dir: &Path, runtime: Runtime) -> Self {
        let path = data_dir.join(format!("volume-uses.{}.json", runtime.as_str()));
        Self { path, runtime, writing: Mutex::default(), told: Mutex::default() }
    }

    /// What it says.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<Uses, DriverError> {
        let read = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Uses::default()),
            Err(error) => Err(error.to_string()),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
        };
        read.map_err(|error| {
            let path = self.path.display();
            DriverError::failed(
                format!("{path}, which says whose data is in volumes, cannot be read"),
                error,
                "restore it, or remove it: each volume is then the data of the instance it was \
                 made for",
            )
        })
    }

    /// These volumes are there, which whoever gives the orders is told: of the others that there
    /// were it knows from now on that they are gone, and may order to start without them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn listed(&self, there: &Volumes) -> Result<(), DriverError> {
        let uses = self.read()?;
        let there = places(there);
        let own = uses
            .own
            .iter()
            .flat_map(|(owner, names)| names.keys().map(|name| (owner.to_string(), name.clone())));
        let shared = uses.shared.iter().flat_map(|(project, names)| {
            names.keys().map(|name| (project.to_string(), name.clone()))
        });
        let gone = own.chain(shared).filter(|place| !there.contains(place)).collect();
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = gone;
        Ok(())
    }

    /// Refuses to start a unit on volumes that would be made anew, where there were some that are
    /// gone and nobody who gives orders was told of that yet.
    ///
    /// # Errors
    /// When it is so, or the file cannot be read.
    pub fn none_gone(&self, spec: &InstanceSpec, there: &Volumes) -> Result<(), DriverError> {
        let (uses, there) = (self.read()?, places(there));
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for volume in &spec.volumes {
            let shared = volume.project.as_ref().filter(|_| self.runtime == Runtime::Docker);
            let place = place_of(&spec.id, volume, shared);
            let known = match shared {
                Some(project) => uses.of_project(project, &volume.name).is_some(),
                None => uses.of_instance(volume.owner(&spec.id), &volume.name).is_some(),
            };
            if known && !there.contains(&place) && !told.contains(&place) {
                return Err(gone(
                    &volume.name,
                    &spec.id,
                    "it was on this node and is not any more",
                ));
            }
        }
        Ok(())
    }

    /// A unit is about to be started: its instance uses its volumes from now on. It is on the disk
    /// before this returns.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn starts(&self, spec: &InstanceSpec) -> Result<(), DriverError> {
        self.note(std::iter::once(spec), |_, _, _, _| true)
    }

    /// These units are there: where nothing is known of a volume of theirs, an earlier agent did
    /// not write it down.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn found<'s>(
        &self,
        specs: impl Iterator<Item = &'s InstanceSpec>,
    ) -> Result<(), DriverError> {
        self.note(specs, |uses, id, volume, shared| !uses.is_known(id, volume, shared))
    }

    fn note<'s>(
        &self,
        specs: impl Iterator<Item = &'s InstanceSpec>,
        counts: impl Fn(&Uses, &InstanceId, &VolumeSpec, Option<&ServiceName>) -> bool,
    ) -> Result<(), DriverError> {
        let mut specs = specs.filter(|spec| !spec.volumes.is_empty()).peekable();
        if specs.peek().is_none() {
            return Ok(());
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.read()?;
        let mut uses = before.clone();
        for spec in specs {
            for volume in &spec.volumes {
                // Processes have no volumes of projects.
                let shared = volume.project.as_ref().filter(|_| self.runtime == Runtime::Docker);
                if counts(&uses, &spec.id, volume, shared) {
                    uses.used(&spec.id, volume, shared);
                }
            }
        }
        if uses == before {
            return Ok(());
        }
        let written = serde_json::to_vec(&uses).map_err(anyhow::Error::from);
        written.and_then(|bytes| write_atomic(&self.path, &bytes, 0o600)).map_err(|error| {
            DriverError::failed(
                "it cannot be written down whose data is in volumes",
                format!("{error:#}"),
                "check that the disk has room and is not read-only",
            )
        })
    }
}

fn places(there: &Volumes) -> BTreeSet<Place> {
    let own = there.own.iter().map(|it| (it.instance.to_string(), it.name.clone()));
    let shared = there.shared.iter().map(|it| (it.project.to_string(), it.name.clone()));
    own.chain(shared).collect()
}

/// A volume that a unit had is not there, and starting would make an empty one in its place.
pub fn gone(name: &str, of: &InstanceId, why: &str) -> DriverError {
    DriverError::failed(
        format!("{of} is not started on an empty volume `{}`", name.escape_debug()),
        why,
        "put the data back, or mount the disk that it is on; to start it without, write \
         `leave-data` into its `place`, and `devnet restart` it",
    )
}

#[cfg(test)]
mod tests {
    use devnet_schema::observed::HeldVolume;

    use super::*;
    use crate::sample;

    fn spec(id: &str, data_of: Option<&str>, project: Option<&str>) -> InstanceSpec {
        let volume = VolumeSpec {
            name: "data".to_owned(),
            path: "/data".to_owned(),
            data_of: data_of.map(|of| of.parse().unwrap()),
            project: project.map(|of| of.parse().unwrap()),
            read_only: false,
        };
        let id = id.parse().unwrap();
        InstanceSpec { id, volumes: vec![volume], ..sample::process(&["a"]) }
    }

    #[test]
    fn who_used_a_volume_last_is_known_to_the_next_agent() {
        let dir = tempfile::tempdir().unwrap();
        let (na, nb) = ("na[0]".parse().unwrap(), "nb[0]".parse().unwrap());
        let file = || UsesFile::new(dir.path(), Runtime::Docker);
        file().starts(&spec("na[0]", None, None)).unwrap();
        assert_eq!(file().read().unwrap().of_instance(&na, "data"), Some(&na));
        file().starts(&spec("nb[0]", Some("na[0]"), None)).unwrap();
        assert_eq!(file().read().unwrap().of_instance(&na, "data"), Some(&nb));
        assert_eq!(file().read().unwrap().of_instance(&nb, "data"), None);
        // A project's is used by several, each where it sees it.
        file().starts(&spec("shop-db[0]", None, Some("shop"))).unwrap();
        file().starts(&spec("shop-app[0]", None, Some("shop"))).unwrap();
        let uses = file().read().unwrap();
        let users = uses.of_project(&"shop".parse().unwrap(), "data").unwrap();
        let users: Vec<_> = users.iter().map(|(id, path)| (id.to_string(), &**path)).collect();
        let of = |id: &str| (id.to_owned(), "/data");
        assert_eq!(users, [of("shop-app[0]"), of("shop-db[0]")]);
    }

    #[test]
    fn what_is_found_says_nothing_against_what_was_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let file = UsesFile::new(dir.path(), Runtime::Process);
        let (na, nb) = (spec("na[0]", None, None), spec("nb[0]", Some("na[0]"), None));
        file.found([&nb].into_iter()).unwrap();
        file.found([&na].into_iter()).unwrap();
        assert_eq!(file.read().unwrap().of_instance(&na.id, "data"), Some(&nb.id));
    }

    #[test]
    fn a_damaged_file_is_named_and_nothing_is_concluded_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = UsesFile::new(dir.path(), Runtime::Process);
        fs::write(&file.path, "{half").unwrap();
        let error = file.starts(&spec("na[0]", None, None)).unwrap_err().to_string();
        assert!(error.contains("volume-uses.process.json") && error.contains("restore"), "{error}");
        assert_eq!(fs::read_to_string(&file.path).unwrap(), "{half");
        // Who has no volumes does not ask.
        file.starts(&sample::process(&["a"])).unwrap();
    }

    #[test]
    fn a_volume_that_is_gone_is_made_anew_once_whoever_orders_it_was_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = UsesFile::new(dir.path(), Runtime::Docker);
        let (own, shared) = (spec("na[0]", None, None), spec("shop-db[0]", None, Some("shop")));
        let nothing = Volumes::default();
        for unit in [&own, &shared] {
            file.none_gone(unit, &nothing).unwrap();
            file.starts(unit).unwrap();
            let error = file.none_gone(unit, &nothing).unwrap_err().to_string();
            assert!(error.contains("not started on an empty volume `data`"), "{error}");
        }
        let held = HeldVolume {
            instance: own.id.clone(),
            name: "data".to_owned(),
            runtime: Runtime::Docker,
            user: None,
        };
        let there = Volumes { own: vec![held], shared: Vec::new() };
        file.none_gone(&own, &there).unwrap();
        file.listed(&there).unwrap();
        file.none_gone(&shared, &there).unwrap();
        file.none_gone(&own, &nothing).unwrap_err();
        // One that came back and goes again is told of again.
        file.listed(&nothing).unwrap();
        file.none_gone(&own, &nothing).unwrap();
        file.listed(&there).unwrap();
        file.none_gone(&own, &nothing).unwrap_err();
    }
}
