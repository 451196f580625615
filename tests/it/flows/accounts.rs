//! From signup to logout, and what may not be seen on the way.

use std::time::Duration;

use portcullis::domain::job::Letter;
use portcullis::domain::session::Origin;
use portcullis::flows::authenticate::AuthenticateError;
use portcullis::flows::login::LoginError;
use portcullis::flows::logout::{self, Logout};
use portcullis::flows::refresh::RefreshError;
use portcullis::flows::signup::SignupError;
use portcullis::flows::verify_email::VerifyError;
use serde_json::json;

use crate::support::app::{Person, TestApp, log_in};
use crate::support::rows::object;

on_every_backend! {
    async fn a_person_signs_up_verifies_logs_in_refreshes_and_logs_out(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("Ann@Example.org").named("Ann");
        app.sign_up(&ann).await.unwrap();
        let mailed = app.tokens_mailed_to("Ann@Example.org").await;
        assert_eq!(mailed.len(), 1);
        let verified = app.verify(&ann, &mailed[0]).await.unwrap();
        assert!(!verified.dropped.has_username());

        let first = app.authenticate(&verified.tokens.access_token).await.unwrap();
        assert_eq!(first.user.email, "Ann@Example.org");
        assert_eq!(first.user.username.as_deref(), Some("Ann"));

        let tokens = app.log_in(&ann).await.unwrap();
        assert_ne!(tokens.session_id, verified.tokens.session_id);
        assert!(log_in(&app.app, "aNN", &ann.password).await.is_ok());
        let next = app.refresh(tokens.refresh_token.expose()).await.unwrap();
        assert_eq!(next.session_id, tokens.session_id);
        assert_ne!(next.refresh_token, tokens.refresh_token);
        assert!(app.authenticate(&next.access_token).await.is_ok());

        let logout = Logout {
            refresh_token: Some(next.refresh_token.expose().to_owned()),
            access_token: None,
            origin: Origin::default(),
        };
        logout::logout(&app.app, logout).await.unwrap();
        let ended = app.authenticate(&next.access_token).await;
        assert!(matches!(ended, Err(AuthenticateError::Invalid)));
        let ended = app.refresh(next.refresh_token.expose()).await;
        assert!(matches!(ended, Err(RefreshError::Invalid)));
        // The other session lives.
        assert!(app.refresh(verified.tokens.refresh_token.expose()).await.is_ok());
        app.assert_invariants().await;
    }

    async fn eml_13_the_newest_signup_replaces_a_pending_one_and_its_token(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mallory = Person::new("ann@example.org").named("mallory").with_password("Kessel-violett-88-anders");
        app.sign_up(&mallory).await.unwrap();
        let old = app.tokens_mailed_to("ann@example.org").await.pop().unwrap();
        app.advance(Duration::from_secs(1));
        let ann = Person {
            profile: object(json!({ "display_name": "Ann" })), ..Person::new("ann@example.org").named("ann")
        };
        app.sign_up(&ann).await.unwrap();
        let new = app.tokens_mailed_to("ann@example.org").await.pop().unwrap();
        assert_ne!(old, new);

        for person in [&mallory, &ann] {
            assert!(matches!(app.verify(person, &old).await, Err(VerifyError::TokenInvalid)));
        }
        // Whoever has the mailbox and not the password of the newest signup gets nowhere; the token stays.
        assert!(matches!(app.verify(&mallory, &new).await, Err(VerifyError::BadCredentials)));
        let verified = app.verify(&ann, &new).await.unwrap();
        let user = app.authenticate(&verified.tokens.access_token).await.unwrap().user;
        assert_eq!((user.username.as_deref(), &user.profile), (Some("ann"), &ann.profile));
        assert!(matches!(app.log_in(&mallory).await, Err(LoginError::BadCredentials)));
        assert!(matches!(app.verify(&ann, &new).await, Err(VerifyError::TokenInvalid)), "spent");
        app.assert_invariants().await;
    }

    async fn enu_04_a_taken_address_is_answered_alike_and_its_owner_is_told(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org");
        app.register(&ann).await;
        let thief = ann.with_password("Kessel-violett-88-anders");
        app.sign_up(&thief).await.unwrap();
        let mails = app.mails_to("ann@example.org").await;
        assert!(matches!(mails[..], [Letter::Verify { .. }, Letter::AlreadyRegistered]));
        assert!(matches!(app.log_in(&thief).await, Err(LoginError::BadCredentials)));
        assert!(app.log_in(&ann).await.is_ok());
        app.assert_invariants().await;
    }

    async fn enu_10_an_unverified_user_learns_so_with_the_right_password_only(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org").named("ann");
        app.sign_up(&ann).await.unwrap();
        assert!(matches!(app.log_in(&ann).await, Err(LoginError::EmailNotVerified)));
        let wrong = app.log_in(&ann.with_password("wrong")).await;
        assert!(matches!(wrong, Err(LoginError::BadCredentials)));
        // A wish is no username to log in with.
        let by_name = log_in(&app.app, "ann", &ann.password).await;
        assert!(matches!(by_name, Err(LoginError::BadCredentials)));
        app.assert_invariants().await;
    }

    async fn enu_12_a_username_is_taken_at_the_verification_and_not_before(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org").named("Same");
        let ben = Person::new("ben@example.org").named("sAME");
        app.sign_up(&ann).await.unwrap();
        app.sign_up(&ben).await.unwrap();
        let of_ann = app.tokens_mailed_to("ann@example.org").await.pop().unwrap();
        let of_ben = app.tokens_mailed_to("ben@example.org").await.pop().unwrap();
        assert!(!app.verify(&ben, &of_ben).await.unwrap().dropped.has_username());

        let later = Person::new("cem@example.org").named("same");
        assert!(matches!(app.sign_up(&later).await, Err(SignupError::UsernameTaken)));
        // Whatever the address: also for one that is registered.
        let known = Person::new("ben@example.org").named("same");
        assert!(matches!(app.sign_up(&known).await, Err(SignupError::UsernameTaken)));

        let verified = app.verify(&ann, &of_ann).await.unwrap();
        assert!(verified.dropped.has_username());
        let user = app.authenticate(&verified.tokens.access_token).await.unwrap().user;
        assert_eq!(user.username, None);
        app.assert_invariants().await;
    }

    async fn ses_11_a_suspended_user_gets_nothing_anywhere(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org");
        let tokens = app.register(&ann).await;
        let ben = Person::new("ben@example.org");
        app.sign_up(&ben).await.unwrap();
        let of_ben = app.tokens_mailed_to("ben@example.org").await.pop().unwrap();
        app.database.execute("UPDATE users SET suspended_at = created_at").await;

        assert!(matches!(app.log_in(&ann).await, Err(LoginError::BadCredentials)));
        let refreshed = app.refresh(tokens.refresh_token.expose()).await;
        assert!(matches!(refreshed, Err(RefreshError::Invalid)));
        let called = app.authenticate(&tokens.access_token).await;
        assert!(matches!(called, Err(AuthenticateError::Invalid)));
        assert!(matches!(app.verify(&ben, &of_ben).await, Err(VerifyError::BadCredentials)));

        app.database.execute("UPDATE users SET suspended_at = NULL").await;
        assert!(app.refresh(tokens.refresh_token.expose()).await.is_ok());
        assert!(app.verify(&ben, &of_ben).await.is_ok(), "the token stayed");
        app.assert_invariants().await;
    }

    async fn eml_04_a_verification_token_ends_by_itself(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org");
        app.sign_up(&ann).await.unwrap();
        let token = app.tokens_mailed_to("ann@example.org").await.pop().unwrap();
        app.advance(Duration::from_hours(24));
        assert!(matches!(app.verify(&ann, &token).await, Err(VerifyError::TokenInvalid)));
        app.assert_invariants().await;
    }

    async fn pwd_03_a_login_stores_the_password_under_todays_costs(db: TestDatabase) {
        let app = TestApp::start_with(db, &[("PASSWORD__MEMORY_KIB", "7168"), ("PASSWORD__ITERATIONS", "5")]).await;
        let ann = Person::new("ann@example.org");
        app.register(&ann).await;
        let costs = "SELECT hash FROM password_credentials";
        let mut raw = app.database.raw().await;
        assert!(raw.texts(costs).await[0].contains("m=7168,t=5"));
        let today = app.another(&[]).await;
        portcullis::flows::keys::read(&today).await.unwrap();
        let set_at = ("SELECT set_at FROM password_credentials",
                      "SELECT CAST(EXTRACT(EPOCH FROM set_at) * 1000000 AS BIGINT) FROM password_credentials");
        let before = raw.count(set_at).await;
        assert!(log_in(&today, "ann@example.org", "wrong").await.is_err());
        assert!(raw.texts(costs).await[0].contains("m=7168,t=5"));
        log_in(&today, "ann@example.org", &ann.password).await.unwrap();
        let rehashed = raw.texts(costs).await.remove(0);
        assert!(rehashed.contains("m=19456,t=2"), "{rehashed}");
        assert_eq!(raw.count(set_at).await, before, "the version of the credential stays");
        log_in(&today, "ann@example.org", &ann.password).await.unwrap();
        assert_eq!(raw.texts(costs).await[0], rehashed);
        app.assert_invariants().await;
    }

    async fn enu_02_every_refused_login_costs_the_same_work(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org").named("ann");
        app.register(&ann).await;
        app.sign_up(&Person::new("new@example.org")).await.unwrap();
        app.register(&Person::new("none@example.org")).await;
        app.register(&Person::new("barred@example.org")).await;
        app.database.execute(
            "UPDATE password_credentials SET hash = '!'
             WHERE user_id = (SELECT id FROM users WHERE email_canonical = 'none@example.org')").await;
        app.database.execute(
            "UPDATE users SET suspended_at = created_at WHERE email_canonical = 'barred@example.org'").await;
        let mut work = Vec::new();
        for identifier in ["ann@example.org", "ann", "nobody@example.org", "nobody", "no such name", "@", "",
                           "new@example.org", "none@example.org", "barred@example.org"] {
            let before = app.app.hasher.stats();
            let refused = log_in(&app.app, identifier, "not the password").await;
            assert!(matches!(refused, Err(LoginError::BadCredentials)), "{identifier}");
            let after = app.app.hasher.stats();
            work.push((after.hashed_total - before.hashed_total, after.work_kib_total - before.work_kib_total));
        }
        assert_eq!(work[0].0, 1);
        assert!(work.iter().all(|one| *one == work[0]), "{work:?}");
    }
}
