//! The outline of KDL text: braces, texts, comments and words, checked before the parser sees it.
//!
//! Knows which tokens may follow which. Refuses to read what they say. kdl 6.7.1 overflows the
//! stack on deep braces, on long comments and on many errors, takes time exponential in the depth
//! of `/-` blocks and quadratic in the number of errors. So depths are counted here, comments are
//! blanked out, and what the parser would stumble over is an error of ours.

use super::{
    token,
    tree::{Source, Span},
};
use crate::diagnostic::Diagnostic;

/// The most braces open at once: safe on a 2 MiB stack without optimisation.
pub const DEPTH: usize = 32;
/// The most `/-` blocks open at once.
const SLASHDASH_DEPTH: usize = 2;

/// At most so many errors are reported.
const MOST_ERRORS: usize = 20;

/// The text with its comments blanked out, every byte at its place.
///
/// # Errors
/// Values that are no KDL, and the first misplaced sign or what is nested too deeply.
pub fn check(source: &Source) -> Result<String, Vec<Diagnostic>> {
    let bytes = source.text.as_bytes();
    let mut outline = Outline {
        source,
        bytes,
        at: 0,
        blanked: bytes.to_vec(),
        node: Node::default(),
        braces: Vec::new(),
        found: Vec::new(),
    };
    if let Err(stop) = outline.run() {
        outline.found.push(stop);
    }
    if !outline.found.is_empty() {
        return Err(outline.found);
    }
    // Whole comments were replaced by as many blanks, so this is still UTF-8.
    Ok(String::from_utf8(outline.blanked).unwrap_or_default())
}

/// Where the scanner is relative to the last `/-` of a node.
#[derive(Clone, Copy, Default, PartialEq)]
enum Dash {
    /// Behind what it comments out, or there was none.
    #[default]
    None,
    /// Nothing of what it comments out has come yet.
    Armed,
    /// Within what it comments out.
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
}

struct Brace {
    at: usize,
    dashed: bool,
    outer: Node,
}

struct Outline<'a> {
    source: &'a Source,
    bytes: &'a [u8],
    at: usize,
    blanked: Vec<u8>,
    node: Node,
    braces: Vec<Brace>,
    found: Vec<Diagnostic>,
}

impl Outline<'_> {
    fn run(&mut self) -> Result<(), Diagnostic> {
        if self.source.text.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
        }
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => self.quoted()?,
                b'#' => self.raw()?,
                b'/' => self.slash()?,
                b'{' => self.open()?,
                b'}' => self.close()?,
                b'\\' => self.continuation()?,
                b'=' => self.equals()?,
                b'\n' | b'\r' => {
                    if self.node.dash != Dash::Armed {
                        self.end_node()?;
                    }
                    self.at += 1;
                }
                b';' => {
                    self.semicolon()?;
                    self.end_node()?;
                    self.at += 1;
                }
                b' ' | b'\t' => self.at += 1,
                b'(' | b')' => {
                    let message = "type annotations mean nothing here";
                    let help = "remove it, or put the text into quotes";
                    return Err(self.here("DN-E0108", message).help(help));
                }
                b'[' | b']' => {
                    let message = "this is not KDL: there are no brackets";
                    let help = "write the values of a list one after the other";
                    return Err(self.here("DN-E0107", message).help(help));
                }
                _ => self.word()?,
            }
        }
        self.end_node()?;
        match self.braces.last() {
            None => Ok(()),
            Some(open) => Err(self
                .error("DN-E0104", open.at..open.at + 1, "this `{` is never closed")
                .help("close it with `}`; is the rest of the file missing?")),
        }
    }

    fn error(&self, code: &str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, Some(self.source.at(&span)), message)
    }

    fn here(&self, code: &str, message: impl Into<String>) -> Diagnostic {
        self.error(code, self.at..self.at + 1, message)
    }

    fn rest(&self, text: &str) -> bool {
        self.bytes[self.at..].starts_with(text.as_bytes())
    }

    /// A value that is no KDL. Those behind it may be, so reading goes on for a while.
    fn refuse(&mut self, span: Span, problem: token::Problem) -> Result<(), Diagnostic> {
        let error = self
            .error("DN-E0107", span, format!("this is not KDL 2: {}", problem.what))
            .help(problem.help);
        if self.found.len() + 1 >= MOST_ERRORS {
            return Err(error);
        }
        self.found.push(error);
        Ok(())
    }

    /// A `;` must end a node. The parser refuses it after a node behind `/-`.
    fn semicolon(&self) -> Result<(), Diagnostic> {
        let (message, help) = match (self.node.last, self.node.commented) {
            (Last::Start, _) => ("this is not KDL: this `;` ends nothing", "remove it"),
            (_, true) => ("a node behind `/-` must end with its line", "begin a new line instead"),
            _ => return Ok(()),
        };
        Err(self.here("DN-E0107", message).help(help))
    }

    /// A word, text, number or keyword begins here. `name` says whether it can be a name.
    fn token(&mut self, name: bool) -> Result<(), Diagnostic> {
        let Node { last, dash, end, .. } = self.node;
        if end == self.at && self.at > 0 && last != Last::Equals && last != Last::Start {
            let message = "this is not KDL: a blank is missing between two values";
            return Err(self.here("DN-E0107", message).help("put a blank before this"));
        }
        self.node.last = match last {
            Last::Start if name => Last::Name,
            Last::Start => {
                let message = "this is not KDL: a name must come first";
                return Err(self.here("DN-E0107", message).help("write `name value`"));
            }
            Last::Name | Last::Word | Last::Value if name => Last::Word,
            Last::Name | Last::Word | Last::Value | Last::Equals => Last::Value,
            Last::Dashed | Last::Block => {
                let message = "this is not KDL: nothing may follow a block";
                return Err(self.here("DN-E0107", message).help("begin a new line, or write `;`"));
            }
        };
        if dash == Dash::Armed {
            self.node.dash = Dash::Within;
        }
        Ok(())
    }

    fn word(&mut self) -> Result<(), Diagnostic> {
        let start = self.at;
        let rest = &self.source.text[start..];
        let stop = |c: char| c.is_whitespace() || "\\/(){};[]\"#=".contains(c);
        let length = rest.find(stop).unwrap_or(rest.len());
        if length == 0 {
            // A blank other than space and tab.
            self.at += rest.chars().next().map_or(1, char::len_utf8);
            return Ok(());
        }
        let word = &rest[..length];
        self.token(!token::is_number(word))?;
        if let Err(problem) = token::word(word) {
            self.refuse(start..start + length, problem)?;
        }
        self.at = start + length;
        self.node.end = self.at;
        Ok(())
    }

    fn equals(&mut self) -> Result<(), Diagnostic> {
        if self.node.last != Last::Word || self.node.dash == Dash::Armed {
            let message = "this is not KDL: this `=` follows no name of a property";
            let help = "write `node property=\"value\"`; a node's own value has no `=`";
            return Err(self.here("DN-E0107", message).help(help));
        }
        self.node.last = Last::Equals;
        self.at += 1;
        Ok(())
    }

    fn end_node(&mut self) -> Result<(), Diagnostic> {
        let missing = match (self.node.last, self.node.dash) {
            (Last::Equals, _) => "this is not KDL: no value follows the `=`",
            (_, Dash::Armed) => "this is not KDL: nothing follows the `/-`",
            _ => {
                self.node = Node::default();
                return Ok(());
            }
        };
        Err(self.here("DN-E0107", missing).help("write it, or remove what is before"))
    }

    fn open(&mut self) -> Result<(), Diagnostic> {
        let dashed = self.node.dash != Dash::None;
        let block = self.node.dash == Dash::Armed;
        let misplaced = match self.node.last {
            Last::Start => Some("this block has no name before it"),
            Last::Equals => Some("no value follows the `=`"),
            Last::Block if !block => Some("nothing may follow a block"),
            _ => None,
        };
        if let Some(message) = misplaced {
            let message = format!("this is not KDL: {message}");
            return Err(self.here("DN-E0107", message).help("write `name { … }`"));
        }
        if self.braces.len() == DEPTH {
            let message = format!("more than {DEPTH} blocks are open here");
            return Err(self.here("DN-E0105", message).help("nest less deeply"));
        }
        let last = match (block, self.node.last) {
            (true, Last::Block) => Last::Block,
            (true, _) => Last::Dashed,
            (false, _) => Last::Block,
        };
        let dash = if block { Dash::None } else { self.node.dash };
        let outer = Node { last, dash, ..self.node };
        self.braces.push(Brace { at: self.at, dashed, outer });
        if self.braces.iter().filter(|brace| brace.dashed).count() > SLASHDASH_DEPTH {
            let message = format!("more than {SLASHDASH_DEPTH} blocks behind `/-` are open here");
            return Err(self.here("DN-E0105", message).help("use /* … */ around the block"));
        }
        self.node = Node::default();
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Diagnostic> {
        self.end_node()?;
        let Some(open) = self.braces.pop() else {
            return Err(self
                .here("DN-E0104", "this `}` closes nothing")
                .help("remove it, or add the `{` that it should close"));
        };
        self.node = open.outer;
        self.at += 1;
        self.node.end = self.at;
        Ok(())
    }

    /// A `\` outside of a text continues the line: the line end after it ends nothing.
    fn continuation(&mut self) -> Result<(), Diagnostic> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'/') if self.rest("//") => self.line_comment(),
                Some(b'/') if self.rest("/*") => self.block_comment()?,
                Some(b'\r') if self.rest("\r\n") => self.at += 1,
                Some(b'\n' | b'\r') => break,
                None => return Ok(()),
                Some(_) => {
                    let message = "this is not KDL: `\\` must end its line";
                    let span = start..start + 1;
                    return Err(self.error("DN-E0107", span, message).help("use quotes"));
                }
            }
        }
        self.at += 1;
        Ok(())
    }

    /// Puts blanks in place of what was scanned since `start`.
    fn blank(&mut self, start: usize) {
        self.blanked[start..self.at].fill(b' ');
    }

    fn line_comment(&mut self) {
        let start = self.at;
        while !matches!(self.bytes.get(self.at), None | Some(b'\n' | b'\r')) {
            self.at += 1;
        }
        self.blank(start);
    }

    fn slash(&mut self) -> Result<(), Diagnostic> {
        if self.rest("//") {
            self.line_comment();
            return Ok(());
        }
        if self.rest("/*") {
            return self.block_comment();
        }
        let glued = self.at > 0 && self.node.end == self.at && self.node.last != Last::Start;
        let misplaced = glued || self.node.dash == Dash::Armed || self.node.last == Last::Equals;
        if !self.rest("/-") || misplaced {
            let message = "this is not KDL: a `/` is misplaced here";
            let help = "put the text into quotes, or comment out with `//`";
            return Err(self.here("DN-E0107", message).help(help));
        }
        self.node.dash = Dash::Armed;
        self.node.commented |= self.node.last == Last::Start;
        self.at += 2;
        Ok(())
    }

    fn block_comment(&mut self) -> Result<(), Diagnostic> {
        let (start, mut depth) = (self.at, 0usize);
        while self.at < self.bytes.len() {
            if self.rest("/*") {
                depth += 1;
                self.at += 2;
            } else if self.rest("*/") {
                depth -= 1;
                self.at += 2;
            } else {
                self.at += 1;
            }
            if depth == 0 {
                self.blank(start);
                return Ok(());
            }
        }
        let message = "this comment is never closed";
        Err(self.error("DN-E0104", start..start + 2, message).help("close it with `*/`"))
    }

    /// A text in quotes, on one line or in three quotes on several.
    fn quoted(&mut self) -> Result<(), Diagnostic> {
        self.token(true)?;
        let start = self.at;
        let end = if self.rest("\"\"\"") { "\"\"\"" } else { "\"" };
        self.at += end.len();
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\\' => self.escape()?,
                b'\n' | b'\r' if end == "\"" => break,
                _ if self.rest(end) => {
                    let body = start + end.len()..self.at;
                    self.at += end.len();
                    self.node.end = self.at;
                    return if end == "\"" { Ok(()) } else { self.lines(start, body, true) };
                }
                _ => self.at += 1,
            }
        }
        Err(self.unclosed(start, end))
    }

    /// A text on several lines must be laid out as KDL wants it.
    fn lines(&mut self, start: usize, body: Span, escapes: bool) -> Result<(), Diagnostic> {
        match token::lines(&self.source.text[body], escapes) {
            Ok(()) => Ok(()),
            Err(problem) => self.refuse(start..self.at, problem),
        }
    }

    /// `\` and what belongs to it: a character, a code point, or blanks and line ends.
    fn escape(&mut self) -> Result<(), Diagnostic> {
        match token::escape(&self.source.text[self.at..]) {
            Ok(length) => self.at += length,
            Err(problem) => {
                self.refuse(self.at..self.at + 1, problem)?;
                self.at += 1;
            }
        }
        Ok(())
    }

    /// `#"…"#` with any number of `#`, or a keyword like `#true`.
    fn raw(&mut self) -> Result<(), Diagnostic> {
        let start = self.at;
        let hashes = self.bytes[start..].iter().take_while(|b| **b == b'#').count();
        let text = self.bytes.get(start + hashes) == Some(&b'"');
        self.token(text)?;
        self.at += hashes;
        if !text {
            return self.keyword(start);
        }
        let quotes = if self.rest("\"\"\"") { 3 } else { 1 };
        self.at += quotes;
        let body = self.at;
        let end = "\"".repeat(quotes) + &"#".repeat(hashes);
        match self.source.text[self.at..].find(&end) {
            Some(length) => self.at += length + end.len(),
            None => return Err(self.unclosed(start, &end)),
        }
        self.node.end = self.at;
        let body = body..self.at - end.len();
        if quotes == 3 {
            return self.lines(start, body, false);
        }
        if self.source.text[body].contains(['\n', '\r']) {
            let problem = token::Problem::new("this text spans lines", "use three quotes");
            return self.refuse(start..self.at, problem);
        }
        Ok(())
    }

    fn keyword(&mut self, start: usize) -> Result<(), Diagnostic> {
        while self.bytes.get(self.at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-') {
            self.at += 1;
        }
        self.node.end = self.at;
        match token::keyword(&self.source.text[start..self.at]) {
            Ok(()) => Ok(()),
            Err(problem) => self.refuse(start..self.at, problem),
        }
    }

    fn unclosed(&self, start: usize, end: &str) -> Diagnostic {
        let (place, more) = if end.starts_with("\"\"\"") {
            ("", "; it may span lines")
        } else {
            (" on its line", "")
        };
        let message = format!("the text that begins here is not closed{place}");
        self.error("DN-E0104", start..start + 1, message)
            .help(format!("close it with `{end}`{more}"))
    }
}

#[cfg(test)]
mod tests {
    use kdl::KdlDocument;
    use proptest::prelude::*;

    use super::*;

    /// Tokens, right and wrong, between `|`.
    const TOKENS: &str = "a|b | |\n|;|{|}|{}|/-|/- |/*x*/|//c\n|\"s\"|#true|true|1|1a|-|.|+1|0x|=|\
        a=1| p=\"v\"|\\\n|\\|\r\n|#|\"\\q\"|\"\\u{110000}\"|\u{a0}|'|,|<|é|inf|#inf|#\"r\"#|(|]|\
        \"\"\"x\"\"\"|\"\"\"\n x\n \"\"\"|\"\"\"\nx\n \"\"\"|#\"\"\"\n x\n \"\"\"#";

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 4000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Errors of the parser are what its stack and time are lost on, so there must be none.
        #[test]
        fn what_the_outline_lets_through_the_parser_reads(
            tokens in prop::collection::vec(
                prop::sample::select(TOKENS.split('|').collect::<Vec<_>>()),
                0..12,
            ),
        ) {
            let source = Source::new("c.kdl", tokens.concat());
            if let Ok(text) = check(&source) {
                prop_assert_eq!(text.len(), source.text.len());
                prop_assert!(KdlDocument::parse_v2(&text).is_ok(), "{:?}", source.text);
            }
        }
    }

    #[test]
    fn what_people_write_is_let_through() {
        for text in [
            "a /* one\n two */ b=1 /- c=2 /-{ d }\n/- e {\n f\n}\ng { h; i \"\\u{e9}\"; }",
            "a \\ // joined\n  b = \"c\" /-\n d\n",
            "a \"\"\"\n    x\n      \\\\ y\n    \"\"\" #\"\\\"# -1.5e3 0xff_ff",
            "\u{feff}\"quoted name\" {} // end",
        ] {
            let checked = check(&Source::new("c.kdl", text)).unwrap_or_else(|e| panic!("{e:?}"));
            assert!(KdlDocument::parse_v2(&checked).is_ok(), "{text}");
        }
    }
}
