//! What the templates are given: the words that a page shows, and nothing else of a row.

use super::PER_PAGE;
use super::pager::Pager;
use super::prose::minutes;
use crate::models::*;
use demijohn::prelude::*;

/// Somebody, as a face and a name.
#[derive(Clone, Context)]
pub(crate) struct Person {
    username: String,
    initial: String,
    /// One of five colours, the same on every page.
    tone: u32,
}

impl Person {
    pub(crate) fn new(user: &User) -> Self {
        let initial = user.username.chars().find(|c| c.is_alphanumeric()).unwrap_or('?');
        Person {
            username: user.username.clone(),
            tone: u32::from(initial) % 5,
            initial: initial.to_string(),
        }
    }
}

/// An article in a list.
#[derive(Context)]
pub(crate) struct Card {
    slug: String,
    title: String,
    description: String,
    author: Person,
    date: String,
    iso: String,
    minutes: usize,
    tags: Vec<String>,
    favorites: i64,
}

impl Card {
    /// Articles with what a card shows: the author, the tags, and how many like them.
    pub(crate) fn query(articles: QuerySet<Article>) -> QuerySet<Article, (Article, i64)> {
        articles
            .select_related(|a| a.author())
            .prefetch_related(|a| a.tags().only(|tags| tags.order_by(|t| t.name.asc())))
            .annotate(|a| a.fans().count())
    }

    /// The cards of one page of a list, newest first.
    pub(crate) async fn load(articles: QuerySet<Article>, pager: &Pager, db: &Db) -> Result<Vec<Card>> {
        let rows = pager
            .window(Card::query(articles), PER_PAGE)
            .order_by(|a| (a.created_at.desc(), a.id.desc()));
        rows.all(db).await?.iter().map(Card::new).collect()
    }

    pub(crate) fn new((article, favorites): &(Article, i64)) -> Result<Card> {
        Ok(Card {
            slug: article.slug.clone(),
            title: article.title.clone(),
            description: article.description.clone(),
            author: Person::new(article.author.get()?),
            date: date(article.created_at),
            iso: article.created_at.to_string(),
            minutes: minutes(&article.body),
            tags: article.tags.get()?.iter().map(|tag| tag.name.clone()).collect(),
            favorites: *favorites,
        })
    }
}

/// A comment.
#[derive(Context)]
pub(crate) struct Remark {
    body: String,
    author: Person,
    date: String,
    iso: String,
}

impl Remark {
    pub(crate) fn new(comment: &Comment) -> Result<Remark> {
        Ok(Remark {
            body: comment.body.clone(),
            author: Person::new(comment.author.get()?),
            date: date(comment.created_at),
            iso: comment.created_at.to_string(),
        })
    }
}

/// An article by its title alone.
#[derive(Context)]
pub(crate) struct Title {
    slug: String,
    title: String,
    date: String,
    iso: String,
}

impl Title {
    pub(crate) fn new((slug, title, created_at): (String, String, DateTime)) -> Title {
        Title {
            slug,
            title,
            date: date(created_at),
            iso: created_at.to_string(),
        }
    }
}

/// A tag and how many articles have it.
#[derive(Context)]
pub(crate) struct Weight {
    name: String,
    count: i64,
}

impl Weight {
    /// The tags that most articles have.
    pub(crate) async fn load(db: &Db, limit: u64) -> Result<Vec<Weight>> {
        let tags = Tag::objects()
            .filter(|t| t.articles().any(|a| a.id.gt(0)))
            .order_by(|t| (t.articles().count().desc(), t.name.asc()))
            .limit(limit)
            .values(|t| (t.name, t.articles().count()));
        let tags = tags.all(db).await?;
        Ok(tags.into_iter().map(|(name, count)| Weight { name, count }).collect())
    }
}

/// A day as people read it: `2 January 2026`.
fn date(moment: DateTime) -> String {
    moment.strftime("%-d %B %Y").to_string()
}
