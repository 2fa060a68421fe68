//! Compose files, manifests and models, from the files of a repository to a plan.

use devnet_schema::{
    fleet::{Availability, Gpu},
    instance::{InstanceSpec, Workload},
    placement::GpuUse,
    plan::Plan,
};
use expect_test::expect;

use super::{World, load, show};
use crate::unit::Unit;

const SHOP: &str = r#"
cluster "lab" { vars { TAG "1.2"; }; }
service "shop" {
    compose "shop/compose.yml"
    set PASSWORD="{{ secret.db-password }}" HOME_PAGE="{{ service.docs.address }}"
    allow "cap:NET_ADMIN" to="web"
    allow "host-bind:/srv/media"
    depends-on "docs"
}
service "docs" { image "docs:1"; port 80; }
service "report" { image "report:1"; env DB="{{ service.shop-web.address }}"; depends-on "shop"; }
==== shop/compose.yml
services:
  web:
    image: "acme/web:${TAG}"
    command: serve --title "a {{ b }}" ${PASSWORD}
    environment: {DB: "postgres://app:${PASSWORD}@db/app", HOME_PAGE: "${HOME_PAGE}", FORMAT: "{{.Name}}"}
    ports: ["8080:80", "127.0.0.1:9090:9090", "53:53/udp"]
    depends_on: {db: {condition: service_healthy}}
    cap_add: [NET_ADMIN]
    volumes: ["uploads:/uploads", "/srv/media/films:/films:ro", "./site.conf:/etc/site.conf:ro"]
    healthcheck: {test: [CMD, /bin/check], interval: 5s}
    deploy: {resources: {limits: {cpus: "0.5", memory: 64M}}}
  my_db:
    image: postgres:17
    networks: {default: {aliases: [db]}}
    environment: {POSTGRES_PASSWORD_FILE: /run/secrets/password}
    secrets: [password]
    volumes: ["data:/var/lib/postgresql", "uploads:/uploads:ro"]
    deploy: {resources: {reservations: {cpus: "1", memory: 1G}}}
  db: {extends: my_db, scale: 0}
volumes: {data: , uploads: }
secrets: {password: {external: true, name: db-password}}
==== shop/site.conf
{{ not a template }}
"#;

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
    expect![[r#"
        + docs[0] on alpha: it is new
        + report[0] on alpha: it is new
        + shop-my-db[0] on alpha: it is new
        + shop-web[0] on alpha: it is new
          docs[0]/prepare on alpha g1
          docs[0]/start on alpha g1 after docs[0]/prepare
          docs[0]/await-healthy on alpha g1 after docs[0]/start
          report[0]/prepare on alpha g1
          shop-my-db[0]/prepare on alpha g1
          shop-my-db[0]/start on alpha g1 after docs[0]/await-healthy, shop-my-db[0]/prepare
          shop-my-db[0]/await-healthy on alpha g1 after shop-my-db[0]/start
          shop-web[0]/prepare on alpha g1
          shop-web[0]/start on alpha g1 after docs[0]/await-healthy, shop-web[0]/prepare
          shop-web[0]/await-healthy on alpha g1 after shop-web[0]/start
          report[0]/start on alpha g1 after report[0]/prepare, shop-my-db[0]/await-healthy,
                shop-web[0]/await-healthy
          report[0]/await-healthy on alpha g1 after report[0]/start
        4 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&plan));
    let units = ["shop-my-db[0]", "shop-web[0]"].map(|id| Unit::of(spec(&plan, id)).yaml());
    expect![[r#"
        node: alpha
        runtime: docker
        image: postgres:17
        networks:
          default:
            project: shop
            name: default
            aliases:
            - db
            - my_db
        env:
          POSTGRES_PASSWORD_FILE: /run/secrets/password
        files:
          /run/secrets/password:
            mode: '0444'
            content: (sensitive value db-password v3)
        volumes:
          data:
            path: /var/lib/postgresql
            project: shop
          uploads:
            path: /uploads
            project: shop
            read-only: true
        limits:
          cpu: '0'
          memory: 0B
        stop:
          grace: 10s
        node: alpha
        runtime: docker
        image: acme/web:1.2
        command:
        - serve
        - --title
        - a {{ b }}
        - (sensitive value db-password v3)
        networks:
          default:
            project: shop
            name: default
            aliases:
            - web
        host:
          cap-add:
          - NET_ADMIN
          binds:
          - source: /srv/media/films
            path: /films
            read-only: true
        env:
          DB: postgres://app:(sensitive value db-password v3)@db/app
          FORMAT: '{{.Name}}'
          HOME_PAGE: 10.0.0.1:20000
        files:
          /etc/site.conf:
            mode: '0444'
            content: |
              {{ not a template }}
        ports:
          main:
            container: 80
            host: 8080
            bind: 10.0.0.1
            protocol: tcp
          port-53-udp:
            container: 53
            host: 53
            bind: 10.0.0.1
            protocol: udp
          port-9090:
            container: 9090
            host: 9090
            bind: 127.0.0.1
            protocol: tcp
        volumes:
          uploads:
            path: /uploads
            project: shop
        limits:
          cpu: '0.5'
          memory: 64MiB
        health:
          probe: run ["/bin/check"]
          interval: 5s
          timeout: 30s
          retries: 3
          start-period: 0s
        stop:
          grace: 10s
    "#]]
    .assert_eq(&units.concat());
    let nodes: Vec<_> = ["shop-my-db[0]", "shop-web[0]"].map(|id| &spec(&plan, id).node).into();
    assert_eq!(nodes[0], nodes[1], "what shares a network and a volume is together");
}

#[test]
fn a_project_that_is_renamed_keeps_its_volumes() {
    let before = "cluster \"lab\"\nservice \"old\" { compose \"c.yml\"; }\n==== c.yml\nservices: {db: \
                  {image: 'db:1', volumes: ['data:/data']}}\nvolumes: {data: }\n";
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

#[test]
fn manifests_need_a_node_with_kubernetes_and_then_a_driver() {
    let text = "cluster \"lab\"\nservice \"web\" { kubernetes \"k8s/\"; }\nservice \"api\" { image \
                \"api:1\"; }\n==== k8s/web.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n";
    let mut world = World::of(&["alpha", "beta"]);
    let refused = world.plan(text);
    assert!(!refused.is_applicable());
    world.options.allow_unplaced = true;
    let rest = world.reach(text);
    assert_eq!(rest.summary.add, 1);
    let there = Availability { version: Some("1.33".into()), available: true, engine: None };
    world.node("beta").facts.k8s = there;
    let placed = world.plan(text);
    expect![[r#"
        cluster.kdl:2:9: error[DN-E0601]: service `web` does not fit: no node can run it
                (alpha: requires runtime `kubernetes`; beta: requires runtime `kubernetes`)
          help: drop `require runtime=kubernetes` of service web at cluster.kdl:2:9
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
        cluster.kdl:2:28: error[DN-E0512]: `k8s/` cannot be applied: this version of devnet has
                no driver for Kubernetes
          help: leave the service out, or run it as containers: a component, an `image` or a
                `compose` file
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&(show(&refused) + &show(&placed)));
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
    expect![[r#"
        cluster.kdl:2:9: error[DN-E0601]: service `llm` does not fit: no node can run it
                (large: requires gpu-model `one with 46 GiB for `llama3.3:70b``, needs 1 whole
                GPU(s), 0 free; small: requires gpu-model `one with 46 GiB for `llama3.3:70b``,
                needs 1 whole GPU(s), 0 free)
          help: add one node with 1 cpu and 2GiB of memory and a GPU with 24GiB
        0 to add, 0 to change, 0 to destroy, 0 to move, 0 unchanged
    "#]]
    .assert_eq(&show(&nowhere));
    let loaded = load(&text("\"llama3.1:8b\" context=4096", "").replace("memory=\"2GiB\"", ""));
    let service = loaded.desired.unwrap().services.into_values().next().unwrap();
    let gib = service.resources.memory.0 as f64 / f64::from(1 << 30);
    assert!((gib - (2.0 + 4.52 + 0.5 + 1.23)).abs() < 0.05, "without a device: in memory, {gib}");
}
