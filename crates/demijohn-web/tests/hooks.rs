//! Hooks, middleware, errors: what stands around handlers.
#![allow(clippy::unwrap_used)]

use demijohn_covers::covers;
use demijohn_web::test::block_on;
use demijohn_web::{
    Application, Assemble, Blueprint, Error, ErrorMap, Next, Part, Path, Request, Respond, Response, Result, Site,
    current, get,
};
use http::StatusCode;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What happened, in order.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<&'static str>>>);

impl Trace {
    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap()).join(" ")
    }
}

fn trace(request: &Request) -> Trace {
    Trace::clone(request.provided::<Arc<Trace>>().unwrap())
}

#[test]
fn before_hooks_run_in_order_and_may_answer() {
    covers!("flask.hooks.before");
    block_on(async {
        let seen = Trace::default();
        let client = Application::new()
            .state(seen.clone())
            .before(async |request: &mut Request| trace(request).note("first"))
            .before(async |request: &mut Request| {
                trace(request).note("second");
                request
                    .query_value("stop")
                    .is_some()
                    .then_some((StatusCode::ACCEPTED, "stopped"))
            })
            .route(
                "/",
                get(async |demijohn_web::State(t): demijohn_web::State<Trace>| {
                    t.note("handler");
                    "answer"
                })
                .before(async |request: &mut Request| trace(request).note("own")),
            )
            .test_client();
        assert_eq!(client.get("/").await.text(), "answer");
        assert_eq!(seen.take(), "first second own handler");
        let stopped = client.get("/?stop").await;
        assert_eq!((stopped.status().as_u16(), stopped.text()), (202, "stopped"));
        assert_eq!(seen.take(), "first second");
    });
}

#[test]
fn after_hooks_see_every_response_the_last_added_first() {
    covers!("flask.hooks.after");
    block_on(async {
        let add = |text: &'static str| {
            move |_: &mut Request, response: Response| async move {
                let so_far = response
                    .headers()
                    .get("x-order")
                    .and_then(|v| v.to_str().ok())
                    .unwrap_or("");
                let value = format!("{so_far}{text}");
                response.with_header("x-order", &value)
            }
        };
        let client = Application::new()
            .after(add("1"))
            .after(add("2"))
            .route("/", get(async || "ok"))
            .route(
                "/fails",
                get(async || -> Result<&'static str> { Err(Error::internal("no")) }),
            )
            .route("/panics", get(async || -> &'static str { panic!("oh") }))
            .test_client();
        for (path, status) in [("/", 200), ("/fails", 500), ("/panics", 500), ("/none", 404)] {
            let response = client.get(path).await;
            assert_eq!(
                (response.status().as_u16(), response.header("x-order")),
                (status, Some("21")),
                "{path}"
            );
        }
        assert_eq!(client.post("/").await.header("x-order"), Some("21"));
    });
}

#[test]
fn teardown_always_runs() {
    covers!("flask.hooks.teardown");
    block_on(async {
        let seen = Trace::default();
        let (one, two) = (seen.clone(), seen.clone());
        let client = Application::new()
            .teardown(move |_| one.note("one"))
            .teardown(|_| panic!("a teardown that fails"))
            .teardown(move |_| two.note("two"))
            .route("/", get(async || "ok"))
            .route(
                "/fails",
                get(async || -> Result<&'static str> { Err(Error::internal("no")) }),
            )
            .route(
                "/hangs",
                get(async || {
                    std::future::pending::<()>().await;
                    "never"
                }),
            )
            .test_client();
        client.get("/").await;
        assert_eq!(seen.take(), "one two");
        client.get("/fails").await;
        assert_eq!(seen.take(), "one two");
        // The client goes away: its future is dropped.
        let gone = tokio::time::timeout(Duration::from_millis(5), client.get("/hangs").into_future()).await;
        assert!(gone.is_err());
        assert_eq!(seen.take(), "one two");
    });
}

#[test]
fn middleware_runs_down_and_up_again() {
    covers!("http.middleware.chain");
    block_on(async {
        async fn outer(request: &mut Request, next: Next<'_>) -> Response {
            trace(request).note("outer>");
            let response = next.run(request).await;
            trace(request).note("<outer");
            response
        }
        async fn inner(request: &mut Request, next: Next<'_>) -> Result<Response> {
            trace(request).note("inner>");
            if request.path() == "/early" {
                return Err(Error::forbidden("not here"));
            }
            let response = next.run(request).await;
            trace(request).note("<inner");
            Ok(response)
        }
        let seen = Trace::default();
        let client = Application::new()
            .state(seen.clone())
            .middleware(outer)
            .middleware(inner)
            .mount(
                "/b",
                Blueprint::new("b")
                    .middleware(async |request: &mut Request, next: Next<'_>| {
                        trace(request).note("group>");
                        next.run(request).await
                    })
                    .route(
                        "/",
                        get(async |demijohn_web::State(t): demijohn_web::State<Trace>| {
                            t.note("handler");
                            "b"
                        }),
                    ),
            )
            .route("/early", get(async || "never"))
            .test_client();
        assert_eq!(client.get("/b/").await.text(), "b");
        assert_eq!(seen.take(), "outer> inner> group> handler <inner <outer");
        assert_eq!(client.get("/early").await.status(), 403);
        assert_eq!(seen.take(), "outer> inner> <outer");
        assert_eq!(client.get("/none").await.status(), 404);
        assert_eq!(seen.take(), "outer> inner> <inner <outer");
    });
}

#[test]
fn hooks_of_a_blueprint_are_its_own() {
    covers!("flask.blueprint.hooks", "flask.blueprint.errors");
    block_on(async {
        let seen = Trace::default();
        let denied = || get(async || -> Result<&'static str> { Err(Error::forbidden("no")) });
        let group = Blueprint::new("group")
            .before(async |request: &mut Request| trace(request).note("group"))
            .error_page(StatusCode::FORBIDDEN, async |_: &Error, _: &mut Request| "group's 403")
            .route("/", get(async || "in"))
            .route("/denied", denied());
        let client = Application::new()
            .state(seen.clone())
            .before(async |request: &mut Request| trace(request).note("site"))
            .error_page(StatusCode::FORBIDDEN, async |_: &Error, _: &mut Request| "site's 403")
            .mount("/group", group)
            .route("/", get(async || "out"))
            .route("/denied", denied())
            .test_client();
        client.get("/group/").await;
        assert_eq!(seen.take(), "site group");
        client.get("/").await;
        assert_eq!(seen.take(), "site");
        let inside = client.get("/group/denied").await;
        assert_eq!((inside.status().as_u16(), inside.text()), (403, "group's 403"));
        assert_eq!(client.get("/denied").await.text(), "site's 403");
    });
}

#[derive(Debug)]
struct OutOfStock(u32);

impl fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "article {} is out of stock", self.0)
    }
}

impl std::error::Error for OutOfStock {}

#[derive(Debug)]
struct OrderFailed(OutOfStock);

impl fmt::Display for OrderFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the order failed")
    }
}

impl std::error::Error for OrderFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn errors_are_answered_by_type_then_by_status() {
    covers!(
        "flask.errors.handlers",
        "flask.response.abort",
        "http.error.404",
        "http.error.403"
    );
    block_on(async {
        fn deep() -> Result<u8> {
            Err(Error::not_found("no such thing"))
        }
        let app = || {
            Application::new()
                .on_error(async |error: &OutOfStock, _: &mut Request| {
                    (StatusCode::CONFLICT, format!("come back for {}", error.0))
                })
                .error_page(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    async |_: &Error, _: &mut Request| "generic",
                )
                .error_page(StatusCode::NOT_FOUND, async |error: &Error, request: &mut Request| {
                    format!("{} at {}", error.client_text(), request.path())
                })
                .route(
                    "/stock",
                    get(async || -> Result<&'static str> { Err(OutOfStock(7).into()) }),
                )
                .route(
                    "/order",
                    get(async || -> Result<&'static str> { Err(OrderFailed(OutOfStock(8)).into()) }),
                )
                .route(
                    "/other",
                    get(async || -> Result<&'static str> { Err(fmt::Error.into()) }),
                )
                .route("/abort", get(async || -> Result<String> { Ok(deep()?.to_string()) }))
                .route(
                    "/answer",
                    get(async || -> Result<String> {
                        let mut response = Response::new("as it is".into());
                        *response.status_mut() = StatusCode::IM_A_TEAPOT;
                        Err(Error::response(response))
                    }),
                )
        };
        let client = app().test_client();
        for (path, status, text) in [
            ("/stock", 409, "come back for 7"),
            ("/order", 409, "come back for 8"),
            ("/other", 500, "generic"),
            ("/abort", 404, "no such thing at /abort"),
            ("/none", 404, "Not Found at /none"),
            ("/answer", 418, "as it is"),
        ] {
            let response = client.get(path).await;
            assert_eq!((response.status().as_u16(), response.text()), (status, text), "{path}");
        }
        // The outer type is the more specific one.
        let client = app()
            .on_error(async |_: &OrderFailed, _: &mut Request| (StatusCode::BAD_GATEWAY, "order"))
            .test_client();
        assert_eq!(client.get("/order").await.text(), "order");
        assert_eq!(client.get("/stock").await.text(), "come back for 7");
    });
}

#[test]
fn a_host_that_is_not_ours_is_refused_and_noted() {
    covers!("http.error.400");
    block_on(async {
        let lines = log::capture();
        let client = Application::new()
            .route("/", get(async || "ok"))
            .test_production_client();
        let answer = client.get("http://evil.example/").without_header("host").await;
        assert_eq!(answer.status(), 400);
        assert!(!answer.text().contains("evil"), "{}", answer.text());
        let lines = lines.lock().unwrap().clone();
        let noted = lines
            .iter()
            .any(|line| line.contains("evil.example") && line.contains("ALLOWED_HOSTS"));
        assert!(noted, "{lines:#?}");
    });
}

#[test]
fn the_500_page_says_nothing() {
    covers!("flask.errors.500", "http.error.500");
    block_on(async {
        let lines = log::capture();
        let client = Application::new()
            .route(
                "/error",
                get(async || -> Result<&'static str> { Err(OrderFailed(OutOfStock(4711)).into()) }),
            )
            .route(
                "/panic",
                get(async || -> &'static str { panic!("secret of the panic") }),
            )
            .test_production_client();
        for path in ["/error", "/panic"] {
            for accept in ["text/html", "application/json", "*/*"] {
                let response = client.get(path).header("accept", accept).await;
                assert_eq!(response.status(), 500);
                let text = response.text();
                assert!(text.contains("Internal Server Error"), "{text}");
                for secret in ["4711", "order", "secret", "hooks.rs", "panic"] {
                    assert!(!text.contains(secret), "{text}");
                }
            }
        }
        let lines = lines.lock().unwrap().clone();
        // One line per request, with the chain of causes and the place.
        assert_eq!(lines.len(), 6, "{lines:#?}");
        assert!(
            lines[0].contains("the order failed: article 4711 is out of stock") && lines[0].contains("hooks.rs"),
            "{lines:#?}"
        );
        assert!(lines[3].contains("panic: secret of the panic"), "{lines:#?}");
    });
}

#[test]
fn programs_get_problems_and_people_pages() {
    block_on(async {
        let client = Application::new()
            .route("/{id}", get(async |Path(_): Path<u8>, demijohn_web::Query(_): demijohn_web::Query<std::collections::BTreeMap<String, u8>>| ""))
            .test_client();
        let response = client
            .get("/1?a=%3Cb%3E&c=d")
            .header("accept", "application/json")
            .await;
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        let problem: serde_json::Value = response.json();
        assert_eq!(problem["status"], 400);
        assert_eq!(
            problem["faults"][0],
            serde_json::json!({"place": "query", "name": "a", "message": "must be a whole number from 0 to 255"})
        );
        assert_eq!(problem["faults"][1]["name"], "c");
        let page = client.get("/1?%3Cb%3E=x").header("accept", "text/html,*/*").await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(
            page.text().contains("&lt;b&gt;") && !page.text().contains("<b>"),
            "{}",
            page.text()
        );
    });
}

#[test]
fn other_floors_name_the_status_of_their_errors() {
    struct Pool;
    impl Part for Pool {
        fn install(self: Box<Self>, site: &mut Site) {
            site.entry::<ErrorMap>()
                .status(|_: &OutOfStock| Some(StatusCode::SERVICE_UNAVAILABLE));
        }
    }
    block_on(async {
        let client = Application::new()
            .with(Pool)
            .route("/", get(async || -> Result<&'static str> { Err(OutOfStock(1).into()) }))
            .test_client();
        assert_eq!(client.get("/").await.status(), 503);
    });
}

#[test]
fn a_value_of_one_request_is_gone_in_the_next() {
    covers!("flask.request.per_request_g", "flask.request.values_locals");
    #[derive(Clone)]
    struct User(String);
    fn user() -> String {
        let name = current::with(|request| request.extensions().get::<User>().map(|user| user.0.clone()));
        name.flatten().unwrap_or_else(|| "nobody".into())
    }
    block_on(async {
        let client = Application::new()
            .before(async |request: &mut Request| {
                if let Some(name) = request.query_value("name").map(|name| User(name.into_owned())) {
                    request.extensions_mut().insert(name);
                }
            })
            .route(
                "/",
                get(async || {
                    let before = user();
                    tokio::task::yield_now().await;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    format!("{before} {}", user())
                }),
            )
            .test_client();
        let (ann, bob) = tokio::join!(
            client.get("/?name=ann").into_future(),
            client.get("/?name=bob").into_future()
        );
        assert_eq!((ann.text(), bob.text()), ("ann ann", "bob bob"));
        assert_eq!(client.get("/").await.text(), "nobody nobody");
        assert_eq!(user(), "nobody");
    });
}

#[test]
fn handlers_wait_side_by_side() {
    covers!("flask.async_views", "http.async.asgi");
    block_on(async {
        let client = Application::new()
            .before(async |_: &mut Request| tokio::task::yield_now().await)
            .route(
                "/",
                get(async || {
                    let pause = || tokio::time::sleep(Duration::from_millis(100));
                    tokio::join!(pause(), pause());
                    "done"
                }),
            )
            .test_client();
        let start = Instant::now();
        let all: Vec<_> = (0..50).map(|_| tokio::spawn(client.get("/").into_future())).collect();
        for answer in all {
            assert_eq!(answer.await.unwrap().text(), "done");
        }
        // One after the other would be ten seconds.
        assert!(start.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn factories_make_sites_that_share_nothing() {
    covers!("flask.app.factory", "flask.app.extension_init");
    struct Counter(&'static str);
    impl Part for Counter {
        fn install(self: Box<Self>, site: &mut Site) {
            site.bag_mut().insert(Arc::new(Mutex::new(format!("{}:", self.0))));
        }
    }
    const EXTENSION: fn(&'static str) -> Counter = Counter;
    let site = |name| {
        Application::new().with(EXTENSION(name)).route(
            "/",
            get(async |log: demijohn_web::State<Mutex<String>>| {
                let mut log = log.lock().unwrap();
                log.push('x');
                log.clone()
            }),
        )
    };
    block_on(async {
        let (one, two) = (site("one").test_client(), site("two").test_client());
        assert_eq!(one.get("/").await.text(), "one:x");
        assert_eq!(one.get("/").await.text(), "one:xx");
        assert_eq!(two.get("/").await.text(), "two:x");
    });
}

#[test]
fn only_named_hosts_are_answered() {
    covers!("flask.request.trusted_hosts");
    block_on(async {
        let client = Application::new()
            .allowed_hosts(["example.org", ".example.net"])
            .route("/", get(async || "ok"))
            .test_client();
        // The test client's own host stands beside the one given: take it out by asking for one alone.
        for (host, status) in [
            ("http://example.org/", 200),
            ("http://a.example.net/", 200),
            ("http://example.net/", 200),
            ("http://evil.example/", 400),
        ] {
            let response = client.get(host).without_header("host").await;
            assert_eq!(response.status().as_u16(), status, "{host}");
        }
        assert_eq!(
            client.get("/").header("host", "example.org").await.status(),
            400,
            "two hosts"
        );
    });
}

#[test]
fn every_error_of_http_can_be_raised_by_its_name() {
    covers!("flask.errors.http_exceptions", "http.response.error_classes");
    use http::header::RETRY_AFTER;
    let statuses = [
        400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 428,
        429, 431, 451, 500, 501, 502, 503, 504, 505,
    ];
    let named = [
        StatusCode::BAD_REQUEST,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::GONE,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::IM_A_TEAPOT,
        StatusCode::MISDIRECTED_REQUEST,
        StatusCode::LOCKED,
        StatusCode::FAILED_DEPENDENCY,
        StatusCode::PRECONDITION_REQUIRED,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
    ];
    assert!(named.iter().all(|status| statuses.contains(&status.as_u16())));
    block_on(async {
        async fn fail(Path(code): Path<u16>) -> Result<&'static str> {
            let status = StatusCode::from_u16(code)?;
            let error = Error::new(status, "in our own words");
            Err(match code {
                429 | 503 => error.with_header(RETRY_AFTER, http::HeaderValue::from_static("120")),
                _ => error,
            })
        }
        let client = Application::new().route("/{code}", get(fail)).test_production_client();
        for code in statuses {
            let response = client.get(&format!("/{code}")).await;
            assert_eq!(response.status().as_u16(), code);
            assert!(
                response.text().contains("in our own words"),
                "{code}: {}",
                response.text()
            );
            let retry = response.header("retry-after");
            assert_eq!(retry.is_some(), code == 429 || code == 503, "{code}");
        }
    });
}

#[test]
fn whole_sites_have_manners() {
    covers!("http.middleware.common");
    use demijohn_web::Common;
    block_on(async {
        let client = Application::new()
            .with(Common::new().prepend_www().disallow_user_agent("BadBot"))
            .allowed_hosts([".example.org"])
            .slash_redirect(StatusCode::MOVED_PERMANENTLY)
            .route("/x/", get(async || "ok"))
            .test_client();
        let ask = |target: &'static str| client.get(target).without_header("host");
        let good = ask("http://www.example.org/x/").await;
        assert_eq!((good.text(), good.header("content-length")), ("ok", Some("2")));
        let bare = ask("http://example.org/x/?q=1").await;
        assert_eq!(
            (bare.status().as_u16(), bare.header("location")),
            (301, Some("http://www.example.org/x/?q=1"))
        );
        assert_eq!(ask("http://www.example.org/x").await.header("location"), Some("/x/"));
        assert_eq!(
            ask("http://www.example.org/x/")
                .header("user-agent", "a badbot/1.0")
                .await
                .status(),
            403
        );
    });
}

mod log {
    //! The lines of the log, as text.

    use std::fmt::Write;
    use std::sync::{Arc, Mutex};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    pub(super) fn capture() -> Arc<Mutex<Vec<String>>> {
        let lines = Arc::default();
        tracing::subscriber::set_global_default(Capture(Arc::clone(&lines))).expect("one test, one process");
        lines
    }

    struct Capture(Arc<Mutex<Vec<String>>>);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            let _ = write!(self.0, "{}={value:?} ", field.name());
        }
    }

    impl Subscriber for Capture {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target().starts_with("demijohn")
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut line = Line(String::new());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }
}

fn deep_in_the_program() -> Result<&'static str> {
    Err(OrderFailed(OutOfStock(4711)).into())
}

#[test]
fn developers_see_what_failed_and_nobody_else_does() {
    covers!("flask.debug.page", "http.error.debug_page", "http.error.debug_404");
    block_on(async {
        let site = || Application::new().route("/fails/{id}", get(async |Path(_): Path<u8>| deep_in_the_program()));
        let client = site().test_client();
        // Not in one piece, as the page shows this very file.
        let secret = ["session=", "hidden"].concat();
        let token = ["tell", "no-one"].join("-");
        let target = format!("/fails/7?q=seen&token={token}");
        let request = || {
            client
                .get(&target)
                .header("cookie", &secret)
                .header("accept", "text/html")
        };
        let response = request().await;
        assert_eq!(response.status(), 500);
        let page = response.text();
        for part in [
            "OrderFailed",
            "the order failed: article 4711 is out of stock",
            "tests/hooks.rs",
            "deep_in_the_program",
            "Err(OrderFailed(OutOfStock(4711)).into())",
            "/fails/7",
            "seen",
            "/fails/{id}",
            "SECRET_KEY",
            "DEBUG",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains(&secret) && !page.contains(&token), "{page}");
        let missing = client.get("/none").header("accept", "text/html").await;
        assert!(
            missing.status() == 404 && missing.text().contains("/fails/{id}"),
            "{}",
            missing.text()
        );
        // Not from elsewhere, not under another name, not in production.
        let elsewhere = request().from_peer("8.8.8.8:1000".parse().unwrap()).await;
        let client = site().allowed_hosts(["example.org"]).test_client();
        let other_name = client
            .get("http://example.org/fails/7")
            .without_header("host")
            .header("accept", "text/html")
            .await;
        let production = site()
            .test_production_client()
            .get("/fails/7")
            .header("accept", "text/html")
            .await;
        for response in [elsewhere, other_name, production] {
            assert_eq!(response.status(), 500);
            assert!(
                !response.text().contains("4711") && !response.text().contains("hooks.rs"),
                "{}",
                response.text()
            );
        }
    });
}

#[test]
fn proxies_are_believed_as_far_as_they_are_trusted() {
    covers!("werkzeug.proxy_fix");
    use demijohn_web::{TrustedProxies, url_to};
    async fn show(_: http::Method) -> Result<String> {
        let seen = current::with(|request| {
            let peer = request.peer().map(|peer| peer.ip().to_string()).unwrap_or_default();
            format!("{} {} {peer}", request.scheme(), request.host().unwrap_or_default())
        });
        Ok(format!("{} {}", seen.unwrap_or_default(), url_to(show, ())?))
    }
    block_on(async {
        let site = |proxies| {
            Application::new()
                .trust_proxies(proxies)
                .allowed_hosts(["*"])
                .route("/show", get(show))
                .test_client()
        };
        let send = |client: &demijohn_web::test::TestClient| {
            client
                .get("/show")
                .from_peer("10.0.0.1:4000".parse().unwrap())
                .header("x-forwarded-for", "6.6.6.6, 1.2.3.4")
                .header("x-forwarded-proto", "http, https")
                .header("x-forwarded-host", "evil.example, shop.example")
                .header("x-forwarded-port", "1, 8443")
                .header("x-forwarded-prefix", "/evil, /app")
        };
        let one = site(TrustedProxies::hops(1).with_prefix());
        assert_eq!(send(&one).await.text(), "https shop.example:8443 1.2.3.4 /app/show");
        let none = site(TrustedProxies::default());
        assert_eq!(send(&none).await.text(), "http localhost 10.0.0.1 /show");
        let three = site(TrustedProxies::hops(3));
        assert_eq!(send(&three).await.text(), "http localhost 10.0.0.1 /show");
    });
}
