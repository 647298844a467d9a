//! Pages from templates.
//!
//! A handler returns a [`Page`] of a struct that names its template, and the framework renders it. `url_for(..)`, `request`,
//! `csp_nonce` and, in a site with sessions, `csrf_input()`, `csrf_token()` and `messages` are there in every template without being handed over: `<script nonce="{{ csp_nonce }}">` is the way to have a script
//! inside of a page.
//!
//! ```ignore
//! #[derive(Context)]
//! #[template("blog/index.html")]
//! struct Index { articles: Vec<Card> }
//!
//! async fn index(db: Db) -> Result<Page<Index>> {
//!     Ok(Page(Index { articles: cards(&db).await? }))
//! }
//!
//! fn blog() -> Blueprint {
//!     Blueprint::new("blog").templates(templates!("templates")).route("/", get(index))
//! }
//! ```
//!
//! # Folders
//! A blueprint brings its templates; the site overrides single ones by a file of the same name in a folder of its own,
//! whatever the order of calls. So names begin with the blueprint's: `blog/index.html`.
//!
//! # What `check` finds
//! Templates that do not parse, that extend or include what is not there, that a [`Page`] names and nobody has, that use
//! a name which the page does not hand over, and links to routes that do not exist; each with file and line.

use crate::hook::{Before, BeforeFn, BeforeHook};
use crate::routes::{Routes, scoped};
use crate::urls::Urls;
use demijohn_core::check::{Check, Finding, nearest};
use demijohn_core::reply::content;
use demijohn_core::request::new_nonce;
use demijohn_core::site::{Bag, Phase, Site};
use demijohn_core::{Assemble, BoxFuture, Error, Operation, Part, Reply, Request, Response, Result};
use demijohn_template::minijinja::functions::Function;
#[cfg(feature = "sessions")]
use demijohn_template::minijinja::value::{Enumerator, ObjectRepr};
use demijohn_template::minijinja::value::{FunctionArgs, FunctionResult, Kwargs, Object, Value, merge_maps};
use demijohn_template::minijinja::{self, ErrorKind};
use demijohn_template::{Builder, Context, Engine, Fault, Folder, Template};
use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A page: its struct names the template and holds what the template shows.
///
/// The content type follows the template's ending.
#[derive(Clone, Debug)]
pub struct Page<T>(pub T);

impl<T: Template + Send> Reply for Page<T> {
    fn reply(self, request: &Request) -> Result<Response> {
        Ok(content(content_type(T::NAME), render_text(request, T::NAME, self.0)?))
    }

    fn describe(operation: &mut Operation) {
        operation.produces.push(content_type(T::NAME));
        operation.templates.push((T::NAME, T::FIELDS));
    }
}

/// A page without a struct, for sketches: `render("t.html", context! { title => "Hello" })`.
///
/// `check` knows neither the template nor its names; a [`Page`] is checked.
pub fn render(template: impl Into<String>, context: impl Context) -> Rendered {
    Rendered {
        template: template.into(),
        context: context.into_value(),
    }
}

/// What [`render`] makes.
#[derive(Clone, Debug)]
pub struct Rendered {
    template: String,
    context: Value,
}

impl Reply for Rendered {
    fn reply(self, request: &Request) -> Result<Response> {
        let text = render_text(request, &self.template, self.context)?;
        Ok(content(content_type(&self.template), text))
    }
}

/// Renders a template of the site to text: for mails, feeds, parts of a page.
///
/// # Errors
/// 500 with the template, the line and its source in the log.
pub fn render_text(request: &Request, template: &str, context: impl Context) -> Result<String> {
    let engine = request.provided::<Arc<Engine>>()?;
    let here = Here::enter(request);
    let context = with_values(request, context.into_value());
    // There in tests only.
    let rendered = match request.extensions().get::<crate::test::Pages>() {
        Some(pages) => {
            pages.note(engine.family(template), &context);
            engine.render(template, context)
        }
        None => engine.render(template, context),
    };
    here.leave(request);
    rendered.map_err(|error| {
        // A record of the log is one line, so the excerpt is several.
        for line in error.excerpt().iter().flat_map(|excerpt| excerpt.lines()) {
            tracing::error!(target: "demijohn::template", "{line}");
        }
        Error::from(error)
    })
}

/// What hooks have found for all pages; those of the page itself win.
fn with_values(request: &Request, context: Value) -> Value {
    match request.extensions().get::<PageValues>() {
        Some(values) => merge_maps([Value::from_pairs(values.0.iter().cloned()), context]),
        None => context,
    }
}

/// Values of this request for every template that it renders, in the order they were found.
#[derive(Clone, Default)]
struct PageValues(Vec<(&'static str, Value)>);

struct ValueHook<F, V>(&'static str, F, PhantomData<fn() -> V>);

impl<F, V> BeforeHook for ValueHook<F, V>
where
    V: Into<Value> + Send + 'static,
    F: for<'a> BeforeFn<'a, Result<V>>,
{
    fn run<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<Option<Response>>> {
        Box::pin(async move {
            let value = self.1.call(&mut *request).await?.into();
            let values = request.extensions_mut().get_or_insert_default::<PageValues>();
            values.0.retain(|(name, _)| *name != self.0);
            values.0.push((self.0, value));
            Ok(None)
        })
    }
}

/// A hook on its way to where it runs.
struct BringValue(&'static str, Before);

impl Part for BringValue {
    fn install(self: Box<Self>, site: &mut Site) {
        let BringValue(name, hook) = *self;
        // Where the hook did not run, on an error's page for one, the name is there and nothing stands behind it.
        Box::new(Setup(Box::new(move |builder| builder.global(name, ())))).install(site);
        scoped(site).before.push(hook);
    }
}

fn content_type(template: &str) -> &'static str {
    match template.rsplit('.').next().unwrap_or_default() {
        "txt" => "text/plain; charset=utf-8",
        "xml" | "rss" | "atom" => "application/xml; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        _ => "text/html; charset=utf-8",
    }
}

/// Templates for a site or a blueprint. The prelude brings it.
pub trait TemplatesExt: Assemble {
    /// Brings a folder of templates, `templates!("templates")`. Those of the site override those of blueprints.
    #[must_use]
    fn templates(self, folder: Folder) -> Self {
        self.with(Bring(folder))
    }

    /// Adds a filter for all templates: `{{ price | money }}`.
    #[must_use]
    fn template_filter<F, R, A>(self, name: &'static str, filter: F) -> Self
    where
        F: Function<R, A>,
        R: FunctionResult,
        A: for<'a> FunctionArgs<'a> + 'static,
    {
        self.with(Setup(Box::new(move |builder| builder.filter(name, filter))))
    }

    /// Adds a function for all templates: `{{ asset("logo.svg") }}`.
    #[must_use]
    fn template_function<F, R, A>(self, name: &'static str, function: F) -> Self
    where
        F: Function<R, A>,
        R: FunctionResult,
        A: for<'a> FunctionArgs<'a> + 'static,
    {
        self.with(Setup(Box::new(move |builder| builder.function(name, function))))
    }

    /// Adds a value of the request for all templates of the site or the blueprint: who is logged in, what is in the basket (Flask's and
    /// Django's context processors). A value of the page itself wins over it.
    ///
    /// The hook runs before each handler, so it should cost little; before it, and where it did not run, the value is none.
    ///
    /// ```ignore
    /// async fn viewer(request: &mut Request) -> Result<Option<String>> {
    ///     Session::of(request)?.principal_id().await
    /// }
    ///
    /// App::new().template_value("viewer", viewer) // {% if viewer %}Log out{% endif %}
    /// ```
    #[must_use]
    fn template_value<V, F>(self, name: &'static str, hook: F) -> Self
    where
        V: Into<Value> + Send + 'static,
        F: for<'a> BeforeFn<'a, Result<V>>,
    {
        self.with(BringValue(name, Arc::new(ValueHook(name, hook, PhantomData))))
    }

    /// Adds a value for all templates.
    #[must_use]
    fn template_global(self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.with(Setup(Box::new(move |builder| builder.global(name, value))))
    }
}

impl<T: Assemble> TemplatesExt for T {}

/// What parts bring, until the engine is built.
#[derive(Default)]
struct Parts {
    planned: bool,
    of_site: Vec<Folder>,
    of_blueprints: Vec<Folder>,
    setups: Vec<Configure>,
}

type Configure = Box<dyn FnOnce(Builder) -> Builder + Send + Sync>;

/// A folder on its way into the engine.
struct Bring(Folder);

impl Part for Bring {
    fn install(self: Box<Self>, site: &mut Site) {
        plan(site);
        let of_site = site.scope().blueprint.is_empty();
        let parts: &mut Parts = site.entry();
        let folders = if of_site {
            &mut parts.of_site
        } else {
            &mut parts.of_blueprints
        };
        folders.push(self.0);
    }
}

/// A change to the engine.
struct Setup(Configure);

impl Part for Setup {
    fn install(self: Box<Self>, site: &mut Site) {
        plan(site);
        site.entry::<Parts>().setups.push(self.0);
    }
}

/// Provides the engine and its checks, once.
fn plan(site: &mut Site) {
    if std::mem::replace(&mut site.entry::<Parts>().planned, true) {
        return;
    }
    site.on_build(Phase::Provide, |site| {
        let parts = std::mem::take(site.entry::<Parts>());
        let mut builder = Engine::builder()
            .function("url_for", url_for)
            .global("request", Value::from_object(RequestHere))
            .global("csp_nonce", Value::from_object(CspNonce));
        #[cfg(feature = "sessions")]
        {
            builder = builder
                .global("messages", Value::from_object(MessagesHere))
                .global("csrf_token", Value::from_object(CsrfHere))
                .function("csrf_input", || csrf(|token| Value::from_safe_string(token.input())));
        }
        #[cfg(feature = "static")]
        {
            builder = builder.function("static_url", static_url);
        }
        #[cfg(feature = "storage")]
        {
            builder = builder.function("media_url", media_url);
        }
        for setup in parts.setups {
            builder = setup(builder);
        }
        for folder in parts.of_site.into_iter().chain(parts.of_blueprints) {
            builder = builder.folder(folder);
        }
        site.bag_mut().insert(Arc::new(builder.build()));
        Ok(())
    });
    site.checks.0.push(Check {
        tag: "templates",
        deploy: false,
        run: Box::new(|bag, _, findings| check(bag, findings)),
    });
}

fn check(bag: &Bag, findings: &mut Vec<Finding>) {
    let Some(engine) = bag.get::<Arc<Engine>>() else { return };
    findings.extend(engine.check().into_iter().map(|fault| finding("templates.E001", fault)));
    if let Some(urls) = bag.get::<Urls>() {
        let unknown = engine.check_calls("url_for", |name| {
            // Relative names depend on the page at hand.
            if name.starts_with('.') || urls.has(name) {
                return None;
            }
            let meant = nearest(name, urls.names()).map(|near| format!("; did you mean `{near}`?"));
            Some(format!("no route `{name}`{}", meant.unwrap_or_default()))
        });
        findings.extend(unknown.into_iter().map(|fault| finding("templates.E003", fault)));
    }
    #[cfg(feature = "static")]
    if let Some(files) = bag.get::<crate::Static>() {
        let unknown = engine.check_calls("static_url", |name| (!files.has(name)).then(|| files.missing(name)));
        findings.extend(unknown.into_iter().map(|fault| finding("templates.E004", fault)));
    }
    let Some(routes) = bag.get::<Routes>() else { return };
    let mut seen: Vec<&str> = Vec::new();
    for endpoint in routes.list() {
        for (name, fields) in endpoint.operation.templates {
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            if !engine.has(name) {
                let meant = engine.nearest(name).map(|near| format!("; did you mean `{near}`?"));
                let text = format!(
                    "no template `{name}`, which the handler `{}` renders{}",
                    endpoint.handler,
                    meant.unwrap_or_default()
                );
                let hint =
                    "write it into a folder that `.templates(..)` brings, or correct the name in `#[template(..)]`";
                findings.push(
                    Finding::error("templates.E002", text)
                        .on(endpoint.pattern.as_str())
                        .hint(hint),
                );
                continue;
            }
            for free in engine.free_names(name).unwrap_or_default() {
                if !fields.contains(&free.as_str()) {
                    let meant = nearest(&free, fields.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
                    let text = format!(
                        "the template uses `{free}`, which its page does not hand over{}",
                        meant.unwrap_or_default()
                    );
                    let hint = "add the field to the struct under `#[template(..)]`, or correct the name";
                    findings.push(Finding::warning("templates.W001", text).on(name).hint(hint));
                }
            }
        }
    }
}

fn finding(id: &'static str, fault: Fault) -> Finding {
    let place = fault.place();
    let message = match fault.excerpt.trim_end() {
        "" => fault.message,
        excerpt => format!("{}\n{excerpt}", fault.message),
    };
    Finding::error(id, message).on(place)
}

/// What templates may know of the request they answer. It is set for the time of one rendering, which never waits, so
/// two requests of a thread cannot see each other's.
struct Here {
    site: Arc<Bag>,
    method: http::Method,
    uri: http::Uri,
    route: Option<u32>,
    nonce: OnceCell<String>,
    #[cfg(feature = "sessions")]
    visit: crate::session::LateVisit,
}

thread_local! {
    static HERE: RefCell<Vec<Here>> = const { RefCell::new(Vec::new()) };
}

/// Takes the request at hand away again.
struct Leave;

impl Here {
    fn enter(request: &Request) -> Leave {
        let here = Here {
            site: Arc::clone(request.site()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            route: request.route_index(),
            nonce: request
                .given_csp_nonce()
                .map(|nonce| nonce.to_owned().into())
                .unwrap_or_default(),
            #[cfg(feature = "sessions")]
            visit: crate::session::LateVisit::of(request),
        };
        HERE.with_borrow_mut(|stack| stack.push(here));
        Leave
    }

    fn with<R>(read: impl FnOnce(&Here) -> R) -> Option<R> {
        HERE.with_borrow(|stack| stack.last().map(read))
    }

    fn route(&self) -> Option<&demijohn_core::request::RouteInfo> {
        self.site
            .get::<demijohn_core::request::RouteTable>()?
            .0
            .get(self.route? as usize)
    }
}

impl Leave {
    /// What the template asked for is the request's.
    fn leave(self, request: &Request) {
        Here::with(|here| {
            if let Some(nonce) = here.nonce.get() {
                request.adopt_csp_nonce(nonce.clone());
            }
            #[cfg(feature = "sessions")]
            here.visit.adopt(request);
        });
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        HERE.with_borrow_mut(Vec::pop);
    }
}

/// `request.path` and the like.
#[derive(Debug)]
struct RequestHere;

impl Object for RequestHere {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        Here::with(|here| {
            let query = || here.uri.query().unwrap_or_default();
            Some(match key {
                "path" => Value::from(here.uri.path()),
                "full_path" => Value::from(here.uri.path_and_query().map_or("/", |all| all.as_str())),
                "query_string" => Value::from(query()),
                "method" => Value::from(here.method.as_str()),
                "route" => Value::from(here.route().map_or("", |route| route.name.as_str())),
                "blueprint" => Value::from(here.route().map_or("", |route| route.blueprint.as_str())),
                "args" => {
                    let pairs = form_urlencoded::parse(query().as_bytes());
                    Value::from_pairs(pairs.map(|(k, v)| (k.into_owned(), v.into_owned())))
                }
                _ => return None,
            })
        })?
    }
}

/// `csp_nonce`: made when it is first written out.
#[derive(Debug)]
struct CspNonce;

impl Object for CspNonce {
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nonce = Here::with(|here| {
            if here.nonce.get().is_none() {
                let _ = here.nonce.set(new_nonce().map_err(|_| fmt::Error)?);
            }
            here.nonce.get().cloned().ok_or(fmt::Error)
        });
        f.write_str(&nonce.ok_or(fmt::Error)??)
    }
}

/// `{% for message in messages %}`: who iterates takes them.
#[cfg(feature = "sessions")]
#[derive(Debug)]
struct MessagesHere;

#[cfg(feature = "sessions")]
impl MessagesHere {
    fn visit() -> Option<Arc<crate::session::Visit>> {
        Here::with(|here| here.visit.get(&here.site)).flatten()
    }
}

#[cfg(feature = "sessions")]
impl Object for MessagesHere {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let taken = MessagesHere::visit().map(|visit| visit.messages.take(&visit));
        let values = taken.unwrap_or_default().into_iter();
        Enumerator::Values(values.map(|message| Value::from_object(MessageHere(message))).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(MessagesHere::visit().map_or(0, |visit| visit.messages.len(&visit)))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.enumerator_len() != Some(0)
    }
}

#[cfg(feature = "sessions")]
#[derive(Debug)]
struct MessageHere(crate::Message);

#[cfg(feature = "sessions")]
impl Object for MessageHere {
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        Some(match key {
            "message" | "text" => Value::from(self.0.text.as_str()),
            "level" => Value::from(self.0.level as u8),
            "level_tag" => Value::from(self.0.level_tag()),
            "extra_tags" => Value::from(self.0.extra_tags.as_str()),
            "tags" => Value::from(self.0.tags()),
            _ => return None,
        })
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

/// `{{ csrf_token() }}` for scripts; `{{ csrf_token }}`, as Django has it, is the same.
#[cfg(feature = "sessions")]
#[derive(Debug)]
struct CsrfHere;

#[cfg(feature = "sessions")]
impl Object for CsrfHere {
    fn call(
        self: &Arc<Self>,
        _: &mut minijinja::State<'_, '_>,
        _: &[Value],
    ) -> std::result::Result<Value, minijinja::Error> {
        csrf(|token| Value::from(token.as_str()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = csrf(|token| Value::from(token.as_str())).map_err(|_| fmt::Error)?;
        f.write_str(token.as_str().unwrap_or_default())
    }
}

/// `{{ csrf_input() }}` for forms.
#[cfg(feature = "sessions")]
fn csrf(show: impl FnOnce(&crate::CsrfToken) -> Value) -> std::result::Result<Value, minijinja::Error> {
    let visit = Here::with(|here| here.visit.get(&here.site)).flatten();
    let fail = |text: String| minijinja::Error::new(ErrorKind::InvalidOperation, text);
    let visit = visit.ok_or_else(|| {
        fail("a CSRF token is for a page of a site with sessions: turn the feature `sessions` on".to_owned())
    })?;
    let token = crate::CsrfToken::of_visit(&visit).map_err(|error| fail(error.to_string()))?;
    Ok(show(&token))
}

/// `url_for("blog.detail", slug=article.slug)`; `.detail` is a route of the blueprint at hand.
fn url_for(name: &str, params: Kwargs) -> std::result::Result<Value, minijinja::Error> {
    let fail = |text: String| minijinja::Error::new(ErrorKind::InvalidOperation, text);
    let mut values = Vec::new();
    for key in params.args() {
        let value: Value = params.get(key)?;
        if value.is_undefined() {
            return Err(fail(format!("url_for(\"{name}\"): `{key}` is undefined")));
        }
        if !value.is_none() {
            values.push((key, value.to_string()));
        }
    }
    let pairs: Vec<(&str, &str)> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let made = Here::with(|here| {
        let urls = here
            .site
            .get::<Urls>()
            .ok_or_else(|| "the site has no routes".to_owned())?;
        let full;
        let name = match name.strip_prefix('.') {
            Some(own) => {
                full = match here.route().map_or("", |route| route.blueprint.as_str()) {
                    "" => own.to_owned(),
                    blueprint => format!("{blueprint}.{own}"),
                };
                full.as_str()
            }
            None => name,
        };
        urls.url_for(name, &pairs).map_err(|error| match error.source() {
            Some(source) => source.to_string(),
            None => error.to_string(),
        })
    });
    match made {
        // Written by us, percent-encoded; `&` between parameters is for the template to escape.
        Some(Ok(url)) => Ok(Value::from(url)),
        Some(Err(text)) => Err(fail(text)),
        None => Err(fail(
            "url_for works in pages; outside of a request there is no site".to_owned(),
        )),
    }
}

/// `static_url("css/app.css")`.
#[cfg(feature = "static")]
fn static_url(name: &str) -> std::result::Result<String, minijinja::Error> {
    let fail = |text: String| minijinja::Error::new(ErrorKind::InvalidOperation, text);
    let url = Here::with(|here| Some(here.site.get::<crate::Static>()?.url(name))).flatten();
    match url {
        Some(url) => url.map_err(|error| fail(error.to_string())),
        None => Err(fail(
            "static_url works in pages; outside of a request there is no site".to_owned(),
        )),
    }
}

/// `media_url(photo.file)`: where browsers find an upload that is kept.
#[cfg(feature = "storage")]
fn media_url(name: &str) -> std::result::Result<String, minijinja::Error> {
    use demijohn_core::storage::Storages;
    let fail = |text: String| minijinja::Error::new(ErrorKind::InvalidOperation, text);
    let url = Here::with(|here| {
        let storages = here.site.get::<Storages>()?;
        Some(storages.get(Storages::DEFAULT).and_then(|storage| storage.url(name)))
    });
    match url.flatten() {
        Some(url) => url.map_err(|error| fail(error.to_string())),
        None => Err(fail(
            "media_url needs a place for uploads: `.media(..)` or MEDIA_ROOT".to_owned(),
        )),
    }
}
