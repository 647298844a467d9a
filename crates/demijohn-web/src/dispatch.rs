//! The one way that every request takes: routing, hooks, handler, errors, log.

use crate::admit::{Head, admit};
#[cfg(feature = "sessions")]
use crate::csrf;
use crate::debug;
use crate::errors;
use crate::hook::{After, Before, ErrorHandlers, Middleware, Teardown};
use crate::proxy::Proxies;
use crate::route::Arm;
use crate::shield::cors::{self, Allowed};
use crate::shield::{Headers, Shield};
use crate::trie::Trie;
#[cfg(feature = "sessions")]
use demijohn_core::BoxFuture;
use demijohn_core::request::decode_path_segment;
use demijohn_core::{Bag, Body, Error, Request, Response, Result};
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{Method, StatusCode};
use pin_project_lite::pin_project;
use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

/// A built site, ready to answer. Nothing in it changes while it serves.
pub(crate) struct Engine {
    pub(crate) trie: Trie,
    pub(crate) ways: Vec<Way>,
    /// The hooks of requests that no route answers.
    pub(crate) astray: Way,
    /// Around everything, before routing.
    pub(crate) middleware: Vec<Middleware>,
    pub(crate) teardowns: Vec<Teardown>,
    pub(crate) options: Options,
    /// Who is believed what they say of clients; nobody, mostly.
    pub(crate) proxies: Option<Proxies>,
    pub(crate) shield: Shield,
    /// Forms of other sites are refused then.
    #[cfg(feature = "sessions")]
    pub(crate) has_sessions: bool,
}

/// What the site decides for all its requests.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) max_body_bytes: usize,
    pub(crate) slash_redirect: Option<StatusCode>,
    pub(crate) automatic_options: bool,
    pub(crate) request_id: bool,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) debug: bool,
}

/// A route with everything that stands around its handlers, outermost first.
#[derive(Default)]
pub(crate) struct Way {
    pub(crate) arms: Vec<Arm>,
    pub(crate) before: Vec<Before>,
    /// In the order they run.
    pub(crate) after: Vec<After>,
    pub(crate) middleware: Vec<Middleware>,
    /// The innermost blueprint's first, the site's last.
    pub(crate) errors: Vec<ErrorHandlers>,
    pub(crate) max_body_bytes: Option<usize>,
    pub(crate) automatic_options: bool,
    /// Its handlers answer with JSON and nothing else.
    pub(crate) json: bool,
    /// The headers of its answers, where they are not those of the site.
    pub(crate) headers: Option<Headers>,
    /// Whether they are compressed: never, or even where they are personal.
    #[cfg(feature = "compression")]
    pub(crate) compress: Option<bool>,
    /// Which other origins may read them.
    pub(crate) cors: Option<Allowed>,
    /// Takes forms of other sites.
    #[cfg(feature = "sessions")]
    pub(crate) csrf_exempt: bool,
}

/// Why no handler runs.
enum Astray {
    NotFound,
    MethodNotAllowed(HeaderValue),
    Options(HeaderValue),
    Slash(StatusCode, String),
    /// A redirect for the slash would turn the request into a GET: in debug mode the developer is told.
    LostBody(String),
}

enum Found {
    Route {
        route: u32,
        arm: usize,
        params: Vec<String>,
    },
    Astray(Astray),
}

/// The handler that will run, or the reason why none will.
#[derive(Clone, Copy)]
enum Target<'a> {
    Arm(&'a Arm),
    Astray(&'a Astray),
}

impl Engine {
    /// The engine of a built site.
    pub(crate) fn of(site: &Bag) -> &Engine {
        site.get::<Engine>().expect("`Application::build` puts it in")
    }

    /// True when the route of the request answers with JSON and nothing else.
    pub(crate) fn answers_json(request: &Request) -> bool {
        let engine = request.site().get::<Engine>();
        let way = engine.and_then(|engine| engine.ways.get(request.route_index()? as usize));
        way.is_some_and(|way| way.json)
    }

    /// Whether the site's code trusts proxies, whatever the settings say.
    pub(crate) fn trusts_by_code(&self) -> bool {
        self.proxies.as_ref().is_some_and(Proxies::trusts_by_code)
    }

    /// Answers a request: never fails, never panics, logs once.
    pub(crate) async fn answer(&self, request: Request, head: Head) -> Response {
        self.answer_unless(request, head, |_| false).await
    }

    /// The same; what runs for the request is ended with 503 when `is_overdue`, which is asked whenever something goes on.
    pub(crate) async fn answer_unless(
        &self,
        mut request: Request,
        head: Head,
        mut is_overdue: impl FnMut(&mut Context<'_>) -> bool,
    ) -> Response {
        let start = Instant::now();
        request.set_max_body_bytes(self.options.max_body_bytes);
        request.take_sane_id();
        let mut request = TornDown { request, engine: self };
        let request = &mut request.request;
        let entered = {
            let mut entered = pin!(caught(self.enter(request, head)));
            poll_fn(|cx| match entered.as_mut().poll(cx) {
                Poll::Pending if is_overdue(cx) => Poll::Ready(None),
                entered => entered.map(Some),
            })
            .await
        };
        let mut response = match entered {
            Some(Ok(response)) => response,
            None => {
                let error = Error::bare(StatusCode::SERVICE_UNAVAILABLE).with_source(Overdue);
                self.answer_error(request, &self.astray, error).await
            }
            Some(Err(panic)) => {
                // A hook or an error page panicked: nothing of the site's own is asked again.
                let error = panic_error(panic);
                note_failure(request, &error);
                errors::plain_page(&error, request)
            }
        };
        let way = request.route_index().and_then(|route| self.ways.get(route as usize));
        let way = way.unwrap_or(&self.astray);
        #[cfg(feature = "sessions")]
        if request.visit().get().is_some() {
            self.keep_session(request, way, &mut response).await;
        }
        self.shield
            .finish(way.headers.as_ref(), way.cors.as_ref(), request, &mut response);
        #[cfg(feature = "compression")]
        crate::shield::compress::apply(way.compress, request, &mut response);
        if request.method() == Method::HEAD {
            strip_body(&mut response);
        }
        if self.options.request_id {
            response
                .headers_mut()
                .insert(HeaderName::from_static("x-request-id"), request.id().to_header());
        }
        log(request, &response, start);
        response
    }

    /// What comes before routing.
    async fn enter(&self, request: &mut Request, head: Head) -> Response {
        if let Some(proxies) = &self.proxies
            && let Err(error) = proxies.apply(request)
        {
            return self.answer_error(request, &self.astray, error).await;
        }
        if let Err(error) = admit(request, head, &self.options.allowed_hosts) {
            return self.answer_error(request, &self.astray, error).await;
        }
        if let Some(response) = self.shield.to_https(request) {
            return response;
        }
        if self.shield.has_cors
            && let Some(response) = self.preflight(request)
        {
            return response;
        }
        if self.middleware.is_empty() {
            return self.inside(request).await;
        }
        let next = Next {
            engine: self,
            left: &self.middleware,
            end: End::Routing,
        };
        next.run(request).await
    }

    /// The answer to what a browser asks before it sends a request from a page of another origin. Only the routing of that request
    /// tells which rule holds.
    fn preflight(&self, request: &Request) -> Option<Response> {
        let method = cors::asked_method(request)?;
        let way = match self.find(&method, request.path(), None) {
            Found::Route { route, .. } => &self.ways[route as usize],
            Found::Astray(_) => return None,
        };
        Some(way.cors.as_ref()?.preflight(&method, request))
    }

    /// Routing and all that is inside of it.
    async fn inside(&self, request: &mut Request) -> Response {
        let astray;
        let (way, target) = match self.find(request.method(), request.path(), request.uri().query()) {
            Found::Route { route, arm, params } => {
                request.set_route(route, params);
                let way = &self.ways[route as usize];
                (way, Target::Arm(&way.arms[arm]))
            }
            Found::Astray(reason) => {
                astray = reason;
                (&self.astray, Target::Astray(&astray))
            }
        };
        if let Some(max_bytes) = way.max_body_bytes {
            request.set_max_body_bytes(max_bytes);
        }
        #[cfg(feature = "sessions")]
        let refused = match target {
            Target::Arm(_) if self.has_sessions && !way.csrf_exempt && csrf::concerns(request) => {
                self.refuse_foreign(request, way).await
            }
            _ => None,
        };
        #[cfg(not(feature = "sessions"))]
        let refused: Option<Response> = None;
        let mut response = match (refused, way.middleware.is_empty()) {
            (Some(refusal), _) => refusal,
            (None, true) => self.handle(request, way, target).await,
            (None, false) => {
                let next = Next {
                    engine: self,
                    left: &way.middleware,
                    end: End::Handler(way, target),
                };
                next.run(request).await
            }
        };
        for hook in &way.after {
            response = match caught(hook.run(request, response)).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => self.answer_error(request, way, error).await,
                Err(panic) => self.answer_error(request, way, panic_error(panic)).await,
            };
        }
        response
    }

    /// The answer to a form of another site.
    #[cfg(feature = "sessions")]
    fn refuse_foreign<'a>(&'a self, request: &'a mut Request, way: &'a Way) -> BoxFuture<'a, Option<Response>> {
        // Boxed, so that reads are not larger for it.
        Box::pin(async move {
            let explain = self.options.debug && debug::may_show(request);
            let error = match caught(csrf::guard(request, way.cors.as_ref(), explain)).await {
                Ok(Ok(())) => return None,
                // What its client has to know first.
                Ok(Err(_)) if says_too_much(request) => Error::bare(StatusCode::PAYLOAD_TOO_LARGE),
                Ok(Err(error)) => error,
                Err(panic) => panic_error(panic),
            };
            Some(self.answer_error(request, way, error).await)
        })
    }

    /// What was put into the session is written, or the answer is the error that keeps it from that.
    #[cfg(feature = "sessions")]
    fn keep_session<'a>(
        &'a self,
        request: &'a mut Request,
        way: &'a Way,
        response: &'a mut Response,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let error = match caught(crate::session::finish(request, response)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(panic) => panic_error(panic),
            };
            *response = self.answer_error(request, way, error).await;
        })
    }

    /// Before hooks, the handler, and the answer to what failed in them.
    async fn handle(&self, request: &mut Request, way: &Way, target: Target<'_>) -> Response {
        match caught(self.try_handle(request, way, target)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => self.answer_error(request, way, error).await,
            Err(panic) => self.answer_error(request, way, panic_error(panic)).await,
        }
    }

    async fn try_handle(&self, request: &mut Request, way: &Way, target: Target<'_>) -> Result<Response> {
        for hook in &way.before {
            if let Some(response) = hook.run(request).await? {
                return Ok(response);
            }
        }
        match target {
            Target::Arm(arm) => arm.endpoint.run.run(request).await,
            Target::Astray(astray) => astray.answer(request),
        }
    }

    /// The answer to an error: a handler for its type, a page for its status, or the plain page.
    async fn answer_error(&self, request: &mut Request, way: &Way, mut error: Error) -> Response {
        if let Some(response) = error.take_response() {
            return response;
        }
        errors::map_status(&mut error, request.site());
        note_failure(request, &error);
        let answered = match caught(errors::handled(&way.errors, &error, request)).await {
            Ok(answered) => answered,
            Err(panic) => Some(Err(panic_error(panic))),
        };
        match answered {
            None if self.options.debug && debug::may_show(request) => debug::page(&error, request),
            None => errors::plain_page(&error, request),
            Some(Ok(mut response)) => {
                // An error is never answered as a success: search engines and caches would keep it.
                if response.status() == StatusCode::OK {
                    *response.status_mut() = error.status();
                }
                for (name, value) in error.headers() {
                    response.headers_mut().append(name, value.clone());
                }
                response
            }
            Some(Err(mut second)) => match second.take_response() {
                Some(response) => response,
                None => {
                    note_failure(request, &second);
                    errors::plain_page(&second, request)
                }
            },
        }
    }

    /// The route for a request.
    fn find(&self, method: &Method, path: &str, query: Option<&str>) -> Found {
        let mut allowed = Vec::new();
        let mut automatic = false;
        let found = self.trie.find(path, &mut |route, raw| {
            let way = &self.ways[route as usize];
            let mut params = Vec::with_capacity(raw.len());
            for raw in raw {
                params.push(decode_path_segment(raw)?);
            }
            let fits = |arm: &Arm| params.is_empty() || (arm.endpoint.fits_path)(&params);
            let arm = arm_for(&way.arms, method, &fits);
            match arm {
                Some(arm) => Some((route, arm, params)),
                None => {
                    allow(&way.arms, &fits, &mut allowed);
                    automatic |= way.automatic_options;
                    None
                }
            }
        });
        if let Some((route, arm, params)) = found {
            return Found::Route { route, arm, params };
        }
        Found::Astray(self.astray(method, path, query, allowed, automatic))
    }

    #[cold]
    fn astray(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
        allowed: Vec<Method>,
        automatic: bool,
    ) -> Astray {
        if !allowed.is_empty() {
            let allow = allow_header(allowed, automatic);
            return match *method == Method::OPTIONS && automatic {
                true => Astray::Options(allow),
                false => Astray::MethodNotAllowed(allow),
            };
        }
        if let Some(status) = self.options.slash_redirect {
            // `//host` as a target would lead to another site.
            if path.starts_with('/') && !path.ends_with('/') && !path.contains("//") && !path.contains('\\') {
                let with_slash = format!("{path}/");
                if let Found::Route { .. } = self.find(method, &with_slash, None) {
                    let keeps_method =
                        matches!(status.as_u16(), 307 | 308) || *method == Method::GET || *method == Method::HEAD;
                    if !keeps_method && self.options.debug {
                        return Astray::LostBody(format!(
                            "{method} {path} would be led to {with_slash} by {}, which loses its body; send it to {with_slash}",
                            status.as_u16()
                        ));
                    }
                    let target = match query {
                        Some(query) => format!("{with_slash}?{query}"),
                        None => with_slash,
                    };
                    return Astray::Slash(status, target);
                }
            }
        }
        Astray::NotFound
    }
}

/// Whether the body would be refused too, by the length that the request says.
#[cfg(feature = "sessions")]
fn says_too_much(request: &Request) -> bool {
    let length = request
        .header("content-length")
        .and_then(|length| length.parse::<u64>().ok());
    length.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > request.max_body_bytes()))
}

/// The handler for `method`: one that names it, then for HEAD one for GET, then one for any.
fn arm_for(arms: &[Arm], method: &Method, fits: &dyn Fn(&Arm) -> bool) -> Option<usize> {
    let named = |wanted: &Method| {
        arms.iter()
            .position(|arm| arm.methods.iter().any(|m| m == wanted) && fits(arm))
    };
    named(method)
        .or_else(|| (*method == Method::HEAD).then(|| named(&Method::GET)).flatten())
        .or_else(|| {
            // Nothing here relays or echoes requests.
            let refused = *method == Method::TRACE || *method == Method::CONNECT;
            (!refused)
                .then(|| arms.iter().position(|arm| arm.methods.is_empty() && fits(arm)))
                .flatten()
        })
}

fn allow(arms: &[Arm], fits: &dyn Fn(&Arm) -> bool, allowed: &mut Vec<Method>) {
    for arm in arms.iter().filter(|arm| fits(arm)) {
        match arm.methods.is_empty() {
            true => allowed.extend([Method::DELETE, Method::GET, Method::PATCH, Method::POST, Method::PUT]),
            false => allowed.extend(arm.methods.iter().cloned()),
        }
    }
}

fn allow_header(mut allowed: Vec<Method>, automatic: bool) -> HeaderValue {
    if allowed.contains(&Method::GET) {
        allowed.push(Method::HEAD);
    }
    if automatic {
        allowed.push(Method::OPTIONS);
    }
    allowed.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    allowed.dedup();
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    HeaderValue::try_from(names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
}

impl Astray {
    fn answer(&self, request: &Request) -> Result<Response> {
        match self {
            Astray::NotFound => Err(Error::bare(StatusCode::NOT_FOUND)),
            Astray::LostBody(why) => Err(Error::internal(why.clone())),
            Astray::MethodNotAllowed(allow) => {
                Err(Error::bare(StatusCode::METHOD_NOT_ALLOWED).with_header(ALLOW, allow.clone()))
            }
            Astray::Options(allow) => {
                let mut response = Response::new(Body::empty());
                response.headers_mut().insert(ALLOW, allow.clone());
                Ok(response)
            }
            Astray::Slash(status, target) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = *status;
                let target = HeaderValue::try_from(format!("{}{target}", request.script_name()))?;
                response.headers_mut().insert(LOCATION, target);
                Ok(response)
            }
        }
    }
}

/// What a middleware calls to have the request answered by what is inside of it.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    engine: &'a Engine,
    left: &'a [Middleware],
    end: End<'a>,
}

#[derive(Clone, Copy)]
enum End<'a> {
    Routing,
    Handler(&'a Way, Target<'a>),
}

impl Next<'_> {
    /// The answer. Errors have become responses already, by the site's error handlers.
    pub async fn run(self, request: &mut Request) -> Response {
        let Next { engine, left, end } = self;
        let Some((first, left)) = left.split_first() else {
            // Boxed, because this is inside the future that it contains.
            return match end {
                End::Routing => Box::pin(engine.inside(request)).await,
                End::Handler(way, target) => engine.handle(request, way, target).await,
            };
        };
        let way = match end {
            End::Routing => &engine.astray,
            End::Handler(way, _) => way,
        };
        match caught(first.run(request, Next { engine, left, end })).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => engine.answer_error(request, way, error).await,
            Err(panic) => engine.answer_error(request, way, panic_error(panic)).await,
        }
    }
}

/// Runs the teardown hooks when the request is done with, also when the client went away in the middle of it.
struct TornDown<'a> {
    request: Request,
    engine: &'a Engine,
}

impl Drop for TornDown<'_> {
    fn drop(&mut self) {
        for hook in &self.engine.teardowns {
            // One that panics does not keep the others from running.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| hook(&mut self.request))) {
                tracing::error!("a teardown hook panicked: {}", panic_text(&*panic));
            }
        }
    }
}

pin_project! {
    /// A future whose panics end it alone.
    pub(crate) struct Caught<F> {
        #[pin]
        future: F,
    }
}

pub(crate) type Panic = Box<dyn Any + Send>;

pub(crate) fn caught<F: Future>(future: F) -> Caught<F> {
    Caught { future }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        // After a panic the future is never polled again; what it leaves half-done is the request's own.
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

fn panic_error(panic: Panic) -> Error {
    Error::internal(format!("panic: {}", panic_text(&*panic)))
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&'static str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "(not a text)",
    }
}

/// The answer to HEAD has the headers of GET and no body.
fn strip_body(response: &mut Response) {
    let body = std::mem::take(response.body_mut());
    if let Some(length) = body.len_hint() {
        let has_type = response.headers().contains_key(CONTENT_TYPE);
        if (length > 0 || has_type) && !response.headers().contains_key(CONTENT_LENGTH) {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
    }
}

/// Why a request was ended that took too long.
#[derive(Debug)]
struct Overdue;

impl std::fmt::Display for Overdue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the handler took longer than HANDLER_SECONDS and was ended")
    }
}

impl std::error::Error for Overdue {}

/// What failed, for the request's one line in the log.
#[derive(Clone)]
struct Failure(String);

fn note_failure(request: &mut Request, error: &Error) {
    if error.status().is_server_error() {
        let text = format!("{error} (at {})", error.location());
        request.extensions_mut().insert(Failure(text));
    }
}

/// One line per request.
fn log(request: &Request, response: &Response, start: Instant) {
    let status = response.status().as_u16();
    let failure = request.extensions().get::<Failure>().map(|f| f.0.as_str());
    if let Some(failure) = failure {
        tracing::error!(
            target: "demijohn::request",
            method = %request.method(), path = ?request.path(), status, id = %request.id(),
            us = elapsed_us(start), error = ?failure, "request failed"
        );
    } else {
        tracing::info!(
            target: "demijohn::request",
            method = %request.method(), path = ?request.path(), status, id = %request.id(),
            us = elapsed_us(start), "request"
        );
    }
}

fn elapsed_us(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}
