//! [`ClusterFile`] to text, in KDL and in YAML.
//!
//! Knows layout and quoting. Refuses to know comments: who formats what people wrote must start
//! from their text. Reading what is printed here gives the same file, places aside.

use std::fmt::Write;

use super::{
    canonical,
    fields::{FILE, Field, Shape, Type},
    scan,
    tree::{Entry, Form, Kind, Node},
    written::ClusterFile,
};

/// The file in the given form, what it includes written out in one.
pub fn print(file: &ClusterFile, form: Form) -> String {
    let tree = canonical::tree(file);
    let mut out = String::new();
    match form {
        Form::Kdl => kdl_children(&mut out, &tree, &FILE, 0, true),
        Form::Yaml => yaml_map(&mut out, &tree, &FILE, 0),
    }
    out
}

/// The entries of a section in the order of its fields, so that equal files print equally.
fn ordered<'a>(node: &'a Node, shape: &Shape) -> Vec<(&'static Field, &'a Entry)> {
    shape
        .fields
        .iter()
        .filter_map(|field| Some((field, node.entries().iter().find(|e| e.key == field.name)?)))
        .collect()
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("    ", depth));
}

/// Every field as a node of its own. At the top, sections stand apart.
fn kdl_children(out: &mut String, node: &Node, shape: &Shape, depth: usize, apart: bool) {
    for (field, entry) in ordered(node, shape) {
        if !apart && Some(field.name) == shape.short {
            continue;
        }
        match field.ty {
            Type::Keyed(inner) => {
                for named in entry.value.entries() {
                    kdl_line(out, field, depth, apart);
                    let _ = write!(out, " {}", quoted(&named.key, Form::Kdl));
                    kdl_section(out, &named.value, inner, depth);
                }
            }
            Type::Sections(inner) => {
                for item in entry.value.items() {
                    kdl_line(out, field, depth, apart);
                    kdl_section(out, item, inner, depth);
                }
            }
            Type::Section(inner) => {
                kdl_line(out, field, depth, apart);
                kdl_section(out, &entry.value, inner, depth);
            }
            Type::Free => {
                kdl_line(out, field, depth, apart);
                out.push_str(" {\n");
                for pair in entry.value.entries() {
                    indent(out, depth + 1);
                    let value = kdl_text(pair.value.text().unwrap_or(""), depth + 1);
                    let _ = writeln!(out, "{} {value}", name(&pair.key, Form::Kdl));
                }
                indent(out, depth);
                out.push_str("}\n");
            }
            Type::Words | Type::Names => {
                kdl_line(out, field, depth, apart);
                for item in entry.value.items() {
                    let _ = write!(out, " {}", kdl_text(item.text().unwrap_or(""), depth));
                }
                out.push('\n');
            }
            _ => {
                kdl_line(out, field, depth, apart);
                let text = kdl_scalar(field.ty, &entry.value, depth);
                let flag = matches!(field.ty, Type::Flag) && text == "#true";
                let _ = if flag { writeln!(out) } else { writeln!(out, " {text}") };
            }
        }
    }
}

fn kdl_line(out: &mut String, field: &Field, depth: usize, apart: bool) {
    if apart && !out.is_empty() {
        out.push('\n');
    }
    indent(out, depth);
    out.push_str(field.kdl);
}

/// What follows a section's name: fields on the same line, or a block.
fn kdl_section(out: &mut String, node: &Node, shape: &Shape, depth: usize) {
    let short = node.entries().iter().find(|entry| Some(entry.key.as_str()) == shape.short);
    let short_field = shape.fields.iter().find(|field| Some(field.name) == shape.short);
    if let (Some(entry), Some(field)) = (short, short_field) {
        let _ = write!(out, " {}", kdl_scalar(field.ty, &entry.value, depth));
    }
    let rest = ordered(node, shape);
    let rest = rest.iter().filter(|(field, _)| Some(field.name) != shape.short);
    if !shape.inline {
        if rest.count() > 0 {
            out.push_str(" {\n");
            kdl_children(out, node, shape, depth + 1, false);
            indent(out, depth);
            out.push('}');
        }
        out.push('\n');
        return;
    }
    for (field, entry) in rest {
        match &entry.value.kind {
            Kind::Seq(items) => {
                for (index, item) in items.iter().enumerate() {
                    let key = if index == 0 { format!("{}=", field.kdl) } else { String::new() };
                    let text = kdl_text(item.text().unwrap_or(""), depth);
                    let _ = write!(out, " {key}{text}");
                }
            }
            _ => {
                let text = kdl_scalar(field.ty, &entry.value, depth);
                let _ = write!(out, " {}={text}", field.kdl);
            }
        }
    }
    out.push('\n');
}

fn yaml_map(out: &mut String, node: &Node, shape: &Shape, depth: usize) {
    for (field, entry) in ordered(node, shape) {
        yaml_indent(out, depth);
        let _ = write!(out, "{}:", field.name);
        match field.ty {
            Type::Keyed(inner) => yaml_keyed(out, &entry.value, inner, depth),
            Type::Sections(inner) => {
                out.push('\n');
                for item in entry.value.items() {
                    yaml_indent(out, depth);
                    let _ = writeln!(out, "- {}", yaml_flow(item, inner));
                }
            }
            Type::Section(inner) => yaml_section(out, &entry.value, inner, depth),
            Type::Free => {
                out.push('\n');
                for pair in entry.value.entries() {
                    yaml_indent(out, depth + 1);
                    let value = yaml_text(pair.value.text().unwrap_or(""), depth + 1);
                    let _ = writeln!(out, "{}: {value}", name(&pair.key, Form::Yaml));
                }
            }
            Type::Words | Type::Names => {
                let _ = writeln!(out, " {}", yaml_list(&entry.value));
            }
            _ => {
                let text = match field.ty {
                    Type::Text => yaml_text(entry.value.text().unwrap_or(""), depth),
                    ty => yaml_word(ty, &entry.value),
                };
                let _ = writeln!(out, " {text}");
            }
        }
    }
}

fn yaml_indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn yaml_keyed(out: &mut String, node: &Node, shape: &Shape, depth: usize) {
    out.push('\n');
    for named in node.entries() {
        yaml_indent(out, depth + 1);
        let _ = write!(out, "{}:", name(&named.key, Form::Yaml));
        yaml_section(out, &named.value, shape, depth + 1);
    }
}

fn yaml_section(out: &mut String, node: &Node, shape: &Shape, depth: usize) {
    let long = node.entries().iter().any(|e| e.value.text().is_some_and(|t| t.contains('\n')));
    if (shape.inline && !long) || node.entries().is_empty() {
        let _ = writeln!(out, " {}", yaml_flow(node, shape));
    } else {
        out.push('\n');
        yaml_map(out, node, shape, depth + 1);
    }
}

fn yaml_list(node: &Node) -> String {
    let items = node.items().iter();
    let items: Vec<String> = items.map(|item| yaml_flow_text(item.text().unwrap_or(""))).collect();
    format!("[{}]", items.join(", "))
}

/// A section on one line; its value alone where that is all there is.
fn yaml_flow(node: &Node, shape: &Shape) -> String {
    let fields = ordered(node, shape);
    if let [(field, entry)] = fields.as_slice()
        && Some(field.name) == shape.short
    {
        return yaml_word(field.ty, &entry.value);
    }
    let fields: Vec<String> = fields
        .into_iter()
        .map(|(field, entry)| match entry.value.kind {
            Kind::Seq(_) => format!("{}: {}", field.name, yaml_list(&entry.value)),
            _ => format!("{}: {}", field.name, yaml_word(field.ty, &entry.value)),
        })
        .collect();
    format!("{{{}}}", fields.join(", "))
}

fn kdl_scalar(ty: Type, node: &Node, depth: usize) -> String {
    let raw = node.text().unwrap_or("");
    match ty {
        Type::Flag => format!("#{raw}"),
        Type::Integer { .. } | Type::Cpu | Type::Gpu => raw.to_owned(),
        Type::IntegerOr { word, .. } if raw != word => raw.to_owned(),
        _ => kdl_text(raw, depth),
    }
}

/// A text of a node that stands at `depth`; on several lines where it has several.
fn kdl_text(text: &str, depth: usize) -> String {
    let blank = |line: &str| !line.is_empty() && line.chars().all(char::is_whitespace);
    if !text.contains('\n') || text.contains('\r') || text.split('\n').any(blank) {
        return quoted(text, Form::Kdl);
    }
    let mut out = String::from("\"\"\"\n");
    for line in text.split('\n') {
        let bare = if line.contains("\"\"\"") { "\t" } else { "\t\"" };
        let inner = escape(line, Form::Kdl, bare);
        indent(&mut out, if inner.is_empty() { 0 } else { depth + 1 });
        out += &inner;
        out.push('\n');
    }
    indent(&mut out, depth + 1);
    out + "\"\"\""
}

/// A scalar on one line, in a flow or not.
fn yaml_word(ty: Type, node: &Node) -> String {
    let raw = node.text().unwrap_or("");
    match ty {
        Type::Flag
        | Type::Integer { .. }
        | Type::IntegerOr { .. }
        | Type::Cpu
        | Type::Gpu
        | Type::Size
        | Type::Period
        | Type::Choice(_) => raw.to_owned(),
        _ => yaml_flow_text(raw),
    }
}

/// A text that may stand in a list or map on one line: without quotes where no reader of YAML, old
/// or new, takes it for anything else.
fn yaml_flow_text(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    if plain && !is_keyword(text) { text.to_owned() } else { quoted(text, Form::Yaml) }
}

/// A text that has its line to itself, of a key that stands at `depth`; a block where it has
/// several lines.
fn yaml_text(text: &str, depth: usize) -> String {
    let image = text.contains(':') && !text.ends_with(':');
    if image && yaml_flow_text(&text.replace(':', "")) == text.replace(':', "") {
        return text.to_owned();
    }
    let body = text.strip_suffix('\n').unwrap_or(text);
    let odd = |c: char| c == '\r' || escaped(c);
    let blank = |line: &str| !line.is_empty() && line.trim().is_empty();
    let block = text.contains('\n')
        && !body.is_empty()
        && !body.starts_with(char::is_whitespace)
        && !body.ends_with('\n')
        && !text.contains(odd)
        && !body.split('\n').any(blank);
    if !block {
        return yaml_flow_text(text);
    }
    let mut out = String::from(if text.ends_with('\n') { "|" } else { "|-" });
    for line in body.split('\n') {
        out.push('\n');
        yaml_indent(&mut out, if line.is_empty() { 0 } else { depth + 1 });
        out += line;
    }
    out
}

/// A name without quotes where both forms read it as a name.
fn name(text: &str, form: Form) -> String {
    if is_plain_name(text) { text.to_owned() } else { quoted(text, form) }
}

/// Whether both forms read this as a text, and nothing else, when it has no quotes.
pub(super) fn is_plain_name(text: &str) -> bool {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    plain && !is_keyword(text)
}

/// Words that KDL or some version of YAML does not read as texts.
fn is_keyword(text: &str) -> bool {
    ["true", "false", "null", "inf", "nan", "yes", "no", "on", "off", "y", "n"]
        .contains(&text.to_ascii_lowercase().as_str())
}

/// A text in double quotes. Whatever could be read otherwise, or not at all, is escaped.
fn quoted(text: &str, form: Form) -> String {
    format!("\"{}\"", escape(text, form, ""))
}

/// A text with escapes for what cannot stand between quotes, but for the characters in `bare`.
fn escape(text: &str, form: Form, bare: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if bare.contains(c) => out.push(c),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if escaped(c) => {
                let code = u32::from(c);
                let _ = match form {
                    Form::Kdl => write!(out, "\\u{{{code:x}}}"),
                    Form::Yaml => write!(out, "\\u{code:04x}"),
                };
            }
            c => out.push(c),
        }
    }
    out
}

/// Characters that no file may hold, or that some reader refuses.
fn escaped(c: char) -> bool {
    scan::forbidden(c) || matches!(c, '\u{fff0}'..='\u{ffff}')
}
