//! Everything that a database holds, as one text that can be searched.

use std::fs;

use super::database::{Raw, TestDatabase};

/// Every value of every table as text, bytes as hex; of SQLite the bytes of the files too, where deleted rows stay.
pub(crate) async fn database_dump(database: &TestDatabase) -> String {
    let mut raw = database.raw().await;
    let (mut dump, mut tables) = (String::new(), 0);
    for table in raw.texts(TABLES).await {
        let rows = match &mut raw {
            Raw::Sqlite(_) => {
                let columns = format!("SELECT name FROM pragma_table_info('{table}')");
                let columns = raw.texts(&*columns.leak()).await;
                let quoted = columns.iter().map(|column| format!("quote(\"{column}\")"));
                let row = quoted.collect::<Vec<_>>().join(" || ',' || ");
                format!("SELECT {row} FROM \"{table}\"")
            }
            Raw::Postgres(_) => format!("SELECT t::text FROM \"{table}\" AS t"),
        };
        // Leaked, because sqlx wants texts that live for ever: a few bytes a table.
        for row in raw.texts(&*rows.leak()).await {
            dump.extend([&table, ": ", &row, "\n"]);
        }
        tables += 1;
    }
    assert!(tables >= 12, "{tables} tables");
    if database.is_sqlite() {
        for end in ["", "-wal"] {
            let path = format!("{}{end}", database.file().display());
            dump.push_str(&String::from_utf8_lossy(&fs::read(path).unwrap_or_default()));
        }
    }
    dump
}

const TABLES: (&str, &str) = (
    "SELECT name FROM sqlite_master WHERE type = 'table'",
    "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'",
);
