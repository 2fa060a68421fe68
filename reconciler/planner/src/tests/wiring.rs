//! Services that use what others offer: what follows when one of them moves or changes its version.

use devnet_schema::{
    instance::{InstanceSpec, Workload},
    plan::{Action, Plan},
};

use super::{World, show};

/// Databases, a queue, everything that collects from others, and what refers to nothing.
fn file(queue: &str, model: &str, db: &str) -> String {
    // What moves leaves its data, which an operator has to say.
    let leaves = |node: &str| if node == "n1" { "" } else { "leave-data \"n1\";" };
    let (queue_leaves, model_leaves) = (leaves(queue), leaves(model));
    format!(
        r#"
cluster "lab"
service "db" {{ component "postgres" version="{db}"; place {{ pin "n1"; }} }}
service "queue" {{ component "rabbitmq"; {queue_leaves} place {{ pin "{queue}"; }} }}
service "llm" {{ component "ollama"; {model_leaves} place {{ pin "{model}"; }} }}
service "measure" {{ component "prometheus"; place {{ pin "n1"; }} }}
service "charts" {{ component "grafana"; place {{ pin "n1"; }} }}
service "chat" {{ component "open-webui"; place {{ pin "n1"; }} }}
service "proxy" {{ component "traefik"; place {{ pin "n1"; }} }}
service "web" {{ component "nginx"; expose host="www.lab.example"; place {{ pin "n1"; }} }}
service "shop" {{
    image "shop:1"
    env DATABASE_URL="{{{{ service.db.url }}}}" AMQP_URL="{{{{ service.queue.url }}}}"
    place {{ pin "n1"; }}
}}
service "apart" {{ image "apart:1"; place {{ pin "n1"; }} }}
"#
    )
}

fn world() -> World {
    let mut world = World::of(&["n1", "n2"]);
    for name in ["n1", "n2"] {
        world.node(name).facts.total_memory_mb = 64 * 1024;
        world.node(name).facts.cpu_count = 32;
    }
    world
}

fn changed(plan: &Plan) -> Vec<(String, Action)> {
    plan.changes.iter().map(|change| (change.instance.to_string(), change.action)).collect()
}

fn spec<'p>(plan: &'p Plan, id: &str) -> &'p InstanceSpec {
    let mut all = plan.changes.iter().filter_map(|change| change.after.as_deref());
    all.find(|spec| spec.id.to_string() == id).expect("it is planned")
}

/// One that moves is told to exactly those that use it: what measures it, and what talks to it.
#[test]
fn a_service_that_moves_changes_what_refers_to_it_and_nothing_else() {
    let mut world = world();
    world.reach(&file("n1", "n1", "18.6-trixie"));
    let plan = world.plan(&file("n2", "n1", "18.6-trixie"));
    assert!(plan.is_applicable(), "{}", show(&plan));
    let expected =
        [("measure[0]", Action::Update), ("queue[0]", Action::Move), ("shop[0]", Action::Update)];
    let expected = expected.map(|(id, action)| (id.to_owned(), action));
    let mut found = changed(&plan);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, expected, "{}", show(&plan));
    let address = &world.node("n2").facts.ip.clone();
    let url = spec(&plan, "shop[0]").env["AMQP_URL"].to_string();
    assert!(url.starts_with("amqp://app:(sensitive value queue-password v1)@"), "{url}");
    assert!(url.contains(address.as_str()), "{url}");
    let scrape =
        spec(&plan, "measure[0]").files["/etc/prometheus/prometheus.yml"].content.to_string();
    assert!(scrape.contains(&format!("[\"{address}:")), "{scrape}");
}

#[test]
fn a_model_server_that_moves_changes_the_chat_that_uses_it_alone() {
    let mut world = world();
    world.reach(&file("n1", "n1", "18.6-trixie"));
    let plan = world.plan(&file("n1", "n2", "18.6-trixie"));
    let mut found = changed(&plan);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [("chat[0]".to_owned(), Action::Update), ("llm[0]".to_owned(), Action::Move)];
    assert_eq!(found, expected, "{}", show(&plan));
}

/// The version of another kind of data is refused at the service, with what to do.
#[test]
fn a_change_of_version_that_a_component_refuses_is_no_plan() {
    let mut world = world();
    world.reach(&file("n1", "n1", "17"));
    for (version, refused) in [("18.6-trixie", true), ("16", true), ("17.11-bookworm", false)] {
        let plan = world.plan(&file("n1", "n1", version));
        let found: Vec<_> = plan.diagnostics.iter().filter(|it| it.code == "DN-E0627").collect();
        assert_eq!(found.len(), usize::from(refused), "{version}: {}", show(&plan));
        assert_eq!(plan.is_applicable(), !refused);
        if let Some(one) = found.first() {
            assert_eq!(one.at.as_ref().map(|at| at.line), Some(3), "{one}");
            assert!(one.message.contains("from version 17 to"), "{one}");
        }
    }
    let Workload::Container(_) =
        &spec(&world.plan(&file("n1", "n1", "17.11-bookworm")), "db[0]").workload
    else {
        panic!()
    };
}
