//! Whether what was decided can be told: units that fit into a message, and no more of them on a
//! node than fit into its report.
//!
//! Knows sizes. Refuses to cut anything: what cannot travel is refused before anything is touched.

use std::collections::BTreeMap;

use devnet_schema::{
    diagnostic::Diagnostic,
    instance::InstanceSpec,
    name::{InstanceId, NodeName, ServiceName},
    plan::Change,
    quantity::Bytes,
    validate::too_large,
    wire::{MAX_INSTANCES, MAX_SPEC, size},
};

use crate::{input::PlanInput, render::Specs};

/// How large the units of a plan may be together, in bytes of JSON: a plan is held in memory and in
/// one record.
const MAX_PLAN: usize = 256 << 20;

/// Everything that cannot be told; each service and each node once.
pub(crate) fn refusals(input: &PlanInput<'_>, specs: &Specs) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut told: Option<&ServiceName> = None;
    for (id, spec) in specs {
        let bytes = size(spec);
        if bytes > MAX_SPEC && told != Some(&id.service) {
            told = Some(&id.service);
            found.extend(unit(input, id, spec, bytes));
        }
    }
    let mut counts: BTreeMap<&NodeName, usize> = BTreeMap::new();
    for spec in specs.values() {
        *counts.entry(&spec.node).or_default() += 1;
    }
    found.extend(counts.into_iter().filter(|(_, count)| *count > MAX_INSTANCES).map(crowded));
    found
}

/// A plan that is too large to be kept and shown, whatever the units in it are.
pub(crate) fn whole<'a>(changes: impl Iterator<Item = &'a Change>) -> Result<(), Vec<Diagnostic>> {
    let units = changes.flat_map(|change| {
        let Change { before, after, .. } = change;
        // What is started stands in the change and in its two steps.
        let before = before.as_deref().map_or(0, size);
        [before, 3 * after.as_deref().map_or(0, size)]
    });
    let bytes = units.sum::<usize>();
    if bytes <= MAX_PLAN {
        return Ok(());
    }
    let (bytes, most) = (Bytes(bytes as u64), Bytes(MAX_PLAN as u64));
    let message = format!("the units that this plan would change take {bytes}; {most} are allowed");
    let help = "plan parts of it with `-target`, or put large files into the images or volumes";
    Err(vec![Diagnostic::error("DN-E0609", None, message).help(help)])
}

fn unit(
    input: &PlanInput<'_>,
    id: &InstanceId,
    spec: &InstanceSpec,
    bytes: usize,
) -> Option<Diagnostic> {
    let service = input.desired.services.get(&id.service)?;
    let files = spec.files.iter().map(|(path, file)| (path.as_str(), size(file)));
    let env = spec.env.iter().map(|(name, text)| (name.as_str(), size(text)));
    let largest = files.chain(env).max_by_key(|(_, bytes)| *bytes);
    Some(too_large("DN-E0607", Some(service.at.clone()), &id.to_string(), bytes, largest))
}

fn crowded((node, count): (&NodeName, usize)) -> Diagnostic {
    let message = format!(
        "{count} instances would run on {node}, and an agent reports at most {MAX_INSTANCES}"
    );
    Diagnostic::error("DN-E0608", None, message)
        .help("add nodes, or spread the services with `max-per-node`")
}
