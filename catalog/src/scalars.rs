//! Templates in a tree: every scalar is a template of its own, so no value can ever change what is
//! around it.
//!
//! Knows the tree and the rule for optional parts. Refuses to know what the document is.
//!
//! The rule: a map with `x-when` is left out of its list or map when that scalar renders to nothing
//! or to `false`; otherwise `x-when` is taken off. When the map has `x-value` as well, that value
//! takes the place of the map.

use std::collections::BTreeSet;

use devnet_schema::{
    diagnostic::Diagnostic,
    file::tree::{Entry, Kind, Node, Span},
    template,
};

const WHEN: &str = "x-when";
const VALUE: &str = "x-value";

/// A tree with its templates rendered.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// The tree.
    pub(crate) tree: Node,
    /// Where the scalars begin that a template made.
    pub(crate) templated: BTreeSet<usize>,
}

/// Renders every scalar of `tree` with `value`.
///
/// # Errors
/// Everything that `value` refused.
pub(crate) fn render(
    tree: &Node,
    value: &mut dyn FnMut(&str, &Span) -> Result<String, Diagnostic>,
) -> Result<Rendered, Vec<Diagnostic>> {
    let mut pass = Pass { value, templated: BTreeSet::new(), found: Vec::new() };
    let root = Node { kind: Kind::Map(Vec::new()), span: tree.span.clone() };
    let tree = pass.node(tree).unwrap_or(root);
    if pass.found.is_empty() {
        Ok(Rendered { tree, templated: pass.templated })
    } else {
        Err(pass.found)
    }
}

struct Pass<'v> {
    value: &'v mut dyn FnMut(&str, &Span) -> Result<String, Diagnostic>,
    templated: BTreeSet<usize>,
    found: Vec<Diagnostic>,
}

impl Pass<'_> {
    /// A node rendered; `None` when it is left out. The depth is bounded by the tree's own limit.
    fn node(&mut self, node: &Node) -> Option<Node> {
        let span = node.span.clone();
        match &node.kind {
            Kind::Scalar { raw, plain } => Some(self.scalar(raw, *plain, span)),
            Kind::Seq(items) => {
                let items = items.iter().filter_map(|item| self.node(item)).collect();
                Some(Node { kind: Kind::Seq(items), span })
            }
            Kind::Map(entries) => self.map(entries, span),
        }
    }

    fn scalar(&mut self, raw: &str, plain: bool, span: Span) -> Node {
        if !template::is_template(raw) {
            return Node::scalar(raw, plain, span);
        }
        self.templated.insert(span.start);
        let text = (self.value)(raw, &span).unwrap_or_else(|error| {
            self.found.push(error);
            String::new()
        });
        // Quoted: what a template makes is a text, even an empty one.
        Node::scalar(text, false, span)
    }

    fn map(&mut self, entries: &[Entry], span: Span) -> Option<Node> {
        let mut value = None;
        let mut rest = Vec::new();
        for entry in entries.iter().filter(|entry| entry.key == WHEN) {
            let kept = self.node(&entry.value)?;
            if matches!(kept.text(), Some("" | "false")) {
                return None;
            }
        }
        for entry in entries.iter().filter(|entry| entry.key != WHEN) {
            let Some(kept) = self.node(&entry.value) else {
                continue;
            };
            if entry.key == VALUE {
                value = Some(kept);
            } else {
                rest.push(Entry { value: kept, ..entry.clone() });
            }
        }
        Some(value.unwrap_or(Node { kind: Kind::Map(rest), span }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: Node) -> Entry {
        Entry { key: key.into(), key_span: 0..0, value }
    }

    fn text(raw: &str) -> Node {
        Node::scalar(raw, false, 0..raw.len())
    }

    #[test]
    fn what_is_not_wanted_is_left_out_and_values_stay_values() {
        let optional = |when: &str| Node {
            kind: Kind::Map(vec![entry(WHEN, text(when)), entry("a", text("1"))]),
            span: 0..0,
        };
        let chosen = Node {
            kind: Kind::Map(vec![entry(WHEN, text("{{ yes }}")), entry(VALUE, text("{{ evil }}"))]),
            span: 0..0,
        };
        let tree = Node {
            kind: Kind::Seq(vec![optional("{{ no }}"), optional("{{ yes }}"), chosen]),
            span: 0..0,
        };
        let mut value = |raw: &str, _: &Span| {
            Ok(match raw {
                "{{ no }}" => "false".to_owned(),
                "{{ evil }}" => "a: b\n- {{ x }}".to_owned(),
                _ => "true".to_owned(),
            })
        };
        let rendered = render(&tree, &mut value).unwrap();
        let items = rendered.tree.items();
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].get("a").and_then(Node::text), Some("1"));
        assert_eq!(items[0].get(WHEN), None);
        assert_eq!(items[1].text(), Some("a: b\n- {{ x }}"));
    }
}
