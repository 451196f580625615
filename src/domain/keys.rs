//! Signing keys as the table keeps them, and the state that follows from their times.
//!
//! The state is computed, never stored: every instance with the same rows and the same time agrees.
//! A public key has members for public parts only (JWT-11). Private parts stand here sealed.

/// One a key, and none but `ES256`, `EdDSA` and `RS256` (JWT-01).
pub use portcullis_verify::Algorithm as SigningAlgorithm;
/// A public key as it is published: it has no room for a private part (JWT-11).
pub use portcullis_verify::Jwk as PublicJwk;

use crate::domain::time::Timestamp;

/// What a key does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyState {
    /// Published, so that verifiers have it before it signs.
    Announced,
    /// May sign; of several the one that began last does.
    Signing,
    /// Signs no more, and is published until its last token is dead.
    Retiring,
    /// Out of the published set.
    Gone,
    /// Taken out by an operator: nothing that it signed is accepted.
    Revoked,
}

/// A row of `signing_keys`.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// The thumbprint: names the row.
    pub kid: String,
    /// The key's own algorithm.
    pub algorithm: SigningAlgorithm,
    /// The private key in PKCS#8, sealed under the master key and bound to `kid`.
    pub private_key: Vec<u8>,
    /// The public key as it is published.
    pub public_jwk: PublicJwk,
    /// When it was first published.
    pub announced_at: Timestamp,
    /// From when on it signs; none while it only waits to be chosen.
    pub signs_at: Option<Timestamp>,
    /// From when on it signs no more.
    pub retires_at: Option<Timestamp>,
    /// From when on it is no longer published.
    pub gone_at: Option<Timestamp>,
    /// When an operator revoked it.
    pub revoked_at: Option<Timestamp>,
}

impl StoredKey {
    /// The state at `now`; the harsher one wins where several times have passed.
    pub fn state(&self, now: Timestamp) -> KeyState {
        let passed = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        if passed(self.revoked_at) {
            KeyState::Revoked
        } else if passed(self.gone_at) {
            KeyState::Gone
        } else if passed(self.retires_at) {
            KeyState::Retiring
        } else if passed(self.signs_at) {
            KeyState::Signing
        } else {
            KeyState::Announced
        }
    }
}
