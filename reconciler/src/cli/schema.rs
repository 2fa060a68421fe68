//! `devnet schema`: the JSON Schema of the YAML form.
//!
//! Knows its output. Refuses to know fields: the language's tables do.

use devnet_schema::file::json_schema;

use super::terminal::Terminal;

/// `devnet schema`.
pub(super) fn run(terminal: &Terminal) -> u8 {
    terminal.out(&format!("{:#}\n", json_schema()));
    0
}
