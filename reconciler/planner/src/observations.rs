//! What runs where, by the name it has from now on: renames are applied, and everyone who was seen
//! twice is seen twice here.
//!
//! Knows observations, and which of them somebody ordered. Refuses to know what is wanted, renames
//! apart, and to take a report for more than what was ordered of its node.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
};

use devnet_schema::{
    desired::{DesiredState, Service},
    fleet::{FleetSnapshot, Node, NodeStatus},
    instance::{Generation, Protocol},
    name::{InstanceId, NodeName, ServiceName},
    observed::InstanceState,
    order::{OrderBook, Standing, is_believed},
};

use crate::{
    data::{self, Home},
    input::PlanInput,
    observed::{Observed, renamed},
};

/// The fleet, sorted, with renames applied.
#[derive(Debug)]
pub(crate) struct Observations<'a> {
    /// The nodes.
    pub nodes: BTreeMap<&'a NodeName, &'a Node>,
    /// Who was seen where it was ordered, by the name it has from now on; the one that counts
    /// first: the newest order of those that can be heard of.
    pub observed: BTreeMap<InstanceId, Vec<Observed<'a>>>,
    /// Who was seen where nobody is on record as having ordered it, by the name it runs under:
    /// nothing is done to it, and it takes its room.
    pub strangers: Vec<Observed<'a>>,
    /// Who is claimed by several nodes since the records were lost, by one that has nothing to show
    /// for it, or by one that was told later
    /// than the node which they name and which does not run it; by the name it has from now on,
    /// with the claims: nothing is decided about it.
    pub disputed: BTreeMap<InstanceId, Vec<Observed<'a>>>,
    /// The highest generation that is on record or believed, by the name it runs under.
    pub generations: BTreeMap<InstanceId, Generation>,
    /// Generations that nodes report and that are not believed.
    pub boasts: BTreeSet<Boast<'a>>,
    /// Who was protected when it was last told to run, by the name that it has from now on.
    pub protected: BTreeSet<InstanceId>,
    /// Where data is, by the name that its instance has from now on.
    pub homes: BTreeMap<InstanceId, Home<'a>>,
}

/// A generation that nobody could have given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Boast<'a> {
    /// Who says so.
    pub node: &'a NodeName,
    /// Of which service.
    pub service: &'a ServiceName,
    /// Of which of its instances.
    pub index: u32,
    /// What.
    pub generation: Generation,
}

impl<'a> Observations<'a> {
    /// Counts the fleet.
    pub(crate) fn of(input: &PlanInput<'a>) -> Self {
        let PlanInput { desired, fleet, .. } = input;
        let nodes: BTreeMap<_, _> = fleet.nodes.iter().map(|node| (&node.name, node)).collect();
        let book = OrderBook::of(fleet);
        let (generations, boasts) = generations(input.generations, fleet, &book);
        let mut observations = Self {
            nodes,
            observed: BTreeMap::new(),
            strangers: Vec::new(),
            disputed: BTreeMap::new(),
            generations,
            boasts,
            protected: fleet.protected.iter().map(|id| by_new_name(desired, id)).collect(),
            homes: BTreeMap::new(),
        };
        let mut claims: BTreeMap<InstanceId, Vec<Observed<'a>>> = BTreeMap::new();
        let mut later: BTreeMap<InstanceId, Vec<Observed<'a>>> = BTreeMap::new();
        for seen in &fleet.instances {
            let status =
                observations.nodes.get(&seen.node).map_or(NodeStatus::Lost, |node| node.status);
            let runs_as = seen.instance();
            let service = renamed(desired, &runs_as.service);
            let renamed = *service != runs_as.service;
            let id = InstanceId { service: service.clone(), index: runs_as.index };
            let unit = Observed { seen, status, renamed, ordered: 0, claimed: false, shown: false };
            let unit = Observed { shown: book.is_shown(&runs_as, &seen.node), ..unit };
            match book.standing(&runs_as, &seen.node, seen.generation) {
                Standing::Ordered(ordered) => {
                    let unit = Observed { ordered, ..unit };
                    observations.observed.entry(id).or_default().push(unit);
                }
                Standing::Claimed if book.ordered(&runs_as).is_none() => {
                    claims.entry(id).or_default().push(Observed { claimed: true, ..unit });
                }
                Standing::Claimed
                    if book.claimed(&runs_as, &seen.node) > book.ordered(&runs_as) =>
                {
                    later.entry(id).or_default().push(Observed { claimed: true, ..unit });
                }
                Standing::Claimed | Standing::Stranger => observations.strangers.push(unit),
            }
        }
        for (id, group) in later {
            observations.contest(desired, id, group);
        }
        for (id, group) in claims {
            observations.weigh(desired, id, group);
        }
        for group in observations.observed.values_mut() {
            group.sort_by_key(|it| {
                let heard_of = it.status != NodeStatus::Lost;
                let there =
                    [InstanceState::Running, InstanceState::Completed, InstanceState::Scheduled];
                let running = there.contains(&it.seen.state);
                let counts = (heard_of, !it.renamed, it.ordered, it.is_known(), running);
                (Reverse(counts), it.node(), it.seen.digest.as_str())
            });
            group.dedup_by_key(|it| (it.node(), it.renamed));
        }
        observations.strangers.sort_by_key(|it| (it.node(), it.runs_as(), it.seen.digest.as_str()));
        observations.homes = data::homes(desired, fleet, &observations.observed);
        observations
    }

    /// Takes the one claim for an instance that nobody is on record as running, where its node
    /// shows what came with the order, and none of several. One by a node that is cordoned, the
    /// word of an operator, counts only where no other node claims it.
    fn weigh(&mut self, desired: &DesiredState, id: InstanceId, group: Vec<Observed<'a>>) {
        let (mut weak, mut strong): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|unit| self.is_cordoned(desired, unit));
        // Who shows what came with the order is right against those who only say so.
        if strong.iter().any(|unit| unit.shown) {
            let (shown, said) = strong.into_iter().partition(|unit: &Observed<'_>| unit.shown);
            strong = shown;
            weak.extend::<Vec<_>>(said);
        }
        if strong.is_empty() {
            strong = std::mem::take(&mut weak);
        }
        self.strangers.append(&mut weak);
        let nodes: BTreeSet<&NodeName> = strong.iter().map(Observed::node).collect();
        match self.observed.entry(id) {
            Entry::Occupied(_) => self.strangers.append(&mut strong),
            Entry::Vacant(unseen) if nodes.len() > 1 || !strong.iter().all(|unit| unit.shown) => {
                strong.sort_by_key(|it| (it.node(), it.renamed));
                self.disputed.insert(unseen.into_key(), strong);
            }
            Entry::Vacant(unseen) => {
                unseen.insert(strong);
            }
        }
    }

    /// Weighs claims of what the records know of another node, as of an earlier generation. Where
    /// that one runs it, they are right. Where it does not, they may be older than the nodes: then
    /// nothing of it is started anywhere, unless an operator cordoned the node that claims it.
    fn contest(&mut self, desired: &DesiredState, id: InstanceId, group: Vec<Observed<'a>>) {
        let runs = self.observed.get(&id).is_some_and(|known| known.iter().any(Observed::is_known));
        let (mut weak, mut strong): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|unit| runs || self.is_cordoned(desired, unit));
        self.strangers.append(&mut weak);
        if !strong.is_empty() {
            strong.sort_by_key(|it| (it.node(), it.renamed));
            self.disputed.insert(id, strong);
        }
    }

    fn is_cordoned(&self, desired: &DesiredState, unit: &Observed<'_>) -> bool {
        let of_file = desired.nodes.get(unit.node()).is_some_and(|policy| policy.cordon);
        of_file || self.nodes.get(unit.node()).is_some_and(|node| node.cordoned)
    }

    /// What holds room on a node and is left alone, whoever declares it.
    pub(crate) fn left_alone(&self) -> impl Iterator<Item = &Observed<'a>> {
        self.strangers.iter().chain(self.disputed.values().flatten())
    }

    /// Whether anything of a service was protected when it was last told to run: that stands until
    /// all of it was told otherwise.
    pub(crate) fn protects(&self, service: &ServiceName) -> bool {
        self.protected.iter().any(|id| id.service == *service)
    }

    /// Where the data of an instance is, of a service that has volumes.
    pub(crate) fn home(&self, service: &Service, id: &InstanceId) -> Option<&Home<'a>> {
        self.homes.get(id).filter(|_| !service.volumes.is_empty())
    }

    /// Whether a node can be reached; one that is not in the fleet counts as lost.
    pub(crate) fn status(&self, node: &NodeName) -> NodeStatus {
        self.nodes.get(node).map_or(NodeStatus::Lost, |node| node.status)
    }

    /// The most trustworthy observed.
    pub(crate) fn best(&self, id: &InstanceId) -> Option<&Observed<'a>> {
        self.observed.get(id).and_then(|group| group.first())
    }

    /// Ports of a node that something outside the cluster holds. An agent that has just started
    /// after a power cut reports ports before it knows which of them its own units hold, so those
    /// of everything seen on the node are left out.
    pub(crate) fn ports_outside(&self, node: &Node) -> impl Iterator<Item = (Protocol, u16)> {
        let units = self.all().map(|(_, it)| it).chain(self.left_alone());
        let here = units.filter(|it| *it.node() == node.name);
        let specs = here.filter_map(|it| it.spec());
        let ours: BTreeSet<u16> =
            specs.flat_map(|spec| spec.ports.iter().map(|port| port.host)).collect();
        let held: BTreeSet<u16> = node.facts.ports_in_use.iter().copied().collect();
        held.into_iter().filter(move |port| !ours.contains(port)).map(|port| (Protocol::Tcp, port))
    }

    /// Everything that was seen where it was ordered.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&InstanceId, &Observed<'a>)> {
        self.observed.iter().flat_map(|(id, group)| group.iter().map(move |it| (id, it)))
    }
}

/// What an instance is called from now on.
fn by_new_name(desired: &DesiredState, id: &InstanceId) -> InstanceId {
    InstanceId { service: renamed(desired, &id.service).clone(), index: id.index }
}

/// The highest generation of each instance that is on record or believed of a node, and what is not
/// believed. A number is believed wherever it comes from: who refuses older ones is asked by it.
pub(crate) fn generations<'a>(
    given_out: &BTreeMap<InstanceId, Generation>,
    fleet: &'a FleetSnapshot,
    book: &OrderBook<'a>,
) -> (BTreeMap<InstanceId, Generation>, BTreeSet<Boast<'a>>) {
    let mut known = given_out.clone();
    let mut boasts = BTreeSet::new();
    let running = fleet.instances.iter();
    let running = running.map(|seen| (seen.instance(), &seen.service, &seen.node, seen.generation));
    let accepted = fleet.accepted.iter();
    let accepted =
        accepted.map(|it| (it.instance.clone(), &it.instance.service, &it.node, it.generation));
    for (id, service, node, generation) in running.chain(accepted) {
        let recorded = given_out.get(&id).copied().unwrap_or(0);
        let issued = match book.standing(&id, node, generation) {
            Standing::Ordered(ordered) => recorded.max(ordered),
            Standing::Claimed | Standing::Stranger => {
                recorded.max(book.ordered(&id).unwrap_or_default())
            }
        };
        if is_believed(issued, generation) {
            let highest = known.entry(id).or_insert(0);
            *highest = generation.max(*highest);
        } else {
            boasts.insert(Boast { node, service, index: id.index, generation });
        }
    }
    (known, boasts)
}
