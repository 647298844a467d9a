//! What others see of a user.

use super::{Refusal, Token};
use crate::models::*;
use demijohn::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

/// A profile, as it stands in articles and comments too.
#[derive(Debug, Serialize)]
pub(crate) struct Profile {
    username: String,
    bio: Option<String>,
    image: Option<String>,
    following: bool,
}

impl Profile {
    pub(crate) fn new(user: &User, following: bool) -> Self {
        Profile {
            username: user.username.clone(),
            bio: user.bio.clone(),
            image: user.image.clone(),
            following,
        }
    }
}

pub(crate) async fn profile(Path(username): Path<String>, viewer: Option<Token>, db: Db) -> Result<Value> {
    let user = find(&db, &username).await?;
    let following = match viewer {
        Some(Token(viewer)) => viewer.follows().filter(|u| u.id.eq(user.id)).exists(&db).await?,
        None => false,
    };
    Ok(view(&user, following))
}

pub(crate) async fn follow(Path(username): Path<String>, Token(viewer): Token, db: Db) -> Result<Value> {
    let user = find(&db, &username).await?;
    viewer.follows().add(&db, [&user]).await?;
    Ok(view(&user, true))
}

pub(crate) async fn unfollow(Path(username): Path<String>, Token(viewer): Token, db: Db) -> Result<Value> {
    let user = find(&db, &username).await?;
    viewer.follows().remove(&db, [&user]).await?;
    Ok(view(&user, false))
}

async fn find(db: &Db, username: &str) -> Result<User> {
    let user = User::objects().filter(|u| u.username.eq(username)).first(db).await?;
    user.ok_or_else(|| Refusal::not_found("profile"))
}

fn view(user: &User, following: bool) -> Value {
    json!({ "profile": Profile::new(user, following) })
}
