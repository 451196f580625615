//! Fifty at once for one secret or one name: exactly one wins, on each database (SES-05, EML-04, INP-01, ENU-12).

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{PASSWORD, register};
use crate::support::app::Person;
use crate::support::clients::{Answer, Client};
use crate::support::serve::Served;

const AT_ONCE: usize = 50;
const ROUNDS: usize = 3;

/// Sends one body fifty times at once, to the clients in turn.
async fn fifty(clients: &[Client], path: &str, body: &Value) -> Vec<Answer> {
    let turns = clients.iter().cycle().take(AT_ONCE);
    join_all(turns.map(|client| client.post(path, body.clone()))).await
}

fn with_status(answers: &[Answer], status: u16) -> Vec<&Answer> {
    answers.iter().filter(|answer| answer.status == status).collect()
}

on_every_backend! {
    async fn ses_05_fifty_refreshes_at_once_leave_one_live_token(db: TestDatabase) {
        let served = Served::start(db).await;
        let second = served.another().await;
        for round in 0..ROUNDS {
            let tokens = register(&served, &format!("ann{round}@example.org")).await;
            let body = json!({ "refresh_token": tokens.refresh_token.expose() });
            // The last round is told by two instances.
            let clients = match round {
                0 | 1 => vec![served.anyone()],
                _ => vec![served.anyone(), second.anyone()],
            };
            let answers = fifty(&clients, "/v1/token/refresh", &body).await;
            let given: BTreeSet<String> =
                with_status(&answers, 200).iter().map(|one| one.text_of("refresh_token")).collect();
            assert_eq!(given.len(), 1, "one successor");
            for refused in answers.iter().filter(|one| one.status != 200) {
                assert_eq!(refused.outcome(), (401, "refresh_token_invalid"));
            }
            let live = "SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL";
            let sessions = i64::try_from(round + 1).unwrap();
            assert_eq!(served.app.database.count(live).await, sessions, "one leaf a session");
            let body = json!({ "refresh_token": given.first().unwrap() });
            assert_eq!(served.anyone().post("/v1/token/refresh", body).await.status, 200);
        }
        served.app.assert_invariants().await;
    }

    async fn eml_04_fifty_verifications_at_once_spend_a_token_once(db: TestDatabase) {
        let served = Served::start(db).await;
        let second = served.another().await;
        let clients = [served.anyone(), second.anyone()];
        for round in 0..ROUNDS {
            let email = format!("ann{round}@example.org");
            served.app.sign_up(&Person::new(&email)).await.unwrap();
            let token = served.app.tokens_mailed_to(&email).await.pop().unwrap();
            let body = json!({ "token": token, "password": PASSWORD });
            let answers = fifty(&clients, "/v1/email/verify", &body).await;
            assert_eq!(with_status(&answers, 200).len(), 1);
            for refused in answers.iter().filter(|one| one.status != 200) {
                assert_eq!(refused.outcome(), (422, "token_invalid"));
            }
            let sessions = i64::try_from(round + 1).unwrap();
            assert_eq!(served.app.database.count("SELECT count(*) FROM sessions").await, sessions);
        }
        served.app.assert_invariants().await;
    }

    async fn inp_01_one_address_signed_up_fifty_times_at_once_is_one_user(db: TestDatabase) {
        let served = Served::start(db).await;
        let second = served.another().await;
        let clients = [served.anyone(), second.anyone()];
        for round in 0..ROUNDS {
            let body = json!({ "email": format!("ann{round}@example.org"), "password": PASSWORD });
            let answers = fifty(&clients, "/v1/signup", &body).await;
            assert_eq!(with_status(&answers, 202).len(), AT_ONCE);
            let users = i64::try_from(round + 1).unwrap();
            assert_eq!(served.app.database.count("SELECT count(*) FROM users").await, users);
            let live = "SELECT count(*) FROM one_time_tokens WHERE used_at IS NULL";
            assert_eq!(served.app.database.count(live).await, users);
        }
        // BRU-10: two mails at once, however many ask; of their tokens exactly one is good.
        let mailed = served.app.tokens_mailed_to("ann0@example.org").await;
        assert_eq!(mailed.len(), 2);
        let tries = mailed.iter().map(|token| {
            let anyone = served.anyone();
            let body = json!({ "token": token, "password": PASSWORD });
            async move { anyone.post("/v1/email/verify", body).await }
        });
        assert_eq!(with_status(&join_all(tries).await, 200).len(), 1);
        served.app.assert_invariants().await;
    }

    async fn one_username_wished_by_fifty_at_once_is_one_user_s(db: TestDatabase) {
        let served = Served::start(db).await;
        let mut users = Vec::new();
        for n in 0..10 {
            users.push(served.user(&register(&served, &format!("user{n}@example.org")).await));
        }
        for round in 0..ROUNDS {
            let wish = json!({ "username": format!("wished-{round}") });
            let wishes = users.iter().cycle().take(AT_ONCE);
            let answers = join_all(wishes.map(|user| user.patch("/v1/me", "*", wish.clone()))).await;
            let holders: BTreeSet<String> =
                with_status(&answers, 200).iter().map(|one| one.text_of("id")).collect();
            assert_eq!(holders.len(), 1);
            for refused in answers.iter().filter(|one| one.status != 200) {
                assert_eq!(refused.outcome(), (409, "username_taken"));
            }
        }
        served.app.assert_invariants().await;
    }

    async fn of_fifty_patches_of_one_version_one_is_applied(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = served.user(&register(&served, "ann@example.org").await);
        for _ in 0..ROUNDS {
            let tag = ann.get("/v1/me").await.header("etag").unwrap().to_owned();
            let patches = (0..AT_ONCE).map(|n| {
                let body = json!({ "profile": { "bio": format!("number {n} of {tag}") } });
                let (ann, tag) = (ann.clone(), tag.clone());
                async move { ann.patch("/v1/me", &tag, body).await }
            });
            let answers = join_all(patches).await;
            assert_eq!(with_status(&answers, 200).len(), 1);
            assert_eq!(with_status(&answers, 412).len(), AT_ONCE - 1);
        }
    }

    async fn ses_03_a_stolen_token_and_its_owner_never_both_go_on(db: TestDatabase) {
        let served = Served::start(db).await;
        let first = register(&served, "ann@example.org").await.refresh_token.expose().to_owned();
        let next = served.app.refresh(&first).await.unwrap().refresh_token.expose().to_owned();
        served.app.advance(Duration::from_secs(31));
        let (old, new) = (json!({ "refresh_token": first }), json!({ "refresh_token": next }));
        let anyone = served.anyone();
        let both = (0..AT_ONCE).map(|n| {
            let body = if n % 2 == 0 { old.clone() } else { new.clone() };
            let anyone = anyone.clone();
            async move { anyone.post("/v1/token/refresh", body).await }
        });
        let answers = join_all(both).await;
        let reused = answers.iter().filter(|one| one.outcome() == (401, "refresh_token_reused"));
        assert_eq!(reused.count(), 1, "told to the call that ended the session");
        let live = "SELECT count(*) FROM sessions WHERE ended_at IS NULL";
        assert_eq!(served.app.database.count(live).await, 0);
        served.app.assert_invariants().await;
    }
}
