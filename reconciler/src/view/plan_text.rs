//! The plan as text, in the words and symbols that Terraform users read every day.
//!
//! Knows layout. Refuses to compute: every number and reason is in the document. The summary lines
//! are byte-exact, because other programs parse them (docs/cli.md).

use devnet_planner::unit::Unit;
use devnet_schema::{
    placement::{
        Eviction, Gain, Objective, PlacementReport, PlacementStatus, PriorityLevel, Unplaceable,
    },
    plan::{Action, Change, Drift, Plan, Summary},
};

use super::{
    levels, search,
    style::{Style, printable},
};

/// The line that says there is nothing to do.
pub const NO_CHANGES: &str = "No changes. Your infrastructure matches the configuration.";

/// The whole plan. Diagnostics are not in it: they go to standard error.
pub fn plan(plan: &Plan, style: Style) -> String {
    let mut out = String::new();
    out.push_str(&drift(&plan.drift, style));
    out.push_str(&gains(&plan.placement, style));
    if plan.summary.is_empty() {
        if plan.is_applicable() {
            out.push_str(&style.green(&nothing(&plan.placement)));
            out.push('\n');
        }
    } else {
        out.push_str("devnet will perform the following actions:\n\n");
        for change in plan.changes.iter().filter(|change| change.action != Action::Noop) {
            out.push_str(&self::change(change, style));
            out.push('\n');
        }
        out.push_str(&style.bold(&summary(&plan.summary)));
        out.push('\n');
    }
    if let Some(why) = refused(plan) {
        out.push_str(&format!("{}\n\n", style.bold(&why)));
    }
    // Where the plan is made, its changes say who stops.
    let stops: &[Eviction] = if plan.is_applicable() { &[] } else { &plan.placement.evictions };
    for unplaceable in &plan.placement.infeasible {
        out.push_str(&self::unplaceable(unplaceable, stops, style));
    }
    if !plan.summary.is_empty() || open(&plan.placement) > 0 {
        out.push_str(&placement(&plan.placement));
        out.push('\n');
        out.push_str(&levels::text(&plan.placement));
    }
    if let Some(line) = solve_limit(plan.placement.solve_limit, plan.placement.cut_short) {
        out.push_str(&format!("{line}\n"));
    }
    out.push_str(&search::text(&plan.placement.search));
    out
}

/// Instances that have no place, or wait for one.
pub fn open(report: &PlacementReport) -> u32 {
    let waits = |it: &PriorityLevel| it.waiting_for_data + it.waiting_for_service;
    report.unplaced + report.levels.iter().map(waits).sum::<u32>()
}

/// What a plan without changes says: that all is as declared, or what is not and stays so.
pub fn nothing(report: &PlacementReport) -> String {
    let waiting = open(report) - report.unplaced;
    let count = |count: u32, one: &str, many: &str| match count {
        1 => format!("1 instance {one}"),
        count => format!("{count} instances {many}"),
    };
    let unplaced = count(report.unplaced, "has no place", "have no place");
    let waits = count(waiting, "waits", "wait");
    match (report.unplaced, waiting) {
        (0, 0) => NO_CHANGES.to_owned(),
        (0, _) => format!("No changes. {waits}: the warnings say what helps."),
        (_, 0) => format!("No changes. {unplaced}: the warnings say what helps."),
        _ => format!("No changes. {unplaced} and {waits}: the warnings say what helps."),
    }
}

/// What a plan says that is refused because something has no place.
pub fn refused(plan: &Plan) -> Option<String> {
    plan.diagnostics.iter().find(|found| found.code == "DN-E0601")?;
    let waits = plan.placement.levels.iter().map(|it| it.waiting_for_service).sum();
    let what = match plan.placement.unplaced {
        0 => waits,
        some => some,
    };
    let what = match what {
        1 => "1 instance has no place".to_owned(),
        count => format!("{count} instances have no place"),
    };
    Some(format!("Nothing will be done: {what}. With -allow-unplaced the rest is planned."))
}

/// `Plan: 2 to add, 1 to change, 0 to destroy.`
pub fn summary(summary: &Summary) -> String {
    let Summary { add, change, destroy, moved: _, forget } = summary;
    let forget = if *forget > 0 { format!(", {forget} to forget") } else { String::new() };
    format!("Plan: {add} to add, {change} to change, {destroy} to destroy{forget}.")
}

/// `Apply complete! Resources: 2 added, 1 changed, 0 destroyed.`
pub fn applied(summary: &Summary) -> String {
    let Summary { add, change, destroy, moved, forget } = summary;
    let forgotten = if *forget > 0 { format!(", {forget} forgotten") } else { String::new() };
    let mut out = format!(
        "Apply complete! Resources: {add} added, {change} changed, {destroy} destroyed{forgotten}."
    );
    if *moved > 0 {
        out.push_str(&format!("\nPlacement: {moved} moved."));
    }
    out
}

/// `Placement: 3 to move, 0 unplaced, cost 41 (optimal, gap 0%, 0.3s).`
pub fn placement(report: &PlacementReport) -> String {
    let status = match report.status {
        PlacementStatus::Optimal => "optimal",
        PlacementStatus::Feasible => "feasible",
        PlacementStatus::Infeasible => "infeasible",
    };
    let seconds = report.seconds.map_or(String::new(), |seconds| format!(", {seconds:.1}s"));
    format!(
        "Placement: {} to move, {} unplaced, cost {} ({status}, gap {}{seconds}).",
        report.moves,
        report.unplaced,
        number(report.cost),
        percent(report.gap),
    )
}

/// `Solve limit: 2s, not reached.` where one was given, in seconds.
pub fn solve_limit(limit: Option<f64>, cut_short: bool) -> Option<String> {
    let limit = limit?;
    let reached =
        if cut_short { "reached: planned again the placement may differ" } else { "not reached" };
    Some(format!("Solve limit: {limit}s, {reached}."))
}

/// One line a move: `service.web[3]  n1 -> n4  gain 0.0123 (score 1.2340 -> 1.2217)`.
fn gains(report: &PlacementReport, style: Style) -> String {
    let gains = &report.gains;
    let (Some(first), Some(last)) = (gains.first(), gains.last()) else {
        return String::new();
    };
    let mut out = style.bold(&format!("Moves that {}:", aim(report)));
    out.push_str("\n\n");
    let address = |gain: &Gain| gain.instance.address();
    let nodes = |Gain { from, to, .. }: &Gain| format!("{from} -> {to}");
    let wide = |text: &dyn Fn(&Gain) -> String| gains.iter().map(|gain| text(gain).len()).max();
    let (left, right) = (wide(&address).unwrap_or(0), wide(&nodes).unwrap_or(0));
    for line in gains {
        let (address, nodes) = (address(line), nodes(line));
        let Gain { gain, before, after, .. } = line;
        let sign = style.cyan(symbol(Action::Move));
        let prefer = match line.from_prefer {
            part if part.abs() < 5e-7 => String::new(),
            part if (part - gain).abs() < 5e-7 => " by `prefer`".to_owned(),
            part => format!(", {part:.4} of it by `prefer`"),
        };
        let scores = format!("gain {gain:.4}{prefer} (score {before:.4} -> {after:.4})");
        out.push_str(&format!("  {sign} {address:left$}  {nodes:right$}  {scores}\n"));
    }
    let moves =
        if gains.len() == 1 { "1 move".to_owned() } else { format!("{} moves", gains.len()) };
    let total: f64 = gains.iter().map(|line| line.gain).sum();
    let (before, after) = (first.before, last.after);
    out.push_str(&format!(
        "\nTotal: {moves}, gain {total:.4} (score {before:.4} -> {after:.4}).\n\n"
    ));
    out
}

/// What the gains are made of, as what the moves do.
fn aim(report: &PlacementReport) -> &'static str {
    // Scores are sums of millionths.
    let by_prefer = report.gains.iter().any(|it| it.from_prefer > 5e-7);
    let by_rest = report.gains.iter().any(|it| it.gain - it.from_prefer > 5e-7);
    match (report.objective, by_rest, by_prefer) {
        (_, false, _) => "bring instances to nodes that they prefer",
        (Objective::Balance, true, false) => "make the cluster more even",
        (Objective::Pack, true, false) => "leave fewer nodes in use",
        (Objective::Balance, true, true) => {
            "make the cluster more even, or bring instances to nodes that they prefer"
        }
        (Objective::Pack, true, true) => {
            "leave fewer nodes in use, or bring instances to nodes that they prefer"
        }
    }
}

/// At most two decimals, none when they are zero.
pub fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// In tenths; 0 only where it is 0.
fn percent(gap: f64) -> String {
    let least = if gap > 0.0 { 0.1 } else { 0.0 };
    let text = format!("{:.1}", (gap * 100.0).max(least));
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn drift(drift: &[Drift], style: Style) -> String {
    if drift.is_empty() {
        return String::new();
    }
    let mut out = style.bold("Note: Objects have changed outside of devnet");
    out.push_str("\n\n");
    for Drift { instance, node, what } in drift {
        out.push_str(&format!("  # {} on {node}: {}\n", instance.address(), printable(what)));
    }
    out.push('\n');
    out
}

/// The symbol of an action.
pub fn symbol(action: Action) -> &'static str {
    match action {
        Action::Create => "+",
        Action::Update => "~",
        Action::Replace => "-/+",
        Action::Move => ">",
        Action::Delete => "-",
        Action::Forget => ".",
        Action::Noop => " ",
    }
}

fn headline(change: &Change) -> String {
    let (address, node) = (change.instance.address(), &change.node);
    match change.action {
        Action::Create => format!("{address} will be created on {node}"),
        Action::Update => format!("{address} on {node} will be updated in-place"),
        Action::Replace => format!("{address} on {node} must be replaced"),
        Action::Move => match &change.from {
            Some(from) => format!("{address} will move from {from} to {node}"),
            None => format!("{address} will move to {node}"),
        },
        Action::Delete => format!("{address} on {node} will be destroyed"),
        Action::Forget => format!("{address} on {node} will no longer be managed, and runs on"),
        Action::Noop => format!("{address} on {node} stays as it is"),
    }
}

fn change(change: &Change, style: Style) -> String {
    let paint = |text: &str| match change.action {
        Action::Create => style.green(text),
        Action::Delete | Action::Replace => style.red(text),
        Action::Update => style.yellow(text),
        Action::Move | Action::Forget => style.cyan(text),
        Action::Noop => text.to_owned(),
    };
    let mut out = format!("  # {}\n", style.bold(&headline(change)));
    if !change.reason.is_empty() {
        out.push_str(&format!("  # (because {})\n", printable(&change.reason)));
    }
    out.push_str(&format!("  {} {}\n", paint(symbol(change.action)), change.instance.address()));
    for line in created(change).lines().chain(change.diff.lines()).filter(|line| !is_header(line)) {
        let drawn = match line.chars().next() {
            Some('+') => style.green(&printable(line)),
            Some('-') => style.red(&printable(line)),
            _ => printable(line),
        };
        out.push_str(&format!("      {drawn}\n"));
    }
    for field in &change.forces_replacement {
        out.push_str(&format!("      {field} {}\n", style.red("# forces replacement")));
    }
    out
}

/// The whole unit that comes into being, each line with a `+`; empty for every other change.
fn created(change: &Change) -> String {
    let after = change.after.as_deref().filter(|_| change.action == Action::Create);
    let unit = after.filter(|_| change.diff.is_empty()).map(|spec| Unit::of(spec).yaml());
    unit.unwrap_or_default().lines().map(|line| format!("+ {line}\n")).collect()
}

/// The lines of a unified diff that name the two files and the place say nothing here.
fn is_header(line: &str) -> bool {
    line.starts_with("---") || line.starts_with("+++") || line.starts_with("@@")
}

fn unplaceable(unplaceable: &Unplaceable, stops: &[Eviction], style: Style) -> String {
    let Unplaceable { service, at, unplaced, nodes, suggestions } = unplaceable;
    let place = at.as_deref().map_or(String::new(), |at| format!(" ({at})"));
    let title = format!("service.{service}{place}: {unplaced} not placed");
    let mut out = format!("  # {}\n", style.red(&title));
    let mut told = |text: &str, at: Option<&str>| {
        let at = at.map_or(String::new(), |at| format!(" ({at})"));
        out.push_str(&format!("      {}{at}\n", printable(text)));
    };
    match unplaceable.shared() {
        None => nodes.iter().for_each(|node| {
            for violation in &node.violations {
                told(&format!("{}: {}", node.node, violation.text), violation.at.as_deref());
            }
        }),
        Some(shared) => {
            shared.iter().for_each(|it| told(&it.text(), it.violation.at.as_deref()));
            let all = format!("`devnet explain {service}` tells all of it, node by node");
            told(&all, None);
        }
    }
    for Eviction { instance, node, reason, .. } in stops {
        if instance.service == *service {
            out.push_str(&format!("      {instance} on {node} would stop: it {reason}\n"));
        }
    }
    if !suggestions.is_empty() {
        out.push_str("      remedies, cheapest first:\n");
    }
    for suggestion in suggestions {
        let checked = if suggestion.verified { " (checked)" } else { "" };
        out.push_str(&format!("        - {}{checked}\n", printable(&suggestion.text)));
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_programs_parse_are_exact() {
        let counts = Summary { add: 2, change: 1, destroy: 0, moved: 3, forget: 0 };
        assert_eq!(summary(&counts), "Plan: 2 to add, 1 to change, 0 to destroy.");
        assert_eq!(
            applied(&counts),
            "Apply complete! Resources: 2 added, 1 changed, 0 destroyed.\nPlacement: 3 moved."
        );
        let report = PlacementReport {
            status: PlacementStatus::Optimal,
            unplaced: 0,
            moves: 3,
            cost: 41.0,
            bound: 41.0,
            gap: 0.0,
            seconds: Some(0.31),
            solver: "highs".into(),
            ..PlacementReport::nothing()
        };
        assert_eq!(
            placement(&report),
            "Placement: 3 to move, 0 unplaced, cost 41 (optimal, gap 0%, 0.3s)."
        );
        let feasible = PlacementReport { status: PlacementStatus::Feasible, gap: 0.0123, ..report };
        assert!(placement(&feasible).contains("(feasible, gap 1.2%, 0.3s)"));
        let nearly = PlacementReport { gap: 0.000_01, ..feasible };
        assert!(placement(&nearly).contains("(feasible, gap 0.1%, 0.3s)"));
    }

    #[test]
    fn a_limit_of_time_is_told_where_there_was_one() {
        assert_eq!(solve_limit(None, false), None);
        assert_eq!(solve_limit(Some(2.0), false).unwrap(), "Solve limit: 2s, not reached.");
        assert_eq!(
            solve_limit(Some(0.5), true).unwrap(),
            "Solve limit: 0.5s, reached: planned again the placement may differ."
        );
    }

    #[test]
    fn every_gain_has_a_line_and_the_sum_has_one() {
        let gain = |instance: &str, to: &str, before: f64, after: f64| Gain {
            instance: instance.parse().unwrap(),
            from: "n1".parse().unwrap(),
            to: to.parse().unwrap(),
            gain: before - after,
            from_prefer: 0.0,
            before,
            after,
        };
        let mut report = PlacementReport::nothing();
        assert_eq!(gains(&report, Style::PLAIN), "");
        report.gains =
            vec![gain("web[3]", "n4", 1.234, 1.2217), gain("api[10]", "n11", 1.2217, 1.2)];
        assert_eq!(
            gains(&report, Style::PLAIN),
            "Moves that make the cluster more even:\n\n  \
             > service.web[3]   n1 -> n4   gain 0.0123 (score 1.2340 -> 1.2217)\n  \
             > service.api[10]  n1 -> n11  gain 0.0217 (score 1.2217 -> 1.2000)\n\n\
             Total: 2 moves, gain 0.0340 (score 1.2340 -> 1.2000).\n\n"
        );
        report.objective = Objective::Pack;
        let packed = gains(&report, Style::PLAIN);
        assert!(packed.contains("fewer nodes in use") && !packed.contains("even"), "{packed}");
        report.objective = Objective::Balance;
        report.gains.iter_mut().for_each(|it| it.from_prefer = it.gain);
        let wished = gains(&report, Style::PLAIN);
        assert!(wished.starts_with("Moves that bring instances to nodes that they prefer:\n"));
        assert!(wished.contains("  gain 0.0123 by `prefer` (score "), "{wished}");
        report.gains[1].from_prefer = 0.03;
        let both = gains(&report, Style::PLAIN);
        assert!(both.contains("  gain 0.0217, 0.0300 of it by `prefer` (score "), "{both}");
        report.gains[0].from_prefer = 0.0;
        let both = gains(&report, Style::PLAIN);
        assert!(both.starts_with("Moves that make the cluster more even, or bring "), "{both}");
    }

    #[test]
    fn no_change_is_no_match_where_something_waits() {
        let mut report = PlacementReport::nothing();
        assert_eq!(nothing(&report), NO_CHANGES);
        report.levels = vec![PriorityLevel { waiting_for_data: 2, ..PriorityLevel::default() }];
        let waits = "No changes. 2 instances wait: the warnings say what helps.";
        assert_eq!(nothing(&report), waits);
        report.unplaced = 1;
        assert!(
            nothing(&report).starts_with("No changes. 1 instance has no place and 2 instances ")
        );
    }

    #[test]
    fn a_refused_plan_says_who_would_stop_and_for_whom() {
        let service = Unplaceable {
            service: "web".parse().unwrap(),
            at: None,
            unplaced: 1,
            nodes: Vec::new(),
            suggestions: Vec::new(),
        };
        let stops = [Eviction {
            instance: "web[1]".parse().unwrap(),
            node: "n1".parse().unwrap(),
            by: Some("p[0]".parse().unwrap()),
            reason: "makes room for service.p[0] (priority 90)".to_owned(),
        }];
        assert_eq!(
            unplaceable(&service, &stops, Style::PLAIN),
            "  # service.web: 1 not placed\n      web[1] on n1 would stop: it makes room for \
             service.p[0] (priority 90)\n\n"
        );
    }
}
