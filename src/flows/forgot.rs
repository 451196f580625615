//! A forgotten password: every address costs one look-up job and nothing else (ENU-05); the worker does the rest.

use std::time::Duration;

use crate::Fault;
use crate::app::App;
use crate::crypto::random;
use crate::domain::email::CanonicalEmail;
use crate::domain::event::Actor;
use crate::domain::job::{Letter, Mail, NewJob, Task};
use crate::domain::session::Origin;
use crate::domain::token::{TokenKind, TokenSecret};
use crate::domain::user::{Status, User};
use crate::flows::invitation::InvitationLetter;
use crate::flows::resend::enqueue_look_up;
use crate::flows::{Stamp, mails};
use crate::store::one_time_tokens::{NewOneTimeToken, Purpose};
use crate::store::{Writer, credentials, users};

/// Accepts an address: if it has an account whose password can be reset, a mail goes out.
pub async fn forgot(app: &App, email: CanonicalEmail, origin: Origin) -> Result<(), Fault> {
    let stamp = Stamp::new(app, Actor::Anyone, origin);
    let key = app.sealer.keyed_hash("forgot_password", email.as_str().as_bytes());
    let task = Task::ForgotPassword { email_canonical: email.as_str().to_owned() };
    let job = NewJob { dedupe_key: Some(key.to_vec()), ..stamp.job(&task)? };
    app.store.write(job, |tx, job| Box::pin(enqueue_look_up(tx, job))).await
}

/// A reset token that is to be stored and mailed.
#[derive(Clone)]
pub struct ResetLetter {
    secret: TokenSecret,
    lifetime: Duration,
    invitation: InvitationLetter,
    stamp: Stamp,
}

impl ResetLetter {
    /// A new token.
    pub fn new(app: &App, stamp: &Stamp) -> Self {
        Self {
            secret: app.random.token(TokenKind::PasswordReset),
            lifetime: app.settings.reset_lifetime,
            invitation: InvitationLetter::new(app, stamp),
            stamp: stamp.clone(),
        }
    }

    /// Makes the token the one that resets the password of a locked `user`, and enqueues its mail; `false` where
    /// the mailbox has had enough, and the token mailed last stays good.
    pub async fn post(&self, tx: &mut Writer, user: &User) -> Result<bool, Fault> {
        if user.is_invited() {
            return self.invitation.post(tx, user).await;
        }
        // SECURITY: EML-05. A stranger's signup on an unverified address voids no reset of its owner.
        let credential_set_at = match user.email_verified_at {
            Some(_) => credentials::find(tx, user.id).await?.map(|credential| credential.set_at),
            None => None,
        };
        let token = NewOneTimeToken {
            digest: random::digest(&self.secret),
            user_id: user.id,
            purpose: Purpose::PasswordReset,
            bound_to: user.email_canonical.clone(),
            created_at: self.stamp.now,
            expires_at: self.stamp.now.plus(self.lifetime),
            credential_set_at,
        };
        let letter = Letter::Reset {
            token: self.secret.expose().to_owned(),
            lifetime_s: self.lifetime.as_secs(),
        };
        // SECURITY: EML-08. To the stored address, however somebody spelled it.
        let mail = Mail { to: user.email.clone(), user_id: user.id, letter };
        mails::post_token(tx, &self.stamp, &token, mail).await
    }
}

/// Looks the address up and enqueues its mail, in the transaction that ends the look-up job.
pub async fn look_up(
    tx: &mut Writer,
    email_canonical: &str,
    letter: &ResetLetter,
) -> Result<(), Fault> {
    match users::lock_by_email(tx, email_canonical).await? {
        Some(user) if matches!(user.status(), Status::Active | Status::Unverified) => {
            letter.post(tx, &user).await.map(|_is_posted| ())
        }
        _ => Ok(()),
    }
}
