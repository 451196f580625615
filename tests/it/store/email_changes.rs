//! The contract of `email_changes`, and of the tokens that hang on a wish.

use portcullis::domain::ids::{SessionId, UserId};
use portcullis::domain::time::Timestamp;
use portcullis::store::email_changes::{self, EmailChange};
use portcullis::store::one_time_tokens::{self, NewOneTimeToken, Purpose};
use portcullis::store::{Store, sessions, users};

use crate::support::rows::{
    NOW, after, digest, insert_user, object, open, pending_user, session, uuid, verified_user,
};

const ANN: UserId = UserId(uuid::Uuid::from_u128(1));

fn wish(email: &str) -> EmailChange {
    EmailChange {
        email: email.to_uppercase(),
        email_canonical: email.to_owned(),
        session_id: SessionId(uuid(10)),
        requested_at: NOW,
        expires_at: after(100),
    }
}

async fn set(store: &Store, email: &str) {
    let set = store.write(wish(email), |tx, wish| Box::pin(email_changes::set(tx, ANN, wish)));
    set.await.unwrap();
}

async fn take(store: &Store, now: Timestamp) -> Option<EmailChange> {
    store.write(now, |tx, now| Box::pin(email_changes::take(tx, ANN, *now))).await.unwrap()
}

async fn spend(store: &Store, now: Timestamp) -> bool {
    let spent = store.write(now, |tx, now| {
        Box::pin(
            async move { one_time_tokens::spend(tx, &digest(1), Purpose::EmailChange, *now).await },
        )
    });
    spent.await.unwrap()
}

async fn is_live(store: &Store, now: Timestamp) -> bool {
    let mut reader = store.read().await.unwrap();
    let digest = digest(1);
    let found = one_time_tokens::find_live(&mut reader, &digest, Purpose::EmailChange, now);
    found.await.unwrap().is_some()
}

on_every_backend! {
    async fn eml_12_a_user_has_one_wish_that_is_taken_once(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        assert_eq!(take(&store, NOW).await, None);
        set(&store, "first@example.org").await;
        set(&store, "second@example.org").await;
        assert_eq!(take(&store, after(100)).await, None, "over");
        assert_eq!(take(&store, after(99)).await, Some(wish("second@example.org")));
        assert_eq!(take(&store, NOW).await, None);
    }

    async fn wishes_that_ended_leave(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        set(&store, "first@example.org").await;
        let sweep = |now: Timestamp| store.write(now, |tx, now| {
            Box::pin(email_changes::delete_expired(tx, *now, 10))
        });
        assert_eq!(sweep(after(99)).await.unwrap(), 0);
        assert_eq!(sweep(after(100)).await.unwrap(), 1);
        assert_eq!(sweep(after(100)).await.unwrap(), 0);
    }

    async fn eml_05_a_move_is_bound_to_the_wish_and_to_the_credential(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        let token = NewOneTimeToken {
            digest: digest(1),
            user_id: ANN,
            purpose: Purpose::EmailChange,
            bound_to: "new@example.org".into(),
            created_at: NOW,
            expires_at: after(200),
            credential_set_at: Some(NOW),
        };
        store.write(token, |tx, token| Box::pin(one_time_tokens::replace(tx, token))).await.unwrap();
        assert!(!is_live(&store, NOW).await && !spend(&store, NOW).await, "no wish");
        set(&store, "other@example.org").await;
        assert!(!is_live(&store, NOW).await && !spend(&store, NOW).await, "another wish");
        set(&store, "new@example.org").await;
        assert!(is_live(&store, after(99)).await);
        assert!(!is_live(&store, after(100)).await && !spend(&store, after(100)).await, "the wish is over");
        db.execute(("UPDATE password_credentials SET set_at = set_at + 1",
                    "UPDATE password_credentials SET set_at = set_at + interval '1 second'")).await;
        assert!(!is_live(&store, NOW).await && !spend(&store, NOW).await, "another password");
        db.execute(("UPDATE password_credentials SET set_at = set_at - 1",
                    "UPDATE password_credentials SET set_at = set_at - interval '1 second'")).await;
        assert!(spend(&store, NOW).await);
        assert!(!spend(&store, NOW).await, "once");
    }

    async fn an_account_moves_or_is_proven_unless_it_is_barred(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        insert_user(&store, &pending_user(2)).await;
        let move_to = |email: &'static str| store.write(email, |tx, email| {
            Box::pin(users::move_email(tx, ANN, ("New@Example.org", email), after(5)))
        });
        assert!(move_to("new@example.org").await.unwrap());
        let mut reader = store.read().await.unwrap();
        let moved = users::find(&mut reader, ANN).await.unwrap().unwrap();
        assert_eq!((moved.email.as_str(), moved.email_canonical.as_str()), ("New@Example.org", "new@example.org"));
        assert_eq!((moved.email_verified_at, moved.version), (Some(after(5)), 2));
        assert!(move_to("user2@example.org").await.is_err(), "somebody has it");
        let prove = |n: u128| store.write(n, |tx, n| {
            Box::pin(async move {
                let profile = object(serde_json::json!({ "bio": "kept" }));
                users::prove_mailbox(tx, UserId(uuid(*n)), after(6), &profile).await
            })
        });
        assert!(!prove(1).await.unwrap(), "it is proven");
        assert!(prove(2).await.unwrap());
        let proven = users::find(&mut reader, UserId(uuid(2))).await.unwrap().unwrap();
        assert_eq!((proven.username, proven.pending_since, proven.version), (None, None, 2));
        assert_eq!(serde_json::Value::Object(proven.profile), serde_json::json!({ "bio": "kept" }));
        db.execute("UPDATE users SET suspended_at = created_at").await;
        assert!(!move_to("third@example.org").await.unwrap(), "barred");
    }

    async fn auz_08_a_live_session_is_made_fresh_and_places_are_listed(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        open(&store, &session(10, ANN, NOW), 1).await;
        let renew = |at: Timestamp| store.write(at, |tx, at| {
            Box::pin(sessions::reauthenticate(tx, SessionId(uuid(10)), *at))
        });
        assert!(renew(after(9)).await.unwrap());
        assert!(!renew(after(3600)).await.unwrap(), "over");
        let mut reader = store.read().await.unwrap();
        let found = sessions::find_signed_in(&mut reader, SessionId(uuid(10)), NOW).await.unwrap();
        assert_eq!(found.unwrap().session_auth_time, after(9));
        db.execute("UPDATE sessions SET ended_at = created_at").await;
        let places = sessions::list_places(&mut reader, ANN, 50).await.unwrap();
        assert_eq!(places, [("192.0.2.7".to_owned(), Some("curl/8 ✓".to_owned()))]);
        assert!(sessions::list_places(&mut reader, UserId(uuid(2)), 50).await.unwrap().is_empty());
    }
}
