//! What must hold of any plan, checked apart from everything that made it.
//!
//! Knows a finished plan. Refuses to repair one: a breach is a mistake of the planner, and a plan
//! with a mistake is not applied.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    diagnostic::Diagnostic,
    instance::{InstanceSpec, Protocol},
    name::{InstanceId, NodeName},
    order::{MAX_GENERATION, OrderBook},
    plan::{Action, Change, Plan},
    step::{Act, Step},
};

use crate::{
    input::PlanInput,
    observations,
    observed::renamed,
    place::{Outcome, PlacementProblem, verify},
    render::Specs,
    volume_names::{drops_data, shares_data},
};

/// Everything that is wrong with a plan; empty for a good one.
pub(crate) fn breaches(
    input: &PlanInput<'_>,
    placed: Option<(&PlacementProblem, &Outcome)>,
    specs: &Specs,
    plan: &Plan,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if let Some((problem, outcome)) = placed {
        found.extend(
            verify(problem, outcome)
                .into_iter()
                .map(|it| format!("placement breaks {}: {}", it.constraint.name(), it.text)),
        );
    }
    check_steps(plan, &mut found);
    for change in &plan.changes {
        check_change(input, plan, change, &mut found);
        check_protection(input, specs, (plan, change), &mut found);
    }
    check_generations(input, plan, &mut found);
    check_ports(plan, specs, &mut found);
    found.into_iter().map(internal).collect()
}

fn internal(what: String) -> Diagnostic {
    Diagnostic::error("DN-E0699", None, format!("the planner contradicts itself: {what}"))
        .help("nothing was changed; please report this with the plan's input")
}

/// Ids are unique, and every step stands after those it waits for.
fn check_steps(plan: &Plan, found: &mut Vec<String>) {
    let all: BTreeSet<&str> = plan.steps.iter().map(|step| step.id.as_str()).collect();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for step in &plan.steps {
        for before in &step.after {
            if !all.contains(before.as_str()) {
                found.push(format!("step {} waits for {before}, which is no step", step.id));
            } else if !seen.contains(before.as_str()) {
                found.push(format!("step {} stands before {before}, its condition", step.id));
            }
        }
        if !seen.insert(&step.id) {
            found.push(format!("two steps are called {}", step.id));
        }
        let concerned = plan.changes.iter().any(|change| {
            let old = change.before.as_ref().map(|spec| &spec.id);
            change.instance == step.instance
                || old == Some(&step.instance)
                || matches!(step.act, Act::Remove)
        });
        // What is starting already is waited for before others of its service are touched.
        let own = |change: &Change| change.instance.service == step.instance.service;
        let waits = step.act.only_waits() && plan.changes.iter().any(own);
        if !concerned && !waits {
            found.push(format!("step {} belongs to no change", step.id));
        }
        if let Act::Prepare { spec } | Act::Ensure { spec } = &step.act
            && (spec.id != step.instance || spec.node != step.node)
        {
            found.push(format!("step {} carries the unit of another", step.id));
        }
    }
}

/// A change has the steps that make it so, and no more than it may.
fn check_change(input: &PlanInput<'_>, plan: &Plan, change: &Change, found: &mut Vec<String>) {
    let id = &change.instance;
    let own = || plan.steps.iter().filter(|step| step.instance == *id);
    let starts = own().filter(|step| match &step.act {
        Act::Ensure { spec } => change.after.as_ref() == Some(spec) && step.node == change.node,
        _ => false,
    });
    let waits = own().any(|step| step.act.only_waits() && step.node == change.node);
    // What is removed may still run under the name of before a rename.
    let called = |step: &Step| {
        let service = renamed(input.desired, &step.instance.service);
        (service, step.instance.index) == (&id.service, id.index)
    };
    let (starts, removed) = (starts.count(), |node: &NodeName| {
        let mut removals = plan.steps.iter().filter(|step| matches!(step.act, Act::Remove));
        removals.any(|step| step.node == *node && called(step))
    });
    match change.action {
        Action::Create | Action::Update | Action::Replace | Action::Move => {
            if starts != 1 || !waits {
                found.push(format!("{id} has {starts} starts, and a wait for health: {waits}"));
            }
        }
        Action::Delete if !removed(&change.node) => {
            found.push(format!("{id} on {} is destroyed without a step", change.node));
        }
        Action::Delete | Action::Noop | Action::Forget => {}
    }
}

/// Nothing that is protected, or was when it was last told to run, is destroyed or loses its data.
fn check_protection(
    input: &PlanInput<'_>,
    specs: &Specs,
    (plan, change): (&Plan, &Change),
    found: &mut Vec<String>,
) {
    let id = &change.instance;
    let declared = input.desired.services.get(&id.service).is_some_and(|it| it.protect.is_some());
    let was = change.before.as_ref().map_or(id, |before| &before.id);
    let told = |of: &InstanceId| input.fleet.protected.contains(of);
    let stays = || plan.placement.assignments.iter().any(|row| row.instance == *id);
    // A second unit of an instance that stays is not the instance, unless it was another one.
    let copy = |before: &InstanceSpec| {
        before.id == *id || specs.get(id).is_some_and(|spec| shares_data(spec, before))
    };
    let harmed = match change.action {
        Action::Replace => declared || told(id),
        Action::Move => drops_data(change) && (declared || told(id) || told(was)),
        Action::Delete if !stays() => declared || told(id) || told(was),
        Action::Delete => told(was) && change.before.as_ref().is_some_and(|it| !copy(it)),
        _ => false,
    };
    if harmed && plan.is_applicable() {
        found.push(format!("{id} is protected and would be destroyed, or lose its data"));
    }
}

/// Generations only ever go up.
fn check_generations(input: &PlanInput<'_>, plan: &Plan, found: &mut Vec<String>) {
    let (known, _) =
        observations::generations(input.generations, input.fleet, &OrderBook::of(input.fleet));
    for step in &plan.steps {
        let last = known.get(&step.instance).copied().unwrap_or(0);
        let changes = plan.changes.iter().any(|change| change.instance == step.instance);
        // What is only waited for is not told anything new.
        let waits = step.act.only_waits() && !changes;
        if step.generation <= last && !waits {
            found.push(format!("step {} has generation {}, not new", step.id, step.generation));
        }
        if step.generation > MAX_GENERATION {
            found.push(format!("step {} has generation {}, too high", step.id, step.generation));
        }
    }
}

/// Nothing is started on a port of the node that another instance is given.
fn check_ports(plan: &Plan, specs: &Specs, found: &mut Vec<String>) {
    let started: BTreeSet<&InstanceId> = plan
        .changes
        .iter()
        .filter(|change| change.after.is_some())
        .map(|change| &change.instance)
        .collect();
    let mut owner: BTreeMap<(&NodeName, Protocol, u16), &InstanceId> = BTreeMap::new();
    for (id, spec) in specs {
        for port in &spec.ports {
            let other = owner.insert((&spec.node, port.protocol, port.host), id);
            let clash = |other: &&InstanceId| started.contains(id) || started.contains(*other);
            if let Some(other) = other.filter(clash) {
                let (host, node) = (port.host, &spec.node);
                found.push(format!("{id} and {other} both get port {host} of {node}"));
            }
        }
    }
}
