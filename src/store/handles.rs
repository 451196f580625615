//! The handles: a query says by their traits whether it may be stale, must be fresh, or changes something.

use std::sync::Arc;

use sqlx::{PgConnection, SqliteConnection};

use super::fault::{self, Noticed};
use super::postgres::Suspicion;
use super::slots::Lent;
use super::sql::Conn;
use crate::Fault;

/// Can be read from.
pub trait Read: Send {
    /// The connection behind the handle.
    fn conn(&mut self) -> Conn<'_>;

    /// Notes what `error` means for this handle and turns it into a fault.
    #[track_caller]
    fn failed(&mut self, error: sqlx::Error) -> Fault;

    /// Notes that an answer was heard to its end.
    fn settled(&mut self);
}

/// Can be read from, and sees every commit.
#[diagnostic::on_unimplemented(note = "use `store.read()` instead of `store.read_stale()`")]
pub trait ReadFresh: Read {}

/// A handle that sees every commit.
pub struct Reader(Lease);

/// A handle that may lag behind the last commits: for admin lists, exports, metrics.
pub struct StaleReader(Lease);

enum Lease {
    Sqlite(Lent<SqliteConnection>),
    Postgres(Lent<PgConnection>, Arc<Suspicion>),
}

impl Lease {
    fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(lent) => Conn::Sqlite(lent.conn()),
            Self::Postgres(lent, _) => {
                // REL-08. Whoever is dropped before the answer is heard leaves a connection that nobody else may use.
                lent.give_up();
                Conn::Postgres(lent.conn())
            }
        }
    }

    fn settled(&mut self) {
        if let Self::Postgres(lent, _) = self {
            lent.settle();
        }
    }

    #[track_caller]
    fn failed(&mut self, error: sqlx::Error) -> Fault {
        match self {
            _ if fault::notice(&error) != Noticed::Dead => self.settled(),
            Self::Sqlite(lent) => lent.give_up(),
            Self::Postgres(lent, suspicion) => {
                lent.give_up();
                suspicion.raise();
            }
        }
        fault::fault(error)
    }
}

impl Reader {
    pub(super) fn sqlite(lent: Lent<SqliteConnection>) -> Self {
        Self(Lease::Sqlite(lent))
    }

    pub(super) fn postgres(lent: Lent<PgConnection>, suspicion: Arc<Suspicion>) -> Self {
        Self(Lease::Postgres(lent, suspicion))
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

    fn settled(&mut self) {
        self.0.settled();
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

    fn settled(&mut self) {
        self.0.settled();
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
    Postgres(Lent<PgConnection>),
}

impl Writer {
    pub(super) fn sqlite(connection: SqliteConnection) -> Self {
        Self { connection: Writing::Sqlite(Box::new(connection)), noticed: None }
    }

    /// REL-08. Until it is released the connection may be inside a transaction, and dropping it closes it.
    pub(super) fn postgres(lent: Lent<PgConnection>) -> Self {
        lent.give_up();
        Self { connection: Writing::Postgres(lent), noticed: None }
    }

    /// What the database said since the last call.
    pub(super) fn take_noticed(&mut self) -> Option<Noticed> {
        self.noticed.take()
    }

    /// Gives the connection back: its transaction has ended.
    pub(super) fn release(mut self) {
        if let Writing::Postgres(lent) = &mut self.connection {
            lent.settle();
        }
    }
}

impl Read for Writer {
    fn conn(&mut self) -> Conn<'_> {
        match &mut self.connection {
            Writing::Sqlite(connection) => Conn::Sqlite(connection),
            Writing::Postgres(lent) => Conn::Postgres(lent.conn()),
        }
    }

    fn failed(&mut self, error: sqlx::Error) -> Fault {
        // The first error decides: after it PostgreSQL only says that the transaction is broken.
        self.noticed.get_or_insert(fault::notice(&error));
        fault::fault(error)
    }

    // The end of the transaction settles it.
    fn settled(&mut self) {}
}

impl ReadFresh for Writer {}
