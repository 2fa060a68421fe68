//! What a plan tells people of data: who is held by it, who waits for it, who leaves it.
//!
//! Knows sentences (DN-W0603, DN-W0604, DN-W0620) and what to type. Refuses to decide anything.

use devnet_schema::{
    desired::{DesiredState, Service},
    diagnostic::{Diagnostic, Located, Location, Severity},
    name::{InstanceId, NodeName},
    placement::Violation,
    plan::Change,
};

use crate::{
    census::Census,
    data::Home,
    diff::list,
    place::Outcome,
    seats::{Seat, Seats, Wait, Why, other_driver},
    tally,
};

/// What someone should know of data, of each instance one thing; an error is of `severity` only.
pub fn told(
    desired: &DesiredState,
    census: &Census<'_>,
    seats: &Seats,
    outcome: &Outcome,
    severity: Severity,
) -> Vec<Diagnostic> {
    let mut all = Vec::new();
    for (id, node) in tally::waiting_for_data(desired, census, seats) {
        let Some(service) = desired.services.get(&id.service) else { continue };
        let why = seats.by_instance.get(id).map(|seat| &seat.why);
        all.push(match why {
            Some(Why::WaitsForData(wait)) => waits(id, node, service, wait),
            _ => waits_for_lost(id, node, service),
        });
    }
    for (id, node) in &seats.stranded {
        let Some(service) = desired.services.get(&id.service) else { continue };
        // Who waits for it in turn would be planned without it, unasked.
        let missed = seats.waiting.values().any(|missing| *missing == id.service);
        all.push(stranded(id, node, service, if missed { severity } else { Severity::Warning }));
    }
    for (id, against) in &outcome.held {
        let placed = seats.by_instance.get(id).filter(|seat| matches!(seat.why, Why::Placed(_)));
        let service = desired.services.get(&id.service);
        all.extend(service.zip(placed).map(|(service, seat)| held(id, seat, service, against)));
    }
    all.extend(drained(desired, seats));
    all.extend(words(desired, census));
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

fn waits(id: &InstanceId, node: &NodeName, service: &Service, wait: &Wait) -> Diagnostic {
    let word = leave(node, service);
    let (message, help) = match wait {
        Wait::Away => (
            format!("{id} waits for {node}, which does not answer: its data is there"),
            format!("bring the node back, or start it elsewhere without its data: {word}"),
        ),
        Wait::Place => (
            format!("{id} waits for a place on {node}: its data is there"),
            format!("make room for it there, or start it elsewhere without its data: {word}"),
        ),
        Wait::Runtime(of) => (
            format!("{id} waits: {}", other_driver(*of, service)),
            format!("run it with {} again, or declare it under another name", of.as_str()),
        ),
        Wait::Doubt(others) => {
            let others: Vec<String> = others.iter().map(ToString::to_string).collect();
            (
                format!(
                    "{id} waits: {node} and {} have data of it, and nobody knows which is newest",
                    list(&others)
                ),
                format!("name those whose data it does not need, as {word}"),
            )
        }
        Wait::Told(against) => (
            format!(
                "{id} waits: only {node} itself says that it has its data, and it {}",
                list(against)
            ),
            format!(
                "if that is so, `devnet node adopt {node}` confirms it; else start it elsewhere: \
                 {word}"
            ),
        ),
        Wait::Older(other) => (
            format!("{id} waits: it may leave {node}, and {other} has older data of it"),
            format!(
                "pin it to {other} to go on with that, or remove the volumes there to start anew"
            ),
        ),
    };
    Diagnostic::warning("DN-W0603", Some(service.at.clone()), message).help(help)
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
fn held(id: &InstanceId, seat: &Seat, service: &Service, against: &[Violation]) -> Diagnostic {
    let node = &seat.node;
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
fn drained(desired: &DesiredState, seats: &Seats) -> Vec<Diagnostic> {
    let placed = |seat: &Seat| matches!(seat.why, Why::Placed(_) | Why::Unknown | Why::OutOfScope);
    let placed = seats.by_instance.iter().filter(|(_, seat)| placed(seat));
    let on_drained = placed.filter_map(|(id, seat)| {
        let policy = desired.nodes.get(&seat.node).filter(|policy| policy.drain)?;
        let service = desired.services.get(&id.service)?;
        // A drain that is only supposed stands nowhere.
        let at = if policy.at.file.is_empty() { &service.at } else { &policy.at };
        let (node, word) = (&seat.node, leave(&seat.node, service));
        let message = format!("{id} stays on {node}, which is drained: its data cannot follow it");
        (!service.volumes.is_empty()).then(|| {
            Diagnostic::warning("DN-W0603", Some(at.clone()), message)
                .help(format!("to move it without its data, say {word}"))
        })
    });
    on_drained.collect()
}

/// Lines that allow to leave data and have done their work, or wait for the next time.
fn words(desired: &DesiredState, census: &Census<'_>) -> Vec<Diagnostic> {
    let mut all = Vec::new();
    for service in desired.services.values() {
        for line in &service.leave_data {
            let ids = (0..service.replicas)
                .map(|index| InstanceId { service: service.name.clone(), index });
            let at_home = |id: &InstanceId| {
                census.home(service, id).is_some_and(|home| *home.node == line.value)
            };
            if !ids.into_iter().any(|id| at_home(&id)) {
                all.push(spent(service, line));
            }
        }
    }
    all
}

fn spent(service: &Service, line: &Located<NodeName>) -> Diagnostic {
    let (node, name) = (&line.value, &service.name);
    let message =
        format!("`leave-data \"{node}\"` has no effect: no data of `{name}` is in use on {node}");
    Diagnostic::warning("DN-W0620", Some(line.at.clone()), message)
        .help("remove the line: it has done its work, or never had any")
}

/// An instance that starts away from its data, as a line allows.
pub fn left(change: &Change, service: &Service, home: &Home<'_>) -> Diagnostic {
    let Change { instance, node, .. } = change;
    let (from, volumes) = (home.node, home.named());
    let then = match home.older.contains(node) {
        true => "goes on with the older data that is there".to_owned(),
        false => "starts without its data".to_owned(),
    };
    let message = format!("{instance} leaves {volumes} on {from} for {node}, where it {then}");
    let line = service.leave_data.iter().find(|line| line.value == *from);
    let at = line.map_or(&service.at, |line| &line.at);
    Diagnostic::warning("DN-W0604", Some(at.clone()), message).help(format!(
        "what it has written stays on {from}; copy it, or remove the `leave-data` line to stay"
    ))
}
