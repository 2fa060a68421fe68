//! The desk: answers what agents tell and ask that concerns records, secrets or the CA.
//!
//! Knows who may have which secret. Refuses to give one without a grant, and never logs a value.

use std::{collections::BTreeMap, sync::Arc};

use devnet_schema::{
    name::{InstanceId, NodeName},
    observed::{HealthState, InstanceState, ObservedInstance},
    secret::{InTransit, SecretRef},
    wire::{MAX_SPEC, size},
};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::{ControlPlane, deploy::chain};
use crate::{
    auth::NodeIdentity,
    fleet::{Call, wall},
    store::StoreError,
};

type Seen = BTreeMap<(NodeName, InstanceId), (InstanceState, HealthState)>;

/// Answers calls until there can be no more of them.
pub async fn answer(plane: Arc<ControlPlane>, mut calls: mpsc::Receiver<Call>) {
    let mut seen = Seen::new();
    while let Some(call) = calls.recv().await {
        let act = word(&call);
        if let Err(error) = take(&plane, call, &mut seen) {
            error!(error = &error as &dyn std::error::Error, "{act}");
        }
    }
}

fn word(call: &Call) -> &'static str {
    match call {
        Call::Connected { .. } => "recording that an agent connected",
        Call::Disconnected { .. } => "recording that an agent disconnected",
        Call::Facts { .. } => "recording what a node has",
        Call::Observed { .. } => "recording what runs on a node",
        Call::Secrets { .. } => "answering an agent that needs secrets",
        Call::Renew { .. } => "renewing a node's certificate",
    }
}

fn take(plane: &ControlPlane, call: Call, seen: &mut Seen) -> Result<(), StoreError> {
    match call {
        Call::Connected { node, id: _, facts } => {
            plane.store.record_facts(&node, &facts, &wall())?;
            plane.journal.node(&node, &format!("{node} is connected"));
        }
        Call::Disconnected { node } => {
            plane.store.touch_node(&node, &wall())?;
            seen.retain(|(on, _), _| *on != node);
            if plane.fleet.knows(&node) {
                plane.journal.node(
                    &node,
                    &format!(
                        "{node} is not connected; what runs there is unknown, and nothing is \
                     decided about it"
                    ),
                );
            }
        }
        Call::Facts { node, facts } => {
            plane.store.record_facts(&node, &facts, &wall())?;
        }
        Call::Observed { node } => observed(plane, &node, seen)?,
        Call::Secrets { node, instance, secrets, answer } => {
            let values = plane.values(&node, &instance, &secrets);
            if let Err(reason) = &values {
                warn!(%node, %instance, reason, "secrets were not given");
                let message = format!("secrets were not given to {node}: {reason}");
                plane.journal.write("secret", &instance.address(), &message);
            }
            let _ = answer.send(values);
        }
        Call::Renew { node, id, csr, answer } => {
            let signed = plane
                .authority
                .sign_node(&csr, &NodeIdentity { name: node, id }, Timestamp::now(), &mut random)
                .map(|signed| signed.chain_pem)
                .map_err(|error| chain(&error));
            let _ = answer.send(signed);
        }
    }
    Ok(())
}

fn observed(plane: &ControlPlane, node: &NodeName, seen: &mut Seen) -> Result<(), StoreError> {
    let instances = plane.fleet.instances_of(node);
    let mut now = Seen::new();
    let mut generations = BTreeMap::new();
    for one in &instances {
        let id = one.instance();
        let state = (one.state, one.health);
        let before = seen.get(&(node.clone(), id.clone())).copied();
        if before != Some(state) {
            plane.journal.instance(&id, &sentence(node, one));
        }
        let highest = generations.entry(id.clone()).or_insert(0);
        *highest = one.generation.max(*highest);
        now.insert((node.clone(), id), state);
    }
    for (_, id) in seen.keys().filter(|key| key.0 == *node && !now.contains_key(*key)) {
        plane.journal.instance(id, &format!("no longer runs on {node}"));
    }
    seen.retain(|(on, _), _| on != node);
    seen.extend(now);
    plane.store.observe_generations(&generations)
}

fn sentence(node: &NodeName, one: &ObservedInstance) -> String {
    let state = match one.state {
        InstanceState::Running => "runs",
        InstanceState::Starting => "is starting",
        InstanceState::Exited => "has exited",
        InstanceState::Unknown => return format!("its state on {node} is unknown"),
    };
    let health = match one.health {
        HealthState::Healthy => " and is healthy",
        HealthState::Unhealthy => " and is unhealthy",
        HealthState::Starting | HealthState::Unknown => "",
    };
    let message = one.message.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
    format!("{state} on {node}{health}{message}")
}

impl ControlPlane {
    /// The values of `secrets` for an instance on `node`, by name.
    ///
    /// # Errors
    /// Why the node may not have one of them, or that it is not there; the reason never says more
    /// than the request did.
    fn values(
        &self,
        node: &NodeName,
        instance: &InstanceId,
        secrets: &[SecretRef],
    ) -> Result<BTreeMap<String, InTransit>, String> {
        if let Some(refused) = self.grants().refused(node, instance, secrets) {
            return Err(format!("{refused} is not one of {instance} on {node}"));
        }
        let mut values = BTreeMap::new();
        for SecretRef { name, version } in secrets {
            let value = self
                .secrets
                .value(name, *version)
                .map_err(|error| format!("secret {name} version {version}: {error}"))?;
            values.insert(name.to_string(), InTransit::new(value.expose().clone()));
        }
        let bytes = size(&values);
        if bytes > MAX_SPEC {
            return Err(format!(
                "the secrets of {instance} have {bytes} bytes together and {MAX_SPEC} can be sent: \
                 make them fewer or smaller"
            ));
        }
        Ok(values)
    }
}

/// Fresh random bytes from the operating system.
///
/// # Panics
/// When the operating system has none: nothing that is made without them would be safe.
pub fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}
