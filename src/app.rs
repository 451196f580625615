//! The parts that a flow may use, and how they are put together from a configuration.

pub mod front;
pub mod open;
mod probes;
#[cfg(test)]
pub(crate) mod testing;
pub mod watch;
pub mod work;

use std::sync::{Arc, PoisonError, RwLock};

use moka::sync::Cache;
use portcullis_verify::{Claims, KeySet, Policy};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::Clock;
use crate::crypto::hasher::Hasher;
use crate::crypto::keyring::Keyring;
use crate::crypto::random::Random;
use crate::crypto::seal::Sealer;
use crate::domain::password::PasswordPolicy;
use crate::domain::profile::ProfileSchema;
use crate::domain::username::Reserved;
use crate::flows::Settings;
use crate::outbound::{CheckedUrl, Outbound};
use crate::store::Store;

/// LIMIT: verified tokens that are remembered: at most some 10 MiB.
const VERIFIED_MAX: u64 = 10_000;

/// Everything that a flow may use. Shared by all requests, jobs and commands of a process.
pub struct App {
    /// The database.
    pub store: Store,
    /// The pool that hashes passwords.
    pub hasher: Hasher,
    /// The signing keys, as last read.
    pub keys: Keys,
    /// Seals what must be given again, and keys hashes.
    pub sealer: Sealer,
    /// The one clock.
    pub clock: Clock,
    /// The one source of randomness.
    pub random: Random,
    /// What an access token must be at our own calls.
    pub policy: Policy,
    /// What the operator decided.
    pub settings: Settings,
    /// What a profile may hold.
    pub schema: Arc<ProfileSchema>,
    /// What a password must be.
    pub passwords: PasswordPolicy,
    /// Where a new password is looked for among the stolen ones (`password.breach_url`), if it is.
    pub breach_url: Option<CheckedUrl>,
    /// The clients of others' servers.
    pub outbound: Outbound,
    /// Usernames that nobody may take.
    pub reserved: Reserved,
    /// What runs beside the requests; a stop waits for it.
    pub tasks: TaskTracker,
}

/// The signing keys in memory, and what verifies with them.
pub struct Keys {
    /// What signs and what is published.
    pub ring: Keyring,
    /// Held while keys are read again: one at a time, and it knows when the last did.
    pub reading: Mutex<Option<Instant>>,
    verifying: RwLock<Arc<Verifying>>,
}

/// One reading of the table: the keys that verify, and the tokens that were verified with them.
pub struct Verifying {
    /// The published keys.
    pub set: KeySet,
    /// SHA-256 of a token → its claims: that signature and claims are good, never that the session lives.
    pub verified: Cache<[u8; 32], Arc<Claims>>,
}

impl Keys {
    /// Starts without a key: nothing verifies and nothing can be signed.
    pub fn empty() -> Self {
        Self {
            ring: Keyring::new(),
            reading: Mutex::new(None),
            verifying: RwLock::new(Arc::new(Verifying::new(KeySet::default()))),
        }
    }

    /// What verifies now.
    pub fn verifying(&self) -> Arc<Verifying> {
        Arc::clone(&self.verifying.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a new reading. What was verified with the old one is forgotten with it (JWT-13).
    pub fn replace(&self, verifying: Verifying) {
        *self.verifying.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(verifying);
    }
}

impl Verifying {
    /// A reading with nothing verified yet.
    pub fn new(set: KeySet) -> Self {
        Self { set, verified: Cache::new(VERIFIED_MAX) }
    }
}
