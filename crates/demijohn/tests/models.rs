//! Sites with models as their developers meet them: what `check` finds, what commands find, what tests are given.
#![cfg(feature = "site")]
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, dead_code)]

use demijohn::check::Finding;
use demijohn::orm::ModelRegistry;
use demijohn::prelude::*;
use demijohn::test::{RequestFactory, Sources, TestData, block_on, call_command};
use demijohn_covers::covers;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

/// All findings of a site that was built.
fn findings(app: App) -> Vec<Finding> {
    let ready = app.build(Sources::none().var("DATABASE_URL", "sqlite::memory:"));
    let report = ready.ok().unwrap().program().check(&Default::default());
    report.findings().to_vec()
}

#[track_caller]
fn assert_found(findings: &[Finding], id: &str, object: &str, part: &str) {
    let about = |f: &&Finding| f.id == id && f.object.starts_with(object) && f.message.contains(part);
    let found = findings.iter().find(about);
    let found = found.unwrap_or_else(|| panic!("no {id} on {object} with `{part}` in {findings:#?}"));
    assert!(!found.hint.is_empty(), "{found} says no mend");
    assert!(found.object.contains("models.rs:"), "{found} names no place");
}

mod clashes {
    use demijohn::prelude::*;

    #[model(table = "things")]
    #[derive(Clone, Debug)]
    pub struct Thing {
        pub id: i64,
        #[field(max_length = 10)]
        pub name: String,
        #[field(max_length = 10, column = "NAME")]
        pub other: String,
        #[field(related_name = "parts")]
        pub owners: ManyToMany<Owner>,
    }

    #[model(table = "Things")]
    #[derive(Clone, Debug)]
    pub struct Owner {
        pub id: i64,
        #[field(on_delete = cascade, related_name = "name")]
        pub of: ForeignKey<Thing>,
        #[field(on_delete = cascade, related_name = "owners")]
        pub again: ForeignKey<Thing>,
        #[field(table = "things")]
        pub things: ManyToMany<Thing>,
        #[field(
            max_length = 5,
            column = "a_column_with_a_name_that_is_longer_than_any_database_would_like_it_to_be"
        )]
        pub long: String,
    }

    #[model]
    #[derive(Clone, Debug)]
    pub struct Stray {
        pub id: i64,
        #[field(on_delete = cascade, related_name = "strays")]
        pub of: ForeignKey<Unregistered>,
        #[field(on_delete = cascade, related_name = "strays")]
        pub and: ForeignKey<Unregistered>,
        #[field(on_delete = cascade, related_name = "strays_")]
        pub last: ForeignKey<Unregistered>,
    }

    #[model]
    #[derive(Clone, Debug)]
    pub struct Unregistered {
        pub id: i64,
    }

    #[allow(non_camel_case_types)]
    pub mod again {
        use demijohn::prelude::*;

        #[model(table = "again")]
        #[derive(Clone, Debug)]
        pub struct Thing {
            pub id: i64,
        }

        #[model(table = "lookups")]
        #[derive(Clone, Debug)]
        pub struct Like__Lookup_ {
            pub id: i64,
        }
    }
}

#[test]
fn names_that_clash_are_found_with_the_place_and_the_mend() {
    use clashes::again;
    let found = findings(App::new().mount(
        "/",
        Blueprint::new("shop").models(models![
            clashes::Thing,
            clashes::Owner,
            clashes::Stray,
            again::Thing,
            again::Like__Lookup_
        ]),
    ));
    assert_found(&found, "models.E028", "Owner (", "table `Things` belongs to");
    assert_found(&found, "models.E007", "Thing.other (", "is that of the field `name`");
    assert_found(&found, "models.E018", "Owner.long (", "has 73 bytes");
    assert_found(&found, "models.E901", "Thing (", "`shop` has a model of this name");
    assert_found(&found, "models.E023", "Like__Lookup_ (", "underscore");
    assert_found(&found, "models.E024", "Like__Lookup_ (", "two underscores");
    assert_found(
        &found,
        "fields.E300",
        "Stray (",
        "Unregistered, which is not registered",
    );
    assert_found(&found, "fields.E302", "Owner (", "the way back of Owner.of, `name`");
    assert_found(
        &found,
        "fields.E302",
        "Owner (",
        "the way back of Owner.again, `owners`",
    );
    assert_found(&found, "fields.E304", "Stray (", "Stray.and and Stray.of both call");
    assert_found(&found, "fields.E308", "Stray.last (", "ends with an underscore");
    assert_found(&found, "fields.E340", "Owner.things (", "belongs to");
}

#[model(app = "shop", ordering = "id")]
#[derive(Clone, Debug)]
pub struct Item {
    pub id: i64,
    #[field(max_length = 50)]
    pub name: String,
}

async fn add(db: Db, Path(name): Path<String>) -> Result<Redirect> {
    new!(Item { name }).save(&db).await?;
    Ok(Redirect::to("/"))
}

async fn list(db: Db) -> Result<String> {
    let items = Item::objects().all(&db).await?;
    Ok(items
        .iter()
        .map(|item| item.name.as_str())
        .collect::<Vec<_>>()
        .join(", "))
}

fn app() -> App {
    App::new()
        .models(models![Item])
        .route("/", get(list))
        .route("/add/{name}", post(add))
        .command(Command::new("count").about("Counts the items"), async |call: Call| {
            let count = Item::objects().count(call.provided::<Db>()?).await?;
            writeln!(call.out(), "{count} items")?;
            Ok(())
        })
        .command(
            Command::new("bare").about("Asks no table").unstarted(),
            async |call: Call| {
                let there = Item::objects().count(call.provided::<Db>()?).await.is_ok();
                writeln!(call.out(), "tables: {there}")?;
                Ok(())
            },
        )
}

#[test]
fn commands_find_the_tables_unless_they_do_without() {
    block_on(async {
        let starts = std::sync::Arc::new(AtomicU32::new(0));
        let counted = starts.clone();
        let ready = app()
            .on_start(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                async { Ok(()) }
            })
            .build(Sources::none().var("DATABASE_URL", "sqlite::memory:"))
            .unwrap();
        let bare = call_command(ready.program(), ["bare"]).await;
        assert_eq!((bare.code, bare.stdout.as_str()), (0, "tables: false\n"));
        let count = call_command(ready.program(), ["count"]).await;
        assert_eq!(
            (count.code, count.stdout.as_str()),
            (0, "0 items\n"),
            "{}",
            count.stderr
        );
        ready.test_client().post("/add/Pen").await.assert_redirects("/");
        let count = call_command(ready.program(), ["count"]).await;
        assert_eq!(count.stdout, "1 items\n");
        assert_eq!(starts.load(Ordering::SeqCst), 1, "one site starts once");
    });
}

#[test]
fn a_start_that_fails_fails_the_command_and_is_tried_again() {
    block_on(async {
        let ready = App::new()
            .on_start(|_| async { Err(Error::internal("the shelf is locked")) })
            .command(Command::new("look"), async |_| Ok(()))
            .build(Sources::none())
            .ok()
            .unwrap();
        for _ in 0..2 {
            let outcome = call_command(ready.program(), ["look"]).await;
            assert_eq!(outcome.code, 1);
            assert_eq!(outcome.stderr, "error: the shelf is locked\n");
        }
        assert_eq!(call_command(ready.program(), ["check"]).await.code, 0);
    });
}

static STOCKED: TestData = TestData::new(app, |db| {
    Box::pin(async move {
        FILLED.fetch_add(1, Ordering::SeqCst);
        for name in ["Pen", "Ink"] {
            new!(Item { name }).save(&db).await?;
        }
        Ok(())
    })
});
static FILLED: AtomicU32 = AtomicU32::new(0);

#[test]
fn what_one_test_changes_no_other_sees_and_the_shared_data_are_made_once() {
    covers!("platform.test.testcase");
    block_on(async {
        let first = STOCKED.site();
        first.get("/").await.assert_contains("Pen, Ink");
        first.post("/add/Paper").await.assert_redirects("/");
        Item::objects()
            .filter(|i| i.name.eq("Pen"))
            .delete(first.db())
            .await
            .unwrap();
        first.get("/").await.assert_contains("Ink, Paper");
        // A copy that is made later, and one while the first is still there.
        let second = STOCKED.site();
        second
            .get("/")
            .await
            .assert_contains("Pen, Ink")
            .assert_not_contains("Paper");
        drop(first);
        let third = STOCKED.site();
        third
            .get("/")
            .await
            .assert_contains("Pen, Ink")
            .assert_not_contains("Paper");
        let count = call_command(third.ready().program(), ["count"]).await;
        assert_eq!(count.stdout, "2 items\n");
    });
    assert_eq!(FILLED.load(Ordering::SeqCst), 1);
}

#[test]
fn tests_that_run_at_the_same_time_have_a_database_each() {
    covers!("platform.test.parallel");
    // All are in the middle of it before one goes on.
    let middle = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let middle = &middle;
            scope.spawn(move || {
                block_on(async {
                    let site = STOCKED.site();
                    site.post(&format!("/add/by-{worker}")).await.assert_redirects("/");
                    middle.wait();
                    assert_eq!(site.get("/").await.text(), format!("Pen, Ink, by-{worker}"));
                    Item::objects().delete(site.db()).await.unwrap();
                    middle.wait();
                    assert_eq!(site.get("/").await.text(), "");
                    // The same keys again: nobody waits for another's.
                    new!(Item { name: "last" }).save(site.db()).await.unwrap();
                    assert_eq!(Item::objects().count(site.db()).await.unwrap(), 1);
                });
            });
        }
    });
}

#[test]
fn nothing_of_a_copy_is_left_behind() {
    let path = block_on(async {
        let site = STOCKED.site();
        let url: String = site.ready().settings().get("DATABASE_URL").unwrap();
        let path = std::path::PathBuf::from(url.strip_prefix("sqlite://").unwrap());
        site.post("/add/Paper").await.assert_redirects("/");
        assert!(path.is_file());
        path
    });
    assert!(!path.parent().unwrap().exists());
}

/// Looks a model up while the site is put together, and once all parts are in.
struct Early(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

impl demijohn::Part for Early {
    fn install(self: Box<Self>, site: &mut demijohn::Site) {
        let found = |site: &mut demijohn::Site| match site.entry::<ModelRegistry>().find("shop.Item") {
            Ok(meta) => meta.table.to_owned(),
            Err(error) => error.to_string(),
        };
        self.0.lock().unwrap().push(found(site));
        site.on_build(demijohn::Phase::Derive, move |site| {
            self.0.lock().unwrap().push(found(site));
            Ok(())
        });
    }
}

#[test]
fn blueprints_keep_their_order_have_names_of_their_own_and_their_models_are_found_by_them() {
    covers!("platform.apps.registry");
    let blueprint = |name: &'static str| Blueprint::new(name).route("/who", get(move || async move { name }));
    let shop = || blueprint("shop").models(models![Item]);
    let memory = || Sources::none().var("DATABASE_URL", "sqlite::memory:");
    let build = |app: App| app.build(memory()).unwrap_or_else(|findings| panic!("{findings:#?}"));

    // The one that is mounted first answers first.
    for (first, second, who) in [(shop(), blueprint("blog"), "shop"), (blueprint("blog"), shop(), "blog")] {
        let ready = build(App::new().mount("/", first).mount("/", second));
        block_on(async { assert_eq!(ready.test_client().get("/who").await.text(), who) });
    }

    let twice = App::new()
        .mount("/a", shop())
        .mount("/b", blueprint("shop"))
        .build(memory());
    let findings = twice.err().unwrap();
    let twice = findings.iter().find(|f| f.id == "web.E004").unwrap();
    assert!(
        twice.message.contains("`shop`") && twice.hint.contains(".named("),
        "{twice}"
    );

    let early = std::sync::Arc::default();
    let ready = build(
        App::new()
            .with(Early(std::sync::Arc::clone(&early)))
            .mount("/shop", shop())
            .models(models![clashes::Unregistered]),
    );
    let registry = ready.site().get::<ModelRegistry>().unwrap();
    assert_eq!(registry.find("shop.Item").unwrap().table, "shop_item");
    assert_eq!(registry.find("shop.item").unwrap().name, "Item");
    assert_eq!(registry.find("Unregistered").unwrap().name, "Unregistered");
    let unknown = |label: &str| registry.find(label).err().unwrap().to_string();
    assert!(
        unknown("shop.Itme").contains("did you mean `shop.Item`?"),
        "{}",
        unknown("shop.Itme")
    );
    assert!(
        unknown("blog.Item").contains("no model `blog.Item`"),
        "{}",
        unknown("blog.Item")
    );
    let early = early.lock().unwrap();
    assert!(early[0].contains("before all models were registered"), "{early:?}");
    assert_eq!(early[1], "shop_item");
}

#[test]
fn handlers_are_called_with_requests_made_by_hand() {
    covers!("platform.test.request_factory");
    async fn edit(
        method: Method,
        uri: demijohn::http::Uri,
        headers: HeaderMap,
        Path((shelf, row)): Path<(String, u8)>,
        Query(query): Query<std::collections::HashMap<String, String>>,
        Json(body): Json<Vec<u32>>,
    ) -> Result<(StatusCode, String)> {
        let agent = headers["user-agent"].to_str().unwrap_or("nobody");
        let text = format!("{method} {} {shelf} {row} {} {body:?} {agent}", uri.path(), query["q"]);
        match body.is_empty() {
            true => Err(Error::not_found("nothing to edit")),
            false => Ok((StatusCode::ACCEPTED, text)),
        }
    }
    block_on(async {
        let factory = RequestFactory::new();
        let request = |body: &[u32]| {
            let request = factory.put("/shelves/a/3?q=x").param("a").param(3);
            request.header("user-agent", "tester").json(body)
        };
        // No route, no hook and no protection is in between: the arguments are the request's own.
        let answer = request(&[1, 2]).call(edit).await.unwrap();
        answer.assert_status(202);
        assert_eq!(answer.text(), "PUT /shelves/a/3 a 3 x [1, 2] tester");
        // An error comes as the handler returned it, not as a page.
        let error = request(&[]).call(edit).await.unwrap_err();
        assert_eq!(
            (error.status(), error.to_string().as_str()),
            (StatusCode::NOT_FOUND, "nothing to edit")
        );
        let refused = factory
            .put("/")
            .param("a")
            .param("many")
            .json(&[1])
            .call(edit)
            .await
            .unwrap_err();
        assert_eq!(refused.status(), StatusCode::NOT_FOUND);

        // The request by itself, for helpers that take one.
        let mut request = factory.post("/orders?page=2").form([("name", "Ann")]).into_request();
        assert_eq!(
            (request.method(), request.full_path()),
            (&Method::POST, "/orders?page=2")
        );
        let Form(form) = Form::<std::collections::HashMap<String, String>>::extract(&mut request)
            .await
            .unwrap();
        assert_eq!(form["name"], "Ann");

        // With what the site provides: its database.
        let site = STOCKED.site();
        let answer = site.get("/wherever").call(list).await.unwrap();
        assert_eq!(answer.text(), "Pen, Ink");
        let missing = factory.get("/").call(list).await.unwrap_err();
        assert!(missing.to_string().contains("Db"), "{missing}");
    });
}

#[test]
fn a_client_sends_everything_a_browser_does_and_tells_everything_that_came_back() {
    covers!("platform.test.client");
    #[derive(Context)]
    #[template("tests/page.html")]
    struct Shown {
        title: String,
        size: usize,
    }
    async fn echo(
        method: Method,
        uri: demijohn::http::Uri,
        headers: HeaderMap,
        body: String,
    ) -> (StatusCode, HeaderMap, String) {
        let mut back = HeaderMap::new();
        back.insert("x-method", method.as_str().parse().unwrap());
        let header = |name: &str| {
            headers
                .get(name)
                .map_or("-", |value| value.to_str().unwrap())
                .to_owned()
        };
        (
            StatusCode::OK,
            back,
            format!("{uri} {} {} {body}", header("x-test"), header("content-type")),
        )
    }
    async fn upload(files: Files, Form(texts): Form<std::collections::HashMap<String, String>>) -> Result<String> {
        let file = files.get("f").ok_or_else(|| Error::bad_request("no file"))?;
        let content = String::from_utf8(file.bytes().await?.to_vec()).unwrap();
        Ok(format!("{} {} {content}", texts["t"], file.file_name()))
    }
    async fn visit(session: demijohn::web::Session, cookies: demijohn::web::Cookies) -> Result<String> {
        let n: u32 = session.get("visits").await?.unwrap_or(0) + 1;
        session.insert("visits", n).await?;
        Ok(format!("{n} {}", cookies.get("taste").unwrap_or("none")))
    }
    fn secure(request: &mut Request) -> impl Future<Output = Result<Option<Response>>> + Send + use<> {
        let mark = request.path() == "/secure" && request.is_secure();
        async move {
            match mark {
                true => Err(Error::bare(StatusCode::IM_A_TEAPOT)),
                false => Ok(None),
            }
        }
    }
    static FOLDER: demijohn::template::Folder = demijohn::template::Folder::embedded(&[
        (
            "tests/page.html",
            "{% extends \"tests/base.html\" %}{% block b %}{{ title }} {{ size }}{% endblock %}",
        ),
        ("tests/base.html", "<{% block b %}{% endblock %}>"),
    ]);
    let app = App::new()
        .templates(FOLDER)
        .models(models![Item])
        .before(secure)
        .route("/echo", any(echo))
        .route("/secure", get(async || "plain"))
        .route("/upload", post(upload))
        .route("/visit", get(visit))
        .route(
            "/page",
            get(async || {
                Page(Shown {
                    title: "<T>".into(),
                    size: 3,
                })
            }),
        )
        .route("/one", get(async || Redirect::to("/two?x=1")))
        .route("/two", get(async || Redirect::to("/echo?y=2").permanent()));
    let ready = app.build(Sources::none().var("DATABASE_URL", "sqlite::memory:"));
    let ready = ready.unwrap_or_else(|findings| panic!("{findings:#?}"));
    block_on(async {
        let client = ready.test_client();
        for (request, method) in [
            (client.get("/echo"), "GET"),
            (client.post("/echo"), "POST"),
            (client.put("/echo"), "PUT"),
            (client.patch("/echo"), "PATCH"),
            (client.delete("/echo"), "DELETE"),
            (client.head("/echo"), "HEAD"),
            (client.options("/echo"), "OPTIONS"),
        ] {
            let answer = request.header("x-test", "t").query([("q", "a b")]).await;
            answer.assert_status(200).assert_header("x-method", method);
            let body = if method == "HEAD" { "" } else { "/echo?q=a+b t - " };
            assert_eq!(answer.text(), body, "{method}");
        }
        // A client can send it; no site answers it.
        client.trace("/echo").await.assert_status(405);
        let json = client.post("/echo").json(&[1, 2]).await;
        assert_eq!(json.text(), "/echo - application/json [1,2]");
        let form = client.post("/echo").form([("a", "b c")]).await;
        assert_eq!(form.text(), "/echo - application/x-www-form-urlencoded a=b+c");
        let parts = demijohn::test::Parts::new()
            .text("t", "text")
            .file("f", "a.txt", "text/plain", "content");
        client
            .post("/upload")
            .multipart(parts)
            .await
            .assert_contains("text a.txt content");

        assert_eq!(client.get("/secure").await.text(), "plain");
        client.get("/secure").https().await.assert_status(418);

        let followed = client.get("/one").follow().await;
        assert_eq!(followed.text(), "/echo?y=2 - - ");
        let chain: Vec<(u16, &str)> = followed
            .history()
            .iter()
            .map(|answer| (answer.status().as_u16(), answer.header("location").unwrap()))
            .collect();
        assert_eq!(chain, [(302, "/two?x=1"), (301, "/echo?y=2")]);
        client.get("/one").await.assert_status(302);

        client.set_cookie("taste", "sweet");
        assert_eq!(client.get("/visit").await.text(), "1 sweet");
        client
            .session(async |session| session.insert("visits", 41).await)
            .await
            .unwrap();
        assert_eq!(client.get("/visit").await.text(), "42 sweet");
        let visits = client
            .session(async |session| session.get::<u32>("visits").await)
            .await
            .unwrap();
        assert_eq!(visits, Some(42));
        assert!(client.cookie("sessionid").is_some());
        assert_eq!(client.stranger().get("/visit").await.text(), "1 none");

        let page = client.get("/page").await;
        assert_eq!(page.text(), "<&lt;T&gt; 3>");
        page.assert_template_used("tests/page.html")
            .assert_template_used("tests/base.html");
        assert_eq!(page.templates(), ["tests/page.html", "tests/base.html"]);
        assert_eq!(page.context("title").unwrap().as_str(), Some("<T>"));
        assert_eq!(page.context("size").unwrap().as_usize(), Some(3));
        assert!(page.context("none").is_none() && json.templates().is_empty());
    });
}

#[test]
fn a_wrong_setting_is_told_once_and_before_anybody_meets_it() {
    let wrong = |name: &str, value: &str| {
        let sources = Sources::none().var("DATABASE_URL", "sqlite::memory:").var(name, value);
        let app = app().route("/a", get(list)).route("/b", get(list));
        let findings = app.build(sources).err().unwrap_or_else(|| panic!("{name} is taken"));
        assert_eq!(findings.len(), 1, "{findings:#?}");
        findings[0].to_string()
    };
    let origins = wrong("CORS_ALLOWED_ORIGINS", "example.org");
    assert!(origins.contains("CORS_ALLOWED_ORIGINS: (security.E032)"), "{origins}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let media = wrong("MEDIA_ROOT", file.path().to_str().unwrap());
    assert!(
        media.contains("MEDIA_ROOT: (media.E003)") && media.contains("is a file"),
        "{media}"
    );
}
