//! How a server is told to end, and who hears of it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Lets a signal to end (SIGTERM, SIGINT) begin the end, and a second one end the program at once. They are listened for when this
/// returns: a server that says that it is ready is ready to end, too.
pub(crate) fn on_signals(stop: Stop) {
    let mut signals = Signals::new();
    tokio::spawn(async move {
        signals.next().await;
        stop.begin();
        signals.next().await;
        tracing::warn!("second signal: ending at once");
        std::process::exit(130);
    });
}

/// SIGTERM and SIGINT.
struct Signals {
    #[cfg(unix)]
    kinds: Vec<tokio::signal::unix::Signal>,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> Signals {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        let kinds = kinds
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .unwrap_or_else(|error| {
                tracing::error!("signals cannot be watched, the server stops only when it is killed: {error}");
                Vec::new()
            });
        Signals { kinds }
    }

    #[cfg(not(unix))]
    fn new() -> Signals {
        Signals {}
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        poll_fn(
            |cx| match self.kinds.iter_mut().any(|kind| kind.poll_recv(cx).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            },
        )
        .await;
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The switch that ends a server, and what it wakes.
#[derive(Clone, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Default)]
struct StopState {
    begun: AtomicBool,
    next: AtomicUsize,
    /// Tasks to be told. A connection looks at the flag whenever it is polled and is woken once, so a request pays nothing.
    wakers: Mutex<HashMap<usize, Waker>>,
}

impl Stop {
    /// A switch that is not thrown.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Begins the end: no more connections, requests that run are finished.
    pub fn begin(&self) {
        self.0.begun.store(true, Ordering::SeqCst);
        let wakers = std::mem::take(&mut *self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_values().for_each(Waker::wake);
    }

    pub(super) fn begun(&self) -> bool {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// A place among those to be woken.
    pub(super) fn seat(&self) -> Seat<'_> {
        Seat {
            stop: self,
            key: self.0.next.fetch_add(1, Ordering::Relaxed),
            taken: false,
        }
    }

    pub(crate) async fn wait(&self) {
        let mut seat = self.seat();
        poll_fn(|cx| {
            seat.take(cx.waker());
            if self.0.begun.load(Ordering::SeqCst) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

pub(super) struct Seat<'a> {
    stop: &'a Stop,
    key: usize,
    taken: bool,
}

impl Seat<'_> {
    /// A task keeps its waker, so the first one is the right one.
    pub(super) fn take(&mut self, waker: &Waker) {
        if !self.taken {
            self.taken = true;
            let mut wakers = self.stop.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            wakers.insert(self.key, waker.clone());
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if self.taken {
            let mut wakers = self.stop.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            wakers.remove(&self.key);
        }
    }
}
