//! What a plan tells people beside its changes.
//!
//! Knows sentences, codes (DN-E06xx, DN-W06xx) and advice. Refuses to decide anything.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    desired::{DesiredState, SelectorKey, Service},
    diagnostic::{Diagnostic, Location, Severity},
    file::suggest,
    fleet::NodeStatus,
    name::{ClusterName, InstanceId, NodeName, ServiceName},
    order::OrderBook,
    placement::{NodeViolations, SharedViolation, Unplaceable},
    plan::{Action, Change, Drift},
};

use crate::{
    assignment::{Assignments, Why},
    blocked, data_notice,
    hold::Hold,
    input::PlanInput,
    observations::{Boast, Observations},
    observed::Observed,
    place::{Outcome, Overfull},
    volume_names::drops_data,
};

/// The code of an instance that several nodes claim: what is wanted of it is not there, though
/// nothing is to be done.
pub const DISPUTED: &str = "DN-W0612";

/// The codes of data that is left, or may be, by what a plan does: who was not asked about the plan
/// reads of it afterwards.
pub const LEAVES_DATA: [&str; 4] = ["DN-W0604", "DN-W0623", "DN-W0624", "DN-W0626"];

/// What is wrong before anything is planned.
pub(crate) fn refusals(input: &PlanInput<'_>) -> Vec<Diagnostic> {
    let mut all = Vec::new();
    if let Some(cluster) = input.fleet.cluster.as_ref().filter(|it| **it != input.desired.cluster) {
        all.push(other_cluster(cluster, &input.desired.cluster));
    }
    if input.desired.services.is_empty() && !input.options.destroy && !input.options.refresh_only {
        all.push(
            Diagnostic::error("DN-E0603", None, "the configuration declares no service")
                .help("declare one; to remove everything on purpose, use `devnet destroy`"),
        );
    }
    all
}

fn other_cluster(fleet: &ClusterName, desired: &ClusterName) -> Diagnostic {
    let message =
        format!("the configuration is of cluster `{desired}`, the fleet is of cluster `{fleet}`");
    Diagnostic::error("DN-E0606", None, message)
        .help("plan against the fleet of the same cluster, or correct the name in the file")
}

/// The clock ended placement before its limits of work did.
pub fn cut_short() -> Diagnostic {
    let message = "placement was ended by a limit of time: it is the best found until then";
    Diagnostic::warning("DN-W0609", None, message).help(
        "planned again it may differ; allow more with --solve-limit, or leave that out: without \
         it the plan is the same on every machine",
    )
}

/// What someone should know of nodes and of a plan that is only a part.
pub(crate) fn remarks(
    input: &PlanInput<'_>,
    observations: &Observations<'_>,
    whole: bool,
) -> Vec<Diagnostic> {
    let declared = input.desired.nodes.iter();
    let unknown = declared.filter(|(name, _)| !observations.nodes.contains_key(name));
    let mut all: Vec<Diagnostic> = unknown
        .map(|(name, policy)| {
            let message = format!("node `{name}` is declared and has not joined");
            Diagnostic::warning("DN-W0605", Some(policy.at.clone()), message)
                .help("what is said of it has no effect until an agent of that name joins")
        })
        .collect();
    all.extend(strangers(observations));
    let book = OrderBook::of(input.fleet);
    all.extend(observations.disputed.iter().map(|(id, claims)| disputed(id, claims, &book)));
    all.extend(boasts(observations));
    if !whole {
        all.push(
            Diagnostic::warning("DN-W0607", None, "this plan covers a part of the cluster only")
                .help("plan again without -target and -exclude afterwards"),
        );
    }
    all
}

/// Instances of one node that a finding names one by one.
const NAMED: usize = 5;

/// `db[0], web[1] and 3 more`.
fn named(mut names: impl Iterator<Item = String>) -> String {
    let first: Vec<String> = names.by_ref().take(NAMED).collect();
    match names.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// What runs on a node where nobody ordered it: one finding a node.
fn strangers(observations: &Observations<'_>) -> Vec<Diagnostic> {
    let mut by_node: BTreeMap<&NodeName, BTreeSet<InstanceId>> = BTreeMap::new();
    for unit in &observations.strangers {
        by_node.entry(unit.node()).or_default().insert(unit.runs_as());
    }
    let finding = |(node, ids): (&NodeName, BTreeSet<InstanceId>)| {
        // What another node was told to run cannot be this one's as well.
        let elsewhere = ids.iter().filter_map(|id| Some((id, observations.best(id)?.node())));
        let mut elsewhere = elsewhere.filter(|(_, other)| *other != node);
        let way = match elsewhere.next() {
            None => format!("`devnet node adopt {node}` takes it over"),
            Some((id, other)) => format!(
                "`devnet node adopt {node} --instead` takes it over, and what {other} has of {id} \
                 is removed, but for its volumes"
            ),
        };
        let ids = named(ids.iter().map(ToString::to_string));
        let message = format!("node `{node}` runs what it was not told to run: {ids}");
        Diagnostic::warning("DN-W0611", None, message).help(format!(
            "nothing is done to it, and it takes its room: stop it on that machine; or, if it is \
             yours, {way}"
        ))
    };
    by_node.into_iter().map(finding).collect()
}

/// An instance that several nodes claim since the records were lost, or one node that was told
/// later than the records say.
fn disputed(id: &InstanceId, claims: &[Observed<'_>], book: &OrderBook<'_>) -> Diagnostic {
    let nodes: BTreeSet<&NodeName> = claims.iter().map(Observed::node).collect();
    let nodes: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
    let recorded = claims.iter().find_map(|it| book.ordered_on(&it.runs_as()));
    if let Some(recorded) = recorded {
        return told_later(id, &nodes, recorded);
    }
    if let [one] = nodes[..] {
        return unshown(id, one);
    }
    let message = format!(
        "{} each say that they were told to run {id}, and the records that could tell are lost",
        nodes.join(" and ")
    );
    let way = match nodes[..] {
        [first, last] => format!(
            "`devnet node cordon {last}` keeps that of {first} and leaves the other alone; so does \
             taking {last} out of the cluster"
        ),
        _ => "`devnet node cordon` of all of them but one keeps that of the one and leaves the \
              others alone; so does taking these out of the cluster"
            .to_owned(),
    };
    let help = format!("nothing of `{}` is changed until one of them counts: {way}", id.service);
    Diagnostic::warning(DISPUTED, None, message).help(help)
}

/// An instance that one node claims since the records were lost, and has nothing to show for it.
fn unshown(id: &InstanceId, node: &str) -> Diagnostic {
    let message = format!(
        "{node} says that it was told to run {id}, and has not shown the receipt of \
         that order; the records that could tell are lost"
    );
    Diagnostic::warning(DISPUTED, None, message).help(format!(
        "what runs there goes on and gets no secret, and nothing of `{}` is changed: `devnet node \
         adopt {node}` takes over what {node} runs; taking {node} out of the cluster lets it run \
         elsewhere",
        id.service
    ))
}

/// An instance that is claimed by nodes which were told later than the one on record, which does
/// not run it.
fn told_later(id: &InstanceId, nodes: &[&str], recorded: &NodeName) -> Diagnostic {
    let (who, first) = (nodes.join(" and "), nodes.first().copied().unwrap_or_default());
    let (says, was) = if nodes.len() > 1 { ("say", "were") } else { ("says", "was") };
    let message = format!(
        "{who} {says} that it {was} told to run {id} later than the records know, and {recorded}, \
         which they name, does not run it"
    );
    Diagnostic::warning(DISPUTED, None, message).help(format!(
        "nothing of `{}` is changed until one of them counts: `devnet node adopt {first}` takes \
         over what {first} runs; `devnet node cordon {first}` leaves it alone and goes on with \
         the records",
        id.service
    ))
}

/// Numbers that nobody gave out: one finding a node.
fn boasts(observations: &Observations<'_>) -> Vec<Diagnostic> {
    let mut by_node: BTreeMap<&NodeName, Vec<&Boast<'_>>> = BTreeMap::new();
    for boast in &observations.boasts {
        by_node.entry(boast.node).or_default().push(boast);
    }
    let finding = |(node, all): (&NodeName, Vec<&Boast<'_>>)| {
        let all = named(all.iter().map(|it| {
            let Boast { node: _, service, index, generation } = it;
            format!("{service}[{index}] as of generation {generation}")
        }));
        let message = format!("node `{node}` reports numbers that were never given out: {all}");
        Diagnostic::warning("DN-W0613", None, message).help(format!(
            "they are not counted; if its `ledger.json` was damaged, move that away and start its \
             agent again, and remove {node} if you do not trust it"
        ))
    };
    by_node.into_iter().map(finding).collect()
}

/// An instance whose numbers are used up.
pub(crate) fn spent(id: &InstanceId) -> Diagnostic {
    let message = format!("{id} cannot be told anything more: its generations are used up");
    Diagnostic::warning("DN-W0614", None, message)
        .help("give its service another name, without a `moved` line; please report this")
}

/// What someone should know of where everything ends up: the same things whether what does not fit
/// is an error or a warning, and of each instance one.
pub(crate) fn placement(
    desired: &DesiredState,
    observations: &Observations<'_>,
    assignments: &Assignments,
    outcome: &Outcome,
    severity: Severity,
) -> Vec<Diagnostic> {
    let unplaced = outcome.unplaced.iter().map(|missing| {
        let left = left_data(desired, observations, assignments, missing);
        let service = desired.services.get(&missing.service);
        let told = unplaced(service, missing, &left, severity);
        match service.and_then(|service| misspelt(desired, observations, service)) {
            // It is the likelier cause.
            Some(meant) => told.help(meant),
            None => told,
        }
    });
    let mut all: Vec<Diagnostic> = unplaced.collect();
    all.extend(outcome.cut_short.then(cut_short));
    all.extend(data_notice::told(desired, observations, assignments, outcome, severity));
    all.extend(blocked(desired, assignments, severity));
    all.extend(kept(desired, observations, assignments));
    all.extend(outcome.overfull.iter().map(|it| overfull(desired, it)));
    all
}

/// A tag, zone or model of GPUs that a line of a service asks for and no node has, where one that
/// is there is spelt like it.
fn misspelt(
    desired: &DesiredState,
    observations: &Observations<'_>,
    service: &Service,
) -> Option<String> {
    let nodes = || observations.nodes.values();
    let policies = || nodes().filter_map(|node| desired.nodes.get(&node.name));
    service.place.require.iter().find_map(|line| {
        let (word, known): (_, BTreeSet<&str>) = match line.value.key {
            SelectorKey::Tag => {
                let own = nodes().flat_map(|node| &node.tags);
                let declared = policies().flat_map(|policy| &policy.tags);
                ("tag", own.chain(declared).map(String::as_str).collect())
            }
            SelectorKey::Zone => {
                let own = nodes().filter_map(|node| node.zone.as_deref());
                let declared = policies().filter_map(|policy| policy.zone.as_deref());
                ("zone", own.chain(declared).collect())
            }
            SelectorKey::GpuModel => {
                let models = nodes().flat_map(|node| &node.facts.gpus);
                ("gpu-model", models.map(|gpu| gpu.model.as_str()).collect())
            }
            SelectorKey::Os | SelectorKey::Arch | SelectorKey::Node => return None,
        };
        // Of a model, a part of the maker's name is enough.
        let part = line.value.key == SelectorKey::GpuModel;
        let is = |known: &str, one: &str| known == one || part && known.contains(one);
        let there = |one: &String| known.iter().any(|known| is(known, one));
        if line.value.any_of.iter().any(there) {
            return None;
        }
        let asked = line.value.any_of.first()?;
        let meant = suggest::nearest(asked, known.iter().copied())?;
        let at = &line.at;
        Some(format!("no node has {word} `{asked}` ({at}): did you mean `{meant}`?"))
    })
}

/// Of a service that does not fit, whose data is on a node that is lost, as a clause.
fn left_data(
    desired: &DesiredState,
    observations: &Observations<'_>,
    assignments: &Assignments,
    missing: &Unplaceable,
) -> String {
    let stateful = |service: &&Service| !service.volumes.is_empty();
    let Some(service) = desired.services.get(&missing.service).filter(stateful) else {
        return String::new();
    };
    let left = service.replicas.numbers().filter_map(|index| {
        let id = InstanceId { service: service.name.clone(), index };
        let unit = observations.best(&id).filter(|unit| unit.status == NodeStatus::Lost)?;
        let placed = assignments.by_instance.contains_key(&id);
        (!placed).then(|| format!("; data of {id} is on {}, which is lost", unit.node()))
    });
    left.collect()
}

/// A service that did not fit: an error, or a warning where the rest is planned all the same.
fn unplaced(
    service: Option<&Service>,
    missing: &Unplaceable,
    left: &str,
    severity: Severity,
) -> Diagnostic {
    let replicas = service.map_or(missing.unplaced, |service| service.replicas.count());
    let each = service.is_some_and(|service| service.replicas.is_per_node());
    let what = match (missing.unplaced, replicas) {
        (unplaced, replicas) if each => format!("{unplaced} of its {replicas} nodes cannot run it"),
        (1, 1) => "no node can run it".to_owned(),
        (unplaced, replicas) if unplaced == replicas => {
            format!("no node can run any of its {replicas} instances")
        }
        (unplaced, replicas) => format!("{unplaced} of {replicas} instances have no node"),
    };
    let nodes = missing.nodes.iter().filter(|node| !each || is_short(node)).map(|node| {
        let against: Vec<&str> = node.violations.iter().map(|it| it.text.as_str()).collect();
        format!("{}: {}", node.node, against.join(", "))
    });
    let nodes: Vec<String> = match missing.shared().filter(|_| !each) {
        None => nodes.collect(),
        Some(shared) => shared.iter().map(SharedViolation::text).collect(),
    };
    let nodes = if nodes.is_empty() { "there is no node".to_owned() } else { nodes.join("; ") };
    let message = format!("service `{}` does not fit: {what} ({nodes}){left}", missing.service);
    let at = service.map(|service| service.at.clone());
    let diagnostic = match severity {
        Severity::Error => Diagnostic::error("DN-E0601", at, message),
        Severity::Warning => Diagnostic::warning("DN-W0601", at, message),
    };
    match missing.suggestions.first() {
        Some(way) => diagnostic.help(way.text.clone()),
        None => diagnostic.help(
            "no one or two changes that were tried help: change all that speaks against one of the \
             nodes, or ask for less",
        ),
    }
}

/// What speaks against a node that is none of a service which has one instance on each of its own,
/// and against one that has an instance.
const NO_NODE_OF_IT: [&str; 14] = [
    "tag",
    "zone",
    "os",
    "arch",
    "gpu-model",
    "node",
    "pin",
    "runtime",
    "cordon",
    "drain",
    "away",
    "lost",
    "closed",
    "max-per-node",
];

/// Whether a node is one of those of such a service and has none of it.
fn is_short(node: &NodeViolations) -> bool {
    !node.violations.iter().any(|it| NO_NODE_OF_IT.contains(&it.constraint.as_str()))
}

/// Services that wait for another. Where that one has a place, it got it when they were left out:
/// together they did not all fit, which is refused as what does not fit is.
fn blocked(
    desired: &DesiredState,
    assignments: &Assignments,
    severity: Severity,
) -> Vec<Diagnostic> {
    let others = assignments.blocked.iter().filter(|(service, missing)| service != missing);
    let waits = others.map(|(service, missing)| {
        let at = desired.services.get(service).map(|service| service.at.clone());
        if blocked::is_held(&assignments.blocked, service) {
            return undecided(service, at, missing);
        }
        if !assignments.by_instance.keys().any(|id| id.service == *missing) {
            let message = format!("service `{service}` waits: `{missing}` has no node");
            return Diagnostic::warning("DN-W0606", at, message)
                .help("it is planned as soon as what it depends on has a place");
        }
        let message = format!(
            "service `{service}` waits: `{missing}`, which it depends on, can run only with \
             `{service}` left out"
        );
        let found = match severity {
            Severity::Error => Diagnostic::error("DN-E0601", at, message),
            Severity::Warning => Diagnostic::warning("DN-W0606", at, message),
        };
        found.help(format!(
            "give `{missing}` a `priority` above that of `{service}`, or ask for less of what the \
             two share"
        ))
    });
    waits.collect()
}

/// A service that waits for another of which nothing is decided.
pub(crate) fn undecided(
    service: &ServiceName,
    at: Option<Location>,
    missing: &ServiceName,
) -> Diagnostic {
    let message = format!("service `{service}` waits: nothing is decided about `{missing}`");
    Diagnostic::warning("DN-W0606", at, message).help("it is planned as soon as that is")
}

/// The same of one instance.
pub(crate) fn waits_for(id: &InstanceId, node: &NodeName, other: &ServiceName) -> Drift {
    let what = format!("it waits: nothing is decided about `{other}`, whose address it has");
    Drift { instance: id.clone(), node: node.clone(), what }
}

/// What keeps running without a place, where nothing but the word of its node says that it was told
/// to.
pub(crate) fn only_claimed(id: &InstanceId, node: &NodeName) -> Drift {
    let what =
        format!("it has no place there, and only {node} itself says that it was told to run it");
    Drift { instance: id.clone(), node: node.clone(), what }
}

/// What keeps running without a place. Of what nothing is decided about, more is told elsewhere.
fn kept(
    desired: &DesiredState,
    observations: &Observations<'_>,
    assignments: &Assignments,
) -> Vec<Diagnostic> {
    let stays = assignments.by_instance.iter().filter_map(|(id, assignment)| {
        let (why, as_is) = match &assignment.why {
            Why::Kept(why) => (why, false),
            Why::KeptAsIs(why) => (why, true),
            _ => return None,
        };
        if assignments.holds.get(id).is_some_and(Hold::decides_nothing) {
            return None;
        }
        let service = desired.services.get(&id.service);
        let at = service.map(|service| service.at.clone());
        let data = service.is_some_and(|service| !service.volumes.is_empty());
        let against = match why.against.as_slice() {
            [] => String::new(),
            some => format!(": {}", some.join(", ")),
        };
        let ended = assignments.unit(observations, id).is_some_and(|unit| unit.has_ended());
        let runs = if ended { "has ended and stays" } else { "keeps running" };
        let node = &assignment.node;
        let (message, help) = match as_is {
            false => (
                format!("{id} {runs} on {node}, where it has no place{against}"),
                "stopping it would make room for nothing; once its service fits, it gets a place",
            ),
            true => (
                format!("{id} {runs} on {node} as it is, not as it is declared{against}"),
                match data {
                    true => "it is updated once what is declared fits there, where its data is",
                    false => "it is updated once what is declared fits somewhere",
                },
            ),
        };
        Some(Diagnostic::warning("DN-W0608", at, message).help(help))
    });
    stays.collect()
}

/// A node on which what stays holds more than there is for it.
fn overfull(desired: &DesiredState, it: &Overfull) -> Diagnostic {
    let Overfull { node, holds, of } = it;
    let policy = desired.nodes.get(node).map(|policy| policy.at.clone());
    let message = format!("what runs on {node} holds {holds}, and {of} is left for services");
    Diagnostic::warning("DN-W0610", policy, message).help(format!(
        "it stays, with its data or having nowhere else to go: lower the `reserve` of {node}, or \
         ask for less"
    ))
}

/// A service that `protect` keeps from being destroyed.
/// The line may be gone already: what was told stands until the service is told otherwise.
pub(crate) fn protected(
    change: &Change,
    line: Option<&Location>,
    declared: Option<&Location>,
) -> Diagnostic {
    let id = &change.instance;
    let what = match change.action {
        Action::Delete => format!("{id} would be destroyed ({})", change.reason),
        Action::Move if drops_data(change) => {
            format!("{id} would leave its data behind ({})", change.reason)
        }
        Action::Move | Action::Create => {
            format!("{id} would leave its data on another node ({})", change.reason)
        }
        _ => format!("{id} would be replaced ({})", change.reason),
    };
    let help = match (line, declared) {
        (Some(_), _) => "undo the change, or remove the `protect` line and commit that first",
        (None, Some(_)) => {
            "the `protect` line is gone and was not applied yet: undo the change, and commit \
             without that line first"
        }
        (None, None) => "declare the service once more, without `protect`, and apply that first",
    };
    let message = format!("{what}, and it is protected");
    Diagnostic::error("DN-E0602", line.or(declared).cloned(), message).help(help)
}

/// Instances of a service that nobody declares any more, left running because they are protected.
pub(crate) fn still_protected(service: &ServiceName, count: u32) -> Diagnostic {
    let instances = if count == 1 { "1 instance".to_owned() } else { format!("{count} instances") };
    let message = format!(
        "service `{service}` is not declared any more and was protected; {instances} left running"
    );
    Diagnostic::warning("DN-W0621", None, message).help(
        "to destroy it, declare it once more without `protect`, apply that, and remove it then",
    )
}

/// Instances of a service that nobody declares, left running.
pub(crate) fn undeclared(service: &ServiceName, count: u32) -> Diagnostic {
    let instances = if count == 1 { "1 instance".to_owned() } else { format!("{count} instances") };
    let message = format!("service `{service}` is not declared; {instances} left running");
    Diagnostic::warning("DN-W0602", None, message)
        .help("declare it again, set `sync prune=#true`, or destroy it with `devnet apply`")
}
