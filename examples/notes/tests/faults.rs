//! Whatever step fails, on the way of whatever writes: nothing half is left, and the next request is answered.
//!
//! Each test lets the first step fail, then the second, and so on until a run takes no more steps.

use demijohn::faults::{Faults, FileFaults};
use demijohn::orm::faults::{FaultyDriver, When};
use demijohn::prelude::*;
use demijohn::settings::Sources;
use demijohn::test::{Parts, TestClient, TestResponse, block_on};
use demijohn_sqlite::Sqlite;
use notes::models::{Attachment, Note};
use std::sync::Arc;
use tempfile::TempDir;

const PASSWORD: &str = "a demijohn of plum wine";

/// A site whose database and files fail when told to.
struct Site {
    client: TestClient,
    database: Faults,
    files: Faults,
    folder: TempDir,
    /// Looks at what is there, past the faults.
    db: Db,
}

impl Site {
    fn new(when: When) -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let (database, files) = (Faults::default(), Faults::default());
        let url = format!("sqlite://{}", folder.path().join("db.sqlite3").display());
        let driver = Sqlite::driver(&url).expect("a database");
        let faulty = FaultyDriver::new(Arc::clone(&driver), database.clone(), when);
        let mut app = notes::app().on_start(notes::fill);
        let bag = app.site_mut().bag_mut();
        bag.insert(Db::new(Arc::new(faulty)));
        bag.insert(FileFaults(files.clone()));
        let media = folder.path().join("media");
        let sources = Sources::none()
            .var("DEMO_PASSWORD", PASSWORD)
            .var("MEDIA_ROOT", media.to_str().expect("text"));
        let ready = app.build(sources).unwrap_or_else(|findings| panic!("{findings:?}"));
        let client = ready.test_client();
        // The tables and accounts are made before the first request.
        assert_eq!(block_on(async { client.get("/").await.status() }), 200);
        Site {
            client,
            database,
            files,
            folder,
            db: Db::new(driver),
        }
    }

    /// How many files there are, drafts included.
    fn stored(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("media/files")).map_or(0, Iterator::count)
    }
}

async fn login(client: &TestClient, name: &str, password: &str) -> TestResponse {
    client
        .post("/login/")
        .form([("username", name), ("password", password)])
        .await
}

/// Whether the site said that it did it; if not, it said so in a decent way.
#[track_caller]
fn is_done(answer: &TestResponse) -> bool {
    let status = answer.status().as_u16();
    assert!(
        matches!(status, 200..=303 | 500 | 503 | 507),
        "{status}: {}",
        answer.text()
    );
    status < 400
}

/// Lets step `n` of the path fail. Tells whether there was such a step.
async fn failing<T>(faults: &Faults, n: u64, path: impl AsyncFnOnce() -> T) -> (T, bool) {
    faults.fail_at(n);
    let answer = path().await;
    let struck = faults.passed() >= n;
    faults.fail_at(0);
    assert!(n < 200, "no end of steps");
    (answer, struck)
}

#[test]
fn logging_in_and_out() {
    for when in [When::Asked, When::Answered] {
        let site = Site::new(when);
        block_on(async {
            for n in 1.. {
                let client = site.client.stranger();
                let (answer, struck) =
                    failing(&site.database, n, async || login(&client, "alice", PASSWORD).await).await;
                let opened = client.get("/api/notes/").await.status() == 200;
                assert_eq!(
                    is_done(&answer),
                    opened,
                    "{when:?} {n}: the cookie opens what the answer said"
                );
                assert_eq!(login(&client, "alice", PASSWORD).await.status(), 303);
                let before = client.cookie("sessionid").expect("a session");
                let (answer, struck_too) = failing(&site.database, n, async || client.post("/logout/").await).await;
                let copy = site.client.stranger();
                copy.set_cookie("sessionid", before);
                if is_done(&answer) {
                    assert_eq!(copy.get("/api/notes/").await.status(), 401, "{when:?} {n}: out is out");
                }
                assert_eq!(client.post("/logout/").await.status(), 303);
                assert_eq!(client.get("/api/notes/").await.status(), 401);
                if !struck && !struck_too {
                    assert!(n > 2);
                    break;
                }
            }
        });
    }
}

#[test]
fn notes_are_written_changed_and_removed_whole() {
    for when in [When::Asked, When::Answered] {
        let site = Site::new(when);
        block_on(async {
            let client = &site.client;
            login(client, "alice", PASSWORD).await;
            for n in 1.. {
                let before = Note::objects().count(&site.db).await.expect("a count");
                let post = async || client.post("/notes/new/").form([("text", "a note")]).await;
                let (answer, struck) = failing(&site.database, n, post).await;
                let more = Note::objects().count(&site.db).await.expect("a count") - before;
                assert!(
                    more == i64::from(is_done(&answer)) || when == When::Answered && more <= 1,
                    "{when:?} {n}"
                );
                assert_eq!(client.get("/notes/").await.status(), 200, "{when:?} {n}");
                if !struck {
                    break;
                }
            }
            let newest = async || {
                Note::objects()
                    .order_by(|x| x.id.desc())
                    .first(&site.db)
                    .await
                    .expect("reads")
                    .expect("one")
            };
            let path = format!("/api/notes/{}/", newest().await.id);
            for n in 1.. {
                let (text, url) = (format!("change {n}"), format!("https://example.org/{n}"));
                let before = newest().await;
                let change = serde_json::json!({"text": text, "url": url});
                let patch = async || client.patch(&path).json(&change).await;
                let (answer, struck) = failing(&site.database, n, patch).await;
                let now = newest().await;
                let is_new = (&now.text, &now.url) == (&text, &url);
                let is_old = (&now.text, &now.url) == (&before.text, &before.url);
                assert!(is_new || is_old, "{when:?} {n}: both or none");
                assert!(
                    is_new == is_done(&answer) || when == When::Answered && is_new,
                    "{when:?} {n}"
                );
                assert_eq!(client.get(&path).await.status(), 200, "{when:?} {n}");
                if !struck {
                    break;
                }
            }
            for n in 1.. {
                let note = newest().await;
                let remove = async || client.post(&format!("/notes/{}/delete/", note.id)).await;
                let (answer, struck) = failing(&site.database, n, remove).await;
                let gone = newest().await.id != note.id;
                assert!(
                    gone == is_done(&answer) || when == When::Answered && gone,
                    "{when:?} {n}"
                );
                assert_eq!(client.get("/notes/").await.status(), 200, "{when:?} {n}");
                if !struck {
                    break;
                }
            }
        });
    }
}

#[test]
fn a_password_is_changed_with_its_sessions_or_not_at_all() {
    for when in [When::Asked, When::Answered] {
        let site = Site::new(when);
        block_on(async {
            let mut password = PASSWORD.to_owned();
            for n in 1.. {
                let (here, there) = (site.client.stranger(), site.client.stranger());
                assert_eq!(login(&here, "pwchange", &password).await.status(), 303);
                assert_eq!(login(&there, "pwchange", &password).await.status(), 303);
                let new = format!("another demijohn, the {n}th");
                let fields = [
                    ("old_password", password.as_str()),
                    ("new_password1", &new),
                    ("new_password2", &new),
                ];
                let post = async || here.post("/password/").form(fields).await;
                let (answer, struck) = failing(&site.database, n, post).await;
                // Whatever was said: one of the two passwords opens, and where it is the new one, the other sessions are over.
                let is_new = login(&site.client.stranger(), "pwchange", &new).await.status() == 303;
                let is_old = login(&site.client.stranger(), "pwchange", &password).await.status() == 303;
                assert!(is_new != is_old, "{when:?} {n}");
                assert!(!is_done(&answer) || is_new, "{when:?} {n}");
                let is_open = there.get("/api/notes/").await.status() == 200;
                assert_eq!(is_open, is_old, "{when:?} {n}: the other session");
                if is_new {
                    password = new;
                }
                if !struck {
                    break;
                }
            }
        });
    }
}

#[test]
fn an_upload_is_kept_with_its_row_or_not_at_all() {
    let large = vec![b'x'; 2 << 20];
    for (content, when) in [
        (&b"small"[..], When::Asked),
        (&large, When::Asked),
        (&large, When::Answered),
    ] {
        let site = Site::new(when);
        block_on(async {
            let client = &site.client;
            login(client, "alice", PASSWORD).await;
            for faults in [&site.files, &site.database] {
                for n in 1.. {
                    let before = Attachment::objects().count(&site.db).await.expect("a count");
                    let parts = Parts::new().file("file", "a.png", "image/png", content);
                    let post = async || client.post("/upload/").multipart(parts).await;
                    let (answer, struck) = failing(faults, n, post).await;
                    let rows = Attachment::objects().all(&site.db).await.expect("rows");
                    for row in &rows {
                        let path = site.folder.path().join("media").join(&row.stored);
                        assert_eq!(
                            std::fs::read(path).expect("reads"),
                            content,
                            "{when:?} {n}: the whole file"
                        );
                    }
                    assert_eq!(
                        site.stored(),
                        rows.len(),
                        "{when:?} {n}: no files without a row, and no halves"
                    );
                    let more = rows.len() as i64 - before;
                    assert!(
                        more == i64::from(is_done(&answer)) || when == When::Answered && more <= 1,
                        "{when:?} {n}"
                    );
                    assert_eq!(client.get("/upload/").await.status(), 200, "{when:?} {n}");
                    if !struck {
                        assert!(n > 2);
                        break;
                    }
                }
            }
        });
    }
}
