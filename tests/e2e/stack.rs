//! A Compose file on a real host through its life: its network is made once and made anew, its data
//! keeps its volume whatever it is called and however often its container is made again.

use devnet_tests::{
    bed::Bed,
    plane::{PATIENCE, Plane},
    repo::Repo,
    wait::until,
};

const COMPOSE: &str = r#"
services:
  a: {image: "redis:7", volumes: ["data:/kept"]}
  b: {image: "redis:7"}
volumes: {data: {}}
"#;

/// The host that the stack is on.
const HOST: u32 = 1;

/// The cluster with the stack under a name.
fn cluster(rest: &str, name: &str, more: &str) -> String {
    let stack = "{ compose \"stack.yml\"; place { pin \"n1\" } }";
    format!("{rest}\nservice \"{name}\" {stack}\n{more}")
}

/// Runs the whole life, and leaves `rest` as it found it.
pub fn a_stack_keeps_its_data_and_its_network(
    bed: &Bed,
    repo: &Repo,
    plane: &Plane<'_>,
    rest: &str,
) {
    repo.commit("stack.yml", COMPOSE, "a stack");
    plane.await_applied(&repo.commit("cluster.kdl", &cluster(rest, "st1", ""), "declare it"));
    let networks = |name: &str| {
        let all = bed.docker(HOST, &["network", "ls", "--format", "{{.Name}}"]);
        all.lines().filter(|line| *line == name).count()
    };
    assert_eq!(networks("devnet-bed-st1.default"), 1, "two services make one network");
    let write = "echo precious >/kept/k";
    bed.docker(HOST, &["exec", "devnet-bed-st1-a-0", "sh", "-c", write]);
    let moved = "moved from=\"st1-a\" to=\"st2-a\"\nmoved from=\"st1-b\" to=\"st2-b\"\n";
    plane.await_applied(&repo.commit("cluster.kdl", &cluster(rest, "st2", moved), "rename it"));
    plane.await_applied(&repo.commit("cluster.kdl", &cluster(rest, "st2", ""), "renamed"));
    assert_eq!(kept(bed, "devnet-bed-st2-a-0"), "precious");
    bed.docker(HOST, &["rm", "-f", "devnet-bed-st2-a-0"]);
    until("a new container", PATIENCE, || {
        let names = bed.docker(HOST, &["ps", "--format", "{{.Names}}"]);
        let there = names.lines().any(|name| name == "devnet-bed-st2-a-0");
        if there { Ok(()) } else { Err(names) }
    });
    assert_eq!(kept(bed, "devnet-bed-st2-a-0"), "precious", "nothing ran, and the name held");
    bed.docker(HOST, &["rename", "devnet-bed-st2-a-0", "mine"]);
    let inside = format!("{COMPOSE}networks: {{default: {{internal: true}}}}\n");
    plane.await_applied(&repo.commit("stack.yml", &inside, "nobody reaches out"));
    let internal = ["network", "inspect", "-f", "{{.Internal}}", "devnet-bed-st2.default"];
    assert_eq!(bed.docker(HOST, &internal).trim(), "true");
    let on_it = ["ps", "-q", "--filter", "volume=devnet-bed-st1.data"];
    assert_eq!(bed.docker(HOST, &on_it).lines().count(), 1, "never two on one volume");
    let plan = plane.ok(&["plan", "--no-color"]);
    assert!(plan.contains("No changes."), "{plan}");
    plane.await_applied(&repo.commit("cluster.kdl", rest, "away with it"));
    assert_eq!(networks("devnet-bed-st2.default"), 0, "nobody is in it any more");
    let volumes = bed.docker(HOST, &["volume", "ls", "-q"]);
    assert!(volumes.lines().any(|name| name == "devnet-bed-st1.data"), "{volumes}");
    assert!(!volumes.contains("st2"), "data got no second volume: {volumes}");
}

fn kept(bed: &Bed, container: &str) -> String {
    bed.docker(HOST, &["exec", container, "cat", "/kept/k"]).trim().to_owned()
}
