//! Comments, lines that go on behind a `\`, and texts in quotes of every kind.
//!
//! Knows where each ends. Refuses to know what stands around it.

use super::{Fault, Scanner, Then};
use crate::file::token;

impl Scanner<'_> {
    pub(super) fn line_comment(&mut self) {
        while !matches!(self.bytes.get(self.at), None | Some(b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    pub(super) fn block_comment(&mut self) -> Result<(), Fault> {
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
                return Ok(());
            }
        }
        let message = "this comment is never closed";
        let error = self.error("DN-E0104", start..start + 2, message).help("close it with `*/`");
        self.at = start;
        Err(Fault { error, then: Then::Stop })
    }

    /// A `\` outside of a text continues the line: the line end after it ends nothing.
    pub(super) fn continuation(&mut self) -> Result<(), Fault> {
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
                Some(_) if !self.judged() => return Ok(()),
                Some(_) => {
                    let message = "this is not KDL: `\\` must end its line";
                    let error =
                        self.error("DN-E0107", start..start + 1, message).help("use quotes");
                    return Err(Fault { error, then: Then::Doubt });
                }
            }
        }
        self.at += 1;
        Ok(())
    }

    /// A text in quotes, on one line or in three quotes on several.
    pub(super) fn quoted(&mut self) -> Result<(), Fault> {
        self.token(true)?;
        let source = self.source;
        let start = self.at;
        let end = if self.rest("\"\"\"") { "\"\"\"" } else { "\"" };
        self.at += end.len();
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\\' => self.escape(),
                b'\n' | b'\r' if end == "\"" => break,
                _ if self.rest(end) => {
                    let body = &source.text[start + end.len()..self.at];
                    self.at += end.len();
                    let text = if end == "\"" {
                        token::unescape(body)
                    } else {
                        self.lines(start, body, true);
                        token::unescape(&token::dedent(body))
                    };
                    self.says(start, text, false);
                    return Ok(());
                }
                _ => self.at += 1,
            }
        }
        Err(self.unclosed(start, end))
    }

    /// A text on several lines must be laid out as KDL wants it.
    fn lines(&mut self, start: usize, body: &str, escapes: bool) {
        if let Err(problem) = token::lines(body, escapes) {
            self.refuse(start..self.at, problem);
        }
    }

    /// `\` and what belongs to it: a character, a code point, or blanks and line ends.
    fn escape(&mut self) {
        match token::escape(&self.source.text[self.at..]) {
            Ok(length) => self.at += length,
            Err(problem) => {
                self.refuse(self.at..self.at + 1, problem);
                self.at += 1;
            }
        }
    }

    /// `#"…"#` with any number of `#`, or a keyword like `#true`.
    pub(super) fn raw(&mut self) -> Result<(), Fault> {
        let source = self.source;
        let start = self.at;
        let hashes = self.bytes[start..].iter().take_while(|b| **b == b'#').count();
        let text = self.bytes.get(start + hashes) == Some(&b'"');
        self.token(text)?;
        self.at += hashes;
        if !text {
            self.keyword(start);
            return Ok(());
        }
        let quotes = if self.rest("\"\"\"") { 3 } else { 1 };
        self.at += quotes;
        let body = self.at;
        let end = "\"".repeat(quotes) + &"#".repeat(hashes);
        let Some(length) = source.text[self.at..].find(&end) else {
            return Err(self.unclosed(start, &end));
        };
        self.at += length + end.len();
        let body = &source.text[body..body + length];
        if quotes == 3 {
            self.lines(start, body, false);
            self.says(start, token::dedent(body), false);
            return Ok(());
        }
        if body.contains(['\n', '\r']) {
            let problem = token::Problem::new("this text spans lines", "use three quotes");
            self.refuse(start..self.at, problem);
        }
        self.says(start, body, false);
        Ok(())
    }

    fn keyword(&mut self, start: usize) {
        while self.bytes.get(self.at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-') {
            self.at += 1;
        }
        let word = &self.source.text[start..self.at];
        if let Err(problem) = token::keyword(word) {
            self.refuse(start..self.at, problem);
        }
        let says = match word {
            "#true" | "#false" | "#null" => &word[1..],
            other => other,
        };
        self.says(start, says, true);
    }

    fn unclosed(&mut self, start: usize, end: &str) -> Fault {
        let lines = end.starts_with("\"\"\"");
        let (place, more, then) = match lines {
            true => ("", "; it may span lines", Then::Stop),
            false => (" on its line", "", Then::Line),
        };
        self.at = start;
        let message = format!("the text that begins here is not closed{place}");
        let error = self.error("DN-E0104", start..start + 1, message).help(match end.len() {
            ..=20 => format!("close it with `{end}`{more}"),
            _ => "close it with a quote and as many `#` as it began with".to_owned(),
        });
        Fault { error, then }
    }
}
