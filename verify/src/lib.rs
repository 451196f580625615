//! Verifies the access tokens of portcullis: claims, keys, the check itself, and a verifier
//! that fetches the keys.
//!
//! [`verify()`] is the pure core: token, keys, policy and time in, claims or a [`Refused`] out; it
//! reads no clock and opens no connection. [`Verifier`] adds the key set of an issuer, cached.
//! The feature `fetch` brings `HttpFetch`, the feature `actix` the extractor `Bearer`.
//! Whether the session behind a token still lives is left to the issuer: a token that is not
//! expired passes here.
#![warn(clippy::missing_errors_doc)]

#[cfg(feature = "actix")]
mod actix;
mod algorithm;
mod cache;
mod claims;
mod compact;
mod fetch;
#[cfg(feature = "fetch")]
mod http;
mod json;
mod jwk;
mod keys;
mod policy;
#[cfg(test)]
mod testing;
mod verifier;
mod verify;

#[cfg(feature = "actix")]
pub use actix::{Bearer, BearerError};
pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use cache::{CacheRules, Clock, SystemClock};
pub use claims::{Claims, InvalidClaim};
pub use fetch::{Fetch, FetchFault, Fetching};
#[cfg(feature = "fetch")]
pub use http::{HttpFetch, HttpFetchFault};
pub use jwk::{Jwk, JwkFault, JwkSet, PublicKey};
pub use keys::KeySet;
pub use policy::{LEEWAY_S_MAX, LeewayTooLong, Policy};
pub use verifier::{KeysUnavailable, Verifier, VerifyError};
pub use verify::{Refused, TOKEN_BYTES_MAX, verify};
