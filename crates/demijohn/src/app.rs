//! The site.

use crate::batteries::Batteries;
use demijohn_core::settings::Sources;
use demijohn_core::{Assemble, Bag, Error, Part, Reply, Request, Result, Site, check::Finding};
#[cfg(feature = "tower")]
use demijohn_core::{Body, BoxError};
#[cfg(feature = "tower")]
use demijohn_web::http;
use demijohn_web::http::StatusCode;
use demijohn_web::test::TestClient;
use demijohn_web::{AfterFn, Application, BeforeFn, Blueprint, ErrorFn, HookAnswer, MiddlewareFn, Ready, Route};
use std::sync::Arc;

/// A site: routes and blueprints, hooks, settings, commands, and whatever the enabled features bring.
///
/// Built up by value, and then [`run`](App::run): it is its own management command.
///
/// ```
/// use demijohn::prelude::*;
///
/// async fn hello(Path(name): Path<String>, settings: State<Shop>) -> String {
///     format!("Hello, {name}! Prices are in {}.", settings.currency)
/// }
///
/// #[derive(serde::Deserialize)]
/// struct Shop {
///     currency: String,
/// }
///
/// fn app() -> App {
///     App::new()
///         .route("/hello/{name}", get(hello))
///         .settings::<Shop>("shop")
///         .setting("shop.currency", "EUR")
///         .command(Command::new("greet").about("Says hello"), async |call| {
///             use std::io::Write;
///             writeln!(call.out(), "hello")?;
///             Ok(())
///         })
/// }
/// # demijohn::test::block_on(async {
/// assert_eq!(app().test_client().get("/hello/Ann").await.text(), "Hello, Ann! Prices are in EUR.");
/// # });
/// ```
///
/// Settings, commands and checks come by [`Configure`](crate::Configure), which the prelude has.
#[must_use = "a site does nothing until it runs"]
pub struct App {
    pub(crate) web: Application,
}

impl Default for App {
    fn default() -> Self {
        App::new()
    }
}

impl App {
    /// A site without routes, with the batteries of the enabled features.
    pub fn new() -> Self {
        App {
            web: Application::new()
                .program(program_name(), format!("(demijohn {})", env!("CARGO_PKG_VERSION")))
                .with(Batteries),
        }
    }

    fn map(self, change: impl FnOnce(Application) -> Application) -> Self {
        App { web: change(self.web) }
    }

    /// The version that the command `version` prints: `.version(env!("CARGO_PKG_VERSION"))`.
    pub fn version(self, version: impl Into<String>) -> Self {
        self.map(|web| web.program(program_name(), version))
    }

    /// Answers a path: `"/post/{id}"`, `"/files/{*path}"`; see [`Application::route`].
    pub fn route(self, path: &str, route: Route) -> Self {
        self.map(|web| web.route(path, route))
    }

    /// Adds routes that were declared by attributes next to their handlers: `.routes(routes![index, detail])`.
    pub fn routes(self, routes: impl IntoIterator<Item = (&'static str, Route)>) -> Self {
        self.map(|web| web.routes(routes))
    }

    /// Mounts a blueprint under a path; see [`Application::mount`].
    pub fn mount(self, path: &str, blueprint: Blueprint) -> Self {
        self.map(|web| web.mount(path, blueprint))
    }

    /// Gives all requests a shared value, which handlers take as `State<T>`.
    pub fn state<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.map(|web| web.state(value))
    }

    /// Runs before the handlers, after the route was found; see [`Application::before`].
    pub fn before<R: HookAnswer + 'static>(self, hook: impl for<'a> BeforeFn<'a, R>) -> Self {
        self.map(|web| web.before(hook))
    }

    /// Runs on every response, the hook that was added last first; see [`Application::after`].
    pub fn after<R: Reply + 'static>(self, hook: impl for<'a> AfterFn<'a, R>) -> Self {
        self.map(|web| web.after(hook))
    }

    /// Runs around everything, before the route is found; see [`Application::middleware`].
    pub fn middleware<R: Reply + 'static>(self, middleware: impl for<'a> MiddlewareFn<'a, R>) -> Self {
        self.map(|web| web.middleware(middleware))
    }

    /// Puts a layer of tower around everything, among the middlewares in the order added.
    #[cfg(feature = "tower")]
    pub fn layer<L, B>(self, layer: L) -> Self
    where
        L: tower_layer::Layer<demijohn_web::Inside> + Send + Sync + 'static,
        L::Service: tower_service::Service<http::Request<Body>, Response = http::Response<B>> + Send + 'static,
        <L::Service as tower_service::Service<http::Request<Body>>>::Error: Into<BoxError>,
        <L::Service as tower_service::Service<http::Request<Body>>>::Future: Send,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.map(|web| web.layer(layer))
    }

    /// Mounts a foreign service under a path, a whole `axum::Router` for one. It sees the path behind that.
    #[cfg(feature = "tower")]
    pub fn mount_service<S, B>(self, path: &str, service: S) -> Self
    where
        S: tower_service::Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.map(|web| web.mount_service(path, service))
    }

    /// How much of forms and query strings is taken; see [`Application::upload_limits`].
    #[track_caller]
    pub fn upload_limits(self, limits: demijohn_web::UploadLimits) -> Self {
        App {
            web: self.web.upload_limits(limits),
        }
    }

    /// Runs when a request is done with, however it ended.
    pub fn teardown(self, hook: impl Fn(&mut Request) + Send + Sync + 'static) -> Self {
        self.map(|web| web.teardown(hook))
    }

    /// Answers errors that are, or are caused by, an `E`.
    pub fn on_error<E, R>(self, handler: impl for<'a> ErrorFn<'a, E, R>) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
        R: Reply + 'static,
    {
        self.map(|web| web.on_error(handler))
    }

    /// Answers errors of this status.
    pub fn error_page<R: Reply + 'static>(
        self,
        status: StatusCode,
        handler: impl for<'a> ErrorFn<'a, Error, R>,
    ) -> Self {
        self.map(|web| web.error_page(status, handler))
    }

    /// Answers all errors that have no page of their own.
    pub fn error_pages<R: Reply + 'static>(self, handler: impl for<'a> ErrorFn<'a, Error, R>) -> Self {
        self.map(|web| web.error_pages(handler))
    }

    /// Runs before a server takes its first connection, with what the site provides; an error keeps it from serving.
    pub fn on_start<F>(self, hook: impl Fn(Arc<Bag>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.map(|web| web.on_start(hook))
    }

    /// Runs when a server has finished its last request.
    pub fn on_stop<F>(self, hook: impl Fn(Arc<Bag>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.map(|web| web.on_stop(hook))
    }

    /// How much of a body is read before the answer is 413: the default of the setting `MAX_BODY_BYTES`.
    #[track_caller]
    pub fn max_body_bytes(self, max_bytes: usize) -> Self {
        App {
            web: self.web.max_body_bytes(max_bytes),
        }
    }

    /// The hosts that the site answers for: the default of the setting `ALLOWED_HOSTS`.
    #[track_caller]
    pub fn allowed_hosts<H: Into<String>>(self, hosts: impl IntoIterator<Item = H>) -> Self {
        App {
            web: self.web.allowed_hosts(hosts),
        }
    }

    /// The name of the site for links with a host: `example.org`. Without it they take the host of the request.
    pub fn server_name(self, name: impl Into<String>) -> Self {
        self.map(|web| web.server_name(name))
    }

    /// Believes so many proxies before the server what they say of the client. Nobody is believed unless set.
    pub fn trust_proxies(self, proxies: demijohn_web::TrustedProxies) -> Self {
        self.map(|web| web.trust_proxies(proxies))
    }

    /// The status that leads `/x` to `/x/` where only that exists: 308 unless set, `None` for no redirect at all.
    pub fn slash_redirect(self, status: impl Into<Option<StatusCode>>) -> Self {
        self.map(|web| web.slash_redirect(status))
    }

    /// Whether OPTIONS is answered with the methods of a path; it is unless set.
    pub fn automatic_options(self, on: bool) -> Self {
        self.map(|web| web.automatic_options(on))
    }

    /// Whether responses carry `X-Request-Id`; they do unless set.
    pub fn request_id_header(self, on: bool) -> Self {
        self.map(|web| web.request_id_header(on))
    }

    /// Anything else that the web floor has: `.web(|web| ..)`.
    pub fn web(self, change: impl FnOnce(Application) -> Application) -> Self {
        self.map(change)
    }

    /// The site under assembly, for whoever assembles it by hand.
    pub fn site_mut(&mut self) -> &mut Site {
        self.web.site_mut()
    }

    /// Builds the site with settings from these sources, and checks routes and what handlers need.
    ///
    /// # Errors
    /// Everything that is wrong, each finding with its mend.
    pub fn build(self, sources: Sources) -> Result<Ready, Vec<Finding>> {
        self.web.build(sources)
    }

    /// A client that sends requests through the dispatch of the server, without a socket; the settings are those of
    /// the code, nothing of the environment.
    ///
    /// # Panics
    /// When the site has errors; the message lists them.
    #[track_caller]
    pub fn test_client(self) -> TestClient {
        self.web.test_client()
    }

    /// The same in production mode, whatever the build: error pages say nothing.
    ///
    /// # Panics
    /// When the site has errors; the message lists them.
    #[track_caller]
    pub fn test_production_client(self) -> TestClient {
        self.web.test_production_client()
    }
}

impl Assemble for App {
    fn with(self, part: impl Part) -> Self {
        self.map(|web| web.with(part))
    }
}

/// What the program was called as, for its usage.
fn program_name() -> String {
    let first = std::env::args_os().next().unwrap_or_default();
    let stem = std::path::Path::new(&first).file_stem().unwrap_or_default();
    match stem.to_string_lossy() {
        name if name.is_empty() => "site".to_owned(),
        name => name.into_owned(),
    }
}
