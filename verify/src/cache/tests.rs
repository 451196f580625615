//! The cache under rotation, outages, forged key ids and crowds; the issuer is a fake.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, Semaphore};

use super::*;
use crate::fetch::Fetching;
use crate::jwk::JwkSet;
use crate::testing::{HandClock, Pair, beside, claims, claims_with, policy};
use crate::{Algorithm, Refused, Verifier, VerifyError};

/// An issuer whose answers and pace the test decides.
#[derive(Clone)]
struct Issuer(Arc<Desk>);

struct Desk {
    answer: std::sync::Mutex<Option<JwkSet>>,
    calls: AtomicUsize,
    under_way: AtomicUsize,
    asked: Notify,
    gate: Semaphore,
}

impl Issuer {
    fn new(answer: Option<JwkSet>) -> Self {
        let (calls, under_way) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        let answer = std::sync::Mutex::new(answer);
        Self(Arc::new(Desk { answer, calls, under_way, asked: Notify::new(), gate }))
    }

    fn of(pair: &Pair) -> Self {
        Self::new(Some(set(pair)))
    }

    fn answers(&self, answer: Option<JwkSet>) {
        *self.0.answer.lock().unwrap() = answer;
    }

    fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    fn hold(&self) {
        self.0.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn release(&self) {
        self.0.gate.add_permits(1_000);
    }
}

impl Fetch for Issuer {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(async {
            let desk = &self.0;
            desk.calls.fetch_add(1, Ordering::SeqCst);
            assert_eq!(desk.under_way.fetch_add(1, Ordering::SeqCst), 0, "two fetches at once");
            desk.asked.notify_one();
            desk.gate.acquire().await?.forget();
            desk.under_way.fetch_sub(1, Ordering::SeqCst);
            desk.answer.lock().unwrap().clone().ok_or_else(|| "the issuer is down".into())
        })
    }
}

fn set(pair: &Pair) -> JwkSet {
    JwkSet { keys: vec![pair.jwk()] }
}

fn pair() -> Pair {
    Pair::generate(Algorithm::EdDsa)
}

fn verifier(issuer: &Issuer) -> (Verifier, HandClock) {
    let clock = HandClock::default();
    let rules = CacheRules::default();
    (Verifier::with(policy(), issuer.clone(), rules, Arc::new(clock.clone())), clock)
}

/// A token that outlives every test here.
fn lasting(pair: &Pair) -> String {
    pair.token(&claims_with("exp", 9_000_000_000_i64.into()))
}

fn is_unavailable(checked: &Result<crate::Claims, VerifyError>) -> bool {
    matches!(checked, Err(VerifyError::KeysUnavailable(_)))
}

fn is_unknown(checked: &Result<crate::Claims, VerifyError>) -> bool {
    matches!(checked, Err(VerifyError::Refused(Refused::UnknownKey)))
}

/// Lets spawned tasks run (the tests have one thread).
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_cold_start_fetches_once_for_a_crowd() {
    let pair = pair();
    let issuer = Issuer::of(&pair);
    let (verifier, _) = verifier(&issuer);
    issuer.hold();
    let crowd: Vec<_> = (0..50)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), pair.token(&claims()));
            beside(async move { verifier.verify(&token).await })
        })
        .collect();
    issuer.0.asked.notified().await;
    settle().await;
    issuer.release();
    for caller in crowd {
        assert!(caller.await.unwrap().is_ok());
    }
    assert_eq!(issuer.calls(), 1);
}

#[tokio::test]
async fn a_cold_start_without_the_issuer_is_unavailable_for_all_and_tried_again_a_second_later() {
    let pair = pair();
    let issuer = Issuer::new(None);
    let (verifier, clock) = verifier(&issuer);
    let token = lasting(&pair);
    for _ in 0..10 {
        let Err(VerifyError::KeysUnavailable(fault)) = verifier.verify(&token).await else {
            panic!("not unavailable")
        };
        assert_eq!((&*fault.reason, fault.retry_after_s), ("the issuer is down", 1));
    }
    assert_eq!(issuer.calls(), 1);
    assert_eq!(verifier.last_failure().as_deref(), Some("the issuer is down"));
    issuer.answers(Some(set(&pair)));
    clock.advance_s(1);
    assert!(verifier.verify(&token).await.is_ok());
    assert_eq!(
        (issuer.calls(), verifier.last_failure(), verifier.keys_age_s()),
        (2, None, Some(0))
    );
}

#[tokio::test]
async fn a_caller_that_hangs_up_in_a_cold_start_blocks_nobody() {
    let pair = pair();
    let issuer = Issuer::of(&pair);
    let (verifier, _) = verifier(&issuer);
    issuer.hold();
    let (first, token) = (verifier.clone(), pair.token(&claims()));
    let hung_up = beside(async move { first.verify(&token).await });
    issuer.0.asked.notified().await;
    hung_up.abort();
    assert!(hung_up.await.is_err());
    issuer.0.under_way.store(0, Ordering::SeqCst);
    issuer.release();
    assert!(verifier.verify(&pair.token(&claims())).await.is_ok());
    assert_eq!(issuer.calls(), 2);
}

#[tokio::test]
async fn jwt_06_unknown_key_ids_do_not_become_a_storm_of_fetches() {
    let (known, forged) = (pair(), pair());
    let issuer = Issuer::of(&known);
    let (verifier, clock) = verifier(&issuer);
    assert!(verifier.verify(&lasting(&known)).await.is_ok());
    for _ in 0..100 {
        assert!(is_unknown(&verifier.verify(&lasting(&forged)).await));
    }
    assert_eq!(issuer.calls(), 1, "the set is a moment old");
    for round in 0..5 {
        clock.advance_s(10);
        for _ in 0..20 {
            assert!(is_unknown(&verifier.verify(&lasting(&forged)).await));
        }
        assert_eq!(issuer.calls(), 2 + round);
    }
    issuer.answers(None);
    clock.advance_s(10);
    assert!(is_unknown(&verifier.verify(&lasting(&forged)).await), "401, and no 5xx");
    assert!(verifier.verify(&lasting(&known)).await.is_ok());
}

#[tokio::test]
async fn jwt_12_a_new_key_is_found_by_a_crowd_with_one_fetch() {
    let (old, new) = (pair(), pair());
    let issuer = Issuer::of(&old);
    let (verifier, clock) = verifier(&issuer);
    assert!(verifier.verify(&lasting(&old)).await.is_ok());
    issuer.answers(Some(JwkSet { keys: vec![old.jwk(), new.jwk()] }));
    clock.advance_s(10);
    issuer.hold();
    let crowd: Vec<_> = (0..50)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), lasting(&new));
            beside(async move { verifier.verify(&token).await })
        })
        .collect();
    issuer.0.asked.notified().await;
    settle().await;
    assert!(verifier.verify(&lasting(&old)).await.is_ok(), "known keys do not wait");
    issuer.release();
    for caller in crowd {
        assert!(caller.await.unwrap().is_ok());
    }
    assert_eq!(issuer.calls(), 2);
}

#[tokio::test]
async fn a_stale_set_is_used_while_one_task_renews_it() {
    let (old, new) = (pair(), pair());
    let issuer = Issuer::of(&old);
    let (verifier, clock) = verifier(&issuer);
    assert!(verifier.verify(&lasting(&old)).await.is_ok());
    clock.advance_s(299);
    assert!(verifier.verify(&lasting(&old)).await.is_ok());
    settle().await;
    assert_eq!(issuer.calls(), 1, "fresh for 300 s");

    issuer.answers(Some(set(&new)));
    issuer.hold();
    clock.advance_s(1);
    for _ in 0..20 {
        assert!(verifier.verify(&lasting(&old)).await.is_ok());
    }
    issuer.0.asked.notified().await;
    assert!(verifier.verify(&lasting(&old)).await.is_ok());
    issuer.release();
    settle().await;
    assert_eq!((issuer.calls(), verifier.keys_age_s()), (2, Some(0)));
    assert!(verifier.verify(&lasting(&new)).await.is_ok());
    assert!(is_unknown(&verifier.verify(&lasting(&old)).await), "a revoked key is gone");
}

#[tokio::test]
async fn a_failing_fetch_keeps_the_stale_set_for_a_day() {
    let pair = pair();
    let issuer = Issuer::of(&pair);
    let (verifier, clock) = verifier(&issuer);
    assert!(verifier.verify(&lasting(&pair)).await.is_ok());
    issuer.answers(None);
    clock.advance_s(300);
    for _ in 0..10 {
        assert!(verifier.verify(&lasting(&pair)).await.is_ok());
        settle().await;
    }
    assert_eq!(issuer.calls(), 2, "one probe a second");
    assert!(verifier.last_failure().is_some());
    clock.advance_s(86_400 - 301);
    assert!(verifier.verify(&lasting(&pair)).await.is_ok());
    settle().await;
    clock.advance_s(1);
    assert!(is_unavailable(&verifier.verify(&lasting(&pair)).await));
    issuer.answers(Some(set(&pair)));
    clock.advance_s(1);
    assert!(verifier.verify(&lasting(&pair)).await.is_ok());
}

#[tokio::test]
async fn an_empty_set_is_a_failed_fetch() {
    let pair = pair();
    let issuer = Issuer::of(&pair);
    let (verifier, clock) = verifier(&issuer);
    assert!(verifier.verify(&lasting(&pair)).await.is_ok());
    issuer.answers(Some(JwkSet::default()));
    clock.advance_s(300);
    assert!(verifier.verify(&lasting(&pair)).await.is_ok());
    settle().await;
    assert!(verifier.verify(&lasting(&pair)).await.is_ok());
    assert_eq!(verifier.last_failure().as_deref(), Some("the set has no usable key"));
}

#[test]
fn a_stale_set_is_renewed_without_a_tokio_runtime_too() {
    use std::task::{Context, Poll, Waker};
    fn run<T>(work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => panic!("nothing here has to wait"),
        }
    }
    let pair = pair();
    let issuer = Issuer::of(&pair);
    let (verifier, clock) = verifier(&issuer);
    assert!(run(verifier.verify(&lasting(&pair))).is_ok());
    clock.advance_s(300);
    assert!(run(verifier.verify(&lasting(&pair))).is_ok());
    assert_eq!((issuer.calls(), verifier.keys_age_s()), (2, Some(0)));
}

#[test]
fn the_clock_of_the_machine_is_in_this_century_and_goes_on() {
    let clock = SystemClock::default();
    assert!((1_700_000_000..5_000_000_000).contains(&clock.now_s()));
    assert!(clock.elapsed() <= clock.elapsed());
}
