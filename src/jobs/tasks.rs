//! What upkeep looks after: one line a task.

use std::time::Duration;

use super::sweep as rows;
use super::upkeep::{Batch, Task};
use crate::Fault;
use crate::flows::sweep::{self, Swept};
use crate::flows::{audit, webhooks};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Every task of an instance. The names are stored and stand in dashboards: they stay.
pub const ALL: &[Task] = &[
    every("audit_chain", 1, |app| Box::pin(async { batch(audit::close(app).await) }))
        .only_if(|app| Box::pin(audit::is_waiting(app))),
    every("audit_head", HOUR, |app| {
        Box::pin(async { audit::log_head(app).await.map(|()| Batch::Last) })
    }),
    every("audit_retention", HOUR, |app| Box::pin(async { batch(audit::remove_old(app).await) })),
    every("erase_deleted", 10 * MINUTE, |app| {
        Box::pin(async { swept(sweep::erase_deleted(app).await) })
    }),
    every("erase_pending", 10 * MINUTE, |app| {
        Box::pin(async { swept(sweep::erase_pending(app).await) })
    }),
    every("erase_invited", 10 * MINUTE, |app| {
        Box::pin(async { swept(sweep::erase_invited(app).await) })
    }),
    every("sweep_jobs", 10 * MINUTE, |app| Box::pin(rows::ended_jobs(app))),
    every("sweep_one_time_tokens", 10 * MINUTE, |app| Box::pin(rows::expired_tokens(app))),
    every("sweep_idempotency_keys", 10 * MINUTE, |app| Box::pin(rows::expired_calls(app))),
    every("sweep_mail_allowances", 10 * MINUTE, |app| Box::pin(rows::unused_allowances(app))),
    every("sweep_email_changes", 10 * MINUTE, |app| Box::pin(rows::ended_wishes(app))),
    every("sweep_sessions", 10 * MINUTE, |app| Box::pin(rows::dead_sessions(app))),
    every("sweep_webhooks", HOUR, |app| Box::pin(async { batch(webhooks::sweep(app).await) })),
];

const fn every(name: &'static str, seconds: u64, work: super::upkeep::Work) -> Task {
    Task::new(name, Duration::from_secs(seconds), work)
}

/// For work that tells whether there may be more.
fn batch(is_more: Result<bool, Fault>) -> Result<Batch, Fault> {
    is_more.map(|is_more| if is_more { Batch::More } else { Batch::Last })
}

/// The same for what erases accounts.
fn swept(swept: Result<Swept, Fault>) -> Result<Batch, Fault> {
    batch(swept.map(|swept| swept.is_more))
}
