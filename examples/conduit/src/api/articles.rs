//! Articles: lists, the feed, one article, and liking it.

use super::input::Window;
use super::profiles::Profile;
use super::{Input, Refusal, Token};
use crate::models::*;
use crate::slug::slug;
use demijohn::prelude::*;
use demijohn::web::{Parameter, Place, Rejection};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;

const TITLE_CHARS: usize = 255;
const DESCRIPTION_CHARS: usize = 10_000;
const BODY_CHARS: usize = 1_000_000;
const TAGS: usize = 100;
const TAG_CHARS: usize = 100;

/// An article with its author and tags loaded, and how many like it.
pub(crate) type Row = (Article, i64);

fn whole(articles: QuerySet<Article>) -> QuerySet<Article, Row> {
    articles
        .select_related(|a| a.author())
        .prefetch_related(|a| a.tags().only(|tags| tags.order_by(|t| t.name.asc())))
        .annotate(|a| a.fans().count())
}

/// `?tag=`, `?author=` and `?favorited=`; an empty one asks for nothing.
pub(crate) struct Filters {
    tag: Option<String>,
    author: Option<String>,
    favorited: Option<String>,
}

impl Extract for Filters {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let read = |name| {
            request
                .query_value(name)
                .filter(|v| !v.is_empty())
                .map(|v| v.into_owned())
        };
        Ok(Filters {
            tag: read("tag"),
            author: read("author"),
            favorited: read("favorited"),
        })
    }

    fn describe(operation: &mut demijohn::web::Operation) {
        for name in ["tag", "author", "favorited"] {
            operation.parameters.push(Parameter {
                name: name.to_owned(),
                place: Place::Query,
                required: false,
                schema_type: "string",
                format: "",
            });
        }
    }
}

pub(crate) async fn list(filters: Filters, window: Window, viewer: Option<Token>, db: Db) -> Result<Value> {
    let mut articles = Article::objects();
    if let Some(tag) = filters.tag {
        articles = articles.filter(|a| a.tags().any(|t| t.name.eq(tag)));
    }
    if let Some(author) = filters.author {
        articles = articles.filter(|a| a.author().username.eq(author));
    }
    if let Some(name) = filters.favorited {
        articles = articles.filter(|a| a.fans().any(|u| u.username.eq(name)));
    }
    page(&db, articles, window, viewer.map(|Token(user)| user)).await
}

pub(crate) async fn feed(window: Window, Token(viewer): Token, db: Db) -> Result<Value> {
    let articles = Article::objects().filter(|a| a.author().followers().any(|u| u.id.eq(viewer.id)));
    page(&db, articles, window, Some(viewer)).await
}

pub(crate) async fn article(Path(slug): Path<String>, viewer: Option<Token>, db: Db) -> Result<Value> {
    one(&db, &slug, viewer.map(|Token(user)| user)).await
}

pub(crate) async fn create(Token(author): Token, input: Input, db: Db) -> Result<(StatusCode, Value)> {
    let mut fields = input.object("article")?;
    let title = fields.required("title", TITLE_CHARS);
    let description = fields.required("description", DESCRIPTION_CHARS);
    let body = fields.required("body", BODY_CHARS);
    let tags = fields.names("tagList", TAGS, TAG_CHARS);
    fields.finish()?;

    let mut slug = free_slug(&db, &title, None).await?;
    let tags = tags.unwrap_or_default();
    loop {
        let draft = new!(Article {
            slug: slug.as_str(),
            title: title.as_str(),
            description: description.as_str(),
            body: body.as_str(),
            author: &author,
        });
        let tags = tags.clone();
        let saved = db
            .atomic(|db| async move {
                let article = draft.save(&db).await?;
                set_tags(&db, &article, tags).await
            })
            .await;
        match saved {
            Ok(()) => break,
            // Somebody took the slug between our look and our write.
            Err(error) if is_taken_slug(&error) => slug = distinct(&slug),
            Err(error) => return Err(error),
        }
    }
    Ok((StatusCode::CREATED, one(&db, &slug, Some(author)).await?))
}

pub(crate) async fn change(Path(slug): Path<String>, Token(viewer): Token, input: Input, db: Db) -> Result<Value> {
    let mut article = owned(&db, &slug, &viewer).await?;
    let mut fields = input.object("article")?;
    let title = fields.changed("title", TITLE_CHARS);
    let description = fields.changed("description", DESCRIPTION_CHARS);
    let body = fields.changed("body", BODY_CHARS);
    let tags = fields.names("tagList", TAGS, TAG_CHARS);
    fields.finish()?;

    // The address follows the title, and stays when the title does.
    let mut slug = match &title {
        Some(title) if *title != article.title => free_slug(&db, title, Some(article.id)).await?,
        _ => article.slug.clone(),
    };
    let a = Article::fields();
    // Later than before also in the milliseconds that clients see, however soon the change follows the last one.
    let later = article.updated_at.checked_add(Duration::from_millis(1));
    let updated_at = DateTime::now().max(later.unwrap_or(article.updated_at));
    loop {
        let mut sets = vec![a.slug.set(slug.as_str()), a.updated_at.set(updated_at)];
        sets.extend(title.as_deref().map(|title| a.title.set(title)));
        sets.extend(description.as_deref().map(|description| a.description.set(description)));
        sets.extend(body.as_deref().map(|body| a.body.set(body)));
        let tags = tags.clone();
        let article = &mut article;
        let saved = db
            .atomic(|db| async move {
                article.update(&db, |_| sets).await?;
                match tags {
                    Some(tags) => set_tags(&db, article, tags).await,
                    None => Ok(()),
                }
            })
            .await;
        match saved {
            Ok(()) => return one(&db, &slug, Some(viewer)).await,
            Err(error) if is_taken_slug(&error) => slug = distinct(&slug),
            Err(error) => return Err(error),
        }
    }
}

pub(crate) async fn delete(Path(slug): Path<String>, Token(viewer): Token, db: Db) -> Result<StatusCode> {
    let article = owned(&db, &slug, &viewer).await?;
    article.delete(&db).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn favorite(Path(slug): Path<String>, Token(viewer): Token, db: Db) -> Result<Value> {
    let article = find(&db, &slug).await?;
    viewer.favorites().add(&db, [&article]).await?;
    one(&db, &slug, Some(viewer)).await
}

pub(crate) async fn unfavorite(Path(slug): Path<String>, Token(viewer): Token, db: Db) -> Result<Value> {
    let article = find(&db, &slug).await?;
    viewer.favorites().remove(&db, [&article]).await?;
    one(&db, &slug, Some(viewer)).await
}

/// The article of this slug, or 404.
pub(crate) async fn find(db: &Db, slug: &str) -> Result<Article> {
    let article = Article::objects().filter(|a| a.slug.eq(slug)).first(db).await?;
    article.ok_or_else(|| Refusal::not_found("article"))
}

/// The same, for its author alone.
async fn owned(db: &Db, slug: &str, viewer: &User) -> Result<Article> {
    let article = find(db, slug).await?;
    match article.author.id() == viewer.id {
        true => Ok(article),
        false => Err(Refusal::forbidden("article")),
    }
}

/// Makes these the tags of an article, and those that nobody used before.
async fn set_tags(db: &Db, article: &Article, names: Vec<String>) -> Result<()> {
    let mut tags = Vec::with_capacity(names.len());
    for name in names {
        let draft = new!(Tag { name: name.as_str() });
        let (tag, _) = Tag::objects().get_or_create(db, |t| t.name, draft).await?;
        tags.push(tag);
    }
    article.tags().set(db, &tags).await?;
    Ok(())
}

/// The title's slug, or one like it when another article has it.
async fn free_slug(db: &Db, title: &str, own: Option<i64>) -> Result<String> {
    let slug = slug(title);
    let others = Article::objects().exclude(|a| a.id.eq(own.unwrap_or(0)));
    // A place that a fixed address has is taken from the start.
    match slug == "feed" || others.filter(|a| a.slug.eq(slug.as_str())).exists(db).await? {
        true => Ok(distinct(&slug)),
        false => Ok(slug),
    }
}

/// The slug with six random letters and digits behind it.
fn distinct(slug: &str) -> String {
    use std::hash::{BuildHasher, RandomState};
    let mut random = RandomState::new().hash_one(slug);
    let mut text = format!("{slug}-");
    for _ in 0..6 {
        text.push(char::from(
            b"0123456789abcdefghijklmnopqrstuvwxyz"[(random % 36) as usize],
        ));
        random /= 36;
    }
    text
}

fn is_taken_slug(error: &Error) -> bool {
    let cause = error.downcast_ref::<demijohn::orm::Error>();
    cause.is_some_and(|cause| cause.is_unique() && cause.columns().iter().any(|column| column.ends_with("slug")))
}

/// An article as the API shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    slug: String,
    title: String,
    description: String,
    /// Left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    tag_list: Vec<String>,
    created_at: String,
    updated_at: String,
    favorited: bool,
    favorites_count: i64,
    author: Profile,
}

/// A moment as the API writes it: UTC, with milliseconds always.
pub(crate) fn time(moment: DateTime) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// What the viewer likes and follows among the articles at hand.
struct Eyes {
    favorites: HashSet<i64>,
    follows: HashSet<i64>,
}

impl Eyes {
    async fn of(viewer: Option<User>, rows: &[Row], db: &Db) -> Result<Eyes> {
        let Some(viewer) = viewer else {
            return Ok(Eyes {
                favorites: HashSet::new(),
                follows: HashSet::new(),
            });
        };
        let articles: Vec<i64> = rows.iter().map(|(article, _)| article.id).collect();
        let authors: Vec<i64> = rows.iter().map(|(article, _)| article.author.id()).collect();
        let (favorites, follows) = db
            .batch((
                viewer.favorites().filter(|a| a.id.in_(articles)).values(|a| a.id),
                viewer.follows().filter(|u| u.id.in_(authors)).values(|u| u.id),
            ))
            .await?;
        Ok(Eyes {
            favorites: favorites.into_iter().collect(),
            follows: follows.into_iter().collect(),
        })
    }

    fn view(&self, (article, fans): Row, with_body: bool) -> Result<View> {
        let author = article.author.get()?;
        Ok(View {
            author: Profile::new(author, self.follows.contains(&author.id)),
            tag_list: article.tags.get()?.iter().map(|tag| tag.name.clone()).collect(),
            favorited: self.favorites.contains(&article.id),
            favorites_count: fans,
            created_at: time(article.created_at),
            updated_at: time(article.updated_at),
            slug: article.slug,
            title: article.title,
            description: article.description,
            body: with_body.then_some(article.body),
        })
    }
}

async fn one(db: &Db, slug: &str, viewer: Option<User>) -> Result<Value> {
    let row = whole(Article::objects().filter(|a| a.slug.eq(slug))).first(db).await?;
    let row = row.ok_or_else(|| Refusal::not_found("article"))?;
    let eyes = Eyes::of(viewer, std::slice::from_ref(&row), db).await?;
    Ok(json!({ "article": eyes.view(row, true)? }))
}

async fn page(db: &Db, articles: QuerySet<Article>, window: Window, viewer: Option<User>) -> Result<Value> {
    let count = articles.clone().count(db).await?;
    let rows = whole(articles)
        .order_by(|a| (a.created_at.desc(), a.id.desc()))
        .limit(window.limit)
        .offset(window.offset)
        .all(db)
        .await?;
    let eyes = Eyes::of(viewer, &rows, db).await?;
    let views = rows
        .into_iter()
        .map(|row| eyes.view(row, false))
        .collect::<Result<Vec<View>>>()?;
    Ok(json!({"articles": views, "articlesCount": count}))
}
