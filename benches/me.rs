//! `GET /v1/me` over HTTP against bare actix: a route that says hello, and one that reads a row by its key.
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

use std::net::SocketAddr;
use std::thread;

use actix_web::web::ServiceConfig;
use actix_web::{App, HttpResponse, HttpServer, web};
use portcullis::flows::tokens::Tokens;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::load::{Caller, load, serve};
use crate::report::{Figure, Options};
use crate::rig::{CLIENTS, Place, Rig};

fn main() {
    let options = Options::read(3.0);
    if options.logs {
        rig::log_to_nowhere();
    }
    let runtime = rig::runtime();
    if options.wants("me/sqlite") {
        let rig = Rig::sqlite(&runtime);
        let hello = serve_bare(&rig, |config| {
            config.route(
                "/hello",
                web::get().to(|| async { HttpResponse::Ok().json(json!({"hello": "world"})) }),
            );
        });
        let figure = figure("me/sqlite", "bare actix, hello", 0.35);
        let ours = compare(&options, &rig, &figure, (hello, |_| get("/hello", "")));
        // Everything but the token, the database and the view.
        let figure = Figure { name: "edge", target: None, ..figure };
        let mut keys: Vec<_> = (0..CLIENTS).map(|_| get("/.well-known/jwks.json", "")).collect();
        let mut hellos: Vec<_> = (0..CLIENTS).map(|_| get("/hello", "")).collect();
        options.compare(
            &figure,
            |during| load(ours, &mut keys, during),
            |during| load(hello, &mut hellos, during),
        );
    }
    if options.wants("me/postgres")
        && let Some(rig) = Rig::postgres(&runtime)
    {
        let pool = runtime.block_on(rows(&rig));
        let row = serve_bare(&rig, move |config| {
            config.app_data(web::Data::new(pool.clone())).route("/row/{id}", web::get().to(row));
        });
        let figure = figure("me/postgres", "bare actix, one row by its key", 0.70);
        compare(&options, &rig, &figure, (row, |n| get(&format!("/row/{n}"), "")));
    }
}

fn get(path: &str, header: &str) -> Caller {
    Caller::new(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{header}\r\n"))
}

fn figure<'a>(name: &'a str, limit: &'a str, target: f64) -> Figure<'a> {
    Figure { name, unit: "/s", limit, target: Some(target) }
}

fn compare(
    options: &Options,
    rig: &Rig,
    figure: &Figure<'_>,
    (bare, caller): (SocketAddr, fn(usize) -> Caller),
) -> SocketAddr {
    let ours = serve(rig);
    let tokens = rig.sign_all_in();
    let bearer = |it: &Tokens| format!("authorization: Bearer {}\r\n", it.access_token);
    let mut mine: Vec<_> = tokens.iter().map(|it| get("/v1/me", &bearer(it))).collect();
    let mut theirs: Vec<_> = (0..CLIENTS).map(caller).collect();
    options.compare(
        figure,
        |during| load(ours, &mut mine, during),
        |during| load(bare, &mut theirs, during),
    );
    ours
}

/// A pool as large as ours, on a table of its own beside ours.
async fn rows(rig: &Rig) -> PgPool {
    let Place::Postgres(server) = &rig.place else { panic!("a server is needed") };
    let options = PgPoolOptions::new().max_connections(rig.config.store.pool_max);
    let pool = options.test_before_acquire(false).connect(&server.url("postgres")).await.unwrap();
    let make = "CREATE TABLE bench_rows (id BIGINT PRIMARY KEY, name TEXT NOT NULL, at TIMESTAMPTZ NOT NULL);
                INSERT INTO bench_rows SELECT n, 'somebody', now() FROM generate_series(0, 9999) AS n";
    sqlx::raw_sql(make).execute(&pool).await.unwrap();
    pool
}

async fn row(id: web::Path<i64>, pool: web::Data<PgPool>) -> HttpResponse {
    let query = sqlx::query_as("SELECT id, name FROM bench_rows WHERE id = $1").bind(*id);
    let (id, name): (i64, String) = query.fetch_one(pool.get_ref()).await.unwrap();
    HttpResponse::Ok().json(json!({ "id": id, "name": name }))
}

/// Serves what is the limit: bare routes, on as many threads as ours; its address.
fn serve_bare<F>(rig: &Rig, routes: F) -> SocketAddr
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let _inside = rig.runtime.enter();
    let workers = thread::available_parallelism().unwrap().get();
    let server = HttpServer::new(move || App::new().configure(routes.clone())).workers(workers);
    let server = server.disable_signals().bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    rig.app.tasks.spawn(async { server.await.unwrap() });
    address
}
