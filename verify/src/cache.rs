//! The key set of one issuer, kept: fresh, stale, or missing.
//!
//! One fetch at a time, whoever asks. A fresh set is used as it is, a stale one too while one fetch
//! renews it, a missing one is waited for. What a failed fetch means to a token is left to the verifier.

use std::error::Error;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::fetch::{Fetch, FetchFault};
use crate::keys::KeySet;
use crate::verifier::KeysUnavailable;

/// How long keys are kept and how often they are asked for; all in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheRules {
    /// How long a set is fresh. Default 300: the `max-age` that portcullis sends (JWT-11). A revoked
    /// key is taken that much longer.
    pub max_age_s: u64,
    /// How long a set is used at all when no newer one can be had. Default 86 400: a day without the
    /// issuer stops nobody, and outlasts every token. A revoked key is taken that much longer, but only
    /// while the issuer is out of reach.
    pub stale_max_s: u64,
    /// The least time from the start of one fetch to that of another for an unknown `kid`. Default 10:
    /// a thousand verifiers under forged tokens ask the issuer 100 times a second (JWT-06).
    pub refetch_gap_s: u64,
    /// The least time after a failed fetch before the next one. Default 1: one probe a second each.
    pub retry_gap_s: u64,
}

impl Default for CacheRules {
    fn default() -> Self {
        Self { max_age_s: 300, stale_max_s: 86_400, refetch_gap_s: 10, retry_gap_s: 1 }
    }
}

/// Tells a verifier the time; tests bring their own.
pub trait Clock: Send + Sync {
    /// Whole seconds since 1970 UTC: what `exp`, `nbf` and `iat` are compared with.
    fn now_s(&self) -> i64;

    /// Time since some fixed moment, never backwards: the age of keys.
    fn elapsed(&self) -> Duration;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place of this crate")]
    fn now_s(&self) -> i64 {
        // A clock before 1970 reads 0: every token lies in the future, and none passes.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Keys to check with, and how many fetches had ended when they were looked up.
pub(crate) struct Seen {
    pub(crate) keys: Arc<KeySet>,
    fetches: u64,
}

pub(crate) struct Cache(Arc<Inner>);

struct Inner {
    fetch: Box<dyn Fetch>,
    clock: Arc<dyn Clock>,
    rules: CacheRules,
    state: RwLock<State>,
    flight: Arc<Mutex<()>>,
}

#[derive(Clone, Default)]
struct State {
    keys: Option<(Arc<KeySet>, Duration)>,
    /// When the last fetch started, however it ends.
    started: Option<Duration>,
    /// How many fetches have ended.
    fetches: u64,
    /// When the last fetch failed and why; none after a success.
    failure: Option<(Duration, Arc<str>)>,
}

enum Age {
    Fresh,
    Stale,
    Missing,
}

#[derive(Clone, Copy)]
enum Why {
    /// The set is stale or missing.
    Age,
    /// A token names a key that the set does not have.
    UnknownKey,
}

impl Cache {
    pub(crate) fn new(fetch: Box<dyn Fetch>, clock: Arc<dyn Clock>, rules: CacheRules) -> Self {
        let (state, flight) = (RwLock::default(), Arc::default());
        Self(Arc::new(Inner { fetch, clock, rules, state, flight }))
    }

    /// The keys, at once where there are any.
    pub(crate) async fn keys(&self) -> Result<Seen, KeysUnavailable> {
        let state = self.0.state();
        match (self.0.age(&state), &state.keys) {
            (Age::Fresh, Some((keys, _))) => {
                return Ok(Seen { keys: keys.clone(), fetches: state.fetches });
            }
            (Age::Stale, Some((keys, _))) => {
                self.refresh_behind(state.fetches).await;
                return Ok(Seen { keys: keys.clone(), fetches: state.fetches });
            }
            _ => self.refresh(state.fetches, Why::Age).await,
        }
        let state = self.0.state();
        match (self.0.age(&state), state.keys) {
            (Age::Fresh | Age::Stale, Some((keys, _))) => Ok(Seen { keys, fetches: state.fetches }),
            _ => Err(KeysUnavailable {
                reason: state.failure.map_or_else(|| "not fetched yet".into(), |(_, why)| why),
                retry_after_s: self.0.rules.retry_gap_s.max(1),
            }),
        }
    }

    /// A newer set than `seen`, if there is one or one may be asked for.
    pub(crate) async fn newer_than(&self, seen: &Seen) -> Option<Arc<KeySet>> {
        self.refresh(seen.fetches, Why::UnknownKey).await;
        let state = self.0.state();
        let (keys, _) = state.keys?;
        (state.fetches != seen.fetches).then_some(keys)
    }

    pub(crate) fn age_s(&self) -> Option<u64> {
        let (_, at) = self.0.state().keys?;
        Some(self.0.clock.elapsed().saturating_sub(at).as_secs())
    }

    pub(crate) fn last_failure(&self) -> Option<Arc<str>> {
        self.0.state().failure.map(|(_, why)| why)
    }

    /// Waits for the fetch under way, if there is one, or else for one of its own, if it is due.
    async fn refresh(&self, seen_fetches: u64, why: Why) {
        let guard = Arc::clone(&self.0.flight).lock_owned().await;
        self.0.fetch_if_due(guard, seen_fetches, why).await;
    }

    /// Starts a fetch and does not wait for it. Without a tokio runtime this one caller waits.
    async fn refresh_behind(&self, seen_fetches: u64) {
        if !self.0.is_due(&self.0.state(), Why::Age) {
            return;
        }
        let Ok(guard) = Arc::clone(&self.0.flight).try_lock_owned() else {
            return;
        };
        let inner = Arc::clone(&self.0);
        let work = async move { inner.fetch_if_due(guard, seen_fetches, Why::Age).await };
        match tokio::runtime::Handle::try_current() {
            // LIMIT: one task, by the guard that it holds; a fetch bounds its own time. No tracker has to
            // know of it: a shutdown that drops it half-way loses nothing.
            Ok(runtime) => drop(runtime.spawn(work)),
            Err(_) => work.await,
        }
    }
}

impl Inner {
    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn age(&self, state: &State) -> Age {
        let Some((_, at)) = &state.keys else {
            return Age::Missing;
        };
        match self.clock.elapsed().saturating_sub(*at).as_secs() {
            age_s if age_s < self.rules.max_age_s => Age::Fresh,
            age_s if age_s < self.rules.stale_max_s => Age::Stale,
            _ => Age::Missing,
        }
    }

    fn is_due(&self, state: &State, why: Why) -> bool {
        let (last, gap_s) = match why {
            Why::Age => (state.failure.as_ref().map(|(at, _)| *at), self.rules.retry_gap_s),
            Why::UnknownKey => (state.started, self.rules.refetch_gap_s),
        };
        let now = self.clock.elapsed();
        last.is_none_or(|last| now.saturating_sub(last) >= Duration::from_secs(gap_s))
    }

    /// Fetches unless a fetch has ended since the caller looked, or it is too early for another.
    async fn fetch_if_due(&self, guard: OwnedMutexGuard<()>, seen_fetches: u64, why: Why) {
        let state = self.state();
        if state.fetches == seen_fetches && self.is_due(&state, why) {
            let started = self.clock.elapsed();
            self.change(|state| state.started = Some(started));
            let fetched = self.fetch.fetch().await.and_then(|set| {
                let keys = KeySet::new(&set);
                // An issuer always has a key: an empty set is a mistake, and would refuse everybody.
                if keys.is_empty() {
                    Err(FetchFault::from("the set has no usable key"))
                } else {
                    Ok(keys)
                }
            });
            let ended = self.clock.elapsed();
            self.change(|state| {
                state.fetches = state.fetches.wrapping_add(1);
                match fetched {
                    Ok(keys) => {
                        state.keys = Some((Arc::new(keys), started));
                        state.failure = None;
                    }
                    Err(fault) => state.failure = Some((ended, chain(fault.as_ref()))),
                }
            });
        }
        drop(guard);
    }
}

/// The fault and its causes as one line.
fn chain(fault: &(dyn Error + 'static)) -> Arc<str> {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text.into()
}

#[cfg(test)]
mod tests;
