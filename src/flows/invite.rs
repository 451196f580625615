//! Inviting somebody: an account without a password, and the mail whose token takes it.

use serde_json::{Map, Value};

use crate::Fault;
use crate::app::App;
use crate::domain::event::{Action, Actor, Subject};
use crate::domain::ids::UserId;
use crate::domain::password_hash::PasswordHash;
use crate::domain::session::Origin;
use crate::domain::signup::SignupMode;
use crate::domain::user::User;
use crate::flows::Stamp;
use crate::flows::create_user::NewAccount;
use crate::flows::erase;
use crate::flows::invitation::InvitationLetter;
use crate::flows::life::{LifeError, Operation};
use crate::store::roles::{self, ADMIN};
use crate::store::user_life::Erasable;
use crate::store::users::{self, NewUser};
use crate::store::{Writer, credentials, events};

/// Somebody who was invited.
#[derive(Debug)]
pub struct Invited {
    /// The account that waits for its owner.
    pub user: User,
    /// Whether a mail goes out; else its mailbox has had enough, and the token mailed last stays good.
    pub is_mailed: bool,
}

/// Why nobody was invited.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// `signup.mode` is `closed`: nobody could take the account.
    #[error("signing up is closed, so an invitation could not be taken")]
    Closed,
    /// There is an account with the address that was not made by an invitation.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Invites somebody; again, if they were invited before: a new mail voids the token of the last.
///
/// The account holds no name and no value until it is taken (ENU-12). A password in `account` is not used.
pub async fn invite(app: &App, account: NewAccount, actor: Actor) -> Result<Invited, InviteError> {
    if app.settings.signup_mode == SignupMode::Closed {
        return Err(InviteError::Closed);
    }
    let stamp = Stamp::new(app, actor, Origin::default());
    let letter = InvitationLetter::new(app, &stamp);
    let user = NewUser {
        invited_until: Some(letter.until()),
        ..NewUser::new(
            UserId(app.random.uuid(stamp.now)),
            account.email,
            account.username.as_ref(),
            account.profile,
            stamp.now,
        )
    };
    let change = Inviting { user, letter, is_admin: account.is_admin, stamp };
    app.store.write(change, |tx, change| Box::pin(store(tx, change))).await
}

struct Inviting {
    user: NewUser,
    letter: InvitationLetter,
    is_admin: bool,
    stamp: Stamp,
}

async fn store(tx: &mut Writer, change: &Inviting) -> Result<Invited, InviteError> {
    let (new, stamp) = (&change.user, &change.stamp);
    let user = match users::lock_by_email(tx, &new.email_canonical).await? {
        Some(user) if user.is_invited() => user,
        Some(user) if user.is_pending_signup() => {
            // EML-13: whoever signed up here has proven nothing; the invitation goes to the mailbox.
            let pending = Operation::within(stamp.clone(), user.id, Erasable::Any);
            erase::bury(tx, &pending).await.map_err(of_life)?;
            make(tx, change).await?
        }
        Some(_) => return Err(InviteError::EmailTaken),
        None => make(tx, change).await?,
    };
    let is_mailed = change.letter.post(tx, &user).await?;
    let invited = stamp.event(Action::UserInvited, Subject::User(user.id), Map::new())?;
    events::append(tx, &invited).await?;
    let user = users::find(tx, user.id).await?;
    let user = user.ok_or_else(|| Fault::internal("an invited user is gone"))?;
    Ok(Invited { user, is_mailed })
}

async fn make(tx: &mut Writer, change: &Inviting) -> Result<User, InviteError> {
    let (new, stamp, subject) = (&change.user, &change.stamp, Subject::User(change.user.id));
    if !users::insert(tx, new).await? {
        return Err(InviteError::EmailTaken);
    }
    // PWD-12: a marker that no password verifies.
    credentials::set(tx, new.id, &PasswordHash::none(), stamp.now).await?;
    let created = stamp.event(Action::UserCreated, subject.clone(), Map::new())?;
    events::append(tx, &created).await?;
    if change.is_admin {
        roles::grant(tx, new.id, ADMIN, stamp.now).await?;
        let data = Map::from_iter([("role".into(), Value::String(ADMIN.into()))]);
        events::append(tx, &stamp.event(Action::RoleGranted, subject, data)?).await?;
    }
    let made = users::find(tx, new.id).await?;
    Ok(made.ok_or_else(|| Fault::internal("the new user is gone"))?)
}

fn of_life(error: LifeError) -> InviteError {
    match error {
        LifeError::Fault(fault) => fault.into(),
        _ => Fault::internal("a pending signup cannot be erased").into(),
    }
}
