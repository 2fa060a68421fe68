//! Plans that must not be applied, and what they tell people.

use std::collections::BTreeMap;

use devnet_schema::{
    fleet::{Gpu, NodeStatus},
    plan_options::PlanOptions,
};
use expect_test::expect;

use super::{World, show};

#[test]
fn what_does_not_fit_is_an_error_or_waits_with_those_that_need_it() {
    let stack = "cluster \"lab\"\n\
        service \"big\" { image \"big:1\"; resources memory=\"64GiB\" }\n\
        service \"user\" { image \"user:1\"; depends-on \"big\" }\n\
        service \"web\" { image \"web:1\" }\n";
    let mut world = World::of(&["alpha", "beta"]);
    let refused = world.plan(stack);
    assert!(!refused.is_applicable() && refused.steps.is_empty());
    world.options.allow_unplaced = true;
    let rest = world.reach(stack);
    expect![[r#"
        cluster.kdl:2:9: error[DN-E0601]: service `big` does not fit: no node can run it
                (alpha: needs 64GiB of memory, 8GiB free: 56GiB short; beta: needs 64GiB of
                memory, 8GiB free: 56GiB short)
          help: give alpha 56GiB of memory more
        cluster.kdl:3:9: warning[DN-W0606]: service `user` waits: `big` has no node
          help: it is planned as soon as what it depends on has a place
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
        + web[0] on alpha: it is new; as good as any: it reserves no cpu or memory
          web[0]/prepare on alpha g1
          web[0]/start on alpha g1 after web[0]/prepare
          web[0]/await-healthy on alpha g1 after web[0]/start
        cluster.kdl:2:9: warning[DN-W0601]: service `big` does not fit: no node can run it
                (alpha: needs 64GiB of memory, 8GiB free: 56GiB short; beta: needs 64GiB of
                memory, 8GiB free: 56GiB short)
          help: give alpha 56GiB of memory more
        cluster.kdl:3:9: warning[DN-W0606]: service `user` waits: `big` has no node
          help: it is planned as soon as what it depends on has a place
        1 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&(show(&refused) + &show(&rest)));
}

#[test]
fn a_line_is_named_as_the_file_has_it() {
    let mut world = World::of(&["alpha", "beta"]);
    for (name, model) in [("alpha", "GeForce RTX 4090"), ("beta", "Tesla T4")] {
        let device = Gpu { id: name.to_owned(), model: model.to_owned(), mem_mb: 24 << 10 };
        world.node(name).facts.gpus.push(device);
    }
    world.node("alpha").cordoned = true;
    let plan = world.plan(
        "cluster \"lab\"\n\
        service \"llm\" {\n\
            image \"llm:1\"\n\
            resources gpu=1\n\
            place { require gpu-model=\"RTX 4090\" A100 }\n\
        }\n",
    );
    let unplaced = &plan.placement.infeasible[0];
    let line = "require gpu-model=\"RTX 4090\" A100";
    let beta = &unplaced.nodes[1].violations[0];
    assert_eq!((beta.line.as_deref(), beta.at.as_deref()), (Some(line), Some("cluster.kdl:5:9")));
    let texts: Vec<&str> = unplaced.suggestions.iter().map(|it| it.text.as_str()).collect();
    let drop = format!("drop `{line}` of service llm at cluster.kdl:5:9");
    assert_eq!(texts[..2], ["uncordon node alpha", &drop]);
}

#[test]
fn an_empty_configuration_removes_nothing() {
    let mut world = World::of(&["alpha"]);
    let text = "cluster \"lab\"\nservice \"web\" { image \"web:1\" }\n";
    world.reach(text);
    // Validation refuses such a file already; the planner does not rely on it.
    let loaded = super::load(text);
    let mut desired = loaded.desired.unwrap();
    desired.services.clear();
    let plan = crate::plan(&crate::PlanInput {
        desired: &desired,
        catalog: &loaded.catalog,
        fleet: &world.fleet,
        revision: "r1",
        generations: &world.generations,
        options: PlanOptions::default(),
        policy: crate::Policy::default(),
        limits: crate::place::Limits::default(),
        created_at: "",
    });
    expect![[r#"
        error[DN-E0603]: the configuration declares no service
          help: declare one; to remove everything on purpose, use `devnet destroy`
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
}

#[test]
fn a_protected_service_is_not_destroyed() {
    let kept = "cluster \"lab\"\nservice \"db\" { image \"db:1\"; replicas 2; protect }\n";
    let mut world = World::of(&["alpha"]);
    world.reach(kept);
    let fewer = world.plan(&kept.replace("replicas 2", "replicas 1"));
    world.options.destroy = true;
    let all = world.plan(kept);
    assert!(fewer.steps.is_empty() && all.steps.is_empty());
    expect![[r#"
        - db[1] on alpha: replicas is 1 now
        cluster.kdl:2:42: error[DN-E0602]: db[1] would be destroyed (replicas is 1 now), and it
                is protected
          help: undo the change, or remove the `protect` line and commit that first
        0 to add, 0 to change, 1 to destroy, 0 to move, 1 unchanged
        - db[0] on alpha: its destruction was asked for
        - db[1] on alpha: its destruction was asked for
        cluster.kdl:2:42: error[DN-E0602]: db[0] would be destroyed (its destruction was asked
                for), and it is protected
          help: undo the change, or remove the `protect` line and commit that first
        cluster.kdl:2:42: error[DN-E0602]: db[1] would be destroyed (its destruction was asked
                for), and it is protected
          help: undo the change, or remove the `protect` line and commit that first
        0 to add, 0 to change, 2 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&(show(&fewer) + &show(&all)));
}

#[test]
fn a_missing_secret_stops_the_plan_at_its_place() {
    let world = World::of(&["alpha"]);
    let text = "cluster \"lab\"\nservice \"db\" { image \"db:1\"; env PW=\"{{ secret.pw }}\" }\n";
    let plan = world.plan(text);
    assert!(!plan.is_applicable() && plan.changes.is_empty());
    let error = plan.diagnostics.iter().find(|it| it.is_error()).unwrap();
    assert!(error.message.contains("pw"), "{error}");
    assert_eq!(error.at.as_ref().unwrap().line, 2);
}

#[test]
fn addresses_of_nothing_and_other_clusters_are_refused() {
    let mut world = World::of(&["alpha"]);
    let text = "cluster \"lab\"\nservice \"db\" { image \"db:1\" }\n";
    world.options.target = vec!["service.dbb".to_owned(), "node.beta".to_owned()];
    let unknown = world.plan(text);
    world.options.target = vec![];
    world.fleet.cluster = Some("home".parse().unwrap());
    let other = world.plan(text);
    expect![[r#"
        error[DN-E0604]: -target: there is no node.beta
          help: write an address like service.db, service.api[2] or node.atlas
        error[DN-E0604]: -target: there is no service.dbb
          help: write an address like service.db, service.api[2] or node.atlas
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
        error[DN-E0606]: the configuration is of cluster `lab`, the fleet is of cluster `home`
          help: plan against the fleet of the same cluster, or correct the name in the file
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&(show(&unknown) + &show(&other)));
}

#[test]
fn a_moved_basis_names_what_moved_and_ignores_what_moves_by_itself() {
    let mut world = World::of(&["alpha", "beta"]);
    world.secret("pw", 1);
    let text = "cluster \"lab\"\nservice \"db\" { image \"db:1\"; env PW=\"{{ secret.pw }}\" }\n";
    let basis = world.reach(text).basis;
    let moved = |world: &World| basis.moved(&world.plan(text).basis);
    // The first plan was made before anything ran.
    let ran = world.plan(text).basis;
    assert_eq!(moved(&world), ["what runs"]);
    let moved = |world: &World| ran.moved(&world.plan(text).basis);
    world.node("alpha").last_seen = "2026-11-22T12:00:05Z".to_owned();
    world.node("alpha").facts.disks[0].free_mb -= 10;
    world.node("alpha").facts.ports_in_use = vec![45_123];
    world.seen("db[0]").message = Some("up for 5 s".to_owned());
    assert_eq!(moved(&world), Vec::<&str>::new());
    world.secret("pw", 2);
    world.secret("other", 7);
    assert_eq!(moved(&world), ["the secrets"]);
    world.node("beta").status = NodeStatus::Offline;
    assert_eq!(moved(&world), ["the nodes", "the secrets"]);
    let loaded = super::load(text);
    let input = crate::PlanInput {
        desired: loaded.desired.as_ref().unwrap(),
        catalog: &loaded.catalog,
        fleet: &world.fleet,
        revision: "r2",
        generations: &BTreeMap::new(),
        options: PlanOptions::default(),
        policy: crate::Policy::default(),
        limits: crate::place::Limits::default(),
        created_at: "",
    };
    let now = crate::basis_now(&ran, &input);
    assert_eq!(ran.moved(&now), ["the configuration", "the nodes", "the secrets"]);
}
