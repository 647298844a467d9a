//! Rows as JSON, and the JSON Schema that tells of them.

use crate::resource::Exposed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use demijohn_core::Result;
use demijohn_model::value::{Kind, Value};
use demijohn_orm::erased::Choice;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;
use std::sync::Arc;

/// One row of a resource.
pub(crate) struct Row {
    exposed: Arc<Exposed>,
    values: Vec<Value>,
}

impl Row {
    /// Reads the values of the resource's fields.
    pub(crate) fn new(exposed: &Arc<Exposed>, values: Vec<Value>) -> Result<Row> {
        let typed = exposed
            .fields
            .iter()
            .zip(values)
            .map(|(field, value)| field.read(value));
        Ok(Row {
            values: typed.collect::<Result<_, _>>()?,
            exposed: Arc::clone(exposed),
        })
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (field, value) in self.exposed.fields.iter().zip(&self.values) {
            map.serialize_entry(&field.key, &Json(value))?;
        }
        map.end()
    }
}

/// A value: times as RFC 3339 has them, bytes in base64.
struct Json<'v>(&'v Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            // What JSON has no number for becomes null.
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
            Value::DateTime(moment) => serializer.collect_str(moment),
            Value::NaiveDateTime(moment) => serializer.collect_str(moment),
            Value::Date(date) => serializer.collect_str(date),
            Value::Time(time) => serializer.collect_str(time),
        }
    }
}

/// JSON Schema's type and format of a field.
pub(crate) fn schema_type(choice: &Choice) -> (&'static str, &'static str) {
    match choice.kind {
        Some(Kind::Bool) => ("boolean", ""),
        Some(Kind::Int) => ("integer", "int32"),
        Some(Kind::BigInt) => ("integer", "int64"),
        Some(Kind::Float) => ("number", "double"),
        Some(Kind::Bytes) => ("string", "byte"),
        Some(Kind::DateTime) => ("string", "date-time"),
        Some(Kind::Date) => ("string", "date"),
        Some(Kind::Text | Kind::NaiveDateTime | Kind::Time) | None => ("string", ""),
    }
}

/// JSON Schema of a row.
pub(crate) fn row_schema(exposed: &Exposed) -> serde_json::Value {
    let property = |choice: &Choice| {
        let own = exposed.meta.fields.iter().find(|field| field.name == choice.key);
        let (name, format) = schema_type(choice);
        let mut schema = match own.is_some_and(|field| !field.null) {
            true => json!({ "type": name }),
            // A row behind a foreign key may be absent.
            false => json!({ "type": [name, "null"] }),
        };
        if !format.is_empty() {
            schema["format"] = format.into();
        }
        if let Some(field) = own.filter(|field| !field.help_text.is_empty()) {
            schema["description"] = field.help_text.into();
        }
        if let Some(max_length) = own.and_then(|field| field.max_length) {
            schema["maxLength"] = max_length.into();
        }
        (choice.key.clone(), schema)
    };
    json!({
        "type": "object",
        "title": exposed.meta.name,
        "properties": exposed.fields.iter().map(property).collect::<serde_json::Map<_, _>>(),
        "required": exposed.fields.iter().map(|field| field.key.as_str()).collect::<Vec<_>>(),
    })
}

/// JSON Schema of a part of a list.
pub(crate) fn list_schema(exposed: &Exposed) -> serde_json::Value {
    json!({
        "type": "object",
        "properties": {
            "count": { "type": "integer", "description": "rows of the whole list" },
            "next": { "type": ["string", "null"], "description": "where the list goes on" },
            "previous": { "type": ["string", "null"], "description": "what comes before" },
            "results": { "type": "array", "items": row_schema(exposed) },
        },
        "required": ["count", "next", "previous", "results"],
    })
}
