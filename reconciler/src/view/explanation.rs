//! Why a service is where it is, as text and as a document.
//!
//! Knows layout. Refuses to compute: the planner has said everything.

use devnet_planner::place::{Explanation, Verdict};
use devnet_schema::placement::{Unplaceable, Violation};
use serde_json::{Value, json};

use super::style::{Style, printable};

/// One explanation. `unplaced` is there where instances have no node.
pub fn text(explained: &Explanation, unplaced: Option<&Unplaceable>, style: Style) -> String {
    let at = explained.at.as_deref().map_or(String::new(), |at| format!(" ({at})"));
    let mut out = style.bold(&format!("service.{}{at}", explained.service));
    out.push('\n');
    for (instance, node, reason) in &explained.placed {
        out.push_str(&format!("  {instance} on {node}: {}\n", printable(reason)));
    }
    if explained.missing > 0 {
        out.push_str(&style.red(&format!("  {} without a node\n", explained.missing)));
    }
    let more = if explained.missing > 0 { "one of them" } else { "one more, or one moved" };
    out.push_str(&format!("\nEvery node, for {more}:\n"));
    let width = explained.nodes.iter().map(|verdict| verdict.node.as_str().len()).max();
    for verdict in &explained.nodes {
        out.push_str(&node(verdict, width.unwrap_or(0), style));
    }
    if let Some(unplaced) = unplaced.filter(|it| !it.suggestions.is_empty()) {
        out.push_str("\nWays out, cheapest first:\n");
        for suggestion in &unplaced.suggestions {
            let checked = if suggestion.verified { " (checked)" } else { "" };
            out.push_str(&format!("  - {}{checked}\n", printable(&suggestion.text)));
        }
    }
    out
}

fn node(verdict: &Verdict, width: usize, style: Style) -> String {
    let name = format!("  {:width$}  ", verdict.node.as_str());
    let here = match verdict.here {
        0 => String::new(),
        1 => "runs 1; ".to_owned(),
        count => format!("runs {count}; "),
    };
    if verdict.violations.is_empty() {
        let cost = verdict.difference.map_or("possible".to_owned(), difference);
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

/// By how much the score would change, in millionths.
fn difference(millionths: i64) -> String {
    let score = millionths.abs() as f64 / 1e6;
    match millionths {
        0 => "possible, as good".to_owned(),
        1.. => format!("possible, {score:.3} worse"),
        _ => format!("possible, {score:.3} better for the score, and a move is not worth it"),
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
                        // No emptying makes it larger.
                        Some(whole) if need > whole => format!("give it {short} more"),
                        _ => format!("free {short}"),
                    }
                }
                _ => match violation.constraint.as_str() {
                    "cordon" => "uncordon it".to_owned(),
                    "drain" => "stop draining it".to_owned(),
                    "runtime" => "let it offer that runtime".to_owned(),
                    "gpu-memory" => "put such a GPU in".to_owned(),
                    "away" | "lost" => "bring it back".to_owned(),
                    // Who holds it is said with the violation.
                    "port" => {
                        let line = violation.line.as_deref().unwrap_or("port");
                        format!("change `{line}`{at} or free that port")
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

/// An amount of a resource with its unit.
fn amount(constraint: &str, amount: f64) -> String {
    const GIB: f64 = (1u64 << 30) as f64;
    const MIB: f64 = (1u64 << 20) as f64;
    match constraint {
        "memory" | "disk" if amount >= GIB => format!("{:.1} GiB of {constraint}", amount / GIB),
        "memory" | "disk" => format!("{:.0} MiB of {constraint}", amount / MIB),
        "cpu" => format!("{amount:.2} cores"),
        // Slices of memory are in bytes, devices and shares of them are counted.
        "gpu" if amount >= MIB => format!("{:.1} GiB of GPU memory", amount / GIB),
        "gpu" => format!("{amount:.1} GPUs"),
        _ => format!("{amount} of {constraint}"),
    }
}

/// The same for programs.
pub fn document(explained: &Explanation, unplaced: Option<&Unplaceable>) -> Value {
    let placed: Vec<Value> = explained
        .placed
        .iter()
        .map(|(instance, node, reason)| {
            json!({"instance": instance, "node": node, "reason": reason})
        })
        .collect();
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
            })
        })
        .collect();
    json!({
        "type": "explanation",
        "service": explained.service,
        "at": explained.at,
        "placed": placed,
        "missing": explained.missing,
        "nodes": nodes,
        "suggestions": unplaced.map(|it| &it.suggestions),
    })
}
