//! Sites that read whatever requests may carry.

use crate::conditional;
use crate::test::TestClient;
use crate::{
    Accept, Application, Authorization, Cookies, File, Form, Json, LastEventId, Pairs, Path, Query, Request, Response,
    Signed, Slug, get, post,
};
use demijohn_core::Configure;
use std::collections::BTreeMap;
use std::sync::OnceLock;

type Map<T> = BTreeMap<String, T>;

/// One that reads as much as can be read, and one that first asks who sends it.
pub(super) fn clients() -> &'static [TestClient] {
    static CLIENTS: OnceLock<Vec<TestClient>> = OnceLock::new();
    CLIENTS.get_or_init(|| {
        let proxied = site()
            .setting("TRUSTED_PROXIES", ["*"])
            .setting("USE_FORWARDED", true)
            .setting("USE_X_FORWARDED_HOST", true)
            .setting("USE_X_FORWARDED_PORT", true);
        #[cfg(feature = "sessions")]
        let proxied = {
            use demijohn_core::Assemble;
            proxied.with(crate::session::SessionSupport).route(
                "/session",
                get(async |session: crate::Session| {
                    let seen: Option<u32> = session.get("seen").await?;
                    session.insert("seen", seen.unwrap_or_default().wrapping_add(1)).await?;
                    Ok::<_, crate::Error>(session.principal_id().await?.unwrap_or_default())
                }),
            )
        };
        vec![site().test_client(), proxied.test_client()]
    })
}

fn site() -> Application {
    let site = Application::new()
        .setting("DEBUG", false)
        .setting("SECRET_KEY", "the key of a site that only fuzzers ever see, 0123456789")
        .setting("ALLOWED_HOSTS", ["localhost", ".example.org"])
        .setting(
            "CORS_ALLOWED_ORIGINS",
            ["https://app.example.org", "https://*.shop.example.org"],
        )
        .route("/", get(async || "a page ".repeat(50)))
        .after(async |request: &mut Request, response: Response| conditional::apply(request, response))
        .route("/whole/{n}", get(async |Path(n): Path<u8>| n.to_string()))
        .route("/signed/{n}", get(async |Path(n): Path<Signed<i64>>| n.0.to_string()))
        .route("/number/{n}", get(async |Path(n): Path<f64>| n.to_string()))
        .route("/slug/{slug}/", get(async |Path(slug): Path<Slug>| slug.to_string()))
        .route("/text/{text}/", get(async |Path(text): Path<String>| text))
        .route("/rest/{*rest}", get(async |Path(rest): Path<String>| rest))
        .route(
            "/two/a{a}-b",
            get(async |Path(a): Path<i16>, query: Option<Query<Map<f32>>>| format!("{a} {query:?}")),
        )
        .route(
            "/query",
            get(async |Query(query): Query<Map<f64>>| format!("{query:?}")),
        )
        .route("/pairs", get(async |Query(pairs): Query<Pairs>| format!("{pairs:?}")))
        .route("/accept", get(async |accept: Accept| format!("{accept:?}")))
        .route(
            "/who",
            get(
                async |who: Authorization, cookies: Cookies, last: Option<LastEventId>| {
                    format!("{who:?} {cookies:?} {last:?}")
                },
            ),
        )
        .route(
            "/file",
            get(async || File::of_bytes("a.txt", vec![b'x'; 1000]).attachment("a.txt")),
        )
        .route("/json", post(async |Json(list): Json<Vec<i64>>| format!("{list:?}")))
        .route(
            "/values",
            post(async |Json(value): Json<serde_json::Value>| Json(value)),
        )
        .route(
            "/form",
            post(async |Form(form): Form<Map<Vec<String>>>| format!("{form:?}")),
        )
        .route("/body", post(async |body: String| body));
    #[cfg(feature = "multipart")]
    let site = site.route("/files", post(async |files: crate::Files| files.len().to_string()));
    #[cfg(feature = "websocket")]
    let site = site.route(
        "/socket",
        get(async |upgrade: crate::WebSocketUpgrade| {
            upgrade.on_upgrade(async |mut socket: crate::WebSocket| {
                while let Some(message) = socket.recv().await? {
                    socket.send(message).await?;
                }
                Ok(())
            })
        }),
    );
    site
}
