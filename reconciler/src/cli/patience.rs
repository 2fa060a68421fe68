//! What an apply still waits for, said every ten seconds, so that a quiet terminal is no riddle.
//!
//! Knows the steps that run. Refuses to say anything where programs read.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use devnet_schema::step::StepState;

use super::terminal::Terminal;
use crate::api::DeploymentLine;

/// Between two notes about the same step.
const NOTE: Duration = Duration::from_secs(10);
/// Between two looks at what runs.
const LOOK: Duration = Duration::from_secs(1);
/// Steps that are named in one note; of more only the number is told.
const NAMED: usize = 5;

/// Tells what is waited for until it is dropped.
pub(super) struct Patience {
    steps: Arc<Mutex<Steps>>,
    /// Dropped first, which ends the thread.
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The steps that run.
#[derive(Default)]
struct Steps {
    running: BTreeMap<String, Running>,
}

struct Running {
    what: String,
    since: Instant,
    noted: Instant,
}

impl Patience {
    /// Begins to tell; says nothing where `quiet`.
    pub(super) fn begin(terminal: Terminal, quiet: bool) -> Self {
        let steps = Arc::new(Mutex::new(Steps::default()));
        let (end, ended) = mpsc::channel::<()>();
        let watched = Arc::clone(&steps);
        let thread = (!quiet).then(|| {
            thread::spawn(move || {
                while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    let notes = lock(&watched).due(Instant::now());
                    notes.iter().for_each(|note| terminal.note(&format!("{note}\n")));
                }
            })
        });
        Self { steps, end: Some(end), thread }
    }

    /// Takes a line of the deployment.
    pub(super) fn line(&self, line: &DeploymentLine) {
        lock(&self.steps).line(line, Instant::now());
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(steps: &Mutex<Steps>) -> MutexGuard<'_, Steps> {
    steps.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Steps {
    fn line(&mut self, line: &DeploymentLine, now: Instant) {
        let DeploymentLine::Step { instance, node, report, .. } = line else {
            self.running.clear();
            return;
        };
        match &report.state {
            StepState::Running { .. } => {
                let act = report.step.rsplit_once('/').map_or("", |(_, act)| act);
                let what = match act {
                    "await-healthy" => format!("{instance} to be healthy"),
                    "prepare" => format!("{node} to have what {instance} needs"),
                    "start" => format!("{instance} to start on {node}"),
                    "remove" => format!("{instance} to stop on {node}"),
                    other => format!("{instance}: {other} on {node}"),
                };
                let new = Running { what, since: now, noted: now };
                self.running.entry(report.step.clone()).or_insert(new);
            }
            StepState::Succeeded { .. } | StepState::Failed { .. } => {
                self.running.remove(&report.step);
            }
        }
    }

    /// What is to be said now.
    fn due(&mut self, now: Instant) -> Vec<String> {
        let mut due: Vec<String> = Vec::new();
        for step in self.running.values_mut().filter(|it| now.duration_since(it.noted) >= NOTE) {
            step.noted = now;
            let passed = now.duration_since(step.since).as_secs();
            due.push(format!("Still waiting for {} ({passed}s)…", step.what));
        }
        let more = due.len().saturating_sub(NAMED);
        due.truncate(NAMED);
        if more > 0 {
            due.push(format!("Still waiting for {more} more…"));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use devnet_schema::step::StepReport;

    use super::*;
    use crate::time::Time;

    fn line(step: &str, state: StepState) -> DeploymentLine {
        let id = step.split('/').next().unwrap().parse().unwrap();
        let report = StepReport { deployment: String::new(), step: step.to_owned(), state };
        DeploymentLine::Step { at: Time::EPOCH, instance: id, node: "n1".parse().unwrap(), report }
    }

    #[test]
    fn what_takes_long_is_told_every_ten_seconds_until_it_is_done() {
        let (mut steps, begun) = (Steps::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let running = || StepState::Running { message: String::new() };
        steps.line(&line("web[0]/await-healthy", running()), at(0));
        // What it says meanwhile does not begin it anew.
        steps.line(&line("web[0]/await-healthy", running()), at(8));
        assert!(steps.due(at(9)).is_empty());
        assert_eq!(steps.due(at(10)), ["Still waiting for web[0] to be healthy (10s)…"]);
        assert!(steps.due(at(15)).is_empty());
        assert_eq!(steps.due(at(20)), ["Still waiting for web[0] to be healthy (20s)…"]);
        let done = StepState::Succeeded { message: String::new() };
        steps.line(&line("web[0]/await-healthy", done), at(21));
        assert!(steps.due(at(60)).is_empty());
        for number in 0..7 {
            steps.line(&line(&format!("a[{number}]/prepare"), running()), at(60));
        }
        let told = steps.due(at(70));
        assert_eq!((told.len(), told[5].as_str()), (6, "Still waiting for 2 more…"));
    }
}
