//! Granting and revoking roles. There is one, `admin`, and somebody active always has it (AUZ-09).

use serde_json::{Map, Value};

use crate::Fault;
use crate::app::App;
use crate::domain::event::{Action, Actor, Subject};
use crate::domain::ids::UserId;
use crate::domain::user::User;
use crate::flows::life::{self, By, LifeError, Operation};
use crate::flows::suspend::refuse_deleted;
use crate::store::roles::{self, ADMIN};
use crate::store::{Writer, events, user_life};

/// Why roles were left as they are.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// There is no such role.
    #[error("there is no such role")]
    UnknownRole,
    /// The account was left as it is.
    #[error(transparent)]
    Life(#[from] LifeError),
}

impl From<Fault> for RoleError {
    fn from(fault: Fault) -> Self {
        Self::Life(fault.into())
    }
}

/// Grants a role; whoever has it keeps it.
pub async fn grant(app: &App, by: By, id: UserId, role: String) -> Result<User, RoleError> {
    refuse_unknown(app, &role).await?;
    let operation = Operation::new(app, by, id, role);
    Ok(life::run(app, operation, |tx, operation| Box::pin(give(tx, operation))).await?)
}

/// Takes a role away; tokens that are out carry it until they end.
pub async fn revoke(app: &App, by: By, id: UserId, role: String) -> Result<User, RoleError> {
    refuse_unknown(app, &role).await?;
    let operation = Operation::new(app, by, id, role);
    Ok(life::run(app, operation, |tx, operation| Box::pin(take(tx, operation))).await?)
}

async fn refuse_unknown(app: &App, role: &str) -> Result<(), RoleError> {
    let is_role = roles::is_role(&mut app.store.read().await?, role).await?;
    if is_role { Ok(()) } else { Err(RoleError::UnknownRole) }
}

async fn give(tx: &mut Writer, operation: &Operation<String>) -> Result<User, LifeError> {
    let user = life::lock(tx, operation).await?;
    refuse_deleted(&user)?;
    may_hand_out(tx, &operation.stamp.actor).await?;
    // SECURITY: EML-13. Whoever signs up next on this address would have the role; while it is suspended nobody can,
    // but it may be reactivated.
    if user.pending_since.is_some() && user.email_verified_at.is_none() {
        return Err(LifeError::Conflict("nobody has proven the mailbox of this signup"));
    }
    if roles::grant(tx, user.id, &operation.of, operation.stamp.now).await? {
        tell(tx, operation, Action::RoleGranted).await?;
    }
    life::done(tx, operation).await
}

async fn take(tx: &mut Writer, operation: &Operation<String>) -> Result<User, LifeError> {
    let user = life::lock(tx, operation).await?;
    may_hand_out(tx, &operation.stamp.actor).await?;
    if operation.of == ADMIN {
        life::spare_last_admin(tx, &user).await?;
    }
    if roles::revoke(tx, user.id, &operation.of).await? {
        tell(tx, operation, Action::RoleRevoked).await?;
    }
    life::done(tx, operation).await
}

/// SECURITY: AUZ-16. Nobody grants what they do not have.
async fn may_hand_out(tx: &mut Writer, actor: &Actor) -> Result<(), LifeError> {
    match actor {
        // LIMIT: there is one role yet, and it has every permission.
        Actor::User(id) if !roles::holds(tx, *id, ADMIN).await? => Err(LifeError::NotAllowed),
        _ => Ok(()),
    }
}

async fn tell(
    tx: &mut Writer,
    operation: &Operation<String>,
    action: Action,
) -> Result<(), LifeError> {
    let (stamp, id) = (&operation.stamp, operation.id);
    user_life::touch(tx, id, stamp.now).await?;
    let data = Map::from_iter([("role".into(), Value::String(operation.of.clone()))]);
    Ok(events::append(tx, &stamp.event(action, Subject::User(id), data)?).await?)
}
