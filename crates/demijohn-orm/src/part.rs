//! The door to the site: models of blueprints, the database as a handler argument, tables at start.

use crate::db::Db;
use crate::model::Model;
use crate::queryset::QuerySet;
use demijohn_core::check::nearest;
use demijohn_core::settings::Key;
use demijohn_core::site::{Assemble, Part, Phase, Site};
use demijohn_core::{BoxFuture, Extract, Needs, Rejection, Request};
use demijohn_model::driver::Drivers;
use demijohn_model::meta::ModelMeta;

/// The site's database.
pub const DATABASE_URL: Key<String> = Key::new(
    "DATABASE_URL",
    "",
    "the database: `sqlite:///abs/path.db`, `sqlite://rel.db`, `sqlite::memory:`; when empty and there are models, `sqlite://db.sqlite3`",
);

/// Adds `.models(..)` to the site and to blueprints.
pub trait ModelsExt: Assemble {
    /// Registers models: `.models(models![Article, Tag])`.
    #[must_use]
    fn models<const K: usize>(self, models: [fn() -> &'static ModelMeta; K]) -> Self {
        self.with(Models(models.to_vec()))
    }
}

impl<T: Assemble> ModelsExt for T {}

/// Models of a blueprint, as a part.
pub struct Models(pub Vec<fn() -> &'static ModelMeta>);

impl Part for Models {
    fn install(self: Box<Self>, site: &mut Site) {
        let blueprint = site.scope().blueprint.clone();
        let registry: &mut ModelRegistry = site.entry();
        for meta in self.0 {
            registry.add(&blueprint, meta());
        }
    }
}

/// All models of a site, in the order of their registration.
#[derive(Default)]
pub struct ModelRegistry {
    models: Vec<(String, &'static ModelMeta)>,
    /// Nobody registers any more.
    complete: bool,
}

impl ModelRegistry {
    fn add(&mut self, blueprint: &str, meta: &'static ModelMeta) {
        if !self.models.iter().any(|(_, known)| known.is(meta)) {
            self.models.push((blueprint.to_owned(), meta));
        }
    }

    /// The model `Article` that the blueprint `blog` registered, by `"blog.Article"`; by `"Article"` one of the site itself.
    ///
    /// For names that come as text: in commands, in exported data. Capitals of the model's name do not matter.
    ///
    /// # Errors
    /// When there is none, with the nearest name; and while the site is being put together, when nobody can know all models yet.
    pub fn find(&self, label: &str) -> demijohn_model::Result<&'static ModelMeta> {
        if !self.complete {
            return Err(demijohn_model::Error::usage(format!(
                "`{label}` was looked up before all models were registered: do it when the site is built, in a handler, a command, or a build step"
            )));
        }
        let (blueprint, name) = label.rsplit_once('.').unwrap_or(("", label));
        let mut models = self.iter();
        if let Some((_, meta)) = models.find(|(b, meta)| *b == blueprint && meta.name.eq_ignore_ascii_case(name)) {
            return Ok(meta);
        }
        let labels: Vec<String> = self.iter().map(|(b, meta)| format!("{b}.{}", meta.name)).collect();
        let labels = labels.iter().map(|label| label.trim_start_matches('.'));
        let near = nearest(label, labels)
            .map(|near| format!("; did you mean `{near}`?"))
            .unwrap_or_default();
        Err(demijohn_model::Error::usage(format!(
            "no model `{label}` is registered{near}"
        )))
    }

    /// The models, each with the blueprint that registered it first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'static ModelMeta)> {
        self.models.iter().map(|(blueprint, meta)| (blueprint.as_str(), *meta))
    }

    /// The metadata of all models.
    pub fn metas(&self) -> Vec<&'static ModelMeta> {
        self.models.iter().map(|(_, meta)| *meta).collect()
    }
}

/// The database part: opens what `DATABASE_URL` names with the drivers that are there, creates missing tables at
/// start, checks models, and makes [`Db`] a handler argument.
#[derive(Default)]
pub struct Loader;

impl Part for Loader {
    fn install(self: Box<Self>, site: &mut Site) {
        site.checks.add("models", |bag, _, findings| {
            if let Some(registry) = bag.get::<ModelRegistry>() {
                crate::checks::check(registry, findings);
            }
        });
        site.settings_mut().declare(&DATABASE_URL);
        site.on_start(|bag| async move { Loader::create_tables(&bag).await });
        site.on_build(Phase::Provide, |site| {
            if let Some(registry) = site.bag_mut().get_mut::<ModelRegistry>() {
                registry.complete = true;
            }
            let mut url: String = site.settings().value(&DATABASE_URL)?;
            if url.is_empty() {
                if site.bag().get::<ModelRegistry>().is_none() {
                    return Ok(());
                }
                url = "sqlite://db.sqlite3".to_owned();
            }
            if site.bag().get::<Db>().is_none() {
                let drivers = site.entry::<Drivers>().clone();
                site.bag_mut().insert(Db::lazy(url, drivers));
            }
            Ok(())
        });
    }
}

impl Loader {
    /// Creates the tables that are missing. Migrations will take its place.
    ///
    /// # Errors
    /// When the database cannot be opened or refuses.
    pub async fn create_tables(bag: &demijohn_core::Bag) -> demijohn_core::Result<()> {
        let (Some(db), Some(registry)) = (bag.get::<Db>(), bag.get::<ModelRegistry>()) else {
            return Ok(());
        };
        let statements = demijohn_sql::create_tables(&registry.metas(), db.dialect()?);
        if !statements.is_empty() {
            db.execute_script(statements.join(";\n")).await?;
        }
        Ok(())
    }
}

impl Extract for Db {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        Ok(request.provided::<Db>()?.clone())
    }

    fn needs(needs: &mut Needs) {
        needs.provider::<Db>(
            "register models (`.models(models![..])`) or set DATABASE_URL, and enable a driver's feature (`sqlite`)",
        );
    }
}

/// The only row of a query, or 404 for the client (Django's `get_object_or_404`).
///
/// # Errors
/// 404 when there is no row; 500 when there are several or the database fails.
pub fn get_or_404<'a, M: Model, O: Send + 'static>(
    query: QuerySet<M, O>,
    db: &'a Db,
) -> BoxFuture<'a, demijohn_core::Result<O>> {
    let row = query.get(db);
    Box::pin(async move {
        row.await.map_err(|error| match error.is_not_found() {
            true => {
                demijohn_core::Error::not_found(format!("No {} matches the given query.", M::NAME)).with_source(error)
            }
            false => error.into(),
        })
    })
}
