//! What was ordered counts, and what is only reported is reported.

use std::collections::BTreeMap;

use devnet_schema::{
    digest::Digest,
    fleet::NodeStatus,
    instance::{Generation, Runtime, Workload},
    name::{InstanceId, NodeName},
    observed::{InstanceState, ObservedInstance},
    order::{Accepted, BELIEVED_ABOVE, MAX_GENERATION, Order},
    plan::{Action, Plan},
    quantity::Cpu,
    secret::Text,
};
use expect_test::expect;
use proptest::prelude::*;

use super::{World, show};

const DB: &str = r#"
cluster "lab"
service "db" { image "db:1"; port 5432; env PW="{{ secret.pw }}"; resources cpu=1 memory="1GiB" }
service "api" {
    image "api:1"
    depends-on "db"
    env DB="{{ service.db.address }}"
}
"#;

impl World {
    /// From now on its records are what it told nodes so far.
    pub(super) fn records(&mut self) {
        let told = self.ledger.iter().filter(|(_, (_, content))| content.is_some());
        let order = |((node, instance), (generation, _)): (&(NodeName, InstanceId), &(u64, _))| {
            let (instance, node) = (instance.clone(), node.clone());
            Order { instance, node, generation: *generation, claimed: false, shown: false }
        };
        self.fleet.orders = Some(told.map(order).collect());
    }

    /// The records are lost, and every node says what runs there.
    fn claims(&mut self) {
        self.generations.clear();
        let claim = |seen: &ObservedInstance| Order {
            instance: seen.instance(),
            node: seen.node.clone(),
            generation: seen.generation,
            claimed: true,
            shown: true,
        };
        self.fleet.orders = Some(self.fleet.instances.iter().map(claim).collect());
    }

    /// The node says that it runs a copy of what another runs, as of `generation`.
    fn copy(&mut self, id: &str, node: &str, generation: Generation) -> &mut ObservedInstance {
        let mut seen = self.seen(id).clone();
        seen.node = node.parse().unwrap();
        seen.generation = generation;
        self.fleet.instances.push(seen);
        self.fleet.instances.last_mut().unwrap()
    }
}

fn settled() -> World {
    settled_on(&["alpha", "beta"])
}

fn settled_on(nodes: &[&str]) -> World {
    let mut world = World::of(nodes);
    world.secret("pw", 1);
    world.reach(&DB.replace("db:1\"", "db:1\"; place { pin \"alpha\" }"));
    world.records();
    world
}

fn quiet(plan: &Plan) -> bool {
    plan.is_applicable() && plan.changes.is_empty() && plan.steps.is_empty()
}

#[test]
fn who_says_that_it_runs_another_nodes_instance_changes_nothing() {
    let mut world = settled();
    world.copy("db[0]", "beta", 1000).digest = Digest::of_bytes(b"anything");
    let plan = world.plan(DB);
    assert!(quiet(&plan), "{}", show(&plan));
    expect![[r#"
        warning[DN-W0611]: node `beta` runs what it was not told to run: db[0]
          help: nothing is done to it, and it takes its room: stop it on that machine; or, if
                it is yours, `devnet node adopt beta --instead` takes it over, and what alpha
                has of db[0] is removed, but for its volumes
        0 to add, 0 to change, 0 to destroy, 0 to move, 2 unchanged
    "#]]
    .assert_eq(&show(&plan));
    // Nor when what it pretends to run is gone, and made again where it may be.
    world.fleet.instances.retain(|it| it.node.as_str() != "alpha");
    let plan = world.plan(&DB.replace("db:1\"", "db:1\"; place { pin \"alpha\" }"));
    assert!(plan.steps.iter().all(|step| step.node.as_str() != "beta"), "{}", show(&plan));
    world.options.destroy = true;
    assert!(world.plan(DB).steps.iter().all(|step| step.node.as_str() != "beta"));
}

#[test]
fn a_stranger_takes_its_room_and_no_more_than_there_is() {
    let mut world = World::of(&["alpha"]);
    world.secret("pw", 1);
    world.reach(DB);
    world.records();
    let mut spec = world.seen("db[0]").spec.clone().unwrap();
    (spec.id, spec.limits.cpu) = ("x[0]".parse().unwrap(), Cpu { milli: 3500 });
    world.fleet.instances.push(ObservedInstance::running(spec.clone(), 1));
    let more = format!("{DB}service \"new\" {{ image \"n:1\"; resources cpu=1 memory=\"1GiB\" }}");
    let plan = world.plan(&more);
    assert!(!plan.is_applicable(), "{}", show(&plan));
    for index in 1..4 {
        (spec.id.index, spec.limits.cpu) = (index, Cpu { milli: u64::MAX });
        world.fleet.instances.push(ObservedInstance::running(spec.clone(), 1));
    }
    let plan = world.plan(&more);
    assert!(!plan.is_applicable() && plan.steps.is_empty(), "{}", show(&plan));
}

#[test]
fn of_two_that_were_ordered_the_newer_order_stays() {
    let mut world = settled();
    // It was moved to beta while alpha was away; alpha is back, and says the higher number.
    world.copy("db[0]", "beta", 2);
    let order = |node: &str, generation| Order {
        instance: "db[0]".parse().unwrap(),
        node: node.parse().unwrap(),
        generation,
        claimed: false,
        shown: false,
    };
    world.fleet.orders.as_mut().unwrap().retain(|it| it.instance.service.as_str() != "db");
    world.fleet.orders.as_mut().unwrap().extend([order("alpha", 1), order("beta", 2)]);
    world.seen("db[0]").generation = 500;
    let plan = world.plan(DB);
    let deleted = plan.changes.iter().filter(|it| it.action == Action::Delete);
    let deleted: Vec<_> = deleted.map(|it| it.node.as_str()).collect();
    assert_eq!(deleted, ["alpha"], "{}", show(&plan));
    // While the newer one cannot be heard of, nothing is decided for the older.
    world.lose("beta", NodeStatus::Offline);
    let plan = world.plan(DB);
    assert!(!plan.steps.iter().any(|it| it.instance.service.as_str() == "db"), "{}", show(&plan));
}

#[test]
fn after_a_loss_of_records_one_claim_counts_and_two_hold() {
    let mut world = settled();
    world.claims();
    assert!(quiet(&world.plan(DB)), "{}", show(&world.plan(DB)));
    world.copy("db[0]", "beta", 7);
    world.claims();
    let changed = DB.replace("db:1", "db:2").replace("api:1", "api:2");
    let plan = world.plan(&changed);
    assert!(quiet(&plan), "{}", show(&plan));
    expect![[r#"
        warning[DN-W0612]: alpha and beta each say that they were told to run db[0], and the
                records that could tell are lost
          help: nothing of `db` is changed until one of them counts: `devnet node cordon beta`
                keeps that of alpha and leaves the other alone; so does taking beta out of the
                cluster
        cluster.kdl:4:9: warning[DN-W0606]: service `api` waits: nothing is decided about `db`
          help: it is planned as soon as that is
        0 to add, 0 to change, 0 to destroy, 0 to move, 1 unchanged
    "#]]
    .assert_eq(&show(&plan));
    let waits = "instances that wait for a service without a place or whose node is in doubt \
                 (DN-W0612): 2";
    assert_eq!(plan.missing(), [waits]);
    let mut third = settled_on(&["alpha", "beta", "gamma"]);
    third.copy("db[0]", "beta", 7);
    third.copy("db[0]", "gamma", 8);
    third.claims();
    let help = third.plan(&changed).diagnostics[0].help.clone().unwrap();
    assert!(help.contains("`devnet node cordon` of all of them but one keeps that"), "{help}");
    world.node("beta").cordoned = true;
    let plan = world.plan(&changed);
    let nodes: Vec<_> = plan.steps.iter().map(|it| it.node.as_str()).collect();
    let db: Vec<_> =
        plan.changes.iter().filter(|it| it.instance.service.as_str() == "db").collect();
    assert!(plan.is_applicable() && !nodes.is_empty(), "{}", show(&plan));
    assert_eq!(db.iter().map(|it| it.node.as_str()).collect::<Vec<_>>(), ["alpha"]);
    // An order beats every claim.
    world.node("beta").cordoned = false;
    for order in world.fleet.orders.as_mut().unwrap() {
        order.claimed = order.node.as_str() == "beta" && order.instance.service.as_str() == "db";
    }
    assert!(quiet(&world.plan(DB)), "{}", show(&world.plan(DB)));
}

/// Without the receipt of an order, the word of a node draws nothing to it, also where no line of
/// the service is against it.
#[test]
fn a_claim_without_a_receipt_waits_for_an_operator_and_yields_to_one_with_it() {
    let mut world = settled();
    world.claims();
    for order in world.fleet.orders.as_mut().unwrap() {
        order.shown = order.instance.service.as_str() != "db";
    }
    let changed = DB.replace("db:1", "db:2");
    let plan = world.plan(&changed);
    assert!(quiet(&plan), "{}", show(&plan));
    expect![[r#"
        warning[DN-W0612]: alpha says that it was told to run db[0], and has not shown the
                receipt of that order; the records that could tell are lost
          help: what runs there goes on and gets no secret, and nothing of `db` is changed:
                `devnet node adopt alpha` takes over what alpha runs; taking alpha out of the
                cluster lets it run elsewhere
        cluster.kdl:4:9: warning[DN-W0606]: service `api` waits: nothing is decided about `db`
          help: it is planned as soon as that is
        0 to add, 0 to change, 0 to destroy, 0 to move, 1 unchanged
    "#]]
    .assert_eq(&show(&plan));
    // One that shows it is right against one that does not, whichever number that one says.
    world.copy("db[0]", "beta", 7);
    world.claims();
    for order in world.fleet.orders.as_mut().unwrap() {
        order.shown = order.node.as_str() == "alpha" || order.instance.service.as_str() != "db";
    }
    let plan = world.plan(&changed);
    assert_eq!(of_db(&plan), ["Update on alpha"], "{}", show(&plan));
    assert!(show(&plan).contains("DN-W0611"), "{}", show(&plan));
}

/// A node that only says it was told to run what is not to run there gets nothing by that, whatever
/// it says of state, driver and content: no start, and so no secret.
#[test]
fn a_claim_draws_nothing_to_a_node_that_a_line_is_against() {
    let file =
        DB.replace("db:1\"", "db:1\"; volume \"data\" at=\"/d\"; place { forbid node=\"beta\"; }");
    let mut before = World::of(&["alpha", "beta"]);
    before.secret("pw", 1);
    before.reach(&file.replace("node=\"beta\"", "node=\"alpha\""));
    for state in [InstanceState::Exited, InstanceState::Running] {
        for described in [true, false] {
            for process in [false, true] {
                let mut world = World::of(&["alpha", "beta"]);
                world.secret("pw", 1);
                let mut seen = before.seen("db[0]").clone();
                (seen.state, seen.generation) = (state, 7);
                seen.runtime = Some(if process { Runtime::Process } else { Runtime::Docker });
                let spec = seen.spec.take().filter(|_| described);
                seen.spec = spec.map(|mut spec| {
                    if process {
                        spec.workload = Workload::Process { argv: vec![Text::plain("sh")] };
                    }
                    spec
                });
                world.fleet.instances = vec![seen];
                world.claims();
                let plan = world.plan(&file);
                let case = format!("{state:?} {described} {process}: {}", show(&plan));
                assert!(plan.steps.iter().all(|it| it.instance.to_string() != "db[0]"), "{case}");
                assert!(
                    plan.diagnostics
                        .iter()
                        .any(|it| { it.code == if process { "DN-W0608" } else { "DN-W0603" } }),
                    "{case}"
                );
                // Somebody confirms it: it is there, and its data holds it.
                world.fleet.orders.as_mut().unwrap().iter_mut().for_each(|it| it.claimed = false);
                let plan = world.plan(&file);
                assert!(show(&plan).contains("db[0] stays on beta") || process, "{}", show(&plan));
            }
        }
    }
}

/// Who names the address of something that is somewhere by the word of its node alone is not told
/// to go there: it would say its password to that node.
#[test]
fn a_claim_that_a_line_is_against_draws_no_other_service_to_its_node() {
    let at = |node: &str, more: &str| {
        let lines = format!("db:1\"; {more} place {{ pin \"{node}\"; }}");
        let api = "api:1\"; place { pin \"alpha\"; }";
        DB.replace("db:1\"", &lines).replace("api:1\"", api)
    };
    for volume in ["volume \"data\" at=\"/d\";", ""] {
        let mut world = World::of(&["alpha", "beta"]);
        world.secret("pw", 1);
        world.reach(&at("alpha", volume));
        // What beta says now is that it has db[0]; nobody else does, and there is no room for it.
        let mut beta = world.seen("db[0]").clone();
        (beta.node, beta.generation) = ("beta".parse().unwrap(), 7);
        beta.spec = None;
        world.fleet.instances.retain(|it| it.service.as_str() != "db");
        world.fleet.instances.push(beta);
        world.fleet.data.clear();
        world.claims();
        let mut file = at("alpha", volume);
        file = file.replace("cpu=1 memory=\"1GiB\"", "cpu=64");
        for file in [file.clone(), file.replace("api:1", "api:2")] {
            world.options.allow_unplaced = true;
            let plan = world.plan(&file);
            assert!(plan.steps.is_empty(), "{}", show(&plan));
            let waits = "service `api` waits: nothing is decided about `db`";
            assert!(plan.diagnostics.iter().any(|it| it.message == waits), "{}", show(&plan));
            let missing = plan.missing().join("; ");
            assert!(missing.contains("service.db[0] on beta"), "{missing}");
            assert!(missing.contains("service.api[0] on alpha: it waits"), "{missing}");
        }
        // An order of ours, and it is no claim any more.
        world.fleet.orders.as_mut().unwrap().iter_mut().for_each(|it| it.claimed = false);
        let plan = world.plan(&at("beta", volume));
        assert!(plan.steps.iter().any(|it| it.id.starts_with("api[0]")), "{}", show(&plan));
    }
}

/// The records say that alpha was told to run db[0] as of generation 1, and beta claims it as of 5.
fn told_later() -> World {
    let mut world = settled();
    world.copy("db[0]", "beta", 5);
    world.fleet.orders.as_mut().unwrap().push(Order {
        instance: "db[0]".parse().unwrap(),
        node: "beta".parse().unwrap(),
        generation: 5,
        claimed: true,
        shown: true,
    });
    world
}

fn of_db(plan: &Plan) -> Vec<String> {
    let db = plan.changes.iter().filter(|it| it.instance.service.as_str() == "db");
    db.map(|it| format!("{:?} on {}", it.action, it.node)).collect()
}

#[test]
fn one_that_moved_after_the_records_were_copied_is_started_nowhere_until_someone_says() {
    // It runs where the records say: they are right.
    let mut world = told_later();
    let plan = world.plan(DB);
    assert!(quiet(&plan) && show(&plan).contains("DN-W0611"), "{}", show(&plan));
    // It does not, or its node cannot be asked.
    let runs = |it: &ObservedInstance| it.node.as_str() == "alpha" && it.service.as_str() == "db";
    for status in [NodeStatus::Offline, NodeStatus::Lost] {
        let mut world = told_later();
        world.lose("alpha", status);
        let plan = world.plan(&DB.replace("db:1", "db:2"));
        assert_eq!(of_db(&plan), [""; 0], "{}", show(&plan));
    }
    world.fleet.instances.retain(|it| !runs(it));
    let changed = DB.replace("db:1", "db:2");
    let plan = world.plan(&changed);
    assert!(quiet(&plan), "{}", show(&plan));
    expect![[r#"
        warning[DN-W0612]: beta says that it was told to run db[0] later than the records know,
                and alpha, which they name, does not run it
          help: nothing of `db` is changed until one of them counts: `devnet node adopt beta`
                takes over what beta runs; `devnet node cordon beta` leaves it alone and goes
                on with the records
        cluster.kdl:4:9: warning[DN-W0606]: service `api` waits: nothing is decided about `db`
          help: it is planned as soon as that is
        0 to add, 0 to change, 0 to destroy, 0 to move, 1 unchanged
    "#]]
    .assert_eq(&show(&plan));
    // An operator leaves beta alone, or takes over what it runs.
    world.node("beta").cordoned = true;
    assert_eq!(of_db(&world.plan(&changed)), ["Create on alpha"]);
    world.node("beta").cordoned = false;
    let orders = world.fleet.orders.as_mut().unwrap();
    orders.retain(|it| it.claimed || it.instance.service.as_str() != "db");
    let plan = world.plan(&changed);
    assert_eq!(of_db(&plan), ["Update on beta"], "{}", show(&plan));
    assert!(show(&plan).contains("db[0]/start on beta g6 "), "{}", show(&plan));
}

#[test]
fn one_that_is_not_on_record_counts_where_one_node_claims_it() {
    let mut world = settled();
    let more = format!("{DB}service \"web\" {{ image \"w:1\"; replicas 2 }}\n");
    world.fleet.orders = None;
    world.reach(&more);
    // Scaled from one to two, and deployed anew, after the records were copied.
    world.claims();
    let orders = world.fleet.orders.as_mut().unwrap();
    orders.iter_mut().for_each(|it| it.claimed = it.instance.service.as_str() == "web");
    let plan = world.plan(&more);
    assert!(quiet(&plan), "{}", show(&plan));
    // Without the claims they would be started a second time.
    world.fleet.orders.as_mut().unwrap().retain(|it| !it.claimed);
    let plan = world.plan(&more);
    assert_eq!(plan.summary.add, 2, "{}", show(&plan));
}

#[test]
fn data_that_left_a_node_after_the_records_were_copied_is_where_it_runs() {
    let file = "cluster \"lab\"\nservice \"db\" { image \"db:1\"; volume \"data\" at=\"/d\" }\n";
    let mut world = World::of(&["alpha", "beta"]);
    world.reach(file);
    world.seen("db[0]").node = "beta".parse().unwrap();
    let seen = world.seen("db[0]");
    seen.generation = 5;
    seen.spec.as_mut().unwrap().node = "beta".parse().unwrap();
    seen.digest = seen.spec.as_ref().unwrap().digest();
    world.claims();
    assert_eq!(world.fleet.data[0].node.as_str(), "alpha");
    let plan = world.plan(file);
    assert!(quiet(&plan), "{}", show(&plan));
}

#[test]
fn a_number_that_nobody_gave_out_is_named_and_not_counted() {
    for reported in [u64::MAX, u64::MAX - 1, i64::MAX as u64, MAX_GENERATION, BELIEVED_ABOVE + 2] {
        let mut world = settled();
        world.seen("db[0]").generation = reported;
        let plan = world.plan(&DB.replace("db:1", "db:2"));
        let shown = show(&plan);
        assert!(plan.is_applicable() && shown.contains("DN-W0613"), "{shown}");
        assert!(shown.contains("db[0]/start on alpha g2 "), "{shown}");
    }
    let mut world = settled();
    world.seen("db[0]").generation = BELIEVED_ABOVE;
    let shown = show(&world.plan(&DB.replace("db:1", "db:2")));
    assert!(shown.contains(&format!("db[0]/start on alpha g{} ", BELIEVED_ABOVE + 1)), "{shown}");
}

#[test]
fn what_a_node_has_accepted_is_counted_past_although_it_does_not_run() {
    let mut world = World::of(&["alpha"]);
    world.secret("pw", 1);
    let accepted = |generation| Accepted {
        node: "alpha".parse().unwrap(),
        instance: "db[0]".parse().unwrap(),
        generation,
    };
    world.fleet.orders = Some(Vec::new());
    world.fleet.accepted = vec![accepted(41)];
    let shown = show(&world.plan(DB));
    assert!(shown.contains("db[0]/start on alpha g42 "), "{shown}");
    world.fleet.accepted = vec![accepted(u64::MAX)];
    let shown = show(&world.plan(DB));
    assert!(shown.contains("db[0]/start on alpha g1 "), "{shown}");
}

#[test]
fn one_whose_numbers_are_used_up_does_not_hold_up_the_rest() {
    let mut world = settled();
    world.generations.insert("db[0]".parse().unwrap(), MAX_GENERATION);
    let plan = world.plan(&DB.replace("db:1", "db:2").replace("api:1", "api:2"));
    let shown = show(&plan);
    assert!(plan.is_applicable() && shown.contains("DN-W0614"), "{shown}");
    let of: Vec<_> = plan.changes.iter().map(|it| it.instance.to_string()).collect();
    assert_eq!(of, ["api[0]"], "{shown}");
}

#[test]
fn a_unit_that_is_something_else_than_was_ordered_is_put_right_by_what_was() {
    let mut world = settled();
    world.seen("db[0]").digest = Digest::of_bytes(b"something else");
    let plan = world.plan(DB);
    let reasons: Vec<_> = plan.changes.iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(reasons, ["it runs something else than it was told to"], "{}", show(&plan));
}

/// What a node may say of one instance, its own or not.
#[derive(Debug, Clone)]
struct Lie {
    of: usize,
    from: usize,
    generation: Generation,
    state: InstanceState,
    digest: u8,
    cpu: u64,
    memory: u64,
    port: u16,
    spec: bool,
    /// What it says that it has accepted of the same.
    accepted: Option<Generation>,
}

fn lie() -> impl Strategy<Value = Lie> {
    let number = prop_oneof![0u64..5, Just(u64::MAX), Just(i64::MAX as u64), any::<u64>()];
    let state = prop_oneof![
        Just(InstanceState::Running),
        Just(InstanceState::Starting),
        Just(InstanceState::Exited),
        Just(InstanceState::Unknown)
    ];
    (0usize..5, 0usize..3, number.clone(), state, 0u8..3, number.clone(), number, any::<u16>())
        .prop_flat_map(|(of, from, generation, state, digest, cpu, memory, port)| {
            let accepted = proptest::option::of(prop_oneof![2u64..9, any::<u64>()]);
            (any::<bool>(), accepted).prop_map(move |(spec, accepted)| Lie {
                of,
                from,
                generation,
                state,
                digest,
                cpu,
                memory,
                port,
                spec,
                accepted,
            })
        })
}

/// Services that are pinned to honest nodes, one that the liar was told to run, and one of nobody.
const HONEST: &str = r#"
cluster "lab"
service "db" {
    image "db:1"
    port 5432 host=5432
    env PW="{{ secret.pw }}"
    volume "data" at="/d"
    protect
    place { pin "alpha" }
}
service "api" { image "api:1"; env DB="{{ service.db.address }}"; place { pin "beta" } }
service "own" { image "own:1"; port 80; volume "data" at="/d"; place { pin "evil" } }
"#;

const IDS: [&str; 5] = ["db[0]", "api[0]", "own[0]", "own[1]", "nobody[0]"];

fn tell(world: &mut World, lie: &Lie) {
    let mut seen = world.seen(IDS[lie.from % 3]).clone();
    let id: InstanceId = IDS[lie.of].parse().unwrap();
    world.fleet.accepted.extend(lie.accepted.map(|generation| Accepted {
        node: "evil".parse().unwrap(),
        instance: id.clone(),
        generation,
    }));
    (seen.id, seen.service, seen.index) = (id.slug(), id.service.clone(), id.index);
    seen.node = "evil".parse().unwrap();
    seen.generation = lie.generation;
    seen.state = lie.state;
    if lie.digest > 0 {
        seen.digest = Digest::of_bytes(&[lie.digest]);
    }
    if let Some(spec) = &mut seen.spec {
        spec.limits.cpu = Cpu { milli: lie.cpu };
        spec.limits.memory.0 = lie.memory;
        for port in &mut spec.ports {
            port.host = lie.port;
        }
        spec.id = id.clone();
        spec.node = seen.node.clone();
    }
    // Of what was ordered, the records say what it is.
    let ordered = id.to_string() == "own[0]";
    let told = ordered.then(|| world.seen("own[0]").spec.clone()).flatten();
    seen.spec = if ordered { told } else { seen.spec.filter(|_| lie.spec) };
    world.fleet.instances.retain(|it| it.instance() != id || it.node != seen.node);
    world.fleet.instances.push(seen);
}

fn cases() -> u32 {
    match std::env::var("DEVNET_SOAK") {
        Err(_) => 64,
        Ok(word) if word == "full" => 5000,
        Ok(word) => word.parse().expect("DEVNET_SOAK is `full` or a number above zero"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// Whatever one node says, nothing is done to what others run, nothing of theirs comes to it,
    /// and nobody is told another address.
    #[test]
    fn a_lying_node_moves_nothing_of_others_soak(
        lies in proptest::collection::vec(lie(), 1..6),
        image in 1u8..3,
    ) {
        let mut world = World::of(&["alpha", "beta", "evil"]);
        world.secret("pw", 1);
        world.reach(HONEST);
        world.records();
        for lie in &lies {
            tell(&mut world, lie);
        }
        let plan = world.plan(&HONEST.replace("api:1", &format!("api:{image}")));
        let codes = plan.diagnostics.iter().filter(|it| it.is_error());
        prop_assert_eq!(codes.count(), 0, "{}", show(&plan));
        let mut expected = BTreeMap::from([("db", "alpha"), ("api", "beta"), ("own", "evil")]);
        for step in &plan.steps {
            let at = expected.get(step.instance.service.as_str()).copied();
            prop_assert_eq!(at, Some(step.node.as_str()), "{}", show(&plan));
            prop_assert!(step.instance.service.as_str() != "db", "{}", show(&plan));
            prop_assert!(image > 1 || step.instance.service.as_str() == "own", "{}", show(&plan));
            prop_assert!(step.generation <= MAX_GENERATION);
        }
        expected.clear();
        let text = serde_json::to_string(&plan.changes).unwrap();
        let before = "10.0.0.1:5432";
        prop_assert!(image == 1 || text.contains(before), "{}", text);
    }
}
