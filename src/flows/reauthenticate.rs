//! A fresh `auth_time` for a session, and the calls that ask for one (AUZ-08).

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
) -> Result<Reauthenticated, ReproveError> {
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

async fn renew(tx: &mut Writer, change: &Renewal) -> Result<SignedIn, ReproveError> {
    let stamp = &change.stamp;
    let signed_in = change.proven.lock(tx, stamp.now).await?;
    if !sessions::reauthenticate(tx, signed_in.session_id, stamp.now).await? {
        return Err(ReproveError::SignedOut);
    }
    let (subject, data) = (Subject::User(signed_in.user.id), session_data(signed_in.session_id));
    events::append(tx, &stamp.event(Action::SessionReauthenticated, subject, data)?).await?;
    Ok(signed_in)
}
