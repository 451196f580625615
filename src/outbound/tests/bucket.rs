//! Tokens, by the clock of the tests: rate, burst, deadlines, order, and names without end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, advance, sleep};

use crate::outbound::{Bucket, Buckets, NoToken, Rate};

const SECOND: Duration = Duration::from_secs(1);

/// Three at once, then one a second.
const RATE: Rate = Rate { per_minute: 60, burst: 3 };

fn later(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// The seconds after which each of `count` callers that come at once had its turn.
async fn turns(bucket: &Bucket, count: usize) -> Vec<u64> {
    let (begun, until) = (Instant::now(), later(3600));
    let mut turns: Vec<u64> = join_all((0..count).map(async |_| {
        bucket.take(until).await.unwrap();
        begun.elapsed().as_secs()
    }))
    .await;
    turns.sort_unstable();
    turns
}

#[tokio::test(start_paused = true)]
async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
    let bucket = Bucket::new(RATE);
    assert_eq!(turns(&bucket, 7).await, [0, 0, 0, 1, 2, 3, 4]);

    // Empty now: one token a second, at most three are kept.
    sleep(2 * SECOND).await;
    assert_eq!(turns(&bucket, 3).await, [0, 0, 1]);
    sleep(3600 * SECOND).await;
    assert_eq!(turns(&bucket, 5).await, [0, 0, 0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn no_window_sees_more_than_burst_and_rate_allow() {
    let bucket = Arc::new(Bucket::new(Rate { per_minute: 600, burst: 5 }));
    let begun = Instant::now();
    let mut at = Vec::new();
    // Callers come in uneven swarms, and every third leaves before its turn.
    for swarm in 0..20_u64 {
        let calls = (0..swarm % 7).map(|number| {
            let bucket = Arc::clone(&bucket);
            async move {
                let patience = if number % 3 == 2 { 50 } else { 60_000 };
                let taken =
                    tokio::time::timeout(Duration::from_millis(patience), bucket.take(later(60)));
                taken.await.is_ok_and(|taken| taken.is_ok()).then(|| begun.elapsed())
            }
        });
        at.extend(join_all(calls).await.into_iter().flatten());
        sleep(Duration::from_millis(137 * (swarm % 4))).await;
    }
    at.sort_unstable();
    assert!(at.len() > 30, "{at:?}");
    for (first, from) in at.iter().enumerate() {
        for (last, to) in at.iter().enumerate().skip(first) {
            let allowed = 5.0 + to.saturating_sub(*from).as_secs_f64() * 10.0;
            let seen = u32::try_from(last - first + 1).unwrap();
            assert!(f64::from(seen) <= allowed + 1e-6, "{seen} from {from:?} to {to:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_waits_no_longer_than_its_deadline_and_is_refused_at_once() {
    let bucket = Bucket::new(RATE);
    turns(&bucket, 3).await;
    let begun = Instant::now();
    let refused = bucket.take(begun + SECOND / 2).await;
    assert_eq!(refused, Err(NoToken { after: SECOND }));
    assert_eq!(begun.elapsed(), Duration::ZERO, "it knew that at once");
    assert_eq!(bucket.take(begun).await, Err(NoToken { after: SECOND }), "a deadline that is now");
    assert_eq!(bucket.take(begun + SECOND).await, Ok(SECOND), "just in time");

    // Those in front count, too.
    let (first, second, third) =
        tokio::join!(bucket.take(later(60)), bucket.take(later(60)), bucket.take(later(2)));
    assert_eq!((first, second), (Ok(SECOND), Ok(2 * SECOND)));
    assert_eq!(third, Err(NoToken { after: 3 * SECOND }));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_takes_no_token_and_delays_nobody() {
    let bucket = Bucket::new(RATE);
    turns(&bucket, 3).await;
    let begun = Instant::now();
    {
        let mut leaves: Vec<_> = (0..5).map(|_| Box::pin(bucket.take(later(60)))).collect();
        for waits in &mut leaves {
            assert!(futures_util::poll!(waits).is_pending());
        }
        assert_eq!(bucket.take(later(5)).await, Err(NoToken { after: 6 * SECOND }));
    }
    assert_eq!(bucket.take(later(5)).await, Ok(SECOND));
    assert_eq!(begun.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn callers_have_their_turns_in_the_order_in_which_they_came() {
    let bucket = Bucket::new(Rate { per_minute: 60, burst: 1 });
    turns(&bucket, 1).await;
    let order = std::sync::Mutex::new(Vec::new());
    join_all((0..10).map(async |number| {
        bucket.take(later(60)).await.unwrap();
        order.lock().unwrap().push(number);
    }))
    .await;
    assert_eq!(order.into_inner().unwrap(), (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn rel_17_names_without_end_take_bounded_memory_and_rested_ones_are_forgotten() {
    let buckets = Buckets::new(RATE, 2);
    for _ in 0..3 {
        buckets.of("a").take(later(1)).await.unwrap();
    }
    assert!(buckets.of("a").take(Instant::now()).await.is_err(), "its own, and empty");
    buckets.of("b").take(later(1)).await.unwrap();
    // Both have been used: the next names share one bucket.
    for name in ["c", "d", "e"] {
        buckets.of(name).take(later(1)).await.unwrap();
    }
    let soon = Instant::now() + SECOND / 2;
    assert!(buckets.of("f").take(soon).await.is_err(), "c, d and e have used it up");
    assert!(buckets.of("b").take(soon).await.is_ok(), "b has its own");

    advance(4 * SECOND).await;
    let fresh = buckets.of("f");
    assert!(!Arc::ptr_eq(&fresh, &buckets.of("g-1")), "the rested ones made room");
    for _ in 0..3 {
        fresh.take(Instant::now() + SECOND / 2).await.unwrap();
    }
    // A bucket in use stays, however many names come.
    for number in 0..1000 {
        buckets.of(&number.to_string());
    }
    assert!(Arc::ptr_eq(&fresh, &buckets.of("f")));
}
