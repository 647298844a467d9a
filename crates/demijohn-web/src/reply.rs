//! Replies beyond plain values: HTML, text, redirects, and what is said about caching.

use crate::shield::redirect::{MAX_TARGET_BYTES, is_plain, stays_here};
use crate::urls::{HasUrl, Link, Urls};
use demijohn_core::reply::content;
use demijohn_core::{Body, Error, Operation, Reply, Request, Response, Result};
use http::StatusCode;
use http::header::{CACHE_CONTROL, EXPIRES, HeaderName, HeaderValue, LOCATION, VARY};
use std::time::SystemTime;

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

/// Sends the client to another address: a path of this site, a route, or with [`Redirect::away`] another site.
///
/// ```
/// use demijohn_web::{get, Application, Path, Redirect};
///
/// async fn post(Path(id): Path<i64>) -> String { id.to_string() }
/// async fn newest() -> Redirect { Redirect::route(post, (7,)) }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/newest", get(newest)).route("/post/{id}", get(post)).test_client();
/// let response = client.get("/newest").await;
/// assert_eq!((response.status().as_u16(), response.header("location")), (302, Some("/post/7")));
/// # });
/// ```
///
/// A target that came with the request (`?next=..`) goes through [`to`](Self::to): it refuses whatever a browser would
/// take for another site.
#[must_use = "a redirect is an answer: return it"]
pub struct Redirect {
    status: StatusCode,
    target: Target,
}

enum Target {
    /// A path or a reference within this site.
    Here(String),
    Away(String),
    Route(Lookup),
}

type Lookup = Box<dyn FnOnce(&Urls) -> Result<String> + Send>;

impl Redirect {
    fn new(target: Target) -> Self {
        Redirect {
            status: StatusCode::FOUND,
            target,
        }
    }

    /// 302 to a path of this site. Anything that leads elsewhere is answered with 400.
    pub fn to(path: impl Into<String>) -> Self {
        Self::new(Target::Here(path.into()))
    }

    /// 302 to a path of this site, or to `fallback` where it leads elsewhere: `Redirect::to_or(next, "/")`.
    ///
    /// For a target that came with the request. It has to begin with `/`: what is relative would lead to somewhere below the form.
    pub fn to_or(path: impl Into<String>, fallback: impl Into<String>) -> Self {
        let path = path.into();
        let is_good = path.starts_with('/') && stays_here(&path) && encoded(&path).len() <= MAX_TARGET_BYTES;
        match is_good {
            true => Self::to(path),
            false => Self::to(fallback),
        }
    }

    /// 302 to the route of a handler; see [`url_to`](crate::url_to).
    pub fn route<H, M, P>(handler: H, args: P) -> Self
    where
        H: Link<M, P> + Send,
        M: 'static,
        P: Send + 'static,
    {
        Self::new(Target::Route(Box::new(move |urls| urls.to(handler, args))))
    }

    /// 302 to the route of this name; see [`Urls::url_for`].
    pub fn route_named(name: &str, args: &[(&str, &str)]) -> Self {
        let name = name.to_owned();
        let args: Vec<(String, String)> = args.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Self::new(Target::Route(Box::new(move |urls| {
            let args: Vec<(&str, &str)> = args.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            urls.url_for(&name, &args)
        })))
    }

    /// 302 to the page of a value.
    pub fn object(object: impl HasUrl + Send + 'static) -> Self {
        Self::new(Target::Route(Box::new(move |urls| object.url(urls))))
    }

    /// 302 to another site, by a whole address with http, https or ftp. Never hand it what a client sent.
    pub fn away(address: impl Into<String>) -> Self {
        Self::new(Target::Away(address.into()))
    }

    /// 301 in place of 302: for good, and the method may become GET.
    pub fn permanent(self) -> Self {
        self.status(StatusCode::MOVED_PERMANENTLY)
    }

    /// 303: look there with GET, after a form was handled.
    pub fn see_other(self) -> Self {
        self.status(StatusCode::SEE_OTHER)
    }

    /// 307: the same request again, there.
    pub fn temporary(self) -> Self {
        self.status(StatusCode::TEMPORARY_REDIRECT)
    }

    /// Any other status of a redirect, 308 for one.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

/// As it goes out.
fn encoded(target: &str) -> String {
    percent_encoding::utf8_percent_encode(target, NON_ASCII).collect()
}

impl Reply for Redirect {
    fn reply(self, request: &Request) -> Result<Response> {
        if !self.status.is_redirection() {
            return Err(Error::internal(format!("{} is no status of a redirect", self.status)));
        }
        let target = match self.target {
            Target::Here(path) if stays_here(&path) => path,
            Target::Here(_) => return Err(Error::bad_request("the target of the redirect is not on this site")),
            Target::Away(address) => {
                let (scheme, rest) = address.split_once("://").unwrap_or_default();
                let known = ["http", "https", "ftp"]
                    .iter()
                    .any(|known| scheme.eq_ignore_ascii_case(known));
                if !known || rest.is_empty() || !is_plain(&address) {
                    return Err(Error::bad_request(
                        "the target of the redirect is no address of http, https or ftp",
                    ));
                }
                address
            }
            Target::Route(make) => make(Urls::of(request)?)?,
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        // What is no ASCII goes out percent-encoded, as browsers would do it.
        let target = encoded(&target);
        if target.len() > MAX_TARGET_BYTES {
            return Err(Error::internal("the target of the redirect is too long to be answered"));
        }
        response.headers_mut().insert(LOCATION, HeaderValue::try_from(target)?);
        Ok(response)
    }

    fn describe(operation: &mut Operation) {
        operation.statuses.push((302, "look elsewhere"));
    }
}

/// One of two answers: a form that was filled in well leads on, and one that was not is shown again.
///
/// ```
/// use demijohn_web::{Application, Either, Form, Html, Redirect, post};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Wish {
///     text: String,
/// }
///
/// async fn wish(Form(wish): Form<Wish>) -> Either<Redirect, Html<String>> {
///     match wish.text.as_str() {
///         "" => Either::Right(Html("<p>Wish for something.</p>".to_owned())),
///         _ => Either::Left(Redirect::to("/thanks/").see_other()),
///     }
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/", post(wish)).test_client();
/// assert_eq!(client.post("/").form([("text", "cake")]).await.status(), 303);
/// assert_eq!(client.post("/").form([("text", "")]).await.text(), "<p>Wish for something.</p>");
/// # });
/// ```
#[derive(Clone, Debug)]
pub enum Either<L, R> {
    /// The one.
    Left(L),
    /// The other.
    Right(R),
}

impl<L: Reply, R: Reply> Reply for Either<L, R> {
    fn reply(self, request: &Request) -> Result<Response> {
        match self {
            Either::Left(reply) => reply.reply(request),
            Either::Right(reply) => reply.reply(request),
        }
    }

    fn describe(operation: &mut Operation) {
        L::describe(operation);
        R::describe(operation);
    }
}

/// Encodes only what headers cannot carry: the encoder always takes what is beyond ASCII.
const NON_ASCII: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b' ');

/// Changes that are usual on responses; handlers return a [`Response`], hooks are given one.
///
/// ```
/// use demijohn_web::{get, Application, Error, Html, Reply, Request, Respond, Response};
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new()
///     .route("/", get(async || "fresh").after(async |_: &mut Request, r: Response| r.never_cache()))
///     .test_client();
/// let response = client.get("/").await;
/// assert!(response.header("cache-control").unwrap().contains("no-store"));
/// # });
/// ```
pub trait Respond: Sized {
    /// Sets a header in place of those of the same name.
    ///
    /// # Errors
    /// 500 for what no header can hold, a line break for one.
    fn with_header(self, name: &str, value: &str) -> Result<Self>;

    /// Forbids every cache to keep it.
    #[must_use]
    fn never_cache(self) -> Self;

    /// Says that the answer depends on this header of the request. Names that are there already are not repeated.
    #[must_use]
    fn vary(self, header: HeaderName) -> Self;
}

impl Respond for Response {
    fn with_header(mut self, name: &str, value: &str) -> Result<Self> {
        self.headers_mut()
            .insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        Ok(self)
    }

    fn never_cache(mut self) -> Self {
        let headers = self.headers_mut();
        headers.insert(
            CACHE_CONTROL,
            HeaderValue::from_static("max-age=0, no-cache, no-store, must-revalidate, private"),
        );
        if let Ok(now) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now())) {
            headers.insert(EXPIRES, now);
        }
        self
    }

    fn vary(mut self, header: HeaderName) -> Self {
        let there: Vec<String> = self
            .headers()
            .get_all(VARY)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        if !there.iter().any(|name| name == "*" || *name == header.as_str()) {
            self.headers_mut().append(VARY, HeaderValue::from(header));
        }
        self
    }
}
