//! What time it is: the machine's, or a test's.
//!
//! Two clocks in one, because they answer two questions. [`Clock::wall`] says when something signed or stored ends, which other processes and
//! a later run have to agree on. [`Clock::monotonic`] measures time-outs inside of one process, and does not jump when the machine's time is set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time as a site sees it. A clone is the same clock.
///
/// ```
/// use demijohn_core::Clock;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let clock = Clock::stopped(UNIX_EPOCH + Duration::from_secs(1_000));
/// let start = clock.monotonic();
///
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.wall(), UNIX_EPOCH + Duration::from_secs(1_060));
/// assert_eq!(clock.monotonic() - start, Duration::from_secs(60));
///
/// // Somebody sets the machine's time back by a day: time-outs do not care.
/// clock.set_wall(UNIX_EPOCH);
/// assert_eq!(clock.monotonic() - start, Duration::from_secs(60));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<Stopped>>);

#[derive(Debug)]
struct Stopped {
    /// Since the epoch.
    wall_nanos: AtomicU64,
    start: Instant,
    /// Since `start`.
    passed_nanos: AtomicU64,
}

impl Clock {
    /// The machine's clock, which is also the default.
    pub fn system() -> Self {
        Clock(None)
    }

    /// A clock for tests: it shows `wall` until it is set or advanced.
    pub fn stopped(wall: SystemTime) -> Self {
        Clock(Some(Arc::new(Stopped {
            wall_nanos: AtomicU64::new(since_epoch(wall)),
            start: Instant::now(),
            passed_nanos: AtomicU64::new(0),
        })))
    }

    /// The date and time, for what outlives the process: the end of a session, of a signature.
    pub fn wall(&self) -> SystemTime {
        match &self.0 {
            None => SystemTime::now(),
            Some(stopped) => UNIX_EPOCH + Duration::from_nanos(stopped.wall_nanos.load(Ordering::SeqCst)),
        }
    }

    /// A time that only goes forward, for time-outs inside of the process.
    pub fn monotonic(&self) -> Instant {
        match &self.0 {
            None => Instant::now(),
            Some(stopped) => {
                let passed = Duration::from_nanos(stopped.passed_nanos.load(Ordering::SeqCst));
                stopped.start.checked_add(passed).unwrap_or(stopped.start)
            }
        }
    }

    /// Lets time pass on a stopped clock, for both of its faces. The machine's clock is not moved.
    pub fn advance(&self, by: Duration) {
        if let Some(stopped) = &self.0 {
            let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
            for face in [&stopped.wall_nanos, &stopped.passed_nanos] {
                face.update(Ordering::SeqCst, Ordering::SeqCst, |nanos| nanos.saturating_add(by));
            }
        }
    }

    /// Sets the date and time of a stopped clock, as an administrator or a time server does: forward, or back. The machine's clock is not set.
    pub fn set_wall(&self, wall: SystemTime) {
        if let Some(stopped) = &self.0 {
            stopped.wall_nanos.store(since_epoch(wall), Ordering::SeqCst);
        }
    }
}

/// Nanoseconds, kept within what the number holds: from 1970 to 2554.
fn since_epoch(wall: SystemTime) -> u64 {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
