//! Relation fields, to-many paths, and what was loaded for them.

use crate::db::Db;
use crate::expr::{Expr, IntoExpr, Predicate, Q};
use crate::model::{Fields, Model};
use crate::plan::ChildQuery;
use crate::queryset::{QuerySet, child_query};
use crate::select::{IntoOrder, Select};
use crate::write;
use demijohn_core::BoxFuture;
use demijohn_model::error::At;
use demijohn_model::field::FieldType;
use demijohn_model::meta::{Erased, Hop, Through};
use demijohn_model::row::Cursor;
use demijohn_model::tape::{Node, Op, Path, Query};
use demijohn_model::value::{Kind, Value, ValueRef};
use demijohn_model::{Error, Result};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::OnceLock;

/// A foreign key: the key is always there, the object when the query loaded it.
///
/// `article.author` is this value; `article.author.get()?` is the author if it was loaded and otherwise an error that
/// says what to write. There is no hidden query and no panic: `article.author.name` does not compile.
pub struct ForeignKey<T: Model> {
    key: T::Pk,
    loaded: OnceLock<Erased>,
    hop: Option<&'static Hop>,
    at: Option<At>,
}

impl<T: Model> ForeignKey<T> {
    /// A key without its object.
    pub fn of(key: T::Pk) -> Self {
        ForeignKey {
            key,
            loaded: OnceLock::new(),
            hop: None,
            at: None,
        }
    }

    /// Reads the column.
    #[doc(hidden)]
    pub fn decode(cursor: &mut Cursor<'_>, hop: &'static Hop) -> Result<Self> {
        let at = cursor.at();
        Ok(ForeignKey {
            key: cursor.next()?,
            loaded: OnceLock::new(),
            hop: Some(hop),
            at,
        })
    }

    /// Reads the column of a key that may be NULL.
    #[doc(hidden)]
    pub fn decode_opt(cursor: &mut Cursor<'_>, hop: &'static Hop) -> Result<Option<Self>> {
        let at = cursor.at();
        let key: Option<T::Pk> = match cursor.peek(0) {
            Some(ValueRef::Null) => {
                cursor.skip(1);
                None
            }
            _ => Some(cursor.next()?),
        };
        Ok(key.map(|key| ForeignKey {
            key,
            loaded: OnceLock::new(),
            hop: Some(hop),
            at,
        }))
    }

    /// Keeps the related object.
    #[doc(hidden)]
    pub fn attach(&mut self, object: Erased) {
        self.loaded = OnceLock::from(object);
    }

    /// The key, which is the related row's primary key.
    pub fn id(&self) -> T::Pk {
        self.key.clone()
    }

    /// The related object. It never queries.
    ///
    /// # Errors
    /// When the query did not load it; the message says what to add to which query.
    pub fn get(&self) -> Result<&T> {
        self.loaded
            .get()
            .and_then(|object| object.downcast_ref())
            .ok_or_else(|| match self.hop {
                Some(hop) => Error::not_loaded((hop.owner)().name, hop.relation().name, self.at),
                None => Error::not_loaded(T::NAME, "a key made by hand", None),
            })
    }

    /// The related object, fetched when it is not there yet.
    ///
    /// # Errors
    /// When it does not exist any more, or the database fails.
    pub async fn load(&self, db: &Db) -> Result<&T> {
        if self.loaded.get().is_none() {
            let object = write::by_pk::<T>(self.key.clone().to_value()).get(db).await?;
            let object: Erased = std::sync::Arc::new(object);
            // Somebody else may have been faster; both loaded the same row.
            let _ = self.loaded.set(object);
        }
        self.get()
    }
}

impl<T: Model> Clone for ForeignKey<T> {
    fn clone(&self) -> Self {
        ForeignKey {
            key: self.key.clone(),
            loaded: self.loaded.clone(),
            hop: self.hop,
            at: self.at,
        }
    }
}

impl<T: Model> std::fmt::Debug for ForeignKey<T>
where
    T::Pk: std::fmt::Debug,
{
    /// The key alone: what was loaded may lead back here.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({:?})", T::NAME, self.key)
    }
}

impl<R, T: Model> IntoExpr<Key<T>, R> for &ForeignKey<T> {
    fn into_node(self) -> Node {
        Node::param(self.key.clone().to_value())
    }
}

/// The column type of primary and foreign keys: keys of different models do not compare.
pub struct Key<M: Model>(pub M::Pk);

impl<M: Model> FieldType for Key<M> {
    type Base = Key<M>;
    type Opt = Option<Key<M>>;
    type Rust = M::Pk;
    const KIND: Kind = <M::Pk as FieldType>::KIND;
    fn from_value(value: ValueRef<'_>) -> Result<Self> {
        M::Pk::from_value(value).map(Key)
    }
    fn to_value(self) -> Value {
        self.0.to_value()
    }
}

/// A many-to-many field: empty until `prefetch_related` loads it; `article.tags()` queries and changes it.
pub struct ManyToMany<T> {
    loaded: Option<Erased>,
    hop: Option<&'static Hop>,
    at: Option<At>,
    _target: PhantomData<fn() -> T>,
}

impl<T> Default for ManyToMany<T> {
    fn default() -> Self {
        ManyToMany {
            loaded: None,
            hop: None,
            at: None,
            _target: PhantomData,
        }
    }
}

impl<T> Clone for ManyToMany<T> {
    fn clone(&self) -> Self {
        ManyToMany {
            loaded: self.loaded.clone(),
            hop: self.hop,
            at: self.at,
            _target: PhantomData,
        }
    }
}

impl<T> std::fmt::Debug for ManyToMany<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.loaded.is_some() {
            "ManyToMany(loaded)"
        } else {
            "ManyToMany(not loaded)"
        })
    }
}

impl<T: Model> ManyToMany<T> {
    /// Not loaded, in a row of a query.
    #[doc(hidden)]
    pub fn unloaded(cursor: &Cursor<'_>, hop: &'static Hop) -> Self {
        ManyToMany {
            loaded: None,
            hop: Some(hop),
            at: cursor.at(),
            _target: PhantomData,
        }
    }

    /// Keeps the related objects: an `Arc` of a `Vec<T>`.
    #[doc(hidden)]
    pub fn attach(&mut self, objects: Erased) {
        self.loaded = Some(objects);
    }

    /// The related objects. It never queries.
    ///
    /// # Errors
    /// When the query did not load them; the message says what to add to which query.
    pub fn get(&self) -> Result<&[T]> {
        let objects = self
            .loaded
            .as_ref()
            .and_then(|objects| objects.downcast_ref::<Vec<T>>());
        objects.map(Vec::as_slice).ok_or_else(|| match self.hop {
            Some(hop) => Error::not_loaded((hop.owner)().name, hop.relation().name, self.at),
            None => Error::not_loaded(T::NAME, "a relation", None),
        })
    }
}

/// A to-many path. Its fields are the target's columns; its methods count and ask.
pub struct Many<F> {
    fields: F,
    path: Path,
}

impl<F: Clone> Clone for Many<F> {
    fn clone(&self) -> Self {
        Many {
            fields: self.fields.clone(),
            path: self.path,
        }
    }
}
impl<F: Copy> Copy for Many<F> {}

impl<F> Deref for Many<F> {
    type Target = F;
    fn deref(&self) -> &F {
        &self.fields
    }
}

impl<F: Fields> Many<F> {
    /// Made by the `#[model]` macro.
    #[doc(hidden)]
    pub fn new(fields: F) -> Self {
        let path = fields.path();
        Many { fields, path }
    }

    pub(crate) fn way(&self) -> Path {
        self.path
    }

    /// How many: a subquery of its own, so that two counts never multiply.
    pub fn count(self) -> Expr<F::Root, i64> {
        Expr::of(Node::op(Op::CountPath { path: self.path }))
    }

    /// True when one of them satisfies the whole condition.
    pub fn any<P: Predicate<F::Model>>(self, condition: impl FnOnce(<F::Model as Model>::Fields) -> P) -> Q<F::Root> {
        let mut query = Query::new(F::Model::meta());
        query.filter = Some(condition(F::Model::fields()).into_condition());
        Expr::of(Node::sub(
            Op::Related {
                path: self.path,
                sub: 0,
            },
            query,
        ))
    }

    /// True when none of them satisfies the condition.
    pub fn none<P: Predicate<F::Model>>(self, condition: impl FnOnce(<F::Model as Model>::Fields) -> P) -> Q<F::Root> {
        !self.any(condition)
    }

    /// Loads only some of them, in an order of their own (Django's `Prefetch(queryset=..)`).
    #[track_caller]
    pub fn only(self, narrow: impl FnOnce(QuerySet<F::Model>) -> QuerySet<F::Model>) -> Prefetch<F> {
        Prefetch {
            path: self.path,
            query: narrow(F::Model::objects()),
            _fields: PhantomData,
        }
    }
}

/// A to-many relation to be loaded in part; see [`Many::only`].
pub struct Prefetch<F: Fields> {
    path: Path,
    query: QuerySet<F::Model>,
    _fields: PhantomData<fn() -> F>,
}

/// What `prefetch_related` takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be prefetched",
    note = "name a to-many relation, `|a| a.tags()`; to-one relations are loaded by `select_related`"
)]
pub trait Prefetchable<R> {
    /// The way and the query.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn into_prefetch(self) -> (Path, Box<dyn ChildQuery>);
}

#[allow(private_interfaces)]
impl<F: Fields> Prefetchable<F::Root> for Many<F> {
    fn into_prefetch(self) -> (Path, Box<dyn ChildQuery>) {
        (self.path, child_query(F::Model::objects()))
    }
}

#[allow(private_interfaces)]
impl<F: Fields> Prefetchable<F::Root> for Prefetch<F> {
    fn into_prefetch(self) -> (Path, Box<dyn ChildQuery>) {
        (self.path, child_query(self.query))
    }
}

/// The related objects of one object over a many-to-many relation, to be queried and changed.
#[must_use = "a related manager does nothing until one of its methods is awaited"]
pub struct RelatedManager<T: Model> {
    query: QuerySet<T>,
    through: Through,
    source: Value,
}

impl<T: Model> RelatedManager<T> {
    /// From the side that has the field (`reverse` false) or from the other one.
    #[doc(hidden)]
    #[track_caller]
    pub fn new(hop: &'static Hop, back: &'static Hop, source: Value) -> Self {
        let through = match hop.relation().kind {
            demijohn_model::meta::RelationKind::ManyToMany { through } => through,
            demijohn_model::meta::RelationKind::ToOne { .. } => Through {
                table: "",
                source: "",
                target: "",
            },
        };
        let through = match hop.reverse {
            false => through,
            true => Through {
                table: through.table,
                source: through.target,
                target: through.source,
            },
        };
        let owner_pk = back.target().pk;
        let condition = Node::op(Op::Column {
            path: Path::ROOT.hop(back),
            field: owner_pk,
        })
        .then(Node::param(source.clone()))
        .push(Op::Eq);
        RelatedManager {
            query: T::objects().condition(condition),
            through,
            source,
        }
    }

    /// The related objects as a queryset.
    pub fn query(self) -> QuerySet<T> {
        self.query
    }

    /// As [`QuerySet::filter`].
    pub fn filter<P: Predicate<T>>(self, condition: impl FnOnce(T::Fields) -> P) -> QuerySet<T> {
        self.query.filter(condition)
    }

    /// As [`QuerySet::exclude`].
    pub fn exclude<P: Predicate<T>>(self, condition: impl FnOnce(T::Fields) -> P) -> QuerySet<T> {
        self.query.exclude(condition)
    }

    /// As [`QuerySet::order_by`].
    pub fn order_by<O: IntoOrder<T>>(self, order: impl FnOnce(T::Fields) -> O) -> QuerySet<T> {
        self.query.order_by(order)
    }

    /// As [`QuerySet::values`].
    pub fn values<S: Select<T>>(self, select: impl FnOnce(T::Fields) -> S) -> QuerySet<T, S::Out> {
        self.query.values(select)
    }

    /// As [`QuerySet::all`].
    pub fn all<'a>(self, db: &'a Db) -> BoxFuture<'a, Result<Vec<T>>> {
        self.query.all(db)
    }

    /// As [`QuerySet::first`].
    pub fn first<'a>(self, db: &'a Db) -> BoxFuture<'a, Result<Option<T>>> {
        self.query.first(db)
    }

    /// As [`QuerySet::count`].
    pub fn count(self, db: &Db) -> BoxFuture<'_, Result<i64>> {
        self.query.count(db)
    }

    /// As [`QuerySet::exists`].
    pub fn exists(self, db: &Db) -> BoxFuture<'_, Result<bool>> {
        self.query.exists(db)
    }

    /// Adds relations; those that exist stay as they are.
    ///
    /// # Errors
    /// When a target does not exist.
    pub fn add<K: IntoExpr<Key<T>, T>>(
        self,
        db: &Db,
        targets: impl IntoIterator<Item = K>,
    ) -> BoxFuture<'_, Result<()>> {
        write::link(db, self.through, self.source, keys(targets))
    }

    /// Removes relations; those that do not exist are passed over.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove<K: IntoExpr<Key<T>, T>>(
        self,
        db: &Db,
        targets: impl IntoIterator<Item = K>,
    ) -> BoxFuture<'_, Result<()>> {
        write::unlink(db, self.through, self.source, Some(keys(targets)))
    }

    /// Removes all relations.
    ///
    /// # Errors
    /// When the database fails.
    pub fn clear(self, db: &Db) -> BoxFuture<'_, Result<()>> {
        write::unlink(db, self.through, self.source, None)
    }

    /// Makes these the relations, and no others, in one transaction.
    ///
    /// # Errors
    /// When a target does not exist.
    pub fn set<K: IntoExpr<Key<T>, T>>(
        self,
        db: &Db,
        targets: impl IntoIterator<Item = K>,
    ) -> BoxFuture<'_, Result<()>> {
        write::relink(db, self.through, self.source, keys(targets))
    }
}

/// Values of keys; an expression that is no value has no meaning here and is passed over.
fn keys<T: Model, K: IntoExpr<Key<T>, T>>(targets: impl IntoIterator<Item = K>) -> Vec<Value> {
    targets.into_iter().flat_map(|key| key.into_node().params).collect()
}
