//! Queries.

use crate::join::column_name;
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

/// True when the node aggregates the query's own rows.
fn aggregates_rows(node: &Node) -> bool {
    node.ops.iter().enumerate().any(|(i, op)| match op {
        Op::CountAll => true,
        // Over a to-many relation it is a subquery, which is a value like any other.
        Op::Aggregate(_) => !node.ops[..i]
            .iter()
            .any(|op| matches!(op, Op::Column { path, .. } if path.is_many())),
        _ => false,
    })
}

fn is_aggregated(query: &Query) -> bool {
    !query.group.is_empty()
        || query
            .select
            .iter()
            .any(|item| matches!(item, Item::Expr(node) if aggregates_rows(node)))
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
            return self.query_after_columns(query, |_, _| Ok(()), false);
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
        self.level += 1;
        self.exists_rows(query)?;
        self.level -= 1;
        Ok(())
    }

    /// The inside of a subquery that is a value.
    pub(crate) fn subquery_value(&mut self, query: &'q Query) -> Result<()> {
        let key;
        let columns = match &*query.select {
            // Whole objects stand for their keys, as in `author__in=users`.
            [] | [Item::Model(_)] => {
                key = true;
                1
            }
            _ => {
                key = false;
                self.level += 1;
                let count = width(query);
                self.level -= 1;
                count
            }
        };
        if columns != 1 {
            return Err(Error::usage(format!(
                "a subquery that is a value selects one column, this one {columns}; use `.values(|x| x.one_column)`"
            )));
        }
        self.level += 1;
        if !query.unions.is_empty() {
            self.union(query)?;
        } else {
            let ordered = query.limit.is_some() || query.offset.is_some();
            self.query(query, if key { Part::Keys } else { Part::Columns }, ordered)?;
        }
        self.level -= 1;
        Ok(())
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
            self.grouped_condition(filter)?;
        }
        self.close_frame();
        self.level -= 1;
        self.push(")");
        Ok(())
    }

    /// A condition that follows another after AND.
    fn grouped_condition(&mut self, node: &'q Node) -> Result<()> {
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
        self.push(if query.distinct && part == Part::Columns {
            "SELECT DISTINCT "
        } else {
            "SELECT "
        });
        self.query_after_columns(
            query,
            |w, feed| {
                let mut first = true;
                if let Some(key) = feed {
                    w.column_of(key);
                    first = false;
                }
                match part {
                    Part::Columns => {
                        for item in &query.select {
                            w.item(item, &mut first)?;
                        }
                        if first {
                            return Err(Error::usage("the query selects nothing"));
                        }
                    }
                    Part::Rows => w.push("1"),
                    Part::Keys => {
                        let key = w.column(&Path::ROOT, query.model.pk)?;
                        w.column_of(key);
                    }
                }
                Ok(())
            },
            ordered,
        )
    }

    /// The columns, then everything behind them.
    fn query_after_columns(
        &mut self,
        query: &'q Query,
        columns: impl FnOnce(&mut Self, Option<(u32, &'static str)>) -> Result<()>,
        ordered: bool,
    ) -> Result<()> {
        let alias = self.fresh();
        self.open_root(query.model, alias, None);
        let feed = match &query.fed_by {
            Some(feed) => Some((feed, self.feed_key(query.model, feed, alias)?)),
            None => None,
        };
        columns(self, feed.as_ref().map(|(_, key)| key.key))?;
        self.push(" FROM ");
        self.name(query.model.table);
        self.push(" ");
        self.alias(alias);
        if let Some((_, key)) = &feed
            && let Some((table, column)) = key.through
        {
            self.push(" JOIN ");
            self.name(table);
            self.push(" ");
            self.alias(key.key.0);
            self.push(" ON ");
            self.column_of((key.key.0, column));
            self.push(" = ");
            self.column_of((alias, query.model.pk_field().column));
        }
        self.joins_here();
        let mut word = " WHERE ";
        if let Some((feed, key)) = &feed {
            if query.limit.is_some() || query.offset.is_some() {
                return Err(Error::usage(
                    "a limit inside `prefetch_related` would count over all parents together; it is not there yet",
                ));
            }
            self.push(word);
            self.column_of(key.key);
            self.in_list(Param::Keys {
                step: feed.step,
                column: feed.column,
            });
            word = " AND ";
        }
        if query.empty {
            self.push(word);
            let never = self.never();
            self.push(never);
            word = " AND ";
        }
        if let Some(filter) = &query.filter {
            self.filter(query, filter, word)?;
        } else {
            self.group_by(query)?;
        }
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

    /// WHERE, GROUP BY and HAVING: a condition on aggregates comes after grouping, every other before.
    fn filter(&mut self, query: &'q Query, filter: &'q Node, word: &'static str) -> Result<()> {
        if !aggregates_rows(filter) {
            self.push(word);
            if word == " AND " {
                self.grouped_condition(filter)?;
            } else {
                self.condition_node(filter)?;
            }
            return self.group_by(query);
        }
        if query.group.is_empty() {
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
                let aggregated = filter.ops[start..=operand]
                    .iter()
                    .any(|op| matches!(op, Op::Aggregate(_) | Op::CountAll));
                if aggregated == having {
                    self.push(word);
                    word = " AND ";
                    let parens = matches!(tape.op(operand), Op::Or);
                    self.push(if parens { "(" } else { "" });
                    self.condition(tape, operand)?;
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
            self.value_node(node)?;
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
            match tape.op(tape.last()) {
                Op::Asc => self.expr(tape, tape.last() - 1)?,
                Op::Desc => {
                    self.expr(tape, tape.last() - 1)?;
                    self.push(" DESC");
                }
                _ => self.expr(tape, tape.last())?,
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

    fn item(&mut self, item: &'q Item, first: &mut bool) -> Result<()> {
        let mut comma = |w: &mut Self| {
            if !*first {
                w.push(", ");
            }
            *first = false;
        };
        match item {
            Item::Expr(node) => {
                comma(self);
                self.value_node(node)
            }
            Item::Model(path) => {
                let model = self.model_at(path)?;
                let alias = self.table(path)?;
                for field in model.fields {
                    comma(self);
                    self.column_of((alias, field.column));
                }
                Ok(())
            }
        }
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
                self.query_without_tail(member)?;
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

    /// A member of a union: without order and limit.
    fn query_without_tail(&mut self, query: &'q Query) -> Result<()> {
        self.push(if query.distinct { "SELECT DISTINCT " } else { "SELECT " });
        let alias = self.fresh();
        self.open_root(query.model, alias, None);
        let mut first = true;
        for item in &query.select {
            self.item(item, &mut first)?;
        }
        self.push(" FROM ");
        self.name(query.model.table);
        self.push(" ");
        self.alias(alias);
        self.joins_here();
        if query.fed_by.is_some() {
            return Err(Error::usage("a union cannot be prefetched"));
        }
        let mut word = " WHERE ";
        if query.empty {
            self.push(word);
            let never = self.never();
            self.push(never);
            word = " AND ";
        }
        match &query.filter {
            Some(filter) => self.filter(query, filter, word)?,
            None => self.group_by(query)?,
        }
        self.close_frame();
        Ok(())
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
        Ok(match hop.relation().kind {
            RelationKind::ToOne { field, .. } if hop.reverse => FeedKey {
                key: (alias, column_name(model, field)?),
                through: None,
            },
            RelationKind::ToOne { .. } => FeedKey {
                key: (alias, model.pk_field().column),
                through: None,
            },
            RelationKind::ManyToMany { through } => {
                let (parent, here) = match hop.reverse {
                    false => (through.source, through.target),
                    true => (through.target, through.source),
                };
                FeedKey {
                    key: (self.fresh(), parent),
                    through: Some((through.table, here)),
                }
            }
        })
    }
}

/// Where the parent's key stands.
struct FeedKey {
    key: (u32, &'static str),
    /// The table between, and its column with the key of the query's model.
    through: Option<(&'static str, &'static str)>,
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
