//! The tables `events` and `event_details`: append only, written in the transaction of the change (LOG-06), and with
//! them what waits for webhook endpoints (WHK-02).

use sqlx::types::Json;

use super::Writer;
use super::sql::{Sql, execute, statements};
use crate::Fault;
use crate::domain::event::Event;

macro_rules! insert_event {
    () => {
        "INSERT INTO events (id, at, actor_kind, actor_id, action, subject_kind, subject_id,
                             request_id, outcome, details_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'success', $9)"
    };
}

macro_rules! insert_messages {
    () => {
        "INSERT INTO webhook_messages (webhook_id, event_id, type, body, state, attempts, tries, created_at, due_at)
         SELECT webhooks.id, $1, $5, $10, 'waiting', 0, 0, $2, $2
         FROM webhooks JOIN webhook_filters ON webhook_filters.webhook_id = webhooks.id
         WHERE webhooks.state = 'enabled' AND webhook_filters.type IN ('*', $5) AND CAST($10 AS TEXT) IS NOT NULL"
    };
}

statements! {
    // WHK-02: an event and what endpoints are told of it are one statement, so that it costs no time of its own where
    // there is no endpoint. PORTABILITY: SQLite knows no INSERT in a WITH, and runs two statements as one.
    INSERT = Sql::split(
        concat!(insert_event!(), ";\n", insert_messages!()),
        concat!("WITH told AS (", insert_messages!(), ") ", insert_event!()),
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
        &event.message,
    )?;
    execute!(tx, INSERT_DETAILS, event.id, &event.address, Json(&event.data)).map(|_rows| ())
}
