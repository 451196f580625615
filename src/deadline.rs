//! The deadline of the request that is being answered, for whoever waits on its behalf.
//!
//! `http` sets it once a request; `store` and `crypto` read it before they wait for a connection or
//! a place in a queue. Outside a request (CLI, jobs) there is none.

use std::future::Future;

use tokio::time::Instant;

tokio::task_local! {
    static DEADLINE: Instant;
}

/// The moment by which the running request must be answered.
pub fn current() -> Option<Instant> {
    DEADLINE.try_with(|at| *at).ok()
}

/// Runs `work` under the deadline `at`; it is told, not enforced.
pub async fn scope<F: Future>(at: Instant, work: F) -> F::Output {
    DEADLINE.scope(at, work).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_deadline_is_seen_inside_and_only_there() {
        let at = Instant::now() + Duration::from_secs(5);
        assert_eq!(scope(at, async { current() }).await, Some(at));
        assert_eq!(current(), None);
    }
}
