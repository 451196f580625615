//! The claims of an access token: the one definition, to sign by and to read by.
//!
//! Reading is strict (JWT-07): a claim of the wrong type makes the token invalid, it never counts
//! as absent. Signing leaves an absent claim out and never writes `null`. Signature, issuer,
//! audience and times are checked by [`crate::verify()`].

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::json;

/// LIMIT: 2^53 − 1, the largest whole number that every JSON reader keeps (RFC 8259, 6).
const SECONDS_MAX: i64 = 9_007_199_254_740_991;

/// What an access token says (RFC 9068, 2.2). Times are whole seconds since 1970 UTC.
///
/// All texts are non-empty. `Debug` shows ids and times, no personal data.
#[derive(Clone, PartialEq, Serialize)]
pub struct Claims {
    /// Issuer: the public URL of the service, without a final slash.
    pub iss: String,
    /// Subject: the id of the user; of a service account, the id of its client.
    pub sub: String,
    /// Audience: whom the token is for; at least one. Always an array, as the interface says: the
    /// single text that RFC 7519, 4.1.3 also allows is refused.
    pub aud: Vec<String>,
    /// Expiry: the first second in which the token is dead, 0 to 2^53 − 1.
    pub exp: i64,
    /// Issue time, 0 to 2^53 − 1. Lies 5 seconds back, for verifiers with a slow clock.
    pub iat: i64,
    /// Not valid before, 0 to 2^53 − 1. Equals `iat`.
    pub nbf: i64,
    /// The id of this token, unique for the issuer.
    pub jti: String,
    /// The client that the token was issued to; `portcullis` for the service's own sign-in.
    pub client_id: String,
    /// Scope: words joined by one blank (RFC 6749, 3.3).
    pub scope: String,
    /// The session; absent for a service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Roles at issue; absent for a service account, may be empty for a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// When the user proved who they are, 0 to 2^53 − 1; absent for a service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How they proved it (RFC 8176), such as `pwd`; absent for a service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amr: Option<Vec<String>>,
    /// The e-mail address at issue; absent for a service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the address was proved at issue; absent for a service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// Profile claims, by claim name. An entry under a name of [`Claims::RESERVED`] is not signed.
    #[serde(flatten, serialize_with = "unreserved")]
    pub extra: BTreeMap<String, Value>,
}

/// A claim that is missing or not of its type; holds the name, never the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the claim {0} is missing or invalid")]
pub struct InvalidClaim(pub &'static str);

impl Claims {
    /// The names of the claims above, which no profile claim may take.
    pub const RESERVED: [&'static str; 15] = [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "client_id",
        "scope",
        "sid",
        "roles",
        "auth_time",
        "amr",
        "email",
        "email_verified",
    ];

    /// Reads a payload whose signature was checked: one JSON object without double members.
    ///
    /// # Errors
    /// Names the first claim that is missing or of the wrong type; `payload` for what is no object.
    pub fn from_json(payload: &[u8]) -> Result<Self, InvalidClaim> {
        let mut rest = Rest(json::object(payload).ok_or(InvalidClaim("payload"))?);
        Ok(Self {
            iss: rest.required("iss", text)?,
            sub: rest.required("sub", text)?,
            aud: rest.required("aud", filled_texts)?,
            exp: rest.required("exp", seconds)?,
            iat: rest.required("iat", seconds)?,
            nbf: rest.required("nbf", seconds)?,
            jti: rest.required("jti", text)?,
            client_id: rest.required("client_id", text)?,
            scope: rest.required("scope", text)?,
            sid: rest.optional("sid", text)?,
            roles: rest.optional("roles", texts)?,
            auth_time: rest.optional("auth_time", seconds)?,
            amr: rest.optional("amr", texts)?,
            email: rest.optional("email", text)?,
            email_verified: rest.optional("email_verified", flag)?,
            extra: rest.0.into_iter().collect(),
        })
    }

    /// Whether the token carries this role (exact spelling).
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().flatten().any(|held| held == role)
    }

    /// Whether `scope` has this word (exact spelling).
    pub fn has_scope(&self, word: &str) -> bool {
        self.scope.split(' ').any(|held| held == word && !held.is_empty())
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("iss", &self.iss)
            .field("sub", &self.sub)
            .field("aud", &self.aud)
            .field("exp", &self.exp)
            .field("jti", &self.jti)
            .field("client_id", &self.client_id)
            .field("sid", &self.sid)
            .finish_non_exhaustive()
    }
}

/// What is left of the payload; each claim is taken out once.
struct Rest(Map<String, Value>);

impl Rest {
    fn optional<T>(
        &mut self,
        name: &'static str,
        read: fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, InvalidClaim> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(value) => read(&value).map(Some).ok_or(InvalidClaim(name)),
        }
    }

    fn required<T>(
        &mut self,
        name: &'static str,
        read: fn(&Value) -> Option<T>,
    ) -> Result<T, InvalidClaim> {
        self.optional(name, read)?.ok_or(InvalidClaim(name))
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        _ => None,
    }
}

fn filled_texts(value: &Value) -> Option<Vec<String>> {
    texts(value).filter(|items| !items.is_empty())
}

fn flag(value: &Value) -> Option<bool> {
    value.as_bool()
}

/// Whole numbers only: `5.0` and `5e0` are fractions to a JSON reader, and no issuer writes them.
fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().filter(|seconds| (0..=SECONDS_MAX).contains(seconds))
}

/// SECURITY: JWT-17. A profile claim named `sub` would sign a second `sub`.
fn unreserved<S: Serializer>(
    extra: &BTreeMap<String, Value>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (name, value) in extra {
        if !Claims::RESERVED.contains(&name.as_str()) {
            map.serialize_entry(name, value)?;
        }
    }
    map.end()
}

#[cfg(test)]
mod tests;
