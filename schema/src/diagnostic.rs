//! Diagnostics: what is wrong with a file, where, and what to do about it.
//!
//! Knows places in files and the text forms, with and without the line they are about. Refuses to
//! know terminals and to choose colours: whoever has a terminal paints.

use std::{fmt, sync::Arc};

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
    /// Path relative to the configuration's root. All places of a file share it: there are more
    /// places than anything else in a large configuration.
    #[serde(with = "shared")]
    pub file: Arc<str>,
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

/// A value and the place it was written at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where.
    pub at: Location,
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
            file: file.into(),
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

/// A shared text as a text.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(from).map(Arc::from)
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

/// What a part of a drawn diagnostic is, for whoever paints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// The word for an error.
    Error,
    /// The word for a warning.
    Warning,
    /// The message.
    Message,
}

impl Diagnostic {
    /// The form for a terminal: place, code and message, the line in `text` with carets under what
    /// is meant, related places, and what to do. `paint` may add colours and nothing else.
    pub fn drawn(&self, text: Option<&str>, paint: &dyn Fn(Tone, &str) -> String) -> String {
        let Self { severity, code, message, at, help, related } = self;
        let word = match severity {
            Severity::Error => paint(Tone::Error, "Error"),
            Severity::Warning => paint(Tone::Warning, "Warning"),
        };
        let place =
            at.as_ref().map_or(String::new(), |at| format!("{}: ", printable(&at.to_string())));
        let message = paint(Tone::Message, &printable(message));
        let mut out = format!("{place}{word} {code}: {message}\n");
        let line = at.as_ref().zip(text).and_then(|(at, text)| snippet(at, text));
        out.push_str(&line.unwrap_or_default());
        for (at, why) in related {
            out.push_str(&format!("  {}: {}\n", printable(&at.to_string()), printable(why)));
        }
        if let Some(help) = help {
            out.push_str(&format!("  help: {}\n", printable(help)));
        }
        out
    }
}

/// Whether a terminal would obey a character instead of showing it.
fn hostile(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with control characters and changes of direction made visible, line ends and tabs kept.
/// Names, log lines and errors come from files, nodes and images: they must not drive a terminal.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hostile(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// The most characters of a line that are shown.
const WIDTH: usize = 120;

/// The line of `at` in `text`, with carets under what is meant. Of a long line, what is around it.
fn snippet(at: &Location, text: &str) -> Option<String> {
    let line = text.lines().nth(at.line.checked_sub(1)? as usize)?;
    let column = at.column.saturating_sub(1) as usize;
    let length = line.chars().count();
    let marked = text
        .get(at.start..at.end)
        .map_or(1, |span| span.lines().next().map_or(1, |first| first.chars().count()));
    let from = if length > WIDTH { column.saturating_sub(WIDTH / 3) } else { 0 };
    let shown: Vec<char> = line.chars().skip(from).take(WIDTH).collect();
    let split = column.saturating_sub(from).min(shown.len());
    let end = (split + marked.max(1)).min(shown.len().max(split + 1));
    let indent: String = shown[..split]
        .iter()
        .map(|c| match c {
            '\t' => "\t".to_owned(),
            c => " ".repeat(printable(&c.to_string()).chars().count()),
        })
        .collect();
    let under: String = shown[split..end.min(shown.len())].iter().collect();
    let carets = "^".repeat(printable(&under).chars().count().max(1));
    let (before, after) =
        (if from > 0 { "…" } else { "" }, if from + shown.len() < length { "…" } else { "" });
    let shift = if from > 0 { " " } else { "" };
    let (number, margin) = (at.line, " ".repeat(at.line.to_string().len()));
    let shown = printable(&shown.into_iter().collect::<String>());
    Some(format!("  {number} | {before}{shown}{after}\n  {margin} | {shift}{indent}{carets}\n"))
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

    fn drawn(text: &str, needle: &str) -> Vec<String> {
        let start = text.find(needle).unwrap();
        let at = Location::of("c.kdl", text, start, start + needle.len());
        let found = Diagnostic::error("DN-E0203", Some(at), "no").help("write 1");
        let drawn = found.drawn(Some(text), &|_, text| text.to_owned());
        drawn.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_line_and_carets_are_shown() {
        let expected = [
            "c.kdl:2:12: Error DN-E0203: no",
            "  2 |   replicas xyz",
            "    |            ^^^",
            "  help: write 1",
        ];
        assert_eq!(drawn("cluster \"a\"\n  replicas xyz\n", "xyz"), expected);
        let tabs = drawn("\tx\u{202e}\ty", "y");
        assert_eq!(tabs[1..3], ["  1 | \tx\\u{202e}\ty", "    | \t         \t^"]);
    }

    #[test]
    fn of_a_long_line_the_part_around_the_mark_is_shown() {
        let text = format!("{}here{}", "é".repeat(500), "b".repeat(500));
        let lines = drawn(&text, "here");
        assert_eq!(
            lines[1].find("here").map(|at| lines[1][..at].chars().count()),
            lines[2].find('^')
        );
        assert!(lines[1].chars().count() < 140 && lines[2].ends_with("^^^^"), "{lines:#?}");
    }

    #[test]
    fn escape_sequences_are_shown_not_sent() {
        assert_eq!(printable("a\x1b]0;x\x07\tb\n"), "a\\u{1b}]0;x\\u{7}\tb\n");
        assert_eq!(printable("\u{202e}"), "\\u{202e}");
    }
}
