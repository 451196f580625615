//! Where a verifier gets the key set from: a trait, so that it need not be HTTP.

use std::error::Error;
use std::pin::Pin;

use crate::jwk::JwkSet;

/// Why a key set could not be had; goes into logs, never to a client.
pub type FetchFault = Box<dyn Error + Send + Sync>;

/// A fetch under way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<JwkSet, FetchFault>> + Send + 'a>>;

/// Gets the newest key set of the issuer.
///
/// An implementation bounds its own time and what it reads: callers wait for it, and there is never
/// more than one call under way. It may be dropped half-way.
pub trait Fetch: Send + Sync {
    /// Starts one fetch.
    fn fetch(&self) -> Fetching<'_>;
}
