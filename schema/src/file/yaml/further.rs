//! Syntax errors behind the first one of a YAML file.
//!
//! Knows how a file is indented: entries of the whole and of its sections begin lines of their own,
//! and each can be read alone. Refuses to know what any of it says, and to guess within brackets.

use granit_parser::Parser;

use super::syntax;
use crate::{
    diagnostic::Diagnostic,
    file::{limits::Limits, tree::Source},
};

/// At most `most` errors behind the one at `from`, the first of each part that can be read alone.
pub fn errors(source: &Source, from: usize, limits: &Limits, most: usize) -> Vec<Diagnostic> {
    let (text, mut from, mut found) = (source.text.as_str(), from, Vec::new());
    let unit = lines(text, 0).map(|(_, line)| indent(line)).find(|indent| *indent > 0);
    while found.len() < most
        && let Some((start, deep)) = entry(text, from, unit.unwrap_or(0))
    {
        let Some(end) = end(text, start, deep) else { break };
        let Some((error, at)) = first(&text[start..end]) else {
            from = end.saturating_sub(1);
            continue;
        };
        from = start + at;
        found.push(syntax(source, &error, from, limits));
    }
    found
}

/// The lines of a text from `from` on that are neither blank nor comments, with their places.
fn lines(text: &str, from: usize) -> impl Iterator<Item = (usize, &str)> {
    let mut at = from;
    let all = text[from..].split_inclusive('\n').map(move |line| {
        at += line.len();
        (at - line.len(), line)
    });
    all.filter(|(_, line)| !matches!(line.trim_start().as_bytes().first(), None | Some(b'#')))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The next line behind that of `from` that begins an entry, and how deep it stands.
fn entry(text: &str, from: usize, unit: usize) -> Option<(usize, usize)> {
    let behind = from + text.get(from..)?.find('\n')? + 1;
    let mut all = lines(text, behind).take_while(|(_, line)| !line.starts_with(['-', '.']));
    all.find_map(|(at, line)| {
        let deep = indent(line);
        let (name, rest) = line.trim().split_once(':')?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let named = !name.is_empty() && name.chars().all(plain);
        let begins = rest.is_empty() || rest.starts_with(' ');
        let known = deep == 0 || deep == unit;
        (known && named && begins && !rest.ends_with(',')).then_some((at, deep))
    })
}

/// Where the entries end that stand this deep. `None` when they stand in brackets.
fn end(text: &str, start: usize, deep: usize) -> Option<usize> {
    for (at, line) in lines(text, start) {
        if indent(line) < deep {
            return Some(at);
        }
        if indent(line) == deep && line.trim_start().starts_with(['}', ']']) {
            return None;
        }
    }
    Some(text.len())
}

/// The first error of a part, and where it is. What is named with `&` may stand elsewhere.
fn first(part: &str) -> Option<(granit_parser::ScanError, usize)> {
    let options = granit_parser::options! {
        emit_comments: false,
        disallow_directives: true,
        emit_unresolved_aliases: true,
    };
    let error = Parser::new_from_str_with_options(part, options).find_map(Result::err)?;
    let at = error.marker().byte_offset().unwrap_or(part.len());
    Some((error, at))
}
