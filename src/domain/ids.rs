//! Ids: `UUIDv7` in text. An id names, it never grants (ENU-11).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type,
        )]
        #[serde(transparent)]
        #[sqlx(transparent, no_pg_array)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )+};
}

ids! {
    /// Names a user.
    UserId;
    /// Names a session: one login on one device, a family of refresh tokens.
    SessionId;
    /// Names a job; also the Message-ID of its mail.
    JobId;
    /// Names an event of the audit trail.
    EventId;
    /// Names a webhook endpoint.
    WebhookId;
    /// Names one attempt at sending a webhook message.
    DeliveryId;
}
