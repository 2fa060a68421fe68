//! Who this node is: its name, its cluster, its key and certificate, and where they are kept.
//!
//! Knows the data directory's identity files. Refuses to know how they came to be trusted.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, Result, anyhow};
use devnet_schema::name::{ClusterName, NodeName};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde::{Deserialize, Serialize};

use crate::{address::ServerAddress, trust, validity::Validity};

/// What is known of this node, beside its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The control plane.
    pub server: ServerAddress,
    /// The cluster this node belongs to; units of other clusters are never touched.
    pub cluster: ClusterName,
    /// What this node is called.
    pub node: NodeName,
    /// The id it was given when it joined.
    pub id: String,
    /// The address others reach it by, where it was given by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
}

/// A node's identity, as stored.
#[derive(Clone)]
pub struct Identity {
    /// Everything that is not secret.
    pub profile: Profile,
    /// The CA's certificate, PEM.
    pub ca: String,
    /// Private key, then certificate chain, PEM. One file, so that they change together.
    pub pem: String,
}

impl Identity {
    /// When the certificate holds.
    ///
    /// # Errors
    /// When the stored certificate cannot be read.
    pub fn validity(&self) -> Result<Validity> {
        let chain = trust::certificates(&self.pem).context("reading this node's certificate")?;
        trust::validity(&chain[0])
    }
}

const PROFILE: &str = "identity.json";
const PEM: &str = "identity.pem";
const CA: &str = "ca.pem";

/// Whether this data directory belongs to a node that joined.
pub fn exists(data_dir: &Path) -> bool {
    data_dir.join(PROFILE).exists()
}

/// Reads the stored identity.
///
/// # Errors
/// When the node has not joined, or a file cannot be read.
pub fn load(data_dir: &Path) -> Result<Identity> {
    let damaged = |name: &str, what: &str| {
        anyhow!(
            "{} is damaged: {what}. Put it back from a backup, or join again with `devnet-agent \
             join --replace --server https://HOST:PORT --name NODE --token-file FILE` and a token \
             made by `devnet node token --replace`; what runs here goes on and is found again",
            data_dir.join(name).display()
        )
    };
    let read = |name: &str| {
        let path = data_dir.join(name);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(name, "it is not there"));
            }
            other => other.with_context(|| format!("reading {}", path.display()))?,
        };
        String::from_utf8(bytes).map_err(|_| damaged(name, "it is no text"))
    };
    if !exists(data_dir) {
        return Err(anyhow!(
            "this node has not joined a cluster ({} is not there); run `devnet-agent join \
             --server https://HOST:PORT --token-file FILE` first",
            data_dir.join(PROFILE).display()
        ));
    }
    let profile = serde_json::from_str(&read(PROFILE)?).map_err(|error| {
        tracing::debug!(%error, "the profile");
        damaged(PROFILE, "it does not say which node of which cluster this is")
    })?;
    let (ca, pem) = (read(CA)?, read(PEM)?);
    let identity = Identity { profile, ca, pem };
    // Whatever is wrong with it is wrong at every dial: better to end now than to dial for ever.
    let usable = |what: Result<()>| match what {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(error = format!("{error:#}"), "the identity");
            false
        }
    };
    if !usable(trust::is_authority(&identity.ca)) {
        return Err(damaged(CA, "it does not hold the certificate of a certificate authority"));
    }
    if !usable(identity.validity().map(drop)) {
        return Err(damaged(PEM, "it does not hold this node's certificate"));
    }
    if !usable(trust::session_config(&identity.ca, &identity.pem).map(drop)) {
        return Err(damaged(PEM, "it does not hold the private key of its certificate"));
    }
    Ok(identity)
}

/// Stores an identity. The profile is written last: it says that the others are there.
///
/// # Errors
/// When the directory cannot be written.
pub fn save(data_dir: &Path, identity: &Identity) -> Result<()> {
    create_private_dir(data_dir)?;
    let profile = serde_json::to_vec_pretty(&identity.profile).context("writing the profile")?;
    write_atomic(&data_dir.join(PEM), identity.pem.as_bytes(), 0o600)?;
    write_atomic(&data_dir.join(CA), identity.ca.as_bytes(), 0o644)?;
    write_atomic(&data_dir.join(PROFILE), &profile, 0o644)
}

/// Creates a directory, and those above it, for this user only.
///
/// # Errors
/// When it cannot be created.
pub fn create_private_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("creating the directory {}", path.display()))?;
    // One that was there already may be open to others.
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("closing {} to other users", path.display()))
}

/// How far the replacement of a file is; see [`write_atomic_watched`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// Nothing was done yet.
    Begin,
    /// The new content was written beside the old file.
    Written,
    /// It is on the disk.
    Synced,
    /// It has the file's name.
    Renamed,
    /// The name is on the disk, too: it is done.
    Done,
}

/// Is told how far the replacement of a file is. An error ends it there, as the disk's own would.
pub type Watcher = dyn Fn(Point) -> io::Result<()> + Send + Sync;

/// Replaces a file so that a reader, or a machine that loses power, sees the old content or the new
/// one and never a part.
///
/// # Errors
/// When the directory cannot be written.
pub fn write_atomic(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    write_atomic_watched(path, content, mode, &|_| Ok(()))
}

/// As [`write_atomic`], and `watcher` is told of each point, so that a test can stop at any.
///
/// # Errors
/// As there, and when the watcher says so.
pub fn write_atomic_watched(
    path: &Path,
    content: &[u8],
    mode: u32,
    watcher: &Watcher,
) -> Result<()> {
    let write = || -> io::Result<()> {
        watcher(Point::Begin)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let temporary = path.with_file_name(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(content)?;
        watcher(Point::Written)?;
        file.sync_all()?;
        watcher(Point::Synced)?;
        fs::rename(&temporary, path)?;
        watcher(Point::Renamed)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        watcher(Point::Done)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

/// A fresh key and the request to sign it, both PEM.
///
/// # Errors
/// When no random numbers can be had.
pub fn request(node: &NodeName) -> Result<(String, String)> {
    let key = KeyPair::generate().context("making a key for this node")?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, node.as_str());
    let csr = params
        .serialize_request(&key)
        .and_then(|request| request.pem())
        .context("making a certificate request")?;
    Ok((key.serialize_pem(), csr))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that has joined.
    fn joined(dir: &Path) -> Identity {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let (key, csr) = request(&"n1".parse().unwrap()).unwrap();
        let csr = rcgen::CertificateSigningRequestParams::from_pem(&csr).unwrap();
        let certificate = csr.signed_by(&rcgen::Issuer::new(ca, &ca_key)).unwrap().pem();
        let profile = Profile {
            server: "https://control.lab:7443".parse().unwrap(),
            cluster: "home".parse().unwrap(),
            node: "n1".parse().unwrap(),
            id: "1".to_owned(),
            ip: None,
        };
        let identity = Identity { profile, ca: ca_pem, pem: format!("{key}{certificate}") };
        save(dir, &identity).unwrap();
        identity
    }

    #[test]
    fn a_damaged_file_is_named_with_the_remedy_and_without_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let identity = joined(dir.path());
        assert_eq!(load(dir.path()).unwrap().profile, identity.profile);
        let other = tempfile::tempdir().unwrap();
        let foreign = joined(other.path()).pem;
        let key = &identity.pem[..identity.pem.find("-----BEGIN CERT").unwrap()];
        let leaf = &foreign[foreign.find("-----BEGIN CERT").unwrap()..];
        let mixed = format!("{key}{leaf}");
        let flipped = identity.ca.replacen('M', "~", 1);
        for (name, content, text) in [
            (PROFILE, &b"{\"server\": \"https://"[..], "which node of which cluster"),
            (PROFILE, b"", "which node of which cluster"),
            (CA, b"", "certificate authority"),
            (CA, &identity.ca.as_bytes()[..200], "certificate authority"),
            (CA, flipped.as_bytes(), "certificate authority"),
            (CA, &[0xff; 300], "no text"),
            (PEM, b"", "this node's certificate"),
            (PEM, &identity.pem.as_bytes()[..identity.pem.len() / 2], "this node's certificate"),
            (PEM, key.as_bytes(), "this node's certificate"),
            (PEM, leaf.as_bytes(), "private key"),
            (PEM, mixed.as_bytes(), "private key"),
        ] {
            let path = dir.path().join(name);
            let kept = fs::read(&path).unwrap();
            fs::write(&path, content).unwrap();
            let error = format!("{:#}", load(dir.path()).err().unwrap());
            assert!(error.starts_with(&format!("{} is damaged: ", path.display())), "{error}");
            assert!(error.contains(text) && error.contains("join --replace"), "{error}");
            assert!(!error.contains('['), "no list of bytes: {error}");
            fs::write(&path, kept).unwrap();
        }
        for name in [CA, PEM] {
            let path = dir.path().join(name);
            let kept = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            let error = load(dir.path()).err().unwrap().to_string();
            assert!(error.contains("it is not there"), "{error}");
            fs::write(&path, kept).unwrap();
        }
    }

    #[test]
    fn a_data_directory_that_was_open_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (old, new) = (dir.path().join("old"), dir.path().join("a/new"));
        fs::create_dir(&old).unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
        for path in [&old, &new] {
            create_private_dir(path).unwrap();
            assert_eq!(mode(path), 0o700, "{}", path.display());
        }
    }
}
