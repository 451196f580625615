//! The sweeps: rows that nobody asks for any more leave in small batches that block nobody (SES-22).

use std::time::Duration;

use super::upkeep::Batch;
use crate::Fault;
use crate::app::App;
use crate::domain::time::Timestamp;
use crate::store::{
    Writer, email_changes, idempotency_keys, jobs, mail_allowances, one_time_tokens,
    refresh_tokens, sessions,
};

/// LIMIT: rows a batch: some milliseconds of the database's time.
const ROWS: i64 = 500;
/// LIMIT: sessions a batch, two statements each.
const SESSIONS: i64 = 50;
/// LIMIT: their tokens a batch; a session that lived for months has thousands.
const TOKENS: i64 = 1000;
/// LIMIT: an operator who is asked about last week's mail finds its job.
const KEEP_DONE: Duration = Duration::from_hours(7 * 24);
/// LIMIT: what was given up is looked at later than what went well.
const KEEP_GIVEN_UP: Duration = Duration::from_hours(30 * 24);
/// LIMIT: no clock of an instance is a day off.
const KEEP_TOKENS: Duration = Duration::from_hours(24);
/// LIMIT: a used token that comes back within a week is still told from one that never was.
const KEEP_SESSIONS: Duration = Duration::from_hours(7 * 24);

/// Removes jobs that ended some time ago.
pub async fn ended_jobs(app: &App) -> Result<Batch, Fault> {
    let now = app.clock.now();
    let before = (now.minus(KEEP_DONE), now.minus(KEEP_GIVEN_UP));
    let removed = app.store.write(before, |tx, (done, given_up)| {
        Box::pin(jobs::delete_ended(tx, *done, *given_up, ROWS))
    });
    Ok(Batch::of(removed.await?, ROWS))
}

/// Removes one-time tokens that ended by themselves, used or not.
pub async fn expired_tokens(app: &App) -> Result<Batch, Fault> {
    let before = app.clock.now().minus(KEEP_TOKENS);
    let removed = app
        .store
        .write(before, |tx, before| Box::pin(one_time_tokens::delete_expired(tx, *before, ROWS)));
    Ok(Batch::of(removed.await?, ROWS))
}

/// Removes the answers of calls that nobody may repeat any more.
pub async fn expired_calls(app: &App) -> Result<Batch, Fault> {
    let swept = app
        .store
        .write(app.clock.now(), |tx, now| Box::pin(idempotency_keys::sweep(tx, *now, ROWS)));
    Ok(Batch::of(swept.await?, ROWS))
}

/// Removes wishes for another address that nobody confirmed in time.
pub async fn ended_wishes(app: &App) -> Result<Batch, Fault> {
    let swept = app
        .store
        .write(app.clock.now(), |tx, now| Box::pin(email_changes::delete_expired(tx, *now, ROWS)));
    Ok(Batch::of(swept.await?, ROWS))
}

/// Removes what says that a mailbox was sent nothing lately.
pub async fn unused_allowances(app: &App) -> Result<Batch, Fault> {
    let swept = app
        .store
        .write(app.clock.now(), |tx, now| Box::pin(mail_allowances::sweep(tx, *now, ROWS)));
    Ok(Batch::of(swept.await?, ROWS))
}

/// Removes sessions that ended, or whose absolute end passed, some time ago, their tokens first.
pub async fn dead_sessions(app: &App) -> Result<Batch, Fault> {
    let before = app.clock.now().minus(KEEP_SESSIONS);
    app.store.write(before, |tx, before| Box::pin(remove_sessions(tx, *before))).await
}

async fn remove_sessions(tx: &mut Writer, before: Timestamp) -> Result<Batch, Fault> {
    let dead = sessions::list_dead(tx, before, SESSIONS).await?;
    let mut left = TOKENS;
    for session in &dead {
        let tokens = refresh_tokens::delete_of_session(tx, *session, left).await?;
        left = left.saturating_sub(i64::try_from(tokens).unwrap_or(i64::MAX));
        if left == 0 {
            return Ok(Batch::More);
        }
        sessions::delete_dead(tx, *session, before).await?;
    }
    Ok(Batch::of(u64::try_from(dead.len()).unwrap_or(u64::MAX), SESSIONS))
}
