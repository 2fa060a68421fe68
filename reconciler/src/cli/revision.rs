//! Names of revisions as people type them: `HEAD`, or the beginning of a commit's id.
//!
//! Knows the checkout here. Refuses every other name: which commit a branch is depends on who asks.

use super::failure::CommandError;
use crate::source::{LocalGit, Source};

/// The shortest beginning of an id that is taken.
const LEAST: usize = 7;

/// The id, or its beginning, that a word names.
///
/// # Errors
/// When it is neither, or the checkout here cannot be read.
pub(super) fn named(word: &str) -> Result<String, CommandError> {
    if word == "HEAD" {
        let here = std::env::current_dir().map_err(anyhow::Error::from)?;
        let top = here.ancestors().find(|dir| dir.join(".git").exists()).ok_or_else(|| {
            CommandError::usage("HEAD names no revision here: this is no git repository")
        })?;
        let head = LocalGit::open(top, None, "").and_then(|git| git.head());
        return Ok(head.map_err(anyhow::Error::from)?.id);
    }
    let id = word.strip_prefix("files:").unwrap_or(word);
    let hex = id.chars().all(|c| c.is_ascii_hexdigit());
    if hex && id.len() >= LEAST {
        return Ok(word.to_ascii_lowercase());
    }
    Err(CommandError::usage(format!("`{word}` is no revision"))
        .hint("Write HEAD, or the id of a commit, or its first seven digits or more."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_a_commit_or_its_beginning() {
        assert_eq!(named("ABCDEF1").unwrap(), "abcdef1");
        for word in ["main", "abc", "", "HEAD~1", "abcdefg"] {
            let failure = named(word).unwrap_err();
            assert!(failure.error.to_string().contains("is no revision"), "{word}");
        }
    }
}
