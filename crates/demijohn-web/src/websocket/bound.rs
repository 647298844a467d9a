//! A socket that somebody who is logged in has opened ends with their session.

use crate::dispatch::{Caught, caught, panic_text};
use demijohn_core::BoxFuture;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Tells whether the session is still there.
pub(crate) type Proof = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// Asks for it, time and again.
pub(super) struct Bound {
    proof: Proof,
    every: Duration,
    next: Pin<Box<Sleep>>,
    asking: Option<Caught<BoxFuture<'static, bool>>>,
}

impl Bound {
    pub(super) fn new(proof: Proof, every: Duration) -> Bound {
        Bound {
            proof,
            every,
            next: Box::pin(tokio::time::sleep(every)),
            asking: None,
        }
    }

    /// True when the session is gone; wakes the task for the next time.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let Some(asking) = &mut self.asking else {
                if self.next.as_mut().poll(cx).is_pending() {
                    return false;
                }
                self.asking = Some(caught((self.proof)()));
                continue;
            };
            match Pin::new(asking).poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(false)) => return true,
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Err(panic)) => tracing::error!("asking for a session panicked: {}", panic_text(&*panic)),
            }
            self.asking = None;
            self.next.as_mut().reset(Instant::now() + self.every);
        }
    }
}
