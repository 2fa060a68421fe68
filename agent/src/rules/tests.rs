//! The rules, tried one by one. Knows examples. Refuses to run anything.

use devnet_schema::{
    instance::{Probe, Runtime},
    name::InstanceId,
};

use super::*;
use crate::sample;

fn me() -> Owner {
    Owner { cluster: "home".parse().unwrap(), node: "n1".parse().unwrap() }
}

fn step(generation: u64, act: Act) -> Step {
    let instance: InstanceId = "web[0]".parse().unwrap();
    Step {
        id: "web[0]/x".into(),
        instance,
        node: "n1".parse().unwrap(),
        generation,
        act,
        after: vec![],
    }
}

fn ensure(spec: &InstanceSpec) -> Act {
    Act::Ensure { spec: Box::new(spec.clone()) }
}

fn entry(generation: u64, spec: &InstanceSpec) -> Entry {
    let content = Content::Present { digest: spec.digest(), spec: Some(Box::new(spec.clone())) };
    Entry { generation, content }
}

fn unit(spec: &InstanceSpec, state: InstanceState) -> Unit {
    sample::unit(spec, 1, state)
}

/// What is decided about a step that asks for a change.
fn decided<'a>(
    step: &'a Step,
    known: Option<&Entry>,
    units: &[&Unit],
) -> Result<Decision<'a>, String> {
    let Asked::Change(change) = asked(&step.act) else { panic!("{step:?} waits") };
    decide(step, change, &me(), known, units, 0)
}

#[test]
fn a_step_runs_once_and_a_replay_does_nothing() {
    let spec = sample::process(&["sleep", "1"]);
    let start = step(1, ensure(&spec));
    assert_eq!(decided(&start, None, &[]), Ok(Decision::Ensure(&spec)));
    let (known, running) = (entry(1, &spec), unit(&spec, InstanceState::Running));
    assert_eq!(decided(&start, Some(&known), &[&running]), Ok(Decision::RunsAlready));
    let ended = unit(&spec, InstanceState::Exited);
    let decision = decided(&start, Some(&known), &[&ended]);
    assert_eq!(decision, Ok(Decision::Ensure(&spec)), "what ended is started");
    let next = step(2, ensure(&spec));
    let decision = decided(&next, Some(&known), &[&running]);
    assert_eq!(decision, Ok(Decision::RunsAlready), "same digest, left alone");
}

#[test]
fn other_content_replaces_and_an_older_generation_is_refused() {
    let (old, new) = (sample::process(&["a"]), sample::process(&["b"]));
    let (known, running) = (entry(3, &old), unit(&old, InstanceState::Running));
    let next = step(4, ensure(&new));
    assert_eq!(decided(&next, Some(&known), &[&running]), Ok(Decision::Ensure(&new)));
    for generation in [2, 3] {
        let late = step(generation, ensure(&new));
        let why = decided(&late, Some(&known), &[&running]).unwrap_err();
        assert!(why.contains("generation 3"), "{generation}: {why}");
    }
    let late = step(2, Act::Remove);
    let why = decided(&late, Some(&known), &[&running]).unwrap_err();
    assert!(why.contains("generation 3"), "{why}");
    let same = step(3, Act::Remove);
    assert_eq!(decided(&same, Some(&known), &[&running]), Ok(Decision::Remove));
}

#[test]
fn an_instance_of_two_drivers_is_not_left_alone() {
    let spec = sample::process(&["a"]);
    let mut other = unit(&spec, InstanceState::Running);
    other.runtime = Runtime::Docker;
    let running = unit(&spec, InstanceState::Running);
    let start = step(1, ensure(&spec));
    assert_eq!(decided(&start, None, &[&other, &running]), Ok(Decision::Ensure(&spec)));
}

#[test]
fn what_cannot_be_read_is_neither_replaced_nor_removed() {
    let spec = sample::process(&["a"]);
    let unread = unit(&spec, InstanceState::Unknown);
    for act in [ensure(&spec), Act::Remove] {
        let why = decided(&step(1, act), None, &[&unread]).unwrap_err();
        assert!(why.starts_with("it is not known what web[0] runs"), "{why}");
    }
}

#[test]
fn what_belongs_elsewhere_is_refused() {
    let mut spec = sample::process(&["a"]);
    spec.cluster = "other".parse().unwrap();
    let why = decided(&step(1, ensure(&spec)), None, &[]).unwrap_err();
    assert!(why.contains("cluster other"), "{why}");
    let mut spec = sample::process(&["a"]);
    spec.id = "web[1]".parse().unwrap();
    let why = decided(&step(1, ensure(&spec)), None, &[]).unwrap_err();
    assert!(why.contains("its unit is web[1]"), "{why}");
    for act in [Act::Remove, Act::AwaitHealthy { timeout: Period::seconds(5) }] {
        let mut elsewhere = step(1, act);
        elsewhere.node = "n2".parse().unwrap();
        let why = match asked(&elsewhere.act) {
            Asked::Change(_) => decided(&elsewhere, None, &[]).unwrap_err(),
            Asked::Wait(_) => may_wait(&elsewhere, &me(), None, 0).unwrap_err(),
        };
        assert_eq!(why, "the step is for node n2, and this is n1; plan again");
    }
}

#[test]
fn only_what_was_started_is_waited_for() {
    let timeout = Period::seconds(5);
    let wait = step(2, Act::AwaitHealthy { timeout });
    assert_eq!(asked(&wait.act), Asked::Wait(timeout));
    let why = may_wait(&wait, &me(), None, 0).unwrap_err();
    assert!(why.contains("nothing of it was started here"), "{why}");
    let spec = sample::process(&["a"]);
    assert_eq!(may_wait(&wait, &me(), Some(&entry(2, &spec)), 0), Ok(()));
    let why = may_wait(&wait, &me(), Some(&entry(1, &spec)), 0).unwrap_err();
    assert!(why.contains("generation 1 runs"), "{why}");
}

#[test]
fn pauses_grow_and_end_growing() {
    let most = |failures| dial_pause(failures, u32::MAX).as_millis();
    assert_eq!([1, 2, 3, 5, 6, 99].map(most), [1000, 2000, 4000, 16_000, 30_000, 30_000]);
    assert_eq!(dial_pause(9, 0), Duration::ZERO);
    let pauses = [1, 2, 6, 7, 99].map(|ends| restart_pause(ends).as_millis());
    assert_eq!(pauses, [500, 1000, 16_000, 30_000, 30_000]);
}

fn health(retries: u32, start_period: u64) -> HealthSpec {
    HealthSpec {
        probe: Probe::Tcp { port: 80 },
        interval: Period::seconds(10),
        timeout: Period::seconds(1),
        retries,
        start_period: Period::seconds(start_period),
    }
}

#[test]
fn health_follows_the_probes() {
    let spec = health(2, 30);
    let mut track = Track::default();
    let mut after = |success, seconds| {
        track.record(success, Duration::from_secs(seconds), &spec);
        track.state(&spec)
    };
    assert_eq!(after(false, 1), HealthState::Starting);
    assert_eq!(after(false, 29), HealthState::Starting, "the start period forgives");
    assert_eq!(after(false, 30), HealthState::Starting);
    assert_eq!(after(false, 40), HealthState::Starting);
    assert_eq!(after(false, 49), HealthState::Starting, "asked sooner, not given up sooner");
    assert_eq!(after(false, 50), HealthState::Unhealthy);
    assert_eq!(after(true, 60), HealthState::Healthy);
    assert_eq!(after(false, 70), HealthState::Healthy, "once is not twice");
    assert_eq!(after(false, 80), HealthState::Unhealthy);
}

#[test]
fn after_a_first_success_the_start_period_forgives_nothing() {
    let spec = health(1, 30);
    let mut track = Track::default();
    track.record(true, Duration::from_secs(1), &spec);
    track.record(false, Duration::from_secs(2), &spec);
    assert_eq!(track.state(&spec), HealthState::Unhealthy);
}

#[test]
fn a_starting_unit_is_asked_often_and_a_healthy_one_seldom() {
    let spec = health(1, 30);
    let mut track = Track::default();
    let mut pauses = vec![];
    for _ in 0..6 {
        track.record(false, Duration::ZERO, &spec);
        pauses.push(track.pause(&spec).as_millis());
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 1600]);
    track.record(true, Duration::ZERO, &spec);
    assert_eq!(track.pause(&spec).as_millis(), 10_000);
}

#[test]
fn probes_go_to_the_unit_or_to_where_the_node_answers() {
    let mut spec = sample::process(&["a"]);
    spec.ports = vec![sample::port(80, 8080, "0.0.0.0")];
    let own = Some("172.17.0.2".parse().unwrap());
    assert_eq!(target(&spec, own, 80).unwrap().to_string(), "172.17.0.2:80");
    assert_eq!(target(&spec, None, 80).unwrap().to_string(), "127.0.0.1:8080");
    assert_eq!(target(&spec, None, 81), None);
    spec.ports[0].bind = "10.0.0.5".into();
    assert_eq!(target(&spec, None, 80).unwrap().to_string(), "10.0.0.5:8080");
}
