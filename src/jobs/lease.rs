//! The lease of a running job: renewed while its worker lives, so that a long job is nobody else's, but not for ever.
//!
//! A worker that cannot renew stops before somebody else may begin, and whoever did begin has fenced it (REL-14).

use std::pin::pin;

use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::attempt::{NotDone, Shift, bounded};
use crate::deadline;
use crate::store::jobs::{self, Held};

/// LIMIT: REL-17. Leases that one attempt may use up; what takes longer hangs.
const LEASES_MAX: u32 = 10;

impl Shift {
    /// Runs `work` under the lease that began at `since`; gives its end, and when the last lease began.
    pub(super) async fn under_lease(
        &self,
        held: Held,
        mut since: Instant,
        work: impl Future<Output = Result<(), NotDone>>,
        cancel: &CancellationToken,
    ) -> (Result<(), NotDone>, Instant) {
        let until = since + self.settings.lease * LEASES_MAX;
        // Boxed: wrappers around a large future would each hold it whole.
        let mut work = pin!(bounded(Box::pin(work), until, cancel));
        loop {
            let renewing = async {
                sleep_until(since + self.settings.lease / 2).await;
                self.renew(held, since).await
            };
            tokio::select! {
                biased;
                result = &mut work => return (result, since),
                renewed = renewing => match renewed {
                    Ok(renewed) => since = renewed,
                    Err(why) => return (Err(why), since),
                },
            }
        }
    }

    /// Renews a lease that began at `since`, again and again until three quarters of it are over; the rest is for the
    /// verdict.
    async fn renew(&self, held: Held, since: Instant) -> Result<Instant, NotDone> {
        let until = since + self.settings.lease * 3 / 4;
        loop {
            let begun = Instant::now();
            let renewal = (held, self.app.clock.now().plus(self.settings.lease));
            let renewed = self
                .app
                .store
                .write(renewal, |tx, (held, until)| Box::pin(jobs::renew(tx, *held, *until)));
            match timeout_at(until, deadline::scope(until, renewed)).await {
                Ok(Ok(true)) => return Ok(begun),
                Ok(Ok(false)) => return Err(NotDone::LeaseLost),
                Ok(Err(fault)) if Instant::now() < until => {
                    tracing::debug!(error = %fault.chain(), "a lease is renewed in a moment");
                    sleep(self.settings.lease / 20).await;
                }
                Ok(Err(_)) | Err(_) => {
                    return Err(NotDone::Later("the lease could not be renewed".into()));
                }
            }
        }
    }
}
