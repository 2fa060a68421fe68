//! `devnet whatif`: the plan that would follow from something that has not happened.
//!
//! Knows the suppositions that flags name. Refuses to save such a plan: it must never be applied.

use std::time::Duration;

use devnet_planner::suppose::{self, Supposition};
use devnet_schema::{
    fleet::FleetSnapshot,
    name::{InstanceId, NodeName, ServiceName},
    placement::PlacementStatus,
    plan::Plan,
    plan_options::PlanOptions,
};
use serde_json::json;

use super::{
    arguments::{self, Cli},
    failure::CommandError,
    plan,
    scene::{Scene, timed},
    terminal::Terminal,
};
use crate::config::Environment;

/// `devnet whatif`.
pub(super) fn run(
    args: &arguments::WhatIf,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let suppositions = suppositions(args)?;
    let mut scene =
        Scene::open(&args.planning.configuration, args.fleet.as_deref(), cli, env, terminal)?;
    for supposition in &suppositions {
        supposition.enter(&mut scene.desired, &mut scene.fleet).map_err(CommandError::usage)?;
    }
    if !suppositions.is_empty() {
        let texts: Vec<String> = suppositions.iter().map(Supposition::text).collect();
        terminal.note(&format!("What if {}?\n\n", texts.join(" and ")));
    }
    if args.survive.is_some() {
        return survive(&scene, args, terminal);
    }
    if suppositions.is_empty() {
        return Err(CommandError::usage("nothing is supposed")
            .hint("Pass --drain, --without, --with-node, --scale or --survive."));
    }
    // The plan that would follow is shown also where something would not fit.
    let options = PlanOptions { allow_unplaced: true, ..plan::options(&args.planning) };
    let plan = scene.plan(options, args.planning.solve_limit);
    let source = |file: &str| scene.checkout.text(file);
    plan::print_findings(&plan.diagnostics, &args.planning, &source, terminal);
    plan::show(&plan, &args.planning, terminal)?;
    let fits = plan.placement.status != PlacementStatus::Infeasible;
    let all = args.planning.allow_unplaced || fits;
    Ok(if plan.is_applicable() && all { 0 } else { 1 })
}

fn suppositions(args: &arguments::WhatIf) -> Result<Vec<Supposition>, CommandError> {
    let mut all: Vec<Supposition> = Vec::new();
    all.extend(args.drain.iter().cloned().map(Supposition::Drain));
    all.extend(args.without.iter().cloned().map(Supposition::Without));
    for (number, text) in args.with_node.iter().enumerate() {
        let mut node = suppose::new_node(text).map_err(CommandError::usage)?;
        if number > 0 && node.name.as_str() == "new" {
            node.name = format!("new{}", number + 1).parse().map_err(anyhow::Error::from)?;
        }
        all.push(Supposition::WithNode(Box::new(node)));
    }
    for text in &args.scale {
        let shape = || CommandError::usage(format!("`{text}` is not SERVICE=REPLICAS, like web=5"));
        let (service, replicas) = text.split_once('=').ok_or_else(shape)?;
        let service: ServiceName = service.parse().map_err(|_| shape())?;
        let twice =
            |it: &Supposition| matches!(it, Supposition::Scale(other, _) if *other == service);
        if all.iter().any(twice) {
            return Err(CommandError::usage(format!("`{service}` is scaled twice")));
        }
        let replicas = replicas.parse().map_err(|_| shape())?;
        all.push(Supposition::Scale(service, replicas));
    }
    Ok(all)
}

/// What one lost node means.
struct Loss {
    node: NodeName,
    /// What would be started on another node.
    elsewhere: Vec<InstanceId>,
    /// What would not run, and why where the plan says it.
    down: Vec<InstanceId>,
    /// Of these, what waits for data that is lost with the node.
    data: Vec<InstanceId>,
    /// The limit of time ended the search.
    cut_short: bool,
}

/// Loses each node in turn, once what is planned now is done.
fn survive(
    scene: &Scene,
    args: &arguments::WhatIf,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let limit = args.planning.solve_limit;
    let options = PlanOptions { allow_unplaced: true, ..plan::options(&args.planning) };
    let today = scene.plan(options.clone(), limit);
    if !today.is_applicable() {
        let source = |file: &str| scene.checkout.text(file);
        plan::print_findings(&today.diagnostics, &args.planning, &source, terminal);
        return Ok(1);
    }
    let fleet = suppose::applied(&scene.fleet, &today);
    let mut losses = Vec::new();
    for node in fleet.nodes.iter().map(|node| &node.name) {
        losses.push(lose(scene, (&options, limit), (&today, &fleet), node)?);
    }
    if today.placement.cut_short || losses.iter().any(|loss| loss.cut_short) {
        terminal.diagnostics(&[devnet_planner::cut_short()], &|_| None);
    }
    losses.sort_by(|a, b| (b.down.len(), &a.node).cmp(&(a.down.len(), &b.node)));
    if args.planning.json {
        let rows: Vec<_> = losses
            .iter()
            .map(|loss| {
                json!({"node": loss.node, "down": loss.down, "data": loss.data,
                    "elsewhere": loss.elsewhere})
            })
            .collect();
        terminal.out(&format!("{}\n", json!({"type": "survive", "losses": rows})));
    } else {
        terminal.out(&text(&losses));
    }
    Ok(if losses.iter().all(|loss| loss.down.is_empty()) { 0 } else { 1 })
}

/// What has a node by today's plan, once that is done, loses it with this one, and gets none.
fn lose(
    scene: &Scene,
    (options, limit): (&PlanOptions, Option<Duration>),
    (today, fleet): (&Plan, &FleetSnapshot),
    node: &NodeName,
) -> Result<Loss, CommandError> {
    let (mut desired, mut fleet) = (scene.desired.clone(), fleet.clone());
    Supposition::Without(node.clone())
        .enter(&mut desired, &mut fleet)
        .map_err(CommandError::usage)?;
    let input = devnet_planner::PlanInput {
        desired: &desired,
        fleet: &fleet,
        ..scene.input(options.clone())
    };
    let plan = timed(&input, limit);
    let (mut elsewhere, mut down, mut data) = (Vec::new(), Vec::new(), Vec::new());
    for assignment in &today.placement.assignments {
        let then = plan.placement.assignments.iter().find(|it| it.instance == assignment.instance);
        match then.map(|then| &then.node) {
            Some(then) if *then == *node => {
                down.push(assignment.instance.clone());
                data.push(assignment.instance.clone());
            }
            None => down.push(assignment.instance.clone()),
            Some(_) if assignment.node == *node => elsewhere.push(assignment.instance.clone()),
            Some(_) => {}
        }
    }
    Ok(Loss { node: node.clone(), elsewhere, down, data, cut_short: plan.placement.cut_short })
}

fn text(losses: &[Loss]) -> String {
    let names = |instances: &[InstanceId]| {
        instances.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let mut out = String::new();
    for loss in losses {
        let what = match (loss.down.is_empty(), loss.elsewhere.is_empty()) {
            (true, true) => "nothing runs there".to_owned(),
            (true, false) => format!("everything runs on; {} elsewhere", names(&loss.elsewhere)),
            (false, true) => format!("{} would not run", names(&loss.down)),
            (false, false) => {
                format!("{} would not run; {} elsewhere", names(&loss.down), names(&loss.elsewhere))
            }
        };
        let what = match loss.data.is_empty() {
            true => what,
            false => format!("{what}; data of {} is there", names(&loss.data)),
        };
        out.push_str(&format!("  {} lost: {what}\n", loss.node));
    }
    let fatal = losses.iter().filter(|loss| !loss.down.is_empty()).count();
    let all = losses.len();
    out.push_str(&match fatal {
        0 => format!("\nEverything survives the loss of any one of {all} nodes.\n"),
        _ => format!("\nThe loss of {fatal} of {all} nodes would stop something.\n"),
    });
    out
}
