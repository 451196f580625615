//! One SQL text a statement, two drivers: the types and the two macros behind every query (ADR 0002).
//!
//! `statements!` names the texts of a file, so that a test prepares each on both databases; `on!` runs one
//! expression with the live driver's own types and turns its error into a [`crate::Fault`].

use sqlx::{PgConnection, SqliteConnection};

/// The text of a statement for either database.
#[derive(Clone, Copy, Debug)]
pub struct Sql {
    /// What SQLite is given.
    pub sqlite: &'static str,
    /// What PostgreSQL is given.
    pub postgres: &'static str,
}

impl Sql {
    /// One text for both.
    pub const fn both(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }

    /// Two texts, where the dialects truly differ.
    pub const fn split(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres }
    }
}

/// The connection behind a handle.
pub enum Conn<'a> {
    /// The embedded database.
    Sqlite(&'a mut SqliteConnection),
    /// A PostgreSQL server.
    Postgres(&'a mut PgConnection),
}

/// Runs one expression (a future of `Result<_, sqlx::Error>`) with the live backend's own types.
macro_rules! on {
    ($db:expr, $sql:expr, |$text:ident, $c:ident| $body:expr) => {{
        let result: Result<_, sqlx::Error> = match $crate::store::Read::conn($db) {
            $crate::store::sql::Conn::Sqlite($c) => {
                let $text = $sql.sqlite;
                $body.await
            }
            $crate::store::sql::Conn::Postgres($c) => {
                let $text = $sql.postgres;
                $crate::store::postgres::bounded($body).await
            }
        };
        match result {
            Ok(value) => {
                $crate::store::Read::settled($db);
                Ok(value)
            }
            Err(error) => Err($crate::store::Read::failed($db, error)),
        }
    }};
}

/// Names the statements of a file and lists them for the test that prepares each on both databases.
macro_rules! statements {
    ($($name:ident = $sql:expr;)+) => {
        $(const $name: $crate::store::sql::Sql = $sql;)+
        /// Every statement of this file, by name.
        pub const ALL: &[(&str, $crate::store::sql::Sql)] = &[$((stringify!($name), $name)),+];
    };
}

/// Runs a statement with these values; the number of rows that it changed.
macro_rules! execute {
    ($db:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::store::sql::on!($db, $sql, |text, c| async {
            let query = sqlx::query(text)$(.bind($value))*;
            query.execute(c).await.map(|done| done.rows_affected())
        })
    };
}

/// Runs a query with these values; its row, if there is one, as the type that is asked for.
macro_rules! optional {
    ($db:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::store::sql::on!($db, $sql, |text, c| {
            sqlx::query_as(text)$(.bind($value))*.fetch_optional(c)
        })
    };
}

/// Runs a query with these values; all its rows, as the type that is asked for. Callers bound their number.
macro_rules! all {
    ($db:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::store::sql::on!($db, $sql, |text, c| {
            sqlx::query_as(text)$(.bind($value))*.fetch_all(c)
        })
    };
}

pub(super) use {all, execute, on, optional, statements};
