//! Webhook messages: a pool of their own, with many attempts at once and a few at most at each endpoint.
//!
//! Every endpoint has places of its own, so a slow one delays nobody else (WHK-10). At least once, under one id: a claim
//! is a lease, a worker that slept past it is fenced, and what failed is tried again for a day and more (WHK-03, WHK-04).
//! Instances share the work and know nothing of each other.

mod attempt;
mod verdict;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::app::App;
use crate::domain::ids::WebhookId;
use crate::domain::time::Timestamp;
use crate::domain::webhook::Endpoint;
use crate::flows::webhooks::ENDPOINTS_MAX;
use crate::store::webhook_messages::{self, Claimed, Lease};
use crate::store::{Writer, webhooks};
use crate::{Fault, deadline};

/// How messages are sent.
#[derive(Clone, Copy, Debug)]
pub struct DeliverySettings {
    /// Attempts at one endpoint at once, at least one; in all as many as there can be endpoints times this.
    pub per_endpoint: usize,
    /// Time that an attempt may take.
    pub timeout: Duration,
    /// Time between two looks for due messages.
    pub poll_interval: Duration,
}

/// LIMIT: REL-10. The pause after a failed look doubles up to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// LIMIT: the backlog is counted no more often; scrapes are slower.
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// LIMIT: what a stop waits for attempts that run; a receiver that takes longer is called again, under the same id.
const GRACE: Duration = Duration::from_secs(3);
/// LIMIT: the part of a stop's time that is kept for handing messages back.
const HAND_BACK: Duration = Duration::from_secs(1);

/// The deliveries of a process. Dropped without a stop they end at once, and their messages wait for their leases.
pub struct Deliveries {
    stopping: CancellationToken,
    cancel: CancellationToken,
    pool: AbortOnDropHandle<()>,
}

impl Deliveries {
    /// Starts to send what is due, now and later.
    pub fn start(app: Arc<App>, settings: DeliverySettings) -> Self {
        let (stopping, cancel) = (CancellationToken::new(), CancellationToken::new());
        let tasks = app.tasks.clone();
        let post = Arc::new(Post::new(app, settings));
        let pool = tasks.spawn(work(post, stopping.clone(), cancel.clone()));
        Self { stopping, cancel, pool: AbortOnDropHandle::new(pool) }
    }

    /// Claims nothing more, lets attempts finish for a moment, and hands back what is not done before `deadline`.
    pub async fn stop(mut self, deadline: Instant) {
        self.stopping.cancel();
        let patience = deadline.checked_sub(HAND_BACK).unwrap_or(deadline);
        if timeout_at(patience.min(Instant::now() + GRACE), &mut self.pool).await.is_ok() {
            return;
        }
        self.cancel.cancel();
        if timeout_at(deadline, &mut self.pool).await.is_err() {
            tracing::warn!("webhook messages were left to their leases");
        }
    }
}

/// Makes one attempt at everything that is due now; gives how many attempts that were.
pub async fn deliver_due(app: &Arc<App>, settings: DeliverySettings) -> Result<usize, Fault> {
    let post = Arc::new(Post::new(Arc::clone(app), settings));
    let never = CancellationToken::new();
    let mut attempts = 0;
    loop {
        let claimed = post.claim(&HashMap::new()).await?;
        if claimed.is_empty() {
            return Ok(attempts);
        }
        attempts += claimed.len();
        let mut running = JoinSet::new();
        for letter in claimed {
            let (post, never) = (Arc::clone(&post), never.clone());
            running.spawn(async move { post.run(letter, &never).await });
        }
        while let Some(ended) = running.join_next().await {
            note(&ended);
        }
    }
}

/// What the attempts of one process have in common.
struct Post {
    app: Arc<App>,
    settings: DeliverySettings,
    /// Names the pool in its leases.
    owner: Uuid,
}

/// A message in hand, and where it goes.
struct Letter {
    message: Claimed,
    endpoint: Arc<Endpoint>,
    /// No later than the lease began.
    since: Instant,
}

impl Post {
    fn new(app: Arc<App>, settings: DeliverySettings) -> Self {
        let owner = app.random.uuid(app.clock.now());
        Self { app, settings, owner }
    }

    /// Twice the time of an attempt, and some for its verdict.
    fn lease(&self) -> Duration {
        self.settings.timeout * 2 + Duration::from_secs(2)
    }

    /// Takes what is due, for each endpoint as much as it has places besides those that are `taken`.
    async fn claim(&self, taken: &HashMap<WebhookId, usize>) -> Result<Vec<Letter>, Fault> {
        let (now, since) = (self.app.clock.now(), Instant::now());
        let mut db = self.app.store.read().await?;
        let due = webhooks::due(&mut db, now, ENDPOINTS_MAX.into()).await?;
        drop(db);
        let free = |id: WebhookId| {
            let taken = taken.get(&id).copied().unwrap_or(0);
            self.settings.per_endpoint.max(1).saturating_sub(taken)
        };
        let due = due.into_iter().filter(|endpoint| free(endpoint.id) > 0);
        let due: HashMap<WebhookId, Arc<Endpoint>> =
            due.map(|endpoint| (endpoint.id, Arc::new(endpoint))).collect();
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let lease = Lease { owner: self.owner, until: now.plus(self.lease()) };
        // In one order everywhere, or two instances would wait for each other.
        let mut wants: Vec<_> = due.keys().map(|id| (*id, free(*id))).collect();
        wants.sort_unstable();
        let claim = Claim { now, lease, wants };
        let claimed = self.app.store.write(claim, |tx, claim| Box::pin(claim_all(tx, claim)));
        // SECURITY: F20. A claim that takes longer than its lease is worth nothing.
        let claimed = deadline::scope(since + self.lease(), claimed).await?;
        let letter = |message: Claimed| {
            let endpoint = Arc::clone(due.get(&message.webhook_id)?);
            Some(Letter { message, endpoint, since })
        };
        Ok(claimed.into_iter().filter_map(letter).collect())
    }

    /// Tells how much waits, and how long the oldest does.
    async fn measure(&self) {
        let now = self.app.clock.now();
        let found =
            async { webhook_messages::backlog(&mut self.app.store.read_stale().await?, now).await };
        match found.await {
            Ok((waiting, oldest)) => {
                let late = oldest.map_or(0.0, |due_at| now.since(due_at).as_secs_f64());
                let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
                metrics::gauge!("portcullis_webhook_messages_due").set(f64::from(waiting));
                metrics::gauge!("portcullis_webhook_oldest_due_seconds").set(late);
            }
            Err(fault) => tracing::debug!(error = %fault.chain(), "the backlog is not known"),
        }
    }
}

struct Claim {
    now: Timestamp,
    lease: Lease,
    wants: Vec<(WebhookId, usize)>,
}

async fn claim_all(tx: &mut Writer, claim: &Claim) -> Result<Vec<Claimed>, Fault> {
    let mut claimed = Vec::new();
    for (id, places) in &claim.wants {
        let limit = i64::try_from(*places).unwrap_or(i64::MAX);
        claimed.extend(webhook_messages::claim(tx, *id, claim.now, claim.lease, limit).await?);
    }
    Ok(claimed)
}

/// Works until `stopping`, then waits for what runs; `cancel` ends that too.
async fn work(post: Arc<Post>, stopping: CancellationToken, cancel: CancellationToken) {
    let mut running: JoinSet<WebhookId> = JoinSet::new();
    // LIMIT: one entry an endpoint, and at most `per_endpoint` attempts at each.
    let mut taken: HashMap<WebhookId, usize> = HashMap::new();
    let (mut failures, mut next) = (0, Instant::now());
    let mut measured: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            Some(ended) = running.join_next() => {
                note(&ended);
                give_back(&mut taken, &ended);
                // It made room. A database that is out is left its pause.
                if failures == 0 {
                    next = Instant::now();
                }
            }
            () = sleep_until(next) => {
                let claimed = post.claim(&taken).await;
                failures = if claimed.is_ok() { 0 } else { failures + 1 };
                next = Instant::now() + pause(&post, failures);
                match claimed {
                    Ok(letters) => for letter in letters {
                        *taken.entry(letter.endpoint.id).or_default() += 1;
                        let (post, cancel) = (Arc::clone(&post), cancel.clone());
                        running.spawn(async move { post.run(letter, &cancel).await });
                    },
                    Err(fault) => {
                        tracing::warn!(error = %fault.chain(), "no webhook messages can be claimed");
                    }
                }
                if measured.is_none_or(|at| at.elapsed() >= MEASURE_EVERY) {
                    measured = Some(Instant::now());
                    post.measure().await;
                }
            }
        }
    }
    while let Some(ended) = running.join_next().await {
        note(&ended);
    }
}

/// Frees the place of an attempt that ended.
fn give_back(taken: &mut HashMap<WebhookId, usize>, ended: &Result<WebhookId, JoinError>) {
    let Ok(id) = ended else { return };
    if let Some(count) = taken.get_mut(id) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            taken.remove(id);
        }
    }
}

/// The interval while all is well; else a jittered pause under a doubling ceiling.
fn pause(post: &Post, failures: u32) -> Duration {
    let interval = post.settings.poll_interval;
    if failures == 0 {
        return interval;
    }
    let ceiling = interval.saturating_mul(1 << failures.min(10)).min(PAUSE_MAX);
    interval.max(post.app.random.jitter(ceiling))
}

fn note(ended: &Result<WebhookId, JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a webhook worker ended");
    }
}
