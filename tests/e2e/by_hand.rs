//! A Compose file that a program sends for one node, all the way to a container that answers.
//!
//! Knows the HTTP API only. Refuses to look at how the control plane does it.

use devnet_tests::{
    bed::Bed,
    plane::{PATIENCE, Plane},
    wait::until,
};
use serde_json::{Value, json};

use crate::main_job::fetch;

const COMPOSE: &str = r#"
services:
  web:
    image: nginx:1.22
    environment: { HEADER: "${HEADER:-none}" }
    ports: ["8070:80"]
"#;

/// While nothing is declared, so that the loop has nothing to say about it.
pub fn a_compose_file_runs_on_the_node_that_was_named(bed: &Bed, plane: &Plane<'_>) {
    let path = "/api/v1/nodes/n2/deploy";
    let request = |id: &str, action: &str| {
        json!({
            "deployment_id": id, "template_id": "hand", "action": action,
            "rendered_compose": COMPOSE, "env": {"HEADER": "by hand"},
        })
        .to_string()
    };

    let (status, answer) = plane.api("POST", path, &request("hand-1", "apply"));
    assert_eq!(status, 202, "{answer}");
    ended(plane, "hand-1");
    let url = format!("http://{}:8070/", bed.addr(2));
    until("the container's answer", PATIENCE, || fetch(bed, 3, &url));
    let id = bed.docker(2, &["ps", "-q", "--filter", "label=devnet.service=hand"]);
    let seen = bed.docker(2, &["inspect", "--format", "{{.Config.Env}}", id.trim()]);
    assert!(seen.contains("HEADER=by hand"), "{seen}");
    for other in [1, 3] {
        assert_eq!(bed.docker(other, &["ps", "-q"]), "", "n{other} was not asked");
    }

    let (status, answer) = plane.api("POST", path, &request("hand-1", "apply"));
    assert_eq!(status, 409, "an id is used once: {answer}");
    let bind = COMPOSE.replace("ports:", "volumes: [\"/:/host\"]\n    ports:");
    let bad = json!({
        "deployment_id": "hand-2", "template_id": "hand", "action": "apply",
        "rendered_compose": bind, "env": {},
    });
    let (status, answer) = plane.api("POST", path, &bad.to_string());
    assert_eq!(status, 422, "{answer}");
    assert!(answer.contains("rendered_compose:6"), "the answer names the line: {answer}");
    assert_eq!(bed.docker(2, &["ps", "-q"]), id, "a refused file changes nothing");

    let (status, answer) = plane.api("POST", path, &request("hand-3", "remove"));
    assert_eq!(status, 202, "{answer}");
    ended(plane, "hand-3");
    assert_eq!(bed.docker(2, &["ps", "-aq"]), "", "it is gone");
}

/// Follows the deployment's lines to the last one.
fn ended(plane: &Plane<'_>, id: &str) {
    let path = format!("/api/v1/deployments/{id}/logs?follow=true");
    let (status, lines) = plane.api("GET", &path, "");
    assert_eq!(status, 200, "{lines}");
    let last: Value = serde_json::from_str(lines.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {lines}"));
    assert_eq!(last["deployment"]["state"], "succeeded", "{lines}");
}
