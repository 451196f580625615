//! A signup: one transaction for user, credential, verification token, mail job and event; all or nothing (REL-03).
//!
//! A taken address gets the same answer at the same cost; its verified owner gets a notice (ENU-04).

use serde_json::{Map, Value};

use crate::app::App;
use crate::crypto::random;
use crate::domain::email::EmailAddress;
use crate::domain::event::{Action, Actor, Subject};
use crate::domain::ids::UserId;
use crate::domain::job::{Letter, Mail};
use crate::domain::password::PlainPassword;
use crate::domain::password_hash::PasswordHash;
use crate::domain::session::Origin;
use crate::domain::signup::{EmailVerification, SignupMode};
use crate::domain::token::{TokenKind, TokenSecret};
use crate::domain::user::{Status, User};
use crate::domain::username::Username;
use crate::flows::idempotency::{Held, Keep, Kept};
use crate::flows::proof::ProofLetter;
use crate::flows::signup_at_once::signup_at_once;
use crate::flows::tokens::Tokens;
use crate::flows::{Stamp, mails};
use crate::store::one_time_tokens::{NewOneTimeToken, Purpose};
use crate::store::unique_values::{self, USERNAME};
use crate::store::users::{self, NewUser};
use crate::store::{Writer, credentials, events};
use crate::{Fault, deadline};

/// What somebody signs up with; each value is valid by itself.
pub struct Signup {
    /// The address.
    pub email: EmailAddress,
    /// The password.
    pub password: PlainPassword,
    /// The username that is wished for.
    pub username: Option<Username>,
    /// The profile, defaults filled in.
    pub profile: Map<String, Value>,
    /// Where it came from.
    pub origin: Origin,
}

/// A key that makes the call count once (HTTP-17), and how its answer is kept.
pub struct Once {
    /// The key.
    pub held: Held,
    /// The answer that a repeated call gets again.
    pub render: fn(&App, &SignedUp) -> Result<Kept, Fault>,
}

impl Once {
    /// The answer, sealed, to be stored with the effects.
    pub(super) fn keep(&self, app: &App, signed_up: &SignedUp) -> Result<Keep, Fault> {
        self.held.keep(app, &(self.render)(app, signed_up)?)
    }
}

/// What became of a signup.
#[derive(Debug)]
pub enum SignedUp {
    /// A mail tells whoever holds the mailbox.
    ByMail,
    /// The account can be used at once.
    AtOnce {
        /// The account.
        user: Box<User>,
        /// The tokens of its first session.
        tokens: Box<Tokens>,
    },
}

/// Why nobody was signed up.
#[derive(Debug, thiserror::Error)]
pub enum SignupError {
    /// A verified user holds the username (ENU-09: a documented disclosure).
    #[error("the username is taken")]
    UsernameTaken,
    /// There is an account with the address; told only where no proof of the mailbox is needed.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Nobody may sign up, or nobody without an invitation.
    #[error("signing up is closed")]
    Closed,
    /// Another call with the same key took over.
    #[error("a call with the same key took over")]
    Superseded,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Whether anybody may sign up now, with or without an invitation.
pub fn admit(app: &App, is_invited: bool) -> Result<(), SignupError> {
    match (app.settings.signup_mode, is_invited) {
        (SignupMode::Open, _) | (SignupMode::Invite, true) => Ok(()),
        (SignupMode::Invite, false) | (SignupMode::Closed, _) => Err(SignupError::Closed),
    }
}

/// Signs somebody up, or tells the owner of the address that somebody tried.
pub async fn signup(
    app: &App,
    signup: Signup,
    once: Option<&Once>,
) -> Result<SignedUp, SignupError> {
    admit(app, false)?;
    if app.settings.email_verification == EmailVerification::Optional {
        return signup_at_once(app, signup, once).await;
    }
    // SECURITY: ENU-04. The same one hash, whether the address is new or taken.
    let hash = app.hasher.hash(signup.password.into_inner(), deadline::current_std()).await?;
    let stamp = Stamp::new(app, Actor::Anyone, signup.origin);
    let user = NewUser {
        is_pending: true,
        ..NewUser::new(
            UserId(app.random.uuid(stamp.now)),
            signup.email,
            signup.username.as_ref(),
            signup.profile,
            stamp.now,
        )
    };
    let change = NewSignup {
        username_canonical: signup.username.map(|name| name.into_parts().1),
        letter: ProofLetter::new(app, &stamp),
        keep: once.map(|once| once.keep(app, &SignedUp::ByMail)).transpose()?,
        user,
        hash,
        stamp,
    };
    app.store.write(change, |tx, new| Box::pin(store_signup(tx, new))).await?;
    Ok(SignedUp::ByMail)
}

/// Keeps the answer with the effects; nothing is done if the key has gone to another call.
pub(super) async fn keep_answer(tx: &mut Writer, keep: Option<&Keep>) -> Result<(), SignupError> {
    match keep {
        Some(keep) if !keep.store(tx).await? => Err(SignupError::Superseded),
        _ => Ok(()),
    }
}

/// A verification token that is to be stored and mailed.
#[derive(Clone)]
pub struct VerifyLetter {
    secret: TokenSecret,
    lifetime: std::time::Duration,
    stamp: Stamp,
}

impl VerifyLetter {
    /// A new token.
    pub fn new(app: &App, stamp: &Stamp) -> Self {
        Self {
            secret: app.random.token(TokenKind::EmailVerification),
            lifetime: app.settings.verify_lifetime,
            stamp: stamp.clone(),
        }
    }

    /// Makes the token the one that proves the mailbox, and enqueues its mail; or, where the mailbox has had enough,
    /// leaves the token that was mailed last.
    pub async fn post(
        &self,
        tx: &mut Writer,
        user: UserId,
        email: &str,
        canonical: &str,
    ) -> Result<(), Fault> {
        let token = NewOneTimeToken {
            digest: random::digest(&self.secret),
            user_id: user,
            purpose: Purpose::EmailVerification,
            bound_to: canonical.to_owned(),
            created_at: self.stamp.now,
            expires_at: self.stamp.now.plus(self.lifetime),
            credential_set_at: None,
        };
        let letter = Letter::Verify {
            token: self.secret.expose().to_owned(),
            lifetime_s: self.lifetime.as_secs(),
        };
        let mail = Mail { to: email.to_owned(), user_id: user, letter };
        mails::post_token(tx, &self.stamp, &token, mail).await.map(|_is_posted| ())
    }
}

struct NewSignup {
    user: NewUser,
    username_canonical: Option<String>,
    hash: PasswordHash,
    letter: ProofLetter,
    keep: Option<Keep>,
    stamp: Stamp,
}

async fn store_signup(tx: &mut Writer, new: &NewSignup) -> Result<(), SignupError> {
    keep_answer(tx, new.keep.as_ref()).await?;
    // SECURITY: ENU-12. Asked first and for every address, so that the answer tells nothing of the address.
    if let Some(username) = &new.username_canonical
        && unique_values::find_holder(tx, USERNAME, username).await?.is_some()
    {
        return Err(SignupError::UsernameTaken);
    }
    let canonical = &new.user.email_canonical;
    let mut found = users::lock_by_email(tx, canonical).await?;
    if found.is_none() {
        if users::insert(tx, &new.user).await? {
            return Ok(finish(tx, new, new.user.id, Action::UserCreated).await?);
        }
        // Somebody signed the address up between the two statements; that commit is visible now (INP-01).
        found = users::lock_by_email(tx, canonical).await?;
    }
    let found = found.ok_or_else(|| Fault::unavailable("an address was given up just now"))?;
    if found.is_pending_signup() {
        // SECURITY: EML-13. The newest signup replaces all of it, and its token voids the one mailed before.
        users::replace_pending(tx, found.id, &new.user).await?;
        return Ok(finish(tx, new, found.id, Action::SignupReplaced).await?);
    }
    Ok(notify_owner(tx, new, &found).await?)
}

async fn finish(tx: &mut Writer, new: &NewSignup, id: UserId, action: Action) -> Result<(), Fault> {
    credentials::set(tx, id, &new.hash, new.stamp.now).await?;
    new.letter.verify().post(tx, id, &new.user.email, &new.user.email_canonical).await?;
    events::append(tx, &new.stamp.event(action, Subject::User(id), Map::new())?).await
}

/// SECURITY: EML-08. The notice goes to the stored address, and holds no token.
async fn notify_owner(tx: &mut Writer, new: &NewSignup, owner: &User) -> Result<(), Fault> {
    if new.letter.post_invitation(tx, owner).await? {
        return Ok(());
    }
    let letter = match owner.status() {
        Status::Active => Letter::AlreadyRegistered,
        Status::Deleted => Letter::AddressHeld,
        Status::Suspended | Status::Unverified => return Ok(()),
    };
    let notice = Mail { to: owner.email.clone(), user_id: owner.id, letter };
    mails::post(tx, &new.stamp, notice).await.map(|_is_posted| ())
}
