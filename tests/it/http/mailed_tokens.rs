//! What is mailed, and what a mailed token is good for (EML-01, EML-02, EML-05, EML-07, SES-13, SES-14).

use serde_json::json;

use super::{PASSWORD, register};
use crate::support::app::Person;
use crate::support::serve::Served;

on_every_backend! {
    async fn eml_05_a_token_is_good_for_its_purpose_user_and_address_only(db: TestDatabase) {
        let served = Served::start(db).await;
        let anyone = served.anyone();
        let bob = register(&served, "bob@example.org").await;
        let (ann, eve) = (Person::new("ann@example.org"), Person::new("eve@example.org"));
        served.app.sign_up(&ann).await.unwrap();
        served.app.sign_up(&eve.with_password("another-Kiesel-58-laterne")).await.unwrap();
        let token = served.app.tokens_mailed_to("ann@example.org").await.pop().unwrap();
        let verify = |token: &str, password: &str| {
            let body = json!({ "token": token, "password": password });
            let anyone = anyone.clone();
            async move { anyone.post("/v1/email/verify", body).await }
        };
        for (bad, password) in [
            (bob.refresh_token.expose(), PASSWORD),
            (bob.access_token.as_str(), PASSWORD),
            (&token.replace("pcv_", "pcr_"), PASSWORD),
            (&token[4..], PASSWORD),
        ] {
            assert_eq!(verify(bad, password).await.outcome(), (422, "token_invalid"));
        }
        // Eve's password proves nobody but Eve.
        let answer = verify(&token, "another-Kiesel-58-laterne").await;
        assert_eq!(answer.outcome(), (401, "invalid_credentials"));
        // In the place of other tokens it is worth nothing, and is not spent.
        let refresh = anyone.post("/v1/token/refresh", json!({ "refresh_token": token })).await;
        assert_eq!(refresh.outcome(), (401, "refresh_token_invalid"));
        let me = served.bearer(&token).get("/v1/me").await;
        assert_eq!(me.outcome(), (401, "access_token_invalid"));
        let logout = anyone.post("/v1/logout", json!({ "refresh_token": token })).await;
        assert_eq!(logout.status, 204);
        assert_eq!(verify(&token, PASSWORD).await.status, 200);
        // JWT-08: a refresh token is no access token.
        let me = served.bearer(bob.refresh_token.expose()).get("/v1/me").await;
        assert_eq!(me.outcome(), (401, "access_token_invalid"));
    }

    async fn eml_04_a_token_whose_mailbox_somebody_proved_meanwhile_is_over(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = Person::new("ann@example.org");
        served.app.sign_up(&ann).await.unwrap();
        let token = served.app.tokens_mailed_to("ann@example.org").await.pop().unwrap();
        served.app.database.execute("UPDATE users SET email_verified_at = created_at").await;
        let verify = async |password: &str| {
            let body = json!({ "token": token, "password": password });
            served.anyone().post("/v1/email/verify", body).await
        };
        assert_eq!(verify(PASSWORD).await.outcome(), (422, "token_invalid"));
        assert_eq!(verify("another-Kiesel-58-laterne").await.outcome(), (401, "invalid_credentials"));
        served.app.database.execute("UPDATE users SET suspended_at = created_at").await;
        assert_eq!(verify(PASSWORD).await.outcome(), (401, "invalid_credentials"));
    }

    async fn eml_06_the_newest_signup_voids_the_token_before(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = Person::new("ann@example.org");
        served.app.sign_up(&ann).await.unwrap();
        served.app.sign_up(&ann.with_password("another-Kiesel-58-laterne")).await.unwrap();
        let mailed = served.app.tokens_mailed_to("ann@example.org").await;
        let verify = |token: &String, password: &str| {
            let body = json!({ "token": token, "password": password });
            let anyone = served.anyone();
            async move { anyone.post("/v1/email/verify", body).await.status }
        };
        assert_eq!(verify(&mailed[0], PASSWORD).await, 422);
        assert_eq!(verify(&mailed[1], PASSWORD).await, 401);
        assert_eq!(verify(&mailed[1], "another-Kiesel-58-laterne").await, 200);
    }

    async fn eml_07_reading_spends_nothing(db: TestDatabase) {
        let served = Served::start(db).await;
        served.app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        let token = served.app.tokens_mailed_to("ann@example.org").await.pop().unwrap();
        let path = format!("/v1/email/verify?token={token}&password={PASSWORD}");
        for _ in 0..5 {
            assert_eq!(served.anyone().get(&path).await.outcome(), (405, "method_not_allowed"));
            assert_eq!(served.anyone().head(&path).await.status, 405);
            assert_eq!(served.anyone().get(&format!("/verify?token={token}")).await.status, 404);
        }
        // SES-14: nor does a token in the query count beside a body.
        let body = json!({ "token": token, "password": PASSWORD });
        assert_eq!(served.anyone().post(&path, body.clone()).await.status, 422);
        assert_eq!(served.anyone().post("/v1/email/verify", body).await.status, 200);
    }
}

#[tokio::test]
async fn eml_01_eml_02_no_client_says_where_a_link_leads() {
    let served = Served::sqlite().await;
    let ask = |host: &'static str| {
        let body = json!({ "email": format!("{}@example.org", host.len()), "password": PASSWORD });
        served.anyone().ask("POST", "/v1/signup").json(&body)
    };
    let foreign = ask("evil.test").header("host", "evil.test").send().await;
    assert_eq!(foreign.outcome(), (421, "host_unknown"));
    for (name, value) in [
        ("x-forwarded-host", "evil.test"),
        ("forwarded", "host=evil.test"),
        ("x-original-url", "/v1/me"),
        ("x-http-method-override", "DELETE"),
        ("origin", "https://evil.test"),
        ("referer", "https://evil.test/"),
    ] {
        let answer = ask("ours").header(name, value).send().await;
        assert_eq!(answer.status, 202, "{name}");
        assert!(!format!("{answer:?}").contains("evil.test"), "{name}");
    }
    for name in ["redirect_to", "redirect_uri", "return_to", "ui_url", "link", "next"] {
        let mut body = json!({ "email": "new@example.org", "password": PASSWORD });
        body[name] = json!("https://evil.test/");
        let answer = served.anyone().post("/v1/signup", body).await;
        assert_eq!(answer.faults(), [format!("/{name} unknown_member")]);
        let body = json!({ "email": "new@example.org", name: "https://evil.test/" });
        let answer = served.anyone().post("/v1/email/resend", body).await;
        assert_eq!(answer.faults(), [format!("/{name} unknown_member")]);
    }
    assert!(served.app.mails_to("new@example.org").await.is_empty());
    assert_eq!(served.app.database.count("SELECT count(*) FROM users").await, 1);
    assert_eq!(served.app.database.count("SELECT count(*) FROM jobs").await, 2, "BRU-10");
}

#[tokio::test]
async fn ses_13_an_altered_refresh_token_fails_and_harms_nothing() {
    let served = Served::sqlite().await;
    let ann = register(&served, "ann@example.org").await;
    let good = ann.refresh_token.expose().to_owned();
    let (last, cut) = (good.chars().last().unwrap(), &good[..good.len() - 1]);
    // The last of 43 characters holds two bits that must be zero: its neighbour is the same 32 bytes.
    let neighbour = char::from(u8::try_from(last).unwrap() + 1);
    let flip = |text: &str| -> String {
        let swap = |one: char| {
            if one.is_ascii_lowercase() {
                one.to_ascii_uppercase()
            } else {
                one.to_ascii_lowercase()
            }
        };
        text.chars().map(swap).collect()
    };
    let spelled = good.replace('_', "%5F");
    for bad in [
        cut.to_owned(),
        format!("{good}A"),
        format!("{good}="),
        format!("{cut}{neighbour}"),
        flip(&good),
        good.to_uppercase(),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        spelled,
        good.replace("pcr_", "pcr-"),
        good[4..].to_owned(),
        format!("pcr_{good}"),
        good.replace("pcr_", "pcv_"),
        format!("pcr_{}", "A".repeat(43)),
        format!("pcr_{}+/", &good[4..45]),
        String::new(),
        "ｐcr_".to_owned(),
        "x".repeat(60_000),
    ] {
        let answer =
            served.anyone().post("/v1/token/refresh", json!({ "refresh_token": bad })).await;
        assert_eq!(answer.outcome(), (401, "refresh_token_invalid"), "{bad}");
        let challenge = Some(r#"Bearer realm="portcullis""#);
        assert_eq!(answer.header("www-authenticate"), challenge, "{bad}");
    }
    let answer = served.anyone().post("/v1/token/refresh", json!({ "refresh_token": good })).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn ses_03_reuse_ends_the_session_and_is_told_once() {
    let served = Served::sqlite().await;
    let first = register(&served, "ann@example.org").await.refresh_token.expose().to_owned();
    let refresh = |token: String| {
        let anyone = served.anyone();
        async move { anyone.post("/v1/token/refresh", json!({ "refresh_token": token })).await }
    };
    let second = refresh(first.clone()).await.text_of("refresh_token");
    let third = refresh(second.clone()).await.text_of("refresh_token");
    let reused = refresh(first.clone()).await;
    assert_eq!(reused.outcome(), (401, "refresh_token_reused"));
    assert_eq!(reused.header("www-authenticate"), Some(r#"Bearer realm="portcullis""#));
    for dead in [first, second, third] {
        assert_eq!(refresh(dead).await.outcome(), (401, "refresh_token_invalid"));
    }
    served.app.assert_invariants().await;
}

#[tokio::test]
async fn ses_14_a_token_in_the_query_is_none() {
    let served = Served::sqlite().await;
    let ann = register(&served, "ann@example.org").await;
    let path = format!("/v1/me?access_token={}", ann.access_token);
    assert_eq!(served.anyone().get(&path).await.outcome(), (401, "authentication_required"));
    assert_eq!(served.user(&ann).get(&path).await.faults(), ["access_token unknown_member"]);
    let body = json!({ "refresh_token": ann.refresh_token.expose(), "session_id": "x" });
    let answer = served.anyone().post("/v1/token/refresh", body).await;
    assert_eq!(answer.faults(), ["/session_id unknown_member"]);
}
