//! A verification: the token proves the mailbox, the password the person who signed up (EML-13).

use std::sync::Arc;

use serde_json::Map;

use crate::app::App;
use crate::crypto::random;
use crate::domain::event::{Action, Actor, Subject, session_data};
use crate::domain::password::PlainPassword;
use crate::domain::password_hash::PasswordHash;
use crate::domain::profile::ProfileSchema;
use crate::domain::session::Origin;
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenDigest, TokenKind, TokenSecret};
use crate::domain::user::{Status, User};
use crate::flows::Stamp;
use crate::flows::tokens::{Opening, Tokens};
use crate::flows::unique::{self, Dropped};
use crate::store::one_time_tokens::{self, Purpose};
use crate::store::{Writer, credentials, events, users};
use crate::{Fault, deadline};

/// What somebody proves a mailbox with.
pub struct Proof {
    /// The token of the mail, as it was sent.
    pub token: String,
    /// The password of the signup, checked for its greatest length only.
    pub password: PlainPassword,
    /// Where it came from.
    pub origin: Origin,
}

/// Why nothing was verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The token is unknown, used, expired, replaced or for something else: one answer.
    #[error("the token is not valid")]
    TokenInvalid,
    /// The password is wrong, or its user may not sign in. The token stays.
    #[error("the credentials are not valid")]
    BadCredentials,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A proven mailbox: tokens of a first session, and the wishes that went to somebody else meanwhile.
#[derive(Debug)]
pub struct Verified {
    /// The tokens.
    pub tokens: Tokens,
    /// What was taken meanwhile, and is dropped.
    pub dropped: Dropped,
}

/// Spends the token, marks the mailbox proven and opens a session.
pub async fn verify_email(app: &App, proof: Proof) -> Result<Verified, VerifyError> {
    let token = TokenSecret::parse(TokenKind::EmailVerification, &proof.token)
        .ok_or(VerifyError::TokenInvalid)?;
    let digest = random::digest(&token);
    let holder = {
        let mut db = app.store.read().await?;
        one_time_tokens::find_live(&mut db, &digest, Purpose::EmailVerification, app.clock.now())
            .await?
            .ok_or(VerifyError::TokenInvalid)?
    };
    let hash = holder.hash.clone().unwrap_or_else(PasswordHash::none);
    let password = proof.password.into_inner();
    let checked = app.hasher.verify(password, Some(hash.clone()), deadline::current_std()).await?;
    let user = holder.user;
    let set_at = holder.set_at.filter(|_| checked.matches).ok_or(VerifyError::BadCredentials)?;
    if user.status() != Status::Unverified {
        return Err(refused(&user));
    }
    let stamp = Stamp::new(app, Actor::User(user.id), proof.origin);
    let at = (&stamp.origin, stamp.now);
    let opening = Opening::new(app, &user, app.settings.own_audience(), set_at, at);
    let schema = Arc::clone(&app.schema);
    let checked = (set_at, hash);
    let change = Verification { stamp, digest, checked, user, opening: opening.clone(), schema };
    let proven = app.store.write(change, |tx, change| Box::pin(store_proof(tx, change))).await?;
    let tokens = opening.tokens(app, &proven.user, proven.must_change)?;
    Ok(Verified { tokens, dropped: proven.dropped })
}

struct Verification {
    stamp: Stamp,
    digest: TokenDigest,
    /// The credential whose hash was checked (EML-05).
    checked: (Timestamp, PasswordHash),
    user: User,
    opening: Opening,
    schema: Arc<ProfileSchema>,
}

/// The account as it is once its mailbox is proven.
struct Proven {
    user: User,
    dropped: Dropped,
    /// Whether an operator set the password, and it is to be changed.
    must_change: bool,
}

async fn store_proof(tx: &mut Writer, change: &Verification) -> Result<Proven, VerifyError> {
    let (id, now) = (change.user.id, change.stamp.now);
    // SECURITY: EML-04. The row count of one conditional statement is the decision.
    if !one_time_tokens::spend(tx, &change.digest, Purpose::EmailVerification, now).await? {
        return Err(VerifyError::TokenInvalid);
    }
    let checked = (change.checked.0, change.checked.1.expose());
    if !users::verify(tx, id, now, checked).await? {
        let meanwhile = users::find(tx, id).await?;
        return Err(meanwhile.as_ref().map_or(VerifyError::BadCredentials, refused));
    }
    let user = users::find(tx, id).await?.ok_or_else(|| Fault::internal("the user is gone"))?;
    let (user, dropped) = unique::claim_wishes(tx, &change.schema, user).await?;
    if !change.opening.store(tx).await? {
        return Err(VerifyError::BadCredentials);
    }
    let (stamp, subject) = (&change.stamp, Subject::User(id));
    let verified = stamp.event(Action::UserVerified, subject.clone(), Map::new())?;
    events::append(tx, &verified).await?;
    let data = session_data(change.opening.session.id);
    events::append(tx, &stamp.event(Action::SessionStarted, subject, data)?).await?;
    let credential = credentials::find(tx, id).await?;
    let must_change = credential.is_some_and(|credential| credential.must_change);
    Ok(Proven { user, dropped, must_change })
}

/// Why a right password verifies nothing: the mailbox is proven already, so the token is for nothing any more; or the
/// user may not sign in, or the password was another one meanwhile.
fn refused(user: &User) -> VerifyError {
    match user.status() {
        Status::Active => VerifyError::TokenInvalid,
        _ => VerifyError::BadCredentials,
    }
}
