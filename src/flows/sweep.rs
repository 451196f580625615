//! What leaves by itself: deleted accounts after the grace, signups that nobody proved, invitations that nobody took.
//!
//! Each account in a transaction of its own, so that traffic never waits for a sweep. What changed since it was found
//! (restored, proven, signed up again) is left alone by the condition of the statement that erases.

use crate::app::App;
use crate::domain::event::Actor;
use crate::flows::erase::erase_if;
use crate::flows::life::{By, LifeError};
use crate::store::user_life::{self, Erasable};
use crate::{Fault, FaultKind};

/// LIMIT: accounts of a batch, a transaction each: half a second of work or less.
const BATCH: i64 = 50;

/// What a batch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Accounts that were erased.
    pub erased: u64,
    /// Whether there may be more.
    pub is_more: bool,
}

/// Erases what was deleted `accounts.deletion_grace` ago or earlier.
pub async fn erase_deleted(app: &App) -> Result<Swept, Fault> {
    let by = app.clock.now().minus(app.settings.deletion_grace);
    sweep(app, Erasable::DeletedBy(by)).await
}

/// Erases signups whose newest is `accounts.unverified_lifetime` old.
pub async fn erase_pending(app: &App) -> Result<Swept, Fault> {
    let by = app.clock.now().minus(app.settings.unverified_lifetime);
    sweep(app, Erasable::PendingBy(by)).await
}

/// Erases invited accounts whose invitation is over.
pub async fn erase_invited(app: &App) -> Result<Swept, Fault> {
    sweep(app, Erasable::InvitedBy(app.clock.now())).await
}

async fn sweep(app: &App, which: Erasable) -> Result<Swept, Fault> {
    let due = user_life::list_erasable(&mut app.store.read().await?, which, BATCH).await?;
    let is_more = i64::try_from(due.len()).is_ok_and(|found| found >= BATCH);
    let (mut erased, mut first) = (0, None);
    for id in due {
        match erase_if(app, By::operator(Actor::System), id, which).await {
            Ok(_tombstone) => erased += 1,
            // One account that cannot be erased does not keep the others.
            Err(LifeError::Fault(fault)) if fault.kind() == FaultKind::Internal => {
                first.get_or_insert(fault);
            }
            Err(LifeError::Fault(fault)) => return Err(fault),
            // It is not what it was when it was found.
            Err(_) => {}
        }
    }
    match first {
        None => Ok(Swept { erased, is_more }),
        Some(fault) => Err(fault),
    }
}
