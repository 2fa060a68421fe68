//! Deployments, their steps and lines, and what a stop in the middle leaves.

use devnet_schema::{
    plan::Summary,
    step::{StepReport, StepState},
};

use super::*;
use crate::api::{Deployment, DeploymentLine, DeploymentState};

pub(super) fn deployment(id: &str) -> Deployment {
    Deployment {
        id: id.into(),
        plan: "p".into(),
        revision: "one".into(),
        by: "watch".into(),
        started_at: T0,
        ended_at: None,
        state: DeploymentState::Running,
        summary: Summary { add: 1, ..Summary::default() },
        errors: Vec::new(),
    }
}

fn step(state: StepState) -> (StepRecord, DeploymentLine) {
    let record = StepRecord {
        step: "db[0]/start".into(),
        instance: instance("db[0]"),
        node: node_name("n1"),
        generation: 4,
        state: state.clone(),
        at: T1,
    };
    let report = StepReport { deployment: "d1".into(), step: record.step.clone(), state };
    let line =
        DeploymentLine::Step { at: T1, instance: instance("db[0]"), node: node_name("n1"), report };
    (record, line)
}

#[test]
fn a_deployment_its_steps_and_its_lines_are_kept_to_the_end() {
    let bed = Bed::new();
    let store = bed.open();
    store.begin_deployment(&deployment("d1")).unwrap();
    assert!(store.begin_deployment(&deployment("d1")).is_err());
    let (running, first) = step(StepState::Running { message: "starting".into() });
    let (done, second) = step(StepState::Succeeded { message: String::new() });
    assert_eq!(store.record_step("d1", &running, &first).unwrap(), 1);
    assert_eq!(store.record_step("d1", &done, &second).unwrap(), 2);
    assert_eq!(store.steps("d1").unwrap(), [done]);
    let ended =
        Deployment { ended_at: Some(T2), state: DeploymentState::Succeeded, ..deployment("d1") };
    store.end_deployment(&ended).unwrap();
    assert_eq!(store.deployment("d1").unwrap().as_ref(), Some(&ended));
    let end = DeploymentLine::End { deployment: ended };
    let lines = store.lines("d1", 0, 10).unwrap();
    assert_eq!(lines, [(1, first), (2, second.clone()), (3, end.clone())]);
    assert_eq!(store.lines("d1", 1, 1).unwrap(), [(2, second)]);
    assert_eq!(store.lines("d1", 3, 10).unwrap(), []);
    assert!(store.append_line("none", &end).is_err());
    let missing = store.end_deployment(&deployment("none")).unwrap_err();
    assert!(matches!(missing, StoreError::Missing { kind: "deployment", .. }));
}

#[test]
fn a_deployment_that_a_stop_cut_off_is_marked_at_the_next_start() {
    let bed = Bed::new();
    let store = bed.open();
    store.begin_deployment(&deployment("d1")).unwrap();
    store.begin_deployment(&deployment("d2")).unwrap();
    let ended = Deployment { state: DeploymentState::Failed, ..deployment("d2") };
    store.end_deployment(&ended).unwrap();
    drop(store);
    let (store, opened) = Store::open(&bed.path(), T2).unwrap();
    assert_eq!(opened.interrupted, ["d1"]);
    let cut = store.deployment("d1").unwrap().unwrap();
    assert_eq!((cut.state, cut.ended_at), (DeploymentState::Interrupted, Some(T2)));
    assert_eq!(cut.errors.len(), 1);
    let lines = store.lines("d1", 0, 10).unwrap();
    assert_eq!(lines, [(1, DeploymentLine::End { deployment: cut })]);
    assert_eq!(store.deployment("d2").unwrap().unwrap().state, DeploymentState::Failed);
    drop(store);
    assert!(Store::open(&bed.path(), T2).unwrap().1.interrupted.is_empty());
}

/// A database of before deployments could be cancelled.
#[test]
fn an_older_database_keeps_its_deployments_and_takes_the_new_ends() {
    let bed = Bed::new();
    let raw = rusqlite::Connection::open(bed.path()).unwrap();
    raw.execute_batch(include_str!("../migrations/0001.sql")).unwrap();
    raw.pragma_update(None, "user_version", 1).unwrap();
    raw.pragma_update(None, "foreign_keys", true).unwrap();
    raw.execute_batch(
        "INSERT INTO deployments (seq, id, plan, revision, started_by, started_at, ended_at, \
         state, summary, errors) VALUES (7, 'd7', 'p', 'one', 'watch', \
         '2026-01-01T00:00:00.000Z', NULL, 'running', \
         '{\"add\":1,\"change\":0,\"destroy\":0,\"moved\":0,\"forget\":0}', '[]');",
    )
    .unwrap();
    drop(raw);
    let (record, line) = step(StepState::Running { message: "starting".into() });
    let json =
        (serde_json::to_string(&line).unwrap(), serde_json::to_string(&record.state).unwrap());
    let raw = rusqlite::Connection::open(bed.path()).unwrap();
    raw.execute("INSERT INTO deployment_lines VALUES ('d7', 1, ?1)", [&json.0]).unwrap();
    raw.execute(
        "INSERT INTO deployment_steps VALUES \
         ('d7', 'db[0]/start', 'db[0]', 'n1', 4, ?1, '2026-01-01T00:00:00.000Z')",
        [&json.1],
    )
    .unwrap();
    drop(raw);

    let (store, opened) = Store::open(&bed.path(), T2).unwrap();
    assert_eq!((opened.from_version, opened.interrupted), (1, vec!["d7".to_owned()]));
    assert_eq!(store.lines("d7", 0, 10).unwrap()[0], (1, line), "its lines are kept");
    assert_eq!(store.steps("d7").unwrap().len(), 1, "and so are its steps");
    for (state, word) in DeploymentState::WORDS {
        store.begin_deployment(&deployment(word)).unwrap();
        store.end_deployment(&Deployment { state, ..deployment(word) }).unwrap();
        assert_eq!(store.deployment(word).unwrap().unwrap().state, state);
    }
    // What refers to a deployment still must.
    assert!(store.record_step("none", &record, &lines_end()).is_err());
    assert_eq!(store.deployments(None, 10).unwrap().items[6].id, "d7");
}

fn lines_end() -> DeploymentLine {
    DeploymentLine::End { deployment: deployment("none") }
}
