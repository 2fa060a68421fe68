//! The outline of KDL text: braces, texts, comments and words, and the nodes that they make.
//!
//! Knows which tokens may follow which. Refuses to know what a token says. One pass over the text
//! with a stack of its own: whatever is nested takes time in proportion to its length and no call
//! stack, unlike kdl 6.7.1, which overflows the stack on deep braces, on long comments and on many
//! errors, and takes time exponential in the depth of `/-` blocks. What is accepted here, that
//! crate reads too, and as the same: a property test and a fuzz target hold that.
//!
//! After a mistake the rest of the node is taken as it comes, so that one run finds them all.

mod texts;
pub(super) mod tokens;

use super::{
    limits::{Limits, too_many_values},
    nodes::Nodes,
    token,
    tree::{Source, Span},
};
use crate::diagnostic::Diagnostic;

/// The most `/-` blocks open at once.
const SLASHDASH_DEPTH: usize = 2;

/// At most so many errors are reported.
const MOST_ERRORS: usize = 20;

/// What was found in a text.
pub(super) struct Outline {
    /// The nodes.
    pub nodes: Nodes,
    /// Everything that is no KDL, sorted by place.
    pub errors: Vec<Diagnostic>,
    /// Whether the text was read to its end.
    pub whole: bool,
}

/// Reads a text within limits.
pub(super) fn scan(source: &Source, limits: &Limits) -> Outline {
    let mut scanner = Scanner::new(source, limits);
    scanner.run();
    let Scanner { nodes, mut errors, stopped, .. } = scanner;
    errors.sort_by(|a, b| a.at.cmp(&b.at));
    Outline { nodes, errors, whole: !stopped }
}

/// What is wrong, and how to go on.
struct Fault {
    error: Diagnostic,
    then: Then,
}

enum Then {
    /// The rest of the node is taken as it comes.
    Doubt,
    /// This many bytes are passed over as if they were not there.
    Pass(usize),
    /// The rest of the line means nothing, but for a block that begins at its end.
    Line,
    /// The rest of the text means nothing.
    Stop,
}

/// Where the scanner is relative to the last `/-` of a node.
#[derive(Clone, Copy, Default, PartialEq)]
enum Dash {
    /// Behind what it comments out, or there was none.
    #[default]
    None,
    /// Nothing of what it comments out has come yet.
    Armed,
    /// Within or behind what it comments out.
    Within,
}

/// What came last in a node.
#[derive(Clone, Copy, Default, PartialEq)]
enum Last {
    /// Nothing: its name comes next.
    #[default]
    Start,
    /// Its name.
    Name,
    /// An argument that may turn out to be the name of a property.
    Word,
    /// A number or keyword, which cannot, or the value of a property.
    Value,
    /// `=`: a value must come next.
    Equals,
    /// A block behind `/-`.
    Dashed,
    /// Its block: nothing but the end may follow.
    Block,
    /// A mistake: what follows is not judged.
    Mistake,
}

/// The node that is being scanned.
#[derive(Clone, Copy, Default)]
struct Node {
    last: Last,
    dash: Dash,
    /// Where the last word ended.
    end: usize,
    /// Whether all of it is behind `/-`.
    commented: bool,
    /// Whether the last argument or property is.
    skips: bool,
}

struct Brace {
    at: usize,
    /// Whether it counts as a block behind `/-`.
    dashed: bool,
    /// Whether it is the block that a `/-` comments out.
    commented: bool,
    outer: Node,
}

struct Scanner<'a> {
    source: &'a Source,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    /// How many names and values may be read.
    values: usize,
    node: Node,
    braces: Vec<Brace>,
    nodes: Nodes,
    errors: Vec<Diagnostic>,
    stopped: bool,
}

impl<'a> Scanner<'a> {
    /// At the first character, a byte order mark left out.
    fn new(source: &'a Source, limits: &Limits) -> Self {
        let marked = source.text.starts_with('\u{feff}');
        Self {
            source,
            bytes: source.text.as_bytes(),
            at: if marked { '\u{feff}'.len_utf8() } else { 0 },
            depth: limits.depth,
            values: limits.all_values,
            node: Node::default(),
            braces: Vec::new(),
            nodes: Nodes::new(),
            errors: Vec::new(),
            stopped: false,
        }
    }

    fn run(&mut self) {
        while self.at < self.bytes.len() && !self.stopped {
            if let Err(fault) = self.step() {
                self.recover(fault);
            }
            if self.nodes.count() > self.values {
                self.errors.push(too_many_values(self.source, self.at));
                self.stopped = true;
            }
        }
        if !self.stopped
            && let Err(fault) = self.end_node()
        {
            self.recover(fault);
        }
        if let Some(open) = self.braces.last().filter(|_| !self.stopped) {
            let error = self
                .error("DN-E0104", open.at..open.at + 1, "this `{` is never closed")
                .help("close it with `}`; is the rest of the file missing?");
            self.errors.push(error);
            self.stopped = true;
        }
        // Of blocks that are never closed, nobody knows where they should have been.
        let from = self.braces.first().map_or(self.at, |open| open.at.min(self.at));
        if self.stopped {
            self.nodes.doubt(from..self.bytes.len());
        }
        while self.braces.pop().is_some() {
            self.nodes.close(self.bytes.len(), false);
            self.nodes.doubt_node();
        }
        self.nodes.end();
    }

    /// Notes a mistake and gets behind it.
    fn recover(&mut self, Fault { error, then }: Fault) {
        self.errors.push(error);
        match then {
            Then::Doubt => self.mistaken(),
            Then::Pass(bytes) => self.at += bytes,
            Then::Line => {
                let line = &self.source.text[self.at..];
                let line = line.split(['\n', '\r']).next().unwrap_or("").trim_end();
                // What begins a block begins one whatever is wrong before.
                self.at += line.strip_suffix('{').unwrap_or(line).len();
                self.mistaken();
            }
            Then::Stop => self.stopped = true,
        }
        self.stopped |= self.errors.len() >= MOST_ERRORS;
    }

    fn mistaken(&mut self) {
        self.node.last = Last::Mistake;
        self.node.dash = Dash::None;
        self.nodes.doubt_node();
    }

    fn step(&mut self) -> Result<(), Fault> {
        match self.bytes[self.at] {
            b'"' => self.quoted(),
            b'#' => self.raw(),
            b'/' => self.slash(),
            b'{' => self.open(),
            b'}' => self.close(),
            b'\\' => self.continuation(),
            b'=' => self.equals(),
            b'\n' | b'\r' => {
                if self.node.dash != Dash::Armed {
                    self.end_node()?;
                }
                self.at += 1;
                Ok(())
            }
            b';' => self.semicolon(),
            b' ' | b'\t' => {
                self.at += 1;
                Ok(())
            }
            b'(' | b')' => self.parenthesis(),
            b'[' | b']' => self.bracket(),
            _ => self.word(),
        }
    }

    fn error(&self, code: &str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, Some(self.source.at(&span)), message)
    }

    /// A mistake at the next character.
    fn fault(&self, what: &str, help: &str, then: Then) -> Fault {
        let message = format!("this is not KDL: {what}");
        let error = self.error("DN-E0107", self.at..self.at + 1, message).help(help);
        Fault { error, then }
    }

    fn rest(&self, text: &str) -> bool {
        self.bytes[self.at..].starts_with(text.as_bytes())
    }

    fn judged(&self) -> bool {
        self.node.last != Last::Mistake
    }

    /// A token that is none. Those behind it may be, so reading goes on.
    fn refuse(&mut self, span: Span, problem: token::Problem) {
        if self.judged() {
            let message = format!("this is not KDL 2: {}", problem.what);
            let error = self.error("DN-E0107", span, message).help(problem.help);
            self.errors.push(error);
            self.nodes.doubt_node();
            self.stopped |= self.errors.len() >= MOST_ERRORS;
        }
    }

    /// A `;` must end a node. Other readers refuse it after a node behind `/-`.
    fn semicolon(&mut self) -> Result<(), Fault> {
        if self.node.last == Last::Start {
            self.node = Node::default();
            return Err(self.fault("this `;` ends nothing", "remove it", Then::Pass(1)));
        }
        if self.node.commented && self.judged() {
            let message = "a node behind `/-` must end with its line";
            let error = self.error("DN-E0107", self.at..self.at + 1, message);
            let error = error.help("begin a new line instead");
            self.errors.push(error);
        }
        let ended = self.end_node();
        self.at += 1;
        ended
    }

    fn parenthesis(&mut self) -> Result<(), Fault> {
        let line = &self.source.text[self.at..];
        let line = line.split(['\n', '\r']).next().unwrap_or("");
        let length = line.find(')').map_or(1, |end| end + 1);
        if !self.judged() {
            self.at += length;
            return Ok(());
        }
        let error = self
            .error("DN-E0108", self.at..self.at + length, "type annotations mean nothing here")
            .help("remove it, or put the text into quotes");
        self.node.end = 0;
        Err(Fault { error, then: Then::Pass(length) })
    }

    fn bracket(&mut self) -> Result<(), Fault> {
        if self.judged() {
            let help = "write the values of a list one after the other";
            return Err(self.fault("there are no brackets", help, Then::Doubt));
        }
        self.at += 1;
        Ok(())
    }

    /// A word, text, number or keyword begins here. `name` says whether it can be a name.
    fn token(&mut self, name: bool) -> Result<(), Fault> {
        let Node { last, dash, end, .. } = self.node;
        let glued = end == self.at && self.at > 0;
        if glued && !matches!(last, Last::Equals | Last::Start | Last::Mistake) {
            if self.rest(",") {
                let what = "values are not separated by commas";
                return Err(self.fault(what, "remove the comma: a blank is enough", Then::Doubt));
            }
            let what = "a blank is missing between two values";
            return Err(self.fault(what, "put a blank before this", Then::Doubt));
        }
        self.node.last = match last {
            Last::Start if name => Last::Name,
            Last::Start if self.rest("#") => {
                let what = "`#` begins no comment";
                let help = "comments begin with `//`, or stand between `/*` and `*/`";
                return Err(self.fault(what, help, Then::Doubt));
            }
            Last::Start => {
                let what = "a name must come first";
                return Err(self.fault(what, "write `name value`", Then::Doubt));
            }
            Last::Name | Last::Word | Last::Value if name => Last::Word,
            Last::Name | Last::Word | Last::Value | Last::Equals => Last::Value,
            Last::Dashed | Last::Block => {
                let what = "nothing may follow a block";
                return Err(self.fault(what, "begin a new line, or write `;`", Then::Doubt));
            }
            Last::Mistake => Last::Mistake,
        };
        self.node.skips = dash == Dash::Armed || (self.node.skips && last == Last::Equals);
        if dash == Dash::Armed {
            self.node.dash = Dash::Within;
        }
        Ok(())
    }

    /// The token that began at `start` says `text`. `plain` is one without quotes that is no name.
    fn says(&mut self, start: usize, text: impl Into<String>, plain: bool) {
        let span = start..self.at;
        self.node.end = self.at;
        match self.node.last {
            Last::Name => self.nodes.name(text.into(), span, self.node.commented),
            Last::Word | Last::Value => {
                self.nodes.value(text.into(), plain, span, self.node.skips);
            }
            _ => self.nodes.reach(self.at),
        }
    }

    fn word(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let source = self.source;
        let rest = &source.text[start..];
        let stop = |c: char| {
            matches!(c, '\\' | '/' | '(' | ')' | '{' | '}' | ';' | '[' | ']' | '"' | '#' | '=')
                || c.is_whitespace()
        };
        let length = rest.find(stop).unwrap_or(rest.len());
        if length == 0 {
            // A blank other than space and tab.
            self.at += rest.chars().next().map_or(1, char::len_utf8);
            return Ok(());
        }
        let word = &rest[..length];
        let number = token::is_number(word);
        self.token(!number)?;
        if let Err(problem) = token::word(word) {
            self.refuse(start..start + length, problem);
        }
        self.at = start + length;
        self.says(start, word, number);
        Ok(())
    }

    fn equals(&mut self) -> Result<(), Fault> {
        if !self.judged() {
            self.at += 1;
            return Ok(());
        }
        if self.node.last == Last::Name && self.node.dash != Dash::Armed {
            let help = "remove the `=`: a node and its value are `name \"value\"`";
            return Err(self.fault("no `=` belongs behind a node's name", help, Then::Doubt));
        }
        if self.node.last != Last::Word || self.node.dash == Dash::Armed {
            let help = "write `node property=\"value\"`; a node's own value has no `=`";
            return Err(self.fault("this `=` follows no name of a property", help, Then::Doubt));
        }
        self.node.last = Last::Equals;
        self.nodes.key(self.node.skips);
        self.at += 1;
        Ok(())
    }

    fn end_node(&mut self) -> Result<(), Fault> {
        let missing = match (self.node.last, self.node.dash) {
            (Last::Equals, _) => Some("no value follows the `=`"),
            (_, Dash::Armed) => Some("nothing follows the `/-`"),
            _ => None,
        };
        let fault = missing
            .map(|what| self.fault(what, "write it, or remove what is before", Then::Pass(0)));
        if fault.is_some() {
            self.nodes.doubt_node();
        }
        self.nodes.end();
        self.node = Node::default();
        fault.map_or(Ok(()), Err)
    }

    fn open(&mut self) -> Result<(), Fault> {
        let dashed = self.node.dash != Dash::None;
        let block = self.node.dash == Dash::Armed;
        let misplaced = match self.node.last {
            Last::Start => Some("this block has no name before it"),
            Last::Equals => Some("no value follows the `=`"),
            Last::Block if !block => Some("nothing may follow a block"),
            _ => None,
        };
        if let Some(what) = misplaced {
            return Err(self.fault(what, "write `name { … }`", Then::Doubt));
        }
        if self.braces.len() == self.depth {
            return Err(
                self.too_deep(format!("more than {} blocks", self.depth), "nest less deeply")
            );
        }
        let last = match (block, self.node.last) {
            (_, Last::Mistake) => Last::Mistake,
            (true, Last::Block) => Last::Block,
            (true, _) => Last::Dashed,
            (false, _) => Last::Block,
        };
        let dash = if block { Dash::None } else { self.node.dash };
        let outer = Node { last, dash, ..self.node };
        self.braces.push(Brace { at: self.at, dashed, commented: block, outer });
        self.nodes.open(self.at);
        if self.braces.iter().filter(|brace| brace.dashed).count() > SLASHDASH_DEPTH {
            let what = format!("more than {SLASHDASH_DEPTH} blocks behind `/-`");
            return Err(self.too_deep(what, "use /* … */ around the block"));
        }
        self.node = Node::default();
        self.at += 1;
        Ok(())
    }

    fn too_deep(&self, what: String, help: &str) -> Fault {
        let error = self.error("DN-E0105", self.at..self.at + 1, format!("{what} are open here"));
        Fault { error: error.help(help), then: Then::Stop }
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.end_node()?;
        let Some(open) = self.braces.pop() else {
            let error = self
                .error("DN-E0104", self.at..self.at + 1, "this `}` closes nothing")
                .help("remove it, or add the `{` that it should close");
            return Err(Fault { error, then: Then::Pass(1) });
        };
        self.node = open.outer;
        self.at += 1;
        self.node.end = self.at;
        self.nodes.close(self.at, open.commented);
        Ok(())
    }

    fn slash(&mut self) -> Result<(), Fault> {
        if self.rest("//") {
            self.line_comment();
            return Ok(());
        }
        if self.rest("/*") {
            return self.block_comment();
        }
        if !self.judged() {
            self.at += 1;
            return Ok(());
        }
        let glued = self.at > 0 && self.node.end == self.at && self.node.last != Last::Start;
        let misplaced = glued || self.node.dash == Dash::Armed || self.node.last == Last::Equals;
        if !self.rest("/-") || misplaced {
            let help = "put the text into quotes, or comment out with `//`";
            return Err(self.fault("a `/` is misplaced here", help, Then::Doubt));
        }
        self.node.dash = Dash::Armed;
        self.node.commented |= self.node.last == Last::Start;
        self.at += 2;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
