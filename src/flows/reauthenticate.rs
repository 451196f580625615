//! A fresh `auth_time` for a session, and the calls that ask for one (AUZ-08).

use crate::Fault;
use crate::app::App;
use crate::domain::event::{Action, Actor, Subject, session_data};
use crate::domain::ids::SessionId;
use crate::domain::password::PlainPassword;
use crate::domain::session::{Origin, SignedIn};
use crate::flows::Stamp;
use crate::flows::reprove::{Proven, ReproveError, reprove};
use crate::flows::tokens;
use crate::store::{Writer, events, sessions};

/// The password was given too long ago.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a recent sign-in is required")]
pub struct NotFresh;

/// Refuses whoever gave the password longer than `token.fresh_auth` ago.
pub fn require_fresh(app: &App, signed_in: &SignedIn) -> Result<(), NotFresh> {
    // SECURITY: AUZ-08. By the session's row, not by the token.
    let age = app.clock.now().since(signed_in.session_auth_time);
    if age > app.settings.fresh_auth { Err(NotFresh) } else { Ok(()) }
}

/// Why the session stays as old as it is.
#[derive(Debug, thiserror::Error)]
pub enum ReauthenticateError {
    /// The password is wrong.
    #[error("the credentials are not valid")]
    BadCredentials,
    /// The session ended meanwhile, or its user may not sign in any more.
    #[error("the user may not sign in any more")]
    SignedOut,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<ReproveError> for ReauthenticateError {
    fn from(error: ReproveError) -> Self {
        match error {
            ReproveError::BadCredentials => Self::BadCredentials,
            ReproveError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// An access token of a session whose password was just given. The refresh token in hand stays.
#[derive(Debug)]
pub struct Reauthenticated {
    /// The signed access token.
    pub access_token: String,
    /// How long it is good, in seconds from now.
    pub expires_in: u64,
    /// The session.
    pub session_id: SessionId,
}

/// Tries the password, notes the moment in the session and signs an access token that says so.
pub async fn reauthenticate(
    app: &App,
    signed_in: &SignedIn,
    password: PlainPassword,
    origin: Origin,
) -> Result<Reauthenticated, ReauthenticateError> {
    let proven = reprove(app, signed_in, password).await?;
    let stamp = Stamp::new(app, Actor::User(proven.user_id), origin);
    let now = stamp.now;
    let change = Renewal { stamp, proven };
    let renewed = app.store.write(change, |tx, change| Box::pin(renew(tx, change))).await?;
    let subject = tokens::Subject {
        user: &renewed.user,
        session_id: renewed.session_id,
        // Our own calls take no other, so it is the session's.
        audience: app.settings.own_audience(),
        auth_time: now,
    };
    Ok(Reauthenticated {
        access_token: tokens::access_token(app, &subject, now)?,
        expires_in: app.settings.access_lifetime.as_secs(),
        session_id: renewed.session_id,
    })
}

struct Renewal {
    stamp: Stamp,
    proven: Proven,
}

async fn renew(tx: &mut Writer, change: &Renewal) -> Result<SignedIn, ReauthenticateError> {
    let stamp = &change.stamp;
    let found = change.proven.lock(tx, stamp.now).await?;
    let signed_in = found.ok_or(ReauthenticateError::SignedOut)?;
    if !sessions::reauthenticate(tx, signed_in.session_id, stamp.now).await? {
        return Err(ReauthenticateError::SignedOut);
    }
    let (subject, data) = (Subject::User(signed_in.user.id), session_data(signed_in.session_id));
    events::append(tx, &stamp.event(Action::SessionReauthenticated, subject, data)?).await?;
    Ok(signed_in)
}
