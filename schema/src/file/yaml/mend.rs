//! What to leave out of a YAML text with mistakes of syntax so that the rest of it reads.
//!
//! Knows how a text is indented: an entry ends where something stands no deeper, and can be read
//! alone. The smallest entries that cannot are left out, each with the mistake in it, so that one
//! run finds them all and what stands beside them is looked at too. Refuses to know what any of it
//! says, and to guess within brackets.

use granit_parser::Parser;

use super::syntax;
use crate::{
    diagnostic::Diagnostic,
    file::{
        limits::Limits,
        tree::{Source, Span},
    },
};

/// Where this many entries fail, nobody reads on for more.
const MANY: usize = 500;

/// A text with what could not be read replaced by blanks: every place in it is one of the file.
pub(super) struct Mended {
    pub text: String,
    /// One for each part that was left out.
    pub errors: Vec<Diagnostic>,
    pub left_out: Vec<Span>,
    /// Names and first entries of what something was left out of: it may not lack what it seems to.
    pub lacking: Vec<Span>,
}

/// Texts that are this short may be read again some dozens of times.
const SHORT: usize = 128 << 10;

/// Leaves out the part that `stop` is in, and others like it.
pub(super) fn mended(source: &Source, stop: &Diagnostic, limits: &Limits, most: usize) -> Mended {
    let lines = lines(&source.text);
    let budget = (2 * source.text.len()).max(SHORT);
    let (left_out, stop) = (Vec::new(), stop.clone());
    let mut mender = Mender { source, limits, lines, budget, failed: Vec::new(), left_out };
    mender.sweep_all();
    mender.around(stop, most);
    let Mender { lines, mut left_out, .. } = mender;
    left_out.sort_by_key(|part| part.span.start);
    let text = blanked(&source.text, left_out.iter().map(|part| &part.span));
    let lacking = left_out.iter().flat_map(|part| holders(&text, &lines, part)).collect();
    let (errors, left_out) = left_out.into_iter().map(|part| (part.error, part.span)).unzip();
    Mended { text, errors, left_out, lacking }
}

/// A line that is neither blank nor a comment.
#[derive(Clone, Copy)]
struct Line {
    start: usize,
    end: usize,
    indent: usize,
}

fn lines(text: &str) -> Vec<Line> {
    let mut end = 0;
    let all = text.split_inclusive('\n').map(|line| {
        end += line.len();
        let indent = line.len() - line.trim_start_matches(' ').len();
        (line, Line { start: end - line.len(), end, indent })
    });
    let says = |line: &str| !matches!(line.trim_start().as_bytes().first(), None | Some(b'#'));
    all.filter(|(line, _)| says(line)).map(|(_, line)| line).collect()
}

/// An entry: from this column of its first line to before another line.
#[derive(Clone, Copy)]
struct Block {
    line: usize,
    column: usize,
    until: usize,
}

/// A part that is left out, and why.
struct Part {
    line: usize,
    column: usize,
    span: Span,
    error: Diagnostic,
}

struct Mender<'a> {
    source: &'a Source,
    limits: &'a Limits,
    lines: Vec<Line>,
    /// Bytes that may still be read a second time.
    budget: usize,
    /// The smallest entries that cannot be read alone.
    failed: Vec<Part>,
    left_out: Vec<Part>,
}

impl Mender<'_> {
    fn text(&self, line: usize) -> &str {
        let Line { start, end, .. } = self.lines[line];
        self.source.text[start..end].trim_end()
    }

    fn span(&self, block: Block) -> Span {
        self.lines[block.line].start + block.column..self.lines[block.until - 1].end
    }

    fn sweep_all(&mut self) {
        let begins = |line: usize| self.text(line).starts_with(['{', '[', '%']);
        if self.lines.is_empty() || begins(0) {
            return;
        }
        let first = usize::from(self.text(0) == "---");
        for block in self.entries(first, 0, self.lines.len()) {
            self.sweep(block);
        }
    }

    /// Looks for the smallest entries that cannot be read alone.
    fn sweep(&mut self, block: Block) {
        if self.failed.len() >= MANY {
            return;
        }
        let Some(error) = self.error(block) else { return };
        let before = self.failed.len();
        let entries = self.within(block);
        let deep = entries.first().map(|first| first.column);
        for entry in &entries {
            self.sweep(*entry);
        }
        if self.failed.len() > before {
            return;
        }
        // Each reads alone and together they do not: most likely some stand at another depth.
        let odd: Vec<Block> = entries.into_iter().filter(|e| Some(e.column) != deep).collect();
        let parts = if odd.is_empty() { vec![block] } else { odd };
        for part in parts {
            let (span, error) = (self.span(part), error.clone());
            self.failed.push(Part { line: part.line, column: part.column, span, error });
        }
    }

    /// Why an entry cannot be read alone.
    fn error(&mut self, block: Block) -> Option<Diagnostic> {
        let Span { start, end } = self.span(block);
        self.budget = self.budget.checked_sub(end - start)?;
        let alone = " ".repeat(block.column) + &self.source.text[start..end];
        let (error, at) = first(&alone)?;
        let at = (start + at).saturating_sub(block.column);
        Some(syntax(self.source, &error, at, self.limits))
    }

    /// The entries of an entry; none of one that is a value.
    fn within(&self, block: Block) -> Vec<Block> {
        let text = &self.text(block.line)[block.column..];
        if let Some(item) = text.strip_prefix("- ") {
            let column = block.column + text.len() - item.trim_start().len();
            return match item.trim_start().starts_with(['{', '[', '"', '\'']) {
                true => Vec::new(),
                false => self.entries(block.line, column, block.until),
            };
        }
        let head = text.split(" #").next().unwrap_or(text).trim_end();
        let head = head.rsplit_once(": &").map_or(head, |(name, _)| &text[..name.len() + 1]);
        match self.lines.get(block.line + 1).filter(|_| head.ends_with(':')) {
            Some(next) => self.entries(block.line + 1, next.indent, block.until),
            None => Vec::new(),
        }
    }

    /// The entries that begin at this column of a line, up to another line.
    fn entries(&self, from: usize, column: usize, until: usize) -> Vec<Block> {
        let (mut all, mut line, mut column) = (Vec::new(), from, column);
        while line < until {
            let end = self.end(line, column, until);
            all.push(Block { line, column, until: end });
            line = end;
            column = self.lines.get(line).map_or(0, |next| next.indent);
        }
        all
    }

    /// The line before which an entry ends. Brackets may be closed where it begins, and so may the
    /// items of its list stand.
    fn end(&self, line: usize, column: usize, until: usize) -> usize {
        let own = &self.text(line)[column..];
        let lists = !own.starts_with("- ") && own.ends_with(':');
        let ends = |next: &usize| {
            let (indent, text) = (self.lines[*next].indent, self.text(*next).trim_start());
            let goes_on =
                text.starts_with(['}', ']']) || (lists && (text.starts_with("- ") || text == "-"));
            indent < column || (indent == column && !goes_on)
        };
        (line + 1..until).find(ends).unwrap_or(until)
    }

    /// Leaves out what fails alone, and what `stop` and the mistakes behind it are in.
    fn around(&mut self, stop: Diagnostic, most: usize) {
        let place = |error: &Diagnostic| error.at.as_ref().map_or(0, |at| at.start);
        let (mut before, after): (Vec<Part>, Vec<Part>) = std::mem::take(&mut self.failed)
            .into_iter()
            .partition(|part| part.span.end <= place(&stop));
        // What begins before the place where reading ends may be at fault when it goes on to
        // there, like a quote that is never closed. Of several the nearest.
        let before = before.pop();
        let doubted = before.is_some();
        self.left_out.extend(before.into_iter().chain(after).take(most));
        if let Some(part) = self.left_out.iter_mut().find(|p| p.span.contains(&place(&stop))) {
            part.error = stop.clone();
        }
        let mut next = match self.left_out.is_empty() {
            true => Some(stop.clone()),
            false => self.again(),
        };
        if doubted && next.as_ref().is_some_and(|next| place(next) == place(&stop)) {
            self.left_out.remove(0);
        }
        let mut last = None;
        while let Some(error) = next.take()
            && self.left_out.len() < most
        {
            let same = last == Some(place(&error));
            last = Some(place(&error));
            if !self.leave_out(error, same) {
                return;
            }
            next = self.again();
        }
    }

    /// The next mistake of what is left.
    fn again(&mut self) -> Option<Diagnostic> {
        self.budget = self.budget.checked_sub(self.source.text.len())?;
        let spans = self.left_out.iter().map(|part| &part.span);
        let (error, at) = first(&blanked(&self.source.text, spans))?;
        Some(syntax(self.source, &error, at, self.limits))
    }

    /// Leaves out the entry that a mistake is in, or the one around it.
    fn leave_out(&mut self, error: Diagnostic, wider: bool) -> bool {
        let at = error.at.as_ref().map_or(0, |at| at.start);
        let gone = |line: &Line| {
            let indented = line.start + line.indent;
            self.left_out.iter().any(|part| part.span.contains(&indented))
        };
        let here = self.lines.partition_point(|line| line.start <= at);
        let Some(mut line) = (0..here).rev().find(|line| !gone(&self.lines[*line])) else {
            return false;
        };
        let mut column = self.lines[line].indent;
        if wider {
            let around = (0..line).rev().find(|above| self.lines[*above].indent < column);
            let Some(around) = around else { return false };
            (line, column) = (around, self.lines[around].indent);
        }
        let until = self.end(line, column, self.lines.len());
        let span = self.span(Block { line, column, until });
        let within = |part: &Part| span.contains(&part.span.start);
        let told = self.left_out.iter().any(within);
        let first = self.left_out.iter().position(within);
        let error = match first.filter(|_| told) {
            Some(first) => self.left_out[first].error.clone(),
            None => error,
        };
        self.left_out.push(Part { line, column, span, error });
        true
    }
}

/// A text with blanks where something is left out.
fn blanked<'s>(text: &str, spans: impl Iterator<Item = &'s Span>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for span in spans {
        for byte in &mut bytes[span.clone()] {
            if !matches!(*byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
    // Entries begin and end with characters, so only whole ones were replaced.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Where the entries begin that hold a part, and the first of what each still holds.
fn holders(text: &str, lines: &[Line], part: &Part) -> Vec<Span> {
    let (mut all, mut deep) = (Vec::new(), part.column);
    let own = |line: &Line| text[line.start..line.end].trim();
    for above in (0..=part.line).rev() {
        let line = lines[above];
        if line.indent >= deep || own(&line).is_empty() {
            continue;
        }
        deep = line.indent;
        let from = line.start + line.indent;
        let name = own(&line).find(':').map_or(own(&line).len(), |colon| colon + 1);
        all.push(from..from + name);
        let next = lines[above + 1..].iter().find(|next| !own(next).is_empty());
        if let Some(next) = next.filter(|next| next.indent >= line.indent) {
            let from = next.start + next.indent;
            all.push(from..from + 1);
        }
    }
    all
}

/// The first error of a text, and where it is. What is named with `&` may stand elsewhere.
fn first(part: &str) -> Option<(granit_parser::ScanError, usize)> {
    let options = granit_parser::options! {
        emit_comments: false,
        disallow_directives: true,
        emit_unresolved_aliases: true,
    };
    let error = Parser::new_from_str_with_options(part, options).find_map(Result::err)?;
    let at = error.marker().byte_offset().unwrap_or(part.len());
    Some((error, at))
}
