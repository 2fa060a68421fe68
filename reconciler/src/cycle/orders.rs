//! Orders: what nodes were told to run, in memory as it is on disk.
//!
//! Pure. Knows orders, and what nodes claim since the records were lost. Refuses to take a report
//! for either: what is on record of a unit is what a plan and a person read of it.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    digest::Digest,
    instance::{Generation, InstanceSpec},
    name::{InstanceId, NodeName},
    observed::{HealthState, InstanceState, ObservedInstance},
    order::Order,
};

use crate::store::{AssignmentRecord, ClaimRecord};

type Place = (InstanceId, NodeName);

/// What one node was told to run.
#[derive(Debug, Clone)]
struct Told {
    generation: Generation,
    spec: InstanceSpec,
}

/// What stands of one instance on one node, to be put back when an order is taken back that was
/// never given.
#[derive(Debug)]
pub(super) struct Entry {
    told: Option<Told>,
    claim: Option<Claim>,
}

/// What a node says that it was told to run.
#[derive(Debug, Clone)]
struct Claim {
    generation: Generation,
    spec: Option<InstanceSpec>,
    /// It has the receipt of the order, or an operator believes it.
    shown: bool,
}

impl Entry {
    /// What the node was told to run, and as of which generation.
    pub(super) fn order(&self) -> Option<(&InstanceSpec, Generation)> {
        self.told.as_ref().map(|told| (&told.spec, told.generation))
    }
}

/// Every order and every claim.
#[derive(Debug, Default)]
pub(super) struct Orders {
    told: BTreeMap<Place, Told>,
    claims: BTreeMap<Place, Claim>,
    /// Nodes whose claims are still to be taken: what they report now counts as such.
    unread: BTreeSet<NodeName>,
    /// Of those, the ones that the records know too little of: an older copy was put back.
    doubted: BTreeSet<NodeName>,
    /// Whether the records were found to be older than the nodes since this process began, or had
    /// been before and not all nodes were asked.
    older: bool,
    /// Whose claims were taken, or are to be, since this process began: the records cannot have
    /// become older since.
    asked: BTreeSet<NodeName>,
}

impl Orders {
    /// As they are on disk.
    pub(super) fn of(
        told: Vec<AssignmentRecord>,
        claims: Vec<ClaimRecord>,
        unread: BTreeSet<NodeName>,
        doubted: BTreeSet<NodeName>,
    ) -> Self {
        let older = !doubted.is_empty();
        let mut orders = Self { unread, doubted, older, ..Self::default() };
        for AssignmentRecord { generation, spec, .. } in told {
            orders.told(&spec, generation);
        }
        for ClaimRecord { instance, node, generation, spec, shown } in claims {
            orders.claims.insert((instance, node), Claim { generation, spec, shown });
        }
        orders
    }

    /// The spec is what its node was told to run.
    pub(super) fn told(&mut self, spec: &InstanceSpec, generation: Generation) {
        let place = (spec.id.clone(), spec.node.clone());
        self.claims.remove(&place);
        self.told.insert(place, Told { generation, spec: spec.clone() });
    }

    /// What stands of an instance on a node.
    pub(super) fn entry(&self, instance: &InstanceId, node: &NodeName) -> Entry {
        let place = (instance.clone(), node.clone());
        Entry { told: self.told.get(&place).cloned(), claim: self.claims.get(&place).cloned() }
    }

    /// An order was never given: what stood before it stands.
    pub(super) fn put_back(&mut self, instance: &InstanceId, node: &NodeName, before: Entry) {
        self.stopped(instance, node);
        let place = || (instance.clone(), node.clone());
        let Entry { told, claim } = before;
        self.told.extend(told.map(|told| (place(), told)));
        self.claims.extend(claim.map(|claim| (place(), claim)));
    }

    /// The node was told to stop it, and did.
    pub(super) fn stopped(&mut self, instance: &InstanceId, node: &NodeName) {
        let place = (instance.clone(), node.clone());
        self.told.remove(&place);
        self.claims.remove(&place);
    }

    /// The node is no part of the cluster any more.
    pub(super) fn forget_node(&mut self, node: &NodeName) {
        self.told.retain(|(_, on), _| on != node);
        self.claims.retain(|(_, on), _| on != node);
        self.unread.remove(node);
        self.doubted.remove(node);
        self.asked.remove(node);
    }

    /// A node came that is not on record: it says itself what it was told.
    pub(super) fn adopted(&mut self, node: &NodeName) {
        self.lost(node);
        self.asked.insert(node.clone());
    }

    /// Who needs not be asked again because the records are older than the nodes.
    pub(super) fn asked(&self) -> BTreeSet<NodeName> {
        self.asked.clone()
    }

    /// Whether records that are older than the nodes are why a node is asked.
    pub(super) fn is_since(&self, node: &NodeName) -> bool {
        self.doubted.contains(node) || (self.asked.contains(node) && self.unread.contains(node))
    }

    /// The records know too little of these nodes. Whether that is news.
    pub(super) fn doubt(&mut self, nodes: BTreeSet<NodeName>) -> bool {
        let before = self.doubted.len();
        self.older |= !nodes.is_empty();
        self.unread.extend(nodes.iter().cloned());
        self.doubted.extend(nodes);
        self.doubted.len() > before
    }

    /// Whether nodes may exist that joined after the records were copied.
    pub(super) fn are_older(&self) -> bool {
        self.older
    }

    /// The nodes that the records know too little of.
    pub(super) fn doubted(&self) -> Vec<NodeName> {
        self.doubted.iter().cloned().collect()
    }

    /// Whether the records know too little of a node.
    pub(super) fn is_doubted(&self, node: &NodeName) -> bool {
        self.doubted.contains(node)
    }

    /// What a node was told to run, and as of which generation.
    pub(super) fn told_to(&self, node: &NodeName) -> BTreeMap<InstanceId, Generation> {
        let here = self.told.iter().filter(|((_, on), _)| on == node);
        here.map(|((id, _), told)| (id.clone(), told.generation)).collect()
    }

    /// Orders of other nodes that are older than what a node claims of the same instance.
    pub(super) fn beaten_by(&self, node: &NodeName) -> Vec<Place> {
        let newer = |id: &InstanceId| self.claims.get(&(id.clone(), node.clone()));
        let others = self.told.iter().filter(|((_, on), _)| on != node);
        let beaten = others
            .filter(|((id, _), it)| newer(id).is_some_and(|at| at.generation > it.generation));
        beaten.map(|(place, _)| place.clone()).collect()
    }

    /// The records do not know what the node was told; its next whole report says it.
    pub(super) fn lost(&mut self, node: &NodeName) {
        self.unread.insert(node.clone());
    }

    /// The nodes whose claims are still to be taken.
    pub(super) fn unread(&self) -> BTreeSet<NodeName> {
        self.unread.clone()
    }

    /// Whether the claims of a node are still to be taken.
    pub(super) fn is_unread(&self, node: &NodeName) -> bool {
        self.unread.contains(node)
    }

    /// The claims of a node, taken for good.
    pub(super) fn claimed(&mut self, node: &NodeName, claims: Vec<ClaimRecord>) {
        self.unread.remove(node);
        self.doubted.remove(node);
        self.asked.insert(node.clone());
        self.claims.retain(|(_, on), _| on != node);
        for ClaimRecord { instance, node, generation, spec, shown } in claims {
            self.claims.insert((instance, node), Claim { generation, spec, shown });
        }
    }

    /// Claims of a node for what it no longer reports, or was told by now: they are over.
    pub(super) fn moot(&self, node: &NodeName, reported: &BTreeSet<InstanceId>) -> Vec<InstanceId> {
        let of_node = self.claims.keys().filter(|(_, on)| on == node);
        of_node.filter(|(id, _)| !reported.contains(id)).map(|(id, _)| id.clone()).collect()
    }

    /// What the node was told to run as the instance, and as of which generation.
    pub(super) fn order(
        &self,
        instance: &InstanceId,
        node: &NodeName,
    ) -> Option<(&InstanceSpec, Generation)> {
        let told = self.told.get(&(instance.clone(), node.clone()))?;
        Some((&told.spec, told.generation))
    }

    /// The node that was told last to run the instance.
    pub(super) fn ordered_on(&self, instance: &InstanceId) -> Option<NodeName> {
        let all = self.told.iter().filter(|((id, _), _)| id == instance);
        let newest = all.max_by_key(|(_, told)| told.generation)?;
        Some(newest.0.1.clone())
    }

    /// Whether the node was told to run the instance, or claims it with right.
    pub(super) fn knows(&self, instance: &InstanceId, node: &NodeName) -> bool {
        let place = (instance.clone(), node.clone());
        self.told.contains_key(&place)
            || self.claims.contains_key(&place)
            || self.unread.contains(node)
    }

    /// All of them as a plan reads them. What a node reports whose claims were not taken yet counts
    /// as claimed already, so that nothing of it is started a second time meanwhile.
    pub(super) fn list(&self, reported: &[ObservedInstance]) -> Vec<Order> {
        let mut list: BTreeMap<Place, Order> = BTreeMap::new();
        let order = |(instance, node): Place, generation| {
            let (claimed, shown) = (false, false);
            Order { instance, node, generation, claimed, shown }
        };
        let of_unread = reported.iter().filter(|seen| self.unread.contains(&seen.node));
        let provisional = of_unread.map(|seen| {
            let order = order((seen.instance(), seen.node.clone()), seen.generation);
            Order { claimed: true, ..order }
        });
        let claims = self.claims.iter().map(|(place, it)| {
            let order = order(place.clone(), it.generation);
            Order { claimed: true, shown: it.shown, ..order }
        });
        let told = self.told.iter().map(|(place, it)| order(place.clone(), it.generation));
        for order in provisional.chain(claims).chain(told) {
            list.insert((order.instance.clone(), order.node.clone()), order);
        }
        list.into_values().collect()
    }

    /// Puts what a node was told in the place of what it says of itself. Its digest stays as it is
    /// reported, so that a unit which is something else is seen to be.
    pub(super) fn correct(&self, seen: &mut ObservedInstance) {
        if let Some(told) = self.told.get(&(seen.instance(), seen.node.clone())) {
            seen.spec = Some(Box::new(told.spec.clone()));
        }
    }

    /// What the node may still run, unseen since this process started.
    pub(super) fn remembered(&self, node: &NodeName) -> Vec<ObservedInstance> {
        let told = self.told.iter();
        let told = told.map(|((id, on), it)| (id, on, it.generation, Some(&it.spec)));
        let claims = self.claims.iter();
        let claims = claims.map(|((id, on), it)| (id, on, it.generation, it.spec.as_ref()));
        let here = told.chain(claims).filter(|(_, on, ..)| *on == node);
        here.map(|(id, on, generation, spec)| unknown(id, on, generation, spec)).collect()
    }
}

fn unknown(
    instance: &InstanceId,
    node: &NodeName,
    generation: Generation,
    spec: Option<&InstanceSpec>,
) -> ObservedInstance {
    ObservedInstance {
        id: instance.slug(),
        service: instance.service.clone(),
        index: instance.index,
        node: node.clone(),
        generation,
        digest: spec.map_or_else(|| Digest::from(String::new()), InstanceSpec::digest),
        state: InstanceState::Unknown,
        health: HealthState::Unknown,
        restarts: 0,
        message: None,
        runtime: spec.map(|spec| spec.workload.runtime()),
        spec: spec.cloned().map(Box::new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(word: &str) -> InstanceSpec {
        serde_json::from_value(serde_json::json!({
            "cluster": "lab", "id": "db[0]", "node": "n1",
            "workload": {"process": {"argv": []}}, "env": {"V": [{"plain": word}]},
        }))
        .unwrap()
    }

    #[test]
    fn an_order_that_was_never_given_leaves_what_stood_before_it() {
        let (id, n1) = ("db[0]".parse().unwrap(), "n1".parse().unwrap());
        let mut orders = Orders::default();
        let none = orders.entry(&id, &n1);
        orders.told(&spec("1"), 1);
        orders.put_back(&id, &n1, none);
        assert!(!orders.knows(&id, &n1));
        let (instance, node) = (id.clone(), n1.clone());
        let claim = ClaimRecord { instance, node, generation: 4, spec: None, shown: true };
        orders.claimed(&n1, vec![claim]);
        let claimed = orders.entry(&id, &n1);
        orders.told(&spec("1"), 5);
        let told = orders.entry(&id, &n1);
        orders.told(&spec("2"), 6);
        orders.put_back(&id, &n1, told);
        assert_eq!(orders.order(&id, &n1), Some((&spec("1"), 5)));
        orders.put_back(&id, &n1, claimed);
        assert!(orders.order(&id, &n1).is_none() && orders.knows(&id, &n1));
    }
}
