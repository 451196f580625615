//! What is true of the embedded database only: durability, one writer, group commit, readers that cannot write.

use std::time::{Duration, Instant};

use portcullis::domain::ids::UserId;
use portcullis::store::unique_values::{self, USERNAME};
use portcullis::store::{Conn, Read, Store, Writer, users};
use portcullis::{Fault, FaultKind};
use tokio::task::JoinSet;

use crate::support::database::TestDatabase;
use crate::support::rows::{insert_user, pending_user, uuid, verified_user};

async fn pragma(tx: &mut Writer, sql: &'static str) -> Result<i64, Fault> {
    let Conn::Sqlite(c) = tx.conn() else { panic!("not SQLite") };
    match sqlx::query_scalar(sql).fetch_one(c).await {
        Ok(value) => Ok(value),
        Err(error) => Err(tx.failed(error)),
    }
}

/// Inserts; one number fails, and one goes on after a failed statement.
async fn insert_or_fail(tx: &mut Writer, n: &u128) -> Result<(), Fault> {
    assert!(users::insert(tx, &pending_user(*n)).await?);
    if *n == 70 {
        return Err(Fault::overloaded("by the test"));
    }
    if *n == 71 {
        let failed = unique_values::claim(tx, USERNAME, "ann", UserId(uuid(9999))).await;
        assert!(failed.is_err());
    }
    Ok(())
}

/// The commits in the write-ahead log since it began (sqlite.org/fileformat2.html, section 4.1): the last frame of each
/// tells the size of the database.
fn commits(db: &TestDatabase) -> usize {
    let mut log = db.file().into_os_string();
    log.push("-wal");
    let bytes = std::fs::read(log).unwrap();
    if bytes.is_empty() {
        return 0;
    }
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let frame = 24 + usize::try_from(number(8)).unwrap();
    let frames = (32..bytes.len()).step_by(frame);
    // Frames of an earlier round of the file have another salt.
    frames.filter(|at| number(at + 8) == number(16) && number(at + 4) != 0).count()
}

async fn store_on(db: &TestDatabase) -> Store {
    db.store().await
}

#[tokio::test]
async fn rel_01_the_writer_syncs_every_commit_and_checks_foreign_keys() {
    let db = TestDatabase::sqlite().await;
    let store = store_on(&db).await;
    let pragmas = [
        ("PRAGMA synchronous", 2),
        ("PRAGMA foreign_keys", 1),
        ("PRAGMA busy_timeout", 5000),
        ("SELECT journal_mode = 'wal' FROM pragma_journal_mode", 1),
    ];
    for (sql, expected) in pragmas {
        let value = store.write(sql, |tx, sql| Box::pin(pragma(tx, sql))).await.unwrap();
        assert_eq!(value, expected, "{sql}");
    }
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let db = TestDatabase::sqlite().await;
    let store = store_on(&db).await;
    let mut reader = store.read().await.unwrap();
    for sql in ["INSERT INTO roles (name, description) VALUES ('x', '')", "PRAGMA user_version = 5"]
    {
        let Conn::Sqlite(c) = reader.conn() else { panic!("not SQLite") };
        assert!(sqlx::query(sql).execute(c).await.is_err(), "{sql}");
    }
    assert_eq!(db.count("SELECT COUNT(*) FROM roles").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rel_09_a_change_waits_for_another_process_that_writes() {
    let db = TestDatabase::sqlite().await;
    let store = store_on(&db).await;
    let mut other = db.raw().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let start = Instant::now();
    let user = verified_user(1);
    let waiting = insert_user(&store, &user);
    let working = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        other.execute("UPDATE roles SET description = 'changed'; COMMIT").await.unwrap();
    };
    tokio::join!(waiting, working);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(db.count("SELECT COUNT(*) FROM users").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_wait_share_a_commit_and_one_that_fails_leaves_the_others() {
    let db = TestDatabase::sqlite().await;
    let store = store_on(&db).await;
    let before = commits(&db);
    // While another process writes, all of them queue.
    let mut other = db.raw().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let mut writers = JoinSet::new();
    for n in 1..=200_u128 {
        let store = store.clone();
        writers.spawn(async move {
            let wrote = store.write(n, |tx, n| Box::pin(insert_or_fail(tx, n))).await;
            (n, wrote.map_err(|fault| fault.kind()))
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    other.execute("ROLLBACK").await.unwrap();
    for (n, wrote) in writers.join_all().await {
        let expected = match n {
            70 => Err(FaultKind::Overloaded),
            71 => Err(FaultKind::Internal),
            _ => Ok(()),
        };
        assert_eq!(wrote, expected, "{n}");
    }
    assert_eq!(db.count("SELECT COUNT(*) FROM users").await, 198);
    let shared = commits(&db) - before;
    assert!((2..=4).contains(&shared), "200 changes took {shared} commits");
}

/// Takes an address, and leaves a row behind that lets every commit fail.
async fn insert_and_spoil(tx: &mut Writer, n: &u128) -> Result<(), Fault> {
    assert!(users::insert(tx, &pending_user(*n)).await?);
    let Conn::Sqlite(c) = tx.conn() else { panic!("not SQLite") };
    let spoil = "PRAGMA defer_foreign_keys = ON;
         INSERT INTO password_credentials (user_id, hash, set_at, must_change)
         VALUES (x'00000000000000000000000000000000', 'x', 0, 0)";
    sqlx::raw_sql(spoil).execute(c).await.unwrap();
    Ok(())
}

/// Refuses, as a flow does, where the address is taken.
async fn insert_or_refuse(tx: &mut Writer, n: &u128) -> Result<(), Fault> {
    if users::insert(tx, &pending_user(*n)).await? { Ok(()) } else { Err(Fault::internal("taken")) }
}

#[tokio::test]
async fn rel_02_nobody_is_refused_for_what_a_lost_batch_never_stored() {
    let db = TestDatabase::sqlite().await;
    let store = store_on(&db).await;
    // One thread: both wait in the queue before the writer runs, so they share a commit.
    let (spoiled, refused) = tokio::join!(
        store.write(1_u128, |tx, n| Box::pin(insert_and_spoil(tx, n))),
        store.write(1_u128, |tx, n| Box::pin(insert_or_refuse(tx, n))),
    );
    assert_eq!(spoiled.unwrap_err().kind(), FaultKind::Unavailable);
    assert_eq!(refused.unwrap_err().kind(), FaultKind::Unavailable, "not: taken");
    assert_eq!(db.count("SELECT COUNT(*) FROM users").await, 0);
    store.write(1_u128, |tx, n| Box::pin(insert_or_refuse(tx, n))).await.unwrap();
}
