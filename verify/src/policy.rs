//! What a verifier demands of a token besides a good signature.
//!
//! Issuer and audience are compared byte by byte (JWT-09); leeways stay within their limit, so that
//! a policy in hand is a sound one.

/// LIMIT: one minute of clock skew. RFC 7519, 4.1.4: "no more than a few minutes"; JWT-10.
pub const LEEWAY_S_MAX: i64 = 60;

/// LIMIT: 5 s, as far as portcullis dates `iat` and `nbf` back (JWT-10).
const LEEWAY_S: i64 = 5;

/// The demands: issuer, audience, and how far clocks may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    issuer: String,
    audience: String,
    exp_leeway_s: i64,
    nbf_leeway_s: i64,
}

/// The leeway is negative or longer than 60 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a leeway is 0 to {LEEWAY_S_MAX} seconds")]
pub struct LeewayTooLong;

impl Policy {
    /// Tokens of `issuer` (exactly, without a final slash) for `audience`, 5 seconds of leeway each.
    ///
    /// An empty text matches no token.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        let (issuer, audience) = (issuer.into(), audience.into());
        Self { issuer, audience, exp_leeway_s: LEEWAY_S, nbf_leeway_s: LEEWAY_S }
    }

    /// Sets how long after `exp` a token still passes, in seconds, 0 to 60.
    ///
    /// # Errors
    /// [`LeewayTooLong`] outside that range.
    pub fn with_exp_leeway_s(self, exp_leeway_s: i64) -> Result<Self, LeewayTooLong> {
        Ok(Self { exp_leeway_s: checked(exp_leeway_s)?, ..self })
    }

    /// Sets how far `nbf` and `iat` may lie in the future, in seconds, 0 to 60.
    ///
    /// # Errors
    /// [`LeewayTooLong`] outside that range.
    pub fn with_nbf_leeway_s(self, nbf_leeway_s: i64) -> Result<Self, LeewayTooLong> {
        Ok(Self { nbf_leeway_s: checked(nbf_leeway_s)?, ..self })
    }

    /// The issuer that `iss` must equal.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The audience that must be among `aud`.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Seconds after `exp` in which a token still passes.
    pub fn exp_leeway_s(&self) -> i64 {
        self.exp_leeway_s
    }

    /// Seconds that `nbf` and `iat` may lie in the future.
    pub fn nbf_leeway_s(&self) -> i64 {
        self.nbf_leeway_s
    }
}

fn checked(leeway_s: i64) -> Result<i64, LeewayTooLong> {
    if (0..=LEEWAY_S_MAX).contains(&leeway_s) { Ok(leeway_s) } else { Err(LeewayTooLong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jwt_10_a_leeway_is_0_to_60_seconds() {
        for (leeway_s, is_ok) in [(-1, false), (0, true), (60, true), (61, false)] {
            let policy = Policy::new("i", "a");
            assert_eq!(policy.clone().with_exp_leeway_s(leeway_s).is_ok(), is_ok);
            assert_eq!(policy.with_nbf_leeway_s(leeway_s).is_ok(), is_ok);
        }
        assert_eq!(Policy::new("i", "a").exp_leeway_s(), 5);
        assert_eq!(Policy::new("i", "a").nbf_leeway_s(), 5);
    }
}
