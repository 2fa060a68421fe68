//! Reports of steps on their way to the control plane, across connections that break.
//!
//! Knows which reports were sent and may not have arrived. Refuses to grow without bound.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use devnet_schema::step::{StepReport, StepState};
use tokio::sync::Notify;

use crate::report::cut;

/// At most so many reports wait.
const MAX_WAITING: usize = 1024;

/// So many final reports are sent again on the next connection: that they were written to a
/// connection that broke does not say that they arrived. Taking one twice is harmless.
const MAX_REPEATED: usize = 128;

/// What a report says has at most so many bytes; the rest is cut off.
const MAX_TEXT: usize = 16 << 10;

#[derive(Default)]
struct State {
    waiting: VecDeque<StepReport>,
    sent: VecDeque<StepReport>,
}

/// The reports.
#[derive(Default)]
pub struct Outbox {
    state: Mutex<State>,
    filled: Notify,
}

fn is_final(report: &StepReport) -> bool {
    !matches!(report.state, StepState::Running { .. })
}

fn is_about(report: &StepReport, deployment: &str, step: &str) -> bool {
    report.deployment == deployment && report.step == step
}

impl Outbox {
    /// Puts a report in. It takes the place of a progress report of the same step.
    pub fn put(&self, mut report: StepReport) {
        let (StepState::Running { message: text }
        | StepState::Succeeded { message: text }
        | StepState::Failed { error: text }) = &mut report.state;
        *text = cut(std::mem::take(text), MAX_TEXT);
        let mut state = self.state();
        state
            .waiting
            .retain(|old| is_final(old) || !is_about(old, &report.deployment, &report.step));
        if state.waiting.len() >= MAX_WAITING {
            let progress = state.waiting.iter().position(|old| !is_final(old)).unwrap_or(0);
            state.waiting.remove(progress);
        }
        state.waiting.push_back(report);
        drop(state);
        self.filled.notify_one();
    }

    /// The oldest report. It stays until [`Outbox::sent`].
    pub fn first(&self) -> Option<StepReport> {
        self.state().waiting.front().cloned()
    }

    /// A report was written to the connection.
    pub fn sent(&self, report: StepReport) {
        let mut state = self.state();
        if state.waiting.front() == Some(&report) {
            state.waiting.pop_front();
        }
        if is_final(&report) {
            state.sent.push_back(report);
            if state.sent.len() > MAX_REPEATED {
                state.sent.pop_front();
            }
        }
    }

    /// A new connection: final reports go out once more.
    pub fn reconnected(&self) {
        let mut state = self.state();
        let mut again = std::mem::take(&mut state.sent);
        again.append(&mut state.waiting);
        state.waiting = again;
        drop(state);
        self.filled.notify_one();
    }

    /// A step is ordered again: what was reported of it before is not news any more.
    pub fn forget(&self, deployment: &str, step: &str) {
        let mut state = self.state();
        state.waiting.retain(|report| !is_about(report, deployment, step));
        state.sent.retain(|report| !is_about(report, deployment, step));
    }

    /// Returns when there may be something to send.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use devnet_schema::wire::size;

    use super::*;

    fn running(step: &str, message: &str) -> StepReport {
        let state = StepState::Running { message: message.into() };
        StepReport { deployment: "d".into(), step: step.into(), state }
    }

    fn done(step: &str) -> StepReport {
        let state = StepState::Succeeded { message: String::new() };
        StepReport { deployment: "d".into(), step: step.into(), state }
    }

    fn drain(outbox: &Outbox) -> Vec<StepReport> {
        std::iter::from_fn(|| outbox.first().inspect(|report| outbox.sent(report.clone())))
            .collect()
    }

    #[test]
    fn progress_is_replaced_and_ends_are_kept() {
        let outbox = Outbox::default();
        for report in [running("a", "1"), running("b", "1"), running("a", "2"), done("a")] {
            outbox.put(report);
        }
        assert_eq!(drain(&outbox), [running("b", "1"), done("a")]);
    }

    #[test]
    fn ends_are_repeated_on_the_next_connection_until_the_step_is_ordered_again() {
        let outbox = Outbox::default();
        outbox.put(done("a"));
        outbox.put(done("b"));
        drain(&outbox);
        outbox.put(running("c", "1"));
        outbox.reconnected();
        outbox.forget("d", "a");
        assert_eq!(drain(&outbox), [done("b"), running("c", "1")]);
    }

    #[test]
    fn what_a_report_says_is_bounded() {
        let outbox = Outbox::default();
        let state = StepState::Failed { error: "\0".repeat(9 << 20) };
        outbox.put(StepReport { deployment: "d".into(), step: "a".into(), state });
        assert!(size(&outbox.first().unwrap()) < 2 * MAX_TEXT);
    }

    #[test]
    fn it_is_bounded_and_progress_goes_first() {
        let outbox = Outbox::default();
        outbox.put(running("x", "1"));
        for number in 0..MAX_WAITING {
            outbox.put(done(&number.to_string()));
        }
        let all = drain(&outbox);
        assert_eq!((all.len(), &all[0]), (MAX_WAITING, &done("0")));
    }
}
