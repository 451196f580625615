//! PWD-10: a new password is looked for in a list of stolen ones, which learns next to nothing and may be out.

use std::fs;
use std::time::{Duration, Instant};

use portcullis::crypto::sha1;
use serde_json::json;

use crate::support::clients::Answer;
use crate::support::database::TestDatabase;
use crate::support::process::Service;
use crate::support::serve::Served;
use crate::support::stranger::{Habit, Stranger, answer};

const STOLEN: &str = "tulip-Rakete-94-vorhang";
const OTHER: &str = "gravel-Umbrella-17-tin";

/// A range in which `stolen` stands so often, between others and padding.
fn range(stolen: &str, count: u32) -> String {
    let digest = sha1::hex(stolen.as_bytes());
    let (other, padding) = ("0".repeat(35), "F".repeat(35));
    format!("{other}:12\r\n{}:{count}\r\n{padding}:0\r\n", &digest[5..])
}

async fn served(database: TestDatabase, list: &Stranger) -> Served {
    let url = list.url("/range/");
    let written = [
        ("PASSWORD__BREACH_CHECK", "on"),
        ("PASSWORD__BREACH_URL", url.as_str()),
        ("OUTBOUND__ALLOW_NETWORKS", "127.0.0.0/8"),
    ];
    Served::start_with(database, &written).await
}

async fn sign_up(served: &Served, password: &str) -> Answer {
    let body = json!({ "email": "ann@example.org", "password": password });
    served.anyone().post("/v1/signup", body).await
}

/// How often a check ended so.
async fn checks(served: &Served, outcome: &str) -> u32 {
    let metrics = served.admin().get("/metrics").await.text;
    let series = format!("portcullis_breach_checks_total{{outcome=\"{outcome}\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
    count.map_or(0, |count| count.parse().unwrap())
}

on_every_backend! {
    async fn pwd_10_a_stolen_password_is_refused_and_the_list_sees_five_digits(db: TestDatabase) {
        let list = Stranger::answering("200 OK", "", &range(STOLEN, 3)).await;
        let served = served(db, &list).await;
        let refused = sign_up(&served, STOLEN).await;
        assert_eq!(refused.outcome(), (422, "validation_failed"));
        let fault = &refused.body["errors"][0];
        assert_eq!(fault["pointer"], "/password");
        assert_eq!(fault["code"], "password_too_common");
        let detail = fault["detail"].as_str().unwrap();
        assert!(detail.contains("data breach") && !detail.contains(STOLEN), "{detail}");
        assert_eq!(sign_up(&served, OTHER).await.status, 202);

        let seen = list.seen();
        assert_eq!(seen.len(), 2);
        for (request, password) in seen.iter().zip([STOLEN, OTHER]) {
            let digest = sha1::hex(password.as_bytes());
            let line = request.lines().next().unwrap();
            assert_eq!(line, format!("GET /range/{} HTTP/1.1", &digest[..5]));
            assert!(request.contains("\r\nadd-padding: true\r\n"), "{request}");
            let (upper, rest) = (request.to_uppercase(), &digest[5..]);
            let leaks = (0..=rest.len() - 6).any(|at| upper.contains(&rest[at..at + 6]));
            assert!(!leaks && !request.contains(password), "{request}");
            assert!(!request.contains("ann@"), "{request}");
        }
        // A weak one is refused here; nobody else learns that it was wished for.
        assert_eq!(sign_up(&served, "passwordpassword").await.status, 422);
        assert_eq!(list.connections(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pwd_10_padding_counts_for_nothing_and_off_asks_nobody() {
    let list = Stranger::answering("200 OK", "", &range(STOLEN, 0)).await;
    let served = served(TestDatabase::sqlite().await, &list).await;
    assert_eq!(sign_up(&served, STOLEN).await.status, 202);
    assert_eq!(list.connections(), 1);
    let off = Served::sqlite().await;
    assert!(off.app.app.breach_url.is_none());
    assert_eq!(sign_up(&off, STOLEN).await.status, 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pwd_10_a_list_that_is_out_closes_nothing() {
    let endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    let line = format!("{}:1\r\n", "0".repeat(35)).into_bytes();
    let habits = [
        (Habit::Tarpit, 1),
        (Habit::Resets, 2),
        (Habit::Answers(answer("500 Out", "", "")), 2),
        (Habit::Answers(answer("429 Often", "retry-after: 60\r\n", "")), 1),
        (Habit::Answers(answer("404 No", "", &range(STOLEN, 3))), 1),
        (Habit::Answers(answer("302 Found", "location: /elsewhere\r\n", "")), 1),
        (Habit::Answers(answer("200 OK", "", "<html>sorry</html>")), 1),
        (Habit::Answers(answer("200 OK", "", "")), 1),
        (Habit::Endless(endless, line), 1),
    ];
    for (habit, tries) in habits {
        let list = Stranger::start(habit).await;
        let served = served(TestDatabase::sqlite().await, &list).await;
        let (before, begun) = (checks(&served, "unknown").await, Instant::now());
        let taken = sign_up(&served, STOLEN).await;
        assert_eq!(taken.status, 202, "{taken:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert!(checks(&served, "unknown").await > before, "told by a metric");
        assert_eq!(list.connections(), tries);
        // LOG-09. Dependencies and outcomes are words of ours; who was called is not among them.
        let metrics = served.admin().get("/metrics").await.text;
        let ours: Vec<_> =
            metrics.lines().filter(|line| line.starts_with("portcullis_outbound_")).collect();
        assert!(
            !ours.is_empty() && ours.iter().all(|line| !line.contains("127.0.0.1")),
            "{ours:?}"
        );
        let labels = |line: &&str| line.contains("dependency=\"breach_list\"");
        assert!(ours.iter().all(labels), "{ours:?}");
    }
    let served = Served::sqlite().await;
    let metrics = served.admin().get("/metrics").await.text;
    for series in [
        "portcullis_outbound_calls_total{dependency=\"breach_list\",outcome=\"timed_out\"} ",
        "portcullis_outbound_calls_total{dependency=\"breach_list\",outcome=\"failed\"} ",
        "portcullis_outbound_calls_total{dependency=\"breach_list\",outcome=\"answered\"} ",
        "portcullis_outbound_retries_total{dependency=\"breach_list\"} ",
        "portcullis_outbound_given_up_total{dependency=\"breach_list\"} ",
        "portcullis_outbound_wait_seconds_count{dependency=\"breach_list\"} ",
    ] {
        assert!(metrics.contains(series), "{series}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whk_12_proxies_of_the_environment_are_not_used_and_operators_are_checked_too() {
    let list = Stranger::answering("200 OK", "", &range(STOLEN, 3)).await;
    let proxy = Stranger::answering("200 OK", "", "").await;
    let mut service = Service::bare()
        .with("PASSWORD__BREACH_CHECK", "on")
        .with("PASSWORD__BREACH_URL", &list.url("/range/"))
        .with("OUTBOUND__ALLOW_NETWORKS", "127.0.0.1");
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"] {
        service = service.with_variable(name, &proxy.url(""));
    }
    let file = service.folder().join("password");
    fs::write(&file, STOLEN).unwrap();
    let create = ["users", "create", "ann@example.org", "--password-stdin"];
    let ended = service.run(&create, Some(&file));
    assert_eq!(ended.code, Some(65), "{ended:?}");
    assert!(ended.stderr.contains("data breach"), "{ended:?}");
    assert_eq!((list.connections(), proxy.connections()), (1, 0));
    fs::write(&file, OTHER).unwrap();
    assert_eq!(service.run(&create, Some(&file)).code, Some(0));

    let closed = Service::bare()
        .with("PASSWORD__BREACH_CHECK", "on")
        .with("PASSWORD__BREACH_URL", "https://10.0.0.1/range/");
    let ended = closed.run(&["users", "list"], None);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(ended.stderr.contains("password.breach_url"), "{ended:?}");
}
