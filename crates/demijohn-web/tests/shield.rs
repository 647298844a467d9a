//! What every answer is protected with, whatever the site does itself.

use demijohn_core::check::Selection;
use demijohn_core::settings::Sources;
use demijohn_covers::covers;
use demijohn_web::http::{Method, StatusCode};
use demijohn_web::test::{TestClient, block_on};
use demijohn_web::{
    Application, Assemble, Blueprint, Cookie, Cors, Csp, Error, FrameOptions, Json, Pairs, Path, Query, Redirect,
    Request, Response, Result, TrustedProxies, get, is_safe_redirect, post,
};

/// A site behind a proxy that says by which scheme the client came.
fn site() -> Application {
    Application::new()
        .trust_proxies(TrustedProxies {
            scheme: 1,
            ..TrustedProxies::default()
        })
        .route("/", get(async || "hello"))
        .route("/slash/", get(async || "hello"))
        .route("/form", post(async || "done"))
        .route(
            "/fails",
            get(async || -> Result<&'static str> { Err(Error::internal("no")) }),
        )
        .route("/panics", get(panics))
        .route("/unchanged", get(async || StatusCode::NOT_MODIFIED))
}

async fn panics() -> &'static str {
    panic!("on purpose")
}

fn client(site: Application, settings: &[(&str, &str)]) -> TestClient {
    let sources = Sources::none().set("DEBUG", false);
    let sources = settings
        .iter()
        .fold(sources, |sources, (name, value)| sources.var(*name, *value));
    site.build(sources)
        .unwrap_or_else(|findings| panic!("{findings:#?}"))
        .test_client()
}

/// The ids and names of what `check --deploy` finds.
fn deploy(mut site: Application, settings: &[(&str, &str)]) -> Vec<String> {
    let sources = settings
        .iter()
        .fold(Sources::none(), |sources, (name, value)| sources.var(*name, *value));
    demijohn_core::settings::add_checks(&mut site.site_mut().checks);
    let ready = site.build(sources).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let selection = Selection {
        deploy: true,
        tags: vec!["security".to_owned()],
        ..Selection::default()
    };
    let program = ready.program();
    let found = program.checks.run(ready.site(), ready.settings(), &selection);
    let mut found: Vec<String> = found
        .iter()
        .map(|finding| format!("{} {}", finding.id.trim_start_matches("security."), finding.object))
        .collect();
    found.sort();
    found
}

/// The errors that keep a site from starting.
fn refused(site: Application, settings: &[(&str, &str)]) -> Vec<String> {
    let sources = settings
        .iter()
        .fold(Sources::none(), |sources, (name, value)| sources.var(*name, *value));
    match site.build(sources) {
        Ok(ready) => {
            let findings = ready.settings().findings();
            findings.iter().map(|finding| finding.id.to_owned()).collect()
        }
        Err(findings) => findings.iter().map(|finding| finding.id.to_owned()).collect(),
    }
}

const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; object-src 'none'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";

#[test]
fn every_answer_has_the_headers() {
    block_on(async {
        let client = client(site(), &[]);
        let answers = [
            (client.get("/").await, 200),
            (client.get("/nothing").await, 404),
            (client.get("/slash").await, 308),
            (client.get("/form").await, 405),
            (client.get("/fails").await, 500),
            (client.get("/panics").await, 500),
            (client.request(Method::OPTIONS, "/").await, 200),
            (client.request(Method::HEAD, "/").await, 200),
            (client.get(&format!("/{}", "x".repeat(9000))).await, 414),
            (client.get("/").header("host", "evil.example").await, 400),
            (
                client
                    .get("/")
                    .header("accept", "application/json")
                    .header("host", "evil.example")
                    .await,
                400,
            ),
        ];
        for (answer, status) in answers {
            assert_eq!(answer.status().as_u16(), status);
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "same-origin"),
                ("x-frame-options", "DENY"),
                ("cross-origin-opener-policy", "same-origin"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{status} {name}");
            }
            // A page of ours has its style by nonce.
            let policy = answer.header("content-security-policy").unwrap_or_default();
            let nonce = policy.split(" 'nonce-").nth(1).and_then(|rest| rest.split('\'').next());
            let plain = nonce.map_or(policy.to_owned(), |nonce| {
                policy.replace(&format!(" 'nonce-{nonce}'"), "")
            });
            assert_eq!(plain, POLICY, "{status}");
            for name in [
                "server",
                "x-powered-by",
                "strict-transport-security",
                "access-control-allow-origin",
            ] {
                assert_eq!(answer.header(name), None, "{status} {name}");
            }
        }
        // The browser keeps the page that it has, and the policy that came with it.
        assert_eq!(client.get("/unchanged").await.header("content-security-policy"), None);
    });
}

#[test]
fn nosniff_and_referrer_policy() {
    covers!("security.headers.nosniff");
    covers!("security.headers.referrer");
    covers!("security.headers.coop");
    block_on(async {
        let own = |_: &mut Request, mut response: Response| async move {
            response.headers_mut().insert("referrer-policy", "no-referrer".parse()?);
            Ok::<_, Error>(response)
        };
        let site = || site().route("/own", get(async || "own").after(own));
        let plain = client(site(), &[]);
        let answer = plain.get("/").await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"));
        assert_eq!(plain.get("/own").await.header("referrer-policy"), Some("no-referrer"));
        let other = client(
            site(),
            &[
                ("SECURE_CONTENT_TYPE_NOSNIFF", "false"),
                ("SECURE_REFERRER_POLICY", "no-referrer, strict-origin"),
                ("SECURE_CROSS_ORIGIN_OPENER_POLICY", ""),
            ],
        );
        let answer = other.get("/").await;
        assert_eq!(answer.header("x-content-type-options"), None);
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer,strict-origin"));
        assert_eq!(answer.header("cross-origin-opener-policy"), None);
        let popups = client(
            site(),
            &[("SECURE_CROSS_ORIGIN_OPENER_POLICY", "same-origin-allow-popups")],
        );
        let answer = popups.get("/").await;
        assert_eq!(
            answer.header("cross-origin-opener-policy"),
            Some("same-origin-allow-popups")
        );
        assert_eq!(
            refused(site(), &[("SECURE_REFERRER_POLICY", "sometimes")]),
            ["security.E023"]
        );
        assert_eq!(
            refused(site(), &[("SECURE_CROSS_ORIGIN_OPENER_POLICY", "x")]),
            ["security.E024"]
        );
        assert_eq!(refused(site(), &[("SECURE_HSTS_SECONDS", "long")]), ["settings.E001"]);
    });
}

#[test]
fn strict_transport_security() {
    covers!("security.hsts.seconds");
    covers!("security.hsts.subdomains");
    covers!("security.hsts.preload");
    block_on(async {
        let told = |settings: &'static [(&str, &str)], scheme: &'static str| async move {
            let client = client(site(), settings);
            let answer = client.get("/").header("x-forwarded-proto", scheme).await;
            answer.header("strict-transport-security").map(str::to_owned)
        };
        let year = "max-age=31536000; includeSubDomains";
        assert_eq!(told(&[], "https").await.as_deref(), Some(year));
        assert_eq!(told(&[], "http").await, None);
        let hour = &[
            ("SECURE_HSTS_SECONDS", "3600"),
            ("SECURE_HSTS_INCLUDE_SUBDOMAINS", "false"),
        ];
        assert_eq!(told(hour, "https").await.as_deref(), Some("max-age=3600"));
        assert_eq!(told(hour, "http").await, None);
        let preload = told(&[("SECURE_HSTS_PRELOAD", "true")], "https").await;
        assert_eq!(preload, Some(format!("{year}; preload")));
        assert_eq!(told(&[("SECURE_HSTS_SECONDS", "0")], "https").await, None);
        // `localhost` in development is not to be https for a year.
        let answer = site().test_client().get("/").header("x-forwarded-proto", "https").await;
        assert_eq!(answer.header("strict-transport-security"), None);
    });
}

#[test]
fn http_leads_to_https() {
    covers!("security.ssl.redirect");
    block_on(async {
        let on = ("SECURE_SSL_REDIRECT", "true");
        let there = client(site(), &[on]);
        let answer = there.get("/a//b?x=1&y=%2F").await;
        assert_eq!(answer.status(), 301);
        assert_eq!(answer.header("location"), Some("https://localhost/a//b?x=1&y=%2F"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        let answer = there.post("/form").await;
        assert_eq!(answer.status(), 308, "a form arrives as a form");
        assert_eq!(there.get("/").header("x-forwarded-proto", "https").await.status(), 200);
        // A host that is not ours is not led anywhere.
        assert_eq!(there.get("/").header("host", "evil.example").await.status(), 400);
        let other = client(site(), &[on, ("SECURE_SSL_HOST", "www.example.org")]);
        assert_eq!(
            other.get("/x?y").await.header("location"),
            Some("https://www.example.org/x?y")
        );
        let exempt = client(
            site(),
            &[on, ("SECURE_REDIRECT_EXEMPT", "/slash/, /.well-known/{*rest}")],
        );
        assert_eq!(exempt.get("/slash/").await.status(), 200);
        assert_eq!(exempt.get("/.well-known/x/y").await.status(), 404);
        assert_eq!(exempt.get("/").await.status(), 301);
        assert_eq!(client(site(), &[]).get("/").await.status(), 200);
        assert_eq!(
            refused(site(), &[on, ("SECURE_REDIRECT_EXEMPT", "no/{slash")]),
            ["security.E031"]
        );
    });
}

#[test]
fn proxies_are_believed_when_told_so() {
    covers!("security.hosts.forwarded");
    block_on(async {
        let tell = async |request: &mut Request| Some(format!("{} {}", request.scheme(), request.host().unwrap_or("")));
        let site = || {
            Application::new()
                .allowed_hosts(["localhost", "shop.example"])
                .before(tell)
        };
        let ask = |site: Application, scheme: &'static str| async move {
            let request = site.test_client().get("/").header("x-forwarded-proto", scheme);
            let request = request
                .header("x-forwarded-host", "shop.example")
                .header("x-forwarded-port", "8443");
            request.await.text().to_owned()
        };
        assert_eq!(ask(site(), "https").await, "http localhost");
        let scheme_alone = TrustedProxies {
            scheme: 1,
            ..TrustedProxies::default()
        };
        assert_eq!(
            ask(site().trust_proxies(scheme_alone), "https").await,
            "https localhost"
        );
        assert_eq!(ask(site().trust_proxies(scheme_alone), "http").await, "http localhost");
        let all = TrustedProxies::hops(1);
        assert_eq!(ask(site().trust_proxies(all), "https").await, "https shop.example:8443");
    });
}

#[test]
fn frames() {
    covers!("security.clickjacking.middleware");
    covers!("http.decorator.xframe");
    block_on(async {
        let own = |_: &mut Request, mut response: Response| async move {
            response.headers_mut().insert("x-frame-options", "SAMEORIGIN".parse()?);
            Ok::<_, Error>(response)
        };
        let site = || {
            let widgets = Blueprint::new("widgets")
                .frame_options(FrameOptions::SameOrigin)
                .route("/", get(async || "widget"))
                .route("/closed", get(async || "widget").frame_options(FrameOptions::Deny));
            site()
                .route("/own", get(async || "own").after(own))
                .route("/open", get(async || "open").frame_options(FrameOptions::Allow))
                .mount("/widgets", widgets)
        };
        let plain = client(site(), &[]);
        for (path, frames, ancestors) in [
            ("/", Some("DENY"), Some("'none'")),
            ("/own", Some("SAMEORIGIN"), Some("'none'")),
            ("/open", None, None),
            ("/widgets/", Some("SAMEORIGIN"), Some("'self'")),
            ("/widgets/closed", Some("DENY"), Some("'none'")),
        ] {
            let answer = plain.get(path).await;
            assert_eq!(answer.header("x-frame-options"), frames, "{path}");
            let policy = answer.header("content-security-policy").unwrap_or_default();
            let said = policy.split("frame-ancestors ").nth(1);
            assert_eq!(said, ancestors, "{path}");
        }
        let same = client(site(), &[("X_FRAME_OPTIONS", "SAMEORIGIN")]);
        let answer = same.get("/").await;
        assert_eq!(answer.header("x-frame-options"), Some("SAMEORIGIN"));
        assert!(
            answer
                .header("content-security-policy")
                .is_some_and(|p| p.ends_with("frame-ancestors 'self'"))
        );
        assert_eq!(refused(site(), &[("X_FRAME_OPTIONS", "MAYBE")]), ["security.E030"]);
    });
}

#[test]
fn content_security_policies() {
    covers!("security.csp.header");
    covers!("security.csp.report_only");
    block_on(async {
        let policy = |settings: &'static [(&str, &str)]| async move {
            let answer = client(site(), settings).get("/").await;
            let of = |name| answer.header(name).map(str::to_owned);
            (of("content-security-policy"), of("content-security-policy-report-only"))
        };
        let lists = r#"{"default-src": ["'self'"], "img-src": ["'self'", "https:"]}"#;
        let sent = "default-src 'self'; img-src 'self' https:";
        let lists: &'static [(&str, &str)] = Box::leak(Box::new([("SECURE_CSP", lists)]));
        assert_eq!(policy(lists).await.0.as_deref(), Some(sent));
        let text = &[("SECURE_CSP", "default-src 'self'; img-src 'self' https:")];
        assert_eq!(policy(text).await.0.as_deref(), Some(sent));
        assert_eq!(policy(&[("SECURE_CSP", "")]).await, (None, None));
        let both = policy(&[("SECURE_CSP_REPORT_ONLY", "default-src 'none'; report-uri /csp/")]).await;
        assert_eq!(
            both,
            (
                Some(POLICY.to_owned()),
                Some("default-src 'none'; report-uri /csp/".to_owned())
            )
        );
        let only = policy(&[("SECURE_CSP", ""), ("SECURE_CSP_REPORT_ONLY", "default-src 'none'")]).await;
        assert_eq!(only, (None, Some("default-src 'none'".to_owned())));
        // Browsers would pass over the misspelt one, and take the bare word for a host.
        for wrong in [
            "Default Src 'self'",
            "img-src a,b",
            "defualt-src 'none'",
            "script-scr 'self'",
            "default-src self",
            "script-src 'self' Unsafe-Inline",
            "object-src none",
        ] {
            let found = refused(site(), Box::leak(Box::new([("SECURE_CSP", wrong)])));
            assert_eq!(found, ["security.E026"], "{wrong}");
        }
        for good in [
            "upgrade-insecure-requests",
            "sandbox allow-scripts",
            "img-src self.example 'self'",
            "a-new-directive x",
        ] {
            let found = refused(site(), Box::leak(Box::new([("SECURE_CSP", good)])));
            assert_eq!(found, [""; 0], "{good}");
        }
        // In code it is a setting like any other, and what is set outside wins.
        let coded = || {
            let mut coded = site();
            let policy = Csp::strict().directive("img-src", [Csp::SELF, "data:"]);
            coded.site_mut().settings_mut().set_default("SECURE_CSP", policy);
            coded
        };
        let answer = client(coded(), &[]).get("/").await;
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.starts_with("default-src 'self'") && policy.ends_with("img-src 'self' data:"),
            "{policy}"
        );
        let answer = client(coded(), &[("SECURE_CSP", "default-src 'none'")]).get("/").await;
        assert_eq!(answer.header("content-security-policy"), Some("default-src 'none'"));
        let line_break = Csp::none().directive("img-src", ["a\r\nx-evil: 1"]);
        assert_eq!(
            refused(site().route("/x", get(async || "").csp(line_break)), &[]),
            ["security.E026"]
        );
    });
}

#[test]
fn nonces() {
    covers!("security.csp.nonce");
    block_on(async {
        async fn page(request: &mut Request) -> Result<Option<String>> {
            match request.path() {
                "/page" => {
                    let nonce = request.csp_nonce()?.to_owned();
                    assert_eq!(request.csp_nonce()?, nonce, "one for the whole request");
                    Ok(Some(nonce))
                }
                _ => Ok(None),
            }
        }
        let site = site().route("/page", get(async || "")).before(page);
        let client = client(site, &[]);
        let mut seen = Vec::new();
        for _ in 0..3 {
            let answer = client.get("/page").await;
            let (nonce, policy) = (
                answer.text().to_owned(),
                answer.header("content-security-policy").unwrap_or_default(),
            );
            assert!(nonce.len() >= 22 && !seen.contains(&nonce), "{nonce}");
            assert!(
                policy.contains(&format!(
                    "script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}';"
                )),
                "{policy}"
            );
            seen.push(nonce);
        }
        let answer = client.get("/").await;
        assert!(
            !answer
                .header("content-security-policy")
                .unwrap_or_default()
                .contains("nonce")
        );
    });
}

#[cfg(feature = "template")]
#[test]
fn templates_have_the_nonce() {
    use demijohn_template::{Folder, context};
    use demijohn_web::{TemplatesExt, render};
    static TEMPLATES: Folder = Folder::embedded(&[(
        "page.html",
        "{% if used %}<script nonce=\"{{ csp_nonce }}\"></script><style nonce=\"{{ csp_nonce }}\"></style>{% endif %}",
    )]);
    block_on(async {
        let site = site()
            .templates(TEMPLATES)
            .route("/used", get(async || render("page.html", context! { used => true })))
            .route("/unused", get(async || render("page.html", context! { used => false })));
        let client = client(site, &[]);
        let answer = client.get("/used").await;
        let policy = answer.header("content-security-policy").unwrap_or_default();
        let nonce = policy
            .split("'nonce-")
            .nth(1)
            .and_then(|rest| rest.split('\'').next())
            .unwrap_or_default();
        assert!(nonce.len() >= 22);
        assert_eq!(
            answer.text(),
            format!("<script nonce=\"{nonce}\"></script><style nonce=\"{nonce}\"></style>")
        );
        assert_eq!(
            client.get("/unused").await.header("content-security-policy"),
            Some(POLICY)
        );
    });
}

#[test]
fn routes_have_policies_of_their_own() {
    covers!("security.csp.override");
    block_on(async {
        let widgets = Blueprint::new("widgets")
            .csp(Csp::none().directive("default-src", [Csp::NONE]))
            .route("/", get(async || ""))
            .route("/own", get(async || "").csp(Csp::strict()));
        let site = site()
            .mount("/widgets", widgets)
            .route("/off", get(async || "").csp(Csp::none()))
            .route("/quiet", get(async || "").csp_report_only(Csp::none()))
            .route(
                "/told",
                get(async || "").csp_report_only(Csp::none().directive("img-src", [Csp::NONE])),
            )
            .route(
                "/bare",
                get(async || "").csp(Csp::none().directive("script-src", [Csp::NONCE])),
            );
        let client = client(site, &[("SECURE_CSP_REPORT_ONLY", "default-src https:")]);
        for (path, enforced, reported) in [
            ("/", Some(POLICY), Some("default-src https:")),
            ("/widgets/", Some("default-src 'none'"), Some("default-src https:")),
            ("/widgets/own", Some(POLICY), Some("default-src https:")),
            ("/off", None, Some("default-src https:")),
            ("/quiet", Some(POLICY), None),
            ("/told", Some(POLICY), Some("img-src 'none'")),
            // Without a nonce that anybody asked for, nothing runs.
            ("/bare", Some("script-src 'none'"), Some("default-src https:")),
        ] {
            let answer = client.get(path).await;
            assert_eq!(answer.header("content-security-policy"), enforced, "{path}");
            assert_eq!(answer.header("content-security-policy-report-only"), reported, "{path}");
        }
    });
}

#[test]
fn text_has_a_charset() {
    block_on(async {
        let site = [
            "text/plain",
            "text/css",
            "Text/X-Odd",
            "image/svg+xml",
            "text/html; Charset=latin1",
            "text/html; profile=x",
            "application/json",
            "image/png",
            "text/event-stream",
        ]
        .iter()
        .enumerate()
        .fold(site(), |site, (i, kind)| {
            let answer = async move || (StatusCode::OK, [("content-type", *kind)], "");
            site.route(&format!("/{i}"), get(answer))
        });
        let client = client(site, &[]);
        for (i, sent) in [
            "text/plain; charset=utf-8",
            "text/css; charset=utf-8",
            "Text/X-Odd; charset=utf-8",
            "image/svg+xml; charset=utf-8",
            "text/html; Charset=latin1",
            "text/html; profile=x; charset=utf-8",
            "application/json",
            "image/png",
            "text/event-stream",
        ]
        .iter()
        .enumerate()
        {
            assert_eq!(client.get(&format!("/{i}")).await.header("content-type"), Some(*sent));
        }
    });
}

#[test]
fn pages_of_other_origins() {
    block_on(async {
        let guard = async |request: &mut Request| match request.header("authorization") {
            Some(_) => Ok(()),
            None => Err(Error::unauthorized("who is there?")),
        };
        let api = || {
            Blueprint::new("api")
                .with(
                    Cors::origins(["https://app.example", "https://*.apps.example"])
                        .credentials()
                        .expose(["x-total"]),
                )
                .before(guard)
                .route("/things", get(async || "[]").post(async || "made"))
        };
        let site = || site().mount("/api", api());
        let client = client(site(), &[]);
        let ask = |origin: &'static str| {
            client
                .get("/api/things")
                .header("authorization", "x")
                .header("origin", origin)
        };
        for origin in ["https://app.example", "https://a.apps.example"] {
            let answer = ask(origin).await;
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
            assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
            assert_eq!(answer.header("access-control-expose-headers"), Some("x-total"));
            assert_eq!(answer.header("vary"), Some("origin"));
        }
        for origin in [
            "null",
            "*",
            "",
            "https://app.example.evil.example",
            "https://evil-app.example",
            "http://app.example",
            "https://app.example:8443",
            "https://apps.example",
            "https://evilapps.example",
            "https://app.example, https://evil.example",
            "https://app.example/",
            "https://user@app.example",
        ] {
            let answer = ask(origin).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
            assert_eq!(answer.header("access-control-allow-credentials"), None, "{origin}");
            assert_eq!(answer.header("vary"), Some("origin"), "{origin}");
        }
        // An error may be read too: by those who may read at all.
        let refused_answer = client.get("/api/things").header("origin", "https://app.example").await;
        assert_eq!(refused_answer.status(), 401);
        assert_eq!(
            refused_answer.header("access-control-allow-origin"),
            Some("https://app.example")
        );

        let preflight = |path: &'static str, origin: &'static str, method: &'static str| {
            let request = client.request(Method::OPTIONS, path).header("origin", origin);
            request.header("access-control-request-method", method)
        };
        let answer = preflight("/api/things", "https://app.example", "POST").await;
        assert_eq!(answer.status(), 204, "before guards, and before routing's own answer");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://app.example")
        );
        assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
        assert!(
            answer
                .header("access-control-allow-headers")
                .is_some_and(|names| names.contains("content-type"))
        );
        assert!(answer.header("vary").is_some());
        let answer = preflight("/api/things", "https://evil.example", "POST").await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("access-control-allow-methods"), None);
        for (path, method) in [("/api/things", "DELETE"), ("/api/nothing", "GET"), ("/", "GET")] {
            let answer = preflight(path, "https://app.example", method).await;
            assert_eq!(answer.header("access-control-allow-methods"), None, "{method} {path}");
        }
        // Nothing outside of the blueprint.
        let answer = client.get("/").header("origin", "https://app.example").await;
        assert_eq!(
            (answer.header("access-control-allow-origin"), answer.header("vary")),
            (None, None)
        );
    });
}

#[test]
fn pages_of_every_origin_get_no_cookies() {
    block_on(async {
        let open = client(site(), &[("CORS_ALLOWED_ORIGINS", "*")]);
        let answer = open.get("/").header("origin", "https://any.example").await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        let with_cookies = [("CORS_ALLOWED_ORIGINS", "*"), ("CORS_ALLOW_CREDENTIALS", "true")];
        assert!(refused(site(), &with_cookies).contains(&"security.E032".to_owned()));
        assert!(refused(site().with(Cors::any().credentials()), &[]).contains(&"security.E032".to_owned()));
        assert!(refused(site(), &[("CORS_ALLOWED_ORIGINS", "app.example")]).contains(&"security.E032".to_owned()));
        let named = client(site(), &[("CORS_ALLOWED_ORIGINS", "https://a.example")]);
        let answer = named.get("/nothing").header("origin", "https://a.example").await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
    });
}

#[test]
fn protections_that_are_off_are_told() {
    covers!("security.check.hsts");
    covers!("security.check.ssl_redirect");
    covers!("security.check.debug");
    covers!("security.check.allowed_hosts");
    let good = [
        ("DEBUG", "false"),
        ("ALLOWED_HOSTS", "example.org"),
        ("SECURE_SSL_REDIRECT", "true"),
    ];
    let plain = || site().trust_proxies(TrustedProxies::default());
    let with = |more: &[(&'static str, &'static str)]| deploy(plain(), &[&good[..], more].concat());
    assert_eq!(with(&[("SECURE_HSTS_PRELOAD", "true")]), Vec::<String>::new());
    assert_eq!(with(&[]), ["W021 SECURE_HSTS_PRELOAD"]);
    assert_eq!(with(&[("SECURE_HSTS_SECONDS", "0")]), ["W004 SECURE_HSTS_SECONDS"]);
    let preload = ("SECURE_HSTS_PRELOAD", "true");
    for (name, value, told) in [
        ("SECURE_HSTS_INCLUDE_SUBDOMAINS", "false", "W005"),
        ("SECURE_CONTENT_TYPE_NOSNIFF", "false", "W006"),
        ("SECURE_SSL_REDIRECT", "false", "W008"),
        ("DEBUG", "true", "W018"),
        ("X_FRAME_OPTIONS", "SAMEORIGIN", "W019"),
        ("ALLOWED_HOSTS", "", "W020"),
        ("ALLOWED_HOSTS", "*", "W020"),
        ("SECURE_REFERRER_POLICY", "", "W022"),
        ("SECURE_CROSS_ORIGIN_OPENER_POLICY", "", "W030"),
        ("SECURE_CSP", "", "W031"),
        ("SECURE_CSP", "script-src 'unsafe-inline'", "W032"),
        ("CORS_ALLOWED_ORIGINS", "*", "W033"),
    ] {
        assert_eq!(
            with(&[preload, (name, value)]),
            [format!("{told} {name}")],
            "{name}={value}"
        );
    }
    let routes = plain()
        .route(
            "/off",
            get(async || "").csp(Csp::none()).frame_options(FrameOptions::Allow),
        )
        .mount(
            "/w",
            Blueprint::new("widgets").csp(Csp::strict().directive("script-src", [Csp::UNSAFE_INLINE])),
        );
    let found = deploy(routes, &[&good[..], &[preload]].concat());
    assert_eq!(found, ["W019 /off", "W031 /off", "W032 widgets"]);
}

#[test]
fn allowed_hosts() {
    covers!("security.hosts.allowed");
    block_on(async {
        let ask = |client: TestClient, host: &'static str| async move {
            let request = client.get(&format!("http://{host}/")).without_header("host");
            request.await.status().as_u16()
        };
        let named = client(site(), &[("ALLOWED_HOSTS", ".ex.org")]);
        for (host, status) in [
            ("ex.org", 200),
            ("a.ex.org", 200),
            ("A.EX.org:8000", 200),
            ("evil.com", 400),
            ("badex.org", 400),
        ] {
            assert_eq!(ask(named.clone(), host).await, status, "{host}");
        }
        assert_eq!(ask(client(site(), &[("ALLOWED_HOSTS", "*")]), "any.example").await, 200);
        let development = site().test_client();
        for (host, status) in [
            ("localhost:8000", 200),
            ("a.localhost", 200),
            ("127.0.0.1", 200),
            ("[::1]:8000", 200),
            ("evil.com", 400),
        ] {
            assert_eq!(ask(development.clone(), host).await, status, "{host}");
        }
    });
}

#[test]
fn settings_of_the_shield_are_listed() {
    let ready = site()
        .build(Sources::none())
        .unwrap_or_else(|findings| panic!("{findings:#?}"));
    let rows = ready.settings().rows();
    assert!(
        rows.iter()
            .any(|row| row.name == "SECURE_CSP" && row.value == Csp::strict().to_string())
    );
}

#[test]
fn redirects_lead_where_browsers_take_them_for_ours() {
    covers!("security.redirect.safe_url");
    covers!("security.redirect.scheme");
    block_on(async {
        let next = async |Query(asked): Query<Pairs>| Redirect::to(asked.get("next").unwrap_or("/"));
        let or = async |Query(asked): Query<Pairs>| Redirect::to_or(asked.get("next").unwrap_or("/"), "/home");
        let long = async || Redirect::away(format!("https://example.org/{}", "x".repeat(9000)));
        let site = site()
            .route("/next", get(next))
            .route("/or", get(or))
            .route(
                "/long-or",
                get(async || Redirect::to_or(format!("/{}", "\u{e4}".repeat(9000)), "/home")),
            )
            .route("/script", get(async || Redirect::away("javascript:alert(1)")))
            .route("/long", get(long))
            .route(
                "/break",
                get(async || Redirect::away("https://example.org/\r\nset-cookie: a=b")),
            );
        let client = client(site, &[]);
        assert_eq!(client.get("/next?next=/ok").await.header("location"), Some("/ok"));
        // What no header can hold leads nowhere either.
        assert_eq!(client.get("/long-or").await.header("location"), Some("/home"));
        for target in [
            "https://evil.com",
            "//evil.com",
            "javascript:x",
            "/%5Cevil.com",
            "%5C%5Cevil.com",
            "/%09/evil.com",
            "%0d%0aset-cookie:a=b",
        ] {
            let answer = client.get(&format!("/next?next={target}")).await;
            assert_eq!(
                (answer.status().as_u16(), answer.header("location")),
                (400, None),
                "{target}"
            );
            assert_eq!(
                client.get(&format!("/or?next={target}")).await.header("location"),
                Some("/home"),
                "{target}"
            );
        }
        for path in ["/script", "/long", "/break"] {
            let answer = client.get(path).await;
            assert!(
                answer.status().as_u16() >= 400 && answer.header("location").is_none(),
                "{path}"
            );
            assert_eq!(answer.header("set-cookie"), None);
        }
        let too_long = format!("/{}", "x".repeat(9000));
        assert!(!is_safe_redirect(&too_long, &["example.org"], false));
        assert!(is_safe_redirect("https://example.org/ok", &["example.org"], true));
        // The redirect for the slash leads to a path of this site, whatever the path looks like.
        for path in [
            "//evil.example/slash",
            "/\\evil.example/slash",
            "//slash",
            "/%2f/slash",
            "/slash//",
            "//evil.example/%2e%2e/slash",
        ] {
            let answer = client.get(path).await;
            assert_eq!(answer.header("location"), None, "{path}");
        }
    });
}

#[test]
fn line_breaks_make_no_headers() {
    covers!("security.headers.injection");
    block_on(async {
        let header = async || (StatusCode::OK, [("x-said", "a\r\nset-cookie: evil=1".to_owned())], "");
        let cookie = async || -> Result<Response> {
            let mut response = Response::new("".into());
            response
                .headers_mut()
                .insert("set-cookie", Cookie::new("k", "v\r\nx-evil: 1").header()?);
            Ok(response)
        };
        let path = async || -> Result<Response> {
            let mut response = Response::new("".into());
            response
                .headers_mut()
                .insert("set-cookie", Cookie::new("k", "v").path("/\nx-evil: 1").header()?);
            Ok(response)
        };
        let away = async || Redirect::away("https://example.org/\r\nx-evil: 1");
        let client = client(
            site()
                .route("/header", get(header))
                .route("/cookie", get(cookie))
                .route("/path", get(path))
                .route("/away", get(away)),
            &[],
        );
        for path in ["/header", "/cookie", "/path", "/away"] {
            let answer = client.get(path).await;
            assert!(answer.status().as_u16() >= 400, "{path}");
            for name in ["set-cookie", "x-evil", "location", "x-said"] {
                assert_eq!(answer.header(name), None, "{path}");
            }
        }
    });
}

#[test]
fn guards_see_what_handlers_get() {
    block_on(async {
        let seen = async |request: &mut Request| match request.path().starts_with("/admin/") {
            true => Err(Error::forbidden("not you")),
            false => Ok(()),
        };
        let admin = Blueprint::new("admin")
            .before(async |_: &mut Request| -> Result<()> { Err(Error::forbidden("not you")) })
            .route("/users", get(async || "secret"))
            .route("/users/{name}", get(async |Path(name): Path<String>| name));
        // A guard by prefix of the path and a guard by blueprint come to the same end.
        for site in [site().before(seen).mount("/admin", admin), {
            let open = Blueprint::new("admin").route("/users", get(async || "secret"));
            site().before(seen).mount("/admin", open)
        }] {
            let client = client(site, &[]);
            for path in [
                "/admin/users",
                "//admin/users",
                "/admin//users",
                "/admin/./users",
                "/./admin/users",
                "/x/../admin/users",
                "/x/%2e%2e/admin/users",
                "/admin%2fusers",
                "/admin/users/",
                "/admin/users;x=1",
                "/admin;x/users",
                "/ADMIN/users",
                "/admin/Users",
                "/%61dmin/users",
                "/admin/users%00",
                "/admin/users%20",
                "/admin/users.",
                "/admin/users%0a",
                "/admin\\users",
                "/admin/users/..%2fusers",
            ] {
                let answer = client.get(path).await;
                assert!(
                    [400, 403, 404].contains(&answer.status().as_u16()),
                    "{path}: {}",
                    answer.status()
                );
                assert!(!answer.text().contains("secret"), "{path}");
            }
        }
    });
}

#[test]
fn pages_of_errors_say_what_happened_and_no_more() {
    block_on(async {
        async fn numbers(Path(id): Path<i64>) -> Json<i64> {
            Json(id)
        }
        let site = site()
            .route(
                "/numbers/{id}",
                get(numbers)
                    .delete(async |Path(_): Path<i64>| -> Result<Json<i64>> { Err(Error::internal("deep secret")) }),
            )
            .route("/small", post(async |body: String| body).max_body_bytes(10))
            .error_page(StatusCode::GONE, async |_: &Error, _: &mut Request| "ours")
            .route(
                "/gone",
                get(async || -> Result<&'static str> { Err(Error::bare(StatusCode::GONE)) }),
            );
        let client = client(site, &[]);
        let html = |path: &str| client.get(path).header("accept", "text/html,*/*;q=0.8");
        for (answer, status) in [
            (html("/wp-login.php?x=%3Cscript%3E").await, 404),
            (html("/numbers/%3Cb%3E").await, 404),
            (html("/fails").await, 500),
            (html("/panics").await, 500),
            (html("/form").await, 405),
            (html(&format!("/{}", "x".repeat(9000))).await, 414),
            (html("/").header("x-long", &"x".repeat(40000)).await, 431),
            (client.post("/small").body("x".repeat(100)).await, 413),
        ] {
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(answer.header("cache-control"), Some("private, no-store"));
            let policy = answer.header("content-security-policy").unwrap_or_default();
            let nonce = answer
                .text()
                .split("<style nonce=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            assert!(
                policy.contains(&format!("'nonce-{}'", nonce.unwrap_or("none"))),
                "{}",
                answer.text()
            );
            for leak in [
                "wp-login",
                "script>",
                "on purpose",
                "tests/",
                ".rs",
                "i64",
                "demijohn",
                "panic",
                "/numbers",
                "stack",
            ] {
                assert!(
                    !answer.text().contains(leak),
                    "{status} tells {leak}: {}",
                    answer.text()
                );
            }
        }
        assert_eq!(
            (html("/gone").await.text(), html("/gone").await.status().as_u16()),
            ("ours", 410)
        );
        // Programs get RFC 9457: who asks for JSON, who sent JSON, who asked a route that has nothing else.
        let problems = [
            (client.get("/nothing").header("accept", "application/json").await, 404),
            (
                client
                    .get("/nothing")
                    .header("accept", "application/problem+json")
                    .await,
                404,
            ),
            (
                client
                    .request(Method::DELETE, "/numbers/7")
                    .header("accept", "*/*")
                    .await,
                500,
            ),
            (
                client
                    .post("/nothing")
                    .header("content-type", "application/json")
                    .body("{}")
                    .await,
                404,
            ),
        ];
        for (answer, status) in problems {
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            let body: serde_json::Value = answer.json();
            assert_eq!(body["status"], status);
            assert!(!answer.text().contains("secret"));
        }
    });
}

#[test]
fn details_are_for_the_developer_at_this_machine() {
    block_on(async {
        let site = || {
            Application::new().allowed_hosts(["*"]).route(
                "/fails",
                get(async || -> Result<&'static str> { Err(Error::internal("deep secret")) }),
            )
        };
        let debug = site().test_client();
        let ask = |client: &TestClient| client.get("/fails").header("accept", "text/html");
        assert!(ask(&debug).await.text().contains("deep secret"));
        for (name, value) in [
            ("x-forwarded-for", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1"),
            ("via", "1.1 proxy"),
            ("x-real-ip", "::1"),
        ] {
            assert!(
                !ask(&debug).header(name, value).await.text().contains("deep secret"),
                "{name}"
            );
        }
        let elsewhere = ask(&debug)
            .from_peer("10.0.0.7:1".parse().unwrap_or_else(|_| unreachable!()))
            .await;
        assert!(!elsewhere.text().contains("deep secret"));
        for host in ["example.org", "localhost.example.org", "127.0.0.1.example.org"] {
            let answer = debug
                .get(&format!("http://{host}/fails"))
                .without_header("host")
                .header("accept", "text/html")
                .await;
            assert!(!answer.text().contains("deep secret"), "{host}");
        }
        let production = site().test_production_client();
        for (name, value) in [
            ("x-debug", "1"),
            ("cookie", "debug=1"),
            ("x-forwarded-host", "localhost"),
        ] {
            let answer = production
                .get("/fails?debug=1&DEBUG=true")
                .header(name, value)
                .header("accept", "text/html")
                .await;
            assert!(!answer.text().contains("deep secret"));
        }
    });
}

#[test]
fn keys_that_can_be_guessed_are_told() {
    covers!("security.check.secret_key");
    let long = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnop";
    let signs = || {
        let mut site = site();
        site.site_mut().settings_mut().needs_secret("sessions");
        site
    };
    let told = |settings: &[(&str, &str)]| {
        let found = deploy(signs(), settings).into_iter();
        found.filter(|found| found.contains("SECRET_KEY")).collect::<Vec<_>>()
    };
    for weak in [
        "",
        "short",
        "abcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcd",
        &format!("insecure{long}"),
    ] {
        assert_eq!(told(&[("SECRET_KEY", weak)]), ["W009 SECRET_KEY"], "{weak}");
        let production = [("DEBUG", "false"), ("SECRET_KEY", weak)];
        let id = if weak.is_empty() {
            "settings.E007"
        } else {
            "settings.E008"
        };
        let mut unfit = signs();
        demijohn_core::settings::add_checks(&mut unfit.site_mut().checks);
        assert!(refused(unfit, &production).contains(&id.to_owned()), "{weak}");
        if !weak.is_empty() {
            assert_eq!(
                told(&[("SECRET_KEY", long), ("SECRET_KEY_FALLBACKS", weak)]),
                ["W025 SECRET_KEY_FALLBACKS"]
            );
            // A site that moves from Django keeps its key, and is told.
            let moved = [&production[..], &[("DJANGO_COMPAT", "true")]].concat();
            let named = [&moved[..], &[("ALLOWED_HOSTS", "example.org")]].concat();
            assert_eq!(refused(signs(), &named), Vec::<String>::new());
            assert_eq!(told(&named), ["W009 SECRET_KEY"]);
        }
    }
    assert_eq!(told(&[("SECRET_KEY", long)]), Vec::<String>::new());
}

#[test]
fn personal_answers_are_kept_by_nobody() {
    block_on(async {
        let with = |value: &'static str| {
            get(async || "").after(move |request: &mut Request, mut response: Response| {
                request.mark_personal();
                async move {
                    if !value.is_empty() {
                        response.headers_mut().insert("cache-control", value.parse()?);
                    }
                    response.headers_mut().insert("vary", "Accept, cookie".parse()?);
                    Ok::<_, Error>(response)
                }
            })
        };
        let fails = get(async || -> Result<&'static str> { Err(Error::forbidden("no")) })
            .before(async |request: &mut Request| request.mark_personal());
        let site = site()
            .route("/mine", with(""))
            .route("/aged", with("max-age=60"))
            .route("/own", with("Private, max-age=60"))
            .route("/public", with("public, max-age=60"))
            .route("/fails-for-me", fails);
        let client = client(site, &[]);
        for (path, kept) in [
            ("/mine", &["private, no-store"][..]),
            ("/aged", &["max-age=60", "private"]),
            ("/own", &["Private, max-age=60"]),
            ("/public", &["public, max-age=60"]),
        ] {
            let answer = client.get(path).await;
            assert_eq!(
                answer.headers().get_all("cache-control").iter().collect::<Vec<_>>(),
                kept,
                "{path}"
            );
            assert_eq!(answer.header("vary"), Some("Accept, cookie"), "{path}");
        }
        let answer = client.get("/fails-for-me").await;
        assert_eq!(
            (
                answer.status().as_u16(),
                answer.header("cache-control"),
                answer.header("vary")
            ),
            (403, Some("private, no-store"), Some("cookie"))
        );
        let answer = client.get("/").await;
        assert_eq!((answer.header("cache-control"), answer.header("vary")), (None, None));
    });
}

#[cfg(feature = "compression")]
mod compression {
    use super::*;
    use demijohn_web::{Html, Streamed};
    use std::io::Read;

    fn page(length: usize) -> String {
        "<p>the same again</p>".repeat(length / 21 + 1)[..length].to_owned()
    }

    fn unpacked(coding: &str, bytes: &[u8]) -> String {
        let mut text = String::new();
        let read = match coding {
            "gzip" => flate2::read::GzDecoder::new(bytes).read_to_string(&mut text),
            "br" => brotli::Decompressor::new(bytes, 4096).read_to_string(&mut text),
            "zstd" => zstd::stream::read::Decoder::new(bytes).and_then(|mut decoder| decoder.read_to_string(&mut text)),
            _ => panic!("{coding} is unknown"),
        };
        read.unwrap_or_else(|error| panic!("{coding}: {error}"));
        text
    }

    fn pages() -> Application {
        let etag = async |_: &mut Request, mut response: Response| {
            response.headers_mut().insert("etag", "\"v1\"".parse()?);
            Ok::<_, Error>(response)
        };
        let typed = |name: &'static str, value: &'static str| {
            get(async || Html(page(5000))).after(move |_: &mut Request, mut response: Response| async move {
                response.headers_mut().insert(name, value.parse()?);
                Ok::<_, Error>(response)
            })
        };
        let me = async |request: &mut Request| request.mark_personal();
        site()
            .route("/page", get(async || Html(page(5000))).after(etag))
            .route("/large", get(async || Html(page(500_000))))
            .route("/limit", get(async || Html(page(200))))
            .route("/small", get(async || Html(page(199))))
            .route("/never", get(async || Html(page(5000))).compress(false))
            .route("/mine", get(async || Html(page(5000))).before(me))
            .route("/mine-too", get(async || Html(page(5000))).before(me).compress(true))
            .route("/image", typed("content-type", "image/png"))
            .route("/packed", typed("content-encoding", "br"))
            .route("/part", typed("content-range", "bytes 0-4999/9000"))
            .route("/fixed", typed("cache-control", "No-Transform"))
            .route("/events", typed("content-type", "text/event-stream"))
            .route(
                "/stream",
                get(async || {
                    Streamed::write(async |out| {
                        for _ in 0..3 {
                            out.send("chunk of a stream, ").await?;
                        }
                        Ok(())
                    })
                    .content_type("text/plain")
                }),
            )
    }

    #[test]
    fn text_is_compressed_as_the_client_takes_it() {
        covers!("http.middleware.gzip");
        block_on(async {
            let client = client(pages(), &[]);
            for (accept, coding) in [
                ("gzip", "gzip"),
                ("br", "br"),
                ("zstd", "zstd"),
                ("gzip, deflate, br, zstd", "zstd"),
                ("gzip;q=1, br;q=0.1", "gzip"),
            ] {
                for (path, length) in [("/page", 5000), ("/large", 500_000)] {
                    let answer = client.get(path).header("accept-encoding", accept).await;
                    assert_eq!(answer.header("content-encoding"), Some(coding), "{path} {accept}");
                    assert_eq!(answer.header("vary"), Some("accept-encoding"));
                    assert!(answer.bytes().len() < length / 5);
                    assert_eq!(unpacked(coding, answer.bytes()), page(length));
                }
                let answer = client.get("/page").header("accept-encoding", accept).await;
                assert_eq!(answer.header("etag"), Some("W/\"v1\""));
                assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
                let answer = client.get("/stream").header("accept-encoding", accept).await;
                assert_eq!(answer.header("content-encoding"), Some(coding));
                assert_eq!(unpacked(coding, answer.bytes()), "chunk of a stream, ".repeat(3));
            }
            assert_eq!(
                client
                    .get("/limit")
                    .header("accept-encoding", "gzip")
                    .await
                    .header("content-encoding"),
                Some("gzip")
            );
            // Errors are answers too; a client that names none gets none, and caches know.
            let plain = client.get("/page").await;
            assert_eq!(
                (
                    plain.header("content-encoding"),
                    plain.header("vary"),
                    plain.header("etag")
                ),
                (None, Some("accept-encoding"), Some("\"v1\""))
            );
            // Of lengths of what is padded nobody learns much.
            let mut lengths = std::collections::BTreeSet::new();
            for _ in 0..20 {
                let answer = client
                    .get("/mine-too")
                    .header("accept-encoding", "gzip, br, zstd")
                    .await;
                assert_eq!(answer.header("content-encoding"), Some("gzip"));
                assert_eq!(unpacked("gzip", answer.bytes()), page(5000));
                lengths.insert(answer.bytes().len());
            }
            assert!(lengths.len() > 3, "{lengths:?}");
        });
    }

    #[test]
    fn what_is_not_to_be_compressed_is_not() {
        block_on(async {
            let client = client(pages(), &[]);
            for path in [
                "/small",
                "/never",
                "/mine",
                "/image",
                "/packed",
                "/part",
                "/fixed",
                "/events",
                "/unchanged",
            ] {
                let answer = client.get(path).header("accept-encoding", "gzip, br, zstd").await;
                let expected = (path == "/packed").then_some("br");
                assert_eq!(answer.header("content-encoding"), expected, "{path}");
            }
            let answer = client
                .get("/page")
                .header("authorization", "Bearer x")
                .header("accept-encoding", "gzip")
                .await;
            assert_eq!(answer.header("content-encoding"), None, "what one client alone sees");
            for accept in ["identity", "gzip;q=0", "deflate", "*;q=0", "gzip;q=0.5, identity"] {
                let answer = client.get("/page").header("accept-encoding", accept).await;
                assert_eq!(answer.header("content-encoding"), None, "{accept}");
            }
            let told = deploy(
                pages(),
                &[("SECURE_HSTS_PRELOAD", "true"), ("SECURE_SSL_REDIRECT", "true")],
            );
            assert!(told.contains(&"W034 /mine-too".to_owned()), "{told:?}");
        });
    }
}

#[test]
fn what_is_wrong_with_a_body_is_told_without_types() {
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Innermost {
        size: u8,
        kind: Kind,
    }
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    enum Kind {
        Large,
        Small { height: i64 },
    }
    block_on(async {
        let take = async |Json(_): Json<Innermost>| "";
        let client = client(site().route("/take", post(take)), &[]);
        for body in [
            "5",
            "[]",
            "null",
            "{",
            "{}",
            r#"{"size": "x", "kind": 1}"#,
            r#"{"size": 1, "kind": "Tiny"}"#,
            r#"{"size": 999, "kind": {"Small": 7}}"#,
            r#"{"size": 1, "kind": {"Small": {"height": []}}}"#,
            r#"{"size": 1e400, "kind": "Large"}"#,
            &"[".repeat(200_000),
            "\u{1}",
        ] {
            let answer = client
                .post("/take")
                .header("content-type", "application/json")
                .body(body.to_owned())
                .await;
            assert!((400..500).contains(&answer.status().as_u16()), "{}", answer.status());
            for leak in ["Innermost", "struct", "u8", "i64", "enum", "Kind ", "serde", "tests/"] {
                assert!(!answer.text().contains(leak), "{leak}: {}", answer.text());
            }
        }
    });
}

/// Strings of what browsers treat in ways of their own, all the short ones and many longer, against an implementation of the browsers'
/// rules: what is let through leads to this site or to the host that was named.
#[test]
fn browsers_agree_on_where_redirects_lead() {
    const PIECES: [&str; 24] = [
        "/",
        "\\",
        "//",
        ":",
        "@",
        "?",
        "#",
        ".",
        "..",
        "\t",
        "\n",
        " ",
        "\u{0}",
        "\u{a0}",
        "%2f",
        "%5c",
        "http",
        "https",
        "javascript",
        "evil.example",
        "site.example",
        "x",
        "[::1]",
        "\u{3002}",
    ];
    let base = url::Url::parse("https://site.example/a/b?c").unwrap_or_else(|error| panic!("{error}"));
    let mut seen = 0;
    let mut check = |target: &str| {
        if is_safe_redirect(target, &["named.example"], true) {
            seen += 1;
            let led = base.join(target).unwrap_or_else(|error| panic!("{target:?}: {error}"));
            assert!(
                led.scheme() == "https" && ["site.example", "named.example"].contains(&led.host_str().unwrap_or("")),
                "{target:?} leads to {led}"
            );
        }
    };
    for a in PIECES {
        for b in PIECES {
            for c in PIECES {
                check(&[a, b, c].concat());
                check(&["https://named.example", a, b, c].concat());
                check(&["https:", a, b, c, "named.example"].concat());
            }
        }
    }
    // Longer ones, by a small generator of our own: the same in every run.
    let mut state = 1_u64;
    for _ in 0..100_000 {
        let mut target = String::new();
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            target.push_str(PIECES[(state >> 33) as usize % PIECES.len()]);
        }
        check(&target);
    }
    assert!(seen > 1000, "{seen}");
}

/// Whatever is asked, by whatever method and with whatever headers: no failure of ours, every protection, no way out of the site.
#[test]
fn odd_requests_are_answered_like_all_others() {
    const PATHS: [&str; 20] = [
        "/",
        "//",
        "slash",
        "files",
        "a",
        "..",
        ".",
        "%2e%2e",
        "%2f",
        "%5c",
        "%00",
        "%ff",
        "%",
        "%zz",
        ";",
        "evil.example",
        ":",
        "@",
        "~",
        "%0d%0a",
    ];
    const VALUES: [&str; 18] = [
        "",
        "null",
        "*",
        "*/*;q=9",
        "text/html",
        "application/json",
        "gzip;q=0, *",
        "https://evil.example",
        "localhost",
        "evil.example",
        "localhost:99999",
        "[::1",
        "bytes=0-",
        ",,,;;;",
        "a=b; c",
        "\"",
        "1",
        "\u{ff}",
    ];
    const NAMES: [&str; 14] = [
        "host",
        "accept",
        "accept-encoding",
        "origin",
        "referer",
        "cookie",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-original-url",
        "x-http-method-override",
        "access-control-request-method",
        "content-type",
        "if-none-match",
        "range",
    ];
    const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"];
    block_on(async {
        let site = site()
            .with(Cors::origins(["https://app.example"]))
            .route("/files/{*rest}", get(async |Path(rest): Path<String>| rest))
            .route("/{a}/{b}/", get(async |Path((a, _)): Path<(String, i32)>| a));
        let client = client(site, &[]);
        let mut state = 7_u64;
        let mut pick = |all: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % all
        };
        for _ in 0..4000 {
            let mut path = "/".to_owned();
            for _ in 0..pick(6) {
                path.push_str(PATHS[pick(PATHS.len())]);
                path.push_str(["", "/", "?", "&"][pick(4)]);
            }
            if demijohn_web::http::Uri::try_from(path.as_str()).is_err() {
                continue;
            }
            let method = Method::from_bytes(METHODS[pick(METHODS.len())].as_bytes()).unwrap_or_default();
            let mut request = client.request(method.clone(), &path);
            for _ in 0..pick(4) {
                request = request.header(NAMES[pick(NAMES.len())], VALUES[pick(VALUES.len())]);
            }
            let answer = request.await;
            assert!(answer.status().as_u16() < 500, "{method} {path}: {}", answer.status());
            for name in [
                "x-content-type-options",
                "x-frame-options",
                "content-security-policy",
                "referrer-policy",
            ] {
                assert!(answer.header(name).is_some(), "{method} {path} lacks {name}");
            }
            assert_eq!(answer.header("access-control-allow-origin"), None);
            if let Some(target) = answer.header("location") {
                assert!(
                    is_safe_redirect(target, &[] as &[&str], true),
                    "{method} {path} leads to {target}"
                );
            }
        }
    });
}
