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

use crate::census::{Sighting, renamed};

/// Where the data of one instance is.
#[derive(Debug, Clone)]
pub struct Home<'a> {
    /// The node with the newest.
    pub node: &'a NodeName,
    /// The name that it was put there under; another one before a rename.
    pub of: InstanceId,
    /// Which driver keeps it, where that is known.
    pub runtime: Option<Runtime>,
    /// The volumes, where they are known: those that it has no more, too.
    pub volumes: Vec<Volume<'a>>,
    /// Other nodes that have data of it.
    pub older: BTreeSet<&'a NodeName>,
    /// Whether one of `older` may have the newest as well.
    pub doubtful: bool,
    /// Whether nothing but the word of that node tells of it.
    pub claimed: bool,
}

/// A volume that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume<'a> {
    /// What is known of it.
    pub spec: &'a VolumeSpec,
    /// Whose name it has.
    pub owner: InstanceId,
}

impl Home<'_> {
    /// Whether a line of the service allows to leave the data there.
    pub fn may_be_left(&self, service: &Service) -> bool {
        service.leave_data.iter().any(|line| line.value == *self.node)
    }

    /// The names of the volumes, for people: `volumes data and logs`.
    pub fn named(&self) -> String {
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
    renamed: bool,
    /// Whether an order of ours tells it, not what was seen.
    recorded: bool,
    /// Whether its unit was seen, and known to run there.
    seen: bool,
    known: bool,
}

/// Where the data of every instance is that has some.
pub fn homes<'a>(
    desired: &DesiredState,
    fleet: &'a FleetSnapshot,
    sightings: &BTreeMap<InstanceId, Vec<Sighting<'a>>>,
) -> BTreeMap<InstanceId, Home<'a>> {
    let mut signs: BTreeMap<InstanceId, Vec<Sign<'a>>> = BTreeMap::new();
    for place in &fleet.data {
        let service = renamed(desired, &place.instance.service);
        let id = InstanceId { service: service.clone(), index: place.instance.index };
        signs.entry(id).or_default().push(recorded(place, *service != place.instance.service));
    }
    for (id, group) in sightings {
        let with_data =
            group.iter().filter(|unit| !unit.spec().is_some_and(|it| it.volumes.is_empty()));
        signs.entry(id.clone()).or_default().extend(with_data.map(seen));
    }
    let homes = signs.into_iter().filter_map(|(id, signs)| {
        let left = desired.services.get(&id.service).map_or(&[][..], |it| &it.leave_data);
        let left: BTreeSet<&NodeName> = left.iter().map(|line| &line.value).collect();
        Some((id, home(signs, &left)?))
    });
    homes.collect()
}

fn recorded<'a>(place: &'a DataPlace, renamed: bool) -> Sign<'a> {
    let DataPlace { instance, node, generation, runtime, volumes } = place;
    Sign {
        node,
        of: instance.clone(),
        generation: *generation,
        runtime: *runtime,
        volumes,
        renamed,
        recorded: *generation > 0,
        seen: false,
        known: false,
    }
}

fn seen<'a>(unit: &Sighting<'a>) -> Sign<'a> {
    let spec = unit.spec();
    Sign {
        node: unit.node(),
        of: unit.runs_as(),
        // The number of the order counts, where there is one, not what its node says.
        generation: if unit.ordered > 0 { unit.ordered } else { unit.seen.generation },
        runtime: spec.map(|spec| spec.workload.runtime()).or(unit.seen.runtime),
        volumes: spec.map_or(&[][..], |spec| &spec.volumes),
        renamed: unit.renamed,
        recorded: false,
        seen: true,
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
    let claimed = first.generation == 0 && !first.seen;
    let rivals = signs.iter().filter(|it| {
        // It runs under its old name, and was used under the new one before, elsewhere.
        let both = it.renamed && it.seen && !first.renamed && !first.seen;
        // No two nodes are told the same number: one of them only says so.
        let untold = first.generation == it.generation && !it.seen && !running.contains(first.node);
        it.node != first.node && (both || untold)
    });
    let rivals: BTreeSet<&NodeName> = rivals.map(|it| it.node).collect();
    // Of those in doubt, the one that the file does not leave.
    let candidates = rivals.iter().copied().chain([first.node]);
    let open: Vec<&NodeName> = candidates.filter(|node| !left.contains(node)).collect();
    let (node, doubtful) = match (rivals.is_empty(), open.as_slice()) {
        (true, _) => (first.node, false),
        (false, [only]) => (*only, false),
        _ => (first.node, true),
    };
    let there = || signs.iter().filter(|it| it.node == node);
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
    Some(Home {
        node,
        of: main.of.clone(),
        runtime: main.runtime,
        volumes,
        older: signs.iter().map(|it| it.node).filter(|other| *other != node).collect(),
        doubtful,
        claimed,
    })
}
