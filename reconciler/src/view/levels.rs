//! How far each level of a placement's objective got, and what of that is proven.
//!
//! Knows layout and the words. Refuses to compute: placed, bound and proof are in the document.

use devnet_schema::placement::{PlacementReport, PlacementStatus, PriorityLevel};

use super::plan_text::{self, number};

/// A line a level, the names aligned; nothing where all is placed, nothing moves and all of it is
/// proven, which the line above says.
pub fn text(report: &PlacementReport) -> String {
    let rows = rows(report);
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, says)| format!("  {name:width$}  {says}\n")).collect()
}

/// The same as a list in Markdown.
pub fn markdown(report: &PlacementReport) -> String {
    rows(report).iter().map(|(name, says)| format!("- {name}: {says}\n")).collect()
}

/// Each level's name and what is to be said of it, in the order in which they count.
fn rows(report: &PlacementReport) -> Vec<(String, String)> {
    let PlacementReport { status, moves, restarts, levels, .. } = report;
    let plain = *status == PlacementStatus::Optimal
        && moves + restarts == 0
        && plan_text::open(report) == 0;
    if plain || levels.is_empty() {
        return Vec::new();
    }
    let mut rows: Vec<(String, String)> = levels
        .iter()
        .map(|level| (format!("priority {}", level.priority), placed(level)))
        .collect();
    rows.push(("moves".to_owned(), moved(report)));
    rows.push(("score".to_owned(), score(report)));
    rows
}

fn placed(level: &PriorityLevel) -> String {
    let PriorityLevel { priority: _, wanted, placed, bound, proven, assumes, .. } = level;
    let PriorityLevel { kept, waiting_for_data, waiting_for_service, .. } = level;
    let waiting = waiting_for_data + waiting_for_service;
    // That a service waits follows from what was placed and not from a proof.
    let more = match waiting_for_service {
        0 => "no more can be",
        _ => "no more of the others can be",
    };
    let mut says = format!("{placed} of {wanted} placed");
    says.push_str(&match (proven, assumes) {
        (true, _) if placed + waiting >= *wanted => " (proven)".to_owned(),
        (true, None) => format!(" (proven: {more})"),
        (true, Some(what)) => format!(" (proven: {more} while {what})"),
        (false, None) => format!(", at most {bound} can be (not proven)"),
        (false, Some(what)) => format!(", at most {bound} can be while {what} (not proven)"),
    });
    let verb = |count: u32, one: &str, many: &str| match count {
        0 => String::new(),
        1 => format!(", 1 {one}"),
        count => format!(", {count} {many}"),
    };
    says.push_str(&verb(*kept, "keeps running without a place", "keep running without a place"));
    says.push_str(&verb(*waiting_for_data, "waits for its data", "wait for their data"));
    says.push_str(&verb(
        *waiting_for_service,
        "waits for a service that has no place",
        "wait for a service that has no place",
    ));
    says
}

fn moved(report: &PlacementReport) -> String {
    let PlacementReport { moves, evicted, kept, restarts, .. } = report;
    let PlacementReport { move_cost, move_cost_bound, .. } = report;
    let asked = report.gains.len() as u32;
    let mut says = match asked {
        0 => moves.to_string(),
        _ if asked == *moves => format!("{moves}, asked for"),
        _ => format!("{moves}, {asked} of them asked for"),
    };
    let others = [
        (*evicted, "evicted"),
        (*kept, "kept running without a place"),
        (*restarts, "restarted on other GPUs"),
    ];
    let others = others.iter().filter(|(count, _)| *count > 0);
    let others: Vec<String> = others.map(|(count, what)| format!("{count} {what}")).collect();
    if !others.is_empty() {
        says.push_str(&format!(", and {}", others.join(" and ")));
    }
    let all = moves + evicted + kept + restarts;
    if report.moves_proven {
        let what = match asked {
            0 => "proven least",
            _ if all == asked => "none is needed",
            _ => "the others are proven least",
        };
        return format!("{says} ({what})");
    }
    let price = if u64::from(all) == *move_cost {
        format!("at least {move_cost_bound} needed")
    } else {
        format!("price {move_cost}, at least {move_cost_bound}")
    };
    format!("{says}, {price} (not proven)")
}

fn score(report: &PlacementReport) -> String {
    let score = number(report.cost);
    let best = if report.gains.is_empty() { "best" } else { "best with any number of moves" };
    if report.score_proven {
        return format!("{score} (proven {best})");
    }
    if report.bound <= 0.0 {
        return format!("{score} (no bound is known)");
    }
    // Rounded up: no placement is further away than is said.
    let percent = number((report.gap * 1e4 - 1e-6).ceil() / 100.0);
    format!("{score}, at most {percent}% from the {best} (not proven)")
}

#[cfg(test)]
mod tests {
    use devnet_schema::placement::Gain;

    use super::*;

    fn level(priority: u8, wanted: u32, placed: u32, bound: u32) -> PriorityLevel {
        PriorityLevel {
            priority,
            wanted,
            placed,
            bound,
            proven: placed == bound,
            ..PriorityLevel::default()
        }
    }

    fn report() -> PlacementReport {
        PlacementReport {
            levels: vec![level(100, 3, 3, 3), level(0, 24, 24, 24)],
            moves: 1,
            moves_bound: 1,
            move_cost: 1,
            move_cost_bound: 1,
            moves_proven: true,
            cost: 0.71,
            bound: 0.7037,
            gap: 0.0089,
            ..PlacementReport::nothing()
        }
    }

    #[test]
    fn a_level_has_a_line_with_its_proof() {
        assert_eq!(
            text(&report()),
            "  priority 100  3 of 3 placed (proven)\n  \
             priority 0    24 of 24 placed (proven)\n  \
             moves         1 (proven least)\n  \
             score         0.71, at most 0.89% from the best (not proven)\n"
        );
        let listed = markdown(&report());
        assert!(listed.starts_with("- priority 100: 3 of 3 placed (proven)\n- "), "{listed}");
    }

    #[test]
    fn nothing_is_called_proven_that_is_not() {
        let mut report = report();
        report.levels = vec![level(50, 4, 2, 3), level(0, 9, 5, 5)];
        (report.moves, report.move_cost, report.move_cost_bound) = (2, 101, 1);
        (report.evicted, report.moves_proven, report.bound) = (1, false, 0.0);
        report.status = PlacementStatus::Infeasible;
        assert_eq!(
            text(&report),
            "  priority 50  2 of 4 placed, at most 3 can be (not proven)\n  \
             priority 0   5 of 9 placed (proven: no more can be)\n  \
             moves        2, and 1 evicted, price 101, at least 1 (not proven)\n  \
             score        0.71 (no bound is known)\n"
        );
        report.move_cost = 3;
        assert!(text(&report).contains("2, and 1 evicted, at least 1 needed (not proven)"));
        report.gap = 0.000_001;
        report.bound = 0.7;
        assert!(text(&report).contains("at most 0.01% from the best (not proven)"));
    }

    #[test]
    fn what_waits_or_runs_without_a_place_is_counted_apart() {
        let mut report = report();
        let mut first = level(50, 8, 3, 3);
        (first.kept, first.waiting_for_data, first.waiting_for_service) = (1, 1, 2);
        first.assumes = Some("data stays where it is".to_owned());
        let waits = PriorityLevel { waiting_for_data: 1, ..level(10, 3, 2, 2) };
        report.levels = vec![first, waits];
        (report.moves, report.evicted, report.kept, report.restarts) = (0, 1, 1, 2);
        assert_eq!(
            text(&report),
            "  priority 50  3 of 8 placed (proven: no more of the others can be while \
             data stays where it is), \
             1 keeps running without a place, 1 waits for its data, \
             2 wait for a service that has no place\n  \
             priority 10  2 of 3 placed (proven), 1 waits for its data\n  \
             moves        0, and 1 evicted and 1 kept running without a place and 2 restarted on \
             other GPUs (proven least)\n  \
             score        0.71, at most 0.89% from the best (not proven)\n"
        );
    }

    #[test]
    fn moves_that_were_asked_for_are_told_from_those_that_are_needed() {
        let mut report = report();
        report.moves = 2;
        report.gains = vec![Gain {
            instance: "web[3]".parse().unwrap(),
            from: "n1".parse().unwrap(),
            to: "n2".parse().unwrap(),
            gain: 0.1,
            from_prefer: 0.0,
            before: 0.81,
            after: 0.71,
        }];
        let said = text(&report);
        assert!(said.contains("2, 1 of them asked for (the others are proven least)"), "{said}");
        report.moves = 1;
        let said = text(&report);
        assert!(said.contains("moves         1, asked for (none is needed)"), "{said}");
        assert!(said.contains("0.89% from the best with any number of moves (not"), "{said}");
    }

    #[test]
    fn where_all_is_proven_and_nothing_moves_one_line_is_enough() {
        let mut report = report();
        (report.status, report.moves) = (PlacementStatus::Optimal, 0);
        assert_eq!(text(&report), "");
        assert_eq!(text(&PlacementReport::nothing()), "");
    }
}
