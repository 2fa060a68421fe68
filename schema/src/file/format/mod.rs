//! The canonical text of a KDL file: what people wrote, comments and blank lines included, with one
//! indentation, one spacing and one way to quote.
//!
//! Knows layout. Refuses to change what a file says, and proves it for each text before it gives it
//! out. The parser's own formatter is not used: it drops blank lines and the quotes of values.

mod draw;
mod judge;
mod read;
#[cfg(test)]
mod tests;

use super::{
    kdl,
    limits::Limits,
    outline::tokens::{Token, tokens},
    scan,
    tree::{Form, Kind, Node, Source},
};
use crate::diagnostic::Diagnostic;

/// Why a file was not written anew.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// It has errors.
    #[error("it is not valid")]
    Invalid(Vec<Diagnostic>),
    /// The new text would say something else.
    #[error(
        "the new text would not say the same, which is a defect of devnet: please report the file"
    )]
    Changed,
}

/// The canonical text of the KDL file `file` that holds `bytes`.
///
/// # Errors
/// When the file is not KDL or exceeds a limit, now or with its new layout; or in the case that
/// must not happen, see [`RewriteError::Changed`].
pub fn format_kdl(file: &str, bytes: Vec<u8>, limits: &Limits) -> Result<String, RewriteError> {
    let text = |bytes| {
        let source = scan::within(file, bytes, Form::Kdl, limits);
        source.map_err(|error| RewriteError::Invalid(vec![error]))
    };
    let source = text(bytes)?;
    let tree = kdl::read(&source, limits).result().map_err(RewriteError::Invalid)?;
    let formatted = canonical(&source);
    if formatted == source.text {
        return Ok(formatted);
    }
    let again = text(formatted.into_bytes())?;
    match says_the_same(&source, &tree, &again, limits) && judge::agrees(&source.text, &again.text)
    {
        true => Ok(again.text),
        false => Err(RewriteError::Changed),
    }
}

/// Whether a KDL text that parses has a comment, or something behind `/-`.
pub(super) fn has_comments(source: &Source) -> bool {
    let dash = tokens(source).iter().any(|(_, token)| *token == Token::Dash);
    dash || !comments(source).is_empty()
}

fn canonical(source: &Source) -> String {
    draw::file(&read::body(&source.text, &tokens(source)))
}

/// Whether the values, the comments and the layout of the canonical text are those of the source.
fn says_the_same(source: &Source, tree: &Node, formatted: &Source, limits: &Limits) -> bool {
    kdl::read(formatted, limits).result().is_ok_and(|again| same(tree, &again))
        && comments(source) == comments(formatted)
        && canonical(formatted) == formatted.text
}

/// Every comment, with the line ends that canonical text has.
fn comments(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (_, token) in tokens(source) {
        match token {
            Token::Comment(comment) => found.push(comment),
            Token::Continue(comments) => found.extend(comments),
            _ => {}
        }
    }
    found.into_iter().map(|text| text.replace("\r\n", "\n").replace('\r', "\n")).collect()
}

/// Whether two trees are equal, places aside. Their depth is limited, so recursion is.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.kind, &b.kind) {
        (Kind::Scalar { .. }, Kind::Scalar { .. }) => a.kind == b.kind,
        (Kind::Seq(a), Kind::Seq(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Kind::Map(a), Kind::Map(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| a.key == b.key && same(&a.value, &b.value))
        }
        _ => false,
    }
}
