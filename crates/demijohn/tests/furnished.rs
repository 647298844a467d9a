//! The furnished site in one file: models, admin and API of a blueprint, mounted in an order of no meaning.
#![cfg(feature = "site")]
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use demijohn::prelude::*;
use demijohn::test::{Sources, block_on};

#[model(table = "account")]
#[derive(Clone, Debug)]
pub struct SiteUser {
    pub id: i64,
    #[field(max_length = 100)]
    pub username: String,
    #[field(sensitive, max_length = 100)]
    pub password: String,
}

#[model(app = "blog")]
#[derive(Clone, Debug)]
pub struct Tag {
    pub id: i64,
    #[field(max_length = 50)]
    pub name: String,
}

#[model(app = "blog", ordering = "-published_at", index(published_at))]
#[derive(Clone, Debug)]
pub struct Article {
    pub id: i64,
    #[field(max_length = 200)]
    pub title: String,
    #[field(text)]
    pub content: String,
    #[field(on_delete = cascade, related_name = "articles")]
    pub author: ForeignKey<SiteUser>,
    #[field(auto_now_add)]
    pub published_at: DateTime,
    #[field(related_name = "articles")]
    pub tags: ManyToMany<Tag>,
}

fn blog() -> Blueprint {
    Blueprint::new("blog")
        .models(models![Article, Tag, SiteUser])
        .admin(
            ModelAdmin::<Article>::new()
                .list_display(|a| (a.title, a.author().username, a.published_at))
                .search_fields(|a| (a.title, a.content))
                .list_filter(|a| (a.published_at, a.tags())),
        )
        .resource(Resource::<Article>::new("articles"))
}

#[test]
fn a_blueprint_brings_models_admin_pages_and_resources() {
    block_on(async {
        let site = App::new()
            .mount("/admin", admin())
            .mount("/", blog())
            .mount("/api", api());
        let ready = site
            .build(Sources::none().var("DATABASE_URL", "sqlite::memory:"))
            .unwrap();
        let client = ready.test_client();
        // The first request starts the site, which makes the tables.
        assert!(client.get("/admin/").await.text().contains("Articles"));
        let db = ready.site().get::<Db>().unwrap();
        let ann = new!(SiteUser {
            username: "ann",
            password: "secret"
        })
        .save(db)
        .await
        .unwrap();
        new!(Article {
            title: "Hello",
            content: "World",
            author: &ann
        })
        .save(db)
        .await
        .unwrap();

        let page = client.get("/admin/blog/article/?q=world").await;
        assert!(
            page.text().contains("Hello") && page.text().contains("ann"),
            "{}",
            page.text()
        );
        let list: serde_json::Value = client.get("/api/articles/").await.json();
        assert_eq!(
            (&list["count"], &list["results"][0]["title"]),
            (&1.into(), &"Hello".into())
        );
        let document: serde_json::Value = client.get("/api/openapi.json").await.json();
        assert!(document["paths"]["/admin/{blueprint}/{model}/"]["get"].is_object());
        assert_eq!(
            client.url_for("api.articles-detail", &[("pk", "1")]).unwrap(),
            "/api/articles/1/"
        );
    });
}

#[test]
fn a_database_that_is_busy_is_503_and_a_lookup_that_does_not_fit_is_400() {
    use demijohn::orm::Error as Failed;
    async fn busy() -> Result<&'static str> {
        Err(Failed::busy("the writer is held by shop.rs:7"))?
    }
    async fn lookup() -> Result<&'static str> {
        Err(Failed::lookup("titel", "Article has no such field"))?
    }
    block_on(async {
        let client = App::new()
            .route("/busy", get(busy))
            .route("/lookup", get(lookup))
            .test_production_client();
        let answer = client.get("/busy").await;
        assert_eq!(answer.status(), 503);
        assert!(!answer.text().contains("shop.rs"), "{}", answer.text());
        assert_eq!(client.get("/lookup").await.status(), 400);
    });
}

/// A hundred sockets share two connections of the database, since none keeps one while it is silent; and one that waits for the
/// database, or for something that blocks, keeps no other waiting.
#[test]
fn sockets_hold_no_connection_and_stall_no_other() {
    demijohn_covers::covers!("channels.database", "channels.consumer.sync_async");
    async fn tags(upgrade: WebSocketUpgrade, db: Db) -> Response {
        upgrade.on_upgrade(async move |mut socket: WebSocket| {
            while let Some(message) = socket.recv().await? {
                let name = message.as_text().unwrap_or_default();
                new!(Tag { name }).save(&db).await?;
                socket.send_json(&Tag::objects().count(&db).await?).await?;
            }
            Ok(())
        })
    }
    struct Gate(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);
    async fn blocking(upgrade: WebSocketUpgrade, gate: State<Gate>) -> Response {
        upgrade.on_upgrade(async move |mut socket: WebSocket| {
            socket.recv().await?;
            tokio::task::spawn_blocking(move || gate.0.0.lock().unwrap().recv())
                .await?
                .map_err(|error| Error::internal(error.to_string()))?;
            socket.send("through").await
        })
    }
    let (open_gate, gate) = std::sync::mpsc::channel();
    block_on(async {
        let file = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?readers=1", file.path().join("db.sqlite3").display());
        let ready = App::new()
            .mount("/", Blueprint::new("blog").models(models![Tag]))
            .state(Gate(gate.into()))
            .route("/tags", get(tags))
            .route("/blocking", get(blocking))
            .build(Sources::none().var("DATABASE_URL", url))
            .unwrap();
        let client = ready.test_client();
        let mut sockets = Vec::new();
        for n in 1..=100_i64 {
            let mut socket = client.websocket("/tags").await;
            socket.send("a").await;
            assert_eq!(socket.recv_json::<i64>().await, n);
            sockets.push(socket);
        }
        let mut stuck = client.websocket("/blocking").await;
        stuck.send("go").await;
        let db = ready.site().get::<Db>().unwrap();
        let mut waiting = sockets.pop().unwrap();
        db.atomic(async |_| {
            // The writer is held by this test.
            waiting.send("b").await;
            assert!(waiting.is_silent(std::time::Duration::from_millis(50)).await);
            let mut plain = client.websocket("/blocking").await;
            open_gate.send(()).unwrap();
            assert_eq!(stuck.recv_text().await, "through");
            plain.send("go").await;
            open_gate.send(()).unwrap();
            assert_eq!(plain.recv_text().await, "through");
            assert!(waiting.is_silent(std::time::Duration::ZERO).await);
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
        assert_eq!(waiting.recv_json::<i64>().await, 101);
        for (socket, n) in sockets.iter_mut().zip(102_i64..) {
            socket.send("c").await;
            assert_eq!(socket.recv_json::<i64>().await, n);
        }
    });
}
