//! Damage: bits that flipped on the disk, and rows that nobody can read.
//!
//! A damaged file is refused by name, or everything that can be read is served and the rest named.

use std::path::Path;

use devnet_schema::{
    instance::{InstanceSpec, Limits, StopSpec, Workload},
    secret::Text,
};

use super::{
    deploying::deployment,
    joining::token,
    planning::{revision, stored_plan},
    *,
};
use crate::api::Role;

/// How many rows of each kind [`filled`] writes.
const ROWS: u64 = 12;

fn assignment(number: u64) -> AssignmentRecord {
    let spec = InstanceSpec {
        cluster: "lab".parse().unwrap(),
        id: instance(&format!("db[{number}]")),
        node: node_name(&format!("n{number}")),
        workload: Workload::Process { argv: vec![Text::plain("x".repeat(300))] },
        env: Default::default(),
        files: Default::default(),
        ports: Vec::new(),
        volumes: Vec::new(),
        limits: Limits::default(),
        gpus: Vec::new(),
        health: None,
        stop: StopSpec::default(),
        run_once: false,
        schedule: None,
        protect: false,
    };
    AssignmentRecord { instance: spec.id.clone(), node: spec.node.clone(), generation: 3, spec }
}

fn key(number: u64) -> ApiKeyRecord {
    ApiKeyRecord {
        id: format!("key{number}"),
        hash: "h".repeat(64),
        name: format!("someone {number}"),
        role: Role::Planner,
        created_at: T0,
        revoked_at: None,
        used_at: None,
    }
}

/// A database with some of everything, closed again.
fn filled(path: &Path) {
    let (store, _) = Store::open(path, T0).unwrap();
    store.set_cluster_name(&"lab".parse().unwrap()).unwrap();
    for number in 0..ROWS {
        let name = node_name(&format!("n{number}"));
        store.admit_node(&format!("id-{number}"), &name, T0).unwrap();
        store.set_labels(&name, &["ssd".to_owned()], Some("a")).unwrap();
        store.record_assignment(&assignment(number)).unwrap();
        store.add_api_key(&key(number)).unwrap();
        let token = JoinTokenRecord { id: format!("token{number}"), ..token("x") };
        store.add_join_token(&token).unwrap();
        store.record_revision(&revision(&format!("r{number}"), RevisionState::Good)).unwrap();
        store.begin_deployment(&deployment(&format!("d{number}"))).unwrap();
        store.save_plan(&stored_plan(&format!("p{number}"), None)).unwrap();
        let text = "something happened".repeat(20);
        store.append_event(T0, Cause::Act, "node", "node.n1", &text).unwrap();
        let id = format!("db[{number}]");
        store.issue_generations(&generations(&[(&id, number + 1)])).unwrap();
    }
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// One way in which a disk damages a file.
fn damage(bytes: &mut Vec<u8>, seed: u64) {
    let mut dice = Dice(seed);
    let flip = |bytes: &mut Vec<u8>, dice: &mut Dice| {
        let at = dice.below(bytes.len());
        bytes[at] ^= 1 << dice.below(8);
    };
    match seed % 5 {
        0 | 1 => flip(bytes, &mut dice),
        2 => (0..8).for_each(|_| flip(bytes, &mut dice)),
        3 => {
            let at = dice.below(bytes.len() / 512) * 512;
            bytes[at..at + 512].fill(0);
        }
        _ => bytes.truncate(dice.below(bytes.len() - 1) + 1),
    }
}

/// Reads every list; how many rows of each kind were read.
fn lists(store: &Store) -> Result<Vec<(&'static str, usize)>, StoreError> {
    Ok(vec![
        ("assignment", store.assignments()?.len()),
        ("generation", store.generations()?.len()),
        ("revision", store.revisions(None, 500)?.items.len()),
        ("deployment", store.deployments(None, 500)?.items.len()),
        ("plan", store.plans(None, 500)?.items.len()),
        ("event", store.events(None, 500, &EventFilter::default())?.items.len()),
        ("node", store.nodes()?.len()),
        ("API key", store.api_keys(None, 500)?.items.len()),
    ])
}

#[test]
fn flipped_bits_are_refused_by_name_or_hide_nothing_soak() {
    let bed = Bed::new();
    filled(&bed.path());
    let whole = fs::read(bed.path()).unwrap();
    let copies = u64::from(devnet_tests::soak::times(150, 10_000));
    let (mut refused, mut named) = (0, 0);
    for seed in 0..copies {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("state.db");
        let mut bytes = whole.clone();
        damage(&mut bytes, seed);
        fs::write(&path, bytes).unwrap();
        let store = match Store::open(&path, T1) {
            Ok((store, _)) => store,
            Err(error @ (StoreError::Damaged(_) | StoreError::Newer { .. })) => {
                assert!(error.to_string().contains("state.db"), "seed {seed}: {error}");
                refused += 1;
                continue;
            }
            Err(error) => panic!("seed {seed}: {error:?}"),
        };
        let read = lists(&store).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        let unread = store.unread();
        named += unread.len();
        for (kind, count) in read {
            let unread = unread.iter().filter(|row| row.kind == kind).count();
            assert!(count + unread >= ROWS as usize, "seed {seed}: {kind}: {count} + {unread}");
        }
    }
    if copies < 100 {
        return;
    }
    // Neither half of the claim holds by never happening.
    assert!(refused > copies / 5, "{refused} of {copies} refused");
    assert!(named > 0 && refused < copies, "{named} named, {refused} refused");
}

#[test]
fn a_row_that_cannot_be_read_is_named_and_the_others_are_served() {
    let bed = Bed::new();
    filled(&bed.path());
    let raw = Connection::open(bed.path()).unwrap();
    let break_one = |table: &str, set: &str, which: &str| {
        let changed = raw.execute(&format!("UPDATE {table} SET {set} WHERE {which}"), []);
        assert_eq!(changed.unwrap(), 1, "{table}");
    };
    let no_text = "CAST(x'61ff62' AS TEXT)";
    break_one("nodes", "facts = '{'", "id = 'id-3'");
    break_one("assignments", "spec = '{}'", "instance = 'db[4]'");
    break_one("generations", "instance = 'db 5'", "instance = 'db[5]'");
    break_one("api_keys", "role = 'king'", "id = 'key6'");
    break_one("revisions", "files = 'none'", "revision = 'r11'");
    break_one("deployments", "summary = '3'", "id = 'd11'");
    break_one("plans", "plan = '{\"summary\": '", "seq = 9");
    break_one("events", &format!("message = {no_text}"), "seq = 10");
    drop(raw);
    let store = bed.open();
    for (kind, count) in lists(&store).unwrap() {
        if kind == "generation" {
            continue;
        }
        // A node is still there as long as its name is: more runs on it than can be read.
        let left = if kind == "node" { ROWS } else { ROWS - 1 };
        assert_eq!(count, left as usize, "{kind}");
    }
    // Generation 6 of db[5] is lost with its name, but not the order that carried 3.
    assert_eq!(store.generations().unwrap().get(&instance("db[5]")), Some(&3));
    let nodes = store.nodes().unwrap();
    let shut: Vec<_> = nodes.iter().filter(|it| it.cordoned).map(|it| it.name.as_str()).collect();
    assert_eq!(shut, ["n3"], "what an admin said of it is not known");
    assert_eq!(store.unread_assignments().unwrap(), [Some(node_name("n4"))].into());
    let unread: Vec<String> = store.unread().iter().map(ToString::to_string).collect();
    assert_eq!(unread.len(), 8, "{unread:#?}");
    for said in [
        "the record of node `id-3` on `n3` cannot be read",
        "the record of assignment `db[4]` on `n4` cannot be read",
        "the record of generation `db 5` cannot be read",
        "the record of event 10 cannot be read",
    ] {
        assert!(unread.iter().any(|line| line == said), "{said}: {unread:#?}");
    }
    assert_eq!(store.api_key("key6").unwrap(), None, "a key that cannot be read opens nothing");
    let newest = store.last_good_revision().unwrap();
    assert_eq!(newest, None, "an older one does not take its place");
    assert_eq!(store.newest_deployment().unwrap(), None);
    // A page that holds an unreadable row goes on where it should.
    let first = store.events(None, 4, &EventFilter::default()).unwrap();
    let second = store.events(first.next.as_deref(), 4, &EventFilter::default()).unwrap();
    let seqs: Vec<_> = first.items.iter().chain(&second.items).map(|event| event.seq).collect();
    assert_eq!(seqs, [12, 11, 9, 8, 7, 6, 5]);
}

#[test]
fn a_damaged_file_is_refused_with_the_remedy_and_what_that_costs() {
    let bed = Bed::new();
    fs::write(bed.path(), "this is not a database, but long enough to look at".repeat(100))
        .unwrap();
    let error = Store::open(&bed.path(), T0).err().unwrap();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("put back a backup") && text.contains("API keys"), "{text}");
}
