//! What a plan says beside what it does: levels with their proofs, and data that is lost.

use devnet_schema::{
    fleet::NodeStatus,
    placement::{Objective, PlacementStatus},
    plan::{Action, Plan},
};

use expect_test::expect;

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
    let left = "leave-data \"alpha\"; place { pin \"beta\"";
    let moved = world.plan(&DATA.replace("place { pin \"alpha\"", left));
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
fn what_runs_keeps_running_where_stopping_it_gains_nothing() {
    let even = |more: &str| {
        format!(
            "cluster \"lab\"\nservice \"web\" {{ image \"web:1\"; replicas 4; \
             resources cpu=1 memory=\"1GiB\"; place {{ spread by=\"node\" }} }}\n{more}"
        )
    };
    let mut world = World::of(&["alpha", "beta", "gamma"]);
    world.reach(&even(""));
    world.limits.suggestions = 0;
    let big = "service \"big\" { image \"big:1\"; priority 90; resources cpu=4; \
               place { pin \"gamma\" } }";
    let full = even(big);
    let refused = world.plan(&full);
    world.options.allow_unplaced = true;
    let plan = world.plan(&full);
    assert_eq!(plan.placement, refused.placement);
    let counts = |it: &Plan| (it.placement.kept, it.placement.evicted, it.placement.unplaced);
    assert_eq!(counts(&plan), (1, 1, 2), "{}", show(&plan));
    expect![[r#"
        + big[0] on gamma: it is new; pinned to gamma
        - web[3] on gamma: it makes room for service.big[0] (priority 90)
          big[0]/prepare on gamma g1
          big[0]/start on gamma g1 after big[0]/prepare
          big[0]/await-healthy on gamma g1 after big[0]/start
          web[3]/remove on gamma g2 after big[0]/prepare
        cluster.kdl:2:9: warning[DN-W0601]: service `web` does not fit: 2 of 4 instances have
                no node (alpha: would be spread unevenly: 2 apart, 1 allowed; beta: would be
                spread unevenly: 2 apart, 1 allowed; gamma: needs 1 cpu, 0 free: 1 short)
          help: no one or two changes that were tried help: change all that speaks against one
                of the nodes, or ask for less
        cluster.kdl:2:9: warning[DN-W0608]: web[1] keeps running on alpha, where it has no
                place: would be spread unevenly: 2 apart, 1 allowed
          help: stopping it would make room for nothing; once its service fits, it gets a place
        1 to add, 0 to change, 1 to destroy, 0 to move, 3 unchanged
    "#]]
    .assert_eq(&show(&plan));
}

/// There is room for either, and the more important one needs the other.
#[test]
fn what_pushes_away_what_it_needs_does_not_fit() {
    let both = "cluster \"lab\"\n\
                service \"base\" { image \"base:1\"; priority 10; resources cpu=3 }\n\
                service \"user\" { image \"user:1\"; resources cpu=3; depends-on \"base\" }\n";
    let mut world = World::of(&["alpha"]);
    let refused = world.plan(both);
    let message = "service `user` waits: `base`, which it depends on, can run only with `user` \
                   left out";
    let found: Vec<_> = refused.diagnostics.iter().map(|it| (&*it.code, &*it.message)).collect();
    assert_eq!(found, [("DN-E0601", message)]);
    assert_eq!(refused.placement.status, PlacementStatus::Infeasible);
    world.options.allow_unplaced = true;
    let plan = world.plan(both);
    assert_eq!(plan.placement, refused.placement);
    let started: Vec<_> = plan.changes.iter().map(|it| it.instance.to_string()).collect();
    assert_eq!(started, ["base[0]"]);
}

#[test]
fn levels_count_what_waits_apart_from_what_is_placed() {
    let file = format!(
        "{DATA}service \"lake\" {{ image \"lake:1\"; priority 70; resources memory=\"64GiB\" }}\n\
         service \"user\" {{ image \"user:1\"; replicas 2; priority 30; depends-on \"lake\" }}\n"
    );
    let mut world = World::of(&["alpha", "beta"]);
    world.reach(DATA);
    world.lose("alpha", NodeStatus::Lost);
    world.options.allow_unplaced = true;
    let placement = world.plan(&file).placement;
    let levels = placement.levels.iter().map(|it| {
        let waiting = (it.waiting_for_data, it.waiting_for_service);
        (it.priority, it.wanted, it.placed, waiting, it.bound)
    });
    let expected = [(70, 1, 0, (0, 0), 0), (50, 3, 2, (1, 0), 2), (30, 2, 0, (0, 2), 0)];
    assert_eq!(levels.collect::<Vec<_>>(), expected);
    assert_eq!((placement.unplaced, placement.evicted), (1, 0));
}

/// The only node that could take it without its data is full, and its data is lost.
#[test]
fn one_message_says_that_it_does_not_fit_and_where_its_data_is() {
    let left = "leave-data \"alpha\"; place { pin \"beta\"";
    let pinned = DATA.replace("place { pin \"alpha\"", left)
        + "service \"big\" { image \"big:1\"; priority 90; resources cpu=4; \
           place { pin \"beta\" } }";
    let needy = pinned.replace("at=\"/d\"", "at=\"/d\"; resources cpu=1");
    let mut world = World::of(&["alpha", "beta"]);
    world.reach(DATA);
    world.lose("alpha", NodeStatus::Lost);
    let plan = world.plan(&needy);
    let told = plan.diagnostics.iter().filter(|it| it.message.contains("db"));
    let told: Vec<_> = told.map(|it| (it.code.as_str(), it.message.clone())).collect();
    let clause = "; data of db[0] is on alpha, which is lost";
    assert!(matches!(&told[..], [("DN-E0601", text)] if text.ends_with(clause)), "{told:?}");
}

#[test]
fn moves_that_were_asked_for_leave_the_proof_of_the_others() {
    let mut world = World::of(&["alpha"]);
    world.reach(THREE);
    world.fleet.nodes.push(super::node("beta", 2));
    world.options.max_moves = 1;
    let placement = world.plan(THREE).placement;
    assert_eq!((placement.moves, placement.gains.len(), placement.moves_bound), (1, 1, 0));
    assert!(placement.moves_proven && placement.objective == Objective::Balance);
    let packed = THREE.replace("cluster \"lab\"", "cluster \"lab\" { placement \"pack\" }");
    assert_eq!(world.plan(&packed).placement.objective, Objective::Pack);
}

/// A service that grew beyond its node runs on as it is; it stops where its room is needed.
#[test]
fn what_has_no_room_as_declared_runs_on_as_it_is() {
    let service = |name: &str, priority: u32, gib: u32| {
        format!(
            "service \"{name}\" {{ image \"{name}:1\"; priority {priority}; \
             resources cpu=1 memory=\"{gib}GiB\" }}\n"
        )
    };
    let mut world = World::of(&["alpha"]);
    world.node("alpha").facts.total_memory_mb = 4096;
    let cluster = |services: &[String]| format!("cluster \"lab\"\n{}", services.concat());
    world.reach(&cluster(&[service("db", 80, 2)]));
    world.options.allow_unplaced = true;
    let grown = service("db", 80, 6);
    let kept = |plan: &Plan| {
        let told = plan.diagnostics.iter().find(|found| found.code == "DN-W0608");
        told.map(|found| found.message.clone())
    };
    let as_it_is = "db[0] keeps running on alpha as it is, not as it is declared: \
                    needs 6GiB of memory, 4GiB free: 2GiB short";
    let alone = world.plan(&cluster(std::slice::from_ref(&grown)));
    assert!(alone.changes.is_empty(), "{}", show(&alone));
    assert_eq!(kept(&alone).as_deref(), Some(as_it_is));
    assert_eq!((alone.placement.kept, alone.placement.evicted), (1, 0));
    let above = world.plan(&cluster(&[grown, service("web", 90, 3)]));
    let evicted = above.changes.iter().find(|change| change.action == Action::Delete).unwrap();
    assert!(evicted.reason.starts_with("it makes room for service.web[0] (priority 90)"));
    assert_eq!(kept(&above), None);
    // Who stays beside it and grew needs its room.
    let both = |first: u32| cluster(&[service("db", 10, 2), service("web", 90, first)]);
    world.reach(&both(1));
    let grown = world.plan(&both(3));
    assert!(grown.changes.iter().any(|change| change.action == Action::Delete), "{}", show(&grown));
    assert_eq!((grown.placement.kept, grown.placement.evicted), (0, 1));
}
