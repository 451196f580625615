//! What leaves by itself: deleted accounts after the grace, signups that nobody proved, invitations that nobody took.
//!
//! Each account in a transaction of its own, so that traffic never waits for a sweep. What changed since it was found
//! (restored, proven, signed up again) is left alone by the condition of the statement that erases.

use crate::Fault;
use crate::app::App;
use crate::domain::event::Actor;
use crate::flows::erase::erase_if;
use crate::flows::life::{By, LifeError};
use crate::store::user_life::{self, Erasable};

/// LIMIT: accounts of one kind that a run erases: some seconds of work at most. The next run goes on.
const BATCH: i64 = 500;

/// Erases what was deleted `accounts.deletion_grace` ago or earlier; gives how many accounts.
pub async fn erase_deleted(app: &App) -> Result<u64, Fault> {
    let by = app.clock.now().minus(app.settings.deletion_grace);
    sweep(app, Erasable::DeletedBy(by)).await
}

/// Erases signups whose newest is `accounts.unverified_lifetime` old; gives how many.
pub async fn erase_pending(app: &App) -> Result<u64, Fault> {
    let by = app.clock.now().minus(app.settings.unverified_lifetime);
    sweep(app, Erasable::PendingBy(by)).await
}

/// Erases invited accounts whose invitation is over; gives how many.
pub async fn erase_invited(app: &App) -> Result<u64, Fault> {
    sweep(app, Erasable::InvitedBy(app.clock.now())).await
}

async fn sweep(app: &App, which: Erasable) -> Result<u64, Fault> {
    let due = user_life::list_erasable(&mut app.store.read().await?, which, BATCH).await?;
    let mut erased = 0;
    for id in due {
        match erase_if(app, By::operator(Actor::System), id, which).await {
            Ok(_tombstone) => erased += 1,
            Err(LifeError::Fault(fault)) => return Err(fault),
            // It is not what it was when it was found.
            Err(_) => {}
        }
    }
    Ok(erased)
}
