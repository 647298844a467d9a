//! Testing a site in process: the same dispatch as the server's, without a socket.

use crate::dispatch::Engine;
use crate::urls::Urls;
use demijohn_core::site::Lifecycle;
use demijohn_core::{Bag, Body, Response, Result};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::pin::Pin;
use std::sync::Arc;

/// Runs a future to its end on a runtime of its own, as one test needs it.
///
/// # Panics
/// When no runtime can be made.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime for one thread needs no more than a few file descriptors")
        .block_on(future)
}

/// A request without a site, to call extractors, replies and helpers by hand.
///
/// # Panics
/// When `target` is no target of a request.
#[track_caller]
pub fn request(method: Method, target: &str) -> demijohn_core::Request {
    let request = http::Request::builder().method(method).uri(target).body(());
    let (head, ()) = request.expect("a target of a request").into_parts();
    demijohn_core::Request::new(head, Body::empty(), Arc::default(), None)
}

/// Runs `f` as if it were called by the handler of this request; see [`current`](crate::current).
pub fn with_request<R>(request: &mut demijohn_core::Request, f: impl FnOnce() -> R) -> R {
    let mut f = Some(f);
    let mut once = std::pin::pin!(crate::current::lend(
        request,
        std::future::poll_fn(move |_| std::task::Poll::Ready(f.take().map(|f| f())))
    ));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match once.as_mut().poll(&mut cx) {
        std::task::Poll::Ready(Some(result)) => result,
        _ => unreachable!("the future is ready at its first poll"),
    }
}

/// Sends requests to a site and reads its answers.
#[derive(Clone)]
pub struct TestClient {
    site: Arc<Bag>,
    /// Start hooks run once, before the first request of any clone.
    started: Arc<tokio::sync::OnceCell<()>>,
}

impl TestClient {
    pub(crate) fn of(site: Arc<Bag>) -> Self {
        TestClient {
            site,
            started: Arc::default(),
        }
    }

    /// What the site provides.
    pub fn site(&self) -> &Arc<Bag> {
        &self.site
    }

    /// The links of the site.
    ///
    /// # Panics
    /// Never: a built site has them.
    pub fn urls(&self) -> Urls {
        self.site.get::<Urls>().expect("a built site has its links").clone()
    }

    /// A link by name; see [`Urls::url_for`].
    ///
    /// # Errors
    /// When there is no such route or a parameter is missing.
    #[track_caller]
    pub fn url_for(&self, name: &str, args: &[(&str, &str)]) -> Result<String> {
        self.urls().url_for(name, args)
    }

    /// A request with any method.
    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        TestRequest {
            client: self.clone(),
            method,
            target: path.to_owned(),
            headers: HeaderMap::new(),
            body: Body::empty(),
        }
    }
}

macro_rules! methods {
    ($($name:ident $method:ident),+) => {
        impl TestClient {
            $(
                #[doc = concat!("A ", stringify!($method), " request.")]
                pub fn $name(&self, path: &str) -> TestRequest {
                    self.request(Method::$method, path)
                }
            )+
        }
    };
}

methods! { get GET, post POST, put PUT, patch PATCH, delete DELETE, head HEAD, options OPTIONS }

/// A request to be sent by `.await`.
#[must_use = "a request is sent by `.await`"]
pub struct TestRequest {
    client: TestClient,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Body,
}

impl TestRequest {
    /// A header.
    ///
    /// # Panics
    /// When it is no valid header.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a valid header name");
        let value = HeaderValue::try_from(value).expect("a valid header value");
        self.headers.append(name, value);
        self
    }

    /// A body of bytes.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// A JSON body.
    ///
    /// # Panics
    /// When the value cannot be written as JSON.
    #[track_caller]
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        self.body = serde_json::to_vec(value).expect("a value that JSON can hold").into();
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    /// A body of a form.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(mut self, pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        self.body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
            .into();
        self.headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        self
    }

    /// More pairs for the query string.
    pub fn query<N: AsRef<str>, V: AsRef<str>>(mut self, pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(&query);
        self
    }

    async fn send(self) -> TestResponse {
        let mut request = http::Request::builder().method(self.method.clone()).uri(&self.target);
        if let Some(headers) = request.headers_mut() {
            headers.insert("host", HeaderValue::from_static("localhost"));
            if let Some(length) = self.body.len_hint().filter(|length| *length > 0) {
                headers.insert(CONTENT_LENGTH, length.into());
            }
            headers.extend(self.headers);
        }
        let (head, body) = request
            .body(self.body)
            .unwrap_or_else(|error| panic!("`{}` is no target of a request: {error}", self.target))
            .into_parts();
        let start = async || {
            if let Err(error) = Lifecycle::start(&self.client.site).await {
                panic!("a start hook failed: {error}");
            }
        };
        self.client.started.get_or_init(start).await;
        let response = Engine::of(&self.client.site)
            .answer(head, body, Arc::clone(&self.client.site), None)
            .await;
        TestResponse::read(response).await
    }
}

impl IntoFuture for TestRequest {
    type Output = TestResponse;
    type IntoFuture = Pin<Box<dyn Future<Output = TestResponse> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct TestResponse {
    head: http::response::Parts,
    body: Result<Vec<u8>, String>,
}

impl TestResponse {
    async fn read(response: Response) -> TestResponse {
        let (mut head, body) = response.into_parts();
        if let Some(length) = body.len_hint() {
            // As the server does for a body of known length.
            let empty = length == 0 && (head.status.is_informational() || head.status == StatusCode::NO_CONTENT);
            if !empty && !head.headers.contains_key(CONTENT_LENGTH) {
                head.headers.insert(CONTENT_LENGTH, length.into());
            }
        }
        let body = body
            .collect()
            .await
            .map(|body| body.to_bytes().to_vec())
            .map_err(|e| e.to_string());
        TestResponse { head, body }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The body.
    ///
    /// # Panics
    /// When the body broke off.
    #[track_caller]
    pub fn bytes(&self) -> &[u8] {
        match &self.body {
            Ok(bytes) => bytes,
            Err(error) => panic!("the body broke off: {error}"),
        }
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.bytes()).expect("a body of text")
    }

    /// The body, parsed as JSON.
    ///
    /// # Panics
    /// When it is no such JSON; the message shows it.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(self.bytes()).unwrap_or_else(|error| panic!("no such JSON ({error}): {}", self.text()))
    }
}
