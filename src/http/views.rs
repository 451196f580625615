//! What answers look like: users, sessions, tokens. Each member is always there unless its comment says when not.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::profile::{ProfileSchema, Reader};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::flows::tokens::Tokens;
use crate::flows::unique::Dropped;

/// The profile: the fields that the operator declared and somebody filled in.
#[derive(Debug, Serialize, serde::Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(as = Profile, value_type = Object)]
pub struct Profile(pub serde_json::Map<String, Value>);

/// A merge patch (RFC 7396) of a profile: members to set, and null for those to remove. What it leads to must fit the profile.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct ProfilePatch(pub serde_json::Map<String, Value>);

/// An account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserView {
    /// Names the account.
    #[schema(value_type = String, format = "uuid")]
    id: UserId,
    /// The address as its owner typed it.
    email: String,
    /// Whether the mailbox is proven.
    email_verified: bool,
    /// The username as typed, or null.
    username: Option<String>,
    /// `deleted`, `suspended`, `unverified` or `active`: the first that holds.
    status: &'static str,
    /// The roles, in order of their names.
    roles: Vec<String>,
    /// What the operator declared; fields that are not set are absent.
    #[schema(value_type = Profile)]
    profile: Value,
    /// When the account was made.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When what is shown here last changed, `last_login_at` apart.
    #[schema(value_type = String, format = "date-time")]
    updated_at: Timestamp,
    /// When its last session began, or null.
    #[schema(value_type = Option<String>, format = "date-time")]
    last_login_at: Option<Timestamp>,
    /// Counts the changes of what is shown; also the entity tag.
    version: i64,
}

impl UserView {
    /// What `to` may see of `user`.
    pub fn new(user: &User, schema: &ProfileSchema, to: Reader) -> Self {
        Self {
            id: user.id,
            email: user.email.clone(),
            email_verified: user.email_verified_at.is_some(),
            username: user.username.clone(),
            status: user.status().as_str(),
            roles: user.roles.0.clone(),
            profile: schema.visible(&Value::Object(user.profile.clone()), to),
            created_at: user.created_at,
            updated_at: user.updated_at,
            last_login_at: user.last_login_at,
            version: user.version,
        }
    }
}

/// One login on one device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionView {
    /// Names the session.
    #[schema(value_type = String, format = "uuid")]
    id: SessionId,
    /// What the client called itself, or null.
    user_agent: Option<String>,
    /// The address that it began from.
    address: String,
    /// When it began.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When it was last refreshed.
    #[schema(value_type = String, format = "date-time")]
    last_used_at: Timestamp,
    /// When it ends unless it is used.
    #[schema(value_type = String, format = "date-time")]
    expires_at: Timestamp,
    /// Whether it is the session of this call.
    current: bool,
}

impl SessionView {
    /// A session, seen from the session `current`.
    pub fn new(session: Session, current: SessionId) -> Self {
        Self {
            id: session.id,
            user_agent: session.user_agent,
            address: session.address,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            current: session.id == current,
        }
    }
}

/// A page of sessions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionPage {
    /// The sessions.
    pub items: Vec<SessionView>,
    /// Where the list goes on, or null at its end.
    pub next_cursor: Option<String>,
    /// How many there are in all; only with `count=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total: Option<i64>,
}

/// What there is to do after signing in.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Todo {
    /// The wished username was taken meanwhile.
    ChooseUsername,
    /// A wished value of the profile was taken meanwhile.
    UpdateProfile,
    /// An operator set the password.
    ChangePassword,
}

/// Tokens for somebody who signed in. Seconds are whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenAnswer {
    /// A JWT (RFC 9068) for `Authorization: Bearer`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// How long the access token is good, in seconds.
    expires_in: u64,
    /// Opaque, `pcr_…`; it is replaced at each refresh.
    refresh_token: String,
    /// How long the refresh token is good unless it is used, in seconds.
    refresh_expires_in: u64,
    /// The session of both.
    #[schema(value_type = String, format = "uuid")]
    session_id: SessionId,
    /// What to do next; only where there is something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    next: Vec<Todo>,
    /// Pointers to what was dropped at verification, because somebody else has it; only then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    dropped: Vec<String>,
}

impl TokenAnswer {
    /// The answer that holds `tokens`.
    pub fn new(tokens: &Tokens) -> Self {
        let must_change = tokens.must_change_password.then_some(Todo::ChangePassword);
        Self {
            access_token: tokens.access_token.clone(),
            token_type: "Bearer",
            expires_in: tokens.expires_in,
            refresh_token: tokens.refresh_token.expose().to_owned(),
            refresh_expires_in: tokens.refresh_expires_in,
            session_id: tokens.session_id,
            next: must_change.into_iter().collect(),
            dropped: Vec::new(),
        }
    }

    /// Says what went to somebody else, and so what to do.
    #[must_use]
    pub fn without(mut self, dropped: &Dropped) -> Self {
        self.dropped.extend_from_slice(dropped.pointers());
        self.next.extend(dropped.has_username().then_some(Todo::ChooseUsername));
        self.next.extend(dropped.has_profile().then_some(Todo::UpdateProfile));
        self
    }
}

/// An account that can be used at once, with the tokens of its first session.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedUpAnswer {
    /// The account.
    user: UserView,
    /// Its tokens.
    tokens: TokenAnswer,
}

impl SignedUpAnswer {
    /// What its user is told.
    pub fn new(app: &App, user: &User, tokens: &Tokens) -> Self {
        Self {
            user: UserView::new(user, &app.schema, Reader::User),
            tokens: TokenAnswer::new(tokens),
        }
    }
}

/// What becomes of a request whose outcome is told by mail.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Accepted {
    /// Prove the mailbox with the token that is mailed.
    VerificationRequired,
    /// If there is something to do, it is done.
    Accepted,
}

/// An answer that is the same for every address.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct AcceptedAnswer {
    /// What becomes of it.
    pub status: Accepted,
}
