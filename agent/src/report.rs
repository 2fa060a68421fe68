//! What this node says of what runs, cut to what a frame can hold. Pure.
//!
//! Knows the sizes of reports and specs. Refuses to lose a connection to them: what does not fit is
//! left out and said to be left out, so that it counts as unknown and not as gone.

use devnet_schema::{
    name::InstanceId,
    observed::{MAX_VOLUME_NAME, MAX_VOLUME_PATH, MAX_VOLUMES, ObservedNode, SharedVolume},
    wire::{AgentMessage, Described, MAX_MESSAGE, MAX_SPEC, size},
};

use crate::{
    ledger::{Content, Ledger},
    observe::Sight,
};

/// How large a frame of specs is, in bytes of JSON, unless one spec alone is larger: heartbeats and
/// steps wait behind it.
const SPECS_FRAME: usize = 512 << 10;

/// What of a report fits into `most` bytes of JSON. A report that had to be cut is incomplete.
pub fn fit(mut observed: ObservedNode, most: usize) -> ObservedNode {
    for seen in &mut observed.instances {
        seen.message = seen.message.take().map(|text| cut(text, MAX_MESSAGE));
    }
    observed.problem = observed.problem.take().map(|text| cut(text, MAX_MESSAGE));
    let all = observed.instances.len();
    // Each cut leaves room for the sentence that says so.
    let room = most.saturating_sub(5 * MAX_MESSAGE).saturating_sub(size(&observed.accepted));
    let room = room.saturating_sub(size(&observed.receipts));
    let mut taken = 0;
    let fits = observed.instances.iter().take_while(|seen| {
        taken += size(*seen) + 1;
        taken <= room
    });
    let fits = fits.count();
    if fits < all {
        observed.instances.truncate(fits);
        observed.complete = false;
        let left_out = format!(
            "{} of the {all} instances on this node do not fit into a report: move some to other \
             nodes",
            all - fits
        );
        let problem = observed.problem.take();
        observed.problem =
            Some(problem.into_iter().chain([left_out]).collect::<Vec<_>>().join("; "));
    }
    fit_volumes(&mut observed, room.saturating_sub(taken));
    observed
}

/// The volumes that fit beside the rest. What is left out of them is no less there, and the report
/// says so; of what runs it is complete all the same.
fn fit_volumes(observed: &mut ObservedNode, room: usize) {
    let all = observed.volumes.len() + observed.shared.len();
    observed.volumes.retain(|volume| volume.name.len() <= MAX_VOLUME_NAME);
    let short = |it: &SharedVolume| {
        it.name.len() <= MAX_VOLUME_NAME && it.users.values().all(|at| at.len() <= MAX_VOLUME_PATH)
    };
    observed.shared.retain(short);
    let mut taken = 0;
    let mut fit = |size: usize| {
        taken += size + 1;
        taken <= room
    };
    let own = observed.volumes.iter().take(MAX_VOLUMES).take_while(|it| fit(size(*it))).count();
    let left = MAX_VOLUMES - own;
    let shared = observed.shared.iter().take(left).take_while(|it| fit(size(*it))).count();
    observed.volumes.truncate(own);
    observed.shared.truncate(shared);
    let fits = own + shared;
    if fits < all {
        observed.volumes_of.clear();
        let left_out =
            format!("{} of the {all} volumes on this node do not fit into a report", all - fits);
        let problem = observed.problem.take();
        observed.problem =
            Some(problem.into_iter().chain([left_out]).collect::<Vec<_>>().join("; "));
    }
}

/// A text whose JSON has at most `most` bytes between its quotes; what is longer ends with `…`.
pub fn cut(text: String, most: usize) -> String {
    let length = |c: char| match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    };
    if text.chars().map(length).sum::<usize>() <= most {
        return text;
    }
    let mut taken = '…'.len_utf8();
    let kept = text.chars().take_while(|c| {
        taken += length(*c);
        taken <= most
    });
    kept.chain(['…']).collect()
}

/// What runs as the instances that are asked about, in full, as far as it is known here.
pub fn describe(sight: &Sight, ledger: &Ledger, wanted: &[InstanceId]) -> Vec<Described> {
    // An instance may run in two drivers for a while; each is told.
    let all = &sight.observed.instances;
    let asked = wanted.iter().flat_map(|id| all.iter().filter(|seen| seen.instance() == *id));
    asked
        .map(|seen| {
            let (instance, digest) = (seen.instance(), seen.digest.clone());
            let same = sight.units.iter().filter(|unit| unit.id == instance);
            let same = same.filter(|unit| unit.digest == digest);
            let runs = same.filter_map(|unit| unit.spec.as_deref()).next();
            let kept = ledger.get(&instance).and_then(|entry| match &entry.content {
                Content::Present { digest: kept, spec } if *kept == digest => spec.as_deref(),
                Content::Present { .. } | Content::Removed { .. } => None,
            });
            // The same but for what is no part of the digest, of which the ledger has the newest.
            let spec = kept.or(runs).filter(|spec| size(*spec) <= MAX_SPEC);
            Described { instance, digest, spec: spec.cloned().map(Box::new) }
        })
        .collect()
}

/// The same in frames of a moderate size; always at least one, so that a question has an answer.
pub fn frames(all: Vec<Described>) -> Vec<AgentMessage> {
    let mut frames = vec![Vec::new()];
    let mut taken = 0;
    for one in all {
        let more = size(&one) + 1;
        if taken > 0 && taken + more > SPECS_FRAME {
            frames.push(Vec::new());
            taken = 0;
        }
        taken += more;
        if let Some(last) = frames.last_mut() {
            last.push(one);
        }
    }
    frames.into_iter().map(|specs| AgentMessage::Specs { specs }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use devnet_schema::{
        instance::Runtime,
        observed::{HealthState, HeldVolume, InstanceState, ObservedInstance},
        secret::Text,
        wire::{MAX_FRAME, MAX_INSTANCES, MAX_PROOF, MAX_RECEIPTS, Receipt},
    };

    use super::*;
    use crate::{ledger::Entry, sample};

    /// As large as what is said of one instance can be.
    fn largest(index: u32) -> ObservedInstance {
        let spec = sample::process(&["a"]);
        let seen = ObservedInstance::running(Box::new(spec), u64::MAX);
        ObservedInstance {
            id: format!("{}-{index}", "s".repeat(63)),
            service: "s".repeat(63).parse().unwrap(),
            index: u32::MAX,
            node: "n".repeat(63).parse().unwrap(),
            state: InstanceState::Starting,
            health: HealthState::Unhealthy,
            restarts: u32::MAX,
            message: Some("\u{1}\"é".repeat(500)),
            spec: None,
            ..seen
        }
    }

    fn report(count: usize) -> ObservedNode {
        let instances = (0..count as u32).map(largest).collect();
        let problem = Some("\n".repeat(10_000));
        ObservedNode {
            complete: true,
            problem,
            instances,
            accepted: BTreeMap::new(),
            receipts: BTreeMap::new(),
            volumes: Vec::new(),
            shared: Vec::new(),
            volumes_of: vec![Runtime::Docker],
        }
    }

    #[test]
    fn as_many_instances_as_a_node_may_have_fit_whatever_is_said_of_them() {
        let mut all = report(MAX_INSTANCES);
        let ids = all.instances.iter().map(|it| (it.instance(), u64::MAX));
        all.accepted = ids.collect();
        let receipt = Receipt { generation: u64::MAX, proof: "f".repeat(MAX_PROOF) };
        let receipt = |id: &InstanceId| (id.clone(), vec![receipt.clone(); MAX_RECEIPTS]);
        all.receipts = all.accepted.keys().map(receipt).collect();
        let whole = fit(all, MAX_FRAME);
        assert_eq!((whole.complete, whole.instances.len()), (true, MAX_INSTANCES));
        assert!(size(&AgentMessage::Observed { observed: whole }) <= MAX_FRAME);
    }

    #[test]
    fn what_does_not_fit_makes_the_report_incomplete_and_is_counted() {
        let cut = fit(report(100), 100_000);
        assert!(!cut.complete);
        assert!(size(&AgentMessage::Observed { observed: cut.clone() }) <= 100_000);
        let left = 100 - cut.instances.len();
        let problem = cut.problem.unwrap();
        assert!(problem.contains(&format!("{left} of the 100 instances")), "{problem}");
        assert!(problem.starts_with('\n'), "what was said before is still said");
    }

    #[test]
    fn volumes_go_beside_what_runs_as_far_as_they_fit() {
        let volume = |number: usize| HeldVolume {
            instance: "db[0]".parse().unwrap(),
            name: format!("data{number:05}"),
            runtime: Runtime::Docker,
            user: None,
        };
        let shared = |name: &str| SharedVolume {
            project: "shop".parse().unwrap(),
            name: name.to_owned(),
            runtime: Runtime::Docker,
            users: BTreeMap::from([("shop-db[0]".parse().unwrap(), "/data".to_owned())]),
        };
        let mut few = report(1);
        few.problem = None;
        few.instances.clear();
        few.volumes = (0..9).map(volume).collect();
        few.shared = vec![shared("data")];
        assert_eq!(fit(few.clone(), MAX_FRAME), few);
        let mut many = report(MAX_INSTANCES);
        many.volumes = (0..2 * MAX_VOLUMES).map(volume).collect();
        let whole = fit(many, MAX_FRAME);
        assert!(size(&AgentMessage::Observed { observed: whole.clone() }) <= MAX_FRAME);
        assert_eq!((whole.complete, whole.instances.len()), (true, MAX_INSTANCES));
        assert!(whole.volumes_of.is_empty(), "what is not there may be one that did not fit");
        let left = 2 * MAX_VOLUMES - whole.volumes.len();
        assert!(left >= MAX_VOLUMES);
        let problem = whole.problem.unwrap();
        assert!(problem.contains(&format!("{left} of the 16384 volumes")), "{problem}");
        // A name that no engine allows is no reason to lose the rest.
        few.volumes[0].name = "x".repeat(MAX_VOLUME_NAME + 1);
        few.shared.push(shared(&"x".repeat(MAX_VOLUME_NAME + 1)));
        let fit = fit(few, MAX_FRAME);
        assert_eq!((fit.volumes.len(), fit.shared.len(), fit.volumes_of.len()), (8, 1, 0));
    }

    #[test]
    fn a_text_is_cut_by_the_bytes_of_its_json() {
        for text in ["\0", "é", "\"", "a", "\u{7f}", "漢", "\u{1f600}\\"] {
            let cut = cut(text.repeat(1000), 100);
            assert!(size(&cut) <= 102, "{cut:?}");
            assert!(cut.ends_with('…') && cut.len() > 10);
        }
        assert_eq!(cut("short".to_owned(), 5), "short");
    }

    #[test]
    fn specs_go_in_frames_and_a_large_one_goes_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path()).unwrap();
        let mut sight = Sight::nothing();
        let mut wanted = Vec::new();
        for (index, length) in [10, 300 << 10, 300 << 10, 1 << 20, 10].into_iter().enumerate() {
            let mut spec = sample::process(&["a"]);
            spec.id.index = index as u32;
            spec.env.insert("LONG".into(), Text::plain("x".repeat(length)));
            let mut unit = sample::unit(&spec, 1, InstanceState::Running);
            // A container whose label could not hold its spec: the ledger has it.
            unit.spec = None;
            let seen = ObservedInstance::running(Box::new(spec.clone()), 1);
            sight.observed.instances.push(ObservedInstance { spec: None, ..seen });
            let content = Content::Present { digest: spec.digest(), spec: Some(Box::new(spec)) };
            ledger.put(unit.id.clone(), Entry { generation: 1, content }, 0).unwrap();
            wanted.push(unit.id.clone());
            sight.units.push(unit);
        }
        let described = describe(&sight, &ledger, &wanted);
        let counts: Vec<usize> = frames(described.clone())
            .into_iter()
            .map(|frame| {
                assert!(size(&frame) <= MAX_FRAME);
                let AgentMessage::Specs { specs } = frame else { unreachable!() };
                specs.len()
            })
            .collect();
        assert_eq!(counts, [2, 1, 1, 1]);
        assert!(described.iter().all(|one| one.spec.as_ref().unwrap().digest() == one.digest));
        assert_eq!(frames(Vec::new()).len(), 1, "no question stays without an answer");
    }
}
