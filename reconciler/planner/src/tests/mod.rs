//! The whole pipeline over recorded fleets: a plan is printed, applied to the fleet in data, and
//! made again.
//!
//! Knows how to play a cluster's life. Refuses to start anything.

mod balance;
mod capacity;
mod data;
mod decisions;
mod disk;
mod forms;
mod left_alone;
mod lenient;
mod life;
mod orders;
mod per_node;
mod protect;
mod refusals;
mod renames;
mod reserve;
mod rollout;
mod separations;
mod size;
mod standing;
mod told;
mod wild;
mod wiring;

use std::collections::{BTreeMap, BTreeSet};

use devnet_catalog::Loaded;
use devnet_schema::{
    digest::Digest,
    file::MemoryFiles,
    fleet::{self, Availability, DataPlace, FleetSnapshot, Node, NodeFacts, NodeStatus},
    instance::{Generation, InstanceSpec},
    name::{InstanceId, NodeName},
    observed::{HealthState, InstanceState, ObservedInstance},
    plan::{Action, Plan},
    plan_options::PlanOptions,
    step::{Act, Step},
};

use crate::{PlanInput, Policy, place::Limits, plan};
use disk::Disk;

/// A cluster in data: what is there, and what was ever given out.
struct World {
    fleet: FleetSnapshot,
    generations: BTreeMap<InstanceId, Generation>,
    /// What each node was last told about an instance; no digest means to remove it.
    ledger: BTreeMap<(NodeName, InstanceId), (Generation, Option<Digest>)>,
    /// Whether what each node was last told to run was protected.
    told: BTreeMap<(NodeName, InstanceId), bool>,
    /// What is on the nodes' disks, and who wrote it.
    disk: Disk,
    options: PlanOptions,
    policy: Policy,
    limits: Limits,
}

impl World {
    /// Nodes of 4 cores and 8 GiB called as given, on 10.0.0.1 and so on.
    fn of(names: &[&str]) -> Self {
        let nodes = names.iter().enumerate().map(|(at, name)| node(name, at + 1));
        let fleet = FleetSnapshot {
            format_version: "1.0".to_owned(),
            cluster: None,
            serial: 1,
            taken_at: String::new(),
            nodes: nodes.collect(),
            instances: Vec::new(),
            orders: None,
            accepted: Vec::new(),
            data: Vec::new(),
            protected: Vec::new(),
            secrets: Some(BTreeMap::new()),
        };
        Self {
            fleet,
            generations: BTreeMap::new(),
            ledger: BTreeMap::new(),
            told: BTreeMap::new(),
            disk: Disk::default(),
            options: PlanOptions::default(),
            policy: Policy::default(),
            limits: Limits::default(),
        }
    }

    fn plan(&self, kdl: &str) -> Plan {
        self.plan_of(&load(kdl))
    }

    fn plan_of(&self, loaded: &Loaded) -> Plan {
        let desired = loaded.desired.as_ref();
        let desired = desired.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
        plan(&PlanInput {
            desired,
            catalog: &loaded.catalog,
            fleet: &self.fleet,
            revision: "r1",
            generations: &self.generations,
            options: self.options.clone(),
            policy: self.policy.clone(),
            limits: self.limits.clone(),
            created_at: "2026-11-22T12:00:00Z",
        })
    }

    /// Plans, applies, and holds that nothing is left to do.
    fn reach(&mut self, kdl: &str) -> Plan {
        let first = self.plan(kdl);
        assert!(first.is_applicable(), "{}", show(&first));
        self.apply(&first);
        let again = self.plan(kdl);
        assert!(again.changes.is_empty(), "not settled:\n{}", show(&again));
        assert!(again.steps.is_empty());
        first
    }

    /// Does what the steps say, in their order, as agents would.
    fn apply(&mut self, plan: &Plan) {
        self.begin(plan, plan.steps.len());
    }

    /// The same, broken off after so many steps.
    fn begin(&mut self, plan: &Plan, steps: usize) {
        for step in plan.steps.iter().take(steps) {
            self.fence(step);
            let node = self.fleet.nodes.iter().find(|node| node.name == step.node).unwrap();
            assert_eq!(node.status, NodeStatus::Online, "{} would never run", step.id);
            let at = self.position(step);
            match &step.act {
                Act::Prepare { .. } => {}
                Act::AwaitHealthy { .. } => {
                    assert_eq!(self.fleet.instances[at.unwrap()].health, HealthState::Healthy);
                }
                Act::Remove => {
                    self.fleet.instances.remove(at.expect("there to remove"));
                    self.told.remove(&(step.node.clone(), step.instance.clone()));
                    self.protect();
                }
                Act::Ensure { spec } => {
                    let before = at.map(|at| self.fleet.instances.remove(at));
                    self.no_port_is_taken(step);
                    let seen = ObservedInstance::running(spec.clone(), step.generation);
                    // What runs as it is told to goes on.
                    let goes_on = before.is_some_and(|it| {
                        it.state == InstanceState::Running && it.digest == seen.digest
                    });
                    self.fleet.instances.push(seen);
                    if !goes_on {
                        self.disk.used(spec);
                    }
                    self.record(step, spec);
                }
            }
        }
    }

    /// What a control plane writes down of an order.
    fn record(&mut self, step: &Step, spec: &InstanceSpec) {
        self.told.insert((step.node.clone(), spec.id.clone()), spec.protect);
        self.protect();
        if spec.volumes.is_empty() {
            return;
        }
        let mut volumes = spec.volumes.clone();
        let here = |it: &DataPlace| (&it.instance, &it.node) == (&spec.id, &spec.node);
        for known in self.fleet.data.iter().filter(|it| here(it)).flat_map(|it| &it.volumes) {
            let same = volumes.iter().any(|volume| volume.name == known.name);
            volumes.extend((!same).then(|| known.clone()));
        }
        self.fleet.data.retain(|it| !here(it));
        self.fleet.data.push(DataPlace {
            instance: spec.id.clone(),
            node: spec.node.clone(),
            generation: step.generation,
            runtime: Some(spec.workload.runtime()),
            volumes,
            missing: Vec::new(),
            shown: false,
        });
    }

    /// Protected is what any node was told to protect.
    fn protect(&mut self) {
        let told = self.told.iter().filter(|(_, protect)| **protect).map(|((_, id), _)| id.clone());
        let told: BTreeSet<InstanceId> = told.collect();
        self.fleet.protected = told.into_iter().collect();
    }

    /// The node is no longer of the cluster: its orders are forgotten.
    fn forget(&mut self, node: &str) {
        self.ledger.retain(|(own, _), _| own.as_str() != node);
        self.told.retain(|(own, _), _| own.as_str() != node);
        self.protect();
    }

    /// What an agent's ledger refuses: an older generation, and one that it knows with other
    /// content.
    fn fence(&mut self, step: &Step) {
        let highest = self.generations.entry(step.instance.clone()).or_insert(0);
        *highest = step.generation.max(*highest);
        let at = (step.node.clone(), step.instance.clone());
        let content = match &step.act {
            Act::Ensure { spec } => Some(spec.digest()),
            Act::Remove => None,
            Act::Prepare { .. } | Act::AwaitHealthy { .. } => {
                let known = self.ledger.get(&at).map_or(0, |known| known.0);
                assert!(step.generation >= known, "{} is too old", step.id);
                return;
            }
        };
        if let Some((known, before)) = self.ledger.get(&at) {
            assert!(step.generation >= *known, "{} is too old", step.id);
            let same = step.generation == *known && *before != content;
            assert!(!same, "{} says something else of the same generation", step.id);
        }
        self.ledger.insert(at, (step.generation, content));
    }

    fn position(&self, step: &Step) -> Option<usize> {
        let same = |it: &ObservedInstance| it.instance() == step.instance && it.node == step.node;
        self.fleet.instances.iter().position(same)
    }

    fn no_port_is_taken(&self, step: &Step) {
        let Act::Ensure { spec } = &step.act else {
            return;
        };
        let here = self.fleet.instances.iter().filter(|it| it.node == step.node);
        for other in here.filter_map(|it| it.spec.as_ref()) {
            for port in &other.ports {
                let clash = spec.ports.iter().any(|own| own.host == port.host);
                assert!(!clash, "{} finds port {} taken by {}", step.id, port.host, other.id);
            }
        }
    }

    fn node(&mut self, name: &str) -> &mut Node {
        self.fleet.nodes.iter_mut().find(|node| node.name.as_str() == name).unwrap()
    }

    fn seen(&mut self, id: &str) -> &mut ObservedInstance {
        let id: InstanceId = id.parse().unwrap();
        self.fleet.instances.iter_mut().find(|it| it.instance() == id).unwrap()
    }

    fn secret(&mut self, name: &str, version: u64) {
        self.fleet.secrets.as_mut().unwrap().insert(name.to_owned(), version);
    }

    /// The node's agent is gone: what runs there is as it was last seen, and unknown.
    fn lose(&mut self, name: &str, status: NodeStatus) {
        self.node(name).status = status;
        for seen in self.fleet.instances.iter_mut().filter(|it| it.node.as_str() == name) {
            seen.state = InstanceState::Unknown;
            seen.health = HealthState::Unknown;
        }
    }
}

/// A cluster file, and behind lines of `==== PATH` what stands beside it.
fn load(kdl: &str) -> Loaded {
    let mut parts = kdl.split("==== ");
    let root = parts.next().unwrap_or_default().to_owned();
    let mut files = MemoryFiles::from([("cluster.kdl".to_owned(), root)]);
    files.extend(parts.filter_map(|part| {
        let (path, text) = part.split_once('\n')?;
        Some((path.to_owned(), text.to_owned()))
    }));
    devnet_catalog::load("cluster.kdl", &files, &BTreeMap::new())
}

fn node(name: &str, at: usize) -> Node {
    let there = Availability { version: None, available: true, engine: None };
    Node {
        id: String::new(),
        name: name.parse().unwrap(),
        facts: NodeFacts {
            ip: format!("10.0.0.{at}"),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            cpu_count: 4,
            total_memory_mb: 8192,
            disks: vec![fleet::Disk { mount: "/".to_owned(), total_mb: 102_400, free_mb: 51_200 }],
            docker: there.clone(),
            process: there,
            ..NodeFacts::default()
        },
        last_seen: String::new(),
        tags: Vec::new(),
        zone: None,
        cordoned: false,
        drained: false,
        status: NodeStatus::Online,
    }
}

/// A plan in few lines: changes, steps, drift, diagnostics, totals.
fn show(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for change in &plan.changes {
        let sign = match change.action {
            Action::Create => "+",
            Action::Update => "~",
            Action::Replace => "-/+",
            Action::Move => ">",
            Action::Delete => "-",
            Action::Forget => ".",
            Action::Noop => "=",
        };
        let from = change.from.as_ref().map_or(String::new(), |from| format!(" from {from}"));
        let forced = match change.forces_replacement.as_slice() {
            [] => String::new(),
            paths => format!(" (forced by {})", paths.join(", ")),
        };
        let (instance, node, reason) = (&change.instance, &change.node, &change.reason);
        lines.push(format!("{sign} {instance}{from} on {node}: {reason}{forced}"));
    }
    for step in &plan.steps {
        let after = match step.after.as_slice() {
            [] => String::new(),
            some => format!(" after {}", some.join(", ")),
        };
        lines.push(format!("  {} on {} g{}{after}", step.id, step.node, step.generation));
    }
    for drift in &plan.drift {
        lines.push(format!("drift {} on {}: {}", drift.instance, drift.node, drift.what));
    }
    lines.extend(plan.diagnostics.iter().map(ToString::to_string));
    let s = &plan.summary;
    lines.push(format!(
        "{} to add, {} to change, {} to destroy, {} to move, {} unchanged",
        s.add, s.change, s.destroy, s.moved, plan.unchanged
    ));
    lines.iter().map(|line| wrapped(line)).collect()
}

/// The line broken at spaces, so that what is expected fits into this code.
fn wrapped(line: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in line.split_inclusive(' ') {
        if width > 0 && width + word.len() > 88 && !word.trim().is_empty() {
            out.truncate(out.trim_end().len());
            out.push_str("\n        ");
            width = 8;
        }
        out.push_str(word);
        width += word.chars().count();
        if word.contains('\n') {
            width = word.len() - word.rfind('\n').unwrap_or(0);
        }
    }
    out.push('\n');
    out
}
