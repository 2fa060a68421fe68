//! `devnet explain SERVICE`: why here, why not there, and what would have to change.
//!
//! Knows how to ask the planner. Refuses to decide: the plan is the one that `devnet plan` makes.

use std::time::Instant;

use devnet_planner::{
    place::{self, Explanation, Pace, Progress},
    placement_problem,
};
use devnet_schema::{file::suggest::advice, name::NodeName, plan_options::PlanOptions};

use super::{
    arguments::{self, Cli},
    failure::CommandError,
    scene::Scene,
    terminal::Terminal,
};
use crate::{
    config::Environment,
    view::explanation::{self, Timing},
};

/// `devnet explain SERVICE [--node N]`.
pub(super) fn run(
    args: &arguments::Explain,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let scene = Scene::open(&args.configuration, args.fleet.as_deref(), cli, env, terminal)?;
    let options = PlanOptions { allow_unplaced: true, ..PlanOptions::default() };
    let input = scene.input(options);
    let problem = placement_problem(&input).map_err(|found| {
        let source = |file: &str| scene.checkout.text(file);
        terminal.diagnostics(&found, &source);
        CommandError::usage("the configuration cannot be placed")
    })?;
    let begun = Instant::now();
    let mut watch = |_: &Progress<'_>| Pace::left(args.solve_limit, begun.elapsed());
    let outcome = place::place_paced(&problem, &mut watch);
    if outcome.cut_short {
        terminal.diagnostics(&[devnet_planner::cut_short()], &|_| None);
    }
    let explained = place::explain(&problem, &outcome, &args.service).ok_or_else(|| {
        let known = scene.desired.services.keys().map(|name| name.as_str());
        let advice = advice(args.service.as_str(), known.collect::<Vec<_>>());
        CommandError::usage(format!("no service is called {}: {advice}", args.service))
    })?;
    let explained = only(explained, args.node.as_ref())?;
    let unplaced = outcome.unplaced.iter().find(|it| it.service == args.service);
    let solve_limit = args.solve_limit.map(|limit| limit.as_secs_f64());
    let timing = Timing { solve_limit, cut_short: outcome.cut_short };
    if args.json {
        let document = explanation::document(&explained, unplaced, timing);
        terminal.out(&format!("{document}\n"));
    } else {
        terminal.out(&explanation::text(&explained, unplaced, timing, terminal.style));
    }
    Ok(0)
}

/// Every node, or the one that was asked about.
fn only(mut explained: Explanation, node: Option<&NodeName>) -> Result<Explanation, CommandError> {
    let Some(node) = node else { return Ok(explained) };
    if !explained.nodes.iter().any(|verdict| verdict.node == *node) {
        let known = explained.nodes.iter().map(|verdict| verdict.node.as_str());
        let advice = advice(node.as_str(), known.collect::<Vec<_>>());
        return Err(CommandError::usage(format!("no node is called {node}: {advice}")));
    }
    explained.nodes.retain(|verdict| verdict.node == *node);
    Ok(explained)
}
