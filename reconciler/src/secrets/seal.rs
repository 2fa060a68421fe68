//! Sealing: XChaCha20-Poly1305, a fresh nonce for every write, and the row's own place as
//! associated data.
//!
//! Knows that a row opens only where it was written: under its name and version, in this format.
//! Refuses to know rows.

use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use devnet_schema::{name::SecretName, secret::Sensitive};

use super::SecretsError;

/// Bytes of a nonce: so many that random ones do not meet.
pub(super) const NONCE_BYTES: usize = 24;

/// What stands in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) nonce: [u8; NONCE_BYTES],
    pub(super) bytes: Vec<u8>,
}

/// The cipher with its key.
pub(super) struct Seal(XChaCha20Poly1305);

/// Associated data of the record that tells a right key from a wrong one. No name of a secret makes
/// the same bytes: names hold no space.
const KEY_CHECK: &[u8] = b"devnet secrets format 1: key check";

impl Seal {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(&Key::from(*key)))
    }

    pub(super) fn seal(
        &self,
        name: &SecretName,
        version: u64,
        value: &str,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Sealed, SecretsError> {
        self.encrypt(value.as_bytes(), &place(name, version), random)
    }

    /// The value, `None` when the row is not what was written there.
    pub(super) fn open(
        &self,
        name: &SecretName,
        version: u64,
        row: &Sealed,
    ) -> Option<Sensitive<String>> {
        let bytes = self.decrypt(row, &place(name, version))?;
        String::from_utf8(bytes).ok().map(Sensitive::new)
    }

    /// A record that only this key opens.
    pub(super) fn key_check(
        &self,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Sealed, SecretsError> {
        self.encrypt(b"", KEY_CHECK, random)
    }

    pub(super) fn is_key_of(&self, check: &Sealed) -> bool {
        self.decrypt(check, KEY_CHECK).is_some()
    }

    fn encrypt(
        &self,
        msg: &[u8],
        aad: &[u8],
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Sealed, SecretsError> {
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce);
        let bytes = self
            .0
            .encrypt(&XNonce::from(nonce), Payload { msg, aad })
            .map_err(|_| SecretsError::Sealing)?;
        Ok(Sealed { nonce, bytes })
    }

    fn decrypt(&self, row: &Sealed, aad: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(&XNonce::from(row.nonce), Payload { msg: &row.bytes, aad }).ok()
    }
}

/// Where a value belongs, as bytes that no other place has: names hold no `|`.
fn place(name: &SecretName, version: u64) -> Vec<u8> {
    format!("devnet secrets format 1: value|{name}|{version}").into_bytes()
}
