//! Language models of a service, and what they add to what it reserves.
//!
//! Knows that what a service reserves has to hold its models. Refuses to know devices: the planner
//! finds one that is large enough.

use std::collections::BTreeMap;

use super::Check;
use crate::{
    component::{ComponentSignature, ParameterKind},
    desired::Model,
    diagnostic::Located,
    file::written::ServiceSection,
    model::{self, Unknown, shown},
    quantity::{Bytes, GpuRequest, Resources},
};

/// Tokens of context unless written.
const CONTEXT: u32 = 8192;
/// The component's parameters that say the same of all its models.
pub(super) const SHARED: [&str; 2] = ["context-length", "num-parallel"];

impl Check<'_> {
    /// The models of a service, which only a component that serves some has.
    pub(super) fn models(
        &mut self,
        section: &ServiceSection,
        signature: Option<&ComponentSignature>,
        parameters: &BTreeMap<String, Located<String>>,
    ) -> Vec<Model> {
        let serves = signature.is_some_and(|s| s.parameters.contains_key(SHARED[0]));
        let mut models: Vec<Model> = Vec::new();
        for line in &section.models {
            if !serves {
                let message = "what this service runs serves no models".to_owned();
                let help = "use a component that does, like `ollama`";
                self.error("DN-E0344", &line.at, message, help);
                return models;
            }
            let Some(name) = &line.name else { continue };
            if models.iter().any(|model| model.name.value == name.value) {
                let message = format!("the model `{}` is named twice", name.value.escape_debug());
                self.error("DN-E0344", &name.at, message, "remove one of the two");
                continue;
            }
            let shared = |at: usize| parameters.get(SHARED[at]).and_then(|p| p.value.parse().ok());
            let context = line.context.as_ref().map(|context| context.value);
            let context = context.or_else(|| shared(0)).unwrap_or(CONTEXT);
            let parallel = line.parallel.as_ref().map(|parallel| parallel.value);
            let parallel = parallel.or_else(|| shared(1)).unwrap_or(1);
            match model::needs(&name.value, context, parallel) {
                Ok(needs) => {
                    if !needs.certain {
                        let message = format!(
                            "what `{}` takes is guessed from its name: {}",
                            name.value,
                            shown(needs.memory())
                        );
                        let help = "write `gpu-memory` (or `memory`) in `resources` if you know it";
                        self.warn("DN-W0421", &name.at, message, help);
                    }
                    models.push(Model { name: name.clone(), context, parallel, needs });
                }
                Err(problem) => {
                    let shown = name.value.escape_debug();
                    let help = match problem {
                        Unknown::Name => "write a name and a tag, like `llama3.1:8b`",
                        Unknown::Size => "write the tag that says the size, like `:8b`",
                    };
                    self.error("DN-E0344", &name.at, format!("`{shown}` {problem}"), help);
                }
            }
        }
        models
    }

    /// The component's parameters as its models want them: the longest context, the most requests.
    pub(super) fn tuned(
        &mut self,
        section: &ServiceSection,
        signature: &ComponentSignature,
        models: &[Model],
        parameters: &mut BTreeMap<String, Located<String>>,
    ) {
        let most = [
            models.iter().map(|model| model.context).max(),
            models.iter().map(|model| model.parallel).max(),
        ];
        for (name, most) in SHARED.into_iter().zip(most) {
            let Some(most) = most else { continue };
            let own = section.set.iter().any(|(set, _)| set.value == name);
            let written = |line: &crate::file::written::ModelSection| match name {
                "context-length" => line.context.as_ref().map(|it| it.at.clone()),
                _ => line.parallel.as_ref().map(|it| it.at.clone()),
            };
            let Some(at) = section.models.iter().find_map(written).filter(|_| !own) else {
                continue;
            };
            let kind = signature.parameters.get(name).map(|parameter| &parameter.kind);
            if let Some(ParameterKind::Integer { max, .. }) = kind
                && i64::from(most) > *max
            {
                let message = format!("`{name}` of the component goes up to {max}");
                self.error("DN-E0344", &at, message, format!("write at most {max}"));
            }
            parameters.insert(name.to_owned(), Located { value: most.to_string(), at });
        }
    }

    /// What the service reserves, its models included. On a device they need its memory, which is
    /// a matter of placement; without one they need the node's.
    pub(super) fn with_models(
        &mut self,
        section: &ServiceSection,
        models: &[Model],
        mut resources: Resources,
    ) -> Resources {
        if models.is_empty() {
            return resources;
        }
        let sum = |of: fn(&Model) -> Bytes| {
            models.iter().map(of).fold(0u64, |a, b| a.saturating_add(b.0))
        };
        let (memory, disk) = (sum(|m| m.needs.memory()), sum(|m| m.needs.disk()));
        let written = section.resources.as_ref();
        if written.is_none_or(|written| written.disk.is_none()) {
            resources.disk = Bytes(resources.disk.0.saturating_add(disk));
        }
        let too_small = |have: Bytes, what: &str| {
            let need = shown(Bytes(memory));
            format!("{what} of {} does not hold the models, which take {need}", shown(have))
        };
        match (resources.gpu, written) {
            (GpuRequest::None, written) => match written.and_then(|w| w.memory.as_ref()) {
                Some(have) if have.value.0 < memory => {
                    let message = too_small(have.value, "a memory");
                    let help = "reserve more, use a GPU, or serve a smaller model";
                    self.warn("DN-W0422", &have.at, message, help);
                }
                Some(_) => {}
                None => resources.memory = Bytes(resources.memory.0.saturating_add(memory)),
            },
            (GpuRequest::Memory(have), Some(written)) if have.0 < memory => {
                let at = written.gpu_memory.as_ref().map_or(&written.at, |slice| &slice.at);
                let message = too_small(have, "a slice");
                let help = "take a larger slice, or serve a smaller model";
                self.warn("DN-W0422", at, message, help);
            }
            _ => {}
        }
        resources
    }
}
