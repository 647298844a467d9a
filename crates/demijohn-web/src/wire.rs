//! The connection as hyper sees it: where nothing doubtful arrives, where a client's end of sending is not yet the end of the
//! conversation, and where closing lets the last answer arrive. What goes on is written down for [`Patience`](crate::patience::Patience).

use crate::dispatch::panic_text;
use crate::framing::{Fault, Framing, Phase};
use crate::refusal::refusal;
use crate::transport::Transport;
use bytes::{Buf, Bytes, BytesMut};
use demijohn_core::{Body, BoxError, BoxFuture};
use std::io::{Error, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// How long a handler goes on when its client sends no more.
///
/// A client that left and one that only closed its sending side (`printf .. | nc`) look the same. Answers that are ready
/// within this time reach the second kind; the handlers of the first are not kept running for nobody.
const PATIENCE: Duration = Duration::from_secs(1);
/// How much of a body that nobody reads is taken in after the last answer.
const MAX_DRAINED_BYTES: usize = 16 << 20;

/// How much is taken in behind a head whose answer may be another protocol.
const MAX_HELD_BYTES: usize = 16 << 10;

/// How long that takes at most, and how long nothing may come meanwhile.
const DRAIN_TIME: Duration = Duration::from_secs(5);
const DRAIN_PAUSE: Duration = Duration::from_secs(1);

/// A stream that is put back when hyper drops it.
pub(crate) struct Wire {
    stream: Option<Transport>,
    busy: Busy,
    framing: Framing,
    /// What came behind a head that asks for another protocol, until its answer shows whose it is.
    held: BytesMut,
    /// What was wrong; nothing is read any more.
    fault: Option<Fault>,
    /// All answers before the fault are out, and its own is next.
    refused: bool,
    ended: Option<Pin<Box<tokio::time::Sleep>>>,
    back: Arc<Mutex<Option<Returned>>>,
}

/// Where a [`Wire`] puts its stream.
pub(crate) struct Back(Arc<Mutex<Option<Returned>>>);

struct Returned {
    stream: Transport,
    /// The status that is still to be answered.
    refused: Option<u16>,
    phase: Phase,
}

impl Wire {
    pub(crate) fn new(stream: Transport) -> (Wire, Back) {
        let back = Arc::default();
        let wire = Wire {
            stream: Some(stream),
            busy: Busy::default(),
            framing: Framing::default(),
            held: BytesMut::new(),
            fault: None,
            refused: false,
            ended: None,
            back: Arc::clone(&back),
        };
        (wire, Back(back))
    }

    /// Knows of requests that are being answered.
    pub(crate) fn busy(&self) -> Busy {
        self.busy.clone()
    }

    fn stream(&mut self) -> Result<Pin<&mut Transport>, Error> {
        match &mut self.stream {
            Some(stream) => Ok(Pin::new(stream)),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }

    /// Looks at what has come, and tells how much of it is good, and to be passed on.
    fn inspect(&mut self, bytes: &[u8]) -> usize {
        let good = self.framing.inspect(bytes).unwrap_or_else(|bad| {
            self.fault = Some(bad.fault);
            if bad.fault == Fault::Body {
                self.busy.0.broken.store(self.framing.heads, Ordering::Relaxed);
            }
            bad.good
        });
        let doing = &self.busy.0;
        doing.phase.store(self.framing.phase() as u8, Ordering::Relaxed);
        if self.framing.has_underscores {
            doing.has_underscores.store(true, Ordering::Relaxed);
        }
        good
    }

    /// Takes what the client has sent; nothing at its end.
    fn poll_stream(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<(), Error>> {
        let had = buf.filled().len();
        let read = self.stream()?.poll_read(cx, buf);
        self.busy.0.starves.store(read.is_pending(), Ordering::Relaxed);
        ready!(read)?;
        let read = buf.filled().len() - had;
        counted(&self.busy.0.read, read);
        let good = self.inspect(&buf.filled()[had..]);
        if good < read && self.fault.is_none() {
            self.held.extend_from_slice(&buf.filled()[had + good..]);
        }
        buf.set_filled(had + good);
        Poll::Ready(Ok(()))
    }

    /// While it is open whose the next bytes are, they wait here; the end of the client's sending is seen all the same.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while self.ended.is_none() && self.held.len() < MAX_HELD_BYTES {
            let mut space = [0; 2 << 10];
            let mut buf = ReadBuf::new(&mut space);
            ready!(self.stream()?.poll_read(cx, &mut buf))?;
            counted(&self.busy.0.read, buf.filled().len());
            match buf.filled() {
                [] => self.ended = Some(Box::pin(tokio::time::sleep(PATIENCE))),
                bytes => self.held.extend_from_slice(bytes),
            }
        }
        match &mut self.ended {
            Some(patience) => patience.as_mut().poll(cx).map(Ok),
            None => Poll::Pending,
        }
    }

    /// Passes on what was held back.
    fn take_held(&mut self, buf: &mut ReadBuf<'_>) {
        let mut held = std::mem::take(&mut self.held);
        let good = self.inspect(&held[..held.len().min(buf.remaining())]);
        buf.put_slice(&held[..good]);
        held.advance(good);
        self.held = held;
    }

    /// In the middle of a body the fault is the handler's to hear of. Otherwise the answers before it come first, and then hyper
    /// is told that the client has ended; [`Back`] answers.
    fn poll_refused(&mut self, cx: &Context<'_>, fault: Fault) -> Poll<Result<(), Error>> {
        match fault {
            Fault::Body => Poll::Ready(Err(std::io::ErrorKind::InvalidData.into())),
            // hyper asks again only when it is woken.
            Fault::Head(_) if self.busy.wait(cx) || self.busy.is_stuck() => Poll::Pending,
            Fault::Head(_) => {
                self.refused = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn wrote(&mut self, cx: &Context<'_>, written: Poll<Result<usize, Error>>) -> Poll<Result<usize, Error>> {
        let doing = &self.busy.0;
        if doing.stuck.load(Ordering::Relaxed) && self.fault.is_some() {
            cx.waker().wake_by_ref();
        }
        doing.stuck.store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(bytes)) = &written {
            doing.written.store(
                doing.written.load(Ordering::Relaxed).wrapping_add(*bytes),
                Ordering::Relaxed,
            );
        }
        written
    }
}

/// Adds where one thread alone adds, which costs less than an addition that others must see.
fn counted(count: &AtomicUsize, more: usize) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// How many requests of a connection are being answered.
#[derive(Clone, Default)]
pub(crate) struct Busy(Arc<Doing>);

/// What a connection is doing.
#[derive(Default)]
struct Doing {
    /// Requests whose answer is not out yet.
    answering: AtomicUsize,
    /// Grows with every answer, and these with every byte: whoever looks twice sees whether something went on.
    answered: AtomicUsize,
    read: AtomicUsize,
    written: AtomicUsize,
    /// A [`Phase`].
    phase: AtomicU8,
    /// hyper waits for bytes that have not come.
    starves: AtomicBool,
    /// Several requests at a time: what is waited for, is counted.
    is_multiplexed: bool,
    /// Bodies whose readers wait for more, and bodies that wait to be taken.
    starving: AtomicUsize,
    blocked: AtomicUsize,
    /// Requests that were taken back.
    #[cfg(feature = "tls")]
    cancelled: AtomicUsize,
    /// The client does not take what was last written.
    stuck: AtomicBool,
    /// A handler is at work, and it has taken too long.
    handling: AtomicBool,
    overdue: AtomicBool,
    /// A body came too slowly: nothing more of it is read.
    late: AtomicBool,
    /// The head whose body is in doubt, counted from 1; none has 0.
    broken: AtomicUsize,
    /// A request had a header with `_` in its name.
    has_underscores: AtomicBool,
    /// The connection was given to another protocol.
    switched: AtomicBool,
    /// The connection waits for an answer to be out, and this wakes it.
    waits: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Busy {
    /// For a connection that answers several requests at a time.
    #[cfg(feature = "tls")]
    pub(crate) fn multiplexed() -> Busy {
        Busy(Arc::new(Doing {
            is_multiplexed: true,
            ..Doing::default()
        }))
    }

    pub(crate) fn is_multiplexed(&self) -> bool {
        self.0.is_multiplexed
    }

    #[cfg(feature = "tls")]
    pub(crate) fn is_idle(&self) -> bool {
        self.waits_for() == Wait::Request
    }

    /// One more request was taken back.
    #[cfg(feature = "tls")]
    pub(crate) fn cancel(&self) {
        self.0.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "tls")]
    pub(crate) fn cancelled(&self) -> usize {
        self.0.cancelled.load(Ordering::Relaxed)
    }

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

    /// Whether all of these heads have their answers; if not, the connection is woken by the next answer.
    fn has_answered(&self, heads: usize, cx: &Context<'_>) -> bool {
        let all = || self.0.answered.load(Ordering::SeqCst) == heads;
        all() || {
            *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
            self.0.waits.store(true, Ordering::SeqCst);
            all()
        }
    }

    fn is_answering(&self) -> bool {
        self.0.answering.load(Ordering::SeqCst) > 0
    }

    fn is_stuck(&self) -> bool {
        self.0.stuck.load(Ordering::Relaxed)
    }

    /// What the connection waits for its client to do.
    pub(crate) fn waits_for(&self) -> Wait {
        let phase = self.0.phase.load(Ordering::Relaxed);
        let answering = self.is_answering();
        if self.is_stuck() || self.0.blocked.load(Ordering::Relaxed) > 0 {
            Wait::Reading
        } else if self.0.starving.load(Ordering::Relaxed) > 0 {
            Wait::Body
        } else if phase == Phase::Body as u8 {
            match self.0.starves.load(Ordering::Relaxed) {
                true => Wait::Body,
                false => Wait::Nothing,
            }
        } else if answering {
            Wait::Nothing
        } else if phase == Phase::Head as u8 {
            Wait::Head
        } else {
            Wait::Request
        }
    }

    pub(crate) fn read(&self) -> usize {
        self.0.read.load(Ordering::Relaxed)
    }

    pub(crate) fn written(&self) -> usize {
        self.0.written.load(Ordering::Relaxed)
    }

    pub(crate) fn answered(&self) -> usize {
        self.0.answered.load(Ordering::Relaxed)
    }

    /// Whether what has come of the body of the next request to be answered is in doubt.
    pub(crate) fn body_is_broken(&self) -> bool {
        let broken = self.0.broken.load(Ordering::Relaxed);
        broken != 0 && broken == self.0.answered.load(Ordering::SeqCst).wrapping_add(1)
    }

    /// Whether a handler is at work; HTTP/2 does not tell.
    pub(crate) fn is_handling(&self) -> bool {
        self.0.handling.load(Ordering::Relaxed)
    }

    /// Ends the handler that is at work.
    pub(crate) fn set_overdue(&self) {
        self.0.overdue.store(true, Ordering::Relaxed);
    }

    /// Ends the reading of the body in hand: its handler is told that it came too slowly.
    pub(crate) fn give_up_body(&self) {
        self.0.late.store(true, Ordering::Relaxed);
    }
}

/// What a client owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Nothing,
    /// To take what was written.
    Reading,
    /// The rest of a body that somebody reads.
    Body,
    /// The rest of a head.
    Head,
    /// A request.
    Request,
}

/// A body that comes piece by piece: until its end the connection is busy with it.
pub(crate) struct Streaming {
    body: Body,
    /// What ends it early.
    end: Option<BoxFuture<'static, ()>>,
    failure: Option<BoxError>,
    #[expect(dead_code, reason = "to be dropped with the body")]
    answering: Answering,
}

impl Streaming {
    pub(crate) fn new(body: Body, answering: Answering) -> Streaming {
        Streaming {
            body,
            end: None,
            failure: None,
            answering,
        }
    }

    /// Until `end` comes, if it comes first.
    pub(crate) fn until(mut self, end: impl Future<Output = ()> + Send + 'static) -> Streaming {
        self.end = Some(Box::pin(end));
        self
    }
}

impl http_body::Body for Streaming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
            this.end = None;
            this.body = Body::empty();
        }
        if let Some(failure) = this.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        let body = &mut this.body;
        // Whoever makes it may panic, long after the handler has answered: that ends this answer alone.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx)));
        let polled = polled.unwrap_or_else(|panic| {
            tracing::error!("a body panicked: {}", panic_text(&*panic));
            Poll::Ready(Some(Err("the body failed".into())))
        });
        match polled {
            Poll::Ready(Some(Err(failure))) => {
                // hyper closes the connection at once. What came before the failure is given time to go out.
                (this.body, this.failure) = (Body::empty(), Some(failure));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failure.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(feature = "tls")]
pub(crate) use multiplexed::{Inbound, Outbound, Watched};

/// What HTTP/2 needs for the same: there a stuck client does not stop the connection, only some of its requests.
#[cfg(feature = "tls")]
mod multiplexed;

/// A request that is being answered.
pub(crate) struct Answering(Arc<Doing>);

impl Answering {
    /// A handler is at work from here on, or no more.
    pub(crate) fn set_handling(&self, handling: bool) {
        self.0.handling.store(handling, Ordering::Relaxed);
        if handling {
            self.0.overdue.store(false, Ordering::Relaxed);
        }
    }

    /// Whether it has taken too long.
    pub(crate) fn is_overdue(&self) -> bool {
        self.0.overdue.load(Ordering::Relaxed)
    }

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
        self.0.answered.fetch_add(1, Ordering::SeqCst);
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
        if self.framing.is_undecided() {
            if !self.busy.has_answered(self.framing.heads, cx) {
                return self.poll_ahead(cx);
            }
            let switched = self.busy.0.switched.load(Ordering::Relaxed);
            self.framing.decide(switched);
        }
        if !self.held.is_empty() {
            let had = buf.filled().len();
            self.take_held(buf);
            return match self.fault {
                Some(fault) if buf.filled().len() == had => self.poll_refused(cx, fault),
                _ => Poll::Ready(Ok(())),
            };
        }
        if self.ended.is_none() {
            if self.busy.0.late.load(Ordering::Relaxed) {
                // Whoever read it has all the time for an answer.
                self.busy.0.starves.store(false, Ordering::Relaxed);
                return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
            }
            let had = buf.filled().len();
            ready!(self.poll_stream(cx, buf))?;
            if buf.filled().len() > had {
                return Poll::Ready(Ok(()));
            }
            if let Some(fault) = self.fault {
                return self.poll_refused(cx, fault);
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
        let answer = refused.or(late).map(|status| refusal(status, &[]));
        say_goodbye(&mut stream, &answer.unwrap_or_default()).await;
    }
}

/// Sends the last bytes of a connection and closes it.
pub(crate) async fn say_goodbye(stream: &mut Transport, last: &[u8]) {
    let closing = async {
        stream.write_all(last).await?;
        stream.shutdown().await?;
        // What the client still sends (the body that nobody read) is taken in, or its system would throw our answer
        // away with the connection. Only so much, and only for so long.
        let mut rest = vec![0; 64 << 10];
        let mut left = MAX_DRAINED_BYTES;
        while left > 0 {
            match tokio::time::timeout(DRAIN_PAUSE, stream.read(&mut rest)).await?? {
                0 => break,
                n => left = left.saturating_sub(n),
            }
        }
        Ok::<(), Error>(())
    };
    let _ = tokio::time::timeout(DRAIN_TIME, closing).await;
}
