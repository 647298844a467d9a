//! What a site under assembly has by way of routes and hooks: the one list that everything is read from.

use crate::hook::{After, Before, ErrorHandlers, Middleware, Teardown};
use crate::route::Route;
use crate::shield::Overrides;
use crate::shield::cors::Cors;
use demijohn_core::{Operation, Site};
use http::Method;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Routes and hooks of a site under assembly, in the site's bag.
///
/// The site and its blueprints write into it. Parts of other crates do the same through [`Routing`]; whoever documents
/// the site reads it in the last phase of building.
#[derive(Default)]
pub struct Routes {
    pub(crate) routes: Vec<Declared>,
    /// By the blueprint's full name; the site's own under the empty name.
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) teardowns: Vec<Teardown>,
    /// How often a blueprint of each full name was mounted.
    pub(crate) mounted: BTreeMap<String, usize>,
    /// From the full name of an instance to the names that its blueprints were made with.
    pub(crate) kinds: BTreeMap<String, String>,
}

/// A route with the place where it was declared.
pub(crate) struct Declared {
    pub(crate) blueprint: String,
    pub(crate) prefix: String,
    pub(crate) path: String,
    pub(crate) route: Route,
}

/// Hooks of one blueprint, or of the site.
#[derive(Default, Clone)]
pub(crate) struct Group {
    pub(crate) before: Vec<Before>,
    pub(crate) after: Vec<After>,
    pub(crate) middleware: Vec<Middleware>,
    pub(crate) errors: ErrorHandlers,
    pub(crate) shield: Overrides,
    pub(crate) cors: Option<Arc<Cors>>,
    #[cfg(feature = "sessions")]
    pub(crate) csrf_exempt: bool,
}

/// One endpoint of the list: a method, a path, and what is known of the handler.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The name for links; empty when it has none.
    pub name: String,
    /// The method; `None` for any.
    pub method: Option<Method>,
    /// The whole pattern.
    pub pattern: String,
    /// The handler's path in the program.
    pub handler: &'static str,
    /// What it takes and gives.
    pub operation: Operation,
}

impl Routes {
    /// All endpoints, in the order of declaration.
    pub fn list(&self) -> Vec<Listed> {
        let mut list = Vec::new();
        for declared in &self.routes {
            let name = declared.full_name();
            let pattern = declared.pattern();
            for (method, handler, operation) in declared.route.operations() {
                list.push(Listed {
                    name: name.clone(),
                    method,
                    pattern: pattern.clone(),
                    handler,
                    operation,
                });
            }
        }
        list
    }

    /// Where something has other headers than the site: a blueprint's name or a route's pattern.
    pub(crate) fn overrides(&self) -> impl Iterator<Item = (String, &Overrides)> {
        let groups = self.groups.iter().map(|(name, group)| (name.clone(), &group.shield));
        let routes = self
            .routes
            .iter()
            .map(|declared| (declared.pattern(), &declared.route.shield));
        groups.chain(routes).filter(|(_, overrides)| !overrides.is_empty())
    }

    /// Where forms of other sites are taken: a blueprint's name or a route's pattern.
    #[cfg(feature = "sessions")]
    pub(crate) fn csrf_exempt(&self) -> impl Iterator<Item = String> {
        let groups = self.groups.iter().filter(|(_, group)| group.csrf_exempt);
        let routes = self.routes.iter().filter(|declared| declared.route.csrf_exempt);
        groups
            .map(|(name, _)| name.clone())
            .chain(routes.map(Declared::pattern))
    }

    pub(crate) fn group(&mut self, blueprint: &str) -> &mut Group {
        self.groups.entry(blueprint.to_owned()).or_default()
    }
}

impl Declared {
    /// `prefix` and `path` joined with one slash. A blueprint's own `/` at `/blog` is `/blog/`.
    pub(crate) fn pattern(&self) -> String {
        format!("{}{}", self.prefix.trim_end_matches('/'), self.path)
    }

    /// The name with the blueprint's before it; the handler's function gives one where none was given.
    pub(crate) fn full_name(&self) -> String {
        self.name_in(&self.blueprint)
    }

    /// The same with the names that blueprints were made with.
    pub(crate) fn kind_name(&self, kinds: &BTreeMap<String, String>) -> String {
        self.name_in(kinds.get(&self.blueprint).unwrap_or(&self.blueprint))
    }

    fn name_in(&self, blueprint: &str) -> String {
        let own = match &self.route.name {
            Some(name) => name.as_str(),
            None => match self.route.arms.first() {
                Some(arm) => function_name(arm.endpoint.handler_name),
                None => "",
            },
        };
        match (blueprint, own) {
            (_, "") => String::new(),
            ("", own) => own.to_owned(),
            (blueprint, own) => format!("{blueprint}.{own}"),
        }
    }
}

/// `detail` of `shop::blog::detail`; nothing of a closure.
fn function_name(path: &'static str) -> &'static str {
    let path = path.split('<').next().unwrap_or_default();
    let name = path.rsplit("::").next().unwrap_or_default();
    if name.starts_with('{') { "" } else { name }
}

/// How a part of another crate adds routes and hooks, within the blueprint that it is installed in.
///
/// ```
/// use demijohn_web::{get, Application, Assemble, Part, Routing, Site};
///
/// struct Ping;
///
/// impl Part for Ping {
///     fn install(self: Box<Self>, site: &mut Site) {
///         site.route("/ping", get(async || "pong"));
///     }
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().with(Ping).test_client();
/// assert_eq!(client.get("/ping").await.text(), "pong");
/// # });
/// ```
///
/// A build step runs outside of any blueprint: keep a clone of `site.scope()` and go back by `site.within(scope, ..)`.
pub trait Routing {
    /// Adds a route.
    fn route(&mut self, path: &str, route: Route);

    /// Adds a before hook; see `Application::before`.
    fn before<R: crate::hook::HookAnswer + 'static>(&mut self, f: impl for<'a> crate::hook::BeforeFn<'a, R>);

    /// Adds an after hook; see `Application::after`.
    fn after<R: demijohn_core::Reply + 'static>(&mut self, f: impl for<'a> crate::hook::AfterFn<'a, R>);

    /// Adds a middleware; see `Application::middleware`.
    fn middleware<R: demijohn_core::Reply + 'static>(&mut self, f: impl for<'a> crate::hook::MiddlewareFn<'a, R>);
}

impl Routing for Site {
    fn route(&mut self, path: &str, route: Route) {
        let scope = self.scope().clone();
        self.entry::<Routes>().routes.push(Declared {
            blueprint: scope.blueprint,
            prefix: scope.prefix,
            path: path.to_owned(),
            route,
        });
    }

    fn before<R: crate::hook::HookAnswer + 'static>(&mut self, f: impl for<'a> crate::hook::BeforeFn<'a, R>) {
        scoped(self).before.push(crate::hook::before(f));
    }

    fn after<R: demijohn_core::Reply + 'static>(&mut self, f: impl for<'a> crate::hook::AfterFn<'a, R>) {
        scoped(self).after.push(crate::hook::after(f));
    }

    fn middleware<R: demijohn_core::Reply + 'static>(&mut self, f: impl for<'a> crate::hook::MiddlewareFn<'a, R>) {
        scoped(self).middleware.push(crate::hook::middleware(f));
    }
}

/// The hooks of the blueprint that is being installed.
pub(crate) fn scoped(site: &mut Site) -> &mut Group {
    let blueprint = site.scope().blueprint.clone();
    site.entry::<Routes>().group(&blueprint)
}
