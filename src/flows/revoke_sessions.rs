//! Ending sessions of others: those of one user, or everybody's (SES-18).

use crate::app::App;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::EndReason;
use crate::domain::user::User;
use crate::flows::life::{self, By, LifeError, Operation};
use crate::store::{Writer, sessions};

/// LIMIT: users that are looked up at once.
const BATCH: i64 = 500;

/// Ends every session of an account.
pub async fn revoke_all(app: &App, by: By, id: UserId) -> Result<User, LifeError> {
    let operation = Operation::new(app, by, id, ());
    life::run(app, operation, |tx, operation| Box::pin(end_all(tx, operation))).await
}

/// Ends one session of an account; [`LifeError::NotFound`] if it is not live or not theirs.
pub async fn revoke_one(
    app: &App,
    by: By,
    id: UserId,
    session: SessionId,
) -> Result<User, LifeError> {
    let operation = Operation::new(app, by, id, session);
    life::run(app, operation, |tx, operation| Box::pin(end_one(tx, operation))).await
}

/// Ends every session of everybody who is signed in now, user after user; gives how many users.
pub async fn revoke_everybody_s(app: &App, by: By) -> Result<u64, LifeError> {
    let (mut after, mut users) = (UserId(uuid::Uuid::nil()), 0);
    loop {
        let (now, mut db) = (app.clock.now(), app.store.read().await?);
        let found = sessions::list_signed_in(&mut db, now, after, BATCH).await?;
        drop(db);
        let Some(last) = found.last() else { return Ok(users) };
        after = *last;
        for id in found {
            match revoke_all(app, by.clone(), id).await {
                Ok(_user) => users += 1,
                // It was erased meanwhile, and its sessions ended with it.
                Err(LifeError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

async fn end_all(tx: &mut Writer, operation: &Operation<()>) -> Result<User, LifeError> {
    let user = life::lock(tx, operation).await?;
    life::end_sessions(tx, &operation.stamp, user.id, EndReason::Revoked).await?;
    life::done(tx, operation).await
}

async fn end_one(tx: &mut Writer, operation: &Operation<SessionId>) -> Result<User, LifeError> {
    let user = life::lock(tx, operation).await?;
    let (stamp, session) = (&operation.stamp, operation.of);
    let reason = EndReason::Revoked;
    if !sessions::end_of_user(tx, session, user.id, stamp.now, reason).await? {
        return Err(LifeError::NotFound);
    }
    life::tell_ended(tx, stamp, user.id, session).await?;
    life::done(tx, operation).await
}
