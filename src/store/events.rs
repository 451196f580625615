//! The tables `events` and `event_details`: append only, written in the transaction of the change (LOG-06).

use sqlx::types::Json;

use super::Writer;
use super::sql::{Sql, execute, statements};
use crate::Fault;
use crate::domain::event::Event;

statements! {
    INSERT = Sql::both(
        "INSERT INTO events (id, at, actor_kind, actor_id, action, subject_kind, subject_id,
                             request_id, outcome, details_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'success', $9)",
    );
    INSERT_DETAILS = Sql::both(
        "INSERT INTO event_details (event_id, address, data) VALUES ($1, $2, $3)",
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
