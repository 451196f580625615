//! The tables `roles` and `user_roles`. The calls that manage roles come later; tokens carry them already.

use super::Writer;
use super::sql::{Sql, execute, statements};
use crate::Fault;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

/// The role that may do everything; the schema brings it.
pub const ADMIN: &str = "admin";

statements! {
    GRANT = Sql::both(
        "INSERT INTO user_roles (user_id, role, granted_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_id, role) DO NOTHING",
    );
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
