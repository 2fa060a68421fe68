//! What digests mean on one node: the specs that were ordered there, and those its agent told.
//!
//! Reports carry digests. Knows which specs have them, and which must be asked for. Refuses to take
//! the spec of another instance or node, and never guesses: until an answer came, nothing is known.

use std::collections::BTreeMap;

use devnet_schema::{
    digest::Digest,
    instance::InstanceSpec,
    name::{InstanceId, NodeName},
    observed::ObservedInstance,
    wire::{Described, MAX_SPEC, size},
};

/// So many specs of an instance are kept: what runs, what is to run, and what may be put back when
/// that cannot be started.
const KEPT: usize = 3;

/// What all specs of one node together may take that its agent told, in bytes of JSON: the largest
/// few dozen, or thousands of usual ones.
const TOLD: usize = 32 * MAX_SPEC;

/// One spec.
#[derive(Debug, Clone)]
struct Meaning {
    /// As reports say it.
    digest: Digest,
    spec: Box<InstanceSpec>,
    /// Ordered from here, and no removal since.
    ordered: bool,
    /// Its size where its agent told it, in bytes of JSON.
    told: usize,
}

/// What is known of one instance.
#[derive(Debug, Clone, Default)]
struct Known {
    /// Newest first.
    specs: Vec<Meaning>,
    /// What the agent was asked about and did not answer yet.
    asked: Option<Digest>,
    /// What the agent has no spec of.
    untold: Option<Digest>,
}

/// The specs of one node.
#[derive(Debug, Clone, Default)]
pub(super) struct Specs {
    known: BTreeMap<InstanceId, Known>,
}

impl Specs {
    /// The node is told to run this, or was told before.
    pub(super) fn ordered(&mut self, spec: Box<InstanceSpec>) {
        let known = self.known.entry(spec.id.clone()).or_default();
        known.learn(Meaning { digest: spec.digest(), spec, ordered: true, told: 0 });
    }

    /// The node is told to run no such instance.
    pub(super) fn removed(&mut self, instance: &InstanceId) {
        let known = self.known.get_mut(instance);
        known.into_iter().flat_map(|known| &mut known.specs).for_each(|one| one.ordered = false);
    }

    /// Whether it was ordered, and its removal not since.
    pub(super) fn is_ordered(&self, instance: &InstanceId) -> bool {
        self.known.get(instance).is_some_and(|known| known.specs.iter().any(|one| one.ordered))
    }

    /// A new connection: whatever was asked on the old one is asked again.
    pub(super) fn reconnected(&mut self) {
        for known in self.known.values_mut() {
            known.asked = None;
            known.untold = None;
        }
    }

    /// Gives the instances of a report their specs, and forgets those that nobody reports. Returns
    /// what must be asked for; it counts as asked from now on.
    pub(super) fn fill(
        &mut self,
        reported: &mut BTreeMap<InstanceId, ObservedInstance>,
    ) -> Vec<InstanceId> {
        let mut unknown = Vec::new();
        for (id, seen) in reported.iter_mut() {
            let known = self.known.entry(id.clone()).or_default();
            seen.spec = known.find(&seen.digest);
            let digest = Some(&seen.digest);
            let settled = seen.spec.is_some() || known.untold.as_ref() == digest;
            if settled {
                known.asked = None;
            } else if known.asked.as_ref() != digest {
                known.asked = digest.cloned();
                unknown.push(id.clone());
            }
        }
        for (id, known) in &mut self.known {
            if !reported.contains_key(id) {
                // An order may be older than the first report that shows what came of it.
                known.specs.retain(|one| one.ordered);
                known.asked = None;
            }
        }
        self.known.retain(|id, known| reported.contains_key(id) || !known.specs.is_empty());
        unknown
    }

    /// Takes what the agent of `node` told of one instance. Returns whether it was asked for.
    pub(super) fn described(&mut self, node: &NodeName, described: Described) -> bool {
        let Described { instance, digest, spec } = described;
        let held: usize = self.known.values().flat_map(|it| &it.specs).map(|one| one.told).sum();
        let Some(known) = self.known.get_mut(&instance) else {
            return false;
        };
        if known.asked.as_ref() != Some(&digest) {
            return false;
        }
        known.asked = None;
        let ours = spec.filter(|spec| spec.id == instance && spec.node == *node);
        let sized = ours.map(|spec| (size(&spec), spec));
        // One that there is no room for is not known, like one that its agent does not have.
        match sized.filter(|(told, _)| held + told <= TOLD) {
            Some((told, spec)) => known.learn(Meaning { digest, spec, ordered: false, told }),
            None => known.untold = Some(digest),
        }
        true
    }

    /// Gives the instances that have no spec yet those that were told meanwhile.
    pub(super) fn complete(&self, seen: &mut BTreeMap<InstanceId, ObservedInstance>) {
        for (id, seen) in seen.iter_mut().filter(|(_, seen)| seen.spec.is_none()) {
            seen.spec = self.known.get(id).and_then(|known| known.find(&seen.digest));
        }
    }

    /// Whether an answer is still to come.
    pub(super) fn is_asking(&self) -> bool {
        self.known.values().any(|known| known.asked.is_some())
    }
}

impl Known {
    fn learn(&mut self, meaning: Meaning) {
        self.specs.retain(|old| old.digest != meaning.digest);
        self.specs.insert(0, meaning);
        self.specs.truncate(KEPT);
    }

    fn find(&self, digest: &Digest) -> Option<Box<InstanceSpec>> {
        self.specs.iter().find(|known| known.digest == *digest).map(|known| known.spec.clone())
    }
}

#[cfg(test)]
mod tests {
    use devnet_schema::{
        instance::{Limits, StopSpec, Workload},
        secret::Text,
    };

    use super::*;

    fn spec(id: &str, node: &str, word: &str) -> Box<InstanceSpec> {
        Box::new(InstanceSpec {
            cluster: "lab".parse().unwrap(),
            id: id.parse().unwrap(),
            node: node.parse().unwrap(),
            workload: Workload::Process { argv: vec![Text::plain(word)] },
            env: Default::default(),
            files: Default::default(),
            ports: Vec::new(),
            volumes: Vec::new(),
            limits: Limits::default(),
            gpus: Vec::new(),
            health: None,
            stop: StopSpec::default(),
            run_once: false,
            schedule: None,
            protect: false,
        })
    }

    fn reported(spec: &InstanceSpec) -> BTreeMap<InstanceId, ObservedInstance> {
        let seen = ObservedInstance::running(Box::new(spec.clone()), 1);
        [(spec.id.clone(), ObservedInstance { spec: None, ..seen })].into()
    }

    fn told(spec: &InstanceSpec, digest: Digest) -> Described {
        let (instance, spec) = (spec.id.clone(), Some(Box::new(spec.clone())));
        Described { instance, digest, spec }
    }

    #[test]
    fn what_was_ordered_needs_no_question() {
        let mut specs = Specs::default();
        let (old, new) = (spec("db[0]", "n1", "old"), spec("db[0]", "n1", "new"));
        for spec in [&old, &new] {
            specs.ordered(spec.clone());
        }
        for now in [&old, &new, &old] {
            let mut report = reported(now);
            assert!(specs.fill(&mut report).is_empty());
            assert_eq!(report[&now.id].spec.as_ref(), Some(now));
        }
        assert!(!specs.is_asking());
    }

    #[test]
    fn what_nobody_ordered_is_asked_for_once_a_connection() {
        let mut specs = Specs::default();
        let runs = spec("db[0]", "n1", "a");
        assert_eq!(specs.fill(&mut reported(&runs)), std::slice::from_ref(&runs.id));
        assert!(specs.fill(&mut reported(&runs)).is_empty(), "it was asked for");
        assert!(specs.is_asking());
        specs.reconnected();
        assert_eq!(specs.fill(&mut reported(&runs)), std::slice::from_ref(&runs.id));
        assert!(specs.described(&runs.node, told(&runs, runs.digest())));
        assert!(!specs.is_asking());
        let mut report = reported(&runs);
        assert!(specs.fill(&mut report).is_empty());
        assert_eq!(report[&runs.id].spec.as_ref(), Some(&runs));
    }

    #[test]
    fn an_agent_that_has_no_spec_is_not_asked_again_for_the_same_digest() {
        let mut specs = Specs::default();
        let (runs, next) = (spec("db[0]", "n1", "a"), spec("db[0]", "n1", "b"));
        specs.fill(&mut reported(&runs));
        let nothing = Described { spec: None, ..told(&runs, runs.digest()) };
        assert!(specs.described(&runs.node, nothing));
        assert!(specs.fill(&mut reported(&runs)).is_empty());
        assert!(!specs.is_asking());
        assert_eq!(specs.fill(&mut reported(&next)), std::slice::from_ref(&runs.id));
    }

    #[test]
    fn the_spec_of_another_and_an_answer_to_no_question_are_not_taken() {
        let mut specs = Specs::default();
        let runs = spec("db[0]", "n1", "a");
        assert!(!specs.described(&runs.node, told(&runs, runs.digest())), "nobody asked");
        for other in [spec("db[1]", "n1", "a"), spec("db[0]", "n2", "a")] {
            specs.reconnected();
            specs.fill(&mut reported(&runs));
            let wrong = Described { instance: runs.id.clone(), ..told(&other, runs.digest()) };
            assert!(specs.described(&runs.node, wrong));
            let mut report = reported(&runs);
            specs.fill(&mut report);
            assert_eq!(report[&runs.id].spec, None);
        }
        specs.reconnected();
        specs.fill(&mut reported(&runs));
        let late = told(&runs, Digest::of_bytes(b"what ran before"));
        assert!(!specs.described(&runs.node, late), "another unit took its place");
        assert!(specs.is_asking());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut specs = Specs::default();
        let runs = spec("db[0]", "n1", "0");
        for number in 0..100 {
            specs.ordered(spec("db[0]", "n1", &number.to_string()));
        }
        assert_eq!(specs.known[&runs.id].specs.len(), KEPT);
        specs.fill(&mut BTreeMap::new());
        assert!(specs.known.contains_key(&runs.id), "what was ordered may still come");
        specs.removed(&runs.id);
        specs.fill(&mut reported(&runs));
        let nothing = Described { spec: None, ..told(&runs, runs.digest()) };
        specs.described(&runs.node, nothing);
        specs.fill(&mut BTreeMap::new());
        assert!(specs.known.is_empty(), "neither ordered nor there");
    }
}
