//! A database that fails when a test says so.

use demijohn_core::faults::Faults;
use demijohn_model::driver::{Control, Dialect, Done, Driver, Transaction, Unit};
use demijohn_model::error::At;
use demijohn_model::{BoxFuture, Error, Result};
use std::sync::Arc;

/// When a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It never reaches the database.
    Asked,
    /// The database has done it, and the answer is lost.
    Answered,
}

/// A driver that passes everything on to another, but for the step that [`Faults`] names: units, the begin of transactions, their
/// savepoints and their commit.
pub struct FaultyDriver {
    inner: Arc<dyn Driver>,
    seam: Seam,
}

#[derive(Clone)]
struct Seam {
    faults: Faults,
    when: When,
}

impl FaultyDriver {
    /// Over this driver.
    pub fn new(inner: Arc<dyn Driver>, faults: Faults, when: When) -> Self {
        FaultyDriver {
            inner,
            seam: Seam { faults, when },
        }
    }
}

impl Seam {
    /// A driver may begin its work when it is called, before its answer is awaited: so it is not called when it is not reached.
    fn pass<T: Send + 'static>(
        &self,
        step: impl FnOnce() -> BoxFuture<'static, Result<T>>,
    ) -> BoxFuture<'static, Result<T>> {
        let lost = || Error::disconnected("the database is gone: a test wanted it");
        match (self.faults.strikes(), self.when) {
            (false, _) => step(),
            (true, When::Asked) => Box::pin(async move { Err(lost()) }),
            (true, When::Answered) => {
                let step = step();
                Box::pin(async move { step.await.and(Err(lost())) })
            }
        }
    }
}

impl Driver for FaultyDriver {
    fn dialect(&self) -> Dialect {
        self.inner.dialect()
    }

    fn run(&self, unit: Unit) -> BoxFuture<'static, Result<Done>> {
        self.seam.pass(|| self.inner.run(unit))
    }

    fn begin(&self, at: At) -> BoxFuture<'static, Result<Box<dyn Transaction>>> {
        let seam = self.seam.clone();
        let begun = self.seam.pass(|| self.inner.begin(at));
        Box::pin(async move {
            let inner = begun.await?;
            Ok(Box::new(FaultyTransaction { inner, seam }) as Box<dyn Transaction>)
        })
    }

    fn batch(&self, sql: String) -> BoxFuture<'static, Result<()>> {
        self.seam.pass(|| self.inner.batch(sql))
    }
}

struct FaultyTransaction {
    inner: Box<dyn Transaction>,
    seam: Seam,
}

impl Transaction for FaultyTransaction {
    fn run(&self, unit: Unit) -> BoxFuture<'static, Result<Done>> {
        self.seam.pass(|| self.inner.run(unit))
    }

    fn control(&self, control: Control) -> BoxFuture<'static, Result<()>> {
        self.seam.pass(|| self.inner.control(control))
    }

    fn abandon(&self, savepoint: Option<u32>) {
        self.inner.abandon(savepoint);
    }
}
