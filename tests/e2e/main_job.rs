//! The main job on three real Docker hosts: commit a cluster file, and real agents run it; then
//! everything that may go wrong on the way.
//!
//! One test, because one bed serves all of it and each part begins where the one before ended. It
//! knows only what a person sees: the command line, the containers, the services' answers.

use std::{collections::BTreeMap, fs};

use devnet_tests::{
    bed::{self, Bed},
    oracles::{
        Verdict, hold,
        records::{self, Acknowledged, Monotone},
        scene::Scene,
        secrecy::Canary,
        units,
    },
    plane::{PATIENCE, Plane, all_healthy},
    process::{both, run},
    repo::Repo,
    wait::until,
};
use serde_json::Value;

use crate::{by_hand, stack};

/// Looked for wherever it must not be.
const CANARY: &str = "c4n4ry-pa$$w0rd-'\"-{{x}}";

const HOSTS: [u32; 3] = [1, 2, 3];

fn cluster(web_header: &str, mover: &str) -> String {
    format!(
        r##"
cluster "bed" {{
    sync auto=#true prune=#true self-heal=#true
}}

service "db" {{
    component "postgres" version="15"
    set db-name="app" db-user="app"
    secret "password" from="app-db-password"
    resources cpu=0.1 memory="128MiB"
    port 5432 host=15432
    place {{ pin "n1" }}
}}

service "cache" {{
    component "redis" version="7"
    resources cpu=0.1 memory="64MiB"
    port 6379 host=16379
    depends-on "db"
}}

service "web" {{
    image "nginx:1.22"
    replicas 3
    env HEADER="{web_header}" DATABASE_URL="postgres://app@{{{{ service.db.address }}}}/app"
    file "/usr/share/nginx/html/index.html" content="{web_header} from {{{{ node.name }}}}\n"
    port 80 host=8080
    resources cpu=0.05 memory="32MiB"
    health http="/" port=80 interval="1s" retries=10
    place {{ max-per-node 1 }}
}}

service "mover" {{
    image "nginx:1.22"
    port 80 host=8090
    resources cpu=0.05 memory="32MiB"
    health http="/" port=80 interval="1s" retries=10
    place {{ pin "{mover}" }}
}}
"##
    )
}

#[test]
fn a_commit_becomes_running_services_and_stays_them() {
    if !bed::is_ready("the main job") {
        return;
    }
    let bed = Bed::up(3, "10.78.0");
    let repo = Repo::new();
    repo.commit("README.md", "a cluster\n", "begin");
    let mut plane = Plane::start(&bed, &repo);
    for host in HOSTS {
        plane.join(host);
    }
    plane.await_status("three hosts online", |status| nodes_are(status, "online", 3));
    by_hand::a_compose_file_runs_on_the_node_that_was_named(&bed, &plane);
    what_is_not_devnets(&bed);

    plane.devnet_with(&["secret", "set", "app-db-password"], CANARY);
    let mut told = Told::default();
    told.written.wrote("secret", "app-db-password");
    let first = repo.commit("cluster.kdl", &cluster("v1", "n2"), "declare everything");
    plane.await_applied(&first);
    every_service_answers(&bed, "v1");
    nothing_to_do(&plane);
    values_for_other_clusters_are_a_warning(&plane, &first);
    stack::a_stack_keeps_its_data_and_its_network(&bed, &repo, &plane, &cluster("v1", "n2"));

    an_edit_moves_one_service(&bed, &repo, &plane);
    losing_the_database_changes_nothing(&bed, &mut plane, &mut told);
    a_killed_apply_converges(&bed, &repo, &mut plane, &mut told);
    bad_input_changes_nothing(&bed, &repo, &plane);
    a_lost_host_is_unknown_and_nothing_is_pruned(&bed, &mut plane, &mut told);
    hold([records::no_gaps(&plane.events())]);
    the_secret_is_nowhere(&bed, &plane);
}

fn nodes_are(status: &Value, wanted: &str, count: usize) -> Result<(), String> {
    let nodes = status["nodes"].as_array().ok_or("no nodes")?;
    let found = nodes.iter().filter(|node| node["status"] == wanted).count();
    if found == count { Ok(()) } else { Err(format!("{found} of {count} nodes are {wanted}")) }
}

/// What a URL answers, asked from a host.
pub fn fetch(bed: &Bed, from: u32, url: &str) -> Result<String, String> {
    let output = run(bed.on(from, "curl").args(["-fsS", "--max-time", "5", url]));
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(both(&output))
    }
}

/// Every service, asked from a host that does not run it where there is one.
fn every_service_answers(bed: &Bed, version: &str) {
    for host in HOSTS {
        let other = host % 3 + 1;
        let url = format!("http://{}:8080/", bed.addr(host));
        until("web's answer", PATIENCE, || {
            let body = fetch(bed, other, &url)?;
            let wanted = format!("{version} from n{host}");
            if body.contains(&wanted) { Ok(()) } else { Err(format!("{url} says {body}")) }
        });
    }
    let db = bed.addr(1);
    let output = run(bed.on(3, "env").arg(format!("PGPASSWORD={CANARY}")).args([
        "psql",
        "-h",
        &db,
        "-p",
        "15432",
        "-U",
        "app",
        "-d",
        "app",
        "-tAc",
        "select 41 + 1",
    ]));
    assert!(String::from_utf8_lossy(&output.stdout).trim() == "42", "{}", both(&output));
    let answered = HOSTS.iter().any(|host| {
        let ping = format!(
            "exec 3<>/dev/tcp/{}/16379; printf 'PING\\r\\n' >&3; read -r -t 3 a <&3; echo \"$a\"",
            bed.addr(*host)
        );
        let output = run(bed.on(*host % 3 + 1, "bash").args(["-c", &ping]));
        // Nobody set a password, so one was made, and who does not know it is told nothing.
        String::from_utf8_lossy(&output.stdout).contains("NOAUTH")
    });
    assert!(answered, "no redis answered, or one without a password");
}

fn nothing_to_do(plane: &Plane<'_>) {
    hold([records::nothing_to_do(&plane.ok(&["plan", "--no-color"]))]);
}

/// A container, a network and a volume of somebody else, on a host that devnet uses, too.
fn what_is_not_devnets(bed: &Bed) {
    bed.docker(1, &["network", "create", "somebodys"]);
    bed.docker(1, &["volume", "create", "somebodys"]);
    bed.docker(1, &["pull", "-q", "nginx:1.22"]);
    bed.docker(1, &["run", "-d", "--name", "somebodys", "--network", "somebodys", "nginx:1.22"]);
}

/// Everything on all hosts.
fn scene(bed: &Bed) -> Scene {
    let of = |host: u32| {
        Scene::of_engine(&format!("n{host}"), |program, args| bed.ask(host, program, args))
    };
    HOSTS.into_iter().fold(Scene::default(), |all, host| all.and(of(host)))
}

/// What was told so far, and must stand whatever breaks.
#[derive(Default)]
struct Told {
    written: Acknowledged,
    numbers: Monotone,
}

impl Told {
    /// Whatever was acknowledged is still there.
    fn durable(&self, plane: &Plane<'_>) -> [Verdict; 2] {
        let (secrets, keys) =
            (plane.listed("/api/v1/secrets", "name"), plane.listed("/api/v1/apikeys", "name"));
        [self.written.durable("secret", &secrets), self.written.durable("API key", &keys)]
    }
}

/// What a fault may never do, whatever else it does; gives what is there now.
fn nothing_is_lost(bed: &Bed, plane: &Plane<'_>, before: &Scene, told: &mut Told) -> Scene {
    let after = scene(bed);
    hold(told.durable(plane));
    hold([
        units::at_most_one(&after),
        units::foreign_untouched(before, &after),
        units::volumes_kept(before, &after),
        told.numbers.units(before),
        told.numbers.units(&after),
    ]);
    after
}

/// A shared environment may have values for other clusters, whoever reads the file.
fn values_for_other_clusters_are_a_warning(plane: &Plane<'_>, commit: &str) {
    for args in [&["plan", "--no-color"][..], &["plan", "--no-color", "--rev", commit]] {
        let mut command = plane.command(args);
        let output = run(command.env("DEVNET_VAR_of_another", "x"));
        let printed = both(&output);
        assert!(output.status.success() && printed.contains("No changes."), "{printed}");
        assert!(printed.contains("`DEVNET_VAR_of_another` in the environment"), "{printed}");
    }
}

/// Name and id of every container of devnet, on all hosts.
fn containers(bed: &Bed) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for host in HOSTS {
        let list = bed.docker(host, &["ps", "--no-trunc", "--format", "{{.Names}} {{.ID}}"]);
        for line in list.lines() {
            let (name, id) = line.split_once(' ').expect("a name and an id");
            found.insert(format!("n{host}/{name}"), id.to_owned());
        }
    }
    found
}

fn an_edit_moves_one_service(bed: &Bed, repo: &Repo, plane: &Plane<'_>) {
    let before = containers(bed);
    let commit = repo.commit("cluster.kdl", &cluster("v1", "n3"), "move mover to n3");
    plane.await_applied(&commit);
    let after = containers(bed);
    let changed: Vec<&String> = before
        .iter()
        .filter(|(name, id)| after.get(*name) != Some(id))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(changed.len(), 1, "only the mover went away: {changed:?}");
    assert!(changed[0].starts_with("n2/") && changed[0].contains("mover"), "{changed:?}");
    assert_eq!(after.len(), before.len());
    fetch(bed, 1, &format!("http://{}:8090/", bed.addr(3))).expect("the mover answers on n3");
    nothing_to_do(plane);
}

fn losing_the_database_changes_nothing(bed: &Bed, plane: &mut Plane<'_>, told: &mut Told) {
    let before = scene(bed);
    plane.kill();
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let path = plane.data().join(file);
        if path.exists() {
            fs::remove_file(path).expect("the database can be removed");
        }
    }
    assert!(!plane.data().join("state.db").exists());
    plane.boot();
    plane.await_status("three hosts back", |status| {
        nodes_are(status, "online", 3)?;
        all_healthy(status)
    });
    nothing_to_do(plane);
    let after = nothing_is_lost(bed, plane, &before, told);
    hold([units::undisturbed(&before, &after)]);
}

fn a_killed_apply_converges(bed: &Bed, repo: &Repo, plane: &mut Plane<'_>, told: &mut Told) {
    let before = scene(bed);
    // What was acknowledged just before the kill is on disk.
    plane.ok(&["apikey", "create", "ci", "--role", "viewer"]);
    told.written.wrote("API key", "ci");
    let commit = repo.commit("cluster.kdl", &cluster("v2", "n3"), "change every web");
    plane.await_status("an apply under way", |status| {
        let deployment = &status["deployment"];
        let ours = deployment["revision"] == commit.as_str();
        if ours && deployment["state"] == "running" { Ok(()) } else { Err(deployment.to_string()) }
    });
    plane.kill();
    plane.boot();
    plane.await_applied(&commit);
    every_service_answers(bed, "v2");
    nothing_to_do(plane);
    nothing_is_lost(bed, plane, &before, told);
}

/// What a bad commit looks like, and what its error must say.
struct Bad<'a> {
    what: &'a str,
    text: String,
    says: &'a [&'a str],
}

fn bad_commits(good: &str) -> Vec<Bad<'static>> {
    let with = |service: &str| format!("{good}\n{service}\n");
    vec![
        Bad { what: "empty", text: String::new(), says: &["cluster.kdl"] },
        Bad { what: "half-written", text: good[..good.len() / 2].into(), says: &["cluster.kdl:"] },
        Bad { what: "no UTF-8 line", text: "cluster \u{0} {".into(), says: &["cluster.kdl"] },
        Bad {
            what: "an unknown component",
            text: with("service \"x\" { component \"postgrse\" }"),
            says: &["cluster.kdl:", "postgrse", "postgres"],
        },
        Bad {
            what: "a missing secret",
            text: with(
                "service \"x\" {\n    image \"nginx:1.22\"\n    env A=\"{{ secret.no-such }}\"\n}",
            ),
            says: &["cluster.kdl:", "no-such", "devnet secret set"],
        },
        Bad {
            what: "a port conflict",
            text: with(
                "service \"x\" {\n    image \"nginx:1.22\"\n    port 80 host=8090\n    \
                 place { pin \"n3\" }\n}",
            ),
            says: &["cluster.kdl:", "8090"],
        },
    ]
}

fn bad_input_changes_nothing(bed: &Bed, repo: &Repo, plane: &Plane<'_>) {
    let good = cluster("v2", "n3");
    let before = containers(bed);
    for bad in bad_commits(&good) {
        let commit = repo.commit("cluster.kdl", &bad.text, bad.what);
        let status = plane.await_status(&format!("the refusal of: {}", bad.what), |status| {
            let source = &status["source"];
            if source["seen"] == commit.as_str() && !source["problem"].is_null() {
                Ok(())
            } else {
                Err(source.to_string())
            }
        });
        let told = status["source"].to_string();
        for word in bad.says {
            assert!(told.contains(word), "{}: the status says {word}: {told}", bad.what);
        }
        let output = plane.devnet(&["apply", "-auto-approve"]);
        let text = both(&output);
        assert_eq!(output.status.code(), Some(1), "{}: {text}", bad.what);
        for word in bad.says {
            assert!(text.contains(word), "{}: apply says {word}: {text}", bad.what);
        }
        assert_eq!(containers(bed), before, "{} changed something", bad.what);
    }
    an_image_that_cannot_be_pulled(bed, repo, plane, &good);
    let commit = repo.commit("cluster.kdl", &good, "good again");
    plane.await_applied(&commit);
    assert_eq!(containers(bed), before, "the good file changed nothing");
    nothing_to_do(plane);
}

fn an_image_that_cannot_be_pulled(bed: &Bed, repo: &Repo, plane: &Plane<'_>, good: &str) {
    let before = containers(bed);
    let marker = "service \"mover\" {\n    image \"nginx:1.22\"";
    assert!(good.contains(marker));
    let text = good.replace(marker, "service \"mover\" {\n    image \"nginx:no-such-tag\"");
    let commit = repo.commit("cluster.kdl", &text, "an image that is not there");
    let status = plane.await_status("the failed pull", |status| {
        let deployment = &status["deployment"];
        let ours = deployment["revision"] == commit.as_str();
        if ours && deployment["state"] == "failed" { Ok(()) } else { Err(deployment.to_string()) }
    });
    let told = status["deployment"]["errors"].to_string();
    for word in ["mover[0]", "nginx:no-such-tag"] {
        assert!(told.contains(word), "the deployment says {word}: {told}");
    }
    let output = plane.devnet(&["apply", "-auto-approve"]);
    let text = both(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("no-such-tag"), "{text}");
    assert_eq!(containers(bed), before, "the old version keeps serving");
    fetch(bed, 1, &format!("http://{}:8090/", bed.addr(3))).expect("the old mover still answers");
}

fn a_lost_host_is_unknown_and_nothing_is_pruned(bed: &Bed, plane: &mut Plane<'_>, told: &mut Told) {
    let (before, whole) = (containers(bed), scene(bed));
    bed.fault("crash", 2);
    let status = plane.await_status("n2 offline", |status| {
        nodes_are(status, "offline", 1)?;
        let rows = status["services"].as_array().into_iter().flatten();
        let lost: Vec<&Value> = rows
            .flat_map(|service| service["instances"].as_array().into_iter().flatten())
            .filter(|instance| instance["node"] == "n2")
            .collect();
        if !lost.is_empty() && lost.iter().all(|instance| instance["state"] == "unknown") {
            Ok(())
        } else {
            Err("instances on n2 are not unknown yet".to_owned())
        }
    });
    assert_eq!(status["cluster"], "bed");
    let plan = plane.ok(&["plan", "--no-color"]);
    assert!(plan.contains("No changes."), "{plan}");
    assert!(plan.contains("n2 is offline"), "the plan says what is unknown: {plan}");
    let alive = |all: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        all.iter()
            .filter(|(name, _)| !name.starts_with("n2/"))
            .map(|(a, b)| (a.clone(), b.clone()))
            .collect()
    };
    let mut now = BTreeMap::new();
    for host in [1, 3] {
        let list = bed.docker(host, &["ps", "--no-trunc", "--format", "{{.Names}} {{.ID}}"]);
        for line in list.lines() {
            let (name, id) = line.split_once(' ').expect("a name and an id");
            now.insert(format!("n{host}/{name}"), id.to_owned());
        }
    }
    assert_eq!(now, alive(&before), "nothing was pruned or moved");

    bed.fault("boot", 2);
    plane.run_agent(2);
    plane.await_status("n2 back", |status| {
        nodes_are(status, "online", 3)?;
        all_healthy(status)
    });
    every_service_answers(bed, "v2");
    nothing_to_do(plane);
    nothing_is_lost(bed, plane, &whole, told);
}

/// The secret's value is in no file of the control plane or the agents, no log and no label.
fn the_secret_is_nowhere(bed: &Bed, plane: &Plane<'_>) {
    let canary = Canary::new(CANARY);
    let mut texts = vec![
        ("a log".to_owned(), plane.logs()),
        ("a plan".to_owned(), plane.ok(&["plan", "-json", "-replace=service.db[0]"])),
    ];
    for host in HOSTS {
        for id in bed.docker(host, &["ps", "-aq"]).split_whitespace() {
            texts.push((format!("container {id} on n{host}"), bed.docker(host, &["inspect", id])));
        }
    }
    let texts = texts.iter().map(|(name, text)| (name.as_str(), text.as_bytes()));
    hold([canary.absent(texts), canary.absent_below(plane.path())]);
}
