//! What is refused before anything of the site runs.

use crate::framing::{MAX_FIELDS, MAX_FIELDS_BYTES, MAX_TARGET_BYTES};
use crate::shield::host;
use demijohn_core::{Error, Request, Result};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{Method, StatusCode};

/// What is known of a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// It came over a connection that [`Framing`](crate::framing::Framing) watches.
    Inspected,
    /// So did this one, and what has come of its body is in doubt already.
    Broken,
    /// It came in another way.
    Unknown,
}

/// Whether the site takes this request.
///
/// Where two readers may understand the head differently, the connection is closed after the refusal: a proxy before us may have read another
/// request than we did.
pub(crate) fn admit(request: &Request, head: Head, allowed_hosts: &[String]) -> Result<()> {
    if head == Head::Unknown {
        fits(request)?;
    }
    if head == Head::Broken {
        return Err(doubt("the body of the request cannot be read"));
    }
    let name = named_host(request)?;
    if host::is_allowed(name, allowed_hosts) {
        return Ok(());
    }
    tracing::warn!(
        target: "demijohn::security", host = ?name, id = %request.id(),
        "the site does not answer for this host; add it to ALLOWED_HOSTS if it should"
    );
    Err(doubt("this site does not answer for that host"))
}

/// 400, and the end of the connection.
fn doubt(message: &'static str) -> Error {
    Error::bad_request(message).with_header(CONNECTION, HeaderValue::from_static("close"))
}

fn fits(request: &Request) -> Result<()> {
    if request.full_path().len() > MAX_TARGET_BYTES {
        return Err(Error::bare(StatusCode::URI_TOO_LONG));
    }
    let fields = request.headers().iter();
    let bytes: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > MAX_FIELDS_BYTES || request.headers().len() > MAX_FIELDS {
        return Err(Error::bare(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    match framing_is_plain(request) {
        true => Ok(()),
        false => Err(doubt("the length of the body is said in more than one way")),
    }
}

/// One length or one `chunked`: everything else is read in one way here and in another by a proxy before us.
fn framing_is_plain(request: &Request) -> bool {
    let lengths = request.headers().get_all(CONTENT_LENGTH).iter().count();
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => lengths <= 1,
        (Some(coding), None) => lengths == 0 && coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// The one host that a request is for, empty where it names none.
///
/// `GET http://example.org/` carries it in the target, which counts even where a header says otherwise, so the two must agree.
fn named_host(request: &Request) -> Result<&str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let header = match (hosts.next(), hosts.next()) {
        (host, None) => host.map(|host| host.to_str().unwrap_or_default()),
        (_, Some(_)) => return Err(doubt("the request names several hosts")),
    };
    let uri = request.uri();
    let target = uri.authority().map(http::uri::Authority::as_str);
    // `CONNECT example.org:80` has a host and no path; that is for proxies, as is `*` for everything but OPTIONS.
    let for_proxies = (target.is_some() && uri.scheme().is_none()) || *request.method() == Method::CONNECT;
    if for_proxies || (uri.path() == "*" && *request.method() != Method::OPTIONS) {
        return Err(doubt("the target of the request is no path of this site"));
    }
    match (target, header) {
        (Some(target), Some(header)) if !target.eq_ignore_ascii_case(header) => {
            Err(doubt("the request names several hosts"))
        }
        (target, header) => Ok(target.or(header).unwrap_or_default()),
    }
}
