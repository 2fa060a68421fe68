//! The rows of one class of nodes: capacity, ports, near, devices.
//!
//! Knows sums over the nodes of a class. Refuses to know single nodes.
//!
//! Sums alone would let two and a half large instances share two nodes, so there are cuts for sizes
//! of which only so many fit on one. Three instances of more than half a node need three nodes.

use std::collections::BTreeMap;

use super::Relaxation;
use crate::place::{ix::ServiceIx, program::scaling};

impl<'f> Relaxation<'f> {
    /// The column of the shared devices, where there is one.
    pub(super) fn add_class(&mut self, k: usize) -> Option<usize> {
        let users: Vec<(ServiceIx, usize)> = self
            .columns
            .iter()
            .filter(|c| c.1 == k)
            .map(|&(service, _, column)| (service, column))
            .collect();
        let size = self.classes[k].nodes.len() as f64;
        for resource in 0..3 {
            self.add_resource(k, &users, resource, size);
        }
        if self.classes[k].nodes.iter().any(|&node| self.indexed.nodes[node].unreachable) {
            return None;
        }
        let mut ports: BTreeMap<usize, Vec<(usize, f64)>> = BTreeMap::new();
        for &(service, column) in &users {
            for &port in &self.indexed.services[service].ports {
                ports.entry(port).or_default().push((column, 1.0));
            }
            // One that is no part of this may be anywhere.
            let near =
                self.indexed.services[service].near.iter().filter(|&&other| self.inside[other]);
            for &other in near {
                let most = f64::from(self.indexed.services[service].input.replicas);
                let mut terms = vec![(column, 1.0)];
                let counterparts = &self.indexed.services[other].counterparts;
                let company = users
                    .iter()
                    .filter(|(other_ix, _)| *other_ix == other || counterparts.contains(other_ix));
                terms.extend(company.map(|&(_, column)| (column, -most)));
                self.model.at_most(terms, 0.0);
            }
        }
        ports.into_values().for_each(|terms| self.model.at_most(terms, size));
        self.add_devices(k, &users, size)
    }

    /// The capacity of a class, and cuts for sizes of which only so many fit on one node.
    fn add_resource(&mut self, k: usize, users: &[(ServiceIx, usize)], resource: usize, size: f64) {
        let capacity = self.classes[k].capacity[resource];
        let need = |service: ServiceIx| self.indexed.services[service].need[resource];
        let terms: Vec<(usize, f64)> = users
            .iter()
            .filter(|&&(service, _)| need(service) > 0)
            .map(|&(service, column)| (column, need(service) as f64 / capacity as f64))
            .collect();
        let mut cuts = Vec::new();
        for q in 1..=3u64 {
            let cut = |&(service, column): &(ServiceIx, usize)| {
                let share = u128::from(need(service)) * u128::from(q + 1);
                let times = share.div_ceil(u128::from(capacity.max(1))).saturating_sub(1);
                (column, times as f64)
            };
            let terms: Vec<_> = users.iter().map(cut).filter(|&(_, times)| times > 0.0).collect();
            cuts.push((terms, q as f64 * size));
        }
        self.model.at_most(terms, size);
        cuts.into_iter().for_each(|(terms, upper)| self.model.at_most(terms, upper));
    }

    fn add_devices(&mut self, k: usize, users: &[(ServiceIx, usize)], size: f64) -> Option<usize> {
        let class = &self.classes[k];
        let users: Vec<(ServiceIx, usize)> = users
            .iter()
            .copied()
            .filter(|&(service, _)| self.indexed.services[service].wants_gpu())
            .collect();
        if users.is_empty() {
            return None;
        }
        let devices = class.devices as f64 * size;
        let memory = class.memory;
        let shared = self.model.column(0.0, devices, false);
        // Taking every device for as large as the largest only loosens the rows.
        for row in scaling::devices(self.indexed, memory, devices, shared, &users, true) {
            self.model.at_most(row.terms, row.upper);
        }
        Some(shared)
    }
}
