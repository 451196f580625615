//! Suspending, roles, set-password, vouching: what is answered, what ends, and what is told to whom.

use std::time::Duration;

use portcullis::domain::event::Actor;
use portcullis::domain::ids::UserId;
use portcullis::domain::job::Letter;
use portcullis::domain::session::Origin;
use portcullis::domain::user::Status;
use portcullis::flows::life::{By, LifeError};
use portcullis::flows::login::LoginError;
use portcullis::flows::roles::{self, RoleError};
use portcullis::flows::send_reset::send_reset;
use portcullis::flows::set_password::set_password;
use portcullis::flows::suspend::{reactivate, suspend};
use portcullis::flows::verify_email::VerifyError;
use portcullis::flows::{delete_account, erase, revoke_sessions, vouch};

use crate::support::app::{Person, TestApp, log_in};

fn operator() -> By {
    By::operator(Actor::Cli("ops".into()))
}

fn rehearsal() -> By {
    By { is_rehearsal: true, ..operator() }
}

fn by(user: UserId) -> By {
    By { actor: Actor::User(user), origin: Origin::default(), is_rehearsal: false }
}

/// Actions of the trail about `user`, oldest first, with who did it.
async fn trail(app: &TestApp, user: UserId) -> Vec<String> {
    let text = format!(
        "SELECT action || ' ' || actor_kind FROM events WHERE subject_id = '{user}' ORDER BY id"
    );
    // Leaked, because sqlx wants texts that live for ever: a few bytes a test.
    app.database.raw().await.texts(&*text.leak()).await
}

async fn admin(app: &TestApp, email: &str) -> UserId {
    app.register(&Person::new(email)).await;
    let id = app.user(email).await.id;
    let user = roles::grant(&app.app, operator(), id, "admin".into()).await.unwrap();
    assert_eq!(user.roles.0, ["admin"]);
    id
}

on_every_backend! {
    async fn a_suspended_account_is_out_until_it_is_reactivated(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org");
        let tokens = app.register(&ann).await;
        let (id, version) = (app.user("ann@example.org").await.id, app.user("ann@example.org").await.version);
        app.advance(Duration::from_secs(1));
        let user = suspend(&app.app, operator(), id).await.unwrap();
        assert_eq!((user.status(), user.version), (Status::Suspended, version + 1));
        assert!(app.authenticate(&tokens.access_token).await.is_err());
        assert!(app.refresh(tokens.refresh_token.expose()).await.is_err());
        assert!(matches!(app.log_in(&ann).await, Err(LoginError::BadCredentials)));
        // What is so already is done, without another event.
        assert_eq!(suspend(&app.app, operator(), id).await.unwrap().version, version + 1);
        let user = reactivate(&app.app, operator(), id).await.unwrap();
        assert_eq!((user.status(), user.version), (Status::Active, version + 2));
        assert_eq!(reactivate(&app.app, operator(), id).await.unwrap().version, version + 2);
        // The session stays over.
        assert!(app.refresh(tokens.refresh_token.expose()).await.is_err());
        assert!(app.log_in(&ann).await.is_ok());
        assert_eq!(trail(&app, id).await, [
            "user.created anyone", "user.verified user", "session.started user",
            "session.ended cli", "user.suspended cli", "user.reactivated cli", "session.started user",
        ]);
        app.assert_invariants().await;
    }

    async fn nobody_acts_on_what_is_not_there_or_deleted(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let nobody = UserId(uuid::Uuid::max());
        assert!(matches!(suspend(&app.app, operator(), nobody).await, Err(LifeError::NotFound)));
        app.register(&Person::new("ann@example.org")).await;
        let id = app.user("ann@example.org").await.id;
        delete_account::delete(&app.app, operator(), id).await.unwrap();
        for refused in [
            suspend(&app.app, operator(), id).await,
            reactivate(&app.app, operator(), id).await,
            vouch::mark_verified(&app.app, operator(), id).await,
            set_password(&app.app, operator(), id, password(&app)).await,
        ] {
            assert!(matches!(refused, Err(LifeError::Conflict(_))), "{refused:?}");
        }
        let granted = roles::grant(&app.app, operator(), id, "admin".into()).await;
        assert!(matches!(granted, Err(RoleError::Life(LifeError::Conflict(_)))));
        erase::erase(&app.app, operator(), id).await.unwrap();
        for refused in [
            suspend(&app.app, operator(), id).await,
            delete_account::delete(&app.app, operator(), id).await,
            delete_account::restore(&app.app, operator(), id).await,
            erase::erase(&app.app, operator(), id).await,
            revoke_sessions::revoke_all(&app.app, operator(), id).await,
        ] {
            assert!(matches!(refused, Err(LifeError::NotFound)), "{refused:?}");
        }
        app.assert_invariants().await;
    }

    async fn auz_09_the_last_active_administrator_stays(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = admin(&app, "ann@example.org").await;
        let ben = admin(&app, "ben@example.org").await;
        suspend(&app.app, operator(), ben).await.unwrap();
        let last = || async {
            let revoked = match roles::revoke(&app.app, operator(), ann, "admin".into()).await {
                Err(RoleError::Life(error)) => Err(error),
                other => Ok(other.unwrap()),
            };
            [
                revoked,
                suspend(&app.app, operator(), ann).await,
                delete_account::delete(&app.app, operator(), ann).await,
                erase::erase(&app.app, operator(), ann).await,
                suspend(&app.app, rehearsal(), ann).await,
            ]
        };
        for refused in last().await {
            assert!(matches!(refused, Err(LifeError::LastAdmin)), "{refused:?}");
        }
        // Neither one who is deleted, nor one whose mailbox is not proven, could take over.
        reactivate(&app.app, operator(), ben).await.unwrap();
        delete_account::delete(&app.app, operator(), ben).await.unwrap();
        for refused in last().await {
            assert!(matches!(refused, Err(LifeError::LastAdmin)), "{refused:?}");
        }
        // Ben was not the last, so nothing keeps him; his deletion keeps his role for a restoration.
        assert_eq!(delete_account::restore(&app.app, operator(), ben).await.unwrap().roles.0, ["admin"]);
        assert_eq!(suspend(&app.app, operator(), ann).await.unwrap().status(), Status::Suspended);
        assert!(matches!(suspend(&app.app, operator(), ben).await, Err(LifeError::LastAdmin)));
        app.assert_invariants().await;
    }

    async fn roles_are_granted_and_revoked_once_and_shown(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = admin(&app, "ann@example.org").await;
        let version = app.user("ann@example.org").await.version;
        let again = roles::grant(&app.app, operator(), ann, "admin".into()).await.unwrap();
        assert_eq!(again.version, version);
        admin(&app, "ben@example.org").await;
        let revoked = roles::revoke(&app.app, operator(), ann, "admin".into()).await.unwrap();
        assert_eq!((revoked.roles.0.len(), revoked.version), (0, version + 1));
        let again = roles::revoke(&app.app, operator(), ann, "admin".into()).await.unwrap();
        assert_eq!(again.version, version + 1);
        for role in ["", "root", "Admin", "admin "] {
            for refused in [
                roles::grant(&app.app, operator(), ann, role.into()).await,
                roles::revoke(&app.app, operator(), ann, role.into()).await,
            ] {
                assert!(matches!(refused, Err(RoleError::UnknownRole)), "{role}");
            }
        }
        let tail = trail(&app, ann).await.split_off(3);
        assert_eq!(tail, ["role.granted cli", "role.revoked cli"]);
        // SECURITY: EML-13. Nobody has proven that mailbox: the next signup would have the role.
        app.sign_up(&Person::new("cid@example.org")).await.unwrap();
        let cid = app.user("cid@example.org").await.id;
        let granted = roles::grant(&app.app, operator(), cid, "admin".into()).await;
        assert!(matches!(granted, Err(RoleError::Life(LifeError::Conflict(_)))));
        app.assert_invariants().await;
    }

    async fn auz_16_nobody_acts_on_an_account_that_may_do_what_they_may_not(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let boss = admin(&app, "boss@example.org").await;
        let other = admin(&app, "other@example.org").await;
        app.register(&Person::new("eve@example.org")).await;
        app.register(&Person::new("ann@example.org")).await;
        let (eve, ann) = (app.user("eve@example.org").await.id, app.user("ann@example.org").await.id);
        for refused in [
            suspend(&app.app, by(eve), other).await,
            reactivate(&app.app, by(eve), other).await,
            delete_account::delete(&app.app, by(eve), other).await,
            delete_account::restore(&app.app, by(eve), other).await,
            erase::erase(&app.app, by(eve), other).await,
            vouch::mark_verified(&app.app, by(eve), other).await,
            set_password(&app.app, by(eve), other, password(&app)).await,
            revoke_sessions::revoke_all(&app.app, by(eve), other).await,
        ] {
            assert!(matches!(refused, Err(LifeError::NotAllowed)), "{refused:?}");
        }
        for refused in [
            roles::grant(&app.app, by(eve), eve, "admin".into()).await,
            roles::grant(&app.app, by(eve), ann, "admin".into()).await,
            roles::revoke(&app.app, by(eve), other, "admin".into()).await,
        ] {
            assert!(matches!(refused, Err(RoleError::Life(LifeError::NotAllowed))), "{refused:?}");
        }
        // On somebody without a role, and by somebody who has them all.
        assert!(suspend(&app.app, by(eve), ann).await.is_ok());
        assert!(suspend(&app.app, by(boss), other).await.is_ok());
        assert_eq!(trail(&app, other).await.last().unwrap(), "user.suspended user");
        app.assert_invariants().await;
    }

    async fn eml_18_a_password_set_by_an_operator_leaves_five_traces(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org");
        let tokens = app.register(&ann).await;
        let id = app.user("ann@example.org").await.id;
        app.advance(Duration::from_secs(1));
        set_password(&app.app, operator(), id, password(&app)).await.unwrap();
        // The old password and the sessions are over.
        assert!(app.refresh(tokens.refresh_token.expose()).await.is_err());
        assert!(matches!(app.log_in(&ann).await, Err(LoginError::BadCredentials)));
        // The new one is to be changed: every token answer says so.
        let tokens = log_in(&app.app, "ann@example.org", NEW).await.unwrap();
        assert!(tokens.must_change_password);
        assert!(app.refresh(tokens.refresh_token.expose()).await.unwrap().must_change_password);
        // The owner is told, and the trail knows who did it.
        let mails = app.mails_to("ann@example.org").await;
        let is_told = |letter: &Letter| matches!(letter, Letter::PasswordSet);
        assert_eq!(mails.iter().filter(|letter| is_told(letter)).count(), 1);
        let trail = trail(&app, id).await;
        assert_eq!(trail[3..5], ["session.ended cli", "password.changed cli"]);
        app.assert_invariants().await;
    }

    async fn eml_18_an_operator_starts_a_reset_and_sees_nothing_of_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org");
        let tokens = app.register(&ann).await;
        let id = app.user("ann@example.org").await.id;
        send_reset(&app.app, rehearsal(), id).await.unwrap();
        assert_eq!(app.mails_to("ann@example.org").await.len(), 1);
        let user = send_reset(&app.app, operator(), id).await.unwrap();
        assert_eq!(user, app.user("ann@example.org").await);
        let mails = app.mails_to("ann@example.org").await;
        assert!(matches!(mails.last(), Some(Letter::Reset { .. })));
        // Nothing ends before the reset does.
        assert!(app.authenticate(&tokens.access_token).await.is_ok());
        assert_eq!(trail(&app, id).await.last().unwrap(), "password.reset_sent cli");
        // BRU-10: an operator floods no mailbox either.
        send_reset(&app.app, operator(), id).await.unwrap();
        let refused = send_reset(&app.app, operator(), id).await;
        assert!(matches!(refused, Err(LifeError::Conflict(_))));
        suspend(&app.app, operator(), id).await.unwrap();
        let refused = send_reset(&app.app, operator(), id).await;
        assert!(matches!(refused, Err(LifeError::Conflict(_))));
        app.assert_invariants().await;
    }

    async fn a_mailbox_that_is_vouched_for_takes_its_wishes(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (ann, ben) = (Person::new("ann@example.org").named("zoe"), Person::new("ben@example.org").named("ZOE"));
        app.sign_up(&ann).await.unwrap();
        app.sign_up(&ben).await.unwrap();
        let token = app.tokens_mailed_to("ben@example.org").await.pop().unwrap();
        let (ann_id, ben_id) = (app.user("ann@example.org").await.id, app.user("ben@example.org").await.id);
        let user = vouch::mark_verified(&app.app, operator(), ann_id).await.unwrap();
        assert_eq!((user.status(), user.username.as_deref()), (Status::Active, Some("zoe")));
        assert!(app.log_in(&ann).await.is_ok());
        assert!(log_in(&app.app, "Zoe", &ann.password).await.is_ok());
        let user = vouch::mark_verified(&app.app, operator(), ben_id).await.unwrap();
        assert_eq!((user.status(), user.username), (Status::Active, None));
        assert_eq!(vouch::mark_verified(&app.app, operator(), ben_id).await.unwrap().version, user.version);
        let late = app.verify(&ben, &token).await;
        assert!(matches!(late, Err(VerifyError::TokenInvalid)));
        assert_eq!(trail(&app, ben_id).await, ["user.created anyone", "user.verified cli"]);
        app.assert_invariants().await;
    }

    async fn a_rehearsal_leaves_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let tokens = app.register(&Person::new("ann@example.org")).await;
        let before = app.user("ann@example.org").await;
        let id = before.id;
        let suspended = suspend(&app.app, rehearsal(), id).await.unwrap();
        assert_eq!(suspended.status(), Status::Suspended);
        assert_eq!(delete_account::delete(&app.app, rehearsal(), id).await.unwrap().status(), Status::Deleted);
        assert!(erase::erase(&app.app, rehearsal(), id).await.unwrap().email.starts_with("erased:"));
        roles::grant(&app.app, rehearsal(), id, "admin".into()).await.unwrap();
        set_password(&app.app, rehearsal(), id, password(&app)).await.unwrap();
        revoke_sessions::revoke_all(&app.app, rehearsal(), id).await.unwrap();
        assert_eq!(app.user("ann@example.org").await, before);
        assert_eq!(trail(&app, id).await.len(), 3);
        assert!(app.authenticate(&tokens.access_token).await.is_ok());
        app.assert_invariants().await;
    }

    async fn ses_18_an_operator_ends_one_session_those_of_one_user_or_everybody_s(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (ann, ben) = (Person::new("ann@example.org"), Person::new("ben@example.org"));
        let first = app.register(&ann).await;
        let second = app.log_in(&ann).await.unwrap();
        let of_ben = app.register(&ben).await;
        let id = app.user("ann@example.org").await.id;
        let other = revoke_sessions::revoke_one(&app.app, operator(), id, of_ben.session_id).await;
        assert!(matches!(other, Err(LifeError::NotFound)), "AUZ-03: somebody else's");
        revoke_sessions::revoke_one(&app.app, operator(), id, first.session_id).await.unwrap();
        let again = revoke_sessions::revoke_one(&app.app, operator(), id, first.session_id).await;
        assert!(matches!(again, Err(LifeError::NotFound)), "over");
        assert!(app.refresh(first.refresh_token.expose()).await.is_err());
        assert!(app.authenticate(&second.access_token).await.is_ok());
        revoke_sessions::revoke_all(&app.app, operator(), id).await.unwrap();
        assert!(app.refresh(second.refresh_token.expose()).await.is_err());
        assert!(app.authenticate(&of_ben.access_token).await.is_ok());
        let again = app.log_in(&ann).await.unwrap();
        assert_eq!(revoke_sessions::revoke_everybody_s(&app.app, operator()).await.unwrap(), 2);
        assert_eq!(revoke_sessions::revoke_everybody_s(&app.app, operator()).await.unwrap(), 0);
        for over in [&again, &of_ben] {
            assert!(app.refresh(over.refresh_token.expose()).await.is_err());
            assert!(app.authenticate(&over.access_token).await.is_err());
        }
        app.assert_invariants().await;
    }
}

const NEW: &str = "Kessel-violett-88-anders";

fn password(app: &TestApp) -> portcullis::domain::password::PlainPassword {
    app.app.passwords.for_trying(NEW).unwrap()
}
