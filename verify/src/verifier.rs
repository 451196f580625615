//! A verifier for other services: a policy, and the keys of the issuer, cached.
//!
//! Tells a bad token (answer 401) from keys that cannot be had (answer 503). It never answers for a
//! token that it could not check.

use std::fmt;
use std::sync::Arc;

use crate::cache::{Cache, CacheRules, Clock, SystemClock};
use crate::claims::Claims;
use crate::fetch::Fetch;
use crate::policy::Policy;
use crate::verify::{Refused, verify};

/// Checks access tokens of one issuer for one audience. Cheap to clone; clones share the keys.
#[derive(Clone)]
pub struct Verifier(Arc<Parts>);

struct Parts {
    policy: Policy,
    cache: Cache,
    clock: Arc<dyn Clock>,
}

/// Why a token did not pass.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// The token is bad: 401.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Nothing is known about the token, as there are no keys: 503.
    #[error(transparent)]
    KeysUnavailable(#[from] KeysUnavailable),
}

/// There is no key set, or none that is young enough, and the last fetch failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys of the issuer are unavailable: {reason}")]
pub struct KeysUnavailable {
    /// The last failure, for a log.
    pub reason: Arc<str>,
    /// When to come back, in seconds, at least 1: the next fetch is not tried before.
    pub retry_after_s: u64,
}

impl Verifier {
    /// A verifier with the default [`CacheRules`] and the clock of the machine.
    pub fn new(policy: Policy, fetch: impl Fetch + 'static) -> Self {
        let clock = Arc::new(SystemClock::default());
        Self::with(policy, fetch, CacheRules::default(), clock)
    }

    /// A verifier with rules and a clock of the caller's.
    pub fn with(
        policy: Policy,
        fetch: impl Fetch + 'static,
        rules: CacheRules,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let cache = Cache::new(Box::new(fetch), Arc::clone(&clock), rules);
        Self(Arc::new(Parts { policy, cache, clock }))
    }

    /// A verifier that fetches `{issuer}/.well-known/jwks.json`.
    ///
    /// # Errors
    /// As [`HttpFetch::new`](crate::HttpFetch::new): the address is refused, or there is no CA store.
    #[cfg(feature = "fetch")]
    pub fn over_http(policy: Policy) -> Result<Self, crate::HttpFetchFault> {
        let fetch = crate::HttpFetch::new(&crate::HttpFetch::address_of(policy.issuer()))?;
        Ok(Self::new(policy, fetch))
    }

    /// Checks `token` now. A `kid` that is not known asks for the keys again, but not often.
    ///
    /// # Errors
    /// [`VerifyError::Refused`] for a bad token, [`VerifyError::KeysUnavailable`] without keys.
    pub async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        let parts = &self.0;
        let seen = parts.cache.keys().await?;
        match verify(token, &seen.keys, &parts.policy, parts.clock.now_s()) {
            Err(Refused::UnknownKey) => match parts.cache.newer_than(&seen).await {
                Some(keys) => Ok(verify(token, &keys, &parts.policy, parts.clock.now_s())?),
                None => Err(Refused::UnknownKey.into()),
            },
            checked => Ok(checked?),
        }
    }

    /// What is demanded of a token.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// The age of the keys in seconds; `None` before the first fetch. For health and metrics.
    pub fn keys_age_s(&self) -> Option<u64> {
        self.0.cache.age_s()
    }

    /// Why the last fetch failed; `None` if it succeeded. For logs.
    pub fn last_failure(&self) -> Option<Arc<str>> {
        self.0.cache.last_failure()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("policy", &self.0.policy).finish_non_exhaustive()
    }
}
