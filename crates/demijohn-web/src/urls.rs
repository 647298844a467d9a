//! Links: from a handler or a name, and the values of its parameters, back to a path.

use crate::current;
use crate::path::{FromPath, Path, PathArgs};
use crate::trie::Pattern;
use demijohn_core::{Error, Extract, Request, Result};
use std::any::TypeId;
use std::sync::Arc;

/// The path of the route that `handler` answers: `url_to(detail, (slug,))?`.
///
/// Arguments are those of the handler's `Path`, which is its first argument, in a tuple; a handler without one takes `()`.
/// A wrong type or number of them does not compile. It works inside of handlers, where the site is known; elsewhere use
/// [`Urls`].
///
/// ```
/// use demijohn_web::{get, url_to, Application, Path, Result};
///
/// async fn post(Path((year, slug)): Path<(u16, String)>) -> String { format!("{year} {slug}") }
/// async fn newest() -> Result<String> { url_to(post, (2026, "a b")) }
///
/// # demijohn_web::test::block_on(async {
/// let app = Application::new().route("/", get(newest)).route("/{year}/{slug}/", get(post));
/// assert_eq!(app.test_client().get("/").await.text(), "/2026/a%20b/");
/// # });
/// ```
///
/// ```compile_fail,E0080
/// # use demijohn_web::{url_to, Path};
/// async fn post(Path(id): Path<i64>) -> String { id.to_string() }
/// let _ = url_to(post, ());
/// ```
///
/// # Errors
/// 500 when the site has no route with this handler, and outside of a request.
#[track_caller]
pub fn url_to<H, M, P>(handler: H, args: P) -> Result<String>
where
    H: Link<M, P>,
{
    let values = handler.values(args);
    current::with(|request| Urls::of(request)?.path_to::<H>(values, request)).unwrap_or_else(|| {
        Err(Error::internal(
            "`url_to` was called outside of a request; use `Urls::to` there",
        ))
    })
}

/// A value with a page of its own (Django's `get_absolute_url`), for [`Redirect::object`](crate::Redirect::object) and templates.
///
/// ```
/// use demijohn_web::{get, Application, HasUrl, Path, Redirect, Result, Urls};
///
/// struct Article { id: i64 }
///
/// impl HasUrl for Article {
///     fn url(&self, urls: &Urls) -> Result<String> {
///         urls.to(show, (self.id,))
///     }
/// }
///
/// async fn show(Path(id): Path<i64>) -> String { id.to_string() }
/// async fn create() -> Redirect { Redirect::object(Article { id: 7 }) }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/new", get(create)).route("/{id}", get(show)).test_client();
/// assert_eq!(client.get("/new").await.header("location"), Some("/7"));
/// # });
/// ```
pub trait HasUrl {
    /// Its path.
    ///
    /// # Errors
    /// When the route is not part of the site.
    fn url(&self, urls: &Urls) -> Result<String>;
}

/// A handler that can be linked to with arguments `P`. `M` tells the shapes of handlers apart.
#[diagnostic::on_unimplemented(
    message = "no link to `{Self}` can be made with the arguments `{P}`",
    label = "arguments that the handler's `Path` does not take",
    note = "the second argument is a tuple with the values of the handler's `Path`, which must be its first argument: `url_to(detail, (7,))` for `async fn detail(Path(id): Path<i64>, ..)`; and `()` for a handler without a `Path`"
)]
pub trait Link<M, P>: 'static {
    #[doc(hidden)]
    fn values(&self, args: P) -> Vec<String>;
}

/// Marks handlers whose first argument is a [`Path`].
#[doc(hidden)]
pub struct WithPath<T, Rest>(std::marker::PhantomData<(T, Rest)>);

macro_rules! link {
    ($($arg:ident)*) => {
        impl<F, Fut, T, P, $($arg),*> Link<WithPath<T, ($($arg,)*)>, P> for F
        where
            F: Fn(Path<T>, $($arg),*) -> Fut + 'static,
            T: FromPath,
            P: PathArgs<T>,
        {
            fn values(&self, args: P) -> Vec<String> {
                args.segments()
            }
        }
    };
}

macro_rules! link_without_path {
    ($($arg:ident)*) => {
        impl<F, Fut, $($arg: Extract),*> Link<($($arg,)*), ()> for F
        where
            F: Fn($($arg),*) -> Fut + 'static,
        {
            fn values(&self, (): ()) -> Vec<String> {
                const {
                    assert!(
                        0 $(+ $arg::PATH_ARGS)* == 0,
                        "this handler takes parameters of the path: give them as the second argument of `url_to`"
                    );
                }
                Vec::new()
            }
        }
    };
}

macro_rules! all {
    ($macro:ident) => {
        $macro!();
        $macro!(A1);
        $macro!(A1 A2);
        $macro!(A1 A2 A3);
        $macro!(A1 A2 A3 A4);
        $macro!(A1 A2 A3 A4 A5);
        $macro!(A1 A2 A3 A4 A5 A6);
        $macro!(A1 A2 A3 A4 A5 A6 A7);
        $macro!(A1 A2 A3 A4 A5 A6 A7 A8);
        $macro!(A1 A2 A3 A4 A5 A6 A7 A8 A9);
        $macro!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10);
        $macro!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11);
    };
}

all!(link);
all!(link_without_path);

/// All links of a site: by handler ([`to`](Self::to)) and by name ([`url_for`](Self::url_for)).
///
/// It is an extractor, and in the site's bag.
#[derive(Clone)]
pub struct Urls(pub(crate) Arc<Table>);

#[derive(Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
    /// `example.org`, for links with a host outside of requests.
    pub(crate) server_name: Option<String>,
}

pub(crate) struct Entry {
    /// `blog.detail`.
    pub(crate) name: String,
    /// The same with the names that blueprints were made with, where instances have others.
    pub(crate) kind_name: String,
    pub(crate) blueprint: String,
    pub(crate) pattern: Pattern,
    pub(crate) text: String,
    pub(crate) handlers: Vec<TypeId>,
}

impl Urls {
    /// The links of the site that a request belongs to.
    ///
    /// # Errors
    /// 500 when the request was made by hand, without a site.
    pub fn of(request: &Request) -> Result<&Urls> {
        request.provided::<Urls>()
    }

    /// The path of the route that `handler` answers; see [`url_to`].
    ///
    /// # Errors
    /// 500 when the site has no route with this handler.
    #[track_caller]
    pub fn to<H: Link<M, P>, M, P>(&self, handler: H, args: P) -> Result<String> {
        let values = handler.values(args);
        self.path_to::<H>(values, &Request::placeholder())
    }

    /// The path of the route of this name, `blog.detail` (or `blog:detail`). What is no parameter of its pattern goes into
    /// the query string.
    ///
    /// Of a blueprint that is mounted under several names, the name that it was made with means the instance of the
    /// request at hand, then the one that has that name.
    ///
    /// # Errors
    /// 500 with the nearest names when there is no such route, and with the name of a parameter that is missing.
    #[track_caller]
    pub fn url_for(&self, name: &str, args: &[(&str, &str)]) -> Result<String> {
        let mut url = self.link(name);
        for (name, value) in args {
            url = url.arg(*name, value);
        }
        url.build()
    }

    /// The same step by step, with query, anchor, host and scheme.
    ///
    /// ```
    /// use demijohn_web::{get, Application, Path};
    ///
    /// async fn post(Path(id): Path<i64>) -> String { id.to_string() }
    ///
    /// let site = Application::new().server_name("example.org").route("/post/{id}", get(post)).test_client();
    /// let url = site.urls().link("post").arg("id", 7).query("q", "a b").anchor("top").scheme("https").build()?;
    /// assert_eq!(url, "https://example.org/post/7?q=a+b#top");
    /// # Ok::<(), demijohn_web::Error>(())
    /// ```
    pub fn link(&self, name: &str) -> Url<'_> {
        Url {
            urls: self,
            name: name.replace(':', "."),
            args: Vec::new(),
            query: Vec::new(),
            anchor: String::new(),
            scheme: String::new(),
            external: false,
        }
    }

    /// True when a route has this name.
    pub fn has(&self, name: &str) -> bool {
        let name = name.replace(':', ".");
        self.named(&name).next().is_some()
    }

    /// The names of all routes that have one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0
            .entries
            .iter()
            .map(|entry| entry.name.as_str())
            .filter(|name| !name.is_empty())
    }

    /// The names of the parameters that a link to this name takes, for checks of templates.
    pub fn params(&self, name: &str) -> Option<Vec<&str>> {
        let name = name.replace(':', ".");
        let entry = self.named(&name).next()?;
        Some(entry.pattern.params().collect())
    }

    fn named<'s, 'n>(&'s self, name: &'n str) -> impl Iterator<Item = &'s Entry> + use<'s, 'n> {
        let exact = self
            .0
            .entries
            .iter()
            .filter(move |entry| !name.is_empty() && entry.name == name);
        let kind = self
            .0
            .entries
            .iter()
            .filter(move |entry| entry.kind_name == name && entry.name != name);
        exact.chain(kind)
    }

    /// With parameters of a mount path that the handler does not take filled from the request at hand.
    #[track_caller]
    fn path_to<H: 'static>(&self, values: Vec<String>, request: &Request) -> Result<String> {
        let handler = TypeId::of::<H>();
        let name = std::any::type_name::<H>();
        let entries = || self.0.entries.iter().filter(|entry| entry.handlers.contains(&handler));
        // Of a blueprint that is mounted twice, the instance that the request is in; of several patterns, one that takes as
        // many values.
        let here = request.route().map(|route| route.blueprint.as_str());
        let near = |entry: &&Entry| Some(entry.blueprint.as_str()) == here;
        let fits = |entry: &&Entry| entry.pattern.params().count() == values.len();
        let entry = entries()
            .find(|entry| near(entry) && fits(entry))
            .or_else(|| entries().find(near))
            .or_else(|| entries().find(fits))
            .or_else(|| entries().next())
            .ok_or_else(|| {
                Error::internal(format!(
                    "no route of the site has the handler `{name}`; mount it by `.route(path, get(..))`"
                ))
            })?;
        let names: Vec<&str> = entry.pattern.params().collect();
        let from_here = names.len().checked_sub(values.len()).ok_or_else(|| {
            Error::internal(format!(
                "`{}` has fewer parameters than its handler `{name}` takes",
                entry.text
            ))
        })?;
        let mut all = Vec::with_capacity(names.len());
        for name in &names[..from_here] {
            all.push(match request.param(name) {
                Some(value) => value.to_owned(),
                None => return Err(missing(&entry.text, name)),
            });
        }
        all.extend(values);
        Ok(format!("{}{}", request.script_name(), entry.fill(&all)?))
    }
}

impl Entry {
    #[track_caller]
    fn fill(&self, values: &[String]) -> Result<String> {
        if let Some(name) = self
            .pattern
            .params()
            .zip(values)
            .find_map(|(name, value)| value.is_empty().then_some(name))
        {
            return Err(missing(&self.text, name));
        }
        let path = self.pattern.fill(values);
        // A first segment that is empty or a rest that begins with a slash would name another host.
        match path.starts_with("//") {
            true => Err(Error::internal(format!(
                "a link to `{}` would be `{path}`, another host",
                self.text
            ))),
            false => Ok(path),
        }
    }
}

#[track_caller]
fn missing(route: &str, name: &str) -> Error {
    Error::internal(format!("a link to `{route}` needs the parameter `{name}`"))
}

/// A link in the making; see [`Urls::link`].
#[must_use = "a link becomes a text by `.build()`"]
pub struct Url<'a> {
    urls: &'a Urls,
    name: String,
    args: Vec<(String, String)>,
    query: Vec<(String, String)>,
    anchor: String,
    scheme: String,
    external: bool,
}

impl Url<'_> {
    /// A parameter of the pattern; one that the pattern does not have goes into the query string.
    pub fn arg(mut self, name: impl Into<String>, value: impl std::fmt::Display) -> Self {
        self.args.push((name.into(), value.to_string()));
        self
    }

    /// A pair of the query string, even when the pattern has a parameter of this name.
    pub fn query(mut self, name: impl Into<String>, value: impl std::fmt::Display) -> Self {
        self.query.push((name.into(), value.to_string()));
        self
    }

    /// What follows `#`.
    pub fn anchor(mut self, anchor: impl Into<String>) -> Self {
        self.anchor = anchor.into();
        self
    }

    /// With scheme and host: the site's `server_name`, or the host of the request at hand.
    pub fn external(mut self) -> Self {
        self.external = true;
        self
    }

    /// With this scheme, and so with a host.
    pub fn scheme(mut self, scheme: impl Into<String>) -> Self {
        self.scheme = scheme.into();
        self.external()
    }

    /// The text.
    ///
    /// # Errors
    /// 500 when there is no such route, a parameter is missing, or no host is known.
    #[track_caller]
    pub fn build(self) -> Result<String> {
        let here = current::with(|request| {
            let blueprint = request.route().map(|route| route.blueprint.clone()).unwrap_or_default();
            let params: Vec<(String, String)> = request
                .params()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            (blueprint, params, request.script_name().to_owned())
        });
        let (blueprint, params, script_name) = here.unwrap_or_default();
        let given = |entry: &Entry, name: &str| {
            let named = |list: &[(String, String)]| list.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            // Parameters of the path that a blueprint is mounted at follow its pages around.
            named(&self.args).or_else(|| {
                (!blueprint.is_empty() && entry.blueprint == blueprint)
                    .then(|| named(&params))
                    .flatten()
            })
        };
        let candidates: Vec<&Entry> = self.urls.named(&self.name).collect();
        let Some(&first) = candidates.first() else {
            return Err(self.unknown());
        };
        let complete = |entry: &&&Entry| entry.pattern.params().all(|name| given(entry, name).is_some());
        let entry = candidates
            .iter()
            .filter(|entry| !blueprint.is_empty() && entry.blueprint == blueprint)
            .find(complete)
            .or_else(|| candidates.iter().find(complete))
            .copied()
            .unwrap_or(first);
        let mut values = Vec::new();
        for name in entry.pattern.params() {
            match given(entry, name) {
                Some(value) => values.push(value),
                None => {
                    return Err(Error::internal(format!(
                        "a link to the route `{}` (`{}`) needs the parameter `{name}`",
                        self.name, entry.text
                    )));
                }
            }
        }
        let mut url = self.host()?;
        url.push_str(&script_name);
        url.push_str(&entry.fill(&values)?);
        let of_pattern = |name: &str| entry.pattern.params().any(|param| param == name);
        let extras: Vec<&(String, String)> = self
            .args
            .iter()
            .filter(|(name, _)| !of_pattern(name))
            .chain(&self.query)
            .collect();
        if !extras.is_empty() {
            let pairs = extras.iter().map(|(name, value)| (name, value));
            url.push('?');
            url.push_str(
                &form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pairs)
                    .finish(),
            );
        }
        if !self.anchor.is_empty() {
            url.push('#');
            url.extend(percent_encoding::utf8_percent_encode(
                &self.anchor,
                crate::trie::SEGMENT,
            ));
        }
        Ok(url)
    }

    /// `https://example.org`, or nothing.
    #[track_caller]
    fn host(&self) -> Result<String> {
        if !self.external {
            return Ok(String::new());
        }
        let here = current::with(|request| {
            let host = request.host().map(str::to_owned);
            (host, request.scheme())
        });
        let (request_host, request_scheme) = here.unwrap_or((None, "http"));
        let host = self.urls.0.server_name.clone().or(request_host).ok_or_else(|| {
            Error::internal("a link with a host is asked for outside of a request; name the host by `.server_name(..)`")
        })?;
        let scheme = if self.scheme.is_empty() {
            request_scheme
        } else {
            &self.scheme
        };
        Ok(format!("{scheme}://{host}"))
    }

    #[track_caller]
    fn unknown(&self) -> Error {
        let mend = match demijohn_core::check::nearest(&self.name, self.urls.names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`routes` lists all names".to_owned(),
        };
        Error::internal(format!("no route `{}`; {mend}", self.name))
    }
}

impl Extract for Urls {
    async fn extract(request: &mut Request) -> Result<Self, demijohn_core::Rejection> {
        Ok(Urls::of(request)?.clone())
    }
}
