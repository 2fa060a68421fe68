//! How far each step of a deployment is, and the units that it is about.
//!
//! Knows the plan's steps, what is on record of each, and what was said. Refuses to know what comes
//! next: whoever applies decides that.

use std::collections::BTreeMap;

use devnet_planner::unit::Unit;
use devnet_schema::{
    instance::InstanceSpec,
    plan::Plan,
    step::{Act, Step, StepState},
};

use super::{AdapterError, ControlPlane};
use crate::api::{
    Deployment, DeploymentLine, DeploymentState, MAX_PAGE,
    detail::{Staleness, StepRow, StepWord, UnitText},
};

use crate::time::Time;

/// What was said of one step.
#[derive(Debug, Default)]
struct Said {
    began: Option<Time>,
    ended: Option<Time>,
    state: Option<StepState>,
}

impl ControlPlane {
    /// Every step of a deployment, in the plan's order.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn step_rows(&self, deployment: &Deployment) -> Result<Vec<StepRow>, AdapterError> {
        let mut said: BTreeMap<String, Said> = BTreeMap::new();
        let mut after = 0;
        loop {
            let lines = self.store.lines(&deployment.id, after, MAX_PAGE)?;
            let Some((last, _)) = lines.last() else { break };
            after = *last;
            for (_, line) in lines {
                let DeploymentLine::Step { at, report, .. } = line else { continue };
                let of_step = said.entry(report.step).or_default();
                of_step.began.get_or_insert(at);
                let ends = !matches!(report.state, StepState::Running { .. });
                of_step.ended = ends.then_some(at);
                of_step.state = Some(report.state);
            }
        }
        let over = deployment.state != DeploymentState::Running;
        let steps = self.plan_of(deployment)?.map(|plan| plan.steps).unwrap_or_default();
        Ok(rows(&steps, &said, over))
    }

    /// The plan that a deployment runs, where it is kept.
    fn plan_of(&self, deployment: &Deployment) -> Result<Option<Plan>, AdapterError> {
        if let Some(running) = self.running_plan(&deployment.id) {
            return Ok(Some(running));
        }
        self.saved_plan(&deployment.plan)
    }

    fn running_plan(&self, deployment: &str) -> Option<Plan> {
        let state = self.state();
        let running = state.deploying.as_ref().filter(|it| it.id == deployment)?;
        Some(Plan::clone(&running.plan))
    }

    /// Every unit that a deployment starts.
    ///
    /// # Errors
    /// When records cannot be read.
    pub fn unit_texts(&self, deployment: &Deployment) -> Result<Vec<UnitText>, AdapterError> {
        let steps = self.plan_of(deployment)?.map(|plan| plan.steps).unwrap_or_default();
        let started = steps.iter().filter_map(|step| match &step.act {
            Act::Ensure { spec } => Some(unit_text(spec)),
            Act::Prepare { .. } | Act::AwaitHealthy { .. } | Act::Remove => None,
        });
        Ok(started.collect())
    }

    /// What a saved plan was made from and is no longer as it was.
    ///
    /// # Errors
    /// When it is not known, or the inputs cannot be read.
    pub async fn staleness(&self, id: &str) -> Result<Staleness, super::RequestError> {
        let moved = self.moved_since(id).await?;
        Ok(Staleness { moved })
    }
}

/// A unit as text. Secrets are references in it.
pub fn unit_text(spec: &InstanceSpec) -> UnitText {
    UnitText { instance: spec.id.clone(), node: spec.node.clone(), compose: Unit::of(spec).yaml() }
}

fn rows(steps: &[Step], said: &BTreeMap<String, Said>, over: bool) -> Vec<StepRow> {
    let state = |id: &str| said.get(id).and_then(|it| it.state.as_ref());
    let succeeded = |id: &str| matches!(state(id), Some(StepState::Succeeded { .. }));
    let row = |step: &Step| {
        let known = said.get(&step.id);
        let (word, message) = match state(&step.id) {
            None if over => (StepWord::NotRun, None),
            None => (StepWord::Waiting, None),
            // It was let go, or the control plane stopped.
            Some(StepState::Running { message }) if over => (StepWord::NotRun, Some(message)),
            Some(StepState::Running { message }) => (StepWord::Running, Some(message)),
            Some(StepState::Succeeded { message }) => (StepWord::Succeeded, Some(message)),
            Some(StepState::Failed { error }) => (StepWord::Failed, Some(error)),
        };
        let waits = matches!(word, StepWord::Waiting | StepWord::NotRun);
        let blocked_by = step.after.iter().filter(|id| waits && !succeeded(id)).cloned().collect();
        let message = message.filter(|text| !text.is_empty()).cloned();
        let share = message.as_deref().filter(|_| word == StepWord::Running).and_then(progress);
        StepRow {
            id: step.id.clone(),
            instance: step.instance.clone(),
            node: step.node.clone(),
            act: step.act.word().to_owned(),
            after: step.after.clone(),
            state: word,
            blocked_by,
            began: known.and_then(|it| it.began),
            ended: known.and_then(|it| it.ended),
            done: share.map(|(done, _)| done),
            total: share.map(|(_, total)| total),
            message,
        }
    };
    steps.iter().map(row).collect()
}

/// The bytes in `pulling postgres:16, 40 of 120 MiB`.
fn progress(message: &str) -> Option<(u64, u64)> {
    let (before, after) = message.rsplit_once(" of ")?;
    let done: u64 = before.rsplit(' ').next()?.parse().ok()?;
    let (total, unit) = after.split_once(' ')?;
    let scale = match unit.trim_end_matches(|c: char| !c.is_ascii_alphabetic()) {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let total: u64 = total.parse().ok()?;
    Some((done.checked_mul(scale)?, total.checked_mul(scale)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: &str, after: &[&str]) -> Step {
        Step {
            id: id.to_owned(),
            instance: "db[0]".parse().unwrap(),
            node: "n1".parse().unwrap(),
            generation: 1,
            act: Act::Remove,
            after: after.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    fn said(state: StepState) -> Said {
        let at = Some(Time::EPOCH);
        Said { began: at, ended: at, state: Some(state) }
    }

    #[test]
    fn a_step_says_how_far_it_is_and_what_it_waits_for() {
        let steps = [step("a", &[]), step("b", &["a"]), step("c", &["a", "b"])];
        let message = "pulling acme/web:1.4.2, 84 of 120 MiB".to_owned();
        let told = BTreeMap::from([
            ("a".to_owned(), said(StepState::Succeeded { message: String::new() })),
            ("b".to_owned(), said(StepState::Running { message })),
        ]);
        let all = rows(&steps, &told, false);
        let words: Vec<_> = all.iter().map(|row| row.state).collect();
        assert_eq!(words, [StepWord::Succeeded, StepWord::Running, StepWord::Waiting]);
        assert_eq!((all[1].done, all[1].total), (Some(84 << 20), Some(120 << 20)));
        assert_eq!(all[2].blocked_by, ["b"]);
        assert!(all[1].blocked_by.is_empty() && all[0].message.is_none());
        let over = rows(&steps, &told, true);
        assert_eq!((over[1].state, over[2].state), (StepWord::NotRun, StepWord::NotRun));
    }

    #[test]
    fn progress_is_read_only_where_it_is_told_in_bytes() {
        assert_eq!(progress("pulling a, 3 of 10 GiB"), Some((3 << 30, 10 << 30)));
        assert_eq!(progress("pulling a, 3 of 10 KiB (2 layers)"), None);
        for text in ["", "waiting", "step 3 of 10", "1 of x MiB", "a of 10 MiB"] {
            assert_eq!(progress(text), None, "{text}");
        }
    }
}
