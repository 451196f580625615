//! From an event to its receivers, over both databases and real sockets: what is sent, how often, and what comes of it.

mod bad_receivers;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use portcullis::domain::event::Actor;
use portcullis::domain::ids::WebhookId;
use portcullis::domain::session::Origin;
use portcullis::domain::webhook::{Endpoint, State, TRIES_MAX};
use portcullis::flows::me::Expected;
use portcullis::flows::webhooks::{self as flow, New, Patch, WebhookError};
use portcullis::jobs::webhooks::{Deliveries, DeliverySettings, deliver_due};
use serde_json::json;
use tokio::time::Instant;

use crate::support::app::{Person, TestApp};
use crate::support::database::TestDatabase;
use crate::support::receiver::{Mode, Receiver, Seen};

/// What lets a test be called on loopback, as often as it likes.
pub(crate) const LOOPBACK: [(&str, &str); 4] = [
    ("WEBHOOKS__ALLOW_HTTP", "true"),
    ("OUTBOUND__ALLOW_NETWORKS", "127.0.0.0/8"),
    ("OUTBOUND__WEBHOOK_PER_MINUTE", "600000"),
    ("OUTBOUND__WEBHOOK_BURST", "10000"),
];

pub(crate) fn settings() -> DeliverySettings {
    DeliverySettings {
        per_endpoint: 2,
        timeout: Duration::from_secs(5),
        poll_interval: Duration::from_millis(20),
    }
}

async fn start(db: TestDatabase) -> TestApp {
    TestApp::start_with(db, &LOOPBACK).await
}

fn by() -> flow::By {
    (Actor::Cli("op".into()), Origin::default())
}

/// Makes an endpoint; gives it and its secret.
async fn create(app: &TestApp, url: &str, events: &[&str]) -> (Endpoint, String) {
    let events = events.iter().map(|word| (*word).to_owned()).collect();
    let new = New { url: url.to_owned(), events, description: None };
    let (endpoint, secret) = flow::create(&app.app, by(), new).await.unwrap();
    (endpoint, secret.to_string())
}

async fn deliver(app: &TestApp) -> usize {
    deliver_due(&app.app, settings()).await.unwrap()
}

async fn find(app: &TestApp, id: WebhookId) -> Endpoint {
    flow::find(&app.app, id).await.unwrap()
}

/// The attempts at an endpoint, newest first: status, error, state of the message.
async fn attempts(
    app: &TestApp,
    id: WebhookId,
) -> Vec<(Option<i64>, Option<String>, Option<String>)> {
    let page = flow::deliveries(&app.app, id, None, 100).await.unwrap();
    let told =
        page.items.into_iter().map(|it| (it.delivery.status, it.delivery.error, it.message_state));
    told.collect()
}

/// Whether one of the signatures is that of `secret` over these three parts.
fn is_signed(seen: &Seen, secret: &str) -> bool {
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let text = format!("{}.{}.{}", seen.id(), seen.header("webhook-timestamp"), seen.body);
    let mut signatures = seen.header("webhook-signature").split(' ');
    signatures.any(|signature| {
        let tag = BASE64_STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        hmac::verify(&key, text.as_bytes(), &tag).is_ok()
    })
}

on_every_backend! {
    async fn whk_01_an_event_reaches_whoever_wants_it_signed(db: TestDatabase) {
        let app = start(db).await;
        let (all, some) = (Receiver::start(Mode::good()).await, Receiver::start(Mode::good()).await);
        let (one, secret) = create(&app, &all.url(), &["*"]).await;
        let (_, other) = create(&app, &some.url(), &["user.verified"]).await;
        let ann = Person::new("canary@example.org");
        app.register(&ann).await;
        assert_eq!(deliver(&app).await, 4);
        let mut kinds = all.kinds();
        kinds.sort();
        assert_eq!(kinds, ["session.started", "user.created", "user.verified"]);
        assert_eq!(some.kinds(), ["user.verified"]);
        for seen in all.seen() {
            assert!(is_signed(&seen, &secret) && !is_signed(&seen, &other));
            assert_eq!(seen.header("content-type"), "application/json");
            assert_eq!(seen.header("webhook-timestamp"), app.app.clock.now().seconds().to_string());
            assert!(seen.header("user-agent").starts_with("portcullis/"));
            assert!(!seen.body.contains("canary"), "WHK-09: {}", seen.body);
        }
        let here = all.seen().into_iter().find(|seen| seen.kind() == "user.verified").unwrap();
        let there = &some.seen()[0];
        assert_eq!((here.id(), &here.body), (there.id(), &there.body), "one id and one body for all");
        let known = "SELECT COUNT(*) FROM events JOIN webhook_messages ON webhook_messages.event_id = events.id
                     WHERE webhook_messages.type = events.action";
        assert_eq!(app.database.count(known).await, 4);
        assert_eq!(attempts(&app, one.id).await, vec![(Some(200), None, Some("delivered".into())); 3]);
        assert_eq!(deliver(&app).await, 0);
        app.assert_invariants().await;
    }

    async fn whk_01_both_secrets_sign_while_one_replaces_the_other(db: TestDatabase) {
        let app = start(db).await;
        let receiver = Receiver::start(Mode::good()).await;
        let (endpoint, old) = create(&app, &receiver.url(), &["user.created"]).await;
        let (rotated, new) = flow::rotate_secret(&app.app, by(), endpoint.id).await.unwrap();
        assert_ne!(old, *new);
        assert_eq!(rotated.version, 2);
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        deliver(&app).await;
        app.advance(Duration::from_hours(24));
        app.sign_up(&Person::new("bob@example.org")).await.unwrap();
        deliver(&app).await;
        let seen = receiver.seen();
        assert!(is_signed(&seen[0], &old) && is_signed(&seen[0], &new));
        assert_eq!(seen[0].header("webhook-signature").split(' ').count(), 2);
        assert!(!is_signed(&seen[1], &old) && is_signed(&seen[1], &new), "its time is over");
        flow::sweep(&app.app).await.unwrap();
        assert!(find(&app, endpoint.id).await.previous_secret.is_none());
    }

    async fn cfg_13_a_secret_is_sealed_for_its_place(db: TestDatabase) {
        let app = start(db).await;
        let receiver = Receiver::start(Mode::good()).await;
        let (one, _) = create(&app, &receiver.url(), &["user.created"]).await;
        create(&app, &receiver.url(), &["user.updated"]).await;
        app.database.execute("UPDATE webhooks SET secret =
            (SELECT other.secret FROM webhooks other WHERE other.id <> webhooks.id)").await;
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        assert_eq!(deliver(&app).await, 1);
        assert_eq!(receiver.connections(), 0, "nothing is sent that is not signed");
        assert_eq!(attempts(&app, one.id).await, [(None, Some("secret".into()), Some("waiting".into()))]);
    }

    async fn whk_03_what_failed_comes_again_with_the_same_id_and_bytes(db: TestDatabase) {
        let app = start(db).await;
        let receiver = Receiver::start(Mode::status(500)).await;
        let (endpoint, secret) = create(&app, &receiver.url(), &["user.created"]).await;
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        for (attempt, mode) in [Mode::status(503), Mode::Reset, Mode::good()].into_iter().enumerate() {
            assert_eq!(deliver(&app).await, 1, "{attempt}");
            assert_eq!(deliver(&app).await, 0, "not yet again");
            receiver.answer(mode);
            app.advance(Duration::from_hours(3));
        }
        assert!(find(&app, endpoint.id).await.failing_since.is_some());
        assert_eq!(deliver(&app).await, 1);
        let seen = receiver.seen();
        assert_eq!(seen.len(), 4);
        for one in &seen {
            assert_eq!((one.id(), &one.body), (seen[0].id(), &seen[0].body));
            assert!(is_signed(one, &secret));
        }
        assert_ne!(seen[0].header("webhook-timestamp"), seen[3].header("webhook-timestamp"));
        let told: Vec<_> = attempts(&app, endpoint.id).await.into_iter().map(|it| (it.0, it.1)).collect();
        let failed = |status, word: &str| (status, Some(word.to_owned()));
        let expected =
            [(Some(200), None), failed(None, "connection"), failed(Some(503), "status"), failed(Some(500), "status")];
        assert_eq!(told, expected);
        assert_eq!(find(&app, endpoint.id).await.failing_since, None);
    }

    async fn whk_04_a_message_is_tried_for_a_day_given_up_and_begun_again(db: TestDatabase) {
        let app = start(db).await;
        let receiver = Receiver::start(Mode::status(500)).await;
        let (endpoint, _) = create(&app, &receiver.url(), &["user.created"]).await;
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        let began = app.app.clock.now();
        let mut pauses = Vec::new();
        for attempt in 1..=TRIES_MAX {
            let now = app.app.clock.now();
            assert_eq!(deliver(&app).await, 1, "attempt {attempt}");
            let page = flow::deliveries(&app.app, endpoint.id, None, 1).await.unwrap();
            let Some(next) = page.items[0].next_attempt_at else { break };
            pauses.push(next.since(now));
            app.advance(next.since(now).saturating_sub(Duration::from_micros(1)));
            assert_eq!(deliver(&app).await, 0, "too early");
            app.advance(Duration::from_micros(1));
        }
        assert_eq!(pauses.len(), 7);
        assert!(pauses[0] >= Duration::from_secs(5) && pauses[0] <= Duration::from_secs(6));
        assert!(app.app.clock.now().since(began) >= Duration::from_hours(24), "{pauses:?}");
        assert_eq!(attempts(&app, endpoint.id).await[0].2.as_deref(), Some("dead"));
        app.advance(Duration::from_hours(24));
        assert_eq!(deliver(&app).await, 0);

        receiver.answer(Mode::good());
        let last = flow::deliveries(&app.app, endpoint.id, None, 1).await.unwrap();
        flow::redeliver(&app.app, Some(endpoint.id), last.items[0].delivery.id).await.unwrap();
        assert_eq!(deliver(&app).await, 1);
        let seen = receiver.seen();
        assert_eq!(seen.len(), 9);
        assert_eq!((seen[8].id(), &seen[8].body), (seen[0].id(), &seen[0].body), "still the same id");
    }

    async fn whk_04_a_receiver_may_ask_for_time(db: TestDatabase) {
        let app = start(db).await;
        let receiver = Receiver::start(Mode::Status(429, "retry-after: 7200\r\n".into())).await;
        let (endpoint, _) = create(&app, &receiver.url(), &["user.created"]).await;
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        let now = app.app.clock.now();
        deliver(&app).await;
        let page = flow::deliveries(&app.app, endpoint.id, None, 1).await.unwrap();
        let pause = page.items[0].next_attempt_at.unwrap().since(now);
        assert!(pause >= Duration::from_hours(2) && pause < Duration::from_hours(3), "{pause:?}");
    }

    async fn whk_11_an_endpoint_that_fails_for_days_is_disabled_with_notice(db: TestDatabase) {
        let app = start(db).await;
        let receiver = Receiver::start(Mode::status(500)).await;
        let (endpoint, _) = create(&app, &receiver.url(), &["user.created"]).await;
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        for day in 0..5 {
            assert_eq!(find(&app, endpoint.id).await.state, State::Enabled, "day {day}");
            app.sign_up(&Person::new(&format!("user{day}@example.org"))).await.unwrap();
            assert!(deliver(&app).await > 0);
            app.advance(Duration::from_hours(24));
        }
        deliver(&app).await;
        let found = find(&app, endpoint.id).await;
        assert_eq!((found.state, found.disabled_reason.as_deref()), (State::Disabled, Some("failing")));
        let told = "SELECT COUNT(*) FROM events WHERE action = 'webhook.disabled' AND actor_kind = 'system'
                    AND subject_kind = 'webhook'";
        assert_eq!(app.database.count(told).await, 1);
        let before = receiver.seen().len();
        app.advance(Duration::from_hours(24));
        app.sign_up(&Person::new("late@example.org")).await.unwrap();
        assert_eq!(deliver(&app).await, 0);
        let kept = app.database.count("SELECT COUNT(*) FROM webhook_messages").await;
        assert_eq!(kept, 6, "an event of a disabled endpoint is not kept");

        receiver.answer(Mode::good());
        let patch = Patch { state: Some(State::Enabled), ..Patch::default() };
        let enabled = flow::update(&app.app, by(), endpoint.id, (patch, Expected::Any)).await.unwrap();
        assert_eq!((enabled.disabled_reason, enabled.failing_since), (None, None));
        assert!(deliver(&app).await > 0, "what waited goes on");
        assert!(receiver.seen().len() > before);
        assert_eq!(find(&app, endpoint.id).await.state, State::Enabled);
    }

    async fn whk_11_an_endpoint_that_is_gone_is_disabled_at_once(db: TestDatabase) {
        let app = start(db).await;
        let receiver = Receiver::start(Mode::status(410)).await;
        let (endpoint, _) = create(&app, &receiver.url(), &["user.created"]).await;
        for email in ["ann@example.org", "bob@example.org", "eve@example.org"] {
            app.sign_up(&Person::new(email)).await.unwrap();
        }
        assert!(deliver(&app).await <= 2);
        let found = find(&app, endpoint.id).await;
        assert_eq!((found.state, found.disabled_reason.as_deref()), (State::Disabled, Some("gone")));
        assert_eq!(app.database.count("SELECT COUNT(*) FROM events WHERE action = 'webhook.disabled'").await, 1);
        app.advance(Duration::from_hours(24));
        assert_eq!(deliver(&app).await, 0);
        let conflict = flow::test(&app.app, endpoint.id).await.unwrap_err();
        assert!(matches!(conflict, WebhookError::Conflict(_)), "{conflict}");
    }

    async fn a_test_message_is_sent_once_to_one_endpoint(db: TestDatabase) {
        let app = start(db).await;
        let receiver = Receiver::start(Mode::status(500)).await;
        let (endpoint, secret) = create(&app, &receiver.url(), &["user.created"]).await;
        create(&app, &receiver.url(), &["*"]).await;
        let id = flow::test(&app.app, endpoint.id).await.unwrap();
        assert_eq!(deliver(&app).await, 1);
        let seen = receiver.seen();
        assert_eq!((seen[0].id(), seen[0].kind().as_str()), (id.to_string().as_str(), "webhook.test"));
        assert_eq!(seen[0].json()["data"], json!({}));
        assert!(is_signed(&seen[0], &secret));
        assert_eq!(attempts(&app, endpoint.id).await, [(Some(500), Some("status".into()), Some("dead".into()))]);
        app.advance(Duration::from_hours(48));
        assert_eq!(deliver(&app).await, 0);
    }

    async fn f20_two_instances_share_the_work_and_send_nothing_twice(db: TestDatabase) {
        let app = start(db).await;
        let receiver = Receiver::start(Mode::good()).await;
        create(&app, &receiver.url(), &["user.created"]).await;
        let other = app.another(&LOOPBACK).await;
        let pools = [
            Deliveries::start(Arc::clone(&app.app), settings()),
            Deliveries::start(other, settings()),
        ];
        for n in 0..20 {
            app.sign_up(&Person::new(&format!("user{n}@example.org"))).await.unwrap();
        }
        let seen = receiver.wait_for(20).await;
        let deadline = Instant::now() + Duration::from_secs(10);
        for pool in pools {
            pool.stop(deadline).await;
        }
        assert_eq!(receiver.seen().len(), 20);
        let mut ids: Vec<&str> = seen.iter().map(Seen::id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 20);
        let done = "SELECT COUNT(*) FROM webhook_messages WHERE state = 'delivered' AND attempts = 1";
        assert_eq!(app.database.count(done).await, 20);
    }

    async fn rel_04_a_stop_hands_back_what_a_receiver_holds_up(db: TestDatabase) {
        let app = start(db).await;
        let receiver = Receiver::start(Mode::Tarpit).await;
        create(&app, &receiver.url(), &["user.created"]).await;
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        let patient = DeliverySettings { timeout: Duration::from_secs(15), ..settings() };
        let pool = Deliveries::start(Arc::clone(&app.app), patient);
        receiver.wait_for(1).await;
        let began = Instant::now();
        pool.stop(began + Duration::from_secs(2)).await;
        assert!(began.elapsed() < Duration::from_secs(2));
        let waiting = "SELECT COUNT(*) FROM webhook_messages WHERE state = 'waiting' AND tries = 0 AND lease_owner IS NULL";
        assert_eq!(app.database.count(waiting).await, 1);
        receiver.answer(Mode::good());
        assert_eq!(deliver(&app).await, 1);
        let seen = receiver.seen();
        assert_eq!(seen[0].id(), seen[1].id());
    }

    async fn whk_09_a_message_outlives_the_details_of_its_event(db: TestDatabase) {
        let app = start(db).await;
        let receiver = Receiver::start(Mode::status(500)).await;
        create(&app, &receiver.url(), &["session.started"]).await;
        app.register(&Person::new("ann@example.org")).await;
        deliver(&app).await;
        app.database.execute("DELETE FROM event_details").await;
        receiver.answer(Mode::good());
        app.advance(Duration::from_hours(1));
        assert_eq!(deliver(&app).await, 1);
        let seen = receiver.seen();
        assert_eq!((seen[0].id(), &seen[0].body), (seen[1].id(), &seen[1].body));
    }
}
