//! Five thousand generated problems and what is decided of each, as digests on record: whoever
//! rebuilds placement without meaning to change it is told when an instance moved.
//!
//! Knows the facts of outcomes and explanations, sentences left out. Refuses to say which answer
//! is right: the other tests do, and a change on purpose writes its digests here.

#![cfg(feature = "highs")]

use devnet_schema::digest::Digest;
use serde_json::{Value, json};

use super::{
    large::fleet,
    random::{small, with_devices},
    standing::grown,
    *,
};
use crate::place;

#[path = "../../../../../tests/bench/facts.rs"]
mod facts;

/// A family of problems, with the digest of what is decided of the first so many: in `make test`,
/// and in `make soak`.
struct Family {
    name: &'static str,
    problem: fn(u64) -> PlacementProblem,
    quick: (u64, &'static str),
    all: (u64, &'static str),
}

const FAMILIES: [Family; 5] = [
    Family {
        name: "small",
        problem: small,
        quick: (70, "blake3:53a4bb61f2830a1f38a9612a2e61e54f270b087d767574f1b471025e28962067"),
        all: (1200, "blake3:2afd7184f55f5bffbc8249937f24925780be4d106f1e68db6c4996f2db6eb906"),
    },
    Family {
        name: "devices",
        problem: with_devices,
        quick: (70, "blake3:e3f1161d08aeb0d5af70e373069fa8f5bc294dbd3a89c9fa1786d8f2a3fdc292"),
        all: (1200, "blake3:8aab20a5880433dfceb506adff9295b35b99a0414951dda7e5b332940b953e03"),
    },
    Family {
        name: "grown",
        problem: |seed| grown(seed, &either(seed)),
        quick: (70, "blake3:62030a5755cc6d5bf971832d25437feda53432f3b0df56653fac10c55defa561"),
        all: (1200, "blake3:3eb1eae7124a52dbf16280a860db8a371e4a43de31e617be4fb920249ed0fc5a"),
    },
    Family {
        name: "remedies",
        problem: full,
        quick: (70, "blake3:3755d251080de862b3362e5b730b7b99a1e2509996659cc34d4f4b250a74e579"),
        all: (1200, "blake3:9d7929bb4e1534bf5395393e2a9d74774c964a4f178cf87823091038fada8f57"),
    },
    Family {
        name: "fleets",
        problem: many_nodes,
        quick: (15, "blake3:22d27c2f29536180eff77707bf1aa3d13387ca7802f7f4ed5b09192e13797ba1"),
        all: (200, "blake3:5398939a773f51b020de351279e7b375219582e7214c538b8ca9477dbb70648a"),
    },
];

fn either(seed: u64) -> PlacementProblem {
    if seed.is_multiple_of(3) { with_devices(seed) } else { small(seed) }
}

/// A small problem of which every change that would help is looked for.
fn full(seed: u64) -> PlacementProblem {
    let mut problem = either(!seed);
    problem.limits.suggestions = 12;
    problem
}

/// Two to four nodes, mostly too few: solved whole, and in parts where programs are scarce.
fn many_nodes(seed: u64) -> PlacementProblem {
    let mut problem = fleet(2 + seed % 3, 85 + seed % 50);
    // The fleet of so many nodes is always the same: sizes and priorities tell these apart.
    for (at, service) in problem.services.iter_mut().enumerate() {
        let mixed = (seed + 7 * at as u64) % 11;
        service.memory += mixed * GIB / 8;
        service.priority = [10, 50, 90][((seed / 10 + at as u64) % 3) as usize];
    }
    problem.limits.whole_pairs = [0, 60, 600][(seed % 3) as usize];
    problem.limits.ilps = 2;
    problem.limits.search_nodes = 30;
    problem.limits.suggestions = 1;
    problem
}

/// Everything that is decided of one problem: some moves towards balance are asked for now and
/// then, and every service is explained.
fn decided(problem: &PlacementProblem, seed: u64) -> Value {
    let Rebalanced { gains, outcome } = rebalance(problem, (seed % 4) as u32);
    let gains: Vec<Value> = gains
        .iter()
        .map(|it| json!([it.instance, it.from, it.to, it.before, it.after, it.from_prefer]))
        .collect();
    let services =
        problem.services.iter().filter_map(|it| explain(problem, &outcome, it.name.declared()));
    let explained: Vec<Value> = services.map(|it| explained(&it)).collect();
    json!([facts::of(&outcome), gains, explained])
}

/// What is said of every node for one service, without sentences.
fn explained(explanation: &Explanation) -> Value {
    let Explanation { service, at: _, placed, displaced, missing, nodes } = explanation;
    let nodes: Vec<Value> = nodes
        .iter()
        .map(|it| {
            json!([
                it.node,
                it.here,
                it.eligible,
                facts::violations(&it.violations),
                it.difference,
                it.from,
                it.held.map(|hold| hold.word()),
                it.restarts
            ])
        })
        .collect();
    let placed: Vec<Value> = placed.iter().map(|(id, node, _)| json!([id, node])).collect();
    let displaced: Vec<Value> = displaced.iter().map(|(id, node, _)| json!([id, node])).collect();
    json!([service, placed, displaced, missing, nodes])
}

#[test]
fn soak_of_placements_on_record() {
    let full = std::env::var("DEVNET_SOAK").is_ok_and(|often| often == "full");
    let mut found = Vec::new();
    for Family { name, problem, quick, all } in FAMILIES {
        let (count, expected) = if full { all } else { quick };
        let decided: Vec<Value> = (0..count).map(|seed| decided(&problem(seed), seed)).collect();
        let digest = Digest::of(&decided);
        if digest.as_str() != expected {
            found.push(format!("{name}: {count} problems have the digest {digest}"));
        }
    }
    assert!(found.is_empty(), "placement is not what it was:\n{}", found.join("\n"));
}
