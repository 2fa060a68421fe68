//! The rules of the house, as tests: which crate may see which, which storey may call which, what
//! pure code may not touch, and how a file looks. docs/style.md says why.
//!
//! Knows source text and `cargo tree`. Refuses to judge taste: every rule here is mechanical.

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
        "cli" => &["api", "app", "config", "source", "telemetry", "view"],
        "http" => &["api", "apply", "auth", "cycle", "fleet", "secrets", "store", "view"],
        "view" => &["api"],
        // The loop: it knows time, and uses adapters.
        "cycle" => &["api", "apply", "auth", "fleet", "secrets", "source", "store"],
        "apply" => &["api", "fleet", "store"],
        // Adapters: they know the world and not each other.
        "fleet" | "secrets" | "auth" | "source" | "store" => &["api"],
        "api" | "config" | "telemetry" => &[],
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

const PLACE: &str = "reconciler/planner/src/place/";

/// Which rooms of placement a room may name. `problem` is what is asked, `outcome` the answer.
fn may_see_in_placement(room: &str) -> Option<&'static [&'static str]> {
    Some(match room {
        "problem" | "effort" => &[],
        "outcome" => &["effort"],
        "model" => &["problem", "outcome"],
        "program" => &["problem", "effort", "model"],
        "search" => &["problem", "outcome", "effort", "model", "program"],
        "explain" => &["problem", "outcome", "effort", "model", "program", "search"],
        "repair" => {
            &["problem", "outcome", "effort", "model", "program", "search", "explain", "verify"]
        }
        // It shares nothing with what it looks at.
        "verify" => &["problem", "outcome"],
        // The front door sees all.
        _ => return None,
    })
}

fn placement_sources() -> Vec<Source> {
    let mut sources = tree::rust_files(&["reconciler/planner/src/place"]);
    sources.retain(|source| !source.is_test());
    sources
}

#[test]
fn the_storeys_of_placement_call_downward_only() {
    let mut findings = Vec::new();
    let rooms = ["problem", "outcome", "verify"];
    let storeys = ["effort", "model", "program", "search", "explain", "repair"];
    for source in placement_sources() {
        let module = module_in_placement(&source.path);
        let room = module.first().cloned().unwrap_or_default();
        let Some(allowed) = may_see_in_placement(&room) else {
            continue;
        };
        for (path, _) in paths_in_placement(&source, &module) {
            let target = path.first().cloned().unwrap_or_default();
            let known = rooms.contains(&&*target) || storeys.contains(&&*target);
            if target != room && !(known && allowed.contains(&target.as_str())) {
                findings.push(format!("{}: {room} names {}", source.path, path.join("::")));
            }
        }
    }
    verdict("repair, explain, search, program, model: imports go downward only", findings);
}

#[test]
fn no_files_of_placement_import_each_other_in_a_circle() {
    let sources = placement_sources();
    let modules: Vec<Vec<String>> =
        sources.iter().map(|source| module_in_placement(&source.path)).collect();
    let mut open: BTreeMap<&[String], Vec<&[String]>> = BTreeMap::new();
    for (source, module) in sources.iter().zip(&modules) {
        let targets = paths_in_placement(source, module).into_iter().filter_map(|(path, _)| {
            // The file that an item is of: the longest module that its path begins with.
            let files = modules.iter().filter(|file| path.starts_with(file));
            files.max_by_key(|file| file.len()).map(Vec::as_slice)
        });
        open.insert(module, targets.filter(|target| *target != module.as_slice()).collect());
    }
    // Whoever imports nothing that is left is in no circle.
    while let Some(module) = open
        .iter()
        .find(|(_, targets)| !targets.iter().any(|target| open.contains_key(target)))
        .map(|(module, _)| *module)
    {
        open.remove(module);
    }
    let findings = open.into_iter().map(|(module, targets)| {
        let targets: Vec<String> = targets.iter().map(|target| target.join("::")).collect();
        format!("{} imports {}", module.join("::"), targets.join(", "))
    });
    verdict("no circle of imports in placement", findings.collect());
}

/// `model::filter` of `reconciler/planner/src/place/model/filter.rs`.
fn module_in_placement(path: &str) -> Vec<String> {
    let inside = path.trim_start_matches(PLACE).trim_end_matches(".rs");
    let inside = inside.trim_end_matches("mod").trim_end_matches('/');
    inside.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// What a file of placement imports, as paths inside of it, with their lines.
fn paths_in_placement(source: &Source, module: &[String]) -> Vec<(Vec<String>, usize)> {
    let text = source.shipped();
    let children: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "))
        .map(|name| name.trim_end_matches(';'))
        .collect();
    let mut found = Vec::new();
    for (line, path) in use_paths(text) {
        let mut rest = path.as_slice();
        let mut base: Vec<String> = module.to_vec();
        match rest.first().map(String::as_str) {
            Some("crate") if rest.get(1).is_some_and(|second| second == "place") => {
                base.clear();
                rest = &rest[2..];
            }
            Some("super") => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            Some(child) if children.contains(&child) => {}
            _ => continue,
        }
        base.extend(rest.iter().cloned());
        found.push((base, line));
    }
    found
}

/// Every path that a `use` names, lists taken apart, with its line.
fn use_paths(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut at = 0;
    for statement in text.split_inclusive(';') {
        let line = text[..at].matches('\n').count() + 1;
        at += statement.len();
        let code: String = code_lines(statement).map(|(_, line)| line.trim()).collect();
        let code = code.trim_end_matches(';');
        let Some(tree) = code.strip_prefix("pub ").unwrap_or(code).strip_prefix("use ") else {
            continue;
        };
        take_apart(tree, &mut Vec::new(), &mut |path| found.push((line, path)));
    }
    found
}

fn take_apart(tree: &str, prefix: &mut Vec<String>, tell: &mut dyn FnMut(Vec<String>)) {
    let depth = prefix.len();
    let (path, list) = match tree.find('{') {
        Some(open) => (&tree[..open], tree[open + 1..].rsplit_once('}').map(|(list, _)| list)),
        None => (tree, None),
    };
    let name = |part: &str| part.split(" as ").next().unwrap_or_default().trim().to_owned();
    prefix.extend(path.split("::").map(name).filter(|part| !part.is_empty() && part != "self"));
    match list {
        None => tell(prefix.clone()),
        Some(list) => items(list).into_iter().for_each(|item| take_apart(item, prefix, tell)),
    }
    prefix.truncate(depth);
}

/// The items of a `{…}` list.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(list[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(list[from..].trim());
    found.retain(|item| !item.is_empty());
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
            let words = ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(crate) fn "];
            if !words.iter().any(|word| body.starts_with(word)) || body.ends_with(';') {
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
    let text = "mod b;\n\nuse std::fmt;\nuse crate::place::{\n    model::{self, node::Node as \
                N},\n    problem::Limits,\n};\nuse super::c;\npub use b::B;\n\nfn f() {}\n";
    let source = Source { path: format!("{PLACE}search/a/mod.rs"), text: text.to_owned() };
    let module = module_in_placement(&source.path);
    assert_eq!(module, ["search", "a"]);
    let paths = paths_in_placement(&source, &module);
    let paths: Vec<String> = paths.into_iter().map(|(path, _)| path.join("::")).collect();
    let expected =
        ["model", "model::node::Node", "problem::Limits", "search::c", "search::a::b::B"];
    assert_eq!(paths, expected);
}
