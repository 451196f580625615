//! Another address: asked for with the password, confirmed at the new mailbox, cancelled from the old one (EML-12).
//!
//! The confirmation needs token and password. The old address works until then.

mod confirm;

pub use confirm::{ConfirmError, Confirmation, cancel, confirm};

use std::time::Duration;

use serde_json::Map;

use crate::Fault;
use crate::app::App;
use crate::crypto::random;
use crate::domain::email::EmailAddress;
use crate::domain::event::{Action, Actor, Subject};
use crate::domain::job::{Letter, Mail};
use crate::domain::password::PlainPassword;
use crate::domain::session::{Origin, SignedIn};
use crate::domain::token::{TokenKind, TokenSecret};
use crate::domain::user::{Status, User};
use crate::flows::reprove::{Proven, ReproveError, reprove};
use crate::flows::{Stamp, mails};
use crate::store::email_changes::{self, EmailChange};
use crate::store::one_time_tokens::{self, NewOneTimeToken, Purpose};
use crate::store::{Writer, events, users};

/// What somebody asks for another address with.
pub struct Request {
    /// The address that is wanted.
    pub email: EmailAddress,
    /// The password, checked for its greatest length only.
    pub password: PlainPassword,
    /// Where it came from.
    pub origin: Origin,
}

/// Why nothing was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It is the address of the account already.
    #[error("the account has this address")]
    OwnAddress,
    /// The password proved nothing, or it could not be done.
    #[error(transparent)]
    Reprove(#[from] ReproveError),
}

impl From<Fault> for RequestError {
    fn from(fault: Fault) -> Self {
        Self::Reprove(fault.into())
    }
}

/// Takes the wish down, and mails the new address and the old one. For a taken address it is the same (ENU-08).
pub async fn request(
    app: &App,
    signed_in: &SignedIn,
    request: Request,
) -> Result<(), RequestError> {
    let (email, canonical) = request.email.into_parts();
    let email_canonical = canonical.as_str().to_owned();
    if email_canonical == signed_in.user.email_canonical {
        return Err(RequestError::OwnAddress);
    }
    let proven = reprove(app, signed_in, request.password).await?;
    let stamp = Stamp::new(app, Actor::User(proven.user_id), request.origin);
    let lifetime = app.settings.email_change_lifetime;
    let wish = EmailChange {
        email,
        email_canonical,
        session_id: proven.session_id,
        requested_at: stamp.now,
        expires_at: stamp.now.plus(lifetime),
    };
    let change = Asking {
        confirm: app.random.token(TokenKind::EmailChange),
        cancel: app.random.token(TokenKind::EmailChangeCancel),
        stamp,
        proven,
        wish,
        lifetime,
    };
    app.store.write(change, |tx, change| Box::pin(take_down(tx, change))).await
}

struct Asking {
    stamp: Stamp,
    proven: Proven,
    wish: EmailChange,
    lifetime: Duration,
    confirm: TokenSecret,
    cancel: TokenSecret,
}

impl Asking {
    fn token(&self, secret: &TokenSecret, purpose: Purpose, bound_to: &str) -> NewOneTimeToken {
        NewOneTimeToken {
            digest: random::digest(secret),
            user_id: self.proven.user_id,
            purpose,
            bound_to: bound_to.to_owned(),
            created_at: self.stamp.now,
            expires_at: self.wish.expires_at,
            credential_set_at: Some(self.proven.set_at),
        }
    }
}

async fn take_down(tx: &mut Writer, change: &Asking) -> Result<(), RequestError> {
    let stamp = &change.stamp;
    let user = change.proven.lock(tx, stamp.now).await?.user;
    if user.email_canonical == change.wish.email_canonical {
        return Err(RequestError::OwnAddress);
    }
    email_changes::set(tx, user.id, &change.wish).await?;
    mail_new(tx, change, &user).await?;
    mail_old(tx, change, &user).await?;
    let subject = Subject::User(user.id);
    let event = stamp.event(Action::EmailChangeRequested, subject, Map::new())?;
    Ok(events::append(tx, &event).await?)
}

/// SECURITY: ENU-08. The wish and its token are there whether the address is free or not; of a taken one nobody is
/// mailed the token, so that whoever asks sees no difference in what a later call does either.
async fn mail_new(tx: &mut Writer, change: &Asking, user: &User) -> Result<(), Fault> {
    let address = &change.wish.email_canonical;
    let holder = users::find_by_email(tx, address).await?;
    // A pending signup reserves nothing: whoever proves the mailbox first has the address.
    let holder = holder.filter(|holder| !holder.is_pending_signup());
    let mail = match holder.as_ref().map(|holder| (holder, holder.status())) {
        None => {
            let token = change.confirm.expose().to_owned();
            let letter = Letter::EmailChange { token, lifetime_s: change.lifetime.as_secs() };
            Some(Mail { to: change.wish.email.clone(), user_id: user.id, letter })
        }
        Some((holder, Status::Active)) => Some(notice(holder, Letter::AlreadyRegistered)),
        Some((holder, Status::Deleted)) => Some(notice(holder, Letter::AddressHeld)),
        Some((_, Status::Suspended | Status::Unverified)) => None,
    };
    match mail {
        Some(mail) => {
            let token = change.token(&change.confirm, Purpose::EmailChange, address);
            mails::post_token(tx, &change.stamp, &token, mail).await.map(|_is_posted| ())
        }
        None => one_time_tokens::void(tx, user.id, Purpose::EmailChange).await,
    }
}

/// SECURITY: EML-08. To the stored address of whoever has it.
fn notice(holder: &User, letter: Letter) -> Mail {
    Mail { to: holder.email.clone(), user_id: holder.id, letter }
}

async fn mail_old(tx: &mut Writer, change: &Asking, user: &User) -> Result<(), Fault> {
    let token = change.cancel.expose().to_owned();
    let lifetime_s = change.lifetime.as_secs();
    let mail = notice(user, Letter::EmailChangeRequested { token, lifetime_s });
    let token = change.token(&change.cancel, Purpose::EmailChangeCancel, &user.email_canonical);
    mails::post_token(tx, &change.stamp, &token, mail).await.map(|_is_posted| ())
}
