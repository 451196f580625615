//! The table `users`: accounts, pending signups too. Roles are read with the account, hashes never.

use serde_json::{Map, Value};
use sqlx::types::Json;

use super::sql::{Sql, all, execute, optional, statements};
use super::{Read, ReadFresh, Writer};
use crate::Fault;
use crate::domain::email::EmailAddress;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::username::Username;

/// The columns of [`User`]; joined queries add their own.
macro_rules! user_columns {
    () => {
        "users.id, users.email, users.email_canonical, users.email_verified_at, users.username,
         users.profile, users.pending_since, users.invited_until, users.suspended_at, users.deleted_at,
         users.erased_at, users.created_at, users.updated_at, users.last_login_at, users.version,
         COALESCE((SELECT string_agg(user_roles.role, ',' ORDER BY user_roles.role)
                   FROM user_roles WHERE user_roles.user_id = users.id), '') AS roles"
    };
}
pub(super) use user_columns;

statements! {
    FIND = Sql::both(concat!("SELECT ", user_columns!(), " FROM users WHERE users.id = $1"));
    FIND_BY_EMAIL = Sql::both(concat!(
        "SELECT ", user_columns!(), " FROM users WHERE users.email_canonical = $1"
    ));
    // PORTABILITY: SQLite has one writer, so a row needs no lock.
    LOCK_BY_EMAIL = Sql::split(
        concat!("SELECT ", user_columns!(), " FROM users WHERE users.email_canonical = $1"),
        concat!("SELECT ", user_columns!(), " FROM users WHERE users.email_canonical = $1 FOR UPDATE"),
    );
    LOCK = Sql::split(
        concat!("SELECT ", user_columns!(), " FROM users WHERE users.id = $1"),
        concat!("SELECT ", user_columns!(), " FROM users WHERE users.id = $1 FOR UPDATE"),
    );
    FIND_BY_USERNAME = Sql::both(concat!(
        "SELECT ", user_columns!(), " FROM users
         JOIN unique_values ON unique_values.user_id = users.id
         WHERE unique_values.field = '/username' AND unique_values.value_canonical = $1"
    ));
    LIST = Sql::both(concat!(
        "SELECT ", user_columns!(), " FROM users
         WHERE users.erased_at IS NULL AND (users.created_at, users.id) < ($1, $2)
         ORDER BY users.created_at DESC, users.id DESC LIMIT $3"
    ));
    // Tombstones have no profile any more.
    LIST_PROFILES = Sql::both(
        "SELECT id, email_verified_at, profile FROM users
         WHERE id > $1 AND erased_at IS NULL ORDER BY id LIMIT $2",
    );
    INSERT = Sql::both(
        "INSERT INTO users (id, email, email_canonical, email_verified_at, username, profile,
                            pending_since, invited_until, created_at, updated_at, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, 1)
         ON CONFLICT (email_canonical) DO NOTHING",
    );
    REPLACE_PENDING = Sql::both(
        "UPDATE users SET email = $2, username = $3, profile = $4, pending_since = $5,
                          updated_at = $5, version = version + 1
         WHERE id = $1 AND pending_since IS NOT NULL AND email_verified_at IS NULL",
    );
    VERIFY = Sql::both(
        "UPDATE users SET email_verified_at = $2, pending_since = NULL, updated_at = $2,
                          last_login_at = $2, version = version + 1
         WHERE id = $1 AND email_verified_at IS NULL AND suspended_at IS NULL AND deleted_at IS NULL
           AND EXISTS (SELECT 1 FROM password_credentials
                       WHERE user_id = $1 AND set_at = $3 AND hash = $4)",
    );
    PROVE_MAILBOX = Sql::both(
        "UPDATE users SET email_verified_at = $2, pending_since = NULL, invited_until = NULL,
                          username = NULL, profile = $3, updated_at = $2, version = version + 1
         WHERE id = $1 AND email_verified_at IS NULL AND suspended_at IS NULL AND deleted_at IS NULL",
    );
    MOVE_EMAIL = Sql::both(
        "UPDATE users SET email = $2, email_canonical = $3, email_verified_at = $4,
                          pending_since = NULL, invited_until = NULL, updated_at = $4,
                          version = version + 1
         WHERE id = $1 AND suspended_at IS NULL AND deleted_at IS NULL",
    );
    INVITE_AGAIN = Sql::both(
        "UPDATE users SET invited_until = $2
         WHERE id = $1 AND invited_until IS NOT NULL AND email_verified_at IS NULL",
    );
    TAKE_INVITED = Sql::both(
        "UPDATE users SET email = $3, username = $4, profile = $5, email_verified_at = $6,
                          invited_until = NULL, pending_since = NULL, updated_at = $6, last_login_at = $6,
                          version = version + 1
         WHERE id = $1 AND version = $2 AND invited_until IS NOT NULL AND email_verified_at IS NULL
           AND suspended_at IS NULL AND deleted_at IS NULL",
    );
    KEEP_WISHES = Sql::both("UPDATE users SET username = $2, profile = $3 WHERE id = $1");
    UPDATE_SHOWN = Sql::both(
        "UPDATE users SET username = $2, profile = $3, updated_at = $4, version = version + 1
         WHERE id = $1 AND version = $5",
    );
}

/// Finds the user with this id.
pub async fn find(db: &mut impl Read, id: UserId) -> Result<Option<User>, Fault> {
    optional!(db, FIND, id)
}

/// Finds the user with this address in the form that is compared (INP-03: by equality).
pub async fn find_by_email(
    db: &mut impl ReadFresh,
    email_canonical: &str,
) -> Result<Option<User>, Fault> {
    optional!(db, FIND_BY_EMAIL, email_canonical)
}

/// Finds the user with this address and keeps other changes away from it.
pub async fn lock_by_email(tx: &mut Writer, email_canonical: &str) -> Result<Option<User>, Fault> {
    optional!(tx, LOCK_BY_EMAIL, email_canonical)
}

/// Finds the user with this id and keeps other changes away from it.
pub async fn lock(tx: &mut Writer, id: UserId) -> Result<Option<User>, Fault> {
    optional!(tx, LOCK, id)
}

/// Finds the verified user who holds this username, in lower case.
pub async fn find_by_username(
    db: &mut impl ReadFresh,
    username_canonical: &str,
) -> Result<Option<User>, Fault> {
    optional!(db, FIND_BY_USERNAME, username_canonical)
}

/// Lists at most `limit` users, no tombstones, made before the place `(at, id)`, newest first.
pub async fn list(
    db: &mut impl Read,
    before: (Timestamp, UserId),
    limit: i64,
) -> Result<Vec<User>, Fault> {
    all!(db, LIST, before.0, before.1, limit)
}

/// The profile of an account, for those who walk through all of them.
#[derive(sqlx::FromRow)]
pub struct StoredProfile {
    /// Names the account.
    pub id: UserId,
    /// When the mailbox was proven.
    pub email_verified_at: Option<Timestamp>,
    /// What is stored, whether it fits today's schema or not.
    #[sqlx(json)]
    pub profile: Map<String, Value>,
}

/// Lists at most `limit` profiles of accounts behind `after`, in the order of their ids, without tombstones.
pub async fn list_profiles(
    db: &mut impl Read,
    after: UserId,
    limit: i64,
) -> Result<Vec<StoredProfile>, Fault> {
    all!(db, LIST_PROFILES, after, limit)
}

/// An account that is to be made.
#[derive(Clone)]
pub struct NewUser {
    /// Names the account.
    pub id: UserId,
    /// The address as typed.
    pub email: String,
    /// The address in the form that is compared.
    pub email_canonical: String,
    /// When the mailbox was proven, if it was.
    pub email_verified_at: Option<Timestamp>,
    /// The username as typed.
    pub username: Option<String>,
    /// The profile.
    pub profile: Map<String, Value>,
    /// Whether the next signup on this address may replace it.
    pub is_pending: bool,
    /// Until when its invitation stands, if it is made by one.
    pub invited_until: Option<Timestamp>,
    /// When it is made.
    pub created_at: Timestamp,
}

impl NewUser {
    /// An account that is neither verified, nor pending, nor invited.
    pub fn new(
        id: UserId,
        email: EmailAddress,
        username: Option<&Username>,
        profile: Map<String, Value>,
        created_at: Timestamp,
    ) -> Self {
        let (email, canonical) = email.into_parts();
        Self {
            id,
            email,
            email_canonical: canonical.as_str().to_owned(),
            email_verified_at: None,
            username: username.map(|name| name.typed().to_owned()),
            profile,
            is_pending: false,
            invited_until: None,
            created_at,
        }
    }
}

/// Inserts an account; `false` if the address is taken.
pub async fn insert(tx: &mut Writer, user: &NewUser) -> Result<bool, Fault> {
    let pending_since = user.is_pending.then_some(user.created_at);
    let rows = execute!(
        tx,
        INSERT,
        user.id,
        &user.email,
        &user.email_canonical,
        user.email_verified_at,
        &user.username,
        Json(&user.profile),
        pending_since,
        user.invited_until,
        user.created_at,
    )?;
    Ok(rows == 1)
}

/// Gives a pending signup what the newest one wishes; `false` if it is pending no more.
pub async fn replace_pending(tx: &mut Writer, id: UserId, newest: &NewUser) -> Result<bool, Fault> {
    let rows = execute!(
        tx,
        REPLACE_PENDING,
        id,
        &newest.email,
        &newest.username,
        Json(&newest.profile),
        newest.created_at,
    )?;
    Ok(rows == 1)
}

/// Marks the mailbox proven, if nothing changed since the password `hash`, set at `set_at`, was checked.
pub async fn verify(
    tx: &mut Writer,
    id: UserId,
    at: Timestamp,
    checked: (Timestamp, &str),
) -> Result<bool, Fault> {
    Ok(execute!(tx, VERIFY, id, at, checked.0, checked.1)? == 1)
}

/// Lets an invitation stand longer; `false` if the account is none that waits for one to be taken.
pub async fn invite_again(tx: &mut Writer, id: UserId, until: Timestamp) -> Result<bool, Fault> {
    Ok(execute!(tx, INVITE_AGAIN, id, until)? == 1)
}

/// Gives an invited account to who took it, as `taken` shows it; `false` if it is not as it was at `version`.
pub async fn take_invited(tx: &mut Writer, taken: &User, version: i64) -> Result<bool, Fault> {
    let rows = execute!(
        tx,
        TAKE_INVITED,
        taken.id,
        version,
        &taken.email,
        &taken.username,
        Json(&taken.profile),
        taken.updated_at,
    )?;
    Ok(rows == 1)
}

/// Leaves `id` with these values, the rest being somebody else's by now; the version was counted up with the proof.
pub async fn keep_wishes(
    tx: &mut Writer,
    id: UserId,
    username: Option<&str>,
    profile: &Map<String, Value>,
) -> Result<(), Fault> {
    execute!(tx, KEEP_WISHES, id, username, Json(profile)).map(|_rows| ())
}

/// Marks the mailbox proven by whoever holds it, and keeps of what was wished before only `profile` (EML-13).
pub async fn prove_mailbox(
    tx: &mut Writer,
    id: UserId,
    at: Timestamp,
    profile: &Map<String, Value>,
) -> Result<bool, Fault> {
    Ok(execute!(tx, PROVE_MAILBOX, id, at, Json(profile))? == 1)
}

/// Moves an account to an address whose mailbox is proven. That somebody has the address is a conflict.
pub async fn move_email(
    tx: &mut Writer,
    id: UserId,
    (email, canonical): (&str, &str),
    at: Timestamp,
) -> Result<bool, Fault> {
    Ok(execute!(tx, MOVE_EMAIL, id, email, canonical, at)? == 1)
}

/// Changes what the user shows; `false` if it is not at `version` any more.
pub async fn update_shown(
    tx: &mut Writer,
    user: &User,
    username: Option<&str>,
    profile: &Map<String, Value>,
    at: Timestamp,
) -> Result<bool, Fault> {
    let rows = execute!(tx, UPDATE_SHOWN, user.id, username, Json(profile), at, user.version)?;
    Ok(rows == 1)
}
