//! The table `email_changes`: at most one wish a user for another address, until it is confirmed or cancelled.

use super::sql::{Sql, execute, optional, statements};
use super::{Read, Writer};
use crate::Fault;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;

statements! {
    SET = Sql::both(
        "INSERT INTO email_changes (user_id, email, email_canonical, session_id, requested_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (user_id) DO UPDATE
         SET email = excluded.email, email_canonical = excluded.email_canonical,
             session_id = excluded.session_id, requested_at = excluded.requested_at,
             expires_at = excluded.expires_at",
    );
    TAKE = Sql::both(
        "DELETE FROM email_changes WHERE user_id = $1 AND expires_at > $2
         RETURNING email, email_canonical, session_id, requested_at, expires_at",
    );
    DROP = Sql::both("DELETE FROM email_changes WHERE user_id = $1");
    FIND = Sql::both(
        "SELECT email, email_canonical, session_id, requested_at, expires_at
         FROM email_changes WHERE user_id = $1",
    );
    DELETE_EXPIRED = Sql::both(
        "DELETE FROM email_changes WHERE expires_at <= $1 AND user_id IN
             (SELECT user_id FROM email_changes WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    );
}

/// A wish for another address.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct EmailChange {
    /// The address as typed.
    pub email: String,
    /// The address in the form that is compared.
    pub email_canonical: String,
    /// The session that asked; it outlives the change.
    pub session_id: SessionId,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When the wish ends by itself.
    pub expires_at: Timestamp,
}

/// Makes this the one wish of `user`.
pub async fn set(tx: &mut Writer, user: UserId, wish: &EmailChange) -> Result<(), Fault> {
    execute!(
        tx,
        SET,
        user,
        &wish.email,
        &wish.email_canonical,
        wish.session_id,
        wish.requested_at,
        wish.expires_at,
    )
    .map(|_rows| ())
}

/// Takes the wish of `user` away, if there is one that has not ended: whoever gets it decides what becomes of it.
pub async fn take(
    tx: &mut Writer,
    user: UserId,
    now: Timestamp,
) -> Result<Option<EmailChange>, Fault> {
    optional!(tx, TAKE, user, now)
}

/// Forgets the wish of `user`.
pub async fn drop(tx: &mut Writer, user: UserId) -> Result<(), Fault> {
    execute!(tx, DROP, user).map(|_rows| ())
}

/// Finds the wish of `user`, ended by itself or not.
pub async fn find(db: &mut impl Read, user: UserId) -> Result<Option<EmailChange>, Fault> {
    optional!(db, FIND, user)
}

/// Removes at most `limit` wishes that ended by themselves; how many there were.
pub async fn delete_expired(tx: &mut Writer, now: Timestamp, limit: i64) -> Result<u64, Fault> {
    execute!(tx, DELETE_EXPIRED, now, limit)
}
