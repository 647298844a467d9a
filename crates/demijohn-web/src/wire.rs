//! The connection as hyper sees it: where nothing doubtful arrives, where a client's end of sending is not yet the end of the
//! conversation, and where closing lets the last answer arrive.

use crate::framing::{Fault, Framing, Phase};
use crate::refusal::refusal;
use bytes::Bytes;
use demijohn_core::{Body, BoxError};
use pin_project_lite::pin_project;
use std::io::{Error, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// How long a handler goes on when its client sends no more.
///
/// A client that left and one that only closed its sending side (`printf .. | nc`) look the same. Answers that are ready
/// within this time reach the second kind; the handlers of the first are not kept running for nobody.
const PATIENCE: Duration = Duration::from_secs(1);
/// How much of a body that nobody reads is taken in after the last answer.
const MAX_DRAINED_BYTES: usize = 16 << 20;

/// A stream that is put back when hyper drops it.
pub(crate) struct Wire {
    stream: Option<TcpStream>,
    busy: Busy,
    framing: Framing,
    /// What was wrong; nothing is read any more.
    fault: Option<Fault>,
    /// All answers before the fault are out, and its own is next.
    refused: bool,
    /// The client does not take what was last written.
    stuck: bool,
    ended: Option<Pin<Box<tokio::time::Sleep>>>,
    back: Arc<Mutex<Option<Returned>>>,
}

/// Where a [`Wire`] puts its stream.
pub(crate) struct Back(Arc<Mutex<Option<Returned>>>);

struct Returned {
    stream: TcpStream,
    /// The status that is still to be answered.
    refused: Option<u16>,
    phase: Phase,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> (Wire, Back) {
        let back = Arc::default();
        let wire = Wire {
            stream: Some(stream),
            busy: Busy::default(),
            framing: Framing::default(),
            fault: None,
            refused: false,
            stuck: false,
            ended: None,
            back: Arc::clone(&back),
        };
        (wire, Back(back))
    }

    /// Knows of requests that are being answered.
    pub(crate) fn busy(&self) -> Busy {
        self.busy.clone()
    }

    fn stream(&mut self) -> Result<Pin<&mut TcpStream>, Error> {
        match &mut self.stream {
            Some(stream) => Ok(Pin::new(stream)),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }

    /// Looks at what has come; only what is good stays.
    fn inspect(&mut self, buf: &mut ReadBuf<'_>, had: usize) {
        if self.framing.asks_upgrade && self.busy.0.switched.load(Ordering::Relaxed) {
            self.framing.give_over();
        }
        if let Err(bad) = self.framing.inspect(&buf.filled()[had..]) {
            buf.set_filled(had + bad.good);
            self.fault = Some(bad.fault);
        }
        if self.framing.has_underscores {
            self.busy.0.has_underscores.store(true, Ordering::Relaxed);
        }
    }

    /// In the middle of a body the fault is the handler's to hear of. Otherwise the answers before it come first, and then hyper
    /// is told that the client has ended; [`Back`] answers.
    fn poll_refused(&mut self, cx: &Context<'_>, fault: Fault) -> Poll<Result<(), Error>> {
        match fault {
            Fault::Body => Poll::Ready(Err(std::io::ErrorKind::InvalidData.into())),
            // hyper asks again only when it is woken.
            Fault::Head(_) if self.busy.wait(cx) || self.stuck => Poll::Pending,
            Fault::Head(_) => {
                self.refused = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn wrote(&mut self, cx: &Context<'_>, written: Poll<Result<usize, Error>>) -> Poll<Result<usize, Error>> {
        let was_stuck = std::mem::replace(&mut self.stuck, written.is_pending());
        if was_stuck && self.fault.is_some() {
            cx.waker().wake_by_ref();
        }
        if !self.stuck {
            self.busy.0.moves.fetch_add(1, Ordering::Relaxed);
        }
        written
    }
}

/// How many requests of a connection are being answered.
#[derive(Clone, Default)]
pub(crate) struct Busy(Arc<Doing>);

/// What a connection is doing.
#[derive(Default)]
struct Doing {
    /// Requests whose answer is not out yet.
    answering: AtomicUsize,
    /// Grows with every answer and every write: whoever looks twice sees whether something went on.
    moves: AtomicUsize,
    /// A request had a header with `_` in its name.
    has_underscores: AtomicBool,
    /// The connection was given to another protocol.
    switched: AtomicBool,
    /// The connection waits for an answer to be out, and this wakes it.
    waits: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Busy {
    /// One more, until it is dropped.
    pub(crate) fn begin(&self) -> Answering {
        self.0.answering.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(&self.0))
    }

    /// Whether an answer is not out yet; then the connection is woken when it is.
    fn wait(&self, cx: &Context<'_>) -> bool {
        if !self.is_answering() {
            return false;
        }
        *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        self.0.waits.store(true, Ordering::SeqCst);
        // It may have gone out on another thread meanwhile.
        self.is_answering()
    }

    fn is_answering(&self) -> bool {
        self.0.answering.load(Ordering::SeqCst) > 0
    }
}

/// Ends a connection that has waited for the head of a request for too long.
///
/// hyper has such a timer and sets it anew for every request, which costs more than the request's routing. This one looks
/// ten times in the time that a head may take: a head is given up after nine tenths of it at the earliest, at its end
/// at the latest. Bytes of a head are no progress, or a client could send one a second for ever.
pub(crate) struct Patience {
    busy: Busy,
    step: Duration,
    next: Pin<Box<tokio::time::Sleep>>,
    moves: usize,
    quiet: u32,
}

/// Looks in the time that a head may take.
const LOOKS: u32 = 10;

impl Patience {
    pub(crate) fn new(busy: Busy, limit: Duration) -> Self {
        let step = limit / LOOKS;
        let next = Box::pin(tokio::time::sleep(step));
        Patience {
            busy,
            step,
            next,
            moves: 0,
            quiet: 0,
        }
    }

    /// True when it has come to its end.
    pub(crate) fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        while self.next.as_mut().poll(cx).is_ready() {
            let moves = self.busy.0.moves.load(Ordering::Relaxed);
            match self.busy.is_answering() || moves != self.moves {
                true => (self.moves, self.quiet) = (moves, 0),
                false => self.quiet += 1,
            }
            if self.quiet >= LOOKS {
                return true;
            }
            self.next.as_mut().reset(tokio::time::Instant::now() + self.step);
        }
        false
    }
}

pin_project! {
    /// A body that comes piece by piece: until its end the connection is busy with it.
    pub(crate) struct Streaming {
        #[pin]
        pub(crate) body: Body,
        pub(crate) answering: Answering,
    }
}

impl http_body::Body for Streaming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// A request that is being answered.
pub(crate) struct Answering(Arc<Doing>);

impl Answering {
    /// Whether headers with `_` in their names have come.
    pub(crate) fn has_underscores(&self) -> bool {
        self.0.has_underscores.load(Ordering::Relaxed)
    }

    /// What comes after this answer is no HTTP.
    pub(crate) fn switch(&self) {
        self.0.switched.store(true, Ordering::Relaxed);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::SeqCst);
        self.0.moves.fetch_add(1, Ordering::Relaxed);
        if self.0.waits.load(Ordering::SeqCst) && self.0.waits.swap(false, Ordering::SeqCst) {
            let waker = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let refused = match self.fault {
            Some(Fault::Head(status)) if self.refused => Some(status),
            _ => None,
        };
        let phase = self.framing.phase();
        let returned = self.stream.take().map(|stream| Returned { stream, refused, phase });
        *self.back.lock().unwrap_or_else(PoisonError::into_inner) = returned;
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<(), Error>> {
        if let Some(fault) = self.fault {
            return self.poll_refused(cx, fault);
        }
        if self.ended.is_none() {
            let had = buf.filled().len();
            ready!(self.stream()?.poll_read(cx, buf))?;
            if buf.filled().len() > had {
                self.inspect(buf, had);
                return match self.fault {
                    Some(fault) if buf.filled().len() == had => self.poll_refused(cx, fault),
                    _ => Poll::Ready(Ok(())),
                };
            }
            self.ended = Some(Box::pin(tokio::time::sleep(PATIENCE)));
        }
        let busy = self.busy.wait(cx);
        match &mut self.ended {
            Some(patience) if busy => patience.as_mut().poll(cx).map(Ok),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        let written = self.stream()?.poll_write(cx, buf);
        self.wrote(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.stream()?.poll_flush(cx)
    }

    /// Closing is for [`Back`].
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.stream()?.poll_flush(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        let written = self.stream()?.poll_write_vectored(cx, bufs);
        self.wrote(cx, written)
    }
}

impl Back {
    /// Closes the connection, after the answer to what was refused. `too_slow` for a client whose time is over: it hears so when
    /// it has begun a request.
    pub(crate) async fn close(self, too_slow: bool) {
        let returned = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Another protocol has it, or had it.
        let Some(Returned {
            mut stream,
            refused,
            phase,
        }) = returned
        else {
            return;
        };
        let late = (too_slow && phase == Phase::Head).then_some(408);
        let closing = async {
            if let Some(status) = refused.or(late) {
                stream.write_all(&refusal(status, &[])).await?;
            }
            stream.shutdown().await?;
            // What the client still sends (the body that nobody read) is taken in, or its system would throw our answer
            // away with the connection. Only so much, and only for so long.
            let mut rest = vec![0; 64 << 10];
            let mut left = MAX_DRAINED_BYTES;
            while left > 0 {
                match stream.read(&mut rest).await? {
                    0 => break,
                    n => left = left.saturating_sub(n),
                }
            }
            Ok::<(), Error>(())
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), closing).await;
    }
}
