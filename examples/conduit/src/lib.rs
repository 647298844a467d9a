//! Conduit: a small blogging site. The public RealWorld API under `/api`, and pages to read it by.
//!
//! It is the showcase of Demijohn, so it is written as a site of yours would be: models in [`mod@models`], one blueprint per
//! area ([`mod@api`], [`pages`]), and one function that puts them together.

pub mod api;
pub mod models;
pub mod pages;
mod seed;
mod slug;

use demijohn::Bag;
use demijohn::prelude::*;
use demijohn::rest::Api;
use std::sync::Arc;

/// The site, with whatever its database holds.
pub fn app() -> App {
    App::new()
        .setting("DATABASE_URL", "sqlite://conduit.sqlite3")
        .setting("DEMO_PASSWORD", "")
        .with(hashing())
        .middleware(api::cors::open)
        .mount("/", pages::blueprint())
        .mount("/api", api::blueprint())
        .mount("/admin", admin())
        .mount("/data", Blueprint::from(Api::new().title("Conduit")).named("data"))
        .error_pages(error)
}

/// Errors that no blueprint answers: in JSON under `/api`, as a page elsewhere.
async fn error(error: &Error, request: &mut Request) -> Result<Response> {
    if request.path().starts_with("/api/") {
        return api::refusal::answer(error, request).await.reply(request);
    }
    pages::error(error).reply(request)
}

/// Fills an empty database with authors and articles to look at, and says how to log in.
///
/// # Errors
/// When the database cannot be opened or refuses.
pub async fn fill(site: Arc<Bag>) -> Result<()> {
    seed::at_start(&site).await
}
