//! Nobody finds out who has an account: equal answers, to the byte, and equal work, by the counters of the hash pool.

use serde_json::{Value, json};

use super::{PASSWORD, register};
use crate::support::app::Person;
use crate::support::clients::Answer;
use crate::support::serve::Served;

/// An answer to the byte, and what it cost: hashes, and the KiB that they wrote.
type Told = ((u16, Vec<(String, String)>, String), (u64, u64));

/// Asks under a fixed request id, and counts what was hashed for it.
async fn told(served: &Served, path: &str, body: Value) -> Told {
    let before = served.app.app.hasher.stats();
    let ask = served.anyone().ask("POST", path).header("x-request-id", "the-same");
    let answer = ask.json(&body).send().await;
    let after = served.app.app.hasher.stats();
    let hashed = after.hashed_total - before.hashed_total;
    (answer.lasting(), (hashed, after.work_kib_total - before.work_kib_total))
}

async fn login(served: &Served, identifier: &str, password: &str) -> Told {
    told(served, "/v1/login", json!({ "identifier": identifier, "password": password })).await
}

/// People in every state: each address tells it.
async fn people(served: &Served) {
    for name in ["active", "suspended", "deleted", "passwordless", "bare", "cheap", "broken"] {
        register(served, &format!("{name}@example.org")).await;
    }
    let named = Person::new("named@example.org").named("Named");
    served.app.register(&named).await;
    served.app.sign_up(&Person::new("unverified@example.org")).await.unwrap();
    let cheap = "UPDATE password_credentials SET hash = \
                 '$argon2id$v=19$m=7168,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' \
                 WHERE user_id = (SELECT id FROM users WHERE email = 'cheap@example.org')";
    for statement in [
        "UPDATE users SET suspended_at = created_at WHERE email = 'suspended@example.org'",
        "UPDATE users SET deleted_at = created_at WHERE email = 'deleted@example.org'",
        "UPDATE password_credentials SET hash = '!'
         WHERE user_id = (SELECT id FROM users WHERE email = 'passwordless@example.org')",
        "UPDATE password_credentials SET hash = '$argon2id$v=19$broken'
         WHERE user_id = (SELECT id FROM users WHERE email = 'broken@example.org')",
        "DELETE FROM password_credentials
         WHERE user_id = (SELECT id FROM users WHERE email = 'bare@example.org')",
        cheap,
    ] {
        assert_eq!(served.app.database.execute(statement).await, 1, "{statement}");
    }
}

on_every_backend! {
    async fn enu_01_enu_02_enu_03_every_refused_login_is_the_same_and_costs_the_same(db: TestDatabase) {
        let served = Served::start(db).await;
        people(&served).await;
        let wrong = "not the right password";
        let first = login(&served, "nobody@example.org", PASSWORD).await;
        let ((status, headers, text), cost) = &first;
        assert_eq!((*status, *cost), (401, (1, 2 * 19456)), "{text}");
        let challenge = ("www-authenticate".to_owned(), r#"Bearer realm="portcullis""#.to_owned());
        assert!(headers.contains(&challenge));
        let body: Value = serde_json::from_str(text).unwrap();
        assert_eq!(body, json!({
            "type": format!("{}/problems/invalid_credentials", served.public_url),
            "title": "The credentials are not valid",
            "status": 401,
            "code": "invalid_credentials",
            "detail": "No account matches these credentials.",
            "request_id": "the-same",
        }));
        let longest = "x".repeat(254);
        for (identifier, password) in [
            ("active@example.org", wrong),
            ("named", wrong),
            ("unverified@example.org", wrong),
            ("suspended@example.org", PASSWORD),
            ("suspended@example.org", wrong),
            ("deleted@example.org", PASSWORD),
            ("passwordless@example.org", PASSWORD),
            ("passwordless@example.org", "!"),
            ("bare@example.org", PASSWORD),
            ("broken@example.org", PASSWORD),
            ("nobody", wrong),
            ("active@example.org", ""),
            ("active@example.org", &format!("{PASSWORD} ")),
            ("", wrong),
            ("   ", ""),
            ("@", wrong),
            ("%@%.%", PASSWORD),
            ("_ctive@example.org", PASSWORD),
            ("n_med", PASSWORD),
            ("active@example.org' OR '1'='1", PASSWORD),
            ("active@example.org,active@example.org", PASSWORD),
            ("\u{202e}active@example.org", PASSWORD),
            ("ａctive@example.org", PASSWORD),
            (&longest, wrong),
        ] {
            let told = login(&served, identifier, password).await;
            assert_eq!(told, first, "{identifier:?}");
        }
        // ENU-03: a cheaper stored hash is topped up by time, so its KiB vary.
        let cheap = login(&served, "cheap@example.org", PASSWORD).await;
        assert_eq!((&cheap.0, cheap.1.0), (&first.0, 1));
        assert!(cheap.1.1 > 2 * 7168, "{cheap:?}");
        // ENU-10: the right password of an unverified account is told, at the same cost.
        let unverified = login(&served, "unverified@example.org", PASSWORD).await;
        assert_eq!((unverified.0.0, unverified.1), (403, *cost));
        let known = login(&served, "active@example.org", PASSWORD).await;
        assert_eq!((known.0.0, known.1), (200, *cost));
    }

    async fn enu_04_a_signup_on_a_taken_address_is_the_same_and_costs_the_same(db: TestDatabase) {
        let served = Served::start(db).await;
        people(&served).await;
        let signup = |email: &str| json!({
            "email": email, "password": "another-Kiesel-58-laterne", "username": "wished",
            "profile": { "display_name": "Somebody" },
        });
        let first = told(&served, "/v1/signup", signup("new@example.org")).await;
        assert_eq!((first.0.0, first.1), (202, (1, 2 * 19456)));
        for name in ["other", "new", "active", "unverified", "suspended", "deleted", "bare"] {
            let told = told(&served, "/v1/signup", signup(&format!("{name}@example.org"))).await;
            assert_eq!(told, first, "{name}");
        }
        // What was there is as it was: the password of the owner, not the stranger's.
        assert_eq!(login(&served, "active@example.org", PASSWORD).await.0.0, 200);
        let taken = login(&served, "active@example.org", "another-Kiesel-58-laterne").await;
        assert_eq!(taken.0.0, 401);
        // The owner gets one notice without a token, of a deleted account too; a suspended one gets none.
        for (name, mails, tokens) in [("active", 2, 1), ("suspended", 1, 1), ("deleted", 2, 1)] {
            let email = format!("{name}@example.org");
            assert_eq!(served.app.mails_to(&email).await.len(), mails, "{name}");
            assert_eq!(served.app.tokens_mailed_to(&email).await.len(), tokens, "{name}");
        }
    }

    async fn enu_05_a_resend_is_the_same_for_every_address(db: TestDatabase) {
        let served = Served::start(db).await;
        people(&served).await;
        let waiting = "SELECT count(*) FROM jobs WHERE kind <> 'mail'";
        let first = told(&served, "/v1/email/resend", json!({ "email": "nobody@example.org" })).await;
        assert_eq!((first.0.0, first.0.2.as_str()), (202, r#"{"status":"accepted"}"#));
        assert_eq!(first.1, (0, 0));
        let mut jobs = served.app.database.count(waiting).await;
        assert_eq!(jobs, 1);
        for name in ["unverified", "active", "suspended", "deleted", "bare"] {
            let body = json!({ "email": format!("{name}@example.org") });
            assert_eq!(told(&served, "/v1/email/resend", body.clone()).await, first, "{name}");
            jobs += 1;
            assert_eq!(served.app.database.count(waiting).await, jobs, "{name}");
            // Again: one look-up waits for an address, whoever has it.
            assert_eq!(told(&served, "/v1/email/resend", body).await, first, "{name}");
            assert_eq!(served.app.database.count(waiting).await, jobs, "{name}");
        }
    }

    async fn enu_12_a_name_tells_nothing_of_an_address(db: TestDatabase) {
        let served = Served::start(db).await;
        let mut seen = Vec::new();
        register(&served, "known@example.org").await;
        served.app.sign_up(&Person::new("pending@example.org")).await.unwrap();
        for (n, email) in ["known", "pending", "new"].into_iter().enumerate() {
            let name = format!("name-{n}");
            let signup = |email: String| json!({
                "email": email, "password": PASSWORD, "username": name,
            });
            let theirs = signup(format!("{email}@example.org"));
            let theirs = told(&served, "/v1/signup", theirs).await;
            let mine = told(&served, "/v1/signup", signup(format!("mine-{n}@example.org"))).await;
            seen.push((theirs, mine));
        }
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0], seen[2]);
        assert_eq!(seen[0].1.0.0, 202);
    }

    async fn enu_09_a_taken_username_is_the_documented_disclosure(db: TestDatabase) {
        let served = Served::start(db).await;
        served.app.register(&Person::new("ann@example.org").named("Ann")).await;
        let mut seen = Vec::new();
        for email in ["new@example.org", "ann@example.org", "other@example.org"] {
            let body = json!({ "email": email, "password": PASSWORD, "username": "aNN" });
            seen.push(told(&served, "/v1/signup", body).await);
        }
        assert_eq!(seen[0].0.0, 409);
        assert_eq!((&seen[1], &seen[2]), (&seen[0], &seen[0]));
        assert_eq!(served.app.mails_to("ann@example.org").await.len(), 1);
    }

    async fn inp_01_twenty_spellings_are_one_account(db: TestDatabase) {
        let served = Served::start(db).await;
        register(&served, "ann.b@xn--bcher-kva.example").await;
        for spelling in [
            "ann.b@bücher.example", "Ann.B@Bücher.Example", "ANN.B@BÜCHER.EXAMPLE",
            " ann.b@bücher.example ", "\tann.b@xn--bcher-kva.example\n", "ann.b@XN--BCHER-KVA.example",
            "ann.b@bu\u{308}cher.example", "aNN.b@xn--BCHER-kva.EXAMPLE",
        ] {
            let body = json!({ "email": spelling, "password": PASSWORD });
            assert_eq!(served.anyone().post("/v1/signup", body).await.status, 202, "{spelling}");
            assert_eq!(login(&served, spelling, PASSWORD).await.0.0, 200, "{spelling}");
        }
        assert_eq!(served.app.database.count("SELECT count(*) FROM users").await, 1);
        for other in ["ſann@example.org", "ann@ｅxample.org", "ann＠example.org", "ann﹫example.org",
            "ann@example．org", "a@[127.0.0.1]", "a@x", "a@b.c,d@e.f", "ann@example.org\u{0}",
            "\"a b\"@example.org", "ann@@example.org", "ann@example.org.", "Ann <ann@example.org>"] {
            let body = json!({ "email": other, "password": PASSWORD });
            let answer: Answer = served.anyone().post("/v1/signup", body).await;
            assert_eq!((answer.status, answer.faults()), (422, vec!["/email invalid_format".to_owned()]),
                "{other}");
        }
        assert_eq!(served.app.database.count("SELECT count(*) FROM users").await, 1);
    }
}

#[tokio::test]
async fn what_is_too_long_is_told_unhashed() {
    let served = Served::sqlite().await;
    let ask = |identifier: usize, password: usize| json!({ "identifier": "x".repeat(identifier), "password": "y".repeat(password) });
    for (body, status, hashes) in
        [(ask(254, 256), 401, 1), (ask(255, 256), 422, 0), (ask(254, 257), 422, 0)]
    {
        let told = told(&served, "/v1/login", body).await;
        assert_eq!((told.0.0, told.1.0), (status, hashes));
    }
    let answer = served.anyone().post("/v1/login", ask(255, 257)).await;
    assert_eq!(answer.faults(), ["/identifier too_long", "/password password_too_long"]);
    let verify = json!({ "token": "x", "password": "y".repeat(257) });
    let answer = served.anyone().post("/v1/email/verify", verify).await;
    assert_eq!(answer.faults(), ["/password password_too_long"]);
    // INP-11: lengths come before what is expensive.
    let start = std::time::Instant::now();
    let huge = "\u{fdfa}".repeat(20_000);
    let body = json!({ "email": huge, "password": "x", "username": "y" });
    assert_eq!(served.anyone().post("/v1/signup", body).await.status, 422);
    let body = json!({ "email": "a@b.example", "password": huge });
    assert_eq!(served.anyone().post("/v1/signup", body).await.status, 422);
    assert!(start.elapsed() < std::time::Duration::from_secs(1));
    assert_eq!(served.app.app.hasher.stats().hashed_total, 1);
}

#[tokio::test]
async fn auz_06_there_is_no_account_that_nobody_made() {
    let served = Served::sqlite().await;
    assert_eq!(served.app.database.count("SELECT count(*) FROM users").await, 0);
    for name in ["admin", "root", "administrator", "portcullis", "test", "admin@example.org"] {
        for password in ["admin", "password", "portcullis", "changeme", "", name] {
            assert_eq!(login(&served, name, password).await.0.0, 401);
        }
    }
}
