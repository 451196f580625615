//! Own sessions: the list and its pages, and that what has ended is over at the next call, on every instance.

use std::time::Duration;

use portcullis::flows::tokens::Tokens;
use serde_json::{Value, json};

use super::{PASSWORD, register};
use crate::support::app::Person;
use crate::support::clients::Client;
use crate::support::serve::Served;

/// Ann with this many sessions, a second apart; the newest last.
async fn ann_with(served: &Served, count: usize) -> Vec<Tokens> {
    let mut tokens = vec![register(served, "ann@example.org").await];
    while tokens.len() < count {
        served.app.advance(Duration::from_secs(1));
        tokens.push(served.app.log_in(&Person::new("ann@example.org")).await.unwrap());
    }
    tokens
}

on_every_backend! {
    async fn the_list_of_sessions_has_pages_that_name_each_once(db: TestDatabase) {
        let served = Served::start(db).await;
        let tokens = ann_with(&served, 5).await;
        let mut newest_first: Vec<String> =
            tokens.iter().map(|one| one.session_id.to_string()).collect();
        newest_first.reverse();
        let ann = served.user(&tokens[4]);
        for (limit, sizes) in [(1, vec![1; 5]), (2, vec![2, 2, 1]), (5, vec![5]), (100, vec![5])] {
            let first = format!("/v1/me/sessions?limit={limit}");
            let found = ann.pages(&first, "id").await;
            assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
            assert_eq!(found.concat(), newest_first);
        }
        let answer = ann.get("/v1/me/sessions?count=true&limit=2").await;
        assert_eq!(answer.members(), ["items", "next_cursor", "total"]);
        assert_eq!(answer.body["total"], 5);
        let answer = ann.get("/v1/me/sessions?count=false").await;
        assert_eq!(answer.members(), ["items", "next_cursor"]);
        let current = answer.body["items"].as_array().unwrap().iter();
        let current = current.map(|item| item["current"].as_bool().unwrap());
        assert_eq!(current.collect::<Vec<_>>(), [true, false, false, false, false]);
        assert_eq!(answer.body["items"][4], json!({
            "id": newest_first[4],
            "user_agent": Value::Null,
            "address": "",
            "created_at": super::NOW_TEXT,
            "last_used_at": super::NOW_TEXT,
            "expires_at": "2026-12-18T11:06:40.123457Z",
            "current": false,
        }));
    }

    async fn auz_13_an_altered_cursor_and_somebody_else_s_are_refused(db: TestDatabase) {
        let served = Served::start(db).await;
        let tokens = ann_with(&served, 3).await;
        let bob = register(&served, "bob@example.org").await;
        let ann = served.user(&tokens[0]);
        let cursor = ann.get("/v1/me/sessions?limit=1").await.text_of("next_cursor");
        let ask = |client: Client, cursor: String| async move {
            client.get(&format!("/v1/me/sessions?cursor={cursor}")).await
        };
        assert_eq!(ask(ann.clone(), cursor.clone()).await.status, 200);
        let other = ask(served.user(&bob), cursor.clone()).await;
        assert_eq!(other.outcome(), (400, "cursor_invalid"));
        let mut altered: Vec<String> = (0..cursor.len()).map(|at| {
            let mut bytes = cursor.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        }).collect();
        let shorter = cursor[..cursor.len() - 1].to_owned();
        let others = [String::new(), "x".into(), shorter, format!("{cursor}A"), format!("{cursor}=")];
        altered.extend(others);
        altered.extend(["%27%20OR%201=1--", "null", "%FF", "..%2F"].map(str::to_owned));
        for bad in altered.into_iter().filter(|bad| *bad != cursor) {
            let answer = ask(ann.clone(), bad.clone()).await;
            // What is not UTF-8 is no query at all.
            let code = if bad == "%FF" { "malformed_request" } else { "cursor_invalid" };
            assert_eq!(answer.outcome(), (400, code), "{bad}");
        }
    }

    async fn ses_08_one_session_and_all_others_can_be_ended(db: TestDatabase) {
        let served = Served::start(db).await;
        let tokens = ann_with(&served, 4).await;
        let bob = served.user(&register(&served, "bob@example.org").await);
        let ann = served.user(&tokens[3]);
        let path = |n: usize| format!("/v1/me/sessions/{}", tokens[n].session_id);
        // AUZ-03: somebody else's is not there.
        assert_eq!(bob.delete(&path(0)).await.outcome(), (404, "not_found"));
        let answer = ann.delete(&path(0)).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        assert_eq!(ann.delete(&path(0)).await.outcome(), (404, "not_found"));
        let unknown = "/v1/me/sessions/018f4f5e-7b1c-7cc3-9f3a-0123456789ab";
        assert_eq!(ann.delete(unknown).await.outcome(), (404, "not_found"));
        assert_is_over(&served, &tokens[0]).await;
        assert_eq!(ann.get("/v1/me/sessions").await.items("id").len(), 3);

        assert_eq!(ann.delete("/v1/me/sessions").await.status, 204);
        for over in &tokens[1..3] {
            assert_is_over(&served, over).await;
        }
        assert_eq!(ann.get("/v1/me/sessions").await.items("id"), [tokens[3].session_id.to_string()]);
        // The current one too.
        assert_eq!(ann.delete(&path(3)).await.status, 204);
        assert_is_over(&served, &tokens[3]).await;
        assert_eq!(bob.get("/v1/me").await.status, 200);
        served.app.assert_invariants().await;
    }

    async fn ses_10_what_has_ended_is_over_at_the_next_call_on_every_instance(db: TestDatabase) {
        let served = Served::start(db).await;
        let second = served.another().await;
        let people = ["out", "ended", "suspended", "deleted", "untouched"];
        let mut tokens = Vec::new();
        for name in people {
            tokens.push(register(&served, &format!("{name}@example.org")).await);
        }
        // Both instances have seen the tokens, and remember that their signatures are good.
        for one in &tokens {
            assert_eq!(served.user(one).get("/v1/me").await.status, 200);
            assert_eq!(second.user(one).get("/v1/me").await.status, 200);
        }
        assert_eq!(served.user(&tokens[0]).ask("POST", "/v1/logout").send().await.status, 204);
        let path = format!("/v1/me/sessions/{}", tokens[1].session_id);
        assert_eq!(served.user(&tokens[1]).delete(&path).await.status, 204);
        for statement in [
            "UPDATE users SET suspended_at = created_at WHERE email = 'suspended@example.org'",
            "UPDATE users SET deleted_at = created_at WHERE email = 'deleted@example.org'",
        ] {
            assert_eq!(served.app.database.execute(statement).await, 1);
        }
        for one in &tokens[..4] {
            for answer in [
                served.user(one).get("/v1/me").await,
                second.user(one).get("/v1/me").await,
                second.user(one).patch("/v1/me", "*", json!({})).await,
                second.user(one).get("/v1/me/sessions").await,
                second.user(one).delete("/v1/me/sessions").await,
            ] {
                assert_eq!(answer.outcome(), (401, "access_token_invalid"));
            }
            let body = json!({ "refresh_token": one.refresh_token.expose() });
            let answer = second.anyone().post("/v1/token/refresh", body).await;
            assert_eq!(answer.outcome(), (401, "refresh_token_invalid"));
        }
        assert_eq!(second.user(&tokens[4]).get("/v1/me").await.status, 200);
        for name in ["suspended", "deleted"] {
            let login = json!({ "identifier": format!("{name}@example.org"), "password": PASSWORD });
            let answer = second.anyone().post("/v1/login", login).await;
            assert_eq!(answer.outcome(), (401, "invalid_credentials"));
        }
    }
}

/// The session's tokens are both refused.
async fn assert_is_over(served: &Served, tokens: &Tokens) {
    let answer = served.user(tokens).get("/v1/me").await;
    assert_eq!(answer.outcome(), (401, "access_token_invalid"));
    let body = json!({ "refresh_token": tokens.refresh_token.expose() });
    let answer = served.anyone().post("/v1/token/refresh", body).await;
    assert_eq!(answer.outcome(), (401, "refresh_token_invalid"));
}

#[tokio::test]
async fn ses_06_an_idle_session_is_over_for_access_tokens_too() {
    let short = [("TOKEN__SESSION_IDLE", "10m"), ("TOKEN__SESSION_MAX", "15m")];
    let db = crate::support::database::TestDatabase::sqlite().await;
    let served = Served::start_with(db, &short).await;
    let tokens = register(&served, "ann@example.org").await;
    served.app.advance(Duration::from_mins(9));
    let body = json!({ "refresh_token": tokens.refresh_token.expose() });
    let answer = served.anyone().post("/v1/token/refresh", body).await;
    // The nearer end: 15 minutes after the login, not 10 from now.
    assert_eq!((answer.status, &answer.body["refresh_expires_in"]), (200, &json!(360)));
    let (access, refresh) = (answer.text_of("access_token"), answer.body["refresh_token"].clone());
    served.app.advance(Duration::from_secs(359));
    assert_eq!(served.bearer(&access).get("/v1/me").await.status, 200);
    served.app.advance(Duration::from_secs(1));
    let answer = served.bearer(&access).get("/v1/me").await;
    assert_eq!(answer.outcome(), (401, "access_token_invalid"));
    let answer =
        served.anyone().post("/v1/token/refresh", json!({ "refresh_token": refresh })).await;
    assert_eq!(answer.outcome(), (401, "refresh_token_invalid"));
}
