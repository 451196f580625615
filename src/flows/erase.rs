//! Erasing: a tombstone stays, the id and its times, so that the id is never used again and the trail stays whole.
//!
//! Everything personal goes in one transaction, and address and names are free with its commit (AUZ-12, LOG-10).

use crate::Fault;
use crate::app::App;
use crate::domain::event::Action;
use crate::domain::ids::UserId;
use crate::domain::password_hash::PasswordHash;
use crate::domain::session::EndReason;
use crate::domain::user::User;
use crate::flows::life::{self, By, LifeError, Operation};
use crate::store::user_life::{self, Erasable};
use crate::store::{
    Writer, credentials, email_changes, events, one_time_tokens, refresh_tokens, roles, sessions,
    unique_values,
};

/// Erases an account, deleted before or not. There is no way back.
pub async fn erase(app: &App, by: By, id: UserId) -> Result<User, LifeError> {
    erase_if(app, by, id, Erasable::Any).await
}

/// Erases an account if it is still `which`; else [`LifeError::NotFound`].
pub(crate) async fn erase_if(
    app: &App,
    by: By,
    id: UserId,
    which: Erasable,
) -> Result<User, LifeError> {
    let operation = Operation::new(app, by, id, which);
    life::run(app, operation, |tx, operation| Box::pin(bury(tx, operation))).await
}

/// Erases the account in an open change.
pub(crate) async fn bury(
    tx: &mut Writer,
    operation: &Operation<Erasable>,
) -> Result<User, LifeError> {
    let user = life::lock(tx, operation).await?;
    life::spare_last_admin(tx, &user).await?;
    let stamp = &operation.stamp;
    if !user_life::erase(tx, user.id, stamp.now, operation.of).await? {
        return Err(LifeError::NotFound);
    }
    life::end_sessions(tx, stamp, user.id, EndReason::Deleted).await?;
    forget(tx, operation).await?;
    // SECURITY: LOG-10. After the details of all events before it: nothing in its own is personal.
    life::tell(tx, operation, Action::UserErased).await?;
    life::done(tx, operation).await
}

/// Removes what other tables hold about the account. Mails that wait are sealed, and dropped when they are due.
async fn forget(tx: &mut Writer, operation: &Operation<Erasable>) -> Result<(), Fault> {
    let id = operation.id;
    // PWD-12: a user has a credential, and this one verifies nothing.
    credentials::set(tx, id, &PasswordHash::none(), operation.stamp.now).await?;
    refresh_tokens::delete_of_user(tx, id).await?;
    sessions::anonymize(tx, id).await?;
    one_time_tokens::delete_of_user(tx, id).await?;
    email_changes::drop(tx, id).await?;
    unique_values::release_all(tx, id).await?;
    roles::revoke_all(tx, id).await?;
    events::erase_details(tx, id).await.map(|_events| ())
}
