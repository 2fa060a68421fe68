//! `devnet plan` and `devnet diff`: what would change, against a control plane or a recorded fleet.
//!
//! Knows the two ways to get a plan and how to print it. Refuses to compute one itself: the
//! planner does, here or on the control plane.

use std::{fs, path::Path};

use anyhow::Context;
use devnet_schema::{diagnostic::Diagnostic, plan::Plan, plan_options::PlanOptions};
use serde_json::Value;

use super::{
    arguments::{self, Cli, Format, Planning},
    checkout::Checkout,
    client::Client,
    failure::CommandError,
    scene::Scene,
    show as saved,
    terminal::Terminal,
    variables,
};
use crate::{
    api::PlanRequest,
    config::Environment,
    view::{json_lines, markdown, plan_text},
};

/// `devnet plan`.
pub(super) fn run(
    args: &arguments::Plan,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let (planning, fleet) = (&args.planning, args.fleet.as_deref());
    let options = PlanOptions { explain_search: args.explain_search, ..options(planning) };
    let plan = make(fleet, options, planning, cli, env, terminal)?;
    show(&plan, planning, terminal)?;
    if !plan.is_applicable() {
        return Ok(1);
    }
    if let Some(path) = &args.out {
        keep(&plan, path, terminal)?;
    } else if !plan.summary.is_empty() && env.get("DEVNET_IN_AUTOMATION").is_none() {
        terminal.note(
            "\nNote: You didn't use the -out option to save this plan, so devnet can't guarantee \
             to take exactly these actions if you run \"devnet apply\" now.\n",
        );
    }
    Ok(if args.detailed_exitcode && !plan.summary.is_empty() { 2 } else { 0 })
}

/// `devnet diff`.
pub(super) fn diff(
    args: &arguments::Plan,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let (planning, fleet) = (&args.planning, args.fleet.as_deref());
    let options = PlanOptions { explain_search: args.explain_search, ..options(planning) };
    let plan = make(fleet, options, planning, cli, env, terminal)
        .map_err(|failure| failure.with_code(2))?;
    show(&plan, &args.planning, terminal).map_err(|failure| failure.with_code(2))?;
    Ok(match (plan.is_applicable(), plan.summary.is_empty()) {
        (false, _) => 2,
        (true, true) => 0,
        (true, false) => 1,
    })
}

/// The plan with these options, made here against a recorded fleet or else by the control plane.
///
/// # Errors
/// When the configuration, the fleet or the control plane cannot be read.
pub(super) fn make(
    fleet: Option<&Path>,
    options: PlanOptions,
    planning: &Planning,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<Plan, CommandError> {
    match fleet {
        Some(fleet) => {
            let configuration = &planning.configuration;
            let scene = Scene::open(configuration, Some(fleet), cli, env, terminal)?;
            Ok(offline(&scene, options, planning, terminal))
        }
        None => online(options, planning, &Client::new(cli, env)?, env, terminal),
    }
}

/// Saves the plan and says what to do with it.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn keep(plan: &Plan, path: &Path, terminal: &Terminal) -> Result<(), CommandError> {
    saved::save(path, plan)?;
    terminal.note(&format!(
        "\nSaved the plan to {0}. To perform exactly these actions: devnet apply {0}\n",
        path.display()
    ));
    Ok(())
}

/// What the flags say to the planner.
pub(super) fn options(planning: &Planning) -> PlanOptions {
    PlanOptions {
        destroy: planning.destroy,
        target: planning.target.clone(),
        exclude: planning.exclude.clone(),
        replace: planning.replace.clone(),
        restart: planning.restart.clone(),
        allow_unplaced: planning.allow_unplaced,
        refresh_only: planning.refresh_only,
        max_moves: 0,
        explain_search: false,
        solve_limit_ms: planning.solve_limit.map(|limit| limit.as_millis() as u64),
    }
}

/// A plan against a recorded fleet: no control plane, no network.
fn offline(scene: &Scene, options: PlanOptions, planning: &Planning, terminal: &Terminal) -> Plan {
    let plan = scene.plan(options, planning.solve_limit);
    print_findings(&plan.diagnostics, planning, &|file| scene.checkout.text(file), terminal);
    plan
}

/// A plan made by the control plane from the files here, or from a revision that it knows.
pub(super) fn online(
    options: PlanOptions,
    planning: &Planning,
    client: &Client,
    env: &Environment,
    terminal: &Terminal,
) -> Result<Plan, CommandError> {
    let mut request = PlanRequest { options, ..PlanRequest::default() };
    let (mut checkout, mut found) = (None, Vec::new());
    if let Some(rev) = &planning.rev {
        request.rev = Some(rev.clone());
        let given = variables::given(&planning.configuration, env)?;
        (request.vars, request.env_vars) = variables::sent(given);
    } else {
        let here = Checkout::open(&planning.configuration, env)?;
        let loaded = here.load();
        if loaded.desired.is_none() {
            return Err(here.invalid(&loaded.diagnostics, terminal));
        }
        request.root = here.root().to_owned();
        request.vars = loaded.overrides;
        // What the environment here has too much, the control plane is not told.
        found.extend(loaded.diagnostics.into_iter().filter(|found| found.code == "DN-W0415"));
        request.files = here.files_read()?;
        checkout = Some(here);
    }
    let longer = planning.solve_limit.unwrap_or_default();
    let waits = || terminal.note("Other plans are being made: waiting for them.\n");
    let plan: Plan = client.post_patiently("/api/v1/plans", &request, "planning", longer, waits)?;
    let source = |file: &str| checkout.as_ref()?.text(file);
    found.extend(plan.diagnostics.iter().cloned());
    print_findings(&found, planning, &source, terminal);
    Ok(plan)
}

/// Prints what was found: warnings first, on a line each where that was asked for.
pub(super) fn print_findings(
    found: &[Diagnostic],
    planning: &Planning,
    source: &dyn Fn(&str) -> Option<String>,
    terminal: &Terminal,
) {
    let (errors, warnings): (Vec<_>, Vec<_>) =
        found.iter().cloned().partition(Diagnostic::is_error);
    if planning.compact_warnings {
        for warning in &warnings {
            let at = warning.at.as_ref().map_or(String::new(), |at| format!(" ({at})"));
            terminal.note(&format!("Warning {}: {}{at}\n", warning.code, warning.message));
        }
    } else {
        terminal.diagnostics(&warnings, source);
    }
    terminal.diagnostics(&errors, source);
}

/// Prints a plan as the flags say.
pub(super) fn show(
    plan: &Plan,
    planning: &Planning,
    terminal: &Terminal,
) -> Result<(), CommandError> {
    let now = &plan.created_at;
    let lines = || {
        let mut lines = vec![json_lines::version(now)];
        lines.extend(json_lines::plan(plan, now));
        lines
    };
    let format = if planning.json { Format::Json } else { planning.format };
    match format {
        Format::Text => terminal.out(&plan_text::plan(plan, terminal.style)),
        Format::Json => terminal.out(&joined(&lines())),
        Format::Markdown => terminal.out(&markdown::plan(plan)),
    }
    if let Some(path) = &planning.json_into {
        fs::write(path, joined(&lines()))
            .with_context(|| format!("writing the JSON lines to {}", path.display()))?;
    }
    Ok(())
}

/// One object a line.
pub(super) fn joined(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}
