//! Secrets that the control plane makes: for components that want one and are given none.
//!
//! Knows that a plan counts on the version that a secret will have, and that it is made when the
//! plan is applied: a plan that nobody applies leaves nothing behind. Refuses to make one anew, and
//! to show one.

use devnet_schema::{
    desired::DesiredState, fleet::FleetSnapshot, name::SecretName, plan::Plan, secret::Sensitive,
};

use super::{ControlPlane, adapter::AdapterError};
use crate::{clock, random, secrets::SecretsError};

/// What a made secret consists of: no character that a configuration file, a URL or a shell could
/// read as anything else.
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl ControlPlane {
    /// Counts secrets that would be made as if they were there.
    ///
    /// # Errors
    /// When the secrets cannot be read.
    pub(super) fn promise(
        &self,
        desired: &DesiredState,
        fleet: &mut FleetSnapshot,
    ) -> Result<(), SecretsError> {
        let Some(versions) = &mut fleet.secrets else { return Ok(()) };
        for name in desired.generated.keys() {
            if !versions.contains_key(name.as_str()) {
                versions.insert(name.to_string(), self.secrets.next(name)?);
            }
        }
        Ok(())
    }

    /// Makes the secrets that a plan counts on and that are not there yet.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub(super) fn make_secrets(
        &self,
        desired: &DesiredState,
        plan: &Plan,
    ) -> Result<(), AdapterError> {
        let there = self.secrets.versions()?;
        for (name, length) in &desired.generated {
            let wanted = plan.basis.secrets.contains_key(name.as_str());
            if wanted && !there.contains_key(name.as_str()) {
                self.make_secret(name, *length)?;
            }
        }
        Ok(())
    }

    fn make_secret(&self, name: &SecretName, length: u32) -> Result<(), AdapterError> {
        let value = Sensitive::new(letters(length, &mut random::fill));
        let stored = self.secrets.set(name, &value, clock::wall(), &mut random::fill)?;
        let text = format!("made as version {}: its service is given none", stored.version);
        self.journal.write("secret", &format!("secret.{name}"), &text);
        Ok(())
    }
}

/// So many letters and digits, each as likely as any other.
fn letters(length: u32, random: &mut dyn FnMut(&mut [u8])) -> String {
    let mut out = String::new();
    // 248 is the largest multiple of 62 that a byte holds: what is above would make some likelier.
    while out.len() < length as usize {
        let mut bytes = [0; 64];
        random(&mut bytes);
        let usable = bytes.iter().filter(|byte| **byte < 248);
        let missing = length as usize - out.len();
        out.extend(usable.take(missing).map(|byte| char::from(LETTERS[usize::from(byte % 62)])));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_secret_has_its_length_and_every_letter_alike() {
        let mut next: u8 = 0;
        let mut every = |bytes: &mut [u8]| {
            for byte in bytes {
                *byte = next;
                next = next.wrapping_add(1);
            }
        };
        let text = letters(62 * 4, &mut every);
        for letter in LETTERS {
            let count = text.bytes().filter(|byte| byte == letter).count();
            assert_eq!(count, 4, "{}", char::from(*letter));
        }
        assert_eq!(letters(22, &mut every).len(), 22);
        assert_eq!(letters(0, &mut every), "");
    }
}
