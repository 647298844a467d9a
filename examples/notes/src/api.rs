//! The same notes for programs, in JSON: for scripts of the site's own pages, so by its session's cookie.

use crate::accounts::Viewer;
use crate::models::*;
use crate::pages::{PageNumber, Pager, own_note};
use demijohn::prelude::*;
use demijohn::web::{Fault, Place, problem};
use serde::{Deserialize, Serialize};

pub(crate) fn blueprint() -> Blueprint {
    Blueprint::new("api")
        .route("/notes/", get(list).post(create))
        .route("/notes/{id}/", get(detail).put(replace).patch(change).delete(remove))
        .error_pages(in_json)
}

async fn in_json(error: &Error, _: &mut Request) -> Response {
    problem(error)
}

/// A note as programs see it.
#[derive(Serialize)]
struct View {
    id: i64,
    text: String,
    url: String,
    public: bool,
    created_at: DateTime,
    updated_at: DateTime,
}

impl From<Note> for View {
    fn from(note: Note) -> View {
        View {
            id: note.id,
            text: note.text,
            url: note.url,
            public: note.public,
            created_at: note.created_at,
            updated_at: note.updated_at,
        }
    }
}

#[derive(Serialize)]
struct Listed {
    count: u64,
    next: Option<String>,
    previous: Option<String>,
    results: Vec<View>,
}

async fn list(Viewer(user): Viewer, Query(wanted): Query<PageNumber>, db: Db) -> Result<Json<Listed>> {
    let notes = user.notes().order_by(|n| (n.created_at.desc(), n.id.desc()));
    let pager = Pager::new(wanted.page, notes.clone().count(&db).await?)?;
    let notes = pager.cut(notes).all(&db).await?;
    let link = |page: u64| format!("/api/notes/?page={page}");
    Ok(Json(Listed {
        count: pager.total(),
        next: pager.next().map(link),
        previous: pager.previous().map(link),
        results: notes.into_iter().map(View::from).collect(),
    }))
}

async fn detail(Path(id): Path<i64>, viewer: Viewer, db: Db) -> Result<Json<View>> {
    Ok(Json(own_note(&viewer, id, &db).await?.into()))
}

/// What a client may say of a note. All else is the site's to say, and is left aside.
#[derive(Deserialize)]
struct Input {
    text: Option<String>,
    url: Option<String>,
    public: Option<bool>,
}

fn check(text: &str, url: &str) -> Result<()> {
    let faults = faults(text, url);
    if faults.is_empty() {
        return Ok(());
    }
    let faults = faults
        .into_iter()
        .map(|(field, message)| Fault::new(Place::Body, field, message));
    Err(Error::bad_request("The note is not as it has to be.").with_faults(faults.collect()))
}

async fn create(
    viewer: Viewer,
    Json(input): Json<Input>,
    db: Db,
) -> Result<(StatusCode, [(&'static str, String); 1], Json<View>)> {
    let (text, url) = (input.text.unwrap_or_default(), input.url.unwrap_or_default());
    check(&text, &url)?;
    let public = input.public.unwrap_or(false);
    let note = new!(Note {
        owner: &viewer.0,
        text,
        url,
        public
    })
    .save(&db)
    .await?;
    let location = url_to(detail, (note.id,))?;
    Ok((StatusCode::CREATED, [("location", location)], Json(note.into())))
}

async fn replace(Path(id): Path<i64>, viewer: Viewer, Json(input): Json<Input>, db: Db) -> Result<Json<View>> {
    let note = own_note(&viewer, id, &db).await?;
    let whole = Input {
        text: Some(input.text.unwrap_or_default()),
        url: Some(input.url.unwrap_or_default()),
        public: Some(input.public.unwrap_or(false)),
    };
    set(note, whole, &db).await
}

async fn change(Path(id): Path<i64>, viewer: Viewer, Json(input): Json<Input>, db: Db) -> Result<Json<View>> {
    let note = own_note(&viewer, id, &db).await?;
    set(note, input, &db).await
}

async fn set(mut note: Note, input: Input, db: &Db) -> Result<Json<View>> {
    let text = input.text.unwrap_or_else(|| note.text.clone());
    let url = input.url.unwrap_or_else(|| note.url.clone());
    let public = input.public.unwrap_or(note.public);
    check(&text, &url)?;
    note.update(db, |n| {
        (n.text.set(text.as_str()), n.url.set(url.as_str()), n.public.set(public))
    })
    .await?;
    Ok(Json(note.into()))
}

async fn remove(Path(id): Path<i64>, viewer: Viewer, db: Db) -> Result<StatusCode> {
    own_note(&viewer, id, &db).await?.delete(&db).await?;
    Ok(StatusCode::NO_CONTENT)
}
