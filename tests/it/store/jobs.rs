//! The contract of `jobs`: enqueued once a key, claimed by one, fenced, and without a payload when they ended.

use portcullis::domain::ids::JobId;
use portcullis::domain::job::{ClaimedJob, NewJob};
use portcullis::domain::time::Timestamp;
use portcullis::store::jobs::{self, Held, Lease, Outcome};
use portcullis::store::{StaleReader, Store};
use uuid::Uuid;

use crate::support::rows::{NOW, after, job, uuid};

const OWNER: Uuid = Uuid::from_u128(77);
const OTHER: Uuid = Uuid::from_u128(78);

async fn enqueue(store: &Store, job: NewJob) -> bool {
    store.write(job, |tx, job| Box::pin(jobs::enqueue(tx, job))).await.unwrap()
}

const KINDS: &[&str] = &["mail", "resend_verification"];

/// Claims for `owner` at `now`, for ten seconds; in the order of the ids.
async fn claim(store: &Store, owner: Uuid, now: Timestamp, limit: i64) -> Vec<ClaimedJob> {
    let lease = Lease { owner, until: now.plus(std::time::Duration::from_secs(10)) };
    let claimed = store.write((now, lease, limit), |tx, (now, lease, limit)| {
        Box::pin(jobs::claim(tx, *now, *lease, KINDS, *limit))
    });
    let mut claimed = claimed.await.unwrap();
    claimed.sort_by_key(|job| job.id);
    claimed
}

fn held(n: u128, owner: Uuid, attempt: i64) -> Held {
    Held { id: JobId(uuid(n)), owner, attempt }
}

fn ids(claimed: &[ClaimedJob]) -> Vec<u128> {
    claimed.iter().map(|job| job.id.0.as_u128()).collect()
}

async fn finish(store: &Store, held: Held, outcome: Outcome, error: Option<&'static str>) -> bool {
    let finished = store.write((held, outcome, error), |tx, (held, outcome, error)| {
        Box::pin(jobs::finish(tx, *held, *outcome, after(5), *error))
    });
    finished.await.unwrap()
}

async fn retry(store: &Store, held: Held, due_at: Timestamp) -> bool {
    let retried = store.write((held, due_at), |tx, (held, due_at)| {
        Box::pin(jobs::retry(tx, *held, *due_at, "450 später"))
    });
    retried.await.unwrap()
}

async fn hand_back(store: &Store, held: Held) -> bool {
    store.write(held, |tx, held| Box::pin(jobs::hand_back(tx, *held))).await.unwrap()
}

on_every_backend! {
    async fn a_job_is_claimed_as_it_was_enqueued_and_by_one(db: TestDatabase) {
        let store = db.store().await;
        assert!(enqueue(&store, job(1, NOW)).await);
        assert!(!enqueue(&store, job(1, NOW)).await, "an id twice");
        assert_eq!(ids(&claim(&store, OWNER, Timestamp::from_micros(NOW.micros() - 1), 9).await), [0; 0]);
        let claimed = claim(&store, OWNER, NOW, 9).await;
        assert_eq!((ids(&claimed), claimed[0].kind.as_str(), claimed[0].attempts), (vec![1], "mail", 1));
        assert_eq!((claimed[0].payload.as_deref(), claimed[0].created_at), (Some(&[0, 1, 254, 255][..]), NOW));
        assert_eq!(ids(&claim(&store, OTHER, after(9), 9).await), [0; 0], "its lease is not over");
    }

    async fn the_more_urgent_and_the_older_go_first(db: TestDatabase) {
        let store = db.store().await;
        for (n, priority, at) in [(1, 10, 0), (2, 0, 5), (3, 0, 3), (4, 5, 0)] {
            assert!(enqueue(&store, NewJob { priority, ..job(n, after(at)) }).await);
        }
        for expected in [[3], [2], [4], [1]] {
            assert_eq!(ids(&claim(&store, OWNER, after(9), 1).await), expected);
        }
    }

    async fn one_job_a_key_waits(db: TestDatabase) {
        let store = db.store().await;
        let keyed = |n: u128| NewJob { dedupe_key: Some(vec![9; 32]), ..job(n, NOW) };
        assert!(enqueue(&store, keyed(1)).await);
        assert!(!enqueue(&store, keyed(2)).await);
        assert!(enqueue(&store, NewJob { kind: "resend_verification", ..keyed(3) }).await);
        assert!(enqueue(&store, job(4, NOW)).await, "no key is no equal key");
        assert!(enqueue(&store, job(5, NOW)).await);
        assert_eq!(ids(&claim(&store, OWNER, NOW, 1).await), [1]);
        assert!(enqueue(&store, keyed(2)).await, "the one before runs already");
        // The one that failed goes back beside it.
        assert!(retry(&store, held(1, OWNER, 1), after(1)).await);
        let mut reader = store.read().await.unwrap();
        assert_eq!(jobs::count_waiting(&mut reader, "mail").await.unwrap(), 4);
        assert_eq!(jobs::count_waiting(&mut reader, "resend_verification").await.unwrap(), 1);
        assert_eq!(jobs::count_waiting(&mut reader, "other").await.unwrap(), 0);
    }

    async fn a_worker_that_slept_past_its_lease_is_fenced(db: TestDatabase) {
        let store = db.store().await;
        assert!(enqueue(&store, job(1, NOW)).await);
        assert_eq!(ids(&claim(&store, OWNER, NOW, 9).await), [1]);
        let again = claim(&store, OTHER, after(10), 9).await;
        assert_eq!((ids(&again), again[0].attempts), (vec![1], 2));
        for late in [held(1, OWNER, 1), held(1, OWNER, 2), held(1, OTHER, 1), held(2, OTHER, 2)] {
            assert!(!finish(&store, late, Outcome::Done, None).await);
            assert!(!retry(&store, late, NOW).await);
            assert!(!hand_back(&store, late).await);
        }
        // The same worker may claim it again: then its first attempt is fenced too.
        let third = claim(&store, OTHER, after(20), 9).await;
        assert_eq!(third[0].attempts, 3);
        assert!(!finish(&store, held(1, OTHER, 2), Outcome::Done, None).await);
        assert!(finish(&store, held(1, OTHER, 3), Outcome::Done, None).await);
        assert!(!finish(&store, held(1, OTHER, 3), Outcome::GivenUp, None).await, "it ended");
    }

    async fn rel_14_a_lease_is_renewed_by_its_holder_alone(db: TestDatabase) {
        let store = db.store().await;
        assert!(enqueue(&store, job(1, NOW)).await);
        let renew = async |held: Held, until: Timestamp| {
            let renewed = store.write((held, until), |tx, (held, until)| {
                Box::pin(jobs::renew(tx, *held, *until))
            });
            renewed.await.unwrap()
        };
        assert!(!renew(held(1, OWNER, 1), after(99)).await, "nobody has it");
        assert_eq!(ids(&claim(&store, OWNER, NOW, 9).await), [1]);
        assert!(renew(held(1, OWNER, 1), after(30)).await);
        for late in [held(1, OTHER, 1), held(1, OWNER, 2), held(2, OWNER, 1)] {
            assert!(!renew(late, after(99)).await);
        }
        assert_eq!(ids(&claim(&store, OTHER, after(29), 9).await), [0; 0], "it was renewed");
        assert_eq!(ids(&claim(&store, OTHER, after(30), 9).await), [1]);
        assert!(!renew(held(1, OWNER, 1), after(99)).await, "lost");
        assert!(finish(&store, held(1, OTHER, 2), Outcome::Done, None).await);
        assert!(!renew(held(1, OTHER, 2), after(99)).await, "it ended");
    }

    async fn what_a_newer_binary_enqueued_is_left_to_it(db: TestDatabase) {
        let store = db.store().await;
        assert!(enqueue(&store, NewJob { kind: "teleport", ..job(1, NOW) }).await);
        assert!(enqueue(&store, NewJob { kind: "resend_verification", ..job(2, NOW) }).await);
        assert_eq!(ids(&claim(&store, OWNER, NOW, 9).await), [2]);
        assert_eq!(ids(&claim(&store, OWNER, after(9), 9).await), [0; 0]);
        db.execute("UPDATE jobs SET state = 'running', lease_until = due_at WHERE kind = 'teleport'").await;
        assert_eq!(ids(&claim(&store, OWNER, after(9), 9).await), [0; 0], "nor when its worker died");
    }

    async fn a_job_that_ended_forgets_its_payload_and_never_runs_again(db: TestDatabase) {
        let store = db.store().await;
        for (n, outcome, error) in [(1, Outcome::Done, None), (2, Outcome::GivenUp, Some("550 нет"))] {
            assert!(enqueue(&store, NewJob { dedupe_key: Some(vec![1]), ..job(n, NOW) }).await);
            assert_eq!(ids(&claim(&store, OWNER, NOW, 9).await), [n]);
            assert!(finish(&store, held(n, OWNER, 1), outcome, error).await);
        }
        assert_eq!(ids(&claim(&store, OWNER, after(1_000_000), 9).await), [0; 0]);
        let clean = "SELECT COUNT(*) FROM jobs WHERE payload IS NULL AND dedupe_key IS NULL
                     AND finished_at IS NOT NULL AND lease_until IS NULL AND finished_at > due_at";
        assert_eq!(db.count(clean).await, 2);
        let mut raw = db.raw().await;
        let states = raw.texts("SELECT state || COALESCE(last_error, '') FROM jobs ORDER BY id").await;
        assert_eq!(states, ["done", "given_up550 нет"]);
    }

    async fn a_retry_waits_for_its_time_and_a_job_handed_back_does_not_count(db: TestDatabase) {
        let store = db.store().await;
        assert!(enqueue(&store, job(1, NOW)).await);
        assert_eq!(ids(&claim(&store, OWNER, NOW, 9).await), [1]);
        assert!(retry(&store, held(1, OWNER, 1), after(100)).await);
        assert_eq!(ids(&claim(&store, OWNER, after(99), 9).await), [0; 0]);
        let second = claim(&store, OWNER, after(100), 9).await;
        assert_eq!((second[0].attempts, second[0].payload.is_some()), (2, true));
        assert!(hand_back(&store, held(1, OWNER, 2)).await);
        let again = claim(&store, OTHER, after(100), 9).await;
        assert_eq!((ids(&again), again[0].attempts), (vec![1], 2), "as if it had not been claimed");
    }

    async fn ses_22_jobs_that_ended_some_time_ago_leave_in_batches_and_no_others(db: TestDatabase) {
        let store = db.store().await;
        for n in 1..=6 {
            assert!(enqueue(&store, job(n, NOW)).await);
        }
        assert_eq!(claim(&store, OWNER, NOW, 5).await.len(), 5);
        for n in 1..=3 {
            assert!(finish(&store, held(n, OWNER, 1), Outcome::Done, None).await);
        }
        assert!(finish(&store, held(4, OWNER, 1), Outcome::GivenUp, None).await);
        let sweep = async |done: Timestamp, given_up: Timestamp| {
            let swept = store.write((done, given_up), |tx, (done, given_up)| {
                Box::pin(jobs::delete_ended(tx, *done, *given_up, 2))
            });
            swept.await.unwrap()
        };
        assert_eq!(sweep(after(4), after(4)).await, 0, "they ended a second later");
        assert_eq!(sweep(after(5), after(4)).await, 2);
        assert_eq!(sweep(after(5), after(4)).await, 1);
        assert_eq!(sweep(after(5), after(4)).await, 0);
        assert_eq!(db.count("SELECT COUNT(*) FROM jobs").await, 3);
        assert_eq!(sweep(after(9), after(5)).await, 1, "what was given up stays longer");
        assert_eq!(sweep(after(9999), after(9999)).await, 0);
        let states = db.raw().await.texts("SELECT state FROM jobs ORDER BY id").await;
        assert_eq!(states, ["running", "waiting"]);
    }

    async fn the_backlog_is_what_is_due(db: TestDatabase) {
        let store = db.store().await;
        let mut stale: StaleReader = store.read_stale().await.unwrap();
        assert_eq!(jobs::backlog(&mut stale, after(9)).await.unwrap(), (0, None));
        for n in 1..=3_u64 {
            assert!(enqueue(&store, job(n.into(), after(n))).await);
        }
        assert_eq!(jobs::backlog(&mut stale, after(2)).await.unwrap(), (2, Some(after(1))));
        assert_eq!(ids(&claim(&store, OWNER, after(2), 1).await), [1]);
        assert_eq!(jobs::backlog(&mut stale, after(9)).await.unwrap(), (2, Some(after(2))));
    }
}
