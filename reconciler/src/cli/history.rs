//! `devnet history`: what was changed, when, by which commit, and how it ended.
//!
//! Knows how runs of plans and the commits that they come from make one table. Refuses to guess: a
//! commit that is not on record any more has no author and no message.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    arguments::{self, Cli},
    client::Client,
    failure::CommandError,
    terminal::Terminal,
};
use crate::{
    api::{Deployment, Page, RevisionRow},
    config::Environment,
    view::{status_text, style::printable},
};

/// `devnet history [SERVICE]`.
pub(super) fn run(
    args: &arguments::History,
    cli: &Cli,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let client = Client::new(cli, env)?;
    let of = args.service.as_ref().map(|name| format!("&service={name}")).unwrap_or_default();
    let path = format!("/api/v1/deployments?limit={}{of}", args.limit);
    let page: Page<Deployment> = client.get(&path, "asking for the history")?;
    let revisions: Vec<RevisionRow> =
        client.list("/api/v1/revisions", "asking for the revisions")?;
    let revisions: BTreeMap<&str, &RevisionRow> =
        revisions.iter().map(|row| (row.revision.as_str(), row)).collect();
    if args.output.json {
        let rows: Vec<Value> = page.items.iter().map(|it| document(it, &revisions)).collect();
        terminal.out(&format!("{}\n", json!(rows)));
    } else if page.items.is_empty() {
        let of = args.service.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        terminal.out(&format!("Nothing{of} was changed so far.\n"));
    } else {
        terminal.out(&table(&page.items, &revisions));
    }
    Ok(0)
}

/// A run of a plan, with what is known of its commit.
fn document(of: &Deployment, revisions: &BTreeMap<&str, &RevisionRow>) -> Value {
    let commit = revisions.get(of.revision.as_str());
    let mut document = json!(of);
    document["author"] = json!(commit.map(|it| &it.author));
    document["message"] = json!(commit.map(|it| &it.summary));
    document["seconds"] = json!(seconds(of));
    document
}

fn table(rows: &[Deployment], revisions: &BTreeMap<&str, &RevisionRow>) -> String {
    let heads = ["STARTED", "TOOK", "OUTCOME", "REVISION", "AUTHOR", "BY", "CHANGES", "MESSAGE"];
    let mut table = vec![heads.map(str::to_owned).to_vec()];
    for row in rows {
        let commit = revisions.get(row.revision.as_str());
        table.push(vec![
            row.started_at.to_string(),
            seconds(row).map(|seconds| format!("{seconds} s")).unwrap_or_default(),
            format!("{:?}", row.state).to_lowercase(),
            row.revision.chars().take(12).collect(),
            commit.map(|it| printable(&it.author)).unwrap_or_default(),
            printable(&row.by),
            changes(row),
            commit.map(|it| printable(&it.summary)).unwrap_or_default(),
        ]);
    }
    let mut text = status_text::table(&table);
    let failed = rows.iter().filter(|row| !row.errors.is_empty()).take(1);
    for row in failed {
        text.push_str(&format!("\nThe newest that did not succeed, {}:\n", row.started_at));
        text.extend(row.errors.iter().map(|error| format!("  {}\n", printable(error))));
    }
    text
}

/// `+1 ~2 -3`: added, changed, destroyed; moves stand among the changed.
fn changes(of: &Deployment) -> String {
    let summary = &of.summary;
    format!("+{} ~{} -{}", summary.add, summary.change + summary.moved, summary.destroy)
}

/// How long it took, in seconds; nothing while it runs.
fn seconds(of: &Deployment) -> Option<i64> {
    let (from, to) = (of.started_at.timestamp(), of.ended_at?.timestamp());
    Some(to.duration_since(from).as_secs().max(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DeploymentState;
    use crate::time::Time;

    #[test]
    fn a_row_tells_commit_outcome_and_time_and_an_unknown_commit_is_left_open() {
        let run = |revision: &str, state, errors: &[&str]| Deployment {
            id: "d1".to_owned(),
            plan: "p".to_owned(),
            revision: revision.to_owned(),
            by: "watch".to_owned(),
            started_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            ended_at: "2026-01-01T00:00:12Z".parse().ok(),
            state,
            summary: Default::default(),
            errors: errors.iter().map(|&error| error.to_owned()).collect(),
        };
        let commit = RevisionRow {
            revision: "abc".to_owned(),
            summary: "Say \u{1b}[31mhello".to_owned(),
            author: "Ada".to_owned(),
            committed_at: None,
            seen_at: Time::EPOCH,
            applied_at: None,
            problem: None,
        };
        let revisions = BTreeMap::from([("abc", &commit)]);
        let good = run("abc", DeploymentState::Succeeded, &[]);
        let bad = run("def", DeploymentState::Failed, &["web[0] is unhealthy"]);
        let text = table(&[bad.clone(), good.clone()], &revisions);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("12 s  failed"), "{text}");
        assert!(lines[2].contains("abc       Ada     watch  +0 ~0 -0") && !text.contains('\u{1b}'));
        assert!(text.ends_with("  web[0] is unhealthy\n"), "{text}");
        let document = document(&bad, &revisions);
        assert_eq!((&document["author"], &document["seconds"]), (&Value::Null, &json!(12)));
        assert_eq!(seconds(&Deployment { ended_at: None, ..good }), None);
    }
}
