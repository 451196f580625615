//! Webhooks of the real binary: libraries of other hands take its messages, kills lose none, and bad receivers delay
//! neither a good one nor a login (F24, F25, I8).

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis::crypto::random::Random;
use portcullis::crypto::webhook::WebhookSecret;
use serde_json::{Value, json};

use super::foreign::{ask, path_in};
use super::{log_in, register, sign_up};
use crate::jobs::webhooks::LOOPBACK;
use crate::support::clients::plain_http;
use crate::support::database::TestDatabase;
use crate::support::process::{Service, free_address};
use crate::support::receiver::{Mode, Receiver, Seen};

fn on(database: &TestDatabase) -> Service {
    let service = Service::on(database).with("JOBS__POLL_INTERVAL", "100ms");
    LOOPBACK.into_iter().fold(service, |service, (key, value)| service.with(key, value))
}

/// Makes an endpoint by the command line.
fn create(service: &Service, url: &str, event: &str) -> Value {
    let made = service.run(&["webhooks", "create", url, "--event", event, "--json"], None);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    serde_json::from_str(&made.stdout).unwrap()
}

fn message(secret: &str, seen: &Seen) -> Value {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<String, Value> =
        names.into_iter().map(|name| (name.to_owned(), json!(seen.header(name)))).collect();
    json!({ "secret": secret, "headers": headers, "body": seen.body })
}

fn altered(message: &Value, pointer: &str, value: &str) -> Value {
    let mut altered = message.clone();
    *altered.pointer_mut(pointer).unwrap() = json!(value);
    altered
}

/// The programs that are there, ready to be asked.
fn libraries() -> Vec<(&'static str, Command)> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/binary");
    let mut programs = Vec::new();
    if let Some(python) = path_in("TEST_PYTHON", "standardwebhooks") {
        let mut program = Command::new(python);
        program.arg(scripts.join("webhook.py"));
        programs.push(("Python", program));
    }
    if let Some(modules) = path_in("TEST_NODE_MODULES", "standardwebhooks") {
        let mut program = Command::new("node");
        program.arg(scripts.join("webhook.mjs")).env("TEST_NODE_MODULES", modules);
        programs.push(("JavaScript", program));
    }
    programs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whk_01_libraries_of_other_hands_take_our_messages_and_no_altered_ones() {
    let database = TestDatabase::sqlite().await;
    let service = on(&database).with("TELEMETRY__LOG_LEVEL", "trace").started().await;
    let receiver = Receiver::start(Mode::good()).await;
    let url = format!("{}/canary-path?canary=1", receiver.url());
    let made = create(&service, &url, "*");
    let (id, old) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap().to_owned());
    sign_up(&service.client(), "canary@example.org").await.unwrap();
    let first = message(&old, &receiver.wait_for(1).await[0]);
    let rotated = service.run(&["webhooks", "rotate-secret", id, "--json"], None);
    let rotated: Value = serde_json::from_str(&rotated.stdout).unwrap();
    let new = rotated["secret"].as_str().unwrap();
    sign_up(&service.client(), "bob@example.org").await.unwrap();
    let second = receiver.wait_for(2).await[1].clone();

    let timestamp = first["headers"]["webhook-timestamp"].as_str().unwrap().to_owned();
    let seconds: i64 = timestamp.parse().unwrap();
    let (id_of_first, body) =
        (first["headers"]["webhook-id"].as_str().unwrap(), first["body"].as_str().unwrap());
    let foreign = WebhookSecret::generate(&Random::system());
    let replay = {
        // What was sent ten minutes ago, rightly signed then.
        use base64::Engine;
        let key =
            base64::prelude::BASE64_STANDARD.decode(old.strip_prefix("whsec_").unwrap()).unwrap();
        let signature =
            WebhookSecret::from_bytes(&key).unwrap().sign(id_of_first, seconds - 600, body);
        let aged = altered(&first, "/headers/webhook-timestamp", &(seconds - 600).to_string());
        altered(&aged, "/headers/webhook-signature", &signature)
    };
    let cases = [
        (first.clone(), "taken user.created"),
        (message(&old, &second), "taken user.created"),
        (message(new, &second), "taken user.created"),
        (altered(&first, "/body", &body.replace("created", "deleted")), "refused"),
        (altered(&first, "/headers/webhook-id", second.id()), "refused"),
        (altered(&first, "/headers/webhook-timestamp", &(seconds - 1).to_string()), "refused"),
        (
            altered(&first, "/headers/webhook-signature", second.header("webhook-signature")),
            "refused",
        ),
        (altered(&first, "/secret", &foreign.to_text()), "refused"),
        (replay, "refused"),
    ];
    let lines: Vec<String> = cases.iter().map(|(message, _)| message.to_string()).collect();
    let lines: Vec<&String> = lines.iter().collect();
    for (name, program) in libraries() {
        let said = ask(program, &lines);
        let expected: Vec<&str> = cases.iter().map(|(_, outcome)| *outcome).collect();
        assert_eq!(said, expected, "{name}");
    }
    let log = service.stderr();
    for secret in ["whsec_", &old[6..], &new[6..], "canary-path", "canary=1"] {
        assert!(!log.contains(secret), "LOG-03: {secret}");
    }
}

on_every_backend! {
    async fn whk_02_a_kill_in_the_middle_of_a_delivery_sends_it_again_with_the_same_id(db: TestDatabase) {
        let mut service = on(&db).with("WEBHOOKS__TIMEOUT", "500ms");
        service.start().await;
        let receiver = Receiver::start(Mode::Tarpit).await;
        create(&service, &receiver.url(), "user.created");
        sign_up(&service.client(), "ann@example.org").await.unwrap();
        receiver.wait_for(1).await;
        service.kill9();
        receiver.answer(Mode::good());
        service.start().await;
        let seen = receiver.wait_for(2).await;
        assert_eq!((seen[0].id(), &seen[0].body), (seen[1].id(), &seen[1].body));
        let known = db.raw().await.texts((
            "SELECT lower(hex(id)) FROM events WHERE action = 'user.created'",
            "SELECT replace(id::text, '-', '') FROM events WHERE action = 'user.created'",
        )).await;
        assert_eq!(known, [seen[0].id().replace('-', "")]);
    }

    async fn whk_02_no_kill_loses_an_event_and_none_tells_of_what_was_not_done(db: TestDatabase) {
        let mut service = on(&db).with("WEBHOOKS__TIMEOUT", "500ms");
        service.start().await;
        let receiver = Receiver::start(Mode::Slow(Duration::from_millis(20))).await;
        create(&service, &receiver.url(), "user.created");
        let random = Random::system();
        // On a machine that is busy with other things a round may see no signup at all.
        for round in 0.. {
            let client = service.client();
            let load = async {
                for n in 0.. {
                    if sign_up(&client, &format!("user{n}r{round}@example.org")).await.is_err() {
                        return;
                    }
                }
            };
            let life = Duration::from_millis(150) + random.jitter(Duration::from_millis(300));
            drop(tokio::time::timeout(life, load).await);
            service.kill9();
            service.start().await;
            let users = db.count("SELECT COUNT(*) FROM users").await;
            if round >= 7 && users >= 6 {
                break;
            }
            assert!(round < 60, "{users} users");
        }
        let waiting = "SELECT COUNT(*) FROM webhook_messages WHERE state <> 'delivered'";
        let began = Instant::now();
        while db.count(waiting).await > 0 {
            assert!(began.elapsed() < Duration::from_secs(30), "messages are left:\n{}", service.stderr());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(service.terminate().await.success());
        // I8: each committed event under its id, and nothing else.
        let told: BTreeSet<String> = receiver.seen().iter().map(|seen| seen.id().replace('-', "")).collect();
        let known: BTreeSet<String> = db.raw().await.texts((
            "SELECT lower(hex(id)) FROM events WHERE action = 'user.created'",
            "SELECT replace(id::text, '-', '') FROM events WHERE action = 'user.created'",
        )).await.into_iter().collect();
        assert_eq!(told, known);
        let users = db.count("SELECT COUNT(*) FROM users").await;
        assert_eq!(i64::try_from(known.len()).unwrap(), users, "no user without event, no event without user");
    }

    async fn whk_10_ninety_nine_bad_receivers_delay_neither_a_good_one_nor_a_login(db: TestDatabase) {
        let admin = free_address();
        let service = on(&db).with("ADMIN__LISTEN", &admin.to_string()).started().await;
        register(&service, "ann@example.org").await;
        let made = service.run(&["users", "list", "--json"], None);
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        db.execute("INSERT INTO user_roles (user_id, role, granted_at) SELECT id, 'admin', created_at FROM users").await;
        let client = service.client();
        let token = log_in(&client, "ann@example.org").await.unwrap().text("access_token");
        let before = median(&log_ins(&service, 15).await);

        let mut receivers = Vec::new();
        for n in 0..99 {
            let way = [Mode::Tarpit, Mode::status(500), Mode::Reset][n % 3].clone();
            receivers.push(Receiver::start(way).await);
        }
        // In the middle, so that neither end of any order is good to it.
        receivers.insert(50, Receiver::start(Mode::good()).await);
        let http = plain_http().build().unwrap();
        for receiver in &receivers {
            let body = json!({ "url": receiver.url(), "events": ["session.started"] });
            let made = http.post(format!("http://{admin}/admin/v1/webhooks")).bearer_auth(&token).json(&body);
            assert_eq!(made.send().await.unwrap().status(), 201);
        }
        let good = &receivers[50];
        // More than one wave, so that every tarpit has all its places full.
        let mut took = Vec::new();
        for wave in 1..=5 {
            took.extend(log_ins(&service, 3).await);
            let logged_in = tokio::time::Instant::now();
            let seen = good.wait_for(3 * wave).await;
            let late = seen.last().unwrap().at.saturating_duration_since(logged_in);
            assert!(late < Duration::from_secs(5), "wave {wave}: {late:?}");
            assert!(logged_in.elapsed() < Duration::from_secs(5), "wave {wave}: {:?}", logged_in.elapsed());
        }
        let held = receivers.iter().filter(|receiver| receiver.connections() > 0).count();
        assert_eq!(held, 100, "everybody was called");
        let after = median(&took);
        assert!(after < before * 4 + Duration::from_millis(150), "a login took {before:?}, now {after:?}");
    }
}

/// How long so many logins took, each.
async fn log_ins(service: &Service, count: usize) -> Vec<Duration> {
    let client = service.client();
    let mut took = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        assert_eq!(log_in(&client, "ann@example.org").await.unwrap().status, 200);
        took.push(began.elapsed());
    }
    took
}

fn median(all: &[Duration]) -> Duration {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whk_12_no_proxy_of_the_environment_is_used() {
    let database = TestDatabase::sqlite().await;
    let proxy = Receiver::start(Mode::good()).await;
    let address = format!("http://127.0.0.1:{}", proxy.port());
    let names =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let service = names
        .into_iter()
        .fold(on(&database), |service, name| service.with_variable(name, &address));
    let service = service.started().await;
    let receiver = Receiver::start(Mode::good()).await;
    create(&service, &receiver.url(), "user.created");
    sign_up(&service.client(), "ann@example.org").await.unwrap();
    receiver.wait_for(1).await;
    assert_eq!(proxy.connections(), 0);
}
