//! Bytes to text: sizes and characters that are refused before a parser sees a file.
//!
//! Knows limits and characters. Refuses to know syntax.

use super::{
    limits::Limits,
    tree::{Form, Source},
};
use crate::diagnostic::Diagnostic;

/// Turns bytes into a source, or says why they are no text.
///
/// # Errors
/// When there are more than the usual limit, or something in them is no text.
pub fn text(file: &str, bytes: Vec<u8>, form: Form) -> Result<Source, Diagnostic> {
    within(file, bytes, form, &Limits::default())
}

/// The same within other limits.
pub(crate) fn within(
    file: &str,
    bytes: Vec<u8>,
    form: Form,
    limits: &Limits,
) -> Result<Source, Diagnostic> {
    let (source, found) = legible(file, bytes, form, limits)?;
    match found.into_iter().next() {
        None => Ok(source),
        Some(first) => Err(first),
    }
}

/// The same, and each of the characters that no file may hold, with another one in its place: what
/// stands beside them can be read all the same.
///
/// # Errors
/// When there are too many bytes, or they are no text.
pub(crate) fn legible(
    file: &str,
    bytes: Vec<u8>,
    form: Form,
    limits: &Limits,
) -> Result<(Source, Vec<Diagnostic>), Diagnostic> {
    let source = readable(file, bytes, form, limits)?;
    Ok(masked(&source).unwrap_or((source, Vec::new())))
}

/// Turns bytes into a source, whatever characters it has.
///
/// # Errors
/// When there are too many bytes, or they are no text.
pub(crate) fn readable(
    file: &str,
    bytes: Vec<u8>,
    form: Form,
    limits: &Limits,
) -> Result<Source, Diagnostic> {
    let limit = match form {
        Form::Kdl => limits.kdl_file,
        Form::Yaml => limits.yaml_file,
    };
    if bytes.len() > limit {
        let source = Source::new(file, "");
        let message = format!("the file has {} bytes; {} are allowed", bytes.len(), limit);
        return Err(Diagnostic::error("DN-E0101", Some(source.at(&(0..0))), message)
            .help("split it and name the parts with `include`"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let source = Source::new(file, text);
        Diagnostic::error("DN-E0102", Some(source.at(&(valid..valid))), "the file is not UTF-8")
            .help("save it with the encoding UTF-8")
    })?;
    Ok(Source::new(file, text))
}

/// The characters of a source that no file may hold, with another one in the place of each; nothing
/// when there is none.
pub(crate) fn masked(source: &Source) -> Option<(Source, Vec<Diagnostic>)> {
    let all = source.text.char_indices();
    let bad: Vec<(usize, char)> =
        all.filter(|(at, c)| forbidden(*c) && (*at > 0 || *c != BOM)).collect();
    if bad.is_empty() {
        return None;
    }
    let told = bad.iter().take(MOST).map(|(at, c)| {
        let at = source.at(&(*at..at + c.len_utf8()));
        let message = format!("the character U+{:04X} is not allowed in a file", u32::from(*c));
        Diagnostic::error("DN-E0103", Some(at), message)
            .help("remove it; inside a quoted text it can be written as an escape")
    });
    let told: Vec<Diagnostic> = told.collect();
    let mut text = source.text.clone();
    for (at, c) in bad.iter().rev() {
        let end = at + c.len_utf8();
        text.replace_range(*at..end, &"_".repeat(end - at));
    }
    Some((Source::new(source.file.clone(), text), told))
}

/// So many characters of a file are told.
const MOST: usize = 20;

const BOM: char = '\u{feff}';

/// Characters that no file may hold: controls, other line ends than CR and LF, and those that
/// change the direction of text, so that what people review is what is read.
pub(crate) fn forbidden(c: char) -> bool {
    matches!(c, '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | BOM)
}
