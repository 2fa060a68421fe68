//! Renames that lead nowhere, and those that nobody wrote.

use devnet_schema::{
    fleet::NodeStatus,
    observed::{HealthState, InstanceState},
    plan::{Action, Plan},
};

use super::World;

fn file(name: &str, more: &str) -> String {
    format!(
        "cluster \"lab\"\n{more}\n\
         service \"{name}\" {{ image \"db:1\"; volume \"data\" at=\"/d\" }}\n"
    )
}

fn told<'p>(plan: &'p Plan, code: &str) -> Vec<(Option<u32>, &'p str, Option<&'p str>)> {
    let found = plan.diagnostics.iter().filter(|it| it.code == code);
    found
        .map(|it| (it.at.as_ref().map(|at| at.line), it.message.as_str(), it.help.as_deref()))
        .collect()
}

#[test]
fn a_rename_of_a_name_that_nothing_has_is_told_with_what_was_meant() {
    let mut world = World::of(&["n1"]);
    world.reach(&file("store", ""));
    let plan = world.plan(&file("keep", "moved from=\"stor\" to=\"keep\""));
    let found = told(&plan, "DN-W0623");
    assert_eq!(
        found,
        [(
            Some(2),
            "nothing called `stor` runs or has data, so nothing is renamed",
            Some("did you mean `store`?")
        )]
    );
    // One that was done is no mistake, nor is one on its way.
    let right = file("keep", "moved from=\"store\" to=\"keep\"");
    let plan = world.reach(&right);
    assert!(told(&plan, "DN-W0623").is_empty() && told(&plan, "DN-W0624").is_empty());
    assert!(told(&world.plan(&right), "DN-W0623").is_empty());
}

#[test]
fn a_second_rename_finds_what_the_first_one_did_not_reach() {
    let mut world = World::of(&["n1", "n2"]);
    world.reach(&file("store", "node \"n2\" { cordon; }"));
    world.lose("n1", NodeStatus::Lost);
    let first = "moved from=\"store\" to=\"keep\"";
    assert!(world.plan(&file("keep", first)).changes.is_empty(), "its node is away");
    let both = file("last", &format!("{first}\nmoved from=\"keep\" to=\"last\""));
    let plan = world.plan(&both);
    assert!(plan.changes.is_empty(), "{}", super::show(&plan));
    assert!(told(&plan, "DN-W0623").is_empty(), "{}", super::show(&plan));
    world.node("n1").status = NodeStatus::Online;
    let unit = world.seen("store[0]");
    (unit.state, unit.health) = (InstanceState::Running, HealthState::Healthy);
    world.reach(&both);
    assert_eq!(world.fleet.instances.len(), 1);
    assert_eq!(world.seen("last[0]").node.as_str(), "n1");
    assert!(world.disk.separations.is_empty(), "{:?}", world.disk.separations);
    assert!(told(&world.plan(&both), "DN-W0623").is_empty(), "both are done");
}

#[test]
fn a_volume_that_is_called_otherwise_or_left_out_is_told() {
    let mut world = World::of(&["n1"]);
    world.reach(&file("store", ""));
    let message = |file: &str, world: &World| {
        let plan = world.plan(file);
        let found = told(&plan, "DN-W0626");
        found.iter().map(|(line, text, _)| (*line, (*text).to_owned())).collect::<Vec<_>>()
    };
    let other = file("store", "").replace("\"data\"", "\"files\"");
    let goes_on = "store[0] goes on without volume `data` at `/d`, where it has `files` now";
    assert_eq!(message(&other, &world), [(Some(3), goes_on.to_owned())]);
    world.reach(&other);
    assert_eq!(message(&other, &world), [], "it is told once");
    let elsewhere = other.replace("\"/d\"", "\"/e\"");
    assert_eq!(message(&elsewhere, &world), [], "it has its data there");
    let none = file("store", "").replace("; volume \"data\" at=\"/d\"", "");
    let goes_on = "store[0] goes on without volume `files` at `/d`".to_owned();
    assert_eq!(message(&none, &world), [(Some(3), goes_on)]);
    // A rename with `moved` keeps the volume.
    let renamed = other.replace("\"store\"", "\"keep\"") + "moved from=\"store\" to=\"keep\"\n";
    assert_eq!(message(&renamed, &world), []);
}

#[test]
fn what_looks_like_a_rename_and_loses_the_data_names_the_line_to_write() {
    let mut world = World::of(&["n1"]);
    world.reach(&file("store", ""));
    let plan = world.plan(&file("keep", ""));
    let actions: Vec<Action> = plan.changes.iter().map(|change| change.action).collect();
    assert_eq!(actions, [Action::Create, Action::Delete]);
    let found = told(&plan, "DN-W0624");
    assert_eq!(found.len(), 1, "{found:?}");
    let help = found[0].2.unwrap();
    assert!(help.contains("`moved from=\"store\" to=\"keep\"`"), "{help}");
    let other = file("keep", "").replace("db:1", "cache:1");
    assert!(told(&world.plan(&other), "DN-W0624").is_empty(), "it is something else");
}

#[test]
fn a_name_that_was_renamed_away_is_not_given_to_another_that_would_have_its_data() {
    let mut world = World::of(&["n1", "n2"]);
    world.reach(&file("store", ""));
    world.reach(&file("keep", "moved from=\"store\" to=\"keep\""));
    let again = "service \"store\" { image \"db:1\"; volume \"data\" at=\"/d\" }";
    for waits in [false, true] {
        if waits {
            world.fleet.instances.clear();
        }
        let plan = world.plan(&file("keep", again));
        assert_eq!(
            told(&plan, "DN-E0625"),
            [(
                Some(2),
                "`keep` goes on with volume `data` of what was called `store` before, and a \
                 service `store` would have the same volume",
                Some("give this service a name that had no data before, not `store`")
            )]
        );
        assert!(plan.steps.is_empty());
    }
    // Nor has it anything of it without that volume.
    for free in [again.replace("data", "logs"), again.replace("volume \"data\" at=\"/d\"", "")] {
        assert!(told(&world.plan(&file("keep", &free)), "DN-E0625").is_empty());
    }
    // Nor may it when the other is not wanted any more: its data stays.
    world.fleet.instances.clear();
    assert_eq!(told(&world.plan(&file("store", "")), "DN-E0625").len(), 1);
    let stopped = file("keep", again).replacen("image", "replicas 0; image", 2);
    let stopped = stopped.replacen("replicas 0; ", "", 1);
    assert_eq!(told(&world.plan(&stopped), "DN-E0625").len(), 1, "{stopped}");
    // Who goes back to the old name goes on with its data.
    let back = world.reach(&file("store", "moved from=\"keep\" to=\"store\""));
    assert!(told(&back, "DN-E0625").is_empty(), "{}", super::show(&back));
    assert!(world.disk.separations.is_empty());
}

#[test]
fn a_project_that_was_renamed_keeps_its_volumes_from_another_of_the_old_name() {
    let stack = |names: &[&str], more: &str| {
        let compose = |name: &&str| format!("service \"{name}\" {{ compose \"stack.yaml\"; }}\n");
        let all: String = names.iter().map(compose).collect();
        format!(
            "cluster \"lab\"\n{all}{more}\n==== stack.yaml\nservices:\n  web:\n    \
             image: web:1\n    \
             volumes: [data:/d]\n  db:\n    image: db:1\n    volumes: [data:/d]\nvolumes:\n  \
             data: {{}}\n"
        )
    };
    let mut world = World::of(&["n1"]);
    world.reach(&stack(&["shop"], ""));
    world.reach(&stack(
        &["store"],
        "moved from=\"shop-web\" to=\"store-web\"\nmoved from=\"shop-db\" to=\"store-db\"",
    ));
    assert!(world.disk.separations.is_empty());
    for names in [&["store", "shop"][..], &["shop"]] {
        let plan = world.plan(&stack(names, ""));
        let found = told(&plan, "DN-E0625");
        assert!(!found.is_empty(), "{}", super::show(&plan));
        assert!(found[0].1.contains("volume `data` of what was called `shop` before"), "{found:?}");
    }
    assert!(told(&world.plan(&stack(&["store"], "")), "DN-E0625").is_empty());
}
