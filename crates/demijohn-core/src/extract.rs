//! Handler arguments: how they are taken out of a request, documented, and checked before the first request.

use crate::error::{Error, Fault, Place};
use crate::request::Request;
use http::StatusCode;
use std::any::TypeId;

/// A handler argument.
///
/// The framework runs the extractors of a handler one after another and reports what *all* of them refused in one
/// answer. [`describe`](Extract::describe) and [`needs`](Extract::needs) have no request: they are read once at
/// start, for the API's documentation and so that `check` finds a missing provider before a visitor does.
///
/// ```
/// use demijohn_core::{Extract, Rejection, Request, Fault, Place};
///
/// /// `?page=2`, checked; 1 when absent.
/// struct PageNumber(u32);
///
/// impl Extract for PageNumber {
///     async fn extract(request: &mut Request) -> Result<Self, Rejection> {
///         match request.query_value("page") {
///             None => Ok(PageNumber(1)),
///             Some(text) => text.parse().map(PageNumber).map_err(|_| {
///                 Rejection::fault(Fault::new(Place::Query, "page", "must be a positive whole number"))
///             }),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a handler argument",
    label = "not an extractor",
    note = "arguments of handlers implement `Extract`: `Path<T>`, `Query<T>`, `Json<T>`, `Form<T>`, `State<T>`, `Db`, ..; a plain value of yours is taken as `State<T>` after `App::state(value)`"
)]
pub trait Extract: Sized + Send {
    /// How many parameters of the path this argument takes; all but `Path` take none.
    #[doc(hidden)]
    const PATH_ARGS: usize = 0;

    /// True when these values of the path's parameters can be taken: the router asks it before it settles on a route.
    #[doc(hidden)]
    fn fits_path(values: &[String]) -> bool {
        let _ = values;
        true
    }

    /// Takes the argument out of the request.
    ///
    /// # Errors
    /// A [`Rejection`] says what is wrong with the request.
    fn extract(request: &mut Request) -> impl Future<Output = Result<Self, Rejection>> + Send;

    /// Adds the argument to the documentation of the endpoint.
    fn describe(operation: &mut Operation) {
        let _ = operation;
    }

    /// Names what must be provided for this argument to work.
    fn needs(needs: &mut Needs) {
        let _ = needs;
    }
}

/// `None` in place of a rejection of the request (a 4xx). A failure of the server still fails the request.
impl<T: Extract> Extract for Option<T> {
    const PATH_ARGS: usize = T::PATH_ARGS;

    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        match T::extract(request).await {
            Ok(value) => Ok(Some(value)),
            Err(r) if r.error.status().is_client_error() => Ok(None),
            Err(r) => Err(r),
        }
    }

    fn describe(operation: &mut Operation) {
        let before = operation.parameters.len();
        T::describe(operation);
        for parameter in &mut operation.parameters[before..] {
            parameter.required = false;
        }
    }

    fn needs(needs: &mut Needs) {
        T::needs(needs);
    }
}

/// The rejection itself, for handlers that answer it in their own way.
impl<T: Extract> Extract for Result<T, Rejection> {
    const PATH_ARGS: usize = T::PATH_ARGS;

    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        Ok(T::extract(request).await)
    }

    fn describe(operation: &mut Operation) {
        T::describe(operation);
    }

    fn needs(needs: &mut Needs) {
        T::needs(needs);
    }
}

/// Why an argument could not be taken out of a request.
#[derive(Debug)]
pub struct Rejection {
    error: Error,
}

impl Rejection {
    /// 400 (404 for the path) with one fault. Several rejections of one request are merged into one answer.
    #[track_caller]
    pub fn fault(fault: Fault) -> Self {
        Self::faults(vec![fault])
    }

    /// 400 (404 if one is of the path) with these faults.
    #[track_caller]
    pub fn faults(faults: Vec<Fault>) -> Self {
        let status = match faults.iter().any(|f| f.place == Place::Path) {
            true => StatusCode::NOT_FOUND,
            false => StatusCode::BAD_REQUEST,
        };
        Rejection {
            error: Error::bare(status).with_faults(faults),
        }
    }

    /// The error that this rejection is.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// One answer for everything that was refused.
    ///
    /// What hides the resource comes first (404, then 401, 403, then any other status that is not 400); faults of all
    /// are listed together.
    pub fn merge(rejections: Vec<Rejection>) -> Option<Error> {
        fn rank(status: StatusCode) -> u16 {
            match status.as_u16() {
                404 => 0,
                401 => 1,
                403 => 2,
                s if s >= 500 => 3,
                400 => 1000,
                s => s,
            }
        }
        let mut errors: Vec<Error> = rejections.into_iter().map(|r| r.error).collect();
        let first = (0..errors.len()).min_by_key(|&i| rank(errors[i].status()))?;
        let mut faults = Vec::new();
        for error in &errors {
            faults.extend_from_slice(error.faults());
        }
        Some(errors.swap_remove(first).with_faults(faults))
    }
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Rejection { error }
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        rejection.error
    }
}

/// What an endpoint takes and gives: written by extractors and replies, read by the API's documentation.
#[derive(Clone, Debug, Default)]
pub struct Operation {
    /// One line on what the endpoint does.
    pub summary: String,
    /// Parameters of path, query, header and cookie.
    pub parameters: Vec<Parameter>,
    /// Content types that the body may have; empty when none is read.
    pub consumes: Vec<&'static str>,
    /// Rust's name of the body's type.
    pub body_type: Option<&'static str>,
    /// Content types of the answer.
    pub produces: Vec<&'static str>,
    /// Statuses that the answer may have, with what they mean.
    pub statuses: Vec<(u16, &'static str)>,
    /// JSON Schema of the answer's body, where it is known.
    pub answer: Option<serde_json::Value>,
    /// Templates that the answer is rendered from, with the names that it hands over: `check` looks for them.
    pub templates: Vec<(&'static str, &'static [&'static str])>,
}

/// One parameter of an [`Operation`].
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name; empty for a path parameter that is taken by position (the route's pattern names it).
    pub name: String,
    /// Where it is found.
    pub place: Place,
    /// True when the request is refused without it.
    pub required: bool,
    /// JSON Schema's word for it: `integer`, `number`, `string`, `boolean`, `array`, `object`.
    pub schema_type: &'static str,
    /// JSON Schema's `format`, such as `int64` or `uuid`; empty for none.
    pub format: &'static str,
}

/// What handlers need from the site; compared with what it provides before the first request.
#[derive(Debug, Default)]
pub struct Needs {
    pub(crate) items: Vec<Need>,
}

/// One need of a handler.
#[derive(Debug)]
pub struct Need {
    /// The type that must be in the site's bag.
    pub type_id: TypeId,
    /// Its name, for the message.
    pub type_name: &'static str,
    /// What the user has to write.
    pub mend: String,
}

impl Needs {
    /// `T` must be in the site's [`Bag`](crate::Bag) when requests are served; `mend` is what to write if it is not.
    pub fn provider<T: 'static>(&mut self, mend: impl Into<String>) {
        self.items.push(Need {
            type_id: TypeId::of::<T>(),
            type_name: std::any::type_name::<T>(),
            mend: mend.into(),
        });
    }

    /// What of it the bag does not hold.
    pub fn into_missing(self, bag: &crate::site::Bag) -> Vec<Need> {
        self.items.into_iter().filter(|need| !bag.has(need.type_id)).collect()
    }

    /// What was named so far.
    pub fn items(&self) -> &[Need] {
        &self.items
    }
}

mod given {
    //! Arguments that are parts of the request as they stand.

    use super::{Extract, Operation, Rejection};
    use crate::error::Error;
    use crate::request::Request;
    use bytes::Bytes;
    use http::{HeaderMap, Method, Uri, Version};

    impl Extract for Method {
        async fn extract(request: &mut Request) -> Result<Self, Rejection> {
            Ok(request.method().clone())
        }
    }

    impl Extract for Uri {
        async fn extract(request: &mut Request) -> Result<Self, Rejection> {
            Ok(request.uri().clone())
        }
    }

    impl Extract for Version {
        async fn extract(request: &mut Request) -> Result<Self, Rejection> {
            Ok(request.head().version)
        }
    }

    /// All headers; names ignore case.
    impl Extract for HeaderMap {
        async fn extract(request: &mut Request) -> Result<Self, Rejection> {
            Ok(request.headers().clone())
        }
    }

    /// The whole body, as it was sent.
    impl Extract for Bytes {
        async fn extract(request: &mut Request) -> Result<Self, Rejection> {
            Ok(request.bytes().await?)
        }

        fn describe(operation: &mut Operation) {
            operation.consumes.push("application/octet-stream");
        }
    }

    /// The whole body as text; what is no UTF-8 is refused.
    impl Extract for String {
        async fn extract(request: &mut Request) -> Result<Self, Rejection> {
            let bytes = request.bytes().await?;
            let text = std::str::from_utf8(&bytes).map_err(|_| Error::bad_request("the body is not UTF-8"))?;
            Ok(text.to_owned())
        }

        fn describe(operation: &mut Operation) {
            operation.consumes.push("text/plain");
        }
    }
}
