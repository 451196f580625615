//! A line of the audit trail: who did what to whom, and how it ended.

use serde_json::{Map, Value};

use super::ids::{EventId, JobId, SessionId, UserId, WebhookId};
use super::time::Timestamp;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// What was done. The text is also the type of the webhook.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])* $name,)+
        }

        impl Action {
            /// The word that is stored.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

actions! {
    /// An account was made.
    UserCreated = "user.created";
    /// A mailbox was proven.
    UserVerified = "user.verified";
    /// What a user shows was changed.
    UserUpdated = "user.updated";
    /// An operator barred an account.
    UserSuspended = "user.suspended";
    /// An operator let a barred account in again.
    UserReactivated = "user.reactivated";
    /// Somebody was invited.
    UserInvited = "user.invited";
    /// An account was deleted; it can be restored for a while.
    UserDeleted = "user.deleted";
    /// A deleted account was restored.
    UserRestored = "user.restored";
    /// An account was erased; a tombstone without personal data stays.
    UserErased = "user.erased";
    /// A change of the address was asked for.
    EmailChangeRequested = "email.change_requested";
    /// A change of the address was cancelled.
    EmailChangeCancelled = "email.change_cancelled";
    /// The address was changed.
    EmailChanged = "email.changed";
    /// The password was changed by who knows the old one, or by an operator.
    PasswordChanged = "password.changed";
    /// An operator had a reset token mailed.
    PasswordResetSent = "password.reset_sent";
    /// The password was set by who holds the mailbox.
    PasswordReset = "password.reset";
    /// A pending signup was replaced by a newer one.
    SignupReplaced = "user.signup_replaced";
    /// A login succeeded.
    SessionStarted = "session.started";
    /// A session was ended.
    SessionEnded = "session.ended";
    /// The password was given again in a session.
    SessionReauthenticated = "session.reauthenticated";
    /// A retired refresh token came back, and its session was ended.
    TokenReused = "session.token_reused";
    /// A role was granted.
    RoleGranted = "role.granted";
    /// A role was taken away.
    RoleRevoked = "role.revoked";
    /// A webhook endpoint was made.
    WebhookCreated = "webhook.created";
    /// A webhook endpoint was changed.
    WebhookUpdated = "webhook.updated";
    /// A webhook endpoint was disabled.
    WebhookDisabled = "webhook.disabled";
    /// A webhook endpoint was removed.
    WebhookDeleted = "webhook.deleted";
    /// A successor was announced.
    KeyAnnounced = "key.announced";
    /// A key of an earlier issuer took the successor's place.
    KeyImported = "key.imported";
    /// A successor was told when it signs.
    KeyRotated = "key.rotated";
    /// A key was revoked.
    KeyRevoked = "key.revoked";
    /// A mail was not delivered in all its tries.
    MailGivenUp = "mail.given_up";
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user, signed in or proving a password.
    User(UserId),
    /// Somebody who has proven nothing.
    Anyone,
    /// An operator at the command line, by the name of the operating system's user.
    Cli(String),
    /// The service itself.
    System,
}

impl Actor {
    /// The kind that is stored: `user`, `anyone`, `cli`, `system`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Anyone => "anyone",
            Self::Cli(_) => "cli",
            Self::System => "system",
        }
    }

    /// The name that is stored.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::User(id) => Some(id.to_string()),
            Self::Cli(name) => Some(name.clone()),
            Self::Anyone | Self::System => None,
        }
    }
}

/// To whom or what it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An account.
    User(UserId),
    /// A signing key, by its thumbprint.
    Key(String),
    /// A job that was given up.
    Job(JobId),
    /// A webhook endpoint.
    Webhook(WebhookId),
}

impl Subject {
    /// The kind that is stored: `user`, `key`, `job`, `webhook`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Key(_) => "key",
            Self::Job(_) => "job",
            Self::Webhook(_) => "webhook",
        }
    }

    /// The name that is stored.
    pub fn id(&self) -> String {
        match self {
            Self::User(id) => id.to_string(),
            Self::Key(kid) => kid.clone(),
            Self::Job(id) => id.to_string(),
            Self::Webhook(id) => id.to_string(),
        }
    }
}

/// A line of the audit trail. `data` names changed fields and sessions, never a secret.
#[derive(Clone, Debug)]
pub struct Event {
    /// Names the event; sorts by time.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// To whom.
    pub subject: Subject,
    /// The request that did it.
    pub request_id: Option<String>,
    /// Hash over `address` and `data` under `details_key`: the trail stays valid when these are erased (LOG-10).
    pub details_hash: [u8; 32],
    /// The key of `details_hash`, of this event alone; erased with the details, so that no guess can be tried.
    pub details_key: [u8; 32],
    /// The address that it came from; erased with the account.
    pub address: Option<String>,
    /// Changed field names and the like; erased with the account.
    pub data: Map<String, Value>,
}

/// A line of the trail about an account, as it is read back.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct OwnEvent {
    /// Names the event; sorts by time.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// A kind of [`Actor`].
    pub actor_kind: String,
    /// The name of the actor.
    pub actor_id: Option<String>,
    /// What was done.
    pub action: String,
    /// How it ended.
    pub outcome: String,
    /// The request that did it.
    pub request_id: Option<String>,
    /// The address that it came from, until it is erased.
    pub address: Option<String>,
    /// Changed field names and the like, until they are erased.
    #[sqlx(json)]
    pub data: Map<String, Value>,
}

/// The member of `data` that names a session.
pub fn session_data(session: SessionId) -> Map<String, Value> {
    Map::from_iter([("session_id".into(), Value::String(session.to_string()))])
}
