//! KDL 2 text to the tree.
//!
//! Knows that the outline of a text is all there is to it. Refuses to know which names exist.

use super::{
    limits::Limits,
    outline,
    tree::{Node, Read, Source},
};
use crate::diagnostic::Diagnostic;

/// Reads KDL 2.
///
/// # Errors
/// Every syntax error, in order, when there is any.
pub fn from_kdl(source: &Source) -> Result<Node, Vec<Diagnostic>> {
    read(source, &Limits::default()).result()
}

/// Reads KDL 2 as far as it is that.
pub(super) fn read(source: &Source, limits: &Limits) -> Read {
    let outline::Outline { nodes, errors, whole } = outline::scan(source, limits);
    let values = nodes.count();
    let (tree, doubtful) = nodes.finish(source.text.len());
    let unread = doubtful.clone();
    Read { tree, errors, doubtful, unread, whole, values }
}
