//! What one hash costs, and which costs are too cheap to protect or too dear to pay.

use std::time::Duration;

/// LIMIT: pairs of memory (KiB) and passes that OWASP's Password Storage Cheat Sheet counts as equal,
/// each with one lane (PWD-01).
const OWASP: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

/// LIMIT: 256 MiB; above it a stored hash costs more than a login may (PWD-15, RFC 9106 asks for less).
const MEMORY_KIB_MAX: u32 = 256 * 1024;
/// LIMIT: passes that one login may cost at most.
const ITERATIONS_MAX: u32 = 10;
/// LIMIT: lanes; they are computed one after the other here, and only raise the floor of the memory.
const PARALLELISM_MAX: u32 = 8;
/// LIMIT: more threads than any machine of this service has cores.
const THREADS_MAX: usize = 256;
/// LIMIT: nobody waits for a login longer than a minute.
const QUEUE_WAIT_MAX: Duration = Duration::from_mins(1);

/// The costs of one argon2id hash (RFC 9106, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl Cost {
    /// KiB that are written: what the time is proportional to.
    pub fn work(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.iterations)
    }

    /// Tells whether the costs are one of OWASP's pairs or at least as high in both numbers.
    pub fn is_strong(self) -> bool {
        OWASP
            .iter()
            .any(|(memory, passes)| self.memory_kib >= *memory && self.iterations >= *passes)
    }

    /// Tells whether a stored hash may ask for these costs.
    pub fn is_payable(self) -> bool {
        self.memory_kib <= MEMORY_KIB_MAX
            && self.iterations <= ITERATIONS_MAX
            && self.parallelism <= PARALLELISM_MAX
    }
}

/// How passwords are hashed: section `password` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HasherSettings {
    /// `memory_kib`: memory of one hash, and of each thread, in KiB.
    pub memory_kib: u32,
    /// `iterations`: passes over the memory.
    pub iterations: u32,
    /// `parallelism`: lanes.
    pub parallelism: u32,
    /// `hash_threads`: hashes at the same time.
    pub threads: usize,
    /// `queue_wait_max`: the longest wait that is accepted; beyond it callers are refused.
    pub queue_wait_max: Duration,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingFault {
    /// The key in section `password`.
    pub key: &'static str,
    /// What would be right.
    pub detail: String,
}

impl HasherSettings {
    /// The costs of a new hash.
    pub fn cost(&self) -> Cost {
        Cost {
            memory_kib: self.memory_kib,
            iterations: self.iterations,
            parallelism: self.parallelism,
        }
    }

    /// Lists all that is wrong; empty when the settings can be used (PWD-01).
    pub fn check(&self) -> Vec<SettingFault> {
        let mut faults = Vec::new();
        let mut refuse = |is_bad: bool, key, detail: String| {
            if is_bad {
                faults.push(SettingFault { key, detail });
            }
        };
        refuse(
            self.memory_kib > MEMORY_KIB_MAX,
            "memory_kib",
            format!("at most {MEMORY_KIB_MAX} (256 MiB)"),
        );
        refuse(
            !(1..=ITERATIONS_MAX).contains(&self.iterations),
            "iterations",
            format!("1 to {ITERATIONS_MAX}"),
        );
        refuse(
            !(1..=PARALLELISM_MAX).contains(&self.parallelism),
            "parallelism",
            format!("1 to {PARALLELISM_MAX}"),
        );
        refuse(
            !(1..=THREADS_MAX).contains(&self.threads),
            "hash_threads",
            format!("1 to {THREADS_MAX}"),
        );
        refuse(
            self.queue_wait_max.is_zero() || self.queue_wait_max > QUEUE_WAIT_MAX,
            "queue_wait_max",
            "more than 0 and at most 60 s".into(),
        );
        let pairs = OWASP.map(|(memory, passes)| format!("{memory} with iterations {passes}"));
        refuse(
            !self.cost().is_strong(),
            "memory_kib",
            format!("too weak: at least {}", pairs.join(", or ")),
        );
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(memory_kib: u32, iterations: u32) -> HasherSettings {
        HasherSettings {
            memory_kib,
            iterations,
            parallelism: 1,
            threads: 2,
            queue_wait_max: Duration::from_secs(1),
        }
    }

    fn bad_keys(settings: &HasherSettings) -> Vec<&'static str> {
        settings.check().iter().map(|fault| fault.key).collect()
    }

    #[test]
    fn pwd_01_owasp_pairs_and_stronger_are_taken() {
        for (memory, passes) in OWASP {
            assert_eq!(settings(memory, passes).check(), [], "{memory} {passes}");
            assert_eq!(settings(memory + 1, passes + 1).check(), []);
        }
    }

    #[test]
    fn pwd_01_weaker_than_each_pair_is_refused_by_key() {
        for (memory, passes) in OWASP {
            let weaker = settings(memory - 1, passes);
            assert_eq!(bad_keys(&weaker), ["memory_kib"], "{memory} {passes}");
        }
        for (memory, passes) in [(1024, 2), (1024, 10), (19_456, 1), (7_167, 10), (0, 5)] {
            assert_eq!(bad_keys(&settings(memory, passes)), ["memory_kib"], "{memory} {passes}");
        }
    }

    #[test]
    fn settings_beyond_the_caps_are_all_named_at_once() {
        let dear = HasherSettings {
            memory_kib: MEMORY_KIB_MAX + 1,
            iterations: 11,
            parallelism: 9,
            threads: 0,
            queue_wait_max: Duration::from_secs(61),
        };
        let all = ["memory_kib", "iterations", "parallelism", "hash_threads", "queue_wait_max"];
        assert_eq!(bad_keys(&dear), all);
        let none = HasherSettings { queue_wait_max: Duration::ZERO, ..settings(19_456, 2) };
        assert_eq!(bad_keys(&none), ["queue_wait_max"]);
    }
}
