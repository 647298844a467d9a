//! Calls from pages of other origins.

use demijohn::prelude::*;
use demijohn::web::Body;
use http::{HeaderMap, HeaderValue, header};

/// Lets pages of any origin call the API and read its answers.
///
/// That is safe where a token in a header says who calls: browsers send cookies by themselves, headers never.
/// It stands before the routes, so that answers to unknown addresses can be read as well.
pub(crate) async fn open(request: &mut Request, next: Next<'_>) -> Response {
    if !request.path().starts_with("/api/") {
        return next.run(request).await;
    }
    let is_preflight = request.method() == Method::OPTIONS && request.header("access-control-request-method").is_some();
    let mut response = match is_preflight {
        true => preflight(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if request.method() == Method::OPTIONS {
        allow(headers);
    }
    response
}

fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn allow(headers: &mut HeaderMap) {
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Authorization, Content-Type, X-Requested-With"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
}
