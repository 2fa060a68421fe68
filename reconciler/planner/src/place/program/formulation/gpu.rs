//! Devices: `whole(k) + shared(k) ≤ devices(k)` and `Σ_s load(s,k) · x(s,n,k) ≤ size(k) ·
//! shared(k)` for each kind k of device.
//!
//! Knows kinds: devices that every service treats alike. Refuses to pack them: a solution is packed
//! afterwards.
//!
//! With several kinds, `Σ_k x(s,n,k) = devices(s) · x(s,n)`. Where sums are not enough, `refine`
//! makes every device a kind of its own, and then an instance has columns for the devices it had:
//! the others restart.

use std::collections::{BTreeMap, BTreeSet};

use super::{Formulation, Subproblem, Variable, counts_staying};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{index::IndexedProblem, service::Candidate},
    program::scaling,
};

/// A kind of device on a node: those that every service treats alike.
pub(crate) struct Kind {
    memory: u64,
    pub mask: u128,
}

impl Formulation {
    /// GPUs: whole ones and shared ones of each kind, shares within the shared ones.
    pub(super) fn devices(&mut self, subproblem: &Subproblem<'_, '_>, node: NodeIx) {
        let indexed = subproblem.partial.indexed;
        let mut here = self.here(indexed, node);
        here.retain(|&(service, ..)| indexed.services[service].wants_gpu());
        if here.is_empty() {
            return;
        }
        let kinds = kinds(subproblem, node, here.iter().map(|(_, _, candidate)| candidate.allowed));
        let mut load: Vec<Vec<(ServiceIx, usize)>> = vec![Vec::new(); kinds.len()];
        for &(service, count, candidate) in &here {
            let of = self.on_kinds(indexed, (service, node), count, candidate, &kinds);
            if subproblem.detailed.contains(&node) && counts_staying(subproblem) {
                self.homes(indexed, (service, node), &kinds, &of);
            }
            for (kind, column) in of {
                load[kind].push((service, column));
            }
        }
        let alike = kinds.len() == 1;
        for (at, kind) in kinds.iter().enumerate() {
            let devices = f64::from(kind.mask.count_ones());
            let shared = self.add(Variable::Shared { node, kind: at }, 0.0, devices, true);
            for row in scaling::devices(indexed, kind.memory, devices, shared, &load[at], alike) {
                self.push(row);
            }
        }
    }

    /// The columns of a service on each kind of device. Where all devices are alike the count
    /// itself serves; whole devices are then counted by its coefficient.
    fn on_kinds(
        &mut self,
        indexed: &IndexedProblem<'_>,
        (service, node): (ServiceIx, NodeIx),
        count: usize,
        candidate: &Candidate,
        kinds: &[Kind],
    ) -> Vec<(usize, usize)> {
        if let [_] = kinds {
            return vec![(0, count)];
        }
        let each = scaling::devices_each(indexed.services[service].input.gpu);
        let most = self.model.columns[count].upper;
        let mut columns = Vec::new();
        for (at, kind) in kinds.iter().enumerate().filter(|(_, k)| k.mask & candidate.allowed != 0)
        {
            let upper = match each {
                Some(_) => f64::from(kind.mask.count_ones()),
                None => most,
            };
            let variable = Variable::OnKind { service, node, kind: at };
            columns.push((at, self.add(variable, 0.0, upper, true)));
        }
        let mut terms: Vec<(usize, f64)> = columns.iter().map(|&(_, c)| (c, 1.0)).collect();
        terms.push((count, -f64::from(each.unwrap_or(1))));
        self.model.row(terms, 0.0, 0.0);
        columns
    }

    /// The price of other devices, where each has a column of its own: of the instances kept, so
    /// many restart as have no home among those that are lived in.
    fn homes(
        &mut self,
        indexed: &IndexedProblem<'_>,
        (service, node): (ServiceIx, NodeIx),
        kinds: &[Kind],
        of: &[(usize, usize)],
    ) {
        let Some(&kept) = self.column.get(&Variable::Staying { service, node }) else {
            return;
        };
        let Some(homes) = indexed.services[service].homes.get(&node).filter(|_| kinds.len() > 1)
        else {
            return;
        };
        let upper = self.model.columns[kept].upper;
        let restarts = self.add(Variable::Restarts { service, node }, 0.0, upper, false);
        let mut terms = vec![(kept, 1.0), (restarts, -1.0)];
        for (home, (set, many)) in homes.per_set().into_iter().enumerate() {
            let at_home =
                self.add(Variable::AtHome { service, node, home }, 0.0, f64::from(many), false);
            for &(_, column) in of.iter().filter(|(kind, _)| kinds[*kind].mask & set != 0) {
                self.model.at_most(vec![(at_home, 1.0), (column, -1.0)], 0.0);
            }
            terms.push((at_home, -1.0));
        }
        self.model.at_most(terms, f64::from(homes.strangers));
    }
}

/// The kinds of devices of a node, told apart by memory and by which services may use them.
pub(crate) fn kinds(
    subproblem: &Subproblem<'_, '_>,
    node: NodeIx,
    allowed: impl Iterator<Item = u128>,
) -> Vec<Kind> {
    let masks: BTreeSet<u128> = allowed.collect();
    let memories = &subproblem.partial.indexed.nodes[node].memories;
    let mut kinds: BTreeMap<(u64, Vec<bool>, usize), u128> = BTreeMap::new();
    for (d, &memory) in memories.iter().enumerate() {
        let users: Vec<bool> = masks.iter().map(|mask| mask >> d & 1 == 1).collect();
        if users.iter().any(|&user| user) {
            let own = if subproblem.detailed.contains(&node) { d } else { 0 };
            *kinds.entry((memory, users, own)).or_insert(0) |= 1 << d;
        }
    }
    kinds.into_iter().map(|((memory, ..), mask)| Kind { memory, mask }).collect()
}
