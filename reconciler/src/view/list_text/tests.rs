//! Lists say what is there, what is not, and what is not known.

use devnet_schema::observed::{HealthState, InstanceState};

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:01:00Z".parse().unwrap()
}

fn node(name: &str) -> NodeRow {
    NodeRow {
        name: name.parse().unwrap(),
        status: NodeStatus::Online,
        ip: "10.0.0.1".to_owned(),
        instances: 2,
        last_seen: "2026-01-01T00:00:30Z".parse().ok(),
        problem: None,
        cordoned: false,
        drained: false,
        shut: false,
        joined_at: None,
        never_connected: false,
    }
}

fn there(id: &str, waiting: Option<WaitingRow>) -> InstanceRow {
    InstanceRow {
        id: id.parse().unwrap(),
        node: "b".parse().unwrap(),
        state: InstanceState::Running,
        health: HealthState::Healthy,
        address: None,
        message: Some("what its node says".to_owned()),
        stranger: false,
        outdated: None,
        waiting,
    }
}

fn waiting(id: &str, tries: Option<u32>) -> WaitingRow {
    WaitingRow {
        instance: id.parse().unwrap(),
        node: None,
        reason: "no node has room".to_owned(),
        tries,
        of: tries.map(|_| 5),
        next_try: tries.map(|_| "2026-01-01T00:01:20Z".parse().unwrap()),
    }
}

fn service(instances: Vec<InstanceRow>, waiting: Vec<WaitingRow>) -> ServiceRow {
    let name = "store".parse().unwrap();
    ServiceRow { name, desired: 3, healthy: 1, instances, waiting, undeclared: false }
}

#[test]
fn what_is_said_of_a_node_is_shown_and_what_stays_on_one_that_is_drained() {
    let all = [
        node("n1"),
        NodeRow { cordoned: true, ..node("n2") },
        NodeRow { shut: true, ..node("n3") },
        NodeRow { drained: true, shut: true, ..node("n4") },
        NodeRow {
            never_connected: true,
            last_seen: None,
            status: NodeStatus::Offline,
            problem: Some("it joined".to_owned()),
            ..node("n5")
        },
    ];
    let text = plain_nodes(&all, now()).text();
    let column = |from: usize, to: usize| -> Vec<&str> {
        text.lines().take(6).map(|line| line[from..to.min(line.len())].trim()).collect()
    };
    let status =
        ["STATUS", "online", "online, cordoned", "online, cordoned", "online, drained", "joined"];
    assert_eq!(column(6, 22), status, "{text}");
    assert_eq!(column(45, 60), ["LAST SEEN", "30s ago", "30s ago", "30s ago", "30s ago", "never"]);
    assert!(text.contains("n4: it is drained, and 2 instances are still there"), "{text}");
    assert!(text.ends_with("  n5: it joined\n"), "{text}");
}

#[test]
fn what_should_run_and_does_not_has_a_row_with_its_reason_and_its_next_try() {
    let stranger = InstanceRow { stranger: true, ..there("store[0]", None) };
    let text = instances(&[service(vec![stranger], Vec::new())], now()).text();
    assert!(text.ends_with("nobody ordered it here: `devnet node adopt b`\n"), "{text}");
    let old = there("store[0]", Some(waiting("store[0]", Some(3))));
    let store = service(vec![old], vec![waiting("store[1]", None)]);
    let text = instances(std::slice::from_ref(&store), now()).text();
    let lines: Vec<&str> = text.lines().collect();
    let failed = "no node has room; failed 3 of 5 times; next try in 20s";
    assert!(lines[1].starts_with("store[0]  b ") && lines[1].ends_with(failed), "{text}");
    assert!(lines[2].starts_with("store[1]  -     waiting"), "{text}");
    let detailed = DetailedService { row: store, declared: None };
    let text = services(&[detailed], false, now()).text();
    assert!(text.contains("store[1]: no node has room (and 1 more)"), "{text}");
}

#[test]
fn a_wide_list_says_what_a_node_has_and_a_dash_where_that_is_not_known() {
    let room = |whole, placed| Amount { whole, reserved: 0, placed };
    let mut known = DetailedNode {
        row: node("n1"),
        zone: Some("rack-1".to_owned()),
        tags: vec!["ssd".to_owned()],
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        engines: Vec::new(),
        room: Default::default(),
        gpus: Vec::new(),
    };
    known.room.cpu_milli = room(8000, 500);
    known.room.memory_mb = room(2048, 64);
    let text = nodes(&[known], true, now()).text();
    let row = text.lines().nth(1).unwrap_or_default();
    assert!(row.ends_with("rack-1  ssd   0.5 of 8  64MiB of 2GiB  -     -     -"), "{text}");
}

#[test]
fn what_is_reserved_is_told_and_nothing_is_no_zero() {
    assert_eq!(reserved(&Reserved::default()), "nothing");
    let some = Reserved { cpu_milli: 500, memory_mb: 64, gpus: 2, ..Reserved::default() };
    assert_eq!(reserved(&some), "0.5 cpu, 64MiB memory, 2 gpu");
}
