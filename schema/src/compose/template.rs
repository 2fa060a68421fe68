//! Values that are templates of the cluster file, on their way through a Compose document.
//!
//! Knows the marks that stand for them. Refuses to look into one: a mark is a single word to
//! whoever splits texts, so what the template gives arrives as it is, wherever it is put.
//!
//! A Compose document itself holds no templates: its own `{{` is text, as Compose says.

use crate::template::is_template;

/// Begins a mark. A private-use character, as those next to it stand for secrets elsewhere.
const OPEN: char = '\u{10DE72}';
/// Ends a mark.
const CLOSE: char = '\u{10DE73}';

/// The templates that marks stand for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Templates(Vec<String>);

/// Whether a text holds a mark, or half of one.
pub(super) fn is_marked(text: &str) -> bool {
    text.contains([OPEN, CLOSE])
}

impl Templates {
    /// The mark of a template.
    pub(super) fn mark(&mut self, template: &str) -> String {
        let known = self.0.iter().position(|one| one == template);
        let at = known.unwrap_or_else(|| {
            self.0.push(template.to_owned());
            self.0.len() - 1
        });
        format!("{OPEN}{at}{CLOSE}")
    }

    /// A text as a template of the cluster file: marks become what they stand for, and everything
    /// else stands for itself. The second value says whether there was a mark.
    pub fn text(&self, text: &str) -> (String, bool) {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut any = false;
        while let Some((before, template, after)) = self.next(rest) {
            literal(&mut out, before, true);
            out.push_str(template);
            rest = after;
            any = true;
        }
        literal(&mut out, rest, false);
        (out, any)
    }

    fn next<'t>(&'t self, text: &'t str) -> Option<(&'t str, &'t str, &'t str)> {
        let (before, rest) = text.split_once(OPEN)?;
        let (number, after) = rest.split_once(CLOSE)?;
        Some((before, self.0.get(number.parse::<usize>().ok()?)?, after))
    }
}

/// A text that stands for itself, in the language of templates. A brace at its end would join one
/// that follows.
fn literal(out: &mut String, text: &str, followed: bool) {
    if is_template(text) || (followed && text.ends_with('{')) {
        out.push_str(&text.replace('{', "{{ \"{\" }}"));
    } else {
        out.push_str(text);
    }
}
