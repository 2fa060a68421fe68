//! Compose files as people have them, held against the real `docker compose config`.
//!
//! Knows a corpus of small files, every key of the Compose specification among them, and what that
//! program (2.40.3) makes of each: `config.json`, its normal form, or `refused.txt`. Refuses to
//! know which values are right: both forms are read here, and have to mean the same.
//!
//! Where the real program can be had (`DEVNET_COMPOSE` is its path; `make test` fetches it), the
//! records are compared with it. `UPDATE_EXPECT=1` with the program writes them anew.

mod corpus;
mod differences;
mod normal;
mod real;

use std::{collections::BTreeSet, fmt::Write as _};

use corpus::{Case, Real};
use expect_test::expect_file;
use normal::Meant;

/// How devnet and the real program stand to one another in one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Both take it and mean the same, or both refuse it.
    Agrees,
    /// Only the real program takes it.
    Refused,
    /// Only devnet takes it.
    Taken,
    /// Both take it and mean something else.
    Means,
}

/// What devnet makes of what the real program printed. It is read as a file of its own, with
/// nothing but the files that it still names.
fn of_record(case: &Case, record: &str) -> Meant {
    let mut files = case.files.clone();
    files.insert("compose.yml", &real::as_a_file(record));
    normal::read(&files, &case.profiles)
}

fn verdict(case: &Case) -> (Verdict, String) {
    let own = normal::read(&case.files, &case.profiles);
    assert_ne!(case.real, Real::Unknown, "{} has no record: see the head of this file", case.name);
    let Real::Config(record) = &case.real else {
        return match own.is_refused() {
            true => (Verdict::Agrees, String::new()),
            false => (Verdict::Taken, own.shown),
        };
    };
    if own.is_refused() {
        return (Verdict::Refused, own.found());
    }
    let real = of_record(case, record);
    if real.is_refused() {
        return (Verdict::Means, format!("the record is refused:\n{}", real.found()));
    }
    match own.shown == real.shown {
        true => (Verdict::Agrees, String::new()),
        false => (Verdict::Means, format!("here:\n{}\nthere:\n{}", own.shown, real.shown)),
    }
}

#[test]
fn every_file_means_what_the_real_program_makes_of_it_but_for_what_the_documentation_says() {
    let cases = corpus::all();
    assert!(cases.len() >= 200, "{} files", cases.len());
    let mut wrong = String::new();
    let mut agree = 0;
    for case in &cases {
        let (found, why) = verdict(case);
        agree += usize::from(found == Verdict::Agrees);
        let said = differences::of(&case.name).map_or(Verdict::Agrees, |one| one.verdict);
        if found != said {
            let _ = writeln!(wrong, "== {}: {found:?}, and {said:?} is said\n{why}", case.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let page = differences::page(cases.len(), agree);
    expect_file!["../../../docs/compose-differences.md"].assert_eq(&page);
}

/// What is said to differ is in the corpus, and said once.
#[test]
fn no_difference_is_said_of_a_file_that_is_not_there() {
    let cases = corpus::all();
    let known: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    let mut seen = BTreeSet::new();
    for name in differences::ALL.iter().flat_map(|one| one.cases) {
        assert!(known.contains(name), "there is no {name}");
        assert!(seen.insert(name), "{name} is said twice");
    }
}

/// Each value of the real program's form is part of what devnet makes of it, or something is said
/// of it: leaving it out or writing another changes what is meant or what is found.
#[test]
fn no_value_is_passed_over_in_silence() {
    let mut silent = BTreeSet::new();
    for case in corpus::all() {
        let Real::Config(record) = &case.real else { continue };
        let whole = of_record(&case, record);
        // What is long is long by more of the same.
        if whole.is_refused() || record.len() > 50_000 {
            continue;
        }
        for change in real::changes(record) {
            let differs = |text: &String| {
                let other = of_record(&case, text);
                other.shown != whole.shown || other.told() != whole.told()
            };
            // A warning that names what it is part of is said of it, too.
            let told = |part: &String| {
                let word = format!("`{part}`");
                whole.findings.iter().any(|one| one.message.contains(&word))
            };
            if !differs(&change.without) && !differs(&change.other) && !change.of.iter().any(told) {
                silent.insert(change.key);
            }
        }
    }
    for (known, _) in differences::SILENT {
        assert!(silent.remove(*known), "{known} is not silent");
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn the_corpus_has_every_key_of_the_specification() {
    let mut missing: BTreeSet<&str> = corpus::KEYS.split_whitespace().collect();
    for case in corpus::all() {
        let texts = case.files.list();
        for text in texts {
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            for word in words {
                missing.remove(word);
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

/// The records are what the real program says, wherever it can be had.
#[test]
fn the_records_are_those_of_the_real_program() {
    let Some(program) = std::env::var_os("DEVNET_COMPOSE") else {
        eprintln!("SKIPPING the comparison with docker compose: DEVNET_COMPOSE is not set");
        return;
    };
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = String::new();
    for case in corpus::all() {
        let said = real::run(program.as_ref(), &case);
        // Why it is wrong is said in words that change from run to run.
        let refused = |real: &Real| matches!(real, Real::Refused(_));
        if said == case.real || (refused(&said) && refused(&case.real)) {
            continue;
        }
        if update {
            case.record(&said);
        } else {
            let _ = writeln!(wrong, "== {}\nrecorded {:?}\nsaid {said:?}", case.name, case.real);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
