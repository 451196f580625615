//! The tables `events` and `event_details`: append only, written in the transaction of the change (LOG-06).

use sqlx::types::Json;

use super::Writer;
use super::sql::{Sql, execute, statements};
use crate::Fault;
use crate::domain::event::Event;
use crate::domain::ids::UserId;

statements! {
    INSERT = Sql::both(
        "INSERT INTO events (id, at, actor_kind, actor_id, action, subject_kind, subject_id,
                             request_id, outcome, details_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'success', $9)",
    );
    INSERT_DETAILS = Sql::both(
        "INSERT INTO event_details (event_id, address, data, hash_key) VALUES ($1, $2, $3, $4)",
    );
    // Most events are about whoever did them: the index for the second half has the others only.
    ERASE_DETAILS = Sql::both(
        "DELETE FROM event_details WHERE event_id IN
           (SELECT id FROM events WHERE subject_id = $1 AND subject_kind = 'user'
            UNION ALL
            SELECT id FROM events WHERE actor_id = $1 AND actor_id <> subject_id AND actor_kind = 'user')",
    );
}

/// Appends a line to the trail.
pub async fn append(tx: &mut Writer, event: &Event) -> Result<(), Fault> {
    execute!(
        tx,
        INSERT,
        event.id,
        event.at,
        event.actor.kind(),
        event.actor.id(),
        event.action.as_str(),
        event.subject.kind(),
        event.subject.id(),
        &event.request_id,
        event.details_hash.as_slice(),
    )?;
    let key = event.details_key.as_slice();
    execute!(tx, INSERT_DETAILS, event.id, &event.address, Json(&event.data), key).map(|_rows| ())
}

/// Forgets the address and the data of every event that `user` did or that was done to them (LOG-10).
///
/// The events stay, and the chain with them; gives how many lost their details. An event that an erasure writes about
/// itself is appended after it.
pub async fn erase_details(tx: &mut Writer, user: UserId) -> Result<u64, Fault> {
    execute!(tx, ERASE_DETAILS, user.to_string())
}
