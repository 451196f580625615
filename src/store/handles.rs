//! The handles: a query says by their traits whether it may be stale, must be fresh, or changes something.

use sqlx::pool::PoolConnection;
use sqlx::{Postgres, SqliteConnection};

use super::fault::{self, Noticed};
use super::readers::Reading;
use super::sql::Conn;
use crate::Fault;

/// Can be read from.
pub trait Read: Send {
    /// The connection behind the handle.
    fn conn(&mut self) -> Conn<'_>;

    /// Notes what `error` means for this handle and turns it into a fault.
    #[track_caller]
    fn failed(&mut self, error: sqlx::Error) -> Fault;
}

/// Can be read from, and sees every commit.
#[diagnostic::on_unimplemented(note = "use `store.read()` instead of `store.read_stale()`")]
pub trait ReadFresh: Read {}

/// A handle that sees every commit.
pub struct Reader(Lease);

/// A handle that may lag behind the last commits: for admin lists, exports, metrics.
pub struct StaleReader(Lease);

enum Lease {
    Sqlite(Reading),
    Postgres(PoolConnection<Postgres>, std::sync::Arc<super::postgres::Suspicion>),
}

impl Lease {
    fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(reading) => Conn::Sqlite(reading.conn()),
            Self::Postgres(connection, _) => Conn::Postgres(connection),
        }
    }

    #[track_caller]
    fn failed(&mut self, error: sqlx::Error) -> Fault {
        if fault::notice(&error) == Noticed::Dead {
            match self {
                Self::Sqlite(reading) => reading.give_up(),
                Self::Postgres(connection, suspicion) => {
                    connection.close_on_drop();
                    suspicion.raise();
                }
            }
        }
        fault::fault(error)
    }
}

impl Reader {
    pub(super) fn sqlite(reading: Reading) -> Self {
        Self(Lease::Sqlite(reading))
    }

    pub(super) fn postgres(
        connection: PoolConnection<Postgres>,
        suspicion: std::sync::Arc<super::postgres::Suspicion>,
    ) -> Self {
        Self(Lease::Postgres(connection, suspicion))
    }
}

impl From<Reader> for StaleReader {
    fn from(reader: Reader) -> Self {
        Self(reader.0)
    }
}

impl Read for Reader {
    fn conn(&mut self) -> Conn<'_> {
        self.0.conn()
    }

    fn failed(&mut self, error: sqlx::Error) -> Fault {
        self.0.failed(error)
    }
}

impl ReadFresh for Reader {}

impl Read for StaleReader {
    fn conn(&mut self) -> Conn<'_> {
        self.0.conn()
    }

    fn failed(&mut self, error: sqlx::Error) -> Fault {
        self.0.failed(error)
    }
}

/// A transaction, handed to one change. It remembers the database's error, whatever the change makes of it.
pub struct Writer {
    connection: Writing,
    noticed: Option<Noticed>,
}

enum Writing {
    // Boxed: the embedded connection is large and moves with the writer.
    Sqlite(Box<SqliteConnection>),
    Postgres(PoolConnection<Postgres>),
}

impl Writer {
    pub(super) fn sqlite(connection: SqliteConnection) -> Self {
        Self { connection: Writing::Sqlite(Box::new(connection)), noticed: None }
    }

    pub(super) fn postgres(connection: PoolConnection<Postgres>) -> Self {
        Self { connection: Writing::Postgres(connection), noticed: None }
    }

    /// What the database said since the last call.
    pub(super) fn take_noticed(&mut self) -> Option<Noticed> {
        self.noticed.take()
    }

    /// Gives the connection up: nothing it holds goes back to a pool.
    pub(super) fn give_up(&mut self) {
        if let Writing::Postgres(connection) = &mut self.connection {
            connection.close_on_drop();
        }
    }
}

impl Read for Writer {
    fn conn(&mut self) -> Conn<'_> {
        match &mut self.connection {
            Writing::Sqlite(connection) => Conn::Sqlite(connection),
            Writing::Postgres(connection) => Conn::Postgres(connection),
        }
    }

    fn failed(&mut self, error: sqlx::Error) -> Fault {
        // The first error decides: after it PostgreSQL only says that the transaction is broken.
        self.noticed.get_or_insert(fault::notice(&error));
        fault::fault(error)
    }
}

impl ReadFresh for Writer {}
