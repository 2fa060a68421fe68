//! What a plan says beside what it does: levels with their proofs, and data that is lost.

use devnet_schema::{
    fleet::NodeStatus,
    placement::Objective,
    plan::{Action, Plan},
};

use super::{World, show};

const DATA: &str = r#"
cluster "lab"
service "db" { image "db:1"; volume "data" at="/d"; place { pin "alpha" } }
service "web" { image "web:1"; replicas 2 }
"#;

#[test]
fn data_on_a_lost_node_is_told_whether_the_rest_fits_or_not() {
    let mut world = World::of(&["alpha", "beta"]);
    world.reach(DATA);
    world.lose("alpha", NodeStatus::Lost);
    let plan = world.plan(DATA);
    let told = |plan: &Plan| -> Vec<String> {
        let found = plan.diagnostics.iter().filter(|found| found.code == "DN-W0603");
        found.map(|found| found.message.clone()).collect()
    };
    let waits = "db[0] waits for alpha, which is lost: its data is nowhere else";
    assert_eq!(told(&plan), [waits]);
    let full = format!("{DATA}service \"big\" {{ image \"big:1\"; resources memory=\"64GiB\" }}");
    let refused = world.plan(&full);
    assert!(!refused.is_applicable());
    assert_eq!(told(&refused), told(&plan));
    // Data that was started anew elsewhere waits for nobody; DN-W0604 tells of it.
    let moved = world.plan(&DATA.replace("pin \"alpha\"", "pin \"beta\""));
    assert_eq!(told(&moved), [""; 0], "{}", show(&moved));
    assert!(moved.diagnostics.iter().any(|found| found.code == "DN-W0604"));
}

/// Three on one node; the last is driven out, and one of them finds a place on the other.
const THREE: &str = r#"
cluster "lab"
service "web" { image "web:1"; replicas 3; resources cpu=1 memory="2GiB" }
"#;

#[test]
fn moves_and_evictions_are_counted_as_the_changes_are() {
    let mut world = World::of(&["alpha"]);
    world.reach(THREE);
    world.fleet.nodes.push(super::node("beta", 2));
    world.node("beta").facts.total_memory_mb = 4096;
    let big = format!(
        "{THREE}service \"big\" {{ image \"big:1\"; priority 90; \
         resources cpu=1 memory=\"8GiB\"; place {{ pin \"alpha\" }} }}"
    );
    world.options.allow_unplaced = true;
    let plan = world.plan(&big);
    let placement = &plan.placement;
    assert_eq!((placement.moves, placement.evicted, placement.unplaced), (2, 1, 1));
    assert_eq!(plan.summary.moved, placement.moves, "{}", show(&plan));
    let gone = plan.changes.iter().filter(|change| change.action == Action::Delete).count();
    assert_eq!(gone as u32, placement.evicted);
    let reason = "it makes room for service.big[0]";
    assert!(plan.changes.iter().any(|change| change.reason == reason), "{}", show(&plan));
    world.options.allow_unplaced = false;
    let refused = world.plan(&big).placement;
    assert_eq!((refused.moves, refused.evicted, refused.unplaced), (2, 1, 1));
    assert_eq!((refused.move_cost, refused.move_cost_bound), (3, 3));
    let levels: Vec<_> = refused.levels.iter().map(|it| (it.wanted, it.placed)).collect();
    assert_eq!(levels, [(1, 1), (3, 2)]);
}

#[test]
fn moves_that_were_asked_for_leave_the_proof_of_the_others() {
    let mut world = World::of(&["alpha"]);
    world.reach(THREE);
    world.fleet.nodes.push(super::node("beta", 2));
    world.options.extra_moves = 1;
    let placement = world.plan(THREE).placement;
    assert_eq!((placement.moves, placement.gains.len(), placement.moves_bound), (1, 1, 0));
    assert!(placement.moves_proven && placement.objective == Objective::Balance);
    let packed = THREE.replace("cluster \"lab\"", "cluster \"lab\" { placement \"pack\" }");
    assert_eq!(world.plan(&packed).placement.objective, Objective::Pack);
}
