//! Invitations: an account that an operator makes for an address, and its owner takes with the mailed token.
//!
//! The token proves the mailbox, so the account is verified when it is taken; until then it has no password and
//! holds no name. It leaves when its invitation dies.

use serde_json::{Map, Value};

use crate::app::App;
use crate::crypto::random;
use crate::domain::email::EmailAddress;
use crate::domain::event::{Action, Actor, Subject, session_data};
use crate::domain::fields::FieldFault;
use crate::domain::job::{Letter, Mail};
use crate::domain::password::PlainPassword;
use crate::domain::password_hash::PasswordHash;
use crate::domain::profile::Writer as By;
use crate::domain::session::{EndReason, Origin};
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenDigest, TokenKind, TokenSecret};
use crate::domain::user::User;
use crate::domain::username::Username;
use crate::flows::change_password::void_what_the_password_guarded;
use crate::flows::idempotency::Keep;
use crate::flows::signup::{Once, SignedUp, SignupError, admit, keep_answer};
use crate::flows::tokens::Opening;
use crate::flows::unique::{self, UniqueError};
use crate::flows::{Stamp, life, mails};
use crate::store::one_time_tokens::{self, NewOneTimeToken, Purpose};
use crate::store::{Writer, credentials, events, sessions, users};
use crate::{Fault, deadline};

/// LIMIT: tries against operators who change the account at the same moment.
const TRIES_MAX: usize = 3;

/// An invitation that is to be stored and mailed.
#[derive(Clone)]
pub struct InvitationLetter {
    secret: TokenSecret,
    lifetime: std::time::Duration,
    stamp: Stamp,
}

impl InvitationLetter {
    /// A new token.
    pub fn new(app: &App, stamp: &Stamp) -> Self {
        Self {
            secret: app.random.token(TokenKind::Invitation),
            lifetime: app.settings.invitation_lifetime,
            stamp: stamp.clone(),
        }
    }

    /// When the invitation dies.
    pub fn until(&self) -> Timestamp {
        self.stamp.now.plus(self.lifetime)
    }

    /// Mails the token and voids the one before; `false` where the mailbox has had enough, and the last stays good.
    pub async fn post(&self, tx: &mut Writer, user: &User) -> Result<bool, Fault> {
        let token = NewOneTimeToken {
            digest: random::digest(&self.secret),
            user_id: user.id,
            purpose: Purpose::Invitation,
            bound_to: user.email_canonical.clone(),
            created_at: self.stamp.now,
            expires_at: self.until(),
            credential_set_at: None,
        };
        let letter = Letter::Invitation {
            token: self.secret.expose().to_owned(),
            lifetime_s: self.lifetime.as_secs(),
        };
        let mail = Mail { to: user.email.clone(), user_id: user.id, letter };
        let is_posted = mails::post_token(tx, &self.stamp, &token, mail).await?;
        if is_posted && !users::invite_again(tx, user.id, self.until()).await? {
            return Err(Fault::internal("an invitation to an account that is not invited"));
        }
        Ok(is_posted)
    }
}

/// What somebody takes an invited account with; each value is valid by itself.
#[derive(Clone)]
pub struct Acceptance {
    /// The token of the mail, as it was sent.
    pub token: String,
    /// The address; it must be the invited one.
    pub email: EmailAddress,
    /// The password.
    pub password: PlainPassword,
    /// The username; without one the inviter's stays.
    pub username: Option<Username>,
    /// A merge patch over the inviter's profile.
    pub profile: Map<String, Value>,
    /// Where it came from.
    pub origin: Origin,
}

/// Why the account was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The token is unknown, used, expired, replaced, or for another address: one answer.
    #[error("the invitation is not valid")]
    TokenInvalid,
    /// What the patch of the profile leads to is not valid.
    #[error("the profile is not valid")]
    Invalid(Vec<FieldFault>),
    /// Somebody else has a value.
    #[error("a value is taken")]
    Taken(unique::Taken),
    /// The account was changed at the same moment.
    #[error("the account was changed meanwhile")]
    Moved,
    /// As for any other signup.
    #[error(transparent)]
    Signup(#[from] SignupError),
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Takes an invited account: spends the token, sets what was sent, opens a session.
pub async fn accept(
    app: &App,
    acceptance: Acceptance,
    once: Option<&Once>,
) -> Result<SignedUp, AcceptError> {
    admit(app, true)?;
    let token = TokenSecret::parse(TokenKind::Invitation, &acceptance.token)
        .ok_or(AcceptError::TokenInvalid)?;
    let digest = random::digest(&token);
    let mut invited = find(app, &digest, &acceptance.email).await?;
    // What is wrong with the values is told before the hash; no 4xx spends the token.
    taken(app, &invited, &acceptance, app.clock.now())?;
    let password = acceptance.password.clone().into_inner();
    let hash = app.hasher.hash(password, deadline::current_std()).await?;
    for _ in 1..TRIES_MAX {
        match take(app, (&invited, &digest), &acceptance, &hash, once).await {
            Err(AcceptError::Moved) => invited = find(app, &digest, &acceptance.email).await?,
            ended => return ended,
        }
    }
    match take(app, (&invited, &digest), &acceptance, &hash, once).await {
        Err(AcceptError::Moved) => {
            Err(Fault::overloaded("the account is changed all the time").into())
        }
        ended => ended,
    }
}

/// The account that the token is for, if it is the one of this address.
async fn find(app: &App, digest: &TokenDigest, email: &EmailAddress) -> Result<User, AcceptError> {
    let mut db = app.store.read().await?;
    let now = app.clock.now();
    let holder = one_time_tokens::find_live(&mut db, digest, Purpose::Invitation, now).await?;
    holder
        .map(|holder| holder.user)
        .filter(|user| user.is_invited() && user.email_canonical == email.canonical().as_str())
        .ok_or(AcceptError::TokenInvalid)
}

/// The account as it is once it is taken.
fn taken(
    app: &App,
    invited: &User,
    acceptance: &Acceptance,
    now: Timestamp,
) -> Result<User, AcceptError> {
    let (old, patch) =
        (Value::Object(invited.profile.clone()), Value::Object(acceptance.profile.clone()));
    let profile = app.schema.patched(&old, &patch, By::User, "/profile");
    let Value::Object(profile) = profile.map_err(AcceptError::Invalid)? else {
        return Err(Fault::internal("a profile is an object").into());
    };
    let wished = acceptance.username.as_ref().map(|name| name.typed().to_owned());
    Ok(User {
        email: acceptance.email.typed().to_owned(),
        email_verified_at: Some(now),
        username: wished.or_else(|| invited.username.clone()),
        profile,
        pending_since: None,
        invited_until: None,
        updated_at: now,
        last_login_at: Some(now),
        version: invited.version + 1,
        ..invited.clone()
    })
}

async fn take(
    app: &App,
    (invited, digest): (&User, &TokenDigest),
    acceptance: &Acceptance,
    hash: &PasswordHash,
    once: Option<&Once>,
) -> Result<SignedUp, AcceptError> {
    let stamp = Stamp::new(app, Actor::User(invited.id), acceptance.origin.clone());
    let user = taken(app, invited, acceptance, stamp.now)?;
    let at = (&stamp.origin, stamp.now);
    let opening = Opening::new(app, &user, app.settings.own_audience(), stamp.now, at);
    let tokens = opening.clone().tokens(app, &user, false)?;
    let done = SignedUp::AtOnce { user: Box::new(user.clone()), tokens: Box::new(tokens) };
    let change = Taking {
        digest: digest.clone(),
        version: invited.version,
        keep: once.map(|once| once.keep(app, &done)).transpose()?,
        schema: std::sync::Arc::clone(&app.schema),
        hash: hash.clone(),
        user,
        opening,
        stamp,
    };
    app.store.write(change, |tx, change| Box::pin(store(tx, change))).await?;
    Ok(done)
}

struct Taking {
    digest: TokenDigest,
    user: User,
    /// The version that `user` was made from.
    version: i64,
    hash: PasswordHash,
    opening: Opening,
    schema: std::sync::Arc<crate::domain::profile::ProfileSchema>,
    keep: Option<Keep>,
    stamp: Stamp,
}

async fn store(tx: &mut Writer, change: &Taking) -> Result<(), AcceptError> {
    let (user, stamp) = (&change.user, &change.stamp);
    // SECURITY: EML-04. The row count of one conditional statement is the decision.
    if !one_time_tokens::spend(tx, &change.digest, Purpose::Invitation, stamp.now).await? {
        return Err(AcceptError::TokenInvalid);
    }
    if !users::take_invited(tx, user, change.version).await? {
        return Err(AcceptError::Moved);
    }
    // SECURITY: EML-13. Whoever had a password of an operator's before the proof keeps nothing.
    credentials::set(tx, user.id, &change.hash, stamp.now).await?;
    life::end_sessions(tx, stamp, user.id, EndReason::PasswordSet).await?;
    void_what_the_password_guarded(tx, user.id).await?;
    let values = (user.username.as_deref(), &user.profile);
    unique::claim_all(tx, &change.schema, user.id, values).await.map_err(|error| match error {
        UniqueError::Taken(taken) => AcceptError::Taken(taken),
        UniqueError::Fault(fault) => fault.into(),
    })?;
    if !change.opening.store(tx).await? {
        return Err(AcceptError::TokenInvalid);
    }
    sessions::touch_user(tx, user.id, stamp.now).await?;
    let subject = Subject::User(user.id);
    let verified = stamp.event(Action::UserVerified, subject.clone(), Map::new())?;
    events::append(tx, &verified).await?;
    let data = session_data(change.opening.session.id);
    events::append(tx, &stamp.event(Action::SessionStarted, subject, data)?).await?;
    Ok(keep_answer(tx, change.keep.as_ref()).await?)
}
