//! SQLite's errors as the ORM's.

use crate::location::Location;
use demijohn_model::Error;
use demijohn_model::error::Constraint;
use rusqlite::ErrorCode;
use std::path::Path;

/// What went wrong with a statement.
pub(crate) fn of_statement(error: rusqlite::Error, sql: &str, location: &Location) -> Error {
    let (code, extended, message) = match &error {
        rusqlite::Error::SqliteFailure(failure, message) => (
            failure.code,
            failure.extended_code,
            message.clone().unwrap_or_else(|| failure.to_string()),
        ),
        rusqlite::Error::SqlInputError { error, msg, .. } => (error.code, error.extended_code, msg.clone()),
        other => return Error::sql(other.to_string(), sql),
    };
    match code {
        ErrorCode::ConstraintViolation => constraint(extended, &message),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::busy(format!(
            "{location} is locked by another process that has been writing for too long; try again"
        )),
        ErrorCode::DiskFull => Error::disconnected(format!(
            "no room left for {location}: the disk is full; what was being written was rolled back"
        )),
        ErrorCode::ReadOnly => Error::disconnected(read_only(location)),
        ErrorCode::CannotOpen => Error::disconnected(cannot_open(location, &message)),
        ErrorCode::NotADatabase => Error::disconnected(not_a_database(location)),
        ErrorCode::DatabaseCorrupt => Error::disconnected(damaged(location, &message)),
        ErrorCode::SystemIoFailure => Error::disconnected(format!("{location} cannot be read or written: {message}")),
        _ => match message.strip_prefix("no such table: ") {
            Some(table) => Error::sql(
                format!("no such table: {table}; have the migrations been applied to {location}?"),
                sql,
            ),
            None => Error::sql(message, sql),
        },
    }
}

fn damaged(location: &Location, message: &str) -> String {
    format!("{location} is damaged ({message}); restore it from a backup, or set DATABASE_URL to another file")
}

/// Why a database did not open.
pub(crate) fn of_opening(error: rusqlite::Error, location: &Location) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) => Error::disconnected(cannot_open(location, &error.to_string())),
        Some(ErrorCode::NotADatabase) => Error::disconnected(not_a_database(location)),
        Some(ErrorCode::DatabaseCorrupt) => Error::disconnected(damaged(location, &error.to_string())),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::busy(format!(
            "{location} is locked by another process; stop that process, or try again"
        )),
        _ => Error::disconnected(format!("cannot open {location}: {error}")),
    }
}

fn constraint(extended: i32, message: &str) -> Error {
    use rusqlite::ffi;
    let which = match extended {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            Constraint::Unique
        }
        ffi::SQLITE_CONSTRAINT_NOTNULL => Constraint::NotNull,
        // ON DELETE RESTRICT is carried out as a trigger, and says so in its code only.
        _ if message.starts_with("FOREIGN KEY") => Constraint::ForeignKey,
        _ => Constraint::Check,
    };
    // `UNIQUE constraint failed: blog_article.slug, blog_article.language`
    let names = message.split_once(": ").map_or("", |(_, names)| names);
    let columns = match which {
        // An index over expressions is named instead: `index 'name'`.
        Constraint::Unique | Constraint::NotNull if !names.starts_with("index ") => names
            .split(", ")
            .map(|name| name.rsplit_once('.').map_or(name, |(_, column)| column).to_owned())
            .collect(),
        _ => Vec::new(),
    };
    Error::constraint(which, columns, message)
}

fn read_only(location: &Location) -> String {
    match location.read_only {
        true => format!("{location} is read-only: DATABASE_URL says `mode=ro`"),
        false => {
            format!("{location} is read-only: make the file and its folder writable for the user that runs the site")
        }
    }
}

fn not_a_database(location: &Location) -> String {
    format!(
        "{location} is not a SQLite database (or is encrypted); set DATABASE_URL to another file, or move this one away"
    )
}

fn cannot_open(location: &Location, message: &str) -> String {
    let Some(path) = location.path() else {
        return format!("cannot open {location}: {message}");
    };
    if path.is_dir() {
        return format!("{location} is a folder, not a database file; set DATABASE_URL to a file in it");
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    if !folder.exists() {
        return format!(
            "the folder {} does not exist: create it, or set DATABASE_URL",
            folder.display()
        );
    }
    if !folder.is_dir() {
        return format!(
            "{} is not a folder, so {location} cannot be in it; set DATABASE_URL",
            folder.display()
        );
    }
    if !path.exists() && location.read_only {
        return format!("{location} does not exist, and `mode=ro` in DATABASE_URL forbids creating it");
    }
    format!(
        "cannot open {location}: {message}; make the file and its folder readable and writable for the user that runs the site"
    )
}
