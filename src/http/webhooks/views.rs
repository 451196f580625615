//! What endpoints and deliveries look like. Each member is always there, null where it is empty.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::catalogue::EventType;
use crate::domain::ids::{DeliveryId, EventId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{Endpoint, Listed, State};

/// Whether anything is sent.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookState {
    /// Events are kept for it and sent.
    Enabled,
    /// Nothing is sent, and new events are not kept for it.
    Disabled,
}

impl From<State> for WebhookState {
    fn from(state: State) -> Self {
        match state {
            State::Enabled => Self::Enabled,
            State::Disabled => Self::Disabled,
        }
    }
}

impl From<WebhookState> for State {
    fn from(state: WebhookState) -> Self {
        match state {
            WebhookState::Enabled => Self::Enabled,
            WebhookState::Disabled => Self::Disabled,
        }
    }
}

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookView {
    /// Names the endpoint.
    #[schema(value_type = String, format = "uuid")]
    pub id: WebhookId,
    /// Where messages go, in its normal form.
    pub url: String,
    /// The types that it is told of, or `*` alone.
    #[schema(value_type = Vec<EventType>)]
    pub events: Vec<&'static str>,
    /// What an operator says of it.
    pub description: Option<String>,
    /// Whether anything is sent.
    pub state: WebhookState,
    /// Why nothing is sent: `operator`, `failing` (it took nothing for `webhooks.disable_after`) or `gone` (it answered
    /// 410).
    pub disabled_reason: Option<String>,
    /// Since when every attempt failed; it moves without the version.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub failing_since: Option<Timestamp>,
    /// Until when messages are signed with the former secret too.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub previous_secret_until: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = "date-time")]
    pub updated_at: Timestamp,
    /// Counts the changes; also the entity tag.
    pub version: i64,
}

impl From<Endpoint> for WebhookView {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            id: endpoint.id,
            url: endpoint.url,
            events: endpoint.events.words(),
            description: endpoint.description,
            state: endpoint.state.into(),
            disabled_reason: endpoint.disabled_reason,
            failing_since: endpoint.failing_since,
            previous_secret_until: endpoint.previous_secret_until,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
            version: endpoint.version,
        }
    }
}

/// An endpoint and its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookWithSecret)]
pub struct SecretView {
    /// The endpoint.
    #[serde(flatten)]
    pub webhook: WebhookView,
    /// What checks the signatures: `whsec_` and base64 of 32 bytes, as the libraries of Standard Webhooks take it.
    #[schema(format = "password")]
    pub secret: String,
}

/// A page of endpoints, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookPage {
    /// The endpoints.
    pub items: Vec<WebhookView>,
    /// Where the list goes on, or null at its end.
    pub next_cursor: Option<String>,
    /// How many there are in all; only with `count=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total: Option<i64>,
}

/// One attempt at sending a message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryView {
    /// Names the attempt.
    #[schema(value_type = String, format = "uuid")]
    pub id: DeliveryId,
    /// The `webhook-id`: the event, the same on all attempts.
    #[schema(value_type = String, format = "uuid")]
    pub event_id: EventId,
    /// The type of the message.
    pub r#type: String,
    /// Which attempt at the message, from 1.
    pub attempt: i64,
    /// When it began.
    #[schema(value_type = String, format = "date-time")]
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// The status of the answer, or null where none came.
    pub status: Option<i64>,
    /// Why it failed, or null: `status`, `redirect`, `timeout`, `connection`, `address` (one that must not be called),
    /// `abandoned` (each attempt ended with the process), `unsendable`, `secret`, `panic`.
    pub error: Option<String>,
    /// What has become of the message: `waiting`, `running`, `delivered`, `dead` (given up), or null when it has left.
    pub message_state: Option<String>,
    /// When the message is tried next, or null.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub next_attempt_at: Option<Timestamp>,
}

impl From<Listed> for DeliveryView {
    fn from(listed: Listed) -> Self {
        let delivery = listed.delivery;
        Self {
            id: delivery.id,
            event_id: delivery.event_id,
            r#type: delivery.r#type,
            attempt: delivery.attempt,
            at: delivery.at,
            duration_ms: delivery.duration_ms,
            status: delivery.status,
            error: delivery.error,
            message_state: listed.message_state,
            next_attempt_at: listed.next_attempt_at,
        }
    }
}

/// A page of attempts, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryPage {
    /// The attempts.
    pub items: Vec<DeliveryView>,
    /// Where the list goes on, or null at its end.
    pub next_cursor: Option<String>,
    /// How many there are in all; only with `count=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total: Option<i64>,
}

/// A message that tries an endpoint.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct TestAnswer {
    /// Always `accepted`: the message waits to be sent.
    pub status: &'static str,
    /// Its `webhook-id`; it finds the attempt among the deliveries.
    #[schema(value_type = String, format = "uuid")]
    pub event_id: EventId,
}
