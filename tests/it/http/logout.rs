//! Each way to log out, and what ends by it: the row of `POST /v1/logout` in api.md, word by word (SES-07).

use std::time::Duration;

use portcullis::flows::tokens::Tokens;
use serde_json::{Value, json};

use super::{PASSWORD, register};
use crate::support::app::Person;
use crate::support::clients::Answer;
use crate::support::database::TestDatabase;
use crate::support::serve::Served;

async fn two_sessions(served: &Served) -> [Tokens; 2] {
    let first = register(served, "ann@example.org").await;
    [first, served.app.log_in(&Person::new("ann@example.org")).await.unwrap()]
}

async fn lives(served: &Served, tokens: &Tokens) -> bool {
    served.user(tokens).get("/v1/me").await.status == 200
}

async fn by_refresh_token(served: &Served, token: &str) -> Answer {
    served.anyone().post("/v1/logout", json!({ "refresh_token": token })).await
}

#[track_caller]
fn assert_done(answer: &Answer) {
    assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{answer:?}");
}

on_every_backend! {
    async fn ses_07_a_bearer_alone_needs_no_body_nor_its_media_type(db: TestDatabase) {
        let served = Served::start(db).await;
        let [one, other] = two_sessions(&served).await;
        assert_done(&served.user(&one).ask("POST", "/v1/logout").send().await);
        assert!(!lives(&served, &one).await);
        // Again: the same answer.
        assert_done(&served.user(&one).ask("POST", "/v1/logout").send().await);
        assert!(lives(&served, &other).await);
        let typed = served.user(&other).ask("POST", "/v1/logout").header("content-type", "text/plain");
        assert_done(&typed.send().await);
        assert!(!lives(&served, &other).await);
        served.app.assert_invariants().await;
    }

    async fn ses_07_a_retired_refresh_token_ends_its_session(db: TestDatabase) {
        let served = Served::start(db).await;
        let [one, other] = two_sessions(&served).await;
        let next = served.app.refresh(one.refresh_token.expose()).await.unwrap();
        assert_done(&by_refresh_token(&served, one.refresh_token.expose()).await);
        assert!(served.app.refresh(next.refresh_token.expose()).await.is_err());
        assert!(!lives(&served, &one).await);
        assert!(lives(&served, &other).await);
        assert_done(&by_refresh_token(&served, next.refresh_token.expose()).await);
    }

    async fn ses_07_both_given_end_both_sessions(db: TestDatabase) {
        let served = Served::start(db).await;
        let [one, other] = two_sessions(&served).await;
        let body = json!({ "refresh_token": other.refresh_token.expose() });
        assert_done(&served.user(&one).post("/v1/logout", body).await);
        assert!(!lives(&served, &one).await);
        assert!(!lives(&served, &other).await);
        served.app.assert_invariants().await;
    }
}

#[tokio::test]
async fn ses_07_an_expired_bearer_still_ends_its_session_for_an_hour() {
    let served = Served::sqlite().await;
    let [one, other] = two_sessions(&served).await;
    served.app.advance(Duration::from_mins(75));
    let live = served.app.log_in(&Person::new("ann@example.org")).await.unwrap();
    assert_eq!(count(&served, &live).await, 3);
    assert_done(&served.user(&one).ask("POST", "/v1/logout").send().await);
    assert_eq!(count(&served, &live).await, 2);
    served.app.advance(Duration::from_secs(1));
    assert_done(&served.user(&other).ask("POST", "/v1/logout").send().await);
    assert_eq!(count(&served, &live).await, 2);
}

async fn count(served: &Served, tokens: &Tokens) -> usize {
    let answer = served.user(tokens).get("/v1/me/sessions").await;
    answer.body["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn ses_07_a_bearer_for_somebody_else_ends_nothing() {
    let db = TestDatabase::sqlite().await;
    let served = Served::start_with(db, &[("TOKEN__AUDIENCES", "portcullis,orders")]).await;
    register(&served, "ann@example.org").await;
    let login = json!({
        "identifier": "ann@example.org", "password": PASSWORD, "audience": "orders"
    });
    let answer = served.anyone().post("/v1/login", login).await;
    let (access, refresh) = (answer.text_of("access_token"), answer.text_of("refresh_token"));
    assert_eq!(super::part(&access, 1)["aud"], json!(["orders"]));
    let me = served.bearer(&access).get("/v1/me").await;
    assert_eq!(me.outcome(), (401, "access_token_invalid"));
    assert_done(&served.bearer(&access).ask("POST", "/v1/logout").send().await);
    // The refresh repeats the audience of the login.
    let next = served.app.refresh(&refresh).await.unwrap();
    assert_eq!(super::part(&next.access_token, 1)["aud"], json!(["orders"]));
    // Its own refresh token ends it, and a bearer that ends nothing does not stand in the way.
    let body = json!({ "refresh_token": next.refresh_token.expose() });
    assert_done(&served.bearer(&access).post("/v1/logout", body).await);
    assert!(served.app.refresh(next.refresh_token.expose()).await.is_err());
}

#[tokio::test]
async fn ses_07_garbage_is_204_and_ends_nothing() {
    let served = Served::sqlite().await;
    let [one, other] = two_sessions(&served).await;
    for garbage in
        ["", "x", "pcr_", "pcr_AAAA", &one.access_token, &format!("pcr_{}", "A".repeat(43))]
    {
        assert_done(&by_refresh_token(&served, garbage).await);
    }
    let long = "a".repeat(9000);
    let (kept, last) = one.access_token.split_at(one.access_token.len() - 1);
    let altered = format!("{kept}{}", if last == "A" { "Q" } else { "A" });
    let refresh = one.refresh_token.expose();
    for garbage in ["x", "a.b.c", "a,b", "  ", &long, &altered, refresh] {
        let ask = served.anyone().ask("POST", "/v1/logout");
        let answer = ask.header("authorization", &format!("Bearer {garbage} x")).send().await;
        assert_done(&answer);
        assert_done(
            &served.bearer(garbage).post("/v1/logout", json!({ "refresh_token": "" })).await,
        );
    }
    assert!(lives(&served, &one).await && lives(&served, &other).await);
}

#[tokio::test]
async fn ses_07_neither_token_is_422() {
    let served = Served::sqlite().await;
    let anyone = served.anyone();
    let answer = anyone.ask("POST", "/v1/logout").send().await;
    assert_eq!((answer.status, answer.faults()), (422, vec![" required".to_owned()]));
    let answer = anyone.post("/v1/logout", json!({})).await;
    assert_eq!((answer.status, answer.faults()), (422, vec!["/refresh_token required".to_owned()]));
    let basic = anyone.ask("POST", "/v1/logout").header("authorization", "Basic YTpi").send().await;
    assert_eq!((basic.status, basic.faults()), (422, vec![" required".to_owned()]));
    let null = anyone.post("/v1/logout", json!({ "refresh_token": Value::Null })).await;
    assert_eq!((null.status, null.faults()), (422, vec!["/refresh_token wrong_type".to_owned()]));
    let two = anyone.ask("POST", "/v1/logout");
    let two = two.header("authorization", "Bearer a").header("authorization", "Bearer a");
    assert_eq!(two.send().await.outcome(), (400, "malformed_request"));
    let query = anyone.ask("POST", "/v1/logout?all=true").header("authorization", "Bearer a");
    assert_eq!(query.send().await.faults(), ["all unknown_member"]);
    // With a bearer a body that is none of JSON is still looked at.
    let bad = served.bearer("a").ask("POST", "/v1/logout").json_text("{").send().await;
    assert_eq!(bad.outcome(), (400, "malformed_request"));
}
