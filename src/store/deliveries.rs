//! The table `deliveries`: one row an attempt at sending a webhook message. Nothing of the answer but its status.

use super::sql::{Sql, all, execute, optional, statements};
use super::{Read, Writer};
use crate::Fault;
use crate::domain::ids::{DeliveryId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{Delivery, Listed};

/// The columns of [`Listed`].
macro_rules! columns {
    () => {
        "deliveries.id, deliveries.webhook_id, deliveries.event_id, deliveries.type, deliveries.attempt,
         deliveries.at, deliveries.duration_ms, deliveries.status, deliveries.error,
         webhook_messages.state AS message_state,
         CASE webhook_messages.state WHEN 'waiting' THEN webhook_messages.due_at END AS next_attempt_at
         FROM deliveries LEFT JOIN webhook_messages
              ON webhook_messages.webhook_id = deliveries.webhook_id
             AND webhook_messages.event_id = deliveries.event_id"
    };
}

statements! {
    INSERT = Sql::both(
        "INSERT INTO deliveries (id, webhook_id, event_id, type, attempt, at, duration_ms, status, error)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    FIND = Sql::both(concat!("SELECT ", columns!(), " WHERE deliveries.id = $1"));
    LIST = Sql::both(concat!(
        "SELECT ", columns!(), "
         WHERE deliveries.webhook_id = $1 AND (deliveries.at, deliveries.id) < ($2, $3)
         ORDER BY deliveries.at DESC, deliveries.id DESC LIMIT $4"
    ));
    COUNT = Sql::both("SELECT COUNT(*) FROM deliveries WHERE webhook_id = $1");
    SWEEP = Sql::both(
        "DELETE FROM deliveries
         WHERE id IN (SELECT id FROM deliveries WHERE at < $1 ORDER BY at LIMIT $2)",
    );
}

/// Notes an attempt.
pub async fn insert(tx: &mut Writer, delivery: &Delivery) -> Result<(), Fault> {
    execute!(
        tx,
        INSERT,
        delivery.id,
        delivery.webhook_id,
        delivery.event_id,
        &delivery.r#type,
        delivery.attempt,
        delivery.at,
        delivery.duration_ms,
        delivery.status,
        &delivery.error,
    )
    .map(|_rows| ())
}

/// Finds an attempt.
pub async fn find(db: &mut impl Read, id: DeliveryId) -> Result<Option<Listed>, Fault> {
    optional!(db, FIND, id)
}

/// Lists at most `limit` attempts at an endpoint that began before the place `(at, id)`, newest first.
pub async fn list(
    db: &mut impl Read,
    webhook: WebhookId,
    before: (Timestamp, DeliveryId),
    limit: i64,
) -> Result<Vec<Listed>, Fault> {
    all!(db, LIST, webhook, before.0, before.1, limit)
}

/// Counts the attempts at an endpoint that are kept.
pub async fn count(db: &mut impl Read, webhook: WebhookId) -> Result<i64, Fault> {
    let row: Option<(i64,)> = optional!(db, COUNT, webhook)?;
    Ok(row.map_or(0, |(count,)| count))
}

/// Removes at most `limit` attempts that began before `before`; how many that were.
pub async fn sweep(tx: &mut Writer, before: Timestamp, limit: i64) -> Result<u64, Fault> {
    execute!(tx, SWEEP, before, limit)
}
