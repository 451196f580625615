//! Tests that keep the house: every statement is prepared, every function is called, on both databases.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis::store::{self, Conn, Read, Sql};
use sqlx::{Executor, SqlSafeStr};

/// The files of `src/store` with statements, and their lists.
const FILES: &[(&str, &[(&str, Sql)])] = &[
    ("credentials.rs", store::credentials::ALL),
    ("email_changes.rs", store::email_changes::ALL),
    ("event_chain.rs", store::event_chain::ALL),
    ("events.rs", store::events::ALL),
    ("idempotency_keys.rs", store::idempotency_keys::ALL),
    ("jobs.rs", store::jobs::ALL),
    ("leases.rs", store::leases::ALL),
    ("mail_allowances.rs", store::mail_allowances::ALL),
    ("one_time_tokens.rs", store::one_time_tokens::ALL),
    ("refresh_tokens.rs", store::refresh_tokens::ALL),
    ("roles.rs", store::roles::ALL),
    ("sessions.rs", store::sessions::ALL),
    ("signing_keys.rs", store::signing_keys::ALL),
    ("unique_values.rs", store::unique_values::ALL),
    ("user_life.rs", store::user_life::ALL),
    ("users.rs", store::users::ALL),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Names and texts of the Rust files in a folder, in order.
fn sources(name: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "rs");
    let mut found: Vec<_> = entries
        .filter(is_rust)
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

on_every_backend! {
    async fn every_statement_is_prepared(db: TestDatabase) {
        let store = db.store().await;
        let mut faults = Vec::new();
        for (file, statements) in FILES {
            for (name, sql) in *statements {
                // A new one each: a failed prepare must not speak for the next.
                let mut reader = store.read().await.unwrap();
                let prepared = match reader.conn() {
                    Conn::Sqlite(c) => c.prepare(sql.sqlite.into_sql_str()).await.map(drop),
                    Conn::Postgres(c) => c.prepare(sql.postgres.into_sql_str()).await.map(drop),
                };
                if let Err(error) = prepared {
                    faults.push(format!("{file} {name}: {error}"));
                }
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

#[test]
fn every_file_with_statements_is_in_the_list() {
    let with_statements: Vec<String> = sources("src/store")
        .into_iter()
        .filter(|(_, text)| text.contains("\nstatements! {"))
        .map(|(name, _)| name)
        .collect();
    let listed: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    assert_eq!(with_statements, listed);
}

#[test]
fn every_statement_of_a_file_is_used_in_it() {
    let texts = sources("src/store");
    for (file, statements) in FILES {
        let (_, text) = texts.iter().find(|(name, _)| name == file).unwrap();
        for (name, _) in *statements {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            assert!(words.filter(|word| word == name).count() > 1, "{file}: {name} is never run");
        }
    }
}

#[test]
fn every_function_of_the_store_is_called_by_a_contract() {
    let contracts: Vec<(String, String)> = sources("tests/it/store");
    let mut gaps = Vec::new();
    for (file, text) in sources("src/store") {
        let module = file.trim_end_matches(".rs");
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("pub async fn ")) {
            let name = line.split(['(', '<']).next().unwrap();
            // A method of `Store` is called on it, a function with its module.
            let calls = match module {
                "mod" => vec![format!("store.{name}("), format!("Store::{name}(")],
                _ => vec![format!("{module}::{name}(")],
            };
            let is_called = |text: &str| calls.iter().any(|call| text.contains(call));
            if !contracts.iter().any(|(_, text)| is_called(text)) {
                gaps.push(calls.join(" or "));
            }
        }
    }
    // You are here because a function of the store is new. Write its contract: what it stores and what it answers,
    // each condition false once, beside the others of its table.
    assert!(gaps.is_empty(), "no contract calls:\n{}", gaps.join("\n"));
}
