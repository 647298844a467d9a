//! How the API says no: a status, and `{"errors": {field: [message, ..]}}`.

use demijohn::prelude::*;
use serde_json::{Map, Value, json};
use std::fmt;

/// Why a call was refused, in the words of the API.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    errors: Vec<(&'static str, &'static str)>,
}

impl Refusal {
    fn one(status: StatusCode, field: &'static str, message: &'static str) -> Error {
        Refusal::many(status, vec![(field, message)])
    }

    /// The error that carries it: its status is right for the log, its text for the client comes from [`answer`].
    #[track_caller]
    pub(crate) fn many(status: StatusCode, errors: Vec<(&'static str, &'static str)>) -> Error {
        Error::bare(status).with_source(Refusal { status, errors })
    }

    /// 401: no token, or one that is not ours.
    pub(crate) fn token() -> Error {
        Refusal::one(StatusCode::UNAUTHORIZED, "token", "is missing")
    }

    /// 401: this pair of address and password belongs to nobody.
    pub(crate) fn credentials() -> Error {
        Refusal::one(StatusCode::UNAUTHORIZED, "credentials", "invalid")
    }

    /// 404: there is no such `what`.
    pub(crate) fn not_found(what: &'static str) -> Error {
        Refusal::one(StatusCode::NOT_FOUND, what, "not found")
    }

    /// 403: it belongs to somebody else.
    pub(crate) fn forbidden(what: &'static str) -> Error {
        Refusal::one(StatusCode::FORBIDDEN, what, "forbidden")
    }

    /// 409: somebody has this name or address.
    pub(crate) fn taken(fields: Vec<&'static str>) -> Error {
        let errors = fields
            .into_iter()
            .map(|field| (field, "has already been taken"))
            .collect();
        Refusal::many(StatusCode::CONFLICT, errors)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self
            .errors
            .iter()
            .map(|(field, message)| format!("{field} {message}"))
            .collect();
        f.write_str(&words.join(", "))
    }
}

impl std::error::Error for Refusal {}

/// Every error that leaves the API: ours as they are, the framework's (unknown address, body too large, a failure
/// inside) in the same shape.
pub(crate) async fn answer(error: &Error, _: &mut Request) -> (StatusCode, Value) {
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        let mut errors = Map::new();
        for (field, message) in &refusal.errors {
            let messages = errors.entry(*field).or_insert_with(|| json!([]));
            if let Some(messages) = messages.as_array_mut() {
                messages.push(json!(message));
            }
        }
        return (refusal.status, json!({ "errors": errors }));
    }
    let field = match error.status() {
        StatusCode::NOT_FOUND => "path",
        StatusCode::METHOD_NOT_ALLOWED => "method",
        status if status.is_server_error() => "server",
        _ => "request",
    };
    (error.status(), json!({"errors": {field: [error.client_text()]}}))
}
