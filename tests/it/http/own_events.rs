//! One's own events: the list, its pages, and nothing of anybody else.

use std::time::Duration;

use portcullis::domain::event::Actor;
use portcullis::domain::session::Origin;
use portcullis::flows::life::By;
use portcullis::flows::{roles, suspend};
use serde_json::{Value, json};

use super::register;
use crate::support::app::Person;
use crate::support::serve::Served;

on_every_backend! {
    async fn own_events_are_listed_newest_first_in_pages_that_name_each_once(db: TestDatabase) {
        let served = Served::start(db).await;
        let tokens = register(&served, "ann@example.org").await;
        let ben = register(&served, "ben@example.org").await;
        served.app.advance(Duration::from_secs(1));
        let ann = served.user(&tokens);
        let ask = ann.ask("PATCH", "/v1/me").header("if-match", "*").header("x-request-id", "req-7");
        let patched = ask.json(&json!({ "username": "ann", "profile": { "bio": "x" } })).send().await;
        assert_eq!(patched.status, 200);
        let all = ["user.updated", "session.started", "user.verified", "user.created"];
        let answer = ann.get("/v1/me/events").await;
        assert_eq!((answer.members(), answer.items("action")), (vec!["items", "next_cursor"], all.map(str::to_owned).to_vec()));
        let newest = &answer.body["items"][0];
        assert_eq!(newest, &json!({
            "id": newest["id"],
            "at": "2026-11-18T11:06:41.123457Z",
            "action": "user.updated",
            "outcome": "success",
            "address": "127.0.0.1",
            "request_id": "req-7",
            "data": { "changed": ["profile.bio", "username"] },
        }));
        assert_eq!(answer.body["items"][3]["address"], "192.0.2.1");
        assert_eq!(answer.body["items"][1]["data"]["session_id"], tokens.session_id.to_string());
        for (limit, sizes) in [(1, vec![1; 4]), (3, vec![3, 1]), (4, vec![4]), (100, vec![4])] {
            let first = format!("/v1/me/events?limit={limit}");
            let found = ann.pages(&first, "action").await;
            assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
            assert_eq!(found.concat(), all);
        }
        let counted = ann.get("/v1/me/events?count=true&limit=1").await;
        assert_eq!(counted.body["total"], 4);
        assert_eq!(served.user(&ben).get("/v1/me/events?count=true").await.body["total"], 3);
    }

    async fn auz_13_a_cursor_of_another_list_or_user_is_refused(db: TestDatabase) {
        let served = Served::start(db).await;
        let tokens = register(&served, "ann@example.org").await;
        served.app.log_in(&Person::new("ann@example.org")).await.unwrap();
        let ben = served.user(&register(&served, "ben@example.org").await);
        let ann = served.user(&tokens);
        let events = ann.get("/v1/me/events?limit=1").await.text_of("next_cursor");
        let sessions = ann.get("/v1/me/sessions?limit=1").await.text_of("next_cursor");
        for (client, path) in [
            (&ann, format!("/v1/me/events?cursor={sessions}")),
            (&ann, format!("/v1/me/sessions?cursor={events}")),
            (&ben, format!("/v1/me/events?cursor={events}")),
            (&ann, format!("/v1/me/events?cursor={events}A")),
            (&ann, "/v1/me/events?cursor=".into()),
        ] {
            assert_eq!(client.get(&path).await.outcome(), (400, "cursor_invalid"), "{path}");
        }
        let refused = ann.get("/v1/me/events?limit=0&count=x").await;
        assert_eq!(refused.faults(), ["count wrong_type", "limit out_of_range"]);
    }

    async fn auz_07_an_operator_s_address_is_not_shown_to_the_user(db: TestDatabase) {
        let served = Served::start(db).await;
        let tokens = register(&served, "ann@example.org").await;
        register(&served, "boss@example.org").await;
        let app = &served.app;
        let (ann, boss) = (app.user("ann@example.org").await.id, app.user("boss@example.org").await.id);
        let cli = By::operator(Actor::Cli("ops".into()));
        roles::grant(&app.app, cli, boss, "admin".into()).await.unwrap();
        let origin = Origin {
            address: "198.51.100.99".into(), user_agent: None, request_id: Some("boss-1".into())
        };
        let by = By { actor: Actor::User(boss), origin, is_rehearsal: false };
        suspend::suspend(&app.app, by.clone(), ann).await.unwrap();
        suspend::reactivate(&app.app, by, ann).await.unwrap();
        app.log_in(&Person::new("ann@example.org")).await.unwrap();
        let again = app.log_in(&Person::new("ann@example.org")).await.unwrap();
        let answer = served.user(&again).get("/v1/me/events").await;
        assert_eq!(answer.status, 200);
        assert!(!answer.text.contains("198.51.100.99") && !answer.text.contains("boss"), "{answer:?}");
        let suspended = answer.body["items"].as_array().unwrap().iter();
        let suspended = suspended.filter(|item| item["action"] == "user.suspended").collect::<Vec<_>>();
        assert_eq!((suspended.len(), &suspended[0]["address"]), (1, &Value::Null));
        assert_eq!(served.user(&tokens).get("/v1/me/events").await.status, 401);
    }
}
