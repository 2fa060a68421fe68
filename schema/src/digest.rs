//! Digests: what content is, in a short text that two parties can compare.
//!
//! Knows BLAKE3 over canonical JSON. Refuses to know what the content means.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A content digest, printed as `blake3:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(format!("blake3:{}", blake3::hash(bytes).to_hex()))
    }

    /// The digest of a value's JSON form. Structs keep their field order and maps are `BTreeMap`s,
    /// so the same value has the same digest everywhere.
    ///
    /// # Panics
    /// Never for the types of this crate: they hold no map with keys that are not text.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        // Cannot fail: see above.
        let bytes = serde_json::to_vec(value).expect("schema types serialise to JSON");
        Self::of_bytes(&bytes)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve hexadecimal digits, for people.
    pub fn short(&self) -> &str {
        let hex = self.0.strip_prefix("blake3:").unwrap_or(&self.0);
        hex.get(..12).unwrap_or(hex)
    }
}

impl From<String> for Digest {
    /// Takes a digest that was printed before; comparing is all that is ever done with it.
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
