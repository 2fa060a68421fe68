//! The tokens of KDL text, with its comments and line ends: what the outline went over, step by
//! step.
//!
//! Knows where each token begins and ends, because the outline stopped there. Refuses to judge any:
//! texts that the outline does not let through have no tokens behind the mistake.

use super::Scanner;
use crate::file::{limits::Limits, tree::Source};

/// A token, with its text where one token of its kind differs from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// The end of a line.
    Newline,
    /// `;`
    Semicolon,
    /// `{`
    Open,
    /// `}`
    Close,
    /// `/-`
    Dash,
    /// `=`
    Equals,
    /// `\` and the line end behind it, with the comments between the two.
    Continue(Vec<&'a str>),
    /// `// …` without blanks at its end, or `/* … */`.
    Comment(&'a str),
    /// A name, text, number or keyword, as written.
    Word(&'a str),
}

/// The tokens of a text that the outline let through, each with the byte where it begins.
pub(crate) fn tokens(source: &Source) -> Vec<(usize, Token<'_>)> {
    let mut scanner = Scanner::new(source, &unlimited());
    let mut found = Vec::new();
    while scanner.at < source.text.len() {
        let start = scanner.at;
        if scanner.step().is_err() {
            break;
        }
        let token = token(source, start, scanner.at);
        found.extend(token.map(|token| (start, token)));
    }
    found
}

/// What one step went over; `None` for blanks.
fn token(source: &Source, start: usize, end: usize) -> Option<Token<'_>> {
    let text = &source.text[start..end];
    Some(match text.as_bytes().first()? {
        // The two bytes of one line end are two steps.
        b'\n' if source.text[..start].ends_with('\r') => return None,
        b'\n' | b'\r' => Token::Newline,
        b';' => Token::Semicolon,
        b'{' => Token::Open,
        b'}' => Token::Close,
        b'=' => Token::Equals,
        b'\\' => Token::Continue(comments(source, start + 1, end)),
        b'/' if text == "/-" => Token::Dash,
        b'/' => Token::Comment(comment(text)),
        _ if text.trim().is_empty() => return None,
        _ => Token::Word(text),
    })
}

fn comment(text: &str) -> &str {
    if text.starts_with("//") { text.trim_end() } else { text }
}

/// The comments between a `\` and the end of its line.
fn comments(source: &Source, start: usize, end: usize) -> Vec<&str> {
    let mut scanner = Scanner::new(source, &unlimited());
    scanner.at = start;
    let mut found = Vec::new();
    while scanner.at < end {
        let start = scanner.at;
        if scanner.rest("/") && scanner.slash().is_ok() {
            found.push(comment(&source.text[start..scanner.at]));
        } else {
            scanner.at += 1;
        }
    }
    found
}

/// The text was read within limits before.
fn unlimited() -> Limits {
    Limits { depth: usize::MAX, all_values: usize::MAX, ..Limits::default() }
}
