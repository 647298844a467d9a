//! The connection as hyper sees it, and the answer to what is no HTTP.
//!
//! With `pipeline_flush`, hyper does not send its answer to a request that it cannot parse: the bytes that it could not
//! parse are still in its buffer, which it takes for more requests to come. So the stream is taken back and answered here.

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::io::{Error, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A stream that is put back when hyper drops it.
pub(crate) struct Wire {
    stream: Option<TokioIo<TcpStream>>,
    back: Arc<Mutex<Option<TcpStream>>>,
}

/// Where a [`Wire`] puts its stream.
pub(crate) struct Back(Arc<Mutex<Option<TcpStream>>>);

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> (Wire, Back) {
        let back = Arc::default();
        let wire = Wire {
            stream: Some(TokioIo::new(stream)),
            back: Arc::clone(&back),
        };
        (wire, Back(back))
    }

    fn stream(&mut self) -> Result<Pin<&mut TokioIo<TcpStream>>, Error> {
        match &mut self.stream {
            Some(stream) => Ok(Pin::new(stream)),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let stream = self.stream.take().map(TokioIo::into_inner);
        *self.back.lock().unwrap_or_else(PoisonError::into_inner) = stream;
    }
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<Result<(), Error>> {
        self.stream()?.poll_read(cx, buf)
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        self.stream()?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.stream()?.poll_flush(cx)
    }

    /// Closing is for [`Back`], which may have something to say before.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.stream()?.poll_flush(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(Write::is_write_vectored)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        self.stream()?.poll_write_vectored(cx, bufs)
    }
}

impl Back {
    /// Closes the connection, after telling a client that sent no request so.
    pub(crate) async fn close(self, error: Option<&hyper::Error>) {
        let Some(mut stream) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let answer = error.filter(|error| error.is_parse()).map(|error| {
            let status = match error.is_parse_too_large() {
                true if error.to_string().contains("URI") => "414 URI Too Long",
                true => "431 Request Header Fields Too Large",
                false => "400 Bad Request",
            };
            format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        });
        let closing = async {
            if let Some(answer) = answer {
                stream.write_all(answer.as_bytes()).await?;
            }
            stream.shutdown().await?;
            // What the client still sends (the body that nobody read) is taken in, or its system would throw our answer
            // away with the connection. Only so much, and only for so long.
            let mut rest = [0; 4096];
            for _ in 0..64 {
                if stream.read(&mut rest).await? == 0 {
                    break;
                }
            }
            Ok::<(), Error>(())
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), closing).await;
    }
}
