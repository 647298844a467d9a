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
