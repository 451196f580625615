//! The master key: 32 random bytes in base64, read in one way by the configuration and by whoever seals.
//!
//! Where it comes from is `config`'s, what is derived from it `crypto`'s.

use std::fmt;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use zeroize::Zeroizing;

/// LIMIT: 32 random bytes with fewer different values than this are less likely than 2^-70.
const DISTINCT_MIN: usize = 10;

/// The standard alphabet; `=` at the end may be missing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text is no master key. Shows nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeyError {
    /// Nothing but blanks.
    #[error("is empty")]
    Empty,
    /// Characters outside the alphabet.
    #[error("is not base64")]
    NotBase64,
    /// Another length.
    #[error("has {0} bytes where 32 are needed")]
    Length(usize),
    /// Bytes that nobody drew at random.
    #[error("is an example, not 32 random bytes")]
    Example,
}

/// 32 random bytes from which all keys of the sealing are derived.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Reads base64 (RFC 4648, section 4) of 32 bytes; blanks around it do not count.
    pub fn from_base64(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(MasterKeyError::Empty);
        }
        let decoded = LENIENT.decode(text).or(Err(MasterKeyError::NotBase64))?;
        let bytes = Zeroizing::new(decoded);
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(MasterKeyError::Length(bytes.len()));
        }
        key.copy_from_slice(&bytes);
        // SECURITY: CFG-01. All zeros, a counted pattern and the like come from a manual.
        let distinct: std::collections::BTreeSet<&u8> = key.iter().collect();
        if distinct.len() < DISTINCT_MIN || key.windows(2).all(is_step) {
            return Err(MasterKeyError::Example);
        }
        Ok(Self(key))
    }

    /// A key whose bytes were drawn at random.
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, for whoever derives keys from them.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The text that is written to a key file.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(&self.0[..]))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn is_step(pair: &[u8]) -> bool {
    matches!(pair, [a, b] if a.wrapping_add(1) == *b)
}
