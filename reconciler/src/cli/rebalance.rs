//! `devnet rebalance`: a few moves that nothing forces, what each one gains, and the plan of them.
//!
//! Knows how to ask for them. Refuses to make them: `devnet apply` does, from the saved plan.

use devnet_schema::{
    placement::{Objective, PlacementReport},
    plan_options::PlanOptions,
};

use super::{
    arguments::{self, Cli, Planning},
    failure::CommandError,
    plan,
    terminal::Terminal,
};
use crate::config::Environment;

/// `devnet rebalance [--max-moves K]`.
pub(super) fn run(
    args: &arguments::Rebalance,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let planning = &args.planning;
    refuse(planning)?;
    let options = PlanOptions { max_moves: args.max_moves, ..plan::options(planning) };
    let plan = plan::make(args.fleet.as_deref(), options, planning, cli, env, terminal)?;
    if plan.is_applicable() && plan.placement.gains.is_empty() {
        terminal.note(nothing(&plan.placement));
    }
    plan::show(&plan, planning, terminal)?;
    if !plan.is_applicable() {
        return Ok(1);
    }
    if let Some(path) = &args.out {
        plan::keep(&plan, path, terminal)?;
    } else if !plan.placement.gains.is_empty() && env.get("DEVNET_IN_AUTOMATION").is_none() {
        terminal.note(
            "\nNote: To make these moves, save the plan with -out=FILE and run \"devnet apply \
             FILE\". Without it \"devnet apply\" moves nothing that may stay.\n",
        );
    }
    Ok(0)
}

fn nothing(report: &PlacementReport) -> &'static str {
    match (report.cut_short, report.objective) {
        (true, _) => {
            "No move that gains anything was found in the time given: allow more with \
             --solve-limit.\n\n"
        }
        (false, Objective::Balance) => {
            "Nothing is gained: no single move of an instance without data makes the cluster \
             more even or meets more `prefer` lines.\n\n"
        }
        (false, Objective::Pack) => {
            "Nothing is gained: no move of an instance without data meets more `prefer` lines, \
             and so many moves as are allowed leave no node unused (placement \"pack\").\n\n"
        }
    }
}

/// Flags of `plan` that leave nothing to balance.
fn refuse(planning: &Planning) -> Result<(), CommandError> {
    let Planning { destroy, refresh_only, .. } = planning;
    if *destroy || *refresh_only {
        return Err(CommandError::usage(
            "-destroy and -refresh-only place nothing: there is nothing to balance",
        ));
    }
    Ok(())
}
