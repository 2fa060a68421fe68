//! Adoption: what runs and was planned to be left alone becomes an assignment of ours.
//!
//! After a loss of records nothing is assigned, and an agent that restarts a unit must be able to
//! get its secrets again. Knows how to tell that from the configuration. Refuses to believe the
//! agent's own spec further than the configuration bears it out, and an agent whose orders are on
//! record not at all.

use std::collections::{BTreeMap, BTreeSet};

use devnet_catalog::{Bindings, Placed};
use devnet_schema::{
    fleet::FleetSnapshot,
    instance::InstanceSpec,
    name::InstanceId,
    observed::{InstanceState, ObservedInstance},
    order::{OrderBook, Standing, is_believed},
    plan::{Drift, Plan},
    secret::SecretRef,
};
use tracing::warn;

use super::{Configuration, ControlPlane};
use crate::fleet::Purpose;

/// Specs that run by a claim of their node, where the plan puts them and changes nothing, and that
/// refer to no other secrets than the configuration gives the instance on that node; with their
/// generation. What the plan leaves as it is, since a line is against its node, say, stays a claim:
/// the word of a node alone gets it no secret of what is not to run there.
pub(super) fn adoptable(
    configuration: &Configuration,
    plan: &Plan,
    fleet: &FleetSnapshot,
) -> Vec<(InstanceSpec, u64)> {
    let changed: BTreeSet<&InstanceId> = plan.changes.iter().map(|c| &c.instance).collect();
    let book = OrderBook::of(fleet);
    let kept: Vec<(&ObservedInstance, &InstanceSpec)> =
        plan.placement
            .assignments
            .iter()
            .filter(|assigned| !changed.contains(&assigned.instance))
            .filter(|assigned| {
                let same =
                    |it: &Drift| (&it.instance, &it.node) == (&assigned.instance, &assigned.node);
                !plan.unreached.iter().any(same)
            })
            .filter_map(|assigned| {
                let seen = fleet.instances.iter().find(|seen| {
                    seen.instance() == assigned.instance && seen.node == assigned.node
                })?;
                let spec = seen.spec.as_deref()?;
                let standing = book.standing(&assigned.instance, &seen.node, seen.generation);
                let mut claims = fleet.orders.iter().flatten();
                let ours = standing == Standing::Claimed
                    && claims.all(|it| it.instance != assigned.instance || it.node == seen.node)
                    && is_believed(0, seen.generation)
                    && spec.id == assigned.instance
                    && spec.node == assigned.node
                    && seen.state != InstanceState::Unknown
                    && spec.digest() == seen.digest;
                ours.then_some((seen, spec))
            })
            .collect();
    let allowed = declared(configuration, fleet, kept.iter().map(|(_, spec)| *spec));
    kept.into_iter()
        .filter(|(_, spec)| {
            let refs = allowed.get(&spec.id);
            spec.secrets().iter().all(|s| refs.is_some_and(|refs| refs.contains(s)))
        })
        .map(|(seen, spec)| (spec.clone(), seen.generation))
        .collect()
}

/// The secrets that the configuration gives each of these instances where it runs.
pub(super) fn declared<'a>(
    configuration: &Configuration,
    fleet: &FleetSnapshot,
    specs: impl Iterator<Item = &'a InstanceSpec>,
) -> BTreeMap<InstanceId, BTreeSet<SecretRef>> {
    let instances = specs.map(|spec| {
        let ip = fleet.nodes.iter().find(|node| node.name == spec.node);
        let placed = Placed {
            node: spec.node.clone(),
            node_ip: ip.map(|node| node.facts.ip.clone()).unwrap_or_default(),
            gpus: spec.gpus.clone(),
            ports: spec.ports.iter().map(|port| (port.name.clone(), port.host)).collect(),
        };
        (spec.id.clone(), placed)
    });
    let bindings = Bindings { instances: instances.collect(), secrets: fleet.secrets.clone() };
    match devnet_catalog::render(&configuration.catalog, &configuration.desired, &bindings) {
        Ok(rendered) => rendered
            .into_iter()
            .map(|spec| (spec.id.clone(), spec.secrets().into_iter().collect()))
            .collect(),
        Err(findings) => {
            if let Some(first) = findings.first() {
                warn!(problem = first.message, "what runs could not be compared for adoption");
            }
            BTreeMap::new()
        }
    }
}

impl ControlPlane {
    /// Takes over what runs as declared, is claimed, and is not on record.
    ///
    /// # Errors
    /// When the secrets' names cannot be read.
    pub(super) fn adopt(&self, configuration: &Configuration, plan: &Plan) -> anyhow::Result<()> {
        let lost_after = configuration.desired.settings.lost_after.into();
        let fleet = self.snapshot(Purpose::Plan, lost_after)?;
        for (spec, generation) in adoptable(configuration, plan, &fleet) {
            match self.assign(&spec, generation) {
                Ok(()) => {
                    let text = format!("adopted on {}", spec.node);
                    self.journal.write("instance", &spec.id.address(), &text);
                }
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "adopting an instance");
                }
            }
        }
        Ok(())
    }
}
