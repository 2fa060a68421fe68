//! What holds of any file: both forms mean the same, the order of declarations means nothing, and
//! nothing that anyone writes makes reading panic.
//!
//! Knows how to make up files. Refuses to know what each of them means.

use proptest::{prelude::*, sample::select};

use super::*;
use crate::file::{print, tree::Form};

/// Parts of a service that go together with any others, as lines of YAML.
const PARTS: [&str; 15] = [
    "replicas: 2",
    "priority: 80",
    "env: {LOG: info, PEER: \"{{ service.s0.address }}\", N: 3.10}",
    "env: {B: \"{{ var.domain }}\", A: \"{{ secret.pw }}\"}",
    "volumes: {data: {at: /data}, logs: {at: /logs}}",
    "files: {/b: {content: \"b\\n\\\"{{ node.name }}\"}, /a: {content: \"\", mode: 0400}}",
    "resources: {cpu: 0.25, memory: 512MiB, disk: 1GiB}",
    "resources: {gpu: 0.5}",
    "place: {require: [{tag: [big, small]}, {zone: z0}], spread: [{by: zone}], max-per-node: 3}",
    "place: {forbid: [{tag: arm}], prefer: [{node: n1, weight: 7}, {os: linux}]}",
    "health: {http: /h, interval: 2s, retries: 5}",
    "stop: {signal: SIGINT, grace: 5s}",
    "protect: true",
    "leave-data: [n0, n7]",
    "command: [serve, \"--n={{ instance.index }}\"]",
];

/// Lines of services and nodes that make a valid file in any order.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let parts = prop::collection::vec(prop::sample::subsequence(PARTS.to_vec(), 0..5), 1..6);
    parts.prop_map(|services| {
        let service = |(n, parts): (usize, Vec<&str>)| {
            let mut seen: Vec<&str> = Vec::new();
            let mut line = format!("  s{n}: {{image: \"x:{n}\", ports: [80, {{container: 81}}]");
            for part in parts {
                let key = part.split(':').next().unwrap_or("");
                if !seen.contains(&key) {
                    seen.push(key);
                    line += &format!(", {part}");
                }
            }
            if n > 0 {
                line += &format!(", depends-on: [s{}]", n - 1);
            }
            line + "}\n"
        };
        services.into_iter().enumerate().map(service).collect()
    })
}

fn yaml(lines: &[String]) -> String {
    let nodes = "nodes: {n0: {tags: [big, arm], zone: z0}, n1: {tags: [small], drain: true}}\n";
    format!("cluster: {{name: c, vars: {{domain: d}}}}\n{nodes}services:\n{}", lines.concat())
}

/// What a file means, without places.
fn meaning(name: &str, text: &str) -> String {
    let (state, found) = read(name, text);
    let state = state.unwrap_or_else(|| panic!("{}\n{text}", shown(&found)));
    without_places(&format!("{state:#?}"))
}

/// Pieces of files, right and wrong.
const PIECES: &str = "cluster|service|node|moved|image|\"x:1\"| |\n|{|}|[|]|: |- |, |;|a|db|=|\
    #true|\
    true|replicas|3|1e9|-1|\"|'|\\|/-|/*|*/|//|{{ service.a.port }}|{{|}}|&a |*a|<<|!t |---\n|\
    \u{202e}|\
    \u{0}|é|port|host|place|pin|near|depends-on|set|env|A|resources|memory|gpu|\
    99999999999999999999|\
    0.5|\"1GiB\"|component|postgres|version|secret|password|from|volume|at|\"/x\"|require|tag|\
    health|\t|\
    update|\"\"\"|#\"|\"#|~|null|? |  |    |include|\"*.kdl\"|vars|process|file|source|content";

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_forms_of_a_file_mean_the_same(lines in lines()) {
        let text = yaml(&lines);
        let (file, _) = load("c.yaml", &files("c.yaml", &text));
        let expected = meaning("c.yaml", &text);
        let kdl = print(&file, Form::Kdl);
        prop_assert_eq!(meaning("c.kdl", &kdl), expected.clone(), "{}", kdl);
        let again = print(&file, Form::Yaml);
        prop_assert_eq!(meaning("c.yaml", &again), expected, "{}", again);
    }

    #[test]
    fn the_order_of_declarations_means_nothing(
        (lines, shuffled) in
            lines().prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle())),
    ) {
        prop_assert_eq!(meaning("c.yaml", &yaml(&lines)), meaning("c.yaml", &yaml(&shuffled)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_pieces_of_files_make_reading_panic(
        pieces in prop::collection::vec(select(PIECES.split('|').collect::<Vec<_>>()), 0..40),
        name in select(vec!["c.kdl", "c.yaml"]),
    ) {
        let (state, found) = read(name, &pieces.concat());
        prop_assert_eq!(state.is_none(), found.iter().any(Diagnostic::is_error));
    }

    #[test]
    fn no_damage_to_a_good_file_makes_reading_panic(
        (name, text) in select(vec![("c.kdl", FULL_KDL), ("c.yaml", FULL_YAML)]),
        at in any::<prop::sample::Index>(),
        cut in 0usize..30,
        piece in select(PIECES.split('|').collect::<Vec<_>>()),
    ) {
        let from = at.index(text.len());
        let to = (from + cut).min(text.len());
        let damaged = format!("{}{piece}{}", &text[..from], &text[to..]);
        let (state, found) = read(name, &damaged);
        prop_assert_eq!(state.is_none(), found.iter().any(Diagnostic::is_error));
    }
}
