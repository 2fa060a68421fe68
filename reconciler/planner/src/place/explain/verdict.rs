//! Why a service is where it is, and what speaks against every other node.
//!
//! Knows one outcome. Refuses to change it.
//!
//! `devnet explain web` prints this. Where nothing speaks against a node, it says by how much the
//! score would change and what holds the instance where it is.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    name::{InstanceId, NodeName, ServiceName},
    placement::Violation,
};

use super::violation::{self, neighbours};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{index::IndexedProblem, partial::PartialPlacement, retained, service::Spread},
    outcome::{Outcome, Reason},
    problem::{NodeState, PlacementProblem, ServiceKey},
};

/// All there is to say about the placement of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Which.
    pub service: ServiceName,
    /// Where it is declared, `file:line:column`.
    pub at: Option<String>,
    /// Its placed instances, with the reason of each.
    pub placed: Vec<(InstanceId, NodeName, String)>,
    /// Those that run and have no place where they do, with what speaks against it: they stop,
    /// unless that makes room for nothing.
    pub displaced: Vec<(InstanceId, NodeName, String)>,
    /// Instances without a node.
    pub missing: u32,
    /// Every node, by name.
    pub nodes: Vec<Verdict>,
}

/// What one node is for a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Which.
    pub node: NodeName,
    /// Instances of the service on it.
    pub here: u32,
    /// Whether its own nature admits the service: filters, state, size when empty.
    pub eligible: bool,
    /// Everything that speaks against one instance more (or, when all are placed, against moving
    /// one here), as the fleet is filled by the outcome.
    pub violations: Vec<Violation>,
    /// Where nothing does: by how much the score would change, in millionths; lower is better.
    pub difference: Option<i64>,
    /// The node that the one moved here would leave: of those where one may leave, the one that
    /// gains most by it. None where an instance is missing: one more is spoken of then.
    pub from: Option<NodeName>,
    /// What keeps that one there, however good this node were.
    pub held: Option<Hold>,
    /// Others on this node that would restart for it, on other GPUs.
    pub restarts: u32,
}

/// What keeps an instance where it is, whatever the score says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It runs: nothing that may stay is moved for the score.
    Runs,
    /// It has data there, which does not move.
    Data,
    /// Its node cannot be reached, and it may still run there.
    Offline,
}

impl Hold {
    /// The word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Data => "data",
            Self::Offline => "away",
        }
    }
}

/// Explains one service of an outcome; nothing where the problem has no such service.
pub fn explain(
    problem: &PlacementProblem,
    outcome: &Outcome,
    service: &ServiceName,
) -> Option<Explanation> {
    let staged = retained::staged(problem, &retained::retained_in(outcome));
    let indexed = IndexedProblem::new(&staged);
    let service_ix = indexed.services.position(|it| it.input.name == *service)?;
    let partial = filled(&indexed, outcome);
    let input = indexed.services[service_ix].input;
    let placed = outcome
        .assignments
        .iter()
        .filter(|(instance, _)| instance.service == *service)
        .map(|(instance, place)| {
            let mut text = place.reason.text();
            let against = outcome.displaced.get(instance).map_or(&[][..], |it| &it.against);
            if place.reason == Reason::Retained && !against.is_empty() {
                text = format!("{text}: {}", against.join(", "));
            }
            (instance.clone(), place.node.clone(), text)
        })
        .collect();
    let displaced = outcome.displaced.iter().filter_map(|(instance, why)| {
        let own = instance.service == *service && !outcome.assignments.contains_key(instance);
        let current = input.current.get(&instance.index).filter(|_| own)?;
        Some((instance.clone(), current.node.clone(), why.text()))
    });
    let origins = origins(&partial, service_ix);
    Some(Explanation {
        service: service.clone(),
        at: input.at.clone(),
        placed,
        displaced: displaced.collect(),
        missing: partial.missing(service_ix),
        nodes: indexed
            .nodes
            .positions()
            .map(|node| verdict(&partial, service_ix, node, &origins))
            .collect(),
    })
}

/// The placement that an outcome means.
fn filled<'f>(indexed: &'f IndexedProblem<'f>, outcome: &Outcome) -> PartialPlacement<'f> {
    let mut partial = PartialPlacement::empty(indexed);
    for (instance, place) in &outcome.assignments {
        let name = match place.reason {
            Reason::Retained => ServiceKey::Retained(instance.clone()),
            _ => ServiceKey::Declared(instance.service.clone()),
        };
        let service = indexed.services.position(|service| service.input.name == name);
        let node = indexed.nodes.position(|node| node.input.name == place.node);
        if let (Some(service), Some(node)) = (service, node) {
            partial.add(service, node);
        }
    }
    partial
}

/// Where an instance of the service could come from.
struct Origins {
    /// The best first: nobody there needs its company, and the score falls most without it. None
    /// where an instance is missing: that one comes from nowhere.
    nodes: Vec<NodeIx>,
    /// The counts of the domains of each `spread` line.
    counts: Vec<BTreeMap<usize, u32>>,
}

fn origins(partial: &PartialPlacement<'_>, service: ServiceIx) -> Origins {
    let lines = partial.indexed.services[service].spread.iter();
    let counts = lines.map(|line| partial.domains(service, line)).collect();
    if partial.missing(service) > 0 {
        return Origins { nodes: Vec::new(), counts };
    }
    let mut bench = partial.clone();
    let mut nodes: Vec<(bool, i64, NodeIx)> = Vec::new();
    for &node in partial.of_service[service].keys() {
        bench.remove(service, node);
        let relief = bench.growth(service, node) as i64;
        bench.add(service, node);
        nodes.push((partial.deserted(service, node).is_some(), -relief, node));
    }
    nodes.sort_unstable();
    Origins { nodes: nodes.into_iter().map(|(_, _, node)| node).collect(), counts }
}

fn verdict(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    node_ix: NodeIx,
    origins: &Origins,
) -> Verdict {
    let from = origin(partial, service, node_ix, origins);
    let mut without = retained::without_one(partial, service, node_ix).into_owned();
    if let Some(from) = from {
        without.remove(service, from);
    }
    let mut violations = violation::of_move(partial, &without, service, node_ix);
    violations.extend(from.and_then(|from| desertion(partial, service, from)));
    let free = violations.is_empty();
    let relief = from.map_or(0, |from| without.growth(service, from) as i64);
    let node = |node_ix: NodeIx| partial.indexed.nodes[node_ix].input.name.clone();
    Verdict {
        node: node(node_ix),
        here: partial.count(service, node_ix),
        eligible: partial.indexed.services[service].candidate(node_ix).is_some(),
        violations,
        difference: free.then(|| without.growth(service, node_ix) as i64 - relief),
        from: from.map(node),
        held: from.and_then(|from| hold(partial, service, from)),
        restarts: if free { restarts(without, service, node_ix) } else { 0 },
    }
}

/// Of those on a node, how many more restart with one of the service there.
fn restarts(mut partial: PartialPlacement<'_>, service: ServiceIx, node: NodeIx) -> u32 {
    let before = partial.restarts_on(node);
    partial.add(service, node);
    partial.restarts_on(node).saturating_sub(before)
}

/// The first origin that the service's spread lets go to the node, or else the first.
fn origin(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    node: NodeIx,
    origins: &Origins,
) -> Option<NodeIx> {
    let others = || origins.nodes.iter().copied().filter(|&from| from != node);
    let lines = || partial.indexed.services[service].spread.iter().zip(&origins.counts);
    // Domains with as many are alike: one of each kind is tried.
    let kind = |from: NodeIx| -> Vec<(bool, Option<u32>, bool)> {
        let of_line = |(line, counts): (&Spread, &BTreeMap<usize, u32>)| {
            let domain = line.domain[from];
            (domain == line.domain[node], counts.get(&domain).copied(), line.open.contains(&domain))
        };
        lines().map(of_line).collect()
    };
    let mut tried = BTreeSet::new();
    let mut free = |from: &NodeIx| {
        tried.insert(kind(*from)) && lines().all(|(line, counts)| even(line, counts, *from, node))
    };
    others().find(|from| free(from)).or_else(|| others().next())
}

/// Whether a line holds with one that goes from one node to another.
fn even(line: &Spread, counts: &BTreeMap<usize, u32>, from: NodeIx, to: NodeIx) -> bool {
    let [from, to] = [from, to].map(|node| line.domain[node]);
    let after = |domain: usize| {
        let count = counts.get(&domain).copied().unwrap_or(0);
        count + u32::from(domain == to) - u32::from(domain == from)
    };
    let low = line.open.iter().map(|&domain| after(domain)).min();
    let high = counts.keys().copied().chain([to]).map(after).max().unwrap_or(0);
    low.is_none_or(|low| high <= low + line.skew)
}

/// What keeps one there: one that is new may be anywhere.
fn hold(partial: &PartialPlacement<'_>, service: ServiceIx, from: NodeIx) -> Option<Hold> {
    let indexed = partial.indexed;
    if partial.staying(service, from) < partial.count(service, from) {
        return None;
    }
    Some(match indexed.nodes[from].input.state {
        NodeState::Offline => Hold::Offline,
        _ if !indexed.services[service].input.movable => Hold::Data,
        _ => Hold::Runs,
    })
}

/// Who would be left alone where one leaves.
fn desertion(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    from: NodeIx,
) -> Option<Violation> {
    let indexed = partial.indexed;
    let other = indexed.services[partial.deserted(service, from)?].input;
    Some(neighbours::deserts(
        indexed.services[service].input,
        other,
        &indexed.nodes[from].input.name,
    ))
}
