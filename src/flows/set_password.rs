//! A password set by an operator: break-glass (EML-18). Sessions end, it is to be changed, its owner is told.

use crate::app::App;
use crate::domain::event::Action;
use crate::domain::ids::UserId;
use crate::domain::job::Letter;
use crate::domain::password::PlainPassword;
use crate::domain::password_hash::PasswordHash;
use crate::domain::session::EndReason;
use crate::domain::user::User;
use crate::flows::change_password::{next_version, void_what_the_password_guarded};
use crate::flows::life::{self, By, LifeError, Operation};
use crate::flows::suspend::refuse_deleted;
use crate::store::{Writer, credentials};
use crate::{Fault, deadline};

/// Sets the password of an account until its owner changes it.
pub async fn set_password(
    app: &App,
    by: By,
    id: UserId,
    password: PlainPassword,
) -> Result<User, LifeError> {
    let hash = app.hasher.hash(password.into_inner(), deadline::current_std()).await;
    let operation = Operation::new(app, by, id, hash.map_err(Fault::from)?);
    life::run(app, operation, |tx, operation| Box::pin(set(tx, operation))).await
}

async fn set(tx: &mut Writer, operation: &Operation<PasswordHash>) -> Result<User, LifeError> {
    let user = life::lock(tx, operation).await?;
    refuse_deleted(&user)?;
    let stamp = &operation.stamp;
    let before = credentials::find(tx, user.id).await?.map(|credential| credential.set_at);
    let version = next_version(stamp.now, before);
    credentials::set_provisional(tx, user.id, &operation.of, version).await?;
    life::end_sessions(tx, stamp, user.id, EndReason::PasswordSet).await?;
    // Whoever had the account before keeps no way back into it.
    void_what_the_password_guarded(tx, user.id).await?;
    life::notify(tx, operation, &user, Letter::PasswordSet).await?;
    life::tell(tx, operation, Action::PasswordChanged).await?;
    life::done(tx, operation).await
}
