//! The ORM: models, querysets and the database handle.
//!
//! A model is a plain struct under `#[model]`. Its columns are reached through a closure: `a.title` is a column,
//! `a.author()` is a step over a relation, a JOIN that can be seen.
//!
//! ```ignore
//! let articles = Article::objects()
//!     .select_related(|a| a.author())
//!     .filter(|a| a.title.icontains("rust") & a.author().email.ne(""))
//!     .order_by(|a| a.published_at.desc())
//!     .limit(10)
//!     .all(&db)
//!     .await?;
//! ```
//!
//! What is loaded is in the type or is an explicit error, never a hidden query. A query is a value: it does nothing
//! until a method that takes `&db` is awaited. A transaction is another [`Db`].

mod checks;
mod db;
pub mod erased;
mod expr;
pub mod faults;
mod lookup;
mod model;
mod part;
mod plan;
mod queryset;
mod relation;
mod select;
mod shape;
mod write;

pub use db::{Batch, Db, Tx};
pub use demijohn_model::driver::Dialect;
pub use demijohn_model::error::Constraint;
pub use demijohn_model::{Date, DateTime, Error, NaiveDateTime, Result, Time, field, meta};
pub use expr::{
    Case, Column, Expr, IntoExpr, Joined, Nullable, Order, Outer, Own, OwnColumn, Predicate, Q, Reach, Set, Typed,
    case, count_all, exists, outer, subquery,
};
pub use lookup::resolve;
pub use model::{Fields, Model};
pub use part::{DATABASE_URL, Loader, ModelRegistry, Models, ModelsExt, get_or_404};
pub use plan::Reader;
pub use queryset::{Grouped, QuerySet};
pub use relation::{ForeignKey, Key, Many, ManyToMany, Prefetch, Prefetchable, RelatedManager};
pub use select::{ColumnList, Gives, IntoOrder, IntoSets, OneColumn, OneOrder, Projection, Select, Selection, gives};
pub use write::{Draft, Insert, check_required};

/// What macros name; not for people.
#[doc(hidden)]
pub mod private {
    pub use demijohn_model::field::FieldType;
    pub use demijohn_model::meta::{
        Erased, FieldMeta, Hop, IndexMeta, ModelMeta, ModelOps, OnDelete, OrderMeta, RelationKind, RelationMeta,
        Through, hop_id,
    };
    pub use demijohn_model::row::Cursor;
    pub use demijohn_model::tape::{Node, Path};
    pub use demijohn_model::value::{Kind, Value};
}

/// Where macros find this crate: the facade has it under the same name.
#[doc(hidden)]
pub mod __private {
    pub mod orm {
        pub use crate::*;
    }
}

/// A list of models for [`ModelsExt::models`].
#[macro_export]
macro_rules! models {
    ($($model:path),* $(,)?) => { [$(<$model as $crate::Model>::meta as fn() -> &'static $crate::meta::ModelMeta),*] };
}

/// A new row, field by field; `.save(&db)` inserts it. `name` is short for `name: name`, as in struct literals.
///
/// A misspelt field, a wrong type and a missing required field are compile errors.
#[macro_export]
macro_rules! new {
    ($model:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {{
        const _: () = $crate::check_required(<$model as $crate::Model>::REQUIRED, &[$(stringify!($field)),*]);
        let fields = <$model as $crate::Model>::fields();
        let mut draft = $crate::Draft::<$model>::empty();
        $( draft.put(fields.$field.set($crate::__value!($field $(, $value)?))); )*
        draft
    }};
}

/// The value of a field of [`new!`], or the variable of its name.
#[doc(hidden)]
#[macro_export]
macro_rules! __value {
    ($field:ident) => {
        $field
    };
    ($field:ident, $value:expr) => {
        $value
    };
}
