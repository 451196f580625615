//! The sweeps over what flows leave behind: dead rows go after their time, batch after batch, and live rows stay.

use std::time::Duration;

use portcullis::jobs::sweep;
use portcullis::jobs::tasks;
use portcullis::jobs::upkeep::{Batch, Upkeep};
use tokio::time::Instant;

use super::{Outbox, run};
use crate::support::app::{Person, TestApp};

const DAY: Duration = Duration::from_hours(24);

async fn rows(app: &TestApp, table: &str) -> i64 {
    app.database.count(&*format!("SELECT COUNT(*) FROM {table}").leak()).await
}

on_every_backend! {
    async fn ses_22_dead_sessions_leave_with_their_tokens_and_live_ones_stay(db: TestDatabase) {
        // Refreshed often enough, a session lives until its absolute end.
        let app = TestApp::start_with(db, &[("TOKEN__SESSION_IDLE", "20d"), ("TOKEN__SESSION_MAX", "40d")]).await;
        let ann = Person::new("ann@example.org");
        let mut first = app.register(&ann).await;
        app.advance(DAY * 15);
        first = app.refresh(first.refresh_token.expose()).await.unwrap();
        let second = app.log_in(&ann).await.unwrap();
        assert_eq!(sweep::dead_sessions(&app.app).await.unwrap(), Batch::Last);
        assert_eq!((rows(&app, "sessions").await, rows(&app, "refresh_tokens").await), (2, 3));
        let signed_in = app.authenticate(&first.access_token).await.unwrap();
        assert!(signed_in.session_id != app.authenticate(&second.access_token).await.unwrap().session_id);

        // The first ends at its absolute end, the second by itself; a third lives on.
        app.advance(DAY * 26);
        app.log_in(&ann).await.unwrap();
        assert_eq!(sweep::dead_sessions(&app.app).await.unwrap(), Batch::Last);
        assert_eq!(rows(&app, "sessions").await, 3, "an operator may still ask about it");
        app.advance(DAY * 6);
        assert_eq!(sweep::dead_sessions(&app.app).await.unwrap(), Batch::Last);
        assert_eq!((rows(&app, "sessions").await, rows(&app, "refresh_tokens").await), (2, 2));
    }

    async fn ses_22_a_session_with_thousands_of_tokens_leaves_in_small_batches(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org");
        app.register(&ann).await;
        app.database.execute("UPDATE refresh_tokens SET used_at = created_at").await;
        app.database.execute((
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2200)
             INSERT INTO refresh_tokens (digest, session_id, generation, created_at, used_at, expires_at)
             SELECT randomblob(32), session_id, n, created_at, created_at, expires_at FROM refresh_tokens, n",
            "INSERT INTO refresh_tokens (digest, session_id, generation, created_at, used_at, expires_at)
             SELECT sha256(n::text::bytea), session_id, n, created_at, created_at, expires_at
             FROM refresh_tokens, generate_series(1, 2200) AS n",
        )).await;
        app.log_in(&ann).await.unwrap();
        app.database.execute("UPDATE sessions SET ended_at = created_at, end_reason = 'logout'
                              WHERE id IN (SELECT session_id FROM refresh_tokens WHERE generation = 1)").await;
        app.advance(DAY * 8);
        for left in [1202, 202, 1] {
            let batch = sweep::dead_sessions(&app.app).await.unwrap();
            assert_eq!(rows(&app, "refresh_tokens").await, left);
            assert_eq!(batch, if left == 1 { Batch::Last } else { Batch::More });
        }
        assert_eq!(rows(&app, "sessions").await, 1, "the live one");
    }

    async fn ses_22_ended_jobs_and_tokens_leave_and_what_waits_stays(db: TestDatabase) {
        let (app, outbox) = (TestApp::start(db).await, Outbox::new());
        app.sign_up(&Person::new("ann@example.org")).await.unwrap();
        run(&app, &outbox).await;
        assert_eq!((rows(&app, "jobs").await, rows(&app, "one_time_tokens").await), (1, 1));
        app.advance(Duration::from_secs(7 * 24 * 3600 - 1));
        app.sign_up(&Person::new("bob@example.org")).await.unwrap();
        assert_eq!(sweep::ended_jobs(&app.app).await.unwrap(), Batch::Last);
        assert_eq!(rows(&app, "jobs").await, 2);
        assert_eq!(sweep::expired_tokens(&app.app).await.unwrap(), Batch::Last);
        assert_eq!(rows(&app, "one_time_tokens").await, 1, "the live one");
        app.advance(Duration::from_secs(1));
        assert_eq!(sweep::ended_jobs(&app.app).await.unwrap(), Batch::Last);
        assert_eq!(rows(&app, "jobs WHERE state = 'waiting'").await, 1);
        assert_eq!(rows(&app, "jobs").await, 1, "the mail that waits");
        app.advance(DAY * 3650);
        assert_eq!(sweep::ended_jobs(&app.app).await.unwrap(), Batch::Last);
        assert_eq!(rows(&app, "jobs").await, 1);
    }

    /// Every task as `serve` has them, by two instances at once.
    async fn f20_all_upkeep_of_two_instances_runs_and_leaves_the_trail_in_its_chain(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let other = app.another(&[]).await;
        let upkeep = [Upkeep::start(&app.app, tasks::ALL), Upkeep::start(&other, tasks::ALL)];
        app.register(&Person::new("ann@example.org")).await;
        let begun = Instant::now();
        let all = i64::try_from(tasks::ALL.len()).unwrap();
        // The clock of these instances stands still: each task runs once, and the chain whenever it may.
        while rows(&app, "events_unchained").await > 0 || rows(&app, "leases").await < all {
            assert!(begun.elapsed() < Duration::from_secs(30));
            app.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        for upkeep in upkeep {
            upkeep.stop(deadline).await;
        }
        assert_eq!(rows(&app, "event_chain").await, rows(&app, "events").await);
        app.assert_invariants().await;
    }
}
