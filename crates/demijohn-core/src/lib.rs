//! The ground floor of Demijohn: the types and traits that every other crate meets on.
//!
//! Nothing here does IO (but for reading settings) and nothing here knows a battery. A crate that only adds an extractor, a reply, a check or a
//! command depends on this crate alone:
//!
//! - [`Error`] is the one error type of handlers: what the client reads and what the log reads are two things.
//! - [`Request`] is what extractors, hooks and middleware see; [`Extract`] makes a handler argument out of it and
//!   [`Reply`] makes a response out of what the handler returned. Both describe themselves into an [`Operation`].
//! - [`Part`] is the open door of assembly: whatever a blueprint or the site takes (`.models()`, `.admin()`, a
//!   database) is a part that writes into the [`Site`]'s typed bag.
//! - [`Clock`] is the time, [`session`] what sessions and accounts agree on, [`storage`] where files are kept.
//! - [`Settings`], [`Check`](check::Check) and [`Command`](command::Command) are how a site is configured, examined
//!   and driven.

pub mod body;
pub mod check;
pub mod clock;
pub mod command;
mod configure;
pub mod error;
pub mod extract;
pub mod faults;
pub mod reply;
pub mod request;
pub mod session;
pub mod settings;
pub mod site;
pub mod storage;

pub use body::Body;
pub use clock::Clock;
pub use configure::Configure;
pub use error::{BoxError, Error, Fault, Place, Result};
pub use extract::{Extract, Needs, Operation, Parameter, Rejection};
pub use reply::{Reply, Response};
pub use request::Request;
pub use settings::Settings;
pub use site::{Assemble, Bag, Part, Site};

/// A boxed `Send` future: what trait objects of asynchronous functions return.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub use http;
