//! The contract of `event_chain` and its root: what follows what, and what the triggers let go (LOG-06, LOG-10, LOG-11).

use portcullis::domain::event::{Action, Event};
use portcullis::domain::ids::{EventId, UserId};
use portcullis::domain::trail::{Entry, Recorded, Root};
use portcullis::store::events::Filter;
use portcullis::store::{Store, event_chain, events};
use serde_json::json;

use crate::support::database::TestDatabase;
use crate::support::rows::{NOW, after, event, uuid};

const ANN: UserId = UserId(uuid::Uuid::from_u128(5));
const BOB: UserId = UserId(uuid::Uuid::from_u128(6));
const ZERO: [u8; 32] = [0; 32];

async fn happened(store: &Store, event: Event) {
    store.write(event, |tx, event| Box::pin(events::append(tx, event))).await.unwrap();
}

fn root(seq: i64, before_s: u64) -> Root {
    Root {
        sealed_key: vec![1, 2],
        seq,
        hash: ZERO.to_vec(),
        removed_before: after(before_s),
        mac: vec![3; 32],
    }
}

async fn begin(store: &Store) -> bool {
    store.write(root(0, 0), |tx, root| Box::pin(event_chain::insert_root(tx, root))).await.unwrap()
}

/// The entry of event `n` at the place `n`, whose hash is all `n`.
fn entry(n: u8) -> Entry {
    let hash = |n| vec![n; 32];
    Entry {
        seq: n.into(),
        event_id: EventId(uuid(n.into())),
        prev_hash: hash(n - 1),
        hash: hash(n),
    }
}

async fn append(store: &Store, after: [u8; 32], entries: Vec<Entry>) -> bool {
    let appended = store.write((after, entries), |tx, (after, entries)| {
        Box::pin(event_chain::append(tx, after, entries))
    });
    appended.await.unwrap()
}

async fn waiting(store: &Store) -> Vec<u128> {
    let lines = event_chain::list_waiting(&mut store.read().await.unwrap(), 100).await.unwrap();
    lines.iter().map(|line| line.id.0.as_u128()).collect()
}

/// A chain over the first `n` events of Ann; each a second after the one before.
async fn chain(store: &Store, n: u8) {
    for n in 1..=n {
        happened(store, Event { at: after(n.into()), ..event(n.into(), ANN) }).await;
    }
    assert!(begin(store).await);
    assert!(append(store, ZERO, (1..=n).map(entry).collect()).await);
}

async fn remove(store: &Store, from: i64, root: Root) -> bool {
    let removed = store.write((from, root), |tx, (from, root)| {
        Box::pin(event_chain::remove_until(tx, *from, root))
    });
    removed.await.unwrap()
}

fn ids(found: &[Recorded]) -> Vec<u128> {
    found.iter().map(|it| it.line.as_ref().map_or(0, |line| line.id.0.as_u128())).collect()
}

on_every_backend! {
    async fn log_11_an_event_waits_until_it_has_its_place(db: TestDatabase) {
        let store = db.store().await;
        assert!(!event_chain::is_waiting(&mut store.read().await.unwrap()).await.unwrap());
        for n in 1..=3 {
            happened(&store, event(n, ANN)).await;
        }
        assert!(event_chain::is_waiting(&mut store.read_stale().await.unwrap()).await.unwrap());
        assert_eq!(waiting(&store).await, [1, 2, 3]);
        assert!(!append(&store, ZERO, vec![entry(1)]).await, "without a root there is no chain");
        assert!(begin(&store).await);
        assert!(!begin(&store).await, "there is one");
        assert!(!append(&store, [9; 32], vec![entry(1)]).await, "nothing has that hash");
        assert!(append(&store, ZERO, vec![entry(1), entry(2)]).await);
        assert!(append(&store, [9; 32], vec![]).await, "nothing to do");
        assert_eq!(waiting(&store).await, [3]);
        assert!(!append(&store, ZERO, vec![entry(3)]).await, "the chain went on: no fork");
        assert!(!append(&store, [1; 32], vec![entry(3)]).await, "behind the head is no place");
        assert!(append(&store, [2; 32], vec![entry(3)]).await);
        let head = event_chain::find_head(&mut store.read().await.unwrap()).await.unwrap();
        assert_eq!(head, Some(entry(3)));
        let found = event_chain::find_root(&mut store.read().await.unwrap()).await.unwrap();
        assert_eq!(found, Some(root(0, 0)));
    }

    async fn log_11_a_chain_that_lost_its_root_gets_no_other(db: TestDatabase) {
        let store = db.store().await;
        chain(&store, 1).await;
        db.execute(("DROP TRIGGER event_chain_root_refuse_delete",
                    "DROP TRIGGER event_chain_root_refuse_update ON event_chain_root")).await;
        db.execute("DELETE FROM event_chain_root").await;
        assert!(!begin(&store).await);
        assert!(!append(&store, ZERO, vec![entry(2)]).await);
    }

    async fn what_was_recorded_comes_back_whole_and_in_pages(db: TestDatabase) {
        let store = db.store().await;
        chain(&store, 3).await;
        happened(&store, Event { at: after(9), ..event(4, ANN) }).await;
        db.execute("DELETE FROM event_details WHERE event_id = (SELECT event_id FROM event_chain WHERE seq = 2)").await;
        let list = async |seq, limit| {
            let mut db = store.read_stale().await.unwrap();
            event_chain::list_recorded(&mut db, seq, limit).await.unwrap()
        };
        assert_eq!(ids(&list(0, 2).await), [1, 2]);
        let all = list(0, 9).await;
        assert_eq!(ids(&all), [1, 2, 3], "what has no place is not in the chain");
        let (line, details) = (all[0].line.clone().unwrap(), all[0].details.clone().unwrap());
        assert_eq!(all[0].entry, Some(entry(1)));
        assert_eq!((line.at, line.action.as_str(), line.outcome.as_str()), (after(1), "user.updated", "success"));
        assert_eq!((line.actor_kind.as_str(), line.actor_id), ("user", Some(ANN.to_string())));
        assert_eq!((line.subject_kind.as_str(), line.subject_id), ("user", ANN.to_string()));
        assert_eq!((line.request_id.as_deref(), line.details_hash), (Some("r-1"), vec![7; 32]));
        assert_eq!((details.address.as_deref(), details.hash_key), (Some("2001:db8::1"), Some(vec![9; 32])));
        assert_eq!(details.data, json!({ "changed": ["profile.bio"] }));
        assert!(all[1].details.is_none() && all[2].details.is_some(), "erased");

        let places = async |n, limit| {
            let mut db = store.read().await.unwrap();
            event_chain::list_places(&mut db, EventId(uuid(n)), limit).await.unwrap()
        };
        assert_eq!(places(2, 9).await, [(EventId(uuid(3)), after(3), Some(3)), (EventId(uuid(4)), after(9), None)]);
        assert_eq!(places(0, 2).await.len(), 2);
    }

    async fn events_are_listed_newest_first_by_what_is_asked(db: TestDatabase) {
        let store = db.store().await;
        chain(&store, 2).await;
        happened(&store, Event { at: after(3), action: Action::UserCreated, ..event(3, BOB) }).await;
        let by_ann = portcullis::domain::event::Actor::User(ANN);
        happened(&store, Event { at: after(4), actor: by_ann, ..event(4, BOB) }).await;
        let list = async |filter: Filter, before, limit| {
            let mut db = store.read_stale().await.unwrap();
            ids(&events::list(&mut db, &filter, EventId(uuid(before)), limit).await.unwrap())
        };
        let all = Filter::default();
        assert_eq!(list(all.clone(), u128::MAX, 9).await, [4, 3, 2, 1]);
        assert_eq!(list(all.clone(), u128::MAX, 2).await, [4, 3]);
        assert_eq!(list(all.clone(), 3, 9).await, [2, 1]);
        let created = Filter { action: Some("user.created".into()), ..all.clone() };
        assert_eq!(list(created.clone(), u128::MAX, 9).await, [3]);
        let ann = Filter { user: Some(ANN), ..all.clone() };
        assert_eq!(list(ann.clone(), u128::MAX, 9).await, [4, 2, 1], "done by her or to her");
        assert_eq!(list(Filter { user: Some(BOB), ..all.clone() }, u128::MAX, 9).await, [4, 3]);
        assert_eq!(list(Filter { user: Some(ANN), ..created }, u128::MAX, 9).await, [0; 0]);
        let span = Filter { since: Some(after(2)), until: Some(after(4)), ..all };
        assert_eq!(list(span, u128::MAX, 9).await, [3, 2]);
        assert_eq!(list(Filter { since: Some(after(2)), ..ann }, u128::MAX, 9).await, [4, 2]);
    }

    async fn log_10_only_what_the_root_was_moved_past_is_removed(db: TestDatabase) {
        let store = db.store().await;
        chain(&store, 3).await;
        assert!(!remove(&store, 7, root(2, 9)).await, "somebody else moved it");
        let moved = Root { hash: vec![2; 32], ..root(2, 3) };
        assert!(remove(&store, 0, moved.clone()).await);
        assert!(!remove(&store, 0, moved.clone()).await);
        assert_eq!(event_chain::find_root(&mut store.read().await.unwrap()).await.unwrap(), Some(moved));
        for table in ["events", "event_details", "event_chain"] {
            assert_eq!(db.count(&*format!("SELECT COUNT(*) FROM {table}").leak()).await, 1, "{table}");
        }
        happened(&store, Event { at: after(4), ..event(4, ANN) }).await;
        assert!(append(&store, [3; 32], vec![entry(4)]).await, "the chain goes on");
        // An empty chain goes on behind its root.
        assert!(remove(&store, 2, Root { hash: vec![4; 32], ..root(4, 5) }).await);
        assert_eq!(db.count("SELECT COUNT(*) FROM event_chain").await, 0);
        happened(&store, event(5, ANN)).await;
        assert!(!append(&store, ZERO, vec![entry(5)]).await);
        assert!(append(&store, [4; 32], vec![entry(5)]).await);
    }

    async fn log_10_what_is_younger_than_the_retention_says_stays(db: TestDatabase) {
        let store = db.store().await;
        chain(&store, 3).await;
        let removed = store.write((), |tx, ()| {
            // The place says so, the time does not.
            Box::pin(async { event_chain::remove_until(tx, 0, &root(3, 2)).await })
        });
        assert!(removed.await.is_err());
        assert_eq!(db.count("SELECT COUNT(*) FROM events").await, 3);
        assert_eq!(db.count("SELECT COUNT(*) FROM event_chain").await, 3);
        assert_eq!(db.count("SELECT COUNT(*) FROM event_details").await, 3);
    }

    async fn log_06_nobody_changes_or_removes_an_entry_its_root_or_details(db: TestDatabase) {
        let store = db.store().await;
        chain(&store, 3).await;
        assert!(remove(&store, 0, Root { hash: vec![1; 32], ..root(1, 2) }).await);
        let mut raw = db.raw().await;
        let attacks: [(&str, &str); 14] = [
            ("UPDATE event_chain SET hash = zeroblob(32)", "UPDATE event_chain SET hash = prev_hash"),
            ("DELETE FROM event_chain", "DELETE FROM event_chain"),
            ("DELETE FROM event_chain WHERE seq = 3", "TRUNCATE event_chain"),
            ("REPLACE INTO event_chain SELECT 2, event_id, prev_hash, hash FROM event_chain WHERE seq = 3",
             "INSERT INTO event_chain SELECT * FROM event_chain ON CONFLICT (seq) DO UPDATE SET hash = excluded.prev_hash"),
            ("REPLACE INTO event_chain SELECT 9, event_id, prev_hash, hash FROM event_chain WHERE seq = 3",
             "TRUNCATE event_chain, event_chain_root"),
            ("UPDATE OR REPLACE event_chain SET seq = 3", "UPDATE event_chain SET seq = seq + 1"),
            ("UPDATE event_chain_root SET seq = 0", "UPDATE event_chain_root SET seq = 0"),
            ("UPDATE event_chain_root SET removed_before = 0",
             "UPDATE event_chain_root SET removed_before = '1970-01-01T00:00:00Z'"),
            ("DELETE FROM event_chain_root", "DELETE FROM event_chain_root"),
            ("REPLACE INTO event_chain_root SELECT * FROM event_chain_root", "TRUNCATE event_chain_root"),
            ("UPDATE event_details SET address = NULL", "UPDATE event_details SET address = NULL"),
            ("REPLACE INTO event_details SELECT event_id, NULL, data, hash_key FROM event_details",
             "UPDATE event_details SET data = '{}'"),
            ("DELETE FROM events", "DELETE FROM events"),
            ("DELETE FROM events WHERE id = (SELECT event_id FROM event_chain WHERE seq = 2)", "TRUNCATE events CASCADE"),
        ];
        for attack in attacks {
            assert!(raw.execute(attack).await.is_err(), "{attack:?}");
        }
        assert_eq!(raw.count("SELECT COUNT(*) FROM events").await, 2);
        assert_eq!(raw.count("SELECT COUNT(*) FROM event_chain").await, 2);
        assert_eq!(raw.count("SELECT COUNT(*) FROM event_details WHERE address IS NOT NULL").await, 2);
    }
}

/// LOG-11: the chain is nothing that a change waits for.
#[tokio::test]
async fn log_11_no_change_touches_the_chain() {
    let sources = ["src/store/events.rs", "src/flows/stamp.rs"];
    for source in sources {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        let text = std::fs::read_to_string(path).unwrap();
        for writes in ["INTO event_chain", "UPDATE event_chain", "event_chain::append"] {
            assert!(!text.contains(writes), "{source} {writes}");
        }
    }
    // A change goes on while somebody holds the chain.
    let Some(db) = TestDatabase::postgres().await else { return };
    let store = db.store().await;
    chain(&store, 1).await;
    let mut raw = db.raw().await;
    raw.execute("BEGIN; LOCK TABLE event_chain, event_chain_root IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    happened(&store, Event { at: NOW, ..event(2, ANN) }).await;
    raw.execute("ROLLBACK").await.unwrap();
}
