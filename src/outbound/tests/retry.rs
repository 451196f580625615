//! Waits between tries, by the clock of the tests: schedule, spread, budget, `Retry-After`, the stop.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::deadline;
use crate::domain::time::Timestamp;
use crate::outbound::{Dependency, GivenUp, Jitter, Retrier, Schedule, Worth, retry_after};

const SCHEDULE: Schedule = Schedule {
    first: Duration::from_secs(1),
    cap: Duration::from_secs(10),
    budget: Duration::from_hours(1),
    tries_max: 8,
};

/// 1 Jan 2027, 12:00 UTC.
const NOON: Timestamp = Timestamp::from_micros(1_798_804_800_000_000);

fn retrier(jitter: Jitter) -> Retrier {
    Retrier { dependency: Dependency::Webhooks, jitter }
}

fn longest() -> Retrier {
    retrier(Arc::new(|max| max))
}

/// Runs calls that always fail, and answers the seconds at which they were made, and the end.
async fn failing(
    retrier: &Retrier,
    schedule: Schedule,
    worth: Worth,
) -> (Vec<u64>, Result<(), GivenUp<&'static str>>) {
    let (begun, at) = (Instant::now(), RefCell::new(Vec::new()));
    let never = CancellationToken::new();
    let call = async || {
        at.borrow_mut().push(begun.elapsed().as_secs());
        Err("down")
    };
    let end = retrier.run(schedule, &never, |_| worth, call).await;
    (at.into_inner(), end)
}

#[tokio::test(start_paused = true)]
async fn the_longest_waits_double_up_to_the_cap() {
    let (at, end) = failing(&longest(), SCHEDULE, Worth::Later(None)).await;
    // Waits of 1, 2, 4, 8, 10, 10 and 10 seconds.
    assert_eq!(at, [0, 1, 3, 7, 15, 25, 35, 45]);
    assert_eq!(end, Err(GivenUp::Failed("down")));
    assert_eq!(SCHEDULE.wait_max(u32::MAX), SCHEDULE.cap, "no overflow");
    let endless = Schedule { first: Duration::MAX, cap: Duration::MAX, ..SCHEDULE };
    assert_eq!(endless.wait_max(40), Duration::MAX);
}

#[tokio::test(start_paused = true)]
async fn full_jitter_spreads_a_wait_over_all_of_it() {
    // Numbers that jump about evenly: the golden ratio's multiples.
    let draws = AtomicU32::new(0);
    let drawing = retrier(Arc::new(move |max| {
        let draw = f64::from(draws.fetch_add(1, Ordering::Relaxed)) * 0.618_033_988_749;
        max.mul_f64(draw.fract())
    }));
    let twice = Schedule { first: Duration::from_secs(10), tries_max: 2, ..SCHEDULE };
    let mut waits = Vec::new();
    for _ in 0..400 {
        let (at, _) = failing(&drawing, twice, Worth::Later(None)).await;
        waits.push(at[1]);
    }
    let in_tenth = |tenth| waits.iter().filter(|wait| **wait == tenth).count();
    for tenth in 0..10 {
        assert!((20..=60).contains(&in_tenth(tenth)), "{} in tenth {tenth}", in_tenth(tenth));
    }
    assert!(waits.iter().all(|wait| *wait <= 10));
}

#[tokio::test(start_paused = true)]
async fn the_budget_ends_it_before_a_wait_that_would_end_behind_it() {
    let begun = Instant::now();
    let tight = Schedule { budget: Duration::from_secs(14), ..SCHEDULE };
    let (at, end) = failing(&longest(), tight, Worth::Later(None)).await;
    assert_eq!((at, end), (vec![0, 1, 3, 7], Err(GivenUp::Failed("down"))));
    assert_eq!(begun.elapsed().as_secs(), 7, "it does not sleep out the budget");

    // What the calls take counts, too.
    let begun = Instant::now();
    let (retrier, never) = (longest(), CancellationToken::new());
    let slow = retrier.run(
        tight,
        &never,
        |()| Worth::Later(None),
        async || {
            sleep(Duration::from_secs(6)).await;
            Err::<(), _>(())
        },
    );
    assert_eq!(slow.await, Err(GivenUp::Failed(())));
    assert_eq!(begun.elapsed().as_secs(), 6 + 1 + 6);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_request_ends_it_like_the_budget() {
    let at = Instant::now() + Duration::from_secs(4);
    let (at, _) = deadline::scope(at, failing(&longest(), SCHEDULE, Worth::Later(None))).await;
    assert_eq!(at, [0, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_worth_it_is_tried_once() {
    let (at, end) = failing(&longest(), SCHEDULE, Worth::Nothing).await;
    assert_eq!((at, end), (vec![0], Err(GivenUp::Failed("down"))));
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_it() {
    let mut left = 2;
    let (retrier, never) = (longest(), CancellationToken::new());
    let answer = retrier.run(
        SCHEDULE,
        &never,
        |()| Worth::Later(None),
        || {
            left -= 1;
            std::future::ready(if left == 0 { Ok("there") } else { Err(()) })
        },
    );
    assert_eq!(answer.await, Ok("there"));
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_and_spread() {
    let asked = Worth::Later(Some(Duration::from_secs(30)));
    let thrice = Schedule { tries_max: 3, ..SCHEDULE };
    let (at, _) = failing(&longest(), thrice, asked).await;
    assert_eq!(at, [0, 31, 63], "behind it the draw is added");
    let (at, _) = failing(&retrier(Arc::new(|_| Duration::ZERO)), thrice, asked).await;
    assert_eq!(at, [0, 30, 60], "never sooner");
    let begun = Instant::now();
    let tight = Schedule { budget: Duration::from_secs(20), ..SCHEDULE };
    let (at, _) = failing(&longest(), tight, asked).await;
    assert_eq!(
        (at, begun.elapsed()),
        (vec![0], Duration::ZERO),
        "longer than the budget: given up"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_wait_and_a_call_at_once() {
    for call_takes in [0, 3600] {
        let stop = CancellationToken::new();
        let begun = Instant::now();
        let calls = RefCell::new(0);
        let slow =
            Schedule { first: Duration::from_mins(1), cap: Duration::from_mins(1), ..SCHEDULE };
        let running = longest();
        let running = running.run(
            slow,
            &stop,
            |()| Worth::Later(None),
            async || {
                *calls.borrow_mut() += 1;
                sleep(Duration::from_secs(call_takes)).await;
                Err::<(), _>(())
            },
        );
        let stopping = async {
            sleep(Duration::from_secs(5)).await;
            stop.cancel();
        };
        let (end, ()) = tokio::join!(running, stopping);
        assert_eq!(end, Err(GivenUp::Stopped));
        assert_eq!(begun.elapsed().as_secs(), 5);
        assert_eq!(calls.into_inner(), 1);
    }
    let stop = CancellationToken::new();
    stop.cancel();
    let (retrier, mut calls) = (longest(), 0);
    let called_off = retrier.run(
        SCHEDULE,
        &stop,
        |()| Worth::Nothing,
        || {
            calls += 1;
            std::future::ready(Ok(()))
        },
    );
    assert_eq!(called_off.await, Err(GivenUp::Stopped));
    assert_eq!(calls, 0);
}

#[test]
fn retry_after_is_read_in_both_forms_and_bounded() {
    let seconds = |value| retry_after(value, NOON).map(|wait| wait.as_secs());
    assert_eq!(seconds("120"), Some(120));
    assert_eq!(seconds(" 0 "), Some(0));
    assert_eq!(seconds("Fri, 01 Jan 2027 12:01:30 GMT"), Some(90));
    assert_eq!(seconds("Friday, 01-Jan-27 12:01:30 GMT"), Some(90));
    assert_eq!(seconds("Fri Jan  1 12:01:30 2027"), Some(90));
    assert_eq!(seconds("Fri, 01 Jan 2027 11:00:00 GMT"), Some(0), "a date that has passed");
    let day = Some(24 * 60 * 60);
    for huge in ["86401", "99999999999999999999999999", "Fri, 01 Jan 2100 12:00:00 GMT"] {
        assert_eq!(seconds(huge), day, "{huge}");
    }
    for wrong in ["", "-1", "1.5", "+5", "soon", "Fri, 32 Jan 2027 12:00:00 GMT", "１"] {
        assert_eq!(seconds(wrong), None, "{wrong:?}");
    }
}
