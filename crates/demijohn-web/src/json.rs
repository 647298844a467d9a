//! JSON in and out.

use demijohn_core::{Error, Extract, Fault, Operation, Place, Rejection, Reply, Request, Response, Result};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_core::Serialize;
use serde_core::de::DeserializeOwned;

/// A JSON body: as an argument, the request's; as a result, the answer's.
///
/// As an argument it wants a content type of JSON (else 415) and a body that is well-formed and fits `T` (else 400, with
/// the field and the reason). Nesting beyond 128 levels, NUL characters and half surrogate pairs are refused. A key that comes twice is refused by
/// structs; maps and `serde_json::Value` keep the last.
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
        crate::limits::must_be_plain(request)?;
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
    if let Some(why) = refused(bytes) {
        return Err(fault(why.into()));
    }
    let error = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // Well-formed but not what is expected: read it again for all that is wrong, unless that could be made costly.
    if error.is_data()
        && bytes.len() <= MAX_EXPLAINED_BYTES
        && let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes)
    {
        crate::fields::from_json::<T>(&value)?;
    }
    Err(fault(match error.is_data() {
        // serde's words name types of the program.
        true => format!(
            "is not what is expected at line {} column {}",
            error.line(),
            error.column()
        ),
        false => error.to_string(),
    }))
}

/// Levels of lists and objects inside each other. serde_json has the same limit, but not for what the type ignores.
const MAX_DEPTH: usize = 128;

/// What is refused whatever the type: `\u0000` in a text (a bare NUL is no JSON anyway), half a surrogate pair, which is no
/// character, and deep nesting. serde_json sees to these only in what the type reads.
fn refused(bytes: &[u8]) -> Option<&'static str> {
    let (mut in_text, mut depth, mut at) = (false, 0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text => {
                let Some((unit, length)) = escape(&bytes[at..]) else {
                    at += 1;
                    continue;
                };
                at += length;
                match unit {
                    0 => return Some("has a NUL character"),
                    0xdc00..=0xdfff => return Some(LONE),
                    0xd800..=0xdbff => match bytes[at..].strip_prefix(b"\\").and_then(escape) {
                        Some((0xdc00..=0xdfff, length)) => at += 1 + length,
                        _ => return Some(LONE),
                    },
                    _ => {}
                }
            }
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some("is nested too deep");
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

const LONE: &str = "has half a surrogate pair";

/// The number in `u00e4`, what stands behind a backslash, and its length; `None` for other escapes.
fn escape(bytes: &[u8]) -> Option<(u32, usize)> {
    let digits = bytes.strip_prefix(b"u")?.get(..4)?;
    let unit = digits
        .iter()
        .try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))?;
    Some((unit, 5))
}

#[cfg(test)]
mod tests {
    use super::{LONE, refused};

    #[test]
    fn nul_and_deep_nesting_are_refused() {
        assert_eq!(refused(br#""a\u0000""#), Some("has a NUL character"));
        assert_eq!(refused(br#""\\\u0000""#), Some("has a NUL character"));
        assert_eq!(refused(br#""\\u0000""#), None);
        for (text, lone) in [
            (r#""\ud83d\ude00""#, false),
            (r#""\ud83d""#, true),
            (r#""\ud83dx""#, true),
            (r#""\ude00""#, true),
            (r#""\uDE00\uD83D""#, true),
            (r#""\ud83d\n""#, true),
            (r#""\\ud83d""#, false),
            (r#"{"a\ud83d": 1}"#, true),
            (r#""\u00e4\u"#, false),
        ] {
            assert_eq!(refused(text.as_bytes()), lone.then_some(LONE), "{text}");
        }
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert_eq!(refused(deep(128).as_bytes()), None);
        assert_eq!(refused(deep(129).as_bytes()), Some("is nested too deep"));
        let wide = "[],".repeat(1000);
        assert_eq!(refused(wide.as_bytes()), None);
        let text = format!("\"{}\"", "[".repeat(1000));
        assert_eq!(refused(text.as_bytes()), None);
    }
}
