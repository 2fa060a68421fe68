//! Tokens to the layout of a file: nodes, their entries and blocks, and every comment between them.
//!
//! Knows what belongs to which node and which line. Refuses to know names, and how it is drawn.

use crate::file::outline::tokens::Token;

/// The nodes of a file or of a block.
#[derive(Debug)]
pub(super) struct Body<'a> {
    /// Comments behind the `{`, on its line.
    pub open: Vec<&'a str>,
    /// What is in it.
    pub items: Vec<Item<'a>>,
    /// Whether it was written on several lines.
    pub lines: bool,
}

/// What stands on lines of its own.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// One or more blank lines.
    Blank,
    /// Comments on one line.
    Comments(Vec<&'a str>),
    /// A node.
    Node(Node<'a>),
}

/// A node.
#[derive(Debug)]
pub(super) struct Node<'a> {
    /// Comments before it.
    pub lead: Vec<&'a str>,
    /// Whether it is behind `/-`.
    pub dashed: bool,
    /// Its name, as written.
    pub name: &'a str,
    /// What follows.
    pub pieces: Vec<Piece<'a>>,
}

impl Node<'_> {
    /// Whether nothing can follow on its line.
    fn ends_its_line(&self) -> bool {
        let last = self.pieces.last();
        matches!(last, Some(Piece::Comment(comment)) if comment.starts_with("//"))
    }
}

/// A part of a node.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// An argument or a property.
    Entry {
        /// Whether it is behind `/-`.
        dashed: bool,
        /// The property's name, as written.
        name: Option<&'a str>,
        /// The value, as written.
        value: &'a str,
    },
    /// A block.
    Block {
        /// Whether it is behind `/-`.
        dashed: bool,
        /// What is in it.
        body: Body<'a>,
    },
    /// A comment. One that begins with `//` is the last piece.
    Comment(&'a str),
    /// The line goes on behind a `\`, with the comments between it and the line end.
    Break(Vec<&'a str>),
}

/// Reads the tokens of a file that the outline let through.
pub(super) fn body<'a>(text: &'a str, tokens: &[(usize, Token<'a>)]) -> Body<'a> {
    Reader { text, tokens, at: 0 }.body(false)
}

struct Reader<'a, 't> {
    text: &'a str,
    tokens: &'t [(usize, Token<'a>)],
    at: usize,
}

/// A body that is being read.
struct Open<'a> {
    body: Body<'a>,
    /// Comments of this line that belong to nothing yet.
    pending: Vec<&'a str>,
    /// Line ends since the last item.
    newlines: usize,
    /// Line ends between the last item and `pending`.
    before: usize,
    /// Whether this is a block whose first line has not ended.
    first_line: bool,
}

impl<'a> Open<'a> {
    fn push(&mut self, item: Item<'a>) {
        if self.before > 1 && !self.body.items.is_empty() {
            self.body.items.push(Item::Blank);
        }
        self.body.items.push(item);
        self.newlines = 0;
    }

    /// The line ends: its comments belong to what is before them, or to nothing.
    fn line_end(&mut self) {
        let comments = std::mem::take(&mut self.pending);
        if comments.is_empty() {
            return;
        }
        match self.body.items.last_mut() {
            Some(Item::Node(node)) if self.newlines == 0 && !node.ends_its_line() => {
                node.pieces.extend(comments.into_iter().map(Piece::Comment));
            }
            None if self.first_line => self.body.open = comments,
            _ => self.push(Item::Comments(comments)),
        }
    }

    fn comment(&mut self, comment: &'a str) {
        if self.pending.is_empty() {
            self.before = self.newlines;
        }
        self.pending.push(comment);
    }
}

impl<'a> Reader<'a, '_> {
    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.at).map_or(self.text.len(), |(start, _)| *start)
    }

    /// Up to the `}` or the end. `block` says that a `{` came before.
    fn body(&mut self, block: bool) -> Body<'a> {
        let start = self.offset();
        let body = Body { open: Vec::new(), items: Vec::new(), lines: false };
        let pending = Vec::new();
        let mut open = Open { body, pending, newlines: 0, before: 0, first_line: block };
        while let Some(token) = self.peek() {
            match token {
                Token::Close => break,
                Token::Newline => {
                    open.line_end();
                    open.newlines += 1;
                    open.first_line = false;
                }
                // Before a node a `\` joins nothing.
                Token::Continue(comments) => {
                    comments.clone().into_iter().for_each(|comment| open.comment(comment));
                    open.line_end();
                    open.newlines = open.newlines.max(1);
                    open.first_line = false;
                }
                Token::Comment(comment) => open.comment(comment),
                Token::Dash | Token::Word(_) => {
                    if open.pending.is_empty() {
                        open.before = open.newlines;
                    }
                    let lead = std::mem::take(&mut open.pending);
                    let node = self.node(lead);
                    open.push(Item::Node(node));
                    continue;
                }
                Token::Semicolon | Token::Open | Token::Equals => {}
            }
            self.at += 1;
        }
        open.line_end();
        let end = self.offset();
        open.body.lines = self.text[start..end].contains(['\n', '\r']);
        open.body
    }

    fn node(&mut self, mut lead: Vec<&'a str>) -> Node<'a> {
        let mut dashed = false;
        let mut name = "";
        while let Some(token) = self.peek() {
            match token {
                Token::Dash => dashed = true,
                Token::Comment(comment) => lead.push(comment),
                Token::Continue(comments) => lead.extend(comments),
                Token::Word(word) => name = word,
                _ => {}
            }
            self.at += 1;
            if !name.is_empty() {
                break;
            }
        }
        Node { lead, dashed, name, pieces: tidy(self.pieces()) }
    }

    fn pieces(&mut self) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut armed = false;
        let mut key = None;
        while let Some(token) = self.peek() {
            match token {
                Token::Close | Token::Semicolon => break,
                Token::Newline if !armed => break,
                Token::Newline => {}
                Token::Dash => armed = true,
                // What `/-` removes comes later, so this line goes on there.
                Token::Comment(comment) if armed && comment.starts_with("//") => {
                    pieces.push(Piece::Break(vec![comment]));
                }
                Token::Comment(comment) => pieces.push(Piece::Comment(comment)),
                Token::Continue(comments) => pieces.push(Piece::Break(comments.clone())),
                Token::Equals => key = take_key(&mut pieces),
                Token::Word(value) => {
                    let (name, dashed) = key.take().map_or((None, armed), |(n, d)| (Some(n), d));
                    pieces.push(Piece::Entry { dashed, name, value });
                    armed = false;
                }
                Token::Open => {
                    self.at += 1;
                    let body = self.body(true);
                    pieces.push(Piece::Block { dashed: armed, body });
                    armed = false;
                }
            }
            self.at += 1;
        }
        pieces
    }
}

/// The argument before a `=` is the name of a property. Comments between the two come before it.
fn take_key<'a>(pieces: &mut Vec<Piece<'a>>) -> Option<(&'a str, bool)> {
    let at = pieces.iter().rposition(|piece| matches!(piece, Piece::Entry { .. }))?;
    match pieces.remove(at) {
        Piece::Entry { dashed, value, .. } => Some((value, dashed)),
        _ => None,
    }
}

/// Leaves out each `\` that joins nothing to nothing.
fn tidy(pieces: Vec<Piece<'_>>) -> Vec<Piece<'_>> {
    let mut kept: Vec<Piece<'_>> = Vec::new();
    let joined = |piece: &Piece<'_>| matches!(piece, Piece::Entry { .. } | Piece::Block { .. });
    let last = pieces.iter().rposition(joined);
    let mut pieces = pieces.into_iter().enumerate().peekable();
    while let Some((at, piece)) = pieces.next() {
        let next = pieces.peek().map(|(_, next)| next);
        match piece {
            Piece::Break(comments) if comments.is_empty() => {
                let doubled = matches!(kept.last(), Some(Piece::Break(_)))
                    || matches!(next, Some(Piece::Break(_) | Piece::Block { .. }));
                if !doubled && last.is_some_and(|last| at < last) {
                    kept.push(Piece::Break(comments));
                }
            }
            piece => kept.push(piece),
        }
    }
    if let Some(Piece::Break(comments)) = kept.pop_if(|last| matches!(last, Piece::Break(_))) {
        kept.extend(comments.into_iter().map(Piece::Comment));
    }
    kept
}
