//! The table `leases`: work that one instance does at a time (REL-14). A row count decides who does it.
//!
//! The row is the schedule as well: whoever has done the work leaves in `until` when it may be done next.

use uuid::Uuid;

use super::Writer;
use super::sql::{Sql, execute, statements};
use crate::Fault;
use crate::domain::time::Timestamp;

statements! {
    TAKE = Sql::both(
        "INSERT INTO leases (name, owner, until) VALUES ($1, $2, $3)
         ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
         WHERE leases.until <= $4",
    );
    RENEW = Sql::both(
        "UPDATE leases SET until = $3 WHERE name = $1 AND owner = $2 AND until > $4",
    );
    RELEASE = Sql::both("UPDATE leases SET until = $3 WHERE name = $1 AND owner = $2");
}

/// Takes the work `name` until `until`; `false` while somebody has it, or has done it and it is not due again.
pub async fn take(
    tx: &mut Writer,
    name: &str,
    owner: Uuid,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, Fault> {
    Ok(execute!(tx, TAKE, name, owner, until, now)? == 1)
}

/// Keeps work in hand until `until`; `false` if the lease ran out or was lost.
pub async fn renew(
    tx: &mut Writer,
    name: &str,
    owner: Uuid,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, Fault> {
    Ok(execute!(tx, RENEW, name, owner, until, now)? == 1)
}

/// Gives work back that is due again at `due_at`; `false` if it was somebody else's by now.
pub async fn release(
    tx: &mut Writer,
    name: &str,
    owner: Uuid,
    due_at: Timestamp,
) -> Result<bool, Fault> {
    Ok(execute!(tx, RELEASE, name, owner, due_at)? == 1)
}
