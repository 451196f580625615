//! What happens after the answer: the bounded worker pool, and what each kind of job does.
//!
//! At least once: a claim is a lease, a worker that slept past it is fenced, and what failed is tried again
//! with growing pauses until it is given up, visibly (EML-17, REL-14). No instance knows of the others.

mod attempt;
mod forgot;
mod lease;
mod mail;
mod pool;
mod resend;
pub mod sweep;
pub mod tasks;
#[cfg(test)]
mod tests;
pub mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::Fault;
use crate::app::App;
use crate::mail::Mailer;
use attempt::Shift;

/// How jobs are worked off.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// Jobs that run at once in this process, at least one.
    pub workers: usize,
    /// Time between two looks at an empty queue.
    pub poll_interval: Duration,
    /// Time that a claim lasts. It is renewed while the job runs; one that runs for ten leases counts as failed.
    pub lease: Duration,
    /// Tries until a job is given up.
    pub attempts_max: u32,
}

/// As in the built-in configuration.
impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            workers: 4,
            poll_interval: Duration::from_secs(1),
            lease: Duration::from_mins(1),
            attempts_max: 12,
        }
    }
}

/// LIMIT: the part of a stop's time that is kept for handing jobs back: one statement a worker.
const HAND_BACK: Duration = Duration::from_secs(1);

/// The workers of a process. Dropped without a stop they end at once, and their jobs wait for their leases.
pub struct Workers {
    stopping: CancellationToken,
    cancel: CancellationToken,
    pool: AbortOnDropHandle<()>,
}

impl Workers {
    /// Starts to work off what is due, now and later.
    pub fn start(app: Arc<App>, mailer: Arc<Mailer>, settings: WorkerSettings) -> Self {
        let (stopping, cancel) = (CancellationToken::new(), CancellationToken::new());
        let tasks = app.tasks.clone();
        let shift = Arc::new(Shift::new(app, mailer, settings));
        let pool = pool::work(shift, stopping.clone(), cancel.clone());
        Self { stopping, cancel, pool: AbortOnDropHandle::new(tasks.spawn(pool)) }
    }

    /// Claims nothing more, lets running jobs finish, and hands back what is not done shortly before `deadline`.
    pub async fn stop(mut self, deadline: Instant) {
        self.stopping.cancel();
        let patience = deadline.checked_sub(HAND_BACK).unwrap_or(deadline);
        if timeout_at(patience, &mut self.pool).await.is_ok() {
            return;
        }
        self.cancel.cancel();
        if timeout_at(deadline, &mut self.pool).await.is_err() {
            tracing::warn!("jobs were left to their leases");
        }
    }
}

/// Runs everything that is due now, one by one; gives how many attempts that were.
///
/// What it enqueues is due too. A failed job waits for its next time like any other.
pub async fn run_due(app: &Arc<App>, mailer: &Arc<Mailer>) -> Result<usize, Fault> {
    let shift = Shift::new(Arc::clone(app), Arc::clone(mailer), WorkerSettings::default());
    let never = CancellationToken::new();
    let mut attempts = 0;
    while let Some(claimed) = shift.claim(1).await?.pop() {
        shift.run(claimed, &never).await;
        attempts += 1;
    }
    Ok(attempts)
}
