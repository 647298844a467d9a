//! What Django's documentation says of lookups, expressions and options, one test a subject.
#![allow(missing_docs, unused_crate_dependencies)]

extern crate demijohn_orm as demijohn;

mod common;

use common::*;
use demijohn_covers::covers;
use demijohn_macros::model;
use demijohn_orm::{DateTime, Db, Dialect, Model, QuerySet, Result, case, count_all, exists, models, new, outer};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

static CALLS: AtomicI64 = AtomicI64::new(0);

fn next_number() -> i64 {
    CALLS.fetch_add(1, Ordering::SeqCst)
}

#[model(app = "rows")]
#[derive(Debug)]
pub struct Thing {
    pub id: i64,
    pub n: i64,
    pub m: i64,
    #[field(max_length = 40)]
    pub t: Option<String>,
    pub d: DateTime,
    pub x: Option<f64>,
    #[field(default = next_number())]
    pub first_number: i64,
    #[field(default = "plain", max_length = 20, verbose_name = "Word of the day")]
    pub word: String,
}

#[model]
pub struct CamelCase {
    pub id: i64,
}

#[model(verbose_name = "mouse", verbose_name_plural = "mice")]
pub struct Mouse {
    pub id: i64,
}

/// Three things: n is 5, 10 and 1; t is "Django is Fun", "rust" and NULL.
async fn things() -> Db {
    let driver = demijohn_sqlite::Sqlite::open("sqlite::memory:").expect("a database in memory opens");
    let db = Db::new(Arc::new(driver));
    let script = demijohn_sql::create_tables(&models![Thing].map(|meta| meta()), Dialect::Sqlite).join(";\n");
    db.execute_script(script).await.expect("tables are created");
    let day = |text: &str| text.parse::<DateTime>().expect("a moment");
    let first = new!(Thing {
        n: 5,
        m: 1,
        t: "Django is Fun",
        d: day("2024-12-30T13:07:09Z"),
        x: 2.5
    });
    let second = new!(Thing {
        n: 10,
        m: 20,
        t: "rust",
        d: day("2023-12-31T23:59:59.999999Z")
    });
    let third = new!(Thing {
        n: 1,
        m: 0,
        d: day("2025-01-01T00:00:00Z")
    });
    for draft in [first, second, third] {
        draft.save(&db).await.expect("it is saved");
    }
    db
}

async fn numbers(db: &Db, query: QuerySet<Thing>) -> Result<Vec<i64>> {
    query.order_by(|t| t.n).values(|t| t.n).all(db).await
}

#[tokio::test]
async fn comparisons() -> Result<()> {
    let db = things().await;
    let all = Thing::objects;
    assert_eq!(numbers(&db, all().filter(|t| t.n.gt(5))).await?, [10]);
    assert_eq!(numbers(&db, all().lookup("n__gt", 5)?).await?, [10]);
    covers!("orm.lookup.gt");
    assert_eq!(numbers(&db, all().filter(|t| t.n.ge(5))).await?, [5, 10]);
    assert_eq!(numbers(&db, all().lookup("n__gte", 5)?).await?, [5, 10]);
    covers!("orm.lookup.gte");
    assert_eq!(numbers(&db, all().filter(|t| t.n.lt(5))).await?, [1]);
    assert_eq!(numbers(&db, all().lookup("n__lt", 5)?).await?, [1]);
    covers!("orm.lookup.lt");
    assert_eq!(numbers(&db, all().filter(|t| t.n.le(5))).await?, [1, 5]);
    assert_eq!(numbers(&db, all().lookup("n__lte", 5)?).await?, [1, 5]);
    covers!("orm.lookup.lte");
    assert_eq!(numbers(&db, all().filter(|t| t.n.between(5, 10))).await?, [5, 10]);
    let sql = all().filter(|t| t.n.between(5, 10)).sql(Dialect::Sqlite)?.remove(0);
    assert!(sql.contains("BETWEEN"), "{sql}");
    covers!("orm.lookup.range");
    assert_eq!(numbers(&db, all().filter(|t| t.t.is_null())).await?, [1]);
    assert_eq!(numbers(&db, all().lookup("t__isnull", true)?).await?, [1]);
    assert_eq!(numbers(&db, all().lookup("t__isnull", "false")?).await?, [5, 10]);
    assert!(all().lookup("t__isnull", "perhaps").is_err());
    covers!("orm.lookup.isnull");
    assert_eq!(numbers(&db, all().filter(|t| t.t.eq("rust"))).await?, [10]);
    assert_eq!(numbers(&db, all().filter(|t| t.t.eq("RUST"))).await?, [0; 0]);
    assert_eq!(
        numbers(&db, all().lookup("t__exact", demijohn_orm::private::Value::Null)?).await?,
        [1]
    );
    covers!("orm.lookup.exact");
    assert_eq!(numbers(&db, all().filter(|t| t.n.gt(t.m * 2))).await?, [1, 5]);
    assert_eq!(numbers(&db, all().filter(|t| t.n.gt(4) & t.m.lt(4))).await?, [5]);
    covers!("orm.lookup.expression_rhs");
    Ok(())
}

#[tokio::test]
async fn text_lookups() -> Result<()> {
    let db = things().await;
    let all = Thing::objects;
    let typed = [
        all().filter(|t| t.t.icontains("IS")),
        all().filter(|t| t.t.startswith("Dj")),
        all().filter(|t| t.t.istartswith("dj")),
        all().filter(|t| t.t.endswith("Fun")),
        all().filter(|t| t.t.iendswith("fun")),
        all().filter(|t| t.t.iexact("DJANGO IS FUN")),
        all().filter(|t| t.t.length().eq(13)),
        all().filter(|t| t.t.lower().eq("django is fun")),
        all().filter(|t| t.t.upper().eq("DJANGO IS FUN")),
    ];
    for (i, query) in typed.into_iter().enumerate() {
        assert_eq!(numbers(&db, query).await?, [5], "lookup {i}");
    }
    for (key, value) in [
        ("t__icontains", "IS"),
        ("t__startswith", "Dj"),
        ("t__istartswith", "dj"),
        ("t__endswith", "Fun"),
        ("t__iendswith", "fun"),
        ("t__iexact", "DJANGO IS FUN"),
    ] {
        assert_eq!(numbers(&db, all().lookup(key, value)?).await?, [5], "{key}");
    }
    // The ones that heed case do.
    assert_eq!(
        numbers(&db, all().filter(|t| t.t.startswith("dj") | t.t.endswith("fun"))).await?,
        [0; 0]
    );
    assert_eq!(numbers(&db, all().filter(|t| t.t.iexact("RUST"))).await?, [10]);
    covers!(
        "orm.lookup.icontains",
        "orm.lookup.startswith",
        "orm.lookup.istartswith"
    );
    covers!("orm.lookup.endswith", "orm.lookup.iendswith", "orm.lookup.iexact");
    let texts: Vec<(Option<i64>, Option<String>, Option<String>)> = all()
        .filter(|t| t.n.eq(5))
        .values(|t| (t.t.length(), t.t.lower(), t.t.upper()))
        .all(&db)
        .await?;
    assert_eq!(
        texts,
        [(Some(13), Some("django is fun".into()), Some("DJANGO IS FUN".into()))]
    );
    covers!("orm.func.length", "orm.func.lower_upper");
    Ok(())
}

#[tokio::test]
async fn dates() -> Result<()> {
    let db = things().await;
    let all = Thing::objects;
    assert_eq!(numbers(&db, all().filter(|t| t.d.year().eq(2024))).await?, [5]);
    assert_eq!(
        numbers(&db, all().filter(|t| t.d.year().eq(2023))).await?,
        [10],
        "the last microsecond is in"
    );
    assert_eq!(numbers(&db, all().lookup("d__year", "2024")?).await?, [5]);
    assert_eq!(numbers(&db, all().lookup("d__year__gte", "2024")?).await?, [1, 5]);
    let sql = all().filter(|t| t.d.year().eq(2024)).sql(Dialect::Sqlite)?.remove(0);
    assert!(
        sql.contains("BETWEEN") || (sql.contains(">=") && sql.contains('<')),
        "an index can be used: {sql}"
    );
    covers!("orm.lookup.year");
    assert_eq!(numbers(&db, all().filter(|t| t.d.month().eq(12))).await?, [5, 10]);
    assert_eq!(numbers(&db, all().lookup("d__month", 12)?).await?, [5, 10]);
    covers!("orm.lookup.month");
    Ok(())
}

#[tokio::test]
async fn aggregates() -> Result<()> {
    let db = things().await;
    let (max, min, last, first): (Option<i64>, Option<i64>, Option<String>, Option<DateTime>) = Thing::objects()
        .aggregate(&db, |t| (t.n.max(), t.n.min(), t.t.max(), t.d.min()))
        .await?;
    assert_eq!((max, min, last.as_deref()), (Some(10), Some(1), Some("rust")));
    assert_eq!(
        first.map(|d| d.to_string()).as_deref(),
        Some("2023-12-31T23:59:59.999999Z")
    );
    covers!("orm.aggregate.max_min");
    Thing::objects()
        .filter(|t| t.n.le(5))
        .update(&db, |t| t.t.set("a"))
        .await?;
    Thing::objects()
        .filter(|t| t.n.eq(10))
        .update(&db, |t| t.t.set_opt(None::<&str>))
        .await?;
    let counts: (i64, i64, i64) = Thing::objects()
        .aggregate(&db, |t| (t.t.count(), t.t.count_distinct(), count_all()))
        .await?;
    assert_eq!(counts, (2, 1, 3));
    covers!("orm.aggregate.count");
    let groups: Vec<(Option<String>, i64)> = Thing::objects()
        .group_by(|t| t.t)
        .annotate(|t| t.id.count())
        .order_by(|t| t.t)
        .all(&db)
        .await?;
    assert_eq!(groups, [(None, 1), (Some("a".into()), 2)]);
    covers!("orm.aggregate.group_by");
    let many = Thing::objects()
        .group_by(|t| t.t)
        .annotate(|t| t.id.count())
        .filter(|t| t.id.count().gt(1));
    assert!(many.clone().sql(Dialect::Sqlite)?[0].contains("HAVING"));
    assert_eq!(many.all(&db).await?, [(Some("a".to_owned()), 2)]);
    covers!("orm.aggregate.having");
    Ok(())
}

#[tokio::test]
async fn cases() -> Result<()> {
    let db = things().await;
    macro_rules! greeting {
        ($t:ident) => {
            case($t.n.gt(3), "hi").otherwise("lo")
        };
    }
    let all = Thing::objects;
    assert_eq!(
        all().filter(|t| t.n.eq(5)).values(|t| greeting!(t)).get(&db).await?,
        "hi"
    );
    assert_eq!(numbers(&db, all().filter(|t| greeting!(t).eq("lo"))).await?, [1]);
    let ordered = all()
        .order_by(|t| (greeting!(t).desc(), t.n.asc()))
        .values(|t| t.n)
        .all(&db)
        .await?;
    assert_eq!(ordered, [1, 5, 10]);
    assert_eq!(
        all().aggregate(&db, |t| greeting!(t).max()).await?,
        Some("lo".to_owned())
    );
    all().update(&db, |t| t.word.set(greeting!(t))).await?;
    assert_eq!(
        all().order_by(|t| t.n).values(|t| t.word).all(&db).await?,
        ["lo", "hi", "hi"]
    );
    covers!("orm.expr.case_when");
    Ok(())
}

#[tokio::test]
async fn options() -> Result<()> {
    let db = things().await;
    let thing = Thing::objects().filter(|t| t.n.eq(5)).get(&db).await?;
    assert_eq!(thing.x, Some(2.5));
    covers!("orm.field.float");
    let before = CALLS.load(Ordering::SeqCst);
    let one = new!(Thing { n: 2, m: 2, d: thing.d }).save(&db).await?;
    let two = new!(Thing { n: 3, m: 3, d: thing.d }).save(&db).await?;
    assert!(
        one.first_number >= before && two.first_number > one.first_number,
        "called for each new row"
    );
    assert_eq!((one.word.as_str(), two.word.as_str()), ("plain", "plain"));
    covers!("orm.option.default");
    let label = |name: &str| Thing::meta().field(name).map(|(_, field)| field.verbose_name);
    assert_eq!(
        (label("first_number"), label("word")),
        (Some("first number"), Some("Word of the day"))
    );
    covers!("orm.option.verbose_name");
    let named = |meta: &demijohn_orm::meta::ModelMeta| (meta.verbose_name, meta.verbose_name_plural);
    assert_eq!(named(CamelCase::meta()), ("camel case", "camel cases"));
    assert_eq!(named(Mouse::meta()), ("mouse", "mice"));
    covers!("orm.meta.verbose_name");
    let columns = "n, m, d, first_number, word";
    let refused = db
        .execute_script(format!(
            "INSERT INTO rows_thing ({columns}) VALUES (NULL, 1, '2024-01-01', 1, 'x')"
        ))
        .await;
    assert_eq!(
        refused.expect_err("n is needed").violated(),
        Some(demijohn_orm::Constraint::NotNull)
    );
    assert!(two.t.is_none() && two.x.is_none());
    covers!("orm.option.null");
    Ok(())
}

#[tokio::test]
async fn relations_and_queries() -> Result<()> {
    let db = database().await;
    let mut people = Vec::new();
    for i in 0..100 {
        people.push(
            new!(User {
                email: format!("{i}@example.org"),
                name: format!("{i}")
            })
            .save(&db)
            .await?,
        );
    }
    let tag = new!(Tag { slug: "t", name: "T" }).save(&db).await?;
    for (i, author) in people.iter().enumerate() {
        let article = new!(Article {
            title: "A",
            slug: format!("a{i}"),
            content: "",
            author
        });
        let article = article.save(&db).await?;
        article.tags().add(&db, [&tag, &tag]).await?;
        new!(Comment {
            text: "c",
            article: &article
        })
        .save(&db)
        .await?;
    }
    assert_eq!(tag.articles().count(&db).await?, 100);
    let pair = "INSERT INTO blog_article_tags (article_id, tag_id) VALUES (1, 1)";
    assert!(
        db.execute_script(pair)
            .await
            .expect_err("the pair is there")
            .is_unique()
    );
    covers!("orm.field.many_to_many");
    db.record();
    let articles = Article::objects().prefetch_related(|a| a.tags()).all(&db).await?;
    assert_eq!((articles.len(), db.recorded().len()), (100, 2));
    assert!(articles.iter().all(|a| a.tags.get().is_ok_and(|tags| tags.len() == 1)));
    db.record();
    for article in &articles[..3] {
        article.author.load(&db).await?;
        article.author.load(&db).await?;
    }
    assert_eq!(db.recorded().len(), 3);
    covers!("orm.perf.fetch_count");
    let with = Article::objects().filter(|a| exists(Comment::objects().filter(|c| c.article.eq(outer(a.id)))));
    let without = Article::objects().exclude(|a| exists(Comment::objects().filter(|c| c.article.eq(outer(a.id)))));
    assert!(with.clone().sql(Dialect::Sqlite)?[0].contains("EXISTS"));
    assert!(without.clone().sql(Dialect::Sqlite)?[0].contains("NOT EXISTS"));
    assert_eq!((with.count(&db).await?, without.count(&db).await?), (100, 0));
    covers!("orm.expr.exists");
    let both = Article::objects()
        .filter(|a| a.slug.eq("a7"))
        .filter(|a| a.author().name.eq("7"));
    assert_eq!(both.count(&db).await?, 1);
    let error = Article::objects()
        .lookup("slugg", "x")
        .err()
        .map(|e| e.to_string())
        .unwrap_or_default();
    assert!(error.contains("choices: id, title, slug"), "{error}");
    covers!("orm.qs.filter");
    db.record();
    let rest = Article::objects().exclude(|a| a.subtitle.eq("x")).count(&db).await?;
    assert_eq!(rest, 100, "NULL ones too");
    assert_eq!(
        Article::objects().exclude(|a| a.tags().slug.eq("t")).count(&db).await?,
        0
    );
    let asked = db.recorded();
    assert!(
        asked[0].contains("COUNT(*)") && asked[1].contains("NOT EXISTS"),
        "{asked:?}"
    );
    covers!("orm.qs.exclude");
    db.record();
    assert!(
        Article::objects()
            .none()
            .filter(|a| a.public)
            .all(&db)
            .await?
            .is_empty()
    );
    assert!(db.recorded().is_empty());
    covers!("orm.qs.none");
    let several = Article::objects().get(&db).await.expect_err("there are many");
    let none = Article::objects()
        .filter(|a| a.id.eq(-1))
        .get(&db)
        .await
        .expect_err("there is none");
    assert!(several.is_multiple_returned() && none.is_not_found());
    assert_eq!(Article::objects().filter(|a| a.id.eq(1)).get(&db).await?.id, 1);
    covers!("orm.qs.get");
    people[1].delete(&db).await?;
    let mut edited = Article::objects().filter(|a| a.id.eq(1)).get(&db).await?;
    edited.update(&db, |a| a.editor.set_opt(Some(&people[2]))).await?;
    people[2].delete(&db).await?;
    edited.refresh(&db).await?;
    assert!(edited.editor.is_none());
    covers!("orm.on_delete.set_null");
    Ok(())
}

#[tokio::test]
async fn one_row_or_404() -> Result<()> {
    let db = things().await;
    let five = demijohn_orm::get_or_404(Thing::objects().filter(|t| t.n.eq(5)), &db)
        .await
        .expect("it is there");
    assert_eq!(five.n, 5);
    let missing = demijohn_orm::get_or_404(Thing::objects().filter(|t| t.n.eq(6)), &db)
        .await
        .expect_err("it is not");
    assert_eq!(
        (missing.status().as_u16(), missing.client_text()),
        (404, "No Thing matches the given query.")
    );
    let several = demijohn_orm::get_or_404(Thing::objects(), &db)
        .await
        .expect_err("there are three");
    assert_eq!(several.status().as_u16(), 500);
    assert!(
        several
            .downcast_ref::<demijohn_orm::Error>()
            .is_some_and(demijohn_orm::Error::is_multiple_returned)
    );
    // Every form of a query will do, also one of values.
    let word = demijohn_orm::get_or_404(Thing::objects().filter(|t| t.n.eq(5)).values(|t| t.word), &db).await;
    assert_eq!(word.expect("it is there"), "plain");
    covers!("http.shortcut.get_object_or_404");
    Ok(())
}

#[tokio::test]
async fn statements_are_counted() -> Result<()> {
    let db = things().await;
    let n = db.assert_num_queries(2, async || {
        Ok::<_, demijohn_orm::Error>(Thing::objects().count(&db).await? + Thing::objects().count(&db).await?)
    });
    assert_eq!(n.await?, 6);
    let wrong = {
        let db = db.clone();
        tokio::spawn(async move {
            db.assert_num_queries(2, async || Thing::objects().count(&db).await)
                .await
        })
    };
    let panic = wrong.await.expect_err("one is not two").into_panic();
    let message = panic.downcast_ref::<String>().map(String::as_str).unwrap_or_default();
    assert!(
        message.contains("1 statements at") && message.contains("expected 2") && message.contains("SELECT COUNT(*)"),
        "{message}"
    );
    covers!("platform.test.num_queries");
    Ok(())
}

#[tokio::test]
async fn a_save_is_seen_by_others_at_once() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite://{}", folder.path().join("db.sqlite3").display());
    let open = || Db::new(Arc::new(demijohn_sqlite::Sqlite::open(&url).expect("it opens")));
    let (a, b) = (open(), open());
    let script = demijohn_sql::create_tables(&models![Tag].map(|meta| meta()), Dialect::Sqlite).join(";\n");
    a.execute_script(script).await?;
    new!(Tag { slug: "x", name: "x" }).save(&a).await?;
    assert_eq!(Tag::objects().count(&b).await?, 1);
    covers!("orm.tx.autocommit");
    Ok(())
}
