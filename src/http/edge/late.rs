//! Late refusals: `overloaded` is said after an idle moment.
//!
//! An instant 503 to clients that send again at once halves the throughput of everybody
//! (performance.md). Waiting costs a connection, so only so many wait; the others hear it at once.

use std::time::Duration;

use tokio::sync::Semaphore;

/// LIMIT: a waiting connection holds some KiB; as many as an instance can spare.
const WAITING_MAX: usize = 1024;

const PAUSE_MS_MIN: u64 = 250;
const PAUSE_MS_MAX: u64 = 1000;

/// Where refused requests wait.
pub(crate) struct LateGate(Semaphore);

impl Default for LateGate {
    fn default() -> Self {
        Self::with_places(WAITING_MAX)
    }
}

impl LateGate {
    pub(crate) fn with_places(places: usize) -> Self {
        Self(Semaphore::new(places))
    }

    /// Waits 250 to 1000 ms, or not at all if too many wait already.
    pub(crate) async fn pause(&self, random: u64) {
        if let Ok(_place) = self.0.try_acquire() {
            let more = random % (PAUSE_MS_MAX - PAUSE_MS_MIN + 1);
            tokio::time::sleep(Duration::from_millis(PAUSE_MS_MIN + more)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn beyond_the_cap_nobody_waits() {
        let (one, none) = (LateGate::with_places(1), LateGate::with_places(0));
        let start = Instant::now();
        none.pause(0).await;
        assert!(start.elapsed() < Duration::from_millis(PAUSE_MS_MIN));
        one.pause(0).await;
        assert!(start.elapsed() >= Duration::from_millis(PAUSE_MS_MIN));
    }
}
