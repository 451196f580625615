//! The check of one token: pure, with the time handed in.
//!
//! No library default is left to chance: form, header, signature, claims, issuer, audience and times
//! are each checked here, expiry last. Revocation goes by `sid` and `jti`, never by the token's text:
//! an ECDSA signature has a second valid spelling that anybody can compute (JWT-18).

use crate::claims::{Claims, InvalidClaim};
use crate::compact::Compact;
use crate::keys::KeySet;
use crate::policy::Policy;

/// LIMIT: 8 KiB (JWT-17), what common servers take as one header line; portcullis stays below 3 500.
pub const TOKEN_BYTES_MAX: usize = 8192;

/// Why a token is refused, for logs and for callers that treat one reason apart.
///
/// No text of it quotes the token. Clients are told none of it: one answer for all (JWT-19).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Not three parts in canonical base64url, longer than 8192 bytes, or the header is no object.
    #[error("the token is not in compact form")]
    Form,
    /// The header has `crit` or `b64`.
    #[error("the token demands an extension")]
    Critical,
    /// The header brings a key or the address of one: `jwk`, `jku`, `x5u` or `x5c`.
    #[error("the token brings its own key")]
    EmbeddedKey,
    /// `typ` is not exactly `at+jwt`.
    #[error("the token is not an access token")]
    Type,
    /// `alg` is none of `ES256`, `EdDSA`, `RS256`, or not the key's.
    #[error("the algorithm is not the key's")]
    Algorithm,
    /// `kid` is not a text of 1 to 128 bytes.
    #[error("the key id is malformed")]
    KeyId,
    /// No key has this `kid`; a newer key set may have it.
    #[error("the key is unknown")]
    UnknownKey,
    /// The signature was not made with the key over this token.
    #[error("the signature is wrong")]
    Signature,
    /// A claim is missing or of the wrong type.
    #[error(transparent)]
    Claim(#[from] InvalidClaim),
    /// `iss` is another.
    #[error("the issuer is another")]
    Issuer,
    /// The audience is not among `aud`.
    #[error("the token is for somebody else")]
    Audience,
    /// `nbf` or `iat` lie in the future, beyond the leeway.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Nothing is wrong but that `exp` has passed, beyond the leeway.
    #[error("the token has expired")]
    Expired {
        /// What the token says; all else about it was checked.
        claims: Box<Claims>,
        /// Seconds since `exp`, leeway included; at least the leeway.
        by_s: i64,
    },
}

/// Checks `token` and returns what it says; `now_s` is seconds since 1970 UTC.
///
/// It passes while `now_s` < `exp` + leeway and `now_s` ≥ `nbf` − leeway, `iat` likewise.
///
/// # Errors
/// The first reason found. Expiry is looked at last: what is [`Refused::Expired`] has no other fault.
pub fn verify(token: &str, keys: &KeySet, policy: &Policy, now_s: i64) -> Result<Claims, Refused> {
    let compact = Compact::parse(token)?;
    let key = keys.get(&compact.kid).ok_or(Refused::UnknownKey)?;
    if compact.algorithm != key.algorithm {
        return Err(Refused::Algorithm);
    }
    if !key.has_signed(compact.signed, &compact.signature) {
        return Err(Refused::Signature);
    }
    let claims = Claims::from_json(&compact.payload)?;
    // SECURITY: JWT-09. Byte by byte; a URL that means the same is another issuer.
    if claims.iss != policy.issuer() {
        return Err(Refused::Issuer);
    }
    if !claims.aud.iter().any(|audience| audience == policy.audience()) {
        return Err(Refused::Audience);
    }
    if claims.nbf.max(claims.iat) > now_s.saturating_add(policy.nbf_leeway_s()) {
        return Err(Refused::NotYetValid);
    }
    let by_s = now_s.saturating_sub(claims.exp);
    if by_s >= policy.exp_leeway_s() {
        return Err(Refused::Expired { claims: Box::new(claims), by_s });
    }
    Ok(claims)
}

#[cfg(test)]
mod tests;
