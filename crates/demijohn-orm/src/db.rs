//! The database handle. A transaction is another handle of the same type.

use crate::model::Model;
use crate::plan::{FlatRows, Rows, push_step};
use crate::queryset::{QuerySet, lost_sink};
use crate::shape;
use demijohn_core::BoxFuture;
use demijohn_model::driver::{Control, Dialect, Done, Driver, Drivers, NoRows, RowSink, Step, Transaction, Unit};
use demijohn_model::error::At;
use demijohn_model::field::FieldType;
use demijohn_model::tape::{Query, Statement};
use demijohn_model::value::ValueRef;
use demijohn_model::{Error, Result};
use std::any::Any;
use std::ops::{Deref, Range};
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// A database, or a transaction on it. Cheap to clone; handlers take it as an argument.
///
/// ```ignore
/// db.atomic(|db| async move {                       // the inner `db` shadows the outer one
///     account.update(&db, |a| a.balance.set(a.balance - 10)).await?;
///     Transfer::objects().create(&db, ..).await
/// }).await?;                                        // commits on Ok, rolls back on Err and when it is dropped
/// ```
#[derive(Clone)]
pub struct Db {
    pool: Arc<Pool>,
    leased: Option<Arc<Leased>>,
}

/// A database that is opened when it is first asked.
struct Pool {
    url: String,
    drivers: Drivers,
    open: OnceLock<Arc<dyn Driver>>,
    opening: Mutex<()>,
    recording: AtomicBool,
    log: Mutex<Vec<String>>,
}

/// A transaction, and how deep in savepoints this handle is.
struct Leased {
    transaction: Arc<dyn Transaction>,
    dialect: Dialect,
    depth: u32,
}

impl Db {
    /// The database of this URL, opened when it is first asked.
    pub fn lazy(url: impl Into<String>, drivers: Drivers) -> Self {
        let pool = Pool {
            url: url.into(),
            drivers,
            open: OnceLock::new(),
            opening: Mutex::new(()),
            recording: AtomicBool::new(false),
            log: Mutex::new(Vec::new()),
        };
        Db {
            pool: Arc::new(pool),
            leased: None,
        }
    }

    /// A database that is open already.
    pub fn new(driver: Arc<dyn Driver>) -> Self {
        let db = Db::lazy("", Drivers::default());
        let _ = db.pool.open.set(driver);
        db
    }

    /// Opens the database now.
    ///
    /// # Errors
    /// When it cannot be opened; the message names it and says what to do.
    pub fn connect(&self) -> Result<()> {
        self.driver().map(drop)
    }

    fn driver(&self) -> Result<&Arc<dyn Driver>> {
        if let Some(driver) = self.pool.open.get() {
            return Ok(driver);
        }
        let _guard = self
            .pool
            .opening
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(driver) = self.pool.open.get() {
            return Ok(driver);
        }
        let driver = self.pool.drivers.open(&self.pool.url)?;
        Ok(self.pool.open.get_or_init(|| driver))
    }

    /// Which SQL the database speaks.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn dialect(&self) -> Result<Dialect> {
        match &self.leased {
            Some(leased) => Ok(leased.dialect),
            None => Ok(self.driver()?.dialect()),
        }
    }

    /// True inside a transaction.
    pub fn in_transaction(&self) -> bool {
        self.leased.is_some()
    }

    /// A unit to be filled with statements of this database's dialect.
    pub(crate) fn unit(&self) -> UnitBuilder {
        match self.dialect() {
            Ok(dialect) => UnitBuilder::new(dialect),
            Err(error) => UnitBuilder {
                fault: Some(error),
                ..UnitBuilder::new(Dialect::Sqlite)
            },
        }
    }

    /// Carries out a unit.
    pub(crate) fn run(
        &self,
        unit: UnitBuilder,
        sink: Box<dyn RowSink>,
        writes: bool,
    ) -> BoxFuture<'static, Result<Done>> {
        if let Some(error) = unit.fault {
            return Box::pin(std::future::ready(Err(error)));
        }
        self.note(&unit.steps);
        let unit = Unit {
            steps: unit.steps,
            sink,
            writes,
        };
        match &self.leased {
            Some(leased) => leased.transaction.run(unit),
            None => match self.driver() {
                Ok(driver) => driver.run(unit),
                Err(error) => Box::pin(std::future::ready(Err(error))),
            },
        }
    }

    /// The one value of a unit that asks for one.
    pub(crate) async fn scalar<T: FieldType + Sync>(&self, unit: UnitBuilder) -> Result<T> {
        let done = self.run(unit, Box::new(One::<T>(None)), false).await?;
        let one = done.sink.into_any().downcast::<One<T>>().map_err(|_| lost_sink())?;
        one.0
            .ok_or_else(|| Error::usage("the database gave no row where one was sure"))
    }

    /// Carries out statements that give no rows; how many rows each changed.
    pub(crate) async fn execute(&self, unit: UnitBuilder) -> Result<Vec<u64>> {
        Ok(self.run(unit, Box::new(NoRows), true).await?.affected)
    }

    /// Sends independent querysets together and gives their rows together: one job on SQLite, one round trip on
    /// PostgreSQL.
    ///
    /// Takes a tuple of querysets, or a `Vec` of querysets of one type.
    ///
    /// # Errors
    /// When one of the queries has no meaning, or the database fails.
    pub fn batch<'a, B: Batch + 'a>(&'a self, queries: B) -> BoxFuture<'a, Result<B::Out>> {
        let mut builder = BatchBuilder {
            unit: self.unit(),
            sinks: Vec::new(),
        };
        let pending = queries.add(&mut builder);
        Box::pin(async move {
            let pending = pending?;
            let done = self
                .run(builder.unit, Box::new(Composite(builder.sinks)), false)
                .await?;
            let sinks = done.sink.into_any().downcast::<Composite>().map_err(|_| lost_sink())?;
            let mut finished = Finished(sinks.0.into_iter().map(|(_, sink)| Some(sink)).collect());
            B::finish(pending, &mut finished)
        })
    }

    /// Statements as they stand, one after another and without values: for the schema, never for input.
    ///
    /// # Errors
    /// When the database refuses one.
    pub async fn execute_script(&self, sql: impl Into<String>) -> Result<()> {
        self.driver()?.batch(sql.into()).await
    }

    /// Everything in the closure or nothing: commits on `Ok`, rolls back on `Err` and when the future is dropped.
    /// Inside another `atomic` it is a savepoint.
    ///
    /// # Errors
    /// The closure's, or the database's when it cannot begin or commit.
    #[track_caller]
    pub fn atomic<'a, T, E, F, Fut>(&'a self, f: F) -> impl Future<Output = Result<T, E>> + Send + 'a
    where
        T: Send + 'a,
        E: From<Error> + Send + 'a,
        F: FnOnce(Db) -> Fut + Send + 'a,
        Fut: Future<Output = Result<T, E>> + Send + 'a,
    {
        let at = Location::caller();
        async move {
            let tx = self.begin_at(at).await?;
            let value = f(tx.db.clone()).await?;
            tx.commit().await?;
            Ok(value)
        }
    }

    /// As [`atomic`](Self::atomic) with an async closure, which may borrow from around it.
    ///
    /// # Errors
    /// As [`atomic`](Self::atomic).
    #[track_caller]
    pub fn atomic_ref<T, E: From<Error>>(
        &self,
        f: impl AsyncFnOnce(&Db) -> Result<T, E>,
    ) -> impl Future<Output = Result<T, E>> {
        let at = Location::caller();
        async move {
            let tx = self.begin_at(at).await?;
            let value = f(&tx).await?;
            tx.commit().await?;
            Ok(value)
        }
    }

    /// Begins a transaction by hand; it rolls back when it is dropped without [`Tx::commit`].
    ///
    /// # Errors
    /// When the database cannot begin one in time.
    #[track_caller]
    pub fn begin(&self) -> impl Future<Output = Result<Tx>> + Send + '_ {
        self.begin_at(Location::caller())
    }

    async fn begin_at(&self, at: At) -> Result<Tx> {
        let leased = match &self.leased {
            None => {
                let driver = self.driver()?;
                let transaction: Arc<dyn Transaction> = driver.begin(at).await?.into();
                Leased {
                    transaction,
                    dialect: driver.dialect(),
                    depth: 0,
                }
            }
            Some(outer) => {
                let depth = outer.depth + 1;
                outer.transaction.control(Control::Savepoint(depth)).await?;
                Leased {
                    transaction: outer.transaction.clone(),
                    dialect: outer.dialect,
                    depth,
                }
            }
        };
        Ok(Tx {
            db: Db {
                pool: self.pool.clone(),
                leased: Some(Arc::new(leased)),
            },
            open: true,
        })
    }

    /// Keeps the text of every statement from now on; see [`recorded`](Self::recorded). For tests.
    pub fn record(&self) {
        self.log().clear();
        self.pool.recording.store(true, Ordering::Relaxed);
    }

    /// The statements since [`record`](Self::record), which ends with this call.
    pub fn recorded(&self) -> Vec<String> {
        self.pool.recording.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.log())
    }

    /// Runs `work` and fails when it asked another number of statements than `expected`, listing them. For tests: it is
    /// how an accidental query in a loop is kept out.
    ///
    /// # Panics
    /// When the number differs.
    #[track_caller]
    pub fn assert_num_queries<T>(&self, expected: usize, work: impl AsyncFnOnce() -> T) -> impl Future<Output = T> {
        let at = Location::caller();
        async move {
            self.record();
            let value = work().await;
            let asked = self.recorded();
            if asked.len() != expected {
                let list: String = asked.iter().map(|sql| format!("\n  {sql}")).collect();
                panic!("{} statements at {at}, expected {expected}:{list}", asked.len());
            }
            value
        }
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.pool.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn note(&self, steps: &[Step]) {
        if tracing::enabled!(target: "demijohn::sql", tracing::Level::DEBUG) {
            for step in steps {
                tracing::debug!(target: "demijohn::sql", sql = %step.sql);
            }
        }
        if self.pool.recording.load(Ordering::Relaxed) {
            self.log().extend(steps.iter().map(|step| step.sql.to_string()));
        }
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.in_transaction() {
            "Db(in a transaction)"
        } else {
            "Db"
        })
    }
}

/// A transaction (or savepoint) begun by hand; it is a [`Db`].
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Tx {
    db: Db,
    open: bool,
}

impl Tx {
    /// Makes it last.
    ///
    /// # Errors
    /// When the database refuses: a deferred constraint, a full disk.
    pub async fn commit(mut self) -> Result<()> {
        let Some(leased) = self.db.leased.clone() else {
            return Ok(());
        };
        let control = match leased.depth {
            0 => Control::Commit,
            depth => Control::Release(depth),
        };
        let result = leased.transaction.control(control).await;
        // A commit that failed leaves the transaction open: dropping it then rolls back.
        self.open = result.is_err();
        result
    }

    /// Undoes it.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn rollback(mut self) -> Result<()> {
        let Some(leased) = self.db.leased.clone() else {
            return Ok(());
        };
        self.open = false;
        let control = match leased.depth {
            0 => Control::Rollback,
            depth => Control::RollbackTo(depth),
        };
        leased.transaction.control(control).await
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let (true, Some(leased)) = (self.open, &self.db.leased) {
            leased.transaction.abandon((leased.depth > 0).then_some(leased.depth));
        }
    }
}

impl Deref for Tx {
    type Target = Db;
    fn deref(&self) -> &Db {
        &self.db
    }
}

/// Statements on their way into a unit.
pub(crate) struct UnitBuilder {
    dialect: Dialect,
    steps: Vec<Step>,
    /// The last query, for those of its shape that follow.
    last: Option<Last>,
    fault: Option<Error>,
}

/// A query that was compiled as the last step.
struct Last {
    query: Box<Query>,
    /// Asked only when another query follows.
    verbatim: Option<bool>,
}

impl UnitBuilder {
    pub(crate) fn new(dialect: Dialect) -> Self {
        UnitBuilder {
            dialect,
            steps: Vec::new(),
            last: None,
            fault: None,
        }
    }

    /// Compiles a statement and gives the number of its step.
    pub(crate) fn statement(&mut self, statement: Statement) -> Result<usize> {
        let step = demijohn_sql::compile(&statement, self.dialect)?;
        self.last = None;
        Ok(push_step(&mut self.steps, step))
    }

    /// Compiles a query, or takes the text of the one before when it is of the same shape.
    pub(crate) fn query(&mut self, query: Box<Query>) -> Result<usize> {
        if let (Some(last), Some(step)) = (&mut self.last, self.steps.last())
            && *last
                .verbatim
                .get_or_insert_with(|| shape::is_verbatim(&last.query, step))
            && let Some(params) = shape::params_if_alike(&last.query, &query)
        {
            let sql = step.sql.clone();
            return Ok(push_step(&mut self.steps, Step { sql, params }));
        }
        let step = demijohn_sql::compile_query(&query, self.dialect)?;
        self.last = Some(Last { query, verbatim: None });
        Ok(push_step(&mut self.steps, step))
    }

    pub(crate) fn into_sql(self) -> Vec<String> {
        self.steps.into_iter().map(|step| step.sql.to_string()).collect()
    }
}

/// Takes the one value of the one row.
struct One<T>(Option<T>);

impl<T: FieldType> RowSink for One<T> {
    fn row(&mut self, _: usize, columns: &[ValueRef<'_>]) -> Result<()> {
        if let Some(value) = columns.first() {
            self.0 = Some(T::from_value(*value)?);
        }
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// The sinks of several queries in one unit, by the steps that are theirs.
struct Composite(Vec<(Range<usize>, Box<dyn RowSink>)>);

impl RowSink for Composite {
    fn row(&mut self, step: usize, columns: &[ValueRef<'_>]) -> Result<()> {
        // Steps come in order, so the sinks are sorted by their ranges.
        let index = self.0.partition_point(|(steps, _)| steps.end <= step);
        match self.0.get_mut(index) {
            Some((_, sink)) => sink.row(step, columns),
            None => Err(lost_sink()),
        }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// A unit of several queries on its way.
pub struct BatchBuilder {
    unit: UnitBuilder,
    sinks: Vec<(Range<usize>, Box<dyn RowSink>)>,
}

/// What came back for them.
pub struct Finished(Vec<Option<Box<dyn RowSink>>>);

/// What [`Db::batch`] takes.
pub trait Batch: Sized {
    /// The rows of all.
    type Out: Send;
    /// Where the rows will be found.
    #[doc(hidden)]
    type Pending: Send;
    /// Adds the queries.
    #[doc(hidden)]
    fn add(self, batch: &mut BatchBuilder) -> Result<Self::Pending>;
    /// Takes the rows.
    #[doc(hidden)]
    fn finish(pending: Self::Pending, finished: &mut Finished) -> Result<Self::Out>;

    /// Adds many of one type.
    #[doc(hidden)]
    fn add_all(queries: Vec<Self>, batch: &mut BatchBuilder) -> Result<Several<Self>> {
        let each = queries.into_iter().map(|query| query.add(batch));
        each.collect::<Result<_>>().map(Several::Each)
    }

    /// Takes the rows of many of one type.
    #[doc(hidden)]
    fn finish_all(pending: Several<Self>, finished: &mut Finished) -> Result<Vec<Self::Out>> {
        match pending {
            Several::Each(each) => each
                .into_iter()
                .map(|pending| Self::finish(pending, finished))
                .collect(),
            Several::Together(_) => Err(lost_sink()),
        }
    }
}

/// Where the rows of many queries of one type will be found.
pub enum Several<B: Batch> {
    /// Each for itself.
    Each(Vec<B::Pending>),
    /// All in the sink with this number.
    Together(usize),
}

impl<M: Model, O: Send + 'static> Batch for QuerySet<M, O> {
    type Out = Vec<O>;
    type Pending = usize;
    fn add(self, batch: &mut BatchBuilder) -> Result<usize> {
        let first = batch.unit.steps.len();
        let rows = self.rows(&mut batch.unit)?;
        batch.sinks.push((first..batch.unit.steps.len(), Box::new(rows)));
        Ok(batch.sinks.len() - 1)
    }
    fn finish(index: usize, finished: &mut Finished) -> Result<Vec<O>> {
        let sink = finished.0.get_mut(index).and_then(Option::take).ok_or_else(lost_sink)?;
        sink.into_any().downcast::<Rows<O>>().map_err(|_| lost_sink())?.finish()
    }

    /// Queries of one step each share a sink: a batch of twenty look-ups costs little more than twenty look-ups.
    fn add_all(queries: Vec<Self>, batch: &mut BatchBuilder) -> Result<Several<Self>> {
        if !queries.iter().all(QuerySet::is_flat) {
            let each = queries.into_iter().map(|query| query.add(batch));
            return each.collect::<Result<_>>().map(Several::Each);
        }
        let first = batch.unit.steps.len();
        let readers = queries.into_iter().map(|query| query.flat(&mut batch.unit));
        let rows = FlatRows::new(first, readers.collect::<Result<_>>()?);
        batch.sinks.push((first..batch.unit.steps.len(), Box::new(rows)));
        Ok(Several::Together(batch.sinks.len() - 1))
    }

    fn finish_all(pending: Several<Self>, finished: &mut Finished) -> Result<Vec<Vec<O>>> {
        match pending {
            Several::Each(each) => each
                .into_iter()
                .map(|pending| Self::finish(pending, finished))
                .collect(),
            Several::Together(index) => {
                let sink = finished.0.get_mut(index).and_then(Option::take).ok_or_else(lost_sink)?;
                let rows = sink.into_any().downcast::<FlatRows<O>>();
                rows.map(|rows| rows.finish()).map_err(|_| lost_sink())
            }
        }
    }
}

impl<B: Batch> Batch for Vec<B> {
    type Out = Vec<B::Out>;
    type Pending = Several<B>;
    fn add(self, batch: &mut BatchBuilder) -> Result<Several<B>> {
        B::add_all(self, batch)
    }
    fn finish(pending: Several<B>, finished: &mut Finished) -> Result<Self::Out> {
        B::finish_all(pending, finished)
    }
}

macro_rules! batch_tuples {
    ($($T:ident $i:tt),+) => {
        impl<$($T: Batch),+> Batch for ($($T,)+) {
            type Out = ($($T::Out,)+);
            type Pending = ($($T::Pending,)+);
            fn add(self, batch: &mut BatchBuilder) -> Result<Self::Pending> {
                Ok(($(self.$i.add(batch)?,)+))
            }
            fn finish(pending: Self::Pending, finished: &mut Finished) -> Result<Self::Out> {
                Ok(($($T::finish(pending.$i, finished)?,)+))
            }
        }
    };
}
batch_tuples!(A 0, B 1);
batch_tuples!(A 0, B 1, C 2);
batch_tuples!(A 0, B 1, C 2, D 3);
batch_tuples!(A 0, B 1, C 2, D 3, E 4);
batch_tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
batch_tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
batch_tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
