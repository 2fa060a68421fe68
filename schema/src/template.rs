//! The template language of devnet on top of tera's: what a template says, before tera sees it.
//!
//! Knows where expressions begin and end, paths such as `secret.my-name`, and what is not allowed.
//! Refuses to know any value, and to render: the catalog does.
//!
//! Three things are ours. Names hold hyphens, which tera reads as minus: a path from one of our
//! roots is rewritten to bracket form. `{#` is text, not a comment, because shell and nginx use it.
//! And there is no `set`, `include` or `for` inside `for`: no template can grow without bounds.

use std::{collections::BTreeSet, ops::Range};

use tera::{ErrorKind, Tera};

use crate::file::suggest::nearest;

/// The largest template, in bytes.
const LARGEST_TEMPLATE: usize = 256 * 1024;

/// What paths may begin with, in a cluster file or in a component.
pub const ROOTS: [&str; 11] = [
    "var",
    "secret",
    "service",
    "node",
    "instance",
    "param",
    "cluster",
    "component",
    "offers",
    "peers",
    "ports",
];
const TAGS: [&str; 6] = ["if", "elif", "else", "endif", "for", "endfor"];
/// What may follow `|`: tera's, without `indent`, which adds any number of spaces to each line.
#[rustfmt::skip]
const FILTERS: [&str; 36] = [
    "abs", "capitalize", "default", "escape", "escape_html", "escape_xml", "first", "float", "get",
    "group_by", "int", "join", "keys", "last", "length", "lower", "newlines_to_br", "nth", "pairs",
    "pluralize", "replace", "reverse", "round", "safe", "sort", "split", "str", "title", "trim",
    "trim_end", "trim_start", "truncate", "unique", "upper", "values", "wordcount",
];
/// What may follow `is`.
#[rustfmt::skip]
const TESTS: [&str; 17] = [
    "array", "bool", "containing", "defined", "divisible_by", "ending_with", "even", "float",
    "integer", "iterable", "map", "none", "number", "odd", "starting_with", "string", "undefined",
];
/// What may be called.
const FUNCTIONS: [&str; 2] = ["range", "throw"];
/// Words before which `(` opens a group.
const OPERATORS: [&str; 9] = ["and", "elif", "else", "for", "if", "in", "is", "not", "or"];

/// Characters that stand for secrets while a template is rendered; no text may hold them.
pub const RESERVED: [char; 2] = ['\u{10DE70}', '\u{10DE71}'];

/// A template in tera's language, and what it names.
#[derive(Debug, PartialEq, Eq)]
pub struct Translated {
    /// For tera.
    pub text: String,
    /// What it names, in order.
    pub paths: Vec<Path>,
    /// Where each expression and tag begins and ends: as it was written, and in `text`. Bytes.
    expressions: Vec<(Range<usize>, Range<usize>)>,
}

/// A name that a template uses: `service.db.port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The first part.
    pub root: String,
    /// The others.
    pub rest: Vec<String>,
    /// Whether it was written with `?.`, so that it may be missing.
    pub optional: bool,
    /// Whether it is all there is between `{{` and `}}`.
    pub alone: bool,
    /// Where it stands in what was written, in bytes.
    pub at: Range<usize>,
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Where it stands in the text, in bytes; nothing where it is the text as a whole.
    pub at: Range<usize>,
}

impl Fault {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into(), at: 0..0 }
    }
}

/// Whether a text is more than itself.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Translates a template.
///
/// # Errors
/// When an expression is not closed, a tag is not allowed, or the template is too large.
pub fn translate(template: &str) -> Result<Translated, Fault> {
    if template.len() > LARGEST_TEMPLATE {
        return Err(Fault::new(
            format!("a template of {} bytes is larger than 256 KiB", template.len()),
            "put the text into a file of the repository and write `source=` instead of `content=`",
        ));
    }
    let text = String::with_capacity(template.len());
    let mut out = Translated { text, paths: Vec::new(), expressions: Vec::new() };
    let mut rest = template;
    let mut loops = 0;
    while let Some(at) = rest.find('{') {
        let (before, here) = rest.split_at(at);
        out.text.push_str(before);
        rest = if here.starts_with("{{") || here.starts_with("{%") {
            let start = template.len() - here.len();
            let (known, translated) = (out.paths.len(), out.text.len());
            let read = match here.strip_prefix("{{") {
                Some(inside) => expression(inside, "{{", "}}", &mut out),
                None => tag(here, &mut loops, &mut out),
            };
            let after = read.map_err(|fault| Fault { at: start..start + marked(here), ..fault })?;
            for path in &mut out.paths[known..] {
                path.at = start + path.at.start..start + path.at.end;
            }
            let written = start..template.len() - after.len();
            out.expressions.push((written, translated..out.text.len()));
            after
        } else if let Some(after) = here.strip_prefix("{#") {
            out.text.push_str("{{ \"{#\" }}");
            after
        } else {
            out.text.push('{');
            &here[1..]
        };
    }
    out.text.push_str(rest);
    Ok(out)
}

/// How much of a mistaken expression is pointed at: up to its end, or that of the line.
fn marked(here: &str) -> usize {
    let line = here.lines().next().unwrap_or_default();
    let close = if here.starts_with("{{") { "}}" } else { "%}" };
    line.find(close).map_or(line.trim_end().len(), |end| end + close.len())
}

const LITERAL: &str = "for a literal `{{` write `{{ \"{{\" }}`, for `{%` write `{{ \"{%\" }}`, or \
                       put the text between `{% raw %}` and `{% endraw %}`";

/// A tag from `{%` on; returns what follows it.
fn tag<'t>(here: &'t str, loops: &mut u32, out: &mut Translated) -> Result<&'t str, Fault> {
    let body = here[2..].trim_start_matches('-').trim_start();
    let end = body.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(body.len());
    let word = &body[..end];
    if word == "raw" {
        return raw(here, out);
    }
    if word.is_empty() {
        return Err(Fault::new("`{%` begins no tag", LITERAL));
    }
    if !TAGS.contains(&word) {
        return Err(Fault::new(
            format!("`{{% {} %}}` is not part of the template language", &word[..end.min(60)]),
            "use if, elif, else, endif, for, endfor, raw and endraw",
        ));
    }
    match word {
        "for" if *loops > 0 => {
            return Err(Fault::new("a loop stands inside a loop", "use one loop"));
        }
        "for" => *loops += 1,
        "endfor" => *loops = loops.saturating_sub(1),
        _ => {}
    }
    expression(&here[2..], "{%", "%}", out)
}

/// `{% raw %}…{% endraw %}`, copied as it is; returns what follows it.
fn raw<'t>(here: &'t str, out: &mut Translated) -> Result<&'t str, Fault> {
    let mut from = 2;
    while let Some(at) = here[from..].find("{%") {
        let tag = from + at + 2;
        let body = here[tag..].trim_start_matches('-').trim_start();
        if let Some(after) = body.strip_prefix("endraw") {
            let close = after.trim_start().trim_start_matches('-');
            if let Some(next) = close.strip_prefix("%}") {
                out.text.push_str(&here[..here.len() - next.len()]);
                return Ok(next);
            }
        }
        from = tag;
    }
    Err(Fault::new("`{% raw %}` is not closed", "write `{% endraw %}` where it ends"))
}

/// What stands between `open` and `close`; returns what follows it.
fn expression<'t>(
    inside: &'t str,
    open: &str,
    close: &str,
    out: &mut Translated,
) -> Result<&'t str, Fault> {
    out.text.push_str(open);
    let (first_path, mut span) = (out.paths.len(), 0..0);
    let mut at = 0;
    // What came before, without blanks: after `.` or `|` a word is no root.
    let mut before = ["", ""];
    while at < inside.len() {
        let rest = &inside[at..];
        if rest.starts_with(close) {
            if let [path] = &mut out.paths[first_path..] {
                let (before, after) = (&inside[..span.start], &inside[span.end..at]);
                let blank = |text: &str| text.trim().trim_matches('-').is_empty();
                path.alone = open == "{{" && blank(before) && blank(after);
            }
            out.text.push_str(close);
            return Ok(&inside[at + close.len()..]);
        }
        let c = rest.chars().next().unwrap_or(' ');
        let length = match c {
            '"' | '\'' | '`' => quoted(rest, c)?,
            c if c.is_ascii_alphabetic() || c == '_' => {
                let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
                let (word, after) = rest.split_at(length);
                let fresh = !matches!(before[1], "." | "|");
                if let Some((mut path, tail)) = path(word, after).filter(|_| fresh) {
                    out.text.push_str(&bracketed(&path));
                    span = at..at + length + tail;
                    path.at = open.len() + span.start..open.len() + span.end;
                    out.paths.push(path);
                    at = span.end;
                    before = [before[1], "]"];
                    continue;
                }
                known(before, word, after)?;
                length
            }
            '<' if begins(before[1]) => {
                let help = "write the text itself, or a variable";
                return Err(Fault::new("`<` begins no value: templates have no components", help));
            }
            c if c.is_ascii_graphic() || c.is_ascii_whitespace() => 1,
            other => {
                let message =
                    format!("the character U+{:04X} is no part of a template", other as u32);
                return Err(Fault::new(message, "remove it, or put it between quotes"));
            }
        };
        let token = &rest[..length];
        out.text.push_str(token);
        if !c.is_whitespace() {
            before = [before[1], token];
        }
        at += length;
    }
    Err(Fault::new(format!("`{open}` is not closed with `{close}`"), LITERAL))
}

/// Whether a value is due after `token`. tera would read `<` there as a call of a component, and
/// what it says of an unknown one takes a time that grows with the square of their number.
fn begins(token: &str) -> bool {
    OPERATORS.contains(&token)
        || !token.ends_with(|c: char| is_word(c) || matches!(c, ')' | ']' | '}' | '"' | '\'' | '`'))
}

/// Whether a word is a filter, test or function that there is, where it stands as one.
fn known(before: [&str; 2], word: &str, after: &str) -> Result<(), Fault> {
    let (kind, known): (_, &[&str]) = match before {
        [_, "|"] => ("filter", &FILTERS),
        [_, "is"] if word != "not" => ("test", &TESTS),
        ["is", "not"] => ("test", &TESTS),
        [_, "."] => return Ok(()),
        _ if OPERATORS.contains(&word) || !after.trim_start().starts_with('(') => return Ok(()),
        _ => ("function", &FUNCTIONS),
    };
    if known.contains(&word) {
        return Ok(());
    }
    let shown = &word[..word.len().min(60)];
    let help = match nearest(shown, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("use {}", known.join(", ")),
    };
    Err(Fault::new(format!("templates have no {kind} `{shown}`"), help))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Length of a quoted text with its quotes; tera's three kinds of quotes, backslash escapes.
fn quoted(text: &str, quote: char) -> Result<usize, Fault> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Ok(at + 1),
            _ => {}
        }
    }
    Err(Fault::new(format!("a text that begins with `{quote}` is not closed"), LITERAL))
}

/// A path whose first part is `root`, and how many bytes of `after` belong to it.
fn path(root: &str, after: &str) -> Option<(Path, usize)> {
    if !ROOTS.contains(&root) {
        return None;
    }
    let mut path =
        Path { root: root.to_owned(), rest: Vec::new(), optional: false, alone: false, at: 0..0 };
    let mut at = 0;
    while let Some((part, optional, length)) = part(&after[at..]) {
        path.rest.push(part);
        path.optional |= optional;
        at += length;
    }
    Some((path, at))
}

/// The next part of a path: `.name`, `?.name` or `["name"]`; whether it may be missing; its length.
fn part(text: &str) -> Option<(String, bool, usize)> {
    let (optional, inner) = match text.strip_prefix('?') {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    let skipped = text.len() - inner.len();
    if let Some(name) = inner.strip_prefix('.') {
        let end = name.find(|c: char| !is_word(c) && c != '-').unwrap_or(name.len());
        // A hyphen at the end is not part of the name: it is `-}}`.
        let name = name[..end].trim_end_matches('-');
        if name.is_empty() {
            return None;
        }
        return Some((name.to_owned(), optional, skipped + 1 + name.len()));
    }
    let inner = inner.strip_prefix('[')?;
    let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, after) = inner[1..].split_once(quote)?;
    if name.contains('\\') || !after.starts_with(']') {
        return None;
    }
    Some((name.to_owned(), optional, skipped + name.len() + 4))
}

fn bracketed(path: &Path) -> String {
    let mut text = path.root.clone();
    for part in &path.rest {
        text.push_str(if path.optional { "?[\"" } else { "[\"" });
        for c in part.chars() {
            if matches!(c, '"' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push_str("\"]");
    }
    text
}

impl Translated {
    /// Where a word stands first inside an expression of `template`, which this was made from.
    pub fn word(&self, template: &str, word: &str) -> Range<usize> {
        let whole = |text: &str, at: usize| {
            let after = text[at + word.len()..].chars().next();
            !text[..at].ends_with(|c| is_word(c) || c == '.') && !after.is_some_and(is_word)
        };
        let found = self.expressions.iter().find_map(|(written, _)| {
            let text = template.get(written.clone())?;
            let (at, _) = text.match_indices(word).find(|(at, _)| whole(text, *at))?;
            Some(written.start + at..written.start + at + word.len())
        });
        found.unwrap_or_default()
    }

    /// Where the expression that `at` of `text` belongs to was written: the last one that begins
    /// before it.
    fn written(&self, at: usize) -> Range<usize> {
        let next = self.expressions.partition_point(|(_, translated)| translated.start <= at);
        let one = next.checked_sub(1).map(|one| self.expressions[one].0.clone());
        one.unwrap_or_default()
    }
}

/// Reads what was translated as tera does.
#[derive(Default)]
pub struct Grammar(Tera);

impl Grammar {
    /// The names that a translated template begins paths with, those of its loops left out.
    ///
    /// # Errors
    /// What is wrong with its syntax, in words for people, and the expression that is to blame.
    pub fn names(&mut self, template: &Translated) -> Result<BTreeSet<String>, Fault> {
        const NAME: &str = "template";
        let mut read = || {
            self.0.add_raw_template(NAME, &template.text)?;
            let names = self.0.get_template_variables(NAME)?;
            Ok(names.into_iter().map(str::to_owned).collect())
        };
        read().map_err(|error: tera::Error| {
            let help = "correct the expression, or write the text without it";
            let message = format!("the template cannot be rendered: {}", words(&error));
            let at = match error.kind() {
                ErrorKind::SyntaxError(report) => template.written(report.span().range.start),
                _ => 0..0,
            };
            Fault { at, ..Fault::new(message, help) }
        })
    }
}

/// Where a part of a text stands in what was written for the whole, in bytes: `written` may have
/// quotes around the text, be indented, or folded. `None` when the part is written differently.
pub fn find_part(text: &str, part: Range<usize>, written: &str) -> Option<Range<usize>> {
    let words = text.get(part.clone()).filter(|words| !words.is_empty())?;
    let before = text[..part.start].matches(words).count();
    let (start, _) = written.match_indices(words).nth(before)?;
    Some(start..start + words.len())
}

/// tera's message without its drawing of the place: the place in the cluster file is known better.
pub fn words(error: &tera::Error) -> String {
    let message = match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
            report.message().to_owned()
        }
        other => other.to_string(),
    };
    let first = message.lines().next().unwrap_or_default().trim();
    first.strip_prefix("error: ").unwrap_or(first).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(template: &str) -> String {
        translate(template).map_or_else(|fault| format!("error: {}", fault.message), |t| t.text)
    }

    #[test]
    fn paths_are_rewritten_and_texts_are_not() {
        let cases = [
            ("plain { } } text", "plain { } } text"),
            ("{{ secret.my-name }}", r#"{{ secret["my-name"] }}"#),
            ("{{secret.my-name-}} x", r#"{{secret["my-name"]-}} x"#),
            ("{{ service.my-db.port - 1 }}", r#"{{ service["my-db"]["port"] - 1 }}"#),
            (r#"{{ "secret.a-b" ~ var.x }}"#, r#"{{ "secret.a-b" ~ var["x"] }}"#),
            (r#"{{ secret["a-b"] }}"#, r#"{{ secret["a-b"] }}"#),
            ("{{ var?.a-b | default(value=1) }}", r#"{{ var?["a-b"] | default(value=1) }}"#),
            ("{% if var.a-b %}x{% endif %}", r#"{% if var["a-b"] %}x{% endif %}"#),
            ("${#array[@]} {{ node.name }}", r#"${{ "{#" }}array[@]} {{ node["name"] }}"#),
            ("{% raw %}{{ a.b-c }}{% endraw %}!", "{% raw %}{{ a.b-c }}{% endraw %}!"),
            ("{{ loop.index }}{{ variable.a }}", "{{ loop.index }}{{ variable.a }}"),
            (r#"{{ "}}" }}"#, r#"{{ "}}" }}"#),
        ];
        for (template, expected) in cases {
            assert_eq!(text(template), expected, "{template}");
        }
    }

    #[test]
    fn what_could_grow_or_is_not_closed_is_refused() {
        for bad in [
            "{{ a",
            "{% if a",
            "{{ \"a }}",
            "{% raw %}{{",
            "{% set a = 1 %}",
            "{% include \"/etc/passwd\" %}",
            "{% for a in b %}{% for c in d %}{% endfor %}{% endfor %}",
            "{{ 1 | nosuch }}",
            "{{ 1 | indent(width=9) }}",
            "{{ 1 is nosuch }}",
            "{{ 1 is not nosuch }}",
            "{{ now() }}",
            "{{ <Button /> }}",
            "{{ 1 + <Button /> }}",
            "{{ secret.a\u{202E} }}",
            "{{ var.a\u{a0} }}",
            "{{ var.a\u{7} }}",
            &"x".repeat(LARGEST_TEMPLATE + 1),
        ] {
            assert!(translate(bad).is_err(), "{}", &bad[..bad.len().min(60)]);
        }
    }

    #[test]
    fn a_path_knows_whether_it_stands_alone() {
        let alone = |template: &str| translate(template).unwrap().paths[0].alone;
        assert!(alone("a {{- secret.x -}} b"));
        assert!(!alone("{{ secret.x | upper }}"));
        assert!(!alone("{{ \"a\" ~ secret.x }}"));
        assert!(!alone("{% if secret.x %}{% endif %}"));
    }
}
