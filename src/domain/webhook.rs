//! Webhooks: which events are told, what a message says of them, whom it goes to and when it is tried again.
//!
//! A message holds ids and public facts and nothing else (WHK-09). It is made once, with its event, so that every
//! attempt at every endpoint sends the same bytes, whatever is erased meanwhile.

mod delivery;
mod endpoint;

pub use delivery::{Delivery, Listed};
pub use endpoint::{DisabledReason, Endpoint, Filter, NoSuchWord, State};

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::event::{Action, Subject};
use super::ids::{SessionId, UserId};
use super::profile::{ProfileSchema, Reader};
use super::time::Timestamp;

/// The type of the message that an operator asks for to try an endpoint; no filter has it.
pub const TEST_TYPE: &str = "webhook.test";

/// What a message says beside the id of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facts {
    /// Nothing more.
    User,
    /// The names of the fields that changed.
    Changed,
    /// The session.
    Session,
    /// The role.
    Role,
}

impl Action {
    /// What is told of it; `None` for what is no webhook type (data.md).
    pub fn facts(self) -> Option<Facts> {
        match self {
            Self::UserCreated
            | Self::UserVerified
            | Self::UserSuspended
            | Self::UserReactivated
            | Self::UserInvited
            | Self::UserDeleted
            | Self::UserRestored
            | Self::UserErased
            | Self::EmailChanged
            | Self::PasswordChanged
            | Self::PasswordReset => Some(Facts::User),
            Self::UserUpdated => Some(Facts::Changed),
            Self::SessionStarted | Self::SessionEnded | Self::TokenReused => Some(Facts::Session),
            Self::RoleGranted | Self::RoleRevoked => Some(Facts::Role),
            Self::EmailChangeRequested
            | Self::EmailChangeCancelled
            | Self::SignupReplaced
            | Self::PasswordResetSent
            | Self::SessionReauthenticated
            | Self::WebhookCreated
            | Self::WebhookUpdated
            | Self::WebhookDisabled
            | Self::WebhookDeleted
            | Self::KeyAnnounced
            | Self::KeyImported
            | Self::KeyRotated
            | Self::KeyRevoked
            | Self::MailGivenUp => None,
        }
    }
}

/// Every type that an endpoint can ask for, and what its messages say.
pub fn catalogue() -> impl Iterator<Item = (Action, Facts)> {
    Action::ALL.iter().filter_map(|action| Some((*action, action.facts()?)))
}

/// The action that is this type.
pub fn action_of(name: &str) -> Option<Action> {
    catalogue().map(|(action, _)| action).find(|action| action.as_str() == name)
}

/// The body of a message; the order of the members is the order here.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Default, Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
}

/// What endpoints are told of an event; `None` if it is no webhook type, or says less than its type must.
pub fn message(
    (action, subject): (Action, &Subject),
    at: Timestamp,
    data: &Map<String, Value>,
    schema: &ProfileSchema,
) -> Option<String> {
    let facts = action.facts()?;
    let Subject::User(user) = subject else { return None };
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    // SECURITY: WHK-09. A list of what may go out: what else the trail keeps of an event stays there.
    let mut told = Data { user_id: Some(*user), ..Data::default() };
    match facts {
        Facts::User => {}
        Facts::Changed => {
            let names = data.get("changed").and_then(Value::as_array);
            let names = names.into_iter().flatten().filter_map(Value::as_str);
            told.changed = Some(names.filter(|name| is_public(name, schema)).collect());
        }
        Facts::Session => told.session_id = Some(text("session_id")?.parse().ok()?),
        Facts::Role => told.role = Some(text("role")?),
    }
    serde_json::to_string(&Body { r#type: action.as_str(), timestamp: at, data: told }).ok()
}

/// SECURITY: AUZ-07, WHK-09. Of a field that only administrators see not even the name goes out.
fn is_public(name: &str, schema: &ProfileSchema) -> bool {
    match name.strip_prefix("profile.") {
        Some(field) => schema.rule(field).is_some_and(|rule| rule.may_read(Reader::User)),
        None => true,
    }
}

/// The body of a message that tries an endpoint.
pub fn test_message(at: Timestamp) -> Option<String> {
    let body = Body { r#type: TEST_TYPE, timestamp: at, data: Data::default() };
    serde_json::to_string(&body).ok()
}

/// The pauses between attempts (WHK-04): 27 hours and a half in all.
const PAUSES: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(10),
];

/// LIMIT: WHK-04. How often a message is tried before it is given up.
pub const TRIES_MAX: i64 = 8;

/// LIMIT: what a receiver may ask for in `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(12);

/// How long to wait after the failed try `tries` (from 1); `None` when it was the last.
///
/// `jitter` draws a span up to the one it is given. It only lengthens a pause, by a fifth at most, so that the
/// tries span a day at least; what a receiver asked for lengthens it too, up to twelve hours.
pub fn pause(
    tries: i64,
    retry_after: Option<Duration>,
    jitter: impl FnOnce(Duration) -> Duration,
) -> Option<Duration> {
    let index = usize::try_from(tries.checked_sub(1)?).ok()?;
    let base = *PAUSES.get(index)?;
    let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
    Some(base.max(asked) + jitter(base / 5))
}

#[cfg(test)]
mod tests;
