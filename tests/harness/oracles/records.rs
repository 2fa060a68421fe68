//! Promises about records: what was acknowledged is there, numbers only go up, the file and the
//! fleet agree, and asking again finds nothing to do.
//!
//! Knows what the command line and the API say. Refuses to read a database.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Verdict, scene::Scene};

/// Writes that the control plane said it has. It is asked for them after each fault.
#[derive(Debug, Default)]
pub struct Acknowledged(BTreeMap<&'static str, BTreeSet<String>>);

impl Acknowledged {
    /// The control plane acknowledged this, e.g. a `secret` called `pw`.
    pub fn wrote(&mut self, kind: &'static str, name: &str) {
        self.0.entry(kind).or_default().insert(name.to_owned());
    }

    /// It acknowledged that this is gone.
    pub fn removed(&mut self, kind: &'static str, name: &str) {
        self.0.entry(kind).or_default().remove(name);
    }

    /// Everything of `kind` that was acknowledged is among what is there now.
    pub fn durable(&self, kind: &'static str, now: &BTreeSet<String>) -> Verdict {
        let wanted = self.0.get(kind).into_iter().flatten();
        let lost = wanted.filter(|name| !now.contains(*name));
        Verdict::new("durability", lost.map(|name| format!("{kind} {name} is lost")).collect())
    }
}

/// Numbers that must never go down: generations of units, serials, event numbers.
#[derive(Debug, Default)]
pub struct Monotone(BTreeMap<String, u64>);

impl Monotone {
    /// Looks at the generation of each running unit.
    pub fn units(&mut self, scene: &Scene) -> Verdict {
        let mut findings = Vec::new();
        for unit in scene.running() {
            if let Some(generation) = unit.generation {
                findings.extend(self.one(&unit.instance, generation));
            }
        }
        Verdict::new("monotone generations", findings)
    }

    /// Looks at one number, e.g. the `serial` of a snapshot.
    pub fn number(&mut self, name: &str, value: u64) -> Verdict {
        Verdict::new("monotone generations", self.one(name, value).into_iter().collect())
    }

    fn one(&mut self, name: &str, value: u64) -> Option<String> {
        let highest = self.0.entry(name.to_owned()).or_insert(value);
        let before = *highest;
        *highest = before.max(value);
        (value < before).then(|| format!("{name} was at {before} and is at {value}"))
    }
}

/// The `seq` of events in the order they were told: each one above the one before, without a gap.
pub fn no_gaps(events: &[Value]) -> Verdict {
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    let mut findings = Vec::new();
    if numbers.len() != events.len() {
        findings.push(format!("{} events have no number", events.len() - numbers.len()));
    }
    for pair in numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1) {
        findings.push(format!("event {} is followed by {}", pair[0], pair[1]));
    }
    Verdict::new("monotone generations", findings)
}

/// What `devnet status --json` says agrees with the commit: it is applied, and every instance of
/// every service is healthy.
pub fn converged(status: &Value, commit: &str) -> Verdict {
    let mut findings = Vec::new();
    let applied = status["source"]["applied"].as_str().unwrap_or("nothing");
    if applied != commit {
        findings.push(format!("{applied} is applied, and not {commit}"));
    }
    let services = status["services"].as_array().cloned().unwrap_or_default();
    if services.is_empty() {
        findings.push("no services".to_owned());
    }
    for service in services.iter().filter(|service| service["healthy"] != service["desired"]) {
        let (healthy, desired, name) = (&service["healthy"], &service["desired"], &service["name"]);
        findings.push(format!("{healthy} of {desired} instances of {name} are healthy"));
    }
    Verdict::new("convergence", findings)
}

/// What `devnet plan` prints after all was applied.
pub fn nothing_to_do(plan: &str) -> Verdict {
    let done = plan.contains("No changes. Your infrastructure matches the configuration.");
    let finding = (!done).then(|| format!("a plan after the apply wants something:\n{plan}"));
    Verdict::new("idempotence", finding.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_acknowledged_must_be_there_until_its_removal_was() {
        let mut written = Acknowledged::default();
        written.wrote("secret", "pw");
        written.wrote("secret", "old");
        written.removed("secret", "old");
        let there = BTreeSet::from(["pw".to_owned()]);
        assert!(written.durable("secret", &there).holds());
        assert_eq!(written.durable("secret", &BTreeSet::new()).findings, ["secret pw is lost"]);
    }

    #[test]
    fn numbers_go_up_and_events_leave_none_out() {
        let mut seen = Monotone::default();
        assert!(seen.number("serial", 4).holds());
        assert!(seen.number("serial", 4).holds());
        assert_eq!(seen.number("serial", 3).findings, ["serial was at 4 and is at 3"]);
        assert!(!seen.number("serial", 3).holds(), "the highest is remembered");
        assert!(no_gaps(&[json!({"seq": 7}), json!({"seq": 8})]).holds());
        assert!(!no_gaps(&[json!({"seq": 7}), json!({"seq": 9})]).holds());
        assert!(!no_gaps(&[json!({"seq": 7}), json!({"seq": 7})]).holds());
        assert!(!no_gaps(&[json!({})]).holds());
    }

    #[test]
    fn a_status_without_services_has_not_converged() {
        let good = json!({"source": {"applied": "c"},
                          "services": [{"name": "web", "healthy": 2, "desired": 2}]});
        assert!(converged(&good, "c").holds());
        assert!(!converged(&good, "d").holds());
        assert!(!converged(&json!({"source": {"applied": "c"}, "services": []}), "c").holds());
        let ill = json!({"source": {"applied": "c"},
                         "services": [{"name": "web", "healthy": 1, "desired": 2}]});
        assert_eq!(converged(&ill, "c").findings.len(), 1);
    }
}
