//! YAML 1.2 text to the tree.
//!
//! Knows documents, anchors and their limits. Refuses tags, merge keys, keys that are not plain
//! names, and to decide whether `no` is a text: scalars keep what was written.

mod mend;

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle};
use mend::Mended;

use super::{
    limits::{Limits, too_many_values},
    tree::{Entry, Kind, Node, Read, Source, Span},
};
use crate::diagnostic::Diagnostic;

/// At most so many errors are reported.
const MOST_ERRORS: usize = 20;

/// What is no YAML.
const SYNTAX: &str = "DN-E0107";

const BARE_TEMPLATE: &str = "a template needs quotes here: `{` begins a map";
const QUOTE_TEMPLATE: &str = "put the whole text into quotes: `\"{{ … }}\"`";

/// Reads YAML 1.2.
///
/// # Errors
/// A syntax error, or everything that YAML allows and this language does not.
pub fn from_yaml(source: &Source) -> Result<Node, Vec<Diagnostic>> {
    read(source, &Limits::default()).result()
}

/// Reads documents of others, where `<<` is a key like any other: Compose files merge by it.
pub fn read_with_merge_keys(source: &Source, limits: &Limits) -> Read {
    read_as(source, limits, true)
}

/// Reads YAML 1.2 as far as it is that.
pub(super) fn read(source: &Source, limits: &Limits) -> Read {
    read_as(source, limits, false)
}

fn read_as(source: &Source, limits: &Limits, merges: bool) -> Read {
    let mut reader = Reader::new(source, &source.text, limits, merges);
    let Err(stop) = reader.run() else { return reader.finish(true) };
    if stop.code != SYNTAX {
        reader.give_up(stop);
        return reader.finish(false);
    }
    let mended = mend::mended(source, &stop, limits, MOST_ERRORS);
    let mut reader = Reader::new(source, &mended.text, limits, merges);
    reader.without(&mended);
    let stop = reader.run().err();
    let whole = stop.is_none();
    if let Some(stop) = stop {
        reader.give_up(stop);
    }
    reader.errors.extend(mended.errors);
    reader.finish(whole)
}

/// Whether a YAML text that parses has a comment.
pub(super) fn has_comments(text: &str) -> bool {
    let options = granit_parser::options! { emit_comments: true, disallow_directives: true };
    let mut events = Parser::new_from_str_with_options(text, options);
    events.any(|event| matches!(event, Ok((Event::Comment(..), _))))
}

/// A list or map that is still open.
struct Open {
    kind: Kind,
    start: usize,
    anchor: usize,
    key: Option<(String, Span)>,
    seen: BTreeMap<String, Span>,
    /// How many of the entries are in `seen`.
    indexed: usize,
    depth: usize,
}

/// So many names of a map are compared one by one: most maps are small, and an index of each would
/// cost more than the rest of reading them.
const FEW: usize = 24;

impl Open {
    /// Where a name of this map was written before.
    fn earlier(&mut self, key: &str) -> Option<Span> {
        let Kind::Map(entries) = &self.kind else { return None };
        if entries.len() <= FEW {
            return entries.iter().find(|e| e.key == key).map(|entry| entry.key_span.clone());
        }
        for entry in &entries[self.indexed..] {
            self.seen.entry(entry.key.clone()).or_insert_with(|| entry.key_span.clone());
        }
        self.indexed = entries.len();
        self.seen.get(key).cloned()
    }
}

/// A finished value that aliases may repeat.
struct Anchored {
    node: Node,
    nodes: usize,
    text: usize,
    depth: usize,
}

struct Reader<'a> {
    source: &'a Source,
    /// The text of the source, without what could not be read.
    read: &'a str,
    limits: &'a Limits,
    merges: bool,
    errors: Vec<Diagnostic>,
    doubtful: Vec<Span>,
    /// What could not be read.
    unread: Vec<Span>,
    /// Where the scalar was that came last.
    last: Span,
    stack: Vec<Open>,
    anchors: BTreeMap<usize, Anchored>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    text: usize,
    /// How many values were read.
    values: usize,
}

impl<'a> Reader<'a> {
    fn new(source: &'a Source, read: &'a str, limits: &'a Limits, merges: bool) -> Self {
        Self {
            source,
            read,
            limits,
            merges,
            errors: Vec::new(),
            doubtful: Vec::new(),
            unread: Vec::new(),
            last: 0..0,
            stack: Vec::new(),
            anchors: BTreeMap::new(),
            root: None,
            documents: 0,
            nodes: 0,
            text: 0,
            values: 0,
        }
    }

    /// Notes what was left out of the text that is read.
    fn without(&mut self, mended: &Mended) {
        let behind = |span: &Span| span.start..span.end + 1;
        self.doubtful.extend(mended.left_out.iter().map(behind));
        self.doubtful.extend(mended.lacking.iter().cloned());
        self.unread.extend(mended.left_out.iter().cloned());
    }

    /// What was read. `whole` says that it was read to its end.
    fn finish(self, whole: bool) -> Read {
        let Self { source, errors, mut doubtful, root, unread, values, .. } = self;
        let errors = errors.into_iter().map(|error| indented_by_tab(source, error));
        let errors = errors.map(|error| bare_template(source, error));
        let mut errors: Vec<Diagnostic> = errors.collect();
        errors.sort_by(|a, b| a.at.cmp(&b.at));
        errors.dedup();
        errors.truncate(MOST_ERRORS);
        let places = errors.iter().filter_map(|error| error.at.as_ref());
        doubtful.extend(places.map(|at| at.start..at.end + 1));
        let tree = root.unwrap_or(Node { kind: Kind::Map(Vec::new()), span: 0..0 });
        Read { tree, errors, doubtful, unread, whole, values }
    }

    /// # Errors
    /// What makes reading on pointless.
    fn run(&mut self) -> Result<(), Diagnostic> {
        let options = granit_parser::options! {
            emit_comments: false,
            disallow_directives: true,
            emit_unresolved_aliases: true,
        };
        let source = self.source;
        for next in Parser::new_from_str_with_options(self.read, options) {
            let (event, span) = next.map_err(|error| {
                let at = error.marker().byte_offset().unwrap_or(source.text.len());
                syntax(source, &error, at, self.limits)
            })?;
            let span = span.byte_range().unwrap_or(0..0);
            self.event(event, span)?;
        }
        Ok(())
    }

    /// Closes what is open at an error that ends the reading. What seems to be missing from it may
    /// stand behind the error.
    fn give_up(&mut self, stop: Diagnostic) {
        let length = self.source.text.len();
        let from = stop.at.as_ref().map_or(0, |at| at.start);
        self.doubtful.push(from..length + 1);
        self.unread.push(from..length);
        self.errors.push(stop);
        self.doubtful.push(self.last.clone());
        while let Some(open) = self.stack.pop() {
            self.doubtful.push(open.start..open.start + 1);
            self.doubtful.extend(open.key.map(|(_, span)| span));
            let node = Node { kind: open.kind, span: open.start..length };
            match self.stack.last_mut() {
                None => self.root = Some(node),
                Some(Open { kind: Kind::Seq(items), .. }) => items.push(node),
                Some(Open { kind: Kind::Map(entries), key, .. }) => {
                    let named = key.clone();
                    entries.extend(named.map(|(key, key_span)| Entry {
                        key,
                        key_span,
                        value: node,
                    }));
                }
                Some(_) => {}
            }
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second document begins here";
                    return Err(self
                        .found("DN-E0109", span, message)
                        .help("write one document in a file, and name others with `include`"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                let plain = style == ScalarStyle::Plain;
                self.last = span.clone();
                self.place(Node::scalar(text, plain, span), anchor, 1)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                self.open(Kind::Seq(Vec::new()), anchor, span)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &span);
                self.open(Kind::Map(Vec::new()), anchor, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
            Event::Alias(id) => self.alias(id, span)?,
            Event::UnresolvedAlias(name) => self.unresolved(&name, span)?,
            _ => {}
        }
        Ok(())
    }

    fn found(&self, code: &str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, Some(self.source.at(&span)), message)
    }

    fn refuse_tag(&mut self, tagged: bool, span: &Span) {
        if tagged {
            let message = "tags (`!…`) mean nothing here";
            self.errors.push(
                self.found("DN-E0108", span.clone(), message)
                    .help("remove the tag; quote the value if it must be a text"),
            );
        }
    }

    /// Counts what is repeated. What is written once is limited by the size of the file.
    fn spend(&mut self, nodes: usize, bytes: usize, span: &Span) -> Result<(), Diagnostic> {
        self.nodes += nodes;
        self.text += bytes;
        let Limits { values, text, .. } = *self.limits;
        let what = match () {
            () if self.nodes > values => format!("{values} values"),
            () if self.text > text => format!("{text} bytes of text"),
            () => return Ok(()),
        };
        let message = format!("aliases repeat more than {what}");
        Err(self.found("DN-E0105", span.clone(), message).help("use fewer aliases"))
    }

    /// Counts values before there is memory for them.
    fn counted(&mut self, values: usize, span: &Span) -> Result<(), Diagnostic> {
        self.values += values;
        match self.values > self.limits.all_values {
            true => Err(too_many_values(self.source, span.start)),
            false => Ok(()),
        }
    }

    fn too_deep(&self, span: Span) -> Diagnostic {
        let message = format!("more than {} lists and maps are open here", self.limits.depth);
        self.found("DN-E0105", span, message).help("nest less deeply")
    }

    fn open(&mut self, kind: Kind, anchor: usize, span: Span) -> Result<(), Diagnostic> {
        if self.stack.len() >= self.limits.depth {
            return Err(self.too_deep(span));
        }
        let seen = BTreeMap::new();
        self.stack.push(Open {
            kind,
            start: span.start,
            anchor,
            key: None,
            seen,
            indexed: 0,
            depth: 1,
        });
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Diagnostic> {
        let Some(open) = self.stack.pop() else {
            return Ok(());
        };
        let written = self.read.get(open.start..span.end).unwrap_or("").trim_end();
        let end = open.start + written.len();
        let node = Node { kind: open.kind, span: open.start..end };
        self.place(node, open.anchor, open.depth)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Diagnostic> {
        let Some(anchored) = self.anchors.get(&id) else {
            let message = "this alias stands within what it names, so it would never end";
            return Err(self.found("DN-E0106", span, message).help("write the value out"));
        };
        let (nodes, text, depth) = (anchored.nodes, anchored.text, anchored.depth);
        if self.stack.len() + depth > self.limits.depth {
            return Err(self.too_deep(span));
        }
        self.spend(nodes, text, &span)?;
        self.counted(nodes - 1, &span)?;
        let node = self.anchors[&id].node.clone();
        self.place(node, 0, depth)
    }

    /// An alias of nothing that was read. What it stands for is not known, and so not judged.
    fn unresolved(&mut self, name: &str, span: Span) -> Result<(), Diagnostic> {
        let anchor = format!("&{name}");
        let text = |part: &Span| self.source.text.get(part.clone()).unwrap_or("");
        if !self.unread.iter().any(|part| text(part).contains(&anchor)) {
            let shown = name.escape_debug();
            let message = format!("this is not YAML: nothing before this is named `&{shown}`");
            let help = "name a value so before, or write the value out";
            let error = self.found(SYNTAX, span.clone(), message).help(help);
            self.errors.push(error);
        }
        self.doubtful.push(span.clone());
        for open in &self.stack {
            self.doubtful.push(open.start..open.start + 1);
            self.doubtful.extend(open.key.iter().map(|(_, span)| span.clone()));
        }
        let open = self.stack.last_mut();
        if let Some(open) = open.filter(|o| o.key.is_none() && matches!(o.kind, Kind::Map(_))) {
            open.key = Some((format!("*{name}"), span));
            return Ok(());
        }
        // Nobody reports an empty list here as a value that is missing.
        self.place(Node { kind: Kind::Seq(Vec::new()), span }, 0, 1)
    }

    /// Puts a finished value where it belongs: it is a key, a value, an item, or the whole.
    fn place(&mut self, node: Node, anchor: usize, depth: usize) -> Result<(), Diagnostic> {
        self.counted(1, &node.span)?;
        if anchor != 0 {
            let (nodes, text) = weight(&node);
            self.spend(nodes, text, &node.span)?;
            let anchored = Anchored { node: node.clone(), nodes, text, depth };
            self.anchors.insert(anchor, anchored);
        }
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.depth = open.depth.max(depth + 1);
        match (&mut open.kind, open.key.take()) {
            (Kind::Seq(items), _) => items.push(node),
            (Kind::Map(entries), Some((key, key_span))) => {
                entries.push(Entry { key, key_span, value: node });
            }
            (Kind::Map(_), None) => self.key(node),
            (Kind::Scalar { .. }, _) => {}
        }
        Ok(())
    }

    fn key(&mut self, node: Node) {
        let span = node.span.clone();
        let Kind::Scalar { raw, plain } = node.kind else {
            // Twice `{` begins a map with a map as a name, or a template that lacks its quotes.
            let outer = span.start.saturating_sub(1);
            if self.source.text.get(outer..).is_some_and(|text| text.starts_with("{{")) {
                let error = self.found("DN-E0108", outer..span.end + 1, BARE_TEMPLATE);
                self.errors.push(error.help(QUOTE_TEMPLATE));
                self.doubtful.push(outer..span.end + 1);
                self.set_key(String::new(), span);
                return;
            }
            let error = self.found("DN-E0108", span.clone(), "a name must be a text here");
            self.errors.push(error.help("write `name: value`"));
            self.set_key(String::new(), span);
            return;
        };
        if raw == "<<" && plain && !self.merges {
            let message = "the merge key `<<` is not part of YAML 1.2";
            let error = self.found("DN-E0108", span.clone(), message);
            self.errors.push(error.help("write the fields out, or use `defaults`"));
        }
        let earlier = self.stack.last_mut().and_then(|open| open.earlier(&raw));
        if let Some(earlier) = earlier {
            let error = self.found("DN-E0111", span.clone(), format!("`{raw}` is written twice"));
            let earlier = self.source.at(&earlier);
            self.errors.push(error.related(earlier, "first here").help("keep one of the two"));
        }
        self.set_key(raw, span);
    }

    fn set_key(&mut self, key: String, span: Span) {
        if let Some(open) = self.stack.last_mut() {
            open.key = Some((key, span));
        }
    }
}

/// Values and bytes of text within a value. Depth is limited, so recursion is.
fn weight(node: &Node) -> (usize, usize) {
    let add = |(a, b): (usize, usize), (c, d): (usize, usize)| (a + c, b + d);
    match &node.kind {
        Kind::Scalar { raw, .. } => (1, raw.len()),
        Kind::Seq(items) => items.iter().map(weight).fold((1, 0), add),
        Kind::Map(entries) => entries
            .iter()
            .map(|entry| add((1, entry.key.len()), weight(&entry.value)))
            .fold((1, 0), add),
    }
}

fn syntax(
    source: &Source,
    error: &granit_parser::ScanError,
    at: usize,
    limits: &Limits,
) -> Diagnostic {
    if error.info().contains("recursion limit") {
        let message = format!("more than {} lists and maps are open here", limits.depth);
        return Diagnostic::error("DN-E0105", Some(source.at(&(at..at))), message)
            .help("nest less deeply");
    }
    let message = format!("this is not YAML: {}", error.info().replace('\n', " "));
    Diagnostic::error(SYNTAX, Some(source.at(&(at..at))), message)
        .help("check the indentation, and quote texts that hold `: `, ` #` or begin with a sign")
}

/// The same mistake, or the one that leads to it: lines that a tab indents end every entry, which
/// a parser notices only where an entry goes on.
fn indented_by_tab(source: &Source, error: Diagnostic) -> Diagnostic {
    let Some(at) = error.at.as_ref().filter(|_| error.code == SYNTAX) else { return error };
    let line = |number: u32| {
        let span = source.line(number);
        let text = source.text[span.clone()].trim_end();
        (span.start, text, text.len() - text.trim_start_matches(' ').len())
    };
    let own = line(at.line).2;
    let tabbed = |number: &u32| line(*number).1.trim_start_matches(' ').starts_with('\t');
    let passed = |number: &u32| {
        let (_, text, indent) = line(*number);
        !tabbed(number) && (*number == at.line || indent > own || text.is_empty())
    };
    // A text may go on to the next line.
    let next = Some(at.line + 1).filter(|next| error.message.contains("a tab") && tabbed(next));
    let above = || (1..=at.line).rev().find(|number| !passed(number)).filter(tabbed);
    let Some(mut first) = next.or_else(above) else {
        return error;
    };
    while first > 1 && tabbed(&(first - 1)) {
        first -= 1;
    }
    let (start, text, indent) = line(first);
    let from = start + indent;
    let end = from + text[indent..].len() - text[indent..].trim_start().len();
    let message = "this is not YAML: a tab indents this line";
    Diagnostic::error(SYNTAX, Some(source.at(&(from..end))), message)
        .help("indent with blanks: YAML takes no tabs there")
}

/// The same mistake, or why it is one: a value that begins with a template, without quotes.
fn bare_template(source: &Source, error: Diagnostic) -> Diagnostic {
    let Some(at) = error.at.as_ref().filter(|_| error.code == SYNTAX) else { return error };
    let line = source.line(at.line);
    let text = &source.text[line.clone()];
    let begins = [": {{", "- {{"].into_iter().filter_map(|begin| text.find(begin)).min();
    let Some(begin) = begins.filter(|begin| !text[..*begin].contains(['"', '\'', '#'])) else {
        return error;
    };
    let from = line.start + begin + 2;
    let end = line.start + text.trim_end().len();
    Diagnostic::error(SYNTAX, Some(source.at(&(from..end))), BARE_TEMPLATE).help(QUOTE_TEMPLATE)
}
