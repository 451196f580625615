//! The contract of `sessions`: a session begins only while all that was checked is true, and ends once.

use portcullis::domain::ids::{SessionId, UserId};
use portcullis::domain::session::{EndReason, Session};
use portcullis::domain::signup::EmailVerification;
use portcullis::domain::time::Timestamp;
use portcullis::store::{Store, sessions};

use crate::support::rows::{
    NOW, after, insert_user, open, pending_user, session, uuid, verified_user,
};

const ANN: UserId = UserId(uuid::Uuid::from_u128(1));
const BEN: UserId = UserId(uuid::Uuid::from_u128(2));

async fn insert(store: &Store, session: Session, set_at: Timestamp) -> bool {
    let inserted = store.write((session, set_at), |tx, (session, set_at)| {
        Box::pin(sessions::insert_if_current(tx, session, *set_at, EmailVerification::Required))
    });
    inserted.await.unwrap()
}

async fn live(store: &Store, user: UserId, now: Timestamp) -> Vec<u128> {
    let mut reader = store.read().await.unwrap();
    let start = (after(1_000_000), SessionId(uuid(u128::MAX)));
    let found = sessions::list_live(&mut reader, user, now, start, 100).await.unwrap();
    found.iter().map(|session| session.id.0.as_u128()).collect()
}

on_every_backend! {
    async fn a_session_comes_back_as_it_went_in(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        let new = session(10, ANN, after(1));
        assert!(insert(&store, new.clone(), NOW).await);
        let bare = Session { user_agent: None, address: String::new(), ..session(11, ANN, Timestamp::from_micros(-1)) };
        assert!(insert(&store, bare.clone(), NOW).await);
        let mut reader = store.read().await.unwrap();
        let start = (after(1_000_000), SessionId(uuid(0)));
        let found = sessions::list_live(&mut reader, ANN, Timestamp::from_micros(-5), start, 10).await;
        assert_eq!(found.unwrap(), [new, bare]);
        assert_eq!(db.count(("SELECT COUNT(*) FROM sessions WHERE amr = '[\"pwd\"]'",
                             "SELECT COUNT(*) FROM sessions WHERE amr = '[\"pwd\"]'::jsonb")).await, 2);
    }

    async fn ses_09_a_session_begins_only_while_what_was_checked_is_true(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        insert_user(&store, &pending_user(2)).await;
        assert!(!insert(&store, session(10, ANN, NOW), after(1)).await, "another password");
        assert!(!insert(&store, session(10, BEN, NOW), NOW).await, "not verified");
        assert!(!insert(&store, session(10, UserId(uuid(3)), NOW), NOW).await, "nobody");
        db.execute("UPDATE users SET suspended_at = created_at").await;
        assert!(!insert(&store, session(10, ANN, NOW), NOW).await, "suspended");
        db.execute("UPDATE users SET suspended_at = NULL, deleted_at = created_at").await;
        assert!(!insert(&store, session(10, ANN, NOW), NOW).await, "deleted");
        db.execute("UPDATE users SET deleted_at = NULL").await;
        assert_eq!(db.count("SELECT COUNT(*) FROM sessions").await, 0);
        assert!(insert(&store, session(10, ANN, NOW), NOW).await);
        db.execute("DELETE FROM password_credentials").await;
        assert!(!insert(&store, session(11, ANN, NOW), NOW).await, "no credential");
    }

    async fn a_signed_in_user_is_found_while_the_session_lives(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        open(&store, &session(10, ANN, after(5)), 1).await;
        let mut reader = store.read().await.unwrap();
        let id = SessionId(uuid(10));
        let found = sessions::find_signed_in(&mut reader, id, after(6)).await.unwrap().unwrap();
        assert_eq!((found.session_id, found.user.id, found.session_auth_time), (id, ANN, after(5)));
        // SES-06: idle for an hour is over, long before the absolute end.
        let late = after(5 + 3600 - 1);
        assert!(sessions::find_signed_in(&mut reader, id, late).await.unwrap().is_some());
        let end = after(5 + 3600);
        assert!(sessions::find_signed_in(&mut reader, id, end).await.unwrap().is_none());
        let other = SessionId(uuid(11));
        assert!(sessions::find_signed_in(&mut reader, other, NOW).await.unwrap().is_none());
    }

    async fn a_login_is_noted_on_the_user_and_is_no_new_version(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        store.write((), |tx, ()| Box::pin(sessions::touch_user(tx, ANN, after(3)))).await.unwrap();
        let mut reader = store.read().await.unwrap();
        let user = portcullis::store::users::find(&mut reader, ANN).await.unwrap().unwrap();
        assert_eq!((user.last_login_at, user.version, user.updated_at), (Some(after(3)), 1, NOW));
    }

    async fn a_page_of_sessions_has_each_live_one_once(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        insert_user(&store, &verified_user(2)).await;
        for n in 10..15 {
            open(&store, &session(n, ANN, NOW), u8::try_from(n).unwrap()).await;
        }
        open(&store, &session(20, BEN, NOW), 20).await;
        let (mut place, mut seen) = ((after(1), SessionId(uuid(0))), Vec::new());
        let mut reader = store.read().await.unwrap();
        loop {
            let page = sessions::list_live(&mut reader, ANN, NOW, place, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            place = (last.created_at, last.id);
            seen.extend(page.iter().map(|session| session.id.0.as_u128()));
        }
        assert_eq!(seen, [14, 13, 12, 11, 10]);
        assert_eq!(sessions::count_live(&mut reader, ANN, NOW).await.unwrap(), 5);
        assert_eq!(sessions::count_live(&mut reader, ANN, after(3600)).await.unwrap(), 0);
        assert_eq!(live(&store, ANN, after(3600)).await, [0; 0], "at its end a session is over");
    }

    async fn a_session_ends_once_and_for_its_own_user(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        insert_user(&store, &verified_user(2)).await;
        for n in 10..14 {
            open(&store, &session(n, ANN, NOW), u8::try_from(n).unwrap()).await;
        }
        open(&store, &session(20, BEN, NOW), 20).await;
        let end = |n: u128, at: u64| {
            store.write((SessionId(uuid(n)), after(at)), |tx, (id, at)| {
                Box::pin(sessions::end(tx, *id, *at, EndReason::Logout))
            })
        };
        assert_eq!(end(10, 1).await.unwrap(), Some(ANN));
        assert_eq!(end(10, 2).await.unwrap(), None, "ended already");
        assert_eq!(end(99, 2).await.unwrap(), None, "no such session");
        assert_eq!(end(11, 3600).await.unwrap(), None, "over by itself");

        let end_of = |n: u128, user: UserId, at: u64| {
            store.write((SessionId(uuid(n)), user, after(at)), |tx, (id, user, at)| {
                Box::pin(sessions::end_of_user(tx, *id, *user, *at, EndReason::Ended))
            })
        };
        assert!(!end_of(11, BEN, 1).await.unwrap(), "AUZ-03: somebody else's");
        assert!(!end_of(11, ANN, 3600).await.unwrap());
        assert!(end_of(11, ANN, 1).await.unwrap());
        assert!(!end_of(11, ANN, 1).await.unwrap());

        let others = store.write((), |tx, ()| {
            Box::pin(sessions::end_others(tx, ANN, SessionId(uuid(12)), after(2), EndReason::Ended))
        });
        assert_eq!(others.await.unwrap(), [SessionId(uuid(13))]);
        assert_eq!((live(&store, ANN, after(2)).await, live(&store, BEN, after(2)).await), (vec![12], vec![20]));
        let mut raw = db.raw().await;
        let reasons = raw.texts("SELECT end_reason FROM sessions WHERE end_reason IS NOT NULL ORDER BY id").await;
        assert_eq!(reasons, ["logout", "ended", "ended"]);
    }

    async fn ses_06_the_nearer_end_moves_and_not_after_the_end(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        open(&store, &session(10, ANN, NOW), 1).await;
        let moved = || {
            store.write((), |tx, ()| {
                Box::pin(sessions::move_expiry(tx, SessionId(uuid(10)), after(10), after(5000)))
            })
        };
        assert!(moved().await.unwrap());
        let mut reader = store.read().await.unwrap();
        let start = (after(1), SessionId(uuid(0)));
        let found = sessions::list_live(&mut reader, ANN, after(4000), start, 2).await.unwrap();
        assert_eq!((found[0].last_used_at, found[0].expires_at), (after(10), after(5000)));
        assert_eq!(found[0].absolute_expires_at, after(86_400));
        let ended = store.write((), |tx, ()| {
            Box::pin(sessions::end(tx, SessionId(uuid(10)), after(11), EndReason::Reuse))
        });
        assert_eq!(ended.await.unwrap(), Some(ANN));
        assert!(!moved().await.unwrap(), "what ended does not live again");
    }

    async fn ses_09_what_is_barred_while_a_session_begins_wins(db: TestDatabase) {
        let store = db.store().await;
        for (n, change) in [
            (1, "UPDATE users SET suspended_at = created_at"),
            (2, "UPDATE users SET deleted_at = created_at"),
            (3, "UPDATE password_credentials SET set_at = (SELECT updated_at FROM users LIMIT 1)"),
        ] {
            insert_user(&store, &verified_user(n)).await;
            let user = UserId(uuid(n));
            db.execute("UPDATE users SET suspended_at = NULL, deleted_at = NULL").await;
            db.execute(("UPDATE users SET updated_at = updated_at + 1",
                        "UPDATE users SET updated_at = updated_at + interval '1 second'")).await;
            let mut other = db.raw().await;
            other.execute(("BEGIN IMMEDIATE", "BEGIN")).await.unwrap();
            other.execute(change).await.unwrap();
            let (opening, racing) = (store.clone(), session(10 + n, user, NOW));
            let begun = tokio::spawn(async move { insert(&opening, racing, NOW).await });
            // It waits for the other, or has gone past it.
            while !db.is_sqlite() && !begun.is_finished() && db.count(WAITING).await == 0 {
                tokio::task::yield_now().await;
            }
            other.execute("COMMIT").await.unwrap();
            assert!(!begun.await.unwrap(), "{change}");
        }
        assert_eq!(db.count("SELECT COUNT(*) FROM sessions").await, 0);
    }
}

const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'";
