//! The contract of `webhooks`, `webhook_messages` and `deliveries`: who is told, who sends, and what is left of it.

use std::time::Duration;

use portcullis::Fault;
use portcullis::domain::ids::{DeliveryId, EventId, UserId, WebhookId};
use portcullis::domain::time::Timestamp;
use portcullis::domain::webhook::{Delivery, DisabledReason, Endpoint, Filter, State};
use portcullis::store::webhook_messages::{self, Claimed, End, Held, Lease};
use portcullis::store::{Store, Writer, deliveries, events, webhooks};
use uuid::Uuid;

use crate::support::rows::{NOW, after, event, uuid};

const OWNER: Uuid = Uuid::from_u128(77);
const OTHER: Uuid = Uuid::from_u128(78);

fn endpoint(n: u128, words: &[&str]) -> Endpoint {
    Endpoint {
        id: WebhookId(uuid(n)),
        url: format!("https://example.org/{n}"),
        description: Some("Zoë".into()),
        events: Filter::parse(words).unwrap(),
        state: State::Enabled,
        disabled_reason: None,
        failing_since: None,
        secret: vec![1, 0, 255],
        previous_secret: None,
        previous_secret_until: None,
        created_at: NOW,
        updated_at: NOW,
        version: 1,
    }
}

async fn insert(store: &Store, endpoint: Endpoint, max: i64) -> bool {
    let insert = store.write((endpoint, max), |tx, (endpoint, max)| {
        Box::pin(webhooks::insert(tx, endpoint, *max))
    });
    insert.await.unwrap()
}

async fn find(store: &Store, n: u128) -> Option<Endpoint> {
    webhooks::find(&mut store.read().await.unwrap(), WebhookId(uuid(n))).await.unwrap()
}

/// Appends the event with this number, of the type `user.updated`.
async fn tell(store: &Store, n: u128) {
    let event = event(n, UserId(uuid(5)));
    store.write(event, |tx, event| Box::pin(events::append(tx, event))).await.unwrap();
}

async fn claim(
    store: &Store,
    (n, owner): (u128, Uuid),
    now: Timestamp,
    limit: i64,
) -> Vec<Claimed> {
    let lease = Lease { owner, until: now.plus(Duration::from_secs(10)) };
    let claim = (WebhookId(uuid(n)), now, lease, limit);
    let claimed = store.write(claim, |tx, (id, now, lease, limit)| {
        Box::pin(webhook_messages::claim(tx, *id, *now, *lease, *limit))
    });
    claimed.await.unwrap()
}

fn held(n: u128, event: u128, owner: Uuid, attempt: i64) -> Held {
    Held { webhook_id: WebhookId(uuid(n)), event_id: EventId(uuid(event)), owner, attempt }
}

async fn finish(store: &Store, held: Held, end: End) -> bool {
    let finish = store
        .write((held, end), |tx, (held, end)| Box::pin(webhook_messages::finish(tx, *held, *end)));
    finish.await.unwrap()
}

async fn retry(store: &Store, held: Held, due_at: Timestamp) -> bool {
    let retry = store.write((held, due_at), |tx, (held, due_at)| {
        Box::pin(webhook_messages::retry(tx, *held, *due_at))
    });
    retry.await.unwrap()
}

async fn hand_back(store: &Store, held: Held, due_at: Option<Timestamp>) -> bool {
    let hand_back = store.write((held, due_at), |tx, (held, due_at)| {
        Box::pin(webhook_messages::hand_back(tx, *held, *due_at))
    });
    hand_back.await.unwrap()
}

async fn redeliver(store: &Store, n: u128, event: u128, now: Timestamp) -> bool {
    let names = (WebhookId(uuid(n)), EventId(uuid(event)), now);
    let redeliver = store.write(names, |tx, (id, event, now)| {
        Box::pin(webhook_messages::redeliver(tx, *id, *event, *now))
    });
    redeliver.await.unwrap()
}

async fn due(store: &Store, now: Timestamp) -> Vec<u128> {
    let found = webhooks::due(&mut store.read().await.unwrap(), now, 9).await.unwrap();
    found.into_iter().map(|endpoint| endpoint.id.0.as_u128()).collect()
}

fn ids(claimed: &[Claimed]) -> Vec<u128> {
    let mut ids: Vec<u128> = claimed.iter().map(|it| it.event_id.0.as_u128()).collect();
    ids.sort_unstable();
    ids
}

fn delivery(n: u128, webhook: u128, at: Timestamp) -> Delivery {
    Delivery {
        id: DeliveryId(uuid(n)),
        webhook_id: WebhookId(uuid(webhook)),
        event_id: EventId(uuid(1)),
        r#type: "user.updated".into(),
        attempt: 1,
        at,
        duration_ms: 12,
        status: Some(503),
        error: Some("status".into()),
    }
}

async fn note(store: &Store, delivery: Delivery) {
    let noted = store.write(delivery, |tx, it| Box::pin(deliveries::insert(tx, it)));
    noted.await.unwrap();
}

on_every_backend! {
    async fn an_endpoint_is_found_as_it_was_made_until_there_are_enough(db: TestDatabase) {
        let store = db.store().await;
        let one = endpoint(1, &["user.created", "role.granted"]);
        assert!(insert(&store, one.clone(), 2).await);
        assert!(insert(&store, Endpoint { created_at: after(1), ..endpoint(2, &["*"]) }, 2).await);
        assert!(!insert(&store, endpoint(3, &["*"]), 2).await);
        assert!(find(&store, 1).await == Some(one));
        assert!(find(&store, 3).await.is_none());
        let mut db = store.read().await.unwrap();
        assert_eq!(webhooks::count(&mut db).await.unwrap(), 2);
        let mut before = (after(99), WebhookId(uuid(0)));
        for expected in [2, 1] {
            let page = webhooks::list(&mut db, before, 1).await.unwrap();
            assert_eq!(page[0].id.0.as_u128(), expected);
            before = (page[0].created_at, page[0].id);
        }
        assert!(webhooks::list(&mut db, before, 1).await.unwrap().is_empty());
    }

    async fn a_change_needs_the_version_that_it_saw(db: TestDatabase) {
        let store = db.store().await;
        assert!(insert(&store, endpoint(1, &["user.created"]), 9).await);
        let wished = Endpoint {
            url: "https://example.org/new".into(), description: None, updated_at: after(3),
            state: State::Disabled, disabled_reason: Some("operator".into()), ..endpoint(1, &["*"])
        };
        let update = |endpoint: Endpoint| store.write(endpoint, |tx, it| Box::pin(webhooks::update(tx, it)));
        assert!(update(wished.clone()).await.unwrap());
        assert!(!update(wished.clone()).await.unwrap(), "it has moved on");
        let wished = Endpoint { version: 2, ..wished };
        assert!(find(&store, 1).await == Some(wished.clone()));

        let rotated = Endpoint {
            secret: vec![2], previous_secret: Some(vec![1]), previous_secret_until: Some(after(9)),
            updated_at: after(4), ..wished
        };
        let replace = |endpoint: Endpoint| {
            store.write(endpoint, |tx, it| Box::pin(webhooks::replace_secret(tx, it)))
        };
        assert!(replace(rotated.clone()).await.unwrap());
        assert!(!replace(rotated.clone()).await.unwrap());
        assert!(find(&store, 1).await == Some(Endpoint { version: 3, ..rotated.clone() }));
        for (at, forgotten) in [(8, 0), (9, 1), (10, 0)] {
            let forget = store.write(after(at), |tx, at| Box::pin(webhooks::forget_secrets(tx, *at)));
            assert_eq!(forget.await.unwrap(), forgotten);
        }
        let found = find(&store, 1).await.unwrap();
        assert_eq!((found.secret, found.previous_secret, found.previous_secret_until), (vec![2], None, None));
    }

    async fn an_endpoint_that_is_removed_is_told_nothing(db: TestDatabase) {
        let store = db.store().await;
        assert!(insert(&store, endpoint(1, &["*"]), 9).await);
        let delete = || store.write(WebhookId(uuid(1)), |tx, id| Box::pin(webhooks::delete(tx, *id)));
        assert!(delete().await.unwrap());
        assert!(!delete().await.unwrap());
        tell(&store, 1).await;
        assert_eq!(db.count("SELECT COUNT(*) FROM webhook_messages").await, 0);
        assert_eq!(db.count("SELECT COUNT(*) FROM webhook_filters").await, 0);
    }

    async fn whk_02_an_event_waits_for_whoever_wants_it(db: TestDatabase) {
        let store = db.store().await;
        for (n, words) in [(1, &["*"][..]), (2, &["user.updated"]), (3, &["user.created", "role.granted"])] {
            assert!(insert(&store, endpoint(n, words), 9).await);
        }
        let disabled = Endpoint {
            state: State::Disabled, version: 1, ..endpoint(4, &["*"])
        };
        assert!(insert(&store, disabled.clone(), 9).await);
        store.write(disabled, |tx, it| Box::pin(webhooks::update(tx, it))).await.unwrap();
        tell(&store, 11).await;
        let silent = portcullis::domain::event::Event { message: None, ..event(12, UserId(uuid(5))) };
        store.write(silent, |tx, event| Box::pin(events::append(tx, event))).await.unwrap();
        assert_eq!(due(&store, NOW).await, [1, 2]);
        let claimed = claim(&store, (2, OWNER), NOW, 9).await;
        assert_eq!(ids(&claimed), [11]);
        let first = &claimed[0];
        assert_eq!((first.r#type.as_str(), first.body.as_str()), ("user.updated", r#"{"type":"user.updated"}"#));
        assert_eq!((first.attempts, first.tries), (1, 1));
    }

    async fn whk_02_a_change_that_fails_tells_nobody(db: TestDatabase) {
        let store = db.store().await;
        assert!(insert(&store, endpoint(1, &["*"]), 9).await);
        let failed = store.write(event(11, UserId(uuid(5))), |tx, event| Box::pin(async move {
            events::append(tx, event).await?;
            Err::<(), _>(Fault::internal("no"))
        }));
        assert!(failed.await.is_err());
        assert_eq!(db.count("SELECT COUNT(*) FROM webhook_messages").await, 0);
    }

    async fn a_message_is_claimed_by_one_and_whoever_lost_it_is_fenced(db: TestDatabase) {
        let store = db.store().await;
        assert!(insert(&store, endpoint(1, &["*"]), 9).await);
        for n in [11, 12, 13] {
            tell(&store, n).await;
        }
        assert_eq!(ids(&claim(&store, (1, OWNER), Timestamp::from_micros(NOW.micros() - 1), 9).await), [0; 0]);
        assert_eq!(ids(&claim(&store, (1, OWNER), NOW, 2).await), [11, 12]);
        assert_eq!(ids(&claim(&store, (1, OTHER), after(9), 9).await), [13]);
        assert_eq!(due(&store, after(9)).await, [0; 0]);
        assert_eq!(due(&store, after(10)).await, [1], "a lease is over");
        assert_eq!(ids(&claim(&store, (1, OTHER), after(10), 1).await), [11]);
        let late = held(1, 11, OWNER, 1);
        assert!(!finish(&store, late, End::Delivered).await);
        assert!(!retry(&store, late, after(30)).await);
        assert!(!hand_back(&store, late, None).await);
        assert!(!finish(&store, held(1, 11, OTHER, 1), End::Dead).await, "another attempt");
        assert!(finish(&store, held(1, 11, OTHER, 2), End::Dead).await);
        assert!(!finish(&store, held(1, 11, OTHER, 2), End::Dead).await);
        let mut db = store.read().await.unwrap();
        let state = webhook_messages::state(&mut db, WebhookId(uuid(1)), EventId(uuid(11))).await;
        assert_eq!(state.unwrap().as_deref(), Some("dead"));
    }

    async fn tries_begin_anew_and_attempts_never_do(db: TestDatabase) {
        let store = db.store().await;
        assert!(insert(&store, endpoint(1, &["*"]), 9).await);
        tell(&store, 11).await;
        let counts = |claimed: Vec<Claimed>| claimed.first().map(|it| (it.attempts, it.tries));
        assert_eq!(counts(claim(&store, (1, OWNER), NOW, 9).await), Some((1, 1)));
        assert!(!redeliver(&store, 1, 11, NOW).await, "it is on its way");
        assert!(retry(&store, held(1, 11, OWNER, 1), after(5)).await);
        assert_eq!(counts(claim(&store, (1, OWNER), after(4), 9).await), None);
        assert_eq!(counts(claim(&store, (1, OWNER), after(5), 9).await), Some((2, 2)));
        assert!(hand_back(&store, held(1, 11, OWNER, 2), None).await);
        assert_eq!(counts(claim(&store, (1, OWNER), after(5), 9).await), Some((3, 2)));
        assert!(hand_back(&store, held(1, 11, OWNER, 3), Some(after(7))).await);
        assert_eq!(counts(claim(&store, (1, OWNER), after(6), 9).await), None);
        assert_eq!(counts(claim(&store, (1, OWNER), after(7), 9).await), Some((4, 2)));
        assert!(finish(&store, held(1, 11, OWNER, 4), End::Delivered).await);
        assert_eq!(counts(claim(&store, (1, OWNER), after(99), 9).await), None);
        assert!(redeliver(&store, 1, 11, after(99)).await);
        assert!(!redeliver(&store, 1, 12, after(99)).await, "there is none");
        assert_eq!(counts(claim(&store, (1, OWNER), after(99), 9).await), Some((5, 1)));
    }

    async fn whk_11_an_endpoint_is_disabled_by_how_long_it_failed(db: TestDatabase) {
        let store = db.store().await;
        assert!(insert(&store, endpoint(1, &["*"]), 9).await);
        let id = WebhookId(uuid(1));
        let fail = |at| store.write((id, at), |tx, (id, at)| Box::pin(webhooks::failed(tx, *id, *at)));
        let disable = |since| {
            store.write((id, since), |tx: &mut Writer, (id, since)| {
                Box::pin(webhooks::disable(tx, *id, DisabledReason::Failing, after(50), *since))
            })
        };
        assert!(!disable(after(99)).await.unwrap(), "it never failed");
        fail(after(5)).await.unwrap();
        fail(after(9)).await.unwrap();
        assert_eq!(find(&store, 1).await.unwrap().failing_since, Some(after(5)));
        assert!(!disable(after(4)).await.unwrap());
        store.write(id, |tx, id| Box::pin(webhooks::succeeded(tx, *id))).await.unwrap();
        assert_eq!(find(&store, 1).await.unwrap().failing_since, None);
        fail(after(20)).await.unwrap();
        assert!(disable(after(20)).await.unwrap());
        assert!(!disable(after(20)).await.unwrap(), "it is disabled");
        let found = store.write(id, |tx, id| Box::pin(webhooks::lock(tx, *id))).await.unwrap().unwrap();
        assert_eq!((found.state, found.disabled_reason.as_deref()), (State::Disabled, Some("failing")));
        assert_eq!((found.version, found.updated_at), (2, after(50)));
    }

    async fn a_disabled_endpoint_is_sent_nothing_and_keeps_what_waits(db: TestDatabase) {
        let store = db.store().await;
        assert!(insert(&store, endpoint(1, &["*"]), 9).await);
        tell(&store, 11).await;
        let off = Endpoint { state: State::Disabled, ..endpoint(1, &["*"]) };
        store.write(off, |tx, it| Box::pin(webhooks::update(tx, it))).await.unwrap();
        assert_eq!(due(&store, after(9)).await, [0; 0]);
        assert_eq!(ids(&claim(&store, (1, OWNER), after(9), 9).await), [0; 0]);
        let mut db = store.read().await.unwrap();
        assert_eq!(webhook_messages::backlog(&mut db, after(9)).await.unwrap(), (0, None));
        drop(db);
        let on = Endpoint { version: 2, ..endpoint(1, &["*"]) };
        store.write(on, |tx, it| Box::pin(webhooks::update(tx, it))).await.unwrap();
        let mut db = store.read().await.unwrap();
        assert_eq!(webhook_messages::backlog(&mut db, after(9)).await.unwrap(), (1, Some(NOW)));
        drop(db);
        assert_eq!(ids(&claim(&store, (1, OWNER), after(9), 9).await), [11]);
    }

    async fn a_test_message_waits_for_one_endpoint_whatever_it_wants(db: TestDatabase) {
        let store = db.store().await;
        for n in [1, 2] {
            assert!(insert(&store, endpoint(n, &["role.granted"]), 9).await);
        }
        let put = store.write(WebhookId(uuid(1)), |tx, id| Box::pin(async move {
            webhook_messages::insert(tx, (*id, EventId(uuid(21))), ("webhook.test", "{}"), NOW).await
        }));
        put.await.unwrap();
        assert_eq!(due(&store, NOW).await, [1]);
        assert_eq!(claim(&store, (1, OWNER), NOW, 9).await[0].r#type, "webhook.test");
    }

    async fn attempts_are_listed_newest_first_with_what_became_of_their_message(db: TestDatabase) {
        let store = db.store().await;
        assert!(insert(&store, endpoint(1, &["*"]), 9).await);
        tell(&store, 1).await;
        for (n, webhook, at) in [(31, 1, 3), (32, 1, 5), (33, 2, 4)] {
            note(&store, delivery(n, webhook, after(at))).await;
        }
        let mut db = store.read().await.unwrap();
        let first = deliveries::find(&mut db, DeliveryId(uuid(31))).await.unwrap().unwrap();
        assert_eq!(first.delivery, delivery(31, 1, after(3)));
        assert_eq!((first.message_state.as_deref(), first.next_attempt_at), (Some("waiting"), Some(NOW)));
        let lost = deliveries::find(&mut db, DeliveryId(uuid(33))).await.unwrap().unwrap();
        assert_eq!((lost.message_state, lost.next_attempt_at), (None, None));
        assert_eq!(deliveries::find(&mut db, DeliveryId(uuid(39))).await.unwrap(), None);
        assert_eq!(deliveries::count(&mut db, WebhookId(uuid(1))).await.unwrap(), 2);
        let mut before = (after(99), DeliveryId(uuid(0)));
        for expected in [32, 31] {
            let page = deliveries::list(&mut db, WebhookId(uuid(1)), before, 1).await.unwrap();
            assert_eq!(page[0].delivery.id.0.as_u128(), expected);
            before = (page[0].delivery.at, page[0].delivery.id);
        }
        assert!(deliveries::list(&mut db, WebhookId(uuid(1)), before, 1).await.unwrap().is_empty());
    }

    async fn what_is_old_and_done_leaves_in_batches(db: TestDatabase) {
        let store = db.store().await;
        for n in [1, 2] {
            assert!(insert(&store, endpoint(n, &["*"]), 9).await);
        }
        for n in [11, 12, 13] {
            tell(&store, n).await;
        }
        assert_eq!(claim(&store, (1, OWNER), NOW, 9).await.len(), 3);
        for n in [11, 12] {
            assert!(finish(&store, held(1, n, OWNER, 1), End::Delivered).await);
        }
        store.write(WebhookId(uuid(2)), |tx, id| Box::pin(webhooks::delete(tx, *id))).await.unwrap();
        let sweep = |before, limit| store.write((before, limit), |tx, (before, limit)| {
            Box::pin(webhook_messages::sweep(tx, *before, *limit))
        });
        assert_eq!(sweep(NOW, 9).await.unwrap(), 0, "not older");
        assert_eq!(sweep(after(1), 4).await.unwrap(), 4);
        assert_eq!(sweep(after(1), 4).await.unwrap(), 1, "two that were sent, three of nobody");
        assert_eq!(sweep(after(1), 4).await.unwrap(), 0, "one is still to be sent");
        assert_eq!(db.count("SELECT COUNT(*) FROM webhook_messages").await, 1);

        for (n, at) in [(31, 1), (32, 2), (33, 3)] {
            note(&store, delivery(n, 1, after(at))).await;
        }
        let sweep = |before, limit| store.write((before, limit), |tx, (before, limit)| {
            Box::pin(deliveries::sweep(tx, *before, *limit))
        });
        assert_eq!(sweep(after(3), 1).await.unwrap(), 1);
        assert_eq!(sweep(after(3), 9).await.unwrap(), 1);
        assert_eq!(sweep(after(3), 9).await.unwrap(), 0);
    }
}
