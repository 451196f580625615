//! Public keys as JSON Web Keys: the plain form that portcullis publishes, and reading of any set.
//!
//! Written is the plain form and nothing else (JWT-11). Read is what can be used: a set may hold
//! keys of other kinds, which are left out, not refused. A [`PublicKey`] in hand is well formed; there
//! is no way to hold a symmetric or a private one.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;

/// LIMIT: ours; a thumbprint has 43 bytes, other issuers use UUIDs and URLs.
pub(crate) const KID_BYTES_MAX: usize = 128;

/// LIMIT: 2048 to 8192 bits, what the crypto library verifies with `RS256` (RFC 7518, 3.3).
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// A public key that `ES256`, `EdDSA` or `RS256` verify with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Material);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Material {
    P256 { x: Vec<u8>, y: Vec<u8> },
    Ed25519 { x: Vec<u8> },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// Why something is not a key that can be used; holds no key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkFault {
    /// `kty` and `crv` name none of P-256, Ed25519 and RSA, or `alg` is absent or not theirs.
    #[error("the kind of key is not supported, or its algorithm is missing or another's")]
    Unsupported,
    /// A coordinate or number has the wrong length or spelling, or the point is not on the curve.
    #[error("the key is malformed")]
    Malformed,
    /// `kid` is absent, empty or longer than 128 bytes.
    #[error("the key id is missing or malformed")]
    KeyId,
    /// `use` or `key_ops` say that the key is not for signatures.
    #[error("the key is not for signatures")]
    Use,
    /// The private half is there too (`d` and its like, or a symmetric `k`): everybody may have it.
    #[error("the key is not a public one")]
    Private,
}

impl PublicKey {
    /// A P-256 key from its uncompressed point: `04`, x, y, 65 bytes (SEC 1, 2.3.3).
    ///
    /// # Errors
    /// [`JwkFault::Malformed`] if the form differs or the point is not on the curve.
    pub fn p256(point: &[u8]) -> Result<Self, JwkFault> {
        let (x, y) = match point {
            [4, rest @ ..] if rest.len() == 64 => rest.split_at(32),
            _ => return Err(JwkFault::Malformed),
        };
        // SECURITY: RFC 8725, 3.4. A point off the curve is no key.
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).or(Err(JwkFault::Malformed))?;
        Ok(Self(Material::P256 { x: x.into(), y: y.into() }))
    }

    /// An Ed25519 key from its 32 bytes (RFC 8032, 5.1.5).
    ///
    /// # Errors
    /// [`JwkFault::Malformed`] if the length differs.
    pub fn ed25519(x: &[u8]) -> Result<Self, JwkFault> {
        if x.len() != 32 {
            return Err(JwkFault::Malformed);
        }
        Ok(Self(Material::Ed25519 { x: x.into() }))
    }

    /// An RSA key of 2048 to 8192 bits from modulus and exponent, big-endian, no leading zeros.
    ///
    /// # Errors
    /// [`JwkFault::Malformed`] for other sizes, leading zeros, and even or one-valued numbers.
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, JwkFault> {
        let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
        let is_plain = |number: &[u8]| number.first().is_some_and(|byte| *byte != 0);
        // LIMIT: an exponent of 32 bits; each bit costs every verification (RFC 8017 has no bound).
        let sizes_fit = RSA_BYTES.contains(&n.len()) && (1..=4).contains(&e.len());
        if !sizes_fit || ![n, e].iter().all(|m| is_odd(m) && is_plain(m)) || e == [1] {
            return Err(JwkFault::Malformed);
        }
        Ok(Self(Material::Rsa { n: n.into(), e: e.into() }))
    }

    /// The one algorithm that this key verifies with.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Material::P256 { .. } => Algorithm::Es256,
            Material::Ed25519 { .. } => Algorithm::EdDsa,
            Material::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// The SHA-256 thumbprint: 43 characters of base64url without padding (RFC 7638, 3; RFC 8037, 2).
    pub fn thumbprint(&self) -> String {
        // The required members in the order of their names, without blanks: RFC 7638, 3.
        let canonical = match &self.0 {
            Material::P256 { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, b64(x), b64(y))
            }
            Material::Ed25519 { x } => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64(x))
            }
            Material::Rsa { n, e } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, b64(e), b64(n))
            }
        };
        b64(digest(&SHA256, canonical.as_bytes()).as_ref())
    }

    pub(crate) fn material(&self) -> &Material {
        &self.0
    }
}

/// A public key with its id. JSON: `kty`, `crv`, `x`, `y` or `n`, `e`; `kid`, `use`, `alg` (RFC 7517, 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    kid: String,
    key: PublicKey,
}

impl Jwk {
    /// `key` under its thumbprint, as portcullis names its keys.
    pub fn new(key: PublicKey) -> Self {
        Self { kid: key.thumbprint(), key }
    }

    /// `key` under an id of 1 to 128 bytes.
    ///
    /// # Errors
    /// [`JwkFault::KeyId`] for other lengths.
    pub fn with_kid(kid: impl Into<String>, key: PublicKey) -> Result<Self, JwkFault> {
        let kid = kid.into();
        if kid.is_empty() || kid.len() > KID_BYTES_MAX {
            return Err(JwkFault::KeyId);
        }
        Ok(Self { kid, key })
    }

    /// The key id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The one algorithm of the key.
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    /// Reads one member of a set. Unknown members are ignored, private ones are not.
    ///
    /// # Errors
    /// Says why the key cannot be used.
    pub fn from_value(value: &Value) -> Result<Self, JwkFault> {
        const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        let members = value.as_object().ok_or(JwkFault::Malformed)?;
        if PRIVATE.iter().any(|name| members.contains_key(*name)) {
            return Err(JwkFault::Private);
        }
        if members.get("use").is_some_and(|usage| usage != "sig") {
            return Err(JwkFault::Use);
        }
        if members.get("key_ops").is_some_and(|ops| !is_verify_among(ops)) {
            return Err(JwkFault::Use);
        }
        let key = read_key(members)?;
        // SECURITY: JWT-01. The key's own `alg` decides; a key without one could serve two.
        if members.get("alg").and_then(Value::as_str) != Some(key.algorithm().name()) {
            return Err(JwkFault::Unsupported);
        }
        Self::with_kid(member(members, "kid").or(Err(JwkFault::KeyId))?, key)
    }
}

fn is_verify_among(ops: &Value) -> bool {
    ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"))
}

fn read_key(members: &Map<String, Value>) -> Result<PublicKey, JwkFault> {
    let curve = members.get("crv").and_then(Value::as_str);
    match (member(members, "kty")?, curve) {
        ("EC", Some("P-256")) => {
            let (x, y) = (number(members, "x")?, number(members, "y")?);
            if x.len() != 32 {
                return Err(JwkFault::Malformed);
            }
            PublicKey::p256(&[&[4], x.as_slice(), y.as_slice()].concat())
        }
        ("OKP", Some("Ed25519")) => PublicKey::ed25519(&number(members, "x")?),
        ("RSA", _) => PublicKey::rsa(&number(members, "n")?, &number(members, "e")?),
        _ => Err(JwkFault::Unsupported),
    }
}

fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, JwkFault> {
    members.get(name).and_then(Value::as_str).ok_or(JwkFault::Malformed)
}

fn number(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, JwkFault> {
    URL_SAFE_NO_PAD.decode(member(members, name)?).or(Err(JwkFault::Malformed))
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = match self.key.material() {
            Material::P256 { x, y } => {
                vec![("kty", "EC".into()), ("crv", "P-256".into()), ("x", b64(x)), ("y", b64(y))]
            }
            Material::Ed25519 { x } => {
                vec![("kty", "OKP".into()), ("crv", "Ed25519".into()), ("x", b64(x))]
            }
            Material::Rsa { n, e } => vec![("kty", "RSA".into()), ("n", b64(n)), ("e", b64(e))],
        };
        let common = [
            ("kid", self.kid.clone()),
            ("use", "sig".into()),
            ("alg", self.algorithm().to_string()),
        ];
        serializer.collect_map(parts.into_iter().chain(common))
    }
}

impl<'de> Deserialize<'de> for Jwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A set of public keys (RFC 7517, 5). Reading leaves out what cannot be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    /// The keys, in the order of the set.
    pub keys: Vec<Jwk>,
}

impl<'de> Deserialize<'de> for JwkSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            keys: Vec<Value>,
        }
        let raw = Raw::deserialize(deserializer)?;
        Ok(Self { keys: raw.keys.iter().filter_map(|value| Jwk::from_value(value).ok()).collect() })
    }
}

#[cfg(test)]
mod tests;
