//! Goldens of the Compose reader: what it makes of a document, and what it says of a wrong one.

use std::{collections::BTreeSet, fmt::Write as _};

use expect_test::{ExpectFile, expect_file};

use super::{Inputs, Project, load, read, refusals};
use crate::{
    diagnostic::{Diagnostic, Located},
    file::{
        MemoryFiles, from_yaml,
        tree::{Kind, Source},
    },
};

mod files;
mod kept;
mod mistakes;
mod others;

fn project(text: &str, templated: &BTreeSet<usize>) -> (Project, String) {
    let source = Source::new("compose.yml", text);
    let tree = match from_yaml(&source) {
        Ok(tree) => tree,
        Err(found) => panic!("{found:?}"),
    };
    let (project, found) = read(&tree, &source, templated, &[]);
    (project, lines(&found))
}

fn lines(found: &[Diagnostic]) -> String {
    found.iter().map(|diagnostic| format!("{diagnostic}\n")).collect()
}

/// The normal form in lines, without places; then what was found.
fn check(text: &str, expected: &ExpectFile) {
    let (project, found) = project(text, &BTreeSet::new());
    expected.assert_eq(&(shown(&project) + &found));
}

fn shown(project: &Project) -> String {
    let mut out = String::new();
    for (name, network) in &project.networks {
        let _ = writeln!(out, "network {name}: {network:?}");
    }
    for (name, service) in &project.services {
        let image = service.image.as_ref().map(|image| image.value.as_str());
        let _ = writeln!(out, "{name}: {image:?}");
        words(&mut out, "entrypoint", &service.entrypoint);
        words(&mut out, "command", &service.command);
        for (name, value) in service.env.iter().chain(&service.labels) {
            let _ = writeln!(out, "  {name}={:?}", value.value);
        }
        values(&mut out, &service.ports);
        values(&mut out, &service.volumes);
        for (path, file) in &service.files {
            let _ = writeln!(out, "  {path} {:?}", file.value);
        }
        values(&mut out, &service.depends_on);
        values(&mut out, &service.networks);
        values(&mut out, &service.asks);
        let health = service.health.as_ref().map(|health| &health.value);
        let _ = writeln!(out, "  {health:?}");
        let scalars = (
            service.stop_signal.as_ref().map(|v| &v.value),
            service.stop_grace_period.as_ref().map(|v| v.value.to_string()),
            service.shm_size.as_ref().map(|v| v.value.to_string()),
            service.user.as_ref().map(|v| &v.value),
            service.hostname.as_ref().map(|v| &v.value),
            service.init,
            service.limits,
        );
        let _ = writeln!(out, "  {scalars:?}");
        let numbers = (
            service.reservations,
            service.gpus.as_ref().map(|v| v.value),
            service.replicas.as_ref().map(|v| v.value),
            service.max_per_node.as_ref().map(|v| v.value),
            service.max_unavailable.as_ref().map(|v| v.value),
            service.platform.as_ref().map(|v| &v.value),
        );
        let _ = writeln!(out, "  {numbers:?}");
        if !service.settings.is_empty() {
            let _ = writeln!(out, "  {}", serde_json::to_string(&service.settings).unwrap());
        }
    }
    out
}

fn words(out: &mut String, what: &str, all: &Option<Vec<Located<String>>>) {
    if let Some(all) = all {
        let all: Vec<&str> = all.iter().map(|word| word.value.as_str()).collect();
        let _ = writeln!(out, "  {what} {all:?}");
    }
}

fn values<T: std::fmt::Debug>(out: &mut String, all: &[Located<T>]) {
    for one in all {
        let _ = writeln!(out, "  {:?}", one.value);
    }
}

/// Only what was found.
fn refused(text: &str, expected: &ExpectFile) {
    expected.assert_eq(&project(text, &BTreeSet::new()).1);
}

#[test]
fn short_and_long_forms_have_one_normal_form() {
    let long = r#"
services:
  app:
    image: app:1
    entrypoint: [sh, -c]
    command: ["echo", "a b"]
    environment: {A: "1", B: x=y}
    labels: {team: infra}
    ports:
      - {target: 80}
      - {target: 81, published: 8081, protocol: udp, host_ip: 127.0.0.1}
    volumes:
      - {type: volume, source: data, target: /data}
    configs:
      - {source: conf, target: /etc/app.conf, mode: "0440"}
      - conf
    secrets: [key]
    depends_on: {db: {condition: service_healthy}}
    healthcheck:
      {test: [CMD-SHELL, exit 0], interval: 5s, timeout: 1m30s, retries: 3, start_period: 500ms}
    stop_signal: SIGINT
    stop_grace_period: 2m
    shm_size: 256mb
    user: "999:999"
    hostname: app
    init: true
    deploy: {resources: {limits: {cpus: "0.5", memory: 64m}}}
volumes: {data: }
configs: {conf: {content: "a: b"}}
secrets: {key: {content: hush}}
"#;
    check(long, &expect_file!["goldens/long.txt"]);
    let short = r#"
services:
  app:
    image: app:1
    entrypoint: sh -c
    command: echo "a b"
    environment: [A=1, B=x=y]
    labels: [team=infra]
    ports: [80, "127.0.0.1:8081:81/udp"]
    expose: ["82"]
    volumes: ["data:/data"]
    depends_on: [db]
    healthcheck: {test: exit 0}
volumes: {data: {}}
x-note: {anything: [goes]}
"#;
    check(short, &expect_file!["goldens/short.txt"]);
}

#[test]
fn what_would_leave_the_container_is_refused_with_a_reason() {
    refused(
        r#"
services:
  app:
    image: app:1
    privileged: true
    pid: host
    network_mode: host
    cap_add: [SYS_ADMIN]
    devices: [/dev/kvm]
    security_opt: [seccomp=unconfined]
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock
      - ./data:/data
      - {type: bind, source: /, target: /host}
      - nosuch:/data
      - data:relative
      - /anonymous
    deploy: {replicas: 3, resources: {reservations: {devices: [{driver: nvidia}]}}}
    restart: always
  built: {build: ., privileged: true, runtime: x}
volumes: {data: {driver: nfs}}
networks: {default: {}}
"#,
        &expect_file!["goldens/outside.txt"],
    );
}

#[test]
fn what_does_not_read_has_a_place_and_a_reason() {
    refused(
        r#"
services:
  app:
    imagee: app:1
    image: [a]
    command: "echo 'open"
    environment: {A: , B: [1]}
    ports: ["8000-8010:80", 0, "80:99999", {published: 80}]
    configs: [nosuch]
    healthcheck: {test: [EXEC, x], retries: many}
    stop_grace_period: soon
    shm_size: lots
    init: "yes"
    depends_on: {db: {condition: service_completed_successfully}}
configs: {conf: {file: ./conf}, empty: {}}
"#,
        &expect_file!["goldens/wrong.txt"],
    );
    refused("services: [app]", &expect_file!["goldens/no-map.txt"]);
    refused("app: {image: x}", &expect_file!["goldens/no-services.txt"]);
}

#[test]
fn what_a_template_made_is_never_split() {
    let text = "services: {app: {image: x, command: 'a b', environment: [A=1], ports: ['80'], \
                healthcheck: {test: 'exit 0'}, volumes: ['d:/d']}}\nvolumes: {d: {}}\n";
    let all = (0..text.len()).collect();
    expect_file!["goldens/templated.txt"].assert_eq(&project(text, &all).1);
}

/// A file with two of one name is refused when it is read; a template may still make them.
#[test]
fn two_names_that_a_template_made_one() {
    let source = Source::new("compose.yml", "services:\n  a: {image: 'x:1', tty: true}\n");
    let mut tree = from_yaml(&source).expect("it is YAML");
    let Kind::Map(sections) = &mut tree.kind else { panic!("a map") };
    let Kind::Map(services) = &mut sections[0].value.kind else { panic!("a map") };
    let Kind::Map(fields) = &mut services[0].value.kind else { panic!("a map") };
    fields[1].key = "image".to_owned();
    fields[1].value = fields[0].value.clone();
    let (_, found) = read(&tree, &source, &BTreeSet::new(), &[]);
    assert_eq!(
        lines(&found[..1]),
        "compose.yml:2:21: error[DN-E0553]: `image` is written twice\n  help: keep one of the two\n"
    );
}
