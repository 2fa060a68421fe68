//! What `init` writes is valid, and says nothing that devnet does not understand.

use std::collections::BTreeMap;

use clap::{CommandFactory, FromArgMatches};
use devnet_schema::{
    diagnostic::Diagnostic,
    file::{Limits, MemoryFiles, format_kdl},
};
use serde_yaml::Value;

use super::*;
use crate::{
    cli::arguments::{Cli, rewrite},
    config::Environment,
};

const SYSTEMS: [Ci; 4] = [Ci::Github, Ci::Gitea, Ci::Forgejo, Ci::Gitlab];

fn cluster(ci: Ci) -> String {
    files("lab", ci, "trunk").into_iter().find(|(path, _)| *path == "cluster.kdl").unwrap().1
}

fn findings(text: &str) -> Vec<String> {
    let files = MemoryFiles::from([("cluster.kdl".to_owned(), text.to_owned())]);
    let loaded = devnet_catalog::load("cluster.kdl", &files, &BTreeMap::new());
    assert_eq!(loaded.desired.is_some(), !loaded.diagnostics.iter().any(Diagnostic::is_error));
    loaded.diagnostics.iter().map(Diagnostic::to_string).collect()
}

#[test]
fn the_cluster_file_is_valid_and_formatted() {
    for ci in SYSTEMS.into_iter().chain([Ci::None]) {
        let text = cluster(ci);
        assert_eq!(findings(&text), Vec::<String>::new());
        assert_eq!(
            format_kdl("cluster.kdl", text.clone().into_bytes(), &Limits::default()).unwrap(),
            text
        );
        assert!(text.contains("cluster \"lab\"") && !text.contains("SYNC"));
        assert_eq!(text.contains("auto=#true"), ci == Ci::None);
        assert!(text.lines().all(|line| line.chars().count() <= 100));
    }
}

/// What stands in comments as an example is valid as well, once the comment signs are gone.
#[test]
fn the_commented_examples_are_valid() {
    let text: String = cluster(Ci::None)
        .lines()
        .map(|line| match line.trim_start().strip_prefix("//   ") {
            Some(code) if !code.starts_with("include") && !code.starts_with("  ") => {
                format!("{code}\n")
            }
            Some(code) if code.starts_with("    ") && !code.contains("devnet ") => {
                format!("{code}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert_eq!(findings(&text), Vec::<String>::new(), "{text}");
    for name in ["service \"db\"", "service \"api\"", "node \"atlas\"", "replicas 2"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(name)), "{name}\n{text}");
    }
}

/// Every script of a workflow, wherever it stands.
fn scripts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Mapping(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    (Some("run"), Value::String(text)) => found.push(text.clone()),
                    (Some("script" | "before_script"), Value::Sequence(lines)) => {
                        found.extend(lines.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    _ => scripts(value, found),
                }
            }
        }
        Value::Sequence(items) => items.iter().for_each(|item| scripts(item, found)),
        _ => {}
    }
}

/// Whether the command line understands this, up to what the shell takes for itself.
fn understood(command: &str) -> Result<(), String> {
    let words: Vec<String> = command
        .split_whitespace()
        .take_while(|word| !["|", "||", ">", "&&"].contains(word))
        .map(|word| word.trim_matches('"').to_owned())
        .collect();
    let env = Environment::of(BTreeMap::new());
    let words = rewrite(words, &Cli::command(), &env);
    let matches = Cli::command().try_get_matches_from(&words).map_err(|e| e.to_string())?;
    Cli::from_arg_matches(&matches).map(drop).map_err(|error| error.to_string())
}

#[test]
fn the_workflows_say_only_what_devnet_understands() {
    for ci in SYSTEMS {
        let (path, text) = workflow(ci, "trunk").unwrap();
        let parsed: Value = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
        let mut found = Vec::new();
        scripts(&parsed, &mut found);
        let lines = found.iter().flat_map(|script| script.lines()).map(str::trim);
        let commands: Vec<&str> = lines.filter(|line| line.starts_with("devnet ")).collect();
        for command in &commands {
            understood(command).unwrap_or_else(|error| panic!("{path}: {command}: {error}"));
        }
        let says = |words: &str| commands.iter().any(|command| command.contains(words));
        assert!(says("plan -format=markdown -detailed-exitcode"), "{path}: {commands:?}");
        assert!(says("apply -auto-approve"), "{path}: {commands:?}");
        assert!(says("validate") && says("fmt -check"), "{path}: {commands:?}");
        for name in ["DEVNET_ADDR", "DEVNET_TOKEN", "DEVNET_CA_FILE", "DEVNET_SOURCE"] {
            assert!(text.contains(name), "{path} names {name}");
        }
        assert!(!text.contains("TRUST") && !text.contains("INSTALL"), "{path}\n{text}");
    }
}

/// The comments tell people what to type. That must exist, too.
#[test]
fn the_comments_name_only_commands_that_exist() {
    let root = Cli::command();
    let names: Vec<&str> = root.get_subcommands().map(clap::Command::get_name).collect();
    let mut seen = 0;
    for ci in SYSTEMS {
        for (path, text) in files("lab", ci, "trunk") {
            for line in text.lines() {
                for (at, _) in line.match_indices("devnet ") {
                    // Two blanks, a quote or a bracket end what is to be typed.
                    let rest = &line[at..];
                    let end = ["  ", "`", ";", ")"].iter().filter_map(|end| rest.find(end)).min();
                    let command = rest[..end.unwrap_or(rest.len())].trim_end();
                    let word = command.split_whitespace().nth(1).unwrap_or("");
                    if names.contains(&word) && !line.trim_start().starts_with("- name:") {
                        understood(command).unwrap_or_else(|e| panic!("{path}: {command}: {e}"));
                        seen += 1;
                    }
                }
            }
        }
    }
    assert!(seen > 30, "only {seen}");
}

#[test]
fn a_pull_request_plans_and_never_applies() {
    for ci in [Ci::Github, Ci::Gitea, Ci::Forgejo] {
        let (path, text) = workflow(ci, "trunk").unwrap();
        let parsed: Value = serde_yaml::from_str(&text).unwrap();
        let job = |name: &str| {
            let mut found = Vec::new();
            scripts(&parsed["jobs"][name], &mut found);
            (parsed["jobs"][name]["if"].as_str().unwrap_or("").to_owned(), found.concat())
        };
        let (plan, apply) = (job("plan"), job("apply"));
        assert!(plan.0.starts_with("github.event_name == 'pull_request'"), "{path}: {}", plan.0);
        assert!(!plan.1.contains("devnet apply"), "{path}");
        assert_eq!(apply.0, "github.event_name == 'push'", "{path}");
        assert_eq!(parsed["on"]["push"]["branches"][0].as_str(), Some("trunk"), "{path}");
        let newest = &parsed["jobs"]["apply"]["steps"][0]["with"]["ref"];
        assert_eq!(newest.as_str(), Some("trunk"), "{path}: each applies the newest commit");
    }
    let parsed: Value = serde_yaml::from_str(&workflow(Ci::Gitlab, "trunk").unwrap().1).unwrap();
    let rule = |job: &str| parsed[job]["rules"][0]["if"].as_str().unwrap_or("").to_owned();
    assert_eq!(rule("plan"), "$CI_PIPELINE_SOURCE == \"merge_request_event\"");
    assert!(rule("apply").ends_with("$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"));
}

#[test]
fn the_branch_is_the_one_that_the_repository_is_on() {
    let dir = tempfile::tempdir().unwrap();
    let told = |head: &str| {
        fs::create_dir_all(dir.path().join(".git")).unwrap();
        fs::write(dir.path().join(".git/HEAD"), head).unwrap();
        branch_of(&dir.path().join("sub"))
    };
    assert_eq!(told("ref: refs/heads/trunk\n"), "trunk");
    assert_eq!(told("ref: refs/heads/a]: {x\n"), BRANCH);
    assert_eq!(told("0123456789abcdef\n"), BRANCH);
}

#[test]
fn a_directory_names_the_cluster() {
    for (dir, name) in
        [("/srv/Home Lab", "home-lab"), ("/srv/__x__", "x"), ("/", FALLBACK), ("/srv/ä", FALLBACK)]
    {
        assert_eq!(name_of(Path::new(dir)), name, "{dir}");
    }
}

#[test]
fn what_cannot_be_finished_is_not_begun() {
    let dir = tempfile::tempdir().unwrap();
    // A file stands where a directory is needed, behind two files that could be written.
    let files = [("a/b/one", "1"), ("two", "2"), ("two/three", "3")];
    let files: Vec<Wanted> = files.map(|(path, text)| (path, text.to_owned())).into();
    let (path, _) = write(dir.path(), &files).unwrap_err();
    assert!(path.ends_with("two/three"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_workflow_that_applies_is_not_added_where_the_control_plane_does() {
    let dir = tempfile::tempdir().unwrap();
    let env = Environment::of(BTreeMap::new());
    let judged = |text: &str| {
        let text = format!("{text}service \"web\" {{ image \"web:1\" }}\n");
        fs::write(dir.path().join("cluster.kdl"), text).unwrap();
        refuse_two_who_apply(dir.path(), "cluster.kdl", &env)
    };
    judged("cluster \"lab\" { sync auto=#false }\n").unwrap();
    for (text, says) in [
        ("cluster \"lab\" { sync auto=#true }\n", "lets the control plane apply commits by itself"),
        ("cluster \"lab\" { }\n", "lets the control plane apply commits by itself"),
        ("cluster \"lab\" { sync auto=#maybe }\n", "has errors"),
    ] {
        let failure = judged(text).unwrap_err();
        assert!(failure.error.to_string().contains(says), "{text}: {}", failure.error);
        assert_eq!(failure.hints.last().unwrap(), "nothing was written");
    }
}
