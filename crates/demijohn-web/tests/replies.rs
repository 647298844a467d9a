//! Replies: short forms, redirects, cookies, files, streams, conditions.
#![allow(clippy::unwrap_used)]

use demijohn_covers::covers;
use demijohn_web::test::block_on;
use demijohn_web::{
    Application, Cookie, File, Html, Json, Path, Redirect, Reply, Request, Respond, Response, Result, SameSite,
    Streamed, Text, conditional, get, post, secure_filename,
};
use http::StatusCode;
use std::collections::BTreeMap;
use std::time::Duration;

#[test]
fn short_forms() {
    covers!(
        "flask.response.tuple",
        "flask.response.dict_json",
        "http.response.basic"
    );
    block_on(async {
        let client = Application::new()
            .route("/status", get(async || (StatusCode::CREATED, "made")))
            .route(
                "/headers",
                get(async || (StatusCode::ACCEPTED, [("x-kind", "a")], "later")),
            )
            .route("/map", get(async || BTreeMap::from([("a", 1)])))
            .route("/list", get(async || vec![1, 2]))
            .route("/value", get(async || serde_json::json!({"b": null})))
            .route("/empty", get(async || StatusCode::NO_CONTENT))
            .route("/none", get(async || None::<String>))
            .route("/text", get(async || Text("plain")))
            .route("/html", get(async || Html("<b>")))
            .test_client();
        let made = client.get("/status").await;
        assert_eq!((made.status().as_u16(), made.text()), (201, "made"));
        assert_eq!(made.header("content-type"), Some("text/html; charset=utf-8"));
        let later = client.get("/headers").await;
        assert_eq!(
            (later.status().as_u16(), later.header("x-kind"), later.text()),
            (202, Some("a"), "later")
        );
        for (path, body) in [("/map", r#"{"a":1}"#), ("/list", "[1,2]"), ("/value", r#"{"b":null}"#)] {
            let response = client.get(path).await;
            assert_eq!(
                (response.header("content-type"), response.text()),
                (Some("application/json"), body)
            );
        }
        assert_eq!(client.get("/empty").await.status(), 204);
        assert_eq!(client.get("/none").await.status(), 404);
        assert_eq!(
            client.get("/text").await.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(client.get("/html").await.text(), "<b>");
    });
}

#[test]
fn headers_ignore_case_and_refuse_line_breaks() {
    covers!("http.response.headers");
    block_on(async {
        async fn set(Json(value): Json<String>) -> Result<Response> {
            let mut response = Response::new("".into()).with_header("X-Kind", &value)?;
            assert!(response.headers().contains_key("x-KIND"));
            response
                .headers_mut()
                .insert("x-gone", http::HeaderValue::from_static("1"));
            response.headers_mut().remove("X-Gone");
            Ok(response)
        }
        let client = Application::new().route("/", post(set)).test_client();
        let good = client.post("/").json("a").await;
        assert_eq!((good.header("x-kind"), good.header("x-gone")), (Some("a"), None));
        assert_eq!(client.post("/").json("a\r\nset-cookie: b=c").await.status(), 500);
    });
}

async fn show(Path(id): Path<i64>) -> String {
    id.to_string()
}

struct Thing(i64);

impl demijohn_web::HasUrl for Thing {
    fn url(&self, urls: &demijohn_web::Urls) -> Result<String> {
        urls.to(show, (self.0,))
    }
}

#[test]
fn redirects() {
    covers!(
        "flask.response.redirect",
        "http.shortcut.redirect",
        "http.response.redirect",
        "http.response.permanent_redirect"
    );
    block_on(async {
        let client = Application::new()
            .route("/show/{id}", get(show).name("show"))
            .route("/a", get(async || Redirect::to("/x/")))
            .route("/b", get(async || Redirect::to("/x/").permanent()))
            .route("/c", get(async || Redirect::route(show, (7,)).see_other()))
            .route(
                "/d",
                get(async || Redirect::route_named("show", &[("id", "8")]).status(StatusCode::PERMANENT_REDIRECT)),
            )
            .route("/e", get(async || Redirect::away("javascript:alert(1)")))
            .route("/f", get(async || Redirect::away("https://example.org/ä")))
            .route("/h", get(async || Redirect::object(Thing(9)).permanent()))
            .route(
                "/g",
                get(
                    async |demijohn_web::Query(q): demijohn_web::Query<demijohn_web::Pairs>| {
                        Redirect::to(q.get("next").unwrap_or("/"))
                    },
                ),
            )
            .test_client();
        for (path, status, target) in [
            ("/a", 302, Some("/x/")),
            ("/b", 301, Some("/x/")),
            ("/c", 303, Some("/show/7")),
            ("/d", 308, Some("/show/8")),
            ("/e", 400, None),
            ("/f", 302, Some("https://example.org/%C3%A4")),
            ("/h", 301, Some("/show/9")),
            ("/g?next=/mine", 302, Some("/mine")),
            ("/g?next=//evil.example", 400, None),
            ("/g?next=/%5Cevil.example", 400, None),
        ] {
            let response = client.get(path).await;
            assert_eq!(
                (response.status().as_u16(), response.header("location")),
                (status, target),
                "{path}"
            );
        }
    });
}

#[test]
fn cookies() {
    covers!(
        "flask.response.cookies",
        "http.response.set_cookie",
        "http.response.delete_cookie"
    );
    let cookie = Cookie::new("k", "v")
        .max_age(Duration::from_secs(60))
        .secure()
        .same_site(SameSite::Lax)
        .path("/p")
        .partitioned();
    let text = cookie.header().unwrap().to_str().unwrap().to_owned();
    let (before, after) = text.split_once("Expires=").unwrap();
    assert_eq!(before, "k=v; Path=/p; Max-Age=60; ");
    let (expires, after) = after.split_once("; ").unwrap();
    let left = httpdate::parse_http_date(expires)
        .unwrap()
        .duration_since(std::time::SystemTime::now())
        .unwrap();
    assert!((58..=60).contains(&left.as_secs()), "{left:?}");
    assert_eq!(after, "Secure; HttpOnly; SameSite=Lax; Partitioned");

    let gone = Cookie::deleted("k")
        .path("/p")
        .domain("example.org")
        .same_site(SameSite::Strict)
        .header()
        .unwrap();
    assert_eq!(
        gone,
        "k=; Path=/p; Domain=example.org; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Strict"
    );
    for (name, value) in [
        ("a b", "v"),
        ("", "v"),
        ("k", "a;b"),
        ("k", "a\nb"),
        ("k", "ä"),
        ("k;x", ""),
    ] {
        assert!(Cookie::new(name, value).header().is_err(), "{name:?} {value:?}");
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("public")).unwrap();
    std::fs::write(folder.path().join("public/a.pdf"), b"0123456789").unwrap();
    std::fs::write(folder.path().join("public/.hidden"), b"secret").unwrap();
    std::fs::write(folder.path().join("secret.txt"), b"secret").unwrap();
    std::os::unix::fs::symlink(folder.path().join("secret.txt"), folder.path().join("public/link.txt")).unwrap();
    folder
}

#[test]
fn files_have_versions_and_ranges() {
    covers!("flask.response.send_file", "http.response.file", "werkzeug.range");
    let folder = folder();
    let path = folder.path().join("public/a.pdf");
    block_on(async {
        let (plain, saved, named) = (path.clone(), path.clone(), path.clone());
        let client = Application::new()
            .route(
                "/",
                get(move || {
                    let path = plain.clone();
                    async { File::open(path).await }
                }),
            )
            .route(
                "/saved",
                get(move || {
                    let path = saved.clone();
                    async { Ok::<_, demijohn_web::Error>(File::open(path).await?.attachment("a.pdf")) }
                }),
            )
            .route(
                "/named",
                get(move || {
                    let path = named.clone();
                    async { Ok::<_, demijohn_web::Error>(File::open(path).await?.attachment("ä.pdf")) }
                }),
            )
            .test_client();
        let whole = client.get("/").await;
        assert_eq!(whole.text(), "0123456789");
        assert_eq!(whole.header("content-length"), Some("10"));
        assert_eq!(whole.header("content-type"), Some("application/pdf"));
        assert_eq!(whole.header("content-disposition"), Some("inline"));
        let (etag, modified) = (whole.header("etag").unwrap(), whole.header("last-modified").unwrap());
        assert_eq!(client.get("/").header("if-none-match", etag).await.status(), 304);
        assert_eq!(
            client.get("/").header("if-modified-since", modified).await.status(),
            304
        );
        assert_eq!(client.get("/").header("if-match", "\"x\"").await.status(), 412);

        let part = client.get("/").header("range", "bytes=0-3").await;
        assert_eq!((part.status().as_u16(), part.text()), (206, "0123"));
        assert_eq!(part.header("content-range"), Some("bytes 0-3/10"));
        assert_eq!(client.get("/").header("range", "bytes=-2").await.text(), "89");
        let none = client.get("/").header("range", "bytes=10-").await;
        assert_eq!(
            (none.status().as_u16(), none.header("content-range")),
            (416, Some("bytes */10"))
        );
        let changed = client
            .get("/")
            .header("range", "bytes=0-3")
            .header("if-range", "\"x\"")
            .await;
        assert_eq!((changed.status().as_u16(), changed.text()), (200, "0123456789"));
        let head = client.head("/").await;
        assert_eq!((head.text(), head.header("content-length")), ("", Some("10")));

        assert_eq!(
            client.get("/saved").await.header("content-disposition"),
            Some("attachment; filename=\"a.pdf\"")
        );
        assert_eq!(
            client.get("/named").await.header("content-disposition"),
            Some("attachment; filename=\"_.pdf\"; filename*=UTF-8''%C3%A4.pdf")
        );
    });
}

#[test]
fn files_of_a_folder_stay_in_it() {
    covers!("flask.response.send_from_directory", "werkzeug.safe_join");
    let folder = folder();
    let public = folder.path().join("public");
    block_on(async {
        let client = Application::new()
            .route(
                "/{*name}",
                get(move |Path(name): Path<String>| {
                    let public = public.clone();
                    async { File::within(public, name).await }
                }),
            )
            .test_client();
        assert_eq!(client.get("/a.pdf").await.text(), "0123456789");
        for path in [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/a/../../secret.txt",
            "/.hidden",
            "/link.txt",
            "/none",
            "/%2Fetc/passwd",
            "/..%5csecret.txt",
            "/a.pdf%00",
            "/a.pdf/x",
        ] {
            let response = client.get(path).await;
            assert_eq!(response.status(), 404, "{path}");
            assert!(!response.text().contains("secret"), "{path}");
        }
    });
    assert_eq!(demijohn_web::safe_join(folder.path(), "../x"), None);
    assert_eq!(demijohn_web::safe_join(folder.path(), "/x"), None);
}

#[test]
fn file_names_are_cleaned() {
    covers!("werkzeug.secure_filename");
    assert_eq!(secure_filename("../../etc/passwd"), "etc_passwd");
    assert_eq!(secure_filename("\u{4f60}\u{597d}/.."), "");
    assert_eq!(
        secure_filename("i contain cool \u{fc}ml\u{e4}uts.txt"),
        "i_contain_cool_mluts.txt"
    );
    assert_eq!(secure_filename("con.txt"), "_con.txt");
}

#[test]
fn one_call_makes_an_answer_conditional() {
    covers!("werkzeug.conditional", "http.middleware.conditional_get");
    block_on(async {
        let modified = "Thu, 01 Jan 2026 00:00:00 GMT";
        let client = Application::new()
            .route("/", get(async || "text").put(async || "put"))
            .route(
                "/dated",
                get(async || {
                    (
                        StatusCode::OK,
                        [("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")],
                        "dated",
                    )
                }),
            )
            .after(async |request: &mut Request, response: Response| conditional::apply(request, response))
            .test_client();
        let tag = client.get("/").await.header("etag").unwrap().to_owned();
        let same = client.get("/").header("if-none-match", &tag).await;
        assert_eq!(
            (same.status().as_u16(), same.text(), same.header("etag")),
            (304, "", Some(tag.as_str()))
        );
        assert_eq!(client.get("/").header("if-none-match", "\"other\"").await.status(), 200);
        assert_eq!(
            client
                .get("/dated")
                .header("if-modified-since", modified)
                .await
                .status(),
            304
        );
        assert_eq!(client.put("/").header("if-match", "\"other\"").await.status(), 412);
    });
}

#[test]
fn chunks_go_out_one_by_one() {
    covers!("flask.response.stream", "http.response.streaming");
    use http_body::Body as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    block_on(async {
        let made = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&made);
        let body = Streamed::write(async move |out| {
            for n in 1..=3 {
                counter.fetch_add(1, Ordering::Relaxed);
                out.send(n.to_string()).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        });
        let request = demijohn_web::test::request(http::Method::GET, "/");
        let response = body.reply(&request).unwrap();
        assert!(response.headers().get("content-length").is_none());
        let mut body = Box::pin(response.into_body());
        assert_eq!(body.size_hint().exact(), None);
        for n in 1..=3 {
            let frame = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(frame.into_data().unwrap(), n.to_string());
            assert_eq!(made.load(Ordering::Relaxed), n);
        }
        assert!(std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await.is_none());
    });
}

#[test]
fn answers_that_no_cache_keeps() {
    covers!("http.decorator.never_cache", "http.decorator.vary");
    block_on(async {
        let client = Application::new()
            .route(
                "/",
                get(async || "").after(async |_: &mut Request, response: Response| response.never_cache()),
            )
            .route(
                "/vary",
                get(async || "").after(async |_: &mut Request, response: Response| {
                    response
                        .vary(http::header::COOKIE)
                        .vary(http::header::ACCEPT)
                        .vary(http::header::COOKIE)
                }),
            )
            .test_client();
        let response = client.get("/").await;
        assert_eq!(
            response.header("cache-control"),
            Some("max-age=0, no-cache, no-store, must-revalidate, private")
        );
        let expires = httpdate::parse_http_date(response.header("expires").unwrap()).unwrap();
        assert!(expires <= std::time::SystemTime::now());
        let vary: Vec<_> = client
            .get("/vary")
            .await
            .headers()
            .get_all("vary")
            .iter()
            .cloned()
            .collect();
        assert_eq!(vary, ["cookie", "accept"]);
    });
}

#[test]
fn conditions_are_weighed_before_the_work_is_done() {
    covers!("http.decorator.condition");
    use demijohn_web::conditional::Version;
    block_on(async {
        async fn known(request: &mut Request) -> Result<()> {
            conditional::require(request, &Version::tagged("x"))
        }
        let client = Application::new()
            .route(
                "/",
                get(async || -> &'static str { panic!("not wanted") })
                    .put(async || -> &'static str { panic!("not wanted") })
                    .before(known),
            )
            .route("/works", get(async || "works").before(known))
            .test_client();
        let same = client.get("/").header("if-none-match", "\"x\"").await;
        assert_eq!((same.status().as_u16(), same.header("etag")), (304, Some("\"x\"")));
        assert_eq!(client.put("/").header("if-match", "\"stale\"").await.status(), 412);
        assert_eq!(
            client.get("/works").header("if-none-match", "\"y\"").await.text(),
            "works"
        );
    });
}
