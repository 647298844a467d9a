//! Connections with several requests at a time: what each of them waits for is counted.

use super::{Answering, Busy, Doing, counted};
use crate::transport::Transport;
use bytes::Bytes;
use demijohn_core::{Body, BoxError};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use std::io::{Error, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose bytes are counted.
pub(crate) struct Watched {
    stream: Transport,
    busy: Busy,
}

impl Watched {
    pub(crate) fn new(stream: Transport, busy: Busy) -> Watched {
        Watched { stream, busy }
    }

    fn wrote(&self, written: Poll<Result<usize, Error>>) -> Poll<Result<usize, Error>> {
        self.busy.0.stuck.store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(bytes)) = &written {
            counted(&self.busy.0.written, *bytes);
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<(), Error>> {
        let had = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        counted(&self.busy.0.read, buf.filled().len() - had);
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(written)
    }
}

/// One of those that a counter counts, while it is one.
struct Among {
    doing: Arc<Doing>,
    of: fn(&Doing) -> &AtomicUsize,
    is: bool,
}

impl Among {
    fn set(&mut self, is: bool) {
        if self.is != is {
            self.is = is;
            let count = (self.of)(&self.doing);
            match is {
                true => count.fetch_add(1, Ordering::Relaxed),
                false => count.fetch_sub(1, Ordering::Relaxed),
            };
        }
    }
}

impl Drop for Among {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// The body of a request; whoever reads it may have to wait for the client.
pub(crate) struct Inbound {
    body: Incoming,
    starving: Among,
}

impl Inbound {
    pub(crate) fn new(body: Incoming, busy: Busy) -> Inbound {
        let starving = Among {
            doing: busy.0,
            of: |doing| &doing.starving,
            is: false,
        };
        Inbound { body, starving }
    }
}

impl http_body::Body for Inbound {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.starving.set(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer. It is asked for more when the client has taken what it gave, so between the two the client is waited for.
pub(crate) struct Outbound {
    body: Body,
    /// It is over when this is.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    blocked: Among,
    _answering: Answering,
}

impl Outbound {
    pub(crate) fn new(body: Body, answering: Answering) -> Outbound {
        let blocked = Among {
            doing: Arc::clone(&answering.0),
            of: |doing| &doing.blocked,
            is: false,
        };
        Outbound {
            body,
            end: None,
            blocked,
            _answering: answering,
        }
    }

    /// Until `end` comes, if it comes first.
    pub(crate) fn until(mut self, end: impl Future<Output = ()> + Send + 'static) -> Outbound {
        self.end = Some(Box::pin(end));
        self
    }
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
            self.end = None;
            self.body = Body::empty();
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.blocked.set(matches!(polled, Poll::Ready(Some(Ok(_)))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
