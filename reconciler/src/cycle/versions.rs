//! Versions of secrets that what runs refers to.
//!
//! Knows that a version is one value for ever, also after an older copy of the secrets' database
//! was put back. Refuses to know values.

use std::collections::BTreeMap;

use devnet_schema::{name::SecretName, secret::SecretRef};

use super::ControlPlane;

impl ControlPlane {
    /// Sees that no secret that is set from now on gets a version that something was told to use.
    /// Where the secrets are older than the assignments, the newest value is gone, and it is said.
    ///
    /// # Errors
    /// When records or secrets cannot be read.
    pub fn keep_versions(&self) -> anyhow::Result<()> {
        let mut in_use: BTreeMap<SecretName, u64> = BTreeMap::new();
        for SecretRef { name, version } in
            self.store.assignments()?.iter().flat_map(|assigned| assigned.spec.secrets())
        {
            let highest = in_use.entry(name).or_default();
            *highest = version.max(*highest);
        }
        for name in self.secrets.taken(&in_use)? {
            let version = in_use.get(&name).copied().unwrap_or_default();
            let text = format!(
                "version {version} of this secret is in use and not among the secrets: they are \
                 older than what runs; set it again with `devnet secret set {name}`"
            );
            self.journal.write("secret", name.as_str(), &text);
        }
        Ok(())
    }
}
