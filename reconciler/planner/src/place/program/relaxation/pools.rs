//! What can stand together on one device, over all classes with devices of one size.
//!
//! Knows patterns of shares. Refuses to know nodes.
//!
//! Sums of shares are not enough where shares do not add up to whole devices. Each pattern is a
//! column: so many devices are filled like this.

use std::collections::BTreeMap;

use super::Relaxation;
use crate::place::{
    ix::ServiceIx,
    model::{gpu_patterns, gpu_request},
    program::scaling,
};

/// The shares of one size: columns, and the replicas of each service among them.
type Load = (Vec<(usize, f64)>, BTreeMap<ServiceIx, u64>);

impl<'f> Relaxation<'f> {
    /// What can stand together on one device, over all classes whose devices are as large: sums of
    /// shares are not enough where the shares do not add up to whole devices.
    pub(super) fn add_pools(&mut self, shared: &[Option<usize>]) {
        let mut pools: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (k, class) in self.classes.iter().enumerate().filter(|(k, _)| shared[*k].is_some()) {
            pools.entry(class.memory).or_default().push(k);
        }
        for (memory, classes) in pools {
            self.add_pool(memory, &classes, shared);
        }
    }

    fn add_pool(&mut self, memory: u64, classes: &[usize], shared: &[Option<usize>]) {
        let mut loads: BTreeMap<u64, Load> = BTreeMap::new();
        for &(service, _, column) in self.columns.iter().filter(|c| classes.contains(&c.1)) {
            let input = self.indexed.services[service].input;
            let load = match scaling::devices_each(input.gpu) {
                Some(_) => continue,
                None => gpu_request::load(input.gpu, memory),
            };
            let (terms, users) = loads.entry(load).or_default();
            terms.push((column, 1.0));
            users.insert(service, u64::from(input.replicas));
        }
        let sizes: Vec<(u64, u64)> =
            loads.iter().map(|(&load, (_, users))| (load, users.values().sum())).collect();
        let Some(list) = gpu_patterns::maximal(&sizes, gpu_request::size(memory)) else {
            return;
        };
        let devices: usize =
            classes.iter().map(|&k| self.classes[k].devices * self.classes[k].nodes.len()).sum();
        let mut rows: Vec<Vec<(usize, f64)>> =
            loads.into_values().map(|(terms, _)| terms).collect();
        let mut all: Vec<(usize, f64)> =
            classes.iter().filter_map(|&k| Some((shared[k]?, -1.0))).collect();
        for pattern in list {
            let column = self.model.column(0.0, devices as f64, false);
            all.push((column, 1.0));
            for (row, count) in rows.iter_mut().zip(pattern) {
                if count > 0 {
                    row.push((column, -(count as f64)));
                }
            }
        }
        rows.into_iter().for_each(|row| self.model.at_most(row, 0.0));
        self.model.at_most(all, 0.0);
    }
}
