//! Sessions and messages, through the site's own door.
#![cfg(all(feature = "sessions", feature = "template"))]
#![allow(missing_docs, clippy::unwrap_used)]

use demijohn_core::settings::Sources;
use demijohn_core::{BoxFuture, Clock, Configure};
use demijohn_covers::covers;
use demijohn_template::{Folder, context};
use demijohn_web::http::StatusCode;
use demijohn_web::session::{Expiry, Principal, SessionKey, SessionRecord, SessionStore, SessionSupport};
use demijohn_web::test::{TestClient, TestResponse, block_on};
use demijohn_web::{
    Application, Assemble, Error, Form, Messages, Pairs, Redirect, Response, Result, Session, TemplatesExt, get, post,
    render,
};
use std::collections::HashMap;
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
    /// The step that fails is done all the same: only its answer is lost.
    done: bool,
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
        let fails = inner.steps == inner.fail_at;
        if fails && !inner.done {
            return Err(Error::bare(StatusCode::SERVICE_UNAVAILABLE));
        }
        let outcome = run(&mut inner.rows);
        match fails {
            true => Err(Error::bare(StatusCode::SERVICE_UNAVAILABLE)),
            false => Ok(outcome),
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

/// Whatever step of the store fails, before or after it was done: the answer is the failure, without a cookie, and the visitor goes on
/// where they were or where they wanted to be, at worst as a stranger; never as somebody else, or with half of it.
#[test]
fn a_store_that_fails_leaves_nothing_half_done() {
    block_on(async {
        let paths = [
            ("/", "7/tea"),
            ("/basket", "7/rum"),
            ("/login", "7/tea"),
            ("/logout", "/"),
            ("/end-others", "7/tea"),
        ];
        for ((path, after), done) in paths.into_iter().flat_map(|path| [(path, false), (path, true)]) {
            let mut n = 0;
            loop {
                n += 1;
                let (client, memory, _) = with_store();
                put(&client, "tea").await;
                client.post("/login").await;
                let old = client.cookie("sessionid").unwrap();
                memory.fail_at(n);
                memory.0.lock().unwrap().done = done;
                let answer = match path {
                    "/" => client.get("/").await,
                    _ => client.post(path).form([("put", "rum")]).await,
                };
                if memory.steps() < n {
                    break;
                }
                memory.fail_at(0);
                let place = format!("{path}, step {n}, done: {done}");
                assert_eq!(answer.status(), 503, "{place}");
                assert_eq!(cookies(&answer), [""; 0], "{place}");
                let seen = shown(&client).await;
                let good = seen == "7/tea" || seen == after || (done && path == "/login" && seen == "/");
                assert!(good, "{place}: {seen}");
                assert_eq!(put(&client, "milk").await.status(), 200, "{place}");
                assert!(shown(&client).await.ends_with("/milk"), "{place}");
                assert_eq!(client.post("/login").await.status(), 200, "{place}");
                assert_eq!(shown(&client).await, "7/milk", "{place}");
                let thief = client.stranger();
                thief.set_cookie("sessionid", old);
                assert_eq!(shown(&thief).await, "/", "{place}");
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
        let site = site.route(
            "/login-and-fail",
            post(async |session: Session| {
                session.login(&ann()).await?;
                Result::<&str>::Err(Error::internal("no"))
            }),
        );
        let memory = Memory::default();
        let client = client_of(site, &memory, &clock());
        put(&client, "tea").await;
        let answer = client.get("/fail").await;
        assert_eq!((answer.status().as_u16(), cookies(&answer).len()), (500, 0));
        assert_eq!(shown(&client).await, "/tea");
        // A login has ended the session of before; nobody is logged in by one that the client is not told of.
        let answer = client.post("/login-and-fail").await;
        assert_eq!((answer.status().as_u16(), cookies(&answer).len()), (500, 0));
        assert_eq!((shown(&client).await.as_str(), memory.len()), ("/", 0));
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
        // What it put in is lost, and it says so. The cookie is left alone: it may be a new one by now.
        assert_eq!(
            (answer.status().as_u16(), cookies(&answer).len(), memory.len()),
            (400, 0, 0)
        );
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

const KEY: &str = "k3Gqv0c9x2LpWm7RtYzN8sUaHd5FjBe4oXi1QkTn6CwVrSgEyM";
const NEW_KEY: &str = "Zp4Tq9Lx7Wn2Rv6Ys1Kb8Md3Gf5Hj0Ce-Uo_Ia4Xt7Qw2Ez9Vu6";

fn with_settings(site: Application, settings: &[(&'static str, &str)]) -> TestClient {
    let sources = settings
        .iter()
        .fold(Sources::none(), |sources, (name, value)| sources.var(*name, *value));
    site.build(sources).ok().unwrap().test_client()
}

#[test]
fn nothing_is_signed_without_a_key() {
    covers!("flask.session.no_secret");
    block_on(async {
        // A handler that asks for a session keeps production from starting; a hook that does is told when it writes.
        let refused = site().build(Sources::none().set("DEBUG", false)).err().unwrap();
        assert!(
            refused.iter().any(|finding| finding.to_string().contains("SECRET_KEY")),
            "{refused:?}"
        );
        async fn hook(request: &mut demijohn_web::Request) -> Result<()> {
            Session::of(request)?.insert("a", 1).await
        }
        async fn told(error: &Error, _: &mut demijohn_web::Request) -> String {
            error.to_string()
        }
        let hooked = || Application::new().with(SessionSupport).before(hook).error_pages(told);
        let client = with_settings(hooked().route("/", get(async || "ok")), &[("DEBUG", "false")]);
        let answer = client.get("/").await;
        assert_eq!(answer.status(), 500);
        assert!(answer.text().contains("SECRET_KEY"), "{}", answer.text());
        assert_eq!(cookies(&answer), [""; 0]);
    });
}

#[test]
fn a_new_key_takes_over_from_the_old_one() {
    covers!("flask.session.key_rotation");
    block_on(async {
        let old = with_settings(site(), &[("SECRET_KEY", KEY)]);
        put(&old, "tea").await;
        let signed = old.cookie("sessionid").unwrap();
        let new = with_settings(site(), &[("SECRET_KEY", NEW_KEY), ("SECRET_KEY_FALLBACKS", KEY)]);
        new.set_cookie("sessionid", &*signed);
        assert_eq!(shown(&new).await, "/tea");
        put(&new, "rum").await;
        let alone = with_settings(site(), &[("SECRET_KEY", NEW_KEY)]);
        alone.set_cookie("sessionid", new.cookie("sessionid").unwrap());
        assert_eq!(shown(&alone).await, "/rum");
        alone.set_cookie("sessionid", signed);
        assert_eq!(shown(&alone).await, "/");
    });
}

#[test]
fn the_store_is_nothing_to_handlers() {
    covers!("flask.session.backend", "auth.session.lazy");
    block_on(async {
        let in_cookie = site().test_client();
        let (on_server, memory, _) = with_store();
        for client in [&in_cookie, &on_server] {
            put(client, "tea").await;
            assert_eq!(shown(client).await, "/tea");
        }
        let opaque = on_server.cookie("sessionid").unwrap();
        assert!(opaque.len() == 64 && opaque.bytes().all(|b| b.is_ascii_hexdigit()));
        let steps = memory.steps();
        let answer = on_server.get("/plain").await;
        assert_eq!((memory.steps() - steps, answer.header("vary")), (0, None));
        // A setting chooses, whatever the site brings.
        let memory = Memory::default();
        let mut site = site();
        let store: Arc<dyn SessionStore> = Arc::new(memory.clone());
        site.site_mut().bag_mut().insert(store);
        let client = with_settings(site, &[("SESSION_ENGINE", "django.contrib.sessions.backends.db")]);
        put(&client, "tea").await;
        assert_eq!(memory.len(), 1);
    });
}

#[test]
fn a_session_in_a_cookie_ends_too() {
    covers!("auth.session.signed_cookie");
    block_on(async {
        let clock = clock();
        let mut site = site();
        site.site_mut().bag_mut().insert(clock.clone());
        let client = site.test_client();
        put(&client, "tea").await;
        let cookie = client.cookie("sessionid").unwrap();
        clock.advance(Duration::from_secs(1_209_599));
        let copy = client.stranger();
        copy.set_cookie("sessionid", &*cookie);
        assert_eq!(shown(&copy).await, "/tea");
        clock.advance(Duration::from_secs(1));
        let copy = client.stranger();
        copy.set_cookie("sessionid", &*cookie);
        assert_eq!(shown(&copy).await, "/");
        copy.set_cookie("sessionid", cookie.replace('.', ".x"));
        assert_eq!(shown(&copy).await, "/");
    });
}

#[test]
fn the_cookie_is_as_the_settings_say() {
    covers!("auth.session.cookie_settings");
    block_on(async {
        let cookie = async |settings: &[(&'static str, &str)], https: bool| {
            let client = with_settings(site(), settings);
            let request = client.post("/basket").form([("put", "tea")]);
            let answer = if https { request.https().await } else { request.await };
            let line = cookies(&answer).join("\n");
            let parts: Vec<&str> = line.split("; ").filter(|part| !part.starts_with("Expires=")).collect();
            let name = parts[0].split('=').next().unwrap_or_default();
            format!("{name}; {}", parts[1..].join("; "))
        };
        assert_eq!(
            cookie(&[], false).await,
            "sessionid; Path=/; Max-Age=1209600; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            cookie(&[], true).await,
            "__Host-sessionid; Path=/; Max-Age=1209600; Secure; HttpOnly; SameSite=Lax"
        );
        let own = [
            ("SESSION_COOKIE_NAME", "sid"),
            ("SESSION_COOKIE_AGE", "60"),
            ("SESSION_COOKIE_DOMAIN", "shop.example"),
            ("SESSION_COOKIE_PATH", "/shop"),
            ("SESSION_COOKIE_HTTPONLY", "false"),
            ("SESSION_COOKIE_SAMESITE", "Strict"),
        ];
        assert_eq!(
            cookie(&own, false).await,
            "sid; Path=/shop; Domain=shop.example; Max-Age=60; SameSite=Strict"
        );
        assert_eq!(
            cookie(&own, true).await,
            "__Secure-sid; Path=/shop; Domain=shop.example; Max-Age=60; Secure; SameSite=Strict"
        );
        let secure = [
            ("SESSION_COOKIE_SECURE", "true"),
            ("SESSION_EXPIRE_AT_BROWSER_CLOSE", "true"),
        ];
        assert_eq!(
            cookie(&secure, false).await,
            "__Host-sessionid; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            cookie(&[("SESSION_COOKIE_SECURE", "false")], true).await,
            "sessionid; Path=/; Max-Age=1209600; HttpOnly; SameSite=Lax"
        );
    });
}

#[test]
fn a_session_may_have_an_end_of_its_own() {
    covers!("auth.session.expiry");
    block_on(async {
        async fn set(
            session: Session,
            clock: demijohn_web::State<Clock>,
            demijohn_web::Path(what): demijohn_web::Path<String>,
        ) -> Result<String> {
            session.insert("basket", "tea").await?;
            session
                .set_expiry(match what.as_str() {
                    "usual" => Expiry::Usual,
                    "browser" => Expiry::WithBrowser,
                    "date" => Expiry::At(clock.wall() + Duration::from_secs(1000)),
                    "never" => Expiry::After(Duration::MAX),
                    _ => Expiry::After(Duration::from_secs(300)),
                })
                .await?;
            let left = session.expires_in().await?.unwrap_or_default();
            Ok(left.as_secs().to_string())
        }
        let clock = clock();
        let site = site().route("/expiry/{what}", post(set)).state(clock.clone());
        let memory = Memory::default();
        let client = client_of(site, &memory, &clock);
        for (what, left, age) in [
            ("300", "300", Some("300")),
            ("date", "1000", Some("1000")),
            ("browser", "1209600", None),
            ("usual", "1209600", Some("1209600")),
            ("never", "2592000", Some("2592000")),
        ] {
            client.clear_cookies();
            let answer = client.post(&format!("/expiry/{what}")).await;
            assert_eq!(answer.text(), left, "{what}");
            let cookie = cookies(&answer).join("\n");
            let said = cookie.split("; ").find_map(|part| part.strip_prefix("Max-Age="));
            assert_eq!(said, age, "{what}: {cookie}");
        }
        // It begins anew with each use, unless it is a date.
        for (what, after, lives) in [
            ("300", 299, true),
            ("300", 301, false),
            ("date", 999, true),
            ("date", 2, false),
        ] {
            if lives {
                client.clear_cookies();
                client.post(&format!("/expiry/{what}")).await;
            }
            clock.advance(Duration::from_secs(after));
            let basket = if lives { "/tea" } else { "/" };
            assert_eq!(shown(&client).await, basket, "{what} after {after}");
        }
    });
}

#[test]
fn values_of_a_session() {
    covers!("auth.session.cycle", "flask.test.session");
    block_on(async {
        let (client, memory, _) = with_store();
        // A test looks in, and puts something in before a request.
        client
            .session(async |session| session.insert("basket", "tea").await)
            .await
            .unwrap();
        assert_eq!(shown(&client).await, "/tea");
        client
            .session(async |session| {
                assert_eq!(session.get::<String>("basket").await?.as_deref(), Some("tea"));
                assert_eq!(session.get::<u32>("basket").await?, None);
                assert_eq!(session.get_or_insert_with("n", || 1).await?, 1);
                assert_eq!(session.get_or_insert_with("n", || 2).await?, 1);
                session.insert("list", vec![1, 2]).await?;
                assert_eq!(session.keys().await?, ["basket", "list", "n"]);
                assert!(session.contains("n").await? && !session.contains("m").await?);
                assert_eq!(session.take::<Vec<u32>>("list").await?, Some(vec![1, 2]));
                assert!(session.remove("n").await? && !session.remove("n").await?);
                // What the framework keeps there is its own.
                session.login(&ann()).await?;
                assert!(session.insert("_auth_hash", "x").await.is_err());
                assert_eq!(session.get::<String>("_auth_hash").await?, None);
                assert!(!session.remove("_auth_hash").await? && session.is_of(&ann()).await?);
                assert_eq!(session.keys().await?, ["basket"]);
                Ok(())
            })
            .await
            .unwrap();
        let before = client.cookie("sessionid").unwrap();
        client.session(async |session| session.renew_id().await).await.unwrap();
        assert_ne!(client.cookie("sessionid").unwrap(), before);
        assert_eq!((shown(&client).await.as_str(), memory.len()), ("7/tea", 1));
        client.session(async |session| session.clear().await).await.unwrap();
        assert_eq!((client.cookie("sessionid"), memory.len()), (None, 0));
        // The last value that goes takes the session with it.
        put(&client, "tea").await;
        client
            .session(async |session| session.remove("basket").await)
            .await
            .unwrap();
        assert_eq!((client.cookie("sessionid"), memory.len()), (None, 0));
    });
}

#[test]
fn all_who_ask_see_one_session() {
    block_on(async {
        async fn hook(request: &mut demijohn_web::Request) -> Result<()> {
            Session::of(request)?.insert("basket", "tea").await
        }
        async fn twice(first: Session, second: Session) -> Result<String> {
            let (a, b) = (first.get::<String>("basket"), second.get::<String>("basket"));
            let seen = format!("{:?} {:?}", a.await?, b.await?);
            first.insert("basket", "rum").await?;
            Ok(format!("{seen} {:?}", second.get::<String>("basket").await?))
        }
        let site = Application::new()
            .with(SessionSupport)
            .before(hook)
            .route("/", get(twice));
        let memory = Memory::default();
        let client = client_of(site, &memory, &clock());
        assert_eq!(
            client.get("/").await.text(),
            "Some(\"tea\") Some(\"tea\") Some(\"rum\")"
        );
        assert_eq!((memory.len(), memory.steps()), (1, 1));
    });
}

#[test]
fn a_cookie_of_a_session_is_in_no_cache() {
    block_on(async {
        let site = site().route(
            "/public",
            get(async |session: Session| {
                session.insert("basket", "tea").await?;
                Result::<_>::Ok((StatusCode::OK, [("cache-control", "public, max-age=600")], "page"))
            }),
        );
        let client = client_of(site, &Memory::default(), &clock());
        let answer = client.get("/public").await;
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    });
}

// Messages.

const PAGE: &str = "{% if messages %}{{ messages | length }}:{% for m in messages %}[{{ m.tags }}/{{ m.level }} {{ m }}]{% endfor %}{% endif %}";

fn with_messages() -> Application {
    Application::new()
        .with(SessionSupport)
        .templates(Folder::embedded(&[("page.html", PAGE)]))
        .route("/", get(async || render("page.html", context! {})))
        .route("/fail", get(async || render("nothing.html", context! {})))
        .route(
            "/save",
            post(async |messages: Messages| {
                messages.debug("for developers");
                messages.success("Saved <b>.");
                messages.add_tagged(demijohn_web::MessageLevel::Error, "Not all.", "loud");
                Redirect::to("/")
            }),
        )
        .route("/login", post(login))
        .route(
            "/many",
            post(async |messages: Messages| {
                for n in 0..100 {
                    messages.info(format!("{n} {}", "x".repeat(100)));
                }
                "ok"
            }),
        )
}

#[test]
fn a_message_is_shown_once() {
    covers!("flask.flash");
    block_on(async {
        let client = with_messages().test_client();
        assert_eq!(client.get("/").await.header("vary"), None);
        let saved = client.post("/save").await;
        assert_eq!(cookies(&saved).len(), 1);
        // A page that fails shows none, and takes none.
        assert_eq!(client.get("/fail").await.status(), 500);
        // Nor does who asks for no page.
        assert_eq!(client.head("/").await.status(), 200);
        let page = client.get("/").await;
        assert_eq!(page.text(), "2:[success/25 Saved &lt;b&gt;.][loud error/40 Not all.]");
        assert_eq!(page.header("cache-control"), Some("private, no-store"));
        assert_eq!(client.get("/").await.text(), "");
        assert_eq!(client.cookie("messages"), None);

        // Nobody else writes them, and they are of one session.
        client.post("/save").await;
        let written = client.cookie("messages").unwrap();
        let stranger = client.stranger();
        for forged in [
            written.replace('.', "x."),
            "W1syMCwiaGkiLCIiXV0.x".to_owned(),
            "x".to_owned(),
        ] {
            stranger.set_cookie("messages", forged);
            assert_eq!(stranger.get("/").await.text(), "");
        }
        client.post("/login").await;
        assert_eq!(
            client.get("/").await.text().chars().next(),
            Some('2'),
            "a login keeps what is to be said"
        );
        client.set_cookie("messages", written);
        assert_eq!(
            client.get("/").await.text(),
            "",
            "what was said to another session is not said here"
        );

        // There is only so much room.
        client.post("/many").await;
        let text = client.get("/").await.text().to_owned();
        assert!(text.contains("/20 99 x") && !text.contains("/20 0 x"), "{text}");
    });
}

#[test]
fn the_least_level_is_a_setting() {
    block_on(async {
        for (level, shown) in [("10", "3:"), ("20", "2:"), ("30", "1:")] {
            let client = with_settings(with_messages(), &[("MESSAGE_LEVEL", level)]);
            assert!(client.post("/save").follow().await.text().starts_with(shown), "{level}");
        }
    });
}

#[test]
fn a_signed_cookie_comes_back_as_it_was_or_not_at_all() {
    covers!("http.request.signed_cookie");
    block_on(async {
        use demijohn_web::signing::{SignError, signed_cookie};
        use demijohn_web::{Cookie, Request, Response};
        async fn set(request: &mut Request, mut response: Response) -> Result<Response> {
            for name in ["theme", "size"] {
                Cookie::signed(request, name, "d\u{e4}rk; \"x\"")?.set(&mut response)?;
            }
            Ok(response)
        }
        async fn read(request: &mut Request) -> Option<String> {
            let read: Result<String, SignError> = signed_cookie(request, "theme", Duration::from_secs(60));
            let or_default: String = signed_cookie(request, "theme", Duration::from_secs(60)).unwrap_or_default();
            Some(format!("{read:?} {or_default}"))
        }
        let mut site = Application::new()
            .route("/set", get(async || "").after(set))
            .route("/", get(async || "").before(read));
        let clock = Clock::stopped(SystemTime::now());
        site.site_mut().bag_mut().insert(clock.clone());
        let client = site.test_client();
        assert_eq!(client.get("/").await.text(), "Err(Missing) ");
        client.get("/set").await;
        assert_eq!(
            client.get("/").await.text(),
            "Ok(\"d\u{e4}rk; \\\"x\\\"\") d\u{e4}rk; \"x\""
        );
        let written = client.cookie("theme").unwrap();
        for tampered in [
            written.replacen('.', "x.", 1),
            format!("{written}x"),
            client.cookie("size").unwrap(),
        ] {
            client.set_cookie("theme", tampered);
            assert_eq!(client.get("/").await.text(), "Err(BadSignature) ");
        }
        client.set_cookie("theme", written);
        clock.advance(Duration::from_secs(62));
        let old = client.get("/").await;
        assert!(old.text().starts_with("Err(Expired"), "{}", old.text());
    });
}

#[test]
fn every_template_has_what_the_site_says_of_the_request() {
    covers!(
        "flask.hooks.context_processor",
        "templates.engine.custom_processor",
        "http.shortcut.render",
        "flask.template.globals"
    );
    block_on(async {
        use demijohn_web::{Blueprint, Request};
        async fn basket_of(request: &mut Request) -> Result<Option<String>> {
            Session::of(request)?.get("basket").await
        }
        async fn brand(_: &mut Request) -> Result<&'static str> {
            Ok("Cellar")
        }
        async fn plain(error: &Error, _: &mut Request) -> (StatusCode, demijohn_web::page::Rendered) {
            (error.status(), render("page.html", context! { a => 0 }))
        }
        const PAGE: &str =
            "{{ request.path }} {{ url_for('home') }} {{ a }} {{ brand }}{% if basket %} <{{ basket }}>{% endif %}";
        let shop = Blueprint::new("shop")
            .template_value("brand", async |_: &mut Request| Ok("Shop"))
            .route(
                "/",
                get(async || (StatusCode::CREATED, render("page.html", context! { a => 1 }))),
            );
        let site = Application::new()
            .with(SessionSupport)
            .templates(Folder::embedded(&[("page.html", PAGE)]))
            .template_value("basket", basket_of)
            .template_value("brand", brand)
            .error_pages(plain)
            .route(
                "/",
                get(async || (StatusCode::CREATED, render("page.html", context! { a => 1 }))).name("home"),
            )
            .route(
                "/own",
                get(async || render("page.html", context! { a => 2, brand => "Mine" })),
            )
            .route("/basket", post(basket))
            .mount("/shop", shop);
        let client = site.test_client();
        let answer = client.get("/").await;
        assert_eq!((answer.status().as_u16(), answer.text()), (201, "/ / 1 Cellar"));
        put(&client, "t&a").await;
        assert_eq!(client.get("/").await.text(), "/ / 1 Cellar <t&amp;a>");
        assert_eq!(client.get("/own").await.text(), "/own / 2 Mine <t&amp;a>");
        assert_eq!(client.get("/shop/").await.text(), "/shop/ / 1 Shop <t&amp;a>");
        // Where no hook ran the name is there all the same.
        let refused = client.enforce_csrf().post("/basket").await;
        assert_eq!((refused.status().as_u16(), refused.text()), (403, "/basket / 0 None"));
    });
}

#[test]
fn an_expiry_of_nothing_is_nothing() {
    block_on(async {
        let (client, memory, _) = with_store();
        client
            .session(async |session| session.set_expiry(Expiry::WithBrowser).await)
            .await
            .unwrap();
        assert_eq!((memory.len(), client.cookie("sessionid")), (0, None));
    });
}

/// What clients make up in place of cookies: nothing of it is anybody's session, and none of it troubles the site.
#[test]
fn odd_cookies_are_nothing() {
    block_on(async {
        let site = || with_messages().route("/who", get(show)).route("/basket", post(basket));
        let on_server = client_of(site(), &Memory::default(), &clock());
        let mut state = 1_u64;
        let mut random = move |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for client in [site().test_client(), on_server] {
            client.post("/login").await;
            client.post("/save").await;
            let names = ["sessionid", "messages", "csrftoken", "__Host-sessionid"];
            let real: Vec<String> = names.iter().filter_map(|name| client.cookie(name)).collect();
            let alphabet: Vec<char> = "aA0.~=-_\"; ,%:{}\u{7f}".chars().filter(|c| !c.is_control()).collect();
            for _ in 0..500 {
                let mut value: Vec<char> = match random(3) {
                    0 => real[random(real.len())].chars().collect(),
                    _ => (0..random(60)).map(|_| alphabet[random(alphabet.len())]).collect(),
                };
                for _ in 0..=random(3) {
                    let at = random(value.len() + 1);
                    match random(3) {
                        0 => value.insert(at, alphabet[random(alphabet.len())]),
                        1 => value.truncate(at),
                        _ if at < value.len() => value[at] = alphabet[random(alphabet.len())],
                        _ => {}
                    }
                }
                let value: String = value.into_iter().collect();
                if real.iter().any(|real| value.contains(real.as_str())) {
                    continue;
                }
                let stranger = client.stranger();
                let cookie = format!("{}={value}", names[random(names.len())]);
                for path in ["/who", "/"] {
                    let answer = stranger.get(path).header("cookie", &cookie).await;
                    let text = answer.text();
                    assert_eq!(answer.status(), 200, "{cookie}");
                    assert!(text == "/" || text.is_empty(), "{cookie}: {text}");
                }
                let answer = stranger.enforce_csrf().post("/basket").header("cookie", &cookie).await;
                assert_eq!(answer.status(), 403, "{cookie}");
            }
        }
    });
}

#[test]
fn sockets_and_events_end_with_their_session() {
    use demijohn_web::{Events, WebSocket, WebSocketUpgrade};
    async fn follow(session: Session) -> Result<Events> {
        let who = session.principal_id().await?.unwrap_or_else(|| "nobody".into());
        Ok(Events::write(async move |out| {
            out.send(who).await?;
            std::future::pending().await
        }))
    }
    async fn listen(session: Session, upgrade: WebSocketUpgrade) -> Result<Response> {
        if session.principal_id().await?.is_none() {
            return Err(Error::unauthorized("log in first"));
        }
        Ok(upgrade.on_upgrade(async |mut socket: WebSocket| {
            socket.send("hello").await?;
            while socket.recv().await?.is_some() {}
            Ok(())
        }))
    }
    block_on(async {
        let app = site()
            .route("/listen", get(listen))
            .route("/follow", get(follow))
            .setting("SESSION_RECHECK_SECONDS", 1);
        let memory = Memory::default();
        let client = client_of(app, &memory, &clock());
        let other = client.stranger();
        assert_eq!(client.websocket("/listen").refused().await.status(), 401);
        client.post("/login").await;
        other.post("/login").await;
        let mut here = client.websocket("/listen").await;
        let mut there = other.websocket("/listen").await;
        for socket in [&mut here, &mut there] {
            assert_eq!(socket.recv_text().await, "hello");
        }
        // A store that is out of reach for a moment ends nothing.
        memory.fail_at(1);
        while memory.steps() < 2 {
            assert!(here.is_silent(Duration::from_millis(100)).await);
        }
        let (events, _) = tokio::join!(async { client.get("/follow").await }, async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            client.post("/logout").await
        });
        assert_eq!(events.text(), "data: 7\n\n");
        let close = here.recv_close().await;
        assert_eq!((close.code, close.reason.as_str()), (1008, "the session has ended"));
        assert!(there.is_silent(Duration::from_millis(1_500)).await);
        client.post("/login").await;
        client.post("/end-others").await;
        assert_eq!(there.recv_close().await.code, 1008);
    });
}

#[test]
fn an_age_that_never_comes_is_told() {
    for (age, told) in [("2592000", 0), ("31536000", 1)] {
        let ready = site()
            .build(Sources::none().var("SESSION_COOKIE_AGE", age))
            .ok()
            .unwrap();
        let found = ready.program().checks.run(
            ready.site(),
            ready.settings(),
            &demijohn_core::check::Selection::default(),
        );
        let ours = found.iter().filter(|finding| finding.id == "sessions.W001");
        assert_eq!(ours.count(), told, "{age}");
    }
}
