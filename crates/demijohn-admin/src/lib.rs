//! The admin: pages over the rows of registered models, made from their metadata.
//!
//! Blueprints say which of their models the admin shows and how ([`AdminExt::admin`]); the site mounts the pages
//! ([`admin`]). The order does not matter, and a blueprint works in a site without an admin too.
//!
//! ```ignore
//! fn blog() -> Blueprint {
//!     Blueprint::new("blog").models(models![Article, Author]).admin(
//!         ModelAdmin::<Article>::new()
//!             .list_display(|a| (a.title, a.author().name, a.published_at))
//!             .search_fields(|a| (a.title, a.content))
//!             .list_filter(|a| (a.published_at, a.tags())),
//!     )
//! }
//!
//! App::new().mount("/", blog()).mount("/admin", admin()).run()
//! ```
//!
//! So far it reads: an index of the models, lists with search, filters and pages, and every row by itself. Sensitive fields
//! are never shown, searched or filtered by, not even through relations: a site that tries does not build.
//!
//! # Who may see it
//! While sites have no accounts, the admin answers in development alone (`DEBUG`), to this machine alone; everyone else gets
//! 404. `check --deploy` tells so (`admin.W001`). A site that guards it in another way says
//! [`without_login`](AdminSite::without_login).
//!
//! # Looks
//! The templates are `admin/base.html`, `admin/index.html`, `admin/changelist.html` and `admin/detail.html`; a site overrides
//! them by files of these names in a folder of its own.

mod changelist;
mod door;
mod pages;
mod register;
mod show;

pub use pages::{AdminSite, admin};
pub use register::{AdminExt, ModelAdmin};
