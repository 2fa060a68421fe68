//! A connection whose other end must keep moving: the stream under HTTP, with limits of time.
//!
//! Knows in which part of its life a connection is, and how long each part may take. Refuses to
//! know HTTP: whoever serves requests says when one begins and ends.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// How long the other end may take for each part of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The TLS handshake.
    pub handshake: Duration,
    /// The head of a request: the first from the end of the handshake, each later one from its
    /// first byte.
    pub head: Duration,
    /// Nothing at all between two requests.
    pub idle: Duration,
    /// A body of at most 64 KiB, from head to end; a larger one six times as long.
    pub body: Duration,
    /// Not reading what it is sent, for whoever has shown no right credential.
    pub deaf: Duration,
    /// The same for whoever has.
    pub known_deaf: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            handshake: seconds(10),
            head: seconds(10),
            idle: seconds(60),
            body: seconds(10),
            deaf: seconds(10),
            known_deaf: seconds(600),
        }
    }
}

/// In which part of its life a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A head has begun, or the first is waited for.
    Head,
    /// A request is being answered, or the connection is no longer HTTP.
    Busy,
    /// Between two requests.
    Idle,
}

/// Where a connection is in its life, told by those who serve it.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// How often the part has changed, times four, and the part.
    beats: AtomicU64,
    /// Requests that are being answered: HTTP/2 has many at once.
    open: AtomicUsize,
    many: AtomicBool,
    known: AtomicBool,
}

impl Pulse {
    fn set(&self, part: Part) {
        let next = |beats: u64| Some((beats / 4 + 1) * 4 + part as u64);
        let _ = self.beats.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }

    fn get(&self) -> (u64, Part) {
        let beats = self.beats.load(Ordering::Acquire);
        let part = match beats % 4 {
            0 => Part::Head,
            1 => Part::Busy,
            _ => Part::Idle,
        };
        (beats, part)
    }

    /// A request has come.
    pub(super) fn begin(&self) {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.set(Part::Busy);
    }

    /// Its answer was sent.
    pub(super) fn end(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.set(Part::Idle);
        }
    }

    /// The connection is one of HTTP/2: a byte between two requests may be anything, and no head
    /// has begun with it. What it is idle for counts on.
    pub(super) fn takes_many(&self) {
        self.many.store(true, Ordering::Release);
    }

    /// Whether a right credential came.
    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    /// A right credential came.
    pub(super) fn known(&self) {
        self.known.store(true, Ordering::Release);
    }
}

/// Whoever has a [`Pulse`].
pub(super) trait Beating: Unpin {
    /// It.
    fn pulse(&self) -> &Pulse;
}

/// A stream with limits of time. Whatever `B` is lives exactly as long as the stream.
pub(super) struct Paced<S, B> {
    stream: S,
    beating: B,
    patience: Patience,
    /// The limit of reading, and the beat it was set at.
    reading: Option<(u64, Option<Pin<Box<Sleep>>>)>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S, B: Beating> Paced<S, B> {
    /// `stream`, from now on waiting for its first request.
    pub(super) fn new(stream: S, beating: B, patience: Patience) -> Self {
        let mut new = Self { stream, beating, patience, reading: None, writing: None };
        new.look();
        new
    }

    /// Sets the limit anew when the connection has come into another part of its life.
    fn look(&mut self) -> Option<&mut Pin<Box<Sleep>>> {
        let (beat, part) = self.beating.pulse().get();
        if self.reading.as_ref().is_none_or(|(seen, _)| *seen != beat) {
            let limit = match part {
                Part::Head => Some(self.patience.head),
                Part::Busy => None,
                Part::Idle => Some(self.patience.idle),
            };
            self.reading = Some((beat, limit.map(|limit| Box::pin(sleep(limit)))));
        }
        self.reading.as_mut().and_then(|(_, limit)| limit.as_mut())
    }

    /// Counts the time in which the other end does not read.
    fn unread<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.writing = None;
            return done;
        }
        let known = self.beating.pulse().is_known();
        let limit = if known { self.patience.known_deaf } else { self.patience.deaf };
        let writing = self.writing.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(writing.as_mut().poll(cx));
        Poll::Ready(Err(too_slow()))
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the other end took too long")
}

impl<S: AsyncRead + Unpin, B: Beating> AsyncRead for Paced<S, B> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if let Poll::Ready(done) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            let pulse = this.beating.pulse();
            let first = buf.filled().len() > before && !pulse.many.load(Ordering::Acquire);
            if first && pulse.get().1 == Part::Idle {
                pulse.set(Part::Head);
            }
            return Poll::Ready(done);
        }
        match this.look() {
            Some(limit) => {
                ready!(limit.as_mut().poll(cx));
                Poll::Ready(Err(too_slow()))
            }
            None => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin, B: Beating> AsyncWrite for Paced<S, B> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.unread(cx, done)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.unread(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.stream).poll_flush(cx);
        this.unread(cx, done)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.unread(cx, done)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::{Instant, timeout},
    };

    use super::*;

    impl Beating for Arc<Pulse> {
        fn pulse(&self) -> &Pulse {
            self
        }
    }

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const QUICK: Patience = Patience {
        handshake: millis(100),
        head: millis(100),
        idle: millis(300),
        body: millis(100),
        deaf: millis(100),
        known_deaf: millis(300),
    };
    const DEADLINE: Duration = Duration::from_secs(30);

    fn pair(buffer: usize) -> (Paced<DuplexStream, Arc<Pulse>>, Arc<Pulse>, DuplexStream) {
        let (ours, theirs) = duplex(buffer);
        let pulse = Arc::new(Pulse::default());
        (Paced::new(ours, Arc::clone(&pulse), QUICK), pulse, theirs)
    }

    /// How long it takes until nothing more is waited for.
    async fn cut_off(stream: &mut Paced<DuplexStream, Arc<Pulse>>) -> Duration {
        let begun = Instant::now();
        let reading = async { while stream.read_u8().await.is_ok() {} };
        timeout(DEADLINE, reading).await.expect("it is cut off");
        begun.elapsed()
    }

    #[tokio::test]
    async fn a_head_that_dribbles_in_does_not_gain_time_with_each_byte() {
        for second in [false, true] {
            let (mut stream, pulse, mut theirs) = pair(64);
            if second {
                pulse.begin();
                pulse.end();
            }
            let dribbling = tokio::spawn(async move {
                while theirs.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(millis(20)).await;
                }
            });
            assert!(cut_off(&mut stream).await >= QUICK.head, "the second: {second}");
            drop(stream);
            dribbling.await.unwrap();
        }
    }

    #[tokio::test]
    async fn nothing_is_waited_for_longer_than_its_part_allows() {
        let (mut stream, pulse, _theirs) = pair(64);
        assert!(cut_off(&mut stream).await >= QUICK.head);
        pulse.begin();
        pulse.end();
        assert!(cut_off(&mut stream).await >= QUICK.idle);
        pulse.begin();
        let reading = timeout(QUICK.idle * 2, stream.read_u8()).await;
        assert!(reading.is_err(), "a request that is answered may take its time");
    }

    #[tokio::test]
    async fn of_many_requests_the_last_answer_makes_a_connection_idle() {
        let (mut stream, pulse, mut theirs) = pair(64);
        pulse.takes_many();
        pulse.begin();
        pulse.begin();
        pulse.end();
        let reading = timeout(QUICK.idle * 2, stream.read_u8()).await;
        assert!(reading.is_err(), "one is still being answered");
        pulse.end();
        // Bytes in between are no head, and gain no time.
        let dribbling = tokio::spawn(async move {
            while theirs.write_all(b"x").await.is_ok() {
                tokio::time::sleep(millis(20)).await;
            }
        });
        assert!(cut_off(&mut stream).await >= QUICK.idle);
        drop(stream);
        dribbling.await.unwrap();
    }

    #[tokio::test]
    async fn whoever_does_not_read_is_cut_off_sooner_without_a_credential() {
        for (known, limit) in [(false, QUICK.deaf), (true, QUICK.known_deaf)] {
            let (mut stream, pulse, _theirs) = pair(16);
            if known {
                pulse.known();
            }
            let begun = Instant::now();
            let written = timeout(DEADLINE, stream.write_all(&[0; 64])).await.unwrap();
            assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert!(begun.elapsed() >= limit, "{known}");
        }
    }
}
