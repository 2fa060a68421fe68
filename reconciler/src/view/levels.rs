//! How far each level of a placement's objective got, and what of that is proven.
//!
//! Knows layout and the words. Refuses to compute: placed, bound and proof are in the document.

use devnet_schema::placement::{PlacementReport, PlacementStatus, PriorityLevel};

use super::plan_text::number;

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
    let PlacementReport { status, moves, levels, .. } = report;
    let plain = *status == PlacementStatus::Optimal && *moves == 0;
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
    let PriorityLevel { priority: _, wanted, placed, bound, proven } = level;
    let counts = format!("{placed} of {wanted} placed");
    match proven {
        true if placed < wanted => format!("{counts} (proven: no more can be)"),
        true => format!("{counts} (proven)"),
        false => format!("{counts}, at most {bound} can be (not proven)"),
    }
}

fn moved(report: &PlacementReport) -> String {
    let PlacementReport { moves, evicted, move_cost, move_cost_bound, .. } = report;
    let asked = report.gains.len() as u32;
    let mut says = match asked {
        0 => moves.to_string(),
        _ if asked == *moves => format!("{moves}, asked for"),
        _ => format!("{moves}, {asked} of them asked for"),
    };
    if *evicted > 0 {
        says.push_str(&format!(", and {evicted} evicted"));
    }
    if report.moves_proven {
        let what = match (asked, moves + evicted) {
            (0, _) => "proven least",
            (_, all) if all == asked => "none is needed",
            _ => "the others are proven least",
        };
        return format!("{says} ({what})");
    }
    let price = if u64::from(moves + evicted) == *move_cost {
        format!("at least {move_cost_bound} needed")
    } else {
        format!("price {move_cost}, at least {move_cost_bound}")
    };
    format!("{says}, {price} (not proven)")
}

fn score(report: &PlacementReport) -> String {
    let score = number(report.cost);
    if report.score_proven {
        return format!("{score} (proven best)");
    }
    if report.bound <= 0.0 {
        return format!("{score} (no bound is known)");
    }
    // Rounded up: no placement is further away than is said.
    let percent = number((report.gap * 1e4 - 1e-6).ceil() / 100.0);
    format!("{score}, at most {percent}% from the best (not proven)")
}

#[cfg(test)]
mod tests {
    use devnet_schema::placement::Gain;

    use super::*;

    fn level(priority: u8, wanted: u32, placed: u32, bound: u32) -> PriorityLevel {
        PriorityLevel { priority, wanted, placed, bound, proven: placed == bound }
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
    fn moves_that_were_asked_for_are_told_from_those_that_are_needed() {
        let mut report = report();
        report.moves = 2;
        report.gains = vec![Gain {
            instance: "web[3]".parse().unwrap(),
            from: "n1".parse().unwrap(),
            to: "n2".parse().unwrap(),
            gain: 0.1,
            before: 0.81,
            after: 0.71,
        }];
        let said = text(&report);
        assert!(said.contains("2, 1 of them asked for (the others are proven least)"), "{said}");
        report.moves = 1;
        let said = text(&report);
        assert!(said.contains("moves         1, asked for (none is needed)"), "{said}");
    }

    #[test]
    fn where_all_is_proven_and_nothing_moves_one_line_is_enough() {
        let mut report = report();
        (report.status, report.moves) = (PlacementStatus::Optimal, 0);
        assert_eq!(text(&report), "");
        assert_eq!(text(&PlacementReport::nothing()), "");
    }
}
