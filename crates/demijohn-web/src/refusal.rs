//! Answers to what never becomes a request, as the bytes that go out.

use http::StatusCode;

/// What every such answer says: it is a text, for nobody to keep, frame or guess about, and the last one.
const HEADERS: &str = "content-type: text/plain; charset=utf-8\r\n\
    cache-control: no-store\r\n\
    x-content-type-options: nosniff\r\n\
    referrer-policy: same-origin\r\n\
    content-security-policy: default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'\r\n\
    x-frame-options: DENY\r\n\
    cross-origin-opener-policy: same-origin\r\n\
    connection: close\r\n";

/// The whole answer, head and body.
pub(crate) fn refusal(status: u16, extra: &[(&str, &str)]) -> Vec<u8> {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default();
    let body = format!("{status} {reason}\n");
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let mut text = format!(
        "HTTP/1.1 {status} {reason}\r\n{HEADERS}date: {date}\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in extra {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.extend(["\r\n", &body]);
    text.into_bytes()
}
