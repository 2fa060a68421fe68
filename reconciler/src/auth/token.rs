//! Join tokens and API keys as texts.
//!
//! Knows their forms, how they are made from random bytes, and how their secrets are hashed and
//! compared. Refuses to know where hashes are kept and when a token ends.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use devnet_schema::secret::Sensitive;

use super::Fingerprint;

/// Bytes of randomness in a secret: 256 bits, so that a plain hash of it cannot be searched.
const SECRET_BYTES: usize = 32;

/// Bytes of randomness in a public part: enough that two never meet.
const ID_BYTES: usize = 9;

/// Why a text is no token. The text itself is never in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a join token.
    #[error("this is not a join token: it reads `dn1.FINGERPRINT.ID.SECRET`; copy all of it")]
    Join,
    /// Not an API key.
    #[error("this is not an API key: it reads `dnk_ID_SECRET`; copy all of it")]
    Key,
}

/// A token that lets one node join: `dn1.<fingerprint of the CA>.<id>.<secret>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The CA that the control plane must show before it is told anything.
    pub ca: Fingerprint,
    /// The public part.
    pub id: String,
    /// The secret part.
    pub secret: Sensitive<String>,
}

impl JoinToken {
    /// A new token for clusters of this CA.
    pub fn make(ca: Fingerprint, random: &mut dyn FnMut(&mut [u8])) -> Self {
        Self { ca, id: hex_id(random), secret: Sensitive::new(secret(random)) }
    }

    /// Reads a whole token.
    ///
    /// # Errors
    /// When it has another form.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let mut parts = text.trim().split('.');
        let (Some("dn1"), Some(ca), Some(id), Some(secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Join);
        };
        let ca = Fingerprint::parse(ca).ok_or(TokenError::Join)?;
        if !is_id(id) || !is_secret(secret) {
            return Err(TokenError::Join);
        }
        Ok(Self { ca, id: id.to_owned(), secret: Sensitive::new(secret.to_owned()) })
    }

    /// Reads what an agent sends when it joins: the whole token, or `ID.SECRET` of it. Gives the
    /// public and the secret part.
    ///
    /// # Errors
    /// When it has another form.
    pub fn parse_credential(text: &str) -> Result<(String, Sensitive<String>), TokenError> {
        if let Ok(token) = Self::parse(text) {
            return Ok((token.id, token.secret));
        }
        match text.split_once('.') {
            Some((id, secret)) if is_id(id) && is_secret(secret) => {
                Ok((id.to_owned(), Sensitive::new(secret.to_owned())))
            }
            _ => Err(TokenError::Join),
        }
    }

    /// The whole token, for the one answer that shows it.
    pub fn text(&self) -> Sensitive<String> {
        Sensitive::new(format!("dn1.{}.{}.{}", self.ca, self.id, self.secret.expose()))
    }

    /// What is kept of it.
    pub fn hash(&self) -> String {
        hash("join token", self.secret.expose())
    }

    /// Whether `secret` is the one that `hash` was made of.
    pub fn verify(secret: &Sensitive<String>, hash_on_record: &str) -> bool {
        matches(&hash("join token", secret.expose()), hash_on_record)
    }
}

/// A key of a person or a job: `dnk_<id>_<secret>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part.
    pub id: String,
    /// The secret part.
    pub secret: Sensitive<String>,
}

impl ApiKey {
    /// A new key.
    pub fn make(random: &mut dyn FnMut(&mut [u8])) -> Self {
        Self { id: hex_id(random), secret: Sensitive::new(secret(random)) }
    }

    /// Reads a key.
    ///
    /// # Errors
    /// When it has another form.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let (id, secret) = text
            .trim()
            .strip_prefix("dnk_")
            .and_then(|rest| rest.split_once('_'))
            .filter(|(id, secret)| is_id(id) && is_secret(secret))
            .ok_or(TokenError::Key)?;
        Ok(Self { id: id.to_owned(), secret: Sensitive::new(secret.to_owned()) })
    }

    /// The whole key, for the one answer that shows it.
    pub fn text(&self) -> Sensitive<String> {
        Sensitive::new(format!("dnk_{}_{}", self.id, self.secret.expose()))
    }

    /// What is kept of it.
    pub fn hash(&self) -> String {
        hash("API key", self.secret.expose())
    }

    /// Whether this key is the one that `hash` was made of.
    pub fn verify(&self, hash_on_record: &str) -> bool {
        matches(&self.hash(), hash_on_record)
    }
}

/// Whether two hashes are the same, in a time that does not depend on where they differ.
pub fn matches(left: &str, right: &str) -> bool {
    match (blake3::Hash::from_hex(left), blake3::Hash::from_hex(right)) {
        // `blake3::Hash` compares in constant time.
        (Ok(left), Ok(right)) => left == right,
        _ => false,
    }
}

/// A fast hash is enough: the secrets are 256 random bits, not passwords. The purpose keeps a hash
/// of one kind from standing for another.
pub(super) fn hash(purpose: &str, secret: &str) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("devnet 2026 credential hash");
    hasher.update(purpose.as_bytes()).update(b"\0").update(secret.as_bytes());
    hasher.finalize().to_hex().to_string()
}

pub(super) fn secret(random: &mut dyn FnMut(&mut [u8])) -> String {
    let mut bytes = [0; SECRET_BYTES];
    random(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn hex_id(random: &mut dyn FnMut(&mut [u8])) -> String {
    let mut bytes = [0; ID_BYTES];
    random(&mut bytes);
    bytes.iter().fold(String::new(), |mut text, byte| {
        use fmt::Write;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn is_id(text: &str) -> bool {
    text.len() == 2 * ID_BYTES
        && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

pub(super) fn is_secret(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == SECRET_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that count up, so that no two calls give the same.
    fn counting() -> impl FnMut(&mut [u8]) {
        let mut next = 0_u8;
        move |bytes| {
            for byte in bytes {
                next = next.wrapping_add(1);
                *byte = next;
            }
        }
    }

    #[test]
    fn a_join_token_reads_back_and_is_checked_by_its_hash() {
        let mut random = counting();
        let ca = Fingerprint::of_spki(b"some key");
        let token = JoinToken::make(ca, &mut random);
        let text = token.text();
        assert_eq!(JoinToken::parse(text.expose()).unwrap(), token);
        assert_eq!(JoinToken::parse(&format!("  {}\n", text.expose())).unwrap(), token);
        let short = format!("{}.{}", token.id, token.secret.expose());
        for sent in [text.expose(), &short] {
            let (id, secret) = JoinToken::parse_credential(sent).unwrap();
            assert_eq!(id, token.id);
            assert!(JoinToken::verify(&secret, &token.hash()));
        }
        let other = JoinToken::make(ca, &mut random);
        assert!(!JoinToken::verify(&other.secret, &token.hash()));
        assert!(!JoinToken::verify(&token.secret, ""));
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_repeated() {
        let token = JoinToken::make(Fingerprint::of_spki(b"k"), &mut counting());
        let good = token.text().expose().clone();
        let cut = &good[..good.len() - 1];
        let longer = format!("{good}.x");
        let upper = good.to_uppercase();
        let other = good.replacen("dn1", "dn2", 1);
        for bad in ["", "dn1", "dn1...", cut, &longer, &upper, &other] {
            let error = JoinToken::parse(bad).unwrap_err();
            assert!(!error.to_string().contains(token.secret.expose()));
        }
        for bad in ["", ".", "id.secret", "dnk_x_y"] {
            assert_eq!(JoinToken::parse_credential(bad), Err(TokenError::Join));
        }
    }

    #[test]
    fn an_api_key_reads_back_even_with_underscores_in_its_secret() {
        let key = ApiKey::make(&mut |bytes| bytes.fill(0xff));
        assert!(key.secret.expose().contains('_'));
        assert_eq!(ApiKey::parse(key.text().expose()).unwrap(), key);
        assert!(key.verify(&key.hash()));
        assert!(!ApiKey::make(&mut counting()).verify(&key.hash()));
        assert_eq!(ApiKey::parse("dnk_"), Err(TokenError::Key));
        assert_eq!(ApiKey::parse(&key.text().expose()[4..]), Err(TokenError::Key));
    }

    #[test]
    fn hashes_of_both_kinds_differ_and_nothing_prints_a_secret() {
        let secret = Sensitive::new("same".to_owned());
        let join =
            JoinToken { ca: Fingerprint::of_spki(b"k"), id: "i".into(), secret: secret.clone() };
        let key = ApiKey { id: "i".into(), secret };
        assert_ne!(join.hash(), key.hash());
        assert!(!format!("{join:?} {key:?}").contains("same"));
    }
}
