//! Lists as one parameter: JSON that `json_each` reads. And times as text, as Django writes them.

use demijohn_model::driver::{Param, Step};
use demijohn_model::value::{Value, ValueRef};
use demijohn_model::{Error, NaiveDateTime, Result, Time};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The keys that later steps of a unit ask for, gathered while the rows go by.
pub(crate) struct Keys(Vec<Column>);

struct Column {
    step: usize,
    column: usize,
    ints: Vec<i64>,
    texts: BTreeSet<String>,
    /// A key of a type that cannot be in a list was seen.
    other: bool,
}

impl Keys {
    pub(crate) fn wanted(steps: &[Step]) -> Keys {
        let mut columns: Vec<Column> = Vec::new();
        for param in steps.iter().flat_map(|step| &step.params) {
            if let Param::Keys { step, column } = param
                && !columns.iter().any(|c| (c.step, c.column) == (*step, *column))
            {
                columns.push(Column {
                    step: *step,
                    column: *column,
                    ints: Vec::new(),
                    texts: BTreeSet::new(),
                    other: false,
                });
            }
        }
        Keys(columns)
    }

    /// Notes the keys in a row.
    pub(crate) fn take(&mut self, step: usize, row: &[ValueRef<'_>]) {
        for wanted in self.0.iter_mut().filter(|wanted| wanted.step == step) {
            match row.get(wanted.column) {
                Some(ValueRef::Int(key)) => {
                    // Children of one parent come together.
                    if wanted.ints.last() != Some(key) {
                        wanted.ints.push(*key);
                    }
                }
                Some(ValueRef::Text(key)) => {
                    if !wanted.texts.contains(*key) {
                        wanted.texts.insert((*key).to_owned());
                    }
                }
                Some(ValueRef::Null) | None => {}
                Some(_) => wanted.other = true,
            }
        }
    }

    /// The keys of a column as a list.
    pub(crate) fn json(&mut self, step: usize, column: usize) -> Result<String> {
        let Some(keys) = self.0.iter_mut().find(|c| (c.step, c.column) == (step, column)) else {
            return Ok("[]".to_owned());
        };
        if keys.other {
            return Err(Error::usage(
                "only whole numbers and text can be keys of a prefetch on SQLite",
            ));
        }
        keys.ints.sort_unstable();
        keys.ints.dedup();
        let mut json = String::with_capacity(8 * (keys.ints.len() + keys.texts.len()) + 2);
        json.push('[');
        for key in &keys.ints {
            comma(&mut json);
            number(&mut json, *key);
        }
        for key in &keys.texts {
            comma(&mut json);
            quoted(&mut json, key);
        }
        json.push(']');
        Ok(json)
    }
}

/// Values as a JSON array.
pub(crate) fn json(values: &[Value]) -> Result<String> {
    let mut json = String::with_capacity(8 * values.len() + 2);
    json.push('[');
    for value in values {
        comma(&mut json);
        match value {
            Value::Null => json.push_str("null"),
            Value::Bool(b) => json.push(if *b { '1' } else { '0' }),
            Value::Int(i) => number(&mut json, *i),
            // SQLite reads a number that is too large as infinity, and stores NaN as NULL.
            Value::Float(x) if x.is_nan() => json.push_str("null"),
            Value::Float(x) if x.is_infinite() => json.push_str(if *x > 0.0 { "9e999" } else { "-9e999" }),
            Value::Float(x) => {
                let _ = write!(json, "{x:?}");
            }
            Value::Text(text) => quoted(&mut json, text),
            Value::Bytes(_) => return Err(Error::usage("bytes cannot be in a list parameter on SQLite")),
            time => quoted(&mut json, &time_text(time)),
        }
    }
    json.push(']');
    Ok(json)
}

fn comma(json: &mut String) {
    if json.len() > 1 {
        json.push(',');
    }
}

fn number(json: &mut String, number: i64) {
    // Writing into a String cannot fail.
    let _ = write!(json, "{number}");
}

fn quoted(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            c if c < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
}

/// A time as Django writes it into SQLite: `2026-01-02 03:04:05.678901`, without the fraction when it is zero.
pub(crate) fn time_text(value: &Value) -> String {
    match value {
        Value::DateTime(moment) => datetime(jiff::tz::Offset::UTC.to_datetime(*moment)),
        Value::NaiveDateTime(moment) => datetime(*moment),
        Value::Date(date) => date.to_string(),
        Value::Time(time) => clock(*time),
        // Only times are asked for.
        other => format!("{other:?}"),
    }
}

fn datetime(moment: NaiveDateTime) -> String {
    format!("{} {}", moment.date(), clock(moment.time()))
}

fn clock(time: Time) -> String {
    let micro = time.subsec_nanosecond() / 1000;
    let mut text = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    if micro != 0 {
        let _ = write!(text, ".{micro:06}");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_django_writes_them() {
        let text = |time: &str| time_text(&Value::DateTime(time.parse().unwrap()));
        assert_eq!(text("2026-01-02T03:04:05Z"), "2026-01-02 03:04:05");
        assert_eq!(text("2026-01-02T03:04:05.678901Z"), "2026-01-02 03:04:05.678901");
        assert_eq!(text("2026-01-02T03:04:05.000001Z"), "2026-01-02 03:04:05.000001");
        assert_eq!(time_text(&Value::Date("0900-01-02".parse().unwrap())), "0900-01-02");
        assert_eq!(
            time_text(&Value::Time("03:04:05.5".parse().unwrap())),
            "03:04:05.500000"
        );
    }

    #[test]
    fn lists_are_json() {
        let list = json(&[
            Value::Int(-1),
            Value::Text("a\"\\\n\u{1}é".into()),
            Value::Bool(true),
            Value::Float(1e300),
            Value::Float(f64::INFINITY),
            Value::Null,
        ]);
        assert_eq!(list.unwrap(), "[-1,\"a\\\"\\\\\\u000a\\u0001é\",1,1e300,9e999,null]");
        assert!(json(&[Value::Bytes(vec![1])]).is_err());
    }
}
