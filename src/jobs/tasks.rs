//! What upkeep looks after: one line a task.

use std::time::Duration;

use super::sweep;
use super::upkeep::Task;

const MINUTE: u64 = 60;

/// Every task of an instance. The names are stored and stand in dashboards: they stay.
pub const ALL: &[Task] = &[
    every("sweep_jobs", 10 * MINUTE, |app| Box::pin(sweep::ended_jobs(app))),
    every("sweep_one_time_tokens", 10 * MINUTE, |app| Box::pin(sweep::expired_tokens(app))),
    every("sweep_sessions", 10 * MINUTE, |app| Box::pin(sweep::dead_sessions(app))),
];

const fn every(name: &'static str, seconds: u64, work: super::upkeep::Work) -> Task {
    Task::new(name, Duration::from_secs(seconds), work)
}
