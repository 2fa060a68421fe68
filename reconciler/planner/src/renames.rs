//! Renames that lead nowhere, renames that nobody wrote, and names that were renamed away.
//!
//! Knows which names anything runs or has data under. Refuses to take a likeness for a rename: only
//! a `moved` line lets a service go on with the data of another.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    desired::{Form, Service},
    diagnostic::Diagnostic,
    file::suggest,
    instance::{InstanceSpec, Runtime, VolumeSpec, Workload},
    name::{InstanceId, ServiceName},
    plan::{Action, Change},
};

use crate::{
    data::{Home, Volume},
    input::PlanInput,
    observations::Observations,
    observed::renamed,
    render::Specs,
};

/// Names under which something runs or has data.
fn known<'a>(input: &PlanInput<'a>) -> BTreeSet<&'a ServiceName> {
    let seen = input.fleet.instances.iter().map(|seen| &seen.service);
    let data = input.fleet.data.iter().map(|place| &place.instance.service);
    seen.chain(data).collect()
}

/// `moved` lines whose old name is nobody's, while the new one has nothing yet either: those that
/// have done their work, or are a part of a chain, are no mistake.
pub(crate) fn idle(input: &PlanInput<'_>) -> Vec<Diagnostic> {
    let (desired, known) = (input.desired, known(input));
    let mut found = Vec::new();
    for (from, to) in &desired.moved {
        let chained = desired.moved.iter().any(|(_, other)| other == from);
        let now = renamed(desired, to);
        if chained || [from, to, now].iter().any(|name| known.contains(name)) {
            continue;
        }
        let meant = known.iter().filter(|name| !desired.services.contains_key(**name));
        let meant = suggest::nearest(from.as_str(), meant.map(|name| name.as_str()));
        let help = match meant {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!(
                "`{now}` starts without data; write the name that it runs under now, or remove the \
                 line"
            ),
        };
        let message = format!("nothing called `{from}` runs or has data, so nothing is renamed");
        let at = desired.moved_at.get(from).cloned();
        found.push(Diagnostic::warning("DN-W0623", at, message).help(help));
    }
    found
}

/// Services that would write to the volume with which another goes on since it was renamed: they
/// have the name, or are in a project of the name, that the other had before.
pub(crate) fn taken(
    input: &PlanInput<'_>,
    observations: &Observations<'_>,
    specs: &Specs,
) -> Vec<Diagnostic> {
    let services = &input.desired.services;
    let mut users: BTreeMap<Identity<'_>, BTreeMap<Group<'_>, &InstanceId>> = BTreeMap::new();
    for (id, spec) in specs {
        for volume in &spec.volumes {
            let group = group(services, id);
            users.entry(Identity::of(spec, volume)).or_default().insert(group, id);
        }
    }
    // What does not run and is not wanted has its data all the same.
    for (id, home) in observations.homes.iter().filter(|(id, _)| !specs.contains_key(id)) {
        for volume in &home.volumes {
            let identity = Identity::held(home, volume);
            let Some(users) = users.get_mut(&identity) else { continue };
            let strange = match &volume.spec.project {
                Some(project) => !id.service.as_str().starts_with(&format!("{project}-")),
                None => volume.owner.service != id.service,
            };
            let own = users.values().any(|user| identity.is_own(group(services, user)));
            if strange && own {
                users.insert(group(services, id), id);
            }
        }
    }
    let mut told: BTreeSet<&ServiceName> = BTreeSet::new();
    let mut found = Vec::new();
    for (identity, users) in users.iter().filter(|(_, users)| users.len() > 1) {
        let (new, others): (Vec<_>, Vec<_>) =
            users.iter().partition(|(group, _)| identity.is_own(**group));
        let (Some((_, new)), Some((_, other))) = (new.first(), others.first()) else { continue };
        let service = services.get(&new.service).filter(|service| told.insert(&service.name));
        found.extend(service.map(|service| shared(service, identity, &other.service)));
    }
    found
}

/// What one volume is called on its node.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity<'a> {
    runtime: Option<Runtime>,
    whose: Group<'a>,
    name: &'a str,
}

/// Who has volumes together: the services of a Compose file, or one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group<'a> {
    Project(&'a ServiceName),
    Instance(&'a ServiceName, u32),
}

impl<'a> Identity<'a> {
    fn of(spec: &'a InstanceSpec, volume: &'a VolumeSpec) -> Self {
        let owner = volume.owner(&spec.id);
        let whose = match &volume.project {
            Some(project) => Group::Project(project),
            None => Group::Instance(&owner.service, owner.index),
        };
        Self { runtime: Some(spec.workload.runtime()), whose, name: &volume.name }
    }

    fn held(home: &'a Home<'_>, volume: &'a Volume<'_>) -> Self {
        let whose = match &volume.spec.project {
            Some(project) => Group::Project(project),
            None => Group::Instance(&volume.owner.service, volume.owner.index),
        };
        Self { runtime: home.runtime, whose, name: &volume.spec.name }
    }

    /// Whether it is called as those are now.
    fn is_own(&self, group: Group<'_>) -> bool {
        self.whose == group
    }
}

fn group<'a>(services: &'a BTreeMap<ServiceName, Service>, id: &'a InstanceId) -> Group<'a> {
    match services.get(&id.service).map(|service| &service.form) {
        Some(Form::Compose { project, .. }) => Group::Project(project),
        _ => Group::Instance(&id.service, id.index),
    }
}

fn shared(service: &Service, volume: &Identity<'_>, other: &ServiceName) -> Diagnostic {
    let new = match volume.whose {
        Group::Project(project) => project,
        Group::Instance(service, _) => service,
    };
    let name = volume.name;
    let message = format!(
        "`{other}` goes on with volume `{name}` of what was called `{new}` before, and a service \
         `{new}` would have the same volume"
    );
    Diagnostic::error("DN-E0625", Some(service.at.clone()), message)
        .help(format!("give this service a name that had no data before, not `{new}`"))
}

/// Services that go with their data while one like them comes without: they were renamed, perhaps.
pub(crate) fn unwritten<'c>(
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
