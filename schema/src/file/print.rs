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
                    let value = quoted(pair.value.text().unwrap_or(""), Form::Kdl);
                    let _ = writeln!(out, "{} {value}", name(&pair.key, Form::Kdl));
                }
                indent(out, depth);
                out.push_str("}\n");
            }
            Type::Words | Type::Names => {
                kdl_line(out, field, depth, apart);
                for item in entry.value.items() {
                    let _ = write!(out, " {}", quoted(item.text().unwrap_or(""), Form::Kdl));
                }
                out.push('\n');
            }
            _ => {
                kdl_line(out, field, depth, apart);
                let text = scalar(field.ty, &entry.value, Form::Kdl);
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
        let _ = write!(out, " {}", scalar(field.ty, &entry.value, Form::Kdl));
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
                    let text = quoted(item.text().unwrap_or(""), Form::Kdl);
                    let _ = write!(out, " {key}{text}");
                }
            }
            _ => {
                let text = scalar(field.ty, &entry.value, Form::Kdl);
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
                    let value = quoted(pair.value.text().unwrap_or(""), Form::Yaml);
                    let _ = writeln!(out, "{}: {value}", name(&pair.key, Form::Yaml));
                }
            }
            Type::Words | Type::Names => {
                let _ = writeln!(out, " {}", yaml_list(&entry.value));
            }
            _ => {
                let _ = writeln!(out, " {}", scalar(field.ty, &entry.value, Form::Yaml));
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
    if shape.inline || node.entries().is_empty() {
        let _ = writeln!(out, " {}", yaml_flow(node, shape));
    } else {
        out.push('\n');
        yaml_map(out, node, shape, depth + 1);
    }
}

fn yaml_list(node: &Node) -> String {
    let items = node.items().iter();
    let items: Vec<String> =
        items.map(|item| quoted(item.text().unwrap_or(""), Form::Yaml)).collect();
    format!("[{}]", items.join(", "))
}

/// A section on one line; its value alone where that is all there is.
fn yaml_flow(node: &Node, shape: &Shape) -> String {
    let fields = ordered(node, shape);
    if let [(field, entry)] = fields.as_slice()
        && Some(field.name) == shape.short
    {
        return scalar(field.ty, &entry.value, Form::Yaml);
    }
    let fields: Vec<String> = fields
        .into_iter()
        .map(|(field, entry)| match entry.value.kind {
            Kind::Seq(_) => format!("{}: {}", field.name, yaml_list(&entry.value)),
            _ => format!("{}: {}", field.name, scalar(field.ty, &entry.value, Form::Yaml)),
        })
        .collect();
    format!("{{{}}}", fields.join(", "))
}

fn scalar(ty: Type, node: &Node, form: Form) -> String {
    let raw = node.text().unwrap_or("");
    match (ty, form) {
        (Type::Flag, Form::Kdl) => format!("#{raw}"),
        (Type::Flag, Form::Yaml) | (Type::Integer { .. } | Type::Cpu | Type::Gpu, _) => {
            raw.to_owned()
        }
        _ => quoted(raw, form),
    }
}

/// A name without quotes where both forms read it as a name.
fn name(text: &str, form: Form) -> String {
    let keyword = ["true", "false", "null", "inf", "nan", "yes", "no", "on", "off", "y", "n"]
        .contains(&text.to_ascii_lowercase().as_str());
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if plain && !keyword { text.to_owned() } else { quoted(text, form) }
}

/// A text in double quotes. Whatever could be read otherwise, or not at all, is escaped.
fn quoted(text: &str, form: Form) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if scan::forbidden(c) || matches!(c, '\u{fff0}'..='\u{ffff}') => {
                let code = u32::from(c);
                let _ = match form {
                    Form::Kdl => write!(out, "\\u{{{code:x}}}"),
                    Form::Yaml => write!(out, "\\u{code:04x}"),
                };
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
