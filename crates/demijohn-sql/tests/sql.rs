//! The SQL of each construct, as snapshots: one file per group, so that a change of the compiler shows what it changes.
#![allow(missing_docs, clippy::unwrap_used)]

mod blog;

use blog::*;
use demijohn_model::driver::{Dialect, Param};
use demijohn_model::meta::Hop;
use demijohn_model::tape::*;
use demijohn_model::value::Value;

fn sql(statement: &Statement, dialect: Dialect) -> String {
    let step = match demijohn_sql::compile(statement, dialect) {
        Ok(step) => step,
        Err(error) => return format!("error: {error}"),
    };
    let params: Vec<String> = step
        .params
        .iter()
        .map(|param| match param {
            Param::Value(value) => format!("{value:?}"),
            other => format!("{other:?}"),
        })
        .collect();
    match params.is_empty() {
        true => step.sql.to_string(),
        false => format!("{}\n    {}", step.sql, params.join(", ")),
    }
}

/// What stands behind `FROM` when articles are filtered by a condition.
fn filtered(condition: Node) -> String {
    let sql = sql(&Statement::Select(ids(&ARTICLE, condition)), Dialect::Sqlite);
    match sql.split_once(r#"SELECT t0."id" FROM "blog_article" t0"#) {
        Some(("", rest)) => rest.trim_start().to_owned(),
        _ => sql,
    }
}

fn selected(query: Query) -> String {
    sql(&Statement::Select(query), Dialect::Sqlite)
}

macro_rules! snapshot {
    ($($name:literal => $sql:expr,)*) => {{
        let mut text = String::new();
        $(text.push_str(&format!("{}\n  {}\n\n", $name, $sql));)*
        insta::assert_snapshot!(text);
    }};
}

fn a(name: &str) -> Node {
    col(&ARTICLE, name)
}

fn over(hops: &[&'static Hop], name: &str) -> Node {
    at(&ARTICLE, hops, name)
}

fn year() -> Node {
    a("published_at").push(Op::Extract(Part::Year))
}

fn aggregate(node: Node, which: Aggregate) -> Node {
    node.push(Op::Aggregate(which))
}

fn count_tags() -> Node {
    Node::op(Op::CountPath { path: path(&[&TAGS]) })
}

const CONTAINS: Op = Op::Contains { ignore_case: false };
const ICONTAINS: Op = Op::Contains { ignore_case: true };

#[test]
fn comparisons() {
    snapshot! {
        "equal" => filtered(eq(a("title"), "x")),
        "equal to nothing" => filtered(eq(a("subtitle"), Value::Null)),
        "unequal, never NULL" => filtered(two(a("title"), Op::Ne, "x")),
        "unequal, may be NULL" => filtered(two(a("subtitle"), Op::Ne, "x")),
        "unequal to nothing" => filtered(two(a("subtitle"), Op::Ne, Value::Null)),
        "columns" => filtered(eq(a("title"), a("subtitle"))),
        "order" => filtered(and(two(a("views"), Op::Gt, 1), two(a("views"), Op::Le, 9))),
        "between" => filtered(a("views").then(1.node()).then(9.node()).push(Op::Between)),
        "in" => filtered(in_(a("id"), [1, 2, 3])),
        "in one" => filtered(in_(a("id"), [1])),
        "in nothing" => filtered(in_(a("id"), [0; 0])),
        "in without the NULLs" => filtered(in_(a("subtitle"), [Value::Null, "x".into()])),
        "in expressions" => filtered(in_(a("title"), ["x".node(), a("subtitle")])),
        "in bytes" => filtered(in_(a("title"), [Value::Bytes(vec![1])])),
        "is null" => filtered(a("subtitle").push(Op::IsNull)),
        "is not null" => filtered(not(a("subtitle").push(Op::IsNull))),
        "truth value" => filtered(a("public")),
        "not a truth value" => filtered(not(a("public"))),
        "not, may be NULL" => filtered(not(eq(a("subtitle"), "x"))),
        "and, or" => filtered(and(a("public"), or(eq(a("views"), 1), eq(a("views"), 2)))),
        "or, and" => filtered(or(a("public"), and(eq(a("views"), 1), eq(a("views"), 2)))),
        "chain" => filtered(and(and(a("public"), eq(a("views"), 1)), and(eq(a("views"), 2), a("public")))),
        "not and" => filtered(not(and(a("public"), eq(a("views"), 1)))),
        "arithmetic" => filtered(eq(two(two(a("views"), Op::Add, 1), Op::Mul, 2), two(3, Op::Sub, a("id")))),
        "functions" => filtered(eq(a("title").push(Op::Lower), a("subtitle").push(Op::Upper))),
        "length" => filtered(two(a("title").push(Op::Length), Op::Gt, 3)),
        "case" => filtered(eq(
            two(a("views"), Op::Gt, 9).then("hot".node()).then(a("public")).then("warm".node()).then("cold".node()).push(Op::Case(2)),
            "hot"
        )),
    }
}

#[test]
fn text() {
    snapshot! {
        "contains" => filtered(two(a("title"), CONTAINS, "50%_\\")),
        "icontains" => filtered(two(a("title"), ICONTAINS, "50%_\\")),
        "startswith" => filtered(two(a("title"), Op::StartsWith { ignore_case: false }, "a*?[b")),
        "istartswith" => filtered(two(a("title"), Op::StartsWith { ignore_case: true }, "a*?[b")),
        "endswith" => filtered(two(a("title"), Op::EndsWith { ignore_case: false }, "a*?[b")),
        "iendswith" => filtered(two(a("title"), Op::EndsWith { ignore_case: true }, "a%")),
        "iexact" => filtered(two(a("title"), Op::IExact, "a_b")),
        "contains a column" => filtered(two(a("title"), CONTAINS, a("subtitle"))),
        "icontains a column" => filtered(two(a("title"), ICONTAINS, a("subtitle"))),
        "startswith a column" => filtered(two(a("title"), Op::StartsWith { ignore_case: false }, a("subtitle"))),
        "endswith a column" => filtered(two(a("title"), Op::EndsWith { ignore_case: true }, a("subtitle"))),
    }
}

#[test]
fn years() {
    let day = |op| two(over(&[&COMMENTS], "day").push(Op::Extract(Part::Year)), op, 2026);
    snapshot! {
        "eq" => filtered(eq(year(), 2026)),
        "ne" => filtered(two(year(), Op::Ne, 2026)),
        "gt" => filtered(two(year(), Op::Gt, 2026)),
        "ge" => filtered(two(year(), Op::Ge, 2026)),
        "lt" => filtered(two(year(), Op::Lt, 2026)),
        "le" => filtered(two(year(), Op::Le, 2026)),
        "between" => filtered(year().then(2024.node()).then(2026.node()).push(Op::Between)),
        "a date over a relation" => filtered(day(Op::Eq)),
        "ne, may be NULL" => filtered(day(Op::Ne)),
        "the last year that is written with four digits" => filtered(eq(year(), 9999)),
        "no year" => filtered(eq(year(), i64::MAX)),
        "month" => filtered(eq(a("published_at").push(Op::Extract(Part::Month)), 12)),
    }
}

#[test]
fn to_one_relations() {
    snapshot! {
        "key" => filtered(eq(over(&[&AUTHOR], "id"), 1)),
        "join" => filtered(eq(over(&[&AUTHOR], "name"), "x")),
        "nullable join" => filtered(eq(over(&[&EDITOR], "name"), "x")),
        "unequal over a nullable join" => filtered(two(over(&[&EDITOR], "name"), Op::Ne, "x")),
        "key behind a join" => filtered(eq(over(&[&AUTHOR, &MANAGER], "id"), 1)),
        "two steps" => filtered(eq(over(&[&AUTHOR, &MANAGER], "name"), "x")),
        "one join per path" => filtered(and(eq(over(&[&AUTHOR], "name"), "x"), eq(over(&[&AUTHOR], "email"), over(&[&EDITOR], "email")))),
        "back over one-to-one" => filtered(eq(over(&[&AUTHOR, &PROFILE], "bio"), "x")),
        "no relation" => filtered(over(&[&EDITOR], "id").push(Op::IsNull)),
    }
}

#[test]
fn to_many_relations() {
    let approved = Query {
        filter: Some(and(col(&COMMENT, "approved"), eq(col(&COMMENT, "text"), "x"))),
        ..Query::new(&COMMENT)
    };
    let mut either = approved.clone();
    either.filter = Some(or(
        eq(at(&COMMENT, &[&COMMENT_USER], "name"), "x"),
        eq(col(&COMMENT, "text"), outer(&ARTICLE, &[], "title")),
    ));
    let related = |sub: &Query| {
        Node::sub(
            Op::Related {
                path: path(&[&COMMENTS]),
                sub: 0,
            },
            sub.clone(),
        )
    };
    let by_author = Node::sub(
        Op::Related {
            path: path(&[&AUTHOR, &ARTICLES]),
            sub: 0,
        },
        Query {
            filter: Some(col(&ARTICLE, "public")),
            ..Query::new(&ARTICLE)
        },
    );
    snapshot! {
        "key of many-to-many" => filtered(eq(over(&[&TAGS], "id"), 1)),
        "column of many-to-many" => filtered(eq(over(&[&TAGS], "name"), "x")),
        "not" => filtered(not(eq(over(&[&TAGS], "name"), "x"))),
        "each its own" => filtered(and(eq(over(&[&TAGS], "name"), "x"), eq(over(&[&TAGS], "name"), "y"))),
        "unequal" => filtered(two(over(&[&TAGS], "color"), Op::Ne, "x")),
        "in" => filtered(in_(over(&[&TAGS], "id"), [1, 2])),
        "truth value" => filtered(over(&[&COMMENTS], "approved")),
        "not a truth value" => filtered(not(over(&[&COMMENTS], "approved"))),
        "to-one behind" => filtered(eq(over(&[&COMMENTS, &COMMENT_USER], "name"), "x")),
        "key behind" => filtered(eq(over(&[&COMMENTS, &COMMENT_USER], "id"), 1)),
        "to-one before" => filtered(eq(over(&[&AUTHOR, &ARTICLES], "title"), "x")),
        "many behind many" => filtered(eq(over(&[&AUTHOR, &ARTICLES, &TAGS], "name"), "x")),
        "back over many-to-many" => selected(ids(&TAG, eq(at(&TAG, &[&TAGGED], "title"), "x"))),
        "many, to-one, many" => filtered(eq(over(&[&COMMENTS, &COMMENT_USER, &ARTICLES], "title"), "x")),
        "one row of one relation" => filtered(eq(over(&[&TAGS], "name"), over(&[&TAGS], "color"))),
        "two relations" => filtered(eq(over(&[&TAGS], "name"), over(&[&COMMENTS], "text"))),
        "two in and" => filtered(or(a("public"), and(eq(over(&[&TAGS], "name"), "x"), eq(over(&[&COMMENTS], "text"), "y")))),
        "none" => filtered(over(&[&TAGS], "id").push(Op::IsNull)),
        "some" => filtered(not(over(&[&TAGS], "id").push(Op::IsNull))),
        "none, or without value" => filtered(over(&[&TAGS], "color").push(Op::IsNull)),
        "none at the end" => filtered(over(&[&AUTHOR, &ARTICLES, &TAGS], "id").push(Op::IsNull)),
        "any" => filtered(related(&approved)),
        "not any" => filtered(not(related(&approved))),
        "any with or, a join, and the row around" => filtered(related(&either)),
        "any over two steps" => filtered(by_author),
        "a value" => selected(values(&ARTICLE, [over(&[&TAGS], "name")], None)),
        "an object" => selected(Query { select: vec![Item::Model(path(&[&TAGS]))], ..Query::new(&ARTICLE) }),
        "too long" => filtered(eq(Node::op(Op::Column { path: path(&[&AUTHOR, &MANAGER, &MANAGER, &MANAGER, &MANAGER, &MANAGER]), field: 0 }), 1)),
    }
}

#[test]
fn aggregates() {
    let count = |node| aggregate(node, Aggregate::Count);
    let sum = aggregate(a("views"), Aggregate::Sum);
    let grouped = |filter| Query {
        group: vec![over(&[&AUTHOR], "name")],
        ..values(
            &ARTICLE,
            [over(&[&AUTHOR], "name"), count(a("id")), count_tags()],
            filter,
        )
    };
    let of_all = |nodes: Vec<Node>| {
        selected(Query {
            aggregate: true,
            ..values(&ARTICLE, nodes, None)
        })
    };
    snapshot! {
        "annotated" => selected(Query { select: vec![Item::Model(Path::ROOT), Item::Expr(count_tags())], ..all(&ARTICLE) }),
        "two counts" => selected(values(&ARTICLE, [count_tags(), count(over(&[&COMMENTS], "id"))], None)),
        "condition and order" => selected(Query { order: vec![count_tags().push(Op::Desc)], unordered: false, ..ids(&ARTICLE, two(count_tags(), Op::Gt, 3)) }),
        "of a column" => selected(values(&USER, [aggregate(at(&USER, &[&ARTICLES], "views"), Aggregate::Max)], None)),
        "of a column behind" => selected(values(&ARTICLE, [aggregate(over(&[&COMMENTS, &COMMENT_USER], "name"), Aggregate::CountDistinct)], None)),
        "of an expression" => selected(values(&USER, [aggregate(two(at(&USER, &[&ARTICLES], "views"), Op::Mul, 2), Aggregate::Sum)], None)),
        "of all rows" => of_all(vec![aggregate(a("views"), Aggregate::Avg), count(a("id")), Node::op(Op::CountAll)]),
        "of all rows, over a relation" => of_all(vec![count_tags(), aggregate(over(&[&COMMENTS], "id"), Aggregate::Max)]),
        "of all rows, an average over a relation" => of_all(vec![aggregate(over(&[&COMMENTS], "id"), Aggregate::Avg)]),
        "arithmetic of aggregates" => of_all(vec![two(aggregate(a("views"), Aggregate::Max), Op::Sub, aggregate(a("views"), Aggregate::Min))]),
        "sum of case" => of_all(vec![aggregate(a("public").then(1.node()).then(0.node()).push(Op::Case(1)), Aggregate::Sum)]),
        "grouped" => selected(grouped(None)),
        "where" => selected(grouped(Some(a("public")))),
        "where and having" => selected(grouped(Some(and(a("public"), two(sum.clone(), Op::Gt, 3))))),
        "having with or" => selected(grouped(Some(and(or(two(sum.clone(), Op::Gt, 3), eq(count(a("id")), 1)), or(a("public"), eq(a("views"), 3)))))),
        "having repeats what is selected" => selected(grouped(Some(two(count_tags(), Op::Gt, 3)))),
        "where it is not selected" => selected(grouped(Some(two(Node::op(Op::CountPath { path: path(&[&COMMENTS]) }), Op::Gt, 3)))),
        "ordered" => selected(Query { order: vec![count(a("id")).push(Op::Desc), over(&[&AUTHOR], "name").push(Op::Asc)], ..grouped(None) }),
        "grouped by a count" => selected(Query { group: vec![count_tags()], order: vec![count_tags()], ..values(&ARTICLE, [count_tags(), count(a("id"))], None) }),
        "in a filter without group" => filtered(two(sum, Op::Gt, 3)),
    }
}

#[test]
fn subqueries() {
    let comments = |filter| ids(&COMMENT, filter);
    let same = || eq(col(&COMMENT, "article"), outer(&ARTICLE, &[], "id"));
    let latest = Query {
        order: vec![col(&COMMENT, "id").push(Op::Desc)],
        limit: Some(1),
        ..values(&COMMENT, [col(&COMMENT, "text")], same())
    };
    let deep = comments(Node::sub(
        Op::Exists(0),
        ids(
            &USER,
            eq(
                Node::op(Op::Column {
                    path: Path::ROOT.in_outer().in_outer(),
                    field: 6,
                }),
                col(&USER, "id"),
            ),
        ),
    ));
    snapshot! {
        "exists" => filtered(Node::sub(Op::Exists(0), comments(same()))),
        "not exists" => filtered(not(Node::sub(Op::Exists(0), comments(same())))),
        "a join of the query around" => filtered(Node::sub(Op::Exists(0), comments(eq(col(&COMMENT, "text"), outer(&ARTICLE, &[&AUTHOR], "name"))))),
        "to-many inside" => filtered(Node::sub(Op::Exists(0), comments(eq(at(&COMMENT, &[&COMMENT_ARTICLE, &TAGS], "name"), "x")))),
        "two up" => filtered(Node::sub(Op::Exists(0), deep)),
        "too far up" => filtered(eq(outer(&ARTICLE, &[], "id"), 1)),
        "value" => selected(values(&ARTICLE, [a("id"), Node::sub(Op::Scalar(0), latest.clone())], None)),
        "compared" => filtered(eq(a("title"), Node::sub(Op::Scalar(0), latest))),
        "in" => filtered(in_(a("author"), [Node::sub(Op::Scalar(0), all(&USER))])),
        "in values" => filtered(in_(a("title"), [Node::sub(Op::Scalar(0), values(&COMMENT, [col(&COMMENT, "text")], None))])),
        "two columns" => filtered(in_(a("title"), [Node::sub(Op::Scalar(0), values(&COMMENT, [col(&COMMENT, "text"), col(&COMMENT, "id")], None))])),
    }
}

#[test]
fn queries() {
    let limited = Query {
        limit: Some(10),
        offset: Some(20),
        ..all(&ARTICLE)
    };
    let distinct = Query {
        distinct: true,
        ..values(&ARTICLE, [over(&[&AUTHOR], "name")], None)
    };
    let union = Query {
        unions: vec![
            ids(&ARTICLE, a("public")),
            Query {
                limit: Some(3),
                ..all_ids()
            },
        ],
        order: vec![a("id").push(Op::Desc)],
        limit: Some(5),
        ..ids(&ARTICLE, eq(a("views"), 1))
    };
    fn all_ids() -> Query {
        values(&ARTICLE, [col(&ARTICLE, "id")], None)
    }
    snapshot! {
        "all" => selected(all(&ARTICLE)),
        "select_related" => selected(Query { select: vec![Item::Model(Path::ROOT), Item::Model(path(&[&AUTHOR])), Item::Model(path(&[&EDITOR]))], unordered: true, ..Query::new(&ARTICLE) }),
        "ordered" => selected(Query { order: vec![over(&[&AUTHOR], "name").push(Op::Asc), a("views").push(Op::Desc)], ..all_ids() }),
        "limit and offset" => selected(limited.clone()),
        "offset" => selected(Query { limit: None, ..limited.clone() }),
        "distinct" => selected(distinct.clone()),
        "none" => selected(Query { empty: true, ..ids(&ARTICLE, or(a("public"), a("public"))) }),
        "lock" => selected(Query { lock: true, ..all_ids() }),
        "union" => selected(union.clone()),
        "union of different width" => selected(Query { unions: vec![all(&TAG)], ..all_ids() }),
        "union ordered by what is not there" => selected(Query { order: vec![a("title")], ..union.clone() }),
        "count" => sql(&Statement::Count(Query { filter: Some(a("public")), ..all(&ARTICLE) }), Dialect::Sqlite),
        "count limited" => sql(&Statement::Count(limited.clone()), Dialect::Sqlite),
        "count distinct" => sql(&Statement::Count(distinct), Dialect::Sqlite),
        "count union" => sql(&Statement::Count(union.clone()), Dialect::Sqlite),
        "count groups" => sql(&Statement::Count(Query { group: vec![a("views")], ..all_ids() }), Dialect::Sqlite),
        "exists" => sql(&Statement::Exists(ids(&ARTICLE, a("public"))), Dialect::Sqlite),
        "exists limited" => sql(&Statement::Exists(limited), Dialect::Sqlite),
        "exists union" => sql(&Statement::Exists(union), Dialect::Sqlite),
        "malformed" => selected(Query { filter: Some(Node::op(Op::And)), ..all_ids() }),
        "malformed, too many" => selected(Query { filter: Some(a("id").then(a("id"))), ..all_ids() }),
        "nothing selected" => selected(Query::new(&ARTICLE)),
        "no such field" => selected(values(&ARTICLE, [Node::op(Op::Column { path: Path::ROOT, field: 99 })], None)),
    }
}

#[test]
fn prefetches() {
    let fed = |model, hop: &'static Hop| Query {
        fed_by: Some(Feed {
            hop,
            step: 0,
            column: 7,
        }),
        unordered: true,
        ..all(model)
    };
    snapshot! {
        "many-to-many" => selected(Query { filter: Some(or(eq(col(&TAG, "name"), "x"), eq(col(&TAG, "name"), "y"))), ..fed(&TAG, &TAGS) }),
        "back over many-to-many" => selected(Query { unordered: false, ..fed(&ARTICLE, &TAGGED) }),
        "back over a foreign key" => selected(fed(&COMMENT, &COMMENTS)),
        "foreign key" => selected(fed(&USER, &AUTHOR)),
        "back over one-to-one" => selected(fed(&PROFILES, &PROFILE)),
        "with select_related" => selected(Query { select: vec![Item::Model(Path::ROOT), Item::Model(path(&[&COMMENT_USER]))], ..fed(&COMMENT, &COMMENTS) }),
        "limited" => selected(Query { limit: Some(3), offset: Some(1), unordered: false, ..fed(&ARTICLE, &TAGGED) }),
        "of another model" => selected(fed(&TAG, &COMMENTS)),
    }
}

#[test]
fn changes() {
    let insert = |columns: &[u16], rows: Vec<Vec<Node>>, on_conflict| {
        sql(
            &Statement::Insert(Insert {
                model: &TAG,
                columns: columns.to_vec(),
                rows,
                on_conflict,
                returning: true,
            }),
            Dialect::Sqlite,
        )
    };
    let row = |name: &str| vec![name.node(), Value::Null.node()];
    let update = |query, returning| {
        sql(
            &Statement::Update {
                query,
                set: vec![(3, two(a("views"), Op::Add, 1)), (1, "t".node())],
                returning,
            },
            Dialect::Sqlite,
        )
    };
    let delete = |query| sql(&Statement::Delete(query), Dialect::Sqlite);
    let over_author = || ids(&ARTICLE, eq(over(&[&AUTHOR], "name"), "x"));
    let set_joined = Statement::Update {
        query: all(&ARTICLE),
        set: vec![(1, over(&[&AUTHOR], "name"))],
        returning: false,
    };
    let link = |targets: &[i64]| Statement::Link {
        through: TAGS_TABLE,
        source: Value::Int(1),
        targets: targets.iter().map(|t| Value::Int(*t)).collect(),
    };
    snapshot! {
        "insert" => insert(&[1, 2], vec![row("a")], None),
        "insert several" => insert(&[1, 2], vec![row("a"), row("b")], None),
        "insert defaults" => insert(&[], vec![vec![]], None),
        "insert an expression" => insert(&[1], vec![vec!["A".node().push(Op::Lower)]], None),
        "insert a column" => insert(&[1], vec![vec![col(&TAG, "name")]], None),
        "insert nothing" => insert(&[1], vec![], None),
        "insert too much" => insert(&[1], vec![row("a")], None),
        "ignore" => insert(&[1, 2], vec![row("a")], Some(Conflict { target: vec![1], update: vec![] })),
        "ignore any" => insert(&[1, 2], vec![row("a")], Some(Conflict { target: vec![], update: vec![] })),
        "upsert" => insert(&[1, 2], vec![row("a")], Some(Conflict { target: vec![1], update: vec![2] })),
        "update" => update(ids(&ARTICLE, eq(a("id"), 1)), false),
        "update and return" => update(ids(&ARTICLE, eq(a("id"), 1)), true),
        "update all" => update(all(&ARTICLE), false),
        "update over a join" => update(over_author(), false),
        "update over a to-many relation" => update(ids(&ARTICLE, eq(over(&[&TAGS], "name"), "x")), false),
        "update limited" => update(Query { limit: Some(3), ..all(&ARTICLE) }, false),
        "update none" => update(Query { empty: true, ..all(&ARTICLE) }, false),
        "update with a count" => sql(&Statement::Update { query: all(&ARTICLE), set: vec![(3, count_tags())], returning: false }, Dialect::Sqlite),
        "update with a joined column" => sql(&set_joined, Dialect::Sqlite),
        "update nothing" => sql(&Statement::Update { query: all(&ARTICLE), set: vec![], returning: false }, Dialect::Sqlite),
        "delete" => delete(ids(&ARTICLE, a("public"))),
        "delete over a join" => delete(over_author()),
        "delete limited" => delete(Query { limit: Some(3), ..all(&ARTICLE) }),
        "delete all" => delete(all(&ARTICLE)),
        "link" => sql(&link(&[2, 3]), Dialect::Sqlite),
        "unlink" => sql(&Statement::Unlink { through: TAGS_TABLE, source: Value::Int(1), targets: Some(vec![Value::Int(2)]) }, Dialect::Sqlite),
        "unlink all" => sql(&Statement::Unlink { through: TAGS_TABLE, source: Value::Int(1), targets: None }, Dialect::Sqlite),
    }
}

#[test]
fn other_dialects() {
    let statements = || {
        vec![
            Statement::Select(Query {
                limit: Some(3),
                lock: true,
                ..ids(
                    &ARTICLE,
                    and(
                        and(in_(a("id"), [1, 2]), two(a("title"), ICONTAINS, "x%")),
                        two(a("title"), Op::StartsWith { ignore_case: false }, "x"),
                    ),
                )
            }),
            Statement::Select(ids(&ARTICLE, eq(a("published_at").push(Op::Extract(Part::Month)), 5))),
            Statement::Insert(Insert {
                model: &TAG,
                columns: vec![1],
                rows: vec![vec!["a".node()]],
                on_conflict: Some(Conflict {
                    target: vec![1],
                    update: vec![1],
                }),
                returning: true,
            }),
            Statement::Link {
                through: TAGS_TABLE,
                source: Value::Int(1),
                targets: vec![Value::Int(2)],
            },
        ]
    };
    let mut text = String::new();
    for dialect in [Dialect::Postgres, Dialect::MariaDb] {
        text.push_str(&format!("{dialect:?}\n"));
        for statement in statements() {
            text.push_str(&format!("  {}\n", sql(&statement, dialect)));
        }
        for statement in demijohn_sql::create_tables(&models(), dialect) {
            text.push_str(&format!("  {statement}\n"));
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn tables() {
    let tables = demijohn_sql::create_tables(&models(), Dialect::Sqlite);
    insta::assert_snapshot!(tables.join("\n"));
}

#[test]
fn the_text_does_not_depend_on_values() {
    let text = |count: i64| {
        let step = demijohn_sql::compile(
            &Statement::Select(ids(&ARTICLE, in_(a("id"), 0..count))),
            Dialect::Sqlite,
        );
        step.unwrap().sql
    };
    assert_eq!(text(1), text(1000));
}

#[test]
fn deep_expressions_are_refused_and_long_ones_are_not() {
    let deep = (0..100_000).fold(a("views"), |node, _| node.push(Op::Lower));
    let error = demijohn_sql::compile(&Statement::Select(values(&ARTICLE, [deep], None)), Dialect::Sqlite);
    assert!(error.err().unwrap().to_string().contains("nested"));
    let long = (0..5_000).fold(a("public"), |node, i| or(node, eq(a("views"), i)));
    assert!(demijohn_sql::compile(&Statement::Select(ids(&ARTICLE, long)), Dialect::Sqlite).is_ok());
}
