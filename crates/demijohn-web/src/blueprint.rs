//! Blueprints: reusable groups of routes, hooks and parts, mounted under a path.

use crate::hook::{AfterFn, BeforeFn, ErrorFn, HookAnswer, MiddlewareFn};
use crate::route::Route;
use crate::routes::{Routes, Routing, scoped};
use crate::shield::FrameOptions;
use crate::shield::csp::Csp;
use demijohn_core::site::Scope;
use demijohn_core::{Assemble, Error, Part, Reply, Site};
use http::StatusCode;

/// A reusable part of a site: Flask's blueprint, Django's app.
///
/// It has routes, hooks and error handlers of its own, takes parts (models, admin pages) and other blueprints, and does
/// nothing until the site or another blueprint mounts it. Names of its routes begin with its own: `blog.detail`.
///
/// ```
/// use demijohn_web::{get, Application, Blueprint, Path};
///
/// async fn index() -> &'static str { "all posts" }
/// async fn detail(Path(slug): Path<String>) -> String { slug }
///
/// fn blog() -> Blueprint {
///     Blueprint::new("blog").route("/", get(index)).route("/{slug}/", get(detail).name("detail"))
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().mount("/blog", blog()).test_client();
/// assert_eq!(client.get("/blog/hello/").await.text(), "hello");
/// assert_eq!(client.url_for("blog.detail", &[("slug", "hello")]).unwrap(), "/blog/hello/");
/// # });
/// ```
///
/// Mounted twice, each instance needs a name of its own: `.mount("/news", blog().named("news"))`.
#[must_use = "a blueprint does nothing until it is mounted"]
pub struct Blueprint {
    name: String,
    /// The name that it was made with.
    kind: String,
    steps: Vec<Step>,
}

/// One thing that is done to the site when the blueprint is mounted.
type Step = Box<dyn FnOnce(&mut Site) + Send>;

impl Blueprint {
    /// An empty blueprint. The name begins the names of its routes, so it has no dot or colon.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Blueprint {
            kind: name.clone(),
            name,
            steps: Vec::new(),
        }
    }

    /// Another name, for a second instance of the same blueprint.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    fn step(mut self, step: impl FnOnce(&mut Site) + Send + 'static) -> Self {
        self.steps.push(Box::new(step));
        self
    }

    /// Adds a route; `path` goes behind the path that the blueprint is mounted at.
    pub fn route(self, path: &str, route: Route) -> Self {
        let path = path.to_owned();
        self.step(move |site| site.route(&path, route))
    }

    /// Adds routes that were declared by attributes next to their handlers: `.routes(routes![index, detail])`.
    pub fn routes(self, routes: impl IntoIterator<Item = (&'static str, Route)>) -> Self {
        routes
            .into_iter()
            .fold(self, |site, (path, route)| site.route(path, route))
    }

    /// Mounts another blueprint inside this one: `parent.child.route`.
    pub fn mount(self, path: &str, blueprint: Blueprint) -> Self {
        let path = path.to_owned();
        self.step(move |site| blueprint.install_at(&path, site))
    }

    /// Runs before the handlers of this blueprint; see `Application::before`.
    pub fn before<R: HookAnswer + 'static>(self, f: impl for<'a> BeforeFn<'a, R>) -> Self {
        self.step(move |site| site.before(f))
    }

    /// Runs after the handlers of this blueprint; see `Application::after`.
    pub fn after<R: Reply + 'static>(self, f: impl for<'a> AfterFn<'a, R>) -> Self {
        self.step(move |site| site.after(f))
    }

    /// Runs around the handlers of this blueprint; see `Application::middleware`.
    pub fn middleware<R: Reply + 'static>(self, f: impl for<'a> MiddlewareFn<'a, R>) -> Self {
        self.step(move |site| site.middleware(f))
    }

    /// Answers errors of type `E` that come from this blueprint; see `Application::on_error`.
    pub fn on_error<E, R>(self, f: impl for<'a> ErrorFn<'a, E, R>) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
        R: Reply + 'static,
    {
        self.step(move |site| scoped(site).errors.add_type::<E, R, _>(f))
    }

    /// Answers errors of this status that come from this blueprint; see `Application::error_page`.
    pub fn error_page<R: Reply + 'static>(self, status: StatusCode, f: impl for<'a> ErrorFn<'a, Error, R>) -> Self {
        self.step(move |site| scoped(site).errors.add_status(Some(status), f))
    }

    /// Answers all errors that come from this blueprint and have no page of their own.
    pub fn error_pages<R: Reply + 'static>(self, f: impl for<'a> ErrorFn<'a, Error, R>) -> Self {
        self.step(move |site| scoped(site).errors.add_status(None, f))
    }

    /// The content security policy of this blueprint's answers; see [`Route::csp`].
    pub fn csp(self, policy: Csp) -> Self {
        self.step(move |site| scoped(site).shield.csp = Some(policy))
    }

    /// A policy that only reports; see [`Route::csp_report_only`].
    pub fn csp_report_only(self, policy: Csp) -> Self {
        self.step(move |site| scoped(site).shield.csp_report_only = Some(policy))
    }

    /// Who may put this blueprint's pages into a frame; see [`Route::frame_options`].
    pub fn frame_options(self, frames: FrameOptions) -> Self {
        self.step(move |site| scoped(site).shield.frame_options = Some(frames))
    }

    /// Takes forms of other sites; see [`Route::csrf_exempt`].
    #[cfg(feature = "sessions")]
    pub fn csrf_exempt(self) -> Self {
        self.step(move |site| scoped(site).csrf_exempt = true)
    }

    /// Runs the steps in the scope of this blueprint.
    pub(crate) fn install_at(self, path: &str, site: &mut Site) {
        let outer = site.scope().clone();
        let blueprint = match outer.blueprint.as_str() {
            "" => self.name,
            parent => format!("{parent}.{}", self.name),
        };
        let routes = site.entry::<Routes>();
        let kind = match outer.blueprint.as_str() {
            "" => self.kind,
            parent => format!("{}.{}", routes.kinds.get(parent).map_or(parent, |kind| kind), self.kind),
        };
        routes.kinds.insert(blueprint.clone(), kind);
        *routes.mounted.entry(blueprint.clone()).or_default() += 1;
        let prefix = format!("{}{}", outer.prefix, path.trim_end_matches('/'));
        site.within(Scope { blueprint, prefix }, |site| {
            for step in self.steps {
                step(site);
            }
        });
    }
}

impl Assemble for Blueprint {
    fn with(self, part: impl Part) -> Self {
        self.step(move |site| Box::new(part).install(site))
    }
}
