//! The storeys of placement: which of its rooms may name which, and that no files of the planner
//! import each other in a circle. docs/design/0005-placement-in-storeys.md says why.
//!
//! Knows `use` statements. Refuses to look outside of the planner.

use std::collections::BTreeMap;

use devnet_tests::tree::{self, Source};

use super::{code_lines, verdict};

const PLANNER: &str = "reconciler/planner/src/";
const PLACE: &str = "place";

/// Which rooms of placement a room may name. `problem` is what is asked, `outcome` the answer, `ix`
/// the positions that all of them count by.
fn may_see_in_placement(room: &str) -> Option<&'static [&'static str]> {
    Some(match room {
        "problem" | "ix" => &[],
        "effort" => &["ix"],
        "outcome" => &["effort"],
        "model" => &["problem", "outcome", "ix"],
        "program" => &["problem", "effort", "ix", "model"],
        "search" => &["problem", "outcome", "effort", "ix", "model", "program"],
        "explain" => &["problem", "outcome", "effort", "ix", "model", "program", "search"],
        "repair" => &[
            "problem", "outcome", "effort", "ix", "model", "program", "search", "explain", "verify",
        ],
        // It shares nothing with what it looks at.
        "verify" => &["problem", "outcome"],
        // The front door sees all.
        _ => return None,
    })
}

fn sources() -> Vec<Source> {
    let mut sources = tree::rust_files(&["reconciler/planner/src"]);
    sources.retain(|source| !source.is_test());
    sources
}

#[test]
fn the_storeys_of_placement_call_downward_only() {
    let mut findings = Vec::new();
    let rooms = ["problem", "outcome", "ix", "verify"];
    let storeys = ["effort", "model", "program", "search", "explain", "repair"];
    let room_of = |path: &[String]| match path {
        [place, rest @ ..] if place == PLACE => Some(rest.first().cloned().unwrap_or_default()),
        _ => None,
    };
    for source in sources() {
        let module = module_of(&source.path);
        let Some(room) = room_of(&module) else { continue };
        let Some(allowed) = may_see_in_placement(&room) else {
            continue;
        };
        for (path, _) in paths(&source, &module) {
            let Some(target) = room_of(&path) else {
                findings.push(format!("{}: {room} names {}", source.path, path.join("::")));
                continue;
            };
            let known = rooms.contains(&&*target) || storeys.contains(&&*target);
            if target != room && !(known && allowed.contains(&target.as_str())) {
                findings.push(format!("{}: {room} names {}", source.path, path.join("::")));
            }
        }
    }
    verdict("repair, explain, search, program, model: imports go downward only", findings);
}

#[test]
fn no_files_of_the_planner_import_each_other_in_a_circle() {
    let sources = sources();
    let modules: Vec<Vec<String>> = sources.iter().map(|source| module_of(&source.path)).collect();
    let mut open: BTreeMap<&[String], Vec<&[String]>> = BTreeMap::new();
    for (source, module) in sources.iter().zip(&modules) {
        let targets = paths(source, module).into_iter().filter_map(|(path, _)| {
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
    verdict("no circle of imports in the planner", findings.collect());
}

/// `place::model::filter` of `reconciler/planner/src/place/model/filter.rs`.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.trim_start_matches(PLANNER).trim_end_matches(".rs");
    let inside = if inside == "lib" { "" } else { inside.trim_end_matches("/mod") };
    inside.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// What a file of the planner imports of it, as paths inside of it, with their lines.
fn paths(source: &Source, module: &[String]) -> Vec<(Vec<String>, usize)> {
    let text = source.shipped();
    let children: Vec<&str> = text
        .lines()
        .filter_map(|line| without_visibility(line).strip_prefix("mod "))
        .map(|name| name.trim_end_matches(';'))
        .collect();
    let mut found = Vec::new();
    for (line, path) in use_paths(text) {
        let mut rest = path.as_slice();
        let mut base: Vec<String> = module.to_vec();
        match rest.first().map(String::as_str) {
            Some("crate") => {
                base.clear();
                rest = &rest[1..];
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

/// `use …` of `pub(crate) use …`.
fn without_visibility(line: &str) -> &str {
    match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ").map_or(line, |(_, rest)| rest),
        Some(rest) => rest.strip_prefix(' ').unwrap_or(line),
        None => line,
    }
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
        let Some(tree) = without_visibility(code).strip_prefix("use ") else {
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
fn the_rules_of_placement_see_what_they_should() {
    let text = "mod b;\n\nuse std::fmt;\nuse crate::place::{\n    model::{self, node::Node as \
                N},\n    problem::Limits,\n};\nuse super::c;\npub(crate) use b::B;\n\nfn f() {}\n";
    let path = format!("{PLANNER}{PLACE}/search/a/mod.rs");
    let source = Source { path, text: text.to_owned() };
    let module = module_of(&source.path);
    assert_eq!(module, ["place", "search", "a"]);
    assert!(module_of(&format!("{PLANNER}lib.rs")).is_empty());
    let paths: Vec<String> =
        paths(&source, &module).into_iter().map(|(path, _)| path.join("::")).collect();
    let expected = [
        "place::model",
        "place::model::node::Node",
        "place::problem::Limits",
        "place::search::c",
        "place::search::a::b::B",
    ];
    assert_eq!(paths, expected);
}
