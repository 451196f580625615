//! Webhook endpoints over the wire, on the admin listener: who may call, what is taken, and what is never shown again.

use portcullis::flows::tokens::Tokens;
use portcullis::http::admin_api;
use serde_json::{Value, json};

use super::register;
use crate::jobs::webhooks::LOOPBACK;
use crate::support::clients::Client;
use crate::support::database::TestDatabase;
use crate::support::receiver::{Mode, Receiver};
use crate::support::serve::Served;

const PATH: &str = "/admin/v1/webhooks";
const ID: &str = "018f4f5e-7b1c-7cc3-9f3a-0123456789ab";

/// Signs somebody up and makes them an administrator.
async fn administrator(served: &Served) -> Tokens {
    let tokens = register(served, "root@example.org").await;
    let grant = "INSERT INTO user_roles (user_id, role, granted_at)
                 SELECT id, 'admin', created_at FROM users WHERE email_canonical = 'root@example.org'";
    assert_eq!(served.app.database.execute(grant).await, 1);
    tokens
}

async fn start(db: TestDatabase) -> (Served, Client) {
    let served = Served::start_with(db, &LOOPBACK).await;
    let tokens = administrator(&served).await;
    let admin = served.administrator(&tokens);
    (served, admin)
}

async fn create(admin: &Client, body: Value) -> Value {
    let answer = admin.post(PATH, body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

fn good() -> Value {
    json!({ "url": "https://example.org/hooks", "events": ["user.created"] })
}

on_every_backend! {
    async fn an_endpoint_is_made_shown_changed_and_removed(db: TestDatabase) {
        let (served, admin) = start(db).await;
        let body = json!({ "url": "https://EXAMPLE.org", "events": ["user.verified", "user.created"], "description": "CRM" });
        let made = admin.post(PATH, body).await;
        assert_eq!(made.status, 201);
        let id = made.text_of("id");
        let at = format!("{PATH}/{id}");
        assert_eq!(made.header("location"), Some(at.as_str()));
        let secret = made.text_of("secret");
        assert!(secret.starts_with("whsec_") && secret.len() == 6 + 44, "WHK-01: 32 bytes with padding");
        assert_eq!(made.body["url"], "https://example.org/");
        assert_eq!(made.body["events"], json!(["user.created", "user.verified"]));
        assert_eq!((&made.body["state"], &made.body["version"]), (&json!("enabled"), &json!(1)));

        let got = admin.get(&at).await;
        assert_eq!((got.status, got.header("etag")), (200, Some("\"1\"")));
        assert!(!got.text.contains("whsec_") && got.body.get("secret").is_none(), "shown once");
        let mut shown = made.body.clone();
        shown.as_object_mut().unwrap().remove("secret");
        assert_eq!(got.body, shown);

        let wish = json!({ "state": "disabled", "description": null, "events": ["*"] });
        let patched = admin.patch(&at, "\"1\"", wish.clone()).await;
        assert_eq!((patched.status, patched.header("etag")), (200, Some("\"2\"")));
        let state = (&patched.body["state"], &patched.body["disabled_reason"], &patched.body["description"]);
        assert_eq!(state, (&json!("disabled"), &json!("operator"), &Value::Null));
        assert_eq!(patched.body["events"], json!(["*"]));
        assert_eq!(admin.patch(&at, "\"1\"", wish.clone()).await.outcome(), (412, "version_conflict"));
        let same = admin.patch(&at, "*", wish.clone()).await;
        assert_eq!(same.header("etag"), Some("\"2\""), "a patch that changes nothing");
        assert_eq!(admin.ask("PATCH", &at).json(&wish).send().await.outcome(), (428, "if_match_required"));
        let enabled = admin.patch(&at, "\"2\"", json!({ "state": "enabled" })).await;
        assert_eq!((&enabled.body["state"], &enabled.body["disabled_reason"]), (&json!("enabled"), &Value::Null));

        let rotated = admin.ask("POST", &format!("{at}/rotate-secret")).send().await;
        assert_eq!(rotated.status, 200);
        assert_ne!(rotated.text_of("secret"), secret);
        assert_eq!(rotated.text_of("previous_secret_until"), "2026-11-19T11:06:40.123457Z");

        let all = admin.get(&format!("{PATH}?count=true")).await;
        assert_eq!((all.body["total"].as_i64(), all.body["items"].as_array().unwrap().len()), (Some(1), 1));
        assert_eq!(admin.delete(&at).await.status, 204);
        for (method, path) in [("GET", at.clone()), ("DELETE", at.clone()), ("GET", format!("{at}/deliveries")),
            ("POST", format!("{at}/rotate-secret")), ("POST", format!("{at}/test"))] {
            assert_eq!(admin.ask(method, &path).send().await.outcome(), (404, "not_found"), "{method} {path}");
        }
        assert_eq!(admin.patch(&at, "*", json!({})).await.outcome(), (404, "not_found"));

        let trail = "SELECT action FROM events WHERE subject_kind = 'webhook' AND actor_kind = 'user' ORDER BY id";
        let actions = served.app.database.raw().await.texts(trail).await;
        let expected = ["webhook.created", "webhook.disabled", "webhook.updated", "webhook.updated", "webhook.updated",
            "webhook.deleted"];
        assert_eq!(actions, expected);
        served.app.assert_invariants().await;
    }

    async fn deliveries_are_listed_page_by_page_and_sent_again(db: TestDatabase) {
        let (served, admin) = start(db).await;
        let receiver = Receiver::start(Mode::good()).await;
        let made = create(&admin, json!({ "url": receiver.url(), "events": ["*"] })).await;
        let at = format!("{PATH}/{}", made["id"].as_str().unwrap());
        let tried = admin.ask("POST", &format!("{at}/test")).send().await;
        assert_eq!((tried.status, tried.text_of("status").as_str()), (202, "accepted"));
        register(&served, "ann@example.org").await;
        let deliver = async || {
            let settings = crate::jobs::webhooks::settings();
            portcullis::jobs::webhooks::deliver_due(&served.app.app, settings).await.unwrap()
        };
        assert_eq!(deliver().await, 4);
        let first = admin.get(&format!("{at}/deliveries?limit=3&count=true")).await;
        assert_eq!((first.status, first.body["total"].as_i64()), (200, Some(4)));
        let cursor = first.text_of("next_cursor");
        let rest = admin.get(&format!("{at}/deliveries?limit=3&cursor={cursor}")).await;
        assert_eq!((rest.body["items"].as_array().unwrap().len(), &rest.body["next_cursor"]), (1, &Value::Null));
        let foreign = admin.get(&format!("{PATH}?cursor={cursor}")).await;
        assert_eq!(foreign.outcome(), (400, "cursor_invalid"));
        let items = [first.body["items"].as_array().unwrap().clone(), rest.body["items"].as_array().unwrap().clone()].concat();
        let test = items.iter().find(|item| item["type"] == "webhook.test").unwrap();
        assert_eq!(test["event_id"], tried.body["event_id"]);
        let one = items.iter().find(|item| item["type"] == "user.created").unwrap();
        assert_eq!((&one["status"], &one["message_state"]), (&json!(200), &json!("delivered")));

        let id = one["id"].as_str().unwrap();
        let other = create(&admin, good()).await;
        let elsewhere = format!("{PATH}/{}/deliveries/{id}/redeliver", other["id"].as_str().unwrap());
        assert_eq!(admin.ask("POST", &elsewhere).send().await.outcome(), (404, "not_found"), "AUZ-03");
        let again = admin.ask("POST", &format!("{at}/deliveries/{id}/redeliver")).send().await;
        assert_eq!((again.status, &again.body), (202, &json!({ "status": "accepted" })));
        assert_eq!(deliver().await, 1);
        let seen = receiver.seen();
        assert_eq!((seen.len(), seen[4].id()), (5, one["event_id"].as_str().unwrap()));
        admin.patch(&at, "*", json!({ "state": "disabled" })).await;
        let refused = admin.ask("POST", &format!("{at}/deliveries/{id}/redeliver")).send().await;
        assert_eq!(refused.outcome(), (409, "state_conflict"));
    }
}

#[tokio::test]
async fn auz_05_the_calls_for_administrators_are_theirs_and_on_their_listener_alone() {
    let served = Served::sqlite().await;
    let user = register(&served, "ann@example.org").await;
    let tokens = administrator(&served).await;
    let rows = admin_api::rows().into_iter().filter(|row| row.path.starts_with("/admin/"));
    for row in rows {
        let path = row.path.replace("{id}", ID).replace("{delivery}", ID);
        let method = row.verb.method().to_string();
        let public = served.user(&tokens).ask(&method, &path).send().await;
        assert_eq!(public.outcome(), (404, "not_found"), "{method} {path}");
        let nobody = served.admin().ask(&method, &path).send().await;
        assert_eq!(nobody.outcome(), (401, "authentication_required"), "{method} {path}");
        let broken = served.admin().with_token("broken").ask(&method, &path).send().await;
        assert_eq!(broken.outcome(), (401, "access_token_invalid"), "{method} {path}");
        let other = served.administrator(&user).ask(&method, &path).send().await;
        assert_eq!(other.outcome(), (403, "permission_denied"), "{method} {path}");
        if row.path.contains('{') {
            let no_id = path.replace(ID, "0");
            let answer = served.admin().ask(&method, &no_id).send().await;
            assert_eq!(answer.outcome(), (404, "not_found"), "AUZ-04: {method} {no_id}");
        }
    }
    // The role counts as it is now, whatever the token says.
    let admin = served.administrator(&tokens);
    assert_eq!(admin.get(PATH).await.status, 200);
    served.app.database.execute("DELETE FROM user_roles").await;
    assert_eq!(admin.get(PATH).await.outcome(), (403, "permission_denied"));
}

#[tokio::test]
async fn auz_02_what_an_endpoint_is_made_of_is_checked_whole() {
    let (served, admin) = start(TestDatabase::sqlite().await).await;
    let long = "x".repeat(201);
    let cases = [
        (json!({}), vec!["/events required", "/url required"]),
        (json!({ "url": 7, "events": "*" }), vec!["/events wrong_type", "/url wrong_type"]),
        (json!({ "url": "https://10.0.0.1/", "events": ["*"] }), vec!["/url not_allowed"]),
        (
            json!({ "url": "https://u:p@example.org/", "events": ["*"] }),
            vec!["/url invalid_format"],
        ),
        (json!({ "url": "https://example.org/", "events": [] }), vec!["/events too_short"]),
        (
            json!({ "url": "https://example.org/", "events": ["user.created", "user.crated", "key.rotated"] }),
            vec!["/events/1 not_allowed", "/events/2 not_allowed"],
        ),
        (
            json!({ "url": "https://10.0.0.1/", "events": ["*", "user.created"] }),
            vec!["/events/0 not_allowed", "/url not_allowed"],
        ),
        (
            json!({ "url": "https://example.org/", "events": ["*"], "description": long }),
            vec!["/description too_long"],
        ),
        (
            json!({ "url": "https://example.org/", "events": ["*"], "description": "a\nb" }),
            vec!["/description invalid_format"],
        ),
    ];
    for (body, faults) in cases {
        let answer = admin.post(PATH, body.clone()).await;
        assert_eq!(
            (answer.outcome(), answer.faults()),
            ((422, "validation_failed"), faults.into_iter().map(Into::into).collect()),
            "{body}"
        );
    }
    for member in ["id", "state", "secret", "version", "created_at", "failing_since", "__proto__"] {
        let mut body = good();
        body[member] = json!("x");
        let answer = admin.post(PATH, body).await;
        assert_eq!(answer.faults(), [format!("/{member} unknown_member")]);
    }
    let count = "SELECT COUNT(*) FROM webhooks";
    assert_eq!(served.app.database.count(count).await, 0);

    let made = create(&admin, good()).await;
    let at = format!("{PATH}/{}", made["id"].as_str().unwrap());
    for (body, fault) in [
        (json!({ "url": null }), "/url wrong_type"),
        (json!({ "url": "http://169.254.169.254/" }), "/url not_allowed"),
        (json!({ "events": ["nothing"] }), "/events/0 not_allowed"),
        (json!({ "state": "gone" }), "/state not_allowed"),
        (json!({ "secret": "whsec_x" }), "/secret unknown_member"),
        (json!({ "disabled_reason": "gone" }), "/disabled_reason unknown_member"),
    ] {
        assert_eq!(admin.patch(&at, "*", body.clone()).await.faults(), [fault], "{body}");
    }
    let query = admin.get(&format!("{at}?x=1")).await;
    assert_eq!(query.outcome(), (422, "validation_failed"));
}

#[tokio::test]
async fn whk_10_there_are_no_more_endpoints_than_have_places_of_their_own() {
    let (_served, admin) = start(TestDatabase::sqlite().await).await;
    for _ in 0..portcullis::flows::webhooks::ENDPOINTS_MAX {
        create(&admin, good()).await;
    }
    assert_eq!(admin.post(PATH, good()).await.outcome(), (409, "state_conflict"));
    let (mut seen, mut path) = (0, PATH.to_owned());
    loop {
        let page = admin.get(&path).await;
        seen += page.body["items"].as_array().unwrap().len();
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        let link = page.header("link").unwrap();
        path = format!("{PATH}?limit=25&cursor={cursor}");
        assert_eq!(link, format!("<{path}>; rel=\"next\""));
    }
    assert_eq!(seen, usize::from(portcullis::flows::webhooks::ENDPOINTS_MAX));
}

#[tokio::test]
async fn the_admin_listener_serves_its_own_document_and_pages() {
    let served = Served::sqlite().await;
    let document = served.admin().get("/openapi.json").await;
    assert_eq!(document.status, 200);
    assert!(document.body["paths"].get(PATH).is_some());
    assert_eq!(document.body["servers"], json!([{ "url": "/" }]));
    assert_eq!(served.admin().get("/docs/").await.status, 200);
    let public = served.anyone().get("/openapi.json").await;
    assert!(public.body["paths"].get(PATH).is_none());
    for one in [&document.body, &public.body] {
        assert_eq!(one["webhooks"].as_object().unwrap().len(), 18, "17 types and the test");
    }
}
