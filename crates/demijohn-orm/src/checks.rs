//! What can be wrong with models that compile: names that clash, targets that nobody registered.
//!
//! The ids are Django's (<https://docs.djangoproject.com/en/5.2/ref/checks/#models>), where Django has the check. What the
//! macro `#[model]` sees by itself (a missing `max_length`, an ordering by no column, a `set_null` that cannot be) is a
//! compile error and never comes here.

use crate::part::ModelRegistry;
use demijohn_core::check::Finding;
use demijohn_model::meta::{ModelMeta, OnDelete, RelationKind, RelationMeta};
use std::collections::HashMap;

/// PostgreSQL cuts longer names silently, MariaDB refuses them.
const MAX_NAME_BYTES: usize = 63;

pub(crate) fn check(registry: &ModelRegistry, findings: &mut Vec<Finding>) {
    let mut faults = Faults(findings);
    let models = registry.metas();
    tables(&models, &mut faults);
    same_names(registry, &mut faults);
    for model in &models {
        model_name(model, &mut faults);
        columns(model, &mut faults);
        for relation in model.relations {
            target(model, relation, &models, &mut faults);
        }
    }
    ways_back(&models, &mut faults);
}

struct Faults<'f>(&'f mut Vec<Finding>);

impl Faults<'_> {
    /// An error of a model, told with the place where it is written.
    fn of(&mut self, model: &ModelMeta, id: &'static str, message: String, hint: impl Into<String>) {
        let object = format!("{} ({}:{})", model.name, model.file, model.line);
        self.0.push(Finding::error(id, message).on(object).hint(hint));
    }

    fn of_field(&mut self, model: &ModelMeta, field: &str, id: &'static str, message: String, hint: impl Into<String>) {
        let object = format!("{}.{field} ({}:{})", model.name, model.file, model.line);
        self.0.push(Finding::error(id, message).on(object).hint(hint));
    }
}

/// Two models in one table, or a table between two models that is taken. Databases do not all tell `Tag` from `tag`.
fn tables(models: &[&'static ModelMeta], faults: &mut Faults<'_>) {
    let mut owners: HashMap<String, &'static ModelMeta> = HashMap::new();
    for model in models {
        if model.table.is_empty() {
            let hint = "name it, or leave the option out: `#[model(table = \"..\")]`";
            faults.of(model, "models.E900", "its table has no name".to_owned(), hint);
        }
        if let Some(other) = owners.insert(model.table.to_lowercase(), model) {
            let message = format!("table `{}` belongs to {other:?} already", model.table);
            let hint = "give one of them another table: `#[model(table = \"..\")]`";
            faults.of(model, "models.E028", message, hint);
        }
        name_length(model, None, model.table, faults);
    }
    let mut between: HashMap<String, String> = HashMap::new();
    for model in models {
        for relation in model.relations {
            let RelationKind::ManyToMany { through } = relation.kind else {
                continue;
            };
            let here = format!("{}.{}", model.name, relation.name);
            let hint = "give it another table: `#[field(table = \"..\")]`";
            let owner = owners
                .get(&through.table.to_lowercase())
                .map(|other| format!("{other:?}"));
            let owner = owner.or_else(|| between.get(&through.table.to_lowercase()).cloned());
            if let Some(owner) = owner {
                let message = format!(
                    "the table between the two, `{}`, belongs to {owner} already",
                    through.table
                );
                faults.of_field(model, relation.name, "fields.E340", message, hint);
            }
            between.insert(through.table.to_lowercase(), here);
            name_length(model, Some(relation.name), through.table, faults);
        }
    }
}

/// Addresses in the admin and names of permissions are made of the blueprint's name and the model's.
fn same_names(registry: &ModelRegistry, faults: &mut Faults<'_>) {
    let mut seen: HashMap<(String, String), &'static ModelMeta> = HashMap::new();
    for (blueprint, model) in registry.iter() {
        if let Some(other) = seen.insert((blueprint.to_owned(), model.name.to_lowercase()), model) {
            let message = match blueprint {
                "" => format!("the site has a model of this name already, {other:?}"),
                blueprint => format!("the blueprint `{blueprint}` has a model of this name already, {other:?}"),
            };
            faults.of(
                model,
                "models.E901",
                message,
                "rename one of them, or register it in another blueprint",
            );
        }
    }
}

fn model_name(model: &ModelMeta, faults: &mut Faults<'_>) {
    if model.name.starts_with('_') || model.name.ends_with('_') {
        let message = "the name of a model does not begin or end with an underscore: lookups are written with them";
        faults.of(model, "models.E023", message.to_owned(), "rename the struct");
    }
    if model.name.contains("__") {
        let message = "the name of a model has no two underscores in a row: lookups are written with them";
        faults.of(model, "models.E024", message.to_owned(), "rename the struct");
    }
}

fn columns(model: &ModelMeta, faults: &mut Faults<'_>) {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for field in model.fields {
        if let Some(other) = seen.insert(field.column.to_lowercase(), field.name) {
            let message = format!("column `{}` is that of the field `{other}` already", field.column);
            let hint = "give one of them another column: `#[field(column = \"..\")]`";
            faults.of_field(model, field.name, "models.E007", message, hint);
        }
        name_length(model, Some(field.name), field.column, faults);
    }
}

fn name_length(model: &ModelMeta, field: Option<&str>, name: &str, faults: &mut Faults<'_>) {
    if name.len() <= MAX_NAME_BYTES {
        return;
    }
    let message = format!(
        "`{name}` has {} bytes, and names in a database have {MAX_NAME_BYTES} at most",
        name.len()
    );
    match field {
        Some(field) => {
            let hint = "shorten it by `#[field(column = \"..\")]`, or `table = \"..\"` for a many-to-many field";
            faults.of_field(model, field, "models.E018", message, hint);
        }
        None => faults.of(model, "models.E018", message, "shorten it: `#[model(table = \"..\")]`"),
    }
}

fn target(model: &ModelMeta, relation: &RelationMeta, models: &[&'static ModelMeta], faults: &mut Faults<'_>) {
    let target = (relation.target)();
    if !models.iter().any(|known| known.is(target)) {
        let message = format!("`{}` points to {}, which is not registered", relation.name, target.name);
        let hint = format!("add it to a blueprint: `.models(models![{}])`", target.name);
        faults.of(model, "fields.E300", message, hint);
    }
    if let RelationKind::ToOne {
        null: false,
        on_delete: OnDelete::SetNull,
        ..
    } = relation.kind
    {
        let message = format!("`{}` is set to NULL on delete, but cannot be NULL", relation.name);
        let hint = format!(
            "make it `Option<ForeignKey<{}>>`, or choose another on_delete",
            target.name
        );
        faults.of(model, "fields.E320", message, hint);
    }
}

/// The way back is a name on the target, where fields and other ways back have theirs.
fn ways_back(models: &[&'static ModelMeta], faults: &mut Faults<'_>) {
    let mut taken: HashMap<(usize, &str), String> = HashMap::new();
    for model in models {
        for relation in model.relations {
            let name = relation.related_name;
            if name.is_empty() {
                continue;
            }
            let target = (relation.target)();
            let here = format!("{}.{}", model.name, relation.name);
            if name.ends_with('_') {
                let message =
                    format!("`related_name = \"{name}\"` ends with an underscore: lookups are written with it");
                faults.of_field(
                    model,
                    relation.name,
                    "fields.E308",
                    message,
                    "choose another `related_name`",
                );
            }
            if name.contains("__") {
                let message =
                    format!("`related_name = \"{name}\"` has two underscores in a row: lookups are written with them");
                faults.of_field(
                    model,
                    relation.name,
                    "fields.E309",
                    message,
                    "choose another `related_name`",
                );
            }
            if let Some(other) = taken.insert((std::ptr::from_ref(target).addr(), name), here.clone()) {
                let message = format!(
                    "{here} and {other} both call their way back from {} `{name}`",
                    target.name
                );
                faults.of(model, "fields.E304", message, "give one of them another `related_name`");
            }
            let is_relation = target.relations.iter().any(|other| other.name == name);
            if is_relation || target.field(name).is_some() {
                let message = format!(
                    "the way back of {here}, `{name}`, is a field of {} already",
                    target.name
                );
                faults.of(model, "fields.E302", message, "choose another `related_name`");
            }
        }
    }
}
