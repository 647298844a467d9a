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
}

pub(crate) struct Entry {
    #[allow(dead_code)]
    pub(crate) name: String,
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

    /// The path of the route of this name, `blog.detail`, with these parameters; what the pattern does not take becomes the
    /// query string, as in Flask's `url_for`.
    ///
    /// # Errors
    /// 500 when no route has the name, or a parameter is missing; the message names what was meant.
    #[track_caller]
    pub fn url_for(&self, name: &str, params: &[(&str, &str)]) -> Result<String> {
        let entry = self.named(name).ok_or_else(|| {
            let meant = match demijohn_core::check::nearest(name, self.names()) {
                Some(near) => format!("; did you mean `{near}`?"),
                None => String::new(),
            };
            Error::internal(format!("no route `{name}`{meant}"))
        })?;
        let mut values = Vec::new();
        for wanted in entry.pattern.params() {
            match params.iter().find(|(name, _)| *name == wanted) {
                Some((_, value)) => values.push((*value).to_owned()),
                None => {
                    return Err(Error::internal(format!(
                        "a link to `{name}` ({}) needs the parameter `{wanted}`",
                        entry.text
                    )));
                }
            }
        }
        let mut path = entry.pattern.fill(&values);
        let rest: Vec<_> = params
            .iter()
            .filter(|(name, _)| !entry.pattern.params().any(|taken| taken == *name))
            .collect();
        if !rest.is_empty() {
            path.push('?');
            path = form_urlencoded::Serializer::for_suffix(path.clone(), path.len())
                .extend_pairs(rest)
                .finish();
        }
        Ok(path)
    }

    /// True when a route has this name.
    pub fn has(&self, name: &str) -> bool {
        self.named(name).is_some()
    }

    /// The names of all routes that have one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0
            .entries
            .iter()
            .map(|entry| entry.name.as_str())
            .filter(|name| !name.is_empty())
    }

    fn named(&self, name: &str) -> Option<&Entry> {
        self.0
            .entries
            .iter()
            .find(|entry| !entry.name.is_empty() && entry.name == name)
    }

    /// With parameters of a mount path that the handler does not take filled from the request at hand.
    #[track_caller]
    fn path_to<H: 'static>(&self, values: Vec<String>, request: &Request) -> Result<String> {
        let handler = TypeId::of::<H>();
        let name = std::any::type_name::<H>();
        let here = request.route().map(|route| route.blueprint.as_str());
        let mut entries = self.0.entries.iter().filter(|entry| entry.handlers.contains(&handler));
        // Of a blueprint that is mounted twice, the instance that the request is in.
        let entry = entries
            .clone()
            .find(|entry| Some(entry.blueprint.as_str()) == here)
            .or_else(|| entries.next())
            .ok_or_else(|| Error::internal(format!("no route of the site has the handler `{name}`")))?;
        let names: Vec<&str> = entry.pattern.params().collect();
        let from_here = names.len().checked_sub(values.len()).ok_or_else(|| {
            Error::internal(format!(
                "`{}` has fewer parameters than its handler `{name}` takes",
                entry.text
            ))
        })?;
        let mut all = Vec::with_capacity(names.len());
        for name in &names[..from_here] {
            match request.param(name) {
                Some(value) => all.push(value.to_owned()),
                None => {
                    return Err(Error::internal(format!(
                        "a link to `{}` needs the parameter `{name}`, which the request at hand does not have",
                        entry.text
                    )));
                }
            }
        }
        all.extend(values);
        Ok(entry.pattern.fill(&all))
    }
}

impl Extract for Urls {
    async fn extract(request: &mut Request) -> Result<Self, demijohn_core::Rejection> {
        Ok(Urls::of(request)?.clone())
    }
}
