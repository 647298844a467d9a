//! Bodies that are made piece by piece.

use crate::dispatch::{Caught, caught, panic_text};
use bytes::Bytes;
use demijohn_core::{Body, BoxError, Operation, Reply, Request, Response, Result};
use futures_core::Stream;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body::Frame;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// A body that is sent as it is made: each chunk goes out before the next one is asked for.
///
/// From any [`Stream`] of text or bytes, or of results of them ([`Streamed::new`], [`Streamed::fallible`]), or from a function
/// that is handed a sender ([`Streamed::write`]). A client that goes away ends either.
///
/// ```
/// use demijohn_web::{get, Application, Streamed};
///
/// async fn numbers() -> Streamed {
///     Streamed::write(async |out| {
///         for n in 1..=3 {
///             out.send(format!("{n}\n")).await?;
///         }
///         Ok(())
///     })
///     .content_type("text/plain; charset=utf-8")
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/", get(numbers)).test_client();
/// assert_eq!(client.get("/").await.text(), "1\n2\n3\n");
/// # });
/// ```
pub struct Streamed {
    body: Body,
    content_type: HeaderValue,
}

impl Streamed {
    fn of(body: Body) -> Streamed {
        Streamed {
            body,
            content_type: HeaderValue::from_static("text/html; charset=utf-8"),
        }
    }

    /// From a stream of chunks.
    pub fn new<S>(stream: S) -> Streamed
    where
        S: Stream + Send + 'static,
        S::Item: Into<Bytes>,
    {
        Streamed::of(Body::stream(Chunks { stream }))
    }

    /// From a stream that can fail. A failure cuts the body off, so the client knows that it is incomplete.
    pub fn fallible<S, T, E>(stream: S) -> Streamed
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        T: Into<Bytes>,
        E: Into<BoxError>,
    {
        Streamed::of(Body::stream(FallibleChunks { stream }))
    }

    /// From a function that sends chunks, the async stand-in for a generator. It waits while the client has not taken the last
    /// chunk, and gets an error when the client is gone.
    pub fn write<F, Fut>(write: F) -> Streamed
    where
        F: FnOnce(Sender) -> Fut,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let (sender, chunks) = mpsc::channel(1);
        Streamed::of(Body::stream(Written {
            chunks,
            writer: Some(caught(Box::pin(write(Sender(sender))))),
            failed: false,
        }))
    }

    pub(crate) fn into_body(self) -> Body {
        self.body
    }

    /// The content type; `text/html; charset=utf-8` unless set.
    #[must_use]
    pub fn content_type(mut self, content_type: &'static str) -> Streamed {
        self.content_type = HeaderValue::from_static(content_type);
        self
    }
}

/// What an answer carries whose body has no end of its own: it ends when the server does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndsWithServer;

impl Reply for Streamed {
    fn reply(self, _: &Request) -> Result<Response> {
        let mut response = Response::new(self.body);
        response.headers_mut().insert(CONTENT_TYPE, self.content_type);
        Ok(response)
    }

    fn describe(_: &mut Operation) {}
}

/// Where [`Streamed::write`] sends chunks to.
pub struct Sender(mpsc::Sender<Bytes>);

impl Sender {
    /// Sends a chunk, when the one before it was taken.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn send(&self, chunk: impl Into<Bytes>) -> Result<()> {
        let gone = |_| std::io::Error::new(std::io::ErrorKind::BrokenPipe, "the client is gone");
        self.0.send(chunk.into()).await.map_err(gone)?;
        Ok(())
    }
}

pin_project! {
    struct Chunks<S> {
        #[pin]
        stream: S,
    }
}

impl<S> http_body::Body for Chunks<S>
where
    S: Stream,
    S::Item: Into<Bytes>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = self.project().stream.poll_next(cx);
        next.map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk.into()))))
    }
}

pin_project! {
    struct FallibleChunks<S> {
        #[pin]
        stream: S,
    }
}

impl<S, T, E> http_body::Body for FallibleChunks<S>
where
    S: Stream<Item = Result<T, E>>,
    T: Into<Bytes>,
    E: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = self.project().stream.poll_next(cx);
        next.map(|chunk| chunk.map(|chunk| chunk.map(|chunk| Frame::data(chunk.into())).map_err(Into::into)))
    }
}

type Writer = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// The function runs as part of the body: nothing goes on in a task of its own when the client is gone.
struct Written {
    chunks: mpsc::Receiver<Bytes>,
    writer: Option<Caught<Writer>>,
    failed: bool,
}

impl http_body::Body for Written {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        // What was sent goes out before the function is asked for more.
        if let Poll::Ready(Some(chunk)) = this.chunks.poll_recv(cx) {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if let Some(writer) = &mut this.writer
            && let Poll::Ready(result) = Pin::new(writer).poll(cx)
        {
            this.writer = None;
            this.failed = match result {
                Ok(Ok(())) => false,
                Ok(Err(error)) => {
                    tracing::error!("a streamed body failed: {error}");
                    true
                }
                Err(panic) => {
                    tracing::error!("a streamed body panicked: {}", panic_text(&*panic));
                    true
                }
            };
        }
        match this.chunks.poll_recv(cx) {
            Poll::Ready(Some(chunk)) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            _ if std::mem::take(&mut this.failed) => Poll::Ready(Some(Err("the body failed".into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}
