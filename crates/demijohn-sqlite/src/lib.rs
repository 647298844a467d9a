//! SQLite for Demijohn.

use demijohn_model::driver::{Dialect, Done, Driver, Transaction, Unit};
use demijohn_model::error::At;
use demijohn_model::{BoxFuture, Error, Result};

/// A SQLite database.
pub struct Sqlite {}

impl Sqlite {
    /// Opens a database.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(url: &str) -> Result<Sqlite> {
        let _ = url;
        Ok(Sqlite {})
    }
}

impl Driver for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn run(&self, _: Unit) -> BoxFuture<'static, Result<Done>> {
        Box::pin(async { Err(Error::usage("not there yet")) })
    }

    fn begin(&self, _: At) -> BoxFuture<'static, Result<Box<dyn Transaction>>> {
        Box::pin(async { Err(Error::usage("not there yet")) })
    }

    fn batch(&self, _: String) -> BoxFuture<'static, Result<()>> {
        Box::pin(async { Err(Error::usage("not there yet")) })
    }
}
