//! What every change of an account's standing has in common: who does it, the lock, the last administrator, the end.
//!
//! A rehearsal runs the whole change and leaves nothing: what it refuses, the change itself refuses.

use serde_json::Map;

use crate::Fault;
use crate::app::App;
use crate::domain::event::{Action, Actor, Subject, session_data};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::job::{Letter, Mail};
use crate::domain::session::{EndReason, Origin};
use crate::domain::user::{Status, User};
use crate::flows::{Stamp, mails};
use crate::store::roles::{self, ADMIN};
use crate::store::{Change, Writer, events, sessions, users};

/// Who changes an account, and whether in earnest.
#[derive(Clone)]
pub struct By {
    /// Who does it.
    pub actor: Actor,
    /// Where it came from.
    pub origin: Origin,
    /// Whether nothing is to be left of it.
    pub is_rehearsal: bool,
}

impl By {
    /// Somebody at the command line, or the service itself.
    pub fn operator(actor: Actor) -> Self {
        Self { actor, origin: Origin::default(), is_rehearsal: false }
    }
}

/// Why an account was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// There is no such account, or it was erased.
    #[error("there is no such user")]
    NotFound,
    /// Nobody else would be left to administrate (AUZ-09).
    #[error("the last active administrator stays")]
    LastAdmin,
    /// Its present state does not allow it, and why.
    #[error("{0}")]
    Conflict(&'static str),
    /// The account has permissions that the actor lacks (AUZ-16).
    #[error("the account has permissions that you lack")]
    NotAllowed,
    /// It would be done. The account as it would be.
    #[error("rehearsed")]
    Rehearsed(Box<User>),
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A change of one account, with what is special about it.
pub(crate) struct Operation<T> {
    pub(crate) stamp: Stamp,
    pub(crate) id: UserId,
    pub(crate) of: T,
    is_rehearsal: bool,
}

impl<T> Operation<T> {
    pub(crate) fn new(app: &App, by: By, id: UserId, of: T) -> Self {
        let stamp = Stamp::new(app, by.actor, by.origin);
        Self { stamp, id, of, is_rehearsal: by.is_rehearsal }
    }

    /// The same with something that is made for its moment.
    pub(crate) fn with<U>(self, make: impl FnOnce(&Stamp) -> U) -> Operation<U> {
        let of = make(&self.stamp);
        Operation { stamp: self.stamp, id: self.id, of, is_rehearsal: self.is_rehearsal }
    }

    /// What a change of another account does to this one, in earnest.
    pub(crate) fn within(stamp: Stamp, id: UserId, of: T) -> Self {
        Self { stamp, id, of, is_rehearsal: false }
    }
}

/// Runs `change` on the account `id`; the account as it is afterwards, or would be.
pub(crate) async fn run<T: Send + Sync + 'static>(
    app: &App,
    operation: Operation<T>,
    change: Change<Operation<T>, User, LifeError>,
) -> Result<User, LifeError> {
    match app.store.write(operation, change).await {
        Err(LifeError::Rehearsed(user)) => Ok(*user),
        done => done,
    }
}

/// The account, kept from other changes; whoever may not touch it is refused.
pub(crate) async fn lock<T>(tx: &mut Writer, operation: &Operation<T>) -> Result<User, LifeError> {
    let id = operation.id;
    // SECURITY: AUZ-09. Administrators are locked in the order of their ids, and before the account: two that
    // remove each other wait in one line.
    if roles::holds(tx, id, ADMIN).await? {
        roles::lock_holders(tx, ADMIN).await?;
    }
    users::lock(tx, id).await?;
    // Asked again: what the lock waited for may have changed the roles too.
    let user = users::find(tx, id).await?.filter(|user| user.erased_at.is_none());
    let user = user.ok_or(LifeError::NotFound)?;
    refuse_climbing(tx, &operation.stamp.actor, &user).await?;
    Ok(user)
}

/// SECURITY: AUZ-16. Nobody acts on an account that may do what they may not; that they may act at all is asked before.
async fn refuse_climbing(tx: &mut Writer, actor: &Actor, user: &User) -> Result<(), LifeError> {
    match actor {
        Actor::User(id) if *id != user.id && !user.roles.0.is_empty() => {
            // LIMIT: there is one role yet, and it has every permission.
            if roles::holds(tx, *id, ADMIN).await? { Ok(()) } else { Err(LifeError::NotAllowed) }
        }
        Actor::User(_) | Actor::Cli(_) | Actor::System => Ok(()),
        Actor::Anyone => Err(LifeError::NotAllowed),
    }
}

/// Refuses to go on if `user` is the only active administrator. Asked before the account is changed.
pub(crate) async fn spare_last_admin(tx: &mut Writer, user: &User) -> Result<(), LifeError> {
    let is_admin = user.roles.0.iter().any(|role| role == ADMIN);
    if !is_admin || user.status() != Status::Active {
        return Ok(());
    }
    // SECURITY: AUZ-09. The rows are locked until the commit, so nobody else can leave meanwhile.
    let active = roles::lock_holders(tx, ADMIN).await?;
    if active.iter().any(|id| *id != user.id) { Ok(()) } else { Err(LifeError::LastAdmin) }
}

/// Writes the event of what was done to the account.
pub(crate) async fn tell<T>(
    tx: &mut Writer,
    operation: &Operation<T>,
    action: Action,
) -> Result<(), Fault> {
    let subject = Subject::User(operation.id);
    events::append(tx, &operation.stamp.event(action, subject, Map::new())?).await
}

/// Mails the owner, if the mailbox is proven to be theirs (EML-13).
pub(crate) async fn notify<T>(
    tx: &mut Writer,
    operation: &Operation<T>,
    user: &User,
    letter: Letter,
) -> Result<(), Fault> {
    if user.email_verified_at.is_none() {
        return Ok(());
    }
    let mail = Mail { to: user.email.clone(), user_id: user.id, letter };
    mails::post(tx, &operation.stamp, mail).await.map(|_is_posted| ())
}

/// Ends every session of `user`, with an event for each (SES-10).
pub(crate) async fn end_sessions(
    tx: &mut Writer,
    stamp: &Stamp,
    user: UserId,
    reason: EndReason,
) -> Result<(), Fault> {
    for session in sessions::end_all(tx, user, stamp.now, reason).await? {
        tell_ended(tx, stamp, user, session).await?;
    }
    Ok(())
}

/// Writes the event of a session that was ended.
pub(crate) async fn tell_ended(
    tx: &mut Writer,
    stamp: &Stamp,
    user: UserId,
    session: SessionId,
) -> Result<(), Fault> {
    let data = session_data(session);
    events::append(tx, &stamp.event(Action::SessionEnded, Subject::User(user), data)?).await
}

/// The account as it is now; a rehearsal ends here, with nothing kept.
pub(crate) async fn done<T>(tx: &mut Writer, operation: &Operation<T>) -> Result<User, LifeError> {
    let found = users::find(tx, operation.id).await?;
    let user = found.ok_or_else(|| Fault::internal("a locked user is gone"))?;
    if operation.is_rehearsal {
        return Err(LifeError::Rehearsed(Box::new(user)));
    }
    Ok(user)
}
