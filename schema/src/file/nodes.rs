//! KDL nodes as they are scanned, and the tree they make.
//!
//! Knows how KDL nodes map to names and values. Refuses to know which names exist, and to read any
//! text.
//!
//! A node is a name and a value. The value is a scalar when the node has one argument and nothing
//! else, a list when it has several, and otherwise a map: arguments under the empty name, then
//! properties, then children, all in the order written. What is behind `/-` is not there.

use super::tree::{Entry, Kind, Node, Span};

/// The nodes of a text, those of open blocks on a stack.
pub(super) struct Nodes {
    blocks: Vec<Block>,
    doubtful: Vec<Span>,
    /// Names and values that were read.
    count: usize,
}

/// A block that is still open; the lowest is the file.
#[derive(Default)]
struct Block {
    done: Vec<Entry>,
    node: Option<Part>,
}

/// A node that is still open.
#[derive(Default)]
struct Part {
    /// `None` when a mistake hides it.
    name: Option<(String, Span)>,
    entries: Vec<Entry>,
    /// The name of a property whose value is still to come.
    key: Option<(String, Span)>,
    children: Option<Vec<Entry>>,
    /// Where its block begins, so that doubts about it end there.
    block: Option<usize>,
    /// Where the last thing that belongs to it ended.
    end: usize,
    commented: bool,
    doubtful: bool,
    /// Whether something within it is doubtful, so that it may not lack what it seems to.
    lacking: bool,
}

impl Nodes {
    /// No nodes yet.
    pub(super) fn new() -> Self {
        Self { blocks: vec![Block::default()], doubtful: Vec::new(), count: 0 }
    }

    /// How many names and values were read.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The tree of a text of that many bytes, and where it may not be what was meant.
    pub(super) fn finish(mut self, length: usize) -> (Node, Vec<Span>) {
        let done = self.blocks.pop().map(|file| file.done).unwrap_or_default();
        (Node { kind: Kind::Map(done), span: 0..length }, self.doubtful)
    }

    fn node(&mut self) -> Option<&mut Part> {
        self.blocks.last_mut()?.node.as_mut()
    }

    /// A node begins with its name.
    pub(super) fn name(&mut self, name: String, span: Span, commented: bool) {
        let end = span.end;
        self.count += 1;
        if let Some(block) = self.blocks.last_mut() {
            let name = Some((name, span));
            // The name itself may have been doubted.
            let doubtful = block.node.take().is_some_and(|node| node.doubtful);
            block.node = Some(Part { name, end, commented, doubtful, ..Part::default() });
        }
    }

    /// An argument, or the value of the property that was named last. `skipped` says that it is
    /// behind `/-`.
    pub(super) fn value(&mut self, text: String, plain: bool, span: Span, skipped: bool) {
        self.count += 1;
        let Some(node) = self.node() else { return };
        node.end = span.end;
        let key = node.key.take();
        if !skipped {
            let (key, key_span) = key.unwrap_or_else(|| (String::new(), span.clone()));
            node.entries.push(Entry { key, key_span, value: Node::scalar(text, plain, span) });
        }
    }

    /// The argument that came last names a property.
    pub(super) fn key(&mut self, skipped: bool) {
        let Some(node) = self.node().filter(|_| !skipped) else { return };
        if let Some(Entry {
            key_span, value: Node { kind: Kind::Scalar { raw, .. }, .. }, ..
        }) = node.entries.pop()
        {
            node.key = Some((raw, key_span));
        }
    }

    /// What belongs to the node goes on to here.
    pub(super) fn reach(&mut self, end: usize) {
        if let Some(node) = self.node() {
            node.end = end;
        }
    }

    /// The node's block begins.
    pub(super) fn open(&mut self, at: usize) {
        if let Some(block) = self.blocks.last_mut() {
            block.node.get_or_insert_default().block.get_or_insert(at);
        }
        self.blocks.push(Block::default());
    }

    /// The innermost block ends. `commented` says that it was behind `/-`.
    pub(super) fn close(&mut self, end: usize, commented: bool) {
        self.end();
        let Some(block) = self.blocks.pop() else { return };
        let Some(node) = self.node() else { return };
        node.end = end;
        if !commented {
            node.children.get_or_insert_default().extend(block.done);
        }
    }

    /// The node ends.
    pub(super) fn end(&mut self) {
        let Some(block) = self.blocks.last_mut() else { return };
        let Some(mut part) = block.node.take().filter(|part| !part.commented) else { return };
        let head = part.name.as_ref().map(|(_, span)| span.start..part.block.unwrap_or(part.end));
        let (doubtful, lacking) = (part.doubtful, part.lacking);
        let first = part.entries.first().filter(|entry| entry.key.is_empty());
        let title = first.map(|entry| entry.value.span.end);
        match (part.name.take(), head) {
            (Some((key, key_span)), Some(head)) => {
                let value = part.value(&key_span);
                block.done.push(Entry { key, key_span, value });
                let title = head.start..title.unwrap_or(head.start + 1);
                self.doubtful.extend(lacking.then_some(title));
                self.doubtful.extend(doubtful.then_some(head));
                if doubtful || lacking {
                    self.outer_lacks();
                }
            }
            // What is missing from the node around it may have been here.
            _ => self.doubt_outer(),
        }
    }

    /// Something is wrong with the node, so what it seems to say may not be what was meant.
    pub(super) fn doubt_node(&mut self) {
        if let Some(block) = self.blocks.last_mut() {
            block.node.get_or_insert_default().doubtful = true;
        }
    }

    fn outer_lacks(&mut self) {
        let outer = self.blocks.iter_mut().rev().nth(1).and_then(|outer| outer.node.as_mut());
        if let Some(outer) = outer {
            outer.lacking = true;
        }
    }

    fn doubt_outer(&mut self) {
        let outer = self.blocks.iter_mut().rev().nth(1).and_then(|outer| outer.node.as_mut());
        if let Some(outer) = outer {
            outer.doubtful = true;
        }
    }

    /// What stands there may not be what was meant.
    pub(super) fn doubt(&mut self, span: Span) {
        self.doubtful.push(span);
    }
}

impl Part {
    fn value(mut self, key_span: &Span) -> Node {
        let span = key_span.start..self.end;
        let bare = self.entries.iter().all(|entry| entry.key.is_empty());
        match (self.children, bare, self.entries.len()) {
            (Some(children), ..) => {
                self.entries.extend(children);
                Node { kind: Kind::Map(self.entries), span }
            }
            // Nobody reports a list that is empty here as a value that is missing.
            (None, _, 0) if self.doubtful => Node { kind: Kind::Seq(Vec::new()), span },
            (None, true, 0) => Node::scalar("", true, key_span.clone()),
            (None, true, 1) => self.entries.remove(0).value,
            (None, true, _) => {
                let start = self.entries[0].value.span.start;
                let items = self.entries.into_iter().map(|entry| entry.value).collect();
                Node { kind: Kind::Seq(items), span: start..span.end }
            }
            (None, false, _) => Node { kind: Kind::Map(self.entries), span },
        }
    }
}
