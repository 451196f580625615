//! One login on one device, and where a request came from.

use super::ids::{SessionId, UserId};
use super::time::Timestamp;
use super::user::User;

/// The client of tokens of our own sign-in (RFC 9068, `client_id`).
pub const OWN_CLIENT: &str = "portcullis";

/// Where a request came from, as far as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The address of the client, in text.
    pub address: String,
    /// What the client calls itself: printable, at most 256 characters.
    pub user_agent: Option<String>,
    /// Names the request in logs, problems and events.
    pub request_id: Option<String>,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its holder logged out.
    Logout,
    /// Its user ended it from the list of sessions.
    Ended,
    /// A retired refresh token came back (SES-03).
    Reuse,
    /// Its user was suspended.
    Suspended,
    /// Its user was deleted.
    Deleted,
    /// An operator ended it.
    Revoked,
    /// The password was changed by who knows the old one.
    PasswordChanged,
    /// The password was set by who holds the mailbox.
    PasswordReset,
    /// The address was changed.
    EmailChanged,
    /// The password was set anew.
    PasswordSet,
}

impl EndReason {
    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Ended => "ended",
            Self::Reuse => "refresh_token_reused",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
            Self::Revoked => "revoked",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::EmailChanged => "email_changed",
            Self::PasswordSet => "password_set",
        }
    }
}

/// One login on one device: a family of refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Session {
    /// Names the session.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// Which client signed in.
    pub client_id: String,
    /// For whom its access tokens are.
    pub audience: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub last_used_at: Timestamp,
    /// The nearer of the idle and the absolute end.
    pub expires_at: Timestamp,
    /// The absolute end; it never moves (SES-06).
    pub absolute_expires_at: Timestamp,
    /// When the password was last given.
    pub auth_time: Timestamp,
    /// The address that it began from.
    pub address: String,
    /// What the client called itself.
    pub user_agent: Option<String>,
}

/// A session as it is stored, ended or not.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredSession {
    /// The session.
    #[sqlx(flatten)]
    pub session: Session,
    /// When it was ended, unless it ended by itself.
    pub ended_at: Option<Timestamp>,
    /// Why it was ended: a word of [`EndReason`].
    pub end_reason: Option<String>,
}

/// Whom an access token names, as the database has it now.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SignedIn {
    /// The session of the token.
    pub session_id: SessionId,
    /// When the password was last given in it.
    pub session_auth_time: Timestamp,
    /// The user.
    #[sqlx(flatten)]
    pub user: User,
}
