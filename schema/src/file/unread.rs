//! What stands in the parts of files that could not be read.
//!
//! Knows words. Refuses to know which of them are names: whatever stands there may declare one, so
//! nobody may say of it that it is declared nowhere.

use std::collections::BTreeSet;

/// The words of what could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unread {
    /// Whether not even the words are known: a file, or the rest of one, was not read.
    all: bool,
    words: BTreeSet<String>,
}

impl Unread {
    /// A text that was not read, of which nothing is known.
    pub fn everything(&mut self) {
        self.all = true;
    }

    /// A text that could not be read. Where it names files to include, these are not read either.
    pub fn note(&mut self, text: &str) {
        let word = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let words = text.split(|c| !word(c)).filter(|word| !word.is_empty());
        for word in words {
            self.all |= word == "include";
            self.words.insert(word.to_owned());
        }
    }

    /// The same of several texts.
    pub fn extend(&mut self, other: Self) {
        self.all |= other.all;
        self.words.extend(other.words);
    }

    /// Whether a name may be declared there.
    pub fn may_declare(&self, name: &str) -> bool {
        self.all || self.words.contains(name)
    }

    /// Whether there is nothing that could not be read.
    pub fn is_empty(&self) -> bool {
        !self.all && self.words.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_stand_there_may_be_declared_there() {
        let mut unread = Unread::default();
        assert!(unread.is_empty() && !unread.may_declare("db"));
        unread.note("  my-db: {image: \"x:1");
        assert!(unread.may_declare("my-db") && unread.may_declare("image"));
        assert!(!unread.may_declare("db"), "a part of a word is none");
        unread.note("include: [a.yaml]");
        assert!(unread.may_declare("anything"), "the files were not read either");
    }
}
