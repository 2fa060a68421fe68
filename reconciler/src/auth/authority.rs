//! The cluster's certificate authority: made at first start, kept in a directory of its own.
//!
//! Knows certificates: its own, the server's and the nodes'. Refuses to know who may have one, and
//! refuses to make a second CA where a part of the first is left.

use std::{
    fmt, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use devnet_schema::{
    instance::Generation,
    name::InstanceId,
    secret::Sensitive,
    wire::{OrderMark, Receipt},
};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber, date_time_ymd,
};
use ring::digest;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{NodeIdentity, dates::Refusals, key_file};

/// How long the CA is valid.
pub const CA_LIFE: SignedDuration = SignedDuration::from_hours(24 * 3652);

/// How long the server's certificate is valid; it is made anew at half of it.
pub const SERVER_LIFE: SignedDuration = SignedDuration::from_hours(24 * 90);

/// How long a node's certificate is valid; agents ask for a new one at half of it.
pub const NODE_LIFE: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Certificates are valid from before they were made: clocks differ.
const BACK_DATED: SignedDuration = SignedDuration::from_hours(1);

/// The longest certificate request that is read, in bytes.
const MAX_REQUEST: usize = 16 << 10;

/// Why the authority could not do something.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file could not be read or written.
    #[error("{act} {}", path.display())]
    File {
        /// `reading`, `writing`.
        act: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate is there and its key is not: a new CA would lock out every node.
    #[error(
        "the CA's certificate {} is there and its key ca.key is not: put it back from a backup; \
         or move the directory away to start with a new CA, which every node must then join again",
        .0.display()
    )]
    KeyGone(PathBuf),
    /// A file is there and holds something else than it should.
    #[error(
        "{} does not hold {what}: put it back from a backup", path.display()
    )]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The CA does not hold by this machine's clock: no agent would believe it, and it no agent.
    #[error(
        "the certificate authority {} is valid from {from} to {until}, and this machine's clock \
         says {now}: set the clock (NTP keeps it right); only if it is right, the authority's time \
         is over: then move its directory away, start again, and let every node join again",
        path.display()
    )]
    OutOfDate {
        /// Its certificate.
        path: PathBuf,
        /// Valid from.
        from: Timestamp,
        /// Valid until.
        until: Timestamp,
        /// What the clock says.
        now: Timestamp,
    },
    /// A name that no certificate can be made for.
    #[error("`{0}` is neither a DNS name nor an IP address, so no certificate can name it")]
    Name(String),
    /// A certificate request that is none, or whose key is not of a kind that is taken.
    #[error("the certificate request cannot be signed: {0}")]
    Request(&'static str),
    /// The cryptography failed.
    #[error("{act}")]
    Crypto {
        /// What was being done.
        act: &'static str,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
}

/// SHA-256 over the DER form of a CA's SubjectPublicKeyInfo, printed as 52 characters of lower-case
/// base32 (RFC 4648) without padding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl Fingerprint {
    /// The fingerprint of a public key.
    pub fn of_spki(spki: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, spki).as_ref());
        Self(bytes)
    }

    /// Reads the printed form; `None` when it is of another.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut bytes, mut filled) = ([0; 32], 0);
        let (mut bits, mut held) = (0_u32, 0);
        for letter in text.bytes() {
            let value = BASE32.iter().position(|&known| known == letter)?;
            bits = bits << 5 | value as u32;
            held += 5;
            if held >= 8 {
                held -= 8;
                *bytes.get_mut(filled)? = (bits >> held) as u8;
                bits &= (1 << held) - 1;
                filled += 1;
            }
        }
        // 52 letters are 260 bits: the last four must be zero, or two texts would mean the same.
        (text.len() == 52 && filled == 32 && bits == 0).then_some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bit =
            |at: usize| self.0.get(at / 8).map_or(0, |byte| usize::from(byte >> (7 - at % 8) & 1));
        for start in (0..260).step_by(5) {
            let value = (start..start + 5).fold(0, |value, at| value << 1 | bit(at));
            write!(f, "{}", char::from(BASE32[value]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the listener shows.
#[derive(Debug, Clone)]
pub struct ServerIdentity {
    /// The server's certificate and the CA's, PEM.
    pub chain_pem: String,
    /// The private key, PEM.
    pub key_pem: Sensitive<String>,
    /// When it ends.
    pub not_after: Timestamp,
    /// When to ask for a new one.
    pub renew_at: Timestamp,
}

/// A certificate for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNode {
    /// The node's certificate and the CA's, PEM.
    pub chain_pem: String,
    /// When it ends.
    pub not_after: Timestamp,
}

/// The authority. Its key leaves it only as signatures.
pub struct Authority {
    directory: PathBuf,
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
    not_after: Timestamp,
    refusals: Arc<Refusals>,
}

impl Authority {
    /// Opens the authority in `directory` (`ca.pem`, `ca.key`), or makes both at `now` when neither
    /// is there. `random` gives serial numbers.
    ///
    /// # Errors
    /// When a file cannot be read or written, is readable to others, or does not fit the other.
    pub fn open(
        directory: &Path,
        now: Timestamp,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Self, AuthorityError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(file("making", directory))?;
        let (key_path, pem_path) = (directory.join("ca.key"), directory.join("ca.pem"));
        let pem = key_file::read(&pem_path).map_err(file("reading", &pem_path))?;
        let key = match key_file::read_private(&key_path).map_err(file("reading", &key_path))? {
            Some(text) => KeyPair::from_pem(&text)
                .map_err(|_| unreadable(&key_path, "the CA's private key"))?,
            None if pem.is_some() => return Err(AuthorityError::KeyGone(pem_path)),
            None => new_key(&key_path)?,
        };
        // A key without a certificate is what a crash at the first start leaves: the certificate
        // is made again, and its fingerprint is that of the key.
        let pem = match pem {
            Some(pem) => pem,
            None => new_ca(&key, &pem_path, now, random)?,
        };
        let what = "the certificate that belongs to ca.key";
        let wrong = || unreadable(&pem_path, what);
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong())?;
        let facts = Facts::of(&certificate).ok_or_else(wrong)?;
        if facts.spki != key.subject_public_key_info() {
            return Err(wrong());
        }
        let Facts { not_before: from, not_after: until, .. } = facts;
        if now < from || now > until {
            return Err(AuthorityError::OutOfDate { path: pem_path, from, until, now });
        }
        let directory = directory.to_owned();
        let refusals = Arc::default();
        Ok(Self { directory, certificate, pem, key, not_after: until, refusals })
    }

    /// The CA's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.pem
    }

    /// The CA's certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Nodes whose certificates did not hold by this machine's clock.
    pub fn refusals(&self) -> &Arc<Refusals> {
        &self.refusals
    }

    /// What join tokens carry of it.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_spki(&self.key.subject_public_key_info())
    }

    /// The server's certificate for these DNS names and IP addresses: the one on disk, or a new one
    /// where there is none, it names others, half its life is over, or it does not fit the CA.
    ///
    /// # Errors
    /// When a name is neither, or a file cannot be read or written.
    pub fn server_identity(
        &self,
        names: &[String],
        now: Timestamp,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<ServerIdentity, AuthorityError> {
        let names = subject_names(names)?;
        if let Some(kept) = self.kept_server(&names, now)? {
            return Ok(kept);
        }
        self.new_server(names, now, random)
    }

    fn server_paths(&self) -> (PathBuf, PathBuf) {
        (self.directory.join("server.pem"), self.directory.join("server.key"))
    }

    /// The identity on disk, when it is still as wanted.
    fn kept_server(
        &self,
        names: &[SanType],
        now: Timestamp,
    ) -> Result<Option<ServerIdentity>, AuthorityError> {
        let (pem_path, key_path) = self.server_paths();
        let chain = key_file::read(&pem_path).map_err(file("reading", &pem_path))?;
        let key = key_file::read_private(&key_path).map_err(file("reading", &key_path))?;
        let (Some(chain_pem), Some(key_pem)) = (chain, key) else {
            return Ok(None);
        };
        let Ok(key) = KeyPair::from_pem(&key_pem) else {
            return Ok(None);
        };
        let Ok(leaf) = CertificateDer::from_pem_slice(chain_pem.as_bytes()) else {
            return Ok(None);
        };
        let Some(facts) = Facts::of(&leaf) else {
            return Ok(None);
        };
        let fits = facts.spki == key.subject_public_key_info()
            && facts.names == *names
            && chain_pem.ends_with(&self.pem)
            && now >= facts.not_before
            && now < facts.half_life();
        Ok(fits.then(|| ServerIdentity {
            chain_pem,
            key_pem: Sensitive::new(key_pem),
            not_after: facts.not_after,
            renew_at: facts.half_life(),
        }))
    }

    fn new_server(
        &self,
        names: Vec<SanType>,
        now: Timestamp,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<ServerIdentity, AuthorityError> {
        let act = "making the server's certificate";
        let key = KeyPair::generate().map_err(crypto(act))?;
        let (mut params, not_after) = self.leaf(SERVER_LIFE, now, random);
        params.subject_alt_names = names;
        params.distinguished_name = common_name("devnet control plane");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let signed = params.signed_by(&key, &self.issuer()?).map_err(crypto(act))?;
        let chain_pem = format!("{}{}", signed.pem(), self.pem);
        let key_pem = key.serialize_pem();
        let (pem_path, key_path) = self.server_paths();
        // The certificate of the old key would not fit the new one: without it, a crash between
        // the two leads back here.
        key_file::replace(&key_path, &key_pem, 0o600).map_err(file("writing", &key_path))?;
        key_file::replace(&pem_path, &chain_pem, 0o644).map_err(file("writing", &pem_path))?;
        let facts = Facts::of(signed.der()).ok_or(unreadable(&pem_path, "a certificate"))?;
        Ok(ServerIdentity {
            chain_pem,
            key_pem: Sensitive::new(key_pem),
            not_after,
            renew_at: facts.half_life(),
        })
    }

    /// A certificate for the key in `request` (PKCS#10, PEM). Whatever else the request asks for is
    /// ignored: the certificate names `node` and is good for a client only.
    ///
    /// # Errors
    /// When the request cannot be read, was not signed by its own key, or the key is not ECDSA
    /// P-256, ECDSA P-384 or Ed25519.
    pub fn sign_node(
        &self,
        request: &str,
        node: &NodeIdentity,
        now: Timestamp,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<SignedNode, AuthorityError> {
        if !node.is_valid() {
            return Err(AuthorityError::Request("the node's id is not one of ours"));
        }
        let mut request = read_request(request)?;
        let (mut params, not_after) = self.leaf(NODE_LIFE, now, random);
        params.distinguished_name = common_name(node.name.as_str());
        let uri = node.uri();
        params.subject_alt_names =
            vec![SanType::URI(uri.clone().try_into().map_err(|_| AuthorityError::Name(uri))?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        request.params = params;
        let signed =
            request.signed_by(&self.issuer()?).map_err(crypto("signing a node's certificate"))?;
        Ok(SignedNode { chain_pem: format!("{}{}", signed.pem(), self.pem), not_after })
    }

    /// The mark that goes with orders for the node of this id.
    pub fn mark(&self, id: &str, number: u64) -> OrderMark {
        OrderMark { number, proof: self.proof(id, number).to_hex().to_string() }
    }

    /// Whether this authority made the mark, for the node of this id.
    pub fn made_mark(&self, id: &str, mark: &OrderMark) -> bool {
        let proof = blake3::Hash::from_hex(&mark.proof);
        proof.is_ok_and(|proof| proof == self.proof(id, mark.number))
    }

    /// The receipt that goes with the order of this generation of an instance, for the node of this
    /// id.
    pub fn receipt(&self, id: &str, instance: &InstanceId, generation: Generation) -> Receipt {
        let proof = self.receipt_of(id, instance, generation).to_hex().to_string();
        Receipt { generation, proof }
    }

    /// Whether this authority made the receipt, for an order of the instance from that node.
    pub fn made_receipt(&self, id: &str, instance: &InstanceId, receipt: &Receipt) -> bool {
        let proof = blake3::Hash::from_hex(&receipt.proof);
        proof.is_ok_and(|proof| proof == self.receipt_of(id, instance, receipt.generation))
    }

    fn receipt_of(&self, id: &str, instance: &InstanceId, generation: Generation) -> blake3::Hash {
        let mut hasher = self.hasher("devnet 2026-12-01 receipts of orders");
        // Ids of nodes and names of instances have no NUL.
        hasher.update(&generation.to_le_bytes()).update(id.as_bytes()).update(&[0]);
        hasher.update(instance.to_string().as_bytes());
        hasher.finalize()
    }

    /// Only who has the CA's key can make it. It is compared in constant time.
    fn proof(&self, id: &str, number: u64) -> blake3::Hash {
        let mut hasher = self.hasher("devnet 2026-11-30 marks of orders");
        hasher.update(&number.to_le_bytes()).update(id.as_bytes());
        hasher.finalize()
    }

    /// Hashes with a key of its own for each purpose, made of the CA's.
    fn hasher(&self, purpose: &str) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&blake3::derive_key(purpose, &self.key.serialize_der()))
    }

    fn issuer(&self) -> Result<Issuer<'static, &KeyPair>, AuthorityError> {
        Issuer::from_ca_cert_der(&self.certificate, &self.key)
            .map_err(crypto("reading the CA's certificate"))
    }

    /// What all certificates that are not the CA's have in common. None outlives the CA.
    fn leaf(
        &self,
        life: SignedDuration,
        now: Timestamp,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> (CertificateParams, Timestamp) {
        let not_after = later(now, life).min(self.not_after);
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(1970, 1, 1) + since_1970(later(now, -BACK_DATED));
        params.not_after = date_time_ymd(1970, 1, 1) + since_1970(not_after);
        params.serial_number = Some(serial(random));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        (params, not_after)
    }
}

fn new_key(path: &Path) -> Result<KeyPair, AuthorityError> {
    let key = KeyPair::generate().map_err(crypto("making the CA's key"))?;
    key_file::replace(path, &key.serialize_pem(), 0o600).map_err(file("writing", path))?;
    Ok(key)
}

fn new_ca(
    key: &KeyPair,
    path: &Path,
    now: Timestamp,
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<String, AuthorityError> {
    let print = Fingerprint::of_spki(&key.subject_public_key_info()).to_string();
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(1970, 1, 1) + since_1970(later(now, -BACK_DATED));
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(later(now, CA_LIFE));
    params.serial_number = Some(serial(random));
    // Two clusters' CAs must not have one name: a browser that trusts both would mix them up.
    params.distinguished_name = common_name(&format!("devnet CA {}", &print[..8]));
    // It signs certificates of servers and nodes, never of further CAs.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let pem = params.self_signed(key).map_err(crypto("making the CA's certificate"))?.pem();
    key_file::replace(path, &pem, 0o644).map_err(file("writing", path))?;
    Ok(pem)
}

fn read_request(pem: &str) -> Result<CertificateSigningRequestParams, AuthorityError> {
    if pem.len() > MAX_REQUEST {
        return Err(AuthorityError::Request("it is longer than 16 KiB"));
    }
    let request = CertificateSigningRequestParams::from_pem(pem)
        .map_err(|_| AuthorityError::Request("it is no PKCS#10 request in PEM"))?;
    let kinds =
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];
    if kinds.iter().any(|&kind| kind == request.public_key.algorithm()) {
        Ok(request)
    } else {
        Err(AuthorityError::Request("its key is neither ECDSA P-256, P-384 nor Ed25519"))
    }
}

/// The names of a certificate, sorted, once each.
fn subject_names(names: &[String]) -> Result<Vec<SanType>, AuthorityError> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(subject_name).collect()
}

fn subject_name(name: &str) -> Result<SanType, AuthorityError> {
    let wrong = || AuthorityError::Name(name.escape_debug().to_string());
    match ServerName::try_from(name).map_err(|_| wrong())? {
        ServerName::IpAddress(ip) => Ok(SanType::IpAddress(ip.into())),
        _ => Ok(SanType::DnsName(name.to_owned().try_into().map_err(|_| wrong())?)),
    }
}

/// What a certificate of ours says, as far as it matters here.
struct Facts {
    spki: Vec<u8>,
    names: Vec<SanType>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Facts {
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let names = certificate.subject_alternative_name().ok()?;
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        let validity = certificate.validity();
        Some(Self {
            spki: certificate.public_key().raw.to_vec(),
            names: names.iter().map(known_name).collect::<Option<_>>()?,
            not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
            not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
        })
    }

    fn half_life(&self) -> Timestamp {
        later(self.not_before, self.not_before.duration_until(self.not_after) / 2)
    }
}

fn known_name(name: &GeneralName<'_>) -> Option<SanType> {
    match name {
        GeneralName::DNSName(name) => Some(SanType::DnsName((*name).try_into().ok()?)),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => Some(SanType::IpAddress(<[u8; 4]>::try_from(*bytes).ok()?.into())),
            16 => Some(SanType::IpAddress(<[u8; 16]>::try_from(*bytes).ok()?.into())),
            _ => None,
        },
        _ => None,
    }
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

/// A positive number of 16 bytes, as RFC 5280 §4.1.2.2 wants it.
fn serial(random: &mut dyn FnMut(&mut [u8])) -> SerialNumber {
    let mut bytes = [0; 16];
    random(&mut bytes);
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// A time as rcgen takes it: what has passed since 1970; times before count as 1970.
fn since_1970(time: Timestamp) -> std::time::Duration {
    std::time::Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0))
}

fn file<'a>(act: &'static str, path: &'a Path) -> impl Fn(io::Error) -> AuthorityError + 'a {
    move |source| AuthorityError::File { act, path: path.to_owned(), source }
}

fn unreadable(path: &Path, what: &'static str) -> AuthorityError {
    AuthorityError::Unreadable { path: path.to_owned(), what }
}

fn crypto(act: &'static str) -> impl Fn(rcgen::Error) -> AuthorityError {
    move |source| AuthorityError::Crypto { act, source }
}

#[cfg(test)]
mod tests;
