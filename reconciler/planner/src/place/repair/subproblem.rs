//! A few nodes of a large fleet as a problem of their own, everything else left as it is.
//!
//! Knows how to cut them out and how to put an answer back into the whole. Refuses to believe that
//! an answer of a part is one of the whole: the verifier, which shares nothing with the search,
//! has to find no fault in it.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::name::{InstanceId, ServiceName};

use super::{
    edit::{self, Change},
    suggest::{ILPS, SEARCH_NODES},
};
use crate::place::{
    Assignments,
    effort::spent::Spent,
    model::index::IndexedProblem,
    outcome::{Assignment, Outcome},
    problem::{Current, PlacementProblem, ServiceInput},
    search::{local, strategy},
    settled,
    verify::breaches,
};

/// What is placed, by node.
pub struct PlacedByNode<'a> {
    outcome: &'a Outcome,
    on_node: BTreeMap<&'a str, Vec<&'a InstanceId>>,
}

/// What came of a part, in the whole.
pub struct Replanned {
    /// Instances that are elsewhere than before, or had no node.
    pub placed: Assignments,
    /// Instances of the service that have a node beyond those that had one.
    pub gained: u32,
}

/// Some nodes with what is placed there, and which instance is which.
struct Cutout {
    problem: PlacementProblem,
    instances: BTreeMap<ServiceName, Vec<InstanceId>>,
}

impl<'a> PlacedByNode<'a> {
    pub fn of(outcome: &'a Outcome) -> Self {
        let mut on_node: BTreeMap<&str, Vec<&InstanceId>> = BTreeMap::new();
        for (instance, place) in &outcome.assignments {
            on_node.entry(place.node.as_str()).or_default().push(instance);
        }
        Self { outcome, on_node }
    }

    fn of_service(
        &self,
        name: &ServiceName,
    ) -> impl Iterator<Item = (&'a InstanceId, &'a Assignment)> {
        let first = InstanceId { service: name.clone(), index: 0 };
        let name = name.clone();
        let all = self.outcome.assignments.range(first..);
        all.take_while(move |(instance, _)| instance.service == name)
    }

    /// Plans some nodes again, the rest as it is, with the changes made: nothing of another
    /// service loses its node, and as much of service `s` as can be gets one, of so many instances
    /// at most. Nothing where no more of it does, or where the verifier finds a fault in the whole.
    pub fn replan(
        &self,
        indexed: &IndexedProblem<'_>,
        s: usize,
        (changes, nodes, most): (&[Change], &[usize], u32),
        spent: &mut Spent<'_>,
    ) -> Option<Replanned> {
        let name = &indexed.services[s].input.name;
        let part = self.cut(indexed, s, (changes, nodes), most);
        let solved = settled(&part.problem);
        let mut partial = strategy::placed(&solved, spent);
        let before = partial.clone();
        local::return_home(&mut partial);
        let partial = if partial.sound() { partial } else { before };
        let wanting = |t: &usize| solved.services[*t].input.name != *name;
        if (0..solved.services.len()).filter(wanting).any(|t| partial.missing(t) > 0) {
            return None;
        }
        let answer = crate::place::model::indices::assign(&partial);
        let whole: Assignments = answer
            .into_iter()
            .filter_map(|(id, place)| {
                let instance = part.instances.get(&id.service)?.get(id.index as usize)?;
                Some((instance.clone(), place))
            })
            .collect();
        let has = |instance: &InstanceId| self.outcome.assignments.get(instance);
        let fresh = whole.keys().filter(|id| id.service == *name && has(id).is_none());
        let gained = fresh.count() as u32;
        if gained == 0 || !self.holds(indexed, s, changes, &whole) {
            return None;
        }
        let elsewhere = |(instance, place): &(InstanceId, Assignment)| {
            has(instance).is_none_or(|before| before.node != place.node)
        };
        let placed: Assignments = whole.into_iter().filter(elsewhere).collect();
        let silent = placed
            .keys()
            .any(|id| self.has_data_here(indexed, id) && !let_go(indexed, changes, id));
        let helps = !silent && self.hurts_none(indexed, s, (changes, nodes), spent);
        helps.then_some(Replanned { placed, gained })
    }

    /// Whether all others keep a node when all that wait of the service are placed by its priority:
    /// what a plan does, however few of them the changes are meant for.
    fn hurts_none(
        &self,
        indexed: &IndexedProblem<'_>,
        s: usize,
        (changes, nodes): (&[Change], &[usize]),
        spent: &mut Spent<'_>,
    ) -> bool {
        // Its own data, too, may stay where it is once a line is dropped.
        let own = indexed.services[s].input;
        let data = own.current.values().filter(|_| !own.movable);
        let data = data.filter_map(|it| indexed.nodes.iter().position(|n| n.input.name == it.node));
        let nodes: BTreeSet<usize> = nodes.iter().copied().chain(data).collect();
        let nodes: Vec<usize> = nodes.into_iter().collect();
        let Cutout { mut problem, .. } = self.cut(indexed, s, (changes, &nodes), u32::MAX);
        let mut may_miss: BTreeMap<&ServiceName, u32> = BTreeMap::new();
        for (input, current) in self.waiting_data(indexed, s, &nodes) {
            *may_miss.entry(&input.name).or_insert(0) += 1;
            let known = problem.services.iter().position(|it| it.name == input.name);
            let at = known.unwrap_or_else(|| {
                problem.services.push(self.part_of(input, &input.name, &[]));
                problem.services.len() - 1
            });
            let again = &mut problem.services[at];
            again.current.insert(again.replicas, current.clone());
            again.replicas += 1;
        }
        for input in &mut problem.services {
            input.priority = input_of(indexed, &input.name).map_or(0, |whole| whole.priority);
        }
        let solved = settled(&problem);
        let partial = strategy::placed(&solved, spent);
        solved.services.iter().enumerate().all(|(t, service)| {
            let name = &service.input.name;
            let may_miss = may_miss.get(name).copied().unwrap_or(0);
            *name == indexed.services[s].input.name || partial.missing(t) <= may_miss
        })
    }

    /// What of other services has its data on one of the nodes and waits: were there room, it would
    /// stay, and that before anything else is placed.
    fn waiting_data<'f>(
        &self,
        indexed: &IndexedProblem<'f>,
        s: usize,
        nodes: &[usize],
    ) -> Vec<(&'f ServiceInput, &'f Current)> {
        let names: BTreeSet<_> = nodes.iter().map(|&n| &indexed.nodes[n].input.name).collect();
        let own = &indexed.services[s].input.name;
        let inputs = indexed.services.iter().map(|service| service.input);
        let data = inputs.filter(|input| !input.movable && input.name != *own);
        let waiting = data.flat_map(|input| {
            input.current.range(..input.replicas).map(move |(&index, current)| {
                (InstanceId { service: input.name.clone(), index }, input, current)
            })
        });
        waiting
            .filter(|(id, _, current)| {
                names.contains(&current.node) && !self.outcome.assignments.contains_key(id)
            })
            .map(|(_, input, current)| (input, current))
            .collect()
    }

    /// Whether an instance with data runs where it was placed.
    fn has_data_here(&self, indexed: &IndexedProblem<'_>, instance: &InstanceId) -> bool {
        let place = self.outcome.assignments.get(instance);
        let input = input_of(indexed, &instance.service).filter(|input| !input.movable);
        input.zip(place).is_some_and(|(input, place)| {
            input.current.get(&instance.index).is_some_and(|it| it.node == place.node)
        })
    }

    /// The nodes with the changes made, and with so many of the service's waiting instances.
    fn cut(
        &self,
        indexed: &IndexedProblem<'_>,
        s: usize,
        (changes, nodes): (&[Change], &[usize]),
        most: u32,
    ) -> Cutout {
        let own = &indexed.services[s].input.name;
        let mut instances: BTreeMap<ServiceName, Vec<InstanceId>> = BTreeMap::new();
        instances.insert(own.clone(), Vec::new());
        for &n in nodes {
            let here = self.on_node.get(indexed.nodes[n].input.name.as_str());
            // What is kept of the service itself gives way to it.
            let kept = |id: &InstanceId| id.service.lone_instance();
            let others = |id: &&&InstanceId| kept(id).is_none_or(|id| id.service != *own);
            for &instance in here.into_iter().flatten().filter(others) {
                instances.entry(instance.service.clone()).or_default().push(instance.clone());
                // Who needs company asks for its service.
                let service = kept(instance).map(|kept| kept.service);
                if let Some(name) = service {
                    instances.entry(name).or_default();
                }
            }
        }
        let all = (0..indexed.services[s].input.replicas)
            .map(|index| InstanceId { service: own.clone(), index });
        let waiting = all.filter(|instance| !self.outcome.assignments.contains_key(instance));
        instances.entry(own.clone()).or_default().extend(waiting.take(most as usize));
        // One of each that is placed with it.
        for t in edit::company(changes) {
            let name = &indexed.services[t].input.name;
            let all = (0..indexed.services[t].input.replicas)
                .map(|index| InstanceId { service: name.clone(), index });
            let first = all.into_iter().find(|id| !self.outcome.assignments.contains_key(id));
            instances.entry(name.clone()).or_default().extend(first);
        }
        let inputs = indexed.services.iter().map(|service| service.input);
        let services = inputs
            .filter_map(|input| Some(self.part_of(input, own, instances.get(&input.name)?)))
            .collect();
        let mut limits = indexed.problem.limits.clone();
        limits.rebalance = false;
        limits.ilps = limits.ilps.min(ILPS);
        limits.search_nodes = limits.search_nodes.min(SEARCH_NODES);
        let nodes = nodes.iter().map(|&n| indexed.nodes[n].input.clone()).collect();
        let objective = indexed.problem.objective;
        let leaving = BTreeSet::new();
        let mut problem = PlacementProblem { nodes, services, leaving, objective, limits };
        edit::make(indexed, s, changes, &mut problem);
        hold_spread(indexed, &mut problem);
        Cutout { problem, instances }
    }

    /// A service with these instances only. All others come before the one in question: none of
    /// them may lose its node.
    fn part_of(
        &self,
        input: &ServiceInput,
        own: &ServiceName,
        instances: &[InstanceId],
    ) -> ServiceInput {
        let current = |(index, instance): (usize, &InstanceId)| {
            let was = input.current.get(&instance.index);
            let Some(place) = self.outcome.assignments.get(instance) else {
                // Data that waits may stay where it is, once something makes that possible.
                return was.filter(|_| !input.movable).map(|it| (index as u32, it.clone()));
            };
            let runs = was.is_some_and(|it| it.node == place.node);
            let held = runs && was.is_some_and(|it| it.held);
            let current = Current { node: place.node.clone(), gpus: place.gpus.clone(), held };
            (input.movable || runs).then_some((index as u32, current))
        };
        ServiceInput {
            replicas: instances.len() as u32,
            priority: u8::from(input.name != *own),
            current: instances.iter().enumerate().filter_map(current).collect(),
            holdings: BTreeMap::new(),
            ..input.clone()
        }
    }

    /// Whether the verifier finds no fault in the whole with the changes made. It is shown every
    /// instance on the nodes that changed, all of those services elsewhere, and all that is spread.
    fn holds(
        &self,
        indexed: &IndexedProblem<'_>,
        s: usize,
        changes: &[Change],
        new: &Assignments,
    ) -> bool {
        let mut names: BTreeSet<&ServiceName> = new.keys().map(|it| &it.service).collect();
        // A node that is new or larger may be one more to be spread over.
        if changes.iter().any(Change::is_about_nodes) {
            let inputs = indexed.services.iter().map(|service| service.input);
            names.extend(inputs.filter(|it| !it.spread.is_empty()).map(|it| &it.name));
        }
        let mut open: Vec<&ServiceName> = names.iter().copied().collect();
        // The company that they need, too.
        while let Some(name) = open.pop() {
            let needed = number_of(indexed, name).into_iter().flat_map(|s| {
                let near = indexed.services[s].near.iter();
                near.flat_map(|&t| indexed.services[t].counterparts.iter().copied().chain([t]))
            });
            let needed = needed.map(|t| &indexed.services[t].input.name);
            open.extend(needed.filter(|name| names.insert(name)));
        }
        let services = names.iter().filter_map(|name| input_of(indexed, name));
        let mut problem = PlacementProblem {
            nodes: indexed.nodes.iter().map(|node| node.input.clone()).collect(),
            services: services.cloned().collect(),
            leaving: BTreeSet::new(),
            objective: indexed.problem.objective,
            limits: indexed.problem.limits.clone(),
        };
        edit::make(indexed, s, changes, &mut problem);
        let mut all: Assignments = BTreeMap::new();
        for name in names {
            all.extend(self.of_service(name).map(|(id, place)| (id.clone(), place.clone())));
        }
        all.extend(new.iter().map(|(id, place)| (id.clone(), place.clone())));
        breaches(&problem, &all).is_empty()
    }
}

/// Whether the changes say that the data of this instance may move.
fn let_go(indexed: &IndexedProblem<'_>, changes: &[Change], instance: &InstanceId) -> bool {
    let of = |change: &Change| match *change {
        Change::LetMove { service, .. } => indexed.services[service].input.name == instance.service,
        _ => false,
    };
    changes.iter().any(of)
}

fn input_of<'f>(indexed: &IndexedProblem<'f>, name: &ServiceName) -> Option<&'f ServiceInput> {
    number_of(indexed, name).map(|s| indexed.services[s].input)
}

fn number_of(indexed: &IndexedProblem<'_>, name: &ServiceName) -> Option<usize> {
    indexed.services.binary_search_by(|service| service.input.name.cmp(name)).ok()
}

/// A part knows nothing of the domains outside: what is spread stays where it is, and for what is
/// placed of it the verifier decides.
fn hold_spread(indexed: &IndexedProblem<'_>, problem: &mut PlacementProblem) {
    let spread = |input: &ServiceInput| {
        input_of(indexed, &input.name).is_some_and(|whole| !whole.spread.is_empty())
    };
    for input in problem.services.iter_mut().filter(|input| spread(input)) {
        input.movable = false;
        input.spread.clear();
    }
}
