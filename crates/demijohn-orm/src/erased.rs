//! Queries by metadata alone: what admin and REST stand on, which know models only as they run.
//!
//! A closure over a model's fields (`|a| (a.title, a.author().name, a.tags())`) is typed at the door and becomes a list
//! of [`Choice`]s right behind it; [`Db::read`] asks queries over such choices and gives plain [`Value`]s.

use crate::db::Db;
use crate::lookup;
use crate::model::Model;
use crate::select::{Select, Selection};
use demijohn_core::BoxFuture;
use demijohn_model::driver::RowSink;
use demijohn_model::field::FieldType;
use demijohn_model::meta::ModelMeta;
use demijohn_model::tape::{Aggregate, Item, Node, Op, Part, Path, Query, Statement};
use demijohn_model::value::{Kind, Value, ValueRef};
use demijohn_model::{Date, DateTime, Error, NaiveDateTime, Result, Time};
use std::any::Any;

/// One thing that a closure over a model's fields names: a column, a relation, or an expression.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its name as text, `author__name`; empty for an expression, which has none.
    pub key: String,
    /// Its name for people, `author name`.
    pub label: String,
    /// Its value; of a relation, the key of the row that it leads to.
    pub node: Node,
    /// The type of the value, where it is a column's.
    pub kind: Option<Kind>,
    /// The model that it leads to: of a foreign key, and of a relation by itself.
    pub leads_to: Option<&'static ModelMeta>,
    /// True when it may lead to more than one row.
    pub many: bool,
    /// True when it is made of a sensitive field, near or far.
    pub sensitive: bool,
}

impl Choice {
    /// A column of the model itself.
    pub fn field(meta: &'static ModelMeta, index: u16) -> Choice {
        Choice::column(meta, Path::ROOT, index)
    }

    /// All columns of the model but the sensitive ones.
    pub fn fields(meta: &'static ModelMeta) -> Vec<Choice> {
        let all = (0..meta.fields.len() as u16).map(|index| Choice::field(meta, index));
        all.filter(|choice| !choice.sensitive).collect()
    }

    /// What a closure over the fields of `M` names, in its order, to-many relations last.
    pub fn of<M: Model, S: Select<M>>(select: impl FnOnce(M::Fields) -> S) -> Vec<Choice> {
        let mut selection = Selection::default();
        select(M::fields()).nodes(&mut selection);
        let meta = M::meta();
        let mut choices: Vec<Choice> = selection
            .items
            .into_iter()
            .map(|item| match item {
                Item::Model(path) => Choice::relation(meta, path),
                Item::Expr(node) => match node.ops[..] {
                    [Op::Column { path, field }] if path.outer() == 0 => Choice::column(meta, path, field),
                    _ => Choice::expression(meta, node),
                },
            })
            .collect();
        choices.extend(selection.many.iter().map(|(path, _)| Choice::relation(meta, *path)));
        choices
    }

    fn column(root: &'static ModelMeta, path: Path, index: u16) -> Choice {
        let field = &path.target(root).fields[usize::from(index)];
        let way: Vec<&str> = path.hops().map(|hop| hop.name()).collect();
        Choice {
            key: [way.as_slice(), &[field.name]].concat().join("__"),
            label: [way.as_slice(), &[field.verbose_name]]
                .concat()
                .join(" ")
                .replace('_', " "),
            kind: Some(field.kind),
            leads_to: field
                .relation
                .map(|relation| (path.target(root).relations[usize::from(relation)].target)()),
            many: path.is_many(),
            ..Choice::expression(root, Node::op(Op::Column { path, field: index }))
        }
    }

    fn relation(root: &'static ModelMeta, path: Path) -> Choice {
        let target = path.target(root);
        let way: Vec<&str> = path.hops().map(|hop| hop.name()).collect();
        Choice {
            key: way.join("__"),
            label: way.join(" ").replace('_', " "),
            leads_to: Some(target),
            ..Choice::column(root, path, target.pk)
        }
    }

    fn expression(root: &'static ModelMeta, node: Node) -> Choice {
        Choice {
            key: String::new(),
            label: label(root, &node),
            sensitive: is_sensitive(&node, &mut vec![root]),
            node,
            kind: None,
            leads_to: None,
            many: false,
        }
    }

    /// The condition that it has this value, given as text; `None` when the text is no such value. A whole number has
    /// one form: `+1`, `01` and ` 1` are none, so that a row has one address.
    pub fn is(&self, text: &str) -> Option<Node> {
        let value = match self.kind {
            Some(kind) => lookup::coerce(kind, Value::Text(text.to_owned())).ok()?,
            None => Value::Text(text.to_owned()),
        };
        if matches!(&value, Value::Int(number) if number.to_string() != text) {
            return None;
        }
        Some(self.node.clone().then(Node::param(value)).push(Op::Eq))
    }

    /// The condition that its text contains this one, in any case.
    pub fn icontains(&self, text: &str) -> Node {
        self.node
            .clone()
            .then(Node::param(Value::from(text)))
            .push(Op::Contains { ignore_case: true })
    }

    /// Its order, from low to high or back.
    pub fn order(&self, descending: bool) -> Node {
        self.node.clone().push(if descending { Op::Desc } else { Op::Asc })
    }

    /// A value as a driver gave it, as the column's type: SQLite has text for times and numbers for truth values.
    ///
    /// # Errors
    /// When it is no such value.
    pub fn read(&self, value: Value) -> Result<Value> {
        fn as_type<T: FieldType>(value: ValueRef<'_>) -> Result<Value> {
            T::from_value(value).map(T::to_value)
        }
        let (Some(kind), false) = (self.kind, value.is_null()) else {
            return Ok(value);
        };
        let typed = match kind {
            Kind::Bool => as_type::<bool>(value.as_ref()),
            Kind::Float => as_type::<f64>(value.as_ref()),
            Kind::DateTime => as_type::<DateTime>(value.as_ref()),
            Kind::NaiveDateTime => as_type::<NaiveDateTime>(value.as_ref()),
            Kind::Date => as_type::<Date>(value.as_ref()),
            Kind::Time => as_type::<Time>(value.as_ref()),
            Kind::Int | Kind::BigInt | Kind::Text | Kind::Bytes => Ok(value),
        };
        typed.map_err(|error| error.in_column(self.key.as_str()))
    }
}

/// What people call an expression: what it is made of first, then what is made of it, as in `comments count`.
fn label(root: &'static ModelMeta, node: &Node) -> String {
    let made_of = node.ops.iter().find_map(|op| match op {
        Op::Column { path, field } if path.outer() == 0 => {
            let name = path.target(root).fields[usize::from(*field)].verbose_name;
            Some((path, name))
        }
        Op::CountPath { path } => Some((path, "count")),
        _ => None,
    });
    let Some((path, name)) = made_of else {
        return "value".to_owned();
    };
    let last = match node.ops.last() {
        Some(Op::Aggregate(Aggregate::Count | Aggregate::CountDistinct)) => "count",
        Some(Op::Aggregate(Aggregate::Sum)) => "sum",
        Some(Op::Aggregate(Aggregate::Avg)) => "average",
        Some(Op::Aggregate(Aggregate::Min)) => "lowest",
        Some(Op::Aggregate(Aggregate::Max)) => "highest",
        Some(Op::Length) => "length",
        Some(Op::Extract(Part::Year)) => "year",
        Some(Op::Extract(Part::Month)) => "month",
        Some(Op::Extract(Part::Day)) => "day",
        _ => "",
    };
    let words = path.hops().map(|hop| hop.name()).chain([name, last]);
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(|word| word.replace('_', " "))
        .collect();
    words.join(" ")
}

/// The model's own order, then the primary key: without it, rows that are equal could change places between two pages.
pub fn total_order(meta: &'static ModelMeta) -> Vec<Node> {
    let mut order: Vec<Node> = meta
        .ordering
        .iter()
        .map(|key| Choice::field(meta, key.field).order(key.descending))
        .collect();
    order.push(Choice::field(meta, meta.pk).order(false));
    order
}

/// Does the tape read a sensitive column? `roots` are the models of the query and those around it, the innermost last.
fn is_sensitive(node: &Node, roots: &mut Vec<&'static ModelMeta>) -> bool {
    let own = node.ops.iter().any(|op| match op {
        Op::Column { path, field } => {
            let root = roots.len().checked_sub(1 + usize::from(path.outer()));
            // A column of a query that is not there does not compile; until then it is not to be shown.
            root.is_none_or(|root| path.target(roots[root]).fields[usize::from(*field)].sensitive)
        }
        _ => false,
    });
    own || node.subs.iter().any(|sub| {
        roots.push(sub.model);
        let items = sub.select.iter().filter_map(|item| match item {
            Item::Expr(node) => Some(node),
            Item::Model(_) => None,
        });
        let mut nodes = items.chain(&sub.filter).chain(&sub.order).chain(&sub.group);
        let found = nodes.any(|node| is_sensitive(node, roots));
        roots.pop();
        found
    })
}

impl Db {
    /// Carries out statements that only read, all in one go, and gives the rows of each.
    ///
    /// # Errors
    /// When one writes, when one has no meaning, or when the database fails.
    pub fn read<'a>(&'a self, statements: Vec<Statement>) -> BoxFuture<'a, Result<Vec<Vec<Vec<Value>>>>> {
        let mut unit = self.unit();
        let count = statements.len();
        let compiled = statements.into_iter().try_for_each(|statement| match statement {
            Statement::Select(_) | Statement::Count(_) | Statement::Exists(_) => unit.statement(statement).map(drop),
            _ => Err(Error::usage("`Db::read` takes statements that read, this one writes")),
        });
        Box::pin(async move {
            compiled?;
            let done = self.run(unit, Box::new(Plain(vec![Vec::new(); count])), false).await?;
            let rows = done.sink.into_any().downcast::<Plain>();
            rows.map(|rows| rows.0).map_err(|_| crate::queryset::lost_sink())
        })
    }
}

/// The rows of each step, as they are.
struct Plain(Vec<Vec<Vec<Value>>>);

impl RowSink for Plain {
    fn row(&mut self, step: usize, columns: &[ValueRef<'_>]) -> Result<()> {
        let rows = self.0.get_mut(step).ok_or_else(crate::queryset::lost_sink)?;
        rows.push(columns.iter().map(|value| ValueRef::to_owned(*value)).collect());
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// The number in the one row of a `Statement::Count`.
pub fn counted(rows: &[Vec<Value>]) -> u64 {
    match rows.first().and_then(|row| row.first()) {
        Some(Value::Int(count)) => u64::try_from(*count).unwrap_or(0),
        _ => 0,
    }
}

/// A query for these choices of a model's rows.
pub fn query_of<'c>(meta: &'static ModelMeta, choices: impl IntoIterator<Item = &'c Choice>) -> Query {
    let select = choices.into_iter().map(|choice| Item::Expr(choice.node.clone()));
    Query {
        select: select.collect(),
        ..Query::new(meta)
    }
}
