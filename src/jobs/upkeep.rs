//! Upkeep: what is done again and again, by one instance at a time, each task under a lease of its own (REL-14).
//!
//! Nobody is elected: whoever comes first takes the lease, works in small batches and leaves behind when the next run
//! is due. A task that fails or panics is logged and tried later; the others do not notice.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::app::App;
use crate::domain::time::Timestamp;
use crate::store::leases;
use crate::{Fault, deadline};

#[cfg(test)]
mod tests;

/// LIMIT: F20. After a crash somebody else takes over within a minute.
const LEASE: Duration = Duration::from_mins(1);
/// LIMIT: a batch that takes longer is broken off, long before its lease ends.
const BATCH_MAX: Duration = Duration::from_secs(20);
/// LIMIT: SES-22. Between two batches whoever waits for the database has it.
const BETWEEN_BATCHES: Duration = Duration::from_millis(20);
/// LIMIT: REL-10. The pause after failures doubles up to this.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// What one batch of a task came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// There is nothing left to do.
    Last,
    /// There may be more.
    More,
}

impl Batch {
    /// A batch of at most `limit` rows that found `rows`.
    pub fn of(rows: u64, limit: i64) -> Self {
        if i64::try_from(rows).is_ok_and(|rows| rows < limit) { Self::Last } else { Self::More }
    }
}

/// Does one small batch. It may run twice, also at the same time, so that must be harmless.
pub type Work = for<'a> fn(&'a App) -> BoxFuture<'a, Result<Batch, Fault>>;
/// Tells whether there is work, by a look that costs nobody anything.
pub type Ask = for<'a> fn(&'a App) -> BoxFuture<'a, Result<bool, Fault>>;

/// Something that one instance does again and again.
#[derive(Clone, Copy)]
pub struct Task {
    name: &'static str,
    every: Duration,
    ask: Option<Ask>,
    work: Work,
}

impl Task {
    /// A task by its name (the lease's, and the label of its metrics), its period and its work.
    pub const fn new(name: &'static str, every: Duration, work: Work) -> Self {
        Self { name, every, ask: None, work }
    }

    /// The same, but nobody takes the lease while `ask` says that there is nothing to do.
    #[must_use]
    pub const fn only_if(self, ask: Ask) -> Self {
        Self { ask: Some(ask), ..self }
    }
}

/// The upkeep of a process. Dropped without a stop it ends at once, and its leases run out.
pub struct Upkeep {
    stopping: CancellationToken,
    running: Vec<AbortOnDropHandle<()>>,
}

impl Upkeep {
    /// Starts to look after `tasks`.
    pub fn start(app: &Arc<App>, tasks: &[Task]) -> Self {
        let stopping = CancellationToken::new();
        let owner = app.random.uuid(app.clock.now());
        let keep = |task: &Task| {
            let keeper = Keeper { app: Arc::clone(app), owner, task: *task };
            AbortOnDropHandle::new(app.tasks.spawn(keeper.keep(stopping.clone())))
        };
        Self { running: tasks.iter().map(keep).collect(), stopping }
    }

    /// Begins no further batch, and waits for those that run, at most until `deadline`.
    pub async fn stop(self, deadline: Instant) {
        self.stopping.cancel();
        if timeout_at(deadline, join_all(self.running)).await.is_err() {
            tracing::warn!("upkeep was left to its leases");
        }
    }
}

/// How a turn at a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing was to be done, or somebody else does it.
    Idle,
    /// All was done, or all that a stop left time for.
    Done,
    /// The lease was lost between two batches.
    Lost,
    /// It failed or panicked.
    Failed,
}

/// One task in the hands of one instance.
pub(super) struct Keeper {
    pub(super) app: Arc<App>,
    pub(super) owner: Uuid,
    pub(super) task: Task,
}

impl Keeper {
    async fn keep(self, stopping: CancellationToken) {
        let mut failures = 0;
        // What starts together does not look together.
        let mut pause = self.app.random.jitter(self.task.every.min(Duration::from_secs(5)));
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = sleep(pause) => {}
            }
            let failed = self.turn(&stopping).await == Turn::Failed;
            failures = if failed { failures + 1 } else { 0 };
            pause = self.pause(failures);
        }
    }

    fn pause(&self, failures: u32) -> Duration {
        if failures == 0 {
            return self.task.every;
        }
        let ceiling = Duration::from_secs(1).saturating_mul(1 << failures.min(10)).min(PAUSE_MAX);
        self.task.every.min(PAUSE_MAX).max(self.app.random.jitter(ceiling))
    }

    /// Does the task if it is due and nobody else does it.
    pub(super) async fn turn(&self, stopping: &CancellationToken) -> Turn {
        let begun = (self.app.clock.now(), Instant::now());
        let turn = match AssertUnwindSafe(self.attempt(begun.0, stopping)).catch_unwind().await {
            Ok(Ok(turn)) => turn,
            Ok(Err(fault)) => {
                let at = fault.place();
                tracing::warn!(task = self.task.name, error = %fault.chain(), at, "upkeep failed");
                Turn::Failed
            }
            // What it said is in the log already, where it may be (PWD-16).
            Err(_panic) => Turn::Failed,
        };
        let outcome = match turn {
            Turn::Idle => return turn,
            Turn::Done => "done",
            Turn::Lost => "lost",
            Turn::Failed => {
                self.hand_back().await;
                "failed"
            }
        };
        let name = self.task.name;
        metrics::counter!("portcullis_upkeep_runs_total", "task" => name, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("portcullis_upkeep_run_seconds", "task" => name)
            .record(begun.1.elapsed().as_secs_f64());
        turn
    }

    async fn attempt(&self, begun: Timestamp, stopping: &CancellationToken) -> Result<Turn, Fault> {
        if let Some(ask) = self.task.ask
            && !self.bounded(ask(&self.app)).await?
        {
            return Ok(Turn::Idle);
        }
        let lease = self.lease(begun.plus(LEASE));
        let taken = self
            .app
            .store
            .write(lease, |tx, it| Box::pin(leases::take(tx, it.name, it.owner, it.now, it.until)));
        if !taken.await? {
            return Ok(Turn::Idle);
        }
        while self.bounded((self.task.work)(&self.app)).await? == Batch::More {
            if stopping.is_cancelled() {
                break;
            }
            sleep(BETWEEN_BATCHES).await;
            let lease = self.lease(self.app.clock.now().plus(LEASE));
            let kept = self.app.store.write(lease, |tx, it| {
                Box::pin(leases::renew(tx, it.name, it.owner, it.now, it.until))
            });
            if !kept.await? {
                tracing::warn!(task = self.task.name, "somebody else goes on");
                return Ok(Turn::Lost);
            }
        }
        // An eighth early: our own timer must not come a moment before the time.
        self.release(begun.plus(self.task.every * 7 / 8)).await?;
        Ok(Turn::Done)
    }

    async fn bounded<T>(&self, work: BoxFuture<'_, Result<T, Fault>>) -> Result<T, Fault> {
        let until = Instant::now() + BATCH_MAX;
        match timeout_at(until, deadline::scope(until, work)).await {
            Ok(done) => done,
            Err(elapsed) => Err(Fault::unavailable(elapsed)),
        }
    }

    /// Lets any instance try again.
    async fn hand_back(&self) {
        if let Err(fault) = self.release(self.app.clock.now()).await {
            tracing::debug!(task = self.task.name, error = %fault.chain(), "a lease is left to run out");
        }
    }

    async fn release(&self, due_at: Timestamp) -> Result<bool, Fault> {
        let released = self.app.store.write(self.lease(due_at), |tx, it| {
            Box::pin(leases::release(tx, it.name, it.owner, it.until))
        });
        released.await
    }

    fn lease(&self, until: Timestamp) -> Lease {
        Lease { name: self.task.name, owner: self.owner, now: self.app.clock.now(), until }
    }
}

struct Lease {
    name: &'static str,
    owner: Uuid,
    now: Timestamp,
    until: Timestamp,
}
