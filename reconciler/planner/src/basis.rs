//! What a plan was made from, as digests that tell whether any of it has moved.
//!
//! Knows which facts a plan reads. Refuses to count what changes by itself all the time: when a
//! node was last seen, how full its disk is, what an instance last said.

use std::collections::BTreeMap;

use devnet_schema::{
    digest::Digest,
    fleet::{Availability, DataPlace, Disk, Gpu, Node, NodeFacts, NodeStatus},
    instance::{Generation, InstanceSpec, Runtime},
    name::{InstanceId, NodeName},
    observed::{HealthState, InstanceState, ObservedInstance},
    order::{OrderBook, Standing},
    plan::PlanBasis,
};
use serde::Serialize;

use crate::{input::PlanInput, ports::RANGE, ports::fixed};

/// The basis of a plan whose instances are `specs`.
pub(crate) fn of<'s>(
    input: &PlanInput<'_>,
    specs: impl Iterator<Item = &'s InstanceSpec>,
) -> PlanBasis {
    let used = specs.flat_map(InstanceSpec::secrets);
    let secrets = used.map(|secret| (secret.name.to_string(), secret.version)).collect();
    PlanBasis { secrets, ..without_secrets(input) }
}

/// What the basis of `plan` would be if it were made from `input`: compare with
/// [`PlanBasis::moved`]. A secret that is gone has version 0.
pub fn now(before: &PlanBasis, input: &PlanInput<'_>) -> PlanBasis {
    let version = |name: &String| input.fleet.secrets.as_ref().and_then(|all| all.get(name));
    let names = before.secrets.keys();
    let secrets = names.map(|name| (name.clone(), version(name).copied().unwrap_or(0))).collect();
    PlanBasis { secrets, ..without_secrets(input) }
}

fn without_secrets(input: &PlanInput<'_>) -> PlanBasis {
    let declared = input.desired.services.values();
    let declared = declared
        .flat_map(|service| service.ports.iter().filter_map(|port| fixed(service, &port.value)));
    let declared: Vec<u16> = declared.collect();
    let mut nodes: Vec<NodeRow<'_>> =
        input.fleet.nodes.iter().map(|node| node_row(node, &declared)).collect();
    nodes.sort_by_key(|row| row.name);
    let book = OrderBook::of(input.fleet);
    let row = |seen| instance_row(seen, &book);
    let mut instances: Vec<InstanceRow<'_>> = input.fleet.instances.iter().map(row).collect();
    instances.sort_by_key(|row| (row.id, row.node, row.digest));
    let mut data: Vec<DataRow<'_>> = input.fleet.data.iter().map(data_row).collect();
    data.sort();
    let observed = match data.is_empty() {
        true => Digest::of(&instances),
        false => Digest::of(&(instances, data)),
    };
    PlanBasis {
        revision: input.revision.to_owned(),
        catalog: input.catalog.digest().to_string(),
        inventory: Digest::of(&nodes).to_string(),
        observed: observed.to_string(),
        secrets: BTreeMap::new(),
    }
}

/// Whose data is where, as of when, kept by whom, in which volumes.
type DataRow<'a> = (&'a InstanceId, &'a NodeName, Generation, Option<Runtime>, Vec<String>);

fn data_row(place: &DataPlace) -> DataRow<'_> {
    let DataPlace { instance, node, generation, runtime, volumes, missing, shown } = place;
    let names = volumes.iter().map(|volume| format!("{}={:?}", volume.name, volume.data_of));
    let names = names.chain(missing.iter().map(|name| format!("{name} is missing")));
    let names = names.chain(shown.then(|| "shown".to_owned()));
    (instance, node, *generation, *runtime, names.collect())
}

#[derive(Serialize)]
struct NodeRow<'a> {
    name: &'a NodeName,
    ip: &'a str,
    os: &'a str,
    arch: &'a str,
    cores: u32,
    memory: u64,
    disks: Vec<(&'a str, u64)>,
    gpus: Vec<(&'a str, &'a str, u64)>,
    runtimes: [(bool, Option<&'a str>); 3],
    ports: Vec<u16>,
    tags: &'a [String],
    zone: Option<&'a str>,
    cordoned: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    drained: bool,
    status: NodeStatus,
}

fn node_row<'a>(node: &'a Node, declared: &[u16]) -> NodeRow<'a> {
    // Named in full: a fact that placement reads and this forgets makes plans stale unnoticed.
    let Node { id: _, name, facts, last_seen: _, tags, zone, cordoned, drained, status } = node;
    let NodeFacts {
        ip,
        os,
        arch,
        cpu_count,
        total_memory_mb,
        disks,
        gpus,
        docker,
        k8s,
        process,
        ports_in_use,
    } = facts;
    let offers = |it: &'a Availability| {
        let Availability { version: _, available, engine } = it;
        (*available, engine.as_deref())
    };
    // Other ports come and go with every connection, and no plan reads them.
    let read = |port: &&u16| RANGE.contains(port) || declared.contains(port);
    let disk = |it: &'a Disk| {
        let Disk { mount, total_mb, free_mb: _ } = it;
        (mount.as_str(), *total_mb)
    };
    let gpu = |it: &'a Gpu| {
        let Gpu { id, model, mem_mb } = it;
        (id.as_str(), model.as_str(), *mem_mb)
    };
    NodeRow {
        name,
        ip,
        os,
        arch,
        cores: *cpu_count,
        memory: *total_memory_mb,
        disks: sorted(disks.iter().map(disk)),
        gpus: sorted(gpus.iter().map(gpu)),
        runtimes: [offers(docker), offers(k8s), offers(process)],
        ports: sorted(ports_in_use.iter().filter(read).copied()),
        tags,
        zone: zone.as_deref(),
        cordoned: *cordoned,
        drained: *drained,
        status: *status,
    }
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort();
    items
}

#[derive(Serialize)]
struct InstanceRow<'a> {
    id: &'a str,
    node: &'a NodeName,
    generation: Generation,
    digest: &'a str,
    /// Whether anybody ordered it there.
    told: bool,
    exited: bool,
    unknown: bool,
    unhealthy: bool,
}

fn instance_row<'a>(seen: &'a ObservedInstance, book: &OrderBook<'_>) -> InstanceRow<'a> {
    let ObservedInstance {
        id,
        service: _,
        index: _,
        node,
        generation,
        digest,
        state,
        health,
        restarts: _,
        message: _,
        runtime: _,
        spec: _,
    } = seen;
    InstanceRow {
        id,
        node,
        generation: *generation,
        digest: digest.as_str(),
        told: book.standing(&seen.instance(), node, *generation) != Standing::Stranger,
        exited: *state == InstanceState::Exited,
        unknown: *state == InstanceState::Unknown,
        unhealthy: *health == HealthState::Unhealthy,
    }
}
