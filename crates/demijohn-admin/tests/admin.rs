//! The admin as a visitor sees it, over a small blog in a database in memory.
#![allow(missing_docs, unused_crate_dependencies, unreachable_pub, clippy::unwrap_used)]

extern crate demijohn_orm as demijohn;

use demijohn_admin::{AdminExt, AdminSite, ModelAdmin, admin};
use demijohn_core::settings::Sources;
use demijohn_covers::covers;
use demijohn_macros::model;
use demijohn_orm::{DateTime, Db, ForeignKey, ManyToMany, Model, ModelsExt, models, new};
use demijohn_web::test::{TestClient, TestResponse, block_on};
use demijohn_web::{Application, Blueprint};
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

#[model(app = "blog", ordering = "name")]
#[derive(Clone, Debug)]
pub struct Tag {
    pub id: i64,
    #[field(max_length = 50)]
    pub name: String,
}

#[model(app = "blog", ordering = "-published_at")]
#[derive(Clone, Debug)]
pub struct Article {
    pub id: i64,
    #[field(max_length = 200)]
    pub title: String,
    #[field(text)]
    pub content: String,
    #[field(default = false)]
    pub public: bool,
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
    let ann = author(&db, "Ann <b>").await;
    let bob = author(&db, "Bob").await;
    let tag = new!(Tag { name: "wine" }).save(&db).await.unwrap();
    for i in 0..230 {
        let article = new!(Article {
            title: format!("Article {i:03}"),
            content: if i == 7 { "about Glass & bottles" } else { "text" },
            public: i % 2 == 0,
            published_at: format!("{}-01-01T00:00:00Z", 2024 + i / 100)
                .parse::<DateTime>()
                .unwrap(),
            author: if i < 200 { &ann } else { &bob }
        });
        let article = article.save(&db).await.unwrap();
        if i < 3 {
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
        .admin(
            ModelAdmin::<Article>::new()
                .list_display(|a| (a.title, a.author().name, a.public, a.published_at))
                .search_fields(|a| (a.title, a.content))
                .list_filter(|a| (a.public, a.published_at, a.author, a.tags())),
        )
        .admin(ModelAdmin::<Author>::new())
}

async fn site() -> Application {
    let mut site = Application::new().mount("/admin", admin()).mount("/", blog());
    site.site_mut().bag_mut().insert(database().await);
    site
}

async fn client() -> TestClient {
    site().await.test_client()
}

/// The page's source; slashes of links are escaped as well, which is hard on the eye.
fn seen(page: &TestResponse) -> String {
    page.text().replace("&#x2f;", "/")
}

/// The page's rows, as many as there are `<tr>` in its body.
fn rows(page: &str) -> usize {
    page.split("<tbody>")
        .nth(1)
        .map_or(0, |body| body.matches("<tr>").count())
}

#[test]
fn the_index_lists_registered_models_by_blueprint_in_whatever_order_things_are_mounted() {
    block_on(async {
        let page = client().await.get("/admin/").await;
        assert_eq!(page.status(), 200);
        for part in [
            r#"<h2><a href="/admin/blog/">Blog</a></h2>"#,
            r#"<a href="/admin/blog/article/">Articles</a>"#,
            r#"<a href="/admin/blog/author/">Authors</a>"#,
        ] {
            assert!(seen(&page).contains(part), "{part} in {}", seen(&page));
        }
        let mut site = Application::new().mount("/", blog()).mount("/staff", admin());
        site.site_mut().bag_mut().insert(database().await);
        let page = site.test_client().get("/staff/").await;
        assert!(
            seen(&page).contains(r#"<a href="/staff/blog/article/">Articles</a>"#),
            "{}",
            seen(&page)
        );
    });
}

#[test]
fn a_list_shows_its_columns_escaped_a_hundred_rows_a_page() {
    block_on(async {
        let client = client().await;
        let page = client.get("/admin/blog/article/?p=3").await;
        assert_eq!(page.status(), 200, "{}", seen(&page));
        assert_eq!(rows(&seen(&page)), 30);
        for part in [
            "<small>230</small>",
            r#"<span aria-current="page">3</span>"#,
            "<a rel=\"prev\" href=\"?p=2\">",
            ">author name</a></th>",
            "Ann &lt;b&gt;",
            "2024-01-01 00:00 UTC",
        ] {
            assert!(seen(&page).contains(part), "{part} in {}", seen(&page));
        }
        assert_eq!(rows(client.get("/admin/blog/article/").await.text()), 100);
        for (path, status) in [
            ("?p=4", 404),
            ("?p=0", 400),
            ("?p=x", 400),
            ("?p=99999999999999999", 404),
            ("?p=18446744073709551615", 404),
            ("?password=x", 400),
            ("?author__name=Ann", 400),
        ] {
            assert_eq!(
                client.get(&format!("/admin/blog/article/{path}")).await.status(),
                status,
                "{path}"
            );
        }
        assert_eq!(client.get("/admin/blog/nothing/").await.status(), 404);
        assert_eq!(client.get("/admin/news/article/").await.status(), 404);
    });
}

#[test]
fn a_search_finds_every_word_in_one_of_the_fields_in_any_case() {
    block_on(async {
        let client = client().await;
        let found = async |query: &str| rows(client.get(&format!("/admin/blog/article/?{query}")).await.text());
        assert_eq!(found("q=gLASS").await, 1);
        assert_eq!(found("q=glass+article").await, 1);
        assert_eq!(found("q=glass+nothing").await, 0);
        assert_eq!(found("q=%25").await, 0);
        let words = "a+".repeat(33);
        assert_eq!(
            client.get(&format!("/admin/blog/article/?q={words}")).await.status(),
            400
        );
        let page = client.get("/admin/blog/article/?q=%22%3E%3Cscript%3E").await;
        assert!(!seen(&page).contains("<script>"), "{}", seen(&page));
    });
}

#[test]
fn filters_narrow_a_list_by_truth_year_foreign_key_and_tag() {
    block_on(async {
        let client = client().await;
        let found = async |query: &str| {
            let page = client.get(&format!("/admin/blog/article/?{query}")).await;
            assert_eq!(page.status(), 200, "{query}: {}", seen(&page));
            seen(&page)
                .split("<small>")
                .nth(1)
                .unwrap()
                .split('<')
                .next()
                .unwrap()
                .parse::<u32>()
                .unwrap()
        };
        assert_eq!(found("public=true").await, 115);
        assert_eq!(found("published_at__year=2026").await, 30);
        assert_eq!(found("author=2").await, 30);
        assert_eq!(found("tags=1").await, 3);
        assert_eq!(found("tags=1&public=false&q=001").await, 1);
        let page = client.get("/admin/blog/article/?author=2").await;
        for part in [
            r#"<a href="?author=2" aria-current="true">Bob</a>"#,
            r#"<a href="?author=2&amp;published_at__year=2026">2026</a>"#,
            ">wine</a>",
        ] {
            assert!(seen(&page).contains(part), "{part} in {}", seen(&page));
        }
        assert_eq!(client.get("/admin/blog/article/?author=x").await.status(), 400);
        assert_eq!(client.get("/admin/blog/article/?public=maybe").await.status(), 400);
    });
}

#[test]
fn a_row_is_shown_by_itself_and_leads_to_the_rows_it_points_to() {
    block_on(async {
        let client = client().await;
        let page = client.get("/admin/blog/article/8/").await;
        for part in [
            "<h1>Article 007</h1>",
            "about Glass &amp; bottles",
            r#"<a href="/admin/blog/author/1/">1</a>"#,
        ] {
            assert!(seen(&page).contains(part), "{part} in {}", seen(&page));
        }
        for pk in ["999", "x", "%20", "1.0", "99999999999999999999"] {
            assert_eq!(
                client.get(&format!("/admin/blog/article/{pk}/")).await.status(),
                404,
                "{pk}"
            );
        }
        assert_eq!(client.post("/admin/blog/article/8/").await.status(), 405);
    });
}

#[test]
fn sensitive_fields_are_nowhere_and_cannot_be_asked_for() {
    block_on(async {
        let client = client().await;
        for path in [
            "/admin/blog/author/",
            "/admin/blog/author/1/",
            "/admin/blog/article/",
            "/admin/blog/article/1/",
        ] {
            let page = client.get(path).await;
            assert_eq!(page.status(), 200, "{path}");
            assert!(
                !seen(&page).contains("argon2id") && !seen(&page).contains("password"),
                "{path}"
            );
        }
    });
    let shows = Blueprint::new("blog")
        .models(models![Author, Tag, Article])
        .admin(ModelAdmin::<Author>::new().list_display(|a| (a.name, a.password)))
        .admin(
            ModelAdmin::<Article>::new()
                .list_display(|a| (a.title, a.author().password.lower()))
                .search_fields(|a| (a.public, a.author().password))
                .list_filter(|a| (a.author().password, a.tags().name)),
        );
    let findings = Application::new()
        .mount("/", shows)
        .build(Sources::none())
        .map(drop)
        .unwrap_err();
    let ids: Vec<&str> = findings.iter().map(|finding| finding.id).collect();
    let found = [
        "admin.E003",
        "admin.E003",
        "admin.E004",
        "admin.E003",
        "admin.E003",
        "admin.E116",
    ];
    assert_eq!(ids, found, "{findings:?}");
    assert!(
        findings[1].to_string().contains("Article: (admin.E003) list_display"),
        "{}",
        findings[1]
    );
}

#[test]
fn only_the_developer_is_let_in_until_there_are_accounts() {
    block_on(async {
        let client = client().await;
        assert_eq!(
            client
                .get("/admin/")
                .header("x-forwarded-for", "127.0.0.1")
                .await
                .status(),
            404
        );
        let paths = [
            "/admin/",
            "/admin/blog/article/",
            "/admin/-/admin.css",
            "/admin/blog/nothing/",
        ];
        let production = || Sources::none().var("DEBUG", "false");
        let closed = site().await.build(production()).map_err(|f| format!("{f:?}")).unwrap();
        for path in paths {
            assert_eq!(closed.test_client().get(path).await.status(), 404, "{path}");
        }
        let mut open = Application::new()
            .mount("/", blog())
            .mount("/admin", AdminSite::new().without_login().into());
        open.site_mut().bag_mut().insert(database().await);
        let open = open.build(production()).map_err(|f| format!("{f:?}")).unwrap();
        assert_eq!(open.test_client().get("/admin/").await.status(), 200);

        let deploy = demijohn_core::check::Selection {
            deploy: true,
            ..Default::default()
        };
        let told = |site: &demijohn_web::Ready| site.program().check(&deploy).to_string();
        assert!(told(&closed).contains("/admin: (admin.W001)"), "{}", told(&closed));
        assert!(told(&open).contains("/admin: (admin.W002)"), "{}", told(&open));
        assert!(
            !closed
                .program()
                .check(&Default::default())
                .to_string()
                .contains("admin.")
        );
    });
}

#[test]
fn check_names_models_that_are_registered_twice_or_not_at_all() {
    let blueprint = Blueprint::new("blog")
        .models(models![Author])
        .admin(ModelAdmin::<Author>::new())
        .admin(ModelAdmin::<Author>::new())
        .admin(ModelAdmin::<Tag>::new());
    let site = Application::new()
        .mount("/", blueprint)
        .build(Sources::none())
        .map_err(|f| format!("{f:?}"))
        .unwrap();
    let report = site.program().check(&Default::default()).to_string();
    assert!(
        report.contains("(admin.E001) Author is registered twice in `blog`"),
        "{report}"
    );
    assert!(report.contains("Tag: (admin.E002)"), "{report}");
}

/// The titles of the list, shortened to their numbers.
fn numbers(page: &TestResponse, rows: usize) -> Vec<u32> {
    let text = seen(page);
    let titles = text
        .split("Article ")
        .skip(1)
        .filter_map(|rest| rest.get(..3)?.parse().ok());
    titles.take(rows).collect()
}

#[test]
fn headings_sort_a_list_and_rows_that_are_equal_keep_their_places() {
    covers!("admin.list.ordering");
    block_on(async {
        let client = client().await;
        let first = async |query: &str| numbers(&client.get(&format!("/admin/blog/article/{query}")).await, 3);
        // By the model: the latest year, in it by the key.
        assert_eq!(first("").await, [200, 201, 202]);
        assert_eq!(first("?o=-1").await, [229, 228, 227]);
        assert_eq!(first("?o=-2.1").await, [200, 201, 202]);
        assert_eq!(first("?o=2.-1").await, [199, 198, 197]);
        assert_eq!(first("?o=2").await, [100, 101, 102]);
        let page = client.get("/admin/blog/article/?o=-2.1&public=true&p=2").await;
        for part in [
            r#"aria-sort="descending"><a href="?o=2.1&amp;public=true">author name</a>"#,
            r#"<a href="?o=1.-2&amp;public=true">title</a>"#,
        ] {
            // Where a name stands in the query string is of no meaning.
            let other = part.replace("o=2.1&amp;public=true", "public=true&amp;o=2.1");
            let other = other.replace("o=1.-2&amp;public=true", "public=true&amp;o=1.-2");
            assert!(
                seen(&page).contains(part) || seen(&page).contains(&other),
                "{part} in {}",
                seen(&page)
            );
        }
        for query in ["o=5", "o=0", "o=x", "o=--1", "o=99999999999", "o=-2147483648"] {
            let answer = client.get(&format!("/admin/blog/article/?{query}")).await;
            assert_eq!(answer.status(), 400, "{query}");
        }
        let by_author = ModelAdmin::<Article>::new()
            .list_display(|a| (a.title, a.tags().count(), a.title.length(), a.published_at.year()))
            .ordering(|a| (a.author().name.desc(), a.title.desc()));
        let own = Blueprint::new("own")
            .models(models![Author, Tag, Article])
            .admin(by_author);
        let mut site = Application::new().mount("/admin", admin()).mount("/", own);
        site.site_mut().bag_mut().insert(database().await);
        let client = site.test_client();
        assert_eq!(numbers(&client.get("/admin/own/article/").await, 3), [229, 228, 227]);
        assert_eq!(numbers(&client.get("/admin/own/article/?o=1").await, 3), [0, 1, 2]);
        let page = client.get("/admin/own/article/?o=-2").await;
        for part in [
            ">tags count<",
            ">title length<",
            ">published at year<",
            r#"data-label="tags count"><span>1</span>"#,
        ] {
            assert!(seen(&page).contains(part), "{part} in {}", seen(&page));
        }
    });
}

#[test]
fn long_lists_have_pages_of_a_hundred_with_numbers() {
    covers!("admin.list.list_per_page");
    block_on(async {
        let site = site().await;
        let client = site.test_client();
        let db = client.site().get::<Db>().unwrap();
        let author = Author::objects().first(db).await.unwrap().unwrap();
        let moment: DateTime = "2020-01-01T00:00:00Z".parse().unwrap();
        let more = (0..1800).map(|i| {
            new!(Article {
                title: format!("More {i}"),
                content: "",
                published_at: moment,
                author: &author
            })
        });
        Article::objects().bulk_create(more).save(db).await.unwrap();
        let page = client.get("/admin/blog/article/?p=10").await;
        assert_eq!(rows(&seen(&page)), 100);
        let nav = seen(&page);
        let nav = nav
            .split(r#"aria-label="Pages">"#)
            .nth(1)
            .unwrap()
            .split("</nav>")
            .next()
            .unwrap()
            .to_owned();
        let shown: Vec<&str> = nav
            .split('>')
            .filter_map(|part| part.split('<').next())
            .map(str::trim)
            .filter(|t| !t.is_empty())
            .collect();
        let all = [
            "‹ Previous",
            "1",
            "2",
            "…",
            "7",
            "8",
            "9",
            "10",
            "11",
            "12",
            "13",
            "…",
            "20",
            "21",
            "Next ›",
        ];
        assert_eq!(shown, all);
        assert!(nav.contains(r#"<a rel="next" href="?p=11">"#));
    });
}

#[test]
fn lists_are_asked_only_what_they_declare() {
    covers!("admin.list.lookup_allowed");
    block_on(async {
        let client = client().await;
        let status = async |path: &str| client.get(&format!("/admin/blog/{path}")).await.status();
        for path in [
            "author/?password__startswith=x",
            "author/?password=x",
            "article/?author__name=Ann",
            "article/?author__password__startswith=x",
            "article/?author__articles__title=x",
        ] {
            assert_eq!(status(path).await, 400, "{path}");
        }
        assert_eq!(status("article/?author=1").await, 200);
        let allowed = ModelAdmin::<Article>::new().list_filter(|a| a.author().name);
        let own = Blueprint::new("own")
            .models(models![Author, Tag, Article])
            .admin(allowed);
        let mut site = Application::new().mount("/admin", admin()).mount("/", own);
        site.site_mut().bag_mut().insert(database().await);
        let page = site.test_client().get("/admin/own/article/?author__name=Bob").await;
        assert!(seen(&page).contains("<small>30</small>"), "{}", seen(&page));
    });
}

#[test]
fn columns_behind_foreign_keys_add_no_query_for_each_row() {
    covers!("admin.list.list_select_related");
    block_on(async {
        let client = client().await;
        let db = client.site().get::<Db>().unwrap();
        let queries = async |path: &str| {
            db.record();
            assert_eq!(client.get(path).await.status(), 200);
            db.recorded().len()
        };
        let of_hundred = queries("/admin/blog/article/").await;
        let of_one = queries("/admin/blog/article/?q=glass").await;
        assert_eq!(of_hundred, of_one);
        // The rows, their number, and what three filters offer.
        assert_eq!(of_one, 5);
    });
}

#[test]
fn pages_have_no_script_and_no_style_inside() {
    covers!("admin.site.csp");
    covers!("admin.site.app_index");
    block_on(async {
        let site = site().await.admin(ModelAdmin::<Tag>::new()).test_client();
        let group = site.get("/admin/blog/").await;
        assert!(seen(&group).contains("/admin/blog/article/") && !seen(&group).contains("/admin/site/tag/"));
        assert!(seen(&site.get("/admin/site/").await).contains("/admin/site/tag/"));
        assert_eq!(site.get("/admin/news/").await.status(), 404);
        for path in [
            "/admin/",
            "/admin/blog/",
            "/admin/blog/article/?public=true&q=a",
            "/admin/blog/article/1/",
        ] {
            let page = seen(&site.get(path).await);
            for inline in ["<script", "<style", " style=", " onclick=", " onchange=", "javascript:"] {
                assert!(!page.contains(inline), "{inline} in {path}");
            }
            assert!(
                page.contains(r#"<link rel="stylesheet" href="/admin/-/admin.css?v="#),
                "{page}"
            );
        }
        let style = site.get("/admin/-/admin.css").await;
        assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
    });
}
