//! The table `password_credentials`: apart from `users`, so that reading a user never reads a hash.

use super::sql::{Sql, execute, optional, statements};
use super::{ReadFresh, Writer};
use crate::Fault;
use crate::domain::ids::UserId;
use crate::domain::password_hash::PasswordHash;
use crate::domain::time::Timestamp;

statements! {
    FIND = Sql::both("SELECT hash, set_at, must_change FROM password_credentials WHERE user_id = $1");
    SET = Sql::both(
        "INSERT INTO password_credentials (user_id, hash, set_at, must_change)
         VALUES ($1, $2, $3, FALSE)
         ON CONFLICT (user_id) DO UPDATE
         SET hash = excluded.hash, set_at = excluded.set_at, must_change = FALSE",
    );
    SET_PROVISIONAL = Sql::both(
        "INSERT INTO password_credentials (user_id, hash, set_at, must_change)
         VALUES ($1, $2, $3, TRUE)
         ON CONFLICT (user_id) DO UPDATE
         SET hash = excluded.hash, set_at = excluded.set_at, must_change = TRUE",
    );
    REHASH = Sql::both(
        "UPDATE password_credentials SET hash = $2 WHERE user_id = $1 AND hash = $3",
    );
}

/// What proves a user: the hash (or the marker that none verifies) and its version.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Credential {
    /// The PHC string, or the marker.
    pub hash: PasswordHash,
    /// When the password was set: the version of the credential.
    pub set_at: Timestamp,
    /// Whether it is to be changed (after `users set-password`).
    pub must_change: bool,
}

/// Finds what proves `user`.
pub async fn find(db: &mut impl ReadFresh, user: UserId) -> Result<Option<Credential>, Fault> {
    optional!(db, FIND, user)
}

/// Sets the password of `user`.
pub async fn set(
    tx: &mut Writer,
    user: UserId,
    hash: &PasswordHash,
    at: Timestamp,
) -> Result<(), Fault> {
    execute!(tx, SET, user, hash, at).map(|_rows| ())
}

/// Sets a password of `user` that is to be changed (EML-18).
pub async fn set_provisional(
    tx: &mut Writer,
    user: UserId,
    hash: &PasswordHash,
    at: Timestamp,
) -> Result<(), Fault> {
    execute!(tx, SET_PROVISIONAL, user, hash, at).map(|_rows| ())
}

/// Stores the same password under today's costs, unless it was changed meanwhile (PWD-03).
pub async fn rehash(
    tx: &mut Writer,
    user: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool, Fault> {
    Ok(execute!(tx, REHASH, user, new, old)? == 1)
}
