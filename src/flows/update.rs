//! Changing somebody's account: the patch of `me`, written by an administrator, so also to fields of theirs.

use crate::Fault;
use crate::app::App;
use crate::domain::fields::FieldFault;
use crate::domain::ids::UserId;
use crate::domain::profile::Writer as WrittenBy;
use crate::domain::user::User;
use crate::flows::life::{self, By, LifeError, Operation};
use crate::flows::me::{Amendment, Expected, Patch, PatchError, amend};
use crate::flows::suspend::refuse_deleted;
use crate::flows::unique::Taken;
use crate::store::Writer;

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The account was left as it is.
    #[error(transparent)]
    Life(#[from] LifeError),
    /// Somebody else changed it, or the caller never saw it.
    #[error("the version is another one by now")]
    VersionConflict,
    /// The patch, or what it leads to, is not valid.
    #[error("the patch is not valid")]
    Invalid(Vec<FieldFault>),
    /// A verified user holds the username, or a value of a `unique` field.
    #[error(transparent)]
    Taken(Taken),
}

impl From<Fault> for UpdateError {
    fn from(fault: Fault) -> Self {
        Self::Life(fault.into())
    }
}

impl From<PatchError> for UpdateError {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::VersionConflict => Self::VersionConflict,
            PatchError::Invalid(faults) => Self::Invalid(faults),
            PatchError::Taken(taken) => Self::Taken(taken),
            PatchError::SignedOut => Self::Life(LifeError::NotFound),
            PatchError::Fault(fault) => fault.into(),
        }
    }
}

/// Applies a patch to an account; the account as it is afterwards.
pub async fn update(
    app: &App,
    by: By,
    id: UserId,
    patch: Patch,
    expected: Expected,
) -> Result<User, UpdateError> {
    let of = (Amendment::new(app, patch, WrittenBy::Admin), expected);
    let operation = Operation::new(app, by, id, of);
    let done = app.store.write(operation, |tx, operation| Box::pin(change(tx, operation)));
    match done.await {
        Err(UpdateError::Life(LifeError::Rehearsed(user))) => Ok(*user),
        done => done,
    }
}

async fn change(
    tx: &mut Writer,
    operation: &Operation<(Amendment, Expected)>,
) -> Result<User, UpdateError> {
    let user = life::lock(tx, operation).await?;
    refuse_deleted(&user)?;
    let (amendment, expected) = &operation.of;
    if !expected.allows(user.version) {
        return Err(UpdateError::VersionConflict);
    }
    amend(tx, &operation.stamp, amendment, user).await?;
    Ok(life::done(tx, operation).await?)
}
