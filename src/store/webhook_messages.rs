//! The table `webhook_messages`: one event for one endpoint, claimed with a lease, sent at least once.
//!
//! The rows are written by `events::append`, in the change that they tell of (WHK-02). A worker that slept past its lease
//! is fenced: what it says names the lease's owner and attempt. `attempts` counts every claim and never falls; `tries`
//! counts those since the message was last begun, and decides how long the next pause is.

use uuid::Uuid;

use super::sql::{Sql, all, execute, optional, statements};
use super::{Read, Writer};
use crate::Fault;
use crate::domain::ids::{EventId, WebhookId};
use crate::domain::time::Timestamp;

statements! {
    INSERT = Sql::both(
        "INSERT INTO webhook_messages (webhook_id, event_id, type, body, state, attempts, tries, created_at, due_at)
         VALUES ($1, $2, $3, $4, 'waiting', 0, 0, $5, $5)",
    );
    // PORTABILITY: SQLite has one writer, so there are no locked rows to skip.
    CLAIM = Sql::split(
        "UPDATE webhook_messages SET state = 'running', attempts = attempts + 1, tries = tries + 1,
                                     lease_until = $3, lease_owner = $4
         WHERE webhook_id = $1 AND event_id IN (
             SELECT event_id FROM webhook_messages
             WHERE webhook_id = $1 AND ((state = 'waiting' AND due_at <= $2) OR (state = 'running' AND lease_until <= $2))
             ORDER BY due_at, event_id LIMIT $5)
           AND EXISTS (SELECT 1 FROM webhooks WHERE id = $1 AND webhooks.state = 'enabled')
         RETURNING webhook_id, event_id, type, body, attempts, tries",
        "UPDATE webhook_messages SET state = 'running', attempts = attempts + 1, tries = tries + 1,
                                     lease_until = $3, lease_owner = $4
         WHERE webhook_id = $1 AND event_id IN (
             SELECT event_id FROM webhook_messages
             WHERE webhook_id = $1 AND ((state = 'waiting' AND due_at <= $2) OR (state = 'running' AND lease_until <= $2))
             ORDER BY due_at, event_id LIMIT $5 FOR UPDATE SKIP LOCKED)
           AND EXISTS (SELECT 1 FROM webhooks WHERE id = $1 AND webhooks.state = 'enabled')
         RETURNING webhook_id, event_id, type, body, attempts, tries",
    );
    FINISH = Sql::both(
        "UPDATE webhook_messages SET state = $5, lease_until = NULL, lease_owner = NULL
         WHERE webhook_id = $1 AND event_id = $2 AND state = 'running' AND lease_owner = $3 AND attempts = $4",
    );
    RETRY = Sql::both(
        "UPDATE webhook_messages SET state = 'waiting', due_at = $5, lease_until = NULL, lease_owner = NULL
         WHERE webhook_id = $1 AND event_id = $2 AND state = 'running' AND lease_owner = $3 AND attempts = $4",
    );
    HAND_BACK = Sql::both(
        "UPDATE webhook_messages SET state = 'waiting', tries = tries - 1, due_at = COALESCE($5, due_at),
                                     lease_until = NULL, lease_owner = NULL
         WHERE webhook_id = $1 AND event_id = $2 AND state = 'running' AND lease_owner = $3 AND attempts = $4",
    );
    REDELIVER = Sql::both(
        "UPDATE webhook_messages SET state = 'waiting', tries = 0, due_at = $3
         WHERE webhook_id = $1 AND event_id = $2 AND state <> 'running'",
    );
    STATE = Sql::both(
        "SELECT state FROM webhook_messages WHERE webhook_id = $1 AND event_id = $2",
    );
    BACKLOG = Sql::both(
        "SELECT COUNT(*), MIN(due_at) FROM webhook_messages
         JOIN webhooks ON webhooks.id = webhook_messages.webhook_id AND webhooks.state = 'enabled'
         WHERE webhook_messages.state = 'waiting' AND due_at <= $1",
    );
    // What is still to be sent stays, however old it is.
    SWEEP = Sql::both(
        "DELETE FROM webhook_messages WHERE (webhook_id, event_id) IN (
             SELECT webhook_id, event_id FROM webhook_messages
             WHERE created_at < $1 AND (state IN ('delivered', 'dead') OR NOT EXISTS
                 (SELECT 1 FROM webhooks WHERE id = webhook_messages.webhook_id AND webhooks.state = 'enabled'))
             ORDER BY created_at LIMIT $2)",
    );
}

/// Lets a message of this type wait for one endpoint, whatever its filter says.
pub async fn insert(
    tx: &mut Writer,
    (webhook, event): (WebhookId, EventId),
    (type_, body): (&str, &str),
    at: Timestamp,
) -> Result<(), Fault> {
    execute!(tx, INSERT, webhook, event, type_, body, at).map(|_rows| ())
}

/// The claim of one worker: what fences it.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// The pool that holds it.
    pub owner: Uuid,
    /// When somebody else may take the message.
    pub until: Timestamp,
}

/// A message in the hands of a worker.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Claimed {
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// The event: the `webhook-id` of every attempt.
    pub event_id: EventId,
    /// Its type.
    pub r#type: String,
    /// The bytes of every attempt.
    pub body: String,
    /// This attempt, from 1.
    pub attempts: i64,
    /// This attempt since the message was last begun, from 1.
    pub tries: i64,
}

/// Takes at most `limit` messages of one endpoint that are due, or whose lease is over; none if it is not enabled.
pub async fn claim(
    tx: &mut Writer,
    webhook: WebhookId,
    now: Timestamp,
    lease: Lease,
    limit: i64,
) -> Result<Vec<Claimed>, Fault> {
    all!(tx, CLAIM, webhook, now, lease.until, lease.owner, limit)
}

/// What a worker says of the message that it holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// The event.
    pub event_id: EventId,
    /// The pool.
    pub owner: Uuid,
    /// The attempt that was claimed.
    pub attempt: i64,
}

/// How a message ended, unless an operator begins it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The endpoint took it.
    Delivered,
    /// It failed in all its tries.
    Dead,
}

/// Ends a message; `false` if the lease was lost.
pub async fn finish(tx: &mut Writer, held: Held, end: End) -> Result<bool, Fault> {
    let state = match end {
        End::Delivered => "delivered",
        End::Dead => "dead",
    };
    let Held { webhook_id, event_id, owner, attempt } = held;
    Ok(execute!(tx, FINISH, webhook_id, event_id, owner, attempt, state)? == 1)
}

/// Lets a message be tried again at `due_at`; `false` if the lease was lost.
pub async fn retry(tx: &mut Writer, held: Held, due_at: Timestamp) -> Result<bool, Fault> {
    let Held { webhook_id, event_id, owner, attempt } = held;
    Ok(execute!(tx, RETRY, webhook_id, event_id, owner, attempt, due_at)? == 1)
}

/// Gives a message back that was not tried, due at `due_at` or as before; `false` if the lease was lost.
pub async fn hand_back(
    tx: &mut Writer,
    held: Held,
    due_at: Option<Timestamp>,
) -> Result<bool, Fault> {
    let Held { webhook_id, event_id, owner, attempt } = held;
    Ok(execute!(tx, HAND_BACK, webhook_id, event_id, owner, attempt, due_at)? == 1)
}

/// Begins a message again, due at `now`; `false` if it is being sent at this moment, or is not there.
pub async fn redeliver(
    tx: &mut Writer,
    webhook: WebhookId,
    event: EventId,
    now: Timestamp,
) -> Result<bool, Fault> {
    Ok(execute!(tx, REDELIVER, webhook, event, now)? == 1)
}

/// The stored state of a message: `waiting`, `running`, `delivered`, `dead`.
pub async fn state(
    db: &mut impl Read,
    webhook: WebhookId,
    event: EventId,
) -> Result<Option<String>, Fault> {
    let row: Option<(String,)> = optional!(db, STATE, webhook, event)?;
    Ok(row.map(|(state,)| state))
}

/// How many messages are due, and since when the oldest is.
pub async fn backlog(
    db: &mut impl Read,
    now: Timestamp,
) -> Result<(i64, Option<Timestamp>), Fault> {
    let row: Option<(i64, Option<Timestamp>)> = optional!(db, BACKLOG, now)?;
    Ok(row.unwrap_or((0, None)))
}

/// Removes at most `limit` messages made before `before` that nobody is going to send; how many that were.
pub async fn sweep(tx: &mut Writer, before: Timestamp, limit: i64) -> Result<u64, Fault> {
    execute!(tx, SWEEP, before, limit)
}
