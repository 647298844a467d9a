//! The opening handshake (RFC 6455, 4.2): what is checked of the request, and the answer.

use super::drive::Limits;
use super::switch::{Handler, Switch};
use super::{Rules, WebSocket};
use crate::origin::Origin;
use demijohn_core::extract::Operation;
use demijohn_core::{Body, Error, Extract, Rejection, Request, Response, Result};
use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, StatusCode, Version};
use std::time::Duration;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A client that asks for a socket, checked: its handshake is in order and its page may open one. See the [module](super).
///
/// What is no such request is refused: 426 when it asks for no socket or for another version, 403 for a page of another origin, 400
/// for what is malformed.
#[derive(Debug)]
#[must_use = "a socket is opened by answering with `upgrade.on_upgrade(..)`"]
pub struct WebSocketUpgrade {
    accept: HeaderValue,
    offered: Vec<String>,
    chosen: Option<String>,
    limits: Limits,
    name: String,
}

impl WebSocketUpgrade {
    /// The sub-protocols that the client offers, in its order.
    pub fn offered(&self) -> &[String] {
        &self.offered
    }

    /// Agrees on the first of the site's sub-protocols that the client offers; on none when it offers none of them.
    pub fn subprotocols<T: AsRef<str>>(mut self, ours: impl IntoIterator<Item = T>) -> Self {
        let offers = |name: &T| self.offered.iter().any(|offered| offered == name.as_ref());
        self.chosen = ours.into_iter().find(offers).map(|name| name.as_ref().to_owned());
        self
    }

    /// What was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.chosen.as_deref()
    }

    /// How large a message of the client may be, in place of `WEBSOCKET_MAX_MESSAGE_BYTES`.
    pub fn max_message_bytes(mut self, max_bytes: usize) -> Self {
        self.limits.max_message_bytes = max_bytes;
        self
    }

    /// How often the client is pinged, in place of `WEBSOCKET_PING_SECONDS`; `None` for never.
    pub fn ping_every(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.limits.ping = interval.into();
        self
    }

    /// After how long a silent client is given up, in place of `WEBSOCKET_IDLE_SECONDS`; `None` for never.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.limits.idle = timeout.into();
        self
    }

    /// The answer that opens the socket, and what runs then, as long as the socket is open.
    pub fn on_upgrade<F, Fut>(self, handler: F) -> Response
    where
        F: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        // It is a token, as the client's offer was.
        if let Some(chosen) = self.chosen.as_ref().and_then(|name| HeaderValue::try_from(name).ok()) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, chosen);
        }
        let handler: Handler = Box::new(move |socket| Box::pin(handler(socket)));
        let switch = Switch {
            handler,
            limits: self.limits,
            subprotocol: self.chosen,
            bound: None,
            name: self.name,
        };
        switch.attach(&mut response);
        response
    }
}

impl Extract for WebSocketUpgrade {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let rules: &Rules = request.provided()?;
        let key = check(request)?;
        if !may_open(request, rules) {
            tracing::warn!(
                target: "demijohn::security",
                path = ?request.path(), origin = ?request.headers().get(ORIGIN), id = %request.id(),
                "a page of another origin may not open a socket"
            );
            return Err(Error::forbidden("pages of other origins may not open sockets here").into());
        }
        let limits = Limits {
            max_message_bytes: rules.max_message_bytes,
            ping: rules.ping,
            idle: rules.idle,
        };
        Ok(WebSocketUpgrade {
            accept: HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(Error::from)?,
            offered: subprotocols(request.headers())?,
            chosen: None,
            limits,
            name: format!("{} {:?}", request.id(), request.path()),
        })
    }

    fn describe(operation: &mut Operation) {
        operation.statuses.push((101, "the connection is a WebSocket"));
        operation.statuses.push((426, "the request asks for no WebSocket"));
    }
}

/// Looks at all that a handshake must have; gives the key.
fn check(request: &Request) -> Result<&HeaderValue> {
    let headers = request.headers();
    if request.method() != Method::GET {
        // HEAD comes here as well.
        return Err(
            Error::bare(StatusCode::METHOD_NOT_ALLOWED).with_header(ALLOW, HeaderValue::from_static("GET, OPTIONS"))
        );
    }
    if request.head().version != Version::HTTP_11 {
        return Err(Error::bad_request("sockets are opened over HTTP/1.1"));
    }
    if !has_token(headers, UPGRADE, "websocket") {
        return Err(upgrade_required("this is a WebSocket; the request asks for none"));
    }
    if !has_token(headers, CONNECTION, "upgrade") {
        return Err(Error::bad_request("`Connection` does not name `Upgrade`"));
    }
    let body =
        headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if body {
        return Err(Error::bad_request("a request for a socket has no body"));
    }
    if single(headers, SEC_WEBSOCKET_VERSION)?.is_none_or(|version| version != "13") {
        return Err(upgrade_required("sockets are of version 13 here"));
    }
    match single(headers, SEC_WEBSOCKET_KEY)? {
        Some(key) if is_key(key.as_bytes()) => Ok(key),
        _ => Err(Error::bad_request("`Sec-WebSocket-Key` is not 16 bytes in Base64")),
    }
}

/// 426, which says what it takes.
fn upgrade_required(text: &'static str) -> Error {
    Error::new(StatusCode::UPGRADE_REQUIRED, text)
        .with_header(UPGRADE, HeaderValue::from_static("websocket"))
        .with_header(CONNECTION, HeaderValue::from_static("Upgrade"))
        .with_header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
}

/// Whether a list names a token, in any case.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name);
    let mut tokens = lines
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    tokens.any(|found| found.trim_matches([' ', '\t']).eq_ignore_ascii_case(token))
}

fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&HeaderValue>> {
    let mut values = headers.get_all(&name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Error::bad_request(format!("`{name}` is there more than once"))),
    }
}

/// 16 bytes in Base64 are 22 digits and two `=`.
fn is_key(key: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    matches!(key.strip_suffix(b"=="), Some(digits) if digits.len() == 22 && digits.iter().all(digit))
}

/// More sub-protocols no client speaks.
const MAX_OFFERED: usize = 50;

/// The names that the client offers: tokens, each once.
fn subprotocols(headers: &HeaderMap) -> Result<Vec<String>> {
    let mut offered: Vec<String> = Vec::new();
    for line in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        for name in line.to_str().unwrap_or("\0").split(',') {
            let name = name.trim_matches([' ', '\t']);
            if offered.len() == MAX_OFFERED || !is_token(name) || offered.iter().any(|other| other == name) {
                return Err(Error::bad_request(
                    "`Sec-WebSocket-Protocol` is no list of different names",
                ));
            }
            offered.push(name.to_owned());
        }
    }
    Ok(offered)
}

fn is_token(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(legal)
}

/// Whether the page that asks, if it is a page, may have a socket of this site.
fn may_open(request: &Request, rules: &Rules) -> bool {
    let mut origins = request.headers().get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        // No browser. With cookies it acts for somebody, and then it must say where it stands.
        (None, _) => !request.headers().contains_key(COOKIE),
        (Some(origin), None) => {
            let page = origin.to_str().ok().and_then(Origin::parse);
            rules.lets_in(page.as_ref(), Origin::of_request(request).as_ref())
        }
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_key;

    #[test]
    fn keys() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for key in [
            "",
            "==",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25j==ZQ",
            "dGhlIHNhbXBsZSBub25jZQ== ",
            "dGhlIHNhbXBsZSBub25j ZQ==",
            "dGhlIHNhbXBsZSBub25jZQAA",
        ] {
            assert!(!is_key(key.as_bytes()), "{key}");
        }
    }
}
