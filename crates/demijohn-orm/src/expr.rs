//! Columns, expressions and conditions, typed over the untyped tape.
//!
//! Four facts of a column are in its type and nothing else: the root model `R` (models do not mix), the type `T`, and
//! the reach `N`: [`Own`] columns may be assigned, [`Nullable`] ones decode to `Option`.

use crate::model::Model;
use crate::queryset::QuerySet;
use crate::relation::Key;
use demijohn_model::field::{FieldType, Number, Temporal, Text};
use demijohn_model::tape::{Aggregate, Node, Op, Part, Path};
use demijohn_model::value::Value;
use demijohn_model::{Date, DateTime, NaiveDateTime, Time};
use std::marker::PhantomData;
use std::ops::{Add, BitAnd, BitOr, Mul, Not, Sub};

/// How far a column is from the root.
pub trait Reach: Copy + 'static {
    /// What a column of type `T` decodes to at this reach.
    type Out<T: FieldType>: FieldType;
    /// The reach of what is one NOT NULL step further.
    type Hop: Reach;
}

/// The model's own columns.
#[derive(Clone, Copy)]
pub struct Own;
/// A column reached over relations that are all NOT NULL.
#[derive(Clone, Copy)]
pub struct Joined;
/// A column reached over a nullable or to-many relation: it decodes to `Option`.
#[derive(Clone, Copy)]
pub struct Nullable;

impl Reach for Own {
    type Out<T: FieldType> = T;
    type Hop = Joined;
}
impl Reach for Joined {
    type Out<T: FieldType> = T;
    type Hop = Joined;
}
impl Reach for Nullable {
    type Out<T: FieldType> = T::Opt;
    type Hop = Nullable;
}

/// A column of `R`, or of a model that a path from `R` leads to.
pub struct Column<R, T, N = Own> {
    path: Path,
    field: u16,
    #[allow(clippy::type_complexity, reason = "three markers, spelled once")]
    _types: PhantomData<fn() -> (R, T, N)>,
}

// By hand: a derive would ask for `R: Copy`.
impl<R, T, N> Clone for Column<R, T, N> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R, T, N> Copy for Column<R, T, N> {}

impl<R, T, N> Column<R, T, N> {
    /// Made by the `#[model]` macro.
    #[doc(hidden)]
    #[inline]
    pub const fn new(path: Path, field: u16) -> Self {
        Column {
            path,
            field,
            _types: PhantomData,
        }
    }

    pub(crate) fn index(self) -> u16 {
        self.field
    }

    pub(crate) fn node(self) -> Node {
        Node::op(Op::Column {
            path: self.path,
            field: self.field,
        })
    }
}

/// An expression over rows of `R` that gives a `T`.
pub struct Expr<R, T> {
    pub(crate) node: Node,
    _types: PhantomData<fn() -> (R, T)>,
}

impl<R, T> Clone for Expr<R, T> {
    fn clone(&self) -> Self {
        Expr::of(self.node.clone())
    }
}

impl<R, T> Expr<R, T> {
    pub(crate) fn of(node: Node) -> Self {
        Expr {
            node,
            _types: PhantomData,
        }
    }

    fn node(self) -> Node {
        self.node
    }
}

/// A condition on rows of `R`; combined with `&`, `|` and `!`.
pub type Q<R> = Expr<R, bool>;

/// One key of an order.
pub struct Order<R>(pub(crate) Node, PhantomData<fn() -> R>);

/// The assignment of one column.
pub struct Set<M> {
    pub(crate) field: u16,
    pub(crate) value: Node,
    _model: PhantomData<fn() -> M>,
}

/// A column of the enclosing query; see [`outer`].
pub struct Outer<T>(Node, PhantomData<fn() -> T>);

/// A column of the enclosing query, inside [`exists`] or [`subquery`] (Django's `OuterRef`).
pub fn outer<R, T, N>(column: Column<R, T, N>) -> Outer<T> {
    Outer(
        Node::op(Op::Column {
            path: column.path.in_outer(),
            field: column.field,
        }),
        PhantomData,
    )
}

/// What can stand where a `B` is wanted in a query on `R`: a value, a column or an expression of that type.
#[diagnostic::on_unimplemented(
    message = "expected a `{B}` value or expression of `{R}`, found `{Self}`",
    label = "this is `{Self}`, the query needs `{B}`",
    note = "both sides of a comparison or assignment must have the field's type, and every field must come from the same model `{R}`"
)]
pub trait IntoExpr<B, R> {
    /// The tape.
    #[doc(hidden)]
    fn into_node(self) -> Node;
}

// Concrete impls, no `T: FieldType<Base = B>`: one projecting impl makes rustc report a bare "type mismatch resolving"
// in place of the text above.
impl<R, T> IntoExpr<T, R> for Expr<R, T> {
    fn into_node(self) -> Node {
        self.node
    }
}
impl<R, T> IntoExpr<T, R> for Expr<R, Option<T>> {
    fn into_node(self) -> Node {
        self.node
    }
}
impl<R, T, N> IntoExpr<T, R> for Column<R, T, N> {
    fn into_node(self) -> Node {
        self.node()
    }
}
impl<R, T, N> IntoExpr<T, R> for Column<R, Option<T>, N> {
    fn into_node(self) -> Node {
        self.node()
    }
}
impl<R, T> IntoExpr<T, R> for Outer<T> {
    fn into_node(self) -> Node {
        self.0
    }
}

macro_rules! literals {
    ($($rust:ty => $base:ty, $name:ident $value:expr;)*) => {$(
        impl<R> IntoExpr<$base, R> for $rust {
            fn into_node(self) -> Node {
                let $name = self;
                Node::param($value)
            }
        }
    )*};
}
literals! {
    i64 => i64, v Value::Int(v);
    i32 => i64, v Value::Int(v.into());
    u32 => i64, v Value::Int(v.into());
    i32 => i32, v Value::Int(v.into());
    f64 => f64, v Value::Float(v);
    i32 => f64, v Value::Float(v.into());
    bool => bool, v Value::Bool(v);
    &str => String, v Value::Text(v.to_owned());
    String => String, v Value::Text(v);
    &String => String, v Value::Text(v.clone());
    std::borrow::Cow<'_, str> => String, v Value::Text(v.into_owned());
    Vec<u8> => Vec<u8>, v Value::Bytes(v);
    &[u8] => Vec<u8>, v Value::Bytes(v.to_vec());
    DateTime => DateTime, v v.to_value();
    NaiveDateTime => NaiveDateTime, v Value::NaiveDateTime(v);
    Date => Date, v Value::Date(v);
    Time => Time, v Value::Time(v);
}

impl<R, M: Model<Pk = i64>> IntoExpr<Key<M>, R> for i64 {
    fn into_node(self) -> Node {
        Node::param(Value::Int(self))
    }
}
impl<R, M: Model<Pk = i64>> IntoExpr<Key<M>, R> for i32 {
    fn into_node(self) -> Node {
        Node::param(Value::Int(self.into()))
    }
}
impl<R, M: Model<Pk = String>> IntoExpr<Key<M>, R> for &str {
    fn into_node(self) -> Node {
        Node::param(Value::Text(self.to_owned()))
    }
}
impl<R, M: Model<Pk = String>> IntoExpr<Key<M>, R> for String {
    fn into_node(self) -> Node {
        Node::param(Value::Text(self))
    }
}
impl<R, M: Model> IntoExpr<Key<M>, R> for Key<M> {
    fn into_node(self) -> Node {
        Node::param(self.to_value())
    }
}

/// What `filter` takes.
#[diagnostic::on_unimplemented(
    message = "`filter`/`exclude`/`any` need a condition on `{R}`, found `{Self}`",
    label = "not a condition on `{R}`",
    note = "compare it: `x.field.eq(..)`, `.gt(..)`, `.icontains(..)`; combine with `&`, `|`, `!`; a bool field is a condition by itself"
)]
pub trait Predicate<R> {
    /// The tape.
    #[doc(hidden)]
    fn into_condition(self) -> Node;
}
impl<R> Predicate<R> for Expr<R, bool> {
    fn into_condition(self) -> Node {
        self.node
    }
}
impl<R, N> Predicate<R> for Column<R, bool, N> {
    fn into_condition(self) -> Node {
        self.node()
    }
}

/// Columns that may be assigned.
#[diagnostic::on_unimplemented(
    message = "this column belongs to a related model and cannot be assigned here",
    label = "reached through a relation",
    note = "an UPDATE writes one table: update the related model through its own `objects()`"
)]
pub trait OwnColumn {}
impl OwnColumn for Own {}

macro_rules! expression_methods {
    () => {
        /// `self = value`
        pub fn eq(self, value: impl IntoExpr<T::Base, R>) -> Q<R> {
            Expr::of(self.node().then(value.into_node()).push(Op::Eq))
        }
        /// `self <> value`; a NULL is unequal to every value.
        pub fn ne(self, value: impl IntoExpr<T::Base, R>) -> Q<R> {
            Expr::of(self.node().then(value.into_node()).push(Op::Ne))
        }
        /// `self > value`
        pub fn gt(self, value: impl IntoExpr<T::Base, R>) -> Q<R> {
            Expr::of(self.node().then(value.into_node()).push(Op::Gt))
        }
        /// `self >= value`
        pub fn ge(self, value: impl IntoExpr<T::Base, R>) -> Q<R> {
            Expr::of(self.node().then(value.into_node()).push(Op::Ge))
        }
        /// `self < value`
        pub fn lt(self, value: impl IntoExpr<T::Base, R>) -> Q<R> {
            Expr::of(self.node().then(value.into_node()).push(Op::Lt))
        }
        /// `self <= value`
        pub fn le(self, value: impl IntoExpr<T::Base, R>) -> Q<R> {
            Expr::of(self.node().then(value.into_node()).push(Op::Le))
        }
        /// `self BETWEEN low AND high`, both included.
        pub fn between(self, low: impl IntoExpr<T::Base, R>, high: impl IntoExpr<T::Base, R>) -> Q<R> {
            Expr::of(
                self.node()
                    .then(low.into_node())
                    .then(high.into_node())
                    .push(Op::Between),
            )
        }
        /// `self IN (values)`; never true for no values.
        pub fn in_<V: IntoExpr<T::Base, R>>(self, values: impl IntoIterator<Item = V>) -> Q<R> {
            let mut node = self.node();
            let mut count = 0u32;
            for value in values {
                node = node.then(value.into_node());
                count += 1;
            }
            Expr::of(node.push(Op::In(count)))
        }
        /// `self IS NULL`
        pub fn is_null(self) -> Q<R> {
            Expr::of(self.node().push(Op::IsNull))
        }
        /// `self IS NOT NULL`
        pub fn is_not_null(self) -> Q<R> {
            Expr::of(self.node().push(Op::IsNull).push(Op::Not))
        }
        /// From low to high.
        pub fn asc(self) -> Order<R> {
            Order(self.node().push(Op::Asc), PhantomData)
        }
        /// From high to low.
        pub fn desc(self) -> Order<R> {
            Order(self.node().push(Op::Desc), PhantomData)
        }
        /// Contains the text, case and all.
        pub fn contains(self, text: impl IntoExpr<String, R>) -> Q<R>
        where
            T: Text,
        {
            Expr::of(
                self.node()
                    .then(text.into_node())
                    .push(Op::Contains { ignore_case: false }),
            )
        }
        /// Contains the text in any case.
        pub fn icontains(self, text: impl IntoExpr<String, R>) -> Q<R>
        where
            T: Text,
        {
            Expr::of(
                self.node()
                    .then(text.into_node())
                    .push(Op::Contains { ignore_case: true }),
            )
        }
        /// Starts with the text.
        pub fn startswith(self, text: impl IntoExpr<String, R>) -> Q<R>
        where
            T: Text,
        {
            Expr::of(
                self.node()
                    .then(text.into_node())
                    .push(Op::StartsWith { ignore_case: false }),
            )
        }
        /// Starts with the text in any case.
        pub fn istartswith(self, text: impl IntoExpr<String, R>) -> Q<R>
        where
            T: Text,
        {
            Expr::of(
                self.node()
                    .then(text.into_node())
                    .push(Op::StartsWith { ignore_case: true }),
            )
        }
        /// Ends with the text.
        pub fn endswith(self, text: impl IntoExpr<String, R>) -> Q<R>
        where
            T: Text,
        {
            Expr::of(
                self.node()
                    .then(text.into_node())
                    .push(Op::EndsWith { ignore_case: false }),
            )
        }
        /// Ends with the text in any case.
        pub fn iendswith(self, text: impl IntoExpr<String, R>) -> Q<R>
        where
            T: Text,
        {
            Expr::of(
                self.node()
                    .then(text.into_node())
                    .push(Op::EndsWith { ignore_case: true }),
            )
        }
        /// Is the text in any case.
        pub fn iexact(self, text: impl IntoExpr<String, R>) -> Q<R>
        where
            T: Text,
        {
            Expr::of(self.node().then(text.into_node()).push(Op::IExact))
        }
        /// In lower case.
        pub fn lower(self) -> Expr<R, T>
        where
            T: Text,
        {
            Expr::of(self.node().push(Op::Lower))
        }
        /// In upper case.
        pub fn upper(self) -> Expr<R, T>
        where
            T: Text,
        {
            Expr::of(self.node().push(Op::Upper))
        }
        /// How many characters.
        pub fn length(self) -> Expr<R, Option<i64>>
        where
            T: Text,
        {
            Expr::of(self.node().push(Op::Length))
        }
        /// The year; compared with a number it becomes a range, so that an index is used.
        pub fn year(self) -> Expr<R, i32>
        where
            T: Temporal,
        {
            Expr::of(self.node().push(Op::Extract(Part::Year)))
        }
        /// The month, 1 to 12.
        pub fn month(self) -> Expr<R, i32>
        where
            T: Temporal,
        {
            Expr::of(self.node().push(Op::Extract(Part::Month)))
        }
        /// The day of the month.
        pub fn day(self) -> Expr<R, i32>
        where
            T: Temporal,
        {
            Expr::of(self.node().push(Op::Extract(Part::Day)))
        }
        /// How many are not NULL.
        pub fn count(self) -> Expr<R, i64> {
            Expr::of(self.node().push(Op::Aggregate(Aggregate::Count)))
        }
        /// How many different ones.
        pub fn count_distinct(self) -> Expr<R, i64> {
            Expr::of(self.node().push(Op::Aggregate(Aggregate::CountDistinct)))
        }
        /// The sum; `None` of no rows.
        pub fn sum(self) -> Expr<R, T::Opt>
        where
            T: Number,
        {
            Expr::of(self.node().push(Op::Aggregate(Aggregate::Sum)))
        }
        /// The mean; `None` of no rows.
        pub fn avg(self) -> Expr<R, Option<f64>>
        where
            T: Number,
        {
            Expr::of(self.node().push(Op::Aggregate(Aggregate::Avg)))
        }
        /// The highest; `None` of no rows.
        pub fn max(self) -> Expr<R, T::Opt> {
            Expr::of(self.node().push(Op::Aggregate(Aggregate::Max)))
        }
        /// The lowest; `None` of no rows.
        pub fn min(self) -> Expr<R, T::Opt> {
            Expr::of(self.node().push(Op::Aggregate(Aggregate::Min)))
        }
    };
}

impl<R, T: FieldType, N> Column<R, T, N> {
    expression_methods!();
}
impl<R, T: FieldType> Expr<R, T> {
    expression_methods!();
}

impl<M, T: FieldType, N> Column<M, T, N> {
    /// Assigns a value or an expression over the row.
    pub fn set(self, value: impl IntoExpr<T::Base, M>) -> Set<M>
    where
        N: OwnColumn,
    {
        Set {
            field: self.field,
            value: value.into_node(),
            _model: PhantomData,
        }
    }

    /// Assigns a value, or NULL for `None`.
    pub fn set_opt<V: IntoExpr<T::Base, M>>(self, value: Option<V>) -> Set<M>
    where
        T: FieldType<Opt = T>,
        N: OwnColumn,
    {
        let value = value.map_or_else(|| Node::param(Value::Null), V::into_node);
        Set {
            field: self.field,
            value,
            _model: PhantomData,
        }
    }
}

macro_rules! arithmetic {
    ($($operator:ident $method:ident $op:ident),*) => {$(
        impl<R, T: FieldType + Number, N, V: IntoExpr<T::Base, R>> $operator<V> for Column<R, T, N> {
            type Output = Expr<R, T>;
            fn $method(self, value: V) -> Expr<R, T> {
                Expr::of(self.node().then(value.into_node()).push(Op::$op))
            }
        }
        impl<R, T: FieldType + Number, V: IntoExpr<T::Base, R>> $operator<V> for Expr<R, T> {
            type Output = Expr<R, T>;
            fn $method(self, value: V) -> Expr<R, T> {
                Expr::of(self.node.then(value.into_node()).push(Op::$op))
            }
        }
    )*};
}
arithmetic!(Add add Add, Sub sub Sub, Mul mul Mul);

impl<R, V: Predicate<R>> BitAnd<V> for Expr<R, bool> {
    type Output = Q<R>;
    fn bitand(self, other: V) -> Q<R> {
        Expr::of(self.node.then(other.into_condition()).push(Op::And))
    }
}
impl<R, V: Predicate<R>> BitOr<V> for Expr<R, bool> {
    type Output = Q<R>;
    fn bitor(self, other: V) -> Q<R> {
        Expr::of(self.node.then(other.into_condition()).push(Op::Or))
    }
}
impl<R> Not for Expr<R, bool> {
    type Output = Q<R>;
    fn not(self) -> Q<R> {
        Expr::of(self.node.push(Op::Not))
    }
}
impl<R, N, V: Predicate<R>> BitAnd<V> for Column<R, bool, N> {
    type Output = Q<R>;
    fn bitand(self, other: V) -> Q<R> {
        Expr::of(self.node().then(other.into_condition()).push(Op::And))
    }
}
impl<R, N, V: Predicate<R>> BitOr<V> for Column<R, bool, N> {
    type Output = Q<R>;
    fn bitor(self, other: V) -> Q<R> {
        Expr::of(self.node().then(other.into_condition()).push(Op::Or))
    }
}
impl<R, N> Not for Column<R, bool, N> {
    type Output = Q<R>;
    fn not(self) -> Q<R> {
        Expr::of(self.node().push(Op::Not))
    }
}

/// A literal or expression with a known type, for the branches of [`case`].
pub trait Typed<R> {
    /// Its type.
    type T;
    /// The tape.
    #[doc(hidden)]
    fn typed(self) -> Node;
}
impl<R> Typed<R> for &str {
    type T = String;
    fn typed(self) -> Node {
        Node::param(Value::Text(self.into()))
    }
}
impl<R> Typed<R> for i64 {
    type T = i64;
    fn typed(self) -> Node {
        Node::param(Value::Int(self))
    }
}
impl<R> Typed<R> for bool {
    type T = bool;
    fn typed(self) -> Node {
        Node::param(Value::Bool(self))
    }
}
impl<R, T> Typed<R> for Expr<R, T> {
    type T = T;
    fn typed(self) -> Node {
        self.node
    }
}
impl<R, T, N> Typed<R> for Column<R, T, N> {
    type T = T;
    fn typed(self) -> Node {
        self.node()
    }
}

/// An unfinished `CASE`; [`otherwise`](Case::otherwise) finishes it.
pub struct Case<R, T> {
    node: Node,
    arms: u8,
    _types: PhantomData<fn() -> (R, T)>,
}

/// `CASE WHEN condition THEN value ..`
pub fn case<R, V: Typed<R>>(condition: impl Predicate<R>, value: V) -> Case<R, V::T> {
    Case {
        node: condition.into_condition().then(value.typed()),
        arms: 1,
        _types: PhantomData,
    }
}

impl<R, T> Case<R, T> {
    /// One more arm.
    #[must_use]
    pub fn when<V: Typed<R, T = T>>(self, condition: impl Predicate<R>, value: V) -> Self {
        let node = self.node.then(condition.into_condition()).then(value.typed());
        Case {
            node,
            arms: self.arms.saturating_add(1),
            _types: PhantomData,
        }
    }

    /// What it is when no condition holds.
    pub fn otherwise<V: Typed<R, T = T>>(self, value: V) -> Expr<R, T> {
        Expr::of(self.node.then(value.typed()).push(Op::Case(self.arms)))
    }
}

/// `EXISTS (query)`; columns of the enclosing query are named by [`outer`].
pub fn exists<R, M: Model, O: Send + 'static>(query: QuerySet<M, O>) -> Q<R> {
    Expr::of(Node::sub(Op::Exists(0), query.into_query()))
}

/// The one value of a query of one column; `None` of no row.
pub fn subquery<R, M: Model, T: FieldType>(query: QuerySet<M, T>) -> Expr<R, T::Opt> {
    Expr::of(Node::sub(Op::Scalar(0), query.into_query()))
}

/// `COUNT(*)`: how many rows, in `aggregate` and after `group_by`.
pub fn count_all<R>() -> Expr<R, i64> {
    Expr::of(Node::op(Op::CountAll))
}
