//! What no two accounts share, over the wire: who is told, with which words, and one winner among fifty.

use portcullis::flows::tokens::Tokens;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::PASSWORD;
use crate::support::app::Person;
use crate::support::clients::Client;
use crate::support::database::TestDatabase;
use crate::support::rows::object;
use crate::support::schemas::SchemaFile;
use crate::support::serve::Served;

async fn shop(db: TestDatabase) -> (SchemaFile, Served) {
    let schema = SchemaFile::of(json!({
        "phone": { "type": "string", "format": "e164", "x-portcullis": { "unique": true } },
        "badge": { "type": "integer", "x-portcullis": { "unique": true } },
        "bio": { "type": "string" },
    }));
    let served = Served::start_with(db, &[("PROFILE__SCHEMA", &schema.text())]).await;
    (schema, served)
}

async fn register(served: &Served, email: &str, profile: Value) -> Tokens {
    served.app.register(&Person { profile: object(profile), ..Person::new(email) }).await
}

async fn patch(who: &Client, profile: Value) -> crate::support::clients::Answer {
    who.patch("/v1/me", "*", json!({ "profile": profile })).await
}

on_every_backend! {
    async fn enu_12_a_clash_is_told_after_the_verification_only(db: TestDatabase) {
        let (_schema, served) = shop(db).await;
        register(&served, "ann@example.org", json!({ "phone": "+4930111", "badge": 7 })).await;
        // Known and new addresses, free and taken values: one answer.
        let mut answers = Vec::new();
        for email in ["ann@example.org", "ben@example.org", "cem@example.org"] {
            for phone in ["+4930111", "+4930222"] {
                let body = json!({ "email": email, "password": PASSWORD, "profile": { "phone": phone, "badge": 7 } });
                let answer = served.anyone().post("/v1/signup", body).await;
                answers.push((answer.status, answer.body));
            }
        }
        assert!(answers.iter().all(|answer| *answer == (202, json!({ "status": "verification_required" }))));
        let verify = async |email: &str| {
            let token = served.app.tokens_mailed_to(email).await.pop().unwrap();
            served.anyone().post("/v1/email/verify", json!({ "token": token, "password": PASSWORD })).await
        };
        let ben = verify("ben@example.org").await;
        assert_eq!(ben.body["dropped"], json!(["/profile/badge"]));
        assert_eq!(ben.body["next"], json!(["update_profile"]));
        let me = served.bearer(&ben.text_of("access_token")).get("/v1/me").await;
        assert_eq!(me.body["profile"], json!({ "phone": "+4930222" }));
        let cem = verify("cem@example.org").await;
        assert_eq!(cem.body["dropped"], json!(["/profile/badge", "/profile/phone"]));
        assert_eq!(cem.body["next"], json!(["update_profile"]));

        let both = Person { profile: object(json!({ "badge": 7 })), ..Person::new("dan@example.org").named("Dan") };
        served.app.sign_up(&both).await.unwrap();
        served.app.register(&Person::new("eve@example.org").named("dan")).await;
        let dan = verify("dan@example.org").await;
        assert_eq!(dan.body["dropped"], json!(["/profile/badge", "/username"]));
        assert_eq!(dan.body["next"], json!(["choose_username", "update_profile"]));
        // Nothing was lost: the two members are not there.
        let body = json!({ "email": "fay@example.org", "password": PASSWORD, "profile": { "badge": 8 } });
        served.anyone().post("/v1/signup", body).await;
        let fay = verify("fay@example.org").await;
        assert!(!fay.members().contains(&"dropped") && !fay.members().contains(&"next"), "{fay:?}");
        served.app.assert_invariants().await;
    }

    async fn a_taken_value_is_409_and_its_place_is_told(db: TestDatabase) {
        let (_schema, served) = shop(db).await;
        let ann = register(&served, "ann@example.org", json!({ "phone": "+4930111", "badge": 1 })).await;
        let ben = served.user(&register(&served, "ben@example.org", json!({ "badge": 2 })).await);
        let before = ben.get("/v1/me").await;
        let answer = patch(&ben, json!({ "phone": "+4930111", "badge": 1, "bio": "x" })).await;
        assert_eq!(answer.outcome(), (409, "value_taken"));
        assert_eq!(answer.faults(), ["/profile/badge taken", "/profile/phone taken"]);
        let answer = patch(&ben, json!({ "phone": "+4930111" })).await;
        assert_eq!((answer.outcome(), answer.faults()), ((409, "value_taken"), vec!["/profile/phone taken".to_owned()]));
        assert!(!answer.text.contains("4930111"), "no rejected value");
        // What is not valid is told first, and a taken name keeps its own code.
        let answer = patch(&ben, json!({ "phone": "+4930111", "badge": "x" })).await;
        assert_eq!(answer.faults(), ["/profile/badge wrong_type"]);
        assert_eq!(ben.get("/v1/me").await.body, before.body);
        let ann = served.user(&ann);
        assert_eq!(ann.patch("/v1/me", "*", json!({ "username": "ann" })).await.status, 200);
        let answer = ben.patch("/v1/me", "*", json!({ "username": "Ann", "profile": { "badge": 1 } })).await;
        assert_eq!(answer.outcome(), (409, "username_taken"));
        assert_eq!(patch(&ann, json!({ "phone": null })).await.status, 200);
        assert_eq!(patch(&ben, json!({ "phone": "+4930111" })).await.status, 200);
        served.app.assert_invariants().await;
    }

    async fn t_05_of_fifty_changes_to_one_value_one_is_done(db: TestDatabase) {
        let (_schema, served) = shop(db).await;
        let mut people = Vec::new();
        for n in 0..50 {
            people.push(served.user(&register(&served, &format!("p{n}@example.org"), json!({})).await));
        }
        for round in 0..4 {
            // In some rounds everybody moves off a value of their own.
            let wish = json!({ "phone": format!("+4930{round}"), "badge": null });
            let mut racers = JoinSet::new();
            for (n, someone) in people.iter().cloned().enumerate() {
                let wish = wish.clone();
                racers.spawn(async move { (n, patch(&someone, wish).await) });
            }
            let mut winner = None;
            for (n, answer) in racers.join_all().await {
                match answer.outcome() {
                    (200, _) => assert_eq!(winner.replace(n), None, "a second winner"),
                    (409, "value_taken") => assert_eq!(answer.faults(), ["/profile/phone taken"]),
                    _ => panic!("{answer:?}"),
                }
            }
            let winner = winner.unwrap();
            assert_eq!(people[winner].get("/v1/me").await.body["profile"]["phone"], wish["phone"]);
            for (n, someone) in people.iter().enumerate() {
                let own = json!({ "badge": 100 * round + n });
                assert_eq!(patch(someone, own).await.status, 200);
            }
        }
        served.app.assert_invariants().await;
    }
}
