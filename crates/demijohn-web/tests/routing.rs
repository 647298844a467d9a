//! Routes: parameters, methods, slashes, blueprints, links.
#![allow(clippy::unwrap_used)]

use demijohn_core::settings::Sources;
use demijohn_covers::covers;
use demijohn_web::test::block_on;
use demijohn_web::{Application, Blueprint, Json, Path, Query, Signed, Slug, State, any, get, post, url_to};

#[test]
fn five_lines_answer() {
    block_on(async {
        let client = Application::new()
            .route("/", get(async || "Hello, World!"))
            .test_client();
        let response = client.get("/").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(response.text(), "Hello, World!");
    });
}

#[test]
fn parameters_are_values_of_their_types() {
    covers!(
        "flask.routing.converter.string",
        "flask.routing.converter.int",
        "flask.routing.converter.float"
    );
    block_on(async {
        let client = Application::new()
            .route("/user/{name}", get(async |Path(name): Path<String>| name))
            .route("/post/{id}", get(async |Path(id): Path<i64>| format!("{}", id + 1)))
            .route(
                "/signed/{id}",
                get(async |Path(Signed(id)): Path<Signed<i32>>| id.to_string()),
            )
            .route("/ratio/{r}", get(async |Path(r): Path<f64>| r.to_string()))
            .test_client();
        assert_eq!(client.get("/user/ann").await.text(), "ann");
        assert_eq!(client.get("/user/ann/extra").await.status(), 404);
        assert_eq!(client.get("/post/7").await.text(), "8");
        for path in [
            "/post/abc",
            "/post/-1",
            "/post/+1",
            "/post/1%20",
            "/post/99999999999999999999",
        ] {
            assert_eq!(client.get(path).await.status(), 404, "{path}");
        }
        assert_eq!(client.get("/signed/-1").await.text(), "-1");
        assert_eq!(client.get("/ratio/1.5").await.text(), "1.5");
        assert_eq!(client.get("/ratio/1").await.status(), 404);
    });
}

#[test]
fn converters_of_django() {
    covers!(
        "http.url.path",
        "http.url.converter.int",
        "http.url.converter.str",
        "http.url.converter.slug",
        "http.url.converter.path",
        "flask.routing.converter.path"
    );
    block_on(async {
        let client = Application::new()
            .route("/articles/2003/", get(async || "first"))
            .route("/articles/{year}/", get(async |Path(_): Path<u16>| "second"))
            .route("/i/{a}/", get(async |Path(a): Path<i64>| Json(a)))
            .route("/s/{v}/", get(async |Path(v): Path<String>| v))
            .route("/slug/{s}/", get(async |Path(s): Path<Slug>| s.into_string()))
            .route("/p/{*p}", get(async |Path(p): Path<String>| p))
            .test_client();
        assert_eq!(client.get("/articles/2003/").await.text(), "first");
        assert_eq!(client.get("/articles/2004/").await.text(), "second");
        assert_eq!(client.get("/articles/2003/x/").await.status(), 404);
        assert_eq!(client.get("/i/3/").await.text(), "3");
        assert_eq!(client.get("/i/x/").await.status(), 404);
        assert_eq!(client.get("/i/-3/").await.status(), 404);
        assert_eq!(client.get("/s/ab.c/").await.text(), "ab.c");
        assert_eq!(client.get("/s/a/b/").await.status(), 404);
        assert_eq!(client.get("/slug/a-b_1/").await.text(), "a-b_1");
        assert_eq!(client.get("/slug/a.b/").await.status(), 404);
        assert_eq!(client.get("/p/a/b.c").await.text(), "a/b.c");
    });
}

#[test]
fn the_first_declared_route_that_fits_wins() {
    covers!("flask.routing.precedence");
    block_on(async {
        for flip in [false, true] {
            let new = get(async || "static");
            let named = get(async |Path(name): Path<String>| name);
            let app = Application::new();
            let app = match flip {
                false => app.route("/item/new", new).route("/item/{name}", named),
                true => app.route("/item/{name}", named).route("/item/new", new),
            };
            let client = app.test_client();
            assert_eq!(client.get("/item/new").await.text(), "static");
            assert_eq!(client.get("/item/old").await.text(), "old");
        }
        let client = Application::new()
            .route("/{id}", get(async |Path(id): Path<i64>| format!("number {id}")))
            .route("/{slug}", get(async |Path(slug): Path<String>| format!("text {slug}")))
            .route("/{*rest}", get(async |Path(rest): Path<String>| format!("rest {rest}")))
            .test_client();
        assert_eq!(client.get("/7").await.text(), "number 7");
        assert_eq!(client.get("/x").await.text(), "text x");
        assert_eq!(client.get("/x/y").await.text(), "rest x/y");
    });
}

#[test]
fn methods_head_and_options() {
    covers!(
        "flask.routing.methods",
        "flask.routing.method_shortcuts",
        "flask.routing.auto_head",
        "flask.routing.auto_options",
        "http.request.method"
    );
    block_on(async {
        let client = Application::new()
            .route("/get", get(async || "got"))
            .route("/both", get(async || "get"))
            .route("/both", post(async || "post"))
            .route("/any", any(async |method: http::Method| method.to_string()))
            .test_client();
        let refused = client.post("/get").await;
        assert_eq!(refused.status(), 405);
        assert_eq!(refused.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(client.get("/both").await.text(), "get");
        assert_eq!(client.post("/both").await.text(), "post");
        assert_eq!(
            client.put("/both").await.header("allow"),
            Some("GET, HEAD, OPTIONS, POST")
        );
        assert_eq!(client.request(http::Method::DELETE, "/any").await.text(), "DELETE");
        assert_eq!(client.request(http::Method::TRACE, "/any").await.status(), 405);

        let (get, head) = (client.get("/get").await, client.head("/get").await);
        assert_eq!(head.status(), get.status());
        assert_eq!(head.text(), "");
        for name in ["content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{name}");
            assert!(get.header(name).is_some());
        }

        let options = client.options("/get").await;
        assert_eq!(
            (options.status().as_u16(), options.header("allow")),
            (200, Some("GET, HEAD, OPTIONS"))
        );
        let client = Application::new()
            .automatic_options(false)
            .route("/get", demijohn_web::get(async || "got"))
            .test_client();
        assert_eq!(client.options("/get").await.status(), 405);
    });
}

#[test]
fn a_slash_at_the_end_is_canonical() {
    covers!("flask.routing.trailing_slash");
    block_on(async {
        let app = || {
            Application::new()
                .route("/projects/", get(async || "projects"))
                .route("/about", get(async || "about"))
                .route("/{*rest}/", get(async |Path(_): Path<String>| "unreachable"))
        };
        // The last pattern is wrong, and building says so.
        assert!(app().build(Sources::none()).is_err());
        let app = || {
            Application::new()
                .route("/projects/", get(async || "projects"))
                .route("/about", get(async || "about"))
                .route("/{host}/", get(async |Path(_): Path<String>| "host"))
        };
        let client = app().test_client();
        let response = client.get("/projects?q=1").await;
        assert_eq!(response.status(), 308);
        assert_eq!(response.header("location"), Some("/projects/?q=1"));
        assert_eq!(client.get("/about/").await.text(), "host");
        assert_eq!(client.get("//evil.example").await.status(), 404);
        let client = app().slash_redirect(http::StatusCode::MOVED_PERMANENTLY).test_client();
        assert_eq!(client.get("/projects").await.status(), 301);
        let kept = client.get("/projects?a=b").await;
        assert_eq!(kept.header("location"), Some("/projects/?a=b"));
        let client = app().slash_redirect(None).test_client();
        assert_eq!(client.get("/projects").await.status(), 404);

        let client = Application::new().route("/about", get(async || "about")).test_client();
        assert_eq!(client.get("/about/").await.status(), 404);
    });
}

async fn show(Path(id): Path<i64>) -> String {
    id.to_string()
}

async fn in_language(Path((lang, id)): Path<(String, i64)>) -> String {
    format!("{lang} {id}")
}

#[test]
fn blueprints_mount_under_a_path_with_parameters() {
    covers!("flask.blueprint.prefix", "http.url.include", "flask.blueprint.nested");
    block_on(async {
        let inner = Blueprint::new("inner").route("/x", get(async || "inner"));
        let shop = Blueprint::new("shop")
            .route("/show/{id}", get(show))
            .route("/both/{id}", get(in_language))
            .mount("/b", inner);
        let client = Application::new().mount("/{lang}/shop", shop).test_client();
        assert_eq!(client.get("/de/shop/show/7").await.text(), "7");
        assert_eq!(client.get("/de/shop/both/7").await.text(), "de 7");
        assert_eq!(client.get("/de/shop/b/x").await.text(), "inner");
        let url = |name: &str| client.url_for(name, &[("lang", "de"), ("id", "7")]);
        assert_eq!(url("shop.show").unwrap(), "/de/shop/show/7");
        assert_eq!(url("shop:show").unwrap(), "/de/shop/show/7");
    });
    block_on(async {
        let child = Blueprint::new("child").route("/x", get(async || "x").name("handler"));
        let parent = Blueprint::new("parent").mount("/b", child);
        let client = Application::new().mount("/a", parent).test_client();
        assert_eq!(client.get("/a/b/x").await.text(), "x");
        assert_eq!(client.url_for("parent.child.handler", &[]).unwrap(), "/a/b/x");
    });
}

#[test]
fn links_by_name() {
    covers!(
        "flask.routing.url_for",
        "flask.routing.url_for_missing",
        "http.url.reverse",
        "http.url.reverse_query_fragment"
    );
    let client = Application::new()
        .route("/post/{id}", get(show).name("post"))
        .route("/a/{pk}/", get(show).name("a"))
        .route("/files/{*path}", get(async |Path(p): Path<String>| p).name("file"))
        .test_client();
    assert_eq!(client.url_for("post", &[("id", "7")]).unwrap(), "/post/7");
    assert_eq!(
        client.url_for("post", &[("id", "7"), ("q", "x/&ä")]).unwrap(),
        "/post/7?q=x%2F%26%C3%A4"
    );
    assert_eq!(client.url_for("a", &[("pk", "3")]).unwrap(), "/a/3/");
    assert_eq!(
        client.url_for("file", &[("path", "a b/c?.txt")]).unwrap(),
        "/files/a%20b/c%3F.txt"
    );
    let url = client
        .urls()
        .link("a")
        .arg("pk", 3)
        .query("q", "a b")
        .anchor("f")
        .build()
        .unwrap();
    assert_eq!(url, "/a/3/?q=a+b#f");
    let missing = client.url_for("post", &[]).unwrap_err().to_string();
    assert!(missing.contains("`post`") && missing.contains("`id`"), "{missing}");
    let unknown = client.url_for("pots", &[]).unwrap_err().to_string();
    assert!(unknown.contains("no route `pots`; did you mean `post`?"), "{unknown}");
    let host = client.url_for("file", &[("path", "/evil")]).unwrap();
    assert_eq!(host, "/files//evil");
    let client = Application::new()
        .route("/{*path}", get(async |Path(p): Path<String>| p).name("file"))
        .test_client();
    assert!(client.url_for("file", &[("path", "/evil.example")]).is_err());
}

#[test]
fn links_with_a_host() {
    covers!("flask.routing.url_for_external");
    let client = Application::new()
        .server_name("host")
        .route("/path", get(async || "").name("path"))
        .test_client();
    let link = || client.urls();
    assert_eq!(
        link().link("path").scheme("https").anchor("top").build().unwrap(),
        "https://host/path#top"
    );
    assert_eq!(link().link("path").external().build().unwrap(), "http://host/path");
}

#[test]
fn instances_of_one_blueprint() {
    covers!("flask.blueprint.multi_mount", "http.url.namespace");
    async fn where_is(demijohn_web::State(_): demijohn_web::State<()>) -> demijohn_web::Result<String> {
        let by_handler = url_to(where_is, ())?;
        let urls =
            demijohn_web::current::with(|request| demijohn_web::Urls::of(request).cloned()).expect("in a handler")?;
        Ok(format!("{by_handler} {}", urls.url_for("polls:index", &[])?))
    }
    let polls = || Blueprint::new("polls").route("/", get(where_is).name("index"));
    block_on(async {
        let client = Application::new()
            .state(())
            .mount("/1", polls().named("a1"))
            .mount("/2", polls().named("a2"))
            .test_client();
        assert_eq!(client.url_for("a1.index", &[]).unwrap(), "/1/");
        assert_eq!(client.url_for("a2.index", &[]).unwrap(), "/2/");
        assert_eq!(client.url_for("polls.index", &[]).unwrap(), "/1/");
        assert_eq!(client.get("/1/").await.text(), "/1/ /1/");
        assert_eq!(client.get("/2/").await.text(), "/2/ /2/");
        let client = Application::new()
            .state(())
            .mount("/1", polls().named("a1"))
            .mount("/0", polls())
            .test_client();
        assert_eq!(client.url_for("polls.index", &[]).unwrap(), "/0/");
    });
    let twice = Application::new()
        .state(())
        .mount("/1", polls())
        .mount("/2", polls())
        .build(Sources::none());
    let findings = twice.err().expect("one name for two");
    let told = |text: &str| findings.iter().any(|finding| finding.to_string().contains(text));
    assert!(
        told("two blueprints are mounted under the name `polls`"),
        "{findings:?}"
    );
}

#[test]
fn what_is_wrong_is_found_before_serving() {
    struct Missing;
    async fn needy(_: State<Missing>) -> &'static str {
        ""
    }
    let findings = Application::new()
        .route("/a/{b}", get(async || ""))
        .route("/c", get(show))
        .route("/d", get(needy))
        .build(Sources::none())
        .err()
        .expect("three errors");
    let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(
        list[0].contains("takes 0 parameters of the path, the pattern has 1"),
        "{list:#?}"
    );
    assert!(
        list[1].contains("takes 1 parameters of the path, the pattern has 0"),
        "{list:#?}"
    );
    assert!(
        list[2].starts_with("/d: (web.E001) the handler") && list[2].contains("Missing"),
        "{list:#?}"
    );
}

#[test]
fn state_is_shared() {
    block_on(async {
        let client = Application::new()
            .state(7_u8)
            .route(
                "/",
                get(async |State(n): State<u8>, Query(q): Query<demijohn_web::Pairs>| format!("{n} {}", q.len())),
            )
            .test_client();
        assert_eq!(client.get("/?a=1&a=2").await.text(), "7 2");
    });
}

#[test]
fn a_redirect_that_loses_the_body_is_told_to_the_developer() {
    covers!("http.url.append_slash");
    block_on(async {
        let site = || {
            Application::new()
                .slash_redirect(http::StatusCode::MOVED_PERMANENTLY)
                .route("/x/", get(async || "").post(async || ""))
        };
        let client = site().test_client();
        let get = client.get("/x?a=b").await;
        assert_eq!((get.status().as_u16(), get.header("location")), (301, Some("/x/?a=b")));
        let post = client.post("/x").await;
        assert!(
            post.status() == 500 && post.text().contains("which loses its body; send it to /x/"),
            "{}",
            post.text()
        );
        assert_eq!(site().test_production_client().post("/x").await.status(), 301);
    });
}

#[test]
fn a_route_may_answer_exactly_what_it_says() {
    covers!("http.decorator.require_methods", "http.view.class_based");
    block_on(async {
        let client = Application::new()
            .automatic_options(false)
            .route("/post", post(async || ""))
            .route("/safe", get(async || "safe"))
            .route("/view", get(async || "view").automatic_options(true))
            .test_client();
        let refused = client.get("/post").await;
        assert_eq!(
            (refused.status().as_u16(), refused.header("allow")),
            (405, Some("POST"))
        );
        assert_eq!(client.head("/safe").await.status(), 200);
        let refused = client.post("/safe").await;
        assert_eq!(
            (refused.status().as_u16(), refused.header("allow")),
            (405, Some("GET, HEAD"))
        );
        assert_eq!(client.get("/view").await.text(), "view");
        assert_eq!(client.head("/view").await.status(), 200);
        let refused = client.put("/view").await;
        assert_eq!(
            (refused.status().as_u16(), refused.header("allow")),
            (405, Some("GET, HEAD, OPTIONS"))
        );
        let options = client.options("/view").await;
        assert_eq!(
            (options.status().as_u16(), options.header("allow")),
            (200, Some("GET, HEAD, OPTIONS"))
        );
    });
}

#[test]
fn uuids_have_one_form() {
    covers!("flask.routing.converter.uuid", "http.url.converter.uuid");
    block_on(async {
        let client = Application::new()
            .route(
                "/{id}/",
                get(async |Path(id): Path<uuid::Uuid>| id.as_u128().to_string()),
            )
            .test_client();
        let text = "550e8400-e29b-41d4-a716-446655440000";
        assert_eq!(
            client.get(&format!("/{text}/")).await.text(),
            "113059749145936325402354257176981405696"
        );
        for odd in [text.replace('-', ""), text.to_uppercase(), text.replace('5', "g")] {
            assert_eq!(client.get(&format!("/{odd}/")).await.status(), 404, "{odd}");
        }
    });
}

#[test]
fn converters_of_ones_own() {
    covers!("flask.routing.converter.custom", "http.url.converter.custom");
    use std::borrow::Cow;
    struct Tags(Vec<String>);
    impl demijohn_web::PathParam for Tags {
        fn from_segment(text: &str) -> Option<Self> {
            Some(Tags(text.split('+').map(str::to_owned).collect()))
        }
        fn to_segment(&self) -> Cow<'_, str> {
            self.0.join("+").into()
        }
    }
    struct Year(u16);
    impl demijohn_web::PathParam for Year {
        fn from_segment(text: &str) -> Option<Self> {
            (text.len() == 4).then(|| text.parse().ok().map(Year)).flatten()
        }
        fn to_segment(&self) -> Cow<'_, str> {
            format!("{:04}", self.0).into()
        }
    }
    async fn tagged(Path(tags): Path<Tags>) -> Json<Vec<String>> {
        Json(tags.0)
    }
    async fn yearly(Path(year): Path<Year>) -> Json<u16> {
        Json(year.0)
    }
    block_on(async {
        let client = Application::new()
            .route("/tags/{tags}", get(tagged))
            .route("/year/{year}", get(yearly))
            .test_client();
        assert_eq!(client.get("/tags/a+b").await.text(), r#"["a","b"]"#);
        assert_eq!(
            client.urls().to(tagged, (Tags(vec!["a".into(), "b".into()]),)).unwrap(),
            "/tags/a+b"
        );
        assert_eq!(client.get("/year/2003").await.text(), "2003");
        assert_eq!(client.get("/year/abcd").await.status(), 404);
        assert_eq!(client.urls().to(yearly, (Year(203),)).unwrap(), "/year/0203");
    });
}
