//! Colours, and text that is safe on a terminal.
//!
//! Knows ANSI. Refuses to decide whether colours are wanted; meaning never depends on them.

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Escape sequences are written.
    pub colour: bool,
}

impl Style {
    /// No colours.
    pub const PLAIN: Self = Self { colour: false };

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// For what matters most.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// For what comes into being.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// For what goes away or is wrong.
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// For what changes.
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// For what moves.
    pub fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }
}

/// `text` with control characters and direction overrides made visible, line ends and tabs kept.
/// Names, log lines and errors come from nodes and images: they must not drive the terminal.
pub fn printable(text: &str) -> String {
    let hostile = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if hostile(c) { c.escape_unicode().to_string() } else { c.to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_shown_not_sent() {
        assert_eq!(printable("a\x1b]0;x\x07\tb\n"), "a\\u{1b}]0;x\\u{7}\tb\n");
        assert_eq!(printable("\u{202e}"), "\\u{202e}");
        assert_eq!(Style::PLAIN.red("x"), "x");
    }
}
