//! Renames that lead nowhere, and renames that nobody wrote.
//!
//! Knows which names anything runs or has data under. Refuses to take a likeness for a rename: only
//! a `moved` line lets a service go on with the data of another.

use std::collections::BTreeSet;

use devnet_schema::{
    diagnostic::Diagnostic,
    file::suggest,
    instance::{InstanceSpec, Workload},
    name::ServiceName,
    plan::{Action, Change},
};

use crate::input::PlanInput;

/// Names under which something runs or has data.
fn known<'a>(input: &PlanInput<'a>) -> BTreeSet<&'a ServiceName> {
    let seen = input.fleet.instances.iter().map(|seen| &seen.service);
    let data = input.fleet.data.iter().map(|place| &place.instance.service);
    seen.chain(data).collect()
}

/// `moved` lines whose old name is nobody's, while the new one has nothing yet either: those that
/// have done their work, or are a part of a chain, are no mistake.
pub fn idle(input: &PlanInput<'_>) -> Vec<Diagnostic> {
    let (desired, known) = (input.desired, known(input));
    let mut found = Vec::new();
    for (from, to) in &desired.moved {
        let chained = desired.moved.iter().any(|(_, other)| other == from);
        if chained || known.contains(from) || known.contains(to) {
            continue;
        }
        let meant = known.iter().filter(|name| !desired.services.contains_key(**name));
        let meant = suggest::nearest(from.as_str(), meant.map(|name| name.as_str()));
        let help = match meant {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!(
                "`{to}` starts without data; write the name that it runs under now, or remove the \
                 line"
            ),
        };
        let message = format!("nothing called `{from}` runs or has data, so nothing is renamed");
        let at = desired.moved_at.get(from).cloned();
        found.push(Diagnostic::warning("DN-W0623", at, message).help(help));
    }
    found
}

/// Services that go with their data while one like them comes without: they were renamed, perhaps.
pub fn unwritten<'c>(
    input: &PlanInput<'_>,
    changes: impl Iterator<Item = &'c Change> + Clone,
) -> Vec<Diagnostic> {
    if input.options.destroy {
        return Vec::new();
    }
    let services = &input.desired.services;
    let gone = changes.clone().filter(|change| {
        change.action == Action::Delete && !services.contains_key(&change.instance.service)
    });
    let gone =
        gone.filter_map(|change| Some((&change.instance.service, change.before.as_deref()?)));
    let gone: Vec<(&ServiceName, &InstanceSpec)> =
        gone.filter(|(_, spec)| !spec.volumes.is_empty()).collect();
    let mut told: BTreeSet<&ServiceName> = BTreeSet::new();
    let mut found = Vec::new();
    for change in changes.filter(|change| change.action == Action::Create) {
        let to = &change.instance.service;
        let Some(new) = change.after.as_deref() else { continue };
        let from = gone.iter().find(|(_, old)| is_like(old, new)).map(|(from, _)| *from);
        let Some(from) = from.filter(|_| told.insert(to)) else { continue };
        let message =
            format!("`{from}` is destroyed, and `{to}`, which is like it, starts without its data");
        let at = services.get(to).map(|service| service.at.clone());
        found.push(Diagnostic::warning("DN-W0624", at, message).help(format!(
            "if it was renamed, write `moved from=\"{from}\" to=\"{to}\"`: then it goes on with \
             its data"
        )));
    }
    found
}

/// Whether two units run the same program with volumes at the same places.
fn is_like(old: &InstanceSpec, new: &InstanceSpec) -> bool {
    let places = |spec: &InstanceSpec| -> BTreeSet<String> {
        spec.volumes.iter().map(|volume| volume.path.clone()).collect()
    };
    let program = match (&old.workload, &new.workload) {
        (Workload::Container(old), Workload::Container(new)) => old.image == new.image,
        (Workload::Process { argv: old }, Workload::Process { argv: new }) => {
            old.first() == new.first()
        }
        _ => false,
    };
    program && places(old) == places(new)
}
