//! Giving the password again in a session: the one door of every call of one's own that carries a password.

use crate::app::App;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::password::PlainPassword;
use crate::domain::password_hash::PasswordHash;
use crate::domain::session::SignedIn;
use crate::domain::signup::EmailVerification;
use crate::domain::time::Timestamp;
use crate::store::{Writer, credentials, sessions, users};
use crate::{Fault, deadline};

/// Why a call of one's own that carries the password did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReproveError {
    /// It is not the user's, or the user has none.
    #[error("the credentials are not valid")]
    BadCredentials,
    /// The session ended meanwhile, or its user may not sign in any more.
    #[error("the user may not sign in any more")]
    SignedOut,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A password that was right a moment ago, and in which session.
#[derive(Clone, Copy, Debug)]
pub struct Proven {
    /// The user.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// The version of the credential.
    pub set_at: Timestamp,
    needed: EmailVerification,
}

/// Tries the password of whoever is signed in. No handle may be open meanwhile.
pub async fn reprove(
    app: &App,
    signed_in: &SignedIn,
    password: PlainPassword,
) -> Result<Proven, ReproveError> {
    let user_id = signed_in.user.id;
    let found = credentials::find(&mut app.store.read().await?, user_id).await?;
    let (hash, set_at) = match found {
        Some(credential) => (credential.hash, Some(credential.set_at)),
        None => (PasswordHash::none(), None),
    };
    let password = password.into_inner();
    let checked = app.hasher.verify(password, Some(hash), deadline::current_std()).await?;
    let set_at = set_at.filter(|_| checked.matches).ok_or(ReproveError::BadCredentials)?;
    let needed = app.settings.email_verification;
    Ok(Proven { user_id, session_id: signed_in.session_id, set_at, needed })
}

impl Proven {
    /// Session and user, kept from other changes; [`ReproveError::SignedOut`] if what was proven is not so any more.
    ///
    /// SECURITY: SES-09, SES-11. A suspension, an end of the session or a new password during the hash wins.
    pub async fn lock(&self, tx: &mut Writer, now: Timestamp) -> Result<SignedIn, ReproveError> {
        users::lock(tx, self.user_id).await?;
        let credential = credentials::find(tx, self.user_id).await?;
        if credential.is_none_or(|credential| credential.set_at != self.set_at) {
            return Err(ReproveError::SignedOut);
        }
        let found = sessions::find_signed_in(tx, self.session_id, now).await?;
        let found = found.filter(|found| found.user.may_get_a_token(self.needed).is_ok());
        found.ok_or(ReproveError::SignedOut)
    }
}
