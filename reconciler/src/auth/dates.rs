//! Nodes whose certificates were refused for their dates: a sign that a clock is wrong.
//!
//! Knows which of our certificates did not hold, and by which clock. Refuses to take note of
//! certificates that are not ours: a stranger cannot put a word in here.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use devnet_schema::name::NodeName;
use jiff::Timestamp;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::node_identity;

/// When a certificate of ours holds, and when it did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misdated {
    /// Valid from.
    pub from: Timestamp,
    /// Valid until.
    pub until: Timestamp,
    /// What this machine's clock said.
    pub now: Timestamp,
}

impl fmt::Display for Misdated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, until, now } = self;
        let meaning = if now < from {
            "the clock of the control plane is behind; set it (NTP keeps it right)"
        } else {
            "either the clock of the control plane is ahead and has to be set, or the node was \
             away for too long and has to join again"
        };
        write!(
            f,
            "its certificate is valid from {from} to {until}, and the clock of the control plane \
             said {now}: {meaning}"
        )
    }
}

/// The nodes that were refused so.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<NodeName, Misdated>>);

impl Refusals {
    fn nodes(&self) -> MutexGuard<'_, BTreeMap<NodeName, Misdated>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each node that was refused since it was let in last.
    pub fn all(&self) -> BTreeMap<NodeName, Misdated> {
        self.nodes().clone()
    }

    /// The node was let in: what was wrong is no more.
    pub fn forget(&self, node: &NodeName) {
        self.nodes().remove(node);
    }

    fn note(&self, node: NodeName, misdated: Misdated) {
        if self.nodes().insert(node.clone(), misdated).is_none() {
            tracing::warn!(%node, "a node was refused: {misdated}");
        }
    }
}

/// Verifies as the other one does, and takes note of our own certificates that do not hold now.
#[derive(Debug)]
pub(super) struct Dated {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    pub(super) refusals: Arc<Refusals>,
}

impl Dated {
    fn look(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Option<()> {
        let (_, certificate) = X509Certificate::from_der(end_entity).ok()?;
        let (from, until) = (certificate.validity().not_before, certificate.validity().not_after);
        let (from, until) = (from.timestamp(), until.timestamp());
        // Ours, if it would have been believed in the middle of its life.
        let middle = u64::try_from(from + (until - from) / 2).ok()?;
        let middle = UnixTime::since_unix_epoch(std::time::Duration::from_secs(middle));
        self.verifier.verify_client_cert(end_entity, intermediates, middle).ok()?;
        let node = node_identity(end_entity).ok()?.name;
        let misdated = Misdated {
            from: Timestamp::from_second(from).ok()?,
            until: Timestamp::from_second(until).ok()?,
            now: Timestamp::from_second(i64::try_from(now.as_secs()).ok()?).ok()?,
        };
        self.refusals.note(node, misdated);
        Some(())
    }
}

impl ClientCertVerifier for Dated {
    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verdict = self.verifier.verify_client_cert(end_entity, intermediates, now);
        if let Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) = &verdict
        {
            // Whatever cannot be read of it is not worth a note.
            let _ = self.look(end_entity, intermediates, now);
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
