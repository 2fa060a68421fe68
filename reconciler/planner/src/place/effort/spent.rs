//! What was spent on a solution, and whether more may be.
//!
//! Knows counts, and whom to ask. Refuses to know what the work is for.
//!
//! One `Spent` goes through the whole of one placement, from the first greedy run to the last
//! remedy. A quick try of a remedy is made `aside`: the watch hears nothing of it, and its programs
//! are not counted.

use std::collections::BTreeSet;

use super::{
    interrupt::{Pace, Progress, Watch},
    trace::StageReport,
};
use crate::place::ix::NodeIx;

/// What was spent so far.
pub(crate) struct Spent<'w> {
    pub ilps: u32,
    pub solvers: BTreeSet<&'static str>,
    /// Nodes whose devices had to be told apart.
    pub detailed: BTreeSet<NodeIx>,
    /// A clock ended something: another run may answer otherwise.
    pub cut_short: bool,
    /// What each stage of the searches did, where that is recorded.
    pub trace: Vec<StageReport>,
    /// Searches so far.
    pub round: u32,
    /// Whether stages are recorded: not those of a try for the sake of something else.
    pub traces: bool,
    watch: Watch<'w>,
    stopped: bool,
    seconds: Option<f64>,
    /// What the watch was told last.
    placed: Vec<u32>,
}

/// The part of the time left that one integer program may take: solvers look at the clock late.
const SHARE: f64 = 0.7;

impl<'w> Spent<'w> {
    pub(crate) fn new(watch: Watch<'w>) -> Self {
        Self {
            ilps: 0,
            solvers: BTreeSet::new(),
            detailed: BTreeSet::new(),
            cut_short: false,
            trace: Vec::new(),
            round: 0,
            traces: true,
            watch,
            stopped: false,
            seconds: None,
            placed: Vec::new(),
        }
    }

    /// Does something with limits of its own, under the same watch, and counts it here.
    pub(crate) fn nested<R>(&mut self, act: impl FnOnce(&mut Spent<'_>) -> R) -> R {
        let (stopped, seconds, placed) = (self.stopped, self.seconds, self.placed.clone());
        let (round, traces) = (self.round, self.traces);
        let mut inner =
            Spent { stopped, seconds, placed, round, traces, ..Spent::new(&mut *self.watch) };
        let result = act(&mut inner);
        let Spent { ilps, solvers, cut_short, stopped, trace, round, .. } = inner;
        self.trace.extend(trace);
        self.round = round;
        self.ilps += ilps;
        self.solvers.extend(solvers);
        self.cut_short |= cut_short;
        self.stopped |= stopped;
        result
    }

    /// Tells what the best placement so far has at each level, and asks whether to go on. Once
    /// stopped, always stopped.
    pub(crate) fn go_on(&mut self, best: Vec<u32>) -> bool {
        if !self.stopped {
            self.placed = best;
        }
        self.still_on()
    }

    /// Asks the same where there is no better placement to tell of: before anything long.
    pub(crate) fn still_on(&mut self) -> bool {
        if self.stopped {
            return false;
        }
        match (self.watch)(&Progress { placed: &self.placed, ilps: self.ilps }) {
            Pace::Free => self.seconds = None,
            Pace::Within(left) => self.seconds = Some(left.as_secs_f64() * SHARE),
            Pace::Stop => {
                self.stopped = true;
                self.cut_short = true;
            }
        }
        !self.stopped
    }

    /// Spends work on another problem under the same watch, which hears of this one only.
    pub(crate) fn aside<T>(&mut self, run: impl FnOnce(&mut Spent<'_>) -> T) -> T {
        let (placed, ilps) = (&self.placed, self.ilps);
        let mut watch = |_: &Progress<'_>| (self.watch)(&Progress { placed, ilps });
        let mut spent = Spent { stopped: self.stopped, traces: false, ..Spent::new(&mut watch) };
        let answer = run(&mut spent);
        let (stopped, cut_short) = (spent.stopped, spent.cut_short);
        self.stopped |= stopped;
        self.cut_short |= cut_short;
        answer
    }

    /// The time that the next program may take, in seconds, where there is a limit.
    pub(crate) fn seconds(&self) -> Option<f64> {
        self.seconds
    }

    /// Who answered.
    pub(crate) fn solver(&self) -> &'static str {
        match (self.solvers.contains("highs"), self.solvers.contains("microlp")) {
            (true, true) => "highs+microlp",
            (true, false) => "highs",
            (false, true) => "microlp",
            (false, false) => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Solvers look at the clock late: HiGHS took 20.8 s where it was given 15.
    #[test]
    fn a_program_gets_a_part_of_the_time_left() {
        let mut left = [Pace::Within(Duration::from_secs(10)), Pace::Free, Pace::Stop].into_iter();
        let mut watch = |_: &Progress<'_>| left.next().expect("asked three times");
        let mut spent = Spent::new(&mut watch);
        assert_eq!((spent.still_on(), spent.seconds()), (true, Some(7.0)));
        assert_eq!((spent.still_on(), spent.seconds()), (true, None));
        assert_eq!((spent.still_on(), spent.cut_short), (false, true));
        assert!(!spent.still_on(), "once stopped, always stopped");
    }
}
