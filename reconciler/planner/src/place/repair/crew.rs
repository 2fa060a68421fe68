//! Whom a new node is made for, and what their conditions name.
//!
//! Knows the first answer to each condition. Refuses to know sizes.
//!
//! A node for `llm` that requires `tag=gpu` is given that tag.

use std::collections::BTreeSet;

use crate::place::{
    ix::ServiceIx,
    model::index::IndexedProblem,
    problem::{Key, ServiceInput},
};

/// Whom a node is made for, and how many of each.
pub(crate) type Crew = [(ServiceIx, u32)];

/// The first answer to every question about this.
fn all(input: &ServiceInput, key: Key) -> impl Iterator<Item = &String> {
    let lines = input.require.iter().filter(move |line| line.key == key);
    lines.filter_map(|line| line.any_of.first())
}

pub(crate) fn first(input: &ServiceInput, key: Key) -> Option<&String> {
    all(input, key).next()
}

pub(crate) fn all_of<'a>(
    indexed: &IndexedProblem<'a>,
    crew: &Crew,
    key: Key,
) -> impl Iterator<Item = &'a String> {
    let inputs = crew.iter().map(|&(other, _)| indexed.services[other].input);
    inputs.flat_map(move |input| all(input, key))
}

pub(crate) fn first_of<'a>(
    indexed: &IndexedProblem<'a>,
    crew: &Crew,
    key: Key,
) -> Option<&'a String> {
    all_of(indexed, crew, key).next()
}

pub(crate) fn tags<'a>(indexed: &IndexedProblem<'a>, crew: &Crew) -> BTreeSet<&'a String> {
    all_of(indexed, crew, Key::Tag).collect()
}
