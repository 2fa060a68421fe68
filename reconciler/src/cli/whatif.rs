//! `devnet whatif`: the plan that would follow from something that has not happened.
//!
//! Knows the suppositions that flags name. Refuses to save such a plan: it must never be applied.

use devnet_planner::suppose::{self, Loss, Supposition};
use devnet_schema::{
    name::{InstanceId, ServiceName},
    placement::PlacementStatus,
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
    let losses = suppose::losses(&scene.input(options), &today, &mut |input| timed(input, limit))
        .map_err(CommandError::usage)?;
    if today.placement.cut_short || losses.iter().any(|loss| loss.cut_short) {
        terminal.diagnostics(&[devnet_planner::cut_short()], &|_| None);
    }
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
