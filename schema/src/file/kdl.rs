//! KDL 2 text to the tree.
//!
//! Knows how KDL nodes map to names and values. Refuses to know which names exist.
//!
//! A node is a name and a value. The value is a scalar when the node has one argument and nothing
//! else, a list when it has several, and otherwise a map: arguments under the empty name, then
//! properties, then children, all in the order written.

use kdl::{KdlDocument, KdlEntry, KdlIdentifier, KdlNode, KdlValue};

use super::{
    outline,
    tree::{Entry, Kind, Node, Source, Span},
};
use crate::diagnostic::Diagnostic;

/// At most so many syntax errors are reported: after the first few they repeat themselves.
const MOST_ERRORS: usize = 20;

/// Reads KDL 2.
///
/// # Errors
/// Every syntax error, in order, when there is any.
pub fn from_kdl(source: &Source) -> Result<Node, Vec<Diagnostic>> {
    let text = outline::check(source)?;
    let document = KdlDocument::parse_v2(&text).map_err(|error| {
        let mut found: Vec<Diagnostic> =
            error.diagnostics.iter().map(|found| syntax(source, found)).collect();
        found.sort_by(|a, b| a.at.cmp(&b.at));
        found.dedup_by(|b, a| a.at == b.at);
        found.truncate(MOST_ERRORS);
        found
    })?;
    let mut reader = Reader { source, text: &text, errors: Vec::new() };
    let tree = reader.document(&document, 0..source.text.len());
    if reader.errors.is_empty() { Ok(tree) } else { Err(reader.errors) }
}

/// What the parser found and the outline did not, in our words. Where the parser's span begins
/// lines before the fault, its end is the fault.
fn syntax(source: &Source, found: &kdl::KdlDiagnostic) -> Diagnostic {
    let (start, end) = (found.span.offset(), found.span.offset() + found.span.len());
    let text = source.text.get(start..end.min(source.text.len())).unwrap_or("");
    let span = if text.contains('\n') { end..end } else { start..end };
    let what = found.message.as_deref().or(found.label.as_deref()).unwrap_or("not KDL");
    let message = format!("this is not KDL: {}", lower_first(what.trim_end_matches('.')));
    let help = found.help.clone().unwrap_or_else(|| {
        "texts with other characters than letters, digits and `-` need quotes".to_owned()
    });
    Diagnostic::error("DN-E0107", Some(source.at(&span)), message).help(help)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| c.to_lowercase().collect::<String>() + chars.as_str())
}

struct Reader<'a> {
    source: &'a Source,
    /// The text without comments.
    text: &'a str,
    errors: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn document(&mut self, document: &KdlDocument, span: Span) -> Node {
        let entries = document.nodes().iter().map(|node| self.node(node)).collect();
        Node { kind: Kind::Map(entries), span }
    }

    fn node(&mut self, node: &KdlNode) -> Entry {
        self.refuse_type(node.ty());
        let key_span = span_of(node.name());
        let end = node.span().offset() + node.span().len();
        let written = self.text.get(key_span.start..end).unwrap_or("");
        let span = key_span.start..key_span.start + written.trim_end().len();
        let mut entries: Vec<Entry> = Vec::new();
        for entry in node.entries() {
            entries.push(self.entry(entry));
        }
        let bare = entries.iter().all(|entry| entry.key.is_empty());
        let value = match (node.children(), bare, entries.len()) {
            (None, true, 0) => Node::scalar("", true, key_span.clone()),
            (None, true, 1) => entries.remove(0).value,
            (None, true, _) => {
                let start = entries[0].value.span.start;
                let items = entries.into_iter().map(|entry| entry.value).collect();
                Node { kind: Kind::Seq(items), span: start..span.end }
            }
            (children, ..) => {
                if let Some(children) = children {
                    for child in children.nodes() {
                        entries.push(self.node(child));
                    }
                }
                Node { kind: Kind::Map(entries), span }
            }
        };
        Entry { key: node.name().value().to_owned(), key_span, value }
    }

    fn entry(&mut self, entry: &KdlEntry) -> Entry {
        self.refuse_type(entry.ty());
        let end = entry.span().offset() + entry.span().len();
        let written = entry.format().map_or("", |format| format.value_repr.as_str());
        let span = end.saturating_sub(written.len())..end;
        let value = match entry.value() {
            KdlValue::String(text) => Node::scalar(text, false, span),
            KdlValue::Bool(value) => Node::scalar(value.to_string(), true, span),
            KdlValue::Null => Node::scalar("null", true, span),
            KdlValue::Integer(_) | KdlValue::Float(_) => Node::scalar(written, true, span),
        };
        let (key, key_span) = entry.name().map_or((String::new(), value.span.clone()), |name| {
            (name.value().to_owned(), span_of(name))
        });
        Entry { key, key_span, value }
    }

    fn refuse_type(&mut self, ty: Option<&KdlIdentifier>) {
        if let Some(ty) = ty {
            let at = self.source.at(&span_of(ty));
            let message = format!("the type annotation `({})` means nothing here", ty.value());
            self.errors.push(Diagnostic::error("DN-E0108", Some(at), message).help("remove it"));
        }
    }
}

fn span_of(name: &KdlIdentifier) -> Span {
    name.span().offset()..name.span().offset() + name.span().len()
}
