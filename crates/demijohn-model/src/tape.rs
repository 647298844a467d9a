//! The statement tree. Expressions are postfix tapes: `a & b` is a's tape, b's tape, `And`.

use crate::meta::{Hop, ModelMeta};
use crate::value::Value;

/// Relations that a path may cross.
pub const MAX_HOPS: usize = 5;

/// A way from the root model over relations.
#[derive(Clone, Copy)]
pub struct Path {
    hops: [Option<&'static Hop>; MAX_HOPS],
    len: u8,
    outer: u8,
}

impl Path {
    /// The root model itself.
    pub const ROOT: Path = Path {
        hops: [None; MAX_HOPS],
        len: 0,
        outer: 0,
    };

    /// One step further. The sixth step is a programming error and reported when the query is compiled, so that no
    /// path given as text can panic: it is not added, and [`is_too_long`](Self::is_too_long) is true.
    #[inline]
    #[must_use]
    pub const fn hop(mut self, hop: &'static Hop) -> Path {
        if (self.len as usize) < MAX_HOPS {
            self.hops[self.len as usize] = Some(hop);
        }
        if (self.len as usize) <= MAX_HOPS {
            self.len += 1;
        }
        self
    }

    /// The same way in the enclosing query.
    #[must_use]
    pub const fn in_outer(mut self) -> Path {
        self.outer += 1;
        self
    }

    /// Enclosing queries up: 0 is this query.
    pub const fn outer(&self) -> u8 {
        self.outer
    }

    /// The steps.
    pub fn hops(&self) -> impl DoubleEndedIterator<Item = &'static Hop> + '_ {
        self.hops[..(self.len as usize).min(MAX_HOPS)].iter().flatten().copied()
    }

    /// Number of steps.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// True for the root model itself.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True when more than [`MAX_HOPS`] steps were taken.
    pub const fn is_too_long(&self) -> bool {
        self.len as usize > MAX_HOPS
    }

    /// The model it leads to from `root`.
    pub fn target(&self, root: &'static ModelMeta) -> &'static ModelMeta {
        self.hops().last().map_or(root, Hop::target)
    }

    /// True when a step may lead to more than one row.
    pub fn is_many(&self) -> bool {
        self.hops().any(Hop::is_many)
    }

    /// The first `count` steps.
    #[must_use]
    pub fn prefix(&self, count: usize) -> Path {
        let mut path = Path {
            outer: self.outer,
            ..Path::ROOT
        };
        for hop in self.hops().take(count) {
            path = path.hop(hop);
        }
        path
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.outer == other.outer && self.hops().map(|h| h.id).eq(other.hops().map(|h| h.id))
    }
}

impl Eq for Path {}

impl std::fmt::Debug for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("root")?;
        for hop in self.hops() {
            write!(f, "__{}", hop.name())?;
        }
        Ok(())
    }
}

/// One step of a tape. The comment says what it takes from the stack, last on top; each leaves one expression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// A column.
    Column {
        /// The way to its model.
        path: Path,
        /// Its index in the model's fields.
        field: u16,
    },
    /// The next parameter of the node.
    Param,
    /// a, b
    Eq,
    /// a, b: NULL is unequal to every value, as in Django's `exclude`
    Ne,
    /// a, b
    Gt,
    /// a, b
    Ge,
    /// a, b
    Lt,
    /// a, b
    Le,
    /// a, low, high
    Between,
    /// a, then so many items
    In(u32),
    /// a
    IsNull,
    /// a, b
    And,
    /// a, b
    Or,
    /// a: NULL counts as false inside, as in Django's `exclude`
    Not,
    /// text, part
    Contains {
        /// Ignore case.
        ignore_case: bool,
    },
    /// text, part
    StartsWith {
        /// Ignore case.
        ignore_case: bool,
    },
    /// text, part
    EndsWith {
        /// Ignore case.
        ignore_case: bool,
    },
    /// text, text
    IExact,
    /// date or time
    Extract(Part),
    /// a, b
    Add,
    /// a, b
    Sub,
    /// a, b
    Mul,
    /// text
    Lower,
    /// text
    Upper,
    /// text
    Length,
    /// How many rows the to-many path leads to: a subquery of its own, so that two counts never multiply.
    CountPath {
        /// The path.
        path: Path,
    },
    /// `COUNT(*)` of the rows themselves.
    CountAll,
    /// a: `COUNT(a)`; over a to-many path a subquery, as are the other aggregates
    Aggregate(Aggregate),
    /// `EXISTS` of the node's subquery with this number.
    Exists(u16),
    /// The subquery with this number, as a value.
    Scalar(u16),
    /// `EXISTS` over a to-many path whose rows satisfy the subquery's filter.
    Related {
        /// The path.
        path: Path,
        /// The number of the subquery; its root is the path's target.
        sub: u16,
    },
    /// a, then so many (condition, value) pairs before it: else value on top
    Case(u8),
    /// a
    Asc,
    /// a
    Desc,
}

/// Aggregate functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as in SQL
pub enum Aggregate {
    Count,
    CountDistinct,
    Sum,
    Avg,
    Min,
    Max,
}

/// Parts of a date or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named by themselves
pub enum Part {
    Year,
    Month,
    Day,
}

/// An expression: its tape, the parameters in order, and its subqueries.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The tape.
    pub ops: Vec<Op>,
    /// Parameters, in the order of the `Param`s.
    pub params: Vec<Value>,
    /// Subqueries, by the numbers in the tape.
    pub subs: Vec<Query>,
}

impl Node {
    /// A tape of one step.
    pub fn op(op: Op) -> Node {
        // Most tapes are a column, a parameter and a comparison, maybe an AND: room for them from the start.
        let mut ops = Vec::with_capacity(4);
        ops.push(op);
        Node { ops, ..Node::default() }
    }

    /// A value.
    pub fn param(value: Value) -> Node {
        Node {
            ops: vec![Op::Param],
            params: vec![value],
            subs: Vec::new(),
        }
    }

    /// A tape of one step that names subquery 0.
    pub fn sub(op: Op, query: Query) -> Node {
        Node {
            ops: vec![op],
            params: Vec::new(),
            subs: vec![query],
        }
    }

    /// This tape, then that one.
    #[must_use]
    pub fn then(mut self, other: Node) -> Node {
        let base = self.subs.len() as u16;
        if base == 0 {
            self.ops.extend_from_slice(&other.ops);
        } else {
            self.ops.extend(other.ops.into_iter().map(|op| match op {
                Op::Exists(i) => Op::Exists(i + base),
                Op::Scalar(i) => Op::Scalar(i + base),
                Op::Related { path, sub } => Op::Related { path, sub: sub + base },
                op => op,
            }));
        }
        match self.params.is_empty() {
            true => self.params = other.params,
            false => self.params.extend(other.params),
        }
        self.subs.extend(other.subs);
        self
    }

    /// This tape, then one more step.
    #[must_use]
    pub fn push(mut self, op: Op) -> Node {
        self.ops.push(op);
        self
    }
}

/// What a query selects, column by column.
#[derive(Clone, Debug)]
pub enum Item {
    /// An expression.
    Expr(Node),
    /// All columns of the model at the end of a to-one path (the root for the empty path), in the order of its fields.
    Model(Path),
}

/// A query.
#[derive(Clone, Debug)]
pub struct Query {
    /// The root model.
    pub model: &'static ModelMeta,
    /// What is selected. The first item of a query for whole objects is `Model(Path::ROOT)`, then follow the models
    /// of `select_related`, then annotations.
    pub select: Vec<Item>,
    /// The condition.
    pub filter: Option<Node>,
    /// The order, each ending in `Asc` or `Desc`; empty means the model's own (none, when grouped or `unordered`).
    pub order: Vec<Node>,
    /// True when even the model's own order is unwanted.
    pub unordered: bool,
    /// GROUP BY.
    pub group: Vec<Node>,
    /// One row for all rows: what is selected are aggregates. Said by the query because `COUNT` over a to-many relation
    /// alone does not tell whether it is meant for each row or for all.
    pub aggregate: bool,
    /// Rows at most.
    pub limit: Option<u64>,
    /// Rows passed over.
    pub offset: Option<u64>,
    /// SELECT DISTINCT.
    pub distinct: bool,
    /// FOR UPDATE, where the database has it.
    pub lock: bool,
    /// Never any row (Django's `none()`).
    pub empty: bool,
    /// UNION with these.
    pub unions: Vec<Query>,
    /// Keep only rows whose key, at the end of this step back, is among the keys of an earlier step of the unit, and
    /// select that key as the first column: how prefetches are asked.
    pub fed_by: Option<Feed>,
}

/// How a prefetch hangs on an earlier step.
#[derive(Clone, Copy, Debug)]
pub struct Feed {
    /// The step in the forward direction (from the parent to the query's model).
    pub hop: &'static Hop,
    /// The step of the unit that gives the keys.
    pub step: usize,
    /// The column there.
    pub column: usize,
}

impl Query {
    /// All rows of a model, selecting nothing yet.
    pub fn new(model: &'static ModelMeta) -> Query {
        Query {
            model,
            select: Vec::new(),
            filter: None,
            order: Vec::new(),
            unordered: false,
            group: Vec::new(),
            aggregate: false,
            limit: None,
            offset: None,
            distinct: false,
            lock: false,
            empty: false,
            unions: Vec::new(),
            fed_by: None,
        }
    }

    /// Adds a condition.
    pub fn and(&mut self, condition: Node) {
        self.filter = Some(match self.filter.take() {
            None => condition,
            Some(filter) => filter.then(condition).push(Op::And),
        });
    }
}

/// A statement to be compiled.
#[derive(Clone, Debug)]
pub enum Statement {
    /// The rows of a query.
    Select(Query),
    /// How many rows a query has: one column.
    Count(Query),
    /// Whether a query has a row: one column, 0 or 1.
    Exists(Query),
    /// New rows.
    Insert(Insert),
    /// Columns set in all rows of a query (its filter, order and limit; nothing else of it).
    Update {
        /// Which rows.
        query: Query,
        /// Which columns, to what.
        set: Vec<(u16, Node)>,
        /// Give the changed rows back: all columns of the model.
        returning: bool,
    },
    /// All rows of a query are deleted.
    Delete(Query),
    /// Rows of a many-to-many table are added; pairs that exist are left alone.
    Link {
        /// The table.
        through: Through,
        /// Key of the one side.
        source: Value,
        /// Keys of the other.
        targets: Vec<Value>,
    },
    /// Rows of a many-to-many table are removed; all of `source` when `targets` is `None`.
    Unlink {
        /// The table.
        through: Through,
        /// Key of the one side.
        source: Value,
        /// Keys of the other.
        targets: Option<Vec<Value>>,
    },
}

pub use crate::meta::Through;

/// New rows.
#[derive(Clone, Debug)]
pub struct Insert {
    /// Of which model.
    pub model: &'static ModelMeta,
    /// The columns that are given.
    pub columns: Vec<u16>,
    /// Their values, row by row.
    pub rows: Vec<Vec<Node>>,
    /// What to do with a row that is there already.
    pub on_conflict: Option<Conflict>,
    /// Give the rows back: all columns of the model.
    pub returning: bool,
}

/// What to do with a row that is there already.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// The unique columns that tell; empty for any.
    pub target: Vec<u16>,
    /// The columns that take the new values; empty to leave the old row alone.
    pub update: Vec<u16>,
}
