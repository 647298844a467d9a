//! What somebody who is logged in has opened and stays open, a socket or events, ends with their session.

use crate::dispatch::{Caught, caught, panic_text};
use demijohn_core::BoxFuture;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Tells whether the session is still there.
pub(crate) type Proof = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// Asks for it, time and again.
pub(crate) struct Bound {
    proof: Proof,
    every: Duration,
    next: Pin<Box<Sleep>>,
    asking: Option<Caught<BoxFuture<'static, bool>>>,
    gone: bool,
}

impl Bound {
    #[cfg(feature = "sessions")]
    pub(crate) fn new(proof: Proof, every: Duration) -> Bound {
        Bound {
            proof,
            every,
            next: Box::pin(tokio::time::sleep(every)),
            asking: None,
            gone: false,
        }
    }

    /// True when the session is gone; wakes the task for the next time.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.gone {
            let Some(asking) = &mut self.asking else {
                if self.next.as_mut().poll(cx).is_pending() {
                    return false;
                }
                self.asking = Some(caught((self.proof)()));
                continue;
            };
            match Pin::new(asking).poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(still)) => self.gone = !still,
                Poll::Ready(Err(panic)) => tracing::error!("asking for a session panicked: {}", panic_text(&*panic)),
            }
            self.asking = None;
            self.next.as_mut().reset(Instant::now() + self.every);
        }
        true
    }
}

/// A body that ends with a session.
#[cfg(feature = "sessions")]
pub(crate) struct Ending {
    body: demijohn_core::Body,
    bound: Bound,
}

#[cfg(feature = "sessions")]
impl Bound {
    /// Makes this the end of a body, too.
    pub(crate) fn ends(self, body: demijohn_core::Body) -> Ending {
        Ending { body, bound: self }
    }
}

#[cfg(feature = "sessions")]
impl http_body::Body for Ending {
    type Data = bytes::Bytes;
    type Error = demijohn_core::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        if this.bound.poll_gone(cx) {
            this.body = demijohn_core::Body::empty();
        }
        Pin::new(&mut this.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
