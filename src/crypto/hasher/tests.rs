//! Passwords as they are, equal work for everybody, and a queue that cannot be abused.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot::Receiver;

use super::*;
use crate::FaultKind;

/// `m=65536, t=2, p=1` over `password` and `somesalt`, from the tests of the reference implementation.
const REFERENCE: &str =
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

fn settings(threads: usize, queue_wait_max: Duration) -> HasherSettings {
    HasherSettings { memory_kib: 19_456, iterations: 2, parallelism: 1, threads, queue_wait_max }
}

fn hasher(threads: usize, queue_wait_max: Duration) -> Hasher {
    Hasher::start(settings(threads, queue_wait_max), Random::system()).unwrap()
}

/// One thread and a queue that these tests do not fill.
fn roomy() -> Hasher {
    hasher(1, Duration::from_mins(1))
}

/// One thread and room for one that waits.
fn narrow() -> Hasher {
    hasher(1, Duration::from_nanos(1))
}

fn text(password: &str) -> Zeroizing<String> {
    Zeroizing::new(password.into())
}

async fn hash(hasher: &Hasher, password: &str) -> PasswordHash {
    hasher.hash(text(password), None).await.unwrap()
}

async fn verify(hasher: &Hasher, password: &str, stored: Option<PasswordHash>) -> Checked {
    hasher.verify(text(password), stored, None).await.unwrap()
}

/// A hash of other costs than today's.
fn hashed_at(memory_kib: u32, iterations: u32, password: &str) -> PasswordHash {
    let cost = Cost { memory_kib, iterations, parallelism: 1 };
    Workbench::new(cost).hash(password.as_bytes(), Random::system().bytes()).unwrap()
}

/// Keeps one thread busy until the sender is dropped.
fn hold(hasher: &Hasher) -> (mpsc::Sender<()>, Receiver<Result<(), Fault>>) {
    let (started, has_started) = mpsc::channel();
    let (gate, opened) = mpsc::channel();
    let (job, answer) = Job::new(None, move |_: &mut Workbench| {
        started.send(()).unwrap();
        opened.recv().unwrap_err();
        Ok(())
    });
    hasher.pool.shared().push(Urgency::Login, job).unwrap();
    has_started.recv().unwrap();
    (gate, answer)
}

/// Queues a job that reports its name when it runs.
fn report(
    hasher: &Hasher,
    urgency: Urgency,
    name: &'static str,
    to: &mpsc::Sender<&'static str>,
) -> (Result<(), Fault>, Receiver<Result<(), Fault>>) {
    let to = to.clone();
    let (job, answer) = Job::new(None, move |_: &mut Workbench| {
        to.send(name).unwrap();
        Ok(())
    });
    (hasher.pool.shared().push(urgency, job), answer)
}

#[tokio::test]
async fn pwd_02_each_hash_has_its_own_salt_of_16_bytes_and_a_tag_of_32() {
    let hasher = roomy();
    let (first, second) =
        (hash(&hasher, "one password").await, hash(&hasher, "one password").await);
    let parts = |hash: &PasswordHash| {
        hash.expose().split('$').map(ToOwned::to_owned).collect::<Vec<String>>()
    };
    let (first, second) = (parts(&first), parts(&second));
    assert_eq!(first[..4], ["", "argon2id", "v=19", "m=19456,t=2,p=1"]);
    // Unpadded base64 of 16 and of 32 bytes.
    assert_eq!((first.len(), first[4].len(), first[5].len()), (6, 22, 43));
    assert_ne!(first[4], second[4]);
    assert_ne!(first[5], second[5]);
}

#[tokio::test]
async fn pwd_05_64_emoji_pass_and_what_follows_byte_72_counts() {
    let hasher = roomy();
    let emoji = "🦉".repeat(64);
    let stored = hash(&hasher, &emoji).await;
    assert!(verify(&hasher, &emoji, Some(stored.clone())).await.matches);
    let other = format!("{}🦊", "🦉".repeat(63));
    assert!(!verify(&hasher, &other, Some(stored)).await.matches);

    let (long, differs) = (format!("{}a", "x".repeat(72)), format!("{}b", "x".repeat(72)));
    let stored = hash(&hasher, &long).await;
    assert!(!verify(&hasher, &differs, Some(stored.clone())).await.matches);
    assert!(verify(&hasher, &long, Some(stored)).await.matches);
}

#[tokio::test]
async fn pwd_06_blanks_case_the_last_byte_and_normal_forms_count() {
    let hasher = roomy();
    let stored = hash(&hasher, "Correct Hors\u{e9}").await;
    for near in [
        " Correct Hors\u{e9}",
        "Correct Hors\u{e9} ",
        "correct Hors\u{e9}",
        "Correct Hors",
        "Correct Hors\u{ea}",
        "Correct Horse\u{301}",
        "Correct Hors\u{e9}\0",
        "",
    ] {
        assert!(!verify(&hasher, near, Some(stored.clone())).await.matches, "{near:?}");
    }
    assert!(verify(&hasher, "Correct Hors\u{e9}", Some(stored)).await.matches);
}

#[tokio::test]
async fn enu_02_nobody_costs_what_a_wrong_password_costs_and_never_matches() {
    let hasher = roomy();
    let stored = |text: &str| Some(PasswordHash::from_stored(text));
    let known = Some(hash(&hasher, "right").await);
    let dear = stored(&REFERENCE.replace("m=65536", "m=4194304"));
    let cut = stored(&REFERENCE[..80]);
    for (what, hash) in [
        ("wrong password", known),
        ("nobody", None),
        ("passwordless", Some(PasswordHash::none())),
        ("empty", stored("")),
        ("broken", stored("not a hash")),
        ("cut", cut),
        ("too dear", dear),
        ("of another kind", stored("$2b$12$LQv3c1yqBWVHxkd0LHAkCOYz6TtxMQJqhN8/LewY5GyYqVr/LeYAe")),
    ] {
        for password in ["password", "", "!", "$argon2id"] {
            let before = hasher.stats();
            let checked = verify(&hasher, password, hash.clone()).await;
            let after = hasher.stats();
            assert_eq!(checked, Checked { matches: false, needs_rehash: false }, "{what}");
            assert_eq!(after.hashed_total - before.hashed_total, 1, "{what}");
            assert_eq!(after.work_kib_total - before.work_kib_total, 19_456 * 2, "{what}");
        }
    }
}

#[tokio::test]
async fn enu_03_a_wrong_password_costs_the_same_over_a_cheaper_hash() {
    for (memory_kib, iterations) in [(1024, 1), (9216, 4), (4096, 3), (19_456, 1)] {
        // A thread that has not measured a hash yet tops up by the work, to the KiB.
        let hasher = roomy();
        let stored = hashed_at(memory_kib, iterations, "right");
        let before = hasher.stats();
        assert!(!verify(&hasher, "wrong", Some(stored.clone())).await.matches);
        let spent = hasher.stats().work_kib_total - before.work_kib_total;
        assert!(
            (19_456 * 2 - 9..=19_456 * 2).contains(&spent),
            "{memory_kib} {iterations} {spent}"
        );
        let checked = verify(&hasher, "right", Some(stored)).await;
        assert_eq!(checked, Checked { matches: true, needs_rehash: true });
    }
}

#[tokio::test]
async fn pwd_03_costs_are_the_stored_hashs_own_and_todays_need_no_rehash() {
    let hasher = roomy();
    let reference = Some(PasswordHash::from_stored(REFERENCE));
    let checked = verify(&hasher, "password", reference.clone()).await;
    assert_eq!(checked, Checked { matches: true, needs_rehash: true });
    assert!(!verify(&hasher, "Password", reference).await.matches);

    let today = Some(hash(&hasher, "password").await);
    let checked = verify(&hasher, "password", today.clone()).await;
    assert_eq!(checked, Checked { matches: true, needs_rehash: false });
    let raised = HasherSettings { iterations: 3, ..settings(1, Duration::from_mins(1)) };
    let raised = Hasher::start(raised, Random::system()).unwrap();
    assert!(verify(&raised, "password", today).await.needs_rehash);
}

#[tokio::test]
async fn pwd_13_a_full_queue_refuses_and_nobody_hashes_on_the_runtime() {
    let hasher = narrow();
    assert_eq!(hasher.stats().queue_max, 1);
    let (gate, _answer) = hold(&hasher);
    let (job, waiting) =
        Job::new(None, |_: &mut Workbench| Ok(thread::current().name().map(str::to_owned)));
    hasher.pool.shared().push(Urgency::Login, job).unwrap();

    let refused = hasher.verify(text("x"), None, None).await.unwrap_err();
    assert_eq!(refused.kind(), FaultKind::Overloaded);
    let stats = hasher.stats();
    assert_eq!(
        (stats.running, stats.queued, stats.refused_total, stats.hashed_total),
        (1, 1, 1, 0)
    );

    drop(gate);
    assert_eq!(waiting.await.unwrap().unwrap().as_deref(), Some("hash-0"));
    assert!(!verify(&hasher, "x", None).await.matches);
}

#[tokio::test]
async fn pwd_13_the_queue_follows_the_measured_time() {
    let hasher = hasher(2, Duration::from_secs(1));
    let stats = hasher.stats();
    // 2 threads for 1 s at the first guess of 16.7 ms a hash.
    assert_eq!((stats.threads, stats.queue_max), (2, 118));
    join_all((0..8).map(|_| verify(&hasher, "x", None))).await;
    let stats = hasher.stats();
    let fitting = 2.0 / stats.hash_seconds;
    let queue_max = f64::from(u32::try_from(stats.queue_max).unwrap());
    assert!(queue_max <= fitting && queue_max > fitting - 3.0, "{stats:?}");
}

#[tokio::test]
async fn pwd_14_clients_that_have_gone_are_not_hashed_and_keep_nobody_out() {
    let hasher = narrow();
    let (gate, _answer) = hold(&hasher);
    for _ in 0..5 {
        // Polled once, which queues it, and dropped.
        let mut call = Box::pin(hasher.verify(text("x"), None, None));
        assert!(futures_util::poll!(&mut call).is_pending());
    }
    assert_eq!(hasher.stats().queued, 1);
    let mut wanted = Box::pin(hasher.verify(text("x"), None, None));
    assert!(futures_util::poll!(&mut wanted).is_pending(), "takes the place of one that has gone");
    drop(gate);
    assert!(!wanted.await.unwrap().matches);
    let stats = hasher.stats();
    assert_eq!((stats.hashed_total, stats.dropped_total, stats.refused_total), (1, 5, 0));
}

#[tokio::test]
async fn pwd_14_after_all_clients_hung_up_the_next_login_takes_one_hash() {
    let hasher = roomy();
    let (gate, _answer) = hold(&hasher);
    for _ in 0..20 {
        let mut call = Box::pin(hasher.verify(text("x"), None, None));
        assert!(futures_util::poll!(&mut call).is_pending());
        let mut call = Box::pin(hasher.hash(text("x"), None));
        assert!(futures_util::poll!(&mut call).is_pending());
    }
    assert_eq!(hasher.stats().queued, 40);
    drop(gate);
    hash(&hasher, "x").await;
    let stats = hasher.stats();
    assert_eq!((stats.hashed_total, stats.dropped_total, stats.queued), (1, 40, 0));
}

#[tokio::test]
async fn pwd_14_work_whose_deadline_has_passed_is_not_hashed() {
    let hasher = roomy();
    let late = hasher.hash(text("x"), Some(Instant::now())).await.unwrap_err();
    assert_eq!(late.kind(), FaultKind::Unavailable);

    let (gate, _answer) = hold(&hasher);
    let deadline = Instant::now() + Duration::from_millis(5);
    let mut call = Box::pin(hasher.verify(text("x"), None, Some(deadline)));
    assert!(futures_util::poll!(&mut call).is_pending());
    thread::sleep(Duration::from_millis(10));
    drop(gate);
    assert_eq!(call.await.unwrap_err().kind(), FaultKind::Unavailable);
    let stats = hasher.stats();
    assert_eq!((stats.hashed_total, stats.dropped_total), (0, 2));
}

#[tokio::test]
async fn logins_are_hashed_before_signups_and_each_in_order() {
    let hasher = roomy();
    let (gate, _answer) = hold(&hasher);
    let (to, order) = mpsc::channel();
    let queued = [
        report(&hasher, Urgency::Signup, "signup 1", &to),
        report(&hasher, Urgency::Signup, "signup 2", &to),
        report(&hasher, Urgency::Login, "login 1", &to),
        report(&hasher, Urgency::Login, "login 2", &to),
    ];
    drop((gate, to));
    let order: Vec<&str> = order.iter().collect();
    assert_eq!(order, ["login 1", "login 2", "signup 1", "signup 2"]);
    assert!(queued.iter().all(|(pushed, _)| pushed.is_ok()));
}

#[tokio::test]
async fn a_login_displaces_the_last_signup_of_a_full_queue_and_never_the_reverse() {
    let hasher = narrow();
    let (gate, _answer) = hold(&hasher);
    let (to, order) = mpsc::channel();
    let (signup, displaced) = report(&hasher, Urgency::Signup, "signup", &to);
    let (login, answered) = report(&hasher, Urgency::Login, "login", &to);
    let (refused, _) = report(&hasher, Urgency::Signup, "late signup", &to);
    let (other, _) = report(&hasher, Urgency::Login, "late login", &to);
    assert!(signup.is_ok() && login.is_ok());
    assert_eq!(refused.unwrap_err().kind(), FaultKind::Overloaded);
    assert_eq!(other.unwrap_err().kind(), FaultKind::Overloaded);
    assert_eq!(displaced.await.unwrap().unwrap_err().kind(), FaultKind::Overloaded);
    drop((gate, to));
    answered.await.unwrap().unwrap();
    assert_eq!(order.iter().collect::<Vec<_>>(), ["login"]);
    assert_eq!(hasher.stats().refused_total, 3);
}

#[tokio::test]
async fn a_job_that_panics_ends_alone() {
    let hasher = roomy();
    let panics = |_: &mut Workbench| -> Result<(), Fault> { panic!("on purpose") };
    let fault = hasher.run(Urgency::Login, None, panics).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Internal);
    assert!(!verify(&hasher, "x", None).await.matches);
    assert_eq!(hasher.stats().running, 0);
}

#[tokio::test]
async fn a_shutdown_lets_the_running_hash_end_and_refuses_what_waits() {
    let hasher = roomy();
    let (gate, running) = hold(&hasher);
    let mut waits = Box::pin(hasher.verify(text("x"), None, None));
    assert!(futures_util::poll!(&mut waits).is_pending());
    let closing = {
        let hasher = hasher.clone();
        thread::spawn(move || hasher.shutdown())
    };
    assert_eq!(waits.await.unwrap_err().kind(), FaultKind::Unavailable);
    assert!(!closing.is_finished(), "waits for the thread");
    drop(gate);
    closing.join().unwrap();
    running.await.unwrap().unwrap();
    let refused = hasher.hash(text("x"), None).await.unwrap_err();
    assert_eq!(refused.kind(), FaultKind::Unavailable);
    assert_eq!(hasher.stats().hashed_total, 0);
}

#[test]
fn pwd_01_a_hasher_with_weak_settings_does_not_start() {
    let weak = HasherSettings { memory_kib: 1024, ..settings(1, Duration::from_secs(1)) };
    let fault = Hasher::start(weak, Random::system()).unwrap_err();
    assert!(fault.to_string().starts_with("password.memory_kib: too weak"), "{fault}");
}

#[test]
fn pwd_16_nothing_shows_a_hash() {
    let stored = PasswordHash::from_stored(REFERENCE);
    assert_eq!(format!("{stored:?}"), "***");
    assert_eq!(format!("{:?}", Some(PasswordHash::none())), "Some(***)");
    let hasher = narrow();
    assert!(!format!("{hasher:?}").contains("***"));
}

#[tokio::test]
async fn t_04_slow_work_that_is_no_hash_runs_on_a_hash_thread_and_counts_as_none() {
    let hasher = roomy();
    let name = hasher.aside(None, || thread::current().name().map(str::to_owned)).await.unwrap();
    assert!(name.is_some_and(|name| name.starts_with("hash-")));
    assert_eq!((hasher.stats().hashed_total, hasher.stats().running), (0, 0));

    let hasher = narrow();
    let (gate, _answer) = hold(&hasher);
    let mut waits = Box::pin(hasher.aside(None, || ()));
    assert!(futures_util::poll!(&mut waits).is_pending());
    let refused = hasher.aside(None, || ()).await.unwrap_err();
    assert_eq!(refused.kind(), FaultKind::Overloaded, "the queue is bounded");
    drop(gate);
    waits.await.unwrap();
    let late = hasher.aside(Some(Instant::now()), || ()).await.unwrap_err();
    assert_eq!(late.kind(), FaultKind::Unavailable);
}
