//! When the database does not answer: 503 in time, nothing half done, and what needs no database goes on (HTTP-13,
//! HTTP-18, REL-06). Metrics and health stand here too: operators look at them then.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{PASSWORD, register};
use crate::support::app::Person;
use crate::support::clients::{Answer, Client};
use crate::support::database::TestDatabase;
use crate::support::proxy::{Mode, Proxy};
use crate::support::serve::Served;

const SHORT: [(&str, &str); 1] = [("HTTP__REQUEST_TIMEOUT", "1s")];

/// A 503 that says when to come back.
#[track_caller]
fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.outcome(), (503, "unavailable"), "{answer:?}");
    let pause: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&pause), "{pause}");
}

/// Everything that needs the users, of a client that is ready for faults.
async fn assert_all_unavailable(anyone: &Client, access: &str, refresh: &str) {
    let begun = Instant::now();
    let signup = json!({ "email": "new@example.org", "password": PASSWORD });
    assert_unavailable(&anyone.post("/v1/signup", signup).await);
    let login = json!({ "identifier": "ann@example.org", "password": PASSWORD });
    assert_unavailable(&anyone.post("/v1/login", login).await);
    let body = json!({ "refresh_token": refresh });
    assert_unavailable(&anyone.post("/v1/token/refresh", body).await);
    assert_unavailable(&anyone.with_token(access).get("/v1/me").await);
    let patch = json!({ "username": "late" });
    assert_unavailable(&anyone.with_token(access).patch("/v1/me", "*", patch).await);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

async fn counts(served: &Served) -> Vec<i64> {
    let mut raw = served.app.database.raw().await;
    vec![
        raw.count("SELECT count(*) FROM users").await,
        raw.count("SELECT count(*) FROM sessions").await,
        raw.count("SELECT count(*) FROM refresh_tokens").await,
        raw.count("SELECT count(*) FROM jobs").await,
        raw.count("SELECT count(*) FROM events").await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_13_a_locked_table_is_503_in_time_and_leaves_nothing() {
    let Some(db) = TestDatabase::postgres().await else { return };
    let served = Served::start_with(db, &SHORT).await;
    let ann = register(&served, "ann@example.org").await;
    let before = counts(&served).await;
    let mut other = served.app.database.raw().await;
    other.execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let anyone = served.anyone().expecting_faults();
    assert_all_unavailable(&anyone, &ann.access_token, ann.refresh_token.expose()).await;
    other.execute("ROLLBACK").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(counts(&served).await, before);
    served.app.assert_invariants().await;
    // And all is well again, with the same tokens.
    assert_eq!(served.user(&ann).get("/v1/me").await.status, 200);
    let body = json!({ "refresh_token": ann.refresh_token.expose() });
    assert_eq!(served.anyone().post("/v1/token/refresh", body).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_13_a_locked_file_is_503_in_time_and_reading_goes_on() {
    let served = Served::start_with(TestDatabase::sqlite().await, &SHORT).await;
    let ann = register(&served, "ann@example.org").await;
    let before = counts(&served).await;
    let mut other = served.app.database.raw().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let anyone = served.anyone().expecting_faults();
    let signup = json!({ "email": "new@example.org", "password": PASSWORD });
    let begun = Instant::now();
    assert_unavailable(&anyone.post("/v1/signup", signup.clone()).await);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(served.user(&ann).get("/v1/me").await.status, 200);
    other.execute("ROLLBACK").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(counts(&served).await, before);
    assert_eq!(served.anyone().post("/v1/signup", signup).await.status, 202);
    served.app.assert_invariants().await;
}

/// What verifiers need, and that the process is there, whatever the database does.
async fn assert_verifiers_are_served(served: &Served) {
    for path in [
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/health/live",
        "/openapi.json",
    ] {
        assert_eq!(served.anyone().get(path).await.status, 200, "{path}");
    }
    assert_eq!(served.admin().get("/metrics").await.status, 200);
}

/// `/health/ready` of a listener, as soon as it has this status.
async fn ready(client: &Client, status: u16) -> Value {
    let begun = Instant::now();
    loop {
        let answer = client.get("/health/ready").await;
        if answer.status == status {
            return answer.body;
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rel_06_without_postgres_verifiers_are_served_and_the_instance_is_not_ready() {
    let Some(db) = TestDatabase::postgres().await else { return };
    let (postgres, name) = db.server();
    let proxy = Proxy::start(postgres.socket()).await;
    let url = proxy.url(name);
    let written = [SHORT[0], ("STORE__URL", url.as_str())];
    let served = Served::start_with(db, &written).await;
    let ann = register(&served, "ann@example.org").await;
    let (anyone, admin) = (served.anyone().expecting_faults(), served.admin().expecting_faults());
    ready(&anyone, 200).await;
    for mode in [Mode::Cut, Mode::Hold] {
        proxy.set(mode);
        assert_all_unavailable(&anyone, &ann.access_token, ann.refresh_token.expose()).await;
        for client in [&anyone, &admin] {
            let report = ready(client, 503).await;
            assert_eq!(report["status"], "unavailable");
            assert_eq!(report["checks"]["store"]["status"], "unavailable");
            assert_eq!(report["checks"]["keys"]["status"], "ok");
        }
        assert_verifiers_are_served(&served).await;
        proxy.set(Mode::Pass);
        ready(&anyone, 200).await;
        ready(&admin, 200).await;
        assert_eq!(served.user(&ann).get("/v1/me").await.status, 200);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    served.app.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rel_06_a_database_without_its_tables_is_not_ready() {
    let served = Served::start_with(TestDatabase::sqlite().await, &SHORT).await;
    let (anyone, admin) = (served.anyone().expecting_faults(), served.admin().expecting_faults());
    ready(&anyone, 200).await;
    served.app.database.execute("DROP TABLE _sqlx_migrations").await;
    for client in [&anyone, &admin] {
        let report = ready(client, 503).await;
        assert_eq!(report["checks"]["store"]["status"], "unavailable");
    }
    assert_verifiers_are_served(&served).await;
}

on_every_backend! {
    async fn health_tells_states_and_numbers_on_both_listeners(db: TestDatabase) {
        let served = Served::start(db).await;
        served.app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        for client in [served.anyone(), served.admin()] {
            let live = client.get("/health/live").await;
            assert_eq!(live.text, r#"{"status":"ok"}"#);
            let ready = client.get("/health/ready").await;
            assert_eq!((ready.status, ready.header("content-type")), (200, Some("application/json")));
            let checks = &ready.body["checks"];
            let expected = json!({
                "status": "ok",
                "checks": {
                    "store": {
                        "status": "ok",
                        "connections": checks["store"]["connections"],
                        "idle": checks["store"]["idle"],
                        "max": checks["store"]["max"],
                    },
                    "keys": { "status": "ok", "published": 2 },
                    "hashing": {
                        "status": "ok", "queued": 0, "queue_max": checks["hashing"]["queue_max"],
                    },
                    "outbox": { "status": "ok", "backlog": 1, "oldest_due_s": 0 },
                },
            });
            assert_eq!(ready.body, expected);
            let numbers = ["connections", "idle", "max"].map(|name| checks["store"][name].as_i64());
            assert!(numbers.iter().all(Option::is_some), "{checks}");
        }
    }
}

#[tokio::test]
async fn http_09_metrics_are_the_operators_alone_and_name_nobody() {
    let served = Served::sqlite().await;
    let ann = Person::new("ann-canary@example.org").named("canary-name");
    let tokens = served.app.register(&ann).await;
    let client = served.user(&tokens);
    assert_eq!(client.get("/v1/me").await.status, 200);
    assert_eq!(client.get("/v1/canary-path?canary=query").await.status, 404);
    assert_eq!(client.ask("BREWCANARY", "/v1/me").send().await.status, 405);
    let path = format!("/v1/me/sessions/{}", tokens.session_id);
    assert_eq!(client.delete(&path).await.status, 204);
    assert_eq!(client.get("/metrics").await.outcome(), (404, "not_found"));

    let metrics = served.admin().get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    for name in [
        "portcullis_http_requests_total{",
        "portcullis_http_request_duration_seconds",
        "portcullis_hash_queue_max",
        "portcullis_store_connections_max",
        "portcullis_keys_published",
        "route=\"/v1/me\"",
        "route=\"/v1/me/sessions/{id}\"",
        "route=\"unmatched\"",
        "method=\"OTHER\"",
    ] {
        assert!(metrics.text.contains(name), "{name}: {}", metrics.text);
    }
    let secrets = [
        "canary",
        "CANARY",
        &tokens.access_token,
        tokens.refresh_token.expose(),
        &tokens.session_id.to_string(),
    ];
    for secret in secrets {
        assert!(!metrics.text.contains(secret), "{secret}");
    }
    // The listener for operators has no call of the public one.
    for path in ["/v1/me", "/v1/login", "/v1/signup", "/.well-known/jwks.json"] {
        assert_eq!(served.admin().get(path).await.outcome(), (404, "not_found"), "{path}");
    }
}
