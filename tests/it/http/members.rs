//! Members of another kind than the call takes: 422 with a pointer to each, never the value, and nothing is done.

use serde_json::{Value, json};

use super::calls::{Stage, calls};
use super::{PASSWORD, register};

/// Every way to spell that somebody wants more than they may have (AUZ-02).
const NEVER_BOUND: [&str; 26] = [
    "roles",
    "role",
    "status",
    "email_verified",
    "email_verified_at",
    "verified",
    "id",
    "user_id",
    "created_at",
    "updated_at",
    "last_login_at",
    "password_hash",
    "hash",
    "version",
    "suspended_at",
    "deleted_at",
    "is_admin",
    "admin",
    "permissions",
    "session_id",
    "client_id",
    "pending_since",
    "__proto__",
    "constructor",
    "prototype",
    "$where",
];

#[tokio::test]
async fn a_member_of_another_type_is_422_with_its_pointer() {
    let stage = Stage::new().await;
    for call in calls() {
        for (name, right) in call.body.as_object().unwrap() {
            for wrong in
                [json!(null), json!(1), json!(true), json!("x"), json!([]), json!({ "$gt": "" })]
            {
                let is_nullable = call.nullable.contains(&name.as_str());
                let is_right_type = std::mem::discriminant(right) == std::mem::discriminant(&wrong);
                if is_right_type || wrong.is_null() && is_nullable {
                    continue;
                }
                let mut body = call.body.clone();
                body[name] = wrong.clone();
                let answer = stage.ask(&call).json(&body).send().await;
                let told = (answer.status, answer.faults());
                let expected = vec![format!("/{name} wrong_type")];
                assert_eq!(told, (422, expected), "{} {name} {wrong}", call.path);
            }
        }
    }
    stage.assert_untouched().await;
}

#[tokio::test]
async fn a_missing_member_is_named_and_all_faults_are_told_at_once() {
    let stage = Stage::new().await;
    for call in calls() {
        for name in call.required {
            let mut body = call.body.clone();
            body.as_object_mut().unwrap().remove(*name);
            let answer = stage.ask(&call).json(&body).send().await;
            assert_eq!(answer.faults(), [format!("/{name} required")], "{}", call.path);
        }
        let answer = stage.ask(&call).json(&json!({ "x": 1, "y/z~": PASSWORD })).send().await;
        let mut expected =
            vec!["/x unknown_member".to_owned(), "/y~1z~0 unknown_member".to_owned()];
        expected.extend(call.required.iter().map(|name| format!("/{name} required")));
        expected.sort();
        let mut told = answer.faults();
        told.sort();
        assert_eq!((answer.status, told), (422, expected), "{}", call.path);
        assert!(!answer.text.contains(PASSWORD), "{answer:?}");
    }
    stage.assert_untouched().await;
}

/// The places of all texts in a body, as pointers.
fn texts(value: &Value, at: &str) -> Vec<String> {
    match value {
        Value::String(_) => vec![at.to_owned()],
        Value::Object(members) => {
            members.iter().flat_map(|(name, value)| texts(value, &format!("{at}/{name}"))).collect()
        }
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn inp_05_u_0000_in_any_text_is_422() {
    let stage = Stage::new().await;
    for call in calls() {
        for pointer in texts(&call.body, "") {
            for text in ["\u{0}", "a\u{0}b"] {
                let mut body = call.body.clone();
                *body.pointer_mut(&pointer).unwrap() = json!(text);
                let answer = stage.ask(&call).json(&body).send().await;
                let expected = vec![format!("{pointer} invalid_format")];
                assert_eq!((answer.status, answer.faults()), (422, expected), "{}", call.path);
            }
        }
        let mut body = call.body.clone();
        body["a\u{0}"] = json!(1);
        assert_eq!(stage.ask(&call).json(&body).send().await.status, 422, "{}", call.path);
    }
    let logout = json!({ "refresh_token": "pcr_\u{0}" });
    let answer = stage.served.anyone().post("/v1/logout", logout).await;
    assert_eq!(answer.faults(), ["/refresh_token invalid_format"]);
    let free = json!({ "profile": { "preferences": { "a": ["\u{0}"] } } });
    let answer = stage.served.user(&stage.tokens).patch("/v1/me", "*", free).await;
    assert_eq!(answer.faults(), ["/profile/preferences/a/0 invalid_format"]);
    stage.assert_untouched().await;
}

#[tokio::test]
async fn inp_07_numbers_beyond_all_numbers_are_422() {
    let stage = Stage::new().await;
    for call in calls() {
        for number in ["1e999", "-1e999", "1e400", "123456789e9999999999"] {
            let body = format!("{{\"x\":{number}}}");
            let answer = stage.ask(&call).json_text(body).send().await;
            assert_eq!(answer.faults(), ["/x out_of_range"], "{} {number}", call.path);
        }
    }
    let nested = "{\"profile\":{\"preferences\":{\"n\":[1,1e999]}}}";
    let patch = stage.served.user(&stage.tokens).ask("PATCH", "/v1/me").header("if-match", "*");
    let answer = patch.json_text(nested).send().await;
    assert_eq!(answer.faults(), ["/profile/preferences/n/1 out_of_range"]);
    stage.assert_untouched().await;
}

#[tokio::test]
async fn auz_02_what_is_not_the_client_s_never_binds() {
    let stage = Stage::new().await;
    for call in calls() {
        for name in NEVER_BOUND {
            for value in
                [json!("admin"), json!(["admin"]), json!(true), json!({ "is_admin": true })]
            {
                let mut body = call.body.clone();
                body[name] = value;
                let answer = stage.ask(&call).json(&body).send().await;
                let expected = vec![format!("/{name} unknown_member")];
                assert_eq!((answer.status, answer.faults()), (422, expected), "{}", call.path);
            }
        }
    }
    // Nor within the profile.
    for name in NEVER_BOUND {
        let profile = json!({ name: ["admin"] });
        let signup = json!({ "email": "n@example.org", "password": PASSWORD, "profile": profile });
        let patch = json!({ "profile": profile });
        for answer in [
            stage.served.anyone().post("/v1/signup", signup).await,
            stage.served.user(&stage.tokens).patch("/v1/me", "*", patch).await,
        ] {
            let expected = vec![format!("/profile/{name} unknown_member")];
            assert_eq!((answer.status, answer.faults()), (422, expected));
        }
    }
    stage.assert_untouched().await;
    let me = stage.served.user(&stage.tokens).get("/v1/me").await;
    assert_eq!((&me.body["roles"], &me.body["status"]), (&json!([]), &json!("active")));
}

#[tokio::test]
async fn inp_12_signup_tells_every_bad_value_at_once() {
    let stage = Stage::new().await;
    let body = json!({
        "email": "no address", "password": "short", "username": "a b",
        "profile": { "phone": "123", "locale": "??", "birth_date": "2026-02-30", "timezone": "Mars",
            "avatar_url": "http://plain.test/a", "display_name": "x".repeat(101) },
    });
    let answer = stage.served.anyone().post("/v1/signup", body).await;
    assert_eq!(answer.outcome(), (422, "validation_failed"));
    assert_eq!(
        answer.faults(),
        [
            "/email invalid_format",
            "/password password_too_short",
            "/profile/avatar_url invalid_format",
            "/profile/birth_date invalid_format",
            "/profile/display_name too_long",
            "/profile/locale invalid_format",
            "/profile/phone invalid_format",
            "/profile/timezone invalid_format",
            "/username invalid_format",
        ]
    );
    for name in ["admin", "ROOT", "me"] {
        let body = json!({ "email": "n@example.org", "password": PASSWORD, "username": name });
        let answer = stage.served.anyone().post("/v1/signup", body).await;
        assert!(
            [vec!["/username username_reserved"], vec!["/username too_short"]]
                .contains(&answer.faults().iter().map(String::as_str).collect()),
            "{answer:?}"
        );
    }
    for name in
        ["\u{430}nn", "a\u{202e}nn", "a\u{200d}nn", "a@b", ".ann", "ann-", "a b", "ann\n", "ａnn"]
    {
        let body = json!({ "email": "n@example.org", "password": PASSWORD, "username": name });
        let answer = stage.served.anyone().post("/v1/signup", body).await;
        assert_eq!(answer.faults(), ["/username invalid_format"], "{name:?}");
    }
    for (password, code) in [
        ("n@example.org", "password_too_common"),
        ("portcullis12", "password_too_common"),
        ("password1234", "password_too_common"),
        ("x".repeat(257).as_str(), "password_too_long"),
        ("elevenchars", "password_too_short"),
        ("", "password_too_short"),
    ] {
        let body = json!({ "email": "n@example.org", "password": password });
        let answer = stage.served.anyone().post("/v1/signup", body).await;
        assert_eq!(answer.faults(), [format!("/password {code}")], "{password}");
    }
    stage.assert_untouched().await;
}

#[tokio::test]
async fn the_audience_of_a_login_is_one_of_ours() {
    let stage = Stage::new().await;
    register(&stage.served, "bob@example.org").await;
    for audience in ["orders", "Portcullis", "", "portcullis "] {
        let body = json!({
            "identifier": "bob@example.org", "password": PASSWORD, "audience": audience
        });
        let answer = stage.served.anyone().post("/v1/login", body).await;
        assert_eq!(answer.faults(), ["/audience audience_unknown"], "{audience}");
    }
}
