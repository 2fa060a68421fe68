//! What a service gives its component: parameters and secrets, against the signature.
//!
//! Knows parameter types. Refuses to know templates of components.

use std::collections::BTreeMap;

use super::Check;
use crate::{
    component::{ComponentSignature, Parameter, ParameterKind, PortDeclaration, SecretParameter},
    desired::Form,
    diagnostic::Located,
    file::written::{Maybe, ServiceSection},
    instance::{Protocol, Runtime, Scope, StopSpec},
    name::SecretName,
    quantity::{Bytes, Resources},
    template::is_template,
};

impl Check<'_> {
    /// The component of that name, or a finding.
    pub(super) fn signature(&mut self, name: &Located<String>) -> Option<ComponentSignature> {
        let found = self.components.signature(&name.value).cloned();
        if found.is_none() && !self.file.more_catalogs {
            let help = self.advice(&name.value, self.components.names().into_iter());
            let message = format!("there is no component `{}`", name.value.escape_debug());
            self.error("DN-E0306", &name.at, message, help);
        }
        found
    }

    pub(super) fn component(
        &mut self,
        service: &ServiceSection,
        name: &Located<String>,
        version: Option<&Located<String>>,
        signature: &ComponentSignature,
    ) -> Form {
        version.into_iter().for_each(|version| self.literal(version, "a version"));
        if let Some(version) = version.filter(|v| !signature.versions.contains(&v.value)) {
            let shown = version.value.escape_debug();
            let tried = format!("tried are {}", signature.versions.join(", "));
            if is_version(&version.value) {
                let message = format!("version {shown} of `{}` was never tried", name.value);
                self.warn("DN-W0401", &version.at, message, tried);
            } else {
                let message = format!("`{shown}` is not a version");
                self.error("DN-E0301", &version.at, message, tried);
            }
        }
        let version = version.map(|version| version.value.clone());
        Form::Component {
            name: name.clone(),
            version: version.or_else(|| signature.versions.first().cloned()).unwrap_or_default(),
            parameters: self.parameters(service, signature),
            secrets: self.secrets(service, signature),
        }
    }

    fn parameters(
        &mut self,
        service: &ServiceSection,
        signature: &ComponentSignature,
    ) -> BTreeMap<String, Located<String>> {
        let mut values: BTreeMap<String, Located<String>> = signature
            .parameters
            .iter()
            .filter_map(|(name, parameter)| {
                let value = parameter.default.clone()?;
                Some((name.clone(), Located { value, at: service.at.clone() }))
            })
            .collect();
        for (name, value) in &service.set {
            let Some(parameter) = signature.parameters.get(&name.value) else {
                let secret = signature.secrets.contains_key(&name.value);
                let help = if secret {
                    let kdl = format!("`secret \"{}\" from=\"NAME\"`", name.value);
                    let yaml = format!("`{}: NAME` under `secrets`", name.value);
                    format!("it is a secret: write {}", Self::written(&name.at, &kdl, &yaml))
                } else {
                    self.advice(&name.value, signature.parameters.keys().map(String::as_str))
                };
                let shown = name.value.escape_debug();
                let message = format!("component `{}` has no parameter `{shown}`", signature.name);
                self.error("DN-E0308", &name.at, message, help);
                continue;
            };
            self.parameter(&name.value, value, parameter);
            self.template(value);
            values.insert(name.value.clone(), value.clone());
        }
        for (name, parameter) in &signature.parameters {
            if parameter.required && !values.contains_key(name) {
                let message = format!("component `{}` needs `{name}`", signature.name);
                let (kdl, yaml) =
                    (format!("`set {name}=\"…\"`"), format!("`{name}: …` under `set`"));
                let add = Self::written(&service.at, &kdl, &yaml);
                let help = format!("add {add}: {}", parameter.description);
                self.error("DN-E0310", &service.at, message, help);
            }
        }
        values
    }

    /// A value of its parameter's type. What templates will make of it shows only later.
    fn parameter(&mut self, name: &str, value: &Located<String>, parameter: &Parameter) {
        let text = value.value.as_str();
        if is_template(text) {
            return;
        }
        let help = match &parameter.kind {
            ParameterKind::Text => return,
            ParameterKind::Integer { min, max } => match text.parse::<i64>() {
                Ok(number) if (min..=max).contains(&&number) => return,
                _ => format!("write a whole number from {min} to {max}"),
            },
            ParameterKind::Boolean if matches!(text, "true" | "false") => return,
            ParameterKind::Boolean => "write true or false (in KDL #true or #false)".to_owned(),
            ParameterKind::Size => match text.parse::<Bytes>() {
                Ok(_) => return,
                Err(error) => format!("write {}", error.expected),
            },
            ParameterKind::Choice(words) if words.iter().any(|word| word == text) => return,
            ParameterKind::Choice(words) => self.advice(text, words.iter().map(String::as_str)),
        };
        let shown: String = text.chars().take(60).collect();
        let message = format!("`{}` is no value for `{name}`", shown.escape_debug());
        self.error("DN-E0309", &value.at, message, help);
    }

    fn secrets(
        &mut self,
        service: &ServiceSection,
        signature: &ComponentSignature,
    ) -> BTreeMap<String, Located<SecretName>> {
        let mut secrets = BTreeMap::new();
        for (parameter, from) in &service.secrets {
            if !signature.secrets.contains_key(&parameter.value) {
                let help =
                    self.advice(&parameter.value, signature.secrets.keys().map(String::as_str));
                let shown = parameter.value.escape_debug();
                let message = format!("component `{}` takes no secret `{shown}`", signature.name);
                self.error("DN-E0311", &parameter.at, message, help);
            } else if let Some(value) = self.name::<SecretName>(from) {
                self.uses_secret(value.clone(), &from.at);
                secrets.insert(parameter.value.clone(), Located { value, at: from.at.clone() });
            }
        }
        for (name, secret) in &signature.secrets {
            let given = service.secrets.iter().any(|(parameter, _)| parameter.value == *name);
            if secret.required && !given {
                let message = format!("component `{}` needs the secret `{name}`", signature.name);
                let kdl = format!("`secret \"{name}\" from=\"NAME\"`");
                let yaml = format!("`{name}: NAME` under `secrets`");
                let add = Self::written(&service.at, &kdl, &yaml);
                let help = format!("add {add}: {}", secret.description);
                self.error("DN-E0311", &service.at, message, help);
            }
        }
        secrets
    }
}

/// A signature in the place of an unknown component's. All that the service says is right by it, so
/// that only what is wrong without regard to the component is found.
pub(super) fn stand_in(
    service: &ServiceSection,
    name: &Located<String>,
    version: &Option<Located<String>>,
) -> ComponentSignature {
    let parameter =
        |kind| Parameter { kind, default: None, required: false, description: String::new() };
    let set = service.set.iter().map(|(name, _)| name.value.as_str());
    let models = (!service.models.is_empty()).then_some(super::model::SHARED);
    let names = set.chain(models.into_iter().flatten());
    let secret = |(name, _): &(Located<String>, Located<String>)| {
        (name.value.clone(), SecretParameter { required: false, description: String::new() })
    };
    // Only the paths of a process are relative, and its ports have one number.
    let volumes = service.volumes.iter().map(|(_, path)| path);
    let mut paths = volumes.chain(service.files.iter().map(|file| &file.path)).peekable();
    let process = paths.peek().is_some() && paths.all(|path| !path.value.starts_with('/'));
    let number = |port: &Maybe<u16>| port.as_ref().map(|port| port.value);
    let ports = &service.ports;
    let moves = ports.iter().any(|p| p.host.is_some() && number(&p.host) != number(&p.container));
    let usual = if process && !moves { Runtime::Process } else { Runtime::Docker };
    let wanted = service.runtime.as_ref().map(|runtime| runtime.value);
    // A check by HTTP that names no port goes to the first one of the component.
    let port = service.ports.is_empty().then_some(PortDeclaration {
        name: "main".to_owned(),
        container: 80,
        host: None,
        scope: Scope::default(),
        protocol: Protocol::default(),
    });
    ComponentSignature {
        name: name.value.clone(),
        description: String::new(),
        versions: version.iter().map(|version| version.value.clone()).collect(),
        runtimes: vec![wanted.unwrap_or(usual)],
        parameters: names.map(|name| (name.to_owned(), parameter(ParameterKind::Text))).collect(),
        secrets: service.secrets.iter().map(secret).collect(),
        ports: port.into_iter().collect(),
        volumes: Vec::new(),
        resources: Resources::default(),
        health: None,
        stop: StopSpec::default(),
        replicable: true,
    }
}

/// Whether a text can be a version: it becomes part of an image's name.
fn is_version(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(known)
}
