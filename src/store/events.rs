//! The tables `events` and `event_details`: append only, written in the transaction of the change (LOG-06).

use sqlx::types::Json;

use super::event_chain::{RecordedRow, recorded_columns};
use super::sql::{Sql, all, execute, optional, statements};
use super::{Read, Writer};
use crate::Fault;
use crate::domain::event::{Event, OwnEvent};
use crate::domain::ids::{EventId, UserId};
use crate::domain::time::Timestamp;
use crate::domain::trail::Recorded;

// PORTABILITY: a parameter is compared before it is asked for NULL, or PostgreSQL does not know its type.
macro_rules! list {
    ($and:literal) => {
        concat!(
            "SELECT ",
            recorded_columns!(),
            " FROM events
             LEFT JOIN event_chain ON event_chain.event_id = events.id
             LEFT JOIN event_details ON event_details.event_id = events.id
             WHERE events.id < $1 AND (events.action = $2 OR $2 IS NULL)
               AND (events.at >= $3 OR $3 IS NULL) AND (events.at < $4 OR $4 IS NULL)",
            $and,
            " ORDER BY events.id DESC LIMIT $5"
        )
    };
}

statements! {
    INSERT = Sql::both(
        "INSERT INTO events (id, at, actor_kind, actor_id, action, subject_kind, subject_id,
                             request_id, outcome, details_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'success', $9)",
    );
    INSERT_DETAILS = Sql::both(
        "INSERT INTO event_details (event_id, address, data, hash_key) VALUES ($1, $2, $3, $4)",
    );
    LIST = Sql::both(list!(""));
    LIST_OF_USER = Sql::both(list!(
        " AND events.id IN
           (SELECT id FROM events WHERE subject_id = $6
            UNION ALL SELECT id FROM events WHERE actor_id = $6 AND actor_id <> subject_id)"
    ));
    // Most events are about whoever did them: the index for the second half has the others only.
    ERASE_DETAILS = Sql::both(
        "DELETE FROM event_details WHERE event_id IN
           (SELECT id FROM events WHERE subject_id = $1 AND subject_kind = 'user'
            UNION ALL
            SELECT id FROM events WHERE actor_id = $1 AND actor_id <> subject_id AND actor_kind = 'user')",
    );
    LIST_ABOUT = Sql::both(
        "SELECT events.id, events.at, events.actor_kind, events.actor_id, events.action,
                events.outcome, events.request_id, event_details.address,
                COALESCE(event_details.data, '{}') AS data
         FROM events LEFT JOIN event_details ON event_details.event_id = events.id
         WHERE events.subject_id = $1 AND events.subject_kind = 'user' AND events.id < $2
         ORDER BY events.id DESC LIMIT $3",
    );
    COUNT_ABOUT = Sql::both(
        "SELECT COUNT(*) FROM events WHERE subject_id = $1 AND subject_kind = 'user'",
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

/// Which events are listed; all where nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// What was done.
    pub action: Option<String>,
    /// Who did it, or to whom it was done.
    pub user: Option<UserId>,
    /// The first moment.
    pub since: Option<Timestamp>,
    /// The moment after the last.
    pub until: Option<Timestamp>,
}

/// Lists at most `limit` events before the id `before`, newest first, with their details and places in the chain.
pub async fn list(
    db: &mut impl Read,
    filter: &Filter,
    before: EventId,
    limit: i64,
) -> Result<Vec<Recorded>, Fault> {
    let (action, since, until) = (&filter.action, filter.since, filter.until);
    let rows: Vec<RecordedRow> = match filter.user {
        None => all!(db, LIST, before, action, since, until, limit)?,
        Some(user) => {
            let user = user.to_string();
            all!(db, LIST_OF_USER, before, action, since, until, limit, &user)?
        }
    };
    Ok(rows.into_iter().map(Recorded::from).collect())
}

/// Lists at most `limit` events about `user` that are older than `before`, newest first.
pub async fn list_about(
    db: &mut impl Read,
    user: UserId,
    before: EventId,
    limit: i64,
) -> Result<Vec<OwnEvent>, Fault> {
    all!(db, LIST_ABOUT, user.to_string(), before, limit)
}

/// Counts the events about `user`.
pub async fn count_about(db: &mut impl Read, user: UserId) -> Result<i64, Fault> {
    let row: Option<(i64,)> = optional!(db, COUNT_ABOUT, user.to_string())?;
    Ok(row.map_or(0, |(count,)| count))
}
