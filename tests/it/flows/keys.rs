//! The life of signing keys: a successor is always there, whatever is done to the others (JWT-12).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::app::open::OpenError;
use portcullis::app::{App, watch};
use portcullis::crypto::keys::PrivateKey;
use portcullis::domain::event::Actor;
use portcullis::domain::keys::{KeyState, SigningAlgorithm};
use portcullis::flows::authenticate;
use portcullis::flows::keys::{self, KeysError};
use tokio_util::sync::CancellationToken;

use crate::support::app::{Person, TestApp};

/// The defaults of `token.key_announce` and `token.access_lifetime`, and how long a key stays after its last token.
const ANNOUNCE: Duration = Duration::from_hours(1);
const LIFETIME: Duration = Duration::from_mins(15);
const AFTERLIFE: Duration = Duration::from_secs(90);
/// The smallest step of the clock.
const INSTANT: Duration = Duration::from_micros(1);

/// The keys in this state now.
async fn in_state(app: &App, state: KeyState) -> Vec<String> {
    let now = app.clock.now();
    let rows = keys::list(app).await.unwrap().into_iter();
    rows.filter(|row| row.key.state(now) == state).map(|row| row.key.kid).collect()
}

async fn one(app: &App, state: KeyState) -> String {
    let mut found = in_state(app, state).await;
    assert_eq!(found.len(), 1, "{state:?}: {found:?}");
    found.remove(0)
}

fn signs(app: &App) -> String {
    app.keys.ring.signing(app.clock.now()).unwrap().kid().to_owned()
}

fn published(app: &App) -> BTreeSet<String> {
    app.keys.ring.public(app.clock.now()).into_iter().map(|jwk| jwk.kid().to_owned()).collect()
}

on_every_backend! {
    async fn a_first_start_makes_a_signing_key_and_an_idle_successor(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (signing, idle) = (one(&app.app, KeyState::Signing).await, one(&app.app, KeyState::Announced).await);
        assert_eq!(signs(&app.app), signing);
        assert_eq!(published(&app.app), BTreeSet::from([signing, idle]));
        let announced = "SELECT COUNT(*) FROM events WHERE action = 'key.announced'";
        assert_eq!(app.database.count(announced).await, 2);
        keys::care(&app.app, Actor::System).await.unwrap();
        assert_eq!(keys::list(&app.app).await.unwrap().len(), 2, "nothing is missing");
        app.assert_invariants().await;
    }

    async fn two_instances_that_care_at_once_make_one_of_each(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.database.execute("DELETE FROM signing_keys").await;
        let other = app.another(&[]).await;
        let mut racers = tokio::task::JoinSet::new();
        for n in 0..6 {
            let instance = Arc::clone(if n % 2 == 0 { &app.app } else { &other });
            racers.spawn(async move { keys::care(&instance, Actor::System).await });
        }
        for cared in racers.join_all().await {
            cared.unwrap();
        }
        assert_eq!(keys::list(&other).await.unwrap().len(), 2);
        assert_eq!(one(&other, KeyState::Signing).await, signs(&app.app));
        assert_eq!(published(&app.app), published(&other));
        app.assert_invariants().await;
    }

    async fn jwt_12_a_rotation_signs_with_the_successor_once_it_was_announced(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let tokens = app.register(&Person::new("ann@example.org")).await;
        let (old, next) = (one(&app.app, KeyState::Signing).await, one(&app.app, KeyState::Announced).await);
        keys::rotate(&app.app, Actor::Cli("root".into())).await.unwrap();
        let again = keys::rotate(&app.app, Actor::Cli("root".into())).await;
        assert!(matches!(again, Err(KeysError::Conflict(_))));
        assert_eq!(in_state(&app.app, KeyState::Announced).await.len(), 2, "another is announced at once");
        assert_eq!(signs(&app.app), old);
        assert_eq!(published(&app.app).len(), 3);

        app.advance(ANNOUNCE.saturating_sub(INSTANT));
        assert_eq!(signs(&app.app), old);
        // The session goes on: its last token by the old key.
        let last = app.refresh(tokens.refresh_token.expose()).await.unwrap();
        app.advance(INSTANT);
        assert_eq!(signs(&app.app), next);
        assert_eq!(one(&app.app, KeyState::Retiring).await, old);
        assert!(app.authenticate(&last.access_token).await.is_ok(), "what the old key signed is good");

        app.advance((LIFETIME + AFTERLIFE).saturating_sub(INSTANT));
        assert!(published(&app.app).contains(&old));
        app.advance(INSTANT);
        assert!(!published(&app.app).contains(&old));
        assert_eq!(one(&app.app, KeyState::Gone).await, old);
        keys::rotate(&app.app, Actor::System).await.unwrap();
        app.assert_invariants().await;
    }

    async fn jwt_12_the_successor_of_a_revoked_key_signs_at_once(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let tokens = app.register(&Person::new("ann@example.org")).await;
        let (old, next) = (one(&app.app, KeyState::Signing).await, one(&app.app, KeyState::Announced).await);
        assert!(app.authenticate(&tokens.access_token).await.is_ok());
        keys::revoke(&app.app, Actor::System, old.clone()).await.unwrap();
        assert_eq!((signs(&app.app), one(&app.app, KeyState::Revoked).await), (next, old.clone()));
        assert!(!published(&app.app).contains(&old));
        assert_eq!(in_state(&app.app, KeyState::Announced).await.len(), 1);
        assert!(app.authenticate(&tokens.access_token).await.is_err(), "JWT-13: nothing that it signed is good");
        let twice = keys::revoke(&app.app, Actor::System, old).await;
        assert!(matches!(twice, Err(KeysError::Conflict(_))));
        let unknown = keys::revoke(&app.app, Actor::System, "no such key".into()).await;
        assert!(matches!(unknown, Err(KeysError::NotFound)));
        assert!(app.refresh(tokens.refresh_token.expose()).await.is_ok());
        app.assert_invariants().await;
    }

    async fn jwt_13_the_watch_of_another_instance_refuses_what_a_revoked_key_signed(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let tokens = app.register(&Person::new("ann@example.org")).await;
        let other = app.another(&[]).await;
        let asked = || authenticate::authenticate(&other, &tokens.access_token);
        asked().await.unwrap();
        keys::revoke(&app.app, Actor::System, signs(&app.app)).await.unwrap();
        assert!(app.authenticate(&tokens.access_token).await.is_err(), "here it is refused at once");
        asked().await.expect("the other instance has not read the table again");

        let stop = CancellationToken::new();
        let watch = other.tasks.spawn(watch::watch(Arc::clone(&other), stop.clone()));
        let began = Instant::now();
        while asked().await.is_ok() {
            assert!(began.elapsed() < Duration::from_secs(10), "the watch reads no keys");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.cancel();
        watch.await.unwrap();
        // And what is signed from now on is taken by both.
        let tokens = app.log_in(&Person::new("ann@example.org")).await.unwrap();
        authenticate::authenticate(&other, &tokens.access_token).await.unwrap();
    }

    async fn jwt_12_a_revoked_successor_leaves_the_signing_key_signing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let signing = signs(&app.app);
        let idle = one(&app.app, KeyState::Announced).await;
        keys::revoke(&app.app, Actor::System, idle).await.unwrap();
        let called = one(&app.app, KeyState::Announced).await;
        keys::rotate(&app.app, Actor::System).await.unwrap();
        keys::revoke(&app.app, Actor::System, called).await.unwrap();
        app.advance(ANNOUNCE * 2);
        assert_eq!(signs(&app.app), signing, "the called one is gone, so it goes on");
        assert_eq!(in_state(&app.app, KeyState::Announced).await.len(), 1);
        // Revoked while it signs and another waits for its time: that one signs now.
        keys::rotate(&app.app, Actor::System).await.unwrap();
        keys::revoke(&app.app, Actor::System, signs(&app.app)).await.unwrap();
        assert_eq!(in_state(&app.app, KeyState::Signing).await.len(), 1);
        assert_eq!(in_state(&app.app, KeyState::Announced).await.len(), 1);
        app.assert_invariants().await;
    }

    async fn an_imported_key_takes_the_successors_place(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let old = signs(&app.app);
        let key = || PrivateKey::generate(SigningAlgorithm::Es256).unwrap();
        let (mine, now) = (key(), key());
        let kid = mine.kid().to_owned();
        let again = PrivateKey::from_pkcs8(SigningAlgorithm::Es256, &mine.to_pkcs8().unwrap()).unwrap();
        keys::import(&app.app, Actor::System, mine, false).await.unwrap();
        assert_eq!(signs(&app.app), old);
        let known = keys::import(&app.app, Actor::System, again, false).await;
        assert!(matches!(known, Err(KeysError::Conflict(_))));
        app.advance(ANNOUNCE);
        assert_eq!(signs(&app.app), kid);

        let at_once = now.kid().to_owned();
        keys::import(&app.app, Actor::System, now, true).await.unwrap();
        assert_eq!(signs(&app.app), at_once);
        assert_eq!(in_state(&app.app, KeyState::Signing).await, [at_once]);
        assert_eq!(in_state(&app.app, KeyState::Announced).await.len(), 1);
        app.assert_invariants().await;
    }

    async fn another_algorithm_is_announced_before_it_signs(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let old = signs(&app.app);
        let changed = app.another(&[("TOKEN__ALGORITHM", "EdDSA")]).await;
        keys::care(&changed, Actor::System).await.unwrap();
        let algorithm = |app: &App| app.keys.ring.signing(app.clock.now()).unwrap().algorithm();
        assert_eq!((signs(&changed), algorithm(&changed)), (old, SigningAlgorithm::Es256));
        keys::care(&changed, Actor::System).await.unwrap();
        assert_eq!(keys::list(&changed).await.unwrap().len(), 4, "once is enough");
        app.advance(ANNOUNCE);
        assert_eq!(algorithm(&changed), SigningAlgorithm::EdDsa);
        let idle = one(&changed, KeyState::Announced).await;
        let rows = keys::list(&changed).await.unwrap();
        let idle = rows.iter().find(|row| row.key.kid == idle).unwrap();
        assert_eq!(idle.key.algorithm, SigningAlgorithm::EdDsa);
        app.assert_invariants().await;
    }

    async fn cfg_13_another_master_key_is_told_at_the_start(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let other = [("MASTER_KEY", "q0WpPrbTuYyWiBQudEAQIq+eUhnyISIxjpIVY9hakNk=")];
        let refused = app.try_another(&other).await.err().unwrap();
        assert!(matches!(refused, OpenError::OtherMasterKey(_)), "{refused}");
        let previous = [other[0], ("PREVIOUS_MASTER_KEYS", "yhGpPW5zVLDMCvJ+YkE1rN3qQ0bSx7fTuAi2hRmZdOw=")];
        app.try_another(&previous).await.map(drop).unwrap();
    }
}
