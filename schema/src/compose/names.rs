//! What may be a name in a Compose file, and which texts can be handed to a system.
//!
//! Knows letters, signs and lengths. Refuses to know what is named and whether it is there.

use super::reader::Reader;
use crate::{
    diagnostic::Located,
    file::{
        forbidden,
        tree::{Node, Span},
    },
};

/// The longest name of a service, a volume or the like, in characters.
pub(super) const LABEL: usize = 63;
/// The longest name of a host, in characters.
pub(super) const HOST: usize = 253;

/// Whether a text is letters, digits, `-`, `_` and `.`, and begins with a letter or digit.
fn is_name(text: &str, most: usize) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    first && text.len() <= most && text.chars().all(known)
}

/// Whether a text shows what it is and cannot pass for an option.
fn is_word(text: &str) -> bool {
    let hides = |c: char| c.is_control() || forbidden(c);
    !text.is_empty() && !text.starts_with('-') && !text.chars().any(hides)
}

impl Reader<'_> {
    /// Whether a text is the name of `what`; told where it is none.
    pub(super) fn is_name(&mut self, text: &str, span: &Span, what: &str, most: usize) -> bool {
        let good = is_name(text, most);
        if !good {
            let help = format!(
                "use letters, digits, `-`, `_` and `.`, beginning with a letter or digit, {most} \
                 at most"
            );
            self.no_name(text, span, what, &help);
        }
        good
    }

    /// Whether a text can be `what`, whatever its letters; told where it cannot.
    pub(super) fn is_word(&mut self, text: &str, span: &Span, what: &str) -> bool {
        let good = is_word(text);
        if !good {
            let help = "write a text without control characters, or a `-` first";
            self.no_name(text, span, what, help);
        }
        good
    }

    fn no_name(&mut self, text: &str, span: &Span, what: &str, help: &str) {
        let shown: String = text.chars().take(80).collect();
        let message = format!("`{}` is not {what}", shown.escape_debug());
        self.error("DN-E0569", span, message, help);
    }

    /// The name of `what`, known here; nothing where it is empty.
    pub(super) fn name(&mut self, node: &Node, what: &str, most: usize) -> Option<Located<String>> {
        let name = self.known(node, what).filter(|name| !name.value.is_empty())?;
        self.is_name(&name.value, &node.span, what, most).then_some(name)
    }

    /// The name of `what`. What a template is part of only has to be a word.
    pub(super) fn filled_name(
        &mut self,
        node: &Node,
        what: &str,
        most: usize,
    ) -> Option<Located<String>> {
        if self.is_templated(node) { self.word(node, what) } else { self.name(node, what, most) }
    }

    /// A text that can be `what`; nothing where it is empty.
    pub(super) fn word(&mut self, node: &Node, what: &str) -> Option<Located<String>> {
        let word = self.text(node, what).filter(|word| !word.value.is_empty())?;
        self.is_word(&word.value, &node.span, what).then_some(word)
    }

    /// A list of words that have to be known here, or one of them alone.
    pub(super) fn known_words(&mut self, node: &Node, what: &str) -> Vec<Located<String>> {
        let words = self.words(node, what);
        let one = |word: &Located<String>| self.is_word(&word.value, &self.span(&word.at), what);
        words.into_iter().filter(one).collect()
    }

    /// A word of a command; the system ends one at a NUL.
    pub(super) fn argument(&mut self, node: &Node, what: &str) -> Option<Located<String>> {
        let text = self.text(node, what)?;
        if text.value.contains('\0') {
            let message = format!("{what} cannot hold the character NUL");
            self.error("DN-E0322", &node.span, message, "remove it");
            return None;
        }
        Some(text)
    }
}
