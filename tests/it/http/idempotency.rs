//! HTTP-17: a call that is repeated under its key has its effects once and its first answer again.

use std::time::Duration;

use serde_json::{Value, json};

use super::PASSWORD;
use crate::support::app::Person;
use crate::support::clients::Answer;
use crate::support::serve::{Listening, Served};

fn signup(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "username": "ann" })
}

async fn keyed(at: &Listening, key: &str, body: &Value) -> Answer {
    let ask = at.anyone().ask("POST", "/v1/signup").header("idempotency-key", key);
    ask.json(body).send().await
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

const OPTIONAL: (&str, &str) = ("SIGNUP__EMAIL_VERIFICATION", "optional");

on_every_backend! {
    async fn http_17_the_first_answer_is_given_again_and_nothing_is_done_twice(db: TestDatabase) {
        let served = Served::start_with(db, &[OPTIONAL]).await;
        let body = signup("ann@example.org");
        let first = keyed(&served, "key-1", &body).await;
        assert_eq!((first.status, is_replay(&first)), (201, false));
        let hashed = served.app.app.hasher.stats().hashed_total;
        let elsewhere = served.another_with(&[OPTIONAL]).await;
        for at in [&*served, &elsewhere] {
            let again = keyed(at, "key-1", &body).await;
            assert_eq!((again.status, is_replay(&again)), (201, true));
            assert_eq!(again.body, first.body, "the tokens of the first answer too");
            assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
        }
        assert_eq!(served.app.app.hasher.stats().hashed_total, hashed);
        let access = first.body["tokens"]["access_token"].as_str().unwrap();
        let sessions = served.bearer(access).get("/v1/me/sessions?count=true").await;
        assert_eq!(sessions.body["total"], 1);
        // Another key, another answer; the same key for another address is another key.
        assert_eq!(keyed(&served, "key-2", &body).await.outcome(), (409, "email_taken"));
        assert_eq!(keyed(&served, "key-1", &signup("bob@example.org")).await.status, 201);
    }

    async fn http_17_the_same_key_with_another_body_is_refused(db: TestDatabase) {
        let served = Served::start(db).await;
        assert_eq!(keyed(&served, "k", &signup("ann@example.org")).await.status, 202);
        let mut other = signup("Ann@example.org");
        other["password"] = json!("tulip-Rakete-94-vorhang-x");
        let answer = keyed(&served, "k", &other).await;
        assert_eq!(answer.outcome(), (422, "idempotency_key_reused"));
        served.app.advance(Duration::from_hours(24));
        let answer = keyed(&served, "k", &other).await;
        assert_eq!((answer.status, is_replay(&answer)), (202, false), "a day later it is a new key");
    }

    async fn http_17_a_conflict_is_kept_and_other_refusals_are_not(db: TestDatabase) {
        let served = Served::start(db).await;
        served.app.register(&Person::new("holder@example.org").named("ann")).await;
        let body = signup("new@example.org");
        let first = keyed(&served, "k", &body).await;
        assert_eq!((first.outcome(), is_replay(&first)), ((409, "username_taken"), false));
        let again = keyed(&served, "k", &body).await;
        assert_eq!((again.outcome(), is_replay(&again)), ((409, "username_taken"), true));
        // What is wrong with the values is not kept: the key is free for the right ones.
        let short = json!({ "email": "eve@example.org", "password": "short" });
        assert_eq!(keyed(&served, "e", &short).await.outcome(), (422, "validation_failed"));
        let right = json!({ "email": "eve@example.org", "password": PASSWORD });
        assert_eq!(keyed(&served, "e", &right).await.status, 202);
    }

    async fn http_17_at_once_one_runs_and_the_others_wait_or_see_its_answer(db: TestDatabase) {
        let served = Served::start_with(db, &[OPTIONAL]).await;
        let elsewhere = served.another_with(&[OPTIONAL]).await;
        for round in 0..3 {
            let body = signup(&format!("ann{round}@example.org"));
            let all = (0..20).map(|n| keyed(if n % 2 == 0 { &served } else { &elsewhere }, "k", &body));
            let answers = futures_util::future::join_all(all).await;
            let fresh: Vec<_> =
                answers.iter().filter(|it| it.status == 201 && !is_replay(it)).collect();
            assert_eq!(fresh.len(), 1, "{answers:?}");
            for answer in &answers {
                match answer.status {
                    201 => assert_eq!(answer.body, fresh[0].body),
                    _ => assert_eq!(answer.outcome(), (409, "idempotency_in_progress")),
                }
            }
        }
        assert_eq!(served.app.database.count("SELECT COUNT(*) FROM users").await, 3);
    }

    async fn http_17_a_call_that_died_blocks_its_key_for_the_time_of_a_request_only(db: TestDatabase) {
        let served = Served::start(db).await;
        let body = signup("ann@example.org");
        assert_eq!(keyed(&served, "k", &body).await.status, 202);
        // As a crash between the claim and the commit leaves it.
        served.app.database.execute("UPDATE idempotency_keys SET state = 'running', answer = NULL").await;
        assert_eq!(keyed(&served, "k", &body).await.outcome(), (409, "idempotency_in_progress"));
        let mut other = body.clone();
        other["password"] = json!("tulip-Rakete-94-vorhang-x");
        assert_eq!(keyed(&served, "k", &other).await.outcome(), (422, "idempotency_key_reused"));
        served.app.advance(Duration::from_secs(16));
        assert_eq!(keyed(&served, "k", &other).await.outcome(), (422, "idempotency_key_reused"));
        let answer = keyed(&served, "k", &body).await;
        assert_eq!((answer.status, is_replay(&answer)), (202, false));
    }

    async fn http_17_a_key_is_one_short_printable_word(db: TestDatabase) {
        let served = Served::start(db).await;
        let body = signup("ann@example.org");
        let long = "k".repeat(129);
        for bad in ["", "two words", "tab\tbed", "schlüssel", long.as_str()] {
            let answer = keyed(&served, bad, &body).await;
            assert_eq!(answer.outcome(), (400, "malformed_request"), "{bad:?}");
        }
        let ask = served.anyone().ask("POST", "/v1/signup");
        let twice = ask.header("idempotency-key", "a").header("idempotency-key", "b");
        assert_eq!(twice.json(&body).send().await.outcome(), (400, "malformed_request"));
        assert_eq!(keyed(&served, &"~".repeat(128), &body).await.status, 202);
    }

    async fn ses_01_pwd_16_no_token_and_no_plain_digest_of_the_body_is_stored(db: TestDatabase) {
        let served = Served::start_with(db, &[OPTIONAL]).await;
        let body = signup("ann@example.org");
        let answer = keyed(&served, "k", &body).await;
        let dump = served.app.database.raw().await.texts((
            "SELECT hex(request) || hex(scope) || key || hex(answer) FROM idempotency_keys",
            "SELECT encode(request, 'hex') || encode(scope, 'hex') || key || encode(answer, 'hex')
             FROM idempotency_keys",
        )).await.join("").to_lowercase();
        let hex = |bytes: &[u8]| {
            let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            pairs.concat()
        };
        assert!(dump.len() > 1000);
        for secret in ["access_token", "refresh_token"] {
            let token = answer.body["tokens"][secret].as_str().unwrap();
            assert!(!dump.contains(&hex(token.as_bytes())));
        }
        let digest = portcullis::crypto::random::sha256(body.to_string().as_bytes());
        assert!(!dump.contains(&hex(&digest)));
    }
}
