//! rusqlite by hand in the layout that Demijohn has: a few reader threads and one writer thread behind channels, an answer by
//! oneshot, statements cached, one read transaction per job.

use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::Sender;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

#[derive(serde::Serialize)]
pub(crate) struct World {
    id: i64,
    #[serde(rename = "randomNumber")]
    random_number: i64,
}

pub(crate) struct Fortune {
    pub(crate) id: i64,
    pub(crate) message: String,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

#[derive(Clone)]
pub(crate) struct Database {
    readers: Sender<Job>,
    writer: Sender<Job>,
}

impl Database {
    /// Opens the file of `DATABASE_URL` (`sqlite:///abs/path`) and fills it when it is empty.
    pub(crate) fn open() -> Self {
        let url = std::env::var("DATABASE_URL").expect("DATABASE_URL names the database");
        let path = PathBuf::from(
            url.strip_prefix("sqlite://")
                .expect("DATABASE_URL starts with sqlite://"),
        );
        crate::tables::fill(&mut connect(&path)).expect("the tables can be made");
        // As many as Demijohn has by itself.
        let readers = std::thread::available_parallelism()
            .map_or(1, |cores| cores.get())
            .saturating_add(1)
            .min(4);
        Self {
            readers: threads(readers, &path),
            writer: threads(1, &path),
        }
    }

    pub(crate) async fn world(&self, id: i64) -> World {
        run(&self.readers, move |connection| look_up(connection, &[id]))
            .await
            .remove(0)
    }

    pub(crate) async fn worlds(&self, ids: Vec<i64>) -> Vec<World> {
        run(&self.readers, move |connection| {
            let transaction = connection.transaction()?;
            let worlds = look_up(&transaction, &ids)?;
            transaction.commit()?;
            Ok(worlds)
        })
        .await
    }

    pub(crate) async fn fortunes(&self) -> Vec<Fortune> {
        run(&self.readers, |connection| {
            let mut select = connection.prepare_cached("SELECT id, message FROM fortune")?;
            let rows = select.query_map([], |row| {
                Ok(Fortune {
                    id: row.get(0)?,
                    message: row.get(1)?,
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// Reads each row, gives it a new number and stores it.
    pub(crate) async fn update(&self, ids: Vec<i64>) -> Vec<World> {
        run(&self.writer, move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut worlds = look_up(&transaction, &ids)?;
            {
                let mut update = transaction.prepare_cached("UPDATE world SET randomnumber = ?1 WHERE id = ?2")?;
                for world in &mut worlds {
                    world.random_number = random();
                    update.execute([world.random_number, world.id])?;
                }
            }
            transaction.commit()?;
            Ok(worlds)
        })
        .await
    }
}

/// A random id, or a random number.
pub(crate) fn random() -> i64 {
    fastrand::i64(1..=10_000)
}

fn look_up(connection: &Connection, ids: &[i64]) -> rusqlite::Result<Vec<World>> {
    let mut select = connection.prepare_cached("SELECT id, randomnumber FROM world WHERE id = ?1")?;
    let mut one = |id: &i64| {
        select.query_row([id], |row| {
            Ok(World {
                id: row.get(0)?,
                random_number: row.get(1)?,
            })
        })
    };
    ids.iter().map(&mut one).collect()
}

fn connect(path: &PathBuf) -> Connection {
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(connection)
    };
    open().expect("the database opens")
}

fn threads(number: usize, path: &PathBuf) -> Sender<Job> {
    let (sender, jobs) = crossbeam_channel::unbounded::<Job>();
    for _ in 0..number {
        let (jobs, mut connection) = (jobs.clone(), connect(path));
        std::thread::spawn(move || {
            while let Ok(job) = jobs.recv() {
                job(&mut connection);
            }
        });
    }
    sender
}

async fn run<T: Send + 'static>(
    threads: &Sender<Job>,
    work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
) -> T {
    let (answer, wait) = oneshot::channel();
    let job: Job = Box::new(move |connection| {
        // Nobody waits for the answer when the client went away.
        let _ = answer.send(work(connection));
    });
    threads.send(job).expect("the threads run as long as the server");
    wait.await.expect("a job answers").expect("the tables are as made")
}
