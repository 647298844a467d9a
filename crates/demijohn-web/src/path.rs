//! Parameters of the path as typed values, and back into text for links.

use demijohn_core::extract::{Operation, Parameter};
use demijohn_core::{Error, Extract, Fault, Place, Rejection, Request};
use std::borrow::Cow;
use std::fmt::Display;

/// The parameters of the path, by position: `Path(id): Path<i64>`, `Path((year, slug)): Path<(u16, String)>`.
///
/// What the pattern calls a parameter is for people and links; its type is the handler's. A path whose text is no such
/// value is not found (404), and the router goes on to the next route that matches.
///
/// A handler of a blueprint may leave out the parameters of the paths that the blueprint is mounted at: it takes the last
/// ones.
///
/// ```
/// use demijohn_web::{get, Application, Path};
///
/// async fn post(Path((year, slug)): Path<(u16, String)>) -> String {
///     format!("{slug} of {year}")
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/{year}/{slug}", get(post)).test_client();
/// assert_eq!(client.get("/2026/hello").await.text(), "hello of 2026");
/// assert_eq!(client.get("/soon/hello").await.status(), 404);
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<T: FromPath> Extract for Path<T> {
    const PATH_ARGS: usize = T::COUNT;

    fn fits_path(values: &[String]) -> bool {
        last(values, T::COUNT).is_some_and(|values| T::from_path(values).is_some())
    }

    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let values = request.param_values();
        let Some(values) = last(values, T::COUNT) else {
            return Err(Error::internal(format!(
                "the handler takes {} parameters of the path and the route has {}",
                T::COUNT,
                values.len()
            ))
            .into());
        };
        match T::from_path(values) {
            Some(value) => Ok(Path(value)),
            // The router asked before, so only a request made by hand comes here.
            None => Err(Rejection::fault(Fault::new(
                Place::Path,
                "",
                "is not of the expected form",
            ))),
        }
    }

    fn describe(operation: &mut Operation) {
        T::describe(operation);
    }
}

fn last(values: &[String], count: usize) -> Option<&[String]> {
    values.get(values.len().checked_sub(count)?..)
}

/// One parameter of the path.
///
/// Implement it for a type of your own and it is a converter for all patterns and links:
///
/// ```
/// use demijohn_web::{Application, Path, PathParam, get};
/// use std::borrow::Cow;
///
/// /// `/tags/a+b`
/// #[derive(Clone)]
/// struct Tags(Vec<String>);
///
/// impl PathParam for Tags {
///     fn from_segment(text: &str) -> Option<Self> {
///         Some(Tags(text.split('+').map(str::to_owned).collect()))
///     }
///     fn to_segment(&self) -> Cow<'_, str> {
///         self.0.join("+").into()
///     }
/// }
///
/// async fn tagged(Path(tags): Path<Tags>) -> String {
///     format!("{:?}", tags.0)
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/tags/{tags}", get(tagged)).test_client();
/// assert_eq!(client.get("/tags/a+b").await.text(), r#"["a", "b"]"#);
/// # });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of the path",
    note = "whole numbers, `f64`, `bool`, `String`, `Slug`, `Signed<i64>` and, with the feature `uuid`, `Uuid` can; implement `PathParam` for a type of your own"
)]
pub trait PathParam: Sized + Send {
    /// JSON Schema's type and format, for the API's documentation.
    const SCHEMA: (&'static str, &'static str) = ("string", "");

    /// The value of a decoded text; `None` makes the path not found.
    fn from_segment(text: &str) -> Option<Self>;

    /// The text of the value, not yet encoded.
    fn to_segment(&self) -> Cow<'_, str>;
}

impl PathParam for String {
    fn from_segment(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn to_segment(&self) -> Cow<'_, str> {
        self.as_str().into()
    }
}

/// Digits alone: no sign and no space, as in Flask and Django.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    match text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.parse().ok(),
        false => None,
    }
}

macro_rules! whole_numbers {
    ($($type:ty, $format:literal);+ $(;)?) => {$(
        impl PathParam for $type {
            const SCHEMA: (&'static str, &'static str) = ("integer", $format);

            fn from_segment(text: &str) -> Option<Self> {
                digits(text)
            }

            fn to_segment(&self) -> Cow<'_, str> {
                self.to_string().into()
            }
        }

        impl PathParam for Signed<$type> {
            const SCHEMA: (&'static str, &'static str) = ("integer", $format);

            fn from_segment(text: &str) -> Option<Self> {
                let unsigned = text.strip_prefix('-').unwrap_or(text);
                match !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) {
                    true => text.parse().ok().map(Signed),
                    false => None,
                }
            }

            fn to_segment(&self) -> Cow<'_, str> {
                self.0.to_string().into()
            }
        }
    )+};
}

whole_numbers! {
    i16, "int16"; i32, "int32"; i64, "int64"; i128, "";
    u8, "uint8"; u16, "uint16"; u32, "uint32"; u64, "uint64"; u128, "";
    usize, "uint64"; isize, "int64";
}

/// A whole number that may have a minus sign: plain number types refuse one, as in Flask and Django.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<T>(pub T);

impl PathParam for f64 {
    const SCHEMA: (&'static str, &'static str) = ("number", "double");

    /// Digits, a point, digits; no more of them than make a number.
    fn from_segment(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.')?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        match digits(whole) && digits(fraction) {
            true => text.parse().ok().filter(|number: &f64| number.is_finite()),
            false => None,
        }
    }

    fn to_segment(&self) -> Cow<'_, str> {
        // Never `1e20`, which is read nowhere.
        let digits = self.to_string();
        match digits.contains('.') {
            true => digits.into(),
            false => format!("{digits}.0").into(),
        }
    }
}

impl PathParam for bool {
    const SCHEMA: (&'static str, &'static str) = ("boolean", "");

    fn from_segment(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn to_segment(&self) -> Cow<'_, str> {
        if *self { "true" } else { "false" }.into()
    }
}

/// Letters, digits, `-` and `_` of ASCII: Django's `slug`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slug(String);

impl Slug {
    /// The text as a slug; `None` when it is empty or has other characters.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (!text.is_empty() && text.bytes().all(fits)).then_some(Slug(text))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its text, taken out.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl std::ops::Deref for Slug {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Display for Slug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl PathParam for Slug {
    fn from_segment(text: &str) -> Option<Self> {
        Slug::new(text)
    }

    fn to_segment(&self) -> Cow<'_, str> {
        self.as_str().into()
    }
}

#[cfg(feature = "uuid")]
impl PathParam for uuid::Uuid {
    const SCHEMA: (&'static str, &'static str) = ("string", "uuid");

    /// Lower case with dashes, so that one value has one path.
    fn from_segment(text: &str) -> Option<Self> {
        let value = uuid::Uuid::try_parse(text).ok()?;
        (value.hyphenated().to_string() == text).then_some(value)
    }

    fn to_segment(&self) -> Cow<'_, str> {
        self.hyphenated().to_string().into()
    }
}

/// What [`Path`] can hold: one parameter, or a tuple of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken out of a path",
    note = "write `Path<i64>` for one parameter and `Path<(i64, String)>` for two; each one implements `PathParam`"
)]
pub trait FromPath: Sized + Send {
    /// How many parameters it takes.
    const COUNT: usize;

    /// The value of decoded texts, `COUNT` of them.
    #[doc(hidden)]
    fn from_path(values: &[String]) -> Option<Self>;

    #[doc(hidden)]
    fn describe(operation: &mut Operation);
}

fn describe<T: PathParam>(operation: &mut Operation) {
    operation.parameters.push(Parameter {
        name: String::new(),
        place: Place::Path,
        required: true,
        schema_type: T::SCHEMA.0,
        format: T::SCHEMA.1,
    });
}

impl<T: PathParam> FromPath for T {
    const COUNT: usize = 1;

    fn from_path(values: &[String]) -> Option<Self> {
        T::from_segment(values.first()?)
    }

    fn describe(operation: &mut Operation) {
        describe::<T>(operation);
    }
}

/// The arguments of a link to a handler whose parameters are `T`: values or references of the same types, in a tuple.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are not the arguments of a link to a handler with `Path<{T}>`",
    label = "arguments of another type or count",
    note = "give a tuple with one value (or reference) per parameter of the path: `(7,)` for `Path<i64>`, `(2026, \"hello\")` for `Path<(u16, String)>`"
)]
pub trait PathArgs<T> {
    #[doc(hidden)]
    fn segments(&self) -> Vec<String>;
}

/// One argument of a link to a parameter of type `T`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the argument of a link to a parameter of type `{T}`",
    label = "expected `{T}`"
)]
pub trait PathArg<T> {
    #[doc(hidden)]
    fn segment(&self) -> Cow<'_, str>;
}

impl<T: PathParam> PathArg<T> for T {
    fn segment(&self) -> Cow<'_, str> {
        self.to_segment()
    }
}

impl<T: PathParam> PathArg<T> for &T {
    fn segment(&self) -> Cow<'_, str> {
        self.to_segment()
    }
}

impl PathArg<String> for &str {
    fn segment(&self) -> Cow<'_, str> {
        (*self).into()
    }
}

impl<T: PathParam, A: PathArg<T>> PathArgs<T> for (A,) {
    fn segments(&self) -> Vec<String> {
        vec![self.0.segment().into_owned()]
    }
}

macro_rules! tuples {
    ($($type:ident $arg:ident $index:tt),+) => {
        impl<$($type: PathParam),+> FromPath for ($($type,)+) {
            const COUNT: usize = [$($index),+].len();

            fn from_path(values: &[String]) -> Option<Self> {
                Some(($($type::from_segment(values.get($index)?)?,)+))
            }

            fn describe(operation: &mut Operation) {
                $(describe::<$type>(operation);)+
            }
        }

        impl<$($type: PathParam, $arg: PathArg<$type>),+> PathArgs<($($type,)+)> for ($($arg,)+) {
            fn segments(&self) -> Vec<String> {
                vec![$(self.$index.segment().into_owned()),+]
            }
        }
    };
}

tuples!(T0 A0 0);
tuples!(T0 A0 0, T1 A1 1);
tuples!(T0 A0 0, T1 A1 1, T2 A2 2);
tuples!(T0 A0 0, T1 A1 1, T2 A2 2, T3 A3 3);
tuples!(T0 A0 0, T1 A1 1, T2 A2 2, T3 A3 3, T4 A4 4);
tuples!(T0 A0 0, T1 A1 1, T2 A2 2, T3 A3 3, T4 A4 4, T5 A5 5);
