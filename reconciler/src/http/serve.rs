//! The listener: TLS, HTTP/2 and HTTP/1.1, and an end to every connection that takes too long.
//!
//! Knows sockets and tasks. HTTP/2 is for browsers, which have six connections of HTTP/1.1 for all
//! of their tabs; it gives strangers more to hold on to, so a stranger's connection ends after a
//! minute. Refuses to decide who may do what: it says who is at the other end.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, http::StatusCode, response::Response};
use hyper::{
    Request,
    body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint},
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{debug, warn};

use super::{
    App,
    connections::{Bounds, Connections, Full},
    paced::{Beating, Paced, Patience, Pulse},
    peer::Peer,
    router,
};

/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 32 << 10;
/// The most that is buffered of one connection each way, in bytes.
const MAX_BUFFER: usize = 64 << 10;
/// Requests that one connection of HTTP/2 may have open: more than all tabs of a browser ask for.
const MAX_STREAMS: u32 = 128;
/// How much a client of HTTP/2 may send before it is read, for one request and for all.
const WINDOW: u32 = 256 << 10;
/// How long to wait when the system has no more connections to give.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener and what it serves.
pub struct Listener {
    /// The socket.
    pub tcp: TcpListener,
    /// The settings of TLS, which may change.
    pub tls: watch::Receiver<Arc<ServerConfig>>,
    /// What answers requests.
    pub app: App,
    /// How long clients may take.
    pub patience: Patience,
    /// How many connections there may be.
    pub bounds: Bounds,
}

/// What every connection needs.
struct Shared {
    tls: watch::Receiver<Arc<ServerConfig>>,
    router: TowerToHyperService<Router>,
    patience: Patience,
    doors: Mutex<Connections<Arc<Ends>>>,
    stop: watch::Receiver<bool>,
}

impl Shared {
    fn doors(&self) -> MutexGuard<'_, Connections<Arc<Ends>>> {
        // A panic elsewhere leaves a connection counted, which its end puts right.
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what is held by keys that no longer stand: with their rights goes their room.
    fn revoke(&self, app: &App) {
        let keys = self.doors().keys();
        // One that cannot be looked up is looked at again with its next request.
        let gone = keys.into_iter().filter(|key| matches!(app.holder(key), Ok(None)));
        for key in gone {
            self.doors().of_key(&key).for_each(|ends| ends.soon.notify_one());
        }
    }
}

/// How a connection is ended.
#[derive(Default)]
struct Ends {
    /// In the middle of whatever it does.
    now: Notify,
    /// When the answer that is on its way is sent.
    soon: Notify,
}

/// One connection: in every request's extensions as `Arc<Visit>`. It is counted until the last of
/// these is gone, and with it the socket.
pub(super) struct Visit {
    shared: Arc<Shared>,
    number: u64,
    ends: Arc<Ends>,
    pulse: Pulse,
}

impl Visit {
    fn enter(shared: &Arc<Shared>, from: IpAddr) -> Arc<Self> {
        let ends = Arc::new(Ends::default());
        let (number, oldest) = shared.doors().enter(from, Arc::clone(&ends));
        if let Some(oldest) = oldest {
            debug!(%from, "too many strangers: the oldest of their connections is ended");
            oldest.now.notify_one();
        }
        Arc::new(Self { shared: Arc::clone(shared), number, ends, pulse: Pulse::default() })
    }

    /// Ends the connection when the answer that is on its way is sent: whoever holds it is refused.
    pub(super) fn retire(&self) {
        self.ends.soon.notify_one();
    }

    /// The right key with this public part came over this connection.
    ///
    /// # Errors
    /// When there is no room for one more.
    pub(super) fn keyed(&self, key: &str) -> Result<(), Full> {
        self.shared.doors().keyed(self.number, key)?;
        self.pulse.known();
        Ok(())
    }

    fn agent(&self, id: &str) -> Result<(), Full> {
        self.shared.doors().agent(self.number, id)?;
        self.pulse.known();
        Ok(())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.shared.doors().leave(self.number);
    }
}

impl Beating for Arc<Visit> {
    fn pulse(&self) -> &Pulse {
        &self.pulse
    }
}

/// Serves until `stop` says so, then waits for open requests, no longer than `farewell`.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: Listener,
    mut stop: watch::Receiver<bool>,
    farewell: Duration,
) -> io::Result<()> {
    let Listener { tcp, tls, app, patience, bounds } = listener;
    let mut revoked = app.plane.follow_revoked();
    let shared = Arc::new(Shared {
        tls,
        router: TowerToHyperService::new(router(app.clone())),
        patience,
        doors: Mutex::new(Connections::new(bounds)),
        stop: stop.clone(),
    });
    let mut visits = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = tcp.accept() => accepted,
            // The sender lives as long as the control plane.
            Ok(()) = revoked.changed() => {
                shared.revoke(&app);
                continue;
            }
            () = asked(&mut stop) => break,
        };
        while visits.try_join_next().is_some() {}
        match accepted {
            Ok((stream, from)) => {
                let visit = Visit::enter(&shared, from.ip());
                visits.spawn(attend(Arc::clone(&shared), stream, from, visit));
            }
            Err(error) if is_of_one(&error) => debug!(%error, "a connection broke early"),
            Err(error) => {
                warn!(%error, "no connection can be taken: are too many files open?");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(tcp);
    let _ = timeout(farewell, async { while visits.join_next().await.is_some() {} }).await;
    Ok(())
}

/// Completes when it is asked to stop.
async fn asked(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Whether an error of accepting is about the connection alone.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Serves one connection until either side ends it, or room is needed.
async fn attend(shared: Arc<Shared>, stream: TcpStream, from: SocketAddr, visit: Arc<Visit>) {
    let ends = Arc::clone(&visit.ends);
    tokio::select! {
        () = converse(&shared, stream, from, visit) => {}
        () = ends.now.notified() => {}
    }
}

async fn converse(shared: &Shared, stream: TcpStream, from: SocketAddr, visit: Arc<Visit>) {
    // Steps and reports are small and urgent.
    let _ = stream.set_nodelay(true);
    let tls = TlsAcceptor::from(Arc::clone(&shared.tls.borrow()));
    let stream = match timeout(shared.patience.handshake, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%from, %error, "a TLS handshake failed"),
        Err(_) => return debug!(%from, "a TLS handshake took too long"),
    };
    let peer = Peer::of(&stream);
    if let Peer::Node(node) = &peer
        && visit.agent(&node.id).is_err()
    {
        return warn!(node = %node.name, %from, "a node has too many connections open");
    }
    http(shared, stream, from, peer, visit).await;
}

async fn http(
    shared: &Shared,
    stream: TlsStream<TcpStream>,
    from: SocketAddr,
    peer: Peer,
    visit: Arc<Visit>,
) {
    let several = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = Paced::new(stream, Arc::clone(&visit), shared.patience);
    let (router, this) = (shared.router.clone(), Arc::clone(&visit));
    let answer = service_fn(move |mut request: Request<Incoming>| {
        visit.pulse.begin();
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(from));
        extensions.insert(peer.clone());
        extensions.insert(Arc::clone(&visit));
        let (answer, visit) = (router.call(request), Arc::clone(&visit));
        async move {
            let response = answer.await?;
            Ok::<_, Infallible>(until_sent(response, visit))
        }
    });
    let served = match several {
        true => many_at_once(shared, stream, answer, this).await,
        false => one_by_one(shared, stream, answer, this).await,
    };
    if let Err(error) = served {
        debug!(%from, %error, "a connection ended early");
    }
}

/// HTTP/1.1.
async fn one_by_one<S>(
    shared: &Shared,
    stream: Paced<TlsStream<TcpStream>, Arc<Visit>>,
    answer: S,
    visit: Arc<Visit>,
) -> hyper::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<Sending>, Error = Infallible>,
    S::Future: Send + 'static,
{
    // The limits of time are those of `Paced`; hyper's own would count an idle connection as a
    // head that does not come.
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    let ends = Arc::clone(&visit.ends);
    drop(visit);
    let mut served = pin!(served);
    let mut stop = shared.stop.clone();
    tokio::select! {
        result = served.as_mut() => return result,
        () = asked(&mut stop) => {}
        () = ends.soon.notified() => {}
    }
    served.as_mut().graceful_shutdown();
    served.await
}

/// HTTP/2.
async fn many_at_once<S>(
    shared: &Shared,
    stream: Paced<TlsStream<TcpStream>, Arc<Visit>>,
    answer: S,
    visit: Arc<Visit>,
) -> hyper::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<Sending>, Error = Infallible>,
    S::Future: Send + 'static,
{
    visit.pulse.takes_many();
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD as u32)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), answer);
    let mut served = pin!(served);
    let mut stop = shared.stop.clone();
    tokio::select! {
        result = served.as_mut() => return result,
        () = asked(&mut stop) => {}
        () = visit.ends.soon.notified() => {}
        // However little such a client reads of an answer, its socket never blocks.
        () = stays_unknown(&visit.pulse, shared.patience.idle) => {
            served.as_mut().graceful_shutdown();
            return timeout(shared.patience.deaf, served).await.unwrap_or(Ok(()));
        }
    }
    served.as_mut().graceful_shutdown();
    served.await
}

/// Completes when no right credential has come over a connection within this time.
async fn stays_unknown(pulse: &Pulse, within: Duration) {
    tokio::time::sleep(within).await;
    if pulse.is_known() {
        std::future::pending::<()>().await;
    }
}

/// An answer that says when it was sent. After an upgrade the connection is no longer HTTP's, and
/// stays busy.
fn until_sent(response: Response, visit: Arc<Visit>) -> Response<Sending> {
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    response.map(|body| Sending { body, visit: (!upgraded).then_some(visit) })
}

/// A body that ends the request's part of the connection's life when it is dropped.
struct Sending {
    body: Body,
    visit: Option<Arc<Visit>>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(visit) = &self.visit {
            visit.pulse.end();
        }
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
