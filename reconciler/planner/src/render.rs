//! From seats and ports to rendered instances.
//!
//! Knows what rendering is told, and whose data a renamed instance keeps. Refuses to know
//! templates: the catalog renders.

use std::collections::BTreeMap;

use devnet_catalog::{Bindings, Placed};
use devnet_schema::{diagnostic::Diagnostic, instance::InstanceSpec, name::InstanceId};

use crate::{
    census::Census,
    input::PlanInput,
    ports::HostPorts,
    seats::{Seats, Why},
};

/// Every seated instance, rendered.
pub type Specs = BTreeMap<InstanceId, InstanceSpec>;

/// Renders every seated instance.
///
/// # Errors
/// What the catalog finds: templates that cannot be rendered, secrets that are not there.
pub fn specs(
    input: &PlanInput<'_>,
    census: &Census<'_>,
    seats: &Seats,
    ports: &HostPorts,
) -> Result<Specs, Vec<Diagnostic>> {
    let instances = seats.by_instance.iter().map(|(id, seat)| {
        let ip = census.nodes.get(&seat.node).map_or(String::new(), |node| node.facts.ip.clone());
        let placed = Placed {
            node: seat.node.clone(),
            node_ip: ip,
            gpus: seat.gpus.clone(),
            ports: ports.get(id).cloned().unwrap_or_default(),
        };
        (id.clone(), placed)
    });
    let bindings =
        Bindings { instances: instances.collect(), secrets: input.fleet.secrets.clone() };
    let rendered = devnet_catalog::render(input.catalog, input.desired, &bindings)?;
    let specs = rendered.into_iter().map(|mut spec| {
        keep_data(input, census, &mut spec);
        let id = spec.id.clone();
        // What is kept as it is goes on with what it has.
        let seat = seats.by_instance.get(&id).filter(|seat| matches!(seat.why, Why::KeptAsIs(_)));
        let now = seat.and_then(|_| census.best(&id)?.spec());
        (id, now.cloned().unwrap_or(spec))
    });
    Ok(specs.collect())
}

/// A renamed instance keeps the volumes of its old name, and goes on keeping them after the
/// `moved` line is gone and when nothing of it runs: where its data is says whose they are.
fn keep_data(input: &PlanInput<'_>, census: &Census<'_>, spec: &mut InstanceSpec) {
    let unit = census.best(&spec.id);
    let home = census.homes.get(&spec.id);
    let seen = unit.and_then(|unit| unit.spec()).map(|spec| &spec.volumes[..]);
    let told = home.map(|home| home.volumes).filter(|volumes| !volumes.is_empty());
    let before = told.or(seen);
    let of_unit = unit.filter(|unit| unit.renamed).map(|unit| unit.runs_as());
    let of_home = home.map(|home| home.of.clone()).filter(|of| *of != spec.id);
    let old_name = of_home.or(of_unit);
    let declared = input.desired.moved.iter().find(|(_, to)| *to == spec.id.service);
    for volume in &mut spec.volumes {
        let had = before.and_then(|volumes| volumes.iter().find(|it| it.name == volume.name));
        if volume.project.is_some() {
            // It belongs to a project, not to an instance; what runs says to which.
            volume.project = had.map_or(volume.project.take(), |had| had.project.clone());
            if volume.project.is_some() {
                continue;
            }
        }
        volume.data_of = match (had, &old_name) {
            (Some(had), Some(old)) => Some(had.owner(old).clone()),
            (None, Some(old)) if before.is_none() => Some(old.clone()),
            (Some(had), None) => had.data_of.clone(),
            // Nothing runs: the data that there may be stands under the name of before.
            (None, None) if before.is_none() => {
                declared.map(|(from, _)| InstanceId { service: from.clone(), index: spec.id.index })
            }
            (None, _) => None,
        };
        volume.data_of = volume.data_of.take().filter(|of| *of != spec.id);
    }
}
