//! The tables `events` and `event_details`: append only, written in the transaction of the change (LOG-06).

use sqlx::types::Json;

use super::sql::{Sql, all, execute, optional, statements};
use super::{Read, Writer};
use crate::Fault;
use crate::domain::event::{Event, Recorded};
use crate::domain::ids::{EventId, UserId};

statements! {
    INSERT = Sql::both(
        "INSERT INTO events (id, at, actor_kind, actor_id, action, subject_kind, subject_id,
                             request_id, outcome, details_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'success', $9)",
    );
    INSERT_DETAILS = Sql::both(
        "INSERT INTO event_details (event_id, address, data) VALUES ($1, $2, $3)",
    );
    LIST_OF_USER = Sql::both(
        "SELECT events.id, events.at, events.actor_kind, events.actor_id, events.action,
                events.outcome, events.request_id, event_details.address,
                COALESCE(event_details.data, '{}') AS data
         FROM events LEFT JOIN event_details ON event_details.event_id = events.id
         WHERE events.subject_id = $1 AND events.subject_kind = 'user' AND events.id < $2
         ORDER BY events.id DESC LIMIT $3",
    );
    COUNT_OF_USER = Sql::both(
        "SELECT COUNT(*) FROM events WHERE subject_id = $1 AND subject_kind = 'user'",
    );
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
    execute!(tx, INSERT_DETAILS, event.id, &event.address, Json(&event.data)).map(|_rows| ())
}

/// Lists at most `limit` events about `user` that are older than `before`, newest first.
pub async fn list_of_user(
    db: &mut impl Read,
    user: UserId,
    before: EventId,
    limit: i64,
) -> Result<Vec<Recorded>, Fault> {
    all!(db, LIST_OF_USER, user.to_string(), before, limit)
}

/// Counts the events about `user`.
pub async fn count_of_user(db: &mut impl Read, user: UserId) -> Result<i64, Fault> {
    let row: Option<(i64,)> = optional!(db, COUNT_OF_USER, user.to_string())?;
    Ok(row.map_or(0, |(count,)| count))
}

/// Forgets the address and the data of every event that `user` did or that was done to them (LOG-10).
///
/// The events stay; gives how many lost their details. An event that an erasure writes about itself is appended
/// after it.
pub async fn erase_details(tx: &mut Writer, user: UserId) -> Result<u64, Fault> {
    execute!(tx, ERASE_DETAILS, user.to_string())
}
