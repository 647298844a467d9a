//! What is in a call's body, read with patience.
//!
//! The API tests in the order token, existence, ownership, content. An extractor that refuses a body would test content
//! first, so [`Input`] takes any body along and [`Input::object`] says what is wrong with it when the handler asks.

use super::refusal::Refusal;
use demijohn::prelude::*;
use demijohn::web::{Operation, Rejection};
use serde_json::{Map, Value};

/// The body of a call.
pub(crate) struct Input(Result<Map<String, Value>>);

impl Extract for Input {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let bytes = match request.bytes().await {
            Ok(bytes) => bytes,
            Err(error) if error.status().is_client_error() => return Ok(Input(Err(error))),
            Err(error) => return Err(error.into()),
        };
        let bad = |message| Err(Refusal::many(StatusCode::BAD_REQUEST, vec![("body", message)]));
        Ok(Input(match serde_json::from_slice(&bytes) {
            Ok(Value::Object(map)) => Ok(map),
            Ok(_) => bad("must be a JSON object"),
            Err(_) => bad("is not valid JSON"),
        }))
    }

    fn describe(operation: &mut Operation) {
        operation.consumes.push("application/json");
    }
}

impl Input {
    /// The object under `name`, to take fields out of. Without one every field is missing.
    pub(crate) fn object(self, name: &'static str) -> Result<Fields> {
        let mut map = self.0?;
        match map.remove(name) {
            Some(Value::Object(map)) => Ok(Fields::new(map)),
            None => Ok(Fields::new(Map::new())),
            Some(_) => Err(Refusal::many(
                StatusCode::UNPROCESSABLE_ENTITY,
                vec![(name, "must be an object")],
            )),
        }
    }
}

/// The fields of an object. Faults are collected: whoever sends three is told of three.
pub(crate) struct Fields {
    map: Map<String, Value>,
    faults: Vec<(&'static str, &'static str)>,
}

const BLANK: &str = "can't be blank";

impl Fields {
    fn new(map: Map<String, Value>) -> Self {
        Fields {
            map,
            faults: Vec::new(),
        }
    }

    /// A text that must be there and must not be empty.
    pub(crate) fn required(&mut self, name: &'static str, max_chars: usize) -> String {
        match self.map.remove(name) {
            None | Some(Value::Null) => self.fault(name, BLANK),
            Some(value) => self.text(name, value, max_chars),
        }
    }

    /// A password: any text that is not empty, spaces and all. It is hashed and never shown, so nothing in it can do harm.
    pub(crate) fn password(&mut self, name: &'static str) -> Option<String> {
        /// Far beyond what anybody types; longer ones would only make the hash slower.
        const MOST_BYTES: usize = 4096;
        Some(match self.map.remove(name)? {
            Value::String(text) if text.len() > MOST_BYTES => self.fault(name, "is too long"),
            Value::String(text) if !text.is_empty() => text,
            Value::String(_) | Value::Null => self.fault(name, BLANK),
            _ => self.fault(name, "must be a text"),
        })
    }

    /// The same, where there must be one.
    pub(crate) fn required_password(&mut self, name: &'static str) -> String {
        match self.password(name) {
            Some(password) => password,
            None => self.fault(name, BLANK),
        }
    }

    /// A text that may be left out, but not emptied.
    pub(crate) fn changed(&mut self, name: &'static str, max_chars: usize) -> Option<String> {
        match self.map.remove(name)? {
            Value::Null => Some(self.fault(name, BLANK)),
            value => Some(self.text(name, value, max_chars)),
        }
    }

    /// A text that may be left out, and is emptied by null or "".
    pub(crate) fn clearable(&mut self, name: &'static str, max_chars: usize) -> Option<Option<String>> {
        Some(match self.map.remove(name)? {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            value => Some(self.text(name, value, max_chars)),
        })
    }

    /// A list of names without repeats, in alphabetical order; `None` when it is left out.
    pub(crate) fn names(&mut self, name: &'static str, max_names: usize, max_chars: usize) -> Option<Vec<String>> {
        let list = match self.map.remove(name)? {
            Value::Array(list) => list,
            Value::Null => {
                self.fault(name, BLANK);
                return None;
            }
            _ => {
                self.fault(name, "must be a list of names");
                return None;
            }
        };
        if list.len() > max_names {
            self.fault(name, "has too many names");
            return None;
        }
        let mut names: Vec<String> = list
            .into_iter()
            .map(|value| self.text(name, value, max_chars))
            .collect();
        names.sort();
        names.dedup();
        Some(names)
    }

    /// 422 with all that was wrong.
    pub(crate) fn finish(self) -> Result<()> {
        match self.faults.is_empty() {
            true => Ok(()),
            false => Err(Refusal::many(StatusCode::UNPROCESSABLE_ENTITY, self.faults)),
        }
    }

    fn text(&mut self, name: &'static str, value: Value, max_chars: usize) -> String {
        let Value::String(text) = value else {
            return self.fault(name, "must be a text");
        };
        if text.trim().is_empty() {
            return self.fault(name, BLANK);
        }
        // Counted in bytes first: that is free, and characters are never more.
        if text.len() > max_chars && text.chars().count() > max_chars {
            return self.fault(name, "is too long");
        }
        // Some databases cannot keep U+0000, and no reader misses it.
        if text.contains('\0') {
            return self.fault(name, "has a character that cannot be kept");
        }
        text
    }

    fn fault(&mut self, name: &'static str, message: &'static str) -> String {
        if !self.faults.contains(&(name, message)) {
            self.faults.push((name, message));
        }
        String::new()
    }
}

/// `?limit=` and `?offset=`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) limit: u64,
    pub(crate) offset: u64,
}

impl Extract for Window {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        /// More than anybody reads at once, and little enough for one answer.
        const MOST: u64 = 1000;
        let mut faults = Vec::new();
        let mut number = |name: &'static str, default: u64| match request.query_value(name) {
            None => default,
            Some(text) if text.is_empty() => default,
            Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().unwrap_or(u64::MAX),
            Some(_) => {
                faults.push((name, "must be a whole number of 0 or more"));
                default
            }
        };
        let window = Window {
            limit: number("limit", 20).min(MOST),
            offset: number("offset", 0).min(i64::MAX as u64),
        };
        match faults.is_empty() {
            true => Ok(window),
            false => Err(Refusal::many(StatusCode::UNPROCESSABLE_ENTITY, faults).into()),
        }
    }

    fn describe(operation: &mut Operation) {
        for name in ["limit", "offset"] {
            operation.parameters.push(demijohn::web::Parameter {
                name: name.to_owned(),
                place: demijohn::web::Place::Query,
                required: false,
                schema_type: "integer",
                format: "int64",
            });
        }
    }
}
