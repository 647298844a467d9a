//! Demijohn is a web framework: as small as Flask, as much as Django.
//!
//! ```no_run
//! use demijohn::prelude::*;
//!
//! fn main() -> ExitCode {
//!     App::new().route("/", get(async || "Hello, World!")).run()
//! }
//! ```
//!
//! `cargo run` serves it on <http://127.0.0.1:8000/>. The program is its own management command: `cargo run -- help` lists
//! what it can do, `cargo run -- check` examines it, `cargo run -- routes` lists what it answers.
//!
//! - [`App`] is the site; [`Blueprint`] is a reusable part of one.
//! - Handlers are async functions. Their arguments are extractors: [`Path`], [`Query`], [`Json`], [`Form`], [`State`], ..;
//!   what they return is a [`Reply`].
//! - [`settings`] come from code, `settings.toml`, `.env` and the environment, and know where they came from.
//! - [`command`] is for commands of your own, [`check`] for checks of your own, [`test`](mod@test) for tests of a site.
//!
//! # Features
//! None is on by default: that is the micro framework of routes, settings and commands. `site` is the furnished set; each
//! battery has a feature of its own:
//!
//! | feature | what it brings |
//! |---|---|
//! | `attributes` | `#[get("/")]` and its like, for routes declared next to their handlers |
//! | `orm` | `#[model]`, querysets, the handler argument `Db` |
//! | `sqlite` | `orm` on databases at `sqlite:` URLs |
//! | `templates` | pages from Jinja templates: `Page`, `#[derive(Context)]`, `templates!` |
//! | `admin` | pages over the rows of models: `.admin(ModelAdmin::<Article>::new())`, `.mount("/admin", admin())` |
//! | `rest` | models as resources of a JSON API, documented as OpenAPI: `.resource(Resource::<Article>::new("articles"))`, `.mount("/api", api())` |
//! | `auth` | passwords: hashed by Argon2id away from the threads that serve, verified in equal time |
//! | `sessions` | sessions in signed cookies: `Session`; forms that other sites cannot send (CSRF): `{{ csrf_input() }}` |
//! | `database-sessions` | sessions in the database, which can be ended there; the command `clearsessions` |
//! | `multipart` | forms with files |
//! | `storage` | places for files that are kept: `.media("uploads")`, `media: Media`, `FileStorage` |
//! | `static` | static files under names of their content: `.static_files(static_files!("static"))`, `{{ static_url("app.css") }}`, `collectstatic` |
//! | `compression` | answers in gzip, brotli and zstd |
//! | `tls` | https and HTTP/2: `TLS_CERT`, `TLS_KEY` |
//! | `signing` | signed values, by `SECRET_KEY` |
//! | `uuid` | `Path<Uuid>` |
//! | `websocket` | sockets: `WebSocketUpgrade` |
//! | `axum`, `tower` | what was made for axum and tower: extractors, layers, whole routers |

// Macros name one path, `::demijohn`, in our own crate too.
extern crate self as demijohn;

mod app;
mod batteries;
mod log;
pub mod prelude;
mod run;
pub mod test;

pub use app::App;
pub use demijohn_core::site::Phase;
pub use demijohn_core::{Configure, check, command, faults, settings};
pub use demijohn_web as web;
pub use demijohn_web::*;

#[cfg(feature = "admin")]
pub use demijohn_admin as admin;
#[cfg(feature = "auth")]
pub use demijohn_auth as auth;
#[cfg(feature = "orm")]
pub use demijohn_orm as orm;
#[cfg(feature = "rest")]
pub use demijohn_rest as rest;
#[cfg(feature = "database-sessions")]
pub use demijohn_sessions as sessions;
#[cfg(feature = "templates")]
pub use demijohn_template as template;

/// What macros name; no part of the promised surface.
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "orm")]
    pub use demijohn_orm as orm;
}

/// The guides compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/settings.md")]
#[cfg_attr(
    all(feature = "multipart", feature = "storage", feature = "static"),
    doc = include_str!("../../../docs/files.md")
)]
struct Guides;
