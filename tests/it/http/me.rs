//! `PATCH /v1/me`: what a merge patch changes, against which version, and what moves the version (api.md, sections 1, 2).

use std::time::Duration;

use serde_json::{Value, json};

use super::{NOW_TEXT, PASSWORD, register};
use crate::support::app::Person;
use crate::support::clients::{Answer, Client};
use crate::support::serve::Served;

async fn ann(served: &Served) -> Client {
    let ann = Person::new("ann@example.org").named("Ann");
    served.user(&served.app.register(&ann).await)
}

fn version(answer: &Answer) -> i64 {
    assert_eq!(answer.status, 200, "{answer:?}");
    let version = answer.body["version"].as_i64().unwrap();
    assert_eq!(answer.header("etag"), Some(format!("\"{version}\"").as_str()));
    version
}

on_every_backend! {
    async fn a_merge_patch_changes_what_it_names_and_nothing_else(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = ann(&served).await;
        let mut now = version(&ann.get("/v1/me").await);
        let mut profile = json!({});
        for (patch, expected) in [
            (json!({ "display_name": "Ann", "bio": "" }), json!({ "display_name": "Ann", "bio": "" })),
            (json!({ "bio": null }), json!({ "display_name": "Ann" })),
            (json!({ "locale": null }), json!({ "display_name": "Ann" })),
            (
                json!({ "preferences": { "a": { "b": 1, "c": [1, { "d": null }] }, "e": 1.5 } }),
                json!({ "display_name": "Ann",
                    "preferences": { "a": { "b": 1, "c": [1, { "d": null }] }, "e": 1.5 } }),
            ),
            (
                json!({ "preferences": { "a": { "b": null, "x": { "y": null } }, "e": null } }),
                json!({ "display_name": "Ann",
                    "preferences": { "a": { "c": [1, { "d": null }], "x": {} } } }),
            ),
            (
                json!({ "preferences": { "a": { "c": [] } }, "phone": "+4930123456" }),
                json!({ "display_name": "Ann", "phone": "+4930123456",
                    "preferences": { "a": { "c": [], "x": {} } } }),
            ),
            (json!({ "preferences": {} }), json!({ "display_name": "Ann", "phone": "+4930123456",
                    "preferences": { "a": { "c": [], "x": {} } } })),
            (json!({ "preferences": null, "display_name": null, "phone": null }), json!({})),
        ] {
            let answer = ann.patch("/v1/me", &format!("\"{now}\""), json!({ "profile": patch })).await;
            assert_eq!(answer.body["profile"], expected, "{patch}");
            // What changes nothing moves nothing.
            now += i64::from(profile != expected);
            assert_eq!(version(&answer), now, "{patch}");
            assert_eq!(ann.get("/v1/me").await.body, answer.body);
            profile = expected;
        }
        served.app.assert_invariants().await;
    }

    async fn a_username_is_taken_changed_and_given_up(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = ann(&served).await;
        let bob = served.user(&register(&served, "bob@example.org").await);
        let take = |client: Client, name: Value| async move {
            client.patch("/v1/me", "*", json!({ "username": name })).await
        };
        assert_eq!(take(bob.clone(), json!("aNN")).await.outcome(), (409, "username_taken"));
        // Another spelling of one's own is a change of what is shown.
        let before = version(&ann.get("/v1/me").await);
        let answer = take(ann.clone(), json!("ANN")).await;
        assert_eq!((version(&answer), &answer.body["username"]), (before + 1, &json!("ANN")));
        let answer = take(ann.clone(), json!("ANN")).await;
        assert_eq!(version(&answer), before + 1);
        assert_eq!(take(bob.clone(), json!("ann")).await.status, 409);
        let answer = take(ann.clone(), Value::Null).await;
        assert_eq!((version(&answer), &answer.body["username"]), (before + 2, &Value::Null));
        assert_eq!(take(bob.clone(), json!("ann")).await.status, 200);
        assert_eq!(take(ann.clone(), json!("ann")).await.status, 409);
        // Whoever has the name signs in by it.
        let login = json!({ "identifier": "Ann", "password": PASSWORD });
        let token = served.anyone().post("/v1/login", login).await.text_of("access_token");
        let me = served.bearer(&token).get("/v1/me").await;
        assert_eq!(me.body["email"], "bob@example.org");
        served.app.assert_invariants().await;
    }

    async fn a_login_moves_last_login_at_and_not_the_version(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = ann(&served).await;
        let before = ann.get("/v1/me").await;
        served.app.advance(Duration::from_secs(10));
        served.app.log_in(&Person::new("ann@example.org")).await.unwrap();
        let after = ann.get("/v1/me").await;
        assert_eq!(version(&after), version(&before));
        assert_eq!(after.body["updated_at"], before.body["updated_at"]);
        assert_eq!(before.body["last_login_at"], NOW_TEXT);
        assert_eq!(after.body["last_login_at"], "2026-11-18T11:06:50.123457Z");
        // A refresh is no login, a change is none either, and it moves `updated_at`.
        served.app.advance(Duration::from_secs(10));
        let answer = ann.patch("/v1/me", "*", json!({ "profile": { "bio": "x" } })).await;
        assert_eq!(version(&answer), version(&before) + 1);
        assert_eq!(answer.body["updated_at"], "2026-11-18T11:07:00.123457Z");
        assert_eq!(answer.body["last_login_at"], after.body["last_login_at"]);
    }

    async fn if_match_is_needed_exact_and_strong(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = ann(&served).await;
        let now = version(&ann.get("/v1/me").await);
        let patch = |tags: Vec<String>| {
            let mut ask = ann.ask("PATCH", "/v1/me").json(&json!({}));
            for tag in tags {
                ask = ask.header("if-match", &tag);
            }
            ask.send()
        };
        assert_eq!(patch(vec![]).await.outcome(), (428, "if_match_required"));
        for good in [
            vec!["*".to_owned()],
            vec![format!("\"{now}\"")],
            vec![format!("\"0\", \"{now}\"")],
            vec![format!("\"0\" ,,\t\"{now}\",")],
            vec!["\"0\"".to_owned(), format!("\"{now}\"")],
            vec![format!("W/\"{now}\", \"{now}\"")],
        ] {
            assert_eq!(version(&patch(good.clone()).await), now, "{good:?}");
        }
        for stale in [
            format!("\"{}\"", now - 1),
            format!("\"{}\"", now + 1),
            format!("W/\"{now}\""),
            format!("\"0{now}\""),
            format!("\"+{now}\""),
            format!("\"{now}.0\""),
            "\"\"".to_owned(),
            "\"*\"".to_owned(),
            "\"99999999999999999999\"".to_owned(),
            "\"a\", W/\"b\"".to_owned(),
        ] {
            let answer = patch(vec![stale.clone()]).await;
            assert_eq!(answer.outcome(), (412, "version_conflict"), "{stale}");
        }
        for bad in [
            String::new(), " ".into(), ",".into(), now.to_string(), format!("\"{now}"), format!("{now}\""),
            format!("'{now}'"), format!("w/\"{now}\""), format!("W/ \"{now}\""), "**".into(),
            format!("*, \"{now}\""), format!("\"{now}\" \"{now}\""), "\"a b\"".into(), "\"ä\"".into(),
        ] {
            let answer = patch(vec![bad.clone()]).await;
            assert_eq!(answer.outcome(), (400, "malformed_request"), "{bad:?}");
        }
        assert_eq!(version(&ann.get("/v1/me").await), now);
    }

    async fn the_faults_of_a_patch_are_told_with_their_places(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = ann(&served).await;
        let before = ann.get("/v1/me").await;
        let deep = json!({ "a": { "b": { "c": { "d": { "e": 1 } } } } });
        let many: Value = (0..101).map(|n| (format!("k{n}"), json!(n))).collect();
        for (body, faults) in [
            (json!({ "profile": null }), vec!["/profile wrong_type"]),
            (json!({ "profile": [] }), vec!["/profile wrong_type"]),
            (json!({ "username": 1 }), vec!["/username wrong_type"]),
            (json!({ "username": "a" }), vec!["/username too_short"]),
            (json!({ "username": "admin" }), vec!["/username username_reserved"]),
            (json!({ "email": "x@example.org" }), vec!["/email unknown_member"]),
            (json!({ "profile": { "phone": "030 123" } }), vec!["/profile/phone invalid_format"]),
            (json!({ "profile": { "phone": 49 } }), vec!["/profile/phone wrong_type"]),
            (json!({ "profile": { "nick": "x" } }), vec!["/profile/nick unknown_member"]),
            (json!({ "profile": { "bio": "x".repeat(1001) } }), vec!["/profile/bio too_long"]),
            (json!({ "profile": { "display_name": "a\nb" } }), vec!["/profile/display_name invalid_format"]),
            (json!({ "profile": { "avatar_url": "javascript:alert(1)" } }), vec!["/profile/avatar_url invalid_format"]),
            (json!({ "profile": { "preferences": deep } }), vec!["/profile/preferences too_long"]),
            (json!({ "profile": { "preferences": many } }), vec!["/profile/preferences too_long"]),
            (json!({ "profile": { "preferences": { "a": "x".repeat(8192) } } }), vec!["/profile/preferences too_long"]),
            (
                json!({ "username": "-", "profile": { "phone": "1", "locale": "!" } }),
                vec!["/profile/locale invalid_format", "/profile/phone invalid_format", "/username too_short"],
            ),
        ] {
            let answer = ann.patch("/v1/me", "*", body.clone()).await;
            assert_eq!(answer.outcome(), (422, "validation_failed"), "{body}");
            assert_eq!(answer.faults(), faults, "{body}");
        }
        assert_eq!(ann.get("/v1/me").await.body, before.body);
    }

    async fn what_grew_too_large_by_patches_is_refused_in_its_result(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = ann(&served).await;
        let half = |name: &str| json!({ "profile": { "preferences": { name: "x".repeat(5000) } } });
        assert_eq!(ann.patch("/v1/me", "*", half("a")).await.status, 200);
        let answer = ann.patch("/v1/me", "*", half("b")).await;
        assert_eq!(answer.faults(), ["/profile/preferences too_long"]);
        assert_eq!(ann.patch("/v1/me", "*", half("a")).await.status, 200);
    }
}

#[tokio::test]
async fn a_field_that_only_operators_write_is_read_only_and_one_that_only_they_read_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("profile.json");
    let text = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "nick": { "type": "string", "maxLength": 20 },
            "plan": { "type": "string", "default": "free", "x-portcullis": { "write": "admin" } },
            "note": { "type": "string", "default": "new here",
                "x-portcullis": { "write": "admin", "read": "admin" } },
        },
    });
    std::fs::write(&schema, text.to_string()).unwrap();
    let db = crate::support::database::TestDatabase::sqlite().await;
    let served = Served::start_with(db, &[("PROFILE__SCHEMA", schema.to_str().unwrap())]).await;
    for name in ["plan", "note"] {
        let body =
            json!({ "email": "x@example.org", "password": PASSWORD, "profile": { name: "x" } });
        let answer = served.anyone().post("/v1/signup", body).await;
        assert_eq!(answer.faults(), [format!("/profile/{name} read_only")]);
    }
    let body =
        json!({ "email": "ann@example.org", "password": PASSWORD, "profile": { "nick": "a" } });
    assert_eq!(served.anyone().post("/v1/signup", body).await.status, 202);
    let token = served.app.tokens_mailed_to("ann@example.org").await.pop().unwrap();
    let proof = json!({ "token": token, "password": PASSWORD });
    let token = served.anyone().post("/v1/email/verify", proof).await.text_of("access_token");
    let ann = served.bearer(&token);
    let me = ann.get("/v1/me").await;
    assert_eq!(me.body["profile"], json!({ "nick": "a", "plan": "free" }));
    for (name, value) in [("plan", json!("pro")), ("plan", Value::Null), ("note", json!("x"))] {
        let answer = ann.patch("/v1/me", "*", json!({ "profile": { name: value } })).await;
        assert_eq!(answer.faults(), [format!("/profile/{name} read_only")]);
    }
    let answer = ann.patch("/v1/me", "*", json!({ "profile": { "nick": "b" } })).await;
    assert_eq!(answer.body["profile"], json!({ "nick": "b", "plan": "free" }));
    let stored = served.app.database.raw().await.texts("SELECT profile FROM users").await;
    let stored: Value = serde_json::from_str(&stored[0]).unwrap();
    assert_eq!(stored, json!({ "nick": "b", "plan": "free", "note": "new here" }));
}
