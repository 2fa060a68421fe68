//! What people see of what should run and does not: the documents of the API, and the real program
//! against a control plane in this process.

mod harness;

use devnet_reconciler::api::{NodeRow, Page, ServiceRow, WaitingRow, detail::DetailedStatus};
use harness::{Agent, Plane, lab::Lab, until};

const HEAD: &str = "cluster \"lab\" { sync auto=#true; }\n";

fn web(command: &str, more: &str) -> String {
    format!(
        "service \"web\" {{ process \"{command}\"; resources cpu=0.5 memory=\"64MiB\"; {more} }}\n"
    )
}

async fn service(plane: &Plane, name: &str) -> Option<ServiceRow> {
    let page: Page<ServiceRow> = plane.get("/api/v1/services").await;
    page.items.into_iter().find(|row| row.name.as_str() == name)
}

/// Waits until an instance that is not there has a row that `fits`.
async fn waiting(plane: &Plane, name: &str, fits: impl Fn(&WaitingRow) -> bool) -> WaitingRow {
    until("it waits", || async {
        service(plane, name).await?.waiting.into_iter().find(|row| fits(row))
    })
    .await
}

async fn shown(lab: &Lab, args: &[&str]) -> String {
    let (status, text) = lab.devnet(args).ended().await;
    assert!(status.success(), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_tells_how_often_and_when_it_is_tried_again() {
    let (lab, repository) = Lab::following().await;
    lab.agent.machine().failing.insert("web[0]/start".to_owned());
    repository.commit(&format!("{HEAD}{}", web("web", "")));
    let row = waiting(&lab.plane, "web", |it| it.tries.is_some() && it.next_try.is_some()).await;
    assert_eq!(row.node.as_ref().map(|it| it.as_str()), Some("n1"));
    assert_eq!(row.of, Some(5));
    let at = row.next_try.unwrap().timestamp();
    let left = at.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((-1..=11).contains(&left), "{left} s");
    let text = shown(&lab, &["status"]).await;
    let line = text.lines().find(|line| line.starts_with("web[0]")).unwrap_or(&text);
    assert!(line.contains("waiting") && line.contains("of 5 times"), "{text}");
    let text = shown(&lab, &["get", "services"]).await;
    assert!(text.contains("web[0]: "), "{text}");
    lab.agent.machine().failing.clear();
    until("it serves, and waits for nothing", || async {
        let row = service(&lab.plane, "web").await?;
        (row.healthy == 1 && row.waiting.is_empty()).then_some(())
    })
    .await;
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_node_takes_says_what_speaks_against_them() {
    let (lab, repository) = Lab::following().await;
    let revision = format!("{HEAD}{}", web("web", "place { require tag=\"gold\" }"));
    repository.commit(&revision);
    let row = waiting(&lab.plane, "web", |it| it.reason.contains("no place on 1 node")).await;
    assert!(
        row.reason.contains("tag on 1") && row.reason.contains("devnet explain web"),
        "{row:?}"
    );
    assert_eq!((row.node, row.tries), (None, None));
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_cannot_be_planned_has_rows_for_what_it_adds() {
    let (lab, repository) = Lab::following().await;
    lab.plane.applied(&repository.commit(&format!("{HEAD}{}", web("web", "")))).await;
    let api = "service \"api\" { process \"api\"; env KEY=\"{{ secret.key }}\"; }\n";
    repository.commit(&format!("{HEAD}{}{api}", web("web", "")));
    let row = waiting(&lab.plane, "api", |it| it.reason.contains("cannot be planned")).await;
    assert!(row.reason.contains("key"), "{row:?}");
    lab.plane.set_secret("key", "x").await;
    until("it is there", || async {
        (service(&lab.plane, "api").await?.healthy == 1).then_some(())
    })
    .await;
    // What is no longer declared, and is not pruned, says so.
    lab.plane.applied(&repository.commit(&format!("{HEAD}{}", web("web", "")))).await;
    until("it is told", || async { service(&lab.plane, "api").await?.undeclared.then_some(()) })
        .await;
    let text = shown(&lab, &["status"]).await;
    assert!(text.contains("Not declared, and still there: api."), "{text}");
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_on_a_node_that_is_away_is_unknown_and_says_why() {
    let (mut lab, repository) = Lab::following().await;
    lab.plane.applied(&repository.commit(&format!("{HEAD}{}", web("web", "")))).await;
    lab.agent.cut();
    lab.agent.status(&lab.plane, "offline").await;
    let row = until("it is told", || async {
        service(&lab.plane, "web").await?.instances.into_iter().find(|it| it.waiting.is_some())
    })
    .await;
    assert_eq!(row.waiting.unwrap().reason, "n1 does not answer");
    assert_eq!(row.state, devnet_schema::observed::InstanceState::Unknown);
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_joined_are_drained_or_shut_are_all_told() {
    let (lab, repository) = Lab::following().await;
    Agent::register(&lab.plane, "n2").await;
    let nodes = "node \"n1\" { drain; }\nnode \"n2\" { cordon; }\n";
    repository.commit(&format!("{HEAD}{nodes}{}", web("web", "")));
    let page = until("the file is in force", || async {
        let page: Page<NodeRow> = lab.plane.get("/api/v1/nodes").await;
        page.items.iter().any(|it| it.drained).then_some(page)
    })
    .await;
    let told: Vec<_> = page
        .items
        .iter()
        .map(|it| (it.name.as_str(), it.drained, it.shut, it.never_connected))
        .collect();
    assert_eq!(told, [("n1", true, true, false), ("n2", false, true, true)]);
    assert!(page.items[1].joined_at.is_some());
    let text = shown(&lab, &["get", "nodes"]).await;
    assert!(text.contains("online, drained") && text.contains("joined, cordoned"), "{text}");
    assert!(text.contains("has never connected: run `devnet-agent run` there"), "{text}");
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_loop_warns_of_is_in_the_status() {
    let (lab, repository) = Lab::following().await;
    lab.plane.applied(&repository.commit(&format!("{HEAD}{}", web("web", "protect;")))).await;
    // With prune=#false what is no longer declared stays, and the plan warns of it.
    repository.commit(&format!("{HEAD}service \"other\" {{ process \"other\"; }}\n"));
    let status = until("it warns", || async {
        let status: DetailedStatus = lab.plane.get("/api/v1/status").await;
        (!status.warnings.is_empty()).then_some(status)
    })
    .await;
    let code = status.warnings[0].code.to_string();
    let text = shown(&lab, &["status"]).await;
    assert!(text.contains(&code), "{code}: {text}");
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_in_the_form_that_is_asked_for_and_again_as_they_change() {
    let (lab, repository) = Lab::following().await;
    lab.plane.applied(&repository.commit(&format!("{HEAD}{}", web("web", "")))).await;
    assert_eq!(shown(&lab, &["get", "services", "-o", "name"]).await, "web\n");
    assert_eq!(shown(&lab, &["get", "instances", "-oname"]).await, "web[0]\n");
    let wide = shown(&lab, &["get", "services", "-o", "wide"]).await;
    assert!(wide.contains("0.5 cpu, 64MiB memory") && wide.contains("cluster.kdl:2:9"), "{wide}");
    assert!(shown(&lab, &["get", "nodes", "-o", "wide"]).await.contains("0.5 of "));
    let yaml = shown(&lab, &["get", "nodes", "-o", "yaml"]).await;
    assert!(yaml.contains("name: n1") && yaml.contains("room:"), "{yaml}");
    let json = shown(&lab, &["get", "services", "-json"]).await;
    let all: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(all[0]["resources"]["cpu_milli"], 500);

    let mut watching = lab.devnet(&["get", "services", "-o", "json", "-w"]);
    let mut lines = harness::program::lines(&mut watching);
    assert!(lines.next().await.starts_with('['), "first all of them");
    let larger = web("web", "").replace("64MiB", "65MiB");
    lab.plane.applied(&repository.commit(&format!("{HEAD}{larger}"))).await;
    // What comes and goes meanwhile may be told, too.
    loop {
        let row: serde_json::Value = serde_json::from_str(&lines.next().await).unwrap();
        assert_eq!(row["name"], "web");
        if row["resources"]["memory_mb"] == 65 {
            break;
        }
    }
    watching.child.kill().unwrap();
    watching.child.wait().unwrap();
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_wait_for_a_service_or_a_revision_and_learn_how_it_is() {
    let (mut lab, repository) = Lab::following().await;
    let code = |lab: &Lab, args: &[&str]| {
        let mut command = lab.devnet(args);
        async move { command.ended().await.0.code() }
    };
    lab.agent.machine().failing.insert("web[0]/start".to_owned());
    let revision = repository.commit(&format!("{HEAD}{}", web("web", "")));
    let mut short = lab.devnet(&["wait", "web", "--timeout", "1s"]);
    assert_eq!(short.ended().await.0.code(), Some(1));
    short.says("it was not so within 1s").await;
    assert_eq!(code(&lab, &["status", "--check"]).await, Some(2));
    let mut waiting = lab.devnet(&["wait", "--rev", &revision[..10]]);
    let mut service = lab.devnet(&["wait", "web"]);
    lab.agent.machine().failing.clear();
    assert_eq!(waiting.ended().await.0.code(), Some(0));
    assert_eq!(service.ended().await.0.code(), Some(0));
    assert_eq!(code(&lab, &["status", "--check"]).await, Some(0));
    lab.agent.cut();
    lab.agent.status(&lab.plane, "offline").await;
    until("what is not known is told from what does not serve", || async {
        (code(&lab, &["status", "--check"]).await == Some(3)).then_some(())
    })
    .await;
    let mut never = lab.devnet(&["wait", "--rev", "main"]);
    assert_eq!(never.ended().await.0.code(), Some(1));
    never.says("`main` is no revision").await;
    lab.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_watches_goes_on_when_the_control_plane_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = harness::config(dir.path(), None);
    settings.cluster = Some("lab".parse().unwrap());
    let plane = Plane::start(settings).await;
    let address = plane.running.addr();
    let mut watching = harness::program::Devnet::start(&plane, dir.path(), &["watch"]);
    // It says nothing until something happens, so it is there once it tells of one of these.
    let tried = std::cell::Cell::new(0);
    until("it tells what happens", || async {
        tried.set(tried.get() + 1);
        Agent::register(&plane, &format!("n{}", tried.get())).await;
        watching.said().contains("joined").then_some(())
    })
    .await;
    plane.stop().await;
    watching.says("trying again").await;
    let mut settings = harness::config(dir.path(), None);
    settings.listen = address;
    let plane = Plane::start(settings).await;
    watching.says("-- connected again").await;
    Agent::register(&plane, "last").await;
    watching.says("last joined").await;
    let said = watching.said();
    let told: Vec<&str> = said.lines().filter(|line| line.ends_with(" joined")).collect();
    let once: std::collections::BTreeSet<&&str> = told.iter().collect();
    assert_eq!(told.len(), once.len(), "nothing is told twice: {said}");
    watching.child.kill().unwrap();
    watching.child.wait().unwrap();
    plane.stop().await;
    // What was never there is an error at once.
    let mut nobody = harness::program::Devnet::at(dir.path(), address, &["watch"]);
    assert_eq!(nobody.ended().await.0.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_node_gives_up_what_can_move_and_leaves_once_nothing_is_there() {
    let (lab, repository) = Lab::following().await;
    lab.plane.applied(&repository.commit(&format!("{HEAD}{}", web("web", "")))).await;
    let _other = Agent::join(&lab.plane, "n2").await;

    let mut drain = lab.devnet(&["node", "drain", "n1", "--wait"]);
    let (status, printed) = drain.ended().await;
    assert!(status.success() && printed.contains("nothing is left on it"), "{printed}");
    let text = shown(&lab, &["get", "instances"]).await;
    assert!(text.contains("web[0]") && text.contains("n2") && !text.contains("n1"), "{text}");
    let text = shown(&lab, &["get", "nodes"]).await;
    assert!(text.contains("online, drained"), "{text}");

    assert!(lab.devnet(&["node", "uncordon", "n1"]).ended().await.0.success());
    let rows: Page<NodeRow> = lab.plane.get("/api/v1/nodes").await;
    assert!(!rows.items[0].drained && !rows.items[0].cordoned);

    // The only node that is left: what is on it has nowhere to go.
    assert!(lab.devnet(&["node", "cordon", "n1"]).ended().await.0.success());
    let mut leave = lab.devnet(&["node", "leave", "n2", "--timeout", "1s"]);
    assert!(!leave.ended().await.0.success());
    leave.says("something is still on n2 after 1s; it stays drained").await;
    leave.says("web[0]").await;
    let rows: Page<NodeRow> = lab.plane.get("/api/v1/nodes").await;
    assert!(rows.items.iter().any(|row| row.name.as_str() == "n2" && row.drained));
    assert!(lab.devnet(&["node", "uncordon", "n1"]).ended().await.0.success());
    let (status, printed) = lab.devnet(&["node", "leave", "n2"]).ended().await;
    assert!(status.success() && printed.ends_with("n2 is removed\n"), "{printed}");
    let rows: Page<NodeRow> = lab.plane.get("/api/v1/nodes").await;
    assert_eq!(rows.items.len(), 1);
    lab.plane.stop().await;
}
