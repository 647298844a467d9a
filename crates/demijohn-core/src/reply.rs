//! What a handler returns.

use crate::body::Body;
use crate::error::{Error, Result};
use crate::extract::Operation;
use crate::request::Request;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde_core::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// A response with our [`Body`].
pub type Response = http::Response<Body>;

/// What a handler may return.
///
/// It sees the request, because an answer may need what the site holds: a page needs the template engine, a
/// redirect the routes. An error returned here goes the way of every other error, through the site's error handlers.
///
/// | returned | answer |
/// |---|---|
/// | `&'static str`, `String` | `text/html; charset=utf-8`, as in Flask and Django |
/// | `Vec<T>`, maps, `serde_json::Value` | JSON |
/// | `Bytes` | `application/octet-stream` |
/// | `StatusCode` | that status, empty |
/// | `(StatusCode, reply)`, `(StatusCode, headers, reply)` | the reply under that status, with those headers |
/// | `Option<reply>` | 404 for `None` |
/// | `Result<reply, error>` | the site's answer to the error |
///
/// `()` is none on purpose: a forgotten `return` would be an empty page. Say `StatusCode::NO_CONTENT`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the answer of a handler",
    label = "not a reply",
    note = "return text, `Html(..)`, `Json(..)`, `Page(..)`, `Redirect`, a `StatusCode`, `(StatusCode, reply)`, `Response`, or a `Result` of one of them"
)]
pub trait Reply: Sized + Send {
    /// The response.
    ///
    /// # Errors
    /// What goes wrong while it is made is answered by the site's error handlers.
    fn reply(self, request: &Request) -> Result<Response>;

    /// What the documentation of the endpoint says of this answer.
    fn describe(operation: &mut Operation) {
        let _ = operation;
    }
}

/// A response of this body and content type, for implementors of [`Reply`].
pub fn content(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    // Room for what every answer carries, so that the map does not grow on the way.
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    *response.headers_mut() = headers;
    response
}

/// `value` as a JSON response.
///
/// # Errors
/// 500 when the value cannot be written as JSON (a map whose keys are no text).
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Response> {
    let mut text = Vec::with_capacity(128);
    serde_json::to_writer(&mut text, value)?;
    Ok(content(JSON, text))
}

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";

impl Reply for Response {
    fn reply(self, _: &Request) -> Result<Response> {
        Ok(self)
    }
}

impl<T: Reply, E: Into<Error> + Send> Reply for Result<T, E> {
    fn reply(self, request: &Request) -> Result<Response> {
        self.map_err(Into::into)?.reply(request)
    }

    fn describe(operation: &mut Operation) {
        T::describe(operation);
    }
}

impl<T: Reply> Reply for Option<T> {
    fn reply(self, request: &Request) -> Result<Response> {
        self.ok_or_else(|| Error::bare(StatusCode::NOT_FOUND))?.reply(request)
    }

    fn describe(operation: &mut Operation) {
        T::describe(operation);
        operation.statuses.push((404, "there is no such thing"));
    }
}

/// A reply that is one body of one type.
macro_rules! body_reply {
    ($type:ty, $content_type:expr) => {
        impl Reply for $type {
            fn reply(self, _: &Request) -> Result<Response> {
                Ok(content($content_type, self))
            }

            fn describe(operation: &mut Operation) {
                operation.produces.push($content_type);
            }
        }
    };
}

body_reply!(&'static str, HTML);
body_reply!(String, HTML);
body_reply!(Bytes, BINARY);
body_reply!(&'static [u8], BINARY);

impl Reply for Cow<'static, str> {
    fn reply(self, _: &Request) -> Result<Response> {
        Ok(match self {
            Cow::Borrowed(text) => content(HTML, text),
            Cow::Owned(text) => content(HTML, text),
        })
    }

    fn describe(operation: &mut Operation) {
        operation.produces.push(HTML);
    }
}

macro_rules! json_reply {
    ($([$($generics:tt)*] $type:ty),+ $(,)?) => {$(
        impl<$($generics)*> Reply for $type {
            fn reply(self, _: &Request) -> Result<Response> {
                json(&self)
            }

            fn describe(operation: &mut Operation) {
                operation.produces.push(JSON);
            }
        }
    )+};
}

json_reply! {
    [] serde_json::Value,
    [] serde_json::Map<String, serde_json::Value>,
    [T: Serialize + Send] Vec<T>,
    [K: Serialize + Send + Eq + std::hash::Hash, V: Serialize + Send, S: std::hash::BuildHasher + Send] HashMap<K, V, S>,
    [K: Serialize + Send + Ord, V: Serialize + Send] BTreeMap<K, V>,
}

impl Reply for StatusCode {
    fn reply(self, _: &Request) -> Result<Response> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self;
        Ok(response)
    }
}

impl<T: Reply> Reply for (StatusCode, T) {
    fn reply(self, request: &Request) -> Result<Response> {
        let mut response = self.1.reply(request)?;
        *response.status_mut() = self.0;
        Ok(response)
    }

    fn describe(operation: &mut Operation) {
        T::describe(operation);
    }
}

/// Headers of a short reply: `[("x-kind", "a")]`, a `HeaderMap`, or pairs of `http` types.
pub trait ReplyHeaders: Send {
    /// Writes them over those that are there.
    ///
    /// # Errors
    /// 500 for a name or a value that no header can have, a line break for one.
    fn write(self, headers: &mut HeaderMap) -> Result<()>;
}

impl ReplyHeaders for HeaderMap {
    fn write(self, headers: &mut HeaderMap) -> Result<()> {
        headers.extend(self);
        Ok(())
    }
}

impl<N, V, const LEN: usize> ReplyHeaders for [(N, V); LEN]
where
    N: TryInto<HeaderName, Error: Into<Error>> + Send,
    V: TryInto<HeaderValue, Error: Into<Error>> + Send,
{
    fn write(self, headers: &mut HeaderMap) -> Result<()> {
        for (name, value) in self {
            headers.insert(
                name.try_into().map_err(Into::into)?,
                value.try_into().map_err(Into::into)?,
            );
        }
        Ok(())
    }
}

impl<H: ReplyHeaders, T: Reply> Reply for (StatusCode, H, T) {
    fn reply(self, request: &Request) -> Result<Response> {
        let mut response = self.2.reply(request)?;
        *response.status_mut() = self.0;
        self.1.write(response.headers_mut())?;
        Ok(response)
    }

    fn describe(operation: &mut Operation) {
        T::describe(operation);
    }
}
