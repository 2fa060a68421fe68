//! Tests of the store on real database files.

mod damage;
mod deploying;
mod joining;
mod planning;
mod pruning;

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use devnet_schema::{name::NodeName, order::MAX_GENERATION};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

const T0: Time = Time::of_2026(0);
const T1: Time = Time::of_2026(3600);
const T2: Time = Time::of_2026(7200);

struct Bed {
    dir: TempDir,
}

impl Bed {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("state.db")
    }

    fn open(&self) -> Store {
        Store::open(&self.path(), T0).unwrap().0
    }
}

fn node_name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn instance(text: &str) -> InstanceId {
    text.parse().unwrap()
}

#[test]
fn a_new_database_is_brought_to_the_newest_version_once() {
    let bed = Bed::new();
    let (store, opened) = Store::open(&bed.path(), T0).unwrap();
    assert_eq!(opened, Opened::default());
    drop(store);
    let (_, opened) = Store::open(&bed.path(), T0).unwrap();
    assert_eq!(opened.from_version, schema::NEWEST);
}

#[test]
fn the_database_is_its_owners_only_even_when_it_was_not() {
    let bed = Bed::new();
    let mode = || fs::metadata(bed.path()).unwrap().permissions().mode() & 0o777;
    drop(bed.open());
    assert_eq!(mode(), 0o600);
    fs::set_permissions(bed.path(), Permissions::from_mode(0o644)).unwrap();
    let store = bed.open();
    assert_eq!(mode(), 0o600);
    drop(store);
    fs::remove_file(bed.path()).unwrap();
    fs::create_dir(bed.path()).unwrap();
    let error = Store::open(&bed.path(), T0).err().unwrap();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
}

#[test]
fn a_database_of_a_newer_devnet_is_refused_and_left_alone() {
    let bed = Bed::new();
    drop(bed.open());
    let raw = Connection::open(bed.path()).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let error = Store::open(&bed.path(), T0).err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("start the devnet that wrote it"), "{error}");
}

#[test]
fn a_file_that_is_no_database_or_a_damaged_one_is_refused() {
    let bed = Bed::new();
    fs::write(bed.path(), "this is not a database, but long enough to look at".repeat(100))
        .unwrap();
    let error = Store::open(&bed.path(), T0).err().unwrap();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    fs::remove_file(bed.path()).unwrap();
    let store = bed.open();
    for number in 0..600 {
        store
            .append_event(T0, Cause::Report, "node", "node.n1", &format!("{number}").repeat(100))
            .unwrap();
    }
    drop(store);
    let mut bytes = fs::read(bed.path()).unwrap();
    let half = bytes.len() / 2;
    bytes[half..half + 4096].fill(0xa5);
    fs::write(bed.path(), bytes).unwrap();
    let error = Store::open(&bed.path(), T0).err().unwrap();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

#[test]
fn what_is_written_is_there_after_a_restart() {
    let bed = Bed::new();
    let store = bed.open();
    assert_eq!(store.cluster().unwrap(), ClusterRecord { name: None, serial: 0 });
    store.set_cluster_name(&"lab".parse().unwrap()).unwrap();
    assert_eq!(store.bump_serial().unwrap(), 1);
    assert_eq!(store.bump_serial().unwrap(), 2);
    drop(store);
    let expected = ClusterRecord { name: Some("lab".parse().unwrap()), serial: 2 };
    assert_eq!(bed.open().cluster().unwrap(), expected);
}

#[test]
fn lists_page_newest_first_and_every_item_comes_once() {
    let bed = Bed::new();
    let store = bed.open();
    for number in 1..=7 {
        store.append_event(T0, Cause::Report, "node", "node.n1", &number.to_string()).unwrap();
    }
    let all = EventFilter::default();
    let (mut cursor, mut seen, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = store.events(cursor.as_deref(), 3, &all).unwrap();
        seen.extend(page.items.into_iter().map(|event| event.seq));
        pages += 1;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (vec![7, 6, 5, 4, 3, 2, 1], 3));
    let after: Vec<_> = store.events_after(4, 2).unwrap().iter().map(|event| event.seq).collect();
    assert_eq!(after, [5, 6]);
    for bad in ["", "x", "-1", "0", "1.5", "99999999999999999999"] {
        assert!(matches!(store.events(Some(bad), 3, &all), Err(StoreError::Cursor(_))), "{bad}");
    }
    assert_eq!(store.events(None, 0, &all).unwrap().items.len(), 1, "a page holds something");
    assert_eq!(store.events(None, u32::MAX, &all).unwrap().items.len(), 7);
}

#[test]
fn events_are_found_by_kind_subject_and_text() {
    let bed = Bed::new();
    let store = bed.open();
    for (kind, subject, message) in [
        ("node", "node.n1", "Connected"),
        ("node", "node.n2", "connected"),
        ("auth", "127.0.0.1", "an API key was refused: 100%_"),
    ] {
        store.append_event(T0, Cause::Report, kind, subject, message).unwrap();
    }
    let found = |kind: &str, subject: &str, text: &str| {
        let [kind, subject, text] = [kind, subject, text].map(str::to_owned);
        let page = store.events(None, 10, &EventFilter { kind, subject, text }).unwrap();
        page.items.iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    assert_eq!(found("", "", ""), [3, 2, 1]);
    assert_eq!(found("node", "", ""), [2, 1]);
    assert_eq!(found("", "n1", ""), [1]);
    assert_eq!(found("", "", "CONNECTED"), [2, 1]);
    assert!(found("node", "", "refused").is_empty());
    assert_eq!(found("", "", "100%_"), [3], "what a pattern would mean is text");
    assert_eq!(found("", "", "%"), [3]);
}

fn generations(list: &[(&str, u64)]) -> BTreeMap<InstanceId, u64> {
    list.iter().map(|&(id, number)| (instance(id), number)).collect()
}

#[test]
fn numbers_that_agents_made_up_are_dropped_from_an_older_database() {
    let bed = Bed::new();
    let raw = Connection::open(bed.path()).unwrap();
    raw.execute_batch(include_str!("../migrations/0001.sql")).unwrap();
    raw.pragma_update(None, "user_version", 1).unwrap();
    raw.execute("INSERT INTO generations VALUES ('a[0]', ?1), ('b[0]', 7)", [i64::MAX]).unwrap();
    drop(raw);
    assert_eq!(bed.open().generations().unwrap(), generations(&[("a[0]", 0), ("b[0]", 7)]));
}

#[test]
fn a_spec_that_cannot_be_read_keeps_no_older_database_from_opening_and_nothing_is_planned_unseen() {
    let bed = Bed::new();
    let raw = Connection::open(bed.path()).unwrap();
    for step in [
        include_str!("../migrations/0001.sql"),
        include_str!("../migrations/0002.sql"),
        include_str!("../migrations/0003.sql"),
        include_str!("../migrations/0004.sql"),
    ] {
        raw.execute_batch(step).unwrap();
    }
    raw.pragma_update(None, "user_version", 4).unwrap();
    let mut with_data = assignments::tests::record("n1", 3).spec;
    with_data.volumes =
        serde_json::from_value(serde_json::json!([{"name": "data", "path": "d"}])).unwrap();
    let specs = [
        ("db[0]", serde_json::to_string(&with_data).unwrap()),
        ("db[1]", serde_json::to_string(&assignments::tests::record("n1", 3).spec).unwrap()),
        ("db[2]", "{\"volumes\": [".to_owned()),
    ];
    for (id, spec) in &specs {
        raw.execute("INSERT INTO assignments VALUES (?1, 'n1', 3, ?2)", [id, &spec.as_str()])
            .unwrap();
    }
    drop(raw);
    let store = bed.open();
    let places = store.data_places().unwrap();
    let places: Vec<_> = places.iter().map(|it| it.instance.to_string()).collect();
    assert_eq!(places, ["db[0]"]);
    let unread: Vec<_> = store.unread().iter().map(ToString::to_string).collect();
    assert_eq!(unread, ["the record of data place `db[2]` on `n1` cannot be read"]);
}

#[test]
fn generations_only_go_up_and_all_are_given_out_or_none() {
    let bed = Bed::new();
    let store = bed.open();
    store.issue_generations(&generations(&[("a[0]", 3), ("b[0]", 1)])).unwrap();
    // Nor the same again: it was told to another node, or as something else.
    let error = store.issue_generations(&generations(&[("a[0]", 3)])).unwrap_err();
    assert!(matches!(error, StoreError::StaleGeneration { wanted: 3, issued: 3, .. }));
    let error = store.issue_generations(&generations(&[("a[0]", 2), ("b[0]", 9)])).unwrap_err();
    assert!(matches!(error, StoreError::StaleGeneration { wanted: 2, issued: 3, .. }));
    let error = store.issue_generations(&generations(&[("b[0]", 9), ("a[0]", 2), ("c[0]", 1)]));
    assert!(error.is_err());
    assert_eq!(store.generations().unwrap(), generations(&[("a[0]", 3), ("b[0]", 1)]));
    let expected = store.generations().unwrap();
    drop(store);
    assert_eq!(bed.open().generations().unwrap(), expected);
    for too_high in [MAX_GENERATION + 1, i64::MAX as u64, u64::MAX] {
        let error = bed.open().issue_generations(&generations(&[("d[0]", too_high)])).unwrap_err();
        assert!(matches!(error, StoreError::HighGeneration { .. }), "{error}");
    }
    bed.open().issue_generations(&generations(&[("d[0]", MAX_GENERATION)])).unwrap();
    assert_eq!(bed.open().generations().unwrap()[&instance("d[0]")], MAX_GENERATION);
}
