//! What is known of every node: facts, what runs there, and when it was last heard of.
//!
//! Knows how reports change that knowledge, with the time as an argument. Refuses to know sockets,
//! clocks and records, and never takes silence or a partial report for absence: what was known and
//! is not contradicted stays, as unknown.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use devnet_schema::{
    fleet::{Node, NodeFacts, NodeStatus},
    instance::{Generation, InstanceSpec},
    name::{InstanceId, NodeName},
    observed::{HealthState, InstanceState, ObservedInstance, ObservedNode},
    order::Accepted,
    wire::{Described, Receipt},
};

use super::{bounds, specs::Specs, volumes::Volumes};
use crate::{clock::Moment, time::Time};

/// What is remembered of a node from before this process started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remembered {
    /// Its id.
    pub id: String,
    /// Its last facts.
    pub facts: NodeFacts,
    /// When it was last heard of.
    pub last_seen: Option<Time>,
    /// Tags that an admin gave it.
    pub tags: Vec<String>,
    /// Zone that an admin gave it.
    pub zone: Option<String>,
    /// Whether an admin forbade new instances.
    pub cordoned: bool,
    /// Whether an admin has it give up what can move.
    pub drained: bool,
}

/// One node.
#[derive(Debug, Clone, Default)]
struct Entry {
    known: Remembered,
    /// The session that speaks for it, while one is open.
    session: Option<u64>,
    /// Whether it said what runs since that session opened.
    reported: bool,
    /// When a frame last came; the start of the process when none has.
    heard: Duration,
    /// What runs there, as far as is known.
    instances: BTreeMap<InstanceId, ObservedInstance>,
    /// Whether the last report held everything.
    complete: bool,
    /// Why it did not.
    problem: Option<String>,
    /// What the digests of its reports mean.
    specs: Specs,
    /// What its agent has written down of generations.
    accepted: BTreeMap<InstanceId, Generation>,
    /// What it shows for what it was told to run.
    receipts: BTreeMap<InstanceId, Vec<Receipt>>,
    /// The volumes that it says it keeps.
    volumes: Arc<Volumes>,
    /// How far its machine's clock is ahead of ours, in milliseconds, while a session is open and
    /// says so.
    skew: Option<i64>,
}

/// Who looks at the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A person: a connected node is online.
    Show,
    /// A plan: a node that could not be read in full counts as offline, so that nothing is decided
    /// about what runs there.
    Plan,
}

/// Every node.
#[derive(Debug, Default)]
pub(super) struct Registry {
    nodes: BTreeMap<NodeName, Entry>,
    serial: u64,
}

impl Registry {
    /// Up by one whenever anything changed that a plan could read.
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// Takes a node from the records. What ran there is unknown until it reports.
    pub(super) fn remember(
        &mut self,
        name: NodeName,
        known: Remembered,
        ran: Vec<ObservedInstance>,
    ) {
        let mut specs = Specs::default();
        ran.iter().filter_map(|seen| seen.spec.clone()).for_each(|spec| specs.ordered(spec));
        let instances = ran
            .into_iter()
            .map(|seen| (seen.instance(), unknown(seen)))
            .collect::<BTreeMap<_, _>>();
        let entry = Entry { known, instances, specs, complete: true, ..Entry::default() };
        self.nodes.insert(name, entry);
        self.serial += 1;
    }

    /// A session now speaks for the node. Returns the session that did so before.
    pub(super) fn connect(
        &mut self,
        name: &NodeName,
        id: &str,
        facts: NodeFacts,
        session: u64,
        now: &Moment,
    ) -> Option<u64> {
        let entry = self.nodes.entry(name.clone()).or_insert_with(|| Entry {
            heard: now.since_start,
            complete: true,
            ..Entry::default()
        });
        entry.known.id = id.to_owned();
        entry.known.facts = facts;
        entry.known.last_seen = Some(now.wall);
        entry.heard = now.since_start;
        entry.reported = false;
        entry.specs.reconnected();
        self.serial += 1;
        entry.session.replace(session)
    }

    /// The session has ended. Nothing happens when a newer one has taken over.
    pub(super) fn disconnect(&mut self, name: &NodeName, session: u64) -> bool {
        let Some(entry) = self.nodes.get_mut(name) else {
            return false;
        };
        if entry.session != Some(session) {
            return false;
        }
        entry.session = None;
        entry.reported = false;
        entry.skew = None;
        self.serial += 1;
        true
    }

    /// A frame came.
    pub(super) fn heard(&mut self, name: &NodeName, now: &Moment) {
        if let Some(entry) = self.nodes.get_mut(name) {
            entry.heard = now.since_start;
            entry.known.last_seen = Some(now.wall);
        }
    }

    /// The node said what it has. Returns all of it where that is news.
    pub(super) fn facts(&mut self, name: &NodeName, facts: NodeFacts) -> Option<NodeFacts> {
        let entry = self.nodes.get_mut(name)?;
        // Its address is the one that it came with: others are told it, and a session has one.
        let facts = NodeFacts { ip: entry.known.facts.ip.clone(), ..facts };
        if entry.known.facts == facts {
            return None;
        }
        entry.known.facts = facts.clone();
        self.serial += 1;
        Some(facts)
    }

    /// The node said what its clock says: so far ahead of ours, in milliseconds.
    pub(super) fn clock(&mut self, name: &NodeName, skew: Option<i64>) {
        if let Some(entry) = self.nodes.get_mut(name) {
            entry.skew = skew;
        }
    }

    /// How far the clocks of connected nodes are ahead of ours, in milliseconds.
    pub(super) fn skews(&self) -> BTreeMap<NodeName, i64> {
        self.nodes.iter().filter_map(|(name, it)| Some((name.clone(), it.skew?))).collect()
    }

    /// The node is told to run this.
    pub(super) fn ordered(&mut self, spec: Box<InstanceSpec>) {
        if let Some(entry) = self.nodes.get_mut(&spec.node) {
            entry.specs.ordered(spec);
        }
    }

    /// The node is told to run no such instance.
    pub(super) fn ordered_removal(&mut self, name: &NodeName, instance: &InstanceId) {
        if let Some(entry) = self.nodes.get_mut(name) {
            entry.specs.removed(instance);
        }
    }

    /// The node said that it stopped an instance: it runs there no longer, until a report says
    /// otherwise.
    pub(super) fn ended(&mut self, instance: &InstanceId, name: &NodeName) {
        let entry = self.nodes.get_mut(name);
        if entry.is_some_and(|entry| entry.instances.remove(instance).is_some()) {
            self.serial += 1;
        }
    }

    /// The node said what runs. Returns whether that is news, and which instances it must be asked
    /// to describe.
    ///
    /// Of more instances than a node may have, those that nobody ordered are left out, and the
    /// report is not whole.
    pub(super) fn observed(
        &mut self,
        name: &NodeName,
        mut observed: ObservedNode,
    ) -> (bool, Vec<InstanceId>) {
        let Some(entry) = self.nodes.get_mut(name) else {
            return (false, Vec::new());
        };
        bounds::report(&mut observed);
        let ObservedNode {
            complete,
            problem,
            instances,
            accepted,
            receipts,
            volumes,
            shared,
            volumes_of,
        } = observed;
        let volumes = Volumes { own: volumes, shared, whole: volumes_of };
        let mut now = BTreeMap::new();
        for mut seen in instances {
            // A node speaks for itself only, whatever the report says.
            seen.node = name.clone();
            now.insert(seen.instance(), seen);
        }
        let left_out = bounds::instances(&mut now, |id| entry.specs.is_ordered(id));
        let unknown_specs = entry.specs.fill(&mut now);
        if !complete {
            for (id, seen) in &entry.instances {
                now.entry(id.clone()).or_insert_with(|| unknown(seen.clone()));
            }
        }
        let left_out = left_out + bounds::instances(&mut now, |id| entry.specs.is_ordered(id));
        let (complete, problem) = match left_out {
            0 => (complete, problem),
            more => (false, Some(bounds::too_many(more))),
        };
        let news = entry.instances != now
            || !entry.reported
            || entry.problem != problem
            || entry.complete != complete
            || entry.accepted != accepted
            || *entry.volumes != volumes;
        entry.instances = now;
        entry.complete = complete;
        entry.problem = problem;
        entry.accepted = accepted;
        entry.receipts = receipts;
        entry.volumes = Arc::new(volumes);
        entry.reported = true;
        if news {
            self.serial += 1;
        }
        (news, unknown_specs)
    }

    /// The node said in full what runs as some instances. Returns whether that is news.
    pub(super) fn described(&mut self, name: &NodeName, specs: Vec<Described>) -> bool {
        let Some(entry) = self.nodes.get_mut(name) else {
            return false;
        };
        let mut news = false;
        for one in specs {
            news |= entry.specs.described(name, one);
        }
        if news {
            entry.specs.complete(&mut entry.instances);
            self.serial += 1;
        }
        news
    }

    /// The node was taken out of the cluster. Returns the session to end.
    pub(super) fn remove(&mut self, name: &NodeName) -> Option<u64> {
        self.serial += 1;
        self.nodes.remove(name)?.session
    }

    /// Whether every node of the registry has said what runs since it connected.
    pub(super) fn all_reported(&self) -> bool {
        self.nodes.values().all(|entry| entry.reported)
    }

    /// Nodes that are connected and have not yet said what runs, in full.
    pub(super) fn awaited(&self) -> Vec<NodeName> {
        self.nodes
            .iter()
            .filter(|(_, entry)| {
                entry.session.is_some() && (!entry.reported || entry.specs.is_asking())
            })
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Whether a node has said everything that runs, in full, since it connected.
    pub(super) fn has_told(&self, name: &NodeName) -> bool {
        self.nodes.get(name).is_some_and(Entry::has_told)
    }

    /// Whether a node is connected and has said what runs.
    pub(super) fn is_online(&self, name: &NodeName) -> bool {
        self.nodes.get(name).is_some_and(|entry| entry.session.is_some() && entry.reported)
    }

    /// An admin said whether it takes new instances, and whether it gives up what it has.
    pub(super) fn set_cordoned(&mut self, name: &NodeName, cordoned: bool, drained: bool) {
        if let Some(entry) = self.nodes.get_mut(name) {
            (entry.known.cordoned, entry.known.drained) = (cordoned, drained);
            self.serial += 1;
        }
    }

    /// The session that speaks for a node.
    pub(super) fn session(&self, name: &NodeName) -> Option<u64> {
        self.nodes.get(name)?.session
    }

    /// Whether the node is known.
    pub(super) fn knows(&self, name: &NodeName) -> bool {
        self.nodes.contains_key(name)
    }

    /// What a node was last seen to run, and whether that is all of it by its own word, in full.
    pub(super) fn report_of(&self, name: &NodeName) -> (bool, Vec<ObservedInstance>) {
        let Some(entry) = self.nodes.get(name) else {
            return (false, Vec::new());
        };
        let whole = entry.reported && entry.complete && !entry.specs.is_asking();
        (whole, entry.instances.values().cloned().collect())
    }

    /// What the agent of one node has written down of generations.
    pub(super) fn accepted_of(&self, name: &NodeName) -> BTreeMap<InstanceId, Generation> {
        self.nodes.get(name).map(|entry| entry.accepted.clone()).unwrap_or_default()
    }

    /// What a node shows for what it was told to run.
    pub(super) fn receipts_of(&self, name: &NodeName) -> BTreeMap<InstanceId, Vec<Receipt>> {
        self.nodes.get(name).map(|entry| entry.receipts.clone()).unwrap_or_default()
    }

    /// The volumes that a node says it keeps.
    pub(super) fn volumes_of(&self, name: &NodeName) -> Arc<Volumes> {
        self.nodes.get(name).map(|entry| entry.volumes.clone()).unwrap_or_default()
    }

    /// The same, where the node is connected and has told all that it has.
    pub(super) fn told_volumes_of(&self, name: &NodeName) -> Option<Arc<Volumes>> {
        let entry = self.nodes.get(name)?;
        (entry.session.is_some() && entry.has_told()).then(|| entry.volumes.clone())
    }

    /// Whether a node was silent for longer than `lost_after`, or is not known.
    pub(super) fn is_lost(&self, name: &NodeName, now: Duration, lost_after: Duration) -> bool {
        self.nodes.get(name).is_none_or(|it| it.status(now, lost_after) == NodeStatus::Lost)
    }

    /// What agents have written down of generations, by node and instance.
    pub(super) fn accepted(&self) -> Vec<Accepted> {
        let mut all = Vec::new();
        for (node, entry) in &self.nodes {
            all.extend(entry.accepted.iter().map(|(instance, generation)| Accepted {
                node: node.clone(),
                instance: instance.clone(),
                generation: *generation,
            }));
        }
        all
    }

    /// The nodes and what runs on them at `now`, both sorted.
    pub(super) fn view(
        &self,
        purpose: Purpose,
        now: Duration,
        lost_after: Duration,
    ) -> (Vec<Node>, Vec<ObservedInstance>) {
        let mut nodes = Vec::new();
        let mut instances = Vec::new();
        for (name, entry) in &self.nodes {
            let mut status = entry.status(now, lost_after);
            if purpose == Purpose::Plan && status == NodeStatus::Online && !entry.has_told() {
                status = NodeStatus::Offline;
            }
            nodes.push(entry.node(name, status));
            instances.extend(entry.instances.values().map(|seen| match status {
                NodeStatus::Online => seen.clone(),
                NodeStatus::Offline | NodeStatus::Lost => unknown(seen.clone()),
            }));
        }
        instances.sort_by_key(|seen| (seen.instance(), seen.node.clone()));
        (nodes, instances)
    }

    /// How long after `now` the next node becomes lost, when one is on its way to it.
    pub(super) fn next_loss(&self, now: Duration, lost_after: Duration) -> Option<Duration> {
        self.nodes
            .values()
            .filter(|entry| entry.status(now, lost_after) == NodeStatus::Offline)
            .map(|entry| (entry.heard + lost_after).saturating_sub(now))
            .min()
    }
}

impl Entry {
    fn has_told(&self) -> bool {
        self.reported && self.complete && !self.specs.is_asking()
    }

    /// A node is online while a session is open that has said what runs. The session itself ends
    /// when heartbeats stay out, so no clock is read here for that.
    fn status(&self, now: Duration, lost_after: Duration) -> NodeStatus {
        if self.session.is_some() && self.reported {
            NodeStatus::Online
        } else if self.session.is_none() && now.saturating_sub(self.heard) >= lost_after {
            NodeStatus::Lost
        } else {
            NodeStatus::Offline
        }
    }

    fn node(&self, name: &NodeName, status: NodeStatus) -> Node {
        let Remembered { id, facts, last_seen, tags, zone, cordoned, drained } = self.known.clone();
        let last_seen = last_seen.map(|at| at.to_string()).unwrap_or_default();
        Node { id, name: name.clone(), facts, last_seen, tags, zone, cordoned, drained, status }
    }
}

fn unknown(seen: ObservedInstance) -> ObservedInstance {
    ObservedInstance { state: InstanceState::Unknown, health: HealthState::Unknown, ..seen }
}

#[cfg(test)]
mod tests {
    use super::*;
    use devnet_schema::digest::Digest;

    const LOST: Duration = Duration::from_secs(300);

    fn at(seconds: u64) -> Moment {
        Moment { since_start: Duration::from_secs(seconds), wall: Time::of_2026(seconds as i64) }
    }

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    fn runs(id: &str, node: &str) -> ObservedInstance {
        let instance: InstanceId = id.parse().unwrap();
        ObservedInstance {
            id: instance.slug(),
            service: instance.service,
            index: instance.index,
            node: name(node),
            generation: 1,
            digest: Digest::of_bytes(b"spec"),
            state: InstanceState::Running,
            health: HealthState::Healthy,
            restarts: 0,
            message: None,
            runtime: None,
            spec: None,
        }
    }

    fn report(complete: bool, instances: Vec<ObservedInstance>) -> ObservedNode {
        let said = serde_json::json!({"complete": complete, "instances": []});
        ObservedNode { instances, ..serde_json::from_value(said).unwrap() }
    }

    fn states(registry: &Registry, now: u64) -> Vec<(String, InstanceState)> {
        let (_, instances) = registry.view(Purpose::Show, Duration::from_secs(now), LOST);
        instances.into_iter().map(|seen| (seen.id.clone(), seen.state)).collect()
    }

    fn status(registry: &Registry, now: u64) -> NodeStatus {
        registry.view(Purpose::Show, Duration::from_secs(now), LOST).0[0].status
    }

    #[test]
    fn a_node_is_online_once_it_reported_then_offline_then_lost() {
        let mut registry = Registry::default();
        registry.connect(&name("n1"), "id", NodeFacts::default(), 1, &at(10));
        assert_eq!(status(&registry, 10), NodeStatus::Offline, "it has not said what runs");
        registry.observed(&name("n1"), report(true, vec![runs("db[0]", "n1")]));
        assert_eq!(status(&registry, 4000), NodeStatus::Online, "its session is open");
        registry.heard(&name("n1"), &at(4000));
        assert!(registry.disconnect(&name("n1"), 1));
        assert_eq!(status(&registry, 4001), NodeStatus::Offline);
        assert_eq!(states(&registry, 4001), [("db-0".into(), InstanceState::Unknown)]);
        assert_eq!(
            registry.next_loss(Duration::from_secs(4100), LOST),
            Some(Duration::from_secs(200))
        );
        assert_eq!(status(&registry, 4300), NodeStatus::Lost);
    }

    #[test]
    fn a_partial_report_removes_nothing() {
        let mut registry = Registry::default();
        registry.connect(&name("n1"), "id", NodeFacts::default(), 1, &at(0));
        registry
            .observed(&name("n1"), report(true, vec![runs("db[0]", "n1"), runs("web[0]", "n1")]));
        registry.observed(&name("n1"), report(false, vec![runs("web[0]", "n1")]));
        assert_eq!(
            states(&registry, 1),
            [("db-0".into(), InstanceState::Unknown), ("web-0".into(), InstanceState::Running)]
        );
        let (nodes, _) = registry.view(Purpose::Plan, Duration::from_secs(1), LOST);
        assert_eq!(nodes[0].status, NodeStatus::Offline, "a plan decides nothing about it");
        assert_eq!(status(&registry, 1), NodeStatus::Online);
        registry.observed(&name("n1"), report(true, vec![]));
        assert!(states(&registry, 1).is_empty(), "a complete report is believed");
    }

    #[test]
    fn what_a_node_said_to_have_stopped_is_not_there_until_a_report_has_it_again() {
        let mut registry = Registry::default();
        let (node, all) = (name("n1"), vec![runs("db[0]", "n1"), runs("web[0]", "n1")]);
        registry.connect(&node, "id", NodeFacts::default(), 1, &at(0));
        registry.observed(&node, report(true, all.clone()));
        let before = registry.serial();
        registry.ended(&"db[0]".parse().unwrap(), &node);
        assert_eq!(states(&registry, 1), [("web-0".into(), InstanceState::Running)]);
        assert!(registry.serial() > before, "a plan made before is stale");
        registry.observed(&node, report(true, all));
        assert_eq!(states(&registry, 1).len(), 2);
    }

    #[test]
    fn the_newer_session_wins_and_the_older_cannot_end_it() {
        let mut registry = Registry::default();
        assert_eq!(registry.connect(&name("n1"), "id", NodeFacts::default(), 1, &at(0)), None);
        assert_eq!(registry.connect(&name("n1"), "id", NodeFacts::default(), 2, &at(1)), Some(1));
        assert!(!registry.disconnect(&name("n1"), 1));
        assert_eq!(registry.session(&name("n1")), Some(2));
    }

    #[test]
    fn a_remembered_node_is_offline_and_what_ran_there_is_unknown() {
        let mut registry = Registry::default();
        registry.remember(name("n1"), Remembered::default(), vec![runs("db[0]", "n1")]);
        assert_eq!(status(&registry, 5), NodeStatus::Offline);
        assert_eq!(states(&registry, 5), [("db-0".into(), InstanceState::Unknown)]);
        assert!(!registry.all_reported());
    }

    #[test]
    fn a_report_names_its_own_node_whatever_it_says() {
        let mut registry = Registry::default();
        registry.connect(&name("n1"), "id", NodeFacts::default(), 1, &at(0));
        registry.observed(&name("n1"), report(true, vec![runs("db[0]", "n2")]));
        let (_, instances) = registry.view(Purpose::Show, Duration::ZERO, LOST);
        assert_eq!(instances[0].node, name("n1"));
    }

    #[test]
    fn the_same_report_again_is_no_news() {
        let mut registry = Registry::default();
        registry.connect(&name("n1"), "id", NodeFacts::default(), 1, &at(0));
        assert!(registry.observed(&name("n1"), report(true, vec![runs("db[0]", "n1")])).0);
        assert!(!registry.observed(&name("n1"), report(true, vec![runs("db[0]", "n1")])).0);
        assert!(registry.facts(&name("n1"), NodeFacts::default()).is_none());
        let facts =
            NodeFacts { ip: "203.0.113.9".to_owned(), cpu_count: 2, ..NodeFacts::default() };
        let taken = registry.facts(&name("n1"), facts).unwrap();
        assert_eq!(
            (taken.ip.as_str(), taken.cpu_count),
            ("", 2),
            "it keeps the address it came with"
        );
    }
}
