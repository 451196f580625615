//! Rows for the tests of the store: made with fixed times and ids of the caller's number.

use std::time::Duration;

use portcullis::Fault;
use portcullis::domain::event::{Action, Actor, Event, Subject};
use portcullis::domain::ids::{EventId, JobId, SessionId, UserId};
use portcullis::domain::job::NewJob;
use portcullis::domain::password_hash::PasswordHash;
use portcullis::domain::session::Session;
use portcullis::domain::signup::EmailVerification;
use portcullis::domain::time::Timestamp;
use portcullis::domain::token::TokenDigest;
use portcullis::store::refresh_tokens::NewRefreshToken;
use portcullis::store::users::NewUser;
use portcullis::store::{Store, credentials, refresh_tokens, sessions, users};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// A moment in 2026, with microseconds that a lossy conversion would drop.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_123_457);

/// The moment `seconds` after [`NOW`].
pub(crate) fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// The id with this number.
pub(crate) fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// A JSON object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// A verified user `user{n}@example.org`.
pub(crate) fn verified_user(n: u128) -> NewUser {
    NewUser { email_verified_at: Some(NOW), is_pending: false, ..pending_user(n) }
}

/// A pending signup of `user{n}@example.org`.
pub(crate) fn pending_user(n: u128) -> NewUser {
    NewUser {
        id: UserId(uuid(n)),
        email: format!("User{n}@Example.org"),
        email_canonical: format!("user{n}@example.org"),
        email_verified_at: None,
        username: None,
        profile: object(json!({ "display_name": "Zoë 🦀" })),
        is_pending: true,
        invited_until: None,
        created_at: NOW,
    }
}

/// A text that stands for a hash.
pub(crate) fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_stored(format!("$argon2id$v=19$m=19456,t=2,p=1${text}"))
}

/// A digest that starts with `n`.
pub(crate) fn digest(n: u8) -> TokenDigest {
    let mut bytes = vec![0xa5; 32];
    bytes[0] = n;
    TokenDigest(bytes)
}

/// Inserts `user` with a password set at its creation.
pub(crate) async fn insert_user(store: &Store, user: &NewUser) {
    let inserted = store.write(user.clone(), |tx, user| {
        Box::pin(async move {
            let is_new = users::insert(tx, user).await?;
            credentials::set(tx, user.id, &hash("first"), user.created_at).await?;
            Ok::<_, Fault>(is_new)
        })
    });
    assert!(inserted.await.unwrap());
}

/// A session of `user` that began at `at` and ends an hour later, absolutely a day later.
pub(crate) fn session(n: u128, user: UserId, at: Timestamp) -> Session {
    Session {
        id: SessionId(uuid(n)),
        user_id: user,
        client_id: "portcullis".into(),
        audience: "portcullis".into(),
        created_at: at,
        last_used_at: at,
        expires_at: at.plus(Duration::from_hours(1)),
        absolute_expires_at: at.plus(Duration::from_hours(24)),
        auth_time: at,
        address: "192.0.2.7".into(),
        user_agent: Some("curl/8 ✓".into()),
    }
}

/// Opens `session` with a first token; its user's credential is of [`NOW`].
pub(crate) async fn open(store: &Store, session: &Session, first: u8) {
    let token = NewRefreshToken {
        digest: digest(first),
        session_id: session.id,
        generation: 0,
        created_at: session.created_at,
        expires_at: session.expires_at,
    };
    let opened = store.write((session.clone(), token), |tx, (session, token)| {
        Box::pin(async move {
            let is_open =
                sessions::insert_if_current(tx, session, NOW, EmailVerification::Required).await?;
            refresh_tokens::insert(tx, token).await?;
            Ok::<_, Fault>(is_open)
        })
    });
    assert!(opened.await.unwrap());
}

/// A mail job that is due at `at`.
pub(crate) fn job(n: u128, at: Timestamp) -> NewJob {
    NewJob {
        id: JobId(uuid(n)),
        kind: "mail",
        priority: 0,
        payload: vec![0, 1, 254, 255],
        dedupe_key: None,
        created_at: at,
    }
}

/// A line of the trail about `user`.
pub(crate) fn event(n: u128, user: UserId) -> Event {
    Event {
        id: EventId(uuid(n)),
        at: NOW,
        actor: Actor::User(user),
        action: Action::UserUpdated,
        subject: Subject::User(user),
        request_id: Some("r-1".into()),
        details_hash: [7; 32],
        details_key: [9; 32],
        address: Some("2001:db8::1".into()),
        data: object(json!({ "changed": ["profile.bio"] })),
    }
}
