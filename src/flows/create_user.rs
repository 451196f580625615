//! An account made by an operator: with or without a password, verified or not, an admin or not.

use serde_json::{Map, Value};

use crate::Fault;
use crate::app::App;
use crate::domain::email::EmailAddress;
use crate::domain::event::{Action, Actor, Subject};
use crate::domain::ids::UserId;
use crate::domain::password::PlainPassword;
use crate::domain::password_hash::PasswordHash;
use crate::domain::session::Origin;
use crate::domain::user::User;
use crate::domain::username::Username;
use crate::flows::Stamp;
use crate::flows::signup::VerifyLetter;
use crate::store::roles::{self, ADMIN};
use crate::store::unique_values::{self, USERNAME};
use crate::store::users::{self, NewUser};
use crate::store::{Writer, credentials, events};

/// The account that is to be made; each value is valid by itself.
pub struct NewAccount {
    /// The address.
    pub email: EmailAddress,
    /// The username.
    pub username: Option<Username>,
    /// The password; without one nothing verifies (PWD-12).
    pub password: Option<PlainPassword>,
    /// The profile, defaults filled in.
    pub profile: Map<String, Value>,
    /// Whether its mailbox counts as proven.
    pub is_verified: bool,
    /// Whether it has the role `admin`.
    pub is_admin: bool,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is an account with the address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// A verified user holds the username.
    #[error("the username is taken")]
    UsernameTaken,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Makes an account; an unverified one is mailed its verification token.
pub async fn create_user(
    app: &App,
    account: NewAccount,
    actor: Actor,
) -> Result<User, CreateError> {
    let hash = match account.password {
        Some(password) => app.hasher.hash(password.into_inner(), None).await?,
        None => PasswordHash::none(),
    };
    let stamp = Stamp::new(app, actor, Origin::default());
    let (email, canonical) = account.email.into_parts();
    let user = NewUser {
        id: UserId(app.random.uuid(stamp.now)),
        email,
        email_canonical: canonical.as_str().to_owned(),
        email_verified_at: account.is_verified.then_some(stamp.now),
        username: account.username.as_ref().map(|name| name.typed().to_owned()),
        profile: account.profile,
        is_pending: false,
        invited_until: None,
        created_at: stamp.now,
    };
    let change = Creation {
        username_canonical: account.username.map(|name| name.into_parts().1),
        letter: VerifyLetter::new(app, &stamp),
        is_admin: account.is_admin,
        user,
        hash,
        stamp,
    };
    app.store.write(change, |tx, new| Box::pin(create(tx, new))).await
}

struct Creation {
    user: NewUser,
    username_canonical: Option<String>,
    hash: PasswordHash,
    letter: VerifyLetter,
    is_admin: bool,
    stamp: Stamp,
}

async fn create(tx: &mut Writer, new: &Creation) -> Result<User, CreateError> {
    let id = new.user.id;
    if !users::insert(tx, &new.user).await? {
        return Err(CreateError::EmailTaken);
    }
    let is_verified = new.user.email_verified_at.is_some();
    if let Some(username) = &new.username_canonical
        && !take_username(tx, username, id, is_verified).await?
    {
        return Err(CreateError::UsernameTaken);
    }
    let (stamp, subject) = (&new.stamp, Subject::User(id));
    credentials::set(tx, id, &new.hash, stamp.now).await?;
    if !is_verified {
        new.letter.post(tx, id, &new.user.email, &new.user.email_canonical).await?;
    }
    let created = stamp.event(Action::UserCreated, subject.clone(), Map::new())?;
    events::append(tx, &created).await?;
    if new.is_admin {
        roles::grant(tx, id, ADMIN, stamp.now).await?;
        let data = Map::from_iter([("role".into(), Value::String(ADMIN.into()))]);
        events::append(tx, &stamp.event(Action::RoleGranted, subject, data)?).await?;
    }
    let made = users::find(tx, id).await?;
    Ok(made.ok_or_else(|| Fault::internal("the new user is gone"))?)
}

/// A verified account takes its name; an unverified one only wishes for it (ENU-12).
async fn take_username(
    tx: &mut Writer,
    username: &str,
    id: UserId,
    is_verified: bool,
) -> Result<bool, Fault> {
    if is_verified {
        return unique_values::claim(tx, USERNAME, username, id).await;
    }
    Ok(unique_values::find_holder(tx, USERNAME, username).await?.is_none())
}
