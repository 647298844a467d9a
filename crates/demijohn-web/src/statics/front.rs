//! A front end that was built by other tools: its files at a path of the site, and its page for every address that it makes up itself.

use super::folder::Source;
use super::hashed::Hashed;
use super::serve::{Served, answer};
use super::{Catalogue, Static, StaticFolder};
use crate::Path;
use crate::route::{Route, get};
use crate::routes::Routing;
use demijohn_core::site::Phase;
use demijohn_core::{Error, Part, Result, Site};
use http::StatusCode;
use http::header::{ACCEPT, HeaderMap};
use std::sync::Arc;

/// The page of a front end.
const INDEX: &str = "index.html";

/// A front end on its way into the site.
pub(super) struct FrontEnd(pub(super) StaticFolder);

impl Part for FrontEnd {
    fn install(self: Box<Self>, site: &mut Site) {
        let scope = site.scope().clone();
        // After the routes of the site's code, so that a page of its own at `/` wins.
        site.on_build(Phase::Derive, move |site| {
            let sources: Vec<Source> = vec![self.0.into()];
            let url = format!("{}/", scope.prefix);
            let hashed = match site.settings().debug() {
                true => None,
                false => Some(Hashed::of(&sources, &url)?),
            };
            let files = Static(Arc::new(Catalogue { url, sources, hashed }));
            site.within(scope, |site| {
                site.route("/", index(files.clone()));
                site.route("/{*path}", any(files));
            });
            Ok(())
        });
    }
}

fn index(files: Static) -> Route {
    get(move |headers: HeaderMap| answer(files.clone(), INDEX.to_owned(), headers)).name("front_end")
}

fn any(files: Static) -> Route {
    get(move |Path(path): Path<String>, headers: HeaderMap| front(files.clone(), path, headers)).name("front_end_file")
}

/// A file, or the page where a person goes to an address that looks like one of a page.
async fn front(files: Static, path: String, headers: HeaderMap) -> Result<Served> {
    let is_navigation = is_page(&path) && takes_html(&headers);
    match answer(files.clone(), path, headers.clone()).await {
        Err(error) if error.status() == StatusCode::NOT_FOUND && is_navigation => {
            let page = answer(files, INDEX.to_owned(), headers).await;
            page.map_err(|error| match error.status() {
                StatusCode::NOT_FOUND => {
                    Error::internal("the folder of the front end has no index.html: build it first")
                }
                _ => error,
            })
        }
        answered => answered,
    }
}

/// Files have endings, pages have none.
fn is_page(path: &str) -> bool {
    !path.rsplit('/').next().unwrap_or_default().contains('.')
}

/// What browsers say when a person goes somewhere; scripts and pictures are asked for in other words.
fn takes_html(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    lines
        .into_iter()
        .any(|line| line.to_ascii_lowercase().contains("text/html"))
}
