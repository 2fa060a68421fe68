//! From assignments and ports to rendered instances.
//!
//! Knows what rendering is told. Refuses to know templates, which the catalog renders, and volumes,
//! which `keep` names.

use std::collections::BTreeMap;

use devnet_catalog::{Bindings, Placed};
use devnet_schema::{
    container::SharedNamespace,
    diagnostic::Diagnostic,
    digest::Digest,
    instance::{InstanceSpec, Workload},
    name::InstanceId,
};

use crate::{
    assignment::{Assignments, Why},
    input::PlanInput,
    observations::Observations,
    ports::HostPorts,
    volume_names,
};

/// Every seated instance, rendered.
pub(crate) type Specs = BTreeMap<InstanceId, InstanceSpec>;

/// Renders every seated instance.
///
/// # Errors
/// What the catalog finds: templates that cannot be rendered, secrets that are not there.
pub(crate) fn specs(
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
    let mut secrets = input.fleet.secrets.clone();
    // What is made when the plan is applied counts as there.
    for name in input.desired.generated.keys() {
        secrets.iter_mut().for_each(|all| {
            all.entry(name.to_string()).or_insert(1);
        });
    }
    let bindings = Bindings { instances: instances.collect(), secrets };
    let mut rendered = devnet_catalog::render(input.catalog, input.desired, &bindings)?;
    volume_names::data(input, observations, &mut rendered);
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
    let mut specs: Specs = specs.collect();
    fill_in_shares(&mut specs);
    Ok(specs)
}

/// Who lives in a namespace of another unit is another unit when that one is: a container that is
/// made anew has another namespace.
fn fill_in_shares(specs: &mut Specs) {
    let owners: BTreeMap<InstanceId, Digest> = specs
        .values()
        .flat_map(shares)
        .filter_map(|share| Some((share.with.clone(), specs.get(&share.with)?.digest())))
        .collect();
    for spec in specs.values_mut() {
        let Workload::Container(container) = &mut spec.workload else { continue };
        // What goes on as it is has what it was made with.
        for share in container.shares.iter_mut().filter(|it| it.digest.as_str().is_empty()) {
            if let Some(digest) = owners.get(&share.with) {
                share.digest = digest.clone();
            }
        }
    }
}

fn shares(spec: &InstanceSpec) -> &[SharedNamespace] {
    match &spec.workload {
        Workload::Container(container) => &container.shares,
        Workload::Process { .. } => &[],
    }
}
