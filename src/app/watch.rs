//! The watch that an instance keeps: keys are read again and made where they are missing, metrics stay small.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::App;
use crate::Fault;
use crate::domain::event::Actor;
use crate::flows::keys;
use crate::telemetry::metrics;

/// LIMIT: api.md §3: every instance reads the keys again this often.
const READ_KEYS_EVERY: Duration = Duration::from_secs(30);
/// LIMIT: histograms are emptied into their buckets this often, or they grow for ever.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Reads the keys again and again, makes those that are missing, and keeps the metrics small, until `stop`.
pub async fn watch(app: Arc<App>, stop: CancellationToken) {
    let mut keys_due = tokio::time::interval(READ_KEYS_EVERY);
    let mut upkeep_due = tokio::time::interval(UPKEEP_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = upkeep_due.tick() => metrics::run_upkeep(),
            _ = keys_due.tick() => if let Err(fault) = look_after_keys(&app).await {
                // The keys in memory go on signing and verifying (REL-06).
                tracing::warn!(error = %fault, "the signing keys could not be read again");
            },
        }
    }
}

async fn look_after_keys(app: &App) -> Result<(), Fault> {
    keys::read(app).await?;
    if app.keys.ring.needs_care(app.clock.now()) {
        keys::care(app, Actor::System).await?;
    }
    Ok(())
}
