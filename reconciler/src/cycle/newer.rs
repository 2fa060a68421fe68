//! Whether a newer plan wants something else than the one that is being run.
//!
//! Pure. Knows what each would have run in the end. Refuses to know how far the older one is: what
//! it has done already is seen in the fleet.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    digest::Digest,
    fleet::FleetSnapshot,
    name::{InstanceId, NodeName},
    plan::Plan,
};

/// Whose unit, where, is to be which; no digest means that it is to go.
type Ends = BTreeSet<(InstanceId, NodeName, Option<Digest>)>;

/// Whether `newer` would do something that `running` does not do, or leave something that it still
/// does. A commit that only touches a README does not.
pub(super) fn wants_otherwise(running: &Plan, newer: &Plan, fleet: &FleetSnapshot) -> bool {
    let (ours, theirs) = (ends(running), ends(newer));
    if !theirs.is_subset(&ours) {
        return true;
    }
    let seen: BTreeMap<(InstanceId, &NodeName), &Digest> =
        fleet.instances.iter().map(|it| ((it.instance(), &it.node), &it.digest)).collect();
    let done = |(id, node, digest): &(InstanceId, NodeName, Option<Digest>)| {
        seen.get(&(id.clone(), node)).copied() == digest.as_ref()
    };
    !ours.difference(&theirs).all(done)
}

fn ends(plan: &Plan) -> Ends {
    let mut ends = Ends::new();
    for change in &plan.changes {
        let digest = change.after.as_ref().map(|spec| spec.digest());
        ends.insert((change.instance.clone(), change.node.clone(), digest));
        if let Some(from) = &change.from {
            ends.insert((change.instance.clone(), from.clone(), None));
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use devnet_schema::plan::{Action, Change};

    use super::*;

    /// A plan that makes or ends instances on n1; what is made is told apart by a variable.
    fn plan(changes: &[(&str, Option<&str>)]) -> Plan {
        let spec = |id: &str, version: &str| {
            serde_json::from_value(serde_json::json!({
                "cluster": "lab", "id": id, "node": "n1", "workload": {"process": {"argv": []}},
                "env": {"V": [{"plain": version}]},
            }))
        };
        let changes = changes.iter().map(|&(id, version)| Change {
            instance: id.parse().unwrap(),
            action: if version.is_some() { Action::Update } else { Action::Delete },
            node: "n1".parse().unwrap(),
            from: None,
            reason: String::new(),
            forces_replacement: Vec::new(),
            diff: String::new(),
            before: None,
            after: version.map(|version| Box::new(spec(id, version).unwrap())),
        });
        let changes = changes.collect();
        Plan { changes, ..Plan::empty("lab".parse().unwrap(), String::new()) }
    }

    fn fleet(running: &Plan) -> FleetSnapshot {
        let specs = running.changes.iter().filter_map(|change| change.after.clone());
        let seen = specs.map(|spec| devnet_schema::observed::ObservedInstance::running(spec, 1));
        let empty = serde_json::json!({"nodes": [], "instances": []});
        let fleet: FleetSnapshot = serde_json::from_value(empty).unwrap();
        FleetSnapshot { instances: seen.collect(), ..fleet }
    }

    #[test]
    fn only_what_wants_otherwise_is_another_plan() {
        let running = plan(&[("web[0]", Some("2")), ("web[1]", Some("2")), ("old[0]", None)]);
        let begun =
            fleet(&plan(&[("web[0]", Some("2")), ("web[1]", Some("1")), ("old[0]", Some("1"))]));
        let otherwise =
            |newer: &[(&str, Option<&str>)]| wants_otherwise(&running, &plan(newer), &begun);
        // The same; less, since a part is done; and one that is to be made again.
        assert!(!otherwise(&[("web[0]", Some("2")), ("web[1]", Some("2")), ("old[0]", None)]));
        assert!(!otherwise(&[("web[1]", Some("2")), ("old[0]", None)]));
        // Another version, something more, and a step back before and after it was made.
        assert!(otherwise(&[("web[0]", Some("3")), ("web[1]", Some("3")), ("old[0]", None)]));
        assert!(otherwise(&[("web[1]", Some("2")), ("old[0]", None), ("db[0]", Some("1"))]));
        assert!(otherwise(&[("web[0]", Some("1")), ("old[0]", None)]));
        assert!(otherwise(&[("old[0]", None)]));
        assert!(otherwise(&[("web[1]", Some("2"))]), "what was to go is to stay");
    }
}
