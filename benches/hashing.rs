//! Logins and signups against raw argon2 on as many threads as the hash pool has.
//!
//! 64 callers at once, through the flows: what is lost to the queue, the database and the tokens is the difference.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that fails may end in a panic, and prints what it is for"
)]

#[expect(dead_code, reason = "the integration tests use the rest")]
#[path = "../tests/it/support/pg.rs"]
mod pg;
#[path = "support/report.rs"]
mod report;
#[expect(dead_code, reason = "the benches over HTTP use the rest")]
#[path = "support/rig.rs"]
mod rig;

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use portcullis::app::App;
use portcullis::crypto::hasher::{Cost, Workbench};
use portcullis::domain::email::EmailAddress;
use portcullis::flows::signup::{Signup, signup};

use crate::report::{Figure, Options};
use crate::rig::{CLIENTS, Rig, log_in, origin};

fn main() {
    let options = Options::read(2.0);
    if options.logs {
        rig::log_to_nowhere();
    }
    let runtime = rig::runtime();
    if options.wants("login/sqlite") || options.wants("signup/sqlite") {
        figures(&options, &Rig::sqlite(&runtime), "sqlite");
    }
    if (options.wants("login/postgres") || options.wants("signup/postgres"))
        && let Some(rig) = Rig::postgres(&runtime)
    {
        figures(&options, &rig, "postgres");
    }
}

fn figures(options: &Options, rig: &Rig, database: &str) {
    let (threads, cost) = (rig.app.hasher.stats().threads, rig.app.hasher.cost());
    let limit = format!("raw argon2, {threads} threads");
    let figure = |name, target| Figure { name, unit: "/s", limit: &limit, target: Some(target) };
    let name = format!("login/{database}");
    if options.wants(&name) {
        let logins = |during| rig.runtime.block_on(all(during, |n| log_in_once(&rig.app, n)));
        options.compare(&figure(&name, 0.85), logins, |during| raw(threads, cost, during));
    }
    let name = format!("signup/{database}");
    if options.wants(&name) {
        let count = AtomicU32::new(0);
        let next = || count.fetch_add(1, Ordering::Relaxed);
        let signups = |during| rig.runtime.block_on(all(during, |_| sign_up(&rig.app, next())));
        options.compare(&figure(&name, 0.80), signups, |during| raw(threads, cost, during));
    }
}

async fn log_in_once(app: &App, n: usize) {
    log_in(app, n).await.unwrap();
}

/// Somebody new, as the handler would read them: the look at the password's strength is a part of it.
async fn sign_up(app: &App, n: u32) {
    let email = format!("somebody-{n}@example.org");
    let person = Signup {
        password: app.passwords.for_setting("tulip-Rakete-94-vorhang", &[&email]).unwrap(),
        email: EmailAddress::parse(&email).unwrap(),
        username: None,
        profile: serde_json::Map::new(),
        origin: origin(),
    };
    signup(app, person, None).await.unwrap();
}

/// Lets [`CLIENTS`] callers do `one` again and again for about so long; how many were done a second.
async fn all<F: Future<Output = ()>>(during: Duration, one: impl Fn(usize) -> F) -> f64 {
    let (start, until) = (Instant::now(), Instant::now() + during);
    let one = &one;
    let callers = (0..CLIENTS).map(|n| async move {
        let mut count = 0_u32;
        while Instant::now() < until {
            one(n).await;
            count += 1;
        }
        count
    });
    let count: u32 = join_all(callers).await.into_iter().sum();
    f64::from(count) / start.elapsed().as_secs_f64()
}

/// Nothing but hashes, one workbench a thread.
fn raw(threads: usize, cost: Cost, during: Duration) -> f64 {
    let work = || {
        let mut bench = Workbench::new(cost);
        bench.hash(b"tulip-Rakete-94-vorhang", [7; 16]).unwrap();
        let (start, mut count) = (Instant::now(), 0_u32);
        while start.elapsed() < during {
            bench.hash(b"tulip-Rakete-94-vorhang", [7; 16]).unwrap();
            count += 1;
        }
        f64::from(count) / start.elapsed().as_secs_f64()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}
