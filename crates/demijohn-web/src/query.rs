//! Query strings and forms as typed values.

use crate::fields;
use crate::limits::max_fields;
use crate::pairs::Pairs;
use demijohn_core::{Error, Extract, Fault, Operation, Place, Rejection, Request, Result};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_core::de::DeserializeOwned;

/// The query string as a value: `Query<Pairs>`, or a struct of yours that implements serde's `Deserialize`.
///
/// Numbers and `bool` are read from text, a `Vec` takes all values of a name, an `Option` or `#[serde(default)]` may be
/// missing. Whatever does not fit is answered with 400 and names the field.
///
/// ```
/// use demijohn_web::{get, Application, Query};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Search { q: String, page: Option<u32>, #[serde(default)] tag: Vec<String> }
///
/// async fn search(Query(s): Query<Search>) -> String {
///     format!("{} {:?} {:?}", s.q, s.page, s.tag)
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/", get(search)).test_client();
/// assert_eq!(client.get("/?q=x&page=2&tag=a&tag=b").await.text(), r#"x Some(2) ["a", "b"]"#);
/// assert_eq!(client.get("/?q=x&page=two").await.status(), 400);
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<T>(pub T);

/// A form's body as a value: `Form<Pairs>`, or a struct of yours that implements serde's `Deserialize`, as with [`Query`].
///
/// It takes `application/x-www-form-urlencoded` (and `multipart/form-data` with the feature `multipart`; else 415).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form<T>(pub T);

/// A value made of pairs; every `Deserialize` is one, and [`Pairs`] itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a query string or a form",
    note = "derive serde's `Deserialize` for it, or take `Pairs`"
)]
pub trait FromPairs: Sized + Send {
    #[doc(hidden)]
    fn from_pairs(place: Place, pairs: Pairs) -> Result<Self, Vec<Fault>>;
}

impl FromPairs for Pairs {
    fn from_pairs(_: Place, pairs: Pairs) -> Result<Self, Vec<Fault>> {
        Ok(pairs)
    }
}

impl<T: DeserializeOwned + Send> FromPairs for T {
    fn from_pairs(place: Place, pairs: Pairs) -> Result<Self, Vec<Fault>> {
        fields::from_pairs(place, &pairs)
    }
}

impl<T: FromPairs> Extract for Query<T> {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let max_fields = max_fields(request.site());
        let pairs =
            Pairs::parse_at(Place::Query, request.query_string().as_bytes(), max_fields).map_err(Rejection::fault)?;
        T::from_pairs(Place::Query, pairs).map(Query).map_err(Rejection::faults)
    }

    fn describe(operation: &mut Operation) {
        operation
            .statuses
            .push((400, "the query string is not what is expected"));
    }
}

impl<T: FromPairs> Extract for Form<T> {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let pairs = form_pairs(request).await?;
        T::from_pairs(Place::Body, pairs).map(Form).map_err(Rejection::faults)
    }

    fn describe(operation: &mut Operation) {
        operation.consumes.push("application/x-www-form-urlencoded");
        operation.body_type = Some(std::any::type_name::<T>());
    }
}

async fn form_pairs(request: &mut Request) -> Result<Pairs, Rejection> {
    crate::limits::must_be_plain(request)?;
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    #[cfg(feature = "multipart")]
    if essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Ok(crate::upload::texts(request).await?);
    }
    if !essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Error::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the content type of the body must be application/x-www-form-urlencoded",
        )
        .into());
    }
    let bytes = request.bytes().await?;
    Pairs::parse_at(Place::Body, &bytes, max_fields(request.site())).map_err(Rejection::fault)
}
