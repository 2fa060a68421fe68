//! Requests of agents: answers what agents tell and ask that concerns records, secrets or the CA.
//!
//! Knows who may have which secret. Refuses to give one without a grant, and never logs a value.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use devnet_schema::{
    fleet::NodeFacts,
    name::{InstanceId, NodeName},
    observed::{HealthState, InstanceState, ObservedInstance},
    order::is_believed,
    secret::{InTransit, SecretRef},
    wire::{MAX_SPEC, size},
};
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::{ControlPlane, deploy::chain, volumes::Word};
use crate::{
    auth::NodeIdentity,
    clock,
    fleet::Call,
    random,
    store::{ClaimRecord, StoreError},
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
        Call::Double { .. } => "recording that two machines use one identity",
        Call::Disconnected { .. } => "recording that an agent disconnected",
        Call::Facts { .. } => "recording what a node has",
        Call::Observed { .. } => "recording what runs on a node",
        Call::Secrets { .. } => "answering an agent that needs secrets",
        Call::Renew { .. } => "renewing a node's certificate",
    }
}

fn take(plane: &ControlPlane, call: Call, seen: &mut Seen) -> Result<(), StoreError> {
    let now = plane.since_start();
    match call {
        Call::Connected { node, id, facts, origin } => {
            plane.note_jump(&node, &facts);
            plane.count_session(&node, &id, origin.session)?;
            plane.store.record_facts(&node, &facts, clock::wall())?;
            plane.authority.refusals().forget(&node);
            plane.reread(&node)?;
            plane.journal.node_reports(&node, now, &format!("{node} is connected"));
        }
        Call::Double { node, problem } => {
            // An agent that is refused comes again within half a minute; one that does not is gone.
            if plane.fleet.note(&node, &problem, Duration::from_secs(45)) {
                plane.journal.node_reports(&node, now, &problem);
            }
        }
        Call::Disconnected { node } => {
            plane.store.touch_node(&node, clock::wall())?;
            seen.retain(|(on, _), _| *on != node);
            if plane.fleet.knows(&node) {
                plane.journal.node_reports(
                    &node,
                    now,
                    &format!(
                        "{node} is not connected; what runs there is unknown, and nothing is \
                     decided about it"
                    ),
                );
            }
        }
        Call::Facts { node, facts } => {
            plane.note_jump(&node, &facts);
            plane.store.record_facts(&node, &facts, clock::wall())?;
        }
        Call::Observed { node } => observed(plane, &node, seen)?,
        Call::Secrets { node, id, instance, secrets, answer } => {
            // A session was let in long ago: who it speaks for is asked each time.
            let values = match plane.is_member(&node, &id)? {
                true => plane.values(&node, &instance, &secrets),
                false => Err(format!("{node} is no node of this cluster any more")),
            };
            if let Err(reason) = &values {
                let message = format!("secrets were not given to {node}: {reason}");
                let (source, subject) = (format!("node.{node}"), instance.address());
                if plane.journal.refused(&source, now, "secret", &subject, &message) {
                    warn!(%node, %instance, reason, "secrets were not given");
                }
            }
            let _ = answer.send(values);
        }
        Call::Renew { node, id, csr, answer } => {
            if !plane.is_member(&node, &id)? {
                let _ = answer.send(Err(format!("{node} is no node of this cluster any more")));
                return Ok(());
            }
            let signed = plane
                .authority
                .sign_node(&csr, &NodeIdentity { name: node, id }, clock::now(), &mut random::fill)
                .map(|signed| signed.chain_pem)
                .map_err(|error| chain(&error));
            let _ = answer.send(signed);
        }
    }
    Ok(())
}

fn observed(plane: &ControlPlane, node: &NodeName, seen: &mut Seen) -> Result<(), StoreError> {
    let at = plane.since_start();
    let (complete, instances) = plane.fleet.report_of(node);
    if complete {
        plane.take_claims(node, &instances, Word::Node)?;
    }
    let mut now = Seen::new();
    for one in &instances {
        let id = one.instance();
        let state = (one.state, one.health);
        let before = seen.get(&(node.clone(), id.clone())).copied();
        if before != Some(state) {
            let known = plane.orders().knows(&id, node);
            let text = match known {
                true => Some(sentence(node, one)),
                // Whatever else it says of it is nobody's business.
                false => before.is_none().then(|| stranger(node)),
            };
            if let Some(text) = text {
                plane.journal.instance_reports(node, at, &id, &text);
            }
        }
        now.insert((node.clone(), id), state);
    }
    for (_, id) in seen.keys().filter(|key| key.0 == *node && !now.contains_key(*key)) {
        plane.journal.instance_reports(node, at, id, &format!("no longer runs on {node}"));
    }
    seen.retain(|(on, _), _| on != node);
    seen.extend(now);
    Ok(())
}

fn stranger(node: &NodeName) -> String {
    format!("{node} says that it runs there, and was not told to: nothing is done about it")
}

fn sentence(node: &NodeName, one: &ObservedInstance) -> String {
    let state = match one.state {
        InstanceState::Running => "runs",
        InstanceState::Starting => "is starting",
        InstanceState::Exited => "has exited",
        InstanceState::Completed => return format!("ran once on {node} and is done"),
        InstanceState::Scheduled => "waits for its time",
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

/// What of a machine grew by more than half since `before`, as `cores from 8 to 100000`. A machine
/// may be given more; one that lies about its size is seen by this.
fn jumps(before: &NodeFacts, now: &NodeFacts) -> Vec<String> {
    let disk = |facts: &NodeFacts| facts.disks.iter().map(|disk| disk.total_mb).max().unwrap_or(0);
    let devices = |facts: &NodeFacts| facts.gpus.len() as u64;
    let rows = [
        ("cores", u64::from(before.cpu_count), u64::from(now.cpu_count)),
        ("MiB of memory", before.total_memory_mb, now.total_memory_mb),
        ("MiB of disk", disk(before), disk(now)),
        ("GPUs", devices(before), devices(now)),
    ];
    let grew = rows.iter().filter(|(_, was, is)| *was > 0 && *is > was.saturating_add(was / 2));
    grew.map(|(what, was, is)| format!("{what} from {was} to {is}")).collect()
}

impl ControlPlane {
    /// Counts a session. A count that does not go up is one of an older copy of the identity. An
    /// agent that cannot write its count says 0, which tells nothing.
    fn count_session(&self, node: &NodeName, id: &str, session: u64) -> Result<(), StoreError> {
        if session == 0 {
            return Ok(());
        }
        let before = self.store.count_session(id, session)?;
        if session > before {
            return Ok(());
        }
        let problem = format!(
            "{node} came with an older copy of its identity (session {session} after {before}): it \
             was put back from a backup, or two machines use one identity; then stop the agent of \
             the copy, delete its data directory, and join it under a name of its own"
        );
        // Two machines come by turns within that; a backup was put back once.
        if self.fleet.note(node, &problem, Duration::from_secs(300)) {
            self.journal.node_reports(node, self.since_start(), &problem);
        }
        Ok(())
    }

    /// Writes an event when a node says that it is much larger than it was.
    pub(super) fn note_jump(&self, node: &NodeName, facts: &NodeFacts) {
        // A record that cannot be read tells nothing to compare with, and is about to be mended.
        let Ok(Some(record)) = self.store.node(node) else { return };
        let jumps = jumps(&record.facts, facts);
        if !jumps.is_empty() {
            let text = format!(
                "{node} says that it has grown: {}; `node \"{node}\" {{ capacity … }}` in the \
                 cluster file says how much of it counts",
                jumps.join(", ")
            );
            self.journal.node_reports(node, self.since_start(), &text);
        }
    }

    /// Takes what a node claims in its first whole report after the records were lost, and ends
    /// claims for what it does not report any more.
    pub(super) fn take_claims(
        &self,
        node: &NodeName,
        reported: &[ObservedInstance],
        word: Word,
    ) -> Result<(), StoreError> {
        if !self.orders().is_unread(node) {
            let there = reported.iter().map(ObservedInstance::instance).collect();
            let moot = self.orders().moot(node, &there);
            for instance in moot {
                self.store.drop_claim(&instance, node)?;
                if self.orders().order(&instance, node).is_none() {
                    self.orders().stopped(&instance, node);
                }
            }
            return Ok(());
        }
        let receipts = self.receipts_of(node)?;
        let shown = |instance: &InstanceId, generation| {
            word == Word::Operator || receipts.was_told(instance, generation)
        };
        let own = reported.iter().filter(|seen| is_believed(0, seen.generation));
        let mut claims: BTreeMap<InstanceId, ClaimRecord> = own
            .map(|seen| {
                let instance = seen.instance();
                let claim = ClaimRecord {
                    instance: instance.clone(),
                    node: node.clone(),
                    generation: seen.generation,
                    spec: seen.spec.as_deref().cloned(),
                    shown: shown(&instance, seen.generation),
                };
                (instance, claim)
            })
            .collect();
        if self.orders().is_doubted(node) {
            self.since_then(node, reported, &mut claims)?;
        }
        self.claim_volumes(node, word)?;
        let claims: Vec<ClaimRecord> = claims.into_values().collect();
        self.store.take_claims(node, &claims)?;
        let count = claims.len();
        self.orders().claimed(node, claims);
        let text = format!("{node} says that it was told to run {count} instances");
        self.journal.node_reports(node, self.since_start(), &text);
        // A plan may wait for it.
        self.wake();
        Ok(())
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_grew_by_more_than_half_is_named_and_a_new_one_is_not() {
        let of = |cpu_count, total_memory_mb| NodeFacts {
            cpu_count,
            total_memory_mb,
            ..NodeFacts::default()
        };
        assert_eq!(jumps(&of(8, 1000), &of(100_000, 1500)), ["cores from 8 to 100000"]);
        assert_eq!(jumps(&of(8, 1000), &of(8, 1501)), ["MiB of memory from 1000 to 1501"]);
        assert!(jumps(&of(0, 0), &of(8, 1000)).is_empty());
        assert!(jumps(&of(8, u64::MAX), &of(4, u64::MAX)).is_empty());
    }
}
