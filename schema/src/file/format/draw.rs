//! A layout to its canonical text.
//!
//! Knows indentation, quotes, and how comments stand in a column. Refuses to change a value: a text
//! is only ever written with other quotes, or with its lines moved together.

use super::read::{Body, Item, Node, Piece};
use crate::file::{print, token};

/// The longest line, in characters, that a block may be kept on.
const WIDTH: usize = 100;
/// Four blanks a level.
const INDENT: &str = "    ";

/// The text of a file.
pub(super) fn file(body: &Body<'_>) -> String {
    lines(body, 0)
}

/// A node that was drawn, and the comments behind it, which may be moved to the right.
struct Drawn {
    head: String,
    tail: String,
}

fn indent(depth: usize) -> String {
    INDENT.repeat(depth)
}

/// A body with each item on lines of its own.
fn lines(body: &Body<'_>, depth: usize) -> String {
    let mut drawn: Vec<Drawn> = body.items.iter().map(|item| self::item(item, depth)).collect();
    align(&mut drawn);
    drawn.into_iter().map(|Drawn { head, tail }| head + &tail + "\n").collect()
}

fn item(item: &Item<'_>, depth: usize) -> Drawn {
    match item {
        Item::Blank => Drawn { head: String::new(), tail: String::new() },
        Item::Comments(comments) => {
            let head = indent(depth) + &unix(&comments.join(" "));
            Drawn { head, tail: String::new() }
        }
        Item::Node(node) => {
            let start = node
                .pieces
                .iter()
                .rposition(|piece| !matches!(piece, Piece::Comment(_)))
                .map_or(0, |last| last + 1);
            let (pieces, comments) = node.pieces.split_at(start);
            let broken = matches!(pieces.last(), Some(Piece::Break(_)));
            let tail = comments.iter().map(|piece| match piece {
                Piece::Comment(comment) => format!(" {}", unix(comment)),
                _ => String::new(),
            });
            let mut tail: String = tail.collect();
            if broken {
                tail = tail.trim_start().to_owned();
            }
            Drawn { head: self::node(node, pieces, depth), tail }
        }
    }
}

/// Puts the comments of neighbouring lines into one column.
fn align(drawn: &mut [Drawn]) {
    let alone = |drawn: &Drawn| !drawn.tail.is_empty() && !drawn.head.contains('\n');
    let mut at = 0;
    while at < drawn.len() {
        let run = drawn[at..].iter().take_while(|drawn| alone(drawn)).count();
        let widths = drawn[at..at + run].iter().map(|drawn| drawn.head.chars().count());
        let width = widths.max().unwrap_or(0);
        for drawn in &mut drawn[at..at + run] {
            let missing = width - drawn.head.chars().count();
            drawn.head.extend(std::iter::repeat_n(' ', missing));
        }
        at += run.max(1);
    }
}

/// How the blocks of a node are drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blocks {
    /// On one line where they were written so; what is in the others is left out. Drawing that only
    /// to measure the line before it would take time exponential in its depth.
    Sketched,
    /// On one line where they were written so.
    Kept,
    /// On several lines.
    Opened,
}

/// A node. Its blocks stay on its line where they were written so and the line is short enough.
fn node(node: &Node<'_>, pieces: &[Piece<'_>], depth: usize) -> String {
    let sketch = head(node, pieces, depth, Blocks::Sketched);
    let fits = |line: Option<&str>| line.is_none_or(|line| line.chars().count() <= WIDTH);
    let fits = fits(sketch.lines().next()) && fits(sketch.lines().next_back());
    head(node, pieces, depth, if fits { Blocks::Kept } else { Blocks::Opened })
}

fn head(node: &Node<'_>, pieces: &[Piece<'_>], depth: usize, blocks: Blocks) -> String {
    let mut out = indent(depth);
    for comment in &node.lead {
        out += &unix(comment);
        match comment.starts_with("//") {
            true => out = out + "\n" + &indent(depth),
            false => out.push(' '),
        }
    }
    out += if node.dashed { "/-" } else { "" };
    out += &name(node.name, depth);
    let mut apart = true;
    for piece in pieces {
        out += if apart { " " } else { "" };
        apart = true;
        match piece {
            Piece::Comment(comment) => out += &unix(comment),
            Piece::Break(comments) => {
                out.push('\\');
                for comment in comments {
                    out = out + " " + &unix(comment);
                }
                out = out + "\n" + &indent(depth + 1);
                apart = false;
            }
            Piece::Entry { dashed, name: key, value } => {
                out += if *dashed { "/-" } else { "" };
                if let Some(key) = key {
                    out = out + &name(key, depth) + "=";
                }
                out += &self::value(value, depth);
            }
            Piece::Block { dashed, body } => {
                out += if *dashed { "/-" } else { "" };
                out += &block(body, depth, blocks);
            }
        }
    }
    out
}

fn block(body: &Body<'_>, depth: usize, blocks: Blocks) -> String {
    if body.items.is_empty() && body.open.is_empty() {
        return "{}".to_owned();
    }
    if blocks != Blocks::Opened && !body.lines {
        let open = body.open.iter().map(|comment| (*comment).to_owned());
        let items = body.items.iter().map(|item| match item {
            Item::Blank => String::new(),
            Item::Comments(comments) => comments.join(" "),
            Item::Node(node) => head(node, &node.pieces, 0, blocks),
        });
        let open: Vec<String> = open.collect();
        let items: Vec<String> = items.collect();
        let parts = [open.join(" "), items.join("; ")];
        let parts: Vec<&str> =
            parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        return format!("{{ {} }}", parts.join(" "));
    }
    let open: String = body.open.iter().map(|comment| format!(" {}", unix(comment))).collect();
    if blocks == Blocks::Sketched {
        return format!("{{{open}\n{}}}", indent(depth));
    }
    format!("{{{open}\n{}{}}}", lines(body, depth + 1), indent(depth))
}

/// The name of a node or a property: without quotes where it needs none.
fn name(written: &str, depth: usize) -> String {
    match single(written) {
        Some(text) if print::is_plain_name(text) => text.to_owned(),
        _ if written.starts_with(['"', '#']) => value(written, depth),
        _ => written.to_owned(),
    }
}

/// A value: a text in quotes, a number or keyword as it was written.
pub(super) fn value(written: &str, depth: usize) -> String {
    let raw = written.starts_with('#') && written.ends_with('#') && written.len() > 1;
    let quotes = written.trim_matches('#');
    if quotes.starts_with("\"\"\"") && (raw || written.starts_with('"')) {
        return several(written, depth);
    }
    match single(written) {
        Some(text) => format!("\"{text}\""),
        None if written.starts_with(['"', '#']) || token::is_number(written) => unix(written),
        None => format!("\"{written}\""),
    }
}

/// The text between single quotes, raw or not, when it reads the same between plain ones.
fn single(written: &str) -> Option<&str> {
    let inner = written.trim_matches('#');
    if inner.len() < 2 || inner.starts_with("\"\"\"") {
        return None;
    }
    let text = inner.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains(['\\', '"', '\n', '\r'])).then_some(text)
}

/// A text on several lines, moved to one level below its node.
fn several(written: &str, depth: usize) -> String {
    let hashes = written.bytes().take_while(|byte| *byte == b'#').count();
    let (quotes, text) = (hashes + 3, unix(written));
    let (start, end) = (&text[..quotes], &text[text.len() - quotes..]);
    let body = text.get(quotes..text.len() - quotes).unwrap_or("");
    let rest = body.strip_prefix('\n').unwrap_or(body);
    let indent = indent(depth + 1);
    let mut out = format!("{start}\n");
    if let Some((inner, last)) = rest.rsplit_once('\n') {
        for line in inner.split('\n') {
            if !line.chars().all(char::is_whitespace) {
                out += &indent;
                out += line.strip_prefix(last).unwrap_or(line);
            }
            out.push('\n');
        }
    }
    out + &indent + end
}

/// Line ends as everybody has them.
fn unix(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}
