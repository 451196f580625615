//! What happens after the commit: the kinds of jobs, what each carries, and how it is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{JobId, UserId};
use super::signup::MailKind;
use super::time::Timestamp;

/// What a job is to do. It may run twice, so the second run must be harmless.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// Hand over one mail.
    Mail(Mail),
    /// Look whether this address has an account to verify, and if so make its mail (ENU-05).
    ResendVerification {
        /// The address in the form that is compared.
        email_canonical: String,
    },
    /// Look whether this address has an account whose password can be reset, and if so make its mail (ENU-05).
    ForgotPassword {
        /// The address in the form that is compared.
        email_canonical: String,
    },
}

/// One mail, before it is rendered.
#[derive(Clone, Serialize, Deserialize)]
pub struct Mail {
    /// The stored address of the account, as its owner typed it (EML-08).
    pub to: String,
    /// The account that it is about.
    pub user_id: UserId,
    /// What it says.
    pub letter: Letter,
}

/// What a mail says.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "letter", rename_all = "snake_case")]
pub enum Letter {
    /// Prove this mailbox.
    Verify {
        /// The one-time token, in clear: the payload is sealed.
        token: String,
        /// How long it is good, in seconds.
        lifetime_s: u64,
    },
    /// Somebody signed up with this address, or wants to move an account to it; it has an account.
    AlreadyRegistered,
    /// Somebody signed up with this address, whose account is deleted and still holds it.
    AddressHeld,
    /// Set a new password.
    Reset {
        /// The one-time token.
        token: String,
        /// How long it is good, in seconds.
        lifetime_s: u64,
    },
    /// To the new address: confirm that the account moves here.
    EmailChange {
        /// The one-time token.
        token: String,
        /// How long it is good, in seconds.
        lifetime_s: u64,
    },
    /// To the old address: somebody wants to move the account away from here.
    EmailChangeRequested {
        /// The one-time token that cancels it.
        token: String,
        /// How long it is good, in seconds.
        lifetime_s: u64,
    },
    /// To the old address: the account has moved.
    EmailChanged,
    /// Take the account that was made for this address.
    Invitation {
        /// The one-time token.
        token: String,
        /// How long it is good, in seconds.
        lifetime_s: u64,
    },
    /// The password was changed, or reset by mail.
    PasswordChanged,
    /// An operator set the password; it must be changed at the next login.
    PasswordSet,
    /// A login from a device that the account has not seen (EML-11).
    NewDevice {
        /// The moment of the login.
        at: Timestamp,
        /// The client's address, `""` if it is not known.
        address: String,
        /// What the client calls itself: its own text, shown inert (EML-15).
        user_agent: Option<String>,
    },
    /// The account is deleted, and can be restored for a while.
    AccountDeleted {
        /// For how long, in seconds.
        grace_s: u64,
    },
    /// The account was restored.
    AccountRestored,
}

impl Letter {
    /// Which allowance of the mailbox it uses (api.md section 8).
    pub fn mail_kind(&self) -> MailKind {
        match self {
            Self::Verify { .. } => MailKind::Verification,
            Self::Invitation { .. } => MailKind::Invitation,
            Self::Reset { .. } => MailKind::Reset,
            Self::EmailChange { .. } => MailKind::EmailChange,
            Self::AlreadyRegistered | Self::AddressHeld => MailKind::AttemptNotice,
            Self::EmailChangeRequested { .. } => MailKind::CancelNotice,
            Self::EmailChanged => MailKind::AddressNotice,
            Self::PasswordChanged | Self::PasswordSet => MailKind::PasswordNotice,
            Self::NewDevice { .. } => MailKind::DeviceNotice,
            Self::AccountDeleted { .. } | Self::AccountRestored => MailKind::Notice,
        }
    }
}

impl Letter {
    /// Whether it still goes out once the account is deleted.
    ///
    /// What has happened does: who takes an account over and deletes it must not silence its notices (EML-11). What asks
    /// for something that a deleted account cannot do, or is no longer true, does not.
    pub fn is_for_deleted(&self) -> bool {
        match self {
            Self::AddressHeld
            | Self::AccountDeleted { .. }
            | Self::EmailChanged
            | Self::PasswordChanged
            | Self::PasswordSet
            | Self::NewDevice { .. } => true,
            Self::Verify { .. }
            | Self::AlreadyRegistered
            | Self::Reset { .. }
            | Self::EmailChange { .. }
            | Self::EmailChangeRequested { .. }
            | Self::Invitation { .. }
            | Self::AccountRestored => false,
        }
    }
}

impl Task {
    /// Every kind that this binary knows. It claims no others: a newer one may have enqueued them.
    pub const KINDS: &[&str] = &["mail", "resend_verification", "forgot_password"];
    /// The kinds that look an address up.
    pub const LOOK_UPS: [&'static str; 2] = ["resend_verification", "forgot_password"];

    /// The kind that is stored.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Mail(_) => "mail",
            Self::ResendVerification { .. } => "resend_verification",
            Self::ForgotPassword { .. } => "forgot_password",
        }
    }

    /// Mails that are made go before look-ups that make mails (ENU-05): lower is sooner.
    pub fn priority(&self) -> i64 {
        match self {
            Self::Mail(_) => 0,
            Self::ResendVerification { .. } | Self::ForgotPassword { .. } => 10,
        }
    }
}

/// SECURITY: LOG-03. A payload holds tokens and addresses.
impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Task({})", self.kind())
    }
}

/// A job that is to be enqueued with the change that causes it.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Names the job on every attempt; the Message-ID of its mail.
    pub id: JobId,
    /// The kind, for claims and metrics.
    pub kind: &'static str,
    /// Lower is sooner.
    pub priority: i64,
    /// The sealed payload.
    pub payload: Vec<u8>,
    /// At most one waiting job has the same kind and key.
    pub dedupe_key: Option<Vec<u8>>,
    /// When it was made, and is due.
    pub created_at: Timestamp,
}

/// A job in the hands of a worker.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ClaimedJob {
    /// Names the job.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// The sealed payload.
    pub payload: Option<Vec<u8>>,
    /// This attempt, from 1.
    pub attempts: i64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The ceiling of the pause after attempt `attempt` (from 1): 5 s, doubled, at most 4 h.
///
/// With the 12 attempts of the built-in configuration a mail is given up after one and a half hours on average,
/// and after three at the latest.
pub fn backoff(attempt: i64) -> Duration {
    let doublings = u32::try_from(attempt.clamp(1, 13) - 1).unwrap_or(0);
    Duration::from_secs(5).saturating_mul(1 << doublings).min(Duration::from_hours(4))
}
