//! A database that was put back from an older backup: it is noticed, nothing is started twice, and
//! what was ordered since is taken over.

mod harness;

use std::{
    fs,
    path::{Path, PathBuf},
};

use harness::{Agent, Plane, Repository, config, until};
use reqwest::{Method, StatusCode};
use serde_json::json;

/// A file with these services.
fn cluster(services: &str) -> String {
    format!("cluster \"lab\" {{\n    sync auto=#true prune=#true\n}}\n{services}")
}

fn web(more: &str) -> String {
    format!("service \"web\" {{ process \"web\"; resources memory=\"1MiB\"; {more} }}\n")
}

fn db(more: &str) -> String {
    format!(
        "service \"db\" {{ process \"db\"; volume \"data\" at=\"data\"; \
         env PW=\"{{{{ secret.pw }}}}\"; resources memory=\"1MiB\"; {more} }}\n"
    )
}

fn new(more: &str) -> String {
    format!("service \"new\" {{ process \"new\"; resources memory=\"1MiB\"; {more} }}\n")
}

const GONE: &str = "service \"gone\" { process \"gone\"; place { pin \"n2\" } }\n";

/// The files of the records; with `count`, what is kept beside them, too.
fn records(dir: &Path, count: bool) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("state.db") || (count && name == "deployments")
    };
    all.filter(ours).collect()
}

fn back_up(dir: &Path, count: bool) {
    let to = dir.join("backup");
    fs::create_dir(&to).unwrap();
    for path in records(&dir.join("data"), count) {
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn put_back(dir: &Path, count: bool) {
    records(&dir.join("data"), count).iter().for_each(|path| fs::remove_file(path).unwrap());
    for path in records(&dir.join("backup"), true) {
        fs::copy(&path, dir.join("data").join(path.file_name().unwrap())).unwrap();
    }
}

async fn start(dir: &Path, repository: &Repository) -> Plane {
    let mut config = config(dir, Some(repository));
    config.cluster = Some("lab".parse().unwrap());
    Plane::start(config).await
}

fn steps(agents: &[&Agent]) -> Vec<usize> {
    agents.iter().map(|agent| agent.machine().steps.len()).collect()
}

fn runs(agent: &Agent) -> Vec<String> {
    agent.machine().units.keys().map(ToString::to_string).collect()
}

/// Waits until an event says this.
async fn told(plane: &Plane, text: &str) {
    until(text, || async {
        let events = plane.events().await;
        events.iter().any(|event| event.message.contains(text)).then_some(())
    })
    .await;
}

/// The data is where it runs, its secret is given, and numbers go up from there.
async fn goes_on(plane: &Plane, repository: &Repository, file: &str, (a, b): (&Agent, &Agent)) {
    assert!(plane.status().await.problems.is_empty());
    let nodes = plane.status().await.nodes;
    assert_eq!(nodes.len(), 3, "the one that was taken out is not back");
    assert!(b.need("db[0]", "pw", 1).await.is_ok());
    assert!(a.need("db[0]", "pw", 1).await.is_err());
    let known = b.machine().accepted[&"db[0]".parse().unwrap()];
    let newer = file.replace("process \"db\"", "process \"db\" \"--new\"");
    let revision = repository.commit(&cluster(&newer));
    plane.applied(&revision).await;
    assert!(b.machine().accepted[&"db[0]".parse().unwrap()] > known);
    assert_eq!(runs(b), ["db[0]", "web[0]"]);
}

/// `whole` puts back everything that a backup of the data directory has, else the database alone.
async fn what_was_ordered_since_is_taken_over(whole: bool) {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let plane = start(dir.path(), &repository).await;
    plane.set_secret("pw", "hunter2").await;
    let (mut a, mut b) = (Agent::join(&plane, "n1").await, Agent::join(&plane, "n2").await);
    let mut removed = Agent::join(&plane, "n4").await;
    let on = |node: &str| format!("place {{ pin \"{node}\" }}");
    let first = [web(&on("n1")), db(&on("n1")), GONE.to_owned()].concat();
    let revision = repository.commit(&cluster(&first));
    plane.applied(&revision).await;
    plane.stop().await;
    back_up(dir.path(), whole);

    // Moved, removed, new, moved without its data; a node that joined and one that was taken out.
    let plane = start(dir.path(), &repository).await;
    for agent in [&mut a, &mut b, &mut removed] {
        agent.connect(&plane.running).await;
        agent.online(&plane).await;
    }
    let mut c = Agent::join(&plane, "n3").await;
    let taken_out = plane.request(Method::DELETE, "/api/v1/nodes/n4?force=true").send().await;
    let taken_out = taken_out.unwrap();
    assert_eq!(taken_out.status(), StatusCode::NO_CONTENT);
    let left = format!("leave-data \"n1\"; {}", on("n2"));
    let second = [web(&on("n2")), db(&left), new(&on("n3"))].concat();
    let revision = repository.commit(&cluster(&second));
    plane.applied(&revision).await;
    // From here on nothing but the records keeps them where they are.
    let third = [web(""), db(""), new("")].concat();
    let revision = repository.commit(&cluster(&third));
    plane.applied(&revision).await;
    assert_eq!((runs(&a).len(), runs(&c)), (0, vec!["new[0]".to_owned()]));
    assert_eq!(runs(&b), ["db[0]", "web[0]"]);
    let before = steps(&[&a, &b, &c]);
    plane.stop().await;
    put_back(dir.path(), whole);

    let plane = start(dir.path(), &repository).await;
    a.connect(&plane.running).await;
    told(&plane, "an older copy of `state.db` was put back").await;
    if !whole {
        // Longer than agents are waited for usually: nothing is planned without n2.
        a.online(&plane).await;
        until("it is told what is waited for", || async {
            let problems = plane.status().await.problems;
            problems.iter().any(|it| it.contains("until these have said")).then_some(())
        })
        .await;
        let (status, _) = plane.post("/api/v1/plans", &json!({})).await;
        assert!(status.is_server_error() || status.is_client_error(), "{status}");
    }
    // One that is not on record is waited for no longer than the others.
    c.connect(&plane.running).await;
    c.online(&plane).await;
    b.connect(&plane.running).await;
    plane.applied(&revision).await;
    assert_eq!(steps(&[&a, &b, &c]), before, "nobody was told anything");
    assert!(plane.deployments().await.iter().all(|it| it.revision != revision), "none for it");
    told(&plane, "n2 says what the records do not know: it was told to run db[0], web[0]").await;
    told(&plane, "n1 says what the records do not know: it no longer runs db[0], web[0]").await;
    goes_on(&plane, &repository, &third, (&a, &b)).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_database_takes_over_what_was_ordered_since() {
    what_was_ordered_since_is_taken_over(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_data_directory_takes_over_what_was_ordered_since() {
    what_was_ordered_since_is_taken_over(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_run_comes_back_to_its_data_after_the_records_were_lost() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let plane = start(dir.path(), &repository).await;
    plane.set_secret("pw", "hunter2").await;
    let (mut a, mut b) = (Agent::join(&plane, "n1").await, Agent::join(&plane, "n2").await);
    let other = |more: &str| db(more).replace("\"db\"", "\"pg\"");
    let on = |node: &str| format!("place {{ pin \"{node}\" }}");
    let files = [
        [db(&on("n1")), other(&on("n2")), web("")].concat(),
        // One is scaled to nothing, the other removed.
        [db("replicas 0"), web("")].concat(),
    ];
    for file in &files {
        let revision = repository.commit(&cluster(file));
        plane.applied(&revision).await;
    }
    assert!(!runs(&a).contains(&"db[0]".to_owned()) && !runs(&b).contains(&"pg[0]".to_owned()));
    plane.stop().await;
    records(&dir.path().join("data"), false).iter().for_each(|it| fs::remove_file(it).unwrap());
    let plane = start(dir.path(), &repository).await;
    a.connect(&plane.running).await;
    b.connect(&plane.running).await;
    told(&plane, "n1 says that it has data of db[0]").await;
    told(&plane, "n2 says that it has data of pg[0]").await;
    let revision = repository.commit(&cluster(&[db(""), other(""), web("")].concat()));
    plane.applied(&revision).await;
    assert!(runs(&a).contains(&"db[0]".to_owned()), "{:?}", runs(&a));
    assert!(runs(&b).contains(&"pg[0]".to_owned()), "{:?}", runs(&b));
    // A copy that turns up later tells nothing: the records know where the data is.
    let copy = a.machine().volumes.first().unwrap().clone();
    assert_eq!(copy.instance.to_string(), "db[0]");
    b.machine().volumes.insert(copy);
    b.report().await;
    let revision = repository.commit(&cluster(&[db("replicas 0"), other(""), web("")].concat()));
    plane.applied(&revision).await;
    let revision = repository.commit(&cluster(&[db(""), other(""), web("")].concat()));
    plane.applied(&revision).await;
    assert!(runs(&a).contains(&"db[0]".to_owned()), "{:?}", runs(&a));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_nodes_may_have_is_started_nowhere_until_an_operator_says() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let plane = start(dir.path(), &repository).await;
    let (mut a, mut b) = (Agent::join(&plane, "n1").await, Agent::join(&plane, "n2").await);
    let revision = repository.commit(&cluster(&web("place { pin \"n1\" }")));
    plane.applied(&revision).await;
    plane.stop().await;
    back_up(dir.path(), false);
    let known = a.machine().accepted.clone();
    let plane = start(dir.path(), &repository).await;
    a.connect(&plane.running).await;
    b.connect(&plane.running).await;
    let revision = repository.commit(&cluster(&web("place { pin \"n2\" }")));
    plane.applied(&revision).await;
    let revision = repository.commit(&cluster(&web("")));
    plane.applied(&revision).await;
    plane.stop().await;
    put_back(dir.path(), false);
    // As if n1 had been lost when it moved: it was told nothing of that, and its unit is gone.
    a.machine().accepted = known;
    let before = steps(&[&a, &b]);
    let plane = start(dir.path(), &repository).await;
    a.connect(&plane.running).await;
    b.connect(&plane.running).await;
    until("the doubt is told", || async {
        let problem = plane.status().await.source?.problem?;
        problem.contains("later than the records know").then_some(())
    })
    .await;
    let (status, plan) = plane.post("/api/v1/plans", &json!({})).await;
    assert_eq!((status, &plan["changes"]), (StatusCode::CREATED, &json!([])), "{plan:#}");
    let adopted = plane.request(Method::POST, "/api/v1/nodes/n2/adopt").send().await.unwrap();
    assert_eq!(adopted.status(), StatusCode::NO_CONTENT);
    plane.applied(&revision).await;
    assert_eq!(steps(&[&a, &b]), before);
    plane.stop().await;
}

/// After a rename whose line is gone, the volume has the name of before; nothing runs of it.
async fn what_was_renamed_comes_back_to_its_data(lost: bool) {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::new(dir.path().join("repository"));
    let plane = start(dir.path(), &repository).await;
    plane.set_secret("pw", "hunter2").await;
    let (mut a, mut b) = (Agent::join(&plane, "n1").await, Agent::join(&plane, "n2").await);
    plane.applied(&repository.commit(&cluster(&db("place { pin \"n2\" }")))).await;
    plane.stop().await;
    back_up(dir.path(), false);
    let plane = start(dir.path(), &repository).await;
    a.connect(&plane.running).await;
    b.connect(&plane.running).await;
    let nb = |more: &str| db(more).replace("\"db\"", "\"nb\"");
    let moved = nb("") + "moved from=\"db\" to=\"nb\"\n";
    plane.applied(&repository.commit(&cluster(&moved))).await;
    plane.applied(&repository.commit(&cluster(&nb("replicas 0")))).await;
    assert_eq!(runs(&b), [""; 0]);
    plane.stop().await;
    match lost {
        true => records(&dir.path().join("data"), false)
            .iter()
            .for_each(|path| fs::remove_file(path).unwrap()),
        false => put_back(dir.path(), false),
    }
    let plane = start(dir.path(), &repository).await;
    a.connect(&plane.running).await;
    b.connect(&plane.running).await;
    told(&plane, "n2 says that it has data of nb[0]").await;
    plane.applied(&repository.commit(&cluster(&nb("")))).await;
    assert_eq!((runs(&a), runs(&b)), (vec![], vec!["nb[0]".to_owned()]));
    let spec = b.machine().units[&"nb[0]".parse().unwrap()].0.clone();
    assert_eq!(spec.volumes[0].data_of.as_ref().map(ToString::to_string).as_deref(), Some("db[0]"));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_renamed_comes_back_to_its_data_after_the_records_were_lost() {
    what_was_renamed_comes_back_to_its_data(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_renamed_since_a_backup_comes_back_to_its_data() {
    what_was_renamed_comes_back_to_its_data(false).await;
}
