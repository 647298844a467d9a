//! Inserting, updating and deleting.

use crate::db::Db;
use crate::expr::Set;
use crate::model::Model;
use crate::plan::{Decoder, Plan, Rows};
use crate::queryset::{QuerySet, lost_sink};
use crate::select::ColumnList;
use demijohn_core::BoxFuture;
use demijohn_model::field::FieldType;
use demijohn_model::meta::{FieldMeta, ModelMeta, Through};
use demijohn_model::tape::{Conflict, Insert as InsertStatement, Node, Op, Path, Query, Statement};
use demijohn_model::value::{Kind, Value};
use demijohn_model::{DateTime, Error, Result};
use std::marker::PhantomData;
use std::panic::Location;

/// Rows in one INSERT at most: keeps a statement well under every database's limit of parameters.
const ROWS_PER_INSERT: usize = 500;
/// Parameters in one INSERT at most (SQLite's limit is 32,766).
const PARAMS_PER_INSERT: usize = 30_000;

/// A new row, made by `new!`.
#[must_use = "a draft is not saved until `.save(&db)` is awaited"]
pub struct Draft<M> {
    pub(crate) sets: Vec<(u16, Node)>,
    _model: PhantomData<fn() -> M>,
}

impl<M: Model> Draft<M> {
    /// Nothing given yet.
    #[doc(hidden)]
    pub fn empty() -> Self {
        Draft {
            sets: Vec::new(),
            _model: PhantomData,
        }
    }

    /// Gives a column its value; the last one counts.
    pub fn put(&mut self, set: Set<M>) {
        self.sets.retain(|(field, _)| *field != set.field);
        self.sets.push((set.field, set.value));
    }

    /// Inserts the row and gives it back as the database holds it.
    ///
    /// # Errors
    /// When a value breaks its field's rule, or the database refuses: [`is_unique`](Error::is_unique) and the like.
    pub fn save<'a>(self, db: &'a Db) -> BoxFuture<'a, Result<M>> {
        Box::pin(async move {
            insert_one(db, self.sets, None)
                .await?
                .ok_or_else(|| Error::not_found(M::NAME))
        })
    }

    fn value(&self, field: u16) -> Option<&Node> {
        self.sets.iter().find(|(f, _)| *f == field).map(|(_, node)| node)
    }
}

/// `new!` calls this at compile time: a required field that is not given ends compilation with its message.
#[doc(hidden)]
pub const fn check_required(required: &[(&str, &'static str)], given: &[&str]) {
    let mut i = 0;
    while i < required.len() {
        let mut found = false;
        let mut j = 0;
        while j < given.len() {
            if same(required[i].0, given[j]) {
                found = true;
            }
            j += 1;
        }
        if !found {
            panic!("{}", required[i].1)
        }
        i += 1;
    }
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Many new rows; see [`QuerySet::bulk_create`].
#[must_use = "rows are not saved until `.save(&db)` is awaited"]
pub struct Insert<M> {
    rows: Vec<Draft<M>>,
    conflict: Option<Conflict>,
}

impl<M: Model> Insert<M> {
    pub(crate) fn new(rows: Vec<Draft<M>>) -> Self {
        Insert { rows, conflict: None }
    }

    /// The unique columns that tell whether a row is there already; say then what to do: `.ignore()` or `.update(..)`.
    pub fn on_conflict<K: ColumnList<M>>(mut self, columns: impl FnOnce(M::Fields) -> K) -> Self {
        self.conflict = Some(Conflict {
            target: columns(M::fields()).columns(),
            update: Vec::new(),
        });
        self
    }

    /// Columns that take the new value in a row that is there already.
    pub fn update<K: ColumnList<M>>(mut self, columns: impl FnOnce(M::Fields) -> K) -> Self {
        let conflict = self.conflict.get_or_insert(Conflict {
            target: Vec::new(),
            update: Vec::new(),
        });
        conflict.update = columns(M::fields()).columns();
        self
    }

    /// A row that is there already stays as it is.
    pub fn ignore(mut self) -> Self {
        let conflict = self.conflict.get_or_insert(Conflict {
            target: Vec::new(),
            update: Vec::new(),
        });
        conflict.update.clear();
        self
    }

    /// Inserts the rows, all or none; how many were written.
    ///
    /// # Errors
    /// When a value breaks its field's rule, or the database refuses a row.
    pub fn save<'a>(self, db: &'a Db) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let mut unit = db.unit();
            for statement in self.statements()? {
                unit.statement(statement)?;
            }
            Ok(db.execute(unit).await?.into_iter().sum())
        })
    }

    /// As [`save`](Self::save), with the rows as the database holds them. Rows that were ignored are not among them.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn save_returning<'a>(self, db: &'a Db) -> BoxFuture<'a, Result<Vec<M>>> {
        Box::pin(async move {
            let tx = db.begin().await?;
            let mut objects = Vec::with_capacity(self.rows.len());
            for mut statement in self.statements()? {
                if let Statement::Insert(insert) = &mut statement {
                    insert.returning = true;
                }
                objects.extend(returned::<M>(&tx, statement).await?);
            }
            tx.commit().await?;
            Ok(objects)
        })
    }

    /// Rows that set the same columns go into one statement, in order.
    fn statements(&self) -> Result<Vec<Statement>> {
        let meta = M::meta();
        let mut statements: Vec<InsertStatement> = Vec::new();
        for draft in &self.rows {
            let sets = complete(meta, draft.sets.clone())?;
            let columns: Vec<u16> = sets.iter().map(|(field, _)| *field).collect();
            let row: Vec<Node> = sets.into_iter().map(|(_, node)| node).collect();
            let most = ROWS_PER_INSERT.min(PARAMS_PER_INSERT / columns.len().max(1));
            match statements.last_mut() {
                Some(last) if last.columns == columns && last.rows.len() < most => last.rows.push(row),
                _ => statements.push(InsertStatement {
                    model: meta,
                    columns,
                    rows: vec![row],
                    on_conflict: self.conflict.clone(),
                    returning: false,
                }),
            }
        }
        Ok(statements.into_iter().map(Statement::Insert).collect())
    }
}

/// Adds what the metadata gives a new row, in the order of the columns, and checks the values.
fn complete(meta: &'static ModelMeta, sets: Vec<(u16, Node)>) -> Result<Vec<(u16, Node)>> {
    let mut sets = sets;
    // One moment for the whole row: what was created and changed at once says so.
    let mut moment = None;
    for (index, field) in meta.fields.iter().enumerate() {
        let index = index as u16;
        if sets.iter().any(|(given, _)| *given == index) {
            continue;
        }
        if field.auto_now || field.auto_now_add {
            let moment = *moment.get_or_insert_with(DateTime::now);
            sets.push((index, Node::param(at(field, moment))));
        } else if let Some(default) = field.default {
            sets.push((index, Node::param(default())));
        }
    }
    sets.sort_by_key(|(index, _)| *index);
    check(meta, &sets)?;
    Ok(sets)
}

/// Fields that every save sets to the current time.
fn touch(meta: &'static ModelMeta, sets: &mut Vec<(u16, Node)>) {
    let mut moment = None;
    for (index, field) in meta.fields.iter().enumerate() {
        let index = index as u16;
        if field.auto_now && !sets.iter().any(|(given, _)| *given == index) {
            let moment = *moment.get_or_insert_with(DateTime::now);
            sets.push((index, Node::param(at(field, moment))));
        }
    }
}

/// A moment as the field keeps it.
fn at(field: &FieldMeta, moment: DateTime) -> Value {
    let civil = || jiff::tz::TimeZone::UTC.to_datetime(moment);
    match field.kind {
        Kind::Date => civil().date().to_value(),
        Kind::Time => civil().time().to_value(),
        Kind::NaiveDateTime => civil().to_value(),
        _ => moment.to_value(),
    }
}

/// Each field's own rule, checked on the values that are given as values.
fn check(meta: &'static ModelMeta, sets: &[(u16, Node)]) -> Result<()> {
    for (index, node) in sets {
        let field = &meta.fields[usize::from(*index)];
        let ([Op::Param], [Value::Text(text)]) = (node.ops.as_slice(), node.params.as_slice()) else {
            continue;
        };
        if text.contains('\0') {
            return Err(Error::invalid(meta.name, field.name, "must not contain NUL characters"));
        }
        if let Some(max) = field.max_length {
            // Characters are at most as many as bytes: most values need no counting.
            if text.len() > max as usize {
                let length = text.chars().count();
                if length > max as usize {
                    let message = format!("must have at most {max} characters, has {length}");
                    return Err(Error::invalid(meta.name, field.name, message));
                }
            }
        }
    }
    Ok(())
}

/// Carries out a statement that gives whole objects back.
async fn returned<M: Model>(db: &Db, statement: Statement) -> Result<Vec<M>> {
    let mut unit = db.unit();
    let step = unit.statement(statement)?;
    let decode = Decoder::Fn(|reader: &mut crate::Reader<'_, '_>| reader.root::<M>());
    let rows = Rows::new(Plan::default(), decode, Location::caller(), step, Vec::new());
    let done = db.run(unit, Box::new(rows), true).await?;
    done.sink
        .into_any()
        .downcast::<Rows<M>>()
        .map_err(|_| lost_sink())?
        .finish()
}

async fn insert_one<M: Model>(db: &Db, sets: Vec<(u16, Node)>, on_conflict: Option<Conflict>) -> Result<Option<M>> {
    let (columns, row) = complete(M::meta(), sets)?.into_iter().unzip();
    let insert = InsertStatement {
        model: M::meta(),
        columns,
        rows: vec![row],
        on_conflict,
        returning: true,
    };
    Ok(returned(db, Statement::Insert(insert)).await?.pop())
}

/// The row with this primary key.
#[track_caller]
pub(crate) fn by_pk<M: Model>(key: Value) -> QuerySet<M> {
    let column = Node::op(Op::Column {
        path: Path::ROOT,
        field: M::meta().pk,
    });
    M::objects().condition(column.then(Node::param(key)).push(Op::Eq))
}

async fn update_returning<M: Model>(db: &Db, object: &M, mut set: Vec<(u16, Node)>) -> Result<M> {
    touch(M::meta(), &mut set);
    check(M::meta(), &set)?;
    let query = *by_pk::<M>(object.pk().to_value()).unordered().query;
    let statement = Statement::Update {
        query,
        set,
        returning: true,
    };
    returned(db, statement)
        .await?
        .pop()
        .ok_or_else(|| Error::not_found(M::NAME))
}

pub(crate) async fn save<M: Model>(object: &M, db: &Db) -> Result<M> {
    let meta = M::meta();
    let values = object
        .values()
        .into_iter()
        .enumerate()
        .map(|(index, value)| (index as u16, Node::param(value)));
    let set = values
        .filter(|(index, _)| *index != meta.pk && !meta.fields[usize::from(*index)].auto_now)
        .collect();
    update_returning(db, object, set).await
}

pub(crate) async fn update_one<M: Model>(object: &M, db: &Db, sets: Vec<Set<M>>) -> Result<M> {
    update_returning(db, object, last_of_each(sets)).await
}

fn last_of_each<M>(sets: Vec<Set<M>>) -> Vec<(u16, Node)> {
    let mut set: Vec<(u16, Node)> = Vec::with_capacity(sets.len());
    for one in sets {
        set.retain(|(field, _)| *field != one.field);
        set.push((one.field, one.value));
    }
    set
}

pub(crate) async fn update_all<M: Model>(db: &Db, query: Query, sets: Vec<Set<M>>) -> Result<u64> {
    if sets.is_empty() || query.empty {
        return Ok(0);
    }
    let mut set = last_of_each(sets);
    touch(M::meta(), &mut set);
    check(M::meta(), &set)?;
    let mut unit = db.unit();
    unit.statement(Statement::Update {
        query,
        set,
        returning: false,
    })?;
    Ok(db.execute(unit).await?.into_iter().sum())
}

pub(crate) async fn delete_all(db: &Db, query: Query) -> Result<u64> {
    if query.empty {
        return Ok(0);
    }
    let mut unit = db.unit();
    unit.statement(Statement::Delete(query))?;
    Ok(db.execute(unit).await?.into_iter().sum())
}

/// The row whose `columns` have the draft's values.
fn with_key<M: Model>(columns: &[u16], draft: &Draft<M>) -> Result<QuerySet<M>> {
    let mut query = M::objects();
    for column in columns {
        let field = &M::meta().fields[usize::from(*column)];
        let value = draft.value(*column).ok_or_else(|| {
            Error::usage(format!(
                "the draft of {} does not set `{}`, by which it is looked up",
                M::NAME,
                field.name
            ))
        })?;
        let column = Node::op(Op::Column {
            path: Path::ROOT,
            field: *column,
        });
        let is_null = matches!(value.params.as_slice(), [Value::Null]);
        query = query.condition(match is_null {
            true => column.push(Op::IsNull),
            false => column.then(value.clone()).push(Op::Eq),
        });
    }
    Ok(query)
}

pub(crate) fn get_or_create<M: Model>(db: &Db, columns: Vec<u16>, draft: Draft<M>) -> BoxFuture<'_, Result<(M, bool)>> {
    Box::pin(async move {
        let query = with_key(&columns, &draft)?;
        match query.clone().get(db).await {
            Ok(object) => return Ok((object, false)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        // In a transaction of its own, so that the lost race does not spoil the caller's.
        let tx = db.begin().await?;
        match insert_one(&tx, draft.sets, None).await {
            Ok(object) => {
                tx.commit().await?;
                Ok((object.ok_or_else(|| Error::not_found(M::NAME))?, true))
            }
            Err(error) if error.is_unique() => {
                tx.rollback().await?;
                match query.get(db).await {
                    Ok(object) => Ok((object, false)),
                    // The row that stands in the way is another one: the insert's own error says which.
                    Err(none) if none.is_not_found() => Err(error),
                    Err(other) => Err(other),
                }
            }
            Err(error) => Err(error),
        }
    })
}

pub(crate) fn update_or_create<M: Model>(
    db: &Db,
    columns: Vec<u16>,
    draft: Draft<M>,
) -> BoxFuture<'_, Result<(M, bool)>> {
    Box::pin(async move {
        let rest: Vec<(u16, Node)> = draft
            .sets
            .iter()
            .filter(|(field, _)| !columns.contains(field))
            .cloned()
            .collect();
        let tx = db.begin().await?;
        let (mut object, created) = get_or_create(&tx, columns, draft).await?;
        if !created && !rest.is_empty() {
            object = update_returning(&tx, &object, rest).await?;
        }
        tx.commit().await?;
        Ok((object, created))
    })
}

pub(crate) fn link(db: &Db, through: Through, source: Value, targets: Vec<Value>) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move {
        if targets.is_empty() {
            return Ok(());
        }
        let mut unit = db.unit();
        unit.statement(Statement::Link {
            through,
            source,
            targets,
        })?;
        db.execute(unit).await.map(drop)
    })
}

pub(crate) fn unlink(
    db: &Db,
    through: Through,
    source: Value,
    targets: Option<Vec<Value>>,
) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move {
        let mut unit = db.unit();
        unit.statement(Statement::Unlink {
            through,
            source,
            targets,
        })?;
        db.execute(unit).await.map(drop)
    })
}

pub(crate) fn relink(db: &Db, through: Through, source: Value, targets: Vec<Value>) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move {
        let mut unit = db.unit();
        unit.statement(Statement::Unlink {
            through,
            source: source.clone(),
            targets: None,
        })?;
        if !targets.is_empty() {
            unit.statement(Statement::Link {
                through,
                source,
                targets,
            })?;
        }
        db.execute(unit).await.map(drop)
    })
}
