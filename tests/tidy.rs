//! The rules of the house, as tests: which crate may see which, which storey may call which, what
//! pure code may not touch, and how a file looks. docs/style.md says why.
//!
//! Knows source text and `cargo tree`. Refuses to judge taste: every rule here is mechanical.

#[path = "tidy/placement.rs"]
mod placement;
#[path = "tidy/words.rs"]
mod words;

use std::{collections::BTreeMap, fmt::Write, fs, process::Command};

use devnet_tests::tree::{self, Source};

const CRATES: [&str; 6] =
    ["schema", "catalog", "reconciler/planner", "reconciler", "agent", "tests"];
const PURE: [&str; 3] = ["schema/src", "catalog/src", "reconciler/planner/src"];

fn all() -> Vec<Source> {
    tree::rust_files(&["schema", "catalog", "reconciler", "agent", "tests"])
}

/// Fails with every finding, not the first.
fn verdict(rule: &str, findings: Vec<String>) {
    let mut text = String::new();
    for finding in &findings {
        let _ = writeln!(text, "  {finding}");
    }
    assert!(findings.is_empty(), "{rule}: {} findings\n{text}", findings.len());
}

fn manifest(krate: &str) -> String {
    let path = tree::root().join(krate).join("Cargo.toml");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The keys of `[dependencies]`.
fn dependencies(krate: &str) -> Vec<String> {
    manifest(krate)
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn arrows_point_left() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("schema", [].as_slice()),
        ("catalog", &["devnet-schema"]),
        ("reconciler/planner", &["devnet-schema", "devnet-catalog"]),
        ("reconciler", &["devnet-schema", "devnet-catalog", "devnet-planner"]),
        ("agent", &["devnet-schema"]),
        ("tests", &["devnet-schema", "devnet-catalog", "devnet-planner"]),
    ]);
    let mut findings = Vec::new();
    for krate in CRATES {
        for dependency in dependencies(krate).iter().filter(|name| name.starts_with("devnet-")) {
            if !allowed[krate].contains(&dependency.as_str()) {
                findings.push(format!("{krate} depends on {dependency}"));
            }
        }
    }
    verdict("crates see only what stands left of them", findings);
}

#[test]
fn nothing_left_of_the_bar_may_wait() {
    const CRATES_THAT_ACT: [&str; 18] = [
        "tokio",
        "gix",
        "notify",
        "rusqlite",
        "sqlx",
        "reqwest",
        "bollard",
        "sysinfo",
        "axum",
        "getrandom",
        "rand",
        "uuid",
        "nvml-wrapper",
        "rustls",
        "tempfile",
        "libc",
        "tracing",
        "async-trait",
    ];
    const WORDS: [&str; 17] = [
        "std::fs",
        "std::env",
        "std::net",
        "std::process",
        "std::thread",
        "std::io::stdin",
        "Instant::now",
        "SystemTime",
        "Timestamp::now",
        "Zoned::now",
        "HashMap",
        "HashSet",
        "async fn",
        ".await",
        "println!",
        "eprintln!",
        "thread::sleep",
    ];
    let mut findings = Vec::new();
    for krate in ["schema", "catalog", "reconciler/planner"] {
        for dependency in dependencies(krate) {
            if CRATES_THAT_ACT.contains(&dependency.as_str()) {
                findings.push(format!("{krate} depends on {dependency}"));
            }
        }
    }
    for source in tree::rust_files(&PURE).iter().filter(|source| !source.is_test()) {
        for (number, line) in code_lines(source.shipped()) {
            for word in WORDS.iter().filter(|word| line.contains(**word)) {
                findings.push(format!("{}:{number}: `{word}`", source.path));
            }
        }
    }
    verdict("pure crates have no clock, files, environment, network, threads or hashing", findings);
}

/// Numbered lines that are not comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line))
}

/// Which modules of the reconciler a module may name.
fn may_see(module: &str) -> Option<&'static [&'static str]> {
    Some(match module {
        // Faces: they speak to people, and ask the loop.
        "cli" => &["api", "app", "clock", "config", "random", "source", "telemetry", "view"],
        // An explanation is drawn as the command line draws it.
        "http" => &["api", "auth", "cycle", "view"],
        "view" => &["api"],
        // The loop: it knows time, and uses adapters.
        "cycle" => {
            &["api", "apply", "auth", "clock", "fleet", "random", "secrets", "source", "store"]
        }
        "apply" => &["api", "fleet", "store"],
        // Adapters: they know the world and not each other.
        "secrets" | "auth" | "source" | "store" => &["api"],
        // It hears from nodes, and notes when.
        "fleet" => &["api", "clock"],
        "api" | "clock" | "config" | "random" | "telemetry" | "time" => &[],
        // app stands beside the house and sees all; lib and main only name things.
        _ => return None,
    })
}

#[test]
fn imports_go_downward_only() {
    let mut findings = Vec::new();
    for source in tree::rust_files(&["reconciler/src"]) {
        let inside = source.path.trim_start_matches("reconciler/src/");
        let module = inside.split(['/', '.']).next().unwrap_or_default();
        let Some(allowed) = may_see(module) else {
            continue;
        };
        for (number, target) in crate_paths(source.shipped()) {
            // How all of them hold a time.
            let allowed = [allowed, &["time"]].concat();
            if target != module && !allowed.contains(&target.as_str()) {
                findings.push(format!("{}:{number}: {module} names {target}", source.path));
            }
        }
    }
    verdict("faces, loop, adapters: imports go downward only", findings);
}

/// The top modules that `crate::…` paths name, `use crate::{a, b}` included.
fn crate_paths(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (position, _) in text.match_indices("crate::") {
        // `$crate::` of a macro and a word that ends in `crate` are no paths of ours.
        let before = text[..position].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let number = text[..position].matches('\n').count() + 1;
        let rest = &text[position + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                found.extend(heads_of(list).into_iter().map(|name| (number, name)));
            }
            None => found.push((number, head(rest))),
        }
    }
    found
}

fn head(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first words of the items of a `{…}` list.
fn heads_of(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut fresh = true;
    let mut found = Vec::new();
    for (position, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && !c.is_whitespace() => {
                found.push(head(&list[position..]));
                fresh = false;
            }
            _ => {}
        }
    }
    found
}

#[test]
fn the_environment_is_read_in_one_place() {
    let mut findings = Vec::new();
    for source in tree::rust_files(&["reconciler/src", "agent/src"]) {
        if source.path.ends_with("/config.rs") || source.is_test() {
            continue;
        }
        for (number, line) in code_lines(source.shipped()) {
            if line.contains("env::var") {
                findings.push(format!("{}:{number}", source.path));
            }
        }
    }
    verdict("config.rs alone reads the environment", findings);
}

/// Files that no rule about time and randomness is for: they are where both are read.
const CLOCKS: [&str; 4] = [
    "reconciler/src/clock.rs",
    "reconciler/src/random.rs",
    "agent/src/clock.rs",
    "agent/src/random.rs",
];

/// Keeps records or decides, and may not even measure how long something takes.
const TIMELESS: [&str; 12] = [
    "reconciler/src/api",
    "reconciler/src/auth/",
    "reconciler/src/apply/frontier.rs",
    "reconciler/src/cycle/gate.rs",
    "reconciler/src/secrets/",
    "reconciler/src/store/",
    "reconciler/src/view/",
    "agent/src/ledger.rs",
    "agent/src/observe.rs",
    "agent/src/redaction.rs",
    "agent/src/rules.rs",
    "agent/src/validity.rs",
];

#[test]
fn time_and_randomness_are_read_in_one_place_and_are_arguments_elsewhere() {
    const WORDS: [&str; 7] = [
        "SystemTime::now",
        "Timestamp::now",
        "Zoned::now",
        "now_v7",
        "getrandom::",
        "OsRng",
        "SystemRandom",
    ];
    let mut findings = Vec::new();
    for source in tree::rust_files(&["reconciler/src", "agent/src"]) {
        if CLOCKS.contains(&source.path.as_str()) || source.is_test() {
            continue;
        }
        let timeless = TIMELESS.iter().any(|room| source.path.starts_with(room));
        for (number, line) in code_lines(source.shipped()) {
            let measures =
                timeless && ["Instant::now", ".elapsed()"].iter().any(|w| line.contains(w));
            if measures || WORDS.iter().any(|word| line.contains(word)) {
                findings.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    verdict("clock.rs and random.rs alone read the clock and randomness", findings);
}

#[test]
fn whoever_may_panic_says_why_it_cannot() {
    const WORDS: [&str; 3] = ["unreachable!(", "panic!(", ".expect("];
    let mut findings = Vec::new();
    let sources =
        ["schema/src", "catalog/src", "reconciler/planner/src", "reconciler/src", "agent/src"];
    for source in tree::rust_files(&sources).iter().filter(|source| !source.is_test()) {
        let lines: Vec<&str> = source.shipped().lines().collect();
        for (number, line) in code_lines(source.shipped()) {
            // On the line, or above it.
            let near = &lines[number.saturating_sub(3)..number];
            let reasoned = near.iter().any(|line| line.contains("// Cannot fail: "));
            if WORDS.iter().any(|word| line.contains(word)) && !reasoned {
                findings.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    verdict("`// Cannot fail: …` above whatever panics outside tests", findings);
}

#[test]
fn no_shell_is_ever_built() {
    let mut findings = Vec::new();
    for source in tree::rust_files(&["reconciler/src", "agent/src"]) {
        for (number, line) in code_lines(source.shipped()) {
            let spawns = line.contains("Command::new(");
            if spawns && ["\"sh\"", "\"bash\"", "\"/bin/sh\""].iter().any(|sh| line.contains(sh)) {
                findings.push(format!("{}:{number}", source.path));
            }
        }
    }
    verdict("no shell is built from a string", findings);
}

#[test]
fn files_are_small_and_say_what_they_know() {
    const DRAWERS: [&str; 8] =
        ["utils", "util", "helpers", "helper", "common", "misc", "manager", "stuff"];
    let mut findings = Vec::new();
    for source in all() {
        let lines = source.text.lines().count();
        if lines > 600 {
            findings.push(format!("{}: {lines} lines, more than 600", source.path));
        }
        if !source.text.starts_with("//!") {
            findings.push(format!("{}: does not open with //!", source.path));
        }
        let stem = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        if DRAWERS.contains(&stem) {
            findings.push(format!("{}: is named for a drawer", source.path));
        }
        for (index, line) in source.text.lines().enumerate() {
            if line.chars().count() > 100 {
                findings.push(format!("{}:{}: over 100 columns", source.path, index + 1));
            }
        }
    }
    verdict("files", findings);
}

#[test]
fn functions_fit_on_a_page() {
    let mut findings = Vec::new();
    for source in all() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let body = line.trim_start();
            let indent = line.len() - body.len();
            let shown = ["pub ", "pub(crate) ", "pub(super) "];
            let code = shown.iter().find_map(|word| body.strip_prefix(word)).unwrap_or(body);
            let begins = ["fn ", "async fn ", "const fn ", "unsafe fn "];
            if !begins.iter().any(|word| code.starts_with(word)) || body.ends_with(';') {
                continue;
            }
            // rustfmt closes a function with a brace at the indentation of its first line.
            let closing = format!("{}}}", " ".repeat(indent));
            let end = lines[start..].iter().position(|l| **l == *closing).unwrap_or(0);
            if end > 70 {
                findings.push(format!("{}:{}: {} lines", source.path, start + 1, end + 1));
            }
        }
    }
    verdict("functions have at most seventy lines", findings);
}

#[test]
fn nothing_is_left_for_later() {
    // Written in two halves so that this file does not find itself.
    let words: Vec<String> = [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("todo", "!("),
        ("unimplemented", "!("),
        ("#[ign", "ore"),
        ("Being wri", "tten."),
    ]
    .iter()
    .map(|(a, b)| format!("{a}{b}"))
    .collect();
    let mut findings = Vec::new();
    for source in all() {
        for (index, line) in source.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                findings.push(format!("{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
        if source.is_test() {
            continue;
        }
        for (number, line) in code_lines(source.shipped()) {
            if line.contains(".unwrap()") {
                findings.push(format!("{}:{number}: unwrap outside tests", source.path));
            }
        }
    }
    verdict("no loose ends", findings);
}

/// The names in the dependency tree of a package, default features, normal edges.
fn dependency_tree(package: &str, edges: &str) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--locked", "--prefix", "none", "--format", "{p}"])
        .args(["-e", edges, "-p", package])
        .current_dir(tree::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn one_tls_provider_and_no_openssl() {
    for package in ["devnet-reconciler", "devnet-agent"] {
        let tree = dependency_tree(package, "normal,build");
        assert!(tree.iter().any(|name| name == "ring"), "{package} uses ring");
        for name in ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"] {
            assert!(!tree.iter().any(|found| found == name), "{package} depends on {name}");
        }
    }
}

#[test]
fn the_agent_is_small() {
    let tree = dependency_tree("devnet-agent", "normal");
    for name in ["gix", "kdl", "tera", "sqlx", "rusqlite", "kube", "granit-parser", "good_lp"] {
        assert!(!tree.iter().any(|found| found == name), "devnet-agent depends on {name}");
    }
}

#[test]
fn the_top_level_is_fixed() {
    const KNOWN: [&str; 19] = [
        "Cargo.toml",
        "Cargo.lock",
        "reconciler",
        "agent",
        "schema",
        "catalog",
        "examples",
        "cluster.kdl.example",
        "tests",
        "docs",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "scripts",
        "target",
        "rustfmt.toml",
        "clippy.toml",
    ];
    let mut findings = Vec::new();
    for entry in fs::read_dir(tree::root()).expect("the top can be listed") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !KNOWN.contains(&name.as_str()) {
            findings.push(name);
        }
    }
    verdict("the top level", findings);
}

#[test]
fn the_rules_see_what_they_should() {
    let text = "use crate::{api::{A, B}, store, fleet::X};\nlet y = crate::auth::z();\n";
    let names: Vec<String> = crate_paths(text).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["api", "store", "fleet", "auth"]);
    assert!(dependencies("agent").contains(&"tokio".to_owned()));
}
