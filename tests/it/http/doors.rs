//! Doors and rules: whoever may not have a token gets in nowhere, however a call proves who calls (SES-11, mistake 3).

use portcullis::domain::job::Letter;
use portcullis::flows::reprove::ReproveError;
use portcullis::flows::{change_email, change_password, reauthenticate};
use serde_json::{Value, json};

use super::{PASSWORD, register};
use crate::support::app::{Person, cancel_token, change_token, reset_token};
use crate::support::serve::Served;

pub(super) fn change(letter: Letter) -> Option<String> {
    change_token(letter)
}

pub(super) fn cancel(letter: Letter) -> Option<String> {
    cancel_token(letter)
}

const ANN: &str = "ann@example.org";

on_every_backend! {
    async fn ses_11_every_door_asks_whether_the_user_may_come_in(db: TestDatabase) {
        let served = Served::start_with(db, &[("LIMITS__ENABLED", "false")]).await;
        let ann = register(&served, ANN).await;
        let wish = json!({ "email": "ann@example.net", "password": PASSWORD });
        assert_eq!(served.user(&ann).post("/v1/me/email", wish.clone()).await.status, 202);
        let confirm = served.app.tokens_of("ann@example.net", change_token).await.pop().unwrap();
        let reset = served.app.forgotten(ANN).await.unwrap();
        let mine = json!({ "password": PASSWORD });
        let new = "another-Kiesel-58-laterne";
        let doors: [(&str, bool, Value, (u16, &str)); 9] = [
            ("/v1/login", false, json!({ "identifier": ANN, "password": PASSWORD }), (401, "invalid_credentials")),
            ("/v1/token/refresh", false, json!({ "refresh_token": ann.refresh_token.expose() }), (401, "refresh_token_invalid")),
            ("/v1/email/change/confirm", false, json!({ "token": confirm, "password": PASSWORD }), (401, "invalid_credentials")),
            ("/v1/password/reset", false, json!({ "token": reset, "password": new }), (422, "token_invalid")),
            ("/v1/me/password", true, json!({ "current_password": PASSWORD, "new_password": new }), (401, "access_token_invalid")),
            ("/v1/me/email", true, wish, (401, "access_token_invalid")),
            ("/v1/me/reauthenticate", true, mine.clone(), (401, "access_token_invalid")),
            ("/v1/me/delete", true, mine, (401, "access_token_invalid")),
            ("/v1/me", true, Value::Null, (401, "access_token_invalid")),
        ];
        for barred in ["UPDATE users SET suspended_at = created_at", "UPDATE users SET deleted_at = created_at"] {
            served.app.database.execute(barred).await;
            for (path, needs_token, body, expected) in &doors {
                let client = if *needs_token { served.user(&ann) } else { served.anyone() };
                let answer = if body.is_null() { client.get(path).await } else { client.post(path, body.clone()).await };
                assert_eq!(answer.outcome(), *expected, "{barred} {path}");
            }
            let mails = served.app.tokens_of(ANN, reset_token).await.len();
            served.app.forgotten(ANN).await;
            assert_eq!(served.app.tokens_of(ANN, reset_token).await.len(), mails, "{barred}");
            served.app.database.execute("UPDATE users SET suspended_at = NULL, deleted_at = NULL").await;
        }
        let hashes = served.app.database.raw().await.texts("SELECT hash FROM password_credentials").await;
        assert_eq!(hashes.len(), 1);
        // Nothing was spent by the tries.
        let (path, _, body, _) = &doors[2];
        assert_eq!(served.anyone().post(path, body.clone()).await.status, 204);
        served.app.assert_invariants().await;
    }

    async fn ses_11_an_unproven_mailbox_opens_by_its_own_token_only(db: TestDatabase) {
        let served = Served::start(db).await;
        let ben = Person::new("ben@example.org");
        served.app.sign_up(&ben).await.unwrap();
        let login = json!({ "identifier": ben.email, "password": PASSWORD });
        assert_eq!(served.anyone().post("/v1/login", login.clone()).await.outcome(), (403, "email_not_verified"));
        let reset = served.app.forgotten(&ben.email).await.unwrap();
        let body = json!({ "token": reset, "password": PASSWORD });
        assert_eq!(served.anyone().post("/v1/password/reset", body).await.status, 204);
        assert_eq!(served.anyone().post("/v1/login", login).await.status, 200);
    }

    async fn ses_09_a_suspension_during_the_hash_wins(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = register(&served, ANN).await;
        let signed_in = served.app.authenticate(&ann.access_token).await.unwrap();
        served.app.database.execute("UPDATE users SET suspended_at = created_at").await;
        let app = &served.app.app;
        let password = || app.passwords.for_trying(PASSWORD).unwrap();
        let origin = portcullis::domain::session::Origin::default;
        let again = reauthenticate::reauthenticate(app, &signed_in, password(), origin()).await;
        assert!(matches!(again, Err(ReproveError::SignedOut)));
        let change = change_password::PasswordChange { current: password(), new: password(), origin: origin() };
        let changed = change_password::change_password(app, &signed_in, change).await;
        assert!(matches!(changed, Err(ReproveError::SignedOut)));
        let email = portcullis::domain::email::EmailAddress::parse("ann@example.net").unwrap();
        let wish = change_email::Request { email, password: password(), origin: origin() };
        let asked = change_email::request(app, &signed_in, wish).await;
        assert!(matches!(asked, Err(change_email::RequestError::Reprove(ReproveError::SignedOut))));
        // So does a session that ended.
        served.app.database.execute("UPDATE users SET suspended_at = NULL").await;
        served.app.database.execute("UPDATE sessions SET ended_at = created_at").await;
        let again = reauthenticate::reauthenticate(app, &signed_in, password(), origin()).await;
        assert!(matches!(again, Err(ReproveError::SignedOut)));
    }
}
