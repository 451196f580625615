//! The contract of `one_time_tokens` and `refresh_tokens`: spent once, and at most one live refresh token a session.

use portcullis::domain::ids::{SessionId, UserId};
use portcullis::domain::session::EndReason;
use portcullis::domain::time::Timestamp;
use portcullis::domain::token::TokenDigest;
use portcullis::store::one_time_tokens::{self, NewOneTimeToken, Purpose};
use portcullis::store::refresh_tokens::{self, NewRefreshToken, Presented};
use portcullis::store::{Store, sessions, users};

use crate::support::rows::{
    NOW, after, digest, hash, insert_user, open, pending_user, session, verified_user,
};

const ANN: UserId = UserId(uuid::Uuid::from_u128(1));
const SESSION: SessionId = SessionId(uuid::Uuid::from_u128(10));
const PROVE: Purpose = Purpose::EmailVerification;

fn verification(n: u8) -> NewOneTimeToken {
    NewOneTimeToken {
        digest: digest(n),
        user_id: ANN,
        purpose: PROVE,
        bound_to: format!("user{n}@example.org"),
        created_at: NOW,
        expires_at: after(100),
        credential_set_at: None,
    }
}

async fn replace(store: &Store, n: u8) {
    let token = NewOneTimeToken { bound_to: "user1@example.org".into(), ..verification(n) };
    let replaced =
        store.write(token, |tx, token| Box::pin(one_time_tokens::replace(tx, token))).await;
    replaced.unwrap();
}

async fn is_live(store: &Store, n: u8, now: Timestamp) -> bool {
    let mut reader = store.read().await.unwrap();
    let found = one_time_tokens::find_live(&mut reader, &digest(n), PROVE, now).await;
    found.unwrap().is_some()
}

async fn spend_once(store: &Store, n: u8, now: Timestamp) -> bool {
    let spent = store.write((digest(n), now), |tx, (digest, now)| {
        Box::pin(one_time_tokens::spend(tx, digest, PROVE, *now))
    });
    spent.await.unwrap()
}

async fn present(store: &Store, n: u8) -> Option<Presented> {
    let found =
        store.write(digest(n), |tx, digest| Box::pin(refresh_tokens::lock_presented(tx, digest)));
    found.await.unwrap()
}

/// Spends `n` as it was found, with `next` for a sealed successor.
async fn spend(store: &Store, n: u8, found: &Presented, next: &'static [u8]) -> bool {
    let spent = store.write((digest(n), found.clone(), next), |tx, (digest, found, next)| {
        Box::pin(refresh_tokens::spend(tx, digest, found, after(1), next))
    });
    spent.await.unwrap()
}

async fn insert(store: &Store, n: u8, generation: i64) -> bool {
    let token = NewRefreshToken {
        digest: digest(n),
        session_id: SESSION,
        generation,
        created_at: NOW,
        expires_at: after(50),
    };
    store.write(token, |tx, token| Box::pin(refresh_tokens::insert(tx, token))).await.is_ok()
}

async fn insert_next(store: &Store, n: u8, generation: i64) -> bool {
    let token = NewRefreshToken {
        digest: digest(n),
        session_id: SESSION,
        generation,
        created_at: after(10),
        expires_at: after(5000),
    };
    let inserted =
        store.write(token, |tx, token| Box::pin(refresh_tokens::insert_next(tx, token))).await;
    inserted.unwrap()
}

on_every_backend! {
    async fn ses_22_one_time_tokens_that_ended_leave_in_batches_and_no_others(db: TestDatabase) {
        let store = db.store().await;
        for n in 1..=4 {
            insert_user(&store, &pending_user(n)).await;
            let token = NewOneTimeToken {
                user_id: UserId(uuid::Uuid::from_u128(n)),
                expires_at: after(if n == 4 { 101 } else { 100 }),
                ..verification(u8::try_from(n).unwrap())
            };
            store.write(token, |tx, token| Box::pin(one_time_tokens::replace(tx, token))).await.unwrap();
        }
        let sweep = async |before: Timestamp| {
            let swept = store.write(before, |tx, before| {
                Box::pin(one_time_tokens::delete_expired(tx, *before, 2))
            });
            swept.await.unwrap()
        };
        assert_eq!(sweep(after(99)).await, 0);
        assert_eq!((sweep(after(100)).await, sweep(after(100)).await, sweep(after(100)).await), (2, 1, 0));
        assert!(is_live(&store, 4, after(100)).await);
    }

    async fn ses_22_the_tokens_of_a_session_leave_before_it(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        for n in [10, 11, 12] {
            open(&store, &session(n, ANN, NOW), u8::try_from(n).unwrap()).await;
        }
        db.execute("UPDATE refresh_tokens SET used_at = created_at").await;
        assert!(insert(&store, 20, 1).await);
        let end = after(24 * 3600);
        let ended = store.write(SessionId(uuid::Uuid::from_u128(11)), |tx, session| {
            Box::pin(sessions::end(tx, *session, after(100), EndReason::Logout))
        });
        ended.await.unwrap().unwrap();
        let dead = async |before: Timestamp| {
            let mut db = store.read().await.unwrap();
            let mut dead = sessions::list_dead(&mut db, before, 10).await.unwrap();
            dead.sort();
            dead.iter().map(|session| session.0.as_u128()).collect::<Vec<_>>()
        };
        assert_eq!(dead(after(99)).await, [0; 0]);
        assert_eq!(dead(after(100)).await, [11]);
        assert_eq!(dead(after(24 * 3600 - 1)).await, [11], "idle for long, but not at its absolute end");
        assert_eq!(dead(end).await, [10, 11, 12]);
        let delete_tokens = async || {
            let deleted = store.write((), |tx, ()| {
                Box::pin(refresh_tokens::delete_of_session(tx, SESSION, 1))
            });
            deleted.await.unwrap()
        };
        let delete = async |before: Timestamp| {
            store.write(before, |tx, before| Box::pin(sessions::delete_dead(tx, SESSION, *before))).await
        };
        assert!(delete(end).await.is_err(), "its tokens are there");
        assert_eq!((delete_tokens().await, delete_tokens().await, delete_tokens().await), (1, 1, 0));
        assert!(!delete(after(24 * 3600 - 1)).await.unwrap(), "not dead");
        assert!(delete(end).await.unwrap());
        assert!(!delete(end).await.unwrap(), "gone");
        assert_eq!(db.count("SELECT COUNT(*) FROM sessions").await, 2);
        assert_eq!(db.count("SELECT COUNT(*) FROM refresh_tokens").await, 2, "those of others stay");
    }

    async fn eml_04_a_one_time_token_is_spent_once(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &pending_user(1)).await;
        replace(&store, 1).await;
        let mut reader = store.read().await.unwrap();
        let holder = one_time_tokens::find_live(&mut reader, &digest(1), PROVE, after(99)).await;
        let holder = holder.unwrap().unwrap();
        assert_eq!((holder.user.id, holder.hash, holder.set_at), (ANN, Some(hash("first")), Some(NOW)));
        assert!(!is_live(&store, 2, NOW).await, "unknown");
        assert!(!is_live(&store, 1, after(100)).await, "over");
        assert!(!spend_once(&store, 1, after(100)).await, "over");
        assert!(!spend_once(&store, 2, NOW).await, "unknown");
        assert!(spend_once(&store, 1, after(99)).await);
        assert!(!spend_once(&store, 1, after(99)).await, "spent");
        assert!(!is_live(&store, 1, NOW).await, "spent");
    }

    async fn eml_05_a_token_proves_the_address_that_it_was_sent_to(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &pending_user(1)).await;
        replace(&store, 1).await;
        db.execute("UPDATE users SET email_canonical = 'other@example.org'").await;
        assert!(!is_live(&store, 1, NOW).await);
        assert!(!spend_once(&store, 1, NOW).await);
        db.execute("UPDATE users SET email_canonical = 'user1@example.org'").await;
        db.execute("UPDATE one_time_tokens SET purpose = 'password_reset'").await;
        assert!(!is_live(&store, 1, NOW).await, "for something else");
        assert!(!spend_once(&store, 1, NOW).await, "for something else");
    }

    async fn eml_06_a_new_token_voids_the_older_one(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &pending_user(1)).await;
        replace(&store, 1).await;
        assert!(spend_once(&store, 1, NOW).await);
        replace(&store, 2).await;
        replace(&store, 3).await;
        assert!(!spend_once(&store, 2, NOW).await);
        assert!(is_live(&store, 3, NOW).await);
        assert_eq!(db.count("SELECT COUNT(*) FROM one_time_tokens").await, 2, "a spent one stays as such");
    }

    async fn a_holder_without_a_credential_is_found_without_one(db: TestDatabase) {
        let store = db.store().await;
        let user = pending_user(1);
        assert!(store.write(user, |tx, user| Box::pin(users::insert(tx, user))).await.unwrap());
        replace(&store, 1).await;
        let mut reader = store.read().await.unwrap();
        let holder = one_time_tokens::find_live(&mut reader, &digest(1), PROVE, NOW).await.unwrap();
        let holder = holder.unwrap();
        assert_eq!((holder.hash, holder.set_at), (None, None));
    }

    async fn a_presented_token_comes_with_its_session_and_user(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        open(&store, &session(10, ANN, NOW), 1).await;
        let found = present(&store, 1).await.unwrap();
        assert_eq!((found.session_id, found.generation, found.user.id), (SESSION, 0, ANN));
        assert_eq!((found.used_at, found.successor, found.ended_at), (None, None, None));
        assert_eq!((found.token_expires_at, found.session_expires_at), (after(3600), after(3600)));
        assert_eq!((found.absolute_expires_at, found.auth_time), (after(86_400), NOW));
        assert_eq!((found.audience.as_str(), found.must_change), ("portcullis", false));
        db.execute("UPDATE password_credentials SET must_change = TRUE").await;
        assert!(present(&store, 1).await.unwrap().must_change);
        assert!(present(&store, 2).await.is_none());
        let mut reader = store.read().await.unwrap();
        let of = refresh_tokens::find_session(&mut reader, &digest(1)).await.unwrap();
        assert_eq!(of, Some(SESSION));
        let none = refresh_tokens::find_session(&mut reader, &TokenDigest(vec![0; 32])).await;
        assert_eq!(none.unwrap(), None);
    }

    async fn ses_06_the_next_token_moves_the_end_of_its_session_and_not_after_it_ended(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        open(&store, &session(10, ANN, NOW), 1).await;
        let first = present(&store, 1).await.unwrap();
        assert!(spend(&store, 1, &first, b"sealed 2").await);
        assert!(insert_next(&store, 2, 1).await);
        let second = present(&store, 2).await.unwrap();
        assert_eq!((second.generation, second.token_expires_at), (1, after(5000)));
        assert_eq!((second.session_expires_at, second.absolute_expires_at), (after(5000), after(86_400)));
        let mut raw = db.raw().await;
        assert_eq!(raw.count("SELECT COUNT(*) FROM sessions WHERE last_used_at > created_at").await, 1);

        assert!(spend(&store, 2, &second, b"sealed 3").await);
        let end = store.write((), |tx, ()| {
            Box::pin(sessions::end(tx, SESSION, after(20), EndReason::Logout))
        });
        assert_eq!(end.await.unwrap(), Some(ANN));
        assert!(!insert_next(&store, 3, 2).await, "what ended does not live again");
        assert!(present(&store, 3).await.is_none());
    }

    async fn ses_04_only_the_parent_of_the_live_token_keeps_its_successor(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        open(&store, &session(10, ANN, NOW), 1).await;
        let first = present(&store, 1).await.unwrap();
        assert!(!insert(&store, 2, 1).await, "a second live token");
        assert!(spend(&store, 1, &first, b"sealed 2").await);
        assert!(!spend(&store, 1, &first, b"sealed x").await, "SES-05: spent meanwhile");
        assert!(insert(&store, 2, 1).await);
        let parent = present(&store, 1).await.unwrap();
        assert_eq!((parent.successor.as_deref(), parent.used_at), (Some(&b"sealed 2"[..]), Some(after(1))));

        let second = present(&store, 2).await.unwrap();
        assert!(spend(&store, 2, &second, b"sealed 3").await);
        assert!(insert(&store, 3, 2).await);
        assert_eq!(present(&store, 1).await.unwrap().successor, None, "the grandparent forgets");
        assert_eq!(present(&store, 2).await.unwrap().successor.as_deref(), Some(&b"sealed 3"[..]));
        assert!(!insert(&store, 4, 2).await, "a second token of a generation");
        assert!(!insert(&store, 3, 3).await, "a digest twice");
        assert_eq!(db.count("SELECT COUNT(*) FROM refresh_tokens WHERE used_at IS NULL").await, 1);
    }
}
