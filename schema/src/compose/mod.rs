//! The Compose model in one normal form: short and long syntax become the same typed structs.
//!
//! Knows the part of the Compose specification that devnet runs, and why the rest is refused.
//! Refuses to know templates, clusters and secrets; it reads no `$` either: whoever lets people
//! write Compose files with interpolation has to deal with it on the tree, before reading.

mod health;
mod model;
mod project;
mod reader;
mod refused;
mod service;
mod shared;
mod unit;
mod words;

use std::collections::BTreeSet;

pub use model::{Condition, Dependency, File, Healthcheck, Port, Project, Service, Shares, Volume};
pub use unit::{period, size};
pub use words::{WordsError, split};

use crate::{
    diagnostic::Diagnostic,
    file::tree::{Node, Source},
};

/// Reads a Compose document that is already a tree.
///
/// `templated` holds the start of every scalar that a template made. Such a scalar is a value: it
/// is taken whole and never split into parts, because what a value holds must not decide how it is
/// read. Where Compose has a short form that is split, the long form has to be used.
///
/// Everything wrong is reported at once; the project holds what could be read.
pub fn read(
    tree: &Node,
    source: &Source,
    templated: &BTreeSet<usize>,
) -> (Project, Vec<Diagnostic>) {
    let mut reader = reader::Reader::new(source, templated);
    let project = project::read(&mut reader, tree);
    (project, reader.into_found())
}

#[cfg(test)]
mod tests;
