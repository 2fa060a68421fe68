//! No configuration within the usual limits makes reading and checking it take more than 256 MiB.
//!
//! Knows the shapes that take the most memory for each byte of text. Refuses to know a clock. One
//! test, as the allocator counts for the whole process.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use devnet_schema::{
    diagnostic::Diagnostic,
    file::{MemoryFiles, load},
    validate::validate,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What may be held at once, in MiB, with room for the program itself and for what its allocator
/// adds.
const MOST: f32 = 200.0;

/// A service's lines, of which each file has some hundreds of kilobytes.
type Shape = fn(&mut String, usize) -> fmt::Result;

const YAML: [(&str, &str, Shape); 2] = [
    ("conditions", "place: {require: [", |text, n| write!(text, "{{tag: t{n}}}, ")),
    ("ports", "ports: [", |text, n| write!(text, "{{container: {}}}, ", 1 + n % 60_000)),
];

/// Twenty files of the largest size, all of one shape.
fn files(head: &str, shape: Shape) -> MemoryFiles {
    let mut files = MemoryFiles::new();
    files.insert("cluster.yaml".into(), "cluster: {name: c, include: [\"p*.yaml\"]}\n".into());
    for part in 0..20 {
        let mut text = format!("services:\n  s{part}:\n    image: x:1\n    {head}");
        let mut n = 0;
        while text.len() < 500_000 {
            shape(&mut text, n).expect("texts can be written to");
            n += 1;
        }
        let closers: String = head
            .chars()
            .rev()
            .filter_map(|c| match c {
                '{' => Some('}'),
                '[' => Some(']'),
                _ => None,
            })
            .collect();
        let _ = writeln!(text, "{closers}");
        files.insert(format!("p{part:02}.yaml"), text);
    }
    files
}

/// Many services of one small Compose file that repeats a lot.
fn compose() -> MemoryFiles {
    let ten = |name: &str| format!("[{}]", vec![format!("*{name}"); 10].join(", "));
    let shop = format!(
        "x-a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\nx-b: &b {}\nx-c: &c {}\nx-d: {}\n\
         services: {{a: {{image: \"x:1\"}}}}\n",
        ten("a"),
        ten("b"),
        ten("c"),
    );
    uses(200, shop)
}

/// So many services that use one Compose file.
fn uses(count: usize, shop: String) -> MemoryFiles {
    let mut root = "cluster: c\nservices:\n".to_owned();
    for n in 0..count {
        let _ = writeln!(root, "  s{n}: {{compose: shop.yml}}");
    }
    [("cluster.yaml".to_owned(), root), ("shop.yml".to_owned(), shop)].into()
}

/// Compose files whose short lines stand for a lot, or whose services share a lot.
fn compose_shapes() -> Vec<(&'static str, MemoryFiles, Option<&'static str>)> {
    let ports = |lines: usize| format!("ports: [{}]", vec!["\"1-100\""; lines].join(", "));
    let many = |service: &dyn Fn(usize) -> String, count: usize, more: &str| {
        let mut text = "services:\n".to_owned();
        for n in 0..count {
            let _ = writeln!(text, "  a{n}: {{image: \"x:1\", {}}}", service(n));
        }
        text + more
    };
    let networks = |count: usize| {
        let names = (0..count).map(|n| format!("n{n}: {{}}")).collect::<Vec<_>>();
        format!("networks: {{{}}}\n", names.join(", "))
    };
    let all_ranges = || {
        let ranges = (0..654).map(|n| format!("\"{}-{}\"", 1 + n * 100, 100 + n * 100));
        ranges.collect::<Vec<_>>().join(", ")
    };
    let links =
        |count: usize| (0..count).map(|n| format!("\"a0:x{n}\"")).collect::<Vec<_>>().join(", ");
    let joins = |count: usize| {
        let names = (0..count).map(|n| format!("n{n}")).collect::<Vec<_>>();
        format!("networks: [{}]", names.join(", "))
    };
    let linked = format!(
        "services:\n  a0: {{image: \"x:1\", {}}}\n  a1: {{image: \"x:1\", links: [{}]}}\n{}",
        joins(5000),
        links(20_000),
        networks(5000),
    );
    vec![
        ("same ports", uses(1, many(&|_| ports(300), 1, "")), None),
        ("same ports, too often", uses(1, many(&|_| ports(50_000), 1, "")), Some("DN-E0117")),
        (
            "all ports",
            uses(1, many(&|_| format!("ports: [{}]", all_ranges()), 60, "")),
            Some("DN-E0313"),
        ),
        ("ports of many uses", uses(10_000, many(&|_| ports(1), 1, "")), Some("DN-E0117")),
        (
            "own networks",
            uses(1, many(&|n| format!("networks: [n{n}]"), 2000, &networks(2000))),
            None,
        ),
        (
            "chained networks",
            uses(1, many(&|n| format!("networks: [n{n}, n{}]", n + 1), 8000, &networks(8001))),
            None,
        ),
        ("all wait for all", waiting(), Some("DN-E0117")),
        ("links into many networks", uses(1, linked), Some("DN-E0117")),
        (
            "many uses of a large file",
            uses(500, many(&|_| "init: true".to_owned(), 9000, "")),
            Some("DN-E0117"),
        ),
        (
            "many uses of a long file",
            uses(5000, many(&|_| String::new(), 1, &format!("# {}\n", "x".repeat(900_000)))),
            Some("DN-E0101"),
        ),
    ]
}

/// Two Compose files of many services, and all of one wait for all of the other.
fn waiting() -> MemoryFiles {
    let root = "cluster: c\nservices:\n  s: {compose: shop.yml}\n  \
                t: {compose: shop.yml, depends-on: [s]}\n";
    let mut shop = "services:\n".to_owned();
    for n in 0..4900 {
        let _ = writeln!(shop, "  a{n}: {{image: \"x:1\"}}");
    }
    [("cluster.yaml".to_owned(), root.to_owned()), ("shop.yml".to_owned(), shop)].into()
}

/// Reads and checks within the memory that there may be; whether there is a state, and what was
/// found.
fn checked(name: &str, files: &MemoryFiles) -> (bool, Vec<Diagnostic>) {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage_as_mb();
    let (file, mut found) = load("cluster.yaml", files);
    let (state, more) = validate(&file, &BTreeMap::new(), &BTreeMap::new());
    let peak = MEMORY.peak_usage_as_mb() - before;
    println!("{name}: {peak:.0} MiB");
    assert!(peak < MOST, "{name} takes {peak} MiB");
    found.extend(more);
    (state.is_some(), found)
}

#[test]
fn no_configuration_takes_more_memory_than_allowed() {
    let shapes = YAML.iter().map(|(name, head, shape)| (*name, files(head, *shape)));
    for (name, files) in shapes.chain([("compose", compose())]) {
        let (state, found) = checked(name, &files);
        let told = found.iter().any(|one| one.code == "DN-E0117");
        assert!(!state && told, "{name}: {:?}", found.first());
    }
    for (name, files, code) in compose_shapes() {
        let (state, found) = checked(name, &files);
        let errors = found.iter().filter(|one| one.is_error());
        let codes: Vec<&str> = errors.map(|one| one.code.as_str()).collect();
        match code {
            None => assert!(state && codes.is_empty(), "{name}: {codes:?}"),
            // What is too much is told once, not for everything that follows.
            Some(code) if code != "DN-E0313" => assert_eq!(codes, [code], "{name}"),
            Some(code) => assert_eq!(codes, [code; 60], "{name}"),
        }
    }
}
