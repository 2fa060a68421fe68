//! Changes of version that a component refuses: its data would not be read, or would be spoilt.
//!
//! Knows the versions in images of what runs and of what would. Refuses to know what a version
//! holds: the component says which changes it cannot take.

use devnet_schema::{
    component::Components,
    desired::Form,
    diagnostic::Diagnostic,
    instance::{InstanceSpec, Workload},
    plan::{Action, Change},
};

use crate::input::PlanInput;

/// What components refuse of these changes, once for each service.
pub(crate) fn refusals<'c>(
    input: &PlanInput<'_>,
    changes: impl Iterator<Item = &'c Change>,
) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    for change in changes {
        let meant = matches!(change.action, Action::Update | Action::Replace | Action::Move);
        let (Some(before), Some(after), true) = (&change.before, &change.after, meant) else {
            continue;
        };
        if let Some(refused) = refusal(input, before, after)
            && !found.iter().any(|known| known.at == refused.at)
        {
            found.push(refused);
        }
    }
    found
}

fn refusal(
    input: &PlanInput<'_>,
    before: &InstanceSpec,
    after: &InstanceSpec,
) -> Option<Diagnostic> {
    let service = input.desired.services.get(&after.id.service)?;
    let Form::Component { name, .. } = &service.form else { return None };
    let upgrade = &input.catalog.signature(&name.value)?.upgrade;
    let (old, new) = (image(before)?, image(after)?);
    // Another repository is another image: its tags may count otherwise.
    if old.0 != new.0 {
        return None;
    }
    let rule = upgrade.refuses.iter().find(|rule| rule.matches(old.1, new.1))?;
    let message = format!(
        "`{}` refuses the change from version {} to {}: {}",
        name.value,
        old.1.escape_debug(),
        new.1.escape_debug(),
        rule.as_str()
    );
    Some(Diagnostic::error("DN-E0627", Some(service.at.clone()), message).help(&*upgrade.why))
}

/// The repository and the tag of a container's image.
fn image(spec: &InstanceSpec) -> Option<(&str, &str)> {
    let Workload::Container(container) = &spec.workload else { return None };
    let reference = container.image.split('@').next().unwrap_or_default();
    let (repository, tag) = reference.rsplit_once(':')?;
    (!tag.contains('/')).then_some((repository, tag))
}
