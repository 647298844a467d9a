//! Queries of one shape in one unit compile once: a batch of twenty look-ups is one text with twenty lists of values.

use demijohn_model::driver::{Param, Step};
use demijohn_model::tape::{Item, Node, Op, Query};
use demijohn_model::value::Value;

/// True when a compiled query's parameters are its own values, handed on as they are.
pub(crate) fn is_verbatim(query: &Query, step: &Step) -> bool {
    let filter = query.filter.as_ref().map_or(&[][..], |node| &node.params);
    let given = step
        .params
        .iter()
        .take(filter.len())
        .zip(filter)
        .all(|(param, value)| matches!(param, Param::Value(bound) if bound == value && !value.is_null()));
    given && step.params.len() == filter.len() + usize::from(query.limit.is_some())
}

/// The parameters of `query`, when its text is that of `last`, which [`is_verbatim`].
///
/// Only for plain queries whose values are handed on as they are: patterns and dates are rewritten by the compiler,
/// lists change the text.
pub(crate) fn params_if_alike(last: &Query, query: &Query) -> Option<Vec<Param>> {
    if !alike(last, query) {
        return None;
    }
    let filter = query.filter.as_ref().map_or(&[][..], |node| &node.params);
    let mut params = Vec::with_capacity(filter.len() + usize::from(query.limit.is_some()));
    for value in filter {
        if value.is_null() {
            return None;
        }
        params.push(Param::Value(value.clone()));
    }
    if let Some(limit) = query.limit {
        params.push(Param::Value(Value::Int(i64::try_from(limit).ok()?)));
    }
    Some(params)
}

fn alike(a: &Query, b: &Query) -> bool {
    // Taken apart without `..`: a new part of a query must be thought of here.
    let Query {
        model,
        select,
        filter,
        order,
        unordered,
        group,
        limit,
        offset,
        distinct,
        lock,
        empty,
        unions,
        fed_by,
        aggregate,
    } = a;
    let plain =
        |q: &Query| q.group.is_empty() && q.offset.is_none() && !q.empty && q.unions.is_empty() && q.fed_by.is_none();
    let _ = (group, offset, empty, unions, fed_by);
    model.is(b.model)
        && plain(a)
        && plain(b)
        && *unordered == b.unordered
        && *distinct == b.distinct
        && *aggregate == b.aggregate
        && *lock == b.lock
        && limit.is_some() == b.limit.is_some()
        && match (filter, &b.filter) {
            (None, None) => true,
            (Some(a), Some(b)) => same_condition(a, b),
            _ => false,
        }
        && order.len() == b.order.len()
        && order.iter().zip(&b.order).all(|(a, b)| same_constant(a, b))
        && select.len() == b.select.len()
        && select.iter().zip(&b.select).all(|(a, b)| match (a, b) {
            (Item::Model(a), Item::Model(b)) => a == b,
            (Item::Expr(a), Item::Expr(b)) => same_constant(a, b),
            _ => false,
        })
}

fn same_condition(a: &Node, b: &Node) -> bool {
    let verbatim = |op: &Op| {
        matches!(
            op,
            Op::Column { .. } | Op::Param | Op::Eq | Op::Gt | Op::Ge | Op::Lt | Op::Le | Op::And | Op::Or
        )
    };
    a.subs.is_empty() && b.subs.is_empty() && a.ops == b.ops && a.ops.iter().all(verbatim)
}

fn same_constant(a: &Node, b: &Node) -> bool {
    a.params.is_empty() && b.params.is_empty() && a.subs.is_empty() && b.subs.is_empty() && a.ops == b.ops
}

#[cfg(test)]
mod tests {
    // The shapes themselves are tested through `Db::batch` in tests/queries.rs; here only what must not be shared.
    use super::*;
    use demijohn_model::tape::Path;

    #[test]
    fn patterns_are_never_shared() {
        let node = |op| {
            Node::op(Op::Column {
                path: Path::ROOT,
                field: 0,
            })
            .then(Node::param(Value::Text("x".into())))
            .push(op)
        };
        assert!(same_condition(&node(Op::Eq), &node(Op::Eq)));
        assert!(!same_condition(
            &node(Op::Contains { ignore_case: true }),
            &node(Op::Contains { ignore_case: true })
        ));
        assert!(
            !same_condition(&node(Op::Ne), &node(Op::Ne)),
            "its text depends on what may be NULL"
        );
    }
}
