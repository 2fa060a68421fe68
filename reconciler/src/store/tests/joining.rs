//! Nodes that join, are taken back and are refused; keys of people.

use std::sync::Arc;

use devnet_schema::fleet::NodeFacts;

use super::*;
use crate::api::Role;

pub(super) fn token(id: &str) -> JoinTokenRecord {
    JoinTokenRecord {
        id: id.into(),
        hash: "h".into(),
        node: None,
        replace: false,
        created_at: T0,
        expires_at: T2,
        used_at: None,
    }
}

fn newcomer(id: &str, name: &str, replace: bool) -> NewNode {
    NewNode { id: id.into(), name: node_name(name), replace }
}

fn join(store: &Store, token: &str, node: &NewNode, now: Time) -> Result<(), JoinRefusal> {
    store.join::<StoreError>(token, node, now, |_| Ok(())).unwrap()
}

#[test]
fn a_join_token_is_used_up_by_exactly_one_of_many() {
    let bed = Bed::new();
    let store = Arc::new(bed.open());
    store.add_join_token(&token("t")).unwrap();
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let store = Arc::clone(&store);
            let node = newcomer(&format!("id{number}"), &format!("n{number}"), false);
            std::thread::spawn(move || join(&store, "t", &node, T1))
        })
        .collect();
    let answers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(answers.iter().filter(|a| **a == Err(JoinRefusal::Token)).count(), 7);
    assert_eq!(store.nodes().unwrap().len(), 1);
    assert_eq!(store.join_token("t").unwrap().unwrap().used_at, Some(T1));
}

#[test]
fn a_refused_join_uses_no_token_and_says_why() {
    let bed = Bed::new();
    let store = bed.open();
    let bound = JoinTokenRecord { node: Some(node_name("n1")), ..token("bound") };
    store.add_join_token(&bound).unwrap();
    store.add_join_token(&token("free")).unwrap();
    store.add_join_token(&JoinTokenRecord { replace: true, ..token("replacing") }).unwrap();
    let join = |token: &str, id: &str, name: &str, replace: bool, now: Time| {
        self::join(&store, token, &newcomer(id, name, replace), now)
    };
    assert_eq!(join("none", "a", "n1", false, T1), Err(JoinRefusal::Token));
    assert_eq!(join("free", "a", "n1", false, T2), Err(JoinRefusal::Token), "it has ended");
    assert_eq!(join("bound", "a", "n2", false, T1), Err(JoinRefusal::Name(node_name("n2"))));
    assert_eq!(join("bound", "a", "n1", false, T1), Ok(()), "the refusal did not use it up");
    assert_eq!(join("bound", "b", "n1", false, T1), Err(JoinRefusal::Token));
    assert_eq!(join("free", "b", "n1", false, T1), Err(JoinRefusal::Taken(node_name("n1"))));
    assert_eq!(join("free", "b", "n1", true, T1), Err(JoinRefusal::Replace(node_name("n1"))));
    assert_eq!(join("replacing", "b", "n1", false, T1), Err(JoinRefusal::Taken(node_name("n1"))));
    assert_eq!(join("replacing", "b", "n1", true, T1), Ok(()));
    assert_eq!(store.node(&node_name("n1")).unwrap().unwrap().id, "b");
    let old = store.node_with_id("a").unwrap().unwrap();
    assert_eq!(old.removed_at, Some(T1), "whom it replaced is refused from now on");
    assert_eq!(store.admit_node("a", &node_name("n1"), T2).unwrap(), Admission::Removed);
}

#[test]
fn a_node_whose_place_could_not_be_taken_keeps_it_and_the_token_is_not_used_up() {
    let bed = Bed::new();
    let store = bed.open();
    store.admit_node("a", &node_name("n1"), T0).unwrap();
    store.add_join_token(&JoinTokenRecord { replace: true, ..token("t") }).unwrap();
    let node = newcomer("b", "n1", true);
    let failing = store.join("t", &node, T1, |before| {
        assert_eq!(before, "a");
        Err(StoreError::Record { act: "writing the list" })
    });
    assert!(failing.is_err());
    assert_eq!(store.member(&node_name("n1")).unwrap().as_deref(), Some("a"));
    assert_eq!(join(&store, "t", &node, T1), Ok(()));
    assert_eq!(store.member(&node_name("n1")).unwrap().as_deref(), Some("b"));
}

#[test]
fn a_fleet_is_taken_back_by_its_certificates_but_not_what_was_removed() {
    let bed = Bed::new();
    let store = bed.open();
    let n1 = node_name("n1");
    assert_eq!(store.admit_node("a", &n1, T0).unwrap(), Admission::Adopted);
    assert_eq!(store.admit_node("a", &n1, T1).unwrap(), Admission::Known);
    assert_eq!(store.admit_node("b", &n1, T1).unwrap(), Admission::Superseded);
    assert_eq!(store.admit_node("a", &node_name("n2"), T1).unwrap(), Admission::Superseded);
    assert_eq!(store.node(&n1).unwrap().unwrap().joined_at, T0);
    assert!(store.remove_node(&n1, T1).unwrap());
    assert!(!store.remove_node(&n1, T1).unwrap());
    assert_eq!(store.admit_node("a", &n1, T2).unwrap(), Admission::Removed);
    assert_eq!(store.admit_node("b", &n1, T2).unwrap(), Admission::Adopted);
}

#[test]
fn what_is_known_of_a_node_is_kept() {
    let bed = Bed::new();
    let store = bed.open();
    let (n1, gone) = (node_name("n1"), node_name("gone"));
    store.admit_node("a", &n1, T0).unwrap();
    let facts = NodeFacts { ip: "10.0.0.1".into(), cpu_count: 4, ..NodeFacts::default() };
    assert!(store.record_facts(&n1, &facts, T1).unwrap());
    assert!(store.set_cordon(&n1, Cordon::Drained).unwrap());
    assert!(store.set_labels(&n1, &["ssd".into(), "gpu".into()], Some("west")).unwrap());
    assert!(store.touch_node(&n1, T2).unwrap());
    assert!(!store.touch_node(&gone, T2).unwrap());
    assert!(!store.record_facts(&gone, &facts, T2).unwrap());
    let expected = NodeRecord {
        id: "a".into(),
        name: n1,
        facts,
        last_seen: Some(T2),
        tags: vec!["ssd".into(), "gpu".into()],
        zone: Some("west".into()),
        cordoned: true,
        drained: true,
        joined_at: T0,
        removed_at: None,
    };
    assert_eq!(store.nodes().unwrap(), [expected]);
}

#[test]
fn a_damaged_record_of_a_node_is_mended_and_its_node_shut_and_known_meanwhile() {
    let bed = Bed::new();
    let store = bed.open();
    let n1 = node_name("n1");
    for damage in ["tags = '['", "zone = CAST(x'ff' AS TEXT)", "joined_at = CAST(x'ff' AS TEXT)"] {
        store.admit_node("a", &n1, T0).unwrap();
        store.set_labels(&n1, &["ssd".into()], Some("west")).unwrap();
        assert!(!store.mend_node(&n1, T1).unwrap());
        store.lock().execute(&format!("UPDATE nodes SET {damage}, sessions = -1"), []).unwrap();
        assert!(store.node(&n1).is_err(), "{damage}");
        assert_eq!(store.member(&n1).unwrap().as_deref(), Some("a"));
        assert_eq!(store.member_with_id("a").unwrap(), Some(n1.clone()));
        assert_eq!(store.count_session("a", 7).unwrap(), 0);
        assert!(store.mend_node(&n1, T1).unwrap());
        let mended = store.node(&n1).unwrap().unwrap();
        assert!(mended.cordoned, "{damage}");
        let kept = (mended.tags.len(), mended.zone.is_some());
        assert_eq!(kept, (usize::from(!damage.starts_with("tags")), !damage.starts_with("zone")));
        store.lock().execute("DELETE FROM nodes", []).unwrap();
    }
}

#[test]
fn api_keys_are_listed_until_they_are_revoked() {
    let bed = Bed::new();
    let store = bed.open();
    let key = |id: &str, role| ApiKeyRecord {
        id: id.into(),
        hash: "h".into(),
        name: format!("key {id}"),
        role,
        created_at: T0,
        revoked_at: None,
        used_at: None,
    };
    let keys = [key("a", Role::Viewer), key("b", Role::Admin), key("c", Role::Planner)];
    keys.iter().for_each(|key| store.add_api_key(key).unwrap());
    assert!(store.add_api_key(&keys[0]).is_err(), "an id is used once");
    assert_eq!(store.api_key("b").unwrap().as_ref(), Some(&keys[1]));
    assert!(store.revoke_api_key("b", T1).unwrap());
    assert!(!store.revoke_api_key("b", T1).unwrap());
    assert_eq!(store.api_key("b").unwrap().unwrap().revoked_at, Some(T1));
    let page = store.api_keys(None, 10).unwrap();
    assert_eq!(page.items, [keys[2].clone(), keys[0].clone()]);
}
