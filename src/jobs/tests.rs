//! What becomes of an attempt that is overtaken, killed, stopped, or breaks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempt::{NotDone, Shift, bounded};
use super::{WorkerSettings, Workers, run_due};
use crate::Clock;
use crate::app::App;
use crate::app::testing::{self, NOW};
use crate::domain::event::Actor;
use crate::domain::ids::{JobId, UserId};
use crate::domain::job::{Letter, Mail, NewJob, Task};
use crate::domain::session::Origin;
use crate::flows::Stamp;
use crate::mail::{Mailer, Settings, Transport};
use crate::store::jobs;
use crate::store::users::{self, NewUser};

struct Office {
    app: Arc<App>,
    mailer: Arc<Mailer>,
    folder: TempDir,
}

impl Office {
    async fn open() -> Self {
        Self::at(Clock::fixed(NOW)).await
    }

    async fn at(clock: Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = testing::open(folder.path(), clock).await;
        let settings = Settings {
            transport: Transport::File { dir: folder.path().join("outbox") },
            from: "no-reply@example.org".into(),
            public_url: "https://id.example.org".into(),
            ui_url: "https://id.example.org".into(),
            templates: None,
        };
        Self { app, mailer: Arc::new(Mailer::new(&settings).unwrap()), folder }
    }

    fn shift(&self) -> Shift {
        Shift::new(Arc::clone(&self.app), Arc::clone(&self.mailer), WorkerSettings::default())
    }

    /// The change of a signup, as far as jobs are concerned.
    async fn enqueue_mail(&self) -> JobId {
        let stamp = Stamp::new(&self.app, Actor::Anyone, Origin::default());
        let user_id = UserId(self.app.random.uuid(stamp.now));
        let address = format!("{user_id}@example.org");
        let user = NewUser {
            id: user_id,
            email: address.clone(),
            email_canonical: address.clone(),
            email_verified_at: None,
            username: None,
            profile: serde_json::Map::new(),
            is_pending: true,
            invited_until: None,
            created_at: stamp.now,
        };
        let letter = Letter::Verify { token: "pcv_x".into(), lifetime_s: 60 };
        let job = stamp.job(&Task::Mail(Mail { to: address, user_id, letter })).unwrap();
        self.app
            .store
            .write((user, job.clone()), |tx, (user, job)| {
                Box::pin(async move {
                    users::insert(tx, user).await?;
                    jobs::enqueue(tx, job).await
                })
            })
            .await
            .unwrap();
        job.id
    }

    fn mails(&self) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(self.folder.path().join("outbox")) else {
            return Vec::new();
        };
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn pass(&self, span: Duration) {
        self.app.clock.advance_micros(i64::try_from(span.as_micros()).unwrap());
    }
}

async fn run_all(office: &Office) -> usize {
    run_due(&office.app, &office.mailer).await.unwrap()
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

#[tokio::test]
async fn rel_14_a_worker_that_lost_its_lease_cannot_end_its_job() {
    let office = Office::open().await;
    let id = office.enqueue_mail().await;
    let (slow, quick) = (office.shift(), office.shift());
    let held = slow.claim(1).await.unwrap().pop().unwrap();
    assert!(quick.claim(1).await.unwrap().is_empty(), "the lease holds");
    office.pass(WorkerSettings::default().lease);
    let again = quick.claim(1).await.unwrap().pop().unwrap();
    assert_eq!(slow.run(held, &never()).await, "lease_lost");
    assert_eq!(quick.run(again, &never()).await, "done");
    assert_eq!(office.mails(), [format!("{id}.eml")], "one file, though written twice");
}

#[tokio::test]
async fn rel_14_a_look_up_whose_lease_was_lost_makes_no_token() {
    let office = Office::open().await;
    let stamp = Stamp::new(&office.app, Actor::Anyone, Origin::default());
    let id = office.enqueue_mail().await;
    assert_eq!(run_all(&office).await, 1);
    let mail = std::fs::read_to_string(office.folder.path().join(format!("outbox/{id}.eml")));
    let mail = mail.unwrap();
    let to = mail.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
    let look_up = Task::ResendVerification { email_canonical: to.to_owned() };
    let job = stamp.job(&look_up).unwrap();
    office.app.store.write(job, |tx, job| Box::pin(jobs::enqueue(tx, job))).await.unwrap();

    let (slow, quick) = (office.shift(), office.shift());
    let held = slow.claim(1).await.unwrap().pop().unwrap();
    office.pass(WorkerSettings::default().lease);
    let again = quick.claim(1).await.unwrap().pop().unwrap();
    assert_eq!(slow.run(held, &never()).await, "lease_lost");
    assert!(slow.claim(10).await.unwrap().is_empty(), "it enqueued no mail");
    assert_eq!(quick.run(again, &never()).await, "done");
    assert_eq!(run_all(&office).await, 1);
    assert_eq!(office.mails().len(), 2);
}

/// A shift whose leases last `lease`, by an instance's own clock.
fn shift_of(office: &Office, lease: Duration) -> Shift {
    let settings = WorkerSettings { lease, ..WorkerSettings::default() };
    Shift::new(Arc::clone(&office.app), Arc::clone(&office.mailer), settings)
}

#[tokio::test]
async fn rel_14_a_long_job_keeps_its_lease_while_its_worker_lives() {
    let office = Office::at(Clock::system()).await;
    office.enqueue_mail().await;
    let lease = Duration::from_millis(400);
    let (long, other) = (shift_of(&office, lease), shift_of(&office, lease));
    let (held, since) = long.claim(1).await.unwrap().pop().unwrap().lease();
    let over = since + lease * 3;
    let work = async {
        tokio::time::sleep_until(over).await;
        Ok(())
    };
    let (token, watch) = (never(), async {
        let mut claims = 0;
        while Instant::now() < over {
            assert!(other.claim(1).await.unwrap().is_empty(), "the lease holds");
            claims += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        claims
    });
    let ((result, renewed), claims) =
        tokio::join!(long.under_lease(held, since, work, &token), watch);
    assert!(result.is_ok() && renewed >= over - lease && claims > 10, "{result:?}");
}

#[tokio::test]
async fn rel_14_a_worker_whose_job_was_taken_ends_before_its_work_does() {
    let office = Office::open().await;
    office.enqueue_mail().await;
    let lease = Duration::from_millis(200);
    let (slow, quick) = (shift_of(&office, lease), shift_of(&office, lease));
    let (held, since) = slow.claim(1).await.unwrap().pop().unwrap().lease();
    office.pass(lease);
    assert_eq!(quick.claim(1).await.unwrap().len(), 1);
    let (result, _) = slow.under_lease(held, since, std::future::pending(), &never()).await;
    assert!(matches!(result, Err(NotDone::LeaseLost)), "{result:?}");
}

#[tokio::test]
async fn rel_17_a_job_that_hangs_is_ended_after_ten_leases() {
    let office = Office::open().await;
    office.enqueue_mail().await;
    let lease = Duration::from_millis(60);
    let shift = shift_of(&office, lease);
    let (held, since) = shift.claim(1).await.unwrap().pop().unwrap().lease();
    let (result, _) = shift.under_lease(held, since, std::future::pending(), &never()).await;
    let took = since.elapsed();
    let text = match result {
        Err(NotDone::Later(text)) => text,
        other => panic!("{other:?}"),
    };
    // On a busy machine a renewal may come too late; that ends it as well, and earlier.
    assert!(
        text == "the job ran out of time" || text == "the lease could not be renewed",
        "{text}"
    );
    assert!(took < lease * 20, "{took:?}");
}

#[tokio::test]
async fn eml_17_a_job_whose_process_was_killed_is_done_by_another_under_the_same_name() {
    let office = Office::open().await;
    let id = office.enqueue_mail().await;
    drop(office.shift().claim(1).await.unwrap());
    assert_eq!(run_all(&office).await, 0);
    office.pass(WorkerSettings::default().lease);
    assert_eq!(run_all(&office).await, 1);
    assert_eq!(office.mails(), [format!("{id}.eml")]);
}

#[tokio::test]
async fn rel_17_a_job_that_kills_each_process_is_given_up_unread() {
    let office = Office::open().await;
    office.enqueue_mail().await;
    for _ in 0..WorkerSettings::default().attempts_max {
        assert_eq!(office.shift().claim(1).await.unwrap().len(), 1);
        office.pass(WorkerSettings::default().lease);
    }
    let shift = office.shift();
    let held = shift.claim(1).await.unwrap().pop().unwrap();
    assert_eq!(shift.run(held, &never()).await, "given_up");
    assert!(office.mails().is_empty());
}

#[tokio::test]
async fn a_job_that_a_stop_came_before_is_handed_back_as_if_it_had_not_been_claimed() {
    let office = Office::open().await;
    office.enqueue_mail().await;
    let (first, second) = (office.shift(), office.shift());
    let held = first.claim(1).await.unwrap().pop().unwrap();
    let stopped = never();
    stopped.cancel();
    assert_eq!(first.run(held, &stopped).await, "handed_back");
    assert!(office.mails().is_empty());
    let held = second.claim(1).await.unwrap().pop().unwrap();
    assert_eq!(second.run(held, &never()).await, "done", "at once, not after the lease");
}

#[tokio::test]
async fn an_unreadable_payload_is_given_up_at_once() {
    let office = Office::open().await;
    let id = JobId(office.app.random.uuid(NOW));
    let stamp = Stamp::new(&office.app, Actor::Anyone, Origin::default());
    let task = Task::ResendVerification { email_canonical: "ann@example.org".into() };
    // Sealed well, but for another job: a swapped cell.
    let job = NewJob { id, ..stamp.job(&task).unwrap() };
    office.app.store.write(job, |tx, job| Box::pin(jobs::enqueue(tx, job))).await.unwrap();
    let shift = office.shift();
    let held = shift.claim(1).await.unwrap().pop().unwrap();
    assert_eq!(shift.run(held, &never()).await, "given_up");
    office.pass(Duration::from_hours(24));
    assert_eq!(run_all(&office).await, 0);
}

#[tokio::test]
async fn workers_find_what_is_enqueued_and_a_stop_ends_them() {
    let office = Office::open().await;
    let settings =
        WorkerSettings { poll_interval: Duration::from_millis(10), ..WorkerSettings::default() };
    let workers = Workers::start(Arc::clone(&office.app), Arc::clone(&office.mailer), settings);
    for _ in 0..10 {
        office.enqueue_mail().await;
    }
    let arrived = async {
        while office.mails().iter().filter(|name| is_mail(name)).count() < 10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), arrived).await.unwrap();
    let begun = Instant::now();
    workers.stop(begun + Duration::from_secs(10)).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "nothing was left to wait for");
    office.enqueue_mail().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(office.mails().len(), 10);
}

fn is_mail(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "eml")
}

#[tokio::test]
async fn a_panic_a_stop_and_a_time_out_end_an_attempt_each_in_its_way() {
    let soon = || Instant::now() + Duration::from_millis(20);
    let panicked = bounded(async { panic!("pcv_secret") }, soon(), &never()).await;
    assert!(matches!(panicked, Err(NotDone::Later(text)) if text == "the job panicked"));
    let late = bounded(std::future::pending(), soon(), &never()).await;
    assert!(matches!(late, Err(NotDone::Later(text)) if text == "the job ran out of time"));
    let (stop, stopped) = (never(), never());
    stopped.cancel();
    let late = Instant::now() + Duration::from_hours(1);
    assert!(matches!(bounded(std::future::pending(), late, &stopped).await, Err(NotDone::Stopped)));
    assert!(matches!(bounded(async { Ok(()) }, late, &stop).await, Ok(())));
}
