//! What every process of a unit carries in its environment, so that it is found again whatever
//! became of its parent, its session and the agent that started it.
//!
//! Knows the form of the badge. Refuses to trust one of another data directory: two agents of one
//! name may share a machine.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use devnet_schema::digest::Digest;

use crate::{driver::Owner, random};

/// The variable that holds it: `CLUSTER/NODE/SERVICE-N/PLACE-NONCE`.
pub(super) const VARIABLE: &str = "DEVNET_UNIT";

/// Which start of which unit a process belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Badge {
    /// The instance, as `web-0`.
    pub slug: String,
    /// Differs between any two starts.
    pub nonce: String,
}

/// Gives badges out, and knows its own again.
#[derive(Debug, Clone)]
pub(super) struct Issuer {
    prefix: String,
    place: String,
}

impl Issuer {
    /// The one of a data directory. A directory that was lost and made again at the same path is
    /// the same place: what was started from there is ours.
    pub(super) fn of(owner: &Owner, data_dir: &Path) -> Self {
        let path = fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        // Two hosts that share their process ids may have the same path on different disks.
        let device = fs::metadata(&path).map_or(0, |meta| meta.dev());
        let place = Digest::of_bytes(format!("{}\n{device}", path.display()).as_bytes());
        Self { prefix: format!("{}/{}/", owner.cluster, owner.node), place: place.short().into() }
    }

    /// Tells this data directory from every other.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// What the variable holds for a badge.
    pub(super) fn write(&self, badge: &Badge) -> String {
        format!("{}{}/{}-{}", self.prefix, badge.slug, self.place, badge.nonce)
    }

    /// The badge in an environment as `/proc/PID/environ` has it; none when it is not ours.
    pub(super) fn read(&self, environ: &[u8]) -> Option<Badge> {
        let mut variables = environ.split(|byte| *byte == 0);
        let value = variables
            .find_map(|variable| variable.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"="))?;
        let rest = std::str::from_utf8(value).ok()?.strip_prefix(&self.prefix)?;
        let (slug, start) = rest.split_once('/')?;
        let nonce = start.strip_prefix(&self.place)?.strip_prefix('-')?;
        Some(Badge { slug: slug.to_owned(), nonce: nonce.to_owned() })
    }
}

/// A nonce for one start.
///
/// # Errors
/// When the system has no randomness: without it two starts could not be told apart.
pub(super) fn nonce() -> std::io::Result<String> {
    let mut bytes = [0; 12];
    random::try_fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_is_known_again_by_its_own_place_only() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let owner =
            |node: &str| Owner { cluster: "home".parse().unwrap(), node: node.parse().unwrap() };
        let issuer = Issuer::of(&owner("n1"), here.path());
        let badge = Badge { slug: "web-0".into(), nonce: nonce().unwrap() };
        let environ = format!("A=b\0{VARIABLE}={}\0LANG=C\0", issuer.write(&badge));
        assert_eq!(issuer.read(environ.as_bytes()), Some(badge));
        for other in [
            Issuer::of(&owner("n1"), there.path()),
            Issuer::of(&owner("n2"), here.path()),
            Issuer::of(&owner("n10"), here.path()),
        ] {
            assert_eq!(other.read(environ.as_bytes()), None);
        }
        for odd in ["", "DEVNET_UNIT=", "DEVNET_UNIT=home/n1/web-0", "XDEVNET_UNIT=home/n1/a/b"] {
            assert_eq!(issuer.read(odd.as_bytes()), None);
        }
        assert_ne!(nonce().unwrap(), nonce().unwrap());
    }
}
