//! Who is at the other end of a connection: what its TLS handshake showed, handed to every request.
//!
//! Refuses to check certificates: rustls did, against our CA.

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::auth::{IdentityError, NodeIdentity, node_identity};

/// What the handshake showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    /// No certificate.
    Nobody,
    /// A node's certificate.
    Node(NodeIdentity),
    /// A certificate of our CA that names no node.
    Stranger(IdentityError),
}

impl Peer {
    /// Whoever is at the other end of `stream`.
    pub(super) fn of(stream: &TlsStream<TcpStream>) -> Self {
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        match shown.map(|certificate| node_identity(certificate)) {
            None => Self::Nobody,
            Some(Ok(identity)) => Self::Node(identity),
            Some(Err(error)) => Self::Stranger(error),
        }
    }
}
