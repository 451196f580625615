//! Invitations: an account that is made for a mailbox, and the token that takes it.

use std::time::Duration;

use portcullis::domain::email::EmailAddress;
use portcullis::domain::event::Actor;
use portcullis::domain::job::Letter;
use portcullis::flows::create_user::NewAccount;
use portcullis::flows::invite::{InviteError, Invited, invite};
use serde_json::{Map, Value, json};

use super::PASSWORD;
use crate::support::app::Person;
use crate::support::clients::Answer;
use crate::support::serve::Served;

const ANN: &str = "Ann@Example.org";
const INVITE: (&str, &str) = ("SIGNUP__MODE", "invite");

async fn invited(served: &Served, email: &str, profile: Value) -> Result<Invited, InviteError> {
    let Value::Object(profile) = profile else { panic!("no object") };
    let account = NewAccount {
        email: EmailAddress::parse(email).unwrap(),
        username: None,
        password: None,
        profile,
        is_verified: false,
        is_admin: false,
    };
    invite(&served.app.app, account, Actor::Cli("root".into())).await
}

/// The tokens of the invitations that were mailed, oldest first.
async fn tokens(served: &Served, email: &str) -> Vec<String> {
    let letters = served.app.mails_to(email).await.into_iter();
    let token = |letter| match letter {
        Letter::Invitation { token, .. } => Some(token),
        _ => None,
    };
    letters.filter_map(token).collect()
}

async fn take(served: &Served, email: &str, token: &str) -> Answer {
    let body = json!({ "email": email, "password": PASSWORD, "invitation": token });
    served.anyone().post("/v1/signup", body).await
}

on_every_backend! {
    async fn an_invited_account_is_taken_with_the_mailed_token(db: TestDatabase) {
        let served = Served::start_with(db, &[INVITE]).await;
        let given = json!({ "display_name": "Ann", "locale": "de" });
        let made = invited(&served, ANN, given).await.unwrap();
        assert!(made.is_mailed && made.user.is_invited());
        // PWD-12: nothing verifies for an account without a password.
        for password in ["", "null", "!", PASSWORD] {
            let login = json!({ "identifier": ANN, "password": password });
            let answer = served.anyone().post("/v1/login", login).await;
            assert_eq!(answer.outcome(), (401, "invalid_credentials"));
        }
        let token = tokens(&served, ANN).await.pop().unwrap();
        let body = json!({
            "email": "ann@EXAMPLE.org", "password": PASSWORD, "username": "ann", "invitation": token,
            "profile": { "display_name": "Ann Ö", "locale": null },
        });
        let answer = served.anyone().post("/v1/signup", body.clone()).await;
        assert_eq!((answer.status, answer.members()), (201, vec!["tokens", "user"]), "{answer:?}");
        let user = answer.body["user"].clone();
        assert_eq!(user["id"], json!(made.user.id.to_string()));
        assert_eq!((&user["status"], &user["email"]), (&json!("active"), &json!("ann@EXAMPLE.org")));
        assert_eq!(user["profile"], json!({ "display_name": "Ann Ö" }));
        let access = answer.body["tokens"]["access_token"].as_str().unwrap();
        assert_eq!(served.bearer(access).get("/v1/me").await.body, user);
        let by_name = json!({ "identifier": "ANN", "password": PASSWORD });
        assert_eq!(served.anyone().post("/v1/login", by_name).await.status, 200);
        let again = served.anyone().post("/v1/signup", body).await;
        assert_eq!(again.outcome(), (422, "token_invalid"));
        served.app.assert_invariants().await;
    }

    async fn an_invitation_is_for_one_address_and_for_a_while(db: TestDatabase) {
        let served = Served::start(db).await;
        invited(&served, ANN, json!({})).await.unwrap();
        let token = tokens(&served, ANN).await.pop().unwrap();
        for bad in ["", "pci_x", &token.replace("pci_", "pcv_"), &token.to_lowercase()] {
            assert_eq!(take(&served, ANN, bad).await.outcome(), (422, "token_invalid"), "{bad}");
        }
        assert_eq!(take(&served, "bob@example.org", &token).await.outcome(), (422, "token_invalid"));
        // No 4xx spends it.
        let weak = json!({ "email": ANN, "password": "short", "invitation": token });
        let answer = served.anyone().post("/v1/signup", weak).await;
        assert_eq!(answer.faults(), ["/password password_too_short"]);
        let odd = json!({
            "email": ANN, "password": PASSWORD, "invitation": token, "profile": { "phone": "none" },
        });
        let answer = served.anyone().post("/v1/signup", odd).await;
        assert_eq!(answer.faults(), ["/profile/phone invalid_format"]);
        served.app.advance(Duration::from_hours(24 * 7));
        assert_eq!(take(&served, ANN, &token).await.outcome(), (422, "token_invalid"));
    }

    async fn eml_06_inviting_again_and_asking_again_void_the_token_before(db: TestDatabase) {
        let served = Served::start(db).await;
        invited(&served, ANN, json!({})).await.unwrap();
        let first = tokens(&served, ANN).await.pop().unwrap();
        assert!(invited(&served, ANN, json!({})).await.unwrap().is_mailed);
        let second = tokens(&served, ANN).await.pop().unwrap();
        assert_eq!(take(&served, ANN, &first).await.outcome(), (422, "token_invalid"));
        // BRU-10: two at once, and the token mailed last stays good.
        assert!(!invited(&served, ANN, json!({})).await.unwrap().is_mailed);
        served.app.advance(Duration::from_mins(1));
        // ENU-04: a signup without the token is answered as ever.
        let signup = json!({ "email": ANN, "password": "tulip-Rakete-94-vorhang-x" });
        let answer = served.anyone().post("/v1/signup", signup).await;
        assert_eq!((answer.status, answer.text.as_str()), (202, r#"{"status":"verification_required"}"#));
        let third = tokens(&served, ANN).await.pop().unwrap();
        assert_ne!(third, second);
        assert_eq!(take(&served, ANN, &second).await.outcome(), (422, "token_invalid"));
        assert_eq!(take(&served, ANN, &third).await.status, 201);
        let users = served.app.database.count("SELECT COUNT(*) FROM users").await;
        assert_eq!(users, 1);
    }

    async fn eml_13_a_pending_signup_on_an_invited_address_is_erased(db: TestDatabase) {
        let served = Served::start(db).await;
        served.app.sign_up(&Person::new(ANN).named("squatter")).await.unwrap();
        let stale = served.app.tokens_mailed_to(ANN).await.pop().unwrap();
        let made = invited(&served, ANN, json!({})).await.unwrap();
        let proof = json!({ "token": stale, "password": Person::new(ANN).password });
        let answer = served.anyone().post("/v1/email/verify", proof).await;
        assert_eq!(answer.outcome(), (422, "token_invalid"));
        let token = tokens(&served, ANN).await.pop().unwrap();
        let answer = take(&served, ANN, &token).await;
        assert_eq!(answer.body["user"]["id"], json!(made.user.id.to_string()));
        assert_eq!(answer.body["user"]["username"], Value::Null);
    }

    async fn who_has_an_account_is_not_invited(db: TestDatabase) {
        let served = Served::start(db).await;
        served.app.register(&Person::new(ANN)).await;
        assert!(matches!(invited(&served, ANN, json!({})).await, Err(InviteError::EmailTaken)));
        let closed = served.app.another(&[("SIGNUP__MODE", "closed")]).await;
        let account = NewAccount {
            email: EmailAddress::parse("bob@example.org").unwrap(),
            username: None,
            password: None,
            profile: Map::new(),
            is_verified: false,
            is_admin: false,
        };
        let refused = invite(&closed, account, Actor::System).await;
        assert!(matches!(refused, Err(InviteError::Closed)));
    }

    async fn eml_04_one_invitation_is_taken_once(db: TestDatabase) {
        let served = Served::start(db).await;
        for round in 0..3 {
            let email = format!("ann{round}@example.org");
            invited(&served, &email, json!({})).await.unwrap();
            let token = tokens(&served, &email).await.pop().unwrap();
            let all = (0..20).map(|_| take(&served, &email, &token));
            let answers = futures_util::future::join_all(all).await;
            let count = |status| answers.iter().filter(|it| it.status == status).count();
            assert_eq!((count(201), count(422)), (1, 19), "{answers:?}");
        }
        served.app.assert_invariants().await;
    }

    async fn a_taken_name_is_told_and_the_token_stays(db: TestDatabase) {
        let served = Served::start(db).await;
        served.app.register(&Person::new("holder@example.org").named("ann")).await;
        invited(&served, ANN, json!({})).await.unwrap();
        let token = tokens(&served, ANN).await.pop().unwrap();
        let body = json!({
            "email": ANN, "password": PASSWORD, "invitation": token, "username": "Ann",
        });
        let answer = served.anyone().post("/v1/signup", body).await;
        assert_eq!(answer.outcome(), (409, "username_taken"));
        assert_eq!(take(&served, ANN, &token).await.status, 201);
    }
}
