//! Reading typed values from the tree, with everything wrong kept for later.
//!
//! Knows scalars, lists, maps and places. Refuses to know any field by name.

use std::collections::BTreeSet;

use crate::{
    desired::Located,
    diagnostic::{Diagnostic, Location},
    file::tree::{Entry, Kind, Node, Source, Span},
};

/// What is read from, and what was found.
pub(super) struct Reader<'a> {
    source: &'a Source,
    templated: &'a BTreeSet<usize>,
    found: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source, templated: &'a BTreeSet<usize>) -> Self {
        Self { source, templated, found: Vec::new() }
    }

    /// Everything that was found, in the order of the file.
    pub(super) fn into_found(mut self) -> Vec<Diagnostic> {
        self.found.sort_by(|a, b| a.at.cmp(&b.at));
        self.found
    }

    pub(super) fn at(&self, span: &Span) -> Location {
        self.source.at(span)
    }

    /// Keeps an error.
    pub(super) fn error(&mut self, code: &str, span: &Span, message: String, help: &str) {
        let diagnostic = Diagnostic::error(code, Some(self.at(span)), message);
        self.found.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    /// Keeps a warning.
    pub(super) fn warning(&mut self, code: &str, span: &Span, message: String, help: &str) {
        let at = Some(self.at(span));
        self.found.push(Diagnostic::warning(code, at, message).help(help));
    }

    /// The wrong kind of value, or a value that does not read.
    pub(super) fn wrong(&mut self, node: &Node, what: &str, expected: &str) {
        let message = match &node.kind {
            Kind::Scalar { raw, .. } if !self.is_templated(node) => {
                format!("`{}` is not {expected}, as {what} has to be", raw.escape_debug())
            }
            Kind::Scalar { .. } => format!("what the template gives {what} is not {expected}"),
            Kind::Seq(_) => format!("{what} is a list and has to be {expected}"),
            Kind::Map(_) => format!("{what} is a map and has to be {expected}"),
        };
        self.error("DN-E0551", &node.span, message, &format!("write {expected}"));
    }

    /// Whether a template made this scalar.
    pub(super) fn is_templated(&self, node: &Node) -> bool {
        self.templated.contains(&node.span.start) && matches!(node.kind, Kind::Scalar { .. })
    }

    /// The text of a scalar that will be split; never one that a template made.
    pub(super) fn literal<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        instead: &str,
    ) -> Option<&'n str> {
        if self.is_templated(node) {
            let message = format!("{what} holds a template and would be split at what it gives");
            self.error("DN-E0552", &node.span, message, instead);
            return None;
        }
        match node.text() {
            Some(text) => Some(text),
            None => {
                self.wrong(node, what, "a text");
                None
            }
        }
    }

    /// A scalar as text.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<Located<String>> {
        match node.text() {
            Some(text) => Some(Located { value: text.to_owned(), at: self.at(&node.span) }),
            None => {
                self.wrong(node, what, "a text");
                None
            }
        }
    }

    /// A scalar read by `read`.
    pub(super) fn parsed<T>(
        &mut self,
        node: &Node,
        what: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<Located<T>> {
        match node.text().and_then(|text| read(text.trim())) {
            Some(value) => Some(Located { value, at: self.at(&node.span) }),
            None => {
                self.wrong(node, what, expected);
                None
            }
        }
    }

    /// `true` or `false`, written without quotes or made by a template.
    pub(super) fn boolean(&mut self, node: &Node, what: &str) -> bool {
        let read = |text: &str| text.parse::<bool>().ok();
        self.parsed(node, what, "`true` or `false`", read).is_some_and(|found| found.value)
    }

    /// Whether nothing was written; YAML has three ways to write nothing.
    pub(super) fn is_nothing(node: &Node) -> bool {
        matches!(&node.kind, Kind::Scalar { raw, plain: true }
            if matches!(raw.as_str(), "" | "~" | "null"))
    }

    /// The entries of a map; `x-…` is left out, and a name that repeats is an error.
    pub(super) fn map<'n>(&mut self, node: &'n Node, what: &str) -> Vec<&'n Entry> {
        if Self::is_nothing(node) {
            return Vec::new();
        }
        let Kind::Map(entries) = &node.kind else {
            self.wrong(node, what, "a map");
            return Vec::new();
        };
        let mut seen = BTreeSet::new();
        for entry in entries {
            if !seen.insert(&entry.key) {
                let message = format!("`{}` is written twice", entry.key.escape_debug());
                self.error("DN-E0553", &entry.key_span, message, "keep one of the two");
            }
        }
        entries.iter().filter(|entry| !entry.key.starts_with("x-")).collect()
    }

    /// The items of a list.
    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            Kind::Seq(items) => items,
            _ if Self::is_nothing(node) => &[],
            _ => {
                self.wrong(node, what, "a list");
                &[]
            }
        }
    }

    /// A field that nothing here reads.
    pub(super) fn unknown(&mut self, entry: &Entry, of: &str, known: &str) {
        let message = format!("{of} has no field `{}`", entry.key.escape_debug());
        self.error("DN-E0550", &entry.key_span, message, &format!("the fields are {known}"));
    }
}
