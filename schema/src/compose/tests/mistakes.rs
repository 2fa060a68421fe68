//! What is said of one mistake each: the place, the word that is wrong, and the remedy.

use std::fmt::Write as _;

use expect_test::{ExpectFile, expect_file};

use super::files::found_in;

/// What is said of services that have one of these fields each.
fn said(fields: &[&str], rest: &str, expected: &ExpectFile) {
    let mut out = String::new();
    for field in fields {
        let text = format!("services:\n  a:\n    image: x:1\n    {field}\n{rest}");
        let _ = writeln!(out, "--- {field}\n{}", found_in(&text));
    }
    expected.assert_eq(&out);
}

#[test]
fn nothing_that_is_written_is_dropped_in_silence() {
    said(
        &[
            "ports: [{target: 80, mode: foo}, {target: 81, mode: host}]",
            "ports: [{target: 80, app_protocol: http}]",
            "extends: {service: b, foo: 1, x-why: y}",
            "command: x\nnetworks: {n: {attachable: true}, m: {attachable: false}}\nx-rest:",
            "volumes: [\"v:/x:cached\", \"v:/y:consistent\", \"v:/z:ro,delegated\"]",
            "volumes: [{type: volume, source: v, target: /x, consistency: cached}]",
            "volumes: [{type: volume, source: v, target: /x, consistency: always}]",
            "labels: {devnet.node: n, devnets: y}",
            "labels: [devnet.cluster=c]",
            "deploy: {replicas: 2}\n    scale: 3",
            "deploy: {replicas: 2}\n    scale: 2",
        ],
        "  b: {image: y:1}\nvolumes: {v: }\n",
        &expect_file!["../goldens/silence.txt"],
    );
}

#[test]
fn what_is_wrong_with_an_item_is_said_of_the_item() {
    said(
        &[
            "cap_drop: [CHOWN, NOPE]",
            "cap_add: [NOPE]",
            "dns: [1.1.1.1, foo]",
            "security_opt: [foo]",
            "tmpfs: [/y, \"/x:foo=1\"]",
            "tmpfs: x",
            "sysctls: [net/core/x=3]",
            "sysctls: {net: 3, net.core.x: \"${PASSWORD}\"}",
            "healthcheck: {test: [curl, x]}",
            "healthcheck: {test: [CMD]}",
            "healthcheck: {test: []}",
        ],
        "",
        &expect_file!["../goldens/items.txt"],
    );
}

#[test]
fn what_an_engine_refuses_is_refused_here() {
    said(
        &[
            "working_dir: relative",
            "working_dir: 'C:\\app'",
            "ulimits: {core: {soft: 5, hard: 3}}",
            "ulimits: {core: {soft: -1, hard: 3}, cpu: {soft: 3, hard: -1}}",
            "mem_limit: 5m",
            "mem_limit: 0",
            "deploy: {resources: {limits: {memory: 6291455}}}",
            "deploy: {resources: {limits: {memory: 6m}, reservations: {memory: 1m}}}",
        ],
        "",
        &expect_file!["../goldens/engines.txt"],
    );
}

#[test]
fn a_path_that_cannot_be_one_is_named_as_what_it_is() {
    said(
        &[
            "volumes: [\"v:/\", \"v:\", \"v:/x/../..\", \"v:x\"]",
            "volumes: [{type: volume, source: v, target: \"/a:b\"}, {type: volume, source: v}]",
            "secrets: [{source: s, target: ../../etc/x}]",
            "secrets: [{source: s, target: /}]",
            "links: [nope, \"b:c\"]",
            "links: [\"nope:x\"]",
            "depends_on: [nope]",
            "command: x\n  c:\n    image:",
        ],
        "  b: {image: y:1}\nvolumes: {v: }\nsecrets: {s: {content: x}}\n",
        &expect_file!["../goldens/paths.txt"],
    );
}

#[test]
fn two_mounts_at_one_path_are_told_whatever_they_are() {
    said(
        &[
            "volumes: [v:/x]\n    tmpfs: /x/",
            "tmpfs: [/x, \"/x:size=1m\"]",
            "configs: [{source: c, target: /x}]\n    volumes: [v:/x]",
            "configs: [c]\n    secrets: [{source: s, target: /c}]",
            "secrets: [s, s]",
            "extends: b\n    tmpfs: [\"/x:size=1m\"]",
            "extends: b\n    volumes: [v:/x]",
            "volumes: [\"./conf:/c:ro\"]\n    configs: [{source: c, target: /c/a.conf}]",
        ],
        "  b: {image: y:1, tmpfs: /x}\nvolumes: {v: }\nsecrets: {s: {content: x}}\nconfigs: {c: \
         {content: y}}\n",
        &expect_file!["../goldens/mounts.txt"],
    );
}

#[test]
fn networks_that_contradict_one_another_are_told() {
    said(
        &[
            "network_mode: none\n    ports: [80]",
            "network_mode: none\n    expose: [80]",
            "network_mode: none\n    networks: [n]",
            "network_mode: bridge\n    networks: {n: }",
            "network_mode: bridge\n    networks:",
            "networks: {n: {ipv4_address: 172.28.0.7}}",
            "networks: {n: {ipv4_address: 172.29.0.7}}",
            "networks: {m: {ipv4_address: 172.28.0.7}}",
            "networks: {n: {ipv4_address: 172.28.0.7}}\n    scale: 2",
        ],
        "networks: {m: , n: {ipam: {config: [{subnet: 172.28.0.0/16}]}}}\n",
        &expect_file!["../goldens/networks.txt"],
    );
}

#[test]
fn a_variable_without_a_value_is_told_once() {
    for field in [
        "environment: [\"${NOPE:?x}\"]",
        "environment: {A: $NOPE}",
        "volumes: [\"$NOPE:/z\"]",
        "volumes: [\"${NOPE}/x:/z\"]",
        "ports: [\"$NOPE:80\"]",
        "network_mode: $NOPE",
        "init: ${NOPE!}",
        "depends_on: [$NOPE]",
        "working_dir: $NOPE",
    ] {
        let found = found_in(&format!("services:\n  a:\n    image: x:1\n    {field}\n"));
        assert_eq!(found.matches("error[").count(), 1, "{field}: {found}");
        assert!(found.contains("DN-E0561") || found.contains("DN-E0562"), "{field}: {found}");
    }
}

#[test]
fn what_may_be_meant_by_an_unknown_name_is_said_first() {
    said(
        &[
            "enviroment: {A: b}",
            "volume: [v:/x]",
            "privilged: true",
            "bananas: 1",
            "deploy: {replica: 2, resource: {}}",
            "depends_on: [databse]",
            "extends: databse",
            "volumes: [dta:/x]",
            "networks: [bakc]",
            "networks: [defualt]",
            "configs: [confg]",
            "secrets: [tokn]",
            "links: [databse]",
            "command: x\nvolums: {}\nx-rest:",
        ],
        "  database: {image: y:1}\nvolumes: {data: }\nnetworks: {back: }\nconfigs: {config: \
         {content: x}}\nsecrets: {token: {content: x}}\n",
        &expect_file!["../goldens/meant.txt"],
    );
}
