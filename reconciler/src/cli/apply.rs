//! `devnet apply` and `devnet destroy`: make a plan, ask, run it, and say how it went.
//!
//! Knows the order of these. Refuses to run steps: the control plane does, and this follows; and to
//! call complete what is not.

use std::{thread, time::Duration};

use devnet_schema::{fleet::FleetSnapshot, plan::Plan};

use super::{
    arguments::{self, Cli, Format, Planning},
    client::{self, Client},
    failure::CommandError,
    interrupt::{self, Following},
    patience::Patience,
    plan, served, show,
    terminal::Terminal,
};
use crate::{
    api::{ApplyRequest, Deployment, DeploymentLine, DeploymentState, FOLLOWS_SOURCE},
    clock,
    config::Environment,
    view::{json_lines, plan_text, progress, style::printable},
};

/// How often, and with which pause, a control plane that went away is asked again.
pub(super) const RETRIES: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// `devnet apply [PLANFILE]`.
pub(super) fn run(
    args: &arguments::Apply,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    if args.plan.is_some() {
        refuse_planning_flags(&args.planning)?;
    }
    let client = Client::new(cli, env)?;
    if let Some(path) = &args.plan {
        let saved = show::read(path)?;
        permitted(&saved, args.force, &client, terminal)?;
        return execute(&saved, args, &client, terminal);
    }
    let json = is_json(&args.planning);
    if json && !args.auto_approve {
        return Err(CommandError::usage(
            "-json prints no prompt: add -auto-approve, or apply a plan file",
        ));
    }
    let plan = plan::online(plan::options(&args.planning), &args.planning, &client, env, terminal)?;
    plan::show(&plan, &args.planning, terminal)?;
    if !plan.is_applicable() {
        return Ok(1);
    }
    if plan.steps.is_empty() {
        settled(&plan, &args.planning)?;
        if !args.planning.refresh_only {
            served::undisturbed(&client)?;
            served::all(&plan, &client, terminal)?;
        }
        if !json {
            terminal.out(&format!("\n{}\n", plan_text::applied(&plan.summary)));
        }
        return Ok(0);
    }
    permitted(&plan, args.force, &client, terminal)?;
    if !args.auto_approve {
        approve(&plan, &args.planning, &client, terminal)?;
    }
    execute(&plan, args, &client, terminal)
}

/// `devnet destroy`.
pub(super) fn destroy(
    args: &arguments::Apply,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let planning = Planning { destroy: true, ..args.planning.clone() };
    let args = arguments::Apply {
        planning,
        plan: args.plan.clone(),
        auto_approve: args.auto_approve,
        parallelism: args.parallelism,
        force: args.force,
    };
    run(&args, cli, env, terminal)
}

/// Nothing to do is a success only when nothing is unknown and nothing waits.
fn settled(plan: &Plan, planning: &Planning) -> Result<(), CommandError> {
    let missing = plan.missing();
    if planning.refresh_only || missing.is_empty() {
        return Ok(());
    }
    let failure =
        CommandError::usage("there is nothing to apply, and not all that is declared is there");
    Err(missing.into_iter().fold(failure, CommandError::hint))
}

/// Whether the plan could be applied now, asked before anybody is: a control plane that follows a
/// source would undo it.
fn permitted(
    plan: &Plan,
    force: bool,
    client: &Client,
    terminal: &Terminal,
) -> Result<(), CommandError> {
    let path = format!("/api/v1/plans/{}/apply", plan.id);
    let request = ApplyRequest { check: true, ..ApplyRequest::default() };
    match client.refusal(&path, &request, "asking whether the plan can be applied")? {
        None => Ok(()),
        Some(problem) if force && problem.kind == FOLLOWS_SOURCE => {
            let head = terminal.note_style().bold("Warning:");
            terminal.note(&format!("\n{head} {}\n", printable(&problem.title)));
            Ok(())
        }
        Some(problem) => Err(client::told(problem)),
    }
}

fn is_json(planning: &Planning) -> bool {
    planning.json || planning.format == Format::Json
}

/// A plan file says what to do; flags that would say something else are a mistake.
fn refuse_planning_flags(planning: &Planning) -> Result<(), CommandError> {
    let Planning { target, exclude, replace, destroy, rev, refresh_only, solve_limit, .. } =
        planning;
    let given = !(target.is_empty() && exclude.is_empty() && replace.is_empty());
    if given || *destroy || rev.is_some() || *refresh_only || solve_limit.is_some() {
        return Err(CommandError::usage(
            "a saved plan is applied as it is: flags that change what is planned do not go with it",
        ));
    }
    Ok(())
}

fn approve(
    plan: &Plan,
    planning: &Planning,
    client: &Client,
    terminal: &Terminal,
) -> Result<(), CommandError> {
    if !planning.input || !terminal.may_ask() {
        return Err(CommandError::usage("nobody is here to approve the plan").hint(
            "Pass -auto-approve, or save a plan with `devnet plan -out=FILE` and apply it.",
        ));
    }
    let question = format!(
        "Do you want to perform these actions in cluster \"{}\" at {}?",
        plan.cluster,
        client.addr()
    );
    match terminal.confirm(&question) {
        Ok(true) => Ok(()),
        Ok(false) => Err(CommandError::usage("apply cancelled")),
        Err(error) => Err(CommandError::usage(format!("reading the answer: {error}"))),
    }
}

fn execute(
    plan: &Plan,
    args: &arguments::Apply,
    client: &Client,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let json = is_json(&args.planning);
    if json && args.plan.is_some() {
        terminal.out(&format!("{}\n", json_lines::version(&clock::wall().to_string())));
    }
    let path = format!("/api/v1/plans/{}/apply", plan.id);
    let request = ApplyRequest { parallelism: args.parallelism, force: args.force, check: false };
    let deployment = interrupt::guarded(client, terminal, |following| {
        let started: Deployment = client.post(&path, &request, "starting the apply")?;
        following.begun(&started.id);
        follow_with(&started.id, json, RETRIES, client, terminal, following)
    })?;
    match failure(&deployment) {
        Some(failure) => Err(told_of_before(failure, &deployment, plan, client)),
        None => {
            served::all(plan, client, terminal)?;
            if !json {
                let line = plan_text::applied(&deployment.summary);
                terminal.out(&format!("\n{}\n", terminal.style.green(&line)));
            }
            Ok(0)
        }
    }
}

/// Why the command fails, where the deployment did not end well.
fn failure(deployment: &Deployment) -> Option<CommandError> {
    let text = match deployment.state {
        DeploymentState::Succeeded => return None,
        DeploymentState::Interrupted => {
            let text = "the control plane was restarted during the apply";
            return Some(
                CommandError::usage(text)
                    .hint("It goes on from what runs. `devnet status` says how far it is."),
            );
        }
        DeploymentState::Incomplete => {
            "what could be done was done, and not all that is declared is there".to_owned()
        }
        DeploymentState::Cancelled => {
            "the apply was cut short; what was done stays, `devnet plan` shows the rest".to_owned()
        }
        DeploymentState::Failed | DeploymentState::Running => {
            format!("the apply did not succeed; {} of its steps failed", deployment.errors.len())
        }
    };
    let errors = deployment.errors.iter().cloned();
    Some(errors.fold(CommandError::usage(text), CommandError::hint))
}

/// The failure of a deployment, with what became of what ran before it.
fn told_of_before(
    failure: CommandError,
    deployment: &Deployment,
    plan: &Plan,
    client: &Client,
) -> CommandError {
    if deployment.state != DeploymentState::Failed {
        return failure;
    }
    // Where it cannot be asked, nothing is claimed.
    let fleet = client.get::<FleetSnapshot>("/api/v1/fleet", "asking what still runs");
    let Ok(fleet) = fleet else { return failure };
    let (sentence, gone) = served::before(plan, &fleet);
    let failure = match (sentence, gone.is_empty()) {
        (None, _) => failure,
        (Some(sentence), true) => failure.hint(format!("{sentence}.")),
        (Some(sentence), false) => failure.hint(format!("{sentence}:")),
    };
    gone.into_iter().fold(failure, |failure, one| failure.hint(format!("  {one}")))
}

/// Prints the deployment's lines as they come, and gives how it ended. A control plane that goes
/// away is asked again `retries` times.
pub(super) fn follow(
    id: &str,
    json: bool,
    retries: u32,
    client: &Client,
    terminal: &Terminal,
) -> Result<Deployment, CommandError> {
    follow_with(id, json, retries, client, terminal, &Following::default())
}

/// The same, told to `following` as well.
fn follow_with(
    id: &str,
    json: bool,
    retries: u32,
    client: &Client,
    terminal: &Terminal,
    following: &Following,
) -> Result<Deployment, CommandError> {
    let path = format!("/api/v1/deployments/{id}");
    let logs = format!("{path}/logs?follow=true");
    let (mut last, mut shown) = (None, 0);
    let patience = Patience::begin(terminal.clone(), json);
    for _ in 0..retries {
        let mut number = 0;
        // A stream that breaks begins again from the first line.
        let followed = client.stream(&logs, "following the apply", |line: DeploymentLine| {
            number += 1;
            if number > shown {
                shown = number;
                following.line(&line);
                patience.line(&line);
                print(&line, json, terminal);
            }
            if let DeploymentLine::End { deployment } = line {
                last = Some(deployment);
            }
            last.is_none()
        });
        if let Some(deployment) = last {
            return Ok(deployment);
        }
        if followed.is_err() {
            // The control plane went away in the middle; it may be back in a moment.
            thread::sleep(PAUSE);
        }
        let asked: Result<Deployment, _> = client.get(&path, "asking how the apply ended");
        if let Ok(deployment) = asked
            && deployment.state != DeploymentState::Running
        {
            return Ok(deployment);
        }
    }
    Err(CommandError::usage("the control plane went away during the apply, and did not come back")
        .hint("The steps that were begun go on. `devnet status` says how it ended."))
}

fn print(line: &DeploymentLine, json: bool, terminal: &Terminal) {
    if json {
        terminal.out(&format!("{}\n", json_lines::deployment(line)));
    } else if let Some(text) = progress::line(line, terminal.note_style()) {
        terminal.note(&format!("{text}\n"));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use devnet_schema::plan::Drift;

    use super::*;
    use crate::time::Time;

    fn planning(args: &[&str]) -> Planning {
        let words = ["devnet", "apply"].iter().chain(args);
        match Cli::try_parse_from(words).unwrap().command {
            arguments::Command::Apply(apply) => apply.planning.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_to_do_is_a_success_only_when_all_is_known_and_placed() {
        let fine = Plan::empty("lab".parse().unwrap(), String::new());
        settled(&fine, &planning(&[])).unwrap();

        let what = "n2 is offline; it stays as it is".to_owned();
        let (instance, node) = ("db[0]".parse().unwrap(), "n2".parse().unwrap());
        let away = Plan { unreached: vec![Drift { instance, node, what }], ..fine.clone() };
        let failure = settled(&away, &planning(&[])).unwrap_err();
        assert_eq!(failure.code(), 1);
        assert_eq!(failure.hints, ["service.db[0] on n2: n2 is offline; it stays as it is"]);
        settled(&away, &planning(&["--refresh-only"])).unwrap();

        let mut waiting = fine;
        waiting.placement.unplaced = 2;
        let failure = settled(&waiting, &planning(&[])).unwrap_err();
        assert_eq!(failure.hints, ["instances that no node has room for: 2"]);
    }

    #[test]
    fn only_what_succeeded_is_a_success() {
        let ended = |state| Deployment {
            id: "d1".to_owned(),
            plan: String::new(),
            revision: String::new(),
            by: "ci".to_owned(),
            started_at: Time::EPOCH,
            ended_at: None,
            state,
            summary: Default::default(),
            errors: vec!["service.db[0] on n2: n2 is offline".to_owned()],
        };
        for (state, word) in DeploymentState::WORDS {
            let failure = failure(&ended(state));
            assert_eq!(failure.is_none(), state == DeploymentState::Succeeded, "{word}");
            if let Some(failure) = failure.filter(|_| state != DeploymentState::Interrupted) {
                assert_eq!(failure.code(), 1);
                assert_eq!(failure.hints, ["service.db[0] on n2: n2 is offline"], "{word}");
            }
        }
    }
}
