//! `POST /v1/token/refresh` over HTTP, each client in a session of its own, against one bare durable insert.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that fails may end in a panic, and prints what it is for"
)]

#[path = "support/load.rs"]
mod load;
#[expect(dead_code, reason = "the integration tests use the rest")]
#[path = "../tests/it/support/pg.rs"]
mod pg;
#[path = "support/report.rs"]
mod report;
#[path = "support/rig.rs"]
mod rig;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, PgPool};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::load::{Caller, load, serve};
use crate::report::{Figure, Options, Side};
use crate::rig::{CLIENTS, Place, Rig};

const INSERT: &str = "INSERT INTO bare (client, n, digest) VALUES ($1, $2, $3)";

fn main() {
    let options = Options::read(3.0);
    if options.logs {
        rig::log_to_nowhere();
    }
    let runtime = rig::runtime();
    if options.wants("refresh/sqlite") {
        let rig = Rig::sqlite(&runtime);
        let (_folder, writer) = runtime.block_on(one_writer());
        let insert = async |client, n| {
            let mut writer = writer.lock().await;
            let query = sqlx::query(INSERT).bind(client).bind(n).bind([7_u8; 32].as_slice());
            query.execute(&mut *writer).await.unwrap();
        };
        let bare = |during| runtime.block_on(all(during, &insert));
        compare(&options, &rig, &figure("refresh/sqlite", "one writer, a commit each", 2.5), bare);
    }
    if options.wants("refresh/postgres")
        && let Some(rig) = Rig::postgres(&runtime)
    {
        let pool = runtime.block_on(bare_table(&rig));
        let insert = async |client, n| {
            let query = sqlx::query(INSERT).bind(client).bind(n).bind([7_u8; 32].as_slice());
            query.execute(&pool).await.unwrap();
        };
        let bare = |during| runtime.block_on(all(during, &insert));
        compare(&options, &rig, &figure("refresh/postgres", "an insert, a commit each", 0.5), bare);
    }
}

fn figure<'a>(name: &'a str, limit: &'a str, target: f64) -> Figure<'a> {
    Figure { name, unit: "/s", limit, target: Some(target) }
}

fn compare(options: &Options, rig: &Rig, figure: &Figure<'_>, bare: impl Side) {
    let address = serve(rig);
    let tokens = rig.sign_all_in();
    let mut callers: Vec<_> = tokens.iter().map(|it| post(it.refresh_token.expose())).collect();
    options.compare(figure, |during| load(address, &mut callers, during), bare);
}

fn post(token: &str) -> Caller {
    let body = format!("{{\"refresh_token\":\"{token}\"}}");
    Caller::new(format!(
        "POST /v1/token/refresh HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// One connection that writes, in a file beside ours on the same disk, as durable as ours.
async fn one_writer() -> (TempDir, Mutex<SqliteConnection>) {
    let folder = rig::folder();
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("bare.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut writer = options.disable_statement_logging().connect().await.unwrap();
    let make = "CREATE TABLE bare (client INTEGER NOT NULL, n INTEGER NOT NULL, digest BLOB NOT NULL) STRICT";
    sqlx::raw_sql(make).execute(&mut writer).await.unwrap();
    (folder, Mutex::new(writer))
}

/// A pool as large as ours, and a table of its own on the same server.
async fn bare_table(rig: &Rig) -> PgPool {
    let Place::Postgres(server) = &rig.place else { panic!("a server is needed") };
    let options = PgPoolOptions::new().max_connections(rig.config.store.pool_max);
    let pool = options.test_before_acquire(false).connect(&server.url("postgres")).await.unwrap();
    let make =
        "CREATE TABLE bare (client BIGINT NOT NULL, n BIGINT NOT NULL, digest BYTEA NOT NULL)";
    sqlx::raw_sql(make).execute(&pool).await.unwrap();
    pool
}

/// Lets [`CLIENTS`] tasks insert for about so long; how many commits there were a second.
async fn all(during: Duration, insert: &impl AsyncFn(i64, i64)) -> f64 {
    let (start, until) = (Instant::now(), Instant::now() + during);
    let tasks = (0_i64..).take(CLIENTS).map(|client| async move {
        let mut count = 0_u32;
        while Instant::now() < until {
            insert(client, count.into()).await;
            count += 1;
        }
        count
    });
    let count: u32 = join_all(tasks).await.into_iter().sum();
    f64::from(count) / start.elapsed().as_secs_f64()
}
