//! Any life of a cluster settles: whatever is edited and whatever happens to nodes and units, a
//! plan that was applied leaves nothing to plan, and order of input has no effect.
//!
//! Knows random lives. Refuses to expect any one plan.

use devnet_schema::{
    fleet::NodeStatus,
    observed::{HealthState, InstanceState},
};
use proptest::prelude::*;

use super::{World, load, show};

const NODES: [&str; 3] = ["alpha", "beta", "gamma"];

/// One service of a random file.
#[derive(Debug, Clone)]
struct Wish {
    image: u8,
    replicas: u8,
    host: Option<u16>,
    volume: bool,
    needs: bool,
    pin: Option<usize>,
    memory: u8,
    process: bool,
}

/// One thing that happens between two plans.
#[derive(Debug, Clone)]
enum Event {
    /// The file says something else of services 0 to 4; `None` leaves one out.
    Edit(Vec<Option<Wish>>),
    /// A node goes offline, is lost, or comes back.
    Node(usize, u8),
    /// A unit ends or turns unhealthy.
    Break(usize, bool),
    /// A unit is gone.
    Vanish(usize),
    /// A node is drained, or not any more.
    Drain(Option<usize>),
    /// The same unit turns up on another node, too.
    Double(usize, usize),
    /// The secret changes.
    Rotate,
}

fn wish() -> impl Strategy<Value = Wish> {
    (
        (1..4u8, 0..4u8, prop_oneof![3 => Just(None), 1 => (8000..8003u16).prop_map(Some)]),
        (prop::bool::weighted(0.3), prop::bool::ANY, prop::bool::weighted(0.2)),
        (prop_oneof![4 => Just(None), 1 => (0..3usize).prop_map(Some)], 0..5u8),
    )
        .prop_map(|((image, replicas, host), (volume, needs, process), (pin, memory))| Wish {
            image,
            replicas,
            host,
            volume,
            needs,
            pin,
            memory,
            process,
        })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => prop::collection::vec(prop::option::weighted(0.8, wish()), 5).prop_map(Event::Edit),
        2 => (0..3usize, 0..4u8).prop_map(|(node, what)| Event::Node(node, what)),
        1 => (0..16usize, prop::bool::ANY).prop_map(|(at, end)| Event::Break(at, end)),
        1 => (0..16usize).prop_map(Event::Vanish),
        1 => prop::option::of(0..3usize).prop_map(Event::Drain),
        1 => (0..16usize, 0..3usize).prop_map(|(at, node)| Event::Double(at, node)),
        1 => Just(Event::Rotate),
    ]
}

fn file(wishes: &[Option<Wish>], drained: Option<usize>) -> String {
    let mut text = "cluster \"lab\"\nservice \"base\" { image \"base:1\"; port 80 }\n".to_owned();
    if let Some(node) = drained {
        text += &format!("node \"{}\" {{ drain }}\n", NODES[node]);
    }
    let declared = |at: usize| wishes.get(at).is_some_and(Option::is_some);
    for (at, wish) in wishes.iter().enumerate() {
        let Some(wish) = wish else { continue };
        let form = if wish.process { "process \"app\"" } else { "image \"app:IMAGE\"" };
        let form = form.replace("IMAGE", &wish.image.to_string());
        // Validation refuses what could never share the one node that it is pinned to.
        let single = wish.pin.is_some() && wish.process;
        let replicas = if single { wish.replicas.min(1) } else { wish.replicas };
        text += &format!("service \"s{at}\" {{\n    {form}\n    replicas {replicas}\n");
        let own = 7000 + at;
        match (wish.host, wish.process) {
            (_, true) => text += &format!("    port {own}\n"),
            (Some(host), false) if wish.pin.is_none() => {
                text += &format!("    port 80 host={host}\n")
            }
            (_, false) => text += "    port 80\n",
        }
        if wish.volume {
            let slash = if wish.process { "" } else { "/" };
            text += &format!("    volume \"data\" at=\"{slash}data\"\n");
        }
        if wish.needs && at > 0 && declared(at - 1) {
            text += &format!("    depends-on \"s{}\"\n", at - 1);
        }
        if let Some(node) = wish.pin {
            text += &format!("    place {{ pin \"{}\" }}\n", NODES[node]);
        }
        text += &format!("    resources memory=\"{}GiB\"\n", wish.memory);
        text += "    env PW=\"{{ secret.pw }}\" BASE=\"{{ service.base.address }}\"\n}\n";
    }
    text
}

/// What a story has led to so far.
struct Story {
    world: World,
    wishes: Vec<Option<Wish>>,
    drained: Option<usize>,
    rotations: u64,
}

impl Story {
    fn happen(&mut self, event: Event) {
        let count = self.world.fleet.instances.len();
        match event {
            Event::Edit(wishes) => self.wishes = wishes,
            Event::Drain(node) => self.drained = node,
            Event::Rotate => {
                self.rotations += 1;
                self.world.secret("pw", 1 + self.rotations);
            }
            Event::Node(node, 0) => self.world.lose(NODES[node], NodeStatus::Offline),
            Event::Node(node, 1) => self.world.lose(NODES[node], NodeStatus::Lost),
            Event::Node(node, _) => self.come_back(NODES[node]),
            Event::Break(at, ends) if count > 0 => {
                let seen = &mut self.world.fleet.instances[at % count];
                if seen.state == InstanceState::Running && ends {
                    seen.state = InstanceState::Exited;
                } else if seen.state == InstanceState::Running {
                    seen.health = HealthState::Unhealthy;
                }
            }
            Event::Vanish(at) if count > 0 => drop(self.world.fleet.instances.remove(at % count)),
            Event::Double(at, node) if count > 0 => {
                let mut seen = self.world.fleet.instances[at % count].clone();
                let there = |it: &_| {
                    let it: &devnet_schema::observed::ObservedInstance = it;
                    it.node.as_str() == NODES[node] && it.instance() == seen.instance()
                };
                let online = self.world.node(NODES[node]).status == NodeStatus::Online;
                if online && !self.world.fleet.instances.iter().any(there) {
                    seen.node = NODES[node].parse().unwrap();
                    (seen.state, seen.health) = (InstanceState::Running, HealthState::Healthy);
                    // Its ports are not recorded: two units never hold one port in the first place.
                    seen.spec = None;
                    self.world.fleet.instances.push(seen);
                }
            }
            Event::Break(..) | Event::Vanish(_) | Event::Double(..) => {}
        }
    }

    fn come_back(&mut self, name: &str) {
        self.world.node(name).status = NodeStatus::Online;
        for seen in self.world.fleet.instances.iter_mut().filter(|it| it.node.as_str() == name) {
            (seen.state, seen.health) = (InstanceState::Running, HealthState::Healthy);
        }
    }

    fn settle(&mut self) {
        let text = file(&self.wishes, self.drained);
        // Read once: reading takes longer than planning.
        let read = load(&text);
        let plan = self.world.plan_of(&read);
        assert!(plan.is_applicable(), "{text}\n{}", show(&plan));
        self.world.fleet.instances.reverse();
        self.world.fleet.nodes.reverse();
        let mirrored = self.world.plan_of(&read);
        assert_eq!(plan, mirrored);
        self.world.apply(&plan);
        // Where not everything fits, the next plan, made from what runs by then, may find room for
        // who waited, or break a tie otherwise; that ends too. Where all fits, once is enough.
        let mut last = plan;
        for _ in 0..3 {
            let waits = last.diagnostics.iter().any(|it| it.code == "DN-W0606");
            if last.placement.unplaced == 0 && !waits {
                break;
            }
            last = self.world.plan_of(&read);
            self.world.apply(&last);
        }
        let again = self.world.plan_of(&read);
        assert!(
            again.changes.is_empty(),
            "{text}\nlast:\n{}\nagain:\n{}",
            show(&last),
            show(&again)
        );
    }
}

proptest! {
    // As many as PROPTEST_CASES says, 256 unless told.
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn every_life_settles_after_one_plan(events in prop::collection::vec(event(), 1..8)) {
        let mut world = World::of(&NODES);
        world.options.allow_unplaced = true;
        world.limits.suggestions = 0;
        world.secret("pw", 1);
        let mut story = Story { world, wishes: Vec::new(), drained: None, rotations: 0 };
        for event in events {
            story.happen(event);
            story.settle();
        }
    }
}
