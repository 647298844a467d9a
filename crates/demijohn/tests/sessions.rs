//! Sessions of a furnished site, in its database.
#![cfg(feature = "site")]
#![allow(clippy::unwrap_used, missing_docs)]

use demijohn::command::call_command;
use demijohn::prelude::*;
use demijohn::sessions::Session as Row;
use demijohn::test::{Sources, TestClient, block_on};
use demijohn_covers::covers;

async fn show(session: Session) -> Result<String> {
    let who = session.principal_id().await?.unwrap_or_default();
    let basket: Option<String> = session.get("basket").await?;
    Ok(format!("{who}/{}", basket.unwrap_or_default()))
}

async fn basket(session: Session, Form(form): Form<demijohn::Pairs>) -> Result<&'static str> {
    session.insert("basket", form.get("put").unwrap_or_default()).await?;
    Ok("put")
}

async fn login(session: Session, messages: Messages) -> Result<Redirect> {
    session.login(&Principal::new("7", "hash-of-7")).await?;
    messages.success("Welcome.");
    Ok(Redirect::to("/"))
}

async fn logout(session: Session) -> Result<Redirect> {
    session.logout().await?;
    Ok(Redirect::to("/"))
}

fn app() -> App {
    App::new()
        .route("/", get(show))
        .route("/basket", post(basket))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/token", get(async |token: CsrfToken| token.to_string()))
}

fn ready() -> demijohn::Ready {
    app()
        .build(Sources::none().var("DATABASE_URL", "sqlite::memory:"))
        .ok()
        .unwrap()
}

async fn rows(ready: &demijohn::Ready) -> usize {
    let db = ready.site().get::<Db>().unwrap();
    Row::objects().all(db).await.unwrap().len()
}

async fn token(client: &TestClient) -> String {
    client.get("/token").await.text().to_owned()
}

#[test]
fn a_session_is_a_row_that_ends_on_the_server() {
    covers!("sec.session_hijack", "auth.session.db", "sec.csrf_default");
    block_on(async {
        let ready = ready();
        let client = ready.test_client().enforce_csrf();
        // In a fresh project a form of nobody is refused.
        assert_eq!(client.post("/basket").form([("put", "tea")]).await.status(), 403);
        let early = token(&client).await;
        let put = client
            .post("/basket")
            .form([("put", "tea"), ("csrfmiddlewaretoken", &early)])
            .await;
        assert_eq!(put.text(), "put");
        let anonymous = client.cookie("sessionid").unwrap();
        let answer = client.post("/login").header("x-csrftoken", &early).await;
        assert_eq!(answer.status(), 302);
        let cookies: Vec<&str> = answer
            .headers()
            .get_all("set-cookie")
            .iter()
            .filter_map(|line| line.to_str().ok())
            .collect();
        assert!(
            cookies
                .iter()
                .all(|line| line.contains("HttpOnly") && line.contains("SameSite=Lax")),
            "{cookies:?}"
        );
        assert_ne!(client.cookie("sessionid").unwrap(), anonymous);
        assert_eq!(client.get("/").await.text(), "7/tea");
        assert_eq!(client.post("/logout").header("x-csrftoken", &early).await.status(), 403);

        let copy = client.stranger();
        copy.set_cookie("sessionid", client.cookie("sessionid").unwrap());
        assert_eq!(copy.get("/").await.text(), "7/tea");
        assert_eq!(rows(&ready).await, 1);
        let own = token(&client).await;
        assert_eq!(client.post("/logout").header("x-csrftoken", &own).await.status(), 302);
        assert_eq!(copy.get("/").await.text(), "/");
        assert_eq!(rows(&ready).await, 0);

        // By https the cookie is Secure, and of a name that only this host can give.
        let own = client.get("/token").https().await.text().to_owned();
        let answer = client.post("/login").https().header("x-csrftoken", &own).await;
        let cookie = answer.headers().get_all("set-cookie").iter();
        let cookie: Vec<&str> = cookie.filter_map(|line| line.to_str().ok()).collect();
        assert!(
            cookie
                .iter()
                .all(|line| line.starts_with("__Host-") && line.contains("; Secure; HttpOnly")),
            "{cookie:?}"
        );
        // A row that is deleted logs out.
        let db = ready.site().get::<Db>().unwrap();
        assert_eq!(client.get("/").https().await.text(), "7/");
        Row::objects()
            .filter(|row| row.principal.eq("7"))
            .delete(db)
            .await
            .unwrap();
        assert_eq!(client.get("/").https().await.text(), "/");
    });
}

#[test]
fn clearsessions_removes_what_is_over() {
    covers!("platform.cmd.clearsessions");
    block_on(async {
        let ready = ready();
        let client = ready.test_client();
        client.post("/login").await;
        client.stranger().post("/login").await;
        let db = ready.site().get::<Db>().unwrap();
        let past = DateTime::from_second(1_000_000_000).unwrap();
        Row::objects()
            .filter(|row| row.id.eq(1))
            .update(db, |row| row.expire_at.set(past))
            .await
            .unwrap();
        let done = call_command(ready.program(), ["clearsessions"]).await;
        assert!(done.stdout.starts_with("1 "), "{}", done.stdout);
        assert_eq!(rows(&ready).await, 1);
    });
}

#[test]
fn a_database_that_is_out_of_reach_is_a_503() {
    block_on(async {
        let ready = ready();
        let client = ready.test_client();
        client.post("/login").await;
        let db = ready.site().get::<Db>().unwrap();
        db.execute_script("ALTER TABLE demijohn_session RENAME TO gone")
            .await
            .unwrap();
        let answer = client.get("/").await;
        assert!(answer.status().is_server_error());
        assert_eq!(answer.header("set-cookie"), None);
        // Who has no session needs no database.
        assert_eq!(client.stranger().get("/").await.status(), 200);
        db.execute_script("ALTER TABLE gone RENAME TO demijohn_session")
            .await
            .unwrap();
        assert_eq!(client.get("/").await.text(), "7/");
    });
}
