//! The three signature algorithms of portcullis, and no others.
//!
//! An algorithm belongs to a key and is never chosen by a token (JWT-01). There is no HMAC and no
//! `none`: neither has a spelling that [`Algorithm`] can be read from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A signature algorithm, under its JOSE name (RFC 7518, 3.1; RFC 8037, 3.1).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Algorithm {
    /// `ES256`: ECDSA on P-256 with SHA-256. The default of portcullis.
    #[default]
    #[serde(rename = "ES256")]
    Es256,
    /// `EdDSA`: Ed25519 only.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// `RS256`: RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

impl Algorithm {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];

    /// The JOSE name: `ES256`, `EdDSA` or `RS256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    pub(crate) fn as_library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names none of `ES256`, `EdDSA` and `RS256` (exact spelling).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the algorithm is not one of ES256, EdDSA, RS256")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|known| known.name() == text).ok_or(UnknownAlgorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jwt_01_an_algorithm_is_read_in_its_exact_spelling_only() {
        for known in Algorithm::ALL {
            assert_eq!(known.to_string().parse(), Ok(known));
            assert_eq!(serde_json::to_value(known).unwrap(), known.name());
        }
        for wrong in ["", "none", "es256", "ES256 ", "HS256", "ES384", "PS256", "EDDSA", "Ed25519"]
        {
            assert_eq!(wrong.parse::<Algorithm>(), Err(UnknownAlgorithm), "{wrong}");
        }
    }
}
