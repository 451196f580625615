//! The table `unique_values`: what no two verified users share. The row count decides who has it.

use super::ReadFresh;
use super::Writer;
use super::sql::{Sql, execute, optional, statements};
use crate::Fault;
use crate::domain::ids::UserId;

/// The field of the username.
pub const USERNAME: &str = "/username";

statements! {
    CLAIM = Sql::both(
        "INSERT INTO unique_values (field, value_canonical, user_id) VALUES ($1, $2, $3)
         ON CONFLICT (field, value_canonical) DO NOTHING",
    );
    RELEASE = Sql::both("DELETE FROM unique_values WHERE user_id = $1 AND field = $2");
    HOLDER = Sql::both(
        "SELECT user_id FROM unique_values WHERE field = $1 AND value_canonical = $2",
    );
}

/// Takes a value for `user`; `false` if it is held, by anybody.
pub async fn claim(tx: &mut Writer, field: &str, value: &str, user: UserId) -> Result<bool, Fault> {
    Ok(execute!(tx, CLAIM, field, value, user)? == 1)
}

/// Gives up what `user` holds in `field`.
pub async fn release(tx: &mut Writer, field: &str, user: UserId) -> Result<(), Fault> {
    execute!(tx, RELEASE, user, field).map(|_rows| ())
}

/// Tells who holds a value.
pub async fn find_holder(
    db: &mut impl ReadFresh,
    field: &str,
    value: &str,
) -> Result<Option<UserId>, Fault> {
    let row: Option<(UserId,)> = optional!(db, HOLDER, field, value)?;
    Ok(row.map(|(user,)| user))
}
