//! Secrecy: a value that was set as a secret is nowhere but where its unit needs it.
//!
//! A canary is looked for as it is and in the forms that programs give to values: escaped, quoted,
//! encoded. Knows texts and trees of files. Refuses to know which places may hold it: the caller
//! does not hand those over.

use std::{fs, path::Path};

use super::Verdict;

/// A value whose escaped forms all differ from it, and all hold its marker in one way or another.
#[derive(Debug, Clone)]
pub struct Canary {
    value: String,
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Canary {
    /// Looks for `value`, of at least 12 bytes, so that nothing holds it by chance.
    ///
    /// # Panics
    /// When it is shorter.
    pub fn new(value: &str) -> Self {
        assert!(value.len() >= 12, "a canary has at least 12 bytes");
        let json = serde_json::to_string(value).unwrap_or_default();
        let mut forms = vec![
            ("as it is", value.as_bytes().to_vec()),
            ("with $ doubled", value.replace('$', "$$").into_bytes()),
            ("in JSON", json.trim_matches('"').as_bytes().to_vec()),
            ("quoted for a shell", value.replace('\'', r"'\''").into_bytes()),
            ("quoted for YAML", value.replace('\'', "''").into_bytes()),
            ("in a URL", percent(value, false)),
            ("in a URL, lower case", percent(value, true)),
            ("in hex", hex(value)),
            ("in upper case", value.to_uppercase().into_bytes()),
        ];
        for (name, alphabet) in [("in base64", STANDARD), ("in base64 for URLs", URL_SAFE)] {
            // Whatever stands before it shifts it by 0, 1 or 2 bytes: each shift has a core that
            // does not depend on its neighbours.
            forms.extend((0..3).map(|shift| (name, base64_core(value, shift, alphabet))));
        }
        forms.dedup_by(|one, other| one.1 == other.1);
        Self { value: value.to_owned(), forms }
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The first form in which `bytes` hold it.
    pub fn found_in(&self, bytes: &[u8]) -> Option<&'static str> {
        let holds = |form: &[u8]| bytes.windows(form.len()).any(|window| window == form);
        self.forms.iter().find(|(_, form)| holds(form)).map(|(name, _)| *name)
    }

    /// None of these texts holds it; each has a name for the message.
    pub fn absent<'a>(&self, texts: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Verdict {
        let found = texts.into_iter().filter_map(|(name, text)| {
            self.found_in(text).map(|form| format!("{name} holds the secret {form}"))
        });
        Verdict::new("secrecy", found.collect())
    }

    /// No file below `root` holds it, nor does its name. What cannot be read is a finding: it was
    /// not looked at. What goes away while it is looked at is not.
    pub fn absent_below(&self, root: &Path) -> Verdict {
        let mut findings = Vec::new();
        self.walk(root, &mut findings);
        Verdict::new("secrecy", findings)
    }

    fn walk(&self, path: &Path, findings: &mut Vec<String>) {
        let name = path.display().to_string();
        if self.found_in(name.as_bytes()).is_some() {
            findings.push(format!("the name {name} holds the secret"));
        }
        let Ok(kind) = fs::symlink_metadata(path) else { return };
        if kind.is_dir() {
            match fs::read_dir(path) {
                Ok(entries) => entries.flatten().for_each(|it| self.walk(&it.path(), findings)),
                Err(error) => findings.push(format!("{name} was not looked into: {error}")),
            }
        } else if kind.is_file() {
            match fs::read(path) {
                Ok(bytes) => {
                    let form = self.found_in(&bytes);
                    findings.extend(form.map(|form| format!("{name} holds the secret {form}")));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => findings.push(format!("{name} was not read: {error}")),
            }
        }
    }
}

fn percent(value: &str, lower: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else if lower {
            out.extend(format!("%{byte:02x}").into_bytes());
        } else {
            out.extend(format!("%{byte:02X}").into_bytes());
        }
    }
    out
}

fn hex(value: &str) -> Vec<u8> {
    value.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The characters of base64 (RFC 4648) that depend on `value` alone when `shift` bytes (0 to 2) of
/// something else stand before it in its group of three.
fn base64_core(value: &str, shift: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let skipped = (3 - shift) % 3;
    let bytes = value.as_bytes();
    let whole = &bytes[skipped..];
    let groups = whole.chunks_exact(3);
    groups
        .flat_map(|group| {
            let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            [18, 12, 6, 0].map(|shift| alphabet[(bits >> shift) as usize & 63])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "c4n4ry pa$$'wörd\"";

    #[test]
    fn every_form_is_found_wherever_it_stands() {
        let canary = Canary::new(VALUE);
        // Made with other programs: printf | base64, jq, python's urllib and shlex.
        for (form, text) in [
            ("plain", "x=c4n4ry pa$$'wörd\"."),
            ("dollars", "x: c4n4ry pa$$$$'wörd\""),
            ("json", r#"{"a":"c4n4ry pa$$'wörd\""}"#),
            ("shell", r#"'c4n4ry pa$$'\''wörd"'"#),
            ("yaml", "'c4n4ry pa$$''wörd\"'"),
            ("url", "?p=c4n4ry%20pa%24%24%27w%C3%B6rd%22"),
            ("url, lower case", "?p=c4n4ry%20pa%24%24%27w%c3%b6rd%22"),
            ("hex", "63346e34727920706124242777c3b6726422"),
            ("base64", "YzRuNHJ5IHBhJCQnd8O2cmQi"),
            ("base64 after one byte", "eGM0bjRyeSBwYSQkJ3fDtnJkIg=="),
            ("base64 after two bytes", "eHhjNG40cnkgcGEkJCd3w7ZyZCI="),
            ("upper case", "C4N4RY PA$$'WÖRD\""),
        ] {
            assert!(canary.found_in(text.as_bytes()).is_some(), "{form}: {text}");
        }
        assert_eq!(canary.found_in(b"c4n4ry (sensitive value)"), None);
    }

    #[test]
    fn a_file_that_holds_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("log"), "nothing").unwrap();
        let canary = Canary::new(VALUE);
        assert!(canary.absent_below(dir.path()).holds());
        fs::create_dir(dir.path().join("deep")).unwrap();
        fs::write(dir.path().join("deep/state.db"), format!("\0\0{VALUE}\0")).unwrap();
        let verdict = canary.absent_below(dir.path());
        assert_eq!(verdict.findings.len(), 1, "{verdict:?}");
        assert!(verdict.findings[0].contains("deep/state.db"), "{verdict:?}");
    }
}
