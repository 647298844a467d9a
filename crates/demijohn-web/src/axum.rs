//! Extractors and answers that were made for axum.

use axum_core::extract::FromRequestParts;
use axum_core::response::IntoResponse;
use demijohn_core::{Body, Error, Extract, Operation, Rejection, Reply, Request, Response, Result};

/// An extractor or a response of axum, as an argument or a result of ours.
///
/// Extractors of headers and of the request's head work ([`FromRequestParts`] without a state). [`AxumBody`] takes those that read
/// the body. axum's own `Path`, `State` and the like read what only axum's router puts in, so use ours.
///
/// ```
/// use axum_core::response::IntoResponse;
/// use demijohn_web::{get, Application, Axum};
///
/// async fn handler(Axum(method): Axum<http::Method>) -> Axum<impl IntoResponse> {
///     Axum((http::StatusCode::CREATED, method.to_string()))
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/", get(handler)).test_client();
/// let response = client.get("/").await;
/// assert_eq!((response.status().as_u16(), response.text()), (201, "GET"));
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Axum<T>(pub T);

impl<T: FromRequestParts<()> + Send> Extract for Axum<T> {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        match T::from_request_parts(request.head_mut(), &()).await {
            Ok(value) => Ok(Axum(value)),
            Err(rejection) => Err(Error::response(from_axum(rejection.into_response())).into()),
        }
    }

    fn describe(_: &mut Operation) {}
}

impl<T: IntoResponse + Send> Reply for Axum<T> {
    fn reply(self, _: &Request) -> Result<Response> {
        Ok(from_axum(self.0.into_response()))
    }

    fn describe(_: &mut Operation) {}
}

/// An extractor of axum that reads the body (`FromRequest`).
#[derive(Clone, Copy, Debug)]
pub struct AxumBody<T>(pub T);

impl<T: axum_core::extract::FromRequest<()> + Send> Extract for AxumBody<T> {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        // Through our own reader, which keeps to the limit.
        let body = axum_core::body::Body::from(request.bytes().await?);
        let head = request.head().clone();
        match T::from_request(http::Request::from_parts(head, body), &()).await {
            Ok(value) => Ok(AxumBody(value)),
            Err(rejection) => Err(Error::response(from_axum(rejection.into_response())).into()),
        }
    }

    fn describe(_: &mut Operation) {}
}

fn from_axum(response: http::Response<axum_core::body::Body>) -> Response {
    response.map(Body::stream)
}
