//! The Rust types that can be columns.

use crate::error::{Error, Result};
use crate::value::{Kind, Value, ValueRef};
use crate::{Date, DateTime, NaiveDateTime, Time};

/// A Rust type that can be stored in a column.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a database column",
    label = "not a field type",
    note = "use a built-in field type (`String`, `i64`, `i32`, `f64`, `bool`, `Vec<u8>`, `DateTime`, `Date`, `Time`, `Option<_>`, `ForeignKey<_>`, `ManyToMany<_>`)"
)]
pub trait FieldType: Sized + Send + 'static {
    /// The type without `Option`: what it is compared with.
    type Base;
    /// The type with exactly one `Option`.
    type Opt: FieldType;
    /// What a selected column decodes to; differs only for keys (`Key<User>` decodes to the user's `i64`).
    type Rust: FieldType;
    /// The type of the column.
    const KIND: Kind;
    /// True when the column may be NULL.
    const NULL: bool = false;

    /// Reads what a driver handed over.
    ///
    /// # Errors
    /// When the column holds something else.
    fn from_value(value: ValueRef<'_>) -> Result<Self>;

    /// The value to be bound.
    fn to_value(self) -> Value;
}

fn refuse<T>(expected: &'static str, found: ValueRef<'_>) -> Result<T> {
    let mut found = format!("{found:?}");
    if found.len() > 80 {
        let cut = (0..=77).rev().find(|&i| found.is_char_boundary(i)).unwrap_or(0);
        found.truncate(cut);
        found.push_str("...");
    }
    Err(Error::decode(expected, found))
}

macro_rules! plain {
    ($($rust:ty, $kind:ident, $expected:literal, $from:expr, $to:expr;)*) => {$(
        impl FieldType for $rust {
            type Base = $rust;
            type Opt = Option<$rust>;
            type Rust = $rust;
            const KIND: Kind = Kind::$kind;

            #[inline]
            fn from_value(value: ValueRef<'_>) -> Result<Self> {
                let from: fn(ValueRef<'_>) -> Option<Self> = $from;
                match from(value) {
                    Some(value) => Ok(value),
                    None => refuse($expected, value),
                }
            }

            #[inline]
            fn to_value(self) -> Value {
                let to: fn(Self) -> Value = $to;
                to(self)
            }
        }
    )*};
}

plain! {
    i64, BigInt, "a whole number", |v| match v { ValueRef::Int(i) => Some(i), _ => None }, Value::Int;
    i32, Int, "a whole number of 32 bits", |v| match v { ValueRef::Int(i) => i.try_into().ok(), _ => None }, |i| Value::Int(i.into());
    f64, Float, "a number", |v| match v { ValueRef::Float(x) => Some(x), ValueRef::Int(i) => Some(i as f64), _ => None }, Value::Float;
    bool, Bool, "a truth value", |v| match v { ValueRef::Bool(b) => Some(b), ValueRef::Int(0) => Some(false), ValueRef::Int(1) => Some(true), _ => None }, Value::Bool;
    String, Text, "text", |v| match v { ValueRef::Text(t) => Some(t.to_owned()), _ => None }, Value::Text;
    Vec<u8>, Bytes, "bytes", |v| match v { ValueRef::Bytes(b) => Some(b.to_owned()), _ => None }, Value::Bytes;
    DateTime, DateTime, "a date and time in UTC", datetime, |t| Value::DateTime(truncated(t));
    NaiveDateTime, NaiveDateTime, "a date and time", |v| match v { ValueRef::NaiveDateTime(t) => Some(t), ValueRef::Text(t) => t.parse().ok(), _ => None }, Value::NaiveDateTime;
    Date, Date, "a date", |v| match v { ValueRef::Date(d) => Some(d), ValueRef::Text(t) => t.parse().ok(), _ => None }, Value::Date;
    Time, Time, "a time of day", |v| match v { ValueRef::Time(t) => Some(t), ValueRef::Text(t) => t.parse().ok(), _ => None }, Value::Time;
}

/// Databases keep microseconds; cutting here makes what is saved equal to what is read back.
fn truncated(t: DateTime) -> DateTime {
    DateTime::from_microsecond(t.as_microsecond()).unwrap_or(t)
}

/// A moment as Django writes it into SQLite (`2026-01-02 03:04:05.678901`, UTC implied), or with an offset.
fn datetime(value: ValueRef<'_>) -> Option<DateTime> {
    match value {
        ValueRef::DateTime(t) => Some(t),
        ValueRef::NaiveDateTime(t) => utc(t),
        ValueRef::Text(t) => match t.parse::<NaiveDateTime>() {
            Ok(civil) if !has_offset(t) => utc(civil),
            _ => t.parse().ok(),
        },
        _ => None,
    }
}

fn has_offset(text: &str) -> bool {
    text.get(10..).is_some_and(|rest| rest.contains(['Z', 'z', '+', '-']))
}

fn utc(civil: NaiveDateTime) -> Option<DateTime> {
    jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()
}

impl<T> FieldType for Option<T>
where
    T: FieldType<Opt = Option<T>>,
    T::Rust: FieldType<Opt = Option<T::Rust>, Rust = T::Rust>,
{
    type Base = T::Base;
    type Opt = Self;
    type Rust = Option<T::Rust>;
    const KIND: Kind = T::KIND;
    const NULL: bool = true;

    #[inline]
    fn from_value(value: ValueRef<'_>) -> Result<Self> {
        match value {
            ValueRef::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }

    fn to_value(self) -> Value {
        self.map_or(Value::Null, T::to_value)
    }
}

/// Types that text lookups work on.
#[diagnostic::on_unimplemented(
    message = "text lookups need a text field, but this field is `{Self}`",
    label = "`{Self}` is not text"
)]
pub trait Text {}
impl Text for String {}
impl Text for Option<String> {}

/// Types that can be added and averaged.
#[diagnostic::on_unimplemented(
    message = "arithmetic and `sum`/`avg` need a number, but this field is `{Self}`",
    label = "`{Self}` is not a number"
)]
pub trait Number {}
impl Number for i64 {}
impl Number for i32 {}
impl Number for f64 {}
impl<T: Number> Number for Option<T> {}

/// Types that have a year, a month and a day.
#[diagnostic::on_unimplemented(
    message = "date parts need a date or time field, but this field is `{Self}`",
    label = "`{Self}` is not a date or time"
)]
pub trait Temporal {}
impl Temporal for DateTime {}
impl Temporal for NaiveDateTime {}
impl Temporal for Date {}
impl<T: Temporal> Temporal for Option<T> {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_as_django_writes_them_into_sqlite() {
        let read = |t| DateTime::from_value(ValueRef::Text(t)).unwrap().to_string();
        assert_eq!(read("2026-01-02 03:04:05"), "2026-01-02T03:04:05Z");
        assert_eq!(read("2026-01-02 03:04:05.678901"), "2026-01-02T03:04:05.678901Z");
        assert_eq!(read("2026-01-02T03:04:05+02:00"), "2026-01-02T01:04:05Z");
        assert_eq!(read("2026-01-02T03:04:05Z"), "2026-01-02T03:04:05Z");
        assert!(DateTime::from_value(ValueRef::Text("ä23456789ö")).is_err());
        assert!(DateTime::from_value(ValueRef::Text("12345678öäü")).is_err());
    }

    #[test]
    fn cuts_what_databases_cannot_keep() {
        let t: DateTime = "2026-01-02T03:04:05.123456789Z".parse().unwrap();
        assert_eq!(
            t.to_value(),
            Value::DateTime("2026-01-02T03:04:05.123456Z".parse().unwrap())
        );
    }

    #[test]
    fn says_what_it_expected() {
        let error = i32::from_value(ValueRef::Int(1 << 40))
            .unwrap_err()
            .in_column("article.views");
        assert_eq!(
            error.to_string(),
            "column article.views should hold a whole number of 32 bits, found Int(1099511627776)"
        );
    }
}
