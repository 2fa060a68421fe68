//! A tree as written, checked against the tables of fields and brought into one form: every map
//! has the YAML names, lists are lists, and every scalar reads as its type.
//!
//! Knows how KDL and YAML say the same thing. Refuses to know what a field is for.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    fields::{Field, Shape, Type},
    habits, scalar, suggest,
    tree::{Entry, Form, Kind, Node, Source, Span},
};
use crate::diagnostic::Diagnostic;

/// After so many findings in one file, the rest would only bury them.
const MOST_FINDINGS: usize = 100;

/// Words that will mean something one day, with what is said of them until then.
const RESERVED: [(&str, &str, &str); 1] = [(
    "move-data",
    "this version of devnet cannot take data to another node: `move-data` is reserved for that",
    "stop the service, copy its volumes yourself, and say `leave-data` (docs/operating.md)",
)];

/// Checks a tree against a shape.
pub(super) fn canonical(
    source: &Source,
    form: Form,
    tree: &Node,
    shape: &Shape,
) -> (Node, Vec<Diagnostic>) {
    let mut reader = Reader { source, form, found: Vec::new(), dropped: 0 };
    let node = reader
        .section(tree, shape)
        .unwrap_or(Node { kind: Kind::Map(Vec::new()), span: tree.span.clone() });
    if reader.dropped > 0 {
        let message = format!("{} more errors are not shown", reader.dropped);
        reader.found.push(Diagnostic::error("DN-E0200", None, message).help("fix these first"));
    }
    (node, reader.found)
}

struct Reader<'a> {
    source: &'a Source,
    form: Form,
    found: Vec<Diagnostic>,
    dropped: usize,
}

/// What was written for one field, in order.
struct Written<'a> {
    field: &'static Field,
    entries: Vec<Given<'a>>,
    /// Further arguments of a list that was written as a property: `tag="a" "b"`.
    more: Vec<&'a Node>,
}

/// A value and the name, or the place of one, that it was written under. What is large is looked
/// at where it stands and only copied when it is taken.
#[derive(Clone, Copy)]
struct Given<'a> {
    key_span: &'a Span,
    value: &'a Node,
}

/// A section with a name of its own.
struct Named<'a> {
    key: String,
    key_span: Span,
    body: Cow<'a, Node>,
    /// The entry or item of the body that is the name.
    skip: Option<usize>,
}

impl Reader<'_> {
    fn error(&mut self, code: &str, span: &Span, message: String, help: impl Into<String>) {
        let error = Diagnostic::error(code, Some(self.source.at(span)), message).help(help);
        self.push(error);
    }

    fn push(&mut self, error: Diagnostic) {
        if self.found.len() < MOST_FINDINGS {
            self.found.push(error);
        } else {
            self.dropped += 1;
        }
    }

    fn named(&self, field: &Field) -> &'static str {
        match self.form {
            Form::Kdl => field.kdl,
            Form::Yaml => field.name,
        }
    }

    /// One section with its fields.
    fn section(&mut self, node: &Node, shape: &Shape) -> Option<Node> {
        self.section_but(node, None, shape)
    }

    /// The same without the entry or item that is its name.
    fn section_but(&mut self, node: &Node, skip: Option<usize>, shape: &Shape) -> Option<Node> {
        let spread: Vec<Entry>;
        // In YAML, a name may be empty; only a value that stands alone is an argument there.
        let mut positional = self.form == Form::Kdl;
        let entries = match &node.kind {
            Kind::Map(entries) => entries.as_slice(),
            Kind::Scalar { .. } if node.is_empty() && self.form == Form::Kdl => &[],
            Kind::Scalar { .. } if node.is_empty() => {
                let message = format!("this {} is empty", shape.name);
                self.error("DN-E0203", &node.span, message, "write its fields, or remove it");
                return None;
            }
            Kind::Scalar { .. } if shape.short.is_some() => {
                positional = true;
                spread = vec![argument(node)];
                &spread
            }
            Kind::Seq(items) if self.form == Form::Kdl => {
                spread = items.iter().map(argument).collect();
                &spread
            }
            _ => {
                let fields = self.known(shape);
                let message = format!("{} takes fields, not a single value", article(shape.name));
                self.error("DN-E0202", &node.span, message, format!("its fields are {fields}"));
                return None;
            }
        };
        let written = self.sort(entries, skip, shape, positional);
        Some(self.fields(written, shape, &node.span))
    }

    fn known(&self, shape: &Shape) -> String {
        let names = shape.fields.iter().map(|field| format!("`{}`", self.named(field)));
        names.collect::<Vec<_>>().join(", ")
    }

    /// Brings entries to their fields and reports those that have none.
    fn sort<'n>(
        &mut self,
        entries: &'n [Entry],
        skip: Option<usize>,
        shape: &Shape,
        positional: bool,
    ) -> Vec<Written<'n>> {
        let mut written: Vec<Written> = Vec::new();
        let mut list = None;
        for (index, entry) in entries.iter().enumerate() {
            if skip == Some(index) {
                continue;
            }
            if entry.key.is_empty() && positional {
                self.argument(&entry.value, shape, list, &mut written);
                continue;
            }
            let Some(field) = shape.fields.iter().find(|f| self.named(f) == entry.key) else {
                self.unknown(entry, shape);
                continue;
            };
            let at = slot(&mut written, field);
            written[at].entries.push(Given { key_span: &entry.key_span, value: &entry.value });
            if matches!(field.ty, Type::Words | Type::Names) && entry.value.text().is_some() {
                list = Some(at);
            }
        }
        written
    }

    /// An argument continues the list property before it, or is the field that needs no name.
    fn argument<'n>(
        &mut self,
        value: &'n Node,
        shape: &Shape,
        list: Option<usize>,
        written: &mut Vec<Written<'n>>,
    ) {
        if let Some(at) = list {
            written[at].more.push(value);
            return;
        }
        let short = shape.fields.iter().find(|field| Some(field.name) == shape.short);
        let taken = short.is_some_and(|s| written.iter().any(|w| w.field.name == s.name));
        match short {
            Some(field) if !taken => {
                let at = slot(written, field);
                written[at].entries.push(Given { key_span: &value.span, value });
            }
            _ => {
                let message = format!("{} takes no such value", article(shape.name));
                let help = format!("name it: the fields are {}", self.known(shape));
                self.error("DN-E0202", &value.span, message, help);
            }
        }
    }

    fn unknown(&mut self, entry: &Entry, shape: &Shape) {
        let form = self.form;
        let names = shape.fields.iter().map(move |field| match form {
            Form::Kdl => field.kdl,
            Form::Yaml => field.name,
        });
        if let Some((_, message, help)) = RESERVED.iter().find(|(word, ..)| *word == entry.key) {
            return self.error("DN-E0201", &entry.key_span, (*message).to_owned(), *help);
        }
        let key = entry.key.escape_debug().to_string();
        let message = match shape.name {
            // These words are the names of their sections.
            "resources" | "health" | "place" => format!("`{}` has no field `{key}`", shape.name),
            other => format!("{} has no field `{key}`", article(other)),
        };
        // Nobody sees the advice of what is not shown, and it costs more than the rest.
        let full = self.found.len() >= MOST_FINDINGS;
        let help = match habits::field(shape.name, &entry.key, form) {
            Some(help) => help,
            None if full => String::new(),
            None => suggest::advice(&entry.key, names),
        };
        self.error("DN-E0201", &entry.key_span, message, help);
    }

    fn fields(&mut self, written: Vec<Written<'_>>, shape: &Shape, span: &Span) -> Node {
        let mut entries = Vec::new();
        for field in shape.fields.iter().filter(|field| field.required) {
            if !written.iter().any(|w| w.field.name == field.name) {
                let name = self.named(field);
                let message = format!("this {} has no `{name}`", shape.name);
                self.error("DN-E0204", span, message, format!("add `{name}`: {}", field.doc));
            }
        }
        for Written { field, entries: given, more } in written {
            let Some(first) = given.first() else { continue };
            let (key, key_span) = (field.name.to_owned(), first.key_span.clone());
            // What was refused leaves an empty list, so that nobody reports it as missing too.
            let refused = || Node { kind: Kind::Seq(Vec::new()), span: first.value.span.clone() };
            let value = self.value(field, &given, &more).unwrap_or_else(refused);
            entries.push(Entry { key, key_span, value });
        }
        Node { kind: Kind::Map(entries), span: span.clone() }
    }

    fn value(
        &mut self,
        field: &'static Field,
        given: &[Given<'_>],
        more: &[&Node],
    ) -> Option<Node> {
        let first = given.first()?;
        match field.ty {
            Type::Names => Some(self.list(field, given, more)),
            Type::Sections(shape) => Some(self.sections(given, shape)),
            Type::Keyed(shape) => Some(self.keyed(field, given, shape)),
            Type::Free => Some(self.free(field, given)),
            Type::Words => {
                self.once(field, given);
                Some(self.list(field, &given[..1], more))
            }
            Type::Section(shape) => {
                self.once(field, given);
                self.section(first.value, shape)
            }
            _ => {
                self.once(field, given);
                self.scalar(self.named(field), field.ty, first.value)
            }
        }
    }

    fn once(&mut self, field: &Field, given: &[Given<'_>]) {
        if let [first, second, ..] = given {
            let message = format!("`{}` is written twice", self.named(field));
            let error =
                Diagnostic::error("DN-E0206", Some(self.source.at(second.key_span)), message)
                    .related(self.source.at(first.key_span), "first here")
                    .help("keep one of the two");
            self.push(error);
        }
    }

    fn scalar(&mut self, name: &str, ty: Type, node: &Node) -> Option<Node> {
        let Kind::Scalar { raw, plain } = &node.kind else {
            let message = format!("`{name}` takes a single value");
            self.error("DN-E0202", &node.span, message, "write one text or number");
            return None;
        };
        if node.is_empty() && self.form == Form::Kdl && matches!(ty, Type::Flag) {
            return Some(Node::scalar("true", true, node.span.clone()));
        }
        if is_nothing(node) {
            let message = format!("`{name}` has no value");
            self.error("DN-E0203", &node.span, message, "write a value, or \"\" for an empty text");
            return None;
        }
        match scalar::check(ty, raw, *plain, self.form) {
            Ok(()) => Some(node.clone()),
            Err(problem) => {
                let message = format!("`{name}`: {}", problem.what);
                self.error("DN-E0205", &node.span, message, problem.help);
                None
            }
        }
    }

    fn list(&mut self, field: &'static Field, given: &[Given<'_>], more: &[&Node]) -> Node {
        let mut items = Vec::new();
        let before = self.found.len();
        let span = given.first().map_or(0..0, |entry| entry.value.span.clone());
        for entry in given {
            match &entry.value.kind {
                Kind::Seq(values) => {
                    items.extend(values.iter().filter_map(|value| self.text(field, value)));
                }
                _ => items.extend(self.text(field, entry.value)),
            }
        }
        items.extend(more.iter().filter_map(|value| self.text(field, value)));
        if items.is_empty() && self.found.len() == before {
            let message = format!("`{}` lists nothing", self.named(field));
            self.error("DN-E0203", &span, message, "write at least one value, or remove it");
        }
        Node { kind: Kind::Seq(items), span }
    }

    fn text(&mut self, field: &Field, node: &Node) -> Option<Node> {
        if matches!(node.kind, Kind::Scalar { .. }) {
            return self.scalar(self.named(field), Type::Text, node);
        }
        let message = format!("`{}` takes texts", self.named(field));
        let help = match self.form {
            Form::Kdl => "write one text after the other",
            Form::Yaml => "write a list of texts: `[a, b]`",
        };
        self.error("DN-E0202", &node.span, message, help);
        None
    }

    fn sections(&mut self, given: &[Given<'_>], shape: &Shape) -> Node {
        let span = given.first().map_or(0..0, |entry| entry.value.span.clone());
        let mut items = Vec::new();
        for entry in given {
            match (&entry.value.kind, self.form) {
                (Kind::Seq(values), Form::Yaml) => {
                    items.extend(values.iter().filter_map(|value| self.section(value, shape)));
                }
                (_, Form::Kdl) => {
                    let start = entry.key_span.start.min(entry.value.span.start);
                    items.extend(
                        self.section(entry.value, shape)
                            .map(|item| Node { span: start..entry.value.span.end, ..item }),
                    );
                }
                _ => items.extend(self.section(entry.value, shape)),
            }
        }
        Node { kind: Kind::Seq(items), span }
    }

    fn keyed(&mut self, field: &Field, given: &[Given<'_>], shape: &Shape) -> Node {
        let span = given.first().map_or(0..0, |entry| entry.value.span.clone());
        let (mut entries, mut seen) = (Vec::new(), BTreeMap::new());
        for entry in given {
            let named = match self.form {
                Form::Kdl => self.kdl_named(field, entry).into_iter().collect(),
                Form::Yaml => self.yaml_named(field, entry),
            };
            for Named { key, key_span, body, skip } in named {
                if !self.first_of(&mut seen, &key, &key_span, shape.name) {
                    continue;
                }
                // What is written may be the name alone: whether that is enough, the shape says.
                let value = match is_nothing(&body) && shape.short.is_some() {
                    true => {
                        let span = body.span.clone();
                        self.section(&Node { kind: Kind::Map(vec![]), span }, shape)
                    }
                    false => self.section_but(&body, skip, shape),
                };
                let refused = || Node { kind: Kind::Seq(Vec::new()), span: key_span.clone() };
                let value = value.unwrap_or_else(refused);
                entries.push(Entry { key, key_span, value });
            }
        }
        Node { kind: Kind::Map(entries), span }
    }

    /// Whether this is the first of its name; the second of a name is reported and dropped.
    fn first_of(
        &mut self,
        seen: &mut BTreeMap<String, Span>,
        key: &str,
        span: &Span,
        what: &str,
    ) -> bool {
        let Some(earlier) = seen.get(key) else {
            seen.insert(key.to_owned(), span.clone());
            return true;
        };
        let message = format!("{what} `{}` is written twice", key.escape_debug());
        let error = Diagnostic::error("DN-E0206", Some(self.source.at(span)), message)
            .related(self.source.at(earlier), "first here")
            .help("give one of them another name, or remove it");
        self.push(error);
        false
    }

    /// `volume "data" at="…"`: the first argument is the name, the rest is the section.
    fn kdl_named<'n>(&mut self, field: &Field, entry: &Given<'n>) -> Option<Named<'n>> {
        let span = &entry.value.span;
        let (name, body, skip) = match &entry.value.kind {
            Kind::Scalar { .. } if !entry.value.is_empty() => {
                (entry.value, Cow::Owned(Node::scalar("", true, span.clone())), None)
            }
            Kind::Seq(items) if !items.is_empty() => {
                (&items[0], Cow::Borrowed(entry.value), Some(0))
            }
            Kind::Map(entries) if entries.iter().any(|entry| entry.key.is_empty()) => {
                let at = entries.iter().position(|entry| entry.key.is_empty()).unwrap_or(0);
                (&entries[at].value, Cow::Borrowed(entry.value), Some(at))
            }
            _ => {
                let message = format!("this {} has no name", field.kdl);
                let help = format!("write `{} \"NAME\" …`", field.kdl);
                self.error("DN-E0204", entry.key_span, message, help);
                return None;
            }
        };
        let key = self.text(field, name)?.text()?.to_owned();
        Some(Named { key, key_span: name.span.clone(), body, skip })
    }

    fn yaml_named<'n>(&mut self, field: &Field, entry: &Given<'n>) -> Vec<Named<'n>> {
        let value: &'n Node = entry.value;
        let Kind::Map(entries) = &value.kind else {
            let message = format!("`{}` takes names with fields", field.name);
            let help = format!("write `{}:` and below it `NAME: …`", field.name);
            self.error("DN-E0202", &value.span, message, help);
            return Vec::new();
        };
        let named = |e: &'n Entry| Named {
            key: e.key.clone(),
            key_span: e.key_span.clone(),
            body: Cow::Borrowed(&e.value),
            skip: None,
        };
        entries.iter().map(named).collect()
    }

    fn free(&mut self, field: &'static Field, given: &[Given<'_>]) -> Node {
        let span = given.first().map_or(0..0, |entry| entry.value.span.clone());
        let (mut entries, mut seen) = (Vec::new(), BTreeMap::new());
        for entry in given {
            let Kind::Map(pairs) = &entry.value.kind else {
                let name = self.named(field);
                let message = format!("`{name}` takes names with values");
                let help = match self.form {
                    Form::Kdl => format!("write `{name} NAME=\"value\"`"),
                    Form::Yaml => format!("write `{name}: {{NAME: value}}`"),
                };
                self.error("DN-E0202", &entry.value.span, message, help);
                continue;
            };
            for pair in pairs {
                entries.extend(self.pair(field, pair, &mut seen));
            }
        }
        Node { kind: Kind::Map(entries), span }
    }

    fn pair(
        &mut self,
        field: &'static Field,
        pair: &Entry,
        seen: &mut BTreeMap<String, Span>,
    ) -> Option<Entry> {
        if pair.key.is_empty() {
            let message = format!("this value of `{}` has no name", self.named(field));
            let help = match self.form {
                Form::Kdl => "write `NAME=\"value\"`",
                Form::Yaml => "write `NAME: value`",
            };
            self.error("DN-E0204", &pair.key_span, message, help);
            return None;
        }
        if !self.first_of(seen, &pair.key, &pair.key_span, self.named(field)) {
            return None;
        }
        let value = self.scalar(&pair.key.escape_debug().to_string(), Type::Text, &pair.value)?;
        Some(Entry { key: pair.key.clone(), key_span: pair.key_span.clone(), value })
    }
}

/// Whether nothing was written; YAML has several words for it.
fn is_nothing(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar { raw, plain: true }
        if matches!(raw.as_str(), "" | "~" | "null" | "Null" | "NULL"))
}

fn argument(node: &Node) -> Entry {
    Entry { key: String::new(), key_span: node.span.clone(), value: node.clone() }
}

fn slot<'n>(written: &mut Vec<Written<'n>>, field: &'static Field) -> usize {
    if let Some(at) = written.iter().position(|w| w.field.name == field.name) {
        return at;
    }
    written.push(Written { field, entries: Vec::new(), more: Vec::new() });
    written.len() - 1
}

fn article(name: &str) -> String {
    let vowel = name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {name}", if vowel { "an" } else { "a" })
}
