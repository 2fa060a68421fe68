//! Secrets as everything but the agent sees them: a name and a version, never a value.
//!
//! Knows references and texts that contain them. Refuses to print a value: [`Sensitive`] has one
//! and shows only that it is there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::SecretName;

/// One version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretRef {
    /// Its name.
    pub name: SecretName,
    /// From 1, and up by one whenever the value changes. 0 where no control plane was asked.
    pub version: u64,
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret {} version {}", self.name, self.version)
    }
}

/// A part of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Literal text.
    Plain(String),
    /// The value of a secret, filled in by the agent just before use.
    Secret(SecretRef),
}

/// A text that may contain secrets by reference.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(pub Vec<Part>);

impl Text {
    /// A text without secrets.
    pub fn plain(text: impl Into<String>) -> Self {
        Self(vec![Part::Plain(text.into())])
    }

    /// The secrets it needs, in order, repeated when they repeat.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.0.iter().filter_map(|part| match part {
            Part::Plain(_) => None,
            Part::Secret(secret) => Some(secret),
        })
    }

    /// The text with every secret filled in by `value`.
    ///
    /// # Errors
    /// The first secret that has none.
    pub fn resolve<'a>(
        &self,
        value: impl Fn(&SecretRef) -> Option<&'a str>,
    ) -> Result<Sensitive<String>, &SecretRef> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Plain(text) => out.push_str(text),
                Part::Secret(secret) => out.push_str(value(secret).ok_or(secret)?),
            }
        }
        Ok(Sensitive(out))
    }
}

impl fmt::Display for Text {
    /// Every secret reads `(sensitive value NAME v2)`: fit for plans, diffs and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Plain(text) => f.write_str(text)?,
                Part::Secret(SecretRef { name, version }) => {
                    write!(f, "(sensitive value {name} v{version})")?;
                }
            }
        }
        Ok(())
    }
}

/// A value that must not be shown. It has no `Serialize`: it cannot enter a document by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Sensitive<T>(T);

impl<T> Sensitive<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that uses it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(sensitive value)")
    }
}

impl<T> fmt::Display for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(sensitive value)")
    }
}

/// A value on its way to the one party that may have it. Unlike [`Sensitive`] it can be sent, so it
/// appears in wire messages only; like it, it is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InTransit(String);

impl InTransit {
    /// Wraps a value.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for InTransit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(sensitive value)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_shows_references_and_resolves_to_values() {
        let secret = SecretRef { name: "pw".parse().unwrap(), version: 2 };
        let text = Text(vec![Part::Plain("x:".into()), Part::Secret(secret.clone())]);
        assert_eq!(text.to_string(), "x:(sensitive value pw v2)");
        let full = text.resolve(|_| Some("hunter2")).unwrap();
        assert_eq!(full.expose(), "x:hunter2");
        assert_eq!(format!("{full} {full:?}"), "(sensitive value) (sensitive value)");
        assert_eq!(text.resolve(|_| None).unwrap_err(), &secret);
    }
}
