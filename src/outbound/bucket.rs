//! Token buckets: how often a dependency is called, and how long a call may wait for its turn.
//!
//! Our own lines instead of `governor`: its clock is not tokio's, so no test could turn it, and it cannot
//! tell beforehand that a wait would outlast a deadline.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

/// How often something may happen: `burst` at once, `per_minute` in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come in a minute, at least one.
    pub per_minute: u32,
    /// Tokens that a rested bucket holds, at least one.
    pub burst: u32,
}

/// No token comes before the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("called too often; the next turn is in {} ms", .after.as_millis())]
pub struct NoToken {
    /// When one would have come, as things stand.
    pub after: Duration,
}

/// One bucket. Whoever waits is served in order, and takes a token only when it is there, so that one
/// who leaves the queue takes none.
pub struct Bucket {
    interval: Duration,
    depth: Duration,
    state: Mutex<State>,
    turn: tokio::sync::Mutex<()>,
}

struct State {
    /// When the bucket is full again.
    full_at: Instant,
    /// Who waits, the first in line too.
    waiting: u32,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate) -> Self {
        let interval = Duration::from_mins(1) / rate.per_minute.max(1);
        Self {
            interval,
            depth: interval.saturating_mul(rate.burst.max(1)),
            state: Mutex::new(State { full_at: Instant::now(), waiting: 0 }),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Takes a token, waiting for it until `until` at the latest.
    ///
    /// Refuses at once where those in front leave none in time. Answers how long it waited.
    pub async fn take(&self, until: Instant) -> Result<Duration, NoToken> {
        let begun = Instant::now();
        let _place = self.queue_up(begun, until)?;
        let served = async {
            let _turn = self.turn.lock().await;
            loop {
                match self.take_now(Instant::now()) {
                    Ok(()) => return,
                    Err(due) => sleep_until(due).await,
                }
            }
        };
        // The estimate holds unless the runtime itself is late.
        match timeout_at(until, served).await {
            Ok(()) => Ok(begun.elapsed()),
            Err(_elapsed) => Err(NoToken { after: self.interval }),
        }
    }

    /// Whether forgetting the bucket changes nothing: it is as full as a new one.
    fn is_idle(&self, now: Instant) -> bool {
        let state = self.lock();
        state.waiting == 0 && state.full_at <= now
    }

    fn queue_up(&self, now: Instant, until: Instant) -> Result<Place<'_>, NoToken> {
        let mut state = self.lock();
        let ahead = self.interval.saturating_mul(state.waiting);
        let due = self.due(&state, now) + ahead;
        if due > until || until <= now {
            return Err(NoToken { after: due.saturating_duration_since(now) });
        }
        state.waiting += 1;
        Ok(Place(self))
    }

    fn take_now(&self, now: Instant) -> Result<(), Instant> {
        let mut state = self.lock();
        let due = self.due(&state, now);
        if due > now {
            return Err(due);
        }
        state.full_at = state.full_at.max(now) + self.interval;
        Ok(())
    }

    /// When the next token is there, if nobody else waits.
    fn due(&self, state: &State, now: Instant) -> Instant {
        let taken = state.full_at.max(now) + self.interval;
        taken.checked_sub(self.depth).unwrap_or(now).max(now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, given back however the wait ends.
struct Place<'a>(&'a Bucket);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.waiting = state.waiting.saturating_sub(1);
    }
}

/// A bucket for each of many names.
pub struct Buckets {
    rate: Rate,
    max: usize,
    named: Mutex<HashMap<String, Arc<Bucket>>>,
    /// What does not fit into `named` shares this one.
    rest: Arc<Bucket>,
}

impl Buckets {
    /// At most `max` buckets at once (REL-17). A rested one is forgotten, which changes nothing for its name.
    pub fn new(rate: Rate, max: usize) -> Self {
        let rest = Arc::new(Bucket::new(rate));
        Self { rate, max, named: Mutex::default(), rest }
    }

    /// The bucket of `name`.
    pub fn of(&self, name: &str) -> Arc<Bucket> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = named.get(name) {
            return Arc::clone(bucket);
        }
        if named.len() >= self.max {
            let now = Instant::now();
            named.retain(|_, bucket| Arc::strong_count(bucket) > 1 || !bucket.is_idle(now));
        }
        if named.len() >= self.max {
            return Arc::clone(&self.rest);
        }
        let bucket = Arc::new(Bucket::new(self.rate));
        named.insert(name.to_owned(), Arc::clone(&bucket));
        bucket
    }
}
