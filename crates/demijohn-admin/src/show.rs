//! Values as people read them.

use demijohn_model::value::Value;
use serde::Serialize;

/// One value on a page.
#[derive(Serialize)]
pub(crate) struct Cell {
    /// The name of its column.
    pub(crate) label: String,
    pub(crate) text: String,
    /// How it looks: `text`, `number`, `time`, `yes`, `no`, `none`.
    pub(crate) look: &'static str,
    /// Blueprint, model and key of the row that it leads to.
    pub(crate) link: Option<(String, String, String)>,
}

impl Cell {
    /// A value, cut at this many characters.
    pub(crate) fn new(label: &str, value: &Value, max_chars: usize) -> Cell {
        let look = match value {
            Value::Null => "none",
            Value::Bool(true) => "yes",
            Value::Bool(false) => "no",
            Value::Int(_) | Value::Float(_) => "number",
            Value::DateTime(_) | Value::NaiveDateTime(_) | Value::Date(_) | Value::Time(_) => "time",
            _ => "text",
        };
        Cell {
            label: label.to_owned(),
            text: cut(text(value), max_chars),
            look,
            link: None,
        }
    }
}

/// A value as text.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Bool(true) => "Yes".to_owned(),
        Value::Bool(false) => "No".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::DateTime(moment) => moment.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Value::NaiveDateTime(moment) => moment.strftime("%Y-%m-%d %H:%M").to_string(),
        Value::Date(date) => date.to_string(),
        Value::Time(time) => time.to_string(),
    }
}

/// A key as text that finds it again in a path or query; `None` for what no link can hold.
pub(crate) fn key(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null | Value::Bytes(_) => return None,
        Value::Bool(value) => value.to_string(),
        Value::DateTime(moment) => moment.to_string(),
        Value::NaiveDateTime(moment) => moment.to_string(),
        other => text(other),
    };
    // Browsers take these parts of a path for steps.
    (!matches!(text.as_str(), "" | "." | "..")).then_some(text)
}

fn cut(mut text: String, max_chars: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(max_chars) {
        text.truncate(at);
        text.push('…');
    }
    text
}
