//! The reference of the language is the code's: docs/cluster-file.md has a table for each section,
//! and this writes them. `UPDATE_EXPECT=1` puts them into the page; otherwise they must be there.
//!
//! Knows that the example file uses every field, since the tables' examples come from it.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf};

use devnet_schema::file::{
    Limits,
    fields::{FILE, Field, Shape, Type},
    format_kdl, from_kdl,
    tree::{Entry, Kind, Node, Source},
};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The example, with the code behind `//   ` as code.
fn whole_example() -> String {
    let uncommented = read("cluster.kdl.example").lines().fold(String::new(), |mut out, line| {
        let code = line.trim_start().strip_prefix("//   ");
        let _ = writeln!(out, "{}", code.unwrap_or(line));
        out
    });
    format_kdl("cluster.kdl", uncommented.into_bytes(), &Limits::default())
        .expect("what is commented out is KDL")
}

/// An example of each field, by section and field, as it is written in KDL.
type Examples = BTreeMap<(&'static str, &'static str), String>;

fn examples() -> Examples {
    let source = Source::new("cluster.kdl", whole_example());
    let tree = from_kdl(&source).expect("the example is KDL");
    let mut found = Examples::new();
    collect(&source.text, &FILE, "", tree.entries(), &mut found);
    found
}

/// The section of each node with its entries.
fn collect(text: &str, shape: &'static Shape, name: &str, entries: &[Entry], to: &mut Examples) {
    for entry in entries {
        let field = match entry.key.as_str() {
            "" => shape.fields.iter().find(|field| Some(field.name) == shape.short),
            key => shape.fields.iter().find(|field| field.kdl == key),
        };
        let Some(field) = field else {
            continue;
        };
        let written = &text[entry.key_span.start..entry.value.span.end];
        let line = written.lines().next().unwrap_or("").trim_end();
        let line = line.split(" //").next().unwrap_or("").trim_end();
        let line = match line.strip_suffix('{') {
            Some(head) => format!("{head}{{ … }}"),
            None => line.to_owned(),
        };
        let line = if entry.key.is_empty() { format!("{name} {line}") } else { line };
        to.entry((shape.name, field.name)).or_insert(line);
        if let Some(inner) = section_of(field) {
            let keyed = matches!(field.ty, Type::Keyed(_));
            let inside = arguments(&entry.value, keyed);
            collect(text, inner, field.kdl, &inside, to);
        }
    }
}

fn section_of(field: &Field) -> Option<&'static Shape> {
    match field.ty {
        Type::Section(shape) | Type::Sections(shape) | Type::Keyed(shape) => Some(shape),
        _ => None,
    }
}

/// What is in a node, its name left out.
fn arguments(node: &Node, keyed: bool) -> Vec<Entry> {
    let argument = |node: &Node| Entry {
        key: String::new(),
        key_span: node.span.clone(),
        value: node.clone(),
    };
    let mut entries = match &node.kind {
        Kind::Map(entries) => entries.clone(),
        Kind::Seq(items) => items.iter().map(argument).collect(),
        Kind::Scalar { .. } if node.is_empty() => Vec::new(),
        Kind::Scalar { .. } => vec![argument(node)],
    };
    if keyed && entries.first().is_some_and(|entry| entry.key.is_empty()) {
        entries.remove(0);
    }
    entries
}

/// What a field takes, in words.
fn takes(field: &Field) -> String {
    match field.ty {
        Type::Text => "text".into(),
        Type::Flag => "flag".into(),
        Type::Integer { min, max } => format!("whole number, {min} to {max}"),
        Type::IntegerOr { min, max, word } => {
            format!("whole number, {min} to {max}, or `{word}`")
        }
        Type::Cpu => "CPU, in cores".into(),
        Type::Size => "size, with a unit".into(),
        Type::Period => "time, with a unit".into(),
        Type::Gpu => "1 to 64 devices, or a share below 1".into(),
        Type::Mode => "permission bits, in octal".into(),
        Type::Choice(words) => {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        Type::Words => "list of texts".into(),
        Type::Names => "list of texts; further lines add to it".into(),
        Type::Section(shape) => format!("section: {}", link(shape)),
        Type::Sections(shape) => format!("any number of sections: {}", link(shape)),
        Type::Keyed(shape) => format!("sections with a name each: {}", link(shape)),
        Type::Free => "texts with a name each".into(),
    }
}

fn link(shape: &Shape) -> String {
    format!("[{0}](#fields-of-{1})", shape.name, shape.name.replace(' ', "-"))
}

/// How a field is written. What can be required can be preferred, and is written the same.
fn example<'a>(shape: &Shape, field: &Field, examples: &'a Examples) -> Option<&'a String> {
    let name = if shape.name == "preference" { "selector" } else { shape.name };
    examples.get(&(shape.name, field.name)).or_else(|| examples.get(&(name, field.name)))
}

/// Code in a cell of a table.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

fn table(shape: &'static Shape, examples: &Examples) -> String {
    let mut out = String::from("| field | takes | unless written | what it says | example |\n");
    out += "|---|---|---|---|---|\n";
    for field in shape.fields {
        let name = match field.name == field.kdl {
            true => code(field.name),
            false => format!("{} (YAML: {})", code(field.kdl), code(field.name)),
        };
        let short = if Some(field.name) == shape.short { " (short)" } else { "" };
        let absent = match field.default {
            Some(default) => code(default),
            None if field.required => "required".to_owned(),
            None => String::new(),
        };
        let example = example(shape, field, examples).map(|text| code(text)).unwrap_or_default();
        let (takes, doc) = (takes(field), field.doc.replace('|', "\\|"));
        let _ = writeln!(out, "| {name}{short} | {takes} | {absent} | {doc} | {example} |");
    }
    out
}

/// Every section, the inner ones after the one they are first used in.
fn shapes(shape: &'static Shape, found: &mut Vec<&'static Shape>) {
    if found.iter().any(|known| std::ptr::eq(*known, shape)) {
        return;
    }
    found.push(shape);
    shape.fields.iter().filter_map(section_of).for_each(|inner| shapes(inner, found));
}

fn all_shapes() -> Vec<&'static Shape> {
    let mut found = Vec::new();
    shapes(&FILE, &mut found);
    found
}

/// How the page marks the table of a section.
fn marks(shape: &'static Shape) -> (String, String) {
    let root = std::ptr::eq(shape, &FILE);
    let name = if root { "the-whole" } else { &shape.name.replace(' ', "-") };
    (format!("<a id=\"fields-of-{name}\"></a>\n\n"), "\n\n".to_owned())
}

#[test]
fn the_page_has_the_tables_of_the_code() {
    let (mut page, examples) = (read("docs/cluster-file.md"), examples());
    let before = page.clone();
    for shape in all_shapes() {
        let (start, end) = marks(shape);
        let Some(at) = page.find(&start).map(|at| at + start.len()) else {
            panic!("docs/cluster-file.md has no place for a table: {}", start.trim());
        };
        let length = page[at..].find(&end).unwrap_or(page.len() - at) + 1;
        page.replace_range(at..at + length, &table(shape, &examples));
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path("docs/cluster-file.md"), &page).expect("the page can be written");
    } else {
        assert!(page == before, "docs/cluster-file.md is old: run this with UPDATE_EXPECT=1");
    }
}

#[test]
fn the_example_shows_every_field() {
    let examples = examples();
    let mut missing = Vec::new();
    for shape in all_shapes() {
        for field in shape.fields {
            if example(shape, field, &examples).is_none() {
                missing.push(format!("{}: {}", shape.name, field.kdl));
            }
        }
    }
    assert!(missing.is_empty(), "cluster.kdl.example does not show {missing:#?}");
}
