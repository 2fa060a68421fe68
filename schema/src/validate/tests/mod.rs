//! Tests of the language, from text to desired state and back to findings.
//!
//! Knows examples. What is printed is the snapshot.

use std::collections::BTreeMap;

use crate::{
    component::{
        ComponentSignature, Parameter, ParameterKind, PortDeclaration, SecretParameter,
        VolumeDeclaration,
    },
    desired::DesiredState,
    diagnostic::Diagnostic,
    file::{MemoryFiles, load},
    instance::{Protocol, Runtime, Scope, StopSpec},
    quantity::{Bytes, Resources},
};

mod defaults;
mod errors;
mod forms;
mod hostile;
mod meaning;
mod printing;
mod properties;
mod templates;

const FULL_KDL: &str = include_str!("full.kdl");
const FULL_YAML: &str = include_str!("full.yaml");

/// A configuration of one file, and the file that the full example takes in.
fn files(name: &str, text: &str) -> MemoryFiles {
    BTreeMap::from([
        (name.to_owned(), text.to_owned()),
        ("files/ca.pem".to_owned(), "{{ not a template }}".to_owned()),
    ])
}

/// Reads and checks one file against a small catalog.
fn read(name: &str, text: &str) -> (Option<DesiredState>, Vec<Diagnostic>) {
    let (file, mut found) = load(name, &files(name, text));
    let (state, more) = super::validate(&file, &components(), &BTreeMap::new());
    found.extend(more);
    (state, found)
}

/// The findings as people see them.
fn shown(found: &[Diagnostic]) -> String {
    found.iter().map(|found| format!("{found}\n")).collect()
}

/// A text without the places in it, so that two forms of one thing compare equal.
fn without_places(debug: &str) -> String {
    let mut out = String::new();
    let mut rest = debug;
    while let Some(start) = rest.find("Location {") {
        out.push_str(&rest[..start]);
        let end = rest[start..].find('}').expect("Debug closes what it opens");
        rest = &rest[start + end + 1..];
    }
    out + rest
}

fn components() -> BTreeMap<String, ComponentSignature> {
    BTreeMap::from([("postgres".to_owned(), postgres())])
}

fn postgres() -> ComponentSignature {
    let parameter = |kind, default: Option<&str>| Parameter {
        kind,
        default: default.map(str::to_owned),
        unit: None,
        required: default.is_none(),
        description: "said in a sentence".to_owned(),
    };
    let secret = SecretParameter {
        required: true,
        generate: false,
        length: 0,
        description: "of the owner".to_owned(),
    };
    ComponentSignature {
        name: "postgres".to_owned(),
        description: "A relational database.".to_owned(),
        versions: vec!["17".to_owned(), "16".to_owned()],
        runtimes: vec![Runtime::Docker],
        parameters: BTreeMap::from([
            ("db-name".to_owned(), parameter(ParameterKind::Text, None)),
            (
                "max-connections".to_owned(),
                parameter(ParameterKind::Integer { min: 1, max: 1000 }, Some("100")),
            ),
            ("fsync".to_owned(), parameter(ParameterKind::Boolean, Some("true"))),
            ("buffers".to_owned(), parameter(ParameterKind::Size, Some("128MiB"))),
            (
                "wal".to_owned(),
                parameter(
                    ParameterKind::Choice(vec!["minimal".into(), "replica".into()]),
                    Some("replica"),
                ),
            ),
        ]),
        secrets: BTreeMap::from([("password".to_owned(), secret)]),
        ports: vec![PortDeclaration {
            name: "main".to_owned(),
            container: 5432,
            host: None,
            scope: Scope::Internal,
            protocol: Protocol::Tcp,
        }],
        volumes: vec![VolumeDeclaration {
            name: "data".to_owned(),
            path: "/var/lib/postgresql/data".to_owned(),
            holds: "the databases".to_owned(),
            cache: false,
        }],
        resources: Resources { memory: Bytes::mib(256), ..Resources::default() },
        health: None,
        stop: StopSpec { signal: Some("SIGINT".to_owned()), ..StopSpec::default() },
        ..ComponentSignature::default()
    }
}
