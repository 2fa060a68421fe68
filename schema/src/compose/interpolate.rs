//! `${NAME}` in the values of a Compose document, filled in on the tree.
//!
//! Knows the forms of a reference and the values it is given. Refuses to know an environment, and
//! to look at names: only values are filled in, after parsing, so that a value never becomes
//! structure.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    diagnostic::Diagnostic,
    file::tree::{Entry, Kind, Node, Source, Span},
};

/// Values by name. One that is a template is a mark ([`super::template`]) and never looked into.
pub(super) type Values = BTreeMap<String, String>;

/// The most text that a document may have after filling in, in bytes.
const MOST_TEXT: usize = 8 * 1024 * 1024;
/// The most references within one another.
const DEPTH: usize = 16;

/// Fills in every value of the tree.
pub(super) fn tree(
    tree: &mut Node,
    source: &Source,
    values: &Values,
    used: &mut BTreeSet<String>,
) -> Vec<Diagnostic> {
    let mut pass = Pass { source, values, used, found: Vec::new(), text: 0 };
    pass.node(tree);
    pass.found
}

/// What is wrong with a reference.
pub(super) enum Fault {
    /// It has no value, or the document wants one and says why.
    Missing(String),
    /// It is none.
    Malformed(&'static str),
    /// A line of a file of names and values that is neither.
    NoEntry,
    /// It makes too much text.
    Large,
}

/// The names that a text refers to, those in words that do not count today included. What is no
/// reference may have been meant as one: of the rest, every word counts as a name.
pub(super) fn names(text: &str, used: &mut BTreeSet<String>) {
    names_within(text, used, DEPTH);
}

fn names_within(text: &str, used: &mut BTreeSet<String>, depth: usize) {
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        if !begins(rest) {
            continue;
        }
        match reference(rest) {
            Ok((Reference { name, word, .. }, after)) if depth > 0 => {
                used.insert(name.to_owned());
                names_within(word, used, depth - 1);
                rest = after;
            }
            _ => {
                let words = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                used.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
                return;
            }
        }
    }
}

/// The names that the lines of a file of names and values refer to.
pub(super) fn names_by_line(text: &str, used: &mut BTreeSet<String>) {
    text.lines().for_each(|line| names(line, used));
}

struct Pass<'a> {
    source: &'a Source,
    values: &'a Values,
    used: &'a mut BTreeSet<String>,
    found: Vec<Diagnostic>,
    /// Bytes filled in so far; more than the most once that was said.
    text: usize,
}

impl Pass<'_> {
    /// The depth of the tree is limited, so recursion is.
    fn node(&mut self, node: &mut Node) {
        match &mut node.kind {
            Kind::Scalar { raw, plain } if raw.contains('$') => {
                names(raw, self.used);
                match fill(raw, self.values) {
                    Ok(text) if self.text + text.len() <= MOST_TEXT => {
                        self.text += text.len();
                        *raw = text;
                        // Even an empty result is a text, not the absence of one.
                        *plain = *plain && !raw.is_empty();
                    }
                    Ok(_) if self.text > MOST_TEXT => {}
                    Ok(_) => {
                        // Said once: nothing is filled in any more.
                        self.text = MOST_TEXT + 1;
                        self.fault(&node.span, Fault::Large);
                    }
                    Err(fault) => self.fault(&node.span, fault),
                }
            }
            Kind::Scalar { .. } => {}
            Kind::Seq(items) => items.iter_mut().for_each(|item| self.node(item)),
            Kind::Map(entries) => {
                // What nobody reads needs no values.
                for Entry { value, .. } in entries.iter_mut().filter(|e| !e.key.starts_with("x-")) {
                    self.node(value);
                }
            }
        }
    }

    fn fault(&mut self, span: &Span, fault: Fault) {
        let at = Some(self.source.at(span));
        self.found.push(diagnostic(fault, at));
    }
}

/// A fault for people.
pub(super) fn diagnostic(fault: Fault, at: Option<crate::diagnostic::Location>) -> Diagnostic {
    match fault {
        Fault::Missing(message) => Diagnostic::error("DN-E0561", at, message).help(
            "give it a value under `set` of the service, or under `vars` of the cluster; or write \
             `${NAME:-default}`",
        ),
        Fault::Malformed(what) => Diagnostic::error("DN-E0562", at, what)
            .help("write `${NAME}`, `${NAME:-default}`, or `$$` for a dollar sign"),
        Fault::NoEntry => Diagnostic::error("DN-E0562", at, "this line is not `NAME=value`")
            .help("write a name of letters, digits and `_`, then `=` and the value"),
        Fault::Large => {
            let message = format!("with its values filled in, this has over {MOST_TEXT} bytes");
            Diagnostic::error("DN-E0567", at, message).help("use shorter values")
        }
    }
}

/// Fills in one text.
///
/// # Errors
/// A reference without a value, `${` that begins none, or too much text.
pub(super) fn fill(text: &str, values: &Values) -> Result<String, Fault> {
    filled(text, values, DEPTH).map(Cow::into_owned)
}

fn filled<'t>(text: &'t str, values: &Values, depth: usize) -> Result<Cow<'t, str>, Fault> {
    if !text.contains('$') {
        return Ok(Cow::Borrowed(text));
    }
    if depth == 0 {
        return Err(Fault::Malformed("too many references stand within one another"));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        if !begins(rest) {
            out.push('$');
            continue;
        }
        let (reference, after) = reference(rest)?;
        value(&mut out, &reference, values, depth)?;
        if out.len() > MOST_TEXT {
            return Err(Fault::Large);
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// A reference: its name, and what stands behind it.
struct Reference<'t> {
    name: &'t str,
    /// `:-`, `-`, `:?`, `?`, `:+`, `+`, or nothing.
    operator: &'t str,
    /// What follows the operator.
    word: &'t str,
}

const OPERATORS: [&str; 6] = [":-", ":?", ":+", "-", "?", "+"];

/// Whether a `$` before this text begins a reference. One that does not, as in `$(date)` or `$5`,
/// stands for itself, as it does for Compose.
fn begins(rest: &str) -> bool {
    rest.starts_with('{') || name(rest) > 0
}

/// Reads the reference after a `$`, and what follows it.
fn reference(rest: &str) -> Result<(Reference<'_>, &str), Fault> {
    let Some(inside) = rest.strip_prefix('{') else {
        let (name, after) = rest.split_at(name(rest));
        return Ok((Reference { name, operator: "", word: "" }, after));
    };
    let (name, tail) = inside.split_at(name(inside));
    if name.is_empty() {
        return Err(Fault::Malformed("`${` is not followed by a name"));
    }
    let operator = OPERATORS.into_iter().find(|operator| tail.starts_with(operator));
    let operator = operator.unwrap_or("");
    let word = &tail[operator.len()..];
    let end = closing(word).ok_or(Fault::Malformed("`${` is never closed"))?;
    if operator.is_empty() && end > 0 {
        return Err(Fault::Malformed("a name is followed by something that means nothing"));
    }
    Ok((Reference { name, operator, word: &word[..end] }, &word[end + 1..]))
}

/// How long the name is that a text begins with.
fn name(text: &str) -> usize {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    if first { text.find(rest).unwrap_or(text.len()) } else { 0 }
}

/// Where the brace is that closes a reference, those within it skipped.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0usize;
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'$' if matches!(bytes.peek(), Some((_, b'{'))) => open += 1,
            b'$' if matches!(bytes.peek(), Some((_, b'$'))) => drop(bytes.next()),
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn value(
    out: &mut String,
    reference: &Reference<'_>,
    values: &Values,
    depth: usize,
) -> Result<(), Fault> {
    let Reference { name, operator, word } = reference;
    let given = values.get(*name);
    let given = given.filter(|given| !operator.starts_with(':') || !given.is_empty());
    let instead = || filled(word, values, depth - 1);
    match (given, operator.trim_start_matches(':')) {
        (Some(_), "+") => out.push_str(&instead()?),
        (None, "+") => {}
        (Some(given), _) => out.push_str(given),
        (None, "-") => out.push_str(&instead()?),
        (None, "?") => {
            let why = instead()?;
            let why = if why.is_empty() { "it has to have a value".into() } else { why };
            return Err(Fault::Missing(format!("`{name}`: {}", why.escape_debug())));
        }
        (None, _) => return Err(Fault::Missing(format!("the variable `{name}` has no value"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::template::Templates;

    fn of(text: &str) -> Result<String, String> {
        let mut templates = Templates::default();
        let mark = templates.mark("{{ secret.x }}");
        let pairs = [("A", "1"), ("EMPTY", ""), ("B_2", "b"), ("T", &mark)];
        let values = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        fill(text, &values)
            .map(|text| templates.text(&text).0)
            .map_err(|fault| diagnostic(fault, None).message)
    }

    #[test]
    fn every_form_of_a_reference_is_filled_in() {
        let cases = [
            ("a", "a"),
            ("$A$B_2", "1b"),
            ("x${A}y", "x1y"),
            ("$$A $${A}", "$A ${A}"),
            ("${NO:-d}${NO-d}", "dd"),
            ("${EMPTY:-d}|${EMPTY-d}", "d|"),
            ("${A:+r}${EMPTY:+r}${EMPTY+r}${NO+r}", "rr"),
            ("${NO:-${NONE:-${A}}}x", "1x"),
            ("${NO:-$${x}}", "${x}"),
            ("${NO:-}", ""),
            ("${A:?no}${A?no}", "11"),
            ("${NO:-a:b-c}", "a:b-c"),
            ("é${A}é", "é1é"),
            ("p${T}s", "p{{ secret.x }}s"),
            ("$(date) $1 $? $5.00 $", "$(date) $1 $? $5.00 $"),
            ("$é$-${NO:-$(x)}$$$", "$é$-$(x)$$"),
            ("{{.Name}} ${T}", "{{ \"{\" }}{{ \"{\" }}.Name}} {{ secret.x }}"),
        ];
        for (text, filled) in cases {
            assert_eq!(of(text).as_deref(), Ok(filled), "{text}");
        }
    }

    #[test]
    fn every_name_counts_as_used_wherever_it_stands() {
        let names_of = |text: &str| {
            let mut used = BTreeSet::new();
            names(text, &mut used);
            used.into_iter().collect::<Vec<_>>().join(" ")
        };
        for (text, used) in [
            ("", ""),
            ("A", ""),
            ("$A-${B}", "A B"),
            ("${A:-${B}}", "A B"),
            ("${A:+x$B}${C:?${D-$E}}", "A B C D E"),
            ("$$A ${A:-$$B}", "A"),
            ("$5 $(x) ${A}", "A"),
            ("${5 ${A}", "5 A"),
            ("${A", "A"),
        ] {
            assert_eq!(names_of(text), used, "{text}");
        }
        let deep = "${A:-".repeat(100_000);
        assert_eq!(names_of(&deep), "A");
        assert_eq!(names_of(&(deep + &"}".repeat(100_000))), "A");
    }

    #[test]
    fn what_is_no_reference_is_told() {
        let cases = [
            ("${A", "`${` is never closed"),
            ("${1}", "`${` is not followed by a name"),
            ("${}", "`${` is not followed by a name"),
            ("${A!x}", "a name is followed by something that means nothing"),
            ("$NO", "the variable `NO` has no value"),
            ("${NO:?set ${A}}", "`NO`: set 1"),
            ("${EMPTY:?}", "`EMPTY`: it has to have a value"),
        ];
        for (text, message) in cases {
            assert_eq!(of(text).unwrap_err(), message, "{text}");
        }
        let deep = "${N:-".repeat(20) + &"}".repeat(20);
        assert_eq!(of(&deep).unwrap_err(), "too many references stand within one another");
    }
}
