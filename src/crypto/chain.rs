//! The hashes of the audit trail: HMAC-SHA-256 under a key that only this service can open.
//!
//! The key of the chain is drawn once and kept sealed, so that it outlives a rotation of the master key. Each event's
//! details have a key of their own, which is erased with them.

use aws_lc_rs::{constant_time, hmac};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::Fault;
use crate::crypto::random::Random;
use crate::crypto::seal::{Place, Sealer};
use crate::domain::time::Timestamp;
use crate::domain::trail::{Details, Hash, Line, details_spelled};

/// The cell that the key is sealed in.
const PLACE: Place<'_> = Place::new("event_chain_root.sealed_key", b"1");

/// What authenticates the entries of the chain.
pub struct ChainKey(Zeroizing<[u8; 32]>);

impl ChainKey {
    /// Draws a key.
    pub fn generate(random: &Random) -> Self {
        Self(Zeroizing::new(random.bytes()))
    }

    /// What is stored of it.
    pub fn seal(&self, sealer: &Sealer) -> Result<Vec<u8>, Fault> {
        sealer.seal(PLACE, &self.0[..])
    }

    /// Opens what `seal` made.
    pub fn open(sealer: &Sealer, cell: &[u8]) -> Result<Self, Fault> {
        let plain = sealer.open(PLACE, cell)?;
        let mut key = Zeroizing::new([0; 32]);
        if plain.len() != key.len() {
            return Err(Fault::internal("event_chain_root.sealed_key: not 32 bytes"));
        }
        key.copy_from_slice(&plain);
        Ok(Self(key))
    }

    /// The hash of an entry: over its place, the hash before and every column of its event.
    pub fn entry(&self, seq: i64, prev_hash: &[u8], line: &Line) -> Hash {
        self.mac(b'e', &line.spelled(seq, prev_hash))
    }

    /// What proves that the retention itself moved the root of the chain there.
    pub fn root(&self, seq: i64, hash: &[u8], removed_before: Timestamp) -> Hash {
        let moment = removed_before.micros().to_be_bytes();
        self.mac(b'r', &[&seq.to_be_bytes()[..], &moment, hash].concat())
    }

    fn mac(&self, purpose: u8, bytes: &[u8]) -> Hash {
        keyed(&self.0[..], &[&[purpose], bytes].concat())
    }
}

/// Tells whether stored details are those that an event was written with.
pub fn are_details(details: &Details, hash: &[u8]) -> bool {
    let (Some(key), Value::Object(data)) = (&details.hash_key, &details.data) else { return false };
    let spelled = details_spelled(details.address.as_deref(), data);
    is_same(hash, &self::details(key, &spelled))
}

/// The hash of an event's details (`domain::trail::details_spelled`) under the key of this event.
pub fn details(key: &[u8], spelled: &[u8]) -> Hash {
    keyed(key, spelled)
}

/// Tells whether a stored hash is `hash`.
pub fn is_same(stored: &[u8], hash: &Hash) -> bool {
    constant_time::verify_slices_are_equal(stored, hash).is_ok()
}

fn keyed(key: &[u8], bytes: &[u8]) -> Hash {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes);
    let mut hash = [0; 32];
    hash.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
    hash
}
