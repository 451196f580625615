//! The table `unique_values`: what no two verified users share. The row count decides who has it.

use super::sql::{Sql, all, execute, optional, statements};
use super::{Read, ReadFresh, Writer};
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
    RELEASE_ALL = Sql::both("DELETE FROM unique_values WHERE user_id = $1");
    LIST = Sql::both(
        "SELECT field, value_canonical FROM unique_values WHERE user_id = $1 ORDER BY field",
    );
    HOLDER = Sql::both(
        "SELECT user_id FROM unique_values WHERE field = $1 AND value_canonical = $2",
    );
    HELD_BY = Sql::both(
        "SELECT user_id, field, value_canonical FROM unique_values
         WHERE user_id >= $1 AND user_id <= $2 ORDER BY user_id, field",
    );
    NEXT_FIELD = Sql::both("SELECT MIN(field) FROM unique_values WHERE field > $1");
    RELEASE_SOME = Sql::both(
        "DELETE FROM unique_values WHERE field = $1 AND value_canonical IN
           (SELECT value_canonical FROM unique_values WHERE field = $1 ORDER BY value_canonical LIMIT $2)",
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

/// Gives up everything that `user` holds.
pub async fn release_all(tx: &mut Writer, user: UserId) -> Result<(), Fault> {
    execute!(tx, RELEASE_ALL, user).map(|_rows| ())
}

/// Lists what `user` holds: field and value, as they are compared.
pub async fn list(db: &mut impl Read, user: UserId) -> Result<Vec<(String, String)>, Fault> {
    all!(db, LIST, user)
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

/// What somebody holds.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Held {
    /// The holder.
    pub user_id: UserId,
    /// The field.
    pub field: String,
    /// The value in the form that is compared.
    pub value_canonical: String,
}

/// Lists all that the users from `first` to `last`, these two too, hold.
pub async fn list_held_by(
    db: &mut impl Read,
    (first, last): (UserId, UserId),
) -> Result<Vec<Held>, Fault> {
    all!(db, HELD_BY, first, last)
}

/// The first field behind `after` of which somebody holds a value.
pub async fn find_next_field(db: &mut impl Read, after: &str) -> Result<Option<String>, Fault> {
    let row: Option<(Option<String>,)> = optional!(db, NEXT_FIELD, after)?;
    Ok(row.and_then(|(field,)| field))
}

/// Takes at most `limit` values of a field from whoever holds them; how many there were.
pub async fn release_some(tx: &mut Writer, field: &str, limit: i64) -> Result<u64, Fault> {
    execute!(tx, RELEASE_SOME, field, limit)
}
