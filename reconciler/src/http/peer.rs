//! Who is at the other end of a connection: what its TLS handshake showed, handed to every request.
//!
//! Knows the acceptor of the listener. Refuses to check certificates: rustls did, against our CA.

use std::{future::Future, io, pin::Pin};

use axum::{Extension, middleware::AddExtension};
use axum_server::{accept::Accept, tls_rustls::RustlsAcceptor};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tower_layer::Layer;

use crate::auth::{IdentityError, NodeIdentity, node_identity};

/// What the handshake showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// No certificate.
    Nobody,
    /// A node's certificate.
    Node(NodeIdentity),
    /// A certificate of our CA that names no node.
    Stranger(IdentityError),
}

/// Accepts TLS and tells every request who its peer is.
#[derive(Clone)]
pub struct PeerAcceptor {
    tls: RustlsAcceptor,
}

impl PeerAcceptor {
    /// Accepts by `tls`.
    pub fn new(tls: RustlsAcceptor) -> Self {
        Self { tls }
    }
}

type Inner<S> = <RustlsAcceptor as Accept<TcpStream, S>>::Service;
type Accepted<S> = (TlsStream<TcpStream>, AddExtension<Inner<S>, Peer>);

impl<S: Send + 'static> Accept<TcpStream, S> for PeerAcceptor {
    type Stream = TlsStream<TcpStream>;
    type Service = AddExtension<Inner<S>, Peer>;
    type Future = Pin<Box<dyn Future<Output = io::Result<Accepted<S>>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            // Steps and reports are small and urgent.
            stream.set_nodelay(true)?;
            let (stream, service) = tls.accept(stream, service).await?;
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let peer = match shown.map(|certificate| node_identity(certificate)) {
                None => Peer::Nobody,
                Some(Ok(identity)) => Peer::Node(identity),
                Some(Err(error)) => Peer::Stranger(error),
            };
            Ok((stream, Extension(peer).layer(service)))
        })
    }
}
