//! The handles: a change is wholly done or not done at all, whatever becomes of it and of its caller.

use std::time::{Duration, Instant};

use portcullis::domain::ids::UserId;
use portcullis::store::users::NewUser;
use portcullis::store::{Settings, Store, Writer, credentials, events, roles, users};
use portcullis::{Fault, FaultKind, deadline};
use tokio_util::task::TaskTracker;

use crate::support::database::{TestDatabase, jitter};
use crate::support::rows::{NOW, event, hash, pending_user, uuid};

/// A user, a credential and an event, in this order.
async fn make(tx: &mut Writer, user: &NewUser) -> Result<(), Fault> {
    users::insert(tx, user).await?;
    credentials::set(tx, user.id, &hash("first"), NOW).await?;
    events::append(tx, &event(user.id.0.as_u128(), user.id)).await
}

async fn make_and_refuse(tx: &mut Writer, user: &NewUser) -> Result<(), Fault> {
    make(tx, user).await?;
    Err(Fault::overloaded("refused by the test"))
}

async fn make_and_panic(tx: &mut Writer, user: &NewUser) -> Result<(), Fault> {
    make(tx, user).await?;
    panic!("by the test")
}

/// Goes on after a statement that failed, as if nothing had happened.
async fn make_and_swallow(tx: &mut Writer, user: &NewUser) -> Result<(), Fault> {
    make(tx, user).await?;
    let failed = roles::grant(tx, user.id, "no such role", NOW).await;
    assert!(failed.is_err());
    Ok(())
}

async fn make_slowly(tx: &mut Writer, user: &NewUser) -> Result<(), Fault> {
    make(tx, user).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    Ok(())
}

async fn write(store: &Store, n: u128) -> Result<(), Fault> {
    store.write(pending_user(n), |tx, user| Box::pin(make(tx, user))).await
}

/// Users, credentials and events: equal at all times.
async fn counts(db: &TestDatabase) -> [i64; 3] {
    let mut raw = db.raw().await;
    [
        raw.count("SELECT COUNT(*) FROM users").await,
        raw.count("SELECT COUNT(*) FROM password_credentials").await,
        raw.count("SELECT COUNT(*) FROM event_details").await,
    ]
}

/// Nothing of ours sits in a transaction that nobody continues.
async fn assert_nothing_is_open(db: &TestDatabase) {
    if db.is_sqlite() {
        return;
    }
    let open = "SELECT COUNT(*) FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    let start = Instant::now();
    while db.count(open).await > 0 {
        assert!(start.elapsed() < Duration::from_secs(5), "a session is idle in transaction");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

on_every_backend! {
    async fn an_acknowledged_change_is_seen_at_once(db: TestDatabase) {
        let store = db.store().await;
        for n in 1..=20 {
            write(&store, n).await.unwrap();
            let mut reader = store.read().await.unwrap();
            assert!(users::find(&mut reader, UserId(uuid(n))).await.unwrap().is_some());
        }
        assert_eq!(counts(&db).await, [20; 3]);
    }

    async fn a_failed_change_leaves_nothing(db: TestDatabase) {
        let store = db.store().await;
        let refused = store.write(pending_user(1), |tx, user| Box::pin(make_and_refuse(tx, user)));
        assert_eq!(refused.await.unwrap_err().kind(), FaultKind::Overloaded);
        assert_eq!(counts(&db).await, [0; 3]);
        write(&store, 1).await.unwrap();
        assert_eq!(counts(&db).await, [1; 3]);
        assert_nothing_is_open(&db).await;
    }

    async fn a_panic_in_a_change_leaves_nothing_and_the_next_one_works(db: TestDatabase) {
        let store = db.store_with(2).await;
        for _ in 0..5 {
            let panicked = store.write(pending_user(1), |tx, user| Box::pin(make_and_panic(tx, user)));
            assert_eq!(panicked.await.unwrap_err().kind(), FaultKind::Internal);
        }
        assert_eq!(counts(&db).await, [0; 3]);
        write(&store, 1).await.unwrap();
        assert_eq!(counts(&db).await, [1; 3]);
        assert_nothing_is_open(&db).await;
    }

    async fn rel_02_a_change_that_swallows_a_failed_statement_is_not_acknowledged(db: TestDatabase) {
        let store = db.store().await;
        let swallowed = store.write(pending_user(1), |tx, user| Box::pin(make_and_swallow(tx, user)));
        assert_eq!(swallowed.await.unwrap_err().kind(), FaultKind::Internal);
        assert_eq!(counts(&db).await, [0; 3]);
        write(&store, 1).await.unwrap();
        assert_nothing_is_open(&db).await;
    }

    async fn f04_a_change_whose_time_is_over_leaves_nothing(db: TestDatabase) {
        let store = db.store_with(2).await;
        let now = tokio::time::Instant::now();
        let late = deadline::scope(now, write(&store, 1)).await.unwrap_err();
        assert_ne!(late.kind(), FaultKind::Internal);

        let soon = now + Duration::from_millis(300);
        let slow = store.write(pending_user(1), |tx, user| Box::pin(make_slowly(tx, user)));
        let late = deadline::scope(soon, slow).await.unwrap_err();
        assert_eq!(late.kind(), FaultKind::Unavailable);
        assert!(now.elapsed() < Duration::from_secs(2), "{:?}", now.elapsed());
        assert_eq!(counts(&db).await, [0; 3]);
        for n in 1..=10 {
            write(&store, n).await.unwrap();
        }
        assert_eq!(counts(&db).await, [10; 3]);
        assert_nothing_is_open(&db).await;
    }

    async fn rel_08_a_caller_who_leaves_leaves_neither_half_a_change_nor_a_poisoned_connection(db: TestDatabase) {
        let store = db.store_with(3).await;
        let mut done = 0;
        for n in 1..=200 {
            // The caller is dropped after so many turns of the runtime, each 50 µs or so apart.
            let leave = async {
                for _ in 0..(n * 7) % 60 {
                    tokio::time::sleep(Duration::from_micros(1)).await;
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                made = write(&store, n) => { made.unwrap(); done += 1; }
                () = leave => {}
            }
        }
        // What is on its way comes to its end.
        write(&store, 1000).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let [users, credentials, events] = counts(&db).await;
        assert!(users > done && users <= 201, "{users} users, {done} acknowledged");
        assert_eq!((credentials, events), (users, users));
        for n in 1001..1101 {
            write(&store, n).await.unwrap();
        }
        assert_nothing_is_open(&db).await;
    }

    async fn rel_11_nobody_waits_longer_than_three_seconds_for_a_connection(db: TestDatabase) {
        let store = db.store_with(1).await;
        let held = store.read().await.unwrap();
        let start = Instant::now();
        let refused = store.read().await.err().unwrap();
        assert_eq!(refused.kind(), FaultKind::Overloaded);
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        if db.is_sqlite() {
            // Writers have a connection of their own.
            write(&store, 1).await.unwrap();
        } else {
            let start = Instant::now();
            assert_eq!(write(&store, 1).await.unwrap_err().kind(), FaultKind::Overloaded);
            assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        }
        let soon = tokio::time::Instant::now() + Duration::from_millis(100);
        let start = Instant::now();
        assert!(deadline::scope(soon, store.read()).await.is_err());
        assert!(start.elapsed() < Duration::from_secs(1), "the deadline is nearer");
        drop(held);
        assert!(store.read().await.is_ok());
    }

    async fn the_pool_tells_its_size_and_closes(db: TestDatabase) {
        let tasks = TaskTracker::new();
        let settings = Settings { database: db.database(), pool_max: 3 };
        let store = Store::open(&settings, jitter(), tasks.clone()).await.unwrap();
        store.schema().await.unwrap();
        let stats = store.pool_stats();
        assert_eq!((stats.max, stats.connections), (3, 1));
        // What is on its way when the store closes is finished or refused.
        let (written, ()) = tokio::join!(write(&store, 1), store.close());
        assert_eq!(counts(&db).await, [i64::from(written.is_ok()); 3]);
        assert_eq!(store.pool_stats().connections, 0);
        assert_eq!(store.schema().await.unwrap_err().kind(), FaultKind::Unavailable);
        assert_eq!(write(&store, 2).await.unwrap_err().kind(), FaultKind::Unavailable);
        let late = "SELECT COUNT(*) FROM users WHERE email_canonical = 'user2@example.org'";
        assert_eq!(db.count(late).await, 0);
        // A stop waits for the tasks of the store: they end with it.
        tasks.close();
        tokio::time::timeout(Duration::from_secs(2), tasks.wait()).await.unwrap();
    }
}
