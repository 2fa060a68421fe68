//! One connection to the control plane: TCP, TLS, WebSocket, and messages instead of frames.
//!
//! Knows how to dial and how long to wait. Refuses to know what the messages mean.

use std::{net::IpAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use devnet_schema::wire::{AGENT_PATH, ControlMessage, MAX_FRAME};
use futures_util::{SinkExt, StreamExt};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};

use crate::{
    address::{ServerAddress, unreachable},
    redaction::Outgoing,
    trust,
    validity::{self, OutOfDate, Validity},
};

/// How long each part of dialling may take.
const DIAL_PATIENCE: Duration = Duration::from_secs(10);

/// How long one frame may take to be taken by the other side.
const SEND_PATIENCE: Duration = Duration::from_secs(20);

/// What a certificate that is not accepted means for the person who runs this node.
const REJOIN: &str = "the control plane does not accept this node's certificate any more; join \
    again with `devnet-agent join --replace` and a token made by `devnet node token --replace`";

/// When this node's certificate holds, and what its clock says, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Dates {
    /// Of the certificate.
    pub own: Validity,
    /// Now.
    pub now: i64,
}

/// An open connection.
pub struct Connection {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    local: IpAddr,
    dates: Dates,
}

/// What came in.
#[derive(Debug)]
pub enum Incoming {
    /// A message.
    Message(Box<ControlMessage>),
    /// A sign of life.
    Sign,
    /// Something this agent does not understand, from a newer control plane perhaps.
    Strange(String),
}

impl Connection {
    /// Dials. The dates are for saying what is wrong when a certificate is refused.
    ///
    /// # Errors
    /// When the control plane cannot be reached, is not the one this node joined, or does not know
    /// this node.
    pub async fn open(
        server: &ServerAddress,
        tls: Arc<ClientConfig>,
        dates: Dates,
    ) -> Result<Self> {
        let address = (server.host.as_str(), server.port);
        let tcp = timeout(DIAL_PATIENCE, TcpStream::connect(address))
            .await
            .map_err(|_| anyhow!("no answer within {} s", DIAL_PATIENCE.as_secs()))
            .and_then(|result| result.map_err(|error| anyhow!(unreachable(&error))))
            .with_context(|| format!("connecting to {server}"))?;
        tcp.set_nodelay(true).context("setting up the connection")?;
        let local = tcp.local_addr().context("setting up the connection")?.ip();
        let name = ServerName::try_from(server.host.clone())
            .with_context(|| format!("reading the name of {server}"))?;
        let tls = timeout(DIAL_PATIENCE, TlsConnector::from(tls).connect(name, tcp))
            .await
            .map_err(|_| anyhow!("no TLS answer from {server}"))?
            .map_err(|error| explain_tls(server, error, dates))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_FRAME))
            .max_frame_size(Some(MAX_FRAME))
            .read_buffer_size(16 << 10)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * MAX_FRAME);
        let url = format!("wss://{}{AGENT_PATH}", server.authority());
        let (socket, _) = timeout(DIAL_PATIENCE, client_async_with_config(url, tls, Some(config)))
            .await
            .map_err(|_| anyhow!("no WebSocket answer from {server}"))?
            .map_err(|error| explain_websocket(server, error, dates))?;
        Ok(Self { socket, local, dates })
    }

    /// This machine's address on the connection.
    pub fn local(&self) -> IpAddr {
        self.local
    }

    /// The next thing that comes in; `None` when the control plane hung up.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn next(&mut self) -> Result<Option<Incoming>> {
        let Some(frame) = self.socket.next().await else {
            return Ok(None);
        };
        Ok(match frame.map_err(|error| explain_broken(error, self.dates))? {
            Message::Text(text) => Some(match serde_json::from_str(&text) {
                Ok(message) => Incoming::Message(Box::new(message)),
                Err(error) => Incoming::Strange(where_strange(&error)),
            }),
            Message::Close(_) => None,
            _ => Some(Incoming::Sign),
        })
    }

    /// Sends a message. What is larger than a frame is cut before it comes here; should one be all
    /// the same, it is left out: the connection is worth more than any message.
    ///
    /// # Errors
    /// When the connection broke, or the other side takes nothing.
    pub async fn send(&mut self, message: &Outgoing) -> Result<()> {
        let text = serde_json::to_string(message.message()).context("writing a message as JSON")?;
        if text.len() > MAX_FRAME {
            let bytes = text.len();
            tracing::error!(bytes, "a message is larger than a frame may be and was not sent");
            return Ok(());
        }
        self.put(Message::text(text)).await
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn ping(&mut self) -> Result<()> {
        self.put(Message::Ping(tungstenite::Bytes::new())).await
    }

    /// Says goodbye, as far as that is possible.
    pub async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.socket.close(None)).await;
    }

    async fn put(&mut self, message: Message) -> Result<()> {
        timeout(SEND_PATIENCE, self.socket.send(message))
            .await
            .map_err(|_| anyhow!("the control plane takes nothing"))?
            .map_err(|error| explain_broken(error, self.dates))
    }
}

/// Where a message is not understood, and not what stands there: it may be a secret's value.
fn where_strange(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "it is JSON of another form",
        _ => "it is no JSON",
    };
    format!("{what}, from byte {} on", error.column())
}

/// TLS 1.3 tells a client that it was refused only when it reads.
fn explain_broken(error: tungstenite::Error, dates: Dates) -> anyhow::Error {
    if let tungstenite::Error::Io(io) = &error
        && let Some(refused) = refused_certificate(io, dates)
    {
        return refused;
    }
    anyhow::Error::new(error).context("talking to the control plane")
}

/// What a refusal of this node's certificate means, where the error is one.
fn refused_certificate(error: &std::io::Error, dates: Dates) -> Option<anyhow::Error> {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())?;
    let Dates { own, now } = dates;
    if trust::says_out_of_date(tls) {
        return Some(anyhow!(validity::refused(own, now, REJOIN)));
    }
    trust::refuses_our_certificate(tls).then(|| anyhow!(REJOIN))
}

fn explain_tls(server: &ServerAddress, error: std::io::Error, dates: Dates) -> anyhow::Error {
    if let Some(out_of_date) = OutOfDate::in_causes(&error) {
        return anyhow!("securing the connection to {server}: {out_of_date}");
    }
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::InvalidCertificate(why)) = tls {
        return anyhow!(
            "{server} is not the control plane that this node joined, or its certificate is not \
             for this address ({why:?}); check the address, and join again when the control plane \
             was made anew"
        );
    }
    if let Some(refused) = refused_certificate(&error, dates) {
        return refused;
    }
    anyhow::Error::new(error).context(format!("securing the connection to {server}"))
}

fn explain_websocket(
    server: &ServerAddress,
    error: tungstenite::Error,
    dates: Dates,
) -> anyhow::Error {
    match error {
        tungstenite::Error::Http(answer) => {
            let status = answer.status();
            let what = match status.as_u16() {
                401 | 403 => REJOIN.to_owned(),
                404 => {
                    "it is no devnet control plane, or a newer one; check the address".to_owned()
                }
                _ => "look at the control plane's log".to_owned(),
            };
            anyhow!("{server} answered {status}: {what}")
        }
        other => explain_broken(other, dates),
    }
}
