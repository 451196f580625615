//! Changes that meet: what was lost to another is repeated whole, and both end well (REL-10).

use std::time::Duration;

use portcullis::Fault;
use portcullis::domain::ids::UserId;
use portcullis::store::unique_values::{self, USERNAME};
use portcullis::store::{Conn, Read, Store, Writer, users};
use serde_json::Map;
use tokio::task::JoinSet;

use crate::support::rows::{insert_user, uuid, verified_user};

/// Locks one user, lets the other change lock the other one, then locks that one too.
async fn lock_both(tx: &mut Writer, order: &[u128; 2]) -> Result<(), Fault> {
    for n in order {
        users::lock(tx, UserId(uuid(*n))).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    users::keep_wishes(tx, UserId(uuid(order[0])), None, &Map::new()).await
}

/// Takes the name if nobody has it, without ON CONFLICT: `false` if somebody was there before.
async fn take_naively(tx: &mut Writer, user: &UserId) -> Result<bool, Fault> {
    if unique_values::find_holder(tx, USERNAME, "ann").await?.is_some() {
        return Ok(false);
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let sql = "INSERT INTO unique_values (field, value_canonical, user_id) VALUES ('/username', 'ann', $1)";
    let inserted = match tx.conn() {
        Conn::Sqlite(c) => sqlx::query(sql).bind(user).execute(c).await.map(drop),
        Conn::Postgres(c) => sqlx::query(sql).bind(user).execute(c).await.map(drop),
    };
    match inserted {
        Ok(()) => Ok(true),
        Err(error) => Err(tx.failed(error)),
    }
}

/// Reads a count under the strictest isolation, and changes what it depends on.
async fn count_strictly(tx: &mut Writer, user: &UserId) -> Result<(), Fault> {
    let strict = match tx.conn() {
        Conn::Sqlite(_) => Ok(()),
        Conn::Postgres(c) => {
            sqlx::query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").execute(c).await.map(drop)
        }
    };
    strict.map_err(|error| tx.failed(error))?;
    let seen = unique_values::find_holder(tx, USERNAME, "ann").await?.is_some();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let value = if seen { format!("later-{}", user.0) } else { "ann".to_owned() };
    unique_values::claim(tx, USERNAME, &value, *user).await.map(drop)
}

async fn users(store: &Store, count: u128) {
    for n in 1..=count {
        insert_user(store, &verified_user(n)).await;
    }
}

on_every_backend! {
    async fn rel_10_two_changes_that_wait_for_each_other_both_end_well(db: TestDatabase) {
        let store = db.store().await;
        users(&store, 2).await;
        let lock = |order: [u128; 2]| store.write(order, |tx, order| Box::pin(lock_both(tx, order)));
        let (one, other) = tokio::join!(lock([1, 2]), lock([2, 1]));
        one.unwrap();
        other.unwrap();
    }

    async fn rel_10_a_lost_unique_race_is_repeated_and_sees_the_winner(db: TestDatabase) {
        let store = db.store().await;
        users(&store, 12).await;
        let mut racers = JoinSet::new();
        for n in 1..=12 {
            let store = store.clone();
            racers.spawn(async move {
                store.write(UserId(uuid(n)), |tx, user| Box::pin(take_naively(tx, user))).await
            });
        }
        let taken: Vec<bool> = racers.join_all().await.into_iter().map(Result::unwrap).collect();
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
        assert_eq!(db.count("SELECT COUNT(*) FROM unique_values").await, 1);
    }

    async fn rel_10_a_change_that_cannot_be_put_in_order_is_repeated(db: TestDatabase) {
        let store = db.store().await;
        users(&store, 3).await;
        let claim = |n: u128| {
            store.write(UserId(uuid(n)), |tx, user| Box::pin(count_strictly(tx, user)))
        };
        let (a, b, c) = tokio::join!(claim(1), claim(2), claim(3));
        for claimed in [a, b, c] {
            claimed.unwrap();
        }
        assert_eq!(db.count("SELECT COUNT(*) FROM unique_values").await, 3);
        assert_eq!(db.count("SELECT COUNT(*) FROM unique_values WHERE value_canonical = 'ann'").await, 1);
    }

    async fn inp_01_fifty_at_once_take_a_name_once(db: TestDatabase) {
        let store = db.store().await;
        users(&store, 50).await;
        let mut racers = JoinSet::new();
        for n in 1..=50 {
            let store = store.clone();
            racers.spawn(async move {
                store.write(UserId(uuid(n)), |tx, user| Box::pin(unique_values::claim(tx, USERNAME, "ann", *user))).await
            });
        }
        let taken: Vec<bool> = racers.join_all().await.into_iter().map(Result::unwrap).collect();
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    }
}
