//! Tests of a site: a client without a socket, commands without a process, settings without an environment.
//!
//! ```
//! use demijohn::prelude::*;
//! use demijohn::test::{block_on, call_command};
//! use demijohn::settings::Sources;
//!
//! fn app() -> App {
//!     App::new().route("/", get(async || "Hello, World!"))
//! }
//!
//! # block_on(async {
//! let client = app().test_client();
//! assert_eq!(client.get("/").await.text(), "Hello, World!");
//!
//! let site = app().build(Sources::none().var("DEBUG", "false")).expect("nothing is wrong");
//! let outcome = call_command(site.program(), ["routes"]).await;
//! assert!(outcome.stdout.starts_with("GET"));
//! # });
//! ```
//!
//! With `DATABASE_URL=sqlite::memory:` each site has an empty database of its own. [`TestData`] gives each test a copy of one
//! that is filled.

#[cfg(feature = "sqlite")]
mod data;

#[cfg(feature = "sqlite")]
pub use data::{TestData, TestSite};
pub use demijohn_core::command::{Outcome, Runner, TemporaryFolder, call_command};
pub use demijohn_core::settings::Sources;
pub use demijohn_web::test::*;
