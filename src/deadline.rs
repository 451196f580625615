//! The deadline of the request that is being answered; it reaches every database call (HTTP-13).
//!
//! It travels beside the call, not in every signature: whoever waits for something asks [`current`].

use tokio::time::Instant;

tokio::task_local! {
    static DEADLINE: Instant;
}

/// The moment by which the running request must be answered, or `None` outside of requests.
pub fn current() -> Option<Instant> {
    DEADLINE.try_with(|at| *at).ok()
}

/// The same for threads that know no runtime.
pub fn current_std() -> Option<std::time::Instant> {
    current().map(Instant::into_std)
}

/// Runs `work` with the deadline `at`; whoever runs it also stops it.
pub async fn scope<F: Future>(at: Instant, work: F) -> F::Output {
    DEADLINE.scope(at, work).await
}
