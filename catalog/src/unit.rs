//! The part of an instance that its form decides: component, image, process or Compose file.
//!
//! Knows templates of components and the Compose model. Refuses to know ports, limits and
//! placement: [`crate::render()`] adds those.

use std::collections::BTreeMap;

use devnet_schema::{
    component::{ComponentSignature, ParameterKind},
    compose::{self, Network, Texts},
    desired::Service,
    diagnostic::{Diagnostic, Located, Location},
    file::tree::Span,
    instance::{ContainerSpec, FileSpec, Runtime, Workload},
    name::{SecretName, ServiceName, is_image},
    secret::Text,
};
use serde_json::{Map, Value, json};

use crate::{
    Catalog,
    component::{Component, typed},
    marker::Markers,
    scalars,
    scope::{self, Scope, Secrets},
};

/// What a form decides.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) workload: Workload,
    pub(crate) env: BTreeMap<String, Text>,
    pub(crate) files: BTreeMap<String, FileSpec>,
    /// Path by name, where a template says it.
    pub(crate) volumes: BTreeMap<String, String>,
}

impl Unit {
    fn bare(workload: Workload) -> Self {
        let (env, files, volumes) = Default::default();
        Self { workload, env, files, volumes }
    }
}

/// A component as a service uses it.
pub(crate) struct Used<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) service: &'a Service,
    pub(crate) name: &'a Located<String>,
    pub(crate) version: &'a str,
    pub(crate) parameters: &'a BTreeMap<String, Located<String>>,
    pub(crate) secrets: &'a BTreeMap<String, Located<SecretName>>,
    pub(crate) grants: &'a [compose::Grant],
    pub(crate) versions: Option<&'a BTreeMap<String, u64>>,
}

/// A unit of an image.
pub(crate) fn of_image(
    scope: &Scope<'_>,
    markers: &mut Markers,
    image: &Located<String>,
    command: Option<&[Located<String>]>,
) -> Result<Unit, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let reference = scope
        .plain(markers, &image.value, &image.at, "an image reference")
        .and_then(|text| image_reference(text, &image.at))
        .map_err(|error| found.push(error))
        .unwrap_or_default();
    let command = command.map(|words| texts(scope, markers, words, &mut found));
    if !found.is_empty() {
        return Err(found);
    }
    let container = ContainerSpec { image: reference, command, ..ContainerSpec::default() };
    Ok(Unit::bare(Workload::Container(container)))
}

/// A native process.
pub(crate) fn of_process(
    scope: &Scope<'_>,
    markers: &mut Markers,
    argv: &[Located<String>],
) -> Result<Unit, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let argv = texts(scope, markers, argv, &mut found);
    if found.is_empty() { Ok(Unit::bare(Workload::Process { argv })) } else { Err(found) }
}

fn texts(
    scope: &Scope<'_>,
    markers: &mut Markers,
    words: &[Located<String>],
    found: &mut Vec<Diagnostic>,
) -> Vec<Text> {
    let mut all = Vec::new();
    for word in words {
        match scope.text(markers, &word.value, &word.at) {
            Ok(text) => all.push(text),
            Err(error) => found.push(error),
        }
    }
    all
}

fn image_reference(text: String, at: &Location) -> Result<String, Diagnostic> {
    if is_image(&text) {
        return Ok(text);
    }
    let message = format!("`{}` is not an image reference", text.escape_debug());
    let help = "write it like ghcr.io/acme/api:1.4.2";
    Err(Diagnostic::error("DN-E0509", Some(at.clone()), message).help(help))
}

/// A unit of a component.
pub(crate) fn of_component(
    used: &Used<'_>,
    mut names: Map<String, Value>,
    user: &Scope<'_>,
    markers: &mut Markers,
) -> Result<Unit, Vec<Diagnostic>> {
    let Some(component) = used.catalog.get(&used.name.value) else {
        let message = format!("there is no component `{}`", used.name.value.escape_debug());
        return Err(vec![Diagnostic::error("DN-E0510", Some(used.name.at.clone()), message)]);
    };
    if used.service.runtime != Runtime::Docker {
        let message = format!(
            "the component `{}` has no template for the runtime {}",
            used.name.value,
            used.service.runtime.as_str()
        );
        let error = Diagnostic::error("DN-E0510", Some(used.name.at.clone()), message);
        return Err(vec![error.help("write `runtime \"docker\"`")]);
    }
    let mut found = Vec::new();
    names.insert("param".to_owned(), parameters(used, component, user, markers, &mut found));
    names.insert("version".to_owned(), json!(used.version));
    names.insert("major".to_owned(), json!(major(used.version)));
    let secrets = secrets(used, component, &mut found);
    if !found.is_empty() {
        return Err(found);
    }
    let nothing = BTreeMap::new();
    let scope = Scope::new(names, Secrets::OfComponent(secrets), &nothing);
    let at = |span: &Span| component.source.at(span);
    let mut value = |raw: &str, span: &Span| scope.marked(markers, raw, &at(span));
    let blame = |errors: Vec<Diagnostic>| {
        let why = "this service uses the component";
        errors.into_iter().map(|e| e.related(used.service.at.clone(), why)).collect::<Vec<_>>()
    };
    let rendered = scalars::render(&component.template, &mut value).map_err(blame)?;
    let (project, errors) =
        compose::read(&rendered.tree, &component.source, &rendered.templated, used.grants);
    let errors: Vec<Diagnostic> = errors.into_iter().filter(Diagnostic::is_error).collect();
    if !errors.is_empty() {
        return Err(blame(errors));
    }
    let service = project.services.into_values().next().unwrap_or_default();
    container(service, markers).map_err(blame)
}

/// What was set, as values; what was not set is nothing.
fn parameters(
    used: &Used<'_>,
    component: &Component,
    user: &Scope<'_>,
    markers: &mut Markers,
    found: &mut Vec<Diagnostic>,
) -> Value {
    let ComponentSignature { parameters, .. } = &component.signature;
    let mut values = Map::new();
    for (name, declared) in parameters {
        let value = match used.parameters.get(name) {
            None => Ok(Value::Null),
            Some(set) => user.marked(markers, &set.value, &set.at).and_then(|text| {
                let text = match declared.kind {
                    ParameterKind::Text => text,
                    _ => scope::without_secrets(text, &set.at, &format!("`{name}`"))?,
                };
                typed(&declared.kind, &text).map_err(|problem| {
                    let message = format!("the parameter `{name}` cannot be this: {problem}");
                    Diagnostic::error("DN-E0508", Some(set.at.clone()), message)
                        .help("correct the value, or what its template names")
                })
            }),
        };
        match value {
            Ok(value) => drop(values.insert(name.clone(), value)),
            Err(error) => found.push(error),
        }
    }
    Value::Object(values)
}

/// The secret given for each secret parameter.
fn secrets(
    used: &Used<'_>,
    component: &Component,
    found: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Option<devnet_schema::secret::SecretRef>> {
    let mut all = BTreeMap::new();
    for name in component.signature.secrets.keys() {
        let given = used.secrets.get(name).and_then(|secret| {
            scope::reference(secret.value.as_str(), used.versions, &secret.at)
                .map_err(|error| found.push(error))
                .ok()
        });
        all.insert(name.clone(), given);
    }
    all
}

/// The number that a version begins with: 18 of `18.6-trixie`; 0 when it begins with none.
fn major(version: &str) -> u64 {
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().unwrap_or(0)
}

/// A service of a Compose file. Its texts are templates here, each of its own.
pub(crate) fn of_compose(
    scope: &Scope<'_>,
    markers: &mut Markers,
    project: (&ServiceName, &BTreeMap<String, Network>),
    service: &compose::Service,
) -> Result<Unit, Vec<Diagnostic>> {
    let mut service = service.clone();
    let mut found = Vec::new();
    service.each_text(&mut |text| match scope.marked(markers, &text.value, &text.at) {
        Ok(marked) => text.value = marked,
        Err(error) => found.push(error),
    });
    if !found.is_empty() {
        return Err(found);
    }
    let mut split = Split { markers, found };
    let container = checked(&mut split, service, Some(project));
    if !split.found.is_empty() {
        return Err(split.found);
    }
    Ok(Unit::bare(Workload::Container(container)))
}

/// The container of a service with markers, its image a reference.
fn checked(
    split: &mut Split<'_>,
    service: compose::Service,
    project: Option<(&ServiceName, &BTreeMap<String, Network>)>,
) -> ContainerSpec {
    let at = service.image.as_ref().map(|image| image.at.clone()).or(service.at.clone());
    let before = split.found.len();
    let mut container = compose::container(service, project, split);
    if let (Some(at), true) = (at, split.found.len() == before) {
        container.image = image_reference(container.image, &at).unwrap_or_else(|error| {
            split.found.push(error);
            String::new()
        });
    }
    container
}

/// A rendered Compose service as a unit. What a component's template cannot say was refused when it
/// was loaded.
fn container(mut service: compose::Service, markers: &Markers) -> Result<Unit, Vec<Diagnostic>> {
    let mut split = Split { markers, found: Vec::new() };
    let (env, files) = (std::mem::take(&mut service.env), std::mem::take(&mut service.files));
    let volumes = std::mem::take(&mut service.volumes);
    let container = checked(&mut split, service, None);
    let env = env.into_iter().map(|(name, value)| (name, split.text(value))).collect();
    let files = files.into_iter().map(|(path, file)| (path, split.file(file))).collect();
    let volumes = volumes.into_iter().map(|v| (v.value.name, v.value.path)).collect();
    if !split.found.is_empty() {
        return Err(split.found);
    }
    Ok(Unit { workload: Workload::Container(container), env, files, volumes })
}

/// Turns markers into references.
struct Split<'m> {
    markers: &'m Markers,
    found: Vec<Diagnostic>,
}

impl Split<'_> {
    fn file(&mut self, Located { value, at }: Located<compose::File>) -> FileSpec {
        let compose::File { content, mode } = value;
        let content = self.text(Located { value: content, at });
        FileSpec { content, mode }
    }
}

impl compose::Texts for Split<'_> {
    fn text(&mut self, text: Located<String>) -> Text {
        scope::split(self.markers, &text.value, &text.at).unwrap_or_else(|error| {
            self.found.push(error);
            Text::default()
        })
    }

    fn plain(&mut self, text: Located<String>, what: &str) -> String {
        scope::without_secrets(text.value, &text.at, what).unwrap_or_else(|error| {
            self.found.push(error);
            String::new()
        })
    }
}
