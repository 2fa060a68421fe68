//! Markers: what stands for a secret while a template is rendered.
//!
//! Knows how a marker looks and how to find it again. A value never enters a template: the marker
//! does, and afterwards becomes a reference. It holds letters of both cases, markup, a line end and
//! outer spaces, so that every filter that would have changed the value changes the marker, and a
//! changed marker is an error instead of a wrong value.

use std::sync::Arc;

use devnet_schema::{
    secret::{Part, SecretRef, Text},
    template::RESERVED,
};

const OPEN: char = RESERVED[0];
const CLOSE: char = RESERVED[1];

/// Whether a text holds a character that only markers may hold.
pub(crate) fn is_reserved(text: &str) -> bool {
    text.contains(RESERVED)
}

/// The secrets that markers stand for.
#[derive(Debug, Default)]
pub(crate) struct Markers {
    /// Those that texts of many instances hold.
    shared: Arc<Vec<SecretRef>>,
    secrets: Vec<SecretRef>,
}

impl Markers {
    /// Markers that go on from these, whose own stand for the same in both.
    pub(crate) fn onward(shared: &Arc<Vec<SecretRef>>) -> Self {
        Self { shared: Arc::clone(shared), secrets: Vec::new() }
    }

    /// The secrets so far, for [`Markers::onward`].
    pub(crate) fn into_shared(self) -> Arc<Vec<SecretRef>> {
        let mut all = Arc::unwrap_or_clone(self.shared);
        all.extend(self.secrets);
        Arc::new(all)
    }

    /// The marker of a secret.
    pub(crate) fn mark(&mut self, secret: SecretRef) -> String {
        let own = self.secrets.iter().position(|known| *known == secret).unwrap_or_else(|| {
            self.secrets.push(secret);
            self.secrets.len() - 1
        });
        marker(self.shared.len() + own)
    }

    fn secret(&self, index: usize) -> Option<&SecretRef> {
        match index.checked_sub(self.shared.len()) {
            None => self.shared.get(index),
            Some(own) => self.secrets.get(own),
        }
    }

    /// A rendered text with its markers turned into references; `None` when one was changed.
    pub(crate) fn split(&self, rendered: &str) -> Option<Text> {
        let mut parts = Vec::new();
        let mut rest = rendered;
        while let Some(open) = rest.find(OPEN) {
            let start = open.checked_sub(1)?;
            let from = rest.get(start..)?;
            let digits: String = from.chars().skip(2).take_while(char::is_ascii_digit).collect();
            let index: usize = digits.parse().ok()?;
            let after = from.strip_prefix(&marker(index))?;
            if start > 0 {
                parts.push(Part::Plain(rest[..start].to_owned()));
            }
            parts.push(Part::Secret(self.secret(index)?.clone()));
            rest = after;
        }
        if rest.contains(CLOSE) {
            return None;
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(Part::Plain(rest.to_owned()));
        }
        Some(Text(parts))
    }
}

fn marker(index: usize) -> String {
    format!(" {OPEN}{index} aZ\"<&>'\n{CLOSE} ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_come_back_as_references_and_changed_ones_do_not() {
        let mut markers = Markers::default();
        let secret = |name: &str| SecretRef { name: name.parse().unwrap(), version: 3 };
        let (a, b) = (markers.mark(secret("a")), markers.mark(secret("b")));
        assert_eq!(markers.mark(secret("a")), a);
        let text = markers.split(&format!("x{a}{b} y")).unwrap();
        assert_eq!(text.to_string(), "x(sensitive value a v3)(sensitive value b v3) y");
        assert_eq!(markers.split("").unwrap(), Text::plain(""));
        for changed in [a.to_uppercase(), a.trim().to_owned(), a.replace('"', ""), b[..9].into()] {
            assert_eq!(markers.split(&changed), None, "{changed:?}");
        }
    }
}
