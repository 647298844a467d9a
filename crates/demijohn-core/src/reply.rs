//! What a handler returns.

use crate::body::Body;
use crate::error::{Error, Result};
use crate::extract::Operation;
use crate::request::Request;

/// A response with our [`Body`].
pub type Response = http::Response<Body>;

/// What a handler may return.
///
/// It sees the request, because an answer may need what the site holds: a page needs the template engine, a
/// redirect the routes. An error returned here goes the way of every other error, through the site's error handlers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the answer of a handler",
    label = "not a reply",
    note = "return text, `Html(..)`, `Json(..)`, `Page(..)`, `Redirect`, a `StatusCode`, `(StatusCode, reply)`, `Response`, or a `Result` of one of them"
)]
pub trait Reply: Sized + Send {
    /// The response.
    fn reply(self, request: &Request) -> Result<Response>;

    /// What the documentation of the endpoint says of this answer.
    fn describe(operation: &mut Operation) {
        let _ = operation;
    }
}

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
