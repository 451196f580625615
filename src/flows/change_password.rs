//! A new password for whoever knows the old one: every older session ends, and a new one begins (SES-09).

use std::time::Duration;

use crate::app::App;
use crate::domain::event::{Action, Actor, Subject, session_data};
use crate::domain::ids::UserId;
use crate::domain::job::{Letter, Mail};
use crate::domain::password::PlainPassword;
use crate::domain::password_hash::PasswordHash;
use crate::domain::session::{EndReason, Origin, SignedIn};
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::flows::reprove::{Proven, ReproveError, reprove};
use crate::flows::tokens::{Opening, Tokens};
use crate::flows::{Stamp, life, mails};
use crate::store::one_time_tokens::{self, Purpose};
use crate::store::{Writer, credentials, email_changes, events, sessions};
use crate::{Fault, deadline};

/// What somebody changes the password with.
pub struct PasswordChange {
    /// The password so far, checked for its greatest length only.
    pub current: PlainPassword,
    /// The password that is wanted, found good enough.
    pub new: PlainPassword,
    /// Where it came from.
    pub origin: Origin,
}

/// Changes one's own password; the tokens of a new session.
pub async fn change_password(
    app: &App,
    signed_in: &SignedIn,
    change: PasswordChange,
) -> Result<Tokens, ReproveError> {
    let proven = reprove(app, signed_in, change.current).await?;
    let hash = app.hasher.hash(change.new.into_inner(), deadline::current_std()).await?;
    let stamp = Stamp::new(app, Actor::User(proven.user_id), change.origin);
    let at = (&stamp.origin, stamp.now);
    // Our own calls take no other audience, so it is that of the session so far.
    let audience = app.settings.own_audience();
    let version = next_version(stamp.now, Some(proven.set_at));
    let opening = Opening::new(app, &signed_in.user, audience, version, at);
    let replacement = Replacement { stamp, proven, hash, opening: opening.clone() };
    let user = app.store.write(replacement, |tx, change| Box::pin(replace(tx, change))).await?;
    Ok(opening.tokens(app, &user, false)?)
}

struct Replacement {
    stamp: Stamp,
    proven: Proven,
    hash: PasswordHash,
    opening: Opening,
}

async fn replace(tx: &mut Writer, change: &Replacement) -> Result<User, ReproveError> {
    let stamp = &change.stamp;
    let user = change.proven.lock(tx, stamp.now).await?.user;
    credentials::set(tx, user.id, &change.hash, change.opening.credential_set_at).await?;
    life::end_sessions(tx, stamp, user.id, EndReason::PasswordChanged).await?;
    void_what_the_password_guarded(tx, user.id).await?;
    if !change.opening.store(tx).await? {
        return Err(ReproveError::SignedOut);
    }
    sessions::touch_user(tx, user.id, stamp.now).await?;
    let subject = Subject::User(user.id);
    let changed = stamp.event(Action::PasswordChanged, subject.clone(), serde_json::Map::new())?;
    events::append(tx, &changed).await?;
    let data = session_data(change.opening.session.id);
    events::append(tx, &stamp.event(Action::SessionStarted, subject, data)?).await?;
    tell_owner(tx, stamp, &user).await?;
    Ok(user)
}

/// The version of a credential that replaces the one of `before`: another one, even if the clock was put back.
pub(super) fn next_version(now: Timestamp, before: Option<Timestamp>) -> Timestamp {
    before.map_or(now, |before| now.max(before.plus(Duration::from_micros(1))))
}

/// SECURITY: EML-05, EML-06. With a new password no reset and no change of the address from before goes on.
pub(super) async fn void_what_the_password_guarded(
    tx: &mut Writer,
    user: UserId,
) -> Result<(), Fault> {
    for purpose in [Purpose::PasswordReset, Purpose::EmailChange, Purpose::EmailChangeCancel] {
        one_time_tokens::void(tx, user, purpose).await?;
    }
    email_changes::drop(tx, user).await
}

/// EML-11. Only a proven mailbox is told: another may be a stranger's (EML-13).
pub(super) async fn tell_owner(tx: &mut Writer, stamp: &Stamp, user: &User) -> Result<(), Fault> {
    if user.email_verified_at.is_none() {
        return Ok(());
    }
    let letter = Letter::PasswordChanged;
    let notice = Mail { to: user.email.clone(), user_id: user.id, letter };
    mails::post(tx, stamp, notice).await.map(|_is_posted| ())
}
