//! Reading typed values from the tree, with everything wrong kept for later.
//!
//! Knows scalars, lists, maps, places and files of the repository. Refuses to know any field by
//! name.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use super::{
    env_of,
    grant::clean,
    interpolate::Values,
    template::{self, Templates},
};
use crate::{
    diagnostic::{Diagnostic, Located, Location},
    file::{
        Files, Limits, Unread, suggest, too_many_values,
        tree::{Entry, Kind, Node, Source, Span},
    },
};

/// What a Compose file may take from where it stands.
pub(super) struct Ground<'a> {
    /// The repository.
    pub(super) files: &'a dyn Files,
    /// The templates that values stand for.
    pub(super) templates: &'a RefCell<Templates>,
    /// The names that were asked for.
    pub(super) used: &'a RefCell<BTreeSet<String>>,
}

/// One file of those that a Compose file is made of. They stand behind one another in one range of
/// offsets, so that every node tells from which of them it is.
pub(super) struct Part {
    /// Where its first byte stands in that range.
    pub(super) base: usize,
    pub(super) source: Source,
    /// What its paths are beside, without a slash at the end; empty at the root.
    pub(super) dir: String,
    /// Values by name.
    pub(super) values: Rc<Values>,
}

/// The largest file that is taken from the repository, in bytes.
const MOST_FILE: usize = 256 * 1024;

/// Words that are compared for "did you mean" in one file, however many names are wrong.
const LOOKS: usize = 200_000;

/// What to do where a file is no text, or too much of it.
pub(super) const NO_TEXT: &str = "put large or binary data into an image or a volume";

/// Advice behind what may be meant.
pub(super) fn or(meant: &str, advice: &str) -> String {
    if meant.is_empty() { advice.to_owned() } else { format!("{meant}Or {advice}") }
}

/// What is read from, and what was found.
pub(super) struct Reader<'a> {
    /// The Compose file itself first.
    parts: Vec<Part>,
    templated: &'a BTreeSet<usize>,
    pub(super) ground: Option<&'a Ground<'a>>,
    /// What of the document could not be read: no name that stands there is unknown.
    pub(super) unread: Unread,
    /// Where scalars begin that could not be filled in, which was told: what they are read as is
    /// not what they say.
    pub(super) unfilled: BTreeSet<usize>,
    /// The most instances of a service.
    pub(super) replicas: usize,
    /// How many values ranges and links may still stand for; nothing once that was told.
    pub(super) left: Option<usize>,
    /// How many words may still be compared for "did you mean".
    looks: usize,
    found: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        first: Part,
        templated: &'a BTreeSet<usize>,
        ground: Option<&'a Ground<'a>>,
    ) -> Self {
        Self {
            parts: vec![first],
            templated,
            ground,
            unread: Unread::default(),
            unfilled: BTreeSet::new(),
            replicas: Limits::default().replicas,
            left: Some(Limits::default().all_values),
            looks: LOOKS,
            found: Vec::new(),
        }
    }

    /// Everything that was found, in the order of the file, each once: what an alias repeats is
    /// wrong in one place.
    pub(super) fn into_found(mut self) -> Vec<Diagnostic> {
        self.found.sort_by(|a, b| (&a.at, &a.code, &a.message).cmp(&(&b.at, &b.code, &b.message)));
        self.found.dedup();
        let filling = |code: &str| matches!(code, "DN-E0561" | "DN-E0562" | "DN-E0567");
        self.found.retain(|one| {
            let place = one.at.as_ref().and_then(|at| place(&self.parts, at));
            filling(&one.code) || place.is_none_or(|at| !self.unfilled.contains(&at.start))
        });
        self.found
    }

    pub(super) fn at(&self, span: &Span) -> Location {
        let Part { base, source, .. } = self.part(span.start);
        source.at(&(span.start - base..span.end.saturating_sub(*base)))
    }

    /// Where in the range of offsets a place is.
    pub(super) fn span(&self, at: &Location) -> Span {
        place(&self.parts, at).unwrap_or(at.start..at.end)
    }

    /// Takes in another file; returns where its first byte stands.
    pub(super) fn add(&mut self, part: Part) -> usize {
        let end = |last: &Part| last.base + last.source.text.len() + 2;
        let base = self.parts.last().map_or(0, end);
        self.parts.push(Part { base, ..part });
        base
    }

    /// The number of the file in which an offset is.
    pub(super) fn part_of(&self, offset: usize) -> usize {
        self.parts.partition_point(|part| part.base <= offset).saturating_sub(1)
    }

    fn part(&self, offset: usize) -> &Part {
        &self.parts[self.part_of(offset)]
    }

    /// The values of the file in which an offset is.
    pub(super) fn values_of(&self, offset: usize) -> Rc<Values> {
        Rc::clone(&self.part(offset).values)
    }

    /// Keeps an error.
    pub(super) fn error(&mut self, code: &str, span: &Span, message: String, help: &str) {
        let diagnostic = Diagnostic::error(code, Some(self.at(span)), message);
        self.found.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    /// Keeps a warning.
    pub(super) fn warning(&mut self, code: &str, span: &Span, message: String, help: &str) {
        let at = Some(self.at(span));
        self.found.push(Diagnostic::warning(code, at, message).help(help));
    }

    /// Keeps what others found.
    pub(super) fn take(&mut self, found: Vec<Diagnostic>) {
        self.found.extend(found);
    }

    /// Counts values that something short stands for, before there is memory for them; whether
    /// they may be made. It is told once that they are too many.
    pub(super) fn repeats(&mut self, values: usize, span: &Span) -> bool {
        let left = self.left.and_then(|left| left.checked_sub(values));
        if left.is_none() && self.left.is_some() {
            let Part { base, source, .. } = self.part(span.start);
            let error = too_many_values(source, span.start - base);
            self.found.push(error);
        }
        self.left = left;
        left.is_some()
    }

    /// A field that is read and has no effect.
    pub(super) fn ignored(&mut self, field: &Entry, why: &str) {
        if self.unfilled.contains(&field.value.span.start) {
            return;
        }
        let message = format!("`{}` is ignored: {why}", field.key);
        self.warning("DN-W0560", &field.key_span, message, "leave it out");
    }

    /// A field that cannot be had.
    pub(super) fn refused(&mut self, field: &Entry, of: &str, why: &str) {
        // What could not be filled in may be something else.
        if self.unfilled.contains(&field.value.span.start) {
            return;
        }
        let message = format!("`{of}{}` is refused: {why}", field.key.escape_debug());
        self.error("DN-E0554", &field.key_span, message, "leave it out");
    }

    /// The wrong kind of value, or a value that does not read.
    pub(super) fn wrong(&mut self, node: &Node, what: &str, expected: &str) {
        let message = match &node.kind {
            Kind::Scalar { raw, .. } if !self.is_templated(node) => {
                let shown: String = raw.chars().take(80).collect();
                format!("`{}` is not {expected}, as {what} has to be", shown.escape_debug())
            }
            Kind::Scalar { .. } => format!("what the template gives {what} is not {expected}"),
            Kind::Seq(_) => format!("{what} is a list and has to be {expected}"),
            Kind::Map(_) => format!("{what} is a map and has to be {expected}"),
        };
        self.error("DN-E0551", &node.span, message, &format!("write {expected}"));
    }

    /// A text of several in which something is wrong.
    pub(super) fn wrong_word(&mut self, word: &Located<String>, what: &str, expected: &str) {
        let shown: String = word.value.chars().take(80).collect();
        let shown = shown.escape_debug();
        let message = format!("`{shown}` is not {expected}, as {what} has to be");
        let span = self.span(&word.at);
        self.error("DN-E0551", &span, message, &format!("write {expected}"));
    }

    /// Two fields, each of which can be had, and not both.
    pub(super) fn contradicts(
        &mut self,
        span: &Span,
        message: String,
        other: Option<(Location, &str)>,
        help: &str,
    ) {
        let error = Diagnostic::error("DN-E0570", Some(self.at(span)), message).help(help);
        self.found.push(match other {
            Some((at, why)) => error.related(at, why),
            None => error,
        });
    }

    /// Whether a template made this scalar.
    pub(super) fn is_templated(&self, node: &Node) -> bool {
        match &node.kind {
            Kind::Scalar { raw, .. } => {
                self.templated.contains(&node.span.start) || template::is_marked(raw)
            }
            _ => false,
        }
    }

    /// The text of a scalar that will be split; never one that a template of a component made.
    /// What stands for a template of the cluster file is one word.
    pub(super) fn literal<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        instead: &str,
    ) -> Option<&'n str> {
        let text = node.text();
        if text.is_some() && self.templated.contains(&node.span.start) {
            let message = format!("{what} holds a template and would be split at what it gives");
            self.error("DN-E0552", &node.span, message, instead);
            return None;
        }
        if text.is_none() {
            self.wrong(node, what, "a text");
        }
        text
    }

    /// A scalar as text; it may be filled in only when a unit is rendered.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<Located<String>> {
        match node.text() {
            Some(text) => Some(Located { value: text.to_owned(), at: self.at(&node.span) }),
            None => {
                self.wrong(node, what, "a text");
                None
            }
        }
    }

    /// A scalar as text that has to be known here: names, paths, and what is decided by.
    pub(super) fn known(&mut self, node: &Node, what: &str) -> Option<Located<String>> {
        let text = self.text(node, what)?;
        if template::is_marked(&text.value) {
            self.no_template(&node.span, what);
            return None;
        }
        Some(text)
    }

    /// A template where none can be.
    pub(super) fn no_template(&mut self, span: &Span, what: &str) {
        let message = format!("{what} cannot hold a template: it has to be known in advance");
        let help = "write the text, or take it from a variable that is no template";
        self.error("DN-E0552", span, message, help);
    }

    /// A list of texts that have to be known here, or one of them alone.
    pub(super) fn words(&mut self, node: &Node, what: &str) -> Vec<Located<String>> {
        match node.kind {
            Kind::Scalar { .. } if !Self::is_nothing(node) => {
                self.known(node, what).into_iter().collect()
            }
            _ => self.list(node, what).iter().filter_map(|item| self.known(item, what)).collect(),
        }
    }

    /// A scalar read by `read`.
    pub(super) fn parsed<T>(
        &mut self,
        node: &Node,
        what: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<Located<T>> {
        match node.text().and_then(|text| read(text.trim())) {
            Some(value) => Some(Located { value, at: self.at(&node.span) }),
            None => {
                self.wrong(node, what, expected);
                None
            }
        }
    }

    /// `true` or `false`, or another of the words that Compose reads as these.
    pub(super) fn boolean(&mut self, node: &Node, what: &str) -> bool {
        let read = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "on" => Some(true),
            "false" | "no" | "n" | "off" => Some(false),
            _ => None,
        };
        self.parsed(node, what, "`true` or `false`", read).is_some_and(|found| found.value)
    }

    /// Whether nothing was written; YAML has three ways to write nothing.
    pub(super) fn is_nothing(node: &Node) -> bool {
        matches!(&node.kind, Kind::Scalar { raw, plain: true }
            if matches!(raw.as_str(), "" | "~" | "null"))
    }

    /// The entries of a map; `x-…` is left out, and a name that repeats is an error.
    pub(super) fn map<'n>(&mut self, node: &'n Node, what: &str) -> Vec<&'n Entry> {
        if Self::is_nothing(node) {
            return Vec::new();
        }
        let Kind::Map(entries) = &node.kind else {
            self.wrong(node, what, "a map");
            return Vec::new();
        };
        let mut seen = BTreeSet::new();
        for entry in entries {
            if !seen.insert(&entry.key) {
                let message = format!("`{}` is written twice", entry.key.escape_debug());
                self.error("DN-E0553", &entry.key_span, message, "keep one of the two");
            }
        }
        entries.iter().filter(|entry| !entry.key.starts_with("x-")).collect()
    }

    /// The items of a list.
    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            Kind::Seq(items) => items,
            _ if Self::is_nothing(node) => &[],
            _ => {
                self.wrong(node, what, "a list");
                &[]
            }
        }
    }

    /// A field that nothing here reads.
    pub(super) fn unknown(&mut self, entry: &Entry, of: &str, known: &str) {
        self.unknown_among(entry, of, known, "");
    }

    /// A field that nothing here reads, where there are more than those that are shown.
    pub(super) fn unknown_among(&mut self, entry: &Entry, of: &str, known: &str, more: &str) {
        let message = format!("{of} has no field `{}`", entry.key.escape_debug());
        let field = |word: &&str| {
            let letters =
                word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            letters && !matches!(*word, "" | "and" | "see")
        };
        let fields = known.split([',', ' ']).chain(more.split(' ')).filter(field);
        let meant = self.meant(&entry.key, fields);
        let the = if meant.is_empty() { "the" } else { "The" };
        let help = format!("{meant}{the} fields are {known}");
        self.error("DN-E0550", &entry.key_span, message, &help);
    }

    /// What may be meant by a word, as the beginning of advice; nothing where none of the known
    /// words is near, or too many were compared.
    pub(super) fn meant<'w>(
        &mut self,
        word: &str,
        known: impl Iterator<Item = &'w str> + Clone,
    ) -> String {
        let Some(left) = self.looks.checked_sub(known.clone().count() + 1) else {
            return String::new();
        };
        self.looks = left;
        let near = suggest::nearest(word, known);
        near.map_or_else(String::new, |near| format!("did you mean `{}`? ", near.escape_debug()))
    }

    /// The value of a variable where `offset` is, which counts as used.
    pub(super) fn variable(&self, name: &str, offset: usize) -> Option<String> {
        let ground = self.ground?;
        ground.used.borrow_mut().insert(name.to_owned());
        self.part(offset).values.get(name).cloned()
    }

    /// Adds the values of a file of variables, as far as there are none of these names.
    pub(super) fn variables(&mut self, path: &str, values: &mut Values) {
        let Some(ground) = self.ground else { return };
        let used = &mut ground.used.borrow_mut();
        env_of(path, ground.files, values, used, &mut self.found);
    }

    /// Where on a node a path is that is written at `offset`, when the Compose file's directory is
    /// `root` there.
    pub(super) fn below(&self, root: &str, path: &str, offset: usize) -> Option<String> {
        let parts = |dir: &str| -> Vec<String> {
            dir.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let (first, own) = (parts(&self.part(0).dir), parts(&self.part(offset).dir));
        let same = first.iter().zip(&own).take_while(|(a, b)| a == b).count();
        let up = "../".repeat(first.len() - same);
        clean(&format!("{}/{up}{}/{path}", clean(root)?, own[same..].join("/")))
    }

    /// A path beside the file in which `offset` is, as a path of the repository; `None` when it
    /// leads outside.
    pub(super) fn inside(&self, path: &str, offset: usize) -> Option<String> {
        self.ground?;
        let dir = &self.part(offset).dir;
        if path.starts_with(['/', '~']) || path.contains('\\') {
            return None;
        }
        let mut parts: Vec<&str> = dir.split('/').filter(|part| !part.is_empty()).collect();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()?),
                other => parts.push(other),
            }
        }
        Some(parts.join("/"))
    }

    /// A file of the repository that is to be read as a document; nothing when it cannot be had,
    /// which is told.
    pub(super) fn bytes(&mut self, path: &str, span: &Span) -> Option<Vec<u8>> {
        let shown = path.escape_debug();
        let (message, help) = match self.ground?.files.read(path) {
            Ok(Some(bytes)) => return Some(bytes),
            Ok(None) => {
                (format!("there is no file `{shown}`"), "commit the file, or correct its name")
            }
            Err(why) => {
                let message = format!("reading `{shown}` failed: {}", why.escape_debug());
                (message, "make it a text file that can be read")
            }
        };
        self.error("DN-E0565", span, message, help);
        None
    }

    /// The text of a file of the repository; `None` when there is none, which is no error.
    ///
    /// # Errors
    /// When it is there and cannot be taken; that is told by then.
    pub(super) fn file(
        &mut self,
        path: &str,
        span: &Span,
        help: &str,
    ) -> Result<Option<String>, ()> {
        let shown = path.escape_debug();
        let Some(ground) = self.ground else { return Ok(None) };
        let message = match ground.files.read(path) {
            Ok(None) => return Ok(None),
            Ok(Some(bytes)) if bytes.len() > MOST_FILE => {
                format!("`{shown}` has {} bytes; {MOST_FILE} are allowed", bytes.len())
            }
            Ok(Some(bytes)) => match String::from_utf8(bytes) {
                Ok(text) if !template::is_marked(&text) => return Ok(Some(text)),
                Ok(_) => format!("`{shown}` holds a character that devnet keeps for itself"),
                Err(_) => format!("`{shown}` is not UTF-8 text"),
            },
            Err(why) => format!("reading `{shown}` failed: {}", why.escape_debug()),
        };
        self.error("DN-E0565", span, message, help);
        Err(())
    }

    /// A file of the repository that has to be there.
    pub(super) fn needed(&mut self, path: &Located<String>, span: &Span) -> Option<String> {
        let shown = path.value.escape_debug().to_string();
        let Some(inside) = self.inside(&path.value, span.start) else {
            let message = format!("`{shown}` is not a file of this repository");
            let help = "name a file beside this one; what is on a node is not in the commit";
            self.error("DN-E0565", span, message, help);
            return None;
        };
        let text = self.file(&inside, span, NO_TEXT).ok()?;
        if text.is_none() {
            let message = format!("there is no file `{}`", inside.escape_debug());
            self.error("DN-E0565", span, message, "commit the file, or correct its name");
        }
        text
    }
}

/// Where in the range of offsets of these files a place is; nothing where it is in none of them.
fn place(parts: &[Part], at: &Location) -> Option<Span> {
    let part = parts.iter().find(|part| *part.source.file == *at.file)?;
    Some(at.start + part.base..at.end + part.base)
}
