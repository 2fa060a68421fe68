//! Commands that wait or ask before they do something: the real program against a control plane in
//! this process.

mod harness;

use devnet_schema::fleet::FleetSnapshot;
use harness::{Agent, Plane, config, lab::Lab, program::Devnet, until};
use reqwest::Method;

const CLUSTER: &str = r#"
cluster "lab" { sync auto=#true; }
service "db" {
    process "db"
    volume "data" at="data"
    protect
    resources cpu=0.5 memory="64MiB"
}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_waits_its_turn_while_others_are_made() {
    let lab = Lab::by_hand().await;
    let plane = &lab.plane;
    lab.write(CLUSTER);
    let permits: Vec<_> = std::iter::from_fn(|| plane.running.plane().plan_permit()).collect();
    assert!(!permits.is_empty());
    let mut command = lab.devnet(&["plan", "--no-color"]);
    // It was answered 429, and comes again.
    command.says("Other plans are being made").await;
    assert_eq!(command.child.try_wait().unwrap(), None);
    drop(permits);
    let (status, printed) = command.ended().await;
    assert!(status.success() && printed.contains("Plan: 1 to add"), "{printed}");
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_in_use_is_removed_only_by_who_says_so_and_nothing_there_is_forgotten() {
    let (mut lab, repository) = Lab::following().await;
    lab.plane.applied(&repository.commit(CLUSTER)).await;

    let mut refused = lab.devnet(&["node", "rm", "n1"]);
    let (status, printed) = refused.ended().await;
    assert!(!status.success() && printed.is_empty(), "{printed}");
    for part in [
        "n1 is in use, and nobody is here to ask",
        "its agent is connected",
        "db[0] is there, is protected",
        "the data of db[0] (data) is there, and would stay there",
        "-auto-approve",
    ] {
        refused.says(part).await;
    }
    let answer = lab.plane.request(Method::DELETE, "/api/v1/nodes/n1").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 409, "a program is asked, too");
    assert_eq!(lab.plane.status().await.nodes.len(), 1);
    // One that is away is in use all the same.
    lab.agent.cut();
    lab.agent.status(&lab.plane, "offline").await;
    let mut refused = lab.devnet(&["node", "rm", "n1"]);
    assert!(!refused.ended().await.0.success());
    refused.says("db[0] is there, is protected").await;

    let mut removal = lab.devnet(&["node", "rm", "n1", "-auto-approve"]);
    let (status, printed) = removal.ended().await;
    assert!(status.success() && printed == "n1 is removed\n", "{printed}");
    let fleet: FleetSnapshot = lab.plane.get("/api/v1/fleet").await;
    assert!(fleet.nodes.is_empty());
    let db = "db[0]".parse().unwrap();
    assert_eq!(fleet.protected, [db], "it stays protected");
    let places: Vec<String> = fleet.data.iter().map(|it| it.node.to_string()).collect();
    assert_eq!(places, ["n1"], "and its data stays where it is");

    // What nobody would miss is removed at once.
    Agent::register(&lab.plane, "n2").await;
    let mut removal = lab.devnet(&["node", "rm", "n2"]);
    assert!(removal.ended().await.0.success());
    lab.plane.stop().await;
}

const BY_HAND: &str = r#"
cluster "lab" { sync auto=#false; }
service "web" { process "web"; resources cpu=0.5 memory="64MiB"; }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apply_with_nothing_to_change_waits_for_health_and_for_no_deployment() {
    let lab = Lab::by_hand().await;
    let (plane, agent) = (&lab.plane, &lab.agent);
    lab.write(BY_HAND);
    let apply = ["apply", "-auto-approve", "--no-color"];
    // The wait for its health is never answered: the deployment goes on, and nothing is to be done.
    agent.machine().hanging.insert("web[0]/await-healthy".to_owned());
    let mut first = lab.devnet(&apply);
    until("it was started", || async { (!agent.machine().units.is_empty()).then_some(()) }).await;
    agent.report().await;
    until("it is seen", || async {
        (plane.status().await.services.first()?.healthy == 1).then_some(())
    })
    .await;
    let mut second = lab.devnet(&apply);
    let (status, _) = second.ended().await;
    assert!(!status.success());
    second.says("is running: wait for its end and apply again").await;
    let running = plane.status().await.deployment.unwrap().id;
    let cancel = format!("/api/v1/deployments/{running}/cancel");
    plane.request(Method::POST, &cancel).send().await.unwrap();
    assert!(!first.ended().await.0.success());

    agent.machine().warming_up = true;
    agent.report().await;
    until("it has no health yet", || async {
        (plane.status().await.services.first()?.healthy == 0).then_some(())
    })
    .await;
    let mut waiting = lab.devnet(&apply);
    waiting.says("Waiting until it is healthy: service.web[0] on n1: it is not healthy yet").await;
    assert_eq!(waiting.child.try_wait().unwrap(), None);
    agent.machine().warming_up = false;
    agent.report().await;
    let (status, printed) = waiting.ended().await;
    assert!(status.success() && printed.contains("Apply complete!"), "{printed}");
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_keys_and_cordons_say_what_they_are_good_for() {
    let lab = Lab::by_hand().await;
    let devnet = |args: &[&str]| lab.devnet(args);
    let mut long = devnet(&["node", "token", "--ttl", "30d"]);
    assert!(!long.ended().await.0.success());
    long.says("good for seven days at most").await;
    let mut bound = devnet(&["node", "token", "--ttl", "7d", "--node", "n2", "--replace"]);
    assert!(bound.ended().await.0.success());
    bound.says(" --name n2 --replace --token-file -").await;

    assert!(devnet(&["apikey", "create", "ci", "--role", "viewer"]).ended().await.0.success());
    let mut by_name = devnet(&["apikey", "rm", "ci"]);
    assert!(!by_name.ended().await.0.success());
    by_name.says("`ci` is the name of a key, and no id").await;
    by_name.says("devnet apikey rm ").await;

    assert!(devnet(&["node", "cordon", "n1"]).ended().await.0.success());
    let (_, shown) = devnet(&["get", "nodes"]).ended().await;
    assert!(shown.contains("online, cordoned"), "{shown}");
    let (_, shown) = devnet(&["get", "nodes", "-json"]).ended().await;
    assert!(shown.contains("\"cordoned\":true"), "{shown}");
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_serve_writes_into_a_file_has_no_colours() {
    let dir = tempfile::tempdir().unwrap();
    let plane = Plane::start(config(&dir.path().join("other"), None)).await;
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let args = ["serve", "--cluster", "lab", "--listen", "127.0.0.1:0", "--data-dir", data];
    let mut serving = Devnet::start(&plane, dir.path(), &args);
    serving.says("devnet serves https://").await;
    serving.child.kill().unwrap();
    serving.child.wait().unwrap();
    let said = serving.said();
    assert!(said.contains("the control plane listens") && !said.contains('\u{1b}'), "{said:?}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apply_of_what_the_source_declares_removes_the_rest_and_a_destroy_is_refused() {
    let (lab, repository) = Lab::following().await;
    let (plane, agent) = (&lab.plane, &lab.agent);
    let one = "cluster \"lab\" { sync auto=#true; }\nservice \"a\" { process \"a\"; }\n";
    plane.applied(&repository.commit(&format!("{one}service \"b\" {{ process \"b\"; }}\n"))).await;
    plane.applied(&repository.commit(one)).await;
    let there = |id: &str| agent.machine().units.contains_key(&id.parse().unwrap());
    assert!(there("a[0]") && there("b[0]"), "the loop prunes nothing here");
    lab.write(one);
    let mut destroy = lab.devnet(&["destroy", "-auto-approve"]);
    assert!(!destroy.ended().await.0.success());
    destroy.says("applies it by itself").await;
    let mut apply = lab.devnet(&["apply", "-auto-approve"]);
    let (status, printed) = apply.ended().await;
    assert!(status.success(), "{printed}");
    assert!(there("a[0]") && !there("b[0]"), "what nobody declares is removed by hand");
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_tells_what_was_changed_by_which_commit() {
    let (lab, repository) = Lab::following().await;
    let web = "service \"web\" { process \"web\"; resources cpu=0.5 memory=\"64MiB\"; }\n";
    let first = repository.commit(CLUSTER);
    lab.plane.applied(&first).await;
    let second = repository.commit(&format!("{CLUSTER}{web}"));
    lab.plane.applied(&second).await;
    let history = async |args: &[&str]| {
        let all: Vec<&str> = ["history"].iter().chain(args).copied().collect();
        let (status, printed) = lab.devnet(&all).ended().await;
        assert!(status.success(), "{printed}");
        printed
    };
    let all = history(&[]).await;
    let rows: Vec<&str> = all.lines().skip(1).collect();
    assert_eq!(rows.len(), 2, "{all}");
    assert!(rows[0].contains(&second[..12]) && rows[0].contains("succeeded"), "{all}");
    assert!(rows[1].contains(&first[..12]) && rows[1].contains("+1 ~0 -0"), "{all}");
    let of_db = history(&["db", "-json"]).await;
    let rows: serde_json::Value = serde_json::from_str(&of_db).unwrap();
    let revisions: Vec<&str> =
        rows.as_array().unwrap().iter().filter_map(|row| row["revision"].as_str()).collect();
    assert_eq!(revisions, [first.as_str()], "the second changed nothing of db");
    assert!(rows[0]["author"].is_string() && rows[0]["seconds"].is_number(), "{of_db}");
    assert_eq!(history(&["nothing"]).await, "Nothing of nothing was changed so far.\n");
    let described = async |args: &[&str]| {
        let all: Vec<&str> = ["describe"].iter().chain(args).copied().collect();
        lab.devnet(&all).ended().await
    };
    for (args, parts) in [
        (["service", "web"], ["desired: 1", "Events, the newest first:"]),
        (["instance", "db[0]"], ["state: running", "service.db[0]"]),
        (["node", "n1"], ["cpu_count: ", "name: n1"]),
    ] {
        let (status, printed) = described(&args).await;
        assert!(status.success() && parts.iter().all(|it| printed.contains(it)), "{printed}");
    }
    let (status, printed) = described(&["service", "nothing"]).await;
    assert!(!status.success() && printed.is_empty(), "{printed}");
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_suspended_stays_as_it_is_and_the_rest_goes_on() {
    let (lab, repository) = Lab::following().await;
    let file = |db: &str, web: &str| {
        let web = format!(
            "service \"web\" {{ process \"{web}\"; resources cpu=0.5 memory=\"64MiB\"; }}\n"
        );
        CLUSTER.replace("process \"db\"", &format!("process \"{db}\"")) + &web
    };
    lab.plane.applied(&repository.commit(&file("db", "web"))).await;
    let said = async |args: &[&str]| lab.devnet(args).ended().await;
    let (status, printed) = said(&["suspend", "db", "--for", "2h", "--reason", "a new disk"]).await;
    assert!(status.success() && printed.contains("or `devnet resume db`"), "{printed}");
    let sent = |part: &str| lab.agent.machine().steps.iter().filter(|it| it.contains(part)).count();
    let (db, web) = (sent("db[0]/start"), sent("web[0]/start"));
    let second = repository.commit(&file("db2", "web2"));
    until("the other service is changed", || async { (sent("web[0]/start") > web).then_some(()) })
        .await;
    lab.plane.deployed().await;
    let problem = until("it says who holds it", || async {
        let problem = lab.plane.status().await.source?.problem?;
        problem.contains("db is suspended by ").then_some(problem)
    })
    .await;
    assert!(problem.ends_with(": a new disk"), "{problem}");
    assert_eq!(sent("db[0]/start"), db);
    assert!(said(&["status"]).await.1.contains("a new disk; `devnet resume` ends that"));
    let (status, printed) = said(&["resume"]).await;
    assert!(!status.success() && printed.is_empty(), "{printed}");
    let (status, printed) = said(&["resume", "db"]).await;
    assert!(status.success() && printed == "service.db is looked after again.\n", "{printed}");
    lab.plane.applied(&second).await;
    assert_eq!(sent("db[0]/start"), db + 1);
    // Everything, and what there is none of.
    assert!(said(&["suspend"]).await.0.success());
    repository.commit(&file("db3", "web3"));
    until("everything is held", || async {
        let problem = lab.plane.status().await.source?.problem?;
        problem.starts_with("everything is suspended by ").then_some(())
    })
    .await;
    assert!(!said(&["suspend", "nothing"]).await.0.success());
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_is_started_anew_as_it_is_in_force() {
    let (lab, repository) = Lab::following().await;
    lab.plane.applied(&repository.commit(CLUSTER)).await;
    let begun = |lab: &Lab| {
        lab.agent.machine().steps.iter().filter(|step| step.as_str() == "db[0]/start").count()
    };
    let before = begun(&lab);
    let mut unknown = lab.devnet(&["restart", "web", "-auto-approve"]);
    assert!(!unknown.ended().await.0.success());
    unknown.says("nothing called `web` runs").await;
    let mut asked = lab.devnet(&["restart", "db[0]"]);
    assert!(!asked.ended().await.0.success(), "nobody is here to ask");
    assert_eq!(begun(&lab), before);
    let (status, printed) = lab.devnet(&["restart", "db[0]", "-auto-approve"]).ended().await;
    assert!(status.success() && printed.contains("Apply complete!"), "{printed}");
    assert_eq!(begun(&lab), before + 1, "{printed}");
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_suspended_is_left_alone_in_the_middle_of_a_change_and_under_a_new_name() {
    let (lab, repository) = Lab::following().await;
    let file = |name: &str, runs: &str, moved: &str| {
        format!(
            "cluster \"lab\" {{ sync auto=#true; }}\n{moved}service \"{name}\" {{ process \
             \"{runs}\"; replicas 2; update max-unavailable=1; resources cpu=0.5 \
             memory=\"64MiB\"; }}\n"
        )
    };
    let said = async |args: &[&str]| lab.devnet(args).ended().await;
    let sent = |part: &str| lab.agent.machine().steps.iter().filter(|it| it.contains(part)).count();
    let suspended = async || {
        until("it says who holds it", || async {
            let problem = lab.plane.status().await.source?.problem?;
            problem.contains("web is suspended by ").then_some(())
        })
        .await;
    };
    lab.plane.applied(&repository.commit(&file("web", "one", ""))).await;
    lab.agent.machine().sick.insert("two".to_owned());
    repository.commit(&file("web", "two", ""));
    until("the first is changed", || async { (sent("web[0]/start") == 2).then_some(()) }).await;
    assert!(said(&["suspend", "web"]).await.0.success());
    lab.agent.machine().sick.clear();
    lab.agent.report().await;
    suspended().await;
    assert_eq!((sent("web[0]/start"), sent("web[1]/start")), (2, 1));

    let last = repository.commit(&file("www", "three", "moved from=\"web\" to=\"www\"\n"));
    until("it is seen", || async {
        (lab.plane.status().await.source?.seen? == last).then_some(())
    })
    .await;
    suspended().await;
    assert_eq!(sent("www["), 0);
    assert!(said(&["resume", "web"]).await.0.success());
    lab.plane.applied(&last).await;
    assert!(sent("www[") > 0);
    lab.plane.stop().await;
}
