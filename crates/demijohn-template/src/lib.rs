//! Templates in Jinja2's syntax: folders, overrides, strict names, errors that point at the line.
//!
//! The language is [minijinja]'s, by Jinja's own author. This crate adds what a site needs around it: a chain of
//! [`Folder`]s (a site's templates override those of the blueprints it mounts), embedding in release builds, reloading
//! from disk in development, escaping by the ending of the name, and [`Error`]s with template, line and the source
//! under a caret. It knows nothing of the web: mail and command output render by the same [`Engine`].
//!
//! ```
//! use demijohn_template::{Engine, Folder, context};
//!
//! static FOLDER: Folder = Folder::embedded(&[("hello.html", "<p>Hello, {{ name }}!</p>")]);
//!
//! let engine = Engine::builder().folder(FOLDER).build();
//! let html = engine.render("hello.html", context! { name => "<Ada>" })?;
//! assert_eq!(html, "<p>Hello, &lt;Ada&gt;!</p>");
//! # Ok::<(), demijohn_template::Error>(())
//! ```
//!
//! # Undefined names are errors
//! `{{ titel }}` fails instead of printing nothing, and so does `{% if titel %}`. Where a name may be absent, say so:
//! `{{ subtitle | default("") }}`, `{% if subtitle is defined %}`.
//!
//! # What a template sees
//! A struct with `#[derive(Context)]`, whose fields become values one by one (a `Vec` of such structs is a list of
//! objects, with no serialising in between); anything that is `serde::Serialize`; or [`context!`] for sketches.

mod context;
mod engine;
mod error;
mod filters;
mod folder;
mod scan;

pub use context::{Context, Template};
pub use engine::{Builder, Engine, Fault};
pub use error::Error;
pub use folder::Folder;
pub use minijinja;
pub use minijinja::Value;

/// What derives name; not for people.
#[doc(hidden)]
pub mod __private {
    pub use crate::context::{Probe, ViaContext, ViaNothing, ViaSerialize, record};
}
