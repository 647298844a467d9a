//! Why a query failed.

use std::fmt;
use std::panic::Location;

/// `std::result::Result` with the ORM's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a query failed. One word wide; asked by method, so that it can grow.
#[derive(Debug)]
pub struct Error(Box<Kind>);

/// A place in the user's program.
pub type At = &'static Location<'static>;

#[derive(Debug)]
enum Kind {
    NotFound {
        model: &'static str,
    },
    MultipleReturned {
        model: &'static str,
    },
    NotLoaded {
        model: &'static str,
        relation: &'static str,
        query_at: Option<At>,
    },
    Decode {
        expected: &'static str,
        found: String,
        column: Option<String>,
    },
    Constraint {
        which: Constraint,
        columns: Vec<String>,
        detail: String,
    },
    Invalid {
        model: &'static str,
        field: &'static str,
        message: String,
    },
    Usage(String),
    Lookup {
        key: String,
        message: String,
    },
    Busy(String),
    Disconnected(String),
    Sql {
        message: String,
        sql: String,
    },
}

/// The kind of constraint that refused a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// Another row has this value already.
    Unique,
    /// The row that is pointed at does not exist, or is still pointed at.
    ForeignKey,
    /// A column must have a value.
    NotNull,
    /// A CHECK constraint.
    Check,
}

impl Error {
    /// No row where one was asked for.
    pub fn not_found(model: &'static str) -> Self {
        Error(Box::new(Kind::NotFound { model }))
    }

    /// More than one row where one was asked for.
    pub fn multiple_returned(model: &'static str) -> Self {
        Error(Box::new(Kind::MultipleReturned { model }))
    }

    /// A relation was read that the query did not load.
    pub fn not_loaded(model: &'static str, relation: &'static str, query_at: Option<At>) -> Self {
        Error(Box::new(Kind::NotLoaded {
            model,
            relation,
            query_at,
        }))
    }

    /// A column held something else than the field's type.
    pub fn decode(expected: &'static str, found: impl Into<String>) -> Self {
        Error(Box::new(Kind::Decode {
            expected,
            found: found.into(),
            column: None,
        }))
    }

    /// A constraint of the database refused the row; `columns` as far as the database names them.
    pub fn constraint(which: Constraint, columns: Vec<String>, detail: impl Into<String>) -> Self {
        Error(Box::new(Kind::Constraint {
            which,
            columns,
            detail: detail.into(),
        }))
    }

    /// A value breaks the field's own rule (its `max_length`, its choices).
    pub fn invalid(model: &'static str, field: &'static str, message: impl Into<String>) -> Self {
        Error(Box::new(Kind::Invalid {
            model,
            field,
            message: message.into(),
        }))
    }

    /// The query is built in a way that has no meaning; the message says what to write.
    pub fn usage(message: impl Into<String>) -> Self {
        Error(Box::new(Kind::Usage(message.into())))
    }

    /// A lookup given as text (`author__email__icontains`) does not fit the model.
    pub fn lookup(key: impl Into<String>, message: impl Into<String>) -> Self {
        Error(Box::new(Kind::Lookup {
            key: key.into(),
            message: message.into(),
        }))
    }

    /// The database did not get to it in time (pool exhausted, writer leased); worth trying again.
    pub fn busy(message: impl Into<String>) -> Self {
        Error(Box::new(Kind::Busy(message.into())))
    }

    /// The database cannot be reached or opened.
    pub fn disconnected(message: impl Into<String>) -> Self {
        Error(Box::new(Kind::Disconnected(message.into())))
    }

    /// The database refused the statement.
    pub fn sql(message: impl Into<String>, sql: impl Into<String>) -> Self {
        Error(Box::new(Kind::Sql {
            message: message.into(),
            sql: sql.into(),
        }))
    }

    /// Names the column of a decoding error.
    #[must_use]
    pub fn in_column(mut self, name: impl Into<String>) -> Self {
        if let Kind::Decode { column, .. } = &mut *self.0 {
            column.get_or_insert_with(|| name.into());
        }
        self
    }

    /// True when there was no row.
    pub fn is_not_found(&self) -> bool {
        matches!(*self.0, Kind::NotFound { .. })
    }

    /// True when there was more than one row.
    pub fn is_multiple_returned(&self) -> bool {
        matches!(*self.0, Kind::MultipleReturned { .. })
    }

    /// True when a relation was read that was not loaded.
    pub fn is_not_loaded(&self) -> bool {
        matches!(*self.0, Kind::NotLoaded { .. })
    }

    /// True when a unique constraint refused the row; [`columns`](Self::columns) names it, so that a form can show it
    /// at its field.
    pub fn is_unique(&self) -> bool {
        matches!(
            *self.0,
            Kind::Constraint {
                which: Constraint::Unique,
                ..
            }
        )
    }

    /// The constraint that refused the row.
    pub fn violated(&self) -> Option<Constraint> {
        match &*self.0 {
            Kind::Constraint { which, .. } => Some(*which),
            _ => None,
        }
    }

    /// The columns of the constraint that refused the row, as far as the database names them.
    pub fn columns(&self) -> &[String] {
        match &*self.0 {
            Kind::Constraint { columns, .. } => columns,
            _ => &[],
        }
    }

    /// The field whose own rule a value breaks, with the rule in words.
    pub fn invalid_field(&self) -> Option<(&'static str, &str)> {
        match &*self.0 {
            Kind::Invalid { field, message, .. } => Some((field, message)),
            _ => None,
        }
    }

    /// True when the same may succeed a moment later: answered with 503.
    pub fn is_unavailable(&self) -> bool {
        matches!(*self.0, Kind::Busy(_) | Kind::Disconnected(_))
    }

    /// True for a lookup in text form that does not fit the model: the client's fault, 400.
    pub fn is_lookup(&self) -> bool {
        matches!(*self.0, Kind::Lookup { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::NotFound { model } => write!(f, "no {model} matches the query"),
            Kind::MultipleReturned { model } => {
                write!(
                    f,
                    "more than one {model} matches the query; use `.first(&db)` if any of them will do"
                )
            }
            Kind::NotLoaded {
                model,
                relation,
                query_at,
            } => {
                write!(
                    f,
                    "{model}.{relation} was not loaded; add `.select_related(|x| x.{relation}())` (for a to-many relation `.prefetch_related(|x| x.{relation}())`) to the query"
                )?;
                if let Some(at) = query_at {
                    write!(f, " built at {at}")?;
                }
                write!(f, ", or await `.load(&db)`")
            }
            Kind::Decode {
                expected,
                found,
                column,
            } => match column {
                Some(column) => write!(f, "column {column} should hold {expected}, found {found}"),
                None => write!(f, "a column should hold {expected}, found {found}"),
            },
            Kind::Constraint { which, columns, detail } => {
                let what = match which {
                    Constraint::Unique => "another row has this value already",
                    Constraint::ForeignKey => "a row that is pointed at does not exist, or is still pointed at",
                    Constraint::NotNull => "a value is required",
                    Constraint::Check => "a check constraint refused the row",
                };
                match columns.is_empty() {
                    true => write!(f, "{what} ({detail})"),
                    false => write!(f, "{what}: {}", columns.join(", ")),
                }
            }
            Kind::Invalid { model, field, message } => write!(f, "{model}.{field}: {message}"),
            Kind::Usage(message) | Kind::Busy(message) | Kind::Disconnected(message) => f.write_str(message),
            Kind::Lookup { key, message } => write!(f, "lookup \"{key}\": {message}"),
            Kind::Sql { message, sql } => write!(f, "{message} in `{sql}`"),
        }
    }
}

impl std::error::Error for Error {}
