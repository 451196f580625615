//! At once: administrators who remove each other, logins against who bars them, proofs against the sweep.

use std::sync::Arc;
use std::time::Duration;

use portcullis::app::App;
use portcullis::domain::event::Actor;
use portcullis::domain::ids::UserId;
use portcullis::flows::life::{By, LifeError};
use portcullis::flows::login::LoginError;
use portcullis::flows::roles::{self, RoleError};
use portcullis::flows::set_password::set_password;
use portcullis::flows::verify_email::VerifyError;
use portcullis::flows::{delete_account, erase, suspend, sweep};
use tokio::task::JoinSet;

use crate::support::app::{Person, TestApp, log_in, verify};

/// What one administrator does to another.
#[derive(Clone, Copy, Debug)]
enum Verb {
    Revoke,
    Suspend,
    Delete,
    Erase,
}

const VERBS: [Verb; 4] = [Verb::Revoke, Verb::Suspend, Verb::Delete, Verb::Erase];

fn operator() -> By {
    By::operator(Actor::Cli("ops".into()))
}

async fn remove(app: &App, verb: Verb, id: UserId) -> Result<(), LifeError> {
    let done = match verb {
        Verb::Revoke => match roles::revoke(app, operator(), id, "admin".into()).await {
            Ok(user) => Ok(user),
            Err(RoleError::Life(error)) => Err(error),
            Err(RoleError::UnknownRole) => panic!("there is that role"),
        },
        Verb::Suspend => suspend::suspend(app, operator(), id).await,
        Verb::Delete => delete_account::delete(app, operator(), id).await,
        Verb::Erase => erase::erase(app, operator(), id).await,
    };
    done.map(|_user| ())
}

on_every_backend! {
    async fn auz_09_administrators_who_remove_each_other_at_once_leave_one(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let other = app.another(&[]).await;
        for round in 0..16_usize {
            // Two or three administrators, each removed at an instance of its own.
            let count = 2 + round % 2;
            let mut admins = Vec::new();
            for n in 0..count {
                let id = an_admin(&app, &format!("admin{round}-{n}@example.org")).await;
                admins.push(id);
            }
            let mut racers = JoinSet::new();
            for (n, id) in admins.iter().copied().enumerate() {
                let instance = Arc::clone(if n % 2 == 0 { &app.app } else { &other });
                let verb = VERBS[(round / 2 + n * (1 + round / 8)) % VERBS.len()];
                racers.spawn(async move { (verb, remove(&instance, verb, id).await) });
            }
            let mut refused = 0;
            for (verb, answer) in racers.join_all().await {
                match answer {
                    Ok(()) => {}
                    Err(LifeError::LastAdmin) => refused += 1,
                    Err(other) => panic!("{verb:?}: {other}"),
                }
            }
            assert_eq!(refused, 1, "round {round}");
            assert_eq!(app.database.count(ACTIVE).await, 1, "round {round}");
            // The one who is left makes room for the next round.
            app.database.execute("DELETE FROM user_roles").await;
        }
        app.assert_invariants().await;
    }

    async fn ses_09_ses_10_a_login_at_the_moment_of_a_suspension_leaves_no_session(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let other = app.another(&[]).await;
        for round in 0..12_u64 {
            let ann = Person::new(&format!("ann{round}@example.org"));
            app.register(&ann).await;
            let id = app.user(&ann.email).await.id;
            app.advance(Duration::from_secs(1));
            let mut logins = JoinSet::new();
            for n in 0..4 {
                let instance = Arc::clone(if n % 2 == 0 { &app.app } else { &other });
                let ann = ann.clone();
                logins.spawn(async move { log_in(&instance, &ann.email, &ann.password).await });
            }
            // About when the hashes are done: earlier and later, round by round.
            tokio::time::sleep(Duration::from_millis(15 * round)).await;
            let is_suspension = round % 2 == 0;
            if is_suspension {
                suspend::suspend(&app.app, operator(), id).await.unwrap();
            } else {
                let new = app.app.passwords.for_trying("Kessel-violett-88-anders").unwrap();
                set_password(&app.app, operator(), id, new).await.unwrap();
            }
            for answer in logins.join_all().await {
                assert!(matches!(answer, Ok(_) | Err(LoginError::BadCredentials)));
            }
            let live = format!("SELECT COUNT(*) FROM sessions JOIN users ON users.id = user_id
                                WHERE ended_at IS NULL AND email = '{}'", ann.email);
            assert_eq!(app.database.count(&*live.leak()).await, 0, "round {round}");
        }
        app.assert_invariants().await;
    }

    async fn a_signup_that_is_proven_at_the_moment_of_the_sweep_is_whole_or_gone(db: TestDatabase) {
        let app = TestApp::start_with(db, &[("SIGNUP__VERIFY_LIFETIME", "30d")]).await;
        let other = app.another(&[("SIGNUP__VERIFY_LIFETIME", "30d")]).await;
        let (mut proven, mut gone) = (0, 0);
        for round in 0..12_u64 {
            let ann = Person::new(&format!("ann{round}@example.org"));
            app.sign_up(&ann).await.unwrap();
            let token = app.tokens_mailed_to(&ann.email).await.pop().unwrap();
            let id = app.user(&ann.email).await.id;
            app.advance(Duration::from_hours(24 * 7));
            let proof = {
                let (instance, ann) = (Arc::clone(&other), ann.clone());
                tokio::spawn(async move { verify(&instance, &ann, &token).await })
            };
            tokio::time::sleep(Duration::from_millis(12 * round)).await;
            let swept = sweep::erase_pending(&app.app).await.unwrap().erased;
            let erased = format!("SELECT COUNT(*) FROM users WHERE erased_at IS NOT NULL AND email = 'erased:{id}'");
            let is_erased = app.database.count(&*erased.leak()).await == 1;
            match proof.await.unwrap() {
                Ok(verified) => {
                    assert!(!is_erased, "round {round}: a proven account was lost");
                    assert!(app.authenticate(&verified.tokens.access_token).await.is_ok());
                    proven += 1;
                }
                Err(VerifyError::TokenInvalid | VerifyError::BadCredentials) => {
                    assert!(is_erased && swept == 1, "round {round}");
                    gone += 1;
                }
                Err(VerifyError::Fault(fault)) => panic!("{fault}"),
            }
        }
        assert_eq!(proven + gone, 12);
        app.assert_invariants().await;
    }
}

const ACTIVE: &str = "SELECT COUNT(*) FROM users JOIN user_roles ON user_roles.user_id = users.id
    WHERE role = 'admin' AND suspended_at IS NULL AND deleted_at IS NULL";

async fn an_admin(app: &TestApp, email: &str) -> UserId {
    app.register(&Person::new(email)).await;
    let id = app.user(email).await.id;
    roles::grant(&app.app, operator(), id, "admin".into()).await.unwrap();
    id
}
