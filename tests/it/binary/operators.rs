//! An operator at work while the service serves, on the same database: what the command line does, HTTP feels at once.

use serde_json::json;

use super::{Tokens, log_in, refresh, register, sign_up};
use crate::support::invariants::assert_invariants;
use crate::support::process::{Ended, Service};

/// Runs `users …` beside the running service.
fn users(service: &Service, arguments: &[&str]) -> Ended {
    service.run(&[&["users"], arguments].concat(), None)
}

fn done(service: &Service, arguments: &[&str]) -> String {
    let ended = users(service, arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

/// The next call and the next refresh with these tokens are refused.
async fn assert_is_out(service: &Service, tokens: &Tokens) {
    let client = service.client();
    let me = client.get("/v1/me", Some(&tokens.access)).await.unwrap();
    assert_eq!((me.status, me.text("code").as_str()), (401, "access_token_invalid"));
    let refreshed = refresh(&client, &tokens.refresh).await.unwrap();
    assert_eq!(refreshed.status, 401, "{}", refreshed.text);
}

on_every_backend! {
    async fn ses_10_ses_18_an_operator_s_verbs_count_at_once_while_the_service_serves(db: TestDatabase) {
        let mut service = Service::on(&db).with("JOBS__POLL_INTERVAL", "50ms").started().await;
        let client = service.client();
        let first = register(&service, "ann@example.org").await;
        let second = Tokens::of(&log_in(&client, "ann@example.org").await.unwrap());
        let listed = done(&service, &["sessions", "ann@example.org", "--json"]);
        assert_eq!(listed.lines().count(), 2, "{listed}");

        done(&service, &["suspend", "ann@example.org"]);
        assert_is_out(&service, &first).await;
        assert_is_out(&service, &second).await;
        assert_eq!(log_in(&client, "ann@example.org").await.unwrap().status, 401);
        done(&service, &["reactivate", "ann@example.org"]);
        let third = Tokens::of(&log_in(&client, "ann@example.org").await.unwrap());
        assert!(done(&service, &["revoke-sessions", "ann@example.org", "--json"]).is_empty());
        assert_is_out(&service, &third).await;

        // EML-18: the new password, and what every token answer says until it is changed.
        let file = service.folder().join("password");
        std::fs::write(&file, "Kessel-violett-88-anders\n").unwrap();
        let set = ["users", "set-password", "ann@example.org", "--password-stdin"];
        let ended = service.run(&set, Some(&file));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(log_in(&client, "ann@example.org").await.unwrap().status, 401);
        let body = json!({ "identifier": "ann@example.org", "password": "Kessel-violett-88-anders" });
        let answer = client.post("/v1/login", body).await.unwrap();
        assert_eq!(answer.body["next"], json!(["change_password"]));
        let again = refresh(&client, &answer.text("refresh_token")).await.unwrap();
        assert_eq!(again.body["next"], json!(["change_password"]));

        // A role shows at the next look, and the last who has it stays.
        done(&service, &["grant", "ann@example.org", "admin"]);
        let me = client.get("/v1/me", Some(&again.text("access_token"))).await.unwrap();
        assert_eq!(me.body["roles"], json!(["admin"]));
        assert_eq!(users(&service, &["delete", "ann@example.org", "--yes"]).code, Some(4));
        assert_eq!(users(&service, &["delete", "ann@example.org"]).code, Some(2));

        register(&service, "ben@example.org").await;
        done(&service, &["grant", "ben@example.org", "admin"]);
        done(&service, &["delete", "ann@example.org", "--yes"]);
        let gone = Tokens { access: again.text("access_token"), refresh: again.text("refresh_token") };
        assert_is_out(&service, &gone).await;
        assert_eq!(sign_up(&client, "ann@example.org").await.unwrap().status, 202);
        done(&service, &["erase", "ann@example.org", "--yes"]);
        assert_eq!(users(&service, &["show", "ann@example.org"]).code, Some(3));
        // The mails of the first account would be taken for the second's.
        std::fs::remove_dir_all(service.outbox()).unwrap();
        register(&service, "ann@example.org").await;
        assert_is_out(&service, &gone).await;
        assert!(service.terminate().await.success());
        assert_invariants(&db).await;
    }
}
