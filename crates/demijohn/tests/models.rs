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
