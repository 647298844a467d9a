//! From rows to objects: what is selected and what is read are planned in one place, so that they cannot disagree.

use crate::model::Model;
use demijohn_model::driver::{RowSink, Step};
use demijohn_model::error::At;
use demijohn_model::field::FieldType;
use demijohn_model::meta::{Hop, ModelMeta, RelationKind};
use demijohn_model::row::Cursor;
use demijohn_model::tape::{Feed, Item, Path};
use demijohn_model::value::{Value, ValueRef};
use demijohn_model::{Error, Result};
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

/// Reads one row of a query.
pub struct Reader<'r, 'p> {
    pub(crate) cursor: Cursor<'r>,
    plan: &'p Plan,
    children: &'p mut [Box<dyn Children>],
    next_many: usize,
    root_key: Option<Key>,
}

impl Reader<'_, '_> {
    /// The next column.
    pub(crate) fn next<T: FieldType>(&mut self) -> Result<T> {
        self.cursor.next()
    }

    /// The root object with what `select_related` and `prefetch_related` loaded for it.
    pub(crate) fn root<M: Model>(&mut self) -> Result<M> {
        let mut object = M::decode(&mut self.cursor)?;
        let attach = M::meta().ops.attach;
        for node in &self.plan.related {
            if let Some(related) = node.decode(&mut self.cursor)? {
                attach(&mut object, node.hop.relation, related.into());
            }
        }
        if !self.children.is_empty() {
            let key = Key::of(object.pk().to_value().as_ref());
            for (child, into) in self.children.iter_mut().zip(&self.plan.into) {
                if let Into::Field(relation) = into {
                    attach(&mut object, *relation, child.take(&key).into());
                }
            }
            self.root_key = Some(key);
        }
        Ok(object)
    }

    /// A related object that is always there.
    #[doc(hidden)]
    pub fn model<M: Model>(&mut self) -> Result<M> {
        M::decode(&mut self.cursor)
    }

    /// A related object that may be absent: its primary key is NULL then.
    #[doc(hidden)]
    pub fn model_opt<M: Model>(&mut self) -> Result<Option<M>> {
        let meta = M::meta();
        match self.cursor.peek(usize::from(meta.pk)) {
            None | Some(ValueRef::Null) => {
                self.cursor.skip(meta.fields.len());
                Ok(None)
            }
            Some(_) => M::decode(&mut self.cursor).map(Some),
        }
    }

    /// The objects of the next to-many relation in the row type.
    pub(crate) fn many<T: Model>(&mut self) -> Result<Vec<T>> {
        let Some(key) = &self.root_key else {
            return Err(Error::usage(
                "a to-many relation can only be selected beside its whole object, by `.with(..)`",
            ));
        };
        while let Some(into) = self.plan.into.get(self.next_many) {
            let index = self.next_many;
            self.next_many += 1;
            if matches!(into, Into::Row) {
                let objects = self.children[index].take(key);
                return objects
                    .downcast()
                    .map(|v| *v)
                    .map_err(|_| Error::usage("to-many relations are read in another order than selected"));
            }
        }
        Err(Error::usage(
            "the row type has more to-many relations than were selected",
        ))
    }
}

/// How rows of a query are read.
#[derive(Default)]
pub(crate) struct Plan {
    related: Vec<Related>,
    into: Vec<Into>,
}

/// Where the objects of a to-many relation go.
#[derive(Clone, Copy)]
pub(crate) enum Into {
    /// Into the relation field with this number.
    Field(u16),
    /// Into the row type.
    Row,
}

impl Plan {
    pub(crate) fn new(related: Vec<Related>, into: Vec<Into>) -> Self {
        Plan { related, into }
    }
}

/// A model loaded by a join, and those loaded through it.
pub(crate) struct Related {
    hop: &'static Hop,
    path: Path,
    model: &'static ModelMeta,
    then: Vec<Related>,
}

impl Related {
    /// The tree of the wanted paths. What lies on the way to a wanted model is loaded too.
    pub(crate) fn tree(paths: &[Path]) -> Result<Vec<Related>> {
        let mut roots = Vec::new();
        for path in paths {
            if path.is_too_long() {
                return Err(Error::usage("a path may cross at most 5 relations"));
            }
            let mut level = &mut roots;
            for (depth, hop) in path.hops().enumerate() {
                if hop.is_many() {
                    return Err(Error::usage(format!(
                        "select_related: {hop:?} leads to many rows; use `.prefetch_related(..)` or `.with(..)`"
                    )));
                }
                if hop.reverse {
                    return Err(Error::usage(format!(
                        "select_related: {hop:?} has no field to be kept in; use `.with(..)`"
                    )));
                }
                let index = match level.iter().position(|n: &Related| n.hop.id == hop.id) {
                    Some(index) => index,
                    None => {
                        level.push(Related {
                            hop,
                            path: path.prefix(depth + 1),
                            model: hop.target(),
                            then: Vec::new(),
                        });
                        level.len() - 1
                    }
                };
                level = &mut level[index].then;
            }
        }
        Ok(roots)
    }

    /// Adds the columns to be selected, in the order in which [`decode`](Self::decode) reads them.
    pub(crate) fn select(&self, items: &mut Vec<Item>) {
        items.push(Item::Model(self.path));
        for node in &self.then {
            node.select(items);
        }
    }

    fn columns(&self) -> usize {
        self.model.fields.len() + self.then.iter().map(Related::columns).sum::<usize>()
    }

    fn decode(&self, cursor: &mut Cursor<'_>) -> Result<Option<Box<dyn Any + Send + Sync>>> {
        if matches!(cursor.peek(usize::from(self.model.pk)), None | Some(ValueRef::Null)) {
            cursor.skip(self.columns());
            return Ok(None);
        }
        let mut object = (self.model.ops.decode)(cursor)?;
        for node in &self.then {
            if let Some(related) = node.decode(cursor)? {
                (self.model.ops.attach)(&mut *object, node.hop.relation, related.into());
            }
        }
        Ok(Some(object))
    }
}

/// How one row becomes an `O`: a plain function, or for a chain of `annotate`s a closure over the one before.
pub(crate) enum Decoder<O> {
    Fn(fn(&mut Reader<'_, '_>) -> Result<O>),
    #[allow(clippy::type_complexity)]
    Chain(Arc<dyn Fn(&mut Reader<'_, '_>) -> Result<O> + Send + Sync>),
}

impl<O> Clone for Decoder<O> {
    fn clone(&self) -> Self {
        match self {
            Decoder::Fn(f) => Decoder::Fn(*f),
            Decoder::Chain(f) => Decoder::Chain(f.clone()),
        }
    }
}

impl<O> Decoder<O> {
    pub(crate) fn row(&self, reader: &mut Reader<'_, '_>) -> Result<O> {
        match self {
            Decoder::Fn(f) => f(reader),
            Decoder::Chain(f) => f(reader),
        }
    }
}

/// Rows of one query and of the prefetches that hang on it. Without prefetches rows are decoded as they come;
/// with them they wait until all their children are there.
pub(crate) struct Rows<O> {
    plan: Plan,
    decode: Decoder<O>,
    at: At,
    rows: Vec<O>,
    waiting: Vec<Vec<Value>>,
    children: Vec<Box<dyn Children>>,
    /// The unit's number of this query's own step; those of the children follow.
    step: usize,
}

impl<O: Send + 'static> Rows<O> {
    pub(crate) fn new(plan: Plan, decode: Decoder<O>, at: At, step: usize, children: Vec<Box<dyn Children>>) -> Self {
        Rows {
            plan,
            decode,
            at,
            rows: Vec::new(),
            waiting: Vec::new(),
            children,
            step,
        }
    }

    fn take(&mut self, step: usize, columns: &[ValueRef<'_>]) -> Result<()> {
        if step != self.step {
            return match self.children.iter_mut().rfind(|child| child.first_step() <= step) {
                Some(child) => child.row(step, columns),
                None => Err(Error::usage("a row came for a step that nobody asked")),
            };
        }
        if !self.children.is_empty() {
            self.waiting
                .push(columns.iter().map(|v| ValueRef::to_owned(*v)).collect());
            return Ok(());
        }
        let row = decode_row(&self.plan, &self.decode, self.at, columns, &mut [])?;
        self.rows.push(row);
        Ok(())
    }

    /// The rows, once the unit is done.
    pub(crate) fn finish(mut self) -> Result<Vec<O>> {
        for child in &mut self.children {
            child.finish()?;
        }
        for waiting in std::mem::take(&mut self.waiting) {
            let columns: Vec<ValueRef<'_>> = waiting.iter().map(Value::as_ref).collect();
            let row = decode_row(&self.plan, &self.decode, self.at, &columns, &mut self.children)?;
            self.rows.push(row);
        }
        Ok(self.rows)
    }
}

fn decode_row<O>(
    plan: &Plan,
    decode: &Decoder<O>,
    at: At,
    columns: &[ValueRef<'_>],
    children: &mut [Box<dyn Children>],
) -> Result<O> {
    let cursor = Cursor::new(columns, Some(at));
    let mut reader = Reader {
        cursor,
        plan,
        children,
        next_many: 0,
        root_key: None,
    };
    let row = decode.row(&mut reader)?;
    debug_assert!(
        reader.cursor.is_finished(),
        "the query built at {at} selects more columns than it reads"
    );
    Ok(row)
}

impl<O: Send + 'static> RowSink for Rows<O> {
    fn row(&mut self, step: usize, columns: &[ValueRef<'_>]) -> Result<()> {
        self.take(step, columns)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// Rows of several queries of one step each, with nothing beside their own columns.
pub(crate) struct FlatRows<O> {
    first_step: usize,
    readers: Vec<(Decoder<O>, At)>,
    rows: Vec<Vec<O>>,
}

impl<O: Send + 'static> FlatRows<O> {
    pub(crate) fn new(first_step: usize, readers: Vec<(Decoder<O>, At)>) -> Self {
        let rows = readers.iter().map(|_| Vec::new()).collect();
        FlatRows {
            first_step,
            readers,
            rows,
        }
    }

    pub(crate) fn finish(self) -> Vec<Vec<O>> {
        self.rows
    }
}

impl<O: Send + 'static> RowSink for FlatRows<O> {
    fn row(&mut self, step: usize, columns: &[ValueRef<'_>]) -> Result<()> {
        const NOTHING: Plan = Plan {
            related: Vec::new(),
            into: Vec::new(),
        };
        let index = step - self.first_step;
        let (Some((decode, at)), Some(rows)) = (self.readers.get(index), self.rows.get_mut(index)) else {
            return Err(Error::usage("a row came for a step that nobody asked"));
        };
        rows.push(decode_row(&NOTHING, decode, at, columns, &mut [])?);
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// The objects of one to-many relation for all rows of a result, by the key of the row they belong to.
pub(crate) trait Children: Send {
    fn first_step(&self) -> usize;
    fn row(&mut self, step: usize, columns: &[ValueRef<'_>]) -> Result<()>;
    fn finish(&mut self) -> Result<()>;
    /// A boxed `Vec` of the objects that belong to this key.
    fn take(&mut self, key: &Key) -> Box<dyn Any + Send + Sync>;
}

struct ChildRows<T: Model> {
    rows: Option<Rows<(Key, T)>>,
    step: usize,
    by_key: HashMap<Key, Vec<T>>,
}

impl<T: Model> Children for ChildRows<T> {
    fn first_step(&self) -> usize {
        self.step
    }

    fn row(&mut self, step: usize, columns: &[ValueRef<'_>]) -> Result<()> {
        match &mut self.rows {
            Some(rows) => rows.take(step, columns),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(rows) = self.rows.take() {
            for (key, object) in rows.finish()? {
                self.by_key.entry(key).or_default().push(object);
            }
        }
        Ok(())
    }

    fn take(&mut self, key: &Key) -> Box<dyn Any + Send + Sync> {
        Box::new(self.by_key.remove(key).unwrap_or_default())
    }
}

/// Makes the sink for the children that a query of `T` gives as step number `step`.
pub(crate) fn child_rows<T: Model>(
    plan: Plan,
    at: At,
    step: usize,
    children: Vec<Box<dyn Children>>,
) -> Box<dyn Children> {
    let decode = Decoder::Fn(|reader: &mut Reader<'_, '_>| {
        let key = reader.cursor.peek(0).map_or(Key::Other(String::new()), Key::of);
        reader.cursor.skip(1);
        Ok((key, reader.root::<T>()?))
    });
    Box::new(ChildRows {
        rows: Some(Rows::new(plan, decode, at, step, children)),
        step,
        by_key: HashMap::new(),
    })
}

/// A key that can be looked up.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Int(i64),
    Text(String),
    Other(String),
}

impl Key {
    fn of(value: ValueRef<'_>) -> Key {
        match value {
            ValueRef::Int(i) => Key::Int(i),
            ValueRef::Text(t) => Key::Text(t.to_owned()),
            other => Key::Other(format!("{other:?}")),
        }
    }
}

/// A to-many relation to be loaded with a query.
pub(crate) struct Loading {
    pub(crate) path: Path,
    pub(crate) query: Box<dyn ChildQuery>,
    pub(crate) into: Into,
}

impl Clone for Loading {
    fn clone(&self) -> Self {
        Loading {
            path: self.path,
            query: self.query.boxed(),
            into: self.into,
        }
    }
}

impl Loading {
    /// A relation that goes into the object's own field.
    pub(crate) fn into_field(path: Path, query: Box<dyn ChildQuery>) -> Result<Self> {
        let mut hops = path.hops();
        match (hops.next(), hops.next()) {
            (Some(hop), None) if !hop.reverse && matches!(hop.relation().kind, RelationKind::ManyToMany { .. }) => {
                Ok(Loading {
                    path,
                    query,
                    into: Into::Field(hop.relation),
                })
            }
            (Some(hop), None) => Err(Error::usage(format!(
                "prefetch_related: {hop:?} has no field to be kept in; use `.with(..)`, which puts the objects into the row type"
            ))),
            _ => Err(Error::usage(
                "prefetch_related takes one relation of the model itself; go further inside `.only(|q| q.prefetch_related(..))`",
            )),
        }
    }

    /// The hop it loads over; to-many relations of related models are not loaded from here.
    pub(crate) fn hop(&self) -> Result<&'static Hop> {
        let mut hops = self.path.hops();
        match (hops.next(), hops.next()) {
            (Some(hop), None) => Ok(hop),
            _ => Err(Error::usage(
                "only to-many relations of the model itself can be loaded with it; query the related model for its own",
            )),
        }
    }
}

/// The query of a to-many relation, its model known only to itself.
pub(crate) trait ChildQuery: Send + Sync {
    fn boxed(&self) -> Box<dyn ChildQuery>;
    /// Adds the steps that load it for the keys of an earlier step.
    fn plan(&self, feed: Feed, unit: &mut crate::db::UnitBuilder) -> Result<Box<dyn Children>>;
}

/// A compiled step, put where rows of it will be numbered.
pub(crate) fn push_step(steps: &mut Vec<Step>, step: Step) -> usize {
    steps.push(step);
    steps.len() - 1
}
