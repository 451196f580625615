//! Password hashing, away from the async threads: argon2id on threads of its own (PWD-13).
//!
//! Promises bounded memory and a bounded wait, and that a verification costs the same whatever is
//! stored. Leaves to its callers: the length of a password, limits on tries, and that no database
//! handle is open while it waits.

mod argon;
mod pool;
mod settings;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use zeroize::Zeroizing;

pub use self::argon::{Checked, Workbench};
use self::pool::{Job, Pool, Urgency};
pub use self::settings::{Cost, HasherSettings, SettingFault};
use crate::Fault;
use crate::crypto::random::Random;
use crate::domain::password_hash::PasswordHash;

/// The pool of hash threads. Clones share it.
#[derive(Clone)]
pub struct Hasher {
    pool: Arc<Pool>,
    cost: Cost,
    random: Random,
}

/// What the pool did and does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HasherStats {
    /// Jobs that hashed. A verification counts once, whatever was stored.
    pub hashed_total: u64,
    /// KiB that all hashes wrote: equal work is an equal growth, whatever was stored.
    pub work_kib_total: u64,
    /// Jobs that wait.
    pub queued: usize,
    /// Jobs that are hashed right now.
    pub running: usize,
    /// Threads.
    pub threads: usize,
    /// How many jobs may wait at the moment.
    pub queue_max: usize,
    /// Jobs that left unhashed: the caller gone or the deadline passed.
    pub dropped_total: u64,
    /// Jobs that found the queue full, or were displaced by a login.
    pub refused_total: u64,
    /// The measured time of one hash, in seconds.
    pub hash_seconds: f64,
}

impl Hasher {
    /// Starts the threads. Settings that `check` refuses are a fault here too.
    pub fn start(settings: HasherSettings, random: Random) -> Result<Self, Fault> {
        if let Some(fault) = settings.check().first() {
            return Err(Fault::internal(format!("password.{}: {}", fault.key, fault.detail)));
        }
        let pool = Pool::start(settings).map_err(Fault::internal)?;
        Ok(Self { pool: Arc::new(pool), cost: settings.cost(), random })
    }

    /// Hashes `password` with today's costs and a salt of its own. Waits behind all logins.
    ///
    /// Dropping the future calls the job off, unless it is hashed already.
    pub async fn hash(
        &self,
        password: Zeroizing<String>,
        deadline: Option<Instant>,
    ) -> Result<PasswordHash, Fault> {
        let salt = self.random.bytes();
        self.run(Urgency::Signup, deadline, move |bench| bench.hash(password.as_bytes(), salt))
            .await
    }

    /// Tells whether `password` is the one behind `stored`.
    ///
    /// Nobody (`None`), no password, an unreadable hash and one beyond the caps cost one hash with
    /// today's parameters in the same queue, and never match.
    pub async fn verify(
        &self,
        password: Zeroizing<String>,
        stored: Option<PasswordHash>,
        deadline: Option<Instant>,
    ) -> Result<Checked, Fault> {
        let salt = self.random.bytes();
        self.run(Urgency::Login, deadline, move |bench| {
            bench.verify(password.as_bytes(), stored.as_ref(), salt)
        })
        .await
    }

    /// Runs work that is no hash and still too long for an async thread; it waits as a signup's hash does.
    ///
    /// Dropping the future calls the job off, unless it is running already.
    pub async fn aside<T: Send + 'static>(
        &self,
        deadline: Option<Instant>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        self.run(Urgency::Signup, deadline, move |_bench| Ok(work())).await
    }

    /// The costs of a new hash.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// What the pool did and does.
    pub fn stats(&self) -> HasherStats {
        let shared = self.pool.shared();
        HasherStats {
            hashed_total: shared.hashed.load(Ordering::Relaxed),
            work_kib_total: shared.work_kib.load(Ordering::Relaxed),
            queued: shared.queued(),
            running: shared.running.load(Ordering::Relaxed),
            threads: shared.threads(),
            queue_max: shared.queue_max(),
            dropped_total: shared.dropped.load(Ordering::Relaxed),
            refused_total: shared.refused.load(Ordering::Relaxed),
            hash_seconds: shared.average().as_secs_f64(),
        }
    }

    /// Refuses what waits and ends the threads. Blocks for about one hash; later calls are refused.
    pub fn shutdown(&self) {
        self.pool.close();
    }

    async fn run<T: Send + 'static>(
        &self,
        urgency: Urgency,
        deadline: Option<Instant>,
        work: impl FnOnce(&mut Workbench) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (job, answer) = Job::new(deadline, work);
        self.pool.shared().push(urgency, job)?;
        // The sender is dropped without an answer only by a job that panicked.
        answer.await.map_err(Fault::internal)?
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("cost", &self.cost).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
