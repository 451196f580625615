//! Headers, hosts, methods, ids, deadlines, panics, late refusals, logs and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_web::{HttpRequest, web};

use crate::deadline;
use crate::domain::ids::SessionId;
use crate::fault::Fault;
use crate::http::answer::Json;
use crate::http::context::Client;
use crate::http::problem::Problem;
use crate::http::routes::{Row, Verb};
use crate::http::testing::{Answer, Served, frame, keep_log, logged, serve};
use crate::http::{ROWS_DOCS, ROWS_HEALTH, ROWS_METRICS, bearer, path};
use crate::telemetry::metrics;

static FINISHED: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

async fn slow() -> Json<bool> {
    let _dropped = Dropped;
    tokio::time::sleep(Duration::from_mins(1)).await;
    FINISHED.fetch_add(1, Ordering::SeqCst);
    Json(true)
}

async fn who(client: Client) -> Json<(String, Option<String>, bool)> {
    let has_deadline = deadline::current().is_some();
    Json((client.address.to_string(), client.user_agent, has_deadline))
}

async fn item(request: HttpRequest) -> Result<Json<SessionId>, Problem> {
    bearer::required(&request)?;
    path::id(&request, "id").map(Json)
}

async fn panics() -> Json<bool> {
    let empty: [u8; 0] = [];
    Json(empty.iter().max().expect("a canary of a panic") == &0)
}

async fn faulty() -> Result<Json<bool>, Problem> {
    Err(Fault::internal("canary of a cause").into())
}

async fn foreign() -> actix_web::Result<Json<bool>> {
    Err(actix_web::error::ErrorBadRequest("canary of the framework"))
}

async fn busy() -> Result<Json<bool>, Problem> {
    Err(Fault::overloaded("the queue is full").into())
}

const ROWS: &[Row] = &[
    Row::new(Verb::Get, "/slow", || web::route().to(slow), &[]),
    Row::new(Verb::Get, "/who", || web::route().to(who), &[]),
    Row::new(Verb::Get, "/item/{id}", || web::route().to(item), &[]),
    Row::new(Verb::Delete, "/item/{id}", || web::route().to(item), &[]),
    Row::new(Verb::Post, "/panic", || web::route().to(panics), &[]),
    Row::new(Verb::Post, "/fault", || web::route().to(faulty), &[]),
    Row::new(Verb::Get, "/foreign", || web::route().to(foreign), &[]),
    Row::new(Verb::Get, "/busy", || web::route().to(busy), &[]),
];

async fn served() -> Served {
    keep_log();
    let mut frame = frame();
    frame.settings.request_timeout = Duration::from_millis(300);
    frame.render_metrics = Arc::new(|| "metric 1\n".to_owned());
    serve(frame, &[ROWS, ROWS_HEALTH, ROWS_DOCS, ROWS_METRICS]).await
}

fn problem(answer: &Answer) -> (u16, String) {
    answer.problem()
}

#[tokio::test]
async fn http_02_http_03_http_10_every_answer_has_the_headers_of_the_contract() {
    let served = served().await;
    let token = "Authorization: Bearer good\r\n";
    let plain = "default-src 'none'; frame-ancestors 'none'";
    for (status, method, path, headers) in [
        (200, "GET", "/who", ""),
        (200, "HEAD", "/who", ""),
        (200, "GET", "/health/live", ""),
        (200, "GET", "/health/ready", ""),
        (200, "GET", "/openapi.json", ""),
        (200, "GET", "/metrics", ""),
        (308, "GET", "/docs", ""),
        (400, "GET", "/foreign", ""),
        (401, "GET", "/item/1", ""),
        (404, "GET", "/item/1", token),
        (404, "GET", "/nowhere", ""),
        (405, "PATCH", "/who", ""),
        (405, "TRACE", "/nowhere", ""),
        (422, "GET", "/health/live?x=1", ""),
        (500, "POST", "/panic", ""),
        (500, "POST", "/fault", ""),
        (503, "GET", "/slow", ""),
        (503, "GET", "/busy", ""),
    ] {
        let answer = served.ask(method, path, headers).await;
        assert_eq!(answer.status, status, "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", plain),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("x-request-id").is_some(), "{path}");
        assert_eq!(answer.header("server"), None, "{path}");
        if status >= 400 {
            assert_eq!(problem(&answer).0, status, "{path}");
        }
    }
}

#[tokio::test]
async fn http_07_a_wrong_method_is_405_with_allow_and_head_goes_where_get_goes() {
    let served = served().await;
    for method in ["POST", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"] {
        let answer = served.ask(method, "/item/1", "").await;
        assert_eq!(problem(&answer), (405, "method_not_allowed".to_owned()), "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, DELETE"), "{method}");
    }
    assert_eq!(served.get("/panic").await.header("allow"), Some("POST"));
    assert_eq!(served.ask("HEAD", "/panic", "").await.status, 405);
    let (get, head) = (served.get("/who").await, served.ask("HEAD", "/who", "").await);
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert_eq!((head.status, get.body.len() > 10), (200, true));
    for path in ["/who/", "/Who", "//who", "/who/x", "/", "/docs/nothing.js", "/item/"] {
        let answer = served.get(path).await;
        assert_eq!(problem(&answer), (404, "not_found".to_owned()), "{path}");
    }
    let trace = served.ask("TRACE", "/nowhere", "").await;
    assert_eq!((trace.status, trace.header("allow")), (405, Some("")));
    assert_eq!(
        served
            .send("CONNECT id.example.org:443 HTTP/1.1\r\nHost: id.example.org\r\n\r\n")
            .await
            .status,
        405
    );
}

#[tokio::test]
async fn http_08_foreign_hosts_are_misdirected_and_health_is_exempt() {
    let served = served().await;
    let ask = |host: String, path: &'static str| {
        let raw = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let served = &served;
        async move { served.send(raw).await }
    };
    for host in ["evil.test", "10.0.0.1", "id.example.org.evil.test", &"a".repeat(300)] {
        let answer = ask(host.to_owned(), "/who").await;
        assert_eq!(problem(&answer), (421, "host_unknown".to_owned()), "{host}");
        assert_eq!(ask(host.to_owned(), "/health/live").await.status, 200);
        assert_eq!(ask(host.to_owned(), "/health/ready").await.status, 200);
    }
    for host in ["ID.example.org", "id.example.org:8443", "127.0.0.1:1"] {
        assert_eq!(ask(host.to_owned(), "/who").await.status, 200, "{host}");
    }
    assert_eq!(problem(&ask(String::new(), "/who").await).0, 400);
    let none = served.send("GET /who HTTP/1.0\r\n\r\n").await;
    assert_eq!(problem(&none), (400, "malformed_request".to_owned()));
    let absolute = "GET http://evil.test/who HTTP/1.1\r\nHost: id.example.org\r\n\r\n";
    assert_eq!(served.send(absolute).await.status, 421);
    let forwarded = "Host: id.example.org\r\nX-Forwarded-Host: id.example.org\r\n";
    let raw = format!("GET /who HTTP/1.1\r\n{}\r\n", forwarded.replacen("id.", "evil.", 1));
    assert_eq!(served.send(raw).await.status, 421);
}

#[tokio::test]
async fn http_11_a_request_id_is_taken_in_its_alphabet_only() {
    let served = served().await;
    let longest = "a".repeat(64);
    for good in ["A-b_c.9", &longest] {
        let answer = served.ask("GET", "/who", &format!("X-Request-Id: {good}\r\n")).await;
        assert_eq!(answer.header("x-request-id"), Some(good));
    }
    for bad in ["", "a b", "é", "a/b", "a,b", &"a".repeat(65), &"a".repeat(10_000)] {
        let answer = served.ask("GET", "/who", &format!("X-Request-Id: {bad}\r\n")).await;
        assert!(answer.header("x-request-id").unwrap().starts_with("made-"), "{bad}");
    }
    let escape = served.ask("GET", "/who", "X-Request-Id: \x1b[31m\r\n").await;
    assert_eq!((escape.status, escape.header("x-request-id")), (400, None));
    let two = served.ask("GET", "/nowhere", "X-Request-Id: one\r\nX-Request-Id: two\r\n").await;
    assert_eq!(two.json()["request_id"], "one");
}

#[tokio::test]
async fn http_13_a_request_over_its_deadline_is_503_and_its_handler_is_dropped() {
    let served = served().await;
    let start = Instant::now();
    let answer = served.get("/slow").await;
    assert_eq!(problem(&answer), (503, "unavailable".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!((300..3000).contains(&start.elapsed().as_millis()));
    assert!(DROPPED.load(Ordering::SeqCst) > 0);
    assert_eq!(FINISHED.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn http_14_a_broken_authorization_is_never_a_fault() {
    let served = served().await;
    let long = format!("Bearer {}", "a".repeat(16 * 1024));
    for (value, code) in [
        ("Basic YTpi", "authentication_required"),
        ("Bearer", "authentication_required"),
        ("Bearer  good", "access_token_invalid"),
        ("Bearer \u{e9}", "access_token_invalid"),
        (&long, "access_token_invalid"),
    ] {
        let headers = format!("Authorization: {value}\r\n");
        let answer = served.ask("GET", "/item/1", &headers).await;
        assert_eq!(problem(&answer), (401, code.to_owned()), "{code}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert_eq!(challenge.contains("invalid_token"), code == "access_token_invalid");
    }
    let two = "Authorization: Bearer a\r\nAuthorization: Bearer a\r\n";
    assert_eq!(served.ask("GET", "/item/1", two).await.problem().0, 400);
    let id = "/item/018f4f5e-7b1c-7cc3-9f3a-0123456789ab";
    assert_eq!(served.ask("GET", id, "authorization: bearer good\r\n").await.status, 200);
}

#[tokio::test]
async fn http_15_a_panic_is_one_500_that_tells_nothing_and_is_logged_once() {
    let served = served().await;
    for (path, canary) in [("/panic", "canary of a panic"), ("/fault", "canary of a cause")] {
        let id = format!("once{}", path.replace('/', "-"));
        let answer = served.ask("POST", path, &format!("X-Request-Id: {id}\r\n")).await;
        assert_eq!(problem(&answer), (500, "internal".to_owned()));
        assert!(!String::from_utf8(answer.body).unwrap().contains("canary"));
        let lines = logged(&id);
        assert_eq!(lines.iter().filter(|line| line.contains(canary)).count(), 1, "{lines:#?}");
    }
    assert_eq!(served.get("/who").await.status, 200);
    let foreign = served.get("/foreign").await;
    assert!(!String::from_utf8(foreign.body).unwrap().contains("canary"));
}

#[tokio::test]
async fn overloaded_is_said_late() {
    let served = served().await;
    let start = Instant::now();
    let answer = served.get("/busy").await;
    assert_eq!(problem(&answer), (503, "overloaded".to_owned()));
    assert!(start.elapsed() >= Duration::from_millis(250));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn bru_04_the_client_is_the_peer_of_the_socket() {
    let served = served().await;
    let headers =
        "X-Forwarded-For: 203.0.113.7\r\nForwarded: for=203.0.113.7\r\nUser-Agent: ua\r\n";
    let answer = served.ask("GET", "/who", headers).await;
    assert_eq!(answer.json(), serde_json::json!(["127.0.0.1", "ua", true]));
}

#[tokio::test]
async fn log_08_an_access_line_has_the_pattern_and_no_values() {
    let served = served().await;
    let headers = "X-Request-Id: lines-1\r\nAuthorization: Bearer canarytoken\r\n";
    served.ask("GET", "/item/canarypath?token=canaryquery", headers).await;
    let lines = logged("lines-1");
    let access: Vec<_> = lines.iter().filter(|line| line.contains("portcullis::access")).collect();
    assert_eq!(access.len(), 1, "{lines:#?}");
    for part in [r#""http.route":"/item/{id}""#, r#""http.status":404"#, r#""http.method":"GET""#] {
        assert!(access[0].contains(part), "{part} in {access:?}");
    }
    assert!(!lines.concat().contains("canary"), "{lines:#?}");
}

#[tokio::test]
async fn log_09_metric_labels_are_bounded() {
    metrics::install();
    let served = served().await;
    for number in 0..5 {
        served.ask("BREW", &format!("/canary/{number}"), "").await;
        served.get(&format!("/item/canary-{number}")).await;
    }
    let text = metrics::render();
    for series in [
        r#"portcullis_http_requests_total{method="OTHER",route="unmatched",status="404"} 5"#,
        r#"portcullis_http_requests_total{method="GET",route="/item/{id}",status="401"}"#,
        r#"portcullis_http_request_duration_seconds_count{route="unmatched"}"#,
    ] {
        assert!(text.contains(series), "{series} in {text}");
    }
    assert!(!text.contains("canary"), "{text}");
}
