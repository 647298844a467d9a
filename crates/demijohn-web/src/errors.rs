//! Answers to errors: handlers of the site, then plain pages for people and JSON for programs.

use crate::accept::Accept;
use crate::dispatch::Engine;
use crate::hook::ErrorHandlers;
use crate::json::is_json;
use demijohn_core::{Bag, Error, Request, Response, Result};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use std::fmt::Write;

/// Statuses for error types of other crates: a pool that is exhausted is a 503, not a 500.
///
/// A part writes into it: `site.entry::<ErrorMap>().status(|e: &PoolError| ..)`. It is asked for errors that came by `?`,
/// and only the status changes: the client reads its usual phrase.
#[derive(Default)]
pub struct ErrorMap(Vec<StatusOf>);

type StatusOf = Box<dyn Fn(&(dyn std::error::Error + 'static)) -> Option<StatusCode> + Send + Sync>;

impl ErrorMap {
    /// The status of errors of type `E`; `None` leaves it to others.
    pub fn status<E: std::error::Error + 'static>(
        &mut self,
        status: impl Fn(&E) -> Option<StatusCode> + Send + Sync + 'static,
    ) {
        self.0.push(Box::new(move |cause| status(cause.downcast_ref()?)));
    }
}

/// The causes of an error, outermost first.
fn causes(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first = error
        .source()
        .map(|source| source as &(dyn std::error::Error + 'static));
    std::iter::successors(first, |cause| cause.source())
}

pub(crate) fn map_status(error: &mut Error, bag: &Bag) {
    if error.status() != StatusCode::INTERNAL_SERVER_ERROR {
        return;
    }
    let Some(map) = bag.get::<ErrorMap>() else { return };
    let status = causes(error).find_map(|cause| map.0.iter().find_map(|status| status(cause)));
    if let Some(status) = status {
        error.set_status(status);
    }
}

/// The answer of the site's own handlers: first by the type of a cause, then by status.
pub(crate) async fn handled(
    handlers: &[ErrorHandlers],
    error: &Error,
    request: &mut Request,
) -> Option<Result<Response>> {
    let typed = handlers
        .iter()
        .find_map(|group| causes(error).find_map(|cause| Some((group.of_cause(cause)?, cause))));
    let answer = match typed {
        Some((hook, cause)) => hook.run(cause, request)?,
        None => {
            let page = handlers.iter().find_map(|group| group.of_status(error.status()))?;
            page.run(error, request)
        }
    };
    Some(answer.await)
}

/// True when the client is a program that reads JSON rather than a person with a browser. Who accepts both alike (`*/*`) gets JSON where
/// he sent JSON, or where the route answers nothing else.
pub(crate) fn wants_json(request: &Request) -> bool {
    let accept = Accept::of(request);
    let json = accept
        .weight("application/json")
        .max(accept.weight("application/problem+json"));
    let html = accept.weight("text/html");
    json > html || (json == html && (is_json(request) || Engine::answers_json(request)))
}

/// The answer when the site has none of its own. Of a 5xx it says the status and nothing else.
pub(crate) fn plain_page(error: &Error, request: &Request) -> Response {
    match wants_json(request) {
        true => problem(error),
        false => with_head(page(error, request), error),
    }
}

/// The error's status and headers.
fn with_head(mut response: Response, error: &Error) -> Response {
    *response.status_mut() = error.status();
    // A cache that kept it would hand on to everybody what one odd request made of an address.
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
        .headers_mut()
        .extend(error.headers().iter().map(|(n, v)| (n.clone(), v.clone())));
    response
}

/// An error as `application/problem+json` (RFC 9457), whatever the client accepts: for error pages of APIs.
///
/// ```
/// use demijohn_web::{Application, Error, Request, Response, problem};
///
/// async fn as_problem(error: &Error, _: &mut Request) -> Response {
///     problem(error)
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().error_pages(as_problem).test_client();
/// let answer = client.get("/nothing").await;
/// assert_eq!(answer.header("content-type"), Some("application/problem+json"));
/// assert_eq!(answer.json::<serde_json::Value>()["status"], 404);
/// # });
/// ```
pub fn problem(error: &Error) -> Response {
    let status = error.status();
    let mut body = serde_json::json!({
        "status": status.as_u16(),
        "title": status.canonical_reason().unwrap_or("Error"),
        "detail": error.client_text(),
    });
    if !error.faults().is_empty() {
        body["faults"] = serde_json::to_value(error.faults()).unwrap_or_default();
    }
    let mut response = Response::new(body.to_string().into());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    with_head(response, error)
}

/// A page that says what happened and no more: nothing of the program, and nothing of what was asked for.
fn page(error: &Error, request: &Request) -> Response {
    let status = error.status();
    let title = status.canonical_reason().unwrap_or("Error");
    let text = match error.client_text() {
        text if text == title => explanation(status),
        text => text,
    };
    let mut faults = String::new();
    for fault in error.faults() {
        let _ = write!(faults, "<li>{}</li>", escape(&fault.to_string()));
    }
    if !faults.is_empty() {
        faults = format!("<ul>{faults}</ul>");
    }
    let code = status.as_u16();
    let text = escape(text);
    // Without randomness for a nonce the page is as plain as can be.
    let style = match request.csp_nonce() {
        Ok(nonce) => format!("<style nonce=\"{nonce}\">{STYLE}</style>\n"),
        Err(_) => String::new(),
    };
    demijohn_core::reply::content(
        "text/html; charset=utf-8",
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{code} {title}</title>\n{style}\
             <main>\n<strong>{code}</strong>\n<h1>{title}</h1>\n<p>{text}</p>{faults}\n</main>\n</html>\n"
        ),
    )
}

const STYLE: &str = "body{margin:0;min-height:100vh;display:grid;place-items:center;font:1.1rem/1.6 system-ui,sans-serif}\
main{max-width:34rem;padding:2rem;box-shadow:-.3rem 0 #7a9}strong{font-size:3.5rem;line-height:1;opacity:.55}\
h1{margin:.4rem 0;font-size:1.6rem}p,ul{margin:.4rem 0;overflow-wrap:anywhere}";

/// What a status means for who sees the page.
fn explanation(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "The request could not be understood.",
        401 => "You need to log in to see this.",
        403 => "You are not allowed to do this.",
        404 => "There is no page at this address.",
        405 => "This address does not take such a request.",
        406 => "This is not there in a form that you asked for.",
        408 => "The request took too long to arrive.",
        409 => "Somebody else has changed this in the meantime.",
        410 => "This is gone for good.",
        413 => "What you sent is too large.",
        414 => "The address is too long.",
        415 => "What you sent is of a kind that is not taken here.",
        422 => "Something in what you sent is not right.",
        429 => "That was too often. Wait a little, and try again.",
        431 => "The headers of the request are too long.",
        500 => "Something went wrong here. It was noted.",
        501 => "This cannot be done here.",
        502..=504 => "This is not at hand just now. Try again in a moment.",
        507 => "There is no room left to store this.",
        _ if status.is_server_error() => "Something went wrong here.",
        _ => "The request cannot be answered.",
    }
}

pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
