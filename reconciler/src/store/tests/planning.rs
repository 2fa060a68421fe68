//! Revisions and plans.

use devnet_schema::{
    diagnostic::Diagnostic,
    placement::PlacementReport,
    plan::{FORMAT_VERSION, Plan, PlanBasis, Summary},
};

use super::*;
use crate::api::{PlanRequest, PlanRow, detail::DetailedPlan};

pub(super) fn revision(id: &str, state: RevisionState) -> RevisionRecord {
    RevisionRecord {
        revision: id.into(),
        source: "/srv/lab".into(),
        summary: "a commit".into(),
        author: "Ada".into(),
        committed_at: Some(T0),
        root: "cluster.kdl".into(),
        files: BTreeMap::from([("cluster.kdl".into(), format!("cluster \"{id}\""))]),
        seen_at: T0,
        state,
        applied_at: None,
    }
}

#[test]
fn the_last_good_revision_is_found_behind_bad_ones() {
    let bed = Bed::new();
    let store = bed.open();
    assert_eq!(store.newest_revision().unwrap(), None);
    let bad = RevisionState::Bad {
        problem: "it does not parse".into(),
        diagnostics: vec![Diagnostic::error("DN-E0001", None, "no")],
    };
    store.record_revision(&revision("one", RevisionState::Seen)).unwrap();
    store.mark_revision("one", &RevisionState::Good).unwrap();
    store.mark_applied("one", T1).unwrap();
    store.record_revision(&revision("two", RevisionState::Good)).unwrap();
    store.record_revision(&revision("three", RevisionState::Seen)).unwrap();
    store.mark_revision("three", &bad).unwrap();
    let id = |found: Option<RevisionRecord>| found.map(|record| record.revision);
    assert_eq!(id(store.newest_revision().unwrap()).as_deref(), Some("three"));
    assert_eq!(id(store.last_good_revision().unwrap()).as_deref(), Some("two"));
    assert_eq!(id(store.last_applied_revision().unwrap()).as_deref(), Some("one"));
    assert_eq!(store.revision("three").unwrap().unwrap(), revision("three", bad));
    // The branch is set back to what was applied before.
    store.record_revision(&revision("one", RevisionState::Good)).unwrap();
    let newest = store.newest_revision().unwrap().unwrap();
    assert_eq!((newest.revision.as_str(), newest.applied_at), ("one", Some(T1)));
    let listed = store.revisions(None, 10).unwrap().items;
    let listed: Vec<_> = listed.iter().map(|record| record.revision.as_str()).collect();
    assert_eq!(listed, ["one", "three", "two"]);
    let error = store.mark_applied("none", T1).unwrap_err();
    assert!(matches!(error, StoreError::Missing { kind: "revision", .. }));
}

#[test]
fn what_was_good_once_stays_the_last_good_revision_whatever_becomes_of_it() {
    let bed = Bed::new();
    let store = bed.open();
    let bad = RevisionState::Bad { problem: "a secret is gone".into(), diagnostics: Vec::new() };
    for id in ["one", "two"] {
        store.record_revision(&revision(id, RevisionState::Seen)).unwrap();
        store.mark_revision(id, &RevisionState::Good).unwrap();
    }
    // A secret of the newest goes, and the control plane starts twice.
    for state in [RevisionState::Seen, bad.clone(), RevisionState::Seen] {
        store.record_revision(&revision("two", state)).unwrap();
        let found = store.last_good_revision().unwrap().map(|record| record.revision);
        assert_eq!(found.as_deref(), Some("two"));
        store.mark_revision("two", &bad).unwrap();
        let found = store.last_good_revision().unwrap().map(|record| record.revision);
        assert_eq!(found.as_deref(), Some("two"));
    }
    // One that never was is none.
    store.record_revision(&revision("three", RevisionState::Seen)).unwrap();
    store.mark_revision("three", &bad).unwrap();
    assert_eq!(store.last_good_revision().unwrap().unwrap().revision, "two");
    for number in 0..3 {
        store.record_revision(&revision(&format!("later{number}"), bad.clone())).unwrap();
    }
    store.prune(&Retention { revisions: 1, ..Retention::default() }, T1).unwrap();
    assert_eq!(store.last_good_revision().unwrap().unwrap().revision, "two", "it is kept");
}

#[test]
fn what_is_put_off_is_kept_until_it_is_over() {
    let bed = Bed::new();
    let store = bed.open();
    let one = |service: &str| PutOffRecord {
        service: service.parse().unwrap(),
        why: "cancelled by ada".into(),
        wanted: vec![(instance("web[0]"), node_name("n1"), "d".to_owned().into())],
    };
    store.keep_put_off(&[one("db"), one("web")]).unwrap();
    drop(store);
    let store = bed.open();
    assert_eq!(store.put_off().unwrap(), [one("db"), one("web")]);
    store.keep_put_off(&[one("web")]).unwrap();
    assert_eq!(store.put_off().unwrap(), [one("web")]);
}

pub(super) fn stored_plan(id: &str, expires_at: Option<Time>) -> StoredPlan {
    StoredPlan {
        plan: Plan {
            format_version: FORMAT_VERSION.into(),
            id: id.to_owned().into(),
            cluster: "lab".parse().unwrap(),
            created_at: T0.to_string(),
            basis: PlanBasis { revision: "one".into(), ..PlanBasis::default() },
            changes: Vec::new(),
            unchanged: 3,
            drift: Vec::new(),
            unreached: Vec::new(),
            steps: Vec::new(),
            placement: PlacementReport::nothing(),
            summary: Summary { add: 2, ..Summary::default() },
            diagnostics: Vec::new(),
        },
        request: PlanRequest { rev: Some("one".into()), ..PlanRequest::default() },
        by: "ada".into(),
        created_at: T0,
        expires_at,
    }
}

#[test]
fn a_plan_comes_back_as_it_was_saved() {
    let bed = Bed::new();
    let store = bed.open();
    store.save_plan(&stored_plan("p1", None)).unwrap();
    store.save_plan(&stored_plan("p2", Some(T1))).unwrap();
    assert_eq!(store.plan("p2").unwrap(), Some(stored_plan("p2", Some(T1))));
    assert_eq!(store.plan("p3").unwrap(), None);
    store.save_plan(&stored_plan("p1", Some(T2))).unwrap();
    assert_eq!(store.plan("p1").unwrap(), Some(stored_plan("p1", Some(T2))));
    let rows = store.plans(None, 10).unwrap().items;
    let row = PlanRow {
        id: "p1".into(),
        revision: "one".into(),
        by: "ada".into(),
        created_at: T0,
        expires_at: Some(T2),
        summary: Summary { add: 2, ..Summary::default() },
    };
    let detailed = DetailedPlan { row, applicable: true, errors: 0, moves: 0, unplaced: 0 };
    assert_eq!((rows.len(), &rows[0]), (2, &detailed));
    // What it holds is counted without reading it as a whole.
    let mut bad = stored_plan("p4", None);
    bad.plan.diagnostics = vec![
        Diagnostic::warning("DN-W0603", None, "waits"),
        Diagnostic::error("DN-E0602", None, "protected"),
    ];
    bad.plan.placement.moves = 3;
    bad.plan.placement.unplaced = 2;
    store.save_plan(&bad).unwrap();
    let DetailedPlan { row: _, applicable, errors, moves, unplaced } =
        store.plans(None, 1).unwrap().items.remove(0);
    assert_eq!((applicable, errors, moves, unplaced), (false, 1, 3, 2));
}
