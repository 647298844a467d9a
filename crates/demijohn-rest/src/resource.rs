//! Which models are resources, and what may be asked of them.

use demijohn_core::check::Finding;
use demijohn_core::site::{Assemble, Part, Phase, Site};
use demijohn_model::meta::ModelMeta;
use demijohn_model::tape::{Node, Op};
use demijohn_orm::erased::Choice;
use demijohn_orm::{Model, ModelRegistry, Predicate, Select};
use std::marker::PhantomData;
use std::sync::Arc;

/// Adds `.resource(..)` to the site and to blueprints.
pub trait ResourceExt: Assemble {
    /// Makes a model a resource of the API, if the site mounts one.
    #[must_use]
    fn resource<M: Model>(self, resource: Resource<M>) -> Self {
        self.with(resource)
    }
}

impl<T: Assemble> ResourceExt for T {}

/// A model as a resource (a viewset and its serializer in Django REST framework).
///
/// Closures name fields as in a queryset: `|a| (a.title, a.author().name)`.
pub struct Resource<M> {
    exposed: Exposed,
    faults: Vec<Finding>,
    _model: PhantomData<fn() -> M>,
}

/// What is known of it when its type is forgotten.
pub(crate) struct Exposed {
    /// Its part of the path.
    pub(crate) name: String,
    pub(crate) meta: &'static ModelMeta,
    /// What an answer has of each row.
    pub(crate) fields: Vec<Choice>,
    /// What lists may be narrowed by.
    pub(crate) filters: Vec<Choice>,
    /// What lists may be ordered by.
    pub(crate) ordering: Vec<Choice>,
    /// Which rows there are at all.
    pub(crate) rows: Option<Node>,
    /// Rows of a list that asks for no number of them.
    pub(crate) default_limit: u64,
    /// Rows of a list at most.
    pub(crate) max_limit: u64,
}

/// Names in the query string of a list that are no fields.
pub(crate) const RESERVED: [&str; 3] = ["limit", "offset", "ordering"];

impl<M: Model> Resource<M> {
    /// All fields of the model but the sensitive ones; lists can be ordered by them, and narrowed by none.
    pub fn new(name: impl Into<String>) -> Self {
        let fields = Choice::fields(M::meta());
        let mut resource = Resource {
            exposed: Exposed {
                name: name.into(),
                meta: M::meta(),
                ordering: fields.clone(),
                fields,
                filters: Vec::new(),
                rows: None,
                default_limit: 100,
                max_limit: 1000,
            },
            faults: Vec::new(),
            _model: PhantomData,
        };
        let name = &resource.exposed.name;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            let message = format!("the name `{name}` cannot be a part of a path");
            let hint = "use letters, digits, `-` and `_`: `Resource::new(\"articles\")`";
            resource
                .faults
                .push(Finding::error("rest.E002", message).on(M::NAME).hint(hint));
        }
        resource
    }

    /// The fields of an answer: those of the model, and of rows behind foreign keys (as `author__name`).
    #[must_use]
    pub fn fields<S: Select<M>>(mut self, fields: impl FnOnce(M::Fields) -> S) -> Self {
        self.exposed.fields = self.take("fields", Choice::of(fields), |choice| choice.many);
        self
    }

    /// What lists may be narrowed by, by equality: `.filter_fields(|a| (a.author, a.tags()))` allows `?author=7&tags=3`.
    #[must_use]
    pub fn filter_fields<S: Select<M>>(mut self, fields: impl FnOnce(M::Fields) -> S) -> Self {
        let taken = |choice: &Choice| RESERVED.contains(&choice.key.as_str());
        self.exposed.filters = self.take("filter_fields", Choice::of(fields), taken);
        self
    }

    /// What lists may be ordered by, `?ordering=-published_at,title`, in place of all fields of an answer.
    #[must_use]
    pub fn ordering_fields<S: Select<M>>(mut self, fields: impl FnOnce(M::Fields) -> S) -> Self {
        self.exposed.ordering = self.take("ordering_fields", Choice::of(fields), |choice| choice.many);
        self
    }

    /// The rows that the resource has: others are in no list, and 404.
    #[must_use]
    pub fn filter<P: Predicate<M>>(mut self, condition: impl FnOnce(M::Fields) -> P) -> Self {
        let condition = condition(M::fields()).into_condition();
        self.exposed.rows = Some(match self.exposed.rows.take() {
            Some(before) => before.then(condition).push(Op::And),
            None => condition,
        });
        self
    }

    /// How many rows a list has when it asks for no number of them: 100 unless set.
    #[must_use]
    pub fn default_limit(mut self, rows: u64) -> Self {
        self.exposed.default_limit = rows;
        self
    }

    /// How many rows a list has at most: 1,000 unless set. Who asks for more is told so by a 400.
    #[must_use]
    pub fn max_limit(mut self, rows: u64) -> Self {
        self.exposed.max_limit = rows;
        self
    }

    /// Keeps what is no fault of an option; the rest keeps the site from building.
    fn take(&mut self, option: &str, choices: Vec<Choice>, unfit: impl Fn(&Choice) -> bool) -> Vec<Choice> {
        choices
            .into_iter()
            .filter(|choice| {
                let (id, text) = match choice.sensitive {
                    true => ("rest.E003", "is sensitive, and never told or asked for; leave it out"),
                    false if choice.key.is_empty() || unfit(choice) => (
                        "rest.E004",
                        "cannot be used here; name a field with one value and a name of its own",
                    ),
                    false => return true,
                };
                let message = format!("{option}: `{}` {text}", choice.label);
                self.faults.push(Finding::error(id, message).on(M::NAME));
                false
            })
            .collect()
    }
}

impl<M: Model> Part for Resource<M> {
    fn install(self: Box<Self>, site: &mut Site) {
        for fault in self.faults {
            site.on_build(Phase::Derive, |_| Err(fault));
        }
        let registry: &mut Registry = site.entry();
        registry.0.push(Arc::new(self.exposed));
        if registry.0.len() == 1 {
            site.on_build(Phase::Derive, |site| site.entry::<Registry>().no_name_twice());
            site.checks.add("rest", |bag, _, findings| {
                if let Some(registry) = bag.get::<Registry>() {
                    let models = bag.get::<ModelRegistry>().map(ModelRegistry::metas).unwrap_or_default();
                    registry.check(&models, findings);
                }
            });
        }
    }
}

/// All resources of a site.
#[derive(Default)]
pub(crate) struct Registry(pub(crate) Vec<Arc<Exposed>>);

impl Registry {
    fn no_name_twice(&self) -> Result<(), Finding> {
        for (i, exposed) in self.0.iter().enumerate() {
            if let Some(other) = self.0[..i].iter().find(|other| other.name == exposed.name) {
                let message = format!(
                    "{} and {} are both called `{}`",
                    other.meta.name, exposed.meta.name, exposed.name
                );
                return Err(Finding::error("rest.E001", message)
                    .on(exposed.meta.name)
                    .hint("give one of them another name: `Resource::new(\"..\")`"));
            }
        }
        Ok(())
    }

    fn check(&self, models: &[&'static ModelMeta], findings: &mut Vec<Finding>) {
        for exposed in &self.0 {
            if !models.iter().any(|known| known.is(exposed.meta)) {
                let model = exposed.meta.name;
                let message = format!(
                    "the resource `{}` is of {model}, which is no model of the site",
                    exposed.name
                );
                let hint = format!("add it to a blueprint: `.models(models![{model}])`");
                findings.push(Finding::error("rest.E005", message).on(model).hint(hint));
            }
        }
    }
}
