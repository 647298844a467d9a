//! The constructs of the ORM, from the typed closure to rows of a real database.
#![allow(missing_docs, unused_crate_dependencies)]

extern crate demijohn_orm as demijohn;

mod common;

use common::*;
use demijohn_orm::{Db, Fields, Model, Q, QuerySet, Result, case, count_all, exists, new, outer, subquery};

fn is_public(a: ArticleFields) -> Q<Article> {
    a.public & a.author().email.ne("")
}

trait ArticleQuery {
    fn popular(self, min: i64) -> Self;
}

impl ArticleQuery for QuerySet<Article> {
    fn popular(self, min: i64) -> Self {
        self.filter(|a| a.views.ge(min))
    }
}

/// Ann manages Bob. Ann wrote "Hello Rust" (public, 10 views, tags rust and web, edited by Bob, two comments), Bob wrote
/// "Draft" (5 views, tag draft) and "100% Rust_" (public, 200 views, no tags).
async fn blog(db: &Db) -> Result<(User, User)> {
    let ann = new!(User {
        email: "ann@example.com",
        name: "Ann"
    })
    .save(db)
    .await?;
    let bob = new!(User {
        email: "bob@example.org",
        name: "Bob",
        manager: &ann
    })
    .save(db)
    .await?;
    let mut tags = Vec::new();
    for name in ["rust", "web", "draft"] {
        tags.push(new!(Tag { slug: name, name }).save(db).await?);
    }
    let hello = new!(Article {
        title: "Hello Rust",
        slug: "hello",
        content: "..",
        author: &ann,
        editor: &bob,
        public: true,
        views: 10,
        subtitle: "sub"
    })
    .save(db)
    .await?;
    hello.tags().add(db, &tags[..2]).await?;
    let draft = new!(Article {
        title: "Draft",
        slug: "draft",
        content: "..",
        author: &bob,
        views: 5
    })
    .save(db)
    .await?;
    draft.tags().add(db, [&tags[2]]).await?;
    new!(Article {
        title: "100% Rust_",
        slug: "percent",
        content: "..",
        author: &bob,
        views: 200,
        public: true
    })
    .save(db)
    .await?;
    for (text, approved) in [("first", true), ("second", false)] {
        new!(Comment {
            text,
            approved,
            article: &hello
        })
        .save(db)
        .await?;
    }
    Ok((ann, bob))
}

fn titles(articles: &[Article]) -> Vec<&str> {
    let mut titles: Vec<&str> = articles.iter().map(|a| a.title.as_str()).collect();
    titles.sort_unstable();
    titles
}

#[tokio::test]
async fn loads_relations() -> Result<()> {
    let db = database().await;
    blog(&db).await?;
    let articles = Article::objects()
        .select_related(|a| a.author().manager())
        .select_related(|a| a.editor())
        .prefetch_related(|a| a.tags())
        .order_by(|a| a.id)
        .all(&db)
        .await?;
    #[allow(clippy::type_complexity)]
    let seen: Vec<(&str, &str, Option<&str>, Option<&str>, Vec<&str>)> = articles
        .iter()
        .map(|a| {
            let author = a.author.get()?;
            let manager = author
                .manager
                .as_ref()
                .map(|m| m.get())
                .transpose()?
                .map(|m| m.name.as_str());
            let editor = a.editor.as_ref().map(|e| e.get()).transpose()?.map(|e| e.name.as_str());
            let tags = a.tags.get()?.iter().map(|t| t.name.as_str()).collect();
            Ok((a.title.as_str(), author.name.as_str(), manager, editor, tags))
        })
        .collect::<Result<_>>()?;
    assert_eq!(
        seen,
        [
            ("Hello Rust", "Ann", None, Some("Bob"), vec!["rust", "web"]),
            ("Draft", "Bob", Some("Ann"), None, vec!["draft"]),
            ("100% Rust_", "Bob", Some("Ann"), None, vec![]),
        ]
    );
    let bare = Article::objects().first(&db).await?.expect("there are articles");
    let error = bare.author.get().expect_err("it was not loaded").to_string();
    assert!(
        error.contains("Article.author was not loaded; add `.select_related(|x| x.author())`"),
        "{error}"
    );
    assert!(error.contains("queries.rs:"), "{error}");
    assert_eq!(bare.author.load(&db).await?.id, bare.author.id());
    Ok(())
}

#[tokio::test]
async fn filters() -> Result<()> {
    let db = database().await;
    let (ann, bob) = blog(&db).await?;
    let get = async |query: QuerySet<Article>| query.all(&db).await;
    let all = Article::objects;
    assert_eq!(
        titles(&get(all().filter(|a| a.author().email.icontains("@EXAMPLE.com"))).await?),
        ["Hello Rust"]
    );
    assert_eq!(
        titles(&get(all().filter(|a| a.title.icontains("rust") & (a.views.gt(100) | !a.public))).await?),
        ["100% Rust_"]
    );
    assert_eq!(
        titles(&get(all().filter(|a| a.title.contains("0% Rust_"))).await?),
        ["100% Rust_"]
    );
    assert_eq!(
        titles(&get(all().exclude(|a| a.tags().slug.eq("draft"))).await?),
        ["100% Rust_", "Hello Rust"]
    );
    assert_eq!(
        titles(&get(all().filter(|a| a.author.eq(&ann) & a.tags().id.in_([1, 2, 3]))).await?),
        ["Hello Rust"]
    );
    assert_eq!(
        titles(&get(all().filter(|a| a.tags().slug.in_(["rust", "web"]))).await?),
        ["Hello Rust"],
        "no row twice"
    );
    assert_eq!(
        titles(&get(all().exclude(|a| a.editor.eq(&bob))).await?),
        ["100% Rust_", "Draft"],
        "NULL is not Bob"
    );
    assert_eq!(
        titles(&get(all().filter(|a| a.subtitle.ne("sub"))).await?),
        ["100% Rust_", "Draft"]
    );
    assert_eq!(
        titles(&get(all().popular(10).filter(is_public)).await?),
        ["100% Rust_", "Hello Rust"]
    );
    assert_eq!(
        titles(&get(all().filter(|a| a.comments().any(|c| c.approved))).await?),
        ["Hello Rust"]
    );
    assert_eq!(
        titles(&get(all().filter(|a| a.comments().none(|c| c.approved))).await?),
        ["100% Rust_", "Draft"]
    );
    assert_eq!(
        titles(
            &get(all().filter(|a| exists(Comment::objects().filter(|c| c.article.eq(outer(a.id)) & c.approved))))
                .await?
        ),
        ["Hello Rust"]
    );
    let year = i32::from(jiff::Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::UTC).year());
    assert_eq!(get(all().filter(|a| a.published_at.year().eq(year))).await?.len(), 3);
    assert_eq!(
        get(all().filter(|a| a.published_at.year().eq(year - 1))).await?.len(),
        0
    );
    assert_eq!(
        titles(&bob.articles().filter(|a| a.public).all(&db).await?),
        ["100% Rust_"]
    );
    let rust = Tag::objects().filter(|t| t.slug.eq("rust")).get(&db).await?;
    assert_eq!(rust.articles().count(&db).await?, 1);
    assert_eq!(
        User::objects()
            .filter(|u| u.articles().any(|a| a.views.lt(6)))
            .values(|u| u.name)
            .all(&db)
            .await?,
        ["Bob"]
    );
    assert_eq!(get(all().none()).await?.len(), 0);
    assert!(all().exists(&db).await?);
    Ok(())
}

#[tokio::test]
async fn selects_values_and_aggregates() -> Result<()> {
    let db = database().await;
    blog(&db).await?;
    let rows: Vec<(Article, i64)> = Article::objects()
        .annotate(|a| a.tags().count())
        .filter(|a| a.tags().count().gt(0))
        .order_by(|a| a.tags().count().desc())
        .all(&db)
        .await?;
    assert_eq!(
        rows.iter().map(|(a, n)| (a.slug.as_str(), *n)).collect::<Vec<_>>(),
        [("hello", 2), ("draft", 1)]
    );
    let two: Vec<(Article, i64, Option<i64>)> = Article::objects()
        .annotate(|a| (a.tags().count(), a.comments().id.max()))
        .order_by(|a| a.id)
        .limit(1)
        .all(&db)
        .await?;
    assert_eq!(
        (two[0].1, two[0].2),
        (2, Some(2)),
        "two to-many aggregates do not multiply"
    );
    let (average, n): (Option<f64>, i64) = Article::objects()
        .aggregate(&db, |a| (a.views.avg(), a.id.count()))
        .await?;
    assert_eq!((average, n), (Some(215.0 / 3.0), 3));
    let values: Vec<(i64, String, String, Option<String>)> = Article::objects()
        .order_by(|a| a.id)
        .values(|a| (a.id, a.title, a.author().email, a.editor().name))
        .all(&db)
        .await?;
    assert_eq!(
        values[0],
        (1, "Hello Rust".into(), "ann@example.com".into(), Some("Bob".into()))
    );
    assert_eq!(values[1].3, None);
    let groups: Vec<(String, i64, Option<i64>)> = Article::objects()
        .group_by(|a| a.author().name)
        .annotate(|a| (a.id.count(), a.views.sum()))
        .order_by(|a| a.author().name)
        .all(&db)
        .await?;
    assert_eq!(groups, [("Ann".into(), 1, Some(10)), ("Bob".into(), 2, Some(205))]);
    let total: Vec<(bool, i64)> = Article::objects()
        .group_by(|a| a.public)
        .annotate(|_| count_all())
        .order_by(|a| a.public)
        .all(&db)
        .await?;
    assert_eq!(total, [(false, 1), (true, 2)]);
    let words: Vec<(i64, String)> = Article::objects()
        .order_by(|a| a.id)
        .values(|a| {
            (
                a.id,
                case(a.views.gt(100), "hot")
                    .when(a.views.gt(5), "warm")
                    .otherwise("cold"),
            )
        })
        .all(&db)
        .await?;
    assert_eq!(
        words.iter().map(|(_, w)| w.as_str()).collect::<Vec<_>>(),
        ["warm", "cold", "hot"]
    );
    let latest: Vec<(Article, Option<String>)> = Article::objects()
        .annotate(|a| {
            subquery(
                Comment::objects()
                    .filter(|c| c.article.eq(outer(a.id)))
                    .order_by(|c| c.id.desc())
                    .limit(1)
                    .values(|c| c.text),
            )
        })
        .order_by(|a| a.id)
        .all(&db)
        .await?;
    assert_eq!(
        latest.iter().map(|(_, t)| t.as_deref()).collect::<Vec<_>>(),
        [Some("second"), None, None]
    );
    let rows: Vec<(Article, User, Option<User>, Vec<Tag>)> = Article::objects()
        .with(|a| (a.author(), a.editor(), a.tags()))
        .order_by(|a| a.id)
        .all(&db)
        .await?;
    let (_, author, editor, tags) = &rows[0];
    assert_eq!(
        (
            author.name.as_str(),
            editor.as_ref().map(|e| e.name.as_str()),
            tags.len()
        ),
        ("Ann", Some("Bob"), 2)
    );
    let people: Vec<(User, Vec<Article>)> = User::objects()
        .with(|u| u.articles())
        .order_by(|u| u.id)
        .all(&db)
        .await?;
    assert_eq!(people.iter().map(|(_, a)| a.len()).collect::<Vec<_>>(), [1, 2]);
    let some = Article::objects()
        .prefetch_related(|a| {
            a.tags()
                .only(|t| t.filter(|t| t.name.ne("web")).order_by(|t| t.name.desc()))
        })
        .filter(|a| a.slug.eq("hello"))
        .get(&db)
        .await?;
    assert_eq!(
        some.tags.get()?.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(),
        ["rust"]
    );
    Ok(())
}

#[tokio::test]
async fn writes() -> Result<()> {
    let db = database().await;
    let (ann, _) = blog(&db).await?;
    let n = Article::objects()
        .filter(|a| a.id.eq(1))
        .update(&db, |a| a.views.set(a.views + 1))
        .await?;
    assert_eq!(n, 1);
    let mut hello = Article::objects().filter(|a| a.id.eq(1)).get(&db).await?;
    assert_eq!(hello.views, 11);
    hello
        .update(&db, |a| (a.title.set("New"), a.subtitle.set_opt(None::<&str>)))
        .await?;
    assert_eq!((hello.title.as_str(), hello.subtitle.as_deref()), ("New", None));
    hello.views = 7;
    hello.save(&db).await?;
    hello.refresh(&db).await?;
    assert_eq!(hello.views, 7);
    let (rust, created) = Tag::objects()
        .get_or_create(
            &db,
            |t| t.slug,
            new!(Tag {
                slug: "rust",
                name: "Other"
            }),
        )
        .await?;
    assert_eq!((rust.name.as_str(), created), ("rust", false));
    let (_, created) = Tag::objects()
        .get_or_create(
            &db,
            |t| t.slug,
            new!(Tag {
                slug: "new",
                name: "New"
            }),
        )
        .await?;
    assert!(created);
    let (rust, created) = Tag::objects()
        .update_or_create(
            &db,
            |t| t.slug,
            new!(Tag {
                slug: "rust",
                name: "Rust"
            }),
        )
        .await?;
    assert_eq!((rust.name.as_str(), created), ("Rust", false));
    let rows = ["rust", "x", "y"].map(|s| new!(Tag { slug: s, name: s }));
    Tag::objects()
        .bulk_create(rows)
        .on_conflict(|t| t.slug)
        .update(|t| t.name)
        .save(&db)
        .await?;
    assert_eq!(Tag::objects().count(&db).await?, 6);
    assert_eq!(
        Tag::objects().filter(|t| t.slug.eq("rust")).get(&db).await?.name,
        "rust"
    );
    Tag::objects()
        .bulk_create([new!(Tag {
            slug: "x",
            name: "changed"
        })])
        .on_conflict(|t| t.slug)
        .ignore()
        .save(&db)
        .await?;
    assert_eq!(Tag::objects().filter(|t| t.slug.eq("x")).get(&db).await?.name, "x");
    let error = new!(Tag {
        slug: "rust",
        name: "again"
    })
    .save(&db)
    .await
    .expect_err("the slug is taken");
    assert!(error.is_unique(), "{error}");
    assert_eq!(error.columns(), ["slug"]);
    let error = new!(Tag {
        slug: "ä".repeat(51),
        name: "long"
    })
    .save(&db)
    .await
    .expect_err("it is too long");
    assert_eq!(error.to_string(), "Tag.slug: must have at most 50 characters, has 51");
    hello.tags().set(&db, [&rust]).await?;
    assert_eq!(hello.tags().values(|t| t.slug).all(&db).await?, ["rust"]);
    hello.tags().remove(&db, [rust.id]).await?;
    assert_eq!(hello.tags().count(&db).await?, 0);
    assert_eq!(ann.delete(&db).await?, 1);
    assert_eq!(
        Article::objects().filter(|a| a.slug.eq("hello")).count(&db).await?,
        0,
        "it went with its author"
    );
    assert_eq!(Comment::objects().count(&db).await?, 0, "and its comments with it");
    assert!(User::objects().get(&db).await?.manager.is_none());
    Ok(())
}

#[tokio::test]
async fn transactions_nest() -> Result<()> {
    let db = database().await;
    let tag = |slug: &'static str| new!(Tag { slug, name: slug });
    db.atomic(|db| async move {
        tag("outer").save(&db).await?;
        let inner: Result<()> = db
            .atomic(|db| async move {
                tag("inner").save(&db).await?;
                Err(demijohn_orm::Error::usage("no"))
            })
            .await;
        assert!(inner.is_err());
        db.atomic(|db| async move { tag("kept").save(&db).await }).await?;
        Ok::<_, demijohn_orm::Error>(())
    })
    .await?;
    assert_eq!(Tag::objects().values(|t| t.slug).all(&db).await?, ["kept", "outer"]);
    let failed: Result<()> = db
        .atomic_ref(async |db| {
            Tag::objects().delete(db).await?;
            Err(demijohn_orm::Error::usage("no"))
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(Tag::objects().count(&db).await?, 2);
    let tx = db.begin().await?;
    Tag::objects().delete(&tx).await?;
    assert_eq!(Tag::objects().count(&tx).await?, 0);
    drop(tx);
    assert_eq!(Tag::objects().count(&db).await?, 2, "dropped is rolled back");
    Ok(())
}

#[tokio::test]
async fn batches() -> Result<()> {
    let db = database().await;
    blog(&db).await?;
    let (tags, articles, names) = db
        .batch((
            Tag::objects(),
            Article::objects().prefetch_related(|a| a.tags()).order_by(|a| a.id),
            vec![
                User::objects().values(|u| u.name).order_by(|u| u.id),
                User::objects().values(|u| u.email).none(),
            ],
        ))
        .await?;
    assert_eq!((tags.len(), articles[0].tags.get()?.len()), (3, 2));
    assert_eq!(names, [vec!["Ann", "Bob"], vec![]]);
    Ok(())
}

#[tokio::test]
async fn queries_of_one_shape_keep_their_own_values() -> Result<()> {
    let db = database().await;
    blog(&db).await?;
    let by_slug = |slug: &str| Article::objects().filter(|a| a.slug.eq(slug)).values(|a| a.title);
    let rows = db
        .batch(["hello", "percent", "none", "draft"].map(by_slug).to_vec())
        .await?;
    assert_eq!(rows, [vec!["Hello Rust"], vec!["100% Rust_"], vec![], vec!["Draft"]]);
    // Alike to look at, but each with a text of its own: patterns, lists, limits.
    let has = |part: &str| {
        Article::objects()
            .filter(|a| a.title.icontains(part))
            .order_by(|a| a.id)
            .values(|a| a.id)
    };
    let rows = db.batch(["rust", "100%", "t_", "o"].map(has).to_vec()).await?;
    assert_eq!(rows, [vec![1, 3], vec![3], vec![3], vec![1]]);
    let among = |ids: Vec<i64>| {
        Article::objects()
            .filter(|a| a.id.in_(ids))
            .order_by(|a| a.id)
            .values(|a| a.id)
    };
    let rows = db.batch(vec![among(vec![1]), among(vec![2, 3]), among(vec![])]).await?;
    assert_eq!(rows, [vec![1], vec![2, 3], vec![]]);
    let first = |n: u64| Article::objects().order_by(|a| a.id).limit(n).values(|a| a.id);
    let rows = db.batch(vec![first(1), first(2), first(0), first(3).offset(1)]).await?;
    assert_eq!(rows, [vec![1], vec![1, 2], vec![], vec![2, 3]]);
    Ok(())
}

#[tokio::test]
async fn looks_up_by_text() -> Result<()> {
    let db = database().await;
    blog(&db).await?;
    let found = Article::objects()
        .lookup("author__email__icontains", "example.org")?
        .lookup("views__gte", "100")?
        .lookup("author__manager__name", "Ann")?
        .order_by_text(&["-author__name", "id"])?
        .all(&db)
        .await?;
    assert_eq!(titles(&found), ["100% Rust_"]);
    let error = |key: &str, value: &str| match Article::objects().lookup(key, value) {
        Ok(_) => panic!("{key} was accepted"),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        error("author__emial__icontains", "x"),
        "lookup \"author__emial__icontains\": User has no field or relation \"emial\"; did you mean \"email\"? (choices: id, email, name, manager)"
    );
    assert_eq!(
        error("views", "many"),
        "lookup \"views\": \"many\" is not a whole number"
    );
    assert!(error("views__icontains", "1").contains("needs a text field"));
    assert!(error("title__like", "1").contains("neither a transform nor a lookup"));
    Ok(())
}

/// Everything of a handler must be `Send`.
#[allow(dead_code)]
fn is_send(db: Db) {
    fn spawn<F: Future<Output = ()> + Send + 'static>(_: F) {}
    spawn(async move {
        let _ = blog(&db).await;
        let _ = Article::objects().select_related(|a| a.author()).all(&db).await;
        let _ = db.atomic(|db| async move { Tag::objects().delete(&db).await }).await;
    });
}

#[test]
fn fields_lead_somewhere() {
    let path = Article::fields().author().manager().path();
    assert_eq!(format!("{path:?}"), "root__author__manager");
}
