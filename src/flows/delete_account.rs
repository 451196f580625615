//! Deleting and restoring: for `accounts.deletion_grace` an operator can bring the account back.
//!
//! Until it is erased the account keeps its address, its username and its unique values, so that a restoration
//! never meets somebody in its place; its sessions and one-time tokens are gone for good. An account whose mailbox
//! nobody proved is erased at once when its user leaves.

use std::time::Duration;

use crate::app::App;
use crate::domain::event::{Action, Actor};
use crate::domain::ids::UserId;
use crate::domain::job::Letter;
use crate::domain::password::PlainPassword;
use crate::domain::session::{EndReason, Origin, SignedIn};
use crate::domain::user::User;
use crate::flows::erase::bury;
use crate::flows::life::{self, By, LifeError, Operation};
use crate::flows::reprove::{Proven, ReproveError, reprove};
use crate::store::user_life::{self, Erasable};
use crate::store::{Writer, email_changes, one_time_tokens};

/// Why an account was not deleted by its user.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// Nobody else would be left to administrate (AUZ-09).
    #[error("the last active administrator stays")]
    LastAdmin,
    /// The password proved nothing, or it could not be done.
    #[error(transparent)]
    Reprove(#[from] ReproveError),
}

/// Deletes the caller's own account, after the password (AUZ-12); one whose mailbox nobody proved is erased.
pub async fn delete_own(
    app: &App,
    signed_in: &SignedIn,
    password: PlainPassword,
    origin: Origin,
) -> Result<(), DeleteError> {
    let proven = reprove(app, signed_in, password).await?;
    let id = proven.user_id;
    let by = By { actor: Actor::User(id), origin, is_rehearsal: false };
    let leaving = Leaving { grace: app.settings.deletion_grace, proven: Some(proven) };
    let operation = Operation::new(app, by, id, leaving);
    match life::run(app, operation, |tx, operation| Box::pin(leave(tx, operation))).await {
        Ok(_deleted) => Ok(()),
        Err(LifeError::LastAdmin) => Err(DeleteError::LastAdmin),
        Err(LifeError::Fault(fault)) => Err(ReproveError::Fault(fault).into()),
        Err(_) => Err(ReproveError::SignedOut.into()),
    }
}

/// Deletes an account. What is deleted already stays so, and is erased no later.
pub async fn delete(app: &App, by: By, id: UserId) -> Result<User, LifeError> {
    let leaving = Leaving { grace: app.settings.deletion_grace, proven: None };
    let operation = Operation::new(app, by, id, leaving);
    life::run(app, operation, |tx, operation| Box::pin(leave(tx, operation))).await
}

/// Brings a deleted account back as it was, without sessions; after the grace it is too late.
pub async fn restore(app: &App, by: By, id: UserId) -> Result<User, LifeError> {
    let operation = Operation::new(app, by, id, app.settings.deletion_grace);
    life::run(app, operation, |tx, operation| Box::pin(come_back(tx, operation))).await
}

struct Leaving {
    grace: Duration,
    /// What its user has proven.
    proven: Option<Proven>,
}

async fn leave(tx: &mut Writer, operation: &Operation<Leaving>) -> Result<User, LifeError> {
    let user = life::lock(tx, operation).await?;
    let (stamp, leaving) = (&operation.stamp, &operation.of);
    if let Some(proven) = leaving.proven {
        proven.lock(tx, stamp.now).await.map_err(|error| match error {
            ReproveError::Fault(fault) => LifeError::Fault(fault),
            ReproveError::BadCredentials | ReproveError::SignedOut => {
                LifeError::Conflict("the user may not sign in any more")
            }
        })?;
    }
    life::spare_last_admin(tx, &user).await?;
    if user_life::delete(tx, user.id, stamp.now).await? {
        life::end_sessions(tx, stamp, user.id, EndReason::Deleted).await?;
        one_time_tokens::void_all(tx, user.id).await?;
        email_changes::drop(tx, user.id).await?;
        let letter = Letter::AccountDeleted { grace_s: leaving.grace.as_secs() };
        life::notify(tx, operation, &user, letter).await?;
        life::tell(tx, operation, Action::UserDeleted).await?;
    }
    if leaving.proven.is_some() && user.email_verified_at.is_none() {
        // SECURITY: EML-13. Whoever left may be a stranger: the address is not held against the mailbox's owner.
        let erasure = Operation::within(stamp.clone(), user.id, Erasable::Any);
        return bury(tx, &erasure).await;
    }
    life::done(tx, operation).await
}

async fn come_back(tx: &mut Writer, operation: &Operation<Duration>) -> Result<User, LifeError> {
    let user = life::lock(tx, operation).await?;
    if user.deleted_at.is_none() {
        return Err(LifeError::Conflict("the account is not deleted"));
    }
    let now = operation.stamp.now;
    if !user_life::restore(tx, user.id, now, now.minus(operation.of)).await? {
        return Err(LifeError::Conflict("the time for a restoration has passed"));
    }
    life::notify(tx, operation, &user, Letter::AccountRestored).await?;
    life::tell(tx, operation, Action::UserRestored).await?;
    life::done(tx, operation).await
}
