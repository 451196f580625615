//! `portcullis webhooks`: endpoints by the command line, with its exit codes and its name in the trail.

use serde_json::{Value, json};
use sqlx::Row;

use super::House;

const URL: &str = "https://example.org/hooks";
const ID: &str = "018f4f5e-7b1c-7cc3-9f3a-0123456789ab";

#[tokio::test]
async fn endpoints_are_managed_and_every_change_is_in_the_trail() {
    let house = House::new();
    let create =
        ["webhooks", "create", URL, "--event", "user.created", "--event", "role.granted", "--json"];
    let made = house.run(&create).is(0).json();
    let id = made[0]["id"].as_str().unwrap().to_owned();
    let secret = made[0]["secret"].as_str().unwrap();
    assert_eq!(made[0]["events"], json!(["role.granted", "user.created"]));
    let listed = house.run(&["webhooks", "list", "--json"]).is(0);
    assert!(!listed.out.contains("whsec_"), "shown once");
    assert_eq!(listed.json()[0]["id"], made[0]["id"]);
    let table = house.run(&["webhooks", "list"]).is(0).out;
    assert!(table.starts_with("ID ") && table.contains(URL), "{table}");

    let changed = house
        .run(&["webhooks", "update", &id, "--disable", "--description", "CRM", "--json"])
        .is(0)
        .json();
    assert_eq!(
        (&changed[0]["state"], &changed[0]["disabled_reason"]),
        (&json!("disabled"), &json!("operator"))
    );
    house.run(&["webhooks", "test", &id]).is(4);
    house.run(&["webhooks", "update", &id, "--enable", "--event", "*"]).is(0);
    let shown = house.run(&["webhooks", "show", &id, "--json"]).is(0).json();
    assert_eq!((&shown[0]["description"], &shown[0]["events"]), (&json!("CRM"), &json!(["*"])));
    let rotated = house.run(&["webhooks", "rotate-secret", &id, "--json"]).is(0).json();
    assert_ne!(rotated[0]["secret"].as_str().unwrap(), secret);
    let tried = house.run(&["webhooks", "test", &id, "--json"]).is(0).json();
    assert_eq!(tried[0]["status"], "accepted");
    assert_eq!(
        house.run(&["webhooks", "deliveries", &id, "--json"]).is(0).out,
        "",
        "nobody serves"
    );
    house.run(&["webhooks", "delete", &id]).is(2);
    assert_eq!(house.run(&["webhooks", "delete", &id, "--yes"]).is(0).out, "");
    house.run(&["webhooks", "show", &id]).is(3);

    let mut database = house.database().await;
    let trail = "SELECT action, actor_kind, data FROM events JOIN event_details ON event_details.event_id = events.id
                 WHERE subject_kind = 'webhook' ORDER BY events.id";
    let rows = sqlx::query(trail).fetch_all(&mut database).await.unwrap();
    let told: Vec<(String, Value)> = rows
        .iter()
        .map(|row| {
            assert_eq!(row.get::<String, _>(1), "cli");
            (row.get(0), serde_json::from_str(&row.get::<String, _>(2)).unwrap())
        })
        .collect();
    let line = |action: &str, data: Value| (action.to_owned(), data);
    let expected = [
        line("webhook.created", json!({})),
        line("webhook.disabled", json!({ "reason": "operator" })),
        line("webhook.updated", json!({ "changed": ["description"] })),
        line("webhook.updated", json!({ "changed": ["events", "state"] })),
        line("webhook.updated", json!({ "changed": ["secret"] })),
        line("webhook.deleted", json!({})),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_wrong_has_the_exit_code_of_its_kind() {
    let house = House::new();
    house.run(&["webhooks", "create", URL]).is(2);
    house.run(&["webhooks", "update", ID]).is(2);
    house.run(&["webhooks", "update", ID, "--enable", "--disable"]).is(2);
    house.run(&["webhooks", "show", "nobody"]).is(2);
    let bad =
        house.run(&["webhooks", "create", "https://127.0.0.1/", "--event", "user.crated"]).is(65);
    assert!(bad.err.contains("/url: ") && bad.err.contains("/events/0: "), "{bad:?}");
    for verb in ["show", "rotate-secret", "test", "deliveries", "redeliver"] {
        house.run(&["webhooks", verb, ID]).is(3);
    }
    house.run(&["webhooks", "update", ID, "--enable"]).is(3);
    house.run(&["webhooks", "delete", ID, "--yes"]).is(3);
    let document = house.run(&["openapi", "--admin"]).is(0).out;
    let file = house.write("admin.json", &document);
    assert_eq!(house.run(&["openapi", "--admin", "--check", &file]).is(0).out, "");
    let stale = house.run(&["openapi", "--check", &file]).is(1);
    assert!(stale.err.contains("portcullis openapi >"), "{stale:?}");
}
