//! What a node says of the volumes that it keeps.
//!
//! Knows which volumes of a place of data are among them, and which are not there any more. Refuses
//! to conclude anything where a driver did not list all that it keeps, and of a volume that nobody
//! ever saw: it may never have been made.

use std::{cmp::Ordering, collections::BTreeSet};

use devnet_schema::{
    fleet::DataPlace,
    instance::{Runtime, VolumeSpec},
    observed::{HeldVolume, SharedVolume},
};

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Volumes {
    /// Those of instances, sorted.
    pub own: Vec<HeldVolume>,
    /// Those of Compose projects, sorted.
    pub shared: Vec<SharedVolume>,
    /// The drivers of which these are all.
    pub whole: Vec<Runtime>,
}

impl Volumes {
    fn has(&self, place: &DataPlace, runtime: Runtime, volume: &VolumeSpec) -> bool {
        match volume.project.as_ref().filter(|_| runtime == Runtime::Docker) {
            Some(project) => self.shared.iter().any(|it| {
                it.runtime == runtime && it.project == *project && it.name == volume.name
            }),
            None => {
                let wanted = (volume.owner(&place.instance), &volume.name, runtime);
                let order = |it: &HeldVolume| -> Ordering {
                    (&it.instance, &it.name, it.runtime).cmp(&wanted)
                };
                self.own.binary_search_by(order).is_ok()
            }
        }
    }

    /// The volumes of a place that are there.
    pub fn found(&self, place: &DataPlace) -> BTreeSet<String> {
        let Some(runtime) = place.runtime else { return BTreeSet::new() };
        let there = place.volumes.iter().filter(|volume| self.has(place, runtime, volume));
        there.map(|volume| volume.name.clone()).collect()
    }

    /// The volumes of a place that the node `had` by its own word, and does not have.
    pub fn lacks(&self, place: &DataPlace, had: &BTreeSet<String>) -> Vec<String> {
        let Some(runtime) = place.runtime.filter(|of| self.whole.contains(of)) else {
            return Vec::new();
        };
        let gone = place.volumes.iter().filter(|volume| had.contains(&volume.name));
        let gone = gone.filter(|volume| !self.has(place, runtime, volume));
        gone.map(|volume| volume.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(volumes: serde_json::Value) -> DataPlace {
        let place = serde_json::json!({
            "instance": "nb[0]", "node": "n1", "runtime": "docker", "volumes": volumes,
        });
        serde_json::from_value(place).unwrap()
    }

    #[test]
    fn a_volume_is_missing_where_it_was_there_and_all_are_listed() {
        let place = place(serde_json::json!([
            {"name": "data", "path": "/d", "data_of": "na[0]"},
            {"name": "logs", "path": "/l"},
            {"name": "cache", "path": "/c", "project": "shop"},
        ]));
        let held = |instance: &str, name: &str| HeldVolume {
            instance: instance.parse().unwrap(),
            name: name.to_owned(),
            runtime: Runtime::Docker,
            user: None,
        };
        let cache = SharedVolume {
            project: "shop".parse().unwrap(),
            name: "cache".to_owned(),
            runtime: Runtime::Docker,
            users: Default::default(),
        };
        let names = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<_>>();
        let all = names(&["data", "logs", "cache"]);
        let mut volumes = Volumes {
            own: vec![held("na[0]", "data"), held("nb[0]", "data"), held("nb[0]", "logs")],
            shared: vec![cache],
            whole: vec![Runtime::Docker],
        };
        assert_eq!((volumes.found(&place), volumes.lacks(&place, &all)), (all.clone(), vec![]));
        volumes.own = vec![held("nb[0]", "data")];
        assert_eq!(volumes.lacks(&place, &all), ["data", "logs"], "that of nb is another one");
        assert_eq!(volumes.lacks(&place, &names(&["logs"])), ["logs"], "data was never made");
        volumes.shared.clear();
        assert_eq!(volumes.lacks(&place, &all).len(), 3);
        volumes.whole = vec![Runtime::Process];
        assert_eq!(volumes.lacks(&place, &all), [""; 0], "not all are listed");
    }
}
