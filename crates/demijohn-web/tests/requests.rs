//! What comes in: query, forms, JSON, headers, cookies, bodies and their limits.
#![allow(clippy::unwrap_used)]

use demijohn_covers::covers;
use demijohn_web::test::block_on;
use demijohn_web::{Application, Cookies, Form, Json, Pairs, Path, Query, Request, get, post};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use std::collections::BTreeMap;

#[test]
fn query_with_repeats() {
    covers!("flask.request.query", "http.request.get", "http.request.query_dict");
    block_on(async {
        let client = Application::new()
            .route(
                "/",
                get(async |Query(q): Query<Pairs>| {
                    format!(
                        "{:?} {:?} {:?} {} {:?}",
                        q.get("a"),
                        q.last("a"),
                        q.all("a").collect::<Vec<_>>(),
                        q.parsed_or("b", 7),
                        q.get("c")
                    )
                }),
            )
            .test_client();
        assert_eq!(
            client.get("/?a=1&a=2&b=x").await.text(),
            r#"Some("1") Some("2") ["1", "2"] 7 None"#
        );
        assert_eq!(
            client.get("/?a=1&a=2&b=3").await.text(),
            r#"Some("1") Some("2") ["1", "2"] 3 None"#
        );
    });
    let original = Pairs::parse("a=1&a=2").unwrap();
    let mut copy = original.clone();
    copy.set_all("a", ["2"]);
    copy.push("b", "&");
    assert_eq!(copy.to_query(), "a=2&b=%26");
    assert_eq!(copy.remove("a"), ["2"]);
    copy.extend([("b", "c")]);
    assert_eq!(copy.all("b").collect::<Vec<_>>(), ["&", "c"]);
    assert_eq!(original.to_query(), "a=1&a=2");
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Order {
    amount: u8,
    name: String,
}

#[test]
fn forms() {
    covers!("http.request.post");
    block_on(async {
        let client = Application::new()
            .route(
                "/map",
                post(async |Form(f): Form<Pairs>| format!("{:?} {:?}", f.get("a"), f.get("b"))),
            )
            .route("/typed", post(async |Form(order): Form<Order>| order.name))
            .test_client();
        assert_eq!(
            client.post("/map").form([("a", "1"), ("b", "ä")]).await.text(),
            r#"Some("1") Some("ä")"#
        );
        // A JSON body is no form.
        assert_eq!(client.post("/map").json(&1).await.status(), 415);
        // Nothing is unpacked.
        let packed = client
            .post("/map")
            .form([("a", "1")])
            .header("content-encoding", "gzip")
            .await;
        assert_eq!(
            (packed.status().as_u16(), packed.header("accept-encoding")),
            (415, Some("identity"))
        );
        let plain = client
            .post("/map")
            .form([("a", "1")])
            .header("content-encoding", "identity")
            .await;
        assert_eq!(plain.status(), 200);
        assert_eq!(
            client
                .post("/typed")
                .form([("amount", "1"), ("name", "x")])
                .await
                .text(),
            "x"
        );
        let missing = client
            .post("/typed")
            .form([("amount", "1")])
            .header("accept", "application/json")
            .await;
        assert_eq!(missing.status(), 400);
        assert_eq!(missing.json::<serde_json::Value>()["faults"][0]["name"], "name");
    });
}

#[test]
fn json_bodies() {
    covers!("flask.request.json");
    block_on(async {
        let client = Application::new()
            .route("/", post(async |Json(order): Json<Order>| order.name))
            .test_client();
        let send = |body: &str| {
            client
                .post("/")
                .header("content-type", "application/json")
                .body(body.to_owned())
        };
        assert_eq!(send(r#"{"amount": 1, "name": "x"}"#).await.text(), "x");
        let deep = "[".repeat(100_000);
        let with_deep = format!(
            r#"{{"amount": 1, "name": "x", "more": {}{}}}"#,
            "[".repeat(200),
            "]".repeat(200)
        );
        for body in [
            "",
            "{",
            "nul",
            r#"{"amount": "1", "name": "x"}"#,
            r#"{"amount": 1}"#,
            r#"{"amount": 300, "name": "x"}"#,
            r#"{"amount": 1, "amount": 2, "name": "x"}"#,
            r#"{"amount": 1e999, "name": "x"}"#,
            r#"{"amount": 1, "name": "\ud800"}"#,
            r#"{"amount": 1, "name": "a\u0000b"}"#,
            r#"{"amount": 1, "name": "x"} extra"#,
            &deep,
            &with_deep,
        ] {
            let response = send(body).await;
            assert_eq!(response.status(), 400, "{}", &body[..body.len().min(60)]);
        }
        let not_utf8 = client
            .post("/")
            .header("content-type", "application/json")
            .body(vec![b'"', 0xff, b'"'])
            .await;
        assert_eq!(not_utf8.status(), 400);
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonx",
            "",
        ] {
            let response = client.post("/").header("content-type", content_type).body("{}").await;
            assert_eq!(response.status(), 415, "{content_type}");
        }
        for content_type in [
            "application/json; charset=utf-8",
            "application/vnd.api+json",
            "Application/JSON",
        ] {
            let body = r#"{"amount": 1, "name": "x"}"#;
            let response = client.post("/").header("content-type", content_type).body(body).await;
            assert_eq!(response.status(), 200, "{content_type}");
        }
    });
}

#[test]
fn all_faults_of_a_request_are_told_together() {
    block_on(async {
        async fn handler(_: Query<Order>, _: Json<Order>, _: demijohn_web::Header<Version>) -> &'static str {
            "never"
        }
        struct Version;
        impl demijohn_web::FromHeader for Version {
            const NAME: &'static str = "x-version";
            fn from_header(_: &str) -> Option<Self> {
                None
            }
        }
        let client = Application::new().route("/", post(handler)).test_client();
        let response = client
            .post("/?amount=x")
            .json(&serde_json::json!({"amount": "y", "name": 1}))
            .header("x-version", "1")
            .await;
        assert_eq!(response.status(), 400);
        let problem: serde_json::Value = response.json();
        let faults: Vec<String> = problem["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| format!("{}.{}", f["place"].as_str().unwrap(), f["name"].as_str().unwrap()))
            .collect();
        assert_eq!(
            faults,
            [
                "query.amount",
                "query.name",
                "body.amount",
                "body.name",
                "header.x-version"
            ]
        );
    });
}

#[test]
fn headers_and_cookies() {
    covers!(
        "flask.request.headers_cookies",
        "http.request.headers",
        "http.request.cookies"
    );
    block_on(async {
        let client = Application::new()
            .route(
                "/",
                get(async |headers: HeaderMap, cookies: Cookies| {
                    assert_eq!(headers.get("user-agent"), headers.get("User-Agent"));
                    assert!(headers.contains_key("USER-AGENT"));
                    format!("{:?}", cookies.iter().collect::<BTreeMap<_, _>>())
                }),
            )
            .test_client();
        let send = |cookie: &str| client.get("/").header("user-agent", "test").header("cookie", cookie);
        assert_eq!(send("a=1; b=2").await.text(), r#"{"a": "1", "b": "2"}"#);
        assert_eq!(
            send(r#"a=1; nonsense; ; =; b="2 3"; c=d=e"#).await.text(),
            r#"{"": "", "a": "1", "b": "2 3", "c": "d=e"}"#
        );
    });
}

#[test]
fn paths_and_addresses() {
    covers!(
        "http.request.path",
        "http.request.full_path",
        "http.request.absolute_uri",
        "http.request.scheme_secure"
    );
    block_on(async {
        let client = Application::new()
            .before(async |request: &mut Request| -> demijohn_web::Result<Option<String>> {
                let parts = [request.path(), request.full_path(), &request.absolute_uri("/bands/")?].join(" ");
                Ok(Some(format!("{parts} {}", request.is_secure())))
            })
            .allowed_hosts(["example.com"])
            .test_client();
        let text = client
            .get("http://example.com/music/bands/?print=true")
            .without_header("host")
            .https()
            .await;
        assert_eq!(
            text.text(),
            "/music/bands/ /music/bands/?print=true https://example.com/bands/ true"
        );
        // Nobody configured a proxy, so nobody's word is taken for it.
        let forged = client
            .get("http://example.com/")
            .without_header("host")
            .header("x-forwarded-proto", "https")
            .await;
        assert!(forged.text().ends_with("false"));
    });
}

#[test]
fn bodies_are_limited() {
    covers!("flask.request.limits.body");
    block_on(async {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};
        let client = Application::new()
            .max_body_bytes(100)
            .route("/", post(async |body: bytes::Bytes| body.len().to_string()))
            .route(
                "/large",
                post(async |body: bytes::Bytes| body.len().to_string()).max_body_bytes(1000),
            )
            .test_client();
        assert_eq!(client.post("/").body(vec![0; 100]).await.text(), "100");
        assert_eq!(client.post("/").body(vec![0; 101]).await.status(), 413);
        assert_eq!(client.post("/large").body(vec![0; 1000]).await.text(), "1000");
        assert_eq!(client.post("/large").body(vec![0; 1001]).await.status(), 413);
        // Without a length it is counted, and no more is read than needed.
        let read = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&read);
        let endless = demijohn_web::Streamed::write(async move |out| {
            loop {
                counter.fetch_add(10, Ordering::Relaxed);
                out.send(vec![0; 10]).await?;
            }
        });
        let body = demijohn_web::Reply::reply(endless, &demijohn_web::test::request(http::Method::GET, "/"))
            .unwrap()
            .into_body();
        assert_eq!(client.post("/").body(body).await.status(), 413);
        assert!(read.load(Ordering::Relaxed) <= 150, "{read:?}");
    });
    // The default is 2 MB.
    block_on(async {
        let client = Application::new()
            .route("/", post(async |body: bytes::Bytes| body.len().to_string()))
            .test_client();
        assert_eq!(client.post("/").body(vec![0; 2 << 20]).await.status(), 200);
        assert_eq!(client.post("/").body(vec![0; 10 << 20]).await.status(), 413);
    });
}

#[test]
fn the_raw_body() {
    covers!("http.request.body");
    block_on(async {
        async fn twice(first: bytes::Bytes, second: String) -> String {
            format!("{} {second}", first.len())
        }
        let client = Application::new()
            .route("/", post(twice))
            .route(
                "/taken",
                post(async || "").before(async |request: &mut Request| -> demijohn_web::Result<()> {
                    request.take_body()?;
                    request.bytes().await?;
                    Ok(())
                }),
            )
            .test_client();
        assert_eq!(client.post("/").body("exact ä").await.text(), "8 exact ä");
        assert_eq!(client.post("/taken").body("x").await.status(), 500);
    });
}

#[test]
fn whatever_is_no_text_is_refused() {
    block_on(async {
        let client = Application::new()
            .route("/path/{name}", get(async |Path(name): Path<String>| name))
            .route(
                "/query",
                get(async |Query(q): Query<BTreeMap<String, String>>| format!("{q:?}")),
            )
            .route("/form", post(async |Form(f): Form<Pairs>| format!("{f:?}")))
            .route("/text", post(async |text: String| text))
            .test_client();
        for path in ["/path/%ff", "/path/a%00b", "/path/%c3"] {
            assert_eq!(client.get(path).await.status(), 404, "{path}");
        }
        for path in ["/query?a=%ff", "/query?%ff=a", "/query?a=%00"] {
            assert_eq!(client.get(path).await.status(), 400, "{path}");
        }
        for body in ["a=%ff", "%ff=a", "a=%00"] {
            let form = client
                .post("/form")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body);
            assert_eq!(form.await.status(), 400, "{body}");
        }
        let raw = client
            .post("/form")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(vec![b'a', b'=', 0xff]);
        assert_eq!(raw.await.status(), 400);
        assert_eq!(client.post("/text").body(vec![0xff]).await.status(), 400);
        let many = "a=1&".repeat(1001);
        assert_eq!(
            client.get(&format!("/query?{many}")).await.status(),
            StatusCode::BAD_REQUEST
        );
    });
}

#[test]
fn ids_are_ours_or_a_sane_one_of_the_client() {
    block_on(async {
        let client = Application::new().route("/", get(async || "")).test_client();
        let id = |given: Option<&'static str>| {
            let request = client.get("/");
            let request = match given {
                Some(given) => request.header("x-request-id", given),
                None => request,
            };
            async { request.await.header("x-request-id").unwrap().to_owned() }
        };
        assert_eq!(id(None).await.len(), 16);
        assert_ne!(id(None).await, id(None).await);
        assert_eq!(id(Some("abcdef-0123")).await, "abcdef-0123");
        for odd in ["short", "with space in it", "<script>alert(1)</script>"] {
            assert_ne!(id(Some(odd)).await, odd);
        }
    });
}

#[test]
fn the_test_client() {
    covers!("flask.test.client", "flask.test.redirects", "flask.test.context");
    block_on(async {
        async fn echo(
            Query(q): Query<Pairs>,
            Json(body): Json<serde_json::Value>,
        ) -> (StatusCode, [(&'static str, &'static str); 1], Json<serde_json::Value>) {
            (
                StatusCode::CREATED,
                [("x-seen", "yes")],
                Json(serde_json::json!({"q": q.get("q"), "body": body})),
            )
        }
        let client = Application::new()
            .route("/echo", post(echo))
            .route("/one", get(async || demijohn_web::Redirect::to("/two")))
            .route("/two", get(async || demijohn_web::Redirect::to("three")))
            .route("/three", get(async || "end"))
            .test_client();
        let response = client.post("/echo").query([("q", "a b&c")]).json(&[1]).await;
        assert_eq!(
            (response.status().as_u16(), response.header("X-Seen")),
            (201, Some("yes"))
        );
        assert_eq!(
            response.json::<serde_json::Value>(),
            serde_json::json!({"q": "a b&c", "body": [1]})
        );
        let end = client.get("/one").follow().await;
        assert_eq!(end.text(), "end");
        let targets: Vec<_> = end
            .history()
            .iter()
            .map(|response| response.header("location").unwrap())
            .collect();
        assert_eq!(targets, ["/two", "three"]);
    });
    fn helper() -> Option<String> {
        demijohn_web::current::with(|request| request.path().to_owned())
    }
    let mut request = demijohn_web::test::request(http::Method::GET, "/made/by/hand");
    assert_eq!(
        demijohn_web::test::with_request(&mut request, helper).as_deref(),
        Some("/made/by/hand")
    );
    assert_eq!(helper(), None);
}

#[test]
fn what_the_client_would_like() {
    covers!(
        "flask.request.accept",
        "http.request.accepts",
        "http.request.preferred_type"
    );
    let accept = |text: &str| {
        let mut request = demijohn_web::test::request(http::Method::GET, "/");
        if !text.is_empty() {
            request.head_mut().headers.insert("accept", text.parse().unwrap());
        }
        demijohn_web::Accept::of(&request)
    };
    let both = ["text/html", "application/json"];
    assert_eq!(
        accept("text/html;q=0.5, application/json").best(&both),
        Some("application/json")
    );
    assert_eq!(accept("image/png").best(&both), None);
    assert_eq!(accept("").best(&both), Some("text/html"));
    assert_eq!(accept("text/html;q=0, */*;q=0.1").best(&both), Some("application/json"));
    assert!(accept("text/html").accepts("text/html") && !accept("text/html").accepts("application/json"));
    assert!(accept("").accepts("anything/at-all"));
    assert!(accept("nonsense, q=1, /;;, text/html;q=7").accepts("image/png"));
}

/// One cookie that is odd takes no other with it, and is not taken for another.
#[test]
fn odd_cookies_harm_no_others() {
    async fn show(cookies: Cookies) -> String {
        cookies
            .iter()
            .map(|(name, value)| format!("[{name}|{value}]"))
            .collect()
    }
    block_on(async {
        let client = Application::new().route("/", get(show)).test_client();
        for (line, shown) in [
            ("a=\u{e4}; b=2", "[a|\u{e4}][b|2]"),
            ("a; b=2", "[b|2]"),
            (";;; ;b=2;", "[b|2]"),
            ("=b; b=2", "[|b][b|2]"),
            ("a=\"x y\"; b=\"", "[a|x y][b|\"]"),
            ("a=b=c", "[a|b=c]"),
            // White space that only Unicode knows is part of a name.
            (
                "\u{2000}b=1; \u{a0}b=2; b\u{85}=3; b=4",
                "[\u{2000}b|1][\u{a0}b|2][b\u{85}|3][b|4]",
            ),
        ] {
            assert_eq!(client.get("/").header("cookie", line).await.text(), shown, "{line}");
        }
    });
}

#[test]
fn numbers_have_an_end() {
    async fn query(Query(query): Query<BTreeMap<String, f64>>) -> String {
        format!("{query:?}")
    }
    async fn single(Query(query): Query<BTreeMap<String, f32>>) -> String {
        format!("{query:?}")
    }
    async fn path(Path(number): Path<f64>) -> String {
        number.to_string()
    }
    block_on(async {
        let client = Application::new()
            .route("/query", get(query))
            .route("/single", get(single))
            .route("/path/{number}", get(path))
            .test_client();
        for number in ["NaN", "inf", "-infinity", "1e999", "x", ""] {
            assert_eq!(
                client.get(&format!("/query?a={number}")).await.status(),
                400,
                "{number}"
            );
        }
        assert_eq!(client.get("/query?a=-1.5e3").await.text(), r#"{"a": -1500.0}"#);
        assert_eq!(client.get("/single?a=0.1").await.text(), r#"{"a": 0.1}"#);
        assert_eq!(client.get("/single?a=1e39").await.status(), 400);
        let long = "9".repeat(400);
        assert_eq!(client.get(&format!("/path/{long}.0")).await.status(), 404);
        assert_eq!(client.get("/path/1.5").await.text(), "1.5");
    });
}
