//! What each stage of the search for a placement improved, as text.
//!
//! Knows layout. Refuses to say anything of a stage that left all as it was beyond that it did.
//!
//! It stands below a plan that was made with `-explain-search`, for whoever wonders what a slow
//! search was busy with. `priority 50: ejection chains: 590 to 596 of 600 placed`.

use devnet_schema::placement::{SearchStage, SearchStanding};

/// All stages in order; nothing where they were not asked for.
pub fn text(stages: &[SearchStage]) -> String {
    let mut out = String::new();
    let mut round = 0;
    for stage in stages {
        if stage.round != round {
            round = stage.round;
            out.push_str(&format!("Search {round}:\n"));
        }
        out.push_str(&format!("  {}\n", line(stage)));
    }
    out
}

fn line(stage: &SearchStage) -> String {
    let SearchStage { round: _, stage: name, effort, priority, retained, programs, before, after } =
        stage;
    let what = if *retained { ", what keeps running" } else { "" };
    let level = priority.map_or(String::new(), |it| format!("priority {it}{what}: "));
    let solved = match programs {
        0 => String::new(),
        1 => ", 1 program solved".to_owned(),
        count => format!(", {count} programs solved"),
    };
    format!("{level}{name}: {} (at most {effort}{solved})", improved(before, after))
}

fn improved(before: &SearchStanding, after: &SearchStanding) -> String {
    let mut parts = Vec::new();
    if before.placed != after.placed {
        let of = after.bound;
        parts.push(format!("{} to {} of {of} placed", before.placed, after.placed));
    }
    if before.bound != after.bound {
        parts.push(format!("at most {} to {} can be placed", before.bound, after.bound));
    }
    if before.move_cost != after.move_cost {
        parts.push(format!("moves cost {} to {}", before.move_cost, after.move_cost));
    }
    if before.score != after.score {
        parts.push(format!("score {:.4} to {:.4}", before.score, after.score));
    }
    if parts.is_empty() { "nothing better".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_says_what_it_improved_and_what_it_may_spend() {
        let before = SearchStanding { placed: 590, bound: 600, move_cost: 4, score: 1.5 };
        let mut stage = SearchStage {
            round: 1,
            stage: "ejection chains".to_owned(),
            effort: "30,000 steps".to_owned(),
            priority: Some(50),
            retained: false,
            programs: 0,
            before,
            after: SearchStanding { placed: 596, bound: 598, ..before },
        };
        let first = text(std::slice::from_ref(&stage));
        let said = "Search 1:\n  priority 50: ejection chains: 590 to 596 of 598 placed, at most \
                    600 to 598 can be placed (at most 30,000 steps)\n";
        assert_eq!(first, said);
        stage.after = before;
        (stage.programs, stage.priority, stage.round) = (2, None, 2);
        let second = text(&[stage]);
        let said = "Search 2:\n  ejection chains: nothing better (at most 30,000 steps, 2 programs \
                    solved)\n";
        assert_eq!(second, said);
        assert_eq!(text(&[]), "");
    }
}
