//! Forms that people write and `docker compose config` (2.40.3) takes: each ends in the same values
//! here.
//!
//! Knows the values of that program. Refuses to start it: these are its recorded answers.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use crate::{
    container::{BindSpec, Propagation},
    diagnostic::Severity,
    file::{Limits, MemoryFiles, tree::Source},
    quantity::Period,
};

/// A project called `shop` without any files beside it.
fn read(text: &str) -> (Project, Vec<Diagnostic>) {
    let (vars, set) = Default::default();
    let inputs = Inputs {
        project: "shop",
        vars: &vars,
        set: &set,
        profiles: BTreeSet::new(),
        files: &MemoryFiles::new(),
        limits: &Limits::default(),
    };
    let (loaded, found) = load(&Source::new("compose.yml", text), &inputs);
    (loaded.project, found)
}

/// The service `a` with these fields; warnings are fine, errors are not.
fn service(fields: &str) -> Service {
    let text = format!("services: {{a: {{image: x, {fields}}}}}\nvolumes: {{d: {{}}}}\n");
    let (mut project, found) = read(&text);
    let wrong: Vec<_> = found.iter().filter(|one| one.severity == Severity::Error).collect();
    assert!(wrong.is_empty(), "{fields}: {wrong:?}");
    project.services.remove("a").expect("the service")
}

fn texts(all: &[Located<String>]) -> Vec<&str> {
    all.iter().map(|one| one.value.as_str()).collect()
}

#[test]
fn a_dollar_sign_that_begins_no_reference_stays() {
    let a = service(r#"command: ["$(date)", "$1 $?", "cost $5", "$$x", "${A:-$(b)}", "$"]"#);
    let expected = ["$(date)", "$1 $?", "cost $5", "$x", "$(b)", "$"];
    assert_eq!(texts(&a.command.unwrap()), expected);
}

#[test]
fn the_projects_name_is_a_variable() {
    let a = service("hostname: \"${COMPOSE_PROJECT_NAME}-a\"");
    assert_eq!(a.hostname.unwrap().value, "shop-a");
    let (project, _) = read("services: {a: {image: x, environment: [COMPOSE_PROJECT_NAME]}}");
    assert_eq!(project.services["a"].env["COMPOSE_PROJECT_NAME"].value, "shop");
}

#[test]
fn names_of_the_environment_may_hold_anything_but_what_ends_them() {
    let env: BTreeMap<_, _> = service(r#"environment: ["A:B=1", "C D=2"]"#).env;
    assert_eq!((env["A:B"].value.as_str(), env["C D"].value.as_str()), ("1", "2"));
}

#[test]
fn a_health_check_of_several_words_is_what_the_engine_runs() {
    let check = |text: &str| service(&format!("healthcheck: {{{text}}}")).health.unwrap().value;
    let argv = check("test: [CMD-SHELL, a, b]").argv;
    assert_eq!(argv, ["/bin/sh", "-c", "a", "b"]);
    let zero = check("test: x, interval: 0s, timeout: 0, retries: 0, start_period: 0s");
    assert_eq!((zero.interval, zero.timeout, zero.retries), (None, None, None));
    let written = check("test: x, interval: 1d, timeout: 1.5s, retries: 2");
    assert_eq!(written.interval, Some(Period::seconds(86_400)));
    assert_eq!((written.timeout, written.retries), (Some(Period { millis: 1500 }), Some(2)));
}

#[test]
fn binds_say_how_mounts_travel() {
    let bind = |fields: &str| {
        let asks = service(fields).asks;
        match &asks[0].value {
            Ask::Bind(bind) => bind.clone(),
            other => panic!("{other:?}"),
        }
    };
    let spec = |read_only, propagation| BindSpec {
        source: "/a".to_owned(),
        path: "/b".to_owned(),
        read_only,
        propagation,
    };
    let shared = spec(true, Some(Propagation::Rshared));
    assert_eq!(bind(r#"volumes: ["/a:/b:ro,rshared"]"#), shared);
    let long = "volumes: [{type: bind, source: /a, target: /b, bind: {propagation: slave}}]";
    assert_eq!(bind(long), spec(false, Some(Propagation::Slave)));
    assert_eq!(bind(r#"volumes: ["/a:/b:rprivate"]"#), spec(false, None));
}

#[test]
fn a_name_with_a_slash_is_no_path() {
    let (_, found) = read("services: {a: {image: x, volumes: [\"data/sub:/x\"]}}");
    assert_eq!(found[0].message, "the volume `data/sub` is not declared");
    assert_eq!(found[0].help.as_deref(), Some("for a path beside this file write `./data/sub`"));
    let long = "services: {a: {image: x, volumes: [{type: tmpfs, target: /x, tmpfs: {size: \
                0.0001}}]}}";
    assert_eq!(read(long).1[0].code, "DN-E0551", "less than a byte is no size");
}

#[test]
fn what_has_no_effect_here_is_said_and_taken() {
    for field in [
        "logging: {driver: none}",
        "pull_policy: never",
        "cpu_shares: 512",
        "depends_on: {b: {condition: service_started, restart: true}}",
    ] {
        let text = format!("services: {{a: {{image: x, {field}}}, b: {{image: x}}}}");
        let found: Vec<_> = read(&text).1.into_iter().map(|one| one.code.to_string()).collect();
        assert_eq!(found, ["DN-W0560"], "{field}");
    }
    let (_, found) = read("services: {a: {image: x}}\nvolumes: {d: {name: x}}");
    assert_eq!(found[0].code, "DN-W0560");
}

#[test]
fn of_two_volumes_at_one_path_the_last_counts() {
    let text = "services: {a: {image: x, volumes: [\"one:/x\", \"two:/x/\"]}}\nvolumes: {one: , \
                two: }";
    let (project, found) = read(text);
    let volumes: Vec<_> = project.services["a"].volumes.iter().map(|it| &it.value.name).collect();
    assert_eq!(volumes, ["two"]);
    assert_eq!(found.iter().map(|one| &*one.code).collect::<Vec<_>>(), ["DN-W0565"]);
}

#[test]
fn a_service_whose_end_another_waits_for_runs_once() {
    let text = r#"services:
  a: {image: x, depends_on: {m: {condition: service_completed_successfully}}}
  m: {image: x, restart: "no"}
  o: {image: x, restart: on-failure}
"#;
    let (project, found) = read(text);
    let once: Vec<_> =
        project.services.iter().map(|(name, one)| (name.as_str(), one.run_once)).collect();
    assert_eq!(once, [("a", false), ("m", true), ("o", false)]);
    assert_eq!(project.services["a"].depends_on[0].value.condition, Condition::Completed);
    let told = |found: &[Diagnostic]| -> Vec<(String, u32)> {
        let first = |one: &Diagnostic| one.message.split(" is").next().unwrap().to_owned();
        found.iter().map(|one| (first(one), one.at.as_ref().unwrap().line)).collect()
    };
    assert_eq!(told(&found), [("`restart`".to_owned(), 4)], "only of what is started again");
    let check = "image: x, healthcheck: {test: y}, restart";
    let text = text.replace("\"no\"", "always").replace("image: x, restart", check);
    let (project, found) = read(&text);
    assert!(project.services["m"].health.is_none() && project.services["o"].health.is_some());
    let both = [("`healthcheck`", 3), ("`restart`", 3), ("`restart`", 4)];
    assert_eq!(told(&found), both.map(|(what, line)| (what.to_owned(), line)));
}
