//! The listener's TLS: our certificate, and client certificates asked for but not required, so that
//! one port serves agents and people.
//!
//! Knows rustls. Refuses to know sockets.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier},
};

use super::{Authority, ServerIdentity, dates::Dated};

/// Why no listener can be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Our own files hold no certificate or key.
    #[error("reading the server's certificate and key")]
    Identity(#[source] rustls::pki_types::pem::Error),
    /// The CA's certificate cannot be trusted.
    #[error("trusting the cluster's own CA")]
    Verifier(#[source] VerifierBuilderError),
    /// rustls refuses the certificate, the key or the settings.
    #[error("setting up TLS")]
    Rustls(#[from] rustls::Error),
}

/// The settings of the listener. A client that shows a certificate shows one of `authority`'s, or
/// the handshake fails; one that shows none is anonymous until it shows an API key or a session.
/// HTTP/2 is offered first: a browser has six connections of HTTP/1.1 for all of its tabs, and each
/// open tab holds a stream. Agents ask for HTTP/1.1, which WebSockets need.
///
/// # Errors
/// When the certificate, the key and the CA do not fit together.
pub fn server_config(
    authority: &Authority,
    identity: &ServerIdentity,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone())?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(TlsError::Verifier)?;
    let refusals = Arc::clone(authority.refusals());
    let verifier = Arc::new(Dated { verifier, refusals });
    let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::Identity)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes())
        .map_err(TlsError::Identity)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
