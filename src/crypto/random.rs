//! The one source of random bytes: ids, tokens, salts, nonces and jitter.
//!
//! `Random::system` is what runs; `Random::seeded` repeats itself, for tests only. Ids of one process
//! sort in the order in which they were made. The digest of a token is made here too (SES-01).

use std::fmt;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{self, SHA256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::time::Timestamp;
use crate::domain::token::{TokenDigest, TokenKind, TokenSecret};

/// LIMIT: a clock that is set back by more is believed, and ids start again from its time.
const CLOCK_SLACK_MS: u64 = 10_000;

/// LIMIT: the 12 bits `rand_a` of a version 7 id count the ids of one millisecond (RFC 9562, 6.2).
const COUNTER_MAX: u16 = 0x0fff;

/// Hands out random bytes and what is made of them. Clones share one source.
#[derive(Clone)]
pub struct Random(Arc<Inner>);

struct Inner {
    source: Source,
    last: Mutex<LastId>,
}

enum Source {
    System,
    /// SHA-256 over seed and counter.
    Seeded {
        seed: u64,
        blocks: AtomicU64,
    },
}

#[derive(Default)]
struct LastId {
    millis: u64,
    counter: u16,
}

impl Random {
    /// Bytes of the operating system, through aws-lc.
    pub fn system() -> Self {
        Self::new(Source::System)
    }

    /// A stream that is the same for the same seed. For tests: whoever knows the seed knows it all.
    pub fn seeded(seed: u64) -> Self {
        Self::new(Source::Seeded { seed, blocks: AtomicU64::new(0) })
    }

    fn new(source: Source) -> Self {
        Self(Arc::new(Inner { source, last: Mutex::default() }))
    }

    /// Overwrites `out` with random bytes.
    ///
    /// Cannot fail: aws-lc ends the process itself when the system has no randomness to give
    /// (`RAND_bytes`), and the error that its binding declares is treated the same way.
    pub fn fill(&self, out: &mut [u8]) {
        match &self.0.source {
            Source::System => {
                if aws_lc_rs::rand::fill(out).is_err() {
                    // SECURITY: T-13. Going on would hand out guessable tokens.
                    process::abort();
                }
            }
            Source::Seeded { seed, blocks } => {
                for chunk in out.chunks_mut(digest::SHA256_OUTPUT_LEN) {
                    let block = blocks.fetch_add(1, Ordering::Relaxed);
                    let input = [seed.to_be_bytes(), block.to_be_bytes()].concat();
                    let stream = digest::digest(&SHA256, &input);
                    chunk.iter_mut().zip(stream.as_ref()).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }

    /// `N` random bytes. Not wiped: secrets are filled into a `Zeroizing` buffer instead.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// An id of version 7 for the moment `at`; later calls give greater ids.
    ///
    /// It tells when it was made and is no secret (ENU-11). Within one millisecond, and while the
    /// clock is up to ten seconds behind, a counter keeps the order.
    pub fn uuid(&self, at: Timestamp) -> Uuid {
        let now = u64::try_from(at.micros().div_euclid(1000)).unwrap_or(0);
        let mut tail = self.bytes::<10>();
        let [first, second, ..] = tail;
        let start = u16::from_be_bytes([first, second]);

        let (millis, counter) =
            self.0.last.lock().unwrap_or_else(PoisonError::into_inner).next(now, start);
        let [high, low] = counter.to_be_bytes();
        let [first, second, ..] = &mut tail;
        (*first, *second) = (high, low);
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }

    /// A new opaque token of 256 random bits.
    pub fn token(&self, kind: TokenKind) -> TokenSecret {
        let mut bytes = Zeroizing::new([0; 32]);
        self.fill(&mut bytes[..]);
        TokenSecret::from_bytes(kind, &bytes)
    }

    /// A span from zero up to and including `max`, each as likely (full jitter).
    pub fn jitter(&self, max: Duration) -> Duration {
        let choices = max.as_nanos().saturating_add(1);
        let draw = u128::from(u64::from_be_bytes(self.bytes()));
        // Multiply and shift: the share of 2^64 that `draw` stands for, without a modulo's bias.
        let nanos = draw.saturating_mul(choices) >> 64;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(max)
    }
}

impl LastId {
    /// The millisecond and count of the next id; `start` is random, its top bit leaves room to count.
    fn next(&mut self, now: u64, start: u16) -> (u64, u16) {
        let start = start & (COUNTER_MAX >> 1);
        if now > self.millis || now.saturating_add(CLOCK_SLACK_MS) < self.millis {
            *self = Self { millis: now, counter: start };
        } else if self.counter < COUNTER_MAX {
            self.counter += 1;
        } else {
            *self = Self { millis: self.millis + 1, counter: start };
        }
        (self.millis, self.counter)
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(***)")
    }
}

/// SHA-256 over the whole text of a token, prefix included: what is stored and looked up.
///
/// 256 random bits need neither salt nor stretching (SES-01, PWD-18).
pub fn digest(token: &TokenSecret) -> TokenDigest {
    TokenDigest(sha256(token.expose().as_bytes()).to_vec())
}

/// SHA-256 of any bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const AT: Timestamp = Timestamp::from_micros(1_795_000_000_000_001);

    #[test]
    fn a_seed_repeats_and_another_does_not() {
        let draw = |seed| {
            let random = Random::seeded(seed);
            let token = random.token(TokenKind::Refresh);
            (random.bytes::<70>(), random.uuid(AT), token.expose().to_owned())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let random = Random::seeded(7);
        assert_ne!(random.bytes::<32>(), random.bytes::<32>(), "the stream goes on");
        assert_ne!(random.clone().bytes::<32>(), random.bytes::<32>(), "clones share it");
    }

    #[test]
    fn the_system_source_does_not_repeat() {
        let random = Random::system();
        let drawn: HashSet<[u8; 32]> = (0..100).map(|_| random.bytes()).collect();
        assert_eq!(drawn.len(), 100);
        let mut short = [0; 3];
        random.fill(&mut short[..0]);
        assert_eq!(short, [0; 3]);
    }

    #[test]
    fn ids_of_one_millisecond_sort_as_they_were_made() {
        let random = Random::system();
        // More than the 4096 that one millisecond can count.
        let ids: Vec<Uuid> = (0..20_000).map(|_| random.uuid(AT)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!(ids.iter().all(|id| id.get_variant() == uuid::Variant::RFC4122));

        let (seconds, nanos) = ids[0].get_timestamp().unwrap().to_unix();
        assert_eq!((seconds, nanos), (1_795_000_000, 0));
    }

    #[test]
    fn ids_sort_while_the_clock_is_a_little_behind_and_follow_it_far_back() {
        let random = Random::system();
        let first = random.uuid(AT);
        let behind = random.uuid(AT.minus(Duration::from_secs(9)));
        assert!(behind > first);
        let corrected = random.uuid(AT.minus(Duration::from_hours(1)));
        assert!(corrected < first);
        assert!(random.uuid(AT.plus(Duration::from_secs(1))) > behind);
    }

    #[test]
    fn ids_of_many_threads_are_unique() {
        let random = Random::system();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let random = random.clone();
                std::thread::spawn(move || (0..2000).map(|_| random.uuid(AT)).collect::<Vec<_>>())
            })
            .collect();
        let ids: HashSet<Uuid> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        assert_eq!(ids.len(), 8000);
    }

    #[test]
    fn jitter_stays_within_and_reaches_both_halves() {
        let random = Random::seeded(1);
        let max = Duration::from_millis(100);
        let drawn: Vec<Duration> = (0..1000).map(|_| random.jitter(max)).collect();
        assert!(drawn.iter().all(|d| *d <= max));
        let low = drawn.iter().filter(|d| **d < max / 2).count();
        assert!((400..600).contains(&low), "{low} of 1000 in the lower half");
        assert_eq!(random.jitter(Duration::ZERO), Duration::ZERO);
        assert!(random.jitter(Duration::MAX) <= Duration::MAX);
    }

    #[test]
    fn ses_01_the_digest_covers_prefix_and_body() {
        let refresh = TokenSecret::from_bytes(TokenKind::Refresh, &[7; 32]);
        let verify = TokenSecret::from_bytes(TokenKind::EmailVerification, &[7; 32]);
        assert_ne!(digest(&refresh), digest(&verify));
        assert_eq!(digest(&refresh), digest(&refresh.clone()));
        assert_eq!(digest(&refresh).0.len(), 32);
        assert_eq!(Random::system().token(TokenKind::Refresh).expose().len(), TokenSecret::LENGTH);
    }
}
