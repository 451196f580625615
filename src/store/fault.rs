//! What an error of either driver means: repeat the change, drop the connection, or give up.

use std::error::Error;
use std::fmt;

use crate::{Fault, FaultKind};

/// What a handle noticed of its database, so that nobody has to look inside an error of the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noticed {
    /// 40001, 40P01, 55P03, busy, or a lost unique race: the whole change again (REL-10).
    Conflict,
    /// The connection is of no more use (REL-07).
    Dead,
    /// A statement failed for good.
    Failed,
}

/// Tells what `error` means for the change that met it.
pub(super) fn notice(error: &sqlx::Error) -> Noticed {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::PoolClosed => Noticed::Dead,
        sqlx::Error::Database(database) => {
            if database.is_unique_violation() {
                return Noticed::Conflict;
            }
            // SQLSTATE has five characters; SQLite's codes are decimal numbers.
            match database.code().as_deref().unwrap_or_default() {
                "40001" | "40P01" | "55P03" | "5" | "6" | "261" | "262" | "517" | "773" => {
                    Noticed::Conflict
                }
                // Read-only after a failover, a stray transaction, a server that ends.
                "25006" | "25P02" | "57P01" | "57P02" | "57P03" => Noticed::Dead,
                code if code.starts_with("08") && code.len() == 5 => Noticed::Dead,
                _ => Noticed::Failed,
            }
        }
        _ => Noticed::Failed,
    }
}

/// The fault that `error` becomes: no SQL, no value of a row, only the database's own message.
#[track_caller]
pub(super) fn fault(error: sqlx::Error) -> Fault {
    let kind = match &error {
        sqlx::Error::PoolTimedOut => FaultKind::Overloaded,
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default().into_owned();
            match notice(&error) {
                Noticed::Failed => failed_kind(&code),
                Noticed::Conflict | Noticed::Dead => FaultKind::Unavailable,
            }
        }
        _ if notice(&error) == Noticed::Dead => FaultKind::Unavailable,
        _ => FaultKind::Internal,
    };
    Fault::new(kind, DatabaseError::from(error))
}

fn failed_kind(code: &str) -> FaultKind {
    match code {
        // A statement or its lock took too long; the disk is full or broken; out of connections; a password or
        // a database that the server does not know, which an operator mends while the service waits.
        "28000" | "28P01" | "3D000" | "57014" | "53100" | "53200" | "53300" | "58030" | "10"
        | "13" | "14" | "8" => FaultKind::Unavailable,
        code if code.len() > 2
            && code.parse::<i64>().is_ok_and(|n| matches!(n & 0xff, 8 | 10 | 13 | 14)) =>
        {
            FaultKind::Unavailable
        }
        _ => FaultKind::Internal,
    }
}

/// An error of a driver, shown without the details that quote rows.
#[derive(Debug)]
struct DatabaseError(String);

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        // SECURITY: LOG-03. PostgreSQL's detail and sqlx's decode errors may quote values: code and message only.
        Self(match &error {
            sqlx::Error::Database(database) => {
                format!("database: {} {}", database.code().unwrap_or_default(), database.message())
            }
            sqlx::Error::ColumnDecode { index, .. } => {
                format!("database: column {index} does not decode")
            }
            other => format!("database: {other}"),
        })
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for DatabaseError {}
