//! How long it takes to read and check a cluster file, in both forms and three sizes, beside what
//! others take for the same text, and how much memory it takes.
//!
//! Knows a clock and how to make up a large file, the same every time. Refuses to judge: the limits
//! are in docs/cluster-file.md, and a person compares.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    hint::black_box,
    time::{Duration, Instant},
};

use devnet_schema::{
    file::{Limits, MemoryFiles, load_within, print, tree::Form},
    validate::validate,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const SIZES: [usize; 3] = [70, 700, 7000];

/// A file of so many services in YAML, of the mix that a large fleet has: one line each, with
/// resources, constraints and now and then a port, an environment and a dependency.
fn yaml(services: usize) -> String {
    let mut text = "cluster: {name: fleet}\nnodes:\n".to_owned();
    for node in 0..services / 4 {
        let zone = node % 5;
        let _ = writeln!(text, "  n{node:04}: {{tags: [big, ssd], zone: z{zone}}}");
    }
    text.push_str("services:\n");
    for n in 0..services {
        let (cpu, memory) =
            (["0.36", "0.73", "1.46", "2.92"][n % 4], [512, 750, 1510, 3020][n % 4]);
        let _ = write!(
            text,
            "  s{n:05}: {{image: \"registry.example/app:1\", replicas: {}, priority: {}, \
             resources: {{cpu: {cpu}, memory: {memory}MiB, disk: 2000MiB}}",
            1 + n % 3,
            10 + n % 80,
        );
        match n % 5 {
            0 => text.push_str(", place: {forbid: [{tag: arm}]}"),
            1 => text.push_str(
                ", place: {require: [{tag: big}], max-per-node: 1, \
                 spread: [{by: zone, max-skew: 2}]}",
            ),
            2 => text.push_str(
                ", ports: [{container: 8080, scope: internal}], \
                 health: {http: /healthz, port: 8080}",
            ),
            3 => {
                let before = n - 1;
                let _ = write!(
                    text,
                    ", env: {{LOG: info, PEER: \"{{{{ service.s{before:05}.address }}}}\"}}, \
                     depends-on: [s{before:05}]"
                );
            }
            _ => {}
        }
        text.push_str("}\n");
    }
    text
}

/// Limits that let the largest of these through.
fn limits() -> Limits {
    let mut limits = Limits::default();
    for setting in ["kdl-file=4MiB", "yaml-file=4MiB", "values=1000000"] {
        limits.set(setting).expect("a limit");
    }
    limits
}

/// Reads and checks; the number of services.
fn check(name: &str, files: &MemoryFiles) -> usize {
    let (file, found) = load_within(name, files, &limits());
    let (state, more) = validate(&file, &BTreeMap::new(), &BTreeMap::new());
    assert!(found.is_empty() && more.is_empty(), "{found:?} {more:?}");
    state.expect("it is valid").services.len()
}

fn files(name: &str, text: &str) -> MemoryFiles {
    BTreeMap::from([(name.to_owned(), text.to_owned())])
}

/// The two forms of one file.
fn forms(services: usize) -> [(&'static str, MemoryFiles); 2] {
    let yaml = files("c.yaml", &yaml(services));
    let (file, _) = load_within("c.yaml", &yaml, &limits());
    [("c.yaml", yaml), ("c.kdl", files("c.kdl", &print(&file, Form::Kdl)))]
}

/// The median of at least ten runs, and of as many as three seconds hold.
fn median(mut run: impl FnMut() -> usize) -> Duration {
    const AT_LEAST: usize = 10;
    let begun = Instant::now();
    let mut taken = Vec::new();
    while taken.len() < AT_LEAST || begun.elapsed() < Duration::from_secs(3) {
        let before = Instant::now();
        black_box(run());
        taken.push(before.elapsed());
    }
    taken.sort_unstable();
    taken[taken.len() / 2]
}

fn tell(what: &str, bytes: usize, taken: Duration) {
    let speed = bytes as f64 / f64::from(1 << 20) / taken.as_secs_f64();
    println!("{what}: {:.3} ms, {speed:.1} MiB/s", taken.as_secs_f64() * 1000.0);
}

fn language() {
    for services in SIZES {
        for (name, files) in forms(services) {
            let taken = median(|| check(name, &files));
            tell(
                &format!("{name} {services} services, read and checked"),
                files[name].len(),
                taken,
            );
        }
    }
}

/// What others take to read the same text and check nothing.
fn others() {
    let [(_, yaml), (_, kdl)] = forms(700);
    let (yaml, kdl) = (&yaml["c.yaml"], &kdl["c.kdl"]);
    let taken = median(|| {
        usize::from(serde_yaml::from_str::<serde_yaml::Value>(yaml).expect("YAML").is_mapping())
    });
    tell("serde_norway 700 services, read only", yaml.len(), taken);
    let taken = median(|| granit_parser::Parser::new_from_str(yaml).count());
    tell("granit-parser 700 services, read only", yaml.len(), taken);
    let taken = median(|| kdl::KdlDocument::parse_v2(kdl).expect("KDL").nodes().len());
    tell("kdl 700 services, read only", kdl.len(), taken);
}

/// The most memory that is held at once, above what was held before.
fn memory() {
    for services in SIZES {
        for (name, files) in forms(services) {
            let before = MEMORY.current_usage();
            MEMORY.reset_peak_usage();
            check(name, &files);
            let most = (MEMORY.peak_usage() - before) as f64 / f64::from(1 << 20);
            let size = files[name].len() as f64 / f64::from(1 << 10);
            println!("memory: {name} {services} services, {size:.0} KiB: at most {most:.1} MiB");
        }
    }
}

fn main() {
    memory();
    language();
    others();
}
