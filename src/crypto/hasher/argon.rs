//! argon2id on memory that is kept: one hash, one verification, one decoy. Blocks its thread.
//!
//! Whatever a verification is given, it costs today's hash: nobody, no password, an unreadable hash,
//! one that is too dear and a cheaper one that does not match all take the same (ENU-02, ENU-03).

use std::cmp::Ordering;
use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use argon2::password_hash::phc;
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::Fault;
use crate::crypto::hasher::settings::Cost;
use crate::domain::password_hash::PasswordHash;

/// LIMIT: RFC 9106, 3.1: a tag of 32 bytes and a salt of 16 (PWD-02).
pub(super) const SALT_LEN: usize = 16;
const TAG_LEN: usize = 32;

/// LIMIT: an argon2id text with a salt of 64 bytes has 180 characters.
const STORED_BYTES_MAX: usize = 256;

/// LIMIT: each round fills more than half of what is missing, so four leave less than 1 %.
const TOP_UPS_MAX: u32 = 4;

/// What a verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The password is the one that was hashed.
    pub matches: bool,
    /// It matches, and the stored hash has other costs than today's: hash it again (PWD-03).
    pub needs_rehash: bool,
}

impl Checked {
    const NO: Self = Self { matches: false, needs_rehash: false };
}

/// The memory of one hash: written once when it is made, used again and again, wiped at the end.
pub struct Workbench {
    today: Cost,
    /// The usual time of a hash of today's costs on this thread; zero until there was one.
    usual: Duration,
    memory: Zeroizing<Vec<Block>>,
    spent: u64,
}

impl Workbench {
    /// Memory for hashes of the costs `today`, with all its pages touched.
    pub fn new(today: Cost) -> Self {
        let blocks = params(today).map_or(0, |params| params.block_count());
        let memory = Zeroizing::new(vec![Block::default(); blocks]);
        Self { today, usual: Duration::ZERO, memory, spent: 0 }
    }

    /// Hashes `password` to PHC text.
    pub fn hash(&mut self, password: &[u8], salt: [u8; SALT_LEN]) -> Result<PasswordHash, Fault> {
        let tag = self.derive(self.today, password, &salt)?;
        let params = params(self.today)?;
        let text = phc::PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: phc::ParamsString::try_from(&params).map_err(Fault::internal)?,
            salt: Some(phc::Salt::new(&salt).map_err(Fault::internal)?),
            hash: Some(phc::Output::new(&tag[..]).map_err(Fault::internal)?),
        };
        Ok(PasswordHash::from_stored(text.to_string()))
    }

    /// Checks `password` against `stored`, at the cost of one hash of today.
    ///
    /// A match with a cheaper hash returns sooner: its owner has logged in and learns nothing.
    /// A stored hash that is dearer than today's takes its own time, up to the caps.
    pub fn verify(
        &mut self,
        password: &[u8],
        stored: Option<&PasswordHash>,
        decoy_salt: [u8; SALT_LEN],
    ) -> Result<Checked, Fault> {
        let Some(known) = stored.and_then(Known::read) else {
            // SECURITY: ENU-02. One real hash, so that time and load do not tell who exists.
            black_box(self.derive(self.today, password, &decoy_salt)?);
            return Ok(Checked::NO);
        };
        let begun = Instant::now();
        let tag = self.derive(known.cost, password, &known.salt)?;
        // SECURITY: PWD-18. Compared in constant time.
        if bool::from(tag.ct_eq(known.tag.as_bytes())) {
            let needs_rehash = known.cost != self.today || known.salt.len() != SALT_LEN;
            return Ok(Checked { matches: true, needs_rehash });
        }
        if known.cost != self.today {
            self.top_up(known.cost, begun, password, decoy_salt)?;
        }
        Ok(Checked::NO)
    }

    /// Hashes on, until a hash of today's costs would have taken as long as all since `begun`.
    ///
    /// SECURITY: ENU-03. An old, cheaper hash would show that the account exists. Time decides, not
    /// KiB: small memory that stays in the cache is up to a quarter faster for each KiB.
    fn top_up(
        &mut self,
        known: Cost,
        begun: Instant,
        password: &[u8],
        salt: [u8; SALT_LEN],
    ) -> Result<(), Fault> {
        if self.usual.is_zero() {
            let missing = self.today.work().saturating_sub(known.work());
            if let Some(part) = self.today.part(missing) {
                black_box(self.derive(part, password, &salt)?);
            }
            return Ok(());
        }
        for _ in 0..TOP_UPS_MAX {
            let missing = self.usual.saturating_sub(begun.elapsed());
            let Some(part) = self.today.lasting(missing, self.usual) else { break };
            black_box(self.derive(part, password, &salt)?);
        }
        Ok(())
    }

    /// The work since the last call, in KiB that were written.
    pub(super) fn take_spent(&mut self) -> u64 {
        std::mem::take(&mut self.spent)
    }

    fn derive(
        &mut self,
        cost: Cost,
        password: &[u8],
        salt: &[u8],
    ) -> Result<Zeroizing<[u8; TAG_LEN]>, Fault> {
        let params = params(cost)?;
        let blocks = params.block_count();
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut tag = Zeroizing::new([0; TAG_LEN]);
        self.spent += cost.work();
        // A dearer stored hash gets memory of its own, which goes back at once: what a thread keeps
        // stays what the settings say.
        let mut dear = Zeroizing::new(Vec::new());
        let memory = if blocks > self.memory.len() {
            dear.resize(blocks, Block::default());
            &mut dear
        } else {
            &mut self.memory
        };
        let begun = Instant::now();
        argon
            .hash_password_into_with_memory(password, salt, &mut tag[..], memory.as_mut_slice())
            .map_err(Fault::internal)?;
        if cost == self.today {
            self.note_usual(begun.elapsed());
        }
        Ok(tag)
    }

    /// Follows the median in steps of 2 %: the mean would be drawn up by the few that were disturbed.
    fn note_usual(&mut self, took: Duration) {
        let step = self.usual / 50;
        self.usual = match took.cmp(&self.usual) {
            _ if self.usual.is_zero() => took,
            Ordering::Greater => self.usual + step,
            Ordering::Less => self.usual.saturating_sub(step),
            Ordering::Equal => took,
        };
    }
}

impl fmt::Debug for Workbench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Workbench(***)")
    }
}

fn params(cost: Cost) -> Result<Params, Fault> {
    Params::new(cost.memory_kib, cost.iterations, cost.parallelism, Some(TAG_LEN))
        .map_err(Fault::internal)
}

impl Cost {
    /// A hash that does `work` within this memory; none where argon2 has none so small.
    fn part(self, work: u64) -> Option<Self> {
        let passes = work.div_ceil(u64::from(self.memory_kib).max(1));
        let memory = work.checked_div(passes)?;
        Some(Self {
            memory_kib: u32::try_from(memory).ok().filter(|kib| *kib >= Params::MIN_M_COST)?,
            iterations: u32::try_from(passes).ok()?,
            parallelism: 1,
        })
    }

    /// A hash that takes about `time`, where one of these costs takes `usual`; none below 1 % of it,
    /// which no measurement can tell.
    fn lasting(self, time: Duration, usual: Duration) -> Option<Self> {
        let work = u128::from(self.work()) * time.as_nanos() / usual.as_nanos().max(1);
        (time * 100 >= usual).then(|| self.part(u64::try_from(work).ok()?))?
    }
}

/// A stored hash that can be verified.
struct Known {
    cost: Cost,
    salt: phc::Salt,
    tag: phc::Output,
}

impl Known {
    fn read(stored: &PasswordHash) -> Option<Self> {
        if stored.is_none() {
            return None;
        }
        let known = Self::parse(stored.expose());
        if known.is_none() {
            metrics::counter!("portcullis_hash_unreadable_total").increment(1);
        }
        known
    }

    /// Only argon2id 1.3 with a whole tag, within the caps: the costs are the text's own (PWD-15).
    fn parse(text: &str) -> Option<Self> {
        if text.len() > STORED_BYTES_MAX {
            return None;
        }
        let phc = phc::PasswordHash::new(text).ok()?;
        let params = Params::try_from(&phc.params).ok()?;
        let cost = Cost {
            memory_kib: params.m_cost(),
            iterations: params.t_cost(),
            parallelism: params.p_cost(),
        };
        let is_ours = phc.algorithm == ARGON2ID_IDENT
            && phc.version == Some(Version::V0x13.into())
            && cost.is_payable();
        let tag = phc.hash.filter(|tag| tag.len() == TAG_LEN)?;
        let salt = phc.salt.filter(|salt| salt.len() >= argon2::MIN_SALT_LEN)?;
        is_ours.then_some(Self { cost, salt, tag })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(memory_kib: u32, iterations: u32) -> Cost {
        Cost { memory_kib, iterations, parallelism: 1 }
    }

    #[test]
    fn enu_03_a_part_does_the_work_that_is_missing_within_todays_memory() {
        let today = cost(19_456, 2);
        for old in [cost(8, 1), cost(4096, 3), cost(7168, 5), cost(19_456, 1), cost(1024, 1)] {
            let part = today.part(today.work() - old.work()).unwrap();
            let total = old.work() + part.work();
            assert!(total <= today.work() && total + 10 > today.work(), "{old:?} {part:?}");
            assert!(part.memory_kib <= today.memory_kib);
        }
        assert_eq!(today.part(0), None);
        assert_eq!(today.part(7), None, "argon2 starts at 8 KiB");
        let millis = Duration::from_millis;
        assert_eq!(today.lasting(millis(100), millis(100)), Some(today));
        assert_eq!(today.lasting(millis(50), millis(100)), Some(cost(19_456, 1)));
        assert_eq!(today.lasting(millis(0), millis(100)), None);
        assert_eq!(today.lasting(millis(9), millis(1000)), None, "below the noise");
    }

    #[test]
    fn enu_03_a_cheaper_hash_is_topped_up_by_time_once_the_usual_time_is_known() {
        let mut bench = Workbench::new(cost(7168, 5));
        let cheap = Workbench::new(cost(512, 1)).hash(b"right", [7; SALT_LEN]).unwrap();
        bench.verify(b"wrong", None, [0; SALT_LEN]).unwrap();
        bench.take_spent();
        // As if a hash took very long: every round finds nearly everything missing.
        bench.usual = Duration::from_mins(10);
        bench.verify(b"wrong", Some(&cheap), [0; SALT_LEN]).unwrap();
        assert!(bench.take_spent() > u64::from(TOP_UPS_MAX) * 7168 * 5 * 9 / 10);
        // As if it took no time: nothing is missing.
        bench.usual = Duration::from_nanos(1);
        bench.verify(b"wrong", Some(&cheap), [0; SALT_LEN]).unwrap();
        assert_eq!(bench.take_spent(), 512);
    }

    #[test]
    fn the_usual_time_follows_the_median() {
        let mut bench = Workbench::new(cost(8, 1));
        for millis in [30, 10, 10, 90].repeat(100) {
            bench.note_usual(Duration::from_millis(millis));
        }
        let usual = bench.usual.as_millis();
        assert!((9..=31).contains(&usual), "{usual}");
        for _ in 0..200 {
            bench.note_usual(Duration::from_millis(50));
        }
        assert!((48..=52).contains(&bench.usual.as_millis()), "{:?}", bench.usual);
    }

    #[test]
    fn a_dearer_stored_hash_is_verified_and_its_memory_goes_back() {
        let (today, dear) = (cost(7168, 5), cost(20_000, 1));
        let stored = Workbench::new(dear).hash(b"right", [7; SALT_LEN]).unwrap();
        let mut bench = Workbench::new(today);
        let checked = bench.verify(b"right", Some(&stored), [0; SALT_LEN]).unwrap();
        assert!(checked.matches && checked.needs_rehash);
        assert_eq!(bench.memory.len(), 7168);
        assert_eq!(bench.take_spent(), 20_000);
    }

    #[test]
    fn pwd_15_foreign_weak_cut_and_dear_texts_are_not_read() {
        let tag = "A".repeat(43);
        let good = format!("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA${tag}");
        assert!(Known::parse(&good).is_some());
        for (from, to) in [
            ("argon2id", "argon2i"),
            ("argon2id", "argon2d"),
            ("v=19", "v=16"),
            ("$v=19", ""),
            ("m=19456", "m=4194304"),
            ("t=2", "t=11"),
            ("p=1", "p=9"),
            ("m=19456", "m=99999999999"),
            ("p=1", "p=1,x=1"),
            (&tag[..], ""),
            (&tag[..], "AAAAAAAAAAAAAAAAAAAAAA"),
            ("AAAAAAAAAAAAAAAAAAAAAA$", "AAAA$"),
            ("$argon2id", "argon2id"),
        ] {
            assert!(Known::parse(&good.replacen(from, to, 1)).is_none(), "{from} {to}");
        }
        for text in ["", "!", "$", "$2b$12$abc", "plain", &"$".repeat(1_000_000), &good[..60]] {
            assert!(Known::parse(text).is_none());
        }
    }
}
