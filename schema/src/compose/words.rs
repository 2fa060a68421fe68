//! Words: how Compose splits a command that is written as one string.
//!
//! Knows quotes and backslashes as a POSIX shell reads them. Refuses to know variables, globs,
//! pipes and every other thing a shell does: no shell is ever started to find out.

/// Why a string cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// A quote is open at the end.
    #[error("a quote is not closed")]
    Quote,
    /// A backslash is the last character.
    #[error("a backslash stands at the end")]
    Backslash,
}

/// Splits `text` into words by the quoting rules of a POSIX shell (2.2): `'…'` is literal, in
/// `"…"` a backslash escapes `"`, `\`, `$`, `` ` `` and a line end, elsewhere any character.
///
/// # Errors
/// When a quote stays open or a backslash ends the text.
pub fn split(text: &str) -> Result<Vec<String>, WordsError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => single(&mut chars, word.get_or_insert_default())?,
            '"' => double(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next().ok_or(WordsError::Backslash)? {
                '\n' => {}
                escaped => word.get_or_insert_default().push(escaped),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The rest of `'…'`.
fn single(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), WordsError> {
    loop {
        match chars.next().ok_or(WordsError::Quote)? {
            '\'' => return Ok(()),
            other => word.push(other),
        }
    }
}

/// The rest of `"…"`.
fn double(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), WordsError> {
    loop {
        match chars.next().ok_or(WordsError::Quote)? {
            '"' => return Ok(()),
            '\\' => match chars.next().ok_or(WordsError::Quote)? {
                '\n' => {}
                escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_would() {
        let cases: [(&str, &[&str]); 8] = [
            ("redis-server --appendonly yes", &["redis-server", "--appendonly", "yes"]),
            ("  a\t b\n", &["a", "b"]),
            (r#"sh -c "echo \"x\" $HOME""#, &["sh", "-c", "echo \"x\" $HOME"]),
            (r"a'b c'd", &["ab cd"]),
            (r#""" ''"#, &["", ""]),
            (r"a\ b \'", &["a b", "'"]),
            (r#""\n\\""#, &[r"\n\"]),
            ("", &[]),
        ];
        for (text, words) in cases {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
        assert_eq!(split("'a"), Err(WordsError::Quote));
        assert_eq!(split("\"a\\\""), Err(WordsError::Quote));
        assert_eq!(split("a\\"), Err(WordsError::Backslash));
    }
}
