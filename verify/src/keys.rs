//! Keys ready for use: parsed once, found by id.
//!
//! A set in hand holds public keys only, one a `kid`, each with its one algorithm. The signature is
//! checked here and nowhere else; what the token says is left to [`crate::verify()`].

use std::collections::BTreeMap;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;

use crate::algorithm::Algorithm;
use crate::jwk::{Jwk, JwkSet, Material, PublicKey};

/// LIMIT: ours; portcullis publishes two to a handful, and memory is bounded by this.
const KEYS_MAX: usize = 64;

/// The usable keys of an issuer by `kid`; at most 64, the first of equal ids counts.
#[derive(Clone, Debug, Default)]
pub struct KeySet(BTreeMap<String, Key>);

/// A key and the one algorithm it verifies with.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) algorithm: Algorithm,
    decoding: DecodingKey,
}

impl KeySet {
    /// Parses the keys of `set`.
    pub fn new(set: &JwkSet) -> Self {
        let mut keys = BTreeMap::new();
        for jwk in set.keys.iter().take(KEYS_MAX) {
            keys.entry(jwk.kid().into()).or_insert_with(|| Key::new(jwk));
        }
        Self(keys)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none; then every token is refused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a token with this `kid` can be checked.
    pub fn contains(&self, kid: &str) -> bool {
        self.0.contains_key(kid)
    }

    pub(crate) fn get(&self, kid: &str) -> Option<&Key> {
        self.0.get(kid)
    }
}

impl From<&JwkSet> for KeySet {
    fn from(set: &JwkSet) -> Self {
        Self::new(set)
    }
}

impl Key {
    fn new(jwk: &Jwk) -> Self {
        Self { algorithm: jwk.algorithm(), decoding: decoding(jwk.key()) }
    }

    /// Whether `signature` was made over `signed` with the private half of this key.
    ///
    /// SECURITY: JWT-01. The algorithm is the key's own, and jsonwebtoken is asked for nothing but the
    /// signature. Its `decode` would take the process-wide provider, which panics when a foreign build
    /// turns on both crypto features; its provider for aws-lc is therefore named here.
    pub(crate) fn has_signed(&self, signed: &str, signature: &[u8]) -> bool {
        (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm.as_library(), &self.decoding)
            .is_ok_and(|verifier| verifier.verify(signed.as_bytes(), &signature.to_vec()).is_ok())
    }
}

fn decoding(key: &PublicKey) -> DecodingKey {
    match key.material() {
        Material::P256 { x, y } => {
            DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat())
        }
        Material::Ed25519 { x } => DecodingKey::from_ed_der(x),
        Material::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
    }
}
