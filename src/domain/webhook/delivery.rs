//! An attempt at sending a message, as it is kept: nothing of the answer but its status.

use crate::domain::ids::{DeliveryId, EventId, WebhookId};
use crate::domain::time::Timestamp;

/// An attempt.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Delivery {
    /// Names the attempt.
    pub id: DeliveryId,
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// The event: the `webhook-id`.
    pub event_id: EventId,
    /// The type of the message.
    pub r#type: String,
    /// Which attempt at this message, from 1.
    pub attempt: i64,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// The status of the answer, if one came.
    pub status: Option<i64>,
    /// Why it failed: a word of a fixed list; nothing that the receiver said.
    pub error: Option<String>,
}

/// An attempt, and what has become of its message.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Listed {
    /// The attempt.
    #[sqlx(flatten)]
    pub delivery: Delivery,
    /// `waiting`, `running`, `delivered` or `dead`; `None` when the message has left.
    pub message_state: Option<String>,
    /// When the message is tried next, if it is.
    pub next_attempt_at: Option<Timestamp>,
}
