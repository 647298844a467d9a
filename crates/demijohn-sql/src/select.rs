//! Queries.

use crate::expr::arity;
use crate::join::{column_name, many_as_value};
use crate::writer::{Writer, write_number};
use demijohn_model::driver::{Dialect, Param};
use demijohn_model::meta::{ModelMeta, RelationKind};
use demijohn_model::tape::{Feed, Item, Node, Op, Path, Query};
use demijohn_model::value::Value;
use demijohn_model::{Error, Result};

/// What of a query is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Its columns.
    Columns,
    /// `1`: only whether and how often there is a row.
    Rows,
    /// Its primary key.
    Keys,
}

fn clamp(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// True when the expression aggregates the query's own rows.
fn aggregates_rows(ops: &[Op]) -> bool {
    ops.iter().enumerate().any(|(at, op)| match op {
        Op::CountAll => true,
        // Over a to-many relation it is a subquery, which is a value like any other.
        Op::Aggregate(_) => !is_over_many(&ops[..at]),
        _ => false,
    })
}

/// True when the operand that ends `ops` has a column behind a to-many relation.
fn is_over_many(ops: &[Op]) -> bool {
    let mut open = 1;
    ops.iter()
        .rev()
        .take_while(|op| {
            let is_operand = open > 0;
            open = (open + arity(op)).saturating_sub(1);
            is_operand
        })
        .any(|op| matches!(op, Op::Column { path, .. } if path.is_many()))
}

fn is_aggregated(query: &Query) -> bool {
    query.aggregate
        || !query.group.is_empty()
        || query
            .select
            .iter()
            .any(|item| matches!(item, Item::Expr(node) if aggregates_rows(&node.ops)))
}

fn is_key(query: &Query, node: &Node) -> bool {
    let is = |key: &Node| key.ops == node.ops && key.params == node.params && key.subs.is_empty();
    query.group.iter().any(is)
}

/// True when a condition is on groups, not on single rows: it has an aggregate of the rows, or repeats a selected one.
fn is_about_groups(query: &Query, ops: &[Op]) -> bool {
    aggregates_rows(ops)
        || query.select.iter().any(|item| match item {
            Item::Expr(node) => {
                matches!(node.ops.last(), Some(Op::CountPath { .. } | Op::Aggregate(_)))
                    && !is_key(query, node)
                    && ops.windows(node.ops.len()).any(|part| part == node.ops)
            }
            Item::Model(_) => false,
        })
}

impl<'q> Writer {
    /// The rows of a query.
    pub(crate) fn select(&mut self, query: &'q Query) -> Result<()> {
        if query.unions.is_empty() {
            self.query(query, Part::Columns, true)
        } else {
            self.union(query)
        }
    }

    /// How many rows a query has.
    pub(crate) fn count(&mut self, query: &'q Query) -> Result<()> {
        if query.unions.is_empty()
            && query.limit.is_none()
            && query.offset.is_none()
            && !query.distinct
            && !is_aggregated(query)
        {
            self.push("SELECT COUNT(*)");
            let alias = self.fresh();
            self.open_root(query.model, alias, None);
            self.tables_and_conditions(query, alias, None)?;
            self.close_frame();
            return Ok(());
        }
        self.push("SELECT COUNT(*) FROM (");
        if !query.unions.is_empty() {
            self.union(query)?;
        } else if query.distinct {
            self.query(query, Part::Columns, false)?;
        } else {
            self.query(query, Part::Rows, false)?;
        }
        self.push(") t");
        Ok(())
    }

    /// Whether a query has a row.
    pub(crate) fn exists(&mut self, query: &'q Query) -> Result<()> {
        self.push("SELECT EXISTS (");
        self.exists_rows(query)?;
        self.push(")");
        Ok(())
    }

    fn exists_rows(&mut self, query: &'q Query) -> Result<()> {
        if query.unions.is_empty() {
            self.query(query, Part::Rows, false)
        } else {
            self.union(query)
        }
    }

    /// The inside of `EXISTS (..)`.
    pub(crate) fn subquery_exists(&mut self, query: &'q Query) -> Result<()> {
        self.inside(|w| w.exists_rows(query))
    }

    /// The inside of a subquery that is a value.
    pub(crate) fn subquery_value(&mut self, query: &'q Query) -> Result<()> {
        // Whole objects stand for their keys, as in `author__in=users`.
        let is_objects = matches!(&*query.select, [] | [Item::Model(_)]) && query.unions.is_empty();
        if !is_objects && width(query) != 1 {
            return Err(Error::usage(format!(
                "a subquery that is a value selects one column, this one {}; use `.values(|x| x.one_column)`",
                width(query)
            )));
        }
        let part = if is_objects { Part::Keys } else { Part::Columns };
        // Without a limit the order of the rows means nothing.
        let ordered = query.limit.is_some() || query.offset.is_some() || !query.order.is_empty();
        self.inside(|w| match query.unions.is_empty() {
            true => w.query(query, part, ordered),
            false => w.union(query),
        })
    }

    /// Writes what stands in a subquery.
    fn inside(&mut self, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.level += 1;
        let done = self.grouped(false, write);
        self.level -= 1;
        done
    }

    /// The keys of a query's rows, as a query beside the one that is changed.
    pub(crate) fn keys(&mut self, query: &'q Query) -> Result<()> {
        // The table that is changed is out of reach, or its frame would be taken for the inner query's.
        let around = std::mem::take(&mut self.frames);
        let done = self.query(query, Part::Keys, query.limit.is_some() || query.offset.is_some());
        self.frames = around;
        done
    }

    /// `EXISTS` over a relation whose rows satisfy a query's filter.
    pub(crate) fn related(&mut self, path: &Path, query: &'q Query) -> Result<()> {
        if query.empty {
            let never = self.never();
            self.push(never);
            return Ok(());
        }
        if query.limit.is_some() || query.offset.is_some() || !query.group.is_empty() || !query.unions.is_empty() {
            return Err(Error::usage(
                "`.any(..)` takes a condition only: no limit, group or union; use `exists(..)` for those",
            ));
        }
        self.push("EXISTS (SELECT 1");
        self.open_chain_as_root(path)?;
        if let Some(filter) = &query.filter {
            self.push(" AND ");
            self.grouped(false, |w| w.condition_after_and(filter))?;
        }
        self.close_frame();
        self.level -= 1;
        self.push(")");
        Ok(())
    }

    /// A condition that follows another after AND.
    fn condition_after_and(&mut self, node: &'q Node) -> Result<()> {
        if matches!(node.ops.last(), Some(Op::Or)) {
            self.push("(");
            self.condition_node(node)?;
            self.push(")");
            Ok(())
        } else {
            self.condition_node(node)
        }
    }

    /// `SELECT .. FROM .. ORDER BY .. LIMIT ..`
    fn query(&mut self, query: &'q Query, part: Part, ordered: bool) -> Result<()> {
        if query.fed_by.is_some() && (query.limit.is_some() || query.offset.is_some()) {
            return self.limited_feed(query);
        }
        self.head(query, part)?;
        if ordered {
            self.order_by(query)?;
        }
        self.limit(query);
        if query.lock && self.level == 0 && self.dialect != Dialect::Sqlite {
            self.push(" FOR UPDATE");
        }
        self.close_frame();
        Ok(())
    }

    /// `SELECT .. FROM .. WHERE .. GROUP BY .. HAVING ..`; its frame stays open.
    fn head(&mut self, query: &'q Query, part: Part) -> Result<()> {
        self.push(if query.distinct && part == Part::Columns {
            "SELECT DISTINCT "
        } else {
            "SELECT "
        });
        let alias = self.fresh();
        self.open_root(query.model, alias, None);
        let feed = self.feed(query, alias)?;
        let mut count = 0;
        if let Some(feed) = &feed {
            self.column_of(feed.key);
            count = 1;
        }
        match part {
            Part::Columns => {
                self.items(query, &mut count, false)?;
                if count == 0 {
                    return Err(Error::usage("the query selects nothing"));
                }
            }
            Part::Rows => self.push("1"),
            Part::Keys => {
                let key = self.column(&Path::ROOT, query.model.pk)?;
                self.column_of(key);
            }
        }
        self.tables_and_conditions(query, alias, feed)
    }

    /// A prefetch with a limit: so many rows for each parent.
    fn limited_feed(&mut self, query: &'q Query) -> Result<()> {
        if query.distinct || is_aggregated(query) {
            return Err(Error::usage(
                "a prefetch with a limit cannot be distinct or grouped; leave the limit out",
            ));
        }
        // The columns get names of their own: two joined tables may have an `id` each.
        let width = width(query) + 1;
        for i in 0..width {
            self.push(if i == 0 { "SELECT c" } else { ", c" });
            write_number(&mut self.out, i);
        }
        self.push(" FROM (SELECT ");
        let alias = self.fresh();
        self.open_root(query.model, alias, None);
        let Some(feed) = self.feed(query, alias)? else {
            return Err(Error::usage("the prefetch has no parent"));
        };
        let key = feed.key;
        self.column_of(key);
        self.push(" AS c0");
        let mut count = 1;
        self.items(query, &mut count, true)?;
        self.push(", ROW_NUMBER() OVER (PARTITION BY ");
        self.column_of(key);
        self.order_by(query)?;
        self.push(") AS n");
        self.tables_and_conditions(query, alias, Some(feed))?;
        self.close_frame();
        self.push(") t WHERE ");
        let offset = query.offset.unwrap_or(0);
        self.push("n > ");
        self.bind(Param::Value(clamp(offset)));
        if let Some(limit) = query.limit {
            self.push(" AND n <= ");
            self.bind(Param::Value(clamp(offset.saturating_add(limit))));
        }
        self.push(" ORDER BY n");
        Ok(())
    }

    fn tables_and_conditions(&mut self, query: &'q Query, alias: u32, feed: Option<FeedKey>) -> Result<()> {
        self.push(" FROM ");
        self.name(query.model.table);
        self.push(" ");
        self.alias(alias);
        if let Some(feed) = &feed
            && let Some((table, column)) = feed.through
        {
            self.push(" JOIN ");
            self.name(table);
            self.push(" ");
            self.alias(feed.key.0);
            self.push(" ON ");
            self.column_of((feed.key.0, column));
            self.push(" = ");
            self.column_of((alias, query.model.pk_field().column));
        }
        self.joins_here();
        let mut word = " WHERE ";
        if let Some(feed) = feed {
            self.push(word);
            self.column_of(feed.key);
            self.in_list(feed.keys);
            word = " AND ";
        }
        if query.empty {
            self.push(word);
            let never = self.never();
            self.push(never);
            word = " AND ";
        }
        match &query.filter {
            Some(filter) => self.filter(query, filter, word),
            None => self.group_by(query),
        }
    }

    /// WHERE, GROUP BY and HAVING: a condition on aggregates comes after grouping, every other before.
    fn filter(&mut self, query: &'q Query, filter: &'q Node, word: &'static str) -> Result<()> {
        if !is_aggregated(query) && !aggregates_rows(&filter.ops) {
            self.push(word);
            if word == " AND " {
                self.condition_after_and(filter)?;
            } else {
                self.condition_node(filter)?;
            }
            return self.group_by(query);
        }
        if query.group.is_empty() && aggregates_rows(&filter.ops) {
            return Err(Error::usage(
                "an aggregate of the query's own rows in `filter` needs `.group_by(..)` before it",
            ));
        }
        let tape = self.open(filter)?;
        let at = tape.last();
        for having in [false, true] {
            let mut word = if having { " HAVING " } else { word };
            if having {
                self.group_by(query)?;
            }
            let mut link = self.first_link(tape, at, Op::And);
            let mut operand = link;
            let mut start = 0;
            loop {
                let about_groups = !query.group.is_empty() && is_about_groups(query, &filter.ops[start..=operand]);
                if about_groups == having {
                    self.push(word);
                    word = " AND ";
                    let parens = matches!(tape.op(operand), Op::Or);
                    self.push(if parens { "(" } else { "" });
                    self.grouped(having, |w| w.condition(tape, operand))?;
                    self.push(if parens { ")" } else { "" });
                }
                match self.next_link(tape, link, at, Op::And) {
                    Some((next, end)) => {
                        start = link + 1;
                        (operand, link) = (next, end);
                    }
                    None => break,
                }
            }
        }
        self.close(tape);
        Ok(())
    }

    fn group_by(&mut self, query: &'q Query) -> Result<()> {
        for (i, node) in query.group.iter().enumerate() {
            self.push(if i == 0 { " GROUP BY " } else { ", " });
            self.grouped(false, |w| w.value_node(node))?;
        }
        Ok(())
    }

    fn order_by(&mut self, query: &'q Query) -> Result<()> {
        if query.order.is_empty() && !query.unordered && !is_aggregated(query) {
            for (i, order) in query.model.ordering.iter().enumerate() {
                self.push(if i == 0 { " ORDER BY " } else { ", " });
                let column = self.column(&Path::ROOT, order.field)?;
                self.column_of(column);
                if order.descending {
                    self.push(" DESC");
                }
            }
        }
        for (i, node) in query.order.iter().enumerate() {
            self.push(if i == 0 { " ORDER BY " } else { ", " });
            let tape = self.open(node)?;
            let descending = matches!(tape.op(tape.last()), Op::Desc);
            let end = tape.last() - usize::from(matches!(tape.op(tape.last()), Op::Asc | Op::Desc));
            let is_key = query.group.iter().any(|key| key.ops == node.ops[..=end]);
            let grouped = is_aggregated(query) && !is_key;
            self.grouped(grouped, |w| w.expr(tape, end))?;
            if descending {
                self.push(" DESC");
            }
            self.close(tape);
        }
        Ok(())
    }

    fn limit(&mut self, query: &Query) {
        match (query.limit, query.offset.filter(|offset| *offset > 0)) {
            (None, None) => {}
            (Some(limit), offset) => {
                self.push(" LIMIT ");
                self.bind(Param::Value(clamp(limit)));
                if let Some(offset) = offset {
                    self.push(" OFFSET ");
                    self.bind(Param::Value(clamp(offset)));
                }
            }
            (None, Some(offset)) => {
                self.push(match self.dialect {
                    Dialect::Sqlite => " LIMIT -1 OFFSET ",
                    Dialect::Postgres => " OFFSET ",
                    Dialect::MariaDb => " LIMIT 18446744073709551615 OFFSET ",
                });
                self.bind(Param::Value(clamp(offset)));
            }
        }
    }

    /// What is selected, by its own names or numbered `c1`, `c2` ..
    fn items(&mut self, query: &'q Query, count: &mut usize, numbered: bool) -> Result<()> {
        let grouped = is_aggregated(query);
        for item in &query.select {
            match item {
                Item::Expr(node) => {
                    self.comma(*count);
                    self.grouped(grouped && !is_key(query, node), |w| w.value_node(node))?;
                    self.numbered(count, numbered);
                }
                Item::Model(path) => {
                    let model = self.model_at(path)?;
                    if self.needs_chain(path)?.is_some() {
                        return Err(many_as_value(path));
                    }
                    let alias = self.table(path)?;
                    for field in model.fields {
                        self.comma(*count);
                        self.column_of((alias, field.column));
                        self.numbered(count, numbered);
                    }
                }
            }
        }
        Ok(())
    }

    fn comma(&mut self, count: usize) {
        if count > 0 {
            self.push(", ");
        }
    }

    fn numbered(&mut self, count: &mut usize, numbered: bool) {
        if numbered {
            self.push(" AS c");
            write_number(&mut self.out, *count);
        }
        *count += 1;
    }

    /// UNION: the order applies to the whole, by the number of the column.
    fn union(&mut self, query: &'q Query) -> Result<()> {
        let columns = width(query);
        for (i, member) in std::iter::once(query).chain(&query.unions).enumerate() {
            if i > 0 {
                self.push(" UNION ");
                if width(member) != columns {
                    return Err(Error::usage(format!(
                        "union: both queries must select the same columns, but one selects {columns}, another {}",
                        width(member)
                    )));
                }
            }
            let nested = i > 0 && (member.limit.is_some() || member.offset.is_some() || !member.unions.is_empty());
            if nested {
                // SQLite takes no parentheses around the members of a compound.
                self.push("SELECT * FROM (");
                self.select(member)?;
                self.push(")");
                if self.dialect != Dialect::Sqlite {
                    self.push(" t");
                }
            } else {
                if member.fed_by.is_some() {
                    return Err(Error::usage("a union cannot be prefetched"));
                }
                // Order and limit are those of the whole.
                self.head(member, Part::Columns)?;
                self.close_frame();
            }
        }
        for (i, order) in query.order.iter().enumerate() {
            self.push(if i == 0 { " ORDER BY " } else { ", " });
            let (sought, descending) = match order.ops.split_last() {
                Some((Op::Asc, rest)) => (rest, false),
                Some((Op::Desc, rest)) => (rest, true),
                _ => (&*order.ops, false),
            };
            let Some(number) = column_number(query, sought, &order.params) else {
                return Err(Error::usage("a union can be ordered by its own selected columns only"));
            };
            write_number(&mut self.out, number);
            if descending {
                self.push(" DESC");
            }
        }
        self.limit(query);
        Ok(())
    }

    fn feed(&mut self, query: &Query, alias: u32) -> Result<Option<FeedKey>> {
        match &query.fed_by {
            Some(feed) => self.feed_key(query.model, feed, alias).map(Some),
            None => Ok(None),
        }
    }

    fn feed_key(&mut self, model: &'static ModelMeta, feed: &Feed, alias: u32) -> Result<FeedKey> {
        let hop = feed.hop;
        if !hop.target().is(model) {
            return Err(Error::usage(format!(
                "a prefetch of {hop:?} leads to {}, but the query is one for {}",
                hop.target().name,
                model.name
            )));
        }
        let (key, through) = match hop.relation().kind {
            RelationKind::ToOne { field, .. } if hop.reverse => ((alias, column_name(model, field)?), None),
            RelationKind::ToOne { .. } => ((alias, model.pk_field().column), None),
            RelationKind::ManyToMany { through } => {
                let (parent, here) = match hop.reverse {
                    false => (through.source, through.target),
                    true => (through.target, through.source),
                };
                ((self.fresh(), parent), Some((through.table, here)))
            }
        };
        Ok(FeedKey {
            key,
            through,
            keys: Param::Keys {
                step: feed.step,
                column: feed.column,
            },
        })
    }
}

/// Where the parent's key stands.
struct FeedKey {
    key: (u32, &'static str),
    /// The table between, and its column with the key of the query's model.
    through: Option<(&'static str, &'static str)>,
    keys: Param,
}

/// How many columns a query selects.
fn width(query: &Query) -> usize {
    query
        .select
        .iter()
        .map(|item| match item {
            Item::Expr(_) => 1,
            Item::Model(path) => path.target(query.model).fields.len(),
        })
        .sum()
}

/// The number of the selected column that an expression stands for, from 1.
fn column_number(query: &Query, ops: &[Op], params: &[Value]) -> Option<usize> {
    let mut number = 1;
    for item in &query.select {
        match item {
            Item::Expr(node) => {
                if node.ops == ops && node.params == params && node.subs.is_empty() {
                    return Some(number);
                }
                number += 1;
            }
            Item::Model(at) => {
                if let [Op::Column { path, field }] = ops
                    && path == at
                {
                    return Some(number + usize::from(*field));
                }
                number += at.target(query.model).fields.len();
            }
        }
    }
    None
}
