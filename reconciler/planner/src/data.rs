//! Where the data of each instance is, by the name that it has from now on: where it was ordered
//! to be, where it is seen, and what nodes say of volumes since the records were lost or put back.
//!
//! Knows which place has the newest data, and says so where that is in doubt. Refuses to decide
//! what follows: whoever is wanted, and where, is told elsewhere.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use devnet_schema::{
    desired::{DesiredState, Service},
    fleet::{DataPlace, FleetSnapshot},
    instance::{Generation, Runtime, VolumeSpec},
    name::{InstanceId, NodeName},
};

use crate::observed::{Observed, renamed};

/// Where the data of one instance is.
#[derive(Debug, Clone)]
pub(crate) struct Home<'a> {
    /// The node with the newest.
    pub node: &'a NodeName,
    /// The name that it was put there under; another one before a rename.
    pub of: InstanceId,
    /// Which driver keeps it, where that is known.
    pub runtime: Option<Runtime>,
    /// The volumes, where they are known: those that it has no more, too.
    pub volumes: Vec<Volume<'a>>,
    /// The names of those that the node says it has no more; none where the instance is seen there.
    pub missing: BTreeSet<&'a str>,
    /// Other nodes that have data of it.
    pub older: BTreeSet<&'a NodeName>,
    /// Whether one of `older`, or data of another name, may be the newest as well.
    pub doubtful: bool,
    /// Whether nothing but the word of that node tells of it.
    pub claimed: bool,
    /// Whether that node has something to show for it.
    pub shown: bool,
    /// Where that is in doubt, what else there is: where, and under which name.
    pub rivals: BTreeSet<(&'a NodeName, InstanceId)>,
    /// Nodes that a line leaves, without which it would be in doubt.
    pub settled_by: BTreeSet<&'a NodeName>,
}

/// A volume that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume<'a> {
    /// What is known of it.
    pub spec: &'a VolumeSpec,
    /// Whose name it has.
    pub owner: InstanceId,
}

impl Home<'_> {
    /// Whether a line of the service allows to leave the data there.
    pub(crate) fn may_be_left(&self, service: &Service) -> bool {
        service.leave_data.iter().any(|line| line.value == *self.node)
    }

    /// Whether its data is on that node, all of it that the service declares.
    pub(crate) fn is_at(&self, service: Option<&Service>, node: &NodeName) -> bool {
        self.node == node && service.is_none_or(|service| self.lost(service).is_empty())
    }

    /// The volumes that the service declares and that its node says it has no more.
    pub(crate) fn lost(&self, service: &Service) -> Vec<String> {
        let declared = |volume: &VolumeSpec| {
            service.volumes.iter().any(|it| {
                let shared = volume.project.is_some() && it.value.path == volume.path;
                it.value.name == volume.name || shared
            })
        };
        let all = self.volumes.iter().map(|volume| volume.spec);
        let lost = all.filter(|spec| self.missing.contains(&*spec.name) && declared(spec));
        lost.map(|spec| spec.name.clone()).collect()
    }

    /// The names of the volumes, for people: `volumes data and logs`.
    pub(crate) fn named(&self) -> String {
        let names: Vec<String> =
            self.volumes.iter().map(|volume| format!("`{}`", volume.spec.name)).collect();
        match names.as_slice() {
            [] => "its volumes".to_owned(),
            [one] => format!("volume {one}"),
            some => format!("volumes {}", crate::diff::list(some)),
        }
    }
}

/// One thing that tells of data.
#[derive(Debug, Clone)]
struct Sign<'a> {
    node: &'a NodeName,
    of: InstanceId,
    generation: Generation,
    runtime: Option<Runtime>,
    volumes: &'a [VolumeSpec],
    missing: &'a [String],
    renamed: bool,
    /// Whether an order of ours tells it, not what was seen.
    recorded: bool,
    /// Whether nothing but the word of that node tells it.
    claimed: bool,
    /// Whether it has something to show for that.
    shown: bool,
    /// Whether its unit was seen, and known to run there.
    seen: bool,
    /// Whether nobody can say whether it runs: its node is not in the cluster any more.
    away: bool,
    known: bool,
}

/// Where the data of every instance is that has some.
pub(crate) fn homes<'a>(
    desired: &DesiredState,
    fleet: &'a FleetSnapshot,
    observed: &BTreeMap<InstanceId, Vec<Observed<'a>>>,
) -> BTreeMap<InstanceId, Home<'a>> {
    let nodes: BTreeSet<&NodeName> = fleet.nodes.iter().map(|node| &node.name).collect();
    let mut signs: BTreeMap<InstanceId, Vec<Sign<'a>>> = BTreeMap::new();
    for place in &fleet.data {
        let service = renamed(desired, &place.instance.service);
        let id = InstanceId { service: service.clone(), index: place.instance.index };
        let renamed = *service != place.instance.service;
        let away = !nodes.contains(&place.node);
        signs.entry(id).or_default().push(Sign { renamed, away, ..recorded(place) });
    }
    for (id, group) in observed {
        let with_data =
            group.iter().filter(|unit| !unit.spec().is_some_and(|it| it.volumes.is_empty()));
        signs.entry(id.clone()).or_default().extend(with_data.map(seen));
    }
    let homes = signs.into_iter().filter_map(|(id, mut signs)| {
        let left = desired.services.get(&id.service).map_or(&[][..], |it| &it.leave_data);
        let left: BTreeSet<&NodeName> = left.iter().map(|line| &line.value).collect();
        // What only its node says is over once a line leaves it.
        signs.retain(|it| !it.claimed || it.shown || it.seen || !left.contains(it.node));
        Some((id, home(signs, &left)?))
    });
    homes.collect()
}

fn recorded(place: &DataPlace) -> Sign<'_> {
    let DataPlace { instance, node, generation, runtime, volumes, missing, shown } = place;
    Sign {
        node,
        of: instance.clone(),
        generation: *generation,
        runtime: *runtime,
        volumes,
        missing,
        renamed: false,
        recorded: *generation > 0,
        claimed: *generation == 0,
        shown: *shown,
        seen: false,
        away: false,
        known: false,
    }
}

fn seen<'a>(unit: &Observed<'a>) -> Sign<'a> {
    let spec = unit.spec();
    Sign {
        node: unit.node(),
        of: unit.runs_as(),
        // The number of the order counts, where there is one, not what its node says.
        generation: if unit.ordered > 0 { unit.ordered } else { unit.seen.generation },
        runtime: spec.map(|spec| spec.workload.runtime()).or(unit.seen.runtime),
        volumes: spec.map_or(&[][..], |spec| &spec.volumes),
        missing: &[],
        renamed: unit.renamed,
        recorded: false,
        claimed: unit.claimed,
        shown: unit.shown,
        seen: true,
        away: false,
        known: unit.is_known(),
    }
}

/// The newest of these places: under its own name before an old one, then by generation.
fn home<'a>(mut signs: Vec<Sign<'a>>, left: &BTreeSet<&NodeName>) -> Option<Home<'a>> {
    let running = signs.iter().filter(|it| it.seen && it.known);
    let running: BTreeSet<&NodeName> = running.map(|it| it.node).collect();
    signs.sort_by_key(|it| {
        let own = !it.renamed && it.generation > 0;
        let runs = running.contains(it.node);
        (Reverse((own, it.generation, runs, it.recorded, it.known)), it.node)
    });
    let first = signs.first()?.clone();
    let claimed = signs.iter().filter(|it| it.node == first.node).all(|it| it.claimed);
    let shown = signs.iter().filter(|it| it.node == first.node).any(|it| it.shown);
    let rivals = signs.iter().filter(|it| {
        // No two nodes are told the same number: one of them only says so.
        let same = it.of == first.of && first.generation == it.generation;
        let untold = same && !it.seen && !running.contains(first.node);
        (it.node != first.node && untold) || is_strange(&signs, &first, it)
    });
    let rivals: BTreeSet<(&NodeName, InstanceId)> =
        rivals.map(|it| (it.node, it.of.clone())).collect();
    // Of those in doubt, what the file does not leave.
    let in_doubt = rivals.iter().map(|(node, _)| *node).chain([first.node]);
    let in_doubt: BTreeSet<&NodeName> =
        in_doubt.filter(|node| !rivals.is_empty() && left.contains(node)).collect();
    let open = signs.iter().filter(|it| !in_doubt.contains(it.node)).cloned();
    if !in_doubt.is_empty()
        && let Some(mut home) = home(open.collect(), left)
    {
        home.older.extend(in_doubt.iter().copied());
        home.settled_by.extend(in_doubt);
        return Some(home);
    }
    let (node, doubtful) = (first.node, !rivals.is_empty());
    // What has another name and nothing to do with it is not its own.
    let there = || signs.iter().filter(|it| it.node == node && !is_unlike(&signs, &first, it));
    let main = there().find(|it| !it.volumes.is_empty()).or_else(|| there().next())?;
    let other = |it: &&Sign<'_>| it.runtime.is_some() && it.runtime != main.runtime;
    let mut volumes: Vec<Volume<'a>> = Vec::new();
    for sign in there().filter(|it| !other(it)) {
        for spec in sign.volumes {
            if !volumes.iter().any(|known| known.spec.name == spec.name) {
                volumes.push(Volume { spec, owner: spec.owner(&sign.of).clone() });
            }
        }
    }
    // What was seen there has its data, wherever that is.
    let unseen = there().filter(|it| !other(it) && !there().any(|it| it.seen));
    let missing = unseen.flat_map(|it| it.missing).map(String::as_str).collect();
    Some(Home {
        node,
        missing,
        of: main.of.clone(),
        runtime: main.runtime,
        volumes,
        older: signs.iter().map(|it| it.node).filter(|other| *other != node).collect(),
        doubtful,
        claimed,
        shown,
        rivals,
        settled_by: BTreeSet::new(),
    })
}

/// Whether a place may have the newest data under another name: of two services that a `moved` line
/// makes one. Where the first runs, what is known not to run is nothing that it ever had.
fn is_strange(signs: &[Sign<'_>], first: &Sign<'_>, it: &Sign<'_>) -> bool {
    let runs = signs.iter().any(|sign| sign.of == first.of && sign.seen);
    is_unlike(signs, first, it) && (it.seen || it.away || !runs)
}

/// Whether a place has another name than the first, and data that the first does not descend from.
fn is_unlike(signs: &[Sign<'_>], first: &Sign<'_>, it: &Sign<'_>) -> bool {
    if it.of == first.of {
        return false;
    }
    let same = |(a, of_a): (&VolumeSpec, &InstanceId), (b, of_b): (&VolumeSpec, &InstanceId)| {
        a.name == b.name
            && match (&a.project, &b.project) {
                (None, None) => a.owner(of_a) == b.owner(of_b),
                (a, b) => a == b,
            }
    };
    let has = |volume: &VolumeSpec, of: &InstanceId| {
        it.volumes.iter().any(|other| same((volume, of), (other, &it.of)))
    };
    let shared = it.node == first.node && first.volumes.iter().any(|own| has(own, &first.of));
    let mut own = signs.iter().filter(|sign| sign.of == first.of);
    let descends = own.any(|sign| {
        sign.volumes.iter().any(|volume| match (&volume.project, &volume.data_of) {
            (Some(_), _) => has(volume, &sign.of),
            (None, Some(of)) => *of == it.of || has(volume, &sign.of),
            (None, None) => false,
        })
    });
    !shared && !descends
}
