//! Every example of the repository is read by the real language with the real catalog.
//!
//! Knows where examples stand. Refuses to run them: the demo and the end-to-end tests do.

use std::{collections::BTreeMap, fs, path::Path};

use devnet_schema::{
    diagnostic::Diagnostic,
    file::{MemoryFiles, discover},
    fleet::FleetSnapshot,
    plan_options::PlanOptions,
};
use devnet_tests::tree;

/// Every text file of a directory, as a configuration.
fn files_of(dir: &Path) -> MemoryFiles {
    let mut files = MemoryFiles::new();
    for entry in fs::read_dir(dir).expect("an example can be listed") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            files.insert(name, fs::read_to_string(&path).expect("examples are text"));
        }
    }
    files
}

fn findings(root: &str, files: &MemoryFiles) -> Vec<String> {
    let loaded = devnet_catalog::load(root, files, &BTreeMap::new());
    loaded.diagnostics.iter().filter(|d| d.is_error()).map(Diagnostic::to_string).collect()
}

#[test]
fn every_example_is_valid() {
    let mut seen = 0;
    for entry in fs::read_dir(tree::root().join("examples")).expect("examples") {
        let dir = entry.expect("an entry").path();
        let files = files_of(&dir);
        let root = discover(&files).unwrap_or_else(|found| panic!("{}: {found}", dir.display()));
        assert_eq!(findings(&root, &files), Vec::<String>::new(), "{}", dir.display());
        seen += 1;
    }
    assert!(seen >= 2, "only {seen} examples");
}

/// A Compose file as the commented example means it.
const SHOP: &str = r#"
services:
  web:
    image: "shop:${TAG}"
    ports: ["80"]
    volumes: ["/srv/media:/media:ro"]
  trace:
    image: tracer:1
    profiles: [debug]
"#;

#[test]
fn the_commented_example_is_valid() {
    let text = fs::read_to_string(tree::root().join("cluster.kdl.example")).expect("the example");
    let files = MemoryFiles::from([("cluster.kdl.example".to_owned(), text.clone())]);
    assert_eq!(findings("cluster.kdl.example", &files), Vec::<String>::new());
    // Behind `//   ` stands what needs other files. With those beside it, it is valid as well.
    let whole: String = text
        .lines()
        .map(|line| line.trim_start().strip_prefix("//   ").unwrap_or(line).to_owned() + "\n")
        .collect();
    let component = "component \"own\" {\n    description \"one of the reader's own\"\n    \
                     versions \"1\"\n    runtimes \"docker\"\n}\n";
    let files = [
        ("cluster.kdl", whole.as_str()),
        ("catalog/own/component.kdl", component),
        ("catalog/own/compose.yml.tera", "services:\n  own:\n    image: own:{{ version }}\n"),
        ("services/more.kdl", "service \"more\" {\n    component \"own\"\n}\n"),
        ("files/ca.pem", "certificate\n"),
        ("shop/compose.yml", SHOP),
        ("charts/site/Chart.yaml", "apiVersion: v2\nname: site\nversion: 0.1.0\n"),
        ("charts/site.yaml", "replicas: 2\n"),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
    assert_eq!(findings("cluster.kdl", &files), Vec::<String>::new(), "{whole}");
}

#[test]
fn the_readme_shows_a_valid_file() {
    let readme = fs::read_to_string(tree::root().join("README.md")).expect("the README");
    let blocks: Vec<&str> =
        readme.split("```kdl\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty(), "the README shows a cluster file");
    for block in blocks {
        let files = MemoryFiles::from([("cluster.kdl".to_owned(), block.to_owned())]);
        assert_eq!(findings("cluster.kdl", &files), Vec::<String>::new(), "{block}");
    }
}

#[test]
fn the_homelab_fits_on_its_fleet() {
    let dir = tree::root().join("examples/homelab");
    let files = files_of(&dir);
    let fleet: FleetSnapshot =
        serde_json::from_str(&files["fleet.json"]).expect("the fleet is a snapshot");
    let loaded = devnet_catalog::load("cluster.kdl", &files, &BTreeMap::new());
    let desired = loaded.desired.expect("the example is valid");
    let plan = devnet_planner::plan(&devnet_planner::PlanInput {
        desired: &desired,
        catalog: &loaded.catalog,
        fleet: &fleet,
        revision: "example",
        generations: &BTreeMap::new(),
        options: PlanOptions::default(),
        policy: devnet_planner::Policy::default(),
        limits: devnet_planner::place::Limits::default(),
        created_at: "2026-11-22T12:00:00Z",
    });
    assert!(plan.is_applicable(), "{:#?}", plan.diagnostics);
    assert_eq!(plan.summary.add, 6);
    assert_eq!(plan.placement.unplaced, 0);
}
