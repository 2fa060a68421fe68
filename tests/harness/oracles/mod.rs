//! Oracles: what must hold whatever went wrong, written once for every fault test.
//!
//! A fault test breaks something, lets the fleet settle, and asks these. Each oracle is a pure
//! function over what was really found: [`scene`] looks at engines and processes, the command line
//! tells the rest. Knows the eight promises (durability, convergence, no foreign object touched, at
//! most one, idempotence, monotone generations, secrecy, volumes). Refuses to believe what an agent
//! or the control plane says about a unit where the unit itself can be looked at.
//!
//! ```no_run
//! # use devnet_tests::{bed::Bed, oracles::{hold, scene::Scene, units}};
//! # fn fault() {}
//! # let bed = Bed::up(1, "10.78.0");
//! let before = Scene::of_engine("n1", |program, args| bed.ask(1, program, args));
//! fault();
//! let after = Scene::of_engine("n1", |program, args| bed.ask(1, program, args));
//! hold([units::at_most_one(&after), units::foreign_untouched(&before, &after)]);
//! ```

pub mod records;
pub mod scene;
pub mod secrecy;
pub mod units;

/// What broke a promise: one line a finding, none when the promise holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an oracle that nobody asks says nothing: give it to `hold`"]
pub struct Verdict {
    /// The promise, as `at most one`.
    pub promise: &'static str,
    /// What was found against it.
    pub findings: Vec<String>,
}

impl Verdict {
    /// A promise and what was found against it.
    pub fn new(promise: &'static str, findings: Vec<String>) -> Self {
        Self { promise, findings }
    }

    /// Whether nothing was found.
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Asks that all of them hold.
///
/// # Panics
/// When one does not; the message has every finding of every promise, not the first.
#[track_caller]
pub fn hold(verdicts: impl IntoIterator<Item = Verdict>) {
    let broken: Vec<String> = verdicts
        .into_iter()
        .filter(|verdict| !verdict.holds())
        .map(|Verdict { promise, findings }| format!("{promise}:\n  {}", findings.join("\n  ")))
        .collect();
    assert!(broken.is_empty(), "promises are broken\n{}", broken.join("\n"));
}
