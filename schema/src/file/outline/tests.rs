//! What is accepted here, the `kdl` crate reads too, and as the same.
//!
//! Knows tokens, right and wrong. The crate is the judge, and not used for anything else.

use kdl::{KdlDocument, KdlEntry, KdlIdentifier, KdlNode, KdlValue};
use proptest::prelude::*;

use crate::file::{
    kdl::from_kdl,
    tree::{Entry, Kind, Node, Source, Span},
};

/// Tokens, right and wrong, between `|`.
const TOKENS: &str = "a|b | |\n|;|{|}|{}|/-|/- |/*x*/|//c\n|\"s\"|#true|true|1|1a|-|.|+1|0x|=|\
    a=1| p=\"v\"|\\\n|\\|\r\n|#|\"\\q\"|\"\\u{110000}\"|\u{a0}|'|,|<|é|inf|#inf|#\"r\"#|(|]|\
    \"\"\"x\"\"\"|\"\"\"\n x\n \"\"\"|\"\"\"\nx\n \"\"\"|#\"\"\"\n x\n \"\"\"#|#null |\
    \"\\u{e9}\\s\"|\
    \"a\\  \n  b\"|\"\"\"\n  \\\"x\n\n   y\\n\n  \"\"\"|\"\"\"\r\n x\r\n \"\"\"|\
    ##\"#\"##| k=#false | x";

/// The tree that the crate makes of a text.
struct Judge<'a> {
    text: &'a str,
}

impl Judge<'_> {
    fn document(&self, document: &KdlDocument) -> Vec<Entry> {
        document.nodes().iter().map(|node| self.node(node)).collect()
    }

    fn node(&self, node: &KdlNode) -> Entry {
        let key_span = span_of(node.name());
        let end = node.span().offset() + node.span().len();
        let mut entries: Vec<Entry> = node.entries().iter().map(Self::entry).collect();
        let bare = entries.iter().all(|entry| entry.key.is_empty());
        let span = key_span.start..end.min(self.text.len());
        let value = match (node.children(), bare, entries.len()) {
            (None, true, 0) => Node::scalar("", true, key_span.clone()),
            (None, true, 1) => entries.remove(0).value,
            (None, true, _) => {
                let start = entries[0].value.span.start;
                let items = entries.into_iter().map(|entry| entry.value).collect();
                Node { kind: Kind::Seq(items), span: start..span.end }
            }
            (children, ..) => {
                entries.extend(children.into_iter().flat_map(|inner| self.document(inner)));
                Node { kind: Kind::Map(entries), span }
            }
        };
        Entry { key: node.name().value().to_owned(), key_span, value }
    }

    fn entry(entry: &KdlEntry) -> Entry {
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
}

fn span_of(name: &KdlIdentifier) -> Span {
    name.span().offset()..name.span().offset() + name.span().len()
}

/// The crate counts blanks and comments behind a node as a part of it; they are cut off here.
fn cut(text: &str, ours: &Node, theirs: &mut Node) {
    let behind = text.get(ours.span.end..theirs.span.end).unwrap_or("");
    let behind = ["/*x*/", "//c", "\\"].iter().fold(behind.to_owned(), |b, c| b.replace(c, ""));
    if behind.trim().is_empty() && theirs.span.end >= ours.span.end {
        theirs.span.end = ours.span.end;
    }
    match (&ours.kind, &mut theirs.kind) {
        (Kind::Map(ours), Kind::Map(theirs)) => {
            ours.iter().zip(theirs).for_each(|(o, t)| cut(text, &o.value, &mut t.value));
        }
        (Kind::Seq(ours), Kind::Seq(theirs)) => {
            ours.iter().zip(theirs).for_each(|(o, t)| cut(text, o, t));
        }
        _ => {}
    }
}

/// Whether both say the same of a text that is accepted here.
fn agree(text: &str) -> Result<(), TestCaseError> {
    let Ok(ours) = from_kdl(&Source::new("c.kdl", text)) else { return Ok(()) };
    let document = KdlDocument::parse_v2(text);
    prop_assert!(document.is_ok(), "the crate refuses {text:?}");
    let theirs = document.map(|document| Judge { text }.document(&document)).unwrap_or_default();
    let mut theirs = Node { kind: Kind::Map(theirs), span: 0..text.len() };
    cut(text, &ours, &mut theirs);
    prop_assert_eq!(ours, theirs, "{:?}", text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_accepted_here_the_crate_reads_as_the_same(
        tokens in prop::collection::vec(
            prop::sample::select(TOKENS.split('|').collect::<Vec<_>>()),
            0..14,
        ),
    ) {
        agree(&tokens.concat())?;
    }
}

#[test]
fn what_people_write_is_read_as_the_crate_reads_it() {
    for text in [
        "a /* one\n two */ b=1 /- c=2 /-{ d }\n/- e {\n f\n}\ng { h; i \"\\u{e9}\"; }",
        "a \\ // joined\n  b = \"c\" /-\n d\n",
        "a \"\"\"\n    x\n      \\\\ y\n    \"\"\" #\"\\\"# -1.5e3 0xff_ff",
        "\u{feff}\"quoted name\" {} // end",
        "a 1 /-2 3 /-k=4 l=5 /-{ b } { c } /-{ d }",
        include_str!("../../validate/tests/full.kdl"),
        include_str!("../../../../cluster.kdl.example"),
    ] {
        from_kdl(&Source::new("c.kdl", text)).unwrap_or_else(|e| panic!("{text}: {e:#?}"));
        // Comments other than those of `cut` are cut off first.
        let bare: Vec<&str> = text.lines().map(|l| l.split(" // ").next().unwrap_or(l)).collect();
        agree(&bare.join("\n").replace("/* one\n two */", "")).unwrap_or_else(|e| panic!("{e}"));
    }
}
