//! Expressions: from postfix tapes to infix text.

use crate::join::many_as_value;
use crate::writer::Writer;
use demijohn_model::driver::{Dialect, Param};
use demijohn_model::tape::{Aggregate, Node, Op, Part, Path};
use demijohn_model::value::{Kind, Value};
use demijohn_model::{Error, Result};

/// Expressions nested deeper than this are refused, so that no query given as text overflows the stack.
const MAX_DEPTH: u32 = 400;

/// SQLite refuses longer patterns for LIKE and GLOB.
const MAX_PATTERN: usize = 50_000;

/// Where the part of a tape that ends at a step begins, and how many parameters stand before that step.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    start: u32,
    params: u32,
}

/// A node whose shape is known.
#[derive(Clone, Copy)]
pub(crate) struct Tape<'q> {
    pub(crate) node: &'q Node,
    base: usize,
}

impl Tape<'_> {
    pub(crate) fn op(&self, at: usize) -> &Op {
        &self.node.ops[at]
    }

    pub(crate) fn last(&self) -> usize {
        self.node.ops.len() - 1
    }
}

/// How many operands a step takes.
pub(crate) fn arity(op: &Op) -> usize {
    match op {
        Op::Column { .. }
        | Op::Param
        | Op::CountPath { .. }
        | Op::CountAll
        | Op::Exists(_)
        | Op::Scalar(_)
        | Op::Related { .. } => 0,
        Op::IsNull
        | Op::Not
        | Op::Extract(_)
        | Op::Lower
        | Op::Upper
        | Op::Length
        | Op::Aggregate(_)
        | Op::Asc
        | Op::Desc => 1,
        Op::Eq
        | Op::Ne
        | Op::Gt
        | Op::Ge
        | Op::Lt
        | Op::Le
        | Op::And
        | Op::Or
        | Op::Contains { .. }
        | Op::StartsWith { .. }
        | Op::EndsWith { .. }
        | Op::IExact
        | Op::Add
        | Op::Sub
        | Op::Mul => 2,
        Op::Between => 3,
        Op::In(items) => *items as usize + 1,
        Op::Case(pairs) => 2 * usize::from(*pairs) + 1,
    }
}

/// A comparison: true, false or unknown of the values of its operands. Over a to-many relation each is a semi-join.
fn is_comparison(op: &Op) -> bool {
    matches!(
        op,
        Op::Eq
            | Op::Ne
            | Op::Gt
            | Op::Ge
            | Op::Lt
            | Op::Le
            | Op::Between
            | Op::In(_)
            | Op::IsNull
            | Op::Contains { .. }
            | Op::StartsWith { .. }
            | Op::EndsWith { .. }
            | Op::IExact
    )
}

/// Needs parentheses as an operand.
fn is_compound(op: &Op) -> bool {
    is_comparison(op) || matches!(op, Op::And | Op::Or | Op::Not | Op::Add | Op::Sub | Op::Mul)
}

fn malformed() -> Error {
    Error::usage("an expression is malformed: a step lacks its operands, or has too many")
}

impl<'q> Writer {
    /// Finds the shape of a node. Close it with [`close`](Self::close) when it is written.
    pub(crate) fn open(&mut self, node: &'q Node) -> Result<Tape<'q>> {
        let base = self.spans.len();
        let mut params = 0;
        for (i, op) in node.ops.iter().enumerate() {
            let mut start = i;
            for _ in 0..arity(op) {
                let before = start.checked_sub(1).ok_or_else(malformed)?;
                start = self.spans[base + before].start as usize;
            }
            self.spans.push(Span {
                start: start as u32,
                params,
            });
            params += u32::from(matches!(op, Op::Param));
        }
        match self.spans[base..].last() {
            Some(Span { start: 0, .. }) if params as usize == node.params.len() => Ok(Tape { node, base }),
            _ => Err(malformed()),
        }
    }

    pub(crate) fn close(&mut self, tape: Tape<'q>) {
        self.spans.truncate(tape.base);
    }

    /// Where the part that ends at `at` begins.
    fn start(&self, tape: Tape<'q>, at: usize) -> usize {
        self.spans[tape.base + at].start as usize
    }

    /// The parameter at a `Param` step.
    fn param(&self, tape: Tape<'q>, at: usize) -> Option<&'q Value> {
        match tape.op(at) {
            Op::Param => tape.node.params.get(self.spans[tape.base + at].params as usize),
            _ => None,
        }
    }

    /// The ends of the two operands of the step at `at`.
    fn two(&self, tape: Tape<'q>, at: usize) -> (usize, usize) {
        let b = at - 1;
        (self.start(tape, b) - 1, b)
    }

    /// The ends of the operands of the step at `at`, first to last.
    fn operands(&self, tape: Tape<'q>, at: usize) -> Vec<usize> {
        let mut ends = Vec::with_capacity(arity(tape.op(at)));
        let mut end = at;
        for _ in 0..arity(tape.op(at)) {
            end = if end == at { at - 1 } else { self.start(tape, end) - 1 };
            ends.push(end);
        }
        ends.reverse();
        ends
    }

    /// The ends of the operands of a chain `a AND b AND c` that ends at `at`: the first, then one by one.
    pub(crate) fn first_link(&self, tape: Tape<'q>, mut at: usize, link: Op) -> usize {
        while *tape.op(at) == link {
            at = self.two(tape, at).0;
        }
        at
    }

    /// The operand of the chain that ends at `at` that follows the one that ends at `after`; and the end of its link.
    pub(crate) fn next_link(&self, tape: Tape<'q>, after: usize, at: usize, link: Op) -> Option<(usize, usize)> {
        let start = self.start(tape, at);
        (after + 1..=at)
            .find(|&i| *tape.op(i) == link && self.start(tape, i) == start)
            .map(|i| (i - 1, i))
    }

    /// A whole node as a condition.
    pub(crate) fn condition_node(&mut self, node: &'q Node) -> Result<()> {
        let tape = self.open(node)?;
        self.condition(tape, tape.last())?;
        self.close(tape);
        Ok(())
    }

    /// A whole node as a value.
    pub(crate) fn value_node(&mut self, node: &'q Node) -> Result<()> {
        if let ([Op::Param], [value]) = (&*node.ops, &*node.params) {
            self.value(value);
            return Ok(());
        }
        let tape = self.open(node)?;
        self.expr(tape, tape.last())?;
        self.close(tape);
        Ok(())
    }

    fn nested(&mut self, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::usage(format!(
                "the expression is nested more than {MAX_DEPTH} levels deep; split the query"
            )));
        }
        let done = write(self);
        self.depth -= 1;
        done
    }

    /// A condition: what WHERE, AND, OR, NOT and CASE take.
    pub(crate) fn condition(&mut self, tape: Tape<'q>, at: usize) -> Result<()> {
        let op = tape.op(at);
        match op {
            Op::And | Op::Or => {
                let word = if *op == Op::And { " AND " } else { " OR " };
                let mut link = self.first_link(tape, at, *op);
                let mut operand = link;
                loop {
                    // OR binds weaker than AND, and nothing else here needs parentheses.
                    self.nested(|w| match (op, tape.op(operand)) {
                        (Op::And, Op::Or) => w.parens(|w| w.condition(tape, operand)),
                        _ => w.condition(tape, operand),
                    })?;
                    match self.next_link(tape, link, at, *op) {
                        Some((next, end)) => (operand, link) = (next, end),
                        None => return Ok(()),
                    }
                    self.push(word);
                }
            }
            Op::Not => self.nested(|w| w.not(tape, at - 1)),
            Op::IsNull => match self.many_in(tape, at)? {
                Some(path) => self.no_row_or_null(tape, at, &path),
                None => self.expr(tape, at),
            },
            Op::Column { .. } => self.semi_join(tape, at),
            op if is_comparison(op) => self.semi_join(tape, at),
            _ => self.expr(tape, at),
        }
    }

    /// `NOT`, where unknown counts as false inside.
    fn not(&mut self, tape: Tape<'q>, at: usize) -> Result<()> {
        match tape.op(at) {
            Op::Exists(_) | Op::Related { .. } => {
                self.push("NOT ");
                self.condition(tape, at)
            }
            // `is_null()` has its own opposite: there is a row with a value.
            Op::IsNull => match self.many_in(tape, at)? {
                Some(path) => self.behind(&path, true, false, |w| {
                    w.push(" AND ");
                    w.expr(tape, at - 1)?;
                    w.push(" IS NOT NULL");
                    Ok(())
                }),
                None => {
                    self.expr(tape, at - 1)?;
                    self.push(" IS NOT NULL");
                    Ok(())
                }
            },
            op if (is_comparison(op) || matches!(op, Op::Column { .. })) && self.many_in(tape, at)?.is_some() => {
                self.push("NOT ");
                self.condition(tape, at)
            }
            _ if self.is_never_null(tape, at)? => {
                self.push("NOT ");
                self.parens(|w| w.condition(tape, at))
            }
            _ => {
                self.parens(|w| w.condition(tape, at))?;
                self.push(" IS NOT TRUE");
                Ok(())
            }
        }
    }

    fn parens(&mut self, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.push("(");
        write(self)?;
        self.push(")");
        Ok(())
    }

    /// A comparison, inside one `EXISTS` for each to-many relation in it.
    fn semi_join(&mut self, tape: Tape<'q>, at: usize) -> Result<()> {
        match self.many_in(tape, at)? {
            None => self.expr(tape, at),
            Some(path) => self.behind(&path, true, false, |w| {
                w.push(" AND ");
                w.nested(|w| w.semi_join(tape, at))
            }),
        }
    }

    /// `IS NULL` over a to-many relation: no related row, or one where it is NULL.
    fn no_row_or_null(&mut self, tape: Tape<'q>, at: usize, path: &Path) -> Result<()> {
        // A column that is never NULL is missing only with its row, unless a step in the middle leads nowhere.
        let simple = match tape.op(at - 1) {
            Op::Column { path: whole, field } => {
                let model = self.model_at(whole)?;
                whole.len() == path.len()
                    && path.hops().filter(|hop| hop.is_many()).count() == 1
                    && model.fields.get(usize::from(*field)).is_some_and(|f| !f.null)
            }
            _ => false,
        };
        if simple {
            return self.behind(path, false, false, |_| Ok(()));
        }
        self.parens(|w| {
            w.behind(path, false, false, |_| Ok(()))?;
            w.push(" OR ");
            w.behind(path, true, true, |w| {
                w.push(" AND ");
                w.expr(tape, at)
            })
        })
    }

    /// `[NOT] EXISTS (SELECT 1 FROM the relation WHERE it hangs on this row ..)`
    fn behind(
        &mut self,
        path: &Path,
        exists: bool,
        outer: bool,
        and: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.push(if exists {
            "EXISTS (SELECT 1"
        } else {
            "NOT EXISTS (SELECT 1"
        });
        self.open_chain(path, outer)?;
        and(self)?;
        self.close_frame();
        self.push(")");
        Ok(())
    }

    /// A to-many relation in the part that ends at `at` for which no FROM clause is open yet.
    fn many_in(&self, tape: Tape<'q>, at: usize) -> Result<Option<Path>> {
        let start = self.start(tape, at);
        let mut i = at + 1;
        while i > start {
            i -= 1;
            match tape.op(i) {
                Op::Column { path, .. } if !path.is_empty() => {
                    if let Some(path) = self.needs_chain(path)? {
                        return Ok(Some(path));
                    }
                }
                // Aggregates have a FROM clause of their own.
                Op::Aggregate(_) => i = self.start(tape, i),
                _ => {}
            }
        }
        Ok(None)
    }

    /// True when the part that ends at `at` is certainly true or false.
    fn is_never_null(&self, tape: Tape<'q>, at: usize) -> Result<bool> {
        let mut i = at + 1;
        let start = self.start(tape, at);
        while i > start {
            i -= 1;
            match tape.op(i) {
                Op::Column { path, field }
                    if self.needs_chain(path)?.is_none() && self.may_be_null(path, *field)? =>
                {
                    return Ok(false);
                }
                Op::Param if self.param(tape, i).is_none_or(Value::is_null) => return Ok(false),
                Op::Scalar(_) | Op::Aggregate(_) => return Ok(false),
                Op::IsNull | Op::Ne | Op::Not => i = self.start(tape, i),
                _ => {}
            }
        }
        Ok(true)
    }

    /// An operand: in parentheses when it is made of several.
    fn operand(&mut self, tape: Tape<'q>, at: usize) -> Result<()> {
        if is_compound(tape.op(at)) {
            self.parens(|w| w.expr(tape, at))
        } else {
            self.expr(tape, at)
        }
    }

    /// `a = b` and its like.
    fn binary(&mut self, tape: Tape<'q>, at: usize, sign: &str) -> Result<()> {
        let (a, b) = self.two(tape, at);
        self.operand(tape, a)?;
        self.push(sign);
        self.operand(tape, b)
    }

    /// Any part of a tape.
    pub(crate) fn expr(&mut self, tape: Tape<'q>, at: usize) -> Result<()> {
        self.nested(|w| w.expr_here(tape, at))
    }

    fn expr_here(&mut self, tape: Tape<'q>, at: usize) -> Result<()> {
        match *tape.op(at) {
            Op::Column { ref path, field } => {
                if self.needs_chain(path)?.is_some() {
                    return Err(many_as_value(path));
                }
                let column = self.column(path, field)?;
                self.column_of(column);
            }
            Op::Param => match self.param(tape, at) {
                Some(value) => self.value(value),
                None => return Err(malformed()),
            },
            Op::Eq | Op::Ne | Op::Gt | Op::Ge | Op::Lt | Op::Le => return self.comparison(tape, at),
            Op::Between => {
                let ends = self.operands(tape, at);
                if self.year_range(tape, &Op::Between, &ends)? {
                    return Ok(());
                }
                self.operand(tape, ends[0])?;
                self.push(" BETWEEN ");
                self.operand(tape, ends[1])?;
                self.push(" AND ");
                return self.operand(tape, ends[2]);
            }
            Op::In(_) => return self.in_(tape, at),
            Op::IsNull => {
                self.operand(tape, at - 1)?;
                self.push(" IS NULL");
            }
            Op::And | Op::Or | Op::Not => return self.condition(tape, at),
            Op::Contains { ignore_case } => return self.text(tape, at, Find::Inside, ignore_case),
            Op::StartsWith { ignore_case } => return self.text(tape, at, Find::Start, ignore_case),
            Op::EndsWith { ignore_case } => return self.text(tape, at, Find::End, ignore_case),
            Op::IExact => return self.text(tape, at, Find::Whole, true),
            Op::Extract(part) => return self.extract(tape, at, part),
            Op::Add => return self.binary(tape, at, " + "),
            Op::Sub => return self.binary(tape, at, " - "),
            Op::Mul => return self.binary(tape, at, " * "),
            Op::Lower => return self.call("LOWER", tape, at),
            Op::Upper => return self.call("UPPER", tape, at),
            Op::Length => {
                let name = if self.dialect == Dialect::MariaDb {
                    "CHAR_LENGTH"
                } else {
                    "LENGTH"
                };
                return self.call(name, tape, at);
            }
            Op::CountPath { ref path } => {
                let grouped = self.grouped;
                self.push(if grouped {
                    "COALESCE(SUM((SELECT COUNT(*)"
                } else {
                    "(SELECT COUNT(*)"
                });
                self.open_chain(path, false)?;
                self.close_frame();
                self.push(if grouped { ")), 0)" } else { ")" });
            }
            Op::CountAll => self.push("COUNT(*)"),
            Op::Aggregate(which) => return self.aggregate(tape, at, which),
            Op::Exists(sub) => {
                let query = tape.node.subs.get(usize::from(sub)).ok_or_else(malformed)?;
                self.push("EXISTS (");
                self.subquery_exists(query)?;
                self.push(")");
            }
            Op::Scalar(sub) => {
                let query = tape.node.subs.get(usize::from(sub)).ok_or_else(malformed)?;
                self.push("(");
                self.subquery_value(query)?;
                self.push(")");
            }
            Op::Related { ref path, sub } => {
                let query = tape.node.subs.get(usize::from(sub)).ok_or_else(malformed)?;
                return self.related(path, query);
            }
            Op::Case(_) => {
                let ends = self.operands(tape, at);
                self.push("CASE");
                for pair in ends.chunks_exact(2) {
                    self.push(" WHEN ");
                    self.condition(tape, pair[0])?;
                    self.push(" THEN ");
                    self.operand(tape, pair[1])?;
                }
                self.push(" ELSE ");
                self.operand(tape, at - 1)?;
                self.push(" END");
            }
            Op::Asc | Op::Desc => {
                return Err(Error::usage("`.asc()` and `.desc()` belong into `order_by` only"));
            }
        }
        Ok(())
    }

    fn call(&mut self, name: &str, tape: Tape<'q>, at: usize) -> Result<()> {
        self.push(name);
        self.parens(|w| w.expr(tape, at - 1))
    }

    fn comparison(&mut self, tape: Tape<'q>, at: usize) -> Result<()> {
        let (a, b) = self.two(tape, at);
        let op = *tape.op(at);
        if self.year_range(tape, &op, &[a, b])? {
            return Ok(());
        }
        let null = self.param(tape, b).is_some_and(Value::is_null);
        match op {
            Op::Eq if null => {
                self.operand(tape, a)?;
                self.push(" IS NULL");
                Ok(())
            }
            Op::Ne if null => {
                self.operand(tape, a)?;
                self.push(" IS NOT NULL");
                Ok(())
            }
            Op::Ne if self.is_never_null(tape, a)? && self.is_never_null(tape, b)? => self.binary(tape, at, " <> "),
            Op::Ne => {
                self.parens(|w| w.binary(tape, at, " = "))?;
                self.push(" IS NOT TRUE");
                Ok(())
            }
            Op::Gt => self.binary(tape, at, " > "),
            Op::Ge => self.binary(tape, at, " >= "),
            Op::Lt => self.binary(tape, at, " < "),
            Op::Le => self.binary(tape, at, " <= "),
            _ => self.binary(tape, at, " = "),
        }
    }

    /// `year(a) = 2026` and its like as a range of `a`. False when it is nothing of the kind; nothing is written then.
    fn year_range(&mut self, tape: Tape<'q>, op: &Op, ends: &[usize]) -> Result<bool> {
        let Op::Extract(Part::Year) = tape.op(ends[0]) else {
            return Ok(false);
        };
        let at = ends[0] - 1;
        let Op::Column { path, field } = tape.op(at) else {
            return Ok(false);
        };
        let kind = self.model_at(path)?.fields.get(usize::from(*field)).map(|f| f.kind);
        let bound = |year: i64| kind.and_then(|kind| new_year(kind, year));
        let year = |end: usize| match self.param(tape, end) {
            Some(Value::Int(year)) => Some(*year),
            _ => None,
        };
        let (Some(first), Some(last)) = (year(ends[1]), year(ends[ends.len() - 1])) else {
            return Ok(false);
        };
        let (Some(from), Some(to)) = (bound(first), last.checked_add(1).and_then(bound)) else {
            return Ok(false);
        };
        let nullable = self.may_be_null(path, *field)?;
        let side = |w: &mut Self, sign: &str, value: Value| -> Result<()> {
            w.expr(tape, at)?;
            w.push(sign);
            w.bind(Param::Value(value));
            Ok(())
        };
        match op {
            Op::Eq | Op::Between => self.parens(|w| {
                side(w, " >= ", from)?;
                w.push(" AND ");
                side(w, " < ", to)
            })?,
            Op::Ne => self.parens(|w| {
                side(w, " < ", from)?;
                w.push(" OR ");
                side(w, " >= ", to)?;
                if nullable {
                    w.push(" OR ");
                    w.expr(tape, at)?;
                    w.push(" IS NULL");
                }
                Ok(())
            })?,
            Op::Gt => side(self, " >= ", to)?,
            Op::Ge => side(self, " >= ", from)?,
            Op::Lt => side(self, " < ", from)?,
            Op::Le => side(self, " < ", to)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn in_(&mut self, tape: Tape<'q>, at: usize) -> Result<()> {
        let ends = self.operands(tape, at);
        let (a, items) = (ends[0], &ends[1..]);
        let values = (at - items.len()..at).all(|i| matches!(tape.op(i), Op::Param));
        match items {
            [] => self.push(self.never()),
            // A subquery is a set of rows here, not one value.
            [one] if matches!(tape.op(*one), Op::Scalar(_)) => {
                self.operand(tape, a)?;
                self.push(" IN ");
                self.expr(tape, *one)?;
            }
            _ if values => {
                self.operand(tape, a)?;
                let first = self.spans[tape.base + items[0]].params as usize;
                let values = tape.node.params.get(first..first + items.len()).ok_or_else(malformed)?;
                self.in_values(values);
            }
            _ => {
                self.operand(tape, a)?;
                self.push(" IN (");
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        self.push(", ");
                    }
                    self.expr(tape, *item)?;
                }
                self.push(")");
            }
        }
        Ok(())
    }

    /// What is never true.
    pub(crate) fn never(&self) -> &'static str {
        "1 = 0"
    }

    fn extract(&mut self, tape: Tape<'q>, at: usize, part: Part) -> Result<()> {
        let (word, format) = match part {
            Part::Year => ("YEAR", "%Y"),
            Part::Month => ("MONTH", "%m"),
            Part::Day => ("DAY", "%d"),
        };
        match self.dialect {
            Dialect::Sqlite => {
                self.push("CAST(strftime('");
                self.push(format);
                self.push("', ");
                self.expr(tape, at - 1)?;
                self.push(") AS INTEGER)");
            }
            Dialect::Postgres => {
                self.push("EXTRACT(");
                self.push(word);
                self.push(" FROM ");
                self.expr(tape, at - 1)?;
                if self.kind(tape, at - 1)? == Some(Kind::DateTime) {
                    self.push(" AT TIME ZONE 'UTC'");
                }
                self.push(")::bigint");
            }
            Dialect::MariaDb => {
                self.push("EXTRACT(");
                self.push(word);
                self.push(" FROM ");
                self.expr(tape, at - 1)?;
                self.push(")");
            }
        }
        Ok(())
    }

    /// The type of a column.
    fn kind(&self, tape: Tape<'q>, at: usize) -> Result<Option<Kind>> {
        match tape.op(at) {
            Op::Column { path, field } => Ok(self.model_at(path)?.fields.get(usize::from(*field)).map(|f| f.kind)),
            _ => Ok(None),
        }
    }

    fn aggregate(&mut self, tape: Tape<'q>, at: usize, which: Aggregate) -> Result<()> {
        let (open, close) = match which {
            Aggregate::Count => ("COUNT(", ")"),
            Aggregate::CountDistinct => ("COUNT(DISTINCT ", ")"),
            Aggregate::Sum => ("SUM(", ")"),
            Aggregate::Avg => ("AVG(", ")"),
            Aggregate::Min => ("MIN(", ")"),
            Aggregate::Max => ("MAX(", ")"),
        };
        let Some(path) = self.many_in(tape, at - 1)? else {
            self.push(open);
            // Inside, rows are single again.
            self.grouped(false, |w| w.expr(tape, at - 1))?;
            self.push(close);
            return Ok(());
        };
        // Of a group: each row's part is summed up.
        let (before, after) = match which {
            _ if !self.grouped => ("(", ")"),
            Aggregate::Count => ("COALESCE(SUM((", ")), 0)"),
            Aggregate::Sum => ("SUM((", "))"),
            Aggregate::Min => ("MIN((", "))"),
            Aggregate::Max => ("MAX((", "))"),
            Aggregate::Avg | Aggregate::CountDistinct => {
                return Err(Error::usage(format!(
                    "an average or a distinct count of {path:?} cannot be put together from the rows of a group; start the query from {}",
                    path.target(self.model_at(&path.prefix(0))?).name
                )));
            }
        };
        // A subquery of its own. Its FROM clause decides where the column stands, so the column is written when that
        // is known, and moved in front of it.
        self.push(before);
        self.push("SELECT ");
        self.push(open);
        let here = self.out.len();
        self.open_chain(&path, false)?;
        let end = self.out.len();
        // The chain holds no parameters, so moving the text does not disturb their order.
        self.grouped(false, |w| w.expr(tape, at - 1))?;
        let operand = self.out.split_off(end);
        self.close_frame();
        self.out.insert_str(here, close);
        self.out.insert_str(here, &operand);
        self.push(after);
        Ok(())
    }

    fn text(&mut self, tape: Tape<'q>, at: usize, find: Find, ignore_case: bool) -> Result<()> {
        let (a, b) = self.two(tape, at);
        if let Some(Value::Text(part)) = self.param(tape, b) {
            let glob = self.dialect == Dialect::Sqlite && !ignore_case;
            let pattern = if glob { find.glob(part) } else { find.like(part) };
            // Inside, instr() needs no pattern; at the start, GLOB can use an index.
            let short = pattern.len() <= MAX_PATTERN || self.dialect != Dialect::Sqlite;
            if short && !(glob && matches!(find, Find::Inside)) {
                let fold = ignore_case && self.dialect == Dialect::MariaDb;
                if fold {
                    self.push("LOWER(");
                }
                self.operand(tape, a)?;
                if fold {
                    self.push(")");
                }
                self.push(match self.dialect {
                    Dialect::Sqlite if glob => " GLOB ",
                    Dialect::Postgres if ignore_case => " ILIKE ",
                    _ if fold => " LIKE LOWER(",
                    _ => " LIKE ",
                });
                self.bind(Param::Value(Value::Text(pattern)));
                if fold {
                    self.push(")");
                }
                if !glob {
                    // In MariaDB's strings the backslash escapes itself.
                    self.push(if self.dialect == Dialect::MariaDb {
                        " ESCAPE '\\\\'"
                    } else {
                        " ESCAPE '\\'"
                    });
                }
                return Ok(());
            }
        }
        let fold = |w: &mut Self, at: usize| -> Result<()> {
            match ignore_case {
                true => {
                    w.push("LOWER(");
                    w.expr(tape, at)?;
                    w.push(")");
                    Ok(())
                }
                false => w.operand(tape, at),
            }
        };
        match find {
            Find::Whole => {
                fold(self, a)?;
                self.push(" = ");
                fold(self, b)
            }
            Find::Inside => {
                self.push(match self.dialect {
                    Dialect::Postgres => "STRPOS(",
                    Dialect::Sqlite | Dialect::MariaDb => "INSTR(",
                });
                fold(self, a)?;
                self.push(", ");
                fold(self, b)?;
                self.push(") > 0");
                Ok(())
            }
            Find::Start | Find::End => {
                self.push("SUBSTR(");
                fold(self, a)?;
                self.push(if matches!(find, Find::Start) {
                    ", 1, LENGTH("
                } else {
                    ", 1 + LENGTH("
                });
                if matches!(find, Find::End) {
                    self.expr(tape, a)?;
                    self.push(") - LENGTH(");
                }
                self.expr(tape, b)?;
                self.push(")) = ");
                fold(self, b)
            }
        }
    }
}

/// Where a part of a text is looked for.
#[derive(Clone, Copy)]
enum Find {
    Whole,
    Start,
    Inside,
    End,
}

impl Find {
    fn pattern(self, part: &str, any: char, escape: impl Fn(&mut String, char)) -> String {
        let mut pattern = String::with_capacity(part.len() + 2);
        if matches!(self, Find::Inside | Find::End) {
            pattern.push(any);
        }
        for c in part.chars() {
            escape(&mut pattern, c);
        }
        if matches!(self, Find::Inside | Find::Start) {
            pattern.push(any);
        }
        pattern
    }

    fn like(self, part: &str) -> String {
        self.pattern(part, '%', |pattern, c| {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        })
    }

    fn glob(self, part: &str) -> String {
        self.pattern(part, '*', |pattern, c| {
            if matches!(c, '*' | '?' | '[') {
                pattern.push('[');
                pattern.push(c);
                pattern.push(']');
            } else {
                pattern.push(c);
            }
        })
    }
}

/// The first moment of a year, in the type of a column. SQLite compares times as text, so only years of four digits.
fn new_year(kind: Kind, year: i64) -> Option<Value> {
    let year = i16::try_from(year).ok().filter(|year| (1..=9999).contains(year))?;
    let date = demijohn_model::Date::new(year, 1, 1).ok()?;
    let midnight = date.at(0, 0, 0, 0);
    match kind {
        Kind::Date => Some(Value::Date(date)),
        Kind::NaiveDateTime => Some(Value::NaiveDateTime(midnight)),
        Kind::DateTime => jiff::tz::TimeZone::UTC.to_timestamp(midnight).ok().map(Value::DateTime),
        _ => None,
    }
}
