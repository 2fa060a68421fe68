//! What of a service is touched first, what waits for it, and what cannot be reached.

use devnet_schema::{
    fleet::NodeStatus,
    observed::{HealthState, InstanceState},
    plan::Plan,
};

use super::{World, show};

const WEB: &str = r#"
cluster "lab"
service "web" {
    image "web:1"
    replicas 5
    update max-unavailable=2
}
"#;

/// The steps that `id` comes after, directly.
fn after<'p>(plan: &'p Plan, id: &str) -> Vec<&'p str> {
    let step = plan.steps.iter().find(|step| step.id == id).unwrap_or_else(|| panic!("{id}"));
    step.after.iter().map(String::as_str).collect()
}

#[test]
fn what_fails_as_declared_serves_before_what_is_well_is_touched() {
    let mut world = World::of(&["alpha"]);
    world.reach(WEB);
    let bad = WEB.replace("web:1", "web:2");
    let first = world.plan(&bad);
    // Two of five were made anew; one of them serves, the other does not.
    let made = ["web[0]", "web[3]"];
    let steps = first.steps.iter().filter(|step| made.contains(&&*step.instance.to_string()));
    let part = Plan { steps: steps.cloned().collect(), ..first.clone() };
    world.apply(&part);
    let failed = world.seen("web[3]");
    failed.health = HealthState::Unhealthy;
    let plan = world.plan(&bad);
    assert!(plan.is_applicable(), "{}", show(&plan));
    // Both that may be changed next wait for it, though two may be down at once.
    for well in ["web[1]/start", "web[2]/start"] {
        assert!(after(&plan, well).contains(&"web[3]/await-healthy"), "{}", show(&plan));
    }
    assert_eq!(after(&plan, "web[3]/remove"), ["web[3]/prepare"], "{}", show(&plan));
}

/// As when a deployment was cut short and is begun again: it is waited for as it is.
#[test]
fn what_is_starting_as_declared_serves_before_what_is_well_is_touched() {
    let mut world = World::of(&["alpha"]);
    world.reach(WEB);
    let bad = WEB.replace("web:1", "web:2");
    let first = world.plan(&bad);
    let steps = first.steps.iter().filter(|step| step.instance.to_string() == "web[2]");
    world.apply(&Plan { steps: steps.cloned().collect(), ..first.clone() });
    let generation = world.seen("web[2]").generation;
    world.seen("web[2]").health = HealthState::Starting;
    let plan = world.plan(&bad);
    assert!(plan.is_applicable(), "{}", show(&plan));
    let waits: Vec<_> =
        plan.steps.iter().filter(|it| it.instance.to_string() == "web[2]").collect();
    assert_eq!(waits.len(), 1, "{}", show(&plan));
    let told = (waits[0].id.as_str(), waits[0].generation);
    assert_eq!(told, ("web[2]/await-healthy", generation));
    for well in ["web[0]/start", "web[1]/start"] {
        assert!(after(&plan, well).contains(&"web[2]/await-healthy"), "{}", show(&plan));
    }
    // Nothing else changes: nothing is waited for.
    world.seen("web[2]").health = HealthState::Healthy;
    world.apply(&plan);
    world.seen("web[2]").health = HealthState::Starting;
    let plan = world.plan(&bad);
    assert!(plan.steps.is_empty() && plan.changes.is_empty(), "{}", show(&plan));
    // What has failed is made anew, and a change that mends it waits for nothing.
    let mended = world.plan(&WEB.replace("web:1", "web:3"));
    let waits = |step: &&devnet_schema::step::Step| {
        step.instance.to_string() == "web[2]" && step.id.ends_with("/start")
    };
    assert_eq!(mended.steps.iter().filter(waits).count(), 1, "{}", show(&mended));
}

#[test]
fn what_is_new_serves_before_what_is_well_is_touched() {
    let mut world = World::of(&["alpha"]);
    world.reach(&WEB.replace("replicas 5", "replicas 3"));
    let plan = world.reach(&WEB.replace("web:1", "web:2"));
    for well in ["web[0]/start", "web[1]/start"] {
        for new in ["web[3]/await-healthy", "web[4]/await-healthy"] {
            assert!(after(&plan, well).contains(&new), "{}", show(&plan));
        }
    }
}

#[test]
fn what_is_one_too_many_stays_until_those_that_stay_serve() {
    let mut world = World::of(&["alpha"]);
    world.reach(&WEB.replace("update max-unavailable=2", ""));
    let fewer = WEB.replace("update max-unavailable=2", "").replace("replicas 5", "replicas 2");
    let plan = world.reach(&fewer.replace("web:1", "web:2"));
    for surplus in ["web[2]/remove", "web[3]/remove", "web[4]/remove"] {
        assert!(after(&plan, surplus).contains(&"web[1]/await-healthy"), "{}", show(&plan));
    }
    let plan = world.plan(&fewer.replace("replicas 2", "replicas 1").replace("web:1", "web:2"));
    assert!(after(&plan, "web[1]/remove").is_empty(), "{}", show(&plan));
}

#[test]
fn what_cannot_be_reached_is_named_with_what_it_misses() {
    let mut world = World::of(&["alpha", "beta"]);
    let web = WEB.replace("replicas 5", "replicas 2\n    place { max-per-node 1 }");
    world.reach(&web);
    world.lose("beta", NodeStatus::Offline);
    let told = |plan: &Plan| -> Vec<String> {
        let one =
            |it: &devnet_schema::plan::Drift| format!("{} {}: {}", it.instance, it.node, it.what);
        plan.unreached.iter().map(one).collect()
    };
    let same = world.plan(&web);
    assert_eq!(
        told(&same),
        ["web[1] beta: beta is offline; what it was told last is what is declared"]
    );
    assert_eq!(same.missing().len(), 1, "{:?}", same.missing());
    let next = world.plan(&web.replace("web:1", "web:2"));
    assert_eq!(
        told(&next),
        ["web[1] beta: beta is offline; it stays as it is, though the image changed from web:1 \
          to web:2"]
    );
    assert_eq!(next.changes.len(), 1);
    // What the plan is not about is not missed.
    world.options.target = vec!["service.web[0]".to_owned()];
    assert_eq!(told(&world.plan(&web.replace("web:1", "web:2"))), Vec::<String>::new());
    world.options.target.clear();
    world.lose("beta", NodeStatus::Online);
    let seen = world.seen("web[1]");
    (seen.state, seen.health) = (InstanceState::Running, HealthState::Healthy);
    assert_eq!(world.plan(&web).missing(), Vec::<String>::new());
}

#[test]
fn what_is_not_put_right_is_missing() {
    let mut world = World::of(&["alpha"]);
    world.reach(WEB);
    let seen = world.seen("web[4]");
    seen.state = InstanceState::Exited;
    seen.message = Some("exited with code 1".to_owned());
    assert_eq!(world.plan(WEB).missing(), Vec::<String>::new(), "it is made again");
    world.policy.self_heal = false;
    let plan = world.plan(WEB);
    assert!(plan.changes.is_empty());
    assert_eq!(plan.missing(), ["service.web[4] on alpha: exited with code 1"]);
}

#[test]
fn what_is_held_is_left_and_the_rest_goes_on() {
    let mut world = World::of(&["alpha"]);
    let two = format!("{WEB}\nservice \"api\" {{ image \"api:1\"; depends-on \"web\" }}\n");
    world.reach(&two);
    world.policy.held = vec!["web[1]".parse().unwrap(), "web[2]".parse().unwrap()];
    let plan = world.plan(&two.replace("web:1", "web:2").replace("api:1", "api:2"));
    let changed: Vec<String> = plan.changes.iter().map(|it| it.instance.to_string()).collect();
    assert_eq!(changed, ["api[0]", "web[0]", "web[3]", "web[4]"], "{}", show(&plan));
}

#[test]
fn what_is_one_too_many_serves_until_what_is_new_does() {
    let mut world = World::of(&["alpha"]);
    let two = WEB.replace("replicas 5", "replicas 2");
    world.reach(&two);
    world.fleet.instances.retain(|seen| seen.index == 1);
    let plan = world.reach(&two.replace("web:1", "web:2").replace("replicas 2", "replicas 1"));
    assert!(after(&plan, "web[1]/remove").contains(&"web[0]/await-healthy"), "{}", show(&plan));
    // Of many each goes after all that are new, too.
    world.reach(&WEB.replace("replicas 5", "replicas 60").replace("=2", "=1"));
    world.fleet.instances.retain(|seen| seen.index >= 30);
    let plan = world.reach(&WEB.replace("replicas 5", "replicas 30"));
    let place = |id: &str| plan.steps.iter().position(|step| step.id == id).unwrap();
    let last = (0..30).map(|index| place(&format!("web[{index}]/await-healthy"))).max();
    let first = (30..60).map(|index| place(&format!("web[{index}]/remove"))).min();
    assert!(last < first, "{}", show(&plan));
}
