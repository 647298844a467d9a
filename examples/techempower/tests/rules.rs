//! The rules of the seven tests, as far as they can be seen from outside.

use demijohn::settings::Sources;
use demijohn::test::{TestClient, TestResponse, block_on};
use serde_json::Value;

fn client() -> TestClient {
    let sources = Sources::none().var("DATABASE_URL", "sqlite::memory:");
    let ready = techempower::app()
        .build(sources)
        .unwrap_or_else(|findings| panic!("{findings:?}"));
    ready.test_client()
}

/// What every answer has. (`Date` is the server's, below the test client.)
#[track_caller]
fn common(answer: &TestResponse, content_type: &str) {
    assert_eq!(answer.status(), 200);
    assert!(answer.header("server").is_some());
    let found = answer.header("content-type").expect("a content type");
    assert!(found.starts_with(content_type), "{found}");
    assert_eq!(
        answer.header("content-length"),
        Some(answer.bytes().len().to_string().as_str())
    );
    assert_eq!(answer.header("content-encoding"), None);
}

#[track_caller]
fn is_world(world: &Value) {
    let object = world.as_object().expect("an object");
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["id", "randomNumber"]);
    for key in keys {
        let n = world[key].as_i64().expect("a number");
        assert!((1..=10_000).contains(&n), "{n}");
    }
}

#[test]
fn json_and_plaintext() {
    block_on(async {
        let client = client();
        let answer = client.get("/json").await;
        common(&answer, "application/json");
        assert_eq!(answer.text(), "{\"message\":\"Hello, World!\"}");
        let answer = client.get("/plaintext").await;
        common(&answer, "text/plain");
        assert_eq!(answer.text(), "Hello, World!");
    });
}

#[test]
fn one_row_is_an_object() {
    block_on(async {
        let client = client();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..20 {
            let answer = client.get("/db").await;
            common(&answer, "application/json");
            let world: Value = answer.json();
            is_world(&world);
            seen.insert(world["id"].as_i64());
        }
        assert!(seen.len() > 10, "ids are random");
    });
}

#[test]
fn numbers_of_rows_are_kept_between_one_and_five_hundred() {
    block_on(async {
        let client = client();
        for (path, key) in [
            ("/queries", "queries"),
            ("/cached-queries", "count"),
            ("/updates", "queries"),
        ] {
            for (value, expected) in [
                ("", 1),
                ("=", 1),
                ("=foo", 1),
                ("=0", 1),
                ("=-5", 1),
                ("=1.5", 1),
                ("=%F0%9F%8D%B7", 1),
                ("=1", 1),
                ("=20", 20),
                ("=500", 500),
                ("=501", 500),
                ("=10000000000000000000", 500),
                ("=99999999999999999999", 500),
            ] {
                let query = if value.is_empty() {
                    String::new()
                } else {
                    format!("?{key}{value}")
                };
                let answer = client.get(&format!("{path}{query}")).await;
                common(&answer, "application/json");
                let worlds: Vec<Value> = answer.json();
                assert_eq!(worlds.len(), expected, "{path}{query}");
                worlds.iter().for_each(is_world);
            }
        }
    });
}

#[test]
fn updates_are_stored() {
    block_on(async {
        let client = client();
        let before: Vec<Value> = client.get("/queries?queries=500").await.json();
        let mut changed = 0;
        for _ in 0..20 {
            let updated: Vec<Value> = client.get("/updates?queries=500").await.json();
            changed += updated.iter().filter(|world| !before.contains(world)).count();
        }
        assert!(changed > 9_000, "new numbers are random: {changed}");
        // All ids twice over, so that every row of the last answer is read again.
        let last: Vec<Value> = client.get("/updates?queries=500").await.json();
        let mut found = 0;
        for _ in 0..100 {
            let rows: Vec<Value> = client.get("/queries?queries=500").await.json();
            for row in &rows {
                if let Some(stored) = last.iter().find(|world| world["id"] == row["id"]) {
                    assert_eq!(stored, row);
                    found += 1;
                }
            }
        }
        assert!(found > 1000, "{found}");
    });
}

#[test]
fn fortunes_are_sorted_and_escaped() {
    block_on(async {
        let answer = client().get("/fortunes").await;
        common(&answer, "text/html; charset=utf-8");
        let html = answer.text();
        assert!(html.starts_with("<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table>"));
        assert!(!html.contains("<script"));
        assert!(html.contains("<td>&lt;script&gt;alert("));
        assert!(html.contains("フレームワークのベンチマーク"));
        let ids: Vec<&str> = html
            .split("<tr><td>")
            .skip(1)
            .map(|row| row.split('<').next().expect("an id"))
            .collect();
        assert_eq!(
            ids,
            ["11", "4", "5", "2", "8", "0", "3", "7", "10", "6", "9", "1", "12"]
        );
    });
}
