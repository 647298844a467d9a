//! Faults on demand: a test lets the N-th step of a kind fail, for every N, and looks at what is left.
//!
//! What goes out of the process has a seam that such a counter fits in: the database (`demijohn_orm::faults`), files, the clock
//! ([`Clock`](crate::Clock)). In a site that serves nobody counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the steps that pass a seam, and tells one of them to fail. A clone is the same counter.
///
/// ```
/// use demijohn_core::faults::Faults;
///
/// let faults = Faults::default();
/// faults.fail_at(2);
/// assert_eq!([faults.strikes(), faults.strikes(), faults.strikes()], [false, true, false]);
/// assert_eq!(faults.passed(), 3);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Counter>);

#[derive(Debug, Default)]
struct Counter {
    passed: AtomicU64,
    /// The step to fail; 0 for none.
    fail_at: AtomicU64,
}

impl Faults {
    /// Counts anew, and lets step `n` fail, counted from 1. With 0 none fails.
    pub fn fail_at(&self, n: u64) {
        self.0.passed.store(0, Ordering::SeqCst);
        self.0.fail_at.store(n, Ordering::SeqCst);
    }

    /// One more step: true when it is the one to fail. The seam calls this.
    pub fn strikes(&self) -> bool {
        let step = self.0.passed.fetch_add(1, Ordering::SeqCst) + 1;
        step == self.0.fail_at.load(Ordering::SeqCst)
    }

    /// Steps since [`fail_at`](Self::fail_at): a loop over N ends when N is beyond what a good run takes.
    pub fn passed(&self) -> u64 {
        self.0.passed.load(Ordering::SeqCst)
    }
}

/// What lets steps on files fail: a test puts it into the site's bag, before the site is built.
#[derive(Clone, Debug, Default)]
pub struct FileFaults(pub Faults);

impl FileFaults {
    /// One more step on a file. The seam calls this before each.
    ///
    /// # Errors
    /// No room on the disk, when this is the step to fail.
    pub fn step(&self) -> std::io::Result<()> {
        match self.0.strikes() {
            true => Err(std::io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}
