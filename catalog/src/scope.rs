//! Scopes: what a template may name, and rendering one text in it.
//!
//! Knows names, their values and the rule for secrets. Refuses to know the values of secrets, and
//! where in a unit a text ends up.

use std::collections::BTreeMap;

use devnet_schema::{
    diagnostic::{Diagnostic, Location},
    name::SecretName,
    secret::{SecretRef, Text},
    template::{self, Path, Translated},
};
use serde_json::{Map, Value};
use tera::Context;

use crate::{
    engine::Engine,
    marker::{self, Markers},
};

/// What `secret.x` means.
#[derive(Debug, Clone)]
pub(crate) enum Secrets<'a> {
    /// In the cluster file: the secret of that name, with the versions there are. `None` when no
    /// control plane was asked.
    OfCluster(Option<&'a BTreeMap<String, u64>>),
    /// In a component: its parameter of that name, and what was given for it.
    OfComponent(BTreeMap<String, Option<SecretRef>>),
}

/// What a template may name.
pub(crate) struct Scope<'a> {
    names: Map<String, Value>,
    context: Context,
    secrets: Secrets<'a>,
    /// Why a service has no address, by service.
    absent: &'a BTreeMap<String, &'static str>,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(
        names: Map<String, Value>,
        secrets: Secrets<'a>,
        absent: &'a BTreeMap<String, &'static str>,
    ) -> Self {
        let context = names.iter().fold(Context::new(), |mut context, (name, value)| {
            context.insert(name.clone(), value);
            context
        });
        Self { names, context, secrets, absent }
    }

    /// The text that a template makes, secrets as references.
    ///
    /// # Errors
    /// What is wrong with the template, at `at`.
    pub(crate) fn text(
        &self,
        markers: &mut Markers,
        template: &str,
        at: &Location,
    ) -> Result<Text, Diagnostic> {
        let marked = self.marked(markers, template, at)?;
        split(markers, &marked, at)
    }

    /// The text that a template makes where no secret may be.
    ///
    /// # Errors
    /// What is wrong with the template, or that it holds a secret.
    pub(crate) fn plain(
        &self,
        markers: &mut Markers,
        template: &str,
        at: &Location,
        what: &str,
    ) -> Result<String, Diagnostic> {
        let marked = self.marked(markers, template, at)?;
        without_secrets(marked, at, what)
    }

    /// The text that a template makes, with markers for secrets: for use in another template.
    ///
    /// # Errors
    /// What is wrong with the template, at `at`.
    pub(crate) fn marked(
        &self,
        markers: &mut Markers,
        template: &str,
        at: &Location,
    ) -> Result<String, Diagnostic> {
        if marker::is_reserved(template) {
            return Err(reserved(at, "this text"));
        }
        if !template::is_template(template) {
            return Ok(template.to_owned());
        }
        let Translated { text, paths, .. } = template::translate(template).map_err(|fault| {
            Diagnostic::error("DN-E0501", Some(at.clone()), fault.message).help(fault.help)
        })?;
        let mut context = self.context.clone();
        let mut secrets = BTreeMap::new();
        for path in paths {
            if path.root == "secret" {
                let (name, value) = self.secret(markers, &path, at)?;
                secrets.insert(name, value);
            } else {
                self.known(&path, at)?;
            }
        }
        context.insert("secret", &secrets);
        Engine::shared().render(&text, &context).map_err(|problem| {
            let message = format!("the template cannot be rendered: {problem}");
            let help = "correct the expression, or write the text without it";
            Diagnostic::error("DN-E0501", Some(at.clone()), message).help(help)
        })
    }

    /// The marker for a secret that a template names, or nothing for a parameter not given.
    fn secret(
        &self,
        markers: &mut Markers,
        path: &Path,
        at: &Location,
    ) -> Result<(String, Option<String>), Diagnostic> {
        let [name] = path.rest.as_slice() else {
            let message = "a template has to name a secret";
            let help = "write `{{ secret.NAME }}`";
            return Err(Diagnostic::error("DN-E0503", Some(at.clone()), message).help(help));
        };
        let secret = match &self.secrets {
            Secrets::OfComponent(given) => match given.get(name) {
                Some(secret) => secret.clone(),
                None => {
                    return Err(unknown(at, "secret", name, given.keys().map(String::as_str)));
                }
            },
            Secrets::OfCluster(_) if !path.alone => {
                let message = format!(
                    "`secret.{}` is used for more than its value, which is not known here",
                    name.escape_debug()
                );
                let help = format!("write `{{{{ secret.{name} }}}}` and nothing else inside");
                return Err(Diagnostic::error("DN-E0504", Some(at.clone()), message).help(help));
            }
            Secrets::OfCluster(versions) => Some(reference(name, *versions, at)?),
        };
        Ok((name.clone(), secret.map(|secret| markers.mark(secret))))
    }

    /// Whether a path names something; an optional one need not.
    fn known(&self, path: &Path, at: &Location) -> Result<(), Diagnostic> {
        let Some(mut value) = self.names.get(&path.root) else {
            let roots = self.names.keys().map(String::as_str).chain(["secret"]);
            return Err(unknown(at, "", &path.root, roots));
        };
        let mut before = path.root.clone();
        for part in &path.rest {
            // An index into a list, a letter of a text: tera says what is wrong with those.
            let Value::Object(map) = value else { break };
            match map.get(part) {
                Some(next) => value = next,
                None if path.optional => break,
                None => {
                    let error = unknown(at, &before, part, map.keys().map(String::as_str));
                    let service = path.rest.first().filter(|_| path.root == "service");
                    return Err(match service.and_then(|name| self.absent.get(name)) {
                        Some(reason) if map.is_empty() => error.help(*reason),
                        _ => error,
                    });
                }
            }
            before = format!("{before}.{part}");
        }
        Ok(())
    }
}

/// A secret by name, in the version there is.
///
/// # Errors
/// When it is no name, or there is no such secret.
pub(crate) fn reference(
    name: &str,
    versions: Option<&BTreeMap<String, u64>>,
    at: &Location,
) -> Result<SecretRef, Diagnostic> {
    let name: SecretName = name.parse().map_err(|error| {
        let error = Diagnostic::error("DN-E0503", Some(at.clone()), format!("{error}"));
        error.help("name a secret that is set")
    })?;
    match versions.map(|versions| versions.get(name.as_str())) {
        None => Ok(SecretRef { name, version: 0 }),
        Some(Some(version)) => Ok(SecretRef { name, version: *version }),
        Some(None) => {
            let message = format!("the secret `{name}` has no value");
            let help = format!("give it one with `devnet secret set {name}`");
            Err(Diagnostic::error("DN-E0502", Some(at.clone()), message).help(help))
        }
    }
}

/// A rendered text with its secrets as references.
///
/// # Errors
/// When a filter changed what stands for a secret.
pub(crate) fn split(markers: &Markers, marked: &str, at: &Location) -> Result<Text, Diagnostic> {
    markers.split(marked).ok_or_else(|| {
        let message = "a filter changes a secret, whose value is not known here";
        let help = "use the secret as it is, without filters";
        Diagnostic::error("DN-E0504", Some(at.clone()), message).help(help)
    })
}

/// A rendered text that may not hold a secret.
///
/// # Errors
/// When it does.
pub(crate) fn without_secrets(
    marked: String,
    at: &Location,
    what: &str,
) -> Result<String, Diagnostic> {
    if marker::is_reserved(&marked) {
        let message = format!("a secret cannot be part of {what}: it would be seen by everyone");
        let help = "put it into `env` or into a file";
        return Err(Diagnostic::error("DN-E0506", Some(at.clone()), message).help(help));
    }
    Ok(marked)
}

/// A text holds characters that stand for secrets.
pub(crate) fn reserved(at: &Location, what: &str) -> Diagnostic {
    let message = format!("{what} holds U+10DE70 or U+10DE71, which devnet keeps for itself");
    Diagnostic::error("DN-E0507", Some(at.clone()), message).help("leave these characters out")
}

fn unknown<'n>(
    at: &Location,
    before: &str,
    name: &str,
    known: impl Iterator<Item = &'n str>,
) -> Diagnostic {
    let mut known: Vec<&str> = known.collect();
    known.sort_unstable();
    let dot = if before.is_empty() { "" } else { "." };
    let message = format!("`{before}{dot}{}` is not known here", name.escape_debug());
    let help = match known.as_slice() {
        [] => "there is none".to_owned(),
        some if some.len() > 20 => format!("known are {} and more", some[..20].join(", ")),
        some => format!("known are {}", some.join(", ")),
    };
    Diagnostic::error("DN-E0503", Some(at.clone()), message).help(help)
}
