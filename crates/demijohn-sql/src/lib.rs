//! From the statement tree of `demijohn-model` to SQL text and parameters, per dialect: no IO, no types of models.
//!
//! - [`compile`] writes one statement. The text depends on the shape of the statement only, never on its values (lists of
//!   values are one parameter), so that drivers cache prepared statements by it.
//! - [`create_tables`] writes the tables of models.
//!
//! # What a query means
//! - **To-one relations** are joins, one per distinct path: INNER where every foreign key on the way is NOT NULL, LEFT
//!   OUTER otherwise. The key of a related row needs no join: it is the foreign key's own column.
//! - **To-many relations in a condition** are semi-joins: each comparison is an `EXISTS` of its own, so no row comes twice;
//!   `NOT` over it is "no related row does". Several conditions on the *same* related row: `Op::Related`.
//!   `IS NULL` over one is true when there is no related row (or one whose column is NULL), as in Django; its negation
//!   when there is a related row whose column is not NULL.
//! - **Aggregates over to-many relations** are subqueries of their own, so two counts never multiply.
//! - **`Ne` and `Not`** count NULL as "not equal" and "not true", as Django's `exclude` does.
//! - **A year compared with a value** is a range of the column, so that an index is used.
//! - **Text on SQLite**: the lookups that ignore case do so for ASCII letters only, as Django documents it there; the
//!   others heed case (Django's do not on SQLite, but do on PostgreSQL).

mod change;
mod ddl;
mod expr;
mod join;
mod select;
mod writer;

use demijohn_model::Result;
use demijohn_model::driver::{Dialect, Step};
use demijohn_model::tape::{Query, Statement};

pub use ddl::create_tables;

/// Compiles a query: what `compile` does of a `Statement::Select`, for whoever keeps the query elsewhere.
///
/// # Errors
/// As [`compile`].
pub fn compile_query(query: &Query, dialect: Dialect) -> Result<Step> {
    let mut w = writer::Writer::new(dialect);
    w.select(query)?;
    Ok(w.finish())
}

/// Compiles a statement.
///
/// # Errors
/// When the statement is built in a way that has no meaning; the message says what to write instead.
pub fn compile(statement: &Statement, dialect: Dialect) -> Result<Step> {
    let mut w = writer::Writer::new(dialect);
    match statement {
        Statement::Select(query) => w.select(query)?,
        Statement::Count(query) => w.count(query)?,
        Statement::Exists(query) => w.exists(query)?,
        Statement::Insert(insert) => w.insert(insert)?,
        Statement::Update { query, set, returning } => w.update(query, set, *returning)?,
        Statement::Delete(query) => w.delete(query)?,
        Statement::Link {
            through,
            source,
            targets,
        } => w.link(through, source, targets)?,
        Statement::Unlink {
            through,
            source,
            targets,
        } => w.unlink(through, source, targets.as_deref()),
    }
    Ok(w.finish())
}

/// Parameters that one statement may have at most: who inserts many rows splits them by it.
pub const fn max_params(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Sqlite => 32_766,
        Dialect::Postgres | Dialect::MariaDb => 65_535,
    }
}
