//! The seven tests of the TechEmpower framework benchmarks, through the ORM and the template engine.
//!
//! Rules: <https://github.com/TechEmpower/FrameworkBenchmarks/wiki/Project-Information-Framework-Tests-Overview>

mod count;
mod models;
mod random;

use count::{CachedCount, Queries};
use demijohn::Bag;
use demijohn::prelude::*;
use http::HeaderValue;
use http::header::SERVER;
use models::*;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The site.
pub fn app() -> App {
    App::new()
        .setting("DATABASE_URL", "sqlite://techempower.sqlite3")
        .models(models![World, Fortune])
        .templates(templates!("templates"))
        .state(WorldCache::default())
        .on_start(fill)
        .after(name_server)
        .web(|web| web.request_id_header(false))
        .route("/json", get(json))
        .route("/plaintext", get(plaintext))
        .route("/db", get(db))
        .route("/queries", get(queries))
        .route("/cached-queries", get(cached_queries))
        .route("/fortunes", get(fortunes))
        .route("/updates", get(updates))
}

/// The tests ask for a `Server` header; by itself the framework does not say what it is.
async fn name_server(_: &mut Request, mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(SERVER, HeaderValue::from_static("demijohn"));
    response
}

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

async fn json() -> Json<Message> {
    Json(Message {
        message: "Hello, World!",
    })
}

async fn plaintext() -> Text<&'static str> {
    Text("Hello, World!")
}

async fn db(db: Db) -> Result<Json<World>> {
    let id = random::up_to(WORLDS);
    Ok(Json(World::objects().filter(|w| w.id.eq(id)).get(&db).await?))
}

async fn queries(Queries(n): Queries, db: Db) -> Result<Json<Vec<World>>> {
    Ok(Json(read(&db, n).await?))
}

/// `n` rows, each by a query of its own, sent to the database together.
async fn read(db: &Db, n: usize) -> Result<Vec<World>> {
    let ids = random::different(n, WORLDS);
    let queries: Vec<_> = ids
        .into_iter()
        .map(|id| World::objects().filter(|w| w.id.eq(id)))
        .collect();
    let rows = db.batch(queries).await?;
    rows.into_iter()
        .map(|mut rows| {
            rows.pop()
                .ok_or_else(|| Error::internal("a world is missing: delete the database to have it filled anew"))
        })
        .collect()
}

async fn updates(Queries(n): Queries, db: Db) -> Result<Json<Vec<World>>> {
    let mut worlds = read(&db, n).await?;
    for world in &mut worlds {
        world.random_number = random::up_to(WORLDS);
    }
    let drafts = worlds.iter().map(|world| {
        new!(World {
            id: world.id,
            random_number: world.random_number
        })
    });
    // All rows in one statement, and so in one transaction.
    World::objects()
        .bulk_create(drafts)
        .on_conflict(|w| w.id)
        .update(|w| w.random_number)
        .save(&db)
        .await?;
    Ok(Json(worlds))
}

/// Rows by id, read once.
#[derive(Default)]
struct WorldCache(OnceCell<Vec<World>>);

async fn cached_queries(
    CachedCount(n): CachedCount,
    State(cache): State<WorldCache>,
    db: Db,
) -> Result<Json<Vec<World>>> {
    let all = cache
        .0
        .get_or_try_init(async || World::objects().order_by(|w| w.id.asc()).all(&db).await)
        .await?;
    let ids = random::different(n, WORLDS);
    Ok(Json(
        ids.into_iter()
            .filter_map(|id| all.get(id as usize - 1).cloned())
            .collect(),
    ))
}

#[derive(Context)]
#[template("fortunes.html")]
struct Fortunes {
    fortunes: Vec<Saying>,
}

/// A row of the page.
#[derive(Context)]
struct Saying {
    id: i64,
    message: String,
}

async fn fortunes(db: Db) -> Result<Page<Fortunes>> {
    let rows = Fortune::objects().all(&db).await?;
    let mut fortunes: Vec<Saying> = rows
        .into_iter()
        .map(|row| Saying {
            id: row.id,
            message: row.message,
        })
        .collect();
    fortunes.push(Saying {
        id: 0,
        message: "Additional fortune added at request time.".to_owned(),
    });
    fortunes.sort_by(|a, b| a.message.cmp(&b.message));
    Ok(Page(Fortunes { fortunes }))
}

/// Creates and fills what is empty.
async fn fill(site: Arc<Bag>) -> Result<()> {
    let Some(db) = site.get::<Db>() else { return Ok(()) };
    if !World::objects().exists(db).await? {
        let worlds = (1..=WORLDS).map(|id| {
            new!(World {
                id,
                random_number: random::up_to(WORLDS)
            })
        });
        World::objects().bulk_create(worlds).save(db).await?;
    }
    if !Fortune::objects().exists(db).await? {
        let fortunes = (1..)
            .zip(FORTUNES)
            .map(|(id, message)| new!(Fortune { id, message: *message }));
        Fortune::objects().bulk_create(fortunes).save(db).await?;
    }
    Ok(())
}
