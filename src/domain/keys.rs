//! Signing keys as the table keeps them, and the state that follows from their times.
//!
//! The state is computed, never stored: every instance with the same rows and the same time agrees.
//! A public key has members for public parts only (JWT-11). Private parts stand here sealed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// The algorithms that sign (JWT-01): one a key, and none but these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// ECDSA over P-256 with SHA-256 (RFC 7518, 3.4).
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519 (RFC 8037).
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, 3.3).
    #[serde(rename = "RS256")]
    Rs256,
}

impl SigningAlgorithm {
    /// The name in `alg`, in the configuration and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name is none of `ES256`, `EdDSA`, `RS256`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is none of ES256, EdDSA, RS256")]
pub struct UnknownAlgorithm;

impl FromStr for SigningAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ES256" => Ok(Self::Es256),
            "EdDSA" => Ok(Self::EdDsa),
            "RS256" => Ok(Self::Rs256),
            _ => Err(UnknownAlgorithm),
        }
    }
}

/// A public key in the plain form of RFC 7517: these members, in this order, and no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicJwk {
    /// `EC`, `OKP` or `RSA`.
    pub kty: String,
    /// `P-256` or `Ed25519`; absent for RSA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// 32 bytes in base64url: a coordinate (EC) or the key (OKP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// 32 bytes in base64url: the other coordinate (EC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// The modulus in base64url (RSA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// The public exponent in base64url (RSA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    /// The SHA-256 thumbprint of the key (RFC 7638): 43 characters of base64url.
    pub kid: String,
    /// Always `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// The only algorithm that this key signs with.
    pub alg: SigningAlgorithm,
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jwt_01_three_algorithms_have_a_name_and_no_other() {
        for name in ["ES256", "EdDSA", "RS256"] {
            assert_eq!(name.parse::<SigningAlgorithm>().unwrap().to_string(), name);
            let json = serde_json::to_string(&name.parse::<SigningAlgorithm>().unwrap()).unwrap();
            assert_eq!(json, format!("\"{name}\""));
        }
        for name in ["", "none", "HS256", "es256", "ES384", "RS512", "PS256", "Ed25519"] {
            assert_eq!(name.parse::<SigningAlgorithm>(), Err(UnknownAlgorithm));
        }
    }

    #[test]
    fn jwt_11_a_public_key_has_no_room_for_a_private_part() {
        let text = r#"{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"k","use":"sig","alg":"EdDSA"}"#;
        let jwk: PublicJwk = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&jwk).unwrap(), text);
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            let with = text.replacen('{', &format!("{{\"{private}\":\"AA\","), 1);
            assert!(serde_json::from_str::<PublicJwk>(&with).is_err(), "{private}");
        }
    }
}
