//! The table `signing_keys`: a key's state is computed from its times, never stored.

use sqlx::types::Json;

use super::sql::{Sql, all, execute, statements};
use super::{Read, Writer};
use crate::Fault;
use crate::domain::keys::{PublicJwk, SigningAlgorithm, StoredKey};
use crate::domain::time::Timestamp;

statements! {
    // PORTABILITY: SQLite has one writer, so a table needs no lock; this one keeps readers going.
    LOCK = Sql::split("SELECT 1", "LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE");
    LIST = Sql::both(
        "SELECT kid, algorithm, private_key, public_jwk, lifetime_max_s, announced_at, signs_at,
                retires_at, gone_at, revoked_at
         FROM signing_keys ORDER BY announced_at DESC, kid LIMIT 1000",
    );
    INSERT = Sql::both(
        "INSERT INTO signing_keys (kid, algorithm, private_key, public_jwk, lifetime_max_s,
                                   announced_at, signs_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (kid) DO NOTHING",
    );
    SET_TIMES = Sql::both(
        "UPDATE signing_keys SET lifetime_max_s = $2, signs_at = $3, retires_at = $4, gone_at = $5,
                                 revoked_at = $6
         WHERE kid = $1",
    );
}

/// A row of the table: the key, and the longest life of a token that it may have signed.
#[derive(Clone, Debug)]
pub struct KeyRow {
    /// The key and its times.
    pub key: StoredKey,
    /// The longest `token.access_lifetime` that it signed with, in seconds.
    pub lifetime_max_s: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    kid: String,
    algorithm: String,
    private_key: Vec<u8>,
    public_jwk: Json<PublicJwk>,
    lifetime_max_s: i64,
    announced_at: Timestamp,
    signs_at: Option<Timestamp>,
    retires_at: Option<Timestamp>,
    gone_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

/// Keeps other changes of keys away until the end of the transaction.
pub async fn lock(tx: &mut Writer) -> Result<(), Fault> {
    execute!(tx, LOCK).map(|_rows| ())
}

/// Lists the keys, newest first: a handful, and at most the newest thousand.
pub async fn list(db: &mut impl Read) -> Result<Vec<KeyRow>, Fault> {
    let rows: Vec<Row> = all!(db, LIST)?;
    rows.into_iter().map(KeyRow::try_from).collect()
}

impl TryFrom<Row> for KeyRow {
    type Error = Fault;

    fn try_from(row: Row) -> Result<Self, Fault> {
        let algorithm = row.algorithm.parse::<SigningAlgorithm>().map_err(Fault::internal)?;
        let key = StoredKey {
            kid: row.kid,
            algorithm,
            private_key: row.private_key,
            public_jwk: row.public_jwk.0,
            announced_at: row.announced_at,
            signs_at: row.signs_at,
            retires_at: row.retires_at,
            gone_at: row.gone_at,
            revoked_at: row.revoked_at,
        };
        Ok(Self { key, lifetime_max_s: row.lifetime_max_s })
    }
}

/// Inserts a key; `false` if its thumbprint is known.
pub async fn insert(tx: &mut Writer, row: &KeyRow) -> Result<bool, Fault> {
    let key = &row.key;
    let rows = execute!(
        tx,
        INSERT,
        &key.kid,
        key.algorithm.name(),
        &key.private_key,
        Json(&key.public_jwk),
        row.lifetime_max_s,
        key.announced_at,
        key.signs_at,
    )?;
    Ok(rows == 1)
}

/// Stores the times of a key.
pub async fn set_times(tx: &mut Writer, row: &KeyRow) -> Result<(), Fault> {
    let key = &row.key;
    execute!(
        tx,
        SET_TIMES,
        &key.kid,
        row.lifetime_max_s,
        key.signs_at,
        key.retires_at,
        key.gone_at,
        key.revoked_at,
    )
    .map(|_rows| ())
}
