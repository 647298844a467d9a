//! The pages over notes: one's own to write and read, public ones for everybody to find.

use crate::accounts::{Viewer, to_login};
use crate::models::*;
use demijohn::prelude::*;
use serde::Deserialize;

/// Notes on one page of a list.
const PER_PAGE: u64 = 20;

pub(crate) fn blueprint() -> Blueprint {
    registered(Blueprint::new("notes"))
        .templates(templates!("templates"))
        .route("/", get(index))
        .route("/search/", get(search))
        .route("/notes/", get(own))
        .route("/notes/new/", get(new_form).post(create))
        .route("/notes/{id}/", get(note))
        .route("/notes/{id}/edit/", get(edit_form).post(change))
        .route("/notes/{id}/delete/", get(delete_form).post(remove))
        .route("/boom/", get(boom))
        .error_page(StatusCode::UNAUTHORIZED, to_login)
}

/// A note as pages show it.
#[derive(Context)]
struct Card {
    id: i64,
    text: String,
    url: String,
    public: bool,
    author: String,
    date: String,
}

impl Card {
    fn new(note: Note, author: &str) -> Card {
        Card {
            id: note.id,
            text: note.text,
            url: note.url,
            public: note.public,
            author: author.to_owned(),
            date: note.created_at.strftime("%-d %B %Y").to_string(),
        }
    }

    /// Of a note that came with its owner.
    fn with_owner(note: Note) -> Result<Card> {
        let author = note.owner.get()?.username.clone();
        Ok(Card::new(note, &author))
    }
}

fn name_of(viewer: Option<Viewer>) -> Option<String> {
    viewer.map(|Viewer(user)| user.username)
}

#[derive(Context)]
#[template("notes/index.html")]
struct Index {
    viewer: Option<String>,
    notes: Vec<Card>,
}

async fn index(viewer: Option<Viewer>, db: Db) -> Result<Page<Index>> {
    let notes = public_notes().limit(5).all(&db).await?;
    Ok(Page(Index {
        viewer: name_of(viewer),
        notes: notes.into_iter().map(Card::with_owner).collect::<Result<_>>()?,
    }))
}

fn public_notes() -> QuerySet<Note> {
    Note::objects()
        .filter(|n| n.public.eq(true) & n.owner().is_active.eq(true))
        .select_related(|n| n.owner())
        .order_by(|n| (n.created_at.desc(), n.id.desc()))
}

#[derive(Context)]
#[template("notes/search.html")]
struct Found {
    viewer: Option<String>,
    q: String,
    notes: Vec<Card>,
    pager: Pager,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Search {
    q: String,
    page: Option<u64>,
}

async fn search(Query(Search { q, page }): Query<Search>, viewer: Option<Viewer>, db: Db) -> Result<Page<Found>> {
    let wanted = q.trim();
    let found = public_notes().filter(|n| n.text.icontains(wanted) | n.url.icontains(wanted));
    let pager = Pager::new(page, found.clone().count(&db).await?)?;
    let notes = pager.cut(found).all(&db).await?;
    Ok(Page(Found {
        viewer: name_of(viewer),
        notes: notes.into_iter().map(Card::with_owner).collect::<Result<_>>()?,
        pager,
        q,
    }))
}

/// The pages of a list: which one this is, and which lie beside it.
#[derive(Context)]
pub(crate) struct Pager {
    number: u64,
    total: u64,
    previous: Option<u64>,
    next: Option<u64>,
}

impl Pager {
    /// Page `number`, the first without one, of a list of `total`.
    pub(crate) fn new(number: Option<u64>, total: i64) -> Result<Pager> {
        let total = u64::try_from(total).unwrap_or(0);
        let last = total.div_ceil(PER_PAGE).max(1);
        let number = number.unwrap_or(1);
        if number == 0 || number > last {
            return Err(Error::not_found("There is no such page."));
        }
        Ok(Pager {
            number,
            total,
            previous: (number > 1).then(|| number - 1),
            next: (number < last).then(|| number + 1),
        })
    }

    pub(crate) fn cut(&self, list: QuerySet<Note>) -> QuerySet<Note> {
        list.limit(PER_PAGE).offset((self.number - 1) * PER_PAGE)
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn previous(&self) -> Option<u64> {
        self.previous
    }

    pub(crate) fn next(&self) -> Option<u64> {
        self.next
    }
}

#[derive(Context)]
#[template("notes/list.html")]
struct List {
    viewer: Option<String>,
    notes: Vec<Card>,
    pager: Pager,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct PageNumber {
    pub(crate) page: Option<u64>,
}

async fn own(Viewer(user): Viewer, Query(wanted): Query<PageNumber>, db: Db) -> Result<Page<List>> {
    let notes = user.notes().order_by(|n| (n.created_at.desc(), n.id.desc()));
    let pager = Pager::new(wanted.page, notes.clone().count(&db).await?)?;
    let notes = pager.cut(notes).all(&db).await?;
    Ok(Page(List {
        notes: notes.into_iter().map(|note| Card::new(note, &user.username)).collect(),
        viewer: Some(user.username),
        pager,
    }))
}

/// The viewer's own note of this id. That of somebody else is not there, whether it is public or not.
pub(crate) async fn own_note(Viewer(user): &Viewer, id: i64, db: &Db) -> Result<Note> {
    get_or_404(Note::objects().filter(|n| n.id.eq(id) & n.owner.eq(user)), db).await
}

#[derive(Context)]
#[template("notes/note.html")]
struct NotePage {
    viewer: Option<String>,
    note: Card,
}

async fn note(Path(id): Path<i64>, viewer: Viewer, db: Db) -> Result<Page<NotePage>> {
    let note = own_note(&viewer, id, &db).await?;
    Ok(Page(NotePage {
        note: Card::new(note, &viewer.0.username),
        viewer: Some(viewer.0.username),
    }))
}

#[derive(Context)]
#[template("notes/form.html")]
struct FormPage {
    viewer: Option<String>,
    /// The note that is changed; 0 for a new one.
    id: i64,
    text: String,
    url: String,
    public: bool,
    text_fault: String,
    url_fault: String,
}

/// The form of a note, as it comes from the browser.
#[derive(Default, Deserialize)]
#[serde(default)]
struct NoteForm {
    text: String,
    url: String,
    public: String,
}

impl NoteForm {
    /// A box that is ticked sends a value, and one that is not sends nothing.
    fn public(&self) -> bool {
        !self.public.is_empty()
    }

    /// The page again, with what was wrong, unless nothing was.
    fn page_if_faulty(&self, Viewer(user): &Viewer, id: i64) -> Option<Page<FormPage>> {
        let faults = faults(&self.text, &self.url);
        let of = |name| {
            let fault = faults.iter().find(|(field, _)| *field == name);
            fault.map(|(_, message)| (*message).to_owned()).unwrap_or_default()
        };
        let page = FormPage {
            viewer: Some(user.username.clone()),
            id,
            text: self.text.clone(),
            url: self.url.clone(),
            public: self.public(),
            text_fault: of("text"),
            url_fault: of("url"),
        };
        (!faults.is_empty()).then_some(Page(page))
    }
}

async fn new_form(Viewer(user): Viewer) -> Page<FormPage> {
    Page(FormPage {
        viewer: Some(user.username),
        id: 0,
        text: String::new(),
        url: String::new(),
        public: false,
        text_fault: String::new(),
        url_fault: String::new(),
    })
}

async fn create(
    viewer: Viewer,
    Form(form): Form<NoteForm>,
    messages: Messages,
    db: Db,
) -> Result<Either<Redirect, Page<FormPage>>> {
    if let Some(page) = form.page_if_faulty(&viewer, 0) {
        return Ok(Either::Right(page));
    }
    let public = form.public();
    let note = new!(Note {
        owner: &viewer.0,
        text: form.text,
        url: form.url,
        public
    })
    .save(&db)
    .await?;
    messages.success("Kept.");
    Ok(Either::Left(Redirect::route(self::note, (note.id,)).see_other()))
}

async fn edit_form(Path(id): Path<i64>, viewer: Viewer, db: Db) -> Result<Page<FormPage>> {
    let note = own_note(&viewer, id, &db).await?;
    Ok(Page(FormPage {
        viewer: Some(viewer.0.username),
        id,
        text: note.text,
        url: note.url,
        public: note.public,
        text_fault: String::new(),
        url_fault: String::new(),
    }))
}

async fn change(
    Path(id): Path<i64>,
    viewer: Viewer,
    Form(form): Form<NoteForm>,
    messages: Messages,
    db: Db,
) -> Result<Either<Redirect, Page<FormPage>>> {
    let mut note = own_note(&viewer, id, &db).await?;
    if let Some(page) = form.page_if_faulty(&viewer, id) {
        return Ok(Either::Right(page));
    }
    let public = form.public();
    let (text, url) = (form.text.as_str(), form.url.as_str());
    note.update(&db, |n| (n.text.set(text), n.url.set(url), n.public.set(public)))
        .await?;
    messages.success("Changed.");
    Ok(Either::Left(Redirect::route(self::note, (id,)).see_other()))
}

#[derive(Context)]
#[template("notes/delete.html")]
struct DeletePage {
    viewer: Option<String>,
    note: Card,
}

async fn delete_form(Path(id): Path<i64>, viewer: Viewer, db: Db) -> Result<Page<DeletePage>> {
    let note = own_note(&viewer, id, &db).await?;
    Ok(Page(DeletePage {
        note: Card::new(note, &viewer.0.username),
        viewer: Some(viewer.0.username),
    }))
}

async fn remove(Path(id): Path<i64>, viewer: Viewer, messages: Messages, db: Db) -> Result<Redirect> {
    own_note(&viewer, id, &db).await?.delete(&db).await?;
    messages.success("The note is gone.");
    Ok(Redirect::route(own, ()).see_other())
}

/// What a visitor sees of a fault of the site: start it with `DEMO_BOOM=1` and look.
async fn boom(State(settings): State<demijohn::Settings>) -> Result<Html<String>> {
    if !settings.get::<bool>("DEMO_BOOM")? {
        return Err(Error::not_found("There is nothing here."));
    }
    panic!("boom: raised on purpose, as DEMO_BOOM is set");
}
