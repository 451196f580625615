//! An operator vouches for a mailbox: the account is verified without a mail, and takes what it wished for.
//!
//! Whoever signed up can sign in then, whoever that was: the operator knows, the service does not (EML-13).

use std::sync::Arc;

use crate::app::App;
use crate::domain::event::Action;
use crate::domain::ids::UserId;
use crate::domain::profile::ProfileSchema;
use crate::domain::user::User;
use crate::flows::life::{self, By, LifeError, Operation};
use crate::flows::suspend::refuse_deleted;
use crate::flows::unique;
use crate::store::one_time_tokens::{self, Purpose};
use crate::store::{Writer, user_life};

/// Marks the mailbox of an account proven. A wish that somebody verified took meanwhile is dropped.
pub async fn mark_verified(app: &App, by: By, id: UserId) -> Result<User, LifeError> {
    let operation = Operation::new(app, by, id, Arc::clone(&app.schema));
    life::run(app, operation, |tx, operation| Box::pin(vouch(tx, operation))).await
}

async fn vouch(
    tx: &mut Writer,
    operation: &Operation<Arc<ProfileSchema>>,
) -> Result<User, LifeError> {
    let user = life::lock(tx, operation).await?;
    refuse_deleted(&user)?;
    if user_life::mark_verified(tx, user.id, operation.stamp.now).await? {
        unique::claim_wishes(tx, &operation.of, user).await?;
        for purpose in [Purpose::EmailVerification, Purpose::Invitation] {
            one_time_tokens::void(tx, operation.id, purpose).await?;
        }
        life::tell(tx, operation, Action::UserVerified).await?;
    }
    life::done(tx, operation).await
}
