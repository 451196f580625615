//! The readers of the embedded database: a few connections, each opened when it is first needed and kept.
//!
//! Promises that at most so many read at once, first come, first served. sqlx's own pool asks each connection whether
//! it lives when it comes back; for an embedded one that question costs as much as a look-up and tells nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::{POOL_WAIT_MAX, PoolStats};

/// The readers of one file.
pub(super) struct Readers {
    // Boxed: large, and the whole store moves.
    options: Box<SqliteConnectOptions>,
    places: Arc<Semaphore>,
    slots: Vec<Slot>,
}

#[derive(Default)]
struct Slot {
    connection: Arc<Mutex<Option<SqliteConnection>>>,
    is_broken: Arc<AtomicBool>,
}

/// A reader in use; dropping it gives it back.
pub(super) struct Reading {
    // Before the place, so that whoever gets the place finds it free.
    connection: OwnedMappedMutexGuard<Option<SqliteConnection>, SqliteConnection>,
    is_broken: Arc<AtomicBool>,
    _place: OwnedSemaphorePermit,
}

impl Reading {
    pub(super) fn conn(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Has the connection replaced before it is used again.
    pub(super) fn give_up(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }
}

impl Readers {
    pub(super) fn new(options: SqliteConnectOptions, max: u32) -> Self {
        let slots: Vec<Slot> = (0..max).map(|_| Slot::default()).collect();
        Self { options: Box::new(options), places: Arc::new(Semaphore::new(slots.len())), slots }
    }

    /// Waits for a reader, at most until `until`.
    pub(super) async fn acquire(&self, until: Option<Instant>) -> Result<Reading, sqlx::Error> {
        let latest = Instant::now() + POOL_WAIT_MAX;
        let until = until.map_or(latest, |until| until.min(latest));
        timeout_at(until, self.wait()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    async fn wait(&self) -> Result<Reading, sqlx::Error> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.or(Err(sqlx::Error::PoolClosed))?;
        loop {
            for slot in &self.slots {
                let Ok(held) = Arc::clone(&slot.connection).try_lock_owned() else { continue };
                let opened = self.opened(slot, held).await?;
                if let Ok(connection) = OwnedMutexGuard::try_map(opened, Option::as_mut) {
                    let is_broken = Arc::clone(&slot.is_broken);
                    return Ok(Reading { connection, is_broken, _place: place });
                }
            }
            // Slots changed hands behind the search: a place in hand is a slot that is free in a moment.
            tokio::task::yield_now().await;
        }
    }

    async fn opened(
        &self,
        slot: &Slot,
        mut held: OwnedMutexGuard<Option<SqliteConnection>>,
    ) -> Result<OwnedMutexGuard<Option<SqliteConnection>>, sqlx::Error> {
        // A close waits for the slot, so what it does not see here it closes afterwards.
        if self.places.is_closed() {
            return Err(sqlx::Error::PoolClosed);
        }
        if slot.is_broken.swap(false, Ordering::Relaxed) {
            *held = None;
        }
        if held.is_none() {
            *held = Some(self.options.connect().await?);
        }
        Ok(held)
    }

    pub(super) fn stats(&self) -> PoolStats {
        let (mut idle, mut in_use) = (0, 0);
        for slot in &self.slots {
            match slot.connection.try_lock() {
                Ok(held) => idle += u32::from(held.is_some()),
                Err(_in_use) => in_use += 1,
            }
        }
        let max = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        PoolStats { connections: idle + in_use, idle, max }
    }

    /// Refuses whoever comes, waits for whoever reads, and closes all.
    pub(super) async fn close(&self) {
        self.places.close();
        for slot in &self.slots {
            if let Some(connection) = slot.connection.lock().await.take()
                && let Err(error) = connection.close().await
            {
                tracing::warn!(error = %super::fault::fault(error), "a reader was not closed");
            }
        }
    }
}
