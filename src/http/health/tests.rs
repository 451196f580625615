//! Probes: once a second, all at once, and what makes an instance unready.

use std::sync::atomic::AtomicUsize;

use futures_util::future::join_all as all;
use serde_json::json;

use super::*;
use crate::http::testing::{frame, serve};
use crate::http::{ROWS_HEALTH, ROWS_METRICS};

fn probe(name: &'static str, is_critical: bool, status: Health) -> Probe {
    let ask = move || Box::pin(async move { Check::new(status) }) as Probing;
    Probe { name, is_critical, ask: Arc::new(ask) }
}

fn slow(name: &'static str, is_critical: bool, asked: &Arc<AtomicUsize>) -> Probe {
    let asked = Arc::clone(asked);
    let ask = move || {
        asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Check::new(Health::Ok).with("queue", 3)
        }) as Probing
    };
    Probe { name, is_critical, ask: Arc::new(ask) }
}

#[tokio::test]
async fn only_what_is_critical_makes_an_instance_unready() {
    use Health::{Degraded, Ok, Unavailable};
    for (is_critical, found, whole) in [
        (true, Ok, Ok),
        (true, Degraded, Degraded),
        (true, Unavailable, Unavailable),
        (false, Degraded, Degraded),
        (false, Unavailable, Degraded),
    ] {
        let probes = vec![probe("store", true, Ok), probe("other", is_critical, found)];
        let report = Readiness::new(probes).report().await;
        assert_eq!((report.status, report.checks["other"].status), (whole, found));
    }
}

#[tokio::test]
async fn http_18_however_many_ask_the_probes_run_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let readiness =
        Readiness::new(vec![slow("store", true, &asked), slow("hashing", false, &asked)]);
    let start = Instant::now();
    all((0..500).map(|_| readiness.report())).await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // Both together, not one after the other.
    assert!(start.elapsed() < Duration::from_millis(95), "{:?}", start.elapsed());
    tokio::time::sleep(KEPT_FOR).await;
    readiness.report().await;
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn probes_run_together() {
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let ask = move || {
        let both = Arc::clone(&both);
        Box::pin(async move {
            both.wait().await;
            Check::new(Health::Ok)
        }) as Probing
    };
    let ask: Arc<dyn Fn() -> Probing + Send + Sync> = Arc::new(ask);
    let probe = |name| Probe { name, is_critical: true, ask: Arc::clone(&ask) };
    let report = Readiness::new(vec![probe("store"), probe("keys")]).report().await;
    assert_eq!(report.status, Health::Ok);
}

#[tokio::test]
async fn a_probe_that_hangs_is_out_after_a_second() {
    let ask = || Box::pin(std::future::pending()) as Probing;
    let hangs = Probe { name: "store", is_critical: true, ask: Arc::new(ask) };
    let start = Instant::now();
    let report = Readiness::new(vec![hangs, probe("keys", true, Health::Ok)]).report().await;
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(report.status, Health::Unavailable);
    assert_eq!(report.checks["keys"].status, Health::Ok);
}

#[tokio::test]
async fn the_answer_has_states_and_numbers_and_says_when_it_stops() {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut frame = frame();
    frame.readiness = Arc::new(Readiness::new(vec![slow("store", true, &asked)]));
    let readiness = Arc::clone(&frame.readiness);
    let served = serve(frame, &[ROWS_HEALTH, ROWS_METRICS]).await;
    let live = served.get("/health/live").await;
    assert_eq!(live.json(), json!({"status": "ok"}));
    let ready = served.get("/health/ready").await;
    assert_eq!((ready.status, ready.header("content-type")), (200, Some("application/json")));
    assert_eq!(
        ready.json(),
        json!({"status": "ok", "checks": {"store": {"status": "ok", "queue": 3}}})
    );
    readiness.stop();
    let stopping = served.get("/health/ready").await;
    assert_eq!((stopping.status, stopping.header("content-type")), (503, Some("application/json")));
    assert_eq!(stopping.json()["status"], "unavailable");
    assert_eq!(served.get("/health/live").await.status, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
