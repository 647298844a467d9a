//! A database with the blog's tables, and statements run on it.
#![allow(dead_code, unreachable_pub)]

#[path = "../../../demijohn-sql/tests/blog/mod.rs"]
pub mod blog;

use blog::*;
use demijohn_model::driver::{Dialect, Driver, Param, RowSink, Step, Unit};
use demijohn_model::tape::*;
use demijohn_model::value::{Value, ValueRef};
use demijohn_model::{Error, Result};
use demijohn_sqlite::Sqlite;
use std::any::Any;

/// Rows as they are, step by step.
#[derive(Default)]
pub struct Rows(pub Vec<Vec<Vec<Value>>>);

impl RowSink for Rows {
    fn row(&mut self, step: usize, columns: &[ValueRef<'_>]) -> Result<()> {
        while self.0.len() <= step {
            self.0.push(Vec::new());
        }
        self.0[step].push(columns.iter().map(|value| (*value).to_owned()).collect());
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

pub fn step(sql: &str, params: impl IntoIterator<Item = impl Into<Value>>) -> Step {
    Step {
        sql: sql.into(),
        params: params.into_iter().map(|value| Param::Value(value.into())).collect(),
    }
}

pub fn write(sql: &str) -> Unit {
    unit(vec![step(sql, [0_i64; 0])], true)
}

pub fn read(sql: &str) -> Unit {
    unit(vec![step(sql, [0_i64; 0])], false)
}

pub fn unit(steps: Vec<Step>, writes: bool) -> Unit {
    Unit {
        steps,
        sink: Box::new(Rows::default()),
        writes,
    }
}

pub fn rows(done: demijohn_model::driver::Done) -> Vec<Vec<Vec<Value>>> {
    done.sink.into_any().downcast::<Rows>().expect("our own sink").0
}

/// The first column of the first row.
pub fn one(done: demijohn_model::driver::Done) -> Value {
    rows(done)[0][0][0].clone()
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// The blog, in memory.
pub struct Blog(pub Sqlite);

impl Blog {
    /// Ann (1) manages Bob (2), who manages Cid (3); Ann has a profile.
    /// 1 "Hello Rust" by Ann, edited by Bob, public, tags rust and web; 2 "draft" by Bob, no editor, tag draft;
    /// 3 "100% Größe_" by Bob, edited by Cid, public, no tags.
    /// Comments on 1: "first" by Bob, approved, 2026-01-01; "second" by nobody; on 3: "first" by Cid, approved.
    pub fn new() -> Blog {
        let blog = Blog(Sqlite::open("sqlite::memory:").expect("memory opens"));
        let mut sql = demijohn_sql::create_tables(&models(), Dialect::Sqlite).join(";\n");
        sql.push_str(
            ";
            INSERT INTO blog_user VALUES (1, 'Ann', 'ann@x', NULL), (2, 'Bob', 'bob@x', 1), (3, 'Cid', 'cid@x', 2);
            INSERT INTO blog_profile VALUES (1, 1, 'writes');
            INSERT INTO blog_tag VALUES (1, 'rust', 'red'), (2, 'web', NULL), (3, 'draft', 'grey');
            INSERT INTO blog_article VALUES
                (1, 'Hello Rust', 'sub', 10, 1, '2026-01-01 00:00:00', 1, 2),
                (2, 'draft', NULL, 5, 0, '2025-12-31 23:59:59.999999', 2, NULL),
                (3, '100% Größe_', NULL, 200, 1, '2026-12-31 23:59:59.999999', 2, 3);
            INSERT INTO blog_article_tags (article_id, tag_id) VALUES (1, 1), (1, 2), (2, 3);
            INSERT INTO blog_comment VALUES
                (1, 1, 2, 'first', 1, '2026-01-01'), (2, 1, NULL, 'second', 0, NULL), (3, 3, 3, 'first', 1, '2025-12-31');",
        );
        block_on(blog.0.batch(sql)).expect("the tables are created");
        blog
    }

    pub fn run(&self, statement: &Statement) -> Result<Vec<Vec<Value>>> {
        self.run_all(&[statement]).map(|mut rows| rows.swap_remove(0))
    }

    /// Statements of one unit.
    pub fn run_all(&self, statements: &[&Statement]) -> Result<Vec<Vec<Vec<Value>>>> {
        let steps: Result<Vec<Step>> = statements
            .iter()
            .map(|statement| demijohn_sql::compile(statement, Dialect::Sqlite))
            .collect();
        let writes = statements
            .iter()
            .any(|s| !matches!(s, Statement::Select(_) | Statement::Count(_) | Statement::Exists(_)));
        let mut rows = rows(block_on(self.0.run(unit(steps?, writes)))?);
        rows.resize(statements.len(), Vec::new());
        Ok(rows)
    }

    pub fn select(&self, query: Query) -> Vec<Vec<Value>> {
        match self.run(&Statement::Select(query)) {
            Ok(rows) => rows,
            Err(error) => panic!("{error}"),
        }
    }

    /// The ids of the articles that satisfy a condition, sorted: every row that comes twice is seen.
    pub fn articles(&self, condition: Node) -> Vec<i64> {
        ints(self.select(ids(&ARTICLE, condition)))
    }

    pub fn count(&self, model: &'static demijohn_model::meta::ModelMeta) -> i64 {
        let rows = self.run(&Statement::Count(Query::new(model))).expect("it counts");
        match rows[0][0] {
            Value::Int(count) => count,
            ref other => panic!("{other:?}"),
        }
    }
}

/// The first columns, sorted.
pub fn ints(rows: Vec<Vec<Value>>) -> Vec<i64> {
    let mut ids: Vec<i64> = rows
        .into_iter()
        .map(|row| match row[0] {
            Value::Int(i) => i,
            ref other => panic!("{other:?} is no whole number"),
        })
        .collect();
    ids.sort_unstable();
    ids
}

pub fn message<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("it should fail"),
        Err(error) => error.to_string(),
    }
}

pub fn error<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("it should fail"),
        Err(error) => error,
    }
}
