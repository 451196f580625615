//! A database a test, on either backend: migrated, empty, and gone at the end of the test.
//!
//! SQLite is migrated afresh: with this schema that takes some milliseconds, as much as a copy. PostgreSQL copies a
//! template that was migrated once a run.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use portcullis::crypto::random::Random;
use portcullis::store::{Database, Settings, Store, migrate};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::pg::{self, Server, TEMPLATE, blocking};

/// A database of one test. It is dropped with this value.
pub(crate) struct TestDatabase {
    place: Place,
}

enum Place {
    Sqlite { folder: TempDir },
    Postgres { server: &'static Server, name: String },
}

impl TestDatabase {
    /// A migrated embedded database.
    pub(crate) async fn sqlite() -> Self {
        let database = Self::empty_sqlite();
        migrate::run(&database.database()).await.unwrap();
        database
    }

    /// A migrated database on the run's server; `None` without PostgreSQL.
    pub(crate) async fn postgres() -> Option<Self> {
        Self::on_server(TEMPLATE).await
    }

    /// An embedded database without a file.
    pub(crate) fn empty_sqlite() -> Self {
        Self { place: Place::Sqlite { folder: tempfile::tempdir().unwrap() } }
    }

    /// A database without a table on the run's server; `None` without PostgreSQL.
    pub(crate) async fn empty_postgres() -> Option<Self> {
        Self::on_server("template0").await
    }

    async fn on_server(template: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = pg::shared()?;
        let (own, n) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = format!("it_{own}_{n}");
        // Copying files takes 25 ms, the default of PostgreSQL 15 and later 140; older ones know no other.
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        if administer(server, format!("{create} STRATEGY FILE_COPY")).await.is_err() {
            administer(server, create).await.unwrap();
        }
        Some(Self { place: Place::Postgres { server, name } })
    }

    /// What the store and the migrations are given.
    pub(crate) fn database(&self) -> Database {
        match &self.place {
            Place::Sqlite { .. } => Database::Sqlite(self.file()),
            Place::Postgres { server, name } => Database::Postgres(server.url(name)),
        }
    }

    /// What an operator writes.
    pub(crate) fn url(&self) -> String {
        match &self.place {
            Place::Sqlite { .. } => format!("sqlite://{}", self.file().display()),
            Place::Postgres { server, name } => server.url(name),
        }
    }

    /// The file of the embedded database.
    pub(crate) fn file(&self) -> PathBuf {
        match &self.place {
            Place::Sqlite { folder } => folder.path().join("test.db"),
            Place::Postgres { .. } => panic!("PostgreSQL has no file"),
        }
    }

    /// The server and the name of the database there.
    pub(crate) fn server(&self) -> (&'static Server, &str) {
        match &self.place {
            Place::Sqlite { .. } => panic!("SQLite has no server"),
            Place::Postgres { server, name } => (server, name),
        }
    }

    /// Tells which backend this is.
    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.place, Place::Sqlite { .. })
    }

    /// A store over it, with a pool as small as it is in production.
    pub(crate) async fn store(&self) -> Store {
        self.store_with(10).await
    }

    /// A store whose pool has at most this many connections.
    pub(crate) async fn store_with(&self, pool_max: u32) -> Store {
        let settings = Settings { database: self.database(), pool_max };
        Store::open(&settings, jitter(), TaskTracker::new()).await.unwrap()
    }

    /// A connection beside the store, like that of another process.
    pub(crate) async fn raw(&self) -> Raw {
        match &self.place {
            Place::Sqlite { .. } => {
                let options = SqliteConnectOptions::new().filename(self.file());
                Raw::Sqlite(options.foreign_keys(true).connect().await.unwrap())
            }
            Place::Postgres { server, name } => {
                Raw::Postgres(PgConnection::connect(&server.url(name)).await.unwrap())
            }
        }
    }

    /// Runs a statement beside the store; the number of its rows.
    pub(crate) async fn execute(&self, text: impl Text) -> u64 {
        self.raw().await.execute(text).await.unwrap()
    }

    /// The one number that a query gives.
    pub(crate) async fn count(&self, text: impl Text) -> i64 {
        self.raw().await.count(text).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Place::Postgres { server, name } = &self.place {
            blocking(administer(server, format!("DROP DATABASE {name} WITH (FORCE)"))).unwrap();
        }
    }
}

/// Randomness that no other part of this process has: two stores on one database must not make the same ids.
pub(crate) fn other_random() -> Random {
    static SEED: AtomicU64 = AtomicU64::new(1);
    Random::seeded(SEED.fetch_add(1, Ordering::Relaxed))
}

async fn administer(server: &Server, statement: String) -> Result<(), sqlx::Error> {
    let mut admin = PgConnection::connect(&server.url("postgres")).await?;
    // Leaked, because sqlx wants texts that live for ever: a few bytes a test.
    sqlx::raw_sql(&*statement.leak()).execute(&mut admin).await?;
    admin.close().await
}

/// A connection of the test's own.
pub(crate) enum Raw {
    /// To the file.
    Sqlite(SqliteConnection),
    /// To the server.
    Postgres(PgConnection),
}

/// A statement: one text, or one for SQLite and one for PostgreSQL.
pub(crate) trait Text {
    /// The text for the backend.
    fn text(self, is_sqlite: bool) -> &'static str;
}

impl Text for &'static str {
    fn text(self, _is_sqlite: bool) -> &'static str {
        self
    }
}

impl Text for (&'static str, &'static str) {
    fn text(self, is_sqlite: bool) -> &'static str {
        if is_sqlite { self.0 } else { self.1 }
    }
}

impl Raw {
    /// Runs a statement; the number of its rows.
    pub(crate) async fn execute(&mut self, text: impl Text) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(c) => {
                let done = sqlx::raw_sql(text.text(true)).execute(c).await?;
                Ok(done.rows_affected())
            }
            Self::Postgres(c) => {
                let done = sqlx::raw_sql(text.text(false)).execute(c).await?;
                Ok(done.rows_affected())
            }
        }
    }

    /// The one number that a query gives.
    pub(crate) async fn count(&mut self, text: impl Text) -> i64 {
        match self {
            Self::Sqlite(c) => sqlx::query_scalar(text.text(true)).fetch_one(c).await.unwrap(),
            Self::Postgres(c) => sqlx::query_scalar(text.text(false)).fetch_one(c).await.unwrap(),
        }
    }

    /// The rows of a query with one text column.
    pub(crate) async fn texts(&mut self, text: impl Text) -> Vec<String> {
        match self {
            Self::Sqlite(c) => sqlx::query_scalar(text.text(true)).fetch_all(c).await.unwrap(),
            Self::Postgres(c) => sqlx::query_scalar(text.text(false)).fetch_all(c).await.unwrap(),
        }
    }
}

/// The jitter of a store, from the seed of this process.
pub(crate) fn jitter() -> portcullis::store::Jitter {
    let random = other_random();
    std::sync::Arc::new(move |max| random.jitter(max))
}
