//! From seats and ports to rendered instances.
//!
//! Knows what rendering is told. Refuses to know templates, which the catalog renders, and volumes,
//! which `keep` names.

use std::collections::BTreeMap;

use devnet_catalog::{Bindings, Placed};
use devnet_schema::{diagnostic::Diagnostic, instance::InstanceSpec, name::InstanceId};

use crate::{
    census::Census,
    input::PlanInput,
    keep,
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
    let mut rendered = devnet_catalog::render(input.catalog, input.desired, &bindings)?;
    keep::data(input, census, &mut rendered);
    let specs = rendered.into_iter().map(|spec| {
        let id = spec.id.clone();
        // What is kept as it is goes on with what it has, protected as it is declared to be. Where
        // that is not known, it gets none of the ports that are declared by now.
        let kept = seats.by_instance.get(&id).filter(|seat| matches!(seat.why, Why::KeptAsIs(_)));
        let now = kept.map(|_| seats.unit(census, &id).and_then(|unit| unit.spec()));
        let spec = match now {
            None => spec,
            Some(None) => InstanceSpec { ports: Vec::new(), ..spec },
            Some(Some(now)) => InstanceSpec { protect: spec.protect, ..now.clone() },
        };
        (id, spec)
    });
    Ok(specs.collect())
}
