//! The tables `roles` and `user_roles`: who may do what, and who is left to do it.

use super::sql::{Sql, all, execute, optional, statements};
use super::{ReadFresh, Writer};
use crate::Fault;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

/// The role that may do everything; the schema brings it.
pub const ADMIN: &str = "admin";

macro_rules! holders {
    ($lock:literal) => {
        concat!(
            "SELECT users.id AS id,
                    users.email_verified_at IS NOT NULL AND users.suspended_at IS NULL
                      AND users.deleted_at IS NULL AS is_active
             FROM user_roles JOIN users ON users.id = user_roles.user_id
             WHERE user_roles.role = $1 ORDER BY users.id",
            $lock
        )
    };
}

statements! {
    IS_ROLE = Sql::both("SELECT 1 FROM roles WHERE name = $1");
    HOLDS = Sql::both("SELECT 1 FROM user_roles WHERE user_id = $1 AND role = $2");
    GRANT = Sql::both(
        "INSERT INTO user_roles (user_id, role, granted_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_id, role) DO NOTHING",
    );
    REVOKE = Sql::both("DELETE FROM user_roles WHERE user_id = $1 AND role = $2");
    REVOKE_ALL = Sql::both("DELETE FROM user_roles WHERE user_id = $1");
    // PORTABILITY: SQLite has one writer, so a row needs no lock. PostgreSQL asks the locked rows again: one that
    // was revoked meanwhile is left out, and whether the others are active is their newest state.
    LOCK_HOLDERS = Sql::split(holders!(""), holders!(" FOR UPDATE"));
    LIST_OF_USER = Sql::both(
        "SELECT role, granted_at FROM user_roles WHERE user_id = $1 ORDER BY role",
    );
}

/// Tells whether there is such a role.
pub async fn is_role(db: &mut impl ReadFresh, role: &str) -> Result<bool, Fault> {
    let row: Option<(i32,)> = optional!(db, IS_ROLE, role)?;
    Ok(row.is_some())
}

/// Tells whether `user` has `role`.
pub async fn holds(db: &mut impl ReadFresh, user: UserId, role: &str) -> Result<bool, Fault> {
    let row: Option<(i32,)> = optional!(db, HOLDS, user, role)?;
    Ok(row.is_some())
}

/// Grants `role` to `user`; `false` if they have it.
pub async fn grant(
    tx: &mut Writer,
    user: UserId,
    role: &str,
    at: Timestamp,
) -> Result<bool, Fault> {
    Ok(execute!(tx, GRANT, user, role, at)? == 1)
}

/// Takes `role` from `user`; `false` if they do not have it.
pub async fn revoke(tx: &mut Writer, user: UserId, role: &str) -> Result<bool, Fault> {
    Ok(execute!(tx, REVOKE, user, role)? == 1)
}

/// Takes every role from `user`.
pub async fn revoke_all(tx: &mut Writer, user: UserId) -> Result<(), Fault> {
    execute!(tx, REVOKE_ALL, user).map(|_rows| ())
}

/// Locks everybody who has `role`, in the order of their ids; gives those who are active.
pub async fn lock_holders(tx: &mut Writer, role: &str) -> Result<Vec<UserId>, Fault> {
    let rows: Vec<(UserId, bool)> = all!(tx, LOCK_HOLDERS, role)?;
    Ok(rows.into_iter().filter_map(|(id, is_active)| is_active.then_some(id)).collect())
}

/// Lists the roles of `user`, and since when.
pub async fn list_of_user(
    db: &mut impl ReadFresh,
    user: UserId,
) -> Result<Vec<(String, Timestamp)>, Fault> {
    all!(db, LIST_OF_USER, user)
}
