//! SQL and nothing but SQL. Atomic and fresh are types: what a query needs stands in its signature (ADR 0005).
//!
//! [`Store::read`] gives a [`Reader`] that sees every commit, [`Store::read_stale`] a [`StaleReader`] that may
//! lag, and [`Store::write`] hands a [`Writer`] to one named change. There is no `begin` and no `commit`.

pub mod credentials;
pub mod email_changes;
pub mod event_chain;
pub mod events;
mod fault;
mod handles;
pub mod idempotency_keys;
pub mod jobs;
pub mod leases;
pub mod mail_allowances;
pub mod migrate;
pub mod one_time_tokens;
mod postgres;
pub mod refresh_tokens;
pub mod roles;
pub mod sessions;
pub mod signing_keys;
mod slots;
mod sql;
mod sqlite;
pub mod unique_values;
pub mod user_life;
pub mod users;
mod write;

pub use fault::Noticed;
pub use handles::{Read, ReadFresh, Reader, StaleReader, Writer};
pub use sql::{Conn, Sql};
pub use write::{Change, Jitter};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::{Fault, deadline};

/// What the store must know to open.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which database.
    pub database: Database,
    /// Connections to PostgreSQL at most, or readers of the embedded database.
    pub pool_max: u32,
}

/// The database that is used.
#[derive(Clone)]
pub enum Database {
    /// The embedded one, in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL server, by URL. `Debug` does not show it: it may hold a password.
    Postgres(String),
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => f.write_str("Postgres(***)"),
        }
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Arc<Backend>,
}

enum Backend {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

/// What the pool is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// Open connections.
    pub connections: u32,
    /// Of these, those that wait for work.
    pub idle: u32,
    /// The bound.
    pub max: u32,
}

/// LIMIT: REL-11. Nobody waits longer for a connection.
const POOL_WAIT_MAX: Duration = Duration::from_secs(2);

impl Store {
    /// Opens the database. Its tasks run on the runtime of the caller and are waited for by `tasks`.
    pub async fn open(
        settings: &Settings,
        jitter: Jitter,
        tasks: TaskTracker,
    ) -> Result<Self, Fault> {
        let backend = match &settings.database {
            Database::Sqlite(path) => Backend::Sqlite(
                sqlite::Sqlite::open(path, settings.pool_max, jitter, &tasks).await?,
            ),
            Database::Postgres(url) => {
                Backend::Postgres(postgres::Postgres::open(url, settings.pool_max, jitter, tasks)?)
            }
        };
        Ok(Self { backend: Arc::new(backend) })
    }

    /// A handle that sees every commit.
    pub async fn read(&self) -> Result<Reader, Fault> {
        let until = deadline::current();
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.read(until).await,
            Backend::Postgres(postgres) => postgres.read(until).await,
        }
    }

    /// A handle that may lag behind. Until there are replicas it is one of the primary.
    pub async fn read_stale(&self) -> Result<StaleReader, Fault> {
        Ok(self.read().await?.into())
    }

    /// Runs `change` in a transaction: `Ok` is returned after the durable commit, all else leaves nothing.
    ///
    /// The change outlives a caller that is dropped, may be repeated whole after a conflict, and on SQLite
    /// shares its commit with others. It has no side effect but its rows.
    pub async fn write<I, T, E>(&self, input: I, change: Change<I, T, E>) -> Result<T, E>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.write(input, change).await,
            Backend::Postgres(postgres) => postgres.write(input, change).await,
        }
    }

    /// Tells whether the database answers, and where its schema stands.
    pub async fn schema(&self) -> Result<migrate::State, Fault> {
        migrate::state_of(&mut self.read().await?).await
    }

    /// The size of the pool of readers and writers.
    pub fn pool_stats(&self) -> PoolStats {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.pool_stats(),
            Backend::Postgres(postgres) => postgres.pool_stats(),
        }
    }

    /// Closes every connection, once what runs has finished.
    pub async fn close(&self) {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.close().await,
            Backend::Postgres(postgres) => postgres.close().await,
        }
    }
}
