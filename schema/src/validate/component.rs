//! What a service gives its component: parameters and secrets, against the signature.
//!
//! Knows parameter types. Refuses to know templates of components.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::{
    component::{
        ComponentSignature, GrantDeclaration, Parameter, ParameterKind, PortDeclaration,
        SecretParameter,
    },
    compose::Grant,
    desired::Form,
    diagnostic::Located,
    file::written::{AllowSection, Maybe, ServiceSection},
    instance::{Protocol, Runtime, Scope},
    name::{SecretName, ServiceName},
    quantity::{Bytes, Period},
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
        let parameters = self.parameters(service, signature);
        Form::Component {
            name: name.clone(),
            version: version.or_else(|| signature.versions.first().cloned()).unwrap_or_default(),
            grants: self.component_grants(service, signature, &parameters),
            parameters,
            secrets: self.secrets(service, signature),
        }
    }

    /// What the component needs of its node and the service allows.
    fn component_grants(
        &mut self,
        service: &ServiceSection,
        signature: &ComponentSignature,
        parameters: &BTreeMap<String, Located<String>>,
    ) -> Vec<Grant> {
        let allowed = self.grants(service);
        if let Some(to) = service.allow.iter().find_map(|line| line.to.first()) {
            let message = "`to` goes with a Compose file: a component has one container".to_owned();
            self.error("DN-E0312", &to.at, message, "remove it");
        }
        let (mut granted, mut needed) = (Vec::new(), BTreeSet::new());
        for declared in &signature.grants {
            let Ok(grant) = declared.grant.parse::<Grant>() else { continue };
            let by = allowed.iter().position(|line| line.grant.includes(&grant));
            needed.extend(by);
            let value = declared.when.as_ref().map(|when| parameters.get(when));
            let value = value.map(|value| value.map_or("false", |value| value.value.as_str()));
            match (by, value) {
                (Some(_), _) => granted.push(grant),
                // What a template makes of it shows when it is rendered, and is refused then.
                (None, Some(value)) if value != "true" => {}
                (None, _) => {
                    let message = format!(
                        "component `{}` needs `{grant}` of its node, which is not allowed",
                        signature.name
                    );
                    let kdl = format!("`allow \"{grant}\"`");
                    let yaml = format!("`{grant}` under `allow`");
                    let allow = Self::written(&service.at, &kdl, &yaml);
                    let help = format!("write {allow}, if it may have it: {}", declared.why);
                    self.error("DN-E0347", &service.at, message, help);
                }
            }
        }
        for (_, line) in allowed.iter().enumerate().filter(|(at, _)| !needed.contains(at)) {
            let message = format!("component `{}` asks for no `{}`", signature.name, line.grant);
            self.warn("DN-W0420", line.at, message, "remove the line; grants should be few");
        }
        granted
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
                _ => {
                    let unit = parameter.unit.as_deref();
                    let of = unit.map(|unit| format!(" of {unit}")).unwrap_or_default();
                    format!("write a whole number{of} from {min} to {max}")
                }
            },
            ParameterKind::Boolean if matches!(text, "true" | "false") => return,
            ParameterKind::Boolean => "write true or false (in KDL #true or #false)".to_owned(),
            ParameterKind::Size => match text.parse::<Bytes>() {
                Ok(_) => return,
                Err(error) => format!("write {}", error.expected),
            },
            ParameterKind::Duration => match text.parse::<Period>() {
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
            if secret.generate && !given {
                if let Some(made) = self.generated(service, name, secret.length) {
                    secrets.insert(name.clone(), made);
                }
            } else if secret.required && !given {
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

    /// The secret that the control plane makes for a parameter: `SERVICE-PARAMETER`.
    fn generated(
        &mut self,
        service: &ServiceSection,
        parameter: &str,
        length: u32,
    ) -> Option<Located<SecretName>> {
        // A bad name of a service is told elsewhere.
        self.name_of(&service.name)?;
        let name = format!("{}-{parameter}", service.name.value);
        let at = service.at.clone();
        match name.parse::<SecretName>() {
            Ok(value) => {
                self.generated.entry(value.clone()).or_insert(length);
                Some(Located { value, at })
            }
            Err(_) => {
                let message = format!("`{name}` is too long for a secret's name");
                let kdl = format!("`secret \"{parameter}\" from=\"NAME\"`");
                let yaml = format!("`{parameter}: NAME` under `secrets`");
                let name_it = Self::written(&service.at, &kdl, &yaml);
                self.error("DN-E0311", &at, message, format!("name one yourself: {name_it}"));
                None
            }
        }
    }

    /// Whether a service's name is one, without a finding.
    fn name_of(&self, name: &Located<String>) -> Option<ServiceName> {
        name.value.parse().ok()
    }
}

/// A signature in the place of an unknown component's. All that the service says is right by it, so
/// that only what is wrong without regard to the component is found.
pub(super) fn stand_in(
    service: &ServiceSection,
    name: &Located<String>,
    version: &Option<Located<String>>,
) -> ComponentSignature {
    let parameter = |kind| Parameter {
        kind,
        unit: None,
        default: None,
        required: false,
        description: String::new(),
    };
    let set = service.set.iter().map(|(name, _)| name.value.as_str());
    let models = (!service.models.is_empty()).then_some(super::model::SHARED);
    let names = set.chain(models.into_iter().flatten());
    let secret = |(name, _): &(Located<String>, Located<String>)| {
        let (required, generate, length) = (false, false, 0);
        let parameter = SecretParameter { required, generate, length, description: String::new() };
        (name.value.clone(), parameter)
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
    let allowed = |line: &AllowSection| {
        let grant = line.grant.as_ref()?.value.clone();
        Some(GrantDeclaration { grant, why: String::new(), when: None })
    };
    ComponentSignature {
        name: name.value.clone(),
        versions: version.iter().map(|version| version.value.clone()).collect(),
        runtimes: vec![wanted.unwrap_or(usual)],
        parameters: names.map(|name| (name.to_owned(), parameter(ParameterKind::Text))).collect(),
        secrets: service.secrets.iter().map(secret).collect(),
        ports: port.into_iter().collect(),
        replicable: true,
        grants: service.allow.iter().filter_map(allowed).collect(),
        ..ComponentSignature::default()
    }
}

/// Whether a text can be a version: it becomes part of an image's name.
fn is_version(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(known)
}
