//! What is told of which event, and when it is told again.

use serde_json::json;
use uuid::Uuid;

use super::*;

const AT: Timestamp = Timestamp::from_micros(1_795_000_000_123_457);

fn told(action: Action, data: Value, schema: &ProfileSchema) -> Option<Value> {
    let subject = Subject::User(UserId(Uuid::from_u128(7)));
    let Value::Object(data) = data else { panic!("no object") };
    let text = message((action, &subject), AT, &data, schema)?;
    Some(serde_json::from_str(&text).unwrap())
}

fn schema() -> ProfileSchema {
    let text = json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "bio": { "type": "string" },
            "risk": { "type": "string", "x-portcullis": { "read": "admin", "write": "admin" } },
        },
    });
    ProfileSchema::from_json(&text.to_string()).unwrap()
}

#[test]
fn whk_09_a_message_says_what_its_type_says_and_no_more() {
    let user = "00000000-0000-0000-0000-000000000007";
    let canary = json!({
        "session_id": user, "role": "admin", "changed": ["username", "profile.bio"],
        "generation": 3, "email": "canary@example.org", "token": "pcr_canary", "risk": "canary",
    });
    let mut types = Vec::new();
    for (action, facts) in catalogue() {
        types.push(action.as_str());
        let body = told(action, canary.clone(), &schema()).unwrap();
        let data = match facts {
            Facts::User => json!({ "user_id": user }),
            Facts::Changed => {
                json!({ "user_id": user, "changed": ["username", "profile.bio"] })
            }
            Facts::Session => json!({ "user_id": user, "session_id": user }),
            Facts::Role => json!({ "user_id": user, "role": "admin" }),
        };
        let at = "2026-11-18T11:06:40.123457Z";
        assert_eq!(body, json!({ "type": action.as_str(), "timestamp": at, "data": data }));
    }
    assert_eq!(types.len(), 17, "{types:?}");
    for action in [Action::WebhookCreated, Action::KeyRotated, Action::MailGivenUp] {
        assert_eq!(told(action, canary.clone(), &schema()), None);
    }
}

#[test]
fn whk_09_not_even_the_name_of_a_field_for_administrators_goes_out() {
    let data = json!({ "changed": ["profile.risk", "profile.bio", "profile.gone", "username"] });
    let body = told(Action::UserUpdated, data, &schema()).unwrap();
    assert_eq!(body["data"]["changed"], json!(["profile.bio", "username"]));
}

#[test]
fn a_message_that_cannot_say_what_its_type_must_is_none() {
    assert_eq!(told(Action::SessionEnded, json!({}), &schema()), None);
    assert_eq!(told(Action::SessionEnded, json!({ "session_id": "x" }), &schema()), None);
    assert_eq!(told(Action::RoleGranted, json!({ "role": 7 }), &schema()), None);
}

#[test]
fn whk_04_the_pauses_grow_and_span_a_day_at_least() {
    let least: Vec<Duration> =
        (1..=7).map(|tries| pause(tries, None, |_| Duration::ZERO).unwrap()).collect();
    assert!(least.is_sorted());
    assert!(least.iter().sum::<Duration>() >= Duration::from_hours(24));
    let most = |tries| pause(tries, None, |max| max).unwrap();
    assert_eq!(most(1), Duration::from_secs(6));
    assert_eq!(most(7), Duration::from_hours(12));
    for tries in [i64::MIN, -1, 0, 8, i64::MAX] {
        assert_eq!(pause(tries, None, |max| max), None, "{tries}");
    }
}

#[test]
fn whk_04_a_receiver_may_ask_for_a_longer_pause_within_bounds() {
    let asked = |tries, seconds| {
        pause(tries, Some(Duration::from_secs(seconds)), |_| Duration::ZERO).unwrap()
    };
    assert_eq!(asked(1, 1), Duration::from_secs(5));
    assert_eq!(asked(1, 120), Duration::from_mins(2));
    assert_eq!(asked(1, u64::MAX), Duration::from_hours(12));
}

#[test]
fn a_filter_is_all_or_a_list_of_types() {
    let places = |words: &[&str]| -> Vec<String> {
        let faults = Filter::parse(words).unwrap_err();
        faults.into_iter().map(|fault| fault.pointer).collect()
    };
    assert_eq!(Filter::parse(&["*"]).unwrap().words(), ["*"]);
    let two = ["user.verified", "user.created", "user.verified"];
    assert_eq!(Filter::parse(&two).unwrap().words(), ["user.created", "user.verified"]);
    assert_eq!(places(&["user.created", "user.crated", "*"]), ["/events/1", "/events/2"]);
    assert_eq!(places(&["key.rotated", TEST_TYPE, ""]), ["/events/0", "/events/1", "/events/2"]);
    assert_eq!(places(&[]), ["/events"]);
    assert_eq!(Filter::from("*".to_owned()).words(), ["*"]);
    assert_eq!(Filter::from("future.type,user.created".to_owned()).words(), ["user.created"]);
}
