//! From signup to logout by HTTP, with every member of every answer.

use serde_json::{Value, json};

use super::{NOW_TEXT, PASSWORD};
use crate::support::clients::Answer;
use crate::support::serve::Served;

const EMAIL: &str = "Ann@Example.org";

/// Checks a token answer: its members, nothing else, and the values that do not vary.
#[track_caller]
fn assert_is_token_answer(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let (access, refresh) = (answer.text_of("access_token"), answer.text_of("refresh_token"));
    let expected = json!({
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": refresh,
        "refresh_expires_in": 2_592_000,
        "session_id": super::part(&access, 1)["sid"],
    });
    assert_eq!(answer.body, expected);
    assert_eq!((refresh.len(), &refresh[..4]), (47, "pcr_"));
    (access, refresh)
}

async fn sign_up_and_verify(served: &Served) -> (String, String) {
    let anyone = served.anyone();
    let signup = json!({
        "email": format!("  {EMAIL} "), "password": PASSWORD, "username": "Ann",
        "profile": { "display_name": "Ann Ö", "preferences": { "a": { "b": 1 } } },
    });
    let answer = anyone.post("/v1/signup", signup).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.text, r#"{"status":"verification_required"}"#);

    let login = json!({ "identifier": EMAIL, "password": PASSWORD });
    let answer = anyone.post("/v1/login", login).await;
    assert_eq!(answer.outcome(), (403, "email_not_verified"));
    assert_eq!(answer.body["next"], json!(["verify_email"]));
    let answer = anyone.post("/v1/email/resend", json!({ "email": EMAIL })).await;
    assert_eq!((answer.status, answer.text.as_str()), (202, r#"{"status":"accepted"}"#));

    let token = served.app.tokens_mailed_to(EMAIL).await.pop().unwrap();
    let wrong = json!({ "token": token, "password": "somebody else's" });
    let answer = anyone.post("/v1/email/verify", wrong).await;
    assert_eq!(answer.outcome(), (401, "invalid_credentials"));
    assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="portcullis""#));
    let proof = json!({ "token": token, "password": PASSWORD });
    let tokens = assert_is_token_answer(&anyone.post("/v1/email/verify", proof.clone()).await);
    let answer = anyone.post("/v1/email/verify", proof).await;
    assert_eq!(answer.outcome(), (422, "token_invalid"));
    tokens
}

async fn see_and_change_me(served: &Served, access: &str) {
    let ann = served.bearer(access);
    let answer = ann.get("/v1/me").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let mut me = json!({
        "id": super::part(access, 1)["sub"],
        "email": EMAIL,
        "email_verified": true,
        "username": "Ann",
        "status": "active",
        "roles": [],
        "profile": { "display_name": "Ann Ö", "preferences": { "a": { "b": 1 } } },
        "created_at": NOW_TEXT,
        "updated_at": NOW_TEXT,
        "last_login_at": NOW_TEXT,
        "version": answer.body["version"],
    });
    assert_eq!(answer.body, me);
    let tag = format!("\"{}\"", answer.body["version"]);
    assert_eq!(answer.header("etag"), Some(tag.as_str()));
    let head = ann.head("/v1/me").await;
    assert_eq!((head.status, head.header("etag")), (200, Some(tag.as_str())));
    assert_eq!(head.header("content-length"), answer.header("content-length"));

    let patch = json!({ "profile": { "display_name": null, "locale": "de-AT" } });
    let patched = ann.patch("/v1/me", &tag, patch).await;
    me["profile"] = json!({ "locale": "de-AT", "preferences": { "a": { "b": 1 } } });
    me["version"] = json!(answer.body["version"].as_i64().unwrap() + 1);
    assert_eq!((patched.status, &patched.body), (200, &me));
    assert_eq!(patched.header("etag"), Some(format!("\"{}\"", me["version"]).as_str()));
    assert_eq!(ann.get("/v1/me").await.body, me);
}

on_every_backend! {
    async fn somebody_signs_up_verifies_signs_in_refreshes_and_logs_out(db: TestDatabase) {
        let served = Served::start(db).await;
        let anyone = served.anyone();
        let (first_access, first_refresh) = sign_up_and_verify(&served).await;
        see_and_change_me(&served, &first_access).await;

        let by_address = json!({ "identifier": "ANN@example.ORG ", "password": PASSWORD });
        let (access, refresh) = assert_is_token_answer(&anyone.post("/v1/login", by_address).await);
        let by_name = json!({ "identifier": "aNN", "password": PASSWORD });
        let (other, _) = assert_is_token_answer(&anyone.post("/v1/login", by_name).await);
        assert_eq!(sessions(&served, &other).await, 3);

        let body = json!({ "refresh_token": refresh });
        let answer = anyone.post("/v1/token/refresh", body.clone()).await;
        let (next_access, next_refresh) = assert_is_token_answer(&answer);
        assert_ne!(next_refresh, refresh);
        assert_eq!(super::part(&next_access, 1)["sid"], super::part(&access, 1)["sid"]);
        // The answer was lost: the same refresh token again.
        let again = anyone.post("/v1/token/refresh", body).await;
        assert_eq!(assert_is_token_answer(&again).1, next_refresh);

        let answer = anyone.post("/v1/logout", json!({ "refresh_token": next_refresh })).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        for dead in [&access, &next_access] {
            let answer = served.bearer(dead).get("/v1/me").await;
            assert_eq!(answer.outcome(), (401, "access_token_invalid"));
        }
        let answer =
            anyone.post("/v1/token/refresh", json!({ "refresh_token": next_refresh })).await;
        assert_eq!(answer.outcome(), (401, "refresh_token_invalid"));
        assert_eq!(sessions(&served, &other).await, 2);
        let answer =
            anyone.post("/v1/token/refresh", json!({ "refresh_token": first_refresh })).await;
        assert_is_token_answer(&answer);
        served.app.assert_invariants().await;
    }

    async fn a_username_that_went_to_somebody_else_is_dropped_and_said_so(db: TestDatabase) {
        let served = Served::start(db).await;
        let anyone = served.anyone();
        for email in ["a@example.org", "b@example.org"] {
            let signup = json!({ "email": email, "password": PASSWORD, "username": "same" });
            assert_eq!(anyone.post("/v1/signup", signup).await.status, 202);
        }
        let mut answers = Vec::new();
        for email in ["a@example.org", "b@example.org"] {
            let token = served.app.tokens_mailed_to(email).await.pop().unwrap();
            let proof = json!({ "token": token, "password": PASSWORD });
            answers.push(anyone.post("/v1/email/verify", proof).await);
        }
        assert_is_token_answer(&answers[0]);
        assert_eq!(answers[1].status, 200);
        assert_eq!(answers[1].body["dropped"], json!(["/username"]));
        assert_eq!(answers[1].body["next"], json!(["choose_username"]));
        assert_eq!(answers[1].members().len(), 8);
        let b = served.bearer(&answers[1].text_of("access_token"));
        assert_eq!(b.get("/v1/me").await.body["username"], Value::Null);
        let taken = b.patch("/v1/me", "*", json!({ "username": "SAME" })).await;
        assert_eq!(taken.outcome(), (409, "username_taken"));
        let signup = json!({ "email": "c@example.org", "password": PASSWORD, "username": "Same" });
        let answer = anyone.post("/v1/signup", signup).await;
        assert_eq!(answer.outcome(), (409, "username_taken"));
        // And afterwards each token answer is a plain one again.
        let login = json!({ "identifier": "b@example.org", "password": PASSWORD });
        assert_is_token_answer(&anyone.post("/v1/login", login).await);
    }

    async fn an_operator_s_password_is_to_be_changed_and_each_token_answer_says_so(db: TestDatabase) {
        let served = Served::start(db).await;
        super::register(&served, "ann@example.org").await;
        let changed = served.app.database.execute((
            "UPDATE password_credentials SET must_change = 1",
            "UPDATE password_credentials SET must_change = true",
        ));
        assert_eq!(changed.await, 1);
        let login = json!({ "identifier": "ann@example.org", "password": PASSWORD });
        let answer = served.anyone().post("/v1/login", login).await;
        assert_eq!((answer.status, &answer.body["next"]), (200, &json!(["change_password"])));
        let body = json!({ "refresh_token": answer.body["refresh_token"] });
        let answer = served.anyone().post("/v1/token/refresh", body).await;
        assert_eq!((answer.status, &answer.body["next"]), (200, &json!(["change_password"])));
    }
}

/// How many sessions the holder of a token sees.
async fn sessions(served: &Served, access: &str) -> usize {
    let answer = served.bearer(access).get("/v1/me/sessions").await;
    assert_eq!(answer.members(), ["items", "next_cursor"]);
    answer.body["items"].as_array().unwrap().len()
}
