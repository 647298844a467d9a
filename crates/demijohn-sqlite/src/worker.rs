//! The threads: readers take turns at one queue, the writer serves one transaction at a time.

use crate::connection::{self, Access};
use crate::fault;
use crate::location::Location;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, never, select, unbounded};
use demijohn_model::driver::{Control, Done, Unit};
use demijohn_model::error::At;
use demijohn_model::{Error, Result};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

type Reply<T> = oneshot::Sender<Result<T>>;

/// A job for a reader.
pub(crate) struct Read {
    pub(crate) unit: Unit,
    pub(crate) reply: Reply<Done>,
}

/// A job for the writer.
pub(crate) enum Write {
    Run {
        unit: Unit,
        reply: Reply<Done>,
        since: Instant,
    },
    Begin {
        at: At,
        reply: Reply<Sender<Lease>>,
        since: Instant,
    },
    Batch {
        sql: String,
        reply: Reply<()>,
        since: Instant,
    },
}

impl Write {
    fn since(&self) -> Instant {
        match self {
            Write::Run { since, .. } | Write::Begin { since, .. } | Write::Batch { since, .. } => *since,
        }
    }

    fn refuse(self, error: Error) {
        // Nobody waits any more when sending fails.
        match self {
            Write::Run { reply, .. } => drop(reply.send(Err(error))),
            Write::Begin { reply, .. } => drop(reply.send(Err(error))),
            Write::Batch { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

/// A job inside a transaction. When the last sender is gone, the transaction rolls back.
pub(crate) enum Lease {
    Run { unit: Unit, reply: Reply<Done> },
    Control { control: Control, reply: Option<Reply<()>> },
}

pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| Error::disconnected(format!("cannot start a thread for the database: {error}")))
}

/// A reader's life.
pub(crate) fn read(location: &Location, jobs: &Receiver<Read>) {
    let mut connection = None;
    for Read { unit, reply } in jobs {
        if reply.is_closed() {
            continue;
        }
        let done = match &connection {
            Some(connection) => Ok(connection),
            None => connection::open(location, Access::Read).map(|opened| &*connection.insert(opened)),
        }
        .and_then(|connection| {
            match unit.steps.len() {
                0 | 1 => connection::run(connection, unit, location),
                // All steps see one state.
                _ => connection::run_between(connection, unit, location, ["BEGIN", "COMMIT", "ROLLBACK"]),
            }
        });
        let _ = reply.send(done);
    }
}

/// Undoes what was left open.
fn end_transaction(connection: &Connection) {
    if !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
}

/// The writer.
pub(crate) struct Writer {
    connection: Connection,
    location: Arc<Location>,
    jobs: Receiver<Write>,
    /// Jobs that came while a transaction held the writer.
    waiting: VecDeque<Write>,
}

impl Writer {
    pub(crate) fn new(connection: Connection, location: Arc<Location>, jobs: Receiver<Write>) -> Writer {
        Writer {
            connection,
            location,
            jobs,
            waiting: VecDeque::new(),
        }
    }

    /// The writer's life.
    pub(crate) fn work(mut self) {
        loop {
            let job = match self.waiting.pop_front() {
                Some(job) => job,
                None => match self.jobs.recv() {
                    Ok(job) => job,
                    Err(_) => return,
                },
            };
            self.job(job);
        }
    }

    fn job(&mut self, job: Write) {
        match job {
            Write::Run { reply, .. } if reply.is_closed() => {}
            Write::Begin { reply, .. } if reply.is_closed() => {}
            Write::Batch { reply, .. } if reply.is_closed() => {}
            Write::Run { unit, reply, .. } => {
                let done = match unit.writes {
                    true => connection::run_between(
                        &self.connection,
                        unit,
                        &self.location,
                        ["BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"],
                    ),
                    false => connection::run(&self.connection, unit, &self.location),
                };
                let _ = reply.send(done);
            }
            Write::Batch { sql, reply, .. } => {
                let done = self
                    .connection
                    .execute_batch(&sql)
                    .map_err(|error| fault::of_statement(error, &sql, &self.location));
                // The batch's own BEGIN may have been left open by an error.
                end_transaction(&self.connection);
                let _ = reply.send(done);
            }
            Write::Begin { at, reply, .. } => {
                match connection::command(&self.connection, "BEGIN IMMEDIATE", &self.location) {
                    Err(error) => drop(reply.send(Err(error))),
                    Ok(()) => {
                        let (lease, jobs) = unbounded();
                        // When nobody takes it, the sender is dropped, and the transaction ends at once.
                        let _ = reply.send(Ok(lease));
                        self.transaction(at, &jobs);
                        end_transaction(&self.connection);
                    }
                }
            }
        }
    }

    /// Serves one transaction until it ends, and refuses others that have waited too long.
    fn transaction(&mut self, at: At, lease: &Receiver<Lease>) {
        let began = Instant::now();
        let mut others = self.jobs.clone();
        loop {
            self.refuse_late(at, began);
            let patience = self
                .waiting
                .iter()
                .map(|job| (job.since() + self.location.wait).saturating_duration_since(Instant::now()))
                .min()
                .unwrap_or(Duration::from_secs(3600));
            // The transaction's own work first: others wait for it.
            let job = match lease.try_recv() {
                Ok(job) => Ok(job),
                Err(crossbeam_channel::TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
                Err(crossbeam_channel::TryRecvError::Empty) => select! {
                    recv(lease) -> job => job.map_err(|_| RecvTimeoutError::Disconnected),
                    recv(others) -> job => {
                        match job {
                            Ok(job) => self.waiting.push_back(job),
                            // The database's handle is gone; the transaction may go on.
                            Err(_) => others = never(),
                        }
                        Err(RecvTimeoutError::Timeout)
                    },
                    default(patience) => Err(RecvTimeoutError::Timeout),
                },
            };
            match job {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(Lease::Run { reply, .. }) if reply.is_closed() => {}
                Ok(Lease::Run { unit, reply }) => {
                    let _ = reply.send(self.unit_inside(unit));
                }
                Ok(Lease::Control { control, reply }) => {
                    let (done, is_over) = self.control(control);
                    if let Some(reply) = reply {
                        let _ = reply.send(done);
                    }
                    if is_over {
                        return;
                    }
                }
            }
        }
    }

    fn unit_inside(&self, unit: Unit) -> Result<Done> {
        self.still_open()?;
        if unit.writes && unit.steps.len() > 1 {
            // A unit happens as a whole or not at all, also inside a transaction.
            connection::run_between(
                &self.connection,
                unit,
                &self.location,
                ["SAVEPOINT unit", "RELEASE unit", "ROLLBACK TO unit; RELEASE unit"],
            )
        } else {
            connection::run(&self.connection, unit, &self.location)
        }
    }

    /// A full disk and its like make SQLite roll back by itself.
    fn still_open(&self) -> Result<()> {
        match self.connection.is_autocommit() {
            false => Ok(()),
            true => Err(Error::disconnected(
                "the transaction was rolled back by the database after an earlier error; begin it again",
            )),
        }
    }

    /// Carries out a control; true when the transaction is over.
    fn control(&self, control: Control) -> (Result<()>, bool) {
        let command = |sql: &str| {
            self.still_open()
                .and_then(|()| connection::command(&self.connection, sql, &self.location))
        };
        match control {
            // A commit that fails (a deferred foreign key) is a rollback.
            Control::Commit => (command("COMMIT"), true),
            Control::Rollback if self.connection.is_autocommit() => (Ok(()), true),
            Control::Rollback => (command("ROLLBACK"), true),
            Control::Savepoint(depth) => (command(&format!("SAVEPOINT s{depth}")), false),
            Control::Release(depth) => (command(&format!("RELEASE s{depth}")), false),
            Control::RollbackTo(depth) => {
                let undone = command(&format!("ROLLBACK TO s{depth}"));
                (undone.and_then(|()| command(&format!("RELEASE s{depth}"))), false)
            }
        }
    }

    fn refuse_late(&mut self, at: At, began: Instant) {
        let now = Instant::now();
        let wait = self.location.wait;
        while let Some(job) = self.waiting.front() {
            if now.saturating_duration_since(job.since()) < wait {
                break;
            }
            if let Some(job) = self.waiting.pop_front() {
                job.refuse(Error::busy(format!(
                    "{}:{} has held the writer for {:.0} s; end that transaction earlier, or use its own handle inside it",
                    at.file(),
                    at.line(),
                    now.saturating_duration_since(began).as_secs_f64(),
                )));
            }
        }
    }
}
