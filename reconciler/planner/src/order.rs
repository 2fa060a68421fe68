//! The step graph: what has to happen before what.
//!
//! Knows dependencies, claims on ports and devices, and how many instances may be down at once.
//! Refuses to know why anything happens.
//!
//! Some edges must hold (an instance starts after what it depends on is healthy, and after whoever
//! held its port is gone). Others are wishes (the old unit goes only when the new one serves; not
//! everything at once) and are left out where they would close a circle.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    desired::{DesiredState, Update},
    instance::{Generation, InstanceSpec, Protocol},
    name::{InstanceId, NodeName, ServiceName},
    plan::Action,
    step::{Act, Step},
};

use crate::{
    action::{Leaving, PlannedAction},
    condition::Starting,
    graph::Graph,
};

/// So many planned are waited for one by one.
const MANY: usize = 16;

/// The steps of one action, by number.
#[derive(Debug, Clone, Copy, Default)]
struct Steps {
    prepare: Option<usize>,
    remove: Option<usize>,
    start: Option<usize>,
    healthy: Option<usize>,
}

impl Steps {
    /// The first that touches what runs.
    fn disrupts(&self, action: &PlannedAction) -> Option<usize> {
        if action.stop_first { self.remove.or(self.start) } else { self.start }
    }
}

/// The steps of all planned, in an order that respects `after`. What of a service is `starting` is
/// waited for before anything of it that may serve is touched.
pub(crate) fn steps(
    desired: &DesiredState,
    planned: &[PlannedAction],
    starting: &[Starting],
) -> Vec<Step> {
    let mut planned = planned.to_vec();
    let mut draft = Draft::of(desired, &planned, starting);
    while draft.graph.has_circle() && draft.yield_claims(&mut planned) {
        draft = Draft::of(desired, &planned, starting);
    }
    draft.wish_for_gradual_change(desired, &planned);
    draft.wish_for_late_removals(desired, &planned);
    draft.finish()
}

struct Draft {
    steps: Vec<Step>,
    of_action: Vec<Steps>,
    /// By service, the steps that wait for what is starting already.
    starting: BTreeMap<ServiceName, Vec<usize>>,
    graph: Graph,
}

impl Draft {
    /// Every step and the edges that must hold.
    fn of(desired: &DesiredState, planned: &[PlannedAction], starting: &[Starting]) -> Self {
        let mut steps = Vec::new();
        let of_action: Vec<Steps> =
            planned.iter().map(|action| draft(desired, action, &mut steps)).collect();
        let starting = wait_for(desired, planned, starting, &mut steps);
        let mut graph = Graph::new(steps.len());
        for (action, own) in planned.iter().zip(&of_action) {
            let first = if action.stop_first { own.remove } else { None };
            let chain = [own.prepare, first, own.start, own.healthy];
            let chain: Vec<usize> = chain.into_iter().flatten().collect();
            for pair in chain.windows(2) {
                graph.add(pair[0], pair[1]);
            }
            if !action.stop_first
                && let (Some(healthy), Some(remove)) = (own.healthy, own.remove)
            {
                graph.add(healthy, remove);
            }
        }
        let mut draft = Self { steps, of_action, starting, graph };
        draft.order_by_dependency(desired, planned);
        draft.order_by_claim(planned);
        draft
    }

    /// Starts wait until what they depend on is healthy; destructions go the other way round.
    fn order_by_dependency(&mut self, desired: &DesiredState, planned: &[PlannedAction]) {
        let of_service = by_service(planned);
        for (action, own) in planned.iter().zip(self.of_action.clone()) {
            let service = desired.services.get(&action.change.instance.service);
            for dependency in service.iter().flat_map(|service| &service.depends_on) {
                for &other in of_service.get(&dependency.value).into_iter().flatten() {
                    let theirs = self.of_action[other];
                    let destroyed = planned[other].change.action == Action::Delete;
                    if let (Some(healthy), Some(start)) = (theirs.healthy, own.start) {
                        self.graph.add(healthy, start);
                    }
                    let own_end = action.change.action == Action::Delete;
                    if let (Some(theirs), Some(mine)) = (theirs.remove, own.remove)
                        && destroyed
                        && own_end
                    {
                        self.graph.add(mine, theirs);
                    }
                }
            }
        }
    }

    /// Who takes a port or device of a node starts after whoever had it let go.
    fn order_by_claim(&mut self, planned: &[PlannedAction]) {
        let mut released: BTreeMap<Claim<'_>, Vec<(usize, usize)>> = BTreeMap::new();
        for (at, (action, own)) in planned.iter().zip(&self.of_action).enumerate() {
            let Some(before) = action.change.before.as_deref() else {
                continue;
            };
            let Some(step) = own.remove.or(own.start) else {
                continue;
            };
            let node = action.change.from.as_ref().unwrap_or(&action.change.node);
            for claim in claims(node, before) {
                released.entry(claim).or_default().push((at, step));
            }
        }
        for (at, action) in planned.iter().enumerate() {
            let (Some(after), Some(start)) =
                (action.change.after.as_deref(), self.of_action[at].start)
            else {
                continue;
            };
            for claim in claims(&after.node, after) {
                let before = released.get(&claim).into_iter().flatten();
                for &(_, step) in before.filter(|(other, _)| *other != at) {
                    self.graph.add(step, start);
                }
            }
        }
    }

    /// Where two units swap ports or devices, neither can wait until the other has left and serve
    /// meanwhile: those on the circle leave first. False when there is nobody left to ask.
    fn yield_claims(&self, planned: &mut [PlannedAction]) -> bool {
        let done: BTreeSet<usize> = self.graph.order().into_iter().collect();
        let mut asked = false;
        for (action, own) in planned.iter_mut().zip(&self.of_action) {
            let stuck = own.start.is_some_and(|start| !done.contains(&start));
            let here = action.change.action == Action::Update;
            if !stuck || action.stop_first || (action.leaves.is_none() && !here) {
                continue;
            }
            if action.leaves.is_none() {
                action.leaves = Some(Leaving {
                    id: action.change.instance.clone(),
                    node: action.change.node.clone(),
                    generation: action.generation,
                });
                action.generation += 1;
            }
            action.stop_first = true;
            asked = true;
        }
        asked
    }

    /// At most `max-unavailable` instances of a service are changed at once; those that are broken
    /// go first, since they are down already.
    fn wish_for_gradual_change(&mut self, desired: &DesiredState, planned: &[PlannedAction]) {
        for (service, list) in by_service(planned) {
            let Some(service) = desired.services.get(service) else {
                continue;
            };
            let gap = service.update.max_unavailable.max(1) as usize;
            let action = |at: &usize| planned[*at].change.action;
            let changes =
                |at: &usize| matches!(action(at), Action::Update | Action::Replace | Action::Move);
            let changing: Vec<usize> = list.iter().copied().filter(changes).collect();
            for pair in changing.windows(gap + 1) {
                self.wish_for_health(planned, pair[0], pair[gap]);
            }
            // Nothing is lost by what is down or new: all of it serves before more is made like it.
            let down = |at: &usize| action(at) == Action::Create || planned[*at].change.repairs();
            let others = changing.iter().filter(|at| !down(at)).take(gap);
            for &next in others {
                for &healthy in self.starting.get(&service.name).into_iter().flatten() {
                    if let Some(step) = self.of_action[next].disrupts(&planned[next]) {
                        self.graph.wish(healthy, step);
                    }
                }
                let first = list.iter().filter(|at| down(at));
                first.for_each(|&first| self.wish_for_health(planned, first, next));
            }
            // What is one too many may be needed until those that stay serve.
            let id = |at: usize| &planned[at].change.instance;
            let surplus = list.iter().copied().filter(|at| action(at) == Action::Delete);
            let surplus = surplus.filter(|&at| !changing.iter().any(|&it| id(it) == id(at)));
            let surplus: Vec<usize> = surplus.collect();
            let made = list.iter().filter(|at| action(at) == Action::Create);
            let last = changing.iter().rev().take(gap);
            let awaited: Vec<usize> = made.chain(last).copied().collect();
            for (rank, &next) in surplus.iter().enumerate() {
                // Of many the first waits for all, and the others for it.
                match surplus[..rank].first().filter(|_| awaited.len() > MANY) {
                    Some(&first) => self.wish_for_removal(first, next),
                    None => awaited.iter().for_each(|&it| self.wish_for_health(planned, it, next)),
                }
            }
        }
    }

    /// One action touches what runs only once the other's unit serves.
    fn wish_for_health(&mut self, planned: &[PlannedAction], first: usize, next: usize) {
        let healthy = self.of_action[first].healthy;
        if let (Some(healthy), Some(step)) =
            (healthy, self.of_action[next].disrupts(&planned[next]))
        {
            self.graph.wish(healthy, step);
        }
    }

    /// One is removed only once the other is.
    fn wish_for_removal(&mut self, first: usize, next: usize) {
        if let (Some(first), Some(next)) =
            (self.of_action[first].remove, self.of_action[next].remove)
        {
            self.graph.wish(first, next);
        }
    }

    /// Nothing goes before what takes its place is ready: the old unit of a move waits for those
    /// that have to learn its new address, and what is destroyed for good waits until everything
    /// else on its node is prepared.
    fn wish_for_late_removals(&mut self, desired: &DesiredState, planned: &[PlannedAction]) {
        for (at, action) in planned.iter().enumerate() {
            let Some(remove) = self.of_action[at].remove else {
                continue;
            };
            for (other, theirs) in planned.iter().enumerate().filter(|(other, _)| *other != at) {
                let steps = self.of_action[other];
                let id = &theirs.change.instance;
                let same = *id == action.change.instance;
                let depends = desired.services.get(&id.service).is_some_and(|service| {
                    let own = &action.change.instance.service;
                    service.depends_on.iter().any(|it| it.value == *own)
                });
                let after = match action.change.action {
                    Action::Delete if same => steps.healthy,
                    Action::Delete if theirs.change.node == action.change.node => steps.prepare,
                    Action::Move if depends && !action.stop_first => steps.healthy,
                    _ => None,
                };
                if let Some(after) = after {
                    self.graph.wish(after, remove);
                }
            }
        }
    }

    fn finish(mut self) -> Vec<Step> {
        let ids: Vec<String> = self.steps.iter().map(|step| step.id.clone()).collect();
        for (at, step) in self.steps.iter_mut().enumerate() {
            step.after = self.graph.before(at).map(|before| ids[before].clone()).collect();
            step.after.sort();
        }
        let order = self.graph.order();
        let mut steps: Vec<Option<Step>> = self.steps.into_iter().map(Some).collect();
        order.into_iter().filter_map(|at| steps[at].take()).collect()
    }
}

/// Adds the steps of one action to `steps`.
fn draft(desired: &DesiredState, action: &PlannedAction, steps: &mut Vec<Step>) -> Steps {
    let id = &action.change.instance;
    let mut own = Steps::default();
    if let Some(spec) = &action.change.after {
        let act = Act::Prepare { spec: spec.clone() };
        // It comes before the removal of the same instance on the same node, so it is no newer.
        let same = |old: &&Leaving| old.id == *id && old.node == spec.node;
        let earlier = action.leaves.as_ref().filter(same);
        let generation = earlier.map_or(action.generation, |old| old.generation);
        own.prepare = add(steps, "prepare", (id, &spec.node), generation, act);
    }
    if let Some(old) = &action.leaves {
        let at = (&old.id, &old.node);
        own.remove = add(steps, "remove", at, old.generation, Act::Remove);
    }
    if let Some(spec) = &action.change.after {
        let service = desired.services.get(&id.service);
        let timeout = service.map_or(Update::default().timeout, |it| it.update.timeout);
        let at = (id, &spec.node);
        let act = Act::Ensure { spec: spec.clone() };
        own.start = add(steps, "start", at, action.generation, act);
        let act = Act::AwaitHealthy { timeout };
        own.healthy = add(steps, "await-healthy", at, action.generation, act);
    }
    own
}

/// Adds a step for each that is starting, of services of which something that may serve changes.
fn wait_for(
    desired: &DesiredState,
    planned: &[PlannedAction],
    starting: &[Starting],
    steps: &mut Vec<Step>,
) -> BTreeMap<ServiceName, Vec<usize>> {
    let touches = |action: &&PlannedAction| {
        let kinds = [Action::Update, Action::Replace, Action::Move];
        kinds.contains(&action.change.action) && !action.change.repairs()
    };
    let touched: BTreeSet<&ServiceName> =
        planned.iter().filter(touches).map(|action| &action.change.instance.service).collect();
    let mut waits: BTreeMap<ServiceName, Vec<usize>> = BTreeMap::new();
    for Starting { id, node, generation } in starting {
        let Some(service) = desired.services.get(&id.service) else { continue };
        if touched.contains(&id.service) {
            let act = Act::AwaitHealthy { timeout: service.update.timeout };
            let step = add(steps, "await-healthy", (id, node), *generation, act);
            waits.entry(id.service.clone()).or_default().extend(step);
        }
    }
    waits
}

/// Adds one step. Two units of one instance may go from two nodes: the second says from which.
fn add(
    steps: &mut Vec<Step>,
    word: &str,
    (instance, node): (&InstanceId, &NodeName),
    generation: Generation,
    act: Act,
) -> Option<usize> {
    let plain = format!("{instance}/{word}");
    let taken = steps.iter().any(|step| step.id == plain);
    steps.push(Step {
        id: if taken { format!("{instance}@{node}/{word}") } else { plain },
        instance: instance.clone(),
        node: node.clone(),
        generation,
        act,
        after: Vec::new(),
    });
    Some(steps.len() - 1)
}

/// PlannedActions of each service, the broken instances first.
fn by_service(planned: &[PlannedAction]) -> BTreeMap<&ServiceName, Vec<usize>> {
    let mut map: BTreeMap<&ServiceName, Vec<usize>> = BTreeMap::new();
    for (at, action) in planned.iter().enumerate() {
        map.entry(&action.change.instance.service).or_default().push(at);
    }
    for list in map.values_mut() {
        list.sort_by_key(|&at| (!planned[at].broken, at));
    }
    map
}

/// Something of a node that one unit at a time can have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Claim<'a> {
    Port(&'a NodeName, Protocol, u16),
    Device(&'a NodeName, &'a str),
}

fn claims<'a>(node: &'a NodeName, spec: &'a InstanceSpec) -> BTreeSet<Claim<'a>> {
    let ports = spec.ports.iter().map(|port| Claim::Port(node, port.protocol, port.host));
    let devices = spec.gpus.iter().map(|gpu| Claim::Device(node, &gpu.id));
    ports.chain(devices).collect()
}
