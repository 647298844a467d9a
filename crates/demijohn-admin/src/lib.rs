//! The admin: pages over the rows of registered models, made from their metadata.
//!
//! Blueprints say which of their models the admin shows and how ([`AdminExt::admin`]); the site mounts the pages
//! ([`admin`]). The order does not matter, and a blueprint works in a site without an admin too.
//!
//! ```
//! # extern crate demijohn_orm as demijohn;
//! # use demijohn_orm::{DateTime, ForeignKey, ManyToMany, ModelsExt, models};
//! # use demijohn_web::{Application, Blueprint};
//! # use demijohn_macros::model;
//! # #[model] pub struct Author { pub id: i64, #[field(max_length = 100)] pub name: String }
//! # #[model] pub struct Tag { pub id: i64, #[field(max_length = 100)] pub name: String }
//! # #[model] pub struct Article {
//! #     pub id: i64,
//! #     #[field(max_length = 100)] pub title: String,
//! #     #[field(text)] pub content: String,
//! #     pub public: bool,
//! #     pub published_at: DateTime,
//! #     #[field(on_delete = cascade, related_name = "articles")] pub author: ForeignKey<Author>,
//! #     #[field(related_name = "articles")] pub tags: ManyToMany<Tag>,
//! # }
//! # use demijohn_admin::{AdminExt, ModelAdmin, admin};
//! fn blog() -> Blueprint {
//!     Blueprint::new("blog").models(models![Article, Author, Tag]).admin(
//!         ModelAdmin::<Article>::new()
//!             .list_display(|a| (a.title, a.author().name, a.published_at))
//!             .search_fields(|a| (a.title, a.content))
//!             .list_filter(|a| (a.published_at, a.tags())),
//!     )
//! }
//!
//! # fn main() {
//! let site = Application::new().mount("/", blog()).mount("/admin", admin());
//! # let _ = site;
//! # }
//! ```
//!
//! So far it reads: an index of the models, lists with search, filters, orders and pages, and every row by itself. Sensitive fields
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
