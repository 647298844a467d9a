//! The RealWorld API, as <https://github.com/realworld-apps/realworld> asks for it.
//!
//! Where it asks for less than Demijohn gives by itself, the difference is named here:
//!
//! - any password that is not empty is taken (hashed by `Passwords`);
//! - every origin may call (`cors.rs`), as the API has no cookies to abuse;
//! - e-mail addresses are compared as written and are not checked for their form.

mod articles;
mod comments;
pub(crate) mod cors;
mod input;
mod jwt;
mod profiles;
pub(crate) mod refusal;
mod tags;
mod token;
mod users;

use crate::models;
use demijohn::prelude::*;
use demijohn::{Part, Phase, Site};
use input::Input;
use refusal::Refusal;
use std::sync::Arc;
use token::Token;

/// Everything under `/api`.
pub fn blueprint() -> Blueprint {
    models::registered(Blueprint::new("api"))
        .with(Signing)
        .error_pages(refusal::answer)
        // Pages of every origin may call it: who calls is said by a token in a header, which no browser sends by itself.
        .csrf_exempt()
        .route("/users", post(users::register).summary("Register"))
        .route("/users/login", post(users::login).summary("Log in"))
        .route(
            "/user",
            get(users::current)
                .put(users::change)
                .summary("The user whose token it is"),
        )
        .route(
            "/profiles/{username}",
            get(profiles::profile).summary("Somebody's profile"),
        )
        .route(
            "/profiles/{username}/follow",
            post(profiles::follow)
                .delete(profiles::unfollow)
                .summary("Follow, or stop"),
        )
        .route(
            "/articles",
            get(articles::list)
                .post(articles::create)
                .name("articles")
                .summary("Articles, newest first; write one"),
        )
        .route(
            "/articles/feed",
            get(articles::feed).summary("Articles of the authors that one follows"),
        )
        .route(
            "/articles/{slug}",
            get(articles::article)
                .put(articles::change)
                .delete(articles::delete)
                .name("article")
                .summary("One article"),
        )
        .route(
            "/articles/{slug}/favorite",
            post(articles::favorite)
                .delete(articles::unfavorite)
                .name("favorite")
                .summary("Like, or stop"),
        )
        .route(
            "/articles/{slug}/comments",
            get(comments::list)
                .post(comments::create)
                .name("comments")
                .summary("Comments"),
        )
        .route(
            "/articles/{slug}/comments/{id}",
            delete(comments::delete).name("comment").summary("Delete a comment"),
        )
        .route("/tags", get(tags::tags).name("tags").summary("All tags in use"))
}

/// Provides what signs and reads tokens.
struct Signing;

impl Part for Signing {
    fn install(self: Box<Self>, site: &mut Site) {
        site.settings_mut().needs_secret("tokens of the API");
        site.on_build(Phase::Provide, |site| {
            let tokens = jwt::Tokens::new(site.settings().secret_key()?.expose().as_bytes());
            site.bag_mut().insert(Arc::new(tokens));
            Ok(())
        });
    }
}
