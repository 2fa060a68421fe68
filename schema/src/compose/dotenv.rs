//! `.env` and `env_file`: names and values, one a line.
//!
//! Knows comments, quotes and `export`. Refuses to know where the text comes from.

use super::interpolate::{Fault, Values, fill};

/// What is wrong with a line.
pub(super) struct Wrong {
    /// Byte offset of the line.
    pub(super) at: usize,
    /// Why.
    pub(super) fault: Fault,
}

/// Reads names and values in order. Values without single quotes are filled in from `values` and
/// from the lines before; with `raw`, everything after `=` is the value as it stands.
pub(super) fn read(
    text: &str,
    values: &Values,
    raw: bool,
) -> (Vec<(String, Option<String>)>, Vec<Wrong>) {
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    let mut known = values.clone();
    let mut at = 0;
    while at < text.len() {
        let line = text[at..].lines().next().unwrap_or("");
        let mut next = at + line.len() + 1;
        let content = line.trim_start();
        if !content.is_empty() && !content.starts_with('#') {
            let mut taken = line.len();
            match entry(&text[at..], raw, &mut taken) {
                Some((name, Value::Literal(value))) => {
                    known.insert(name.clone(), value.clone());
                    all.push((name, Some(value)));
                }
                Some((name, Value::Filled(value))) => match fill(&value, &known) {
                    Ok(value) => {
                        known.insert(name.clone(), value.clone());
                        all.push((name, Some(value)));
                    }
                    Err(fault) => wrong.push(Wrong { at, fault }),
                },
                Some((name, Value::None)) => all.push((name, None)),
                None => wrong.push(Wrong { at, fault: Fault::NoEntry }),
            }
            next = at + taken + 1;
        }
        at = next;
    }
    (all, wrong)
}

enum Value {
    Literal(String),
    Filled(String),
    None,
}

/// The entry that `text` begins with; `taken` becomes how much of it that is.
fn entry(text: &str, raw: bool, taken: &mut usize) -> Option<(String, Value)> {
    let line = &text[..*taken];
    let line = line.strip_suffix('\r').unwrap_or(line);
    let lead = line.len() - line.trim_start().len();
    let body = line[lead..].strip_prefix("export ").unwrap_or(&line[lead..]);
    let Some((name, value)) = body.split_once('=') else {
        let name = body.trim_end();
        return is_name(name).then(|| (name.to_owned(), Value::None));
    };
    let name = name.trim_end();
    if !is_name(name) {
        return None;
    }
    if raw {
        return Some((name.to_owned(), Value::Literal(value.to_owned())));
    }
    let value = value.trim_start();
    let start = line.len() - value.len();
    let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let Some(quote) = quote else {
        let end = value.find(" #").unwrap_or(value.len());
        return Some((name.to_owned(), Value::Filled(value[..end].trim_end().to_owned())));
    };
    // What is quoted may go on in further lines.
    let inside = &text[start + 1..];
    let end = end_of_quote(inside, quote)?;
    let line_end = inside[end..].find('\n').map_or(text.len(), |at| start + 1 + end + at);
    let rest = text[start + 1 + end + 1..line_end].trim();
    if !rest.is_empty() && !rest.starts_with('#') {
        return None;
    }
    *taken = line_end;
    let inside = &inside[..end];
    let value = if quote == '\'' {
        Value::Literal(inside.to_owned())
    } else {
        Value::Filled(unescaped(inside))
    };
    Some((name.to_owned(), value))
}

fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(known)
}

fn end_of_quote(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('t')) => out.push('\t'),
            // A dollar sign that was escaped stands for itself.
            ('\\', Some('$')) => out.push_str("$$"),
            ('\\', Some(other @ ('"' | '\\'))) => out.push(other),
            ('\\', Some(other)) => out.extend(['\\', other]),
            (other, _) => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_and_values() {
        let text = "# note\nA=1\n  export B = two words # note\r\nC='$A # x'\nD=\"a\\n${A}\\$\"\n\
                    E=\"two\nlines\"\nF\nG=\nH=${G:-$B}\n\n";
        let values = Values::new();
        let (all, wrong) = read(text, &values, false);
        let all: Vec<(&str, Option<&str>)> =
            all.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        assert!(wrong.is_empty());
        assert_eq!(
            all,
            [
                ("A", Some("1")),
                ("B", Some("two words")),
                ("C", Some("$A # x")),
                ("D", Some("a\n1$")),
                ("E", Some("two\nlines")),
                ("F", None),
                ("G", Some("")),
                ("H", Some("two words")),
            ]
        );
        let (all, _) = read("A='$x' # y\n", &values, true);
        assert_eq!(all, [("A".to_owned(), Some("'$x' # y".to_owned()))]);
    }

    #[test]
    fn wrong_lines_are_told_with_their_place() {
        let text = "A=1\n=x\nB='open\n";
        let (all, wrong) = read(text, &Values::new(), false);
        assert_eq!(all.len(), 1);
        assert_eq!(wrong.iter().map(|wrong| wrong.at).collect::<Vec<_>>(), [4, 7]);
        for text in ["A=\"", "A=\"\\", "'=", "\r\n=", "é=1", "A=$", "export"] {
            read(text, &Values::new(), false);
        }
    }
}
