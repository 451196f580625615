//! Accounts that a stranger made or used before the mailbox's owner came, whatever the mode was then (EML-13), and what
//! one's own export says of others (ENU-08).

use std::time::Duration;

use portcullis::domain::email::EmailAddress;
use portcullis::domain::event::Actor;
use portcullis::domain::job::Letter;
use portcullis::flows::create_user::NewAccount;
use portcullis::flows::invite::invite;
use portcullis::flows::life::{By, LifeError};
use portcullis::flows::roles::{self, RoleError};
use portcullis::flows::set_password::set_password;
use portcullis::flows::{suspend, sweep};
use serde_json::{Map, Value, json};

use super::{PASSWORD, register};
use crate::support::app::Person;
use crate::support::clients::Answer;
use crate::support::serve::{Listening, Served};

const VICTIM: &str = "victim@example.org";
const THEIRS: &str = "kiesel-58-Laterne-otter";
const OPTIONAL: (&str, &str) = ("SIGNUP__EMAIL_VERIFICATION", "optional");

fn operator() -> By {
    By::operator(Actor::Cli("ops".into()))
}

async fn login(at: &Listening, password: &str) -> Answer {
    at.anyone().post("/v1/login", json!({ "identifier": VICTIM, "password": password })).await
}

/// The status of a refresh with the refresh token of an answer.
async fn refresh(at: &Listening, tokens: &Value) -> u16 {
    let body = json!({ "refresh_token": tokens["refresh_token"] });
    at.anyone().post("/v1/token/refresh", body).await.status
}

/// What the export of `tokens` says of its tokens and its wish.
async fn exported(served: &Served, access: &str) -> (Vec<String>, bool) {
    let body = served.bearer(access).get("/v1/me/export").await.body;
    let tokens = body["one_time_tokens"].as_array().unwrap();
    let purposes = tokens.iter().map(|token| token["purpose"].as_str().unwrap().to_owned());
    (purposes.collect(), body["email_change"].is_object())
}

on_every_backend! {
    async fn eml_13_who_leaves_an_unproven_account_does_not_hold_its_address(db: TestDatabase) {
        let served = Served::start_with(db, &[OPTIONAL]).await;
        let signup = json!({ "email": VICTIM, "password": PASSWORD });
        let planted = served.anyone().post("/v1/signup", signup).await.body;
        let access = planted["tokens"]["access_token"].as_str().unwrap();
        let left = served.bearer(access).post("/v1/me/delete", json!({ "password": PASSWORD })).await;
        assert_eq!(left.status, 204);
        assert_eq!(served.bearer(access).get("/v1/me").await.outcome(), (401, "access_token_invalid"));
        let signup = json!({ "email": VICTIM, "password": THEIRS });
        let own = served.anyone().post("/v1/signup", signup).await;
        assert_eq!(own.status, 201, "{own:?}");
        assert_ne!(own.body["user"]["id"], planted["user"]["id"]);
        assert_eq!((login(&served, PASSWORD).await.status, login(&served, THEIRS).await.status), (401, 200));
    }

    async fn eml_13_what_had_a_session_is_no_pending_signup(db: TestDatabase) {
        let served = Served::start(db).await;
        let optional = served.another_with(&[OPTIONAL]).await;
        served.app.sign_up(&Person::new(VICTIM)).await.unwrap();
        // While the mode is another one, the stranger signs in; then it is as it was.
        let planted = login(&optional, PASSWORD).await;
        assert_eq!(planted.status, 200);
        let signup = json!({ "email": VICTIM, "password": THEIRS });
        assert_eq!(served.anyone().post("/v1/signup", signup).await.status, 202);
        if let Some(token) = served.app.tokens_mailed_to(VICTIM).await.pop() {
            let proof = json!({ "token": token, "password": THEIRS });
            served.anyone().post("/v1/email/verify", proof).await;
        }
        assert_eq!(refresh(&served, &planted.body).await, 401, "a stranger's session after the proof");
        // The way in is a reset, as for every account that counts as taken.
        let token = served.app.forgotten(VICTIM).await.unwrap();
        let reset = json!({ "token": token, "password": "violet-otter-picnic-9" });
        assert_eq!(served.anyone().post("/v1/password/reset", reset).await.status, 204);
        for at in [&*served, &optional] {
            assert_eq!(refresh(at, &planted.body).await, 401);
        }
        served.app.assert_invariants().await;
    }

    async fn an_account_in_use_is_not_swept_away_as_a_pending_signup(db: TestDatabase) {
        let served = Served::start(db).await;
        let optional = served.another_with(&[OPTIONAL]).await;
        served.app.sign_up(&Person::new(VICTIM)).await.unwrap();
        assert_eq!(login(&optional, PASSWORD).await.status, 200);
        served.app.advance(Duration::from_hours(24 * 400));
        assert_eq!(sweep::erase_pending(&served.app.app).await.unwrap().erased, 0);
        assert_eq!(login(&optional, PASSWORD).await.status, 200);
    }

    async fn eml_13_who_takes_an_invited_account_shares_it_with_nobody(db: TestDatabase) {
        let served = Served::start_with(db, &[OPTIONAL]).await;
        let app = &served.app.app;
        let account = NewAccount {
            email: EmailAddress::parse(VICTIM).unwrap(),
            username: None,
            password: None,
            profile: Map::new(),
            is_verified: false,
            is_admin: false,
        };
        let id = invite(app, account, Actor::Cli("ops".into())).await.unwrap().user.id;
        set_password(app, operator(), id, app.passwords.for_trying(PASSWORD).unwrap()).await.unwrap();
        let early = login(&served, PASSWORD).await;
        assert_eq!(early.status, 200);
        let wish = json!({ "email": "eve@example.net", "password": PASSWORD });
        let asked = served.bearer(&early.text_of("access_token")).post("/v1/me/email", wish).await;
        assert_eq!(asked.status, 202);
        let token = served.app.mails_to(VICTIM).await.into_iter().find_map(|letter| match letter {
            Letter::Invitation { token, .. } => Some(token),
            _ => None,
        });
        let body = json!({ "email": VICTIM, "password": THEIRS, "invitation": token.unwrap() });
        let joined = served.anyone().post("/v1/signup", body).await;
        assert_eq!(joined.status, 201, "{joined:?}");
        assert_eq!(refresh(&served, &early.body).await, 401);
        assert_eq!(refresh(&served, &joined.body["tokens"]).await, 200);
        assert_eq!(served.app.database.count("SELECT COUNT(*) FROM email_changes").await, 0);
        served.app.assert_invariants().await;
    }

    async fn eml_13_a_suspended_signup_is_given_no_role(db: TestDatabase) {
        let served = Served::start(db).await;
        let app = &served.app.app;
        served.app.sign_up(&Person::new(VICTIM)).await.unwrap();
        let id = served.app.user(VICTIM).await.id;
        suspend::suspend(app, operator(), id).await.unwrap();
        let granted = roles::grant(app, operator(), id, "admin".into()).await;
        assert!(matches!(granted, Err(RoleError::Life(LifeError::Conflict(_)))));
    }

    async fn a_proof_with_an_operator_s_password_says_that_it_is_to_be_changed(db: TestDatabase) {
        let served = Served::start(db).await;
        let app = &served.app.app;
        served.app.sign_up(&Person::new(VICTIM)).await.unwrap();
        let id = served.app.user(VICTIM).await.id;
        set_password(app, operator(), id, app.passwords.for_trying(THEIRS).unwrap()).await.unwrap();
        let token = served.app.tokens_mailed_to(VICTIM).await.pop().unwrap();
        let proof = json!({ "token": token, "password": THEIRS });
        let verified = served.anyone().post("/v1/email/verify", proof).await;
        assert_eq!((verified.status, &verified.body["next"]), (200, &json!(["change_password"])));
    }

    async fn enu_08_an_export_does_not_say_who_has_the_address_that_is_wished_for(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = register(&served, "ann@example.org").await;
        register(&served, "suspended@example.org").await;
        register(&served, "active@example.org").await;
        let barred = served.app.user("suspended@example.org").await.id;
        suspend::suspend(&served.app.app, operator(), barred).await.unwrap();
        let mut seen = Vec::new();
        for wished in ["free@example.org", "suspended@example.org", "active@example.org"] {
            let body = json!({ "email": wished, "password": PASSWORD });
            assert_eq!(served.user(&ann).post("/v1/me/email", body).await.status, 202);
            let (mut tokens, is_wished) = exported(&served, &ann.access_token).await;
            tokens.sort_unstable();
            seen.push((tokens, is_wished));
        }
        assert!(seen[0].1);
        assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    }
}
