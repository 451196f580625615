//! Trying again: full-jitter exponential backoff with a cap and a total budget, until it is not worth it.
//!
//! Our own loop instead of `backon`: schedule, jitter, budget, `Retry-After` and the stop are ours either
//! way, and its jitter adds to a delay instead of drawing from all of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::counter;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Dependency, Jitter};
use crate::deadline;
use crate::domain::time::Timestamp;

/// LIMIT: ours; nobody is believed who asks for more.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// When a call is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The longest wait before the second try; it doubles with each further one.
    pub first: Duration,
    /// The longest wait before any try.
    pub cap: Duration,
    /// All tries and waits together. A wait that would end behind it is not begun.
    pub budget: Duration,
    /// Tries in all, at least one.
    pub tries_max: u32,
}

impl Schedule {
    /// The longest wait after the try with this number, which counts from 1.
    pub fn wait_max(&self, tried: u32) -> Duration {
        let doublings = tried.saturating_sub(1);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.cap)
    }
}

/// Whether a failed call is worth repeating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It fails again, whenever.
    Nothing,
    /// It may go better, but not before so long, where the other side said that (`Retry-After`).
    Later(Option<Duration>),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GivenUp<E> {
    /// The last failure: not worth another try, or tries or budget are used up.
    #[error("{0}")]
    Failed(E),
    /// The stop came.
    #[error("called off by a stop")]
    Stopped,
}

/// Repeats the calls of one dependency.
#[derive(Clone)]
pub struct Retrier {
    pub(super) dependency: Dependency,
    pub(super) jitter: Jitter,
}

impl Retrier {
    /// Calls until it goes well, is worth nothing, the budget or the deadline of the request is used up, or
    /// `stop` comes, which ends a wait and a call at once.
    pub async fn run<T, E, F>(
        &self,
        schedule: Schedule,
        stop: &CancellationToken,
        is_worth: impl Fn(&E) -> Worth,
        mut call: impl FnMut() -> F,
    ) -> Result<T, GivenUp<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let spent_at = Instant::now() + schedule.budget;
        let until = deadline::current().map_or(spent_at, |at| at.min(spent_at));
        let mut tried = 0;
        let attempts = async {
            loop {
                let error = match call().await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                };
                tried += 1;
                let Worth::Later(at_least) = is_worth(&error) else { return Err(error) };
                let wait = self.wait(schedule, tried, at_least);
                if tried >= schedule.tries_max || Instant::now() + wait > until {
                    counter!("portcullis_outbound_given_up_total", "dependency" => self.dependency.name())
                        .increment(1);
                    return Err(error);
                }
                counter!("portcullis_outbound_retries_total", "dependency" => self.dependency.name())
                    .increment(1);
                sleep(wait).await;
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(GivenUp::Stopped),
            outcome = attempts => outcome.map_err(GivenUp::Failed),
        }
    }

    /// Anything up to the longest wait. Behind a `Retry-After` the draw is added, or all would come back at once.
    fn wait(&self, schedule: Schedule, tried: u32, at_least: Option<Duration>) -> Duration {
        let drawn = (self.jitter)(schedule.wait_max(tried));
        at_least.unwrap_or_default().saturating_add(drawn)
    }
}

/// How long a `Retry-After` asks to wait: seconds or an HTTP date (RFC 9110, 10.2.3), at most a day.
///
/// `None` for what is neither; zero for a date that has passed.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date: SystemTime = httpdate::parse_http_date(value).ok()?;
        let date = date.duration_since(UNIX_EPOCH).ok()?;
        let now = Duration::from_micros(u64::try_from(now.micros()).unwrap_or(0));
        date.saturating_sub(now)
    };
    Some(wait.min(RETRY_AFTER_MAX))
}
