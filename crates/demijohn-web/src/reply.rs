//! Replies beyond plain values: HTML, text, redirects.

use demijohn_core::reply::content;
use demijohn_core::{Body, Error, Operation, Reply, Request, Response, Result};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};

/// HTML that is ready to send; nothing is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Html<T>(pub T);

impl<T: Into<Body> + Send> Reply for Html<T> {
    fn reply(self, _: &Request) -> Result<Response> {
        Ok(content("text/html; charset=utf-8", self.0))
    }

    fn describe(operation: &mut Operation) {
        operation.produces.push("text/html; charset=utf-8");
    }
}

/// Plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl<T: Into<Body> + Send> Reply for Text<T> {
    fn reply(self, _: &Request) -> Result<Response> {
        Ok(content("text/plain; charset=utf-8", self.0))
    }

    fn describe(operation: &mut Operation) {
        operation.produces.push("text/plain; charset=utf-8");
    }
}

/// Sends the client to another address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    status: StatusCode,
    target: String,
}

impl Redirect {
    /// 302: look there for now.
    pub fn to(target: impl Into<String>) -> Self {
        Redirect {
            status: StatusCode::FOUND,
            target: target.into(),
        }
    }
}

impl Reply for Redirect {
    fn reply(self, _: &Request) -> Result<Response> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        let target = HeaderValue::try_from(self.target)
            .map_err(|e| Error::internal("the target of a redirect is no header value").with_source(e))?;
        response.headers_mut().insert(LOCATION, target);
        Ok(response)
    }
}
