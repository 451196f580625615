//! Passwords by HTTP: reset by mail, changed with the old one, given again (EML-03 … EML-11, SES-09, AUZ-08, PWD-11).

use std::time::Duration;

use portcullis::domain::job::Letter;
use serde_json::{Value, json};

use super::{PASSWORD, part, register};
use crate::support::app::{Person, reset_token};
use crate::support::clients::Answer;
use crate::support::serve::Served;

const NEW: &str = "another-Kiesel-58-laterne";
const ANN: &str = "ann@example.org";

async fn reset(served: &Served, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "password": password });
    served.anyone().post("/v1/password/reset", body).await
}

async fn login(served: &Served, password: &str) -> u16 {
    let body = json!({ "identifier": ANN, "password": password });
    served.anyone().post("/v1/login", body).await.status
}

async fn refresh(served: &Served, token: &str) -> u16 {
    let body = json!({ "refresh_token": token });
    served.anyone().post("/v1/token/refresh", body).await.status
}

async fn hashes(served: &Served) -> Vec<String> {
    let mut raw = served.app.database.raw().await;
    raw.texts("SELECT hash FROM password_credentials ORDER BY user_id").await
}

/// How often each action stands in the trail.
async fn events(served: &Served, action: &str) -> usize {
    let mut raw = served.app.database.raw().await;
    let all = raw.texts("SELECT action FROM events").await;
    all.iter().filter(|one| *one == action).count()
}

on_every_backend! {
    async fn eml_10_ses_09_a_reset_ends_every_session_and_logs_nobody_in(db: TestDatabase) {
        let served = Served::start(db).await;
        let first = register(&served, ANN).await;
        let second = served.app.log_in(&Person::new(ANN)).await.unwrap();
        let token = served.app.forgotten(ANN).await.unwrap();
        let answer = reset(&served, &token, NEW).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        for tokens in [&first, &second] {
            assert_eq!(refresh(&served, tokens.refresh_token.expose()).await, 401);
            assert_eq!(served.user(tokens).get("/v1/me").await.outcome(), (401, "access_token_invalid"));
        }
        assert_eq!((login(&served, PASSWORD).await, login(&served, NEW).await), (401, 200));
        let told = [events(&served, "password.reset").await, events(&served, "session.ended").await,
                    events(&served, "user.verified").await];
        assert_eq!(told, [1, 2, 1], "verified by the signup, not again");
        // EML-11: the owner is told, without a secret.
        let letters = served.app.mails_to(ANN).await;
        assert_eq!(letters.iter().filter(|letter| matches!(letter, Letter::PasswordChanged)).count(), 1);
        served.app.assert_invariants().await;
    }

    async fn eml_03_eml_06_a_reset_token_is_one_of_a_kind_and_ends(db: TestDatabase) {
        let served = Served::start(db).await;
        register(&served, ANN).await;
        let first = served.app.forgotten(ANN).await.unwrap();
        let second = served.app.forgotten(ANN).await.unwrap();
        assert_ne!(first, second);
        assert_eq!(reset(&served, &first, NEW).await.outcome(), (422, "token_invalid"), "replaced");
        // BRU-10: where the mailbox's limit allows no mail, the last token stays good.
        assert_eq!(served.app.forgotten(ANN).await.as_ref(), Some(&second));
        assert_eq!(reset(&served, &second, NEW).await.status, 204);
        assert_eq!(reset(&served, &second, NEW).await.outcome(), (422, "token_invalid"), "used");
        served.app.advance(Duration::from_mins(1));
        let third = served.app.forgotten(ANN).await.unwrap();
        served.app.advance(Duration::from_hours(1));
        assert_eq!(reset(&served, &third, NEW).await.outcome(), (422, "token_invalid"), "after an hour");
    }

    async fn eml_09_a_refused_password_spends_no_token(db: TestDatabase) {
        let served = Served::start(db).await;
        served.app.register(&Person::new(ANN).named("tulpenzwiebel")).await;
        let token = served.app.forgotten(ANN).await.unwrap();
        let before = (hashes(&served).await, served.app.app.hasher.stats().hashed_total);
        for (password, code) in [
            ("elevenchars", "password_too_short"),
            ("", "password_too_short"),
            ("password1234", "password_too_common"),
            (ANN, "password_too_common"),
            ("tulpenzwiebel", "password_too_common"),
            ("x".repeat(257).as_str(), "password_too_long"),
        ] {
            let answer = reset(&served, &token, password).await;
            assert_eq!((answer.status, answer.faults()), (422, vec![format!("/password {code}")]), "{password}");
        }
        // An unknown token is refused unhashed.
        let unknown = format!("pcp_{}", "A".repeat(43));
        assert_eq!(reset(&served, &unknown, NEW).await.outcome(), (422, "token_invalid"));
        assert_eq!((hashes(&served).await, served.app.app.hasher.stats().hashed_total), before);
        assert_eq!(reset(&served, &token, NEW).await.status, 204);
    }

    async fn eml_05_no_token_is_good_for_another_purpose(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = register(&served, ANN).await;
        let ben = Person::new("ben@example.org");
        served.app.sign_up(&ben).await.unwrap();
        let verify = served.app.tokens_mailed_to("ben@example.org").await.pop().unwrap();
        let wish = json!({ "email": "ann@example.net", "password": PASSWORD });
        assert_eq!(served.user(&ann).post("/v1/me/email", wish).await.status, 202);
        let change = served.app.tokens_of("ann@example.net", super::doors::change).await.pop().unwrap();
        let cancel = served.app.tokens_of(ANN, super::doors::cancel).await.pop().unwrap();
        let forgotten = served.app.forgotten(ANN).await.unwrap();
        let all = [&verify, &change, &cancel, &forgotten];
        for (path, own, prefix) in [
            ("/v1/email/verify", 0, "pcv_"),
            ("/v1/email/change/confirm", 1, "pce_"),
            ("/v1/email/change/cancel", 2, "pcx_"),
            ("/v1/password/reset", 3, "pcp_"),
        ] {
            for (n, token) in all.iter().enumerate().filter(|(n, _)| *n != own) {
                for spelled in [(*token).clone(), format!("{prefix}{}", &token[4..])] {
                    let mut body = json!({ "token": spelled, "password": PASSWORD });
                    if path.ends_with("cancel") {
                        body.as_object_mut().unwrap().remove("password");
                    }
                    let answer = served.anyone().post(path, body).await;
                    assert_eq!(answer.outcome(), (422, "token_invalid"), "{path} {n}");
                }
            }
        }
        // A new password voids what hung on the old one.
        let body = json!({ "current_password": PASSWORD, "new_password": NEW });
        assert_eq!(served.user(&ann).post("/v1/me/password", body).await.status, 200);
        assert_eq!(reset(&served, &forgotten, PASSWORD).await.outcome(), (422, "token_invalid"));
        let confirm = json!({ "token": change, "password": NEW });
        assert_eq!(served.anyone().post("/v1/email/change/confirm", confirm).await.status, 422);
        assert_eq!(served.anyone().post("/v1/email/change/cancel", json!({ "token": cancel })).await.status, 422);
        assert!(served.app.verify(&ben, &verify).await.is_ok(), "nothing was spent");
        served.app.assert_invariants().await;
    }

    async fn eml_08_a_reset_goes_to_the_stored_address(db: TestDatabase) {
        let served = Served::start(db).await;
        served.app.register(&Person::new("Ann@Example.org")).await;
        for asked in ["ANN@example.org", "\u{430}nn@example.org", "ann@ex\u{e4}mple.org"] {
            let body = json!({ "email": asked });
            let status = served.anyone().post("/v1/password/forgot", body).await.status;
            assert!([202, 422].contains(&status), "{asked}");
        }
        served.app.run_look_ups().await;
        assert_eq!(served.app.tokens_of("Ann@Example.org", reset_token).await.len(), 1);
        for other in ["ANN@example.org", "\u{430}nn@example.org", "ann@ex\u{e4}mple.org"] {
            assert!(served.app.mails_to(other).await.is_empty(), "{other}");
        }
        assert_eq!(served.app.database.count("SELECT count(*) FROM jobs WHERE kind = 'mail'").await, 2);
    }

    async fn eml_13_a_reset_drops_what_was_set_before_the_proof(db: TestDatabase) {
        let served = Served::start(db).await;
        let mut planted = Person::new(ANN).named("planted");
        planted.profile = json!({ "bio": "planted", "locale": "de" }).as_object().unwrap().clone();
        served.app.sign_up(&planted).await.unwrap();
        let verify = served.app.tokens_mailed_to(ANN).await.pop().unwrap();
        let token = served.app.forgotten(ANN).await.unwrap();
        // EML-05: a stranger's signup in between voids no reset of the owner.
        served.app.sign_up(&planted.with_password("a-Strangers-41-password")).await.unwrap();
        assert_eq!(reset(&served, &token, NEW).await.status, 204);
        for password in [PASSWORD, "a-Strangers-41-password"] {
            assert_eq!(login(&served, password).await, 401);
            let newest = served.app.tokens_mailed_to(ANN).await.pop().unwrap();
            for mailed in [&verify, &newest] {
                let body = json!({ "token": mailed, "password": password });
                assert_eq!(served.anyone().post("/v1/email/verify", body).await.status, 422);
            }
        }
        let tokens = served.app.log_in(&planted.with_password(NEW)).await.unwrap();
        let me = served.user(&tokens).get("/v1/me").await.body;
        assert_eq!((&me["status"], &me["username"], &me["profile"]), (&json!("active"), &Value::Null, &json!({})));
        assert_eq!(events(&served, "user.verified").await, 1);
        served.app.assert_invariants().await;
    }

    async fn eml_13_a_reset_ends_the_sessions_of_an_unproven_account(db: TestDatabase) {
        let served = Served::start_with(db, &[("SIGNUP__EMAIL_VERIFICATION", "optional")]).await;
        let body = json!({ "email": ANN, "password": PASSWORD, "username": "planted" });
        let planted = served.anyone().post("/v1/signup", body).await;
        assert_eq!(planted.status, 201);
        let access = planted.body["tokens"]["access_token"].as_str().unwrap();
        let wish = json!({ "email": "eve@example.net", "password": PASSWORD });
        assert_eq!(served.bearer(access).post("/v1/me/email", wish).await.status, 202);
        let change = served.app.tokens_of("eve@example.net", super::doors::change).await.pop().unwrap();
        let token = served.app.forgotten(ANN).await.unwrap();
        assert_eq!(reset(&served, &token, NEW).await.status, 204);
        assert_eq!(served.bearer(access).get("/v1/me").await.outcome(), (401, "access_token_invalid"));
        let stolen = planted.body["tokens"]["refresh_token"].as_str().unwrap();
        assert_eq!(refresh(&served, stolen).await, 401);
        for password in [PASSWORD, NEW] {
            let body = json!({ "token": change, "password": password });
            assert_eq!(served.anyone().post("/v1/email/change/confirm", body).await.status, 422);
        }
        assert_eq!((login(&served, PASSWORD).await, login(&served, NEW).await), (401, 200));
        served.app.assert_invariants().await;
    }

    async fn ses_09_a_changed_password_leaves_only_the_new_session(db: TestDatabase) {
        let served = Served::start(db).await;
        let mine = register(&served, ANN).await;
        let other = served.app.log_in(&Person::new(ANN)).await.unwrap();
        served.app.database.execute("UPDATE password_credentials SET must_change = TRUE").await;
        let body = json!({ "current_password": PASSWORD, "new_password": NEW });
        let answer = served.user(&mine).post("/v1/me/password", body).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.members(), ["access_token", "expires_in", "refresh_expires_in", "refresh_token",
                                      "session_id", "token_type"], "nothing is left to change");
        for old in [&mine, &other] {
            assert_eq!(refresh(&served, old.refresh_token.expose()).await, 401);
            assert_eq!(served.user(old).get("/v1/me").await.outcome(), (401, "access_token_invalid"));
        }
        let access = answer.text_of("access_token");
        assert_eq!(part(&access, 1)["aud"], part(&mine.access_token, 1)["aud"]);
        let sessions = served.bearer(&access).get("/v1/me/sessions").await;
        assert_eq!(sessions.body["items"].as_array().unwrap().len(), 1);
        assert_eq!(refresh(&served, &answer.text_of("refresh_token")).await, 200);
        assert_eq!((login(&served, PASSWORD).await, login(&served, NEW).await), (401, 200));
        assert_eq!((events(&served, "password.changed").await, events(&served, "session.ended").await), (1, 2));
        let letters = served.app.mails_to(ANN).await;
        assert!(letters.iter().any(|letter| matches!(letter, Letter::PasswordChanged)));
        served.app.assert_invariants().await;
    }

    async fn pwd_11_a_change_needs_the_current_password(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = register(&served, ANN).await;
        let before = hashes(&served).await;
        let change = |current: &str, new: &str| {
            let body = json!({ "current_password": current, "new_password": new });
            let client = served.user(&ann);
            async move { client.post("/v1/me/password", body).await }
        };
        for wrong in [NEW, "", &PASSWORD.to_uppercase(), &format!("{PASSWORD} ")] {
            assert_eq!(change(wrong, NEW).await.outcome(), (401, "invalid_credentials"), "{wrong:?}");
        }
        let long = "x".repeat(257);
        let both = change(&long, "short").await.faults();
        assert_eq!(both, ["/current_password password_too_long", "/new_password password_too_short"]);
        assert_eq!(change(PASSWORD, ANN).await.faults(), ["/new_password password_too_common"]);
        assert_eq!(hashes(&served).await, before);
        // PWD-12: a marker is nobody's password.
        served.app.database.execute("UPDATE password_credentials SET hash = '!'").await;
        for tried in ["!", "", PASSWORD] {
            assert_eq!(change(tried, NEW).await.outcome(), (401, "invalid_credentials"), "{tried:?}");
        }
        assert_eq!(hashes(&served).await, ["!"]);
        assert_eq!(served.user(&ann).get("/v1/me").await.status, 200, "no try ends the session");
    }

    async fn auz_08_an_old_session_gives_the_password_again(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = register(&served, ANN).await;
        served.app.advance(Duration::from_mins(10));
        assert_eq!(served.user(&ann).get("/v1/me/export").await.status, 200, "ten minutes are fresh");
        served.app.advance(Duration::from_secs(1));
        let old = served.user(&ann).get("/v1/me/export").await;
        assert_eq!(old.outcome(), (403, "reauthentication_required"));
        assert_eq!(old.body["next"], json!(["reauthenticate"]));
        // A refresh renews no `auth_time`.
        let refreshed = served.app.refresh(ann.refresh_token.expose()).await.unwrap();
        assert_eq!(served.user(&refreshed).get("/v1/me/export").await.status, 403);
        let wrong = served.user(&ann).post("/v1/me/reauthenticate", json!({ "password": NEW })).await;
        assert_eq!(wrong.outcome(), (401, "invalid_credentials"));
        let body = json!({ "password": PASSWORD });
        let answer = served.user(&ann).post("/v1/me/reauthenticate", body).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.members(), ["access_token", "expires_in", "session_id", "token_type"]);
        assert_eq!(answer.text_of("session_id"), ann.session_id.to_string());
        let claims = |token: &str| part(token, 1)["auth_time"].as_i64().unwrap();
        assert!(claims(&answer.text_of("access_token")) >= claims(&ann.access_token) + 590);
        // By the session's row: the token from before is as good.
        assert_eq!(served.user(&ann).get("/v1/me/export").await.status, 200);
        let refreshed = served.app.refresh(refreshed.refresh_token.expose()).await.unwrap();
        assert_eq!(events(&served, "session.reauthenticated").await, 1);
        // Calls that carry the password do not ask for a fresh session.
        served.app.advance(Duration::from_mins(14));
        let ann = served.app.refresh(refreshed.refresh_token.expose()).await.unwrap();
        let body = json!({ "current_password": PASSWORD, "new_password": NEW });
        assert_eq!(served.user(&ann).post("/v1/me/password", body).await.status, 200);
    }

    async fn eml_11_a_login_from_a_new_device_is_told(db: TestDatabase) {
        let served = Served::start(db).await;
        register(&served, ANN).await;
        let login = |agent: &'static str| {
            let ask = served.anyone().ask("POST", "/v1/login").header("user-agent", agent);
            let ask = ask.json(&json!({ "identifier": ANN, "password": PASSWORD }));
            async move { assert_eq!(ask.send().await.status, 200) }
        };
        let notices = || async {
            let letters = served.app.mails_to(ANN).await;
            letters.into_iter().filter(|letter| matches!(letter, Letter::NewDevice { .. })).count()
        };
        assert_eq!(notices().await, 0, "the first session is no surprise");
        login("Phone/1.0").await;
        assert_eq!(notices().await, 1);
        login("Phone/2.4").await;
        assert_eq!(notices().await, 1, "an update is no new device");
        login("Laptop/1.0").await;
        assert_eq!(notices().await, 2);
        let last = served.app.mails_to(ANN).await.pop();
        let Some(Letter::NewDevice { address, user_agent, .. }) = last else { panic!("no notice") };
        assert_eq!((address.as_str(), user_agent.as_deref()), ("127.0.0.1", Some("Laptop/1.0")));
    }
}

#[tokio::test]
async fn eml_09_no_sequence_sets_a_password_without_token_or_old_password() {
    let served = Served::sqlite().await;
    let ann = register(&served, ANN).await;
    register(&served, "eve@example.org").await;
    let (mine, eves) = (
        served.app.forgotten(ANN).await.unwrap(),
        served.app.forgotten("eve@example.org").await.unwrap(),
    );
    assert_eq!(reset(&served, &eves, "eves-own-Kiesel-77").await.status, 204);
    let mut before = hashes(&served).await;
    let anyone = served.anyone();
    for token in [
        json!(null),
        json!(""),
        json!([]),
        json!([mine]),
        json!({ "$ne": "" }),
        json!(eves),
        json!(mine.to_uppercase()),
        json!(format!("{mine}\n")),
        json!(ann.access_token),
        json!(ann.refresh_token.expose()),
    ] {
        let body = json!({ "token": token, "password": NEW });
        assert_eq!(anyone.post("/v1/password/reset", body).await.status, 422, "{token}");
    }
    for body in [
        json!({ "password": NEW }),
        json!({ "token": mine }),
        json!({ "token": mine, "password": null }),
        json!({ "token": mine, "password": [NEW] }),
        json!({ "token": mine, "password": NEW, "email": ANN }),
        json!({ "token": mine, "password": NEW, "user_id": "x" }),
    ] {
        assert_eq!(anyone.post("/v1/password/reset", body).await.status, 422);
    }
    // EML-07: reading spends nothing.
    for _ in 0..5 {
        let path = format!("/v1/password/reset?token={mine}&password={NEW}");
        assert_eq!(anyone.get(&path).await.status, 405);
        assert_eq!(anyone.head(&path).await.status, 405);
    }
    for body in [
        json!({ "new_password": NEW }),
        json!({ "current_password": null, "new_password": NEW }),
        json!({ "current_password": [PASSWORD], "new_password": NEW }),
        json!({ "password": PASSWORD, "new_password": NEW }),
        json!({ "current_password": PASSWORD, "new_password": NEW, "token": mine }),
    ] {
        assert_eq!(served.user(&ann).post("/v1/me/password", body).await.status, 422);
    }
    let patch = json!({ "password": NEW });
    assert_eq!(served.user(&ann).patch("/v1/me", "*", patch).await.status, 422);
    let body = json!({ "current_password": PASSWORD, "new_password": NEW });
    assert_eq!(anyone.post("/v1/me/password", body.clone()).await.status, 401);
    assert_eq!(served.bearer(&mine).post("/v1/me/password", body).await.status, 401);
    let mut after = hashes(&served).await;
    before.sort();
    after.sort();
    assert_eq!(after, before, "no hash moved");
    assert_eq!(reset(&served, &mine, NEW).await.status, 204, "nothing spent the token");
}
