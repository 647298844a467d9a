//! What nearly every file of a site uses: `use demijohn::prelude::*;`.

pub use crate::App;
pub use demijohn_core::command::{Arg, ArgAction, Call, Command};
pub use demijohn_core::{Assemble, Configure, Error, Request, Response, Result};
pub use demijohn_web::http::{HeaderMap, Method, StatusCode};
pub use demijohn_web::{
    Blueprint, Body, Cookie, Either, Events, Extract, File, Form, Html, Json, Next, Path, Query, Redirect, Reply,
    Respond, Route, State, Streamed, Text, any, delete, get, head, methods, options, patch, post, put, url_to,
};
pub use std::process::ExitCode;

#[cfg(feature = "attributes")]
pub use demijohn_macros::{delete, get, head, options, patch, post, put};
#[cfg(feature = "attributes")]
pub use demijohn_web::routes;

#[cfg(feature = "orm")]
pub use demijohn_macros::model;
#[cfg(feature = "orm")]
pub use demijohn_orm::{
    Date, DateTime, Db, ForeignKey, ManyToMany, Model, ModelsExt, NaiveDateTime, Prefetch, Q, QuerySet, Time,
    get_or_404, models, new,
};

#[cfg(feature = "axum")]
pub use demijohn_web::Axum;

#[cfg(feature = "multipart")]
pub use demijohn_web::{Files, Upload};

#[cfg(feature = "static")]
pub use demijohn_macros::static_files;
#[cfg(feature = "static")]
pub use demijohn_web::{Static, StaticExt};

#[cfg(feature = "storage")]
pub use demijohn_web::{FileStorage, Media, Storage, StorageExt};

#[cfg(feature = "websocket")]
pub use demijohn_web::{WebSocket, WebSocketUpgrade};

#[cfg(feature = "templates")]
pub use demijohn_macros::{Context, templates};
#[cfg(feature = "templates")]
pub use demijohn_template::context;
#[cfg(feature = "templates")]
pub use demijohn_web::{Page, TemplatesExt, render};

#[cfg(feature = "admin")]
pub use demijohn_admin::{AdminExt, ModelAdmin, admin};

#[cfg(feature = "rest")]
pub use demijohn_rest::{Resource, ResourceExt, api};

#[cfg(feature = "sessions")]
pub use demijohn_web::session::{Principal, Session};
#[cfg(feature = "sessions")]
pub use demijohn_web::{CsrfToken, Messages};

#[cfg(feature = "auth")]
pub use demijohn_auth::{Passwords, hashing};
