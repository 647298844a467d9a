//! How long a client is waited for.

use crate::wire::{Busy, Wait};
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

/// How long a client may take; `None` for as long as it likes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// For the head of a request, from its first byte, and for the first byte of a new connection.
    pub(crate) head: Option<Duration>,
    /// Until the next request of a connection that had one.
    pub(crate) idle: Option<Duration>,
    /// Without taking what was written.
    pub(crate) write: Option<Duration>,
    /// For a handler to have its answer, while the client is not waited for.
    pub(crate) handler: Option<Duration>,
    /// The fewest bytes in a second, of bodies both ways; 0 for no such rule.
    pub(crate) rate: u32,
}

/// Looks in the time that a head may take.
const LOOKS: u32 = 10;
const LONGEST_STEP: Duration = Duration::from_secs(1);
const SHORTEST_STEP: Duration = Duration::from_millis(1);
/// A body is measured over so many looks.
const BODY_LOOKS: u32 = 10;

impl Times {
    fn step(&self) -> Option<Duration> {
        let bodies = (self.rate > 0).then_some(LONGEST_STEP * LOOKS);
        let shortest = [self.head, self.idle, self.write, self.handler, bodies]
            .into_iter()
            .flatten()
            .min()?;
        Some((shortest / LOOKS).clamp(SHORTEST_STEP, LONGEST_STEP))
    }
}

/// Ends a connection whose client keeps it waiting.
///
/// A timer that is set anew for every request costs more than the request's routing. This one looks now and then at what the connection
/// waits for and counts the looks that saw no change: so a time-out comes up to one look too early, and a process that was stopped for a
/// while does not hold it against its clients.
pub(crate) struct Patience {
    busy: Busy,
    times: Times,
    step: Duration,
    next: Pin<Box<tokio::time::Sleep>>,
    waits: Wait,
    /// Looks since that began, and what was counted then.
    quiet: u32,
    answered: usize,
    bytes: usize,
    has_given_up_body: bool,
}

/// What a look has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is well.
    GoOn,
    /// The body came too slowly, or the handler took too long; it is told when the connection is polled, which is to be soon.
    Told,
    /// The connection is to be closed.
    Over,
}

impl Patience {
    /// Nothing where nothing has a limit.
    pub(crate) fn new(busy: Busy, times: Times) -> Option<Self> {
        let step = times.step()?;
        Some(Patience {
            busy,
            times,
            step,
            next: Box::pin(tokio::time::sleep(step)),
            waits: Wait::Request,
            quiet: 0,
            answered: 0,
            bytes: 0,
            has_given_up_body: false,
        })
    }

    /// Looks, when it is time to; wakes the task for the next look.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Verdict {
        while self.next.as_mut().poll(cx).is_ready() {
            let verdict = self.look();
            if verdict == Verdict::Over {
                return verdict;
            }
            self.next.as_mut().reset(tokio::time::Instant::now() + self.step);
            if verdict == Verdict::Told {
                cx.waker().wake_by_ref();
                return verdict;
            }
        }
        Verdict::GoOn
    }

    fn look(&mut self) -> Verdict {
        let waits = self.busy.waits_for();
        // Where answers are kept back request by request, bytes that go out are the one sign that they are taken.
        let drains = waits == Wait::Request && self.busy.is_multiplexed();
        let bytes = match waits {
            Wait::Reading => self.busy.written(),
            _ if drains => self.busy.written(),
            _ => self.busy.read(),
        };
        let answered = self.busy.answered();
        // Bytes of a head are no progress, or a client could send one a second for ever.
        if waits != self.waits || answered != self.answered {
            (self.waits, self.quiet, self.answered, self.bytes) = (waits, 0, answered, bytes);
            return Verdict::GoOn;
        }
        self.quiet += 1;
        let (limit, by_rate) = match waits {
            // HTTP/2 looks at each of its requests.
            Wait::Nothing if self.busy.is_handling() => (self.times.handler, true),
            Wait::Nothing => (None, false),
            Wait::Head => (self.times.head, false),
            // Who never sent a byte has the time of a head for it.
            Wait::Request if answered == 0 => (self.times.head, false),
            Wait::Request => (self.times.idle, drains),
            Wait::Body => ((self.times.rate > 0).then(|| self.step * (BODY_LOOKS + 1)), true),
            Wait::Reading => (self.times.write, true),
        };
        let Some(limit) = limit else { return Verdict::GoOn };
        if self.step * (self.quiet + 1) < limit {
            return Verdict::GoOn;
        }
        if by_rate {
            let took = self.step * self.quiet;
            let rate = if waits == Wait::Nothing { 0 } else { self.times.rate };
            let least = (u128::from(rate) * took.as_millis() / 1000).max(1);
            if bytes.wrapping_sub(self.bytes) as u128 >= least {
                (self.quiet, self.bytes) = (0, bytes);
                return Verdict::GoOn;
            }
        }
        if waits == Wait::Nothing {
            self.quiet = 0;
            self.busy.set_overdue();
            return Verdict::Told;
        }
        if waits == Wait::Body && !self.has_given_up_body {
            self.has_given_up_body = true;
            (self.quiet, self.bytes) = (0, bytes);
            self.busy.give_up_body();
            return Verdict::Told;
        }
        Verdict::Over
    }
}
