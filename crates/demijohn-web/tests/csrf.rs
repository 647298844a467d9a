//! What other sites can make a visitor's browser send, and what the site says to it.
#![cfg(all(feature = "sessions", feature = "multipart", feature = "template"))]
#![allow(missing_docs, clippy::unwrap_used)]

mod running;

use demijohn_core::check::Selection;
use demijohn_core::settings::Sources;
use demijohn_covers::covers;
use demijohn_template::{Folder, context};
use demijohn_web::http::StatusCode;
use demijohn_web::session::{Principal, SessionSupport};
use demijohn_web::test::{Parts, TestClient, TestResponse, block_on};
use demijohn_web::{
    Application, Assemble, Blueprint, CsrfError, CsrfToken, Form, Pairs, Request, Result, Session, TemplatesExt,
    TrustedProxies, any, get, post, render,
};
use std::sync::atomic::{AtomicUsize, Ordering};

async fn basket(session: Session, Form(form): Form<Pairs>) -> Result<&'static str> {
    session.insert("basket", form.get("put").unwrap_or_default()).await?;
    Ok("put")
}

async fn login(session: Session) -> Result<&'static str> {
    session.login(&Principal::new("7", "hash-of-7")).await?;
    Ok("in")
}

async fn logout(session: Session) -> Result<&'static str> {
    session.logout().await?;
    Ok("out")
}

fn site() -> Application {
    Application::new()
        .with(SessionSupport)
        .route("/basket", post(basket))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/token", get(async |token: CsrfToken| token.to_string()))
        .route("/write", any(async || "written"))
}

/// A client whose requests are checked.
fn strict() -> TestClient {
    site().test_client().enforce_csrf()
}

fn with_settings(site: Application, settings: &[(&'static str, &str)]) -> TestClient {
    let sources = settings
        .iter()
        .fold(Sources::none(), |sources, (name, value)| sources.var(*name, *value));
    site.build(sources).ok().unwrap().test_client().enforce_csrf()
}

fn cookies(response: &TestResponse) -> Vec<&str> {
    let lines = response.headers().get_all("set-cookie").iter();
    lines.map(|line| line.to_str().unwrap()).collect()
}

async fn token(client: &TestClient) -> String {
    client.get("/token").await.text().to_owned()
}

#[test]
fn who_writes_needs_a_token() {
    covers!("security.csrf.token");
    covers!("security.csrf.test_client");
    block_on(async {
        let lax = site().test_client();
        assert_eq!(lax.post("/write").form([("a", "1")]).await.text(), "written");
        let client = lax.enforce_csrf();
        assert_eq!(client.post("/write").form([("a", "1")]).await.status(), 403);
        let token = token(&client).await;
        for answer in [
            client.post("/write").form([("csrfmiddlewaretoken", &token)]).await,
            client.post("/write").header("x-csrftoken", &token).await,
            client.put("/write").header("x-csrftoken", &token).json(&1).await,
            client
                .post("/write")
                .multipart(
                    Parts::new()
                        .text("csrfmiddlewaretoken", &token)
                        .file("f", "a.txt", "text/plain", "x"),
                )
                .await,
            client
                .post("/write")
                .multipart(
                    Parts::new()
                        .file("f", "a.txt", "text/plain", "x")
                        .text("csrfmiddlewaretoken", &token),
                )
                .await,
        ] {
            assert_eq!((answer.status().as_u16(), answer.text()), (200, "written"));
        }
        for answer in [
            client.post("/write").await,
            client.post("/write").form([("csrfmiddlewaretoken", "")]).await,
            client.post("/write").form([("csrfmiddlewaretoken", "x")]).await,
            client.post("/write").json(&1).await,
            client.put("/write").json(&1).await,
            client.patch("/write").json(&1).await,
            client.delete("/write").await,
            // In the address it counts for nothing.
            client.post(&format!("/write?csrfmiddlewaretoken={token}")).await,
            client.post("/write").multipart(Parts::new().text("a", "1")).await,
            client
                .post("/write")
                .header("content-type", "text/plain")
                .body(format!("csrfmiddlewaretoken={token}"))
                .await,
            client
                .post("/write")
                .header("x-csrftoken", "\u{7f}".trim_matches('\u{7f}'))
                .await,
        ] {
            assert_eq!(answer.status(), 403);
        }
        assert_eq!(client.get("/write").await.text(), "written");
        assert_eq!(client.head("/write").await.status(), 200);
        assert_eq!(client.options("/write").await.status(), 200);
    });
}

#[test]
fn programs_without_cookies_need_none() {
    block_on(async {
        let client = strict();
        for answer in [
            client.post("/write").json(&1).without_header("origin").await,
            client.delete("/write").without_header("origin").await,
            client
                .post("/write")
                .header("authorization", "Bearer x")
                .without_header("origin")
                .await,
        ] {
            assert_eq!(answer.text(), "written");
        }
        // What a browser adds by itself proves nothing.
        for answer in [
            client
                .post("/write")
                .header("authorization", "Basic eDp4")
                .without_header("origin")
                .await,
            client.post("/write").without_header("origin").await,
            client.post("/write").form([("a", "1")]).without_header("origin").await,
            client
                .post("/write")
                .header("content-type", "TEXT/plain; x")
                .body("{}")
                .await,
            client
                .post("/write")
                .json(&1)
                .header("origin", "https://evil.example")
                .await,
        ] {
            assert_eq!(answer.status(), 403);
        }
    });
}

#[test]
fn no_two_tokens_are_alike() {
    covers!("security.csrf.masking");
    block_on(async {
        let client = strict();
        let (first, second) = (token(&client).await, token(&client).await);
        assert_ne!(first, second);
        for token in [first, second] {
            assert_eq!(client.post("/write").header("x-csrftoken", &token).await.status(), 200);
        }
    });
}

#[test]
fn pages_of_other_origins_are_refused() {
    block_on(async {
        let client = site()
            .allowed_hosts(["localhost", ".localhost"])
            .test_client()
            .enforce_csrf();
        let token = token(&client).await;
        let sent = async |headers: &[(&str, &str)]| {
            let request = client
                .post("/write")
                .header("x-csrftoken", &token)
                .without_header("origin");
            let request = headers
                .iter()
                .fold(request, |request, (name, value)| request.header(name, value));
            request.await.status().as_u16()
        };
        for good in [
            &[("origin", "http://localhost")][..],
            &[("origin", "http://LOCALHOST:80")],
            &[("origin", "http://localhost"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-origin")],
            &[("referer", "http://localhost/form?a=1")],
        ] {
            assert_eq!(sent(good).await, 200, "{good:?}");
        }
        for bad in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "https://localhost")],
            &[("origin", "http://localhost:8000")],
            &[("origin", "http://a.localhost")],
            &[("origin", "http://localhost.")],
            &[("origin", "http://localhost.:80")],
            &[("referer", "http://localhost./form")],
            &[("origin", "http://localhost.evil.example")],
            &[("origin", "http://evil.example")],
            &[("origin", "http://localhost@evil.example")],
            &[("origin", "http://localhost/")],
            &[("origin", "http://localhost"), ("origin", "http://evil.example")],
            &[("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("origin", "null"), ("referer", "http://localhost/")],
            &[("origin", "http://localhost"), ("sec-fetch-site", "cross-site")],
            &[("origin", "http://localhost"), ("sec-fetch-site", "same-site")],
            &[("origin", "http://localhost.")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site"), ("referer", "http://localhost/")],
            &[("referer", "http://localhost.evil.example/")],
            &[("referer", "http://localhost@evil.example/")],
            &[("referer", "https://localhost/")],
            &[("referer", "/form")],
        ] {
            assert_eq!(sent(bad).await, 403, "{bad:?}");
        }
        // Too long a body is too long wherever it comes from.
        let long = client
            .post("/write")
            .header("origin", "http://evil.example")
            .body("x".repeat(3 << 20))
            .await;
        assert_eq!(long.status(), 413);
        let refused = client.post("/write").header("origin", "http://evil.example").await;
        assert_eq!(refused.header("cache-control"), Some("private, no-store"));
        assert_eq!(refused.header("vary"), Some("cookie"));
    });
}

#[test]
fn a_token_is_of_one_session() {
    covers!("security.csrf.rotate");
    block_on(async {
        let client = strict();
        let early = token(&client).await;
        let sent = async |client: &TestClient, token: &str| {
            client
                .post("/write")
                .header("x-csrftoken", token)
                .await
                .status()
                .as_u16()
        };
        // A session that begins without a login leaves the forms good that are open already.
        let put = client
            .post("/basket")
            .form([("put", "tea"), ("csrfmiddlewaretoken", &early)])
            .await;
        assert_eq!((put.status().as_u16(), cookies(&put).len()), (200, 2));
        assert_eq!(sent(&client, &early).await, 200);
        // A login does not.
        assert_eq!(client.post("/login").header("x-csrftoken", &early).await.status(), 200);
        assert_eq!(sent(&client, &early).await, 403);
        let own = token(&client).await;
        assert_eq!(sent(&client, &own).await, 200);

        // Somebody else's token, with and without the cookie that it goes with.
        let other = client.stranger();
        let foreign = token(&other).await;
        assert_eq!(sent(&client, &foreign).await, 403);
        let victim = client.stranger();
        victim.set_cookie("sessionid", client.cookie("sessionid").unwrap());
        victim.set_cookie("csrftoken", other.cookie("csrftoken").unwrap());
        assert_eq!(sent(&victim, &foreign).await, 403);
        // Two of them, one planted.
        let both = format!(
            "sessionid={}; csrftoken={}; csrftoken={}",
            client.cookie("sessionid").unwrap(),
            other.cookie("csrftoken").unwrap(),
            client.cookie("csrftoken").unwrap()
        );
        for token in [&own, &foreign] {
            let answer = client
                .stranger()
                .post("/write")
                .header("cookie", &both)
                .header("x-csrftoken", token)
                .await;
            assert_eq!(answer.status(), 403);
        }
        // What a client makes up.
        for made_up in ["x.y", "AAAA.AAAA", ""] {
            victim.set_cookie("csrftoken", made_up);
            assert_eq!(sent(&victim, &own).await, 403);
        }
        assert_eq!(client.post("/logout").header("x-csrftoken", &own).await.status(), 200);
        assert_eq!(sent(&client, &own).await, 403);
    });
}

#[test]
fn the_form_is_there_for_its_handler_and_nothing_runs_before() {
    block_on(async {
        static HOOKS: AtomicUsize = AtomicUsize::new(0);
        let site = site()
            .before(async |_: &mut Request| {
                HOOKS.fetch_add(1, Ordering::SeqCst);
            })
            .route(
                "/form",
                post(async |Form(form): Form<Pairs>| form.get("a").unwrap_or_default().to_owned()),
            );
        let client = site.test_client().enforce_csrf();
        let token = token(&client).await;
        HOOKS.store(0, Ordering::SeqCst);
        assert_eq!(client.post("/form").form([("a", "1")]).await.status(), 403);
        assert_eq!(HOOKS.load(Ordering::SeqCst), 0);
        let pairs = [("a", "1"), ("csrfmiddlewaretoken", &token)];
        assert_eq!(client.post("/form").form(pairs).await.text(), "1");
        let parts = Parts::new().text("a", "2").text("csrfmiddlewaretoken", &token);
        assert_eq!(client.post("/form").multipart(parts).await.text(), "2");
    });
}

#[test]
fn a_site_shows_its_own_page_for_what_was_refused() {
    block_on(async {
        async fn refused(why: &CsrfError, _: &mut Request) -> (StatusCode, String) {
            (StatusCode::FORBIDDEN, format!("{why:?}"))
        }
        let client = site().on_error(refused).test_client().enforce_csrf();
        assert_eq!(client.post("/write").await.text(), "NoCookie");
        token(&client).await;
        assert_eq!(client.post("/write").await.text(), "NoToken");
    });
}

#[test]
fn a_route_that_is_exempt_takes_what_others_send() {
    block_on(async {
        let site = site().route("/hook", post(async || "taken").csrf_exempt());
        let client = site.test_client().enforce_csrf();
        let answer = client
            .post("/hook")
            .header("origin", "https://evil.example")
            .form([("a", "1")])
            .await;
        assert_eq!(answer.text(), "taken");
    });
}

#[test]
fn a_trusted_origin_without_a_scheme_is_an_error() {
    covers!("security.check.trusted_origins");
    let found = |value| {
        site()
            .build(Sources::none().var("CSRF_TRUSTED_ORIGINS", value))
            .err()
            .unwrap_or_default()
    };
    let findings = found("https://pay.example, ex.org");
    let told = findings.iter().map(ToString::to_string).collect::<String>();
    assert!(
        told.contains("security.E034") && told.contains("write `https://ex.org`"),
        "{told}"
    );
    assert!(found("https://ex.org").is_empty());
}

#[test]
fn trusted_origins_and_the_header_are_settings() {
    covers!("security.csrf.header", "security.csrf.origin", "wtf.csrf_header");
    block_on(async {
        let client = with_settings(
            site().allowed_hosts(["shop.example"]),
            &[
                ("CSRF_TRUSTED_ORIGINS", "https://pay.example, https://*.shop.example"),
                ("CSRF_HEADER_NAME", "HTTP_X_MY_TOKEN"),
            ],
        );
        let token = client
            .get("https://shop.example/token")
            .without_header("host")
            .https()
            .await
            .text()
            .to_owned();
        let sent = async |name: &str, value: &str, header: &str| {
            let request = client
                .post("https://shop.example/write")
                .without_header("host")
                .without_header("origin");
            let request = request.header(header, &token).https();
            let request = if name.is_empty() {
                request
            } else {
                request.header(name, value)
            };
            request.await.status().as_u16()
        };
        for (name, value) in [
            ("origin", "https://shop.example"),
            ("origin", "https://pay.example"),
            ("origin", "https://a.b.shop.example"),
            ("referer", "https://a.shop.example/form"),
            ("referer", "https://shop.example/form"),
        ] {
            assert_eq!(sent(name, value, "x-my-token").await, 200, "{value}");
            assert_eq!(sent(name, value, "x-csrftoken").await, 403, "another header");
        }
        for (name, value) in [
            ("", ""),
            ("origin", "http://pay.example"),
            ("origin", "https://pay.example:8443"),
            ("origin", "https://a.pay.example"),
            ("origin", "https://badshop.example"),
            ("origin", "https://evil.example"),
            ("referer", "http://shop.example/form"),
            ("referer", "https://evil.example/?https://shop.example/"),
        ] {
            assert_eq!(sent(name, value, "x-my-token").await, 403, "{value}");
        }
    });
}

#[test]
fn the_cookie_is_as_the_settings_say() {
    covers!("security.csrf.cookie_settings", "security.cookies.session_flags");
    block_on(async {
        let cookie = async |settings: &[(&'static str, &str)], https: bool| {
            let client = with_settings(site(), settings);
            let request = client.get("/token");
            let answer = if https { request.https().await } else { request.await };
            let line = cookies(&answer).join("\n");
            let expires = line.find("; Expires=").map_or(line.len(), |at| at);
            let rest = line[expires..]
                .get(2..)
                .and_then(|rest| rest.find("; ").map(|at| rest[at..].to_owned()));
            let head = line[..expires].split_once('=').map(|(name, rest)| {
                let attributes = rest.split_once(';').map_or("", |(_, attributes)| attributes);
                format!("{name};{attributes}")
            });
            format!("{}{}", head.unwrap_or_default(), rest.unwrap_or_default())
        };
        assert_eq!(
            cookie(&[], false).await,
            "csrftoken; Path=/; Max-Age=31449600; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            cookie(&[], true).await,
            "__Host-csrftoken; Path=/; Max-Age=31449600; Secure; HttpOnly; SameSite=Lax"
        );
        let own = [
            ("CSRF_COOKIE_NAME", "tk"),
            ("CSRF_COOKIE_AGE", "60"),
            ("CSRF_COOKIE_DOMAIN", "shop.example"),
            ("CSRF_COOKIE_PATH", "/shop"),
            ("CSRF_COOKIE_HTTPONLY", "false"),
            ("CSRF_COOKIE_SAMESITE", "Strict"),
        ];
        assert_eq!(
            cookie(&own, false).await,
            "tk; Path=/shop; Domain=shop.example; Max-Age=60; SameSite=Strict"
        );
        // Where the proxy that speaks https is not one that the site trusts.
        assert!(
            cookie(&[("CSRF_COOKIE_SECURE", "true")], false)
                .await
                .contains("; Secure")
        );
        assert!(
            !cookie(&[("CSRF_COOKIE_SECURE", "false")], true)
                .await
                .contains("Secure")
        );
        let client = with_settings(site(), &[("SESSION_COOKIE_SECURE", "true")]);
        let token = client.get("/token").await.text().to_owned();
        let put = client
            .post("/basket")
            .form([("put", "tea"), ("csrfmiddlewaretoken", &token)])
            .await;
        let session = cookies(&put)
            .into_iter()
            .find(|line| line.contains("sessionid"))
            .unwrap()
            .to_owned();
        assert!(
            session.starts_with("__Host-sessionid=") && session.contains("; Secure;"),
            "{session}"
        );
    });
}

#[test]
fn scripts_may_send_the_cookie_where_they_can_read_it() {
    covers!("seasurf.cookie");
    block_on(async {
        let client = with_settings(site(), &[("CSRF_COOKIE_HTTPONLY", "false")]);
        client.get("/token").https().await;
        let cookie = client.cookie("__Host-csrftoken").unwrap();
        let sent = async |token: &str, field: bool, referer: &str| {
            let request = client
                .post("/write")
                .https()
                .without_header("origin")
                .header("referer", referer);
            let request = match field {
                true => request.form([("csrfmiddlewaretoken", token)]),
                false => request.header("x-csrftoken", token),
            };
            request.await.status().as_u16()
        };
        for field in [true, false] {
            assert_eq!(sent(&cookie, field, "https://localhost/").await, 200);
            assert_eq!(sent(&cookie[1..], field, "https://localhost/").await, 403);
            assert_eq!(sent(&cookie, field, "https://evil.example/").await, 403);
        }
    });
}

const PAGE: &str = "<form method=\"post\">{{ csrf_input() }}</form><p data-token=\"{{ csrf_token }}\">{{ name }}</p>";

#[test]
fn templates_have_a_field_and_a_token() {
    covers!("templates.tag.csrf_token", "wtf.csrf_form", "http.decorator.csrf");
    block_on(async {
        let site = site()
            .templates(Folder::embedded(&[("form.html", PAGE)]))
            .route("/form", get(async || render("form.html", context! { name => "<b>" })))
            .route("/open", post(async || "taken").csrf_exempt());
        let client = site.test_client().enforce_csrf();
        let answer = client.get("/form").await;
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
        let field = "<form method=\"post\"><input type=\"hidden\" name=\"csrfmiddlewaretoken\" value=\"";
        let token_of = |text: &str| {
            assert!(text.starts_with(field) && text.ends_with(">&lt;b&gt;</p>"), "{text}");
            text[field.len()..].split('"').next().unwrap().to_owned()
        };
        let first = token_of(answer.text());
        let second = client.get("/form").await;
        assert_eq!(cookies(&second), [""; 0], "the browser has the cookie already");
        let second = token_of(second.text());
        assert_ne!(first, second);
        for token in [&first, &second] {
            assert_eq!(
                client
                    .post("/write")
                    .form([("csrfmiddlewaretoken", token)])
                    .await
                    .status(),
                200
            );
        }
        let other = client.stranger();
        other.get("/form").await;
        assert_eq!(
            other
                .post("/write")
                .form([("csrfmiddlewaretoken", &first)])
                .await
                .status(),
            403
        );
        assert_eq!(client.post("/write").form([("a", "1")]).await.status(), 403);
        assert_eq!(client.stranger().post("/open").form([("a", "1")]).await.text(), "taken");
        // A page that shows none is everybody's, and an extractor does without a form.
        assert_eq!(client.get("/write").await.header("cache-control"), None);
        let answer = client.stranger().get("/token").await;
        assert!(cookies(&answer).join("").starts_with("csrftoken="));
    });
}

#[test]
fn developers_are_told_why() {
    covers!("security.csrf.failure_view");
    block_on(async {
        let client = strict();
        let foreign = || {
            client
                .post("/write")
                .header("origin", "https://evil.example/<b>")
                .form([("a", "1")])
        };
        let answer = foreign().await;
        assert!(answer.text().contains("CSRF_TRUSTED_ORIGINS") && answer.text().contains("evil.example"));
        assert!(!answer.text().contains("<b>"));
        let key = "k3Gqv0c9x2LpWm7RtYzN8sUaHd5FjBe4oXi1QkTn6CwVrSgEyM";
        let production = with_settings(
            site(),
            &[("DEBUG", "false"), ("SECRET_KEY", key), ("ALLOWED_HOSTS", "localhost")],
        );
        let answer = production
            .post("/write")
            .header("origin", "https://evil.example")
            .form([("a", "1")])
            .await;
        assert_eq!(answer.status(), 403);
        assert!(!answer.text().contains("evil") && answer.text().contains("Reload the page"));
        let answer = production.post("/write").header("cookie", "a=b").json(&1).await;
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));

        async fn refused(why: &CsrfError, _: &mut Request) -> (StatusCode, String) {
            (StatusCode::IM_A_TEAPOT, why.to_string())
        }
        let own = site().on_error(refused).test_client().enforce_csrf();
        let answer = own.post("/write").header("origin", "https://evil.example").await;
        assert_eq!(answer.status(), 418);
        assert!(answer.text().contains("evil.example"));
    });
}

#[test]
fn a_form_of_any_size_is_bounded() {
    block_on(async {
        let site = site().route("/small", post(async || "taken").max_body_bytes(300));
        let client = site.test_client().enforce_csrf();
        let token = token(&client).await;
        let large = "x".repeat(1000);
        let form = [("csrfmiddlewaretoken", &token), ("a", &large)];
        assert_eq!(client.post("/small").form(form).await.status(), 413);
        let parts = Parts::new()
            .text("csrfmiddlewaretoken", &token)
            .file("f", "a", "text/plain", &large);
        assert_eq!(client.post("/small").multipart(parts).await.status(), 413);
        // Who has no cookie is not even read, and still told.
        assert_eq!(
            client.stranger().post("/small").form([("a", &large)]).await.status(),
            413
        );
        assert_eq!(
            client
                .post("/write")
                .multipart(Parts::new())
                .header("x-csrftoken", &token)
                .await
                .status(),
            200
        );
    });
}

#[test]
fn behind_a_proxy_the_origin_is_that_of_the_visitor() {
    block_on(async {
        let site = site().allowed_hosts(["shop.example"]).trust_proxies(TrustedProxies {
            scheme: 1,
            ..TrustedProxies::default()
        });
        let client = site.test_client().enforce_csrf();
        let by = |request: demijohn_web::test::TestRequest| {
            let request = request
                .header("host", "shop.example")
                .header("x-forwarded-proto", "https");
            request.from_peer("10.0.0.1:1".parse().unwrap())
        };
        let page = by(client.get("/token").without_header("host")).await;
        assert!(cookies(&page).join("").starts_with("__Host-csrftoken="));
        for (origin, status) in [("https://shop.example", 200), ("http://shop.example", 403)] {
            let request = client.post("/write").without_header("host").header("origin", origin);
            assert_eq!(by(request.header("x-csrftoken", page.text())).await.status(), status);
        }
    });
}

#[test]
fn what_is_off_is_told() {
    covers!("security.check.session_cookie", "security.check.csrf_cookie");
    let told = |settings: &[(&'static str, &str)], site: Application| {
        let sources = settings
            .iter()
            .fold(Sources::none(), |sources, (name, value)| sources.var(*name, *value));
        let ready = site.build(sources).ok().unwrap();
        let selection = Selection {
            deploy: true,
            tags: vec!["security".to_owned()],
            ..Selection::default()
        };
        let found = ready.program().checks.run(ready.site(), ready.settings(), &selection);
        let ours = ["W003", "W012", "W015", "W016", "W017", "W042", "W043"];
        let found = found
            .iter()
            .map(|finding| (finding.id.trim_start_matches("security."), finding.object.clone()));
        let found = found.filter(|(id, _)| ours.contains(id));
        let mut found: Vec<String> = found.map(|(id, object)| format!("{id} {object}")).collect();
        found.sort();
        found
    };
    assert_eq!(told(&[], site()), [""; 0]);
    let off = [
        ("SESSION_COOKIE_SECURE", "false"),
        ("SESSION_COOKIE_HTTPONLY", "false"),
        ("SESSION_COOKIE_SAMESITE", "none"),
        ("SESSION_COOKIE_DOMAIN", "shop.example"),
        ("CSRF_COOKIE_SECURE", "false"),
        ("CSRF_COOKIE_HTTPONLY", "false"),
    ];
    let hooks = Blueprint::new("hooks").route("/a", post(async || "")).csrf_exempt();
    let exempt = site()
        .route("/hook", post(async || "").csrf_exempt())
        .mount("/hooks", hooks);
    assert_eq!(
        told(&off, exempt),
        [
            "W003 /hook",
            "W003 hooks",
            "W012 SESSION_COOKIE_SECURE",
            "W015 SESSION_COOKIE_HTTPONLY",
            "W016 CSRF_COOKIE_SECURE",
            "W017 CSRF_COOKIE_HTTPONLY",
            "W042 SESSION_COOKIE_SAMESITE",
            "W043 SESSION_COOKIE_DOMAIN",
        ]
    );
    for (name, value) in [
        ("CSRF_TRUSTED_ORIGINS", "shop.example"),
        ("CSRF_HEADER_NAME", "no header"),
        ("CSRF_COOKIE_NAME", "a=b"),
        ("SESSION_COOKIE_SAMESITE", "sometimes"),
        ("SESSION_COOKIE_NAME", ""),
        ("SESSION_ENGINE", "nowhere"),
        ("SESSION_ENGINE", "db"),
    ] {
        let refused = site().build(Sources::none().var(name, value)).err().unwrap();
        assert!(
            refused.iter().any(|finding| finding.object == name),
            "{name}: {refused:?}"
        );
    }
}

#[test]
fn no_way_around_by_the_way_a_request_is_written() {
    block_on(async {
        let client = strict();
        let token = token(&client).await;
        // Other methods than the usual ones write too.
        for method in ["PROPFIND", "QUERY", "PURGE", "post"] {
            let method = demijohn_web::http::Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(client.request(method.clone(), "/write").json(&1).await.status(), 403);
            let good = client
                .request(method, "/write")
                .header("x-csrftoken", &token)
                .json(&1)
                .await;
            assert_eq!(good.status(), 200);
        }
        // An override of the method is none.
        for name in ["x-http-method-override", "x-method-override", "x-http-method"] {
            let answer = client
                .post("/write")
                .header(name, "GET")
                .form([("_method", "GET")])
                .await;
            assert_eq!(answer.status(), 403);
        }
        let stranger = client.stranger();
        for content_type in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-Urlencoded; charset=utf-8",
            " multipart/form-data; boundary=x",
            "text/plain;application/json",
            "text/plain",
            "",
            "nonsense",
        ] {
            let answer = stranger
                .post("/write")
                .header("content-type", content_type)
                .body("a=1")
                .await;
            assert_eq!(answer.status(), 403, "{content_type}");
        }
        let two = stranger.post("/write").header("content-type", "application/json");
        assert_eq!(two.header("content-type", "text/plain").body("{}").await.status(), 403);
        let empty = stranger.post("/write").header("cookie", "").json(&1).await;
        assert_eq!(empty.status(), 403);
    });
}

#[test]
fn a_refused_body_is_no_request() {
    use std::io::{Read, Write};
    let server = running::Running::new(site(), 1);
    let inner = "GET /write HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(5000);
    let mut stream = server.connect();
    let head = format!(
        "POST /write HTTP/1.1\r\nHost: {0}\r\nOrigin: http://evil.example\r\nCookie: a=b\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {1}\r\n\r\n",
        server.address,
        inner.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server may have closed by then.
    let _ = stream.write_all(inner.as_bytes());
    let _ = stream.write_all(b"GET /token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers);
    let answers = String::from_utf8_lossy(&answers);
    let statuses: Vec<&str> = answers
        .lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 "))
        .map(|line| &line[..3])
        .collect();
    assert!(statuses == ["403"] || statuses == ["403", "200"], "{statuses:?}");
    assert!(!answers.contains("written"));
}

#[test]
fn a_socket_knows_its_visitor() {
    covers!("channels.auth.session");
    block_on(async {
        use demijohn_web::{WebSocket, WebSocketUpgrade};
        let site = site().route(
            "/socket",
            get(async |session: Session, upgrade: WebSocketUpgrade| {
                upgrade.on_upgrade(async move |socket: WebSocket| {
                    let who = session.principal_id().await?;
                    socket.send(who.unwrap_or_else(|| "nobody".to_owned())).await
                })
            }),
        );
        let client = site.test_client();
        assert_eq!(client.websocket("/socket").await.recv_text().await, "nobody");
        client.post("/login").await;
        assert_eq!(client.websocket("/socket").await.recv_text().await, "7");
        // Not for pages of other sites, whatever cookies come along.
        let foreign = client
            .websocket("/socket")
            .origin("http://evil.example")
            .refused()
            .await;
        assert_eq!(foreign.status(), 403);
    });
}
