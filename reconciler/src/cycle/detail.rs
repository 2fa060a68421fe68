//! Nodes, services and the loop in detail: sizes and what of them is placed, what a service is made
//! of, and the cluster in numbers.
//!
//! Knows the configuration in force and the fleet. Refuses to decide: what counts of a node is what
//! placement counts.

use std::collections::BTreeMap;

use devnet_schema::{
    desired::{Capacity, DesiredState, Domain, Form, NodePolicy, Selector, SelectorKey, Service},
    fleet::{FleetSnapshot, Node, NodeStatus},
    instance::InstanceSpec,
    name::NodeName,
    observed::InstanceState,
    placement::GpuUse,
    quantity::{GpuRequest, Resources},
};

use super::{ControlPlane, query::ordered};
use crate::api::{
    NodeRow, ServiceRow, Status,
    detail::{
        Amount, Counts, Declared, DetailedNode, DetailedService, DetailedStatus, EngineRow, GpuRow,
        LoopStatus, Reserved, Room,
    },
};

const MIB: u64 = 1 << 20;

impl ControlPlane {
    /// Every node in detail, by name.
    pub fn detailed_nodes(&self, fleet: &FleetSnapshot, rows: Vec<NodeRow>) -> Vec<DetailedNode> {
        let current = self.state().current.clone();
        let desired = current.as_ref().map(|it| &it.desired);
        let placed = Placed::of(fleet, desired);
        let known: BTreeMap<&NodeName, &Node> =
            fleet.nodes.iter().map(|node| (&node.name, node)).collect();
        let detailed = |row: NodeRow| {
            let policy = desired.and_then(|desired| desired.nodes.get(&row.name));
            match known.get(&row.name) {
                Some(node) => node_detail(node, policy, placed.on.get(&row.name), row),
                // On record, and never heard of.
                None => unheard(row),
            }
        };
        rows.into_iter().map(detailed).collect()
    }

    /// Every service in detail, by name.
    pub fn detailed_services(&self, rows: Vec<ServiceRow>) -> Vec<DetailedService> {
        let current = self.state().current.clone();
        let services = current.as_ref().map(|it| &it.desired.services);
        let declared = |row: &ServiceRow| Some(declared(services?.get(&row.name)?));
        rows.into_iter().map(|row| DetailedService { declared: declared(&row), row }).collect()
    }

    /// The status in detail.
    pub fn detailed_status(&self, status: Status) -> DetailedStatus {
        let (held, planned, warnings) = {
            let state = self.state();
            let planned = state.current.as_ref().map(|it| it.revision.clone());
            (state.held.clone(), planned, state.warnings.clone())
        };
        let deployment = self.deploying();
        let word = match (&deployment, &held) {
            _ if !self.is_ready() => "waiting",
            (Some(_), _) => "deploying",
            (None, Some(_)) => "held",
            (None, None) => "idle",
        };
        DetailedStatus {
            counts: counts(&status),
            planned,
            warnings,
            following: LoopStatus { state: word.to_owned(), deployment },
            held,
            status,
        }
    }
}

/// What instances that were ordered reserve, by node.
#[derive(Default)]
struct Placed {
    on: BTreeMap<NodeName, OnNode>,
}

#[derive(Default)]
struct OnNode {
    cpu_milli: u64,
    memory: u64,
    disk: u64,
    gpus: Vec<GpuUse>,
}

impl Placed {
    fn of(fleet: &FleetSnapshot, desired: Option<&DesiredState>) -> Self {
        let mut placed = Self::default();
        for seen in ordered(fleet) {
            let ended = matches!(seen.state, InstanceState::Completed);
            let Some(spec) = seen.spec.as_deref().filter(|_| !ended) else { continue };
            let resources = desired.and_then(|it| it.services.get(&seen.service));
            let resources = resources.map_or_else(|| of_unit(spec), |service| service.resources);
            let on = placed.on.entry(seen.node.clone()).or_default();
            on.cpu_milli = on.cpu_milli.saturating_add(resources.cpu.milli);
            on.memory = on.memory.saturating_add(resources.memory.0);
            on.disk = on.disk.saturating_add(resources.disk.0);
            on.gpus.extend(spec.gpus.iter().cloned());
        }
        placed
    }
}

/// What a unit that is not declared any more may use.
fn of_unit(spec: &InstanceSpec) -> Resources {
    let limits = spec.limits;
    Resources { cpu: limits.cpu, memory: limits.memory, ..Resources::default() }
}

fn node_detail(
    node: &Node,
    policy: Option<&NodePolicy>,
    placed: Option<&OnNode>,
    row: NodeRow,
) -> DetailedNode {
    let nothing = OnNode::default();
    let placed = placed.unwrap_or(&nothing);
    let reserve = policy.map_or_else(Resources::default, |policy| policy.reserve);
    let capacity = policy.map_or_else(Capacity::default, |policy| policy.capacity);
    let facts = &node.facts;
    let capped = |reported: u64, most: Option<u64>| most.map_or(reported, |it| it.min(reported));
    let mib = |bytes: u64| bytes / MIB;
    let disk = facts.disks.iter().map(|disk| disk.total_mb).max().unwrap_or(0);
    let room = Room {
        cpu_milli: Amount {
            whole: capped(u64::from(facts.cpu_count) * 1000, capacity.cpu.map(|it| it.milli)),
            reserved: reserve.cpu.milli,
            placed: placed.cpu_milli,
        },
        memory_mb: Amount {
            whole: capped(facts.total_memory_mb, capacity.memory.map(|it| mib(it.0))),
            reserved: mib(reserve.memory.0),
            placed: mib(placed.memory),
        },
        disk_mb: Amount {
            whole: capped(disk, capacity.disk.map(|it| mib(it.0))),
            reserved: mib(reserve.disk.0),
            placed: mib(placed.disk),
        },
    };
    let declared = policy.map(|policy| policy.tags.as_slice()).unwrap_or_default();
    let mut tags: Vec<String> = declared.iter().chain(&node.tags).cloned().collect();
    tags.sort();
    tags.dedup();
    let most = capacity.gpus.map_or(usize::MAX, |most| most as usize);
    DetailedNode {
        zone: policy.and_then(|policy| policy.zone.clone()).or_else(|| node.zone.clone()),
        tags,
        os: facts.os.clone(),
        arch: facts.arch.clone(),
        engines: engines(node),
        room,
        gpus: facts.gpus.iter().take(most).map(|gpu| gpu_row(gpu, &placed.gpus)).collect(),
        row,
    }
}

fn unheard(row: NodeRow) -> DetailedNode {
    DetailedNode {
        row,
        zone: None,
        tags: Vec::new(),
        os: String::new(),
        arch: String::new(),
        engines: Vec::new(),
        room: Room::default(),
        gpus: Vec::new(),
    }
}

fn gpu_row(gpu: &devnet_schema::fleet::Gpu, uses: &[GpuUse]) -> GpuRow {
    let here = || uses.iter().filter(|it| it.id == gpu.id);
    GpuRow {
        id: gpu.id.clone(),
        model: gpu.model.clone(),
        mem_mb: gpu.mem_mb,
        placed_mb: here().map(|it| it.memory.as_mib()).sum(),
        share_milli: here().map(|it| it.share_milli).sum(),
    }
}

fn engines(node: &Node) -> Vec<EngineRow> {
    let facts = &node.facts;
    let container = facts.docker.engine.as_deref().unwrap_or("docker");
    let all = [(container, &facts.docker), ("process", &facts.process), ("kubernetes", &facts.k8s)];
    let told = all.into_iter().filter(|(name, it)| it.available || *name != "kubernetes");
    told.map(|(name, it)| EngineRow {
        name: name.to_owned(),
        version: it.version.clone(),
        available: it.available,
    })
    .collect()
}

fn declared(service: &Service) -> Declared {
    let (form, component, version) = match &service.form {
        Form::Component { name, version, .. } => {
            ("component", Some(name.value.clone()), Some(version.clone()))
        }
        Form::Image { image, .. } => ("image", None, Some(image.value.clone())),
        Form::Process { .. } => ("process", None, None),
        Form::Compose { container, .. } => {
            ("compose", None, container.image.as_ref().map(|it| it.value.clone()))
        }
        Form::Kubernetes(manifests) => ("kubernetes", None, Some(manifests.path.value.clone())),
    };
    let place = &service.place;
    let names = |all: &[devnet_schema::diagnostic::Located<_>]| {
        all.iter().map(|it| devnet_schema::name::ServiceName::clone(&it.value)).collect()
    };
    Declared {
        form: form.to_owned(),
        component,
        version,
        at: service.at.to_string(),
        priority: service.priority,
        depends_on: names(&service.depends_on),
        near: names(&place.near),
        apart_from: names(&place.apart_from),
        place: place_lines(service),
        resources: reserved(&service.resources),
        secrets: secrets(&service.form),
    }
}

fn secrets(form: &Form) -> Vec<devnet_schema::name::SecretName> {
    match form {
        Form::Component { secrets, .. } => secrets.values().map(|it| it.value.clone()).collect(),
        Form::Image { .. } | Form::Process { .. } | Form::Compose { .. } | Form::Kubernetes(_) => {
            Vec::new()
        }
    }
}

fn place_lines(service: &Service) -> Vec<String> {
    let place = &service.place;
    let mut lines = Vec::new();
    let mut add = |word: &str, all: &[devnet_schema::diagnostic::Located<Selector>]| {
        lines.extend(all.iter().map(|it| format!("{word} {}", selector(&it.value))));
    };
    add("require", &place.require);
    add("forbid", &place.forbid);
    lines.extend(
        place
            .prefer
            .iter()
            .map(|(it, weight)| format!("prefer {} weight={weight}", selector(&it.value))),
    );
    lines.extend(place.pin.iter().map(|it| format!("pin {}", it.value)));
    lines.extend(place.spread.iter().map(|it| {
        let by = match it.value.by {
            Domain::Node => "node",
            Domain::Zone => "zone",
        };
        format!("spread {by} max-skew={}", it.value.max_skew)
    }));
    lines.extend(place.max_per_node.iter().map(|it| format!("max-per-node {}", it.value)));
    lines
}

fn selector(selector: &Selector) -> String {
    let key = match selector.key {
        SelectorKey::Tag => "tag",
        SelectorKey::Zone => "zone",
        SelectorKey::Os => "os",
        SelectorKey::Arch => "arch",
        SelectorKey::GpuModel => "gpu-model",
        SelectorKey::Node => "node",
    };
    format!("{key}={}", selector.any_of.join(","))
}

fn reserved(resources: &Resources) -> Reserved {
    let mut reserved = Reserved {
        cpu_milli: resources.cpu.milli,
        memory_mb: resources.memory.as_mib(),
        disk_mb: resources.disk.as_mib(),
        ..Reserved::default()
    };
    match resources.gpu {
        GpuRequest::None => {}
        GpuRequest::Whole(devices) => reserved.gpus = devices,
        GpuRequest::Share(milli) => reserved.gpu_share_milli = milli,
        GpuRequest::Memory(bytes) => reserved.gpu_memory_mb = bytes.as_mib(),
    }
    reserved
}

/// What is unknown is not counted as down.
fn counts(status: &Status) -> Counts {
    let mut counts = Counts::default();
    for node in &status.nodes {
        *match node.status {
            NodeStatus::Online => &mut counts.nodes.online,
            NodeStatus::Offline => &mut counts.nodes.offline,
            NodeStatus::Lost => &mut counts.nodes.lost,
        } += 1;
    }
    for service in &status.services {
        let unknown = service.instances.iter().any(|it| it.state == InstanceState::Unknown);
        *match (service.healthy >= service.desired, unknown) {
            (true, _) => &mut counts.services.healthy,
            (false, true) => &mut counts.services.unknown,
            (false, false) => &mut counts.services.degraded,
        } += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(value: serde_json::Value) -> Node {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_node_tells_what_it_has_what_is_kept_free_and_what_is_placed() {
        let fleet: FleetSnapshot = serde_json::from_value(serde_json::json!({
            "nodes": [{
                "name": "vega", "cpu_count": 8, "total_memory_mb": 16384, "tags": ["ssd"],
                "disks": [{"mount": "/", "total_mb": 1000}, {"mount": "/d", "total_mb": 5000}],
                "gpus": [{"id": "GPU-1", "model": "RTX", "mem_mb": 24576}],
            }],
            "instances": [{
                "id": "llm-0", "service": "llm", "node": "vega", "state": "running",
                "spec": {
                    "cluster": "lab", "id": "llm[0]", "node": "vega",
                    "workload": {"process": {"argv": []}},
                    "limits": {"cpu": "1.5", "memory": "2GiB"},
                    "gpus": [{"id": "GPU-1", "share_milli": 0, "memory": "18GiB"}],
                },
            }],
        }))
        .unwrap();
        let placed = Placed::of(&fleet, None);
        let row = NodeRow {
            name: "vega".parse().unwrap(),
            status: NodeStatus::Online,
            ip: String::new(),
            instances: 1,
            last_seen: None,
            problem: None,
            cordoned: false,
            drained: false,
            shut: false,
            joined_at: None,
            never_connected: false,
        };
        let detail = node_detail(&fleet.nodes[0], None, placed.on.get(&row.name), row);
        let amount = |whole, placed| Amount { whole, reserved: 0, placed };
        assert_eq!(detail.room.cpu_milli, amount(8000, 1500));
        assert_eq!(detail.room.memory_mb, amount(16384, 2048));
        assert_eq!(detail.room.disk_mb, amount(5000, 0), "the largest, and no sum");
        assert_eq!(detail.gpus[0].placed_mb, 18432);
        assert_eq!(detail.tags, ["ssd"]);
        let json = serde_json::to_value(&detail).unwrap();
        assert_eq!(
            (&json["name"], &json["room"]["cpu_milli"]["whole"]),
            (&"vega".into(), &8000.into())
        );
    }

    #[test]
    fn engines_are_those_that_a_node_may_have() {
        let with = node(serde_json::json!({
            "name": "a", "docker": {"available": true, "engine": "podman", "version": "5.4"},
        }));
        let names: Vec<_> = engines(&with).into_iter().map(|it| (it.name, it.available)).collect();
        assert_eq!(names, [("podman".to_owned(), true), ("process".to_owned(), true)]);
    }
}
