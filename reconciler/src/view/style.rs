//! Colours.
//!
//! Knows ANSI. Refuses to decide whether colours are wanted; meaning never depends on them.

pub use devnet_schema::diagnostic::printable;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        assert_eq!(Style { colour: true }.red("x"), "\x1b[31mx\x1b[0m");
        assert_eq!(Style::PLAIN.red("x"), "x");
    }
}
