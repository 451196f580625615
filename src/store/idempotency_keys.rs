//! The table `idempotency_keys`: a call that is repeated under its key gets its first answer again (HTTP-17).

use uuid::Uuid;

use super::sql::{Sql, execute, optional, statements};
use super::{ReadFresh, Writer};
use crate::Fault;
use crate::domain::time::Timestamp;

statements! {
    // An expired key is free; one whose call died is taken over by the same call only.
    CLAIM = Sql::both(
        "INSERT INTO idempotency_keys (scope, key, request, state, lease_owner, lease_until, created_at,
                                       expires_at)
         VALUES ($1, $2, $3, 'running', $4, $5, $6, $7)
         ON CONFLICT (scope, key) DO UPDATE
         SET request = excluded.request, state = 'running', lease_owner = excluded.lease_owner,
             lease_until = excluded.lease_until, answer = NULL, created_at = excluded.created_at,
             expires_at = excluded.expires_at
         WHERE idempotency_keys.expires_at <= excluded.created_at
            OR (idempotency_keys.state = 'running' AND idempotency_keys.request = excluded.request
                AND idempotency_keys.lease_until <= excluded.created_at)",
    );
    FIND = Sql::both("SELECT request, answer FROM idempotency_keys WHERE scope = $1 AND key = $2");
    FINISH = Sql::both(
        "UPDATE idempotency_keys SET state = 'done', answer = $4
         WHERE scope = $1 AND key = $2 AND lease_owner = $3 AND state = 'running'",
    );
    RELEASE = Sql::both(
        "DELETE FROM idempotency_keys
         WHERE scope = $1 AND key = $2 AND lease_owner = $3 AND state = 'running'",
    );
    SWEEP = Sql::both(
        "DELETE FROM idempotency_keys WHERE (scope, key) IN
             (SELECT scope, key FROM idempotency_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    );
}

/// A key as it is stored: for one route and caller.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// Keyed hash of route and caller, 32 bytes.
    pub scope: Vec<u8>,
    /// The key that the client chose.
    pub key: String,
}

/// Whoever runs the call of a key.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The key.
    pub stored: StoredKey,
    /// Keyed digest of the body, 32 bytes.
    pub request: Vec<u8>,
    /// This call.
    pub owner: Uuid,
    /// Until when the call may run.
    pub lease_until: Timestamp,
    /// Now.
    pub at: Timestamp,
    /// When the key is forgotten.
    pub expires_at: Timestamp,
}

/// What is known of a key that somebody else has.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Known {
    /// Keyed digest of the body of the first call.
    pub request: Vec<u8>,
    /// The sealed answer; `None` while the call runs.
    pub answer: Option<Vec<u8>>,
}

/// Takes a key that nobody has; the row count is the decision.
pub async fn claim(tx: &mut Writer, claim: &Claim) -> Result<bool, Fault> {
    let rows = execute!(
        tx,
        CLAIM,
        &claim.stored.scope,
        &claim.stored.key,
        &claim.request,
        claim.owner,
        claim.lease_until,
        claim.at,
        claim.expires_at,
    )?;
    Ok(rows == 1)
}

/// Tells what is known of a key.
pub async fn find(db: &mut impl ReadFresh, key: &StoredKey) -> Result<Option<Known>, Fault> {
    optional!(db, FIND, &key.scope, &key.key)
}

/// Keeps the answer of the call; `false` if the key is not its any more.
pub async fn finish(
    tx: &mut Writer,
    key: &StoredKey,
    owner: Uuid,
    answer: &[u8],
) -> Result<bool, Fault> {
    Ok(execute!(tx, FINISH, &key.scope, &key.key, owner, answer)? == 1)
}

/// Gives up a key whose call has no answer that is kept.
pub async fn release(tx: &mut Writer, key: &StoredKey, owner: Uuid) -> Result<(), Fault> {
    execute!(tx, RELEASE, &key.scope, &key.key, owner).map(|_rows| ())
}

/// Removes at most `limit` expired keys; how many there were.
pub async fn sweep(tx: &mut Writer, now: Timestamp, limit: i64) -> Result<u64, Fault> {
    execute!(tx, SWEEP, now, limit)
}
