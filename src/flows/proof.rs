//! The mail that lets the owner of an unproven mailbox in: a verification token, or the invitation of an invited account.

use crate::Fault;
use crate::app::App;
use crate::domain::user::{Status, User};
use crate::flows::Stamp;
use crate::flows::invitation::InvitationLetter;
use crate::flows::signup::VerifyLetter;
use crate::store::Writer;

/// Both mails, of which an account gets the one that is its own.
#[derive(Clone)]
pub struct ProofLetter {
    verify: VerifyLetter,
    invitation: InvitationLetter,
}

impl ProofLetter {
    /// New tokens for both.
    pub fn new(app: &App, stamp: &Stamp) -> Self {
        Self {
            verify: VerifyLetter::new(app, stamp),
            invitation: InvitationLetter::new(app, stamp),
        }
    }

    /// The verification mail alone.
    pub fn verify(&self) -> &VerifyLetter {
        &self.verify
    }

    /// Mails the invitation again, if `user` was invited; whether they were.
    pub async fn post_invitation(&self, tx: &mut Writer, user: &User) -> Result<bool, Fault> {
        if !user.is_invited() {
            return Ok(false);
        }
        // SECURITY: EML-08. To the stored address, however somebody spelled it.
        self.invitation.post(tx, user).await.map(|_is_posted| true)
    }

    /// Mails whatever a locked, unverified account needs; nothing to any other.
    pub async fn post(&self, tx: &mut Writer, user: &User) -> Result<(), Fault> {
        if user.status() != Status::Unverified || self.post_invitation(tx, user).await? {
            return Ok(());
        }
        self.verify.post(tx, user.id, &user.email, &user.email_canonical).await
    }
}
