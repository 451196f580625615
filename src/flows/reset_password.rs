//! A password for whoever holds the mailbox: the one flow that sets one without the old one (EML-09).
//!
//! Its first statement spends a token of that purpose. It logs nobody in, and of an account that was never
//! verified it keeps nothing that was set before the proof (EML-13).

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::app::App;
use crate::crypto::random;
use crate::domain::event::{Action, Actor, Subject};
use crate::domain::ids::UserId;
use crate::domain::password::PasswordError;
use crate::domain::password_hash::PasswordHash;
use crate::domain::profile::{ProfileSchema, Writer as By};
use crate::domain::session::{EndReason, Origin};
use crate::domain::token::{TokenDigest, TokenKind, TokenSecret};
use crate::domain::user::{Status, User};
use crate::flows::change_password::{next_version, tell_owner, void_what_the_password_guarded};
use crate::flows::passwords::{NewPasswordError, check_new};
use crate::flows::{Stamp, life};
use crate::store::one_time_tokens::{self, Purpose};
use crate::store::{Writer, credentials, events, users};
use crate::{Fault, deadline};

/// What somebody resets a password with.
pub struct Reset {
    /// The token of the mail, as it was sent.
    pub token: String,
    /// The password that is wanted, as it was sent.
    pub password: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Why the password stays.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The token is unknown, used, expired, replaced or for something else, or its user is barred: one answer.
    #[error("the token is not valid")]
    TokenInvalid,
    /// The password is not good enough. The token stays.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<NewPasswordError> for ResetError {
    fn from(error: NewPasswordError) -> Self {
        match error {
            NewPasswordError::Refused(error) => Self::Password(error),
            NewPasswordError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// Spends the token and sets the password.
pub async fn reset_password(app: &App, reset: Reset) -> Result<(), ResetError> {
    // Quick and without the account's own words, so that what can never be is told before the token is.
    app.passwords.wanted(&reset.password, &[])?;
    let token = TokenSecret::parse(TokenKind::PasswordReset, &reset.token);
    let digest = random::digest(&token.ok_or(ResetError::TokenInvalid)?);
    let holder = {
        let mut db = app.store.read().await?;
        let now = app.clock.now();
        one_time_tokens::find_live(&mut db, &digest, Purpose::PasswordReset, now).await?
    };
    let holder = holder.map(|holder| holder.user).filter(may_reset);
    let user = holder.ok_or(ResetError::TokenInvalid)?;
    let mut own = vec![user.email.as_str(), user.email_canonical.as_str()];
    own.extend(user.username.as_deref());
    let password = check_new(app, &reset.password, &own).await?;
    let hash = app.hasher.hash(password.into_inner(), deadline::current_std()).await?;
    let change = Change {
        stamp: Stamp::new(app, Actor::User(user.id), reset.origin),
        schema: Arc::clone(&app.schema),
        id: user.id,
        digest,
        hash,
    };
    app.store.write(change, |tx, change| Box::pin(store_reset(tx, change))).await
}

/// SECURITY: SES-11. A reset is no way around a suspension or a deletion.
fn may_reset(user: &User) -> bool {
    matches!(user.status(), Status::Active | Status::Unverified)
}

struct Change {
    stamp: Stamp,
    schema: Arc<ProfileSchema>,
    id: UserId,
    digest: TokenDigest,
    hash: PasswordHash,
}

async fn store_reset(tx: &mut Writer, change: &Change) -> Result<(), ResetError> {
    let (id, stamp) = (change.id, &change.stamp);
    // SECURITY: EML-04. The row count of one conditional statement is the decision.
    if !one_time_tokens::spend(tx, &change.digest, Purpose::PasswordReset, stamp.now).await? {
        return Err(ResetError::TokenInvalid);
    }
    let found = users::lock(tx, id).await?.filter(may_reset);
    let user = found.ok_or(ResetError::TokenInvalid)?;
    let before = credentials::find(tx, id).await?.map(|credential| credential.set_at);
    credentials::set(tx, id, &change.hash, next_version(stamp.now, before)).await?;
    life::end_sessions(tx, stamp, id, EndReason::PasswordReset).await?;
    void_what_the_password_guarded(tx, id).await?;
    if user.status() == Status::Unverified {
        start_anew(tx, change, &user).await?;
    }
    let event = stamp.event(Action::PasswordReset, Subject::User(id), Map::new())?;
    events::append(tx, &event).await?;
    let proven = User { email_verified_at: Some(stamp.now), ..user };
    Ok(tell_owner(tx, stamp, &proven).await?)
}

/// SECURITY: EML-13. Whoever set it up may be a stranger: the mailbox's owner finds nothing of theirs.
async fn start_anew(tx: &mut Writer, change: &Change, user: &User) -> Result<(), Fault> {
    let stamp = &change.stamp;
    let profile = untouched(&change.schema, &user.profile);
    if !users::prove_mailbox(tx, user.id, stamp.now, &profile).await? {
        return Err(Fault::internal("a locked user was verified by somebody else"));
    }
    for purpose in [Purpose::EmailVerification, Purpose::Invitation] {
        one_time_tokens::void(tx, user.id, purpose).await?;
    }
    let verified = stamp.event(Action::UserVerified, Subject::User(user.id), Map::new())?;
    events::append(tx, &verified).await
}

/// What no user can have written, and defaults for the rest.
fn untouched(schema: &ProfileSchema, profile: &Map<String, Value>) -> Map<String, Value> {
    let is_admins = |name: &str| schema.rule(name).is_some_and(|rule| !rule.may_write(By::User));
    let kept = profile.iter().filter(|(name, _)| is_admins(name));
    let mut kept = Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect());
    schema.fill_defaults(&mut kept);
    match kept {
        Value::Object(kept) => kept,
        _ => Map::new(),
    }
}
