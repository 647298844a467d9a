//! The queryset: a query as a value, and the type of its rows.

use crate::db::{Db, UnitBuilder};
use crate::expr::Predicate;
use crate::lookup;
use crate::model::{Fields, Model};
use crate::plan::{ChildQuery, Children, Decoder, Into, Loading, Plan, Related, Rows, child_rows};
use crate::relation::Prefetchable;
use crate::select::{ColumnList, IntoOrder, IntoSets, Projection, Select, Selection};
use crate::write::{self, Draft, Insert};
use demijohn_core::BoxFuture;
use demijohn_model::error::At;
use demijohn_model::tape::{Feed, Item, Node, Op, Path, Query, Statement};
use demijohn_model::value::Value;
use demijohn_model::{Error, Result};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

/// A query on `M` whose rows are `O`: whole objects unless `values`, `annotate`, .. say otherwise.
///
/// Each method takes the queryset and gives a new one; nothing happens until `.all(&db)` or another method that takes
/// the database is awaited. A clone is another query.
#[must_use = "a QuerySet does nothing until `.all(&db)`, `.first(&db)`, `.get(&db)`, ... is awaited"]
pub struct QuerySet<M, O = M> {
    /// Boxed: every method moves the queryset, and the query is large.
    pub(crate) query: Box<Query>,
    /// Does a row begin with the columns of the whole object?
    whole: bool,
    related: Vec<Path>,
    loading: Vec<Loading>,
    decode: Decoder<O>,
    /// The first thing that is wrong with it, reported when it runs: building stays free of `Result`.
    fault: Option<Arc<str>>,
    pub(crate) at: At,
    _model: PhantomData<fn() -> M>,
}

impl<M, O> Clone for QuerySet<M, O> {
    fn clone(&self) -> Self {
        QuerySet {
            query: self.query.clone(),
            whole: self.whole,
            related: self.related.clone(),
            loading: self.loading.clone(),
            decode: self.decode.clone(),
            fault: self.fault.clone(),
            at: self.at,
            _model: PhantomData,
        }
    }
}

impl<M: Model> QuerySet<M> {
    /// Whole objects.
    pub(crate) fn whole(query: Query, at: At) -> Self {
        QuerySet {
            query: Box::new(query),
            whole: true,
            related: Vec::new(),
            loading: Vec::new(),
            decode: Decoder::Fn(|reader| reader.root()),
            fault: None,
            at,
            _model: PhantomData,
        }
    }

    /// The rows whose column number `field` holds this key: a way back over a foreign key.
    #[doc(hidden)]
    #[track_caller]
    pub fn of_key(field: u16, key: Value) -> Self {
        let column = Node::op(Op::Column {
            path: Path::ROOT,
            field,
        });
        M::objects().condition(column.then(Node::param(key)).push(Op::Eq))
    }

    /// Finds the row with these values in these columns, or inserts the draft; true when it was inserted.
    ///
    /// Two who do it at once get the same row: a unique constraint on the columns decides, and the loser reads again.
    ///
    /// # Errors
    /// When more than one row has these values, when the draft does not set one of the columns, or when the database
    /// refuses.
    pub fn get_or_create<'a, K: ColumnList<M>>(
        self,
        db: &'a Db,
        key: impl FnOnce(M::Fields) -> K,
        draft: Draft<M>,
    ) -> BoxFuture<'a, Result<(M, bool)>> {
        write::get_or_create(db, key(M::fields()).columns(), draft)
    }

    /// Sets the draft's values in the row with these values in these columns, or inserts it; true when it was inserted.
    ///
    /// # Errors
    /// As [`get_or_create`](Self::get_or_create).
    pub fn update_or_create<'a, K: ColumnList<M>>(
        self,
        db: &'a Db,
        key: impl FnOnce(M::Fields) -> K,
        draft: Draft<M>,
    ) -> BoxFuture<'a, Result<(M, bool)>> {
        write::update_or_create(db, key(M::fields()).columns(), draft)
    }

    /// Many new rows in few statements.
    pub fn bulk_create(self, rows: impl IntoIterator<Item = Draft<M>>) -> Insert<M> {
        Insert::new(rows.into_iter().collect())
    }
}

impl<M: Model, O: Send + 'static> QuerySet<M, O> {
    pub(crate) fn condition(mut self, condition: Node) -> Self {
        self.query.and(condition);
        self
    }

    fn mark(&mut self, error: &Error) {
        self.fault.get_or_insert_with(|| error.to_string().into());
    }

    /// Rows that satisfy the condition. Conditions of several calls all hold.
    ///
    /// A to-many column asks whether *some* related row fits (`EXISTS`), so no row comes twice.
    pub fn filter<P: Predicate<M>>(self, condition: impl FnOnce(M::Fields) -> P) -> Self {
        self.condition(condition(M::fields()).into_condition())
    }

    /// Rows that do not satisfy the condition; a NULL does not satisfy it.
    pub fn exclude<P: Predicate<M>>(self, condition: impl FnOnce(M::Fields) -> P) -> Self {
        self.condition(condition(M::fields()).into_condition().push(Op::Not))
    }

    /// A condition as text, `author__email__icontains`: the way of admin and REST, resolved against the same metadata.
    ///
    /// # Errors
    /// When the text does not fit the model; the message names what would.
    pub fn lookup(self, key: &str, value: impl std::convert::Into<Value>) -> Result<Self> {
        let condition = lookup::resolve(M::meta(), key, value.into())?;
        Ok(self.condition(condition))
    }

    /// The order of the rows; replaces the one before.
    pub fn order_by<T: IntoOrder<M>>(mut self, order: impl FnOnce(M::Fields) -> T) -> Self {
        self.query.order = order(M::fields()).orders();
        self
    }

    /// An order as text, `-published_at`: the way of admin and REST.
    ///
    /// # Errors
    /// When the text does not fit the model; the message names what would.
    pub fn order_by_text(mut self, keys: &[&str]) -> Result<Self> {
        self.query.order = keys
            .iter()
            .map(|key| lookup::order(M::meta(), key))
            .collect::<Result<_>>()?;
        Ok(self)
    }

    /// No order, not even the model's own.
    pub fn unordered(mut self) -> Self {
        self.query.order.clear();
        self.query.unordered = true;
        self
    }

    /// Rows at most.
    pub fn limit(mut self, rows: u64) -> Self {
        self.query.limit = Some(rows);
        self
    }

    /// Rows passed over.
    pub fn offset(mut self, rows: u64) -> Self {
        self.query.offset = Some(rows);
        self
    }

    /// No row twice.
    pub fn distinct(mut self) -> Self {
        self.query.distinct = true;
        self
    }

    /// No rows at all, without asking the database.
    pub fn none(mut self) -> Self {
        self.query.empty = true;
        self
    }

    /// Locks the rows until the transaction ends, where the database has row locks.
    pub fn select_for_update(mut self) -> Self {
        self.query.lock = true;
        self
    }

    /// Loads to-one relations with a join: `article.author.get()?` works then.
    pub fn select_related<F: Fields<Root = M>>(mut self, path: impl FnOnce(M::Fields) -> F) -> Self {
        let path = path(M::fields()).path();
        self.related.push(path);
        self
    }

    /// Loads a to-many relation of all rows with one more query: `article.tags.get()?` works then.
    pub fn prefetch_related<P: Prefetchable<M>>(mut self, relation: impl FnOnce(M::Fields) -> P) -> Self {
        let (path, query) = relation(M::fields()).into_prefetch();
        match Loading::into_field(path, query) {
            Ok(loading) => self.loading.push(loading),
            Err(error) => self.mark(&error),
        }
        self
    }

    fn add(&mut self, selection: Selection) {
        self.query.select.extend(selection.items);
        let many = selection.many.into_iter();
        self.loading.extend(many.map(|(path, query)| Loading {
            path,
            query,
            into: Into::Row,
        }));
    }

    /// Rows become `(Article, User)`, `(Article, User, Vec<Tag>)`: what was loaded is in the type.
    pub fn with<S: Select<M>>(mut self, select: impl FnOnce(M::Fields) -> S) -> QuerySet<M, S::Row<O>> {
        let mut selection = Selection::default();
        select(M::fields()).nodes(&mut selection);
        self.add(selection);
        let before = self.decode;
        let decode = Decoder::Chain(Arc::new(move |reader: &mut crate::Reader<'_, '_>| {
            let row = before.row(reader)?;
            Ok(S::row(row, S::decode(reader)?))
        }));
        QuerySet {
            query: self.query,
            whole: self.whole,
            related: self.related,
            loading: self.loading,
            decode,
            fault: self.fault,
            at: self.at,
            _model: PhantomData,
        }
    }

    /// Adds expressions to the rows: `(Article, i64)`.
    pub fn annotate<S: Select<M>>(self, select: impl FnOnce(M::Fields) -> S) -> QuerySet<M, S::Row<O>> {
        self.with(select)
    }

    /// Rows of just these: a `String` for one column, a tuple for several.
    pub fn values<S: Select<M>>(self, select: impl FnOnce(M::Fields) -> S) -> QuerySet<M, S::Out> {
        let mut selection = Selection::default();
        select(M::fields()).nodes(&mut selection);
        self.replaced(selection, Decoder::Fn(S::decode))
    }

    /// Rows of a struct that is its own loading plan.
    pub fn project<P: Projection<Of = M>>(self) -> QuerySet<M, P> {
        let mut selection = Selection::default();
        P::build(&mut selection);
        self.replaced(selection, Decoder::Fn(P::decode))
    }

    fn replaced<T>(mut self, selection: Selection, decode: Decoder<T>) -> QuerySet<M, T> {
        if !selection.many.is_empty() {
            self.mark(&Error::usage(
                "`values` cannot hold a to-many relation; use `.with(..)`, or query the related model",
            ));
        }
        self.query.select = selection.items;
        QuerySet {
            query: self.query,
            whole: false,
            related: Vec::new(),
            loading: Vec::new(),
            decode,
            fault: self.fault,
            at: self.at,
            _model: PhantomData,
        }
    }

    /// Groups rows; `.annotate(..)` on the result says what is wanted of each group.
    pub fn group_by<K: Select<M>>(mut self, key: impl FnOnce(M::Fields) -> K) -> Grouped<M, K> {
        let mut selection = Selection::default();
        key(M::fields()).nodes(&mut selection);
        self.query.select.clear();
        let mut fault = self.fault;
        for item in &selection.items {
            match item {
                Item::Expr(node) => self.query.group.push(node.clone()),
                Item::Model(_) => {
                    fault.get_or_insert_with(|| "group_by takes columns and expressions, not whole models".into());
                }
            }
        }
        self.query.select = selection.items;
        Grouped {
            query: self.query,
            fault,
            at: self.at,
            _types: PhantomData,
        }
    }

    /// Rows of both, without repeats.
    pub fn union<M2: Model>(mut self, other: QuerySet<M2, O>) -> Self {
        let fault = other.fault.clone();
        match other.statement() {
            Ok(query) => self.query.unions.push(query),
            Err(error) => self.mark(&error),
        }
        self.fault = self.fault.or(fault);
        self
    }

    /// The query with everything that it selects, for subqueries and unions.
    pub(crate) fn into_query(self) -> Query {
        // Whole objects with impossible relations are asked without them; the outer query is refused anyway.
        let bare = self.query.clone();
        self.statement().unwrap_or(*bare)
    }

    /// The query as it is asked.
    fn statement(self) -> Result<Query> {
        refuse_fault(self.fault.as_deref(), self.at)?;
        let mut query = self.query;
        if self.whole {
            select_whole(&mut query, &Related::tree(&self.related)?);
        }
        Ok(*query)
    }

    /// Adds the steps of this query and its prefetches to a unit, and gives what reads them.
    fn plan_into(self, feed: Option<Feed>, unit: &mut UnitBuilder) -> Result<Planned<O>> {
        let QuerySet {
            mut query,
            whole,
            related,
            loading,
            decode,
            fault,
            at,
            ..
        } = self;
        refuse_fault(fault.as_deref(), at)?;
        if !loading.is_empty() && !whole {
            return Err(Error::usage(format!(
                "to-many relations need whole objects (the query built at {at})"
            )));
        }
        let related = Related::tree(&related)?;
        if whole {
            select_whole(&mut query, &related);
        }
        query.fed_by = feed;
        let ahead = usize::from(feed.is_some());
        let step = unit.query(query)?;
        let mut children = Vec::with_capacity(loading.len());
        for loading in &loading {
            let feed = Feed {
                hop: loading.hop()?,
                step,
                column: ahead + usize::from(M::meta().pk),
            };
            children.push(loading.query.plan(feed, unit)?);
        }
        let plan = Plan::new(related, loading.iter().map(|l| l.into).collect());
        Ok(Planned {
            plan,
            decode,
            at,
            step,
            children,
        })
    }

    /// True when its rows need nothing but its own columns and one step.
    pub(crate) fn is_flat(&self) -> bool {
        self.related.is_empty() && self.loading.is_empty()
    }

    /// Adds the one step of a flat query to a unit, and gives what reads its rows.
    pub(crate) fn flat(mut self, unit: &mut UnitBuilder) -> Result<(Decoder<O>, At)> {
        refuse_fault(self.fault.as_deref(), self.at)?;
        if self.whole {
            select_whole(&mut self.query, &[]);
        }
        unit.query(self.query)?;
        Ok((self.decode, self.at))
    }

    /// What reads this query when it is part of a unit.
    pub(crate) fn rows(self, unit: &mut UnitBuilder) -> Result<Rows<O>> {
        let Planned {
            plan,
            decode,
            at,
            step,
            children,
        } = self.plan_into(None, unit)?;
        Ok(Rows::new(plan, decode, at, step, children))
    }

    // The terminals give boxed futures and are no `async fn`: one small allocation per query buys three to four times
    // less check time per call and an immediate answer to "is it Send?".

    async fn fetch(self, db: &Db) -> Result<Vec<O>> {
        if self.query.empty && self.fault.is_none() {
            return Ok(Vec::new());
        }
        let mut unit = db.unit();
        let rows = self.rows(&mut unit)?;
        let done = db.run(unit, Box::new(rows), false).await?;
        done.sink
            .into_any()
            .downcast::<Rows<O>>()
            .map_err(|_| lost_sink())?
            .finish()
    }

    /// All rows.
    ///
    /// # Errors
    /// When the query has no meaning or the database fails.
    pub fn all<'a>(self, db: &'a Db) -> BoxFuture<'a, Result<Vec<O>>> {
        Box::pin(self.fetch(db))
    }

    /// The first row, if there is one. Without any order it is the one with the lowest primary key.
    ///
    /// # Errors
    /// When the query has no meaning or the database fails.
    pub fn first<'a>(mut self, db: &'a Db) -> BoxFuture<'a, Result<Option<O>>> {
        let query = &mut self.query;
        if query.order.is_empty()
            && query.model.ordering.is_empty()
            && query.group.is_empty()
            && query.unions.is_empty()
        {
            query.order = vec![
                Node::op(Op::Column {
                    path: Path::ROOT,
                    field: query.model.pk,
                })
                .push(Op::Asc),
            ];
        }
        query.limit = Some(query.limit.map_or(1, |limit| limit.min(1)));
        Box::pin(async move { Ok(self.fetch(db).await?.pop()) })
    }

    /// The only row.
    ///
    /// # Errors
    /// [`is_not_found`](Error::is_not_found) when there is none, [`is_multiple_returned`](Error::is_multiple_returned)
    /// when there are several.
    pub fn get<'a>(mut self, db: &'a Db) -> BoxFuture<'a, Result<O>> {
        self.query.limit = Some(self.query.limit.map_or(2, |limit| limit.min(2)));
        Box::pin(async move {
            let mut rows = self.fetch(db).await?;
            match (rows.pop(), rows.is_empty()) {
                (Some(row), true) => Ok(row),
                (None, _) => Err(Error::not_found(M::NAME)),
                (Some(_), false) => Err(Error::multiple_returned(M::NAME)),
            }
        })
    }

    /// How many rows.
    ///
    /// # Errors
    /// When the query has no meaning or the database fails.
    pub fn count(self, db: &Db) -> BoxFuture<'_, Result<i64>> {
        if self.query.empty && self.fault.is_none() {
            return Box::pin(std::future::ready(Ok(0)));
        }
        let mut unit = db.unit();
        let step = self
            .statement()
            .and_then(|query| unit.statement(Statement::Count(query)));
        Box::pin(async move {
            step?;
            db.scalar::<i64>(unit).await
        })
    }

    /// Whether there is a row.
    ///
    /// # Errors
    /// When the query has no meaning or the database fails.
    pub fn exists(self, db: &Db) -> BoxFuture<'_, Result<bool>> {
        if self.query.empty && self.fault.is_none() {
            return Box::pin(std::future::ready(Ok(false)));
        }
        let mut unit = db.unit();
        let step = self
            .statement()
            .and_then(|query| unit.statement(Statement::Exists(query)));
        Box::pin(async move {
            step?;
            db.scalar::<bool>(unit).await
        })
    }

    /// Aggregates over all rows: `(avg, count)`.
    ///
    /// # Errors
    /// When the query has no meaning or the database fails.
    pub fn aggregate<'a, S: Select<M>>(
        self,
        db: &'a Db,
        select: impl FnOnce(M::Fields) -> S,
    ) -> BoxFuture<'a, Result<S::Out>> {
        let mut query = self.values(select).unordered();
        query.query.aggregate = true;
        let limited = query.query.limit.is_some() || query.query.offset.is_some() || query.query.distinct;
        if limited {
            query.mark(&Error::usage(
                "aggregate takes all rows of a query without limit, offset and distinct",
            ));
        }
        let all = query.all(db);
        Box::pin(async move { all.await?.pop().ok_or_else(|| Error::not_found(M::NAME)) })
    }

    /// Sets columns of all rows; how many were changed.
    ///
    /// # Errors
    /// When a value breaks its field's rule, or the database refuses.
    pub fn update<'a, S: IntoSets<M>>(
        self,
        db: &'a Db,
        assign: impl FnOnce(M::Fields) -> S,
    ) -> BoxFuture<'a, Result<u64>> {
        let sets = assign(M::fields()).sets();
        let query = self.statement();
        Box::pin(async move { write::update_all::<M>(db, query?, sets).await })
    }

    /// Deletes all rows; how many of this model were deleted.
    ///
    /// # Errors
    /// When a protected relation points to one of them, or the database fails.
    pub fn delete<'a>(self, db: &'a Db) -> BoxFuture<'a, Result<u64>> {
        let query = self.statement();
        Box::pin(async move { write::delete_all(db, query?).await })
    }

    /// The statements that this query asks, for documentation and tests.
    ///
    /// # Errors
    /// When the query has no meaning.
    pub fn sql(self, dialect: demijohn_model::driver::Dialect) -> Result<Vec<String>> {
        let mut unit = UnitBuilder::new(dialect);
        self.rows(&mut unit)?;
        Ok(unit.into_sql())
    }
}

struct Planned<O> {
    plan: Plan,
    decode: Decoder<O>,
    at: At,
    step: usize,
    children: Vec<Box<dyn Children>>,
}

/// Whole objects: their own columns, those of related ones, then what was added.
fn select_whole(query: &mut Query, related: &[Related]) {
    let mut items = Vec::with_capacity(1 + query.select.len());
    items.push(Item::Model(Path::ROOT));
    for node in related {
        node.select(&mut items);
    }
    items.append(&mut query.select);
    query.select = items;
}

fn refuse_fault(fault: Option<&str>, at: At) -> Result<()> {
    match fault {
        None => Ok(()),
        Some(fault) => Err(Error::usage(format!("{fault} (the query built at {at})"))),
    }
}

pub(crate) fn lost_sink() -> Error {
    Error::usage("the driver gave back another sink than it was given")
}

/// A queryset as the query of a to-many relation.
pub(crate) fn child_query<T: Model>(query: QuerySet<T>) -> Box<dyn ChildQuery> {
    Box::new(query)
}

impl<T: Model> ChildQuery for QuerySet<T> {
    fn boxed(&self) -> Box<dyn ChildQuery> {
        Box::new(self.clone())
    }

    fn plan(&self, feed: Feed, unit: &mut UnitBuilder) -> Result<Box<dyn Children>> {
        if self.query.limit.is_some() || self.query.offset.is_some() {
            return Err(Error::usage(
                "a prefetched query takes no limit: it would count over the children of all rows",
            ));
        }
        let Planned {
            plan,
            at,
            step,
            children,
            ..
        } = self.clone().plan_into(Some(feed), unit)?;
        Ok(child_rows::<T>(plan, at, step, children))
    }
}

/// A grouped query, waiting for [`annotate`](Grouped::annotate).
#[must_use = "say what is wanted of each group: `.annotate(..)`"]
pub struct Grouped<M, K> {
    query: Box<Query>,
    fault: Option<Arc<str>>,
    at: &'static Location<'static>,
    _types: PhantomData<fn() -> (M, K)>,
}

impl<M: Model, K: Select<M>> Grouped<M, K> {
    /// Rows of the group's key and these aggregates.
    pub fn annotate<S: Select<M>>(mut self, select: impl FnOnce(M::Fields) -> S) -> QuerySet<M, S::Row<K::Out>> {
        let mut selection = Selection::default();
        select(M::fields()).nodes(&mut selection);
        self.query.select.extend(selection.items);
        QuerySet {
            query: self.query,
            whole: false,
            related: Vec::new(),
            loading: Vec::new(),
            decode: Decoder::Fn(|reader| {
                let key = K::decode(reader)?;
                Ok(S::row(key, S::decode(reader)?))
            }),
            fault: self.fault,
            at: self.at,
            _model: PhantomData,
        }
    }
}
