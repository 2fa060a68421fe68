//! Grants: which node may have which secrets, for which instance.
//!
//! Pure. Knows only what this control plane ordered or checked itself: what an agent says of its
//! own units is never a reason to give it a secret.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    instance::InstanceSpec,
    name::{InstanceId, NodeName},
    secret::SecretRef,
};

type Place = (NodeName, InstanceId);

/// Who may have what.
#[derive(Debug, Default)]
pub(super) struct Grants {
    /// By what is assigned.
    assigned: BTreeMap<Place, BTreeSet<SecretRef>>,
    /// By steps that run now: deployment and step, and what their spec refers to.
    running: BTreeMap<(String, String), (Place, BTreeSet<SecretRef>)>,
}

fn place(spec: &InstanceSpec) -> Place {
    (spec.node.clone(), spec.id.clone())
}

fn references(spec: &InstanceSpec) -> BTreeSet<SecretRef> {
    spec.secrets().into_iter().collect()
}

impl Grants {
    /// The spec is what its node runs as its instance.
    pub(super) fn assign(&mut self, spec: &InstanceSpec) {
        self.assigned.insert(place(spec), references(spec));
    }

    /// The node may run the spec by now, or still what was assigned before.
    pub(super) fn allow(&mut self, spec: &InstanceSpec) {
        self.assigned.entry(place(spec)).or_default().extend(references(spec));
    }

    /// The node no longer runs the instance.
    pub(super) fn unassign(&mut self, node: &NodeName, instance: &InstanceId) {
        self.assigned.remove(&(node.clone(), instance.clone()));
    }

    /// The node is no part of the cluster any more.
    pub(super) fn forget_node(&mut self, node: &NodeName) {
        self.assigned.retain(|(on, _), _| on != node);
        self.running.retain(|_, ((on, _), _)| on != node);
    }

    /// A step that needs what `spec` refers to is about to run.
    pub(super) fn begin(&mut self, deployment: &str, step: &str, spec: &InstanceSpec) {
        let key = (deployment.to_owned(), step.to_owned());
        self.running.insert(key, (place(spec), references(spec)));
    }

    /// No step of the deployment runs any longer.
    pub(super) fn end(&mut self, deployment: &str) {
        self.running.retain(|(of, _), _| of != deployment);
    }

    /// The first of `wanted` that `node` may not have for `instance`.
    pub(super) fn refused<'a>(
        &self,
        node: &NodeName,
        instance: &InstanceId,
        wanted: &'a [SecretRef],
    ) -> Option<&'a SecretRef> {
        let place = (node.clone(), instance.clone());
        let mut allowed: BTreeSet<&SecretRef> =
            self.assigned.get(&place).into_iter().flatten().collect();
        for (on, refs) in self.running.values() {
            if *on == place {
                allowed.extend(refs);
            }
        }
        wanted.iter().find(|secret| !allowed.contains(secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use devnet_schema::{
        instance::{Limits, StopSpec, Workload},
        secret::{Part, Text},
    };

    fn secret(name: &str, version: u64) -> SecretRef {
        SecretRef { name: name.parse().unwrap(), version }
    }

    fn spec(node: &str, secrets: &[SecretRef]) -> InstanceSpec {
        let text = Text(secrets.iter().cloned().map(Part::Secret).collect());
        InstanceSpec {
            cluster: "lab".parse().unwrap(),
            id: "db[0]".parse().unwrap(),
            node: node.parse().unwrap(),
            workload: Workload::Process { argv: vec![text] },
            env: BTreeMap::new(),
            files: BTreeMap::new(),
            ports: Vec::new(),
            volumes: Vec::new(),
            limits: Limits::default(),
            gpus: Vec::new(),
            health: None,
            stop: StopSpec::default(),
            run_once: false,
            schedule: None,
            protect: false,
        }
    }

    fn may(grants: &Grants, node: &str, wanted: &[SecretRef]) -> bool {
        let (node, instance) = (node.parse().unwrap(), "db[0]".parse().unwrap());
        grants.refused(&node, &instance, wanted).is_none()
    }

    #[test]
    fn only_the_assigned_node_may_have_only_what_the_spec_refers_to_at_that_version() {
        let mut grants = Grants::default();
        grants.assign(&spec("n1", &[secret("pw", 2)]));
        assert!(may(&grants, "n1", &[secret("pw", 2)]));
        assert!(!may(&grants, "n1", &[secret("pw", 1)]));
        assert!(!may(&grants, "n1", &[secret("pw", 2), secret("other", 1)]));
        assert!(!may(&grants, "n2", &[secret("pw", 2)]));
        let other = "web[0]".parse().unwrap();
        let wanted = [secret("pw", 2)];
        assert!(grants.refused(&"n1".parse().unwrap(), &other, &wanted).is_some());
    }

    #[test]
    fn a_running_step_adds_to_what_is_assigned_and_takes_nothing_away() {
        let mut grants = Grants::default();
        grants.assign(&spec("n1", &[secret("pw", 1)]));
        grants.begin("d1", "db[0]/start", &spec("n1", &[secret("pw", 2)]));
        assert!(may(&grants, "n1", &[secret("pw", 2)]));
        assert!(may(&grants, "n1", &[secret("pw", 1)]), "the old unit may have to start again");
        grants.end("d1");
        assert!(!may(&grants, "n1", &[secret("pw", 2)]));
    }

    #[test]
    fn what_was_assigned_ends() {
        let mut grants = Grants::default();
        grants.assign(&spec("n1", &[secret("pw", 1)]));
        grants.unassign(&"n1".parse().unwrap(), &"db[0]".parse().unwrap());
        assert!(!may(&grants, "n1", &[secret("pw", 1)]));
        grants.assign(&spec("n1", &[secret("pw", 1)]));
        grants.forget_node(&"n1".parse().unwrap());
        assert!(!may(&grants, "n1", &[secret("pw", 1)]));
    }
}
