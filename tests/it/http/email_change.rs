//! Another address by HTTP: asked for, confirmed, cancelled (EML-12, EML-11, ENU-08, SES-09).

use std::time::Duration;

use portcullis::domain::job::Letter;
use portcullis::flows::tokens::Tokens;
use serde_json::{Value, json};

use super::{PASSWORD, register};
use crate::support::app::{Person, cancel_token, change_token};
use crate::support::clients::Answer;
use crate::support::serve::Served;

const OLD: &str = "ann@example.org";
const NEW: &str = "Ann@Example.net";

async fn ask(served: &Served, who: &Tokens, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    served.user(who).post("/v1/me/email", body).await
}

async fn confirm(served: &Served, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "password": password });
    served.anyone().post("/v1/email/change/confirm", body).await
}

async fn cancel(served: &Served, token: &str) -> Answer {
    served.anyone().post("/v1/email/change/cancel", json!({ "token": token })).await
}

async fn login(served: &Served, identifier: &str) -> u16 {
    let body = json!({ "identifier": identifier, "password": PASSWORD });
    served.anyone().post("/v1/login", body).await.status
}

/// The tokens that were mailed last: to confirm, and to cancel.
async fn mailed(served: &Served) -> (String, String) {
    let confirm = served.app.tokens_of(NEW, change_token).await.pop().unwrap();
    (confirm, served.app.tokens_of(OLD, cancel_token).await.pop().unwrap())
}

async fn count(served: &Served, action: &str) -> usize {
    let mut raw = served.app.database.raw().await;
    let all = raw.texts("SELECT action FROM events").await;
    all.iter().filter(|one| *one == action).count()
}

on_every_backend! {
    async fn eml_12_the_old_address_works_until_the_new_one_is_confirmed(db: TestDatabase) {
        let served = Served::start(db).await;
        let asking = register(&served, OLD).await;
        let other = served.app.log_in(&Person::new(OLD)).await.unwrap();
        assert_eq!(ask(&served, &asking, NEW, "wrong").await.outcome(), (401, "invalid_credentials"));
        assert!(served.app.mails_to(NEW).await.is_empty(), "nothing without the password");
        let answer = ask(&served, &asking, NEW, PASSWORD).await;
        assert_eq!((answer.status, answer.text.as_str()), (202, r#"{"status":"accepted"}"#));
        assert_eq!((login(&served, OLD).await, login(&served, NEW).await), (200, 401));
        let (token, cancelling) = mailed(&served).await;
        // A stranger's click ties no mailbox to an account.
        assert_eq!(confirm(&served, &token, "not the password").await.outcome(), (401, "invalid_credentials"));
        assert_eq!(login(&served, NEW).await, 401);
        let before = served.user(&asking).get("/v1/me").await.body["version"].as_i64().unwrap();
        assert_eq!(confirm(&served, &token, PASSWORD).await.status, 204, "the token stayed");
        assert_eq!((login(&served, OLD).await, login(&served, NEW).await), (401, 200));
        let me = served.user(&asking).get("/v1/me").await;
        assert_eq!((me.text_of("email").as_str(), &me.body["email_verified"]), (NEW, &json!(true)));
        assert_eq!(me.body["version"].as_i64().unwrap(), before + 1);
        // SES-09: every session ended but the one that asked.
        assert_eq!(served.user(&other).get("/v1/me").await.outcome(), (401, "access_token_invalid"));
        assert!(served.app.refresh(other.refresh_token.expose()).await.is_err());
        assert!(served.app.refresh(asking.refresh_token.expose()).await.is_ok());
        // It is too late to cancel, and once is once.
        assert_eq!(cancel(&served, &cancelling).await.outcome(), (422, "token_invalid"));
        assert_eq!(confirm(&served, &token, PASSWORD).await.outcome(), (422, "token_invalid"));
        // EML-11: the old address is told, without a token of any use.
        let last = served.app.mails_to(OLD).await.pop();
        assert!(matches!(last, Some(Letter::EmailChanged)));
        assert_eq!((count(&served, "email.change_requested").await, count(&served, "email.changed").await), (1, 1));
        served.app.assert_invariants().await;
    }

    async fn eml_12_a_cancellation_voids_the_wish(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = register(&served, OLD).await;
        ask(&served, &ann, NEW, PASSWORD).await;
        let (token, cancelling) = mailed(&served).await;
        for _ in 0..3 {
            let path = format!("/v1/email/change/cancel?token={cancelling}");
            assert_eq!(served.anyone().get(&path).await.status, 405, "EML-07");
        }
        assert_eq!(cancel(&served, &cancelling).await.status, 204);
        assert_eq!(cancel(&served, &cancelling).await.outcome(), (422, "token_invalid"));
        assert_eq!(confirm(&served, &token, PASSWORD).await.outcome(), (422, "token_invalid"));
        assert_eq!((login(&served, OLD).await, login(&served, NEW).await), (200, 401));
        assert_eq!(count(&served, "email.change_cancelled").await, 1);
        served.app.assert_invariants().await;
    }

    async fn eml_12_one_wish_at_a_time_and_it_ends(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = register(&served, OLD).await;
        ask(&served, &ann, NEW, PASSWORD).await;
        let (first, cancels_first) = mailed(&served).await;
        ask(&served, &ann, "other@example.net", PASSWORD).await;
        let second = served.app.tokens_of("other@example.net", change_token).await.pop().unwrap();
        assert_eq!(confirm(&served, &first, PASSWORD).await.outcome(), (422, "token_invalid"), "replaced");
        assert_eq!(cancel(&served, &cancels_first).await.outcome(), (422, "token_invalid"), "replaced");
        served.app.advance(Duration::from_hours(24));
        assert_eq!(confirm(&served, &second, PASSWORD).await.outcome(), (422, "token_invalid"), "over");
        let (_, cancelling) = mailed(&served).await;
        assert_eq!(cancel(&served, &cancelling).await.outcome(), (422, "token_invalid"), "over");
        assert_eq!(login(&served, OLD).await, 200);
    }

    async fn one_s_own_address_is_no_wish(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = register(&served, OLD).await;
        for own in [OLD, "ANN@example.ORG", " ann@example.org "] {
            assert_eq!(ask(&served, &ann, own, PASSWORD).await.faults(), ["/email not_allowed"], "{own}");
        }
        let long = "x".repeat(257);
        let both = ask(&served, &ann, "no address", &long).await.faults();
        assert_eq!(both, ["/email invalid_format", "/password password_too_long"]);
        assert_eq!(served.app.database.count("SELECT count(*) FROM email_changes").await, 0);
    }

    async fn eml_12_who_verified_the_address_meanwhile_keeps_it(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = register(&served, OLD).await;
        ask(&served, &ann, NEW, PASSWORD).await;
        let (token, _) = mailed(&served).await;
        let owner = served.app.register(&Person::new("ann@example.net")).await;
        assert_eq!(confirm(&served, &token, PASSWORD).await.outcome(), (422, "token_invalid"));
        assert_eq!(served.user(&ann).get("/v1/me").await.text_of("email"), OLD);
        assert_eq!(served.user(&owner).get("/v1/me").await.text_of("email"), "ann@example.net");
        served.app.assert_invariants().await;
    }

    async fn eml_12_a_pending_signup_on_the_address_is_erased_with_the_confirmation(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = register(&served, OLD).await;
        let planted = Person::new("ann@example.net").named("planted");
        served.app.sign_up(&planted).await.unwrap();
        let theirs = served.app.tokens_mailed_to("ann@example.net").await.pop().unwrap();
        ask(&served, &ann, NEW, PASSWORD).await;
        let (token, _) = mailed(&served).await;
        assert_eq!(confirm(&served, &token, "wrong").await.status, 401);
        assert_eq!(count(&served, "user.erased").await, 0);
        assert_eq!(confirm(&served, &token, PASSWORD).await.status, 204);
        assert_eq!(count(&served, "user.erased").await, 1);
        assert_eq!(served.app.user("ann@example.net").await.id, served.app.authenticate(&ann.access_token).await.unwrap().user.id);
        assert!(served.app.verify(&planted, &theirs).await.is_err());
        served.app.assert_invariants().await;
    }

    async fn eml_05_a_moved_account_takes_no_token_of_its_old_address(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = register(&served, OLD).await;
        let reset = served.app.forgotten(OLD).await.unwrap();
        ask(&served, &ann, NEW, PASSWORD).await;
        let (token, _) = mailed(&served).await;
        assert_eq!(confirm(&served, &token, PASSWORD).await.status, 204);
        let body = json!({ "token": reset, "password": "another-Kiesel-58-laterne" });
        assert_eq!(served.anyone().post("/v1/password/reset", body).await.outcome(), (422, "token_invalid"));
        // The old address is free for somebody else.
        let next = served.app.register(&Person::new(OLD)).await;
        assert_ne!(next.session_id, ann.session_id);
        served.app.assert_invariants().await;
    }

    async fn eml_12_a_session_that_ended_asks_for_nothing(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = register(&served, OLD).await;
        let body = json!({ "refresh_token": ann.refresh_token.expose() });
        assert_eq!(served.anyone().post("/v1/logout", body).await.status, 204);
        assert_eq!(ask(&served, &ann, NEW, PASSWORD).await.outcome(), (401, "access_token_invalid"));
        let none: Value = served.anyone().post("/v1/me/email", json!({ "email": NEW, "password": PASSWORD })).await.body;
        assert_eq!(none["code"], "authentication_required");
    }
}
