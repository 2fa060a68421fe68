//! Why a service is where it is, as text and as a document.
//!
//! Knows layout. Refuses to compute: the planner has said everything.

use std::collections::BTreeSet;

use devnet_planner::place::{Explanation, Hold, Verdict};
use devnet_schema::{
    name::{InstanceId, NodeName},
    placement::{Unplaceable, Violation},
};
use serde_json::{Value, json};

use super::{
    plan_text,
    style::{Style, printable},
};

/// How long the search for a placement was allowed to take, and whether that ended it.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// In seconds, where there was a limit.
    pub solve_limit: Option<f64>,
    /// Whether the limit was reached: asked again, the answer may differ.
    pub cut_short: bool,
}

/// One explanation. `unplaced` is there where instances have no node.
pub fn text(
    explained: &Explanation,
    unplaced: Option<&Unplaceable>,
    timing: Timing,
    style: Style,
) -> String {
    let at = explained.at.as_deref().map_or(String::new(), |at| format!(" ({at})"));
    let mut out = style.bold(&format!("service.{}{at}", explained.service));
    out.push('\n');
    for (instance, node, reason) in &explained.placed {
        out.push_str(&format!("  {instance} on {node}: {}\n", printable(reason)));
    }
    for (instance, node, reason) in &explained.displaced {
        out.push_str(&format!("  {instance} runs on {node}: it {}\n", printable(reason)));
    }
    if explained.missing > 0 {
        out.push_str(&style.red(&format!("  {} without a node\n", explained.missing)));
    }
    let more = if explained.missing > 0 { "one of them" } else { "one moved there" };
    out.push_str(&format!("\nEvery node, for {more}:\n"));
    let width = explained.nodes.iter().map(|verdict| verdict.node.as_str().len()).max();
    for verdict in &explained.nodes {
        out.push_str(&node(verdict, explained, width.unwrap_or(0), style));
    }
    if let Some(unplaced) = unplaced.filter(|it| !it.suggestions.is_empty()) {
        out.push_str("\nRemedies, cheapest first:\n");
        for suggestion in &unplaced.suggestions {
            let checked = if suggestion.verified { " (checked)" } else { "" };
            out.push_str(&format!("  - {}{checked}\n", printable(&suggestion.text)));
        }
    }
    if let Some(line) = plan_text::solve_limit(timing.solve_limit, timing.cut_short) {
        out.push_str(&format!("\n{line}\n"));
    }
    out
}

fn node(verdict: &Verdict, explained: &Explanation, width: usize, style: Style) -> String {
    let name = format!("  {:width$}  ", verdict.node.as_str());
    let mut here = match verdict.here {
        0 => String::new(),
        1 => "runs 1; ".to_owned(),
        count => format!("runs {count}; "),
    };
    if verdict.from.is_none() && explained.missing == 0 {
        here.push_str("one more: ");
    }
    if verdict.violations.is_empty() {
        let cost = verdict.difference.map_or("possible".to_owned(), |by| {
            let nodes: BTreeSet<_> = explained.placed.iter().map(|(_, node, _)| node).collect();
            let from = verdict.from.as_ref().filter(|_| nodes.len() > 1);
            let from = from.map_or(String::new(), |from| format!(" for the one on {from}"));
            difference(by, verdict, &from)
        });
        return format!("{name}{here}{}\n", style.green(&cost));
    }
    let indent = " ".repeat(width + 4);
    let mut lines =
        verdict.violations.iter().map(|violation| style.red(&self::violation(violation)));
    let mut out = format!("{name}{here}{}\n", lines.next().unwrap_or_default());
    for line in lines {
        out.push_str(&format!("{indent}{line}\n"));
    }
    let changes = changes(&verdict.violations);
    if !changes.is_empty() {
        out.push_str(&format!("{indent}to have it here: {}\n", changes.join(" and ")));
    }
    out
}

/// By how much the score would change, in millionths, and why the move is not made all the same.
fn difference(millionths: i64, verdict: &Verdict, whose: &str) -> String {
    let score = millionths.abs() as f64 / 1e6;
    let better = millionths < 0;
    let by = match millionths {
        0 => "as good".to_owned(),
        1.. => format!("{score:.3} worse"),
        _ => format!("{score:.3} better for the score"),
    };
    let whose = match verdict.restarts {
        0 => whose.to_owned(),
        1 => format!("{whose}, but another would restart for it on other GPUs"),
        many => format!("{whose}, but {many} others would restart for it on other GPUs"),
    };
    match (verdict.held, &verdict.from) {
        (Some(Hold::Data), _) => {
            format!("possible without its data, {by}{whose}: data never moves")
        }
        (Some(Hold::Offline), Some(from)) => {
            format!("possible, {by}{whose}: it may still run on {from}, which is offline")
        }
        (Some(Hold::Runs), _) if better => format!(
            "possible, {by}{whose}: what may stay moves for the score by `devnet rebalance` only"
        ),
        _ => format!("possible, {by}{whose}"),
    }
}

fn violation(violation: &Violation) -> String {
    let at = violation.at.as_deref().map_or(String::new(), |at| format!(" ({at})"));
    format!("{}{at}", printable(&violation.text))
}

/// What would have to change, a phrase for each violation.
fn changes(violations: &[Violation]) -> Vec<String> {
    violations
        .iter()
        .map(|violation| {
            let at = violation.at.as_deref().map_or(String::new(), |at| format!(" at {at}"));
            match (violation.need, violation.free) {
                (Some(need), Some(free)) if need > free => {
                    let short = amount(&violation.constraint, need - free);
                    match violation.whole {
                        Some(whole) if whole == 0.0 && violation.constraint == "gpu" => {
                            "put a GPU in".to_owned()
                        }
                        // Nobody there could give it up.
                        _ if violation.give => format!("give it {short} more"),
                        _ => format!("free {short}"),
                    }
                }
                _ => match violation.constraint.as_str() {
                    "cordon" => "uncordon it".to_owned(),
                    "drain" => "stop draining it".to_owned(),
                    "runtime" => "let it offer that runtime".to_owned(),
                    "gpu-memory" => "put such a GPU in".to_owned(),
                    "away" | "lost" => "bring it back".to_owned(),
                    "data" => "move its data there".to_owned(),
                    // Who holds it is said with the violation.
                    "port" => {
                        let line = violation.line.as_deref().unwrap_or("port");
                        format!("remove `{line}`{at}, or have that port freed")
                    }
                    constraint => {
                        let line = violation.line.as_deref().unwrap_or(constraint);
                        format!("drop `{line}`{at}")
                    }
                },
            }
        })
        .collect()
}

/// An amount of a resource with its unit, never rounded down to less than is needed.
fn amount(constraint: &str, amount: f64) -> String {
    const GIB: f64 = (1u64 << 30) as f64;
    const MIB: f64 = (1u64 << 20) as f64;
    match constraint {
        "memory" | "disk" if amount >= GIB => {
            format!("{:.1} GiB of {constraint}", up(amount / GIB, 10.0))
        }
        "memory" | "disk" => format!("{:.0} MiB of {constraint}", up(amount / MIB, 1.0)),
        "cpu" => format!("{:.2} cores", up(amount, 100.0)),
        // Slices of memory are in bytes, devices and shares of them are counted.
        "gpu" if amount >= MIB => format!("{:.1} GiB of GPU memory", up(amount / GIB, 10.0)),
        "gpu" if amount == 1.0 => "1 GPU".to_owned(),
        "gpu" => format!("{} GPUs", up(amount, 1000.0)),
        _ => format!("{amount} of {constraint}"),
    }
}

/// The next of so many parts of one.
fn up(amount: f64, parts: f64) -> f64 {
    (amount * parts - 1e-6).ceil() / parts
}

/// The same for programs.
pub fn document(explained: &Explanation, unplaced: Option<&Unplaceable>, timing: Timing) -> Value {
    let row = |(instance, node, reason): &(InstanceId, NodeName, String)| -> Value {
        json!({"instance": instance, "node": node, "reason": reason})
    };
    let placed: Vec<Value> = explained.placed.iter().map(row).collect();
    let displaced: Vec<Value> = explained.displaced.iter().map(row).collect();
    let nodes: Vec<Value> = explained
        .nodes
        .iter()
        .map(|verdict| {
            json!({
                "node": verdict.node,
                "here": verdict.here,
                "eligible": verdict.eligible,
                "violations": verdict.violations,
                "difference": verdict.difference.map(|millionths| millionths as f64 / 1e6),
                "from": verdict.from,
                "held": verdict.held.map(Hold::word),
                "restarts": verdict.restarts,
            })
        })
        .collect();
    let mut document = json!({
        "type": "explanation",
        "service": explained.service,
        "at": explained.at,
        "placed": placed,
        "displaced": displaced,
        "missing": explained.missing,
        "nodes": nodes,
        "suggestions": unplaced.map(|it| &it.suggestions),
    });
    if let Some(limit) = timing.solve_limit {
        document["solve_limit"] = json!(limit);
        document["cut_short"] = json!(timing.cut_short);
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(difference: i64, from: Option<&str>, held: Option<Hold>) -> Verdict {
        Verdict {
            node: "n3".parse().unwrap(),
            here: 0,
            eligible: true,
            violations: Vec::new(),
            difference: Some(difference),
            from: from.map(|node| node.parse().unwrap()),
            held,
            restarts: 0,
        }
    }

    fn explained(nodes: &[&str]) -> Explanation {
        let placed = nodes.iter().enumerate().map(|(index, node)| {
            let instance = format!("web[{index}]").parse().unwrap();
            (instance, node.parse().unwrap(), "stays where it runs".to_owned())
        });
        let service = "web".parse().unwrap();
        Explanation {
            service,
            at: None,
            placed: placed.collect(),
            displaced: Vec::new(),
            missing: 0,
            nodes: Vec::new(),
        }
    }

    fn line(verdict: &Verdict, nodes: &[&str]) -> String {
        node(verdict, &explained(nodes), 2, Style::PLAIN).trim_end().to_owned()
    }

    #[test]
    fn a_better_node_says_what_keeps_the_instance_from_it() {
        for (verdict, said) in [
            (verdict(20_000, Some("n1"), Some(Hold::Runs)), "  n3  possible, 0.020 worse"),
            (verdict(0, Some("n1"), None), "  n3  possible, as good"),
            (verdict(0, None, None), "  n3  one more: possible, as good"),
            (
                verdict(-20_000, Some("n1"), Some(Hold::Runs)),
                "  n3  possible, 0.020 better for the score: what may stay moves for the score by \
                 `devnet rebalance` only",
            ),
            (
                verdict(-20_000, Some("n1"), Some(Hold::Data)),
                "  n3  possible without its data, 0.020 better for the score: data never moves",
            ),
            (
                verdict(20_000, Some("n1"), Some(Hold::Offline)),
                "  n3  possible, 0.020 worse: it may still run on n1, which is offline",
            ),
        ] {
            assert_eq!(line(&verdict, &["n1"]), said);
        }
        let mut crowded = verdict(-20_000, Some("n1"), None);
        crowded.restarts = 1;
        let said = "  n3  possible, 0.020 better for the score, but another would restart for \
                    it on other GPUs";
        assert_eq!(line(&crowded, &["n1"]), said);
        let second = verdict(20_000, Some("n2"), Some(Hold::Runs));
        assert_eq!(line(&second, &["n1", "n2"]), "  n3  possible, 0.020 worse for the one on n2");
    }

    #[test]
    fn a_limit_of_time_is_told_with_the_answer() {
        let timing = |solve_limit, cut_short| Timing { solve_limit, cut_short };
        let told = explained(&["n1"]);
        let free = text(&told, None, timing(None, false), Style::PLAIN);
        assert!(!free.contains("Solve limit"), "{free}");
        assert!(document(&told, None, timing(None, false)).get("solve_limit").is_none());
        let cut = text(&told, None, timing(Some(0.5), true), Style::PLAIN);
        assert!(
            cut.ends_with(
                "\nSolve limit: 0.5s, reached: planned again the placement may differ.\n"
            )
        );
        let cut = document(&told, None, timing(Some(0.5), true));
        assert_eq!((&cut["solve_limit"], &cut["cut_short"]), (&json!(0.5), &json!(true)));
    }
}
