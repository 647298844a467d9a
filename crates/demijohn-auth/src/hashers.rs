//! Threads for work that takes a core and much memory.
//!
//! A pool that lends any of its threads would do, but for the memory: allocators keep what a thread gave back for that thread, and after some logins
//! each thread of a large pool would hold the 19 MiB of a hash. Here there are as many such threads as cores.

use demijohn_core::http::StatusCode;
use demijohn_core::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The threads, once there is work. They end with this.
#[derive(Debug, Default)]
pub(crate) struct Hashers(Mutex<Option<Sender<Job>>>);

impl Hashers {
    /// Runs work when its turn comes; not at all when nobody waits for it any more.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            if !answer.is_closed() {
                // Whoever waited may be gone meanwhile.
                let _ = answer.send(work());
            }
        });
        self.queue(job)?;
        answered
            .await
            .map_err(|_| Error::internal("the hashing of a password panicked"))
    }

    fn queue(&self, job: Job) -> Result<()> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match &mut *jobs {
            Some(sender) => sender,
            none => none.insert(start()?),
        };
        sender.send(job).map_err(|_| no_thread())
    }
}

fn start() -> Result<Sender<Job>> {
    let (sender, receiver) = channel();
    let receiver = Arc::new(Mutex::new(receiver));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut started = 0;
    for _ in 0..cores {
        let receiver = Arc::clone(&receiver);
        let thread = std::thread::Builder::new().name("passwords".to_owned());
        started += usize::from(thread.spawn(move || work_on(&receiver)).is_ok());
    }
    match started {
        0 => Err(no_thread()),
        _ => Ok(sender),
    }
}

fn no_thread() -> Error {
    Error::internal("there is no thread to hash passwords on").with_status(StatusCode::SERVICE_UNAVAILABLE)
}

fn work_on(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // The one who waits hears of it by a channel that ends; the thread goes on.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::Hashers;

    #[tokio::test]
    async fn a_panic_is_the_error_of_one() {
        let hashers = Hashers::default();
        assert!(hashers.run(|| -> u8 { panic!("on purpose") }).await.is_err());
        let many = (0..50).map(|n| hashers.run(move || n * 2));
        let mut sum = 0;
        for one in many {
            sum += one.await.unwrap_or(0);
        }
        assert_eq!(sum, 2450);
    }
}
