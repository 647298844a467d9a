//! Values on their way to and from a driver.

use crate::{Date, DateTime, NaiveDateTime, Time};

/// A value to be bound to a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL's NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A binary floating-point number.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A moment in UTC.
    DateTime(DateTime),
    /// A date and time without a zone.
    NaiveDateTime(NaiveDateTime),
    /// A date.
    Date(Date),
    /// A time of day.
    Time(Time),
}

impl Value {
    /// The value as drivers hand values over: borrowed.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Null => ValueRef::Null,
            Value::Bool(b) => ValueRef::Bool(*b),
            Value::Int(i) => ValueRef::Int(*i),
            Value::Float(x) => ValueRef::Float(*x),
            Value::Text(t) => ValueRef::Text(t),
            Value::Bytes(b) => ValueRef::Bytes(b),
            Value::DateTime(t) => ValueRef::DateTime(*t),
            Value::NaiveDateTime(t) => ValueRef::NaiveDateTime(*t),
            Value::Date(d) => ValueRef::Date(*d),
            Value::Time(t) => ValueRef::Time(*t),
        }
    }

    /// True for NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

/// What a driver hands over per column: borrowed from its row, no allocation.
///
/// A driver whose database has no type for something hands over what it has (SQLite: text for times, whole numbers for
/// truth values); [`FieldType::from_value`](crate::field::FieldType::from_value) reads both.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // the variants of `Value`, borrowed
pub enum ValueRef<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    DateTime(DateTime),
    NaiveDateTime(NaiveDateTime),
    Date(Date),
    Time(Time),
}

impl ValueRef<'_> {
    /// An owned copy.
    pub fn to_owned(self) -> Value {
        match self {
            ValueRef::Null => Value::Null,
            ValueRef::Bool(b) => Value::Bool(b),
            ValueRef::Int(i) => Value::Int(i),
            ValueRef::Float(x) => Value::Float(x),
            ValueRef::Text(t) => Value::Text(t.to_owned()),
            ValueRef::Bytes(b) => Value::Bytes(b.to_owned()),
            ValueRef::DateTime(t) => Value::DateTime(t),
            ValueRef::NaiveDateTime(t) => Value::NaiveDateTime(t),
            ValueRef::Date(d) => Value::Date(d),
            ValueRef::Time(t) => Value::Time(t),
        }
    }
}

/// The type of a column, from which each dialect takes its own name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A truth value.
    Bool,
    /// 32-bit whole number.
    Int,
    /// 64-bit whole number.
    BigInt,
    /// 64-bit floating-point number.
    Float,
    /// Text; limited when the field has a `max_length`.
    Text,
    /// Bytes.
    Bytes,
    /// A moment in UTC.
    DateTime,
    /// A date and time without a zone.
    NaiveDateTime,
    /// A date.
    Date,
    /// A time of day.
    Time,
}

macro_rules! from {
    ($($rust:ty, $value:ident => $made:expr;)*) => {$(
        impl From<$rust> for Value {
            fn from($value: $rust) -> Value {
                $made
            }
        }
    )*};
}
from! {
    &str, v => Value::Text(v.to_owned());
    String, v => Value::Text(v);
    i64, v => Value::Int(v);
    i32, v => Value::Int(v.into());
    f64, v => Value::Float(v);
    bool, v => Value::Bool(v);
    DateTime, v => Value::DateTime(v);
    Date, v => Value::Date(v);
}
