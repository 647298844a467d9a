//! Testing a site in process: the same dispatch as the server's, without a socket.

mod factory;
mod live;
mod response;
#[cfg(feature = "websocket")]
mod socket;

pub use factory::RequestFactory;
pub use live::LiveServer;
#[cfg(feature = "template")]
pub(crate) use response::Pages;
pub use response::TestResponse;
#[cfg(feature = "websocket")]
pub use socket::{SocketRequest, TestSocket};

use crate::admit::Head;
use crate::dispatch::Engine;
use crate::urls::Urls;
use demijohn_core::site::Lifecycle;
use demijohn_core::{Bag, Body, Request, Response, Result};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};
use serde_core::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

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
pub fn request(method: Method, target: &str) -> Request {
    let request = http::Request::builder().method(method).uri(target).body(());
    let (head, ()) = request.expect("a target of a request").into_parts();
    Request::new(head, Body::empty(), Arc::default(), None)
}

/// Runs `f` as if it were called by the handler of this request; see [`current`](crate::current).
pub fn with_request<R>(request: &mut Request, f: impl FnOnce() -> R) -> R {
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

/// Sends requests to a site and reads its answers. It keeps cookies, as a browser does.
///
/// ```
/// use demijohn_web::{get, post, Application, Cookie, Form, Pairs, Redirect, Reply, Request, Response, Result};
///
/// async fn greet(request: demijohn_web::Cookies) -> String {
///     format!("Hello {}", request.get("name").unwrap_or("stranger"))
/// }
/// async fn login(Form(form): Form<Pairs>) -> Result<(http::StatusCode, http::HeaderMap, Redirect)> {
///     let mut headers = http::HeaderMap::new();
///     headers.insert("set-cookie", Cookie::new("name", form.get("name").unwrap_or_default()).header()?);
///     Ok((http::StatusCode::SEE_OTHER, headers, Redirect::to("/")))
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/", get(greet)).route("/login", post(login)).test_client();
/// let response = client.post("/login").form([("name", "Ann")]).follow().await;
/// assert_eq!(response.text(), "Hello Ann");
/// assert_eq!(response.history().len(), 1);
/// assert_eq!(client.cookie("name").as_deref(), Some("Ann"));
/// # });
/// ```
#[derive(Clone)]
pub struct TestClient {
    site: Arc<Bag>,
    jar: Arc<Mutex<BTreeMap<String, String>>>,
    /// Requests need a token, as those of strangers do.
    #[cfg(feature = "sessions")]
    enforces_csrf: bool,
    /// Start hooks run once, before the first request of any clone.
    started: Arc<tokio::sync::OnceCell<()>>,
}

impl TestClient {
    pub(crate) fn of(site: Arc<Bag>) -> Self {
        TestClient {
            site,
            jar: Arc::default(),
            #[cfg(feature = "sessions")]
            enforces_csrf: false,
            started: Arc::default(),
        }
    }

    /// Looks into the client's session, or changes it before a request.
    ///
    /// ```
    /// use demijohn_web::{Application, Assemble, Session, get, session::SessionSupport};
    ///
    /// # demijohn_web::test::block_on(async {
    /// let client = Application::new()
    ///     .with(SessionSupport)
    ///     .route("/", get(async |session: Session| session.get::<String>("basket").await))
    ///     .test_client();
    /// client.session(async |session| session.insert("basket", "tea").await).await.unwrap();
    /// assert_eq!(client.get("/").await.text(), "tea");
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of the session.
    #[cfg(feature = "sessions")]
    pub async fn session<T>(&self, look: impl AsyncFnOnce(crate::Session) -> Result<T>) -> Result<T> {
        self.start().await;
        let mut request = self.get("/").into_request();
        let seen = look(crate::Session::of(&request)?).await?;
        let mut response = Response::new(Body::empty());
        crate::session::finish(&mut request, &mut response).await?;
        self.keep_cookies(response.headers());
        Ok(seen)
    }

    /// The same client, whose requests are checked for where they come from and for their tokens, as those of browsers are; otherwise
    /// a test need not fetch a form before it sends it. It names the site's own origin with what may write, unless the test says
    /// otherwise.
    #[cfg(feature = "sessions")]
    #[must_use = "the client itself stays as it is"]
    pub fn enforce_csrf(&self) -> TestClient {
        TestClient {
            enforces_csrf: true,
            ..self.clone()
        }
    }

    /// Another visitor of the same site: a client without cookies.
    pub fn stranger(&self) -> TestClient {
        TestClient {
            jar: Arc::default(),
            ..self.clone()
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

    /// A cookie that the client keeps.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar().get(name).cloned()
    }

    /// Gives the client a cookie.
    pub fn set_cookie(&self, name: impl Into<String>, value: impl Into<String>) {
        self.jar().insert(name.into(), value.into());
    }

    /// Takes all cookies from the client.
    pub fn clear_cookies(&self) {
        self.jar().clear();
    }

    fn jar(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps or forgets what `Set-Cookie` says.
    fn keep_cookies(&self, headers: &HeaderMap) {
        let lines = headers.get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
        for line in lines {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let gone = parts.any(|part| {
                let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
                match attribute.to_ascii_lowercase().as_str() {
                    "max-age" => value.parse().is_ok_and(|age: i64| age <= 0),
                    "expires" => httpdate::parse_http_date(value).is_ok_and(|date| date <= SystemTime::now()),
                    _ => false,
                }
            });
            match gone {
                true => self.jar().remove(name),
                false => self.jar().insert(name.to_owned(), value.to_owned()),
            };
        }
    }

    /// A socket, opened as a page of the site opens it; see [`websocket`](crate::websocket).
    #[cfg(feature = "websocket")]
    pub fn websocket(&self, path: &str) -> SocketRequest {
        SocketRequest::new(self.get(path))
    }

    /// Runs the start hooks, once.
    async fn start(&self) {
        let start = async || {
            if let Err(error) = Lifecycle::start(&self.site).await {
                panic!("a start hook failed: {error}");
            }
        };
        self.started.get_or_init(start).await;
    }

    /// A request with any method.
    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        TestRequest {
            client: self.clone(),
            method,
            target: path.to_owned(),
            headers: HeaderMap::new(),
            body: Body::empty(),
            follow: false,
            secure: false,
            peer: None,
            without: Vec::new(),
            params: Vec::new(),
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

methods! { get GET, post POST, put PUT, patch PATCH, delete DELETE, head HEAD, options OPTIONS, trace TRACE }

/// A request to be sent by `.await`.
#[must_use = "a request is sent by `.await`"]
pub struct TestRequest {
    client: TestClient,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Body,
    follow: bool,
    secure: bool,
    peer: Option<SocketAddr>,
    without: Vec<&'static str>,
    params: Vec<String>,
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

    /// Takes a header out that the client would send by itself, `host` for one.
    pub fn without_header(mut self, name: &'static str) -> Self {
        self.without.push(name);
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
        self.content_type("application/json")
    }

    /// A body of a form.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(mut self, pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let pairs = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        self.body = pairs.into();
        self.content_type("application/x-www-form-urlencoded")
    }

    /// A body of a form with files.
    pub fn multipart(mut self, parts: Parts) -> Self {
        self.body = parts.finish().into();
        self.content_type(concat!("multipart/form-data; boundary=", "-demijohn-test-boundary-"))
    }

    fn content_type(mut self, content_type: &'static str) -> Self {
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
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

    /// Follows redirects, ten at most; [`TestResponse::history`] has the answers on the way.
    pub fn follow(mut self) -> Self {
        self.follow = true;
        self
    }

    /// As if it came over https.
    pub fn https(mut self) -> Self {
        self.secure = true;
        self
    }

    /// As if it came from this address.
    pub fn from_peer(mut self, peer: SocketAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    async fn send(self) -> TestResponse {
        let follow = self.follow;
        let mut history = Vec::new();
        let mut next = self;
        loop {
            let client = next.client.clone();
            let again = next.again();
            let mut response = next.send_once().await;
            client.keep_cookies(response.headers());
            let target = response
                .header("location")
                .filter(|_| follow && response.status().is_redirection());
            let Some(target) = target.filter(|_| history.len() < 10) else {
                response.history = history;
                return response;
            };
            next = again.redirected(response.status(), target);
            history.push(response);
        }
    }

    /// The same request, to be sent to another place.
    fn again(&self) -> TestRequest {
        let body = self.body.as_bytes().map(<[u8]>::to_vec).unwrap_or_default();
        TestRequest {
            client: self.client.clone(),
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.headers.clone(),
            body: body.into(),
            follow: true,
            secure: self.secure,
            peer: self.peer,
            without: self.without.clone(),
            params: Vec::new(),
        }
    }

    fn redirected(mut self, status: StatusCode, target: &str) -> TestRequest {
        let keeps_method = matches!(status.as_u16(), 307 | 308);
        if !keeps_method && self.method != Method::HEAD {
            self.method = Method::GET;
            self.body = Body::empty();
            self.headers.remove(CONTENT_TYPE);
        }
        // Of another site this client knows nothing: it asks its own for the path.
        let path = match target.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => target,
        };
        let path = path.split('#').next().unwrap_or_default();
        self.target = match path.starts_with('/') {
            true => path.to_owned(),
            false => {
                let here = self.target.split('?').next().unwrap_or_default();
                let folder = here.rfind('/').map_or("/", |at| &here[..=at]);
                format!("{folder}{path}")
            }
        };
        self
    }

    async fn send_once(self) -> TestResponse {
        let (answer, pages) = self.dispatch().await;
        TestResponse::read(answer, pages).await
    }

    async fn dispatch(self) -> (Response, response::Pages) {
        let client = self.client.clone();
        client.start().await;
        let mut request = self.into_request();
        let pages = response::Pages::record(&mut request);
        (Engine::of(&client.site).answer(request, Head::Unknown).await, pages)
    }

    /// The request as the server would hand it over, without sending it: for handlers, extractors and helpers that are
    /// called by hand. See [`RequestFactory`] for requests without a site.
    ///
    /// # Panics
    /// When the path is no target of a request.
    #[track_caller]
    pub fn into_request(self) -> Request {
        let mut request = http::Request::builder().method(self.method.clone()).uri(&self.target);
        if let Some(headers) = request.headers_mut() {
            headers.insert("host", HeaderValue::from_static("localhost"));
            if let Some(length) = self.body.len_hint().filter(|length| *length > 0) {
                headers.insert(CONTENT_LENGTH, length.into());
            }
            let jar: Vec<String> = self
                .client
                .jar()
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            if let Ok(cookies) = HeaderValue::try_from(jar.join("; "))
                && !cookies.is_empty()
            {
                headers.insert(COOKIE, cookies);
            }
            #[cfg(feature = "sessions")]
            if self.client.enforces_csrf && crate::csrf::may_write(&self.method) && !self.headers.contains_key("origin")
            {
                let own = match self.secure {
                    true => "https://localhost",
                    false => "http://localhost",
                };
                headers.insert("origin", HeaderValue::from_static(own));
            }
            for name in &self.without {
                headers.remove(*name);
            }
            for (name, value) in &self.headers {
                headers.append(name, value.clone());
            }
        }
        let (head, body) = request
            .body(self.body)
            .unwrap_or_else(|error| panic!("`{}` is no target of a request: {error}", self.target))
            .into_parts();
        let mut request = Request::new(head, body, Arc::clone(&self.client.site), self.peer);
        request.set_secure(self.secure);
        #[cfg(feature = "sessions")]
        if !self.client.enforces_csrf {
            request.extensions_mut().insert(crate::csrf::Waived);
        }
        if !self.params.is_empty() {
            // No route was looked for, so it has no number; extractors read the values only.
            request.set_route(u32::MAX, self.params);
        }
        request
    }

    /// A value of the path for a handler that is [called](Self::call) by hand, in the order of the pattern.
    pub fn param(mut self, value: impl ToString) -> Self {
        self.params.push(value.to_string());
        self
    }

    /// Calls a handler with this request, past routes, hooks and protections; its extractors run.
    ///
    /// ```
    /// use demijohn_web::test::{RequestFactory, block_on};
    /// use demijohn_web::{Path, Query};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Show { shout: bool }
    ///
    /// async fn greet(Path(name): Path<String>, Query(show): Query<Show>) -> String {
    ///     if show.shout { name.to_uppercase() } else { name }
    /// }
    ///
    /// # block_on(async {
    /// let answer = RequestFactory::new().get("/hello/ann?shout=true").param("ann").call(greet).await.unwrap();
    /// assert_eq!(answer.text(), "ANN");
    /// let refused = RequestFactory::new().get("/hello/ann").param("ann").call(greet).await.unwrap_err();
    /// assert_eq!(refused.status(), 400);
    /// # });
    /// ```
    ///
    /// # Errors
    /// What the handler or one of its extractors returned as an error; a site would answer it.
    pub async fn call<Args, H: crate::Handler<Args>>(self, handler: H) -> Result<TestResponse> {
        self.client.start().await;
        let mut request = self.into_request();
        let pages = response::Pages::record(&mut request);
        let answer = handler.call(&mut request).await?;
        Ok(TestResponse::read(answer, pages).await)
    }
}

impl IntoFuture for TestRequest {
    type Output = TestResponse;
    type IntoFuture = Pin<Box<dyn Future<Output = TestResponse> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// The parts of a form with files.
#[derive(Clone, Debug, Default)]
#[must_use = "parts are sent by `.multipart(parts)`"]
pub struct Parts(Vec<u8>);

impl Parts {
    /// None.
    pub fn new() -> Self {
        Parts::default()
    }

    /// A text.
    pub fn text(self, name: &str, value: &str) -> Self {
        self.part(&format!("form-data; name=\"{name}\""), None, value.as_bytes())
    }

    /// A file.
    pub fn file(self, name: &str, file_name: &str, content_type: &str, content: impl AsRef<[u8]>) -> Self {
        let disposition = format!("form-data; name=\"{name}\"; filename=\"{file_name}\"");
        self.part(&disposition, Some(content_type), content.as_ref())
    }

    fn part(mut self, disposition: &str, content_type: Option<&str>, content: &[u8]) -> Self {
        self.0
            .extend_from_slice(b"---demijohn-test-boundary-\r\ncontent-disposition: ");
        self.0.extend_from_slice(disposition.as_bytes());
        if let Some(content_type) = content_type {
            self.0.extend_from_slice(b"\r\ncontent-type: ");
            self.0.extend_from_slice(content_type.as_bytes());
        }
        self.0.extend_from_slice(b"\r\n\r\n");
        self.0.extend_from_slice(content);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"---demijohn-test-boundary---\r\n");
        self.0
    }
}
