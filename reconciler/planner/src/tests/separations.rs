//! No plan that is applied unasked separates an instance from its data, whatever is edited and
//! whatever happens to nodes, unless a line says so. `DEVNET_SOAK` tells how many lives are tried.
//!
//! Knows random lives of a cluster with disks. Refuses to expect any one plan.

use std::collections::BTreeSet;

use devnet_schema::{
    desired::DesiredState,
    fleet::NodeStatus,
    name::InstanceId,
    observed::{HealthState, InstanceState, ObservedInstance},
    plan::{Action, Plan},
    plan_options::PlanOptions,
};
use proptest::{prelude::*, test_runner::TestRunner};

use super::{World, load, show};
use crate::{observed::renamed, volume_names::shares_data};

const NODES: [&str; 4] = ["n0", "n1", "n2", "n3"];
const SERVICES: [&str; 3] = ["db", "kv", "pg"];

/// One service of a random file.
#[derive(Debug, Clone)]
struct Wish {
    image: u8,
    replicas: u8,
    process: bool,
    volume: bool,
    second: bool,
    place: u8,
    at: usize,
    memory: u8,
    priority: u8,
    protect: bool,
    leave: Option<usize>,
}

/// One thing that happens between two plans.
#[derive(Debug, Clone)]
enum Event {
    Edit(usize, Option<Wish>),
    /// Of one service, where it may be.
    Place(usize, u8, usize),
    /// Of one service, whose data it may leave.
    Leave(usize, Option<usize>),
    Replicas(usize, u8),
    Protect(usize, bool),
    /// The service is called otherwise from now on: as nothing was, or as one that is not declared
    /// any more, whether that runs or not.
    Rename(usize, bool),
    /// What is not declared gets the name that another had before it was renamed.
    Again(usize),
    Tag(usize, u8),
    Drain(Option<usize>),
    Cordon(usize, bool),
    /// Offline, lost, or back.
    Node(usize, u8),
    /// Taken out of the cluster, or joined again.
    Member(usize, bool),
    Vanish(usize),
    Break(usize, bool),
    Memory(usize, u8),
}

/// How what is planned then is run.
#[derive(Debug, Clone)]
struct Run {
    /// As the loop does, or as `apply -auto-approve`.
    lenient: bool,
    prune: bool,
    extra: u32,
    replace: Option<usize>,
    target: Option<usize>,
    /// How many of the steps are carried out.
    steps: Option<usize>,
}

fn wish() -> impl Strategy<Value = Wish> {
    (
        (1..3u8, 0..4u8, prop::bool::weighted(0.15), prop::bool::weighted(0.85)),
        (prop::bool::weighted(0.3), 0..8u8, 0..4usize, 0..4u8),
        (0..3u8, prop::bool::weighted(0.2), prop::option::weighted(0.15, 0..4usize)),
    )
        .prop_map(|((image, replicas, process, volume), (second, place, at, memory), rest)| {
            Wish {
                image,
                replicas,
                process,
                volume,
                second,
                place,
                at,
                memory,
                priority: rest.0 * 40,
                protect: rest.1,
                leave: rest.2,
            }
        })
}

fn event() -> impl Strategy<Value = Event> {
    let (s, n) = (0..3usize, 0..4usize);
    prop_oneof![
        4 => (s.clone(), prop::option::weighted(0.85, wish())).prop_map(|(s, w)| Event::Edit(s, w)),
        5 => (s.clone(), 0..8u8, n.clone()).prop_map(|(s, p, at)| Event::Place(s, p, at)),
        2 => (s.clone(), prop::option::of(n.clone())).prop_map(|(s, l)| Event::Leave(s, l)),
        3 => (s.clone(), 0..4u8).prop_map(|(s, count)| Event::Replicas(s, count)),
        1 => (s.clone(), any::<bool>()).prop_map(|(s, on)| Event::Protect(s, on)),
        2 => (s.clone(), any::<bool>()).prop_map(|(s, onto)| Event::Rename(s, onto)),
        1 => s.prop_map(Event::Again),
        3 => (n.clone(), 0..3u8).prop_map(|(n, tag)| Event::Tag(n, tag)),
        1 => prop::option::of(n.clone()).prop_map(Event::Drain),
        1 => (n.clone(), any::<bool>()).prop_map(|(n, on)| Event::Cordon(n, on)),
        4 => (n.clone(), 0..5u8).prop_map(|(n, what)| Event::Node(n, what)),
        2 => (n.clone(), any::<bool>()).prop_map(|(n, on)| Event::Member(n, on)),
        2 => (0..12usize).prop_map(Event::Vanish),
        1 => (0..12usize, any::<bool>()).prop_map(|(at, end)| Event::Break(at, end)),
        1 => (n, 1..9u8).prop_map(|(n, gib)| Event::Memory(n, gib)),
    ]
}

fn run() -> impl Strategy<Value = Run> {
    (
        (prop::bool::weighted(0.7), any::<bool>(), prop_oneof![5 => Just(0u32), 1 => Just(3)]),
        (prop::option::weighted(0.05, 0..3usize), prop::option::weighted(0.1, 0..3usize)),
        prop::option::weighted(0.15, 0..6usize),
    )
        .prop_map(|((lenient, prune, extra), (replace, target), steps)| Run {
            lenient,
            prune,
            extra,
            replace,
            target,
            steps,
        })
}

/// What a story has led to so far.
struct Story {
    world: World,
    wishes: Vec<Option<Wish>>,
    names: Vec<String>,
    /// Old name, new name.
    moved: Vec<(String, String)>,
    tags: [u8; 4],
    drained: Option<usize>,
    /// Nodes out of the cluster, with what runs there.
    out: Vec<devnet_schema::fleet::Node>,
    /// Units on nodes that are out of the cluster.
    unseen: Vec<ObservedInstance>,
    renames: usize,
    /// Whether the fleet tells what was ordered.
    orders: bool,
}

impl Story {
    fn new(orders: bool) -> Self {
        Self {
            world: World::of(&NODES),
            wishes: vec![None; 3],
            names: SERVICES.map(str::to_owned).to_vec(),
            moved: Vec::new(),
            tags: [0, 1, 2, 0],
            drained: None,
            out: Vec::new(),
            unseen: Vec::new(),
            renames: 0,
            orders,
        }
    }

    fn file(&self) -> String {
        let mut text =
            "cluster \"lab\"\nservice \"web\" { image \"web:1\"; replicas 2 }\n".to_owned();
        for (at, node) in NODES.iter().enumerate() {
            let drain = if self.drained == Some(at) { "; drain" } else { "" };
            let tag = self.tags[at];
            text +=
                &format!("node \"{node}\" {{ tags \"t{tag}\"; zone \"z{}\"{drain}; }}\n", at % 2);
        }
        for (wish, name) in self.wishes.iter().zip(&self.names) {
            text += &wish.as_ref().map_or(String::new(), |wish| service(name, wish));
        }
        for (from, to) in &self.moved {
            text += &format!("moved from=\"{from}\" to=\"{to}\"\n");
        }
        text
    }

    fn happen(&mut self, event: Event) {
        let count = self.world.fleet.instances.len();
        match event {
            Event::Edit(s, wish) => self.wishes[s] = wish,
            Event::Place(s, place, at) => self.edit(s, |wish| (wish.place, wish.at) = (place, at)),
            Event::Leave(s, node) => self.edit(s, |wish| wish.leave = node),
            Event::Replicas(s, count) => self.edit(s, |wish| wish.replicas = count),
            Event::Protect(s, on) => self.edit(s, |wish| wish.protect = on),
            Event::Rename(s, onto) => self.rename(s, onto),
            Event::Again(s) => self.again(s),
            Event::Tag(node, tag) => self.tags[node] = tag,
            Event::Drain(node) => self.drained = node,
            Event::Cordon(node, on) => {
                let known = self.world.fleet.nodes.iter_mut();
                known.filter(|it| it.name.as_str() == NODES[node]).for_each(|it| it.cordoned = on);
            }
            Event::Memory(node, gib) => {
                let known = self.world.fleet.nodes.iter_mut();
                let known = known.filter(|it| it.name.as_str() == NODES[node]);
                known.for_each(|it| it.facts.total_memory_mb = u64::from(gib) * 1024);
            }
            Event::Node(node, what) => self.node(NODES[node], what),
            Event::Member(node, joins) => self.member(NODES[node], joins),
            Event::Vanish(at) if count > 0 => {
                let seen = &self.world.fleet.instances[at % count];
                if seen.state != InstanceState::Unknown {
                    self.world.fleet.instances.remove(at % count);
                }
            }
            Event::Break(at, ends) if count > 0 => {
                let seen = &mut self.world.fleet.instances[at % count];
                if seen.state == InstanceState::Running && ends {
                    seen.state = InstanceState::Exited;
                } else if seen.state == InstanceState::Running {
                    seen.health = HealthState::Unhealthy;
                }
            }
            Event::Vanish(_) | Event::Break(..) => {}
        }
    }

    fn edit(&mut self, s: usize, how: impl FnOnce(&mut Wish)) {
        if let Some(wish) = &mut self.wishes[s] {
            how(wish);
        }
    }

    fn rename(&mut self, s: usize, onto: bool) {
        if self.wishes[s].is_none() {
            return;
        }
        self.renames += 1;
        let fresh = format!("{}{}", SERVICES[s], self.renames);
        let gone = (0..self.names.len()).find(|&other| self.wishes[other].is_none());
        let to = match gone.filter(|_| onto) {
            Some(other) => std::mem::replace(&mut self.names[other], fresh),
            None => fresh,
        };
        let from = std::mem::replace(&mut self.names[s], to.clone());
        self.world.disk.rename(&from.parse().unwrap(), &to.parse().unwrap());
        // A name that is declared was not moved away, and one service becomes one.
        self.moved.retain(|(was, is)| *was != to && *is != to && *was != from);
        self.moved.push((from, to));
    }

    /// Whether a line has done its work: nothing runs under the old name, and all data is on record
    /// under the new one. Who takes it away before that separates by hand.
    fn is_done(&self, from: &str, to: &str) -> bool {
        let fleet = &self.world.fleet;
        let mut units = fleet.instances.iter().chain(&self.unseen);
        let has = |index: u32| {
            let mut rows = fleet.data.iter().map(|row| &row.instance);
            rows.any(|id| id.service.as_str() == to && id.index == index)
        };
        let mut old = fleet.data.iter().map(|row| &row.instance);
        units.all(|unit| unit.service.as_str() != from)
            && old.all(|id| id.service.as_str() != from || has(id.index))
    }

    fn again(&mut self, s: usize) {
        let free =
            |(from, to): &&(String, String)| !self.names.contains(from) && self.is_done(from, to);
        let name = self.moved.iter().find(free).map(|(from, _)| from.clone());
        if let Some(name) = name.filter(|_| self.wishes[s].is_none()) {
            self.moved.retain(|(from, _)| *from != name);
            self.world.disk.again(&name.parse().unwrap());
            self.names[s] = name;
        }
    }

    fn node(&mut self, name: &str, what: u8) {
        if !self.world.fleet.nodes.iter().any(|node| node.name.as_str() == name) {
            return;
        }
        match what {
            0 => self.world.lose(name, NodeStatus::Offline),
            1 => self.world.lose(name, NodeStatus::Lost),
            _ => {
                self.world.node(name).status = NodeStatus::Online;
                let here = self.world.fleet.instances.iter_mut();
                for seen in here.filter(|it| it.node.as_str() == name) {
                    (seen.state, seen.health) = (InstanceState::Running, HealthState::Healthy);
                }
            }
        }
    }

    fn member(&mut self, name: &str, joins: bool) {
        let fleet = &mut self.world.fleet;
        let own = |node: &devnet_schema::fleet::Node| node.name.as_str() == name;
        if let Some(at) = self.out.iter().position(own).filter(|_| joins) {
            fleet.nodes.push(self.out.remove(at));
            let (back, rest) = self.unseen.drain(..).partition(|it| it.node.as_str() == name);
            self.unseen = rest;
            fleet.instances.extend::<Vec<_>>(back);
            self.node(name, 2);
        } else if let Some(at) = fleet.nodes.iter().position(own).filter(|_| !joins) {
            // One stays, or there is nothing to plan on.
            if fleet.nodes.len() > 2 {
                self.out.push(fleet.nodes.remove(at));
                let all = std::mem::take(&mut fleet.instances);
                let (gone, rest) = all.into_iter().partition(|it| it.node.as_str() == name);
                fleet.instances = rest;
                self.unseen.extend::<Vec<_>>(gone);
                if self.orders {
                    self.world.forget(name);
                }
            }
        }
    }

    /// Plans and applies, and holds that only what a line allows was separated. Says how many
    /// instances left their data by such a line.
    fn settle(&mut self, run: &Run) -> Result<usize, TestCaseError> {
        let text = self.file();
        let read = load(&text);
        self.world.policy.prune = run.prune || !run.lenient;
        self.world.limits.suggestions = 0;
        let options = &mut self.world.options;
        *options = PlanOptions::default();
        options.allow_unplaced = run.lenient;
        options.max_moves = run.extra;
        let name = |at: Option<usize>| at.filter(|at| self.wishes[*at].is_some());
        options.replace = name(run.replace).map(|at| self.names[at].clone()).into_iter().collect();
        options.target = name(run.target).map(|at| self.names[at].clone()).into_iter().collect();
        if read.desired.is_none() {
            // Validation refused it: nothing is planned.
            return Ok(0);
        }
        let plan = self.world.plan_of(&read);
        let broken = plan.diagnostics.iter().find(|it| it.code == "DN-E0699");
        prop_assert!(broken.is_none(), "{text}\n{}", show(&plan));
        if !plan.is_applicable() {
            return Ok(0);
        }
        let desired = read.desired.as_ref().unwrap();
        self.stops_nothing_for_nothing(&text, desired, &plan)?;
        let marked: BTreeSet<_> = self.world.fleet.protected.iter().cloned().collect();
        self.world.begin(&plan, run.steps.unwrap_or(plan.steps.len()));
        if self.orders {
            self.world.records();
        }
        let shared = std::mem::take(&mut self.world.disk.shared);
        prop_assert!(shared.is_empty(), "{shared:?}\n{text}\n{}", show(&plan));
        let found = std::mem::take(&mut self.world.disk.separations);
        for it in &found {
            let told = plan.diagnostics.iter().any(|told| {
                told.code == "DN-W0604"
                    && told.message.contains(&it.instance.to_string())
                    && told.message.contains(it.left.as_str())
            });
            let wish = self.names.iter().position(|name| *name == it.instance.service.to_string());
            let line = wish.and_then(|at| self.wishes[at].as_ref()?.leave);
            let said = line.is_some_and(|node| NODES[node] == it.left.as_str());
            prop_assert!(told && said, "{it:?}\n{text}\n{}", show(&plan));
        }
        for change in plan.changes.iter().filter(|it| it.action == Action::Delete) {
            let was = change.before.as_ref().map_or(&change.instance, |before| &before.id);
            let stays =
                plan.placement.assignments.iter().any(|row| row.instance == change.instance);
            let copy = *was == change.instance || {
                let own = |it: &&ObservedInstance| it.instance() == change.instance;
                let own = self.world.fleet.instances.iter().filter(own);
                let mut own = own.filter_map(|it| it.spec.as_ref());
                own.any(|own| change.before.as_ref().is_some_and(|it| shares_data(own, it)))
            };
            prop_assert!(
                !marked.contains(was) || stays && copy || run.steps.is_some(),
                "{was} was protected\n{text}\n{}",
                show(&plan)
            );
        }
        Ok(found.len())
    }

    /// Nothing with data that is wanted, runs and can be asked stops without another in its place;
    /// and never the one with its newest data.
    fn stops_nothing_for_nothing(
        &self,
        text: &str,
        desired: &DesiredState,
        plan: &Plan,
    ) -> Result<(), TestCaseError> {
        let deleted = |it: &ObservedInstance| {
            plan.changes.iter().any(|change| {
                let was = change.before.as_ref().map_or(&change.instance, |before| &before.id);
                change.action == Action::Delete && (was, &change.node) == (&it.instance(), &it.node)
            })
        };
        let called = |it: &ObservedInstance| InstanceId {
            service: renamed(desired, &it.service).clone(),
            index: it.index,
        };
        let all = || self.world.fleet.instances.iter();
        let running = all().filter(|it| it.state == InstanceState::Running && deleted(it));
        for unit in running {
            let id = called(unit);
            let wanted = desired.services.get(&id.service).filter(|service| {
                let stateful = !service.volumes.is_empty();
                stateful && service.replicas.wants(id.index) && service.leave_data.is_empty()
            });
            let spec = unit.spec.as_ref().filter(|spec| !spec.volumes.is_empty());
            let Some((_, spec)) = wanted.zip(spec) else { continue };
            let others = all().any(|it| called(it) == id && !deleted(it));
            let started = plan.changes.iter().any(|it| it.instance == id && it.after.is_some());
            let newest = self.world.disk.is_newest(&id, spec);
            prop_assert!(
                !newest && (others || started),
                "{} on {} stops as {id} (newest: {newest})\n{text}\n{}",
                unit.instance(),
                unit.node,
                show(plan)
            );
        }
        Ok(())
    }
}

fn service(name: &str, wish: &Wish) -> String {
    let form = match wish.process {
        true => "process \"app\"".to_owned(),
        false => format!("image \"app:{}\"", wish.image),
    };
    let mut text = format!("service \"{name}\" {{\n    {form}\n    replicas {}\n", wish.replicas);
    let slash = if wish.process { "" } else { "/" };
    if wish.volume {
        text += &format!("    volume \"data\" at=\"{slash}data\"\n");
    }
    if wish.second {
        text += &format!("    volume \"logs\" at=\"{slash}logs\"\n");
    }
    let node = NODES[wish.at];
    let place = match wish.place {
        0 => format!("pin \"{node}\""),
        1 => format!("require tag=\"t{}\"", wish.at % 3),
        2 => format!("forbid node=\"{node}\""),
        3 => format!("require zone=\"z{}\"", wish.at % 2),
        4 => "max-per-node 1".to_owned(),
        5 => "apart-from \"web\"".to_owned(),
        6 => "spread by=\"node\"; near \"web\"".to_owned(),
        _ => String::new(),
    };
    text += &format!("    place {{ {place} }}\n");
    text +=
        &format!("    resources memory=\"{}GiB\"\n    priority {}\n", wish.memory, wish.priority);
    if wish.protect {
        text += "    protect\n";
    }
    if let Some(node) = wish.leave {
        text += &format!("    leave-data \"{}\"\n", NODES[node]);
    }
    text + "}\n"
}

/// How many lives: a few in `make test`, as many as `DEVNET_SOAK` says in `make soak`.
fn lives() -> u32 {
    match std::env::var("DEVNET_SOAK").as_deref() {
        Err(_) => 150,
        Ok("full") => 6_000,
        Ok(number) => number.parse().expect("a number, or `full`"),
    }
}

#[test]
fn nothing_is_separated_from_its_data_unless_a_line_says_so_soak() {
    let lives = lives();
    let mut runner = TestRunner::new(ProptestConfig { cases: lives, ..ProptestConfig::default() });
    let (mut edits, mut left) = (0usize, 0usize);
    let lives = prop::collection::vec((prop::collection::vec(event(), 1..3), run()), 4..20);
    let counts = std::cell::RefCell::new((&mut edits, &mut left));
    runner
        .run(&(lives, any::<bool>()), |(life, orders)| {
            let mut story = Story::new(orders);
            for (at, wish) in first().into_iter().enumerate() {
                story.wishes[at] = Some(wish);
            }
            story.settle(&FIRST)?;
            for (events, run) in life {
                *counts.borrow_mut().0 += events.len();
                events.into_iter().for_each(|event| story.happen(event));
                *counts.borrow_mut().1 += story.settle(&run)?;
            }
            Ok(())
        })
        .unwrap();
    println!("{edits} edits and events tried, {left} instances left data by a line, 0 without");
    assert!(left > 0, "no life used the word: nothing was tried");
}

/// How it begins.
const FIRST: Run =
    Run { lenient: true, prune: false, extra: 0, replace: None, target: None, steps: None };

/// What every life begins with: something to lose.
fn first() -> [Wish; 3] {
    let wish = |replicas, place, at| Wish {
        image: 1,
        replicas,
        process: false,
        volume: true,
        second: false,
        place,
        at,
        memory: 1,
        priority: 50,
        protect: false,
        leave: None,
    };
    [wish(1, 0, 1), wish(3, 4, 0), wish(2, 1, 0)]
}
