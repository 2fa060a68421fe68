//! How much of what an agent says is kept.
//!
//! Pure. Knows the limits that agents of ours keep by themselves, and cuts what one sends that does
//! not. Refuses to judge what is said.

use std::collections::BTreeMap;

use devnet_schema::{
    digest::Digest,
    fleet::NodeFacts,
    name::InstanceId,
    observed::{
        MAX_VOLUME_NAME, MAX_VOLUME_PATH, MAX_VOLUMES, ObservedInstance, ObservedNode, SharedVolume,
    },
    step::{StepReport, StepState},
    wire::{MAX_INSTANCES, MAX_MESSAGE, MAX_PROOF, MAX_RECEIPTS, Origin, size},
};

/// The longest digest of ours, and more.
const MAX_DIGEST: usize = 128;
/// What a machine has, in bytes of its JSON: some hundred GPUs and disks.
const MAX_FACTS: usize = 256 << 10;
/// The id of a machine or a boot, in bytes.
const MAX_ORIGIN: usize = 256;

/// What a step says, and why a report is not whole, in bytes: as much as agents of ours say.
const MAX_TEXT: usize = 16 << 10;

/// The beginning of a text, in whole characters.
pub(super) fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.shrink_to_fit();
    }
}

/// A report, its texts cut and its volumes as many as there may be.
pub(super) fn report(observed: &mut ObservedNode) {
    volumes(observed);
    if let Some(problem) = &mut observed.problem {
        cut(problem, MAX_TEXT);
    }
    observed.instances.iter_mut().for_each(instance);
    for receipts in observed.receipts.values_mut() {
        receipts.retain(|receipt| receipt.proof.len() <= MAX_PROOF);
        receipts.truncate(MAX_RECEIPTS);
    }
    while observed.receipts.len() > MAX_INSTANCES {
        observed.receipts.pop_last();
    }
}

fn volumes(observed: &mut ObservedNode) {
    let ObservedNode { volumes, shared, volumes_of, .. } = observed;
    let all = |own: usize, shared: &[SharedVolume]| {
        own + shared.iter().map(|it| 1 + it.users.len()).sum::<usize>()
    };
    volumes.sort();
    volumes.dedup();
    shared.sort();
    shared.dedup();
    let said = all(volumes.len(), shared);
    volumes.retain(|volume| volume.name.len() <= MAX_VOLUME_NAME);
    volumes.truncate(MAX_VOLUMES);
    let mut room = MAX_VOLUMES - volumes.len();
    shared.retain_mut(|it| {
        it.users.retain(|_, path| path.len() <= MAX_VOLUME_PATH);
        let fits = it.name.len() <= MAX_VOLUME_NAME && it.users.len() < room;
        room -= if fits { 1 + it.users.len() } else { 0 };
        fits
    });
    volumes_of.sort();
    volumes_of.dedup();
    if all(volumes.len(), shared) < said {
        // What is not there may be one that was cut off.
        volumes_of.clear();
    }
}

fn instance(seen: &mut ObservedInstance) {
    seen.id = seen.instance().slug();
    if let Some(message) = &mut seen.message {
        cut(message, MAX_MESSAGE);
    }
    // One that is too long is none that was ever ordered.
    if seen.digest.as_str().len() > MAX_DIGEST {
        seen.digest = Digest::from(String::new());
    }
    // A report says no specs, whatever it holds.
    seen.spec = None;
}

/// How far a step is, its text cut.
pub(super) fn step(report: &mut StepReport) {
    match &mut report.state {
        StepState::Running { message } | StepState::Succeeded { message } => {
            cut(message, MAX_TEXT);
        }
        StepState::Failed { error } => cut(error, MAX_TEXT),
    }
}

/// Which machine it is, its texts cut.
pub(super) fn origin(origin: &mut Origin) {
    let Origin { machine, boot, session: _, mark } = origin;
    cut(machine, MAX_ORIGIN);
    cut(boot, MAX_ORIGIN);
    if let Some(mark) = mark {
        cut(&mut mark.proof, MAX_ORIGIN);
    }
}

/// Why facts are not taken.
pub(super) fn facts(facts: &NodeFacts) -> Result<(), String> {
    let bytes = size(facts);
    if bytes <= MAX_FACTS {
        return Ok(());
    }
    Err(format!("what it says that the machine has takes {bytes} bytes, and {MAX_FACTS} are taken"))
}

/// Of the instances that a node says it has, as many as a node may have: first those that were
/// ordered there. Returns how many were left out.
pub(super) fn instances(
    all: &mut BTreeMap<InstanceId, ObservedInstance>,
    ordered: impl Fn(&InstanceId) -> bool,
) -> usize {
    let Some(more) = all.len().checked_sub(MAX_INSTANCES).filter(|more| *more > 0) else {
        return 0;
    };
    let others = all.keys().rev().filter(|id| !ordered(id));
    let mut out: Vec<InstanceId> = others.take(more).cloned().collect();
    let missing = more - out.len();
    let rest: Vec<InstanceId> =
        all.keys().rev().filter(|id| ordered(id)).take(missing).cloned().collect();
    out.extend(rest);
    out.iter().for_each(|id| {
        all.remove(id);
    });
    more
}

/// Why a report of which so many were left out is not whole.
pub(super) fn too_many(left_out: usize) -> String {
    format!(
        "its agent reports more than {MAX_INSTANCES} instances, which none may have; {left_out} of \
         them were left out"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use devnet_schema::{
        instance::{InstanceSpec, Runtime},
        name::NodeName,
        observed::HeldVolume,
    };

    use super::{
        super::registry::{Purpose, Registry},
        *,
    };
    use crate::clock::Moment;

    fn spec(id: &str) -> Box<InstanceSpec> {
        let spec = serde_json::json!({
            "cluster": "lab", "id": id, "node": "n1", "workload": {"process": {"argv": []}},
        });
        Box::new(serde_json::from_value(spec).unwrap())
    }

    fn said(complete: bool, ids: impl Iterator<Item = String>) -> ObservedNode {
        let seen = |id: String| ObservedInstance::running(spec(&id), 1);
        let said = serde_json::json!({"complete": complete, "instances": []});
        let said: ObservedNode = serde_json::from_value(said).unwrap();
        ObservedNode { instances: ids.map(seen).collect(), ..said }
    }

    #[test]
    fn reports_that_are_never_whole_fill_no_memory_and_hide_nothing_that_was_ordered() {
        let n1: NodeName = "n1".parse().unwrap();
        let mut registry = Registry::default();
        let now = Moment { since_start: Duration::ZERO, wall: crate::time::Time::EPOCH };
        registry.connect(&n1, "id", NodeFacts::default(), 1, &now);
        registry.ordered(spec("zz[0]"));
        registry.observed(&n1, said(true, ["db[0]", "zz[0]"].map(str::to_owned).into_iter()));
        for turn in 0..4 {
            let mut made_up = said(false, (0..900).map(|it| format!("x{turn}[{it}]")));
            made_up
                .instances
                .extend(said(false, (0..900).map(|it| format!("y{turn}[{it}]"))).instances);
            made_up.instances[0].message = Some("x".repeat(1 << 20));
            made_up.instances[1].id = "x".repeat(1 << 20);
            registry.observed(&n1, made_up);
        }
        let (_, seen) = registry.view(Purpose::Show, Duration::ZERO, Duration::MAX);
        assert_eq!(seen.len(), MAX_INSTANCES);
        assert!(seen.iter().any(|one| one.id == "zz-0"), "what was ordered is kept");
        let texts =
            seen.iter().map(|one| one.id.len() + one.message.as_ref().map_or(0, String::len));
        assert!(texts.max() < Some(2 * MAX_MESSAGE));
        let many = (0..5).flat_map(|service| (0..900).map(move |it| format!("z{service}[{it}]")));
        registry.observed(&n1, said(true, many));
        assert!(!registry.has_told(&n1), "it is not all of it");
    }

    #[test]
    fn texts_are_cut_in_whole_characters() {
        let mut text = "é".repeat(MAX_MESSAGE);
        cut(&mut text, MAX_MESSAGE - 1);
        assert_eq!(text.len(), MAX_MESSAGE - 2);
        let failed = StepState::Failed { error: "x".repeat(8 << 20) };
        let mut said = StepReport { deployment: "d".into(), step: "s".into(), state: failed };
        step(&mut said);
        let StepState::Failed { error } = said.state else { panic!("it failed") };
        assert_eq!(error.len(), MAX_TEXT);
    }

    #[test]
    fn facts_that_no_machine_has_are_refused() {
        assert!(facts(&NodeFacts::default()).is_ok());
        let huge = NodeFacts { os: "x".repeat(MAX_FACTS), ..NodeFacts::default() };
        assert!(facts(&huge).is_err());
    }

    #[test]
    fn no_more_volumes_are_kept_of_a_node_than_one_may_say() {
        let volume = |name: String| HeldVolume {
            instance: "db[0]".parse().unwrap(),
            name,
            runtime: Runtime::Docker,
            user: None,
        };
        let many = (0..=MAX_VOLUMES).map(|number| volume(format!("v{number}")));
        let kept = |volumes: Vec<HeldVolume>| {
            let whole = vec![Runtime::Docker];
            let mut observed =
                ObservedNode { volumes, volumes_of: whole, ..said(true, std::iter::empty()) };
            report(&mut observed);
            (observed.volumes, observed.volumes_of.len())
        };
        let cut = kept(many.collect());
        assert_eq!((cut.0.len(), cut.1), (MAX_VOLUMES, 0), "not all are told any more");
        let long = volume("x".repeat(MAX_VOLUME_NAME + 1));
        let data = volume("data".to_owned());
        assert_eq!(kept(vec![long, data.clone(), data.clone()]), (vec![data.clone()], 0));
        assert_eq!(kept(vec![data.clone(), data.clone()]), (vec![data], 1));
        let users = |count: u32| (0..count).map(|it| (format!("x[{it}]"), "/d".to_owned()));
        let shared = |name: &str, count| SharedVolume {
            project: "shop".parse().unwrap(),
            name: name.to_owned(),
            runtime: Runtime::Docker,
            users: users(count).map(|(id, path)| (id.parse().unwrap(), path)).collect(),
        };
        let mut observed = said(true, std::iter::empty());
        observed.shared = vec![shared("a", 2), shared("b", MAX_VOLUMES as u32), shared("c", 1)];
        observed.volumes_of = vec![Runtime::Docker];
        report(&mut observed);
        assert_eq!(observed.shared, [shared("a", 2), shared("c", 1)]);
        assert!(observed.volumes_of.is_empty());
    }
}
