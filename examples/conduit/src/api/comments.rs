//! Remarks under articles.

use super::articles::{find, time};
use super::profiles::Profile;
use super::{Input, Refusal, Token};
use crate::models::*;
use demijohn::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;

const BODY_CHARS: usize = 20_000;

/// The comments of an article, newest first.
pub(crate) async fn list(Path(slug): Path<String>, viewer: Option<Token>, db: Db) -> Result<Value> {
    let article = find(&db, &slug).await?;
    let comments = Comment::objects()
        .filter(|c| c.article.eq(&article))
        .select_related(|c| c.author())
        .order_by(|c| (c.created_at.desc(), c.id.desc()))
        .all(&db)
        .await?;
    let follows: HashSet<i64> = match viewer {
        Some(Token(viewer)) => {
            let authors: Vec<i64> = comments.iter().map(|comment| comment.author.id()).collect();
            let follows = viewer.follows().filter(|u| u.id.in_(authors)).values(|u| u.id);
            follows.all(&db).await?.into_iter().collect()
        }
        None => HashSet::new(),
    };
    let mut views = Vec::with_capacity(comments.len());
    for comment in &comments {
        let author = comment.author.get()?;
        views.push(view(comment, author, follows.contains(&author.id)));
    }
    Ok(json!({ "comments": views }))
}

pub(crate) async fn create(
    Path(slug): Path<String>,
    Token(author): Token,
    input: Input,
    db: Db,
) -> Result<(StatusCode, Value)> {
    let article = find(&db, &slug).await?;
    let mut fields = input.object("comment")?;
    let body = fields.required("body", BODY_CHARS);
    fields.finish()?;
    let comment = new!(Comment {
        body,
        article: &article,
        author: &author
    })
    .save(&db)
    .await?;
    Ok((
        StatusCode::CREATED,
        json!({ "comment": view(&comment, &author, false) }),
    ))
}

/// The id is a text here: what is no number is a comment that does not exist, and that is said in the API's own words.
pub(crate) async fn delete(
    Path((slug, id)): Path<(String, String)>,
    Token(viewer): Token,
    db: Db,
) -> Result<StatusCode> {
    let article = find(&db, &slug).await?;
    let id: i64 = id.parse().map_err(|_| Refusal::not_found("comment"))?;
    let comment = Comment::objects()
        .filter(|c| c.id.eq(id) & c.article.eq(&article))
        .first(&db)
        .await?;
    let comment = comment.ok_or_else(|| Refusal::not_found("comment"))?;
    if comment.author.id() != viewer.id {
        return Err(Refusal::forbidden("comment"));
    }
    comment.delete(&db).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(comment: &Comment, author: &User, following: bool) -> Value {
    json!({
        "id": comment.id,
        "createdAt": time(comment.created_at),
        "updatedAt": time(comment.updated_at),
        "body": comment.body,
        "author": Profile::new(author, following),
    })
}
