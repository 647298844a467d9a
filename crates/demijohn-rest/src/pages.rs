//! The API as a blueprint: a route for each resource, and its documentation.

use crate::document::{document, path_params};
use crate::json::{list_schema, row_schema, schema_type};
use crate::read;
use crate::resource::{Exposed, Registry};
use demijohn_core::reply::content;
use demijohn_core::site::{Bag, Part, Phase, Site};
use demijohn_core::{Assemble, Error, Extract, Parameter, Place, Rejection, Reply, Request, Response, Result};
use demijohn_orm::Db;
use demijohn_orm::erased::Choice;
use demijohn_template::{Folder, context};
use demijohn_web::http::Uri;
use demijohn_web::http::header::{CACHE_CONTROL, HeaderValue};
use demijohn_web::{Blueprint, Json, Pairs, Path, Query, Route, Routes, Routing, TemplatesExt, get, problem, render};
use serde::Serialize;
use std::sync::Arc;

static TEMPLATES: Folder = Folder::embedded(&[("rest/index.html", include_str!("../templates/index.html"))]);
const STYLE: &str = include_str!("../templates/rest.css");

/// The API, to be mounted: `.mount("/api", api())`.
pub fn api() -> Blueprint {
    Api::new().into()
}

/// The API with options of its own: `.mount("/api", Api::new().title("Blog").version("2").into())`.
#[derive(Clone, Debug)]
#[must_use = "an API does nothing until it is mounted"]
pub struct Api {
    title: String,
    version: String,
}

impl Default for Api {
    fn default() -> Self {
        Api::new()
    }
}

impl Api {
    /// As [`api`] mounts it.
    pub fn new() -> Self {
        Api {
            title: "API".to_owned(),
            version: "1".to_owned(),
        }
    }

    /// The title of its documentation.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// The version of the API, for its documentation.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }
}

impl From<Api> for Blueprint {
    fn from(api: Api) -> Blueprint {
        let title = api.title.clone();
        let index = move |Whole(site): Whole| {
            let title = title.clone();
            async move { Ok::<_, Error>(index(&title, site.get().ok_or_else(no_routes)?)) }
        };
        let openapi = move |Whole(site): Whole| {
            let api = api.clone();
            async move {
                let routes = site.get().ok_or_else(no_routes)?;
                Ok::<_, Error>(Json(document(&api.title, &api.version, routes)))
            }
        };
        Blueprint::new("api")
            .templates(TEMPLATES)
            .template_global("rest_version", env!("CARGO_PKG_VERSION"))
            .with(Resources)
            .error_pages(as_problem)
            .route("/", get(index).name("index").summary("This documentation, for people"))
            .route(
                "/openapi.json",
                get(openapi).name("openapi").summary("This documentation, for programs"),
            )
            .route(
                "/-/rest.css",
                get(style).name("style").summary("The looks of the documentation"),
            )
    }
}

/// Clients of an API read JSON, though many say that they accept anything.
async fn as_problem(error: &Error, _: &mut Request) -> Response {
    problem(error)
}

fn no_routes() -> Error {
    Error::internal("the site's routes are gone")
}

/// What the site provides, as a handler argument.
struct Whole(Arc<Bag>);

impl Extract for Whole {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        Ok(Whole(Arc::clone(request.site())))
    }
}

/// Gives each resource its routes, when all are known.
struct Resources;

impl Part for Resources {
    fn install(self: Box<Self>, site: &mut Site) {
        let scope = site.scope().clone();
        site.on_build(Phase::Derive, move |site| {
            let exposed = site.entry::<Registry>().0.clone();
            site.within(scope, |site| {
                for exposed in exposed {
                    let path = format!("/{}/", exposed.name);
                    site.route(&path, many(&exposed));
                    site.route(&format!("{path}{{pk}}/"), one(&exposed));
                }
            });
            Ok(())
        });
    }
}

fn many(exposed: &Arc<Exposed>) -> Route {
    let (told, name) = (Arc::clone(exposed), format!("{}-list", exposed.name));
    let exposed = Arc::clone(exposed);
    let list = move |Query(asked): Query<Pairs>, uri: Uri, db: Db| {
        let exposed = Arc::clone(&exposed);
        async move { read::list(&exposed, uri.path(), &asked, &db).await.map(Json) }
    };
    get(list).name(name).document(move |operation| {
        operation.summary = format!("Lists {}", told.meta.verbose_name_plural);
        let numbers = ["limit", "offset"].map(|name| (name.to_owned(), ("integer", "int64")));
        let filters = told
            .filters
            .iter()
            .map(|filter| (filter.key.clone(), schema_type(filter)));
        let ordering = [("ordering".to_owned(), ("string", ""))];
        for (name, (schema_type, format)) in numbers.into_iter().chain(ordering).chain(filters) {
            operation.parameters.push(Parameter {
                name,
                place: Place::Query,
                required: false,
                schema_type,
                format,
            });
        }
        operation.answer = Some(list_schema(&told));
    })
}

fn one(exposed: &Arc<Exposed>) -> Route {
    let (told, name) = (Arc::clone(exposed), format!("{}-detail", exposed.name));
    let exposed = Arc::clone(exposed);
    let retrieve = move |Path(key): Path<String>, db: Db| {
        let exposed = Arc::clone(&exposed);
        async move { read::retrieve(&exposed, &key, &db).await.map(Json) }
    };
    get(retrieve).name(name).document(move |operation| {
        operation.summary = format!("One {}", told.meta.verbose_name);
        let (schema_type, format) = schema_type(&Choice::field(told.meta, told.meta.pk));
        for parameter in &mut operation.parameters {
            (parameter.schema_type, parameter.format) = (schema_type, format);
        }
        operation.statuses.push((404, "there is no such row"));
        operation.answer = Some(row_schema(&told));
    })
}

/// An operation on the page.
#[derive(Serialize)]
struct Shown {
    method: String,
    path: String,
    summary: String,
    /// `name` and what is known of it.
    parameters: Vec<(String, String)>,
    takes: String,
    gives: String,
}

fn index(title: &str, routes: &Routes) -> impl Reply + use<> {
    let mut groups: Vec<(String, Vec<Shown>)> = Vec::new();
    for endpoint in routes.list() {
        let group = endpoint
            .name
            .rsplit_once('.')
            .map_or("site", |(blueprint, _)| blueprint);
        let names = path_params(&endpoint.pattern);
        let told = endpoint.operation;
        let queried = told
            .parameters
            .iter()
            .filter(|parameter| parameter.place != Place::Path);
        let queried = queried.map(|parameter| (parameter.name.clone(), parameter.schema_type.to_owned()));
        let in_path = names.iter().map(|name| ((*name).to_owned(), "path".to_owned()));
        let shown = Shown {
            method: endpoint
                .method
                .map_or_else(|| "ANY".to_owned(), |method| method.to_string()),
            parameters: in_path.chain(queried).collect(),
            path: endpoint.pattern.clone(),
            summary: told.summary,
            takes: told.consumes.join(", "),
            gives: told.produces.join(", "),
        };
        match groups.iter_mut().find(|(name, _)| name == group) {
            Some((_, operations)) => operations.push(shown),
            None => groups.push((group.to_owned(), vec![shown])),
        }
    }
    render("rest/index.html", context! { title => title.to_owned(), groups })
}

async fn style() -> Response {
    let mut response = content("text/css; charset=utf-8", STYLE);
    // The address carries the version.
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
    response
}
