//! The watch that an instance keeps: keys are read again and made where they are missing, metrics stay small, and
//! the values that no two accounts share have their holders.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::App;
use crate::Fault;
use crate::domain::event::Actor;
use crate::flows::keys;
use crate::flows::settle_values::{Settled, settle_values};
use crate::telemetry::metrics;

/// LIMIT: api.md §3: every instance reads the keys again this often.
const READ_KEYS_EVERY: Duration = Duration::from_secs(30);
/// LIMIT: histograms are emptied into their buckets this often, or they grow for ever.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// LIMIT: ours; while an update goes on, another instance may still write by the schema of before.
const SETTLE_EVERY: Duration = Duration::from_hours(1);
/// LIMIT: ours; a database that was out is back by then.
const SETTLE_AGAIN: Duration = Duration::from_mins(1);

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

/// Brings what is held in line with the profile schema, at once and again and again, until `stop`.
pub async fn settle(app: Arc<App>, stop: CancellationToken) {
    loop {
        let Some(settled) = stop.run_until_cancelled(settle_values(&app)).await else { return };
        let pause = match settled {
            Ok(settled) => {
                tell(settled);
                SETTLE_EVERY
            }
            Err(fault) => {
                tracing::warn!(error = %fault, "the unique values could not be settled");
                SETTLE_AGAIN
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

fn tell(Settled { claimed, released, clashes }: Settled) {
    if claimed > 0 || released > 0 {
        tracing::info!(claimed, released, "unique values were settled by the profile schema");
    }
    if clashes > 0 {
        tracing::warn!(
            clashes,
            "accounts share values that the profile schema calls unique: `portcullis profile check` lists them"
        );
    }
}
