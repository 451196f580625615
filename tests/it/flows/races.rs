//! Fifty at once: one secret, one address, one name.

use std::sync::Arc;

use portcullis::flows::signup::SignupError;
use portcullis::flows::verify_email::VerifyError;
use tokio::task::JoinSet;

use crate::support::app::{Person, TestApp, sign_up, verify};

on_every_backend! {
    async fn eml_04_fifty_uses_of_a_token_at_two_instances_succeed_once(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org");
        app.sign_up(&ann).await.unwrap();
        let token = app.tokens_mailed_to("ann@example.org").await.pop().unwrap();
        let other = app.another(&[]).await;
        let mut racers = JoinSet::new();
        for n in 0..50 {
            let instance = Arc::clone(if n % 2 == 0 { &app.app } else { &other });
            let (ann, token) = (ann.clone(), token.clone());
            racers.spawn(async move { verify(&instance, &ann, &token).await });
        }
        let mut verified = 0;
        for answer in racers.join_all().await {
            match answer {
                Ok(_) => verified += 1,
                Err(VerifyError::TokenInvalid) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(verified, 1);
        assert_eq!(app.database.count("SELECT COUNT(*) FROM sessions").await, 1);
        app.assert_invariants().await;
    }

    async fn inp_01_an_address_signed_up_fifty_times_at_once_is_one_account(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let other = app.another(&[]).await;
        let mut racers = JoinSet::new();
        for n in 0..50_usize {
            let instance = Arc::clone(if n % 2 == 0 { &app.app } else { &other });
            let spelling = ["ann@example.org", "ANN@example.org", "Ann@Example.ORG", " ann@example.org"][n % 4];
            racers.spawn(async move { sign_up(&instance, &Person::new(spelling)).await });
        }
        for answer in racers.join_all().await {
            answer.unwrap();
        }
        assert_eq!(app.database.count("SELECT COUNT(*) FROM users").await, 1);
        assert_eq!(app.database.count("SELECT COUNT(*) FROM jobs").await, 2, "BRU-10: two at once");
        assert_eq!(app.database.count("SELECT COUNT(*) FROM one_time_tokens WHERE used_at IS NULL").await, 1);
        app.assert_invariants().await;
    }

    async fn enu_12_a_wished_username_is_given_to_one_of_many(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut people = Vec::new();
        for n in 0..12 {
            let person = Person::new(&format!("p{n}@example.org")).named("Same");
            app.sign_up(&person).await.unwrap();
            let token = app.tokens_mailed_to(&person.email).await.pop().unwrap();
            people.push((person, token));
        }
        let mut racers = JoinSet::new();
        for (person, token) in people {
            let instance = Arc::clone(&app.app);
            racers.spawn(async move { verify(&instance, &person, &token).await });
        }
        let answers = racers.join_all().await.into_iter().map(Result::unwrap);
        assert_eq!(answers.filter(|verified| !verified.dropped.has_username()).count(), 1);
        let late = app.sign_up(&Person::new("late@example.org").named("same")).await;
        assert!(matches!(late, Err(SignupError::UsernameTaken)));
        app.assert_invariants().await;
    }
}
