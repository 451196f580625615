//! An account made by an operator: with or without a password, verified or not, an admin or not.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::Fault;
use crate::app::App;
use crate::domain::email::EmailAddress;
use crate::domain::event::{Action, Actor, Subject};
use crate::domain::ids::UserId;
use crate::domain::password::PlainPassword;
use crate::domain::password_hash::PasswordHash;
use crate::domain::profile::ProfileSchema;
use crate::domain::session::Origin;
use crate::domain::user::User;
use crate::domain::username::Username;
use crate::flows::Stamp;
use crate::flows::signup::VerifyLetter;
use crate::flows::unique::{self, Taken, UniqueError};
use crate::store::roles::{self, ADMIN};
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
    /// A verified user holds the username, or a value of a `unique` field.
    #[error(transparent)]
    Taken(Taken),
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
    let user = NewUser {
        email_verified_at: account.is_verified.then_some(stamp.now),
        ..NewUser::new(
            UserId(app.random.uuid(stamp.now)),
            account.email,
            account.username.as_ref(),
            account.profile,
            stamp.now,
        )
    };
    let change = Creation {
        schema: Arc::clone(&app.schema),
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
    schema: Arc<ProfileSchema>,
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
    let values = (new.user.username.as_deref(), &new.user.profile);
    if is_verified {
        unique::claim_all(tx, &new.schema, id, values).await?;
    } else {
        // An account that is not verified reserves nothing (ENU-12); an operator is told of a clash all the same.
        unique::check_free(tx, &new.schema, values).await?;
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

impl From<UniqueError> for CreateError {
    fn from(error: UniqueError) -> Self {
        match error {
            UniqueError::Taken(taken) => Self::Taken(taken),
            UniqueError::Fault(fault) => Self::Fault(fault),
        }
    }
}
