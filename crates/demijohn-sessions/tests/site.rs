//! Sessions of a site whose database fails, step by step.
#![allow(missing_docs, clippy::unwrap_used)]

use demijohn_core::Clock;
use demijohn_core::faults::Faults;
use demijohn_core::session::{Principal, SessionKey, SessionRecord, SessionStore};
use demijohn_covers::covers;
use demijohn_orm::faults::{FaultyDriver, When};
use demijohn_orm::{Db, Model};
use demijohn_sessions::{DatabaseSessions, Session as Row};
use demijohn_web::session::SessionSupport;
use demijohn_web::test::{TestClient, block_on};
use demijohn_web::{Application, Assemble, Result, Session, get, post};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

struct Site {
    client: TestClient,
    db: Db,
    faults: Faults,
    clock: Clock,
}

fn ann() -> Principal {
    Principal::new("7", "hash-of-7")
}

async fn show(session: Session) -> Result<String> {
    let who = session.principal_id().await?.unwrap_or_default();
    let basket: Option<String> = session.get("basket").await?;
    Ok(format!("{who}/{}", basket.unwrap_or_default()))
}

async fn basket(session: Session) -> Result<&'static str> {
    session.insert("basket", "rum").await?;
    Ok("put")
}

async fn login(session: Session) -> Result<&'static str> {
    session.login(&ann()).await?;
    Ok("in")
}

async fn logout(session: Session) -> Result<&'static str> {
    session.logout().await?;
    Ok("out")
}

/// A new password: this session goes on under a new id, all others end.
async fn password(session: Session) -> Result<&'static str> {
    session.login(&ann()).await?;
    session.end_others().await?;
    Ok("changed")
}

async fn site(when: When) -> Site {
    let faults = Faults::default();
    let driver = demijohn_sqlite::Sqlite::driver("sqlite::memory:").unwrap();
    let db = Db::new(Arc::new(FaultyDriver::new(driver, faults.clone(), when)));
    let tables = demijohn_sql::create_tables(&[Row::meta()], db.dialect().unwrap());
    db.execute_script(tables.join(";\n")).await.unwrap();
    let clock = Clock::stopped(SystemTime::now());
    let mut app = Application::new()
        .with(SessionSupport)
        .route("/", get(show))
        .route("/basket", post(basket))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/password", post(password));
    let store: Arc<dyn SessionStore> = Arc::new(DatabaseSessions::new(db.clone()));
    let bag = app.site_mut().bag_mut();
    bag.insert(store);
    bag.insert(clock.clone());
    Site {
        client: app.test_client(),
        db,
        faults,
        clock,
    }
}

async fn shown(client: &TestClient) -> String {
    client.get("/").await.text().to_owned()
}

#[test]
fn whatever_step_fails_no_session_is_half_of_one() {
    block_on(async {
        for when in [When::Asked, When::Answered] {
            for path in ["/", "/basket", "/login", "/logout", "/password"] {
                for n in 1.. {
                    let place = format!("{path}, step {n}, {when:?}");
                    let site = site(when).await;
                    let (client, other) = (&site.client, site.client.stranger());
                    for client in [client, &other] {
                        client.post("/basket").await;
                        client.post("/login").await;
                    }
                    let old = client.cookie("sessionid").unwrap();
                    site.faults.fail_at(n);
                    let answer = match path {
                        "/" => client.get(path).await,
                        _ => client.post(path).await,
                    };
                    let steps = site.faults.passed();
                    site.faults.fail_at(0);
                    if steps < n {
                        assert_eq!(answer.status(), 200, "{place}");
                        assert!(n > 1, "{path} takes steps");
                        break;
                    }
                    assert!(answer.status().is_server_error(), "{place}: {}", answer.status());
                    assert!(answer.header("set-cookie").is_none(), "{place}");
                    let seen = shown(client).await;
                    assert!(seen == "7/rum" || seen == "/", "{place}: {seen}");
                    let theirs = shown(&other).await;
                    assert!(
                        theirs == "7/rum" || (path == "/password" && theirs == "/"),
                        "{place}: {theirs}"
                    );
                    // The next requests are good, and end what they are to end.
                    client.post("/login").await;
                    assert_eq!(client.post("/password").await.text(), "changed", "{place}");
                    assert!(shown(client).await.starts_with("7/"), "{place}");
                    assert_eq!(shown(&other).await, "/", "{place}");
                    let thief = client.stranger();
                    thief.set_cookie("sessionid", old);
                    assert_eq!(shown(&thief).await, "/", "{place}");
                    let rows = Row::objects()
                        .filter(|row| row.principal.eq("7"))
                        .all(&site.db)
                        .await
                        .unwrap();
                    assert_eq!(rows.len(), 1, "{place}: no session is left that nobody knows of");
                }
            }
        }
    });
}

#[test]
fn a_clock_that_jumps_ends_only_what_is_over() {
    block_on(async {
        let day = Duration::from_secs(24 * 60 * 60);
        let site = site(When::Asked).await;
        site.client.post("/login").await;
        for (back, step) in [(true, day), (false, day), (false, day), (true, day)] {
            let now = site.clock.wall();
            site.clock.set_wall(if back { now - step } else { now + step });
            assert!(shown(&site.client).await.starts_with("7/"));
            assert_eq!(site.client.post("/basket").await.status(), 200);
            assert_eq!(shown(&site.client).await, "7/rum");
            site.client.post("/login").await;
        }
        site.clock.advance(15 * day);
        assert_eq!(shown(&site.client).await, "/");
    });
}

#[test]
fn sessions_are_made_and_read_outside_of_requests() {
    covers!(
        "auth.session.outside",
        "auth.session.race_decode",
        "auth.login.function"
    );
    block_on(async {
        let site = site(When::Asked).await;
        let now = site.clock.wall();
        let store = DatabaseSessions::new(site.db.clone());
        let record = SessionRecord {
            data: Map::from_iter([("basket".to_owned(), Value::from("tea"))]),
            principal: None,
            created_at: now,
            expire_at: now + Duration::from_secs(60),
        };
        let key = store.create(&record).await.unwrap();
        site.client.set_cookie("sessionid", key.expose());
        assert_eq!(shown(&site.client).await, "/tea");
        // A row is read by whoever may read the table.
        site.client.post("/login").await;
        let row = Row::objects()
            .filter(|row| row.principal.eq("7"))
            .get(&site.db)
            .await
            .unwrap();
        let data: Map<String, Value> = serde_json::from_str(&row.data).unwrap();
        assert_eq!(data.get("basket"), Some(&Value::from("tea")));
        let known = site.client.session(async |session| session.is_of(&ann()).await).await;
        assert!(known.unwrap(), "it has the hash of who logged in");
        let key = SessionKey::from_client(site.client.cookie("sessionid").unwrap());
        assert!(store.load(&key, now).await.unwrap().is_some());

        // What cannot be read is an empty session.
        let broken = Row::objects()
            .update(&site.db, |row| row.data.set("{\"basket\":".to_owned()))
            .await;
        assert_eq!(broken.unwrap(), 1);
        assert_eq!(shown(&site.client).await, "/");

        // One that ends while a request is at work is not brought back.
        let race = async |session: Session| {
            session.insert("basket", "rum").await?;
            store.delete_of_principal("7", None).await
        };
        site.client.post("/login").await;
        let lost = site.client.session(race).await.unwrap_err();
        assert_eq!(lost.status(), 400);
        assert_eq!(Row::objects().all(&site.db).await.unwrap().len(), 0);

        // A logout takes all of it.
        site.client.post("/login").await;
        let before = site.client.cookie("sessionid");
        site.client.post("/login").await;
        assert_ne!(site.client.cookie("sessionid"), before);
        site.client.post("/logout").await;
        assert_eq!(
            (site.client.cookie("sessionid"), shown(&site.client).await),
            (None, "/".to_owned())
        );
    });
}
