//! The account as it is stored and shown: core columns, the declared profile, and who may have a token.

use serde_json::{Map, Value};

use super::ids::UserId;
use super::signup::EmailVerification;
use super::time::Timestamp;

/// What an account is, computed from its times, never stored: the first that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Deleted, and perhaps to be restored.
    Deleted,
    /// Barred by an operator.
    Suspended,
    /// Its mailbox is not proven yet.
    Unverified,
    /// None of these.
    Active,
}

impl Status {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Suspended => "suspended",
            Self::Unverified => "unverified",
            Self::Active => "active",
        }
    }
}

/// The roles of a user, in order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(pub Vec<String>);

impl Roles {
    /// LIMIT: a token stays below 3 500 bytes (JWT-16), so a user has at most this many.
    pub const MAX: usize = 16;
}

/// Reads what the database joins with commas; a role's name has none.
impl From<String> for Roles {
    fn from(joined: String) -> Self {
        Self(joined.split(',').filter(|role| !role.is_empty()).map(Into::into).collect())
    }
}

/// An account. `Debug` shows the id alone.
#[derive(Clone, PartialEq, sqlx::FromRow)]
pub struct User {
    /// Names the account.
    pub id: UserId,
    /// The address as its owner typed it.
    pub email: String,
    /// The address in the form that is compared.
    pub email_canonical: String,
    /// When the mailbox was proven.
    pub email_verified_at: Option<Timestamp>,
    /// The username as typed; before verification a wish that reserves nothing (ENU-12).
    pub username: Option<String>,
    /// What the operator declared and somebody filled in.
    #[sqlx(json)]
    pub profile: Map<String, Value>,
    /// The newest signup of an account that was never verified and never had a session.
    pub pending_since: Option<Timestamp>,
    /// Until when its invitation stands, unless it was taken; the account leaves then.
    pub invited_until: Option<Timestamp>,
    /// When an operator barred it.
    pub suspended_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// When everything personal was erased; what is left is a tombstone.
    pub erased_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When what is shown last changed.
    pub updated_at: Timestamp,
    /// When its last session began.
    pub last_login_at: Option<Timestamp>,
    /// Counts the changes of what is shown; the entity tag.
    pub version: i64,
    /// What it may do.
    #[sqlx(try_from = "String")]
    pub roles: Roles,
}

/// Why a user may not get a token now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// Suspended or deleted: answered like a wrong password (ENU-01).
    Barred,
    /// The mailbox is not proven (told only after the right password, ENU-10).
    Unverified,
}

impl User {
    /// What the account is.
    pub fn status(&self) -> Status {
        if self.deleted_at.is_some() {
            Status::Deleted
        } else if self.suspended_at.is_some() {
            Status::Suspended
        } else if self.email_verified_at.is_none() {
            Status::Unverified
        } else {
            Status::Active
        }
    }

    /// The one place that decides who may have a token; login, verify and refresh all ask it (SES-11).
    pub fn may_get_a_token(&self, needed: EmailVerification) -> Result<(), NoToken> {
        match (self.status(), needed) {
            (Status::Active, _) | (Status::Unverified, EmailVerification::Optional) => Ok(()),
            (Status::Unverified, EmailVerification::Required) => Err(NoToken::Unverified),
            (Status::Deleted | Status::Suspended, _) => Err(NoToken::Barred),
        }
    }

    /// An account that was made by an invitation, which nobody has taken yet.
    pub fn is_invited(&self) -> bool {
        self.invited_until.is_some() && self.status() == Status::Unverified
    }

    /// A signup that the next one on this address may replace (EML-13).
    pub fn is_pending_signup(&self) -> bool {
        self.pending_since.is_some() && self.status() == Status::Unverified
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}
