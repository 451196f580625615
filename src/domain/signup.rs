//! Who may sign up, what an account needs before it can be used, and how much a mailbox is sent.

use std::time::Duration;

/// Who may sign up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignupMode {
    /// Anybody.
    Open,
    /// Whoever holds an invitation.
    Invite,
    /// Nobody.
    Closed,
}

/// What an account needs before it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailVerification {
    /// A proven mailbox.
    Required,
    /// Nothing; the mailbox may be proven later.
    Optional,
}

/// Mails to one mailbox and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailPolicy {
    /// So many at once.
    pub burst: u32,
    /// Then one in each such span.
    pub interval: Duration,
    /// At most so many in an hour.
    pub hourly: u32,
}

/// The kinds of mails that are limited apart, so that none uses up another's allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// Proves a mailbox.
    Verification,
    /// Invites somebody.
    Invitation,
    /// Resets a password.
    Reset,
    /// Confirms a change of the address.
    EmailChange,
    /// Tells what happened to the account.
    Notice,
    /// Tells of a try that anybody can make, so that nobody can use up the notices of what happened.
    Attempt,
}

impl MailKind {
    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verification => "verification",
            Self::Invitation => "invitation",
            Self::Reset => "reset",
            Self::EmailChange => "email_change",
            Self::Notice => "notice",
            Self::Attempt => "attempt",
        }
    }
}
