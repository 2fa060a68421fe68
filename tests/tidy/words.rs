//! Words that nobody outside of this house would understand: each has a standard term.
//!
//! Knows the table in docs/glossary.md, and looks for its left column in code and prose: in
//! identifiers of any spelling, messages, comments and pages. Refuses to judge words that have an
//! ordinary meaning beside the private one, such as `kept`, `price` or `standing`: no machine tells
//! the two apart, so they are not in the table. Names in JSON are no such words.

use std::fs;

use devnet_tests::tree;

use super::{all, verdict};

const GLOSSARY: &str = "docs/glossary.md";

/// The words of the table's left column.
fn refused(glossary: &str) -> Vec<String> {
    let table = glossary.split("| private word |").nth(1).unwrap_or_default();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let left = rows.filter_map(|row| row.split('|').nth(1));
    left.flat_map(|words| words.split(',')).map(|word| word.trim().to_owned()).collect()
}

/// A text as words apart by single blanks: `ways_out`, `waysOut` and `WaysOut` are `ways out`.
fn as_words(text: &str) -> String {
    let mut words = String::from(" ");
    let mut small = false;
    for c in text.chars() {
        if !c.is_alphanumeric() || (small && c.is_uppercase()) {
            words.push(' ');
        }
        if c.is_alphanumeric() {
            words.extend(c.to_lowercase());
        }
        small = c.is_lowercase();
    }
    words.split_whitespace().fold(String::from(" "), |line, word| line + word + " ")
}

/// What of the words stands in a text, with the number of its line.
fn found<'w>(text: &str, words: &'w [String]) -> Vec<(usize, &'w str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, as_words(line)));
    let stands = |(at, line): (usize, String)| {
        let here = words.iter().filter(move |word| line.contains(&format!(" {word} ")));
        here.map(move |word| (at, word.as_str())).collect::<Vec<_>>()
    };
    lines.flat_map(stands).collect()
}

#[test]
fn no_word_is_used_that_the_glossary_refuses() {
    let read = |path: &str| fs::read_to_string(tree::root().join(path)).expect("it is a page");
    let glossary = read(GLOSSARY);
    let words = refused(&glossary);
    assert!(words.len() > 5, "the table of the glossary was read: {words:?}");
    let mut texts: Vec<(String, String)> =
        all().into_iter().map(|source| (source.path, source.text)).collect();
    // This file has to name them.
    texts.retain(|(path, _)| path != "tests/tidy/words.rs");
    let mut pages = vec!["CHANGELOG.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for folder in ["docs", "docs/design"] {
        for entry in fs::read_dir(tree::root().join(folder)).expect("there are pages") {
            let name = entry.expect("it can be listed").file_name().into_string().expect("UTF-8");
            pages.extend(name.ends_with(".md").then(|| format!("{folder}/{name}")));
        }
    }
    pages.retain(|page| page != GLOSSARY);
    texts.extend(pages.into_iter().map(|page| (page.clone(), read(&page))));
    let mut findings = Vec::new();
    for (path, text) in &texts {
        for (line, word) in found(text, &words) {
            findings.push(format!("{path}:{line}: `{word}`"));
        }
    }
    verdict("docs/glossary.md has a standard term for each of these", findings);
}

#[test]
fn words_are_seen_in_every_spelling() {
    let words = ["ways out".to_owned(), "seat".to_owned()];
    let text = "fn ways_out_large()\n//! Ways out, cheapest first\nstruct SeatMap\na seated guest";
    assert_eq!(found(text, &words), [(1, "ways out"), (2, "ways out"), (3, "seat")]);
}
