//! The task of a socket: it carries messages between connection and handler, pings, and brings both to an end together.

use super::lengths::Lengths;
use super::slot::Slot;
use super::switch::Io;
use super::{Close, Disconnected, End, Message, Out, cut, may_send};
use crate::bound::Bound;
use crate::dispatch::{Caught, caught, panic_text};
use crate::server::Stop;
use bytes::Bytes;
use demijohn_core::{BoxFuture, Error, Result};
use futures_core::Stream;
use futures_sink::Sink;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WireError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Message as Wire, Role, WebSocketConfig};

/// How long the handler may go on, and the client may take to agree, when the end is decided.
const GRACE: Duration = Duration::from_secs(5);

/// A socket's buffer for reading, from its first moment to its last: there may be thousands that do nothing.
const READ_BUFFER_BYTES: usize = 2 << 10;
/// What the test client takes.
pub(crate) const CLIENT_BUFFER_BYTES: usize = 16 << 10;

/// Longer messages go out in frames of this size, because the buffer for writing keeps the size of the largest frame.
const FRAME_BYTES: usize = 16 << 10;

/// Answers to pings pile up behind a client that does not read; of those that find no room here the last is kept. A frame of ours finds
/// room, since it goes in when everything is out.
const WRITE_BUFFER_BYTES: usize = 2 * FRAME_BYTES;

/// What holds for one socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(super) max_message_bytes: usize,
    pub(super) ping: Option<Duration>,
    pub(super) idle: Option<Duration>,
}

pub(super) struct Drive {
    stream: WebSocketStream<Counted>,
    /// The connection works, for all that is known.
    alive: bool,
    /// The client may say more.
    reads: bool,
    /// Something is on its way out.
    flushes: bool,
    /// The rest of a message of which frames have gone out.
    rest: Option<Bytes>,
    slot: Arc<Slot>,
    outbox: mpsc::Receiver<Out>,
    /// Until it has ended.
    handler: Option<Caught<BoxFuture<'static, Result<()>>>>,
    /// What its end says to the client.
    verdict: Option<Close>,
    watch: Watch,
    bound: Option<Box<Bound>>,
    name: String,
}

impl Drive {
    pub(super) async fn new(
        io: Box<dyn Io>,
        limits: Limits,
        bound: Option<Box<Bound>>,
        slot: Arc<Slot>,
        outbox: mpsc::Receiver<Out>,
        handler: BoxFuture<'static, Result<()>>,
        name: String,
    ) -> Drive {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(Some(limits.max_message_bytes))
            .max_frame_size(Some(limits.max_message_bytes));
        let io = Counted {
            io,
            read: 0,
            written: 0,
            lengths: Lengths::default(),
            is_bad: false,
        };
        Drive {
            stream: WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await,
            alive: true,
            reads: true,
            flushes: false,
            rest: None,
            slot,
            outbox,
            handler: Some(caught(handler)),
            verdict: None,
            watch: Watch::new(limits),
            bound,
            name,
        }
    }

    pub(super) async fn run(mut self, stop: Stop) {
        let end = {
            let mut stopping = pin!(stop.wait());
            poll_fn(|cx| match stopping.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(End::Closed(Close::new(1001, "the server stops"))),
                Poll::Pending => self.poll_open(cx),
            })
            .await
        };
        tracing::debug!(
            target: "demijohn::socket",
            request = %self.name, code = end.close().code, reason = ?end.close().reason, "socket closed"
        );
        // The client's own close is answered by the protocol.
        let close = end.close();
        if self.alive && may_send(close.code) {
            let frame = CloseFrame {
                code: CloseCode::from(close.code),
                reason: cut(&close.reason).into(),
            };
            // What is left of the connection shows when it is flushed. After the client's close this does nothing.
            let _ = Pin::new(&mut self.stream).start_send(Wire::Close(Some(frame)));
        }
        self.slot.end(end);
        self.outbox.close();
        while self.outbox.try_recv().is_ok() {}
        let ending = poll_fn(|cx| {
            let handler = self.poll_handler(cx);
            let closing = self.poll_closing(cx);
            match (handler, closing) {
                (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(()),
                _ => Poll::Pending,
            }
        });
        let ended = tokio::time::timeout(GRACE, ending).await;
        if ended.is_err() && self.handler.is_some() {
            tracing::warn!(
                target: "demijohn::socket",
                request = %self.name, "the handler of a closed socket went on for {} s and was dropped", GRACE.as_secs()
            );
        }
    }

    /// Carries on until the end is decided.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            // All that can go out: the next that is read may be the client's close, after which nothing may be said.
            loop {
                let handled = self.handler.is_some() && self.poll_handler(cx).is_ready();
                if handled {
                    // What it has sent goes out, what it would have received does not matter.
                    self.slot.leave();
                    self.outbox.close();
                }
                let mut written = false;
                while let Poll::Ready(went) = self.poll_outgoing(cx) {
                    match went {
                        Ok(()) => written = true,
                        Err(end) => return Poll::Ready(end),
                    }
                }
                if !handled && !written {
                    break;
                }
            }
            match self.poll_incoming(cx) {
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Ready(Ok(())) => {}
                Poll::Pending => break,
            }
        }
        self.poll_watch(cx)
    }

    /// One message of the client, when there is room for it.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if !self.slot.has_room(cx) {
            return Poll::Pending;
        }
        match Pin::new(&mut self.stream).poll_next(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(message))) => {
                match message {
                    Wire::Text(text) => self.slot.put(Message::Text(text.as_str().to_owned())),
                    Wire::Binary(bytes) => self.slot.put(Message::Bytes(bytes)),
                    Wire::Close(close) => return Poll::Ready(Err(End::Closed(closed_by_client(close)))),
                    // Pings are answered by the protocol.
                    Wire::Ping(_) | Wire::Pong(_) | Wire::Frame(_) => {}
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Some(Err(error))) => {
                self.reads = false;
                Poll::Ready(Err(End::Broken(self.broken(&error))))
            }
            Poll::Ready(None) => {
                self.reads = false;
                Poll::Ready(Err(End::Broken(gone())))
            }
        }
    }

    /// What the client is told of its fault; 1006, which is never sent, when there is nobody to tell.
    fn broken(&mut self, error: &WireError) -> Close {
        match error {
            WireError::Io(_) if self.stream.get_ref().is_bad => {
                Close::new(1002, "the length of a frame is written longer than it has to be")
            }
            WireError::Protocol(ProtocolError::ResetWithoutClosingHandshake) | WireError::Io(_) => {
                self.alive = false;
                gone()
            }
            WireError::Utf8(_) => Close::new(1007, "text that is not UTF-8"),
            WireError::Capacity(_) => Close::new(1009, "the message is too large"),
            error => Close::new(1002, error.to_string()),
        }
    }

    fn poll_handler(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(handler) = &mut self.handler else {
            return Poll::Ready(());
        };
        let Poll::Ready(result) = Pin::new(handler).poll(cx) else {
            return Poll::Pending;
        };
        self.handler = None;
        self.verdict = Some(match result {
            Ok(Ok(())) => Close::new(1000, ""),
            Ok(Err(error)) => self.failed(&error),
            Err(panic) => self.failed(&Error::internal(format!("panic: {}", panic_text(&*panic)))),
        });
        Poll::Ready(())
    }

    /// The log's text of an error, and the client's.
    fn failed(&self, error: &Error) -> Close {
        if let Some(gone) = error.downcast_ref::<Disconnected>() {
            return gone.close.clone();
        }
        match error.status().as_u16() {
            400 | 422 => Close::new(1007, error.client_text()),
            401..500 => Close::new(1008, error.client_text()),
            _ => {
                let text = format!("{error} (at {})", error.location());
                tracing::error!(target: "demijohn::socket", request = %self.name, error = ?text, "socket failed");
                Close::new(1011, "")
            }
        }
    }

    /// One step of what goes to the client: ready when something went on.
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let flushed = match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => {
                self.flushes = true;
                return Poll::Pending;
            }
            Poll::Ready(Ok(())) => std::mem::take(&mut self.flushes),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(End::Broken(self.broken(&error)))),
        };
        if flushed {
            return Poll::Ready(Ok(()));
        }
        let frame = match self.rest.take() {
            Some(rest) => self.next_frame(Data::Continue, rest),
            None => match self.outbox.poll_recv(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Out::Message(Message::Text(text)))) => self.next_frame(Data::Text, text.into()),
                Poll::Ready(Some(Out::Message(Message::Bytes(bytes)))) => self.next_frame(Data::Binary, bytes),
                Poll::Ready(Some(Out::Close(close))) => return Poll::Ready(Err(End::Closed(close))),
                Poll::Ready(None) => {
                    return match self.verdict.take() {
                        Some(close) => Poll::Ready(Err(End::Closed(close))),
                        // The handler has dropped the socket and goes on.
                        None => Poll::Pending,
                    };
                }
            },
        };
        self.start(frame)
    }

    fn start(&mut self, frame: Wire) -> Poll<Result<(), End>> {
        match Pin::new(&mut self.stream).start_send(frame) {
            Ok(()) => {
                self.flushes = true;
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(End::Broken(self.broken(&error)))),
        }
    }

    fn next_frame(&mut self, kind: Data, mut content: Bytes) -> Wire {
        if content.len() > FRAME_BYTES {
            self.rest = Some(content.split_off(FRAME_BYTES));
        }
        Wire::Frame(Frame::message(content, OpCode::Data(kind), self.rest.is_none()))
    }

    /// Pings, and gives up whom nothing is heard of and whose session is over.
    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.bound.as_mut().is_some_and(|bound| bound.poll_gone(cx)) {
            return Poll::Ready(End::Closed(Close::new(1008, "the session has ended")));
        }
        while self.watch.poll_tick(cx) {
            // A handler that does not take messages keeps us from hearing the client.
            let deaf = !self.flushes && !self.slot.has_room(cx);
            let io = self.stream.get_ref();
            if self.watch.is_over(io.read, io.written, self.flushes, deaf) {
                // Its answer is not waited for.
                self.reads = false;
                return Poll::Ready(End::Broken(Close::new(1001, "nothing was heard for too long")));
            }
            if self.watch.pings && !self.flushes && self.rest.is_none() {
                if let Poll::Ready(Err(end)) = self.start(Wire::Ping(Bytes::new())) {
                    return Poll::Ready(end);
                }
                // To have the ping flushed.
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }

    /// The closing handshake: to be read until the client agrees, with what was said flushed.
    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.reads {
            match Pin::new(&mut self.stream).poll_next(cx) {
                // Messages that were on their way.
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_)) | None) => self.reads = false,
                Poll::Pending => break,
            }
        }
        let flushed = match self.alive {
            true => Pin::new(&mut self.stream).poll_flush(cx).is_ready(),
            false => true,
        };
        match flushed && !self.reads {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

fn gone() -> Close {
    Close::new(1006, "the connection broke off")
}

fn closed_by_client(close: Option<CloseFrame>) -> Close {
    match close {
        Some(close) => Close::new(close.code.into(), close.reason.as_str()),
        None => Close::new(1005, ""),
    }
}

/// Looks from time to time whether the client is there.
struct Watch {
    /// `None` when there is nothing to look for.
    next: Option<Pin<Box<Sleep>>>,
    step: Duration,
    pings: bool,
    idle: Option<Duration>,
    silent: Duration,
    read: u64,
    written: u64,
    flushed: bool,
}

impl Watch {
    fn new(limits: Limits) -> Watch {
        let step = match (limits.ping, limits.idle) {
            (Some(ping), Some(idle)) => Some(ping.min(idle)),
            (ping, idle) => ping.or(idle),
        };
        // A step of nothing would never let the task rest.
        let step = step.map(|step| step.max(Duration::from_millis(1)));
        Watch {
            next: step.map(|step| Box::pin(tokio::time::sleep(step))),
            step: step.unwrap_or_default(),
            pings: limits.ping.is_some(),
            idle: limits.idle,
            silent: Duration::ZERO,
            read: 0,
            written: 0,
            flushed: false,
        }
    }

    fn poll_tick(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(next) = &mut self.next else { return false };
        let ready = next.as_mut().poll(cx).is_ready();
        if ready {
            next.as_mut().reset(Instant::now() + self.step);
        }
        ready
    }

    /// Whether it has been silent for too long. A client that takes a long message little by little is there.
    fn is_over(&mut self, read: u64, written: u64, flushes: bool, deaf: bool) -> bool {
        let takes = self.flushed && written != self.written;
        self.silent = match read != self.read || takes || deaf {
            true => Duration::ZERO,
            false => self.silent + self.step,
        };
        (self.read, self.written, self.flushed) = (read, written, flushes);
        self.idle.is_some_and(|idle| self.silent >= idle)
    }
}

/// A connection whose bytes are counted, and looked at for what the protocol's reader lets pass.
struct Counted {
    io: Box<dyn Io>,
    read: u64,
    written: u64,
    lengths: Lengths,
    /// Nothing more of it is read.
    is_bad: bool,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.is_bad {
            return Poll::Ready(Err(std::io::ErrorKind::InvalidData.into()));
        }
        let had = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        self.read += (buf.filled().len() - had) as u64;
        if let Some(good) = self.lengths.look(&buf.filled()[had..]) {
            self.is_bad = true;
            buf.set_filled(had + good);
            // No bytes would pass for the end.
            if good == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::InvalidData.into()));
            }
        }
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = result {
            self.written += written as u64;
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
