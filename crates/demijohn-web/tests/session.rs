//! Sessions and the protection of forms, through the site's own door.
#![allow(missing_docs, clippy::unwrap_used)]

use demijohn_core::{BoxFuture, Clock};
use demijohn_covers::covers;
use demijohn_web::http::StatusCode;
use demijohn_web::session::{Principal, SessionKey, SessionRecord, SessionStore, SessionSupport};
use demijohn_web::test::{Parts, TestClient, TestResponse, block_on};
use demijohn_web::{
    Application, Assemble, CsrfError, CsrfToken, Error, Form, Pairs, Request, Result, Session, any, get, post,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Sessions in memory, and a switch that breaks them.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    rows: HashMap<String, SessionRecord>,
    steps: usize,
    fail_at: usize,
}

impl Memory {
    fn len(&self) -> usize {
        self.0.lock().unwrap().rows.len()
    }

    /// Lets the n-th step from now fail; 0 for none.
    fn fail_at(&self, n: usize) {
        let mut inner = self.0.lock().unwrap();
        inner.steps = 0;
        inner.fail_at = n;
    }

    fn steps(&self) -> usize {
        self.0.lock().unwrap().steps
    }

    fn step<T>(&self, run: impl FnOnce(&mut HashMap<String, SessionRecord>) -> T) -> Result<T> {
        let mut inner = self.0.lock().unwrap();
        inner.steps += 1;
        match inner.steps == inner.fail_at {
            true => Err(Error::bare(StatusCode::SERVICE_UNAVAILABLE)),
            false => Ok(run(&mut inner.rows)),
        }
    }
}

impl SessionStore for Memory {
    fn load<'a>(&'a self, key: &'a SessionKey, now: SystemTime) -> BoxFuture<'a, Result<Option<SessionRecord>>> {
        Box::pin(async move {
            let found = self.step(|rows| rows.get(key.expose()).cloned())?;
            Ok(found.filter(|record| record.expire_at > now))
        })
    }

    fn create<'a>(&'a self, record: &'a SessionRecord) -> BoxFuture<'a, Result<SessionKey>> {
        Box::pin(async move {
            let key = SessionKey::random()?;
            self.step(|rows| rows.insert(key.expose().to_owned(), record.clone()))?;
            Ok(key)
        })
    }

    fn update<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<Option<SessionKey>>> {
        Box::pin(async move {
            let updated = self.step(|rows| rows.get_mut(key.expose()).map(|row| *row = record.clone()))?;
            Ok(updated.map(|()| key.clone()))
        })
    }

    fn delete<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.step(|rows| rows.remove(key.expose())).map(drop) })
    }

    fn delete_of_principal<'a>(
        &'a self,
        principal: &'a str,
        keep: Option<&'a SessionKey>,
    ) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            self.step(|rows| {
                let before = rows.len();
                rows.retain(|key, record| {
                    record.principal.as_deref() != Some(principal) || keep.is_some_and(|keep| keep.expose() == key)
                });
                (before - rows.len()) as u64
            })
        })
    }

    fn clear_expired(&self, now: SystemTime) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move {
            self.step(|rows| {
                let before = rows.len();
                rows.retain(|_, record| record.expire_at > now);
                (before - rows.len()) as u64
            })
        })
    }
}

fn ann() -> Principal {
    Principal::new("7", "hash-of-7")
}

async fn show(session: Session) -> Result<String> {
    let who = session.principal_id().await?.unwrap_or_default();
    let basket: Option<String> = session.get("basket").await?;
    Ok(format!("{who}/{}", basket.unwrap_or_default()))
}

async fn basket(session: Session, Form(form): Form<Pairs>) -> Result<&'static str> {
    session.insert("basket", form.get("put").unwrap_or_default()).await?;
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

async fn end_others(session: Session) -> Result<String> {
    Ok(session.end_others().await?.to_string())
}

fn site() -> Application {
    Application::new()
        .with(SessionSupport)
        .route("/", get(show))
        .route("/basket", post(basket))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/end-others", post(end_others))
        .route("/plain", get(async || "plain"))
        .route("/token", get(async |token: CsrfToken| token.to_string()))
        .route("/write", any(async || "written"))
}

/// A site whose sessions are on the server, the store, and the clock.
fn with_store() -> (TestClient, Memory, Clock) {
    let (memory, clock) = (Memory::default(), clock());
    (client_of(site(), &memory, &clock), memory, clock)
}

fn clock() -> Clock {
    Clock::stopped(UNIX_EPOCH + Duration::from_secs(1_900_000_000))
}

fn client_of(mut site: Application, memory: &Memory, clock: &Clock) -> TestClient {
    let store: Arc<dyn SessionStore> = Arc::new(memory.clone());
    let bag = site.site_mut().bag_mut();
    bag.insert(store);
    bag.insert(clock.clone());
    site.test_client()
}

fn cookies(response: &TestResponse) -> Vec<&str> {
    let lines = response.headers().get_all("set-cookie").iter();
    lines.map(|line| line.to_str().unwrap()).collect()
}

async fn put(client: &TestClient, what: &str) -> TestResponse {
    client.post("/basket").form([("put", what)]).await
}

async fn shown(client: &TestClient) -> String {
    client.get("/").await.text().to_owned()
}

#[test]
fn nothing_is_kept_of_who_left_nothing() {
    covers!("flask.session.vary");
    block_on(async {
        let (client, memory, _) = with_store();
        let answer = client.get("/").await;
        assert_eq!(answer.text(), "/");
        assert_eq!(cookies(&answer), [""; 0]);
        assert_eq!((memory.len(), memory.steps()), (0, 0));
        assert_eq!(answer.header("vary"), Some("cookie"));
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
        let answer = client.get("/plain").await;
        assert_eq!((answer.header("vary"), answer.header("cache-control")), (None, None));
    });
}

#[test]
fn a_value_stays_with_its_visitor() {
    block_on(async {
        let (client, memory, _) = with_store();
        let answer = put(&client, "tea").await;
        let cookie = cookies(&answer).join("\n");
        assert!(
            cookie.starts_with("sessionid=") && cookie.contains("; Path=/; Max-Age=1209600;"),
            "{cookie}"
        );
        assert!(
            cookie.ends_with("; HttpOnly; SameSite=Lax") && !cookie.contains("Domain"),
            "{cookie}"
        );
        assert_eq!(shown(&client).await, "/tea");
        assert_eq!(shown(&client.stranger()).await, "/");
        // What changes nothing writes nothing.
        let steps = memory.steps();
        assert_eq!(cookies(&put(&client, "tea").await), [""; 0]);
        assert_eq!(memory.steps() - steps, 1);
        assert_eq!(memory.len(), 1);
    });
}

#[test]
fn by_https_only_this_host_can_set_the_cookie() {
    block_on(async {
        let (client, ..) = with_store();
        let answer = client.post("/basket").form([("put", "tea")]).https().await;
        let cookie = cookies(&answer).join("\n");
        assert!(
            cookie.starts_with("__Host-sessionid=") && cookie.contains("; Secure; HttpOnly;"),
            "{cookie}"
        );
        assert_eq!(client.get("/").https().await.text(), "/tea");
        // A neighbour's cookie has no such name.
        let planted = client.stranger();
        planted.set_cookie("sessionid", client.cookie("__Host-sessionid").unwrap());
        assert_eq!(planted.get("/").https().await.text(), "/");
    });
}

#[test]
fn an_id_that_the_site_did_not_give_is_never_taken() {
    block_on(async {
        let (client, memory, _) = with_store();
        let planted = SessionKey::random().unwrap();
        for id in [planted.expose(), "x", "a.b.c", &"a".repeat(5000)] {
            client.clear_cookies();
            client.set_cookie("sessionid", id);
            assert_eq!(shown(&client).await, "/");
            put(&client, "tea").await;
            assert_ne!(client.cookie("sessionid").as_deref(), Some(id));
            assert!(!memory.0.lock().unwrap().rows.contains_key(id));
        }
    });
}

#[test]
fn a_login_has_an_id_of_its_own() {
    block_on(async {
        let (client, memory, _) = with_store();
        put(&client, "tea").await;
        let before = client.cookie("sessionid").unwrap();
        client.post("/login").await;
        let after = client.cookie("sessionid").unwrap();
        assert_ne!(before, after);
        assert_eq!(shown(&client).await, "7/tea");
        // Who had the id of before has nothing.
        let thief = client.stranger();
        thief.set_cookie("sessionid", &*before);
        assert_eq!(shown(&thief).await, "/");
        client.post("/login").await;
        assert_ne!(client.cookie("sessionid").unwrap(), after);
        assert_eq!(memory.len(), 1);
    });
}

#[test]
fn a_logout_ends_the_session_on_the_server() {
    block_on(async {
        let (client, memory, _) = with_store();
        client.post("/login").await;
        let thief = client.stranger();
        thief.set_cookie("sessionid", client.cookie("sessionid").unwrap());
        assert_eq!(shown(&thief).await, "7/");
        client.post("/logout").await;
        assert_eq!(client.cookie("sessionid"), None);
        assert_eq!(shown(&thief).await, "/");
        assert_eq!(memory.len(), 0);
    });
}

#[test]
fn a_changed_password_ends_the_other_sessions() {
    block_on(async {
        let (client, ..) = with_store();
        let others = [client.stranger(), client.stranger()];
        client.post("/login").await;
        for other in &others {
            other.post("/login").await;
        }
        assert_eq!(client.post("/end-others").await.text(), "2");
        assert_eq!(shown(&client).await, "7/");
        for other in &others {
            assert_eq!(shown(other).await, "/");
        }
    });
}

#[test]
fn sessions_end_when_they_are_not_used_and_when_they_are_old() {
    block_on(async {
        let day = Duration::from_secs(24 * 60 * 60);
        let (client, _, clock) = with_store();
        client.post("/login").await;
        clock.advance(14 * day);
        assert_eq!(shown(&client).await, "/");

        client.post("/login").await;
        for _ in 0..2 {
            clock.advance(13 * day);
            let answer = client.get("/").await;
            assert_eq!(answer.text(), "7/");
            assert_eq!(cookies(&answer).len(), 1, "the browser is told of the new end");
            assert_eq!(cookies(&client.get("/").await).len(), 0, "and not with every request");
        }
        clock.advance(4 * day);
        assert_eq!(shown(&client).await, "/");

        // A clock that is set ends no session, and brings none back.
        client.post("/login").await;
        for change in [-1, 1] {
            let now = clock.wall();
            clock.set_wall(if change < 0 { now - day } else { now + day });
            assert_eq!(shown(&client).await, "7/");
        }
    });
}

#[test]
fn of_two_cookies_of_one_name_none_is_taken() {
    block_on(async {
        let (client, ..) = with_store();
        client.post("/login").await;
        let own = client.cookie("sessionid").unwrap();
        let stranger = client.stranger();
        for two in [
            format!("sessionid={own}; sessionid=x"),
            format!("sessionid=x; sessionid={own}"),
        ] {
            assert_eq!(stranger.get("/").header("cookie", &two).await.text(), "/");
        }
    });
}

/// Whatever step of the store fails: the answer is the failure, without a cookie, and the visitor goes on where they were or where they
/// wanted to be.
#[test]
fn a_store_that_fails_leaves_nothing_half_done() {
    block_on(async {
        for (path, before, after) in [
            ("/", "7/tea", "7/tea"),
            ("/basket", "7/tea", "7/rum"),
            ("/login", "7/tea", "7/tea"),
            ("/logout", "7/tea", "/"),
            ("/end-others", "7/tea", "7/tea"),
        ] {
            let mut n = 0;
            loop {
                n += 1;
                let (client, memory, _) = with_store();
                put(&client, "tea").await;
                client.post("/login").await;
                memory.fail_at(n);
                let answer = match path {
                    "/" => client.get("/").await,
                    _ => client.post(path).form([("put", "rum")]).await,
                };
                if memory.steps() < n {
                    break;
                }
                memory.fail_at(0);
                assert_eq!(answer.status(), 503, "{path}, step {n}");
                assert_eq!(cookies(&answer), [""; 0], "{path}, step {n}");
                let seen = shown(&client).await;
                assert!(seen == before || seen == after, "{path}, step {n}: {seen}");
                assert_eq!(put(&client, "milk").await.status(), 200);
                assert!(shown(&client).await.ends_with("/milk"));
            }
            assert!(n > 1, "{path} takes steps");
        }
    });
}

#[test]
fn an_answer_that_failed_changes_nothing() {
    block_on(async {
        let site = site().route(
            "/fail",
            get(async |session: Session| {
                session.insert("basket", "rum").await?;
                Result::<&str>::Err(Error::internal("no"))
            }),
        );
        let client = client_of(site, &Memory::default(), &clock());
        put(&client, "tea").await;
        let answer = client.get("/fail").await;
        assert_eq!((answer.status().as_u16(), cookies(&answer).len()), (500, 0));
        assert_eq!(shown(&client).await, "/tea");
    });
}

#[test]
fn a_session_that_ended_meanwhile_stays_ended() {
    block_on(async {
        let site = site().route(
            "/race",
            post(async |session: Session, request: demijohn_web::State<Memory>| {
                session.insert("basket", "rum").await?;
                // Somebody logs out elsewhere while this request is at work.
                request.step(HashMap::clear)?;
                Result::<&str>::Ok("done")
            }),
        );
        let memory = Memory::default();
        let client = client_of(site.state(memory.clone()), &memory, &clock());
        client.post("/login").await;
        let answer = client.post("/race").await;
        assert_eq!((answer.text(), cookies(&answer).len(), memory.len()), ("done", 0, 0));
        assert_eq!(shown(&client).await, "/");
    });
}

#[test]
fn a_session_knows_whose_it_is() {
    block_on(async {
        let site = Application::new()
            .with(SessionSupport)
            .route("/login", post(login))
            .route(
                "/",
                get(async |session: Session| {
                    let others = [
                        Principal::new("7", "another"),
                        Principal::new("8", "hash-of-7"),
                        ann().active(false),
                    ];
                    let mut seen = vec![session.is_of(&ann()).await?];
                    for other in &others {
                        seen.push(session.is_of(other).await?);
                    }
                    Result::<String>::Ok(format!("{seen:?}"))
                }),
            )
            .route(
                "/closed",
                post(async |session: Session| session.login(&ann().active(false)).await.map(|()| "in")),
            );
        let client = client_of(site, &Memory::default(), &clock());
        assert_eq!(client.get("/").await.text(), "[false, false, false, false]");
        assert_eq!(client.post("/closed").await.status(), 403);
        client.post("/login").await;
        assert_eq!(client.get("/").await.text(), "[true, false, false, false]");
    });
}

#[test]
fn without_a_database_the_client_keeps_the_signed_session() {
    covers!("flask.session.signed");
    block_on(async {
        let client = site().test_client();
        put(&client, "tea").await;
        assert_eq!(shown(&client).await, "/tea");
        client.post("/login").await;
        assert_eq!(shown(&client).await, "7/tea");
        let cookie = client.cookie("sessionid").unwrap();
        for at in 0..cookie.len() {
            let mut changed = cookie.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let stranger = client.stranger();
            stranger.set_cookie("sessionid", String::from_utf8(changed).unwrap());
            let answer = stranger.get("/").await;
            assert_eq!((answer.status().as_u16(), answer.text()), (200, "/"), "byte {at}");
        }
        let too_much = put(&client, &"x".repeat(5000)).await;
        assert_eq!((too_much.status().as_u16(), cookies(&too_much).len()), (500, 0));
        assert_eq!(shown(&client).await, "7/tea");
        client.post("/logout").await;
        assert_eq!(shown(&client).await, "/");
    });
}

#[test]
fn a_write_does_not_reach_who_has_no_key() {
    use demijohn_core::settings::Sources;
    // A handler that asks for a session keeps production from starting.
    let refused = site().build(Sources::none().set("DEBUG", false)).err().unwrap();
    assert!(
        refused.iter().any(|finding| finding.to_string().contains("SECRET_KEY")),
        "{refused:?}"
    );
}

// What other sites can make a browser send.

async fn token(client: &TestClient) -> String {
    client.get("/token").await.text().to_owned()
}

#[test]
fn who_writes_needs_a_token() {
    covers!("security.csrf.token");
    covers!("security.csrf.test_client");
    block_on(async {
        let (lax, ..) = with_store();
        assert_eq!(lax.post("/write").form([("a", "1")]).await.text(), "written");
        let client = lax.enforce_csrf();
        assert_eq!(client.post("/write").form([("a", "1")]).await.status(), 403);
        let token = token(&client).await;
        for answer in [
            client.post("/write").form([("csrfmiddlewaretoken", &token)]).await,
            client.post("/write").header("x-csrftoken", &token).await,
            client.put("/write").header("x-csrftoken", &token).json(&1).await,
            client
                .post("/write")
                .multipart(
                    Parts::new()
                        .text("csrfmiddlewaretoken", &token)
                        .file("f", "a.txt", "text/plain", "x"),
                )
                .await,
            client
                .post("/write")
                .multipart(
                    Parts::new()
                        .file("f", "a.txt", "text/plain", "x")
                        .text("csrfmiddlewaretoken", &token),
                )
                .await,
        ] {
            assert_eq!((answer.status().as_u16(), answer.text()), (200, "written"));
        }
        for answer in [
            client.post("/write").await,
            client.post("/write").form([("csrfmiddlewaretoken", "")]).await,
            client.post("/write").form([("csrfmiddlewaretoken", "x")]).await,
            client.post("/write").json(&1).await,
            client.put("/write").json(&1).await,
            client.patch("/write").json(&1).await,
            client.delete("/write").await,
            // In the address it counts for nothing.
            client.post(&format!("/write?csrfmiddlewaretoken={token}")).await,
            client.post("/write").multipart(Parts::new().text("a", "1")).await,
            client
                .post("/write")
                .header("content-type", "text/plain")
                .body(format!("csrfmiddlewaretoken={token}"))
                .await,
            client
                .post("/write")
                .header("x-csrftoken", "\u{7f}".trim_matches('\u{7f}'))
                .await,
        ] {
            assert_eq!(answer.status(), 403);
        }
        assert_eq!(client.get("/write").await.text(), "written");
        assert_eq!(client.head("/write").await.status(), 200);
        assert_eq!(client.options("/write").await.status(), 200);
    });
}

#[test]
fn programs_without_cookies_need_none() {
    block_on(async {
        let (client, ..) = with_store();
        let client = client.enforce_csrf();
        for answer in [
            client.post("/write").json(&1).without_header("origin").await,
            client.delete("/write").without_header("origin").await,
            client
                .post("/write")
                .header("authorization", "Bearer x")
                .without_header("origin")
                .await,
        ] {
            assert_eq!(answer.text(), "written");
        }
        // What a browser adds by itself proves nothing.
        for answer in [
            client
                .post("/write")
                .header("authorization", "Basic eDp4")
                .without_header("origin")
                .await,
            client.post("/write").without_header("origin").await,
            client.post("/write").form([("a", "1")]).without_header("origin").await,
            client
                .post("/write")
                .header("content-type", "TEXT/plain; x")
                .body("{}")
                .await,
            client
                .post("/write")
                .json(&1)
                .header("origin", "https://evil.example")
                .await,
        ] {
            assert_eq!(answer.status(), 403);
        }
    });
}

#[test]
fn no_two_tokens_are_alike() {
    covers!("security.csrf.masking");
    block_on(async {
        let (client, ..) = with_store();
        let client = client.enforce_csrf();
        let (first, second) = (token(&client).await, token(&client).await);
        assert_ne!(first, second);
        for token in [first, second] {
            assert_eq!(client.post("/write").header("x-csrftoken", &token).await.status(), 200);
        }
    });
}

#[test]
fn pages_of_other_origins_are_refused() {
    block_on(async {
        let client = site()
            .allowed_hosts(["localhost", ".localhost"])
            .test_client()
            .enforce_csrf();
        let token = token(&client).await;
        let sent = async |headers: &[(&str, &str)]| {
            let request = client
                .post("/write")
                .header("x-csrftoken", &token)
                .without_header("origin");
            let request = headers
                .iter()
                .fold(request, |request, (name, value)| request.header(name, value));
            request.await.status().as_u16()
        };
        for good in [
            &[("origin", "http://localhost")][..],
            &[("origin", "http://LOCALHOST:80")],
            &[("sec-fetch-site", "same-origin")],
            &[("referer", "http://localhost/form?a=1")],
        ] {
            assert_eq!(sent(good).await, 200, "{good:?}");
        }
        for bad in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "https://localhost")],
            &[("origin", "http://localhost:8000")],
            &[("origin", "http://a.localhost")],
            &[("origin", "http://localhost.evil.example")],
            &[("origin", "http://evil.example")],
            &[("origin", "http://localhost@evil.example")],
            &[("origin", "http://localhost/")],
            &[("origin", "http://localhost"), ("origin", "http://evil.example")],
            &[("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("origin", "null"), ("referer", "http://localhost/")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site"), ("referer", "http://localhost/")],
            &[("referer", "http://localhost.evil.example/")],
            &[("referer", "http://localhost@evil.example/")],
            &[("referer", "https://localhost/")],
            &[("referer", "/form")],
        ] {
            assert_eq!(sent(bad).await, 403, "{bad:?}");
        }
    });
}

#[test]
fn a_token_is_of_one_session() {
    covers!("security.csrf.rotate");
    block_on(async {
        let (client, ..) = with_store();
        let client = client.enforce_csrf();
        let early = token(&client).await;
        let sent = async |client: &TestClient, token: &str| {
            client
                .post("/write")
                .header("x-csrftoken", token)
                .await
                .status()
                .as_u16()
        };
        // A session that begins without a login leaves the forms good that are open already.
        let put = client
            .post("/basket")
            .form([("put", "tea"), ("csrfmiddlewaretoken", &early)])
            .await;
        assert_eq!((put.status().as_u16(), cookies(&put).len()), (200, 2));
        assert_eq!(sent(&client, &early).await, 200);
        // A login does not.
        assert_eq!(client.post("/login").header("x-csrftoken", &early).await.status(), 200);
        assert_eq!(sent(&client, &early).await, 403);
        let own = token(&client).await;
        assert_eq!(sent(&client, &own).await, 200);

        // Somebody else's token, with and without the cookie that it goes with.
        let other = client.stranger();
        let foreign = token(&other).await;
        assert_eq!(sent(&client, &foreign).await, 403);
        let victim = client.stranger();
        victim.set_cookie("sessionid", client.cookie("sessionid").unwrap());
        victim.set_cookie("csrftoken", other.cookie("csrftoken").unwrap());
        assert_eq!(sent(&victim, &foreign).await, 403);
        // Two of them, one planted.
        let both = format!(
            "sessionid={}; csrftoken={}; csrftoken={}",
            client.cookie("sessionid").unwrap(),
            other.cookie("csrftoken").unwrap(),
            client.cookie("csrftoken").unwrap()
        );
        for token in [&own, &foreign] {
            let answer = client
                .stranger()
                .post("/write")
                .header("cookie", &both)
                .header("x-csrftoken", token)
                .await;
            assert_eq!(answer.status(), 403);
        }
        // What a client makes up.
        for made_up in ["x.y", "AAAA.AAAA", ""] {
            victim.set_cookie("csrftoken", made_up);
            assert_eq!(sent(&victim, &own).await, 403);
        }
        assert_eq!(client.post("/logout").header("x-csrftoken", &own).await.status(), 200);
        assert_eq!(sent(&client, &own).await, 403);
    });
}

#[test]
fn the_form_is_there_for_its_handler_and_nothing_runs_before() {
    block_on(async {
        static HOOKS: AtomicUsize = AtomicUsize::new(0);
        let site = site()
            .before(async |_: &mut Request| {
                HOOKS.fetch_add(1, Ordering::SeqCst);
            })
            .route(
                "/form",
                post(async |Form(form): Form<Pairs>| form.get("a").unwrap_or_default().to_owned()),
            );
        let client = client_of(site, &Memory::default(), &clock()).enforce_csrf();
        let token = token(&client).await;
        HOOKS.store(0, Ordering::SeqCst);
        assert_eq!(client.post("/form").form([("a", "1")]).await.status(), 403);
        assert_eq!(HOOKS.load(Ordering::SeqCst), 0);
        let pairs = [("a", "1"), ("csrfmiddlewaretoken", &token)];
        assert_eq!(client.post("/form").form(pairs).await.text(), "1");
        let parts = Parts::new().text("a", "2").text("csrfmiddlewaretoken", &token);
        assert_eq!(client.post("/form").multipart(parts).await.text(), "2");
    });
}

#[test]
fn a_site_shows_its_own_page_for_what_was_refused() {
    block_on(async {
        async fn refused(why: &CsrfError, _: &mut Request) -> (StatusCode, String) {
            (StatusCode::FORBIDDEN, format!("{why:?}"))
        }
        let client = site().on_error(refused).test_client().enforce_csrf();
        assert_eq!(client.post("/write").await.text(), "NoCookie");
        token(&client).await;
        assert_eq!(client.post("/write").await.text(), "NoToken");
    });
}

#[test]
fn a_route_that_is_exempt_takes_what_others_send() {
    block_on(async {
        let site = site().route("/hook", post(async || "taken").csrf_exempt());
        let client = site.test_client().enforce_csrf();
        let answer = client
            .post("/hook")
            .header("origin", "https://evil.example")
            .form([("a", "1")])
            .await;
        assert_eq!(answer.text(), "taken");
    });
}
