//! How the service stops (REL-04, F21): not ready first, what was begun is answered, jobs are handed back, exit 0; and
//! at once when it is told twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Tokens, log_in, refresh, register, sign_up};
use crate::support::database::TestDatabase;
use crate::support::invariants::assert_invariants;
use crate::support::process::{Client, Service};

const ANN: &str = "ann@example.org";

/// How many logins are on their way when the service is told to stop.
const LOGINS: usize = 10;

on_every_backend! {
    async fn rel_04_a_stop_under_load_fails_no_request(db: TestDatabase) {
        let mut service = Service::on(&db)
            .with("HTTP__DRAIN_DELAY", "1s")
            .with("PASSWORD__QUEUE_WAIT_MAX", "30s")
            .started()
            .await;
        let tokens = register(&service, ANN).await;
        let second = Tokens::of(&log_in(&service.client(), ANN).await.unwrap());
        let (goes_on, answers) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
        let mut load = JoinSet::new();
        for n in 0..3 {
            load.spawn(log_in_while(service.client(), Arc::clone(&goes_on), Arc::clone(&answers)));
            load.spawn(sign_up_while(service.client(), n, Arc::clone(&goes_on)));
        }
        for token in [tokens.refresh, second.refresh] {
            load.spawn(refresh_while(service.client(), token, Arc::clone(&goes_on)));
        }
        tokio::time::sleep(Duration::from_millis(400)).await;

        service.signal("TERM");
        let told = Instant::now();
        let client = service.client();
        while client.get("/health/ready", None).await.unwrap().status != 503 {
            assert!(told.elapsed() < Duration::from_millis(900), "ready until the end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // A balancer looks elsewhere from now on; who asks all the same is answered until listening stops.
        let before = answers.load(Ordering::SeqCst);
        while told.elapsed() < Duration::from_millis(700) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(answers.load(Ordering::SeqCst) > before, "nobody was served while it was draining");
        goes_on.store(false, Ordering::SeqCst);
        while let Some(ended) = load.join_next().await {
            ended.unwrap();
        }
        let status = service.ended(Duration::from_secs(10)).await;
        assert_eq!(status.code(), Some(0), "{}", service.stderr());
        assert!(told.elapsed() > Duration::from_secs(1), "the drain delay was cut short");
        assert_eq!(db.count("SELECT COUNT(*) FROM jobs WHERE state = 'running'").await, 0);
        assert_invariants(&db).await;
    }
}

async fn log_in_while(client: Client, goes_on: Arc<AtomicBool>, answers: Arc<AtomicU32>) {
    while goes_on.load(Ordering::SeqCst) {
        let answer = log_in(&client, ANN).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answers.fetch_add(1, Ordering::SeqCst);
    }
}

async fn sign_up_while(client: Client, n: u32, goes_on: Arc<AtomicBool>) {
    for i in 0.. {
        if !goes_on.load(Ordering::SeqCst) {
            return;
        }
        let answer = sign_up(&client, &format!("u{n}-{i}@example.org")).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text);
    }
}

async fn refresh_while(client: Client, mut token: String, goes_on: Arc<AtomicBool>) {
    while goes_on.load(Ordering::SeqCst) {
        token = Tokens::of(&refresh(&client, &token).await.unwrap()).refresh;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rel_04_what_was_begun_is_answered_after_either_signal() {
    for signal in ["TERM", "INT"] {
        let database = TestDatabase::sqlite().await;
        // Hashes that take so long that all logins have arrived before the second is answered.
        let mut service = Service::on(&database)
            .with("PASSWORD__HASH_THREADS", "1")
            .with("PASSWORD__ITERATIONS", "10")
            .with("PASSWORD__QUEUE_WAIT_MAX", "30s")
            .started()
            .await;
        register(&service, ANN).await;
        let mut logins = JoinSet::new();
        // Each on a connection of its own.
        let client = service.client().without_keep_alive();
        for _ in 0..LOGINS {
            let client = client.clone();
            logins.spawn(async move { log_in(&client, ANN).await.unwrap().status });
        }
        all_have_arrived(&service).await;
        service.signal(signal);
        let told = Instant::now();
        while let Some(status) = logins.join_next().await {
            assert_eq!(status.unwrap(), 200, "after SIG{signal}");
        }
        let status = service.ended(Duration::from_secs(10)).await;
        assert_eq!(status.code(), Some(0), "after SIG{signal}:\n{}", service.stderr());
        assert!(told.elapsed() < Duration::from_secs(10));
        assert_invariants(&database).await;
    }
}

/// Waits until one login is hashed, and most of the others queue behind it.
async fn all_have_arrived(service: &Service) {
    let (client, began) = (service.client(), Instant::now());
    // The probe is kept for a second; nobody has asked before.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let ready = client.get("/health/ready", None).await.unwrap();
    let queued = ready.body["checks"]["hashing"]["queued"].as_u64().unwrap();
    assert!(queued > 1, "{queued} of {LOGINS} logins wait after {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rel_04_a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM")] {
        let database = TestDatabase::sqlite().await;
        let mut service = Service::on(&database).with("HTTP__DRAIN_DELAY", "1m").started().await;
        service.signal(first);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(service.client().get("/health/live", None).await.unwrap().status, 200);
        service.signal(second);
        let told = Instant::now();
        let status = service.ended(Duration::from_secs(2)).await;
        assert_eq!(status.code(), Some(1), "{}", service.stderr());
        assert!(told.elapsed() < Duration::from_secs(2));
    }
}
