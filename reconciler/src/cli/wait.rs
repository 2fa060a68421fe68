//! `devnet wait`: until a service serves, or a revision is applied.
//!
//! Knows how long, and what is said meanwhile. Refuses to change anything.

use std::{
    thread,
    time::{Duration, Instant},
};

use devnet_schema::name::ServiceName;

use super::{
    arguments::{self, Cli},
    client::Client,
    failure::CommandError,
    revision,
    terminal::Terminal,
};
use crate::{
    api::{Page, RevisionRow, ServiceRow, SourceStatus, Status},
    config::Environment,
    view::style::printable,
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);
/// Between two notes about what is waited for.
const NOTE: Duration = Duration::from_secs(10);

/// What is waited for, and how far it is.
enum Standing {
    Reached,
    /// Not yet, and why.
    Not(String),
    /// It will not be, and why.
    Never(String),
}

/// `devnet wait SERVICE… | --rev REV`.
pub(super) fn run(
    args: &arguments::Wait,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    let timeout: Duration = args.timeout.into();
    let rev = args.rev.as_deref().map(revision::named).transpose()?;
    let (begun, mut noted) = (Instant::now(), Duration::ZERO);
    loop {
        let standing = match &rev {
            Some(rev) => applied(&client, rev)?,
            None => serve(&client, &args.services)?,
        };
        let passed = begun.elapsed();
        let why = match standing {
            Standing::Reached => return Ok(0),
            Standing::Never(why) => return Err(CommandError::usage(why)),
            Standing::Not(why) => why,
        };
        if passed >= timeout {
            let what = format!("it was not so within {}", args.timeout);
            return Err(CommandError::usage(what).hint(why));
        }
        if passed >= noted + NOTE {
            noted = passed;
            terminal.note(&format!("Still waiting ({}s): {}\n", passed.as_secs(), printable(&why)));
        }
        thread::sleep(PAUSE.min(timeout - passed));
    }
}

/// Whether every instance of these services serves as declared.
fn serve(client: &Client, wanted: &[ServiceName]) -> Result<Standing, CommandError> {
    let rows: Vec<ServiceRow> = client.list("/api/v1/services", "asking what serves")?;
    let mut not = Vec::new();
    for name in wanted {
        match rows.iter().find(|row| row.name == *name) {
            Some(row) => not.extend(lacks(row)),
            None => not.push(format!("there is no service {name}")),
        }
    }
    Ok(if not.is_empty() { Standing::Reached } else { Standing::Not(not.join("; ")) })
}

/// What a service lacks, where it does.
fn lacks(row: &ServiceRow) -> Option<String> {
    let there = row.instances.iter().filter_map(|it| it.waiting.as_ref());
    let first = row.waiting.iter().chain(there).next();
    let ServiceRow { name, healthy, desired, .. } = row;
    match first {
        Some(waiting) => Some(format!("{}: {}", waiting.instance, waiting.reason)),
        None if row.undeclared => Some(format!("{name} is not declared")),
        None if healthy < desired => Some(format!("{name}: {healthy} of {desired} serve")),
        None => None,
    }
}

/// Whether a revision is applied, or was.
fn applied(client: &Client, rev: &str) -> Result<Standing, CommandError> {
    let status: Status = client.get("/api/v1/status", "asking what is applied")?;
    let Some(source) = status.source else {
        let why = "this control plane follows no source, and so applies no revision by itself";
        return Ok(Standing::Never(why.to_owned()));
    };
    if source.applied.as_deref().is_some_and(|it| it.starts_with(rev)) {
        return Ok(Standing::Reached);
    }
    let known: Page<RevisionRow> = client.get("/api/v1/revisions", "asking about the revision")?;
    Ok(of_revision(rev, &source, &known.items))
}

fn of_revision(rev: &str, source: &SourceStatus, known: &[RevisionRow]) -> Standing {
    let row = known.iter().find(|row| row.revision.starts_with(rev));
    if row.is_some_and(|row| row.applied_at.is_some()) {
        return Standing::Reached;
    }
    let seen = source.seen.as_deref().unwrap_or_default();
    match row {
        Some(_) if !seen.starts_with(rev) => Standing::Never(format!(
            "revision {rev} was never applied: a newer one, {}, has taken its place",
            short(seen)
        )),
        _ if seen.starts_with(rev) => Standing::Not(match &source.problem {
            Some(problem) => problem.clone(),
            None => format!("revision {} is being applied", short(rev)),
        }),
        _ => Standing::Not(match &source.problem {
            Some(problem) => problem.clone(),
            None => format!(
                "revision {} has not been seen on {} of {}: was it pushed?",
                short(rev),
                source.branch,
                source.location
            ),
        }),
    }
}

fn short(revision: &str) -> String {
    revision.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn source(seen: &str, problem: Option<&str>) -> SourceStatus {
        SourceStatus {
            location: "/r".to_owned(),
            branch: "main".to_owned(),
            seen: Some(seen.to_owned()),
            applied: None,
            problem: problem.map(str::to_owned),
            diagnostics: Vec::new(),
        }
    }

    fn row(revision: &str, applied: bool) -> RevisionRow {
        RevisionRow {
            revision: revision.to_owned(),
            summary: String::new(),
            author: String::new(),
            committed_at: None,
            seen_at: Time::EPOCH,
            applied_at: applied.then_some(Time::EPOCH),
            problem: None,
        }
    }

    #[test]
    fn a_revision_that_another_one_replaced_is_not_waited_for() {
        let told = |standing: Standing| match standing {
            Standing::Reached => "reached".to_owned(),
            Standing::Not(why) => format!("not: {why}"),
            Standing::Never(why) => format!("never: {why}"),
        };
        let rows = [row("aaaa1", true), row("bbbb2", false)];
        assert_eq!(told(of_revision("aaaa", &source("bbbb2", None), &rows)), "reached");
        let never = told(of_revision("bbbb", &source("cccc3", None), &rows));
        assert!(
            never.starts_with("never: revision bbbb was never applied: a newer one"),
            "{never}"
        );
        let held = told(of_revision("bbbb", &source("bbbb2", Some("a secret is missing")), &rows));
        assert_eq!(held, "not: a secret is missing");
        let unseen = told(of_revision("dddd", &source("bbbb2", None), &rows));
        assert!(unseen.contains("was it pushed?"), "{unseen}");
    }
}
