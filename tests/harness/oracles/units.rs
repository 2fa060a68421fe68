//! Promises about what runs: at most one of each, nothing foreign touched, no volume lost, nothing
//! restarted by a second look.
//!
//! Knows scenes. Refuses to know how they came about.

use std::collections::BTreeMap;

use super::{
    Verdict,
    scene::{Scene, Unit},
};

/// No instance runs twice, and no two units that run write to one volume of one host.
pub fn at_most_one(scene: &Scene) -> Verdict {
    let mut findings = Vec::new();
    let mut by_instance: BTreeMap<&str, Vec<&Unit>> = BTreeMap::new();
    let mut by_volume: BTreeMap<(&str, &str), Vec<&Unit>> = BTreeMap::new();
    for unit in scene.running() {
        by_instance.entry(&unit.instance).or_default().push(unit);
        for volume in &unit.volumes {
            by_volume.entry((&unit.host, volume)).or_default().push(unit);
        }
    }
    for (instance, units) in by_instance.iter().filter(|(_, units)| units.len() > 1) {
        findings.push(format!("{instance} runs {} times: {}", units.len(), starts(units)));
    }
    for ((host, volume), units) in by_volume.iter().filter(|(_, units)| units.len() > 1) {
        findings.push(format!("volume {volume} of {host} has several writers: {}", starts(units)));
    }
    Verdict::new("at most one", findings)
}

fn starts(units: &[&Unit]) -> String {
    let each = units.iter().map(|unit| format!("{} on {}", unit.start, unit.host));
    each.collect::<Vec<_>>().join(", ")
}

/// Every object that is not devnet's is there as before, and none was added under a foreign name.
pub fn foreign_untouched(before: &Scene, after: &Scene) -> Verdict {
    let mut findings = Vec::new();
    for (what, was) in &before.foreign {
        match after.foreign.get(what) {
            None => findings.push(format!("{what} is gone; it was {was}")),
            Some(now) if now != was => findings.push(format!("{what} was {was} and is {now}")),
            Some(_) => {}
        }
    }
    let new = after.foreign.keys().filter(|what| !before.foreign.contains_key(*what));
    findings.extend(new.map(|what| format!("{what} is new and has no label of devnet")));
    Verdict::new("no foreign object touched", findings)
}

/// Every volume of devnet is still there, and is the same one and not a new one of its name.
pub fn volumes_kept(before: &Scene, after: &Scene) -> Verdict {
    let mut findings = Vec::new();
    for (volume, was) in &before.volumes {
        match after.volumes.get(volume) {
            None => findings.push(format!("{volume} is gone")),
            Some(now) if now != was => findings.push(format!("{volume} was {was} and is {now}")),
            Some(_) => {}
        }
    }
    Verdict::new("volumes", findings)
}

/// What ran goes on running: the same starts, none restarted, none added. For a look, a plan or an
/// apply that has nothing to do.
pub fn undisturbed(before: &Scene, after: &Scene) -> Verdict {
    let by_start = |scene: &Scene| -> BTreeMap<(String, String), (u64, String)> {
        let units = scene.running();
        units
            .map(|it| ((it.host.clone(), it.start.clone()), (it.restarts, it.instance.clone())))
            .collect()
    };
    let (was, is) = (by_start(before), by_start(after));
    let mut findings = Vec::new();
    for ((host, start), (restarts, instance)) in &was {
        match is.get(&(host.clone(), start.clone())) {
            None => findings.push(format!("{instance} ({start} on {host}) runs no longer")),
            Some((now, _)) if now != restarts => findings
                .push(format!("{instance} on {host} was restarted {} times", now - restarts)),
            Some(_) => {}
        }
    }
    for ((host, start), (_, instance)) in is.iter().filter(|(it, _)| !was.contains_key(*it)) {
        findings.push(format!("{instance} ({start} on {host}) is new"));
    }
    Verdict::new("idempotence", findings)
}

/// Each of these instances (`CLUSTER/SERVICE-INDEX`) runs, and no other one of devnet does.
pub fn exactly(scene: &Scene, wanted: &[&str]) -> Verdict {
    let mut findings = Vec::new();
    for instance in wanted {
        if !scene.running().any(|unit| unit.instance == *instance) {
            findings.push(format!("{instance} does not run"));
        }
    }
    let others = scene.running().filter(|unit| !wanted.contains(&unit.instance.as_str()));
    findings.extend(others.map(|unit| format!("{} runs on {} unasked", unit.instance, unit.host)));
    Verdict::new("convergence", findings)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn unit(instance: &str, start: &str, volumes: &[&str]) -> Unit {
        Unit {
            host: "n1".to_owned(),
            instance: instance.to_owned(),
            start: start.to_owned(),
            generation: Some(1),
            running: true,
            restarts: 0,
            volumes: volumes.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn scene(units: &[Unit]) -> Scene {
        Scene { units: units.to_vec(), ..Scene::default() }
    }

    #[test]
    fn two_copies_and_two_writers_are_found_and_a_stopped_copy_is_none() {
        let one = unit("c/db-0", "a", &["data"]);
        assert!(at_most_one(&scene(std::slice::from_ref(&one))).holds());
        let stopped = Unit { running: false, ..unit("c/db-0", "b", &["data"]) };
        assert!(at_most_one(&scene(&[one.clone(), stopped])).holds());
        let twice = at_most_one(&scene(&[one.clone(), unit("c/db-0", "b", &[])]));
        assert_eq!(twice.findings, ["c/db-0 runs 2 times: a on n1, b on n1"]);
        let shared = at_most_one(&scene(&[one, unit("c/web-0", "b", &["data"])]));
        assert_eq!(shared.findings, ["volume data of n1 has several writers: a on n1, b on n1"]);
    }

    #[test]
    fn what_is_foreign_or_holds_data_stays_what_it_was() {
        let mut before = Scene::default();
        before.foreign.insert("n1/container/x".to_owned(), json!({"StartedAt": 1}));
        before.volumes.insert("n1/volume/data".to_owned(), json!({"directory": "7 born 1"}));
        assert!(foreign_untouched(&before, &before).holds());
        assert!(volumes_kept(&before, &before).holds());
        let mut after = before.clone();
        after.foreign.insert("n1/container/x".to_owned(), json!({"StartedAt": 2}));
        after.foreign.insert("n1/network/y".to_owned(), json!({}));
        after.volumes.insert("n1/volume/data".to_owned(), json!({"directory": "8 born 2"}));
        assert_eq!(foreign_untouched(&before, &after).findings.len(), 2);
        assert_eq!(volumes_kept(&before, &after).findings.len(), 1);
        let empty = Scene::default();
        assert_eq!(foreign_untouched(&before, &empty).findings.len(), 1);
        assert_eq!(volumes_kept(&before, &empty).findings, ["n1/volume/data is gone"]);
    }

    #[test]
    fn a_restart_a_loss_and_an_addition_disturb() {
        let before = scene(&[unit("c/a-0", "1", &[]), unit("c/b-0", "2", &[])]);
        assert!(undisturbed(&before, &before).holds());
        let restarted = Unit { restarts: 2, ..unit("c/a-0", "1", &[]) };
        let after = scene(&[restarted, unit("c/b-0", "3", &[])]);
        let found = undisturbed(&before, &after).findings;
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn all_that_is_wanted_runs_and_nothing_else() {
        let found = scene(&[unit("c/a-0", "1", &[]), unit("c/b-0", "2", &[])]);
        assert!(exactly(&found, &["c/a-0", "c/b-0"]).holds());
        let verdict = exactly(&found, &["c/a-0", "c/d-0"]);
        assert_eq!(verdict.findings, ["c/d-0 does not run", "c/b-0 runs on n1 unasked"]);
    }
}
