//! An operator vouches for a mailbox: the account is verified without a mail, and takes what it wished for.
//!
//! Whoever signed up can sign in then, whoever that was: the operator knows, the service does not (EML-13).

use crate::app::App;
use crate::domain::event::Action;
use crate::domain::ids::UserId;
use crate::domain::user::User;
use crate::flows::life::{self, By, LifeError, Operation};
use crate::flows::suspend::refuse_deleted;
use crate::flows::verify_email::claim_username;
use crate::store::one_time_tokens::{self, Purpose};
use crate::store::{Writer, user_life, users};

/// Marks the mailbox of an account proven. A wish that somebody verified took meanwhile is dropped.
pub async fn mark_verified(app: &App, by: By, id: UserId) -> Result<User, LifeError> {
    let operation = Operation::new(app, by, id, ());
    life::run(app, operation, |tx, operation| Box::pin(vouch(tx, operation))).await
}

async fn vouch(tx: &mut Writer, operation: &Operation<()>) -> Result<User, LifeError> {
    let user = life::lock(tx, operation).await?;
    refuse_deleted(&user)?;
    if user_life::mark_verified(tx, user.id, operation.stamp.now).await? {
        if !claim_username(tx, &user).await? {
            users::drop_username(tx, user.id).await?;
        }
        for purpose in [Purpose::EmailVerification, Purpose::Invitation] {
            one_time_tokens::void(tx, user.id, purpose).await?;
        }
        life::tell(tx, operation, Action::UserVerified).await?;
    }
    life::done(tx, operation).await
}
