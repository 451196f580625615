//! What the service does: one story a file, read from top to bottom. Ask, hash, one named change, answer.

pub mod audit;
pub mod authenticate;
pub mod change_email;
pub mod change_password;
pub mod check_profiles;
pub mod create_user;
pub mod delete_account;
mod devices;
pub mod erase;
pub mod export;
pub mod forgot;
pub mod idempotency;
pub mod invitation;
pub mod invite;
pub mod keys;
pub mod life;
pub mod login;
pub mod logout;
pub mod mails;
pub mod me;
pub mod own_events;
pub mod passwords;
pub mod proof;
pub mod reauthenticate;
pub mod refresh;
pub mod reprove;
pub mod resend;
pub mod reset_password;
pub mod revoke_sessions;
pub mod roles;
pub mod send_reset;
pub mod sessions;
pub mod set_password;
pub mod settle_values;
pub mod signup;
mod signup_at_once;
mod stamp;
pub mod suspend;
pub mod sweep;
pub mod tokens;
pub mod unique;
pub mod update;
pub mod verify_email;
pub mod vouch;

pub(crate) use stamp::JOB_PAYLOAD;
pub use stamp::Stamp;

use std::time::Duration;

use crate::domain::keys::SigningAlgorithm;
use crate::domain::signup::{EmailVerification, MailPolicy, SignupMode};

/// What the operator decided about flows and tokens.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The issuer: `public_url`, without a final slash.
    pub issuer: String,
    /// The site that mailed links lead to.
    pub ui_url: String,
    /// Whom tokens are for; the first is this service itself.
    pub audiences: Vec<String>,
    /// `token.user_scope`.
    pub user_scope: String,
    /// `token.algorithm`.
    pub algorithm: SigningAlgorithm,
    /// `token.access_lifetime`.
    pub access_lifetime: Duration,
    /// `token.session_idle`.
    pub session_idle: Duration,
    /// `token.session_max`.
    pub session_max: Duration,
    /// `token.refresh_reuse_window`.
    pub refresh_reuse_window: Duration,
    /// `token.key_announce`.
    pub key_announce: Duration,
    /// `signup.verify_lifetime`.
    pub verify_lifetime: Duration,
    /// `token.fresh_auth`.
    pub fresh_auth: Duration,
    /// `signup.mode`.
    pub signup_mode: SignupMode,
    /// `signup.email_verification`.
    pub email_verification: EmailVerification,
    /// `signup.invitation_lifetime`.
    pub invitation_lifetime: Duration,
    /// `password.reset_lifetime`.
    pub reset_lifetime: Duration,
    /// `accounts.email_change_lifetime`.
    pub email_change_lifetime: Duration,
    /// `accounts.deletion_grace`.
    pub deletion_grace: Duration,
    /// `accounts.unverified_lifetime`.
    pub unverified_lifetime: Duration,
    /// `audit.retention`; `None` keeps the trail for ever.
    pub audit_retention: Option<Duration>,
    /// Mails to one mailbox and kind; `None` with `limits.enabled = false`.
    pub mail_limits: Option<MailPolicy>,
}

impl Settings {
    /// The audience of tokens that this service accepts itself.
    pub fn own_audience(&self) -> &str {
        self.audiences.first().map_or("", String::as_str)
    }
}
