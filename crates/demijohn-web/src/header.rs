//! Headers and cookies as handler arguments.

use demijohn_core::extract::{Operation, Parameter};
use demijohn_core::{Extract, Fault, Place, Rejection, Request};

/// A header as a value of your type.
///
/// ```
/// use demijohn_web::{get, Application, FromHeader, Header};
///
/// struct ApiVersion(u32);
///
/// impl FromHeader for ApiVersion {
///     const NAME: &'static str = "x-api-version";
///     fn from_header(text: &str) -> Option<Self> {
///         text.parse().ok().map(ApiVersion)
///     }
/// }
///
/// async fn versioned(Header(version): Header<ApiVersion>) -> String { version.0.to_string() }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/", get(versioned)).test_client();
/// assert_eq!(client.get("/").header("X-Api-Version", "2").await.text(), "2");
/// assert_eq!(client.get("/").await.status(), 400);
/// # });
/// ```
///
/// All headers as they are: take `http::HeaderMap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<T>(pub T);

/// A value that one header carries; see [`Header`].
pub trait FromHeader: Sized + Send {
    /// The header's name, in lower case.
    const NAME: &'static str;

    /// The value of the header's text; `None` makes the request a bad one.
    fn from_header(text: &str) -> Option<Self>;
}

impl<T: FromHeader> Extract for Header<T> {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let fault = |message: &str| Rejection::fault(Fault::new(Place::Header, T::NAME, message));
        if !request.headers().contains_key(T::NAME) {
            return Err(fault("is missing"));
        }
        let value = request.header(T::NAME).and_then(T::from_header);
        value.map(Header).ok_or_else(|| fault("is not of the expected form"))
    }

    fn describe(operation: &mut Operation) {
        operation.parameters.push(Parameter {
            name: T::NAME.to_owned(),
            place: Place::Header,
            required: true,
            schema_type: "string",
            format: "",
        });
    }
}

/// The credentials of `Authorization`: absent is a rejection with 401, so take `Option<Authorization>` to do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The scheme, in lower case: `basic`, `bearer`.
    pub scheme: String,
    /// What follows it.
    pub credentials: String,
}

impl Extract for Authorization {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let parsed = request.header("authorization").and_then(|text| {
            let (scheme, credentials) = text.trim().split_once(' ')?;
            let token = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            (!scheme.is_empty() && scheme.bytes().all(token)).then(|| Authorization {
                scheme: scheme.to_ascii_lowercase(),
                credentials: credentials.trim().to_owned(),
            })
        });
        parsed.ok_or_else(|| demijohn_core::Error::unauthorized("credentials are needed").into())
    }
}

/// The cookies that the client sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cookies(Vec<(String, String)>);

impl Cookies {
    /// The value of a cookie.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All of them, as sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

impl Extract for Cookies {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Cookies(request.cookies().map(owned).collect()))
    }
}
