//! The web floor of Demijohn: routes, extractors, replies, hooks, errors, the server and the test client.
//!
//! ```
//! use demijohn_web::{get, Application, Path};
//!
//! async fn hello(Path(name): Path<String>) -> String {
//!     format!("Hello, {name}!")
//! }
//!
//! # demijohn_web::test::block_on(async {
//! let client = Application::new().route("/hello/{name}", get(hello)).test_client();
//! assert_eq!(client.get("/hello/Ann").await.text(), "Hello, Ann!");
//! # });
//! ```
//!
//! - [`Application`] is the site: routes, blueprints, hooks, error pages, parts. [`Application::build`] checks all of it and
//!   gives a [`Ready`] that serves.
//! - [`get`], [`post`] and the like make a [`Route`] of a [`Handler`]; arguments are extractors ([`Path`], [`Query`], [`Json`],
//!   [`Form`], [`State`], ..), results are [`Reply`]s.
//! - [`Blueprint`] groups what belongs together, to be mounted under a path.
//! - [`test::TestClient`] sends requests through the same dispatch as the server, without a socket.

extern crate self as demijohn_web;

mod accept;
mod admit;
mod app;
#[cfg(feature = "axum")]
mod axum;
mod blueprint;
#[cfg(any(feature = "sessions", feature = "websocket"))]
mod bound;
#[cfg(any(feature = "compression", feature = "static"))]
mod codings;
mod commands;
mod common;
pub mod conditional;
mod cookie;
#[cfg(feature = "sessions")]
mod csrf;
pub mod current;
mod debug;
mod dispatch;
mod errors;
pub mod events;
mod fields;
mod file;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod header;
mod hook;
mod json;
mod limits;
#[cfg(feature = "sessions")]
mod messages;
#[cfg(feature = "multipart")]
mod multipart;
mod origin;
#[cfg(feature = "template")]
pub mod page;
mod pairs;
mod path;
mod patience;
mod proxy;
mod query;
mod refusal;
mod reply;
mod route;
mod routes;
pub mod server;
#[cfg(feature = "sessions")]
pub mod session;
mod shield;
#[cfg(feature = "signing")]
pub mod signing;
mod state;
#[cfg(feature = "static")]
mod statics;
#[cfg(feature = "storage")]
mod storage;
mod stream;
pub mod test;
#[cfg(feature = "tower")]
mod tower;
mod transport;
mod trie;
#[cfg(feature = "multipart")]
mod upload;
mod urls;
#[cfg(feature = "websocket")]
pub mod websocket;
mod wire;

pub use accept::Accept;
pub use app::{Application, Ready};
#[cfg(feature = "axum")]
pub use axum::{Axum, AxumBody};
pub use blueprint::Blueprint;
pub use common::Common;
pub use cookie::{Cookie, SameSite};
#[cfg(feature = "sessions")]
pub use csrf::{CsrfError, CsrfToken};
pub use demijohn_core::check::Finding;
#[cfg(feature = "storage")]
pub use demijohn_core::storage::{Storage, Storages};
pub use demijohn_core::{
    Assemble, Bag, Body, BoxFuture, Error, Extract, Fault, Needs, Operation, Parameter, Part, Place, Rejection, Reply,
    Request, Response, Result, Settings, Site,
};
pub use dispatch::Next;
pub use errors::{ErrorMap, problem};
pub use events::{Event, Events, LastEventId};
pub use file::{File, content_type, safe_join, secure_filename};
pub use handler::Handler;
pub use header::{Authorization, Cookies, FromHeader, Header};
pub use hook::{AfterFn, BeforeFn, ErrorFn, Guard, HookAnswer, MiddlewareFn};
pub use http;
pub use json::Json;
pub use limits::UploadLimits;
#[cfg(feature = "sessions")]
pub use messages::{Message, MessageLevel, Messages};
pub use origin::{Origin, TrustedOrigins};
#[cfg(feature = "template")]
pub use page::{Page, TemplatesExt, render};
pub use pairs::Pairs;
pub use path::{FromPath, Path, PathArg, PathArgs, PathParam, Signed, Slug};
pub use proxy::TrustedProxies;
pub use query::{Form, FromPairs, Query};
pub use reply::{Either, Html, Redirect, Respond, Text};
pub use route::{Route, any, delete, get, head, methods, options, patch, post, put};
pub use routes::{Listed, Routes, Routing};
#[cfg(feature = "sessions")]
pub use session::{Principal, Session};
pub use shield::FrameOptions;
pub use shield::cors::Cors;
pub use shield::csp::Csp;
pub use shield::redirect::is_safe_redirect;
pub use state::State;
#[cfg(feature = "static")]
pub use statics::{Static, StaticExt, StaticFolder};
#[cfg(feature = "storage")]
pub use storage::{FileStorage, Media, MemoryStorage, StorageExt};
pub use stream::{Sender, Streamed};
#[cfg(feature = "tower")]
pub use tower::Inside;
#[cfg(feature = "multipart")]
pub use upload::{Chunks, Files, Upload};
pub use urls::{HasUrl, Link, Url, Urls, url_to};
#[cfg(feature = "websocket")]
pub use websocket::{WebSocket, WebSocketUpgrade};
