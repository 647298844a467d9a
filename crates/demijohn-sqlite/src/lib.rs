//! SQLite for Demijohn: one writer, a few readers, each on a thread of its own.
//!
//! ```
//! use demijohn_model::driver::Driver;
//! use demijohn_sqlite::Sqlite;
//!
//! let db = Sqlite::open("sqlite::memory:")?;
//! # let _ = db.dialect();
//! # Ok::<(), demijohn_model::Error>(())
//! ```
//!
//! # Where the database is
//! | URL | file |
//! |---|---|
//! | `sqlite:///srv/site/db.sqlite3` | `/srv/site/db.sqlite3`; four slashes mean the same |
//! | `sqlite://db.sqlite3` | `db.sqlite3` in the working folder |
//! | `sqlite::memory:` | none: a database of this handle's own, gone with it |
//!
//! After a `?`, parted by `&`: `mode=ro` opens a file for reading only, `readers=N` sets the number of reading threads,
//! `wait=S` the seconds that a write waits for a transaction which holds the writer (5).
//!
//! # How it works
//! A [`Unit`] is a job for one thread, and its answer comes back without blocking the runtime. Files are in WAL mode:
//! readers see the last committed state and never wait for the writer. Statements are prepared once per connection and
//! cached by their text. A transaction leases the writer until it is committed, rolled back or dropped; reads inside it
//! see its own changes. A database in memory has one connection only, so there everything waits for a transaction.
//!
//! # When a query is dropped
//! A unit whose future is dropped before its turn is not carried out; one that has begun is finished. A dropped
//! transaction rolls back.

mod connection;
mod fault;
mod key_list;
mod location;
mod worker;

use connection::Access;
use crossbeam_channel::Sender;
use demijohn_model::driver::{Control, Dialect, Done, Driver, Transaction, Unit};
use demijohn_model::error::At;
use demijohn_model::{BoxFuture, Error, Result};
use location::Location;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::oneshot;
use worker::{Lease, Read, Write};

/// A SQLite database. Dropping it lets its threads end when the work that is waiting is done.
pub struct Sqlite {
    queues: Queues,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Clone)]
struct Queues {
    writer: Sender<Write>,
    /// `None` for a database in memory: its one connection is the writer's.
    readers: Option<Sender<Read>>,
}

impl Sqlite {
    /// Opens the database that a URL names; a file is created when it is missing.
    ///
    /// # Errors
    /// When the URL is none of the forms above, or the file cannot be opened; the message names the path and the mend.
    pub fn open(url: &str) -> Result<Sqlite> {
        let location = Arc::new(Location::parse(url)?);
        let connection = connection::open(&location, Access::Write)?;
        let (writer, jobs) = crossbeam_channel::unbounded();
        let mut threads = vec![worker::spawn("sqlite-writer", {
            let location = location.clone();
            move || worker::Writer::new(connection, location, jobs).work()
        })?];
        let readers = match location.path() {
            None => None,
            Some(_) => {
                let (readers, jobs) = crossbeam_channel::unbounded();
                for _ in 0..location.readers {
                    let (location, jobs) = (location.clone(), jobs.clone());
                    threads.push(worker::spawn("sqlite-reader", move || worker::read(&location, &jobs))?);
                }
                Some(readers)
            }
        };
        Ok(Sqlite {
            queues: Queues { writer, readers },
            threads,
        })
    }

    /// Opens a database for the list of a site's drivers.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn driver(url: &str) -> Result<Arc<dyn Driver>> {
        Ok(Arc::new(Sqlite::open(url)?))
    }

    /// Waits until the work that is waiting is done, and closes the file. Blocks this thread.
    pub fn close(self) {
        let Sqlite { queues, threads } = self;
        let Queues { writer, readers } = queues;
        let mut threads = threads.into_iter();
        let writing = threads.next();
        // The readers first: when all close at once, none is the last, and nobody folds the log into the file.
        drop(readers);
        for thread in threads {
            // A thread that panicked has nothing left to close.
            let _ = thread.join();
        }
        drop(writer);
        if let Some(writing) = writing {
            let _ = writing.join();
        }
    }
}

fn gone() -> Error {
    Error::disconnected("the database's thread has ended")
}

impl Queues {
    /// Puts a unit into its queue at once; the answer is all that the future waits for.
    fn run(&self, unit: Unit) -> BoxFuture<'static, Result<Done>> {
        let (reply, answer) = oneshot::channel();
        let sent = match &self.readers {
            Some(readers) if !unit.writes => readers.send(Read { unit, reply }).is_ok(),
            _ => {
                let since = Instant::now();
                self.writer.send(Write::Run { unit, reply, since }).is_ok()
            }
        };
        Box::pin(async move {
            match sent {
                true => answer.await.map_err(|_| gone())?,
                false => Err(gone()),
            }
        })
    }
}

impl Driver for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn run(&self, unit: Unit) -> BoxFuture<'static, Result<Done>> {
        self.queues.run(unit)
    }

    fn begin(&self, at: At) -> BoxFuture<'static, Result<Box<dyn Transaction>>> {
        let writer = self.queues.writer.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let since = Instant::now();
            writer.send(Write::Begin { at, reply, since }).map_err(|_| gone())?;
            let lease = answer.await.map_err(|_| gone())??;
            Ok(Box::new(Leased { lease }) as Box<dyn Transaction>)
        })
    }

    fn batch(&self, sql: String) -> BoxFuture<'static, Result<()>> {
        let writer = self.queues.writer.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let since = Instant::now();
            writer.send(Write::Batch { sql, reply, since }).map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        })
    }
}

/// A transaction: the only way to the writer while it lives.
struct Leased {
    lease: Sender<Lease>,
}

fn over() -> Error {
    Error::usage("the transaction is over: it was committed or rolled back before")
}

impl Transaction for Leased {
    fn run(&self, unit: Unit) -> BoxFuture<'static, Result<Done>> {
        let lease = self.lease.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            lease.send(Lease::Run { unit, reply }).map_err(|_| over())?;
            // The answer must be able to come when the transaction ends meanwhile.
            drop(lease);
            answer.await.map_err(|_| over())?
        })
    }

    fn control(&self, control: Control) -> BoxFuture<'static, Result<()>> {
        let lease = self.lease.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            lease
                .send(Lease::Control {
                    control,
                    reply: Some(reply),
                })
                .map_err(|_| over())?;
            drop(lease);
            answer.await.map_err(|_| over())?
        })
    }

    fn abandon(&self, savepoint: Option<u32>) {
        let control = savepoint.map_or(Control::Rollback, Control::RollbackTo);
        // When the transaction is over, there is nothing left to undo.
        let _ = self.lease.send(Lease::Control { control, reply: None });
    }
}
