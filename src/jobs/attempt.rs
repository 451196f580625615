//! One attempt at one job: claimed, opened, done, and its end written down by whoever still holds the lease.
//!
//! Whatever happens inside (a fault, a panic, a time-out, a stop) ends in one verdict. Nothing that is stored or
//! logged of it names an address or a token (LOG-03).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use super::{WorkerSettings, forgot, mail, resend};
use crate::app::App;
use crate::crypto::seal::Place;
use crate::domain::event::{Action, Actor, Event, Subject};
use crate::domain::job::{ClaimedJob, Task, backoff};
use crate::domain::session::Origin;
use crate::domain::time::Timestamp;
use crate::flows::{JOB_PAYLOAD, Stamp};
use crate::mail::Mailer;
use crate::store::jobs::{self, Held, Lease, Outcome};
use crate::store::{Writer, events};
use crate::{Fault, deadline};

/// LIMIT: characters of a stored error; it is for a table on a screen.
const ERROR_CHARS_MAX: usize = 200;

/// What the workers of one pool have in common.
pub(super) struct Shift {
    pub(super) app: Arc<App>,
    pub(super) mailer: Arc<Mailer>,
    pub(super) settings: WorkerSettings,
    /// Names the pool in its leases.
    owner: Uuid,
}

/// A job in hand.
pub(super) struct Claimed {
    job: ClaimedJob,
    held: Held,
    /// No later than the lease began.
    since: Instant,
}

#[cfg(test)]
impl Claimed {
    /// What fences the job, and when its lease began.
    pub(super) fn lease(self) -> (Held, Instant) {
        (self.held, self.since)
    }
}

/// Why an attempt did not end its job as done.
#[derive(Debug)]
pub(super) enum NotDone {
    /// Somebody else has the job by now.
    LeaseLost,
    /// No later attempt does better.
    Never(String),
    /// A later attempt may do better.
    Later(String),
    /// The service itself could not.
    Fault(Fault),
    /// The pool stops.
    Stopped,
}

impl From<Fault> for NotDone {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Shift {
    pub(super) fn new(app: Arc<App>, mailer: Arc<Mailer>, settings: WorkerSettings) -> Self {
        let owner = app.random.uuid(app.clock.now());
        Self { app, mailer, settings, owner }
    }

    /// Takes at most `limit` jobs that are due.
    pub(super) async fn claim(&self, limit: usize) -> Result<Vec<Claimed>, Fault> {
        let (now, since) = (self.app.clock.now(), Instant::now());
        let lease = Lease { owner: self.owner, until: now.plus(self.settings.lease) };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let claim = (now, lease, limit);
        let claimed = self.app.store.write(claim, |tx, claim| {
            let (now, lease, limit) = *claim;
            Box::pin(jobs::claim(tx, now, lease, Task::KINDS, limit))
        });
        // SECURITY: F20. A claim that takes longer than its lease is worth nothing.
        let claimed = deadline::scope(since + self.settings.lease, claimed).await?;
        let hand = |job: ClaimedJob| {
            if job.attempts == 1 {
                let waited = now.since(job.created_at);
                metrics::histogram!("portcullis_job_wait_seconds", "kind" => kind(&job))
                    .record(waited.as_secs_f64());
            }
            let held = Held { id: job.id, owner: self.owner, attempt: job.attempts };
            Claimed { job, held, since }
        };
        Ok(claimed.into_iter().map(hand).collect())
    }

    /// Runs one attempt and writes down how it ended; gives the outcome, as the metric has it.
    pub(super) async fn run(&self, claimed: Claimed, cancel: &CancellationToken) -> &'static str {
        let Claimed { job, held, since } = claimed;
        let kind = kind(&job);
        let span = tracing::info_span!("job", job.id = %job.id, job.kind = kind, job.attempt = job.attempts);
        let begun = Instant::now();
        let ended = async {
            let work = self.attempt(&job, held);
            let (result, since) = self.under_lease(held, since, work, cancel).await;
            match result {
                Ok(()) => "done",
                Err(why) => {
                    let saying = self.say(&job, held, why);
                    deadline::scope(since + self.settings.lease, saying).await
                }
            }
        };
        let outcome = ended.instrument(span).await;
        metrics::counter!("portcullis_jobs_total", "kind" => kind, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("portcullis_job_run_seconds", "kind" => kind)
            .record(begun.elapsed().as_secs_f64());
        outcome
    }

    /// Does what the job says and ends it.
    async fn attempt(&self, job: &ClaimedJob, held: Held) -> Result<(), NotDone> {
        if held.attempt > i64::from(self.settings.attempts_max) {
            return Err(NotDone::Never("each attempt ended with its worker".into()));
        }
        match self.open(job)? {
            Task::Mail(letter) => {
                mail::run(self, job, &letter).await?;
                let end = (held, self.app.clock.now());
                self.app.store.write(end, |tx, end| Box::pin(finish(tx, *end))).await
            }
            Task::ResendVerification { email_canonical } => {
                resend::run(self, held, email_canonical).await
            }
            Task::ForgotPassword { email_canonical } => {
                forgot::run(self, held, email_canonical).await
            }
        }
    }

    fn open(&self, job: &ClaimedJob) -> Result<Task, NotDone> {
        let unreadable = || NotDone::Never("the payload cannot be read".into());
        let sealed = job.payload.as_deref().ok_or_else(unreadable)?;
        let place = Place::new(JOB_PAYLOAD, job.id.0.as_bytes());
        let plain = self.app.sealer.open(place, sealed).ok().ok_or_else(unreadable)?;
        serde_json::from_slice(&plain).ok().ok_or_else(unreadable)
    }

    /// Writes down how an attempt ended that did not end its job; gives the outcome for the metric.
    async fn say(&self, job: &ClaimedJob, held: Held, why: NotDone) -> &'static str {
        let (error, is_final) = match why {
            NotDone::LeaseLost => return lease_lost(),
            NotDone::Stopped => return self.give_back(held).await,
            NotDone::Never(error) => (error, true),
            NotDone::Later(error) => (error, false),
            NotDone::Fault(fault) => {
                tracing::warn!(error = %fault.chain(), at = fault.place(), "a job met a fault");
                (format!("the service met a fault at {}", fault.place()), false)
            }
        };
        let error: String = error.chars().take(ERROR_CHARS_MAX).collect();
        let now = self.app.clock.now();
        let said = if is_final || held.attempt >= i64::from(self.settings.attempts_max) {
            tracing::error!(error, "a job is given up");
            self.give_up(job, held, error).await.map(|()| "given_up")
        } else {
            // SECURITY: EML-17. Full jitter: what failed together does not come back together.
            let due_at = now.plus(self.app.random.jitter(backoff(held.attempt)));
            tracing::warn!(error, due_at = %due_at, "a job failed and is tried again");
            let again = (held, due_at, error);
            let said = self.app.store.write(again, |tx, again| Box::pin(retry(tx, again)));
            said.await.map(|()| "retried")
        };
        match said {
            Ok(outcome) => outcome,
            Err(NotDone::Fault(fault)) => {
                tracing::warn!(error = %fault.chain(), "a job is left to its lease");
                "left"
            }
            Err(_) => lease_lost(),
        }
    }

    async fn give_up(&self, job: &ClaimedJob, held: Held, error: String) -> Result<(), NotDone> {
        let stamp = Stamp::new(&self.app, Actor::System, Origin::default());
        let data = Map::from_iter([
            ("kind".into(), Value::from(job.kind.clone())),
            ("attempts".into(), Value::from(held.attempt)),
        ]);
        let event = stamp.event(Action::MailGivenUp, Subject::Job(job.id), data)?;
        let end = GivingUp { held, now: stamp.now, error, event };
        self.app.store.write(end, |tx, end| Box::pin(give_up(tx, end))).await
    }

    /// Gives a job back that the stop came before.
    pub(super) async fn hand_back(&self, claimed: &Claimed) {
        self.give_back(claimed.held).await;
    }

    async fn give_back(&self, held: Held) -> &'static str {
        match self.app.store.write(held, |tx, held| Box::pin(jobs::hand_back(tx, *held))).await {
            Ok(true) => {
                tracing::info!(job.id = %held.id, "a job is handed back");
                "handed_back"
            }
            // Its last step was on its way already and has ended it.
            Ok(false) => "done",
            Err(fault) => {
                tracing::warn!(job.id = %held.id, error = %fault.chain(), "a job is left to its lease");
                "left"
            }
        }
    }

    /// Tells how much waits, and how long the oldest does.
    pub(super) async fn measure(&self) {
        let now = self.app.clock.now();
        let found = async { jobs::backlog(&mut self.app.store.read_stale().await?, now).await };
        match found.await {
            Ok((waiting, oldest)) => {
                let late = oldest.map_or(0.0, |due_at| now.since(due_at).as_secs_f64());
                let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
                metrics::gauge!("portcullis_jobs_waiting").set(f64::from(waiting));
                metrics::gauge!("portcullis_jobs_oldest_due_seconds").set(late);
            }
            Err(fault) => tracing::debug!(error = %fault.chain(), "the backlog is not known"),
        }
    }
}

/// Runs `work` until it is done, its time is over, it panics, or the pool stops.
pub(super) async fn bounded(
    work: impl Future<Output = Result<(), NotDone>>,
    until: Instant,
    cancel: &CancellationToken,
) -> Result<(), NotDone> {
    let work = AssertUnwindSafe(deadline::scope(until, work)).catch_unwind();
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(NotDone::Stopped),
        ended = timeout_at(until, work) => match ended {
            Ok(Ok(result)) => result,
            // What it said is in the log already, where it may be (PWD-16).
            Ok(Err(_panic)) => Err(NotDone::Later("the job panicked".into())),
            Err(_elapsed) => Err(NotDone::Later("the job ran out of time".into())),
        },
    }
}

struct GivingUp {
    held: Held,
    now: Timestamp,
    error: String,
    event: Event,
}

async fn finish(tx: &mut Writer, (held, now): (Held, Timestamp)) -> Result<(), NotDone> {
    still_held(jobs::finish(tx, held, Outcome::Done, now, None).await?)
}

async fn retry(
    tx: &mut Writer,
    (held, due_at, error): &(Held, Timestamp, String),
) -> Result<(), NotDone> {
    still_held(jobs::retry(tx, *held, *due_at, error).await?)
}

async fn give_up(tx: &mut Writer, end: &GivingUp) -> Result<(), NotDone> {
    still_held(jobs::finish(tx, end.held, Outcome::GivenUp, end.now, Some(&end.error)).await?)?;
    Ok(events::append(tx, &end.event).await?)
}

/// The row count is the fence: an attempt without its lease leaves nothing behind.
fn still_held(is_held: bool) -> Result<(), NotDone> {
    if is_held { Ok(()) } else { Err(NotDone::LeaseLost) }
}

fn lease_lost() -> &'static str {
    tracing::warn!("a worker lost its lease; what it did counts for nothing");
    "lease_lost"
}

/// The kind as a label: of a bounded set, whatever a row holds.
fn kind(job: &ClaimedJob) -> &'static str {
    Task::KINDS.iter().find(|known| job.kind == **known).copied().unwrap_or("other")
}
