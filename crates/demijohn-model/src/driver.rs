//! The seam to databases: a driver takes an owned [`Unit`] and hands rows to its sink. It knows no model.

use crate::BoxFuture;
use crate::error::{At, Result};
use crate::value::{Value, ValueRef};
use std::any::Any;

/// Which SQL a database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SQLite 3.35 or later.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
}

/// Work that a database does in one go: one job on SQLite, one pipeline level on PostgreSQL. Reads of one unit see one
/// state of the database.
pub struct Unit {
    /// The statements, in order.
    pub steps: Vec<Step>,
    /// Where the rows go; it comes back with [`Done`].
    pub sink: Box<dyn RowSink>,
    /// True when a step writes.
    pub writes: bool,
}

/// One statement.
pub struct Step {
    /// Its text; prepared statements are cached by it.
    pub sql: std::sync::Arc<str>,
    /// Its parameters, in order.
    pub params: Vec<Param>,
}

/// A parameter of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    /// A value.
    Value(Value),
    /// The values of one column of an earlier step of the unit, without repeats and NULLs, as one parameter: a JSON
    /// array on SQLite (read by `json_each`), an array on PostgreSQL.
    Keys {
        /// The step.
        step: usize,
        /// The column there.
        column: usize,
    },
    /// Values as one parameter in the same form.
    List(Vec<Value>),
}

/// Takes rows as they come, on the driver's own thread.
pub trait RowSink: Send {
    /// A row of step number `step`.
    ///
    /// # Errors
    /// An error ends the unit and is what [`Driver::run`] returns.
    fn row(&mut self, step: usize, columns: &[ValueRef<'_>]) -> Result<()>;

    /// The sink as what it is, for whoever made it.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

/// A sink for units that give no rows.
pub struct NoRows;

impl RowSink for NoRows {
    fn row(&mut self, _: usize, _: &[ValueRef<'_>]) -> Result<()> {
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// A unit that was carried out.
pub struct Done {
    /// The unit's sink, with the rows in it.
    pub sink: Box<dyn RowSink>,
    /// Rows that each step changed; empty for a unit that only reads.
    pub affected: Vec<u64>,
}

/// A database.
pub trait Driver: Send + Sync {
    /// Which SQL it speaks.
    fn dialect(&self) -> Dialect;

    /// Carries out a unit on a connection of its own choice; a unit that writes is one transaction.
    fn run(&self, unit: Unit) -> BoxFuture<'static, Result<Done>>;

    /// Leases a connection and begins a transaction on it. `at` names the holder when others have to wait too long.
    fn begin(&self, at: At) -> BoxFuture<'static, Result<Box<dyn Transaction>>>;

    /// Statements that are no units: DDL, one after another, outside a transaction of ours.
    fn batch(&self, sql: String) -> BoxFuture<'static, Result<()>>;
}

/// A leased connection inside a transaction. Dropped without [`Control::Commit`], it rolls back.
pub trait Transaction: Send + Sync {
    /// Carries out a unit inside the transaction.
    fn run(&self, unit: Unit) -> BoxFuture<'static, Result<Done>>;

    /// Steers the transaction.
    fn control(&self, control: Control) -> BoxFuture<'static, Result<()>>;

    /// Gives up without waiting, as `Drop` must: undoes what came since the savepoint of this depth, or with `None`
    /// rolls everything back and returns the connection. Work that is asked for afterwards fails.
    fn abandon(&self, savepoint: Option<u32>);
}

/// Opens a database by its URL.
pub type Open = fn(url: &str) -> Result<std::sync::Arc<dyn Driver>>;

/// The drivers that a site has, by URL scheme (`sqlite` in `sqlite://site.db`).
#[derive(Clone, Default)]
pub struct Drivers(pub Vec<(&'static str, Open)>);

impl Drivers {
    /// Opens the database that `url` names.
    ///
    /// # Errors
    /// When no driver has its scheme, or the driver cannot open it.
    pub fn open(&self, url: &str) -> Result<std::sync::Arc<dyn Driver>> {
        let scheme = url.split(':').next().unwrap_or_default();
        match self.0.iter().find(|(name, _)| *name == scheme) {
            Some((_, open)) => open(url),
            None => {
                let known: Vec<&str> = self.0.iter().map(|(name, _)| *name).collect();
                let known = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                if !url.contains(':') {
                    return Err(crate::Error::usage(format!(
                        "DATABASE_URL names no engine; write it as `engine://place` (enabled engines: {known})"
                    )));
                }
                Err(crate::Error::usage(format!(
                    "DATABASE_URL: no driver for `{scheme}:` (enabled: {known}); enable the feature of that engine"
                )))
            }
        }
    }
}

/// Steering a transaction. Savepoints are numbered by their depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Make it last; the transaction is over.
    Commit,
    /// Undo it all; the transaction is over.
    Rollback,
    /// Begin a savepoint.
    Savepoint(u32),
    /// Keep what came since the savepoint.
    Release(u32),
    /// Undo what came since the savepoint, and end it.
    RollbackTo(u32),
}
