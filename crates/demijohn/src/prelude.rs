//! What nearly every file of a site uses: `use demijohn::prelude::*;`.

pub use crate::App;
pub use demijohn_core::command::{Arg, ArgAction, Call, Command};
pub use demijohn_core::{Assemble, Configure, Error, Request, Response, Result};
pub use demijohn_web::http::{HeaderMap, Method, StatusCode};
pub use demijohn_web::{
    Blueprint, Extract, Form, Html, Json, Next, Path, Query, Redirect, Reply, State, Text, any, delete, get, head,
    patch, post, put, url_to,
};
#[cfg(feature = "template")]
pub use demijohn_macros::{Context, templates};
#[cfg(feature = "orm")]
pub use demijohn_macros::model;
#[cfg(feature = "orm")]
pub use demijohn_orm::{
    Date, DateTime, Db, ForeignKey, ManyToMany, Model, ModelsExt, NaiveDateTime, QuerySet, Time, get_or_404, models, new,
};
#[cfg(feature = "template")]
pub use demijohn_template::context;
#[cfg(feature = "template")]
pub use demijohn_web::{Page, TemplatesExt, render};
pub use std::process::ExitCode;
