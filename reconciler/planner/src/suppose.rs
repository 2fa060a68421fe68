//! What has not happened: changes of the fleet or the declarations to plan as if they had.
//!
//! Knows how each supposition looks in the input of a plan. Refuses to plan, and to suppose
//! something about what is not there.

use devnet_schema::{
    desired::{Capacity, DesiredState, NodePolicy},
    diagnostic::Location,
    file::suggest::advice,
    fleet::{Availability, Disk, FleetSnapshot, Gpu, Node, NodeFacts, NodeStatus},
    name::{InstanceId, NodeName, ServiceName},
    observed::ObservedInstance,
    order::Order,
    plan::Plan,
    quantity::{Bytes, Resources},
    replicas::Replicas,
};

use crate::input::PlanInput;

/// The most GPUs of a node that is supposed to join.
const MAX_GPUS: u32 = 64;

/// Something that has not happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supposition {
    /// The node gives up what can move.
    Drain(NodeName),
    /// The node was lost for good: what has data there waits, the rest is placed elsewhere.
    Without(NodeName),
    /// A node joined.
    WithNode(Box<Node>),
    /// The service has this many replicas.
    Scale(ServiceName, u32),
}

impl Supposition {
    /// For people: `n2 is drained`.
    pub fn text(&self) -> String {
        match self {
            Self::Drain(node) => format!("{node} is drained"),
            Self::Without(node) => format!("{node} is lost"),
            Self::WithNode(node) => {
                let NodeFacts { cpu_count, total_memory_mb, gpus, .. } = &node.facts;
                let memory = Bytes::mib(*total_memory_mb);
                let gpus = match gpus.len() {
                    0 => String::new(),
                    count => format!(", {count} GPUs"),
                };
                format!("{} joins ({cpu_count} cores, {memory}{gpus})", node.name)
            }
            Self::Scale(service, replicas) => format!("{service} has {replicas} replicas"),
        }
    }

    /// Changes the input of a plan as if this had happened.
    ///
    /// # Errors
    /// When there is no such node or service, or the new node's name is taken.
    pub fn enter(
        &self,
        desired: &mut DesiredState,
        fleet: &mut FleetSnapshot,
    ) -> Result<(), String> {
        match self {
            Self::Drain(name) => {
                node(fleet, name)?;
                desired.nodes.entry(name.clone()).or_insert_with(undeclared).drain = true;
            }
            Self::Without(name) => node(fleet, name)?.status = NodeStatus::Lost,
            Self::WithNode(new) => {
                if fleet.nodes.iter().any(|node| node.name == new.name) {
                    return Err(format!("there is a node {} already", new.name));
                }
                fleet.nodes.push((**new).clone());
            }
            Self::Scale(name, replicas) => {
                let known: Vec<String> = desired.services.keys().map(ToString::to_string).collect();
                let service = desired.services.get_mut(name).ok_or_else(|| {
                    let advice = advice(name.as_str(), known.iter().map(String::as_str));
                    format!("no service is called {name}: {advice}")
                })?;
                if service.replicas.is_per_node() {
                    return Err(format!(
                        "{name} has one instance on each eligible node: change its `replicas` first"
                    ));
                }
                if *replicas > MOST_REPLICAS {
                    return Err(format!("a service has at most {MOST_REPLICAS} replicas"));
                }
                service.replicas = Replicas::Count(*replicas);
            }
        }
        Ok(())
    }
}

/// The most replicas that a cluster file may give a service, whatever its limits are raised to.
const MOST_REPLICAS: u32 = 1_000_000;

/// What one lost node means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Which.
    pub node: NodeName,
    /// What would be started on another node.
    pub elsewhere: Vec<InstanceId>,
    /// What would not run.
    pub down: Vec<InstanceId>,
    /// Of these, what waits for data that is lost with the node.
    pub data: Vec<InstanceId>,
    /// The limit of time ended the search.
    pub cut_short: bool,
}

/// Loses each node in turn, once `today` is done: the worst loss first. `plan` is asked for each
/// plan that follows. What has a node by today's plan loses it with this one, and gets none.
///
/// # Errors
/// Never for nodes of the fleet, which are there.
pub fn losses(
    input: &PlanInput<'_>,
    today: &Plan,
    plan: &mut dyn FnMut(&PlanInput<'_>) -> Plan,
) -> Result<Vec<Loss>, String> {
    let after = applied(input.fleet, today);
    let mut losses = Vec::new();
    for node in after.nodes.iter().map(|node| &node.name) {
        let (mut desired, mut fleet) = (input.desired.clone(), after.clone());
        Supposition::Without(node.clone()).enter(&mut desired, &mut fleet)?;
        let options = input.options.clone();
        let limits = input.limits.clone();
        let policy = input.policy.clone();
        let then = plan(&PlanInput {
            desired: &desired,
            fleet: &fleet,
            options,
            limits,
            policy,
            ..*input
        });
        losses.push(loss(node, today, &then));
    }
    losses.sort_by(|a, b| (b.down.len(), &a.node).cmp(&(a.down.len(), &b.node)));
    Ok(losses)
}

fn loss(node: &NodeName, today: &Plan, plan: &Plan) -> Loss {
    let (mut elsewhere, mut down, mut data) = (Vec::new(), Vec::new(), Vec::new());
    for assignment in &today.placement.assignments {
        let then = plan.placement.assignments.iter().find(|it| it.instance == assignment.instance);
        match then.map(|then| &then.node) {
            Some(then) if then == node => {
                down.push(assignment.instance.clone());
                data.push(assignment.instance.clone());
            }
            None => down.push(assignment.instance.clone()),
            Some(_) if assignment.node == *node => elsewhere.push(assignment.instance.clone()),
            Some(_) => {}
        }
    }
    Loss { node: node.clone(), elsewhere, down, data, cut_short: plan.placement.cut_short }
}

/// The fleet once a plan was applied: what it starts runs, and is healthy.
pub fn applied(fleet: &FleetSnapshot, plan: &Plan) -> FleetSnapshot {
    let mut fleet = fleet.clone();
    for change in &plan.changes {
        let left = change.from.as_ref().unwrap_or(&change.node);
        let old = change.before.as_ref().map_or(&change.instance, |spec| &spec.id);
        fleet.instances.retain(|it| {
            let id = it.instance();
            it.node != *left || (id != change.instance && id != *old)
        });
        let started = change.after.clone();
        if let (Some(spec), Some(orders)) = (&started, &mut fleet.orders) {
            let (instance, node) = (spec.id.clone(), spec.node.clone());
            orders.retain(|order| order.instance != instance || order.node != node);
            orders.push(Order { instance, node, generation: 1, claimed: false, shown: false });
        }
        if let Some(spec) = &started {
            // What runs tells where its data is, and as of when.
            fleet.data.retain(|place| place.instance != spec.id);
            fleet.protected.retain(|id| *id != spec.id);
            fleet.protected.extend(spec.protect.then(|| spec.id.clone()));
        }
        fleet.instances.extend(started.map(|spec| ObservedInstance::running(spec, 1)));
    }
    fleet
}

fn node<'f>(fleet: &'f mut FleetSnapshot, name: &NodeName) -> Result<&'f mut Node, String> {
    let known: Vec<String> = fleet.nodes.iter().map(|node| node.name.to_string()).collect();
    fleet.nodes.iter_mut().find(|node| node.name == *name).ok_or_else(|| {
        let advice = advice(name.as_str(), known.iter().map(String::as_str));
        format!("no node is called {name}: {advice}")
    })
}

/// The policy of a node that the cluster file says nothing of.
fn undeclared() -> NodePolicy {
    NodePolicy {
        at: Location { file: "".into(), line: 0, column: 0, start: 0, end: 0 },
        tags: Vec::new(),
        zone: None,
        reserve: Resources::default(),
        capacity: Capacity::default(),
        cordon: false,
        drain: false,
    }
}

/// Reads `cpu=16 memory=64GiB gpu=1x24GiB`, with `disk=`, `name=`, `zone=`, `tags=a,b`, `os=`,
/// `arch=` and `model=` (of the GPUs; `_` stands for a space) where they matter.
///
/// # Errors
/// What is wrong with it, and what it looks like.
pub fn new_node(text: &str) -> Result<Node, String> {
    let shape = "write it like \"cpu=16 memory=64GiB gpu=1x24GiB\"; disk=, name=, zone=, tags=, \
                 os=, arch= and model= may follow";
    let mut node = Node {
        id: String::new(),
        name: "new".parse::<NodeName>().map_err(|error| error.to_string())?,
        facts: NodeFacts {
            ip: "192.0.2.254".to_owned(),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            docker: Availability { available: true, ..Availability::default() },
            process: Availability { available: true, ..Availability::default() },
            ..NodeFacts::default()
        },
        last_seen: String::new(),
        tags: Vec::new(),
        zone: None,
        cordoned: false,
        drained: false,
        status: NodeStatus::Online,
    };
    let (mut gpus, mut model, mut disk) = (Vec::new(), String::new(), Bytes::gib(1024));
    for word in text.split_whitespace() {
        let (key, value) = word.split_once('=').ok_or_else(|| format!("`{word}`: {shape}"))?;
        let wrong = |error: String| format!("`{word}`: {error}; {shape}");
        let size = |text: &str| some_size(text).map_err(wrong);
        match key {
            "cpu" => {
                node.facts.cpu_count = value
                    .parse()
                    .ok()
                    .filter(|cores| *cores > 0)
                    .ok_or_else(|| wrong("a whole number of cores, at least 1".to_owned()))?;
            }
            "memory" => node.facts.total_memory_mb = size(value)?.as_mib(),
            "disk" => disk = size(value)?,
            "gpu" => {
                let (count, memory) = value.split_once('x').unwrap_or(("1", value));
                let count: u32 = count
                    .parse()
                    .ok()
                    .filter(|count| (1..=MAX_GPUS).contains(count))
                    .ok_or_else(|| wrong(format!("1 to {MAX_GPUS} GPUs")))?;
                let memory = size(memory)?;
                gpus.extend((0..count).map(|_| memory));
            }
            "name" => {
                node.name = value.parse::<NodeName>().map_err(|error| wrong(error.to_string()))?
            }
            "zone" => node.zone = Some(value.to_owned()),
            "tags" => node.tags = value.split(',').map(str::to_owned).collect(),
            "os" => node.facts.os = value.to_owned(),
            "arch" => node.facts.arch = value.to_owned(),
            "model" => model = value.replace('_', " "),
            _ => return Err(wrong("no such property".to_owned())),
        }
    }
    if node.facts.cpu_count == 0 || node.facts.total_memory_mb == 0 {
        return Err(format!("a new node needs cpu= and memory=: {shape}"));
    }
    let mib = disk.as_mib();
    node.facts.disks = vec![Disk { mount: "/".to_owned(), total_mb: mib, free_mb: mib }];
    let devices = gpus.into_iter().enumerate().map(|(number, memory)| Gpu {
        id: format!("GPU-{}-{number}", node.name),
        model: model.clone(),
        mem_mb: memory.as_mib(),
    });
    node.facts.gpus = devices.collect();
    Ok(node)
}

/// A size of which something is left in MiB, as nodes tell theirs.
fn some_size(text: &str) -> Result<Bytes, String> {
    let size = text.parse::<Bytes>().map_err(|error| error.to_string())?;
    match size.as_mib() {
        0 => Err("at least 1MiB".to_owned()),
        _ => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_node_is_read_from_its_properties() {
        let node = new_node(
            "cpu=16 memory=64GiB gpu=2x24GiB name=forge2 zone=office tags=gpu,ssd model=RTX_4090",
        )
        .unwrap();
        assert_eq!(node.name.as_str(), "forge2");
        assert_eq!((node.facts.cpu_count, node.facts.total_memory_mb), (16, 65536));
        assert_eq!(node.facts.gpus.len(), 2);
        assert_ne!(node.facts.gpus[0].id, node.facts.gpus[1].id);
        assert_eq!(
            (node.facts.gpus[0].mem_mb, node.facts.gpus[0].model.as_str()),
            (24576, "RTX 4090")
        );
        assert_eq!((node.tags.len(), node.zone.as_deref()), (2, Some("office")));
        assert_eq!(new_node("cpu=2 memory=4GiB gpu=24GiB").unwrap().facts.gpus.len(), 1);
    }

    #[test]
    fn what_is_wrong_with_a_new_node_is_said() {
        for (text, said) in [
            ("", "needs cpu= and memory="),
            ("cpu=16", "needs cpu= and memory="),
            ("cpu", "`cpu`: write it like"),
            ("cpu=0 memory=1GiB", "a whole number of cores, at least 1"),
            ("cpu=1 memory=0GiB", "`memory=0GiB`: at least 1MiB"),
            ("cpu=1 memory=1KiB", "`memory=1KiB`: at least 1MiB"),
            ("cpu=1 memory=1GiB disk=0GiB", "`disk=0GiB`: at least 1MiB"),
            ("cpu=1 memory=1GiB gpu=2x0GiB", "`gpu=2x0GiB`: at least 1MiB"),
            ("cpu=1 memory=1", "a size"),
            ("cpu=1 memory=1GiB gpu=0x1GiB", "1 to 64 GPUs"),
            ("cpu=1 memory=1GiB colour=red", "no such property"),
            ("cpu=1 memory=1GiB name=-x", "name"),
        ] {
            let error = new_node(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
