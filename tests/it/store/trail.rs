//! The contract of `events`, which nobody changes (LOG-06), and of `signing_keys`.

use portcullis::domain::event::{Actor, Event, Subject};
use portcullis::domain::ids::UserId;
use portcullis::domain::keys::{PublicJwk, SigningAlgorithm, StoredKey};
use portcullis::domain::time::Timestamp;
use portcullis::store::signing_keys::{self, KeyRow};
use portcullis::store::{Store, events};
use portcullis_verify::PublicKey;
use serde_json::Map;

use crate::support::rows::{NOW, after, event, uuid};

async fn append(store: &Store, event: Event) -> Result<(), portcullis::Fault> {
    store.write(event, |tx, event| Box::pin(events::append(tx, event))).await
}

fn key(kid: &str, announced_at: Timestamp) -> KeyRow {
    let public = PublicKey::ed25519(&[7; 32]).unwrap();
    let public_jwk = PublicJwk::with_kid(kid, public).unwrap();
    let key = StoredKey {
        kid: kid.into(),
        algorithm: SigningAlgorithm::EdDsa,
        private_key: vec![0, 255, 128],
        public_jwk,
        announced_at,
        signs_at: None,
        retires_at: None,
        gone_at: None,
        revoked_at: None,
    };
    KeyRow { key, lifetime_max_s: 900 }
}

/// All of a row that is stored, to be compared.
fn parts(row: &KeyRow) -> (String, Vec<u8>, [Option<Timestamp>; 5], i64) {
    let key = &row.key;
    let times = [Some(key.announced_at), key.signs_at, key.retires_at, key.gone_at, key.revoked_at];
    let text = format!("{} {} {:?}", key.kid, key.algorithm, key.public_jwk);
    (text, key.private_key.clone(), times, row.lifetime_max_s)
}

on_every_backend! {
    async fn an_event_is_stored_with_its_details(db: TestDatabase) {
        let store = db.store().await;
        append(&store, event(1, UserId(uuid(5)))).await.unwrap();
        let system = Event {
            actor: Actor::System, subject: Subject::Key("kid".into()), request_id: None, address: None,
            data: Map::new(), at: Timestamp::from_micros(-7), ..event(2, UserId(uuid(5)))
        };
        append(&store, system).await.unwrap();
        let mut raw = db.raw().await;
        let lines = raw.texts(
            "SELECT actor_kind || ' ' || COALESCE(actor_id, '-') || ' ' || action || ' ' || subject_kind || ' '
                    || subject_id || ' ' || COALESCE(request_id, '-') || ' ' || outcome FROM events ORDER BY id").await;
        let user = uuid(5).to_string();
        assert_eq!(lines, [format!("user {user} user.updated user {user} r-1 success"),
                           "system - user.updated key kid - success".into()]);
        let details = raw.texts((
            "SELECT COALESCE(address, '-') || data FROM event_details ORDER BY event_id",
            "SELECT COALESCE(address, '-') || REPLACE(data::text, ': ', ':') FROM event_details ORDER BY event_id")).await;
        assert_eq!(details, ["2001:db8::1{\"changed\":[\"profile.bio\"]}", "-{}"]);
        assert!(append(&store, event(1, UserId(uuid(5)))).await.is_err(), "an id twice");
        assert_eq!(db.count("SELECT COUNT(*) FROM event_details").await, 2);
    }

    async fn log_06_nobody_changes_or_removes_an_event(db: TestDatabase) {
        let store = db.store().await;
        append(&store, event(1, UserId(uuid(5)))).await.unwrap();
        let mut raw = db.raw().await;
        let attacks: [(&str, &str); 5] = [
            ("UPDATE events SET action = 'x'", "UPDATE events SET action = 'x'"),
            ("DELETE FROM events", "DELETE FROM events"),
            ("UPDATE events SET id = id", "TRUNCATE events CASCADE"),
            // REPLACE deletes the old row and fires no DELETE trigger.
            ("REPLACE INTO events SELECT id, at, actor_kind, actor_id, 'x', subject_kind, subject_id, request_id,
                                         outcome, details_hash FROM events",
             "INSERT INTO events SELECT * FROM events ON CONFLICT (id) DO UPDATE SET action = 'x'"),
            ("UPDATE OR REPLACE events SET action = 'x'", "DELETE FROM ONLY events"),
        ];
        for attack in attacks {
            let refused = raw.execute(attack).await;
            assert!(refused.is_err(), "{attack:?}");
        }
        assert_eq!(raw.texts("SELECT action FROM events").await, ["user.updated"]);
    }

    async fn log_10_an_erasure_forgets_the_details_of_all_that_somebody_did_or_that_was_done_to_them(db: TestDatabase) {
        let store = db.store().await;
        let (ann, bob) = (UserId(uuid(5)), UserId(uuid(6)));
        append(&store, event(1, ann)).await.unwrap();
        append(&store, Event { subject: Subject::User(bob), ..event(2, ann) }).await.unwrap();
        append(&store, Event { actor: Actor::Cli("root".into()), ..event(3, ann) }).await.unwrap();
        append(&store, event(4, bob)).await.unwrap();
        // Others who have the id of a user for a name.
        let id = ann.to_string();
        append(&store, Event { subject: Subject::Key(id.clone()), ..event(5, bob) }).await.unwrap();
        append(&store, Event { actor: Actor::Cli(id), ..event(6, bob) }).await.unwrap();
        let erased = store.write(ann, |tx, user| Box::pin(events::erase_details(tx, *user)));
        assert_eq!(erased.await.unwrap(), 3);
        let left = "SELECT COUNT(*) FROM event_details JOIN events ON events.id = event_details.event_id
                    WHERE (actor_kind = 'user' AND actor_id = (SELECT actor_id FROM events ORDER BY id LIMIT 1))
                       OR (subject_kind = 'user' AND subject_id = (SELECT subject_id FROM events ORDER BY id LIMIT 1))";
        assert_eq!(db.count(left).await, 0);
        assert_eq!(db.count("SELECT COUNT(*) FROM event_details").await, 3);
        assert_eq!(db.count("SELECT COUNT(*) FROM events").await, 6, "the events stay");
    }

    async fn keys_come_back_as_they_went_in_newest_first(db: TestDatabase) {
        let store = db.store().await;
        let insert = |row: KeyRow| {
            store.write(row, |tx, row| {
                Box::pin(async move {
                    signing_keys::lock(tx).await?;
                    signing_keys::insert(tx, row).await
                })
            })
        };
        let old = key("old", Timestamp::from_micros(-1));
        let signing = KeyRow { key: StoredKey { signs_at: Some(after(1)), ..key("b", NOW).key }, lifetime_max_s: 1 };
        assert!(insert(old.clone()).await.unwrap());
        assert!(insert(signing.clone()).await.unwrap());
        assert!(insert(key("a", NOW)).await.unwrap());
        assert!(!insert(KeyRow { lifetime_max_s: 5, ..key("a", after(7)) }).await.unwrap(), "known");
        let listed = signing_keys::list(&mut store.read_stale().await.unwrap()).await.unwrap();
        let expected = [key("a", NOW), signing.clone(), old.clone()];
        assert!(listed.iter().map(parts).eq(expected.iter().map(parts)));

        let times = KeyRow {
            key: StoredKey {
                signs_at: Some(after(2)), retires_at: Some(after(3)), gone_at: Some(after(4)),
                revoked_at: Some(after(5)), ..old.key
            },
            lifetime_max_s: 86_400,
        };
        store.write(times.clone(), |tx, row| Box::pin(signing_keys::set_times(tx, row))).await.unwrap();
        let listed = signing_keys::list(&mut store.read().await.unwrap()).await.unwrap();
        let expected = [key("a", NOW), signing, times];
        assert!(listed.iter().map(parts).eq(expected.iter().map(parts)));
    }
}
