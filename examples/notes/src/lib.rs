//! Notes: what many people write for themselves, and what some of it they show to all.
//!
//! The site is small on purpose. What it shows is what surrounds it: sessions, CSRF, uploads, sockets and errors are those that every
//! site of Demijohn has, and no line here is there to be safe.

mod accounts;
mod api;
mod files;
pub mod models;
mod pages;
mod seed;
mod socket;

use demijohn::Bag;
use demijohn::prelude::*;
use std::sync::Arc;

/// The site, with whatever its database holds.
pub fn app() -> App {
    App::new()
        .setting("DATABASE_URL", "sqlite://notes.sqlite3")
        .setting("DEMO_PASSWORD", "")
        .setting("DEMO_BOOM", false)
        .with(hashing())
        .media("media")
        .static_files(static_files!("static"))
        .mount("/", pages::blueprint())
        .mount("/", accounts::blueprint())
        .mount("/", files::blueprint())
        .mount("/api", api::blueprint())
        .route("/ws/echo/", get(socket::echo))
        .mount("/admin", admin())
}

/// Makes the demonstration accounts in an empty database, and says how to log in.
///
/// # Errors
/// When the database cannot be opened or refuses.
pub async fn fill(site: Arc<Bag>) -> Result<()> {
    seed::at_start(&site).await
}
