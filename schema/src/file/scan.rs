//! What is refused before a parser sees a file: sizes, depths and characters that would make one
//! hang, overflow its stack, or show people something else than what is there.
//!
//! Knows just enough of KDL to find its braces. Refuses to parse. kdl 6.7.1 overflows the stack on
//! deep braces and takes time exponential in the depth of `/-` blocks, so both are counted here.

use super::tree::{Form, Source, Span};
use crate::diagnostic::Diagnostic;

/// The largest KDL file, in bytes. The parser takes about 3 ms for each KiB.
pub const KDL_BYTES: usize = 256 * 1024;
/// The largest YAML file, in bytes.
pub const YAML_BYTES: usize = 1024 * 1024;
/// The most braces open at once in KDL: safe on a 2 MiB stack without optimisation.
pub const KDL_DEPTH: usize = 32;
/// The most `/-` blocks open at once in KDL.
const SLASHDASH_DEPTH: usize = 2;

/// Turns bytes into a source, or says why they are no text.
pub fn text(file: &str, bytes: Vec<u8>, form: Form) -> Result<Source, Diagnostic> {
    let limit = match form {
        Form::Kdl => KDL_BYTES,
        Form::Yaml => YAML_BYTES,
    };
    if bytes.len() > limit {
        let source = Source::new(file, "");
        let message = format!("the file has {} bytes; {} are allowed", bytes.len(), limit);
        return Err(Diagnostic::error("DN-E0101", Some(source.at(&(0..0))), message)
            .help("split it and name the parts with `include`"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let source = Source::new(file, text);
        Diagnostic::error("DN-E0102", Some(source.at(&(valid..valid))), "the file is not UTF-8")
            .help("save it with the encoding UTF-8")
    })?;
    let source = Source::new(file, text);
    let bad = source.text.char_indices().find(|(at, c)| forbidden(*c) && (*at > 0 || *c != BOM));
    match bad {
        None => Ok(source),
        Some((at, c)) => Err(Diagnostic::error(
            "DN-E0103",
            Some(source.at(&(at..at + c.len_utf8()))),
            format!("the character U+{:04X} is not allowed in a file", u32::from(c)),
        )
        .help("remove it; inside a quoted text it can be written as an escape")),
    }
}

const BOM: char = '\u{feff}';

/// Characters that no file may hold: controls, other line ends than CR and LF, and those that
/// change the direction of text, so that what people review is what is read.
pub fn forbidden(c: char) -> bool {
    matches!(c, '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | BOM)
}

/// Checks the braces of KDL text.
pub fn kdl(source: &Source) -> Result<(), Diagnostic> {
    Scanner { source, bytes: source.text.as_bytes(), at: 0, dash: Dash::None, braces: Vec::new() }
        .run()
}

/// Where the scanner is relative to the last `/-` of this level.
#[derive(Clone, Copy, PartialEq)]
enum Dash {
    /// Behind what it comments out.
    None,
    /// Nothing of what it comments out has come yet.
    Armed,
    /// Within what it comments out.
    Within,
}

struct Brace {
    at: usize,
    dashed: bool,
    dash: Dash,
}

struct Scanner<'a> {
    source: &'a Source,
    bytes: &'a [u8],
    at: usize,
    dash: Dash,
    braces: Vec<Brace>,
}

impl Scanner<'_> {
    fn run(mut self) -> Result<(), Diagnostic> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => self.quoted()?,
                b'#' => self.raw()?,
                b'/' => self.slash()?,
                b'{' => self.open()?,
                b'}' => self.close()?,
                b'\\' => self.continuation(),
                b'\n' | b'\r' | b';' => {
                    if self.dash == Dash::Within || byte == b';' {
                        self.dash = Dash::None;
                    }
                    self.at += 1;
                }
                b' ' | b'\t' => self.at += 1,
                _ => {
                    self.token();
                    self.at += 1;
                }
            }
        }
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

    fn rest(&self, text: &str) -> bool {
        self.bytes[self.at..].starts_with(text.as_bytes())
    }

    /// Something other than blank: what an armed `/-` comments out begins here.
    fn token(&mut self) {
        if self.dash == Dash::Armed {
            self.dash = Dash::Within;
        }
    }

    fn open(&mut self) -> Result<(), Diagnostic> {
        self.token();
        let here = self.at..self.at + 1;
        if self.braces.len() == KDL_DEPTH {
            let message = format!("more than {KDL_DEPTH} blocks are open here");
            return Err(self.error("DN-E0105", here, message).help("nest less deeply"));
        }
        let dashed = self.dash != Dash::None;
        self.braces.push(Brace { at: self.at, dashed, dash: self.dash });
        self.dash = Dash::None;
        if self.braces.iter().filter(|brace| brace.dashed).count() > SLASHDASH_DEPTH {
            let message = format!("more than {SLASHDASH_DEPTH} blocks behind `/-` are open here");
            return Err(self.error("DN-E0105", here, message).help("use /* … */ around the block"));
        }
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Diagnostic> {
        let Some(open) = self.braces.pop() else {
            let message = "this `}` closes nothing";
            return Err(self
                .error("DN-E0104", self.at..self.at + 1, message)
                .help("remove it, or add the `{` that it should close"));
        };
        self.dash = open.dash;
        self.at += 1;
        Ok(())
    }

    /// A `\` outside of a text continues the line: the line end after it ends nothing.
    fn continuation(&mut self) {
        self.at += 1;
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
        if self.rest("//") {
            self.line_comment();
        }
        if self.bytes.get(self.at) == Some(&b'\n') {
            self.at += 1;
        }
    }

    fn line_comment(&mut self) {
        while !matches!(self.bytes.get(self.at), None | Some(b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn slash(&mut self) -> Result<(), Diagnostic> {
        if self.rest("//") {
            self.line_comment();
        } else if self.rest("/*") {
            self.block_comment()?;
        } else if self.rest("/-") {
            self.dash = Dash::Armed;
            self.at += 2;
        } else {
            self.token();
            self.at += 1;
        }
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
            if depth > KDL_DEPTH {
                let message = format!("more than {KDL_DEPTH} comments are open here");
                return Err(self
                    .error("DN-E0105", start..self.at, message)
                    .help("close comments before opening others"));
            }
            if depth == 0 {
                return Ok(());
            }
        }
        let message = "this comment is never closed";
        Err(self.error("DN-E0104", start..start + 2, message).help("close it with `*/`"))
    }

    /// A text in quotes, on one line or in three quotes on several.
    fn quoted(&mut self) -> Result<(), Diagnostic> {
        self.token();
        let start = self.at;
        let end = if self.rest("\"\"\"") { "\"\"\"" } else { "\"" };
        self.at += end.len();
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\\' => self.escape(),
                b'\n' | b'\r' if end == "\"" => break,
                _ if self.rest(end) => {
                    self.at += end.len();
                    return Ok(());
                }
                _ => self.at += 1,
            }
        }
        Err(self.unclosed(start, end))
    }

    /// `\` and what belongs to it: one character, or blanks and line ends.
    fn escape(&mut self) {
        self.at += 2;
        if self.bytes.get(self.at - 1).is_some_and(u8::is_ascii_whitespace) {
            while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
                self.at += 1;
            }
        }
    }

    /// `#"…"#` with any number of `#`, or a keyword like `#true`.
    fn raw(&mut self) -> Result<(), Diagnostic> {
        self.token();
        let start = self.at;
        let hashes = self.bytes[start..].iter().take_while(|b| **b == b'#').count();
        self.at += hashes;
        if !self.rest("\"") {
            return Ok(());
        }
        let quotes = if self.rest("\"\"\"") { 3 } else { 1 };
        self.at += quotes;
        let end = "\"".repeat(quotes) + &"#".repeat(hashes);
        match self.source.text[self.at..].find(&end) {
            Some(length) => self.at += length + end.len(),
            None => return Err(self.unclosed(start, &end)),
        }
        Ok(())
    }

    fn unclosed(&self, start: usize, end: &str) -> Diagnostic {
        let (where_to, place) =
            if end == "\"" { ("on its line", "") } else { ("", "; it may span lines") };
        let message = format!("the text that begins here is not closed {where_to}");
        self.error("DN-E0104", start..start + 1, message.trim_end())
            .help(format!("close it with `{end}`{place}"))
    }
}
