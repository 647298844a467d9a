//! The request as extractors, hooks and middleware see it.

use crate::body::Body;
use crate::error::{BoxError, Error, Result};
use crate::site::Bag;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use std::any::Any;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, OnceLock};

/// One request on its way through hooks, extractors and the handler.
///
/// Extractors are the usual way to read it; hooks and middleware get it as `&mut Request`. Values that belong to one
/// request (Flask's `g`) live in [`extensions`](Self::extensions).
pub struct Request {
    head: Parts,
    body: BodyState,
    /// Index into the site's [`RouteTable`]: a number instead of a shared pointer, which all threads would count on.
    route: Option<u32>,
    params: Vec<String>,
    site: Arc<Bag>,
    peer: Option<SocketAddr>,
    max_body_bytes: usize,
    secure: bool,
    script_name: String,
    id: RequestId,
    csp_nonce: OnceLock<String>,
    visit: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// How many bytes of a body are read unless the site or the route says otherwise.
pub const DEFAULT_MAX_BODY_BYTES: usize = 2 << 20;

enum BodyState {
    Unread(Body),
    Buffered(Bytes),
    Taken,
    /// It could not be read. Whoever asks next learns the same: a handler may have several arguments of one bad body.
    Refused(StatusCode),
}

/// An extension rather than a field, so that it stays with the head when foreign middleware takes the request apart.
#[derive(Clone, Copy)]
struct PersonalResponse;

/// The route that a request was given to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteInfo {
    /// Its full name, `blog.detail`; empty for a route without a name.
    pub name: String,
    /// The blueprint that it came from; empty for the site's own routes.
    pub blueprint: String,
    /// The pattern as the router has it, `/post/{id}`.
    pub pattern: String,
    /// The names of the pattern's parameters, in order.
    pub params: Vec<String>,
}

/// All routes of a site, in the order of declaration; the router puts it into the site's bag.
#[derive(Debug, Default)]
pub struct RouteTable(pub Vec<RouteInfo>);

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
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
            secure: false,
            script_name: String::new(),
            id: RequestId::next(),
            csp_nonce: OnceLock::new(),
            visit: OnceLock::new(),
        }
    }

    /// A request for `GET /` of a site that provides nothing: what stands in while the real one is lent out.
    #[doc(hidden)]
    pub fn placeholder() -> Self {
        static NOTHING: LazyLock<Arc<Bag>> = LazyLock::new(Arc::default);
        let (head, ()) = http::Request::new(()).into_parts();
        Request::new(head, Body::empty(), Arc::clone(&NOTHING), None)
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

    /// All cookies, as sent. What is no pair, or no UTF-8, is passed over by itself: it takes no other cookie with it.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        cookie_pairs(self.head.headers.get_all(http::header::COOKIE))
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

    /// Says that the response depends on who asks, because the session was looked at: no shared cache may keep it.
    ///
    /// Sessions and accounts call it; a handler calls it when it knows its visitor by other means.
    ///
    /// ```
    /// # use demijohn_core::Request;
    /// # let mut request = Request::placeholder();
    /// assert!(!request.is_personal());
    /// request.mark_personal();
    /// assert!(request.is_personal());
    /// ```
    pub fn mark_personal(&mut self) {
        self.head.extensions.insert(PersonalResponse);
    }

    /// True once [`mark_personal`](Self::mark_personal) was called.
    pub fn is_personal(&self) -> bool {
        self.head.extensions.get::<PersonalResponse>().is_some()
    }

    /// Parameters of the path by name, percent-decoded, in the order of the pattern.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.route().map_or(&[][..], |route| &route.params);
        names
            .iter()
            .zip(&self.params)
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The values alone.
    pub fn param_values(&self) -> &[String] {
        &self.params
    }

    /// One parameter of the path by its name in the pattern.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params().find(|(k, _)| *k == name).map(|(_, v)| v)
    }

    /// The route that answers; `None` while none is found (in hooks of a 404).
    pub fn route(&self) -> Option<&RouteInfo> {
        self.site.get::<RouteTable>()?.0.get(self.route? as usize)
    }

    /// The route's place in the site's [`RouteTable`]: what to keep of a route beyond the request.
    pub fn route_index(&self) -> Option<u32> {
        self.route
    }

    /// Set by the router: the place in the site's [`RouteTable`], and the values of the pattern's parameters.
    #[doc(hidden)]
    pub fn set_route(&mut self, route: u32, params: Vec<String>) {
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

    /// The id of the request, for logs and for the `X-Request-Id` of the response.
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// Takes the client's `X-Request-Id` over, when it is short and plain: whatever it is, it goes into logs.
    #[doc(hidden)]
    pub fn take_sane_id(&mut self) {
        let Some(given) = self.head.headers.get("x-request-id") else {
            return;
        };
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if (8..=64).contains(&given.len()) && given.as_bytes().iter().all(plain) {
            self.id = RequestId(Id::Given(given.clone()));
        }
    }

    /// The nonce of this request's content security policy, 128 bits of the system's randomness: what an inline `<script nonce="..">`
    /// or `<style nonce="..">` names so that browsers take it for the site's own. The header has it when somebody asked for it.
    ///
    /// # Errors
    /// 500 when the system has no randomness to give.
    pub fn csp_nonce(&self) -> Result<&str> {
        if let Some(nonce) = self.csp_nonce.get() {
            return Ok(nonce);
        }
        let nonce = new_nonce()?;
        Ok(self.csp_nonce.get_or_init(|| nonce))
    }

    /// Takes a nonce over that was made where the request was not at hand; one that was given before stays.
    #[doc(hidden)]
    pub fn adopt_csp_nonce(&self, nonce: String) {
        let _ = self.csp_nonce.set(nonce);
    }

    /// The nonce, when somebody asked for it.
    pub fn given_csp_nonce(&self) -> Option<&str> {
        self.csp_nonce.get().map(String::as_str)
    }

    /// Where the web floor keeps what it knows of the visitor: made when somebody first asks, who may have the request only to look at.
    #[doc(hidden)]
    pub fn visit(&self) -> &OnceLock<Arc<dyn Any + Send + Sync>> {
        &self.visit
    }

    /// The host that the client asked for, with its port if it named one: `example.org:8000`. It is the client's word, so
    /// trust it only where allowed hosts are set.
    pub fn host(&self) -> Option<&str> {
        match self.header("host") {
            Some(host) => Some(host),
            None => self.head.uri.authority().map(http::uri::Authority::as_str),
        }
    }

    /// True when the client speaks https: to the server itself, or to a proxy that the site trusts.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Set by servers with TLS, and by whoever trusts a proxy.
    pub fn set_secure(&mut self, secure: bool) {
        self.secure = secure;
    }

    /// Changes the peer's address, for whoever trusts a proxy.
    pub fn set_peer(&mut self, peer: Option<SocketAddr>) {
        self.peer = peer;
    }

    /// The path that the site is mounted at outside of it, `/app`, which [`path`](Self::path) does not have and links need; empty for none.
    pub fn script_name(&self) -> &str {
        &self.script_name
    }

    /// Set by whoever took it off the path, without a slash at its end.
    pub fn set_script_name(&mut self, script_name: String) {
        self.script_name = script_name;
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// The path with its query, as sent: `/music/bands/?print=true`.
    pub fn full_path(&self) -> &str {
        self.head
            .uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str)
    }

    /// A path of this site with scheme and host before it: `https://example.org/bands/`. The host is the one asked for.
    ///
    /// # Errors
    /// 400 when the client named no host.
    pub fn absolute_uri(&self, path: &str) -> Result<String> {
        let host = self
            .host()
            .ok_or_else(|| Error::bad_request("the request names no host"))?;
        Ok(format!("{}://{host}{path}", self.scheme()))
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
            BodyState::Buffered(bytes) => Ok(bytes.clone()),
            BodyState::Taken => Err(Error::internal("the body was already taken as a stream")),
            BodyState::Refused(status) => Err(Error::bare(*status)),
            BodyState::Unread(body) => {
                let bytes = collect(std::mem::take(body), limit).await;
                match bytes {
                    Ok(bytes) => {
                        self.body = BodyState::Buffered(bytes.clone());
                        Ok(bytes)
                    }
                    Err(error) => {
                        self.body = BodyState::Refused(error.status());
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
            BodyState::Refused(status) => {
                self.body = BodyState::Refused(status);
                Err(Error::bare(status))
            }
        }
    }

    /// Says that a body taken as a stream could not be read: whoever asks for it next is refused with this status.
    pub fn refuse_body(&mut self, status: StatusCode) {
        self.body = BodyState::Refused(status);
    }

    /// Puts a body in, for whoever took it and hands it on changed.
    pub fn put_body(&mut self, body: Body) {
        self.body = BodyState::Unread(body);
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

/// 128 bits of the system's randomness, as hexadecimal digits.
#[doc(hidden)]
pub fn new_nonce() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(format!("no randomness for a nonce: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a client is told whose body could not be read to its end: 408 where the server has lost patience, else 400.
pub fn broken_body(error: BoxError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    let mut too_slow = false;
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        too_slow |= io.is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
        cause = error.source();
    }
    match too_slow {
        true => Error::new(StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
        false => Error::bad_request("the body ended before it was complete"),
    }
    .with_source(error)
}

/// The cookies of headers `Cookie`, as sent; see [`Request::cookies`].
#[doc(hidden)]
pub fn cookie_pairs<'v>(lines: impl IntoIterator<Item = &'v HeaderValue>) -> impl Iterator<Item = (&'v str, &'v str)> {
    // White space of Unicode is part of a name: browsers let other sites' pages set such cookies where they would not let them set
    // the name without it.
    const SPACE: [char; 2] = [' ', '\t'];
    lines
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
            let value = value.trim_matches(SPACE);
            let value = value
                .strip_prefix('"')
                .and_then(|v| v.strip_suffix('"'))
                .unwrap_or(value);
            Some((name.trim_matches(SPACE), value))
        })
}

/// Reads a body into memory, `limit` bytes at most.
async fn collect(mut body: Body, limit: usize) -> Result<Bytes> {
    let too_large = || {
        Error::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than {limit} bytes"),
        )
    };
    if body.as_bytes().is_some_and(|bytes| bytes.len() > limit) {
        return Err(too_large());
    }
    if http_body::Body::size_hint(&body).lower() > limit as u64 {
        return Err(too_large());
    }
    let mut first: Option<Bytes> = None;
    let mut rest: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(broken_body)?;
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

/// The id of a request: ours, or the client's where it sent a sane one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Id);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Id {
    Made(u64),
    Given(HeaderValue),
}

impl RequestId {
    /// Unlike every other of this process, and of others most likely. It is no secret.
    fn next() -> Self {
        use std::cell::Cell;
        use std::hash::{BuildHasher, RandomState};
        thread_local! {
            static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(std::thread::current().id()));
        }
        // splitmix64: a counter per thread, shuffled so that two threads' numbers do not look like neighbours.
        let mut z = STATE.with(|state| {
            state.set(state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
            state.get()
        });
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        RequestId(Id::Made(z ^ (z >> 31)))
    }

    /// The id as a header's value.
    pub fn to_header(&self) -> HeaderValue {
        match &self.0 {
            Id::Given(value) => value.clone(),
            Id::Made(number) => {
                let mut text = [0; 16];
                for (i, digit) in text.iter_mut().enumerate() {
                    *digit = b"0123456789abcdef"[(number >> (60 - 4 * i) & 15) as usize];
                }
                HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
            }
        }
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Id::Given(value) => f.write_str(value.to_str().unwrap_or_default()),
            Id::Made(number) => write!(f, "{number:016x}"),
        }
    }
}
