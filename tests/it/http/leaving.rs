//! Leaving by one's own hand, and being barred by an operator's: out at every door, at once, on every instance.

use std::time::Duration;

use portcullis::domain::event::Actor;
use portcullis::flows::life::By;
use portcullis::flows::tokens::Tokens;
use portcullis::flows::{delete_account, roles, suspend, sweep};
use serde_json::{Value, json};

use super::{PASSWORD, register};
use crate::support::serve::{Listening, Served};

const DAY: Duration = Duration::from_hours(24);

fn operator() -> By {
    By::operator(Actor::Cli("ops".into()))
}

fn password(password: &str) -> Value {
    json!({ "password": password })
}

/// Whatever `tokens` could do is refused.
async fn assert_is_out(instance: &Listening, tokens: &Tokens) {
    let user = instance.user(tokens);
    for answer in [
        user.get("/v1/me").await,
        user.patch("/v1/me", "*", json!({ "username": "other" })).await,
        user.get("/v1/me/sessions").await,
        user.delete("/v1/me/sessions").await,
        user.delete(&format!("/v1/me/sessions/{}", tokens.session_id)).await,
        user.get("/v1/me/events").await,
        user.get("/v1/me/export").await,
        user.post("/v1/me/delete", password(PASSWORD)).await,
    ] {
        assert_eq!(answer.outcome(), (401, "access_token_invalid"));
    }
    let body = json!({ "refresh_token": tokens.refresh_token.expose() });
    let answer = instance.anyone().post("/v1/token/refresh", body).await;
    assert_eq!(answer.outcome(), (401, "refresh_token_invalid"));
}

async fn assert_login_is_refused(instance: &Listening, identifier: &str) {
    let body = json!({ "identifier": identifier, "password": PASSWORD });
    let answer = instance.anyone().post("/v1/login", body).await;
    assert_eq!(answer.outcome(), (401, "invalid_credentials"));
}

on_every_backend! {
    async fn ses_10_whoever_is_suspended_or_deleted_is_out_at_every_door_of_every_instance(db: TestDatabase) {
        let served = Served::start(db).await;
        let second = served.another().await;
        let (app, anyone) = (&served.app.app, served.anyone());
        let barred = register(&served, "barred@example.org").await;
        let deleted = register(&served, "deleted@example.org").await;
        let left = register(&served, "left@example.org").await;
        // Both instances have seen the tokens, and remember that their signatures are good.
        for one in [&barred, &deleted, &left] {
            assert_eq!(served.user(one).get("/v1/me").await.status, 200);
            assert_eq!(second.user(one).get("/v1/me").await.status, 200);
        }
        suspend::suspend(app, operator(), served.app.user("barred@example.org").await.id).await.unwrap();
        delete_account::delete(app, operator(), served.app.user("deleted@example.org").await.id).await.unwrap();
        let answer = served.user(&left).post("/v1/me/delete", password(PASSWORD)).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        for one in [&barred, &deleted, &left] {
            assert_is_out(&second, one).await;
            assert_is_out(&served, one).await;
        }
        for name in ["barred", "deleted", "left"] {
            let email = format!("{name}@example.org");
            assert_login_is_refused(&second, &email).await;
            // The same answer as for anybody; nobody is told what became of the account.
            let signup = json!({ "email": email, "password": PASSWORD });
            assert_eq!(anyone.post("/v1/signup", signup).await.status, 202);
        }
        assert_eq!(served.app.database.count("SELECT COUNT(*) FROM users").await, 3);
        served.app.assert_invariants().await;
    }

    async fn auz_12_leaving_takes_the_password_and_the_address_is_free_after_the_erasure(db: TestDatabase) {
        let served = Served::start(db).await;
        let tokens = register(&served, "ann@example.org").await;
        let id = served.app.user("ann@example.org").await.id;
        let ann = served.user(&tokens);
        for wrong in ["", "x", "tulip-Rakete-94-vorhanG", &format!("{PASSWORD} ")] {
            let answer = ann.post("/v1/me/delete", password(wrong)).await;
            assert_eq!(answer.outcome(), (401, "invalid_credentials"), "{wrong}");
            assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="portcullis""#));
        }
        let long = ann.post("/v1/me/delete", password(&"x".repeat(257))).await;
        assert_eq!(long.faults(), ["/password password_too_long"]);
        assert_eq!(ann.get("/v1/me").await.status, 200);
        // The password of somebody else proves nothing.
        let anyone = served.anyone().post("/v1/me/delete", password(PASSWORD)).await;
        assert_eq!(anyone.outcome(), (401, "authentication_required"));

        assert_eq!(ann.post("/v1/me/delete", password(PASSWORD)).await.status, 204);
        assert_is_out(&served, &tokens).await;
        let signup = json!({ "email": "ann@example.org", "password": PASSWORD });
        assert_eq!(served.anyone().post("/v1/signup", signup.clone()).await.status, 202);
        served.app.advance(DAY * 30);
        assert_eq!(sweep::erase_deleted(&served.app.app).await.unwrap().erased, 1);
        assert_eq!(served.anyone().post("/v1/signup", signup).await.status, 202);
        let token = served.app.tokens_mailed_to("ann@example.org").await.pop().unwrap();
        let verify = json!({ "token": token, "password": PASSWORD });
        let answer = served.anyone().post("/v1/email/verify", verify).await;
        let me = served.bearer(&answer.text_of("access_token")).get("/v1/me").await;
        assert_ne!(me.text_of("id"), id.to_string());
        assert_is_out(&served, &tokens).await;
        served.app.assert_invariants().await;
    }

    async fn auz_09_the_last_administrator_cannot_leave(db: TestDatabase) {
        let served = Served::start(db).await;
        let tokens = register(&served, "ann@example.org").await;
        let other = register(&served, "ben@example.org").await;
        for name in ["ann", "ben"] {
            let id = served.app.user(&format!("{name}@example.org")).await.id;
            roles::grant(&served.app.app, operator(), id, "admin".into()).await.unwrap();
        }
        assert_eq!(served.user(&other).post("/v1/me/delete", password(PASSWORD)).await.status, 204);
        let answer = served.user(&tokens).post("/v1/me/delete", password(PASSWORD)).await;
        assert_eq!(answer.outcome(), (409, "last_admin"));
        assert_eq!(served.user(&tokens).get("/v1/me").await.status, 200);
        served.app.assert_invariants().await;
    }
}
