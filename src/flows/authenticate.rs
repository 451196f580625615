//! Who calls: the access token is checked, then session and user are looked up, on every call (SES-10).

use std::sync::Arc;

use portcullis_verify::{Claims, Refused};

use crate::Fault;
use crate::app::{App, Verifying};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::SignedIn;
use crate::flows::keys;
use crate::store::sessions;

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// The token is bad in any way, or its session or user ended: one answer (JWT-19).
    #[error("the access token is not valid")]
    Invalid,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Finds the live session and the user that `token` names.
pub async fn authenticate(app: &App, token: &str) -> Result<SignedIn, AuthenticateError> {
    let claims = match claims(app, token).await? {
        Ok(claims) => claims,
        Err(_refused) => return Err(AuthenticateError::Invalid),
    };
    let (session, user) = names(&claims).ok_or(AuthenticateError::Invalid)?;
    let mut db = app.store.read().await?;
    let found = sessions::find_signed_in(&mut db, session, app.clock.now()).await?;
    found
        .filter(|signed_in| signed_in.user.id == user)
        .filter(|found| found.user.may_get_a_token(app.settings.email_verification).is_ok())
        .ok_or(AuthenticateError::Invalid)
}

/// The session and the user that a token of our own sign-in names.
pub fn names(claims: &Claims) -> Option<(SessionId, UserId)> {
    let session = claims.sid.as_deref()?.parse().ok()?;
    Some((session, claims.sub.parse().ok()?))
}

/// Checks signature and claims; an unknown key is looked for in the database, now and then.
pub async fn claims(app: &App, token: &str) -> Result<Result<Arc<Claims>, Refused>, Fault> {
    match check(app, &app.keys.verifying(), token) {
        Err(Refused::UnknownKey) if keys::read_again(app).await? => {
            Ok(check(app, &app.keys.verifying(), token))
        }
        checked => Ok(checked),
    }
}

fn check(app: &App, held: &Verifying, token: &str) -> Result<Arc<Claims>, Refused> {
    let now = app.clock.now().seconds();
    let digest = crate::crypto::random::sha256(token.as_bytes());
    // SECURITY: SES-10. What is remembered is that signature and claims are good, never past `exp`, and no more.
    if let Some(claims) = held.verified.get(&digest).filter(|claims| claims.exp > now) {
        return Ok(claims);
    }
    let claims = Arc::new(portcullis_verify::verify(token, &held.set, &app.policy, now)?);
    held.verified.insert(digest, Arc::clone(&claims));
    Ok(claims)
}
