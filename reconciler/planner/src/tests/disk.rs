//! What lies on the disks of a cluster in data: volumes with what was written to them.
//!
//! Knows whose data each instance wrote last, and finds out when it starts with other data. Refuses
//! to know plans: it looks at what agents would have done.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    instance::{InstanceSpec, Runtime, VolumeSpec},
    name::{InstanceId, NodeName, ServiceName},
};

/// A volume of an engine, or a directory of an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub node: NodeName,
    pub runtime: Runtime,
    pub name: String,
}

/// An instance that started with other data than it wrote last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Separation {
    pub instance: InstanceId,
    pub volume: String,
    /// Where what it wrote last is.
    pub left: NodeName,
    /// Where it started.
    pub at: NodeName,
}

/// All disks.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// What each volume holds.
    volumes: BTreeMap<Place, u64>,
    /// What each instance wrote last, by the volume's name.
    wrote: BTreeMap<InstanceId, BTreeMap<String, u64>>,
    made: u64,
    /// What services that were called otherwise are called now.
    renamed: BTreeMap<ServiceName, ServiceName>,
    /// What was found since it was taken last.
    pub separations: Vec<Separation>,
    /// Two that have one volume, since it was taken last.
    pub shared: Vec<(InstanceId, InstanceId)>,
}

impl Disk {
    /// A unit starts: it makes the volumes that are missing, and writes to all.
    pub(super) fn used(&mut self, spec: &InstanceSpec) {
        for volume in &spec.volumes {
            let place = Place {
                node: spec.node.clone(),
                runtime: spec.workload.runtime(),
                name: name(spec, volume),
            };
            let holds = *self.volumes.entry(place).or_insert_with(|| {
                self.made += 1;
                self.made
            });
            if volume.project.is_none() {
                // A unit may still have the name that it had before.
                let service = self.renamed.get(&spec.id.service).unwrap_or(&spec.id.service);
                let with = self.wrote.iter().filter(|(id, wrote)| {
                    (&id.service, id.index) != (service, spec.id.index)
                        && wrote.values().any(|held| *held == holds)
                });
                self.shared.extend(with.map(|(id, _)| (id.clone(), spec.id.clone())));
            }
            let wrote = self.wrote.entry(spec.id.clone()).or_default();
            let before = wrote.insert(volume.name.clone(), holds);
            let Some(before) = before.filter(|before| *before != holds) else { continue };
            let left = self.volumes.iter().find(|(_, held)| **held == before);
            self.separations.push(Separation {
                instance: spec.id.clone(),
                volume: volume.name.clone(),
                left: left.map(|(place, _)| place.node.clone()).unwrap_or(spec.node.clone()),
                at: spec.node.clone(),
            });
        }
        let left = self.separations.iter().filter(|it| it.instance == spec.id);
        let left: Vec<NodeName> = left.map(|it| it.left.clone()).collect();
        left.iter().for_each(|node| self.forget(&spec.id, node));
    }

    /// Whatever an instance wrote on a node, in volumes that it has no more, too, was left there.
    fn forget(&mut self, id: &InstanceId, node: &NodeName) {
        let there = self.volumes.iter().filter(|(place, _)| place.node == *node);
        let there: BTreeSet<u64> = there.map(|(_, held)| *held).collect();
        if let Some(wrote) = self.wrote.get_mut(id) {
            wrote.retain(|_, held| !there.contains(held));
        }
    }

    /// Whether a unit has anything of what an instance wrote last.
    pub(super) fn is_newest(&self, id: &InstanceId, spec: &InstanceSpec) -> bool {
        let Some(wrote) = self.wrote.get(id) else { return false };
        let has = |volume: &VolumeSpec| {
            let runtime = spec.workload.runtime();
            let place = Place { node: spec.node.clone(), runtime, name: name(spec, volume) };
            self.volumes.get(&place).is_some_and(|held| wrote.values().any(|it| it == held))
        };
        spec.volumes.iter().any(has)
    }

    /// A name that was renamed away is that of something new.
    pub(super) fn again(&mut self, name: &ServiceName) {
        self.renamed.remove(name);
    }

    /// Whatever a service wrote is that of another name from now on; what one wrote that had this
    /// name before is nobody's.
    pub(super) fn rename(&mut self, from: &ServiceName, to: &ServiceName) {
        self.renamed.values_mut().filter(|is| *is == from).for_each(|is| *is = to.clone());
        self.renamed.remove(to);
        self.renamed.insert(from.clone(), to.clone());
        let mut all = std::mem::take(&mut self.wrote);
        all.retain(|id, _| id.service != *to);
        self.wrote = all
            .into_iter()
            .map(|(id, wrote)| match id.service == *from {
                true => (InstanceId { service: to.clone(), index: id.index }, wrote),
                false => (id, wrote),
            })
            .collect();
    }
}

fn name(spec: &InstanceSpec, volume: &VolumeSpec) -> String {
    match &volume.project {
        Some(project) => format!("{project}.{}", volume.name),
        None => format!("{}-{}", volume.owner(&spec.id), volume.name),
    }
}
