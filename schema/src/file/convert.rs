//! One file in the other form, saying the same.
//!
//! Knows that both forms have one meaning. Refuses to carry comments: they belong to lines, and the
//! other form has none of them.

use super::{
    canonical, decode, fields,
    format::{self, RewriteError},
    kdl,
    limits::Limits,
    load,
    print::print,
    reader, scan,
    tree::{Form, Kind, Source},
    written::ClusterFile,
    yaml,
};
use crate::diagnostic::Diagnostic;

/// A file in another form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// Its text.
    pub text: String,
    /// Whether there were comments, which the text does not have.
    pub comments: bool,
}

/// Reads one file by itself: nothing that it includes or names is looked at, and it need not be a
/// root file.
///
/// # Errors
/// Everything that is wrong with it, sorted by place.
pub fn parse(
    path: &str,
    bytes: Vec<u8>,
    form: Form,
    limits: &Limits,
) -> Result<ClusterFile, Vec<Diagnostic>> {
    let source = scan::within(path, bytes, form, limits).map_err(|error| vec![error])?;
    let tree = match form {
        Form::Kdl => kdl::read(&source, limits).result()?,
        Form::Yaml => yaml::read(&source, limits).result()?,
    };
    if matches!(&tree.kind, Kind::Map(entries) if entries.is_empty()) || tree.is_empty() {
        return Err(vec![load::empty(&source)]);
    }
    let (tree, mut found) = reader::canonical(&source, form, &tree, &fields::FILE);
    let (file, more) = decode::cluster_file(&source, &tree);
    found.extend(more);
    found.sort_by(|a, b| a.at.cmp(&b.at));
    if found.iter().any(Diagnostic::is_error) { Err(found) } else { Ok(file) }
}

/// Whether a file is YAML, whatever it says.
///
/// # Errors
/// Every syntax error, and the first limit that is exceeded.
pub fn is_yaml(path: &str, bytes: Vec<u8>, limits: &Limits) -> Result<(), Vec<Diagnostic>> {
    let source = scan::within(path, bytes, Form::Yaml, limits).map_err(|error| vec![error])?;
    yaml::read(&source, limits).result().map(drop)
}

/// The file `path`, which holds `bytes` in the form `from`, written in the form `to`. What it
/// includes stays included, by the names it has.
///
/// # Errors
/// When the file has errors, or would have in the other form; see also [`RewriteError::Changed`].
pub fn convert(
    path: &str,
    bytes: Vec<u8>,
    from: Form,
    to: Form,
    limits: &Limits,
) -> Result<Converted, RewriteError> {
    let original = Source::new(path, String::from_utf8_lossy(&bytes).into_owned());
    let file = parse(path, bytes, from, limits).map_err(RewriteError::Invalid)?;
    let comments = match from {
        Form::Kdl => format::has_comments(&original),
        Form::Yaml => yaml::has_comments(&original.text),
    };
    let text = print(&file, to);
    // It may be too large for the limits of the other form, which is then what is reported.
    let again =
        parse(path, text.clone().into_bytes(), to, limits).map_err(RewriteError::Invalid)?;
    if canonical::tree(&file) != canonical::tree(&again) {
        return Err(RewriteError::Changed);
    }
    Ok(Converted { text, comments })
}
