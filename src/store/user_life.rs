//! The table `users`: the statements that bar an account, delete it, bring it back and erase it.
//!
//! Each names the state that it needs; the row count says whether it was so.

use serde_json::{Map, Value};
use sqlx::types::Json;

use super::sql::{Sql, all, execute, statements};
use super::{Read, Writer};
use crate::Fault;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

/// What is left of an account; the condition follows.
macro_rules! erase {
    ($condition:literal) => {
        concat!(
            "UPDATE users SET email = $2, email_canonical = $2, username = NULL, profile = $3,
                              pending_since = NULL, invited_until = NULL, last_login_at = NULL,
                              deleted_at = COALESCE(deleted_at, $4), erased_at = $4, updated_at = $4,
                              version = version + 1
             WHERE id = $1 AND erased_at IS NULL",
            $condition
        )
    };
}

statements! {
    SUSPEND = Sql::both(
        "UPDATE users SET suspended_at = $2, updated_at = $2, version = version + 1
         WHERE id = $1 AND suspended_at IS NULL AND deleted_at IS NULL",
    );
    REACTIVATE = Sql::both(
        "UPDATE users SET suspended_at = NULL, updated_at = $2, version = version + 1
         WHERE id = $1 AND suspended_at IS NOT NULL AND deleted_at IS NULL",
    );
    DELETE = Sql::both(
        "UPDATE users SET deleted_at = $2, updated_at = $2, version = version + 1
         WHERE id = $1 AND deleted_at IS NULL",
    );
    RESTORE = Sql::both(
        "UPDATE users SET deleted_at = NULL, updated_at = $2, version = version + 1
         WHERE id = $1 AND deleted_at > $3 AND erased_at IS NULL",
    );
    MARK_VERIFIED = Sql::both(
        "UPDATE users SET email_verified_at = $2, pending_since = NULL, invited_until = NULL,
                          updated_at = $2, version = version + 1
         WHERE id = $1 AND email_verified_at IS NULL AND deleted_at IS NULL",
    );
    TOUCH = Sql::both("UPDATE users SET updated_at = $2, version = version + 1 WHERE id = $1");
    ERASE = Sql::both(erase!(""));
    // What the sweeps erase must still be what they found: a restoration or a proof meanwhile wins.
    ERASE_DELETED = Sql::both(erase!(" AND deleted_at <= $5"));
    ERASE_PENDING = Sql::both(erase!(
        " AND pending_since <= $5 AND email_verified_at IS NULL
          AND suspended_at IS NULL AND deleted_at IS NULL"
    ));
    ERASE_INVITED = Sql::both(erase!(
        " AND invited_until <= $5 AND email_verified_at IS NULL
          AND suspended_at IS NULL AND deleted_at IS NULL"
    ));
    LIST_DELETED = Sql::both(
        "SELECT id FROM users
         WHERE deleted_at IS NOT NULL AND erased_at IS NULL AND deleted_at <= $1
         ORDER BY deleted_at LIMIT $2",
    );
    LIST_PENDING = Sql::both(
        "SELECT id FROM users
         WHERE pending_since IS NOT NULL AND pending_since <= $1 AND email_verified_at IS NULL
           AND suspended_at IS NULL AND deleted_at IS NULL
         ORDER BY pending_since LIMIT $2",
    );
    LIST_INVITED = Sql::both(
        "SELECT id FROM users
         WHERE invited_until IS NOT NULL AND invited_until <= $1 AND email_verified_at IS NULL
           AND suspended_at IS NULL AND deleted_at IS NULL
         ORDER BY invited_until LIMIT $2",
    );
}

/// Bars an account; `false` if it is barred or deleted already.
pub async fn suspend(tx: &mut Writer, id: UserId, at: Timestamp) -> Result<bool, Fault> {
    Ok(execute!(tx, SUSPEND, id, at)? == 1)
}

/// Lets a barred account in again; `false` if it is not barred, or deleted.
pub async fn reactivate(tx: &mut Writer, id: UserId, at: Timestamp) -> Result<bool, Fault> {
    Ok(execute!(tx, REACTIVATE, id, at)? == 1)
}

/// Deletes an account, to be restored or erased; `false` if it is deleted already.
pub async fn delete(tx: &mut Writer, id: UserId, at: Timestamp) -> Result<bool, Fault> {
    Ok(execute!(tx, DELETE, id, at)? == 1)
}

/// Restores an account that was deleted after `since`; `false` for any other.
pub async fn restore(
    tx: &mut Writer,
    id: UserId,
    at: Timestamp,
    since: Timestamp,
) -> Result<bool, Fault> {
    Ok(execute!(tx, RESTORE, id, at, since)? == 1)
}

/// Takes the mailbox for proven; `false` if it is, or if the account is deleted.
pub async fn mark_verified(tx: &mut Writer, id: UserId, at: Timestamp) -> Result<bool, Fault> {
    Ok(execute!(tx, MARK_VERIFIED, id, at)? == 1)
}

/// Counts a change of what is shown that stands in another table.
pub async fn touch(tx: &mut Writer, id: UserId, at: Timestamp) -> Result<(), Fault> {
    execute!(tx, TOUCH, id, at).map(|_rows| ())
}

/// Which account is to be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasable {
    /// Any that is there.
    Any,
    /// One that was deleted at this moment or before.
    DeletedBy(Timestamp),
    /// A signup that nobody proved, the newest of this moment or before.
    PendingBy(Timestamp),
    /// An account that nobody took, invited until this moment or before.
    InvitedBy(Timestamp),
}

/// Makes an account a tombstone: id and times stay. `false` if it is one, or is not what `which` says.
pub async fn erase(
    tx: &mut Writer,
    id: UserId,
    at: Timestamp,
    which: Erasable,
) -> Result<bool, Fault> {
    // No address has a colon and no `@`, so nobody signs up or in with it, and an id is there once.
    let nobody = format!("erased:{id}");
    let nothing = Json(Map::<String, Value>::new());
    let rows = match which {
        Erasable::Any => execute!(tx, ERASE, id, &nobody, &nothing, at)?,
        Erasable::DeletedBy(by) => execute!(tx, ERASE_DELETED, id, &nobody, &nothing, at, by)?,
        Erasable::PendingBy(by) => execute!(tx, ERASE_PENDING, id, &nobody, &nothing, at, by)?,
        Erasable::InvitedBy(by) => execute!(tx, ERASE_INVITED, id, &nobody, &nothing, at, by)?,
    };
    Ok(rows == 1)
}

/// Lists at most `limit` accounts that are `which`, the longest due first; none for [`Erasable::Any`].
pub async fn list_erasable(
    db: &mut impl Read,
    which: Erasable,
    limit: i64,
) -> Result<Vec<UserId>, Fault> {
    let rows: Vec<(UserId,)> = match which {
        Erasable::Any => Vec::new(),
        Erasable::DeletedBy(by) => all!(db, LIST_DELETED, by, limit)?,
        Erasable::PendingBy(by) => all!(db, LIST_PENDING, by, limit)?,
        Erasable::InvitedBy(by) => all!(db, LIST_INVITED, by, limit)?,
    };
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
