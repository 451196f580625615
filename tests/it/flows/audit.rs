//! The audit trail and its chain: whole after thousands of changes at once, and no row of it changes unnoticed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis::app::App;
use portcullis::domain::event::{Action, Actor, Event, Subject};
use portcullis::domain::ids::{SessionId, UserId};
use portcullis::domain::session::Origin;
use portcullis::flows::Stamp;
use portcullis::flows::audit::{self, Expected, Verified, Wrong};
use portcullis::store::events;
use serde_json::{Map, json};
use tokio::task::JoinSet;

use crate::support::app::{Person, TestApp};

const DAY: Duration = Duration::from_hours(24);

/// An event with all its parts.
fn event(app: &App, user: UserId, n: u32) -> Event {
    let origin = Origin {
        address: format!("192.0.2.{}", n % 250),
        request_id: Some(format!("r-{n}")),
        ..Origin::default()
    };
    let stamp = Stamp::new(app, Actor::User(user), origin);
    let data = Map::from_iter([
        ("session_id".to_owned(), json!(SessionId(app.random.uuid(stamp.now)))),
        ("changed".to_owned(), json!(["profile.bio", "username", { "z": n, "a": null }])),
    ]);
    stamp.event(Action::UserUpdated, Subject::User(user), data).unwrap()
}

async fn append(app: &App, event: Event) {
    app.store.write(event, |tx, event| Box::pin(events::append(tx, event))).await.unwrap();
}

async fn happened(app: &App, count: u32) {
    let user = UserId(app.random.uuid(app.clock.now()));
    for n in 0..count {
        append(app, event(app, user, n)).await;
    }
}

async fn verify(app: &App) -> Verified {
    audit::verify(app, None).await.unwrap()
}

/// What is wrong, by place where it has one.
fn wrong(verified: &Verified) -> BTreeSet<String> {
    let line = |wrong: Wrong, seq: Option<i64>| format!("{wrong:?} {}", seq.unwrap_or(0));
    verified.findings.iter().map(|finding| line(finding.wrong, finding.seq)).collect()
}

/// Somebody with all rights over the database.
async fn unlock(app: &TestApp) {
    let postgres = "ALTER TABLE events DISABLE TRIGGER ALL; ALTER TABLE event_details DISABLE TRIGGER ALL;
                    ALTER TABLE event_chain DISABLE TRIGGER ALL; ALTER TABLE event_chain_root DISABLE TRIGGER ALL;";
    let mut raw = app.database.raw().await;
    let triggers = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
    let drops = if app.database.is_sqlite() {
        let names = raw.texts(triggers).await;
        format!("DROP TRIGGER {};", names.join("; DROP TRIGGER "))
    } else {
        postgres.to_owned()
    };
    raw.execute(&*drops.leak()).await.unwrap();
}

async fn tamper(app: &TestApp, statement: String) {
    assert!(app.database.execute(&*statement.leak()).await > 0);
}

const EVENT_AT: &str = "(SELECT event_id FROM event_chain WHERE seq = ";

on_every_backend! {
    async fn log_11_the_chain_is_whole_after_ten_thousand_changes_at_once_and_names_what_is_altered(db: TestDatabase) {
        const TASKS: u32 = 50;
        const EACH: u32 = 200;
        let app = TestApp::start(db).await;
        let other = app.another(&[]).await;
        let is_over = Arc::new(AtomicBool::new(false));
        // Two who close the chain at once, and one who verifies it meanwhile.
        let mut beside = JoinSet::new();
        for closer in [Arc::clone(&app.app), Arc::clone(&other)] {
            let is_over = Arc::clone(&is_over);
            beside.spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    audit::close(&closer).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                0
            });
        }
        let (watcher, over) = (Arc::clone(&other), Arc::clone(&is_over));
        beside.spawn(async move {
            let mut times = 0;
            while !over.load(Ordering::SeqCst) {
                let verified = verify(&watcher).await;
                assert_eq!(wrong(&verified), BTreeSet::new());
                times += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            times
        });
        let mut changes = JoinSet::new();
        for task in 0..TASKS {
            let instance = if task % 2 == 0 { Arc::clone(&app.app) } else { Arc::clone(&other) };
            changes.spawn(async move { happened(&instance, EACH).await });
        }
        changes.join_all().await;
        is_over.store(true, Ordering::SeqCst);
        let verifications: u32 = beside.join_all().await.into_iter().sum();
        assert!(verifications > 0);

        app.advance(Duration::from_mins(2));
        let verified = verify(&app.app).await;
        let expected = i64::from(TASKS * EACH) + app.database.count("SELECT COUNT(*) FROM events WHERE action LIKE 'key.%'").await;
        assert_eq!(wrong(&verified), BTreeSet::new());
        assert_eq!((i64::try_from(verified.entries).unwrap(), verified.head_seq), (expected, expected));
        assert_eq!((verified.erased, verified.removed), (0, 0));
        let distinct = "SELECT COUNT(DISTINCT event_id) - COUNT(DISTINCT prev_hash) FROM event_chain";
        assert_eq!(app.database.count(distinct).await, 0, "nothing follows two");

        unlock(&app).await;
        tamper(&app, format!("UPDATE events SET outcome = 'failure' WHERE id = {EVENT_AT}7000)")).await;
        tamper(&app, format!("DELETE FROM event_details WHERE event_id = {EVENT_AT}7001)")).await;
        tamper(&app, format!("DELETE FROM events WHERE id = {EVENT_AT}7001)")).await;
        let verified = verify(&other).await;
        assert_eq!(wrong(&verified), ["Altered 7000", "EventMissing 7001"].map(String::from).into());
        let named = app.database.raw().await.texts((
            "SELECT lower(hex(event_id)) FROM event_chain WHERE seq IN (7000, 7001) ORDER BY seq",
            "SELECT REPLACE(event_id::text, '-', '') FROM event_chain WHERE seq IN (7000, 7001) ORDER BY seq",
        )).await;
        let found: Vec<_> = verified.findings.iter().map(|it| it.event.unwrap().0.simple().to_string()).collect();
        assert_eq!(found, named);
    }

    async fn log_11_each_row_that_is_altered_removed_or_swapped_is_named(db: TestDatabase) {
        let app = TestApp::start(db).await;
        happened(&app.app, 20).await;
        let whole = verify(&app.app).await;
        assert_eq!((wrong(&whole), whole.entries), (BTreeSet::new(), whole.head_seq.unsigned_abs()));
        app.advance(Duration::from_mins(2));
        unlock(&app).await;
        for change in [
            "UPDATE events SET subject_id = 'x' WHERE id = 2",
            "UPDATE events SET request_id = NULL WHERE id = 3",
            "UPDATE events SET actor_id = 'x' WHERE id = 4",
            "UPDATE events SET at = (SELECT removed_before FROM event_chain_root) WHERE id = 5",
            "UPDATE events SET details_hash = (SELECT hash FROM event_chain WHERE seq = 1) WHERE id = 6",
            "UPDATE event_details SET address = '192.0.2.251' WHERE event_id = 7",
            "UPDATE event_details SET data = '[]' WHERE event_id = 8",
            "UPDATE event_details SET hash_key = NULL WHERE event_id = 9",
            // Erased: that is no fault.
            "DELETE FROM event_details WHERE event_id = 10",
        ] {
            let (before, n) = change.rsplit_once(' ').unwrap();
            tamper(&app, format!("{before} {EVENT_AT}{n})")).await;
        }
        // Two that change places.
        tamper(&app, "UPDATE event_chain SET seq = -12 WHERE seq = 12".into()).await;
        tamper(&app, "UPDATE event_chain SET seq = 12 WHERE seq = 13".into()).await;
        tamper(&app, "UPDATE event_chain SET seq = 13 WHERE seq = -12".into()).await;
        // An entry that is gone, and one whose hash somebody without the key made up.
        tamper(&app, "DELETE FROM event_chain WHERE seq = 16".into()).await;
        tamper(&app, "UPDATE event_chain SET hash = prev_hash WHERE seq = 18".into()).await;
        let verified = verify(&app.app).await;
        let expected = [
            "Altered 2", "Altered 3", "Altered 4", "Altered 5", "Altered 6", "DetailsAltered 6", "DetailsAltered 7",
            "DetailsAltered 8", "DetailsAltered 9", "Altered 12", "Unlinked 12", "Altered 13", "Unlinked 13",
            "Unlinked 14", "EntriesMissing 17", "Altered 18", "Unlinked 19", "Unchained 0",
        ];
        assert_eq!(wrong(&verified), expected.map(String::from).into());
        assert_eq!((verified.wrong, verified.erased), (18, 1));
        let unchained: Vec<_> = verified.findings.iter().filter(|it| it.wrong == Wrong::Unchained).collect();
        assert!(unchained.len() == 1 && unchained[0].event.is_some());
    }

    async fn log_11_an_event_that_never_came_into_the_chain_is_named_after_a_minute(db: TestDatabase) {
        let app = TestApp::start(db).await;
        happened(&app.app, 3).await;
        tamper(&app, "DELETE FROM events_unchained".into()).await;
        happened(&app.app, 1).await;
        let verified = verify(&app.app).await;
        assert_eq!((wrong(&verified), verified.entries), (BTreeSet::new(), 1), "it may still come");
        app.advance(Duration::from_mins(1));
        let verified = verify(&app.app).await;
        assert_eq!(wrong(&verified), ["Unchained 0".to_owned()].into());
        assert!(verified.wrong > 3, "the keys of the service too");
    }

    async fn log_11_a_forged_or_lost_root_is_named_and_no_other_chain_begins(db: TestDatabase) {
        let app = TestApp::start(db).await;
        happened(&app.app, 5).await;
        verify(&app.app).await;
        unlock(&app).await;
        // Somebody who hides the first entries, as the retention would.
        tamper(&app, "UPDATE event_chain_root SET seq = 3, hash = (SELECT hash FROM event_chain WHERE seq = 3)".into()).await;
        tamper(&app, "DELETE FROM event_chain WHERE seq <= 3".into()).await;
        assert!(wrong(&verify(&app.app).await).contains("Root 0"));
        tamper(&app, "DELETE FROM event_chain_root".into()).await;
        assert!(wrong(&verify(&app.app).await).contains("Root 0"));
        happened(&app.app, 1).await;
        assert_eq!(wrong(&verify(&app.app).await), ["Root 0".to_owned()].into());
        assert_eq!(app.database.count("SELECT COUNT(*) FROM event_chain_root").await, 0);
    }

    async fn log_11_an_end_that_was_cut_off_is_told_by_a_head_that_was_noted(db: TestDatabase) {
        let app = TestApp::start(db).await;
        happened(&app.app, 5).await;
        let whole = verify(&app.app).await;
        let noted = Expected { seq: whole.head_seq, hash: whole.head_hash.clone() };
        happened(&app.app, 2).await;
        let verified = audit::verify(&app.app, Some(&noted)).await.unwrap();
        assert_eq!((wrong(&verified), verified.head_seq), (BTreeSet::new(), noted.seq + 2));
        unlock(&app).await;
        let cut = noted.seq - 1;
        for table in ["event_details WHERE event_id", "events WHERE id"] {
            tamper(&app, format!("DELETE FROM {table} IN (SELECT event_id FROM event_chain WHERE seq >= {cut})")).await;
        }
        tamper(&app, format!("DELETE FROM event_chain WHERE seq >= {cut}")).await;
        assert_eq!(wrong(&verify(&app.app).await), BTreeSet::new(), "what is left is whole");
        let verified = audit::verify(&app.app, Some(&noted)).await.unwrap();
        assert_eq!(wrong(&verified), [format!("NotExpected {}", noted.seq)].into());
        // Other events in their places.
        let user = UserId(app.app.random.uuid(app.app.clock.now()));
        if app.database.is_sqlite() {
            app.database.execute("CREATE TRIGGER events_await_chain AFTER INSERT ON events
                                  BEGIN INSERT INTO events_unchained (event_id) VALUES (NEW.id); END").await;
        } else {
            app.database.execute("ALTER TABLE events ENABLE TRIGGER events_await_chain").await;
        }
        for n in 0..5 {
            append(&app.app, event(&app.app, user, n)).await;
        }
        let verified = audit::verify(&app.app, Some(&noted)).await.unwrap();
        assert_eq!(wrong(&verified), [format!("NotExpected {}", noted.seq)].into());
    }

    async fn log_10_an_erasure_leaves_the_chain_valid(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let tokens = app.register(&Person::new("ann@example.org")).await;
        let ann = app.authenticate(&tokens.access_token).await.unwrap().user.id;
        app.register(&Person::new("bob@example.org")).await;
        let before = verify(&app.app).await;
        assert_eq!((wrong(&before), before.erased), (BTreeSet::new(), 0));
        let erased = app.app.store.write(ann, |tx, user| Box::pin(events::erase_details(tx, *user)));
        let erased = erased.await.unwrap();
        assert!(erased >= 3);
        let after = verify(&app.app).await;
        assert_eq!((wrong(&after), after.erased, after.head_hash), (BTreeSet::new(), erased, before.head_hash));
    }

    async fn log_10_the_retention_removes_what_is_old_and_the_chain_goes_on(db: TestDatabase) {
        let app = TestApp::start_with(db, &[("AUDIT__RETENTION", "30d")]).await;
        happened(&app.app, 450).await;
        app.advance(DAY * 20);
        happened(&app.app, 3).await;
        let before = verify(&app.app).await;
        let old = before.head_seq - 3;
        assert!(!audit::remove_old(&app.app).await.unwrap(), "nothing is old enough");
        app.advance(DAY * 10 + Duration::from_secs(1));
        happened(&app.app, 1).await;
        let mut batches = 1;
        while audit::remove_old(&app.app).await.unwrap() {
            batches += 1;
            assert_eq!(wrong(&verify(&app.app).await), BTreeSet::new());
        }
        assert_eq!(batches, 3, "small ones");
        let after = verify(&app.app).await;
        assert_eq!((wrong(&after), after.entries, after.removed), (BTreeSet::new(), 4, old));
        assert_eq!(app.database.count("SELECT COUNT(*) FROM events").await, 4);
        assert_eq!(app.database.count("SELECT COUNT(*) FROM event_details").await, 4);
        app.advance(DAY * 40);
        while audit::remove_old(&app.app).await.unwrap() {}
        assert_eq!(app.database.count("SELECT COUNT(*) FROM events").await, 0);
        happened(&app.app, 2).await;
        let after = verify(&app.app).await;
        assert_eq!((wrong(&after), after.entries, after.head_seq), (BTreeSet::new(), 2, old + 6));
    }

    async fn log_10_what_was_tampered_with_is_not_removed(db: TestDatabase) {
        let app = TestApp::start_with(db, &[("AUDIT__RETENTION", "30d")]).await;
        happened(&app.app, 9).await;
        verify(&app.app).await;
        unlock(&app).await;
        tamper(&app, format!("UPDATE events SET outcome = 'failure' WHERE id = {EVENT_AT}5)")).await;
        app.advance(DAY * 31);
        let refused = audit::remove_old(&app.app).await.unwrap_err().to_string();
        assert!(refused.contains("seq 5, event "), "{refused}");
        assert_eq!(wrong(&verify(&app.app).await), ["Altered 5".to_owned()].into());
        tamper(&app, "UPDATE event_chain_root SET seq = 4, hash = (SELECT hash FROM event_chain WHERE seq = 4)".into()).await;
        assert!(audit::remove_old(&app.app).await.is_err(), "a forged root is not moved on");
        assert_eq!(app.database.count("SELECT seq FROM event_chain_root").await, 4);
    }

    async fn log_10_without_a_retention_the_trail_stays(db: TestDatabase) {
        let app = TestApp::start(db).await;
        happened(&app.app, 3).await;
        verify(&app.app).await;
        app.advance(DAY * 3650);
        assert!(!audit::remove_old(&app.app).await.unwrap());
        assert_eq!(app.database.count("SELECT COUNT(*) FROM event_chain").await, verify(&app.app).await.head_seq);
    }

    async fn cfg_13_a_new_master_key_verifies_and_goes_on_with_the_old_chain(db: TestDatabase) {
        let app = TestApp::start(db).await;
        happened(&app.app, 3).await;
        let before = verify(&app.app).await;
        let old = "yhGpPW5zVLDMCvJ+YkE1rN3qQ0bSx7fTuAi2hRmZdOw=";
        let new = "q3VvY0pWbGd5c0xUa1F1eWJ3aXhOZHJmYmhzYWtqZ2U=";
        let rotated = app.another(&[("MASTER_KEY", new), ("PREVIOUS_MASTER_KEYS", old)]).await;
        happened(&rotated, 2).await;
        let after = verify(&rotated).await;
        assert_eq!((wrong(&after), after.head_seq), (BTreeSet::new(), before.head_seq + 2));
        assert_eq!(wrong(&verify(&app.app).await), BTreeSet::new(), "for the instance with the old one too");
    }
}
