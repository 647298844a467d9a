//! Requests without a site.

use super::{TestClient, TestRequest};
use demijohn_core::Bag;
use http::Method;
use std::sync::Arc;

/// Makes requests to call handlers with, without a site (Django's `RequestFactory`): no routes, no hooks, no protections.
///
/// What a handler takes from its site (a database, a state) is not there; for such handlers begin at a client,
/// `client.get("/x").call(handler)`. The example is at [`TestRequest::call`].
#[derive(Clone)]
pub struct RequestFactory(TestClient);

impl Default for RequestFactory {
    fn default() -> Self {
        RequestFactory::new()
    }
}

impl RequestFactory {
    /// A factory.
    pub fn new() -> Self {
        RequestFactory(TestClient::of(Arc::new(Bag::default())))
    }

    /// A factory whose site provides these values, for handlers that take them.
    pub fn with(provided: Bag) -> Self {
        RequestFactory(TestClient::of(Arc::new(provided)))
    }

    /// A request with any method.
    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        self.0.request(method, path)
    }
}

macro_rules! methods {
    ($($name:ident $method:ident),+) => {
        impl RequestFactory {
            $(
                #[doc = concat!("A ", stringify!($method), " request, to be [called](TestRequest::call) with.")]
                pub fn $name(&self, path: &str) -> TestRequest {
                    self.request(Method::$method, path)
                }
            )+
        }
    };
}

methods! { get GET, post POST, put PUT, patch PATCH, delete DELETE, head HEAD, options OPTIONS, trace TRACE }
