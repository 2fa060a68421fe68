//! What a plan tells people of data: who is held by it, who waits for it, who leaves it.
//!
//! Knows sentences (DN-W0603, DN-W0604, DN-W0620, DN-W0626) and what to type. Refuses to decide
//! anything.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    desired::{DesiredState, Form, Service},
    diagnostic::{Diagnostic, Located, Location, Severity},
    fleet::NodeStatus,
    instance::VolumeSpec,
    name::{InstanceId, NodeName},
    placement::Violation,
    plan::Change,
};

use crate::{
    assignment::{Assignment, Assignments, Wait, Why},
    assignments::other_driver,
    data::Home,
    diff::list,
    hold::Held,
    observations::Observations,
    place::Outcome,
    report,
};

/// What someone should know of data, of each instance one thing; an error is of `severity` only.
pub(crate) fn told(
    desired: &DesiredState,
    observations: &Observations<'_>,
    assignments: &Assignments,
    outcome: &Outcome,
    severity: Severity,
) -> Vec<Diagnostic> {
    let mut all = Vec::new();
    for (id, node) in report::waiting_for_data(desired, observations, assignments) {
        let Some(service) = desired.services.get(&id.service) else { continue };
        let why = assignments.by_instance.get(id).map(|assignment| &assignment.why);
        all.push(match why {
            Some(Why::WaitsForData(wait)) => waits(id, node, service, wait),
            _ => waits_for_lost(id, node, service),
        });
    }
    for (id, node) in &assignments.stranded {
        let Some(service) = desired.services.get(&id.service) else { continue };
        // Who waits for it in turn would be planned without it, unasked.
        let missed = assignments.blocked.values().any(|missing| *missing == id.service);
        all.push(stranded(id, node, service, if missed { severity } else { Severity::Warning }));
    }
    for (id, against) in &outcome.held {
        let placed = assignments
            .by_instance
            .get(id)
            .filter(|assignment| matches!(assignment.why, Why::Placed(_)));
        let service = desired.services.get(&id.service);
        all.extend(
            service.zip(placed).map(|(service, assignment)| held(id, assignment, service, against)),
        );
    }
    all.extend(goes_on_as_it_is(desired, observations, assignments));
    all.extend(drained(desired, observations, assignments));
    all.extend(words(desired, observations));
    all
}

fn leave(node: &NodeName, service: &Service) -> String {
    format!("`leave-data \"{node}\"` in service `{}`", service.name)
}

fn waits_for_lost(id: &InstanceId, node: &NodeName, service: &Service) -> Diagnostic {
    let message = format!("{id} waits for {node}, which is lost: its data is nowhere else");
    let word = leave(node, service);
    Diagnostic::warning("DN-W0603", Some(service.at.clone()), message)
        .help(format!("bring the node back, or start it elsewhere without its data: {word}"))
}

/// That a node has no such volumes any more.
fn no_more(node: &NodeName, names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let volume = if quoted.len() == 1 { "no volume" } else { "no volumes" };
    format!("{node} says that it has {volume} {} of it any more", list(&quoted))
}

fn waits(id: &InstanceId, node: &NodeName, service: &Service, wait: &Wait) -> Diagnostic {
    let word = leave(node, service);
    let help = match wait {
        Wait::Away => {
            format!("bring the node back, or start it elsewhere without its data: {word}")
        }
        Wait::Place => {
            format!("make room for it there, or start it elsewhere without its data: {word}")
        }
        Wait::Missing(_) => format!("put the data back there, or start it without: {word}"),
        Wait::Runtime(of) => {
            format!("run it with {} again, or declare it under another name", of.as_str())
        }
        Wait::Doubt(all) => doubt(id, all, service).1,
        Wait::Told(_) => format!(
            "if that is so, `devnet node adopt {node}` confirms it; else start it elsewhere: {word}"
        ),
        Wait::Older(other) => format!(
            "pin it to {other} to go on with that, or remove the volumes there to start anew"
        ),
    };
    let message = format!("{id} {}", waiting(id, node, service, wait));
    Diagnostic::warning("DN-W0603", Some(service.at.clone()), message).help(help)
}

/// What an instance waits for, as a clause that begins with its verb.
pub(crate) fn waiting(id: &InstanceId, node: &NodeName, service: &Service, wait: &Wait) -> String {
    match wait {
        Wait::Away => format!("waits for {node}, which does not answer: its data is there"),
        Wait::Place => format!("waits for a place on {node}: its data is there"),
        Wait::Missing(names) => format!("waits: {}", no_more(node, names)),
        Wait::Runtime(of) => format!("waits: {}", other_driver(*of, service)),
        Wait::Doubt(all) => format!("waits: {}", doubt(id, all, service).0),
        Wait::Told(against) if against.is_empty() => format!(
            "waits: only {node} itself says that it has its data, and it shows no receipt of an \
             order"
        ),
        Wait::Told(against) => {
            let against = list(against);
            format!("waits: only {node} itself says that it has its data, and it {against}")
        }
        Wait::Older(other) => {
            format!("waits: it may leave {node}, and {other} has older data of it")
        }
    }
}

/// Between what nobody knows which is the newest, and the remedies.
fn doubt(id: &InstanceId, all: &[(NodeName, InstanceId)], service: &Service) -> (String, String) {
    let nodes: BTreeSet<&NodeName> = all.iter().map(|(node, _)| node).collect();
    let names: BTreeSet<&InstanceId> = all.iter().map(|(_, name)| name).collect();
    let word = all.first().map_or(String::new(), |(node, _)| leave(node, service));
    if names.len() < 2 {
        let nodes: Vec<String> = nodes.into_iter().map(ToString::to_string).collect();
        let between = format!("{} have data of it, and nobody knows which is newest", list(&nodes));
        return (between, format!("name those whose data it does not need, as {word}"));
    }
    let told: BTreeSet<String> =
        all.iter().map(|(node, name)| format!("that of {name} on {node}")).collect();
    let told: Vec<String> = told.into_iter().collect();
    let between = format!(
        "`moved` lines make it go on with data of two names, {}, and nobody knows which",
        list(&told)
    );
    let fresh = format!(
        "give `{}` a name that had no data before, and change the `moved` line to that",
        id.service
    );
    match nodes.len() {
        1 => (between, format!("{fresh}, or take that line back")),
        _ => (between, format!("{fresh}; or name the node whose data it does not need, as {word}")),
    }
}

/// What runs and is left alone, with data in doubt or newer data that it cannot have.
fn goes_on_as_it_is(
    desired: &DesiredState,
    observations: &Observations<'_>,
    assignments: &Assignments,
) -> Vec<Diagnostic> {
    let seated =
        assignments.holds.iter().filter(|(id, _)| assignments.by_instance.contains_key(id));
    let told = seated.filter_map(|(id, hold)| {
        let service = desired.services.get(&id.service)?;
        let ended = assignments.unit(observations, id)?.has_ended();
        let runs = if ended { "has ended" } else { "runs on as it is" };
        let node = &hold.node;
        let (why, help) = match &hold.why {
            Held::Doubt(all) => doubt(id, all, service),
            Held::Away(home) => {
                let lost = observations.home(service, id).map(|home| home.lost(service));
                let lost = lost.filter(|lost| !lost.is_empty());
                let why = match observations.nodes.get(home).map(|home| home.status) {
                    None => format!("its newest data is on {home}, which is not in the fleet"),
                    Some(NodeStatus::Online) => lost.map_or_else(
                        || format!("its newest data is on {home}, where it has no place"),
                        |lost| no_more(home, &lost),
                    ),
                    Some(_) => format!("its newest data is on {home}, which does not answer"),
                };
                let word = leave(home, service);
                (
                    why,
                    format!(
                        "see to it that it can run on {home}; or pin it to {node} and say {word}, \
                         to go on with what is on {node}"
                    ),
                )
            }
            Held::Told(against) => (
                format!(
                    "only {node} itself says that it was told to run it, and it {}",
                    list(against)
                ),
                format!(
                    "if that is so, `devnet node adopt {node}` confirms it; else start it \
                     elsewhere: {}",
                    leave(node, service)
                ),
            ),
            Held::Runtime(_) | Held::Place => return None,
        };
        let message = format!("{id} {runs} on {node}, and nothing is decided about it: {why}");
        Some(Diagnostic::warning("DN-W0603", Some(service.at.clone()), message).help(help))
    });
    told.collect()
}

fn stranded(id: &InstanceId, node: &NodeName, service: &Service, of: Severity) -> Diagnostic {
    let message = format!("{id} waits for {node}, which is not in the fleet: its data is there");
    let word = leave(node, service);
    let at = Some(service.at.clone());
    let found = match of {
        Severity::Error => Diagnostic::error("DN-E0601", at, message),
        Severity::Warning => Diagnostic::warning("DN-W0603", at, message),
    };
    found.help(format!(
        "let a node of that name join again with its data, or start it elsewhere without: {word}"
    ))
}

/// An instance that stays where its data is, whatever is against that.
fn held(
    id: &InstanceId,
    assignment: &Assignment,
    service: &Service,
    against: &[Violation],
) -> Diagnostic {
    let node = &assignment.node;
    let told = |it: &Violation| match &it.at {
        Some(at) => format!("{} at {at}", it.text),
        None => it.text.clone(),
    };
    let told: Vec<String> = against.iter().map(told).collect();
    let why = if told.is_empty() { String::new() } else { format!(", though it {}", list(&told)) };
    let at = against.iter().find_map(|it| line(service, it.at.as_deref()?)).unwrap_or(&service.at);
    let message = format!("{id} stays on {node}{why}: its data is there and cannot follow it");
    let word = leave(node, service);
    Diagnostic::warning("DN-W0603", Some(at.clone()), message)
        .help(format!("undo that, or start it elsewhere without its data: {word}"))
}

/// The place of a line of the service that is written like this.
fn line<'s>(service: &'s Service, at: &str) -> Option<&'s Location> {
    let place = &service.place;
    let lines = place.require.iter().chain(&place.forbid).map(|line| &line.at);
    let mut lines = lines.chain(place.pin.iter().map(|pin| &pin.at));
    lines.find(|line| line.to_string() == at)
}

/// Instances with data on nodes that are drained.
fn drained(
    desired: &DesiredState,
    observations: &Observations<'_>,
    assignments: &Assignments,
) -> Vec<Diagnostic> {
    let placed = |assignment: &Assignment| {
        matches!(assignment.why, Why::Placed(_) | Why::Unknown | Why::OutOfScope)
    };
    let placed = assignments.by_instance.iter().filter(|(_, assignment)| placed(assignment));
    let on_drained = placed.filter_map(|(id, assignment)| {
        let policy = desired.nodes.get(&assignment.node).filter(|policy| policy.drain);
        let by_command = observations.nodes.get(&assignment.node).is_some_and(|it| it.drained);
        if policy.is_none() && !by_command {
            return None;
        }
        let service = desired.services.get(&id.service)?;
        // A drain that is supposed, or by command, stands nowhere.
        let written = policy.map(|policy| &policy.at).filter(|at| !at.file.is_empty());
        let at = written.unwrap_or(&service.at);
        let (node, word) = (&assignment.node, leave(&assignment.node, service));
        let message = format!("{id} stays on {node}, which is drained: its data cannot follow it");
        (!service.volumes.is_empty()).then(|| {
            Diagnostic::warning("DN-W0603", Some(at.clone()), message)
                .help(format!("to move it without its data, say {word}"))
        })
    });
    on_drained.collect()
}

/// Where a line is written: file, line, column.
type Place<'d> = (&'d str, u32, u32);

/// Lines that allow to leave data and have done their work, or wait for the next time: each that is
/// written once, though it counts for every service of a Compose file.
fn words(desired: &DesiredState, observations: &Observations<'_>) -> Vec<Diagnostic> {
    let mut lines: BTreeMap<Place<'_>, (&Service, &Located<NodeName>, bool)> = BTreeMap::new();
    for service in desired.services.values() {
        for line in &service.leave_data {
            let at = (&*line.at.file, line.at.line, line.at.column);
            let used = needed(observations, service, &line.value);
            lines.entry(at).or_insert((service, line, false)).2 |= used;
        }
    }
    let spent_ones = lines.into_values().filter(|(_, _, used)| !used);
    spent_ones.map(|(service, line, _)| spent(service, line)).collect()
}

/// Whether the data of any instance that is wanted is on that node, or would be in doubt if it were
/// not left there. Of a service without replicas, that of any it ever had.
fn needed(observations: &Observations<'_>, service: &Service, node: &NodeName) -> bool {
    let own = observations.homes.iter().filter(|(id, _)| id.service == service.name);
    let wanted =
        own.filter(|(id, _)| service.replicas.is_none() || service.replicas.wants(id.index));
    let mut homes = wanted.filter_map(|(id, _)| observations.home(service, id));
    homes.any(|home| *home.node == *node || home.settled_by.contains(node))
}

fn spent(service: &Service, line: &Located<NodeName>) -> Diagnostic {
    let node = &line.value;
    let name = match &service.form {
        Form::Compose { project, .. } => project,
        _ => &service.name,
    };
    let message =
        format!("`leave-data \"{node}\"` has no effect: no data of `{name}` is in use on {node}");
    Diagnostic::warning("DN-W0620", Some(line.at.clone()), message)
        .help("remove the line: it has done its work, or never had any")
}

/// An instance that starts away from its data, as a line allows.
pub(crate) fn left(change: &Change, service: &Service, home: &Home<'_>) -> Diagnostic {
    let Change { instance, node, .. } = change;
    let lost = home.lost(service);
    let line = |node: &NodeName| service.leave_data.iter().find(|line| line.value == *node);
    if !lost.is_empty() {
        let why = no_more(home.node, &lost);
        let message = format!("{instance} starts on {node} without its data: {why}");
        let at = line(home.node).map_or(&service.at, |line| &line.at);
        let help = format!("to wait for the data instead, put it back on {} first", home.node);
        return Diagnostic::warning("DN-W0604", Some(at.clone()), message).help(help);
    }
    // Of data in doubt a line chooses by naming the other.
    let chosen = home.settled_by.iter().copied().filter(|_| home.node == node);
    let chosen: Vec<&NodeName> = chosen.collect();
    let from = chosen.first().copied().unwrap_or(home.node);
    let (volumes, then) = match (chosen.is_empty(), home.older.contains(node)) {
        (false, _) => ("data".to_owned(), "goes on with the data that is there".to_owned()),
        (true, true) => (home.named(), "goes on with the older data that is there".to_owned()),
        (true, false) => (home.named(), "starts without its data".to_owned()),
    };
    let message = format!("{instance} leaves {volumes} on {from} for {node}, where it {then}");
    let at = line(from).map_or(&service.at, |line| &line.at);
    Diagnostic::warning("DN-W0604", Some(at.clone()), message).help(format!(
        "what it has written stays on {from}; copy it, or remove the `leave-data` line to stay"
    ))
}

/// An instance that goes to another node while it is declared without its volumes.
pub(crate) fn dropped(change: &Change, service: &Service) -> Diagnostic {
    let Change { instance, node, from, before, .. } = change;
    let from = from.as_ref().unwrap_or(node);
    let names = before.iter().flat_map(|before| &before.volumes);
    let names: Vec<String> = names.map(|volume| format!("`{}`", volume.name)).collect();
    let volumes = if names.len() == 1 { "volume" } else { "volumes" };
    let message = format!(
        "{instance} leaves {volumes} {} on {from} for {node}: it is declared without",
        list(&names)
    );
    Diagnostic::warning("DN-W0604", Some(service.at.clone()), message).help(format!(
        "what it has written stays on {from}; declare the volume again to stay there with it"
    ))
}

/// An instance that goes on where it is without a volume that it had: nothing is destroyed, and a
/// name that was only written otherwise is not what it looks like.
pub(crate) fn exchanged(change: &Change, service: &Service) -> Option<Diagnostic> {
    let Change { instance, node, before, after, .. } = change;
    let (before, after) = (before.as_ref()?, after.as_ref()?);
    let same = |a: &VolumeSpec, b: &VolumeSpec| {
        let shared = a.project.is_some() || b.project.is_some();
        let owner = || a.owner(&before.id) == b.owner(&after.id);
        a.name == b.name && a.project == b.project && (shared || owner())
    };
    let gone = before.volumes.iter().filter(|had| !after.volumes.iter().any(|it| same(had, it)));
    let told: Vec<String> = gone
        .map(|had| match after.volumes.iter().find(|it| it.path == had.path) {
            Some(now) => {
                format!("`{}` at `{}`, where it has `{}` now", had.name, had.path, now.name)
            }
            None => format!("`{}` at `{}`", had.name, had.path),
        })
        .collect();
    let volumes = if told.len() == 1 { "volume" } else { "volumes" };
    let message = format!("{instance} goes on without {volumes} {}", list(&told));
    let help = format!(
        "what is in it stays on {node}: declare it again, under the name that it had, to go on \
         with that"
    );
    let found = || Diagnostic::warning("DN-W0626", Some(service.at.clone()), message).help(help);
    (before.node == after.node && !told.is_empty()).then(found)
}
