//! A signup that needs no proof of the mailbox first (`signup.email_verification = "optional"`): a session at once.
//!
//! Whoever asks learns whether an address has an account; that is the price of the mode.

use serde_json::Map;

use crate::app::App;
use crate::domain::event::{Action, Actor, Subject, session_data};
use crate::domain::ids::UserId;
use crate::domain::password_hash::PasswordHash;
use crate::domain::user::{Roles, User};
use crate::flows::Stamp;
use crate::flows::idempotency::Keep;
use crate::flows::signup::{Once, SignedUp, Signup, SignupError, VerifyLetter, keep_answer};
use crate::flows::tokens::Opening;
use crate::store::unique_values::{self, USERNAME};
use crate::store::users::{self, NewUser};
use crate::store::{Writer, credentials, events, sessions};
use crate::{Fault, deadline};

/// Makes the account and its first session, and mails the token that proves the mailbox.
pub(super) async fn signup_at_once(
    app: &App,
    signup: Signup,
    once: Option<&Once>,
) -> Result<SignedUp, SignupError> {
    let hash = app.hasher.hash(signup.password.into_inner(), deadline::current_std()).await?;
    let stamp = Stamp::new(app, Actor::Anyone, signup.origin);
    let new = NewUser::new(
        UserId(app.random.uuid(stamp.now)),
        signup.email,
        signup.username.as_ref(),
        signup.profile,
        stamp.now,
    );
    let user = as_made(&new);
    let at = (&stamp.origin, stamp.now);
    let opening = Opening::new(app, &user, app.settings.own_audience(), stamp.now, at);
    let tokens = opening.clone().tokens(app, &user, false)?;
    let signed_up = SignedUp::AtOnce { user: Box::new(user), tokens: Box::new(tokens) };
    let change = AtOnce {
        username_canonical: signup.username.map(|name| name.into_parts().1),
        keep: once.map(|once| once.keep(app, &signed_up)).transpose()?,
        letter: VerifyLetter::new(app, &stamp),
        new,
        hash,
        opening,
        stamp,
    };
    app.store.write(change, |tx, change| Box::pin(store(tx, change))).await?;
    Ok(signed_up)
}

/// The account as it will be, once it is stored.
fn as_made(new: &NewUser) -> User {
    User {
        id: new.id,
        email: new.email.clone(),
        email_canonical: new.email_canonical.clone(),
        email_verified_at: None,
        username: new.username.clone(),
        profile: new.profile.clone(),
        pending_since: None,
        invited_until: None,
        suspended_at: None,
        deleted_at: None,
        erased_at: None,
        created_at: new.created_at,
        updated_at: new.created_at,
        last_login_at: Some(new.created_at),
        version: 1,
        roles: Roles::default(),
    }
}

struct AtOnce {
    new: NewUser,
    username_canonical: Option<String>,
    hash: PasswordHash,
    letter: VerifyLetter,
    opening: Opening,
    keep: Option<Keep>,
    stamp: Stamp,
}

async fn store(tx: &mut Writer, change: &AtOnce) -> Result<(), SignupError> {
    let (new, stamp) = (&change.new, &change.stamp);
    // ENU-09, ENU-12: before the mailbox is proven the name is a wish; a verified holder's is told.
    if let Some(username) = &change.username_canonical
        && unique_values::find_holder(tx, USERNAME, username).await?.is_some()
    {
        return Err(SignupError::UsernameTaken);
    }
    if !users::insert(tx, new).await? {
        return Err(SignupError::EmailTaken);
    }
    credentials::set(tx, new.id, &change.hash, stamp.now).await?;
    change.letter.post(tx, new.id, &new.email, &new.email_canonical).await?;
    if !change.opening.store(tx).await? {
        return Err(Fault::internal("a new account may not sign in").into());
    }
    sessions::touch_user(tx, new.id, stamp.now).await?;
    let subject = Subject::User(new.id);
    events::append(tx, &stamp.event(Action::UserCreated, subject.clone(), Map::new())?).await?;
    let data = session_data(change.opening.session.id);
    let started = stamp.clone().by(Actor::User(new.id));
    events::append(tx, &started.event(Action::SessionStarted, subject, data)?).await?;
    keep_answer(tx, change.keep.as_ref()).await
}
