//! One component: its signature and its template, checked against one another.
//!
//! Knows what a template of a component may hold. Refuses to know any service that uses it.

use std::ops::Range;

use devnet_schema::{
    component::{ComponentSignature, ParameterKind},
    diagnostic::Diagnostic,
    file::{
        self, from_kdl, from_yaml,
        tree::{Entry, Form, Kind, Node, Source},
    },
    quantity::{Bytes, Period},
    template::{self, Fault},
};
use serde_json::Value;

use crate::signature;

/// What a template may say. The rest of a unit is in the signature, where placement can see it.
const FIELDS: [&str; 20] = [
    "image",
    "entrypoint",
    "command",
    "environment",
    "configs",
    "secrets",
    "volumes",
    "user",
    "group_add",
    "hostname",
    "init",
    "labels",
    "shm_size",
    "working_dir",
    "read_only",
    "tmpfs",
    "cap_drop",
    "security_opt",
    "ulimits",
    "pids_limit",
];

/// What makes a container's walls thinner: each holds only with a grant of the signature.
const GRANTED: [&str; 5] = ["cap_add", "devices", "network_mode", "pid", "sysctls"];

/// A component.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    /// What it takes, offers and needs.
    pub(crate) signature: ComponentSignature,
    /// Its template as a tree.
    pub(crate) template: Node,
    /// The template's text, for places.
    pub(crate) source: Source,
    /// The declaration's text, for places.
    pub(crate) declared: Source,
}

/// A file of a component: its name for messages and its content.
pub(crate) type File = (String, Vec<u8>);

/// Reads a component from its declaration and its template.
///
/// # Errors
/// Everything that is wrong with either.
pub(crate) fn read(declaration: File, template: File) -> Result<Component, Vec<Diagnostic>> {
    let text = |(name, bytes): File, form| file::text(&name, bytes, form).map_err(|e| vec![e]);
    let declared = text(declaration, Form::Kdl)?;
    let source = text(template, Form::Yaml)?;
    let signature = signature::read(&declared, &from_kdl(&declared)?)?;
    let template = from_yaml(&source)?;
    let component = Component { signature, template, source, declared };
    let found = check(&component);
    if found.is_empty() { Ok(component) } else { Err(found) }
}

/// What a parameter's text means as a value of a template: numbers are numbers, sizes are bytes,
/// times are whole seconds.
///
/// # Errors
/// What is wrong with the text, to follow words such as `the default`.
pub(crate) fn typed(kind: &ParameterKind, text: &str) -> Result<Value, String> {
    let shown = text.escape_debug();
    match kind {
        ParameterKind::Text => Ok(Value::from(text)),
        ParameterKind::Integer { min, max } => match text.parse::<i64>() {
            Ok(number) if (*min..=*max).contains(&number) => Ok(Value::from(number)),
            Ok(_) => Err(format!("`{shown}` is not within {min} and {max}")),
            Err(_) => Err(format!("`{shown}` is not a whole number")),
        },
        ParameterKind::Boolean => text
            .parse::<bool>()
            .map(Value::from)
            .map_err(|_| format!("`{shown}` is not `true` or `false`")),
        ParameterKind::Size => {
            text.parse::<Bytes>().map(|size| Value::from(size.0)).map_err(|error| error.to_string())
        }
        ParameterKind::Duration => text
            .parse::<Period>()
            .map(|period| Value::from(period.millis / 1000))
            .map_err(|error| error.to_string()),
        ParameterKind::Choice(of) if of.iter().any(|one| one == text) => Ok(Value::from(text)),
        ParameterKind::Choice(of) => Err(format!("`{shown}` is not one of {}", of.join(", "))),
    }
}

/// Everything that is wrong with a template and can be seen without a service.
fn check(component: &Component) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let services = component.template.get("services").map(Node::entries).unwrap_or_default();
    match services {
        [service] => fields(component, service, &mut found),
        _ => {
            let at = Some(component.source.at(&component.template.span));
            let message = "a component's template has exactly one service";
            found
                .push(Diagnostic::error("DN-E0522", at, message).help("keep one under `services`"));
        }
    }
    texts(component, &component.template, &mut found);
    offers(component, &mut found);
    found.sort_by(|a, b| a.at.cmp(&b.at));
    found
}

fn fields(component: &Component, service: &Entry, found: &mut Vec<Diagnostic>) {
    for field in service.value.entries() {
        let key = field.key.as_str();
        if FIELDS.contains(&key) || GRANTED.contains(&key) || key.starts_with("x-") {
            continue;
        }
        let at = Some(component.source.at(&field.key_span));
        let message = format!("`{}` does not belong into a template", key.escape_debug());
        let help = format!(
            "a template says {}, and with a grant of component.kdl {}; ports, health, stop and \
             resources stand in component.kdl, where placement sees them",
            FIELDS.join(", "),
            GRANTED.join(", ")
        );
        found.push(Diagnostic::error("DN-E0522", at, message).help(help));
    }
    if service.value.get("image").is_none() {
        let at = Some(component.source.at(&service.key_span));
        let error = Diagnostic::error("DN-E0522", at, "the template names no image");
        found.push(error.help("add `image: NAME:{{ version }}`"));
    }
}

/// Templates of offers, which name parameters and secrets of the component itself.
fn offers(component: &Component, found: &mut Vec<Diagnostic>) {
    let ComponentSignature { parameters, secrets, offers, .. } = &component.signature;
    let all = offers.iter().flat_map(|offer| offer.url.iter().chain(&offer.key));
    for raw in all {
        let problem = match template::translate(raw) {
            Err(fault) => Some(fault.message),
            Ok(translated) => translated.paths.into_iter().find_map(|path| {
                let name = path.rest.first()?;
                let known = match path.root.as_str() {
                    "param" => parameters.contains_key(name),
                    "secret" => secrets.contains_key(name),
                    _ => false,
                };
                (!known).then(|| format!("`{}.{name}` is not declared", path.root))
            }),
        };
        if let Some(problem) = problem {
            let at = Some(component.declared.at(&(0..0)));
            let message = format!("the offer `{}`: {problem}", raw.escape_debug());
            let help = "an offer names `param.NAME`, `secret.NAME`, `host`, `port` and `address`";
            found.push(Diagnostic::error("DN-E0521", at, message).help(help));
        }
    }
}

/// Templates that do not read, names that are not declared, and templates where names belong.
fn texts(component: &Component, node: &Node, found: &mut Vec<Diagnostic>) {
    match &node.kind {
        Kind::Scalar { raw, .. } => {
            if template::is_template(raw) {
                text(component, node, raw, found);
            }
        }
        Kind::Seq(items) => items.iter().for_each(|item| texts(component, item, found)),
        Kind::Map(entries) => {
            for entry in entries {
                if template::is_template(&entry.key) {
                    let at = Some(component.source.at(&entry.key_span));
                    let message = "a name cannot be a template: only values are";
                    let error = Diagnostic::error("DN-E0522", at, message);
                    found.push(error.help("write the name as it is"));
                }
                texts(component, &entry.value, found);
            }
        }
    }
}

/// Of the names in one text, so many have a place of their own.
const MOST_PLACED: usize = 200;

fn text(component: &Component, node: &Node, raw: &str, found: &mut Vec<Diagnostic>) {
    let written = component.source.text.get(node.span.clone()).unwrap_or_default();
    let at = |part: Range<usize>| {
        let part = template::find_part(raw, part, written);
        let part = part.unwrap_or(0..node.span.len());
        Some(component.source.at(&(node.span.start + part.start..node.span.start + part.end)))
    };
    let translated = match template::translate(raw) {
        Ok(translated) => translated,
        Err(Fault { message, help, at: part }) => {
            found.push(Diagnostic::error("DN-E0501", at(part), message).help(help));
            return;
        }
    };
    let ComponentSignature { parameters, secrets, .. } = &component.signature;
    for (index, path) in translated.paths.into_iter().enumerate() {
        let known = match (path.root.as_str(), path.rest.first()) {
            ("param", Some(name)) => parameters.contains_key(name),
            ("secret", Some(name)) => secrets.contains_key(name),
            ("var", _) => false,
            _ => true,
        };
        if !known {
            let name = path.rest.first().map(String::as_str).unwrap_or_default();
            let message = format!("`{}.{}` is not declared", path.root, name.escape_debug());
            let help = "a template names its own parameters and secrets, as component.kdl \
                        declares them";
            // Every part is searched for from the beginning of its text.
            let part = if index < MOST_PLACED { path.at } else { 0..0 };
            found.push(Diagnostic::error("DN-E0503", at(part), message).help(help));
        }
    }
}
