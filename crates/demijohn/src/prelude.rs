//! What nearly every file of a site uses: `use demijohn::prelude::*;`.

pub use crate::App;
pub use demijohn_core::command::{Arg, ArgAction, Call, Command};
pub use demijohn_core::{Assemble, Configure, Error, Request, Response, Result};
pub use demijohn_web::http::{HeaderMap, Method, StatusCode};
pub use demijohn_web::{
    Blueprint, Extract, Form, Html, Json, Next, Path, Query, Redirect, Reply, State, Text, any, delete, get, head,
    patch, post, put, url_to,
};
pub use std::process::ExitCode;
