//! The two tables, made and filled when they are not there.

use rusqlite::Connection;

const FORTUNES: [&str; 12] = [
    "fortune: No such file or directory",
    "A computer scientist is someone who fixes things that aren't broken.",
    "After enough decimal places, nobody gives a damn.",
    "A bad random number generator: 1, 1, 1, 1, 1, 4.33e+67, 1, 1, 1",
    "A computer program does what you tell it to do, not what you want it to do.",
    "Emacs is a nice operating system, but I prefer UNIX. — Tom Christaensen",
    "Any program that runs right is obsolete.",
    "A list is only as strong as its weakest link. — Donald Knuth",
    "Feature: A bug with seniority.",
    "Computers make very fast, very accurate mistakes.",
    "<script>alert(\"This should not be displayed in a browser alert box.\");</script>",
    "フレームワークのベンチマーク",
];

pub(crate) fn fill(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS world (id INTEGER PRIMARY KEY, randomnumber INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS fortune (id INTEGER PRIMARY KEY, message VARCHAR(2048) NOT NULL);",
    )?;
    let worlds: i64 = transaction.query_row("SELECT count(*) FROM world", [], |row| row.get(0))?;
    if worlds == 0 {
        let mut world = transaction.prepare("INSERT INTO world (id, randomnumber) VALUES (?1, ?2)")?;
        for id in 1..=10_000 {
            world.execute([id, fastrand::i64(1..=10_000)])?;
        }
        let mut fortune = transaction.prepare("INSERT INTO fortune (id, message) VALUES (?1, ?2)")?;
        for (id, message) in (1..).zip(FORTUNES) {
            fortune.execute((id, message))?;
        }
    }
    transaction.commit()
}
