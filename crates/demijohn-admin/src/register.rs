//! Which models the admin shows, and how.

use demijohn_core::check::Finding;
use demijohn_core::site::{Assemble, Part, Phase, Site};
use demijohn_model::meta::ModelMeta;
use demijohn_model::tape::{Node, Op, Part as DatePart};
use demijohn_model::value::Kind;
use demijohn_orm::erased::Choice;
use demijohn_orm::{IntoOrder, Model, ModelRegistry, Select};
use std::marker::PhantomData;
use std::sync::Arc;

/// Adds `.admin(..)` to the site and to blueprints.
pub trait AdminExt: Assemble {
    /// Shows a model in the admin, if the site mounts one.
    #[must_use]
    fn admin<M: Model>(self, admin: ModelAdmin<M>) -> Self {
        self.with(admin)
    }
}

impl<T: Assemble> AdminExt for T {}

/// How the admin shows the rows of a model (Django's `ModelAdmin`).
///
/// Closures name fields as in a queryset: `|a| (a.title, a.author().name)`.
pub struct ModelAdmin<M> {
    shown: Shown,
    faults: Vec<Finding>,
    _model: PhantomData<fn() -> M>,
}

/// What is known of it when its type is forgotten.
pub(crate) struct Shown {
    /// The blueprint that it belongs to; `site` for the site itself.
    pub(crate) blueprint: String,
    pub(crate) meta: &'static ModelMeta,
    pub(crate) columns: Vec<Choice>,
    pub(crate) search: Vec<Choice>,
    pub(crate) filters: Vec<Choice>,
    /// The order of the list, before the model's own.
    pub(crate) ordering: Vec<Node>,
}

impl<M: Model> Default for ModelAdmin<M> {
    fn default() -> Self {
        ModelAdmin::new()
    }
}

impl<M: Model> ModelAdmin<M> {
    /// The primary key and the first fields of each row; no search and no filters.
    pub fn new() -> Self {
        let meta = M::meta();
        let short = |choice: &Choice| {
            let field = meta.fields.iter().find(|field| field.name == choice.key);
            field.is_some_and(|field| !field.multiline && field.kind != Kind::Bytes)
        };
        let (mut columns, rest): (Vec<_>, Vec<_>) = Choice::fields(meta)
            .into_iter()
            .partition(|choice| choice.key == meta.pk_field().name);
        columns.extend(rest.into_iter().filter(short).take(FIRST_FIELDS));
        ModelAdmin {
            shown: Shown {
                blueprint: String::new(),
                meta,
                columns,
                search: Vec::new(),
                filters: Vec::new(),
                ordering: Vec::new(),
            },
            faults: Vec::new(),
            _model: PhantomData,
        }
    }

    /// The columns of the list: fields of the model, fields behind foreign keys, expressions.
    #[must_use]
    pub fn list_display<S: Select<M>>(mut self, columns: impl FnOnce(M::Fields) -> S) -> Self {
        self.shown.columns = self.take("list_display", Choice::of(columns), |choice| match choice.many {
            true => Some((
                "admin.E109",
                "leads to many rows; show a count of them, or a field of this model",
            )),
            false => None,
        });
        self
    }

    /// The text fields that `?q=` searches: a row is found when each word is in one of them, in any case.
    #[must_use]
    pub fn search_fields<S: Select<M>>(mut self, fields: impl FnOnce(M::Fields) -> S) -> Self {
        self.shown.search = self.take("search_fields", Choice::of(fields), |choice| match choice.kind {
            Some(Kind::Text) | None => None,
            Some(_) => Some(("admin.E004", "is no text; name fields that hold text")),
        });
        self
    }

    /// What the list can be narrowed by: fields, foreign keys, and to-many relations. Dates are offered by year.
    #[must_use]
    pub fn list_filter<S: Select<M>>(mut self, fields: impl FnOnce(M::Fields) -> S) -> Self {
        let filters = self.take("list_filter", Choice::of(fields), |choice| {
            match choice.key.is_empty()
                || (choice.many && choice.leads_to.is_none())
                || choice.kind == Some(Kind::Bytes)
            {
                true => Some(("admin.E116", "cannot be offered; name a field, or the relation itself")),
                false => None,
            }
        });
        self.shown.filters = filters.into_iter().map(by_year).collect();
        self
    }

    /// The order of the list in place of the model's own: `|a| (a.author().name, a.title.desc())`. Headings change it.
    #[must_use]
    pub fn ordering<T: IntoOrder<M>>(mut self, order: impl FnOnce(M::Fields) -> T) -> Self {
        self.shown.ordering = order(M::fields()).orders();
        self
    }

    /// Keeps what is no fault of an option; the rest keeps the site from building.
    fn take(
        &mut self,
        option: &str,
        choices: Vec<Choice>,
        fault: impl Fn(&Choice) -> Option<(&'static str, &'static str)>,
    ) -> Vec<Choice> {
        let sensitive = ("admin.E003", "is sensitive, and never shown or searched; leave it out");
        let (kept, faulty): (Vec<_>, Vec<_>) = choices
            .into_iter()
            .map(|choice| (choice.sensitive.then_some(sensitive).or_else(|| fault(&choice)), choice))
            .partition(|(fault, _)| fault.is_none());
        for (fault, choice) in faulty {
            let (id, text) = fault.unwrap_or(sensitive);
            let message = format!("{option}: `{}` {text}", choice.label);
            self.faults.push(Finding::error(id, message).on(M::NAME));
        }
        kept.into_iter().map(|(_, choice)| choice).collect()
    }
}

/// Columns of a list that nobody described, besides the key.
const FIRST_FIELDS: usize = 4;

/// A moment is offered by its year.
fn by_year(choice: Choice) -> Choice {
    match choice.kind {
        Some(Kind::DateTime | Kind::NaiveDateTime | Kind::Date) => Choice {
            key: format!("{}__year", choice.key),
            node: choice.node.push(Op::Extract(DatePart::Year)),
            kind: Some(Kind::Int),
            ..choice
        },
        _ => choice,
    }
}

impl<M: Model> Part for ModelAdmin<M> {
    fn install(mut self: Box<Self>, site: &mut Site) {
        for fault in self.faults {
            site.on_build(Phase::Derive, |_| Err(fault));
        }
        self.shown.blueprint = match site.scope().blueprint.as_str() {
            "" => "site".to_owned(),
            name => name.to_owned(),
        };
        let registry: &mut Registry = site.entry();
        registry.0.push(Arc::new(self.shown));
        if registry.0.len() == 1 {
            site.checks.add("admin", |bag, _, findings| {
                if let Some(registry) = bag.get::<Registry>() {
                    let models = bag.get::<ModelRegistry>().map(ModelRegistry::metas).unwrap_or_default();
                    registry.check(&models, findings);
                }
            });
        }
    }
}

/// All models that the admin of a site shows.
#[derive(Default)]
pub(crate) struct Registry(Vec<Arc<Shown>>);

impl Registry {
    /// The models, by blueprint.
    pub(crate) fn groups(&self) -> Vec<(&str, Vec<&Shown>)> {
        let mut groups: Vec<(&str, Vec<&Shown>)> = Vec::new();
        for shown in &self.0 {
            match groups.iter_mut().find(|(name, _)| *name == shown.blueprint) {
                Some((_, models)) => models.push(shown),
                None => groups.push((&shown.blueprint, vec![shown])),
            }
        }
        groups
    }

    /// The model of this name in this blueprint, as paths have them.
    pub(crate) fn find(&self, blueprint: &str, model: &str) -> Option<&Arc<Shown>> {
        let mut shown = self.0.iter();
        shown.find(|shown| shown.blueprint == blueprint && shown.name() == model)
    }

    /// Where rows of a model are shown, if they are.
    pub(crate) fn of(&self, meta: &ModelMeta) -> Option<&Shown> {
        self.0.iter().find(|shown| shown.meta.is(meta)).map(|shown| &**shown)
    }

    fn check(&self, models: &[&'static ModelMeta], findings: &mut Vec<Finding>) {
        for (i, shown) in self.0.iter().enumerate() {
            let twice = self.0[..i]
                .iter()
                .any(|other| other.blueprint == shown.blueprint && other.name() == shown.name());
            if twice {
                let message = format!("{} is registered twice in `{}`", shown.meta.name, shown.blueprint);
                findings.push(Finding::error("admin.E001", message).hint("call `.admin(..)` once for each model"));
            }
            if !models.iter().any(|known| known.is(shown.meta)) {
                let message = format!("the admin shows {}, which is no model of the site", shown.meta.name);
                let hint = format!("add it to a blueprint: `.models(models![{}])`", shown.meta.name);
                findings.push(Finding::error("admin.E002", message).on(shown.meta.name).hint(hint));
            }
        }
    }
}

impl Shown {
    /// The model's name as paths have it.
    pub(crate) fn name(&self) -> String {
        self.meta.name.to_lowercase()
    }
}
