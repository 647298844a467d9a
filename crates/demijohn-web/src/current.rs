//! The request at hand, for functions that a handler calls without handing it on (Flask's `request` and `g`).
//!
//! While a handler's future is polled, its request is lent to the thread; between polls it is back in its place. So two
//! requests never see each other, whatever thread they run on, and nothing is shared or counted for it.
//!
//! ```
//! use demijohn_web::{current, get, Application};
//!
//! /// Knows the visitor's language, and takes no arguments for it.
//! fn greeting() -> &'static str {
//!     match current::with(|request| request.header("accept-language") == Some("de")) {
//!         Some(true) => "Guten Tag",
//!         _ => "Good day",
//!     }
//! }
//!
//! # demijohn_web::test::block_on(async {
//! let client = Application::new().route("/", get(async || greeting())).test_client();
//! assert_eq!(client.get("/").header("accept-language", "de").await.text(), "Guten Tag");
//! # });
//! ```
//!
//! It is there in handlers. Hooks, middleware and extractors are given the request itself.

use demijohn_core::Request;
use pin_project_lite::pin_project;
use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

thread_local! {
    /// Holds a placeholder when no handler is being polled.
    static CURRENT: RefCell<Slot> = RefCell::new(Slot { request: Request::placeholder(), depth: 0 });
}

struct Slot {
    request: Request,
    depth: usize,
}

/// Reads or changes the request whose handler is running; `None` outside of one, and inside another `with`.
pub fn with<R>(f: impl FnOnce(&mut Request) -> R) -> Option<R> {
    CURRENT.with(|slot| {
        let mut slot = slot.try_borrow_mut().ok()?;
        (slot.depth > 0).then(|| f(&mut slot.request))
    })
}

/// Polls `future` with `request` lent to the thread.
pub(crate) fn lend<'a, F: Future>(request: &'a mut Request, future: F) -> Lend<'a, F> {
    Lend { request, future }
}

pin_project! {
    pub(crate) struct Lend<'a, F> {
        request: &'a mut Request,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Lend<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _back = swap_in(this.request);
        this.future.poll(cx)
    }
}

/// Swaps the request with what the thread holds, and back when dropped, also by a panic.
fn swap_in(request: &mut Request) -> Back<'_> {
    swap(request, 1);
    Back(request)
}

struct Back<'a>(&'a mut Request);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        swap(self.0, -1);
    }
}

fn swap(request: &mut Request, step: isize) {
    // The thread's storage is gone only while the thread ends, and the slot is borrowed only inside `with`, which
    // polls nothing; in either case there is nobody to lend to.
    let _ = CURRENT.try_with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut() {
            std::mem::swap(request, &mut slot.request);
            slot.depth = slot.depth.wrapping_add_signed(step);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{lend, with};
    use demijohn_core::Request;

    #[test]
    fn a_request_inside_a_request_gives_the_outer_one_back() {
        fn named(name: &'static str) -> Request {
            let mut request = Request::placeholder();
            request.extensions_mut().insert(name);
            request
        }
        let name = || with(|request| *request.extensions().get::<&'static str>().expect("named"));
        let (mut outer, mut inner) = (named("outer"), named("inner"));
        crate::test::block_on(async {
            assert_eq!(name(), None);
            lend(&mut outer, async {
                assert_eq!(name(), Some("outer"));
                lend(&mut inner, async { assert_eq!(name(), Some("inner")) }).await;
                assert_eq!(name(), Some("outer"));
            })
            .await;
            assert_eq!(name(), None);
        });
        assert_eq!(outer.extensions().get(), Some(&"outer"));
    }
}
