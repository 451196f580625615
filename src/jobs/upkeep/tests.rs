//! One instance at a time, batch after batch; what fails is tried again, and what is not due is left alone.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::Clock;
use crate::app::testing::{self, NOW};

/// An instance in `folder`; several in one folder share a database.
async fn instance(folder: &Path) -> Arc<App> {
    testing::open(folder, Clock::fixed(NOW)).await
}

fn keeper(app: &Arc<App>, owner: u128, task: Task) -> Keeper {
    Keeper { app: Arc::clone(app), owner: Uuid::from_u128(owner), task }
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

fn pass(app: &App, span: Duration) {
    app.clock.advance_micros(i64::try_from(span.as_micros()).unwrap());
}

#[tokio::test]
async fn f20_a_run_is_one_instance_s_until_it_is_due_again() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let task = Task::new("counted", Duration::from_mins(10), |_app| {
        Box::pin(async {
            RUNS.fetch_add(1, Ordering::SeqCst);
            Ok(Batch::Last)
        })
    });
    let folder = tempfile::tempdir().unwrap();
    let app = instance(folder.path()).await;
    let (one, two) = (keeper(&app, 1, task), keeper(&app, 2, task));
    assert_eq!(one.turn(&never()).await, Turn::Done);
    assert_eq!((one.turn(&never()).await, two.turn(&never()).await), (Turn::Idle, Turn::Idle));
    pass(&app, Duration::from_mins(10));
    assert_eq!((two.turn(&never()).await, one.turn(&never()).await), (Turn::Done, Turn::Idle));
    assert_eq!(RUNS.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn f20_who_is_frozen_between_two_batches_does_not_go_on_beside_the_next() {
    static BATCHES: AtomicU32 = AtomicU32::new(0);
    // The first batch lasts longer than the lease, by the clock; meanwhile somebody else takes over.
    let task = Task::new("frozen", Duration::from_mins(10), |app| {
        Box::pin(async {
            if BATCHES.fetch_add(1, Ordering::SeqCst) == 0 {
                pass(app, LEASE);
                let other = Lease {
                    name: "frozen",
                    owner: Uuid::from_u128(2),
                    now: app.clock.now(),
                    until: app.clock.now().plus(LEASE),
                };
                let taken = app.store.write(other, |tx, it| {
                    Box::pin(leases::take(tx, it.name, it.owner, it.now, it.until))
                });
                assert!(taken.await.unwrap());
            }
            Ok(Batch::More)
        })
    });
    let folder = tempfile::tempdir().unwrap();
    let app = instance(folder.path()).await;
    assert_eq!(keeper(&app, 1, task).turn(&never()).await, Turn::Lost);
    assert_eq!(BATCHES.load(Ordering::SeqCst), 1);
    assert_eq!(keeper(&app, 3, task).turn(&never()).await, Turn::Idle, "its lease was left alone");
}

#[tokio::test]
async fn f20_the_work_of_who_was_killed_is_taken_over_after_its_lease() {
    let folder = tempfile::tempdir().unwrap();
    let app = instance(folder.path()).await;
    let stuck =
        Task::new("killed", Duration::from_hours(1), |_app| Box::pin(std::future::pending()));
    let killed = keeper(&app, 1, stuck);
    let token = never();
    let turn = tokio::time::timeout(Duration::from_millis(200), killed.turn(&token)).await;
    assert!(turn.is_err(), "it hangs in its batch");
    let done =
        Task::new("killed", Duration::from_hours(1), |_app| Box::pin(async { Ok(Batch::Last) }));
    let next = keeper(&app, 2, done);
    assert_eq!(next.turn(&never()).await, Turn::Idle);
    pass(&app, LEASE);
    assert_eq!(next.turn(&never()).await, Turn::Done);
}

#[tokio::test]
async fn rel_14_what_fails_or_panics_may_be_tried_again_at_once_by_anybody() {
    static TRIES: AtomicU32 = AtomicU32::new(0);
    let task = Task::new("failing", Duration::from_hours(1), |_app| {
        Box::pin(async {
            match TRIES.fetch_add(1, Ordering::SeqCst) {
                0 => Err(Fault::internal("no luck")),
                1 => panic!("pcv_secret"),
                _ => Ok(Batch::Last),
            }
        })
    });
    let folder = tempfile::tempdir().unwrap();
    let app = instance(folder.path()).await;
    assert_eq!(keeper(&app, 1, task).turn(&never()).await, Turn::Failed);
    assert_eq!(keeper(&app, 2, task).turn(&never()).await, Turn::Failed);
    assert_eq!(keeper(&app, 1, task).turn(&never()).await, Turn::Done);
}

#[tokio::test]
async fn nobody_takes_a_lease_for_nothing() {
    let task =
        Task::new("asked", Duration::from_secs(1), |_app| Box::pin(async { Ok(Batch::Last) }));
    let folder = tempfile::tempdir().unwrap();
    let app = instance(folder.path()).await;
    let idle = task.only_if(|_app| Box::pin(async { Ok(false) }));
    assert_eq!(keeper(&app, 1, idle).turn(&never()).await, Turn::Idle);
    let busy = task.only_if(|_app| Box::pin(async { Ok(true) }));
    assert_eq!(keeper(&app, 2, busy).turn(&never()).await, Turn::Done);
}

#[tokio::test]
async fn failures_wait_longer_and_longer_but_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let app = instance(folder.path()).await;
    let task =
        Task::new("paused", Duration::from_secs(1), |_app| Box::pin(async { Ok(Batch::Last) }));
    let keeper = keeper(&app, 1, task);
    assert_eq!(keeper.pause(0), Duration::from_secs(1));
    let pauses: Vec<_> = (1..200).map(|failures| keeper.pause(failures)).collect();
    assert!(pauses.iter().all(|pause| (Duration::from_secs(1)..=PAUSE_MAX).contains(pause)));
    assert!(pauses.iter().any(|pause| *pause > Duration::from_secs(30)));
}

#[tokio::test]
async fn upkeep_runs_every_batch_of_what_is_due_and_a_stop_ends_it() {
    static BATCHES: AtomicU32 = AtomicU32::new(0);
    let task = Task::new("batches", Duration::from_millis(10), |_app| {
        Box::pin(async {
            let batch = BATCHES.fetch_add(1, Ordering::SeqCst);
            Ok(if batch < 4 { Batch::More } else { Batch::Last })
        })
    });
    let hangs =
        Task::new("hangs", Duration::from_millis(10), |_app| Box::pin(std::future::pending()));
    let folder = tempfile::tempdir().unwrap();
    let app = instance(folder.path()).await;
    let upkeep = Upkeep::start(&app, &[hangs, task]);
    let all = async {
        while BATCHES.load(Ordering::SeqCst) < 5 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all).await.unwrap();
    let begun = Instant::now();
    upkeep.stop(begun + Duration::from_millis(300)).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "what hangs is left to its lease");
    let batches = BATCHES.load(Ordering::SeqCst);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(BATCHES.load(Ordering::SeqCst), batches);
}
