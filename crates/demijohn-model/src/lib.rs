//! What a model is and what is asked of a database, as plain data: no IO, no SQL, no web.
//!
//! - [`meta`]: the one metadata of a model, which database, forms, admin, REST and checks all read.
//! - [`value`] and [`field`]: values on their way to and from a driver, and the Rust types that become columns.
//! - [`tape`]: the statement tree; the typed and the string path write the same.
//! - [`driver`]: the seam to databases. A driver takes an owned [`Unit`](driver::Unit) and knows no model.
//! - [`error`]: why a query failed.

pub mod driver;
pub mod error;
pub mod field;
pub mod meta;
pub mod row;
pub mod tape;
pub mod value;

pub use error::{Error, Result};

/// A boxed `Send` future.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A moment in UTC. Databases keep microseconds: what is finer is cut off when it is saved.
pub type DateTime = jiff::Timestamp;
/// A date and time of day without a zone.
pub type NaiveDateTime = jiff::civil::DateTime;
/// A date of the calendar.
pub type Date = jiff::civil::Date;
/// A time of day.
pub type Time = jiff::civil::Time;
