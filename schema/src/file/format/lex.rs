//! KDL text to tokens, with its comments and line ends.
//!
//! Knows where each token begins and ends. Refuses to judge any: the outline has checked the text.

use crate::file::token;

/// A token, with its text where one token of its kind differs from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token<'a> {
    /// The end of a line.
    Newline,
    /// `;`
    Semicolon,
    /// `{`
    Open,
    /// `}`
    Close,
    /// `/-`
    Dash,
    /// `=`
    Equals,
    /// `\` and the line end behind it, with the comments between the two.
    Continue(Vec<&'a str>),
    /// `// …` without blanks at its end, or `/* … */`.
    Comment(&'a str),
    /// A name, text, number or keyword, as written.
    Word(&'a str),
}

/// The tokens of a text that the outline let through, each with the byte where it begins.
pub fn tokens(text: &str) -> Vec<(usize, Token<'_>)> {
    let mut lexer = Lexer { text, at: 0 };
    let mut found = Vec::new();
    lexer.eat("\u{feff}");
    loop {
        lexer.skip(|c| c.is_whitespace() && c != '\n' && c != '\r');
        let start = lexer.at;
        match lexer.token() {
            Some(token) => found.push((start, token)),
            None => return found,
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !skipped(c)).unwrap_or(rest.len());
    }

    /// Goes on behind `end`, or to the end of the text.
    fn behind(&mut self, end: &str) {
        let rest = self.rest();
        self.at += rest.find(end).map_or(rest.len(), |found| found + end.len());
    }

    fn token(&mut self) -> Option<Token<'a>> {
        let start = self.at;
        let token = match self.rest().as_bytes().first()? {
            b'\n' | b'\r' => {
                self.newline();
                return Some(Token::Newline);
            }
            b';' => Token::Semicolon,
            b'{' => Token::Open,
            b'}' => Token::Close,
            b'=' => Token::Equals,
            b'\\' => {
                self.at += 1;
                return Some(self.continuation());
            }
            b'/' if self.eat("/-") => return Some(Token::Dash),
            b'/' => return Some(Token::Comment(self.comment())),
            b'"' => {
                self.quoted();
                return Some(Token::Word(&self.text[start..self.at]));
            }
            b'#' => {
                self.raw();
                return Some(Token::Word(&self.text[start..self.at]));
            }
            _ => {
                self.skip(|c| !c.is_whitespace() && !"\\/(){};[]\"#=".contains(c));
                let stuck = self.at == start;
                self.at += if stuck { self.rest().chars().next()?.len_utf8() } else { 0 };
                return Some(Token::Word(&self.text[start..self.at]));
            }
        };
        self.at += 1;
        Some(token)
    }

    fn newline(&mut self) -> bool {
        self.eat("\r\n") || self.eat("\n") || self.eat("\r")
    }

    fn continuation(&mut self) -> Token<'a> {
        let mut comments = Vec::new();
        loop {
            self.skip(|c| c.is_whitespace() && c != '\n' && c != '\r');
            if !self.rest().starts_with('/') {
                break;
            }
            comments.push(self.comment());
        }
        self.newline();
        Token::Continue(comments)
    }

    fn comment(&mut self) -> &'a str {
        let start = self.at;
        if self.rest().starts_with("//") {
            self.skip(|c| c != '\n' && c != '\r');
            return self.text[start..self.at].trim_end();
        }
        let mut depth = 0;
        while self.at < self.text.len() {
            if self.eat("/*") {
                depth += 1;
            } else if self.eat("*/") {
                depth -= 1;
            } else {
                self.at += self.rest().chars().next().map_or(1, char::len_utf8);
            }
            if depth == 0 {
                break;
            }
        }
        &self.text[start..self.at]
    }

    fn quoted(&mut self) {
        let end = if self.eat("\"\"\"") { "\"\"\"" } else { "\"" };
        if end == "\"" {
            self.at += 1;
        }
        while let Some(c) = self.rest().chars().next() {
            if self.eat(end) {
                return;
            }
            let escape = (c == '\\').then(|| token::escape(self.rest()).ok()).flatten();
            self.at += escape.unwrap_or(c.len_utf8());
        }
    }

    /// `#"…"#` with any number of `#`, or a keyword.
    fn raw(&mut self) {
        let hashes = self.rest().bytes().take_while(|byte| *byte == b'#').count();
        self.at += hashes;
        let quotes = if self.rest().starts_with("\"\"\"") { 3 } else { 1 };
        if !self.rest().starts_with('"') {
            self.skip(|c| c.is_ascii_alphanumeric() || c == '-');
            return;
        }
        self.at += quotes;
        self.behind(&("\"".repeat(quotes) + &"#".repeat(hashes)));
    }
}
