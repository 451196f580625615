//! What is true of PostgreSQL only: limits on every connection, sessions that are ended, answers that do not come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::domain::ids::UserId;
use portcullis::store::users::NewUser;
use portcullis::store::{Conn, Read, Settings, Store, Writer, users};
use portcullis::{Fault, FaultKind, deadline};
use tokio_util::task::TaskTracker;

use crate::support::database::{TestDatabase, jitter};
use crate::support::pg::Server;
use crate::support::proxy::{Mode, Proxy};
use crate::support::rows::{pending_user, uuid};

/// A deadline that a silent server lets pass.
const SOON: Duration = Duration::from_millis(400);

const IDLE_IN_TRANSACTION: &str = "SELECT COUNT(*) FROM pg_stat_activity
     WHERE datname = current_database() AND state LIKE 'idle in transaction%'";

async fn write(store: &Store, n: u128) -> Result<bool, Fault> {
    store.write(pending_user(n), |tx, user| Box::pin(users::insert(tx, user))).await
}

async fn open(url: String, pool_max: u32) -> Store {
    let database = portcullis::store::Database::Postgres(url);
    let settings = Settings { database, pool_max };
    Store::open(&settings, jitter(), TaskTracker::new()).await.unwrap()
}

/// The store of `db` behind a proxy.
async fn behind_proxy(db: &TestDatabase, pool_max: u32) -> (Store, Proxy) {
    let (server, name) = db.server();
    let proxy = Proxy::start(server.socket()).await;
    (open(proxy.url(name), pool_max).await, proxy)
}

async fn assert_all_is_normal(db: &TestDatabase, store: &Store, from: u128) {
    for n in from..from + 100 {
        write(store, n).await.unwrap();
    }
    assert_eq!(db.count(IDLE_IN_TRANSACTION).await, 0);
}

#[tokio::test]
async fn rel_12_every_connection_has_limits() {
    let Some(db) = TestDatabase::postgres().await else { return };
    let store = db.store().await;
    let expected = [
        ("SHOW statement_timeout", "5s"),
        ("SHOW lock_timeout", "2s"),
        ("SHOW idle_in_transaction_session_timeout", "10s"),
        ("SHOW application_name", "portcullis"),
        ("SHOW transaction_isolation", "read committed"),
    ];
    let mut reader = store.read().await.unwrap();
    for (sql, value) in expected {
        let Conn::Postgres(c) = reader.conn() else { panic!("not PostgreSQL") };
        let shown: String = sqlx::query_scalar(sql).fetch_one(c).await.unwrap();
        assert_eq!(shown, value, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f08_a_lock_that_somebody_holds_is_waited_for_for_two_seconds() {
    let Some(db) = TestDatabase::postgres().await else { return };
    let store = db.store().await;
    let mut other = db.raw().await;
    other.execute("BEGIN; LOCK TABLE users").await.unwrap();
    let soon = tokio::time::Instant::now() + Duration::from_secs(3);
    let start = Instant::now();
    let late = deadline::scope(soon, write(&store, 1)).await.unwrap_err();
    assert_eq!(late.kind(), FaultKind::Unavailable);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    other.execute("ROLLBACK").await.unwrap();
    assert_all_is_normal(&db, &store, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_after_the_server_ended_all_sessions_a_few_calls_fail_and_then_none() {
    let Some(db) = TestDatabase::postgres().await else { return };
    let store = db.store_with(8).await;
    // Fill the pool.
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(store.read().await.unwrap());
    }
    drop(readers);
    let ended = db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    assert_eq!(ended.await, 8);
    let (mut failed, start) = (0, Instant::now());
    for n in 1..=50 {
        match write(&store, n).await {
            Ok(_) => {}
            Err(fault) => {
                assert_eq!(fault.kind(), FaultKind::Unavailable);
                failed += 1;
            }
        }
    }
    assert!(failed <= 2, "{failed} of 50 calls failed");
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_all_is_normal(&db, &store, 1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_a_caller_who_leaves_while_begin_is_under_way_poisons_nothing() {
    let Some(db) = TestDatabase::postgres().await else { return };
    let (store, proxy) = behind_proxy(&db, 2).await;
    write(&store, 1).await.unwrap();
    for n in 2..=11 {
        proxy.set(Mode::Hold);
        let left = tokio::time::timeout(Duration::from_millis(30), write(&store, n)).await;
        assert!(left.is_err(), "the answer was held back");
        proxy.set(Mode::Pass);
    }
    assert_all_is_normal(&db, &store, 100).await;
    // What was begun is done, by nobody's leave.
    let users = db.count("SELECT COUNT(*) FROM users").await;
    assert_eq!(users, 111);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f08_a_server_that_falls_silent_is_used_again_when_it_speaks() {
    let Some(db) = TestDatabase::postgres().await else { return };
    let (store, proxy) = behind_proxy(&db, 3).await;
    write(&store, 1).await.unwrap();
    proxy.set(Mode::Hold);
    for n in 2..=6 {
        // Readers and writers, and callers who do not wait for ever.
        let work = async {
            let mut reader = store.read().await?;
            users::find(&mut reader, UserId(uuid(n))).await?;
            drop(reader);
            write(&store, n).await
        };
        assert!(tokio::time::timeout(Duration::from_millis(100), work).await.is_err());
    }
    proxy.set(Mode::Pass);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_all_is_normal(&db, &store, 100).await;
}

/// Inserts a user and holds back whatever the server says from then on: the answer to COMMIT is the first.
async fn insert_then_hold(
    tx: &mut Writer,
    (user, proxy): &(NewUser, Arc<Proxy>),
) -> Result<bool, Fault> {
    let is_new = users::insert(tx, user).await?;
    proxy.set(Mode::Hold);
    Ok(is_new)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f04_a_commit_without_an_answer_is_an_error_at_the_deadline_and_may_be_repeated() {
    let Some(db) = TestDatabase::postgres().await else { return };
    let (store, proxy) = behind_proxy(&db, 2).await;
    let proxy = Arc::new(proxy);
    write(&store, 1).await.unwrap();
    for n in 2..=4 {
        let input = (pending_user(n), Arc::clone(&proxy));
        let change = store.write(input, |tx, input| Box::pin(insert_then_hold(tx, input)));
        let (start, soon) = (Instant::now(), tokio::time::Instant::now() + SOON);
        let unknown = deadline::scope(soon, change).await.unwrap_err();
        assert_eq!(unknown.kind(), FaultKind::Unavailable, "REL-02");
        assert!(start.elapsed() < SOON * 4, "{:?}", start.elapsed());
        proxy.set(Mode::Pass);
        assert!(!write(&store, n).await.unwrap(), "it had happened, and asking again tells so");
    }
    assert_all_is_normal(&db, &store, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f04_a_begin_without_an_answer_leaves_nothing_at_the_deadline() {
    let Some(db) = TestDatabase::postgres().await else { return };
    let (store, proxy) = behind_proxy(&db, 2).await;
    write(&store, 1).await.unwrap();
    proxy.set(Mode::Hold);
    let (start, soon) = (Instant::now(), tokio::time::Instant::now() + SOON);
    let late = deadline::scope(soon, write(&store, 2)).await.unwrap_err();
    assert_eq!(late.kind(), FaultKind::Unavailable);
    assert!(start.elapsed() < SOON * 4, "{:?}", start.elapsed());
    proxy.set(Mode::Pass);
    assert_all_is_normal(&db, &store, 100).await;
    assert_eq!(db.count("SELECT COUNT(*) FROM users").await, 101, "the late one never began");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_13_a_query_without_an_answer_ends_at_the_deadline_and_its_connection_with_it() {
    let Some(db) = TestDatabase::postgres().await else { return };
    let (store, proxy) = behind_proxy(&db, 2).await;
    let find = async || users::find(&mut store.read().await?, UserId(uuid(1))).await;
    find().await.unwrap();
    assert_eq!((store.pool_stats().connections, store.pool_stats().idle), (1, 1));
    proxy.set(Mode::Hold);
    let (start, soon) = (Instant::now(), tokio::time::Instant::now() + SOON);
    let late = deadline::scope(soon, find()).await.unwrap_err();
    assert_eq!(late.kind(), FaultKind::Unavailable);
    assert!(start.elapsed() < SOON * 4, "{:?}", start.elapsed());
    assert_eq!(store.pool_stats().connections, 0, "no task of a pool waits for it");
    proxy.set(Mode::Pass);
    find().await.unwrap();
    // A caller who leaves in the middle: nobody else gets the connection that still owes an answer.
    proxy.set(Mode::Hold);
    assert!(tokio::time::timeout(SOON, find()).await.is_err());
    assert_eq!(store.pool_stats().connections, 0);
    proxy.set(Mode::Pass);
    assert_all_is_normal(&db, &store, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rel_11_callers_beyond_the_pool_wait_in_turn_and_no_longer_than_two_seconds() {
    let Some(db) = TestDatabase::postgres().await else { return };
    let store = db.store_with(2).await;
    let held = [store.read().await.unwrap(), store.read().await.unwrap()];
    let start = Instant::now();
    let full = store.read().await.map(drop).unwrap_err();
    assert_eq!(full.kind(), FaultKind::Overloaded);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    drop(held);
    let all = (1..=50).map(|n| write(&store, n));
    for done in futures_util::future::join_all(all).await {
        assert!(done.unwrap());
    }
    let stats = store.pool_stats();
    assert!(stats.connections <= 2 && stats.idle == stats.connections, "{stats:?}");
    store.close().await;
    assert_eq!(store.pool_stats().connections, 0);
    assert_eq!(write(&store, 99).await.unwrap_err().kind(), FaultKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f10_connections_that_are_cut_are_replaced() {
    let Some(db) = TestDatabase::postgres().await else { return };
    let (store, proxy) = behind_proxy(&db, 4).await;
    for round in 0..5_u128 {
        let from = round * 1000;
        write(&store, from + 1).await.unwrap();
        proxy.set(Mode::Cut);
        let refused = write(&store, from + 2).await.unwrap_err();
        assert_ne!(refused.kind(), FaultKind::Internal);
        proxy.set(Mode::Pass);
        let mut failed = 0;
        while write(&store, from + 3).await.is_err() {
            failed += 1;
            assert!(failed <= 4, "the pool does not recover");
        }
    }
    assert_all_is_normal(&db, &store, 9000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f05_what_was_acknowledged_is_there_after_a_crash_of_the_server() {
    let Some(server) = Server::own() else { return };
    let url = server.url("postgres");
    let database = portcullis::store::Database::Postgres(url.clone());
    portcullis::store::migrate::run(&database).await.unwrap();
    let store = open(url, 4).await;
    let mut acknowledged = Vec::new();
    for round in 0..3_u128 {
        for n in 1..=20 {
            write(&store, round * 100 + n).await.unwrap();
            acknowledged.push(round * 100 + n);
        }
        server.crash();
        let out = write(&store, round * 100 + 99).await.unwrap_err();
        assert_ne!(out.kind(), FaultKind::Internal);
        server.start().unwrap();
        let start = Instant::now();
        while store.schema().await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "REL-07: back within ten seconds");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let mut reader = store.read().await.unwrap();
    for n in acknowledged {
        assert!(users::find(&mut reader, UserId(uuid(n))).await.unwrap().is_some(), "{n} is lost");
    }
}
