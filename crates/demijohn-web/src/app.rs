//! The site under assembly, and the site that serves.

use crate::blueprint::Blueprint;
use crate::commands;
use crate::dispatch::{Engine, Options, Way};
use crate::hook::{AfterFn, BeforeFn, ErrorFn, HookAnswer, MiddlewareFn};
use crate::json::is_json_type;
use crate::limits::UploadLimits;
use crate::proxy::{self, Proxies, TrustedProxies};
use crate::route::Route;
use crate::routes::{Declared, Group, Routes, Routing, scoped};
use crate::server;
use crate::shield::cors::Cors;
use crate::shield::settings::Protections;
use crate::shield::{self, Overrides, Shield};
use crate::test::TestClient;
use crate::trie::{Pattern, Trie};
use crate::urls::{Entry, Table, Urls};
use demijohn_core::check::{Finding, Level};
use demijohn_core::command::Program;
use demijohn_core::request::{RouteInfo, RouteTable};
use demijohn_core::settings::{ALLOWED_HOSTS, MAX_BODY_BYTES, Sources};
use demijohn_core::{Assemble, Bag, Error, Operation, Part, Reply, Settings, Site};
use http::StatusCode;
use std::sync::Arc;

/// A site under assembly.
///
/// The order of calls does not matter, but that hooks run and routes are listed in the order given. All is checked by
/// [`build`](Self::build), before the first request.
#[must_use = "a site does nothing until it is built and served"]
pub struct Application {
    site: Site,
    options: Options,
    proxies: TrustedProxies,
    server_name: Option<String>,
    name: String,
    version: String,
}

impl Default for Application {
    fn default() -> Self {
        Application::new()
    }
}

impl Application {
    /// A site without routes.
    pub fn new() -> Self {
        let mut site = Site::new();
        site.commands.add_from("demijohn", commands::serve());
        site.commands.add_from("demijohn", commands::routes());
        shield::settings::declare(site.settings_mut());
        UploadLimits::declare(site.settings_mut());
        UploadLimits::add_checks(&mut site.checks);
        shield::settings::add_checks(&mut site.checks);
        proxy::declare(site.settings_mut());
        proxy::add_checks(&mut site.checks);
        server::declare(site.settings_mut());
        server::add_checks(&mut site.checks);
        #[cfg(feature = "websocket")]
        {
            crate::websocket::declare(site.settings_mut());
            crate::websocket::add_checks(&mut site.checks);
        }
        site.entry::<crate::ErrorMap>().status(crate::limits::status_of_disk);
        #[cfg(feature = "storage")]
        crate::storage::install(&mut site);
        #[cfg(feature = "static")]
        crate::statics::install(&mut site);
        Application {
            site,
            options: Options {
                max_body_bytes: demijohn_core::request::DEFAULT_MAX_BODY_BYTES,
                slash_redirect: Some(StatusCode::PERMANENT_REDIRECT),
                automatic_options: true,
                request_id: true,
                allowed_hosts: Vec::new(),
                debug: false,
            },
            proxies: TrustedProxies::default(),
            server_name: None,
            name: "site".to_owned(),
            version: String::new(),
        }
    }

    /// Answers a path: `"/post/{id}"`, `"/files/{*path}"`. A parameter's type is the handler's: `Path<i64>`.
    ///
    /// Plain text wins over a parameter whatever the order; of two routes of one shape, the first declared whose parameters
    /// fit. A pattern that ends in `/` also redirects the path without it.
    pub fn route(mut self, path: &str, route: Route) -> Self {
        self.site.route(path, route);
        self
    }

    /// Adds routes that were declared by attributes next to their handlers: `.routes(routes![index, detail])`.
    pub fn routes(self, routes: impl IntoIterator<Item = (&'static str, Route)>) -> Self {
        routes
            .into_iter()
            .fold(self, |site, (path, route)| site.route(path, route))
    }

    /// Mounts a blueprint under a path, which may have parameters: its handlers can take them, before their own.
    pub fn mount(mut self, path: &str, blueprint: Blueprint) -> Self {
        blueprint.install_at(path, &mut self.site);
        self
    }

    /// Gives all requests a shared value; handlers take it as `State<T>`.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.site.bag_mut().insert(Arc::new(value));
        self
    }

    /// Runs before the handlers, after the route was found (`request.route()`). A hook that returns `Some(reply)` or an error
    /// answers in the handler's place.
    pub fn before<R: HookAnswer + 'static>(mut self, f: impl for<'a> BeforeFn<'a, R>) -> Self {
        self.site.before(f);
        self
    }

    /// Runs on every response, those of errors too, the hook that was added last first.
    pub fn after<R: Reply + 'static>(mut self, f: impl for<'a> AfterFn<'a, R>) -> Self {
        self.site.after(f);
        self
    }

    /// Runs around everything, before the route is found; the first added is the outermost.
    pub fn middleware<R: Reply + 'static>(mut self, f: impl for<'a> MiddlewareFn<'a, R>) -> Self {
        self.site.middleware(f);
        self
    }

    /// Puts a layer of tower around everything, among the middlewares in the order added.
    #[cfg(feature = "tower")]
    pub fn layer<L, B>(mut self, layer: L) -> Self
    where
        L: tower_layer::Layer<crate::tower::Inside> + Send + Sync + 'static,
        L::Service:
            tower_service::Service<http::Request<demijohn_core::Body>, Response = http::Response<B>> + Send + 'static,
        <L::Service as tower_service::Service<http::Request<demijohn_core::Body>>>::Error:
            Into<demijohn_core::BoxError>,
        <L::Service as tower_service::Service<http::Request<demijohn_core::Body>>>::Future: Send,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<demijohn_core::BoxError>,
    {
        scoped(&mut self.site).middleware.push(crate::tower::layer(layer));
        self
    }

    /// Mounts a foreign service under a path, a whole `axum::Router` for one. It sees the path behind that.
    ///
    /// ```
    /// # demijohn_web::test::block_on(async {
    /// let router = axum::Router::new().route("/hello", axum::routing::get(async || "from axum"));
    /// let client = demijohn_web::Application::new().mount_service("/old", router).test_client();
    /// assert_eq!(client.get("/old/hello").await.text(), "from axum");
    /// # });
    /// ```
    #[cfg(feature = "tower")]
    pub fn mount_service<S, B>(mut self, path: &str, service: S) -> Self
    where
        S: tower_service::Service<http::Request<demijohn_core::Body>, Response = http::Response<B>>
            + Clone
            + Send
            + 'static,
        S::Error: Into<demijohn_core::BoxError>,
        S::Future: Send,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<demijohn_core::BoxError>,
    {
        let path = path.trim_end_matches('/');
        let route = crate::tower::service_route(service, path);
        if !path.is_empty() {
            self.site.route(path, route.clone());
        }
        self.site.route(&format!("{path}/"), route.clone());
        self.site.route(&format!("{path}/{{*rest}}"), route);
        self
    }

    /// How much of forms and query strings is taken: the defaults of the settings that [`UploadLimits`] names.
    #[track_caller]
    pub fn upload_limits(mut self, limits: UploadLimits) -> Self {
        limits.set_defaults(self.site.settings_mut());
        self
    }

    /// Runs when a request is done with, however it ended: answered, failed, or its client gone.
    pub fn teardown(mut self, f: impl Fn(&mut demijohn_core::Request) + Send + Sync + 'static) -> Self {
        self.site.entry::<Routes>().teardowns.push(Arc::new(f));
        self
    }

    /// Answers errors that are, or are caused by, an `E`. It wins over pages by status.
    pub fn on_error<E, R>(mut self, f: impl for<'a> ErrorFn<'a, E, R>) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
        R: Reply + 'static,
    {
        scoped(&mut self.site).errors.add_type::<E, R, _>(f);
        self
    }

    /// Answers errors of this status. A reply that says 200 is sent under the error's own status.
    pub fn error_page<R: Reply + 'static>(mut self, status: StatusCode, f: impl for<'a> ErrorFn<'a, Error, R>) -> Self {
        scoped(&mut self.site).errors.add_status(Some(status), f);
        self
    }

    /// Answers all errors that have no page of their own.
    pub fn error_pages<R: Reply + 'static>(mut self, f: impl for<'a> ErrorFn<'a, Error, R>) -> Self {
        scoped(&mut self.site).errors.add_status(None, f);
        self
    }

    /// How much of a body is read before the answer is 413: the default of the setting `MAX_BODY_BYTES`. A route can have its own.
    #[track_caller]
    pub fn max_body_bytes(mut self, max_bytes: usize) -> Self {
        self.site.settings_mut().set_default(MAX_BODY_BYTES.name(), max_bytes);
        self
    }

    /// The status that leads `/x` to `/x/` where only that exists: 308 unless set, `None` for no redirect at all.
    pub fn slash_redirect(mut self, status: impl Into<Option<StatusCode>>) -> Self {
        self.options.slash_redirect = status.into();
        self
    }

    /// Whether OPTIONS is answered with the methods of a path; it is unless set.
    pub fn automatic_options(mut self, on: bool) -> Self {
        self.options.automatic_options = on;
        self
    }

    /// Whether responses carry `X-Request-Id`; they do unless set.
    pub fn request_id_header(mut self, on: bool) -> Self {
        self.options.request_id = on;
        self
    }

    /// The hosts that the site answers for: `example.org`, `.example.org` with its sub-domains, `*`. Others get 400. This is
    /// the default of the setting `ALLOWED_HOSTS`; while that is empty, the site answers for names of this machine alone.
    #[track_caller]
    pub fn allowed_hosts<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        let hosts: Vec<String> = hosts.into_iter().map(Into::into).collect();
        self.site.settings_mut().set_default(ALLOWED_HOSTS.name(), hosts);
        self
    }

    /// The program's name and version, for its usage and its command `version`.
    pub fn program(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.name = name.into();
        self.version = version.into();
        self
    }

    /// Believes so many proxies before the server what they say of the client; see [`TrustedProxies`]. Nobody is believed unless
    /// this or the setting `TRUSTED_PROXIES` says so.
    pub fn trust_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// The name of the site for links with a host: `example.org`. Without it they take the host of the request.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Runs before a server takes its first connection, with what the site provides; an error keeps it from serving.
    pub fn on_start<F>(mut self, f: impl Fn(Arc<Bag>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = demijohn_core::Result<()>> + Send + 'static,
    {
        self.site.on_start(f);
        self
    }

    /// Runs when a server has finished its last request.
    pub fn on_stop<F>(mut self, f: impl Fn(Arc<Bag>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = demijohn_core::Result<()>> + Send + 'static,
    {
        self.site.on_stop(f);
        self
    }

    /// What [`program`](Self::program) said.
    pub fn name_and_version(&self) -> (String, String) {
        (self.name.clone(), self.version.clone())
    }

    /// The site, for whoever assembles it by hand.
    pub fn site_mut(&mut self) -> &mut Site {
        &mut self.site
    }

    /// Builds the site: reads the settings, runs the build steps of its parts, and checks routes and what handlers need.
    ///
    /// # Errors
    /// Everything that is wrong, each finding with its mend.
    pub fn build(mut self, sources: Sources) -> Result<Ready, Vec<Finding>> {
        self.site.settings_mut().load(sources);
        let built = self.site.build();
        // Steps of parts declare settings too, so the settings are looked at when these have run.
        let mut findings = self.site.settings().findings();
        if let Err(more) = built {
            findings.extend(more);
            return Err(findings);
        }
        let mut site = self.site;
        let settings = site.settings().clone();
        let options = Options {
            debug: settings.debug(),
            max_body_bytes: settings.max_body_bytes(),
            allowed_hosts: settings.answered_hosts(),
            ..self.options
        };
        if options.debug {
            demijohn_core::error::capture_backtraces();
        }
        let routes = std::mem::take(site.entry::<Routes>());
        let commands = std::mem::take(&mut site.commands);
        let checks = std::mem::take(&mut site.checks);
        let mut bag = site.into_bag();
        bag.insert(Arc::new(settings.clone()));
        #[cfg(feature = "websocket")]
        bag.insert(crate::websocket::Rules::read(&settings, &mut findings));
        match UploadLimits::read(&settings) {
            Ok(limits) => drop(bag.insert(limits)),
            Err(finding) => findings.push(finding),
        }
        let mut shield = Shield::new(Protections::read(&settings, &mut findings), &mut findings);
        let proxies = Proxies::read(self.proxies, &settings, &mut findings);
        let mut plan = Plan::new(&routes, &options, &shield, &mut findings);
        shield.has_cors = plan.astray.cors.is_some() || plan.ways.iter().any(|way| way.cors.is_some());
        plan.table.server_name = self.server_name;
        bag.insert(settings.clone());
        bag.insert(Urls(Arc::new(plan.table)));
        bag.insert(RouteTable(plan.infos));
        for declared in &routes.routes {
            for arm in &declared.route.arms {
                for need in arm.endpoint.missing(&bag) {
                    let handler = arm.endpoint.handler_name;
                    let message = format!(
                        "the handler `{handler}` needs `{}`, which nothing provides",
                        need.type_name
                    );
                    findings.push(
                        Finding::error("web.E001", message)
                            .on(declared.pattern())
                            .hint(need.mend),
                    );
                }
            }
        }
        if findings.iter().any(|finding| finding.level >= Level::Error) {
            return Err(findings);
        }
        #[cfg(feature = "sessions")]
        let has_sessions = bag.get::<Arc<crate::session::Support>>().is_some();
        let site_middleware = routes.groups.get("").map(|site| site.middleware.clone());
        bag.insert(Engine {
            trie: plan.trie,
            ways: plan.ways,
            astray: plan.astray,
            middleware: site_middleware.unwrap_or_default(),
            teardowns: routes.teardowns.clone(),
            options,
            proxies,
            shield,
            #[cfg(feature = "sessions")]
            has_sessions,
        });
        bag.insert(routes);
        let site = Arc::new(bag);
        let program = Program {
            name: self.name,
            version: self.version,
            commands,
            checks,
            site: Arc::clone(&site),
            settings,
            findings,
        };
        Ok(Ready {
            site,
            program: Arc::new(program),
        })
    }

    /// Builds the site with the settings that its code gives, and nothing of files and environment, and gives a client that sends requests to it.
    ///
    /// # Panics
    /// When the site has errors; the message lists them.
    #[track_caller]
    pub fn test_client(self) -> TestClient {
        self.client_with(Sources::none())
    }

    /// The same in production mode, whatever the build: error pages say nothing.
    ///
    /// # Panics
    /// When the site has errors; the message lists them.
    #[track_caller]
    pub fn test_production_client(self) -> TestClient {
        self.client_with(Sources::none().set("DEBUG", false))
    }

    #[track_caller]
    fn client_with(self, sources: Sources) -> TestClient {
        match self.build(sources) {
            Ok(ready) => ready.test_client(),
            Err(findings) => {
                let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
                panic!("the site has errors:\n{}", list.join("\n"))
            }
        }
    }
}

impl Assemble for Application {
    fn with(mut self, part: impl Part) -> Self {
        Box::new(part).install(&mut self.site);
        self
    }
}

/// A built site: it serves, it runs commands, it has a test client.
pub struct Ready {
    site: Arc<Bag>,
    program: Arc<Program>,
}

impl Ready {
    /// What the site provides.
    pub fn site(&self) -> &Arc<Bag> {
        &self.site
    }

    /// The settings that it was built with.
    pub fn settings(&self) -> &Settings {
        &self.program.settings
    }

    /// Its commands and checks: `call_command(ready.program(), ["seed"])`.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Its links.
    pub fn urls(&self) -> Urls {
        self.test_client().urls()
    }

    /// A client that sends requests through the dispatch of the server, without a socket.
    pub fn test_client(&self) -> TestClient {
        TestClient::of(Arc::clone(&self.site))
    }
}

/// Everything that is worked out from the declared routes.
struct Plan {
    trie: Trie,
    ways: Vec<Way>,
    astray: Way,
    infos: Vec<RouteInfo>,
    table: Table,
}

impl Plan {
    fn new(routes: &Routes, options: &Options, shield: &Shield, findings: &mut Vec<Finding>) -> Plan {
        let mut plan = Plan {
            trie: Trie::default(),
            ways: Vec::new(),
            astray: way(routes, "", None, options, shield, findings),
            infos: Vec::new(),
            table: Table::default(),
        };
        for declared in &routes.routes {
            let text = declared.pattern();
            let pattern = match Pattern::parse(&text) {
                Ok(pattern) => pattern,
                Err(why) => {
                    findings.push(
                        Finding::error("web.E002", why)
                            .on(&text)
                            .hint("write patterns as `/post/{id}/`"),
                    );
                    continue;
                }
            };
            let params: Vec<String> = pattern.params().map(str::to_owned).collect();
            let own = Pattern::parse(&declared.path).map_or(0, |own| own.params().count());
            for arm in &declared.route.arms {
                if let Some(args) = arm.endpoint.path_args.filter(|&args| args > params.len() || args < own) {
                    findings.push(
                        Finding::error(
                            "web.E003",
                            format!(
                                "the handler `{}` takes {args} parameters of the path, the pattern has {}",
                                arm.endpoint.handler_name,
                                params.len()
                            ),
                        )
                        .on(&text)
                        .hint("give the handler one `Path<..>` with a type for each `{parameter}` of the pattern"),
                    );
                }
            }
            plan.note_duplicates(declared, &text, findings);
            let index = u32::try_from(plan.ways.len()).expect("a site has fewer than four billion routes");
            plan.trie.insert(&pattern, index);
            let route = Some((text.as_str(), &declared.route));
            plan.ways
                .push(way(routes, &declared.blueprint, route, options, shield, findings));
            plan.infos.push(RouteInfo {
                name: declared.full_name(),
                blueprint: declared.blueprint.clone(),
                pattern: text.clone(),
                params,
            });
            plan.table.entries.push(Entry {
                name: declared.full_name(),
                kind_name: declared.kind_name(&routes.kinds),
                blueprint: declared.blueprint.clone(),
                pattern,
                text,
                handlers: declared.route.arms.iter().map(|arm| arm.endpoint.handler).collect(),
            });
        }
        for (blueprint, _) in routes.mounted.iter().filter(|(_, times)| **times > 1) {
            findings.push(
                Finding::error(
                    "web.E004",
                    format!("two blueprints are mounted under the name `{blueprint}`"),
                )
                .on(blueprint)
                .hint("give each instance a name of its own: `.mount(path, blueprint.named(\"..\"))`"),
            );
        }
        plan
    }

    /// A name that was given twice for different patterns makes links ambiguous. Names taken from functions may repeat.
    fn note_duplicates(&self, declared: &Declared, text: &str, findings: &mut Vec<Finding>) {
        let name = declared.full_name();
        let same = self.table.entries.iter().find(|entry| {
            entry.name == name && entry.text != text && {
                let mut theirs: Vec<&str> = entry.pattern.params().collect();
                let mut ours: Vec<&str> = text.split('{').skip(1).filter_map(|p| p.split('}').next()).collect();
                theirs.sort_unstable();
                ours.sort_unstable();
                theirs == ours
            }
        });
        if let Some(other) = same.filter(|_| declared.route.name.is_some() && !name.is_empty()) {
            findings.push(
                Finding::error("web.E005", format!("the name `{name}` is taken by `{}`", other.text))
                    .on(text)
                    .hint("links by this name would be ambiguous: give one of them another name"),
            );
        }
    }
}

/// The hooks around a route of a blueprint: the site's, those of each blueprint on the way in, the route's own.
fn way(
    routes: &Routes,
    blueprint: &str,
    route: Option<(&str, &Route)>,
    options: &Options,
    shield: &Shield,
    findings: &mut Vec<Finding>,
) -> Way {
    let mut names = vec![""];
    let dots = blueprint.match_indices('.').map(|(at, _)| &blueprint[..at]);
    names.extend(dots.chain([blueprint]).filter(|name| !name.is_empty()));
    let groups: Vec<&Group> = names.iter().filter_map(|name| routes.groups.get(*name)).collect();
    let mut way = Way {
        automatic_options: options.automatic_options,
        ..Way::default()
    };
    for group in &groups {
        way.before.extend(group.before.iter().cloned());
    }
    for (name, group) in names.iter().filter_map(|name| Some((name, routes.groups.get(*name)?))) {
        // The site's own run before routing.
        if !name.is_empty() {
            way.middleware.extend(group.middleware.iter().cloned());
        }
    }
    let mut overrides = Overrides::default();
    let mut cors: Option<Arc<Cors>> = shield.cors();
    let mut cors_is_setting = true;
    for group in &groups {
        overrides.lay_over(&group.shield);
        if let Some(own) = &group.cors {
            cors = Some(Arc::clone(own));
            cors_is_setting = false;
        }
    }
    let mut place = blueprint;
    if let Some((pattern, route)) = route {
        place = pattern;
        overrides.lay_over(&route.shield);
        way.arms = route.arms.clone();
        way.before.extend(route.before.iter().cloned());
        way.after.extend(route.after.iter().rev().cloned());
        way.middleware.extend(route.middleware.iter().cloned());
        way.max_body_bytes = route.max_body_bytes;
        way.json = answers_json(route);
        #[cfg(feature = "compression")]
        {
            way.compress = route.compress;
        }
        way.automatic_options = route.auto_options.unwrap_or(options.automatic_options);
    }
    for group in groups.iter().rev() {
        way.after.extend(group.after.iter().rev().cloned());
        way.errors.push(group.errors.clone());
    }
    if !overrides.is_empty() {
        way.headers = Some(shield.headers_with(&overrides, place, findings));
    }
    #[cfg(feature = "sessions")]
    {
        way.csrf_exempt =
            groups.iter().any(|group| group.csrf_exempt) || route.is_some_and(|(_, route)| route.csrf_exempt);
    }
    way.cors = cors.and_then(|cors| match cors.compile() {
        Ok(allowed) => Some(allowed),
        Err(why) => {
            let finding = Finding::error("security.E032", format!("pages of other origins: {why}"));
            let finding = match cors_is_setting {
                true => finding.on("CORS_ALLOWED_ORIGINS").hint("mend the setting"),
                false => finding.on(place).hint("mend what `Cors` says there"),
            };
            // A setting is the same for all routes.
            if !findings.contains(&finding) {
                findings.push(finding);
            }
            None
        }
    });
    way
}

fn answers_json(route: &Route) -> bool {
    let operations = route.operations();
    let json = |operation: &Operation| {
        let mut produced = operation.produces.iter();
        operation.templates.is_empty() && !operation.produces.is_empty() && produced.all(|kind| is_json_type(kind))
    };
    operations.iter().all(|(_, _, operation)| json(operation))
}
