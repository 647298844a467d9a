//! Answers that pages of other origins may read (<https://fetch.spec.whatwg.org/#http-cors-protocol>).

use crate::origin::{Origin, TrustedOrigins};
use crate::routes::scoped;
use demijohn_core::{Body, Part, Request, Response, Site};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderValue, ORIGIN, VARY,
};
use http::{HeaderName, Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// Lets pages of other origins read answers of a site or a blueprint. Without it none may.
///
/// ```
/// use demijohn_web::{Application, Assemble, Blueprint, Cors, get};
///
/// # demijohn_web::test::block_on(async {
/// let api = Blueprint::new("api")
///     .with(Cors::origins(["https://app.example"]))
///     .route("/score", get(async || "1"));
/// let client = Application::new().mount("/api", api).test_client();
/// let answer = client.get("/api/score").header("origin", "https://app.example").await;
/// assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
/// let answer = client.get("/api/score").header("origin", "https://evil.example").await;
/// assert_eq!(answer.header("access-control-allow-origin"), None);
/// # });
/// ```
///
/// For the whole site the settings `CORS_ALLOWED_ORIGINS` and `CORS_ALLOW_CREDENTIALS` do the same. What browsers ask before
/// they send a request (a preflight) is answered before hooks and guards run; the guards see the request itself. CORS lets
/// others *read*: against requests that change something it protects nobody, which is what CSRF tokens are for.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is given to `.with(..)`"]
pub struct Cors {
    origins: Vec<String>,
    methods: Option<Vec<Method>>,
    headers: Vec<String>,
    exposed: Vec<String>,
    credentials: bool,
    max_age: Duration,
}

impl Cors {
    /// For pages of these origins: `https://app.example`, or `https://*.app.example` for all below it.
    pub fn origins<O: Into<String>>(origins: impl IntoIterator<Item = O>) -> Cors {
        Cors {
            origins: origins.into_iter().map(Into::into).collect(),
            methods: None,
            headers: [
                "accept",
                "authorization",
                "content-type",
                "x-csrftoken",
                "x-requested-with",
            ]
            .map(str::to_owned)
            .to_vec(),
            exposed: Vec::new(),
            credentials: false,
            max_age: Duration::from_secs(600),
        }
    }

    /// For pages of every origin. They are sent without the visitor's cookies; this and [`credentials`](Self::credentials) keep a
    /// site from starting.
    pub fn any() -> Cors {
        Cors::origins(["*"])
    }

    /// The methods that those pages may use, in place of those that the path has.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Cors {
        self.methods = Some(methods.into_iter().collect());
        self
    }

    /// Headers that those pages may send, beside the usual ones of an API.
    pub fn headers<H: Into<String>>(mut self, headers: impl IntoIterator<Item = H>) -> Cors {
        self.headers.extend(headers.into_iter().map(Into::into));
        self
    }

    /// Headers of answers that those pages may read.
    pub fn expose<H: Into<String>>(mut self, headers: impl IntoIterator<Item = H>) -> Cors {
        self.exposed.extend(headers.into_iter().map(Into::into));
        self
    }

    /// Those pages may read what the visitor's own cookies open.
    pub fn credentials(mut self) -> Cors {
        self.credentials = true;
        self
    }

    /// How long a browser keeps the answer to what it asked before; ten minutes unless set.
    pub fn max_age(mut self, max_age: Duration) -> Cors {
        self.max_age = max_age;
        self
    }

    /// # Errors
    /// What cannot be allowed, or cannot be read.
    pub(crate) fn compile(&self) -> Result<Allowed, String> {
        let any = self.origins.iter().any(|origin| origin == "*");
        if any && self.credentials {
            return Err("every site could read what the visitor's cookies open: name the origins".to_owned());
        }
        let named = self.origins.iter().filter(|origin| *origin != "*");
        let list = |names: &[String]| -> Result<HeaderValue, String> {
            for name in names {
                HeaderName::try_from(name.as_str()).map_err(|_| format!("`{name}` is no name of a header"))?;
            }
            super::fixed_value(names.join(", ").to_ascii_lowercase()).map_err(|error| error.to_string())
        };
        Ok(Allowed {
            any,
            origins: TrustedOrigins::parse(named)?,
            methods: self.methods.clone(),
            headers: list(&self.headers)?,
            exposed: (!self.exposed.is_empty()).then(|| list(&self.exposed)).transpose()?,
            credentials: self.credentials,
            max_age: HeaderValue::from(self.max_age.as_secs()),
        })
    }
}

impl Part for Cors {
    fn install(self: Box<Self>, site: &mut Site) {
        scoped(site).cors = Some(Arc::new(*self));
    }
}

/// The same, ready to answer.
#[derive(Debug)]
pub(crate) struct Allowed {
    any: bool,
    origins: TrustedOrigins,
    methods: Option<Vec<Method>>,
    headers: HeaderValue,
    exposed: Option<HeaderValue>,
    credentials: bool,
    max_age: HeaderValue,
}

impl Allowed {
    /// The value that lets the page read the answer, if it may.
    fn origin(&self, request: &Request) -> Option<HeaderValue> {
        let mut origins = request.headers().get_all(ORIGIN).iter();
        let (Some(said), None) = (origins.next(), origins.next()) else {
            return None;
        };
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        let origin = Origin::parse(said.to_str().ok()?)?;
        self.origins.contains(&origin).then(|| said.clone())
    }

    /// True when the page that sent the request may read its answer.
    #[cfg(feature = "sessions")]
    pub(crate) fn lets_in(&self, request: &Request) -> bool {
        self.origin(request).is_some()
    }

    /// Says on an answer who may read it.
    pub(crate) fn mark(&self, request: &Request, response: &mut Response) {
        if !self.any {
            super::vary(response.headers_mut(), &ORIGIN);
        }
        let Some(origin) = self.origin(request) else { return };
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(exposed) = &self.exposed {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }

    /// The answer to what a browser asks before it sends `method`.
    pub(crate) fn preflight(&self, method: &Method, request: &Request) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        self.mark(request, &mut response);
        let headers = response.headers_mut();
        headers.append(
            VARY,
            HeaderValue::from_static("access-control-request-method, access-control-request-headers"),
        );
        let allowed = self.methods.as_ref().is_none_or(|methods| methods.contains(method));
        if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)
            && allowed
            && let Ok(method) = HeaderValue::try_from(method.as_str())
        {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
            headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
        response
    }
}

/// The method that a browser asks about before it sends it.
pub(crate) fn asked_method(request: &Request) -> Option<Method> {
    if *request.method() != Method::OPTIONS || !request.headers().contains_key(ORIGIN) {
        return None;
    }
    let method = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(method.as_bytes()).ok()
}
