//! Compose files, manifests and models, from the files of a repository to a plan.

use devnet_schema::{
    fleet::{Availability, Gpu},
    instance::{InstanceSpec, VolumeSpec, Workload},
    placement::GpuUse,
    plan::Plan,
};
use expect_test::expect_file;

use super::{World, load, show};
use crate::unit::Unit;

const SHOP: &str = include_str!("golden/forms-in1.kdl");

fn specs(plan: &Plan) -> Vec<&InstanceSpec> {
    plan.changes.iter().filter_map(|change| change.after.as_deref()).collect()
}

fn spec<'a>(plan: &'a Plan, id: &str) -> &'a InstanceSpec {
    specs(plan).into_iter().find(|spec| spec.id.to_string() == id).expect("it is planned")
}

#[test]
fn a_compose_file_is_planned_container_by_container_on_one_node() {
    let mut world = World::of(&["alpha", "beta", "gamma"]);
    world.secret("db-password", 3);
    let plan = world.reach(SHOP);
    expect_file!["golden/forms-1.txt"].assert_eq(&show(&plan));
    let units = ["shop-my-db[0]", "shop-web[0]"].map(|id| Unit::of(spec(&plan, id)).yaml());
    expect_file!["golden/forms-2.txt"].assert_eq(&units.concat());
    let nodes: Vec<_> = ["shop-my-db[0]", "shop-web[0]"].map(|id| &spec(&plan, id).node).into();
    assert_eq!(nodes[0], nodes[1], "what shares a network and a volume is together");
}

#[test]
fn a_project_that_is_renamed_keeps_its_volumes() {
    let before = "cluster \"lab\"\nservice \"old\" { compose \"c.yml\"; }\n==== c.yml\nservices: \
                  {db: {image: 'db:1', volumes: ['data:/data']}}\nvolumes: {data: }\n";
    let mut world = World::of(&["alpha"]);
    world.reach(before);
    let moved =
        before.replace("service \"old\"", "moved from=\"old-db\" to=\"new-db\"\nservice \"new\"");
    let plan = world.reach(&moved);
    let volume = &spec(&plan, "new-db[0]").volumes[0];
    assert_eq!(volume.project.as_ref().map(|name| name.as_str()), Some("old"), "{}", show(&plan));
    let later = before.replace("\"old\"", "\"new\"");
    assert!(world.plan(&later).changes.is_empty(), "what runs says whose volumes they are");
}

/// The volumes of a plan's instance, as project (or whose) and name.
fn volumes(plan: &Plan, id: &str) -> Vec<String> {
    let all = spec(plan, id).volumes.iter();
    let owner = |it: &VolumeSpec| match (&it.project, &it.data_of) {
        (Some(project), _) => project.to_string(),
        (None, Some(id)) => id.to_string(),
        (None, None) => "its own".to_owned(),
    };
    all.map(|it| format!("{} {}", owner(it), it.name)).collect()
}

/// A Compose service, `data` among its volumes.
fn stack(name: &str, services: &str, more: &str) -> String {
    format!(
        "cluster \"lab\"\n{more}service \"{name}\" {{ compose \"c.yml\"; }}\n==== c.yml\n\
         services: {{{services}}}\nvolumes: {{data: }}\n"
    )
}

const A: &str = "a: {image: 'a:1', volumes: ['data:/data', '/own/x']}";

#[test]
fn a_project_keeps_its_volumes_when_nothing_of_it_runs() {
    let moved = "moved from=\"st1-a\" to=\"st2-a\"\n";
    let kept = ["st1 data", "st1 a.own-x"];
    let mut world = World::of(&["alpha"]);
    world.reach(&stack("st1", A, ""));
    world.reach(&stack("st2", A, moved));
    // Its container was removed by hand, with the line and long after it is gone.
    for more in [moved, ""] {
        world.fleet.instances.clear();
        let plan = world.reach(&stack("st2", A, more));
        assert_eq!(plan.summary.add, 1, "{}", show(&plan));
        assert_eq!(volumes(&plan, "st2-a[0]"), kept);
    }
    // Who comes to share a volume comes to the same.
    let b = format!("{A}, b: {{image: 'b:1', volumes: ['data:/more']}}");
    let plan = world.reach(&stack("st2", &b, ""));
    assert_eq!(volumes(&plan, "st2-b[0]"), ["st1 data"], "{}", show(&plan));
    // Nothing is on record, and the line says where to look.
    let world = World::of(&["alpha"]);
    let plan = world.plan(&stack("st2", A, moved));
    assert_eq!(volumes(&plan, "st2-a[0]"), kept);
    let plan = world.plan(&stack("st2", A, ""));
    assert_eq!(volumes(&plan, "st2-a[0]"), ["st2 data", "st2 a.own-x"]);
}

#[test]
fn a_compose_service_that_is_renamed_keeps_the_volume_that_nobody_named() {
    let mut world = World::of(&["alpha"]);
    world.reach(&stack("st", A, ""));
    let other = A.replace("a: {", "z: {");
    let moved = "moved from=\"st-a\" to=\"st-z\"\n";
    let plan = world.reach(&stack("st", &other, moved));
    assert_eq!(volumes(&plan, "st-z[0]"), ["st data", "st a.own-x"], "{}", show(&plan));
    let later = world.plan(&stack("st", &other, ""));
    assert!(later.changes.is_empty(), "{}", show(&later));
}

#[test]
fn a_service_that_leaves_its_compose_file_keeps_its_volume() {
    let mut world = World::of(&["alpha"]);
    world.reach(&stack("st", "a: {image: 'a:1', volumes: ['data:/data']}", ""));
    let alone =
        "cluster \"lab\"\nservice \"st-a\" { image \"a:1\"; volume \"data\" at=\"/data\"; }";
    let plan = world.reach(alone);
    assert_eq!(volumes(&plan, "st-a[0]"), ["st data"], "{}", show(&plan));
}

#[test]
fn manifests_need_a_node_with_kubernetes_and_then_a_driver() {
    let text = "cluster \"lab\"\nservice \"web\" { kubernetes \"k8s/\"; }\nservice \"api\" { image \
                \"api:1\"; }\n==== k8s/web.yaml\napiVersion: v1\nkind: ConfigMap\n\
                metadata: {name: web}\n";
    let mut world = World::of(&["alpha", "beta"]);
    let refused = world.plan(text);
    assert!(!refused.is_applicable());
    world.options.allow_unplaced = true;
    let rest = world.reach(text);
    assert_eq!(rest.summary.add, 1);
    let there = Availability { version: Some("1.33".into()), available: true, engine: None };
    world.node("beta").facts.k8s = there;
    let placed = world.plan(text);
    expect_file!["golden/forms-3.txt"].assert_eq(&(show(&refused) + &show(&placed)));
}

#[test]
fn a_model_goes_where_a_device_holds_it() {
    let gpu = |id: &str, mem_mb: u64| Gpu { id: id.into(), model: format!("G{mem_mb}"), mem_mb };
    let mut world = World::of(&["small", "large"]);
    world.node("small").facts.gpus = vec![gpu("GPU-s", 8 * 1024)];
    world.node("large").facts.gpus = vec![gpu("GPU-l", 24 * 1024), gpu("GPU-m", 4 * 1024)];
    let text = |model: &str, resources: &str| {
        format!(
            "cluster \"lab\"\nservice \"llm\" {{ component \"ollama\"; model {model}; resources \
             cpu=1 memory=\"2GiB\" disk=\"20GiB\" {resources}; }}\n"
        )
    };
    // 8B in 8 bits with 8k of context takes 10.4 GiB: only one device has that.
    let plan = world.reach(&text("\"llama3.1:8b-instruct-q8_0\" context=8192", "gpu=1"));
    let unit = spec(&plan, "llm[0]");
    assert_eq!(unit.node.as_str(), "large");
    assert_eq!(unit.gpus.iter().map(|gpu: &GpuUse| gpu.id.as_str()).collect::<Vec<_>>(), ["GPU-l"]);
    let Workload::Container(_) = &unit.workload else { panic!("{unit:?}") };
    assert_eq!(unit.env["OLLAMA_CONTEXT_LENGTH"].to_string(), "8192");
    let nowhere = world.plan(&text("\"llama3.3:70b\"", "gpu=1"));
    expect_file!["golden/forms-4.txt"].assert_eq(&show(&nowhere));
    world.node("large").facts.gpus.push(gpu("GPU-n", 47 * 1024));
    let there = world.plan(&text("\"llama3.3:70b\"", "gpu=1"));
    assert!(there.is_applicable(), "what was advised is enough: {}", show(&there));
    let loaded = load(&text("\"llama3.1:8b\" context=4096", "").replace("memory=\"2GiB\"", ""));
    let service = loaded.desired.unwrap().services.into_values().next().unwrap();
    let gib = service.resources.memory.0 as f64 / f64::from(1 << 30);
    assert!((gib - (2.0 + 4.52 + 0.5 + 1.23)).abs() < 0.05, "without a device: in memory, {gib}");
}

#[test]
fn whoever_lives_in_the_network_of_another_follows_it() {
    let file = "cluster \"lab\"\nservice \"dl\" { compose \"c.yml\"; }\n==== c.yml\nservices:\n  \
                vpn: {image: 'vpn:1'}\n  get: {image: 'get:1', network_mode: 'service:vpn'}\n";
    let mut world = World::of(&["alpha", "beta"]);
    let plan = world.reach(file);
    let (vpn, get) = (spec(&plan, "dl-vpn[0]"), spec(&plan, "dl-get[0]"));
    assert_eq!(vpn.node, get.node);
    let Workload::Container(container) = &get.workload else { panic!("{get:?}") };
    assert_eq!(container.shares[0].with, vpn.id);
    assert_eq!(container.shares[0].digest, vpn.digest());
    let start = |id: &str| plan.steps.iter().position(|it| it.id == format!("{id}/start"));
    assert!(start("dl-vpn[0]") < start("dl-get[0]"), "{}", show(&plan));
    let plan = world.reach(&file.replace("vpn:1", "vpn:2"));
    let reasons: Vec<_> = plan.changes.iter().map(|change| change.reason.as_str()).collect();
    let anew = "the network of dl-vpn[0], which it lives in, is made anew";
    assert_eq!(reasons, [anew, "the image changed from vpn:1 to vpn:2"], "{}", show(&plan));
    // Its node saw that the other one was started again.
    let seen = world.seen("dl-get[0]");
    let mut alone = seen.spec.as_deref().unwrap().clone();
    if let Workload::Container(container) = &mut alone.workload {
        container.shares.clear();
    }
    seen.digest = alone.digest();
    seen.spec = Some(Box::new(alone));
    let plan = world.reach(&file.replace("vpn:1", "vpn:2"));
    assert_eq!(plan.changes.len(), 1, "{}", show(&plan));
    assert!(plan.changes[0].reason.contains("is new to it"), "{}", plan.changes[0].reason);
}
