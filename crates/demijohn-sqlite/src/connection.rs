//! One connection: opening it, and carrying out units on it.

use crate::fault;
use crate::key_list::{Keys, json};
use crate::location::Location;
use demijohn_model::driver::{Done, Param, RowSink, Step, Unit};
use demijohn_model::value::{Value, ValueRef};
use demijohn_model::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, Statement};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// How long SQLite waits for another process.
const BUSY: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection.
const STATEMENTS: usize = 200;

/// What a connection may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Opens a connection.
pub(crate) fn open(location: &Location, access: Access) -> Result<Connection> {
    let failed = |error| fault::of_opening(error, location);
    // No thread but its own uses a connection, so SQLite need not lock.
    let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags |= match location.read_only {
        true => OpenFlags::SQLITE_OPEN_READ_ONLY,
        false => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    };
    let connection = match location.path() {
        Some(path) => Connection::open_with_flags(path, flags),
        None => Connection::open_in_memory_with_flags(flags),
    }
    .map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(BUSY).map_err(failed)?;
    // A misspelt "column" is an error, not a text; and no one edits the schema table.
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        // Else each change of a bound LIMIT prepares the statement anew, to plan with its value: 4 us a query.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
    ] {
        connection.set_db_config(setting, on).map_err(failed)?;
    }
    connection.execute_batch("PRAGMA foreign_keys = ON").map_err(failed)?;
    match access {
        Access::Read => connection.execute_batch("PRAGMA query_only = ON").map_err(failed)?,
        Access::Write if location.path().is_some() => journal(&connection).map_err(failed)?,
        Access::Write => {}
    }
    Ok(connection)
}

/// Write-ahead log: readers and the writer do not wait for each other.
fn journal(connection: &Connection) -> rusqlite::Result<()> {
    let wal = || connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()));
    let mut tries = 0;
    loop {
        match wal() {
            Ok(()) => break,
            // The change of mode does not wait by itself when another process opens the file at the same moment.
            Err(error) if tries < 100 && error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            // A file that may only be read is read as it is.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => break,
            Err(error) => return Err(error),
        }
    }
    connection.execute_batch("PRAGMA synchronous = NORMAL")
}

/// A statement of ours, such as BEGIN.
pub(crate) fn command(connection: &Connection, sql: &str, location: &Location) -> Result<()> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.raw_execute())
        .map(|_| ())
        .map_err(|error| fault::of_statement(error, sql, location))
}

/// Carries out a unit between `begin` and `end`; undoes it with `undo` when a step fails.
pub(crate) fn run_between(
    connection: &Connection,
    unit: Unit,
    location: &Location,
    [begin, end, undo]: [&str; 3],
) -> Result<Done> {
    command(connection, begin, location)?;
    let done = run(connection, unit, location).and_then(|done| command(connection, end, location).map(|()| done));
    if done.is_err() && !connection.is_autocommit() {
        // The first error is the one to tell; when undoing fails too, SQLite has done it by itself.
        let _ = connection.execute_batch(undo);
    }
    done
}

/// Hands rows to a sink; a panic there is an error of that unit alone, and the connection stays good.
fn guarded<T>(job: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Err(Error::usage(format!("reading the rows panicked: {message}")))
    })
}

/// Carries out the steps of a unit.
pub(crate) fn run(connection: &Connection, unit: Unit, location: &Location) -> Result<Done> {
    guarded(|| steps(connection, unit, location))
}

fn steps(connection: &Connection, unit: Unit, location: &Location) -> Result<Done> {
    let Unit {
        steps,
        mut sink,
        writes,
    } = unit;
    let mut keys = Keys::wanted(&steps);
    let mut affected = Vec::new();
    let mut row = Vec::new();
    // Steps of one text follow each other in a batch: the statement is looked up once.
    let mut prepared: Option<(CachedStatement<'_>, &str)> = None;
    for (number, step) in steps.iter().enumerate() {
        let failed = |error| fault::of_statement(error, &step.sql, location);
        let mut statement = match prepared.take() {
            Some((statement, sql)) if *sql == *step.sql => statement,
            _ => connection.prepare_cached(&step.sql).map_err(failed)?,
        };
        bind(&mut statement, step, &mut keys).map_err(|error| match error {
            Bind::Ours(error) => error,
            Bind::Sqlite(error) => failed(error),
        })?;
        let reads = statement.readonly();
        row = rows(&mut statement, number, &mut *sink, &mut keys, row).map_err(|error| match error {
            Bind::Ours(error) => error,
            Bind::Sqlite(error) => failed(error),
        })?;
        if writes {
            affected.push(if reads { 0 } else { connection.changes() });
        }
        prepared = Some((statement, &step.sql));
    }
    Ok(Done { sink, affected })
}

/// An error of either side.
enum Bind {
    Ours(Error),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Bind {
    fn from(error: rusqlite::Error) -> Self {
        Bind::Sqlite(error)
    }
}

impl From<Error> for Bind {
    fn from(error: Error) -> Self {
        Bind::Ours(error)
    }
}

/// Hands the rows of a statement to the sink. Takes and gives back the buffer for one row.
fn rows(
    statement: &mut Statement<'_>,
    number: usize,
    sink: &mut dyn RowSink,
    keys: &mut Keys,
    buffer: Vec<ValueRef<'static>>,
) -> Result<Vec<ValueRef<'static>>, Bind> {
    let count = statement.column_count();
    let mut buffer = buffer;
    let mut rows = statement.raw_query();
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(buffer),
            Err(error) => return Err(error.into()),
        };
        let mut columns: Vec<ValueRef<'_>> = emptied(buffer);
        for column in 0..count {
            columns.push(value_ref(row.get_ref(column)?, || column_name(row, column))?);
        }
        keys.take(number, &columns);
        sink.row(number, &columns)?;
        buffer = emptied(columns);
    }
}

/// The same allocation for values of another life.
fn emptied<'b>(mut values: Vec<ValueRef<'_>>) -> Vec<ValueRef<'b>> {
    values.clear();
    // Collecting in place keeps the allocation: both types have the same layout.
    values.into_iter().map(|_| ValueRef::Null).collect()
}

fn column_name(row: &rusqlite::Row<'_>, column: usize) -> String {
    let statement: &Statement<'_> = row.as_ref();
    statement.column_name(column).unwrap_or("?").to_owned()
}

fn value_ref<'r>(value: rusqlite::types::ValueRef<'r>, name: impl FnOnce() -> String) -> Result<ValueRef<'r>> {
    Ok(match value {
        rusqlite::types::ValueRef::Null => ValueRef::Null,
        rusqlite::types::ValueRef::Integer(i) => ValueRef::Int(i),
        rusqlite::types::ValueRef::Real(x) => ValueRef::Float(x),
        rusqlite::types::ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => ValueRef::Text(text),
            Err(_) => return Err(Error::decode("text", "bytes that are no UTF-8").in_column(name())),
        },
        rusqlite::types::ValueRef::Blob(bytes) => ValueRef::Bytes(bytes),
    })
}

fn bind(statement: &mut Statement<'_>, step: &Step, keys: &mut Keys) -> Result<(), Bind> {
    let expected = statement.parameter_count();
    if expected != step.params.len() {
        return Err(Error::usage(format!(
            "the statement has {expected} placeholders, but {} parameters were given: `{}`",
            step.params.len(),
            step.sql
        ))
        .into());
    }
    for (i, param) in step.params.iter().enumerate() {
        let at = i + 1;
        match param {
            Param::Value(Value::Null) => statement.raw_bind_parameter(at, rusqlite::types::Null)?,
            Param::Value(Value::Bool(b)) => statement.raw_bind_parameter(at, b)?,
            Param::Value(Value::Int(i)) => statement.raw_bind_parameter(at, i)?,
            Param::Value(Value::Float(x)) => statement.raw_bind_parameter(at, x)?,
            Param::Value(Value::Text(text)) => statement.raw_bind_parameter(at, text.as_str())?,
            Param::Value(Value::Bytes(bytes)) => statement.raw_bind_parameter(at, bytes.as_slice())?,
            Param::Value(time) => statement.raw_bind_parameter(at, crate::key_list::time_text(time))?,
            Param::List(values) => statement.raw_bind_parameter(at, json(values)?)?,
            Param::Keys { step, column } => statement.raw_bind_parameter(at, keys.json(*step, *column)?)?,
        }
    }
    Ok(())
}
