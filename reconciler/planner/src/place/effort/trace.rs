//! What each stage of a search improved, as data.
//!
//! Knows figures before and after a stage. Refuses to know the stages, and words beyond their
//! names.
//!
//! Whoever wonders what a slow plan was busy with asks `devnet plan -explain-search`. The answer
//! counts programs and instances and no seconds, so that it is the same on every machine.

use devnet_schema::placement as document;

/// What one stage did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageReport {
    /// Searches are made again to retain what has no place; 1 for the first.
    pub round: u32,
    /// The stage.
    pub stage: &'static str,
    /// What it may spend.
    pub effort: &'static str,
    /// The priority that it was about, and whether it is of what is retained at that priority.
    pub level: Option<(u8, bool)>,
    /// Integer programs that it solved.
    pub programs: u32,
    /// Before it.
    pub before: Standing,
    /// After it.
    pub after: Standing,
}

/// How good the best placement is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Instances placed.
    pub placed: u32,
    /// No placement places more, as far as is known: the sum over all levels.
    pub bound: u32,
    /// What the moves cost.
    pub migration_cost: u64,
    /// In millionths.
    pub score: u64,
}

impl StageReport {
    /// The same as the document that other programs read.
    pub fn document(&self) -> document::SearchStage {
        let Self { round, stage, effort, level, programs, before, after } = self;
        document::SearchStage {
            round: *round,
            stage: (*stage).to_owned(),
            effort: (*effort).to_owned(),
            priority: level.map(|(priority, _)| priority),
            retained: level.is_some_and(|(_, retained)| retained),
            programs: *programs,
            before: before.document(),
            after: after.document(),
        }
    }
}

impl Standing {
    fn document(&self) -> document::SearchStanding {
        let Self { placed, bound, migration_cost, score } = *self;
        let score = score as f64 / 1e6;
        document::SearchStanding { placed, bound, move_cost: migration_cost, score }
    }
}
