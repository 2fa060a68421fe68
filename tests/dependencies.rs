//! What is built beside our own code: under which licences, from where, how often, and with which
//! features.
//!
//! Knows what Cargo resolves for this machine. Refuses to know weaknesses: the database of those is
//! not in the repository, and `scripts/test.sh` says whether it was asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use devnet_tests::tree;
use serde_json::Value;
use spdx::{Expression, ParseMode};

/// Licences under which something may be built in. Each lets a program be given on under its own
/// licence, MPL-2.0 as long as its own files are not changed.
const LICENCES: [&str; 10] = [
    "Apache-2.0",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Crates of which two versions are built, with whoever holds the older one, and when that was last
/// looked at. One that is built once again has to leave this list.
const TWICE: [(&str, &str, &str); 13] = [
    ("base64", "axum, bollard and boon ask for 0.22", "2026-11-30"),
    ("block-buffer", "digest 0.10, of tungstenite's sha1", "2026-11-30"),
    ("cpufeatures", "tungstenite's sha1", "2026-11-30"),
    ("crypto-common", "digest 0.10, of tungstenite's sha1", "2026-11-30"),
    ("getrandom", "ring asks for 0.2, rand 0.9 for 0.3", "2026-11-30"),
    ("hashbrown", "dashmap of gix-tempfile asks for 0.14, hashlink for 0.16", "2026-11-30"),
    ("rand", "tungstenite asks for 0.9", "2026-11-30"),
    ("rand_core", "rand 0.9", "2026-11-30"),
    ("shlex", "bindgen asks for 1", "2026-11-30"),
    ("syn", "bindgen and a third of all macros ask for 2", "2026-11-30"),
    ("thiserror", "nvml-wrapper asks for 1", "2026-11-30"),
    ("thiserror-impl", "thiserror 1", "2026-11-30"),
    (
        "webpki-roots",
        "tokio-tungstenite asks for 0.26, which is 1 under an older name",
        "2026-11-30",
    ),
];

/// What a Cargo command prints. It asks no network, and changes no lock file.
fn cargo(args: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(args).args(["--offline", "--locked"]).current_dir(tree::root());
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints text")
}

/// Everything that is built for this machine, tests included, but our own crates.
fn foreign() -> Vec<Value> {
    let host = cargo_host();
    let text = cargo(&["metadata", "--format-version=1", "--filter-platform", &host]);
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let packages = all["packages"].as_array().expect("packages").iter();
    let found: Vec<Value> = packages.filter(|it| !it["source"].is_null()).cloned().collect();
    assert!(found.len() > 200, "only {} packages", found.len());
    found
}

/// The machine's name in Rust's words.
fn cargo_host() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.expect("rustc names its host").to_owned()
}

#[test]
fn everything_built_in_has_a_licence_that_allows_it() {
    let mut wrong = Vec::new();
    for package in foreign() {
        let name = format!("{} {}", package["name"], package["version"]);
        let licence = package["license"].as_str().unwrap_or_default();
        match Expression::parse_mode(licence, ParseMode::LAX) {
            Ok(it) if it.evaluate(|one| LICENCES.contains(&one.to_string().as_str())) => {}
            Ok(_) => wrong.push(format!("{name}: {licence} is none that this project builds in")),
            Err(error) => wrong.push(format!("{name}: `{licence}` is no licence: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn everything_built_in_comes_from_the_registry() {
    let packages = foreign().into_iter();
    let elsewhere: Vec<_> = packages.filter(|it| it["source"] != REGISTRY).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

/// Name, version and features of everything that is built.
fn built(edges: &str) -> BTreeSet<(String, String, String)> {
    let args = ["tree", "--workspace", "--prefix=none", "--format={p}\t{f}", "--edges", edges];
    cargo(&args)
        .lines()
        .filter_map(|line| {
            let (package, features) = line.split_once('\t')?;
            let mut words = package.split(' ');
            let features = features.trim_end_matches(" (*)");
            Some((words.next()?.to_owned(), words.next()?.to_owned(), features.to_owned()))
        })
        .collect()
}

#[test]
fn a_crate_is_built_in_two_versions_only_where_somebody_looked_at_it() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version, _) in built("normal,build") {
        versions.entry(name).or_default().insert(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let known: BTreeSet<&str> = TWICE.iter().map(|(name, _, _)| *name).collect();
    let new: Vec<_> = versions.iter().filter(|(name, _)| !known.contains(name.as_str())).collect();
    let gone: Vec<_> = known.iter().filter(|name| !versions.contains_key(**name)).collect();
    assert!(new.is_empty(), "built in several versions: {new:#?}");
    assert!(gone.is_empty(), "built once again, so take them out of the list: {gone:?}");
}

/// What dependencies of tests ask of other crates holds for the programs too, so that nothing is
/// compiled once for `make demo` and again for `make test`. tests/Cargo.toml names them.
#[test]
fn programs_and_tests_are_built_with_the_same_features() {
    let with_tests = built("normal,build,dev");
    let programs = built("normal,build");
    let alone: Vec<_> = programs.difference(&with_tests).collect();
    assert!(alone.is_empty(), "tests change the features of these: {alone:#?}");
}
