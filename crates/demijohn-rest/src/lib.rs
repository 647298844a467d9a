//! REST: models as resources of a JSON API, and the API's own documentation.
//!
//! Blueprints say which of their models are resources ([`ResourceExt::resource`]); the site mounts the API ([`api`]). The
//! order does not matter, and a blueprint works in a site without an API too.
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
//! # use demijohn_rest::{Resource, ResourceExt, api};
//! fn blog() -> Blueprint {
//!     Blueprint::new("blog").models(models![Article, Author, Tag]).resource(
//!         Resource::<Article>::new("articles").filter(|a| a.public.eq(true)).filter_fields(|a| (a.author, a.published_at)),
//!     )
//! }
//!
//! # fn main() {
//! let site = Application::new().mount("/", blog()).mount("/api", api());
//! # let _ = site;
//! # }
//! ```
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/articles/` | `{"count": 3, "next": null, "previous": null, "results": [..]}` |
//! | `GET /api/articles/?author=7&ordering=-id&limit=10&offset=20` | the same, narrowed, ordered, a part of it |
//! | `GET /api/articles/1/` | `{"id": 1, "title": "..", ..}`, or 404 |
//! | `GET /api/openapi.json` | all operations of the site, those of other routes too, as OpenAPI 3.1 |
//! | `GET /api/` | the same as a page for people |
//!
//! So far resources are read-only. Sensitive fields are never in an answer and cannot be asked for: a site that tries does
//! not build. Names in a query string that a resource does not know are 400 and told with those that it knows.

mod document;
mod json;
mod pages;
mod read;
mod resource;

pub use pages::{Api, api};
pub use resource::{Resource, ResourceExt};
