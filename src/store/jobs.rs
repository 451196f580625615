//! The table `jobs`: enqueued with the change that causes them, claimed with a lease, at least once (ADR 0006).
//!
//! A worker that slept past its lease is fenced: what it says of its job names the lease's owner and attempt.

use sqlx::types::Json;
use uuid::Uuid;

use super::sql::{Sql, all, execute, optional, statements};
use super::{Read, Writer};
use crate::Fault;
use crate::domain::ids::JobId;
use crate::domain::job::{ClaimedJob, NewJob};
use crate::domain::time::Timestamp;

macro_rules! claim {
    ($kinds:literal, $lock:literal) => {
        concat!(
            "UPDATE jobs SET state = 'running', attempts = attempts + 1, lease_until = $2, lease_owner = $3
             WHERE id IN (SELECT id FROM jobs
                          WHERE ((state = 'waiting' AND due_at <= $1)
                              OR (state = 'running' AND lease_until <= $1))
                            AND kind IN (",
            $kinds,
            ")
                          ORDER BY priority, due_at LIMIT $4",
            $lock,
            ")
             RETURNING id, kind, payload, attempts, created_at"
        )
    };
}

statements! {
    ENQUEUE = Sql::both(
        "INSERT INTO jobs (id, kind, priority, payload, dedupe_key, state, attempts, created_at, due_at)
         VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $6, $6)
         ON CONFLICT DO NOTHING",
    );
    COUNT_WAITING = Sql::both("SELECT COUNT(*) FROM jobs WHERE state = 'waiting' AND kind = $1");
    // PORTABILITY: SQLite has one writer, so there are no locked rows to skip.
    CLAIM = Sql::split(
        claim!("SELECT value FROM json_each($5)", ""),
        claim!("SELECT jsonb_array_elements_text($5)", " FOR UPDATE SKIP LOCKED"),
    );
    RENEW = Sql::both(
        "UPDATE jobs SET lease_until = $4
         WHERE id = $1 AND state = 'running' AND lease_owner = $2 AND attempts = $3",
    );
    FINISH = Sql::both(
        "UPDATE jobs SET state = $4, payload = NULL, dedupe_key = NULL, finished_at = $5,
                         last_error = $6, lease_until = NULL
         WHERE id = $1 AND state = 'running' AND lease_owner = $2 AND attempts = $3",
    );
    RETRY = Sql::both(
        "UPDATE jobs SET state = 'waiting', dedupe_key = NULL, due_at = $4, last_error = $5,
                         lease_until = NULL, lease_owner = NULL
         WHERE id = $1 AND state = 'running' AND lease_owner = $2 AND attempts = $3",
    );
    HAND_BACK = Sql::both(
        "UPDATE jobs SET state = 'waiting', dedupe_key = NULL, attempts = attempts - 1,
                         lease_until = NULL, lease_owner = NULL
         WHERE id = $1 AND state = 'running' AND lease_owner = $2 AND attempts = $3",
    );
    DELETE_ENDED = Sql::both(
        "DELETE FROM jobs WHERE id IN
           (SELECT id FROM jobs
            WHERE finished_at <= $1 AND (state = 'done' OR finished_at <= $2) LIMIT $3)",
    );
    BACKLOG = Sql::both(
        "SELECT COUNT(*), MIN(due_at) FROM jobs WHERE state = 'waiting' AND due_at <= $1",
    );
}

/// Enqueues a job with the change; `false` if one with its kind and key waits already.
pub async fn enqueue(tx: &mut Writer, job: &NewJob) -> Result<bool, Fault> {
    let rows = execute!(
        tx,
        ENQUEUE,
        job.id,
        job.kind,
        job.priority,
        &job.payload,
        &job.dedupe_key,
        job.created_at,
    )?;
    Ok(rows == 1)
}

/// Counts the waiting jobs of a kind.
pub async fn count_waiting(db: &mut impl Read, kind: &str) -> Result<i64, Fault> {
    let row: Option<(i64,)> = optional!(db, COUNT_WAITING, kind)?;
    Ok(row.map_or(0, |(count,)| count))
}

/// The claim of one worker: what fences it.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// The worker pool that holds it.
    pub owner: Uuid,
    /// When somebody else may take the job.
    pub until: Timestamp,
}

/// Claims at most `limit` jobs of these kinds that are due, or whose lease is over.
pub async fn claim(
    tx: &mut Writer,
    now: Timestamp,
    lease: Lease,
    kinds: &[&str],
    limit: i64,
) -> Result<Vec<ClaimedJob>, Fault> {
    all!(tx, CLAIM, now, lease.until, lease.owner, limit, Json(kinds))
}

/// Keeps a job in hand until `until`; `false` if the lease was lost.
pub async fn renew(tx: &mut Writer, held: Held, until: Timestamp) -> Result<bool, Fault> {
    Ok(execute!(tx, RENEW, held.id, held.owner, held.attempt, until)? == 1)
}

/// How a job ended for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It failed in all its attempts.
    GivenUp,
}

/// What a worker says of the job that it holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The job.
    pub id: JobId,
    /// The worker pool.
    pub owner: Uuid,
    /// The attempt that was claimed.
    pub attempt: i64,
}

/// Ends a job and forgets its payload; `false` if the lease was lost.
pub async fn finish(
    tx: &mut Writer,
    held: Held,
    outcome: Outcome,
    now: Timestamp,
    error: Option<&str>,
) -> Result<bool, Fault> {
    let state = match outcome {
        Outcome::Done => "done",
        Outcome::GivenUp => "given_up",
    };
    Ok(execute!(tx, FINISH, held.id, held.owner, held.attempt, state, now, error)? == 1)
}

/// Lets a job be tried again at `due_at`; `false` if the lease was lost.
pub async fn retry(
    tx: &mut Writer,
    held: Held,
    due_at: Timestamp,
    error: &str,
) -> Result<bool, Fault> {
    Ok(execute!(tx, RETRY, held.id, held.owner, held.attempt, due_at, error)? == 1)
}

/// Gives a job back that was not begun, as if it had not been claimed; `false` if the lease was lost.
pub async fn hand_back(tx: &mut Writer, held: Held) -> Result<bool, Fault> {
    Ok(execute!(tx, HAND_BACK, held.id, held.owner, held.attempt)? == 1)
}

/// Removes at most `limit` jobs that were done by `done`, or given up by the earlier `given_up`; how many.
pub async fn delete_ended(
    tx: &mut Writer,
    done: Timestamp,
    given_up: Timestamp,
    limit: i64,
) -> Result<u64, Fault> {
    execute!(tx, DELETE_ENDED, done, given_up, limit)
}

/// How many jobs are due, and since when the oldest is.
pub async fn backlog(
    db: &mut impl Read,
    now: Timestamp,
) -> Result<(i64, Option<Timestamp>), Fault> {
    let row: Option<(i64, Option<Timestamp>)> = optional!(db, BACKLOG, now)?;
    Ok(row.unwrap_or((0, None)))
}
