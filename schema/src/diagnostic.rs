//! Diagnostics: what is wrong with a file, where, and what to do about it.
//!
//! Knows places in files and the plain text form. Refuses to know terminals and colours.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing can be planned.
    Error,
    /// It can be planned, and someone should look.
    Warning,
}

/// A place in a file of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// Path relative to the configuration's root.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// Byte offset of the start.
    #[serde(default)]
    pub start: usize,
    /// Byte offset after the end.
    #[serde(default)]
    pub end: usize,
}

impl Location {
    /// The place of `start..end` in `text`, the content of `file`. Offsets past the end count as
    /// the end.
    pub fn of(file: &str, text: &str, start: usize, end: usize) -> Self {
        let mut at = start.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() as u32 + 1,
            column: before[line_start..].chars().count() as u32 + 1,
            start: at,
            end: end.clamp(at, text.len()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Stable, `DN-E0123` or `DN-W0123`; never reused for another finding.
    pub code: String,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// Where, when it has a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Location>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Other places that belong to it, each with a word on why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<(Location, String)>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &str, at: Option<Location>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: code.to_owned(),
            message: message.into(),
            at,
            help: None,
            related: Vec::new(),
        }
    }

    /// A warning.
    pub fn warning(code: &str, at: Option<Location>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, at, message) }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with a related place.
    #[must_use]
    pub fn related(mut self, at: Location, why: impl Into<String>) -> Self {
        self.related.push((at, why.into()));
        self
    }

    /// Whether it stops a plan.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    /// `cluster.kdl:4:9: error[DN-E0101]: message`, then a line of help when there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}[{}]: {}", self.code, self.message)?;
        for (at, why) in &self.related {
            write!(f, "\n  {at}: {why}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_lines() {
        let text = "a\nwéb x\n";
        let at = Location::of("f", text, text.find('x').unwrap(), text.len());
        assert_eq!(at.to_string(), "f:2:5");
        assert_eq!(Location::of("f", text, 999, 1000).line, 3);
        assert_eq!(Location::of("f", "é", 1, 2).column, 1, "inside a character is its start");
    }
}
