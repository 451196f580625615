//! Connections that are kept: a bounded number, each opened when it is first needed.
//!
//! Promises that at most so many are in use at once, first come, first served, and that one whose use was broken off
//! is closed, not used again. sqlx's own pool asks each connection whether it lives when it comes back: one more trip a
//! use. Which connection is asked, and when, is left to the [`Opener`].

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sqlx::Connection;
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::{POOL_WAIT_MAX, PoolStats};

/// How connections are opened, and which of them are good for another use.
pub(super) trait Opener: Send + Sync {
    /// What is kept.
    type Connection: Connection;

    /// Opens another one.
    fn open(&self) -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;

    /// Tells whether a kept one is old enough to be closed.
    fn is_worn(&self, kept: &Kept<Self::Connection>) -> bool;

    /// Tells whether a kept one may be used once more; whoever has to ask it does so here.
    fn answers(&self, kept: &mut Kept<Self::Connection>) -> impl Future<Output = bool> + Send;
}

/// A connection, and since when.
pub(super) struct Kept<C> {
    pub(super) connection: C,
    pub(super) opened_at: Instant,
    pub(super) used_at: Instant,
}

/// The connections of one database.
pub(super) struct Slots<O: Opener> {
    opener: O,
    places: Arc<Semaphore>,
    all: Vec<Slot<O::Connection>>,
    start: Instant,
    swept_s: AtomicU64,
}

/// How often somebody who comes looks for connections that nobody has needed for long.
const SWEEP_S: u64 = 60;

type Shared<C> = Arc<Mutex<Option<Kept<C>>>>;

struct Slot<C> {
    kept: Shared<C>,
    is_broken: Arc<AtomicBool>,
}

/// A connection in use; dropping it gives it back, or closes it.
pub(super) struct Lent<C> {
    // In this order: the slot is free, then clean, and then somebody else may come.
    kept: OwnedMappedMutexGuard<Option<Kept<C>>, Kept<C>>,
    broken: Broken<C>,
    _place: OwnedSemaphorePermit,
}

/// Closes what is not to be used again.
struct Broken<C> {
    slot: Shared<C>,
    is_broken: Arc<AtomicBool>,
}

impl<C> Drop for Broken<C> {
    fn drop(&mut self) {
        if self.is_broken.load(Ordering::Relaxed)
            && let Ok(mut slot) = self.slot.try_lock()
        {
            *slot = None;
            self.is_broken.store(false, Ordering::Relaxed);
        }
    }
}

impl<C> Lent<C> {
    pub(super) fn conn(&mut self) -> &mut C {
        &mut self.kept.connection
    }

    /// Has the connection closed instead of given back, until `settle`.
    pub(super) fn give_up(&self) {
        self.broken.is_broken.store(true, Ordering::Relaxed);
    }

    /// Lets the connection be used again: nothing of this use is left on it.
    pub(super) fn settle(&mut self) {
        self.kept.used_at = Instant::now();
        self.broken.is_broken.store(false, Ordering::Relaxed);
    }
}

impl<O: Opener> Slots<O> {
    pub(super) fn new(opener: O, max: u32) -> Self {
        let all: Vec<Slot<O::Connection>> =
            (0..max).map(|_| Slot { kept: Arc::default(), is_broken: Arc::default() }).collect();
        let places = Arc::new(Semaphore::new(all.len()));
        Self { opener, places, all, start: Instant::now(), swept_s: AtomicU64::new(0) }
    }

    pub(super) fn opener(&self) -> &O {
        &self.opener
    }

    /// Waits for a connection, at most until `until`.
    pub(super) async fn acquire(
        &self,
        until: Option<Instant>,
    ) -> Result<Lent<O::Connection>, sqlx::Error> {
        let latest = Instant::now() + POOL_WAIT_MAX;
        let until = until.map_or(latest, |until| until.min(latest));
        let place = timeout_at(until, Arc::clone(&self.places).acquire_owned()).await;
        let place = place.or(Err(sqlx::Error::PoolTimedOut))?.or(Err(sqlx::Error::PoolClosed))?;
        self.sweep();
        let silent = || sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        timeout_at(until, self.lend(place)).await.unwrap_or_else(|_elapsed| Err(silent()))
    }

    async fn lend(&self, place: OwnedSemaphorePermit) -> Result<Lent<O::Connection>, sqlx::Error> {
        loop {
            // The first that is free, so that the last ones rest when there is little to do.
            for slot in &self.all {
                let Ok(held) = Arc::clone(&slot.kept).try_lock_owned() else { continue };
                let opened = self.opened(slot, held).await?;
                if let Ok(kept) = OwnedMutexGuard::try_map(opened, Option::as_mut) {
                    let (is_broken, slot) = (Arc::clone(&slot.is_broken), Arc::clone(&slot.kept));
                    return Ok(Lent { kept, broken: Broken { slot, is_broken }, _place: place });
                }
            }
            // Slots changed hands behind the search: a place in hand is a slot that is free in a moment.
            tokio::task::yield_now().await;
        }
    }

    async fn opened(
        &self,
        slot: &Slot<O::Connection>,
        mut held: OwnedMutexGuard<Option<Kept<O::Connection>>>,
    ) -> Result<OwnedMutexGuard<Option<Kept<O::Connection>>>, sqlx::Error> {
        // A close waits for the slot, so what it does not see here it closes afterwards.
        if self.places.is_closed() {
            return Err(sqlx::Error::PoolClosed);
        }
        let is_broken = slot.is_broken.swap(false, Ordering::Relaxed);
        // It stays out of its slot while it is asked: whoever gives up meanwhile closes it.
        if let Some(mut kept) = held.take().filter(|kept| !is_broken && !self.opener.is_worn(kept))
            && self.opener.answers(&mut kept).await
        {
            *held = Some(kept);
            return Ok(held);
        }
        let connection = self.opener.open().await?;
        let now = Instant::now();
        *held = Some(Kept { connection, opened_at: now, used_at: now });
        Ok(held)
    }

    /// Closes what is worn and would not be taken soon.
    fn sweep(&self) {
        let (now_s, last) = (self.start.elapsed().as_secs(), self.swept_s.load(Ordering::Relaxed));
        if now_s < last + SWEEP_S || self.swept_s.swap(now_s, Ordering::Relaxed) != last {
            return;
        }
        for slot in &self.all {
            if let Ok(mut held) = slot.kept.try_lock()
                && held.as_ref().is_some_and(|kept| self.opener.is_worn(kept))
            {
                *held = None;
            }
        }
    }

    pub(super) fn stats(&self) -> PoolStats {
        let (mut idle, mut in_use) = (0, 0);
        for slot in &self.all {
            match slot.kept.try_lock() {
                Ok(held) => idle += u32::from(held.is_some()),
                Err(_in_use) => in_use += 1,
            }
        }
        let max = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        PoolStats { connections: idle + in_use, idle, max }
    }

    /// Refuses whoever comes, waits for whoever uses one, and closes all.
    pub(super) async fn close(&self) {
        /// LIMIT: ours; to say good-bye is a courtesy, and a server may be silent.
        const GOOD_BYE_MAX: Duration = Duration::from_secs(5);
        self.places.close();
        for slot in &self.all {
            if let Some(kept) = slot.kept.lock().await.take()
                && let Ok(Err(error)) = timeout(GOOD_BYE_MAX, kept.connection.close()).await
            {
                tracing::warn!(error = %super::fault::fault(error), "a connection was not closed well");
            }
        }
    }
}
