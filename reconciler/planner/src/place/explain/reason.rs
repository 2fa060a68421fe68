//! Why a new instance is where it is, and what drove a moved one away, in a few words.
//!
//! Knows the finished placement, and what would fit on it if one instance were not there. Refuses
//! to solve anything, to change a place, and to look at more than [`LOOKS`] nodes in all: beyond
//! that it says no more than what is always so.

use std::{
    cell::Cell as Counter,
    collections::{BTreeMap, BTreeSet},
};

use devnet_schema::{name::InstanceId, placement::Violation, quantity::GpuRequest};

use super::violation;
use crate::place::{
    model::{
        filter,
        index::{Amounts, Candidate, IndexedProblem, Service, per_node},
        partial::PartialPlacement,
    },
    outcome::{Assignment, Displaced, Reason},
    problem::{NodeState, Objective},
};

/// Looks at one service on one node, a spread line counted as one for each node of the service.
const LOOKS: u32 = 1_000_000;

/// Where no single thing decides.
const WHOLE: &str = "part of the best placement found";

type Assignments = BTreeMap<InstanceId, Assignment>;

/// Gives every new and every moved instance its reason. Returns what runs and has no place, with
/// who took it.
pub fn tell(
    partial: &PartialPlacement<'_>,
    assignments: &mut Assignments,
) -> BTreeMap<InstanceId, Displaced> {
    let mut explainer = Explainer::new(partial, assignments);
    let mut known: BTreeMap<(usize, usize, Option<usize>), Reason> = BTreeMap::new();
    for (instance, place) in assignments.iter_mut() {
        let Some((s, n)) = explainer.position(instance, place) else { continue };
        let from = match &place.reason {
            Reason::New { .. } => None,
            Reason::Moves { from, .. } => match explainer.nodes.get(from.as_str()) {
                Some(&old) => Some(old),
                None => continue,
            },
            _ => continue,
        };
        let reason = known.entry((s, n, from)).or_insert_with(|| explainer.reason(s, n, from));
        place.reason = reason.clone();
    }
    explainer.displaced(assignments)
}

/// What keeps a service off a node that could run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    Room,
    Port,
    Apart,
    Most,
    Near,
    Spread,
    Devices,
}

/// Who came to a node, or stays there and takes more of it than before.
struct Taker {
    instance: InstanceId,
    s: usize,
    came: bool,
    /// What it takes that it had not.
    more: Amounts,
    /// Whether it takes devices that it had not.
    devices: bool,
}

struct Explainer<'b, 'f> {
    partial: &'b PartialPlacement<'f>,
    /// A copy to take instances from and put them back.
    bench: PartialPlacement<'f>,
    nodes: BTreeMap<&'f str, usize>,
    services: BTreeMap<&'f str, usize>,
    /// By node, the highest priority first.
    takers: BTreeMap<usize, Vec<Taker>>,
    looks: Counter<u32>,
}

impl<'b, 'f> Explainer<'b, 'f> {
    fn new(partial: &'b PartialPlacement<'f>, assignments: &Assignments) -> Self {
        let indexed = partial.indexed;
        let nodes = indexed.nodes.iter().enumerate().map(|(n, it)| (it.input.name.as_str(), n));
        let services =
            indexed.services.iter().enumerate().map(|(s, it)| (it.input.name.as_str(), s));
        let mut explainer = Self {
            partial,
            bench: partial.clone(),
            nodes: nodes.collect(),
            services: services.collect(),
            takers: BTreeMap::new(),
            looks: Counter::new(LOOKS),
        };
        for (instance, place) in assignments {
            let Some((s, n)) = explainer.position(instance, place) else { continue };
            let came = matches!(place.reason, Reason::New { .. } | Reason::Moves { .. });
            if let Some(taker) = taker(&indexed.services[s], (instance, s), came) {
                explainer.takers.entry(n).or_default().push(taker);
            }
        }
        for here in explainer.takers.values_mut() {
            here.sort_by_key(|it| indexed.services[it.s].level);
        }
        explainer
    }

    fn position(&self, instance: &InstanceId, place: &Assignment) -> Option<(usize, usize)> {
        let s = self.services.get(instance.service.as_str())?;
        Some((*s, *self.nodes.get(place.node.as_str())?))
    }

    fn reason(&mut self, s: usize, n: usize, from: Option<usize>) -> Reason {
        match from {
            None => Reason::New { why: self.here(s, n) },
            Some(old) => {
                let from = self.partial.indexed.nodes[old].input.name.clone();
                Reason::Moves { from, because: self.away(s, n, old) }
            }
        }
    }

    /// What `look` sees on the placement without one instance of the service on the node.
    fn without<T>(
        &mut self,
        s: usize,
        n: usize,
        look: impl FnOnce(&Self, &PartialPlacement<'f>) -> T,
    ) -> T {
        let devices = self.bench.devices(n);
        self.bench.remove(s, n);
        let seen = look(self, &self.bench);
        self.bench.add(s, n);
        // Given back, they would be arranged anew.
        self.bench.set_devices(n, devices);
        seen
    }

    /// Why a new one is here.
    fn here(&mut self, s: usize, n: usize) -> String {
        let indexed = self.partial.indexed;
        let service = &indexed.services[s];
        if let Some(pin) = &service.input.pin {
            return format!("pinned to {}", pin.node);
        }
        let ready =
            |candidate: &&Candidate| indexed.nodes[candidate.node].input.state == NodeState::Ready;
        let others: Vec<&Candidate> = service
            .candidates
            .iter()
            .filter(ready)
            .filter(|candidate| candidate.node != n)
            .collect();
        if others.is_empty() {
            return "the only node that can run it".to_owned();
        }
        self.without(s, n, |explainer, partial| explainer.among(partial, (s, n), &others))
    }

    /// The same where other nodes could run it.
    fn among(
        &self,
        partial: &PartialPlacement<'_>,
        (s, n): (usize, usize),
        others: &[&Candidate],
    ) -> String {
        let mut obstacles = BTreeSet::new();
        for candidate in others {
            match self.obstacle(partial, s, candidate) {
                Some(obstacle) => obstacles.insert(obstacle),
                None => return self.chosen(partial, (s, n), others),
            };
        }
        if self.looks.get() == 0 { WHOLE.to_owned() } else { only(partial, s, &obstacles) }
    }

    /// The same where others have room, too.
    fn chosen(
        &self,
        partial: &PartialPlacement<'_>,
        (s, n): (usize, usize),
        others: &[&Candidate],
    ) -> String {
        let indexed = partial.indexed;
        if let Some(other) = self.partial.deserted(s, n) {
            return format!("with {}, which must run near it", indexed.services[other].input.name);
        }
        let soft_cost = indexed.services[s].candidate(n).map_or(0, |candidate| candidate.soft_cost);
        let rivals: Vec<&Candidate> =
            others.iter().copied().filter(|candidate| candidate.soft_cost <= soft_cost).collect();
        let open = |candidate: &Candidate| self.obstacle(partial, s, candidate).is_none();
        let wishes = wishes(indexed, s, n);
        let wished = rivals.len() < others.len() && !wishes.is_empty();
        let rest = if wished && !rivals.iter().any(|candidate| open(candidate)) {
            None
        } else {
            Some(match indexed.problem.objective {
                Objective::Balance => even(partial, (s, n), &rivals, &open),
                Objective::Pack => packed(partial, n, &rivals, &open),
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
        s: usize,
        candidate: &Candidate,
    ) -> Option<Obstacle> {
        let service = &partial.indexed.services[s];
        let price = 1 + (service.spread.len() * partial.of_service[s].len()) as u32;
        self.looks.set(self.looks.get().saturating_sub(price));
        if self.looks.get() == 0 { Some(Obstacle::Room) } else { obstacle(partial, s, candidate) }
    }

    /// What drove one away from a node.
    fn away(&mut self, s: usize, n: usize, old: usize) -> String {
        self.without(s, n, |explainer, partial| {
            let against = violation::of_move(explainer.partial, partial, s, old);
            let displaced =
                |found: &Violation| explainer.displacer(partial, s, old, found).is_some();
            if let Some(found) = against.iter().find(|found| !displaced(found)) {
                return found.text.clone();
            }
            if let Some(first) = against.first()
                && let Some(other) = explainer.displacer(partial, s, old, first)
            {
                return format!("makes room for {}", other.address());
            }
            let company = |t: &&usize| partial.count(**t, n) > 0 && partial.count(s, n) == 0;
            match partial.indexed.services[s].supports.iter().find(company) {
                Some(&t) => {
                    let name = &partial.indexed.services[t].input.name;
                    format!("service.{name} must run near it")
                }
                None => "the placement as a whole is better so".to_owned(),
            }
        })
    }

    /// Why each instance that runs and has no place is not where it runs.
    fn displaced(&self, assignments: &Assignments) -> BTreeMap<InstanceId, Displaced> {
        let mut known: BTreeMap<(usize, usize), Displaced> = BTreeMap::new();
        let mut all = BTreeMap::new();
        for (s, service) in self.partial.indexed.services.iter().enumerate() {
            for (&index, current) in service.input.current.range(..service.input.replicas) {
                let instance = InstanceId { service: service.input.name.clone(), index };
                let kept = InstanceId { service: instance.alone(), index: 0 };
                let has = assignments.contains_key(&instance) || assignments.contains_key(&kept);
                let node = self.nodes.get(current.node.as_str());
                if let Some(&n) = node.filter(|_| !has) {
                    let why = known.entry((s, n)).or_insert_with(|| self.gone(s, n));
                    all.insert(instance, why.clone());
                }
            }
        }
        all
    }

    /// Why a service has no place on a node where it runs.
    fn gone(&self, s: usize, n: usize) -> Displaced {
        let mut found = violation::violations(self.partial, s, n);
        let taker = |it: &Violation| {
            let first = |taker: &Taker| taker.came && self.comes_first(taker, s);
            let grew = |taker: &Taker| !taker.came;
            self.took((self.partial, s, n), it, &first)
                .or_else(|| self.occupant(s, n, it))
                .or_else(|| self.took((self.partial, s, n), it, &grew))
                .or_else(|| self.took((self.partial, s, n), it, &|it| first(it) || grew(it)))
        };
        let by = found.iter().find_map(taker);
        found.retain(|it| taker(it).is_none());
        let priority = |id: &InstanceId| {
            let service = self.services.get(id.service.as_str());
            service.map_or(0, |&t| self.partial.indexed.services[t].input.priority)
        };
        Displaced {
            by: by.map(|id| (id.clone(), priority(id))),
            against: found.into_iter().map(|found| found.text).collect(),
        }
    }

    /// Whether one may take the room of a service: the others only fill what is left.
    fn comes_first(&self, taker: &Taker, s: usize) -> bool {
        let services = &self.partial.indexed.services;
        services[taker.s].level <= services[s].level || !services[taker.s].input.movable
    }

    /// Who came and is what a line or a port forbids beside the service; a port may be new of one
    /// that stays.
    fn occupant(&self, s: usize, n: usize, found: &Violation) -> Option<&InstanceId> {
        let services = &self.partial.indexed.services;
        let forbids = |t: usize| match found.constraint.as_str() {
            "apart-from" => services[s].apart.contains(&t),
            "port" => services[t].ports.iter().any(|port| services[s].ports.contains(port)),
            _ => false,
        };
        let took = |it: &&Taker| it.came || found.constraint == "port";
        let mut here = self.takers.get(&n)?.iter().filter(took);
        let first = |it: &&Taker| it.s != s && self.comes_first(it, s) && forbids(it.s);
        here.find(first).map(|it| &it.instance)
    }

    /// Who came and took what is short, where there would be enough without all who came.
    fn displacer(
        &self,
        partial: &PartialPlacement<'_>,
        s: usize,
        old: usize,
        found: &Violation,
    ) -> Option<&InstanceId> {
        self.took((partial, s, old), found, &|it| it.came)
    }

    /// Who of these took what is short of a service on a node, where there would be enough without
    /// what all of them take.
    fn took(
        &self,
        (partial, s, n): (&PartialPlacement<'_>, usize, usize),
        found: &Violation,
        who: &dyn Fn(&Taker) -> bool,
    ) -> Option<&InstanceId> {
        let indexed = partial.indexed;
        let mut here = self.takers.get(&n)?.iter().filter(|it| who(it));
        if found.constraint == "gpu" {
            let took = here.find(|it| it.devices)?;
            return found.need.zip(found.whole).filter(|(a, b)| a <= b).map(|_| &took.instance);
        }
        let r = room(found)?;
        let first = here.find(|it| it.more[r] > 0)?;
        // What only fills what is left is in nobody's way.
        let takes = self.takers[&n].iter().filter(|it| who(it) || !self.comes_first(it, s));
        let taken = takes.map(|it| it.more[r]).fold(0, u64::saturating_add);
        let before = partial.used[n][r].saturating_sub(taken);
        let fits =
            before.saturating_add(indexed.services[s].need[r]) <= indexed.nodes[n].capacity[r];
        fits.then_some(&first.instance)
    }
}

/// What an instance takes of its node that it had not; nothing where nobody knows what it had.
fn taker(service: &Service<'_>, (instance, s): (&InstanceId, usize), came: bool) -> Option<Taker> {
    let input = service.input;
    let (instance, wants) = (instance.clone(), service.wants_gpu());
    if came {
        return Some(Taker { instance, s, came, more: service.need, devices: wants });
    }
    let has = input.holdings.get(&instance.index)?.amounts();
    let more = [0, 1, 2].map(|r| service.need[r].saturating_sub(has[r]));
    let had = input.current.get(&instance.index)?.request();
    let devices = wants && more_devices(had, input.gpu);
    Some(Taker { instance, s, came, more, devices })
}

/// Whether a request is for more than another was, as far as they can be compared.
fn more_devices(had: GpuRequest, wants: GpuRequest) -> bool {
    match (had, wants) {
        (GpuRequest::Whole(had), GpuRequest::Whole(wants)) => had < wants,
        (GpuRequest::Share(had), GpuRequest::Share(wants)) => had < wants,
        (GpuRequest::Memory(had), GpuRequest::Memory(wants)) => had < wants,
        (had, _) => !matches!(had, GpuRequest::Whole(1..)),
    }
}

/// Of what a node has too little.
fn room(found: &Violation) -> Option<usize> {
    violation::RESOURCES.iter().position(|word| *word == found.constraint)
}

fn obstacle(partial: &PartialPlacement<'_>, s: usize, candidate: &Candidate) -> Option<Obstacle> {
    let (service, n) = (&partial.indexed.services[s], candidate.node);
    let most = per_node(service.input).unwrap_or(u32::MAX);
    let capacity = partial.indexed.nodes[n].capacity;
    let full = |r: usize| partial.used[n][r].saturating_add(service.need[r]) > capacity[r];
    if partial.count(s, n) >= most {
        Some(Obstacle::Most)
    } else if (0..3).any(full) || (service.wants_gpu() && !partial.devices_fit(s, n)) {
        Some(Obstacle::Room)
    } else if service.apart.iter().any(|&other| partial.count(other, n) > 0) {
        Some(Obstacle::Apart)
    } else if !partial.fits_alone(s, n) {
        // Of all that is asked there only ports are left; those admit one instance a node.
        Some(if service.ports.is_empty() { Obstacle::Room } else { Obstacle::Port })
    } else if !partial.has_company(s, n) {
        Some(Obstacle::Near)
    } else {
        let lines = &service.spread;
        let uneven = lines.iter().any(|line| partial.skew_with(s, line, Some(n)) > 0);
        let disturbs = || partial.disturbs(s, n).then_some(Obstacle::Devices);
        if uneven { Some(Obstacle::Spread) } else { disturbs() }
    }
}

/// Why there is no other: what all others have against it.
fn only(partial: &PartialPlacement<'_>, s: usize, obstacles: &BTreeSet<Obstacle>) -> String {
    let near = partial.indexed.services[s].input.near.iter().map(ToString::to_string);
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
fn wishes(indexed: &IndexedProblem<'_>, s: usize, n: usize) -> Vec<String> {
    let node = indexed.nodes[n].input;
    let met = indexed.services[s].input.prefer.iter().map(|it| &it.condition);
    met.filter(|line| filter::holds(line, node))
        .map(|line| format!("{}={}", line.key.word(), line.written))
        .collect()
}

/// Why a node is best where use should be even.
fn even(
    partial: &PartialPlacement<'_>,
    (s, n): (usize, usize),
    rivals: &[&Candidate],
    open: &dyn Fn(&Candidate) -> bool,
) -> String {
    let [cpu, memory, _] = partial.indexed.services[s].need;
    if cpu == 0 && memory == 0 {
        return "as good as any: it reserves no cpu or memory".to_owned();
    }
    let (left, word) = room_left(partial, s, n);
    let roomier = |candidate: &&&Candidate| room_left(partial, s, candidate.node).0 > left;
    if !rivals.iter().filter(roomier).any(|candidate| open(candidate)) {
        return match left / 10 {
            0 => format!("most room left: less than 1% of {word}"),
            percent => format!("most room left: {percent}% of {word}"),
        };
    }
    let growth = partial.growth(s, n);
    let better = |candidate: &&&Candidate| partial.growth(s, candidate.node) < growth;
    if rivals.iter().filter(better).any(|candidate| open(candidate)) {
        return WHOLE.to_owned();
    }
    "best for even use of cpu and memory".to_owned()
}

/// What would be left of the scarcer of cpu and memory with one more there, in thousandths.
fn room_left(partial: &PartialPlacement<'_>, s: usize, n: usize) -> (u64, &'static str) {
    let capacity = partial.indexed.nodes[n].capacity;
    let left = |r: usize| {
        let used = partial.used[n][r].saturating_add(partial.indexed.services[s].need[r]);
        let left = u128::from(capacity[r].saturating_sub(used));
        (left * 1000 / u128::from(capacity[r].max(1))) as u64
    };
    let (cpu, memory) = (left(0), left(1));
    if cpu < memory { (cpu, "cpu") } else { (memory, "memory") }
}

/// Why a node is best where few should be in use.
fn packed(
    partial: &PartialPlacement<'_>,
    n: usize,
    rivals: &[&Candidate],
    open: &dyn Fn(&Candidate) -> bool,
) -> String {
    if !partial.on_node[n].is_empty() {
        return "fills a node that is in use".to_owned();
    }
    let in_use = |candidate: &&&Candidate| !partial.on_node[candidate.node].is_empty();
    if rivals.iter().filter(in_use).any(|candidate| open(candidate)) {
        return WHOLE.to_owned();
    }
    "no node in use can take it".to_owned()
}
