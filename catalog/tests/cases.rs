//! Every case of every built-in component, rendered and compared with what is written beside it.
//! `UPDATE_EXPECT=1` writes what is rendered now.

#![allow(unreachable_pub, reason = "modules of a test are seen by that test alone")]

mod placed;

use std::{fmt::Write as _, fs, path::Path};

use devnet_schema::instance::{InstanceSpec, Workload};
use expect_test::expect_file;

/// An instance for people: everything that an agent gets, line ends shown as such.
fn print(specs: &[InstanceSpec]) -> String {
    let mut out = String::new();
    for spec in specs {
        let _ = writeln!(out, "== {} on {}", spec.id, spec.node);
        match &spec.workload {
            Workload::Container(container) => {
                let _ = writeln!(out, "{}", serde_json::to_string_pretty(container).unwrap());
            }
            Workload::Process { argv } => {
                let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
                let _ = writeln!(out, "argv {argv:?}");
            }
        }
        for (name, value) in &spec.env {
            let _ = writeln!(out, "env {name}={:?}", value.to_string());
        }
        for (path, file) in &spec.files {
            let _ = writeln!(out, "file {path} {:04o}", file.mode);
            for line in file.content.to_string().lines() {
                let _ = writeln!(out, "    |{line}");
            }
        }
        for port in &spec.ports {
            let _ = writeln!(out, "port {}", serde_json::to_string(port).unwrap());
        }
        for volume in &spec.volumes {
            let _ = writeln!(out, "volume {} at {}", volume.name, volume.path);
        }
        let _ = writeln!(out, "limits {}", serde_json::to_string(&spec.limits).unwrap());
        let _ = writeln!(out, "health {}", serde_json::to_string(&spec.health).unwrap());
        let _ = writeln!(out, "stop {}", serde_json::to_string(&spec.stop).unwrap());
    }
    out
}

#[test]
fn every_case_renders_as_written() {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("components");
    let mut seen = 0;
    for component in fs::read_dir(&components).unwrap() {
        let cases = component.unwrap().path().join("cases");
        let before = seen;
        for case in fs::read_dir(&cases).unwrap().map(|case| case.unwrap().path()) {
            if case.extension().is_some_and(|extension| extension == "kdl") {
                let root = fs::read_to_string(&case).unwrap();
                let rendered = match placed::render(&root, &[], Some(&[("pw", 3)])) {
                    Ok(specs) => print(&specs),
                    Err(found) => placed::print(&found),
                };
                expect_file![case.with_extension("txt")].assert_eq(&rendered);
                seen += 1;
            }
        }
        assert!(seen > before, "{} holds no case", cases.display());
    }
}
