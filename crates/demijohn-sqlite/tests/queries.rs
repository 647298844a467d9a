//! What compiled queries mean, on a real database.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::blog::*;
use common::*;
use demijohn_model::meta::Hop;
use demijohn_model::tape::*;
use demijohn_model::value::Value;

const NONE: [i64; 0] = [];

fn a(name: &str) -> Node {
    col(&ARTICLE, name)
}

fn over(hops: &[&'static Hop], name: &str) -> Node {
    at(&ARTICLE, hops, name)
}

fn count(hop: &'static Hop) -> Node {
    Node::op(Op::CountPath { path: path(&[hop]) })
}

#[test]
fn unequal_and_not_count_null_as_unequal() {
    let blog = Blog::new();
    assert_eq!(blog.articles(eq(a("subtitle"), "sub")), [1]);
    assert_eq!(blog.articles(two(a("subtitle"), Op::Ne, "sub")), [2, 3]);
    assert_eq!(blog.articles(not(eq(a("subtitle"), "sub"))), [2, 3]);
    assert_eq!(blog.articles(not(two(a("subtitle"), Op::Ne, "sub"))), [1]);
    assert_eq!(blog.articles(not(not(eq(a("subtitle"), "sub")))), [1]);
    assert_eq!(blog.articles(not(two(a("subtitle"), Op::Gt, "a"))), [2, 3]);
    assert_eq!(blog.articles(not(and(a("public"), eq(a("subtitle"), "sub")))), [2, 3]);
    assert_eq!(blog.articles(not(in_(a("subtitle"), ["sub"]))), [2, 3]);
    assert_eq!(blog.articles(eq(a("subtitle"), Value::Null)), [2, 3]);
    assert_eq!(blog.articles(two(a("subtitle"), Op::Ne, Value::Null)), [1]);
    // Two NULLs are not equal either.
    assert_eq!(blog.articles(eq(a("subtitle"), a("subtitle"))), [1]);
    assert_eq!(blog.articles(two(a("subtitle"), Op::Ne, a("subtitle"))), [2, 3]);
    // A missing row is as good as NULL.
    assert_eq!(blog.articles(two(over(&[&EDITOR], "name"), Op::Ne, "Bob")), [2, 3]);
    assert_eq!(blog.articles(not(eq(over(&[&EDITOR], "name"), "Bob"))), [2, 3]);
    assert_eq!(blog.articles(over(&[&EDITOR], "id").push(Op::IsNull)), [2]);
}

#[test]
fn to_one_relations_are_joins() {
    let blog = Blog::new();
    assert_eq!(blog.articles(eq(over(&[&AUTHOR], "name"), "Bob")), [2, 3]);
    assert_eq!(blog.articles(eq(over(&[&AUTHOR, &MANAGER], "name"), "Ann")), [2, 3]);
    assert_eq!(blog.articles(eq(over(&[&EDITOR, &MANAGER], "id"), 1)), [1]);
    assert_eq!(blog.articles(eq(over(&[&AUTHOR, &PROFILE], "bio"), "writes")), [1]);
    assert_eq!(blog.articles(over(&[&AUTHOR, &PROFILE], "id").push(Op::IsNull)), [2, 3]);
    let mut query = all(&ARTICLE);
    query
        .select
        .extend([Item::Model(path(&[&AUTHOR])), Item::Model(path(&[&EDITOR]))]);
    let rows = blog.select(query);
    assert_eq!(rows.len(), 3);
    // In the model's own order, the newest first; its editor after its author.
    assert_eq!(
        (&rows[0][0], &rows[0][9], &rows[0][13]),
        (&Value::Int(3), &"Bob".into(), &"Cid".into())
    );
    let draft = rows.iter().find(|row| row[0] == Value::Int(2)).unwrap();
    assert_eq!(draft[12..], [Value::Null, Value::Null, Value::Null, Value::Null]);
}

#[test]
fn to_many_relations_give_no_row_twice() {
    let blog = Blog::new();
    let tag = |name: &str| eq(over(&[&TAGS], "name"), name);
    assert_eq!(blog.articles(in_(over(&[&TAGS], "name"), ["rust", "web"])), [1]);
    assert_eq!(blog.articles(tag("rust")), [1]);
    assert_eq!(blog.articles(not(tag("rust"))), [2, 3]);
    // Each comparison may be about another row: one tag is "rust", one is "web".
    assert_eq!(blog.articles(and(tag("rust"), tag("web"))), [1]);
    assert_eq!(blog.articles(or(tag("rust"), tag("draft"))), [1, 2]);
    assert_eq!(blog.articles(two(over(&[&TAGS], "name"), Op::Ne, "rust")), [1, 2]);
    assert_eq!(blog.articles(over(&[&COMMENTS], "approved")), [1, 3]);
    assert_eq!(blog.articles(not(over(&[&COMMENTS], "approved"))), [2]);
    assert_eq!(blog.articles(eq(over(&[&COMMENTS, &COMMENT_USER], "name"), "Bob")), [1]);
    assert_eq!(blog.articles(eq(over(&[&COMMENTS, &COMMENT_USER], "id"), 3)), [3]);
    assert_eq!(blog.articles(eq(over(&[&AUTHOR, &ARTICLES], "title"), "draft")), [2, 3]);
    assert_eq!(
        blog.articles(eq(over(&[&AUTHOR, &ARTICLES, &TAGS], "name"), "draft")),
        [2, 3]
    );
    assert_eq!(ints(blog.select(ids(&TAG, at(&TAG, &[&TAGGED], "public")))), [1, 2]);
    assert_eq!(
        ints(blog.select(ids(&USER, eq(at(&USER, &[&ARTICLES, &TAGS], "id"), 3)))),
        [2]
    );
    let same_row = Query {
        filter: Some(and(eq(col(&COMMENT, "text"), "second"), col(&COMMENT, "approved"))),
        ..Query::new(&COMMENT)
    };
    let related = |sub: &Query| {
        Node::sub(
            Op::Related {
                path: path(&[&COMMENTS]),
                sub: 0,
            },
            sub.clone(),
        )
    };
    assert_eq!(blog.articles(related(&same_row)), NONE);
    assert_eq!(blog.articles(related(&Query::new(&COMMENT))), [1, 3]);
    assert_eq!(blog.articles(not(related(&Query::new(&COMMENT)))), [2]);
}

#[test]
fn null_over_a_to_many_relation_is_no_row_or_a_row_without_value() {
    let blog = Blog::new();
    assert_eq!(blog.articles(over(&[&TAGS], "id").push(Op::IsNull)), [3]);
    assert_eq!(blog.articles(not(over(&[&TAGS], "id").push(Op::IsNull))), [1, 2]);
    assert_eq!(blog.articles(over(&[&COMMENTS], "text").push(Op::IsNull)), [2]);
    assert_eq!(blog.articles(over(&[&TAGS], "color").push(Op::IsNull)), [1, 3]);
    assert_eq!(blog.articles(not(over(&[&TAGS], "color").push(Op::IsNull))), [1, 2]);
    // Bob has an article without tags.
    let tags = |user: Node| ints(blog.select(ids(&USER, user)));
    assert_eq!(tags(at(&USER, &[&ARTICLES, &TAGS], "id").push(Op::IsNull)), [2, 3]);
    assert_eq!(tags(at(&USER, &[&ARTICLES, &TAGS], "name").push(Op::IsNull)), [2, 3]);
}

#[test]
fn two_counts_do_not_multiply() {
    let blog = Blog::new();
    let comments = over(&[&COMMENTS], "id").push(Op::Aggregate(Aggregate::Count));
    let last = over(&[&COMMENTS], "text").push(Op::Aggregate(Aggregate::Max));
    let mut query = values(&ARTICLE, [a("id"), count(&TAGS), comments, last], None);
    query.order = vec![a("id").push(Op::Asc)];
    let int = Value::Int;
    assert_eq!(
        blog.select(query),
        [
            vec![int(1), int(2), int(2), "second".into()],
            vec![int(2), int(1), int(0), Value::Null],
            vec![int(3), int(0), int(1), "first".into()],
        ]
    );
    assert_eq!(blog.articles(two(count(&TAGS), Op::Gt, 1)), [1]);
    let views = at(&USER, &[&ARTICLES], "views").push(Op::Aggregate(Aggregate::Sum));
    assert_eq!(
        ints(blog.select(values(&USER, [views], not(eq(col(&USER, "id"), 3))))),
        [10, 205]
    );
}

#[test]
fn groups_and_their_aggregates() {
    let blog = Blog::new();
    let author = || over(&[&AUTHOR], "name");
    let views = || a("views").push(Op::Aggregate(Aggregate::Sum));
    let grouped = |filter: Option<Node>| Query {
        group: vec![author()],
        order: vec![author().push(Op::Asc)],
        ..values(&ARTICLE, [author(), views(), count(&TAGS)], filter)
    };
    let row = |name: &str, views, tags| vec![name.into(), Value::Int(views), Value::Int(tags)];
    assert_eq!(blog.select(grouped(None)), [row("Ann", 10, 2), row("Bob", 205, 1)]);
    assert_eq!(
        blog.select(grouped(Some(two(views(), Op::Gt, 100)))),
        [row("Bob", 205, 1)]
    );
    assert_eq!(
        blog.select(grouped(Some(and(a("public"), two(views(), Op::Gt, 100))))),
        [row("Bob", 200, 0)]
    );
    assert_eq!(
        blog.select(grouped(Some(two(count(&TAGS), Op::Gt, 1)))),
        [row("Ann", 10, 2)]
    );
    let groups = blog.run(&Statement::Count(grouped(None))).unwrap();
    assert_eq!(groups, [[Value::Int(2)]]);
    let of_all = |nodes: Vec<Node>, filter: Option<Node>| {
        blog.select(Query {
            aggregate: true,
            ..values(&ARTICLE, nodes, filter)
        })
    };
    let average = a("views").push(Op::Aggregate(Aggregate::Avg));
    assert_eq!(
        of_all(vec![average.clone(), Node::op(Op::CountAll), count(&COMMENTS)], None),
        [[Value::Float(215.0 / 3.0), Value::Int(3), Value::Int(3)]]
    );
    assert_eq!(
        of_all(vec![average, count(&COMMENTS)], Some(eq(a("id"), 99))),
        [[Value::Null, Value::Int(0)]]
    );
}

#[test]
fn a_year_ends_with_its_last_microsecond() {
    let blog = Blog::new();
    let year = |op, year: i64| blog.articles(two(a("published_at").push(Op::Extract(Part::Year)), op, year));
    assert_eq!(year(Op::Eq, 2026), [1, 3]);
    assert_eq!(year(Op::Eq, 2025), [2]);
    assert_eq!(year(Op::Ne, 2026), [2]);
    assert_eq!(year(Op::Gt, 2025), [1, 3]);
    assert_eq!(year(Op::Ge, 2026), [1, 3]);
    assert_eq!(year(Op::Lt, 2026), [2]);
    assert_eq!(year(Op::Le, 2025), [2]);
    assert_eq!(year(Op::Le, 2026), [1, 2, 3]);
    // Years beyond the calendar are asked of the database.
    for op in [Op::Eq, Op::Gt, Op::Ge] {
        assert_eq!(year(op, 9999), NONE);
        assert_eq!(year(op, i64::MAX), NONE);
    }
    assert_eq!(year(Op::Lt, i64::MAX), [1, 2, 3]);
    assert_eq!(year(Op::Gt, i64::MIN), [1, 2, 3]);
    let day = |op| blog.articles(two(over(&[&COMMENTS], "day").push(Op::Extract(Part::Year)), op, 2026));
    assert_eq!(day(Op::Eq), [1]);
    assert_eq!(day(Op::Ne), [1, 3]);
    let part = |part, value: i64| blog.articles(eq(a("published_at").push(Op::Extract(part)), value));
    assert_eq!(part(Part::Month, 12), [2, 3]);
    assert_eq!(part(Part::Day, 1), [1]);
}

#[test]
fn in_takes_no_value_or_thousands() {
    let blog = Blog::new();
    assert_eq!(blog.articles(in_(a("id"), NONE)), NONE);
    assert_eq!(blog.articles(not(in_(a("id"), NONE))), [1, 2, 3]);
    assert_eq!(blog.articles(in_(a("id"), [2])), [2]);
    assert_eq!(blog.articles(in_(a("id"), 2..1_002)), [2, 3]);
    assert_eq!(blog.articles(in_(a("id"), 2..100_002)), [2, 3]);
    assert_eq!(blog.articles(not(in_(a("id"), 2..1_002))), [1]);
    let titles = ["\"quoted\\\n\u{1}", "100% Größe_"];
    assert_eq!(blog.articles(in_(a("title"), titles)), [3]);
    let moment = Value::DateTime("2026-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(blog.articles(in_(a("published_at"), [moment])), [1]);
    assert_eq!(blog.articles(in_(a("public"), [Value::Bool(false)])), [2]);
    assert_eq!(blog.articles(in_(a("views"), [Value::Float(10.0), Value::Null])), [1]);
    let users = Node::sub(
        Op::Scalar(0),
        Query {
            filter: Some(eq(col(&USER, "name"), "Bob")),
            ..all(&USER)
        },
    );
    assert_eq!(blog.articles(in_(a("author"), [users])), [2, 3]);
}

#[test]
fn text_is_found_as_written() {
    let blog = Blog::new();
    let find = |op: fn(bool) -> Op, ignore: bool, part: &str| blog.articles(two(a("title"), op(ignore), part));
    let contains = |ignore_case| Op::Contains { ignore_case };
    let starts = |ignore_case| Op::StartsWith { ignore_case };
    let ends = |ignore_case| Op::EndsWith { ignore_case };
    assert_eq!(find(contains, false, "%"), [3]);
    assert_eq!(find(contains, true, "%"), [3]);
    assert_eq!(find(contains, true, "_"), [3]);
    assert_eq!(find(contains, true, "\\"), NONE);
    assert_eq!(find(contains, false, ""), [1, 2, 3]);
    assert_eq!(find(contains, true, ""), [1, 2, 3]);
    assert_eq!(find(contains, false, "rust"), NONE);
    assert_eq!(find(contains, true, "rust"), [1]);
    assert_eq!(find(contains, false, "öß"), [3]);
    assert_eq!(find(contains, true, "GRöß"), [3]);
    assert_eq!(find(starts, false, "hello"), NONE);
    assert_eq!(find(starts, false, "Hello"), [1]);
    assert_eq!(find(starts, true, "hello"), [1]);
    assert_eq!(find(starts, false, "*"), NONE);
    assert_eq!(find(starts, false, "[a-z]"), NONE);
    assert_eq!(find(starts, false, "???"), NONE);
    assert_eq!(find(ends, false, "Größe_"), [3]);
    assert_eq!(find(ends, true, "größe_"), [3]);
    assert_eq!(find(ends, true, "e"), NONE);
    assert_eq!(blog.articles(two(a("title"), Op::IExact, "HELLO RUST")), [1]);
    assert_eq!(blog.articles(two(a("title"), Op::IExact, "hello_rust")), NONE);
    // Longer than SQLite takes patterns.
    let long = "%".repeat(60_000);
    for op in [contains, starts, ends] {
        for ignore in [false, true] {
            assert_eq!(find(op, ignore, &long), NONE);
        }
    }
    assert_eq!(blog.articles(two(a("title"), Op::IExact, &*long)), NONE);
    // Columns in place of values.
    let in_itself = |op: Op| blog.articles(two(a("title"), op, a("title")));
    for ignore in [false, true] {
        for op in [contains, starts, ends] {
            assert_eq!(in_itself(op(ignore)), [1, 2, 3]);
        }
    }
    let tail = |part: Node| blog.articles(two(a("title"), Op::EndsWith { ignore_case: true }, part));
    assert_eq!(tail(over(&[&AUTHOR], "name")), NONE);
    assert_eq!(
        blog.articles(two(
            a("title"),
            Op::EndsWith { ignore_case: false },
            "draft".node().push(Op::Lower)
        )),
        [2]
    );
    assert_eq!(
        blog.articles(two(
            a("title"),
            Op::EndsWith { ignore_case: false },
            "a longer draft".node().push(Op::Lower)
        )),
        NONE
    );
    assert_eq!(blog.articles(eq(a("title").push(Op::Length), 11)), [3]);
}

#[test]
fn subqueries_reach_outwards() {
    let blog = Blog::new();
    let same = || eq(col(&COMMENT, "article"), outer(&ARTICLE, &[], "id"));
    let exists = |filter: Node| Node::sub(Op::Exists(0), ids(&COMMENT, filter));
    assert_eq!(blog.articles(exists(same())), [1, 3]);
    assert_eq!(blog.articles(not(exists(same()))), [2]);
    assert_eq!(
        blog.articles(exists(and(
            same(),
            eq(col(&COMMENT, "user"), outer(&ARTICLE, &[&EDITOR], "id"))
        ))),
        [1, 3]
    );
    let manager = outer(&ARTICLE, &[&AUTHOR, &MANAGER], "name");
    assert_eq!(blog.articles(exists(and(same(), eq("Ann", manager)))), [3]);
    let last = Query {
        order: vec![col(&COMMENT, "id").push(Op::Desc)],
        limit: Some(1),
        ..values(&COMMENT, [col(&COMMENT, "text")], same())
    };
    let mut query = values(&ARTICLE, [a("id"), Node::sub(Op::Scalar(0), last)], None);
    query.order = vec![a("id").push(Op::Asc)];
    let rows = blog.select(query);
    assert_eq!(rows[0][1], "second".into());
    assert_eq!(rows[1][1], Value::Null);
}

#[test]
fn order_limit_distinct_union_and_none() {
    let blog = Blog::new();
    let by_views = |limit, offset| {
        let query = Query {
            order: vec![a("views").push(Op::Desc)],
            limit,
            offset,
            ..values(&ARTICLE, [a("views")], None)
        };
        blog.select(query)
            .into_iter()
            .map(|row| row[0].clone())
            .collect::<Vec<_>>()
    };
    let int = Value::Int;
    assert_eq!(by_views(None, None), [int(200), int(10), int(5)]);
    assert_eq!(by_views(Some(1), Some(1)), [int(10)]);
    assert_eq!(by_views(None, Some(1)), [int(10), int(5)]);
    assert_eq!(by_views(Some(0), None), []);
    assert_eq!(by_views(Some(u64::MAX), Some(u64::MAX)), []);
    let distinct = Query {
        distinct: true,
        ..values(&ARTICLE, [over(&[&AUTHOR], "id")], None)
    };
    assert_eq!(ints(blog.select(distinct.clone())), [1, 2]);
    assert_eq!(blog.run(&Statement::Count(distinct)).unwrap(), [[int(2)]]);
    let union = Query {
        unions: vec![ids(&ARTICLE, eq(a("id"), 2)), ids(&ARTICLE, eq(a("id"), 1))],
        order: vec![a("id").push(Op::Desc)],
        ..ids(&ARTICLE, eq(a("id"), 1))
    };
    assert_eq!(blog.select(union.clone()), [[int(2)], [int(1)]]);
    assert_eq!(blog.run(&Statement::Count(union.clone())).unwrap(), [[int(2)]]);
    assert_eq!(blog.run(&Statement::Exists(union)).unwrap(), [[int(1)]]);
    let none = Query {
        empty: true,
        ..ids(&ARTICLE, or(a("public"), not(a("public"))))
    };
    assert_eq!(blog.select(none.clone()), Vec::<Vec<Value>>::new());
    assert_eq!(blog.run(&Statement::Count(none.clone())).unwrap(), [[int(0)]]);
    assert_eq!(blog.run(&Statement::Exists(none)).unwrap(), [[int(0)]]);
    let limited = Query {
        limit: Some(2),
        ..all(&ARTICLE)
    };
    assert_eq!(blog.run(&Statement::Count(limited)).unwrap(), [[int(2)]]);
}

#[test]
fn prefetches_hang_on_the_rows_before() {
    let blog = Blog::new();
    let fed = |model, hop, column, step| {
        Statement::Select(Query {
            fed_by: Some(Feed { hop, step, column }),
            order: vec![col(model, "id").push(Op::Asc)],
            ..all(model)
        })
    };
    let articles = Statement::Select(Query {
        order: vec![a("id").push(Op::Asc)],
        ..all(&ARTICLE)
    });
    let rows = blog
        .run_all(&[
            &articles,
            &fed(&TAG, &TAGS, 0, 0),
            &fed(&COMMENT, &COMMENTS, 0, 0),
            &fed(&USER, &EDITOR, 7, 0),
            // From the tags, which have their parent's key in front.
            &fed(&ARTICLE, &TAGGED, 1, 1),
            &fed(&PROFILES, &PROFILE, 1, 3),
        ])
        .unwrap();
    let pairs = |step: usize| -> Vec<(i64, i64)> {
        rows[step]
            .iter()
            .map(|row| match (&row[0], &row[1]) {
                (Value::Int(parent), Value::Int(id)) => (*parent, *id),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(pairs(1), [(1, 1), (1, 2), (2, 3)]);
    assert_eq!(pairs(2), [(1, 1), (1, 2), (3, 3)]);
    assert_eq!(pairs(3), [(2, 2), (3, 3)]);
    assert_eq!(pairs(4), [(1, 1), (2, 1), (3, 2)]);
    assert_eq!(pairs(5), []);
    let newest = Statement::Select(Query {
        fed_by: Some(Feed {
            hop: &ARTICLES,
            step: 0,
            column: 0,
        }),
        limit: Some(1),
        ..all(&ARTICLE)
    });
    let rows = blog.run_all(&[&Statement::Select(all(&USER)), &newest]).unwrap();
    let ids: Vec<_> = rows[1].iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(ids, [(Value::Int(1), Value::Int(1)), (Value::Int(2), Value::Int(3))]);
}

#[test]
fn rows_are_inserted_updated_and_deleted() {
    let blog = Blog::new();
    let insert = |names: &[&str], on_conflict: Option<Conflict>| {
        blog.run(&Statement::Insert(Insert {
            model: &TAG,
            columns: vec![1, 2],
            rows: names.iter().map(|name| vec![name.node(), "c".node()]).collect(),
            on_conflict,
            returning: true,
        }))
    };
    let rows = insert(&["x", "y"], None).unwrap();
    assert_eq!(
        rows,
        [["x", "y"], ["x", "y"]]
            .iter()
            .enumerate()
            .map(|(i, n)| vec![Value::Int(4 + i as i64), n[i].into(), "c".into()])
            .collect::<Vec<_>>()
    );
    let taken = error(insert(&["x"], None));
    assert!(taken.is_unique());
    assert_eq!(taken.columns(), ["name", "color"]);
    let conflict = |update: &[u16]| {
        Some(Conflict {
            target: vec![1, 2],
            update: update.to_vec(),
        })
    };
    assert_eq!(insert(&["x"], conflict(&[])).unwrap(), Vec::<Vec<Value>>::new());
    assert_eq!(insert(&["x"], conflict(&[2])).unwrap()[0][0], Value::Int(4));
    assert_eq!(blog.count(&TAG), 5);

    let update = |query: Query| {
        blog.run(&Statement::Update {
            query,
            set: vec![(3, two(a("views"), Op::Add, count(&TAGS)))],
            returning: true,
        })
        .unwrap()
    };
    let changed = update(ids(&ARTICLE, eq(over(&[&AUTHOR], "name"), "Ann")));
    assert_eq!((changed.len(), &changed[0][3]), (1, &Value::Int(12)));
    assert_eq!(update(ids(&ARTICLE, over(&[&TAGS], "id").push(Op::IsNull))).len(), 1);
    assert_eq!(
        update(Query {
            limit: Some(2),
            ..all(&ARTICLE)
        })
        .len(),
        2
    );
    assert_eq!(
        update(Query {
            empty: true,
            ..all(&ARTICLE)
        })
        .len(),
        0
    );

    let delete = |query: Query| blog.run(&Statement::Delete(query));
    delete(ids(&ARTICLE, eq(over(&[&AUTHOR, &MANAGER], "name"), "nobody"))).unwrap();
    assert_eq!(blog.count(&ARTICLE), 3);
    // An author with articles is protected; an article takes its comments along.
    let protected = error(delete(ids(&USER, eq(col(&USER, "id"), 1))));
    assert_eq!(
        protected.violated(),
        Some(demijohn_model::error::Constraint::ForeignKey)
    );
    delete(ids(&ARTICLE, eq(a("id"), 1))).unwrap();
    assert_eq!((blog.count(&ARTICLE), blog.count(&COMMENT)), (2, 1));
    delete(ids(&USER, eq(col(&USER, "id"), 3))).unwrap();
    assert_eq!(blog.articles(a("editor").push(Op::IsNull)), [2, 3]);
}

#[test]
fn links_are_added_once() {
    let blog = Blog::new();
    let link = |targets: &[i64]| {
        blog.run(&Statement::Link {
            through: TAGS_TABLE,
            source: Value::Int(3),
            targets: targets.iter().map(|i| Value::Int(*i)).collect(),
        })
    };
    let tags = || ints(blog.select(ids(&TAG, eq(at(&TAG, &[&TAGGED], "id"), 3))));
    link(&[1, 2]).unwrap();
    link(&[2, 3, 3]).unwrap();
    link(&[]).unwrap();
    assert_eq!(tags(), [1, 2, 3]);
    assert_eq!(
        error(link(&[99])).violated(),
        Some(demijohn_model::error::Constraint::ForeignKey)
    );
    let unlink = |targets: Option<Vec<Value>>| {
        blog.run(&Statement::Unlink {
            through: TAGS_TABLE,
            source: Value::Int(3),
            targets,
        })
        .unwrap();
    };
    unlink(Some(vec![Value::Int(1), Value::Int(99)]));
    assert_eq!(tags(), [2, 3]);
    unlink(None);
    assert_eq!(tags(), NONE);
    // Those of other articles are left alone.
    assert_eq!(blog.articles(eq(over(&[&TAGS], "id"), 1)), [1]);
}

#[test]
fn a_year_uses_the_index() {
    let blog = Blog::new();
    let query = ids(&ARTICLE, eq(a("published_at").push(Op::Extract(Part::Year)), 2026));
    let mut step = demijohn_sql::compile(&Statement::Select(query), demijohn_model::driver::Dialect::Sqlite).unwrap();
    step.sql = format!("EXPLAIN QUERY PLAN {}", step.sql).into();
    let plan = rows(block_on(demijohn_model::driver::Driver::run(&blog.0, unit(vec![step], false))).unwrap());
    let plan = format!("{plan:?}");
    assert!(plan.contains("published_at>? AND published_at<?"), "{plan}");
}
