//! The gate over clusters in data: plans are made, judged and carried out as agents would, with
//! versions that fail.

use std::collections::BTreeMap;

use devnet_catalog::Loaded;
use devnet_planner::{PlanInput, Policy, place};
use devnet_schema::{
    diagnostic::Diagnostic,
    file::MemoryFiles,
    instance::{InstanceSpec, Workload},
    plan_options::PlanOptions,
    step::{Step, StepId},
};

use super::*;
use crate::apply::{Frontier, spared};

/// How a bad version fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It starts and never serves.
    Unhealthy,
    /// It ends by itself.
    Exits,
    /// It cannot be started; the agent puts the old unit back.
    NoStart,
    /// It cannot be prepared.
    NoImage,
}

const FAULTS: [Fault; 4] = [Fault::Unhealthy, Fault::Exits, Fault::NoStart, Fault::NoImage];

#[test]
fn what_a_node_only_claims_is_ended_by_nobody_but_a_person() {
    let mut world = World::new(Fault::Exits);
    let web = "service \"web\" { image \"web:1\"; }\n";
    let both = format!("cluster \"lab\" {{ sync auto=#true prune=#true }}\n{web}");
    let file = load(&format!("{both}service \"old\" {{ image \"old:1\" }}\n"));
    world.look(&file);
    let order = |seen: &ObservedInstance| devnet_schema::order::Order {
        instance: seen.instance(),
        node: seen.node.clone(),
        generation: seen.generation,
        claimed: true,
        shown: true,
    };
    let all: Vec<_> = world.fleet.instances.iter().map(order).collect();
    world.fleet.orders = Some(all);
    // The records are older than this service, and so is what they declare.
    let file = load(&both);
    let plan = world.plan(&file, Vec::new());
    assert_eq!(plan.summary.destroy, 1, "a person may");
    let Decision::Hold(why) = world.decide(&file, &plan) else { panic!("it is held") };
    assert!(why.contains("old[0]") && why.contains("devnet apply"), "{why}");
    let orders = world.fleet.orders.as_mut().unwrap();
    orders.iter_mut().for_each(|order| order.claimed = false);
    assert_eq!(world.decide(&file, &plan), Decision::Apply, "what was ordered is ended");
}

struct World {
    fleet: FleetSnapshot,
    generations: BTreeMap<InstanceId, u64>,
    tries: Tries,
    now: Duration,
    fault: Fault,
    /// Instances that were well and were touched by a version that failed.
    lost: BTreeSet<InstanceId>,
    /// How many runs of plans there were.
    runs: u32,
}

fn load(kdl: &str) -> Loaded {
    let files = MemoryFiles::from([("cluster.kdl".to_owned(), kdl.to_owned())]);
    let loaded = devnet_catalog::load("cluster.kdl", &files, &BTreeMap::new());
    assert!(!loaded.diagnostics.iter().any(Diagnostic::is_error), "{:#?}", loaded.diagnostics);
    loaded
}

/// What is said to be bad in these files.
fn is_bad(spec: &InstanceSpec) -> bool {
    match &spec.workload {
        Workload::Container(container) => container.image.contains("bad"),
        Workload::Process { argv } => argv.iter().any(|text| format!("{text:?}").contains("bad")),
    }
}

impl World {
    fn new(fault: Fault) -> Self {
        let node = |name: &str, at: u32| {
            serde_json::json!({
                "name": name, "status": "online",
                "facts": {
                    "ip": format!("10.0.0.{at}"), "os": "linux", "arch": "x86_64",
                    "cpu_count": 16, "total_memory_mb": 65536,
                    "disks": [{"mount": "/", "total_mb": 102_400, "free_mb": 51_200}],
                    "docker": {"available": true}, "process": {"available": true},
                },
            })
        };
        let fleet = serde_json::json!({
            "nodes": [node("n1", 1), node("n2", 2), node("n3", 3)], "instances": [], "secrets": {},
        });
        Self {
            fleet: serde_json::from_value(fleet).unwrap(),
            generations: BTreeMap::new(),
            tries: Tries::default(),
            now: Duration::from_secs(10),
            fault,
            lost: BTreeSet::new(),
            runs: 0,
        }
    }

    fn plan(&self, loaded: &Loaded, held: Vec<InstanceId>) -> Plan {
        devnet_planner::plan(&PlanInput {
            desired: loaded.desired.as_ref().unwrap(),
            catalog: &loaded.catalog,
            fleet: &self.fleet,
            revision: "r1",
            generations: &self.generations,
            options: PlanOptions { allow_unplaced: true, ..PlanOptions::default() },
            policy: Policy { held, ..Policy::default() },
            limits: place::Limits::default(),
            created_at: "",
        })
    }

    fn decide(&self, loaded: &Loaded, plan: &Plan) -> Decision {
        let desired = loaded.desired.as_ref().unwrap();
        let (fleet, tries, now) = (&self.fleet, &self.tries, self.now);
        decide(Scene { plan, desired, fleet, tries, suspended: &Suspended::default(), now }, false)
    }

    /// One turn of the loop; false when nothing was run.
    fn turn(&mut self, kdl: &str) -> bool {
        self.look(&load(kdl)).is_none()
    }

    /// The same; gives how long nothing will happen, where nothing was run.
    fn look(&mut self, loaded: &Loaded) -> Option<Duration> {
        const IDLE: Duration = Duration::from_secs(60);
        let plan = self.plan(loaded, Vec::new());
        let (plan, wait) = match self.decide(loaded, &plan) {
            Decision::Apply => (plan, IDLE),
            Decision::Without(held, wait, _) => (self.plan(loaded, held), wait),
            Decision::Later(wait, _) => return Some(wait),
            Decision::Nothing | Decision::Hold(_) => return Some(IDLE),
        };
        assert!(plan.is_applicable(), "{:?}", plan.diagnostics);
        if plan.steps.is_empty() {
            return Some(wait);
        }
        self.run(&plan);
        None
    }

    /// Turns until `seconds` have passed.
    fn pass(&mut self, kdl: &str, seconds: u64) {
        let loaded = load(kdl);
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            let wait = self.look(&loaded).unwrap_or(Duration::from_secs(1));
            self.now += wait.min(end - self.now);
        }
    }

    /// Turns until nothing is left to do.
    fn reach(&mut self, kdl: &str) {
        let loaded = load(kdl);
        for _ in 0..100 {
            let wait = self.look(&loaded).unwrap_or(Duration::from_secs(1));
            self.now += wait;
            if self.plan(&loaded, Vec::new()).steps.is_empty() {
                return;
            }
        }
        panic!("never reached: {kdl}");
    }

    fn run(&mut self, plan: &Plan) {
        self.runs += 1;
        let steps: BTreeMap<&StepId, &Step> = plan.steps.iter().map(|it| (&it.id, it)).collect();
        let spared = spared(plan);
        let mut frontier = Frontier::new(&plan.steps).unwrap();
        let mut failed = BTreeMap::new();
        // One after the other in plan order: whoever could begin at once does.
        loop {
            let ready = frontier.take_ready(usize::MAX);
            if ready.is_empty() {
                break;
            }
            for id in ready {
                match self.step(steps[&id]) {
                    Ok(()) => frontier.succeed(&id),
                    Err(why) => {
                        let service = &steps[&id].instance.service;
                        let with = spared.get(service).map_or(&[][..], Vec::as_slice);
                        frontier.fail(&id, &why, with);
                        failed.entry(steps[&id].instance.clone()).or_insert(why);
                    }
                }
            }
        }
        let complete = plan.steps.iter().map(|step| &step.instance).filter(|id| {
            let mut own = plan.steps.iter().filter(|step| step.instance == **id);
            own.all(|step| frontier.progress(&step.id) == Some(&crate::apply::Progress::Done))
        });
        let complete = complete.cloned().collect();
        self.tries.ended(plan, &failed, &complete, self.now);
    }

    fn at(&self, step: &Step) -> Option<usize> {
        self.fleet
            .instances
            .iter()
            .position(|it| it.instance() == step.instance && it.node == step.node)
    }

    /// An instance that serves is about to be stopped.
    fn touch(&mut self, step: &Step, bad: bool) {
        let Some(at) = self.at(step) else { return };
        let serves = self.fleet.instances[at].health == HealthState::Healthy;
        if serves && bad {
            self.lost.insert(step.instance.clone());
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let highest = self.generations.entry(step.instance.clone()).or_insert(0);
        *highest = step.generation.max(*highest);
        let at = self.at(step);
        match &step.act {
            Act::Prepare { spec } if is_bad(spec) && self.fault == Fault::NoImage => {
                return Err("no such image".to_owned());
            }
            Act::Prepare { .. } => {}
            Act::Remove => {
                self.touch(step, true);
                self.fleet.instances.remove(at.expect("there to be removed"));
            }
            Act::Ensure { spec } => {
                let bad = is_bad(spec);
                self.touch(step, bad);
                if bad && self.fault == Fault::NoStart {
                    return Err("no such program".to_owned());
                }
                if let Some(at) = at {
                    self.fleet.instances.remove(at);
                }
                let mut seen = ObservedInstance::running(spec.clone(), step.generation);
                if bad {
                    seen.health = HealthState::Unhealthy;
                    let exits = self.fault == Fault::Exits;
                    seen.state = if exits { InstanceState::Exited } else { InstanceState::Running };
                }
                self.fleet.instances.push(seen);
            }
            Act::AwaitHealthy { .. } => {
                let seen = &self.fleet.instances[at.expect("there to be waited for")];
                if seen.health != HealthState::Healthy {
                    return Err("it is unhealthy".to_owned());
                }
            }
        }
        Ok(())
    }

    fn healthy(&self, service: &str) -> usize {
        let serves = |it: &&ObservedInstance| {
            it.service.as_str() == service && it.health == HealthState::Healthy
        };
        self.fleet.instances.iter().filter(serves).count()
    }
}

fn web(image: &str, replicas: u32, more: &str) -> String {
    format!(
        "cluster \"lab\" {{ }}\n\
         service \"web\" {{\n    image \"{image}\"\n    replicas {replicas}\n    {more}\n}}\n"
    )
}

const HOUR: u64 = 3600;

#[test]
fn a_bad_version_never_takes_more_than_its_first_replicas() {
    for fault in FAULTS {
        for replicas in 2..=5 {
            for gap in 1..=2_u32 {
                let more = format!("update max-unavailable={gap}");
                let mut world = World::new(fault);
                world.reach(&web("web:1", replicas, &more));
                assert_eq!(world.healthy("web"), replicas as usize);
                world.pass(&web("web:bad", replicas, &more), HOUR);
                let what = format!("{fault:?}, {replicas} replicas, {gap} at once");
                assert!(world.lost.len() <= gap as usize, "{what}: {:?}", world.lost);
                assert!(world.healthy("web") >= (replicas - gap) as usize, "{what}");
                // Five tries, and as many again once they count no more.
                assert!((5..=15).contains(&world.runs), "{what}: {} runs", world.runs);
                // The fix goes out at once, and to all.
                world.reach(&web("web:2", replicas, &more));
                assert_eq!(world.healthy("web"), replicas as usize, "{what}");
            }
        }
    }
}

#[test]
fn a_bad_version_that_moves_shrinks_or_is_forced_takes_no_more_either() {
    let volume = "volume \"data\" at=\"/data\"";
    for (before, after) in [
        // It changes place and content at once.
        (
            web("web:1", 3, "place { forbid node=\"n3\" }"),
            web("web:bad", 3, "place { pin \"n3\" }"),
        ),
        // Fewer are wanted from now on.
        (web("web:1", 5, ""), web("web:bad", 3, "")),
        // More are wanted, and the new ones fail, too.
        (web("web:1", 2, ""), web("web:bad", 4, "")),
        // A replacement, since what it keeps changes.
        (web("web:1", 3, ""), web("web:bad", 3, volume)),
    ] {
        for fault in FAULTS {
            let mut world = World::new(fault);
            world.reach(&before);
            let healthy = world.healthy("web");
            world.pass(&after, HOUR);
            assert!(world.lost.len() <= 1, "{fault:?} {after}: {:?}", world.lost);
            assert!(world.healthy("web") + 1 >= healthy, "{fault:?} {after}");
        }
    }
}

#[test]
fn a_restart_forgets_the_tries_and_still_touches_nothing_that_is_well() {
    for fault in FAULTS {
        let mut world = World::new(fault);
        world.reach(&web("web:1", 3, ""));
        for _ in 0..5 {
            world.pass(&web("web:bad", 3, ""), 60);
            world.tries = Tries::default();
        }
        assert!(world.lost.len() <= 1, "{fault:?}: {:?}", world.lost);
        assert!(world.healthy("web") >= 2, "{fault:?}");
    }
}

#[test]
fn what_a_failing_service_does_not_touch_goes_on() {
    let kdl = |web: &str, version: u32| {
        format!(
            "cluster \"lab\" {{ }}\n\
             service \"web\" {{ image \"{web}\"; replicas 2 }}\n\
             service \"api\" {{ image \"api:{version}\"; depends-on \"web\" }}\n\
             service \"db\" {{ image \"db:{version}\" }}\n"
        )
    };
    let mut world = World::new(Fault::Unhealthy);
    world.reach(&kdl("web:1", 1));
    let image = |world: &World, id: &str| {
        let seen = world.fleet.instances.iter().find(|it| it.id == id).unwrap();
        match &seen.spec.as_ref().unwrap().workload {
            Workload::Container(container) => container.image.clone(),
            Workload::Process { .. } => panic!("a container"),
        }
    };
    let both = kdl("web:bad", 2);
    world.pass(&both, 60);
    assert_eq!(image(&world, "db-0"), "db:2");
    assert_eq!(image(&world, "api-0"), "api:1", "it depends on what fails");
    // A later commit of the rest goes out while the bad version is still there.
    world.pass(&kdl("web:bad", 3), 10);
    assert_eq!(image(&world, "db-0"), "db:3");
    // What ran and stopped is made again, whatever it depends on.
    for seen in &mut world.fleet.instances {
        if seen.id == "api-0" {
            (seen.state, seen.health) = (InstanceState::Exited, HealthState::Unhealthy);
        }
    }
    world.pass(&kdl("web:bad", 3), 10);
    assert_eq!(image(&world, "api-0"), "api:3");
    world.reach(&kdl("web:2", 3));
    assert_eq!((world.healthy("web"), world.healthy("api")), (2, 1));
    assert!(world.lost.len() <= 1);
}

#[test]
fn a_commit_that_changes_nothing_of_it_does_not_begin_the_count_again() {
    let mut world = World::new(Fault::NoStart);
    let kdl =
        |zone: u32| web("web:bad", 3, "") + &format!("service \"db\" {{ image \"db:{zone}\" }}\n");
    world.reach(&(web("web:1", 3, "") + "service \"db\" { image \"db:1\" }\n"));
    let before = world.runs;
    for commit in 2..62 {
        world.pass(&kdl(commit), 20);
    }
    // Each commit changes db once; web is tried five times.
    assert!(world.runs - before <= 60 + 5, "{}", world.runs - before);
    assert_eq!(world.lost.len(), 1);
}

#[test]
fn tries_come_ever_later_then_not_at_all_until_something_moves() {
    let mut world = World::new(Fault::Unhealthy);
    world.reach(&web("web:1", 2, ""));
    let bad = load(&web("web:bad", 2, ""));
    let mut waits = Vec::new();
    for _ in 0..5 {
        assert!(world.turn(&web("web:bad", 2, "")));
        match world.decide(&bad, &world.plan(&bad, Vec::new())) {
            Decision::Later(wait, why) => {
                waits.push(wait.as_secs());
                let tried = format!("web failed {} of 5 times (it is unhealthy)", waits.len());
                assert!(why.starts_with(&tried), "{why}");
                world.now += wait;
            }
            Decision::Hold(why) => {
                assert!(why.starts_with("web failed 5 times (it is unhealthy); it is tr"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(waits, [5, 10, 20, 40]);
    world.now += Duration::from_secs(600);
    assert!(!world.turn(&web("web:bad", 2, "")));
    // A node that changed may be why: once more, and no sooner than the longest pause.
    world.fleet.nodes[0].facts.total_memory_mb += 1024;
    assert!(world.turn(&web("web:bad", 2, "")));
    world.fleet.nodes[0].facts.total_memory_mb += 1024;
    world.now += Duration::from_secs(60);
    assert!(!world.turn(&web("web:bad", 2, "")));
}

#[test]
fn what_somebody_cut_short_is_not_begun_again_until_something_else_is_wanted() {
    let mut world = World::new(Fault::Unhealthy);
    let kdl = |web: &str, db: u32| {
        format!(
            "cluster \"lab\" {{ }}\nservice \"web\" {{ image \"{web}\"; replicas 3 }}\n\
             service \"db\" {{ image \"db:{db}\" }}\n"
        )
    };
    world.reach(&kdl("web:1", 1));
    let two = load(&kdl("web:2", 1));
    let plan = world.plan(&two, Vec::new());
    world.tries.put_off(&plan, &BTreeSet::new(), "cancelled by ada");
    let Decision::Hold(why) = world.decide(&two, &plan) else { panic!("it is held") };
    let meanwhile = "what runs of it already is put right, and the rest goes on when";
    assert!(why.starts_with(&format!("web was cancelled by ada; {meanwhile}")), "{why}");
    // The rest goes on.
    let before = world.runs;
    world.pass(&kdl("web:2", 2), 10);
    assert_eq!(world.runs, before + 1);
    // Another start knows it as well.
    let kept = world.tries.kept();
    assert_eq!(kept.len(), 1);
    let mut again = Tries::default();
    again.recall(kept);
    again.declared(&plan);
    assert!(again.why_put_off(&plan, &plan.changes[0], false).is_some());
    // What is wanted otherwise once is put off no more, also when it is wanted so again.
    let three = world.plan(&load(&kdl("web:3", 2)), Vec::new());
    again.declared(&three);
    assert!(again.kept().is_empty() && again.why_put_off(&plan, &plan.changes[0], false).is_none());
    world.reach(&kdl("web:3", 2));
    assert_eq!(world.healthy("web"), 3);
}

#[test]
fn a_change_that_does_not_hold_is_not_repeated_in_a_tight_loop() {
    let mut world = World::new(Fault::Unhealthy);
    world.reach(&web("web:1", 1, ""));
    let before = world.runs;
    for _ in 0..600 {
        for seen in &mut world.fleet.instances {
            (seen.state, seen.health) = (InstanceState::Exited, HealthState::Unhealthy);
        }
        world.turn(&web("web:1", 1, ""));
        world.now += Duration::from_secs(1);
    }
    assert!(world.runs - before < 12, "{}", world.runs - before);
}

#[test]
fn one_that_is_starting_or_unknown() {
    let mut world = World::new(Fault::Unhealthy);
    world.reach(&web("web:1", 2, ""));
    let two = load(&web("web:2", 2, ""));
    // One of two was made anew, and the run was cut short there.
    let plan = world.plan(&two, vec!["web[1]".parse().unwrap()]);
    world.run(&plan);
    let next = world.plan(&two, Vec::new());
    for (state, health, goes) in [
        (InstanceState::Starting, HealthState::Starting, false),
        (InstanceState::Running, HealthState::Starting, false),
        (InstanceState::Running, HealthState::Healthy, true),
        // What cannot be seen holds nothing up.
        (InstanceState::Unknown, HealthState::Unknown, true),
    ] {
        let first = world.fleet.instances.iter_mut().find(|it| it.id == "web-0").unwrap();
        (first.state, first.health) = (state, health);
        let decision = world.decide(&two, &next);
        assert_eq!(decision == Decision::Apply, goes, "{state:?} {health:?}: {decision:?}");
        if let Decision::Later(_, why) = decision {
            assert_eq!(why, "web[1]: nothing is changed until web[0] serves as declared");
        }
    }
}

#[test]
fn a_plan_is_applied_unless_something_speaks_against_it() {
    let world = World::new(Fault::Unhealthy);
    let loaded = load(&web("web:1", 1, ""));
    let mut plan = world.plan(&loaded, Vec::new());
    assert_eq!(world.decide(&loaded, &plan), Decision::Apply);
    let desired = loaded.desired.as_ref().unwrap();
    let none = Suspended::default();
    let scene = |plan| Scene {
        plan,
        desired,
        fleet: &world.fleet,
        tries: &world.tries,
        suspended: &none,
        now: world.now,
    };
    assert!(matches!(decide(scene(&plan), true), Decision::Hold(_)));
    let two_hours = Some(Duration::from_secs(7200));
    let pause = ("web is suspended by ada".to_owned(), two_hours);
    let one = Suspended { services: [("web".parse().unwrap(), pause.clone())].into(), all: None };
    let later = Decision::Later(Duration::from_secs(7200), pause.0.clone());
    assert_eq!(decide(Scene { suspended: &one, ..scene(&plan) }, false), later);
    let all = Suspended { all: Some(pause), ..Suspended::default() };
    assert_eq!(decide(Scene { suspended: &all, ..scene(&plan) }, false), later);
    let other = Suspended {
        services: [("db".parse().unwrap(), one.services.values().next().unwrap().clone())].into(),
        all: None,
    };
    assert_eq!(decide(Scene { suspended: &other, ..scene(&plan) }, false), Decision::Apply);
    let by_hand = load(&web("web:1", 1, "").replace("{ }", "{ sync auto=#false }"));
    assert!(matches!(world.decide(&by_hand, &plan), Decision::Hold(_)));
    plan.diagnostics.push(Diagnostic::error("DN-E0001", None, "it does not fit"));
    assert_eq!(world.decide(&loaded, &plan), Decision::Hold("it does not fit".into()));
    plan.diagnostics.clear();
    plan.steps.clear();
    plan.placement.unplaced = 2;
    assert!(matches!(world.decide(&loaded, &plan), Decision::Hold(_)));
    plan.placement.unplaced = 0;
    assert_eq!(world.decide(&by_hand, &plan), Decision::Nothing);
}
