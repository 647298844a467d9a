//! Pages to read by. They change nothing: whoever wants to write uses the API.

mod pager;
mod prose;
mod view;

use crate::models::*;
use demijohn::Settings;
use demijohn::prelude::*;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use pager::{PageNumber, Pager};
use std::sync::{Arc, LazyLock};
use view::{Card, Person, Remark, Title, Weight};

/// Articles on one page of a list.
const PER_PAGE: u64 = 10;

/// Everything that is no API.
pub fn blueprint() -> Blueprint {
    Blueprint::new("pages")
        .templates(templates!("templates"))
        .template_global("style_version", STYLE_VERSION.as_str())
        .route("/", get(index))
        .route("/tags", get(tags))
        .route("/tags/{tag}", get(tag))
        .route("/articles/{slug}", get(article))
        .route("/profiles/{username}", get(profile))
        .route("/profiles/{username}/favorites", get(favorites))
        .route("/about", get(about))
        .route("/assets/{version}/conduit.css", get(style))
        .route("/icon.svg", get(icon))
}

/// Errors of the whole site, as a page.
pub(crate) fn error(error: &Error) -> (StatusCode, Page<Lost>) {
    let (title, text) = match error.status() {
        StatusCode::NOT_FOUND => (
            "Nothing in this bottle",
            "The page that you are looking for is not here, or is no longer.",
        ),
        status if status.is_server_error() => (
            "Something broke",
            "It is not your fault. It has been written down; please try again in a while.",
        ),
        _ => ("That did not work", "The request could not be answered as it was sent."),
    };
    (error.status(), Page(Lost { title, text }))
}

#[derive(Context)]
#[template("conduit/error.html")]
pub(crate) struct Lost {
    title: &'static str,
    text: &'static str,
}

#[derive(Context)]
#[template("conduit/index.html")]
struct Index {
    articles: Vec<Card>,
    pager: Pager,
    tag: Option<String>,
    popular_tags: Vec<Weight>,
}

async fn index(number: PageNumber, db: Db) -> Result<Page<Index>> {
    list(Article::objects(), None, url_to(index, ())?, number, &db).await
}

async fn tag(Path(name): Path<String>, number: PageNumber, db: Db) -> Result<Page<Index>> {
    let here = url_to(tag, (name.as_str(),))?;
    let tag = Tag::objects().filter(|t| t.name.eq(name)).first(&db).await?;
    let tag = tag.ok_or_else(|| Error::not_found("no such tag"))?;
    let articles = Article::objects().filter(|a| a.tags().any(|t| t.id.eq(tag.id)));
    list(articles, Some(tag.name), here, number, &db).await
}

async fn list(
    articles: QuerySet<Article>,
    tag: Option<String>,
    here: String,
    number: PageNumber,
    db: &Db,
) -> Result<Page<Index>> {
    let pager = Pager::new(here, number, articles.clone().count(db).await?, PER_PAGE)?;
    let articles = Card::load(articles, &pager, db).await?;
    let popular_tags = Weight::load(db, 24).await?;
    Ok(Page(Index {
        articles,
        pager,
        tag,
        popular_tags,
    }))
}

#[derive(Context)]
#[template("conduit/tags.html")]
struct Tags {
    tags: Vec<Weight>,
}

async fn tags(db: Db) -> Result<Page<Tags>> {
    let tags = Weight::load(&db, 1000).await?;
    Ok(Page(Tags { tags }))
}

#[derive(Context)]
#[template("conduit/article.html")]
struct ArticlePage {
    article: Card,
    body: demijohn::template::Value,
    comments: Vec<Remark>,
    further: Vec<Title>,
}

async fn article(Path(slug): Path<String>, db: Db) -> Result<Page<ArticlePage>> {
    let row = Card::query(Article::objects().filter(|a| a.slug.eq(slug)))
        .first(&db)
        .await?;
    let row = row.ok_or_else(|| Error::not_found("no such article"))?;
    let comments = Comment::objects()
        .filter(|c| c.article.eq(&row.0))
        .select_related(|c| c.author())
        .order_by(|c| (c.created_at.asc(), c.id.asc()));
    let author = row.0.author.id();
    let further = Article::objects()
        .filter(|a| a.author().id.eq(author) & a.id.ne(row.0.id))
        .order_by(|a| a.created_at.desc())
        .limit(4)
        .values(|a| (a.slug, a.title, a.created_at));
    let (comments, further) = db.batch((comments, further)).await?;
    Ok(Page(ArticlePage {
        // Safe by construction: `prose::html` lets no markup of the author through.
        body: demijohn::template::Value::from_safe_string(prose::html(&row.0.body)),
        article: Card::new(&row)?,
        comments: comments.iter().map(Remark::new).collect::<Result<_>>()?,
        further: further.into_iter().map(Title::new).collect(),
    }))
}

#[derive(Context)]
#[template("conduit/profile.html")]
struct Profile {
    person: Person,
    bio: Option<String>,
    n_articles: i64,
    n_followers: i64,
    n_following: i64,
    favorites: bool,
    articles: Vec<Card>,
    pager: Pager,
}

async fn profile(Path(username): Path<String>, number: PageNumber, db: Db) -> Result<Page<Profile>> {
    let here = url_to(profile, (username.as_str(),))?;
    let user = find(&db, &username).await?;
    let articles = Article::objects().filter(|a| a.author.eq(&user));
    shelf(user, articles, false, here, number, &db).await
}

async fn favorites(Path(username): Path<String>, number: PageNumber, db: Db) -> Result<Page<Profile>> {
    let here = url_to(favorites, (username.as_str(),))?;
    let user = find(&db, &username).await?;
    let articles = Article::objects().filter(|a| a.fans().any(|u| u.id.eq(user.id)));
    shelf(user, articles, true, here, number, &db).await
}

async fn find(db: &Db, username: &str) -> Result<User> {
    let user = User::objects().filter(|u| u.username.eq(username)).first(db).await?;
    user.ok_or_else(|| Error::not_found("no such user"))
}

async fn shelf(
    user: User,
    articles: QuerySet<Article>,
    favorites: bool,
    here: String,
    number: PageNumber,
    db: &Db,
) -> Result<Page<Profile>> {
    let pager = Pager::new(here, number, articles.clone().count(db).await?, PER_PAGE)?;
    let articles = Card::load(articles, &pager, db).await?;
    Ok(Page(Profile {
        person: Person::new(&user),
        n_articles: user.articles().count(db).await?,
        n_followers: user.followers().count(db).await?,
        n_following: user.follows().count(db).await?,
        bio: user.bio,
        favorites,
        articles,
        pager,
    }))
}

#[derive(Context)]
#[template("conduit/about.html")]
struct About {
    origin: String,
    /// The admin answers in development alone.
    debug: bool,
}

async fn about(request: Here) -> Page<About> {
    Page(About {
        origin: request.origin,
        debug: request.debug,
    })
}

/// Where the visitor is: the address in the examples is the one that they used.
struct Here {
    origin: String,
    debug: bool,
}

impl Extract for Here {
    async fn extract(request: &mut Request) -> Result<Self, demijohn::web::Rejection> {
        let host = request.header("host").unwrap_or("127.0.0.1:8000");
        Ok(Here {
            origin: format!("http://{host}"),
            debug: request.provided::<Arc<Settings>>()?.debug(),
        })
    }
}

const STYLE: &str = include_str!("../../assets/conduit.css");

/// The sheet's address changes with its content, so that browsers may keep it for good.
static STYLE_VERSION: LazyLock<String> = LazyLock::new(|| {
    let hash = STYLE.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{hash:016x}")
});

async fn style(Path(version): Path<String>) -> Result<Response> {
    // Another version than ours is from another build: it is given ours, and told not to keep it.
    let keep = if version == *STYLE_VERSION {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    };
    asset("text/css; charset=utf-8", STYLE, keep)
}

async fn icon() -> Result<Response> {
    asset(
        "image/svg+xml",
        include_str!("../../assets/icon.svg"),
        "public, max-age=86400",
    )
}

fn asset(content_type: &str, text: &'static str, keep: &str) -> Result<Response> {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, content_type.try_into()?);
    response.headers_mut().insert(CACHE_CONTROL, keep.try_into()?);
    Ok(response)
}
