//! The one spanned tree that KDL and YAML are read into.
//!
//! Knows scalars, lists, maps and where each was written. Refuses to know what any of them means:
//! a scalar stays the text that was written until someone reads it as a type; and who reads what
//! into it: `kdl` and `yaml` know the tree, and it knows neither.

use std::{ops::Range, sync::Arc};

use super::unread::Unread;
use crate::diagnostic::{Diagnostic, Location};

/// Byte offsets in one file.
pub type Span = Range<usize>;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// KDL 2.
    Kdl,
    /// YAML 1.2.
    Yaml,
}

impl Form {
    /// The form that a file's name says it has. An example is of the form that it will be copied
    /// to: `cluster.kdl.example` is KDL.
    pub fn of(path: &str) -> Option<Self> {
        match path.strip_suffix(".example").unwrap_or(path).rsplit_once('.')?.1 {
            "kdl" => Some(Self::Kdl),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }
}

/// A text, read as far as it could be.
#[derive(Debug, Clone)]
pub struct Read {
    /// What it says.
    pub tree: Node,
    /// What is wrong with its syntax, sorted by place.
    pub errors: Vec<Diagnostic>,
    /// Where the tree may not be what was meant, because of those errors.
    pub doubtful: Vec<Span>,
    /// What could not be read: names may be declared there that are missing from the tree.
    pub unread: Vec<Span>,
    /// Whether it was read to its end.
    pub whole: bool,
    /// How many values were read, those that aliases repeat included.
    pub values: usize,
}

impl Read {
    /// The tree of a text without errors.
    ///
    /// # Errors
    /// The errors.
    pub fn result(self) -> Result<Node, Vec<Diagnostic>> {
        if self.errors.is_empty() { Ok(self.tree) } else { Err(self.errors) }
    }

    /// Adds what is wrong with single characters. Nothing else is said of their lines.
    pub fn strange(&mut self, source: &Source, found: Vec<Diagnostic>) {
        let lines: Vec<u32> =
            found.iter().filter_map(|error| Some(error.at.as_ref()?.line)).collect();
        // What stands in its place may be a mistake, too.
        self.errors.retain(|error| {
            error.at.as_ref().is_none_or(|at| lines.binary_search(&at.line).is_err())
        });
        for error in found {
            let line = error.at.as_ref().map_or(0..0, |at| source.line(at.line));
            self.doubtful.push(line.clone());
            self.unread.push(line);
            self.errors.push(error);
        }
        self.errors.sort_by(|a, b| a.at.cmp(&b.at));
    }

    /// The words of what could not be read.
    pub fn unread_words(&self, source: &Source) -> Unread {
        let mut unread = Unread::default();
        for span in &self.unread {
            unread.note(source.text.get(span.clone()).unwrap_or_default());
        }
        unread
    }

    /// Whether a finding about the tree is more than an echo of a syntax error.
    pub fn trusts(&self, found: &Diagnostic) -> bool {
        match &found.at {
            Some(at) => !self.doubtful.iter().any(|span| span.contains(&at.start)),
            None => true,
        }
    }
}

/// One value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The value.
    pub kind: Kind,
    /// Where.
    pub span: Span,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A single value, as text.
    Scalar {
        /// The text: of a quoted string its content, of anything else exactly what was written.
        raw: String,
        /// Whether it was written without quotes, so that it may be a number, `true` or `false`.
        /// A KDL string without quotes counts as quoted: KDL says it is a string.
        plain: bool,
    },
    /// Values in order.
    Seq(Vec<Node>),
    /// Named values in order. From KDL, a name may repeat (repeated nodes), and the arguments of a
    /// node that has more than arguments are entries with an empty name.
    Map(Vec<Entry>),
}

/// A named value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub key: String,
    /// Where the name was written.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A scalar.
    pub fn scalar(raw: impl Into<String>, plain: bool, span: Span) -> Self {
        Self { kind: Kind::Scalar { raw: raw.into(), plain }, span }
    }

    /// Whether nothing was written: an empty YAML value, or a KDL node with only a name.
    pub fn is_empty(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { raw, plain: true } if raw.is_empty())
    }

    /// The entries of a map; nothing for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; nothing for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::Seq(items) => items,
            _ => &[],
        }
    }

    /// The first entry of that name.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { raw, .. } => Some(raw),
            _ => None,
        }
    }
}

/// Bytes between two places where the characters before are counted in advance.
const STRIDE: usize = 1024;

/// A file's text, ready to turn offsets into places. One lookup counts at most a kilobyte, however
/// long the file or its lines are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Path relative to the configuration's root.
    pub file: Arc<str>,
    /// Its content.
    pub text: String,
    lines: Vec<usize>,
    characters: Vec<usize>,
}

impl Source {
    /// Prepares `text`, the content of `file`.
    pub fn new(file: impl Into<Arc<str>>, text: impl Into<String>) -> Self {
        let (file, text) = (file.into(), text.into());
        let lines = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1))
            .collect();
        let mut characters = Vec::with_capacity(text.len() / STRIDE + 1);
        let mut count = 0;
        for block in text.as_bytes().chunks(STRIDE) {
            characters.push(count);
            count += starts(block);
        }
        if characters.is_empty() {
            characters.push(0);
        }
        Self { file, text, lines, characters }
    }

    /// The place of `span`. Offsets past the end count as the end.
    pub fn at(&self, span: &Span) -> Location {
        let mut start = span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let line = self.lines.partition_point(|&from| from <= start).max(1);
        let column = self.before(start) - self.before(self.lines[line - 1]);
        Location {
            file: self.file.clone(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column + 1).unwrap_or(u32::MAX),
            start,
            end: span.end.clamp(start, self.text.len()),
        }
    }

    /// The line of that number, which counts from 1.
    pub fn line(&self, number: u32) -> Span {
        let place = |line: usize| self.lines.get(line).copied().unwrap_or(self.text.len());
        let number = number as usize;
        place(number.saturating_sub(1))..place(number)
    }

    /// Characters before a byte offset.
    fn before(&self, offset: usize) -> usize {
        let block = (offset / STRIDE).min(self.characters.len() - 1);
        self.characters[block] + starts(&self.text.as_bytes()[block * STRIDE..offset])
    }
}

/// How many characters begin in these bytes of UTF-8.
fn starts(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| (**b & 0xC0) != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_form() {
        for (name, form) in [
            ("cluster.kdl", Some(Form::Kdl)),
            ("a/b.yml", Some(Form::Yaml)),
            ("cluster.kdl.example", Some(Form::Kdl)),
            ("cluster.yaml.example", Some(Form::Yaml)),
            ("kdl", None),
            ("kdl.example", None),
            ("x.example", None),
            ("x.kdl.example.example", None),
        ] {
            assert_eq!(Form::of(name), form, "{name}");
        }
    }

    #[test]
    fn places_agree_with_counting_from_the_start() {
        let text = "wéb\n".repeat(700) + &"é".repeat(2000);
        let source = Source::new("f", text.clone());
        for offset in (0..text.len() + 5).step_by(7) {
            let span = offset..offset + 1;
            let counted = Location::of("f", &text, span.start, span.end);
            assert_eq!(source.at(&span), counted, "{offset}");
        }
        assert_eq!(Source::new("f", "").at(&(3..4)).to_string(), "f:1:1");
    }
}
