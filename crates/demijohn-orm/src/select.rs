//! What can be selected, ordered by and assigned: columns, expressions, relations, and tuples of them.

use crate::expr::{Column, Expr, Order, Own, Reach, Set};
use crate::model::{Fields, Model};
use crate::plan::{ChildQuery, Reader};
use crate::queryset::child_query;
use crate::relation::Many;
use demijohn_model::Result;
use demijohn_model::field::FieldType;
use demijohn_model::tape::{Item, Node, Op, Path};
use std::marker::PhantomData;

/// What a query selects, as it is gathered.
#[derive(Default)]
pub struct Selection {
    pub(crate) items: Vec<Item>,
    pub(crate) many: Vec<(Path, Box<dyn ChildQuery>)>,
}

impl Selection {
    /// All columns of the model at the end of a to-one path.
    #[doc(hidden)]
    pub fn model(&mut self, path: Path) {
        self.items.push(Item::Model(path));
    }
}

/// What can be selected from `R`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be selected from `{R}`",
    note = "select columns, expressions, relations, or tuples of them, all from `{R}`"
)]
pub trait Select<R> {
    /// What it decodes to.
    type Out: Send + 'static;
    /// The row type when it is added to rows of `O`.
    type Row<O: Send + 'static>: Send + 'static;
    /// Adds its columns.
    #[doc(hidden)]
    fn nodes(self, selection: &mut Selection);
    /// Reads them.
    #[doc(hidden)]
    fn decode(reader: &mut Reader<'_, '_>) -> Result<Self::Out>;
    /// Puts them beside what is there.
    #[doc(hidden)]
    fn row<O: Send + 'static>(row: O, value: Self::Out) -> Self::Row<O>;
}

impl<R, T: FieldType, N: Reach> Select<R> for Column<R, T, N> {
    type Out = <N::Out<T> as FieldType>::Rust;
    type Row<O: Send + 'static> = (O, Self::Out);
    fn nodes(self, selection: &mut Selection) {
        selection.items.push(Item::Expr(self.node()));
    }
    fn decode(reader: &mut Reader<'_, '_>) -> Result<Self::Out> {
        reader.next()
    }
    fn row<O: Send + 'static>(row: O, value: Self::Out) -> (O, Self::Out) {
        (row, value)
    }
}

impl<R, T: FieldType> Select<R> for Expr<R, T> {
    type Out = T::Rust;
    type Row<O: Send + 'static> = (O, T::Rust);
    fn nodes(self, selection: &mut Selection) {
        selection.items.push(Item::Expr(self.node));
    }
    fn decode(reader: &mut Reader<'_, '_>) -> Result<T::Rust> {
        reader.next()
    }
    fn row<O: Send + 'static>(row: O, value: T::Rust) -> (O, T::Rust) {
        (row, value)
    }
}

impl<F: Fields> Select<F::Root> for Many<F> {
    type Out = Vec<F::Model>;
    type Row<O: Send + 'static> = (O, Vec<F::Model>);
    fn nodes(self, selection: &mut Selection) {
        selection.many.push((self.way(), child_query(F::Model::objects())));
    }
    fn decode(reader: &mut Reader<'_, '_>) -> Result<Vec<F::Model>> {
        reader.many()
    }
    fn row<O: Send + 'static>(row: O, value: Vec<F::Model>) -> (O, Vec<F::Model>) {
        (row, value)
    }
}

/// A projection's proof that a selection gives the field's type: a plain "expected, found" of the two.
#[doc(hidden)]
pub struct Gives<T>(PhantomData<fn() -> T>);

/// See [`Gives`].
#[doc(hidden)]
pub fn gives<R, S: Select<R>>(_: &S) -> Gives<S::Out> {
    Gives(PhantomData)
}

/// A struct that is its own loading plan.
pub trait Projection: Sized + Send + 'static {
    /// The model it is a view of.
    type Of: Model;
    /// Adds its columns.
    #[doc(hidden)]
    fn build(selection: &mut Selection);
    /// Reads them.
    #[doc(hidden)]
    fn decode(reader: &mut Reader<'_, '_>) -> Result<Self>;
}

/// One column of `M` itself.
pub trait OneColumn<M> {
    /// Its index.
    #[doc(hidden)]
    fn one(self) -> u16;
}
impl<M, T> OneColumn<M> for Column<M, T, Own> {
    fn one(self) -> u16 {
        self.index()
    }
}

/// Columns of `M` itself.
pub trait ColumnList<M> {
    /// Their indexes.
    #[doc(hidden)]
    fn columns(self) -> Vec<u16>;
}
impl<M, T> ColumnList<M> for Column<M, T, Own> {
    fn columns(self) -> Vec<u16> {
        vec![self.index()]
    }
}

/// One key of an order.
pub trait OneOrder<R> {
    /// The tape.
    #[doc(hidden)]
    fn one(self) -> Node;
}
impl<R> OneOrder<R> for Order<R> {
    fn one(self) -> Node {
        self.0
    }
}
impl<R, T, N> OneOrder<R> for Column<R, T, N> {
    fn one(self) -> Node {
        self.node().push(Op::Asc)
    }
}

/// What `order_by` takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an ordering of `{R}`",
    note = "use `x.field.asc()`, `x.field.desc()` or a tuple of them"
)]
pub trait IntoOrder<R> {
    /// The tapes.
    #[doc(hidden)]
    fn orders(self) -> Vec<Node>;
}
impl<R> IntoOrder<R> for Order<R> {
    fn orders(self) -> Vec<Node> {
        vec![self.0]
    }
}
impl<R, T, N> IntoOrder<R> for Column<R, T, N> {
    fn orders(self) -> Vec<Node> {
        vec![self.node().push(Op::Asc)]
    }
}
impl<R> IntoOrder<R> for Vec<Order<R>> {
    fn orders(self) -> Vec<Node> {
        self.into_iter().map(|o| o.0).collect()
    }
}

/// What `update` takes: one assignment, or an array, tuple or vector of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not assign columns of `{M}`",
    note = "use `x.field.set(..)`, or an array, a tuple or a `Vec` of such"
)]
pub trait IntoSets<M> {
    /// The assignments.
    #[doc(hidden)]
    fn sets(self) -> Vec<Set<M>>;
}
impl<M> IntoSets<M> for Set<M> {
    fn sets(self) -> Vec<Set<M>> {
        vec![self]
    }
}
impl<M, const K: usize> IntoSets<M> for [Set<M>; K] {
    fn sets(self) -> Vec<Set<M>> {
        self.into_iter().collect()
    }
}
impl<M> IntoSets<M> for Vec<Set<M>> {
    fn sets(self) -> Vec<Set<M>> {
        self
    }
}

macro_rules! set_of {
    ($T:ident) => { Set<M> };
}

macro_rules! tuples {
    ($($T:ident $i:tt),+) => {
        impl<R, $($T: Select<R>),+> Select<R> for ($($T,)+) {
            type Out = ($($T::Out,)+);
            type Row<Before: Send + 'static> = (Before, $($T::Out,)+);
            fn nodes(self, selection: &mut Selection) {
                $(self.$i.nodes(selection);)+
            }
            fn decode(reader: &mut Reader<'_, '_>) -> Result<Self::Out> {
                Ok(($($T::decode(reader)?,)+))
            }
            fn row<Before: Send + 'static>(row: Before, value: Self::Out) -> Self::Row<Before> {
                (row, $(value.$i,)+)
            }
        }
        impl<M, $($T: OneColumn<M>),+> ColumnList<M> for ($($T,)+) {
            fn columns(self) -> Vec<u16> {
                vec![$(self.$i.one()),+]
            }
        }
        impl<R, $($T: OneOrder<R>),+> IntoOrder<R> for ($($T,)+) {
            fn orders(self) -> Vec<Node> {
                vec![$(self.$i.one()),+]
            }
        }
        impl<M> IntoSets<M> for ($(set_of!($T),)+) {
            fn sets(self) -> Vec<Set<M>> {
                vec![$(self.$i),+]
            }
        }
    };
}
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
