//! Which volumes an instance goes on with: data keeps the name that it was put under, whatever its
//! service, its project or its Compose service is called by now, and whether or not anything runs.
//!
//! Knows where data is and what runs. A name is derived anew only where nothing is known of data.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    compose::is_own_volume,
    instance::{InstanceSpec, Runtime, VolumeSpec},
    name::{InstanceId, ServiceName},
    plan::{Action, Change},
};

use crate::{data::Volume, input::PlanInput, observations::Observations, observed::Observed};

/// Gives the volumes of all these instances the names that their data has.
pub(crate) fn data(
    input: &PlanInput<'_>,
    observations: &Observations<'_>,
    specs: &mut [InstanceSpec],
) {
    let mut shared: BTreeMap<(ServiceName, String), ServiceName> = BTreeMap::new();
    for spec in specs.iter_mut() {
        let container = spec.workload.runtime() == Runtime::Docker;
        let before = before(observations, &spec.id);
        let mut own = of_instance(input, observations, spec);
        for volume in &mut spec.volumes {
            let had = before.as_ref().and_then(|volumes| had(volumes, volume));
            match (volume.project.clone(), had) {
                (Some(_), Some(had)) if had.spec.project.is_none() => own(volume, Some(had)),
                (Some(declared), Some(Volume { spec: had, .. })) => {
                    volume.name.clone_from(&had.name);
                    volume.project.clone_from(&had.project);
                    let project = had.project.clone().unwrap_or_else(|| declared.clone());
                    shared.entry((declared, had.name.clone())).or_insert(project);
                }
                (Some(_), None) => {}
                // It was of a Compose file.
                (None, Some(had)) if had.spec.project.is_some() && container => {
                    volume.project.clone_from(&had.spec.project);
                }
                (None, had) => own(volume, had),
            }
        }
    }
    // What one of a project has is what all of it share.
    for spec in specs.iter_mut() {
        let before = before(observations, &spec.id);
        for volume in &mut spec.volumes {
            let Some(declared) = &volume.project else { continue };
            if before.as_ref().is_some_and(|volumes| had(volumes, volume).is_some()) {
                continue;
            }
            let known = shared.get(&(declared.clone(), volume.name.clone())).cloned();
            let known = known.or_else(|| renamed_project(input, &spec.id.service, declared));
            volume.project = known.or(volume.project.take());
        }
    }
}

/// The volumes that an instance is known to have: where its data is says so, else what runs.
fn before<'a>(observations: &Observations<'a>, id: &InstanceId) -> Option<Vec<Volume<'a>>> {
    let told = observations.homes.get(id).map(|home| home.volumes.clone());
    told.filter(|volumes| !volumes.is_empty()).or_else(|| {
        let unit = observations.best(id)?;
        let runs_as = unit.runs_as();
        let volume = |spec: &'a VolumeSpec| Volume { spec, owner: spec.owner(&runs_as).clone() };
        Some(unit.spec()?.volumes.iter().map(volume).collect())
    })
}

/// Which of these a volume was. One that nobody named has its name from the Compose service and the
/// path, and is the same when the service is called otherwise.
fn had<'v, 'a>(volumes: &'v [Volume<'a>], volume: &VolumeSpec) -> Option<&'v Volume<'a>> {
    let own = |it: &VolumeSpec| it.project.is_some() && is_own_volume(&it.name, &it.path);
    volumes.iter().find(|it| it.spec.name == volume.name).or_else(|| {
        let same = |it: &&Volume<'_>| it.spec.path == volume.path && own(it.spec);
        volumes.iter().find(same).filter(|_| own(volume))
    })
}

/// Whose project's volumes a service of a Compose file goes on with when nothing is known of them:
/// those of the project that it was moved from.
fn renamed_project(
    input: &PlanInput<'_>,
    service: &ServiceName,
    project: &ServiceName,
) -> Option<ServiceName> {
    let (from, _) = input.desired.moved.iter().find(|(_, to)| to == service)?;
    let own = format!("{project}-");
    let rest = service.as_str().strip_prefix(&own)?;
    if from.as_str().starts_with(&own) {
        return None;
    }
    from.as_str().strip_suffix(rest)?.strip_suffix('-')?.parse().ok()
}

/// Says of the volumes of one instance whose they are.
fn of_instance<'a>(
    input: &'a PlanInput<'_>,
    observations: &'a Observations<'_>,
    spec: &InstanceSpec,
) -> impl FnMut(&mut VolumeSpec, Option<&Volume<'_>>) + use<'a> {
    let id = spec.id.clone();
    let known = before(observations, &id).is_some();
    let of_unit = observations.best(&id).filter(|unit| unit.renamed).map(|unit| unit.runs_as());
    let old_name = observations.homes.get(&id).map(|home| home.of.clone()).or(of_unit);
    let declared = input.desired.moved.iter().find(|(_, to)| *to == id.service);
    move |volume, had| {
        let of = match had {
            Some(had) => Some(had.owner.clone()),
            // What it gets with its new name is marked, too, as going on with what it was.
            None if known => old_name.clone(),
            None => old_name.clone().or_else(|| {
                // Nothing is known: the data that there may be stands under the name of before.
                declared.map(|(from, _)| InstanceId { service: from.clone(), index: id.index })
            }),
        };
        volume.project = None;
        volume.data_of = of.filter(|of| *of != id);
    }
}

/// Whether an instance goes to another node and has volumes no more: the lines went with the move.
pub(crate) fn drops_data(change: &Change) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return false };
    change.action == Action::Move && !before.volumes.is_empty() && after.volumes.is_empty()
}

/// Whether what is wanted goes on with data of a unit that ran by another name.
pub(crate) fn goes_on(spec: &InstanceSpec, unit: &Observed<'_>) -> bool {
    let old = unit.runs_as();
    spec.volumes.iter().any(|volume| volume.data_of.as_ref() == Some(&old))
        || unit.spec().is_some_and(|before| shares_data(spec, before))
}

/// Whether two units have a volume of the same name and owner.
pub(crate) fn shares_data(a: &InstanceSpec, b: &InstanceSpec) -> bool {
    let whose = |spec: &InstanceSpec| -> BTreeSet<(String, String)> {
        let volumes = spec.volumes.iter().map(|volume| {
            let owner = volume.owner(&spec.id).to_string();
            let project = volume.project.as_ref().map(ToString::to_string);
            (volume.name.clone(), project.unwrap_or(owner))
        });
        volumes.collect()
    };
    !whose(a).is_disjoint(&whose(b))
}
