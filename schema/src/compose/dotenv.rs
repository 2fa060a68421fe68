//! `.env` and `env_file`: names and values, usually one a line, in the grammar of compose-go's
//! `dotenv` package.
//!
//! Knows comments, quotes, escapes and `export`. Refuses to know where the text comes from.

use super::interpolate::{Fault, Values, fill};

/// What is wrong with a line.
pub(super) struct Wrong {
    /// Byte offset of the line.
    pub(super) at: usize,
    /// Why.
    pub(super) fault: Fault,
}

/// Reads names and values in order. Values without single quotes are filled in from `values`, which
/// count more, and from the lines before; with `raw`, everything after `=` is the value as it
/// stands.
pub(super) fn read(
    text: &str,
    values: &Values,
    raw: bool,
) -> (Vec<(String, Option<String>)>, Vec<Wrong>) {
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    // A byte order mark is of the file, not of its first name.
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut known = values.clone();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return (all, wrong);
        }
        if rest.starts_with('#') {
            rest = after_line(rest);
            continue;
        }
        let at = text.len() - rest.len();
        let read = if raw { raw_entry(rest) } else { entry(rest) };
        let Some((name, value, after)) = read else {
            wrong.push(Wrong { at, fault: Fault::NoEntry });
            rest = after_line(rest);
            continue;
        };
        rest = after;
        let value = match value {
            Value::Literal(value) => value,
            Value::Filled(value) => match fill(&value, &known) {
                Ok(value) => value,
                Err(fault) => {
                    wrong.push(Wrong { at, fault });
                    continue;
                }
            },
            Value::None => {
                all.push((name, None));
                continue;
            }
        };
        if !values.contains_key(&name) {
            known.insert(name.clone(), value.clone());
        }
        all.push((name, Some(value)));
    }
}

enum Value {
    Literal(String),
    Filled(String),
    None,
}

/// What follows the line that a text begins with.
fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

/// A blank that ends no line.
fn is_blank(c: char) -> bool {
    c.is_whitespace() && c != '\n'
}

fn raw_entry(text: &str) -> Option<(String, Value, &str)> {
    let line = text.split('\n').next().unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let (name, value) = match line.split_once('=') {
        Some((name, value)) => (name, Value::Literal(value.to_owned())),
        None => (line.trim_end(), Value::None),
    };
    is_name(name).then(|| (name.to_owned(), value, after_line(text)))
}

/// The entry that a text begins with, and what follows it: the rest of its line too, where its
/// value is in quotes.
fn entry(text: &str) -> Option<(String, Value, &str)> {
    let text = match text.strip_prefix("export") {
        Some(rest) if rest.starts_with(is_blank) => rest.trim_start_matches(is_blank),
        _ => text,
    };
    // As in YAML, a colon may stand for the sign.
    let end = text.find(['=', ':', '\n']).unwrap_or(text.len());
    let name = text[..end].trim_end();
    if !is_name(name) {
        return None;
    }
    let name = name.to_owned();
    let Some(rest) = text[end..].strip_prefix(['=', ':']) else {
        return Some((name, Value::None, &text[end..]));
    };
    let rest = rest.trim_start_matches(is_blank);
    match rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        Some(quote) => {
            let (inside, after) = quoted(&rest[1..], quote)?;
            let value = match quote {
                '"' => Value::Filled(unescaped(&inside)),
                _ => Value::Literal(inside),
            };
            Some((name, value, after))
        }
        None => {
            let line = rest.split('\n').next().unwrap_or(rest);
            let value = line.split(" #").next().unwrap_or(line).trim_end();
            Some((name, Value::Filled(value.to_owned()), &rest[line.len()..]))
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_.-[]".contains(c))
}

/// What stands within quotes, which may go on in further lines, and what follows. A backslash keeps
/// the quote behind it from being the last, and goes away; before all else it stays.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inside = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next()?.1 {
                other if other == quote => inside.push(other),
                other => inside.extend(['\\', other]),
            },
            c if c == quote => return Some((inside, &text[at + c.len_utf8()..])),
            other => inside.push(other),
        }
    }
    None
}

/// The escapes of double quotes. What is none stays as it stands.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        let mut taken = c.len_utf8();
        match c {
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            // A dollar sign that was escaped stands for itself.
            '$' => out.push_str("$$"),
            '"' | '\\' => out.push(c),
            '0' => {
                let digits = rest[1..].chars().take(3).take_while(char::is_ascii_digit).count();
                taken += digits;
                let octal = &rest[1..=digits];
                match u8::from_str_radix(octal, 8).ok().filter(|_| digits == 3) {
                    Some(code) => out.push(char::from(code)),
                    // As that program does it: the zero goes away, and the rest stays.
                    None => {
                        out.push('\\');
                        out.push_str(octal);
                    }
                }
            }
            other => out.extend(['\\', other]),
        }
        rest = &rest[taken..];
    }
    out.push_str(rest);
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
        for text in ["A B=1", "A+=1", "A=\"x", "A='\\'"] {
            let (all, wrong) = read(text, &Values::new(), false);
            assert_eq!((all.len(), wrong.len()), (0, 1), "{text}");
        }
        for text in ["A=\"", "A=\"\\", "'=", "\r\n=", "é=1", "A=$", "export"] {
            read(text, &Values::new(), false);
        }
    }
}
