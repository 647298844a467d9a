//! The driver's own promises: threads, transactions, errors.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::*;
use demijohn_model::Result;
use demijohn_model::driver::{Control, Driver, Param, RowSink, Step, Transaction, Unit};
use demijohn_model::error::{At, Constraint};
use demijohn_model::value::{Value, ValueRef};
use demijohn_sqlite::Sqlite;
use std::any::Any;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tempfile::TempDir;

#[track_caller]
fn here() -> At {
    Location::caller()
}

fn url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("site.db").display())
}

/// A file with a table of unique names.
async fn file() -> (TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let db = Sqlite::open(&url(folder.path())).unwrap();
    names(&db).await;
    (folder, db)
}

async fn memory() -> Sqlite {
    let db = Sqlite::open("sqlite::memory:").unwrap();
    names(&db).await;
    db
}

async fn names(db: &Sqlite) {
    let table = "CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, age INTEGER CHECK (age > 0))";
    db.batch(table.to_owned()).await.unwrap();
}

fn add(name: &str) -> Unit {
    unit(vec![step("INSERT INTO names (name) VALUES (?)", [name])], true)
}

async fn count(db: &Sqlite) -> Value {
    one(db.run(read("SELECT count(*) FROM names")).await.unwrap())
}

async fn count_inside(tx: &dyn Transaction) -> Value {
    one(tx.run(read("SELECT count(*) FROM names")).await.unwrap())
}

#[test]
fn many_writers_lose_nothing_and_are_never_locked_out() {
    block_on(async {
        let (folder, db) = file().await;
        // Two handles are as good as two processes: SQLite itself makes them take turns.
        let dbs = [Arc::new(db), Arc::new(Sqlite::open(&url(folder.path())).unwrap())];
        let writers: Vec<_> = (0..32)
            .map(|writer| {
                let db = dbs[writer % 2].clone();
                tokio::spawn(async move {
                    for row in 0..200 {
                        db.run(add(&format!("{writer}.{row}"))).await.unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(count(&dbs[0]).await, Value::Int(6400));
    });
}

#[test]
fn a_transaction_commits_rolls_back_and_has_savepoints() {
    block_on(async {
        let (_folder, db) = file().await;
        let tx = db.begin(here()).await.unwrap();
        tx.run(add("kept")).await.unwrap();
        tx.control(Control::Savepoint(1)).await.unwrap();
        tx.run(add("undone")).await.unwrap();
        tx.control(Control::Savepoint(2)).await.unwrap();
        tx.run(add("undone with the outer one")).await.unwrap();
        tx.control(Control::Release(2)).await.unwrap();
        assert_eq!(count_inside(&*tx).await, Value::Int(3));
        tx.control(Control::RollbackTo(1)).await.unwrap();
        assert_eq!(count_inside(&*tx).await, Value::Int(1));
        // Others see nothing of it yet.
        assert_eq!(count(&db).await, Value::Int(0));
        tx.control(Control::Commit).await.unwrap();
        assert_eq!(count(&db).await, Value::Int(1));
        assert_eq!(
            message(tx.run(add("late")).await),
            "the transaction is over: it was committed or rolled back before"
        );
        assert!(message(tx.control(Control::Commit).await).contains("over"));

        let tx = db.begin(here()).await.unwrap();
        tx.run(add("undone")).await.unwrap();
        tx.control(Control::Rollback).await.unwrap();
        assert_eq!(count(&db).await, Value::Int(1));
    });
}

#[test]
fn a_dropped_transaction_rolls_back_and_the_next_writer_goes_on() {
    block_on(async {
        for db in [file().await.1, memory().await] {
            let tx = db.begin(here()).await.unwrap();
            tx.run(add("undone")).await.unwrap();
            drop(tx);
            db.run(add("next")).await.unwrap();
            assert_eq!(count(&db).await, Value::Int(1));

            // Given up without waiting.
            let tx = db.begin(here()).await.unwrap();
            tx.run(add("undone")).await.unwrap();
            tx.control(Control::Savepoint(1)).await.unwrap();
            tx.run(add("undone too")).await.unwrap();
            tx.abandon(Some(1));
            assert_eq!(count_inside(&*tx).await, Value::Int(2));
            tx.abandon(None);
            assert_eq!(count(&db).await, Value::Int(1));
            assert!(tx.run(add("late")).await.is_err());
        }
    });
}

#[test]
fn a_future_dropped_at_any_moment_breaks_nothing() {
    block_on(async {
        let (_folder, db) = file().await;
        let mut cx = Context::from_waker(Waker::noop());
        for polls in 0..3 {
            let mut begin = db.begin(here());
            for _ in 0..polls {
                if let Poll::Ready(tx) = begin.as_mut().poll(&mut cx) {
                    // Dropped when it is ready: it rolls back.
                    drop(tx);
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            drop(begin);
            let mut run = db.run(add(&format!("perhaps {polls}")));
            let _ = run.as_mut().poll(&mut cx);
            drop(run);
            let tx = db.begin(here()).await.unwrap();
            {
                let mut run = tx.run(add(&format!("perhaps, inside {polls}")));
                let _ = run.as_mut().poll(&mut cx);
            }
            tx.run(add(&format!("inside {polls}"))).await.unwrap();
            tx.control(Control::Commit).await.unwrap();
        }
        let inside = "SELECT count(*) FROM names WHERE name LIKE 'inside%'";
        assert_eq!(one(db.run(read(inside)).await.unwrap()), Value::Int(3));
    });
}

#[test]
fn who_waits_too_long_hears_who_holds_the_writer() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let db = Sqlite::open(&format!("{}?wait=0.05", url(folder.path()))).unwrap();
        names(&db).await;
        let at = here();
        let tx = db.begin(at).await.unwrap();
        let holder = format!("{}:{} has held the writer for", at.file(), at.line());
        for error in [
            error(db.run(add("other")).await),
            error(db.begin(here()).await),
            error(db.batch("DROP TABLE names".to_owned()).await),
        ] {
            assert!(error.is_unavailable());
            assert!(error.to_string().starts_with(&holder), "{error}");
        }
        // Readers are not concerned, and the transaction can go on.
        assert_eq!(count(&db).await, Value::Int(0));
        tx.run(add("mine")).await.unwrap();
        tx.control(Control::Commit).await.unwrap();
        db.run(add("other")).await.unwrap();
        assert_eq!(count(&db).await, Value::Int(2));
    });
}

#[test]
fn all_steps_of_a_reading_unit_see_one_state() {
    /// Writes to the database between two steps.
    struct Writes(Sqlite, Vec<i64>);
    impl RowSink for Writes {
        fn row(&mut self, step: usize, columns: &[ValueRef<'_>]) -> Result<()> {
            let ValueRef::Int(count) = columns[0] else {
                panic!("{columns:?}")
            };
            self.1.push(count);
            let db = &self.0;
            block_on(db.run(add(&format!("during step {step}")))).map(|_| ())
        }
        fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
            self
        }
    }
    block_on(async {
        let (folder, db) = file().await;
        let counts = || (0..3).map(|_| step("SELECT count(*) FROM names", [0_i64; 0])).collect();
        let sink = Box::new(Writes(Sqlite::open(&url(folder.path())).unwrap(), Vec::new()));
        let done = db
            .run(Unit {
                steps: counts(),
                sink,
                writes: false,
            })
            .await
            .unwrap();
        assert_eq!(done.affected, [0; 0], "a unit that only reads changes nothing");
        assert_eq!(done.sink.into_any().downcast::<Writes>().unwrap().1, [0, 0, 0]);
        assert_eq!(count(&db).await, Value::Int(3));
    });
}

#[test]
fn a_writing_unit_happens_as_a_whole_or_not_at_all() {
    block_on(async {
        let (_folder, db) = file().await;
        let add_two = |a: &str, b: &str| {
            let insert = |name: &str| step("INSERT INTO names (name) VALUES (?)", [name]);
            unit(vec![insert(a), insert(b)], true)
        };
        assert_eq!(db.run(add_two("a", "b")).await.unwrap().affected, [1, 1]);
        assert!(error(db.run(add_two("c", "a")).await).is_unique());
        assert_eq!(count(&db).await, Value::Int(2));
        let tx = db.begin(here()).await.unwrap();
        assert!(error(tx.run(add_two("c", "a")).await).is_unique());
        tx.run(add_two("d", "e")).await.unwrap();
        tx.control(Control::Commit).await.unwrap();
        assert_eq!(count(&db).await, Value::Int(4));
    });
}

#[test]
fn a_sink_that_fails_or_panics_ends_its_unit_only() {
    struct Bad(bool);
    impl RowSink for Bad {
        fn row(&mut self, _: usize, _: &[ValueRef<'_>]) -> Result<()> {
            match self.0 {
                true => panic!("the sink is broken"),
                false => Err(demijohn_model::Error::usage("no more rows")),
            }
        }
        fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
            self
        }
    }
    block_on(async {
        for db in [file().await.1, memory().await] {
            for (panics, expected) in [(true, "the sink is broken"), (false, "no more rows")] {
                let bad = |sql: &str, writes| Unit {
                    steps: vec![step(sql, [0_i64; 0]), step("SELECT 1", [0_i64; 0])],
                    sink: Box::new(Bad(panics)),
                    writes,
                };
                let insert = "INSERT INTO names (name) VALUES ('x') RETURNING id";
                assert!(message(db.run(bad("SELECT 1", false)).await).contains(expected));
                assert!(message(db.run(bad(insert, true)).await).contains(expected));
                let tx = db.begin(here()).await.unwrap();
                tx.run(add("kept for now")).await.unwrap();
                assert!(message(tx.run(bad(insert, true)).await).contains(expected));
                assert_eq!(count_inside(&*tx).await, Value::Int(1));
                drop(tx);
                assert_eq!(count(&db).await, Value::Int(0));
            }
        }
    });
}

#[test]
fn databases_in_memory_are_private() {
    block_on(async {
        let (a, b) = (memory().await, memory().await);
        a.run(add("only here")).await.unwrap();
        assert_eq!(count(&a).await, Value::Int(1));
        assert_eq!(count(&b).await, Value::Int(0));
    });
}

#[test]
fn a_file_outlives_its_handle_and_waiting_work_is_done() {
    block_on(async {
        let (folder, db) = file().await;
        let mut cx = Context::from_waker(Waker::noop());
        let mut waiting: Vec<_> = (0..100).map(|i| db.run(add(&i.to_string()))).collect();
        // Asked for, and some of it done meanwhile.
        waiting.retain_mut(|run| run.as_mut().poll(&mut cx).is_pending());
        drop(db);
        for run in waiting {
            run.await.unwrap();
        }
        let db = Sqlite::open(&url(folder.path())).unwrap();
        assert_eq!(count(&db).await, Value::Int(100));
    });
}

#[test]
fn closing_folds_the_log_into_the_file() {
    block_on(async {
        let (folder, db) = file().await;
        db.run(add("a")).await.unwrap();
        assert_eq!(count(&db).await, Value::Int(1));
        let log = folder.path().join("site.db-wal");
        assert!(log.exists());
        db.close();
        assert!(!log.exists());
    });
}

#[test]
fn constraints_name_their_columns() {
    block_on(async {
        let db = memory().await;
        let more = "CREATE TABLE pairs (a, b, UNIQUE (a, b));
            CREATE TABLE pets (owner INTEGER NOT NULL REFERENCES names (id) DEFERRABLE INITIALLY DEFERRED);
            CREATE TABLE folded (a); CREATE UNIQUE INDEX f ON folded (lower(a)); INSERT INTO folded VALUES ('x')";
        db.batch(more.to_owned()).await.unwrap();
        db.run(add("a")).await.unwrap();
        db.run(write("INSERT INTO pairs VALUES ('x', 'y')")).await.unwrap();
        let cases: [(&str, Constraint, &[&str]); 7] = [
            ("INSERT INTO names (name) VALUES ('a')", Constraint::Unique, &["name"]),
            (
                "INSERT INTO names (id, name) VALUES (1, 'b')",
                Constraint::Unique,
                &["id"],
            ),
            ("INSERT INTO pairs VALUES ('x', 'y')", Constraint::Unique, &["a", "b"]),
            ("INSERT INTO folded VALUES ('X')", Constraint::Unique, &[]),
            ("INSERT INTO names (name) VALUES (NULL)", Constraint::NotNull, &["name"]),
            ("INSERT INTO names (name, age) VALUES ('b', 0)", Constraint::Check, &[]),
            // Found at the commit only.
            ("INSERT INTO pets VALUES (99)", Constraint::ForeignKey, &[]),
        ];
        for (sql, which, columns) in cases {
            let error = error(db.run(write(sql)).await);
            assert_eq!(error.violated(), Some(which), "{sql}: {error}");
            assert_eq!(error.columns(), columns, "{sql}: {error}");
        }
        let tx = db.begin(here()).await.unwrap();
        tx.run(write("INSERT INTO pets VALUES (99)")).await.unwrap();
        assert_eq!(
            error(tx.control(Control::Commit).await).violated(),
            Some(Constraint::ForeignKey)
        );
        drop(tx);
        assert_eq!(
            one(db.run(read("SELECT count(*) FROM pets")).await.unwrap()),
            Value::Int(0)
        );
    });
}

#[test]
fn what_cannot_be_opened_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
    let refused = |url: &str| {
        let error = error(Sqlite::open(url));
        assert!(error.is_unavailable());
        error.to_string()
    };
    let missing = refused(&at("no/such/site.db"));
    let expected = format!(
        "the folder {} does not exist: create it, or set DATABASE_URL",
        folder.path().join("no/such").display()
    );
    assert_eq!(missing, expected);
    assert!(refused(&at("")).contains("is a folder"));
    std::fs::write(
        folder.path().join("text"),
        "this is a text of some length, and no database at all\n".repeat(100),
    )
    .unwrap();
    assert!(refused(&at("text")).contains("is not a SQLite database"));
    // A file that was cut off.
    block_on(async {
        let (whole, db) = file().await;
        db.run(add("a")).await.unwrap();
        drop(db);
        let mut bytes = std::fs::read(whole.path().join("site.db")).unwrap();
        bytes.truncate(bytes.len() - 1000);
        bytes[100..200].fill(0xff);
        std::fs::write(folder.path().join("cut"), bytes).unwrap();
    });
    let damaged = refused(&at("cut"));
    assert!(
        damaged.contains("is damaged") && damaged.contains("restore it"),
        "{damaged}"
    );
    assert!(refused(&at("text/site.db")).contains("is not a folder"));
    assert!(refused(&at("absent.db?mode=ro")).contains("does not exist"));
    assert!(!folder.path().join("absent.db").exists());
}

#[test]
fn a_file_opened_for_reading_is_read() {
    block_on(async {
        let (folder, db) = file().await;
        db.run(add("a")).await.unwrap();
        let readable = Sqlite::open(&format!("{}?mode=ro", url(folder.path()))).unwrap();
        assert_eq!(count(&readable).await, Value::Int(1));
        let error = error(readable.run(add("b")).await);
        assert!(error.is_unavailable());
        assert!(error.to_string().contains("site.db is read-only"), "{error}");
        // A unit that claims to read cannot write either.
        assert!(db.run(read("DELETE FROM names")).await.is_err());
        assert_eq!(count(&db).await, Value::Int(1));
    });
}

#[test]
fn a_full_disk_is_told_and_passes() {
    block_on(async {
        let (_folder, db) = file().await;
        let pages = one(db.run(read("PRAGMA page_count")).await.unwrap());
        let Value::Int(pages) = pages else { panic!("{pages:?}") };
        db.batch(format!("PRAGMA max_page_count = {}", pages + 4))
            .await
            .unwrap();
        let tx = db.begin(here()).await.unwrap();
        tx.run(add("small")).await.unwrap();
        let full = error(tx.run(add(&"x".repeat(1 << 20))).await);
        assert!(full.is_unavailable());
        assert!(full.to_string().contains("the disk is full"), "{full}");
        // What the database rolled back by itself is not silently half of a transaction.
        let rest = tx.run(add("rest")).await;
        let committed = tx.control(Control::Commit).await;
        assert_eq!(rest.is_ok(), committed.is_ok());
        drop(tx);
        db.batch("PRAGMA max_page_count = 1000000".to_owned()).await.unwrap();
        db.run(add("later")).await.unwrap();
    });
}

#[test]
fn values_come_back_as_they_went() {
    block_on(async {
        let db = memory().await;
        let moment = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        let values = vec![
            Value::Null,
            Value::Int(i64::MIN),
            Value::Float(0.1),
            Value::Text("Grüße \u{1F980}\0 \"'".into()),
            Value::Text(String::new()),
            Value::Bytes(vec![0, 255]),
            Value::Bytes(Vec::new()),
            Value::Bool(true),
            Value::DateTime(moment),
        ];
        let sql = format!("SELECT {}", vec!["?"; values.len()].join(", "));
        let done = db.run(unit(vec![step(&sql, values.clone())], false)).await.unwrap();
        let mut expected = values;
        expected[7] = Value::Int(1);
        expected[8] = Value::Text("2026-01-02 03:04:05.678901".into());
        assert_eq!(rows(done)[0][0], expected);
    });
}

#[test]
fn faulty_statements_and_rows_are_errors() {
    block_on(async {
        let db = memory().await;
        let fails = async |unit: Unit| message(db.run(unit).await);
        assert!(fails(read("SELEC 1")).await.contains("syntax error"));
        assert!(
            fails(read("SELECT * FROM absent"))
                .await
                .contains("have the migrations been applied")
        );
        assert!(
            fails(read("SELECT \"nmae\" FROM names"))
                .await
                .contains("no such column")
        );
        assert!(fails(read("SELECT 1; SELECT 2")).await.contains("SELECT 1; SELECT 2"));
        assert!(fails(read("")).await.contains("`"));
        let utf8 = fails(read("SELECT CAST(x'ff' AS TEXT) AS broken")).await;
        assert_eq!(utf8, "column broken should hold text, found bytes that are no UTF-8");
        let few = fails(unit(vec![step("SELECT ?, ?", [1_i64])], false)).await;
        assert!(few.contains("2 placeholders, but 1 parameter"), "{few}");
        assert!(message(db.batch("CREATE TABLE x (a); CREATE TABLE x (a)".into()).await).contains("already exists"));
        assert_eq!(count(&db).await, Value::Int(0));
    });
}

#[test]
fn keys_of_a_step_feed_the_next() {
    block_on(async {
        let db = memory().await;
        let keys = |sql: &str| {
            let feed = Step {
                sql: "SELECT count(*), max(value) FROM json_each(?)".into(),
                params: vec![Param::Keys { step: 0, column: 1 }],
            };
            unit(vec![step(sql, [0_i64; 0]), feed], false)
        };
        let fed = async |sql: &str| rows(db.run(keys(sql)).await.unwrap())[1][0].clone();
        assert_eq!(fed("SELECT 0, 1 WHERE 0").await, [Value::Int(0), Value::Null]);
        assert_eq!(
            fed("VALUES (0, 7), (0, NULL), (0, 7), (0, -1), (0, 7)").await,
            [Value::Int(2), Value::Int(7)]
        );
        assert_eq!(
            fed("VALUES (0, 'b\"'), (0, 'a'), (0, 'b\"')").await,
            [Value::Int(2), "b\"".into()]
        );
        // A column that the step does not have gives no keys.
        assert_eq!(fed("SELECT 1").await, [Value::Int(0), Value::Null]);
        assert!(message(db.run(keys("SELECT 0, 1.5")).await).contains("keys of a prefetch"));
    });
}
