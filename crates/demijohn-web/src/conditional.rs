//! Conditional requests and ranges (RFC 9110, 13 and 14): what a header asks for, without any IO.

use bytes::Bytes;
use demijohn_core::{Body, Request, Response};
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{Method, StatusCode};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a representation is known by: an entity tag with its quotes (`"a"`, `W/"a"`), and when it was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// The entity tag, with its quotes.
    pub etag: Option<String>,
    /// When it was last changed.
    pub modified: Option<SystemTime>,
}

/// What the conditions of a request say about a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer as usual.
    Go,
    /// 304: the client has it.
    NotModified,
    /// 412: it is not what the client thinks.
    Failed,
}

impl Version {
    /// A version by its tag; quotes are added.
    pub fn tagged(tag: impl std::fmt::Display) -> Version {
        Version {
            etag: Some(format!("\"{tag}\"")),
            modified: None,
        }
    }

    /// A version by when it was changed and how long it is, as files are known.
    pub fn dated(modified: Option<SystemTime>, length: u64) -> Version {
        let age = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Version {
            etag: Some(format!("\"{:x}-{length:x}\"", age.unwrap_or_default().as_nanos())),
            modified,
        }
    }

    /// Weighs `If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If-Modified-Since`, in the order of RFC 9110, 13.2.2.
    pub fn weigh(&self, method: &Method, headers: &HeaderMap) -> Verdict {
        let safe = *method == Method::GET || *method == Method::HEAD;
        if headers.contains_key(IF_MATCH) {
            if !self.matches(headers, IF_MATCH, true) {
                return Verdict::Failed;
            }
        } else if let (Some(since), Some(modified)) = (date(headers, IF_UNMODIFIED_SINCE), self.modified)
            && seconds(modified) > seconds(since)
        {
            return Verdict::Failed;
        }
        if headers.contains_key(IF_NONE_MATCH) {
            if self.matches(headers, IF_NONE_MATCH, false) {
                return if safe { Verdict::NotModified } else { Verdict::Failed };
            }
        } else if let (true, Some(since), Some(modified)) = (safe, date(headers, IF_MODIFIED_SINCE), self.modified)
            && seconds(modified) <= seconds(since)
        {
            return Verdict::NotModified;
        }
        Verdict::Go
    }

    fn matches(&self, headers: &HeaderMap, name: HeaderName, strong: bool) -> bool {
        let lines = headers.get_all(name);
        let mut tags = lines.iter().filter_map(|line| line.to_str().ok()).flat_map(tags);
        tags.any(|tag| match (&self.etag, tag) {
            (_, "*") => true,
            (None, _) => false,
            (Some(own), tag) if strong => own == tag && !own.starts_with("W/"),
            (Some(own), tag) => own.trim_start_matches("W/") == tag.trim_start_matches("W/"),
        })
    }

    /// True when `If-Range` is absent or names this very version: only then a part may be sent.
    fn range_holds(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(IF_RANGE) else {
            return true;
        };
        let Ok(value) = value.to_str() else { return false };
        match value.starts_with('"') {
            true => self.etag.as_deref() == Some(value),
            false => match (httpdate::parse_http_date(value), self.modified) {
                (Ok(date), Some(modified)) => seconds(date) == seconds(modified),
                _ => false,
            },
        }
    }

    /// Writes `ETag` and `Last-Modified`.
    pub fn write(&self, headers: &mut HeaderMap) {
        if let Some(value) = self.etag.as_ref().and_then(|tag| HeaderValue::try_from(tag).ok()) {
            headers.insert(ETAG, value);
        }
        if let Some(value) = self
            .modified
            .and_then(|time| HeaderValue::try_from(http_date(time)).ok())
        {
            headers.insert(LAST_MODIFIED, value);
        }
    }
}

/// The tags of a list, with their quotes; commas inside of quotes are part of a tag.
fn tags(line: &str) -> Vec<&str> {
    let mut tags = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (i, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                tags.push(line[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    tags.push(line[start..].trim());
    tags
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// A date as headers have it. They know the years from 1970 to 9999, and what lies outside becomes the first or the last of their seconds.
pub(crate) fn http_date(time: SystemTime) -> String {
    const LAST: u64 = 253_402_300_799;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds(time).min(LAST)))
}

/// Dates of HTTP have whole seconds.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Makes a ready answer conditional: gives it an entity tag of its content where it has none, and answers 304 or 412 where
/// the request's conditions say so. Streams and answers other than 200 stay as they are.
///
/// ```
/// use demijohn_web::{conditional, get, Application, Request, Response};
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new()
///     .route("/", get(async || "text"))
///     .after(async |request: &mut Request, response: Response| conditional::apply(request, response))
///     .test_client();
/// let tag = client.get("/").await.header("etag").unwrap().to_owned();
/// let again = client.get("/").header("if-none-match", &tag).await;
/// assert_eq!((again.status().as_u16(), again.text()), (304, ""));
/// # });
/// ```
pub fn apply(request: &Request, mut response: Response) -> Response {
    if response.status() != StatusCode::OK {
        return response;
    }
    if !response.headers().contains_key(ETAG) {
        let Some(bytes) = response.body().as_bytes() else {
            return response;
        };
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let tag = format!("\"{:016x}-{:x}\"", hasher.finish(), bytes.len());
        if let Ok(value) = HeaderValue::try_from(tag) {
            response.headers_mut().insert(ETAG, value);
        }
    }
    let text = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let version = Version {
        etag: text(ETAG),
        modified: text(LAST_MODIFIED).and_then(|date| httpdate::parse_http_date(&date).ok()),
    };
    match version.weigh(request.method(), request.headers()) {
        Verdict::Go => response,
        Verdict::NotModified => bodiless(response, StatusCode::NOT_MODIFIED),
        Verdict::Failed => bodiless(response, StatusCode::PRECONDITION_FAILED),
    }
}

/// Ends the request with 304 or 412 where its conditions say so about a version that is known before the work is done: in
/// a before hook of a route, or first thing in a handler.
///
/// ```
/// use demijohn_web::conditional::{self, Version};
/// use demijohn_web::{get, Application, Request, Result};
///
/// async fn unless_known(request: &mut Request) -> Result<()> {
///     conditional::require(request, &Version::tagged("v7"))
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/", get(async || "costly").before(unless_known)).test_client();
/// assert_eq!(client.get("/").header("if-none-match", "\"v7\"").await.status(), 304);
/// # });
/// ```
///
/// # Errors
/// The ready 304 or 412, which goes out as it is.
pub fn require(request: &Request, version: &Version) -> demijohn_core::Result<()> {
    let status = match version.weigh(request.method(), request.headers()) {
        Verdict::Go => return Ok(()),
        Verdict::NotModified => StatusCode::NOT_MODIFIED,
        Verdict::Failed => StatusCode::PRECONDITION_FAILED,
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    version.write(response.headers_mut());
    Err(demijohn_core::Error::response(response))
}

/// The same answer with this status and no body.
pub(crate) fn bodiless(mut response: Response, status: StatusCode) -> Response {
    *response.status_mut() = status;
    *response.body_mut() = Body::empty();
    for name in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_RANGE] {
        response.headers_mut().remove(name);
    }
    response
}

/// What a `Range` header asks of something `length` bytes long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it: nothing was asked, or nothing that is understood.
    Whole,
    /// These bytes, first and last.
    Bytes(u64, u64),
    /// At least two stretches, first and last byte of each: in order, apart from each other, ten at most.
    Several(Vec<(u64, u64)>),
    /// 416: nothing of it is there.
    Unsatisfiable,
}

/// More ranges than these nobody needs: of such a request the whole is sent.
const MAX_RANGES: usize = 10;

/// Reads the `Range` header. Ranges that touch or overlap are sent as one; a header that is not understood, or that asks
/// for more than ten ranges, asks for nothing (RFC 9110, 14.2), so an answer is never longer than the whole and its headers.
pub fn part(version: &Version, method: &Method, headers: &HeaderMap, length: u64) -> Part {
    let mut lines = headers.get_all(RANGE).iter();
    // It is no list: who sends it twice may be understood in two ways.
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Part::Whole;
    };
    if *method != Method::GET || !version.range_holds(headers) {
        return Part::Whole;
    }
    line.to_str().map_or(Part::Whole, |range| parse_range(range, length))
}

pub(crate) fn parse_range(range: &str, length: u64) -> Part {
    let Some((unit, specs)) = range.split_once('=') else {
        return Part::Whole;
    };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Part::Whole;
    }
    let mut stretches = Vec::new();
    for (count, spec) in specs.split(',').enumerate() {
        let Some(spec) = one_range(spec.trim_matches([' ', '\t'])).filter(|_| count < MAX_RANGES) else {
            return Part::Whole;
        };
        stretches.extend(spec.within(length));
    }
    stretches.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(stretches.len());
    for (first, last) in stretches {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    match merged[..] {
        [] => Part::Unsatisfiable,
        [(first, last)] => Part::Bytes(first, last),
        _ => Part::Several(merged),
    }
}

/// One range as it was written.
enum Spec {
    /// `0-3`, `8-`.
    From(u64, u64),
    /// `-3`: so many at the end.
    Last(u64),
}

impl Spec {
    /// First and last byte of it; `None` when nothing of it is there.
    fn within(self, length: u64) -> Option<(u64, u64)> {
        let end = length.checked_sub(1)?;
        match self {
            Spec::From(first, last) => (first <= end).then(|| (first, last.min(end))),
            Spec::Last(0) => None,
            Spec::Last(count) => Some((length.saturating_sub(count), end)),
        }
    }
}

fn one_range(spec: &str) -> Option<Spec> {
    // What is beyond 64 bits is beyond every file.
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match spec.split_once('-')? {
        ("", last) => Some(Spec::Last(number(last)?)),
        (first, "") => Some(Spec::From(number(first)?, u64::MAX)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, last))
        }
    }
}

/// A stretch of what is answered with, and what goes out before it.
pub(crate) struct Stretch {
    pub(crate) head: Bytes,
    pub(crate) first: u64,
    pub(crate) count: u64,
}

impl Stretch {
    pub(crate) fn plain(first: u64, count: u64) -> Stretch {
        Stretch {
            head: Bytes::new(),
            first,
            count,
        }
    }
}

/// Writes status and headers for a part of something `length` bytes long, and gives what to send in this order; nothing of it for
/// HEAD or 416. Several ranges go out as `multipart/byteranges` (RFC 9110, 14.6), so the content type has to be there already.
pub(crate) fn write_part(response: &mut Response, part: Part, length: u64) -> Vec<Stretch> {
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let mut content_range = |text: String| {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(CONTENT_RANGE, value);
        }
    };
    let stretches = match part {
        Part::Whole => vec![Stretch::plain(0, length)],
        Part::Bytes(first, last) => {
            content_range(format!("bytes {first}-{last}/{length}"));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            vec![Stretch::plain(first, last - first + 1)]
        }
        Part::Several(ranges) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            several(response.headers_mut(), &ranges, length)
        }
        Part::Unsatisfiable => {
            content_range(format!("bytes */{length}"));
            headers.remove(CONTENT_TYPE);
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return Vec::new();
        }
    };
    let count: u64 = stretches.iter().map(|part| part.head.len() as u64 + part.count).sum();
    response.headers_mut().insert(CONTENT_LENGTH, count.into());
    stretches
}

fn several(headers: &mut HeaderMap, ranges: &[(u64, u64)], length: u64) -> Vec<Stretch> {
    // Nobody can put it into a file that is served: it is made anew for each answer.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(length);
    let boundary = format!("range-{:016x}", hasher.finish());
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes().to_vec());
    let mut line = "";
    let mut stretches = Vec::with_capacity(ranges.len() + 1);
    for &(first, last) in ranges {
        let mut head = format!("{line}--{boundary}\r\n").into_bytes();
        if let Some(content_type) = &content_type {
            head.extend_from_slice(b"Content-Type: ");
            head.extend_from_slice(content_type);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(format!("Content-Range: bytes {first}-{last}/{length}\r\n\r\n").as_bytes());
        stretches.push(Stretch {
            head: head.into(),
            first,
            count: last - first + 1,
        });
        line = "\r\n";
    }
    stretches.push(Stretch {
        head: format!("\r\n--{boundary}--\r\n").into(),
        first: 0,
        count: 0,
    });
    if let Ok(value) = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}")) {
        headers.insert(CONTENT_TYPE, value);
    }
    stretches
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Part, Verdict, Version, http_date, parse_range};
    use http::{HeaderMap, Method};
    use std::time::{Duration, UNIX_EPOCH};

    #[track_caller]
    fn check(method: Method, header: (&'static str, &str), expected: Verdict) {
        let version = Version {
            etag: Some("\"a\"".into()),
            modified: Some(UNIX_EPOCH + Duration::from_millis(1_000_500)),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header.0, header.1.parse().unwrap());
        assert_eq!(version.weigh(&method, &headers), expected, "{header:?}");
    }

    #[test]
    fn conditions() {
        check(Method::GET, ("if-none-match", "\"a\""), Verdict::NotModified);
        check(Method::GET, ("if-none-match", "\"b, \", W/\"a\""), Verdict::NotModified);
        check(Method::GET, ("if-none-match", "*"), Verdict::NotModified);
        check(Method::GET, ("if-none-match", "\"b\""), Verdict::Go);
        check(Method::PUT, ("if-none-match", "*"), Verdict::Failed);
        check(Method::PUT, ("if-match", "\"a\""), Verdict::Go);
        check(Method::PUT, ("if-match", "\"b\""), Verdict::Failed);
        check(Method::PUT, ("if-match", "W/\"a\""), Verdict::Failed);
        check(
            Method::GET,
            ("if-modified-since", "Thu, 01 Jan 1970 00:16:40 GMT"),
            Verdict::NotModified,
        );
        check(
            Method::GET,
            ("if-modified-since", "Thu, 01 Jan 1970 00:16:39 GMT"),
            Verdict::Go,
        );
        check(Method::GET, ("if-modified-since", "yesterday"), Verdict::Go);
        check(
            Method::PUT,
            ("if-unmodified-since", "Thu, 01 Jan 1970 00:16:39 GMT"),
            Verdict::Failed,
        );
    }

    #[test]
    fn dates_that_headers_do_not_know() {
        let long = Duration::from_secs(300_000_000_000);
        assert_eq!(http_date(UNIX_EPOCH + long), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(http_date(UNIX_EPOCH - long), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn ranges() {
        let cases = [
            ("bytes=0-3", Part::Bytes(0, 3)),
            ("bytes=8-", Part::Bytes(8, 9)),
            ("bytes=-3", Part::Bytes(7, 9)),
            ("bytes=-30", Part::Bytes(0, 9)),
            ("bytes=0-99999999999999999999999", Part::Bytes(0, 9)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=3-1", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=0-1,3-4", Part::Several(vec![(0, 1), (3, 4)])),
            ("BYTES=8-8 , 0-1", Part::Several(vec![(0, 1), (8, 8)])),
            ("bytes=0-1,2-4", Part::Bytes(0, 4)),
            ("bytes=5-,0-6,-2", Part::Bytes(0, 9)),
            ("bytes=0-1,30-40", Part::Bytes(0, 1)),
            ("bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-,0-", Part::Bytes(0, 9)),
            ("bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-,0-,0-", Part::Whole),
            ("bytes=0-1,", Part::Whole),
            ("bytes=0-1,3-x", Part::Whole),
            ("bytes=0-1;3-4", Part::Whole),
            ("bytes=18446744073709551615-", Part::Unsatisfiable),
            ("bytes= 1 - 2", Part::Whole),
            ("bytes=--1", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=0-3", Part::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(parse_range(range, 10), expected, "{range}");
        }
        assert_eq!(parse_range("bytes=-1", 0), Part::Unsatisfiable);
    }
}
