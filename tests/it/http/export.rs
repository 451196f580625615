//! The export: everything that is stored about the caller, and only after the password was given a short while ago.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis::domain::event::{Action, Actor, Event, Subject};
use portcullis::domain::ids::EventId;
use portcullis::domain::session::Origin;
use portcullis::flows::Stamp;
use portcullis::flows::life::By;
use portcullis::flows::roles;
use portcullis::store::events;
use serde_json::{Map, Value, json};

use super::{NOW_TEXT, register};
use crate::support::app::Person;
use crate::support::rows::object;
use crate::support::serve::Served;

on_every_backend! {
    async fn an_export_has_all_that_is_stored_and_is_a_file(db: TestDatabase) {
        let served = Served::start(db).await;
        let person = Person {
            profile: object(json!({ "bio": "été" })), ..Person::new("Ann@example.org").named("Ann")
        };
        let first = served.app.register(&person).await;
        register(&served, "ben@example.org").await;
        let id = served.app.user("ann@example.org").await.id;
        let by = By::operator(Actor::Cli("ops".into()));
        roles::grant(&served.app.app, by, id, "admin".into()).await.unwrap();
        served.app.advance(Duration::from_secs(1));
        let tokens = served.app.log_in(&person).await.unwrap();
        served.app.database.execute(
            "INSERT INTO email_changes (user_id, email, email_canonical, session_id, requested_at, expires_at)
             SELECT id, 'New@example.org', 'new@example.org', id, created_at, created_at FROM users
             WHERE username = 'Ann'").await;
        let logout = json!({ "refresh_token": first.refresh_token.expose() });
        assert_eq!(served.anyone().post("/v1/logout", logout).await.status, 204);

        let ann = served.user(&tokens);
        let answer = ann.get("/v1/me/export").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let disposition = answer.header("content-disposition").unwrap();
        assert!(disposition.starts_with("attachment;"), "{disposition}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.members(), [
            "email_change", "events", "one_time_tokens", "password", "roles", "sessions", "unique_values", "user",
        ]);
        let body = &answer.body;
        assert_eq!(body["user"], ann.get("/v1/me").await.body);
        assert_eq!(body["password"], json!({ "set_at": NOW_TEXT, "must_change": false }));
        assert_eq!(body["roles"], json!([{ "role": "admin", "granted_at": NOW_TEXT }]));
        assert_eq!(body["unique_values"], json!([{ "field": "/username", "value": "ann" }]));
        assert_eq!(body["email_change"]["email"], "New@example.org");
        assert_eq!(body["one_time_tokens"][0]["purpose"], "email_verification");
        assert_eq!(body["one_time_tokens"][0]["used_at"], NOW_TEXT);
        let sessions: Vec<_> = body["sessions"].as_array().unwrap().iter().map(|session| {
            (session["id"].as_str().unwrap(), session["end_reason"].as_str())
        }).collect();
        let (live, over) = (tokens.session_id.to_string(), first.session_id.to_string());
        assert_eq!(sessions, [(live.as_str(), None), (over.as_str(), Some("logout"))]);
        let listed = ann.get("/v1/me/events?limit=100").await;
        assert_eq!(body["events"], listed.body["items"]);
        // LOG-03: no secret, and nothing of anybody else.
        for word in ["argon2", "pcr_", "pcv_", "digest", "ben@"] {
            assert!(!answer.text.contains(word), "{word}");
        }
        assert_eq!(ann.head("/v1/me/export").await.status, 200);
    }

    async fn auz_08_an_export_takes_a_password_that_was_given_a_short_while_ago(db: TestDatabase) {
        let served = Served::start(db).await;
        let tokens = register(&served, "ann@example.org").await;
        served.app.advance(Duration::from_mins(10));
        assert_eq!(served.user(&tokens).get("/v1/me/export").await.status, 200);
        served.app.advance(Duration::from_secs(1));
        // A refresh gives a new token, and not a new proof.
        let body = json!({ "refresh_token": tokens.refresh_token.expose() });
        let refreshed = served.anyone().post("/v1/token/refresh", body).await;
        for token in [tokens.access_token.clone(), refreshed.text_of("access_token")] {
            let answer = served.bearer(&token).get("/v1/me/export").await;
            assert_eq!(answer.outcome(), (403, "reauthentication_required"));
            assert_eq!(answer.body["next"], json!(["reauthenticate"]));
        }
        let again = served.app.log_in(&Person::new("ann@example.org")).await.unwrap();
        assert_eq!(served.user(&again).get("/v1/me/export").await.status, 200);
    }

    async fn a_long_trail_is_exported_whole(db: TestDatabase) {
        let served = Served::start(db).await;
        let tokens = register(&served, "ann@example.org").await;
        let id = served.app.user("ann@example.org").await.id;
        // More than two pages, and an exact multiple of one with those that are there.
        let count: usize = 1497;
        let stamp = Stamp::new(&served.app.app, Actor::User(id), Origin::default());
        let event = |_| stamp.event(Action::UserUpdated, Subject::User(id), Map::new()).unwrap();
        let many: Vec<Event> = (0..count).map(event).collect();
        served.app.app.store.write(many, |tx, many| Box::pin(async move {
            for event in many {
                events::append(tx, event).await?;
            }
            Ok::<_, portcullis::Fault>(())
        })).await.unwrap();
        let answer = served.user(&tokens).get("/v1/me/export").await;
        let exported = answer.body["events"].as_array().unwrap();
        let ids: BTreeSet<EventId> = exported.iter().map(|event: &Value| {
            event["id"].as_str().unwrap().parse().unwrap()
        }).collect();
        assert_eq!((exported.len(), ids.len()), (count + 3, count + 3));
    }
}
