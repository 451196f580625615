//! A login: find the user, check the password, open a session.

use zeroize::Zeroizing;

use crate::app::App;
use crate::domain::event::{Action, Actor, Subject, session_data};
use crate::domain::identifier::LoginIdentifier;
use crate::domain::password::PlainPassword;
use crate::domain::password_hash::PasswordHash;
use crate::domain::session::Origin;
use crate::domain::user::{NoToken, User};
use crate::flows::tokens::{Opening, Tokens};
use crate::flows::{Stamp, devices};
use crate::store::credentials::{self, Credential};
use crate::store::{ReadFresh, Writer, events, sessions, users};
use crate::{Fault, deadline};

/// What somebody types to sign in.
pub struct Attempt {
    /// An address or a username.
    pub identifier: LoginIdentifier,
    /// The password, checked for its greatest length only.
    pub password: PlainPassword,
    /// For whom the tokens are to be; one of `token.audiences`.
    pub audience: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Nobody there, wrong password, no password, suspended, deleted: one answer (ENU-01).
    #[error("the credentials are not valid")]
    BadCredentials,
    /// The password was right and the mailbox is not proven (ENU-10).
    #[error("the e-mail address is not verified")]
    EmailNotVerified,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Opens a session for the user whose identifier and password these are.
pub async fn login(app: &App, attempt: Attempt) -> Result<Tokens, LoginError> {
    let found = find(app, &attempt.identifier).await?;

    // SECURITY: ENU-01, ENU-02. Nobody there, or no password: the same one verification with today's costs, in the
    // same queue. The reader is closed by now (REL-13).
    let stored = found.as_ref().map(|(_, credential)| credential.hash.clone());
    let password = attempt.password.into_inner();
    let checked = app.hasher.verify(password.clone(), stored, deadline::current_std()).await?;
    let (user, credential) = found.filter(|_| checked.matches).ok_or(LoginError::BadCredentials)?;
    user.may_get_a_token(app.settings.email_verification).map_err(|why| match why {
        NoToken::Barred => LoginError::BadCredentials,
        NoToken::Unverified => LoginError::EmailNotVerified,
    })?;

    let stamp = Stamp::new(app, Actor::User(user.id), attempt.origin);
    let at = (&stamp.origin, stamp.now);
    let opening = Opening::new(app, &user, &attempt.audience, credential.set_at, at);
    let change = OpenSession { stamp, user: user.clone(), opening: opening.clone() };
    app.store.write(change, |tx, new| Box::pin(open_session(tx, new))).await?;
    if checked.needs_rehash {
        rehash(app, &user, password, credential.hash).await;
    }
    Ok(opening.tokens(app, &user, credential.must_change)?)
}

async fn find(
    app: &App,
    identifier: &LoginIdentifier,
) -> Result<Option<(User, Credential)>, Fault> {
    let mut db = app.store.read().await?;
    let Some(user) = find_user(&mut db, identifier).await? else { return Ok(None) };
    let credential = credentials::find(&mut db, user.id).await?;
    Ok(credential.map(|credential| (user, credential)))
}

async fn find_user(
    db: &mut impl ReadFresh,
    identifier: &LoginIdentifier,
) -> Result<Option<User>, Fault> {
    match identifier {
        LoginIdentifier::Email(email) => users::find_by_email(db, email.as_str()).await,
        LoginIdentifier::Username(username) => users::find_by_username(db, username).await,
        LoginIdentifier::Nobody => Ok(None),
    }
}

struct OpenSession {
    stamp: Stamp,
    user: User,
    opening: Opening,
}

async fn open_session(tx: &mut Writer, new: &OpenSession) -> Result<(), LoginError> {
    devices::tell_if_new(tx, &new.stamp, &new.user, &new.opening.session).await?;
    // SECURITY: SES-09. What was read before the hash may be old: a suspension or a new password meanwhile wins.
    if !new.opening.store(tx).await? {
        return Err(LoginError::BadCredentials);
    }
    let session = &new.opening.session;
    sessions::touch_user(tx, session.user_id, new.stamp.now).await?;
    let subject = Subject::User(session.user_id);
    let data = session_data(session.id);
    Ok(events::append(tx, &new.stamp.event(Action::SessionStarted, subject, data)?).await?)
}

/// Stores the password under today's costs (PWD-03). If that fails, the login does not.
async fn rehash(app: &App, user: &User, password: Zeroizing<String>, old: PasswordHash) {
    let stored = async {
        let new = app.hasher.hash(password, deadline::current_std()).await?;
        let change = (user.id, old, new);
        let change = app.store.write(change, |tx, (user, old, new)| {
            Box::pin(credentials::rehash(tx, *user, old, new))
        });
        change.await
    };
    if let Err(fault) = stored.await {
        tracing::warn!(error = %fault, user.id = %user.id, "the password keeps its old hash");
    }
}
