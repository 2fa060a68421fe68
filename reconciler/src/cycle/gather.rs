//! Gather: everything a plan depends on, read now; and the plan made of it off the event loop.
//!
//! Knows where each part of the input is kept. Refuses to interpret any of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use devnet_planner::{
    PlanInput, Policy,
    place::{self, Pace},
};
use devnet_schema::{
    desired::DesiredState,
    fleet::{FleetSnapshot, Node, NodeStatus},
    name::{InstanceId, NodeName},
    observed::ObservedInstance,
    plan::Plan,
    plan_options::PlanOptions,
};

use super::{Configuration, ControlPlane, Permit, orders::Orders};
use crate::{clock, fleet::Purpose};

/// What a plan is made of beside the configuration.
#[derive(Debug, Clone)]
pub(super) struct Gathered {
    /// Nodes, what runs, and which secrets there are.
    pub fleet: FleetSnapshot,
    /// The highest generation that was ever given out.
    pub generations: BTreeMap<InstanceId, u64>,
}

/// Says so when it is dropped: nobody waits any more.
#[derive(Default)]
pub(super) struct Waiting(Arc<AtomicBool>);

impl Waiting {
    /// Becomes true when nobody waits any more.
    pub(super) fn gone(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// How much longer a search may go on.
pub(super) fn pace(gone: &AtomicBool, limit: Option<Duration>, elapsed: Duration) -> Pace {
    if gone.load(Ordering::Acquire) { Pace::Stop } else { Pace::left(limit, elapsed) }
}

impl ControlPlane {
    /// Reads everything a plan of `configuration` depends on.
    ///
    /// # Errors
    /// When records or secrets cannot be read.
    pub(super) fn gather(&self, desired: &DesiredState) -> anyhow::Result<Gathered> {
        self.orders_are_known()?;
        let mut fleet = self.snapshot(Purpose::Plan, desired.settings.lost_after.into())?;
        self.promise(desired, &mut fleet).context("reading the secrets' versions")?;
        let generations = self.store.generations()?;
        Ok(Gathered { fleet, generations })
    }

    /// The fleet as a document.
    ///
    /// # Errors
    /// When the secrets' names cannot be read.
    pub fn snapshot(
        &self,
        purpose: Purpose,
        lost_after: Duration,
    ) -> anyhow::Result<FleetSnapshot> {
        let (nodes, mut instances) = self.fleet.view(purpose, lost_after);
        let recorded = self.store.protection()?;
        let (orders, protected) = {
            let orders = self.orders();
            instances.iter_mut().for_each(|seen| orders.correct(seen));
            add_unseen(&nodes, &orders, &mut instances);
            // What nobody ordered is protected by nobody's word.
            let ours = instances.iter().filter(|it| orders.knows(&it.instance(), &it.node));
            let protected = protected(&recorded, ours);
            (orders.list(&instances), protected)
        };
        let data = self.data_places()?;
        let secrets = self.secrets.versions().context("reading the secrets' versions")?;
        Ok(FleetSnapshot {
            format_version: "1.0".to_owned(),
            cluster: self.fleet.cluster(),
            serial: self.fleet.serial(),
            taken_at: clock::wall().to_string(),
            nodes,
            instances,
            orders: Some(orders),
            accepted: self.fleet.accepted(),
            data,
            protected,
            secrets: Some(secrets),
        })
    }

    /// How long a node may be silent before it is lost, as the newest good configuration says.
    pub fn lost_after(&self) -> Duration {
        let settings = self.state().current.as_ref().map(|c| c.desired.settings.lost_after);
        settings.unwrap_or_else(|| devnet_schema::desired::Settings::default().lost_after).into()
    }

    /// Plans on a thread of its own: it computes and must not hold up agents. The search for a
    /// placement ends after `limit`, where there is one, and when nobody waits for the plan any
    /// more. `permit` is kept until the thread is free again, which may be later than that.
    ///
    /// # Errors
    /// When the inputs cannot be read or the planner panics.
    pub(super) async fn plan(
        &self,
        configuration: Arc<Configuration>,
        (options, policy): (PlanOptions, Policy),
        limit: Option<Duration>,
        permit: Option<Permit>,
    ) -> anyhow::Result<Plan> {
        let gathered = self.gather(&configuration.desired)?;
        let begun = Instant::now();
        let waiting = Waiting::default();
        let gone = Arc::clone(&waiting.0);
        let mut plan = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let input = PlanInput {
                desired: &configuration.desired,
                catalog: &configuration.catalog,
                fleet: &gathered.fleet,
                revision: &configuration.revision,
                generations: &gathered.generations,
                options,
                policy,
                limits: place::Limits::default(),
                created_at: &clock::wall().to_string(),
            };
            devnet_planner::plan_paced(&input, &mut |_| pace(&gone, limit, begun.elapsed()))
        })
        .await
        .context("planning: the planner stopped in the middle; this is a fault of devnet")?;
        drop(waiting);
        let took = begun.elapsed();
        plan.placement.seconds = Some(took.as_secs_f64());
        plan.placement.solve_limit = limit.map(|limit| limit.as_secs_f64());
        self.metrics.planned(took);
        Ok(plan)
    }
}

/// Adds what a node was told to run, does not show, and may run all the same: nothing is known of a
/// node that is not connected, and its last word may be older than the order.
fn add_unseen(nodes: &[Node], orders: &Orders, instances: &mut Vec<ObservedInstance>) {
    let shown: BTreeSet<(InstanceId, NodeName)> =
        instances.iter().map(|seen| (seen.instance(), seen.node.clone())).collect();
    for node in nodes.iter().filter(|node| node.status != NodeStatus::Online) {
        let told = orders.remembered(&node.name).into_iter();
        instances.extend(told.filter(|it| !shown.contains(&(it.instance(), it.node.clone()))));
    }
    instances.sort_by_key(|seen| (seen.instance(), seen.node.clone()));
}

/// What is protected as the records say; what is not on record, as its node says.
fn protected<'a>(
    recorded: &BTreeMap<InstanceId, bool>,
    instances: impl Iterator<Item = &'a ObservedInstance>,
) -> Vec<InstanceId> {
    let told = recorded.iter().filter(|(_, protected)| **protected).map(|(id, _)| id.clone());
    let seen = instances.filter(|seen| seen.spec.as_ref().is_some_and(|it| it.protect));
    let seen = seen.map(ObservedInstance::instance).filter(|id| !recorded.contains_key(id));
    let all: BTreeSet<InstanceId> = told.chain(seen).collect();
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use devnet_schema::observed::InstanceState;

    use super::*;

    #[test]
    fn what_a_node_that_is_away_was_told_is_unknown_and_not_absent() {
        let spec = serde_json::json!({
            "cluster": "lab", "id": "db[0]", "node": "n1", "workload": {"process": {"argv": []}},
        });
        let mut orders = Orders::default();
        orders.told(&serde_json::from_value(spec).unwrap(), 7);
        for (status, unknown) in
            [(NodeStatus::Online, 0), (NodeStatus::Offline, 1), (NodeStatus::Lost, 1)]
        {
            let node = serde_json::json!({
                "name": "n1", "status": status, "cpu_count": 1, "total_memory_mb": 1,
            });
            let (nodes, mut seen) = (vec![serde_json::from_value(node).unwrap()], Vec::new());
            add_unseen(&nodes, &orders, &mut seen);
            assert_eq!(seen.len(), unknown, "{status:?}");
            add_unseen(&nodes, &orders, &mut seen);
            assert_eq!(seen.len(), unknown, "once");
            assert!(seen.iter().all(|one| one.state == InstanceState::Unknown));
        }
    }

    #[test]
    fn a_plan_that_nobody_waits_for_is_stopped() {
        let waiting = Waiting::default();
        let gone = Arc::clone(&waiting.0);
        let second = Duration::from_secs(1);
        assert_eq!(pace(&gone, None, second), Pace::Free);
        assert_eq!(pace(&gone, Some(second * 3), second), Pace::Within(second * 2));
        drop(waiting);
        assert_eq!(pace(&gone, Some(second * 3), second), Pace::Stop);
    }
}
