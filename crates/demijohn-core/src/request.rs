//! The request as extractors, hooks and middleware see it.

use crate::body::Body;
use crate::error::{Error, Result};
use crate::site::Bag;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

/// One request on its way through hooks, extractors and the handler.
///
/// Extractors are the usual way to read it; hooks and middleware get it as `&mut Request`. Values that belong to one
/// request (Flask's `g`) live in [`extensions`](Self::extensions).
pub struct Request {
    head: Parts,
    body: BodyState,
    params: Params,
    route: Option<Arc<RouteInfo>>,
    site: Arc<Bag>,
    peer: Option<SocketAddr>,
    max_body_bytes: usize,
}

enum BodyState {
    Unread(Body),
    Buffered(Bytes),
    Taken,
}

/// Parameters of the path, percent-decoded, in the order of the route's pattern.
pub type Params = Vec<(Arc<str>, String)>;

/// The route that a request was given to.
#[derive(Debug)]
pub struct RouteInfo {
    /// Its full name, `blog.detail`; empty for a route without a name.
    pub name: String,
    /// The blueprint that it came from; empty for the site's own routes.
    pub blueprint: String,
    /// The pattern as the router has it, `/post/{id}`.
    pub pattern: String,
}

impl Request {
    /// A request to be dispatched. Servers and test clients make them; sites do not need to.
    pub fn new(head: Parts, body: Body, site: Arc<Bag>, peer: Option<SocketAddr>) -> Self {
        Request {
            head,
            body: BodyState::Unread(body),
            params: Vec::new(),
            route: None,
            site,
            peer,
            max_body_bytes: 2 << 20,
        }
    }

    /// The method, always upper case as it was sent.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The whole target of the request.
    pub fn uri(&self) -> &Uri {
        &self.head.uri
    }

    /// The path as sent, without the query.
    pub fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// The query string as sent, without `?`; empty when there is none.
    pub fn query_string(&self) -> &str {
        self.head.uri.query().unwrap_or("")
    }

    /// The pairs of the query string, decoded. Bytes that are no UTF-8 become U+FFFD here; the extractors refuse them.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query_string().as_bytes())
    }

    /// The first value of a key of the query string.
    pub fn query_value(&self, key: &str) -> Option<Cow<'_, str>> {
        self.query_pairs().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// A header as text; `None` when it is absent or not text. Names ignore case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The value of a cookie. Malformed pairs are passed over.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies().find(|(k, _)| *k == name).map(|(_, v)| v)
    }

    /// All cookies, as sent.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.head.headers.get_all(http::header::COOKIE).iter();
        lines
            .filter_map(|line: &HeaderValue| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                let value = value.trim();
                let value = value
                    .strip_prefix('"')
                    .and_then(|v| v.strip_suffix('"'))
                    .unwrap_or(value);
                Some((name.trim(), value))
            })
    }

    /// Method, target, version and headers together.
    pub fn head(&self) -> &Parts {
        &self.head
    }

    /// The same, to change: for middleware that runs before the handler.
    pub fn head_mut(&mut self) -> &mut Parts {
        &mut self.head
    }

    /// Values that live as long as this request, by type (Flask's `g`).
    pub fn extensions(&self) -> &http::Extensions {
        &self.head.extensions
    }

    /// The same, to put values in.
    pub fn extensions_mut(&mut self) -> &mut http::Extensions {
        &mut self.head.extensions
    }

    /// Parameters of the path, percent-decoded.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// One parameter of the path by its name in the pattern.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(k, _)| **k == *name).map(|(_, v)| v.as_str())
    }

    /// The route that answers; `None` while none is found (in hooks of a 404).
    pub fn route(&self) -> Option<&Arc<RouteInfo>> {
        self.route.as_ref()
    }

    /// Set by the router.
    #[doc(hidden)]
    pub fn set_route(&mut self, route: Arc<RouteInfo>, params: Params) {
        self.route = Some(route);
        self.params = params;
    }

    /// What the site provides, by type.
    pub fn site(&self) -> &Arc<Bag> {
        &self.site
    }

    /// A value that the site provides.
    ///
    /// # Errors
    /// 500 with the type's name in the log when nothing provides it; `check` finds that before the first request.
    #[track_caller]
    pub fn provided<T: Send + Sync + 'static>(&self) -> Result<&T> {
        self.site
            .get::<T>()
            .ok_or_else(|| Error::internal(format!("nothing provides `{}`", std::any::type_name::<T>())))
    }

    /// The address of the peer of the connection; `None` in the test client.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// How many bytes of body are read before the request is refused with 413.
    pub fn max_body_bytes(&self) -> usize {
        self.max_body_bytes
    }

    /// Raises or lowers the limit for this request, before the body is read.
    pub fn set_max_body_bytes(&mut self, max_bytes: usize) {
        self.max_body_bytes = max_bytes;
    }

    /// The whole body, read once and kept: several extractors may ask for it.
    ///
    /// # Errors
    /// 413 beyond [`max_body_bytes`](Self::max_body_bytes), counted on what is read; 400 when the client stops half-way; 500 when it was
    /// taken as a stream before.
    pub async fn bytes(&mut self) -> Result<Bytes> {
        let limit = self.max_body_bytes;
        match &mut self.body {
            BodyState::Buffered(bytes) => return Ok(bytes.clone()),
            BodyState::Taken => return Err(Error::internal("the body was already taken as a stream")),
            BodyState::Unread(body) => {
                let bytes = collect(std::mem::take(body), limit).await;
                match bytes {
                    Ok(bytes) => {
                        self.body = BodyState::Buffered(bytes.clone());
                        Ok(bytes)
                    }
                    Err(error) => {
                        self.body = BodyState::Taken;
                        Err(error)
                    }
                }
            }
        }
    }

    /// The body as a stream, for whoever reads it piece by piece (uploads, proxies). The caller keeps to the limit.
    ///
    /// # Errors
    /// 500 when it was taken before.
    pub fn take_body(&mut self) -> Result<Body> {
        match std::mem::replace(&mut self.body, BodyState::Taken) {
            BodyState::Unread(body) => Ok(body),
            BodyState::Buffered(bytes) => Ok(bytes.into()),
            BodyState::Taken => Err(Error::internal("the body was already taken as a stream")),
        }
    }

    /// Takes the request apart, for a foreign service that answers in the framework's place.
    ///
    /// # Errors
    /// 500 when the body was taken before.
    pub fn into_http(mut self) -> Result<http::Request<Body>> {
        let body = self.take_body()?;
        Ok(http::Request::from_parts(self.head, body))
    }
}

/// Reads a body into memory, `limit` bytes at most.
async fn collect(mut body: Body, limit: usize) -> Result<Bytes> {
    let too_large = || {
        Error::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than {limit} bytes"),
        )
    };
    if let Some(bytes) = body.as_bytes() {
        if bytes.len() > limit {
            return Err(too_large());
        }
    }
    if http_body::Body::size_hint(&body).lower() > limit as u64 {
        return Err(too_large());
    }
    let mut first: Option<Bytes> = None;
    let mut rest: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Error::bad_request("the body ended before it was complete").with_source(e))?;
        let Ok(data) = frame.into_data() else { continue };
        let seen = first.as_ref().map_or(0, Bytes::len) + rest.len();
        if seen + data.len() > limit {
            return Err(too_large());
        }
        match (&first, rest.is_empty()) {
            (None, true) => first = Some(data),
            _ => {
                if let Some(head) = first.take() {
                    rest.extend_from_slice(&head);
                }
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| rest.into()))
}

/// Decodes one segment of a path; `None` when it is no UTF-8 or holds NUL.
pub fn decode_path_segment(raw: &str) -> Option<String> {
    let text = percent_decode_str(raw).decode_utf8().ok()?;
    (!text.contains('\0')).then(|| text.into_owned())
}
