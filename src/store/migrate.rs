//! Brings the schema up to date: under a lock, by several instances at once, resumable after a kill.
//!
//! Each migration records the oldest binary that may still run on it; an older one refuses to start (CFG-10).

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{ConnectOptions, Connection, PgConnection, SqliteConnection};

use super::fault::fault;
use super::{Conn, Database, Read, postgres, sqlite};
use crate::Fault;

static SQLITE: Migrator = migrator(sqlx::migrate!("migrations/sqlite"));
static POSTGRES: Migrator = migrator(sqlx::migrate!("migrations/postgres"));

/// A newer binary may have gone ahead: what it applied is no fault as long as it still allows this one.
const fn migrator(mut found: Migrator) -> Migrator {
    found.ignore_missing = true;
    found
}

/// Where the schema of a database stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The newest migration that was applied, 0 for an empty database.
    pub applied: i64,
    /// How many of this binary's migrations are still to be applied.
    pub pending: usize,
    /// The oldest binary that may run on the schema; `None` on an empty database.
    pub oldest_binary: Option<String>,
}

impl State {
    /// Tells whether a binary of `version` may run on the schema.
    pub fn allows(&self, version: &str) -> bool {
        let oldest = self.oldest_binary.as_deref().map(parts);
        oldest.is_none_or(|oldest| oldest <= parts(version))
    }
}

/// The three numbers of a version. Anything else counts as newest, so that it is refused, not run.
fn parts(version: &str) -> [u64; 3] {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = core.split('.').map(|n| n.parse().unwrap_or(u64::MAX));
    [(); 3].map(|()| numbers.next().unwrap_or(0))
}

/// Applies what is pending, one process at a time, and tells where the schema stands.
pub async fn run(database: &Database) -> Result<State, Fault> {
    match database {
        Database::Sqlite(path) => {
            prepare_file(path)?;
            // PORTABILITY: sqlx locks PostgreSQL while it migrates, and nothing on SQLite.
            let _held = lock_beside(path).await?;
            let mut connection = connect_sqlite(path).await?;
            if of_sqlite(&mut connection).await?.pending > 0 {
                SQLITE.run_direct(None, &mut connection, false).await.map_err(migrate_fault)?;
            }
            let state = of_sqlite(&mut connection).await;
            connection.close().await.map_err(|error| fault(error))?;
            state
        }
        Database::Postgres(url) => {
            // Not through the pool: a failed run keeps the lock, and `lock_timeout` would end the wait for it.
            let mut connection = connect_postgres(url).await?;
            if of_postgres(&mut connection).await?.pending > 0 {
                POSTGRES.run_direct(None, &mut connection, false).await.map_err(migrate_fault)?;
            }
            let state = of_postgres(&mut connection).await;
            connection.close().await.map_err(|error| fault(error))?;
            state
        }
    }
}

/// Tells where the schema stands, and changes nothing.
pub async fn state(database: &Database) -> Result<State, Fault> {
    match database {
        Database::Sqlite(path) if !path.exists() => {
            Ok(State { applied: 0, pending: SQLITE.iter().count(), oldest_binary: None })
        }
        Database::Sqlite(path) => of_sqlite(&mut connect_sqlite(path).await?).await,
        Database::Postgres(url) => of_postgres(&mut connect_postgres(url).await?).await,
    }
}

async fn connect_sqlite(path: &Path) -> Result<SqliteConnection, Fault> {
    sqlite::options(path).connect().await.map_err(|error| fault(error))
}

async fn connect_postgres(url: &str) -> Result<PgConnection, Fault> {
    let connecting = postgres::options(url).map_err(|error| fault(error))?;
    // LIMIT: REL-23. A start-up tells within 10 s that something is missing.
    let connected = tokio::time::timeout(std::time::Duration::from_secs(5), connecting.connect());
    connected.await.map_err(Fault::unavailable)?.map_err(|error| fault(error))
}

/// CFG-12: the database is its owner's alone, whatever the umask; SQLite gives its side files the same mode.
fn prepare_file(path: &Path) -> Result<(), Fault> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(Fault::unavailable)?;
    }
    owned(path).map(|_file| ())
}

fn owned(path: &Path) -> Result<File, Fault> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    options.open(path).map_err(Fault::unavailable)
}

/// Waits for the lock of the database's own lock file; it ends with the process or the returned file.
async fn lock_beside(path: &Path) -> Result<File, Fault> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let file = owned(Path::new(&beside))?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked.map_err(Fault::internal)?.map_err(Fault::unavailable)
}

fn migrate_fault(error: MigrateError) -> Fault {
    match error {
        MigrateError::Execute(error) => fault(error),
        other => Fault::internal(other),
    }
}

const IS_NEW_SQLITE: &str = "SELECT COUNT(*) FROM sqlite_schema
     WHERE type = 'table' AND name IN ('_sqlx_migrations', 'schema_compatibility')";
const IS_NEW_POSTGRES: &str = "SELECT COUNT(*) FROM pg_catalog.pg_class
     WHERE oid IN (to_regclass('_sqlx_migrations'), to_regclass('schema_compatibility'))";
const APPLIED: &str = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";
const OLDEST: &str =
    "SELECT oldest_binary FROM schema_compatibility ORDER BY migration DESC LIMIT 1";

async fn of_sqlite(connection: &mut SqliteConnection) -> Result<State, Fault> {
    read_state(&mut Conn::Sqlite(connection)).await.map_err(|error| fault(error))
}

async fn of_postgres(connection: &mut PgConnection) -> Result<State, Fault> {
    read_state(&mut Conn::Postgres(connection)).await.map_err(|error| fault(error))
}

/// Reads the state on a connection of either kind.
async fn read_state(db: &mut Conn<'_>) -> Result<State, sqlx::Error> {
    // PORTABILITY: the two bodies differ in the connection's type and its catalogue alone.
    macro_rules! state {
        ($c:expr, $is_new:expr, $migrations:expr) => {{
            let tables: i64 = sqlx::query_scalar($is_new).fetch_one(&mut **$c).await?;
            let (mut applied, mut oldest_binary) = (Vec::new(), None);
            if tables == 2 {
                applied = sqlx::query_scalar(APPLIED).fetch_all(&mut **$c).await?;
                oldest_binary = sqlx::query_scalar(OLDEST).fetch_optional(&mut **$c).await?;
            }
            let is_pending = |version: i64| !applied.contains(&version);
            let pending = $migrations.iter().filter(|m| is_pending(m.version)).count();
            Ok(State { applied: applied.last().copied().unwrap_or(0), pending, oldest_binary })
        }};
    }
    match db {
        Conn::Sqlite(c) => state!(c, IS_NEW_SQLITE, SQLITE),
        Conn::Postgres(c) => state!(c, IS_NEW_POSTGRES, POSTGRES),
    }
}

/// Tells where the schema behind a handle stands.
pub async fn state_of(db: &mut impl Read) -> Result<State, Fault> {
    match read_state(&mut db.conn()).await {
        Ok(state) => {
            db.settled();
            Ok(state)
        }
        Err(error) => Err(db.failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cfg_10_only_an_older_binary_is_refused() {
        let state = State { applied: 3, pending: 0, oldest_binary: Some("0.10.0".into()) };
        assert!(!state.allows("0.9.9"));
        assert!(state.allows("0.10.0"));
        assert!(state.allows("0.10.0-rc.1"));
        assert!(state.allows("1.0.0"));
        assert!(State { oldest_binary: None, ..state }.allows("0.1.0"));
    }
}
