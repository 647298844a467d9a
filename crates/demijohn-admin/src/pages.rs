//! The pages, and the blueprint that they are.

use crate::changelist::{cells, changelist, name_of};
use crate::door;
use crate::register::{Registry, Shown};
use crate::show;
use demijohn_core::reply::content;
use demijohn_core::{Assemble, Error, Extract, Part, Rejection, Reply, Request, Response, Result, Site};
use demijohn_model::tape::Statement;
use demijohn_orm::Db;
use demijohn_orm::erased::{Choice, query_of};
use demijohn_template::{Folder, context};
use demijohn_web::http::header::{CACHE_CONTROL, HeaderValue};
use demijohn_web::page::Rendered;
use demijohn_web::{Blueprint, Pairs, Path, Query, TemplatesExt, get, render};
use serde::Serialize;
use std::sync::Arc;

static TEMPLATES: Folder = Folder::embedded(&[
    ("admin/base.html", include_str!("../templates/base.html")),
    ("admin/index.html", include_str!("../templates/index.html")),
    ("admin/changelist.html", include_str!("../templates/changelist.html")),
    ("admin/detail.html", include_str!("../templates/detail.html")),
]);
const STYLE: &str = include_str!("../templates/admin.css");

/// The admin, to be mounted: `.mount("/admin", admin())`.
pub fn admin() -> Blueprint {
    AdminSite::new().into()
}

/// The admin with options of its own: `.mount("/admin", AdminSite::new().without_login().into())`.
#[derive(Clone, Debug, Default)]
#[must_use = "an admin does nothing until it is mounted"]
pub struct AdminSite {
    open: bool,
}

impl AdminSite {
    /// As [`admin`] mounts it.
    pub fn new() -> Self {
        AdminSite::default()
    }

    /// Lets everyone in: for sites that are guarded by something before them. `check --deploy` reminds of it (`admin.W002`).
    pub fn without_login(mut self) -> Self {
        self.open = true;
        self
    }
}

impl From<AdminSite> for Blueprint {
    fn from(site: AdminSite) -> Blueprint {
        let blueprint = Blueprint::new("admin")
            .templates(TEMPLATES)
            .template_global("admin_version", env!("CARGO_PKG_VERSION"))
            .with(Door { open: site.open })
            .route("/", get(index).name("index").summary("The models of the admin"))
            .route("/-/admin.css", get(style).name("style").summary("The admin's looks"))
            .route(
                "/{blueprint}/",
                get(group).name("group").summary("The models of a blueprint"),
            )
            .route(
                "/{blueprint}/{model}/",
                get(list).name("changelist").summary("The rows of a model"),
            )
            .route(
                "/{blueprint}/{model}/{pk}/",
                get(detail).name("detail").summary("One row of a model"),
            );
        match site.open {
            true => blueprint,
            false => blueprint.before(door::only_developer),
        }
    }
}

struct Door {
    open: bool,
}

impl Part for Door {
    fn install(self: Box<Self>, site: &mut Site) {
        // There may be an admin that shows nothing yet.
        site.entry::<Registry>();
        door::tell(site, self.open);
    }
}

/// The models that the admin shows, as a handler argument.
struct Models(Arc<demijohn_core::Bag>);

impl Models {
    fn registry(&self) -> Result<&Registry> {
        self.0
            .get()
            .ok_or_else(|| Error::internal("the admin's registry is gone"))
    }

    fn find(&self, blueprint: &str, model: &str) -> Result<&Arc<Shown>> {
        let shown = self.registry()?.find(blueprint, model);
        shown.ok_or_else(|| Error::not_found("The admin has no such model."))
    }
}

impl Extract for Models {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        Ok(Models(Arc::clone(request.site())))
    }
}

/// A model as pages name it.
#[derive(Serialize)]
struct Named {
    blueprint: String,
    group: String,
    model: String,
    name: String,
    plural: String,
}

impl Named {
    fn new(shown: &Shown) -> Named {
        Named {
            blueprint: shown.blueprint.clone(),
            group: capitalised(&shown.blueprint),
            model: shown.name(),
            name: capitalised(shown.meta.verbose_name),
            plural: capitalised(shown.meta.verbose_name_plural),
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The models of one blueprint, as pages name them.
#[derive(Serialize)]
struct Group {
    blueprint: String,
    name: String,
    models: Vec<Named>,
}

async fn index(models: Models) -> Result<impl Reply> {
    Ok(grouped(models.registry()?, |_| true))
}

async fn group(Path(blueprint): Path<String>, models: Models) -> Result<impl Reply> {
    let registry = models.registry()?;
    match registry.groups().iter().any(|(name, _)| *name == blueprint) {
        true => Ok(grouped(registry, |name| name == blueprint)),
        false => Err(Error::not_found("The admin has no such blueprint.")),
    }
}

fn grouped(registry: &Registry, wanted: impl Fn(&str) -> bool) -> Rendered {
    let groups = registry.groups().into_iter().filter(|(blueprint, _)| wanted(blueprint));
    let groups: Vec<Group> = groups
        .map(|(blueprint, models)| Group {
            blueprint: blueprint.to_owned(),
            name: capitalised(blueprint),
            models: models.into_iter().map(Named::new).collect(),
        })
        .collect();
    render("admin/index.html", context! { groups })
}

async fn list(
    Path((blueprint, model)): Path<(String, String)>,
    Query(asked): Query<Pairs>,
    models: Models,
    db: Db,
) -> Result<impl Reply> {
    let shown = models.find(&blueprint, &model)?;
    let list = changelist(shown, models.registry()?, &asked, &db).await?;
    Ok(render(
        "admin/changelist.html",
        context! { model => Named::new(shown), list },
    ))
}

async fn detail(
    Path((blueprint, model, pk)): Path<(String, String, String)>,
    models: Models,
    db: Db,
) -> Result<impl Reply> {
    let shown = models.find(&blueprint, &model)?;
    let missing = || Error::not_found("There is no such row.");
    let key = Choice::field(shown.meta, shown.meta.pk);
    let condition = key.is(&pk).filter(|_| !key.sensitive).ok_or_else(missing)?;
    let (name, fields) = (name_of(shown.meta), Choice::fields(shown.meta));
    let mut query = query_of(shown.meta, [&name].into_iter().chain(&fields));
    query.and(condition);
    query.limit = Some(1);
    let mut rows = db.read(vec![Statement::Select(query)]).await?;
    let mut values = rows
        .pop()
        .and_then(|mut rows| rows.pop())
        .ok_or_else(missing)?
        .into_iter();
    let title = values.next().map(|value| show::text(&value)).unwrap_or_default();
    let cells = cells(&fields, values, models.registry()?, usize::MAX)?;
    Ok(render(
        "admin/detail.html",
        context! { model => Named::new(shown), title, cells },
    ))
}

async fn style() -> Response {
    let mut response = content("text/css; charset=utf-8", STYLE);
    // The address carries the version.
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
    response
}
