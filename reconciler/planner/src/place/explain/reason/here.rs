//! Why a new instance is on its node.
//!
//! Knows the other candidates and what each has against it. Refuses to claim more than holds of all
//! of them.
//!
//! Where no other node has room that is the reason; where others have, the score decides.

use std::collections::BTreeSet;

use super::{
    Explainer, WHOLE,
    obstacle::{Obstacle, obstacle},
};
use crate::place::{
    ix::{NodeIx, ServiceIx},
    model::{filter, index::IndexedProblem, partial::PartialPlacement, service::Candidate},
    problem::{NodeState, Objective},
};

impl<'b, 'f> Explainer<'b, 'f> {
    /// Why a new one is here.
    pub(super) fn here(&mut self, service_ix: ServiceIx, node: NodeIx) -> String {
        let indexed = self.partial.indexed;
        let service = &indexed.services[service_ix];
        if service.input.numbers.is_some() {
            return "there is one on each of its nodes".to_owned();
        }
        if let Some(pin) = &service.input.pin {
            return format!("pinned to {}", pin.node);
        }
        let ready =
            |candidate: &&Candidate| indexed.nodes[candidate.node].input.state == NodeState::Ready;
        let others: Vec<&Candidate> = service
            .candidates
            .iter()
            .filter(ready)
            .filter(|candidate| candidate.node != node)
            .collect();
        if others.is_empty() {
            return "the only node that can run it".to_owned();
        }
        self.without(service_ix, node, |explainer, partial| {
            explainer.among(partial, (service_ix, node), &others)
        })
    }

    /// The same where other nodes could run it.
    fn among(
        &self,
        partial: &PartialPlacement<'_>,
        (service, node): (ServiceIx, NodeIx),
        others: &[&Candidate],
    ) -> String {
        let mut obstacles = BTreeSet::new();
        for candidate in others {
            match self.obstacle(partial, service, candidate) {
                Some(obstacle) => obstacles.insert(obstacle),
                None => return self.chosen(partial, (service, node), others),
            };
        }
        if self.looks.get() == 0 { WHOLE.to_owned() } else { only(partial, service, &obstacles) }
    }

    /// The same where others have room, too.
    fn chosen(
        &self,
        partial: &PartialPlacement<'_>,
        (service, node): (ServiceIx, NodeIx),
        others: &[&Candidate],
    ) -> String {
        let indexed = partial.indexed;
        if let Some(other) = self.partial.deserted(service, node) {
            return format!("with {}, which must run near it", indexed.services[other].input.name);
        }
        let soft_cost =
            indexed.services[service].candidate(node).map_or(0, |candidate| candidate.soft_cost);
        let rivals: Vec<&Candidate> =
            others.iter().copied().filter(|candidate| candidate.soft_cost <= soft_cost).collect();
        let open = |candidate: &Candidate| self.obstacle(partial, service, candidate).is_none();
        let wishes = wishes(indexed, service, node);
        let wished = rivals.len() < others.len() && !wishes.is_empty();
        let rest = if wished && !rivals.iter().any(|candidate| open(candidate)) {
            None
        } else {
            Some(match indexed.problem.objective {
                Objective::Balance => even(partial, (service, node), &rivals, &open),
                Objective::Pack => packed(partial, node, &rivals, &open),
            })
        };
        if self.looks.get() == 0 {
            return WHOLE.to_owned();
        }
        let wishes = wished.then(|| format!("preferred for {}", wishes.join(", ")));
        let parts: Vec<String> = wishes.into_iter().chain(rest).collect();
        parts.join("; ")
    }

    fn obstacle(
        &self,
        partial: &PartialPlacement<'_>,
        service_ix: ServiceIx,
        candidate: &Candidate,
    ) -> Option<Obstacle> {
        let service = &partial.indexed.services[service_ix];
        let price = 1 + (service.spread.len() * partial.of_service[service_ix].len()) as u32;
        self.looks.set(self.looks.get().saturating_sub(price));
        if self.looks.get() == 0 {
            Some(Obstacle::Room)
        } else {
            obstacle(partial, service_ix, candidate)
        }
    }
}

/// Why there is no other: what all others have against it.
fn only(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    obstacles: &BTreeSet<Obstacle>,
) -> String {
    let near = partial.indexed.services[service].input.near.iter().map(ToString::to_string);
    let near = near.collect::<Vec<_>>().join(" and ");
    let all: Vec<Obstacle> = obstacles.iter().copied().collect();
    match all.as_slice() {
        [Obstacle::Room] => return "the only node with room for it".to_owned(),
        [Obstacle::Near] => return format!("near {near}"),
        _ => {}
    }
    let clauses = all.iter().map(|obstacle| match obstacle {
        Obstacle::Room => "have no room".to_owned(),
        Obstacle::Port => "have its port taken".to_owned(),
        Obstacle::Apart => "run what it stays apart from".to_owned(),
        Obstacle::Most => "have as many of it as they may".to_owned(),
        Obstacle::Near => format!("do not run {near}"),
        Obstacle::Spread => "would spread it unevenly".to_owned(),
        Obstacle::Devices => "would have to restart others on other GPUs".to_owned(),
    });
    format!("the other nodes {}", clauses.collect::<Vec<_>>().join(" or "))
}

/// The wishes that a node meets, as the file writes them.
fn wishes(indexed: &IndexedProblem<'_>, service: ServiceIx, node_ix: NodeIx) -> Vec<String> {
    let node = indexed.nodes[node_ix].input;
    let met = indexed.services[service].input.prefer.iter().map(|it| &it.condition);
    met.filter(|line| filter::holds(line, node))
        .map(|line| format!("{}={}", line.key.word(), line.written))
        .collect()
}

/// Why a node is best where use should be even.
fn even(
    partial: &PartialPlacement<'_>,
    (service, node): (ServiceIx, NodeIx),
    rivals: &[&Candidate],
    open: &dyn Fn(&Candidate) -> bool,
) -> String {
    let [cpu, memory, _] = partial.indexed.services[service].need;
    if cpu == 0 && memory == 0 {
        return "as good as any: it reserves no cpu or memory".to_owned();
    }
    let (left, word) = room_left(partial, service, node);
    let roomier = |candidate: &&&Candidate| room_left(partial, service, candidate.node).0 > left;
    if !rivals.iter().filter(roomier).any(|candidate| open(candidate)) {
        return match left / 10 {
            0 => format!("most room left: less than 1% of {word}"),
            percent => format!("most room left: {percent}% of {word}"),
        };
    }
    let growth = partial.growth(service, node);
    let better = |candidate: &&&Candidate| partial.growth(service, candidate.node) < growth;
    if rivals.iter().filter(better).any(|candidate| open(candidate)) {
        return WHOLE.to_owned();
    }
    "best for even use of cpu and memory".to_owned()
}

/// What would be left of the scarcer of cpu and memory with one more there, in thousandths.
fn room_left(
    partial: &PartialPlacement<'_>,
    service: ServiceIx,
    node: NodeIx,
) -> (u64, &'static str) {
    let capacity = partial.indexed.nodes[node].capacity;
    let left = |resource: usize| {
        let used = partial.used[node][resource]
            .saturating_add(partial.indexed.services[service].need[resource]);
        let left = u128::from(capacity[resource].saturating_sub(used));
        (left * 1000 / u128::from(capacity[resource].max(1))) as u64
    };
    let (cpu, memory) = (left(0), left(1));
    if cpu < memory { (cpu, "cpu") } else { (memory, "memory") }
}

/// Why a node is best where few should be in use.
fn packed(
    partial: &PartialPlacement<'_>,
    node: NodeIx,
    rivals: &[&Candidate],
    open: &dyn Fn(&Candidate) -> bool,
) -> String {
    if !partial.on_node[node].is_empty() {
        return "fills a node that is in use".to_owned();
    }
    let in_use = |candidate: &&&Candidate| !partial.on_node[candidate.node].is_empty();
    if rivals.iter().filter(in_use).any(|candidate| open(candidate)) {
        return WHOLE.to_owned();
    }
    "no node in use can take it".to_owned()
}
