//! Deleting, restoring, erasing and what leaves by itself: until the grace ends all is kept, and then nothing.

use std::time::Duration;

use portcullis::domain::event::Actor;
use portcullis::domain::job::Letter;
use portcullis::domain::session::Origin;
use portcullis::domain::user::Status;
use portcullis::flows::life::{By, LifeError};
use portcullis::flows::login::LoginError;
use portcullis::flows::signup::SignupError;
use portcullis::flows::{delete_account, erase, roles, suspend, sweep};
use serde_json::json;

use crate::support::app::{Person, TestApp, log_in};
use crate::support::dump::database_dump;
use crate::support::rows::object;

const DAY: Duration = Duration::from_hours(24);

fn operator() -> By {
    By::operator(Actor::Cli("ops".into()))
}

on_every_backend! {
    async fn a_deleted_account_comes_back_within_the_grace(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org").named("ann");
        let tokens = app.register(&ann).await;
        let before = app.user("ann@example.org").await;
        let not_yet = delete_account::restore(&app.app, operator(), before.id).await;
        assert!(matches!(not_yet, Err(LifeError::Conflict(_))));
        let deleted = delete_account::delete(&app.app, operator(), before.id).await.unwrap();
        assert_eq!((deleted.status(), deleted.version), (Status::Deleted, before.version + 1));
        assert!(app.authenticate(&tokens.access_token).await.is_err());
        assert!(app.refresh(tokens.refresh_token.expose()).await.is_err());
        assert!(matches!(app.log_in(&ann).await, Err(LoginError::BadCredentials)));
        assert!(matches!(log_in(&app.app, "ann", &ann.password).await, Err(LoginError::BadCredentials)));
        let mails = app.mails_to("ann@example.org").await;
        assert!(matches!(mails.last(), Some(Letter::AccountDeleted { grace_s: 2_592_000 })));

        // Address and name stay held: nobody is there when the account comes back.
        app.sign_up(&Person::new("ANN@example.org")).await.unwrap();
        let named = app.sign_up(&Person::new("ben@example.org").named("Ann")).await;
        assert!(matches!(named, Err(SignupError::UsernameTaken)));
        assert_eq!(app.database.count("SELECT COUNT(*) FROM users").await, 1);

        // Deleting it again is no delay.
        app.advance(DAY * 20);
        let again = delete_account::delete(&app.app, operator(), before.id).await.unwrap();
        assert_eq!((again.deleted_at, again.version), (deleted.deleted_at, deleted.version));
        app.advance((DAY * 10).checked_sub(Duration::from_secs(1)).unwrap());
        assert_eq!(sweep::erase_deleted(&app.app).await.unwrap().erased, 0);
        let back = delete_account::restore(&app.app, operator(), before.id).await.unwrap();
        assert_eq!((back.status(), &back.email, &back.username), (Status::Active, &before.email, &before.username));
        assert!(log_in(&app.app, "ann", &ann.password).await.is_ok());
        assert!(app.refresh(tokens.refresh_token.expose()).await.is_err(), "its sessions do not");
        let mails = app.mails_to("ann@example.org").await;
        let is_told = |letter: &Letter| matches!(letter, Letter::AccountRestored);
        assert_eq!(mails.iter().filter(|letter| is_told(letter)).count(), 1);
        app.advance(DAY * 60);
        assert_eq!(sweep::erase_deleted(&app.app).await.unwrap().erased, 0);
        app.assert_invariants().await;
    }

    async fn auz_12_after_the_grace_an_account_is_erased_and_its_address_free_under_a_new_id(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org").named("ann");
        let tokens = app.register(&ann).await;
        app.register(&Person::new("ben@example.org")).await;
        let id = app.user("ann@example.org").await.id;
        roles::grant(&app.app, operator(), app.user("ben@example.org").await.id, "admin".into()).await.unwrap();
        roles::grant(&app.app, operator(), id, "admin".into()).await.unwrap();
        delete_account::delete(&app.app, operator(), id).await.unwrap();
        app.advance(DAY * 30);
        // From then on nobody brings it back, also before the sweep came by.
        let late = delete_account::restore(&app.app, operator(), id).await;
        assert!(matches!(late, Err(LifeError::Conflict(_))));
        assert_eq!(sweep::erase_deleted(&app.app).await.unwrap().erased, 1);
        assert_eq!(sweep::erase_deleted(&app.app).await.unwrap().erased, 0);
        let late = delete_account::restore(&app.app, operator(), id).await;
        assert!(matches!(late, Err(LifeError::NotFound)));

        let second = app.register(&ann).await;
        let user = app.user("ann@example.org").await;
        assert_ne!(user.id, id);
        assert_eq!((user.username.as_deref(), user.roles.0.len()), (Some("ann"), 0));
        assert!(app.authenticate(&second.access_token).await.is_ok());
        assert!(app.authenticate(&tokens.access_token).await.is_err());
        assert!(app.refresh(tokens.refresh_token.expose()).await.is_err());
        app.assert_invariants().await;
    }

    async fn auz_12_log_10_an_erasure_leaves_nothing_of_the_person(db: TestDatabase) {
        let app = TestApp::start(db).await;
        // Many others around, so that pages of the file are full, split and moved.
        let crowd: Vec<Person> = (0..30).map(|n| Person {
            profile: object(json!({ "bio": format!("other{n} ").repeat(60) })),
            ..Person::new(&format!("other{n}@example.org")).named(&format!("other{n}"))
        }).collect();
        for person in &crowd[..15] {
            app.sign_up(person).await.unwrap();
        }
        let canary = Person {
            profile: object(json!({ "display_name": "Canary Featherstone", "bio": "plumage ".repeat(100) })),
            ..Person::new("Canary.Address@Example.org").named("CanaryName")
        };
        let tokens = lived(&app, &canary).await;
        let id = app.user("canary.address@example.org").await.id;
        for person in &crowd[15..] {
            app.sign_up(person).await.unwrap();
        }
        let found = |dump: &str| -> Vec<&str> {
            let dump = dump.to_lowercase();
            CANARIES.into_iter().filter(|canary| dump.contains(canary)).collect()
        };
        let before = found(&database_dump(&app.database).await);
        assert_eq!(before, CANARIES, "the search can find what is there");
        let hashes = "SELECT COUNT(*) FROM events WHERE length(details_hash) = 32";
        let events = app.database.count(hashes).await;
        let lines = "SELECT id || at || action || subject_id FROM events ORDER BY id";
        let lines = ("SELECT hex(id) || at || action || subject_id FROM events ORDER BY id",
                     lines.replace("id || at", "id::text || at::text").leak() as &'static str);
        let trail = app.database.raw().await.texts(lines).await;

        erase::erase(&app.app, operator(), id).await.unwrap();
        assert!(app.authenticate(&tokens.access_token).await.is_err());
        assert_eq!(found(&tables(&app).await), [""; 0], "in a table");
        // LOG-10: every line of the trail is as it was, and so is what the chain covers.
        let now = app.database.raw().await.texts(lines).await;
        assert_eq!(now[..trail.len()], trail[..]);
        assert!(app.database.count(hashes).await > events);
        app.assert_invariants().await;
        let is_sqlite = app.database.is_sqlite();
        app.app.store.close().await;
        if is_sqlite {
            // Promised with the last connection closed: until then the write-ahead log may hold what was written.
            assert!(!std::path::Path::new(&format!("{}-wal", app.database.file().display())).exists());
            let bytes = std::fs::read(app.database.file()).unwrap();
            assert_eq!(found(&String::from_utf8_lossy(&bytes)), [""; 0], "in the file");
        }
    }

    async fn signups_that_nobody_proved_leave_after_their_time(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        app.sign_up(&Person::new("ben@example.org").named("ben")).await.unwrap();
        app.register(&Person::new("cid@example.org")).await;
        let ben = app.user("ben@example.org").await.id;
        app.advance(DAY * 4);
        // The newest signup counts.
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        app.advance(Duration::from_secs(3 * 86_400 - 1));
        assert_eq!(sweep::erase_pending(&app.app).await.unwrap().erased, 0);
        app.advance(Duration::from_secs(1));
        assert_eq!(sweep::erase_pending(&app.app).await.unwrap().erased, 1);
        assert_eq!(app.user("ann@example.org").await.status(), Status::Unverified);
        assert_eq!(app.user("cid@example.org").await.status(), Status::Active);
        // Its address is free, under a new id.
        app.sign_up(&Person::new("ben@example.org")).await.unwrap();
        assert_ne!(app.user("ben@example.org").await.id, ben);
        let text = format!("SELECT action || actor_kind FROM events WHERE subject_id = '{ben}' ORDER BY id");
        let trail = app.database.raw().await.texts(&*text.leak()).await;
        assert_eq!(trail, ["user.createdanyone", "user.erasedsystem"]);
        // One that an operator barred stays barred.
        suspend::suspend(&app.app, operator(), app.user("ann@example.org").await.id).await.unwrap();
        app.advance(DAY * 30);
        assert_eq!(sweep::erase_pending(&app.app).await.unwrap().erased, 1, "ben's second");
        app.assert_invariants().await;
    }

    async fn invitations_that_nobody_took_leave_when_they_end(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for name in ["dead", "alive", "taken"] {
            app.sign_up(&Person::new(&format!("{name}@example.org"))).await.unwrap();
        }
        let token = app.tokens_mailed_to("taken@example.org").await.pop().unwrap();
        app.verify(&Person::new("taken@example.org"), &token).await.unwrap();
        app.database.execute("UPDATE users SET pending_since = NULL, invited_until = created_at").await;
        app.advance(Duration::from_secs(1));
        let alive = ("UPDATE users SET invited_until = 1795000001123458 WHERE email = 'alive@example.org'",
                     "UPDATE users SET invited_until = created_at + interval '1000001 microseconds'
                      WHERE email = 'alive@example.org'");
        assert_eq!(app.database.execute(alive).await, 1);
        assert_eq!(sweep::erase_invited(&app.app).await.unwrap().erased, 1);
        assert_eq!(app.user("alive@example.org").await.status(), Status::Unverified);
        assert_eq!(app.user("taken@example.org").await.status(), Status::Active);
        app.advance(Duration::from_secs(1));
        assert_eq!(sweep::erase_invited(&app.app).await.unwrap().erased, 1);
        assert_eq!(sweep::erase_invited(&app.app).await.unwrap().erased, 0);
        app.assert_invariants().await;
    }
}

/// What is told apart from everything else in a database, in lower case.
const CANARIES: [&str; 7] = [
    "canary.address",
    "canaryname",
    "featherstone",
    "plumage",
    "203.0.113.77",
    "canarybrowser",
    "canary.elsewhere",
];

/// Somebody with sessions, a token, a wish for another address: everything that can be stored of a person.
async fn lived(app: &TestApp, person: &Person) -> portcullis::flows::tokens::Tokens {
    app.register(person).await;
    let attempt = portcullis::flows::login::Attempt {
        identifier: portcullis::domain::identifier::LoginIdentifier::parse("canaryname").unwrap(),
        password: app.app.passwords.for_trying(&person.password).unwrap(),
        audience: app.app.settings.own_audience().to_owned(),
        origin: Origin {
            address: "203.0.113.77".into(),
            user_agent: Some("CanaryBrowser/1".into()),
            request_id: None,
        },
    };
    let tokens = portcullis::flows::login::login(&app.app, attempt).await.unwrap();
    app.database
        .execute(
            "INSERT INTO email_changes (user_id, email, email_canonical, session_id, requested_at, expires_at)
             SELECT id, 'canary.elsewhere@example.org', 'canary.elsewhere@example.org', id, created_at, created_at
             FROM users WHERE username = 'CanaryName'",
        )
        .await;
    app.database
        .execute(
            "INSERT INTO unique_values (field, value_canonical, user_id)
             SELECT '/profile/phone', 'canary.elsewhere', id FROM users WHERE username = 'CanaryName'",
        )
        .await;
    tokens
}

/// Every value of every table: what the database answers, whatever its files hold.
async fn tables(app: &TestApp) -> String {
    let dump = database_dump(&app.database).await;
    // The bytes of the files follow the rows.
    dump.split("SQLite format 3").next().unwrap_or_default().to_owned()
}
