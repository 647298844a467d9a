//! Reading rows.

use crate::error::{At, Error, Result};
use crate::field::FieldType;
use crate::value::ValueRef;

/// The columns of one row, read from left to right in the order in which they were selected.
pub struct Cursor<'r> {
    columns: &'r [ValueRef<'r>],
    next: usize,
    at: Option<At>,
}

impl<'r> Cursor<'r> {
    /// At the first column of a row; `at` is where the query was built, for errors about what it did not load.
    pub fn new(columns: &'r [ValueRef<'r>], at: Option<At>) -> Self {
        Cursor { columns, next: 0, at }
    }

    /// Where the query was built.
    pub fn at(&self) -> Option<At> {
        self.at
    }

    /// Reads the next column.
    ///
    /// # Errors
    /// When it holds another type, or there is none left.
    #[inline]
    #[allow(clippy::should_implement_trait)] // an iterator has one item type; this reads a different one each time
    pub fn next<T: FieldType>(&mut self) -> Result<T> {
        let Some(value) = self.columns.get(self.next) else {
            return Err(Error::usage("the row has fewer columns than the query reads"));
        };
        self.next += 1;
        T::from_value(*value)
    }

    /// The column `ahead` of the next one, unread.
    pub fn peek(&self, ahead: usize) -> Option<ValueRef<'r>> {
        self.columns.get(self.next + ahead).copied()
    }

    /// Passes over columns.
    pub fn skip(&mut self, count: usize) {
        self.next += count;
    }

    /// True when every column was read: what was selected and what is read must agree.
    pub fn is_finished(&self) -> bool {
        self.next == self.columns.len()
    }
}
