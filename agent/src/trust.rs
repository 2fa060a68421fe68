//! Whom this agent believes: before it joined, the CA whose hash its token carries; afterwards the
//! CA it was given. Knows TLS configurations. Refuses to know what is said over them.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ring::digest;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

use crate::validity::{Dated, Validity};

/// What is said when the server's CA is not the token's. Shown to people as it is.
pub const WRONG_CA: &str = "the server does not have the certificate authority that the token \
    names: it is another control plane, or somebody in between; nothing was sent to it. Check \
    the address, and make a new token with `devnet node token`";

/// SHA-256, from the one cryptography provider there is.
fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// SHA-256 of the SubjectPublicKeyInfo (DER, RFC 5280 §4.1) of a certificate.
///
/// # Errors
/// When it is no certificate.
pub fn key_hash(certificate: &CertificateDer<'_>) -> Result<[u8; 32]> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .context("reading the certificate of the certificate authority")?;
    Ok(sha256(parsed.tbs_certificate.subject_pki.raw))
}

/// Accepts a server only when its chain holds the CA with the wanted hash, and that CA signed the
/// server's certificate for the address that was dialled. Nothing is sent before.
#[derive(Debug)]
struct PinnedCa {
    ca_hash: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let ca = intermediates
            .iter()
            .find(|one| key_hash(one).is_ok_and(|hash| hash == self.ca_hash))
            .ok_or_else(|| rustls::Error::General(WRONG_CA.to_owned()))?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(crypto::ring::default_provider())
}

/// For joining: believes only the CA with this hash.
///
/// # Errors
/// When the cryptography provider lacks a TLS version; never in a build that passed its tests.
pub fn pinned_config(ca_hash: [u8; 32]) -> Result<ClientConfig> {
    let provider = provider();
    let verifier = PinnedCa { ca_hash, provider: provider.clone() };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("choosing TLS versions")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Dated(Arc::new(verifier))))
        .with_no_client_auth())
}

/// For a session: believes the stored CA and shows this node's certificate. HTTP/1.1 is asked for,
/// because WebSockets over HTTP/2 are another protocol.
///
/// # Errors
/// When a stored file is not what it should be.
pub fn session_config(ca_pem: &str, identity_pem: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for ca in certificates(ca_pem).context("reading the stored certificate authority")? {
        roots.add(ca).context("reading the stored certificate authority")?;
    }
    let chain = certificates(identity_pem).context("reading this node's certificate")?;
    let key = PrivateKeyDer::from_pem_slice(identity_pem.as_bytes())
        .context("reading this node's private key")?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .context("trusting the stored certificate authority")?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .context("choosing TLS versions")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Dated(verifier)))
        .with_client_auth_cert(chain, key)
        .context("using this node's certificate with its key")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Whether a PEM text holds certificates that others can be checked against.
///
/// # Errors
/// When it does not.
pub fn is_authority(ca_pem: &str) -> Result<()> {
    let mut roots = RootCertStore::empty();
    for ca in certificates(ca_pem)? {
        validity(&ca)?;
        roots.add(ca).context("taking a certificate as an authority")?;
    }
    Ok(())
}

/// Every certificate of a PEM text, and at least one.
///
/// # Errors
/// When there is none, or one cannot be read.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .context("reading a certificate in PEM form")?;
    if all.is_empty() {
        bail!("there is no certificate in it");
    }
    Ok(all)
}

/// From when until when a certificate holds.
///
/// # Errors
/// When it is no certificate.
pub fn validity(certificate: &CertificateDer<'_>) -> Result<Validity> {
    let (_, parsed) =
        x509_parser::parse_x509_certificate(certificate).context("reading a certificate")?;
    let validity = parsed.validity();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    Ok(Validity { from, until })
}

/// Whether the failure of a TLS connection means that this node's own certificate does not hold by
/// the other side's clock.
pub fn says_out_of_date(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::AlertReceived(rustls::AlertDescription::CertificateExpired))
}

/// Whether the failure of a TLS connection means that this node's own certificate is the cause.
pub fn refuses_our_certificate(error: &rustls::Error) -> bool {
    use rustls::AlertDescription as Alert;
    matches!(
        error,
        rustls::Error::AlertReceived(
            Alert::CertificateExpired
                | Alert::CertificateRevoked
                | Alert::BadCertificate
                | Alert::CertificateUnknown
                | Alert::UnknownCA
        ) | rustls::Error::InvalidCertificate(CertificateError::Expired)
    )
}
