//! The API as a client sees it, over a small blog in a database in memory.
#![allow(missing_docs, unused_crate_dependencies, unreachable_pub, clippy::unwrap_used)]

extern crate demijohn_orm as demijohn;

use demijohn_core::settings::Sources;
use demijohn_covers::covers;
use demijohn_macros::model;
use demijohn_orm::{DateTime, Db, ForeignKey, ManyToMany, ModelsExt, models, new};
use demijohn_rest::{Api, Resource, ResourceExt, api};
use demijohn_web::test::{TestClient, block_on};
use demijohn_web::{Application, Blueprint, Json, Path, any, get, post};
use serde_json::{Value, json};
use std::sync::Arc;

#[model(app = "blog")]
#[derive(Clone, Debug)]
pub struct Author {
    pub id: i64,
    #[field(max_length = 100)]
    pub name: String,
    #[field(sensitive, max_length = 100)]
    pub password: String,
}

#[model(app = "blog")]
#[derive(Clone, Debug)]
pub struct Tag {
    #[field(primary_key, max_length = 50)]
    pub name: String,
}

#[model(app = "blog", ordering = "-published_at")]
#[derive(Clone, Debug)]
pub struct Article {
    pub id: i64,
    #[field(max_length = 200, help_text = "what it is called")]
    pub title: String,
    #[field(default = false)]
    pub public: bool,
    pub rating: Option<f64>,
    pub picture: Vec<u8>,
    pub published_at: DateTime,
    #[field(on_delete = cascade, related_name = "articles")]
    pub author: ForeignKey<Author>,
    #[field(related_name = "articles")]
    pub tags: ManyToMany<Tag>,
}

async fn database() -> Db {
    let db = Db::new(Arc::new(demijohn_sqlite::Sqlite::open("sqlite::memory:").unwrap()));
    let metas = models![Author, Tag, Article].map(|meta| meta());
    let script = demijohn_sql::create_tables(&metas, db.dialect().unwrap()).join(";\n");
    db.execute_script(script).await.unwrap();
    let ann = author(&db, "Ann").await;
    let bob = author(&db, "Bob").await;
    let tag = new!(Tag { name: "a/b c" }).save(&db).await.unwrap();
    for i in 0..5 {
        let article = new!(Article {
            title: format!("Article {i}"),
            public: i != 4,
            picture: vec![0, 255],
            published_at: format!("2026-01-0{}T00:00:00.5Z", 1 + i).parse::<DateTime>().unwrap(),
            author: if i < 3 { &ann } else { &bob }
        });
        let article = article.save(&db).await.unwrap();
        if i == 2 {
            article.tags().add(&db, [&tag]).await.unwrap();
        }
    }
    db
}

async fn author(db: &Db, name: &str) -> Author {
    let draft = new!(Author {
        name,
        password: "$argon2id$secret"
    });
    draft.save(db).await.unwrap()
}

fn blog() -> Blueprint {
    Blueprint::new("blog")
        .models(models![Author, Tag, Article])
        .resource(
            Resource::<Article>::new("articles")
                .filter(|a| a.public.eq(true))
                .filter_fields(|a| (a.author, a.public, a.author().name, a.tags())),
        )
        .resource(
            Resource::<Author>::new("authors")
                .fields(|a| (a.id, a.name))
                .ordering_fields(|a| a.name),
        )
        .resource(Resource::<Tag>::new("tags"))
}

async fn client() -> TestClient {
    let mut site = Application::new().mount("/api", api()).mount("/", blog());
    site.site_mut().bag_mut().insert(database().await);
    site.test_client()
}

fn ids(list: &Value) -> Vec<i64> {
    list["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_i64().unwrap())
        .collect()
}

#[test]
fn a_list_has_rows_of_the_metadata_in_the_models_order_part_by_part() {
    covers!("rest.generic.list");
    block_on(async {
        let client = client().await;
        let answer = client.get("/api/articles/?limit=2").await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let first: Value = answer.json();
        assert_eq!(first["count"], 4);
        assert_eq!(ids(&first), [4, 3]);
        assert_eq!(first["previous"], Value::Null);
        let second: Value = client.get(first["next"].as_str().unwrap()).await.json();
        assert_eq!((ids(&second), &second["next"]), (vec![2, 1], &Value::Null));
        let back: Value = client.get(second["previous"].as_str().unwrap()).await.json();
        assert_eq!(ids(&back), [4, 3]);
        let row = json!({
            "id": 1, "title": "Article 0", "public": true, "rating": null, "picture": "AP8=",
            "published_at": "2026-01-01T00:00:00.5Z", "author": 1
        });
        assert_eq!(second["results"][1], row);
        assert_eq!(client.get("/api/articles/1/").await.json::<Value>(), row);
        assert!(
            client
                .get("/api/articles/1/")
                .await
                .text()
                .starts_with(r#"{"id":1,"title":"#),
            "the model's order"
        );
        assert_eq!(
            client.get("/api/authors/").await.json::<Value>()["results"][0],
            json!({"id": 1, "name": "Ann"})
        );
    });
}

#[test]
fn lists_are_narrowed_and_ordered_by_what_is_allowed() {
    block_on(async {
        let client = client().await;
        let found = async |query: &str| ids(&client.get(&format!("/api/articles/?{query}")).await.json());
        assert_eq!(found("author=1").await, [3, 2, 1]);
        assert_eq!(found("author__name=Bob").await, [4]);
        assert_eq!(found("tags=a%2Fb+c").await, [3]);
        assert_eq!(found("ordering=title").await, [1, 2, 3, 4]);
        assert_eq!(found("ordering=author,-id").await, [3, 2, 1, 4]);
        assert_eq!(found("offset=9").await, [] as [i64; 0]);
        assert_eq!(found("public=false").await, [] as [i64; 0]);
    });
}

#[test]
fn limit_and_offset_give_links_to_what_follows_and_what_was_before() {
    covers!("rest.page.limit_offset");
    block_on(async {
        let client = client().await;
        let list: Value = client.get("/api/articles/?ordering=id&limit=2&offset=1").await.json();
        assert_eq!((&list["count"], ids(&list)), (&json!(4), vec![2, 3]));
        assert_eq!(list["next"], "/api/articles/?ordering=id&limit=2&offset=3");
        assert_eq!(list["previous"], "/api/articles/?ordering=id&limit=2");
        let few = Resource::<Article>::new("few").default_limit(3).max_limit(4);
        let own = Blueprint::new("own")
            .models(models![Author, Tag, Article])
            .resource(few);
        let mut site = Application::new().mount("/api", api()).mount("/", own);
        site.site_mut().bag_mut().insert(database().await);
        let client = site.test_client();
        assert_eq!(ids(&client.get("/api/few/").await.json()).len(), 3);
        assert_eq!(ids(&client.get("/api/few/?limit=4").await.json()).len(), 4);
        assert_eq!(client.get("/api/few/?limit=5").await.status(), 400);
    });
}

#[test]
fn what_a_list_does_not_know_is_told_all_together_with_the_choices() {
    block_on(async {
        let client = client().await;
        let answer = client
            .get("/api/articles/?autor=1&limit=0&offset=-1&author=x&ordering=password")
            .await;
        assert_eq!(answer.status(), 400);
        for part in [
            "autor",
            "did you mean `author`?",
            "choices: limit, offset, ordering, author, public, author__name, tags",
            "from 1 to 1000",
            "not negative",
            "no value of this field",
            "`password` is not known here",
        ] {
            assert!(answer.text().contains(part), "{part} in {}", answer.text());
        }
        for query in [
            "limit=1001",
            "limit=x",
            "offset=18446744073709551615",
            "offset=9223372036854775808",
            "author__password=x",
            "author__password__startswith=x",
            "ordering=author__password",
            "ordering=-",
            "title=x",
            "q=%FF",
            "public=maybe",
        ] {
            assert_eq!(
                client.get(&format!("/api/articles/?{query}")).await.status(),
                400,
                "{query}"
            );
        }
        assert_eq!(
            client
                .get("/api/articles/?offset=9223372036854775807&limit=1000")
                .await
                .status(),
            200
        );
    });
}

#[test]
fn a_row_that_the_resource_does_not_have_is_not_found() {
    covers!("rest.viewset.read_only");
    block_on(async {
        let client = client().await;
        for key in ["5", "99", "x", "01", "+1", "%201", "1.0", "99999999999999999999", "-1"] {
            assert_eq!(
                client.get(&format!("/api/articles/{key}/")).await.status(),
                404,
                "{key}"
            );
        }
        assert_eq!(
            client.get("/api/tags/a%2Fb%20c/").await.json::<Value>(),
            json!({"name": "a/b c"})
        );
        let problem: Value = client.get("/api/articles/5/").await.json();
        assert_eq!(problem["detail"], "No Article matches the given query.");
        assert_eq!(client.get("/api/nothing/").await.status(), 404);
        assert_eq!(client.post("/api/articles/").await.status(), 405);
        assert_eq!(client.delete("/api/articles/1/").await.status(), 405);
    });
}

#[test]
fn sensitive_fields_keep_the_site_from_building() {
    block_on(async {
        assert!(!client().await.get("/api/authors/").await.text().contains("argon2id"));
    });
    let tells = Blueprint::new("blog")
        .models(models![Author, Tag, Article])
        .resource(Resource::<Author>::new("authors").fields(|a| (a.name, a.password)))
        .resource(
            Resource::<Article>::new("articles")
                .fields(|a| (a.title, a.author().password, a.tags(), a.title.lower()))
                .filter_fields(|a| a.author().password)
                .ordering_fields(|a| a.author().password),
        )
        .resource(Resource::<Tag>::new("articles"))
        .resource(Resource::<Tag>::new("a/b"));
    let findings = Application::new()
        .mount("/", tells)
        .build(Sources::none())
        .map(drop)
        .unwrap_err();
    let mut ids: Vec<&str> = findings.iter().map(|finding| finding.id).collect();
    ids.sort_unstable();
    let all = [
        "rest.E001",
        "rest.E002",
        "rest.E003",
        "rest.E003",
        "rest.E003",
        "rest.E003",
        "rest.E004",
        "rest.E004",
    ];
    assert_eq!(ids, all, "{findings:?}");
}

#[test]
fn check_names_resources_of_models_that_the_site_does_not_have() {
    let site = Application::new().resource(Resource::<Tag>::new("tags"));
    let site = site.build(Sources::none()).map_err(|f| format!("{f:?}")).unwrap();
    let report = site.program().check(&Default::default()).to_string();
    assert!(report.contains("Tag: (rest.E005)"), "{report}");
}

/// What OpenAPI 3.1 asks of a document, as far as this one goes.
fn assert_valid(document: &Value) {
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with('/'), "{path}");
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(
                ["get", "put", "post", "delete", "options", "head", "patch", "trace"].contains(&method.as_str()),
                "{at}"
            );
            ids.push(operation["operationId"].as_str().unwrap());
            let mut seen = Vec::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let key = (parameter["in"].as_str().unwrap(), parameter["name"].as_str().unwrap());
                assert!(
                    ["path", "query", "header", "cookie"].contains(&key.0) && !seen.contains(&key),
                    "{at}: {key:?}"
                );
                assert!(parameter["schema"]["type"].is_string(), "{at}: {key:?}");
                assert!(key.0 != "path" || parameter["required"] == true, "{at}: {key:?}");
                seen.push(key);
            }
            let of_path: Vec<&str> = seen
                .iter()
                .filter(|(place, _)| *place == "path")
                .map(|(_, name)| *name)
                .collect();
            let named: Vec<&str> = path
                .split('{')
                .skip(1)
                .map(|rest| rest.split_once('}').unwrap().0)
                .collect();
            assert_eq!(of_path, named, "{at}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(status.len() == 3 && status.parse::<u16>().is_ok(), "{at}: {status}");
                assert!(response["description"].is_string(), "{at}: {status}");
            }
            assert!(!operation["responses"].as_object().unwrap().is_empty(), "{at}");
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "operation ids are unique");
}

#[derive(serde::Deserialize)]
struct Order {
    amount: u32,
}

async fn order(Path((shop, number)): Path<(String, i32)>, Json(order): Json<Order>) -> Json<u32> {
    Json(order.amount + number as u32 + shop.len() as u32)
}

#[test]
fn the_document_tells_all_operations_of_the_site_in_whatever_order_things_are_mounted() {
    covers!("fastapi.openapi.json");
    block_on(async {
        let shop = || Blueprint::new("shop").route("/{shop}/orders/{number}", post(order).summary("Orders <b>"));
        let files = || any(async |Path(path): Path<String>| path);
        let one = Application::new()
            .mount("/", blog())
            .mount("/shop", shop())
            .route("/files/{*path}", files());
        let one = one.mount("/v1", Api::new().title("Blog").version("2").into());
        let two = Application::new()
            .mount("/v1", Api::new().title("Blog").version("2").into())
            .route("/files/{*path}", files());
        let two = two
            .mount("/shop", shop())
            .mount("/", blog())
            .route("/dup", get(async || "a"));
        let mut documents = Vec::new();
        for mut site in [one, two] {
            site.site_mut().bag_mut().insert(database().await);
            let client = site.test_client();
            documents.push(client.get("/v1/openapi.json").await.json::<Value>());
            let page = client.get("/v1/").await;
            assert_eq!(page.status(), 200, "{}", page.text());
            assert!(page.text().contains("Orders &lt;b&gt;"), "{}", page.text());
            assert_eq!(client.get("/v1/-/rest.css").await.status(), 200);
        }
        assert!(documents[1]["paths"].as_object_mut().unwrap().remove("/dup").is_some());
        assert_eq!(documents[0], documents[1]);

        let document = &documents[0];
        assert_valid(document);
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"], json!({"title": "Blog", "version": "2"}));
        let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        let all = [
            "/files/{path}",
            "/shop/{shop}/orders/{number}",
            "/v1/",
            "/v1/-/rest.css",
            "/v1/articles/",
            "/v1/articles/{pk}/",
            "/v1/authors/",
            "/v1/authors/{pk}/",
            "/v1/openapi.json",
            "/v1/tags/",
            "/v1/tags/{pk}/",
        ];
        assert_eq!(paths, all);

        let order = &document["paths"]["/shop/{shop}/orders/{number}"]["post"];
        assert_eq!(order["operationId"], "post_shop_shop_orders_number");
        assert_eq!(
            (&order["summary"], &order["tags"]),
            (&json!("Orders <b>"), &json!(["shop"]))
        );
        assert_eq!(
            order["parameters"],
            json!([
                {"name": "shop", "in": "path", "required": true, "schema": {"type": "string"}},
                {"name": "number", "in": "path", "required": true, "schema": {"type": "integer", "format": "int32"}},
            ])
        );
        assert_eq!(
            order["requestBody"],
            json!({"required": true, "description": "Order", "content": {"application/json": {}}})
        );
        let statuses: Vec<&String> = order["responses"].as_object().unwrap().keys().collect();
        assert_eq!(statuses, ["200", "400", "415"]);

        let list = &document["paths"]["/v1/articles/"]["get"];
        let names: Vec<&str> = list["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "limit",
                "offset",
                "ordering",
                "author",
                "public",
                "author__name",
                "tags"
            ]
        );
        let row = &list["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["results"]["items"];
        assert_eq!(
            row["properties"]["rating"],
            json!({"type": ["number", "null"], "format": "double"})
        );
        assert_eq!(
            row["properties"]["title"],
            json!({"type": "string", "maxLength": 200, "description": "what it is called"})
        );
        let one = &document["paths"]["/v1/tags/{pk}/"]["get"];
        assert!(one["responses"]["404"].is_object());
        assert_eq!(document["paths"]["/files/{path}"].as_object().unwrap().len(), 5);
    });
}
