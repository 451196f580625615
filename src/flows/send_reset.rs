//! An operator starts a reset: the owner of the mailbox sets the password, and nobody else sees it (EML-18).

use crate::app::App;
use crate::domain::event::Action;
use crate::domain::ids::UserId;
use crate::domain::user::User;
use crate::flows::forgot::ResetLetter;
use crate::flows::life::{self, By, LifeError, Operation};
use crate::flows::suspend::refuse_deleted;
use crate::store::Writer;

/// Mails a reset token to the address of an account; it voids the one mailed before.
pub async fn send_reset(app: &App, by: By, id: UserId) -> Result<User, LifeError> {
    let operation = Operation::new(app, by, id, ()).with(|stamp| ResetLetter::new(app, stamp));
    life::run(app, operation, |tx, operation| Box::pin(send(tx, operation))).await
}

async fn send(tx: &mut Writer, operation: &Operation<ResetLetter>) -> Result<User, LifeError> {
    let user = life::lock(tx, operation).await?;
    refuse_deleted(&user)?;
    // Its token would be refused, so the mail would only puzzle.
    if user.suspended_at.is_some() {
        return Err(LifeError::Conflict("the account is suspended"));
    }
    if user.invited_until.is_some() {
        return Err(LifeError::Conflict("the account waits for its invitation to be taken"));
    }
    if !operation.of.post(tx, &user).await? {
        return Err(LifeError::Conflict("the mailbox was sent enough of these for now"));
    }
    life::tell(tx, operation, Action::PasswordResetSent).await?;
    life::done(tx, operation).await
}
