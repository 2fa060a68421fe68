//! What the checks find, as much of it as someone reads.
//!
//! Knows order and number, and which lines are doubtful. Refuses to know what is a mistake.

use std::{borrow::Cow, cell::Cell};

use crate::{
    diagnostic::{Diagnostic, Location},
    file::suggest,
};

/// More findings than this would bury the first ones.
const MOST: usize = 200;

/// Words that are compared for "did you mean" in one run: a fraction of a second, however many
/// names are wrong.
const LOOKS: usize = 200_000;

/// The first findings by place, of however many there are.
pub(super) struct Findings<'a> {
    first: Vec<Diagnostic>,
    /// Lines with a mistake of syntax: what is found there is an echo of it.
    doubtful: Cow<'a, [Location]>,
    failed: bool,
    looks: Cell<usize>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(doubtful: &'a [Location]) -> Self {
        let doubtful = Cow::Borrowed(doubtful);
        Self { first: Vec::new(), doubtful, failed: false, looks: Cell::new(LOOKS) }
    }

    pub(super) fn push(&mut self, found: Diagnostic) {
        if found.at.as_ref().is_some_and(|at| self.doubts(at)) {
            return;
        }
        self.failed |= found.is_error();
        self.first.push(found);
        if self.first.len() >= 8 * MOST {
            self.sort();
        }
    }

    /// More places with a mistake of syntax.
    pub(super) fn doubt(&mut self, places: &[Location]) {
        if !places.is_empty() {
            self.doubtful.to_mut().extend(places.iter().cloned());
        }
    }

    pub(super) fn extend(&mut self, found: impl IntoIterator<Item = Diagnostic>) {
        found.into_iter().for_each(|found| self.push(found));
    }

    /// Whether an error was found.
    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    /// The first ones, sorted by place.
    pub(super) fn sorted(mut self) -> Vec<Diagnostic> {
        self.sort();
        self.first
    }

    /// The known word nearest to another, while not too many were compared.
    pub(super) fn nearest<'w>(
        &self,
        word: &str,
        known: impl Iterator<Item = &'w str> + Clone,
    ) -> Option<&'w str> {
        self.may_look(known.clone()).then(|| suggest::nearest(word, known)).flatten()
    }

    /// Advice for an unknown word, while not too many were compared.
    pub(super) fn advice<'w>(
        &self,
        word: &str,
        known: impl Iterator<Item = &'w str> + Clone,
    ) -> String {
        match self.may_look(known.clone()) {
            true => suggest::advice(word, known),
            false => String::new(),
        }
    }

    fn may_look<'w>(&self, known: impl Iterator<Item = &'w str>) -> bool {
        let left = self.looks.get();
        if left > 0 {
            self.looks.set(left.saturating_sub(known.count() + 1));
        }
        left > 0
    }

    /// Whether something is said of exactly that place.
    pub(super) fn told(&self, at: &Location) -> bool {
        self.first.iter().any(|found| found.at.as_ref() == Some(at))
    }

    /// Whether what is written there may not be what was meant.
    pub(super) fn doubts(&self, at: &Location) -> bool {
        let covers = |it: &Location| it.file == at.file && (it.start..it.end).contains(&at.start);
        self.doubtful.iter().any(covers)
    }

    fn sort(&mut self) {
        self.first.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.code.cmp(&b.code)));
        self.first.truncate(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32) -> Location {
        Location { file: "c.kdl".into(), line, column: 1, start: line as usize, end: 1 }
    }

    #[test]
    fn the_first_by_place_are_kept_whenever_they_come() {
        let mut findings = Findings::new(&[]);
        for line in (0..5000).rev() {
            findings.push(Diagnostic::warning("DN-W0406", Some(at(line)), "x"));
        }
        assert!(!findings.failed());
        findings.push(Diagnostic::error("DN-E0301", Some(at(9999)), "y"));
        assert!(findings.failed(), "an error counts though nobody sees it");
        let lines: Vec<u32> =
            findings.sorted().iter().map(|f| f.at.as_ref().unwrap().line).collect();
        assert_eq!(lines, (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn words_are_compared_only_so_often() {
        let known: Vec<String> = (0..10_000).map(|n| format!("n{n}")).collect();
        let findings = Findings::new(&[]);
        let told = || findings.nearest("m7", known.iter().map(String::as_str)).is_some();
        let all = (0..1000).filter(|_| told()).count();
        assert!((10..=20).contains(&all), "{all}");
    }
}
