//! The frontier of a step graph: what can run now, what waits, and what never will.
//!
//! Pure: no time, no agents. Knows that a failed step blocks exactly the steps that come after it,
//! directly or through others.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::step::{Step, StepId};

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Something before it has not ended.
    Waiting,
    /// Sent to its agent.
    Running,
    /// Done.
    Done,
    /// Not done, and why.
    Failed(String),
    /// Never sent, because this step failed.
    Blocked(StepId),
    /// Never sent, or no longer waited for: the run was cut short.
    Cancelled,
}

/// The step graph of one plan and how far each step is.
#[derive(Debug)]
pub struct Frontier {
    after: BTreeMap<StepId, Vec<StepId>>,
    progress: BTreeMap<StepId, Progress>,
    /// Plan order: ready steps are handed out in it.
    order: Vec<StepId>,
}

impl Frontier {
    /// The graph of `steps`.
    ///
    /// # Errors
    /// When a step comes after one that does not exist, two have the same id, or they form a
    /// circle: then nothing may run at all.
    pub fn new(steps: &[Step]) -> Result<Self, String> {
        let mut after = BTreeMap::new();
        for step in steps {
            if after.insert(step.id.clone(), step.after.clone()).is_some() {
                return Err(format!("two steps are called `{}`", step.id));
            }
        }
        for (id, before) in &after {
            if let Some(missing) = before.iter().find(|one| !after.contains_key(*one)) {
                return Err(format!("step `{id}` comes after `{missing}`, which does not exist"));
            }
        }
        let progress = after.keys().map(|id| (id.clone(), Progress::Waiting)).collect();
        let order = steps.iter().map(|step| step.id.clone()).collect();
        let frontier = Self { after, progress, order };
        frontier.refuse_circles()?;
        Ok(frontier)
    }

    fn refuse_circles(&self) -> Result<(), String> {
        let mut done: BTreeSet<&str> = BTreeSet::new();
        let mut left: Vec<&StepId> = self.order.iter().collect();
        while !left.is_empty() {
            let before = left.len();
            left.retain(|id| {
                let ready = self.after[*id].iter().all(|one| done.contains(one.as_str()));
                if ready {
                    done.insert(id);
                }
                !ready
            });
            if left.len() == before {
                return Err(format!("step `{}` waits for itself", left[0]));
            }
        }
        Ok(())
    }

    /// Takes up to `slots - running` steps that can run now, in plan order, and calls them running.
    pub fn take_ready(&mut self, slots: usize) -> Vec<StepId> {
        let free = slots.saturating_sub(self.count(|p| *p == Progress::Running));
        let ready: Vec<StepId> =
            self.order.iter().filter(|id| self.is_ready(id)).take(free).cloned().collect();
        for id in &ready {
            self.progress.insert(id.clone(), Progress::Running);
        }
        ready
    }

    fn is_ready(&self, id: &StepId) -> bool {
        self.progress[id] == Progress::Waiting
            && self.after[id].iter().all(|before| self.progress[before] == Progress::Done)
    }

    /// A running step has succeeded. Reports about others change nothing.
    pub fn succeed(&mut self, id: &str) {
        if self.progress.get(id) == Some(&Progress::Running) {
            self.progress.insert(id.to_owned(), Progress::Done);
        }
    }

    /// A running step has failed. Returns the steps that this blocks, in plan order: those that
    /// come after it, and of `with` those that were not sent yet and what comes after them.
    pub fn fail(&mut self, id: &str, error: &str, with: &[StepId]) -> Vec<StepId> {
        if self.progress.get(id) != Some(&Progress::Running) {
            return Vec::new();
        }
        self.progress.insert(id.to_owned(), Progress::Failed(error.to_owned()));
        let mut stopped: BTreeSet<StepId> = BTreeSet::from([id.to_owned()]);
        let mut blocked = Vec::new();
        for one in with.iter().filter(|one| self.progress.get(*one) == Some(&Progress::Waiting)) {
            stopped.insert(one.clone());
            blocked.push(one.clone());
        }
        for one in &blocked {
            self.progress.insert(one.clone(), Progress::Blocked(id.to_owned()));
        }
        // The order of a plan respects `after`, but nothing here relies on it: go round until
        // nothing more is blocked.
        loop {
            let more: Vec<StepId> = self
                .order
                .iter()
                .filter(|one| self.progress[*one] == Progress::Waiting)
                .filter(|one| self.after[*one].iter().any(|before| stopped.contains(before)))
                .cloned()
                .collect();
            if more.is_empty() {
                return blocked;
            }
            for one in more {
                self.progress.insert(one.clone(), Progress::Blocked(id.to_owned()));
                stopped.insert(one.clone());
                blocked.push(one);
            }
        }
    }

    /// Nothing more begins; what runs goes on to its end.
    pub fn cancel(&mut self) {
        for progress in self.progress.values_mut().filter(|it| **it == Progress::Waiting) {
            *progress = Progress::Cancelled;
        }
    }

    /// A running step is no longer waited for.
    pub fn cut(&mut self, id: &str) {
        if let Some(progress) = self.progress.get_mut(id).filter(|it| **it == Progress::Running) {
            *progress = Progress::Cancelled;
        }
    }

    /// The steps that were not done because the run was cut short, in plan order.
    pub fn cancelled(&self) -> Vec<StepId> {
        let cancelled = |id: &&StepId| self.progress[*id] == Progress::Cancelled;
        self.order.iter().filter(cancelled).cloned().collect()
    }

    /// Whether nothing runs and nothing can.
    pub fn is_finished(&self) -> bool {
        self.count(|p| matches!(p, Progress::Waiting | Progress::Running)) == 0
    }

    /// Whether every step is done.
    pub fn all_done(&self) -> bool {
        self.progress.values().all(|p| *p == Progress::Done)
    }

    /// How far a step is.
    pub fn progress(&self, id: &str) -> Option<&Progress> {
        self.progress.get(id)
    }

    fn count(&self, is: impl Fn(&Progress) -> bool) -> usize {
        self.progress.values().filter(|p| is(p)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use devnet_schema::step::Act;

    fn step(id: &str, after: &[&str]) -> Step {
        Step {
            id: id.to_owned(),
            instance: "db[0]".parse().unwrap(),
            node: "n1".parse().unwrap(),
            generation: 1,
            act: Act::Remove,
            after: after.iter().map(|&one| one.to_owned()).collect(),
        }
    }

    #[test]
    fn steps_run_when_everything_before_them_is_done() {
        let steps = [step("a", &[]), step("b", &["a"]), step("c", &[]), step("d", &["b", "c"])];
        let mut frontier = Frontier::new(&steps).unwrap();
        assert_eq!(frontier.take_ready(10), ["a", "c"]);
        assert!(frontier.take_ready(10).is_empty(), "nothing is handed out twice");
        frontier.succeed("c");
        assert!(frontier.take_ready(10).is_empty());
        frontier.succeed("a");
        assert_eq!(frontier.take_ready(10), ["b"]);
        frontier.succeed("b");
        assert_eq!(frontier.take_ready(10), ["d"]);
        frontier.succeed("d");
        assert!(frontier.is_finished() && frontier.all_done());
    }

    #[test]
    fn no_more_run_at_once_than_there_are_slots() {
        let steps = [step("a", &[]), step("b", &[]), step("c", &[])];
        let mut frontier = Frontier::new(&steps).unwrap();
        assert_eq!(frontier.take_ready(2), ["a", "b"]);
        assert!(frontier.take_ready(2).is_empty());
        frontier.succeed("b");
        assert_eq!(frontier.take_ready(2), ["c"]);
    }

    #[test]
    fn a_failure_blocks_what_comes_after_it_and_nothing_else() {
        let steps = [
            step("a", &[]),
            step("b", &["a"]),
            step("c", &["b"]),
            step("d", &[]),
            step("e", &["d"]),
        ];
        let mut frontier = Frontier::new(&steps).unwrap();
        frontier.take_ready(10);
        assert_eq!(frontier.fail("a", "no such image", &[]), ["b", "c"]);
        assert_eq!(frontier.progress("c"), Some(&Progress::Blocked("a".into())));
        frontier.succeed("d");
        assert_eq!(frontier.take_ready(10), ["e"], "the rest goes on");
        frontier.succeed("e");
        assert!(frontier.is_finished());
        assert!(!frontier.all_done());
    }

    #[test]
    fn a_late_or_foreign_report_changes_nothing() {
        let mut frontier = Frontier::new(&[step("a", &[]), step("b", &["a"])]).unwrap();
        frontier.succeed("b");
        assert_eq!(frontier.progress("b"), Some(&Progress::Waiting));
        frontier.succeed("nobody");
        frontier.take_ready(1);
        frontier.succeed("a");
        assert!(frontier.fail("a", "late", &[]).is_empty());
        assert_eq!(frontier.progress("a"), Some(&Progress::Done));
    }

    #[test]
    fn a_failure_blocks_those_named_with_it_that_were_not_sent() {
        let steps = [step("a", &[]), step("b", &[]), step("c", &["b"]), step("d", &["c"])];
        let mut frontier = Frontier::new(&steps).unwrap();
        assert_eq!(frontier.take_ready(10), ["a", "b"]);
        let with = ["b".to_owned(), "c".to_owned()];
        assert_eq!(frontier.fail("a", "unhealthy", &with), ["c", "d"], "b runs already");
        frontier.succeed("b");
        assert!(frontier.is_finished());
        assert_eq!(frontier.progress("b"), Some(&Progress::Done));
    }

    #[test]
    fn a_run_that_is_cut_short_finishes_what_runs_and_begins_nothing() {
        let steps = [step("a", &[]), step("b", &[]), step("c", &["a"]), step("d", &[])];
        let mut frontier = Frontier::new(&steps).unwrap();
        assert_eq!(frontier.take_ready(2), ["a", "b"]);
        frontier.cancel();
        assert!(frontier.take_ready(10).is_empty());
        assert!(!frontier.is_finished(), "a and b run");
        frontier.succeed("a");
        frontier.cut("b");
        frontier.cut("a");
        assert!(frontier.is_finished() && !frontier.all_done());
        assert_eq!(frontier.progress("a"), Some(&Progress::Done));
        assert_eq!(frontier.cancelled(), ["b", "c", "d"]);
    }

    #[test]
    fn what_is_no_graph_is_refused() {
        assert!(Frontier::new(&[step("a", &["x"])]).unwrap_err().contains("does not exist"));
        assert!(Frontier::new(&[step("a", &[]), step("a", &[])]).is_err());
        let circle = [step("a", &["b"]), step("b", &["a"])];
        assert!(Frontier::new(&circle).unwrap_err().contains("waits for itself"));
    }
}
