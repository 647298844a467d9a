//! The connection as hyper sees it: where a client's end of sending is not yet the end of the conversation, and where
//! closing lets the last answer arrive.

use bytes::Bytes;
use demijohn_core::{Body, BoxError};
use pin_project_lite::pin_project;
use std::io::{Error, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
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
    ended: Option<Pin<Box<tokio::time::Sleep>>>,
    back: Arc<Mutex<Option<TcpStream>>>,
}

/// Where a [`Wire`] puts its stream.
pub(crate) struct Back(Arc<Mutex<Option<TcpStream>>>);

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> (Wire, Back) {
        let back = Arc::default();
        let wire = Wire {
            stream: Some(stream),
            busy: Busy::default(),
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
}

impl Busy {
    /// One more, until it is dropped.
    pub(crate) fn begin(&self) -> Answering {
        self.0.answering.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(&self.0))
    }

    fn is_answering(&self) -> bool {
        self.0.answering.load(Ordering::Relaxed) > 0
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

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
        self.0.moves.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let stream = self.stream.take();
        *self.back.lock().unwrap_or_else(PoisonError::into_inner) = stream;
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<(), Error>> {
        if self.ended.is_none() {
            let had = buf.filled().len();
            ready!(self.stream()?.poll_read(cx, buf))?;
            if buf.filled().len() > had {
                return Poll::Ready(Ok(()));
            }
            self.ended = Some(Box::pin(tokio::time::sleep(PATIENCE)));
        }
        let busy = self.busy.is_answering();
        match &mut self.ended {
            Some(patience) if busy => patience.as_mut().poll(cx).map(Ok),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        let written = self.stream()?.poll_write(cx, buf);
        if written.is_ready() {
            self.busy.0.moves.fetch_add(1, Ordering::Relaxed);
        }
        written
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
        if written.is_ready() {
            self.busy.0.moves.fetch_add(1, Ordering::Relaxed);
        }
        written
    }
}

impl Back {
    /// Closes the connection.
    pub(crate) async fn close(self) {
        let Some(mut stream) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let closing = async {
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
