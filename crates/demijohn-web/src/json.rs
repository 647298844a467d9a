//! JSON in and out.

use demijohn_core::{Error, Extract, Fault, Operation, Place, Rejection, Reply, Request, Response, Result};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A JSON body: as an argument, the request's; as a result, the answer's.
///
/// As an argument it wants a content type of JSON (else 415) and a body that is well-formed and fits `T` (else 400, with
/// the field and the reason). Nesting beyond 128 levels and NUL characters are refused.
///
/// ```
/// use demijohn_web::{post, Application, Json};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize)]
/// struct Order { amount: u32 }
/// #[derive(Serialize)]
/// struct Receipt { total: u32 }
///
/// async fn order(Json(order): Json<Order>) -> Json<Receipt> {
///     Json(Receipt { total: order.amount * 3 })
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/order", post(order)).test_client();
/// let response = client.post("/order").json(&serde_json::json!({"amount": 2})).await;
/// assert_eq!(response.text(), r#"{"total":6}"#);
/// assert_eq!(client.post("/order").body("{}").await.status(), 415);
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + Send> Extract for Json<T> {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        if !is_json(request) {
            return Err(Error::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the content type of the body must be application/json",
            )
            .into());
        }
        let bytes = request.bytes().await?;
        parse(&bytes).map(Json).map_err(Rejection::faults)
    }

    fn describe(operation: &mut Operation) {
        operation.consumes.push("application/json");
        operation.body_type = Some(std::any::type_name::<T>());
        operation.statuses.push((400, "the body is not what is expected"));
        operation.statuses.push((415, "the body is no JSON"));
    }
}

impl<T: Serialize + Send> Reply for Json<T> {
    fn reply(self, _: &Request) -> Result<Response> {
        demijohn_core::reply::json(&self.0)
    }

    fn describe(operation: &mut Operation) {
        operation.produces.push("application/json");
    }
}

/// True for `application/json` and `application/..+json`.
pub(crate) fn is_json(request: &Request) -> bool {
    let Some(value) = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()) else {
        return false;
    };
    is_json_type(value)
}

pub(crate) fn is_json_type(value: &str) -> bool {
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Of larger bodies only the first fault is told.
const MAX_EXPLAINED_BYTES: usize = 64 << 10;

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Vec<Fault>> {
    let fault = |message: String| vec![Fault::new(Place::Body, "", message)];
    if std::str::from_utf8(bytes).is_err() {
        return Err(fault("is not UTF-8".into()));
    }
    if has_escaped_nul(bytes) {
        return Err(fault("has a NUL character".into()));
    }
    let error = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // Well-formed but not what is expected: read it again for all that is wrong, unless that could be made costly.
    if error.is_data() && bytes.len() <= MAX_EXPLAINED_BYTES {
        if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) {
            if let Err(faults) = crate::fields::from_json::<T>(&value) {
                return Err(faults);
            }
        }
    }
    Err(fault(error.to_string()))
}

/// `\u0000` in a string; a bare NUL is no JSON anyway.
fn has_escaped_nul(bytes: &[u8]) -> bool {
    let mut escaped = false;
    bytes.iter().enumerate().any(|(i, &byte)| {
        let after_backslash = escaped;
        escaped = byte == b'\\' && !after_backslash;
        after_backslash && byte == b'u' && bytes[i..].starts_with(b"u0000")
    })
}

#[cfg(test)]
mod tests {
    use super::has_escaped_nul;

    #[test]
    fn escaped_nul_is_found_and_an_escaped_backslash_is_not_mistaken_for_it() {
        assert!(has_escaped_nul(br#""a\u0000""#));
        assert!(has_escaped_nul(br#""\\\u0000""#));
        assert!(!has_escaped_nul(br#""\\u0000""#));
        assert!(!has_escaped_nul(br#""\u00001"#.get(..5).unwrap()));
    }
}
