//! The end of a wish for another address: confirmed or cancelled, and of both at once one wins.

use std::sync::Arc;

use serde_json::Map;

use crate::app::App;
use crate::crypto::random;
use crate::domain::event::{Action, Actor, Subject};
use crate::domain::ids::UserId;
use crate::domain::job::{Letter, Mail};
use crate::domain::password::PlainPassword;
use crate::domain::password_hash::PasswordHash;
use crate::domain::profile::ProfileSchema;
use crate::domain::session::{EndReason, Origin};
use crate::domain::signup::EmailVerification;
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenDigest, TokenKind, TokenSecret};
use crate::domain::user::User;
use crate::flows::erase::bury;
use crate::flows::life::{self, LifeError, Operation};
use crate::flows::{Stamp, mails, unique};
use crate::store::email_changes::{self, EmailChange};
use crate::store::one_time_tokens::{self, Purpose};
use crate::store::user_life::Erasable;
use crate::store::{Writer, credentials, events, sessions, users};
use crate::{Fault, deadline};

/// What confirms a change of the address.
pub struct Confirmation {
    /// The token of the mail, as it was sent.
    pub token: String,
    /// The password, checked for its greatest length only.
    pub password: PlainPassword,
    /// Where it came from.
    pub origin: Origin,
}

/// Why the address stays.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// The token is unknown, used, expired, replaced or cancelled, or somebody else has the address: one answer.
    #[error("the token is not valid")]
    TokenInvalid,
    /// The password is wrong, or its user may not sign in. The token stays.
    #[error("the credentials are not valid")]
    BadCredentials,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Moves the account to the address that was wished for.
pub async fn confirm(app: &App, confirmation: Confirmation) -> Result<(), ConfirmError> {
    let token = TokenSecret::parse(TokenKind::EmailChange, &confirmation.token);
    let digest = random::digest(&token.ok_or(ConfirmError::TokenInvalid)?);
    let holder = {
        let mut db = app.store.read().await?;
        let now = app.clock.now();
        one_time_tokens::find_live(&mut db, &digest, Purpose::EmailChange, now).await?
    };
    let holder = holder.ok_or(ConfirmError::TokenInvalid)?;
    // SECURITY: EML-12. A stranger's click must not tie a mailbox to an account: the password shows whose wish it is.
    let hash = holder.hash.unwrap_or_else(PasswordHash::none);
    let password = confirmation.password.into_inner();
    let checked = app.hasher.verify(password, Some(hash), deadline::current_std()).await?;
    let needed = app.settings.email_verification;
    let (true, Some(set_at), Ok(())) =
        (checked.matches, holder.set_at, holder.user.may_get_a_token(needed))
    else {
        return Err(ConfirmError::BadCredentials);
    };
    let id = holder.user.id;
    let stamp = Stamp::new(app, Actor::User(id), confirmation.origin);
    let schema = Arc::clone(&app.schema);
    let change = Move { stamp, schema, id, digest, set_at, needed };
    app.store.write(change, |tx, change| Box::pin(move_account(tx, change))).await
}

struct Move {
    stamp: Stamp,
    schema: Arc<ProfileSchema>,
    id: UserId,
    digest: TokenDigest,
    /// The version of the credential that was checked.
    set_at: Timestamp,
    needed: EmailVerification,
}

async fn move_account(tx: &mut Writer, change: &Move) -> Result<(), ConfirmError> {
    let (id, stamp) = (change.id, &change.stamp);
    // SECURITY: EML-04. The row count of one conditional statement is the decision.
    if !one_time_tokens::spend(tx, &change.digest, Purpose::EmailChange, stamp.now).await? {
        return Err(ConfirmError::TokenInvalid);
    }
    let old = lock(tx, change).await?;
    // SECURITY: EML-12. Whoever takes the wish away decides: a cancellation meanwhile has won.
    let wish = email_changes::take(tx, id, stamp.now).await?.ok_or(ConfirmError::TokenInvalid)?;
    make_room(tx, stamp, &wish).await?;
    let address = (wish.email.as_str(), wish.email_canonical.as_str());
    if !users::move_email(tx, id, address, stamp.now).await? {
        return Err(Fault::internal("a locked user was barred by somebody else").into());
    }
    end_others(tx, stamp, id, &wish).await?;
    for purpose in [Purpose::EmailChangeCancel, Purpose::PasswordReset, Purpose::EmailVerification]
    {
        one_time_tokens::void(tx, id, purpose).await?;
    }
    tell(tx, stamp, id, Action::EmailChanged).await?;
    if old.email_verified_at.is_some() {
        // EML-11. To the old address.
        let notice = Mail { to: old.email.clone(), user_id: id, letter: Letter::EmailChanged };
        mails::post(tx, stamp, notice).await?;
        return Ok(());
    }
    // The first mailbox that this account proves: it takes what it wished for.
    unique::claim_wishes(tx, &change.schema, old).await?;
    Ok(tell(tx, stamp, id, Action::UserVerified).await?)
}

/// The account, kept from other changes, if the password that was checked is still the one.
async fn lock(tx: &mut Writer, change: &Move) -> Result<User, ConfirmError> {
    let user = users::lock(tx, change.id).await?;
    let user = user.filter(|user| user.may_get_a_token(change.needed).is_ok());
    let user = user.ok_or(ConfirmError::BadCredentials)?;
    let credential = credentials::find(tx, change.id).await?;
    match credential {
        Some(credential) if credential.set_at == change.set_at => Ok(user),
        _ => Err(ConfirmError::TokenInvalid),
    }
}

/// Erases a pending signup on the address; whoever else has it keeps it.
async fn make_room(tx: &mut Writer, stamp: &Stamp, wish: &EmailChange) -> Result<(), ConfirmError> {
    let Some(holder) = users::lock_by_email(tx, &wish.email_canonical).await? else {
        return Ok(());
    };
    if !holder.is_pending_signup() {
        return Err(ConfirmError::TokenInvalid);
    }
    let stamp = stamp.clone().by(Actor::System);
    let operation = Operation::within(stamp, holder.id, Erasable::Any);
    match bury(tx, &operation).await {
        Ok(_tombstone) => Ok(()),
        Err(LifeError::Fault(fault)) => Err(fault.into()),
        Err(_) => Err(ConfirmError::TokenInvalid),
    }
}

/// SECURITY: SES-09. Every session ends but the one that asked.
async fn end_others(
    tx: &mut Writer,
    stamp: &Stamp,
    id: UserId,
    wish: &EmailChange,
) -> Result<(), Fault> {
    let reason = EndReason::EmailChanged;
    for session in sessions::end_others(tx, id, wish.session_id, stamp.now, reason).await? {
        life::tell_ended(tx, stamp, id, session).await?;
    }
    Ok(())
}

async fn tell(tx: &mut Writer, stamp: &Stamp, id: UserId, action: Action) -> Result<(), Fault> {
    events::append(tx, &stamp.event(action, Subject::User(id), Map::new())?).await
}

/// Cancels the wish, with the token that was mailed to the old address.
pub async fn cancel(app: &App, token: &str, origin: Origin) -> Result<(), ConfirmError> {
    let token = TokenSecret::parse(TokenKind::EmailChangeCancel, token);
    let digest = random::digest(&token.ok_or(ConfirmError::TokenInvalid)?);
    let holder = {
        let mut db = app.store.read().await?;
        let now = app.clock.now();
        one_time_tokens::find_live(&mut db, &digest, Purpose::EmailChangeCancel, now).await?
    };
    let id = holder.ok_or(ConfirmError::TokenInvalid)?.user.id;
    let stamp = Stamp::new(app, Actor::User(id), origin);
    let change = (stamp, id, digest);
    app.store.write(change, |tx, change| Box::pin(call_off(tx, change))).await
}

async fn call_off(
    tx: &mut Writer,
    (stamp, id, digest): &(Stamp, UserId, TokenDigest),
) -> Result<(), ConfirmError> {
    // SECURITY: EML-04. As above.
    if !one_time_tokens::spend(tx, digest, Purpose::EmailChangeCancel, stamp.now).await? {
        return Err(ConfirmError::TokenInvalid);
    }
    users::lock(tx, *id).await?;
    if email_changes::take(tx, *id, stamp.now).await?.is_none() {
        return Err(ConfirmError::TokenInvalid);
    }
    one_time_tokens::void(tx, *id, Purpose::EmailChange).await?;
    Ok(tell(tx, stamp, *id, Action::EmailChangeCancelled).await?)
}
