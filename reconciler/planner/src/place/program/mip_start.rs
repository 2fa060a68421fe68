//! Between placements and points of an integer program, both ways.
//!
//! Knows the value of every column for a placement. Refuses to judge either.
//!
//! A starting point must be complete, since solvers take a missing value for 0. A solver that
//! starts from the placement at hand never answers with a worse one.

use std::collections::BTreeMap;

use super::{
    formulation::{Formulation, Subproblem, Variable, gpu::kinds},
    scaling,
};
use crate::place::{
    ix::NodeIx,
    model::partial::{
        PartialPlacement,
        rank::{FULL, crowding},
    },
};

impl Formulation {
    /// The placement that a solution means.
    pub(crate) fn decode<'f>(
        &self,
        subproblem: &Subproblem<'_, 'f>,
        values: &[f64],
    ) -> PartialPlacement<'f> {
        let mut partial = subproblem.partial.clone();
        for &node in &subproblem.nodes {
            partial.clear(node);
        }
        for (variable, value) in self.variables.iter().zip(values) {
            if let Variable::Count { service, node } = *variable {
                for _ in 0..value.round() as u32 {
                    partial.add(service, node);
                }
            }
        }
        partial
    }

    /// The value of every column for a placement that keeps all constraints: a complete starting
    /// point, since solvers take a missing value for 0. Nothing where its devices cannot be told.
    pub(crate) fn mip_start(
        &self,
        subproblem: &Subproblem<'_, '_>,
        partial: &PartialPlacement<'_>,
    ) -> Option<Vec<f64>> {
        let mut devices = BTreeMap::new();
        for &node in &subproblem.nodes {
            devices.extend(self.write_devices(subproblem, partial, node)?);
        }
        let indexed = partial.indexed;
        let value = |variable: &Variable| match *variable {
            Variable::Count { service, node } => f64::from(partial.count(service, node)),
            Variable::Staying { service, node } => f64::from(partial.staying(service, node)),
            Variable::Present { service, node } => f64::from(partial.count(service, node).min(1)),
            Variable::OnKind { .. }
            | Variable::Shared { .. }
            | Variable::AtHome { .. }
            | Variable::Restarts { .. } => devices.get(variable).copied().unwrap_or(0.0),
            Variable::InUse { node } => f64::from(u8::from(!partial.on_node[node].is_empty())),
            Variable::Crowding { node, resource } => {
                let capacity = indexed.nodes[node].capacity[resource];
                // The integer score is rounded down; the row must not be missed by that.
                (crowding(partial.used[node][resource], capacity) as f64 + 2.0) / FULL as f64
            }
            Variable::Emptiest { service, line } => {
                let line = &indexed.services[service].spread[line];
                let counts = partial.domains(service, line);
                let low = line.open.iter().map(|d| counts.get(d).copied().unwrap_or(0)).min();
                f64::from(low.unwrap_or(0))
            }
        };
        Some(self.variables.iter().map(value).collect())
    }

    fn write_devices(
        &self,
        subproblem: &Subproblem<'_, '_>,
        partial: &PartialPlacement<'_>,
        node: NodeIx,
    ) -> Option<Vec<(Variable, f64)>> {
        let here = self.here(partial.indexed, node);
        let wanting =
            here.iter().filter(|(service, ..)| partial.indexed.services[*service].wants_gpu());
        let kinds = kinds(subproblem, node, wanting.map(|(_, _, candidate)| candidate.allowed));
        if !partial.devices_packed(node) {
            return None;
        }
        let mut values: BTreeMap<Variable, f64> = BTreeMap::new();
        let mut shared = 0u128;
        for &service in partial.on_node[node]
            .keys()
            .filter(|service| partial.indexed.services[**service].wants_gpu())
        {
            let whole =
                scaling::devices_each(partial.indexed.services[service].input.gpu).is_some();
            let sets = partial.devices_of(service, node);
            for d in sets.iter().flat_map(|set| {
                (0..crate::place::model::gpu_request::DEVICES).filter(move |d| set >> d & 1 == 1)
            }) {
                let kind = kinds.iter().position(|kind| kind.mask >> d & 1 == 1)?;
                *values.entry(Variable::OnKind { service, node, kind }).or_insert(0.0) += 1.0;
                if !whole && shared >> d & 1 == 0 {
                    shared |= 1 << d;
                    *values.entry(Variable::Shared { node, kind }).or_insert(0.0) += 1.0;
                }
            }
            let Some(homes) = partial.indexed.services[service].homes.get(&node) else { continue };
            let mut at_home = 0;
            for (home, (set, many)) in homes.per_set().into_iter().enumerate() {
                let here = many.min(sets.iter().filter(|own| **own == set).count() as u32);
                values.insert(Variable::AtHome { service, node, home }, f64::from(here));
                at_home += here;
            }
            let restarts = partial.staying(service, node).saturating_sub(homes.strangers + at_home);
            values.insert(Variable::Restarts { service, node }, f64::from(restarts));
        }
        Some(values.into_iter().collect())
    }
}
