//! What an admin caps of a node counts, whatever its agent reports.

use super::{World, show};

fn file(line: &str, replicas: u32) -> String {
    format!(
        "cluster \"lab\"\nnode \"alpha\" {{ {line} }}\n\
         service \"web\" {{ image \"w:1\"; replicas {replicas}; \
         resources cpu=1 memory=\"1GiB\" disk=\"1GiB\" }}\n"
    )
}

#[test]
fn above_a_cap_nothing_is_placed_whatever_is_reported() {
    let mut world = World::of(&["alpha"]);
    world.node("alpha").facts.cpu_count = u32::MAX;
    world.node("alpha").facts.total_memory_mb = u64::MAX;
    for (cap, most) in [("cpu=3", 3), ("memory=\"2GiB\"", 2), ("disk=\"5GiB\"", 5)] {
        let line = format!("capacity {cap}");
        let fits = world.plan(&file(&line, most));
        assert!(fits.is_applicable() && fits.summary.add == most, "{}", show(&fits));
        let plan = world.plan(&file(&line, most + 1));
        assert!(!plan.is_applicable(), "{cap}: {}", show(&plan));
    }
}

#[test]
fn less_than_a_cap_counts_as_it_is_reported() {
    let world = World::of(&["alpha"]);
    let plan = world.plan(&file("capacity cpu=64 memory=\"1TiB\"", 4));
    assert!(plan.is_applicable(), "{}", show(&plan));
    assert!(!world.plan(&file("capacity cpu=64 memory=\"1TiB\"", 5)).is_applicable());
}

#[test]
fn devices_are_capped_by_number() {
    let mut world = World::of(&["alpha"]);
    for at in 0..4 {
        world.node("alpha").facts.gpus.push(devnet_schema::fleet::Gpu {
            id: format!("GPU-{at}"),
            model: "RTX".to_owned(),
            mem_mb: 24_000,
        });
    }
    let file = |gpus: u32, replicas: u32| {
        format!(
            "cluster \"lab\"\nnode \"alpha\" {{ capacity gpus={gpus} }}\n\
             service \"llm\" {{ image \"l:1\"; replicas {replicas}; resources gpu=1 }}\n"
        )
    };
    assert!(world.plan(&file(2, 2)).is_applicable());
    assert!(!world.plan(&file(2, 3)).is_applicable());
    assert!(!world.plan(&file(0, 1)).is_applicable());
}
