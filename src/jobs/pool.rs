//! The claim loop: claims no more than there are free workers, so that nothing waits in memory (REL-17).
//!
//! It finds new jobs by looking: at once when a worker is free again, else after `poll_interval`.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::attempt::Shift;

/// LIMIT: REL-10. The pause after failed claims doubles up to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// LIMIT: the backlog is counted no more often; scrapes are slower.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// Works until `stopping`, then waits for what runs; `cancel` ends that too.
pub(super) async fn work(
    shift: Arc<Shift>,
    stopping: CancellationToken,
    cancel: CancellationToken,
) {
    let mut running = JoinSet::new();
    let mut failures = 0;
    let mut next = Instant::now();
    let mut measured: Option<Instant> = None;
    loop {
        let busy = u32::try_from(running.len()).unwrap_or(u32::MAX);
        metrics::gauge!("portcullis_jobs_running").set(f64::from(busy));
        let free = shift.settings.workers.max(1).saturating_sub(running.len());
        tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            Some(ended) = running.join_next() => {
                note(ended);
                // It made room, and perhaps made jobs. A database that is out is left its pause.
                if failures == 0 {
                    next = Instant::now();
                }
            }
            () = sleep_until(next), if free > 0 => {
                let claimed = shift.claim(free).await;
                failures = if claimed.is_ok() { 0 } else { failures + 1 };
                let pause = pause(&shift, failures);
                next = Instant::now() + pause;
                match claimed {
                    Ok(jobs) if stopping.is_cancelled() => {
                        for job in jobs {
                            shift.hand_back(&job).await;
                        }
                    }
                    Ok(jobs) => {
                        for job in jobs {
                            let (shift, cancel) = (Arc::clone(&shift), cancel.clone());
                            running.spawn(async move { shift.run(job, &cancel).await });
                        }
                    }
                    Err(fault) => {
                        let again_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                        tracing::warn!(error = %fault.chain(), again_ms, "no jobs can be claimed");
                    }
                }
                if measured.is_none_or(|at| at.elapsed() >= MEASURE_EVERY) {
                    measured = Some(Instant::now());
                    shift.measure().await;
                }
            }
        }
    }
    while let Some(ended) = running.join_next().await {
        note(ended);
    }
}

/// The interval while all is well; else a jittered pause under a doubling ceiling.
fn pause(shift: &Shift, failures: u32) -> Duration {
    let interval = shift.settings.poll_interval;
    if failures == 0 {
        return interval;
    }
    let ceiling = interval.saturating_mul(1 << failures.min(10)).min(PAUSE_MAX);
    interval.max(shift.app.random.jitter(ceiling))
}

fn note(ended: Result<&'static str, JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a worker ended");
    }
}
