//! A plan with `-allow-unplaced` is the plan without, only no error: random crowded clusters, with
//! every count of both held against what is there.
//!
//! Knows random files that mostly do not fit. Refuses to expect any one placement.

use devnet_schema::{
    diagnostic::Diagnostic,
    fleet::NodeStatus,
    placement::{PlacementReport, PlacementStatus, PriorityLevel},
    plan::{Action, Plan},
};
use proptest::prelude::*;

use super::{World, load, node, show};

const NODES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

/// One service of a random file.
#[derive(Debug, Clone)]
struct Wish {
    replicas: u8,
    cpu: u8,
    memory: u8,
    priority: u8,
    /// A line of `place`, among [`LINES`].
    line: usize,
    /// The service named in it, or depended on.
    other: usize,
    volume: bool,
    depends: bool,
}

const LINES: [&str; 8] = [
    "",
    "",
    "spread by=\"zone\"",
    "spread by=\"node\"",
    "max-per-node 1",
    "apart-from \"sOTHER\"",
    "near \"sOTHER\"",
    "forbid node=\"beta\"",
];

fn wish() -> impl Strategy<Value = Wish> {
    let sizes = (1..5u8, 1..5u8, 1..7u8, 0..3u8);
    let lines = (0..LINES.len(), 0..4usize);
    (sizes, lines, prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(
        |((replicas, cpu, memory, priority), (line, other), volume, depends)| Wish {
            replicas,
            cpu,
            memory,
            priority,
            line,
            other,
            volume,
            depends,
        },
    )
}

/// What is said of a node: nothing, mostly.
fn policy(what: u8) -> &'static str {
    match what {
        0 => "drain; ",
        1 => "cordon; ",
        _ => "",
    }
}

fn file(wishes: &[Wish], policies: &[u8]) -> String {
    let mut text = "cluster \"lab\"\n".to_owned();
    for (at, (name, what)) in NODES.iter().zip(policies).enumerate() {
        text += &format!("node \"{name}\" {{ {}zone \"z{}\"; }}\n", policy(*what), at / 2);
    }
    for (at, wish) in wishes.iter().enumerate() {
        let Wish { replicas, cpu, memory, priority, .. } = wish;
        let priority = 20 + 30 * priority;
        text += &format!(
            "service \"s{at}\" {{ image \"x:1\"; replicas {replicas}; priority {priority}; \
             resources cpu={cpu} memory=\"{memory}GiB\"; "
        );
        let other = wish.other % wishes.len();
        // Only a service further up, so that no circle is asked for.
        if other < at {
            text += &match LINES[wish.line].replace("OTHER", &other.to_string()) {
                line if line.is_empty() => line,
                line => format!("place {{ {line}; }}; "),
            };
            if wish.depends {
                text += &format!("depends-on \"s{other}\"; ");
            }
        }
        if wish.volume {
            text += "volume \"data\" at=\"/data\"; ";
        }
        text += "}\n";
    }
    text
}

/// What is told but of changes, which a refused plan has none of; codes tell errors from warnings.
fn said(plan: &Plan) -> Vec<String> {
    let of_changes = ["DN-W0602", "DN-W0604"];
    let placed = plan.diagnostics.iter().filter(|it| !of_changes.contains(&&*it.code));
    let mut all: Vec<String> = placed.map(|it| it.message.clone()).collect();
    all.sort();
    all
}

/// Every count is that of the instances that it speaks of.
fn counted(plan: &Plan, text: &str) {
    let report: &PlacementReport = &plan.placement;
    let shown = || format!("{text}\n{}\n{report:#?}", show(plan));
    let sum = |count: fn(&PriorityLevel) -> u32| report.levels.iter().map(count).sum::<u32>();
    let waiting = sum(|it| it.waiting_for_data + it.waiting_for_service);
    assert_eq!(sum(|it| it.wanted), sum(|it| it.placed) + waiting + report.unplaced, "{}", shown());
    assert_eq!(sum(|it| it.kept), report.kept, "{}", shown());
    assert!(report.kept + report.evicted <= report.unplaced, "{}", shown());
    let kept = report.assignments.iter().filter(|it| it.reason.starts_with("keeps running"));
    assert_eq!(kept.count() as u32, report.kept, "{}", shown());
    for level in &report.levels {
        let waits = level.waiting_for_data + level.waiting_for_service;
        assert!(level.placed <= level.bound && level.placed + waits <= level.wanted, "{}", shown());
        assert_eq!(level.proven, level.placed == level.bound, "{}", shown());
    }
    if plan.is_applicable() {
        let gives_way = |it: &str| it.starts_with("it makes room") || it.starts_with("it gives");
        let deleted = plan.changes.iter().filter(|it| it.action == Action::Delete);
        let evicted = deleted.filter(|it| gives_way(&it.reason)).count();
        assert_eq!(evicted as u32, report.evicted, "{}", shown());
        assert_eq!(plan.summary.moved, report.moves, "{}", shown());
    }
    one_message_each(plan, &shown());
}

/// No instance is told both that it does not fit and that it waits or stays because of its data.
fn one_message_each(plan: &Plan, shown: &str) {
    let data = plan.diagnostics.iter().filter(|it| it.code == "DN-W0603");
    for instance in data.filter_map(|it| it.message.split_whitespace().next()) {
        let kept = format!("{instance} keeps");
        let left = format!("data of {instance} ");
        let twice = |it: &Diagnostic| it.message.contains(&kept) || it.message.contains(&left);
        assert!(!plan.diagnostics.iter().any(twice), "{instance}: {shown}");
    }
}

fn waits_for_service(plan: &Plan) -> bool {
    plan.placement.levels.iter().any(|it| it.waiting_for_service > 0)
}

/// Nothing is stopped that its node would have cpu and memory for beside all that is placed.
fn nothing_stops_in_vain(world: &World, plan: &Plan, wishes: &[Wish], text: &str) {
    let wish = |service: &str| &wishes[service[1..].parse::<usize>().unwrap()];
    for gone in &plan.placement.evictions {
        let service = gone.instance.service.as_str();
        // What waits for another service holds its room, too.
        let waits = waits_for_service(plan);
        let apart = |it: &Wish| LINES[it.line].starts_with("apart");
        if waits || wishes.iter().any(apart) {
            continue;
        }
        let facts = &world.fleet.nodes.iter().find(|it| it.name == gone.node).unwrap().facts;
        let here = plan.placement.assignments.iter().filter(|it| it.node == gone.node);
        let here: Vec<&Wish> = here.map(|it| wish(it.instance.service.as_str())).collect();
        let all = || here.iter().copied().chain([wish(service)]);
        let cpu: u32 = all().map(|it| u32::from(it.cpu)).sum();
        let memory: u64 = all().map(|it| u64::from(it.memory) * 1024).sum();
        let full = cpu > facts.cpu_count || memory > facts.total_memory_mb;
        assert!(full, "{}: {text}\n{}", gone.instance, show(plan));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn what_is_allowed_to_wait_is_placed_as_what_is_refused(
        before in prop::collection::vec(wish(), 1..5),
        after in prop::collection::vec(wish(), 1..5),
        policies in prop::collection::vec(0..8u8, 4),
        lost in prop::option::weighted(0.3, 0..4usize),
    ) {
        let mut world = World::of(&[]);
        world.fleet.nodes = NODES.iter().enumerate().map(|(at, name)| node(name, at + 1)).collect();
        world.limits.suggestions = 0;
        world.options.allow_unplaced = true;
        let first = load(&file(&before, &[9; 4]));
        prop_assume!(first.desired.is_some());
        let plan = world.plan_of(&first);
        prop_assume!(plan.is_applicable());
        world.apply(&plan);
        if let Some(lost) = lost {
            world.lose(NODES[lost], NodeStatus::Lost);
        }
        let text = file(&after, &policies);
        let read = load(&text);
        prop_assume!(read.desired.is_some());
        let allowed = world.plan_of(&read);
        prop_assert!(allowed.is_applicable(), "{text}\n{}", show(&allowed));
        world.options.allow_unplaced = false;
        let strict = world.plan_of(&read);
        prop_assert_eq!(&allowed.placement, &strict.placement, "{}", text);
        let fits = strict.placement.status != PlacementStatus::Infeasible;
        prop_assert_eq!(strict.is_applicable(), fits);
        prop_assert!(fits != (strict.placement.unplaced > 0 || waits_for_service(&strict)));
        if strict.is_applicable() {
            prop_assert_eq!(&allowed.changes, &strict.changes);
        } else {
            // What is refused changes nothing, and so leaves no data behind.
            let mut allowed = allowed.clone();
            allowed.diagnostics.retain(|it| !["DN-W0624", "DN-W0626"].contains(&&*it.code));
            prop_assert_eq!(said(&allowed), said(&strict), "{}", text);
        }
        counted(&allowed, &text);
        counted(&strict, &text);
        nothing_stops_in_vain(&world, &allowed, &after, &text);
    }
}
