//! One change in one transaction: how it is run, repeated and answered, whatever the database.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::fault::Noticed;
use super::handles::Writer;
use crate::Fault;

/// A change: a named function that is handed a transaction and its input, by reference, so that it can be repeated.
///
/// A plain function pointer captures nothing by accident.
pub type Change<I, T, E> = for<'a> fn(&'a mut Writer, &'a I) -> BoxFuture<'a, Result<T, E>>;

/// Draws a span from zero up to the one that is given, each as likely: randomness is `crypto`'s, and comes from outside.
pub type Jitter = Arc<dyn Fn(Duration) -> Duration + Send + Sync>;

/// LIMIT: REL-10. A change is run at most this often; with the pauses below about 1.5 s in all.
pub(super) const ATTEMPTS_MAX: u32 = 8;

/// How one run of a change ended.
pub(super) enum Ran<T, E> {
    /// It said yes: commit.
    Done(T),
    /// It said no, or could not: leave nothing.
    Refused(E),
    /// It met a conflict: leave nothing, run it again.
    Again(E),
}

/// Runs `change` once inside the open transaction of `tx`, at most until `until`.
pub(super) async fn run_once<I, T, E: From<Fault>>(
    tx: &mut Writer,
    input: &I,
    change: Change<I, T, E>,
    until: Option<Instant>,
) -> (Ran<T, E>, Option<Noticed>) {
    let work = AssertUnwindSafe(change(tx, input)).catch_unwind();
    let outcome = match until {
        Some(until) => tokio::time::timeout_at(until, work).await,
        None => Ok(work.await),
    };
    let noticed = tx.take_noticed();
    let ran = match (outcome, noticed) {
        (Err(_elapsed), _) => return (Ran::Refused(too_late().into()), Some(Noticed::Dead)),
        (Ok(Err(panic)), _) => {
            let fault = Fault::internal(panic_text(panic.as_ref()));
            return (Ran::Refused(fault.into()), Some(Noticed::Dead));
        }
        (Ok(Ok(Err(error))), Some(Noticed::Conflict)) => Ran::Again(error),
        (Ok(Ok(Err(error))), _) => Ran::Refused(error),
        // SECURITY: after a failed statement PostgreSQL answers COMMIT with ROLLBACK and no error (REL-02).
        (Ok(Ok(Ok(_))), Some(_)) => {
            Ran::Refused(Fault::internal("a change went on after a failed statement").into())
        }
        (Ok(Ok(Ok(done))), None) => Ran::Done(done),
    };
    (ran, noticed)
}

/// The fault of a request whose time is over.
pub(super) fn too_late() -> Fault {
    Fault::unavailable("the deadline of the request passed before the database answered")
}

/// The pause before attempt `attempt` (from 1): full jitter under a doubling ceiling of 10 ms to 500 ms.
pub(super) fn pause(jitter: &Jitter, attempt: u32) -> Duration {
    let ceiling = Duration::from_millis(10).saturating_mul(1 << attempt.min(6));
    jitter(ceiling.min(Duration::from_millis(500)))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a change panicked: {}", text.unwrap_or_default())
}
