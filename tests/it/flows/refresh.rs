//! Refresh tokens: rotation, the answer that was lost, the token that was copied, and many at once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::domain::session::Origin;
use portcullis::flows::refresh::{self, RefreshError};
use portcullis::flows::tokens::Tokens;
use tokio::task::JoinSet;

use crate::support::app::{Person, TestApp};

const LIVE_SESSIONS: &str = "SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL";
const LIVE_TOKENS: &str = "SELECT COUNT(*) FROM refresh_tokens WHERE used_at IS NULL";

async fn ann(app: &TestApp) -> Tokens {
    app.register(&Person::new("ann@example.org")).await
}

/// The smallest step of the clock.
const INSTANT: Duration = Duration::from_micros(1);
/// The default of `token.refresh_reuse_window`.
const WINDOW: Duration = Duration::from_secs(30);

on_every_backend! {
    async fn ses_04_the_parent_gets_the_same_successor_within_the_window(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let first = ann(&app).await;
        let second = app.refresh(first.refresh_token.expose()).await.unwrap();
        app.advance(WINDOW);
        for _ in 0..3 {
            let again = app.refresh(first.refresh_token.expose()).await.unwrap();
            assert_eq!(again.refresh_token, second.refresh_token);
            assert!(app.authenticate(&again.access_token).await.is_ok());
        }
        assert_eq!(app.database.count(LIVE_TOKENS).await, 1);
        assert!(app.refresh(second.refresh_token.expose()).await.is_ok());
        app.assert_invariants().await;
    }

    async fn ses_03_the_parent_ends_the_session_after_the_window(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let first = ann(&app).await;
        let second = app.refresh(first.refresh_token.expose()).await.unwrap();
        app.advance(WINDOW + INSTANT);
        let answer = app.refresh(first.refresh_token.expose()).await;
        assert!(matches!(answer, Err(RefreshError::Reused)));
        for token in [&first.refresh_token, &second.refresh_token] {
            let refused = app.refresh(token.expose()).await;
            assert!(matches!(refused, Err(RefreshError::Invalid)));
        }
        assert!(app.authenticate(&second.access_token).await.is_err());
        assert_eq!(app.database.count(LIVE_SESSIONS).await, 0);
        app.assert_invariants().await;
    }

    async fn ses_03_the_grandparent_ends_the_session_at_once(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let first = ann(&app).await;
        let second = app.refresh(first.refresh_token.expose()).await.unwrap();
        let third = app.refresh(second.refresh_token.expose()).await.unwrap();
        let answer = app.refresh(first.refresh_token.expose()).await;
        assert!(matches!(answer, Err(RefreshError::Reused)));
        let refused = app.refresh(third.refresh_token.expose()).await;
        assert!(matches!(refused, Err(RefreshError::Invalid)));
        app.assert_invariants().await;
    }

    async fn ses_06_the_absolute_end_does_not_move(db: TestDatabase) {
        let app = TestApp::start_with(db, &[("TOKEN__SESSION_IDLE", "10h"), ("TOKEN__SESSION_MAX", "24h")]).await;
        let mut tokens = ann(&app).await;
        assert_eq!(tokens.refresh_expires_in, 36_000);
        for left in [36_000, 28_800, 7_200] {
            let idle = Duration::from_hours(if left == 36_000 { 10 } else { 6 });
            app.advance(idle.saturating_sub(INSTANT));
            tokens = app.refresh(tokens.refresh_token.expose()).await.unwrap();
            assert!(tokens.refresh_expires_in.abs_diff(left) <= 1, "{}", tokens.refresh_expires_in);
        }
        app.advance(Duration::from_hours(2) + Duration::from_millis(1));
        let over = app.refresh(tokens.refresh_token.expose()).await;
        assert!(matches!(over, Err(RefreshError::Invalid)));
        app.assert_invariants().await;
    }

    async fn ses_13_what_is_no_token_is_invalid(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let tokens = ann(&app).await;
        let mailed = tokens.refresh_token.expose().replace("pcr_", "pcv_");
        let blank = format!("{} ", tokens.refresh_token.expose());
        for text in ["", "pcr_", &mailed, &blank, &tokens.access_token] {
            assert!(matches!(app.refresh(text).await, Err(RefreshError::Invalid)));
        }
        assert_eq!(app.database.count(LIVE_SESSIONS).await, 1);
    }

    async fn ses_05_fifty_refreshes_at_two_instances_leave_one_live_token(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let first = ann(&app).await;
        let other = app.another(&[]).await;
        let mut racers = JoinSet::new();
        for n in 0..50 {
            let instance = Arc::clone(if n % 2 == 0 { &app.app } else { &other });
            let token = first.refresh_token.clone();
            racers.spawn(async move { refresh::refresh(&instance, token.expose(), Origin::default()).await });
        }
        let mut successors = HashSet::new();
        for answer in racers.join_all().await {
            match answer {
                Ok(tokens) => { successors.insert(tokens.refresh_token.expose().to_owned()); }
                Err(RefreshError::Invalid) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(successors.len(), 1);
        assert_eq!(app.database.count(LIVE_TOKENS).await, 1);
        let successor = successors.into_iter().next().unwrap();
        assert!(app.refresh(&successor).await.is_ok());
        app.assert_invariants().await;
    }

    async fn ses_05_parent_and_leaf_at_once_do_not_wait_for_each_other(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut parent = ann(&app).await;
        for _ in 0..25 {
            let leaf = app.refresh(parent.refresh_token.expose()).await.unwrap();
            let start = Instant::now();
            let (of_parent, of_leaf) =
                tokio::join!(app.refresh(parent.refresh_token.expose()), app.refresh(leaf.refresh_token.expose()));
            // A deadlock takes PostgreSQL a second to see.
            assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
            match of_parent {
                // First: the leaf once more.
                Ok(again) => assert_eq!(again.refresh_token, leaf.refresh_token),
                // Second: it is the grandparent of the live token by now, and that looks like a theft.
                Err(RefreshError::Reused) => {
                    parent = app.log_in(&Person::new("ann@example.org")).await.unwrap();
                    continue;
                }
                Err(other) => panic!("{other}"),
            }
            parent = of_leaf.unwrap();
        }
        app.assert_invariants().await;
    }
}
