//! Order of input and size of plans.

use std::time::Instant;

use super::World;

/// Twenty services over three nodes, some that depend on others.
fn twenty() -> String {
    let mut text = "cluster \"lab\"\n".to_owned();
    for at in 0..20 {
        let needs = if at > 3 { format!("depends-on \"s{}\"", at % 4) } else { String::new() };
        text += &format!(
            "service \"s{at}\" {{\n    image \"app:{at}\"\n    replicas {}\n    port 80\n    \
             resources cpu=0.1 memory=\"64MiB\"\n    env A=\"b\"\n    {needs}\n}}\n",
            1 + at % 3
        );
    }
    text
}

#[test]
fn the_same_input_in_another_order_gives_the_same_bytes() {
    let mut world = World::of(&["alpha", "beta", "gamma"]);
    world.reach(&twenty());
    let edit = twenty().replace("app:7", "app:8");
    let bytes = |world: &World| serde_json::to_string(&world.plan(&edit)).unwrap();
    let first = bytes(&world);
    world.fleet.nodes.reverse();
    world.fleet.instances.reverse();
    assert_eq!(first, bytes(&world));
    world.fleet.instances.rotate_left(7);
    assert_eq!(first, bytes(&world));
}

#[test]
fn the_id_is_of_all_but_times() {
    let world = World::of(&["alpha", "beta", "gamma"]);
    let plan = world.plan(&twenty());
    let mut later = plan.clone();
    later.placement.seconds = Some(1.5);
    later.created_at = "2027-01-01T00:00:00Z".to_owned();
    assert_eq!(crate::seal(later).id, plan.id);
    let mut other = plan.clone();
    other.changes[0].reason.push('!');
    assert_ne!(crate::seal(other).id, plan.id);
    assert_ne!(world.plan(&twenty().replace("app:7", "app:8")).id, plan.id);
}

/// Prints how long an empty change takes. The bound is generous: this build is not optimised.
#[test]
fn an_empty_change_of_twenty_services_is_quick() {
    let mut world = World::of(&["alpha", "beta", "gamma"]);
    world.reach(&twenty());
    let text = twenty();
    let begin = Instant::now();
    let plan = world.plan(&text);
    let took = begin.elapsed();
    assert!(plan.changes.is_empty());
    println!("20 services, {} instances, nothing to do: {took:?}", plan.unchanged);
    assert!(took.as_millis() < 2000, "{took:?}");
}
