//! The problem with its names turned into positions, in the order of names.
//!
//! Knows nodes, services, levels, and what of them belongs together. Refuses to know what is placed
//! where.
//!
//! It is built once for each problem (`build`) and never changed by a search, apart from locks that
//! are let go before it begins. A level is a priority, or what is retained of that priority: `90`,
//! `90 retained`, `50`, …

use std::cmp::Reverse;

use super::{node::Node, service::Service};
use crate::place::{
    ix::{NodeIx, PerNode, PerService, ServiceIx},
    problem::{PlacementProblem, ServiceInput},
};

/// The problem, sorted and numbered. Numbers follow the order of names, so that the order of the
/// input has no effect on anything.
pub(crate) struct IndexedProblem<'a> {
    pub problem: &'a PlacementProblem,
    pub nodes: PerNode<Node<'a>>,
    pub services: PerService<Service<'a>>,
    /// In the order in which they are filled.
    pub levels: Vec<Level>,
}

/// What is placed before what: the higher priority first, and of one priority last what is kept as
/// it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Level {
    pub priority: Reverse<u8>,
    /// Whether it is of those that are kept as they are ([`crate::place::search::retention`]).
    pub retained: bool,
}

impl Level {
    pub(super) fn of(input: &ServiceInput) -> Self {
        let retained = input.name.is_retained();
        Self { priority: Reverse(input.priority), retained }
    }
}

impl IndexedProblem<'_> {
    /// Replicas wanted at each level.
    pub(crate) fn wanted(&self) -> Vec<u32> {
        let mut wanted = vec![0; self.levels.len()];
        for service in &self.services {
            let sum: &mut u32 = &mut wanted[service.level];
            *sum = sum.saturating_add(service.input.replicas);
        }
        wanted
    }

    /// How many of a service and its [`Service::counterparts`] are wanted together.
    pub(crate) fn wanted_with_counterparts(&self, service: ServiceIx) -> u32 {
        let all = self.services[service].counterparts.iter().copied().chain([service]);
        all.map(|service| self.services[service].input.replicas).max().unwrap_or(0)
    }

    /// Whether so many of a service as it is declared, and so many of it that are kept, can be on
    /// one node: those that run there are one or the other.
    pub(crate) fn counterparts_agree(
        &self,
        service: ServiceIx,
        node: NodeIx,
        declared: u32,
        kept: u32,
    ) -> bool {
        let ran = self.services[service].ran_at(node);
        declared == 0 || kept == 0 || declared + kept <= ran
    }

    /// Of what is kept as it is of a service, those that are at home on a node.
    pub(crate) fn retained_at(
        &self,
        service: ServiceIx,
        node: NodeIx,
    ) -> impl Iterator<Item = ServiceIx> + '_ {
        let counterparts = self.services[service].counterparts.iter().copied();
        counterparts.filter(move |&other| {
            self.services[other].is_retained() && self.services[other].candidate(node).is_some()
        })
    }

    /// The service that is declared, of one that is kept as it is.
    pub(crate) fn declared(&self, service: ServiceIx) -> ServiceIx {
        let mut counterparts = self.services[service].counterparts.iter().copied().chain([service]);
        counterparts.find(|&other| !self.services[other].is_retained()).unwrap_or(service)
    }

    /// Whether an instance of a service takes devices of a node.
    pub(crate) fn takes_devices(&self, service: ServiceIx, node: NodeIx) -> bool {
        self.services[service].wants_gpu() && !self.nodes[node].unreachable
    }

    /// Pairs of a service and a node that could meet.
    pub(crate) fn pairs(&self) -> usize {
        self.services.iter().map(|service| service.candidates.len()).sum()
    }

    /// Whether something holds room on a node that could take more and may not move because of its
    /// data.
    pub(crate) fn holds_data(&self) -> bool {
        let here = |(&node, &locked): (&NodeIx, &u32)| locked > 0 && !self.nodes[node].unreachable;
        let mut data = self.services.iter().filter(|service| !service.input.movable);
        data.any(|service| service.locked.iter().any(here))
    }

    /// The price of the moves that no placement avoids.
    pub(crate) fn forced(&self) -> (u32, u64) {
        self.services.enumerate().fold((0, 0), |(moves, migration_cost), (service_ix, service)| {
            let all = service.running();
            let stay: u32 = service.candidates.iter().map(|c| c.current).sum();
            let gone = all - stay.min(all) + self.one_or_the_other(service_ix);
            (moves + gone, migration_cost + u64::from(gone) * service.migration_cost)
        })
    }

    /// Of a service's instances and of those that may be kept as they are in their place, so many
    /// are not there, however it is placed.
    fn one_or_the_other(&self, service_ix: ServiceIx) -> u32 {
        let service = &self.services[service_ix];
        if service.is_retained() || service.counterparts.is_empty() {
            return 0;
        }
        let here = |(&node, &ran): (&NodeIx, &u32)| {
            let declared = service.candidate(node).map_or(0, |candidate| candidate.current);
            (declared + self.retained_at(service_ix, node).count() as u32).saturating_sub(ran)
        };
        service.ran.iter().map(here).sum()
    }
}

/// Pairs of a problem that is planned again as a whole for each try, and of which more is tried
/// than is needed to find something.
pub(crate) const SMALL: usize = 60;
