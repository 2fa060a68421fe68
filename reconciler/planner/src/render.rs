//! From assignments and ports to rendered instances.
//!
//! Knows what rendering is told. Refuses to know templates, which the catalog renders, and volumes,
//! which `keep` names.

use std::collections::BTreeMap;

use devnet_catalog::{Bindings, Placed};
use devnet_schema::{diagnostic::Diagnostic, instance::InstanceSpec, name::InstanceId};

use crate::{
    assignments::{Assignments, Why},
    input::PlanInput,
    keep,
    observations::Observations,
    ports::HostPorts,
};

/// Every seated instance, rendered.
pub type Specs = BTreeMap<InstanceId, InstanceSpec>;

/// Renders every seated instance.
///
/// # Errors
/// What the catalog finds: templates that cannot be rendered, secrets that are not there.
pub fn specs(
    input: &PlanInput<'_>,
    observations: &Observations<'_>,
    assignments: &Assignments,
    ports: &HostPorts,
) -> Result<Specs, Vec<Diagnostic>> {
    let instances = assignments.by_instance.iter().map(|(id, assignment)| {
        let ip = observations
            .nodes
            .get(&assignment.node)
            .map_or(String::new(), |node| node.facts.ip.clone());
        let placed = Placed {
            node: assignment.node.clone(),
            node_ip: ip,
            gpus: assignment.gpus.clone(),
            ports: ports.get(id).cloned().unwrap_or_default(),
        };
        (id.clone(), placed)
    });
    let bindings =
        Bindings { instances: instances.collect(), secrets: input.fleet.secrets.clone() };
    let mut rendered = devnet_catalog::render(input.catalog, input.desired, &bindings)?;
    keep::data(input, observations, &mut rendered);
    let specs = rendered.into_iter().map(|spec| {
        let id = spec.id.clone();
        // What is kept as it is goes on with what it has, protected as it is declared to be. Where
        // that is not known, it gets none of the ports that are declared by now.
        let kept = assignments
            .by_instance
            .get(&id)
            .filter(|assignment| matches!(assignment.why, Why::KeptAsIs(_)));
        let now = kept.map(|_| assignments.unit(observations, &id).and_then(|unit| unit.spec()));
        let spec = match now {
            None => spec,
            Some(None) => InstanceSpec { ports: Vec::new(), ..spec },
            Some(Some(now)) => InstanceSpec { protect: spec.protect, ..now.clone() },
        };
        (id, spec)
    });
    Ok(specs.collect())
}
