//! The one error type of a site, with a text for the client and another for the log.

use crate::reply::Response;
use http::{HeaderMap, StatusCode};
use std::backtrace::Backtrace;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};

/// What can be the cause of an [`Error`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// `std::result::Result` with [`Error`] as its usual error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request (or a command) failed.
///
/// Any `std::error::Error` turns into one by `?`, as a 500 whose cause is logged and never shown. Errors that the
/// client may read are made by name: [`Error::not_found`], [`Error::bad_request`], or [`Error::new`] with a status.
///
/// ```
/// use demijohn_core::{Error, Result};
///
/// fn page(text: &str) -> Result<u32> {
///     text.parse().map_err(|e| Error::bad_request("page must be a positive number").with_source(e))
/// }
///
/// let error = page("x").unwrap_err();
/// assert_eq!(error.status(), 400);
/// assert_eq!(error.client_text(), "page must be a positive number");
/// assert_eq!(error.to_string(), "page must be a positive number: invalid digit found in string");
/// ```
///
/// It is one word wide, and on purpose not itself a `std::error::Error`: that is what lets `?` take every other error.
pub struct Error(Box<Inner>);

struct Inner {
    status: StatusCode,
    client: Option<Cow<'static, str>>,
    faults: Vec<Fault>,
    headers: HeaderMap,
    response: Option<Response>,
    source: Option<BoxError>,
    at: &'static Location<'static>,
    /// The type that `?` took; empty for errors made by name.
    type_name: &'static str,
    backtrace: Option<Backtrace>,
}

/// True once a site of this process runs in debug mode.
static WITH_BACKTRACES: AtomicBool = AtomicBool::new(false);

/// From now on, errors of status 500 remember how the program came to them: for the page that a site in development shows.
#[doc(hidden)]
pub fn capture_backtraces() {
    WITH_BACKTRACES.store(true, Ordering::Relaxed);
}

impl Error {
    /// An error of this status whose `text` is shown to the client.
    #[track_caller]
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        let mut e = Self::bare(status);
        e.0.client = Some(text.into());
        e
    }

    /// An error of this status; the client reads the status' usual phrase.
    #[track_caller]
    pub fn bare(status: StatusCode) -> Self {
        Error(Box::new(Inner {
            status,
            client: None,
            faults: Vec::new(),
            headers: HeaderMap::new(),
            response: None,
            source: None,
            at: Location::caller(),
            type_name: "",
            backtrace: (status == StatusCode::INTERNAL_SERVER_ERROR && WITH_BACKTRACES.load(Ordering::Relaxed))
                .then(Backtrace::force_capture),
        }))
    }

    /// 404: there is no such thing.
    #[track_caller]
    pub fn not_found(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    /// 400: the request cannot be understood.
    #[track_caller]
    pub fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// 401: nobody is logged in, or the credentials are wrong.
    #[track_caller]
    pub fn unauthorized(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, text)
    }

    /// 403: known, and not allowed.
    #[track_caller]
    pub fn forbidden(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, text)
    }

    /// 500 with a text for the log alone.
    #[track_caller]
    pub fn internal(text: impl Into<Cow<'static, str>>) -> Self {
        Self::bare(StatusCode::INTERNAL_SERVER_ERROR).with_source(Message(text.into()))
    }

    /// Ends the request with this very response (Flask's `abort(response)`): error pages and handlers leave it alone.
    #[track_caller]
    pub fn response(response: Response) -> Self {
        let mut e = Self::bare(response.status());
        e.0.response = Some(response);
        e
    }

    /// The cause, for the log and for [`downcast_ref`](Self::downcast_ref).
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The parts of the request that were at fault.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.0.faults = faults;
        self
    }

    /// A header for the response, such as `Retry-After` or `WWW-Authenticate`.
    #[must_use]
    pub fn with_header(mut self, name: http::HeaderName, value: http::HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// The same error under another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// Changes the status.
    pub fn set_status(&mut self, status: StatusCode) {
        self.0.status = status;
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What the client may read: the given text, or the status' own phrase. A 5xx made by `?` never says more.
    pub fn client_text(&self) -> &str {
        match &self.0.client {
            Some(text) => text,
            None => self.0.status.canonical_reason().unwrap_or("Error"),
        }
    }

    /// What was wrong in the request, part by part.
    pub fn faults(&self) -> &[Fault] {
        &self.0.faults
    }

    /// Headers for the response.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The ready response of [`Error::response`], taken out.
    pub fn take_response(&mut self) -> Option<Response> {
        self.0.response.take()
    }

    /// The cause, if there is one.
    pub fn source(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }

    /// The cause, when it is an `E`: how error handlers of one type find theirs.
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.0.source.as_ref()?.downcast_ref()
    }

    /// The name of the type that `?` turned into this error; empty for an error made by name.
    pub fn type_name(&self) -> &'static str {
        self.0.type_name
    }

    /// How the program came here, in sites that run in debug mode.
    pub fn backtrace(&self) -> Option<&Backtrace> {
        self.0.backtrace.as_ref()
    }

    /// Where in the program the error was made, or where `?` turned it into this type.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.at
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
    #[track_caller]
    fn from(source: E) -> Self {
        let mut error = Self::bare(StatusCode::INTERNAL_SERVER_ERROR).with_source(source);
        error.0.type_name = std::any::type_name::<E>();
        error
    }
}

/// The log's text: the client's text, then the chain of causes.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.client_text())?;
        for fault in &self.0.faults {
            write!(f, "; {fault}")?;
        }
        let mut next = self.0.source.as_ref().map(|s| &**s as &dyn std::error::Error);
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self} (at {})", self.0.status.as_u16(), self.0.at)
    }
}

/// A plain text as a cause.
#[derive(Debug)]
struct Message(Cow<'static, str>);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Message {}

/// The part of a request that a [`Fault`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// A parameter of the path.
    Path,
    /// The query string.
    Query,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
    /// The body.
    Body,
}

impl Place {
    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
            Place::Cookie => "cookie",
            Place::Body => "body",
        }
    }
}

// By hand, so that the smallest site compiles no derive.
impl serde_core::Serialize for Place {
    fn serialize<S: serde_core::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One thing that is wrong with a request: `query.page: expected a number, found "x"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The part of the request.
    pub place: Place,
    /// The field inside it, dotted (`items.0.price`); empty when the whole part is meant.
    pub name: String,
    /// What is wrong, in the client's words.
    pub message: String,
}

impl Fault {
    /// A fault of one field of one part.
    pub fn new(place: Place, name: impl Into<String>, message: impl Into<String>) -> Self {
        Fault {
            place,
            name: name.into(),
            message: message.into(),
        }
    }
}

impl serde_core::Serialize for Fault {
    fn serialize<S: serde_core::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde_core::ser::SerializeStruct;
        let mut fault = serializer.serialize_struct("Fault", 3)?;
        fault.serialize_field("place", &self.place)?;
        fault.serialize_field("name", &self.name)?;
        fault.serialize_field("message", &self.message)?;
        fault.end()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.name();
        match self.name.as_str() {
            "" => write!(f, "{place}: {}", self.message),
            name => write!(f, "{place}.{name}: {}", self.message),
        }
    }
}
