//! Where a column comes from: tables, joins, and the chains of tables behind to-many relations.

use crate::writer::{Writer, quote, write_alias};
use demijohn_model::meta::{Hop, ModelMeta, RelationKind};
use demijohn_model::tape::Path;
use demijohn_model::{Error, Result};

/// A FROM clause: the query's own, or that of a semi-join behind a to-many relation.
pub(crate) struct Frame {
    /// The query that it belongs to.
    level: usize,
    /// That query's model.
    root: &'static ModelMeta,
    /// The way from the root to this table.
    base: Path,
    alias: u32,
    /// `alias` is the table of a many-to-many relation, and this its column with the key of the model at `base`.
    key: Option<&'static str>,
    /// The row at `base` may be missing.
    outer: bool,
    joins: Vec<(Path, u32)>,
    /// The joins' text, put in at `at` when the frame is closed.
    text: String,
    at: usize,
}

impl Frame {
    fn starts(&self, path: &Path) -> bool {
        let len = self.base.len();
        len == 0 || (len <= path.len() && self.base.hops().zip(path.hops()).all(|(a, b)| a.id == b.id))
    }
}

fn same_way(a: &Path, b: &Path) -> bool {
    a.len() == b.len() && a.hops().zip(b.hops()).all(|(a, b)| a.id == b.id)
}

/// May the step lead nowhere?
fn may_miss(hop: &Hop) -> bool {
    match hop.relation().kind {
        RelationKind::ToOne { null, .. } => hop.reverse || null,
        RelationKind::ManyToMany { .. } => true,
    }
}

/// The number of steps up to and including the last to-many one; 0 when there is none.
pub(crate) fn many_len(path: &Path) -> usize {
    path.hops()
        .enumerate()
        .filter(|(_, hop)| hop.is_many())
        .last()
        .map_or(0, |(i, _)| i + 1)
}

fn foreign_key(hop: &Hop) -> Option<u16> {
    match hop.relation().kind {
        RelationKind::ToOne { field, .. } => Some(field),
        RelationKind::ManyToMany { .. } => None,
    }
}

/// The name of a field's column.
pub(crate) fn column_name(model: &'static ModelMeta, field: u16) -> Result<&'static str> {
    match model.fields.get(usize::from(field)) {
        Some(field) => Ok(field.column),
        None => Err(Error::usage(format!("{} has no field number {field}", model.name))),
    }
}

/// The end of a chain of tables.
struct End {
    model: &'static ModelMeta,
    alias: u32,
    key: Option<&'static str>,
}

impl Writer {
    /// Opens the FROM clause of a query on its own table (or on one that is there already).
    pub(crate) fn open_root(&mut self, root: &'static ModelMeta, alias: u32, key: Option<&'static str>) {
        self.frames.push(Frame {
            level: self.level,
            root,
            base: Path::ROOT,
            alias,
            key,
            outer: false,
            joins: Vec::new(),
            text: String::new(),
            at: 0,
        });
    }

    /// Marks the end of the innermost FROM clause, where its joins will stand.
    pub(crate) fn joins_here(&mut self) {
        let at = self.out.len();
        if let Some(frame) = self.frames.last_mut() {
            frame.at = at;
        }
    }

    /// Closes the innermost FROM clause.
    pub(crate) fn close_frame(&mut self) {
        if let Some(frame) = self.frames.pop()
            && !frame.text.is_empty()
        {
            self.out.insert_str(frame.at, &frame.text);
        }
    }

    /// True when the innermost FROM clause needs joins.
    pub(crate) fn has_joins(&self) -> bool {
        self.frames.last().is_some_and(|frame| !frame.joins.is_empty())
    }

    /// Takes the joins of the innermost FROM clause back.
    pub(crate) fn forget_joins(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.joins.clear();
            frame.text.clear();
        }
    }

    /// The frame nearest to the end of a path.
    fn frame_for(&self, path: &Path) -> Result<usize> {
        if path.is_too_long() {
            return Err(Error::usage(format!(
                "a path crosses at most {} relations: {path:?}.. is too long; start the query from a model in between, or use a subquery",
                demijohn_model::tape::MAX_HOPS
            )));
        }
        let Some(level) = self.level.checked_sub(usize::from(path.outer())) else {
            return Err(Error::usage(format!(
                "`outer(..)` reaches {} queries up, but there are {} around this one; use it only inside a subquery",
                path.outer(),
                self.level
            )));
        };
        self.frames
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, frame)| frame.level == level && frame.starts(path))
            .max_by_key(|(_, frame)| frame.base.len())
            .map(|(i, _)| i)
            .ok_or_else(|| Error::usage("a column is used where there is no table to take it from"))
    }

    /// The model at the end of a path.
    pub(crate) fn model_at(&self, path: &Path) -> Result<&'static ModelMeta> {
        let frame = self.frame_for(path)?;
        Ok(path.target(self.frames[frame].root))
    }

    /// True when the path crosses a to-many relation for which no FROM clause is open.
    pub(crate) fn needs_chain(&self, path: &Path) -> Result<Option<Path>> {
        if path.is_empty() {
            return Ok(None);
        }
        let many = many_len(path);
        if many == 0 {
            return Ok(None);
        }
        let frame = self.frame_for(path)?;
        Ok((self.frames[frame].base.len() < many).then(|| path.prefix(many)))
    }

    /// May the column be NULL, by itself or for want of the row?
    pub(crate) fn may_be_null(&self, path: &Path, field: u16) -> Result<bool> {
        let frame = self.frame_for(path)?;
        let model = path.target(self.frames[frame].root);
        let skipped = self.frames[frame].base.len();
        Ok(model.fields.get(usize::from(field)).is_none_or(|f| f.null) || path.hops().skip(skipped).any(may_miss))
    }

    /// The table and name of a column; makes the joins that it needs.
    pub(crate) fn column(&mut self, path: &Path, field: u16) -> Result<(u32, &'static str)> {
        let frame = self.frame_for(path)?;
        self.column_in(frame, path, field)
    }

    /// The table of the model at the end of a path.
    pub(crate) fn table(&mut self, path: &Path) -> Result<u32> {
        let frame = self.frame_for(path)?;
        self.table_in(frame, path)
    }

    fn column_in(&mut self, frame: usize, path: &Path, field: u16) -> Result<(u32, &'static str)> {
        let model = path.target(self.frames[frame].root);
        let base = self.frames[frame].base.len();
        if field == model.pk {
            // The key of what a foreign key points to is the foreign key itself: no join.
            if path.len() > base
                && let Some(hop) = path.hops().last()
                && !hop.reverse
                && let Some(key) = foreign_key(hop)
            {
                return self.column_in(frame, &path.prefix(path.len() - 1), key);
            }
            if path.len() == base
                && let Some(key) = self.frames[frame].key
            {
                return Ok((self.frames[frame].alias, key));
            }
        }
        let column = column_name(model, field)?;
        Ok((self.table_in(frame, path)?, column))
    }

    fn table_in(&mut self, frame: usize, path: &Path) -> Result<u32> {
        let f = &self.frames[frame];
        let base = f.base.len();
        if path.len() == base && f.key.is_none() {
            return Ok(f.alias);
        }
        if let Some((_, alias)) = f.joins.iter().find(|(joined, _)| same_way(joined, path)) {
            return Ok(*alias);
        }
        let model = path.target(f.root);
        let (from, column, outer) = match path.hops().skip(base).last() {
            None => ((f.alias, f.key.unwrap_or_default()), model.pk_field().column, f.outer),
            Some(hop) => {
                let parent = path.prefix(path.len() - 1);
                let outer = f.outer || path.hops().skip(base).any(may_miss);
                match foreign_key(hop) {
                    Some(key) if !hop.reverse => (self.column_in(frame, &parent, key)?, model.pk_field().column, outer),
                    Some(key) if !hop.is_many() => {
                        let parent_key = parent.target(self.frames[frame].root).pk;
                        (
                            self.column_in(frame, &parent, parent_key)?,
                            column_name(model, key)?,
                            outer,
                        )
                    }
                    _ => return Err(many_as_value(path)),
                }
            }
        };
        let alias = self.fresh();
        let dialect = self.dialect;
        let f = &mut self.frames[frame];
        f.text.push_str(if outer { " LEFT JOIN " } else { " JOIN " });
        quote(&mut f.text, model.table, dialect);
        f.text.push(' ');
        write_alias(&mut f.text, alias);
        on(&mut f.text, (alias, column), from, dialect);
        f.joins.push((*path, alias));
        Ok(alias)
    }

    /// ` FROM .. JOIN ..` along the rest of the path, then ` WHERE` what ties it to this place. Leaves open a frame whose
    /// columns are those at the end of the path; `outer` keeps rows for which a later step leads nowhere.
    pub(crate) fn open_chain(&mut self, path: &Path, outer: bool) -> Result<()> {
        let frame = self.chain(path, outer)?;
        self.frames.push(frame);
        Ok(())
    }

    /// As [`open_chain`](Self::open_chain), for a query of its own whose root is the end of the path.
    pub(crate) fn open_chain_as_root(&mut self, path: &Path) -> Result<()> {
        let frame = self.chain(path, false)?;
        self.level += 1;
        self.frames.push(Frame {
            level: self.level,
            root: path.target(frame.root),
            base: Path::ROOT,
            ..frame
        });
        Ok(())
    }

    fn chain(&mut self, path: &Path, outer: bool) -> Result<Frame> {
        let frame = self.frame_for(path)?;
        let root = self.frames[frame].root;
        let level = self.frames[frame].level;
        let base = self.frames[frame].base.len();
        // To-one steps in front belong to the query around.
        let first = (base..path.len())
            .find(|&i| path.hops().nth(i).is_some_and(Hop::is_many))
            .unwrap_or(base);
        let start = path.prefix(first);
        let start_model = start.target(root);
        let mut hops = path.hops().skip(first);
        let Some(hop) = hops.next() else {
            return Err(Error::usage("a relation is missing: the path leads nowhere"));
        };
        let here_field = match (foreign_key(hop), hop.reverse) {
            (Some(key), false) => key,
            _ => start_model.pk,
        };
        let here = self.column_in(frame, &start, here_field)?;
        self.push(" FROM ");
        let (mut end, tie) = self.chain_table(hop)?;
        let correlation = (end.alias, tie);
        for hop in hops {
            let from = match (foreign_key(hop), hop.reverse) {
                (Some(key), false) => {
                    let alias = self.materialise(&mut end, outer);
                    (alias, column_name(end.model, key)?)
                }
                _ => (end.alias, end.key.unwrap_or(end.model.pk_field().column)),
            };
            let left = if hop.is_many() { outer } else { may_miss(hop) };
            self.push(if left { " LEFT JOIN " } else { " JOIN " });
            let (next, tie) = self.chain_table(hop)?;
            let dialect = self.dialect;
            on(&mut self.out, (next.alias, tie), from, dialect);
            end = next;
        }
        let at = self.out.len();
        self.push(" WHERE ");
        self.column_of(correlation);
        self.push(" = ");
        self.column_of(here);
        Ok(Frame {
            level,
            root,
            base: *path,
            alias: end.alias,
            key: end.key,
            outer,
            joins: Vec::new(),
            text: String::new(),
            at,
        })
    }

    /// `"table" t3`, the table that a step leads to first, and its column that ties it to where the step comes from.
    fn chain_table(&mut self, hop: &'static Hop) -> Result<(End, &'static str)> {
        let alias = self.fresh();
        let model = hop.target();
        let (table, tie, key) = match hop.relation().kind {
            RelationKind::ToOne { field, .. } if hop.reverse => (model.table, column_name(model, field)?, None),
            RelationKind::ToOne { .. } => (model.table, model.pk_field().column, None),
            RelationKind::ManyToMany { through } if hop.reverse => {
                (through.table, through.target, Some(through.source))
            }
            RelationKind::ManyToMany { through } => (through.table, through.source, Some(through.target)),
        };
        self.name(table);
        self.push(" ");
        self.alias(alias);
        Ok((End { model, alias, key }, tie))
    }

    /// Joins the model's own table where the chain has only come to the table between.
    fn materialise(&mut self, end: &mut End, outer: bool) -> u32 {
        if let Some(key) = end.key.take() {
            let alias = self.fresh();
            self.push(if outer { " LEFT JOIN " } else { " JOIN " });
            self.name(end.model.table);
            self.push(" ");
            self.alias(alias);
            let dialect = self.dialect;
            on(
                &mut self.out,
                (alias, end.model.pk_field().column),
                (end.alias, key),
                dialect,
            );
            end.alias = alias;
        }
        end.alias
    }
}

/// ` ON t1."id" = t0."author_id"`
fn on(out: &mut String, to: (u32, &str), from: (u32, &str), dialect: demijohn_model::driver::Dialect) {
    out.push_str(" ON ");
    write_alias(out, to.0);
    out.push('.');
    quote(out, to.1, dialect);
    out.push_str(" = ");
    write_alias(out, from.0);
    out.push('.');
    quote(out, from.1, dialect);
}

/// A column behind a to-many relation stands where one value is needed.
pub(crate) fn many_as_value(path: &Path) -> Error {
    Error::usage(format!(
        "{path:?} leads to many rows, but one value is needed here; count or aggregate it (`.count()`, `.max()`), or select from the other model"
    ))
}
