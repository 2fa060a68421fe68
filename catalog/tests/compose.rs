//! Every rendered case is a Compose document that the real `docker compose config` takes.
//!
//! Knows where that program is (`DEVNET_COMPOSE`; `make test` fetches it). Without it, what is
//! written is compared with devnet's own reading of Compose alone.

#![allow(unreachable_pub, reason = "modules of a test are seen by that test alone")]

mod placed;

use std::{
    env, fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use devnet_catalog::{Catalog, Trial, compose, trial};
use devnet_schema::component::Components;

/// Every case of every component that renders, as a document: its name and its text.
fn documents() -> Vec<(String, String)> {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("components");
    let mut all = Vec::new();
    for component in fs::read_dir(&components).unwrap() {
        let cases = component.unwrap().path().join("cases");
        for case in fs::read_dir(&cases).unwrap().map(|case| case.unwrap().path()) {
            let name = case.strip_prefix(&components).unwrap().display().to_string();
            if case.extension().is_some_and(|extension| extension == "kdl")
                && let Ok(specs) =
                    placed::render(&fs::read_to_string(&case).unwrap(), &[], Some(&[("pw", 3)]))
            {
                all.push((name, compose(&specs)));
            }
        }
    }
    all.sort();
    all
}

/// What the real program says against a document; nothing when it takes it.
fn refused(program: &str, document: &str) -> Option<String> {
    let mut run = Command::new(program)
        .args(["-p", "trial", "-f", "-", "config", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("starting {program}: {error}"));
    run.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    let output = run.wait_with_output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_real_program_takes_every_rendered_component() {
    let documents = documents();
    assert!(documents.len() >= 45, "{} documents", documents.len());
    let Ok(program) = env::var("DEVNET_COMPOSE") else {
        eprintln!("SKIPPED: DEVNET_COMPOSE names no program (tests/bed/compose.sh fetches it)");
        return;
    };
    let mut wrong = Vec::new();
    for (name, document) in &documents {
        if let Some(why) = refused(&program, document) {
            wrong.push(format!("{name}: {why}\n{document}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The program does refuse what is wrong.
    let broken = documents[0].1.replace("services:", "servces:");
    assert!(refused(&program, &broken).is_some());
}

/// A component alone, with what it needs and nobody set filled in, renders in every version.
#[test]
fn every_version_of_every_component_renders_by_itself() {
    let catalog = Catalog::builtin();
    for name in catalog.names() {
        for version in &catalog.signature(name).unwrap().versions {
            let wanted = Trial {
                component: name.to_owned(),
                version: Some(version.clone()),
                replicas: 1,
                ..Trial::default()
            };
            let tried = trial(&catalog, &wanted);
            let errors = tried.found.iter().filter(|found| found.is_error());
            let errors: Vec<String> = errors.map(ToString::to_string).collect();
            assert_eq!(tried.specs.len(), 1, "{name} {version}: {errors:?}\n{}", tried.file);
            assert!(errors.is_empty(), "{name} {version}: {errors:?}\n{}", tried.file);
        }
    }
}
