//! The `kdl` crate as the judge of two texts: what a person's file said before, and what it would
//! say after.
//!
//! Knows what the crate reads. Refuses to know comments and layout: the crate says values.

use kdl::{KdlDocument, KdlNode};

/// Whether the crate reads both, and the same of both. The texts were scanned before: what makes
/// the crate overflow or take forever does not come here.
pub(super) fn agrees(before: &str, after: &str) -> bool {
    match (said(before), said(after)) {
        (Some(before), Some(after)) => before == after,
        _ => false,
    }
}

/// What a text says, without how it is written.
fn said(text: &str) -> Option<KdlDocument> {
    let mut document = KdlDocument::parse_v2(text).ok()?;
    document.clear_format_recursive();
    document.nodes_mut().iter_mut().for_each(without_empty_blocks);
    Some(document)
}

/// `a {}` says what `a` says.
fn without_empty_blocks(node: &mut KdlNode) {
    let Some(children) = node.children_mut() else { return };
    children.nodes_mut().iter_mut().for_each(without_empty_blocks);
    if children.nodes().is_empty() {
        *node.children_mut() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_says_nothing_and_values_do() {
        let text = "a  1 k=r\n /- gone\nb \"x\" { c #true; d {}\n }\n// comment\n";
        for same in ["a 1 k=\"r\"\nb x {\n    c #true\n    d\n}\n", text] {
            assert!(agrees(text, same), "{same}");
        }
        for other in ["a 2 k=r\nb x { c #true; d; }\n", "a 1\nb x { c #true; d; }\n", "a \"\n", ""]
        {
            assert!(!agrees(text, other), "{other}");
        }
    }
}
