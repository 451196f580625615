//! Suspending and reactivating: a barred account is refused at every door, at once and on every instance (SES-10).
//!
//! What is so already is done, without another event.

use crate::app::App;
use crate::domain::event::Action;
use crate::domain::ids::UserId;
use crate::domain::session::EndReason;
use crate::domain::user::User;
use crate::flows::life::{self, By, LifeError, Operation};
use crate::store::{Writer, user_life};

/// Bars an account and ends its sessions.
pub async fn suspend(app: &App, by: By, id: UserId) -> Result<User, LifeError> {
    let operation = Operation::new(app, by, id, ());
    life::run(app, operation, |tx, operation| Box::pin(bar(tx, operation))).await
}

/// Lets a barred account in again. Its sessions stay over.
pub async fn reactivate(app: &App, by: By, id: UserId) -> Result<User, LifeError> {
    let operation = Operation::new(app, by, id, ());
    life::run(app, operation, |tx, operation| Box::pin(unbar(tx, operation))).await
}

async fn bar(tx: &mut Writer, operation: &Operation<()>) -> Result<User, LifeError> {
    let user = life::lock(tx, operation).await?;
    refuse_deleted(&user)?;
    life::spare_last_admin(tx, &user).await?;
    let stamp = &operation.stamp;
    if user_life::suspend(tx, user.id, stamp.now).await? {
        life::end_sessions(tx, stamp, user.id, EndReason::Suspended).await?;
        life::tell(tx, operation, Action::UserSuspended).await?;
    }
    life::done(tx, operation).await
}

async fn unbar(tx: &mut Writer, operation: &Operation<()>) -> Result<User, LifeError> {
    let user = life::lock(tx, operation).await?;
    refuse_deleted(&user)?;
    if user_life::reactivate(tx, user.id, operation.stamp.now).await? {
        life::tell(tx, operation, Action::UserReactivated).await?;
    }
    life::done(tx, operation).await
}

/// A deleted account is restored or erased, and nothing else.
pub(crate) fn refuse_deleted(user: &User) -> Result<(), LifeError> {
    match user.deleted_at {
        None => Ok(()),
        Some(_) => Err(LifeError::Conflict("the account is deleted")),
    }
}
