//! Sessions in a database, through the trait that sites use.
#![allow(missing_docs, clippy::unwrap_used)]

use demijohn_core::faults::Faults;
use demijohn_core::session::{SessionKey, SessionRecord, SessionStore};
use demijohn_orm::faults::{FaultyDriver, When};
use demijohn_orm::{Db, Model};
use demijohn_sessions::{DatabaseSessions, Session};
use serde_json::{Map, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn record(principal: Option<&str>, value: &str) -> SessionRecord {
    let mut data = Map::new();
    data.insert("cart".to_owned(), json!([value]));
    SessionRecord {
        data,
        principal: principal.map(str::to_owned),
        created_at: at(0),
        expire_at: at(100),
    }
}

async fn database(faults: Faults, when: When) -> Db {
    let driver = demijohn_sqlite::Sqlite::driver("sqlite::memory:").unwrap();
    let db = Db::new(Arc::new(FaultyDriver::new(driver, faults, when)));
    let tables = demijohn_sql::create_tables(&[Session::meta()], db.dialect().unwrap());
    db.execute_script(tables.join(";\n")).await.unwrap();
    db
}

async fn store() -> (DatabaseSessions, Db) {
    let db = database(Faults::default(), When::Asked).await;
    (DatabaseSessions::new(db.clone()), db)
}

#[tokio::test]
async fn a_session_is_found_by_its_key_until_it_ends() {
    let (store, _) = store().await;
    let key = store.create(&record(Some("7"), "tea")).await.unwrap();
    assert_eq!(store.load(&key, at(99)).await.unwrap(), Some(record(Some("7"), "tea")));
    assert_eq!(store.load(&key, at(100)).await.unwrap(), None);

    assert_eq!(
        store.update(&key, &record(None, "rum")).await.unwrap(),
        Some(key.clone())
    );
    assert_eq!(store.load(&key, at(1)).await.unwrap(), Some(record(None, "rum")));

    store.delete(&key).await.unwrap();
    assert_eq!(store.load(&key, at(1)).await.unwrap(), None);
    // A request that had begun before the end does not bring it back.
    assert_eq!(store.update(&key, &record(Some("7"), "tea")).await.unwrap(), None);
    assert_eq!(store.load(&key, at(1)).await.unwrap(), None);
}

#[tokio::test]
async fn keys_are_not_in_the_table_and_foreign_ones_are_not_adopted() {
    let (store, db) = store().await;
    let key = store.create(&record(Some("7"), "tea")).await.unwrap();
    let rows = Session::objects().all(&db).await.unwrap();
    assert!(
        rows.iter()
            .all(|row| !row.key_hash.contains(key.expose()) && row.key_hash.len() == 64)
    );
    // What stands in the table opens nothing.
    let stolen = SessionKey::from_client(rows[0].key_hash.clone());
    assert_eq!(store.load(&stolen, at(1)).await.unwrap(), None);
    for odd in ["", "x", "' OR 1=1 --", "\0", &"a".repeat(100_000)] {
        assert_eq!(store.load(&SessionKey::from_client(odd), at(1)).await.unwrap(), None);
        assert_eq!(
            store
                .update(&SessionKey::from_client(odd), &record(None, "x"))
                .await
                .unwrap(),
            None
        );
    }
    assert_eq!(Session::objects().count(&db).await.unwrap(), 1);
}

#[tokio::test]
async fn the_sessions_of_somebody_end_but_for_one() {
    let (store, db) = store().await;
    let here = store.create(&record(Some("7"), "a")).await.unwrap();
    let there = store.create(&record(Some("7"), "b")).await.unwrap();
    let other = store.create(&record(Some("70"), "c")).await.unwrap();
    assert_eq!(store.delete_of_principal("7", Some(&here)).await.unwrap(), 1);
    assert!(store.load(&here, at(1)).await.unwrap().is_some());
    assert!(store.load(&there, at(1)).await.unwrap().is_none());
    assert!(store.load(&other, at(1)).await.unwrap().is_some());
    assert_eq!(store.delete_of_principal("7", None).await.unwrap(), 1);
    assert_eq!(store.clear_expired(at(99)).await.unwrap(), 0);
    assert_eq!(store.clear_expired(at(100)).await.unwrap(), 1);
    assert_eq!(Session::objects().count(&db).await.unwrap(), 0);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_no_session() {
    let (store, db) = store().await;
    let key = store.create(&record(Some("7"), "a")).await.unwrap();
    Session::objects()
        .update(&db, |s| s.data.set("[no object"))
        .await
        .unwrap();
    assert_eq!(store.load(&key, at(1)).await.unwrap(), None);
}

/// Every step of a session's life fails once, before the database heard of it and after: the failing call says so, there is never half a
/// session, and what comes next works.
#[tokio::test]
async fn whatever_step_fails_sessions_are_whole() {
    for when in [When::Asked, When::Answered] {
        for n in 1.. {
            let faults = Faults::default();
            let db = database(faults.clone(), when).await;
            let store = DatabaseSessions::new(db.clone());
            let old = store.create(&record(Some("7"), "old")).await.unwrap();
            faults.fail_at(n);

            let mut failed = false;
            let life = async {
                let key = store.create(&record(None, "new")).await?;
                store.load(&key, at(1)).await?;
                store.update(&key, &record(Some("7"), "in")).await?;
                store.delete_of_principal("7", Some(&key)).await?;
                store.delete(&key).await
            };
            if let Err(error) = life.await {
                failed = true;
                assert!(
                    error
                        .downcast_ref::<demijohn_orm::Error>()
                        .is_some_and(|e| e.is_unavailable()),
                    "{error}"
                );
            }
            let more = faults.passed() >= n;
            assert_eq!(failed, more, "step {n}");
            faults.fail_at(0);

            // Rows are old or new, never between; and the next request is served.
            for row in Session::objects().all(&db).await.unwrap() {
                let whole = [r#"{"cart":["old"]}"#, r#"{"cart":["new"]}"#, r#"{"cart":["in"]}"#];
                assert!(whole.contains(&row.data.as_str()), "{}", row.data);
                assert_eq!(row.principal.is_empty(), row.data.contains("new"));
            }
            let next = store.create(&record(None, "next")).await.unwrap();
            assert!(store.load(&next, at(1)).await.unwrap().is_some());
            store.delete(&old).await.unwrap();
            assert!(store.load(&old, at(1)).await.unwrap().is_none());
            if !more {
                break;
            }
        }
    }
}
