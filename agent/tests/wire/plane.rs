//! A control plane of a few lines: a CA, a TLS listener, and the agent's side of a WebSocket.
//!
//! Knows the wire. Refuses to plan anything.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use devnet_schema::wire::{AgentMessage, ControlMessage};
use futures_util::{SinkExt, StreamExt};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair,
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

/// Nothing in these tests takes longer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A certificate authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
    pub hash: [u8; 32],
}

impl Ca {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let hash = devnet_agent::trust::key_hash(&der).unwrap();
        Self { issuer: Issuer::new(params, key), pem, hash }
    }

    /// A server certificate for an address, with its key.
    pub fn server(&self, address: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![address.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// The same, valid from an hour from now: as one looks to a clock that is behind.
    pub fn server_of_tomorrow(&self, address: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![address.to_owned()]).unwrap();
        params.not_before = (std::time::SystemTime::now() + Duration::from_secs(3600)).into();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Signs an agent's request for the hour before the last.
    pub fn sign_ended(&self, csr: &str) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(csr).unwrap();
        let ago = |hours: u64| std::time::SystemTime::now() - Duration::from_secs(3600 * hours);
        request.params.not_before = ago(2).into();
        request.params.not_after = ago(1).into();
        request.signed_by(&self.issuer).unwrap().pem()
    }

    /// Signs an agent's request; it held since `before` ago, and holds for `after` from now.
    pub fn sign(&self, csr: &str, before: Duration, after: Duration) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(csr).unwrap();
        let now = std::time::SystemTime::now();
        request.params.not_before = (now - before).into();
        request.params.not_after = (now + after).into();
        request.signed_by(&self.issuer).unwrap().pem()
    }

    /// A join token for this CA.
    pub fn token(&self) -> String {
        format!("dn1.{}.k7.s3cret-of-the-token", devnet_agent::token::to_base32(&self.hash))
    }
}

/// A listener with a certificate.
pub struct Plane {
    pub address: SocketAddr,
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

/// What a server shows: its certificate and key, and what it sends along.
pub struct Shown {
    pub server: (String, String),
    pub chain: String,
    /// The CA whose client certificates are taken.
    pub clients: String,
}

impl Plane {
    /// One as it should be.
    pub async fn of(ca: &Ca) -> Self {
        let server = ca.server("127.0.0.1");
        Self::showing(Shown { server, chain: ca.pem.clone(), clients: ca.pem.clone() }).await
    }

    /// One that shows something else.
    pub async fn showing(shown: Shown) -> Self {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(shown.clients.as_bytes()).unwrap()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let chain = format!("{}{}", shown.server.0, shown.chain);
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(shown.server.1.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, listener, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Takes the next connection through its handshake.
    pub async fn accept(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let (tcp, _) = timeout(PATIENCE, self.listener.accept()).await.expect("somebody dials")?;
        self.acceptor.accept(tcp).await
    }

    /// Answers one HTTP request; what it was.
    pub async fn answer(&self, status: &str, body: impl AsyncFnOnce(&str) -> String) -> String {
        let mut stream = self.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        let sent = request.split_once("\r\n\r\n").unwrap().1.to_owned();
        let body = body(&sent).await;
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        request
    }

    /// Lets an agent join: signs what it asks for.
    pub async fn admit(&self, ca: &Ca, before: Duration, after: Duration) -> String {
        self.admit_with(ca, |csr| ca.sign(csr, before, after)).await
    }

    /// The same with a certificate of one's own.
    pub async fn admit_with(&self, ca: &Ca, sign: impl FnOnce(&str) -> String) -> String {
        self.answer("201 Created", async |body| {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let certificate = sign(body["csr"].as_str().unwrap());
            serde_json::json!({
                "id": "node-1", "cluster": "home", "certificate": certificate, "ca": ca.pem,
            })
            .to_string()
        })
        .await
    }

    /// Takes an agent's WebSocket, and its hello.
    pub async fn session(&self) -> Session {
        let tls = self.accept().await.unwrap();
        let shown = tls.get_ref().1.peer_certificates().map(|chain| chain[0].to_vec());
        let certificate = shown.expect("the agent shows its certificate");
        let socket = accept_async(tls).await.unwrap();
        Session { socket, certificate }
    }

    /// As [`Plane::session`], with hello and welcome behind it.
    pub async fn welcome(&self) -> Session {
        let mut session = self.session().await;
        let hello = session.until(|message| matches!(message, AgentMessage::Hello { .. })).await;
        let AgentMessage::Hello { protocol, facts, .. } = hello else { unreachable!() };
        assert_eq!(protocol, devnet_schema::wire::PROTOCOL);
        assert!(facts.cpu_count > 0 && facts.ip == "127.0.0.1", "{facts:?}");
        session.say(&welcome("home")).await;
        session
    }
}

pub fn welcome(cluster: &str) -> ControlMessage {
    ControlMessage::Welcome {
        cluster: cluster.parse().unwrap(),
        node: "n1".parse().unwrap(),
        heartbeat_millis: 200,
    }
}

async fn read_request(stream: &mut TlsStream<TcpStream>) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
                })
                .unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "a whole request comes");
    }
}

/// An agent that is connected.
pub struct Session {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    pub certificate: Vec<u8>,
}

impl Session {
    pub async fn say(&mut self, message: &ControlMessage) {
        let text = serde_json::to_string(message).unwrap();
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next message; `None` when the agent hung up.
    pub async fn next(&mut self) -> Option<AgentMessage> {
        loop {
            let frame = timeout(PATIENCE, self.socket.next()).await.expect("something comes");
            match frame {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message that is wanted; others are dropped.
    pub async fn until(&mut self, wanted: impl Fn(&AgentMessage) -> bool) -> AgentMessage {
        let search = async {
            loop {
                let message = self.next().await.expect("the agent stays");
                if wanted(&message) {
                    return message;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the wanted message comes")
    }
}
