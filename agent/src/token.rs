//! The join token: what it looks like and which part of it may be sent where.
//!
//! Knows the text form `dn1.HASH.ID.SECRET`. Refuses to print its secret, and to know servers.

use std::{fmt, str::FromStr};

/// Length of a SHA-256 digest, in bytes.
const HASH_LEN: usize = 32;

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A join token, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// SHA-256 of the SubjectPublicKeyInfo of the CA that the server must be signed by.
    pub ca_hash: [u8; HASH_LEN],
    credential: String,
}

impl JoinToken {
    /// `ID.SECRET`: what is shown to the server once the server has shown its CA.
    pub fn credential(&self) -> &str {
        &self.credential
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(sensitive value)")
    }
}

/// Why a text is no join token. The text itself is never part of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a join token: {0}; make one with `devnet node token` on the control plane and \
     copy all of it, it begins with `dn1.`"
)]
pub struct TokenError(&'static str);

impl FromStr for JoinToken {
    type Err = TokenError;

    /// # Errors
    /// When the text does not have the form of a token.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let rest =
            text.trim().strip_prefix("dn1.").ok_or(TokenError("it does not begin with `dn1.`"))?;
        let (hash, credential) = rest.split_once('.').ok_or(TokenError("it has too few parts"))?;
        let (id, secret) = credential.split_once('.').ok_or(TokenError("it has too few parts"))?;
        let printable = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        if !printable(id) || !printable(secret) {
            return Err(TokenError("its id or its secret is missing or has strange characters"));
        }
        let bytes = from_base32(hash).ok_or(TokenError("its hash is not base32"))?;
        let ca_hash =
            bytes.try_into().map_err(|_| TokenError("its hash does not have 256 bits"))?;
        Ok(Self { ca_hash, credential: credential.to_owned() })
    }
}

/// RFC 4648 base32 in lower case without padding.
pub fn to_base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    let (mut bits, mut count) = (0u32, 0);
    for &byte in bytes {
        bits = bits << 8 | u32::from(byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            out.push(char::from(BASE32[(bits >> count & 31) as usize]));
        }
    }
    if count > 0 {
        out.push(char::from(BASE32[(bits << (5 - count) & 31) as usize]));
    }
    out
}

/// The reverse of [`to_base32`]; `None` for any other character and for bits that are left over.
fn from_base32(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes() {
        let value = BASE32.iter().position(|&b| b == byte)?;
        bits = bits << 5 | u32::try_from(value).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 255) as u8);
        }
        bits &= (1 << count) - 1;
    }
    (bits == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_reads_back_what_it_prints() {
        assert_eq!(to_base32(b"foobar"), "mzxw6ytboi");
        for len in 0..40u8 {
            let bytes: Vec<u8> = (0..len).map(|i| i.wrapping_mul(89) ^ len).collect();
            assert_eq!(from_base32(&to_base32(&bytes)), Some(bytes));
        }
        assert_eq!(from_base32("a1"), None);
        assert_eq!(from_base32("ab"), None, "bits that are left over must be zero");
    }

    #[test]
    fn a_token_is_taken_apart_and_never_printed() {
        let text = format!("dn1.{}.k7.s3cret\n", to_base32(&[9; 32]));
        let token: JoinToken = text.parse().unwrap();
        assert_eq!(token.ca_hash, [9; 32]);
        assert_eq!(token.credential(), "k7.s3cret");
        assert!(!format!("{token:?}").contains("s3cret"));
        let short = format!("dn1.{}.k7.s3cret", to_base32(&[9; 31]));
        for bad in ["", "dn1", "dn1.aa.id.s3cret", "dn2.x.y.s3cret", "dn1.x.s3cret", &short] {
            let error = bad.parse::<JoinToken>().unwrap_err().to_string();
            assert!(error.contains("devnet node token") && !error.contains("s3cret"), "{error}");
        }
    }
}
