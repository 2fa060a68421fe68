//! Figures for Prometheus: how often, how long, how many.
//!
//! Knows names and units. Refuses to know what the figures mean for anyone.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: String,
    health: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Revision {
    revision: String,
}

/// Every figure.
pub struct Metrics {
    registry: Registry,
    nodes: Family<Status, Gauge>,
    instances: Family<State, Gauge>,
    turns: Histogram,
    plans: Histogram,
    reaction: Histogram,
    applies: Family<Outcome, Counter>,
    refused: Counter,
    problem: Gauge,
    good: Family<Revision, Gauge>,
    certificate: Gauge<f64, AtomicU64>,
}

fn seconds() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0])
}

impl Metrics {
    /// All of them at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("devnet");
        let new = Self {
            nodes: Family::default(),
            instances: Family::default(),
            turns: seconds(),
            plans: seconds(),
            reaction: seconds(),
            applies: Family::default(),
            refused: Counter::default(),
            problem: Gauge::default(),
            good: Family::default(),
            certificate: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("nodes", "Nodes by status", new.nodes.clone());
        registry.register("instances", "Instances by state and health", new.instances.clone());
        let unit = Unit::Seconds;
        registry.register_with_unit("cycle_duration", "Turns of the loop", unit, new.turns.clone());
        registry.register_with_unit("plan_duration", "Planning", Unit::Seconds, new.plans.clone());
        registry.register_with_unit(
            "commit_to_plan",
            "From the moment a new revision was noticed to the start of its plan",
            Unit::Seconds,
            new.reaction.clone(),
        );
        registry.register("applies", "Deployments that ended, by outcome", new.applies.clone());
        registry.register(
            "authentication_failures",
            "Requests with a credential that is none of ours",
            new.refused.clone(),
        );
        registry.register(
            "source_problem",
            "1 while the newest revision is not followed",
            new.problem.clone(),
        );
        registry.register("good_revision", "The last good revision, always 1", new.good.clone());
        registry.register_with_unit(
            "certificate_end",
            "When the server's certificate ends, since 1970",
            Unit::Seconds,
            new.certificate.clone(),
        );
        Self { registry, ..new }
    }

    /// A turn of the loop took this long.
    pub fn turned(&self, took: Duration) {
        self.turns.observe(took.as_secs_f64());
    }

    /// A plan took this long.
    pub fn planned(&self, took: Duration) {
        self.plans.observe(took.as_secs_f64());
    }

    /// From noticing a revision to the start of its plan.
    pub fn reacted(&self, took: Duration) {
        self.reaction.observe(took.as_secs_f64());
    }

    /// A deployment has ended.
    pub fn applied(&self, succeeded: bool) {
        let outcome = if succeeded { "succeeded" } else { "failed" };
        self.applies.get_or_create(&Outcome { outcome }).inc();
    }

    /// A credential was refused.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// Whether the newest revision is followed.
    pub fn source_problem(&self, problem: bool) {
        self.problem.set(i64::from(problem));
    }

    /// The last good revision.
    pub fn good_revision(&self, revision: &str) {
        self.good.clear();
        self.good.get_or_create(&Revision { revision: revision.to_owned() }).set(1);
    }

    /// When the server's certificate ends, in seconds since 1970.
    pub fn certificate_end(&self, at: i64) {
        self.certificate.set(at as f64);
    }

    /// How many nodes and instances there are of each kind, in words.
    pub fn observe<'a>(
        &self,
        nodes: impl Iterator<Item = &'a str>,
        instances: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        self.nodes.clear();
        for status in nodes {
            self.nodes.get_or_create(&Status { status: status.to_owned() }).inc();
        }
        self.instances.clear();
        for (state, health) in instances {
            let label = State { state: state.to_owned(), health: health.to_owned() };
            self.instances.get_or_create(&label).inc();
        }
    }

    /// The OpenMetrics text.
    ///
    /// # Errors
    /// Never in practice: a text takes every write.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
