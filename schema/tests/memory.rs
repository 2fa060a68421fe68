//! No configuration within the usual limits makes reading and checking it take more than 256 MiB.
//!
//! Knows the shapes that take the most memory for each byte of text. Refuses to know a clock. One
//! test, as the allocator counts for the whole process.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use devnet_schema::{
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
    let mut root = "cluster: c\nservices:\n".to_owned();
    for n in 0..200 {
        let _ = writeln!(root, "  s{n}: {{compose: shop.yml}}");
    }
    [("cluster.yaml".to_owned(), root), ("shop.yml".to_owned(), shop)].into()
}

#[test]
fn no_configuration_takes_more_memory_than_allowed() {
    let shapes = YAML.iter().map(|(name, head, shape)| (*name, files(head, *shape)));
    for (name, files) in shapes.chain([("compose", compose())]) {
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage_as_mb();
        let (file, found) = load("cluster.yaml", &files);
        let (state, more) = validate(&file, &BTreeMap::new(), &BTreeMap::new());
        let peak = MEMORY.peak_usage_as_mb() - before;
        println!("{name}: {peak:.0} MiB");
        assert!(peak < MOST, "{name} takes {peak} MiB");
        let told = found.iter().chain(&more).any(|one| one.code == "DN-E0117");
        assert!(state.is_none() && told, "{name}: {:?}", found.first());
    }
}
