//! What `#[model]` implements.

use crate::db::Db;
use crate::expr::Reach;
use crate::queryset::QuerySet;
use crate::select::IntoSets;
use crate::write;
use demijohn_core::BoxFuture;
use demijohn_model::Result;
use demijohn_model::field::FieldType;
use demijohn_model::meta::ModelMeta;
use demijohn_model::row::Cursor;
use demijohn_model::tape::{Path, Query};
use demijohn_model::value::Value;
use std::panic::Location;

/// The columns and relations of a model as a closure sees them.
pub trait Fields: Copy {
    /// The model that the query is on.
    type Root;
    /// The model that these are the fields of.
    type Model: Model;
    /// The way from the one to the other.
    fn path(&self) -> Path;
    /// The fields at the end of a path.
    fn at(path: Path) -> Self;
}

/// A struct under `#[model]`.
#[diagnostic::on_unimplemented(message = "`{Self}` is not a model", note = "put `#[model]` on the struct")]
pub trait Model: Sized + Send + Sync + 'static {
    /// The type of the primary key.
    type Pk: FieldType<Opt = Option<Self::Pk>, Rust = Self::Pk> + Clone + Eq + std::hash::Hash + Send + Sync;
    /// Its columns.
    type Fields: Fields<Root = Self, Model = Self>;
    /// The columns as they are at the end of a path from `R`.
    type FieldsAt<R: 'static, N: Reach>: Fields<Root = R, Model = Self>;
    /// The struct's name.
    const NAME: &'static str;
    /// Fields that a new row must be given, with the message for each.
    #[doc(hidden)]
    const REQUIRED: &'static [(&'static str, &'static str)];

    /// The metadata.
    fn meta() -> &'static ModelMeta;
    /// The value of the primary key.
    fn pk(&self) -> Self::Pk;
    /// Reads one row's columns, in the order of the metadata's fields.
    #[doc(hidden)]
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self>;
    /// The values of all columns, in the order of the metadata's fields.
    #[doc(hidden)]
    fn values(&self) -> Vec<Value>;

    /// The columns, for conditions built outside a closure.
    fn fields() -> Self::Fields {
        Self::Fields::at(Path::ROOT)
    }

    /// All rows.
    #[track_caller]
    fn objects() -> QuerySet<Self> {
        QuerySet::whole(Query::new(Self::meta()), Location::caller())
    }

    /// Writes every column of this row; `update` writes only what it is given and cannot clobber the others.
    ///
    /// # Errors
    /// When there is no such row any more, or the database refuses.
    fn save<'a>(&'a mut self, db: &'a Db) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            *self = write::save(self, db).await?;
            Ok(())
        })
    }

    /// Sets some columns of this row and refreshes the struct from what the database then holds.
    ///
    /// # Errors
    /// When there is no such row any more, or the database refuses.
    fn update<'a, S: IntoSets<Self>>(
        &'a mut self,
        db: &'a Db,
        assign: impl FnOnce(Self::Fields) -> S,
    ) -> BoxFuture<'a, Result<()>> {
        let sets = assign(Self::fields()).sets();
        Box::pin(async move {
            *self = write::update_one(self, db, sets).await?;
            Ok(())
        })
    }

    /// Reads this row again.
    ///
    /// # Errors
    /// When there is no such row any more.
    fn refresh<'a>(&'a mut self, db: &'a Db) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            *self = write::by_pk::<Self>(self.pk().to_value()).get(db).await?;
            Ok(())
        })
    }

    /// Deletes this row, and what its relations say must go with it.
    ///
    /// # Errors
    /// When the database refuses, because a protected relation points here.
    fn delete<'a>(&'a self, db: &'a Db) -> BoxFuture<'a, Result<u64>> {
        write::by_pk::<Self>(self.pk().to_value()).delete(db)
    }
}
